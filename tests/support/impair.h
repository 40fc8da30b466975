// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * @file
 * For tests: what a bad network does to the packets of one direction. Decides fates only: lengths,
 * clock and seed in, fate and times of departure out. The fate of packet n depends on the seed, on n
 * and on the settings of that moment, so a run can be had again. No sockets, no clock, no allocation.
 */

/** What a direction does. All zero: nothing. Shares are in millionths. */
struct impair_settings {
	uint64_t rate_bps; // of whole packets; 0 = no limit
	uint32_t queue_us; // longest wait for that rate; what would wait longer is dropped
	uint32_t loss_ppm; // each packet by itself; with bursts: in the good state
	uint32_t burst_in_ppm; // Gilbert-Elliott: from the good state to the bad one; 0 = no bursts
	uint32_t burst_out_ppm; // and back
	uint32_t burst_loss_ppm; // loss in the bad state
	uint32_t delay_us;
	uint32_t jitter_us; // more delay, 0 to this, order kept
	uint32_t reorder_ppm; // these are delayed by reorder_us more and are overtaken
	uint32_t reorder_us;
	uint32_t duplicate_ppm; // these leave twice
	uint32_t flip_ppm; // in these one bit is turned over
	uint32_t mtu; // longer IP packets are dropped; 0 = none
	bool blackout; // everything is dropped
};

enum impair_fate {
	IMPAIR_PASSED,
	IMPAIR_LOST,
	IMPAIR_BLACKOUT,
	IMPAIR_TOO_LARGE,
	IMPAIR_QUEUE_FULL,
	IMPAIR_NO_MAPPING, // not decided here: see nat_down()
	IMPAIR_FATES
};

extern const char *const impair_fate_names[IMPAIR_FATES];

#define IMPAIR_COPIES_MAX 2

struct impair_verdict {
	enum impair_fate fate;
	unsigned copies; // 0 unless passed
	uint64_t at_us[IMPAIR_COPIES_MAX]; // when each copy leaves, not before now
	bool is_late; // will be overtaken
	bool is_flipped;
	uint32_t flip_random; // which bit, to be reduced modulo the bits there are
};

/** One direction. One owner. */
struct impair {
	struct impair_settings settings;
	uint64_t seed;
	uint64_t count; // packets so far
	uint64_t busy_until_us; // of the line with a rate
	uint64_t last_at_us; // departure of the last packet that keeps its order
	bool is_bad; // state of the bursts
};

void impair_init(struct impair *impair, uint64_t seed);

/** From now on; what was decided stays. */
void impair_set(struct impair *impair, const struct impair_settings *settings);

/** Decide about the next packet of len octets from the IP header on. now_us never goes back. */
void impair_packet(struct impair *impair, size_t len, uint64_t now_us, struct impair_verdict *out);

/**
 * Read settings: words divided by commas, of
 *	loss=5%  burst=1%/20%[/100%]  delay=25ms  jitter=5ms  reorder=10%/50ms  dup=5%  flip=0.01%
 *	rate=500k  queue=200ms (default 200ms)  mtu=1280  blackout  none
 * Each replaces everything that was set before. Times in us, ms or s; rates in bit/s, k or M.
 * @return NULL, or the word that cannot be read
 */
const char *impair_parse(const char *text, struct impair_settings *out);

/** A time with its unit, as above. False if it is none or above an hour. */
bool impair_parse_time(const char *text, uint32_t *out_us);
