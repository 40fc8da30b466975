// SPDX-License-Identifier: BSD-3-Clause
#include "shared/ring.h"

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

_Static_assert(offsetof(struct sfu_ring, head) == 0, "abi");
_Static_assert(offsetof(struct sfu_ring, tail) == 64, "abi");
_Static_assert(offsetof(struct sfu_ring, sleeping) == 128, "abi");
_Static_assert(offsetof(struct sfu_ring, slots) == 192, "abi");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "atomics in shared memory must not use locks");

// After each store that may be the last of a process that dies. Tests die here.
#ifndef RING_STEP
#define RING_STEP() ((void)0)
#endif

// The copy has happened when this is passed: the compiler may not fetch from the slot again.
#define COPIED() __asm__ volatile("" ::: "memory")

size_t sfu_ring_bytes(uint32_t slots, uint32_t slot_bytes)
{
	size_t bytes = offsetof(struct sfu_ring, slots) + (size_t)slots * slot_bytes;

	return (bytes + 63) & ~(size_t)63;
}

void sfu_ring_attach(struct sfu_ring_end *end, void *mapped, uint32_t slots, uint32_t slot_bytes)
{
	assert(slots != 0 && (slots & (slots - 1)) == 0);
	assert(((uintptr_t)mapped & 63) == 0);
	end->ring = mapped;
	end->own = 0;
	end->peer = 0;
	end->mask = slots - 1;
	end->slot_bytes = slot_bytes;
	end->poisoned = false;
}

static uint8_t *slot(const struct sfu_ring_end *end)
{
	return end->ring->slots + (size_t)(end->own & end->mask) * end->slot_bytes;
}

// The producer's look at the consumer's index: it lies between what it was and our own. Unsigned
// distances, so a step back shows as more slots in use than before.
static void look_at_tail(struct sfu_ring_end *end)
{
	uint64_t tail = atomic_load_explicit(&end->ring->tail, memory_order_acquire);

	if (end->own - tail > end->own - end->peer)
		end->poisoned = true;
	else
		end->peer = tail;
}

// The consumer's look at the producer's index: not before what it was, not past the ring.
static void look_at_head(struct sfu_ring_end *end)
{
	uint64_t head = atomic_load_explicit(&end->ring->head, memory_order_acquire);
	uint64_t count = head - end->own;

	if (count > (uint64_t)end->mask + 1 || count < end->peer - end->own)
		end->poisoned = true;
	else
		end->peer = head;
}

static uint32_t room(const struct sfu_ring_end *end)
{
	return (uint32_t)((uint64_t)end->mask + 1 - (end->own - end->peer));
}

enum sfu_ring_status sfu_ring_push(struct sfu_ring_end *end, const void *element, bool *wake)
{
	*wake = false;
	if (end->poisoned)
		return SFU_RING_POISONED;
	if (room(end) == 0) {
		look_at_tail(end);
		if (end->poisoned)
			return SFU_RING_POISONED;
		if (room(end) == 0)
			return SFU_RING_FULL;
	}
	memcpy(slot(end), element, end->slot_bytes);
	RING_STEP();
	end->own++;
	// Sequentially consistent, as are the other three accesses of this handshake (below and in
	// sfu_ring_sleep): either we see that the consumer sleeps, or it sees this element. Operations
	// and not fences, because the thread sanitizer understands only those; on x86 it is the
	// same locked instruction.
	atomic_store_explicit(&end->ring->head, end->own, memory_order_seq_cst);
	RING_STEP();
	if (atomic_load_explicit(&end->ring->sleeping, memory_order_seq_cst) != 0)
		*wake = atomic_exchange_explicit(&end->ring->sleeping, 0, memory_order_seq_cst)
			!= 0;
	RING_STEP();
	return SFU_RING_OK;
}

uint32_t sfu_ring_room(struct sfu_ring_end *end)
{
	if (!end->poisoned)
		look_at_tail(end);
	return end->poisoned ? 0 : room(end);
}

enum sfu_ring_status sfu_ring_pop(struct sfu_ring_end *end, void *element, bool wipe)
{
	uint8_t *from;

	if (end->poisoned)
		return SFU_RING_POISONED;
	if (end->peer == end->own) {
		look_at_head(end);
		if (end->poisoned)
			return SFU_RING_POISONED;
		if (end->peer == end->own)
			return SFU_RING_EMPTY;
	}
	from = slot(end);
	memcpy(element, from, end->slot_bytes);
	COPIED();
	RING_STEP();
	if (wipe) {
		memset(from, 0, end->slot_bytes);
		COPIED();
		RING_STEP();
	}
	end->own++;
	atomic_store_explicit(&end->ring->tail, end->own, memory_order_release);
	RING_STEP();
	return SFU_RING_OK;
}

uint32_t sfu_ring_count(struct sfu_ring_end *end)
{
	if (!end->poisoned)
		look_at_head(end);
	return end->poisoned ? 0 : (uint32_t)(end->peer - end->own);
}

bool sfu_ring_sleep(struct sfu_ring_end *end)
{
	if (end->poisoned)
		return false;
	atomic_store_explicit(&end->ring->sleeping, 1, memory_order_seq_cst);
	if (atomic_load_explicit(&end->ring->head, memory_order_seq_cst) == end->own)
		return true;
	sfu_ring_awake(end);
	return false;
}

void sfu_ring_awake(struct sfu_ring_end *end)
{
	atomic_store_explicit(&end->ring->sleeping, 0, memory_order_relaxed);
}
