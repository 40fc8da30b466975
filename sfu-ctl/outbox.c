// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/outbox.h"

#include "sfu-ctl/core_impl.h"
#include "sfu-ctl/payload.h"
#include "sfu-ctl/room.h"

#include <stdio.h>
#include <string.h>

void outbox_uuid(struct core *c, char out[UUID_BYTES])
{
	uint8_t b[16];

	c->io.random(c->io.ctx, b, sizeof(b));
	b[6] = (uint8_t)((b[6] & 0x0f) | 0x40); // RFC 9562, 5.4
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
	snprintf(out, UUID_BYTES,
		"%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
		b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
		b[15]);
}

static struct json_object *envelope(struct core *c, const char *type)
{
	struct json_object *frame = json_object_new_object();
	char uuid[UUID_BYTES];

	outbox_uuid(c, uuid);
	put_number(frame, "v", 1);
	put_string(frame, "type", type);
	put_string(frame, "msgId", uuid);
	put_number(frame, "ts", c->io.wall_ms(c->io.ctx));
	return frame;
}

/* NULL when out of memory. */
static const char *serialise(struct json_object *frame, size_t *len)
{
	if (frame == NULL)
		return NULL;
	return json_object_to_json_string_length(
		frame, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, len);
}

static void send_text(struct session *s, const char *text, size_t len)
{
	if (s->closing || s->core->ending)
		return;
	if (text == NULL)
		session_shut(s, 1011, "Out of memory");
	else
		s->core->io.send(s->core->io.ctx, s->conn, text, len);
}

static void send_frame(struct session *s, struct json_object *frame)
{
	size_t len = 0;
	const char *text = serialise(frame, &len);

	send_text(s, text, len);
	json_object_put(frame);
}

void outbox_result(struct session *s, const char *type, struct json_object *payload)
{
	struct json_object *frame = envelope(s->core, type);

	s->seq++;
	if (s->seq_entry != NULL && s->seq_entry->last < s->seq)
		s->seq_entry->last = s->seq;
	put_number(frame, "seq", s->seq);
	put(frame, "payload", payload);
	send_frame(s, frame);
}

static struct json_object *error_body(
	enum fault f, const char *message, struct json_object *details)
{
	struct json_object *error = json_object_new_object();

	put_string(error, "code", fault_code(f));
	put_string(error, "message", message == NULL ? fault_message(f) : message);
	put(error, "details",
		details == NULL ? json_object_new_object() : json_object_get(details));
	put_bool(error, "retryable", fault_retryable(f));
	return error;
}

void outbox_ack(struct session *s, struct json_object *msg_id, enum fault f, const char *message,
	struct json_object *details)
{
	struct json_object *frame = envelope(s->core, "ACK");
	struct json_object *ack = json_object_new_object();
	char uuid[UUID_BYTES];

	s->core->tally.acks[f]++;
	if (msg_id == NULL) {
		outbox_uuid(s->core, uuid);
		put_string(ack, "ackOfMsgId", uuid);
	} else {
		put(ack, "ackOfMsgId", json_object_get(msg_id));
	}
	put_bool(ack, "ok", f == FAULT_NONE);
	if (f != FAULT_NONE)
		put(ack, "error", error_body(f, message, details));
	put(frame, "ack", ack);
	put(frame, "payload", json_object_new_object());
	send_frame(s, frame);
}

void outbox_notice(struct session *s, const char *type, struct json_object *payload)
{
	struct json_object *frame = envelope(s->core, type);

	put(frame, "payload", payload);
	send_frame(s, frame);
}

void outbox_event(struct peer *p, const char *type, struct json_object *payload)
{
	outbox_notice(p->session, type, payload);
}

static void send_to_room(struct room *room, const struct peer *except, struct json_object *frame)
{
	size_t len = 0;
	const char *text = serialise(frame, &len);
	struct peer *p;

	TAILQ_FOREACH (p, &room->peers, link) {
		if (p != except)
			send_text(p->session, text, len);
	}
}

void outbox_broadcast(
	struct room *room, const struct peer *except, const char *type, struct json_object *payload)
{
	struct json_object *frame = envelope(room->core, type);

	put(frame, "payload", payload);
	send_to_room(room, except, frame);
	json_object_put(frame);
}

void outbox_relay(struct request *r, struct peer *sender, struct peer *only)
{
	struct core *c = r->session->core;
	char uuid[UUID_BYTES];

	outbox_uuid(c, uuid);
	put_string(r->frame, "msgId", uuid);
	put_number(r->frame, "ts", c->io.wall_ms(c->io.ctx));
	if (!c->config->relay_seq_sender)
		json_object_object_del(r->frame, "seq");
	if (only == NULL) {
		send_to_room(sender->room, c->config->relay_echo ? NULL : sender, r->frame);
	} else {
		size_t len = 0;
		const char *text = serialise(r->frame, &len);

		send_text(only->session, text, len);
	}
}
