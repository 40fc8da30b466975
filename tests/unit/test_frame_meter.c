// SPDX-License-Identifier: BSD-3-Clause
/* Frames by their sizes, and how often key frames may be asked for. */
#include "sfu-dp/proto/frame_meter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define MS 1000u
#define SECOND 1000000u

/** A frame in packets of 1000 octets, 30 a second; how often it was said to be a key frame. */
static unsigned frame(struct frame_meter *m, uint64_t *now_us, uint32_t bytes, enum frame_kind kind)
{
	uint32_t timestamp = (uint32_t)(*now_us * 9 / 100);
	unsigned said = 0;

	for (uint32_t sent = 0; sent < bytes;) {
		uint32_t n = bytes - sent < 1000 ? bytes - sent : 1000;

		said += frame_meter_packet(
			m, timestamp, n, kind == FRAME_KEY && sent ? FRAME_OTHER : kind, *now_us);
		sent += n;
	}
	*now_us += 33333;
	return said;
}

static void a_key_frame_that_is_named_is_told_once(void **state)
{
	struct frame_meter m = {0};
	uint64_t now_us = SECOND;

	(void)state;
	assert_int_equal(frame(&m, &now_us, 20000, FRAME_KEY), 1);
	for (unsigned i = 0; i < 90; i++)
		assert_int_equal(frame(&m, &now_us, 4000, FRAME_OTHER), 0);
	assert_int_equal(frame(&m, &now_us, 3000, FRAME_KEY), 1);
	// 4000 octets 30 times a second; the key frame at 20,000 costs a sixth of a second.
	assert_in_range(m.bps, 900000, 1100000);
	assert_in_range(frame_meter_key_cost_us(&m), 140 * MS, 180 * MS);
}

static void without_a_name_the_size_tells(void **state)
{
	struct frame_meter m = {0};
	uint64_t now_us = SECOND;

	(void)state;
	// The first can be nothing else.
	assert_int_equal(frame(&m, &now_us, 9000, FRAME_GUESS), 1);
	for (unsigned i = 0; i < 300; i++)
		assert_int_equal(frame(&m, &now_us, 2000 + i % 7 * 300, FRAME_GUESS), 0);
	assert_in_range(m.median_bytes, 2300, 3500);
	assert_int_equal(frame(&m, &now_us, 8000, FRAME_GUESS), 0);
	assert_int_equal(frame(&m, &now_us, 12000, FRAME_GUESS), 1);
	assert_int_equal(frame(&m, &now_us, 2500, FRAME_GUESS), 0);
	// Where frames become larger for good, that is soon the usual.
	for (unsigned i = 0; i < 60; i++)
		frame(&m, &now_us, 14000, FRAME_GUESS);
	assert_int_equal(frame(&m, &now_us, 14000, FRAME_GUESS), 0);
}

static void late_packets_and_the_wrap_confuse_nothing(void **state)
{
	struct frame_meter m = {0};

	(void)state;
	assert_true(frame_meter_packet(&m, 0xfffffff0, 1000, FRAME_KEY, SECOND));
	assert_false(frame_meter_packet(&m, 0x00000900, 1000, FRAME_OTHER, SECOND + 1));
	assert_false(frame_meter_packet(&m, 0xfffffff0, 1000, FRAME_KEY, SECOND + 2));
	assert_int_equal(m.timestamp, 0x900);
	assert_int_equal(m.bytes, 1000);
	assert_int_equal(m.key_bytes, 1000);
}

