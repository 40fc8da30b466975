// SPDX-License-Identifier: BSD-3-Clause
/**
 * sfu-ctl under a service manager (shared/service/notify.h): listening sockets that it holds, so that who
 * connects while we are replaced waits instead of being refused; and what it is told of us. Without a
 * manager nothing of this happens.
 *
 * Of the sockets one named "metrics" is that of SFU_METRICS_LISTEN, any other one that of SFU_PORT.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct service {
	int main_fd, metrics_fd; /* -1: we open our own. Who listens there closes it */
	uv_timer_t watchdog;
};

/**
 * What we were given, and the watchdog. Before anything else of the loop.
 * @param err  receives one line that says what to do
 * @return 0, or -EINVAL: what we were given cannot be listened on
 */
int service_init(struct service *service, uv_loop_t *loop, char *err, size_t err_size);

/** Clients are taken from now on. */
void service_ready(void);

/** A reload begins; service_ready() ends it. */
void service_reloading(void);

/** The end begins. */
void service_stopping(void);

/** Run the loop afterwards. */
void service_fini(struct service *service);
