// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/proto/resend.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define MS 1000u
#define SECOND 1000000u
#define T0 5000000u
#define PACKET 1200u

static unsigned take_all(struct resend *r, uint64_t now_us)
{
	uint64_t index;
	unsigned n = 0;

	while (resend_next(r, now_us, &index))
		n++;
	return n;
}

static void what_is_asked_for_twice_within_a_round_trip_is_sent_once(void **state)
{
	static const struct {
		const char *about;
		uint32_t rtt_ms;
		uint64_t first, again;
		uint32_t after_ms;
		enum resend_verdict verdict;
	} rows[] = {
		{"at once", 100, 7, 7, 0, RESEND_DUPLICATE},
		{"half a round trip later", 100, 7, 7, 50, RESEND_DUPLICATE},
		{"a round trip later", 100, 7, 7, 100, RESEND_NOTED},
		{"another packet", 100, 7, 8, 0, RESEND_NOTED},
		{"another packet in the same place", 100, 7, 7 + RESEND_REMEMBERED, 0,
			RESEND_NOTED},
		{"before the round trip is known", 0, 7, 7, 30, RESEND_DUPLICATE},
		{"that long, and it is not known", 0, 7, 7, 50, RESEND_NOTED},
		{"a round trip that is not believed", 0, 7, 7, 3, RESEND_DUPLICATE},
		{"the same after 2^32 packets", 100, 7, 7 + (UINT64_C(1) << 32), 200, RESEND_NOTED},
		{"index 0", 100, 0, 0, 50, RESEND_DUPLICATE},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct resend r = {0};
		uint64_t index;

		print_message("  %s\n", rows[i].about);
		assert_int_equal(
			resend_ask(&r, rows[i].first, rows[i].rtt_ms * MS, T0), RESEND_NOTED);
		assert_true(resend_next(&r, T0, &index));
		assert_true(index == rows[i].first);
		assert_int_equal(resend_ask(&r, rows[i].again, rows[i].rtt_ms * MS,
					 T0 + rows[i].after_ms * MS),
			rows[i].verdict);
	}
}

static void answers_are_paced_and_bounded(void **state)
{
	struct resend r = {0};
	unsigned full = 0;

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		full += resend_ask(&r, i, 0, T0) == RESEND_FULL;
	assert_int_equal(full, 100 - RESEND_WAITING);
	assert_int_equal(take_all(&r, T0), RESEND_PACE_BURST);
	assert_int_equal(take_all(&r, T0 + RESEND_PACE_US - 1), 0);
	assert_int_equal(take_all(&r, T0 + RESEND_PACE_US), 1);
	assert_int_equal(take_all(&r, T0 + 6 * RESEND_PACE_US), 5);
	assert_int_equal(take_all(&r, T0 + SECOND), RESEND_PACE_BURST);
	resend_forget(&r);
	assert_int_equal(take_all(&r, T0 + 2 * SECOND), 0);
}

static void order_is_kept(void **state)
{
	struct resend r = {0};
	uint64_t now_us = T0, next = 0, index;

	(void)state;
	for (uint64_t i = 0; i < 1000; i++, now_us += RESEND_PACE_US) {
		assert_int_equal(resend_ask(&r, i, 0, now_us), RESEND_NOTED);
		while (resend_next(&r, now_us, &index))
			assert_true(index == next++);
	}
	assert_int_equal(next, 1000);
}

static void work_is_bounded(void **state)
{
	struct resend r = {0};
	uint64_t admitted = 0;

	(void)state;
	assert_int_equal(resend_admit(&r, 17, T0), 17);
	assert_int_equal(resend_admit(&r, 5000, T0), RESEND_ADMIT_BURST - 17);
	assert_int_equal(resend_admit(&r, 1, T0), 0);
	// 10,000 requests a second of 17 each, for ten seconds.
	for (unsigned i = 1; i <= 100000; i++)
		admitted += resend_admit(&r, 17, T0 + i * (uint64_t)100);
	assert_in_range(admitted, 10 * RESEND_ADMIT_PER_S - 1, 10 * RESEND_ADMIT_PER_S + 1);
	assert_int_equal(resend_admit(&r, 5000, T0 + 20 * SECOND), RESEND_ADMIT_BURST);
}

