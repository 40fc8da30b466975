// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdbool.h>
#include <stdint.h>

/**
 * @file
 * Which packets of a received stream to ask for again (RFC 4585, 6.2.1). Packets are named by their
 * SRTP index (rollover << 16 | sequence number), so no wrap is seen here. A gap is first given
 * NACK_REORDER_US to close by itself, then asked for once per round trip, NACK_TRIES_MAX times at
 * most. A gap that is longer than the list, or lies in a silence of the path, is no loss to repair one
 * by one: the list is emptied and the caller told.
 *
 * Plain old data, valid when all zero (= nothing received yet). One writer. Pure: no allocation, no
 * clock; now_us is the caller's monotonic clock.
 */

/** Packets missing at a time; also the longest gap that is asked for. */
#define NACK_MISSING_MAX 128u
/**
 * So many missing after a silence of so long: the path was gone. What was sent meanwhile is too old to be
 * seen, and senders have forgotten a part of it.
 */
#define NACK_SILENCE_MISSING 8u
#define NACK_SILENCE_US 500000u
/** Most that overtaking is waited for. */
#define NACK_REORDER_US 15000u
#define NACK_TRIES_MAX 10u
/** Time between two requests for a packet while the round trip has not been measured. */
#define NACK_RETRY_FIRST_US 100000u
#define NACK_RETRY_MIN_US 20000u
#define NACK_RETRY_MAX_US 500000u
/** Older than this below the highest, a packet would not pass the replay window any more. */
#define NACK_REACH 1000u

/** One missing packet. */
struct nack_missing {
	uint64_t since_us; /* noticed, or asked for last */
	uint32_t index_low; /* low half of its index */
	uint32_t tries; /* how often it was asked for */
};

/** One received stream. */
struct nack {
	uint64_t highest; /* index of the newest packet; with started */
	uint64_t last_us; /* when it came */
	uint64_t due_us; /* when nack_due() will have something to do; with count */
	uint32_t rtt_us; /* smoothed, from request to retransmission; 0 = not measured */
	uint32_t rtt_deviation_us;
	uint16_t count; /* missing */
	uint8_t started;
	struct nack_missing missing[NACK_MISSING_MAX]; /* ascending */
	/* for inspection */
	uint64_t asked; /* packets, each time counted */
	uint64_t recovered; /* came after they were asked for */
	uint64_t given_up; /* asked for in vain, or pushed out of the list */
	uint64_t resets; /* gaps too long to ask for */
};

/** What an arrival brought to light. */
enum nack_news {
	NACK_NO_NEWS,
	NACK_GAP, /* packets before this one are missing: nack_due() will name them */
	NACK_TOO_LONG, /* too much is missing to ask for it: the list was emptied */
};

/**
 * A packet came: the next one, a late one, or one that was sent again.
 * @param index          never the same twice (the caller has a replay window)
 * @param retransmitted  it came as an answer, so the time since its only request is a round trip
 */
enum nack_news nack_arrived(struct nack *n, uint64_t index, bool retransmitted, uint64_t now_us);

/**
 * Take what has to be asked for now; to be called when due_us has come.
 * @param seqs  room for NACK_MISSING_MAX sequence numbers, filled in ascending order (modulo 2^16)
 * @return how many
 */
unsigned nack_due(struct nack *n, uint64_t now_us, uint16_t seqs[NACK_MISSING_MAX]);

/** Ask for nothing that is missing now; what comes from now on is followed as before. */
void nack_forget(struct nack *n);

/** Another source feeds the stream: index and list start anew, figures stay. */
void nack_restart(struct nack *n);

/**
 * Time between two requests for the same packet: the round trip and twice its deviation. Less patient than
 * RFC 6298, for what is asked once too often costs one packet, and what is asked too late a picture.
 */
uint32_t nack_retry_us(const struct nack *n);
