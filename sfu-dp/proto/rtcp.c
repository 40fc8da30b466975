// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/proto/rtcp.h"

#define RTCP_HEADER_LEN 4
#define BLOCK_LEN 24
#define REMB_NAME 0x52454d42u // "REMB"
#define RTT_MAX_US 60000000u

/* Reading */

void rtcp_iter_init(struct rtcp_iter *it, const uint8_t *buf, size_t len)
{
	it->c = rcursor_init(buf, len);
}

// The rest cannot be read: no packet may come out of it later.
static enum rtcp_status give_up(struct rcursor *c, enum rtcp_status status)
{
	c->pos = c->end;
	c->bad = false;
	return status;
}

enum rtcp_status rtcp_next(struct rtcp_iter *it, struct rtcp_packet *out)
{
	struct rcursor *c = &it->c;
	size_t off = rcursor_offset(c), body_len, padding = 0;
	const uint8_t *body;
	uint8_t b0, type;

	if (!rcursor_left(c))
		return RTCP_END;
	b0 = rcursor_u8(c);
	if (b0 >> 6 != 2)
		return give_up(c, RTCP_MALFORMED);
	type = rcursor_u8(c);
	body_len = rcursor_be16(c) * 4u;
	body = rcursor_take(c, body_len);
	if (!body)
		return give_up(c, RTCP_SHORT);
	// Offsets in the view have 16 bits.
	if (off + RTCP_HEADER_LEN + body_len > UINT16_MAX)
		return give_up(c, RTCP_MALFORMED);
	// RFC 3550, 6.4.1: the last octet counts the padding, itself included. It should count words,
	// but Chromium fills transport-wide feedback up with one to three octets.
	if (b0 & 0x20) {
		struct rcursor p = rcursor_init(body, body_len);

		rcursor_skip(&p, body_len ? body_len - 1 : 0);
		padding = rcursor_u8(&p);
		if (!padding || padding > body_len)
			return give_up(c, RTCP_MALFORMED);
	}
	out->type = type;
	out->count = b0 & 31;
	out->off = (uint16_t)off;
	out->len = (uint16_t)(RTCP_HEADER_LEN + body_len);
	out->body = body;
	out->body_len = (uint16_t)(body_len - padding);
	return RTCP_OK;
}

enum rtcp_status rtcp_report_parse(const struct rtcp_packet *packet, struct rtcp_report *out)
{
	struct rcursor c = rcursor_init(packet->body, packet->body_len);
	struct rtcp_report r = {0};

	if (packet->type != RTCP_SR && packet->type != RTCP_RR)
		return RTCP_UNSUPPORTED;
	r.info.ssrc = rcursor_be32(&c);
	if (packet->type == RTCP_SR) {
		r.info.ntp = rcursor_be64(&c);
		r.info.rtp_timestamp = rcursor_be32(&c);
		r.info.packets = rcursor_be32(&c);
		r.info.octets = rcursor_be32(&c);
	}
	r.block_count = packet->count;
	r.blocks = rcursor_take(&c, r.block_count * (size_t)BLOCK_LEN);
	if (!rcursor_ok(&c))
		return RTCP_SHORT;
	*out = r;
	return RTCP_OK;
}

static int32_t sign_extend_24(uint32_t v)
{
	return (int32_t)(v ^ 0x800000) - 0x800000;
}

bool rtcp_report_block(const struct rtcp_report *report, unsigned i, struct rtcp_report_block *out)
{
	struct rcursor c = rcursor_init(report->blocks, report->block_count * (size_t)BLOCK_LEN);

	if (i >= report->block_count)
		return false;
	rcursor_skip(&c, i * (size_t)BLOCK_LEN);
	out->ssrc = rcursor_be32(&c);
	out->fraction_lost = rcursor_u8(&c);
	out->cumulative_lost = sign_extend_24(rcursor_be24(&c));
	out->highest_seq = rcursor_be32(&c);
	out->jitter = rcursor_be32(&c);
	out->lsr = rcursor_be32(&c);
	out->dlsr = rcursor_be32(&c);
	return rcursor_ok(&c);
}

enum rtcp_status rtcp_sdes_iter_init(struct rtcp_sdes_iter *it, const struct rtcp_packet *packet)
{
	if (packet->type != RTCP_SDES)
		return RTCP_UNSUPPORTED;
	it->c = rcursor_init(packet->body, packet->body_len);
	it->ssrc = 0;
	it->chunks_left = packet->count;
	it->in_chunk = false;
	return RTCP_OK;
}

