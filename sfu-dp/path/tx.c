// SPDX-License-Identifier: BSD-3-Clause
/**
 * tx: which queue, how many taken. Ends here: sent, or not taken by the port (counted, freed).
 */
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_udp.h>
#include <stddef.h>
#include <string.h>

#include "sfu-dp/path/path.h"
#include "sfu-dp/path/tx_header.h"
#include "sfu-dp/port.h"
#include "sfu-dp/proto/inet_sum.h"
#include "sfu-dp/worker.h"

#define TTL 64

static void buffer(struct worker *w, struct rte_mbuf *m, uint8_t egress)
{
	if (w->tx_count == WORKER_TX_BUFFER)
		tx_flush(w);
	w->tx[w->tx_count] = m;
	w->tx_is_egress[w->tx_count] = egress;
	w->tx_count++;
	w->tx_sum.packets++;
	w->tx_sum.bytes += rte_pktmbuf_pkt_len(m);
}

void tx_frame(struct worker *w, struct rte_mbuf *m)
{
	buffer(w, m, 0);
}

void tx_frame_egress(struct worker *w, struct rte_mbuf *m)
{
	buffer(w, m, 1);
	w->tx_sum.egress_packets++;
	w->tx_sum.egress_bytes += rte_pktmbuf_pkt_len(m);
}

/** The port did not take these: out of the sums again, counted and freed. */
static void refused(struct worker *w, unsigned from, unsigned n)
{
	for (unsigned i = from; i < n; i++) {
		uint32_t len = rte_pktmbuf_pkt_len(w->tx[i]);

		w->tx_sum.packets--;
		w->tx_sum.bytes -= len;
		w->count.tx_full++;
		if (w->tx_is_egress[i]) {
			w->tx_sum.egress_packets--;
			w->tx_sum.egress_bytes -= len;
			w->count.edge[EDGE_tx_full]++;
		}
		rte_pktmbuf_free(w->tx[i]);
	}
}

void tx_flush(struct worker *w)
{
	unsigned n = w->tx_count, sent;

	if (!n)
		return;
	w->tx_count = 0;
	sent = port_send(w->port, w->tx_queue, w->tx, (uint16_t)n);
	// No second try: a queue that is full now is dead or late, and the next packet is fresher.
	if (sent < n)
		refused(w, sent, n);
	w->count.tx_packets += w->tx_sum.packets;
	w->count.tx_bytes += w->tx_sum.bytes;
	w->count.egress_packets += w->tx_sum.egress_packets;
	w->count.egress_bytes += w->tx_sum.egress_bytes;
	memset(&w->tx_sum, 0, sizeof(w->tx_sum));
}

static size_t ether_len(const struct tuple *tuple)
{
	return sizeof(struct rte_ether_hdr) + (tuple->vlan ? sizeof(struct rte_vlan_hdr) : 0);
}

static size_t ip_udp_len(const struct tuple *tuple)
{
	return tuple_is_ip4(tuple) ? TX_IP4_UDP_BYTES : TX_IP6_UDP_BYTES;
}

static void ether_write(uint8_t *p, const struct tuple *tuple, const struct l2_path *l2)
{
	struct rte_ether_hdr *eth = (void *)p;
	rte_be16_t type = tuple_is_ip4(tuple) ? RTE_BE16(RTE_ETHER_TYPE_IPV4)
					      : RTE_BE16(RTE_ETHER_TYPE_IPV6);

	memcpy(eth->dst_addr.addr_bytes, l2->remote_mac, 6);
	memcpy(eth->src_addr.addr_bytes, l2->local_mac, 6);
	eth->ether_type = type;
	if (tuple->vlan) {
		struct rte_vlan_hdr *vlan = (struct rte_vlan_hdr *)(eth + 1);

		eth->ether_type = RTE_BE16(RTE_ETHER_TYPE_VLAN);
		vlan->vlan_tci = rte_cpu_to_be_16((uint16_t)tuple->vlan);
		vlan->eth_proto = type;
	}
}

static void udp_write(struct rte_udp_hdr *udp, const struct tuple *tuple, uint16_t payload)
{
	udp->src_port = tuple->local_port_be16;
	udp->dst_port = tuple->remote_port_be16;
	udp->dgram_len = rte_cpu_to_be_16((uint16_t)(sizeof(*udp) + payload));
	// Zero = none, allowed over IPv4 (RFC 768); the payload carries its own authentication.
	udp->dgram_cksum = 0;
}

/** IPv4 and UDP headers for a payload of so many octets. */
static void ip4_write(uint8_t *p, const struct tuple *tuple, uint16_t payload)
{
	struct rte_ipv4_hdr *ip = (void *)p;

	memset(ip, 0, sizeof(*ip));
	ip->version_ihl = RTE_IPV4_VHL_DEF;
	ip->total_length = rte_cpu_to_be_16((uint16_t)(TX_IP4_UDP_BYTES + payload));
	// Don't Fragment: the path must say when it is too narrow; with it the id may be 0 (RFC 6864).
	ip->fragment_offset = RTE_BE16(RTE_IPV4_HDR_DF_FLAG);
	ip->time_to_live = TTL;
	ip->next_proto_id = IPPROTO_UDP;
	memcpy(&ip->src_addr, tuple->local + 12, 4);
	memcpy(&ip->dst_addr, tuple->remote + 12, 4);
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	udp_write((struct rte_udp_hdr *)(ip + 1), tuple, payload);
}

