// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/proto/nack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS 1000u
#define T0 5000000u

static uint64_t state_of_random;

static uint32_t random_below(uint32_t n)
{
	state_of_random ^= state_of_random << 13;
	state_of_random ^= state_of_random >> 7;
	state_of_random ^= state_of_random << 17;
	return (uint32_t)(state_of_random >> 32) % n;
}

/** What is asked for at an instant, as "seq seq …". */
static const char *asked_at(struct nack *n, uint64_t now_us)
{
	static char text[NACK_MISSING_MAX * 6 + 1];
	uint16_t seqs[NACK_MISSING_MAX];
	unsigned count = n->count && now_us >= n->due_us ? nack_due(n, now_us, seqs) : 0;
	int len = 0;

	text[0] = 0;
	for (unsigned i = 0; i < count; i++)
		len += sprintf(text + len, "%s%u", i ? " " : "", seqs[i]);
	return text;
}

static void arrivals_and_what_is_asked_for(void **state)
{
	static const struct {
		const char *about;
		uint64_t arrive[8]; /* indices, one per millisecond from T0; 0 = the end */
		const char *asked; /* when all have come and the allowance has passed */
		unsigned count;
	} rows[] = {
		{"in order", {10, 11, 12}, "", 0},
		{"one is lost", {10, 12}, "11", 1},
		{"one is overtaken", {10, 12, 11}, "", 0},
		{"three are lost, one of them is late", {10, 14, 12}, "11 13", 2},
		{"two gaps", {10, 12, 15}, "11 13 14", 3},
		{"before the first that came nothing is missing", {10, 9, 8}, "", 0},
		{"over the wrap of the sequence number", {0xfffe, 0x10001}, "65535 0", 2},
		{"a late one over the wrap", {0xfffe, 0x10001, 0xffff}, "0", 1},
		{"over the wrap of 32 bits", {0xfffffffe, 0x100000001}, "65535 0", 2},
		{"a late one over the wrap of 32 bits", {0xfffffffe, 0x100000001, 0x100000000},
			"65535", 1},
		{"a gap that is longer than the list", {1000, 1000 + NACK_MISSING_MAX + 2}, "", 0},
	};

	(void)state;
	for (unsigned r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		struct nack n;
		uint64_t now_us = T0;

		memset(&n, 0, sizeof(n));
		print_message("  %s\n", rows[r].about);
		for (unsigned i = 0; rows[r].arrive[i]; i++, now_us += MS)
			nack_arrived(&n, rows[r].arrive[i], false, now_us);
		assert_string_equal(asked_at(&n, now_us + NACK_REORDER_US), rows[r].asked);
		assert_int_equal(n.count, rows[r].count);
	}
}

static void a_gap_waits_for_overtaking_then_is_asked_for_each_round_trip(void **state)
{
	struct nack n = {0};
	uint64_t now_us = T0;

	(void)state;
	nack_arrived(&n, 1, false, now_us);
	assert_int_equal(nack_arrived(&n, 3, false, now_us), NACK_GAP);
	assert_string_equal(asked_at(&n, now_us + NACK_REORDER_US - 1), "");
	now_us += NACK_REORDER_US;
	for (unsigned try = 0; try < NACK_TRIES_MAX; try++) {
		assert_string_equal(asked_at(&n, now_us), "2");
		assert_string_equal(asked_at(&n, now_us + NACK_RETRY_FIRST_US - 1), "");
		now_us += NACK_RETRY_FIRST_US;
	}
	// It had its chances.
	assert_string_equal(asked_at(&n, now_us), "");
	assert_int_equal(n.count, 0);
	assert_int_equal(n.asked, NACK_TRIES_MAX);
	assert_int_equal(n.given_up, 1);
	// One that comes for all that does no harm.
	assert_int_equal(nack_arrived(&n, 2, true, now_us), NACK_NO_NEWS);
	assert_int_equal(n.recovered, 0);
}

