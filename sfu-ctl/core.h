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

struct core;
struct session; /* one WebSocket connection */
struct media;
struct config;
struct json_object;

/** What the core needs from the world outside. Functions never call back into the core. */
struct core_io {
	void *ctx;
	/** Queue one text message; copied. Too much queued closes the connection (1013). */
	void (*send)(void *ctx, void *conn, const char *text, size_t len);
	/** Close after what is queued was sent; core_session_close() follows later from ws.c. */
	void (*close)(void *ctx, void *conn, uint16_t code, const char *reason);
	/**
	 * Check a token; the answer comes exactly once through core_auth_result() with the same
	 * session id and request id, possibly after the session is gone (then it is ignored), and
	 * never before this returns.
	 */
	void (*auth)(
		void *ctx, uint64_t session_id, uint64_t request_id, const char *token, size_t len);
	void (*random)(void *ctx, void *out, size_t len);
	uint64_t (*wall_ms)(void *ctx);
	uint64_t (*now_us)(void *ctx); /* CLOCK_MONOTONIC */
	/** Call core_tick() at about this time (monotonic); the earliest wish counts. */
	void (*wake_at)(void *ctx, uint64_t at_us);
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
