// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/proto/rtcp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

// Read everything there is to read; what it finds is summed up, so that no read is optimised away.
static uint32_t read_packet(const struct rtcp_packet *p)
{
	struct rtcp_report report;
	struct rtcp_report_block block;
	struct rtcp_sdes_iter sdes;
	struct rtcp_sdes_item item;
	struct rtcp_bye bye;
	struct rtcp_feedback fb;
	struct rtcp_nack nack;
	struct rtcp_fir fir;
	struct rtcp_twcc twcc;
	struct rtcp_remb remb;
	struct rtcp_xr_iter xr;
	struct rtcp_xr_block xr_block;
	struct rtcp_dlrr dlrr;
	uint64_t ntp = 0;
	uint32_t sum = 0;

	if (rtcp_report_parse(p, &report) == RTCP_OK) {
		for (unsigned i = 0; rtcp_report_block(&report, i, &block); i++)
			sum += block.ssrc + block.dlsr;
	}
	if (rtcp_sdes_iter_init(&sdes, p) == RTCP_OK) {
		while (rtcp_sdes_next(&sdes, &item) == RTCP_OK) {
			for (unsigned i = 0; i < item.len; i++)
				sum += item.text[i];
		}
		assert_int_equal(rtcp_sdes_next(&sdes, &item), RTCP_END);
	}
	if (rtcp_bye_parse(p, &bye) == RTCP_OK) {
		for (unsigned i = 0; i < bye.ssrc_count; i++)
			sum += rtcp_ssrc(bye.ssrcs, bye.ssrc_count, i);
		for (unsigned i = 0; i < bye.reason_len; i++)
			sum += bye.reason[i];
	}
	if (rtcp_feedback_parse(p, &fb) == RTCP_OK) {
		for (unsigned i = 0; rtcp_nack(&fb, i, &nack); i++)
			sum += nack.pid + nack.blp;
		for (unsigned i = 0; rtcp_fir(&fb, i, &fir); i++)
			sum += fir.ssrc;
		if (rtcp_twcc_parse(&fb, &twcc) == RTCP_OK && twcc.chunks_len)
			sum += twcc.chunks[twcc.chunks_len - 1];
		if (rtcp_remb_parse(&fb, &remb) == RTCP_OK) {
			for (unsigned i = 0; i < remb.ssrc_count; i++)
				sum += rtcp_ssrc(remb.ssrcs, remb.ssrc_count, i);
		}
	}
	if (rtcp_xr_iter_init(&xr, p) == RTCP_OK) {
		while (rtcp_xr_next(&xr, &xr_block) == RTCP_OK) {
			if (rtcp_xr_rrtr(&xr_block, &ntp))
				sum += (uint32_t)ntp;
			for (unsigned i = 0; rtcp_xr_dlrr(&xr_block, i, &dlrr); i++)
				sum += dlrr.dlrr;
		}
		assert_int_equal(rtcp_xr_next(&xr, &xr_block), RTCP_END);
	}
	return sum;
}

// How many packets the walk gives, and how it ends, from a buffer of exactly this size.
static enum rtcp_status walk(const uint8_t *buf, size_t len, unsigned *count)
{
	uint8_t *copy = malloc(len + 1);
	struct rtcp_iter it;
	struct rtcp_packet p;
	enum rtcp_status status;

	assert_non_null(copy);
	memcpy(copy + 1, buf, len);
	*count = 0;
	rtcp_iter_init(&it, copy + 1, len);
	while ((status = rtcp_next(&it, &p)) == RTCP_OK) {
		assert_true((size_t)p.off + p.len <= len);
		read_packet(&p);
		++*count;
	}
	assert_int_equal(rtcp_next(&it, &p), RTCP_END);
	free(copy);
	return status;
}

static struct rtcp_packet only_packet(const uint8_t *buf, size_t len)
{
	struct rtcp_iter it;
	struct rtcp_packet p, more;

	rtcp_iter_init(&it, buf, len);
	assert_int_equal(rtcp_next(&it, &p), RTCP_OK);
	assert_int_equal(rtcp_next(&it, &more), RTCP_END);
	assert_int_equal(p.off, 0);
	assert_int_equal(p.len, len);
	return p;
}

