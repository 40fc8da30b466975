// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/migrate.h"

#include "sfu-ctl/core_impl.h"
#include "sfu-ctl/endpoints.h"
#include "sfu-ctl/log.h"
#include "sfu-ctl/outbox.h"
#include "sfu-ctl/payload.h"
#include "sfu-ctl/region_view.h"
#include "sfu-ctl/regions.h"
#include "sfu-ctl/room.h"

#include <stdlib.h>
#include <string.h>

const char *migrate_reason_name(enum migrate_reason reason)
{
	static const char *const names[MIGRATE_REASONS] = {[MIGRATE_NONE] = "",
#define X(name) [MIGRATE_##name] = #name,
		MIGRATE_REASON_LIST(X)
#undef X
	};

	return names[reason];
}

static uint32_t random_below(struct core *c, uint32_t bound)
{
	uint32_t number;

	c->io.random(c->io.ctx, &number, sizeof(number));
	return (uint32_t)((uint64_t)number * bound >> 32);
}

static bool too_many_members(const struct core *c)
{
	return c->config->max_peers != 0 && c->peer_count > c->config->max_peers;
}

static enum migrate_reason find_reason(const struct core *c)
{
	const struct migration *m = &c->migration;

	if (m->draining)
		return MIGRATE_MAINTENANCE;
	if (c->regions == NULL || c->regions->count == 0)
		return MIGRATE_NONE;
	if (m->media_lost)
		return MIGRATE_NODE_UNHEALTHY;
	return too_many_members(c) ? MIGRATE_OVERLOADED : MIGRATE_NONE;
}

/* --- a room --- */

static void unlist(struct room *room)
{
	struct migration *m = &room->core->migration;

	if (room->move.state == MIGRATE_WAITS)
		TAILQ_REMOVE(&m->waiting, room, move.link);
	else if (room->move.state == MIGRATE_MOVES)
		TAILQ_REMOVE(&m->moving, room, move.link);
	room->move.state = MIGRATE_STAYS;
}

static void let_stay(struct room *room)
{
	unlist(room);
	free(room->move.url);
	room->move.url = NULL;
}

void migrate_room_gone(struct room *room)
{
	let_stay(room);
}

/* Turns are given out in the order of time. */
static void let_wait(struct room *room, uint64_t at_us)
{
	struct migration *m = &room->core->migration;
	struct room *last = TAILQ_LAST(&m->waiting, room_moves);

	room->move.at_us = last != NULL && last->move.at_us > at_us ? last->move.at_us : at_us;
	room->move.state = MIGRATE_WAITS;
	TAILQ_INSERT_TAIL(&m->waiting, room, move.link);
}

static void tell_member(struct peer *p, const struct region *target)
{
	struct room *room = p->room;
	struct core *c = room->core;
	uint32_t spread_ms = room->by_device.count * MIGRATE_REJOIN_MEMBER_MS;
	struct json_object *payload = json_object_new_object();

	if (spread_ms > MIGRATE_REJOIN_MAX_MS)
		spread_ms = MIGRATE_REJOIN_MAX_MS;
	put_string(payload, "roomId", room->id);
	put_string(payload, "fromNodeId", c->config->node_id);
	region_view_target(payload, target);
	put_string(payload, "reason", migrate_reason_name(c->migration.reason));
	put_number(payload, "rejoinAfterMs", random_below(c, spread_ms + 1));
	outbox_event(p, "ROOM_MIGRATE", payload);
}

/* Rooms are spread over nodes that are as good as each other; what is sent shows in their load later. */
static const struct region *spread(const struct room *room)
{
	const struct regions *regions = room->core->regions;
	const uint32_t *sent = room->core->migration.sent;
	uint8_t equal[REGIONS_MAX];
	size_t count = regions_equals(regions, room->region, equal), best = 0;

	for (size_t i = 1; i < count; i++) {
		if (sent[equal[i]] < sent[equal[best]])
			best = i;
	}
	return count == 0 ? NULL : &regions->region[equal[best]];
}

/* Where the room goes: once told a node, to that one as long as it is up. */
static const struct region *choose_target(const struct room *room)
{
	const struct regions *regions = room->core->regions;
	const struct region *target = NULL;

	if (regions == NULL)
		return NULL;
	if (room->move.url != NULL)
		target = regions_find_up(regions, room->move.url);
	return target != NULL ? target : spread(room);
}

