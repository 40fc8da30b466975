// SPDX-License-Identifier: BSD-3-Clause
/** The listening TCP socket: opens it, accepts, and survives a shortage of descriptors. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct listener;

/** Takes fd (non-blocking). The peer's address as text, for the log. */
typedef void (*listener_accept_fn)(void *ctx, int fd);

/**
 * Listen and accept from the loop.
 * @param address  IPv4 or IPv6 text; "" = every address of both
 * @param err      receives one line that says what to do
 * @return NULL on failure
 */
struct listener *listener_create(uv_loop_t *loop, const char *address, uint16_t port,
	listener_accept_fn on_accept, void *ctx, char *err, size_t err_size);

/** Stop listening. Memory goes when the loop has run. NULL is fine. */
void listener_destroy(struct listener *listener);