static void the_round_trip_is_measured_from_answers_that_are_not_ambiguous(void **state)
{
	struct nack n = {0};
	uint64_t index = 1, now_us = T0;

	(void)state;
	nack_arrived(&n, index, false, now_us);
	for (unsigned i = 0; i < 50; i++, index += 2) {
		nack_arrived(&n, index + 2, false, now_us);
		now_us += NACK_REORDER_US;
		assert_string_not_equal(asked_at(&n, now_us), "");
		now_us += 50 * MS;
		nack_arrived(&n, index + 1, true, now_us);
	}
	assert_in_range(n.rtt_us, 49 * MS, 51 * MS);
	assert_in_range(nack_retry_us(&n), 50 * MS, 60 * MS);
	assert_int_equal(n.recovered, 50);
	// Asked for twice: which request was answered is not known.
	nack_arrived(&n, index + 2, false, now_us);
	asked_at(&n, now_us += NACK_REORDER_US);
	assert_string_not_equal(asked_at(&n, now_us += 60 * MS), "");
	now_us += 30 * MS;
	nack_arrived(&n, index + 1, true, now_us);
	assert_in_range(n.rtt_us, 49 * MS, 51 * MS);
	// The original came late: no answer at all.
	nack_arrived(&n, index + 4, false, now_us);
	asked_at(&n, now_us += NACK_REORDER_US);
	nack_arrived(&n, index + 3, false, now_us + 1);
	assert_in_range(n.rtt_us, 49 * MS, 51 * MS);
}

/** The gap below index is asked for until the answer to the first request comes, rtt_us after it. */
static uint64_t lose_one(struct nack *n, uint64_t index, uint64_t now_us, uint32_t rtt_us)
{
	uint64_t first_us = now_us + NACK_REORDER_US;

	nack_arrived(n, index, false, now_us);
	for (now_us = first_us; now_us < first_us + rtt_us; now_us += MS)
		asked_at(n, now_us);
	nack_arrived(n, index - 1, true, now_us);
	return now_us;
}

static void a_round_trip_that_grows_is_followed(void **state)
{
	struct nack n = {0};
	uint64_t index = 1, now_us = T0;

	(void)state;
	nack_arrived(&n, index, false, now_us);
	while (index < 100)
		now_us = lose_one(&n, index += 2, now_us, 50 * MS);
	assert_in_range(nack_retry_us(&n), 50 * MS, 60 * MS);
	// Every request is repeated before its answer can come: that answer comes too soon for the last one.
	while (index < 300)
		now_us = lose_one(&n, index += 2, now_us, 120 * MS);
	assert_in_range(nack_retry_us(&n), 110 * MS, 160 * MS);
	n.asked = 0;
	for (unsigned i = 0; i < 10; i++)
		now_us = lose_one(&n, index += 2, now_us, 120 * MS);
	assert_in_range(n.asked, 10, 11);
}

static void answers_that_come_unevenly_are_waited_for_a_little(void **state)
{
	struct nack n = {0};
	uint64_t index = 1, now_us = T0;

	(void)state;
	nack_arrived(&n, index, false, now_us);
	for (unsigned i = 0; i < 100; i++)
		now_us = lose_one(&n, index += 2, now_us, (50 + i % 4 * 10) * MS);
	assert_in_range(nack_retry_us(&n), 75 * MS, 100 * MS);
}

static void a_gap_longer_than_the_list_empties_it(void **state)
{
	struct nack n = {0};

	(void)state;
	nack_arrived(&n, 1, false, T0);
	nack_arrived(&n, 3, false, T0);
	assert_int_equal(nack_arrived(&n, 3 + NACK_MISSING_MAX + 1, false, T0), NACK_GAP);
	assert_int_equal(n.count, NACK_MISSING_MAX);
	// The oldest gave way.
	assert_int_equal(n.given_up, 1);
	assert_int_equal(
		nack_arrived(&n, n.highest + NACK_MISSING_MAX + 2, false, T0), NACK_TOO_LONG);
	assert_int_equal(n.count, 0);
	assert_int_equal(n.resets, 1);
	assert_int_equal(nack_arrived(&n, n.highest + 1, false, T0), NACK_NO_NEWS);
}

