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
}

void tx_frame(struct worker *w, struct rte_mbuf *m)
{
	buffer(w, m, 0);
}

void tx_frame_egress(struct worker *w, struct rte_mbuf *m)
{
	buffer(w, m, 1);
}

void tx_flush(struct worker *w)
{
	uint32_t bytes[WORKER_TX_BUFFER];
	unsigned n = w->tx_count, sent;

	if (!n)
		return;
	w->tx_count = 0;
	// The port owns a frame once it took it: lengths are read before.
	for (unsigned i = 0; i < n; i++)
		bytes[i] = rte_pktmbuf_pkt_len(w->tx[i]);
	sent = rte_eth_tx_burst(w->port->id, w->tx_queue, w->tx, (uint16_t)n);
	for (unsigned i = 0; i < sent; i++) {
		w->count.tx_packets++;
		w->count.tx_bytes += bytes[i];
		if (w->tx_is_egress[i]) {
			w->count.egress_packets++;
			w->count.egress_bytes += bytes[i];
		}
	}
	// No second try: a queue that is full now is dead or late, and the next packet is fresher.
	for (unsigned i = sent; i < n; i++) {
		w->count.tx_full++;
		if (w->tx_is_egress[i])
			w->count.edge[EDGE_tx_full]++;
		rte_pktmbuf_free(w->tx[i]);
	}
}

void tx_encapsulate(
	struct worker *w, struct rte_mbuf *m, const struct tuple *tuple, const struct l2_path *l2)
{
	uint16_t payload = (uint16_t)rte_pktmbuf_pkt_len(m);
	size_t l2_len
		= sizeof(struct rte_ether_hdr) + (tuple->vlan ? sizeof(struct rte_vlan_hdr) : 0);
	struct rte_ether_hdr *eth;
	struct rte_ipv4_hdr *ip;
	struct rte_udp_hdr *udp;

	(void)w;
	eth = (void *)rte_pktmbuf_prepend(m, (uint16_t)(l2_len + sizeof(*ip) + sizeof(*udp)));
	// Headroom is the pool's, TX_HEADROOM the caller's promise.
	RTE_VERIFY(eth);
	memcpy(eth->dst_addr.addr_bytes, l2->remote_mac, 6);
	memcpy(eth->src_addr.addr_bytes, l2->local_mac, 6);
	if (tuple->vlan) {
		struct rte_vlan_hdr *vlan = (struct rte_vlan_hdr *)(eth + 1);

		eth->ether_type = RTE_BE16(RTE_ETHER_TYPE_VLAN);
		vlan->vlan_tci = rte_cpu_to_be_16((uint16_t)tuple->vlan);
		vlan->eth_proto = RTE_BE16(RTE_ETHER_TYPE_IPV4);
	} else {
		eth->ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4);
	}
	ip = rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, l2_len);
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
}
