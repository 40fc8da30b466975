// SPDX-License-Identifier: BSD-3-Clause
/**
 * The control core: sessions, rooms, E2EE coordination. Between ws.c (bytes) and media.h (the data
 * plane). No sockets, no libwebsockets, no curl, no clock of its own: testable in one process.
 *
 * ws.c calls core_*; the core answers through struct core_io. All on the event loop's thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sfu-ctl/memory.h"

struct core;
struct session; /* one WebSocket connection */
struct media;
struct config;
struct json_object;
struct regions;

/** What the core needs from the world outside. Functions never call back into the core. */
struct core_io {
	void *ctx;
	/** Queue one text message; copied. Too much queued closes the connection (1013). */
	void (*send)(void *ctx, void *conn, const char *text, size_t len);
	/**
	 * The same for several connections at once. latest: the text says all that the one before it
	 * with this mark said, so to a slow reader that one need not be sent any more.
	 */
	void (*send_all)(void *ctx, void *const *conns, size_t count, const char *text, size_t len,
		bool latest);
	/** Close after what is queued was sent; core_session_close() follows later from ws.c. */
	void (*close)(void *ctx, void *conn, uint16_t code, const char *reason);
	/**
	 * Check a token; the answer comes exactly once through core_auth_result() with the same
	 * session id and request id, possibly after the session is gone (then it is ignored), and
	 * never before this returns. 0, or -ENOMEM: there will be no answer.
	 */
	int (*auth)(
		void *ctx, uint64_t session_id, uint64_t request_id, const char *token, size_t len);
	void (*random)(void *ctx, void *out, size_t len);
	uint64_t (*wall_ms)(void *ctx);
	uint64_t (*now_us)(void *ctx); /* CLOCK_MONOTONIC */
	/** Call core_tick() at about this time (monotonic); the earliest wish counts. */
	void (*wake_at)(void *ctx, uint64_t at_us);
	/** What a successor needs (remember.h, restore.h); tell NULL: nothing is remembered. */
	struct remember remember;
};

enum auth_verdict {
	AUTH_ACCEPTED,
	AUTH_REFUSED,
	AUTH_UNAVAILABLE, /* the auth server could not be asked: retryable (C20) */
};

/**
 * @param media  NULL in fallback mode; else the core registers its struct media_notices with
 *               media_set_notices() (media.c) and uses media.h
 * @param config read only, outlives the core
 */
struct core *core_create(
	const struct config *config, const struct core_io *io, struct media *media);
void core_destroy(struct core *c);

/** A connection was accepted. conn is ws.c's, handed back in io calls. NULL when out of memory. */
struct session *core_session_open(struct core *c, void *conn, const char *remote_address);

/** One whole message, text or binary alike. Not modified, not kept. Never closes synchronously. */
void core_session_message(struct session *s, const char *text, size_t len);

/** The number that names the connection in the log. */
uint64_t core_session_number(const struct session *s);

/** The socket is gone; s is freed. clean: a close frame was seen. */
void core_session_close(struct session *s, bool clean);

void core_auth_result(struct core *c, uint64_t session_id, uint64_t request_id,
	enum auth_verdict verdict, const char *user_id);

/**
 * The connection is not protected by TLS, nor by a trusted proxy: closed with 4003 where
 * SFU_REQUIRE_SECURE_WS says so. Right after core_session_open().
 */
void core_session_insecure(struct session *s);

/**
 * When the token expires that core_auth_result() has just accepted for this request (B10). Then:
 * AUTH_FAIL, close 4001, unless the connection has authenticated anew. Looked at every
 * SFU_AUTH_RECHECK_SEC; nothing happens while that is 0 (C21, the default).
 */
void core_auth_expires(
	struct core *c, uint64_t session_id, uint64_t request_id, int64_t at_unix_sec);

/**
 * The other nodes that clients may go to; not before the first frame, outlives the core. NULL: none.
 */
void core_set_regions(struct core *c, const struct regions *regions);

/** Their list or order has changed: members are told, and rooms that wait for somewhere to go, go. */
void core_regions_changed(struct core *c);

/** Another node's core_clock_us(). False: more than an hour ahead of ours, not believed. */
bool core_heard_clock(struct core *c, uint64_t clock_us);

/** The clock that numbers are taken from (numbering.h). */
uint64_t core_clock_us(struct core *c);

/**
 * Take no new rooms from now on, and ask the members of those that are here to go to another node, all
 * before a deadline (monotonic). There is no way back.
 */
void core_drain(struct core *c, uint64_t deadline_us);

/** Would a new room be taken here? Not while draining, full, or without the data plane that was there. */
bool core_takes_rooms(const struct core *c);

/** Members of rooms that have a connection: whom a stop would cut off. */
uint32_t core_members_here(const struct core *c);

/** How full it is, in percent of SFU_MAX_PEERS, or of CORE_NOMINAL_PEERS without that limit. */
uint32_t core_load(const struct core *c);
#define CORE_NOMINAL_PEERS 1000u

/**
 * The process is about to be replaced: from now on nothing is told to members, data plane or memory,
 * so that the successor finds everything as it is.
 */
void core_hand_over(struct core *c);

/** Who has no connection leaves now: there will be nobody to come back to. */
void core_end_parked(struct core *c);

/** Deadlines that are due. */
void core_tick(struct core *c);

/** Figures for /health and /metrics (protocol.md A9). */
struct core_figures {
	uint32_t rooms;
	uint32_t bound_peers; /* devices bound to a connection: authenticated or joined */
	uint32_t room_peers;
	uint32_t producers, consumers, transports;
};
void core_figures(const struct core *c, struct core_figures *out);

struct tally;
/** What it has done so far; valid as long as the core. */
const struct tally *core_tally(const struct core *c);

/** New object {"<region>": rooms, …}; the caller puts it. */
struct json_object *core_rooms_by_region(const struct core *c);
