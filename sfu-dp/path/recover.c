// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/path/recover.h"

#include "sfu-dp/path/transport.h"
#include "sfu-dp/proto/cursor.h"
#include "sfu-dp/proto/rtcp.h"
#include "sfu-dp/worker.h"

/** How often producers of which packets are missing are looked at. */
#define LOOK_US 5000u
#define LOOKS_PER_TURN 64u
/** Octets of original sequence number in front of a retransmitted payload (RFC 4588, 4). */
#define OSN_BYTES 2u
#define NACK_BYTES_MAX (12u + 4u * NACK_MISSING_MAX)

/** A packet came, in whatever way: what does that say about those before it? */
static void arrived(
	struct worker *w, struct producer *p, unsigned encoding, uint64_t index, bool retransmitted)
{
	if (!(p->put.flags & SFU_PRODUCER_NACK))
		return;
	switch (nack_arrived(&p->recovery[encoding].nack, index, retransmitted, w->now_us)) {
	case NACK_NO_NEWS:
		return;
	case NACK_GAP:
		if (!p->asking)
			p->asking = watch_add(&w->repair.asking,
				atomic_load_explicit(&p->handle, memory_order_relaxed));
		return;
	case NACK_TOO_LONG:
		// Nobody can go on from here without one.
		producer_want_key_frame(w->objects, p);
		return;
	}
}

unsigned recover_media(struct worker *w, struct producer *p, const struct pkt *pkt)
{
	struct recovery *r = &p->recovery[pkt->encoding];
	uint64_t index;

	if (r->delivered_kept) {
		// Behind this the stream's own replay window holds whatever was retransmitted.
		if (pkt->index > r->last_rtx_index + 2 * SRTP_WINDOW)
			r->delivered_kept = 0;
		else if (srtp_rx_check(&r->delivered, pkt->rtp.seq, &index) != SRTP_OK)
			return DROP_rtp_late;
		else
			srtp_rx_commit(&r->delivered, index);
	}
	arrived(w, p, pkt->encoding, pkt->index, false);
	return DROP_COUNT;
}

/** Where a retransmission belongs: DROP_COUNT, and then it is taken for delivered. */
static unsigned place(
	struct recovery *r, const struct rx_stream *media, uint16_t seq, uint64_t *index)
{
	if (!r->delivered_kept)
		r->delivered = media->srtp;
	switch (srtp_rx_check(&r->delivered, seq, index)) {
	case SRTP_OK:
		break;
	case SRTP_REPLAY:
		return DROP_rtx_duplicate;
	default:
		return DROP_rtx_unknown;
	}
	// It can overtake what it repairs, but not by much.
	if (*index > media->srtp.highest + SRTP_WINDOW)
		return DROP_rtx_unknown;
	srtp_rx_commit(&r->delivered, *index);
	r->delivered_kept = 1;
	if (*index > r->last_rtx_index)
		r->last_rtx_index = *index;
	return DROP_COUNT;
}

unsigned recover_rtx(struct worker *w, struct transport *t, struct producer *p, unsigned encoding,
	struct rte_mbuf *m)
{
	struct recovery *r = &p->recovery[encoding];
	struct pkt *pkt = pkt_of(m);
	struct rcursor c = rcursor_init(
		rte_pktmbuf_mtod(m, const uint8_t *) + pkt->rtp.payload_off, pkt->rtp.payload_len);
	uint8_t payload_type = p->apt[pkt->rtp.payload_type];
	const struct rx_stream *media;
	unsigned verdict;
	uint16_t seq;

	if (!pkt->rtp.payload_len) {
		r->probes++;
		return DROP_rtp_padding_only;
	}
	seq = rcursor_be16(&c);
	if (!rcursor_ok(&c))
		return DROP_rtp_malformed;
	if (payload_type > 127)
		return DROP_rtp_payload_type;
	media = transport_stream_find(t, p->bound_ssrc[encoding]);
	if (!p->bound_ssrc[encoding] || !media)
		return DROP_rtx_unknown;
	verdict = place(r, media, seq, &pkt->index);
	if (verdict != DROP_COUNT) {
		r->duplicates += verdict == DROP_rtx_duplicate;
		return verdict;
	}
	r->retransmitted++;
	pkt->rtp.ssrc = media->ssrc;
	pkt->rtp.seq = seq;
	pkt->rtp.payload_type = payload_type;
	pkt->rtp.payload_off += OSN_BYTES;
	pkt->rtp.payload_len -= OSN_BYTES;
	arrived(w, p, encoding, pkt->index, true);
	return DROP_COUNT;
}

void recover_restart(struct producer *p, unsigned encoding)
{
	p->recovery[encoding].delivered_kept = 0;
	p->recovery[encoding].last_rtx_index = 0;
	nack_restart(&p->recovery[encoding].nack);
}

void recover_forget(struct producer *p)
{
	for (unsigned e = 0; e < p->put.encoding_count; e++)
		nack_forget(&p->recovery[e].nack);
}

/** Ask for what is due of one encoding; whether something is missing still. */
static bool ask(struct worker *w, struct producer *p, unsigned encoding)
{
	struct recovery *r = &p->recovery[encoding];
	uint16_t seqs[NACK_MISSING_MAX];
	uint8_t rtcp[NACK_BYTES_MAX];
	unsigned count;
	size_t len;

	if (!r->nack.count || w->now_us < r->nack.due_us)
		return r->nack.count;
	count = nack_due(&r->nack, w->now_us, seqs);
	if (count) {
		// Alone, without a report in front (RFC 5506): it is urgent, and may be sent often.
		len = rtcp_encode_nack(rtcp, sizeof(rtcp), p->transport->rtcp_ssrc,
			p->bound_ssrc[encoding], seqs, count);
		transport_rtcp_send(w, p->transport, rtcp, len);
		r->requests++;
	}
	return r->nack.count;
}

static bool look(struct worker *w, uint64_t handle)
{
	struct producer *p = producer_find(w->objects, handle);
	bool missing = false;

	if (!p)
		return false;
	for (unsigned e = 0; e < p->put.encoding_count; e++)
		missing |= ask(w, p, e);
	p->asking = missing;
	return missing;
}

void recover_timers(struct worker *w)
{
	watch_turn(&w->repair.asking, w, w->now_us, LOOK_US, LOOKS_PER_TURN, look);
}