/* False: there is nobody to go to, or no memory. */
static bool ask(struct room *room, uint64_t now_us)
{
	const struct region *target = choose_target(room);
	struct core *c = room->core;
	struct peer *p;
	char *url;

	if (target == NULL)
		return false;
	url = strdup(target->where.url);
	if (url == NULL)
		return false;
	if (room->move.url == NULL || strcmp(room->move.url, url) != 0)
		c->migration.sent[target - c->regions->region] += room->by_device.count;
	let_stay(room);
	room->move.url = url;
	room->move.at_us = now_us + MIGRATE_AGAIN_US;
	room->move.state = MIGRATE_MOVES;
	TAILQ_INSERT_TAIL(&c->migration.moving, room, move.link);
	c->tally.moves[c->migration.reason]++;
	log_info("migrate", "room asked to move", log_str("room", room->id),
		log_str("to", target->node_id),
		log_str("reason", migrate_reason_name(c->migration.reason)));
	TAILQ_FOREACH (p, &room->peers, link)
		tell_member(p, target);
	return true;
}

/* --- all rooms --- */

/* In random order, spread over time. */
static void ask_all(struct core *c, uint64_t now_us)
{
	struct migration *m = &c->migration;
	uint64_t spread_us = c->rooms.count * MIGRATE_PACE_US;
	struct room **rooms, *room;
	uint32_t count = 0;

	if (spread_us > MIGRATE_SPREAD_MAX_US)
		spread_us = MIGRATE_SPREAD_MAX_US;
	if (m->draining && m->drain_end_us < now_us + 2 * spread_us)
		spread_us = m->drain_end_us > now_us ? (m->drain_end_us - now_us) / 2 : 0;
	rooms = calloc(c->rooms.count, sizeof(struct room *));
	TAILQ_FOREACH (room, &c->room_list, link) {
		if (room->move.state != MIGRATE_STAYS || TAILQ_EMPTY(&room->peers))
			continue;
		if (rooms == NULL)
			let_wait(room, now_us); // no memory for an order of our own
		else
			rooms[count++] = room;
	}
	// Fisher and Yates: every order is as likely.
	for (uint32_t i = 0; i < count; i++) {
		uint32_t other = i + random_below(c, count - i);

		room = rooms[other];
		rooms[other] = rooms[i];
		let_wait(room, now_us + spread_us * i / count);
	}
	free(rooms);
}

static uint32_t members_moving(const struct core *c)
{
	const struct room *room;
	uint32_t count = 0;

	TAILQ_FOREACH (room, &c->migration.moving, move.link)
		count += room->by_device.count;
	return count;
}

/* Of the newest rooms so many that nine tenths of what we may have are left. */
static void ask_some(struct core *c, uint64_t now_us)
{
	uint32_t wanted = c->config->max_peers - c->config->max_peers / 10;
	uint32_t moving = members_moving(c);
	struct room *room, *before;

	for (room = TAILQ_LAST(&c->room_list, room_list); room != NULL; room = before) {
		const struct region *target = regions_best(c->regions, room->region);

		before = TAILQ_PREV(room, room_list, link);
		if (target == NULL || c->peer_count - moving <= wanted)
			return;
		if (target->load >= MIGRATE_LOAD_MAX || room->move.had_turn
			|| room->move.state != MIGRATE_STAYS || TAILQ_EMPTY(&room->peers))
			continue;
		if (ask(room, now_us))
			moving += room->by_device.count;
		room->move.had_turn = true;
	}
}

static bool moves_all(enum migrate_reason reason)
{
	return reason == MIGRATE_MAINTENANCE || reason == MIGRATE_NODE_UNHEALTHY;
}

static void give_turns(struct core *c, uint64_t now_us)
{
	struct migration *m = &c->migration;
	struct room *room;

	while ((room = TAILQ_FIRST(&m->waiting)) != NULL && room->move.at_us <= now_us) {
		if (!moves_all(m->reason))
			let_stay(room);
		else if (!ask(room, now_us))
			return; // nobody is there to go to: the next look
	}
}

static void ask_again(struct core *c, uint64_t now_us)
{
	struct migration *m = &c->migration;
	struct room *room;

	while ((room = TAILQ_FIRST(&m->moving)) != NULL && room->move.at_us <= now_us) {
		if (!moves_all(m->reason)) {
			let_stay(room);
		} else if (!ask(room, now_us)) {
			unlist(room);
			let_wait(room, now_us);
		}
	}
}

static uint64_t next_us(const struct core *c, uint64_t now_us)
{
	const struct migration *m = &c->migration;
	const struct room *waits = TAILQ_FIRST(&m->waiting), *moves = TAILQ_FIRST(&m->moving);
	uint64_t at_us = 0;

	if (m->reason == MIGRATE_OVERLOADED)
		at_us = now_us + MIGRATE_LOOK_US;
	if (waits != NULL) {
		uint64_t turn_us
			= waits->move.at_us > now_us ? waits->move.at_us : now_us + MIGRATE_LOOK_US;

		if (at_us == 0 || turn_us < at_us)
			at_us = turn_us;
	}
	if (moves != NULL && (at_us == 0 || moves->move.at_us < at_us))
		at_us = moves->move.at_us;
	return at_us;
}

