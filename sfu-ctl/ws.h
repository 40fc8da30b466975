// SPDX-License-Identifier: BSD-3-Clause
/**
 * HTTP and WebSocket on one port, by libwebsockets on the event loop (protocol.md A1, C23, C24).
 *
 * Messages of /ws go to the core; ws_send() and ws_close() are its way back (struct core_io). Event
 * loop's thread only.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct config;
struct core;
struct http_site;
struct ws;

/** What one connection may have queued; more closes it with 1013. */
#define WS_QUEUE_MAX_BYTES (1024u * 1024u)

/**
 * Listen. All arguments but err outlive the ws.
 * @param site  answers plain HTTP requests
 * @param err   receives one line that says what to do, on failure
 * @return NULL on failure
 */
struct ws *ws_create(uv_loop_t *loop, const struct config *config, struct core *core,
	const struct http_site *site, char *err, size_t err_size);

/** struct core_io.send: queue a text message for a connection; copied. */
void ws_send(void *conn, const char *text, size_t len);

/** struct core_io.close: close a connection after what is queued was sent, within 5 s. */
void ws_close(void *conn, uint16_t code, const char *reason);

/** Take no new connections and close those that are there with 1001. Let the loop run then. */
void ws_stop(struct ws *ws);

/**
 * Read the files of the certificate anew, for new connections. Without TLS at the start: nothing to do.
 * @param err  receives one line that says why not
 * @return 0, or -EINVAL: the old certificate stays
 */
int ws_reload_certificate(struct ws *ws, char *err, size_t err_size);

/** TCP connections open now. */
uint32_t ws_connections(const struct ws *ws);

/**
 * Close what is left; core_session_close() is called for it. Run the loop afterwards. The
 * memory is kept until the process ends, for libwebsockets' sake. NULL is fine.
 */
void ws_destroy(struct ws *ws);