static const struct rtcp_report_block blocks[RTCP_COUNT_MAX] = {
	{.ssrc = 0x11111111,
		.cumulative_lost = -2,
		.highest_seq = 0x00010002,
		.jitter = 3,
		.lsr = 4,
		.dlsr = 5,
		.fraction_lost = 6},
	{.ssrc = 0x22222222, .cumulative_lost = 0x7fffff, .fraction_lost = 255},
	{.ssrc = 0x33333333, .cumulative_lost = -0x800000},
};
static const struct rtcp_sender_info info = {.ntp = 0x0123456789abcdef,
	.ssrc = 0xa1a2a3a4,
	.rtp_timestamp = 0x55667788,
	.packets = 9,
	.octets = 10};

// One of everything we write; returns its length, and the number of packets in *count.
static size_t build_compound(uint8_t *buf, size_t cap, unsigned *count)
{
	const uint32_t ssrcs[] = {1, 2, 3};
	const uint16_t seqs[] = {65534, 65535, 0, 15, 16, 40};
	const struct rtcp_fir fir = {7, 8};
	const struct rtcp_dlrr dlrr[] = {{1, 2, 3}, {4, 5, 6}};
	size_t len = 0, n[10];
	unsigned i = 0;

	len += n[i++] = rtcp_encode_sr(buf + len, cap - len, &info, blocks, 2);
	len += n[i++] = rtcp_encode_rr(buf + len, cap - len, 0xb1b2b3b4, blocks, 3);
	len += n[i++] = rtcp_encode_sdes_cname(buf + len, cap - len, 1, "cname", 5);
	len += n[i++] = rtcp_encode_nack(buf + len, cap - len, 1, 2, seqs, COUNT(seqs));
	len += n[i++] = rtcp_encode_pli(buf + len, cap - len, 1, 2);
	len += n[i++] = rtcp_encode_fir(buf + len, cap - len, 1, &fir);
	len += n[i++] = rtcp_encode_remb(buf + len, cap - len, 1, 1000000, ssrcs, 2);
	len += n[i++] = rtcp_encode_rrtr(buf + len, cap - len, 1, 2);
	len += n[i++] = rtcp_encode_dlrr(buf + len, cap - len, 1, dlrr, 2);
	len += n[i++] = rtcp_encode_bye(buf + len, cap - len, ssrcs, 3);
	for (unsigned k = 0; k < i; k++)
		assert_true(n[k] && n[k] % 4 == 0);
	*count = i;
	return len;
}

static void test_compound(void **state)
{
	static const uint8_t types[] = {RTCP_SR, RTCP_RR, RTCP_SDES, RTCP_RTPFB, RTCP_PSFB,
		RTCP_PSFB, RTCP_PSFB, RTCP_XR, RTCP_XR, RTCP_BYE};
	uint8_t buf[512];
	unsigned count;
	size_t len = build_compound(buf, sizeof(buf), &count), sum = 0;
	struct rtcp_iter it;
	struct rtcp_packet p;

	(void)state;
	assert_int_equal(count, COUNT(types));
	rtcp_iter_init(&it, buf, len);
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(rtcp_next(&it, &p), RTCP_OK);
		assert_int_equal(p.type, types[i]);
		assert_int_equal(p.off, sum);
		sum += p.len;
	}
	assert_int_equal(rtcp_next(&it, &p), RTCP_END);
	assert_int_equal(sum, len);
}

static void test_every_prefix(void **state)
{
	uint8_t buf[512];
	unsigned count, whole, found;
	size_t len = build_compound(buf, sizeof(buf), &count), ends[10];
	struct rtcp_iter it;
	struct rtcp_packet p;

	(void)state;
	rtcp_iter_init(&it, buf, len);
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(rtcp_next(&it, &p), RTCP_OK);
		ends[i] = (size_t)p.off + p.len;
	}
	for (size_t cut = 0; cut <= len; cut++) {
		enum rtcp_status status = walk(buf, cut, &found);

		for (whole = 0; whole < count && ends[whole] <= cut; whole++)
			;
		// A bad tail costs the tail only.
		assert_int_equal(found, whole);
		assert_int_equal(status,
			cut == 0 || (whole && ends[whole - 1] == cut) ? RTCP_END : RTCP_SHORT);
	}
}

