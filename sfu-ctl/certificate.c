// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/certificate.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/** Certificates above our own. */
#define MAX_CHAIN 10

struct files {
	X509 *own;
	STACK_OF(X509) * chain;
	EVP_PKEY *key;
};

/** bio: of the file; NULL: it could not be opened, and errno says why. */
static const char *reason(const BIO *bio)
{
	const char *text = ERR_reason_error_string(ERR_peek_last_error());

	if (bio == NULL && errno != 0)
		return errno == ESPIPE ? "a pipe cannot be read anew" : strerror(errno);
	return text != NULL ? text : "not what it should be";
}

/** Not a pipe: the loop would wait for its writer. */
static BIO *open_file(const char *path)
{
	struct stat info;

	errno = 0;
	if (stat(path, &info) == 0 && S_ISFIFO(info.st_mode)) {
		errno = ESPIPE;
		return NULL;
	}
	return BIO_new_file(path, "r");
}

/** Never ask a terminal: a key with a passphrase is one that we cannot read. */
static int no_passphrase(char *buf, int size, int writing, void *arg)
{
	(void)buf;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

static int read_chain(struct files *files, const char *path, char *err, size_t err_size)
{
	BIO *bio = open_file(path);
	X509 *above;

	files->chain = sk_X509_new_null();
	if (bio != NULL && files->chain != NULL)
		files->own = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
	if (files->own == NULL) {
		snprintf(err, err_size, "SFU_TLS_CERT=\"%s\" is no PEM certificate: %s", path,
			reason(bio));
		BIO_free(bio);
		return -EINVAL;
	}
	while (sk_X509_num(files->chain) < MAX_CHAIN
		&& (above = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL)) != NULL) {
		if (sk_X509_push(files->chain, above) == 0)
			X509_free(above);
	}
	BIO_free(bio);
	return 0;
}

static int read_key(struct files *files, const char *path, char *err, size_t err_size)
{
	BIO *bio = open_file(path);

	if (bio != NULL)
		files->key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	if (files->key == NULL)
		snprintf(err, err_size, "SFU_TLS_KEY=\"%s\" is no PEM key without a passphrase: %s",
			path, reason(bio));
	BIO_free(bio);
	return files->key != NULL ? 0 : -EINVAL;
}

/** Fits together, and is valid now. */
static int check(const struct files *files, int64_t now_sec, char *err, size_t err_size)
{
	time_t now = (time_t)now_sec;

	if (X509_check_private_key(files->own, files->key) != 1) {
		snprintf(err, err_size, "SFU_TLS_KEY is not the key of SFU_TLS_CERT");
		return -EINVAL;
	}
	if (X509_cmp_time(X509_get0_notAfter(files->own), &now) < 0) {
		snprintf(err, err_size, "the certificate in SFU_TLS_CERT has expired");
		return -EINVAL;
	}
	if (X509_cmp_time(X509_get0_notBefore(files->own), &now) > 0) {
		snprintf(err, err_size, "the certificate in SFU_TLS_CERT is not valid yet");
		return -EINVAL;
	}
	return 0;
}

int certificate_use(SSL_CTX *tls, const char *cert_path, const char *key_path, int64_t now_sec,
	char *err, size_t err_size)
{
	struct files files = {NULL, NULL, NULL};
	int result;

	ERR_clear_error();
	result = read_chain(&files, cert_path, err, err_size);
	if (result == 0)
		result = read_key(&files, key_path, err, err_size);
	if (result == 0)
		result = check(&files, now_sec, err, err_size);
	if (result == 0
		&& SSL_CTX_use_cert_and_key(tls, files.own, files.key, files.chain, 1) != 1) {
		snprintf(err, err_size, "SFU_TLS_CERT cannot be used: %s",
			ERR_reason_error_string(ERR_peek_last_error()));
		result = -EINVAL;
	}
	// The end of the file is an error to OpenSSL.
	ERR_clear_error();
	X509_free(files.own);
	sk_X509_pop_free(files.chain, X509_free);
	EVP_PKEY_free(files.key);
	return result;
}
