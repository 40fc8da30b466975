// SPDX-License-Identifier: BSD-3-Clause
/**
 * The public keys of the auth server (JSON Web Key Set, RFC 7517), and when to fetch them again. Pure: who
 * fetches is auth.c; bodies and the monotonic clock come in as arguments.
 *
 * The last good set is used for up to 24 h while the server cannot be asked. A token that names a key
 * which is not in it causes one fetch in 30 s at most; names that a fresh set did not have are remembered
 * for as long.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sfu-ctl/jwt.h"

#define JWKS_BODY_MAX_BYTES 65536u
#define JWKS_REFRESH_US UINT64_C(600000000)
#define JWKS_LIFE_US UINT64_C(86400000000)
/** After a failed fetch: this long, then twice as long, up to a tenth of the refresh. */
#define JWKS_RETRY_US UINT64_C(5000000)
#define JWKS_RETRY_MAX_US UINT64_C(60000000)
/** Between fetches that unknown key names cause; also how long an absent one is remembered. */
#define JWKS_ASK_US UINT64_C(30000000)
#define JWKS_ABSENT_MAX 64u

/**
 * Read a key set. Keys that we cannot use are left out: other kinds and curves, RSA below 2048 or above
 * 8192 bits, not for signatures, without a kid, private ones, second ones of a kid, the 17th.
 * @param out  freed with jwks_keys_fini(); empty on failure
 * @return 0, or -EINVAL: not a key set; -ENOMEM
 */
int jwks_parse(const char *text, size_t len, struct jwt_keys *out);
void jwks_keys_fini(struct jwt_keys *keys);

struct jwks;

/** The first fetch is due at once. NULL when out of memory. */
struct jwks *jwks_create(uint64_t now_us);
void jwks_destroy(struct jwks *jwks);

/** The keys to verify with now, maybe none; valid until the next call with this jwks. */
const struct jwt_keys *jwks_keys(struct jwks *jwks, uint64_t now_us);

/** A fetch starts. Ended by jwks_fetched() or jwks_failed(). */
void jwks_started(struct jwks *jwks, uint64_t now_us);
/** Its answer. As jwks_parse(); a body that is no key set counts as jwks_failed(). */
int jwks_fetched(struct jwks *jwks, const char *text, size_t len, uint64_t now_us);
void jwks_failed(struct jwks *jwks, uint64_t now_us);

/** When the next fetch is due. */
uint64_t jwks_due_us(const struct jwks *jwks);

enum jwks_verdict {
	JWKS_ABSENT, /* a set not older than 30 s has no such key */
	JWKS_FETCH, /* fetch now, and look again afterwards */
	JWKS_FETCHING, /* look again when the fetch that is under way has ended */
	JWKS_UNKNOWN, /* cannot be said now: the server did not answer, or was asked just now */
};

/** What to do about a token whose key is not in jwks_keys(). */
enum jwks_verdict jwks_unknown(struct jwks *jwks, const char *kid, uint64_t now_us);
/** A fetch that this kid had waited for has ended well, and did not bring it. */
void jwks_absent(struct jwks *jwks, const char *kid, uint64_t now_us);

struct jwks_figures {
	uint64_t fetches, failures;
	uint64_t fetched_us; /* last good one; 0 = never */
	size_t keys;
};
void jwks_figures(const struct jwks *jwks, struct jwks_figures *out);
