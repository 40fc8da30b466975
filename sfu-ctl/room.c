// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/room.h"

#include "sfu-ctl/consumer.h"
#include "sfu-ctl/core_impl.h"
#include "sfu-ctl/outbox.h"
#include "sfu-ctl/payload.h"
#include "sfu-ctl/producer.h"
#include "sfu-ctl/rekey_watch.h"
#include "sfu-ctl/remember.h"
#include "sfu-ctl/session.h"
#include "sfu-ctl/transport.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void room_free(struct room *room)
{
	table_fini(&room->by_device);
	free(room->id);
	free(room->call_id);
	free(room->region);
	free(room->creator);
	json_object_put(room->allowed);
	free(room);
}

struct room *room_find(const struct core *c, const char *id)
{
	struct table_node *node = table_find(&c->rooms, id, strlen(id));

	return node == NULL ? NULL : container_of(node, struct room, by_id);
}

static uint64_t expiry_us(const struct room *room)
{
	return room->created_us + room->core->config->empty_room_sec * UINT64_C(1000000);
}

struct room *room_create(struct core *c, const char *id, const char *call_id, const char *region)
{
	struct room *room = calloc(1, sizeof(*room));

	if (room == NULL)
		return NULL;
	room->core = c;
	room->id = strdup(id);
	room->call_id = strdup(call_id);
	room->region = strdup(region);
	room->unused = true;
	room->created_us = core_now(c);
	table_init(&room->by_device, c->hash_key);
	TAILQ_INIT(&room->peers);
	TAILQ_INIT(&room->producers);
	room->drop_stale = c->config->sframe_drop;
	e2ee_room_init(&room->e2ee, c->config->e2ee_required,
		numbering_first_epoch(&c->numbering, core_numbering_now(c)));
	rekey_init(&room->rekey, (enum rekey_policy)c->config->rekey_policy,
		c->config->rekey_timeout_ms * UINT64_C(1000));
	if (room->id == NULL || room->call_id == NULL || room->region == NULL
		|| table_add(&c->rooms, &room->by_id, room->id, strlen(room->id)) < 0) {
		room_free(room);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&c->room_list, room, link);
	TAILQ_INSERT_TAIL(&c->unused_rooms, room, unused_link);
	if (c->config->empty_room_sec != 0)
		core_wake_at(c, expiry_us(room));
	remember_room(room);
	return room;
}

void room_destroy(struct room *room)
{
	struct core *c = room->core;

	assert(TAILQ_EMPTY(&room->peers));
	assert(!room->rekey_watched);
	migrate_room_gone(room);
	forget_room(room);
	if (room->media != 0)
		media_room_delete(c->media, room->media);
	if (room->unused)
		TAILQ_REMOVE(&c->unused_rooms, room, unused_link);
	table_remove(&c->rooms, &room->by_id);
	TAILQ_REMOVE(&c->room_list, room, link);
	room_free(room);
}

void room_used(struct room *room)
{
	if (!room->unused)
		return;
	room->unused = false;
	TAILQ_REMOVE(&room->core->unused_rooms, room, unused_link);
}

uint64_t room_expire(struct core *c, uint64_t now_us)
{
	struct room *room;

	if (c->config->empty_room_sec == 0)
		return 0;
	while ((room = TAILQ_FIRST(&c->unused_rooms)) != NULL) {
		if (expiry_us(room) > now_us)
			return expiry_us(room);
		room_destroy(room);
	}
	return 0;
}

struct peer *room_peer(const struct room *room, const char *device_id)
{
	struct table_node *node = table_find(&room->by_device, device_id, strlen(device_id));

	return node == NULL ? NULL : container_of(node, struct peer, by_device);
}

void room_program(struct room *room)
{
	struct core *c = room->core;
	const struct sfu_put_room put = {
		.epoch = room->e2ee.epoch,
		.older_until_us = room->older_until_us,
		.required = room->e2ee.required,
		.stale = room->e2ee.required && room->drop_stale ? SFU_STALE_DROP : SFU_STALE_COUNT,
	};

	if (room->media == 0 ? !c->media_on : memcmp(&room->programmed, &put, sizeof(put)) == 0)
		return;
	if (media_room_put(c->media, &room->media, &put) != 0)
		return;
	room->programmed = put;
	remember_room(room);
}

