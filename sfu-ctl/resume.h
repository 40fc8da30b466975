// SPDX-License-Identifier: BSD-3-Clause
/**
 * A lost connection that comes back (protocol.md B9), for clients that announce it. Without a close
 * frame their session is parked: it stays in its room, reads nothing and sends nothing. HELLO with
 * its resumeToken claims it, AUTH of the same user moves what it had to the new connection.
 *
 *   connected ── lost ──► parked ── SFU_RESUME_SEC ──► destroyed, PEER_LEFT
 *       │                    │
 *       └─ HELLO with token: claimed (a connected one is closed, 4009) ── AUTH ──► moved
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct core;
struct json_object;
struct session;

/** HELLO gave this token; it is remembered if the connection asked for that. */
void resume_issue(struct session *s, const char *token);

/** HELLO with a token: is there something to come back to? The token is used up then. */
bool resume_claim(struct session *s, const struct json_object *hello);

/** AUTH was accepted: take over what was claimed. False when there is nothing (any more). */
bool resume_move(struct session *s);

/** The socket of s is gone. True: s is parked; else it is to be destroyed. */
bool resume_park(struct session *s, bool clean);

/**
 * s was there before a restart: it is parked, with the token it had ("" = none). Also without one
 * and with resume switched off: its media goes on, and its device may join again.
 */
void resume_restore(struct session *s, const char *token_hash);

/** s is being destroyed. */
void resume_forget(struct session *s);

/** The process stood still: who was parked has the whole time again, since nobody could come back. */
void resume_stood_still(struct core *c);

/** Destroy what was parked long enough. Returns the next deadline or 0. */
uint64_t resume_expire(struct core *c, uint64_t now_us);
