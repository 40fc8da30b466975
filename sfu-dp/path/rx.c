// SPDX-License-Identifier: BSD-3-Clause
/**
 * rx: is this frame for us, and is it well formed down to UDP? ARP, neighbour solicitations and echo
 * requests are answered in place. IPv6 is in rx_ip6.c. Leaves to: classify, hint, tx (answers), drop.
 */
#include <rte_arp.h>
#include <rte_ether.h>
#include <rte_icmp.h>
#include <rte_ip.h>
#include <rte_udp.h>
#include <string.h>

#include "sfu-dp/path/rx.h"
#include "sfu-dp/port.h"

/** Answers to ARP and ICMP a worker gives per second; what is above is noise or an attack. */
#define L3_ANSWERS_PER_SECOND 1000u

bool rx_answer_allowed(struct worker *w)
{
	if (w->now_us - w->arp_refill_us >= 1000000) {
		w->arp_refill_us = w->now_us;
		w->arp_tokens = L3_ANSWERS_PER_SECOND;
	}
	if (!w->arp_tokens)
		return false;
	w->arp_tokens--;
	return true;
}

bool rx_address_is_ours(const struct worker *w, const uint8_t ip[16])
{
	for (unsigned i = 0; i < w->port->address_count; i++) {
		if (!memcmp(w->port->address[i], ip, 16))
			return true;
	}
	return false;
}

static void map_v4(uint8_t out[16], const void *v4)
{
	memset(out, 0, 10);
	memset(out + 10, 0xff, 2);
	memcpy(out + 12, v4, 4);
}

static bool ip4_is_ours(const struct worker *w, const void *v4)
{
	uint8_t mapped[16];

	map_v4(mapped, v4);
	return rx_address_is_ours(w, mapped);
}

/** Turn an ARP request for our address into the reply, in place (RFC 826). */
static unsigned arp_answer(struct worker *w, struct rte_mbuf *m, size_t l2_len)
{
	struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, struct rte_ether_hdr *);
	struct rte_arp_hdr *arp;
	rte_be32_t ours;

	if (rte_pktmbuf_data_len(m) < l2_len + sizeof(*arp))
		return DROP_frame_short;
	arp = rte_pktmbuf_mtod_offset(m, struct rte_arp_hdr *, l2_len);
	if (arp->arp_hardware != RTE_BE16(RTE_ARP_HRD_ETHER)
		|| arp->arp_protocol != RTE_BE16(RTE_ETHER_TYPE_IPV4) || arp->arp_hlen != 6
		|| arp->arp_plen != 4 || arp->arp_opcode != RTE_BE16(RTE_ARP_OP_REQUEST)
		|| !ip4_is_ours(w, &arp->arp_data.arp_tip)
		// The answer goes there: a group would have us answer to everyone.
		|| !rte_is_unicast_ether_addr(&arp->arp_data.arp_sha))
		return DROP_arp_malformed;
	if (!rx_answer_allowed(w))
		return DROP_arp_rate;
	arp->arp_opcode = RTE_BE16(RTE_ARP_OP_REPLY);
	ours = arp->arp_data.arp_tip;
	arp->arp_data.arp_tha = arp->arp_data.arp_sha;
	arp->arp_data.arp_tip = arp->arp_data.arp_sip;
	memcpy(arp->arp_data.arp_sha.addr_bytes, w->port->mac, 6);
	arp->arp_data.arp_sip = ours;
	memcpy(eth->dst_addr.addr_bytes, arp->arp_data.arp_tha.addr_bytes, 6);
	memcpy(eth->src_addr.addr_bytes, w->port->mac, 6);
	return RX_ANSWER;
}

unsigned rx_hint(
	struct rte_mbuf *m, const uint8_t *icmp, size_t len, uint16_t vlan, rx_hint_parse_fn parse)
{
	struct pkt *pkt = pkt_of(m);
	struct icmp_too_big hint;

	if (parse(icmp, len, &hint) != ICMP_OK)
		return DROP_icmp_malformed;
	memcpy(pkt->tuple.remote, hint.remote, 16);
	memcpy(pkt->tuple.local, hint.local, 16);
	pkt->tuple.remote_port_be16 = hint.remote_port_be16;
	pkt->tuple.local_port_be16 = hint.local_port_be16;
	pkt->tuple.vlan = vlan;
	pkt->hint_mtu = hint.mtu;
	pkt->hint_quoted_len = hint.quoted_len;
	pkt->hops = 0;
	return RX_HINT;
}

