// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/proto/twcc.h"

#include <string.h>

/** Header, two SSRCs, base, count, reference time, feedback count. */
#define HEAD_LEN 20u
#define REFERENCE_TICKS 256u
#define RUN_MAX 8191u

enum status {
	STATUS_LOST = 0,
	STATUS_SMALL = 1, // delta of 8 bits, unsigned
	STATUS_LARGE = 2, // delta of 16 bits, signed
	STATUS_RESERVED = 3,
};

/* Receiving */

static bool arrived_bit(const struct twcc_arrivals *a, uint64_t seq)
{
	return a->arrived[seq % TWCC_WINDOW / 64] >> (seq % 64) & 1;
}

static void bit_clear(struct twcc_arrivals *a, uint64_t seq)
{
	a->arrived[seq % TWCC_WINDOW / 64] &= ~(UINT64_C(1) << (seq % 64));
}

/** The number nearest to the highest one that arrived. */
static uint64_t extend(const struct twcc_arrivals *a, uint16_t seq)
{
	// One window of 2^16 above zero, so that what overtook the first packet has a number too.
	if (!a->end)
		return UINT64_C(0x10000) + seq;
	return a->end - 1 + (uint64_t)(int64_t)(int16_t)(seq - (uint16_t)(a->end - 1));
}

static uint64_t window_begin(const struct twcc_arrivals *a)
{
	return a->end > TWCC_WINDOW ? a->end - TWCC_WINDOW : 0;
}

/** The window moves up to a new highest number. */
static void advance(struct twcc_arrivals *a, uint64_t seq)
{
	uint64_t first = a->end ? a->end : seq;

	if (seq - first >= TWCC_WINDOW)
		memset(a->arrived, 0, sizeof(a->arrived));
	for (uint64_t i = first; i < seq && seq - first < TWCC_WINDOW; i++)
		bit_clear(a, i);
	if (!a->end)
		a->begin = seq;
	a->end = seq + 1;
	if (a->begin < window_begin(a))
		a->begin = window_begin(a);
}

bool twcc_arrived(struct twcc_arrivals *a, uint16_t seq, uint64_t now_us)
{
	uint64_t at = extend(a, seq);

	if (at >= a->end)
		advance(a, at);
	else if (at < window_begin(a) || arrived_bit(a, at))
		return false;
	else if (at < a->begin)
		a->begin = at;
	a->ticks[at % TWCC_WINDOW] = (uint32_t)(now_us / TWCC_TICK_US);
	a->arrived[at % TWCC_WINDOW / 64] |= UINT64_C(1) << (at % 64);
	return true;
}

/** What one feedback packet says: a status per number from the begin on. */
struct report {
	uint8_t status[TWCC_WINDOW];
	int32_t delta[TWCC_WINDOW]; // of those that arrived
	unsigned count;
	uint32_t reference; // of 64 ms, 24 bits
};

/**
 * How many statuses from i on the next chunk takes, and its form: the run where it is long, one bit
 * each where no delta is large, else two bits each.
 */
static unsigned chunk_make(const struct report *r, unsigned i, uint16_t *chunk)
{
	unsigned left = r->count - i, run = 1, small = 0, taken;
	unsigned first = r->status[i];

	while (run < left && run < RUN_MAX && r->status[i + run] == first)
		run++;
	while (small < left && small < 14 && r->status[i + small] != STATUS_LARGE)
		small++;
	if (run >= 14 || run == left || (run >= 7 && small < 14)) {
		*chunk = (uint16_t)(first << 13 | run);
		return run;
	}
	if (small == 14 || small == left) {
		*chunk = 0x8000;
		for (unsigned k = 0; k < small; k++)
			*chunk |= (uint16_t)(r->status[i + k] << (13 - k));
		return small;
	}
	taken = left < 7 ? left : 7;
	*chunk = 0xc000;
	for (unsigned k = 0; k < taken; k++)
		*chunk |= (uint16_t)(r->status[i + k] << (12 - 2 * k));
	return taken;
}

/**
 * Collect statuses as far as they surely fit: a number takes at most 3 octets with its share of a
 * chunk, the head of a chunk that is not full 2 more. Ends where a delta does not fit 16 bits.
 */
static void report_collect(const struct twcc_arrivals *a, size_t room, struct report *r)
{
	uint64_t first = a->begin;
	uint32_t last;
	size_t used = 2;

	while (!arrived_bit(a, first))
		first++;
	r->reference = a->ticks[first % TWCC_WINDOW] / REFERENCE_TICKS;
	last = r->reference * REFERENCE_TICKS;
	r->count = 0;
	for (uint64_t seq = a->begin; seq < a->end && used + 5 <= room; seq++) {
		unsigned i = r->count;
		int32_t delta;

		r->status[i] = STATUS_LOST;
		if (arrived_bit(a, seq)) {
			delta = (int32_t)(a->ticks[seq % TWCC_WINDOW] - last);
			if (delta < INT16_MIN || delta > INT16_MAX)
				break;
			r->status[i] = delta < 0 || delta > UINT8_MAX ? STATUS_LARGE : STATUS_SMALL;
			r->delta[i] = delta;
			last += (uint32_t)delta;
			used += r->status[i];
		}
		// A two-bit chunk holds seven.
		used += i % 7 == 0 ? 2 : 0;
		r->count++;
	}
}

