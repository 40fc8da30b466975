// SPDX-License-Identifier: BSD-3-Clause
/**
 * rtcp: feedback ends here. What a client says about its own streams and about those we send it is
 * noted; about anything else it may say what it likes. A part that cannot be read ends the walk and
 * nothing more. Leaves to: nowhere; the packet counts as answered.
 */
#include "sfu-dp/proto/rtcp.h"
#include "sfu-dp/path/path.h"
#include "sfu-dp/path/transport.h"
#include "sfu-dp/worker.h"

/** How much of a difference to a later report the clock of a client is followed by. */
#define CLOCK_FOLLOW 16

static void clock_publish(struct producer_clock *c, uint32_t rtp, uint64_t at_us)
{
	uint32_t sequence = atomic_load_explicit(&c->sequence, memory_order_relaxed);

	// Each release keeps the odd number in front of what is written; with orders on the
	// accesses and not in fences the thread sanitizer can follow.
	atomic_store_explicit(&c->sequence, sequence + 1, memory_order_relaxed);
	atomic_store_explicit(&c->rtp, rtp, memory_order_release);
	atomic_store_explicit(&c->at_us, at_us, memory_order_release);
	atomic_store_explicit(&c->sequence, sequence + 2, memory_order_release);
}

/**
 * The instant of a client's NTP time by our clock. One difference for all its streams, that of the
 * report that was fastest on the way; slower ones pull it back a little each, in case its clock
 * drifts.
 */
static uint64_t clock_to_ours(struct worker *w, struct transport *t, uint64_t ntp)
{
	int64_t theirs = (int64_t)rtcp_ntp_to_us(ntp);
	int64_t delta = theirs - (int64_t)w->now_us;

	// A jump of seconds is a clock that was set.
	if (!t->clock_known || delta > t->clock_delta_us || t->clock_delta_us - delta > 5000000)
		t->clock_delta_us = delta;
	else
		t->clock_delta_us -= (t->clock_delta_us - delta) / CLOCK_FOLLOW;
	t->clock_known = 1;
	return (uint64_t)(theirs - t->clock_delta_us);
}

static void sender_report(
	struct worker *w, struct transport *t, const struct rtcp_sender_info *info)
{
	struct rx_stream *s = transport_stream_find(t, info->ssrc);
	struct producer *p;

	if (!s)
		return;
	s->sr_ntp = info->ntp;
	s->sr_rtp = info->rtp_timestamp;
	s->sr_us = w->now_us;
	p = producer_find(w->objects, s->producer);
	if (p && p->bound_ssrc[s->encoding] == s->ssrc)
		clock_publish(&p->clock[s->encoding], info->rtp_timestamp,
			clock_to_ours(w, t, info->ntp));
}

static void report_block(
	struct worker *w, struct transport *t, const struct rtcp_report_block *block)
{
	struct consumer *c = transport_consumer_find(t, block->ssrc);
	uint64_t rtt_us;

	if (!c)
		return;
	c->report_fraction_lost = block->fraction_lost;
	c->report_lost = block->cumulative_lost;
	c->report_jitter = block->jitter;
	// Our reports carry our own clock, so the block alone is enough.
	rtt_us = rtcp_rtt_us(rtcp_ntp_mid(rtcp_ntp_from_us(w->now_us)), block->lsr, block->dlsr);
	if (rtt_us)
		c->report_rtt_us = (uint32_t)rtt_us;
}

static void report(struct worker *w, struct transport *t, const struct rtcp_packet *packet)
{
	struct rtcp_report_block block;
	struct rtcp_report r;

	if (rtcp_report_parse(packet, &r) != RTCP_OK)
		return;
	if (packet->type == RTCP_SR)
		sender_report(w, t, &r.info);
	for (unsigned i = 0; rtcp_report_block(&r, i, &block); i++)
		report_block(w, t, &block);
}

/** Only about streams that this very client receives, and only while they may flow. */
static void key_frame(struct worker *w, struct transport *t, uint32_t ssrc)
{
	struct consumer *c = transport_consumer_find(t, ssrc);

	if (c && !(atomic_load_explicit(&c->flags, memory_order_relaxed) & SFU_CONSUMER_PAUSED)
		&& w->now_us < atomic_load_explicit(&c->peer->open_until_us, memory_order_relaxed))
		producer_want_key_frame(w->objects, c->producer);
}

static void payload_feedback(
	struct worker *w, struct transport *t, const struct rtcp_packet *packet)
{
	struct rtcp_feedback fb;
	struct rtcp_fir fir;

	if (rtcp_feedback_parse(packet, &fb) != RTCP_OK)
		return;
	if (rtcp_is_pli(&fb))
		key_frame(w, t, fb.media_ssrc);
	for (unsigned i = 0; rtcp_fir(&fb, i, &fir); i++)
		key_frame(w, t, fir.ssrc);
}

void rtcp_packet(struct worker *w, struct rte_mbuf *m)
{
	struct transport *t = transport_find(w->objects, pkt_of(m)->transport);
	struct rtcp_packet packet;
	struct rtcp_iter it;

	if (!t) {
		path_drop(w, m, DROP_stale_handle);
		return;
	}
	rtcp_iter_init(&it, rte_pktmbuf_mtod(m, const uint8_t *), rte_pktmbuf_data_len(m));
	while (rtcp_next(&it, &packet) == RTCP_OK) {
		switch (packet.type) {
		case RTCP_SR:
		case RTCP_RR:
			report(w, t, &packet);
			break;
		case RTCP_PSFB:
			payload_feedback(w, t, &packet);
			break;
		default:
			// NACK and transport-wide feedback answer what we do not offer yet; SDES
			// and BYE say nothing that signalling does not: a BYE ends no stream.
			break;
		}
	}
	w->count.answered++;
	rte_pktmbuf_free(m);
}
