// SPDX-License-Identifier: BSD-3-Clause
/**
 * Token -> user (protocol.md A10, C20): development mode, verification here with the auth server's public
 * keys (jwt.h, jwks.h), or the auth server asked about each token. Event loop's thread only.
 *
 * Keys are fetched at the start and every ten minutes, and stay good for 24 h when the server is dead. An
 * unknown key name leads to one fetch in 30 s; tokens wait for it, at most 3 s.
 *
 * A token that the server accepted is remembered for 15 s. Several checks of one token share one
 * question. The server has 5 s; what it says is read up to 64 KiB; redirects are not followed. Tokens
 * are not kept beyond their question and never logged.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "sfu-ctl/core.h"
#include "sfu-ctl/jwks.h"
#include "sfu-ctl/jwt.h"

struct auth;
struct config;

/** SFU_AUTH */
enum auth_mode {
	AUTH_LOOKUP, /* ask about each token */
	AUTH_JWKS, /* verify here only */
	AUTH_BOTH, /* verify here; ask when the key or the algorithm is not known here */
};

/**
 * @param user         NUL terminated with AUTH_ACCEPTED, else NULL
 * @param expires_sec  with AUTH_ACCEPTED: when the token ends, Unix time; 0 = it does not say
 */
typedef void (*auth_done_fn)(void *ctx, uint64_t session_id, uint64_t request_id,
	enum auth_verdict verdict, const char *user, int64_t expires_sec);

/**
 * @param config  read now, not kept
 * @param done    called exactly once for each check, never from inside auth_check()
 * @return NULL when out of memory
 */
struct auth *auth_create(
	uv_loop_t *loop, const struct config *config, auth_done_fn done, void *ctx);

/**
 * @param token  NULL: there was none. Not kept after the return.
 * @return 0; -ENOMEM: done will not be called
 */
int auth_check(
	struct auth *auth, uint64_t session_id, uint64_t request_id, const char *token, size_t len);

/** Drops what is outstanding without an answer. Memory goes when the loop has run. NULL is fine. */
void auth_destroy(struct auth *auth);

/** For tests and metrics. */
struct auth_figures {
	uint64_t checks, cache_hits, lookups, joined; /* joined: waited for another's question */
	uint64_t accepted, refused, unavailable;
	uint32_t lookups_now;
	uint64_t jwt
		[JWT_STATUS_COUNT]; /* outcomes of verification here; a wait for keys is one more */
	struct jwks_figures keys;
};
void auth_figures(const struct auth *auth, struct auth_figures *out);
