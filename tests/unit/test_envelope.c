// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/proto/envelope.h"
#include "sfu-ctl/proto/h264_profile.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t key[ENV_KEY_BYTES] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

#define NUMBER(n)                                                                                  \
	{                                                                                          \
		.type = ENV_NUMBER, .number = (n)                                                  \
	}
#define TEXT(s)                                                                                    \
	{                                                                                          \
		.type = ENV_STRING, .string = (s), .string_len = sizeof(s) - 1                     \
	}

static struct env_fields frame(const char *msg_id, double seq)
{
	struct env_fields f = {
		.is_object = true,
		.v = NUMBER(1),
		.type = TEXT("PING"),
		.msg_id = {.type = ENV_STRING, .string = msg_id, .string_len = strlen(msg_id)},
		.ts = NUMBER(0),
		.seq = NUMBER(seq),
	};

	return f;
}

static enum env_verdict check(
	struct env_window *w, const char *msg_id, double seq, struct env_result *out)
{
	struct env_fields f = frame(msg_id, seq);

	return env_check(w, key, &f, out);
}

/* A4.2 to A4.4 and C28: what is refused, and that nothing of it is recorded. */
static void test_refusals(void **state)
{
	static const struct env_value values[] = {
		{.type = ENV_ABSENT},
		{.type = ENV_NULL},
		{.type = ENV_BOOL, .boolean = true},
		NUMBER(1),
		TEXT("1"),
		{.type = ENV_ARRAY},
		{.type = ENV_OBJECT},
	};
	struct env_slot slots[8];
	struct env_window w;
	struct env_result r;

	(void)state;
	env_window_init(&w, slots, 8);
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		bool number = values[i].type == ENV_NUMBER, text = values[i].type == ENV_STRING;
		struct env_fields f = frame("m", 1);

		f.v = values[i];
		f.seq.number = 0; /* not looked at before v */
		assert_int_equal(
			env_check(&w, key, &f, &r), number ? ENV_REFUSE_SEQ : ENV_REFUSE_INVALID);
		f = frame("m", 0);
		f.type = values[i];
		assert_int_equal(
			env_check(&w, key, &f, &r), text ? ENV_REFUSE_SEQ : ENV_REFUSE_INVALID);
		f = frame("m", 0);
		f.msg_id = values[i];
		assert_int_equal(
			env_check(&w, key, &f, &r), text ? ENV_REFUSE_SEQ : ENV_REFUSE_INVALID);
		f = frame("m", 0);
		f.ts = values[i];
		assert_int_equal(
			env_check(&w, key, &f, &r), number ? ENV_REFUSE_SEQ : ENV_REFUSE_INVALID);
		f = frame("m", 1);
		f.seq = values[i];
		if (!number)
			assert_int_equal(env_check(&w, key, &f, &r), ENV_REFUSE_SEQ);
	}
	assert_int_equal(env_check(&w, key, &(struct env_fields){0}, &r), ENV_REFUSE_INVALID);
	assert_int_equal(w.count, 0);
	assert_true(w.highest_seq < 1);
}

static void test_version(void **state)
{
	static const double wrong[] = {0, 2, -1, 1.5, 0.9999999999999999, 1.0000000000000002};
	struct env_slot slots[8];
	struct env_window w;
	struct env_result r;

	(void)state;
	env_window_init(&w, slots, 8);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct env_fields f = frame("m", 1);

		f.v.number = wrong[i];
		assert_int_equal(env_check(&w, key, &f, &r), ENV_REFUSE_INVALID);
	}
}

static void test_seq_values(void **state)
{
	static const struct {
		double seq;
		bool accepted;
	} rows[] = {
		{1, true},
		{5.0, true},
		{4503599627370497.0, true},
		{9007199254740992.0, true},
		{1e300, true}, /* JavaScript calls it an integer as well */
		{0, false},
		{-0.0, false},
		{-1, false},
		{1.5, false},
		{2251799813685248.5, false},
		{1e-300, false},
		{(double)INFINITY, false},
		{(double)NAN, false},
	};
	struct env_slot slots[8];
	struct env_window w;
	struct env_result r;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		env_window_init(&w, slots, 8);
		assert_int_equal(check(&w, "m", rows[i].seq, &r),
			rows[i].accepted ? ENV_ACCEPT : ENV_REFUSE_SEQ);
	}
}