static enum rtcp_status sdes_give_up(struct rtcp_sdes_iter *it)
{
	it->chunks_left = 0;
	it->in_chunk = false;
	return give_up(&it->c, RTCP_SHORT);
}

enum rtcp_status rtcp_sdes_next(struct rtcp_sdes_iter *it, struct rtcp_sdes_item *out)
{
	for (;;) {
		uint8_t type, len;
		const uint8_t *text;

		if (!it->in_chunk) {
			if (!it->chunks_left)
				return RTCP_END;
			it->chunks_left--;
			it->ssrc = rcursor_be32(&it->c);
			if (!rcursor_ok(&it->c))
				return sdes_give_up(it);
			it->in_chunk = true;
		}
		type = rcursor_u8(&it->c);
		if (!rcursor_ok(&it->c))
			return sdes_give_up(it);
		if (!type) {
			// End of the item list; the next chunk starts on a word. The body starts
			// on one as well.
			if (!rcursor_skip(&it->c, (4 - rcursor_offset(&it->c) % 4) % 4))
				return sdes_give_up(it);
			it->in_chunk = false;
			continue;
		}
		len = rcursor_u8(&it->c);
		text = rcursor_take(&it->c, len);
		if (!text)
			return sdes_give_up(it);
		*out = (struct rtcp_sdes_item){text, it->ssrc, type, len};
		return RTCP_OK;
	}
}

enum rtcp_status rtcp_bye_parse(const struct rtcp_packet *packet, struct rtcp_bye *out)
{
	struct rcursor c = rcursor_init(packet->body, packet->body_len);
	struct rtcp_bye b = {0};

	if (packet->type != RTCP_BYE)
		return RTCP_UNSUPPORTED;
	b.ssrc_count = packet->count;
	b.ssrcs = rcursor_take(&c, b.ssrc_count * 4u);
	if (!rcursor_ok(&c))
		return RTCP_SHORT;
	if (rcursor_left(&c)) {
		b.reason_len = rcursor_u8(&c);
		b.reason = rcursor_take(&c, b.reason_len);
		if (!b.reason)
			b.reason_len = 0;
	}
	*out = b;
	return RTCP_OK;
}

uint32_t rtcp_ssrc(const uint8_t *ssrcs, unsigned count, unsigned i)
{
	struct rcursor c = rcursor_init(ssrcs, count * (size_t)4);

	if (i >= count)
		return 0;
	rcursor_skip(&c, i * (size_t)4);
	return rcursor_be32(&c);
}

enum rtcp_status rtcp_feedback_parse(const struct rtcp_packet *packet, struct rtcp_feedback *out)
{
	struct rcursor c = rcursor_init(packet->body, packet->body_len);
	struct rtcp_feedback fb = {.type = packet->type, .fmt = packet->count};

	if (packet->type != RTCP_RTPFB && packet->type != RTCP_PSFB)
		return RTCP_UNSUPPORTED;
	fb.sender_ssrc = rcursor_be32(&c);
	fb.media_ssrc = rcursor_be32(&c);
	if (!rcursor_ok(&c))
		return RTCP_SHORT;
	fb.fci_len = (uint16_t)rcursor_left(&c);
	fb.fci = rcursor_take(&c, fb.fci_len);
	*out = fb;
	return RTCP_OK;
}

// A cursor at entry i of a list of fixed-size entries; a read from it fails where there is none.
static struct rcursor fci_entry(const uint8_t *list, size_t list_len, unsigned i, size_t entry_len)
{
	struct rcursor c = rcursor_init(list, list_len);

	rcursor_skip(&c, i * entry_len);
	return c;
}

bool rtcp_nack(const struct rtcp_feedback *fb, unsigned i, struct rtcp_nack *out)
{
	struct rcursor c = fci_entry(fb->fci, fb->fci_len, i, 4);

	if (fb->type != RTCP_RTPFB || fb->fmt != RTCP_RTPFB_NACK)
		return false;
	out->pid = rcursor_be16(&c);
	out->blp = rcursor_be16(&c);
	return rcursor_ok(&c);
}

bool rtcp_fir(const struct rtcp_feedback *fb, unsigned i, struct rtcp_fir *out)
{
	struct rcursor c = fci_entry(fb->fci, fb->fci_len, i, 8);

	if (fb->type != RTCP_PSFB || fb->fmt != RTCP_PSFB_FIR)
		return false;
	out->ssrc = rcursor_be32(&c);
	out->seq = rcursor_u8(&c);
	rcursor_skip(&c, 3);
	return rcursor_ok(&c);
}

