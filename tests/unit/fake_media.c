// SPDX-License-Identifier: BSD-3-Clause
#include "tests/unit/fake_media.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_OBJECTS 512
#define MAX_PENDING 64
#define LOG_BYTES 65536

enum kind { NONE, ROOM, PEER, TRANSPORT, PRODUCER, CONSUMER };

struct object {
	enum kind kind;
	unsigned number; /* in its kind, for the log */
	uint64_t handle;
	uint64_t parent, parent2;
	char label[40];
	bool send;
	bool claimed;
	uint32_t ssrc;
	unsigned restarts;
	uint64_t open_until_us; /* of a peer */
	struct sfu_put_room room;
	struct sfu_put_producer producer;
	struct sfu_put_consumer consumer;
};

struct pending {
	media_done_fn done;
	void *ctx;
	uint64_t handle;
};

struct media {
	bool attached, held;
	bool lost; /* when it comes back */
	bool foreign;
	bool killed; /* calls have no effect */
	enum media_result answer;
	int refuse;
	struct media_notices notices;
	bool has_notices;
	struct media_info info;
	struct object objects[MAX_OBJECTS];
	unsigned numbers[CONSUMER + 1];
	uint64_t last_handle;
	uint32_t last_ssrc;
	struct pending pending[MAX_PENDING];
	unsigned pending_count;
	char log[LOG_BYTES];
	size_t log_len;
	unsigned depth; /* inside a notice or an answer */
};

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "fake_media:%d: %s\n%s", __LINE__, #condition, m->log);    \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

static void __attribute__((format(printf, 2, 3))) note(struct media *m, const char *format, ...)
{
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(m->log + m->log_len, LOG_BYTES - m->log_len, format, args);
	va_end(args);
	CHECK(len > 0 && (size_t)len < LOG_BYTES - m->log_len);
	m->log_len += (size_t)len;
}

static void note_exts(struct media *m, const struct sfu_ext_id *ext, size_t count)
{
	for (size_t i = 0; i < count; i++)
		note(m, "%s%u:%u", i == 0 ? " exts=" : ",", ext[i].id, ext[i].ext);
	note(m, "\n");
}

static struct object *find(struct media *m, enum kind kind, uint64_t handle)
{
	for (size_t i = 0; i < MAX_OBJECTS; i++) {
		if (m->objects[i].kind == kind && m->objects[i].handle == handle)
			return &m->objects[i];
	}
	return NULL;
}

static struct object *must_find(struct media *m, enum kind kind, uint64_t handle)
{
	struct object *o = find(m, kind, handle);

	CHECK(o != NULL);
	return o;
}

static struct object *add(struct media *m, enum kind kind, uint64_t parent)
{
	for (size_t i = 0; i < MAX_OBJECTS; i++) {
		struct object *o = &m->objects[i];

		if (o->kind != NONE)
			continue;
		memset(o, 0, sizeof(*o));
		o->kind = kind;
		o->number = ++m->numbers[kind];
		o->handle = ++m->last_handle | UINT64_C(1) << 32;
		o->parent = parent;
		return o;
	}
	CHECK(!"objects left");
	return NULL;
}

/* With all that hangs on it. */
static void drop(struct media *m, uint64_t handle)
{
	bool again = true;

	for (size_t i = 0; i < MAX_OBJECTS; i++) {
		if (m->objects[i].handle == handle)
			memset(&m->objects[i], 0, sizeof(m->objects[i]));
	}
	while (again) {
		again = false;
		for (size_t i = 0; i < MAX_OBJECTS; i++) {
			struct object *o = &m->objects[i];
			bool orphan = false;

			if (o->kind == NONE || o->kind == ROOM)
				continue;
			orphan = !find(m,
				(enum kind)(o->kind == PRODUCER || o->kind == CONSUMER
						    ? TRANSPORT
						    : o->kind - 1),
				o->parent);
			if (o->kind == CONSUMER && !find(m, PRODUCER, o->parent2))
				orphan = true;
			if (orphan) {
				memset(o, 0, sizeof(*o));
				again = true;
			}
		}
	}
}

static void wait_for(struct media *m, media_done_fn done, void *ctx, uint64_t handle)
{
	CHECK(m->pending_count < MAX_PENDING);
	m->pending[m->pending_count++] = (struct pending){done, ctx, handle};
}

static void answer(struct media *m, enum media_result result)
{
	struct pending p = m->pending[0];

	m->pending_count--;
	memmove(&m->pending[0], &m->pending[1], m->pending_count * sizeof(p));
	p.done(p.ctx, result);
}

struct media *fake_media_create(void)
{
	struct media *m = calloc(1, sizeof(*m));

