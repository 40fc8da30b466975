// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/dtls.h"

#include "shared/command.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

/* ECDSA first; AES-128-GCM first because both ends have it in hardware. */
#define CIPHERS                                                                                    \
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:"                             \
	"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256:"                               \
	"ECDHE-RSA-CHACHA20-POLY1305:ECDHE-RSA-AES256-GCM-SHA384"
#define GROUPS "X25519:P-256"
#define SRTP_PROFILES "SRTP_AEAD_AES_128_GCM:SRTP_AEAD_AES_256_GCM:SRTP_AES128_CM_SHA1_80"
#define EXPORTER_LABEL "EXTRACTOR-dtls_srtp"

/* A browser's certificate is some 300 octets; RSA ones of 4096 bits stay below 2,000. */
#define MAX_CERTIFICATE_BYTES 8192
/* No handshake message that we expect is longer; also bounds what OpenSSL sets aside for one. */
#define MAX_MESSAGE_BYTES 8192u
#define TIMER_FIRST_US 100000u
#define TIMER_MAX_US 2000000u
#define MIN_RSA_BITS 2048
#define MAX_RSA_BITS 8192 /* above, one signature check costs milliseconds */

#define CERTIFICATE_DAYS 30
#define CERTIFICATE_BACKDATED_DAYS 1 /* for clients whose clock is behind */
#define CERTIFICATE_RENEW_DAYS 3
#define DAY_S 86400L
#define CERTIFICATE_FILE "dtls.pem"
#define MAX_PEM_BYTES 16384

struct dtls_context {
	SSL_CTX *ssl_ctx;
	BIO_METHOD *bio_method;
	char fingerprint[DTLS_FINGERPRINT_TEXT_BYTES];
};

struct digest {
	const EVP_MD *md;
	uint8_t octets[EVP_MAX_MD_SIZE];
	unsigned int len;
};

struct dtls_session {
	SSL *ssl; /* NULL once the session has failed */
	dtls_send_fn send;
	void *send_arg;
	enum dtls_state state;
	const char *reason; /* static text */
	bool started;
	bool exported; /* the keys are out, and what they were made from is forgotten */
	uint64_t deadline_us; /* of the handshake; valid when started */
	size_t handshake_bytes;
	const uint8_t *in; /* the datagram being fed; NULL when taken */
	size_t in_len;
	size_t out_len;
	uint8_t out[DTLS_MTU_BYTES]; /* records that leave together */
	unsigned int remote_count; /* 0 = dtls_session_set_remote() has not come yet */
	struct digest remote[DTLS_MAX_FINGERPRINTS];
};

/* --- the datagram BIO -------------------------------------------------------------------------- */

static void flush(struct dtls_session *s)
{
	if (s->out_len == 0)
		return;
	s->send(s->send_arg, s->out, s->out_len);
	s->out_len = 0;
}

/*
 * OpenSSL writes a flight as whole records, several per write while it has its handshake buffer,
 * one by one when it retransmits. They are collected up to the MTU, so that a flight is as few
 * datagrams as can be; flush() at the end of every entry point sends the rest.
 */
static int bio_write(BIO *bio, const char *data, int len)
{
	struct dtls_session *s = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	// SSL_set_mtu() keeps handshake records below it, and nothing else is ever written.
	if (len <= 0 || (size_t)len > sizeof(s->out))
		return -1;
	if (s->out_len + (size_t)len > sizeof(s->out))
		flush(s);
	memcpy(s->out + s->out_len, data, (size_t)len);
	s->out_len += (size_t)len;
	return len;
}