/* A4.3: only JavaScript's true drops the frame, and it does so before seq and msgId are judged. */
static void test_ack(void **state)
{
	static const struct {
		struct env_value ack;
		bool dropped;
	} rows[] = {
		{{.type = ENV_ABSENT}, false},
		{{.type = ENV_NULL}, false},
		{{.type = ENV_BOOL, .boolean = false}, false},
		{{.type = ENV_BOOL, .boolean = true}, true},
		{NUMBER(0), false},
		{NUMBER(-0.0), false},
		{NUMBER(0.5), true},
		{NUMBER(-1), true},
		{TEXT(""), false},
		{TEXT("0"), true},
		{{.type = ENV_ARRAY}, true},
		{{.type = ENV_OBJECT}, true},
	};
	struct env_slot slots[64];
	struct env_window w;
	struct env_result r;

	(void)state;
	env_window_init(&w, slots, 64);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct env_fields f = frame("bad\n", -1);

		f.ack = rows[i].ack;
		assert_int_equal(
			env_check(&w, key, &f, &r), rows[i].dropped ? ENV_DROP : ENV_REFUSE_SEQ);
		f.type.type = ENV_NULL; /* but after the envelope itself */
		assert_int_equal(env_check(&w, key, &f, &r), ENV_REFUSE_INVALID);
	}
	assert_int_equal(w.count, 0);
}

static void test_msg_ids(void **state)
{
	char longest[130];
	struct env_slot slots[8];
	struct env_window w;
	struct env_result r;
	struct env_fields f = frame("", 9);

	(void)state;
	env_window_init(&w, slots, 8);
	memset(longest, 'x', sizeof(longest));
	longest[128] = '\0';
	assert_int_equal(check(&w, longest, 1, &r), ENV_ACCEPT);
	longest[128] = 'x';
	longest[129] = '\0';
	assert_int_equal(check(&w, longest, 2, &r), ENV_REFUSE_MSG_ID);
	assert_int_equal(check(&w, "a\nb", 2, &r), ENV_REFUSE_MSG_ID);
	assert_int_equal(check(&w, "\x1b[2J", 2, &r), ENV_REFUSE_MSG_ID);
	assert_int_equal(check(&w, "\x7f", 2, &r), ENV_REFUSE_MSG_ID);
	assert_int_equal(check(&w, "\xc2\x9b", 2, &r), ENV_REFUSE_MSG_ID);
	assert_int_equal(check(&w, "\xc2\xa0\xc3\x9b", 2, &r), ENV_ACCEPT);
	assert_int_equal(check(&w, "", 3, &r), ENV_ACCEPT); /* A2 allows it */
	assert_int_equal(check(&w, "", 4, &r), ENV_DUPLICATE);
	f.msg_id.string_len = 1; /* a NUL inside */
	assert_int_equal(env_check(&w, key, &f, &r), ENV_REFUSE_MSG_ID);
	assert_true(env_id_valid("x", 1, 1));
	assert_false(env_id_valid("", 0, 1));
}

/* A4.5 to A4.7 on one connection, in the words of the protocol. */
static void test_order(void **state)
{
	struct env_slot slots[8];
	struct env_window w;
	struct env_result r;
	uint64_t ticket;

	(void)state;
	env_window_init(&w, slots, 8);
	assert_int_equal(check(&w, "a", 2, &r), ENV_ACCEPT);
	ticket = r.ticket;
	assert_int_equal(check(&w, "b", 5, &r), ENV_ACCEPT); /* gaps are fine */
	/* A retransmission with its old seq is a duplicate, not a replay. */
	assert_int_equal(check(&w, "a", 2, &r), ENV_DUPLICATE);
	assert_int_equal(r.outcome, ENV_OUTCOME_PENDING);
	assert_int_equal(r.ticket, ticket);
	assert_true(env_record_outcome(&w, ticket, 77));
	assert_int_equal(check(&w, "a", 100, &r), ENV_DUPLICATE);
	assert_int_equal(r.outcome, 77);
	/* ... and does not move the highest seq. */
	assert_int_equal(check(&w, "c", 6, &r), ENV_ACCEPT);
	/* A replay is not recorded: the same id with a higher seq is processed. */
	assert_int_equal(check(&w, "d", 6, &r), ENV_REPLAY);
	assert_int_equal(check(&w, "d", 3, &r), ENV_REPLAY);
	assert_int_equal(check(&w, "d", 7, &r), ENV_ACCEPT);
	assert_int_equal(w.count, 4);
}

