// SPDX-License-Identifier: BSD-3-Clause
/**
 * The part of rx that is IPv6 (RFC 8200): UDP for us, ICMPv6 echo (RFC 4443) and neighbour
 * solicitations (RFC 4861), both answered in place, and "packet too big". Nothing is ever asked: the
 * way back is that of an authentic check. Leaves as rx.c says.
 */
#include <rte_ether.h>
#include <rte_ip.h>
#include <string.h>

#include "sfu-dp/path/rx.h"
#include "sfu-dp/port.h"
#include "sfu-dp/proto/icmp.h"
#include "sfu-dp/proto/inet_sum.h"

#define HOP_LIMIT 64
/** RFC 4861: higher than any router leaves it, so it comes from the same link. */
#define HOP_LIMIT_NEIGHBOUR 255

#define NEXT_HOP_BY_HOP 0
#define NEXT_ROUTING 43
#define NEXT_FRAGMENT 44
#define NEXT_ESP 50
#define NEXT_AUTHENTICATION 51
#define NEXT_DESTINATION 60
#define NEXT_MOBILITY 135

/** Of an ICMPv6 message with its pseudo header (RFC 4443, 2.3); 0xffff when its checksum is right. */
static uint16_t icmp6_sum(const struct rte_ipv6_hdr *ip, const uint8_t *icmp, size_t len)
{
	return inet_fold(inet_sum(ip->src_addr, 32) + inet_sum_u16((uint16_t)len)
			 + inet_sum_u16(IPPROTO_ICMPV6) + inet_sum(icmp, len));
}

static void icmp6_checksum_set(const struct rte_ipv6_hdr *ip, uint8_t *icmp, size_t len)
{
	uint16_t sum;

	memset(icmp + 2, 0, 2);
	sum = (uint16_t)~icmp6_sum(ip, icmp, len);
	memcpy(icmp + 2, &sum, 2);
}

static bool is_unspecified(const uint8_t ip[16])
{
	static const uint8_t unspecified[16];

	return !memcmp(ip, unspecified, 16);
}

/** A source that is one machine's; one that looks like IPv4's would be answered as such. */
static bool source_ok(const uint8_t ip[16])
{
	static const uint8_t zeros[10];

	return ip[0] != 0xff && memcmp(ip, zeros, sizeof(zeros));
}

/** The group in which a machine is asked for its address: ff02::1:ff and the last 24 bits. */
static bool is_solicited_node(const uint8_t group[16], const uint8_t target[16])
{
	static const uint8_t prefix[13] = {0xff, 0x02, [11] = 0x01, [12] = 0xff};

	return !memcmp(group, prefix, sizeof(prefix)) && !memcmp(group + 13, target + 13, 3);
}

/** Cut the frame to what the answer is. */
static void frame_cut(struct rte_mbuf *m, size_t len)
{
	rte_pktmbuf_trim(m, (uint16_t)(rte_pktmbuf_data_len(m) - len));
}

static void ether_back(struct worker *w, struct rte_mbuf *m, const uint8_t to[6])
{
	struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, struct rte_ether_hdr *);

	memcpy(eth->dst_addr.addr_bytes, to, 6);
	memcpy(eth->src_addr.addr_bytes, w->port->mac, 6);
}

/** Turn an echo request into the reply, in place. */
static unsigned echo_answer(struct worker *w, struct rte_mbuf *m, struct rte_ipv6_hdr *ip,
	uint8_t *icmp, size_t icmp_len)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	uint8_t source[16];

	if (icmp_len < 8 || icmp[1])
		return DROP_icmp_malformed;
	if (!rx_answer_allowed(w))
		return DROP_arp_rate;
	memcpy(source, ip->src_addr, 16);
	memcpy(ip->src_addr, ip->dst_addr, 16);
	memcpy(ip->dst_addr, source, 16);
	ip->hop_limits = HOP_LIMIT;
	icmp[0] = ICMP6_ECHO_REPLY;
	icmp6_checksum_set(ip, icmp, icmp_len);
	frame_cut(m, (size_t)(icmp - rte_pktmbuf_mtod(m, uint8_t *)) + icmp_len);
	ether_back(w, m, eth->src_addr.addr_bytes);
	return RX_ANSWER;
}

