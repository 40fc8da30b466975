// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "sfu-dp/proto/rtcp.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * @file
 * Transport-wide congestion control (draft-holmer-rmcat-transport-wide-cc-extensions-01).
 *
 * Receiving: a log of the arrivals of one transport, and the feedback packets made of it. Sending: a
 * log of what was sent on one transport, and what the other side's feedback says about it. Pure:
 * time is an argument, nothing is allocated. One owner at a time.
 *
 * Times on the wire are in ticks of 250 us and wrap after 2^32 of them, as the 24-bit reference time
 * of 64 ms does; so ticks are kept modulo 2^32 and only differences mean anything.
 */

#define TWCC_TICK_US 250u
/** Sequence numbers looked back upon, arrivals and sent packets alike; a power of two. */
#define TWCC_WINDOW 1024u
/** Most octets of a feedback packet that twcc_encode() makes of any log. */
#define TWCC_FEEDBACK_MAX 1100u
/** Least room for one. */
#define TWCC_FEEDBACK_MIN 32u

/* Receiving */

/** What arrived on one transport. All zero is a log without an arrival. */
struct twcc_arrivals {
	uint64_t begin; // first sequence number that the next feedback reports on, extended
	uint64_t end; // one past the highest that arrived, extended; 0 = none yet
	uint32_t ticks[TWCC_WINDOW]; // arrival, by number modulo the window; valid with its bit
	uint64_t arrived[TWCC_WINDOW / 64]; // a bit each
	uint8_t feedback_count; // of the next feedback packet
};

/**
 * Note an arrival. A packet that comes late is reported on once more with what lies behind it; one
 * that is older than the window is not noted, and a jump forward by more than the window forgets what
 * lies before the window's new begin.
 * @return false: a duplicate, or too old; nothing has changed
 */
bool twcc_arrived(struct twcc_arrivals *a, uint16_t seq, uint64_t now_us);

/** Whether something arrived that no feedback has reported on. */
static inline bool twcc_pending(const struct twcc_arrivals *a)
{
	return a->begin < a->end;
}

/**
 * Append one feedback packet on what is pending, and take it off. A time difference that 16 bits
 * cannot hold, or an end of the room, ends a packet early: call again while twcc_pending().
 * @param media_ssrc  any stream of the transport
 * @return octets, a multiple of 4; 0 when nothing is pending, or cap is below
 *         TWCC_FEEDBACK_MIN
 */
size_t twcc_encode(struct twcc_arrivals *a, uint8_t *out, size_t cap, uint32_t sender_ssrc,
	uint32_t media_ssrc);

/* Reading feedback */

/** A walk over the statuses of a feedback packet. */
struct twcc_iter {
	struct rcursor chunks, deltas;
	uint16_t seq; // of the next status
	uint32_t left; // statuses not read yet
	uint32_t ticks; // of the last one that arrived
	uint16_t chunk; // statuses of it that are left, in their order from the top
	uint8_t chunk_left;
	uint8_t chunk_bits; // per status; 0 = a run
	uint16_t run_left;
	uint8_t run_status;
};

/** One status. */
struct twcc_status {
	uint32_t ticks; // when it arrived, by the receiver's clock; valid if arrived
	uint16_t seq;
	bool arrived;
};

/**
 * Start a walk, once the whole packet is known to be consistent: chunks for every status, a delta for
 * every arrival.
 * @return RTCP_OK; RTCP_SHORT if chunks or deltas are missing; RTCP_MALFORMED if a status is the
 *         reserved one, no status is reported, or more than limit are
 */
enum rtcp_status twcc_iter_init(
	struct twcc_iter *it, const struct rtcp_twcc *feedback, uint32_t limit);

/** Next status; false at the end. */
bool twcc_next(struct twcc_iter *it, struct twcc_status *out);

/* Sending */

enum twcc_state {
	TWCC_NONE = 0, // slot without a packet
	TWCC_FLYING, // no feedback yet
	TWCC_LOST, // reported as not arrived; may still change
	TWCC_ARRIVED,
};

/** One packet that was sent. */
struct twcc_packet {
	uint32_t sent_us; // modulo 2^32
	uint16_t bytes;
	uint8_t state; // enum twcc_state
	uint8_t reserved;
};

/**
 * What was sent on one transport and became of it: what a bandwidth estimator starts from. All zero
 * is a log without a packet. The counter of the sequence numbers stands elsewhere, with what must
 * survive a restart.
 */
struct twcc_sent {
	uint64_t packets, packets_lost; // reported on; lost as last reported
	uint64_t bytes_arrived;
	uint64_t feedbacks,
		refused; // packets of feedback taken; not consistent, or about nothing sent
	uint32_t
		rtt_us; // of the newest packet of the last feedback, its wait there included; 0 = none
	uint32_t rtt_min_us; // least of these
	uint32_t arrival_bps; // what arrived per second of the receiver's clock; 0 = not known yet
	int32_t delay_us; // one-way delay of the last feedback's packets over the least that was seen
	// arrival rate under way
	uint32_t rate_ticks; // begin of the interval
	uint32_t rate_bytes;
	bool rate_begun;
	// one-way delay, in an arbitrary offset of the two clocks
	uint32_t delay_least_us;
	uint64_t delay_least_at_us; // when that was seen; 0 = never
	struct twcc_packet packet[TWCC_WINDOW]; // by sequence number modulo the window
};

/** Note a packet as sent. */
static inline void twcc_note_sent(
	struct twcc_sent *s, uint16_t seq, uint64_t now_us, uint32_t bytes);

/**
 * Take a feedback packet.
 * @param next  the next sequence number to be sent: what is not within the window before it is refused
 * @return statuses looked at; 0 = refused
 */
uint32_t twcc_feedback(
	struct twcc_sent *s, const struct rtcp_twcc *feedback, uint16_t next, uint64_t now_us);

/* Inline bodies */

static inline void twcc_note_sent(
	struct twcc_sent *s, uint16_t seq, uint64_t now_us, uint32_t bytes)
{
	s->packet[seq % TWCC_WINDOW] = (struct twcc_packet){
		.sent_us = (uint32_t)now_us,
		.bytes = (uint16_t)bytes,
		.state = TWCC_FLYING,
	};
}
