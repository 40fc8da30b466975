// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/proto/reception.h"

void reception_packet(struct reception *r, uint64_t index, uint32_t timestamp,
	uint32_t clock_rate_hz, uint64_t now_us)
{
	// Modulo 2^32, and multiplied in parts: the product of uptime and rate outgrows 64 bits.
	uint64_t arrival
		= now_us / 1000000 * clock_rate_hz + now_us % 1000000 * clock_rate_hz / 1000000;
	uint32_t transit = (uint32_t)arrival - timestamp;
	int32_t d = (int32_t)(transit - r->transit);
	uint32_t distance = d < 0 ? 0u - (uint32_t)d : (uint32_t)d;

	if (!r->seen) {
		r->seen = true;
		r->base = r->highest = index;
	} else if (r->clock_rate_hz == clock_rate_hz) {
		r->jitter_q4 += distance - ((r->jitter_q4 + 8) >> 4);
	}
	// What overtook the first packet counts as expected too.
	if (index < r->base)
		r->base = index;
	if (index > r->highest)
		r->highest = index;
	r->clock_rate_hz = clock_rate_hz;
	r->transit = transit;
	r->received++;
}

void reception_report(struct reception *r, struct rtcp_report_block *out)
{
	uint64_t expected = reception_expected(r), lost = reception_lost(r);
	uint64_t expected_now = expected - r->expected_prior;
	uint64_t received_now = r->received - r->received_prior;
	uint64_t fraction = 0;

	// More may have come than was expected: what overtook the end of the last interval.
	if (expected_now > received_now)
		fraction = (expected_now - received_now) * 256 / expected_now;
	// All of it lost would not fit the octet.
	out->fraction_lost = (uint8_t)(fraction > 255 ? 255 : fraction);
	out->cumulative_lost = lost > 0x7fffff ? 0x7fffff : (int32_t)lost;
	out->highest_seq = (uint32_t)r->highest;
	out->jitter = r->jitter_q4 >> 4;
	r->expected_prior = expected;
	r->received_prior = r->received;
}
