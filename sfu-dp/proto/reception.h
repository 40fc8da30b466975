// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "sfu-dp/proto/rtcp.h"

#include <stdbool.h>
#include <stdint.h>

/**
 * @file
 * What a receiver counts about one stream for its reports (RFC 3550, 6.4.1, A.3, A.8). Sequence
 * numbers come as authenticated SRTP indices, so the work of A.1 (wraps, probation) is done. Pure; time
 * is an argument; one owner at a time.
 */

/** All zero is a stream without a packet. */
struct reception {
	uint64_t base; // first index, or the lowest one that came later
	uint64_t highest; // index
	uint64_t received; // packets; what was sent again by other means does not count
	uint64_t received_prior; // as of the last report
	uint64_t expected_prior;
	uint32_t jitter_q4; // timestamp units << 4
	uint32_t transit; // of the last packet, timestamp units
	uint32_t clock_rate_hz; // that transit was made with
	bool seen;
};

/** Note a packet; each index at most once. */
void reception_packet(struct reception *r, uint64_t index, uint32_t timestamp,
	uint32_t clock_rate_hz, uint64_t now_us);

/** Packets expected so far. */
static inline uint64_t reception_expected(const struct reception *r);

/** Packets lost so far; negative never, since no index counts twice. */
static inline uint64_t reception_lost(const struct reception *r);

/**
 * Fill fraction_lost, cumulative_lost, highest_seq and jitter, and begin a new interval. The rest of
 * *out is left alone.
 */
void reception_report(struct reception *r, struct rtcp_report_block *out);

/* Inline bodies */

static inline uint64_t reception_expected(const struct reception *r)
{
	return r->seen ? r->highest - r->base + 1 : 0;
}

static inline uint64_t reception_lost(const struct reception *r)
{
	uint64_t expected = reception_expected(r);

	return expected > r->received ? expected - r->received : 0;
}
