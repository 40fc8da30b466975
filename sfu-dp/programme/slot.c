// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/programme/slot.h"

#include <stdlib.h>

#include "sfu-dp/programme/impl.h"

#define LISTS_PER_TURN 1024u

void *slot_object(struct programme *p, unsigned kind, uint32_t index)
{
	return p->table[kind].base + p->table[kind].size * index;
}

void slot_retire(struct programme *p, unsigned kind, void *object)
{
	struct table *t = &p->table[kind];
	uint32_t index = (uint32_t)((size_t)((uint8_t *)object - t->base) / t->size);
	uint32_t last = (p->retired_first + p->retired_count) % p->retired_room;

	if (p->state)
		state_forget(p->state, kind, index);
	t->slot[index].state = SLOT_RETIRED;
	t->live--;
	p->retired[last].token = rte_rcu_qsbr_start(p->o.qsbr);
	p->retired[last].kind = kind;
	p->retired[last].index = index;
	p->retired_count++;
	if (p->quota)
		p->quota--;
}

void slot_free(struct programme *p, unsigned kind, uint32_t index)
{
	void *object = slot_object(p, kind, index);

	if (kind == SFU_KIND_TRANSPORT) {
		struct transport *t = object;
		uint8_t owner = atomic_load_explicit(&t->owner, memory_order_acquire);

		if (owner < p->o.worker_count)
			atomic_fetch_sub_explicit(
				&p->o.objects->shares[owner].transports[t->direction], 1,
				memory_order_relaxed);
		keys_destroy(atomic_load_explicit(&t->keys, memory_order_relaxed));
		free(t->ssrcs);
	}
	if (kind == SFU_KIND_CONSUMER)
		free(((struct consumer *)object)->rtx);
	srtp_wipe(object, p->table[kind].size);
	p->table[kind].slot[index].state = SLOT_FREE;
}

static bool quiescent(struct programme *p, uint64_t token)
{
	return rte_rcu_qsbr_check(p->o.qsbr, token, false) == 1;
}

void slot_reclaim(struct programme *p, unsigned most)
{
	unsigned n = 0;

	while (p->retired_count && n < most) {
		struct retired_slot *r = &p->retired[p->retired_first];

		if (!quiescent(p, r->token))
			break;
		slot_free(p, r->kind, r->index);
		p->retired_first = (p->retired_first + 1) % p->retired_room;
		p->retired_count--;
		n++;
	}
	lists_reclaim(&p->lists, LISTS_PER_TURN);
}

static struct slot *slot_live(struct programme *p, unsigned kind, uint64_t handle)
{
	struct table *t = &p->table[kind];
	uint32_t index = sfu_handle_index(handle);
	struct slot *slot;

	if (!handle || index >= t->limit)
		return NULL;
	slot = &t->slot[index];
	return slot->state == SLOT_LIVE && slot->generation == sfu_handle_generation(handle) ? slot
											     : NULL;
}

void *slot_find(struct programme *p, unsigned kind, uint64_t handle)
{
	return slot_live(p, kind, handle) ? slot_object(p, kind, sfu_handle_index(handle)) : NULL;
}

enum place slot_place(struct programme *p, unsigned kind, const struct sfu_command *cmd,
	struct slot **out, uint32_t *status)
{
	struct table *t = &p->table[kind];
	uint32_t index = sfu_handle_index(cmd->handle);
	uint32_t generation = sfu_handle_generation(cmd->handle);
	struct slot *slot;

	*status = generation ? SFU_STATUS_FULL : SFU_STATUS_MALFORMED;
	if (!generation || index >= t->limit)
		return PLACE_ANSWER;
	slot = &t->slot[index];
	*out = slot;
	if (slot->state == SLOT_LIVE && generation == slot->generation) {
		*status = cmd->version < slot->version ? SFU_STATUS_STALE : SFU_STATUS_OK;
		return cmd->version > slot->version ? PLACE_THERE : PLACE_ANSWER;
	}
	*status = SFU_STATUS_STALE;
	if (generation <= slot->generation)
		return PLACE_ANSWER;
	*status = SFU_STATUS_OCCUPIED;
	if (slot->state == SLOT_LIVE)
		return PLACE_ANSWER;
	if (slot->state == SLOT_RETIRED)
		slot_reclaim(p, RECLAIM_PER_TURN);
	*status = STATUS_LATER;
	return slot->state == SLOT_FREE ? PLACE_NEW : PLACE_ANSWER;
}

void slot_take(struct programme *p, unsigned kind, struct slot *slot, const struct sfu_command *cmd)
{
	slot->state = SLOT_LIVE;
	slot->generation = sfu_handle_generation(cmd->handle);
	slot->version = cmd->version;
	p->table[kind].live++;
}
