// SPDX-License-Identifier: BSD-3-Clause
/**
 * What the service manager hands us, is told, and keeps for us, where there is one: systemd's
 * protocol (sd_notify(3), sd_listen_fds(3)), which others speak as well. Both programs, their main
 * thread. Without its variables in the environment everything here does nothing.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/** One or more lines "NAME=value". Never blocks. */
void notify_say(const char *lines);

/** A reload begins (RELOADING=1, and since when). It ends with READY=1. */
void notify_reloading(void);

/** Have a descriptor kept across our death, under a name. */
void notify_keep(const char *name, int fd);

#define NOTIFY_GIVEN_MAX 8u

struct notify_given {
	int fd; /* CLOEXEC */
	char name[32]; /* "" = it has none */
};

/**
 * The descriptors that were handed to us: listening sockets, or what was kept. Once, at the start: the
 * environment is cleared.
 * @return how many; more than NOTIFY_GIVEN_MAX are closed
 */
unsigned notify_given(struct notify_given out[NOTIFY_GIVEN_MAX]);

/** How often WATCHDOG=1 is due, in microseconds; 0 = never. */
uint64_t notify_watchdog_us(void);
