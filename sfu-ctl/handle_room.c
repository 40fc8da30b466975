// SPDX-License-Identifier: BSD-3-Clause
/* Coming and going: ROOM_CREATE, ROOM_JOIN, ROOM_LEAVE, GET_ROUTER_RTP_CAPABILITIES. */
#include "sfu-ctl/core_impl.h"
#include "sfu-ctl/dispatch.h"
#include "sfu-ctl/outbox.h"
#include "sfu-ctl/payload.h"
#include "sfu-ctl/producer.h"
#include "sfu-ctl/rekey_watch.h"
#include "sfu-ctl/room.h"

#include <stdio.h>
#include <string.h>

/* What a room is made with; pointers into the payload or into the defaults beside them. */
struct room_wish {
	const char *room_id;
	const char *call_id;
	const char *region;
	char default_room_id[16];
	char default_call_id[16];
};

/* False: the request has been ended. */
static bool read_wish(struct request *r, struct room_wish *w)
{
	struct core *c = r->session->core;
	const struct {
		const char *name;
		const char **out;
	} fields[] = {
		{"roomId", &w->room_id},
		{"callId", &w->call_id},
		{"preferredRegion", &w->region},
	};

	core_short_id(c, "room_", w->default_room_id);
	core_short_id(c, "call_", w->default_call_id);
	w->room_id = w->default_room_id;
	w->call_id = w->default_call_id;
	w->region = c->config->region;
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if (field_id(r->payload, fields[i].name, fields[i].out) == FIELD_INVALID) {
			request_fail_field(r, fields[i].name);
			return false;
		}
	}
	return true;
}

/* The room of that name, made if need be. NULL: the request has been ended. */
static struct room *find_or_create(struct request *r, const struct room_wish *w)
{
	struct core *c = r->session->core;
	struct room *room = room_find(c, w->room_id);

	if (room != NULL)
		return room;
	if (c->rooms.count >= c->config->max_rooms) {
		request_fail(r, FAULT_TOO_MANY_ROOMS);
		return NULL;
	}
	room = room_create(c, w->room_id, w->call_id, w->region);
	if (room == NULL)
		request_fail(r, FAULT_NO_MEMORY);
	return room;
}

/* The members that ROOM_CREATED, ROOM_JOIN_OK and ROOM_SNAPSHOT share. */
static struct json_object *describe_room(const struct room *room)
{
	struct json_object *o = json_object_new_object();

	put_string(o, "roomId", room->id);
	put_string(o, "callId", room->call_id);
	put_string(o, "region", room->region);
	put_string(o, "nodeId", room->core->config->node_id);
	put_number(o, "epoch", room->e2ee.epoch);
	put_number(o, "memberSetVersion", room->member_set_version);
	return o;
}

void handle_room_create(struct request *r)
{
	struct room_wish wish;
	struct room *room;

	if (!read_wish(r, &wish))
		return;
	room = find_or_create(r, &wish);
	if (room == NULL)
		return;
	outbox_result(r->session, "ROOM_CREATED", describe_room(room));
	request_ok(r);
}

/* A placeholder that no client uses (A6). */
static struct json_object *transport_options(const char *direction, const char *device_id)
{
	struct json_object *o = json_object_new_object();
	char id[192];

	snprintf(id, sizeof(id), "%s_%s", direction, device_id);
	put_string(o, "id", id);
	put(o, "iceParameters", json_object_new_object());
	put(o, "dtlsParameters", json_object_new_object());
	return o;
}

static void send_join_ok(struct session *s, const struct room *room)
{
	struct json_object *payload = describe_room(room);
	struct json_object *mediasoup = json_object_new_object();
	struct json_object *e2ee = json_object_new_object();

	put(mediasoup, "routerRtpCapabilities", json_object_get(s->core->capabilities));
	put(mediasoup, "sendTransportOptions", transport_options("send", s->device_id));
	put(mediasoup, "recvTransportOptions", transport_options("recv", s->device_id));
	put_bool(e2ee, "required", room->e2ee.required);
	put_number(e2ee, "epoch", room->e2ee.epoch);
	put(payload, "mediasoup", mediasoup);
	put(payload, "e2ee", e2ee);
	outbox_result(s, "ROOM_JOIN_OK", payload);
}

