// SPDX-License-Identifier: BSD-3-Clause
/**
 * What a client sends, as octets: ICE checks, RTP, and the frames around them. For tests.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sfu-dp/proto/stun.h"

/** One end of a UDP flow. */
struct pkt_addr {
	uint8_t mac[6];
	uint8_t ip[16]; /* IPv4 in the first four */
	uint16_t port;
	bool is_ip6;
};

#define PKT_FRAME_MAX 2048u

/**
 * Ethernet, IP and UDP around a payload, over what from says; octets of the frame. out has
 * PKT_FRAME_MAX.
 */
size_t pkt_frame(uint8_t *out, const struct pkt_addr *from, const struct pkt_addr *to,
	const uint8_t *payload, size_t len);

/** Take a frame as above apart; the payload, or NULL when it is not one. */
const uint8_t *pkt_unframe(const uint8_t *frame, size_t frame_len, struct pkt_addr *from,
	struct pkt_addr *to, size_t *len);

/**
 * A frame with ICMP or ICMPv6 "too big" of mtu, about a datagram of ours that was quoted_len octets of
 * IP, from local to remote; sent by remote. out has PKT_FRAME_MAX.
 */
size_t pkt_too_big(uint8_t *out, const struct pkt_addr *local, const struct pkt_addr *remote,
	uint32_t mtu, uint16_t quoted_len);

/** HMAC-SHA1 by OpenSSL's one-shot call. */
extern const struct stun_crypto pkt_stun_crypto;

/** An ICE check "ufrag:peer", signed with pwd; octets. txid is counted up from *count. */
size_t pkt_check(uint8_t *out, size_t cap, const char *ufrag, const char *pwd, uint8_t role,
	bool use_candidate, uint32_t *count);

/** What of an RTP packet the tests choose. */
struct pkt_rtp {
	uint32_t ssrc, timestamp;
	uint16_t seq;
	uint8_t payload_type;
	bool marker;
	uint8_t mid_id, rid_id, level_id; /* extension ids; 0 = leave out */
	const char *mid, *rid;
	uint8_t level; /* one octet of audio level */
	uint8_t twcc_id, send_time_id;
	uint16_t twcc; /* transport-wide sequence number */
	uint32_t send_time; /* 24 bits of abs-send-time */
	uint8_t padding; /* octets at the end, the count included */
	const uint8_t *payload;
	size_t payload_len;
};

/** Octets of the plain packet. */
size_t pkt_rtp(uint8_t *out, size_t cap, const struct pkt_rtp *p);
