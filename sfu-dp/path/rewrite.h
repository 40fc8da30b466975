// SPDX-License-Identifier: BSD-3-Clause
/**
 * rewrite: where a packet stands in one consumer's stream, and its header there.
 *
 * The owner of the consumer's transport calls this, for every packet of the producer that may reach
 * the consumer. The outgoing index (rollover << 16 | sequence) is the incoming one plus an offset
 * that stays as long as one source flows without a gap of our making. After a pause, a shut gate or
 * a new source the next packet continues behind the highest index sent, and nothing older than it
 * passes any more: so no index is ever used for two packets, and no pause looks like loss.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "sfu-dp/path/path.h"
#include "sfu-dp/proto/rtp.h"
#include "sfu-dp/table/objects.h"

/** Most octets of a header with its extensions that is sent. */
#define REWRITE_HEADER_MAX 320u

/** A packet's place in a consumer's stream. */
struct rewrite_place {
	uint64_t index;
	uint32_t timestamp;
};

/**
 * Give a packet its place and advance the consumer.
 * @param random   for the first place of a stream
 * @return EDGE_COUNT when the packet is to be sent at *out; else EDGE_before_start or
 *         EDGE_index_exhausted, and nothing has changed
 */
enum edge_reason rewrite_place(struct consumer *c, const struct pkt *pkt, uint32_t clock_rate_hz,
	uint64_t now_us, uint64_t random, struct rewrite_place *out);

/**
 * Write the consumer's header: SSRC, payload type, sequence, timestamp, MID and extension ids.
 * @param packet  the opened packet that pkt describes
 * @return octets of hdr, or 0 when it would not fit into REWRITE_HEADER_MAX
 */
size_t rewrite_header(const struct consumer *c, const uint8_t *packet, const struct pkt *pkt,
	const struct rewrite_place *place, uint64_t now_us, uint8_t hdr[REWRITE_HEADER_MAX]);

/**
 * The header of the last consumer for whom one was made whole: consumers who number their extensions
 * alike get a copy of it, changed where they differ. For one packet and one instant; len 0 = empty.
 */
struct rewrite_template {
	size_t len;
	size_t mid_off; /* 0 = no MID */
	size_t twcc_off; /* of the transport-wide sequence number, to be set; 0 = none */
	uint8_t ext_id[SFU_EXT_COUNT];
	uint8_t mid_len;
	uint8_t hdr[REWRITE_HEADER_MAX];
};

/**
 * As rewrite_header(), by way of a template of this producer's packet; the same octets.
 */
size_t rewrite_header_like(struct rewrite_template *t, const struct consumer *c,
	const uint8_t *packet, const struct pkt *pkt, const struct rewrite_place *place,
	uint64_t now_us, uint8_t hdr[REWRITE_HEADER_MAX]);
