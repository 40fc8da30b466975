// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/table/lists.h"

#include <stdlib.h>

/** In front of every list that workers see; a list on its way to free(). */
struct list_head {
	struct list_head *next;
	uint64_t token;
};

static void *list_alloc(size_t size)
{
	struct list_head *h = calloc(1, sizeof(*h) + size);

	return h ? h + 1 : NULL;
}

static void retire(struct lists *l, void *list)
{
	struct list_head *h = list;

	if (!list)
		return;
	h--;
	h->next = NULL;
	h->token = rte_rcu_qsbr_start(l->qsbr);
	if (l->last)
		l->last->next = h;
	else
		l->first = h;
	l->last = h;
	l->count++;
}

static int by_ssrc(const void *a, const void *b)
{
	uint32_t x = (*(struct consumer *const *)a)->put.ssrc;
	uint32_t y = (*(struct consumer *const *)b)->put.ssrc;

	return x < y ? -1 : x > y;
}

static struct consumer_list *consumer_list_alloc(uint32_t count)
{
	struct consumer_list *l
		= list_alloc(sizeof(*l) + (sizeof(l->consumer[0]) + sizeof(l->ssrc[0])) * count);

	if (l)
		l->ssrc = (uint32_t *)(l->consumer + count);
	return l;
}

/** There is room. */
static void consumer_append(struct consumer_list *l, struct consumer *c)
{
	l->ssrc[l->count] = c->put.ssrc;
	l->consumer[l->count++] = c;
	l->repairable += c->rtx != NULL;
}

bool lists_consumers_build(struct transport *t, struct consumer_list **out)
{
	struct consumer *c;
	uint32_t count = 0;

	LIST_FOREACH(c, &t->consumer_head, of_transport)
	count++;
	*out = NULL;
	if (!count)
		return true;
	*out = consumer_list_alloc(count);
	if (!*out)
		return false;
	LIST_FOREACH(c, &t->consumer_head, of_transport)
	consumer_append(*out, c);
	qsort((*out)->consumer, count, sizeof((*out)->consumer[0]), by_ssrc);
	for (uint32_t i = 0; i < count; i++)
		(*out)->ssrc[i] = (*out)->consumer[i]->put.ssrc;
	return true;
}

static uint8_t owner_of(struct transport *t)
{
	return atomic_load_explicit(&t->owner, memory_order_acquire);
}

bool lists_fanout_build(struct producer *producer, unsigned worker, struct consumer_list **out)
{
	struct consumer *c;
	uint32_t count = 0;

	// An owner may come in between: never more than were counted.
	LIST_FOREACH(c, &producer->consumer_head, of_producer)
	count += owner_of(c->transport) == worker;
	*out = NULL;
	if (!count)
		return true;
	*out = consumer_list_alloc(count);
	if (!*out)
		return false;
	LIST_FOREACH(c, &producer->consumer_head, of_producer)
	{
		if ((*out)->count < count && owner_of(c->transport) == worker)
			consumer_append(*out, c);
	}
	return true;
}

void lists_consumers_publish(
	struct lists *l, _Atomic(struct consumer_list *) *where, struct consumer_list *list)
{
	retire(l, atomic_exchange_explicit(where, list, memory_order_acq_rel));
}

void lists_fanout_rebuild(struct lists *l, struct producer *producer, unsigned worker)
{
	struct consumer_list *list;

	if (lists_fanout_build(producer, worker, &list))
		lists_consumers_publish(l, &producer->fanout[worker], list);
	else
		l->stale = true;
}

void lists_consumers_take_out(
	struct lists *l, _Atomic(struct consumer_list *) *where, const struct consumer *gone)
{
	struct consumer_list *old = atomic_load_explicit(where, memory_order_relaxed), *list;
	uint32_t count;

	if (!old)
		return;
	list = consumer_list_alloc(old->count);
	if (!list) {
		atomic_store_explicit(where, NULL, memory_order_release);
		rte_rcu_qsbr_synchronize(l->qsbr, RTE_QSBR_THRID_INVALID);
		count = old->count;
		old->count = old->repairable = 0;
		for (uint32_t i = 0; i < count; i++) {
			if (old->consumer[i] != gone)
				consumer_append(old, old->consumer[i]);
		}
		atomic_store_explicit(where, old, memory_order_release);
		return;
	}
	for (uint32_t i = 0; i < old->count; i++) {
		if (old->consumer[i] != gone)
			consumer_append(list, old->consumer[i]);
	}
	if (!list->count) {
		lists_discard(list);
		list = NULL;
	}
	lists_consumers_publish(l, where, list);
}

bool lists_producers_build(struct transport *t, struct producer_list **out)
{
	struct producer *producer;
	uint32_t count = 0;

	LIST_FOREACH(producer, &t->producer_head, of_transport)
	count++;
	*out = NULL;
	if (!count)
		return true;
	*out = list_alloc(sizeof(**out) + sizeof((*out)->producer[0]) * count);
	if (!*out)
		return false;
	LIST_FOREACH(producer, &t->producer_head, of_transport)
	(*out)->producer[(*out)->count++] = producer;
	return true;
}

void lists_producers_publish(struct lists *l, struct transport *t, struct producer_list *list)
{
	retire(l, atomic_exchange_explicit(&t->producers, list, memory_order_acq_rel));
}

void lists_producers_take_out(struct lists *l, struct transport *t, const struct producer *gone)
{
	struct producer_list *old, *list;
	uint32_t kept = 0;

	if (lists_producers_build(t, &list)) {
		lists_producers_publish(l, t, list);
		return;
	}
	old = atomic_exchange_explicit(&t->producers, NULL, memory_order_acq_rel);
	rte_rcu_qsbr_synchronize(l->qsbr, RTE_QSBR_THRID_INVALID);
	for (uint32_t i = 0; i < old->count; i++) {
		if (old->producer[i] != gone)
			old->producer[kept++] = old->producer[i];
	}
	old->count = kept;
	atomic_store_explicit(&t->producers, old, memory_order_release);
}

void lists_discard(void *list)
{
	if (list)
		free((struct list_head *)list - 1);
}

void lists_reclaim(struct lists *l, unsigned most)
{
	for (unsigned n = 0; l->first && n < most; n++) {
		struct list_head *h = l->first;

		if (rte_rcu_qsbr_check(l->qsbr, h->token, false) != 1)
			break;
		l->first = h->next;
		if (!l->first)
			l->last = NULL;
		l->count--;
		free(h);
	}
}

void lists_fini(struct lists *l)
{
	while (l->first) {
		struct list_head *h = l->first;

		l->first = h->next;
		free(h);
	}
	l->last = NULL;
	l->count = 0;
}