void peer_program(struct peer *p)
{
	struct core *c = p->room->core;

	if (p->room->media == 0)
		return;
	if (p->media == 0 ? !c->media_on : p->programmed_open_us == p->e2ee.open_until_us)
		return;
	if (media_peer_put(c->media, &p->media, p->room->media, p->e2ee.open_until_us) != 0)
		return;
	p->programmed_open_us = p->e2ee.open_until_us;
	remember_peer(p);
}

static void count_member_change(struct room *room)
{
	room->member_set_version++;
	room->version++;
}

static void peer_free(struct peer *p)
{
	free(p->device_id);
	free(p->user_id);
	free(p);
}

/* What a join starts with, the first one or a later one. */
static void peer_start(struct peer *p, struct session *s)
{
	struct room *room = p->room;

	p->session = s;
	p->life = ++room->core->last_life;
	p->had_recv_transport = false;
	p->consume_refused = false;
	e2ee_member_init(&room->e2ee, &p->e2ee);
	s->peer = p;
	count_member_change(room);
	remember_room(room);
	remember_session(s);
	remember_peer(p);
	room_program(room);
	peer_program(p);
}

/* In the room's lists, and not a member yet. NULL when out of memory, or it is there. */
static struct peer *peer_new(struct room *room, const char *device_id, const char *user_id)
{
	struct peer *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->room = room;
	p->device_id = strdup(device_id);
	p->user_id = strdup(user_id);
	TAILQ_INIT(&p->transports);
	TAILQ_INIT(&p->producers);
	TAILQ_INIT(&p->consumers);
	if (p->device_id == NULL || p->user_id == NULL
		|| table_add(&room->by_device, &p->by_device, p->device_id, strlen(p->device_id))
			   < 0) {
		peer_free(p);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&room->peers, p, link);
	room->core->peer_count++;
	room_used(room);
	return p;
}

struct peer *peer_create(struct room *room, struct session *s)
{
	struct peer *p = peer_new(room, s->device_id, s->user_id);

	if (p == NULL)
		return NULL;
	p->number = ++room->core->last_life;
	peer_start(p, s);
	return p;
}

struct peer *peer_restore(struct room *room, struct session *s, uint64_t number,
	const char *device_id, const char *user_id)
{
	struct core *c = room->core;
	struct peer *p = peer_new(room, device_id, user_id);

	if (p == NULL)
		return NULL;
	p->number = p->life = number;
	if (c->last_life < number)
		c->last_life = number;
	p->session = s;
	s->peer = p;
	return p;
}

int peer_rebind(struct peer *p, struct session *s)
{
	char *user_id = strdup(s->user_id);

	if (user_id == NULL)
		return -ENOMEM;
	free(p->user_id);
	p->user_id = user_id;
	if (p->session->peer == p)
		p->session->peer = NULL;
	p->session = s;
	peer_drop_media(p, "closed", false);
	rekey_watch_lost(p); // whatever key it had, it starts anew
	peer_start(p, s);
	return 0;
}

void peer_drop_media(struct peer *p, const char *reason, bool tell_owner)
{
	struct transport *t;
	struct producer *producer;
	struct consumer *consumer;

	while ((consumer = TAILQ_FIRST(&p->consumers)) != NULL)
		consumer_close(consumer, tell_owner ? reason : NULL);
	while ((producer = TAILQ_FIRST(&p->producers)) != NULL)
		producer_close(producer, reason);
	while ((t = TAILQ_FIRST(&p->transports)) != NULL)
		transport_destroy(t);
}

void peer_leave(struct peer *p)
{
	struct room *room = p->room;
	struct core *c = room->core;
	struct json_object *payload;

	// First out of the list: whoever leaves is told nothing of what its leaving does.
	TAILQ_REMOVE(&room->peers, p, link);
	table_remove(&room->by_device, &p->by_device);
	if (p->session->peer == p)
		p->session->peer = NULL;
	c->peer_count--;
	forget_peer(p);
	peer_drop_media(p, "peer_left", false);
	if (p->media != 0)
		media_peer_delete(c->media, p->media);
	count_member_change(room);
	remember_room(room);
	payload = json_object_new_object();
	put_string(payload, "roomId", room->id);
	put_string(payload, "userId", p->user_id);
	put_string(payload, "deviceId", p->device_id);
	put_string(payload, "peerId", p->device_id);
	outbox_broadcast(room, NULL, "PEER_LEFT", payload);
	rekey_watch_left(room, p);
	peer_free(p);
	if (TAILQ_EMPTY(&room->peers))
		room_destroy(room);
}
