// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/session.h"

#include "sfu-ctl/address.h"
#include "sfu-ctl/bounds.h"
#include "sfu-ctl/core_impl.h"
#include "sfu-ctl/dispatch.h"
#include "sfu-ctl/log.h"
#include "sfu-ctl/outbox.h"
#include "sfu-ctl/payload.h"
#include "sfu-ctl/producer.h"
#include "sfu-ctl/proto/json_scan.h"
#include "sfu-ctl/resume.h"
#include "sfu-ctl/room.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_WINDOW_SLOTS 16u

/*
 * Outcomes as the window remembers them. Most refusals say nothing but which fault it was: those are
 * odd numbers. The others are the address of a struct outcome.
 */
#define OUTCOME_OK UINT64_C(1)

struct outcome {
	enum fault fault;
	struct json_object *details; /* NULL = {} */
	char message[]; /* "" = the fault's own */
};

static uint64_t outcome_encode(enum fault f, const char *message, struct json_object *details)
{
	size_t len = message == NULL ? 0 : strlen(message);
	struct outcome *o;

	if (f == FAULT_NONE)
		return OUTCOME_OK;
	if (message == NULL && details == NULL)
		return (uint64_t)f << 1 | 1;
	o = calloc(1, sizeof(*o) + len + 1);
	if (o == NULL)
		return (uint64_t)f << 1 | 1;
	o->fault = f;
	o->details = json_object_get(details);
	if (message != NULL)
		memcpy(o->message, message, len + 1);
	return (uint64_t)(uintptr_t)o;
}

static struct outcome *outcome_body(uint64_t outcome)
{
	return outcome % 2 != 0 ? NULL : (struct outcome *)(uintptr_t)outcome;
}

static void outcome_release(uint64_t outcome)
{
	struct outcome *o = outcome_body(outcome);

	if (o == NULL)
		return;
	json_object_put(o->details);
	free(o);
}

/* C4: the same answer again. */
static void outcome_repeat(struct session *s, struct json_object *msg_id, uint64_t outcome)
{
	const struct outcome *o = outcome_body(outcome);

	if (o == NULL)
		outbox_ack(s, msg_id, (enum fault)(outcome >> 1), NULL, NULL);
	else
		outbox_ack(
			s, msg_id, o->fault, o->message[0] == '\0' ? NULL : o->message, o->details);
}

static void request_end(
	struct request *r, enum fault f, const char *message, struct json_object *details)
{
	struct session *s = r->session;
	bool replay = r->replay_producers;
	uint64_t outcome;

	if (f == FAULT_NONE && r->type->handle == handle_room_join)
		tally_join(&s->core->tally, core_now(s->core) - r->begun_us);
	outbox_ack(s, r->msg_id, f, message, details);
	outcome = outcome_encode(f, message, details);
	if (!env_record_outcome(&s->window, r->ticket, outcome))
		outcome_release(outcome);
	json_object_put(details);
	json_object_put(r->msg_id);
	json_object_put(r->frame);
	memset(r, 0, sizeof(*r));
	s->busy = false;
	if (replay && s->peer != NULL)
		producer_replay(s->peer);
}

void request_ok(struct request *r)
{
	request_end(r, FAULT_NONE, NULL, NULL);
}

void request_fail(struct request *r, enum fault f)
{
	request_end(r, f, NULL, NULL);
}

void request_fail_with(
	struct request *r, enum fault f, const char *message, struct json_object *details)
{
	request_end(r, f, message, details);
}

void request_fail_field(struct request *r, const char *field)
{
	char message[64];

	snprintf(message, sizeof(message), "Invalid %s", field);
	request_end(r, FAULT_INVALID_FIELD, message, NULL);
}

const char *request_relayed_id(const struct request *r)
{
	return json_object_get_string(field_get(r->frame, "msgId"));
}

void request_fail_not_ready(struct request *r, uint64_t epoch)
{
	struct json_object *details = json_object_new_object();

	put_number(details, "expectedEpoch", epoch);
	request_end(r, FAULT_NOT_READY, NULL, details);
}

struct peer *session_member(const struct session *s)
{
	// HELLO may have renamed the device since it joined: that device is in no room.
	if (s->peer == NULL || strcmp(s->peer->device_id, s->device_id) != 0)
		return NULL;
	return s->peer;
}

