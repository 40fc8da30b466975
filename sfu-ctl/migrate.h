// SPDX-License-Identifier: BSD-3-Clause
/**
 * Rooms that should go on elsewhere (protocol.md B10, ROOM_MIGRATE): this node drains, has lost its data
 * plane, or has too many members. A room goes as a whole: all its members are told the same node, each
 * after a little time of its own, and until they are gone nobody else may come in here.
 *
 *   stays ── a reason to go ──► waits for its turn ── asked ──► moving ── last member leaves ──► gone
 *     ▲                                                           │ every MIGRATE_AGAIN_US:
 *     └───────────────── the reason is no longer ◄────────────────┘ asked again, or let stay
 *
 * Draining and without data plane every room is asked, in random order and spread over time; with too
 * many members only so many of the newest rooms as bring it below, and each once.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "sfu-ctl/fault.h"
#include "sfu-ctl/regions.h"

struct core;
struct peer;
struct request;
struct room;

#define MIGRATE_REASON_LIST(X)                                                                     \
	X(MAINTENANCE)                                                                             \
	X(NODE_UNHEALTHY)                                                                          \
	X(OVERLOADED)

enum migrate_reason {
	MIGRATE_NONE,
#define X(name) MIGRATE_##name,
	MIGRATE_REASON_LIST(X)
#undef X
		MIGRATE_REASONS
};

/** A room that is still here is asked again. */
#define MIGRATE_AGAIN_US UINT64_C(10000000)
/** Between looks at what may have changed: too many members, nobody to go to. */
#define MIGRATE_LOOK_US UINT64_C(1000000)
/** All rooms are asked within half of the time to the deadline, and at this pace if that is faster. */
#define MIGRATE_PACE_US UINT64_C(50000)
#define MIGRATE_SPREAD_MAX_US UINT64_C(30000000)
/** rejoinAfterMs is random, up to so much for each member, and to that much. */
#define MIGRATE_REJOIN_MEMBER_MS 20u
#define MIGRATE_REJOIN_MAX_MS 1000u
/** Nobody is sent to a node with this load (percent) because we have too much. */
#define MIGRATE_LOAD_MAX 80u

enum migrate_state { MIGRATE_STAYS, MIGRATE_WAITS, MIGRATE_MOVES };

/** Of a room; written by migrate.c alone. */
struct room_move {
	enum migrate_state state;
	TAILQ_ENTRY(room) link; /* of waiting or moving, unless it stays */
	uint64_t at_us; /* when it is asked, or asked again */
	char *url; /* where it goes, while moving */
	bool had_turn; /* asked because of OVERLOADED, and stayed */
};

/** Of the core; written by migrate.c alone. */
struct migration {
	enum migrate_reason reason; /* in force */
	bool draining;
	uint64_t drain_end_us;
	bool media_lost; /* it was there, and has stayed away for too long */
	uint64_t look_us; /* next look, 0 = none */
	uint32_t sent[REGIONS_MAX]; /* members, to each of the other nodes */
	TAILQ_HEAD(room_moves, room) waiting; /* first turn first */
	TAILQ_HEAD(, room) moving; /* longest ago asked first */
};

void migrate_init(struct core *c);

/** Take no new rooms, and ask those that are here to go until a deadline (monotonic). Once. */
void migrate_drain(struct core *c, uint64_t deadline_us);

/** Who could be gone to may be there now. */
void migrate_regions_changed(struct core *c);

/** The data plane came, or stays away (SFU_PLANE_GRACE_SEC). */
void migrate_media(struct core *c, bool attached);

/** The number of members has risen, or p came back from a lost connection. After its answer. */
void migrate_joined(struct peer *p);

/** The room is being destroyed. */
void migrate_room_gone(struct room *room);

/**
 * May somebody come into this room, or make one (NULL)?
 * @return true, or false: the request has been ended
 */
bool migrate_admits(struct request *r, const struct room *room);

/** May new rooms come to this node? */
bool migrate_takes_rooms(const struct core *c);

/** What is due. Returns the next deadline or 0. */
uint64_t migrate_expire(struct core *c, uint64_t now_us);

/** On the wire and in metrics; static storage. */
const char *migrate_reason_name(enum migrate_reason reason);
