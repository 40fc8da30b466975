// SPDX-License-Identifier: BSD-3-Clause
/**
 * Frames to clients: the envelope around a payload (protocol.md A2, A3). The only place that counts
 * seq and makes msgIds. Payloads are taken (put), also on failure.
 */
#pragma once

#include <json-c/json.h>

#include "sfu-ctl/fault.h"
#include "sfu-ctl/session.h"

struct peer;
struct room;

/** A result frame to the requester: has the next seq. */
void outbox_result(struct session *s, const char *type, struct json_object *payload);

/** The msgId that an ACK repeats (A3): a text, or what else stood there, or neither: a fresh UUID. */
struct outbox_id {
	const char *text; /* UTF-8 without escapes; NULL: json */
	size_t len;
	struct json_object *json; /* not taken */
};

/**
 * An ACK.
 * @param message  NULL: the fault's own
 * @param details  JSON; NULL: {}
 */
void outbox_ack(struct session *s, struct outbox_id msg_id, enum fault f, const char *message,
	const char *details);

/** An event to one connection, without seq. */
void outbox_notice(struct session *s, const char *type, struct json_object *payload);

/** An event to one member, without seq. */
void outbox_event(struct peer *p, const char *type, struct json_object *payload);

/** An event to all members but one (may be NULL). */
void outbox_broadcast(struct room *room, const struct peer *except, const char *type,
	struct json_object *payload);

/**
 * Relay the frame of a request (A8): msgId and ts are replaced in it, seq is removed unless asked
 * for (C1). Recipient: only, or everybody in the room, the sender with SFU_RELAY_ECHO.
 */
void outbox_relay(struct request *r, struct peer *sender, struct peer *only);

/**
 * Pass the frame of a request on to another connection (B10): its msgId stays, so that the answer can
 * name it; ts is replaced, seq is removed unless asked for (C1).
 */
void outbox_pass_on(struct request *r, struct session *to);

/** A fresh UUID v4. */
void outbox_uuid(struct core *c, char out[UUID_BYTES]);