static int bio_read(BIO *bio, char *data, int size)
{
	struct dtls_session *s = BIO_get_data(bio);
	size_t len = s->in_len;

	BIO_clear_retry_flags(bio);
	if (s->in == NULL || size <= 0) {
		BIO_set_retry_read(bio);
		return -1;
	}
	// Like recv(): what does not fit is cut. OpenSSL asks for a whole record buffer.
	if (len > (size_t)size)
		len = (size_t)size;
	memcpy(data, s->in, len);
	s->in = NULL;
	return (int)len;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
	(void)bio;
	(void)number;
	(void)pointer;
	switch (command) {
	case BIO_CTRL_FLUSH:
		return 1;
	case BIO_CTRL_DGRAM_QUERY_MTU:
	case BIO_CTRL_DGRAM_GET_FALLBACK_MTU:
		return DTLS_MTU_BYTES;
	default:
		return 0;
	}
}

static int bio_create(BIO *bio)
{
	BIO_set_init(bio, 1);
	return 1;
}

static BIO_METHOD *bio_method_create(void)
{
	int index = BIO_get_new_index();
	BIO_METHOD *method;

	if (index == -1)
		return NULL;
	method = BIO_meth_new(index | BIO_TYPE_SOURCE_SINK, "sfu datagrams");
	if (method == NULL)
		return NULL;
	if (BIO_meth_set_write(method, bio_write) && BIO_meth_set_read(method, bio_read)
		&& BIO_meth_set_ctrl(method, bio_ctrl) && BIO_meth_set_create(method, bio_create))
		return method;
	BIO_meth_free(method);
	return NULL;
}

/* --- our certificate ----------------------------------------------------------------------------- */

static const char *openssl_reason(void)
{
	const char *text = ERR_reason_error_string(ERR_peek_last_error());

	return text != NULL ? text : "unknown OpenSSL error";
}

struct identity {
	EVP_PKEY *key;
	X509 *certificate;
};

static void identity_fini(struct identity *id)
{
	EVP_PKEY_free(id->key);
	X509_free(id->certificate);
	id->key = NULL;
	id->certificate = NULL;
}

static bool fill_certificate(X509 *certificate, EVP_PKEY *key)
{
	const long start = -CERTIFICATE_BACKDATED_DAYS * DAY_S;
	uint64_t serial;
	X509_NAME *name = X509_get_subject_name(certificate);

	if (RAND_bytes((unsigned char *)&serial, sizeof(serial)) != 1)
		return false;
	return X509_set_version(certificate, X509_VERSION_3)
	       && ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial >> 1 | 1)
	       && X509_gmtime_adj(X509_getm_notBefore(certificate), start) != NULL
	       && X509_gmtime_adj(X509_getm_notAfter(certificate), start + CERTIFICATE_DAYS * DAY_S)
			  != NULL
	       && X509_NAME_add_entry_by_txt(
		       name, "CN", MBSTRING_ASC, (const unsigned char *)"sfu", -1, -1, 0)
	       && X509_set_issuer_name(certificate, name) && X509_set_pubkey(certificate, key)
	       && X509_sign(certificate, key, EVP_sha256()) > 0;
}

static bool identity_generate(struct identity *id)
{
	id->key = EVP_EC_gen("P-256");
	id->certificate = X509_new();
	if (id->key != NULL && id->certificate != NULL
		&& fill_certificate(id->certificate, id->key))
		return true;
	identity_fini(id);
	return false;
}

/* P-256 by name: curves spelled out in the key have no business here (CVE-2022-0778). */
static bool is_p256(EVP_PKEY *key)
{
	char group[32];
	int explicit_curve = 0;

	if (!EVP_PKEY_is_a(key, "EC"))
		return false;
	if (EVP_PKEY_get_int_param(
		    key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &explicit_curve)
		&& explicit_curve != 0)
		return false;
	return EVP_PKEY_get_utf8_string_param(
		       key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof(group), NULL)
	       && strcmp(group, "prime256v1") == 0;
}