static void test_every_count_and_length(void **state)
{
	// Each packet alone, with every count and every smaller length: read without overrun.
	uint8_t buf[512];
	unsigned count, found;
	size_t len = build_compound(buf, sizeof(buf), &count);
	struct rtcp_iter it;
	struct rtcp_packet p;

	(void)state;
	rtcp_iter_init(&it, buf, len);
	while (rtcp_next(&it, &p) == RTCP_OK) {
		uint8_t one[128];

		assert_true(p.len <= sizeof(one));
		memcpy(one, buf + p.off, p.len);
		for (uint8_t fmt = 0; fmt < 32; fmt++) {
			for (size_t cut = 4; cut <= p.len; cut += 4) {
				one[0] = 0x80 | fmt;
				one[2] = 0;
				one[3] = (uint8_t)(cut / 4 - 1);
				assert_int_equal(walk(one, cut, &found), RTCP_END);
				assert_int_equal(found, 1);
				one[0] |= 0x20;
				walk(one, cut, &found);
			}
		}
	}
}

static void test_tails(void **state)
{
	static const struct {
		const char *what;
		uint8_t tail[12];
		size_t len;
		enum rtcp_status status;
		unsigned count;
	} rows[] = {
		{"nothing behind", {0}, 0, RTCP_END, 1},
		{"version 0", {0}, 4, RTCP_MALFORMED, 1},
		{"version 3", {0xc0, 201, 0, 0}, 4, RTCP_MALFORMED, 1},
		{"one octet", {0x80}, 1, RTCP_SHORT, 1},
		{"three octets", {0x80, 201, 0}, 3, RTCP_SHORT, 1},
		{"length one word too long", {0x80, 201, 0, 2}, 8, RTCP_SHORT, 1},
		{"length 0xffff", {0x80, 201, 0xff, 0xff}, 8, RTCP_SHORT, 1},
		{"unknown type", {0x80, 199, 0, 0}, 4, RTCP_END, 2},
		{"header only", {0x80, 201, 0, 0}, 4, RTCP_END, 2},
		{"padding without body", {0xa0, 201, 0, 0}, 4, RTCP_MALFORMED, 1},
		{"padding 0", {0xa0, 201, 0, 1, 0, 0, 0, 0}, 8, RTCP_MALFORMED, 1},
		{"padding 3", {0xa0, 201, 0, 1, 0, 0, 0, 3}, 8, RTCP_END, 2},
		{"padding 4", {0xa0, 201, 0, 1, 0, 0, 0, 4}, 8, RTCP_END, 2},
		{"padding larger than the body", {0xa0, 201, 0, 1, 0, 0, 0, 8}, 8, RTCP_MALFORMED,
			1},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint8_t buf[64];
		size_t len = rtcp_encode_pli(buf, sizeof(buf), 1, 2);
		unsigned count;

		memcpy(buf + len, rows[i].tail, rows[i].len);
		if (walk(buf, len + rows[i].len, &count) != rows[i].status
			|| count != rows[i].count)
			fail_msg("%s", rows[i].what);
	}
}

static void assert_block(const struct rtcp_report *report, unsigned i)
{
	struct rtcp_report_block b;

	memset(&b, 0, sizeof(b));
	assert_true(rtcp_report_block(report, i, &b));
	assert_int_equal(b.ssrc, blocks[i].ssrc);
	assert_int_equal(b.cumulative_lost, blocks[i].cumulative_lost);
	assert_int_equal(b.highest_seq, blocks[i].highest_seq);
	assert_int_equal(b.jitter, blocks[i].jitter);
	assert_int_equal(b.lsr, blocks[i].lsr);
	assert_int_equal(b.dlsr, blocks[i].dlsr);
	assert_int_equal(b.fraction_lost, blocks[i].fraction_lost);
}

