// SPDX-License-Identifier: BSD-3-Clause
/* Who speaks, by levels alone. */
#include "sfu-dp/proto/speaker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define PEOPLE 3u

static struct {
	struct speaker_level level[PEOPLE];
	uint64_t sum[PEOPLE], count[PEOPLE];
	struct speaker_room room;
	unsigned changes;
} call;

/** So many looks in which each of them is as loud, in -dBov; 127 and more: sends nothing. */
static void looks(unsigned n, int a, int b, int c)
{
	const int level[PEOPLE] = {a, b, c};

	while (n--) {
		struct speaker_look look;

		speaker_look_begin(&look);
		for (unsigned i = 0; i < PEOPLE; i++) {
			if (level[i] < 127) {
				call.sum[i] += 12 * (uint64_t)(127 - level[i]);
				call.count[i] += 12;
			}
			speaker_level_update(&call.level[i], call.sum[i], call.count[i]);
			speaker_look_at(&look, &call.room, i + 1, &call.level[i]);
		}
		call.changes += speaker_look_end(&look, &call.room);
	}
}

static int begin(void **state)
{
	(void)state;
	memset(&call, 0, sizeof(call));
	return 0;
}

static void in_silence_nobody_speaks(void **state)
{
	(void)state;
	looks(20, 127, 127, 127);
	looks(20, 90, 70, 60);
	assert_int_equal(call.changes, 0);
	assert_int_equal(call.room.active, 0);
}

static void who_begins_is_seen_within_a_second(void **state)
{
	(void)state;
	looks(4, 30, 70, 127);
	assert_int_equal(call.room.active, 1);
	assert_int_equal(call.changes, 1);
}

static void turns_are_followed(void **state)
{
	(void)state;
	looks(12, 30, 127, 127);
	looks(12, 127, 30, 127);
	assert_int_equal(call.room.active, 2);
	looks(12, 70, 70, 35);
	assert_int_equal(call.room.active, 3);
	assert_int_equal(call.changes, 3);
}

static void a_cough_takes_no_turn(void **state)
{
	(void)state;
	looks(12, 30, 127, 127);
	looks(1, 30, 15, 127);
	looks(12, 30, 127, 127);
	assert_int_equal(call.changes, 1);
}

static void two_who_are_as_loud_do_not_alternate(void **state)
{
	(void)state;
	looks(12, 30, 127, 127);
	for (unsigned i = 0; i < 50; i++)
		looks(1, 30 + (int)i % 4, 33 - (int)i % 4, 127);
	assert_int_equal(call.changes, 1);
}

static void a_pause_in_speech_keeps_the_turn(void **state)
{
	(void)state;
	looks(12, 30, 127, 127);
	looks(20, 127, 127, 127);
	assert_int_equal(call.room.active, 1);
	looks(4, 30, 127, 127);
	assert_int_equal(call.changes, 1);
}

static void absurd_counts_do_no_harm(void **state)
{
	struct speaker_level l = {.sum = 1000, .count = 10};

	(void)state;
	speaker_level_update(&l, 0, 11);
	assert_true(l.loudness <= 127);
	speaker_level_update(&l, UINT64_MAX, 0);
	assert_true(l.loudness <= 127);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(in_silence_nobody_speaks, begin),
		cmocka_unit_test_setup(who_begins_is_seen_within_a_second, begin),
		cmocka_unit_test_setup(turns_are_followed, begin),
		cmocka_unit_test_setup(a_cough_takes_no_turn, begin),
		cmocka_unit_test_setup(two_who_are_as_loud_do_not_alternate, begin),
		cmocka_unit_test_setup(a_pause_in_speech_keeps_the_turn, begin),
		cmocka_unit_test_setup(absurd_counts_do_no_harm, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
