// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/restore.h"

#include "sfu-ctl/attach.h"
#include "sfu-ctl/consumer.h"
#include "sfu-ctl/core_impl.h"
#include "sfu-ctl/log.h"
#include "sfu-ctl/media_setup.h"
#include "sfu-ctl/memory.h"
#include "sfu-ctl/payload.h"
#include "sfu-ctl/producer.h"
#include "sfu-ctl/rekey_watch.h"
#include "sfu-ctl/remember.h"
#include "sfu-ctl/resume.h"
#include "sfu-ctl/room.h"
#include "sfu-ctl/session.h"
#include "sfu-ctl/transport.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct restoring {
	struct core *c;
	struct restored *out;
	struct table peers; /* by number */
	bool (*restore)(struct restoring *r, const char *id, const struct json_object *o);
	unsigned *restored; /* of out: where that counts */
};

static uint64_t number_of(const struct json_object *o, const char *name)
{
	return json_object_get_uint64(field_get(o, name));
}

/* "" when it is not there. */
static const char *string_of(const struct json_object *o, const char *name)
{
	struct json_object *value = field_get(o, name);

	return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";
}

/* A handle that media knows as well. 0 is fine. */
static bool claim(struct core *c, enum sfu_object_kind kind, uint64_t handle)
{
	return handle == 0 || (c->media != NULL && media_claim(c->media, kind, handle));
}

/* NULL when it is not there. */
static struct peer *peer_numbered(const struct restoring *r, const struct json_object *o)
{
	uint64_t number = number_of(o, "peer");
	struct table_node *node = table_find(&r->peers, &number, sizeof(number));

	return node == NULL ? NULL : container_of(node, struct peer, by_number);
}

static bool restore_room(struct restoring *r, const char *id, const struct json_object *o)
{
	struct room *room = room_create(r->c, id, string_of(o, "call"), string_of(o, "region"));

	if (room == NULL)
		return false;
	if (field_get(o, "creator") != NULL)
		room->creator = strdup(string_of(o, "creator"));
	room->allowed = json_object_get(field_array(o, "allowed"));
	if (!field_is_true(o, "unused"))
		room_used(room);
	room->created_us = number_of(o, "created");
	room->member_set_version = number_of(o, "members");
	room->version = number_of(o, "version");
	room->e2ee.required = field_is_true(o, "required");
	room->e2ee.epoch = number_of(o, "epoch");
	room->older_until_us = number_of(o, "older");
	room->drop_stale = field_is_true(o, "drop");
	room->media = number_of(o, "media");
	if (!claim(r->c, SFU_KIND_ROOM, room->media))
		room->media = 0;
	if (room->media != 0)
		media_room_get(r->c->media, room->media, &room->programmed);
	return true;
}

static bool restore_session(struct restoring *r, const char *id, const struct json_object *o)
{
	struct session *s = session_restore(
		r->c, strtoull(id, NULL, 10), string_of(o, "device"), string_of(o, "user"));

	if (s == NULL)
		return false;
	s->expires_sec = number_of(o, "expires");
	s->caps_insertable_streams = field_is_true(o, "streams");
	s->caps_sframe = field_is_true(o, "sframe");
	s->caps_double_ratchet = field_is_true(o, "ratchet");
	s->caps_frames.format = (uint8_t)number_of(o, "format");
	s->caps_frames.epoch_shift = (uint8_t)number_of(o, "shift");
	s->caps_frames.epoch_bits = (uint8_t)number_of(o, "bits");
	s->wants_resume = field_is_true(o, "resume");
	s->wants_speaker = field_is_true(o, "speaker");
	resume_restore(s, string_of(o, "token"));
	return true;
}

static bool restore_peer(struct restoring *r, const char *id, const struct json_object *o)
{
	struct room *room = room_find(r->c, string_of(o, "room"));
	struct session *s = session_find(r->c, number_of(o, "session"));
	struct peer *p = NULL;

	if (room != NULL && s != NULL && s->peer == NULL)
		p = peer_restore(room, s, strtoull(id, NULL, 10), string_of(o, "device"),
			string_of(o, "user"));
	if (p == NULL)
		return false;
	p->e2ee.ready = field_is_true(o, "ready");
	p->e2ee.open_until_us = number_of(o, "open");
	p->had_recv_transport = field_is_true(o, "recv");
	p->consume_refused = field_is_true(o, "refused");
	p->media = number_of(o, "media");
	if (!claim(r->c, SFU_KIND_PEER, p->media))
		p->media = 0;
	if (p->media != 0)
		p->programmed_open_us = media_peer_open_until(r->c->media, p->media);
	if (table_add(&r->peers, &p->by_number, &p->number, sizeof(p->number)) < 0)
		r->out->refused++;
	return true;
}

static bool restore_transport(struct restoring *r, const char *id, const struct json_object *o)
{
	struct peer *p = peer_numbered(r, o);
	uint64_t media = number_of(o, "media");
	struct transport *t = NULL;

	if (p != NULL && claim(r->c, SFU_KIND_TRANSPORT, media))
		t = transport_restore(p, id, field_is_true(o, "send"));
	if (t == NULL)
		return false;
	if (media != 0 && transport_set_media(t, media) < 0) {
		transport_destroy(t);
		return false;
	}
	t->live = true;
	t->next_mid = (uint32_t)number_of(o, "mid");
	snprintf(t->cname, sizeof(t->cname), "%s", string_of(o, "cname"));
	return true;
}

