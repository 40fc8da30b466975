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

#define HEADERS (14u + 20u + 8u)

static uint16_t ip_checksum(const uint8_t *p, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i += 2)
		sum += (uint32_t)p[i] << 8 | p[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

size_t pkt_frame(uint8_t *out, const struct pkt_addr *from, const struct pkt_addr *to,
	const uint8_t *payload, size_t len)
{
	uint16_t sum;

	if (len > PKT_FRAME_MAX - HEADERS)
		abort();
	memset(out, 0, HEADERS);
	memcpy(out, to->mac, 6);
	memcpy(out + 6, from->mac, 6);
	put16(out + 12, 0x0800);
	out[14] = 0x45;
	put16(out + 16, (unsigned)(28 + len));
	put16(out + 20, 0x4000);
	out[22] = 64;
	out[23] = 17;
	memcpy(out + 26, from->ip, 4);
	memcpy(out + 30, to->ip, 4);
	put16(out + 34, from->port);
	put16(out + 36, to->port);
	put16(out + 38, (unsigned)(8 + len));
	memcpy(out + HEADERS, payload, len);
	sum = ip_checksum(out + 14, 20);
	put16(out + 24, sum);
	return HEADERS + len;
}

const uint8_t *pkt_unframe(const uint8_t *frame, size_t frame_len, struct pkt_addr *from,
	struct pkt_addr *to, size_t *len)
{
	if (frame_len < HEADERS || frame[12] != 8 || frame[13] != 0 || frame[14] != 0x45
		|| frame[23] != 17 || ip_checksum(frame + 14, 20))
		return NULL;
	memcpy(to->mac, frame, 6);
	memcpy(from->mac, frame + 6, 6);
	memcpy(from->ip, frame + 26, 4);
	memcpy(to->ip, frame + 30, 4);
	from->port = (uint16_t)(frame[34] << 8 | frame[35]);
	to->port = (uint16_t)(frame[36] << 8 | frame[37]);
	*len = (size_t)(frame[38] << 8 | frame[39]) - 8;
	return *len + HEADERS == frame_len ? frame + HEADERS : NULL;
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
	bool extension = p->mid_id || p->rid_id || p->level_id;
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
