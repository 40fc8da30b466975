// SPDX-License-Identifier: BSD-3-Clause
/*
 * The two ends of the packet's way, on a real DPDK port (net_ring: what is sent comes back as
 * received, so the test reads its own answers there). classify_burst is the test's own.
 */
#include "sfu-dp/path/path.h"
#include "sfu-dp/port.h"
#include "sfu-dp/worker.h"

#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define FRAME_MAX 256u
#define UDP_PAYLOAD 64u
#define MEDIA_PORT 40000u
#define MBUFS 4095u
/* Where things are in an untagged frame. */
#define IP 14u
#define L4 34u
#define UDP_DATA 42u
#define L4_IP6 54u

static const uint8_t our_ip[4] = {198, 18, 99, 2}, our_other_ip[4] = {198, 18, 99, 6};
static const uint8_t their_ip[4] = {198, 18, 99, 1};
static const uint8_t our_ip6[16] = {0xfd, 0x99, [13] = 0x12, 0x34, 0x02};
static const uint8_t their_ip6[16] = {0xfd, 0x99, [15] = 0x01};
static const uint8_t their_mac[6] = {2, 0, 0, 0, 0, 9};

static struct world {
	struct rte_mempool *pool;
	struct port port;
	struct worker *w;
	char folder[32];
	struct rte_mbuf *classified[PATH_BURST];
	unsigned classified_count;
} world;

void classify_burst(struct worker *w, struct rte_mbuf **m, unsigned n)
{
	assert_ptr_equal(w, world.w);
	assert_true(n > 0 && n <= PATH_BURST);
	assert_int_equal(world.classified_count, 0);
	memcpy(world.classified, m, n * sizeof(*m));
	world.classified_count = n;
}

static struct rte_mbuf *hinted;

void hint_packet(struct worker *w, struct rte_mbuf *m)
{
	assert_ptr_equal(w, world.w);
	assert_null(hinted);
	hinted = m;
}

/* --- frames --- */

struct frame {
	uint8_t octets[FRAME_MAX];
	size_t len;
};

enum base {
	UDP,
	ARP,
	ICMP,
	UDP6,
	ECHO6,
	SOLICIT,
	BASES,
	ARP_TO_US,
	PROBE6,
	SOLICIT_US,
	BIG4,
	BIG6
};

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static unsigned get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

/** RFC 1071 over whole bytes, on its own: no DPDK. */
static unsigned checksum(const uint8_t *p, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum & 0xffff;
}

static void ip_checksum_fix(struct frame *f, size_t at)
{
	put16(f->octets + at + 10, 0);
	put16(f->octets + at + 10, checksum(f->octets + at, 20));
}

/** Over what the IP length says is ICMP. */
static void icmp_checksum_fix(struct frame *f)
{
	uint8_t *icmp = f->octets + L4;
	size_t total = get16(f->octets + IP + 2);

	put16(icmp + 2, 0);
	if (total >= 24)
		put16(icmp + 2, checksum(icmp, total - 20));
}

static void ip_base(struct frame *f, unsigned protocol, size_t payload)
{
	uint8_t *ip = f->octets + IP;

	put16(f->octets + 12, 0x0800);
	ip[0] = 0x45;
	put16(ip + 2, (unsigned)(20 + payload));
	put16(ip + 4, 0x1234);
	ip[8] = 63;
	ip[9] = (uint8_t)protocol;
	memcpy(ip + 12, their_ip, 4);
	memcpy(ip + 16, our_ip, 4);
	ip_checksum_fix(f, IP);
	f->len = IP + 20 + payload;
}

static void udp_fill(uint8_t *udp)
{
	put16(udp, 5004);
	put16(udp + 2, MEDIA_PORT);
	put16(udp + 4, 8 + UDP_PAYLOAD);
	put16(udp + 6, 0xbad1); // Partial, as from a kernel on the same machine.
	for (unsigned i = 0; i < UDP_PAYLOAD; i++)
		udp[8 + i] = (uint8_t)(i * 7 + 1);
}

static void udp_base(struct frame *f)
{
	udp_fill(f->octets + L4);
	ip_base(f, 17, 8 + UDP_PAYLOAD);
}

/** What an ICMPv6 or UDP checksum must be 0 over: pseudo header, message. */
static unsigned checksum6(const uint8_t *ip, const uint8_t *message, size_t len)
{
	uint8_t whole[FRAME_MAX + 40];

	memcpy(whole, ip + 8, 32);
	memset(whole + 32, 0, 8);
	put16(whole + 34, (unsigned)len);
	whole[39] = ip[6];
	memcpy(whole + 40, message, len);
	return checksum(whole, 40 + len);
}

static void icmp6_checksum_fix(struct frame *f, size_t ip_at)
{
	uint8_t *ip = f->octets + ip_at;
	size_t len = get16(ip + 4);

	if (len < 4 || ip_at + 40 + len > FRAME_MAX)
		return;
	put16(ip + 42, 0);
	put16(ip + 42, checksum6(ip, ip + 40, len));
}

static void ip6_base(struct frame *f, unsigned next, size_t payload)
{
	uint8_t *ip = f->octets + IP;

	put16(f->octets + 12, 0x86dd);
	ip[0] = 0x60;
	put16(ip + 4, (unsigned)payload);
	ip[6] = (uint8_t)next;
	ip[7] = next == 58 ? 255 : 63;
	memcpy(ip + 8, their_ip6, 16);
	memcpy(ip + 24, our_ip6, 16);
	f->len = IP + 40 + payload;
	if (next == 58)
		icmp6_checksum_fix(f, IP);
}

static void udp6_base(struct frame *f)
{
	udp_fill(f->octets + L4_IP6);
	ip6_base(f, 17, 8 + UDP_PAYLOAD);
}

static void echo6_base(struct frame *f)
{
	uint8_t *icmp = f->octets + L4_IP6;

	icmp[0] = 128;
	put16(icmp + 4, 77);
	put16(icmp + 6, 1);
	for (unsigned i = 0; i < 33; i++)
		icmp[8 + i] = (uint8_t)(0xf0 + i);
	ip6_base(f, 58, 41);
}

/** As a kernel asks: to the group of the last 24 bits of our address, with its own MAC. */
static void solicit_base(struct frame *f)
{
	static const uint8_t group_mac[6] = {0x33, 0x33, 0xff, 0x12, 0x34, 0x02};
	static const uint8_t group[16] = {0xff, 0x02, [11] = 1, 0xff, 0x12, 0x34, 0x02};
	uint8_t *icmp = f->octets + L4_IP6;

	memcpy(f->octets, group_mac, 6);
	icmp[0] = 135;
	memcpy(icmp + 8, our_ip6, 16);
	icmp[24] = 1;
	icmp[25] = 1;
	memcpy(icmp + 26, their_mac, 6);
	ip6_base(f, 58, 32);
	memcpy(f->octets + IP + 24, group, 16);
	icmp6_checksum_fix(f, IP);
}

/** Who has no address yet asks whether it is taken (RFC 4862, 5.4). */
static void probe6_base(struct frame *f)
{
	solicit_base(f);
	memset(f->octets + IP + 8, 0, 16);
	put16(f->octets + IP + 4, 24);
	f->len = L4_IP6 + 24;
	icmp6_checksum_fix(f, IP);
}

/** A router says that 1452 octets of ours were more than 1400. */
static void too_big_base(struct frame *f, int version)
{
	uint8_t *icmp = f->octets + (version == 4 ? L4 : L4_IP6), *ip = icmp + 8;
	size_t headers = version == 4 ? 20 : 40;

	icmp[0] = version == 4 ? 3 : 2;
	icmp[1] = version == 4 ? 4 : 0;
	put16(icmp + 6, 1400);
	if (version == 4) {
		ip[0] = 0x45;
		put16(ip + 2, 1452);
		ip[9] = 17;
		memcpy(ip + 12, our_ip, 4);
		memcpy(ip + 16, their_ip, 4);
	} else {
		ip[0] = 0x60;
		put16(ip + 4, 1412);
		ip[6] = 17;
		memcpy(ip + 8, our_ip6, 16);
		memcpy(ip + 24, their_ip6, 16);
	}
	put16(ip + headers, MEDIA_PORT);
	put16(ip + headers + 2, 5004);
	if (version == 4)
		ip_base(f, 1, 8 + headers + 8);
	else
		ip6_base(f, 58, 8 + headers + 8);
	if (version == 4)
		icmp_checksum_fix(f);
}

static void icmp_base(struct frame *f)
{
	uint8_t *icmp = f->octets + L4;

	icmp[0] = 8;
	put16(icmp + 4, 77);
	put16(icmp + 6, 1);
	for (unsigned i = 0; i < 33; i++)
		icmp[8 + i] = (uint8_t)(0xf0 + i);
	ip_base(f, 1, 41);
	icmp_checksum_fix(f);
}

static void arp_base(struct frame *f)
{
	uint8_t *arp = f->octets + 14;

	put16(f->octets + 12, 0x0806);
	put16(arp, 1);
	put16(arp + 2, 0x0800);
	arp[4] = 6;
	arp[5] = 4;
	put16(arp + 6, 1);
	memcpy(arp + 8, their_mac, 6);
	memcpy(arp + 14, their_ip, 4);
	memcpy(arp + 24, our_ip, 4);
	f->len = 60; // Padded, as on a wire.
}

