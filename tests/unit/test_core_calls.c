// SPDX-License-Identifier: BSD-3-Clause
/*
 * Everything that a client may legally send, in any order, against a model of rooms, transports, producers
 * and consumers: four devices that come, ask, repeat themselves, lose their way and go, with and without
 * a data plane. After every step each connection has been sent exactly what the model says, in its
 * order, and nothing else; the core holds as many objects as the model.
 *
 * SFU_CALLS_SEQUENCES: how many sequences, default 4000; SFU_CALLS_LENGTH: steps of each, default 50.
 */
#include "sfu-ctl/config.h"
#include "sfu-ctl/core.h"
#include "sfu-ctl/log.h"
#include "tests/unit/fake_media.h"
#include "tests/unit/outside.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEVICES 4u
#define ROOMS 2u
#define MEMBERS_MAX 3u
#define OBJECTS 48u
#define LINES 128u
#define LINE_BYTES 512u
#define ID_BYTES 40u
#define NOWHERE ROOMS

static const char *const room_names[ROOMS] = {"red", "blue"};
static const char *const kinds[] = {"video", "audio"};

/* What a connection was sent, or should have been, one line for each frame. */
struct lines {
	char line[LINES][LINE_BYTES];
	unsigned count;
};

struct transport {
	bool used, send;
	unsigned owner;
	uint64_t born;
	char id[ID_BYTES];
};

struct producer {
	bool used, audio, paused;
	unsigned owner, transport;
	uint64_t born;
	char id[ID_BYTES];
};

struct consumer {
	bool used, paused;
	unsigned owner, producer;
	unsigned transport; /* OBJECTS: none */
	uint64_t born;
	char id[ID_BYTES];
};

struct device {
	bool authenticated, caps, ready, had_recv, refused;
	unsigned room; /* NOWHERE */
};

struct room {
	bool exists;
	unsigned member[DEVICES], members; /* in join order */
	unsigned long long epoch;
};

struct model {
	struct device device[DEVICES];
	struct room room[ROOMS];
	struct transport transport[OBJECTS];
	struct producer producer[OBJECTS];
	struct consumer consumer[OBJECTS];
	uint64_t born;
};

struct connection {
	struct session *session;
	unsigned seq;
	uint64_t server_seq; /* last one seen, 0 = none */
	char id[ID_BYTES]; /* of the object in the last result */
	char last[1024]; /* frame that was sent, "" = none */
	char outcome[LINE_BYTES]; /* of it */
	struct lines got, want;
};

struct world {
	struct outside out;
	bool media_mode;
	struct media *media;
	struct model model;
	struct connection connection[DEVICES];
	uint64_t auth_session, auth_request, first_seed;
	unsigned step, next_id;
	char what[64]; /* this step is */
};

static uint32_t roll(struct world *w, uint32_t sides)
{
	return outside_roll(&w->out, sides);
}

__attribute__((format(printf, 2, 3))) static void add(struct lines *l, const char *format, ...)
{
	va_list args;

	assert_true(l->count < LINES);
	va_start(args, format);
	vsnprintf(l->line[l->count++], LINE_BYTES, format, args);
	va_end(args);
}

/* ---- what the core sends, as lines ---- */

static const char *text_of(const struct json_object *o, const char *name)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(o, name, &value);
	return value == NULL ? "-" : json_object_get_string(value);
}

static void render_snapshot(struct lines *l, struct json_object *payload)
{
	struct json_object *peers = NULL, *producers = NULL;
	char line[LINE_BYTES];
	size_t len = (size_t)snprintf(
		line, sizeof(line), "ROOM_SNAPSHOT %s", text_of(payload, "roomId"));

	json_object_object_get_ex(payload, "peers", &peers);
	json_object_object_get_ex(payload, "producers", &producers);
	for (size_t i = 0; i < json_object_array_length(peers); i++) {
		struct json_object *p = json_object_array_get_idx(peers, i);

		len += (size_t)snprintf(line + len, sizeof(line) - len, " %s:%s",
			text_of(p, "deviceId"), text_of(p, "e2eeReady"));
	}
	for (size_t i = 0; i < json_object_array_length(producers); i++) {
		struct json_object *p = json_object_array_get_idx(producers, i);

		len += (size_t)snprintf(line + len, sizeof(line) - len, " %s:%s:%s:%s",
			text_of(p, "producerId"), text_of(p, "peerDeviceId"), text_of(p, "kind"),
			text_of(p, "paused"));
		assert_true(len < sizeof(line));
	}
	add(l, "%s", line);
}

