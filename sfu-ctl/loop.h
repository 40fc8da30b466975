// SPDX-License-Identifier: BSD-3-Clause
/** The event loop of the process: clock, signals that stop it, and the core's wake-up. */
#pragma once

#include <stdint.h>
#include <uv.h>

/** CLOCK_MONOTONIC in microseconds. Any thread. */
uint64_t loop_now_us(void);

struct loop {
	uv_loop_t uv;
	uv_signal_t sigterm, sigint;
	uv_timer_t wake;
	uint64_t wake_at_us; /* UINT64_MAX = no wish */
	/** First SIGTERM or SIGINT; a second one ends the process at once. */
	void (*on_stop)(void *ctx, int signal);
	/** The time that loop_wake_at() asked for has come. */
	void (*on_wake)(void *ctx);
	void *ctx;
	int signals; /* seen so far */
};

/** Fill in the callbacks before. SIGPIPE is ignored from here on. 0 or negative errno. */
int loop_init(struct loop *loop);

/** Call on_wake at about this time; the earliest wish counts until it has come. */
void loop_wake_at(struct loop *loop, uint64_t at_us);

/**
 * Close our own handles, run what is left of the others' close callbacks for at most limit_ms, and
 * free the loop. Returns 0, or -EBUSY when handles of others were left open.
 */
int loop_fini(struct loop *loop, uint32_t limit_ms);
