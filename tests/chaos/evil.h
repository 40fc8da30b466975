// SPDX-License-Identifier: BSD-3-Clause
/**
 * What the two hostile ends of the link have in common: randomness from a seed, a thread that writes
 * over mapped memory as fast as it can, and rings whose indices are moved at will.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/abi.h"
#include "shared/ring.h"

struct evil_random {
	uint64_t state; /* not 0 */
};

uint64_t evil_random(struct evil_random *r);
uint32_t evil_below(struct evil_random *r, uint32_t limit);
/** True once in so many times. */
bool evil_once_in(struct evil_random *r, uint32_t times);
void evil_bytes(struct evil_random *r, void *out, size_t size);

/** One octet, word or stretch of it becomes random, extreme, or off by a bit. */
void evil_spoil(struct evil_random *r, void *what, size_t size);

uint64_t evil_now_us(void);

/** A thread that spoils [memory, memory + size), but for the indices of the rings unless told. */
struct evil_mutator;

struct evil_mutator *evil_mutator_start(
	uint8_t *memory, size_t size, bool indices_too, uint64_t seed);
void evil_mutator_stop(struct evil_mutator *m);

/** Write what is impossible, or only unlikely, where the other side reads our index. */
void evil_move(struct evil_random *r, _Atomic uint64_t *index);

/** Offsets of a region that is laid out as sfu-dp lays it out. Returns its size. */
size_t evil_layout(struct sfu_region_header *h);
