// SPDX-License-Identifier: BSD-3-Clause
/**
 * How long the turns of a polling thread take: the longest one, and how many were longer than
 * TURN_LIMIT_US. By the cycle counter, which costs nothing but takes the time for which the scheduler
 * had the thread stand still for the thread's own; or by the thread's processor time, which tells them
 * apart and costs a system call per turn. One writer, its thread; read with relaxed loads.
 */
#pragma once

#include <rte_cycles.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define TURN_LIMIT_US 1000u

struct turn_meter {
	bool by_processor; /* processor time instead of cycles */
	uint64_t limit; /* TURN_LIMIT_US in the unit of the clock */
	uint64_t begun; /* of this turn, in that unit */
	uint64_t longest;
	uint64_t over; /* turns longer than the limit */
};

/** Once, after the EAL has started; before the first turn. */
static inline void turn_meter_set(struct turn_meter *m, bool by_processor)
{
	*m = (struct turn_meter){.by_processor = by_processor};
	m->limit = by_processor ? TURN_LIMIT_US * UINT64_C(1000)
				: rte_get_tsc_hz() / (1000000 / TURN_LIMIT_US);
}

/** @param cycles  the cycle counter now */
static inline uint64_t turn_clock(const struct turn_meter *m, uint64_t cycles)
{
	struct timespec ts;

	if (!m->by_processor)
		return cycles;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static inline void turn_begins(struct turn_meter *m, uint64_t cycles)
{
	m->begun = turn_clock(m, cycles);
}

static inline void turn_ends(struct turn_meter *m, uint64_t cycles)
{
	uint64_t took = turn_clock(m, cycles) - m->begun;

	if (took > m->longest)
		__atomic_store_n(&m->longest, took, __ATOMIC_RELAXED);
	if (took > m->limit)
		__atomic_store_n(&m->over, m->over + 1, __ATOMIC_RELAXED);
}

/** The longest turn so far. Any thread. */
static inline uint64_t turn_longest_us(const struct turn_meter *m)
{
	uint64_t longest = __atomic_load_n(&m->longest, __ATOMIC_RELAXED);

	return m->limit ? longest * TURN_LIMIT_US / m->limit : 0;
}
