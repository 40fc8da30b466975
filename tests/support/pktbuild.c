// SPDX-License-Identifier: BSD-3-Clause
#include "tests/support/pktbuild.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sfu-dp/proto/cursor.h"
#include "sfu-dp/proto/rtp.h"
#include "sfu-dp/proto/rtp_ext.h"

#define ETHER 14u
#define UDP 8u

static size_t ip_len(bool is_ip6)
{
	return is_ip6 ? 40 : 20;
}

static uint32_t sum_of(const uint8_t *p, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	return sum;
}

static uint16_t checksum(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static unsigned get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

/** What a message over IPv6 must be 0 over, with its pseudo header. */
static uint16_t checksum_ip6(const uint8_t *ip, size_t len)
{
	return checksum(sum_of(ip + 8, 32) + (uint32_t)len + ip[6] + sum_of(ip + 40, len));
}

/** An IP header for so many octets of a protocol behind it. */
static void ip_write(uint8_t *ip, const struct pkt_addr *from, const struct pkt_addr *to,
	uint8_t protocol, size_t len)
{
	memset(ip, 0, ip_len(from->is_ip6));
	if (from->is_ip6) {
		ip[0] = 0x60;
		put16(ip + 4, (unsigned)len);
		ip[6] = protocol;
		ip[7] = 64;
		memcpy(ip + 8, from->ip, 16);
		memcpy(ip + 24, to->ip, 16);
		return;
	}
	ip[0] = 0x45;
	put16(ip + 2, (unsigned)(20 + len));
	put16(ip + 6, 0x4000);
	ip[8] = 64;
	ip[9] = protocol;
	memcpy(ip + 12, from->ip, 4);
	memcpy(ip + 16, to->ip, 4);
	put16(ip + 10, checksum(sum_of(ip, 20)));
}

static void ether_write(uint8_t *out, const struct pkt_addr *from, const struct pkt_addr *to)
{
	memcpy(out, to->mac, 6);
	memcpy(out + 6, from->mac, 6);
	put16(out + 12, from->is_ip6 ? 0x86dd : 0x0800);
}

static void udp_write(
	uint8_t *udp, const struct pkt_addr *from, const struct pkt_addr *to, size_t len)
{
	put16(udp, from->port);
	put16(udp + 2, to->port);
	put16(udp + 4, (unsigned)(UDP + len));
	put16(udp + 6, 0);
}

size_t pkt_frame(uint8_t *out, const struct pkt_addr *from, const struct pkt_addr *to,
	const uint8_t *payload, size_t len)
{
	size_t headers = ETHER + ip_len(from->is_ip6) + UDP;
	uint8_t *ip = out + ETHER, *udp = ip + ip_len(from->is_ip6);

	if (len > PKT_FRAME_MAX - headers)
		abort();
	ether_write(out, from, to);
	ip_write(ip, from, to, 17, UDP + len);
	udp_write(udp, from, to, len);
	memcpy(udp + UDP, payload, len);
	if (from->is_ip6)
		put16(udp + 6, checksum_ip6(ip, UDP + len));
	return headers + len;
}

size_t pkt_too_big(uint8_t *out, const struct pkt_addr *local, const struct pkt_addr *remote,
	uint32_t mtu, uint16_t quoted_len)
{
	bool is_ip6 = local->is_ip6;
	size_t quote = ip_len(is_ip6) + UDP, len = 8 + quote;
	uint8_t *ip = out + ETHER, *icmp = ip + ip_len(is_ip6), *quoted = icmp + 8;

	ether_write(out, remote, local);
	ip_write(ip, remote, local, is_ip6 ? 58 : 1, len);
	memset(icmp, 0, 8);
	icmp[0] = is_ip6 ? 2 : 3;
	icmp[1] = is_ip6 ? 0 : 4;
	put16(icmp + 4, is_ip6 ? mtu >> 16 : 0);
	put16(icmp + 6, mtu & 0xffff);
	ip_write(quoted, local, remote, 17, quoted_len - ip_len(is_ip6));
	udp_write(quoted + ip_len(is_ip6), local, remote, quoted_len - quote);
	put16(icmp + 2, is_ip6 ? checksum_ip6(ip, len) : checksum(sum_of(icmp, len)));
	return ETHER + ip_len(is_ip6) + len;
}

/** Whether this is a whole IP header with UDP behind it and right checksums. */
static bool ip_ok(const uint8_t *ip, size_t len, bool is_ip6)
{
	if (len < ip_len(is_ip6) + UDP)
		return false;
	if (is_ip6)
		return ip[0] >> 4 == 6 && ip[6] == 17 && get16(ip + 4) + 40u == len
		       && get16(ip + 46) && !checksum_ip6(ip, len - 40);
	return ip[0] == 0x45 && ip[9] == 17 && !checksum(sum_of(ip, 20)) && get16(ip + 2) == len;
}

const uint8_t *pkt_unframe(const uint8_t *frame, size_t frame_len, struct pkt_addr *from,
	struct pkt_addr *to, size_t *len)
{
	const uint8_t *ip = frame + ETHER, *udp;
	bool is_ip6;

	if (frame_len < ETHER)
		return NULL;
	is_ip6 = get16(frame + 12) == 0x86dd;
	if ((!is_ip6 && get16(frame + 12) != 0x0800) || !ip_ok(ip, frame_len - ETHER, is_ip6))
		return NULL;
	memset(from, 0, sizeof(*from));
	memset(to, 0, sizeof(*to));
	from->is_ip6 = to->is_ip6 = is_ip6;
	memcpy(to->mac, frame, 6);
	memcpy(from->mac, frame + 6, 6);
	memcpy(from->ip, ip + (is_ip6 ? 8 : 12), is_ip6 ? 16 : 4);
	memcpy(to->ip, ip + (is_ip6 ? 24 : 16), is_ip6 ? 16 : 4);
	udp = ip + ip_len(is_ip6);
	from->port = (uint16_t)get16(udp);
	to->port = (uint16_t)get16(udp + 2);
	*len = get16(udp + 4) - UDP;
	return udp + UDP + *len == frame + frame_len ? udp + UDP : NULL;
}

static void hmac_sha1(void *ctx, const uint8_t *key, size_t key_len, const struct stun_bytes *parts,
	size_t part_count, uint8_t out[20])
{
	uint8_t whole[PKT_FRAME_MAX];
	size_t len = 0;

	(void)ctx;
	for (size_t i = 0; i < part_count; i++) {
		if (len + parts[i].len > sizeof(whole))
			abort();
		memcpy(whole + len, parts[i].ptr, parts[i].len);
		len += parts[i].len;
	}
	if (!HMAC(EVP_sha1(), key, (int)key_len, whole, len, out, NULL))
		abort();
}

const struct stun_crypto pkt_stun_crypto = {.hmac_sha1 = hmac_sha1};

size_t pkt_check(uint8_t *out, size_t cap, const char *ufrag, const char *pwd, uint8_t role,
	bool use_candidate, uint32_t *count)
{
	uint8_t txid[STUN_TXID_LEN] = "test";
	char username[64];
	struct stun_request r = {
		.txid = txid,
		.username = (const uint8_t *)username,
		.tie_breaker = 0x0123456789abcdef,
		.priority = 1853817087,
		.role = role,
		.use_candidate = use_candidate,
	};

	r.username_len = (size_t)snprintf(username, sizeof(username), "%s:peer", ufrag);
	++*count;
	memcpy(txid + 8, count, sizeof(*count));
	return stun_encode_request(
		out, cap, &r, (const uint8_t *)pwd, strlen(pwd), &pkt_stun_crypto);
}

static void element(struct wcursor *c, uint8_t id, const void *data, size_t len)
{
	if (!id)
		return;
	wcursor_u8(c, (uint8_t)(id << 4 | (len - 1)));
	wcursor_bytes(c, data, len);
}

size_t pkt_rtp(uint8_t *out, size_t cap, const struct pkt_rtp *p)
{
	struct wcursor c = wcursor_init(out, cap);
	const uint8_t twcc[2] = {(uint8_t)(p->twcc >> 8), (uint8_t)p->twcc};
	bool extension = p->mid_id || p->rid_id || p->level_id || p->twcc_id || p->send_time_id;
	uint8_t send_time[3];
	size_t words_at, elements;

	wcursor_u8(&c, (uint8_t)(0x80 | (p->padding ? 0x20 : 0) | (extension ? 0x10 : 0)));
	wcursor_u8(&c, (uint8_t)((p->marker ? 0x80 : 0) | p->payload_type));
	wcursor_be16(&c, p->seq);
	wcursor_be32(&c, p->timestamp);
	wcursor_be32(&c, p->ssrc);
	if (extension) {
		wcursor_be16(&c, RTP_EXT_ONE_BYTE);
		words_at = wcursor_len(&c);
		wcursor_be16(&c, 0);
		element(&c, p->mid_id, p->mid, p->mid ? strlen(p->mid) : 0);
		element(&c, p->rid_id, p->rid, p->rid ? strlen(p->rid) : 0);
		element(&c, p->level_id, &p->level, 1);
		element(&c, p->twcc_id, twcc, sizeof(twcc));
		rtp_ext_put_be24(send_time, p->send_time);
		element(&c, p->send_time_id, send_time, sizeof(send_time));
		elements = wcursor_len(&c) - words_at - 2;
		wcursor_zero(&c, (4 - elements % 4) % 4);
		out[words_at + 1] = (uint8_t)((elements + 3) / 4);
	}
	wcursor_bytes(&c, p->payload, p->payload_len);
	if (p->padding) {
		wcursor_zero(&c, p->padding - 1u);
		wcursor_u8(&c, p->padding);
	}
	if (!wcursor_ok(&c))
		abort();
	return wcursor_len(&c);
}