bool rtcp_is_pli(const struct rtcp_feedback *fb)
{
	return fb->type == RTCP_PSFB && fb->fmt == RTCP_PSFB_PLI;
}

enum rtcp_status rtcp_twcc_parse(const struct rtcp_feedback *fb, struct rtcp_twcc *out)
{
	struct rcursor c = rcursor_init(fb->fci, fb->fci_len);
	struct rtcp_twcc t = {0};

	if (fb->type != RTCP_RTPFB || fb->fmt != RTCP_RTPFB_TWCC)
		return RTCP_UNSUPPORTED;
	t.base_seq = rcursor_be16(&c);
	t.status_count = rcursor_be16(&c);
	t.reference_time = sign_extend_24(rcursor_be24(&c));
	t.feedback_count = rcursor_u8(&c);
	if (!rcursor_ok(&c))
		return RTCP_SHORT;
	t.chunks_len = (uint16_t)rcursor_left(&c);
	t.chunks = rcursor_take(&c, t.chunks_len);
	*out = t;
	return RTCP_OK;
}

enum rtcp_status rtcp_remb_parse(const struct rtcp_feedback *fb, struct rtcp_remb *out)
{
	struct rcursor c = rcursor_init(fb->fci, fb->fci_len);
	struct rtcp_remb r = {0};
	uint32_t name, word;
	unsigned exponent;
	uint64_t mantissa;

	if (fb->type != RTCP_PSFB || fb->fmt != RTCP_PSFB_AFB)
		return RTCP_UNSUPPORTED;
	name = rcursor_be32(&c);
	if (!rcursor_ok(&c) || name != REMB_NAME)
		return RTCP_UNSUPPORTED;
	r.ssrc_count = rcursor_u8(&c);
	word = rcursor_be24(&c);
	r.ssrcs = rcursor_take(&c, r.ssrc_count * 4u);
	if (!rcursor_ok(&c))
		return RTCP_SHORT;
	exponent = word >> 18;
	mantissa = word & 0x3ffff;
	r.bitrate_bps = mantissa > UINT64_MAX >> exponent ? UINT64_MAX : mantissa << exponent;
	*out = r;
	return RTCP_OK;
}

enum rtcp_status rtcp_xr_iter_init(struct rtcp_xr_iter *it, const struct rtcp_packet *packet)
{
	if (packet->type != RTCP_XR)
		return RTCP_UNSUPPORTED;
	it->c = rcursor_init(packet->body, packet->body_len);
	it->ssrc = rcursor_be32(&it->c);
	return rcursor_ok(&it->c) ? RTCP_OK : give_up(&it->c, RTCP_SHORT);
}

enum rtcp_status rtcp_xr_next(struct rtcp_xr_iter *it, struct rtcp_xr_block *out)
{
	struct rtcp_xr_block b;

	if (!rcursor_left(&it->c))
		return RTCP_END;
	b.type = rcursor_u8(&it->c);
	b.specific = rcursor_u8(&it->c);
	size_t len = rcursor_be16(&it->c) * 4u;

	b.body = rcursor_take(&it->c, len);
	if (!b.body)
		return give_up(&it->c, RTCP_SHORT);
	b.body_len = (uint16_t)len;
	*out = b;
	return RTCP_OK;
}

bool rtcp_xr_rrtr(const struct rtcp_xr_block *block, uint64_t *ntp)
{
	struct rcursor c = rcursor_init(block->body, block->body_len);
	uint64_t v = rcursor_be64(&c);

	if (block->type != RTCP_XR_RRTR || !rcursor_ok(&c))
		return false;
	*ntp = v;
	return true;
}

bool rtcp_xr_dlrr(const struct rtcp_xr_block *block, unsigned i, struct rtcp_dlrr *out)
{
	struct rcursor c = fci_entry(block->body, block->body_len, i, 12);

	if (block->type != RTCP_XR_DLRR)
		return false;
	out->ssrc = rcursor_be32(&c);
	out->lrr = rcursor_be32(&c);
	out->dlrr = rcursor_be32(&c);
	return rcursor_ok(&c);
}

/* Writing */

static void put_header(struct wcursor *c, unsigned count, enum rtcp_type type)
{
	wcursor_u8(c, (uint8_t)(0x80 | count));
	wcursor_u8(c, (uint8_t)type);
	wcursor_be16(c, 0); // set by finish()
}

