// SPDX-License-Identifier: BSD-3-Clause
/** From the type of a frame to its handler, past the checks that types share (protocol.md A5). */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "sfu-ctl/session.h"

#define NEEDS_AUTH 0x1u
#define NEEDS_MEMBER 0x2u /* sets request.peer */
#define NEEDS_GATE 0x4u
#define ONLY_PAYLOAD 0x8u /* of the frame, beside its envelope: request.frame is the payload */
#define ONLY_ENVELOPE 0x10u /* request.frame is NULL */

struct message_type {
	const char *name;
	void (*handle)(struct request *r); /* ends the request, or an await does */
	uint32_t needs;
	enum rate_kind rate; /* RATE_ALL: no limit of its own */
};

/** NULL: no type has this name. */
const struct message_type *dispatch_find(const char *name, size_t len);

/** Run a request: it is ended when this returns, or an await or an auth look-up will end it. */
void dispatch(struct request *r, const char *type, size_t len);

/* Handlers, one file per concern. */
void handle_hello(struct request *r);
void handle_auth(struct request *r);
void handle_e2ee_caps(struct request *r);
void handle_ping(struct request *r);
void handle_call(struct request *r);
void handle_room_create(struct request *r);
void handle_room_join(struct request *r);
void handle_room_leave(struct request *r);
void handle_get_capabilities(struct request *r);
void handle_e2ee_ready(struct request *r);
void handle_rekey_begin(struct request *r);
void handle_rekey_commit(struct request *r);
void handle_key_package(struct request *r);
void handle_key_ack(struct request *r);
void handle_transport_create(struct request *r);
void handle_transport_connect(struct request *r);
void handle_transport_close(struct request *r);
void handle_ice_restart(struct request *r);
void handle_produce(struct request *r);
void handle_producer_close(struct request *r);
void handle_producer_pause(struct request *r);
void handle_producer_resume(struct request *r);
void handle_consume(struct request *r);
void handle_consumer_close(struct request *r);
void handle_consumer_pause(struct request *r);
void handle_consumer_resume(struct request *r);
void handle_consumer_set_layers(struct request *r);
void handle_consumer_key_frame(struct request *r);

/** The answer of io.auth(); the request is the session's AUTH. */
void handle_auth_result(struct request *r, int verdict, const char *user_id);
