// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/path/srtp_seal.h"

#include "sfu-dp/path/transport.h"
#include "sfu-dp/worker.h"

/** Octets at the start of expanded keys that every packet reads: salts and AES round keys. */
#define CTX_PREFETCH 320u

void seal_add(struct worker *w, struct seal_burst *b, struct consumer *c,
	const struct transport_keys *keys, const uint8_t *packet, const struct pkt *pkt,
	size_t hdr_len, uint64_t index)
{
	// Jobs of a burst are of one engine.
	(void)w;
	b->consumer[b->n] = c;
	b->job[b->n] = (struct srtp_seal_job){
		.ctx = keys->tx,
		.in = {
			.hdr = b->hdr[b->n],
			.hdr_len = hdr_len,
			.payload = packet + pkt->rtp.payload_off,
			.payload_len = pkt->rtp.payload_len,
			.index = index,
			.ssrc = c->ssrc,
		},
	};
	for (unsigned i = 0; i < CTX_PREFETCH; i += RTE_CACHE_LINE_SIZE)
		rte_prefetch0((const uint8_t *)keys->tx + i);
	if (++b->n == SEAL_BURST)
		seal_flush(w, b);
}

static void copy_send(
	struct worker *w, struct consumer *c, const struct srtp_seal_job *job, struct rte_mbuf *m)
{
	struct transport *t = c->transport;
	const struct tx_header *header = transport_tx_header(w, t);

	if (job->result < 0 || !header) {
		edge_count(w, c, header ? EDGE_seal_failed : EDGE_not_connected);
		rte_pktmbuf_free(m);
		return;
	}
	m->data_len = (uint16_t)job->result;
	c->packets++;
	c->bytes += (uint64_t)job->result;
	c->payload_bytes += job->in.payload_len;
	t->tx_packets++;
	t->tx_bytes += (uint64_t)job->result;
	tx_header_put(header, m);
	tx_frame_egress(w, m);
}

void seal_flush(struct worker *w, struct seal_burst *b)
{
	struct rte_mbuf *m[SEAL_BURST];
	const struct srtp_engine *engine;

	if (!b->n)
		return;
	if (rte_pktmbuf_alloc_bulk(w->pool, m, b->n)) {
		for (unsigned i = 0; i < b->n; i++)
			edge_count(w, b->consumer[i], EDGE_no_buffer);
		b->n = 0;
		return;
	}
	for (unsigned i = 0; i < b->n; i++) {
		b->job[i].out = rte_pktmbuf_mtod(m[i], uint8_t *);
		b->job[i].cap = rte_pktmbuf_tailroom(m[i]);
	}
	// One engine serves the whole process (programme_options.engine).
	engine = atomic_load_explicit(&b->consumer[0]->transport->keys, memory_order_acquire)
			 ->engine;
	engine->rtp_seal_burst(b->job, b->n);
	for (unsigned i = 0; i < b->n; i++)
		copy_send(w, b->consumer[i], &b->job[i], m[i]);
	b->n = 0;
}
