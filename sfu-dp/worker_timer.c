// SPDX-License-Identifier: BSD-3-Clause
/**
 * What a worker does by the clock for the transports that it owns: consent, reports, key-frame
 * requests. Nothing is walked as a whole at once but at a key-frame request: the sweep takes as many
 * transports per turn as are due, so that each is met every SWEEP_US.
 */
#include <string.h>

#include "sfu-dp/path/transport.h"
#include "sfu-dp/proto/rtcp.h"
#include "sfu-dp/worker.h"

#define SWEEP_US 250000u
#define SWEEP_PER_TURN 64u
#define REPORT_US 1000000u
#define CONSENT_US 30000000u
/** A stream without a packet for so long is reported on no more. */
#define STREAM_IDLE_US 5000000u
#define FLOWS_US 10000u
#define FLOWS_PER_SWEEP 64u
/** Least time between two key-frame requests to one producer (threats.md A2). */
#define KEY_FRAME_US 500000u
/** Requests without effect before we leave it to the receivers to ask again. */
#define KEY_FRAME_TRIES 6u
#define KEY_FRAME_LOOK_US 10000u
#define KEY_FRAME_REST_US 1000u
#define ORDERS_PER_TURN 32u
#define COMPOUND_MAX 1200u

/* Compounds. They begin with a report and a CNAME (RFC 3550, 6.1). */

static size_t cname_append(uint8_t *out, size_t cap, struct transport *t)
{
	size_t len = strnlen(t->label, sizeof(t->label) - 1);

	return len ? rtcp_encode_sdes_cname(out, cap, t->rtcp_ssrc, t->label, len)
		   : rtcp_encode_sdes_cname(out, cap, t->rtcp_ssrc, "sfu", 3);
}

/** RFC 3550, A.3. Begins a new interval. */
static void block_make(struct worker *w, struct rx_stream *s, struct rtcp_report_block *out)
{
	uint64_t expected = s->srtp.highest - s->base_index + 1;
	uint64_t expected_now = expected - s->expected_prior;
	uint64_t received_now = s->received - s->received_prior;
	int64_t lost = (int64_t)(expected - s->received);

	memset(out, 0, sizeof(*out));
	out->ssrc = s->ssrc;
	// More may have come than was expected: what overtook the end of the last interval.
	if (expected_now > received_now)
		out->fraction_lost
			= (uint8_t)(((expected_now - received_now) * 256 - 1) / expected_now);
	out->cumulative_lost = lost > 0x7fffff ? 0x7fffff : (int32_t)(lost < 0 ? 0 : lost);
	out->highest_seq = (uint32_t)s->srtp.highest;
	out->jitter = s->jitter_q4 >> 4;
	if (s->sr_us) {
		out->lsr = rtcp_ntp_mid(s->sr_ntp);
		out->dlsr = rtcp_mid_from_us(w->now_us - s->sr_us);
	}
	s->expected_prior = expected;
	s->received_prior = s->received;
}

