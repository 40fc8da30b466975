// SPDX-License-Identifier: BSD-3-Clause
// Any datagram through the RTCP walk; what could be read is written again with our builders.
//
// What must hold: packets and lists lie within the datagram; the walk takes each octet once; what a
// builder writes stays within its capacity, re-parses and says the same.
#include "sfu-dp/proto/rtcp.h"

#include <stdlib.h>
#include <string.h>

#define REQUIRE(condition)                                                                         \
	do {                                                                                       \
		if (!(condition))                                                                  \
			abort();                                                                   \
	} while (0)
#define CANARY 0xa5

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t out[2048];

// What one builder wrote must be one whole packet of the type.
static struct rtcp_packet reparse(size_t len, uint8_t type)
{
	struct rtcp_iter it;
	struct rtcp_packet p, more;

	REQUIRE(len && len % 4 == 0 && len <= sizeof(out));
	rtcp_iter_init(&it, out, len);
	REQUIRE(rtcp_next(&it, &p) == RTCP_OK);
	REQUIRE(p.type == type && p.len == len);
	REQUIRE(rtcp_next(&it, &more) == RTCP_END);
	return p;
}

static void check_inside(const struct rtcp_packet *p, const uint8_t *list, size_t len)
{
	REQUIRE(!len || (list >= p->body && list + len <= p->body + p->body_len));
}

static void check_report(const struct rtcp_packet *p)
{
	struct rtcp_report r, back;
	struct rtcp_report_block blocks[RTCP_COUNT_MAX];
	struct rtcp_packet again;
	unsigned n = 0;
	size_t len, cap = p->len % 64;

	if (rtcp_report_parse(p, &r) != RTCP_OK)
		return;
	check_inside(p, r.blocks, r.block_count * 24u);
	while (n < RTCP_COUNT_MAX && rtcp_report_block(&r, n, &blocks[n]))
		n++;
	REQUIRE(n == r.block_count);
	len = p->type == RTCP_SR ? rtcp_encode_sr(out, sizeof(out), &r.info, blocks, n)
				 : rtcp_encode_rr(out, sizeof(out), r.info.ssrc, blocks, n);
	again = reparse(len, p->type);
	REQUIRE(rtcp_report_parse(&again, &back) == RTCP_OK);
	// Octet for octet: every bit of a report has a meaning that we keep.
	REQUIRE(!memcmp(again.body, p->body, again.body_len));
	out[cap] = CANARY;
	len = rtcp_encode_rr(out, cap, r.info.ssrc, blocks, n);
	REQUIRE(len <= cap && out[cap] == CANARY);
}

static void check_sdes(const struct rtcp_packet *p)
{
	struct rtcp_sdes_iter it, back_it;
	struct rtcp_sdes_item item, back;
	enum rtcp_status status;
	size_t taken = 0;

	if (rtcp_sdes_iter_init(&it, p) != RTCP_OK)
		return;
	while ((status = rtcp_sdes_next(&it, &item)) == RTCP_OK) {
		check_inside(p, item.text, item.len);
		taken += 2u + item.len;
		REQUIRE(taken <= p->body_len);
		if (!item.len)
			continue;
		struct rtcp_packet again
			= reparse(rtcp_encode_sdes_cname(out, sizeof(out), item.ssrc,
					  (const char *)item.text, item.len),
				RTCP_SDES);

		REQUIRE(rtcp_sdes_iter_init(&back_it, &again) == RTCP_OK);
		REQUIRE(rtcp_sdes_next(&back_it, &back) == RTCP_OK);
		REQUIRE(back.ssrc == item.ssrc && back.len == item.len);
		REQUIRE(!memcmp(back.text, item.text, item.len));
		REQUIRE(rtcp_sdes_next(&back_it, &back) == RTCP_END);
	}
	REQUIRE(rtcp_sdes_next(&it, &item) == RTCP_END);
}

static void check_bye(const struct rtcp_packet *p)
{
	uint32_t ssrcs[RTCP_COUNT_MAX];
	struct rtcp_bye bye;

	if (rtcp_bye_parse(p, &bye) != RTCP_OK)
		return;
	check_inside(p, bye.ssrcs, bye.ssrc_count * 4u);
	check_inside(p, bye.reason, bye.reason_len);
	for (unsigned i = 0; i < bye.ssrc_count; i++)
		ssrcs[i] = rtcp_ssrc(bye.ssrcs, bye.ssrc_count, i);
	struct rtcp_packet again
		= reparse(rtcp_encode_bye(out, sizeof(out), ssrcs, bye.ssrc_count), RTCP_BYE);

	REQUIRE(again.count == bye.ssrc_count);
	REQUIRE(!memcmp(again.body, p->body, again.body_len));
}

