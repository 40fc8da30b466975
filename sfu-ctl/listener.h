// SPDX-License-Identifier: BSD-3-Clause
/** The listening TCP socket: opens it, accepts, and survives a shortage of descriptors. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct listener;

/** Takes fd (non-blocking). */
typedef void (*listener_accept_fn)(void *ctx, int fd);

/** Where to listen. The strings are only read by listener_create(). */
struct listener_place {
	const char *address; /* IPv4 or IPv6 text; "" = every address of both */
	uint16_t port; /* host byte order */
	const char *address_setting, *port_setting; /* whose they are, for err */
	int given_fd; /* listens there already, handed over by a service manager; -1 = none */
};

/**
 * Listen and accept from the loop. A given_fd is closed with the listener; whoever handed it over
 * holds another one, and who connects meanwhile waits there.
 * @param err  receives one line that says what to do
 * @return NULL on failure
 */
struct listener *listener_create(uv_loop_t *loop, const struct listener_place *place,
	listener_accept_fn on_accept, void *ctx, char *err, size_t err_size);

/** Stop listening. Memory goes when the loop has run. NULL is fine. */
void listener_destroy(struct listener *listener);