static void test_reports(void **state)
{
	uint8_t buf[28 + 24 * RTCP_COUNT_MAX];
	struct rtcp_report r;
	struct rtcp_report_block b;
	struct rtcp_packet p;

	(void)state;
	for (unsigned count = 0; count <= RTCP_COUNT_MAX; count++) {
		size_t len = rtcp_encode_sr(buf, sizeof(buf), &info, blocks, count);

		assert_int_equal(len, 28 + 24 * count);
		p = only_packet(buf, len);
		assert_int_equal(rtcp_report_parse(&p, &r), RTCP_OK);
		assert_memory_equal(&r.info, &info, sizeof(info));
		assert_int_equal(r.block_count, count);
		for (unsigned i = 0; i < count; i++)
			assert_block(&r, i);
		assert_false(rtcp_report_block(&r, count, &b));
		len = rtcp_encode_rr(buf, sizeof(buf), 0xb1b2b3b4, blocks, count);
		assert_int_equal(len, 8 + 24 * count);
		p = only_packet(buf, len);
		assert_int_equal(rtcp_report_parse(&p, &r), RTCP_OK);
		assert_int_equal(r.info.ssrc, 0xb1b2b3b4);
		for (unsigned i = 0; i < count; i++)
			assert_block(&r, i);
	}
	assert_int_equal(rtcp_encode_sr(buf, sizeof(buf), &info, blocks, 32), 0);
	assert_int_equal(rtcp_encode_rr(buf, sizeof(buf), 1, blocks, 32), 0);
	// More blocks counted than there are.
	rtcp_encode_rr(buf, sizeof(buf), 1, blocks, 2);
	buf[0]++;
	p = only_packet(buf, 8 + 48);
	assert_int_equal(rtcp_report_parse(&p, &r), RTCP_SHORT);
	p.type = RTCP_BYE;
	assert_int_equal(rtcp_report_parse(&p, &r), RTCP_UNSUPPORTED);
}

static void test_cumulative_lost_is_clamped(void **state)
{
	const struct rtcp_report_block b[]
		= {{.cumulative_lost = 0x800000}, {.cumulative_lost = -0x800001}};
	uint8_t buf[64];
	struct rtcp_packet p = only_packet(buf, rtcp_encode_rr(buf, sizeof(buf), 1, b, 2));
	struct rtcp_report r;
	struct rtcp_report_block out;

	(void)state;
	assert_int_equal(rtcp_report_parse(&p, &r), RTCP_OK);
	assert_true(rtcp_report_block(&r, 0, &out));
	assert_int_equal(out.cumulative_lost, 0x7fffff);
	assert_true(rtcp_report_block(&r, 1, &out));
	assert_int_equal(out.cumulative_lost, -0x800000);
}

