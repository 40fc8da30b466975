// SPDX-License-Identifier: BSD-3-Clause
/**
 * HTTP and WebSocket on one port, by libwebsockets on the event loop (protocol.md A1, C23, C24).
 *
 * Messages of /ws go to the core; ws_send() and ws_close() are its way back (struct core_io). Event
 * loop's thread only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct config;
struct core;
struct http_site;
struct service;
struct ws;

/**
 * Listen. All arguments but service and err outlive the ws.
 * @param site  answers plain HTTP requests
 * @param service  its sockets are taken, where it has any
 * @param err   receives one line that says what to do, on failure
 * @return NULL on failure
 */
struct ws *ws_create(uv_loop_t *loop, const struct config *config, struct core *core,
	const struct http_site *site, const struct service *service, char *err, size_t err_size);

/** struct core_io.send: queue a text message for a connection; copied. */
void ws_send(void *conn, const char *text, size_t len);

/**
 * struct core_io.send_all: queue one text message for several connections, kept once.
 * @param latest  it says all that earlier ones of this kind said: those that wait are dropped
 */
void ws_send_all(void *const *conns, size_t count, const char *text, size_t len, bool latest);

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

/** Files that were not sent because no descriptor was left for them. */
uint64_t ws_files_refused(const struct ws *ws);

/**
 * Close what is left; core_session_close() is called for it. Run the loop afterwards. The
 * memory is kept until the process ends, for libwebsockets' sake. NULL is fine.
 */
void ws_destroy(struct ws *ws);
