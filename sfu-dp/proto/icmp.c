// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/proto/icmp.h"

#include <string.h>

#include "sfu-dp/proto/cursor.h"

#define OPTION_SOURCE_MAC 1
#define OPTION_TARGET_MAC 2
#define OPTION_UNIT 8u
#define MAC_OPTION_LEN 8u

#define ADVERT_SOLICITED 0x40
#define ADVERT_OVERRIDE 0x20

#define PROTOCOL_UDP 17

static void copy(struct rcursor *c, uint8_t *out, size_t len)
{
	const uint8_t *p = rcursor_take(c, len);

	if (p)
		memcpy(out, p, len);
}

/** One option behind a solicitation; false when there can be no such one. */
static bool option_read(struct rcursor *c, struct icmp6_solicit *out)
{
	uint8_t type = rcursor_u8(c), units = rcursor_u8(c);
	const uint8_t *body;

	if (!units)
		return false;
	body = rcursor_take(c, units * OPTION_UNIT - 2);
	if (!body)
		return false;
	if (type != OPTION_SOURCE_MAC || units * OPTION_UNIT != MAC_OPTION_LEN)
		return true;
	// The answer goes there: a group would have us answer to everyone.
	if (body[0] & 1)
		return false;
	memcpy(out->source_mac, body, 6);
	out->has_source_mac = 1;
	return true;
}

enum icmp_status icmp6_solicit_parse(const uint8_t *buf, size_t len, struct icmp6_solicit *out)
{
	struct rcursor c = rcursor_init(buf, len);
	uint8_t type = rcursor_u8(&c), code = rcursor_u8(&c);

	memset(out, 0, sizeof(*out));
	if (rcursor_ok(&c) && type != ICMP6_SOLICIT)
		return ICMP_OTHER;
	rcursor_skip(&c, 6); // checksum, reserved
	copy(&c, out->target, sizeof(out->target));
	if (!rcursor_ok(&c) || code || out->target[0] == 0xff)
		return ICMP_MALFORMED;
	while (rcursor_left(&c)) {
		if (!option_read(&c, out))
			return ICMP_MALFORMED;
	}
	return ICMP_OK;
}

size_t icmp6_advert_encode(
	uint8_t *out, size_t cap, const uint8_t target[16], const uint8_t mac[6], bool solicited)
{
	struct wcursor c = wcursor_init(out, cap);

	wcursor_u8(&c, ICMP6_ADVERT);
	wcursor_zero(&c, 3); // code, checksum
	wcursor_u8(&c, (uint8_t)(ADVERT_OVERRIDE | (solicited ? ADVERT_SOLICITED : 0)));
	wcursor_zero(&c, 3);
	wcursor_bytes(&c, target, 16);
	wcursor_u8(&c, OPTION_TARGET_MAC);
	wcursor_u8(&c, MAC_OPTION_LEN / OPTION_UNIT);
	wcursor_bytes(&c, mac, 6);
	return wcursor_ok(&c) ? wcursor_len(&c) : 0;
}

static void map_ip4(uint8_t out[16], uint32_t address)
{
	memset(out, 0, 10);
	memset(out + 10, 0xff, 2);
	for (unsigned i = 0; i < 4; i++)
		out[12 + i] = (uint8_t)(address >> (24 - 8 * i));
}

static void ports_read(struct rcursor *c, struct icmp_too_big *out)
{
	uint8_t ports[4] = {0};

	copy(c, ports, sizeof(ports));
	memcpy(&out->local_port_be16, ports, 2);
	memcpy(&out->remote_port_be16, ports + 2, 2);
}

enum icmp_status icmp4_too_big_parse(const uint8_t *buf, size_t len, struct icmp_too_big *out)
{
	struct rcursor c = rcursor_init(buf, len);
	uint8_t type = rcursor_u8(&c), code = rcursor_u8(&c), version_ihl, protocol;
	uint16_t fragment;

	memset(out, 0, sizeof(*out));
	if (rcursor_ok(&c) && (type != ICMP4_UNREACHABLE || code != ICMP4_TOO_BIG))
		return ICMP_OTHER;
	rcursor_skip(&c, 4); // checksum, unused
	out->mtu = rcursor_be16(&c);
	version_ihl = rcursor_u8(&c);
	rcursor_skip(&c, 1);
	out->quoted_len = rcursor_be16(&c);
	rcursor_skip(&c, 2);
	fragment = rcursor_be16(&c);
	rcursor_skip(&c, 1);
	protocol = rcursor_u8(&c);
	rcursor_skip(&c, 2);
	map_ip4(out->local, rcursor_be32(&c));
	map_ip4(out->remote, rcursor_be32(&c));
	ports_read(&c, out);
	// We send neither options nor fragments.
	if (!rcursor_ok(&c) || version_ihl != 0x45 || fragment & 0x3fff)
		return ICMP_MALFORMED;
	return protocol == PROTOCOL_UDP ? ICMP_OK : ICMP_OTHER;
}

enum icmp_status icmp6_too_big_parse(const uint8_t *buf, size_t len, struct icmp_too_big *out)
{
	struct rcursor c = rcursor_init(buf, len);
	uint8_t type = rcursor_u8(&c), version, next;

	memset(out, 0, sizeof(*out));
	if (rcursor_ok(&c) && type != ICMP6_TOO_BIG)
		return ICMP_OTHER;
	// RFC 4443, 3.2: the code is not looked at.
	rcursor_skip(&c, 3);
	out->mtu = rcursor_be32(&c);
	version = rcursor_u8(&c) >> 4;
	rcursor_skip(&c, 3);
	out->quoted_len = rcursor_be16(&c) + 40u;
	next = rcursor_u8(&c);
	rcursor_skip(&c, 1);
	copy(&c, out->local, 16);
	copy(&c, out->remote, 16);
	ports_read(&c, out);
	if (!rcursor_ok(&c) || version != 6)
		return ICMP_MALFORMED;
	return next == PROTOCOL_UDP ? ICMP_OK : ICMP_OTHER;
}
