// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "tests/support/ws_client.h"

/**
 * @file
 * For tests: requests and their answers over one WebSocket, as a web client does it. The result
 * frames of a request come before its ACK, in the order of requests.
 */

struct peer_signal;

/** What became of a request. Valid during the callback. */
struct signal_answer {
	bool ok;
	const char *code; // of the error; "" if ok
	const char *message;
	bool retryable;
	int64_t expected_epoch; // details.expectedEpoch, -1 without
	json_object *results; // result frames: type -> payload
};

typedef void (*signal_done)(void *ctx, const struct signal_answer *answer);

struct signal_events {
	void (*on_open)(void *ctx);
	/** A frame that answers nothing: room events and relayed frames. */
	void (*on_event)(void *ctx, const char *type, json_object *payload);
	/** The end: the socket closed, or an answer is overdue. The last callback. */
	void (*on_lost)(void *ctx, const char *why);
};

/** NULL when the URL cannot be connected to. */
struct peer_signal *peer_signal_create(
	struct ws_context *ws, const char *url, const struct signal_events *events, void *ctx);

/** No more callbacks. NULL is allowed. */
void peer_signal_destroy(struct peer_signal *signal);

/**
 * Send a request.
 * @param payload  taken
 * @param done     called once with the answer, unless the signal ends before; may be NULL
 */
void peer_signal_request(struct peer_signal *signal, const char *type, json_object *payload,
	signal_done done, void *ctx);

/** As above, and repeated after a while as long as the server says that it may be. */
void peer_signal_insist(struct peer_signal *signal, const char *type, json_object *payload,
	signal_done done, void *ctx);

/** Deadlines, repetitions and the heartbeat. Call about every 10 ms. */
void peer_signal_tick(struct peer_signal *signal, uint64_t now_us);

/** How many requests were refused with E2EE_NOT_READY. */
unsigned peer_signal_refused(const struct peer_signal *signal);
