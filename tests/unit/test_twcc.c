// SPDX-License-Identifier: BSD-3-Clause
/* Transport-wide feedback: octets by hand, and what a second reader makes of longer logs. */
#include "sfu-dp/proto/twcc.h"
#include "tests/support/twcc_oracle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TICK 250u
#define MS 1000u
/* 5 times 64 ms, in us: a reference time of its own. */
#define START (5 * 64 * MS)

static struct twcc_arrivals log_;
static struct twcc_oracle oracle;
static struct twcc_sent sent;

static void begin(void)
{
	memset(&log_, 0, sizeof(log_));
	memset(&sent, 0, sizeof(sent));
}

/** One feedback packet of what is pending, as the oracle reads it. */
static void feedback(void)
{
	uint8_t out[TWCC_FEEDBACK_MAX];
	size_t len = twcc_encode(&log_, out, sizeof(out), 1, 2);

	assert_true(len > 0);
	assert_true(twcc_oracle_read(out, len, &oracle));
}

static struct rtcp_twcc parse(const uint8_t *rtcp, size_t len)
{
	struct rtcp_iter it;
	struct rtcp_packet p;
	struct rtcp_feedback fb;
	struct rtcp_twcc twcc;

	rtcp_iter_init(&it, rtcp, len);
	assert_int_equal(rtcp_next(&it, &p), RTCP_OK);
	assert_int_equal(rtcp_feedback_parse(&p, &fb), RTCP_OK);
	assert_int_equal(rtcp_twcc_parse(&fb, &twcc), RTCP_OK);
	return twcc;
}

/* Draft 3.1, octet by octet: 10, 11 and 13 arrived, 12 did not. */
static void a_short_log_gives_these_octets(void **state)
{
	static const uint8_t expected[]
		= {0x8f, 205, 0, 6, 0, 0, 0, 1, 0, 0, 0, 2, 0, 10, 0, 4, 0, 0, 5, 0,
			// one bit each: 1 1 0 1
			0x80 | 0x34, 0,
			// 2 ticks after the reference, 4 later, 255 later
			2, 4, 255, 0, 0, 0};
	uint8_t out[TWCC_FEEDBACK_MAX];

	(void)state;
	begin();
	assert_true(twcc_arrived(&log_, 10, START + 2 * TICK));
	assert_true(twcc_arrived(&log_, 11, START + 6 * TICK));
	assert_true(twcc_arrived(&log_, 13, START + 261 * TICK));
	assert_int_equal(twcc_encode(&log_, out, sizeof(out), 1, 2), sizeof(expected));
	assert_memory_equal(out, expected, sizeof(expected));
	assert_int_equal(twcc_encode(&log_, out, sizeof(out), 1, 2), 0);
}

/* A delta of 256 ticks and one below 0 take two octets each, and two bits of status. */
static void large_and_negative_deltas_take_two_octets(void **state)
{
	static const uint8_t expected[]
		= {0x8f, 205, 0, 6, 0, 0, 0, 1, 0, 0, 0, 2, 0, 10, 0, 3, 0, 0, 5, 0,
			// two bits each: 1 2 2
			0xc0 | 0x1a, 0,
			// 0, 256, -1
			0, 1, 0, 0xff, 0xff, 0};
	uint8_t out[TWCC_FEEDBACK_MAX];

	(void)state;
	begin();
	twcc_arrived(&log_, 10, START);
	twcc_arrived(&log_, 12, START + 255 * TICK);
	twcc_arrived(&log_, 11, START + 256 * TICK);
	assert_int_equal(twcc_encode(&log_, out, sizeof(out), 1, 2), sizeof(expected));
	assert_memory_equal(out, expected, sizeof(expected));
}

/* 40 arrivals in a row are one chunk: a run of small deltas. */
static void a_run_is_one_chunk(void **state)
{
	uint8_t out[TWCC_FEEDBACK_MAX];

	(void)state;
	begin();
	for (uint16_t i = 0; i < 40; i++)
		twcc_arrived(&log_, i, START + i * TICK);
	assert_int_equal(twcc_encode(&log_, out, sizeof(out), 1, 2), 20 + 2 + 40 + 2);
	assert_int_equal(out[20], 0x20);
	assert_int_equal(out[21], 40);
}