static void frame_make(struct frame *f, enum base base)
{
	memset(f, 0, sizeof(*f));
	memcpy(f->octets, world.port.mac, 6);
	memcpy(f->octets + 6, their_mac, 6);
	switch (base) {
	case UDP:
		udp_base(f);
		break;
	case ICMP:
		icmp_base(f);
		break;
	case ARP:
		memset(f->octets, 0xff, 6);
		arp_base(f);
		break;
	case UDP6:
		udp6_base(f);
		break;
	case ECHO6:
		echo6_base(f);
		break;
	case SOLICIT:
		solicit_base(f);
		break;
	case PROBE6:
		probe6_base(f);
		break;
	case SOLICIT_US:
		solicit_base(f);
		memcpy(f->octets, world.port.mac, 6);
		memcpy(f->octets + IP + 24, our_ip6, 16);
		icmp6_checksum_fix(f, IP);
		break;
	case BIG4:
		too_big_base(f, 4);
		break;
	case BIG6:
		too_big_base(f, 6);
		break;
	default:
		arp_base(f);
		break;
	}
}

static bool is_icmp6(enum base base)
{
	return base == ECHO6 || base == SOLICIT || base == PROBE6 || base == SOLICIT_US
	       || base == BIG6;
}

static bool is_ip4(enum base base)
{
	return base == UDP || base == ICMP || base == BIG4;
}

static void tag_insert(struct frame *f, unsigned tci)
{
	memmove(f->octets + 16, f->octets + 12, f->len - 12);
	put16(f->octets + 12, 0x8100);
	put16(f->octets + 14, tci);
	f->len += 4;
}

/**
 * The frame as an mbuf of which only the first len octets were received; the rest lies behind them
 * in the buffer, so that code that reads on finds a valid frame and gives itself away.
 */
static struct rte_mbuf *mbuf_of(const struct frame *f, size_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(world.pool);

	assert_non_null(m);
	memset(pkt_of(m), 0xa5, PKT_PRIV_BYTES);
	memcpy(rte_pktmbuf_mtod(m, void *), f->octets, f->len);
	m->data_len = (uint16_t)len;
	m->pkt_len = (uint32_t)len;
	return m;
}

/** Cut an mbuf into two segments after at octets. */
static void mbuf_split(struct rte_mbuf *m, size_t at)
{
	struct rte_mbuf *tail = rte_pktmbuf_alloc(world.pool);
	size_t rest = m->data_len - at;

	assert_non_null(tail);
	memcpy(rte_pktmbuf_append(tail, (uint16_t)rest), rte_pktmbuf_mtod_offset(m, uint8_t *, at),
		rest);
	assert_int_equal(rte_pktmbuf_trim(m, (uint16_t)rest), 0);
	assert_int_equal(rte_pktmbuf_chain(m, tail), 0);
}

/* --- what became of a frame --- */

#define CLASSIFIED DROP_COUNT
#define ANSWERED (DROP_COUNT + 1)
#define HINTED (DROP_COUNT + 2)

static uint64_t dropped_sum(const struct worker_counters *c)
{
	uint64_t sum = 0;

	for (unsigned r = 0; r < DROP_COUNT; r++)
		sum += c->drop[r];
	return sum;
}

static const char *verdict_name(unsigned verdict)
{
	return verdict == HINTED       ? "hinted"
	       : verdict == CLASSIFIED ? "classified"
	       : verdict == ANSWERED   ? "answered"
				       : drop_names[verdict];
}

/** Everything the port was given, read back. The caller frees. */
static unsigned sent_take(struct rte_mbuf **m, unsigned cap)
{
	tx_flush(world.w);
	return rte_eth_rx_burst(world.port.id, 0, m, (uint16_t)cap);
}

static void free_all(struct rte_mbuf **m, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		rte_pktmbuf_free(m[i]);
}

/** Give one frame to rx; its verdict, and the packet that goes on or out, NULL when dropped. */
static unsigned rx_one(struct rte_mbuf *m, struct rte_mbuf **result)
{
	struct worker_counters before = world.w->count, *after = &world.w->count;
	uint32_t bytes = rte_pktmbuf_pkt_len(m);
	unsigned verdict = DROP_COUNT + 3, ends = 0;

	*result = NULL;
	hinted = NULL;
	world.classified_count = 0;
	rx_burst(world.w, &m, 1);
	assert_int_equal(after->rx_packets, before.rx_packets + 1);
	assert_int_equal(after->rx_bytes, before.rx_bytes + bytes);
	for (unsigned r = 0; r < DROP_COUNT; r++) {
		if (after->drop[r] == before.drop[r])
			continue;
		assert_int_equal(after->drop[r], before.drop[r] + 1);
		verdict = r;
		ends++;
	}
	if (world.classified_count) {
		verdict = CLASSIFIED;
		*result = world.classified[0];
		ends++;
	}
	if (hinted) {
		verdict = HINTED;
		*result = hinted;
		ends++;
	}
	if (after->answered != before.answered) {
		verdict = ANSWERED;
		assert_int_equal(sent_take(result, 1), 1);
		ends++;
	}
	assert_int_equal(ends, 1);
	return verdict;
}

static void mapped(uint8_t out[16], const uint8_t v4[4])
{
	memset(out, 0, 10);
	memset(out + 10, 0xff, 2);
	memcpy(out + 12, v4, 4);
}

/** The context that classify gets, and the payload, against the frame it came from. */
static void classified_check(
	struct rte_mbuf *m, const struct frame *f, size_t l2_len, size_t payload_len)
{
	const struct pkt *pkt = pkt_of(m);
	const uint8_t *ip = f->octets + l2_len, *udp = ip + (*ip >> 4 == 4 ? 20 : 40);
	uint8_t remote[16], local[16];

	if (*ip >> 4 == 4) {
		mapped(remote, ip + 12);
		mapped(local, ip + 16);
	} else {
		memcpy(remote, ip + 8, 16);
		memcpy(local, ip + 24, 16);
	}
	assert_int_equal(m->nb_segs, 1);
	assert_int_equal(rte_pktmbuf_pkt_len(m), payload_len);
	assert_int_equal(rte_pktmbuf_data_len(m), payload_len);
	assert_memory_equal(rte_pktmbuf_mtod(m, uint8_t *), udp + 8, payload_len);
	assert_memory_equal(pkt->tuple.remote, remote, 16);
	assert_memory_equal(pkt->tuple.local, local, 16);
	assert_memory_equal(&pkt->tuple.remote_port_be16, udp, 2);
	assert_memory_equal(&pkt->tuple.local_port_be16, udp + 2, 2);
	assert_int_equal(pkt->tuple.vlan, l2_len == 18 ? get16(f->octets + 14) & 0xfff : 0);
	assert_memory_equal(pkt->l2.remote_mac, f->octets + 6, 6);
	assert_memory_equal(pkt->l2.local_mac, world.port.mac, 6);
	assert_int_equal(pkt->rx_us, world.w->now_us);
}

static void arp_reply_check(struct rte_mbuf *m, const struct frame *f, size_t l2_len)
{
	const uint8_t *r = rte_pktmbuf_mtod(m, uint8_t *), *arp = r + l2_len;
	const uint8_t *request = f->octets + l2_len;

	assert_memory_equal(r, request + 8, 6);
	assert_memory_equal(r + 6, world.port.mac, 6);
	assert_memory_equal(r + 12, f->octets + 12, l2_len - 12);
	assert_memory_equal(arp, request, 6);
	assert_int_equal(get16(arp + 6), 2);
	assert_memory_equal(arp + 8, world.port.mac, 6);
	assert_memory_equal(arp + 14, request + 24, 4);
	assert_memory_equal(arp + 18, request + 8, 10);
}

static void icmp_reply_check(struct rte_mbuf *m, const struct frame *f, size_t l2_len)
{
	const uint8_t *r = rte_pktmbuf_mtod(m, uint8_t *), *ip = r + l2_len;
	const uint8_t *request = f->octets + l2_len;
	size_t len = get16(ip + 2) - 20u;

	assert_memory_equal(r, f->octets + 6, 6);
	assert_memory_equal(r + 6, world.port.mac, 6);
	assert_memory_equal(r + 12, f->octets + 12, l2_len - 12);
	assert_int_equal(checksum(ip, 20), 0);
	assert_memory_equal(ip + 12, request + 16, 4);
	assert_memory_equal(ip + 16, request + 12, 4);
	assert_int_equal(get16(ip + 2), get16(request + 2));
	assert_int_equal(ip[20], 0);
	assert_int_equal(ip[21], 0);
	assert_int_equal(checksum(ip + 20, len), 0);
	assert_memory_equal(ip + 24, request + 24, len - 4);
}

