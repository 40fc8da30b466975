// SPDX-License-Identifier: BSD-3-Clause
/** What contenders are made of; for the files that make them. */
#pragma once

#include "tests/bench/bench.h"

struct contender {
	struct shape shape;
	struct sources *sources;
	uint64_t random;
	struct watch_counts watched[BENCH_WORKERS]; /* by thread */
	unsigned frame_len;
	const char *wrong; /* first thing that did not balance, or NULL */

	/** Make the inputs ready; not timed. */
	void (*prepare)(struct contender *c, unsigned inputs);
	/** One worker's share, on its own thread; nanoseconds of it in which there was nothing to do. */
	double (*work)(struct contender *c, unsigned worker);
	/** What is to be checked after a round; may set wrong. */
	void (*check)(struct contender *c, unsigned inputs);
	void (*refresh)(struct contender *c);
	void (*destroy)(struct contender *c);
	uint64_t (*copies)(const struct contender *c, unsigned inputs);
};

/**
 * Time that the thread ran. On a quiet machine that is the time on the wall, since nobody sleeps in
 * a round; on a shared one it leaves out what others took.
 */
double contender_clock_ns(void);

/** The next producer to send: at random, so that nothing is in the caches by habit. */
unsigned contender_producer(struct contender *c);