// The sequence numbers of a NACK, written again: the same set comes out.
static void check_nack(const struct rtcp_feedback *fb)
{
	static uint16_t seqs[400];
	uint8_t asked[8192] = {0}, written[8192] = {0};
	struct rtcp_feedback back;
	struct rtcp_nack nack;
	unsigned n = 0;

	for (unsigned i = 0; n + 17 <= 400 && rtcp_nack(fb, i, &nack); i++) {
		seqs[n++] = nack.pid;
		for (unsigned bit = 0; bit < 16; bit++) {
			if (nack.blp >> bit & 1)
				seqs[n++] = (uint16_t)(nack.pid + 1 + bit);
		}
	}
	if (!n)
		return;
	struct rtcp_packet again = reparse(
		rtcp_encode_nack(out, sizeof(out), fb->sender_ssrc, fb->media_ssrc, seqs, n),
		RTCP_RTPFB);

	REQUIRE(rtcp_feedback_parse(&again, &back) == RTCP_OK);
	for (unsigned i = 0; i < n; i++)
		asked[seqs[i] / 8] |= (uint8_t)(1 << seqs[i] % 8);
	for (unsigned i = 0; rtcp_nack(&back, i, &nack); i++) {
		written[nack.pid / 8] |= (uint8_t)(1 << nack.pid % 8);
		for (unsigned bit = 0; bit < 16; bit++) {
			uint16_t seq = (uint16_t)(nack.pid + 1 + bit);

			if (nack.blp >> bit & 1)
				written[seq / 8] |= (uint8_t)(1 << seq % 8);
		}
	}
	REQUIRE(!memcmp(asked, written, sizeof(asked)));
}

static void check_remb(const struct rtcp_packet *p, const struct rtcp_feedback *fb)
{
	uint32_t ssrcs[255];
	struct rtcp_feedback fb_back;
	struct rtcp_remb remb, back;

	if (rtcp_remb_parse(fb, &remb) != RTCP_OK)
		return;
	check_inside(p, remb.ssrcs, remb.ssrc_count * 4u);
	for (unsigned i = 0; i < remb.ssrc_count; i++)
		ssrcs[i] = rtcp_ssrc(remb.ssrcs, remb.ssrc_count, i);
	struct rtcp_packet again = reparse(rtcp_encode_remb(out, sizeof(out), fb->sender_ssrc,
						   remb.bitrate_bps, ssrcs, remb.ssrc_count),
		RTCP_PSFB);

	REQUIRE(rtcp_feedback_parse(&again, &fb_back) == RTCP_OK);
	REQUIRE(rtcp_remb_parse(&fb_back, &back) == RTCP_OK);
	REQUIRE(back.bitrate_bps == remb.bitrate_bps
		|| (remb.bitrate_bps == UINT64_MAX && back.bitrate_bps == 0x3ffffull << 46));
	REQUIRE(back.ssrc_count == remb.ssrc_count);
	REQUIRE(!remb.ssrc_count || !memcmp(back.ssrcs, remb.ssrcs, remb.ssrc_count * 4u));
}

static void check_feedback(const struct rtcp_packet *p)
{
	struct rtcp_feedback fb, back;
	struct rtcp_fir fir, fir_back;
	struct rtcp_twcc twcc;
	struct rtcp_packet again;

	if (rtcp_feedback_parse(p, &fb) != RTCP_OK)
		return;
	check_inside(p, fb.fci, fb.fci_len);
	check_nack(&fb);
	check_remb(p, &fb);
	if (rtcp_twcc_parse(&fb, &twcc) == RTCP_OK)
		check_inside(p, twcc.chunks, twcc.chunks_len);
	if (rtcp_is_pli(&fb)) {
		again = reparse(rtcp_encode_pli(out, sizeof(out), fb.sender_ssrc, fb.media_ssrc),
			RTCP_PSFB);
		REQUIRE(!memcmp(again.body, p->body, 8));
	}
	for (unsigned i = 0; rtcp_fir(&fb, i, &fir); i++) {
		again = reparse(rtcp_encode_fir(out, sizeof(out), fb.sender_ssrc, &fir), RTCP_PSFB);
		REQUIRE(rtcp_feedback_parse(&again, &back) == RTCP_OK);
		REQUIRE(rtcp_fir(&back, 0, &fir_back));
		REQUIRE(fir_back.ssrc == fir.ssrc && fir_back.seq == fir.seq);
	}
}

static void check_xr(const struct rtcp_packet *p)
{
	struct rtcp_xr_iter it;
	struct rtcp_xr_block block;
	uint64_t ntp;

	if (rtcp_xr_iter_init(&it, p) != RTCP_OK)
		return;
	while (rtcp_xr_next(&it, &block) == RTCP_OK) {
		struct rtcp_dlrr dlrr[RTCP_COUNT_MAX];
		unsigned n = 0;

		check_inside(p, block.body, block.body_len);
		if (rtcp_xr_rrtr(&block, &ntp))
			reparse(rtcp_encode_rrtr(out, sizeof(out), it.ssrc, ntp), RTCP_XR);
		while (n < RTCP_COUNT_MAX && rtcp_xr_dlrr(&block, n, &dlrr[n]))
			n++;
		if (!n)
			continue;
		struct rtcp_packet again
			= reparse(rtcp_encode_dlrr(out, sizeof(out), it.ssrc, dlrr, n), RTCP_XR);

		REQUIRE(!memcmp(again.body + 8, block.body, 12u * n));
	}
	REQUIRE(rtcp_xr_next(&it, &block) == RTCP_END);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rtcp_iter it;
	struct rtcp_packet p;
	enum rtcp_status status;
	size_t at = 0;

	rtcp_iter_init(&it, data, size);
	while ((status = rtcp_next(&it, &p)) == RTCP_OK) {
		REQUIRE(p.off == at && p.len >= 4 && at + p.len <= size);
		REQUIRE(p.body == data + at + 4 && p.body_len + 4 <= p.len);
		at += p.len;
		check_report(&p);
		check_sdes(&p);
		check_bye(&p);
		check_feedback(&p);
		check_xr(&p);
	}
	REQUIRE(status != RTCP_END || at == size);
	REQUIRE(rtcp_next(&it, &p) == RTCP_END);
	return 0;
}
