// SPDX-License-Identifier: BSD-3-Clause
#include "tests/support/latency.h"

#define STEPS_LOG2 3
#define STEPS (1u << STEPS_LOG2)

static unsigned class_of(uint64_t us)
{
	unsigned power, class;

	if (us < STEPS)
		return (unsigned)us;
	power = 63 - (unsigned)__builtin_clzll(us);
	class = (power - STEPS_LOG2 + 1) * STEPS
		+ ((unsigned)(us >> (power - STEPS_LOG2)) & (STEPS - 1));
	return class < LATENCY_CLASSES ? class : LATENCY_CLASSES - 1;
}

static uint64_t class_end(unsigned class)
{
	unsigned power;

	if (class < STEPS)
		return class;
	power = class / STEPS - 1 + STEPS_LOG2;
	return ((uint64_t)(STEPS + class % STEPS + 1) << (power - STEPS_LOG2)) - 1;
}

void latency_add(struct latency *l, uint64_t us)
{
	l->counts[class_of(us)]++;
	l->total++;
	if (us > l->max_us)
		l->max_us = us;
}

void latency_merge(struct latency *l, const struct latency *other)
{
	for (unsigned i = 0; i < LATENCY_CLASSES; i++)
		l->counts[i] += other->counts[i];
	l->total += other->total;
	if (other->max_us > l->max_us)
		l->max_us = other->max_us;
}

uint64_t latency_quantile(const struct latency *l, unsigned permille)
{
	uint64_t wanted = (l->total * permille + 999) / 1000, seen = 0;

	for (unsigned i = 0; i < LATENCY_CLASSES && wanted; i++) {
		seen += l->counts[i];
		if (seen >= wanted)
			return class_end(i) < l->max_us ? class_end(i) : l->max_us;
	}
	return 0;
}
