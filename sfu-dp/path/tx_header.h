// SPDX-License-Identifier: BSD-3-Clause
/**
 * Headers in front of copies: made once per address, laid before each payload. The same octets as
 * tx_encapsulate() writes.
 */
#pragma once

#include <rte_byteorder.h>
#include <rte_mbuf.h>
#include <stdint.h>
#include <string.h>

#include "sfu-dp/proto/inet_sum.h"
#include "sfu-dp/table/objects.h"

#define TX_IP4_UDP_BYTES 28u
#define TX_IP6_UDP_BYTES 48u

/** Make the header toward a tuple, over which IP packets of mtu octets may go. */
void tx_header_make(
	struct tx_header *h, const struct tuple *tuple, const struct l2_path *l2, uint16_t mtu);

/**
 * Put the header in front of a UDP payload that starts at m's data. Needs TX_HEADROOM octets of
 * headroom, of which those before the frame are overwritten too.
 */
static inline void tx_header_put(const struct tx_header *h, struct rte_mbuf *m);

/** The same over IPv6: the checksum takes in the payload. */
void tx_header_put_ip6(const struct tx_header *h, struct rte_mbuf *m);

/* Inline bodies */

static inline void tx_header_put(const struct tx_header *h, struct rte_mbuf *m)
{
	uint8_t *payload = rte_pktmbuf_mtod(m, uint8_t *);
	uint16_t udp_len = (uint16_t)(m->data_len + 8), ip_len = (uint16_t)(udp_len + 20), be16;

	if (h->ip_len == TX_IP6_UDP_BYTES) {
		tx_header_put_ip6(h, m);
		return;
	}
	memcpy(payload - TX_HEADER_BYTES, h->bytes, TX_HEADER_BYTES);
	be16 = rte_cpu_to_be_16(ip_len);
	memcpy(payload - 26, &be16, 2);
	be16 = (uint16_t)~inet_fold((uint64_t)h->sum + inet_sum_u16(ip_len));
	memcpy(payload - 18, &be16, 2);
	be16 = rte_cpu_to_be_16(udp_len);
	memcpy(payload - 4, &be16, 2);
	m->data_off = (uint16_t)(m->data_off - h->frame_len);
	m->data_len = (uint16_t)(m->data_len + h->frame_len);
	m->pkt_len = m->data_len;
}
