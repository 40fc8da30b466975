// SPDX-License-Identifier: BSD-3-Clause
/*
 * Removal, children first. Never fails, but may stop when the part's quota is used up (false): what is
 * out of sight by then stays so, the next part goes on with the children that are left.
 */
#include "sfu-dp/programme/impl.h"
#include "sfu-dp/programme/ssrc.h"

/** Have the client told that the stream has ended. Goes lost when the ring is full, or it left too. */
static void bye_order(struct worker *w, const struct consumer *c)
{
	struct worker_order o
		= {.kind = ORDER_BYE, .value = c->put.ssrc, .handle = c->put.transport};

	if (c->started && w->from_house)
		rte_ring_sp_enqueue_elem(w->from_house, &o, sizeof(o));
}

static void consumer_remove(struct programme *p, struct consumer *c)
{
	uint8_t owner = transport_owner(c->transport);

	atomic_store_explicit(&c->handle, 0, memory_order_release);
	LIST_REMOVE(c, of_transport);
	LIST_REMOVE(c, of_producer);
	c->producer->consumers--;
	ssrc_retire(p, c->transport, c->put.ssrc);
	ssrc_retire(p, c->transport, c->put.rtx_ssrc);
	lists_consumers_take_out(&p->lists, &c->transport->consumers, c);
	if (owner < p->o.worker_count) {
		lists_consumers_take_out(&p->lists, &c->producer->fanout[owner], c);
		// Behind the lists: nothing is sent any more when the worker reads it.
		bye_order(&p->o.workers[owner], c);
	}
	slot_retire(p, SFU_KIND_CONSUMER, c);
}

static bool producer_remove(struct programme *p, struct producer *producer)
{
	struct consumer *c;

	atomic_store_explicit(&producer->handle, 0, memory_order_release);
	// One at a time would rebuild the lists for each.
	for (unsigned w = 0; w < p->o.worker_count; w++)
		lists_consumers_publish(&p->lists, &producer->fanout[w], NULL);
	while ((c = LIST_FIRST(&producer->consumer_head))) {
		if (!p->quota)
			return false;
		consumer_remove(p, c);
	}
	if (!p->quota)
		return false;
	LIST_REMOVE(producer, of_transport);
	lists_producers_take_out(&p->lists, producer->transport, producer);
	slot_retire(p, SFU_KIND_PRODUCER, producer);
	return true;
}

static bool transport_remove(struct programme *p, struct transport *t)
{
	const struct credentials_scope scope = credentials_scope(p);
	struct producer *producer;
	struct consumer *c;

	if (atomic_exchange_explicit(&t->handle, 0, memory_order_acq_rel))
		credentials_remove(&scope, t);
	while ((producer = LIST_FIRST(&t->producer_head))) {
		if (!producer_remove(p, producer))
			return false;
	}
	// One at a time would rebuild the list for each.
	lists_consumers_publish(&p->lists, &t->consumers, NULL);
	while ((c = LIST_FIRST(&t->consumer_head))) {
		if (!p->quota)
			return false;
		consumer_remove(p, c);
	}
	if (!p->quota)
		return false;
	// Adopted, and gone before a worker counted it as its own.
	if (p->adopt_us)
		atomic_store_explicit(&t->owner, DP_NO_WORKER, memory_order_relaxed);
	LIST_REMOVE(t, of_peer);
	t->peer->transports--;
	slot_retire(p, SFU_KIND_TRANSPORT, t);
	return true;
}

static bool peer_remove(struct programme *p, struct peer *peer)
{
	struct room *room = slot_find(p, SFU_KIND_ROOM, peer->room);
	struct transport *t;

	while ((t = LIST_FIRST(&peer->list))) {
		if (!transport_remove(p, t))
			return false;
	}
	if (!p->quota)
		return false;
	LIST_REMOVE(peer, of_room);
	if (room)
		room->peers--;
	peer->handle = 0;
	slot_retire(p, SFU_KIND_PEER, peer);
	return true;
}

bool remove_room(struct programme *p, struct room *room)
{
	struct peer *peer;

	while ((peer = LIST_FIRST(&room->members))) {
		if (!peer_remove(p, peer))
			return false;
	}
	if (!p->quota)
		return false;
	room->handle = 0;
	slot_retire(p, SFU_KIND_ROOM, room);
	return true;
}

uint32_t remove_object(struct programme *p, unsigned kind, uint64_t handle)
{
	void *object = slot_find(p, kind, handle);
	bool gone = true;

	if (!object)
		return SFU_STATUS_NO_OBJECT;
	switch (kind) {
	case SFU_KIND_ROOM:
		gone = remove_room(p, object);
		break;
	case SFU_KIND_PEER:
		gone = peer_remove(p, object);
		break;
	case SFU_KIND_TRANSPORT:
		gone = transport_remove(p, object);
		break;
	case SFU_KIND_PRODUCER:
		gone = producer_remove(p, object);
		break;
	default:
		consumer_remove(p, object);
		break;
	}
	return gone ? SFU_STATUS_OK : STATUS_LATER;
}