static void test_window(void **state)
{
	static struct env_slot small[64], large[ENV_WINDOW_MAX];
	struct env_window w;
	struct env_result r;
	uint64_t outcome, ticket = 0;
	char id[16];

	(void)state;
	env_window_init(&w, small, 64);
	for (unsigned int i = 1; i <= 64; i++) {
		assert_int_equal(env_window_wants(&w), 0);
		snprintf(id, sizeof(id), "m%u", i);
		assert_int_equal(check(&w, id, i, &r), ENV_ACCEPT);
		assert_true(env_record_outcome(&w, r.ticket, i));
	}
	assert_int_equal(env_window_wants(&w), 128);
	assert_ptr_equal(env_window_move(&w, large, 128), small);
	assert_int_equal(check(&w, "m1", 1, &r), ENV_DUPLICATE);
	assert_int_equal(r.outcome, 1);
	assert_int_equal(env_window_wants(&w), 0);

	env_window_init(&w, large, ENV_WINDOW_MAX);
	for (unsigned int i = 1; i <= ENV_WINDOW_MAX; i++) {
		snprintf(id, sizeof(id), "m%u", i);
		assert_int_equal(check(&w, id, i, &r), ENV_ACCEPT);
		assert_false(r.evicted);
		assert_true(env_record_outcome(&w, r.ticket, 1000 + i));
		if (i == 1)
			ticket = r.ticket;
	}
	assert_int_equal(env_window_wants(&w), 0);
	assert_int_equal(check(&w, "m1", 1, &r), ENV_DUPLICATE);
	assert_int_equal(r.outcome, 1001);
	/* The 4001st pushes out the first, and only that one. */
	assert_int_equal(check(&w, "new", ENV_WINDOW_MAX + 1, &r), ENV_ACCEPT);
	assert_true(r.evicted);
	assert_int_equal(r.released, 1001);
	assert_false(env_record_outcome(&w, ticket, 5)); /* too late */
	assert_false(env_record_outcome(&w, r.ticket + 1, 5)); /* never was */
	assert_int_equal(check(&w, "m2", 2, &r), ENV_DUPLICATE);
	assert_int_equal(check(&w, "m1", 1, &r), ENV_REPLAY);
	assert_int_equal(check(&w, "m1", ENV_WINDOW_MAX + 2, &r), ENV_ACCEPT);
	assert_int_equal(r.released, 1002);

	for (unsigned int i = 3; i <= ENV_WINDOW_MAX; i++) {
		assert_true(env_window_pop(&w, &outcome));
		assert_int_equal(outcome, 1000 + i);
	}
	assert_true(env_window_pop(&w, &outcome));
	assert_int_equal(outcome, ENV_OUTCOME_PENDING);
	assert_true(env_window_pop(&w, &outcome));
	assert_false(env_window_pop(&w, &outcome));
}

/* Moves at every fill level keep ids and outcomes. */
static void test_window_moves(void **state)
{
	static struct env_slot storage[2][300];
	struct env_window w;
	struct env_result r;
	char id[16];

	(void)state;
	env_window_init(&w, storage[0], 3);
	for (unsigned int i = 1; i <= 200; i++) {
		snprintf(id, sizeof(id), "m%u", i);
		assert_int_equal(check(&w, id, i, &r), ENV_ACCEPT);
		assert_true(env_record_outcome(&w, r.ticket, i));
		if (i % 7 == 0)
			env_window_move(&w, storage[w.slots == storage[0]], 3 + (i * 3 / 4));
		for (unsigned int k = i; k > i - w.count; k--) {
			snprintf(id, sizeof(id), "m%u", k);
			assert_int_equal(check(&w, id, 1, &r), ENV_DUPLICATE);
			assert_int_equal(r.outcome, k);
		}
	}
	assert_true(w.count > 50);
}

/* Ids that come, come again and are forgotten, against a list: small windows, so that runs of cells meet. */
static void test_window_random(void **state)
{
	static struct env_slot slots[40];
	static unsigned list[40]; /* ids in the window, the oldest first */
	uint64_t seed = 7;

	(void)state;
	for (unsigned capacity = 1; capacity <= 40; capacity++) {
		struct env_window w;
		struct env_result r;
		unsigned count = 0, seq = 0, at;
		char id[16];

		env_window_init(&w, slots, capacity);
		for (unsigned step = 0; step < 20000; step++) {
			seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
			unsigned which = (unsigned)(seed >> 33) % (2 * capacity + 3);

			snprintf(id, sizeof(id), "%u", which);
			for (at = 0; at < count && list[at] != which; at++)
				;
			env_window_prefetch(&w);
			if (at < count) {
				assert_int_equal(check(&w, id, 1, &r), ENV_DUPLICATE);
				assert_int_equal(r.outcome, which + 1000);
				assert_int_equal(r.ticket, w.accepted - count + at);
				continue;
			}
			assert_int_equal(check(&w, id, ++seq, &r), ENV_ACCEPT);
			assert_true(env_record_outcome(&w, r.ticket, which + 1000));
			assert_int_equal(r.evicted, count == capacity);
			if (count == capacity) {
				assert_int_equal(r.released, list[0] + 1000);
				memmove(list, list + 1, --count * sizeof(list[0]));
			}
			list[count++] = which;
		}
	}
}

