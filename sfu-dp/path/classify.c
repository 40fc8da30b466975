// SPDX-License-Identifier: BSD-3-Clause
/**
 * classify: what is this datagram and whose? One bulk lookup of the 5-tuples; of an unknown one
 * only STUN is looked at. Leaves to: ice, dtls_punt, srtp_open, another worker, drop.
 */
#include "sfu-dp/path/path.h"
#include "sfu-dp/path/transport.h"
#include "sfu-dp/proto/demux.h"
#include "sfu-dp/worker.h"

/** What of a burst waits for one other worker. */
struct outgoing {
	struct rte_mbuf *m[PATH_BURST];
	unsigned n;
};

static enum demux_kind kind_of(const struct rte_mbuf *m)
{
	return demux_kind(rte_pktmbuf_mtod(m, const uint8_t *), rte_pktmbuf_data_len(m));
}

static void hand_over(struct worker *w, unsigned v, struct rte_mbuf **m, unsigned n)
{
	unsigned taken = 0;

	for (unsigned i = 0; i < n; i++)
		pkt_of(m[i])->task = PKT_TASK_RECEIVED;
	if (v < w->workers && w->to_worker[v])
		taken = rte_ring_sp_enqueue_burst(w->to_worker[v], (void **)m, n, NULL);
	w->count.handoff_out += taken;
	if (taken < n)
		path_drop_burst(w, m + taken, n - taken, DROP_handoff_full);
}

void classify_hand_over(struct worker *w, unsigned owner, struct rte_mbuf *m)
{
	hand_over(w, owner, &m, 1);
}

void classify_burst(struct worker *w, struct rte_mbuf **m, unsigned n)
{
	const struct tuple *tuples[PATH_BURST] = {NULL};
	uint64_t transports[PATH_BURST];
	struct rte_mbuf *media[PATH_BURST];
	struct outgoing out[DP_MAX_WORKERS];
	unsigned media_count = 0;

	for (unsigned v = 0; v < w->workers; v++)
		out[v].n = 0;
	for (unsigned i = 0; i < n; i++)
		tuples[i] = &pkt_of(m[i])->tuple;
	tuple_table_find(w->tuples, tuples, n, transports);
	for (unsigned i = 0; i < n; i++) {
		enum demux_kind kind = kind_of(m[i]);
		struct transport *t;
		uint8_t owner;

		if (kind == DEMUX_UNKNOWN) {
			path_drop(w, m[i], DROP_kind_unknown);
			continue;
		}
		if (kind == DEMUX_STUN) {
			ice_packet(w, m[i]);
			continue;
		}
		t = transport_find(w->objects, transports[i]);
		if (!t) {
			// Of a transport that is gone: its address means nothing any more.
			if (transports[i])
				tuple_table_remove(w->tuples, tuples[i], transports[i]);
			path_drop(w, m[i], DROP_tuple_unknown);
			continue;
		}
		pkt_of(m[i])->transport = transports[i];
		owner = atomic_load_explicit(&t->owner, memory_order_acquire);
		if (owner != w->id) {
			if (owner >= w->workers)
				path_drop(w, m[i], DROP_tuple_unknown);
			else
				out[owner].m[out[owner].n++] = m[i];
		} else if (kind == DEMUX_DTLS) {
			dtls_punt_packet(w, m[i]);
		} else {
			media[media_count++] = m[i];
		}
	}
	if (media_count)
		srtp_open_burst(w, media, media_count);
	for (unsigned v = 0; v < w->workers; v++) {
		if (out[v].n)
			hand_over(w, v, out[v].m, out[v].n);
	}
}

/** A received packet that another worker gave us because we own its transport. */
static void received(struct worker *w, struct rte_mbuf *m, struct rte_mbuf **media, unsigned *count)
{
	struct pkt *pkt = pkt_of(m);
	struct transport *t = transport_find(w->objects, pkt->transport);
	enum demux_kind kind = kind_of(m);

	w->count.handoff_in++;
	if (!t || atomic_load_explicit(&t->owner, memory_order_acquire) != w->id) {
		path_drop(w, m, DROP_stale_handle);
	} else if (kind == DEMUX_STUN) {
		ice_handed(w, m);
	} else if (!transport_tuple_find(t, &pkt->tuple)) {
		// The other worker's entry outlives ours when the transport has too many.
		path_drop(w, m, DROP_tuple_unknown);
	} else if (kind == DEMUX_DTLS) {
		dtls_punt_packet(w, m);
	} else {
		media[(*count)++] = m;
	}
}

void handoff_burst(struct worker *w, struct rte_mbuf **m, unsigned n)
{
	struct rte_mbuf *media[PATH_BURST], *copies[PATH_BURST];
	unsigned media_count = 0, copy_count = 0;

	for (unsigned i = 0; i < n; i++) {
		if (pkt_of(m[i])->task == PKT_TASK_FANOUT)
			copies[copy_count++] = m[i];
		else if (pkt_of(m[i])->task == PKT_TASK_HINT)
			hint_handed(w, m[i]);
		else
			received(w, m[i], media, &media_count);
	}
	w->count.fanout_in += copy_count;
	if (copy_count)
		fanout_local(w, copies, copy_count);
	if (media_count)
		srtp_open_burst(w, media, media_count);
}

void handoff_sift(struct worker *w, struct rte_mbuf **m, unsigned n, uint64_t oldest_us)
{
	struct rte_mbuf *fresh[PATH_BURST];
	unsigned count = 0;

	for (unsigned i = 0; i < n; i++) {
		if (pkt_of(m[i])->rx_us >= oldest_us) {
			fresh[count++] = m[i];
		} else if (pkt_of(m[i])->task == PKT_TASK_FANOUT) {
			w->count.fanout_in++;
			w->count.egress_tried++;
			w->count.edge[EDGE_stalled]++;
			rte_pktmbuf_free(m[i]);
		} else {
			w->count.handoff_in++;
			path_drop(w, m[i], DROP_stalled);
		}
	}
	if (count)
		handoff_burst(w, fresh, count);
}
