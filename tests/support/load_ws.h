// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * @file
 * For tests: very many WebSocket connections from one thread, at so little cost that it is the server
 * that is measured. Loopback or a namespace's addresses, no TLS, no extensions; a bad handshake ends the
 * connection. Callbacks come out of load_turn() only, and may do anything but free the loop.
 */

struct load_loop;
struct load_conn;

struct load_events {
	/** The upgrade was accepted. */
	void (*on_open)(void *ctx);
	/** One whole message; not terminated, valid during the call. */
	void (*on_text)(void *ctx, const char *text, size_t len);
	/** A WebSocket ping; it has been answered. May be NULL. */
	void (*on_ping)(void *ctx);
	/** It ended; the last callback. code: of the close frame, 0 = none came. The conn is gone. */
	void (*on_closed)(void *ctx, uint16_t code);
};

uint64_t load_now_us(void);

/** To a server at 127.0.0.1:port. NULL when the system gives no epoll. */
struct load_loop *load_loop_create(uint16_t port);
/** Connections are closed without a callback. */
void load_loop_destroy(struct load_loop *loop);

/** Do what is due; wait for at most so long when there is nothing. */
void load_turn(struct load_loop *loop, uint64_t wait_us);

/**
 * Begin to connect to /ws.
 * @param events  must outlive the connection
 * @return NULL when there is no descriptor left, or nobody listens
 */
struct load_conn *load_connect(struct load_loop *loop, const struct load_events *events, void *ctx);

/**
 * Begin to connect, and then only send these octets: no handshake, and nothing is answered. on_open
 * comes when the connection stands.
 */
struct load_conn *load_connect_raw(
	struct load_loop *loop, const struct load_events *events, void *ctx);
void load_send_raw(struct load_conn *conn, const void *data, size_t len);

/** One text message, masked. */
void load_send(struct load_conn *conn, const char *text, size_t len);

/** From now on nothing is read any more, and the kernel takes little; only a reset is noticed. */
void load_deafen(struct load_conn *conn);

/** Read again, from where it was left. */
void load_listen(struct load_conn *conn);

/** Octets that did not fit into the socket yet. */
size_t load_unsent(const struct load_conn *conn);

/** No more callbacks. politely: with a close frame. */
void load_close(struct load_conn *conn, bool politely);
