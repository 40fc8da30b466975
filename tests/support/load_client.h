// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/support/latency.h"
#include "tests/support/load_ws.h"

/**
 * @file
 * For tests: the requests that a web client makes on its way into a room (protocol.md A3, B1), one at a
 * time, and PINGs, each timed from its sending to its ACK.
 */

/** A client's whole way; the last two may follow any time after it. */
enum load_step {
	STEP_HELLO,
	STEP_AUTH,
	STEP_CAPS,
	STEP_IN, /* this many requests make an authenticated client */
	STEP_CREATE = STEP_IN,
	STEP_JOIN,
	STEP_READY,
	STEP_SEND_TRANSPORT,
	STEP_SEND_CONNECT,
	STEP_RECV_TRANSPORT,
	STEP_RECV_CONNECT,
	STEP_JOINED, /* this many a full join */
	STEP_PING = STEP_JOINED,
	STEP_TALK,
};

/** Requests that one client may have out. */
#define LOAD_WINDOW 16u

/** What clients have in common. */
struct load_group {
	struct load_loop *loop;
	const char *name; /* in front of devices and rooms, so that runs do not meet */
	const char *const *tokens; /* one per client in turn; NULL: made up */
	uint32_t token_count;
	uint32_t room_size; /* clients per room */
	struct latency latency; /* of all requests */
	uint64_t answered, pings, refused,
		lost; /* ACKs, WebSocket pings, ACKs with ok:false, ends */
	char why[256]; /* the first refusal or end */
};

struct load_client {
	struct load_group *group;
	struct load_conn *conn; /* NULL: not connected */
	uint32_t number;
	uint32_t seq; /* of the request that was sent last */
	unsigned step; /* of the request that is to be sent next */
	unsigned steps; /* on_done is called when this many have been answered */
	uint32_t acked; /* seq of the request that was answered last */
	uint64_t due_us[LOAD_WINDOW]; /* by seq: a request is timed from here */
	unsigned octets; /* of STEP_TALK */
	char transport[64]; /* the id that was given last */
	uint16_t close_code; /* once conn is NULL again */
	/** The steps asked for are done, or the connection ended or was refused before. */
	void (*on_done)(struct load_client *c, bool ok);
};

/** Are there requests without an answer? */
static inline bool load_client_busy(const struct load_client *c)
{
	return c->acked != c->seq;
}

/** Connect and go through so many steps; 0: only connect. */
bool load_client_start(struct load_client *c, struct load_group *group, uint32_t number,
	unsigned steps, void (*on_done)(struct load_client *c, bool ok));

/** A connected client that is done goes on up to so many steps. */
void load_client_go_on(struct load_client *c, unsigned steps);

/** Send a PING; at most LOAD_WINDOW of them are out. @param due_us  when it should have been sent */
void load_client_ping(struct load_client *c, uint64_t due_us);

/** Send PINGs without waiting for answers. */
void load_client_flood(struct load_client *c, unsigned count);

/** A member sends everybody in its room a KEY_ACK with so many octets to carry; timed like a PING. */
void load_client_talk(struct load_client *c, unsigned octets);

void load_client_stop(struct load_client *c, bool politely);