static void numbers_wrap(void **state)
{
	(void)state;
	begin();
	for (uint32_t i = 65530; i < 65546; i++)
		assert_true(twcc_arrived(&log_, (uint16_t)i, START + i * MS));
	feedback();
	assert_int_equal(oracle.base, 65530);
	assert_int_equal(oracle.count, 16);
	for (unsigned i = 0; i < 16; i++)
		assert_true(oracle.arrived[i]);
	assert_int_equal(oracle.ticks[15] - oracle.ticks[0], 60);
	assert_int_equal(oracle.feedback_count, 0);
	twcc_arrived(&log_, 10, START);
	feedback();
	assert_int_equal(oracle.base, 10);
	assert_int_equal(oracle.feedback_count, 1);
}

/* The reference time has 24 bits of 64 ms, as many as the ticks have bits for: no step shows. */
static void the_clock_wraps_without_a_step(void **state)
{
	uint64_t wrap_us = (UINT64_C(1) << 32) * TICK;

	(void)state;
	begin();
	twcc_arrived(&log_, 1, wrap_us - 10 * TICK);
	twcc_arrived(&log_, 2, wrap_us + 10 * TICK);
	feedback();
	assert_int_equal(oracle.count, 2);
	assert_int_equal(oracle.ticks[1] - oracle.ticks[0], 20);
	twcc_arrived(&log_, 3, wrap_us + 600 * TICK);
	feedback();
	assert_int_equal(oracle.ticks[0], 600);
}

static void duplicates_and_what_is_too_old_change_nothing(void **state)
{
	(void)state;
	begin();
	assert_true(twcc_arrived(&log_, 2000, START));
	assert_false(twcc_arrived(&log_, 2000, START + MS));
	feedback();
	assert_int_equal(oracle.count, 1);
	assert_false(twcc_arrived(&log_, 2000, START + MS));
	assert_false(twcc_pending(&log_));
	assert_false(twcc_arrived(&log_, 2000 - TWCC_WINDOW, START + MS));
	assert_false(twcc_pending(&log_));
	assert_true(twcc_arrived(&log_, 2001 - TWCC_WINDOW, START + MS));
}

/* It was reported as lost: the next feedback begins there and corrects that. */
static void what_comes_late_is_reported_again(void **state)
{
	(void)state;
	begin();
	twcc_arrived(&log_, 100, START);
	twcc_arrived(&log_, 103, START + 3 * MS);
	feedback();
	assert_false(oracle.arrived[1]);
	twcc_arrived(&log_, 101, START + 4 * MS);
	feedback();
	assert_int_equal(oracle.base, 101);
	assert_int_equal(oracle.count, 3);
	assert_true(oracle.arrived[0]);
	assert_false(oracle.arrived[1]);
	assert_true(oracle.arrived[2]);
	assert_int_equal(oracle.ticks[2] - oracle.ticks[0], -4);
}

/* What the first one that came overtook. */
static void the_first_packet_may_be_overtaken(void **state)
{
	(void)state;
	begin();
	twcc_arrived(&log_, 0, START);
	assert_true(twcc_arrived(&log_, 65535, START + MS));
	feedback();
	assert_int_equal(oracle.base, 65535);
	assert_int_equal(oracle.count, 2);
}

static void a_large_gap_is_losses_up_to_the_window(void **state)
{
	uint8_t out[TWCC_FEEDBACK_MAX];

	(void)state;
	begin();
	twcc_arrived(&log_, 1, START);
	twcc_arrived(&log_, 901, START + MS);
	feedback();
	assert_int_equal(oracle.count, 901);
	for (unsigned i = 1; i < 900; i++)
		assert_false(oracle.arrived[i]);
	assert_true(oracle.arrived[900]);
	// Farther than the window: what is forgotten is not reported on.
	twcc_arrived(&log_, 902, START + 2 * MS);
	twcc_arrived(&log_, 902 + 5000, START + 3 * MS);
	feedback();
	assert_int_equal(oracle.base, 902 + 5000 - TWCC_WINDOW + 1);
	assert_int_equal(oracle.count, TWCC_WINDOW);
	assert_true(oracle.arrived[TWCC_WINDOW - 1]);
	// Runs of losses cost nothing.
	twcc_arrived(&log_, 902 + 6000, START + 3 * MS);
	assert_true(twcc_encode(&log_, out, sizeof(out), 1, 2) <= 28);
}