static bool restore_producer(struct restoring *r, const char *id, const struct json_object *o)
{
	struct peer *p = peer_numbered(r, o);
	uint64_t media = number_of(o, "media");
	struct transport *t = transport_find(r->c, string_of(o, "transport"));
	struct producer *producer = NULL;

	// The transport is another's only in fallback mode, and then it may be gone.
	if (p != NULL && claim(r->c, SFU_KIND_PRODUCER, media) && (t != NULL || media == 0))
		producer = producer_restore(p, t, id, field_is_true(o, "audio"));
	if (producer == NULL)
		return false;
	producer->paused = field_is_true(o, "paused");
	producer->media = media;
	if (media != 0) {
		media_producer_get(r->c->media, media, &producer->put);
		producer->paused = (producer->put.flags & SFU_PRODUCER_PAUSED) != 0;
	}
	producer->consumable = json_object_get(field_object(o, "consumable"));
	return true;
}

static bool restore_consumer(struct restoring *r, const char *id, const struct json_object *o)
{
	struct peer *p = peer_numbered(r, o);
	uint64_t media = number_of(o, "media");
	struct producer *producer = producer_find(r->c, string_of(o, "producer"));
	struct transport *t = transport_find(r->c, string_of(o, "transport"));
	struct consumer *consumer = NULL;

	if (p != NULL && producer != NULL && (t != NULL || media == 0)
		&& claim(r->c, SFU_KIND_CONSUMER, media))
		consumer = consumer_restore(p, producer, t, id);
	if (consumer == NULL)
		return false;
	consumer->paused = field_is_true(o, "paused");
	consumer->media = media;
	if (media != 0) {
		media_consumer_get(r->c->media, media, &consumer->put);
		consumer->paused = (consumer->put.flags & SFU_CONSUMER_PAUSED) != 0;
	}
	return true;
}

static void restore_one(void *ctx, const char *id, const char *text)
{
	struct restoring *r = ctx;
	struct json_object *o = json_tokener_parse(text);

	if (json_object_is_type(o, json_type_object) && r->restore(r, id, o))
		++*r->restored;
	else
		r->out->refused++;
	json_object_put(o);
}

/* Rooms whose members did not come along, and a rekey that was under way. */
static void settle_rooms(struct core *c)
{
	struct room *room, *next;
	struct peer *p;

	for (room = TAILQ_FIRST(&c->room_list); room != NULL; room = next) {
		next = TAILQ_NEXT(room, link);
		if (TAILQ_EMPTY(&room->peers) && !room->unused) {
			// Its members may still come, with keys of its epochs.
			numbering_raise_epoch(&c->numbering, room->e2ee.epoch);
			room_destroy(room);
			continue;
		}
		TAILQ_FOREACH (p, &room->peers, link) {
			if (e2ee_gate_open(&room->e2ee, &p->e2ee))
				continue;
			rekey_watch_joined(p);
			break;
		}
	}
}

void core_restore(struct core *c, const struct memory *memory, struct restored *out)
{
	const struct {
		const char *kind;
		bool (*restore)(struct restoring *r, const char *id, const struct json_object *o);
		unsigned *restored;
	} kinds[] = {
		{"room", restore_room, &out->rooms},
		{"session", restore_session, &out->sessions},
		{"peer", restore_peer, &out->peers},
		{"transport", restore_transport, &out->transports},
		{"producer", restore_producer, &out->producers},
		{"consumer", restore_consumer, &out->consumers},
	};
	struct restoring r = {.c = c, .out = out};

	memset(out, 0, sizeof(*out));
	table_init(&r.peers, c->hash_key);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		r.restore = kinds[i].restore;
		r.restored = kinds[i].restored;
		memory_each(memory, kinds[i].kind, restore_one, &r);
	}
	table_fini(&r.peers);
	if (c->media != NULL)
		media_sweep(c->media);
	if (c->media != NULL && memory_find(memory, "core", "mode") != NULL)
		attach_restored(c);
	settle_rooms(c);
	if (memory_count(memory) > 0)
		log_info("restore", "restored", log_num("rooms", out->rooms),
			log_num("sessions", out->sessions), log_num("peers", out->peers),
			log_num("transports", out->transports),
			log_num("producers", out->producers), log_num("consumers", out->consumers),
			log_num("refused", out->refused));
}

void core_remember_all(const struct core *c)
{
	const struct room *room;
	const struct session *s;
	const struct peer *p;
	const struct transport *t;
	const struct producer *producer;
	const struct consumer *consumer;

	remember_mode(c);
	TAILQ_FOREACH (room, &c->room_list, link)
		remember_room(room);
	TAILQ_FOREACH (s, &c->session_list, link)
		remember_session(s);
	TAILQ_FOREACH (room, &c->room_list, link) {
		TAILQ_FOREACH (p, &room->peers, link) {
			remember_peer(p);
			TAILQ_FOREACH (t, &p->transports, link)
				remember_transport(t);
		}
		TAILQ_FOREACH (producer, &room->producers, room_link)
			remember_producer(producer);
	}
	TAILQ_FOREACH (room, &c->room_list, link) {
		TAILQ_FOREACH (p, &room->peers, link) {
			TAILQ_FOREACH (consumer, &p->consumers, link)
				remember_consumer(consumer);
		}
	}
}