static void send_policy(struct session *s, const struct room *room)
{
	struct json_object *payload = json_object_new_object();

	put_bool(payload, "required", room->e2ee.required);
	put_number(payload, "epoch", room->e2ee.epoch);
	put_bool(payload, "rekeyOnJoin", true);
	outbox_result(s, "E2EE_POLICY", payload);
}

static struct json_object *snapshot_peers(const struct room *room)
{
	struct json_object *peers = json_object_new_array();
	const struct peer *p;

	TAILQ_FOREACH (p, &room->peers, link) {
		struct json_object *o = json_object_new_object();

		put_string(o, "userId", p->user_id);
		put_string(o, "deviceId", p->device_id);
		put_string(o, "role", "member");
		put_string(o, "state", "joined");
		put_bool(o, "e2eeReady", e2ee_gate_open(&room->e2ee, &p->e2ee));
		json_object_array_add(peers, o);
	}
	return peers;
}

static struct json_object *snapshot_producers(const struct room *room)
{
	struct json_object *producers = json_object_new_array();
	const struct producer *p;

	TAILQ_FOREACH (p, &room->producers, room_link) {
		struct json_object *o = json_object_new_object();

		put_string(o, "producerId", p->id);
		put_string(o, "peerDeviceId", p->peer->device_id);
		put_string(o, "userId", p->peer->user_id);
		put_string(o, "kind", producer_kind(p));
		put_bool(o, "paused", p->paused);
		json_object_array_add(producers, o);
	}
	return producers;
}

static struct json_object *snapshot_e2ee(const struct room *room)
{
	struct json_object *o = json_object_new_object();
	struct json_object *senders = json_object_new_array();
	const struct peer *leader = rekey_watch_leader(room);
	const struct peer *p;

	TAILQ_FOREACH (p, &room->peers, link)
		json_object_array_add(senders, json_object_new_string(p->device_id));
	put_bool(o, "required", room->e2ee.required);
	put_number(o, "epoch", room->e2ee.epoch);
	put_string(o, "leaderDeviceId", leader == NULL ? "" : leader->device_id);
	put(o, "expectedSenderDevices", senders);
	put(o, "missingSenderKeys", json_object_new_array());
	return o;
}

struct json_object *room_snapshot(const struct room *room)
{
	struct json_object *payload = describe_room(room);
	const struct core *c = room->core;

	put_number(payload, "roomVersion", room->version);
	put_number(payload, "serverTime", c->io.wall_ms(c->io.ctx));
	put(payload, "peers", snapshot_peers(room));
	put(payload, "producers", snapshot_producers(room));
	put(payload, "e2ee", snapshot_e2ee(room));
	return payload;
}

static void announce_join(const struct peer *p)
{
	struct json_object *payload = json_object_new_object();

	put_string(payload, "roomId", p->room->id);
	put_string(payload, "userId", p->user_id);
	put_string(payload, "deviceId", p->device_id);
	put_string(payload, "peerId", p->device_id); // B1, row 11
	outbox_broadcast(p->room, p, "PEER_JOINED", payload);
}

static enum fault join_caps(const struct session *s)
{
	const struct config *config = s->core->config;

	if (config->e2ee_required && !s->caps_insertable_streams)
		return FAULT_JOIN_INSERTABLE;
	if (config->require_sframe && !s->caps_sframe)
		return FAULT_JOIN_SFRAME;
	return FAULT_NONE;
}

static void refuse_full(struct request *r, const struct room *room)
{
	struct json_object *details = json_object_new_object();
	char message[64];

	put_string(details, "roomId", room->id);
	snprintf(message, sizeof(message), "Max participants exceeded (%u)",
		room->core->config->max_participants);
	request_fail_with(r, FAULT_ROOM_FULL, message, details);
}

