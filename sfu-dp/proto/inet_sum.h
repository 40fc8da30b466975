// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>
#include <stdint.h>

/**
 * @file
 * The Internet checksum (RFC 1071). UDP over IPv6 must carry one over the whole payload (RFC 8200,
 * 8.1), so this runs once per copy there: it takes the widest registers that the processor has.
 *
 * Sums are of 16-bit words as they lie in memory: the order of octets falls out (RFC 1071, 2(B)), so a
 * folded sum is stored as it is. Any lcore; pure.
 */

/**
 * Unfolded sum of len octets; an odd one at the end counts as if a zero followed. Parts of one
 * message may be added up as long as all but the last are of even length. len <= 1 MiB.
 */
uint64_t inet_sum(const uint8_t *buf, size_t len);

/** The same without special instructions, for comparison. */
uint64_t inet_sum_plain(const uint8_t *buf, size_t len);

/** A 16-bit number in host order as a part of a sum. */
static inline uint64_t inet_sum_u16(uint16_t value);

/** To 16 bits, in the order of memory: 0xffff over a message with a right checksum in it. */
static inline uint16_t inet_fold(uint64_t sum);

/* Inline bodies */

static inline uint64_t inet_sum_u16(uint16_t value)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return (uint16_t)(value << 8 | value >> 8);
#else
	return value;
#endif
}

static inline uint16_t inet_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}
