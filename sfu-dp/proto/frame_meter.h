// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdbool.h>
#include <stdint.h>

/**
 * @file
 * The frames of one video stream by their sizes: which is a key frame where nothing says so, and what
 * key frames cost, so that they are not asked for more often than the stream can pay for.
 *
 * A price is time: so long the stream sends nothing else at its bitrate. At most half of the time goes
 * into requested key frames in the long run; a few are free after a while without. Pure; time is an
 * argument; one owner at a time.
 */

/** Least time between two requests, whatever they cost. */
#define KEY_FRAME_LEAST_US 500000u
/** A key frame is never dearer, so that nobody waits longer than twice that. */
#define KEY_FRAME_COST_MOST_US 1000000u
/** So much is saved up without requests. */
#define KEY_FRAME_CREDIT_US 3000000u

/** What is known of the frame that a packet belongs to. */
enum frame_kind {
	FRAME_OTHER, // it is no key frame, or the packet does not say
	FRAME_KEY, // it is one
	FRAME_GUESS, // the stream never says: by its size
};

/** All zero is a stream without a packet. */
struct frame_meter {
	uint32_t timestamp; // of the frame under way
	uint32_t bytes; // of it
	uint32_t median_bytes; // of frames that are no key frames, roughly; 0 = none yet
	uint32_t key_bytes; // of key frames, smoothed; 0 = none yet
	uint32_t bps; // of the stream, smoothed; 0 = not known yet
	uint32_t rate_bytes; // of the interval under way
	uint64_t rate_us; // its begin
	bool begun;
	bool key; // the frame under way is a key frame
	bool named; // and said so itself
};

/**
 * Note a packet. One whose timestamp is behind that of the frame under way is late and of no frame that
 * is still judged; behind by more than ten seconds at 90 kHz it begins a frame.
 * @param bytes  of payload
 * @return true once per key frame: with the first packet that shows that it is one
 */
bool frame_meter_packet(struct frame_meter *m, uint32_t timestamp, uint32_t bytes,
	enum frame_kind kind, uint64_t now_us);

/** What a key frame costs, in time of the stream; 0 = not known. */
uint32_t frame_meter_key_cost_us(const struct frame_meter *m);

/** What was asked for and paid. All zero: nothing yet, and all credit there is. */
struct key_frame_price {
	uint64_t asked_us; // last request; 0 = never
	uint64_t before_us; // the one before; 0 = never
	uint32_t spent_us; // of the credit, as of asked_us
	bool refunded; // what the last one brought was lost on our side: the next need not wait
};

/** Whether a request may go out now. */
bool key_frame_affordable(const struct key_frame_price *p, uint32_t cost_us, uint64_t now_us);

/** It went out. */
void key_frame_pay(struct key_frame_price *p, uint32_t cost_us, uint64_t now_us);
