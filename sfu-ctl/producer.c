// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/producer.h"

#include "sfu-ctl/consumer.h"
#include "sfu-ctl/core_impl.h"
#include "sfu-ctl/outbox.h"
#include "sfu-ctl/payload.h"
#include "sfu-ctl/remember.h"
#include "sfu-ctl/room.h"
#include "sfu-ctl/transport.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct producer *producer_new(
	struct peer *p, struct transport *t, const char *id, bool audio)
{
	struct core *c = p->room->core;
	struct producer *producer = calloc(1, sizeof(*producer));

	if (producer == NULL)
		return NULL;
	producer->peer = p;
	producer->transport = t != NULL && t->peer == p ? t : NULL;
	producer->audio = audio;
	TAILQ_INIT(&producer->consumers);
	snprintf(producer->id, sizeof(producer->id), "%s", id);
	if (table_add(&c->producers, &producer->by_id, producer->id, strlen(producer->id)) < 0) {
		free(producer);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&p->producers, producer, link);
	p->producer_count++;
	return producer;
}

struct producer *producer_create(struct peer *p, struct transport *t, bool audio)
{
	struct core *c = p->room->core;
	char id[UUID_BYTES];

	core_new_id(c, &c->producers, "pr_", id);
	return producer_new(p, t, id, audio);
}

struct producer *producer_restore(struct peer *p, struct transport *t, const char *id, bool audio)
{
	struct producer *producer = producer_new(p, t, id, audio);

	if (producer == NULL)
		return NULL;
	producer->live = true;
	TAILQ_INSERT_TAIL(&p->room->producers, producer, room_link);
	return producer;
}

const char *producer_kind(const struct producer *p)
{
	return p->audio ? "audio" : "video";
}

/* What all producer events have in common. */
static struct json_object *describe(const struct producer *p)
{
	struct json_object *payload = json_object_new_object();

	put_string(payload, "roomId", p->peer->room->id);
	put_string(payload, "producerId", p->id);
	put_string(payload, "peerDeviceId", p->peer->device_id);
	return payload;
}

static struct json_object *describe_added(const struct producer *p)
{
	struct json_object *payload = describe(p);

	put_string(payload, "kind", producer_kind(p));
	return payload;
}

void producer_announce(struct producer *p)
{
	struct room *room = p->peer->room;

	p->live = true;
	TAILQ_INSERT_TAIL(&room->producers, p, room_link);
	room->version++;
	remember_producer(p);
	remember_room(room);
	outbox_broadcast(room, p->peer, "PRODUCER_ADDED", describe_added(p));
}

static void announce_end(struct producer *p, const char *reason)
{
	struct room *room = p->peer->room;
	struct json_object *payload = describe_added(p);

	TAILQ_REMOVE(&room->producers, p, room_link);
	room->version++;
	forget_producer(p);
	remember_room(room);
	put_string(payload, "reason", reason);
	outbox_broadcast(room, p->peer, "PRODUCER_REMOVED", payload);
}

void producer_close(struct producer *p, const char *reason)
{
	struct core *c = p->peer->room->core;
	struct consumer *consumer;

	if (p->live)
		announce_end(p, reason);
	while ((consumer = TAILQ_FIRST(&p->consumers)) != NULL)
		consumer_close(consumer, reason);
	if (p->media != 0)
		media_producer_delete(c->media, p->media);
	table_remove(&c->producers, &p->by_id);
	TAILQ_REMOVE(&p->peer->producers, p, link);
	p->peer->producer_count--;
	json_object_put(p->consumable);
	free(p);
}

struct producer *producer_find(const struct core *c, const char *id)
{
	struct table_node *node = table_find(&c->producers, id, strlen(id));

	return node == NULL ? NULL : container_of(node, struct producer, by_id);
}

struct producer *producer_in_room(const struct peer *p, const char *id)
{
	struct producer *producer = producer_find(p->room->core, id);

	if (producer == NULL || !producer->live || producer->peer->room != p->room)
		return NULL;
	return producer;
}

void producer_set_paused(struct producer *p, bool paused)
{
	struct core *c = p->peer->room->core;

	if (p->paused == paused)
		return;
	p->paused = paused;
	p->put.flags &= ~SFU_PRODUCER_PAUSED;
	if (paused)
		p->put.flags |= SFU_PRODUCER_PAUSED;
	remember_producer(p);
	if (p->media != 0) {
		media_producer_put(c->media, p->media, &p->put);
	}
	outbox_broadcast(p->peer->room, p->peer, paused ? "PRODUCER_PAUSED" : "PRODUCER_RESUMED",
		describe(p));
}

void producer_speaks(const struct producer *p)
{
	struct peer *member;

	TAILQ_FOREACH (member, &p->peer->room->peers, link) {
		if (member->session->wants_speaker)
			outbox_event(member, "ACTIVE_SPEAKER", describe(p));
	}
}

static bool consumes(const struct peer *p, const struct producer *producer)
{
	const struct consumer *consumer;

	TAILQ_FOREACH (consumer, &producer->consumers, producer_link) {
		if (consumer->peer == p)
			return true;
	}
	return false;
}

void producer_replay(struct peer *p)
{
	struct producer *producer;

	if (!p->room->core->config->replay_producers)
		return;
	TAILQ_FOREACH (producer, &p->room->producers, room_link) {
		if (producer->peer != p && !consumes(p, producer))
			outbox_event(p, "PRODUCER_ADDED", describe_added(producer));
	}
}