uint64_t migrate_expire(struct core *c, uint64_t now_us)
{
	struct migration *m = &c->migration;
	enum migrate_reason reason;

	if (m->look_us == 0 || m->look_us > now_us)
		return m->look_us;
	reason = find_reason(c);
	if (reason != m->reason) {
		log_warn("migrate", "rooms should go elsewhere",
			log_str("reason", reason == MIGRATE_NONE ? "no longer"
								 : migrate_reason_name(reason)));
		m->reason = reason;
		if (moves_all(reason))
			ask_all(c, now_us);
	}
	give_turns(c, now_us);
	ask_again(c, now_us);
	if (m->reason == MIGRATE_OVERLOADED)
		ask_some(c, now_us);
	m->look_us = next_us(c, now_us);
	return m->look_us;
}

static void look_at(struct core *c, uint64_t at_us)
{
	struct migration *m = &c->migration;

	if (m->look_us == 0 || m->look_us > at_us)
		m->look_us = at_us;
	core_wake_at(c, m->look_us);
}

void migrate_init(struct core *c)
{
	c->migration = (struct migration){.reason = MIGRATE_NONE};
	TAILQ_INIT(&c->migration.waiting);
	TAILQ_INIT(&c->migration.moving);
}

void migrate_drain(struct core *c, uint64_t deadline_us)
{
	uint64_t now_us = core_now(c);

	if (c->migration.draining)
		return;
	c->migration.draining = true;
	c->migration.drain_end_us = deadline_us > now_us ? deadline_us : now_us;
	look_at(c, now_us);
}

void migrate_regions_changed(struct core *c)
{
	struct room *room, *next;

	// Who is on the way to a node that is lost is asked anew, not only when its time comes.
	for (room = TAILQ_FIRST(&c->migration.moving); room != NULL; room = next) {
		next = TAILQ_NEXT(room, move.link);
		if (regions_find_up(c->regions, room->move.url) != NULL)
			continue;
		unlist(room);
		let_wait(room, core_now(c));
	}
	if (!TAILQ_EMPTY(&c->migration.waiting))
		look_at(c, core_now(c));
}

void migrate_media(struct core *c, bool attached)
{
	c->migration.media_lost = !attached;
	look_at(c, core_now(c));
}

void migrate_joined(struct peer *p)
{
	struct room *room = p->room;
	struct core *c = room->core;
	const struct region *target;

	if (room->move.state == MIGRATE_MOVES) {
		target = choose_target(room);
		if (target != NULL)
			tell_member(p, target);
		return;
	}
	if (moves_all(c->migration.reason) && room->move.state == MIGRATE_STAYS) {
		let_wait(room, core_now(c));
		look_at(c, core_now(c));
	} else if (c->migration.reason == MIGRATE_NONE && too_many_members(c)) {
		look_at(c, core_now(c));
	}
}

static void refuse_moving(struct request *r, const struct room *room)
{
	const struct region *target = choose_target(room);
	struct json_object *details = json_object_new_object();

	put_string(details, "roomId", room->id);
	put_string(details, "reason", migrate_reason_name(room->core->migration.reason));
	if (target != NULL)
		region_view_target(details, target);
	request_fail_with(r, FAULT_ROOM_MOVES, NULL, details);
}

static bool is_full(const struct core *c)
{
	return c->config->max_peers != 0 && c->peer_count >= c->config->max_peers;
}

bool migrate_takes_rooms(const struct core *c)
{
	return !c->migration.draining && !c->migration.media_lost && !is_full(c);
}

bool migrate_admits(struct request *r, const struct room *room)
{
	struct core *c = r->session->core;
	struct json_object *details;

	if (room != NULL) {
		if (room->move.state != MIGRATE_MOVES)
			return true;
		refuse_moving(r, room);
		return false;
	}
	if (!c->migration.draining && !is_full(c))
		return true;
	details = json_object_new_object();
	put_string(details, "reason",
		migrate_reason_name(
			c->migration.draining ? MIGRATE_MAINTENANCE : MIGRATE_OVERLOADED));
	endpoints_add(c, details, c->config->region);
	request_fail_with(
		r, c->migration.draining ? FAULT_DRAINING : FAULT_OVERLOADED, NULL, details);
	return false;
}