static void test_sdes(void **state)
{
	// Two chunks: CNAME "a" and NOTE "" for 1, CNAME "bcd" for 2.
	static const uint8_t two[] = {0x82, 202, 0, 6, 0, 0, 0, 1, 1, 1, 'a', 7, 0, 0, 0, 0, 0, 0,
		0, 2, 1, 3, 'b', 'c', 'd', 0, 0, 0};
	uint8_t buf[300], name[256];
	struct rtcp_packet p = only_packet(two, sizeof(two));
	struct rtcp_sdes_iter it;
	struct rtcp_sdes_item item;

	(void)state;
	assert_int_equal(rtcp_sdes_iter_init(&it, &p), RTCP_OK);
	assert_int_equal(rtcp_sdes_next(&it, &item), RTCP_OK);
	assert_int_equal(item.ssrc, 1);
	assert_int_equal(item.type, RTCP_SDES_CNAME);
	assert_int_equal(item.len, 1);
	assert_int_equal(item.text[0], 'a');
	assert_int_equal(rtcp_sdes_next(&it, &item), RTCP_OK);
	assert_int_equal(item.type, 7);
	assert_int_equal(item.len, 0);
	assert_int_equal(rtcp_sdes_next(&it, &item), RTCP_OK);
	assert_int_equal(item.ssrc, 2);
	assert_int_equal(item.len, 3);
	assert_int_equal(rtcp_sdes_next(&it, &item), RTCP_END);
	memset(name, 'x', sizeof(name));
	for (size_t n = 1; n <= 255; n++) {
		size_t len = rtcp_encode_sdes_cname(buf, sizeof(buf), 9, (const char *)name, n);

		assert_true(len >= 8 + 2 + n + 1);
		p = only_packet(buf, len);
		assert_int_equal(rtcp_sdes_iter_init(&it, &p), RTCP_OK);
		assert_int_equal(rtcp_sdes_next(&it, &item), RTCP_OK);
		assert_int_equal(item.ssrc, 9);
		assert_int_equal(item.len, n);
		assert_memory_equal(item.text, name, n);
		assert_int_equal(rtcp_sdes_next(&it, &item), RTCP_END);
	}
	assert_int_equal(rtcp_encode_sdes_cname(buf, sizeof(buf), 9, "", 0), 0);
	assert_int_equal(rtcp_encode_sdes_cname(buf, sizeof(buf), 9, (const char *)name, 256), 0);
	// The item says more than the chunk has.
	memcpy(buf, two, sizeof(two));
	buf[9] = 19;
	p = only_packet(buf, sizeof(two));
	assert_int_equal(rtcp_sdes_iter_init(&it, &p), RTCP_OK);
	assert_int_equal(rtcp_sdes_next(&it, &item), RTCP_SHORT);
	assert_int_equal(rtcp_sdes_next(&it, &item), RTCP_END);
}

static void test_bye(void **state)
{
	static const struct {
		const char *what;
		uint8_t packet[16];
		size_t len;
		enum rtcp_status status;
		uint8_t count, reason_len;
	} rows[] = {
		{"no source", {0x80, 203, 0, 0}, 4, RTCP_OK, 0, 0},
		{"one source", {0x81, 203, 0, 1, 0, 0, 0, 7}, 8, RTCP_OK, 1, 0},
		{"source missing", {0x82, 203, 0, 1, 0, 0, 0, 7}, 8, RTCP_SHORT, 0, 0},
		{"31 sources of none", {0x9f, 203, 0, 0}, 4, RTCP_SHORT, 0, 0},
		{"reason", {0x81, 203, 0, 2, 0, 0, 0, 7, 3, 'b', 'y', 'e'}, 12, RTCP_OK, 1, 3},
		{"reason too long", {0x81, 203, 0, 2, 0, 0, 0, 7, 4, 'b', 'y', 'e'}, 12, RTCP_OK, 1,
			0},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct rtcp_packet p = only_packet(rows[i].packet, rows[i].len);
		struct rtcp_bye bye = {0};

		if (rtcp_bye_parse(&p, &bye) != rows[i].status || bye.ssrc_count != rows[i].count
			|| bye.reason_len != rows[i].reason_len)
			fail_msg("%s", rows[i].what);
		if (bye.ssrc_count) {
			assert_int_equal(rtcp_ssrc(bye.ssrcs, bye.ssrc_count, 0), 7);
			assert_int_equal(rtcp_ssrc(bye.ssrcs, bye.ssrc_count, 1), 0);
		}
	}
	uint8_t buf[128];
	const uint32_t ssrcs[32] = {5, 6};
	struct rtcp_bye bye;
	struct rtcp_packet p = only_packet(buf, rtcp_encode_bye(buf, sizeof(buf) / 2, ssrcs, 2));

	assert_int_equal(rtcp_bye_parse(&p, &bye), RTCP_OK);
	assert_int_equal(rtcp_ssrc(bye.ssrcs, bye.ssrc_count, 1), 6);
	assert_int_equal(rtcp_encode_bye(buf, sizeof(buf), ssrcs, 31), 128);
	assert_int_equal(rtcp_encode_bye(buf, sizeof(buf), ssrcs, 32), 0);
}

static struct rtcp_feedback parse_feedback(const uint8_t *buf, size_t len)
{
	struct rtcp_packet p = only_packet(buf, len);
	struct rtcp_feedback fb;

