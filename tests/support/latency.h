// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdint.h>

/**
 * @file
 * For tests: durations counted in classes of 1/8 of a power of two, constant memory.
 */

#define LATENCY_CLASSES (8 * 32)

struct latency {
	uint32_t counts[LATENCY_CLASSES];
	uint64_t total; // durations counted
	uint64_t max_us; // longest
};

/** Count one duration. */
void latency_add(struct latency *l, uint64_t us);

/** Count everything that other counted. */
void latency_merge(struct latency *l, const struct latency *other);

/** Upper end of the class in which the share of permille lies, in microseconds; 0 if empty. */
uint64_t latency_quantile(const struct latency *l, unsigned permille);
