// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/room_view.h"

#include "sfu-ctl/core_impl.h"
#include "sfu-ctl/payload.h"
#include "sfu-ctl/producer.h"
#include "sfu-ctl/rekey_watch.h"
#include "sfu-ctl/room.h"

struct json_object *room_view_base(const struct room *room)
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

struct json_object *room_view_snapshot(const struct room *room)
{
	struct json_object *payload = room_view_base(room);
	const struct core *c = room->core;

	put_number(payload, "roomVersion", room->version);
	put_number(payload, "serverTime", c->io.wall_ms(c->io.ctx));
	put(payload, "peers", snapshot_peers(room));
	put(payload, "producers", snapshot_producers(room));
	put(payload, "e2ee", snapshot_e2ee(room));
	return payload;
}
