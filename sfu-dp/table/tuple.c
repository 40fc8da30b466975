// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/table/tuple.h"

#include <rte_hash.h>
#include <rte_jhash.h>
#include <rte_malloc.h>
#include <rte_random.h>
#include <stdio.h>

#include "shared/command.h"

#define ENTRIES_PER_TRANSPORT 4u
#define ENTRIES_LEAST 64u

/** By the position that rte_hash gives a key. */
struct flow {
	uint64_t transport; /* 0 = free */
	uint64_t checked_us;
	struct tuple tuple;
};

/** The flows that a transport has; by the index of its handle. */
struct share {
	uint64_t transport;
	uint32_t flows;
	uint32_t position[TUPLE_PER_TRANSPORT]; /* of the first so many */
};

struct tuple_table {
	struct rte_hash *hash;
	struct flow *flow;
	struct share *share;
	uint32_t entries, transports;
	uint32_t cursor;
	uint32_t count;
};

struct tuple_table *tuple_table_create(unsigned worker, uint32_t transports)
{
	struct tuple_table *t = rte_zmalloc("tuples", sizeof(*t), 0);
	char name[RTE_HASH_NAMESIZE];
	struct rte_hash_parameters p = {
		.name = name,
		.key_len = sizeof(struct tuple),
		.hash_func = rte_jhash,
		.socket_id = SOCKET_ID_ANY,
	};

	if (!t)
		return NULL;
	t->transports = transports;
	t->entries = transports * ENTRIES_PER_TRANSPORT;
	if (t->entries < ENTRIES_LEAST)
		t->entries = ENTRIES_LEAST;
	p.entries = t->entries;
	// Remote addresses are chosen by others: buckets must not be.
	p.hash_func_init_val = (uint32_t)rte_rand();
	snprintf(name, sizeof(name), "tuples%u", worker);
	t->hash = rte_hash_create(&p);
	t->flow = rte_zmalloc("flows", sizeof(*t->flow) * t->entries, 0);
	t->share = rte_zmalloc("shares", sizeof(*t->share) * transports, 0);
	if (!t->hash || !t->flow || !t->share) {
		tuple_table_destroy(t);
		return NULL;
	}
	return t;
}

void tuple_table_destroy(struct tuple_table *t)
{
	if (!t)
		return;
	rte_hash_free(t->hash);
	rte_free(t->flow);
	rte_free(t->share);
	rte_free(t);
}

void tuple_table_find(const struct tuple_table *t, const struct tuple *const *tuples, unsigned n,
	uint64_t *transports)
{
	int32_t position[PATH_BURST];

	rte_hash_lookup_bulk(t->hash, (const void **)(uintptr_t)tuples, n, position);
	for (unsigned i = 0; i < n; i++)
		transports[i] = position[i] < 0 ? 0 : t->flow[position[i]].transport;
}

uint64_t tuple_table_holder(const struct tuple_table *t, const struct tuple *tuple, uint64_t now_us)
{
	int32_t position = rte_hash_lookup(t->hash, tuple);

	if (position < 0 || now_us - t->flow[position].checked_us >= TUPLE_HELD_US)
		return 0;
	return t->flow[position].transport;
}

static struct share *share_of(struct tuple_table *t, uint64_t transport)
{
	uint32_t index = sfu_handle_index(transport);
	struct share *s;

	if (index >= t->transports)
		return NULL;
	s = &t->share[index];
	if (s->transport != transport) {
		// The slot's earlier transport is gone; its flows no longer count for anybody.
		s->transport = transport;
		s->flows = 0;
	}
	return s;
}

static void share_leave(struct tuple_table *t, uint64_t transport, uint32_t position)
{
	uint32_t index = sfu_handle_index(transport);
	struct share *s;

	if (index >= t->transports || t->share[index].transport != transport)
		return;
	s = &t->share[index];
	for (uint32_t i = 0; i < s->flows; i++) {
		if (s->position[i] == position) {
			s->position[i] = s->position[--s->flows];
			return;
		}
	}
}

static void forget(struct tuple_table *t, uint32_t position)
{
	struct flow *flow = &t->flow[position];

	share_leave(t, flow->transport, position);
	rte_hash_del_key(t->hash, &flow->tuple);
	flow->transport = 0;
	t->count--;
}

/** Whether there is room for one more, if need be that of one that is no longer checked. */
static bool share_room(struct tuple_table *t, const struct share *s, uint64_t now_us)
{
	uint32_t oldest = s->position[0];

	if (s->flows < TUPLE_PER_TRANSPORT)
		return true;
	for (uint32_t i = 1; i < s->flows; i++) {
		if (t->flow[s->position[i]].checked_us < t->flow[oldest].checked_us)
			oldest = s->position[i];
	}
	if (now_us - t->flow[oldest].checked_us < TUPLE_STALE_US)
		return false;
	forget(t, oldest);
	return true;
}

bool tuple_table_add(
	struct tuple_table *t, const struct tuple *tuple, uint64_t transport, uint64_t now_us)
{
	int32_t position = rte_hash_lookup(t->hash, tuple);
	struct share *share;
	struct flow *flow;

	if (position >= 0 && t->flow[position].transport == transport) {
		t->flow[position].checked_us = now_us;
		return true;
	}
	share = share_of(t, transport);
	if (!share || !share_room(t, share, now_us))
		return false;
	if (position >= 0) {
		share_leave(t, t->flow[position].transport, (uint32_t)position);
	} else {
		position = rte_hash_add_key(t->hash, tuple);
		if (position < 0)
			return false;
		t->count++;
	}
	RTE_VERIFY((uint32_t)position < t->entries);
	flow = &t->flow[position];
	flow->transport = transport;
	flow->checked_us = now_us;
	flow->tuple = *tuple;
	share->position[share->flows++] = (uint32_t)position;
	return true;
}

void tuple_table_remove(struct tuple_table *t, const struct tuple *tuple, uint64_t transport)
{
	int32_t position = rte_hash_lookup(t->hash, tuple);

	if (position >= 0 && t->flow[position].transport == transport)
		forget(t, (uint32_t)position);
}

void tuple_table_sweep(struct tuple_table *t, uint64_t now_us, uint64_t expire_us, unsigned entries)
{
	if (!t->count)
		return;
	while (entries--) {
		const struct flow *flow = &t->flow[t->cursor];

		if (flow->transport && now_us - flow->checked_us > expire_us)
			forget(t, t->cursor);
		t->cursor = (t->cursor + 1) % t->entries;
	}
}

uint32_t tuple_table_count(const struct tuple_table *t)
{
	return t->count;
}
