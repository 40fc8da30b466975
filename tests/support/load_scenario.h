// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "tests/support/load_client.h"

/**
 * @file
 * For tests: what sfu-load does to a server. A scenario prints one JSON object and returns true when
 * nothing went wrong that is wrong whatever was measured: a request refused, a connection lost.
 */

struct load_options {
	uint16_t port;
	pid_t pid; /* of the server */
	uint32_t clients;
	uint32_t parallel; /* of them at once, when connecting or joining */
	uint32_t room_size;
	uint32_t rate; /* requests per second; 0 = each client as fast as it is answered */
	uint32_t window; /* PINGs of each client that are out at a time, without a rate */
	uint32_t readers, loris; /* clients that never read, and very slow ones */
	double seconds;
	bool connected_first; /* joins: all connect before the first sends anything */
	const char *const *tokens;
	uint32_t token_count;
};

bool load_idle(const struct load_options *o);
bool load_joins(const struct load_options *o);
bool load_pings(const struct load_options *o);
bool load_hostile(const struct load_options *o);

/** A group as the options say. NULL loop: no epoll. */
void load_group_init(struct load_group *g, const struct load_options *o, struct load_loop *loop,
	const char *name);

/**
 * Connect clients and take them through their first steps, some at a time, until all are there.
 * @return false when one failed: group->why says how
 */
bool load_arrive(struct load_client *clients, struct load_group *group, uint32_t count,
	uint32_t parallel, unsigned steps);

/**
 * PINGs at an even rate, each to the next client, for so long. Timed from when they were due. A client
 * that has not answered its last one is passed over.
 */
void load_pace(struct load_client *clients, struct load_group *group, uint32_t count, uint32_t rate,
	double seconds);

/** "requests": …, "latency_us": {…}, "refused", "lost", "why": members of an object. */
void load_print_group(const struct load_group *g);