int session_set_device(struct session *s, const char *device_id)
{
	struct core *c = s->core;
	char *copy;

	if (s->device_id != NULL && strcmp(s->device_id, device_id) == 0)
		return 0;
	copy = strdup(device_id);
	if (copy == NULL)
		return -ENOMEM;
	free(s->device_id);
	s->device_id = copy;
	if (s->user_id != NULL) {
		seq_memory_release(&c->seq_memory, s->seq_entry, core_now(c));
		s->seq_entry = seq_memory_bind(&c->seq_memory, device_id, core_now(c));
	}
	return 0;
}

void session_continue_seq(struct session *s)
{
	struct core *c = s->core;
	uint64_t last = seq_memory_last(&c->seq_memory, s->device_id, core_now(c));

	if (last > s->seq)
		s->seq = last;
}

int session_set_user(struct session *s, const char *user_id)
{
	struct core *c = s->core;
	char *copy = strdup(user_id);

	if (copy == NULL)
		return -ENOMEM;
	if (s->user_id == NULL) {
		TAILQ_REMOVE(&c->anonymous, s, anonymous_link);
		c->authenticated++;
		s->seq_entry = seq_memory_bind(&c->seq_memory, s->device_id, core_now(c));
	}
	free(s->user_id);
	s->user_id = copy;
	return 0;
}

enum rate_verdict session_rate(struct session *s, enum rate_kind kind)
{
	const struct config *config = s->core->config;
	const struct rate_scale scale = {config->rate_factor, 4 * config->max_participants};
	enum rate_verdict verdict = rate_take(&s->rate, kind, &scale, core_now(s->core));

	if (verdict == RATE_ABUSED) {
		log_info("session", "too many requests", log_str("peer", s->remote_address));
		session_shut(s, 4029, "RATE_LIMITED");
	}
	return verdict;
}

void session_shut(struct session *s, uint16_t code, const char *reason)
{
	if (s->closing)
		return;
	s->closing = true;
	s->core->io.close(s->core->io.ctx, s->conn, code, reason);
}

struct session *session_find(const struct core *c, uint64_t id)
{
	struct table_node *node = table_find(&c->sessions, &id, sizeof(id));

	return node == NULL ? NULL : container_of(node, struct session, by_id);
}

/* The JSON type and value of an envelope's field. */
static struct env_value env_value_of(const struct json_object *frame, const char *name)
{
	struct env_value out = {.type = ENV_ABSENT};
	struct json_object *value;

	if (!json_object_object_get_ex(frame, name, &value))
		return out;
	switch (json_object_get_type(value)) {
	case json_type_null:
		out.type = ENV_NULL;
		break;
	case json_type_boolean:
		out.type = ENV_BOOL;
		out.boolean = json_object_get_boolean(value);
		break;
	case json_type_int:
	case json_type_double:
		out.type = ENV_NUMBER;
		out.number = json_object_get_double(value);
		break;
	case json_type_string:
		out.type = ENV_STRING;
		out.string = json_object_get_string(value);
		out.string_len = (size_t)json_object_get_string_len(value);
		break;
	case json_type_object:
		out.type = ENV_OBJECT;
		break;
	case json_type_array:
		out.type = ENV_ARRAY;
		break;
	}
	return out;
}

static struct env_fields env_fields_of(const struct json_object *frame)
{
	return (struct env_fields){
		.is_object = json_object_is_type(frame, json_type_object),
		.v = env_value_of(frame, "v"),
		.type = env_value_of(frame, "type"),
		.msg_id = env_value_of(frame, "msgId"),
		.ts = env_value_of(frame, "ts"),
		.seq = env_value_of(frame, "seq"),
		.ack = env_value_of(frame, "ack"),
	};
}

/* The frame as an object; NULL when the text is some other JSON value. */
static struct json_object *parse(struct core *c, const char *text, size_t len)
{
	size_t at = 0;
	struct json_object *frame;

	// Only an object can be an envelope, and the tokener wants more after a bare number.
	while (at < len
		&& (text[at] == ' ' || text[at] == '\t' || text[at] == '\r' || text[at] == '\n'))
		at++;
	if (at == len || text[at] != '{')
		return NULL;
	json_tokener_reset(c->tokener);
	frame = json_tokener_parse_ex(c->tokener, text + at, (int)(len - at));
	if (json_tokener_get_error(c->tokener) != json_tokener_success) {
		json_object_put(frame);
		return NULL;
	}
	return frame;
}