/** Also where the difference of 32 bits says so after a pause of hours. */
static void a_long_step_back_is_no_late_packet(void **state)
{
	struct frame_meter m = {0};

	(void)state;
	assert_true(frame_meter_packet(&m, 4000000000u, 1000, FRAME_KEY, SECOND));
	assert_false(frame_meter_packet(&m, 4000003000u, 1000, FRAME_OTHER, SECOND + 1));
	// Late by less than ten seconds.
	assert_false(frame_meter_packet(&m, 4000003000u - 890000, 1000, FRAME_KEY, SECOND + 2));
	assert_int_equal(m.timestamp, 4000003000u);
	assert_true(frame_meter_packet(&m, 4000003000u - 910000, 1000, FRAME_KEY, SECOND + 3));
	assert_int_equal(m.timestamp, 4000003000u - 910000);
	assert_int_equal(m.bytes, 1000);
	// What frames cost is known from before.
	assert_int_equal(m.key_bytes, 1000);
	assert_true(frame_meter_packet(
		&m, m.timestamp + 0x80000001u, 1000, FRAME_KEY, 2 * (uint64_t)SECOND));
	assert_true(frame_meter_packet(
		&m, m.timestamp + 0x80000000u, 1000, FRAME_KEY, 3 * (uint64_t)SECOND));
	assert_true(frame_meter_packet(&m, m.timestamp + 3000, 1000, FRAME_KEY, 4 * SECOND));
}

static void a_pause_is_no_low_rate(void **state)
{
	struct frame_meter m = {0};
	uint64_t now_us = SECOND;
	uint32_t before;

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		frame(&m, &now_us, 4000, FRAME_OTHER);
	before = m.bps;
	now_us += 60 * SECOND;
	frame(&m, &now_us, 4000, FRAME_OTHER);
	assert_int_equal(m.bps, before);
}

/** Ask each millisecond for so long; how many went out. */
static unsigned ask(struct key_frame_price *p, uint32_t cost_us, uint64_t *now_us, uint64_t us)
{
	unsigned n = 0;

	for (uint64_t end = *now_us + us; *now_us < end; *now_us += MS) {
		if (!key_frame_affordable(p, cost_us, *now_us))
			continue;
		key_frame_pay(p, cost_us, *now_us);
		n++;
	}
	return n;
}

static void cheap_ones_come_twice_a_second(void **state)
{
	struct key_frame_price p = {0};
	uint64_t now_us = SECOND;

	(void)state;
	assert_int_equal(ask(&p, 0, &now_us, 10 * SECOND), 20);
	assert_int_equal(ask(&p, 200 * MS, &now_us, 10 * SECOND), 20);
}

static void dear_ones_take_half_of_the_time(void **state)
{
	struct key_frame_price p = {0};
	uint64_t now_us = SECOND;
	unsigned first, later;

	(void)state;
	// Three on credit, as fast as any.
	first = ask(&p, KEY_FRAME_COST_MOST_US, &now_us, 1200 * MS);
	assert_int_equal(first, 3);
	later = ask(&p, KEY_FRAME_COST_MOST_US, &now_us, 20 * SECOND);
	assert_in_range(later, 9, 11);
	// After quiet time there is credit again.
	now_us += 10 * SECOND;
	assert_int_equal(ask(&p, KEY_FRAME_COST_MOST_US, &now_us, 1200 * MS), 3);
}

static void a_refund_asks_at_once_but_never_three_in_a_second(void **state)
{
	struct key_frame_price p = {0};
	uint64_t now_us = 10 * SECOND, last[2] = {0};

	(void)state;
	assert_int_equal(ask(&p, 0, &now_us, MS), 1);
	p.refunded = true;
	assert_int_equal(ask(&p, 0, &now_us, MS), 1);
	for (unsigned i = 0; i < 5000; i++, now_us += MS) {
		p.refunded = true;
		if (!key_frame_affordable(&p, 0, now_us))
			continue;
		key_frame_pay(&p, 0, now_us);
		assert_true(!last[0] || now_us - last[0] >= SECOND);
		last[0] = last[1];
		last[1] = now_us;
	}
	assert_true(last[0] > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_frame_that_is_named_is_told_once),
		cmocka_unit_test(without_a_name_the_size_tells),
		cmocka_unit_test(late_packets_and_the_wrap_confuse_nothing),
		cmocka_unit_test(a_long_step_back_is_no_late_packet),
		cmocka_unit_test(a_pause_is_no_low_rate),
		cmocka_unit_test(cheap_ones_come_twice_a_second),
		cmocka_unit_test(dear_ones_take_half_of_the_time),
		cmocka_unit_test(a_refund_asks_at_once_but_never_three_in_a_second),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
