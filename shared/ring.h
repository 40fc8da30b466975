// SPDX-License-Identifier: BSD-3-Clause
/**
 * Single-producer single-consumer ring over a mapped region, elements by value.
 *
 * Either side may be hostile or dead at any instruction. Each keeps its own index, mask and slot
 * size private (struct ring_end) and reads of the other's only one 64-bit index, whose distance it
 * checks. A slot is published by one release store after it was written whole, so a killed producer
 * leaves either a whole element or none.
 *
 *   offset 0    head: next slot to write, producer's (64-bit, never wraps in practice)
 *   offset 64   tail: next slot to read, consumer's
 *   offset 128  sleeping: consumer's, 1 = it wants an eventfd write on the next push
 *   offset 192  slots
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** The mapped part in front of the slots. Both sides map it; see the writers above. */
struct sfu_ring {
	_Alignas(64) _Atomic uint64_t head;
	_Alignas(64) _Atomic uint64_t tail;
	_Alignas(64) _Atomic uint32_t sleeping;
	_Alignas(64) uint8_t slots[];
};

/** One side's private end. Zero it before sfu_ring_attach(); no other thread touches it. */
struct sfu_ring_end {
	struct sfu_ring *ring;
	uint64_t own; /* our index: head for a producer, tail for a consumer */
	uint64_t peer; /* the other's index as last seen and found plausible */
	uint32_t mask;
	uint32_t slot_bytes;
	bool poisoned; /* the other side's index was impossible: stop using this attach */
};

enum sfu_ring_status {
	SFU_RING_OK,
	SFU_RING_EMPTY, /* pop: nothing there */
	SFU_RING_FULL, /* push: no room */
	SFU_RING_POISONED, /* the peer wrote an impossible index; detach */
};

/** Octets a ring of that shape takes in the region, a multiple of 64. slots is a power of two. */
size_t sfu_ring_bytes(uint32_t slots, uint32_t slot_bytes);

/**
 * Bind a private end to a mapped ring. The memory must be zeroed (a fresh region) and stay mapped.
 * @param slots, slot_bytes  from our own checked copy of the header, never from the ring
 */
void sfu_ring_attach(struct sfu_ring_end *end, void *mapped, uint32_t slots, uint32_t slot_bytes);

/**
 * Copy one element of slot_bytes in and publish it. Producer's end, producer's thread only.
 * *wake is set when the consumer sleeps and its eventfd must be written (once per transition).
 */
enum sfu_ring_status sfu_ring_push(struct sfu_ring_end *end, const void *element, bool *wake);

/** Free slots as the producer knows them now; 0 when poisoned. */
uint32_t sfu_ring_room(struct sfu_ring_end *end);

/**
 * Copy one element of slot_bytes out. Consumer's end, consumer's thread only.
 * With wipe the slot is zeroed after the copy and before it is handed back (keys).
 */
enum sfu_ring_status sfu_ring_pop(struct sfu_ring_end *end, void *element, bool wipe);

/** Elements waiting as the consumer knows them now; 0 when poisoned. */
uint32_t sfu_ring_count(struct sfu_ring_end *end);

/**
 * Announce that the consumer is about to sleep. Returns true when it may: the ring was still empty
 * after the announcement (full fence in between). On false it is awake again and must pop.
 */
bool sfu_ring_sleep(struct sfu_ring_end *end);

/** The consumer is awake again. */
void sfu_ring_awake(struct sfu_ring_end *end);
