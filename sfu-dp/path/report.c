// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/path/report.h"

#include <string.h>

#include "sfu-dp/path/transport.h"
#include "sfu-dp/worker.h"

/** A stream without a packet for so long is reported on no more. */
#define STREAM_IDLE_US 5000000u
/** How much of a difference to a later report the clock of a client is followed by. */
#define CLOCK_FOLLOW 16
#define COMPOUND_MAX 1200u

/* Compounds. They begin with a report and a CNAME (RFC 3550, 6.1). */

static size_t cname_append(uint8_t *out, size_t cap, struct transport *t)
{
	size_t len = strnlen(t->label, sizeof(t->label) - 1);

	return len ? rtcp_encode_sdes_cname(out, cap, t->rtcp_ssrc, t->label, len)
		   : rtcp_encode_sdes_cname(out, cap, t->rtcp_ssrc, "sfu", 3);
}

size_t report_begin(struct transport *t, uint8_t *out, size_t cap)
{
	size_t len = rtcp_encode_rr(out, cap, t->rtcp_ssrc, NULL, 0);

	return len + cname_append(out + len, cap - len, t);
}

/* What we say */

static void block_make(struct worker *w, struct rx_stream *s, struct rtcp_report_block *out)
{
	memset(out, 0, sizeof(*out));
	out->ssrc = s->ssrc;
	reception_report(&s->rtp, out);
	if (s->sr_us) {
		out->lsr = rtcp_ntp_mid(s->sr_ntp);
		out->dlsr = rtcp_mid_from_us(w->now_us - s->sr_us);
	}
}

/** Answers to the reference times that came since the last report. */
static size_t dlrr_append(struct worker *w, struct transport *t, uint8_t *out, size_t cap)
{
	struct rtcp_dlrr dlrr[TRANSPORT_REFERENCES];
	unsigned count = t->reference_count;

	if (!count)
		return 0;
	for (unsigned i = 0; i < count; i++)
		dlrr[i] = (struct rtcp_dlrr){
			.ssrc = t->reference[i].ssrc,
			.lrr = t->reference[i].ntp_mid,
			.dlrr = rtcp_mid_from_us(w->now_us - t->reference[i].at_us),
		};
	t->reference_count = 0;
	return rtcp_encode_dlrr(out, cap, t->rtcp_ssrc, dlrr, count);
}

static void receiver_report(struct worker *w, struct transport *t)
{
	struct rtcp_report_block blocks[RTCP_COUNT_MAX];
	uint8_t compound[COMPOUND_MAX];
	unsigned count = 0;
	size_t len;

	for (unsigned i = 0; i < TRANSPORT_STREAMS && count < RTCP_COUNT_MAX; i++) {
		struct rx_stream *s = &t->streams[i];

		if (s->rtp.seen && w->now_us - s->last_us < STREAM_IDLE_US)
			block_make(w, s, &blocks[count++]);
	}
	if (!count && !t->reference_count)
		return;
	len = rtcp_encode_rr(compound, sizeof(compound), t->rtcp_ssrc, blocks, count);
	len += cname_append(compound + len, sizeof(compound) - len, t);
	len += dlrr_append(w, t, compound + len, sizeof(compound) - len);
	transport_rtcp_send(w, t, compound, len);
}

/** Read the producer's clock; false before its first sender report, or when it is being written. */
static bool clock_read(struct producer_clock *c, uint32_t *rtp, uint64_t *at_us)
{
	for (unsigned tries = 0; tries < 4; tries++) {
		uint32_t before = atomic_load_explicit(&c->sequence, memory_order_acquire);

		*rtp = atomic_load_explicit(&c->rtp, memory_order_acquire);
		*at_us = atomic_load_explicit(&c->at_us, memory_order_acquire);
		if (!(before & 1)
			&& atomic_load_explicit(&c->sequence, memory_order_relaxed) == before)
			return *at_us != 0;
	}
	return false;
}

static uint32_t ticks(uint64_t from_us, uint64_t to_us, uint32_t clock_rate_hz)
{
	int64_t passed = (int64_t)(to_us - from_us);

	return (uint32_t)(passed * (int64_t)clock_rate_hz / 1000000);
}

/** What the stream's timestamp is now: by the producer's own report, before it by its packets. */
static uint32_t timestamp_now(struct worker *w, struct consumer *c)
{
	uint64_t at_us;
	uint32_t rtp;

	if (clock_read(&c->producer->clock[c->current_encoding], &rtp, &at_us))
		return rtp + c->timestamp_offset + ticks(at_us, w->now_us, c->clock_rate_hz);
	return c->last_timestamp + ticks(c->last_sent_us, w->now_us, c->clock_rate_hz);
}