/* A4.7 keeps 4000 ids, which few connections ever need: start small, grow by need. */
static void window_grow(struct session *s)
{
	uint32_t wanted = env_window_wants(&s->window);
	struct env_slot *slots;

	if (wanted == 0)
		return;
	slots = calloc(wanted, sizeof(*slots));
	if (slots != NULL)
		free(env_window_move(&s->window, slots, wanted));
}

static void begin(struct session *s, struct json_object *frame, struct json_object *msg_id,
	const struct env_fields *fields, uint64_t ticket)
{
	struct json_object *payload = NULL;
	struct request *r = &s->request;

	json_object_object_get_ex(frame, "payload", &payload);
	s->busy = true;
	*r = (struct request){
		.session = s,
		.id = ++s->core->last_request,
		.frame = json_object_get(frame),
		.msg_id = json_object_get(msg_id),
		.payload = payload,
		.ticket = ticket,
		.begun_us = core_now(s->core),
	};
	dispatch(r, fields->type.string);
}

/* The order of A4. */
static void process(struct session *s, const char *text, size_t len)
{
	enum rate_verdict rate = session_rate(s, RATE_ALL);
	enum json_scan_status scan;
	struct json_object *frame, *msg_id = NULL;
	struct env_fields fields;
	struct env_result result;

	if (rate == RATE_ABUSED)
		return;
	scan = json_scan(text, len, NULL);
	if (scan == JSON_SCAN_NOT_JSON)
		return;
	if (scan != JSON_SCAN_OK) {
		log_debug("session", "frame refused", log_str("why", json_scan_name(scan)),
			log_str("peer", s->remote_address));
		outbox_ack(s, NULL, FAULT_INVALID_ENVELOPE, NULL, NULL);
		return;
	}
	frame = parse(s->core, text, len);
	fields = env_fields_of(frame);
	json_object_object_get_ex(frame, "msgId", &msg_id);
	if (rate != RATE_FINE) {
		// Nothing is recorded: the same frame may come again, later.
		outbox_ack(s, msg_id, FAULT_RATE, NULL, NULL);
		json_object_put(frame);
		return;
	}
	window_grow(s);
	switch (env_check(&s->window, s->core->hash_key, &fields, &result)) {
	case ENV_DROP:
		break;
	case ENV_REFUSE_INVALID:
		outbox_ack(s, msg_id, FAULT_INVALID_ENVELOPE, NULL, NULL);
		break;
	case ENV_REFUSE_SEQ:
		outbox_ack(s, msg_id, FAULT_INVALID_SEQ, NULL, NULL);
		break;
	case ENV_REFUSE_MSG_ID:
		outbox_ack(s, msg_id, FAULT_INVALID_FIELD, "Invalid msgId", NULL);
		break;
	case ENV_REPLAY:
		outbox_ack(s, msg_id, FAULT_REPLAY, NULL, NULL);
		break;
	case ENV_DUPLICATE:
		outcome_repeat(s, msg_id, result.outcome);
		break;
	case ENV_ACCEPT:
		if (result.evicted)
			outcome_release(result.released);
		begin(s, frame, msg_id, &fields, result.ticket);
		break;
	}
	json_object_put(frame);
}

static void enqueue(struct session *s, const char *text, size_t len)
{
	struct queued_frame *q;

	if (s->queued_frames >= LIMIT_QUEUED_FRAMES || len > LIMIT_QUEUED_BYTES - s->queued_bytes) {
		log_info("session", "too many frames wait", log_str("peer", s->remote_address));
		session_shut(s, 1008, "Too many pending requests");
		return;
	}
	q = malloc(sizeof(*q) + len);
	if (q == NULL) {
		session_shut(s, 1011, "Out of memory");
		return;
	}
	q->len = len;
	memcpy(q->text, text, len);
	STAILQ_INSERT_TAIL(&s->queue, q, link);
	s->queued_frames++;
	s->queued_bytes += len;
}

static struct queued_frame *dequeue(struct session *s)
{
	struct queued_frame *q = STAILQ_FIRST(&s->queue);

