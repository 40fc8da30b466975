// SPDX-License-Identifier: BSD-3-Clause
/**
 * The lists of objects that workers walk: immutable, replaced by publishing one pointer, freed once
 * every worker has passed a quiescent state. Programme's thread only.
 */
#pragma once

#include <rte_rcu_qsbr.h>
#include <stdbool.h>
#include <stdint.h>

#include "sfu-dp/table/objects.h"

struct list_head;

/** Lists that workers may still look at, oldest first. Zero but for qsbr to begin. */
struct lists {
	struct rte_rcu_qsbr *qsbr; /* workers report to it */
	struct list_head *first, *last;
	uint32_t count;
	bool stale; /* a list could not be rebuilt for want of memory: see lists_fanout_rebuild() */
};

/* Building. Each returns false when memory is short, and then nothing has changed; *out is NULL
 * when the list would be empty. */

/** Consumers of a transport in the order of their SSRCs. */
bool lists_consumers_build(struct transport *t, struct consumer_list **out);

/** Consumers of a producer whose transports a worker owns. */
bool lists_fanout_build(struct producer *producer, unsigned worker, struct consumer_list **out);

/** Producers of a transport. */
bool lists_producers_build(struct transport *t, struct producer_list **out);

/** A list that was built and never published. NULL is fine. */
void lists_discard(void *list);

/* Publishing. The old list is retired. */

void lists_consumers_publish(
	struct lists *l, _Atomic(struct consumer_list *) *where, struct consumer_list *list);
void lists_producers_publish(struct lists *l, struct transport *t, struct producer_list *list);

/** Build and publish what a worker has to send of a producer; without memory l->stale is set. */
void lists_fanout_rebuild(struct lists *l, struct producer *producer, unsigned worker);

/*
 * Taking one out of a published list. Must not fail: without memory for a new list the old one is
 * hidden, waited for, changed and shown again.
 */

void lists_consumers_take_out(
	struct lists *l, _Atomic(struct consumer_list *) *where, const struct consumer *gone);

/** gone has left t->producer_head already. */
void lists_producers_take_out(struct lists *l, struct transport *t, const struct producer *gone);

/** Free up to most lists that all workers have let go of. */
void lists_reclaim(struct lists *l, unsigned most);

/** Free all of them: no worker runs any more. */
void lists_fini(struct lists *l);
