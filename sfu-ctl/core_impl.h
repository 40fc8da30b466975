// SPDX-License-Identifier: BSD-3-Clause
/** The core's own state, for the files that make up the core and for nobody else. */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "sfu-ctl/config.h"
#include "sfu-ctl/core.h"
#include "sfu-ctl/device_rate.h"
#include "sfu-ctl/json_text.h"
#include "sfu-ctl/media.h"
#include "sfu-ctl/migrate.h"
#include "sfu-ctl/numbering.h"
#include "sfu-ctl/proto/envelope.h"
#include "sfu-ctl/seq_memory.h"
#include "sfu-ctl/table.h"
#include "sfu-ctl/tally.h"

struct await;
struct regions;
struct room;

struct core {
	const struct config *config;
	struct core_io io;
	struct media *media; /* NULL in fallback mode */
	bool media_seen; /* a data plane has been attached: from then on media mode */
	bool media_on; /* a data plane is attached and fits the configuration */
	uint64_t media_gone_us; /* the data plane is awaited until then; 0 = it is not */
	bool ending; /* core_destroy(): awaits are dropped */
	struct json_object *capabilities; /* routerRtpCapabilities */
	struct json_object *media_capabilities; /* the same once media_seen; then NULL */
	struct json_tokener *tokener;
	struct json_text outgoing; /* outbox.c: the frame that is being written */
	uint8_t hash_key[ENV_KEY_BYTES];
	uint64_t last_session, last_request, last_life;
	uint64_t wake_us; /* asked of io.wake_at(), 0 = nothing */

	struct table sessions;
	TAILQ_HEAD(, session) session_list;
	TAILQ_HEAD(, session) anonymous; /* longest silent first */
	uint32_t authenticated;
	uint64_t expiry_check_us; /* next look at expires_sec of the sessions, 0 = none has one */
	struct table addresses;
	struct table users; /* that have connections: users.c */
	struct table resume_tokens; /* sessions */
	TAILQ_HEAD(, session) parked; /* earliest deadline first */
	uint32_t parked_count;
	struct seq_memory seq_memory;
	struct tally tally;

	struct table rooms;
	TAILQ_HEAD(room_list, room) room_list; /* oldest first */
	TAILQ_HEAD(, room) unused_rooms; /* oldest first */
	TAILQ_HEAD(, room) rekeys; /* earliest deadline first */
	struct device_rates key_packages, rekey_begins;
	struct table transports, producers, consumers; /* by id */
	struct table transports_by_media;
	uint32_t peer_count; /* members of rooms */
	TAILQ_HEAD(, await) awaits;

	struct numbering numbering;
	const struct regions *regions; /* other nodes; NULL or empty: none */
	uint64_t endpoints_due_us; /* ENDPOINTS goes to the members then, 0 = nothing new */
	uint64_t endpoints_told_us; /* when it did last, 0 = never */
	struct migration migration;
};

/**
 * Media mode: a data plane is there or was. One that is wanted and has never been seen leaves us in
 * fallback mode (protocol.md A11).
 */
static inline bool core_media_mode(const struct core *c)
{
	return c->media_seen;
}

static inline uint64_t core_now(const struct core *c)
{
	return c->io.now_us(c->io.ctx);
}

/** For numbering.h. */
static inline struct numbering_now core_numbering_now(const struct core *c)
{
	return (struct numbering_now){c->io.wall_ms(c->io.ctx) * 1000, c->io.now_us(c->io.ctx)};
}

/** Have core_tick() called at this time or before. */
void core_wake_at(struct core *c, uint64_t at_us);

/** An id nobody has: a UUID in media mode, else prefix and 8 hex digits. */
void core_new_id(struct core *c, const struct table *among, const char *prefix, char out[37]);
/** prefix and 8 hex digits, at most 15 octets. */
void core_short_id(struct core *c, const char *prefix, char out[16]);