static void echo6_reply_check(struct rte_mbuf *m, const struct frame *f, size_t l2_len)
{
	const uint8_t *r = rte_pktmbuf_mtod(m, uint8_t *), *ip = r + l2_len;
	const uint8_t *request = f->octets + l2_len;
	size_t len = get16(request + 4);

	assert_int_equal(rte_pktmbuf_pkt_len(m), l2_len + 40 + len);
	assert_memory_equal(r, f->octets + 6, 6);
	assert_memory_equal(r + 6, world.port.mac, 6);
	assert_memory_equal(r + 12, f->octets + 12, l2_len - 12);
	assert_memory_equal(ip, request, 7);
	assert_memory_equal(ip + 8, request + 24, 16);
	assert_memory_equal(ip + 24, request + 8, 16);
	assert_int_equal(ip[40], 129);
	assert_int_equal(ip[41], 0);
	assert_int_equal(checksum6(ip, ip + 40, len), 0);
	assert_memory_equal(ip + 44, request + 44, len - 4);
}

static void advert_check(struct rte_mbuf *m, const struct frame *f, size_t l2_len)
{
	static const uint8_t all_nodes[16] = {0xff, 0x02, [15] = 1};
	static const uint8_t all_nodes_mac[6] = {0x33, 0x33, 0, 0, 0, 1}, none[16];
	const uint8_t *r = rte_pktmbuf_mtod(m, uint8_t *), *ip = r + l2_len;
	const uint8_t *request = f->octets + l2_len;
	bool probe = !memcmp(request + 8, none, 16);

	assert_int_equal(rte_pktmbuf_pkt_len(m), l2_len + 40 + 32);
	assert_memory_equal(r, probe ? all_nodes_mac : f->octets + 6, 6);
	assert_memory_equal(r + 6, world.port.mac, 6);
	assert_memory_equal(r + 12, f->octets + 12, l2_len - 12);
	assert_int_equal(ip[0], 0x60);
	assert_int_equal(get16(ip + 4), 32);
	assert_int_equal(ip[6], 58);
	assert_int_equal(ip[7], 255);
	assert_memory_equal(ip + 8, our_ip6, 16);
	assert_memory_equal(ip + 24, probe ? all_nodes : request + 8, 16);
	assert_int_equal(ip[40], 136);
	assert_int_equal(checksum6(ip, ip + 40, 32), 0);
	assert_int_equal(ip[44], probe ? 0x20 : 0x60);
	assert_memory_equal(ip + 48, our_ip6, 16);
	assert_int_equal(get16(ip + 64), 0x0201);
	assert_memory_equal(ip + 66, world.port.mac, 6);
}

/** The flow that a "too big" is about, as seen from us. */
static void hint_check(struct rte_mbuf *m, int version, size_t vlan)
{
	static const uint8_t ports[4]
		= {5004 >> 8, 5004 & 0xff, MEDIA_PORT >> 8, MEDIA_PORT & 0xff};
	const struct pkt *pkt = pkt_of(m);
	uint8_t remote[16], local[16];

	mapped(remote, their_ip);
	mapped(local, our_ip);
	assert_memory_equal(pkt->tuple.remote, version == 4 ? remote : their_ip6, 16);
	assert_memory_equal(pkt->tuple.local, version == 4 ? local : our_ip6, 16);
	assert_memory_equal(&pkt->tuple.remote_port_be16, ports, 2);
	assert_memory_equal(&pkt->tuple.local_port_be16, ports + 2, 2);
	assert_int_equal(pkt->tuple.vlan, vlan);
	assert_int_equal(pkt->hint_mtu, 1400);
	assert_int_equal(pkt->hint_quoted_len, 1452);
	assert_int_equal(pkt->hops, 0);
}

/* --- one frame, one verdict --- */

#define PATCHES 8u

struct row {
	const char *what;
	enum base base;
	unsigned want;
	struct {
		uint8_t at, value;
	} patch[PATCHES]; /* in the untagged frame; at 0 with value 0 = end of the list */
	uint8_t wrong_checksum; /* leave the checksums as they were */
	uint32_t tag; /* 802.1Q tag control + 1, 0 = untagged */
	uint16_t len; /* octets received, 0 = all */
	uint16_t payload; /* of UDP; 0 = UDP_PAYLOAD */
	uint16_t pad; /* zeros received behind the IP packet */
};

#define TAG(tci) ((tci) + 1)

#define ROW(text, base_, want_, ...)                                                               \
	{                                                                                          \
		.what = text, .base = base_, .want = want_, __VA_ARGS__                            \
	}