	m->info.address_count = 1;
	m->info.address[0].family = 4;
	m->info.address[0].port = FAKE_MEDIA_PORT;
	inet_pton(AF_INET, FAKE_MEDIA_IP, m->info.address[0].addr);
	m->answer = MEDIA_OK;
	m->last_ssrc = 1000;
	return m;
}

void fake_media_destroy(struct media *m)
{
	if (m == NULL)
		return;
	CHECK(m->pending_count == 0);
	free(m);
}

static void end(struct media *m, uint64_t transport)
{
	if (m->has_notices)
		m->notices.on_transport_end(m->notices.ctx, transport, MEDIA_END_DATAPLANE);
	CHECK(find(m, TRANSPORT, transport) == NULL);
}

void fake_media_lose(struct media *m)
{
	m->lost = true;
}

void fake_media_attach(struct media *m, bool attached)
{
	if (attached && m->lost) {
		for (size_t i = 0; i < MAX_OBJECTS; i++)
			if (m->objects[i].kind == TRANSPORT)
				end(m, m->objects[i].handle);
	}
	m->lost = m->foreign = false;
	m->attached = attached;
	if (m->has_notices)
		m->notices.on_attached(m->notices.ctx, attached);
	if (!attached) {
		while (m->pending_count > 0)
			answer(m, MEDIA_UNAVAILABLE);
	}
}

void fake_media_set_foreign(struct media *m, bool foreign)
{
	m->foreign = foreign;
}

void fake_media_kill(struct media *m)
{
	m->killed = true;
	m->attached = false;
	m->has_notices = false;
	while (m->pending_count > 0)
		answer(m, MEDIA_UNAVAILABLE);
}

void fake_media_hold(struct media *m, bool held)
{
	m->held = held;
}

void fake_media_answer(struct media *m, enum media_result result)
{
	m->answer = result;
}

void fake_media_refuse(struct media *m, int error)
{
	m->refuse = error;
}

unsigned fake_media_settle(struct media *m)
{
	unsigned count = 0;

	while (!m->held && m->pending_count > 0) {
		answer(m, m->answer);
		count++;
	}
	return count;
}

void fake_media_end(struct media *m, const char *label, enum media_transport_end why)
{
	for (size_t i = 0; i < MAX_OBJECTS; i++) {
		struct object *o = &m->objects[i];

		if (o->kind == TRANSPORT && strcmp(o->label, label) == 0) {
			m->notices.on_transport_end(m->notices.ctx, o->handle, why);
			return;
		}
	}
	CHECK(!"transport of that label");
}

static const struct object *labelled(const struct media *m, const char *label)
{
	for (size_t i = 0; i < MAX_OBJECTS; i++) {
		const struct object *o = &m->objects[i];

		if (o->kind == TRANSPORT && strcmp(o->label, label) == 0)
			return o;
	}
	return NULL;
}

void fake_media_speak(struct media *m, const char *label)
{
	const struct object *t = labelled(m, label);

	CHECK(t != NULL);
	for (size_t i = 0; i < MAX_OBJECTS; i++) {
		const struct object *o = &m->objects[i];

		if (o->kind == PRODUCER && o->parent == t->handle) {
			m->notices.on_speaker(m->notices.ctx, t->handle, o->handle);
			return;
		}
	}
	// One that is gone: the notice was on its way.
	m->notices.on_speaker(m->notices.ctx, t->handle, 12345);
}

const char *fake_media_log(const struct media *m)
{
	return m->log;
}

void fake_media_log_clear(struct media *m)
{
	m->log_len = 0;
	m->log[0] = '\0';
}

unsigned fake_media_objects(const struct media *m)
{
	unsigned count = 0;

	for (size_t i = 0; i < MAX_OBJECTS; i++)
		count += m->objects[i].kind != NONE;
	return count;
}

/* media_setup.h */

void media_set_notices(struct media *m, const struct media_notices *notices)
{
	m->has_notices = notices != NULL;
	if (notices != NULL)
		m->killed = false;
	if (notices != NULL) {
		m->notices = *notices;
		return;
	}
	while (m->pending_count > 0)
		answer(m, MEDIA_UNAVAILABLE);
}

/* media.h */

bool media_attached(const struct media *m)
{
	return m->attached;
}

bool media_foreign(const struct media *m)
{
	CHECK(!m->killed);
	return m->foreign;
}

const struct media_info *media_info(const struct media *m)
{
	return m->attached ? &m->info : NULL;
}

const char *media_fingerprint(const struct media *m)
{
	(void)m;
	return FAKE_MEDIA_FINGERPRINT;
}

