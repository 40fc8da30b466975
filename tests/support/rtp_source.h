// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sfu-dp/proto/rtcp.h"

/**
 * @file
 * For tests: one track of numbered packets, paced by the clock, sealed with SFrame packet by
 * packet behind a clear VP8 or VP9 descriptor. No sockets; the clock comes as argument.
 */

enum rtp_codec { RTP_CODEC_OPUS, RTP_CODEC_VP8, RTP_CODEC_VP9 };

/** What the track sends; copied. */
struct rtp_source_config {
	const uint8_t *key; // SFrame base key, key_len octets; must outlive the source
	const char *mid; // value of the MID extension
	size_t key_len;
	uint64_t packets; // stop after so many; 0 = never
	uint32_t sender; // tag of the peer
	uint32_t ssrc;
	uint32_t pps; // packets per second, not 0
	uint32_t payload_bytes; // RTP payload, at least RTP_SOURCE_PAYLOAD_MIN
	uint16_t first_seq; // RTP sequence number to start with
	uint8_t track;
	uint8_t payload_type;
	uint8_t mid_id; // header extension ids; 0 = not sent
	uint8_t abs_send_time_id;
	uint8_t value_id; // audio level or video orientation
	uint8_t twcc_id; // transport-wide sequence number; written as 0, for the transport to fill in
	uint8_t rtx_payload_type;
	uint32_t rtx_ssrc; // of retransmissions, which are not the source's business; 0 = none
	enum rtp_codec codec;
};

#define RTP_SOURCE_PAYLOAD_MIN 96
/** Room for a whole packet of a source, without what SRTP adds. */
#define RTP_SOURCE_PACKET_MAX 1500

struct rtp_source;

struct rtp_source *rtp_source_create(const struct rtp_source_config *config);
void rtp_source_destroy(struct rtp_source *source);

/** Begin at this instant; packets are due from now on. */
void rtp_source_start(struct rtp_source *source, uint64_t now_us);

/** No packet is due any more. */
void rtp_source_stop(struct rtp_source *source);

/** How many packets should be sent now; bounded, so that a stall ends in steps. */
unsigned rtp_source_due(const struct rtp_source *source, uint64_t now_us);

/**
 * Write the next packet.
 * @param epoch  whose key seals it
 * @return octets, at most cap; 0 when it cannot be made
 */
size_t rtp_source_next(
	struct rtp_source *source, uint64_t now_us, uint64_t epoch, uint8_t *out, size_t cap);

/** Append SR and SDES; 0 before the start. */
size_t rtp_source_report(
	struct rtp_source *source, uint64_t now_us, const char *cname, uint8_t *out, size_t cap);

/** The next frame starts a new picture (an answer to PLI and FIR). */
void rtp_source_key_frame(struct rtp_source *source);

uint32_t rtp_source_ssrc(const struct rtp_source *source);
/** Packets written so far. */
uint64_t rtp_source_sent(const struct rtp_source *source);
/** Whether a limited source has sent all. */
bool rtp_source_is_done(const struct rtp_source *source);

/** Value of the extension with value_id in packet number n; also what a receiver must find. */
static inline uint8_t rtp_source_value(enum rtp_codec codec, uint64_t n)
{
	return codec == RTP_CODEC_OPUS ? (uint8_t)(0x80 | (n & 0x7f)) : (uint8_t)(n & 3);
}
