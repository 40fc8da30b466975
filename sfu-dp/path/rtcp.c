// SPDX-License-Identifier: BSD-3-Clause
/**
 * rtcp: feedback ends here. What a client says about its own streams and about those we send it is
 * noted; about anything else it may say what it likes. A part that cannot be read ends the walk and
 * nothing more. Leaves to: nowhere; the packet counts as answered.
 */
#include "sfu-dp/proto/rtcp.h"
#include "sfu-dp/path/feedback.h"
#include "sfu-dp/path/key_frame.h"
#include "sfu-dp/path/path.h"
#include "sfu-dp/path/report.h"
#include "sfu-dp/path/rtx.h"
#include "sfu-dp/path/transport.h"
#include "sfu-dp/worker.h"

/**
 * What a client may cost us: so many RTCP packets a second, as many saved up. A browser that receives
 * fifty streams with loss sends some hundreds.
 */
#define TOKENS_PER_SECOND 2000u
/** Statuses of transport-wide feedback that cost as much as a packet. */
#define STATUSES_PER_TOKEN 64u

static void tokens_refill(struct worker *w, struct transport *t)
{
	uint64_t tokens = (w->now_us - t->rtcp_refill_us) * TOKENS_PER_SECOND / 1000000;

	if (!tokens)
		return;
	t->rtcp_refill_us = w->now_us;
	tokens += t->rtcp_tokens;
	t->rtcp_tokens = tokens < TOKENS_PER_SECOND ? (uint32_t)tokens : TOKENS_PER_SECOND;
}

static void tokens_take(struct transport *t, uint32_t tokens)
{
	t->rtcp_tokens = t->rtcp_tokens > tokens ? t->rtcp_tokens - tokens : 0;
}

static void payload_feedback(
	struct worker *w, struct transport *t, const struct rtcp_packet *packet)
{
	struct rtcp_feedback fb;

	if (rtcp_feedback_parse(packet, &fb) != RTCP_OK)
		return;
	key_frame_feedback(w, t, &fb);
	feedback_remb(w, t, &fb);
}

static void transport_feedback(
	struct worker *w, struct transport *t, const struct rtcp_packet *packet)
{
	struct rtcp_feedback fb;

	if (rtcp_feedback_parse(packet, &fb) != RTCP_OK)
		return;
	if (fb.fmt == RTCP_RTPFB_NACK)
		rtx_nack(w, t, &fb);
	else
		tokens_take(t, feedback_twcc(w, t, &fb) / STATUSES_PER_TOKEN);
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
	ice_heard(w, t, &pkt_of(m)->tuple);
	tokens_refill(w, t);
	if (!t->rtcp_tokens) {
		t->rtcp_over++;
		path_drop(w, m, DROP_rtcp_rate);
		return;
	}
	rtcp_iter_init(&it, rte_pktmbuf_mtod(m, const uint8_t *), rte_pktmbuf_data_len(m));
	while (t->rtcp_tokens && rtcp_next(&it, &packet) == RTCP_OK) {
		tokens_take(t, 1);
		switch (packet.type) {
		case RTCP_SR:
		case RTCP_RR:
			report_received(w, t, &packet);
			break;
		case RTCP_XR:
			report_extended(w, t, &packet);
			break;
		case RTCP_PSFB:
			payload_feedback(w, t, &packet);
			break;
		case RTCP_RTPFB:
			transport_feedback(w, t, &packet);
			break;
		default:
			// SDES and BYE say nothing that signalling does not: a BYE ends no stream.
			break;
		}
	}
	w->count.answered++;
	rte_pktmbuf_free(m);
}