int media_room_put(struct media *m, uint64_t *room, const struct sfu_put_room *as)
{
	struct object *o;

	if (!m->attached && *room == 0)
		return -EAGAIN;
	o = *room == 0 ? add(m, ROOM, 0) : must_find(m, ROOM, *room);
	*room = o->handle;
	o->room = *as;
	note(m, "room R%u required=%d epoch=%llu older=%llu stale=%u\n", o->number, as->required,
		(unsigned long long)as->epoch, (unsigned long long)as->older_until_us, as->stale);
	return 0;
}

void media_room_delete(struct media *m, uint64_t room)
{
	if (m->killed)
		return;
	note(m, "delete room R%u\n", must_find(m, ROOM, room)->number);
	drop(m, room);
}

int media_peer_put(struct media *m, uint64_t *peer, uint64_t room, uint64_t open_until_us)
{
	struct object *o;

	if (!m->attached && *peer == 0)
		return -EAGAIN;
	must_find(m, ROOM, room);
	o = *peer == 0 ? add(m, PEER, room) : must_find(m, PEER, *peer);
	*peer = o->handle;
	o->open_until_us = open_until_us;
	if (open_until_us == UINT64_MAX)
		note(m, "peer P%u open\n", o->number);
	else
		note(m, "peer P%u until=%llu\n", o->number, (unsigned long long)open_until_us);
	return 0;
}

void media_peer_delete(struct media *m, uint64_t peer)
{
	if (m->killed)
		return;
	note(m, "delete peer P%u\n", must_find(m, PEER, peer)->number);
	drop(m, peer);
}

static int refusal(struct media *m)
{
	int error = m->refuse;

	m->refuse = 0;
	return error;
}

int media_transport_create(struct media *m, uint64_t peer, bool send, const char *label,
	uint64_t *transport, struct media_ice *ice, media_done_fn done, void *ctx)
{
	struct object *o;
	int error = refusal(m);

	if (error != 0 || !m->attached)
		return error != 0 ? error : -EAGAIN;
	must_find(m, PEER, peer);
	o = add(m, TRANSPORT, peer);
	snprintf(o->label, sizeof(o->label), "%s", label);
	o->send = send;
	*transport = o->handle;
	snprintf(ice->ufrag, sizeof(ice->ufrag), "ufrag%u", o->number);
	snprintf(ice->pwd, sizeof(ice->pwd), "password%u", o->number);
	note(m, "transport T%u %s\n", o->number, send ? "send" : "recv");
	wait_for(m, done, ctx, o->handle);
	return 0;
}

int media_transport_restart(
	struct media *m, uint64_t transport, struct media_ice *ice, media_done_fn done, void *ctx)
{
	struct object *o = must_find(m, TRANSPORT, transport);
	int error = refusal(m);

	if (error != 0 || !m->attached)
		return error != 0 ? error : -EAGAIN;
	o->restarts++;
	snprintf(ice->ufrag, sizeof(ice->ufrag), "ufrag%u.%u", o->number, o->restarts);
	snprintf(ice->pwd, sizeof(ice->pwd), "password%u.%u", o->number, o->restarts);
	note(m, "restart T%u\n", o->number);
	wait_for(m, done, ctx, 0);
	return 0;
}

int media_transport_connect(struct media *m, uint64_t transport, const char *role,
	const struct media_fingerprint *fingerprints, size_t count)
{
	const struct object *o = must_find(m, TRANSPORT, transport);

	if (strcmp(role, "server") == 0)
		return -EINVAL;
	note(m, "connect T%u %s %zu %s %s\n", o->number, role, count, fingerprints[0].algorithm,
		fingerprints[0].value);
	return 0;
}

void media_transport_delete(struct media *m, uint64_t transport)
{
	if (m->killed)
		return;
	note(m, "delete transport T%u\n", must_find(m, TRANSPORT, transport)->number);
	drop(m, transport);
}

int media_producer_create(struct media *m, const struct sfu_put_producer *p, uint64_t *producer,
	media_done_fn done, void *ctx)
{
	struct object *o;
	int error = refusal(m);

	if (error != 0 || !m->attached)
		return error != 0 ? error : -EAGAIN;
	CHECK(must_find(m, TRANSPORT, p->transport)->send);
	CHECK(p->kind == SFU_AUDIO || p->kind == SFU_VIDEO);
	CHECK(p->encoding_count >= 1 && p->encoding_count <= SFU_MAX_ENCODINGS);
	o = add(m, PRODUCER, p->transport);
	o->producer = *p;
	*producer = o->handle;
	note(m,
		"producer D%u kind=%u flags=%u pt=%u->%u encodings=%u ssrc=%u cname=%.*s "
		"frames=%u:%u+%u",
		o->number, p->kind, p->flags, p->codec[0].payload_type,
		p->codec[0].mapped_payload_type, p->encoding_count, p->encoding[0].ssrc,
		p->cname_len, p->cname, p->frame_format, p->kid_epoch_shift, p->kid_epoch_bits);
	note_exts(m, p->ext, p->ext_count);
	wait_for(m, done, ctx, o->handle);
	return 0;
}

