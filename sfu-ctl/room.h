// SPDX-License-Identifier: BSD-3-Clause
/** Rooms and their members: who is where, and what the data plane is told of it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "sfu-ctl/e2ee.h"
#include "sfu-ctl/migrate.h"
#include "sfu-ctl/rekey.h"
#include "sfu-ctl/table.h"
#include "shared/command.h"

struct consumer;
struct core;
struct json_object;
struct producer;
struct session;
struct transport;

struct peer {
	struct table_node by_device; /* in the room */
	TAILQ_ENTRY(peer) link; /* in join order */
	struct room *room;
	struct session *session; /* the connection it belongs to, never NULL */
	char *device_id;
	char *user_id;
	uint64_t number; /* never used twice, nor by a successor */
	struct table_node by_number; /* during core_restore() only */
	uint64_t
		life; /* new on each join: tells an await whether it is still the same membership */
	struct e2ee_member e2ee;
	struct rekey_member rekey;
	uint64_t media; /* handle, 0 = none */
	uint64_t programmed_open_us; /* what the data plane has, while media is not 0 */
	TAILQ_HEAD(, transport) transports; /* in creation order; pending ones too */
	TAILQ_HEAD(, producer) producers;
	TAILQ_HEAD(, consumer) consumers;
	uint32_t transport_count, producer_count, consumer_count;
	bool had_recv_transport; /* producers were replayed (B6) */
	bool consume_refused; /* a CONSUME met the shut gate since the last E2EE_READY */
};

struct room {
	struct table_node by_id;
	TAILQ_ENTRY(room) link; /* of all rooms */
	TAILQ_ENTRY(room) unused_link; /* until the first join */
	struct core *core;
	char *id;
	char *call_id;
	char *region;
	char *creator; /* user of the ROOM_CREATE, with join tokens; NULL = none */
	struct json_object *allowed; /* array of user ids, the creator's; NULL = no list */
	bool unused; /* nobody has joined yet */
	uint64_t created_us;
	uint64_t member_set_version; /* A6 */
	uint64_t version; /* roomVersion, B1 */
	struct e2ee_room e2ee;
	struct rekey rekey;
	TAILQ_ENTRY(room) rekey_link; /* while rekey_watched */
	bool rekey_watched; /* by rekey_watch.c */
	struct room_move move;
	uint64_t media; /* handle, 0 = none */
	uint64_t
		older_until_us; /* the last commit's grace: frames of an older epoch are in order */
	bool drop_stale; /* … and those that come after it are dropped (SFU_SFRAME_POLICY) */
	struct sfu_put_room programmed; /* what the data plane has, while media is not 0 */
	struct table by_device;
	TAILQ_HEAD(peer_list, peer) peers; /* in join order */
	TAILQ_HEAD(, producer) producers; /* in creation order; live ones */
};

struct room *room_find(const struct core *c, const char *id);

/** A new room; call_id and region are its creator's. NULL when out of memory. */
struct room *room_create(struct core *c, const char *id, const char *call_id, const char *region);
/** Must have no members. */
void room_destroy(struct room *room);
/** Somebody has joined it, now or before a restart: its end is no longer room_expire()'s. */
void room_used(struct room *room);
/** Destroy rooms that were created and never joined (C23). Returns the next deadline or 0. */
uint64_t room_expire(struct core *c, uint64_t now_us);

struct peer *room_peer(const struct room *room, const char *device_id);

/** A new member, bound to the session. NULL when out of memory. */
struct peer *peer_create(struct room *room, struct session *s);

/** A member that was there before a restart (restore.c). NULL when out of memory, or it is there. */
struct peer *peer_restore(struct room *room, struct session *s, uint64_t number,
	const char *device_id, const char *user_id);

/**
 * The same device joins again, by the same connection or another (C9, C10): media is dropped,
 * readiness reset, the join position stays. The other connection, if any, loses its membership.
 */
int peer_rebind(struct peer *p, struct session *s);

/** Leave: media dropped with reason "peer_left", PEER_LEFT to the rest, an empty room goes. */
void peer_leave(struct peer *p);

/**
 * Close all media objects; the others are told with this reason.
 * @param tell_owner  the consumers' own device is told as well: it did not ask for this
 */
void peer_drop_media(struct peer *p, const char *reason, bool tell_owner);

/** Tell the data plane what is new; nothing while it is not there. */
void room_program(struct room *room);
void peer_program(struct peer *p);