static const struct row rows[] = {
	ROW("a datagram for us goes on", UDP, CLASSIFIED),
	ROW("so does one for our second address", UDP, CLASSIFIED, .patch = {{IP + 19, 6}}),
	ROW("and one in a VLAN", UDP, CLASSIFIED, .tag = TAG(7)),
	ROW("priority bits of the tag are no VLAN", UDP, CLASSIFIED, .tag = TAG(0xe000)),
	ROW("the highest VLAN", UDP, CLASSIFIED, .tag = TAG(0xffff)),
	ROW("type of service and time to live do not matter", UDP, CLASSIFIED,
		.patch = {{IP + 1, 0xb8}, {IP + 8, 1}}),
	ROW("don't fragment is no fragment", UDP, CLASSIFIED, .patch = {{IP + 6, 0x40}}),
	ROW("padding of Ethernet is cut off", UDP, CLASSIFIED, .pad = 18),
	ROW("IP longer than UDP: UDP's length counts", UDP, CLASSIFIED, .patch = {{L4 + 5, 8 + 10}},
		.payload = 10),
	ROW("an empty datagram is a datagram", UDP, CLASSIFIED, .patch = {{L4 + 5, 8}},
		.payload = 0xffff),
	ROW("a low source port is a port", UDP, CLASSIFIED, .patch = {{L4, 0}, {L4 + 1, 1}}),
	ROW("for another machine's Ethernet address", UDP, DROP_not_for_us,
		.patch = {{5, 0x77}, {4, 0x77}}),
	ROW("IPv4 to the Ethernet broadcast", UDP, DROP_not_for_us,
		.patch = {{0, 0xff}, {1, 0xff}, {2, 0xff}, {3, 0xff}, {4, 0xff}, {5, 0xff}}),
	ROW("IPv4 to an Ethernet group", UDP, DROP_not_for_us,
		.patch = {{0, 0x01}, {1, 0x00}, {2, 0x5e}}),
	ROW("from an Ethernet group", UDP, DROP_not_for_us, .patch = {{6, 0x03}}),
	ROW("from the Ethernet broadcast", UDP, DROP_not_for_us,
		.patch = {{6, 0xff}, {7, 0xff}, {8, 0xff}, {9, 0xff}, {10, 0xff}, {11, 0xff}}),
	ROW("for another IP address", UDP, DROP_not_for_us, .patch = {{IP + 19, 3}}),
	ROW("for the IP broadcast", UDP, DROP_not_for_us,
		.patch = {{IP + 16, 255}, {IP + 17, 255}, {IP + 18, 255}, {IP + 19, 255}}),
	ROW("for an IP group", UDP, DROP_not_for_us, .patch = {{IP + 16, 224}}),
	ROW("IPv4 under IPv6's type", UDP, DROP_ip_malformed, .patch = {{12, 0x86}, {13, 0xdd}}),
	ROW("a length instead of a type", UDP, DROP_ethertype, .patch = {{12, 0}, {13, 92}}),
	ROW("a tag in a tag", UDP, DROP_ethertype, .patch = {{12, 0x81}, {13, 0x00}},
		.tag = TAG(7)),
	ROW("a service tag", UDP, DROP_ethertype, .patch = {{12, 0x88}, {13, 0xa8}}),
	ROW("a tag cut short", UDP, DROP_frame_short, .tag = TAG(7), .len = 17),
	ROW("nothing behind the tag", UDP, DROP_frame_short, .tag = TAG(7), .len = 18),
	ROW("IP version 5", UDP, DROP_ip_malformed, .patch = {{IP, 0x55}}),
	ROW("IP version 6 under IPv4's type", UDP, DROP_ip_malformed, .patch = {{IP, 0x65}}),
	ROW("IP header of 16 octets", UDP, DROP_ip_malformed, .patch = {{IP, 0x44}}),
	ROW("IP header of 0 octets", UDP, DROP_ip_malformed, .patch = {{IP, 0x40}}),
	ROW("IP options", UDP, DROP_ip_options, .patch = {{IP, 0x46}}),
	ROW("as many IP options as fit", UDP, DROP_ip_options, .patch = {{IP, 0x4f}}),
	ROW("IP length one more than the frame", UDP, DROP_ip_malformed, .patch = {{IP + 3, 93}}),
	ROW("IP length beyond any frame", UDP, DROP_ip_malformed,
		.patch = {{IP + 2, 0xff}, {IP + 3, 0xff}}),
	ROW("IP length below its header", UDP, DROP_ip_malformed, .patch = {{IP + 3, 19}}),
	ROW("IP length 0", UDP, DROP_ip_malformed, .patch = {{IP + 3, 0}}),
	ROW("wrong IP checksum", UDP, DROP_ip_malformed, .patch = {{IP + 8, 62}},
		.wrong_checksum = 1),
	ROW("first fragment", UDP, DROP_ip_fragment, .patch = {{IP + 6, 0x20}}),
	ROW("middle fragment", UDP, DROP_ip_fragment, .patch = {{IP + 6, 0x20}, {IP + 7, 10}}),
	ROW("last fragment", UDP, DROP_ip_fragment, .patch = {{IP + 7, 10}}),
	ROW("fragment with the highest offset", UDP, DROP_ip_fragment, .patch = {{IP + 6, 0x10}}),
	ROW("TCP", UDP, DROP_ip_protocol, .patch = {{IP + 9, 6}}),
	ROW("UDP-Lite is not UDP", UDP, DROP_ip_protocol, .patch = {{IP + 9, 136}}),
	ROW("IP ends inside the UDP header", UDP, DROP_udp_malformed, .patch = {{IP + 3, 27}}),
	ROW("IP ends before the UDP header", UDP, DROP_udp_malformed, .patch = {{IP + 3, 20}}),
	ROW("UDP length below its header", UDP, DROP_udp_malformed, .patch = {{L4 + 5, 7}}),
	ROW("UDP length 0", UDP, DROP_udp_malformed, .patch = {{L4 + 5, 0}}),
	ROW("UDP length one more than IP's", UDP, DROP_udp_malformed, .patch = {{L4 + 5, 73}}),
	ROW("UDP length reaches into the padding", UDP, DROP_udp_malformed, .patch = {{L4 + 5, 73}},
		.pad = 18),
	ROW("UDP length beyond any frame", UDP, DROP_udp_malformed, .patch = {{L4 + 4, 0xff}}),
	ROW("another UDP port", UDP, DROP_udp_port, .patch = {{L4 + 3, 0x41}}),
	ROW("from UDP port 0", UDP, DROP_udp_port, .patch = {{L4, 0}, {L4 + 1, 0}}),
	ROW("ARP request for us", ARP, ANSWERED),
	ROW("ARP request to our own Ethernet address", ARP_TO_US, ANSWERED),
	ROW("ARP request for our second address", ARP, ANSWERED, .patch = {{14 + 27, 6}}),
	ROW("ARP request in a VLAN", ARP, ANSWERED, .tag = TAG(7)),
	ROW("ARP probe: sender has no address yet", ARP, ANSWERED,
		.patch = {{14 + 14, 0}, {14 + 15, 0}, {14 + 16, 0}, {14 + 17, 0}}),
	ROW("ARP request for another", ARP, DROP_arp_malformed, .patch = {{14 + 27, 3}}),
	ROW("ARP reply", ARP, DROP_arp_malformed, .patch = {{14 + 7, 2}}),
	ROW("ARP operation 0", ARP, DROP_arp_malformed, .patch = {{14 + 7, 0}}),
	ROW("ARP for other hardware", ARP, DROP_arp_malformed, .patch = {{14 + 1, 6}}),
	ROW("ARP for another protocol", ARP, DROP_arp_malformed,
		.patch = {{14 + 2, 0x86}, {14 + 3, 0xdd}}),
	ROW("ARP with long hardware addresses", ARP, DROP_arp_malformed, .patch = {{14 + 4, 8}}),
	ROW("ARP with long protocol addresses", ARP, DROP_arp_malformed, .patch = {{14 + 5, 16}}),
	ROW("ARP cut short by one octet", ARP, DROP_frame_short, .len = 41),
	ROW("ARP that would have us answer to everybody", ARP, DROP_arp_malformed,
		.patch = {{14 + 8, 0xff}, {14 + 9, 0xff}, {14 + 10, 0xff}, {14 + 11, 0xff},
			{14 + 12, 0xff}, {14 + 13, 0xff}}),
	ROW("ARP that would have us answer to a group", ARP, DROP_arp_malformed,
		.patch = {{14 + 8, 0x03}}),
	ROW("ARP from an Ethernet group", ARP, DROP_not_for_us, .patch = {{6, 0x03}}),
	ROW("echo request", ICMP, ANSWERED),
	ROW("echo request in a VLAN", ICMP, ANSWERED, .tag = TAG(4094)),
	ROW("echo request, padded", ICMP, ANSWERED, .pad = 5),
	ROW("echo request with a wrong checksum", ICMP, DROP_icmp_malformed, .patch = {{L4 + 2, 0}},
		.wrong_checksum = 1),
	ROW("echo request whose data was changed", ICMP, DROP_icmp_malformed,
		.patch = {{L4 + 40, 1}}, .wrong_checksum = 1),
	ROW("echo reply", ICMP, DROP_icmp_malformed, .patch = {{L4, 0}}),
	ROW("destination unreachable", ICMP, DROP_icmp_malformed, .patch = {{L4, 3}}),
	ROW("redirect", ICMP, DROP_icmp_malformed, .patch = {{L4, 5}}),
	ROW("timestamp request", ICMP, DROP_icmp_malformed, .patch = {{L4, 13}}),
	ROW("echo request with a code", ICMP, DROP_icmp_malformed, .patch = {{L4 + 1, 1}}),
	ROW("echo request, fragmented", ICMP, DROP_ip_fragment, .patch = {{IP + 6, 0x20}}),
	ROW("echo request shorter than its header", ICMP, DROP_icmp_malformed,
		.patch = {{IP + 3, 27}}),
	ROW("ICMP of no octets", ICMP, DROP_icmp_malformed, .patch = {{IP + 3, 20}}),
	ROW("echo request for another", ICMP, DROP_not_for_us, .patch = {{IP + 19, 3}}),
	ROW("echo request to the Ethernet broadcast", ICMP, DROP_not_for_us,
		.patch = {{0, 0xff}, {1, 0xff}, {2, 0xff}, {3, 0xff}, {4, 0xff}, {5, 0xff}}),
	ROW("too big", BIG4, HINTED),
	ROW("too big, in a VLAN", BIG4, HINTED, .tag = TAG(7)),
	ROW("too big, with a wrong checksum", BIG4, DROP_icmp_malformed, .patch = {{L4 + 7, 1}},
		.wrong_checksum = 1),
	ROW("too big, quoting too little", BIG4, DROP_icmp_malformed, .patch = {{IP + 3, 51}}),
	ROW("too big, about TCP", BIG4, DROP_icmp_malformed, .patch = {{L4 + 8 + 9, 6}}),
	ROW("port unreachable", BIG4, DROP_icmp_malformed, .patch = {{L4 + 1, 3}}),
	ROW("IPv6: a datagram for us goes on", UDP6, CLASSIFIED),
	ROW("IPv6: one in a VLAN", UDP6, CLASSIFIED, .tag = TAG(7)),
	ROW("IPv6: traffic class, flow label and hop limit do not matter", UDP6, CLASSIFIED,
		.patch = {{IP, 0x6f}, {IP + 1, 0xff}, {IP + 7, 1}}),
	ROW("IPv6: padding is cut off", UDP6, CLASSIFIED, .pad = 18),
	ROW("IPv6: UDP's length counts", UDP6, CLASSIFIED, .patch = {{L4_IP6 + 5, 8 + 10}},
		.payload = 10),
	ROW("IPv6: from a link-local address", UDP6, CLASSIFIED,
		.patch = {{IP + 8, 0xfe}, {IP + 9, 0x80}}),
	ROW("IPv6: for another address", UDP6, DROP_not_for_us, .patch = {{IP + 39, 3}}),
	ROW("IPv6: for another machine's Ethernet address", UDP6, DROP_not_for_us,
		.patch = {{4, 0x77}, {5, 0x77}}),
	ROW("IPv6: for us, to an Ethernet group", UDP6, DROP_not_for_us,
		.patch = {{0, 0x33}, {1, 0x33}}),
	ROW("IPv6: a datagram to the neighbours' group", UDP6, DROP_not_for_us,
		.patch = {{0, 0x33}, {IP + 24, 0xff}, {IP + 25, 2}, {IP + 35, 1}, {IP + 36, 0xff},
			{IP + 37, 0x12}, {IP + 38, 0x34}, {IP + 39, 2}}),
	ROW("IPv6: to all nodes", UDP6, DROP_not_for_us,
		.patch = {{0, 0x33}, {IP + 24, 0xff}, {IP + 25, 2}}),
	ROW("IPv6: from a group", UDP6, DROP_ip_malformed, .patch = {{IP + 8, 0xff}}),
	ROW("IPv6: from nobody", UDP6, DROP_ip_malformed,
		.patch = {{IP + 8, 0}, {IP + 9, 0}, {IP + 23, 0}}),
	ROW("IPv6: from what looks like IPv4", UDP6, DROP_ip_malformed,
		.patch = {{IP + 8, 0}, {IP + 9, 0}, {IP + 18, 0xff}, {IP + 19, 0xff}}),
	ROW("IPv6 version 5", UDP6, DROP_ip_malformed, .patch = {{IP, 0x50}}),
	ROW("IPv6 length one more than the frame", UDP6, DROP_ip_malformed,
		.patch = {{IP + 5, 73}}),
	ROW("IPv6 length beyond any frame", UDP6, DROP_ip_malformed, .patch = {{IP + 4, 0xff}}),
	ROW("IPv6 length 0", UDP6, DROP_udp_malformed, .patch = {{IP + 5, 0}}),
	ROW("IPv6 ends inside the UDP header", UDP6, DROP_udp_malformed, .patch = {{IP + 5, 7}}),
	ROW("IPv6: UDP length more than IP's", UDP6, DROP_udp_malformed,
		.patch = {{L4_IP6 + 5, 73}}),
	ROW("IPv6: UDP without checksum", UDP6, DROP_udp_malformed,
		.patch = {{L4_IP6 + 6, 0}, {L4_IP6 + 7, 0}}),
	ROW("IPv6: another UDP port", UDP6, DROP_udp_port, .patch = {{L4_IP6 + 3, 0x41}}),
	ROW("IPv6: hop-by-hop options", UDP6, DROP_ip_options, .patch = {{IP + 6, 0}}),
	ROW("IPv6: routing header", UDP6, DROP_ip_options, .patch = {{IP + 6, 43}}),
	ROW("IPv6: destination options", UDP6, DROP_ip_options, .patch = {{IP + 6, 60}}),
	ROW("IPv6: fragment", UDP6, DROP_ip_fragment, .patch = {{IP + 6, 44}}),
	ROW("IPv6: TCP", UDP6, DROP_ip_protocol, .patch = {{IP + 6, 6}}),
	ROW("IPv6: ICMP of IPv4", UDP6, DROP_ip_protocol, .patch = {{IP + 6, 1}}),
	ROW("neighbour asks for us", SOLICIT, ANSWERED),
	ROW("neighbour asks for us in a VLAN", SOLICIT, ANSWERED, .tag = TAG(7)),
	ROW("neighbour asks us alone", SOLICIT_US, ANSWERED),
	ROW("neighbour asks us alone at a group's Ethernet address", SOLICIT, DROP_not_for_us,
		.patch = {{IP + 24, 0xfd}, {IP + 25, 0x99}, {IP + 35, 0}, {IP + 36, 0},
			{IP + 37, 0x12}, {IP + 38, 0x34}, {IP + 39, 0x02}}),
	ROW("neighbour without an address probes ours", PROBE6, ANSWERED),
	ROW("neighbour asks through a router", SOLICIT, DROP_icmp_malformed,
		.patch = {{IP + 7, 254}}),
	ROW("neighbour asks for another in our group", SOLICIT, DROP_icmp_malformed,
		.patch = {{L4_IP6 + 10, 1}}),
	ROW("neighbour asks in another group", SOLICIT, DROP_not_for_us, .patch = {{IP + 39, 1}}),
	ROW("neighbour asks with a code", SOLICIT, DROP_icmp_malformed, .patch = {{L4_IP6 + 1, 1}}),
	ROW("neighbour asks with a wrong checksum", SOLICIT, DROP_icmp_malformed,
		.patch = {{L4_IP6 + 3, 0}}, .wrong_checksum = 1),
	ROW("neighbour with an option of no length", SOLICIT, DROP_icmp_malformed,
		.patch = {{L4_IP6 + 25, 0}}),
	ROW("neighbour would have us answer a group", SOLICIT, DROP_icmp_malformed,
		.patch = {{L4_IP6 + 26, 3}}),
	ROW("who has no address has no MAC to tell", SOLICIT, DROP_icmp_malformed,
		.patch = {{IP + 8, 0}, {IP + 9, 0}, {IP + 23, 0}}),
	ROW("neighbour advertises", SOLICIT, DROP_not_for_us, .patch = {{L4_IP6, 136}}),
	ROW("IPv6 echo request", ECHO6, ANSWERED),
	ROW("IPv6 echo request in a VLAN", ECHO6, ANSWERED, .tag = TAG(7)),
	ROW("IPv6 echo request, padded", ECHO6, ANSWERED, .pad = 5),
	ROW("IPv6 echo request with a wrong checksum", ECHO6, DROP_icmp_malformed,
		.patch = {{L4_IP6 + 12, 0}}, .wrong_checksum = 1),
	ROW("IPv6 echo request with a code", ECHO6, DROP_icmp_malformed,
		.patch = {{L4_IP6 + 1, 1}}),
	ROW("IPv6 echo request without data", ECHO6, DROP_icmp_malformed, .patch = {{IP + 5, 7}}),
	ROW("IPv6 echo request from a group", ECHO6, DROP_not_for_us, .patch = {{IP + 8, 0xff}}),
	ROW("IPv6 echo reply", ECHO6, DROP_icmp_malformed, .patch = {{L4_IP6, 129}}),
	ROW("router advertisement", ECHO6, DROP_icmp_malformed, .patch = {{L4_IP6, 134}}),
	ROW("redirect of IPv6", ECHO6, DROP_icmp_malformed, .patch = {{L4_IP6, 137}}),
	ROW("packet too big", BIG6, HINTED),
	ROW("packet too big, quoting too little", BIG6, DROP_icmp_malformed,
		.patch = {{IP + 5, 51}}),
	ROW("packet too big, about TCP", BIG6, DROP_icmp_malformed, .patch = {{L4_IP6 + 8 + 6, 6}}),
};