// Fill in the length; returns the octets of the packet or 0.
static size_t finish(struct wcursor *c)
{
	size_t len = wcursor_len(c);
	struct wcursor w = wcursor_init(c->base, len);

	if (!wcursor_ok(c))
		return 0;
	wcursor_reserve(&w, 2);
	wcursor_be16(&w, (uint16_t)(len / 4 - 1));
	return len;
}

static void put_blocks(struct wcursor *c, const struct rtcp_report_block *blocks, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		const struct rtcp_report_block *b = &blocks[i];
		int32_t lost = b->cumulative_lost;

		if (lost > 0x7fffff)
			lost = 0x7fffff;
		if (lost < -0x800000)
			lost = -0x800000;
		wcursor_be32(c, b->ssrc);
		wcursor_u8(c, b->fraction_lost);
		wcursor_be24(c, (uint32_t)lost);
		wcursor_be32(c, b->highest_seq);
		wcursor_be32(c, b->jitter);
		wcursor_be32(c, b->lsr);
		wcursor_be32(c, b->dlsr);
	}
}

size_t rtcp_encode_sr(uint8_t *out, size_t cap, const struct rtcp_sender_info *info,
	const struct rtcp_report_block *blocks, unsigned count)
{
	struct wcursor c = wcursor_init(out, cap);

	if (count > RTCP_COUNT_MAX)
		return 0;
	put_header(&c, count, RTCP_SR);
	wcursor_be32(&c, info->ssrc);
	wcursor_be64(&c, info->ntp);
	wcursor_be32(&c, info->rtp_timestamp);
	wcursor_be32(&c, info->packets);
	wcursor_be32(&c, info->octets);
	put_blocks(&c, blocks, count);
	return finish(&c);
}

size_t rtcp_encode_rr(uint8_t *out, size_t cap, uint32_t ssrc,
	const struct rtcp_report_block *blocks, unsigned count)
{
	struct wcursor c = wcursor_init(out, cap);

	if (count > RTCP_COUNT_MAX)
		return 0;
	put_header(&c, count, RTCP_RR);
	wcursor_be32(&c, ssrc);
	put_blocks(&c, blocks, count);
	return finish(&c);
}

size_t rtcp_encode_sdes_cname(
	uint8_t *out, size_t cap, uint32_t ssrc, const char *cname, size_t len)
{
	struct wcursor c = wcursor_init(out, cap);

	if (!len || len > 255)
		return 0;
	put_header(&c, 1, RTCP_SDES);
	wcursor_be32(&c, ssrc);
	wcursor_u8(&c, RTCP_SDES_CNAME);
	wcursor_u8(&c, (uint8_t)len);
	wcursor_bytes(&c, cname, len);
	// At least one zero ends the list, then up to the next word.
	wcursor_zero(&c, 4 - wcursor_len(&c) % 4);
	return finish(&c);
}

size_t rtcp_encode_bye(uint8_t *out, size_t cap, const uint32_t *ssrcs, unsigned count)
{
	struct wcursor c = wcursor_init(out, cap);

	if (count > RTCP_COUNT_MAX)
		return 0;
	put_header(&c, count, RTCP_BYE);
	for (unsigned i = 0; i < count; i++)
		wcursor_be32(&c, ssrcs[i]);
	return finish(&c);
}

static void put_feedback(struct wcursor *c, enum rtcp_type type, enum rtcp_fmt fmt,
	uint32_t sender_ssrc, uint32_t media_ssrc)
{
	put_header(c, fmt, type);
	wcursor_be32(c, sender_ssrc);
	wcursor_be32(c, media_ssrc);
}

size_t rtcp_encode_pli(uint8_t *out, size_t cap, uint32_t sender_ssrc, uint32_t media_ssrc)
{
	struct wcursor c = wcursor_init(out, cap);

	put_feedback(&c, RTCP_PSFB, RTCP_PSFB_PLI, sender_ssrc, media_ssrc);
	return finish(&c);
}

size_t rtcp_encode_fir(uint8_t *out, size_t cap, uint32_t sender_ssrc, const struct rtcp_fir *fir)
{
	struct wcursor c = wcursor_init(out, cap);

	// RFC 5104, 4.3.1.2: the media source is 0, the stream stands in the entry.
	put_feedback(&c, RTCP_PSFB, RTCP_PSFB_FIR, sender_ssrc, 0);
	wcursor_be32(&c, fir->ssrc);
	wcursor_u8(&c, fir->seq);
	wcursor_be24(&c, 0);
	return finish(&c);
}

