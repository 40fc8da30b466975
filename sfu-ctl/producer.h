// SPDX-License-Identifier: BSD-3-Clause
/** Producers: a track that a member sends. */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "sfu-ctl/session.h"
#include "sfu-ctl/table.h"
#include "shared/command.h"

struct consumer;
struct peer;
struct transport;

struct producer {
	struct table_node by_id;
	TAILQ_ENTRY(producer) link; /* of the peer */
	TAILQ_ENTRY(producer) room_link; /* of the room, while live */
	struct peer *peer;
	struct transport *transport; /* of the same peer; NULL: another's, fallback mode only */
	char id[UUID_BYTES];
	bool audio;
	bool live; /* others may see it */
	bool paused;
	uint64_t media; /* handle, 0 = none */
	struct sfu_put_producer put; /* what the data plane was told, while media is not 0 */
	struct json_object *consumable; /* media mode; of ortc_produce() */
	TAILQ_HEAD(, consumer) consumers; /* pending ones too */
};

/** A new one with a fresh id, in the tables but not live. NULL when out of memory. */
struct producer *producer_create(struct peer *p, struct transport *t, bool audio);

/** One that was there before a restart, live and in the room. NULL as transport_restore(). */
struct producer *producer_restore(struct peer *p, struct transport *t, const char *id, bool audio);

/** Show it to the room: in the snapshot, PRODUCER_ADDED to the others. */
void producer_announce(struct producer *p);

/** Remove it and its consumers; others are told if it was live. */
void producer_close(struct producer *p, const char *reason);

/** A live producer of the peer's room, or NULL. */
struct producer *producer_in_room(const struct peer *p, const char *id);
struct producer *producer_find(const struct core *c, const char *id);

/** No change when it is so already. */
void producer_set_paused(struct producer *p, bool paused);

/** ACTIVE_SPEAKER to the members that asked for it (B6), the speaker among them. */
void producer_speaks(const struct producer *p);

const char *producer_kind(const struct producer *p);

/** PRODUCER_ADDED for every foreign producer that the member does not consume (B6). */
void producer_replay(struct peer *p);
