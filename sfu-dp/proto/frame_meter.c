// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/proto/frame_meter.h"

/** A frame of so many usual ones is taken for a key frame (it holds the whole picture). */
#define KEY_TIMES 3u
#define RATE_US 1000000u
/** Nothing is late by more than these ten seconds of a video clock: the stream has begun anew. */
#define LATE_MOST_TICKS 900000

static void frame_end(struct frame_meter *m)
{
	if (m->key)
		m->key_bytes = m->key_bytes ? (3 * m->key_bytes + m->bytes) / 4 : m->bytes;
	// A guess may be wrong: where all frames have become larger, that is the usual from now on.
	if (m->key && (m->named || !m->median_bytes))
		return;
	if (!m->median_bytes) {
		m->median_bytes = m->bytes ? m->bytes : 1;
	} else {
		// Steps up as often as down are the median's.
		uint32_t step = m->median_bytes / 16 + 1;

		if (m->bytes > m->median_bytes)
			m->median_bytes += step;
		else if (m->bytes < m->median_bytes && m->median_bytes > step)
			m->median_bytes -= step;
	}
}

static void rate_count(struct frame_meter *m, uint32_t bytes, uint64_t now_us)
{
	uint64_t passed = now_us - m->rate_us;

	m->rate_bytes += bytes;
	if (passed < RATE_US)
		return;
	// A pause is no low rate.
	if (m->rate_us && passed < 4 * RATE_US) {
		uint64_t bps = (uint64_t)m->rate_bytes * 8 * 1000000 / passed;

		m->bps = (uint32_t)(m->bps ? ((uint64_t)m->bps * 3 + bps) / 4 : bps);
	}
	m->rate_us = now_us;
	m->rate_bytes = 0;
}

bool frame_meter_packet(struct frame_meter *m, uint32_t timestamp, uint32_t bytes,
	enum frame_kind kind, uint64_t now_us)
{
	int32_t ahead = (int32_t)(timestamp - m->timestamp);
	bool was_key;

	rate_count(m, bytes, now_us);
	if (!m->begun || ahead > 0 || ahead < -LATE_MOST_TICKS) {
		if (m->begun)
			frame_end(m);
		m->begun = true;
		m->timestamp = timestamp;
		m->bytes = 0;
		m->key = m->named = false;
	} else if (ahead) {
		return false; // late, of a frame that has been judged
	}
	m->bytes += bytes;
	was_key = m->key;
	if (kind == FRAME_KEY)
		m->key = m->named = true;
	// What a stream begins with can be nothing else.
	if (kind == FRAME_GUESS)
		m->key |= m->median_bytes ? m->bytes > KEY_TIMES * m->median_bytes : !m->key_bytes;
	return m->key && !was_key;
}

uint32_t frame_meter_key_cost_us(const struct frame_meter *m)
{
	uint64_t cost;

	if (!m->key_bytes || !m->bps)
		return 0;
	cost = (uint64_t)m->key_bytes * 8 * 1000000 / m->bps;
	return cost < KEY_FRAME_COST_MOST_US ? (uint32_t)cost : KEY_FRAME_COST_MOST_US;
}

/** Every second microsecond pays one back. */
static uint32_t spent_now(const struct key_frame_price *p, uint64_t now_us)
{
	uint64_t back = (now_us - p->asked_us) / 2;

	return back < p->spent_us ? p->spent_us - (uint32_t)back : 0;
}

bool key_frame_affordable(const struct key_frame_price *p, uint32_t cost_us, uint64_t now_us)
{
	if (!p->asked_us)
		return true;
	// Never a third within two intervals, also after a refund.
	if (p->before_us && now_us - p->before_us < 2 * KEY_FRAME_LEAST_US)
		return false;
	if (p->refunded)
		return true;
	return now_us - p->asked_us >= KEY_FRAME_LEAST_US
	       && spent_now(p, now_us) + cost_us <= KEY_FRAME_CREDIT_US;
}

void key_frame_pay(struct key_frame_price *p, uint32_t cost_us, uint64_t now_us)
{
	p->spent_us = p->asked_us ? spent_now(p, now_us) + cost_us : cost_us;
	p->before_us = p->asked_us;
	p->asked_us = now_us;
	p->refunded = false;
}
