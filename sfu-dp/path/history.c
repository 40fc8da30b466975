// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/path/history.h"

#include <errno.h>
#include <rte_common.h>
#include <string.h>
#include <sys/mman.h>

/** Let go per turn: twice what a burst brings, so that a backlog ends. */
#define EXPIRE_PER_TURN (2 * PATH_BURST)

/** Zero pages that are there once they are touched. */
static void *map(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static size_t entry_bytes(const struct history *h)
{
	return ((size_t)h->mask + 1) * sizeof(h->entry[0]);
}

static size_t place_bytes(const struct history *h)
{
	return (size_t)h->producers * SFU_MAX_ENCODINGS * HISTORY_SPAN * sizeof(h->place[0]);
}

int history_create(struct history *h, const struct history_limits *limits)
{
	memset(h, 0, sizeof(*h));
	h->most = RTE_MAX(limits->packets, HISTORY_LEAST);
	h->mask = rte_align32pow2(h->most) - 1;
	h->keep_us = (uint64_t)limits->keep_ms * 1000;
	h->producers = limits->producers;
	h->entry = map(entry_bytes(h));
	h->place = map(place_bytes(h));
	if (h->entry && h->place)
		return 0;
	history_destroy(h);
	return -ENOMEM;
}

void history_clear(struct history *h)
{
	while (h->tail != h->head)
		rte_pktmbuf_free(h->entry[h->tail++ & h->mask].m);
}

void history_destroy(struct history *h)
{
	history_clear(h);
	if (h->entry)
		munmap(h->entry, entry_bytes(h));
	if (h->place)
		munmap(h->place, place_bytes(h));
	memset(h, 0, sizeof(*h));
}

void history_expire(struct history *h, uint64_t now_us)
{
	struct rte_mbuf *old[EXPIRE_PER_TURN];
	unsigned n = 0;

	while (n < EXPIRE_PER_TURN && h->tail != h->head) {
		const struct history_entry *e = &h->entry[h->tail & h->mask];

		if (now_us - e->at_us < h->keep_us)
			break;
		if (h->head - h->tail > HISTORY_AHEAD)
			rte_prefetch0(h->entry[(h->tail + HISTORY_AHEAD) & h->mask].m);
		old[n++] = e->m;
		h->tail++;
	}
	if (n)
		rte_pktmbuf_free_bulk(old, n);
}

struct rte_mbuf *history_find(const struct history *h, uint64_t producer, unsigned encoding,
	uint32_t ssrc, uint64_t index)
{
	const struct history_entry *e
		= history_entry(h, history_place(h, producer, encoding, index));
	const struct pkt *pkt;

	if (!e)
		return NULL;
	pkt = pkt_of(e->m);
	return pkt->producer == producer && pkt->encoding == encoding && pkt->index == index
			       && pkt->rtp.ssrc == ssrc
		       ? e->m
		       : NULL;
}
