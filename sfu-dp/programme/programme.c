// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/programme/programme.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sfu-dp/programme/impl.h"
#include "sfu-dp/state/memory.h"
#include "sfu-dp/state/restore.h"

#define WAIT_STEP_US 100u

/** Where none is given the state is memory like any other, and paths need not care. */
static bool own_state_make(struct programme *p, const struct objects_limits *o)
{
	struct state_limits limits = state_limits_of(o);

	p->own_memory = state_memory_map(-1, state_bytes(&limits));
	if (!p->own_memory)
		return false;
	state_format(p->own_memory, &limits, 0);
	state_open(&p->own_state, p->own_memory);
	p->state = &p->own_state;
	return true;
}

static void own_state_free(struct programme *p)
{
	if (p->own_memory)
		state_memory_unmap(p->own_memory, p->own_state.header->region_bytes);
}

/** The memory, with whatever is missing of it; what lists hold is not in it. */
static void programme_free(struct programme *p)
{
	for (unsigned kind = 0; kind < KINDS; kind++)
		free(p->table[kind].slot);
	free(p->retired);
	free(p->stale);
	own_state_free(p);
	free(p);
}

/** Written, not only zero: who follows a process that died goes through all of them while packets wait. */
static struct slot *slots_make(uint32_t count)
{
	size_t bytes = (count * sizeof(struct slot) + 63) & ~(size_t)63;
	struct slot *slots = aligned_alloc(64, bytes);

	if (slots)
		memset(slots, 0, bytes);
	return slots;
}

int programme_create(struct programme **out, const struct programme_options *options)
{
	const struct objects *o = options->objects;
	const struct {
		void *base;
		size_t size;
		uint32_t limit;
	} pools[KINDS] = {
		[SFU_KIND_ROOM] = {o->rooms, sizeof(*o->rooms), o->limits.rooms},
		[SFU_KIND_PEER] = {o->peers, sizeof(*o->peers), o->limits.peers},
		[SFU_KIND_TRANSPORT]
		= {o->transports, sizeof(*o->transports), o->limits.transports},
		[SFU_KIND_PRODUCER] = {o->producers, sizeof(*o->producers), o->limits.producers},
		[SFU_KIND_CONSUMER] = {o->consumers, sizeof(*o->consumers), o->limits.consumers},
	};
	struct programme *p;

	if (options->worker_count > DP_MAX_WORKERS || !options->engine)
		return -EINVAL;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->state = options->state;
	if (!p->state && !own_state_make(p, &o->limits))
		goto fail;
	p->o = *options;
	p->lists.qsbr = options->qsbr;
	for (unsigned kind = SFU_KIND_ROOM; kind < KINDS; kind++) {
		p->table[kind].base = pools[kind].base;
		p->table[kind].size = pools[kind].size;
		p->table[kind].limit = pools[kind].limit;
		p->table[kind].slot = slots_make(pools[kind].limit);
		p->retired_room += pools[kind].limit;
		if (!p->table[kind].slot)
			goto fail;
	}
	p->retired = calloc(p->retired_room, sizeof(*p->retired));
	p->stale = calloc(o->limits.producers, sizeof(*p->stale));
	if (!p->retired || !p->stale)
		goto fail;
	*out = p;
	return 0;
fail:
	programme_free(p);
	return -ENOMEM;
}

void programme_destroy(struct programme *p)
{
	if (!p)
		return;
	p->state = NULL;
	p->quota = UINT_MAX;
	for (uint32_t i = 0; i < p->table[SFU_KIND_ROOM].limit; i++) {
		if (p->table[SFU_KIND_ROOM].slot[i].state == SLOT_LIVE)
			remove_room(p, slot_object(p, SFU_KIND_ROOM, i));
	}
	// No worker runs: nothing to wait for.
	while (p->retired_count) {
		struct retired_slot *r = &p->retired[p->retired_first];

		slot_free(p, r->kind, r->index);
		p->retired_first = (p->retired_first + 1) % p->retired_room;
		p->retired_count--;
	}
	lists_fini(&p->lists);
	programme_free(p);
}

uint32_t programme_carry_out(struct programme *p, const struct sfu_command *cmd)
{
	switch (cmd->type) {
	case SFU_CMD_PUT_ROOM:
		return put_room(p, cmd);
	case SFU_CMD_DELETE_ROOM:
		return remove_object(p, SFU_KIND_ROOM, cmd->handle);
	case SFU_CMD_PUT_PEER:
		return put_peer(p, cmd);
	case SFU_CMD_DELETE_PEER:
		return remove_object(p, SFU_KIND_PEER, cmd->handle);
	case SFU_CMD_PUT_TRANSPORT:
		return put_transport(p, cmd);
	case SFU_CMD_DELETE_TRANSPORT:
		return remove_object(p, SFU_KIND_TRANSPORT, cmd->handle);
	case SFU_CMD_PUT_KEYS:
		return put_keys(p, cmd);
	case SFU_CMD_PUT_PRODUCER:
		return put_producer(p, cmd);
	case SFU_CMD_DELETE_PRODUCER:
		return remove_object(p, SFU_KIND_PRODUCER, cmd->handle);
	case SFU_CMD_PUT_CONSUMER:
		return put_consumer(p, cmd);
	case SFU_CMD_DELETE_CONSUMER:
		return remove_object(p, SFU_KIND_CONSUMER, cmd->handle);
	case SFU_CMD_KEY_FRAME:
		return ask_key_frame(p, cmd->handle);
	default:
		return SFU_STATUS_UNSUPPORTED;
	}
}