/* Octets of the file, which must be ours alone. @return length, or negative errno with err set */
static ssize_t read_private_file(
	const char *path, uint8_t *buf, size_t size, char *err, size_t err_size)
{
	struct stat st;
	ssize_t len = -EACCES;
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0) {
		len = -errno;
		snprintf(err, err_size, "%s: %s", path, strerror(errno));
		return len;
	}
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		snprintf(err, err_size, "%s: is not a regular file", path);
	} else if ((st.st_mode & 077) != 0 || st.st_uid != geteuid()) {
		snprintf(err, err_size,
			"%s: a private key that others may read; remove it, or chown and chmod 600 "
			"it",
			path);
	} else {
		len = read(fd, buf, size);
		if (len < 0) {
			len = -errno;
			snprintf(err, err_size, "%s: %s", path, strerror(errno));
		}
	}
	close(fd);
	return len;
}

static bool identity_parse(struct identity *id, const uint8_t *pem, size_t len)
{
	BIO *bio = BIO_new_mem_buf(pem, (int)len);

	if (bio == NULL)
		return false;
	id->key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	id->certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	BIO_free(bio);
	if (id->key != NULL && id->certificate != NULL && is_p256(id->key)
		&& X509_check_private_key(id->certificate, id->key) == 1)
		return true;
	identity_fini(id);
	return false;
}

/* Valid now, for some days still, and not for longer than browsers would accept. */
static bool still_good(const X509 *certificate)
{
	const ASN1_TIME *from = X509_get0_notBefore(certificate);
	const ASN1_TIME *to = X509_get0_notAfter(certificate);
	int days, seconds;

	return ASN1_TIME_diff(&days, &seconds, from, to) && days <= CERTIFICATE_DAYS
	       && ASN1_TIME_diff(&days, &seconds, NULL, to) && days >= CERTIFICATE_RENEW_DAYS
	       && ASN1_TIME_diff(&days, &seconds, from, NULL) && days >= 0 && seconds >= 0;
}

/* Whole or not at all: written beside, then renamed. */
static bool write_private_file(
	const char *path, const char *data, size_t len, char *err, size_t err_size)
{
	char temporary[512];
	bool ok;
	int fd;

	if ((size_t)snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path)
		>= sizeof(temporary)) {
		snprintf(err, err_size, "%.100s...: path too long", path);
		return false;
	}
	fd = mkostemp(temporary, O_CLOEXEC); /* mode 0600 */
	if (fd < 0) {
		snprintf(err, err_size, "%s: %s", path, strerror(errno));
		return false;
	}
	ok = write(fd, data, len) == (ssize_t)len && fsync(fd) == 0;
	ok = close(fd) == 0 && ok && rename(temporary, path) == 0;
	if (!ok) {
		snprintf(err, err_size, "%s: %s", path, strerror(errno));
		unlink(temporary);
	}
	return ok;
}

static bool identity_save(const struct identity *id, const char *path, char *err, size_t err_size)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	bool ok = false;
	char *pem;
	long len;

	if (bio != NULL && PEM_write_bio_PrivateKey(bio, id->key, NULL, NULL, 0, NULL, NULL) == 1
		&& PEM_write_bio_X509(bio, id->certificate) == 1) {
		len = BIO_get_mem_data(bio, &pem);
		ok = write_private_file(path, pem, (size_t)len, err, err_size);
	} else {
		snprintf(err, err_size, "%s: %s", path, openssl_reason());
	}
	BIO_free(bio);
	return ok;
}

/* The kept pair, or a new one that is kept when dir is given. */
static bool identity_obtain(struct identity *id, const char *dir, char *err, size_t err_size)
{
	uint8_t pem[MAX_PEM_BYTES];
	char path[480];
	ssize_t len;
	bool parsed;

	if (dir == NULL) {
		if (identity_generate(id))
			return true;
		snprintf(err, err_size, "DTLS certificate: %s", openssl_reason());
		return false;
	}
	if ((size_t)snprintf(path, sizeof(path), "%s/" CERTIFICATE_FILE, dir) >= sizeof(path)) {
		snprintf(err, err_size, "%.100s...: path too long", dir);
		return false;
	}
	len = read_private_file(path, pem, sizeof(pem), err, err_size);
	if (len < 0 && len != -ENOENT)
		return false;
	if (len >= 0) {
		parsed = identity_parse(id, pem, (size_t)len);
		OPENSSL_cleanse(pem, sizeof(pem));
		if (!parsed) {
			snprintf(err, err_size,
				"%s: does not hold a P-256 key and its certificate; remove it to "
				"get "
				"a new pair",
				path);
			return false;
		}
		if (still_good(id->certificate))
			return true;
		identity_fini(id);
	}
	if (!identity_generate(id)) {
		snprintf(err, err_size, "DTLS certificate: %s", openssl_reason());
		return false;
	}
	if (identity_save(id, path, err, err_size))
		return true;
	identity_fini(id);
	return false;
}