/* May this device come in? False: the request has been ended. Nothing is changed. */
static bool may_join(struct request *r, const struct room *room, const char *device_id)
{
	const struct session *s = r->session;
	const struct peer *there = room_peer(room, device_id);
	uint32_t members = room->by_device.count;

	if (there != NULL && there->session != s && strcmp(there->user_id, s->user_id) != 0) {
		request_fail(r, FAULT_DEVICE_IN_USE);
		return false;
	}
	if (s->peer != NULL && s->peer->room == room && s->peer != there)
		members--; // this connection's old device makes place
	if (there == NULL && members >= room->core->config->max_participants) {
		refuse_full(r, room);
		return false;
	}
	return true;
}

/* C9, C10: one membership per connection, one connection per device. */
static struct peer *enter(struct session *s, struct room *room)
{
	struct peer *there = room_peer(room, s->device_id);
	struct session *other;

	if (there == NULL)
		return peer_create(room, s);
	other = there->session;
	if (peer_rebind(there, s) < 0)
		return NULL;
	if (other != s)
		session_shut(other, 4009, "DEVICE_REPLACED");
	return there;
}

void handle_room_join(struct request *r)
{
	struct session *s = r->session;
	struct room_wish wish;
	struct room *room;
	struct peer *p, *before;
	const char *device_id = s->device_id, *given;
	bool created;
	enum fault caps = join_caps(s);

	switch (field_id(r->payload, "roomId", &given)) {
	case FIELD_ABSENT:
		request_fail(r, FAULT_MISSING_ROOM_ID);
		return;
	case FIELD_INVALID:
		request_fail_field(r, "roomId");
		return;
	case FIELD_OK:
		break;
	}
	if (caps != FAULT_NONE) {
		request_fail(r, caps);
		return;
	}
	if (field_id(r->payload, "deviceId", &device_id) == FIELD_INVALID) {
		request_fail_field(r, "deviceId");
		return;
	}
	if (!read_wish(r, &wish))
		return;
	created = room_find(s->core, wish.room_id) == NULL;
	room = find_or_create(r, &wish);
	if (room == NULL)
		return;
	if (!may_join(r, room, device_id))
		return;
	if (session_set_device(s, device_id) < 0)
		goto no_memory;
	before = s->peer;
	p = enter(s, room);
	if (p == NULL)
		goto no_memory;
	// Left only now, so that the room cannot go with a device that this connection renamed.
	if (before != NULL && before != p)
		peer_leave(before);
	send_join_ok(s, room);
	send_policy(s, room);
	outbox_result(s, "ROOM_SNAPSHOT", room_snapshot(room));
	announce_join(p);
	request_ok(r);
	rekey_watch_joined(p);
	return;

no_memory:
	if (created && room->by_device.count == 0)
		room_destroy(room);
	request_fail(r, FAULT_NO_MEMORY);
}

void handle_room_leave(struct request *r)
{
	struct session *s = r->session;
	struct json_object *payload = json_object_new_object();
	struct peer *p = session_member(s);
	const char *room_id = p == NULL ? "" : p->room->id;

	if (field_id(r->payload, "roomId", &room_id) == FIELD_INVALID) {
		json_object_put(payload);
		request_fail_field(r, "roomId");
		return;
	}
	put_string(payload, "roomId", room_id);
	outbox_result(s, "ROOM_LEFT", payload);
	if (p != NULL && strcmp(p->room->id, room_id) == 0)
		peer_leave(p);
	request_ok(r);
}

void handle_get_capabilities(struct request *r)
{
	struct session *s = r->session;
	struct json_object *payload;
	const struct peer *p = session_member(s);
	const char *room_id = p == NULL ? NULL : p->room->id;

	if (field_id(r->payload, "roomId", &room_id) == FIELD_INVALID) {
		request_fail_field(r, "roomId");
		return;
	}
	if (room_id == NULL || room_find(s->core, room_id) == NULL) {
		request_fail(r, FAULT_NOT_MEMBER);
		return;
	}
	payload = json_object_new_object();
	put_string(payload, "roomId", room_id);
	put(payload, "routerRtpCapabilities", json_object_get(s->core->capabilities));
	outbox_result(s, "ROUTER_RTP_CAPABILITIES", payload);
	request_ok(r);
}
