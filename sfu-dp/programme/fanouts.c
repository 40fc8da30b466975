// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/programme/impl.h"

/** Consumers whose lists are built anew per turn; one producer's more, as they come at once. */
#define REBUILD_PER_TURN 2048u

void fanouts_mark(struct programme *p, uint32_t producer)
{
	if (!p->stale[producer])
		p->stale_count++;
	p->stale[producer] = true;
}

void fanouts_rebuild(struct programme *p)
{
	const struct table *t = &p->table[SFU_KIND_PRODUCER];
	unsigned built = 0;

	while (p->stale_count && built < REBUILD_PER_TURN) {
		uint32_t i = p->stale_cursor;
		struct producer *producer = slot_object(p, SFU_KIND_PRODUCER, i);

		p->stale_cursor = (i + 1) % t->limit;
		if (!p->stale[i])
			continue;
		p->stale[i] = false;
		p->stale_count--;
		// Also of one that is being removed: nobody shall see it again.
		if (!atomic_load_explicit(&producer->handle, memory_order_relaxed))
			continue;
		for (unsigned w = 0; w < p->o.worker_count; w++)
			lists_fanout_rebuild(&p->lists, producer, w);
		built += 1 + producer->consumers;
	}
}