	assert_int_equal(rtcp_feedback_parse(&p, &fb), RTCP_OK);
	return fb;
}

static void test_nack(void **state)
{
	static const struct {
		const char *what;
		uint16_t seqs[4];
		unsigned count, entries;
		uint16_t pid, blp;
	} rows[] = {
		{"one", {5}, 1, 1, 5, 0},
		{"neighbours", {5, 6}, 2, 1, 5, 1},
		{"16 behind", {5, 21}, 2, 1, 5, 0x8000},
		{"17 behind", {5, 22}, 2, 2, 5, 0},
		{"wrap", {65535, 0, 1}, 3, 1, 65535, 3},
		{"repeated", {5, 5, 6}, 3, 1, 5, 1},
		{"descending", {6, 5}, 2, 2, 6, 0},
	};
	uint8_t buf[64];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		size_t len = rtcp_encode_nack(buf, sizeof(buf), 1, 2, rows[i].seqs, rows[i].count);
		struct rtcp_feedback fb = parse_feedback(buf, len);
		struct rtcp_nack nack;

		if (len != 12 + 4 * rows[i].entries || fb.sender_ssrc != 1 || fb.media_ssrc != 2
			|| !rtcp_nack(&fb, 0, &nack) || nack.pid != rows[i].pid
			|| nack.blp != rows[i].blp || rtcp_nack(&fb, rows[i].entries, &nack))
			fail_msg("%s", rows[i].what);
	}
	assert_int_equal(rtcp_encode_nack(buf, sizeof(buf), 1, 2, rows[0].seqs, 0), 0);
}

static void test_key_frame_requests(void **state)
{
	const struct rtcp_fir fir = {0xdeadbeef, 42};
	uint8_t buf[32];
	struct rtcp_feedback fb = parse_feedback(buf, rtcp_encode_pli(buf, sizeof(buf), 3, 4));
	struct rtcp_fir out;

	(void)state;
	assert_true(rtcp_is_pli(&fb));
	assert_int_equal(fb.sender_ssrc, 3);
	assert_int_equal(fb.media_ssrc, 4);
	assert_false(rtcp_fir(&fb, 0, &out));
	fb = parse_feedback(buf, rtcp_encode_fir(buf, sizeof(buf), 3, &fir));
	assert_false(rtcp_is_pli(&fb));
	assert_int_equal(fb.media_ssrc, 0);
	assert_true(rtcp_fir(&fb, 0, &out));
	assert_int_equal(out.ssrc, fir.ssrc);
	assert_int_equal(out.seq, fir.seq);
	assert_false(rtcp_fir(&fb, 1, &out));
	fb.fci_len = 7;
	assert_false(rtcp_fir(&fb, 0, &out));
}

static void test_twcc(void **state)
{
	static const uint8_t packet[] = {0x8f, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0xfe, 0, 7,
		0xff, 0xff, 0xff, 0x55, 0x20, 7, 0, 0};
	struct rtcp_feedback fb = parse_feedback(packet, sizeof(packet));
	struct rtcp_twcc twcc;

	(void)state;
	assert_int_equal(rtcp_twcc_parse(&fb, &twcc), RTCP_OK);
	assert_int_equal(twcc.base_seq, 0xfffe);
	assert_int_equal(twcc.status_count, 7);
	assert_int_equal(twcc.reference_time, -1);
	assert_int_equal(twcc.feedback_count, 0x55);
	assert_int_equal(twcc.chunks_len, 4);
	assert_ptr_equal(twcc.chunks, packet + 20);
	fb.fci_len = 7;
	assert_int_equal(rtcp_twcc_parse(&fb, &twcc), RTCP_SHORT);
	fb.fmt = RTCP_RTPFB_NACK;
	assert_int_equal(rtcp_twcc_parse(&fb, &twcc), RTCP_UNSUPPORTED);
}

