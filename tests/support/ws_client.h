// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdbool.h>
#include <stddef.h>

/**
 * @file
 * For tests: WebSocket connections of many peers in one thread. Nothing blocks: ws_service() is
 * called often. Callbacks come out of ws_service() only.
 */

struct ws_context;
struct ws_client;

struct ws_events {
	void (*on_open)(void *ctx);
	/** One whole text message; not terminated, valid during the call. */
	void (*on_text)(void *ctx, const char *text, size_t len);
	/** It ended, or could not be opened; the last callback. why is for people. */
	void (*on_closed)(void *ctx, const char *why);
};

/** NULL when libwebsockets cannot start. One at a time. */
struct ws_context *ws_context_create(void);
void ws_context_destroy(struct ws_context *context);

/** Do what is due on all connections; returns at once. */
void ws_service(struct ws_context *context);

/**
 * Begin to connect to ws://HOST:PORT/PATH.
 * @param events  must outlive the client
 * @return NULL if the address is no such URL
 */
struct ws_client *ws_client_create(
	struct ws_context *context, const char *url, const struct ws_events *events, void *ctx);

/** Queue one text message; it is copied. Dropped when the connection has ended. */
void ws_client_send(struct ws_client *client, const char *text, size_t len);

/** No more callbacks; what is queued still goes out, then the connection is closed. */
void ws_client_destroy(struct ws_client *client);
