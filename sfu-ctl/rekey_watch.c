// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/rekey_watch.h"

#include "sfu-ctl/core_impl.h"
#include "sfu-ctl/outbox.h"
#include "sfu-ctl/payload.h"
#include "sfu-ctl/room.h"
#include "sfu-ctl/session.h"

struct peer *rekey_watch_leader(const struct room *room)
{
	struct peer *best = TAILQ_FIRST(&room->peers);
	struct peer *p;

	TAILQ_FOREACH (p, &room->peers, link) {
		bool worse = best->session->closing && !p->session->closing;
		bool reachable = !p->session->closing || best->session->closing;

		if (worse || (reachable && p->rekey.missed < best->rekey.missed))
			best = p;
	}
	return best;
}

static void tell_required(struct room *room)
{
	static const char *const reasons[] = {
		[REKEY_MEMBER_JOIN] = "member_join",
		[REKEY_MEMBER_LEAVE] = "member_leave",
		[REKEY_TIMEOUT] = "timeout",
	};
	const struct peer *leader = rekey_watch_leader(room);
	struct json_object *payload = json_object_new_object();

	put_string(payload, "roomId", room->id);
	put_string(payload, "reason", reasons[room->rekey.reason]);
	put_number(payload, "epoch", room->e2ee.epoch);
	put_string(payload, "leaderDeviceId", leader == NULL ? "" : leader->device_id);
	outbox_broadcast(room, NULL, "REKEY_REQUIRED", payload);
}

static void tell_abort(struct room *room, const char *reason)
{
	struct json_object *payload = json_object_new_object();

	put_string(payload, "roomId", room->id);
	put_number(payload, "attemptedEpoch", room->rekey.epoch);
	put_string(payload, "reason", reason);
	outbox_broadcast(room, NULL, "REKEY_ABORT", payload);
}

/* All deadlines are as long as each other: what is set now comes last. */
static void watch(struct room *room)
{
	struct core *c = room->core;

	if (room->rekey_watched)
		TAILQ_REMOVE(&c->rekeys, room, rekey_link);
	room->rekey_watched = room->rekey.deadline_us != 0;
	if (!room->rekey_watched)
		return;
	TAILQ_INSERT_TAIL(&c->rekeys, room, rekey_link);
	core_wake_at(c, room->rekey.deadline_us);
}

void rekey_watch_news(struct room *room, enum rekey_news news)
{
	watch(room);
	switch (news) {
	case REKEY_NO_NEWS:
		return;
	case REKEY_ABORT_TIMEOUT:
		room->core->tally.rekeys[TALLY_TIMEOUT]++;
		tell_abort(room, "TIMEOUT");
		break;
	case REKEY_ABORT_LEADER_LOST:
		room->core->tally.rekeys[TALLY_LEADER_LOST]++;
		tell_abort(room, "LEADER_LOST");
		break;
	case REKEY_REQUIRED:
		break;
	}
	tell_required(room);
}

void rekey_watch_joined(struct peer *p)
{
	struct room *room = p->room;

	rekey_watch_news(
		room, rekey_joined(&room->rekey, room->by_device.count, core_now(room->core)));
}

void rekey_watch_left(struct room *room, struct peer *p)
{
	rekey_watch_news(room,
		rekey_left(&room->rekey, &p->rekey, room->by_device.count, core_now(room->core)));
}

void rekey_watch_lost(struct peer *p)
{
	struct room *room = p->room;

	rekey_watch_news(room,
		rekey_lost(&room->rekey, &p->rekey, room->by_device.count, core_now(room->core)));
}

void rekey_watch_stood_still(struct core *c, uint64_t for_us)
{
	struct room *room;

	TAILQ_FOREACH (room, &c->rekeys, rekey_link)
		room->rekey.deadline_us += for_us;
}

uint64_t rekey_watch_expire(struct core *c, uint64_t now_us)
{
	struct room *room;

	while ((room = TAILQ_FIRST(&c->rekeys)) != NULL) {
		if (room->rekey.deadline_us > now_us)
			return room->rekey.deadline_us;
		rekey_watch_news(room, rekey_tick(&room->rekey, &rekey_watch_leader(room)->rekey,
					       room->by_device.count, now_us));
	}
	return 0;
}
