// SPDX-License-Identifier: BSD-3-Clause
/* The E2EE gates: a table of short stories, then random ones against a model made another way. */
#include "sfu-ctl/e2ee.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define GRACE_US 20u

/*
 * A story is a string of events on three members a, b, c who have joined at epoch 0:
 *   ra   E2EE_READY of a for the room's epoch      Ca   a commits the next epoch
 *   =a   a commits the present epoch again         ja   a joins again
 *   +    10 microseconds pass
 * and its end: per member the signalling gate (R or -) and the edge now (o open, x shut).
 */
static const struct {
	const char *name, *story, *end;
	bool optional, committer_ready;
} stories[] = {
	{"nobody is ready at first", "", "-x -x -x", false, false},
	{"ready opens both", "ra", "Ro -x -x", false, false},
	{"a commit starts the grace", "rarbCa", "-o -o -x", false, false},
	{"the grace ends", "rarbCa++", "-o -x -x", false, false},
	{"the grace lasts until its end", "rarbCa+", "-o -o -x", false, false},
	{"the committer stays open without E2EE_READY", "raCa+++", "-o -x -x", false, false},
	{"who was never ready gets no grace", "raCaCaCa", "-o -x -x", false, false},
	{"a chain of commits keeps no laggard open", "rarbCa+Ca+", "-o -x -x", false, false},
	{"ready within the grace ends it well", "rarbCarb++", "-o Ro -x", false, false},
	{"ready after the grace flows at once", "rarbCa+++rb", "-o Ro -x", false, false},
	{"the next commit gives a new grace", "rarbCarb+++Ca+", "-o -o -x", false, false},
	{"the committer itself can become a laggard", "raCarbCb++", "-x -o -x", false, false},
	{"a second committer is open, not ready", "rarbCa=b++", "-o -o -x", false, false},
	{"the second commit resets nobody", "rarbCara=b", "Ro -o -x", false, false},
	{"a member never ready may commit and is open", "Ca", "-o -x -x", false, false},
	{"joining again shuts", "raja", "-x -x -x", false, false},
	{"committer_ready: ready at once", "rarbCa++", "Ro -x -x", false, true},
	{"committer_ready: the second one too", "rarbCa=b++", "Ro Ro -x", false, true},
	{"not required: all open", "", "Ro Ro Ro", true, false},
	{"not required: commits change nothing", "CaCb=c+++", "Ro Ro Ro", true, false},
};

struct world {
	struct e2ee_room room;
	struct e2ee_member member[3];
	bool committer_ready;
	uint64_t now_us;
};

static void commit(struct world *w, unsigned by, double epoch)
{
	const struct e2ee_commit how = {
		.verdict = e2ee_judge(&w->room, epoch),
		.committer_ready = w->committer_ready,
		.now_us = w->now_us,
		.grace_us = GRACE_US,
	};

	assert_int_not_equal(how.verdict, E2EE_COMMIT_REFUSED);
	if (how.verdict == E2EE_COMMIT_NEW)
		e2ee_room_commit(&w->room, epoch);
	for (unsigned i = 0; i < 3; i++)
		e2ee_member_commit(&w->room, &w->member[i], i == by, &how);
}

static void event(struct world *w, char what, unsigned by)
{
	switch (what) {
	case 'r':
		assert_true(e2ee_member_ready(&w->room, &w->member[by], (double)w->room.epoch));
		break;
	case 'C':
		commit(w, by, (double)w->room.epoch + 1);
		break;
	case '=':
		commit(w, by, (double)w->room.epoch);
		break;
	case 'j':
		e2ee_member_init(&w->room, &w->member[by]);
		break;
	default:
		fail_msg("no event %c", what);
	}
}

static bool edge_open(const struct world *w, unsigned i)
{
	return w->now_us < w->member[i].open_until_us;
}

static void start(struct world *w, bool required, bool committer_ready)
{
	memset(w, 0, sizeof(*w));
	w->now_us = 1000;
	w->committer_ready = committer_ready;
	e2ee_room_init(&w->room, required, 0);
	for (unsigned i = 0; i < 3; i++)
		e2ee_member_init(&w->room, &w->member[i]);
}

static void test_stories(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(stories) / sizeof(stories[0]); i++) {
		struct world w;
		char end[16];
		const char *at = stories[i].story;

		start(&w, !stories[i].optional, stories[i].committer_ready);
		while (*at != '\0') {
			if (*at == '+') {
				w.now_us += 10;
				at++;
			} else {
				event(&w, at[0], (unsigned)(at[1] - 'a'));
				at += 2;
			}
		}
		for (unsigned m = 0; m < 3; m++) {
			end[3 * m] = e2ee_gate_open(&w.room, &w.member[m]) ? 'R' : '-';
			end[3 * m + 1] = edge_open(&w, m) ? 'o' : 'x';
			end[3 * m + 2] = m == 2 ? '\0' : ' ';
		}
		if (strcmp(end, stories[i].end) != 0)
			fail_msg("%s: %s instead of %s", stories[i].name, end, stories[i].end);
	}
}