/* 16 bits of ticks are 8.2 s: what comes after a longer silence has a packet of its own. */
static void a_delta_out_of_range_begins_another_packet(void **state)
{
	(void)state;
	begin();
	twcc_arrived(&log_, 1, START);
	twcc_arrived(&log_, 2, START + 32767 * TICK);
	twcc_arrived(&log_, 4, START + (32767 + 32768) * (uint64_t)TICK);
	feedback();
	assert_int_equal(oracle.count, 3);
	assert_true(twcc_pending(&log_));
	feedback();
	assert_int_equal(oracle.base, 4);
	assert_int_equal(oracle.count, 1);
	assert_int_equal(oracle.ticks[0], START / TICK + 32767 + 32768);
	assert_false(twcc_pending(&log_));
}

/* Every second lost, deltas large: more than one packet takes; all of it is told once. */
static void a_long_log_is_split(void **state)
{
	unsigned told = 0, packets = 0;

	(void)state;
	begin();
	for (uint16_t i = 0; i < TWCC_WINDOW; i += 2)
		twcc_arrived(&log_, i, START + i * 200u * TICK);
	while (twcc_pending(&log_)) {
		feedback();
		assert_int_equal(oracle.base, told);
		for (unsigned i = 0; i < oracle.count; i++, told++) {
			assert_int_equal(oracle.arrived[i], told % 2 == 0);
			if (oracle.arrived[i])
				assert_int_equal(oracle.ticks[i], START / TICK + told * 200u);
		}
		packets++;
	}
	assert_int_equal(told, TWCC_WINDOW - 1);
	assert_int_equal(packets, 2);
}

static void little_room_gives_short_packets_and_none_gives_nothing(void **state)
{
	uint8_t out[TWCC_FEEDBACK_MIN];

	(void)state;
	begin();
	for (uint16_t i = 0; i < 30; i++)
		twcc_arrived(&log_, i, START + i * MS);
	assert_int_equal(twcc_encode(&log_, out, TWCC_FEEDBACK_MIN - 1, 1, 2), 0);
	for (unsigned told = 0; twcc_pending(&log_); told += oracle.count) {
		size_t len = twcc_encode(&log_, out, sizeof(out), 1, 2);

		assert_true(len > 0 && len <= sizeof(out));
		assert_true(twcc_oracle_read(out, len, &oracle));
		assert_true(oracle.count > 0);
		assert_int_equal(oracle.base, told);
	}
}

/* Reading: what each form of a chunk says. */
static void every_form_of_a_chunk_is_read(void **state)
{
	static const uint8_t rtcp[] = {0xaf, 205, 0, 9, 0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0xfe, 0, 26,
		0, 0, 1, 7,
		// a run of 3 small; two bits: 0 2 1 0 0 0 0; one bit: 14, the last 2 set; then 2 lost
		0x20, 3, 0xc0 | 0x09, 0x00, 0x80, 0x03, 0x00, 2,
		// deltas
		1, 2, 3, 0xff, 0xfe, 4, 5, 6,
		// padding as Chromium writes it
		0, 0, 0, 4};
	static const int at[26] = {257, 259, 262, -1, 260, 264, -1, -1, -1, -1, -1, -1, -1, -1, -1,
		-1, -1, -1, -1, -1, -1, -1, 269, 275, -1, -1};
	struct rtcp_twcc twcc = parse(rtcp, sizeof(rtcp));
	struct twcc_status status;
	struct twcc_iter it;
	unsigned n = 0;

	(void)state;
	assert_int_equal(twcc_iter_init(&it, &twcc, 26), RTCP_OK);
	while (twcc_next(&it, &status)) {
		assert_true(n < 26);
		assert_int_equal(status.seq, (uint16_t)(0xfffe + n));
		assert_int_equal(status.arrived, at[n] >= 0);
		if (status.arrived)
			assert_int_equal(status.ticks, at[n]);
		n++;
	}
	assert_int_equal(n, 26);
	assert_int_equal(twcc_iter_init(&it, &twcc, 25), RTCP_MALFORMED);
}

