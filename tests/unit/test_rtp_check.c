// SPDX-License-Identifier: BSD-3-Clause
// What the test peers check is only worth something if it fails: each damage is seen, by its name.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "sfu-dp/proto/rtp.h"
#include "tests/support/content.h"
#include "tests/support/latency.h"
#include "tests/support/rtp_repair.h"
#include "tests/support/rtp_resend.h"
#include "tests/support/rtp_sink.h"
#include "tests/support/rtp_source.h"

#define START_US 1000000

static const uint8_t key[16] = "unit test key 1";
static const struct rtp_sink_edge open_edge;

struct pair {
	struct rtp_source *source;
	struct rtp_sink *sink;
	uint64_t now_us;
	uint8_t packet[RTP_SOURCE_PACKET_MAX];
	size_t len;
};

static void pair_open(struct pair *p, enum rtp_codec codec)
{
	const struct rtp_source_config source = {.key = key,
		.key_len = sizeof(key),
		.mid = "0",
		.sender = 7,
		.ssrc = 42,
		.pps = 100,
		.payload_bytes = 300,
		.first_seq = 65530,
		.track = codec != RTP_CODEC_OPUS,
		.payload_type = 98,
		.mid_id = 4,
		.value_id = 13,
		.codec = codec};
	const struct rtp_sink_config sink = {.key = key,
		.key_len = sizeof(key),
		.mid = "0",
		.cname = "c",
		.sender = 7,
		.ssrc = 42,
		.track = codec != RTP_CODEC_OPUS,
		.payload_type = 98,
		.mid_id = 4,
		.value_id = 13,
		.codec = codec};

	p->source = rtp_source_create(&source);
	p->sink = rtp_sink_create(&sink);
	p->now_us = START_US;
	rtp_source_start(p->source, p->now_us);
}

static void pair_close(struct pair *p)
{
	rtp_source_destroy(p->source);
	rtp_sink_destroy(p->sink);
}

static void make(struct pair *p)
{
	p->now_us += 10000;
	p->len = rtp_source_next(p->source, p->now_us, 0, p->packet, sizeof(p->packet));
	assert_true(p->len > RTP_SOURCE_PAYLOAD_MIN);
}

static void take(struct pair *p, const struct rtp_sink_edge *edge)
{
	rtp_sink_packet(p->sink, p->packet, p->len, p->now_us + 3000, edge);
}

static void run(struct pair *p, unsigned packets)
{
	while (packets--) {
		make(p);
		take(p, &open_edge);
	}
}

static void test_clean(void **state)
{
	static const enum rtp_codec codecs[] = {RTP_CODEC_OPUS, RTP_CODEC_VP8, RTP_CODEC_VP9};
	const struct rtp_sink_stats *st;
	struct pair p;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		pair_open(&p, codecs[i]);
		run(&p, 5000); // rolls over, and past the window
		st = rtp_sink_stats(p.sink);
		assert_null(st->problem);
		assert_int_equal(st->received, 5000);
		assert_int_equal(st->unique, 5000);
		assert_int_equal(st->mids, 5000);
		assert_int_equal(st->rtp_missing, 0);
		assert_int_equal(rtp_sink_lost(p.sink), 0);
		assert_in_range(latency_quantile(&st->latency, 500), 3000, 3500);
		pair_close(&p);
	}
}

static void test_lost(void **state)
{
	struct pair p;

	(void)state;
	pair_open(&p, RTP_CODEC_VP9);
	run(&p, 10);
	make(&p);
	make(&p);
	run(&p, 10);
	assert_int_equal(rtp_sink_lost(p.sink), 2);
	assert_int_equal(rtp_sink_stats(p.sink)->rtp_missing, 2);
	pair_close(&p);
}

static void test_overtaken_before_we_were_there(void **state)
{
	uint8_t late[RTP_SOURCE_PACKET_MAX];
	size_t late_len;
	struct pair p;

	(void)state;
	pair_open(&p, RTP_CODEC_VP9);
	make(&p);
	late_len = p.len;
	memcpy(late, p.packet, late_len);
	// Came while nobody listened.
	make(&p);
	make(&p);
	run(&p, 5);
	rtp_sink_packet(p.sink, late, late_len, p.now_us, &open_edge);
	assert_int_equal(rtp_sink_lost(p.sink), 0);
	assert_int_equal(rtp_sink_stats(p.sink)->unique, 5);
	// But once.
	rtp_sink_packet(p.sink, late, late_len, p.now_us, &open_edge);
	assert_int_equal(rtp_sink_stats(p.sink)->duplicated, 1);
	pair_close(&p);
}

