// SPDX-License-Identifier: BSD-3-Clause
#include <limits.h>
#include <string.h>

#include "sfu-dp/programme/impl.h"
#include "sfu-dp/state/hot.h"
#include "sfu-dp/state/restore.h"

/** Every object of the state, parents first. Returns how many were refused. */
static unsigned objects_adopt(struct programme *p)
{
	static const unsigned order[] = {SFU_KIND_ROOM, SFU_KIND_PEER, SFU_KIND_TRANSPORT,
		STATE_KIND_KEYS, SFU_KIND_PRODUCER, SFU_KIND_CONSUMER};
	unsigned lost = 0;

	for (unsigned k = 0; k < sizeof(order) / sizeof(order[0]); k++) {
		unsigned kind = order[k];

		for (uint32_t i = 0; i < p->state->limits.count[kind]; i++) {
			const struct sfu_command *cmd = state_find(p->state, kind, i);

			if (cmd)
				lost += programme_carry_out(p, cmd) != SFU_STATUS_OK;
			else if (kind < KINDS)
				p->table[kind].slot[i].generation
					= state_generation(p->state, kind, i);
		}
	}
	return lost;
}

static void transport_give_back(struct programme *p, struct transport *t, uint64_t now_us)
{
	uint64_t handle = atomic_load_explicit(&t->handle, memory_order_relaxed);
	struct consumer_list *consumers;
	unsigned owner = transport_owner(t);
	struct worker *w;

	if (lists_consumers_build(t, &consumers))
		lists_consumers_publish(&p->lists, &t->consumers, consumers);
	if (owner == DP_NO_WORKER)
		return;
	// There may be fewer workers than before.
	owner %= p->o.worker_count;
	save_owner(t, owner);
	atomic_store_explicit(&t->owner, (uint8_t)owner, memory_order_release);
	atomic_fetch_add_explicit(
		&p->o.objects->shares[owner].transports[t->direction], 1, memory_order_relaxed);
	w = &p->o.workers[owner];
	w->owned[w->owned_count++] = handle;
	w->woke_us = now_us;
	t->adopted = 1;
	// The port may spread flows in another way now: each worker shall know each.
	for (unsigned i = 0; i < TRANSPORT_TUPLES; i++) {
		for (unsigned v = 0; t->tuples[i].last_check_us && v < p->o.worker_count; v++)
			tuple_table_add(
				p->o.workers[v].tuples, &t->tuples[i].tuple, handle, now_us);
	}
}

/** One that stood still when the process died goes on without a gap. */
static void consumer_wake(struct consumer *c, uint64_t now_us)
{
	bool shut = now_us >= atomic_load_explicit(&c->peer->open_until_us, memory_order_relaxed)
		    || now_us >= atomic_load_explicit(
			       &c->producer->peer->open_until_us, memory_order_relaxed);

	if (c->resync
		&& (shut || c->put.flags & SFU_CONSUMER_PAUSED
			|| c->producer->put.flags & SFU_PRODUCER_PAUSED))
		c->resync = 1;
}

unsigned programme_adopt(struct programme *p, uint64_t now_us)
{
	const struct sfu_command *under_way = state_recover(p->state);
	unsigned lost;

	p->adopt_us = now_us;
	p->quota = UINT_MAX;
	p->from_state = true;
	lost = objects_adopt(p);
	// A consumer that was under way is refused an SSRC that was used before, like any other.
	p->from_state = false;
	if (under_way) {
		struct sfu_command redo = *under_way;

		if (programme_carry_out(p, &redo) == SFU_STATUS_OK)
			programme_accepted(p, &redo);
		explicit_bzero(&redo, sizeof(redo));
		state_end(p->state);
	}
	p->adopt_us = 0;
	for (uint32_t i = 0; i < p->table[SFU_KIND_TRANSPORT].limit; i++) {
		if (p->table[SFU_KIND_TRANSPORT].slot[i].state == SLOT_LIVE)
			transport_give_back(p, slot_object(p, SFU_KIND_TRANSPORT, i), now_us);
	}
	for (uint32_t i = 0; i < p->table[SFU_KIND_CONSUMER].limit; i++) {
		if (p->table[SFU_KIND_CONSUMER].slot[i].state == SLOT_LIVE)
			consumer_wake(slot_object(p, SFU_KIND_CONSUMER, i), now_us);
	}
	for (uint32_t i = 0; i < p->table[SFU_KIND_PRODUCER].limit; i++) {
		struct producer *producer = slot_object(p, SFU_KIND_PRODUCER, i);

		if (p->table[SFU_KIND_PRODUCER].slot[i].state != SLOT_LIVE)
			continue;
		for (unsigned w = 0; w < p->o.worker_count; w++)
			lists_fanout_rebuild(&p->lists, producer, w);
		producer_want_key_frame(p->o.objects, producer);
	}
	return lost;
}