static void test_remb(void **state)
{
	static const struct {
		uint64_t in, out;
	} rows[] = {{0, 0}, {1, 1}, {0x3ffff, 0x3ffff}, {0x40001, 0x40000}, {2500000, 2500000},
		{UINT64_MAX, 0x3ffffull << 46}};
	const uint32_t ssrcs[] = {1, 2};
	uint8_t buf[64];
	struct rtcp_remb remb;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		size_t len = rtcp_encode_remb(buf, sizeof(buf), 1, rows[i].in, ssrcs, 2);
		struct rtcp_feedback fb = parse_feedback(buf, len);

		assert_int_equal(rtcp_remb_parse(&fb, &remb), RTCP_OK);
		assert_true(remb.bitrate_bps == rows[i].out);
		assert_int_equal(remb.ssrc_count, 2);
		assert_int_equal(rtcp_ssrc(remb.ssrcs, remb.ssrc_count, 1), 2);
	}
	// The largest exponent does not shift the value away.
	buf[17] = 0xff;
	struct rtcp_feedback fb = parse_feedback(buf, 28);

	assert_int_equal(rtcp_remb_parse(&fb, &remb), RTCP_OK);
	assert_true(remb.bitrate_bps == UINT64_MAX);
	buf[16] = 3;
	assert_int_equal(rtcp_remb_parse(&fb, &remb), RTCP_SHORT);
	buf[12] = 'X';
	assert_int_equal(rtcp_remb_parse(&fb, &remb), RTCP_UNSUPPORTED);
}

static void test_xr(void **state)
{
	const struct rtcp_dlrr in[RTCP_COUNT_MAX] = {{1, 2, 3}, {4, 5, 6}};
	uint8_t buf[12 + 12 * RTCP_COUNT_MAX];
	struct rtcp_packet p
		= only_packet(buf, rtcp_encode_rrtr(buf, sizeof(buf), 7, 0x0123456789abcdef));
	struct rtcp_xr_iter it;
	struct rtcp_xr_block block;
	struct rtcp_dlrr dlrr;
	uint64_t ntp = 0;

	(void)state;
	assert_int_equal(rtcp_xr_iter_init(&it, &p), RTCP_OK);
	assert_int_equal(it.ssrc, 7);
	assert_int_equal(rtcp_xr_next(&it, &block), RTCP_OK);
	assert_true(rtcp_xr_rrtr(&block, &ntp));
	assert_true(ntp == 0x0123456789abcdef);
	assert_false(rtcp_xr_dlrr(&block, 0, &dlrr));
	assert_int_equal(rtcp_xr_next(&it, &block), RTCP_END);
	p = only_packet(buf, rtcp_encode_dlrr(buf, sizeof(buf), 7, in, 2));
	assert_int_equal(rtcp_xr_iter_init(&it, &p), RTCP_OK);
	assert_int_equal(rtcp_xr_next(&it, &block), RTCP_OK);
	assert_true(rtcp_xr_dlrr(&block, 1, &dlrr));
	assert_memory_equal(&dlrr, &in[1], sizeof(dlrr));
	assert_false(rtcp_xr_dlrr(&block, 2, &dlrr));
	assert_int_equal(rtcp_encode_dlrr(buf, sizeof(buf), 7, in, RTCP_COUNT_MAX), sizeof(buf));
	assert_int_equal(rtcp_encode_dlrr(buf, sizeof(buf), 7, in, RTCP_COUNT_MAX + 1), 0);
	assert_int_equal(rtcp_encode_dlrr(buf, sizeof(buf), 7, in, 0), 0);
	// A block longer than its packet.
	rtcp_encode_rrtr(buf, sizeof(buf), 7, 1);
	buf[11] = 3;
	p = only_packet(buf, 20);
	assert_int_equal(rtcp_xr_iter_init(&it, &p), RTCP_OK);
	assert_int_equal(rtcp_xr_next(&it, &block), RTCP_SHORT);
	assert_int_equal(rtcp_xr_next(&it, &block), RTCP_END);
}