static bool write_fingerprint(const X509 *certificate, char *text, size_t size)
{
	static const char hex[] = "0123456789ABCDEF";
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned int len = 0;
	char *at = text;

	if (!X509_digest(certificate, EVP_sha256(), digest, &len) || size < 3u * len)
		return false;
	for (unsigned int i = 0; i < len; i++) {
		*at++ = hex[digest[i] >> 4];
		*at++ = hex[digest[i] & 0xf];
		*at++ = ':';
	}
	at[-1] = '\0';
	return true;
}

/* --- what a peer must bring ------------------------------------------------------------------ */

static bool fingerprint_matches(const struct dtls_session *s, const X509 *certificate)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned int len;

	for (unsigned int i = 0; i < s->remote_count; i++) {
		const struct digest *remote = &s->remote[i];

		if (X509_digest(certificate, remote->md, digest, &len) && len == remote->len
			&& CRYPTO_memcmp(digest, remote->octets, len) == 0)
			return true;
	}
	return false;
}

static const char *key_objection(const X509 *certificate)
{
	EVP_PKEY *key = X509_get0_pubkey(certificate);

	if (key == NULL)
		return "client certificate: unreadable key";
	if (EVP_PKEY_is_a(key, "RSA")) {
		int bits = EVP_PKEY_get_bits(key);

		return bits >= MIN_RSA_BITS && bits <= MAX_RSA_BITS
			       ? NULL
			       : "client certificate: RSA key too short or too long";
	}
	return is_p256(key) ? NULL : "client certificate: neither P-256 nor RSA";
}

/* In place of chain building: the certificates are self-signed, a fingerprint vouches for them. */
static int on_certificate(X509_STORE_CTX *store, void *arg)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct dtls_session *s = SSL_get_app_data(ssl);
	const X509 *certificate = X509_STORE_CTX_get0_cert(store);

	(void)arg;
	s->reason = key_objection(certificate);
	if (s->reason == NULL) {
		s->reason = "";
		// Early, to spare the rest of a handshake that leads nowhere. The check that counts
		// is in settle().
		if (s->remote_count != 0 && !fingerprint_matches(s, certificate))
			s->reason = "fingerprint mismatch";
	}
	if (*s->reason == '\0')
		return 1;
	X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
	return 0;
}

static int on_client_hello(SSL *ssl, int *alert, void *arg)
{
	struct dtls_session *s = SSL_get_app_data(ssl);
	const unsigned char *data;
	size_t len;

	(void)arg;
	if (!SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_extended_master_secret, &data, &len))
		s->reason = "client without extended master secret";
	else if (!SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_use_srtp, &data, &len))
		s->reason = "client without use_srtp";
	else
		return SSL_CLIENT_HELLO_SUCCESS;
	*alert = SSL_AD_HANDSHAKE_FAILURE;
	return SSL_CLIENT_HELLO_ERROR;
}

static unsigned int on_timer(SSL *ssl, unsigned int timer_us)
{
	(void)ssl;
	if (timer_us == 0)
		return TIMER_FIRST_US;
	return timer_us >= TIMER_MAX_US / 2 ? TIMER_MAX_US : timer_us * 2;
}

/* --- context ------------------------------------------------------------------------------------- */