static void feedback_that_contradicts_itself_is_refused(void **state)
{
	static const struct {
		const char *what;
		uint8_t chunks[8];
		uint16_t len, count;
		enum rtcp_status status;
	} rows[] = {
		{"nothing reported", {0x20, 1, 0, 0}, 4, 0, RTCP_MALFORMED},
		{"no chunk", {0}, 0, 1, RTCP_SHORT},
		{"chunks for fewer than counted", {0x00, 3}, 2, 4, RTCP_SHORT},
		{"half a chunk", {0x20}, 1, 1, RTCP_SHORT},
		{"empty runs only", {0, 0, 0, 0, 0, 0}, 6, 1, RTCP_SHORT},
		{"deltas for fewer than arrived", {0x20, 3, 1, 1}, 4, 3, RTCP_SHORT},
		{"half a large delta", {0x40, 1, 0}, 3, 1, RTCP_SHORT},
		{"a reserved run", {0x60, 1, 0, 0}, 4, 1, RTCP_MALFORMED},
		{"a reserved status", {0xf0, 0, 0, 0}, 4, 1, RTCP_MALFORMED},
		{"more than the limit", {0x1f, 0xff}, 2, 8191, RTCP_MALFORMED},
		{"a run longer than counted", {0x1f, 0xff}, 2, 3, RTCP_OK},
		{"a reserved status behind the count", {0xcc, 0}, 2, 1, RTCP_OK},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rtcp_twcc twcc = {.chunks = rows[i].chunks,
			.chunks_len = rows[i].len,
			.status_count = rows[i].count};
		struct twcc_iter it;

		if (twcc_iter_init(&it, &twcc, TWCC_WINDOW) != rows[i].status)
			fail_msg("%s", rows[i].what);
	}
}

/** Sent at 1 ms each from number `first` on, 1000 octets. */
static uint16_t send(uint16_t first, unsigned count, uint64_t at_us)
{
	for (unsigned i = 0; i < count; i++)
		twcc_note_sent(&sent, (uint16_t)(first + i), at_us + i * MS, 1000);
	return (uint16_t)(first + count);
}

/** What the log says, as a client would report it, given to the sender. */
static uint32_t report(uint16_t next, uint64_t now_us)
{
	uint8_t out[TWCC_FEEDBACK_MAX];
	size_t len = twcc_encode(&log_, out, sizeof(out), 1, 2);
	struct rtcp_twcc twcc = parse(out, len);

	return twcc_feedback(&sent, &twcc, next, now_us);
}

static void the_sender_learns_loss_delay_and_rate(void **state)
{
	uint16_t next;

	(void)state;
	begin();
	// 2000 packets over the wrap, each tenth lost, 30 ms on the way, feedback each 100 ms.
	for (unsigned round = 0; round < 20; round++) {
		uint16_t first = (uint16_t)(65000 + round * 100);
		uint64_t at_us = 777 * MS + round * 100 * MS;

		next = send(first, 100, at_us);
		for (uint16_t i = 0; i < 100; i++) {
			if (i % 10 != 5)
				twcc_arrived(
					&log_, (uint16_t)(first + i), at_us + i * MS + 30 * MS);
		}
		assert_int_equal(report(next, at_us + 140 * MS), 100);
	}
	assert_int_equal(sent.feedbacks, 20);
	assert_int_equal(sent.packets, 2000);
	assert_int_equal(sent.packets_lost, 200);
	assert_int_equal(sent.bytes_arrived, 1800 * 1000);
	// 900 packets of 8000 bits a second.
	assert_in_range(sent.arrival_bps, 7100000, 7300000);
	// The newest was sent 41 ms before.
	assert_int_equal(sent.rtt_us, 41 * MS);
	assert_int_equal(sent.delay_us, 0);
}

static void late_arrivals_are_no_losses(void **state)
{
	uint16_t next;

	(void)state;
	begin();
	next = send(1, 3, 0);
	twcc_arrived(&log_, 1, 10 * MS);
	twcc_arrived(&log_, 3, 12 * MS);
	report(next, 50 * MS);
	assert_int_equal(sent.packets_lost, 1);
	twcc_arrived(&log_, 2, 52 * MS);
	report(next, 60 * MS);
	assert_int_equal(sent.packets, 3);
	assert_int_equal(sent.packets_lost, 0);
}

