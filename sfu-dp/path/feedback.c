// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/path/feedback.h"

#include "sfu-dp/path/transport.h"
#include "sfu-dp/worker.h"

/** Feedback packets a transport gets at once: what the window holds, a silence in it twice over. */
#define PACKETS_AT_ONCE 4u
#define DUE_PER_TURN 64u
#define REMB_EVERY_US 250000u
#define COMPOUND_MAX 1200u

/** What a packet's extensions say about its way. */
struct marks {
	const uint8_t *twcc; /* 2 octets; NULL = absent */
	const uint8_t *send_time; /* 3 octets; NULL = absent */
};

static void marks_read(
	const struct producer *p, const uint8_t *packet, struct pkt *pkt, struct marks *out)
{
	struct rtp_ext_iter it;
	struct rtp_ext_elem e;

	*out = (struct marks){0};
	pkt->has_audio_level = 0;
	if (!pkt->rtp.extension
		|| !rtp_ext_iter_init(
			&it, pkt->rtp.ext_profile, packet + pkt->rtp.ext_off, pkt->rtp.ext_len))
		return;
	while (rtp_ext_next(&it, &e)) {
		switch (p->ext_of_id[e.id]) {
		case SFU_EXT_TRANSPORT_CC:
			if (e.len >= 2)
				out->twcc = e.data;
			break;
		case SFU_EXT_ABS_SEND_TIME:
			if (e.len >= 3)
				out->send_time = e.data;
			break;
		case SFU_EXT_AUDIO_LEVEL:
			if (e.len >= 1) {
				pkt->has_audio_level = 1;
				pkt->audio_level = e.data[0];
			}
			break;
		default:
			break;
		}
	}
}

static void wait_for_more(struct worker *w, struct transport *t)
{
	uint64_t handle = atomic_load_explicit(&t->handle, memory_order_relaxed);

	if (!t->feedback_waits)
		t->feedback_waits
			= due_list_push(w->feedback_due, handle, w->now_us + FEEDBACK_AFTER_US);
}

void feedback_received(struct worker *w, struct transport *t, const struct producer *p,
	const uint8_t *packet, size_t len, struct pkt *pkt)
{
	struct marks marks;

	marks_read(p, packet, pkt, &marks);
	if (marks.twcc) {
		uint16_t seq = (uint16_t)(marks.twcc[0] << 8 | marks.twcc[1]);

		if (!twcc_arrived(&t->twcc.arrivals, seq, pkt->rx_us))
			return;
	} else if (p->put.flags & SFU_PRODUCER_REMB) {
		const uint8_t *at = marks.send_time;

		remb_rate_arrived(&t->remb_rate, (uint32_t)len,
			at ? at[0] << 16 | at[1] << 8 | at[2] : -1, pkt->rx_us);
	} else {
		return;
	}
	t->feedback_ssrc = pkt->rtp.ssrc;
	wait_for_more(w, t);
}

static void twcc_send(struct worker *w, struct transport *t)
{
	uint8_t rtcp[COMPOUND_MAX];

	for (unsigned n = 0; n < PACKETS_AT_ONCE && twcc_pending(&t->twcc.arrivals); n++) {
		size_t len = twcc_encode(
			&t->twcc.arrivals, rtcp, sizeof(rtcp), t->rtcp_ssrc, t->feedback_ssrc);

		// Alone (RFC 5506): reports have their own pace.
		transport_rtcp_send(w, t, rtcp, len);
		t->feedbacks_sent++;
	}
}

/** What was expected and came on all streams of a transport, since they began. */
static void arrivals_sum(const struct transport *t, uint64_t *expected, uint64_t *received)
{
	*expected = *received = 0;
	for (unsigned i = 0; i < TRANSPORT_STREAMS && t->streams[i].used; i++) {
		const struct rx_stream *s = &t->streams[i];

		*expected += reception_expected(&s->rtp);
		*received += s->rtp.received;
	}
}

static void remb_send(struct worker *w, struct transport *t)
{
	uint64_t expected, received;
	uint8_t rtcp[64];
	uint32_t rate;

	if (!t->remb_rate.begin_us || w->now_us - t->remb_sent_us < REMB_EVERY_US)
		return;
	arrivals_sum(t, &expected, &received);
	rate = remb_rate_update(&t->remb_rate, expected, received, w->now_us);
	transport_rtcp_send(w, t, rtcp,
		rtcp_encode_remb(rtcp, sizeof(rtcp), t->rtcp_ssrc, rate, &t->feedback_ssrc, 1));
	t->remb_sent_us = w->now_us;
	t->feedbacks_sent++;
}

void feedback_send(struct worker *w)
{
	uint64_t handle;

	for (unsigned n = 0;
		n < DUE_PER_TURN && (handle = due_list_pop(w->feedback_due, w->now_us)); n++) {
		struct transport *t = transport_find(w->objects, handle);

		if (!t)
			continue;
		t->feedback_waits = 0;
		if (t->closed)
			continue;
		twcc_send(w, t);
		if (twcc_pending(&t->twcc.arrivals))
			wait_for_more(w, t);
		remb_send(w, t);
	}
}

uint32_t feedback_twcc(struct worker *w, struct transport *t, const struct rtcp_feedback *fb)
{
	struct rtcp_twcc twcc;

	// Only who receives from us has anything to say about it.
	if (t->direction != 2 || rtcp_twcc_parse(fb, &twcc) != RTCP_OK)
		return 0;
	return twcc_feedback(&t->twcc.sent, &twcc, t->twcc_seq, w->now_us);
}

void feedback_remb(struct worker *w, struct transport *t, const struct rtcp_feedback *fb)
{
	struct rtcp_remb remb;

	(void)w;
	if (t->direction == 2 && rtcp_remb_parse(fb, &remb) == RTCP_OK)
		t->remb_received_bps = remb.bitrate_bps;
}