static void test_epochs(void **state)
{
	struct e2ee_room room;
	struct e2ee_member m;

	(void)state;
	e2ee_room_init(&room, true, 0);
	e2ee_member_init(&room, &m);
	assert_int_equal(e2ee_judge(&room, 0), E2EE_COMMIT_SAME);
	assert_int_equal(e2ee_judge(&room, 0.5), E2EE_COMMIT_REFUSED);
	assert_int_equal(e2ee_judge(&room, -1), E2EE_COMMIT_REFUSED);
	assert_int_equal(e2ee_judge(&room, NAN), E2EE_COMMIT_REFUSED);
	assert_int_equal(e2ee_judge(&room, INFINITY), E2EE_COMMIT_REFUSED);
	assert_int_equal(e2ee_judge(&room, 9007199254740992.0), E2EE_COMMIT_REFUSED);
	assert_int_equal(e2ee_judge(&room, 9007199254740991.0), E2EE_COMMIT_NEW);
	assert_int_equal(e2ee_judge(&room, 7), E2EE_COMMIT_NEW);
	e2ee_room_commit(&room, 7);
	assert_int_equal(e2ee_judge(&room, 6), E2EE_COMMIT_REFUSED);
	assert_int_equal(e2ee_judge(&room, 7), E2EE_COMMIT_SAME);
	assert_false(e2ee_member_ready(&room, &m, 6));
	assert_false(e2ee_member_ready(&room, &m, 8));
	assert_false(e2ee_member_ready(&room, &m, NAN));
	assert_false(e2ee_gate_open(&room, &m));
	assert_true(e2ee_member_ready(&room, &m, 7));
	assert_true(e2ee_gate_open(&room, &m));
}

/*
 * The model keeps no state but the history: an edge is open iff, looking back, the member's last
 * claim (ready or commit) is for the present epoch, or it was for the epoch that was present when
 * the first commit after it came, and that commit is less than the grace ago.
 */
struct claim {
	bool made;
	uint64_t epoch; /* present at the last claim */
	bool overtaken; /* a commit by another came after it */
	uint64_t overtaken_us;
	bool ready; /* the claim was an E2EE_READY, or counts as one */
};

static void model_commit(struct claim claims[3], unsigned by, struct world *w, bool is_new)
{
	for (unsigned i = 0; i < 3; i++) {
		if (i == by || !is_new || !claims[i].made)
			continue;
		if (!claims[i].overtaken) {
			claims[i].overtaken = true;
			claims[i].overtaken_us = w->now_us;
		}
	}
	if (is_new || !claims[by].made || claims[by].epoch != w->room.epoch)
		claims[by].ready = w->committer_ready;
	if (w->committer_ready)
		claims[by].ready = true;
	claims[by].made = true;
	claims[by].overtaken = false;
	claims[by].epoch = w->room.epoch;
}

static void compare(const struct world *w, const struct claim claims[3], unsigned step)
{
	for (unsigned i = 0; i < 3; i++) {
		const struct claim *c = &claims[i];
		bool current = c->made && c->epoch == w->room.epoch;
		bool open = current
			    || (c->made && c->overtaken && w->now_us < c->overtaken_us + GRACE_US);

		if (open != edge_open(w, i))
			fail_msg("step %u: edge of %u is %d", step, i, edge_open(w, i));
		if ((current && c->ready) != e2ee_gate_open(&w->room, &w->member[i]))
			fail_msg("step %u: gate of %u", step, i);
	}
}

static uint32_t next_random(uint64_t *seed)
{
	*seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*seed >> 33);
}

static void run_random(uint64_t seed)
{
	struct claim claims[3] = {{0}};
	struct world w;

	start(&w, true, seed % 2 != 0);
	for (unsigned step = 0; step < 200; step++) {
		unsigned by = next_random(&seed) % 3;

		switch (next_random(&seed) % 6) {
		case 0:
			event(&w, 'r', by);
			claims[by] = (struct claim){true, w.room.epoch, false, 0, true};
			break;
		case 1:
			event(&w, 'C', by);
			model_commit(claims, by, &w, true);
			break;
		case 2:
			event(&w, '=', by);
			model_commit(claims, by, &w, false);
			break;
		case 3:
			if (next_random(&seed) % 4 == 0) {
				event(&w, 'j', by);
				claims[by] = (struct claim){0};
			}
			break;
		default:
			w.now_us += next_random(&seed) % 12;
		}
		compare(&w, claims, step);
	}
}

static void test_random(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 2000; seed++)
		run_random(seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stories),
		cmocka_unit_test(test_epochs),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