static void a_queue_on_the_path_is_seen_as_delay(void **state)
{
	uint16_t next;

	(void)state;
	begin();
	next = send(1, 100, 0);
	for (uint16_t i = 0; i < 100; i++)
		twcc_arrived(&log_, (uint16_t)(1 + i), 20 * MS + i * 2 * MS);
	report(next, 230 * MS);
	assert_int_equal(sent.delay_us, 99 * MS);
}

static void feedback_about_nothing_sent_is_refused(void **state)
{
	(void)state;
	begin();
	send(1, 10, 0);
	twcc_arrived(&log_, 11, MS);
	assert_int_equal(report(11, 2 * MS), 0);
	begin();
	send(1, 10, 0);
	twcc_arrived(&log_, 10, MS);
	twcc_arrived(&log_, 11, MS);
	assert_int_equal(report(11, 2 * MS), 0);
	assert_int_equal(sent.refused, 1);
	assert_int_equal(sent.packets, 0);
}

/* At random: whatever arrives how, each feedback says exactly that, and our reader reads the same. */
static void any_log_is_told_as_it_was(void **state)
{
	static uint32_t when[0x10000];

	(void)state;
	srand(1);
	for (unsigned round = 0; round < 300; round++) {
		uint64_t now = (uint64_t)rand() * 1000;
		uint32_t next = (uint32_t)rand() & 0xffff;

		begin();
		memset(when, 0xff, sizeof(when));
		for (unsigned step = 0; step < 200; step++) {
			uint8_t out[TWCC_FEEDBACK_MAX];

			for (int n = rand() % 40; n; n--) {
				uint16_t seq
					= (uint16_t)(next
						     - (uint32_t)(rand() % 8 ? 0 : rand() % 30));

				now += (uint64_t)(rand() % 20 ? rand() % 3000 : rand() % 10000000);
				if (twcc_arrived(&log_, seq, now))
					when[seq] = (uint32_t)(now / TICK);
				next += rand() % 10 ? 1 : (uint32_t)rand() % 60;
			}
			while (twcc_pending(&log_)) {
				size_t len = twcc_encode(&log_, out,
					TWCC_FEEDBACK_MIN + (size_t)rand() % 1100, 1, 2);
				struct rtcp_twcc twcc;
				struct twcc_status status;
				struct twcc_iter it;

				assert_true(len && twcc_oracle_read(out, len, &oracle));
				twcc = parse(out, len);
				assert_int_equal(twcc_iter_init(&it, &twcc, TWCC_WINDOW), RTCP_OK);
				for (unsigned i = 0; i < oracle.count; i++) {
					uint16_t seq = (uint16_t)(oracle.base + i);

					assert_true(twcc_next(&it, &status));
					assert_int_equal(status.seq, seq);
					assert_int_equal(status.arrived, oracle.arrived[i]);
					assert_int_equal(
						oracle.arrived[i], when[seq] != UINT32_MAX);
					if (!status.arrived)
						continue;
					assert_int_equal(status.ticks, when[seq]);
					assert_int_equal((uint32_t)oracle.ticks[i], when[seq]);
				}
				assert_false(twcc_next(&it, &status));
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_short_log_gives_these_octets),
		cmocka_unit_test(large_and_negative_deltas_take_two_octets),
		cmocka_unit_test(a_run_is_one_chunk),
		cmocka_unit_test(numbers_wrap),
		cmocka_unit_test(the_clock_wraps_without_a_step),
		cmocka_unit_test(duplicates_and_what_is_too_old_change_nothing),
		cmocka_unit_test(what_comes_late_is_reported_again),
		cmocka_unit_test(the_first_packet_may_be_overtaken),
		cmocka_unit_test(a_large_gap_is_losses_up_to_the_window),
		cmocka_unit_test(a_delta_out_of_range_begins_another_packet),
		cmocka_unit_test(a_long_log_is_split),
		cmocka_unit_test(little_room_gives_short_packets_and_none_gives_nothing),
		cmocka_unit_test(every_form_of_a_chunk_is_read),
		cmocka_unit_test(feedback_that_contradicts_itself_is_refused),
		cmocka_unit_test(the_sender_learns_loss_delay_and_rate),
		cmocka_unit_test(late_arrivals_are_no_losses),
		cmocka_unit_test(a_queue_on_the_path_is_seen_as_delay),
		cmocka_unit_test(feedback_about_nothing_sent_is_refused),
		cmocka_unit_test(any_log_is_told_as_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
