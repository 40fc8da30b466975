// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/programme/impl.h"

static void gate_apply(struct peer *peer, const struct room *room)
{
	atomic_store_explicit(&peer->stale, room->stale, memory_order_relaxed);
	atomic_store_explicit(&peer->older_until_us, room->older_until_us, memory_order_relaxed);
	// Last: who sees the new epoch sees its grace as well.
	atomic_store_explicit(&peer->epoch, room->epoch, memory_order_release);
	atomic_store_explicit(&peer->open_until_us,
		room->required ? peer->put_open_until_us : UINT64_MAX, memory_order_relaxed);
}

uint32_t put_room(struct programme *p, const struct sfu_command *cmd)
{
	const struct sfu_put_room *put = &cmd->u.room;
	struct slot *slot = NULL;
	struct room *room;
	struct peer *peer;
	uint32_t status;
	enum place place;

	if (put->required > 1 || put->stale > SFU_STALE_DROP)
		return SFU_STATUS_MALFORMED;
	place = slot_place(p, SFU_KIND_ROOM, cmd, &slot, &status);
	if (place == PLACE_ANSWER)
		return status;
	room = slot_object(p, SFU_KIND_ROOM, sfu_handle_index(cmd->handle));
	room->epoch = put->epoch;
	room->older_until_us = put->older_until_us;
	room->required = put->required;
	room->stale = put->stale;
	if (place == PLACE_NEW) {
		room->handle = cmd->handle;
		LIST_INIT(&room->members);
		slot_take(p, SFU_KIND_ROOM, slot, cmd);
	}
	slot->version = cmd->version;
	LIST_FOREACH(peer, &room->members, of_room)
	gate_apply(peer, room);
	return SFU_STATUS_OK;
}

uint32_t put_peer(struct programme *p, const struct sfu_command *cmd)
{
	const struct sfu_put_peer *put = &cmd->u.peer;
	struct slot *slot = NULL;
	struct room *room;
	struct peer *peer;
	uint32_t status;
	enum place place = slot_place(p, SFU_KIND_PEER, cmd, &slot, &status);

	if (place == PLACE_ANSWER)
		return status;
	room = slot_find(p, SFU_KIND_ROOM, put->room);
	if (!room)
		return SFU_STATUS_NO_PARENT;
	peer = slot_object(p, SFU_KIND_PEER, sfu_handle_index(cmd->handle));
	if (place == PLACE_THERE && peer->room != put->room)
		return SFU_STATUS_UNSUPPORTED;
	peer->put_open_until_us = put->open_until_us;
	gate_apply(peer, room);
	if (place == PLACE_NEW) {
		peer->handle = cmd->handle;
		peer->room = put->room;
		LIST_INIT(&peer->list);
		LIST_INSERT_HEAD(&room->members, peer, of_room);
		room->peers++;
		slot_take(p, SFU_KIND_PEER, slot, cmd);
	}
	slot->version = cmd->version;
	return SFU_STATUS_OK;
}
