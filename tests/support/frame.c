// SPDX-License-Identifier: BSD-3-Clause
#include "tests/support/frame.h"

#include "sfu-dp/proto/inet_sum.h"

#include <string.h>

#define ETHERNET_LEN 14
#define IPV4_LEN 20
#define IPV6_LEN 40
#define UDP_LEN 8
#define PROTO_UDP 17

static uint16_t be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put_be16(uint8_t *p, uint16_t value)
{
	p[0] = (uint8_t)(value >> 8);
	p[1] = (uint8_t)value;
}

static bool parse_ipv4(const uint8_t *buf, size_t len, struct frame *f)
{
	const uint8_t *ip = buf + ETHERNET_LEN;
	unsigned header;

	if (len < ETHERNET_LEN + IPV4_LEN || ip[0] >> 4 != 4)
		return false;
	header = (ip[0] & 15u) * 4;
	f->ip_len = be16(ip + 2);
	f->udp_off = (uint16_t)(ETHERNET_LEN + header);
	// Fragments carry no header that could be found, or not the whole packet.
	return header >= IPV4_LEN && ip[9] == PROTO_UDP && !(be16(ip + 6) & 0x3fff);
}

static bool parse_ipv6(const uint8_t *buf, size_t len, struct frame *f)
{
	const uint8_t *ip = buf + ETHERNET_LEN;

	if (len < ETHERNET_LEN + IPV6_LEN || ip[0] >> 4 != 6)
		return false;
	f->ip_len = (uint16_t)(IPV6_LEN + be16(ip + 4));
	f->udp_off = ETHERNET_LEN + IPV6_LEN;
	f->is_ipv6 = true;
	return ip[6] == PROTO_UDP;
}

bool frame_parse(const uint8_t *buf, size_t len, struct frame *f)
{
	uint16_t type, udp_len;

	memset(f, 0, sizeof(*f));
	if (len < ETHERNET_LEN)
		return false;
	type = be16(buf + 12);
	f->ip_off = ETHERNET_LEN;
	if (type == 0x0800 ? !parse_ipv4(buf, len, f) : type != 0x86dd || !parse_ipv6(buf, len, f))
		return false;
	if (f->ip_off + (size_t)f->ip_len > len || f->udp_off + UDP_LEN > f->ip_off + f->ip_len)
		return false;
	udp_len = be16(buf + f->udp_off + 4);
	f->payload_off = (uint16_t)(f->udp_off + UDP_LEN);
	f->payload_len = (uint16_t)(udp_len - UDP_LEN);
	return udp_len >= UDP_LEN && f->udp_off + (size_t)udp_len <= f->ip_off + (size_t)f->ip_len;
}

static uint8_t *address_at(uint8_t *buf, const struct frame *f, bool target)
{
	return buf + f->ip_off + (f->is_ipv6 ? 8 : 12) + (target ? (f->is_ipv6 ? 16 : 4) : 0);
}

/** The checksum of the UDP header (RFC 768), if it carries one. */
static void seal_udp(uint8_t *buf, const struct frame *f)
{
	uint16_t udp_len = (uint16_t)(UDP_LEN + f->payload_len);
	uint8_t *udp = buf + f->udp_off;
	uint16_t sum;

	if (!f->is_ipv6 && !be16(udp + 6))
		return;
	put_be16(udp + 6, 0);
	sum = (uint16_t)~inet_fold(inet_sum(address_at(buf, f, false), f->is_ipv6 ? 32 : 8)
				   + inet_sum_u16(PROTO_UDP) + inet_sum_u16(udp_len)
				   + inet_sum(udp, udp_len));
	if (!sum)
		sum = 0xffff;
	memcpy(udp + 6, &sum, sizeof(sum));
}

static void seal_ipv4(uint8_t *buf, const struct frame *f)
{
	uint8_t *ip = buf + f->ip_off;
	uint16_t sum;

	put_be16(ip + 10, 0);
	sum = (uint16_t)~inet_fold(inet_sum(ip, (ip[0] & 15u) * 4));
	memcpy(ip + 10, &sum, sizeof(sum));
}

void frame_flip(uint8_t *buf, const struct frame *f, uint32_t random)
{
	uint32_t bit;

	if (!f->payload_len)
		return;
	bit = random % (f->payload_len * 8u);
	buf[f->payload_off + bit / 8] ^= (uint8_t)(1u << bit % 8);
	seal_udp(buf, f);
}

static void get_end(const uint8_t *buf, const struct frame *f, bool target, struct frame_end *out)
{
	memset(out, 0, sizeof(*out));
	out->len = f->is_ipv6 ? 16 : 4;
	memcpy(out->address, address_at((uint8_t *)buf, f, target), out->len);
	out->port = be16(buf + f->udp_off + (target ? 2 : 0));
}

static void set_end(uint8_t *buf, const struct frame *f, bool target, const struct frame_end *end)
{
	if (end->len != (f->is_ipv6 ? 16 : 4))
		return;
	memcpy(address_at(buf, f, target), end->address, end->len);
	put_be16(buf + f->udp_off + (target ? 2 : 0), end->port);
	if (!f->is_ipv6)
		seal_ipv4(buf, f);
	seal_udp(buf, f);
}

void frame_source(const uint8_t *buf, const struct frame *f, struct frame_end *out)
{
	get_end(buf, f, false, out);
}

void frame_target(const uint8_t *buf, const struct frame *f, struct frame_end *out)
{
	get_end(buf, f, true, out);
}

void frame_set_source(uint8_t *buf, const struct frame *f, const struct frame_end *end)
{
	set_end(buf, f, false, end);
}

void frame_set_target(uint8_t *buf, const struct frame *f, const struct frame_end *end)
{
	set_end(buf, f, true, end);
}
