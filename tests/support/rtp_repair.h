// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>
#include <stdint.h>

/**
 * @file
 * For tests: what a receiver does about loss: asks for what is missing (RFC 4585) and makes media
 * packets of retransmissions (RFC 4588). Each packet goes on once. No sockets, no clock.
 */

/** What was signalled. */
struct rtp_repair_config {
	uint32_t ssrc, rtx_ssrc;
	uint8_t payload_type, rtx_payload_type;
};

enum rtp_repair_verdict {
	RTP_REPAIR_FRESH, // a media packet, as it came
	RTP_REPAIR_RECOVERED, // a retransmission, now the media packet that it stands for
	RTP_REPAIR_AGAIN, // of a packet that was there
	RTP_REPAIR_PADDING, // a probe without media
	RTP_REPAIR_WRONG, // no retransmission at all
};

struct rtp_repair_counts {
	uint64_t asked; // sequence numbers
	uint64_t retransmissions; // packets on the SSRC for them, probes too
	uint64_t recovered; // media packets out of them
	uint64_t again; // came although they were there
	uint64_t wrong; // payload type or length
};

struct rtp_repair;

struct rtp_repair *rtp_repair_create(const struct rtp_repair_config *config);
/** NULL is allowed. */
void rtp_repair_destroy(struct rtp_repair *repair);

/** Take an opened packet of either SSRC; of a retransmission the original is made in place. */
enum rtp_repair_verdict rtp_repair_packet(
	struct rtp_repair *repair, uint8_t *packet, size_t *len, uint64_t now_us);

/** Append a NACK of what has to be asked for now; 0 if nothing has. */
size_t rtp_repair_nack(
	struct rtp_repair *repair, uint64_t now_us, uint32_t sender_ssrc, uint8_t *out, size_t cap);

const struct rtp_repair_counts *rtp_repair_counts(const struct rtp_repair *repair);
