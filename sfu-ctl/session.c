// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/session.h"

#include "sfu-ctl/address.h"
#include "sfu-ctl/bounds.h"
#include "sfu-ctl/core_impl.h"
#include "sfu-ctl/dispatch.h"
#include "sfu-ctl/json_text.h"
#include "sfu-ctl/log.h"
#include "sfu-ctl/outbox.h"
#include "sfu-ctl/payload.h"
#include "sfu-ctl/producer.h"
#include "sfu-ctl/proto/json_scan.h"
#include "sfu-ctl/proto/plain_frame.h"
#include "sfu-ctl/remember.h"
#include "sfu-ctl/resume.h"
#include "sfu-ctl/room.h"
#include "sfu-ctl/users.h"

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
	uint32_t details_at; /* in text: JSON; 0 = {} */
	char text[]; /* the message, "" = the fault's own; then the details */
};

static uint64_t outcome_encode(enum fault f, const char *message, const char *details)
{
	size_t message_size = (message == NULL ? 0 : strlen(message)) + 1;
	size_t details_size = details == NULL ? 0 : strlen(details) + 1;
	struct outcome *o;

	if (f == FAULT_NONE)
		return OUTCOME_OK;
	if (message == NULL && details == NULL)
		return (uint64_t)f << 1 | 1;
	o = calloc(1, sizeof(*o) + message_size + details_size);
	if (o == NULL)
		return (uint64_t)f << 1 | 1;
	o->fault = f;
	if (message != NULL)
		memcpy(o->text, message, message_size);
	if (details != NULL) {
		o->details_at = (uint32_t)message_size;
		memcpy(o->text + message_size, details, details_size);
	}
	return (uint64_t)(uintptr_t)o;
}

static struct outcome *outcome_body(uint64_t outcome)
{
	return outcome % 2 != 0 ? NULL : (struct outcome *)(uintptr_t)outcome;
}

static void outcome_release(uint64_t outcome)
{
	free(outcome_body(outcome));
}

/* C4: the same answer again. */
static void outcome_repeat(struct session *s, struct outbox_id msg_id, uint64_t outcome)
{
	const struct outcome *o = outcome_body(outcome);

	if (o == NULL)
		outbox_ack(s, msg_id, (enum fault)(outcome >> 1), NULL, NULL);
	else
		outbox_ack(s, msg_id, o->fault, o->text[0] == '\0' ? NULL : o->text,
			o->details_at == 0 ? NULL : o->text + o->details_at);
}

static void request_end(
	struct request *r, enum fault f, const char *message, struct json_object *details)
{
	struct session *s = r->session;
	bool replay = r->replay_producers;
	struct json_text text = {0};
	uint64_t outcome;