static void test_shut(void **state)
{
	static const struct rtp_sink_edge was_shut = {.was_shut = true}, is_shut = {true, true};
	struct pair p;

	(void)state;
	pair_open(&p, RTP_CODEC_VP9);
	run(&p, 10);
	make(&p);
	make(&p);
	take(&p, &was_shut);
	assert_int_equal(rtp_sink_lost(p.sink), 0);
	assert_int_equal(rtp_sink_stats(p.sink)->excused, 1);
	make(&p);
	take(&p, &is_shut);
	assert_int_equal(rtp_sink_stats(p.sink)->leaked, 1);
	assert_non_null(rtp_sink_stats(p.sink)->problem);
	pair_close(&p);
}

static void test_twice_and_late(void **state)
{
	struct pair p, early;

	(void)state;
	pair_open(&p, RTP_CODEC_VP9);
	run(&p, 10);
	take(&p, &open_edge);
	assert_int_equal(rtp_sink_stats(p.sink)->duplicated, 1);
	make(&p);
	early = p;
	run(&p, 1);
	rtp_sink_packet(p.sink, early.packet, early.len, p.now_us, &open_edge);
	assert_int_equal(rtp_sink_stats(p.sink)->reordered, 1);
	assert_int_equal(rtp_sink_lost(p.sink), 0);
	pair_close(&p);
}

/** Every octet behind the extension matters; those of the header are judged one by one below. */
static void test_every_octet(void **state)
{
	struct rtp_view view;
	struct pair p;

	(void)state;
	pair_open(&p, RTP_CODEC_VP9);
	run(&p, 3);
	make(&p);
	assert_int_equal(rtp_parse(p.packet, p.len, &view), RTP_OK);
	for (size_t i = view.payload_off; i < p.len; i++) {
		const struct rtp_sink_stats *st = rtp_sink_stats(p.sink);
		uint64_t before = st->undecryptable + st->mismatched;

		p.packet[i] ^= 0x01;
		take(&p, &open_edge);
		p.packet[i] ^= 0x01;
		assert_int_equal(st->undecryptable + st->mismatched, before + 1);
	}
	pair_close(&p);
}

static void test_header(void **state)
{
	// Payload type; marker; time stamp; a letter of the MID's value; the orientation.
	static const struct {
		size_t off;
		uint8_t flip;
	} damages[] = {{1, 0x01}, {1, 0x80}, {7, 0x10}, {17, 0x01}, {19, 0x01}};
	struct pair p;

	(void)state;
	for (unsigned i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		const struct rtp_sink_stats *st;

		pair_open(&p, RTP_CODEC_VP9);
		run(&p, 3);
		st = rtp_sink_stats(p.sink);
		assert_null(st->problem);
		make(&p);
		p.packet[damages[i].off] ^= damages[i].flip;
		take(&p, &open_edge);
		assert_int_equal(st->header_wrong + st->timestamp_jumps, 1);
		pair_close(&p);
	}
}

static void test_other_sender(void **state)
{
	struct pair p, other;

	(void)state;
	pair_open(&p, RTP_CODEC_VP9);
	pair_open(&other, RTP_CODEC_OPUS); // its track, crossed over
	run(&p, 3);
	make(&other);
	rtp_sink_packet(p.sink, other.packet, other.len, other.now_us, &open_edge);
	assert_int_equal(
		rtp_sink_stats(p.sink)->undecryptable + rtp_sink_stats(p.sink)->mismatched, 1);
	pair_close(&p);
	pair_close(&other);
}

static void test_reports(void **state)
{
	struct rtcp_sender_info info;
	struct rtcp_packet packet;
	struct rtcp_report report;
	struct rtcp_report_block block;
	struct rtcp_iter it;
	struct pair p;
	uint8_t buf[200];
	size_t len;

	(void)state;
	pair_open(&p, RTP_CODEC_VP9);
	assert_false(rtp_sink_block(p.sink, p.now_us, &block));
	run(&p, 100);
	len = rtp_source_report(p.source, p.now_us, "c", buf, sizeof(buf));
	rtcp_iter_init(&it, buf, len);
	assert_int_equal(rtcp_next(&it, &packet), RTCP_OK);
	assert_int_equal(rtcp_report_parse(&packet, &report), RTCP_OK);
	info = report.info;
	rtp_sink_report(p.sink, &info, p.now_us);
	rtp_sink_cname(p.sink, (const uint8_t *)"c", 1);
	assert_null(rtp_sink_stats(p.sink)->problem);
	assert_true(rtp_sink_block(p.sink, p.now_us + 50000, &block));
	assert_int_equal(block.cumulative_lost, 0);
	assert_int_equal(block.highest_seq, 65530 + 99);
	assert_int_equal(block.lsr, rtcp_ntp_mid(info.ntp));
	info.rtp_timestamp += 10 * 90000;
	rtp_sink_report(p.sink, &info, p.now_us);
	assert_true(rtp_sink_stats(p.sink)->sr_wrong > 0);
	rtp_sink_cname(p.sink, (const uint8_t *)"d", 1);
	assert_int_equal(rtp_sink_stats(p.sink)->header_wrong, 1);
	pair_close(&p);
}