static void a_gap_in_a_silence_empties_it(void **state)
{
	static const struct {
		const char *about;
		uint64_t silence_us;
		uint64_t missing;
		enum nack_news news;
	} rows[] = {
		{"few, after a long rest: the end of a picture that hardly moves", 10000 * MS,
			NACK_SILENCE_MISSING, NACK_GAP},
		{"many, while the stream flows", NACK_SILENCE_US - 1, NACK_SILENCE_MISSING + 1,
			NACK_GAP},
		{"many, and the path was silent", NACK_SILENCE_US, NACK_SILENCE_MISSING + 1,
			NACK_TOO_LONG},
		{"none, after a rest", 10000 * MS, 0, NACK_NO_NEWS},
	};

	(void)state;
	for (unsigned r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		uint64_t now_us = T0 + MS + rows[r].silence_us, index = 4 + rows[r].missing;
		struct nack n = {0};

		print_message("  %s\n", rows[r].about);
		nack_arrived(&n, 1, false, T0);
		nack_arrived(&n, 3, false, T0 + MS);
		assert_int_equal(nack_arrived(&n, index, false, now_us), rows[r].news);
		// What was asked for before is as old.
		assert_int_equal(n.count, rows[r].news == NACK_TOO_LONG ? 0 : 1 + rows[r].missing);
		// And one that is missing from then on is asked for.
		nack_arrived(&n, index + 2, false, now_us + MS);
		asked_at(&n, now_us + MS + NACK_REORDER_US);
		assert_int_equal(
			n.asked, (rows[r].news == NACK_TOO_LONG ? 0 : 1 + rows[r].missing) + 1);
	}
}

static void what_no_window_would_take_is_not_asked_for(void **state)
{
	struct nack n = {0};

	(void)state;
	nack_arrived(&n, 1, false, T0);
	nack_arrived(&n, 3, false, T0);
	for (uint64_t i = 4; i < 3 + NACK_REACH; i++)
		nack_arrived(&n, i, false, T0);
	assert_string_equal(asked_at(&n, T0 + NACK_REORDER_US), "2");
	nack_arrived(&n, 3 + NACK_REACH, false, T0);
	assert_string_equal(asked_at(&n, T0 + NACK_REORDER_US + NACK_RETRY_FIRST_US), "");
	assert_int_equal(n.count, 0);
}

static void forgetting_and_another_source(void **state)
{
	struct nack n = {0};

	(void)state;
	nack_arrived(&n, 1, false, T0);
	nack_arrived(&n, 3, false, T0);
	nack_forget(&n);
	assert_string_equal(asked_at(&n, T0 + NACK_REORDER_US), "");
	assert_int_equal(nack_arrived(&n, 5, false, T0), NACK_GAP);
	assert_string_equal(asked_at(&n, T0 + NACK_REORDER_US), "4");
	nack_restart(&n);
	assert_int_equal(nack_arrived(&n, 70000, false, T0), NACK_NO_NEWS);
	assert_int_equal(nack_arrived(&n, 70001, false, T0), NACK_NO_NEWS);
	assert_int_equal(n.count, 0);
}

/* A network with loss and jitter both ways, in steps of a millisecond */

#define PACKETS 20000u
#define FLIGHTS 4096u
#define OVERTAKEN_US 50000u

struct flight {
	uint64_t at_us; /* 0 = free */
	uint64_t index;
	uint8_t kind; /* 0 = media, 1 = retransmission, 2 = request */
};

struct network {
	struct flight flight[FLIGHTS];
	unsigned loss_permille;
	uint32_t delay_us, jitter_us;
	unsigned overtaken_permille; /* that take OVERTAKEN_US longer */
};

static void network_send(struct network *net, uint64_t now_us, uint64_t index, uint8_t kind)
{
	uint32_t extra = random_below(1000) < net->overtaken_permille ? OVERTAKEN_US : 0;

	if (random_below(1000) < net->loss_permille)
		return;
	for (unsigned i = 0; i < FLIGHTS; i++) {
		if (net->flight[i].at_us)
			continue;
		net->flight[i] = (struct flight){
			.at_us = now_us + net->delay_us + random_below(net->jitter_us + 1) + extra,
			.index = index,
			.kind = kind,
		};
		return;
	}
	fail_msg("network full");
}

struct outcome {
	unsigned lost, late; /* never, or not within 400 ms */
	unsigned sent_again;
};

