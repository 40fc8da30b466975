// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sfu-dp/proto/rtcp.h"
#include "tests/support/latency.h"
#include "tests/support/rtp_source.h"

/**
 * @file
 * For tests: one consumer. Takes opened RTP packets and sender reports, decrypts and checks every
 * octet, and counts. No sockets; the clock comes as argument.
 */

/** What was signalled for the consumer; texts are copied. */
struct rtp_sink_config {
	const uint8_t *key; // SFrame base key, key_len octets; must outlive the sink
	const char *mid; // "" = none signalled
	const char *cname;
	size_t key_len;
	uint32_t sender; // tag of the peer whose packets these must be
	uint32_t ssrc;
	uint8_t payload_type;
	uint8_t track; // lowest bit of the sender's track number
	uint8_t mid_id; // header extension ids; 0 = not signalled
	uint8_t value_id; // audio level or video orientation
	enum rtp_codec codec;
};

/** What counts as in time: from sent first to arrived, on whichever way. */
#define RTP_SINK_IN_TIME_US 400000u

struct rtp_sink_stats {
	uint64_t received; // packets, whatever was in them
	uint64_t recovered; // of them out of retransmissions
	uint64_t in_time; // of unique
	uint64_t unique; // different numbers of good packets, from the first to come
	uint64_t first, highest; // numbers, if unique; first is the first to come
	uint64_t excused; // missing, but a shut gate explains it
	uint64_t duplicated;
	uint64_t reordered;
	uint64_t undecryptable; // SFrame: header, key or tag
	uint64_t mismatched; // decrypted, but not what the sender put in
	uint64_t header_wrong; // SSRC, payload type, MID, extension, marker, time stamp
	uint64_t rtp_missing; // gaps in the RTP sequence that were not filled
	uint64_t timestamp_jumps; // offset to the sender's time stamps changed
	uint64_t leaked; // arrived while a gate should be shut
	uint64_t mids; // packets with MID
	uint64_t sr_received; // sender reports
	uint64_t sr_wrong; // of them impossible
	uint64_t sr_far; // of them further from the packets than a stall of ours explains
	uint64_t first_us, last_us; // arrival; 0 = none
	uint64_t longest_gap_us; // between arrivals
	uint64_t epochs; // different epochs seen
	struct latency latency;
	const char *problem; // the first thing that was wrong; NULL = none
};

/** What the caller knows about the edge at the moment of an arrival. */
struct rtp_sink_edge {
	bool was_shut; // at some time since the last arrival
	bool is_shut; // and nothing may arrive now
};

struct rtp_sink;

struct rtp_sink *rtp_sink_create(const struct rtp_sink_config *config);
void rtp_sink_destroy(struct rtp_sink *sink);

/** One RTP packet in the clear; its SSRC is the sink's. */
void rtp_sink_packet(struct rtp_sink *sink, const uint8_t *packet, size_t len, uint64_t now_us,
	const struct rtp_sink_edge *edge);

/** The same for what a retransmission brought: no part of the RTP sequence and its jitter. */
void rtp_sink_recovered(struct rtp_sink *sink, const uint8_t *packet, size_t len, uint64_t now_us,
	const struct rtp_sink_edge *edge);

/** One SR for this SSRC. */
void rtp_sink_report(struct rtp_sink *sink, const struct rtcp_sender_info *info, uint64_t now_us);

/** One CNAME for this SSRC. */
void rtp_sink_cname(struct rtp_sink *sink, const uint8_t *text, size_t len);

/** Fill in a report block about what came since the last one; false if nothing ever came. */
bool rtp_sink_block(struct rtp_sink *sink, uint64_t now_us, struct rtcp_report_block *out);

/** Highest RTP sequence number that came; 0 before. */
uint16_t rtp_sink_newest_seq(const struct rtp_sink *sink);

/** Numbers between the first and the highest that neither came nor are excused. */
uint64_t rtp_sink_lost(const struct rtp_sink *sink);

const struct rtp_sink_stats *rtp_sink_stats(const struct rtp_sink *sink);