int media_producer_put(struct media *m, uint64_t producer, const struct sfu_put_producer *p)
{
	struct object *o = must_find(m, PRODUCER, producer);

	o->producer = *p;
	note(m, "producer D%u flags=%u\n", o->number, p->flags);
	return 0;
}

void media_producer_delete(struct media *m, uint64_t producer)
{
	if (m->killed)
		return;
	note(m, "delete producer D%u\n", must_find(m, PRODUCER, producer)->number);
	drop(m, producer);
}

int media_consumer_create(struct media *m, const struct sfu_put_consumer *c, uint64_t *consumer,
	media_done_fn done, void *ctx)
{
	struct object *o;
	int error = refusal(m);

	if (error != 0 || !m->attached)
		return error != 0 ? error : -EAGAIN;
	CHECK(!must_find(m, TRANSPORT, c->transport)->send);
	must_find(m, PRODUCER, c->producer);
	CHECK(c->payload_type_count >= 1 && c->payload_type_count <= SFU_MAX_CODECS);
	for (size_t i = 0; i < MAX_OBJECTS; i++)
		CHECK(m->objects[i].kind != CONSUMER || m->objects[i].ssrc != c->ssrc);
	o = add(m, CONSUMER, c->transport);
	o->parent2 = c->producer;
	o->ssrc = c->ssrc;
	o->consumer = *c;
	*consumer = o->handle;
	note(m, "consumer C%u pt=%u mid=%.*s encoding=%u", o->number, c->payload_type[0],
		c->mid_len, c->mid, c->encoding);
	note_exts(m, c->ext, c->ext_count);
	wait_for(m, done, ctx, o->handle);
	return 0;
}

int media_consumer_put(struct media *m, uint64_t consumer, const struct sfu_put_consumer *c)
{
	struct object *o = must_find(m, CONSUMER, consumer);

	o->consumer = *c;
	note(m, "consumer C%u flags=%u encoding=%u\n", o->number, c->flags, c->encoding);
	return 0;
}

void media_consumer_delete(struct media *m, uint64_t consumer)
{
	if (m->killed)
		return;
	note(m, "delete consumer C%u\n", must_find(m, CONSUMER, consumer)->number);
	drop(m, consumer);
}

void media_consumer_key_frame(struct media *m, uint64_t consumer)
{
	note(m, "key frame C%u\n", must_find(m, CONSUMER, consumer)->number);
}

uint32_t media_ssrc_new(struct media *m)
{
	m->last_ssrc += 2;
	return m->last_ssrc;
}

void media_ring_depths(struct media *m, uint32_t depths[SFU_RING_COUNT])
{
	(void)m;
	memset(depths, 0, SFU_RING_COUNT * sizeof(depths[0]));
}

const uint64_t *media_stats(struct media *m)
{
	(void)m;
	return NULL;
}

/* What was not there when its maker was killed is told of to its successor by nobody. */
void media_restore(struct media *m, const struct memory *memory)
{
	(void)m;
	(void)memory;
}

bool media_claim(struct media *m, enum sfu_object_kind kind, uint64_t handle)
{
	struct object *o = find(m, (enum kind)kind, handle);

	if (o != NULL)
		o->claimed = true;
	return o != NULL;
}

void media_sweep(struct media *m)
{
	for (size_t i = 0; i < MAX_OBJECTS; i++) {
		if (m->objects[i].kind != NONE && !m->objects[i].claimed)
			drop(m, m->objects[i].handle);
		m->objects[i].claimed = false;
	}
}

void media_remember_all(struct media *m)
{
	(void)m;
}

void media_let_go(struct media *m)
{
	m->killed = true;
}

void media_room_get(const struct media *m, uint64_t room, struct sfu_put_room *out)
{
	struct media *any = (struct media *)(uintptr_t)m;

	*out = must_find(any, ROOM, room)->room;
}

void media_producer_get(const struct media *m, uint64_t producer, struct sfu_put_producer *out)
{
	struct media *any = (struct media *)(uintptr_t)m;

	*out = must_find(any, PRODUCER, producer)->producer;
}

void media_consumer_get(const struct media *m, uint64_t consumer, struct sfu_put_consumer *out)
{
	struct media *any = (struct media *)(uintptr_t)m;

	*out = must_find(any, CONSUMER, consumer)->consumer;
}

uint64_t media_peer_open_until(const struct media *m, uint64_t peer)
{
	struct media *any = (struct media *)(uintptr_t)m;

	return must_find(any, PEER, peer)->open_until_us;
}
