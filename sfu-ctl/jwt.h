// SPDX-License-Identifier: BSD-3-Clause
/**
 * JSON Web Tokens (RFC 7515, 7519), verified against keys that the caller holds: ES256, RS256, and HS256
 * with a shared secret. Pure: the wall clock is an argument; no sockets, no log.
 *
 * The key decides the algorithm (RFC 8725, 3.1): a token whose "alg" is not that of the key named by its
 * "kid" is refused. Keys and addresses that a token brings along (jwk, jku, x5u, x5c) are not looked at; one
 * with "crit" is refused (threats: C2). One token has one spelling: base64url without padding, without
 * spare bits, without white space.
 */
#pragma once

#include <openssl/types.h>
#include <stddef.h>
#include <stdint.h>

#define JWT_MAX_BYTES 16384u
#define JWT_HEADER_MAX_BYTES 1024u /* decoded */
#define JWT_KID_BYTES 128u
#define JWT_SUBJECT_BYTES 128u
#define JWT_MAX_KEYS 16u
/** How far clocks may be apart. */
#define JWT_LEEWAY_SEC 60

enum jwt_alg { JWT_ALG_NONE, JWT_ES256, JWT_RS256, JWT_HS256 };

/** A public key. */
struct jwt_key {
	char kid[JWT_KID_BYTES + 1];
	enum jwt_alg alg; /* JWT_ES256 or JWT_RS256 */
	EVP_PKEY *pkey; /* of that kind and size; whoever filled this in frees it */
};

/** No two keys have the same kid. */
struct jwt_keys {
	struct jwt_key key[JWT_MAX_KEYS];
	size_t count;
};

/** What a token must say. "" = not checked. */
struct jwt_expect {
	const struct jwt_keys *keys; /* NULL: none */
	const void *secret; /* of HS256 */
	size_t secret_len; /* 0: HS256 is refused */
	const char *audience; /* "aud" is it, or has it in its list */
	const char *issuer; /* "iss" is it */
	int64_t now_sec; /* wall clock, Unix time */
};

#define JWT_STATUS_LIST(X)                                                                         \
	X(OK, "valid")                                                                             \
	X(NOT_JWT, "not three parts of base64url")                                                 \
	X(MALFORMED, "header or payload is malformed")                                             \
	X(ALG, "algorithm not supported")                                                          \
	X(ALG_OF_KEY, "algorithm is not that of the key")                                          \
	X(CRIT, "extension that must be understood")                                               \
	X(NO_KEY, "key not known")                                                                 \
	X(SIGNATURE, "signature does not match")                                                   \
	X(EXPIRED, "expired")                                                                      \
	X(TOO_EARLY, "not valid yet")                                                              \
	X(AUDIENCE, "for another audience")                                                        \
	X(ISSUER, "by another issuer")                                                             \
	X(SUBJECT, "no usable subject")

enum jwt_status {
#define X(name, text) JWT_##name,
	JWT_STATUS_LIST(X)
#undef X
		JWT_STATUS_COUNT
};

struct jwt_result {
	enum jwt_alg alg; /* as the token says; JWT_ALG_NONE: one we do not have */
	char kid[JWT_KID_BYTES + 1]; /* as the token says; "" = none */
	char subject[JWT_SUBJECT_BYTES
		     + 1]; /* with JWT_OK: 1 octet or more, no control characters */
	int64_t expires_sec; /* with JWT_OK: Unix time, without leeway */
};

/**
 * Verify a token.
 * @param token  need not be NUL terminated; not modified, not kept
 * @param out    alg and kid are set unless the status is JWT_NOT_JWT or JWT_MALFORMED
 * @return JWT_OK, or the first reason against it: form, header, key, signature, and only with a good
 *         signature the payload
 * Any thread, each with an expectation of its own.
 */
enum jwt_status jwt_verify(
	const char *token, size_t len, const struct jwt_expect *expect, struct jwt_result *out);

/**
 * What a token says about its end, without a look at its signature: only for tokens that somebody else
 * found good. Unix time; 0: it does not say.
 */
int64_t jwt_expiry(const char *token, size_t len);

/** A few words. Static storage. */
const char *jwt_status_text(enum jwt_status status);

/**
 * Decode base64url (RFC 4648, 5), strictly: no padding, no other characters, spare bits zero.
 * @return octets written, or -1: malformed or larger than size
 */
long jwt_base64url(const char *text, size_t len, uint8_t *out, size_t size);
