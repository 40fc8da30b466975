// SPDX-License-Identifier: BSD-3-Clause
/** Keys and tokens for tests. Everything returned is the caller's; failures abort. */
#pragma once

#include <openssl/types.h>
#include <stddef.h>
#include <stdint.h>

/** base64url without padding; NUL terminated, malloc()ed. */
char *make_base64url(const void *bytes, size_t len);

EVP_PKEY *make_ec_key(const char *curve);
EVP_PKEY *make_rsa_key(unsigned bits);

/** The public key as a JWK; extra is put before the last brace, like ",\"use\":\"sig\"". */
char *make_jwk(EVP_PKEY *key, const char *kid, const char *extra);

/** "header.payload" of two JSON texts. */
char *make_input(const char *header, const char *payload);
/** Append "." and the signature of an EC or RSA key with SHA-256, ECDSA in r|s form. Frees input. */
char *make_signed(char *input, EVP_PKEY *key);
/** The same with HMAC-SHA-256. */
char *make_mac(char *input, const void *secret, size_t len);

/** A token with alg by the kind of key and the given kid, and this payload. */
char *make_token(EVP_PKEY *key, const char *kid, const char *payload);