unsigned rx_udp(struct worker *w, struct rte_mbuf *m, size_t off, size_t len, uint16_t vlan)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	const struct rte_udp_hdr *udp = rte_pktmbuf_mtod_offset(m, const struct rte_udp_hdr *, off);
	struct pkt *pkt = pkt_of(m);
	size_t udp_len;

	if (len < sizeof(*udp))
		return DROP_udp_malformed;
	// The UDP checksum is not looked at: from a kernel on the same machine it is partial, and
	// everything that counts is authenticated (ARCHITECTURE.md).
	udp_len = rte_be_to_cpu_16(udp->dgram_len);
	if (udp_len < sizeof(*udp) || udp_len > len)
		return DROP_udp_malformed;
	if (udp->dst_port != w->port->media_port_be16 || udp->src_port == 0)
		return DROP_udp_port;
	pkt->tuple.remote_port_be16 = udp->src_port;
	pkt->tuple.local_port_be16 = udp->dst_port;
	pkt->tuple.vlan = vlan;
	memcpy(pkt->l2.remote_mac, eth->src_addr.addr_bytes, 6);
	memcpy(pkt->l2.local_mac, w->port->mac, 6);
	pkt->rx_us = w->now_us;
	rte_pktmbuf_adj(m, (uint16_t)(off + sizeof(*udp)));
	// Ethernet pads short frames: the UDP length is the truth.
	rte_pktmbuf_trim(m, (uint16_t)(rte_pktmbuf_data_len(m) - (udp_len - sizeof(*udp))));
	return RX_UDP;
}

/** Turn an ICMP echo request into the reply, in place (RFC 792). */
static unsigned echo_answer(
	struct worker *w, struct rte_mbuf *m, struct rte_ipv4_hdr *ip, struct rte_icmp_hdr *icmp)
{
	struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, struct rte_ether_hdr *);
	uint32_t sum;
	rte_be32_t source;

	if (!rx_answer_allowed(w))
		return DROP_arp_rate;
	icmp->icmp_type = RTE_IP_ICMP_ECHO_REPLY;
	// Type 8 became 0: the one's complement sum grows by 8 (RFC 1624).
	sum = (uint32_t)rte_be_to_cpu_16(icmp->icmp_cksum) + 0x0800;
	icmp->icmp_cksum = rte_cpu_to_be_16((uint16_t)(sum + (sum >> 16)));
	source = ip->src_addr;
	ip->src_addr = ip->dst_addr;
	ip->dst_addr = source;
	ip->time_to_live = 64;
	ip->hdr_checksum = 0;
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	eth->dst_addr = eth->src_addr;
	memcpy(eth->src_addr.addr_bytes, w->port->mac, 6);
	return RX_ANSWER;
}

static unsigned icmp4(
	struct worker *w, struct rte_mbuf *m, struct rte_ipv4_hdr *ip, size_t len, uint16_t vlan)
{
	struct rte_icmp_hdr *icmp = (struct rte_icmp_hdr *)(ip + 1);

	if (len < sizeof(*icmp) || rte_raw_cksum(icmp, len) != 0xffff)
		return DROP_icmp_malformed;
	if (icmp->icmp_type == RTE_IP_ICMP_ECHO_REQUEST && !icmp->icmp_code)
		return echo_answer(w, m, ip, icmp);
	return rx_hint(m, (const uint8_t *)icmp, len, vlan, icmp4_too_big_parse);
}

