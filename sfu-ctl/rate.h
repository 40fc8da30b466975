// SPDX-License-Identifier: BSD-3-Clause
/**
 * How much one connection may ask for (protocol.md B10): a token bucket per kind of request. Pure.
 * Over the limit requests are refused; at five times the limit the connection is to be closed.
 */
#pragma once

#include <stdint.h>

/** The gateway's kinds: name, requests, seconds. 0 requests: see rate_take(). */
#define RATE_LIST(X)                                                                               \
	X(ALL, 60, 10) /* every frame */                                                           \
	X(HELLO, 2, 30)                                                                            \
	X(AUTH, 3, 60)                                                                             \
	X(ROOM_CREATE, 3, 60)                                                                      \
	X(ROOM_JOIN, 5, 60)                                                                        \
	X(KEY, 0, 60)                                                                              \
	X(REKEY, 3, 60)                                                                            \
	X(CAPS, 2, 60)                                                                             \
	X(CALL_INVITE, 10, 60)                                                                     \
	X(CALL, 20, 60) /* the other call.*, together */

enum rate_kind {
#define X(name, count, seconds) RATE_##name,
	RATE_LIST(X)
#undef X
		RATE_KINDS
};

struct rate {
	/* When each bucket will be full again, and that of what goes beyond; monotonic, 0 = full. */
	uint64_t full_us[RATE_KINDS], beyond_us[RATE_KINDS];
};

enum rate_verdict { RATE_FINE, RATE_LIMITED, RATE_ABUSED };

/** What the limits are made of. */
struct rate_scale {
	uint32_t factor; /* times the gateway's numbers; 0 = no limit */
	uint32_t key_messages; /* KEY_* per window, before the factor */
};

enum rate_verdict rate_take(
	struct rate *r, enum rate_kind kind, const struct rate_scale *scale, uint64_t now_us);
