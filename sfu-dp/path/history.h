// SPDX-License-Identifier: BSD-3-Clause
/**
 * history: the opened packets of the last second or so, as references, for retransmission. One per
 * worker, of the packets that it has sent to consumers who may ask again; one reference per packet,
 * however many consumers got it.
 *
 *   entry[]  a ring in order of arrival; the oldest leaves when it is too old, or when it is full
 *   place[]  per producer and encoding: where in the ring the packet with an index is
 *
 * A place is a hint: what stands in the ring says itself which packet it is. So a producer that goes
 * needs no clearing up, and a slot that is used anew finds nothing of its predecessor.
 *
 * Memory per worker, taken at start and used as packets come: 16 octets per entry (a power of two of
 * them), 2 KiB per encoding of each producer, and the packet buffers themselves (about 2.5 KiB each
 * of the port's pool) while they are held.
 */
#pragma once

#include <rte_mbuf.h>
#include <rte_prefetch.h>
#include <stdint.h>

#include "sfu-dp/path/path.h"
#include "shared/command.h"

/** Packets of one encoding that can be found again; a power of two. */
#define HISTORY_SPAN 512u
/** Least entries: a burst that is being sealed must not push itself out. */
#define HISTORY_LEAST 64u

/** So many ahead a buffer is fetched that will be freed: nobody has touched it for a second. */
#define HISTORY_AHEAD 4u

struct history_entry {
	struct rte_mbuf *m;
	uint64_t at_us;
};

/** The worker's own; other threads do not look. */
struct history {
	struct history_entry *entry;
	uint32_t *place; /* position in the ring, counted on without end */
	uint32_t head, tail; /* positions: next to be written, oldest */
	uint32_t most; /* entries at a time */
	uint32_t mask; /* of positions */
	uint32_t producers; /* place has room for so many */
	uint64_t keep_us;
};

struct history_limits {
	uint32_t packets; /* raised to HISTORY_LEAST */
	uint32_t keep_ms;
	uint32_t producers; /* slots of the programme */
};

/** Allocate; 0 or -ENOMEM. Start-up only. */
int history_create(struct history *h, const struct history_limits *limits);

/** Let go of all packets and free. The worker does not run any more. */
void history_destroy(struct history *h);

/** Let go of all packets. */
void history_clear(struct history *h);

/** How many are held. */
static inline uint32_t history_held(const struct history *h)
{
	return h->head - h->tail;
}

/** Keep an opened packet: takes the caller's reference. Nobody writes the packet any more. */
static inline void history_keep(struct history *h, struct rte_mbuf *m, uint64_t now_us);

/** Let go of what is too old; once per turn, does a bounded part of it. */
void history_expire(struct history *h, uint64_t now_us);

/**
 * What leads to a packet is in no cache, and each step known only from the one before. To fetch it ahead
 * for several packets, take each step for all of them: a place, then what stands there (NULL when it is
 * gone), then history_fetch() of its buffer.
 */
static inline uint32_t *history_place(
	const struct history *h, uint64_t producer, unsigned encoding, uint64_t index);
static inline const struct history_entry *history_entry(
	const struct history *h, const uint32_t *place);
static inline void history_fetch(struct rte_mbuf *m);

/**
 * The packet of a producer (handle) and encoding with this index, or NULL. The reference stays the
 * history's: use it within the turn.
 * @param ssrc  of the source: indices of another one of the same encoding are others
 */
struct rte_mbuf *history_find(const struct history *h, uint64_t producer, unsigned encoding,
	uint32_t ssrc, uint64_t index);

/* Inline bodies */

static inline uint32_t *history_place(
	const struct history *h, uint64_t producer, unsigned encoding, uint64_t index)
{
	size_t row = (size_t)sfu_handle_index(producer) * SFU_MAX_ENCODINGS + encoding;

	return &h->place[row * HISTORY_SPAN + (index & (HISTORY_SPAN - 1))];
}

static inline const struct history_entry *history_entry(
	const struct history *h, const uint32_t *place)
{
	return *place - h->tail < h->head - h->tail ? &h->entry[*place & h->mask] : NULL;
}

static inline void history_fetch(struct rte_mbuf *m)
{
	const uint8_t *pkt = (const uint8_t *)pkt_of(m);

	rte_prefetch0(m);
	for (unsigned i = 0; i < sizeof(struct pkt); i += RTE_CACHE_LINE_SIZE)
		rte_prefetch0(pkt + i);
}

static inline void history_keep(struct history *h, struct rte_mbuf *m, uint64_t now_us)
{
	const struct pkt *pkt = pkt_of(m);
	struct history_entry *e = &h->entry[h->head & h->mask];

	if (h->head - h->tail == h->most) {
		rte_prefetch0(h->entry[(h->tail + HISTORY_AHEAD) & h->mask].m);
		rte_pktmbuf_free(h->entry[h->tail++ & h->mask].m);
	}
	e->m = m;
	e->at_us = now_us;
	*history_place(h, pkt->producer, pkt->encoding, pkt->index) = h->head++;
}