static void row_frame(const struct row *r, struct frame *f)
{
	frame_make(f, r->base);
	for (unsigned i = 0; i < PATCHES && (r->patch[i].at || r->patch[i].value); i++)
		f->octets[r->patch[i].at] = r->patch[i].value;
	if ((r->base == ICMP || r->base == BIG4) && !r->wrong_checksum)
		icmp_checksum_fix(f);
	if (is_ip4(r->base) && !r->wrong_checksum)
		ip_checksum_fix(f, IP);
	if (is_icmp6(r->base) && !r->wrong_checksum)
		icmp6_checksum_fix(f, IP);
	f->len += r->pad;
	if (r->tag)
		tag_insert(f, r->tag - 1u);
}

static void each_frame_meets_its_verdict(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *r = &rows[i];
		unsigned level = rte_mempool_avail_count(world.pool), verdict;
		size_t l2_len = r->tag ? 18 : 14;
		struct rte_mbuf *m;
		struct frame f;

		world.w->now_us += 1000;
		row_frame(r, &f);
		verdict = rx_one(mbuf_of(&f, r->len ? r->len : f.len), &m);
		if (verdict != r->want)
			fail_msg("%s: %s, not %s", r->what, verdict_name(verdict),
				verdict_name(r->want));
		if (verdict == CLASSIFIED)
			classified_check(m, &f, l2_len,
				r->payload == 0xffff ? 0
				: r->payload         ? r->payload
						     : UDP_PAYLOAD);
		else if (verdict == HINTED)
			hint_check(m, r->base == BIG4 ? 4 : 6, r->tag ? 7 : 0);
		else if (verdict == ANSWERED && r->base == ICMP)
			icmp_reply_check(m, &f, l2_len);
		else if (verdict == ANSWERED && r->base == ECHO6)
			echo6_reply_check(m, &f, l2_len);
		else if (verdict == ANSWERED && is_icmp6(r->base))
			advert_check(m, &f, l2_len);
		else if (verdict == ANSWERED)
			arp_reply_check(m, &f, l2_len);
		rte_pktmbuf_free(m);
		assert_int_equal(rte_mempool_avail_count(world.pool), level);
	}
}

/** The reply's checksum is the request's, changed by a sum that may carry. */
static void echo_replies_have_right_checksums(void **state)
{
	(void)state;
	for (unsigned id = 0; id < 0x10000; id += 0x1f) {
		struct rte_mbuf *m;
		struct frame f;

		world.w->now_us += 2000;
		frame_make(&f, ICMP);
		put16(f.octets + L4 + 4, id);
		icmp_checksum_fix(&f);
		assert_int_equal(rx_one(mbuf_of(&f, f.len), &m), ANSWERED);
		icmp_reply_check(m, &f, 14);
		rte_pktmbuf_free(m);
	}
}

/** Drivers that take the tag out of the frame (net_af_packet does) hand it over beside it. */
static void a_tag_beside_the_frame_counts_as_in_it(void **state)
{
	static const struct {
		enum base base;
		unsigned verdict;
	} cases[] = {{UDP, CLASSIFIED}, {ARP, ANSWERED}, {ICMP, ANSWERED}};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct frame f, tagged;
		struct rte_mbuf *m;

		world.w->now_us += 2000;
		frame_make(&f, cases[i].base);
		tagged = f;
		tag_insert(&tagged, 0x6007);
		m = mbuf_of(&f, f.len);
		m->vlan_tci = 0x6007;
		m->ol_flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
		assert_int_equal(rx_one(m, &m), cases[i].verdict);
		if (cases[i].base == UDP)
			classified_check(m, &tagged, 18, UDP_PAYLOAD);
		else if (cases[i].base == ARP)
			arp_reply_check(m, &tagged, 18);
		else
			icmp_reply_check(m, &tagged, 18);
		rte_pktmbuf_free(m);
	}
}

/** Octets without which rx looks no further. */
static size_t header_of(enum base base)
{
	return base == ARP ? 28 : is_ip4(base) ? 20 : 40;
}