static struct outcome call(const struct network *like)
{
	static uint64_t sent_us[PACKETS + 1], came_us[PACKETS + 1];
	static struct network net;
	const uint64_t base = 65000; /* wraps soon */
	struct outcome out = {0};
	struct nack n = {0};
	uint64_t now_us = T0, next = 1;

	net = *like;
	memset(came_us, 0, sizeof(came_us));
	for (; now_us < T0 + (PACKETS * 5 + 3000) * (uint64_t)MS; now_us += MS) {
		uint16_t seqs[NACK_MISSING_MAX];

		if (next <= PACKETS && now_us >= T0 + next * 5 * MS) {
			sent_us[next] = now_us;
			network_send(&net, now_us, next++, 0);
		}
		for (unsigned i = 0; i < FLIGHTS; i++) {
			struct flight *f = &net.flight[i];

			if (!f->at_us || f->at_us > now_us)
				continue;
			f->at_us = 0;
			if (f->kind == 2) {
				out.sent_again++;
				network_send(&net, now_us, f->index, 1);
			} else if (!came_us[f->index]) {
				came_us[f->index] = now_us;
				nack_arrived(&n, base + f->index, f->kind == 1, now_us);
			}
		}
		if (n.count && now_us >= n.due_us) {
			unsigned count = nack_due(&n, now_us, seqs);

			for (unsigned i = 0; i < count; i++) {
				uint64_t index = (uint16_t)(seqs[i] - (uint16_t)base);

				// A stream of 20,000 has one sequence number for each.
				assert_true(index > 0 && index < next);
				network_send(&net, now_us, index, 2);
			}
		}
	}
	for (unsigned i = 1; i <= PACKETS; i++) {
		out.lost += !came_us[i];
		out.late += came_us[i] > sent_us[i] + 400 * MS;
	}
	return out;
}

static void most_arrive_in_time_whatever_is_lost(void **state)
{
	static const struct {
		unsigned loss_permille, overtaken_permille, delay_ms, jitter_ms;
		unsigned missed_permille; /* at most, lost or later than 400 ms */
		unsigned again_permille; /* at most */
	} rows[] = {
		{0, 0, 25, 0, 0, 0},
		{0, 0, 25, 10, 0, 0},
		{10, 0, 25, 0, 1, 15},
		{50, 0, 25, 0, 1, 65},
		{100, 0, 25, 0, 5, 150},
		{100, 0, 25, 10, 5, 160},
		{100, 0, 10, 0, 1, 150},
		{0, 100, 25, 0, 0, 130},
		{50, 100, 25, 5, 1, 220},
	};
	static struct network like;

	(void)state;
	for (unsigned r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
		struct outcome o;

		state_of_random = 88172645463325252u;
		like.loss_permille = rows[r].loss_permille;
		like.overtaken_permille = rows[r].overtaken_permille;
		like.delay_us = rows[r].delay_ms * MS;
		like.jitter_us = rows[r].jitter_ms * MS;
		o = call(&like);
		print_message("  loss %u, overtaken %u, delay %u, jitter %u: lost %u, late %u, "
			      "again %u of %u\n",
			rows[r].loss_permille, rows[r].overtaken_permille, rows[r].delay_ms,
			rows[r].jitter_ms, o.lost, o.late, o.sent_again, PACKETS);
		assert_true((o.lost + o.late) * 1000 <= rows[r].missed_permille * PACKETS);
		assert_true(o.sent_again * 1000 <= rows[r].again_permille * PACKETS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arrivals_and_what_is_asked_for),
		cmocka_unit_test(a_gap_waits_for_overtaking_then_is_asked_for_each_round_trip),
		cmocka_unit_test(the_round_trip_is_measured_from_answers_that_are_not_ambiguous),
		cmocka_unit_test(a_round_trip_that_grows_is_followed),
		cmocka_unit_test(answers_that_come_unevenly_are_waited_for_a_little),
		cmocka_unit_test(a_gap_longer_than_the_list_empties_it),
		cmocka_unit_test(a_gap_in_a_silence_empties_it),
		cmocka_unit_test(what_no_window_would_take_is_not_asked_for),
		cmocka_unit_test(forgetting_and_another_source),
		cmocka_unit_test(most_arrive_in_time_whatever_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
