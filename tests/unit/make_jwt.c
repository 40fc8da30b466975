// SPDX-License-Identifier: BSD-3-Clause
#include "tests/unit/make_jwt.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rsa.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void expect(int ok)
{
	if (!ok)
		abort();
}

__attribute__((format(printf, 1, 2))) static char *text(const char *format, ...)
{
	char *out = NULL;
	va_list args;

	va_start(args, format);
	expect(vasprintf(&out, format, args) >= 0);
	va_end(args);
	return out;
}

char *make_base64url(const void *bytes, size_t len)
{
	char *out = malloc(len / 3 * 4 + 8);
	int n;

	expect(out != NULL);
	n = EVP_EncodeBlock((unsigned char *)out, bytes, (int)len);
	while (n > 0 && out[n - 1] == '=')
		n--;
	out[n] = '\0';
	for (int i = 0; i < n; i++)
		out[i] = out[i] == '+' ? '-' : out[i] == '/' ? '_' : out[i];
	return out;
}

EVP_PKEY *make_ec_key(const char *curve)
{
	EVP_PKEY *key = EVP_EC_gen(curve);

	expect(key != NULL);
	return key;
}

EVP_PKEY *make_rsa_key(unsigned bits)
{
	EVP_PKEY *key = EVP_RSA_gen(bits);

	expect(key != NULL);
	return key;
}

/** base64url of a number, left padded with zeros to size; 0: as short as it is. */
static char *number(EVP_PKEY *key, const char *name, int size)
{
	unsigned char bytes[2048];
	BIGNUM *n = NULL;
	char *out;

	expect(EVP_PKEY_get_bn_param(key, name, &n));
	if (size == 0)
		size = BN_num_bytes(n);
	expect(BN_bn2binpad(n, bytes, size) == size);
	out = make_base64url(bytes, (size_t)size);
	BN_free(n);
	return out;
}

char *make_jwk(EVP_PKEY *key, const char *kid, const char *extra)
{
	char *a, *b, *out;

	if (EVP_PKEY_is_a(key, "RSA")) {
		a = number(key, OSSL_PKEY_PARAM_RSA_N, 0);
		b = number(key, OSSL_PKEY_PARAM_RSA_E, 0);
		out = text("{\"kty\":\"RSA\",\"kid\":\"%s\",\"n\":\"%s\",\"e\":\"%s\"%s}", kid, a,
			b, extra);
	} else {
		int bits = EVP_PKEY_get_bits(key);

		a = number(key, OSSL_PKEY_PARAM_EC_PUB_X, (bits + 7) / 8);
		b = number(key, OSSL_PKEY_PARAM_EC_PUB_Y, (bits + 7) / 8);
		out = text(
			"{\"kty\":\"EC\",\"crv\":\"P-%d\",\"kid\":\"%s\",\"x\":\"%s\",\"y\":\"%s\"%"
			"s}",
			bits, kid, a, b, extra);
	}
	free(a);
	free(b);
	return out;
}

char *make_input(const char *header, const char *payload)
{
	char *a = make_base64url(header, strlen(header));
	char *b = make_base64url(payload, strlen(payload));
	char *out = text("%s.%s", a, b);

	free(a);
	free(b);
	return out;
}

static char *append(char *input, const unsigned char *signature, size_t len)
{
	char *encoded = make_base64url(signature, len);
	char *out = text("%s.%s", input, encoded);

	free(encoded);
	free(input);
	return out;
}

char *make_signed(char *input, EVP_PKEY *key)
{
	unsigned char signature[2048];
	size_t len = sizeof(signature);
	EVP_MD_CTX *md = EVP_MD_CTX_new();

	expect(md != NULL && EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, key) == 1);
	expect(EVP_DigestSign(md, signature, &len, (const unsigned char *)input, strlen(input))
		== 1);
	EVP_MD_CTX_free(md);
	if (EVP_PKEY_is_a(key, "EC")) {
		const unsigned char *p = signature;
		ECDSA_SIG *rs = d2i_ECDSA_SIG(NULL, &p, (long)len);
		int half = (EVP_PKEY_get_bits(key) + 7) / 8;

		expect(rs != NULL);
		expect(BN_bn2binpad(ECDSA_SIG_get0_r(rs), signature, half) == half);
		expect(BN_bn2binpad(ECDSA_SIG_get0_s(rs), signature + half, half) == half);
		ECDSA_SIG_free(rs);
		len = 2 * (size_t)half;
	}
	return append(input, signature, len);
}

char *make_mac(char *input, const void *secret, size_t len)
{
	unsigned char mac[EVP_MAX_MD_SIZE];
	unsigned mac_len = 0;

	expect(HMAC(EVP_sha256(), secret, (int)len, (const unsigned char *)input, strlen(input),
		       mac, &mac_len)
		!= NULL);
	return append(input, mac, mac_len);
}

char *make_token(EVP_PKEY *key, const char *kid, const char *payload)
{
	char *header = text("{\"alg\":\"%s\",\"typ\":\"JWT\",\"kid\":\"%s\"}",
		EVP_PKEY_is_a(key, "RSA") ? "RS256" : "ES256", kid);
	char *token = make_signed(make_input(header, payload), key);

	free(header);
	return token;
}
