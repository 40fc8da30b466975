// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * @file
 * What of ICMP and ICMPv6 a host without a routing table needs: neighbour solicitations and their
 * answer (RFC 4861), and "packet too big" about a UDP datagram that was sent (RFC 792 with RFC 1191;
 * RFC 4443, 3.2). Checksums and hop limits are the caller's. Pure; any lcore.
 */

#define ICMP6_TOO_BIG 2
#define ICMP6_ECHO_REQUEST 128
#define ICMP6_ECHO_REPLY 129
#define ICMP6_SOLICIT 135
#define ICMP6_ADVERT 136

#define ICMP4_UNREACHABLE 3
#define ICMP4_TOO_BIG 4 /* code: fragmentation needed and DF set */

/** Octets of icmp6_advert_encode(). */
#define ICMP6_ADVERT_LEN 32u

enum icmp_status {
	ICMP_OK = 0,
	ICMP_MALFORMED, // too short, or contradicts its definition
	ICMP_OTHER, // well formed as far as read, but not what was asked for
};

/** A neighbour solicitation. */
struct icmp6_solicit {
	uint8_t target[16];
	uint8_t source_mac[6];
	uint8_t has_source_mac;
};

/**
 * Read a neighbour solicitation (RFC 4861, 4.3 and 7.1.1), from its type octet on.
 * @param buf  not kept
 * @return ICMP_OK; ICMP_OTHER when it is not one; ICMP_MALFORMED also for a target that is a group,
 *         for an option of length 0, and for a source address that is no single machine's
 */
enum icmp_status icmp6_solicit_parse(const uint8_t *buf, size_t len, struct icmp6_solicit *out);

/**
 * Write the neighbour advertisement for it (RFC 4861, 4.4), checksum 0: override set, router not.
 * @param solicited  false when nobody's address is to be confirmed: asked from "::"
 * @return ICMP6_ADVERT_LEN, or 0 when cap is less
 */
size_t icmp6_advert_encode(
	uint8_t *out, size_t cap, const uint8_t target[16], const uint8_t mac[6], bool solicited);

/** That a datagram of ours was too big for the path. */
struct icmp_too_big {
	uint32_t mtu; // octets of an IP packet; as they say, 0 = they do not (RFC 1191, 4)
	uint32_t quoted_len; // octets of the IP packet that was too big
	uint8_t local[16], remote[16]; // of that packet: from, to; IPv4 mapped
	uint16_t local_port_be16, remote_port_be16;
};

/**
 * Read "too big", from the type octet on.
 * @return ICMP_OK; ICMP_OTHER when it is not one, or not about UDP; ICMP_MALFORMED when it quotes too
 *         little, a fragment, or no IP packet
 */
enum icmp_status icmp4_too_big_parse(const uint8_t *buf, size_t len, struct icmp_too_big *out);
enum icmp_status icmp6_too_big_parse(const uint8_t *buf, size_t len, struct icmp_too_big *out);
