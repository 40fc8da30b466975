// SPDX-License-Identifier: BSD-3-Clause
/**
 * dtls_punt: give a DTLS datagram of a validated address to sfu-ctl, at a bounded rate. Nothing of
 * it is read here. Leaves to: housekeeping, drop.
 */
#include "sfu-dp/path/path.h"
#include "sfu-dp/path/transport.h"
#include "sfu-dp/worker.h"
#include "shared/event.h"

/** A handshake takes about 10 datagrams a side; these leave room for loss and a second one. */
#define DTLS_BURST 64u
#define DTLS_PER_SECOND 32u

static bool token_take(struct worker *w, struct transport *t)
{
	uint64_t passed = w->now_us - t->dtls_refill_us;

	if (!t->dtls_refill_us) {
		t->dtls_refill_us = w->now_us;
		t->dtls_tokens = DTLS_BURST;
	} else if (passed >= 1000000u / DTLS_PER_SECOND) {
		uint64_t tokens = t->dtls_tokens + passed * DTLS_PER_SECOND / 1000000u;

		t->dtls_tokens = tokens > DTLS_BURST ? DTLS_BURST : (uint32_t)tokens;
		t->dtls_refill_us = w->now_us;
	}
	if (!t->dtls_tokens)
		return false;
	t->dtls_tokens--;
	return true;
}

void dtls_punt_packet(struct worker *w, struct rte_mbuf *m)
{
	struct pkt *pkt = pkt_of(m);
	struct transport *t = transport_find(w->objects, pkt->transport);
	const struct transport_tuple *entry = t ? transport_tuple_find(t, &pkt->tuple) : NULL;
	struct worker_notice n = {
		.kind = NOTICE_DTLS,
		.transport = pkt->transport,
		.mbuf = m,
	};

	if (!entry) {
		path_drop(w, m, DROP_tuple_unknown);
	} else if (t->closed) {
		path_drop(w, m, DROP_transport_closed);
	} else if (rte_pktmbuf_data_len(m) > SFU_DTLS_MAX_BYTES) {
		path_drop(w, m, DROP_dtls_size);
	} else if (!token_take(w, t)) {
		path_drop(w, m, DROP_dtls_rate);
	} else {
		n.value = entry->id;
		if (worker_notify(w, &n))
			w->count.punted++;
		else
			path_drop(w, m, DROP_dtls_link);
	}
}
