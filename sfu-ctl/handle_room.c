// SPDX-License-Identifier: BSD-3-Clause
/* Coming and going: ROOM_JOIN, ROOM_LEAVE, GET_ROUTER_RTP_CAPABILITIES. */
#include "sfu-ctl/core_impl.h"
#include "sfu-ctl/dispatch.h"
#include "sfu-ctl/endpoints.h"
#include "sfu-ctl/jointoken.h"
#include "sfu-ctl/outbox.h"
#include "sfu-ctl/payload.h"
#include "sfu-ctl/producer.h"
#include "sfu-ctl/rekey_watch.h"
#include "sfu-ctl/room.h"
#include "sfu-ctl/room_view.h"
#include "sfu-ctl/room_wish.h"
#include "sfu-ctl/turn.h"

#include <stdio.h>
#include <string.h>

/* B4. Sets the default call id. False: the request has been ended. */
static bool token_opens(struct request *r, struct room_wish *w)
{
	const struct session *s = r->session;
	const struct core *c = s->core;
	struct json_object *token = field_get(r->payload, "joinToken");
	char call_id[ENV_MSG_ID_MAX_BYTES + 1];

	if (c->config->join_token == JOIN_TOKEN_OFF || c->config->join_token_skip
		|| (token == NULL && c->config->join_token == JOIN_TOKEN_ISSUE))
		return true;
	if (!json_object_is_type(token, json_type_string)) {
		room_wish_refuse(r, FAULT_JOIN_TOKEN, w->room_id);
		return false;
	}
	switch (jointoken_verify(c->config->join_token_secret, json_object_get_string(token),
		(size_t)json_object_get_string_len(token), c->io.wall_ms(c->io.ctx), w->room_id,
		s->user_id, call_id)) {
	case JOINTOKEN_INVALID:
		room_wish_refuse(r, FAULT_JOIN_TOKEN, w->room_id);
		return false;
	case JOINTOKEN_OTHER_USER:
		room_wish_refuse(r, FAULT_JOIN_USER, w->room_id);
		return false;
	case JOINTOKEN_OK:
		break;
	}
	if (call_id[0] != '\0' && w->call_id == w->default_call_id)
		memcpy(w->default_call_id, call_id, sizeof(call_id));
	return true;
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
	const struct core *c = s->core;
	struct json_object *payload = room_view_base(room);
	struct json_object *mediasoup = json_object_new_object();
	struct json_object *e2ee = json_object_new_object();
	struct json_object *turn;

	put(mediasoup, "routerRtpCapabilities", json_object_get(c->capabilities));
	put(mediasoup, "sendTransportOptions", transport_options("send", s->device_id));
	put(mediasoup, "recvTransportOptions", transport_options("recv", s->device_id));
	put_bool(e2ee, "required", room->e2ee.required);
	put_number(e2ee, "epoch", room->e2ee.epoch);
	put(payload, "mediasoup", mediasoup);
	put(payload, "e2ee", e2ee);
	turn = turn_describe(c->config, s->user_id, c->io.wall_ms(c->io.ctx) / 1000);
	if (turn != NULL)
		put(payload, "turn", turn);
	endpoints_add(s->core, payload, room->region);
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
	if (config->require_double_ratchet && !s->caps_double_ratchet)
		return FAULT_JOIN_RATCHET;
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
	if (other->parked)
		session_destroy(other, true);
	else if (other != s)
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
	if (!room_wish_read(r, &wish) || !token_opens(r, &wish))
		return;
	created = room_find(s->core, wish.room_id) == NULL;
	room = room_wish_find(r, &wish);
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
	session_pass_clock(s);
	send_join_ok(s, room);
	send_policy(s, room);
	outbox_result(s, "ROOM_SNAPSHOT", room_view_snapshot(room));
	announce_join(p);
	request_ok(r);
	rekey_watch_joined(p);
	migrate_joined(p);
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
