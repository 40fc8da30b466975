// SPDX-License-Identifier: BSD-3-Clause
/**
 * hint: ICMP or ICMPv6 says that a datagram of ours was too big for the path. Anybody can say so;
 * heeded is only what names a flow that we have, and could be true of what is sent there. The worker
 * that receives it need not be the one that knows the flow: it goes round the workers once, then to
 * the owner of the transport. Ends here: answered, or dropped.
 */
#include "sfu-dp/path/path.h"
#include "sfu-dp/path/transport.h"
#include "sfu-dp/port.h"
#include "sfu-dp/worker.h"

/** What every path takes, so nothing below is believed: RFC 8200, 5; RFC 791, 3.1. */
/**
 * Less is not believed: IPv6 has no narrower links, and over IPv4, where some could be, whoever guesses a flow's
 * two ports could have its video held back for minutes.
 */
#define MTU_LEAST 1280u

static void pass_on(struct worker *w, unsigned v, struct rte_mbuf *m)
{
	pkt_of(m)->task = PKT_TASK_HINT;
	if (!w->to_worker[v] || !rte_ring_sp_enqueue_burst(w->to_worker[v], (void **)&m, 1, NULL)) {
		path_drop(w, m, DROP_handoff_full);
		return;
	}
	w->count.handoff_out++;
}

/** Whether a hint could be true: about what we may have sent, and news. */
static bool plausible(
	const struct worker *w, const struct transport_tuple *entry, const struct pkt *hint)
{
	uint32_t now = transport_tuple_mtu(w, entry);

	// Who is silent about the width (before RFC 1191) teaches nothing.
	return hint->hint_mtu >= MTU_LEAST && hint->hint_mtu < now && hint->hint_quoted_len <= now
	       && hint->hint_quoted_len > hint->hint_mtu;
}

/** The part that only the transport's owner does. */
static void heed(struct worker *w, struct transport *t, struct rte_mbuf *m)
{
	const struct pkt *pkt = pkt_of(m);
	struct transport_tuple *entry = transport_tuple_find(t, &pkt->tuple);

	if (!entry || !plausible(w, entry, pkt)) {
		path_drop(w, m, entry ? DROP_hint_refused : DROP_hint_unknown);
		return;
	}
	entry->mtu = (uint16_t)pkt->hint_mtu;
	entry->mtu_us = w->now_us;
	t->tx_header.frame_len = 0;
	w->count.answered++;
	rte_pktmbuf_free(m);
}

void hint_packet(struct worker *w, struct rte_mbuf *m)
{
	struct pkt *pkt = pkt_of(m);
	const struct tuple *tuple = &pkt->tuple;
	struct transport *t;
	uint8_t owner;

	tuple_table_find(w->tuples, &tuple, 1, &pkt->transport);
	t = transport_find(w->objects, pkt->transport);
	if (!t) {
		if (++pkt->hops < w->workers)
			pass_on(w, (w->id + 1u) % w->workers, m);
		else
			path_drop(w, m, DROP_hint_unknown);
		return;
	}
	owner = atomic_load_explicit(&t->owner, memory_order_acquire);
	if (owner == w->id)
		heed(w, t, m);
	else if (owner < w->workers)
		pass_on(w, owner, m);
	else
		path_drop(w, m, DROP_hint_unknown);
}

void hint_handed(struct worker *w, struct rte_mbuf *m)
{
	const struct pkt *pkt = pkt_of(m);
	struct transport *t = transport_find(w->objects, pkt->transport);

	w->count.handoff_in++;
	if (t && atomic_load_explicit(&t->owner, memory_order_acquire) == w->id)
		heed(w, t, m);
	else if (pkt->transport)
		path_drop(w, m, DROP_stale_handle);
	else
		hint_packet(w, m);
}
