// SPDX-License-Identifier: BSD-3-Clause
/* Loss and jitter of receiver reports, against figures worked out by hand and RFC 3550's own code. */
#include "sfu-dp/proto/reception.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS 1000u
#define CLOCK 90000u

static void packet(struct reception *r, uint64_t index, uint64_t at_us)
{
	reception_packet(r, index, (uint32_t)(at_us * CLOCK / 1000000), CLOCK, at_us);
}

static void loss_is_counted_per_interval(void **state)
{
	struct rtcp_report_block block = {.ssrc = 7, .lsr = 8, .dlsr = 9};
	struct reception r = {0};

	(void)state;
	assert_int_equal(reception_expected(&r), 0);
	// 65,500 to 65,599: every fourth is lost; over the wrap of 16 bits.
	for (uint64_t i = 0; i < 100; i++) {
		if (i % 4 != 1)
			packet(&r, 65500 + i, i * MS);
	}
	reception_report(&r, &block);
	assert_int_equal(block.fraction_lost, 64);
	assert_int_equal(block.cumulative_lost, 25);
	assert_int_equal(block.highest_seq, 65599);
	assert_int_equal(block.ssrc, 7);
	assert_int_equal(block.lsr, 8);
	assert_int_equal(block.dlsr, 9);
	// A clean interval, then one without a packet (DTX): nothing expected, nothing lost.
	for (uint64_t i = 100; i < 150; i++)
		packet(&r, 65500 + i, i * MS);
	reception_report(&r, &block);
	assert_int_equal(block.fraction_lost, 0);
	assert_int_equal(block.cumulative_lost, 25);
	reception_report(&r, &block);
	assert_int_equal(block.fraction_lost, 0);
	assert_int_equal(block.cumulative_lost, 25);
}

static void all_but_the_last_lost_is_not_none(void **state)
{
	struct rtcp_report_block block;
	struct reception r = {0};

	(void)state;
	packet(&r, 0, 0);
	reception_report(&r, &block);
	packet(&r, 100000, MS);
	reception_report(&r, &block);
	assert_int_equal(block.fraction_lost, 255);
	assert_int_equal(block.cumulative_lost, 99999);
	packet(&r, 20000000, MS);
	reception_report(&r, &block);
	assert_int_equal(block.cumulative_lost, 0x7fffff);
}

static void late_packets_take_loss_back(void **state)
{
	struct rtcp_report_block block;
	struct reception r = {0};

	(void)state;
	packet(&r, 10, 0);
	packet(&r, 12, MS);
	reception_report(&r, &block);
	assert_int_equal(block.fraction_lost, 85); // 1 of 3
	packet(&r, 11, 2 * MS);
	packet(&r, 13, 2 * MS);
	reception_report(&r, &block);
	assert_int_equal(block.fraction_lost, 0);
	assert_int_equal(block.cumulative_lost, 0);
	// The first one was overtaken.
	packet(&r, 9, 3 * MS);
	assert_int_equal(reception_expected(&r), 5);
	assert_int_equal(reception_lost(&r), 0);
}

/* A.8 in floating point: J += (|D| - J) / 16. */
static void jitter_follows_the_rfc(void **state)
{
	struct rtcp_report_block block;
	struct reception r = {0};
	double jitter = 0, before = 0;

	(void)state;
	srand(3);
	for (unsigned i = 0; i < 2000; i++) {
		uint64_t sent_us = UINT64_C(3000000000000) + i * 20 * MS;
		uint64_t delay_us = 30 * MS + (uint64_t)(rand() % 40) * MS;
		double transit = (double)delay_us * CLOCK / 1e6;

		// 34 days of uptime: the arrival in clock units has long passed 32 bits.
		reception_packet(&r, i,
			(uint32_t)(sent_us / 1000000 * CLOCK + sent_us % 1000000 * CLOCK / 1000000),
			CLOCK, sent_us + delay_us);
		if (i)
			jitter += (fabs(transit - before) - jitter) / 16;
		before = transit;
	}
	reception_report(&r, &block);
	assert_true(fabs(block.jitter - jitter) < 4);
	assert_true(jitter > 500);
}

static void silence_is_no_jitter(void **state)
{
	struct reception r = {0};

	(void)state;
	// Speech, then 10 s of DTX with a packet every 400 ms, in time.
	for (unsigned i = 0; i < 50; i++)
		packet(&r, i, i * 20 * MS);
	for (unsigned i = 0; i < 25; i++)
		packet(&r, 50 + i, (1000 + i * 400) * (uint64_t)MS);
	assert_in_range(r.jitter_q4, 0, 16);
	assert_int_equal(reception_lost(&r), 0);
}

static void another_clock_begins_anew(void **state)
{
	struct reception r = {0};

	(void)state;
	packet(&r, 1, 1000 * MS);
	reception_packet(&r, 2, 12345, 48000, 1001 * MS);
	assert_int_equal(r.jitter_q4, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loss_is_counted_per_interval),
		cmocka_unit_test(all_but_the_last_lost_is_not_none),
		cmocka_unit_test(late_packets_take_loss_back),
		cmocka_unit_test(jitter_follows_the_rfc),
		cmocka_unit_test(silence_is_no_jitter),
		cmocka_unit_test(another_clock_begins_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