static bool configure(SSL_CTX *ctx, const struct identity *id)
{
	SSL_CTX_set_options(ctx, SSL_OP_NO_QUERY_MTU | SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION
					 | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_max_cert_list(ctx, MAX_CERTIFICATE_BYTES);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	SSL_CTX_set_cert_verify_callback(ctx, on_certificate, NULL);
	SSL_CTX_set_client_hello_cb(ctx, on_client_hello, NULL);
	// SSL_CTX_set_tlsext_use_srtp() is the one that returns 0 for success.
	return SSL_CTX_set_min_proto_version(ctx, DTLS1_2_VERSION)
	       && SSL_CTX_set_max_proto_version(ctx, DTLS1_2_VERSION)
	       && SSL_CTX_set_cipher_list(ctx, CIPHERS) && SSL_CTX_set1_groups_list(ctx, GROUPS)
	       && SSL_CTX_set_tlsext_use_srtp(ctx, SRTP_PROFILES) == 0
	       && SSL_CTX_use_certificate(ctx, id->certificate) == 1
	       && SSL_CTX_use_PrivateKey(ctx, id->key) == 1;
}

struct dtls_context *dtls_context_create(const char *dir, char *err, size_t err_size)
{
	struct identity id = {0};
	struct dtls_context *ctx = calloc(1, sizeof(*ctx));

	ERR_clear_error();
	if (ctx == NULL) {
		snprintf(err, err_size, "DTLS: out of memory");
		return NULL;
	}
	if (!identity_obtain(&id, dir, err, err_size))
		goto free_context;
	ctx->bio_method = bio_method_create();
	ctx->ssl_ctx = SSL_CTX_new(DTLS_server_method());
	if (ctx->bio_method == NULL || ctx->ssl_ctx == NULL || !configure(ctx->ssl_ctx, &id)
		|| !write_fingerprint(id.certificate, ctx->fingerprint, sizeof(ctx->fingerprint))) {
		snprintf(err, err_size, "DTLS: %s", openssl_reason());
		goto free_identity;
	}
	identity_fini(&id);
	return ctx;

free_identity:
	identity_fini(&id);
free_context:
	dtls_context_destroy(ctx);
	return NULL;
}

void dtls_context_destroy(struct dtls_context *ctx)
{
	if (ctx == NULL)
		return;
	SSL_CTX_free(ctx->ssl_ctx);
	BIO_meth_free(ctx->bio_method);
	free(ctx);
}

const char *dtls_context_fingerprint(const struct dtls_context *ctx)
{
	return ctx->fingerprint;
}

/* --- session ------------------------------------------------------------------------------------- */

struct dtls_session *dtls_session_create(struct dtls_context *ctx, dtls_send_fn send, void *arg)
{
	struct dtls_session *s = calloc(1, sizeof(*s));
	BIO *bio;

	if (s == NULL)
		return NULL;
	s->send = send;
	s->send_arg = arg;
	s->reason = "";
	s->ssl = SSL_new(ctx->ssl_ctx);
	bio = BIO_new(ctx->bio_method);
	if (s->ssl == NULL || bio == NULL) {
		SSL_free(s->ssl);
		BIO_free(bio);
		free(s);
		return NULL;
	}
	BIO_set_data(bio, s);
	SSL_set_bio(s->ssl, bio, bio); /* takes the one reference for both directions */
	SSL_set_app_data(s->ssl, s);
	SSL_set_accept_state(s->ssl);
	SSL_set_mtu(s->ssl, DTLS_MTU_BYTES);
	DTLS_set_timer_cb(s->ssl, on_timer);
	return s;
}

void dtls_session_destroy(struct dtls_session *s)
{
	if (s == NULL)
		return;
	SSL_free(s->ssl);
	OPENSSL_cleanse(s, sizeof(*s));
	free(s);
}

/* For good; what OpenSSL wanted to say, an alert, is still sent. */
static void fail(struct dtls_session *s, const char *reason)
{
	flush(s);
	SSL_free(s->ssl);
	s->ssl = NULL;
	s->reason = reason;
	s->state = DTLS_FAILED;
}

/* After OpenSSL refused to go on: a callback's reason, if it gave one, is the better text. */
static void fail_openssl(struct dtls_session *s)
{
	fail(s, *s->reason != '\0' ? s->reason : openssl_reason());
}

/* The handshake is done. Only here a session becomes connected, and only with the right certificate. */
static void settle(struct dtls_session *s)
{
	X509 *certificate;
	bool matches;

	if (SSL_get_extms_support(s->ssl) != 1) {
		fail(s, "no extended master secret");
		return;
	}
	if (SSL_get_selected_srtp_profile(s->ssl) == NULL) {
		fail(s, "no common SRTP profile");
		return;
	}
	s->state = DTLS_WAITING_FINGERPRINT;
	if (s->remote_count == 0)
		return;
	certificate = SSL_get1_peer_certificate(s->ssl);
	matches = certificate != NULL && fingerprint_matches(s, certificate);
	X509_free(certificate);
	if (matches) {
		s->state = DTLS_CONNECTED;
		return;
	}
	SSL_shutdown(s->ssl);
	fail(s, "fingerprint mismatch");
}

static void close_session(struct dtls_session *s, const char *reason)
{
	ERR_clear_error();
	SSL_shutdown(s->ssl); /* our close_notify, or the answer to theirs */
	flush(s);
	s->reason = reason;
	s->state = DTLS_CLOSED;
}

static void shake_hands(struct dtls_session *s)
{
	int result, error;

	ERR_clear_error();
	result = SSL_do_handshake(s->ssl);
	if (result == 1) {
		settle(s);
		return;
	}
	error = SSL_get_error(s->ssl, result);
	if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
		fail_openssl(s);
}

/*
 * Read what follows the handshake: alerts, and final flights that the peer sends again, which
 * OpenSSL answers from its buffer. There is no application data for us: it is dropped.
 */
static void read_on(struct dtls_session *s)
{
	uint8_t discard[DTLS_MTU_BYTES];
	int result, error;

	ERR_clear_error();
	do {
		result = SSL_read(s->ssl, discard, sizeof(discard));
	} while (result > 0);
	error = SSL_get_error(s->ssl, result);
	if (error == SSL_ERROR_ZERO_RETURN)
		close_session(s, "close_notify received");
	else if (error == SSL_ERROR_SSL && (SSL_get_shutdown(s->ssl) & SSL_RECEIVED_SHUTDOWN))
		close_session(s, "alert received");
	// Any other error is about one record. The keys are out: nothing on the wire that is not
	// authentic may end the session.
}

/* --- records before OpenSSL sees them ------------------------------------------------------ */

static size_t be(const uint8_t *p, int octets)
{
	size_t v = 0;

	for (int i = 0; i < octets; i++)
		v = v << 8 | p[i];
	return v;
}

/* Handshake messages in a plain record (RFC 6347, 4.2.2). */
static bool messages_well_formed(const uint8_t *at, size_t left)
{
	while (left > 0) {
		size_t message_len, offset, len;

		if (left < 12)
			return false;
		message_len = be(at + 1, 3);
		offset = be(at + 6, 3);
		len = be(at + 9, 3);
		if (message_len > MAX_MESSAGE_BYTES || offset > message_len
			|| len > message_len - offset || len > left - 12)
			return false;
		// An empty piece of a message that is not empty moves nothing.
		if (len == 0 && message_len != 0)
			return false;
		at += 12 + len;
		left -= 12 + len;
	}
	return true;
}

/* Records that fill the datagram exactly (RFC 6347, 4.1). */
static bool records_well_formed(const uint8_t *at, size_t left)
{
	if (left == 0)
		return false;
	while (left > 0) {
		size_t len;

		if (left < 13 || at[0] < 20 || at[0] > 23 || at[1] != 0xfe)
			return false;
		len = be(at + 11, 2);
		if (len > left - 13)
			return false;
		if (at[0] == 22 && be(at + 3, 2) == 0 && !messages_well_formed(at + 13, len))
			return false;
		at += 13 + len;
		left -= 13 + len;
	}
	return true;
}

static bool out_of_time(const struct dtls_session *s, uint64_t now_us)
{
	return s->started && now_us >= s->deadline_us
	       && (s->state == DTLS_HANDSHAKING || s->state == DTLS_WAITING_FINGERPRINT);
}

enum dtls_state dtls_session_feed(
	struct dtls_session *s, const uint8_t *datagram, size_t len, uint64_t now_us)
{
	if (s->state == DTLS_FAILED || s->state == DTLS_CLOSED)
		return s->state;
	if (out_of_time(s, now_us)) {
		fail(s, "handshake timed out");
		return s->state;
	}
	if (!records_well_formed(datagram, len))
		return s->state;
	if (!s->started) {
		s->started = true;
		s->deadline_us = now_us + DTLS_HANDSHAKE_MAX_US;
	}
	s->in = datagram;
	s->in_len = len;
	if (s->state == DTLS_HANDSHAKING) {
		s->handshake_bytes += len;
		if (s->handshake_bytes > DTLS_HANDSHAKE_MAX_BYTES)
			fail(s, "handshake too long");
		else
			shake_hands(s);
	}
	if (s->state == DTLS_CONNECTED || s->state == DTLS_WAITING_FINGERPRINT)
		read_on(s);
	s->in = NULL;
	flush(s);
	return s->state;
}

uint64_t dtls_session_next_timeout_us(const struct dtls_session *s, uint64_t now_us)
{
	uint64_t due = s->deadline_us, retransmit;
	struct timeval left;

	if (!s->started || (s->state != DTLS_HANDSHAKING && s->state != DTLS_WAITING_FINGERPRINT))
		return UINT64_MAX;
	if (s->state == DTLS_HANDSHAKING && DTLSv1_get_timeout(s->ssl, &left) == 1) {
		retransmit = now_us + (uint64_t)left.tv_sec * 1000000u + (uint64_t)left.tv_usec;
		if (retransmit < due)
			due = retransmit;
	}
	return due;
}

enum dtls_state dtls_session_on_timeout(struct dtls_session *s, uint64_t now_us)
{
	if (out_of_time(s, now_us)) {
		fail(s, "handshake timed out");
	} else if (s->state == DTLS_HANDSHAKING && s->started) {
		ERR_clear_error();
		if (DTLSv1_handle_timeout(s->ssl) < 0)
			fail_openssl(s);
		flush(s);
	}
	return s->state;
}

enum dtls_state dtls_session_state(const struct dtls_session *s)
{
	return s->state;
}

const char *dtls_session_reason(const struct dtls_session *s)
{
	return s->reason;
}

void dtls_session_close(struct dtls_session *s)
{
	if (s->state == DTLS_CONNECTED || s->state == DTLS_WAITING_FINGERPRINT)
		close_session(s, "closed by us");
}

/* --- fingerprints and keys ----------------------------------------------------------------- */

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* "AA:BB:..." of exactly as many octets as the hash has. */
static bool parse_fingerprint(const char *text, const EVP_MD *md, struct digest *out)
{
	unsigned int len = (unsigned int)EVP_MD_get_size(md);

	out->md = md;
	out->len = len;
	if (strlen(text) != 3 * (size_t)len - 1)
		return false;
	for (unsigned int i = 0; i < len; i++, text += 3) {
		int high = hex_value(text[0]), low = hex_value(text[1]);

		if (high < 0 || low < 0 || text[2] != (i + 1 < len ? ':' : '\0'))
			return false;
		out->octets[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static const EVP_MD *hash_by_name(const char *name)
{
	if (strcasecmp(name, "sha-256") == 0)
		return EVP_sha256();
	if (strcasecmp(name, "sha-384") == 0)
		return EVP_sha384();
	if (strcasecmp(name, "sha-512") == 0)
		return EVP_sha512();
	return NULL;
}

int dtls_session_set_remote(struct dtls_session *s, const char *role,
	const struct dtls_fingerprint *fingerprints, size_t count)
{
	struct digest remote[DTLS_MAX_FINGERPRINTS];
	unsigned int known = 0;

	if (s->remote_count != 0)
		return -EALREADY;
	if (role != NULL && strcmp(role, "client") != 0 && strcmp(role, "auto") != 0)
		return -EINVAL;
	for (size_t i = 0; i < count && known < DTLS_MAX_FINGERPRINTS; i++) {
		const EVP_MD *md = hash_by_name(fingerprints[i].algorithm);

		if (md == NULL)
			continue;
		if (!parse_fingerprint(fingerprints[i].value, md, &remote[known]))
			return -EINVAL;
		known++;
	}
	if (known == 0)
		return -ENOENT;
	memcpy(s->remote, remote, known * sizeof(remote[0]));
	s->remote_count = known;
	if (s->state == DTLS_WAITING_FINGERPRINT)
		settle(s);
	return 0;
}

/* Which lengths a profile has (RFC 5764, 4.1.2; RFC 7714, 14.2). */
static bool profile_lengths(unsigned long id, struct dtls_srtp_keys *keys)
{
	keys->profile = (uint16_t)id;
	switch (id) {
	case SFU_SRTP_AES128_CM_SHA1_80:
		keys->key_bytes = 16;
		keys->salt_bytes = 14;
		return true;
	case SFU_SRTP_AEAD_AES_128_GCM:
		keys->key_bytes = 16;
		keys->salt_bytes = 12;
		return true;
	case SFU_SRTP_AEAD_AES_256_GCM:
		keys->key_bytes = 32;
		keys->salt_bytes = 12;
		return true;
	default:
		return false;
	}
}

/* Whoever has the master secret can export again. Only a handshake needs it, and there is no other. */
static void forget_master(struct dtls_session *s)
{
	static const unsigned char nothing[SSL_MAX_MASTER_KEY_LENGTH];

	s->exported = true;
	SSL_SESSION_set1_master_key(SSL_get_session(s->ssl), nothing, sizeof(nothing));
}

int dtls_session_export(struct dtls_session *s, struct dtls_srtp_keys *keys)
{
	const SRTP_PROTECTION_PROFILE *profile;
	uint8_t material[2 * (32 + 14)];
	const uint8_t *at = material;
	size_t len;
	int status = -EIO;

	memset(keys, 0, sizeof(*keys));
	if (s->state != DTLS_CONNECTED)
		return -EAGAIN;
	if (s->exported)
		return -EALREADY;
	profile = SSL_get_selected_srtp_profile(s->ssl);
	if (profile == NULL || !profile_lengths(profile->id, keys))
		return -EIO;
	len = 2u * (keys->key_bytes + keys->salt_bytes);
	ERR_clear_error();
	if (SSL_export_keying_material(
		    s->ssl, material, len, EXPORTER_LABEL, strlen(EXPORTER_LABEL), NULL, 0, 0)
		== 1) {
		// RFC 5764, 4.2: both keys, then both salts, the client's first.
		memcpy(keys->client_key, at, keys->key_bytes);
		at += keys->key_bytes;
		memcpy(keys->server_key, at, keys->key_bytes);
		at += keys->key_bytes;
		memcpy(keys->client_salt, at, keys->salt_bytes);
		at += keys->salt_bytes;
		memcpy(keys->server_salt, at, keys->salt_bytes);
		status = 0;
		forget_master(s);
	}
	OPENSSL_cleanse(material, sizeof(material));
	return status;
}

void dtls_keys_wipe(struct dtls_srtp_keys *keys)
{
	OPENSSL_cleanse(keys, sizeof(*keys));
}
