// SPDX-License-Identifier: BSD-3-Clause
/**
 * What a core needs from the world outside (struct core_io), for tests: a clock that stands unless it is
 * told to go on, dice and random numbers from one seed. Who sends, closes and authenticates is the test's.
 */
#pragma once

#include <stdint.h>

#include "sfu-ctl/core.h"

typedef void outside_send(void *ctx, void *conn, const char *text, size_t len);
typedef void outside_close(void *ctx, void *conn, uint16_t code, const char *reason);
typedef int outside_auth(
	void *ctx, uint64_t session_id, uint64_t request_id, const char *token, size_t len);

/** First member of what the test has around it: that is the ctx of its own functions. */
struct outside {
	struct core *core;
	uint64_t seed;
	uint64_t now_us;
	uint64_t wake_us; /* core_tick() is wanted then; 0 = not at all */
	uint64_t wall_us; /* Unix time when now_us was 0 */
	outside_send *send;
};

/** 0 … sides - 1. */
uint32_t outside_roll(struct outside *out, uint32_t sides);

/** For tests in which no connection may be closed: says which code and reason, and ends the program. */
void outside_no_close(void *ctx, void *conn, uint16_t code, const char *reason);

/** What is sent to several connections goes to each. Nothing is remembered. */
struct core_io outside_io(
	struct outside *out, outside_send *send, outside_close *close, outside_auth *auth);

/** Time passes, with core_tick() where it is wanted. */
void outside_pass(struct outside *out, uint64_t us);