/** IPv4 (RFC 791). On RX_UDP the context is filled and m is the UDP payload. */
static unsigned ip4(struct worker *w, struct rte_mbuf *m, size_t l2_len, uint16_t vlan)
{
	size_t have = rte_pktmbuf_data_len(m) - l2_len, total;
	struct pkt *pkt = pkt_of(m);
	struct rte_ipv4_hdr *ip;

	if (have < sizeof(*ip))
		return DROP_frame_short;
	ip = rte_pktmbuf_mtod_offset(m, struct rte_ipv4_hdr *, l2_len);
	if ((ip->version_ihl >> 4) != 4 || (ip->version_ihl & 0xf) < 5)
		return DROP_ip_malformed;
	if (!ip4_is_ours(w, &ip->dst_addr))
		return DROP_not_for_us;
	if (ip->version_ihl != RTE_IPV4_VHL_DEF)
		return DROP_ip_options;
	total = rte_be_to_cpu_16(ip->total_length);
	if (total < sizeof(*ip) || total > have)
		return DROP_ip_malformed;
	if (rte_raw_cksum(ip, sizeof(*ip)) != 0xffff)
		return DROP_ip_malformed;
	if (ip->fragment_offset & RTE_BE16(RTE_IPV4_HDR_MF_FLAG | RTE_IPV4_HDR_OFFSET_MASK))
		return DROP_ip_fragment;
	if (ip->next_proto_id == IPPROTO_ICMP)
		return icmp4(w, m, ip, total - sizeof(*ip), vlan);
	if (ip->next_proto_id != IPPROTO_UDP)
		return DROP_ip_protocol;
	map_v4(pkt->tuple.remote, &ip->src_addr);
	map_v4(pkt->tuple.local, &ip->dst_addr);
	return rx_udp(w, m, l2_len + sizeof(*ip), total - sizeof(*ip), vlan);
}

static unsigned frame_check(struct worker *w, struct rte_mbuf *m)
{
	struct rte_ether_hdr *eth;
	size_t l2_len = sizeof(*eth);
	rte_be16_t type;
	uint16_t vlan = 0;

	if (m->nb_segs != 1 && rte_pktmbuf_linearize(m))
		return DROP_frame_short;
	// A tag that the driver took out goes back in: answers carry it again.
	if (m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED && rte_vlan_insert(&m))
		return DROP_frame_short;
	if (rte_pktmbuf_data_len(m) < sizeof(*eth))
		return DROP_frame_short;
	eth = rte_pktmbuf_mtod(m, struct rte_ether_hdr *);
	type = eth->ether_type;
	if (type == RTE_BE16(RTE_ETHER_TYPE_VLAN)) {
		struct rte_vlan_hdr *tag = (struct rte_vlan_hdr *)(eth + 1);

		if (rte_pktmbuf_data_len(m) < sizeof(*eth) + sizeof(*tag))
			return DROP_frame_short;
		l2_len += sizeof(*tag);
		vlan = rte_be_to_cpu_16(tag->vlan_tci) & 0xfff;
		type = tag->eth_proto;
	}
	if (rte_is_unicast_ether_addr(&eth->dst_addr)
		&& memcmp(eth->dst_addr.addr_bytes, w->port->mac, 6))
		return DROP_not_for_us;
	// A source that is a group would make us answer to everyone.
	if (!rte_is_unicast_ether_addr(&eth->src_addr))
		return DROP_not_for_us;
	if (type == RTE_BE16(RTE_ETHER_TYPE_IPV4)) {
		if (!rte_is_unicast_ether_addr(&eth->dst_addr))
			return DROP_not_for_us;
		return ip4(w, m, l2_len, vlan);
	}
	if (type == RTE_BE16(RTE_ETHER_TYPE_IPV6))
		return rx_ip6(w, m, l2_len, vlan);
	if (type == RTE_BE16(RTE_ETHER_TYPE_ARP))
		return arp_answer(w, m, l2_len);
	return DROP_ethertype;
}

void rx_burst(struct worker *w, struct rte_mbuf **m, unsigned n)
{
	struct rte_mbuf *udp[PATH_BURST];
	unsigned udp_count = 0;

	for (unsigned i = 0; i < n; i++) {
		const uint8_t *pkt = (const uint8_t *)pkt_of(m[i]);

		for (unsigned k = 0; k < sizeof(struct pkt); k += RTE_CACHE_LINE_SIZE)
			rte_prefetch0(pkt + k);
		rte_prefetch0(rte_pktmbuf_mtod(m[i], void *));
	}
	for (unsigned i = 0; i < n; i++) {
		unsigned verdict;

		w->count.rx_packets++;
		w->count.rx_bytes += rte_pktmbuf_pkt_len(m[i]);
		verdict = frame_check(w, m[i]);
		// Commonest first.
		if (verdict == RX_UDP) {
			udp[udp_count++] = m[i];
		} else if (verdict == RX_ANSWER) {
			w->count.answered++;
			tx_frame(w, m[i]);
		} else if (verdict == RX_HINT) {
			hint_packet(w, m[i]);
		} else {
			path_drop(w, m[i], (enum drop_reason)verdict);
		}
	}
	if (udp_count)
		classify_burst(w, udp, udp_count);
}
