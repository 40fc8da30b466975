// SPDX-License-Identifier: BSD-3-Clause
#include "tests/support/peer_signal.h"

#include <glib.h>
#include <string.h>

#define ANSWER_US 5000000
#define REPEAT_US 200000
#define HEARTBEAT_US 10000000

/** A request that waits for its ACK, or for its repetition. */
struct pending {
	char *type;
	char msg_id[37];
	json_object *payload;
	json_object *results;
	signal_done done;
	void *ctx;
	bool insist;
	uint64_t deadline_us; // of the answer, or when to repeat
};

struct peer_signal {
	struct ws_client *ws;
	const struct signal_events *events;
	void *ctx;
	GQueue waiting; // struct pending in the order sent
	GQueue again; // struct pending to be repeated, by time
	int64_t seq; // of our last frame
	uint64_t heartbeat_us; // next one
	unsigned refused;
	const char *lost; // why it ended; told by the next tick
};

static void pending_free(struct pending *p)
{
	json_object_put(p->payload);
	json_object_put(p->results);
	g_free(p->type);
	g_free(p);
}

static uint64_t clock_us(void)
{
	return (uint64_t)g_get_monotonic_time();
}

static void send_frame(struct peer_signal *s, struct pending *p)
{
	json_object *frame = json_object_new_object();
	char *id = g_uuid_string_random();
	const char *text;
	size_t len;

	g_strlcpy(p->msg_id, id, sizeof(p->msg_id));
	g_free(id);
	json_object_object_add(frame, "v", json_object_new_int(1));
	json_object_object_add(frame, "type", json_object_new_string(p->type));
	json_object_object_add(frame, "msgId", json_object_new_string(p->msg_id));
	json_object_object_add(frame, "ts", json_object_new_int64(g_get_real_time() / 1000));
	json_object_object_add(frame, "seq", json_object_new_int64(++s->seq));
	json_object_object_add(frame, "payload", json_object_get(p->payload));
	text = json_object_to_json_string_length(frame, JSON_C_TO_STRING_PLAIN, &len);
	ws_client_send(s->ws, text, len);
	json_object_put(frame);
	json_object_put(p->results);
	p->results = json_object_new_object();
	p->deadline_us = clock_us() + ANSWER_US;
	g_queue_push_tail(&s->waiting, p);
}

static void request(struct peer_signal *s, const char *type, json_object *payload, signal_done done,
	void *ctx, bool insist)
{
	struct pending *p = g_new0(struct pending, 1);

	p->type = g_strdup(type);
	p->payload = payload;
	p->done = done;
	p->ctx = ctx;
	p->insist = insist;
	send_frame(s, p);
}

void peer_signal_request(
	struct peer_signal *s, const char *type, json_object *payload, signal_done done, void *ctx)
{
	request(s, type, payload, done, ctx, false);
}

void peer_signal_insist(
	struct peer_signal *s, const char *type, json_object *payload, signal_done done, void *ctx)
{
	request(s, type, payload, done, ctx, true);
}

static const char *text_of(json_object *o, const char *key)
{
	json_object *value;

	if (!json_object_object_get_ex(o, key, &value)
		|| !json_object_is_type(value, json_type_string))
		return "";
	return json_object_get_string(value);
}

