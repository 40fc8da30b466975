// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdbool.h>
#include <stdint.h>

/**
 * @file
 * What a receiver says in a REMB (draft-alvestrand-rmcat-remb-03): a rate that may go up while nothing
 * is lost and nothing queues, and comes down to what arrives when either happens. For clients that do
 * not take transport-wide feedback. Pure; time is an argument; one owner at a time.
 */

/** Where it begins and what it never goes below or above. */
#define REMB_RATE_START_BPS 1000000u
#define REMB_RATE_LEAST_BPS 50000u
#define REMB_RATE_MOST_BPS 20000000u

/** All zero is an estimate that has not begun. */
struct remb_rate {
	uint64_t begin_us; // of the interval under way; 0 = not begun
	uint64_t bytes; // that arrived in it
	uint64_t least_at_us; // when the least delay was seen; 0 = never
	uint64_t expected, received; // packets, as of the last update
	uint32_t least_delay_us; // in the clocks' offset, modulo 64 s
	uint32_t queue_us; // least delay of the interval over the least of all
	uint32_t rate_bps; // the estimate; 0 = not begun
	bool timed; // a packet of the interval carried its send time
};

/**
 * Note an arrival.
 * @param send_time  24 bits of abs-send-time, or negative without one
 */
void remb_rate_arrived(struct remb_rate *r, uint32_t bytes, int32_t send_time, uint64_t now_us);

/**
 * End the interval. Call each few hundred milliseconds.
 * @param expected, received  packets of the transport's streams since they began
 * @return the rate to announce in bits a second; 0 before anything arrived
 */
uint32_t remb_rate_update(
	struct remb_rate *r, uint64_t expected, uint64_t received, uint64_t now_us);