size_t twcc_encode(struct twcc_arrivals *a, uint8_t *out, size_t cap, uint32_t sender_ssrc,
	uint32_t media_ssrc)
{
	struct wcursor c;
	struct report r;
	size_t len;

	if (cap > TWCC_FEEDBACK_MAX)
		cap = TWCC_FEEDBACK_MAX;
	if (!twcc_pending(a) || cap < TWCC_FEEDBACK_MIN)
		return 0;
	report_collect(a, cap - HEAD_LEN - 3, &r);
	c = wcursor_init(out, cap);
	wcursor_u8(&c, 0x80 | RTCP_RTPFB_TWCC);
	wcursor_u8(&c, RTCP_RTPFB);
	wcursor_be16(&c, 0); // set below
	wcursor_be32(&c, sender_ssrc);
	wcursor_be32(&c, media_ssrc);
	wcursor_be16(&c, (uint16_t)a->begin);
	wcursor_be16(&c, (uint16_t)r.count);
	wcursor_be24(&c, r.reference);
	wcursor_u8(&c, a->feedback_count++);
	for (unsigned i = 0; i < r.count;) {
		uint16_t chunk;

		i += chunk_make(&r, i, &chunk);
		wcursor_be16(&c, chunk);
	}
	for (unsigned i = 0; i < r.count; i++) {
		if (r.status[i] == STATUS_SMALL)
			wcursor_u8(&c, (uint8_t)r.delta[i]);
		else if (r.status[i] == STATUS_LARGE)
			wcursor_be16(&c, (uint16_t)r.delta[i]);
	}
	// Zeros behind the last delta, without the P bit: its count would have to be a multiple of
	// four (RFC 3550, 6.4.1), and who counts statuses never looks at them.
	wcursor_zero(&c, (4 - wcursor_len(&c) % 4) % 4);
	len = wcursor_len(&c);
	out[2] = (uint8_t)((len / 4 - 1) >> 8);
	out[3] = (uint8_t)(len / 4 - 1);
	a->begin += r.count;
	return len;
}

/* Reading feedback */

/** Whether the next chunk is there; then its statuses come out by chunk_next(). */
static bool chunk_read(struct twcc_iter *it)
{
	uint16_t chunk = rcursor_be16(&it->chunks);

	if (!rcursor_ok(&it->chunks))
		return false;
	it->run_left = 0;
	it->chunk_left = 0;
	if (chunk & 0x8000) {
		it->chunk_bits = chunk & 0x4000 ? 2 : 1;
		it->chunk_left = chunk & 0x4000 ? 7 : 14;
		it->chunk = (uint16_t)(chunk << 2);
	} else {
		it->run_status = chunk >> 13 & 3;
		it->run_left = chunk & RUN_MAX;
	}
	return true;
}

static enum status chunk_next(struct twcc_iter *it)
{
	enum status status;

	if (it->run_left) {
		it->run_left--;
		return it->run_status;
	}
	status = it->chunk >> (16 - it->chunk_bits);
	it->chunk = (uint16_t)(it->chunk << it->chunk_bits);
	it->chunk_left--;
	return status;
}

enum rtcp_status twcc_iter_init(
	struct twcc_iter *it, const struct rtcp_twcc *feedback, uint32_t limit)
{
	struct twcc_iter walk;
	size_t deltas = 0;

	memset(it, 0, sizeof(*it));
	if (!feedback->status_count || feedback->status_count > limit)
		return RTCP_MALFORMED;
	it->chunks = rcursor_init(feedback->chunks, feedback->chunks_len);
	it->seq = feedback->base_seq;
	it->left = feedback->status_count;
	it->ticks = (uint32_t)feedback->reference_time * REFERENCE_TICKS;
	walk = *it;
	// Once over the chunks: where the deltas begin, and how many octets they have. A run is taken
	// whole, so a packet costs what it has octets, not what it claims.
	while (walk.left) {
		uint32_t run;

		if (!walk.run_left && !walk.chunk_left && !chunk_read(&walk))
			return RTCP_SHORT;
		run = walk.run_left < walk.left ? walk.run_left : walk.left;
		if (run) {
			if (walk.run_status == STATUS_RESERVED)
				return RTCP_MALFORMED;
			deltas += (size_t)run * walk.run_status;
			walk.left -= run;
			walk.run_left = 0;
		} else if (walk.chunk_left) {
			enum status status = chunk_next(&walk);

			if (status == STATUS_RESERVED)
				return RTCP_MALFORMED;
			deltas += status;
			walk.left--;
		}
	}
	it->deltas = walk.chunks;
	return rcursor_left(&it->deltas) < deltas ? RTCP_SHORT : RTCP_OK;
}

