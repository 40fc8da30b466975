// SPDX-License-Identifier: BSD-3-Clause
/**
 * What the two halves of rx share: rx.c (Ethernet, ARP, IPv4) and rx_ip6.c (IPv6, neighbours).
 */
#pragma once

#include <rte_mbuf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sfu-dp/path/path.h"
#include "sfu-dp/proto/icmp.h"
#include "sfu-dp/worker.h"

/** What became of a frame, beside an enum drop_reason. */
enum rx_verdict {
	RX_UDP = DROP_COUNT, /* goes on to classify */
	RX_ANSWER, /* the mbuf is the answer now */
	RX_HINT, /* goes on to hint */
};

/** Whether one more answer to ARP, ICMP or a neighbour may be given in this second. */
bool rx_answer_allowed(struct worker *w);

/** Whether an address (IPv4 mapped) is one that this port answers for. */
bool rx_address_is_ours(const struct worker *w, const uint8_t ip[16]);

/**
 * Check UDP (RFC 768), len octets from off in the frame on; then the context but for the addresses
 * is filled, and m is the UDP payload.
 * @return RX_UDP or a drop reason
 */
unsigned rx_udp(struct worker *w, struct rte_mbuf *m, size_t off, size_t len, uint16_t vlan);

/**
 * An ICMP message that may say that a datagram of ours was too big: its flow and size into the
 * context, for hint.
 * @return RX_HINT or a drop reason
 */
typedef enum icmp_status (*rx_hint_parse_fn)(
	const uint8_t *icmp, size_t len, struct icmp_too_big *out);
unsigned rx_hint(
	struct rte_mbuf *m, const uint8_t *icmp, size_t len, uint16_t vlan, rx_hint_parse_fn parse);

/** rx_ip6.c: a frame whose type says IPv6; returns enum rx_verdict or a drop reason. */
unsigned rx_ip6(struct worker *w, struct rte_mbuf *m, size_t l2_len, uint16_t vlan);