static void receiver_report(struct worker *w, struct transport *t)
{
	struct rtcp_report_block blocks[RTCP_COUNT_MAX];
	uint8_t compound[COMPOUND_MAX];
	unsigned count = 0;
	size_t len;

	for (unsigned i = 0; i < TRANSPORT_STREAMS && count < RTCP_COUNT_MAX; i++) {
		struct rx_stream *s = &t->streams[i];

		if (s->rtp_seen && w->now_us - s->last_us < STREAM_IDLE_US)
			block_make(w, s, &blocks[count++]);
	}
	if (!count)
		return;
	len = rtcp_encode_rr(compound, sizeof(compound), t->rtcp_ssrc, blocks, count);
	len += cname_append(compound + len, sizeof(compound) - len, t);
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

static void transport_timer(struct worker *w, struct transport *t)
{
	transport_notices_retry(w, t);
	if (t->closed)
		return;
	// RFC 7675, seen from the side that is asked: nobody asks, so nobody wants it any more.
	if (w->now_us - t->last_check_us >= CONSENT_US && t->validated) {
		t->closed = 1;
		transport_notice(w, t, NOTICE_CONSENT_LOST);
		return;
	}
	if (w->now_us < t->timer_us)
		return;
	t->timer_us = w->now_us + REPORT_US;
	receiver_report(w, t);
	sender_reports(w, t);
}

static void sweep(struct worker *w)
{
	uint64_t passed = w->now_us - w->timer_us, whole = (uint64_t)w->owned_count * SWEEP_US;

	w->timer_us = w->now_us;
	if (passed > SWEEP_US)
		passed = SWEEP_US;
	w->timer_credit += passed * w->owned_count;
	if (w->timer_credit > whole)
		w->timer_credit = whole;
	for (unsigned n = 0; n < SWEEP_PER_TURN && w->timer_credit >= SWEEP_US && w->owned_count;
		n++) {
		struct transport *t;

		w->timer_credit -= SWEEP_US;
		if (w->owned_cursor >= w->owned_count)
			w->owned_cursor = 0;
		t = transport_find(w->objects, w->owned[w->owned_cursor]);
		if (!t) {
			w->owned[w->owned_cursor] = w->owned[--w->owned_count];
			continue;
		}
		w->owned_cursor++;
		transport_timer(w, t);
	}
}

/* Key-frame requests */

/** Ask the client for a key frame of every encoding; false when nothing can be asked yet. */
static bool pli_send(struct worker *w, struct transport *t, struct producer *p)
{
	uint8_t compound[COMPOUND_MAX];
	size_t len = rtcp_encode_rr(compound, sizeof(compound), t->rtcp_ssrc, NULL, 0), empty;

	len += cname_append(compound + len, sizeof(compound) - len, t);
	empty = len;
	for (unsigned e = 0; e < p->put.encoding_count; e++) {
		uint32_t ssrc = p->bound_ssrc[e] ? p->bound_ssrc[e] : p->put.encoding[e].ssrc;

		if (ssrc)
			len += rtcp_encode_pli(
				compound + len, sizeof(compound) - len, t->rtcp_ssrc, ssrc);
	}
	if (len == empty)
		return false;
	transport_rtcp_send(w, t, compound, len);
	return true;
}

/** One producer's request; true when it has to be looked at again. */
static bool key_frame_turn(struct worker *w, struct transport *t, struct producer *p)
{
	bool wanted = atomic_load_explicit(&p->key_frame_wanted, memory_order_acquire);

	if (!wanted && !p->key_frame_tries)
		return false;
	if (p->key_frame_sent_us && w->now_us - p->key_frame_sent_us < KEY_FRAME_US)
		return true;
	if (wanted) {
		atomic_store_explicit(&p->key_frame_wanted, 0, memory_order_release);
		p->key_frame_tries = 0;
	}
	// A source that cannot be asked has not begun; it will with a key frame.
	if (p->key_frame_tries >= KEY_FRAME_TRIES || !transport_active(t) || !pli_send(w, t, p)) {
		p->key_frame_tries = 0;
		return false;
	}
	p->key_frame_tries++;
	p->key_frame_sent_us = w->now_us;
	p->key_frame_requests++;
	return true;
}

static void key_frames(struct worker *w)
{
	struct key_frame_flag *flag = &w->objects->key_frames[w->id];
	bool open = false;

	if (!w->key_frame_open && !atomic_load_explicit(&flag->raised, memory_order_relaxed))
		return;
	if (w->now_us < w->key_frame_us)
		return;
	// Before the look: what is raised meanwhile is met by the next one.
	atomic_exchange_explicit(&flag->raised, 0, memory_order_acq_rel);
	for (uint32_t i = 0; i < w->owned_count; i++) {
		struct transport *t = transport_find(w->objects, w->owned[i]);
		const struct producer_list *l
			= t ? atomic_load_explicit(&t->producers, memory_order_acquire) : NULL;

		for (uint32_t k = 0; l && k < l->count; k++)
			open |= key_frame_turn(w, t, l->producer[k]);
	}
	w->key_frame_open = open;
	w->key_frame_us = w->now_us + (open ? KEY_FRAME_LOOK_US : KEY_FRAME_REST_US);
}

void worker_timers(struct worker *w)
{
	key_frames(w);
	sweep(w);
	if (w->now_us - w->flows_us >= FLOWS_US) {
		w->flows_us = w->now_us;
		tuple_table_sweep(w->tuples, w->now_us, FLOWS_PER_SWEEP);
	}
}

/* Orders */

/** A DTLS datagram of the control plane, along the tuple that it answers to. */
static void dtls_send(struct worker *w, const struct worker_order *o)
{
	struct transport *t = transport_find(w->objects, o->handle);
	const struct transport_tuple *to = NULL;

	if (t && !t->closed && !o->value)
		to = transport_active(t);
	for (unsigned i = 0; t && !t->closed && o->value && i < TRANSPORT_TUPLES; i++) {
		if (t->tuples[i].last_check_us && t->tuples[i].id == o->value)
			to = &t->tuples[i];
	}
	if (!to) {
		rte_pktmbuf_free(o->mbuf);
		return;
	}
	w->count.dtls_sent++;
	tx_encapsulate(w, o->mbuf, &to->tuple, &to->l2);
	tx_frame(w, o->mbuf);
}

void worker_orders(struct worker *w)
{
	struct worker_order o;

	for (unsigned n = 0;
		n < ORDERS_PER_TURN && !rte_ring_sc_dequeue_elem(w->from_house, &o, sizeof(o));
		n++) {
		if (o.kind == ORDER_DTLS)
			dtls_send(w, &o);
	}
}
