// SPDX-License-Identifier: BSD-3-Clause
/**
 * SIGUSR1, or the command "drain": this node empties itself and ends. The core takes no new rooms and asks those that are here to
 * go elsewhere (migrate.h); /ready says no; when the last member that is connected has gone, or after
 * SFU_DRAIN_DEADLINE_SEC, the process stops as on SIGTERM, with status 0. Event loop's thread only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct config;
struct core;

struct drain {
	uv_signal_t signal;
	uv_timer_t timer;
	const struct config *config;
	struct core *core;
	bool *draining; /* set to true at the beginning */
	uint64_t deadline_us;
	uint64_t quiet_us; /* without members since then; 0 = there are some */
	void (*on_empty)(void *ctx); /* stop now */
	void *ctx;
};

/** Members that lost their connection for a moment count as gone only after this. */
#define DRAIN_QUIET_US UINT64_C(1000000)

/** Begin to listen for the signal; the fields but handles and times are filled in. 0 or negative errno. */
int drain_init(struct drain *drain, uv_loop_t *loop);

/** As on the signal. False: it has begun already. */
bool drain_begin(struct drain *drain);

/** Close the handles of an initialised one. Run the loop afterwards. */
void drain_fini(struct drain *drain);