/** No prefix of a valid frame is taken for it, although the rest lies behind it in the buffer. */
static void no_prefix_is_a_frame(void **state)
{
	static const struct {
		enum base base;
		uint16_t tci;
		size_t needed; /* shortest prefix that is whole */
	} whole[] = {{UDP, 0, 106}, {UDP, 7, 110}, {ICMP, 0, 75}, {ICMP, 7, 79}, {ARP, 0, 42},
		{ARP, 7, 46}, {UDP6, 0, 126}, {UDP6, 7, 130}, {ECHO6, 0, 95}, {SOLICIT, 0, 86},
		{PROBE6, 0, 78}};

	(void)state;
	for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++) {
		struct rte_mbuf *m;
		struct frame f;

		frame_make(&f, whole[i].base);
		if (whole[i].tci)
			tag_insert(&f, whole[i].tci);
		for (size_t len = 0; len < whole[i].needed; len++) {
			size_t l2_len = whole[i].tci ? 18 : 14;
			unsigned verdict = rx_one(mbuf_of(&f, len), &m);

			assert_int_equal(verdict, len < l2_len + header_of(whole[i].base)
							  ? DROP_frame_short
							  : DROP_ip_malformed);
		}
		assert_true(rx_one(mbuf_of(&f, whole[i].needed), &m) >= CLASSIFIED);
		rte_pktmbuf_free(m);
	}
}

static void segments_are_joined_wherever_they_are_cut(void **state)
{
	unsigned level = rte_mempool_avail_count(world.pool);

	(void)state;
	for (size_t at = 0; at <= 106; at++) {
		struct rte_mbuf *m, *result;
		struct frame f;

		frame_make(&f, UDP);
		m = mbuf_of(&f, f.len);
		mbuf_split(m, at);
		assert_int_equal(rx_one(m, &result), CLASSIFIED);
		classified_check(result, &f, 14, UDP_PAYLOAD);
		rte_pktmbuf_free(result);
	}
	assert_int_equal(rte_mempool_avail_count(world.pool), level);
}

/** A chain longer than one buffer cannot be joined: dropped whole, not leaked. */
static void a_chain_too_long_to_join_is_dropped(void **state)
{
	unsigned level = rte_mempool_avail_count(world.pool);
	struct rte_mbuf *m, *result;
	struct frame f;

	(void)state;
	frame_make(&f, UDP);
	m = mbuf_of(&f, f.len);
	for (unsigned i = 0; i < 2; i++) {
		struct rte_mbuf *more = rte_pktmbuf_alloc(world.pool);

		assert_non_null(rte_pktmbuf_append(more, 2000));
		assert_int_equal(rte_pktmbuf_chain(m, more), 0);
	}
	assert_true(rx_one(m, &result) < DROP_COUNT);
	assert_int_equal(rte_mempool_avail_count(world.pool), level);
}

/** ARP and echo are answered so often a second and no more; another second, another thousand. */
static void answers_are_rationed(void **state)
{
	unsigned answered = 0, refused = 0;
	struct rte_mbuf *m;

	(void)state;
	world.w->now_us += 5000000;
	for (unsigned i = 0; i < 1500; i++) {
		struct frame f;

		frame_make(&f, i & 1 ? ARP : ICMP);
		switch (rx_one(mbuf_of(&f, f.len), &m)) {
		case ANSWERED:
			answered++;
			break;
		case DROP_arp_rate:
			refused++;
			break;
		default:
			fail();
		}
		rte_pktmbuf_free(m);
	}
	assert_int_equal(answered, 1000);
	assert_int_equal(refused, 500);
	world.w->now_us += 1000000;
	for (unsigned i = 0; i < 2; i++) {
		struct frame f;

		frame_make(&f, i ? ARP : ICMP);
		assert_int_equal(rx_one(mbuf_of(&f, f.len), &m), ANSWERED);
		rte_pktmbuf_free(m);
	}
}

/** A full burst of mixed frames: order within what goes on is kept. */
static void a_burst_keeps_its_order(void **state)
{
	struct rte_mbuf *m[PATH_BURST], *sent[PATH_BURST];
	struct worker_counters before = world.w->count;
	unsigned level, n;

	(void)state;
	level = rte_mempool_avail_count(world.pool);
	world.w->now_us += 1000000;
	world.classified_count = 0;
	for (unsigned i = 0; i < PATH_BURST; i++) {
		struct frame f;

		frame_make(&f, (enum base)(i % 3));
		f.octets[UDP_DATA] = i % 3 == UDP ? (uint8_t)i : f.octets[UDP_DATA];
		m[i] = mbuf_of(&f, f.len);
	}
	rx_burst(world.w, m, PATH_BURST);
	assert_int_equal(world.classified_count, 11);
	for (unsigned i = 0; i < world.classified_count; i++)
		assert_int_equal(*rte_pktmbuf_mtod(world.classified[i], uint8_t *), 3 * i);
	n = sent_take(sent, PATH_BURST);
	assert_int_equal(n, 21);
	assert_int_equal(world.w->count.answered - before.answered, 21);
	assert_int_equal(world.w->count.tx_packets - before.tx_packets, 21);
	assert_int_equal(world.w->count.egress_packets, before.egress_packets);
	free_all(sent, n);
	free_all(world.classified, world.classified_count);
	assert_int_equal(rte_mempool_avail_count(world.pool), level);
}

/* --- any frame --- */

static uint64_t dice_state = 0x5f0ac0de;

static uint32_t dice(uint32_t sides)
{
	dice_state ^= dice_state << 13;
	dice_state ^= dice_state >> 7;
	dice_state ^= dice_state << 17;
	return (uint32_t)(dice_state >> 32) % sides;
}

static bool is_datagram6_for_us(const uint8_t *ip, size_t have, size_t *payload_len)
{
	static const uint8_t zeros[10];
	size_t udp_len;

	if (have < 48 || ip[0] >> 4 != 6 || get16(ip + 4) > have - 40 || get16(ip + 4) < 8
		|| ip[6] != 17)
		return false;
	if (memcmp(ip + 24, our_ip6, 16) || ip[8] == 0xff || !memcmp(ip + 8, zeros, 10))
		return false;
	udp_len = get16(ip + 44);
	if (udp_len < 8 || udp_len > get16(ip + 4) || !get16(ip + 46))
		return false;
	*payload_len = udp_len - 8;
	return get16(ip + 42) == MEDIA_PORT && get16(ip + 40);
}

/** By the book and without DPDK: is this a datagram that must go on? */
static bool is_datagram_for_us(const struct frame *f, size_t *l2_len, size_t *payload_len)
{
	const uint8_t *e = f->octets, *ip;
	size_t have, total, udp_len;

	*l2_len = 14;
	if (f->len < 14 || memcmp(e, world.port.mac, 6) || (e[6] & 1)
		|| !memcmp(e + 6, "\0\0\0\0\0\0", 6))
		return false;
	if (get16(e + 12) == 0x8100) {
		if (f->len < 18)
			return false;
		*l2_len = 18;
	}
	ip = e + *l2_len;
	have = f->len - *l2_len;
	if (get16(ip - 2) == 0x86dd)
		return is_datagram6_for_us(ip, have, payload_len);
	if (get16(ip - 2) != 0x0800 || have < 28)
		return false;
	total = get16(ip + 2);
	if (ip[0] != 0x45 || total < 28 || total > have || checksum(ip, 20)
		|| (get16(ip + 6) & 0x3fff) || ip[9] != 17)
		return false;
	if (memcmp(ip + 16, our_ip, 4) && memcmp(ip + 16, our_other_ip, 4))
		return false;
	udp_len = get16(ip + 24);
	if (udp_len < 8 || udp_len > total - 20)
		return false;
	*payload_len = udp_len - 8;
	return get16(ip + 22) == MEDIA_PORT && get16(ip + 20);
}

static void frame_mutate(struct frame *f)
{
	unsigned changes = dice(5);
	size_t l2_len = 14;

	frame_make(f, (enum base)dice(BASES));
	if (dice(4) == 0) {
		tag_insert(f, dice(0x10000));
		l2_len = 18;
	}
	for (unsigned i = 0; i < changes; i++) {
		uint8_t *octet = &f->octets[dice(8) ? dice(70) : dice((uint32_t)f->len)];

		switch (dice(4)) {
		case 0:
			*octet = (uint8_t)dice(256);
			break;
		case 1:
			*octet ^= (uint8_t)(1u << dice(8));
			break;
		case 2:
			*octet = dice(2) ? 0xff : 0;
			break;
		default:
			*octet = (uint8_t)(*octet + (dice(2) ? 1 : -1));
		}
	}
	// A damaged checksum must not hide everything behind it.
	if (dice(4) && get16(f->octets + l2_len - 2) == 0x0800)
		ip_checksum_fix(f, l2_len);
	if (dice(4) && get16(f->octets + l2_len - 2) == 0x86dd && f->octets[l2_len + 6] == 58)
		icmp6_checksum_fix(f, l2_len);
	if (dice(4) == 0)
		f->len = dice((uint32_t)f->len + 1);
	else if (dice(8) == 0)
		f->len += dice(20);
}