static void on_ack(struct peer_signal *s, json_object *ack)
{
	struct pending *p = g_queue_peek_head(&s->waiting);
	struct signal_answer answer = {.expected_epoch = -1};
	json_object *o, *details, *error = NULL;

	if (!p || strcmp(text_of(ack, "ackOfMsgId"), p->msg_id) != 0) {
		s->lost = "an ACK came that answers no open request, or out of order";
		return;
	}
	g_queue_pop_head(&s->waiting);
	answer.ok = json_object_object_get_ex(ack, "ok", &o) && json_object_get_boolean(o);
	json_object_object_get_ex(ack, "error", &error);
	answer.code = text_of(error, "code");
	answer.message = text_of(error, "message");
	if (error && json_object_object_get_ex(error, "retryable", &o))
		answer.retryable = json_object_get_boolean(o);
	if (error && json_object_object_get_ex(error, "details", &details)
		&& json_object_object_get_ex(details, "expectedEpoch", &o))
		answer.expected_epoch = json_object_get_int64(o);
	if (!strcmp(answer.code, "E2EE_NOT_READY"))
		s->refused++;
	if (!answer.ok && answer.retryable && p->insist) {
		p->deadline_us = clock_us() + REPEAT_US;
		g_queue_push_tail(&s->again, p);
		return;
	}
	answer.results = p->results;
	if (p->done)
		p->done(p->ctx, &answer);
	pending_free(p);
}

static void on_text(void *ctx, const char *text, size_t len)
{
	struct peer_signal *s = ctx;
	json_tokener *tokener = json_tokener_new();
	json_object *frame = json_tokener_parse_ex(tokener, text, (int)len);
	json_object *payload = NULL, *ack = NULL;
	struct pending *head = g_queue_peek_head(&s->waiting);
	const char *type;

	json_tokener_free(tokener);
	type = text_of(frame, "type");
	json_object_object_get_ex(frame, "payload", &payload);
	if (s->lost) {
		// it has ended; the owner hears so at the next tick
	} else if (!*type || !payload) {
		s->lost = "a frame is not in the envelope";
	} else if (!strcmp(type, "ACK") && json_object_object_get_ex(frame, "ack", &ack)) {
		on_ack(s, ack);
	} else if (json_object_object_get_ex(frame, "seq", NULL) && head) {
		json_object_object_add(head->results, type, json_object_get(payload));
	} else {
		s->events->on_event(s->ctx, type, payload);
	}
	json_object_put(frame);
}

static void on_open(void *ctx)
{
	struct peer_signal *s = ctx;

	s->events->on_open(s->ctx);
}

static void on_closed(void *ctx, const char *why)
{
	struct peer_signal *s = ctx;

	if (!s->lost)
		s->lost = g_intern_string(why);
}

static const struct ws_events ws_events = {on_open, on_text, on_closed};

struct peer_signal *peer_signal_create(
	struct ws_context *ws, const char *url, const struct signal_events *events, void *ctx)
{
	struct peer_signal *s = g_new0(struct peer_signal, 1);

	s->events = events;
	s->ctx = ctx;
	s->heartbeat_us = clock_us() + HEARTBEAT_US;
	g_queue_init(&s->waiting);
	g_queue_init(&s->again);
	s->ws = ws_client_create(ws, url, &ws_events, s);
	if (!s->ws) {
		g_free(s);
		return NULL;
	}
	return s;
}

void peer_signal_destroy(struct peer_signal *s)
{
	struct pending *p;

	if (!s)
		return;
	while ((p = g_queue_pop_head(&s->waiting)))
		pending_free(p);
	while ((p = g_queue_pop_head(&s->again)))
		pending_free(p);
	ws_client_destroy(s->ws);
	g_free(s);
}

void peer_signal_tick(struct peer_signal *s, uint64_t now_us)
{
	struct pending *p = g_queue_peek_head(&s->waiting);

	if (!s->lost && p && now_us > p->deadline_us)
		s->lost = "the server does not answer";
	if (s->lost) {
		s->events->on_lost(s->ctx, s->lost);
		return;
	}
	while ((p = g_queue_peek_head(&s->again)) && now_us >= p->deadline_us)
		send_frame(s, g_queue_pop_head(&s->again));
	if (now_us >= s->heartbeat_us) {
		s->heartbeat_us = now_us + HEARTBEAT_US;
		peer_signal_request(s, "PING", json_object_new_object(), NULL, NULL);
	}
}

unsigned peer_signal_refused(const struct peer_signal *s)
{
	return s ? s->refused : 0;
}