/* B9: ids of an older window are known, pending tickets stay good, for all fills of both. */
static void test_window_adopts(void **state)
{
	(void)state;
	for (unsigned olds = 0; olds < 12; olds++) {
		for (unsigned news = 1; news < 6; news++) {
			struct env_slot old_slots[7], new_slots[7], both[16];
			struct env_window older, w;
			struct env_result r;
			char id[8];
			uint64_t ticket = 0;
			unsigned kept = olds < 7 ? olds : 7;

			env_window_init(&older, old_slots, 7);
			env_window_init(&w, new_slots, 7);
			for (unsigned i = 0; i < olds; i++) {
				snprintf(id, sizeof(id), "o%u", i);
				assert_int_equal(check(&older, id, 900 + i, &r), ENV_ACCEPT);
				env_record_outcome(&older, r.ticket, 100 + i);
			}
			for (unsigned i = 0; i < news; i++) {
				snprintf(id, sizeof(id), "n%u", i);
				assert_int_equal(check(&w, id, 1 + i, &r), ENV_ACCEPT);
				ticket = r.ticket;
			}
			ticket += env_window_adopt(&w, &older, both, 16);
			assert_int_equal(older.count, 0);
			assert_int_equal(w.count, kept + news);
			assert_true(env_record_outcome(&w, ticket, 77));
			for (unsigned i = 0; i < olds; i++) {
				snprintf(id, sizeof(id), "o%u", i);
				if (i < olds - kept)
					continue;
				assert_int_equal(check(&w, id, 900 + i, &r), ENV_DUPLICATE);
				assert_int_equal(r.outcome, 100 + i);
			}
			snprintf(id, sizeof(id), "n%u", news - 1);
			assert_int_equal(check(&w, id, news, &r), ENV_DUPLICATE);
			assert_int_equal(r.outcome, 77);
			// The sequence is that of the new connection.
			assert_int_equal(check(&w, "x", news, &r), ENV_REPLAY);
			assert_int_equal(check(&w, "x", news + 1, &r), ENV_ACCEPT);
		}
	}
}

/* The reference's vectors: key 00..0f, input 00..len-1. */
static void test_siphash(void **state)
{
	static const struct {
		size_t len;
		uint64_t hash;
	} rows[] = {
		{0, UINT64_C(0x726fdb47dd0e0e31)},
		{1, UINT64_C(0x74f839c593dc67fd)},
		{7, UINT64_C(0xab0200f58b01d137)},
		{8, UINT64_C(0x93f5f5799a932462)},
		{15, UINT64_C(0xa129ca6149be45e5)},
		{63, UINT64_C(0x958a324ceb064572)},
	};
	uint8_t input[64];

	(void)state;
	for (size_t i = 0; i < sizeof(input); i++)
		input[i] = (uint8_t)i;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_true(env_siphash(key, input, rows[i].len) == rows[i].hash);
}

static void test_h264_profiles(void **state)
{
	static const struct {
		const char *local, *remote;
		bool asymmetry;
		const char *answer; /* NULL: none */
	} rows[] = {
		{"42e01f", "42e01f", false, "42e01f"},
		{"42E01F", "42c01f", false, "42e01f"}, /* both are constrained baseline */
		{"4d801f", "42e01f", false, "42e01f"}, /* also, spelt as main */
		{"58c01f", "42e00d", false, "42e00d"},
		{"42001f", "42e01f", false, NULL},
		{"42e034", "42e01f", false, "42e01f"},
		{"42e034", "42e01f", true, "42e034"},
		{"42e01f", "42e034", false, "42e01f"},
		{"42f00b", "42e00b", false, "42f00b"}, /* 1b is below 1.1 */
		{"42f00b", "42e00a", false, "42e00a"}, /* and above 1 */
		{"64001f", "64001f", false, "64001f"},
		{"640c1f", "64001f", false, NULL},
		{"f4001f", "f40033", false, "f4001f"},
		{"4d100b", "4d000b", true, "4d100b"},
		{"42e000", "42e01f", false, NULL}, /* no such level */
		{"64101f", "64001f", false, NULL}, /* no such profile */
		{"42e01", "42e01f", false, NULL},
		{"42e01g", "42e01f", false, NULL},
		{"000000", "42e01f", false, NULL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[H264_PROFILE_TEXT_BYTES] = "";
		struct h264_profile a, b;
		bool ok = h264_profile_parse(rows[i].local, strlen(rows[i].local), &a)
			  && h264_profile_parse(rows[i].remote, strlen(rows[i].remote), &b)
			  && h264_profile_answer(&a, &b, rows[i].asymmetry, text);

		assert_int_equal(ok, rows[i].answer != NULL);
		assert_string_equal(text, ok ? rows[i].answer : "");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_version),
		cmocka_unit_test(test_seq_values),
		cmocka_unit_test(test_ack),
		cmocka_unit_test(test_msg_ids),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_window_moves),
		cmocka_unit_test(test_window_random),
		cmocka_unit_test(test_window_adopts),
		cmocka_unit_test(test_siphash),
		cmocka_unit_test(test_h264_profiles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
