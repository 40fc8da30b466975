// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>
#include <stdint.h>

/**
 * @file
 * For tests: what a sender keeps of a stream to send it again on another SSRC (RFC 4588). No
 * sockets, no clock.
 */

/** How far back packets are kept; a power of two. */
#define RTP_RESEND_KEPT 1024u

struct rtp_resend_counts {
	uint64_t asked; // sequence numbers
	uint64_t sent; // packets
	uint64_t gone; // asked for, but not kept
};

struct rtp_resend;

struct rtp_resend *rtp_resend_create(uint32_t ssrc, uint8_t payload_type, uint16_t first_seq);
/** NULL is allowed. */
void rtp_resend_destroy(struct rtp_resend *resend);

/** Keep a packet in the clear, as rtp_source_next() wrote it. */
void rtp_resend_keep(struct rtp_resend *resend, const uint8_t *packet, size_t len);

/**
 * Write the packet with this sequence number once more, as a retransmission.
 * @return octets; 0 when it is not kept any more or cap is short
 */
size_t rtp_resend_answer(struct rtp_resend *resend, uint16_t seq, uint8_t *out, size_t cap);

const struct rtp_resend_counts *rtp_resend_counts(const struct rtp_resend *resend);
