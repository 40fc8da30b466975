// SPDX-License-Identifier: BSD-3-Clause
/*
 * A hostile stream of SRTP and SRTCP packets into our receiver and into libsrtp2's: both accept
 * the same packets and give the same plaintext, and a refused packet changes no octet of our
 * state. The input is a programme, so that good, damaged, late, repeated and raw packets follow
 * each other:
 *
 *	profile, then commands: kind, and what that kind reads
 */
#include "sfu-dp/proto/cursor.h"
#include "tests/support/srtp_oracle.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define SSRC 0x00c0ffeeu
#define CAP 700

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum kind {
	RTP = 0, // shape, step of the index (16 bits, signed), payload length, damage
	RTCP = 1, // step of the index, body length in words, damage
	RAW_RTP = 2, // length, octets
	RAW_RTCP = 3,
	NUM_KINDS = 4,
};

struct world {
	struct srtp_side side;
	srtp_t oracle;
	bool ready;
	bool dirty; // a packet was accepted
};

static void expect(int ok)
{
	if (!ok)
		abort();
}

/* The keys are expanded once per process; each input begins with empty streams. */
static struct world *world_reset(unsigned place)
{
	static const uint8_t master[SRTP_KEY_MAX] = "a key of thirty-two octets here";
	static const uint8_t salt[SRTP_SALT_MAX] = "and a salt...";
	static struct world worlds[3];
	struct world *w = &worlds[place % 3];

	if (!w->ready) {
		w->side.engine = srtp_engine_find(getenv("SRTP_ENGINE"));
		w->side.profile = srtp_profile_at(place % 3);
		expect(w->side.engine
			&& w->side.engine->create(w->side.profile, master, salt, &w->side.ctx)
				   == SRTP_OK);
		w->oracle = srtp_oracle_create(w->side.profile, master, salt, true);
		w->ready = true;
	}
	memset(&w->side.rx, 0, sizeof(w->side.rx));
	memset(&w->side.rtcp_rx, 0, sizeof(w->side.rtcp_rx));
	// libsrtp2 knows a stream from its first good packet on.
	if (w->dirty)
		expect(srtp_remove_stream(w->oracle, htonl(SSRC)) == srtp_err_status_ok);
	w->dirty = false;
	return w;
}

static void deliver(struct world *w, bool rtcp, const uint8_t *packet, size_t len)
{
	_Alignas(16) uint8_t ours[CAP], theirs[CAP];
	struct srtp_side before = w->side;
	int ret, their_len = (int)len;
	bool ok;

	// The two are given buffers of their own, so that neither reads past the packet unseen
	// by the other's sanitizer.
	memcpy(ours, packet, len);
	memcpy(theirs, packet, len);
	if (rtcp) {
		ret = srtp_side_rtcp_open(&w->side, ours, len);
		ok = srtp_unprotect_rtcp(w->oracle, theirs, &their_len) == srtp_err_status_ok;
	} else {
		ret = srtp_side_rtp_open(&w->side, ours, len);
		ok = srtp_unprotect(w->oracle, theirs, &their_len) == srtp_err_status_ok;
	}
	expect((ret >= 0) == ok);
	w->dirty |= ok;
	if (ok)
		expect(ret == their_len && memcmp(ours, theirs, (size_t)ret) == 0);
	else
		expect(memcmp(&w->side, &before, sizeof(before)) == 0);
}

/* Flip, cut or leave alone; returns the new length. */
static size_t damage(struct rcursor *c, uint8_t *packet, size_t len)
{
	uint8_t how = rcursor_u8(c);

	if (how & 0x80)
		packet[rcursor_be16(c) % len] ^= rcursor_u8(c);
	if (how & 0x40)
		len = rcursor_be16(c) % (len + 1);
	return len;
}

static void rtp(struct world *w, struct rcursor *c, uint64_t *at)
{
	uint8_t plain[64 + 256] = {0x80, 0x60}, packet[CAP];
	struct wcursor h = wcursor_init(plain, 64);
	uint8_t shape = rcursor_u8(c);
	struct srtp_seal_in in;
	int len;

	*at += (uint64_t)(int16_t)rcursor_be16(c);
	*at &= SRTP_INDEX_MAX;
	wcursor_u8(&h, (uint8_t)(0x80 | (shape & 0x13)));
	wcursor_u8(&h, 0x60);
	wcursor_be16(&h, (uint16_t)*at);
	wcursor_be32(&h, 0x01020304);
	wcursor_be32(&h, SSRC);
	wcursor_zero(&h, 4u * (shape & 3));
	if (shape & 0x10) {
		wcursor_be16(&h, 0xbede);
		wcursor_be16(&h, shape >> 5);
		wcursor_zero(&h, 4u * (shape >> 5));
	}
	in.hdr = plain;
	in.hdr_len = wcursor_len(&h);
	in.payload = plain + 64;
	in.payload_len = rcursor_u8(c);
	in.index = *at;
	in.ssrc = SSRC;
	memset(plain + 64, shape, in.payload_len);
	len = w->side.engine->rtp_seal(w->side.ctx, &in, packet, sizeof(packet));
	expect(len > 0);
	deliver(w, false, packet, damage(c, packet, (size_t)len));
}

static void rtcp(struct world *w, struct rcursor *c, uint32_t *at)
{
	uint8_t plain[8 + 4 * 64] = {0x80, 0xc9, 0, 1}, packet[CAP];
	struct wcursor h = wcursor_init(plain + 4, 4);
	size_t body;
	int len;

	*at = (*at + (uint32_t)(int16_t)rcursor_be16(c)) & SRTCP_INDEX_MAX;
	body = 4u * (rcursor_u8(c) % 64);
	wcursor_be32(&h, SSRC);
	memset(plain + 8, (int)body, body);
	len = w->side.engine->rtcp_seal(w->side.ctx, plain, 8 + body, *at, packet, sizeof(packet));
	expect(len > 0);
	deliver(w, true, packet, damage(c, packet, (size_t)len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rcursor c = rcursor_init(data, size);
	struct world *w = world_reset(rcursor_u8(&c));
	uint32_t rtcp_at = 0;
	uint64_t at = 0;

	for (int i = 0; i < 200 && rcursor_left(&c) > 0; i++) {
		const uint8_t *raw;
		size_t len;

		switch (rcursor_u8(&c) % NUM_KINDS) {
		case RTP:
			rtp(w, &c, &at);
			break;
		case RTCP:
			rtcp(w, &c, &rtcp_at);
			break;
		case RAW_RTP:
			len = rcursor_u8(&c);
			raw = rcursor_take(&c, len);
			if (raw)
				deliver(w, false, raw, len);
			break;
		case RAW_RTCP:
			len = rcursor_u8(&c);
			raw = rcursor_take(&c, len);
			if (raw)
				deliver(w, true, raw, len);
			break;
		}
	}
	return 0;
}
