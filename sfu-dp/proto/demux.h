// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** What shares the one UDP port (RFC 7983, 7; RFC 5761, 4). */
enum demux_kind {
	DEMUX_UNKNOWN = 0, // drop and count
	DEMUX_RTP,
	DEMUX_RTCP,
	DEMUX_STUN,
	DEMUX_DTLS,
};

/**
 * Whether the second octet of what is RTP or RTCP says RTCP: types 192 .. 223; as RTP they would be a set
 * marker and payload types 64 .. 95, which RFC 5761, 4 keeps free for this. Any lcore.
 */
static inline bool demux_is_rtcp(uint8_t type)
{
	return type >= 192 && type <= 223;
}

/**
 * Tell by the first octets which parser a datagram is for; commonest kind first.
 * @param buf  UDP payload as received
 * @param len  octets in buf
 * @return the kind, or DEMUX_UNKNOWN also for what is shorter than the smallest packet of its
 *         kind: RTP 12, RTCP 8, STUN 20, DTLS 13 octets. Any lcore.
 */
static inline enum demux_kind demux_kind(const uint8_t *buf, size_t len)
{
	if (len < 8)
		return DEMUX_UNKNOWN;
	if (buf[0] >= 128 && buf[0] <= 191) {
		if (demux_is_rtcp(buf[1]))
			return DEMUX_RTCP;
		return len >= 12 ? DEMUX_RTP : DEMUX_UNKNOWN;
	}
	if (buf[0] <= 3)
		return len >= 20 ? DEMUX_STUN : DEMUX_UNKNOWN;
	if (buf[0] >= 20 && buf[0] <= 63)
		return len >= 13 ? DEMUX_DTLS : DEMUX_UNKNOWN;
	return DEMUX_UNKNOWN;
}