static void any_frame_is_in_the_books(void **state)
{
	struct worker_counters *c = &world.w->count;
	unsigned level = rte_mempool_avail_count(world.pool);
	uint64_t went_on = 0, hints = 0, rx = c->rx_packets, answered = c->answered,
		 dropped = dropped_sum(c);
	uint64_t reasons_met = 0;

	(void)state;
	for (unsigned round = 0; round < 100000; round++) {
		size_t l2_len = 0, payload_len = 0;
		struct rte_mbuf *m, *result;
		unsigned verdict;
		struct frame f;
		bool good;

		world.w->now_us += 2000;
		frame_mutate(&f);
		good = is_datagram_for_us(&f, &l2_len, &payload_len);
		m = mbuf_of(&f, f.len);
		if (f.len && dice(16) == 0)
			mbuf_split(m, dice((uint32_t)f.len + 1));
		verdict = rx_one(m, &result);
		if (good != (verdict == CLASSIFIED))
			fail_msg("round %u: %s, should%s go on", round, verdict_name(verdict),
				good ? "" : " not");
		if (good) {
			classified_check(result, &f, l2_len, payload_len);
			went_on++;
		}
		hints += verdict == HINTED;
		rte_pktmbuf_free(result);
		reasons_met |= 1ull << verdict;
	}
	assert_int_equal(c->rx_packets - rx, 100000);
	assert_int_equal(c->rx_packets - rx,
		c->answered - answered + dropped_sum(c) - dropped + went_on + hints);
	assert_int_equal(rte_mempool_avail_count(world.pool), level);
	// The loop met every end that rx has but the ration, or it proves little.
	for (unsigned r = DROP_frame_short; r <= DROP_udp_port; r++) {
		if (r != DROP_arp_rate && !(reasons_met >> r & 1))
			fail_msg("never met: %s", drop_names[r]);
	}
	assert_true(went_on > 10000);
	assert_true(c->answered - answered > 10000);
}

/* --- tx --- */

static void headers_are_those_of_the_tuple(void **state)
{
	static const uint16_t payloads[] = {0, 1, 2, 100, 1200, 1472};
	static const uint16_t vlans[] = {0, 7, 4095};
	unsigned level = rte_mempool_avail_count(world.pool);

	(void)state;
	for (unsigned i = 0; i < 6 * 3; i++) {
		uint16_t payload = payloads[i % 6], vlan = vlans[i / 6];
		size_t l2_len = vlan ? 18 : 14;
		struct l2_path l2
			= {.remote_mac = {2, 0, 0, 0, 0, 9}, .local_mac = {2, 1, 1, 1, 1, 1}};
		struct tuple t = {.vlan = vlan};
		struct rte_mbuf *m = rte_pktmbuf_alloc(world.pool);
		const uint8_t *p, *ip;
		char *data;

		mapped(t.remote, their_ip);
		mapped(t.local, our_other_ip);
		put16((uint8_t *)&t.remote_port_be16, 5004);
		put16((uint8_t *)&t.local_port_be16, MEDIA_PORT);
		data = rte_pktmbuf_append(m, payload);
		memset(data, 0x5a, payload);
		// Whatever was in the headroom does not shine through.
		memset((uint8_t *)m->buf_addr, 0xee, rte_pktmbuf_headroom(m));
		tx_encapsulate(world.w, m, &t, &l2);
		assert_int_equal(rte_pktmbuf_pkt_len(m), l2_len + 28 + payload);
		p = rte_pktmbuf_mtod(m, uint8_t *);
		ip = p + l2_len;
		assert_memory_equal(p, l2.remote_mac, 6);
		assert_memory_equal(p + 6, l2.local_mac, 6);
		if (vlan) {
			assert_int_equal(get16(p + 12), 0x8100);
			assert_int_equal(get16(p + 14), vlan);
		}
		assert_int_equal(get16(ip - 2), 0x0800);
		assert_int_equal(ip[0], 0x45);
		assert_int_equal(ip[1], 0);
		assert_int_equal(get16(ip + 2), 28 + payload);
		assert_int_equal(get16(ip + 4), 0);
		assert_int_equal(get16(ip + 6), 0x4000);
		assert_int_equal(ip[8], 64);
		assert_int_equal(ip[9], 17);
		assert_int_equal(checksum(ip, 20), 0);
		assert_memory_equal(ip + 12, our_other_ip, 4);
		assert_memory_equal(ip + 16, their_ip, 4);
		assert_int_equal(get16(ip + 20), MEDIA_PORT);
		assert_int_equal(get16(ip + 22), 5004);
		assert_int_equal(get16(ip + 24), 8 + payload);
		assert_int_equal(get16(ip + 26), 0);
		for (unsigned k = 0; k < payload; k++)
			assert_int_equal(ip[28 + k], 0x5a);
		rte_pktmbuf_free(m);
	}
	assert_int_equal(rte_mempool_avail_count(world.pool), level);
}

static void headers_over_ip6_are_those_of_the_tuple(void **state)
{
	static const uint16_t payloads[] = {0, 1, 2, 99, 160};

	(void)state;
	for (unsigned i = 0; i < 5 * 2; i++) {
		uint16_t payload = payloads[i % 5], vlan = i / 5 ? 7 : 0;
		size_t l2_len = vlan ? 18 : 14;
		struct l2_path l2
			= {.remote_mac = {2, 0, 0, 0, 0, 9}, .local_mac = {2, 1, 1, 1, 1, 1}};
		struct tuple t = {.vlan = vlan};
		struct rte_mbuf *m = rte_pktmbuf_alloc(world.pool);
		const uint8_t *ip;

		memcpy(t.remote, their_ip6, 16);
		memcpy(t.local, our_ip6, 16);
		put16((uint8_t *)&t.remote_port_be16, 5004);
		put16((uint8_t *)&t.local_port_be16, MEDIA_PORT);
		memset(rte_pktmbuf_append(m, payload), 0x5a, payload);
		memset((uint8_t *)m->buf_addr, 0xee, rte_pktmbuf_headroom(m));
		tx_encapsulate(world.w, m, &t, &l2);
		assert_int_equal(rte_pktmbuf_pkt_len(m), l2_len + 48 + payload);
		ip = rte_pktmbuf_mtod(m, uint8_t *) + l2_len;
		assert_int_equal(get16(ip - 2), 0x86dd);
		assert_memory_equal(ip, ((const uint8_t[]){0x60, 0, 0, 0}), 4);
		assert_int_equal(get16(ip + 4), 8 + payload);
		assert_int_equal(ip[6], 17);
		assert_int_equal(ip[7], 64);
		assert_memory_equal(ip + 8, our_ip6, 16);
		assert_memory_equal(ip + 24, their_ip6, 16);
		assert_int_equal(get16(ip + 40), MEDIA_PORT);
		assert_int_equal(get16(ip + 42), 5004);
		assert_int_equal(get16(ip + 44), 8 + payload);
		assert_int_not_equal(get16(ip + 46), 0);
		assert_int_equal(checksum6(ip, ip + 40, 8u + payload), 0);
		rte_pktmbuf_free(m);
	}
}

/** A sum of all ones would read as "no checksum" if it were inverted (RFC 768). */
static void a_checksum_is_never_zero(void **state)
{
	struct tuple t = {.vlan = 0};
	struct l2_path l2 = {0};
	unsigned seen = 0;

	(void)state;
	memcpy(t.remote, their_ip6, 16);
	memcpy(t.local, our_ip6, 16);
	for (unsigned value = 0; value < 0x10000; value++) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(world.pool);
		unsigned sum;

		put16((uint8_t *)rte_pktmbuf_append(m, 2), value);
		tx_encapsulate(world.w, m, &t, &l2);
		sum = get16(rte_pktmbuf_mtod_offset(m, uint8_t *, L4_IP6 + 6));
		assert_int_not_equal(sum, 0);
		seen += sum == 0xffff;
		rte_pktmbuf_free(m);
	}
	assert_true(seen > 0);
}

/** What tx makes, rx of the machine at the other end accepts. */
static void what_tx_makes_rx_takes(void **state)
{
	struct l2_path l2 = {.remote_mac = {0}, .local_mac = {2, 0, 0, 0, 0, 9}};
	struct rte_mbuf *m = rte_pktmbuf_alloc(world.pool), *result;
	struct tuple t = {.vlan = 9};
	const struct pkt *pkt;

	(void)state;
	memcpy(l2.remote_mac, world.port.mac, 6);
	mapped(t.remote, our_ip);
	mapped(t.local, their_ip);
	put16((uint8_t *)&t.remote_port_be16, MEDIA_PORT);
	put16((uint8_t *)&t.local_port_be16, 5004);
	memcpy(rte_pktmbuf_append(m, 5), "hello", 5);
	tx_encapsulate(world.w, m, &t, &l2);
	assert_int_equal(rx_one(m, &result), CLASSIFIED);
	pkt = pkt_of(result);
	assert_int_equal(rte_pktmbuf_pkt_len(result), 5);
	assert_memory_equal(rte_pktmbuf_mtod(result, char *), "hello", 5);
	assert_memory_equal(pkt->tuple.remote, t.local, 16);
	assert_memory_equal(pkt->tuple.local, t.remote, 16);
	assert_int_equal(pkt->tuple.remote_port_be16, t.local_port_be16);
	assert_int_equal(pkt->tuple.local_port_be16, t.remote_port_be16);
	assert_int_equal(pkt->tuple.vlan, 9);
	assert_memory_equal(pkt->l2.remote_mac, l2.local_mac, 6);
	rte_pktmbuf_free(result);
}