size_t rtcp_encode_nack(uint8_t *out, size_t cap, uint32_t sender_ssrc, uint32_t media_ssrc,
	const uint16_t *seqs, unsigned count)
{
	struct wcursor c = wcursor_init(out, cap);

	// The length field counts words in 16 bits; no more fit in a datagram anyway.
	if (!count || count > 16000)
		return 0;
	put_feedback(&c, RTCP_RTPFB, RTCP_RTPFB_NACK, sender_ssrc, media_ssrc);
	for (unsigned i = 0; i < count;) {
		uint16_t pid = seqs[i++], blp = 0;

		while (i < count) {
			uint16_t distance = (uint16_t)(seqs[i] - pid);

			if (distance > 16)
				break;
			if (distance)
				blp |= (uint16_t)(1u << (distance - 1));
			i++;
		}
		wcursor_be16(&c, pid);
		wcursor_be16(&c, blp);
	}
	return finish(&c);
}

size_t rtcp_encode_remb(uint8_t *out, size_t cap, uint32_t sender_ssrc, uint64_t bitrate_bps,
	const uint32_t *ssrcs, unsigned count)
{
	struct wcursor c = wcursor_init(out, cap);
	uint32_t exponent = 0;

	if (count > 255)
		return 0;
	while (bitrate_bps > 0x3ffff) {
		bitrate_bps >>= 1;
		exponent++;
	}
	put_feedback(&c, RTCP_PSFB, RTCP_PSFB_AFB, sender_ssrc, 0);
	wcursor_be32(&c, REMB_NAME);
	wcursor_u8(&c, (uint8_t)count);
	wcursor_be24(&c, exponent << 18 | (uint32_t)bitrate_bps);
	for (unsigned i = 0; i < count; i++)
		wcursor_be32(&c, ssrcs[i]);
	return finish(&c);
}

size_t rtcp_encode_rrtr(uint8_t *out, size_t cap, uint32_t ssrc, uint64_t ntp)
{
	struct wcursor c = wcursor_init(out, cap);

	put_header(&c, 0, RTCP_XR);
	wcursor_be32(&c, ssrc);
	wcursor_u8(&c, RTCP_XR_RRTR);
	wcursor_u8(&c, 0);
	wcursor_be16(&c, 2);
	wcursor_be64(&c, ntp);
	return finish(&c);
}

size_t rtcp_encode_dlrr(
	uint8_t *out, size_t cap, uint32_t ssrc, const struct rtcp_dlrr *dlrr, unsigned count)
{
	struct wcursor c = wcursor_init(out, cap);

	if (!count || count > RTCP_COUNT_MAX)
		return 0;
	put_header(&c, 0, RTCP_XR);
	wcursor_be32(&c, ssrc);
	wcursor_u8(&c, RTCP_XR_DLRR);
	wcursor_u8(&c, 0);
	wcursor_be16(&c, (uint16_t)(3 * count));
	for (unsigned i = 0; i < count; i++) {
		wcursor_be32(&c, dlrr[i].ssrc);
		wcursor_be32(&c, dlrr[i].lrr);
		wcursor_be32(&c, dlrr[i].dlrr);
	}
	return finish(&c);
}

/* Time */

uint64_t rtcp_ntp_from_us(uint64_t us)
{
	uint64_t seconds = us / 1000000, rest = us % 1000000;

	return seconds << 32 | (rest << 32) / 1000000;
}

uint64_t rtcp_ntp_to_us(uint64_t ntp)
{
	return (ntp >> 32) * 1000000 + (((ntp & UINT32_MAX) * 1000000 + (1ull << 31)) >> 32);
}

uint32_t rtcp_mid_from_us(uint64_t us)
{
	uint64_t seconds = us / 1000000;

	if (seconds > UINT16_MAX)
		return UINT32_MAX;
	return (uint32_t)(seconds << 16 | ((us % 1000000) << 16) / 1000000);
}

uint64_t rtcp_mid_to_us(uint32_t mid)
{
	return ((uint64_t)mid * 1000000) >> 16;
}

uint64_t rtcp_rtt_us(uint32_t now_mid, uint32_t lsr, uint32_t dlsr)
{
	uint64_t us = rtcp_mid_to_us(now_mid - lsr - dlsr);

	return lsr && us <= RTT_MAX_US ? us : 0;
}
