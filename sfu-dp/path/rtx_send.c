// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/path/rtx_send.h"

#include <rte_byteorder.h>
#include <string.h>

#include "sfu-dp/path/feedback.h"
#include "sfu-dp/path/transport.h"
#include "sfu-dp/state/hot.h"
#include "sfu-dp/worker.h"

/** Octets of original sequence number in front of a retransmitted payload (RFC 4588, 4). */
#define OSN_BYTES 2u

/** The next index under the RTX SSRC; 0 is none. Saved before it is used, and never given again. */
static uint64_t index_next(struct worker *w, struct consumer *c)
{
	struct egress_rtx *x = c->rtx;

	if (!x->started) {
		// Below 2^15 for the receiver's guess of the rollover (RFC 3711, 3.3.1).
		x->index = 1 + (worker_random(w) & 0x7ffe);
		x->started = 1;
	} else if (x->index == SRTP_INDEX_MAX) {
		return 0;
	} else {
		x->index++;
	}
	state_egress_rtx(c->saved, x->index);
	return x->index;
}

/** The header of a retransmission; octets of it, or 0 when the packet would be too long. */
static size_t header(struct worker *w, const struct rtx_answer *a,
	const struct rewrite_place *place, uint8_t hdr[REWRITE_HEADER_MAX])
{
	const struct pkt *pkt = pkt_of(a->m);
	struct consumer *c = a->c;
	struct rewrite_template template;
	size_t payload_len = OSN_BYTES + pkt->rtp.payload_len, hdr_len;

	template.len = 0;
	hdr_len = rewrite_header_like(
		&template, c, rte_pktmbuf_mtod(a->m, const uint8_t *), pkt, place, w->now_us, hdr);
	if (!hdr_len
		|| !transport_fits(
			w, c->transport, hdr_len + payload_len + a->keys->profile->tag_len))
		return 0;
	if (template.twcc_off)
		feedback_stamp(
			c->transport, hdr + template.twcc_off, w->now_us, hdr_len + payload_len);
	rtp_rewrite(hdr, rtx_payload_type(c->rtx, pkt->mapped_payload_type), pkt->rtp.marker,
		(uint16_t)place->index, place->timestamp, c->rtx->ssrc);
	return hdr_len;
}

/** Lay the payload out in the buffer, behind room for the header, and add it. */
static enum edge_reason add(
	struct rtx_burst *b, const struct rtx_answer *a, size_t hdr_len, uint64_t index)
{
	const struct pkt *pkt = pkt_of(a->m);
	const uint8_t *packet = rte_pktmbuf_mtod(a->m, const uint8_t *);
	rte_be16_t osn = rte_cpu_to_be_16((uint16_t)a->out_index);
	uint8_t *out = rte_pktmbuf_mtod(a->out, uint8_t *), *payload = out + hdr_len;
	size_t payload_len = OSN_BYTES + pkt->rtp.payload_len;

	if (hdr_len + payload_len > rte_pktmbuf_tailroom(a->out))
		return EDGE_too_long;
	memcpy(payload, &osn, sizeof(osn));
	memcpy(payload + OSN_BYTES, packet + pkt->rtp.payload_off, pkt->rtp.payload_len);
	b->engine = a->keys->engine;
	b->consumer[b->n] = a->c;
	b->m[b->n] = a->out;
	b->job[b->n] = (struct srtp_seal_job){
		.ctx = a->keys->tx,
		.in = {
			.hdr = b->hdr[b->n],
			.hdr_len = hdr_len,
			.payload = payload,
			.payload_len = payload_len,
			.index = index,
			.ssrc = a->c->rtx->ssrc,
		},
		.out = out,
		.cap = rte_pktmbuf_tailroom(a->out),
	};
	b->n++;
	return EDGE_COUNT;
}

/** Take an index, then header and payload: EDGE_COUNT when it was added. */
static enum edge_reason build(struct worker *w, struct rtx_burst *b, const struct rtx_answer *a)
{
	const struct pkt *pkt = pkt_of(a->m);
	struct rewrite_place place = {
		.index = index_next(w, a->c),
		.timestamp = pkt->rtp.timestamp + a->part.timestamp_offset,
	};
	size_t hdr_len;

	if (!place.index)
		return EDGE_index_exhausted;
	if (!a->out)
		return EDGE_no_buffer;
	hdr_len = header(w, a, &place, b->hdr[b->n]);
	return hdr_len ? add(b, a, hdr_len, place.index) : EDGE_too_long;
}

void rtx_send(struct worker *w, struct rtx_burst *b, const struct rtx_answer *a)
{
	enum edge_reason reason = build(w, b, a);

	w->count.egress_tried++;
	if (reason != EDGE_COUNT) {
		rte_pktmbuf_free(a->out);
		edge_count(w, a->c, reason);
		return;
	}
	// An AEAD gains nothing from others beside it, but from a packet that is still in the cache.
	if (a->keys->profile->aead || b->n == RTX_BURST)
		rtx_send_flush(w, b);
}

static void sent(
	struct worker *w, struct consumer *c, const struct srtp_seal_job *job, struct rte_mbuf *m)
{
	const struct tx_header *h = transport_tx_header(w, c->transport);

	if (job->result < 0 || !h) {
		rte_pktmbuf_free(m);
		edge_count(w, c, h ? EDGE_seal_failed : EDGE_not_connected);
		return;
	}
	m->data_len = (uint16_t)job->result;
	c->rtx->packets++;
	c->rtx->bytes += (uint64_t)job->result;
	c->transport->tx_packets++;
	c->transport->tx_bytes += (uint64_t)job->result;
	w->count.rtx_sent++;
	tx_header_put(h, m);
	tx_frame_egress(w, m);
}

void rtx_send_flush(struct worker *w, struct rtx_burst *b)
{
	if (!b->n)
		return;
	// One engine serves the whole process (programme_options.engine).
	b->engine->rtp_seal_burst(b->job, b->n);
	for (unsigned i = 0; i < b->n; i++)
		sent(w, b->consumer[i], &b->job[i], b->m[i]);
	b->n = 0;
}
