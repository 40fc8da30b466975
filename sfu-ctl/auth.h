// SPDX-License-Identifier: BSD-3-Clause
/**
 * Token -> user (protocol.md A10, C20): development mode, or the auth server asked through libcurl on
 * the event loop. Event loop's thread only.
 *
 * An accepted token is remembered for 15 s. Several checks of one token share one question. The
 * server has 5 s; what it says is read up to 64 KiB; redirects are not followed. Tokens are not
 * kept beyond their question and never logged.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "sfu-ctl/core.h"

struct auth;
struct config;

/** @param user  NUL terminated with AUTH_ACCEPTED, else NULL */
typedef void (*auth_done_fn)(void *ctx, uint64_t session_id, uint64_t request_id,
	enum auth_verdict verdict, const char *user);

/**
 * @param config  read now, not kept
 * @param done    called exactly once for each check, never from inside auth_check()
 * @return NULL when out of memory
 */
struct auth *auth_create(
	uv_loop_t *loop, const struct config *config, auth_done_fn done, void *ctx);

/** @param token  NULL: there was none. Not kept after the return. */
void auth_check(
	struct auth *auth, uint64_t session_id, uint64_t request_id, const char *token, size_t len);

/** Drops what is outstanding without an answer. Memory goes when the loop has run. NULL is fine. */
void auth_destroy(struct auth *auth);

/** For tests and metrics. */
struct auth_figures {
	uint64_t checks, cache_hits, lookups, joined; /* joined: waited for another's question */
	uint64_t accepted, refused, unavailable;
	uint32_t lookups_now;
};
void auth_figures(const struct auth *auth, struct auth_figures *out);