/** Turn a solicitation of our address into the advertisement, in place (RFC 4861, 7.2.4). */
static unsigned neighbour_answer(struct worker *w, struct rte_mbuf *m, struct rte_ipv6_hdr *ip,
	uint8_t *icmp, size_t icmp_len)
{
	static const uint8_t all_nodes[16] = {0xff, 0x02, [15] = 0x01};
	static const uint8_t all_nodes_mac[6] = {0x33, 0x33, 0, 0, 0, 0x01};
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	bool probe = is_unspecified(ip->src_addr);
	size_t off = (size_t)(icmp - rte_pktmbuf_mtod(m, uint8_t *));
	struct icmp6_solicit s;
	uint8_t to[6];

	if (ip->hop_limits != HOP_LIMIT_NEIGHBOUR
		|| icmp6_solicit_parse(icmp, icmp_len, &s) != ICMP_OK
		|| !rx_address_is_ours(w, s.target)
		|| (memcmp(ip->dst_addr, s.target, 16)
			&& !is_solicited_node(ip->dst_addr, s.target)))
		return DROP_icmp_malformed;
	// RFC 4861, 7.1.1: who has no address yet asks the group, and tells no MAC.
	if (probe && (s.has_source_mac || ip->dst_addr[0] != 0xff))
		return DROP_icmp_malformed;
	// The answer may be longer than the question, never by more than its own option.
	if (off + ICMP6_ADVERT_LEN > rte_pktmbuf_data_len(m)
		&& !rte_pktmbuf_append(
			m, (uint16_t)(off + ICMP6_ADVERT_LEN - rte_pktmbuf_data_len(m))))
		return DROP_icmp_malformed;
	if (!rx_answer_allowed(w))
		return DROP_arp_rate;
	memcpy(to, s.has_source_mac ? s.source_mac : eth->src_addr.addr_bytes, 6);
	ether_back(w, m, probe ? all_nodes_mac : to);
	memcpy(ip->dst_addr, probe ? all_nodes : ip->src_addr, 16);
	memcpy(ip->src_addr, s.target, 16);
	ip->payload_len = rte_cpu_to_be_16(ICMP6_ADVERT_LEN);
	ip->hop_limits = HOP_LIMIT_NEIGHBOUR;
	icmp6_advert_encode(icmp, ICMP6_ADVERT_LEN, s.target, w->port->mac, !probe);
	icmp6_checksum_set(ip, icmp, ICMP6_ADVERT_LEN);
	frame_cut(m, off + ICMP6_ADVERT_LEN);
	return RX_ANSWER;
}

static unsigned icmp6(
	struct worker *w, struct rte_mbuf *m, struct rte_ipv6_hdr *ip, size_t len, uint16_t vlan)
{
	uint8_t *icmp = (uint8_t *)(ip + 1);

	if (len < 4 || icmp6_sum(ip, icmp, len) != 0xffff)
		return DROP_icmp_malformed;
	if (icmp[0] == ICMP6_SOLICIT)
		return neighbour_answer(w, m, ip, icmp, len);
	// All but a solicitation is for one machine, and from one.
	if (ip->dst_addr[0] == 0xff || !source_ok(ip->src_addr))
		return DROP_not_for_us;
	switch (icmp[0]) {
	case ICMP6_ECHO_REQUEST:
		return echo_answer(w, m, ip, icmp, len);
	case ICMP6_TOO_BIG:
		return rx_hint(m, icmp, len, vlan, icmp6_too_big_parse);
	default:
		return DROP_icmp_malformed;
	}
}

static unsigned no_upper_layer(uint8_t next)
{
	switch (next) {
	case NEXT_FRAGMENT:
		return DROP_ip_fragment;
	case NEXT_HOP_BY_HOP:
	case NEXT_ROUTING:
	case NEXT_ESP:
	case NEXT_AUTHENTICATION:
	case NEXT_DESTINATION:
	case NEXT_MOBILITY:
		return DROP_ip_options;
	default:
		return DROP_ip_protocol;
	}
}

/** For one of our addresses, or a group in which neighbours ask for one of them. */
static bool is_for_us(const struct worker *w, const struct rte_ether_hdr *eth, const uint8_t to[16])
{
	if (to[0] != 0xff)
		return rte_is_unicast_ether_addr(&eth->dst_addr) && rx_address_is_ours(w, to);
	for (unsigned i = 0; i < w->port->address_count; i++) {
		if (is_solicited_node(to, w->port->address[i]))
			return true;
	}
	return false;
}

unsigned rx_ip6(struct worker *w, struct rte_mbuf *m, size_t l2_len, uint16_t vlan)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	size_t have = rte_pktmbuf_data_len(m) - l2_len, len;
	struct pkt *pkt = pkt_of(m);
	struct rte_ipv6_hdr *ip;

	if (have < sizeof(*ip))
		return DROP_frame_short;
	ip = rte_pktmbuf_mtod_offset(m, struct rte_ipv6_hdr *, l2_len);
	if (*(const uint8_t *)ip >> 4 != 6)
		return DROP_ip_malformed;
	if (!is_for_us(w, eth, ip->dst_addr))
		return DROP_not_for_us;
	len = rte_be_to_cpu_16(ip->payload_len);
	if (len > have - sizeof(*ip))
		return DROP_ip_malformed;
	if (ip->proto == IPPROTO_ICMPV6)
		return icmp6(w, m, ip, len, vlan);
	if (ip->dst_addr[0] == 0xff)
		return DROP_not_for_us;
	if (ip->proto != IPPROTO_UDP)
		return no_upper_layer(ip->proto);
	if (!source_ok(ip->src_addr))
		return DROP_ip_malformed;
	// RFC 8200, 8.1: over IPv6 a datagram has a checksum.
	if (len >= 8 && !((const uint8_t *)(ip + 1))[6] && !((const uint8_t *)(ip + 1))[7])
		return DROP_udp_malformed;
	memcpy(pkt->tuple.remote, ip->src_addr, 16);
	memcpy(pkt->tuple.local, ip->dst_addr, 16);
	return rx_udp(w, m, l2_len + sizeof(*ip), len, vlan);
}