/** IPv6 and UDP headers for a payload of so many octets; the checksum is left 0. */
static void ip6_write(uint8_t *p, const struct tuple *tuple, uint16_t payload)
{
	struct rte_ipv6_hdr *ip = (void *)p;

	ip->vtc_flow = RTE_BE32(6u << 28);
	ip->payload_len = rte_cpu_to_be_16((uint16_t)(sizeof(struct rte_udp_hdr) + payload));
	ip->proto = IPPROTO_UDP;
	ip->hop_limits = TTL;
	memcpy(ip->src_addr, tuple->local, 16);
	memcpy(ip->dst_addr, tuple->remote, 16);
	udp_write((struct rte_udp_hdr *)(ip + 1), tuple, payload);
}

/** Of IPv6 and UDP headers with lengths of 0: what the checksum covers of them (RFC 8200, 8.1). */
static uint16_t ip6_udp_sum(const uint8_t *headers)
{
	return inet_fold(inet_sum(headers + offsetof(struct rte_ipv6_hdr, src_addr), 32)
			 + inet_sum_u16(IPPROTO_UDP)
			 + inet_sum(headers + sizeof(struct rte_ipv6_hdr), 4));
}

/** The checksum of a datagram whose headers but for the lengths have this sum. */
static uint16_t udp_checksum(uint16_t sum, const uint8_t *payload, uint16_t udp_len)
{
	// The length is counted in the pseudo header and in UDP's own.
	uint16_t folded = inet_fold(sum + 2 * inet_sum_u16(udp_len)
				    + inet_sum(payload, udp_len - sizeof(struct rte_udp_hdr)));

	// Zero would say that there is none.
	return folded == 0xffff ? 0xffff : (uint16_t)~folded;
}

void tx_encapsulate(
	struct worker *w, struct rte_mbuf *m, const struct tuple *tuple, const struct l2_path *l2)
{
	uint16_t payload = (uint16_t)rte_pktmbuf_pkt_len(m);
	uint8_t *data = rte_pktmbuf_mtod(m, uint8_t *);
	uint8_t *p = (uint8_t *)rte_pktmbuf_prepend(
		m, (uint16_t)(ether_len(tuple) + ip_udp_len(tuple)));
	uint8_t *ip = p + ether_len(tuple);
	uint16_t sum;

	(void)w;
	// Headroom is the pool's, TX_HEADROOM the caller's promise.
	RTE_VERIFY(p);
	ether_write(p, tuple, l2);
	if (tuple_is_ip4(tuple)) {
		ip4_write(ip, tuple, payload);
		return;
	}
	ip6_write(ip, tuple, payload);
	sum = udp_checksum(ip6_udp_sum(ip), data, (uint16_t)(sizeof(struct rte_udp_hdr) + payload));
	memcpy(data - 2, &sum, 2);
}

void tx_header_make(
	struct tx_header *h, const struct tuple *tuple, const struct l2_path *l2, uint16_t mtu)
{
	size_t ip_len = ip_udp_len(tuple), len = ether_len(tuple);
	uint8_t *ip = h->bytes + TX_HEADER_BYTES - ip_len;

	memset(h, 0, sizeof(*h));
	if (tuple_is_ip4(tuple)) {
		struct rte_ipv4_hdr bare;

		ip4_write(ip, tuple, 0);
		memcpy(&bare, ip, sizeof(bare));
		bare.total_length = 0;
		bare.hdr_checksum = 0;
		h->sum = inet_fold(inet_sum((const uint8_t *)&bare, sizeof(bare)));
		ether_write(ip - len, tuple, l2);
	} else {
		ip6_write(ip, tuple, 0);
		h->sum = ip6_udp_sum(ip);
		ether_write(h->ether + TX_ETHER_BYTES - len, tuple, l2);
	}
	h->mtu = mtu;
	h->frame_len = (uint8_t)(len + ip_len);
	h->ip_len = (uint8_t)ip_len;
}

void tx_header_put_ip6(const struct tx_header *h, struct rte_mbuf *m)
{
	uint8_t *payload = rte_pktmbuf_mtod(m, uint8_t *);
	uint16_t udp_len = (uint16_t)(m->data_len + sizeof(struct rte_udp_hdr));
	uint16_t sum = udp_checksum(h->sum, payload, udp_len), be16 = rte_cpu_to_be_16(udp_len);

	memcpy(payload - TX_HEADER_BYTES - TX_ETHER_BYTES, h->ether, TX_ETHER_BYTES);
	memcpy(payload - TX_HEADER_BYTES, h->bytes, TX_HEADER_BYTES);
	memcpy(payload - TX_HEADER_BYTES + offsetof(struct rte_ipv6_hdr, payload_len), &be16, 2);
	memcpy(payload - 4, &be16, 2);
	memcpy(payload - 2, &sum, 2);
	m->data_off = (uint16_t)(m->data_off - h->frame_len);
	m->data_len = (uint16_t)(m->data_len + h->frame_len);
	m->pkt_len = m->data_len;
}
