// SPDX-License-Identifier: BSD-3-Clause
#include "tests/bench/bench_contender.h"

#include <rte_launch.h>
#include <rte_pause.h>
#include <stdatomic.h>
#include <time.h>

/** The second worker's thread meets the first one here, so that starting it is not timed. */
static struct {
	struct contender *contender;
	_Atomic unsigned ready, go;
	double ns; /* of the second thread */
} meeting;

double contender_clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static double work_timed(struct contender *c, unsigned worker)
{
	double begin = contender_clock_ns(), idle;

	watch_begin();
	idle = c->work(c, worker);
	watch_end(&c->watched[worker]);
	return contender_clock_ns() - begin - idle;
}

static int second(void *arg)
{
	(void)arg;
	watch_thread();
	atomic_store(&meeting.ready, 1);
	while (!atomic_load(&meeting.go))
		rte_pause();
	meeting.ns = work_timed(meeting.contender, 1);
	return 0;
}

/** The busier of the two decides: waiting for the other one at the end is no work. */
static double both(struct contender *c)
{
	double ns;

	meeting.contender = c;
	atomic_store(&meeting.ready, 0);
	atomic_store(&meeting.go, 0);
	if (rte_eal_remote_launch(second, NULL, 1))
		return 0;
	while (!atomic_load(&meeting.ready))
		rte_pause();
	atomic_store(&meeting.go, 1);
	ns = work_timed(c, 0);
	rte_eal_wait_lcore(1);
	return meeting.ns > ns ? meeting.ns : ns;
}

unsigned contender_producer(struct contender *c)
{
	c->random ^= c->random << 13;
	c->random ^= c->random >> 7;
	c->random ^= c->random << 17;
	if (c->shape.mixed) {
		unsigned pair = (unsigned)((c->random >> 16) % (shape_producers(&c->shape) / 2));

		return 2 * pair
		       + ((c->random >> 48) % (BENCH_AUDIO_PPS + BENCH_VIDEO_PPS)
			       < BENCH_AUDIO_PPS);
	}
	return (unsigned)((c->random >> 16) % shape_producers(&c->shape));
}

double contender_round(struct contender *c, unsigned inputs)
{
	double ns;

	c->prepare(c, inputs);
	ns = c->shape.workers > 1 ? both(c) : work_timed(c, 0);
	c->check(c, inputs);
	return c->wrong ? -1 : ns / (double)c->copies(c, inputs);
}

uint64_t contender_copies(const struct contender *c, unsigned inputs)
{
	return c->copies(c, inputs);
}

void contender_refresh(struct contender *c)
{
	if (c->refresh)
		c->refresh(c);
}

unsigned contender_frame_len(const struct contender *c)
{
	return c->frame_len;
}

struct watch_counts contender_watched(const struct contender *c)
{
	struct watch_counts sum = {0};

	for (unsigned i = 0; i < BENCH_WORKERS; i++) {
		sum.allocations += c->watched[i].allocations;
		sum.locks += c->watched[i].locks;
		sum.system_calls += c->watched[i].system_calls;
	}
	return sum;
}

const char *contender_books(const struct contender *c)
{
	return c->wrong ? c->wrong : "";
}

void contender_destroy(struct contender *c)
{
	if (c)
		c->destroy(c);
}
