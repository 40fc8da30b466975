// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/path/key_frame.h"

#include "sfu-dp/path/report.h"
#include "sfu-dp/path/transport.h"
#include "sfu-dp/worker.h"

/** Requests without effect before we leave it to the receivers to ask again. */
#define TRIES 6u
/** The same where the effect can only be guessed: a picture whose every frame is as large shows none. */
#define TRIES_GUESSED 3u
#define LOOK_US 10000u
#define REST_US 1000u
/** An encoding without a packet for so long owes nothing. */
#define FLOWS_US 1000000u
#define COMPOUND_MAX 1200u
/** FIR entries of one packet that are looked at: a client has no use for more. */
#define FIR_MOST 16u

/* Who asks */

/** Only about streams that this very client receives, and only while they may flow. */
static void wanted_by(struct worker *w, struct transport *t, uint32_t ssrc)
{
	struct consumer *c = transport_consumer_find(t, ssrc);

	if (c && !(atomic_load_explicit(&c->flags, memory_order_relaxed) & SFU_CONSUMER_PAUSED)
		&& w->now_us < atomic_load_explicit(&c->peer->open_until_us, memory_order_relaxed))
		producer_want_key_frame(w->objects, c->producer);
}

void key_frame_feedback(struct worker *w, struct transport *t, const struct rtcp_feedback *fb)
{
	struct rtcp_fir fir;

	if (rtcp_is_pli(fb))
		wanted_by(w, t, fb->media_ssrc);
	for (unsigned i = 0; i < FIR_MOST && rtcp_fir(fb, i, &fir); i++)
		wanted_by(w, t, fir.ssrc);
}

/* Whether it came */

static enum frame_kind kind_of(const struct pkt *pkt)
{
	switch (pkt->start) {
	case PKT_START_KEY_FRAME:
		return FRAME_KEY;
	case PKT_START_FIRST:
	case PKT_START_UNKNOWN:
		return FRAME_GUESS;
	default:
		return FRAME_OTHER;
	}
}

void key_frame_note(struct worker *w, struct producer *p, const struct pkt *pkt)
{
	struct frame_meter *m = &p->frame_meter[pkt->encoding];
	enum frame_kind kind = kind_of(pkt);

	if (p->put.kind != SFU_VIDEO)
		return;
	// Of a stream that never says, the packets behind the first of a frame do not say either.
	if (kind == FRAME_GUESS)
		p->frames_guessed |= (uint8_t)(1u << pkt->encoding);
	else if (kind == FRAME_OTHER && p->frames_guessed >> pkt->encoding & 1)
		kind = FRAME_GUESS;
	if (!frame_meter_packet(m, pkt->rtp.timestamp, pkt->rtp.payload_len, kind, w->now_us))
		return;
	p->key_frames++;
	p->key_frame_missing &= (uint8_t) ~(1u << pkt->encoding);
	if (!p->key_frame_missing)
		p->key_frame_tries = 0;
}

void key_frame_reopen(struct worker *w, struct producer *p)
{
	p->key_frame_price.refunded = true;
	producer_want_key_frame(w->objects, p);
}

/* Asking */

static uint32_t cost_us(const struct producer *p)
{
	uint32_t most = 0;

	for (unsigned e = 0; e < p->put.encoding_count; e++) {
		uint32_t cost = frame_meter_key_cost_us(&p->frame_meter[e]);

		most = cost > most ? cost : most;
	}
	return most;
}

/** Whether every encoding that still flows has answered. */
static bool answered(const struct worker *w, struct producer *p)
{
	for (unsigned e = 0; e < p->put.encoding_count; e++) {
		if (w->now_us - p->encoding_us[e] >= FLOWS_US)
			p->key_frame_missing &= (uint8_t) ~(1u << e);
	}
	return !p->key_frame_missing;
}

static unsigned tries_most(const struct producer *p)
{
	return p->frames_guessed ? TRIES_GUESSED : TRIES;
}

/** Ask the client for a key frame of every encoding; false when nothing can be asked yet. */
static bool pli_send(struct worker *w, struct transport *t, struct producer *p)
{
	uint8_t compound[COMPOUND_MAX];
	size_t len = report_begin(t, compound, sizeof(compound)), empty = len;

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
static bool producer_turn(struct worker *w, struct transport *t, struct producer *p)
{
	bool wanted = atomic_load_explicit(&p->key_frame_wanted, memory_order_acquire);
	uint32_t cost = cost_us(p);

	if (p->key_frame_tries && answered(w, p))
		p->key_frame_tries = 0;
	if (!wanted && !p->key_frame_tries)
		return false;
	if (!key_frame_affordable(&p->key_frame_price, cost, w->now_us))
		return true;
	if (wanted) {
		atomic_store_explicit(&p->key_frame_wanted, 0, memory_order_release);
		p->key_frame_tries = 0;
	}
	// A source that cannot be asked has not begun; it will with a key frame. One that is held back
	// is asked when it is let through.
	if (p->was_shut || p->key_frame_tries >= tries_most(p) || !transport_active(t)
		|| !pli_send(w, t, p)) {
		p->key_frame_tries = 0;
		return false;
	}
	p->key_frame_tries++;
	p->key_frame_missing = (uint8_t)((1u << p->put.encoding_count) - 1);
	key_frame_pay(&p->key_frame_price, cost, w->now_us);
	p->key_frame_requests++;
	w->count.key_frames_asked++;
	return true;
}

void key_frames_ask(struct worker *w)
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
			open |= producer_turn(w, t, l->producer[k]);
	}
	w->key_frame_open = open;
	w->key_frame_us = w->now_us + (open ? LOOK_US : REST_US);
}
