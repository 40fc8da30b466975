// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "sfu-dp/proto/cursor.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * @file
 * RTP header extension elements (RFC 8285): walk those of a received packet, build the block of an
 * outgoing one. Pure functions over the caller's bytes; any lcore.
 *
 *   16 bits profile | 16 bits words | elements, zero padding to a multiple of 4
 *   one-byte element (0xBEDE):           4 bits id | 4 bits length - 1 | data
 *   two-byte element (0x1000 .. 0x100F): 8 bits id | 8 bits length     | data
 */

#define RTP_EXT_ONE_BYTE 0xbede
#define RTP_EXT_TWO_BYTE 0x1000
/** Octets in front of the elements. */
#define RTP_EXT_HEADER_LEN 4
/** Elements of one packet that rtp_ext_build() carries; further ones are left out. */
#define RTP_EXT_ELEMS_MAX 32
/** Ids that can be mapped are below this; mapping tables are one cache line. */
#define RTP_EXT_MAP_LEN 64

/** One element. */
struct rtp_ext_elem {
	const uint8_t *data; // len octets in the caller's buffer
	uint8_t id; // 1 .. 14, in two-byte form 1 .. 255
	uint8_t len; // octets of data; 0 only in two-byte form
};

/** A walk over the elements of one packet. */
struct rtp_ext_iter {
	struct rcursor c;
	bool two_byte; // element form
	bool malformed; // the walk ended before the end of the block, at an element that is not valid
};

/** Which incoming element goes out under which id; one per producer and consumer. */
struct rtp_ext_map {
	uint8_t out_id[RTP_EXT_MAP_LEN]; // by incoming id; 0 = leave out. Incoming ids from
		// RTP_EXT_MAP_LEN up are always left out
};

/** An element that we write whatever the sender sent (MID, abs-send-time, transport-wide-cc). */
struct rtp_ext_value {
	const uint8_t *data; // len octets
	uint16_t off; // out: where the data stands in the block, for changes before sending
	uint8_t id; // outgoing id, 1 .. 255; 0 = skip this entry
	uint8_t len; // octets, 0 .. 255
};

/** rtp_ext_build(): the block needs more than the capacity. */
#define RTP_EXT_NO_SPACE (-1)

/**
 * Start a walk.
 * @param profile  the 16 bits in front, from struct rtp_view
 * @param elems    first element; must outlive the walk
 * @param len      octets of elements
 * @return false, and an empty walk, if the profile is neither form of RFC 8285
 */
bool rtp_ext_iter_init(struct rtp_ext_iter *it, uint16_t profile, const uint8_t *elems, size_t len);

/**
 * Next element. Padding is stepped over; one-byte id 15, and id 0 with a length, end the walk (RFC
 * 8285, 4.2).
 * @param out  filled only on true
 * @return false at the end; it->malformed then says whether octets were left that make no element
 */
bool rtp_ext_next(struct rtp_ext_iter *it, struct rtp_ext_elem *out);

/**
 * First element with this id.
 * @return false if there is none
 */
bool rtp_ext_find(
	uint16_t profile, const uint8_t *elems, size_t len, uint8_t id, struct rtp_ext_elem *out);

/**
 * Write the extension block of an outgoing packet: first our values, then the sender's elements
 * that the map lets through. A mapped id that equals the id of a value or of an earlier element is
 * left out. One-byte form, unless an id above 14 or a length of 0 or above 16 needs the other.
 * A malformed tail of the incoming elements is dropped.
 * @param out          buffer; must not overlap the input
 * @param cap          octets in out; nothing is written at or past it
 * @param profile      of the incoming block, 0 if there is none
 * @param elems        incoming elements; may be NULL if len is 0
 * @param len          octets of them
 * @param map          incoming to outgoing ids
 * @param values       our elements; data is read, off is written
 * @param value_count  entries of values, at most RTP_EXT_ELEMS_MAX are looked at
 * @return octets of the block with its header, a multiple of 4; 0 if nothing is left to send (clear
 *         the X bit, nothing was written); RTP_EXT_NO_SPACE (out may hold part of a block)
 */
int rtp_ext_build(uint8_t *out, size_t cap, uint16_t profile, const uint8_t *elems, size_t len,
	const struct rtp_ext_map *map, struct rtp_ext_value *values, unsigned value_count);

/**
 * 24-bit absolute send time: 6 bits of seconds, 18 bits of fraction.
 * @param now_us  any clock in microseconds; only differences matter to the receiver
 */
static inline uint32_t rtp_ext_abs_send_time(uint64_t now_us);

/** Write a 24-bit value as the three octets of an element. */
static inline void rtp_ext_put_be24(uint8_t out[3], uint32_t value);

/* Inline bodies */

static inline uint32_t rtp_ext_abs_send_time(uint64_t now_us)
{
	// The field wraps every 64 s; reducing first keeps the shift within 64 bits.
	return (uint32_t)(((now_us % 64000000u) << 18) / 1000000u) & 0xffffff;
}

static inline void rtp_ext_put_be24(uint8_t out[3], uint32_t value)
{
	out[0] = (uint8_t)(value >> 16);
	out[1] = (uint8_t)(value >> 8);
	out[2] = (uint8_t)value;
}
