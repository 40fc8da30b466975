// SPDX-License-Identifier: BSD-3-Clause
#include "tests/chaos/evil.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

uint64_t evil_random(struct evil_random *r)
{
	r->state ^= r->state << 13;
	r->state ^= r->state >> 7;
	r->state ^= r->state << 17;
	return r->state;
}

uint32_t evil_below(struct evil_random *r, uint32_t limit)
{
	return (uint32_t)((evil_random(r) >> 32) * limit >> 32);
}

bool evil_once_in(struct evil_random *r, uint32_t times)
{
	return evil_below(r, times) == 0;
}

void evil_bytes(struct evil_random *r, void *out, size_t size)
{
	uint8_t *to = out;

	for (size_t i = 0; i < size; i += 8) {
		uint64_t word = evil_random(r);

		memcpy(to + i, &word, size - i < 8 ? size - i : 8);
	}
}

void evil_spoil(struct evil_random *r, void *what, size_t size)
{
	static const uint64_t extreme[] = {0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff,
		INT32_MAX, (uint64_t)INT32_MAX + 1, UINT32_MAX, (uint64_t)UINT32_MAX + 1, INT64_MAX,
		(uint64_t)INT64_MAX + 1, UINT64_MAX};
	uint8_t *to = what;
	size_t at = evil_below(r, (uint32_t)size), most = size - at;
	uint64_t value = extreme[evil_below(r, sizeof(extreme) / sizeof(extreme[0]))];
	size_t width = (size_t)1 << evil_below(r, 4);

	switch (evil_below(r, 4)) {
	case 0:
		to[at] ^= (uint8_t)(1u << evil_below(r, 8));
		break;
	case 1:
		to[at] = (uint8_t)evil_random(r);
		break;
	case 2:
		memcpy(to + at, &value, width < most ? width : most);
		break;
	default:
		evil_bytes(r, to + at, evil_below(r, (uint32_t)(most < 64 ? most : 64)) + 1);
		break;
	}
}

uint64_t evil_now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* The mutator */

struct evil_mutator {
	uint8_t *memory;
	size_t size;
	bool indices_too;
	struct sfu_region_header header; /* as we know it to be */
	struct evil_random random;
	_Atomic bool stop;
	pthread_t thread;
};

/** Is it one of the words of which a wrong value ends the attach? */
static bool is_index(const struct evil_mutator *m, size_t at)
{
	for (int i = 0; i < SFU_RING_COUNT; i++) {
		size_t ring = m->header.ring[i].offset_bytes;

		if (at >= ring && at < ring + offsetof(struct sfu_ring, sleeping))
			return true;
	}
	return false;
}

static void *mutate(void *arg)
{
	struct evil_mutator *m = arg;

	while (!atomic_load_explicit(&m->stop, memory_order_relaxed)) {
		size_t at = (size_t)(evil_random(&m->random) % m->size);
		volatile uint8_t *to = m->memory + at;

		// Where something happens: the beginnings of the rings.
		if (evil_once_in(&m->random, 2)) {
			unsigned ring = evil_below(&m->random, SFU_RING_COUNT);

			at = (size_t)m->header.ring[ring].offset_bytes
			     + evil_below(&m->random, 192 + 16 * 256);
			to = m->memory + at;
		}
		if (m->indices_too || !is_index(m, at))
			*to = (uint8_t)evil_random(&m->random);
	}
	return NULL;
}

struct evil_mutator *evil_mutator_start(
	uint8_t *memory, size_t size, bool indices_too, uint64_t seed)
{
	struct evil_mutator *m = calloc(1, sizeof(*m));

	if (!m)
		abort();
	m->memory = memory;
	m->indices_too = indices_too;
	m->random.state = seed | 1;
	m->size = evil_layout(&m->header);
	if (m->size > size)
		m->size = size;
	if (pthread_create(&m->thread, NULL, mutate, m))
		abort();
	return m;
}

void evil_mutator_stop(struct evil_mutator *m)
{
	if (!m)
		return;
	atomic_store(&m->stop, true);
	pthread_join(m->thread, NULL);
	free(m);
}

void evil_move(struct evil_random *r, _Atomic uint64_t *index)
{
	uint64_t now = atomic_load(index);

	switch (evil_below(r, 5)) {
	case 0:
		atomic_store(index, evil_random(r));
		break;
	case 1:
		atomic_store(index, now - 1 - evil_below(r, 3));
		break;
	case 2:
		atomic_store(index, now + evil_below(r, 2 * SFU_CMD_SLOTS));
		break;
	case 3:
		atomic_store(index, now ^ (UINT64_C(1) << evil_below(r, 64)));
		break;
	default:
		atomic_store(index, evil_once_in(r, 2) ? 0 : UINT64_MAX);
		break;
	}
}

size_t evil_layout(struct sfu_region_header *h)
{
	static const uint32_t shape[SFU_RING_COUNT][2] = {
		[SFU_RING_CMD] = {SFU_CMD_SLOTS, SFU_CMD_SLOT_BYTES},
		[SFU_RING_EVENT] = {SFU_EVENT_SLOTS, SFU_EVENT_SLOT_BYTES},
		[SFU_RING_DTLS_TO_DP] = {SFU_DTLS_SLOTS, SFU_DTLS_SLOT_BYTES},
		[SFU_RING_DTLS_TO_CTL] = {SFU_DTLS_SLOTS, SFU_DTLS_SLOT_BYTES},
	};
	uint64_t at = sizeof(*h);

	memset(h, 0, sizeof(*h));
	h->magic = SFU_ABI_MAGIC;
	h->abi_version = SFU_ABI_VERSION;
	h->header_bytes = sizeof(*h);
	for (int i = 0; i < SFU_RING_COUNT; i++) {
		h->ring[i].offset_bytes = at;
		h->ring[i].slots = shape[i][0];
		h->ring[i].slot_bytes = shape[i][1];
		at += sfu_ring_bytes(shape[i][0], shape[i][1]);
	}
	h->stats_offset_bytes = at;
	h->stats_bytes = sizeof(struct sfu_stats_page);
	at += sizeof(struct sfu_stats_page);
	h->region_bytes = (at + 4095) & ~UINT64_C(4095);
	return h->region_bytes;
}