static void test_latency_classes(void **state)
{
	struct latency l = {0};

	(void)state;
	for (uint64_t us = 1; us <= 100000; us++)
		latency_add(&l, us);
	assert_in_range(latency_quantile(&l, 500), 50000, 50000 * 9 / 8);
	assert_in_range(latency_quantile(&l, 990), 99000, 100000);
	assert_int_equal(latency_quantile(&l, 1000), 100000);
	latency_add(&l, UINT64_MAX);
	assert_int_equal(l.max_us, UINT64_MAX);
}

/** A receiver that asks, a sender that answers, and every tenth packet lost on the way. */
static void test_repair(void **state)
{
	const struct rtp_repair_config config
		= {.ssrc = 42, .rtx_ssrc = 43, .payload_type = 98, .rtx_payload_type = 99};
	struct rtp_repair *repair = rtp_repair_create(&config);
	struct rtp_resend *resend = rtp_resend_create(43, 99, 65000);
	const struct rtp_sink_stats *st;
	struct pair p;

	(void)state;
	pair_open(&p, RTP_CODEC_VP9);
	st = rtp_sink_stats(p.sink);
	for (unsigned n = 0; n < 1000; n++) {
		uint8_t rtcp[256], again[RTP_SOURCE_PACKET_MAX];
		struct rtcp_feedback fb;
		struct rtcp_packet packet;
		struct rtcp_nack nack;
		struct rtcp_iter it;
		size_t len;

		p.now_us += 10000;
		p.len = rtp_source_next(p.source, p.now_us, 0, p.packet, sizeof(p.packet));
		rtp_resend_keep(resend, p.packet, p.len);
		if (n % 10 != 5) {
			len = p.len;
			assert_int_equal(rtp_repair_packet(repair, p.packet, &len, p.now_us),
				RTP_REPAIR_FRESH);
			assert_int_equal(rtp_repair_packet(repair, p.packet, &len, p.now_us),
				RTP_REPAIR_AGAIN);
			rtp_sink_packet(p.sink, p.packet, len, p.now_us, &open_edge);
		}
		len = rtp_repair_nack(repair, p.now_us, 1, rtcp, sizeof(rtcp));
		if (!len)
			continue;
		rtcp_iter_init(&it, rtcp, len);
		assert_int_equal(rtcp_next(&it, &packet), RTCP_OK);
		assert_int_equal(rtcp_feedback_parse(&packet, &fb), RTCP_OK);
		assert_true(rtcp_nack(&fb, 0, &nack));
		assert_int_equal(nack.blp, 0);
		len = rtp_resend_answer(resend, nack.pid, again, sizeof(again));
		assert_int_equal(
			rtp_repair_packet(repair, again, &len, p.now_us), RTP_REPAIR_RECOVERED);
		rtp_sink_recovered(p.sink, again, len, p.now_us, &open_edge);
	}
	assert_null(st->problem);
	assert_int_equal(st->unique, 1000);
	assert_int_equal(st->in_time, 1000);
	assert_int_equal(st->recovered, 100);
	// What a report says is lost is what did not come the first time.
	assert_int_equal(st->rtp_missing, 100);
	assert_int_equal(rtp_repair_counts(repair)->recovered, 100);
	assert_int_equal(rtp_repair_counts(repair)->again, 900);
	assert_int_equal(rtp_resend_counts(resend)->sent, 100);
	assert_int_equal(rtp_resend_answer(resend, 5000, p.packet, sizeof(p.packet)), 0);
	rtp_repair_destroy(repair);
	rtp_resend_destroy(resend);
	pair_close(&p);
}

/** What comes after too long is there, but not in time. */
static void test_in_time(void **state)
{
	const struct rtp_sink_stats *st;
	struct pair p;

	(void)state;
	pair_open(&p, RTP_CODEC_OPUS);
	st = rtp_sink_stats(p.sink);
	for (unsigned late = 0; late < 2; late++) {
		p.len = rtp_source_next(p.source, p.now_us, 0, p.packet, sizeof(p.packet));
		rtp_sink_packet(
			p.sink, p.packet, p.len, p.now_us + RTP_SINK_IN_TIME_US + late, &open_edge);
	}
	assert_int_equal(st->unique, 2);
	assert_int_equal(st->in_time, 1);
	pair_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clean),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_overtaken_before_we_were_there),
		cmocka_unit_test(test_shut),
		cmocka_unit_test(test_twice_and_late),
		cmocka_unit_test(test_every_octet),
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_other_sender),
		cmocka_unit_test(test_reports),
		cmocka_unit_test(test_latency_classes),
		cmocka_unit_test(test_repair),
		cmocka_unit_test(test_in_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