static void render(struct connection *c, struct json_object *frame)
{
	/* The members of payloads that are looked at, in this order; "*" is an id that we learn. */
	static const struct {
		const char *type, *member[4];
	} types[] = {
		{"WELCOME", {NULL}},
		{"AUTH_OK", {"userId", "deviceId", NULL}},
		{"ROOM_CREATED", {"roomId", "epoch", NULL}},
		{"ROOM_JOIN_OK", {"roomId", "epoch", NULL}},
		{"E2EE_POLICY", {"required", "epoch", NULL}},
		{"ROOM_LEFT", {"roomId", NULL}},
		{"ROUTER_RTP_CAPABILITIES", {"roomId", NULL}},
		{"TRANSPORT_CREATED", {"direction", "*transportId", NULL}},
		{"PRODUCED", {"kind", "*producerId", NULL}},
		{"CONSUMER_ADDED", {"producerId", "kind", "*consumerId", NULL}},
		{"ICE_RESTART_OK", {"roomId", NULL}},
		{"PEER_JOINED", {"roomId", "deviceId", NULL}},
		{"PEER_LEFT", {"roomId", "deviceId", NULL}},
		{"PRODUCER_ADDED", {"producerId", "peerDeviceId", "kind", NULL}},
		{"PRODUCER_REMOVED", {"producerId", "reason", NULL}},
		{"PRODUCER_PAUSED", {"producerId", NULL}},
		{"PRODUCER_RESUMED", {"producerId", NULL}},
		{"CONSUMER_CLOSED", {"consumerId", "producerId", "reason", NULL}},
		{"REKEY_COMMIT", {"epoch", NULL}},
		{"KEY_ACK", {NULL}},
	};
	const char *type = text_of(frame, "type");
	struct json_object *payload = NULL;
	char line[LINE_BYTES];
	size_t len = (size_t)snprintf(line, sizeof(line), "%s", type);

	json_object_object_get_ex(frame, "payload", &payload);
	if (strcmp(type, "ROOM_SNAPSHOT") == 0) {
		render_snapshot(&c->got, payload);
		return;
	}
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (strcmp(types[i].type, type) != 0)
			continue;
		for (const char *const *m = types[i].member; *m != NULL; m++) {
			if (**m == '*')
				snprintf(c->id, sizeof(c->id), "%s", text_of(payload, *m + 1));
			else
				len += (size_t)snprintf(line + len, sizeof(line) - len, " %s",
					text_of(payload, *m));
		}
		add(&c->got, "%s", line);
		return;
	}
	fail_msg("nobody expects %s", type);
}

static void io_send(void *ctx, void *conn, const char *text, size_t len)
{
	struct connection *c = conn;
	struct json_object *frame = json_tokener_parse(text);
	struct json_object *ack = NULL, *error = NULL, *seq = NULL;

	(void)ctx;
	assert_non_null(frame);
	assert_int_equal(strlen(text), len);
	if (json_object_object_get_ex(frame, "ack", &ack)) {
		json_object_object_get_ex(ack, "error", &error);
		add(&c->got, "ACK %s", error == NULL ? "ok" : text_of(error, "code"));
	} else {
		render(c, frame);
	}
	if (json_object_object_get_ex(frame, "seq", &seq)) {
		uint64_t number = (uint64_t)json_object_get_int64(seq);

		if (c->server_seq != 0)
			assert_int_equal(number, c->server_seq + 1);
		c->server_seq = number;
	}
	json_object_put(frame);
}

static int io_auth(
	void *ctx, uint64_t session_id, uint64_t request_id, const char *token, size_t len)
{
	struct world *w = ctx;

	(void)token;
	(void)len;
	w->auth_session = session_id;
	w->auth_request = request_id;
	return 0;
}

/* ---- the model ---- */

static void tell(struct world *w, unsigned d, const char *line)
{
	add(&w->connection[d].want, "%s", line);
}