static void sender_report(struct worker *w, struct transport *t, struct consumer *c)
{
	const struct sfu_put_producer *source = &c->producer->put;
	struct rtcp_sender_info info = {
		.ntp = rtcp_ntp_from_us(w->now_us),
		.ssrc = c->put.ssrc,
		.rtp_timestamp = timestamp_now(w, c),
		.packets = (uint32_t)c->packets,
		.octets = (uint32_t)c->payload_bytes,
	};
	uint8_t compound[COMPOUND_MAX];
	size_t len = rtcp_encode_sr(compound, sizeof(compound), &info, NULL, 0);

	// The CNAME of the source: what ties its audio to its video.
	if (source->cname_len)
		len += rtcp_encode_sdes_cname(compound + len, sizeof(compound) - len, c->put.ssrc,
			(const char *)source->cname, source->cname_len);
	else
		len += cname_append(compound + len, sizeof(compound) - len, t);
	transport_rtcp_send(w, t, compound, len);
}

static void sender_reports(struct worker *w, struct transport *t)
{
	const struct consumer_list *l = atomic_load_explicit(&t->consumers, memory_order_acquire);

	for (uint32_t i = 0; l && i < l->count; i++) {
		struct consumer *c = l->consumer[i];

		if (c->started && w->now_us - c->last_sent_us < STREAM_IDLE_US)
			sender_report(w, t, c);
	}
}

void reports_send(struct worker *w, struct transport *t)
{
	receiver_report(w, t);
	sender_reports(w, t);
}

void report_bye(struct worker *w, struct transport *t, uint32_t ssrc)
{
	uint8_t compound[COMPOUND_MAX];
	size_t len = report_begin(t, compound, sizeof(compound));

	len += rtcp_encode_bye(compound + len, sizeof(compound) - len, &ssrc, 1);
	transport_rtcp_send(w, t, compound, len);
}

/* What clients say */

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

static void sender_report_received(
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

/**
 * What was lost between us and the receiver alone: numbers that we never sent, since their packets were
 * lost on the way to us, are missing there too and nobody's fault there.
 */
static void downstream_loss(struct consumer *c, const struct rtcp_report_block *block)
{
	uint32_t expected = block->highest_seq - c->report_highest;
	int32_t lost = block->cumulative_lost - (int32_t)c->holes;
	int32_t lost_now;

	lost = lost < 0 ? 0 : lost;
	lost_now = lost - c->report_lost_downstream;
	if (c->reports && expected && expected < INT32_MAX)
		c->report_fraction_downstream
			= lost_now <= 0 ? 0
			  : (uint32_t)lost_now >= expected
				  ? 255
				  : (uint8_t)((uint32_t)lost_now * 256 / expected);
	c->report_lost_downstream = lost;
	c->report_highest = block->highest_seq;
	c->reports++;
}

static void report_block(
	struct worker *w, struct transport *t, const struct rtcp_report_block *block)
{
	struct consumer *c = transport_consumer_find(t, block->ssrc);
	uint64_t rtt_us;

	if (!c)
		return;
	downstream_loss(c, block);
	c->report_fraction_lost = block->fraction_lost;
	c->report_lost = block->cumulative_lost;
	c->report_jitter = block->jitter;
	// Our reports carry our own clock, so the block alone is enough.
	rtt_us = rtcp_rtt_us(rtcp_ntp_mid(rtcp_ntp_from_us(w->now_us)), block->lsr, block->dlsr);
	if (rtt_us)
		c->report_rtt_us = (uint32_t)rtt_us;
}

void report_received(struct worker *w, struct transport *t, const struct rtcp_packet *packet)
{
	struct rtcp_report_block block;
	struct rtcp_report r;

	if (rtcp_report_parse(packet, &r) != RTCP_OK)
		return;
	if (packet->type == RTCP_SR)
		sender_report_received(w, t, &r.info);
	for (unsigned i = 0; rtcp_report_block(&r, i, &block); i++)
		report_block(w, t, &block);
}

void report_extended(struct worker *w, struct transport *t, const struct rtcp_packet *packet)
{
	struct rtcp_xr_block block;
	struct rtcp_xr_iter it;
	uint64_t ntp;

	if (rtcp_xr_iter_init(&it, packet) != RTCP_OK)
		return;
	while (rtcp_xr_next(&it, &block) == RTCP_OK) {
		if (!rtcp_xr_rrtr(&block, &ntp))
			continue;
		for (unsigned i = 0; i < TRANSPORT_REFERENCES; i++) {
			if (i < t->reference_count && t->reference[i].ssrc != it.ssrc)
				continue;
			t->reference[i] = (struct rtcp_reference){
				.at_us = w->now_us,
				.ssrc = it.ssrc,
				.ntp_mid = rtcp_ntp_mid(ntp),
			};
			if (i == t->reference_count)
				t->reference_count++;
			break;
		}
	}
}