void programme_accepted(struct programme *p, const struct sfu_command *cmd)
{
	unsigned kind = state_kind_of_put(cmd->type);
	const struct sfu_command *there;

	if (!kind)
		return;
	there = state_find(p->state, kind, sfu_handle_index(cmd->handle));
	if (!there || there->handle != cmd->handle || there->version < cmd->version)
		state_put(p->state, cmd);
}

bool programme_go_on(
	struct programme *p, const struct sfu_command *cmd, unsigned most, uint32_t *status)
{
	if (cmd->type == SFU_CMD_KEY_FRAME) {
		*status = ask_key_frame(p, cmd->handle);
		return true;
	}
	if (!p->under_way)
		state_begin(p->state, cmd);
	p->quota = most;
	*status = programme_carry_out(p, cmd);
	p->under_way = *status == STATUS_LATER;
	if (p->under_way)
		return false;
	if (*status == SFU_STATUS_OK)
		programme_accepted(p, cmd);
	state_end(p->state);
	return true;
}

uint32_t programme_give_up(struct programme *p)
{
	p->under_way = false;
	state_end(p->state);
	return SFU_STATUS_OCCUPIED;
}

uint32_t programme_apply(struct programme *p, const struct sfu_command *cmd)
{
	uint32_t status;

	// As nothing is left over, only the workers can keep it from being done.
	for (unsigned us = 0; !programme_go_on(p, cmd, UINT_MAX, &status); us += WAIT_STEP_US) {
		if (us >= PROGRAMME_WAIT_US)
			return programme_give_up(p);
		usleep(WAIT_STEP_US);
	}
	return status;
}

bool programme_digest_next(struct programme *p, uint64_t *cursor, struct sfu_digest *out)
{
	uint32_t kind = (uint32_t)(*cursor >> 32), index = (uint32_t)*cursor;
	struct sfu_digest digest = {0};

	if (kind < SFU_KIND_ROOM)
		kind = SFU_KIND_ROOM;
	while (kind < KINDS && digest.count < SFU_DIGEST_ITEMS) {
		const struct slot *slot;

		if (index >= p->table[kind].limit) {
			kind++;
			index = 0;
			continue;
		}
		slot = &p->table[kind].slot[index];
		if (slot->state == SLOT_LIVE) {
			struct sfu_digest_item *item = &digest.item[digest.count++];

			item->handle = sfu_handle_make(index, slot->generation);
			item->kind = kind;
			item->version = slot->version;
		}
		index++;
	}
	*cursor = (uint64_t)kind << 32 | index;
	if (!digest.count)
		return false;
	*out = digest;
	return true;
}

void programme_notice(
	struct programme *p, const struct worker *w, const struct worker_notice *notice)
{
	const struct credentials_scope scope = credentials_scope(p);
	struct transport *t = slot_find(p, SFU_KIND_TRANSPORT, notice->transport);
	struct consumer *c;

	// One that is being removed has no handle any more.
	if (!t || !atomic_load_explicit(&t->handle, memory_order_relaxed)
		|| w->id >= p->o.worker_count)
		return;
	switch (notice->kind) {
	case NOTICE_CLAIMED:
		LIST_FOREACH(c, &t->consumer_head, of_transport)
		fanouts_mark(p, (uint32_t)(c->producer - p->o.objects->producers));
		break;
	case NOTICE_RESTARTED:
		// Of an earlier pair, when another restart has come in between.
		if (notice->value == credentials_newest(t)->round)
			credentials_settle(&scope, t);
		break;
	default:
		break;
	}
}

void programme_reclaim(struct programme *p)
{
	slot_reclaim(p, RECLAIM_PER_TURN);
	// Memory was short for one: nobody has noted which.
	for (uint32_t i = 0; p->lists.stale && i < p->table[SFU_KIND_PRODUCER].limit; i++)
		fanouts_mark(p, i);
	p->lists.stale = false;
	fanouts_rebuild(p);
}

void programme_figures(const struct programme *p, struct programme_figures *out)
{
	out->rooms = p->table[SFU_KIND_ROOM].live;
	out->peers = p->table[SFU_KIND_PEER].live;
	out->transports = p->table[SFU_KIND_TRANSPORT].live;
	out->producers = p->table[SFU_KIND_PRODUCER].live;
	out->consumers = p->table[SFU_KIND_CONSUMER].live;
	out->retired = p->retired_count + p->lists.count;
}

const struct srtp_engine *programme_engine(const struct programme *p)
{
	return p->o.engine;
}
