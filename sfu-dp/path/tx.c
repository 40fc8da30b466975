// SPDX-License-Identifier: BSD-3-Clause
/**
 * tx: which queue, how many taken. Ends here: sent, or not taken by the port (counted, freed).
 */
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_udp.h>
#include <string.h>

#include "sfu-dp/path/path.h"
#include "sfu-dp/path/tx_header.h"
#include "sfu-dp/port.h"
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
	sent = rte_eth_tx_burst(w->port->id, w->tx_queue, w->tx, (uint16_t)n);
	// No second try: a queue that is full now is dead or late, and the next packet is fresher.
	if (sent < n)
		refused(w, sent, n);
	w->count.tx_packets += w->tx_sum.packets;
	w->count.tx_bytes += w->tx_sum.bytes;
	w->count.egress_packets += w->tx_sum.egress_packets;
	w->count.egress_bytes += w->tx_sum.egress_bytes;
	memset(&w->tx_sum, 0, sizeof(w->tx_sum));
}

static size_t headers_len(const struct tuple *tuple)
{
	return sizeof(struct rte_ether_hdr) + (tuple->vlan ? sizeof(struct rte_vlan_hdr) : 0)
	       + sizeof(struct rte_ipv4_hdr) + sizeof(struct rte_udp_hdr);
}

/** All headers for a payload of so many octets, from p on; returns the IP header. */
static struct rte_ipv4_hdr *headers_write(
	uint8_t *p, const struct tuple *tuple, const struct l2_path *l2, uint16_t payload)
{
	struct rte_ether_hdr *eth = (void *)p;
	struct rte_ipv4_hdr *ip;
	struct rte_udp_hdr *udp;

	memcpy(eth->dst_addr.addr_bytes, l2->remote_mac, 6);
	memcpy(eth->src_addr.addr_bytes, l2->local_mac, 6);
	if (tuple->vlan) {
		struct rte_vlan_hdr *vlan = (struct rte_vlan_hdr *)(eth + 1);

		eth->ether_type = RTE_BE16(RTE_ETHER_TYPE_VLAN);
		vlan->vlan_tci = rte_cpu_to_be_16((uint16_t)tuple->vlan);
		vlan->eth_proto = RTE_BE16(RTE_ETHER_TYPE_IPV4);
		ip = (void *)(vlan + 1);
	} else {
		eth->ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4);
		ip = (void *)(eth + 1);
	}
	memset(ip, 0, sizeof(*ip));
	ip->version_ihl = RTE_IPV4_VHL_DEF;
	ip->total_length = rte_cpu_to_be_16((uint16_t)(sizeof(*ip) + sizeof(*udp) + payload));
	// Don't Fragment: the path must say when it is too narrow; with it the id may be 0 (RFC 6864).
	ip->fragment_offset = RTE_BE16(RTE_IPV4_HDR_DF_FLAG);
	ip->time_to_live = TTL;
	ip->next_proto_id = IPPROTO_UDP;
	memcpy(&ip->src_addr, tuple->local + 12, 4);
	memcpy(&ip->dst_addr, tuple->remote + 12, 4);
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	udp = (struct rte_udp_hdr *)(ip + 1);
	udp->src_port = tuple->local_port_be16;
	udp->dst_port = tuple->remote_port_be16;
	udp->dgram_len = rte_cpu_to_be_16((uint16_t)(sizeof(*udp) + payload));
	// Zero = none, allowed over IPv4 (RFC 768); the payload carries its own authentication.
	udp->dgram_cksum = 0;
	return ip;
}

void tx_encapsulate(
	struct worker *w, struct rte_mbuf *m, const struct tuple *tuple, const struct l2_path *l2)
{
	uint16_t payload = (uint16_t)rte_pktmbuf_pkt_len(m);
	uint8_t *p = (uint8_t *)rte_pktmbuf_prepend(m, (uint16_t)headers_len(tuple));

	(void)w;
	// Headroom is the pool's, TX_HEADROOM the caller's promise.
	RTE_VERIFY(p);
	headers_write(p, tuple, l2, payload);
}

void tx_header_make(struct tx_header *h, const struct tuple *tuple, const struct l2_path *l2)
{
	size_t len = headers_len(tuple);
	struct rte_ipv4_hdr *ip, bare;

	memset(h, 0, sizeof(*h));
	ip = headers_write(h->bytes + TX_HEADER_BYTES - len, tuple, l2, 0);
	bare = *ip;
	bare.total_length = 0;
	bare.hdr_checksum = 0;
	h->ip_sum = rte_be_to_cpu_16(rte_raw_cksum(&bare, sizeof(bare)));
	h->frame_len = (uint8_t)len;
	h->ip_len = sizeof(struct rte_ipv4_hdr) + sizeof(struct rte_udp_hdr);
}