	if (q == NULL)
		return NULL;
	STAILQ_REMOVE_HEAD(&s->queue, link);
	s->queued_frames--;
	s->queued_bytes -= q->len;
	return q;
}

void session_continue(struct session *s)
{
	struct queued_frame *q;

	while (!s->busy && !s->closing && (q = dequeue(s)) != NULL) {
		process(s, q->text, q->len);
		free(q);
	}
}

void core_session_message(struct session *s, const char *text, size_t len)
{
	struct core *c = s->core;

	if (s->closing)
		return;
	s->last_frame_us = core_now(c);
	if (s->user_id == NULL) {
		TAILQ_REMOVE(&c->anonymous, s, anonymous_link);
		TAILQ_INSERT_TAIL(&c->anonymous, s, anonymous_link);
	}
	if (s->busy)
		enqueue(s, text, len);
	else
		process(s, text, len);
}

struct session *core_session_open(struct core *c, void *conn, const char *remote_address)
{
	struct session *s = calloc(1, sizeof(*s));
	struct env_slot *slots = calloc(FIRST_WINDOW_SLOTS, sizeof(*slots));
	char device_id[16];

	if (s == NULL || slots == NULL)
		goto no_memory;
	s->core = c;
	s->conn = conn;
	s->id = ++c->last_session;
	s->last_frame_us = core_now(c);
	STAILQ_INIT(&s->queue);
	core_short_id(c, "dev_", device_id);
	s->device_id = strdup(device_id);
	s->remote_address = strdup(remote_address == NULL ? "" : remote_address);
	if (s->device_id == NULL || s->remote_address == NULL)
		goto no_memory;
	s->address = address_add(&c->addresses, s->remote_address);
	if (s->address == NULL)
		goto no_memory;
	if (table_add(&c->sessions, &s->by_id, &s->id, sizeof(s->id)) < 0)
		goto no_memory;
	env_window_init(&s->window, slots, FIRST_WINDOW_SLOTS);
	TAILQ_INSERT_TAIL(&c->session_list, s, link);
	TAILQ_INSERT_TAIL(&c->anonymous, s, anonymous_link);
	if (c->config->auth_deadline_sec != 0)
		core_wake_at(
			c, s->last_frame_us + c->config->auth_deadline_sec * UINT64_C(1000000));
	if (c->config->max_conn_per_address != 0
		&& s->address->connections > c->config->max_conn_per_address)
		session_shut(s, 4029, "TOO_MANY_CONNECTIONS");
	return s;

no_memory:
	if (s != NULL) {
		address_remove(&c->addresses, s->address);
		free(s->device_id);
		free(s->remote_address);
	}
	free(slots);
	free(s);
	return NULL;
}

void core_session_insecure(struct session *s)
{
	if (s->core->config->require_secure_ws)
		session_shut(s, 4003, "SECURE_TRANSPORT_REQUIRED");
}

void core_session_close(struct session *s, bool clean)
{
	if (!resume_park(s, clean))
		session_destroy(s, clean);
}

void session_drop_queue(struct session *s)
{
	struct queued_frame *q;

	while ((q = dequeue(s)) != NULL)
		free(q);
}

void session_forget_oldest(struct session *s)
{
	uint64_t outcome;

	if (env_window_pop(&s->window, &outcome) && outcome != ENV_OUTCOME_PENDING)
		outcome_release(outcome);
}

void session_destroy(struct session *s, bool clean)
{
	struct core *c = s->core;

	log_debug("session", "closed", log_str("peer", s->remote_address), log_num("clean", clean));
	s->closing = true;
	resume_forget(s);
	if (s->peer != NULL)
		peer_leave(s->peer);
	session_drop_queue(s);
	if (s->busy) {
		json_object_put(s->request.msg_id);
		json_object_put(s->request.frame);
	}
	while (s->window.count > 0)
		session_forget_oldest(s);
	free(s->window.slots);
	if (s->user_id != NULL) {
		c->authenticated--;
		seq_memory_release(&c->seq_memory, s->seq_entry, core_now(c));
	} else {
		TAILQ_REMOVE(&c->anonymous, s, anonymous_link);
	}
	table_remove(&c->sessions, &s->by_id);
	TAILQ_REMOVE(&c->session_list, s, link);
	address_remove(&c->addresses, s->address);
	free(s->device_id);
	free(s->user_id);
	free(s->remote_address);
	free(s);
}