/** Octets sent again in an interval of a stream of so many packets per second. */
static uint64_t flood(struct resend *r, uint64_t *media, uint64_t from_us, uint64_t to_us,
	unsigned packets_per_s, unsigned asked_per_packet)
{
	uint64_t again = 0;

	for (uint64_t at = from_us; at < to_us; at += SECOND / packets_per_s) {
		*media += PACKET;
		for (unsigned i = 0; i < asked_per_packet; i++)
			again += resend_spend(r, *media, PACKET, at) ? PACKET : 0;
	}
	return again;
}

static void a_flood_gets_its_share_and_no_more(void **state)
{
	static const unsigned rates[] = {20, 50, 100, 1000};

	(void)state;
	for (unsigned i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		struct resend r = {0};
		uint64_t media = 0, before, again;

		resend_start(&r, 0, T0);
		// From the start.
		again = flood(&r, &media, T0, T0 + 10 * SECOND, rates[i], 100);
		assert_true(again * 100 <= media * 25);
		assert_true(again * 100 >= media * 15);
		// After a quiet minute: little is saved up.
		flood(&r, &media, T0 + 10 * SECOND, T0 + 70 * SECOND, rates[i], 0);
		before = media;
		again = flood(&r, &media, T0 + 70 * SECOND, T0 + 80 * SECOND, rates[i], 100);
		assert_true(again * 100 <= (media - before) * 25);
	}
}

static void who_loses_a_tenth_is_given_all_of_it(void **state)
{
	struct resend r = {0};
	uint64_t media = 0, again;

	(void)state;
	resend_start(&r, 0, T0);
	for (unsigned i = 0; i < 1000; i++) {
		uint64_t at = T0 + i * (uint64_t)(10 * MS);

		media += PACKET;
		if (i < 10 || i % 10)
			continue;
		// And once more, since answers are lost as well.
		again = resend_spend(&r, media, PACKET, at) ? 1 : 0;
		assert_int_equal(again, 1);
		if (i % 100 == 0)
			assert_true(resend_spend(&r, media, PACKET, at));
	}
}

static void a_bad_second_is_paid_for_by_the_good_ones_before(void **state)
{
	struct resend r = {0};
	uint64_t media = 0, again = 0;

	(void)state;
	resend_start(&r, 0, T0);
	// A picture of 200 kbit/s. One packet of twenty is lost, but not one in each twenty.
	for (unsigned i = 0; i < 20 * 60; i++) {
		uint64_t at = T0 + i * (uint64_t)(50 * MS);

		media += PACKET;
		for (unsigned k = i % 150 == 149 ? 8 : 0; k; k--, again += PACKET)
			assert_true(resend_spend(&r, media, PACKET, at));
	}
	assert_true(again * 100 > media * 5);
}

static void a_slow_stream_saves_nothing_up(void **state)
{
	struct resend r = {0};

	(void)state;
	resend_start(&r, 0, T0);
	for (unsigned i = 0; i < RESEND_LEAST_BYTES / PACKET; i++)
		assert_true(resend_spend(&r, 1000, PACKET, T0 + SECOND));
	assert_false(resend_spend(&r, 1000, PACKET, T0 + SECOND));
	// The next second is another one, the minute after it no more than that.
	assert_true(resend_spend(&r, 1000, PACKET, T0 + 2 * SECOND));
	assert_false(resend_spend(&r, 1000, RESEND_LEAST_BYTES + 1, T0 + 60 * SECOND));
	// A megabyte long ago says nothing about now.
	assert_false(resend_spend(&r, 1000000, 5000, T0 + 1000 * SECOND));
	assert_true(resend_spend(&r, 1000000, PACKET, T0 + 1000 * SECOND));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_asked_for_twice_within_a_round_trip_is_sent_once),
		cmocka_unit_test(answers_are_paced_and_bounded),
		cmocka_unit_test(order_is_kept),
		cmocka_unit_test(work_is_bounded),
		cmocka_unit_test(a_flood_gets_its_share_and_no_more),
		cmocka_unit_test(who_loses_a_tenth_is_given_all_of_it),
		cmocka_unit_test(a_bad_second_is_paid_for_by_the_good_ones_before),
		cmocka_unit_test(a_slow_stream_saves_nothing_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