bool twcc_next(struct twcc_iter *it, struct twcc_status *out)
{
	enum status status;

	if (!it->left)
		return false;
	while (!it->run_left && !it->chunk_left) {
		if (!chunk_read(it))
			return false;
	}
	it->left--;
	status = chunk_next(it);
	if (status == STATUS_SMALL)
		it->ticks += rcursor_u8(&it->deltas);
	else if (status == STATUS_LARGE)
		it->ticks += (uint32_t)(int32_t)(int16_t)rcursor_be16(&it->deltas);
	*out = (struct twcc_status){
		.ticks = it->ticks,
		.seq = it->seq++,
		.arrived = status != STATUS_LOST,
	};
	return true;
}

/* Sending */

/** Over so much of the receiver's time the rate of arrival is taken. */
#define RATE_TICKS (500000u / TWCC_TICK_US)
/** So long the least one-way delay holds: then a path that became longer is the new least. */
#define DELAY_HOLD_US 10000000u

static void rate_count(struct twcc_sent *s, uint32_t ticks, uint32_t bytes)
{
	uint32_t passed = ticks - s->rate_ticks;

	// A step back by reordering counts where it is; after a long silence the interval begins anew.
	if (!s->rate_begun || (passed > 8 * RATE_TICKS && passed < UINT32_MAX - RATE_TICKS)) {
		s->rate_begun = true;
		s->rate_ticks = ticks;
		s->rate_bytes = 0;
		return;
	}
	s->rate_bytes += bytes;
	if (passed < RATE_TICKS || passed > 8 * RATE_TICKS)
		return;
	s->arrival_bps = (uint32_t)((uint64_t)s->rate_bytes * 8 * 1000000
				    / ((uint64_t)passed * TWCC_TICK_US));
	s->rate_ticks = ticks;
	s->rate_bytes = 0;
}

static void delay_note(struct twcc_sent *s, uint32_t ticks, uint32_t sent_us, uint64_t now_us)
{
	// Modulo 2^32: the clocks' offset stays in it, only differences mean anything.
	uint32_t delay = ticks * TWCC_TICK_US - sent_us;

	if (!s->delay_least_at_us || (int32_t)(delay - s->delay_least_us) < 0
		|| now_us - s->delay_least_at_us > DELAY_HOLD_US) {
		s->delay_least_us = delay;
		s->delay_least_at_us = now_us;
	}
	s->delay_us = (int32_t)(delay - s->delay_least_us);
}

/** What one status says; true when it is an arrival that no feedback reported on before. */
static bool status_take(struct twcc_sent *s, const struct twcc_status *status, uint64_t now_us)
{
	struct twcc_packet *p = &s->packet[status->seq % TWCC_WINDOW];

	if (p->state == TWCC_NONE || p->state == TWCC_ARRIVED)
		return false;
	if (!status->arrived) {
		if (p->state == TWCC_FLYING) {
			s->packets++;
			s->packets_lost++;
			p->state = TWCC_LOST;
		}
		return false;
	}
	if (p->state == TWCC_LOST)
		s->packets_lost--;
	else
		s->packets++;
	p->state = TWCC_ARRIVED;
	s->bytes_arrived += p->bytes;
	rate_count(s, status->ticks, p->bytes);
	delay_note(s, status->ticks, p->sent_us, now_us);
	return true;
}

uint32_t twcc_feedback(
	struct twcc_sent *s, const struct rtcp_twcc *feedback, uint16_t next, uint64_t now_us)
{
	// How far the first and the last status lie behind what is sent next.
	uint32_t behind = (uint16_t)(next - feedback->base_seq);
	struct twcc_status status;
	struct twcc_iter it;
	uint32_t newest_us = 0;
	bool any = false;

	if (behind > TWCC_WINDOW || feedback->status_count > behind
		|| twcc_iter_init(&it, feedback, TWCC_WINDOW) != RTCP_OK) {
		s->refused++;
		return 0;
	}
	s->feedbacks++;
	while (twcc_next(&it, &status)) {
		if (!status_take(s, &status, now_us))
			continue;
		newest_us = s->packet[status.seq % TWCC_WINDOW].sent_us;
		any = true;
	}
	if (any) {
		s->rtt_us = (uint32_t)now_us - newest_us;
		if (!s->rtt_min_us || s->rtt_us < s->rtt_min_us)
			s->rtt_min_us = s->rtt_us;
	}
	return feedback->status_count;
}
