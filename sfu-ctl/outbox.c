// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/outbox.h"

#include "sfu-ctl/core_impl.h"
#include "sfu-ctl/payload.h"
#include "sfu-ctl/room.h"

#include <stdio.h>
#include <string.h>

/** Connections that are sent to at once. */
#define BROADCAST_BATCH 64u

void outbox_uuid(struct core *c, char out[UUID_BYTES])
{
	static const char hex[] = "0123456789abcdef";
	uint8_t b[16];
	char *at = out;

	c->io.random(c->io.ctx, b, sizeof(b));
	b[6] = (uint8_t)((b[6] & 0x0f) | 0x40); // RFC 9562, 5.4
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
	for (unsigned i = 0; i < sizeof(b); i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*at++ = '-';
		*at++ = hex[b[i] >> 4];
		*at++ = hex[b[i] & 0xf];
	}
	*at = '\0';
}

/* What all frames begin with. */
static struct json_text *envelope(struct core *c, const char *type)
{
	struct json_text *t = &c->outgoing;
	char uuid[UUID_BYTES];

	outbox_uuid(c, uuid);
	json_text_begin(t);
	json_text_literal(t, "{\"v\":1,\"type\":\"");
	json_text_raw(t, type, strlen(type)); // ours: nothing to escape
	json_text_literal(t, "\",\"msgId\":\"");
	json_text_raw(t, uuid, UUID_BYTES - 1);
	json_text_literal(t, "\",\"ts\":");
	json_text_number(t, c->io.wall_ms(c->io.ctx));
	return t;
}

/* And end with. */
static void end_with(struct json_text *t, struct json_object *payload)
{
	json_text_literal(t, ",\"payload\":");
	json_text_value(t, payload);
	json_text_literal(t, "}");
	json_object_put(payload);
}

static void send_text(struct session *s, const struct json_text *t)
{
	if (s->closing || s->core->ending)
		return;
	if (t->failed)
		session_shut(s, 1011, "Out of memory");
	else
		s->core->io.send(s->core->io.ctx, s->conn, t->text, t->len);
}

void outbox_result(struct session *s, const char *type, struct json_object *payload)
{
	struct json_text *t = envelope(s->core, type);

	s->seq++;
	if (s->seq_entry != NULL && s->seq_entry->last < s->seq)
		s->seq_entry->last = s->seq;
	json_text_literal(t, ",\"seq\":");
	json_text_number(t, s->seq);
	end_with(t, payload);
	send_text(s, t);
}

static void put_error(struct json_text *t, enum fault f, const char *message, const char *details)
{
	const char *code = fault_code(f);

	if (message == NULL)
		message = fault_message(f);
	json_text_literal(t, ",\"error\":{\"code\":");
	json_text_string(t, code, strlen(code));
	json_text_literal(t, ",\"message\":");
	json_text_string(t, message, strlen(message));
	json_text_literal(t, ",\"details\":");
	if (details == NULL)
		json_text_literal(t, "{}");
	else
		json_text_raw(t, details, strlen(details));
	json_text_literal(t, ",\"retryable\":");
	if (fault_retryable(f))
		json_text_literal(t, "true}");
	else
		json_text_literal(t, "false}");
}

static void put_id(struct core *c, struct json_text *t, struct outbox_id id)
{
	char uuid[UUID_BYTES];

	if (id.text != NULL) {
		json_text_string(t, id.text, id.len);
	} else if (id.json != NULL) {
		json_text_value(t, id.json);
	} else {
		outbox_uuid(c, uuid);
		json_text_string(t, uuid, UUID_BYTES - 1);
	}
}

void outbox_ack(struct session *s, struct outbox_id msg_id, enum fault f, const char *message,
	const char *details)
{
	struct json_text *t = envelope(s->core, "ACK");

	s->core->tally.acks[f]++;
	json_text_literal(t, ",\"ack\":{\"ackOfMsgId\":");
	put_id(s->core, t, msg_id);
	if (f == FAULT_NONE) {
		json_text_literal(t, ",\"ok\":true");
	} else {
		json_text_literal(t, ",\"ok\":false");
		put_error(t, f, message, details);
	}
	json_text_literal(t, "},\"payload\":{}}");
	send_text(s, t);
}

void outbox_notice(struct session *s, const char *type, struct json_object *payload)
{
	struct json_text *t = envelope(s->core, type);

	end_with(t, payload);
	send_text(s, t);
}

void outbox_event(struct peer *p, const char *type, struct json_object *payload)
{
	outbox_notice(p->session, type, payload);
}

static void send_to_some(struct core *c, struct peer *const *peers, size_t count,
	const struct json_text *t, bool latest)
{
	void *conns[BROADCAST_BATCH];
	size_t open = 0;

	for (size_t i = 0; i < count; i++) {
		struct session *s = peers[i]->session;

		if (s->closing)
			continue;
		if (t->failed)
			session_shut(s, 1011, "Out of memory");
		else
			conns[open++] = s->conn;
	}
	if (open > 0 && !c->ending)
		c->io.send_all(c->io.ctx, conns, open, t->text, t->len, latest);
}

static void send_to_room(
	struct room *room, const struct peer *except, const struct json_text *t, bool latest)
{
	struct peer *batch[BROADCAST_BATCH], *p;
	size_t count = 0;

	TAILQ_FOREACH (p, &room->peers, link) {
		if (p == except)
			continue;
		batch[count++] = p;
		if (count == BROADCAST_BATCH) {
			send_to_some(room->core, batch, count, t, latest);
			count = 0;
		}
	}
	send_to_some(room->core, batch, count, t, latest);
}

void outbox_broadcast(
	struct room *room, const struct peer *except, const char *type, struct json_object *payload)
{
	struct json_text *t = envelope(room->core, type);

	end_with(t, payload);
	// Who has not even got the last snapshot needs only this one.
	send_to_room(room, except, t, strcmp(type, "ROOM_SNAPSHOT") == 0);
}

void outbox_pass_on(struct request *r, struct session *to)
{
	struct core *c = r->session->core;

	put_number(r->frame, "ts", c->io.wall_ms(c->io.ctx));
	if (!c->config->relay_seq_sender)
		json_object_object_del(r->frame, "seq");
	json_text_begin(&c->outgoing);
	json_text_value(&c->outgoing, r->frame);
	send_text(to, &c->outgoing);
}

void outbox_relay(struct request *r, struct peer *sender, struct peer *only)
{
	struct core *c = r->session->core;
	struct json_text *t = &c->outgoing;
	char uuid[UUID_BYTES];

	outbox_uuid(c, uuid);
	put_string(r->frame, "msgId", uuid);
	put_number(r->frame, "ts", c->io.wall_ms(c->io.ctx));
	if (!c->config->relay_seq_sender)
		json_object_object_del(r->frame, "seq");
	json_text_begin(t);
	json_text_value(t, r->frame);
	if (only == NULL)
		send_to_room(sender->room, c->config->relay_echo ? NULL : sender, t, false);
	else
		send_text(only->session, t);
}