	log_debug("request", r->type == NULL ? "unknown type" : r->type->name,
		log_str("outcome", f == FAULT_NONE ? "ok" : fault_code(f)),
		log_num("took_us", (int64_t)(core_now(s->core) - r->begun_us)),
		log_str("room", s->peer == NULL ? "" : s->peer->room->id), SESSION_LOG_IDS(s));
	if (f == FAULT_NONE && r->type->handle == handle_room_join)
		tally_join(&s->core->tally, core_now(s->core) - r->begun_us);
	if (details != NULL)
		json_text_value(&text, details);
	outbox_ack(s, (struct outbox_id){.text = r->msg_id, .len = r->msg_id_len}, f, message,
		text.failed ? NULL : text.text);
	outcome = outcome_encode(f, message, text.failed ? NULL : text.text);
	json_text_fini(&text);
	if (!env_record_outcome(&s->window, r->ticket, outcome))
		outcome_release(outcome);
	json_object_put(details);
	json_object_put(r->frame);
	memset(r, 0, offsetof(struct request, msg_id));
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

void session_pass_seq(struct session *s, uint64_t seq)
{
	if (seq > s->seq)
		s->seq = seq;
}

void session_pass_clock(struct session *s)
{
	struct core *c = s->core;

	session_pass_seq(s, numbering_seq(&c->numbering, core_numbering_now(c)));
}

void session_continue_seq(struct session *s)
{
	struct core *c = s->core;

	session_pass_seq(s, seq_memory_last(&c->seq_memory, s->device_id, core_now(c)));
}

int session_set_user(struct session *s, const char *user_id)
{
	struct core *c = s->core;
	char *copy = strdup(user_id);

	if (copy == NULL || users_bind(s, user_id) < 0) {
		free(copy);
		return -ENOMEM;
	}
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
	enum rate_verdict verdict;

	if (scale.factor == 0)
		return RATE_FINE;
	verdict = rate_take(&s->rate, kind, &scale, core_now(s->core));
	if (verdict == RATE_ABUSED) {
		log_info("session", "too many requests", SESSION_LOG_IDS(s));
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

/* What was found of a frame, and what was built for it. */
struct incoming {
	struct env_fields fields;
	struct json_object *frame; /* see struct request */
	struct json_object *payload; /* borrowed from frame */
	struct outbox_id msg_id; /* for its ACK */
};

static void set_number(struct env_value *v, double number)
{
	v->type = ENV_NUMBER;
	v->number = number;
}

static void set_string(struct env_value *v, const struct plain_piece *piece)
{
	v->type = ENV_STRING;
	v->string = piece->at;
	v->string_len = piece->len;
}

/*
 * A plain frame of a type that passes nothing on: its envelope is read where it is, and only the
 * payload becomes objects, if the type wants it. False: it takes a look at everything. out is zeroed.
 */
static bool read_plain_frame(struct core *c, const char *text, size_t len, struct incoming *out)
{
	const struct message_type *type;
	struct plain_frame plain;

	if (!plain_frame_read(text, len, &plain))
		return false;
	type = dispatch_find(plain.type.at, plain.type.len);
	if (type == NULL || (type->needs & (ONLY_PAYLOAD | ONLY_ENVELOPE)) == 0)
		return false;
	// "{}" is what no payload is.
	if ((type->needs & ONLY_PAYLOAD) != 0 && plain.payload.len > 2) {
		out->frame = out->payload = parse(c, plain.payload.at, plain.payload.len);
		if (out->frame == NULL)
			return false;
	}
	out->fields.is_object = true;
	set_number(&out->fields.v, plain.v);
	set_string(&out->fields.type, &plain.type);
	set_string(&out->fields.msg_id, &plain.msg_id);
	set_number(&out->fields.ts, plain.ts);
	set_number(&out->fields.seq, plain.seq);
	out->msg_id = (struct outbox_id){.text = plain.msg_id.at, .len = plain.msg_id.len};
	return true;
}

static void parse_frame(struct core *c, const char *text, size_t len, struct incoming *out)
{
	out->frame = parse(c, text, len);
	out->fields = env_fields_of(out->frame);
	out->msg_id.json = field_get(out->frame, "msgId");
	out->payload = field_get(out->frame, "payload");
}

/* The msgId of a frame that is not parsed, as it is written there; NULL when there is none. */
static struct json_object *parse_msg_id(
	struct core *c, const char *text, const struct json_scan_span *span)
{
	struct json_object *list, *msg_id = NULL;

	if (span->len == 0 || span->len > LIMIT_ECHOED_ID_BYTES)
		return NULL;
	// In brackets, since the tokener wants more after a bare number.
	json_tokener_reset(c->tokener);
	json_object_put(json_tokener_parse_ex(c->tokener, "[", 1));
	json_object_put(json_tokener_parse_ex(c->tokener, text + span->offset, (int)span->len));
	list = json_tokener_parse_ex(c->tokener, "]", 1);
	if (json_tokener_get_error(c->tokener) == json_tokener_success)
		msg_id = json_object_get(json_object_array_get_idx(list, 0));
	json_object_put(list);
	return msg_id;
}

/* JSON, but not what an envelope may be: A3 wants the answer to name the request all the same. */
static void refuse_text(
	struct session *s, const char *text, const struct json_scan_span *span, const char *why)
{
	struct json_object *msg_id = parse_msg_id(s->core, text, span);

	log_debug("session", "frame refused", log_str("why", why), SESSION_LOG_IDS(s));
	outbox_ack(s, (struct outbox_id){.json = msg_id}, FAULT_INVALID_ENVELOPE, NULL, NULL);
	json_object_put(msg_id);
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

static void begin(struct session *s, struct incoming *in, uint64_t ticket, uint64_t now_us)
{
	struct request *r = &s->request;

	// All else is zero since the last one's end.
	s->busy = true;
	r->session = s;
	r->id = ++s->core->last_request;
	r->frame = json_object_get(in->frame);
	r->payload = in->payload;
	r->ticket = ticket;
	r->begun_us = now_us;
	r->msg_id_len = (uint8_t)in->fields.msg_id.string_len;
	// No longer than that, or it would not have been accepted (C28).
	memcpy(r->msg_id, in->fields.msg_id.string, r->msg_id_len);
	dispatch(r, in->fields.type.string, in->fields.type.string_len);
}

/* From A4.2 on. */
static void judge(struct session *s, struct incoming *in, uint64_t now_us)
{
	struct env_result result;

	window_grow(s);
	switch (env_check(&s->window, s->core->hash_key, &in->fields, &result)) {
	case ENV_DROP:
		break;
	case ENV_REFUSE_INVALID:
		outbox_ack(s, in->msg_id, FAULT_INVALID_ENVELOPE, NULL, NULL);
		break;
	case ENV_REFUSE_SEQ:
		outbox_ack(s, in->msg_id, FAULT_INVALID_SEQ, NULL, NULL);
		break;
	case ENV_REFUSE_MSG_ID:
		outbox_ack(s, in->msg_id, FAULT_INVALID_FIELD, "Invalid msgId", NULL);
		break;
	case ENV_REPLAY:
		outbox_ack(s, in->msg_id, FAULT_REPLAY, NULL, NULL);
		break;
	case ENV_DUPLICATE:
		outcome_repeat(s, in->msg_id, result.outcome);
		break;
	case ENV_ACCEPT:
		if (result.evicted)
			outcome_release(result.released);
		begin(s, in, result.ticket, now_us);
		break;
	}
}

/* The order of A4. */
static void process(struct session *s, const char *text, size_t len, uint64_t now_us)
{
	enum rate_verdict rate = session_rate(s, RATE_ALL);
	struct json_scan_span id_span;
	enum json_scan_status scan;
	struct incoming in = {.frame = NULL};

	if (rate == RATE_ABUSED)
		return;
	env_window_prefetch(&s->window);
	if (!read_plain_frame(s->core, text, len, &in)) {
		scan = json_scan_member(text, len, "msgId", &id_span);
		if (scan == JSON_SCAN_NOT_JSON)
			return;
		if (scan != JSON_SCAN_OK) {
			refuse_text(s, text, &id_span, json_scan_name(scan));
			return;
		}
		parse_frame(s->core, text, len, &in);
	}
	// Over the limit nothing is recorded: the same frame may come again, later.
	if (rate != RATE_FINE)
		outbox_ack(s, in.msg_id, FAULT_RATE, NULL, NULL);
	else
		judge(s, &in, now_us);
	json_object_put(in.frame);
}

static void enqueue(struct session *s, const char *text, size_t len)
{
	struct queued_frame *q;

	if (s->queued_frames >= LIMIT_QUEUED_FRAMES || len > LIMIT_QUEUED_BYTES - s->queued_bytes) {
		log_info("session", "too many frames wait", SESSION_LOG_IDS(s));
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
		process(s, q->text, q->len, core_now(s->core));
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
		process(s, text, len, s->last_frame_us);
}

/* Frees what core_session_open() and session_restore() could not finish. */
static void session_undo(struct session *s)
{
	address_remove(&s->core->addresses, s->address);
	free(s->window.slots);
	free(s->device_id);
	free(s->remote_address);
	free(s);
}

/* In the tables, anonymous. NULL when out of memory, or the number is taken. */
static struct session *session_new(
	struct core *c, uint64_t id, const char *device_id, const char *remote_address)
{
	struct session *s = calloc(1, sizeof(*s));
	struct env_slot *slots;

	if (s == NULL)
		return NULL;
	s->core = c;
	s->id = id;
	s->last_frame_us = core_now(c);
	STAILQ_INIT(&s->queue);
	s->device_id = strdup(device_id);
	s->remote_address = strdup(remote_address);
	slots = calloc(FIRST_WINDOW_SLOTS, sizeof(*slots));
	if (slots != NULL)
		env_window_init(&s->window, slots, FIRST_WINDOW_SLOTS);
	if (s->device_id == NULL || s->remote_address == NULL || slots == NULL
		|| table_add(&c->sessions, &s->by_id, &s->id, sizeof(s->id)) < 0) {
		session_undo(s);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&c->session_list, s, link);
	TAILQ_INSERT_TAIL(&c->anonymous, s, anonymous_link);
	return s;
}

struct session *core_session_open(struct core *c, void *conn, const char *remote_address)
{
	char device_id[16];
	struct session *s;

	core_short_id(c, "dev_", device_id);
	s = session_new(
		c, ++c->last_session, device_id, remote_address == NULL ? "" : remote_address);
	if (s == NULL)
		return NULL;
	s->conn = conn;
	s->address = address_add(&c->addresses, s->remote_address);
	if (s->address == NULL) {
		session_destroy(s, false);
		return NULL;
	}
	if (c->config->auth_deadline_sec != 0)
		core_wake_at(
			c, s->last_frame_us + c->config->auth_deadline_sec * UINT64_C(1000000));
	if (c->config->max_conn_per_address != 0
		&& s->address->connections > c->config->max_conn_per_address)
		session_shut(s, 4029, "TOO_MANY_CONNECTIONS");
	return s;
}

struct session *session_restore(
	struct core *c, uint64_t id, const char *device_id, const char *user_id)
{
	struct session *s = session_new(c, id, device_id, "");

	if (s == NULL)
		return NULL;
	if (c->last_session < id)
		c->last_session = id;
	s->closing = true;
	if (session_set_user(s, user_id) < 0) {
		session_destroy(s, true);
		return NULL;
	}
	// Its last seq was not written down, since that would be a line for each answer.
	session_pass_seq(s, numbering_beyond(&c->numbering, core_numbering_now(c)));
	if (s->seq_entry != NULL)
		s->seq_entry->last = s->seq;
	return s;
}

uint64_t core_session_number(const struct session *s)
{
	return s->id;
}

void core_session_insecure(struct session *s)
{
	if (s->core->config->require_secure_ws)
		session_shut(s, 4003, "SECURE_TRANSPORT_REQUIRED");
}

void core_session_close(struct session *s, bool clean)
{
	// Whoever takes over will know it: it is lost, not gone.
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

	log_debug("session", "closed", log_num("clean", clean), SESSION_LOG_IDS(s));
	s->closing = true;
	forget_session(s);
	resume_forget(s);
	if (s->peer != NULL)
		peer_leave(s->peer);
	session_drop_queue(s);
	if (s->busy)
		json_object_put(s->request.frame);
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
	users_unbind(s);
	free(s->device_id);
	free(s->user_id);
	free(s->remote_address);
	free(s);
}