/* To all members of a room but one. */
__attribute__((format(printf, 4, 5))) static void tell_room(
	struct world *w, unsigned room, unsigned except, const char *format, ...)
{
	const struct room *r = &w->model.room[room];
	char line[LINE_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	for (unsigned i = 0; i < r->members; i++) {
		if (r->member[i] != except)
			tell(w, r->member[i], line);
	}
}

/* Objects of a kind are walked in the order of their birth: OBJECTS ends it. */
#define OLDEST(kind, condition)                                                                    \
	({                                                                                         \
		unsigned best_ = OBJECTS;                                                          \
		for (unsigned i = 0; i < OBJECTS; i++) {                                           \
			if (m->kind[i].used && (condition)                                         \
				&& (best_ == OBJECTS || m->kind[i].born < m->kind[best_].born))    \
				best_ = i;                                                         \
		}                                                                                  \
		best_;                                                                             \
	})

static void model_consumer_close(struct world *w, unsigned c, const char *reason)
{
	struct model *m = &w->model;
	struct consumer *consumer = &m->consumer[c];
	char line[LINE_BYTES];

	snprintf(line, sizeof(line), "CONSUMER_CLOSED %s %s %s", consumer->id,
		m->producer[consumer->producer].id, reason == NULL ? "" : reason);
	if (reason != NULL)
		tell(w, consumer->owner, line);
	consumer->used = false;
}

static void model_producer_close(struct world *w, unsigned p, unsigned room, const char *reason)
{
	struct model *m = &w->model;
	unsigned c;

	tell_room(
		w, room, m->producer[p].owner, "PRODUCER_REMOVED %s %s", m->producer[p].id, reason);
	while ((c = OLDEST(consumer, m->consumer[i].producer == p)) < OBJECTS)
		model_consumer_close(w, c, reason);
	m->producer[p].used = false;
}

static void model_drop_media(struct world *w, unsigned d, const char *reason)
{
	struct model *m = &w->model;
	unsigned x;

	while ((x = OLDEST(consumer, m->consumer[i].owner == d)) < OBJECTS)
		model_consumer_close(w, x, NULL);
	while ((x = OLDEST(producer, m->producer[i].owner == d)) < OBJECTS)
		model_producer_close(w, x, m->device[d].room, reason);
	while ((x = OLDEST(transport, m->transport[i].owner == d)) < OBJECTS)
		m->transport[x].used = false;
}

static void model_leave(struct world *w, unsigned d)
{
	struct model *m = &w->model;
	unsigned room = m->device[d].room, n = 0;
	struct room *r = &m->room[room];

	if (room == NOWHERE)
		return;
	for (unsigned i = 0; i < r->members; i++) {
		if (r->member[i] != d)
			r->member[n++] = r->member[i];
	}
	r->members = n;
	model_drop_media(w, d, "peer_left");
	tell_room(w, room, DEVICES, "PEER_LEFT %s d%u", room_names[room], d);
	m->device[d].room = NOWHERE;
	if (n == 0)
		*r = (struct room){0};
}

static void model_replay(struct world *w, unsigned d)
{
	struct model *m = &w->model;
	uint64_t after = 0;
	unsigned p;

	while ((p = OLDEST(producer, m->producer[i].born > after)) < OBJECTS) {
		const struct producer *producer = &m->producer[p];
		char line[LINE_BYTES];

		after = producer->born;
		if (producer->owner == d || m->device[producer->owner].room != m->device[d].room
			|| OLDEST(consumer,
				   m->consumer[i].producer == p && m->consumer[i].owner == d)
				   < OBJECTS)
			continue;
		snprintf(line, sizeof(line), "PRODUCER_ADDED %s d%u %s", producer->id,
			producer->owner, kinds[producer->audio]);
		tell(w, d, line);
	}
}

static void model_snapshot(struct world *w, unsigned d)
{
	struct model *m = &w->model;
	unsigned room = m->device[d].room;
	const struct room *r = &m->room[room];
	char line[LINE_BYTES];
	size_t len = (size_t)snprintf(line, sizeof(line), "ROOM_SNAPSHOT %s", room_names[room]);
	uint64_t after = 0;
	unsigned p;

	for (unsigned i = 0; i < r->members; i++)
		len += (size_t)snprintf(line + len, sizeof(line) - len, " d%u:%s", r->member[i],
			m->device[r->member[i]].ready ? "true" : "false");
	while ((p = OLDEST(producer, m->producer[i].born > after)) < OBJECTS) {
		const struct producer *producer = &m->producer[p];

		after = producer->born;
		if (m->device[producer->owner].room == room)
			len += (size_t)snprintf(line + len, sizeof(line) - len, " %s:d%u:%s:%s",
				producer->id, producer->owner, kinds[producer->audio],
				producer->paused ? "true" : "false");
	}
	assert_true(len < sizeof(line));
	tell(w, d, line);
}

#define FREE(kind)                                                                                 \
	({                                                                                         \
		unsigned free_ = 0;                                                                \
		while (free_ < OBJECTS && w->model.kind[free_].used)                               \
			free_++;                                                                   \
		assert_true(free_ < OBJECTS);                                                      \
		free_;                                                                             \
	})

/* ---- asking ---- */

__attribute__((format(printf, 4, 5))) static void ask(
	struct world *w, unsigned d, const char *type, const char *format, ...)
{
	struct connection *c = &w->connection[d];
	char payload[768];
	va_list args;

