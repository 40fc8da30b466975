// SPDX-License-Identifier: BSD-3-Clause
/**
 * Tokens that the auth server accepted lately (protocol.md A10). Holds SHA-256 hashes of tokens, never
 * tokens. Pure: time is an argument.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define AUTH_KEY_BYTES 32u
#define AUTH_CACHE_LIFE_US 15000000u
/** With more entries than this, the oldest AUTH_CACHE_DROP go. */
#define AUTH_CACHE_MAX 2000u
#define AUTH_CACHE_DROP 500u
/** Longest user id, without NUL. */
#define AUTH_USER_BYTES 128u

struct auth_cache;

struct auth_cache *auth_cache_create(void);
void auth_cache_destroy(struct auth_cache *cache);

/** SHA-256 of a token. 0 or -EIO. */
int auth_cache_key(const void *token, size_t len, uint8_t key[AUTH_KEY_BYTES]);

/** The user of an entry that has not expired at now_us; valid until the next call. Or NULL. */
const char *auth_cache_find(
	const struct auth_cache *cache, const uint8_t key[AUTH_KEY_BYTES], uint64_t now_us);

/**
 * Add or renew an entry. It lives AUTH_CACHE_LIFE_US from started_us, the start of its check.
 * @param user  at most AUTH_USER_BYTES long
 * @return 0, -EINVAL (user too long) or -ENOMEM
 */
int auth_cache_add(struct auth_cache *cache, const uint8_t key[AUTH_KEY_BYTES], const char *user,
	uint64_t started_us);

/** Remove what has expired. @return when the next entry expires, UINT64_MAX: never */
uint64_t auth_cache_expire(struct auth_cache *cache, uint64_t now_us);

/** Entries now held, expired ones that were not removed included. */
size_t auth_cache_count(const struct auth_cache *cache);