static void test_builders_stay_within_capacity(void **state)
{
	const uint32_t ssrcs[] = {1, 2};
	const uint16_t seqs[] = {1, 100};
	const struct rtcp_fir fir = {1, 2};
	const struct rtcp_dlrr dlrr = {1, 2, 3};

	(void)state;
	for (unsigned builder = 0; builder < 10; builder++) {
		uint8_t buf[128];
		size_t need = sizeof(buf) - 1;

		// First round: the need; then every smaller capacity, with a canary behind.
		for (size_t cap = need; cap + 1 > 0; cap--) {
			size_t len = 0;

			memset(buf, 0xa5, sizeof(buf));
			switch (builder) {
			case 0:
				len = rtcp_encode_sr(buf, cap, &info, blocks, 2);
				break;
			case 1:
				len = rtcp_encode_rr(buf, cap, 1, blocks, 2);
				break;
			case 2:
				len = rtcp_encode_sdes_cname(buf, cap, 1, "name", 4);
				break;
			case 3:
				len = rtcp_encode_bye(buf, cap, ssrcs, 2);
				break;
			case 4:
				len = rtcp_encode_pli(buf, cap, 1, 2);
				break;
			case 5:
				len = rtcp_encode_fir(buf, cap, 1, &fir);
				break;
			case 6:
				len = rtcp_encode_nack(buf, cap, 1, 2, seqs, 2);
				break;
			case 7:
				len = rtcp_encode_remb(buf, cap, 1, 1000, ssrcs, 2);
				break;
			case 8:
				len = rtcp_encode_rrtr(buf, cap, 1, 2);
				break;
			case 9:
				len = rtcp_encode_dlrr(buf, cap, 1, &dlrr, 1);
				break;
			}
			if (cap == sizeof(buf) - 1) {
				assert_true(len > 0);
				need = len;
			}
			assert_int_equal(len, cap >= need ? need : 0);
			for (size_t i = cap; i < sizeof(buf); i++)
				assert_int_equal(buf[i], 0xa5);
		}
	}
}

static void test_time(void **state)
{
	(void)state;
	for (uint64_t us = 0; us < 3000000; us += 7)
		assert_true(rtcp_ntp_to_us(rtcp_ntp_from_us(us)) == us);
	assert_true(rtcp_ntp_from_us(1500000) == 0x180000000);
	assert_true(rtcp_ntp_to_us(rtcp_ntp_from_us(4294967295999999)) == 4294967295999999);
	assert_int_equal(rtcp_ntp_mid(0x0123456789abcdef), 0x456789ab);
	assert_int_equal(rtcp_mid_from_us(1500000), 0x18000);
	assert_int_equal(rtcp_mid_from_us(65535999999), 0xffffffff);
	assert_int_equal(rtcp_mid_from_us(65536000000), 0xffffffff);
	assert_int_equal(rtcp_mid_to_us(0x18000), 1500000);
	// RFC 3550, figure 2: A 0xb710:8000, LSR 0xb705:2000, DLSR 0x0005:4000 give 6.125 s.
	assert_int_equal(rtcp_rtt_us(0xb7108000, 0xb7052000, 0x00054000), 6125000);
	assert_int_equal(rtcp_rtt_us(0x00060000, 0, 0x00050000), 0); // no report seen
	assert_int_equal(rtcp_rtt_us(0x003d0001, 1, 0), 0); // 61 s
	assert_int_equal(rtcp_rtt_us(0x1000, 0x1000, 1), 0); // it claims to have waited longer
	assert_int_equal(rtcp_rtt_us(0x8000, 0xffff8000, 0), 1000000); // the clock wraps
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compound),
		cmocka_unit_test(test_every_prefix),
		cmocka_unit_test(test_every_count_and_length),
		cmocka_unit_test(test_tails),
		cmocka_unit_test(test_reports),
		cmocka_unit_test(test_cumulative_lost_is_clamped),
		cmocka_unit_test(test_sdes),
		cmocka_unit_test(test_bye),
		cmocka_unit_test(test_nack),
		cmocka_unit_test(test_key_frame_requests),
		cmocka_unit_test(test_twcc),
		cmocka_unit_test(test_remb),
		cmocka_unit_test(test_xr),
		cmocka_unit_test(test_builders_stay_within_capacity),
		cmocka_unit_test(test_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
