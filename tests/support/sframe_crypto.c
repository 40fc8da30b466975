// SPDX-License-Identifier: BSD-3-Clause
#include "tests/support/sframe_crypto.h"

#include "sfu-dp/proto/sframe.h"

#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <stdlib.h>
#include <string.h>

#define SUITE 0x0004
#define KEY_LEN 16
#define NONCE_LEN 12

struct sframe_crypto {
	uint64_t kid;
	uint8_t salt[NONCE_LEN];
	EVP_CIPHER_CTX *enc;
	EVP_CIPHER_CTX *dec;
};

static int hkdf(const uint8_t *base_key, size_t len, const char *label, uint64_t kid, uint8_t *out,
	size_t out_len)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	size_t label_len = strlen(label);
	OSSL_PARAM params[4];
	uint8_t info[64];
	int ok;

	memcpy(info, label, label_len);
	for (int i = 0; i < 8; i++)
		info[label_len++] = (uint8_t)(kid >> (56 - 8 * i));
	info[label_len++] = SUITE >> 8;
	info[label_len++] = SUITE & 0xff;
	params[0] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0);
	params[1] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)base_key, len);
	params[2] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, label_len);
	params[3] = OSSL_PARAM_construct_end();
	ok = ctx && EVP_KDF_derive(ctx, out, out_len, params) == 1;
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	return ok;
}

struct sframe_crypto *sframe_crypto_create(const uint8_t *base_key, size_t len, uint64_t kid)
{
	struct sframe_crypto *c = calloc(1, sizeof(*c));
	uint8_t key[KEY_LEN];
	int ok;

	if (!c)
		return NULL;
	c->kid = kid;
	c->enc = EVP_CIPHER_CTX_new();
	c->dec = EVP_CIPHER_CTX_new();
	ok = c->enc && c->dec
	     && hkdf(base_key, len, "SFrame 1.0 Secret key ", kid, key, sizeof(key))
	     && hkdf(base_key, len, "SFrame 1.0 Secret salt ", kid, c->salt, sizeof(c->salt))
	     && EVP_EncryptInit_ex(c->enc, EVP_aes_128_gcm(), NULL, key, NULL) == 1
	     && EVP_DecryptInit_ex(c->dec, EVP_aes_128_gcm(), NULL, key, NULL) == 1;
	OPENSSL_cleanse(key, sizeof(key));
	if (!ok) {
		sframe_crypto_destroy(c);
		return NULL;
	}
	return c;
}

void sframe_crypto_destroy(struct sframe_crypto *crypto)
{
	if (!crypto)
		return;
	EVP_CIPHER_CTX_free(crypto->enc);
	EVP_CIPHER_CTX_free(crypto->dec);
	OPENSSL_cleanse(crypto, sizeof(*crypto));
	free(crypto);
}

uint64_t sframe_crypto_kid(const struct sframe_crypto *crypto)
{
	return crypto->kid;
}

static void nonce(const struct sframe_crypto *crypto, uint64_t ctr, uint8_t out[NONCE_LEN])
{
	memcpy(out, crypto->salt, NONCE_LEN);
	for (int i = 0; i < 8; i++)
		out[NONCE_LEN - 1 - i] ^= (uint8_t)(ctr >> 8 * i);
}

int sframe_encrypt(struct sframe_crypto *crypto, uint64_t ctr, const uint8_t *metadata,
	size_t metadata_len, const uint8_t *frame, size_t len, uint8_t *out, size_t cap)
{
	int hdr_len = sframe_encode(out, cap, crypto->kid, ctr);
	uint8_t iv[NONCE_LEN];
	uint8_t *ct;
	int n;

	if (hdr_len < 0 || len > INT_MAX / 2 || metadata_len > INT_MAX
		|| cap - (size_t)hdr_len < len + SFRAME_TAG_LEN)
		return -1;
	ct = out + hdr_len;
	nonce(crypto, ctr, iv);
	if (EVP_EncryptInit_ex(crypto->enc, NULL, NULL, NULL, iv) != 1
		|| EVP_EncryptUpdate(crypto->enc, NULL, &n, out, hdr_len) != 1
		|| (metadata_len
			&& EVP_EncryptUpdate(crypto->enc, NULL, &n, metadata, (int)metadata_len)
				   != 1)
		|| (len && EVP_EncryptUpdate(crypto->enc, ct, &n, frame, (int)len) != 1)
		|| EVP_EncryptFinal_ex(crypto->enc, ct + len, &n) != 1
		|| EVP_CIPHER_CTX_ctrl(crypto->enc, EVP_CTRL_AEAD_GET_TAG, SFRAME_TAG_LEN, ct + len)
			   != 1)
		return -1;
	return hdr_len + (int)len + SFRAME_TAG_LEN;
}

int sframe_decrypt(struct sframe_crypto *crypto, const uint8_t *metadata, size_t metadata_len,
	const uint8_t *in, size_t len, uint8_t *out, size_t cap, uint64_t *ctr)
{
	struct sframe_header h;
	uint8_t tag[SFRAME_TAG_LEN];
	uint8_t iv[NONCE_LEN];
	size_t ct_len;
	int n;

	if (sframe_parse(in, len, &h) != SFRAME_OK || h.kid != crypto->kid || len > INT_MAX / 2
		|| len < (size_t)h.len + SFRAME_TAG_LEN || metadata_len > INT_MAX)
		return -1;
	ct_len = len - h.len - SFRAME_TAG_LEN;
	if (cap < ct_len)
		return -1;
	memcpy(tag, in + len - SFRAME_TAG_LEN, SFRAME_TAG_LEN);
	nonce(crypto, h.ctr, iv);
	if (EVP_DecryptInit_ex(crypto->dec, NULL, NULL, NULL, iv) != 1
		|| EVP_CIPHER_CTX_ctrl(crypto->dec, EVP_CTRL_AEAD_SET_TAG, SFRAME_TAG_LEN, tag) != 1
		|| EVP_DecryptUpdate(crypto->dec, NULL, &n, in, h.len) != 1
		|| (metadata_len
			&& EVP_DecryptUpdate(crypto->dec, NULL, &n, metadata, (int)metadata_len)
				   != 1)
		|| (ct_len && EVP_DecryptUpdate(crypto->dec, out, &n, in + h.len, (int)ct_len) != 1)
		|| EVP_DecryptFinal_ex(crypto->dec, iv, &n) != 1)
		return -1;
	if (ctr)
		*ctr = h.ctr;
	return (int)ct_len;
}
