// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/proto/remb_rate.h"

/** A queue that costs so much time is one that should go away. */
#define QUEUE_MOST_US 100000u
/** So long the least delay holds: a path that became longer is no queue for ever. */
#define LEAST_HOLD_US 15000000u
/** Loss below 2 % is nobody's queue, above 10 % it is (as libwebrtc's sender sees it too). */
#define LOSS_FINE_PERMILLE 20u
#define LOSS_MUCH_PERMILLE 100u

/** The send time wraps after so long, and with it the delays made of it. */
#define WRAP_US 64000000u

/** One-way delay in the clocks' offset: 0 to WRAP_US - 1, only differences mean anything. */
static uint32_t delay_of(uint32_t send_time, uint64_t now_us)
{
	uint32_t sent_us = (uint32_t)(((uint64_t)send_time * 1000000) >> 18);

	return (uint32_t)((now_us % WRAP_US + WRAP_US - sent_us) % WRAP_US);
}

/** How much longer a took than b; half the wrap and more is shorter. */
static int32_t delay_over(uint32_t a, uint32_t b)
{
	uint32_t over = (a + WRAP_US - b) % WRAP_US;

	return over < WRAP_US / 2 ? (int32_t)over : (int32_t)over - (int32_t)WRAP_US;
}

void remb_rate_arrived(struct remb_rate *r, uint32_t bytes, int32_t send_time, uint64_t now_us)
{
	uint32_t delay, over;

	if (!r->begin_us)
		r->begin_us = now_us;
	r->bytes += bytes;
	if (send_time < 0)
		return;
	delay = delay_of((uint32_t)send_time & 0xffffff, now_us);
	if (!r->least_at_us || delay_over(delay, r->least_delay_us) < 0
		|| now_us - r->least_at_us > LEAST_HOLD_US) {
		r->least_delay_us = delay;
		r->least_at_us = now_us;
	}
	over = (uint32_t)delay_over(delay, r->least_delay_us);
	// A queue is what every packet waits in, so the shortest wait of the interval counts.
	if (!r->timed || over < r->queue_us)
		r->queue_us = over;
	r->timed = true;
}

/** Lost of what was expected since the last update; what overtook that counts for nothing. */
static uint64_t lost_permille(struct remb_rate *r, uint64_t expected, uint64_t received)
{
	uint64_t expected_now = expected - r->expected, received_now = received - r->received;
	// A stream that went away takes its packets along.
	bool any = expected > r->expected && received >= r->received && expected_now > received_now;

	r->expected = expected;
	r->received = received;
	return any ? (expected_now - received_now) * 1000 / expected_now : 0;
}

uint32_t remb_rate_update(
	struct remb_rate *r, uint64_t expected, uint64_t received, uint64_t now_us)
{
	uint64_t passed_us = now_us - r->begin_us, arrived_bps, next, lost;

	if (!r->begin_us || !passed_us)
		return r->rate_bps;
	lost = lost_permille(r, expected, received);
	arrived_bps = r->bytes * 8 * 1000000 / passed_us;
	next = r->rate_bps ? r->rate_bps : REMB_RATE_START_BPS;
	if (r->timed && r->queue_us > QUEUE_MOST_US) {
		// Below what came through, so that the queue empties.
		if (arrived_bps * 85 / 100 < next)
			next = arrived_bps * 85 / 100;
	} else if (lost > LOSS_MUCH_PERMILLE) {
		next -= next * lost / 2000;
	} else if (lost < LOSS_FINE_PERMILLE && arrived_bps * 2 > next) {
		// Only while it is used: a rate that nobody sends at says nothing.
		next += next * 8 * (passed_us < 1000000 ? passed_us : 1000000) / 100000000 + 1000;
	}
	next = next < REMB_RATE_LEAST_BPS ? REMB_RATE_LEAST_BPS : next;
	r->rate_bps = (uint32_t)(next > REMB_RATE_MOST_BPS ? REMB_RATE_MOST_BPS : next);
	r->begin_us = now_us;
	r->bytes = 0;
	r->queue_us = 0;
	r->timed = false;
	return r->rate_bps;
}