/** More frames than the port's ring holds: what it did not take is counted and freed. */
static void a_full_port_is_in_the_books(void **state)
{
	enum { frames = 1500 };
	struct worker_counters before = world.w->count, *c = &world.w->count;
	unsigned level = rte_mempool_avail_count(world.pool), back = 0, egress_back = 0, n;
	uint64_t bytes = 0, egress_bytes = 0;
	struct rte_mbuf *m[PATH_BURST];

	(void)state;
	for (unsigned i = 0; i < frames; i++) {
		struct rte_mbuf *frame = rte_pktmbuf_alloc(world.pool);
		uint16_t len = (uint16_t)(60 + i % 1000);

		assert_non_null(frame);
		// The length says which kind it is: every third is for a consumer.
		memset(rte_pktmbuf_append(frame, len), i % 3 ? 0 : 1, len);
		if (i % 3)
			tx_frame(world.w, frame);
		else
			tx_frame_egress(world.w, frame);
	}
	tx_flush(world.w);
	tx_flush(world.w); // With nothing to do.
	while ((n = rte_eth_rx_burst(world.port.id, 0, m, PATH_BURST)) > 0) {
		for (unsigned i = 0; i < n; i++) {
			bool egress = *rte_pktmbuf_mtod(m[i], uint8_t *);

			back++;
			bytes += rte_pktmbuf_pkt_len(m[i]);
			egress_back += egress;
			egress_bytes += egress ? rte_pktmbuf_pkt_len(m[i]) : 0;
		}
		free_all(m, n);
	}
	assert_true(back > 500 && back < frames);
	assert_int_equal(c->tx_packets - before.tx_packets, back);
	assert_int_equal(c->tx_bytes - before.tx_bytes, bytes);
	assert_int_equal(c->tx_full - before.tx_full, frames - back);
	assert_int_equal(c->egress_packets - before.egress_packets, egress_back);
	assert_int_equal(c->egress_bytes - before.egress_bytes, egress_bytes);
	assert_int_equal(
		c->edge[EDGE_tx_full] - before.edge[EDGE_tx_full], frames / 3 - egress_back);
	assert_int_equal(world.w->tx_count, 0);
	assert_int_equal(rte_mempool_avail_count(world.pool), level);
}

/* --- port.c --- */

static void addresses_are_parsed(void **state)
{
	static const struct {
		const char *text;
		int count;
	} cases[] = {
		{"198.18.99.2", 1},
		{"198.18.99.2,198.18.99.6", 2},
		{"1.2.3.4,1.2.3.5,1.2.3.6,1.2.3.7", 4},
		{"1.2.3.4,1.2.3.5,1.2.3.6,1.2.3.7,1.2.3.8", -EINVAL},
		{"", -EINVAL},
		{",", -EINVAL},
		{"1.2.3.4,", -EINVAL},
		{",1.2.3.4", -EINVAL},
		{"1.2.3.4,,1.2.3.5", -EINVAL},
		{"1.2.3.4, 1.2.3.5", -EINVAL},
		{"1.2.3", -EINVAL},
		{"1.2.3.256", -EINVAL},
		{"1.2.3.4/24", -EINVAL},
		{"fd99::2", 1},
		{"198.18.99.2,fd99::2", 2},
		{"2001:db8::1,fe80::1,198.18.99.2", 3},
		{"::1", -EINVAL},
		{"::", -EINVAL},
		{"::ffff:1.2.3.4", -EINVAL},
		{"ff02::1", -EINVAL},
		{"fd99::2%eth0", -EINVAL},
		{"fd99::2/64", -EINVAL},
		{"[fd99::2]", -EINVAL},
		{"example.org", -EINVAL},
		{"0.0.0.0", -EINVAL},
		{"255.255.255.255", -EINVAL},
		{"224.0.0.1", -EINVAL},
		{"11111111111111111111111111111111111111111111111111111111111111111", -EINVAL},
	};
	uint8_t out[PORT_ADDRESSES][16], want[16];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (port_addresses_parse(cases[i].text, out) != cases[i].count)
			fail_msg("\"%s\"", cases[i].text);
	}
	assert_int_equal(port_addresses_parse("198.18.99.6,198.18.99.2", out), 2);
	mapped(want, our_other_ip);
	assert_memory_equal(out[0], want, 16);
	mapped(want, our_ip);
	assert_memory_equal(out[1], want, 16);
}

static void device_arguments_are_completed(void **state)
{
	static const struct {
		const char *device;
		unsigned workers;
		const char *want;
	} cases[] = {
		{"net_af_packet0,iface=a", 2,
			"net_af_packet0,iface=a,blocksz=65536,framesz=2048,framecnt=2048,"
			"qdisc_bypass=0,qpairs=2"},
		{"net_af_packet0,iface=a,qpairs=1", 2,
			"net_af_packet0,iface=a,qpairs=1,blocksz=65536,framesz=2048,framecnt=2048,"
			"qdisc_bypass=0"},
		{"net_af_packet0,iface=a,framecnt=64", 3,
			"net_af_packet0,iface=a,framecnt=64,qpairs=3"},
		{"net_tap0,iface=a", 2, "net_tap0,iface=a"},
		{"0000:01:00.0", 2, "0000:01:00.0"},
	};
	char out[128];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(
			port_vdev_arguments(cases[i].device, cases[i].workers, out, sizeof(out)));
		assert_string_equal(out, cases[i].want);
		// One octet less than needed is said, and nothing is written behind it.
		for (size_t cap = 1; cap <= strlen(cases[i].want); cap++) {
			memset(out, 'x', sizeof(out));
			assert_false(
				port_vdev_arguments(cases[i].device, cases[i].workers, out, cap));
			assert_int_equal(out[cap], 'x');
		}
	}
	assert_true(port_is_vdev("net_ring0"));
	assert_false(port_is_vdev("0000:01:00.0"));
}

static void a_port_that_is_not_there_says_so(void **state)
{
	char long_name[200], why[256] = "";
	struct port p = {0};

	(void)state;
	assert_int_equal(port_open(&p, "net_null7", 1, world.pool, why, sizeof(why)), -ENODEV);
	assert_non_null(strstr(why, "net_null7"));
	memset(long_name, 'n', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = 0;
	assert_int_equal(port_open(&p, long_name, 1, world.pool, why, sizeof(why)), -ENODEV);
}

static int world_make(void **state)
{
	static char arguments[][16]
		= {"test_rx", "--no-huge", "--no-pci", "--no-shconf", "--no-telemetry", "-m", "128",
			"--lcores=0", "--iova-mode=va", "--log-level=1", "--vdev", "net_ring0"};
	char *argv[sizeof(arguments) / sizeof(arguments[0])];
	const int argc = sizeof(arguments) / sizeof(arguments[0]);
	char why[256];

	(void)state;
	strcpy(world.folder, "/tmp/sfu-test-XXXXXX");
	if (!mkdtemp(world.folder) || setenv("RUNTIME_DIRECTORY", world.folder, 1))
		return -1;
	for (int i = 0; i < argc; i++)
		argv[i] = arguments[i];
	if (rte_eal_init(argc, argv) < 0)
		return -1;
	world.pool = rte_pktmbuf_pool_create(
		"packets", MBUFS, 64, PKT_PRIV_BYTES, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (!world.pool)
		return -1;
	world.port.address_count = (unsigned)port_addresses_parse(
		"198.18.99.2,198.18.99.6,fd99::12:3402", world.port.address);
	world.port.media_port_be16 = rte_cpu_to_be_16(MEDIA_PORT);
	if (port_open(&world.port, "net_ring0", 1, world.pool, why, sizeof(why))) {
		print_error("%s\n", why);
		return -1;
	}
	world.w = aligned_alloc(64, sizeof(*world.w));
	memset(world.w, 0, sizeof(*world.w));
	world.w->workers = 1;
	world.w->port = &world.port;
	world.w->pool = world.pool;
	world.w->now_us = 1000000000;
	return 0;
}

static int world_end(void **state)
{
	char path[160];

	(void)state;
	port_close(&world.port);
	free(world.w);
	rte_mempool_free(world.pool);
	snprintf(path, sizeof(path), "%s", rte_eal_get_runtime_dir());
	rte_eal_cleanup();
	rmdir(path);
	snprintf(path, sizeof(path), "%s/dpdk", world.folder);
	rmdir(path);
	rmdir(world.folder);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_frame_meets_its_verdict),
		cmocka_unit_test(echo_replies_have_right_checksums),
		cmocka_unit_test(a_tag_beside_the_frame_counts_as_in_it),
		cmocka_unit_test(no_prefix_is_a_frame),
		cmocka_unit_test(segments_are_joined_wherever_they_are_cut),
		cmocka_unit_test(a_chain_too_long_to_join_is_dropped),
		cmocka_unit_test(answers_are_rationed),
		cmocka_unit_test(a_burst_keeps_its_order),
		cmocka_unit_test(any_frame_is_in_the_books),
		cmocka_unit_test(headers_are_those_of_the_tuple),
		cmocka_unit_test(headers_over_ip6_are_those_of_the_tuple),
		cmocka_unit_test(a_checksum_is_never_zero),
		cmocka_unit_test(what_tx_makes_rx_takes),
		cmocka_unit_test(a_full_port_is_in_the_books),
		cmocka_unit_test(addresses_are_parsed),
		cmocka_unit_test(device_arguments_are_completed),
		cmocka_unit_test(a_port_that_is_not_there_says_so),
	};

	return cmocka_run_group_tests(tests, world_make, world_end);
}