	va_start(args, format);
	vsnprintf(payload, sizeof(payload), format, args);
	va_end(args);
	for (char *at = payload; *at != '\0'; at++)
		*at = *at == '\'' ? '"' : *at;
	snprintf(w->what, sizeof(w->what), "%s", type);
	c->seq++;
	snprintf(c->last, sizeof(c->last),
		"{\"v\":1,\"type\":\"%s\",\"msgId\":\"%u\",\"ts\":0,\"seq\":%u,\"payload\":{%s}}",
		type, w->next_id++, c->seq, payload);
	w->auth_session = 0;
	core_session_message(c->session, c->last, strlen(c->last));
	if (w->auth_session != 0) {
		char user[8];

		snprintf(user, sizeof(user), "u%u", d);
		core_auth_result(
			w->out.core, w->auth_session, w->auth_request, AUTH_ACCEPTED, user);
	}
	while (w->media != NULL && fake_media_settle(w->media) > 0)
		;
}

static void answer(struct world *w, unsigned d, const char *outcome)
{
	struct connection *c = &w->connection[d];

	snprintf(c->outcome, sizeof(c->outcome), "ACK %s", outcome);
	tell(w, d, c->outcome);
}

/* A4.5, C4: the same again has the same outcome, and no other effect. */
static void step_again(struct world *w, unsigned d)
{
	struct connection *c = &w->connection[d];

	snprintf(w->what, sizeof(w->what), "the same again");
	core_session_message(c->session, c->last, strlen(c->last));
	tell(w, d, c->outcome);
}

/* What all in-room requests need. False: answered. */
static bool needs_room(struct world *w, unsigned d)
{
	if (!w->model.device[d].authenticated)
		answer(w, d, "UNAUTHENTICATED");
	else if (w->model.device[d].room == NOWHERE)
		answer(w, d, "UNAUTHORIZED");
	else
		return true;
	return false;
}

static bool needs_gate(struct world *w, unsigned d)
{
	if (!needs_room(w, d))
		return false;
	if (!w->model.device[d].ready)
		answer(w, d, "E2EE_NOT_READY");
	return w->model.device[d].ready;
}

static void step_create(struct world *w, unsigned d, unsigned room)
{
	struct room *r = &w->model.room[room];
	char line[LINE_BYTES];

	ask(w, d, "ROOM_CREATE", "'roomId':'%s'", room_names[room]);
	if (!w->model.device[d].authenticated) {
		answer(w, d, "UNAUTHENTICATED");
		return;
	}
	r->exists = true;
	snprintf(line, sizeof(line), "ROOM_CREATED %s %llu", room_names[room], r->epoch);
	tell(w, d, line);
	answer(w, d, "ok");
}

static void step_join(struct world *w, unsigned d, unsigned room)
{
	struct model *m = &w->model;
	struct device *device = &m->device[d];
	struct room *r = &m->room[room];
	char line[LINE_BYTES];

	ask(w, d, "ROOM_JOIN", "'roomId':'%s'", room_names[room]);
	if (!device->authenticated) {
		answer(w, d, "UNAUTHENTICATED");
		return;
	}
	if (!device->caps) {
		answer(w, d, "UNSUPPORTED_E2EE");
		return;
	}
	if (device->room != room && r->members == MEMBERS_MAX) {
		answer(w, d, "ROOM_FULL");
		return;
	}
	r->exists = true;
	if (device->room == room) {
		model_drop_media(w, d, "closed");
	} else {
		model_leave(w, d);
		device->room = room;
		r->member[r->members++] = d;
	}
	device->ready = device->had_recv = device->refused = false;
	snprintf(line, sizeof(line), "ROOM_JOIN_OK %s %llu", room_names[room], r->epoch);
	tell(w, d, line);
	snprintf(line, sizeof(line), "E2EE_POLICY true %llu", r->epoch);
	tell(w, d, line);
	model_snapshot(w, d);
	tell_room(w, room, d, "PEER_JOINED %s d%u", room_names[room], d);
	answer(w, d, "ok");
}

static void step_leave(struct world *w, unsigned d)
{
	unsigned room = w->model.device[d].room;
	char line[LINE_BYTES];

	ask(w, d, "ROOM_LEAVE", "%s", "");
	if (!w->model.device[d].authenticated) {
		answer(w, d, "UNAUTHENTICATED");
		return;
	}
	snprintf(line, sizeof(line), "ROOM_LEFT %s", room == NOWHERE ? "" : room_names[room]);
	tell(w, d, line);
	model_leave(w, d);
	answer(w, d, "ok");
}

static void step_ready(struct world *w, unsigned d)
{
	struct device *device = &w->model.device[d];
	unsigned long long epoch = device->room == NOWHERE ? 0 : w->model.room[device->room].epoch;
	bool right = roll(w, 8) != 0;

	ask(w, d, "E2EE_READY", "'epoch':%llu", right ? epoch : epoch + 1);
	if (!needs_room(w, d))
		return;
	if (!right) {
		answer(w, d, "E2EE_EPOCH_MISMATCH");
		return;
	}
	device->ready = true;
	answer(w, d, "ok");
	if (device->refused)
		model_replay(w, d);
	device->refused = false;
}

static void step_commit(struct world *w, unsigned d)
{
	struct device *device = &w->model.device[d];
	struct room *r = device->room == NOWHERE ? NULL : &w->model.room[device->room];
	unsigned long long epoch = r == NULL ? 1 : r->epoch + roll(w, 3);

	ask(w, d, "REKEY_COMMIT", "'epoch':%llu", epoch);
	if (!needs_room(w, d))
		return;
	if (epoch > r->epoch) {
		r->epoch = epoch;
		for (unsigned i = 0; i < r->members; i++)
			w->model.device[r->member[i]].ready = false;
		tell_room(w, device->room, DEVICES, "REKEY_COMMIT %llu", epoch);
	}
	answer(w, d, "ok");
}

static void step_key_ack(struct world *w, unsigned d)
{
	ask(w, d, "KEY_ACK", "'epoch':0");
	if (!needs_room(w, d))
		return;
	tell_room(w, w->model.device[d].room, DEVICES, "KEY_ACK");
	answer(w, d, "ok");
}

static void step_transport(struct world *w, unsigned d)
{
	struct model *m = &w->model;
	struct device *device = &m->device[d];
	bool send = roll(w, 2) == 0;
	struct transport *t;

	ask(w, d, "TRANSPORT_CREATE", "'direction':'%s'", send ? "send" : "recv");
	if (!needs_gate(w, d))
		return;
	t = &m->transport[FREE(transport)];
	*t = (struct transport){.used = true, .send = send, .owner = d, .born = ++m->born};
	memcpy(t->id, w->connection[d].id, sizeof(t->id));
	tell(w, d, send ? "TRANSPORT_CREATED send" : "TRANSPORT_CREATED recv");
	answer(w, d, "ok");
	if (!send && !device->had_recv) {
		model_replay(w, d);
		device->had_recv = true;
	}
}

/* Mostly one that is there, whoever has it. */
#define SOME(kind)                                                                                 \
	({                                                                                         \
		unsigned some_ = roll(w, OBJECTS), tries_ = 0;                                     \
		while (tries_++ < OBJECTS && !w->model.kind[some_].used)                           \
			some_ = (some_ + 1) % OBJECTS;                                             \
		w->model.kind[some_].used &&roll(w, 12) != 0 ? some_ : OBJECTS;                    \
	})
#define ID(kind, x) ((x) < OBJECTS ? w->model.kind[x].id : "none")
#define OWN(kind, x) ((x) < OBJECTS && w->model.kind[x].owner == d)

static bool in_room_of(const struct model *m, unsigned d, unsigned producer)
{
	return producer < OBJECTS
	       && m->device[m->producer[producer].owner].room == m->device[d].room;
}

static void step_connect(struct world *w, unsigned d)
{
	unsigned t = SOME(transport);

	ask(w, d, "TRANSPORT_CONNECT",
		"'transportId':'%s','dtlsParameters':{'fingerprints':[{'algorithm':'sha-256','"
		"value'"
		":'A'}]}",
		ID(transport, t));
	if (needs_gate(w, d))
		answer(w, d, OWN(transport, t) ? "ok" : "TRANSPORT_NOT_FOUND");
}

static void step_transport_close(struct world *w, unsigned d)
{
	struct model *m = &w->model;
	unsigned t = SOME(transport), x;

	ask(w, d, "TRANSPORT_CLOSE", "'transportId':'%s'", ID(transport, t));
	if (!needs_room(w, d))
		return;
	if (!OWN(transport, t)) {
		answer(w, d, "TRANSPORT_NOT_FOUND");
		return;
	}
	while ((x = OLDEST(consumer, m->consumer[i].owner == d && m->consumer[i].transport == t))
		< OBJECTS)
		model_consumer_close(w, x, NULL);
	while ((x = OLDEST(producer, m->producer[i].owner == d && m->producer[i].transport == t))
		< OBJECTS)
		model_producer_close(w, x, m->device[d].room, "transport_closed");
	m->transport[t].used = false;
	answer(w, d, "ok");
}

#define RTP_AUDIO                                                                                  \
	"{'codecs':[{'mimeType':'audio/opus','payloadType':111,'clockRate':48000,'channels':2}],"  \
	"'encodings':[{'ssrc':7}]}"
#define RTP_VIDEO                                                                                  \
	"{'codecs':[{'mimeType':'video/VP8','payloadType':96,'clockRate':90000}],"                 \
	"'encodings':[{'ssrc':8}]}"
#define RTP_CAPS                                                                                   \
	"{'codecs':[{'kind':'audio','mimeType':'audio/opus','preferredPayloadType':100,"           \
	"'clockRate':48000,'channels':2},{'kind':'video','mimeType':'video/VP8',"                  \
	"'preferredPayloadType':101,'clockRate':90000}]}"

static void step_produce(struct world *w, unsigned d)
{
	struct model *m = &w->model;
	unsigned t = SOME(transport);
	bool audio = roll(w, 2) == 0;
	struct producer *p;
	char line[LINE_BYTES];

	// In fallback mode those of others in the room would do as well (C14): rows show that.
	if (!OWN(transport, t))
		t = OBJECTS;
	ask(w, d, "PRODUCE", "'transportId':'%s','kind':'%s','rtpParameters':%s", ID(transport, t),
		kinds[audio], audio ? RTP_AUDIO : RTP_VIDEO);
	if (!needs_gate(w, d))
		return;
	if (t == OBJECTS || (w->media_mode && !m->transport[t].send)) {
		answer(w, d, w->media_mode ? "TRANSPORT_NOT_FOUND" : "INTERNAL_ERROR");
		return;
	}
	p = &m->producer[FREE(producer)];
	*p = (struct producer){
		.used = true, .audio = audio, .owner = d, .transport = t, .born = ++m->born};
	memcpy(p->id, w->connection[d].id, sizeof(p->id));
	snprintf(line, sizeof(line), "PRODUCED %s", kinds[audio]);
	tell(w, d, line);
	tell_room(w, m->device[d].room, d, "PRODUCER_ADDED %s d%u %s", p->id, d, kinds[audio]);
	answer(w, d, "ok");
}

static void step_consume(struct world *w, unsigned d)
{
	struct model *m = &w->model;
	unsigned p = SOME(producer), t;
	struct consumer *c;
	char line[LINE_BYTES];

	ask(w, d, "CONSUME", "'producerId':'%s','rtpCapabilities':" RTP_CAPS, ID(producer, p));
	if (needs_room(w, d) && !m->device[d].ready)
		m->device[d].refused = true;
	if (m->device[d].room == NOWHERE || !m->device[d].authenticated)
		return;
	if (!m->device[d].ready) {
		answer(w, d, "E2EE_NOT_READY");
		return;
	}
	if (!in_room_of(m, d, p)) {
		answer(w, d, "PRODUCER_NOT_FOUND");
		return;
	}
	t = OLDEST(transport, m->transport[i].owner == d && !m->transport[i].send);
	if (w->media_mode && t == OBJECTS) {
		answer(w, d, "INTERNAL_ERROR");
		return;
	}
	c = &m->consumer[FREE(consumer)];
	*c = (struct consumer){
		.used = true, .owner = d, .producer = p, .transport = t, .born = ++m->born};
	memcpy(c->id, w->connection[d].id, sizeof(c->id));
	snprintf(line, sizeof(line), "CONSUMER_ADDED %s %s", m->producer[p].id,
		kinds[m->producer[p].audio]);
	tell(w, d, line);
	answer(w, d, "ok");
}

static void step_producer(struct world *w, unsigned d)
{
	static const char *const types[] = {"PRODUCER_CLOSE", "PRODUCER_PAUSE", "PRODUCER_RESUME"};
	struct model *m = &w->model;
	unsigned p = SOME(producer), what = roll(w, 3);

	ask(w, d, types[what], "'producerId':'%s'", ID(producer, p));
	if (!needs_room(w, d))
		return;
	if (!OWN(producer, p)) {
		answer(w, d, "PRODUCER_NOT_FOUND");
		return;
	}
	if (what == 0) {
		model_producer_close(w, p, m->device[d].room, "closed");
	} else if (m->producer[p].paused != (what == 1)) {
		m->producer[p].paused = what == 1;
		tell_room(w, m->device[d].room, d, "%s %s",
			what == 1 ? "PRODUCER_PAUSED" : "PRODUCER_RESUMED", m->producer[p].id);
	}
	answer(w, d, "ok");
}

static void step_consumer(struct world *w, unsigned d)
{
	static const char *const types[]
		= {"CONSUMER_CLOSE", "CONSUMER_PAUSE", "CONSUMER_SET_LAYERS", "CONSUMER_RESUME"};
	unsigned c = SOME(consumer), what = roll(w, 4);

	ask(w, d, types[what], "'consumerId':'%s','spatialLayer':1", ID(consumer, c));
	if (!needs_room(w, d))
		return;
	if (!OWN(consumer, c) && what != 3) {
		answer(w, d, "CONSUMER_NOT_FOUND");
		return;
	}
	if (what == 0)
		w->model.consumer[c].used = false;
	answer(w, d, "ok");
}

static void step_small(struct world *w, unsigned d)
{
	const struct device *device = &w->model.device[d];
	char line[LINE_BYTES];

	switch (roll(w, 4)) {
	case 0:
		ask(w, d, "PING", "%s", "");
		answer(w, d, "ok");
		break;
	case 1:
		ask(w, d, "REKEY_DANCE", "%s", "");
		answer(w, d, "VALIDATION_FAILED");
		break;
	case 2:
		ask(w, d, "GET_ROUTER_RTP_CAPABILITIES", "%s", "");
		if (!needs_room(w, d))
			break;
		snprintf(
			line, sizeof(line), "ROUTER_RTP_CAPABILITIES %s", room_names[device->room]);
		tell(w, d, line);
		answer(w, d, "ok");
		break;
	default:
		ask(w, d, "ICE_RESTART", "%s", "");
		if (!device->authenticated) {
			answer(w, d, "UNAUTHENTICATED");
			break;
		}
		snprintf(line, sizeof(line), "ICE_RESTART_OK %s",
			device->room == NOWHERE ? "-" : room_names[device->room]);
		tell(w, d, line);
		answer(w, d, "ok");
	}
}

static void step_hello(struct world *w, unsigned d)
{
	ask(w, d, "HELLO", "'client':{'deviceId':'d%u'}", d);
	tell(w, d, "WELCOME");
	answer(w, d, "ok");
}

static void step_auth(struct world *w, unsigned d)
{
	char line[LINE_BYTES];

	ask(w, d, "AUTH", "'accessToken':'t'");
	w->model.device[d].authenticated = true;
	snprintf(line, sizeof(line), "AUTH_OK u%u d%u", d, d);
	tell(w, d, line);
	answer(w, d, "ok");
}

static void step_caps(struct world *w, unsigned d)
{
	bool good = roll(w, 10) != 0;

	ask(w, d, "E2EE_CAPS", "'insertableStreams':%s", good ? "true" : "false");
	if (!w->model.device[d].authenticated) {
		answer(w, d, "UNAUTHENTICATED");
		return;
	}
	w->model.device[d].caps = good;
	answer(w, d, good ? "ok" : "UNSUPPORTED_E2EE");
}

static void connect_device(struct world *w, unsigned d)
{
	struct connection *c = &w->connection[d];

	memset(c, 0, sizeof(*c));
	w->model.device[d] = (struct device){.room = NOWHERE};
	c->session = core_session_open(w->out.core, c, "192.0.2.9");
	assert_non_null(c->session);
	// Who a device is it says first, or its name would be the core's.
	step_hello(w, d);
}

static void step_close(struct world *w, unsigned d)
{
	snprintf(w->what, sizeof(w->what), "a lost socket");
	core_session_close(w->connection[d].session, roll(w, 2) == 0);
	while (w->media != NULL && fake_media_settle(w->media) > 0)
		;
	model_leave(w, d);
	w->connection[d].session = NULL;
	w->connection[d].want.count = w->connection[d].got.count = 0;
}

static void step(struct world *w, unsigned d)
{
	const struct device *device = &w->model.device[d];

	if (w->connection[d].session == NULL) {
		connect_device(w, d);
		return;
	}
	if (roll(w, 60) == 0) {
		step_close(w, d);
		return;
	}
	if (w->connection[d].last[0] != '\0' && roll(w, 12) == 0) {
		step_again(w, d);
		return;
	}
	// Mostly what brings a device on.
	if (roll(w, 4) != 0 && (!device->authenticated || !device->caps)) {
		if (!device->authenticated)
			step_auth(w, d);
		else
			step_caps(w, d);
		return;
	}
	if (roll(w, 4) != 0 && device->room == NOWHERE) {
		step_join(w, d, roll(w, 4) == 0 ? 1 : 0);
		return;
	}
	if (roll(w, 3) != 0 && device->room != NOWHERE && !device->ready) {
		step_ready(w, d);
		return;
	}
	switch (roll(w, 24)) {
	case 0:
		step_create(w, d, roll(w, ROOMS));
		break;
	case 1:
		step_leave(w, d);
		break;
	case 2:
		step_ready(w, d);
		break;
	case 3:
		step_commit(w, d);
		break;
	case 4:
		step_key_ack(w, d);
		break;
	case 5:
	case 6:
	case 7:
		step_transport(w, d);
		break;
	case 8:
		step_connect(w, d);
		break;
	case 9:
		step_transport_close(w, d);
		break;
	case 10:
	case 11:
	case 12:
	case 13:
		step_produce(w, d);
		break;
	case 14:
	case 15:
	case 16:
	case 17:
		step_consume(w, d);
		break;
	case 18:
		step_producer(w, d);
		break;
	case 19:
	case 20:
		step_consumer(w, d);
		break;
	case 21:
		step_small(w, d);
		break;
	case 22:
		if (roll(w, 2) == 0)
			step_hello(w, d);
		else
			step_auth(w, d);
		break;
	default:
		step_join(w, d, roll(w, 4) == 0 ? 1 : 0);
	}
}

/* ---- comparing ---- */

static void show(const char *name, const struct lines *l)
{
	for (unsigned i = 0; i < l->count; i++)
		fprintf(stderr, "  %s: %s\n", name, l->line[i]);
}

static void compare(struct world *w, unsigned asked)
{
	const struct model *m = &w->model;
	unsigned transports = 0, producers = 0, consumers = 0, rooms = 0, members = 0;
	struct core_figures f;

	for (unsigned d = 0; d < DEVICES; d++) {
		struct connection *c = &w->connection[d];
		bool same = c->got.count == c->want.count;

		for (unsigned i = 0; same && i < c->got.count; i++)
			same = strcmp(c->got.line[i], c->want.line[i]) == 0;
		if (!same) {
			fprintf(stderr, "seed %llu, %s, step %u: d%u: %s; d%u was sent\n",
				(unsigned long long)w->first_seed,
				w->media_mode ? "media" : "fallback", w->step, asked, w->what, d);
			show("got ", &c->got);
			show("want", &c->want);
			fflush(NULL);
			_Exit(1);
		}
		c->got.count = c->want.count = 0;
	}
	for (unsigned i = 0; i < OBJECTS; i++) {
		transports += m->transport[i].used;
		producers += m->producer[i].used;
		consumers += m->consumer[i].used;
	}
	for (unsigned i = 0; i < ROOMS; i++) {
		rooms += m->room[i].exists;
		members += m->room[i].members;
	}
	core_figures(w->out.core, &f);
	assert_int_equal(f.rooms, rooms);
	assert_int_equal(f.room_peers, members);
	assert_int_equal(f.transports, transports);
	assert_int_equal(f.producers, producers);
	assert_int_equal(f.consumers, consumers);
}

static void run(uint64_t seed, bool media_mode, unsigned length)
{
	static struct world world;
	struct world *w = &world;
	struct config config;
	struct core_io io;

	memset(w, 0, sizeof(*w));
	io = outside_io(&w->out, io_send, outside_no_close, io_auth);
	assert_int_equal(config_init(&config), 0);
	config.max_participants = MEMBERS_MAX;
	config.empty_room_sec = 0;
	config.auth_deadline_sec = 0;
	config.rekey_begin_rate = 0;
	w->out.seed = w->first_seed = seed;
	w->out.now_us = 1000000;
	w->media_mode = media_mode;
	w->media = media_mode ? fake_media_create() : NULL;
	w->out.core = core_create(&config, &io, w->media);
	assert_non_null(w->out.core);
	if (media_mode)
		fake_media_attach(w->media, true);
	for (unsigned d = 0; d < DEVICES; d++)
		w->model.device[d].room = NOWHERE;
	for (w->step = 0; w->step < length; w->step++) {
		unsigned d = roll(w, DEVICES);

		w->out.now_us += 1000;
		step(w, d);
		compare(w, d);
		if (media_mode)
			fake_media_log_clear(w->media);
	}
	for (unsigned d = 0; d < DEVICES; d++) {
		if (w->connection[d].session != NULL)
			core_session_close(w->connection[d].session, true);
	}
	core_destroy(w->out.core);
	if (media_mode)
		assert_int_equal(fake_media_objects(w->media), 0);
	fake_media_destroy(w->media);
	config_fini(&config);
}

static uint64_t wanted(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static void test_calls(void **state)
{
	uint64_t sequences = wanted("SFU_CALLS_SEQUENCES", 4000);
	unsigned length = (unsigned)wanted("SFU_CALLS_LENGTH", 50);

	(void)state;
	for (uint64_t i = 0; i < sequences; i++)
		run(i + 1, i % 2 != 0, length);
	printf("%llu sequences of %u steps\n", (unsigned long long)sequences, length);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls),
	};

	log_set_level(LOG_LEVEL_NONE);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
