// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/proto/rtp_ext.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void test_walk(void **state)
{
	static const struct {
		const char *what;
		uint16_t profile;
		uint8_t elems[24];
		size_t len;
		const char *ids; // expected ids, in order
		bool malformed;
	} rows[] = {
		{"empty", RTP_EXT_ONE_BYTE, {0}, 0, "", false},
		{"padding only", RTP_EXT_ONE_BYTE, {0}, 8, "", false},
		{"two elements", RTP_EXT_ONE_BYTE, {0x10, 9, 0x21, 8, 7}, 5, "\1\2", false},
		{"padding between", RTP_EXT_ONE_BYTE, {0x10, 9, 0, 0, 0x20, 8, 0, 0}, 8, "\1\2",
			false},
		{"id 15 stops", RTP_EXT_ONE_BYTE, {0x10, 9, 0xf0, 8, 0x20, 7}, 6, "\1", false},
		{"id 0 with a length stops", RTP_EXT_ONE_BYTE, {0x10, 9, 0x01, 8, 0x20, 7}, 6, "\1",
			true},
		{"data cut", RTP_EXT_ONE_BYTE, {0x10, 9, 0x22, 8}, 4, "\1", true},
		{"16 octets", RTP_EXT_ONE_BYTE, {0x3f}, 17, "\3", false},
		{"16 octets cut", RTP_EXT_ONE_BYTE, {0x3f}, 16, "", true},
		{"two-byte", RTP_EXT_TWO_BYTE, {1, 2, 9, 9, 15, 0, 255, 1, 9}, 9, "\1\17\377",
			false},
		{"two-byte, appbits", 0x100f, {1, 0, 2, 0}, 4, "\1\2", false},
		{"two-byte padding", RTP_EXT_TWO_BYTE, {0, 0, 1, 1, 9, 0}, 6, "\1", false},
		{"two-byte, no length", RTP_EXT_TWO_BYTE, {1, 0, 2}, 3, "\1", true},
		{"two-byte, data cut", RTP_EXT_TWO_BYTE, {1, 0, 2, 3, 9, 9}, 6, "\1", true},
		{"other profile", 0x1010, {1, 0, 2, 0}, 4, "", false},
		{"no profile", 0, {1, 0, 2, 0}, 4, "", false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		size_t len = rows[i].len, count = 0;
		uint8_t *copy = malloc(len + 1);
		struct rtp_ext_iter it;
		struct rtp_ext_elem e;

		assert_non_null(copy);
		// The last octet available, so that a sanitizer sees any read past the elements.
		memcpy(copy + 1, rows[i].elems, len);
		rtp_ext_iter_init(&it, rows[i].profile, copy + 1, len);
		while (rtp_ext_next(&it, &e)) {
			if (count >= strlen(rows[i].ids) || e.id != (uint8_t)rows[i].ids[count])
				fail_msg("%s", rows[i].what);
			count++;
		}
		if (count != strlen(rows[i].ids) || it.malformed != rows[i].malformed)
			fail_msg("%s", rows[i].what);
		assert_false(rtp_ext_next(&it, &e));
		free(copy);
	}
}

static void test_find(void **state)
{
	static const uint8_t elems[] = {0x10, 9, 0x21, 8, 7, 0x20, 5, 0};
	struct rtp_ext_elem e;

	(void)state;
	assert_true(rtp_ext_find(RTP_EXT_ONE_BYTE, elems, sizeof(elems), 2, &e));
	assert_int_equal(e.len, 2);
	assert_int_equal(e.data[0], 8);
	assert_false(rtp_ext_find(RTP_EXT_ONE_BYTE, elems, sizeof(elems), 3, &e));
	assert_false(rtp_ext_find(0, elems, sizeof(elems), 1, &e));
}

static void test_build(void **state)
{
	// In: MID "0" as 4, abs-send-time as 2, audio level as 1, an unknown one as 7.
	static const uint8_t in[] = {0x40, '0', 0x22, 1, 2, 3, 0x10, 0x9f, 0x70, 1, 0, 0};
	static const uint8_t expected[]
		= {0xbe, 0xde, 0, 3, 0x11, '1', '2', 0x42, 7, 8, 9, 0xa0, 0x9f, 0, 0, 0};
	static const uint8_t ast[] = {7, 8, 9};
	const struct rtp_ext_map map = {.out_id = {[1] = 10, [2] = 4, [4] = 1}};
	struct rtp_ext_value values[] = {
		{.id = 1, .data = (const uint8_t *)"12", .len = 2},
		{.id = 0, .data = ast, .len = 3}, // skipped
		{.id = 4, .data = ast, .len = 3},
	};
	uint8_t out[64];
	int len;

	(void)state;
	len = rtp_ext_build(out, sizeof(out), RTP_EXT_ONE_BYTE, in, sizeof(in), &map, values, 3);
	assert_int_equal(len, sizeof(expected));
	assert_memory_equal(out, expected, sizeof(expected));
	assert_int_equal(values[0].off, 5);
	assert_int_equal(values[1].off, 0);
	assert_int_equal(values[2].off, 8);
	for (size_t cap = 0; cap < sizeof(expected); cap++) {
		uint8_t *small = malloc(cap + 1);

		assert_non_null(small);
		small[cap] = 0xa5;
		assert_int_equal(rtp_ext_build(small, cap, RTP_EXT_ONE_BYTE, in, sizeof(in), &map,
					 values, 3),
			RTP_EXT_NO_SPACE);
		assert_int_equal(small[cap], 0xa5);
		free(small);
	}
}

static void test_build_forms(void **state)
{
	static const struct {
		const char *what;
		uint16_t profile;
		uint8_t in[20];
		size_t len;
		uint8_t in_id, out_id;
		uint16_t out_profile; // 0: nothing comes out
		int out_len;
	} rows[] = {
		{"no extension in", 0, {0}, 0, 1, 1, 0, 0},
		{"all left out", RTP_EXT_ONE_BYTE, {0x10, 9, 0, 0}, 4, 2, 2, 0, 0},
		{"id 14 stays one-byte", RTP_EXT_ONE_BYTE, {0x10, 9, 0, 0}, 4, 1, 14,
			RTP_EXT_ONE_BYTE, 8},
		{"id 15 needs two-byte", RTP_EXT_ONE_BYTE, {0x10, 9, 0, 0}, 4, 1, 15,
			RTP_EXT_TWO_BYTE, 8},
		{"length 0 needs two-byte", RTP_EXT_TWO_BYTE, {1, 0, 0, 0}, 4, 1, 1,
			RTP_EXT_TWO_BYTE, 8},
		{"length 16 goes to one-byte", RTP_EXT_TWO_BYTE, {1, 16}, 18, 1, 1,
			RTP_EXT_ONE_BYTE, 24},
		{"length 17 needs two-byte", RTP_EXT_TWO_BYTE, {1, 17}, 19, 1, 1, RTP_EXT_TWO_BYTE,
			24},
		{"id 63 is mapped", RTP_EXT_TWO_BYTE, {63, 1, 9, 0}, 4, 63, 1, RTP_EXT_ONE_BYTE, 8},
		{"id 64 is left out", RTP_EXT_TWO_BYTE, {64, 1, 9, 0}, 4, 0, 1, 0, 0},
		{"malformed tail is dropped", RTP_EXT_ONE_BYTE, {0x10, 9, 0x2f, 0}, 4, 1, 1,
			RTP_EXT_ONE_BYTE, 8},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct rtp_ext_map map = {{0}};
		uint8_t out[32];
		int len;

		map.out_id[rows[i].in_id] = rows[i].out_id;
		len = rtp_ext_build(
			out, sizeof(out), rows[i].profile, rows[i].in, rows[i].len, &map, NULL, 0);
		if (len != rows[i].out_len
			|| (len && (out[0] << 8 | out[1]) != rows[i].out_profile))
			fail_msg("%s: %d", rows[i].what, len);
	}
}

static void test_build_keeps_first_of_equal_ids(void **state)
{
	static const uint8_t in[] = {0x10, 1, 0x20, 2, 0x10, 3, 0, 0};
	const struct rtp_ext_map map = {.out_id = {[1] = 5, [2] = 5}};
	uint8_t out[32];

	(void)state;
	assert_int_equal(
		rtp_ext_build(out, sizeof(out), RTP_EXT_ONE_BYTE, in, sizeof(in), &map, NULL, 0),
		8);
	assert_memory_equal(out, ((const uint8_t[]){0xbe, 0xde, 0, 1, 0x50, 1, 0, 0}), 8);
}

static void test_build_bounds_its_work(void **state)
{
	// More elements than are carried, all with ids of their own.
	struct rtp_ext_map map = {{0}};
	uint8_t in[63 * 2], out[256];

	(void)state;
	for (uint8_t i = 1; i < 64; i++) {
		map.out_id[i] = i;
		in[(i - 1) * 2] = i;
		in[(i - 1) * 2 + 1] = 0;
	}
	assert_int_equal(
		rtp_ext_build(out, sizeof(out), RTP_EXT_TWO_BYTE, in, sizeof(in), &map, NULL, 0),
		RTP_EXT_HEADER_LEN + 2 * RTP_EXT_ELEMS_MAX);
}

static void test_abs_send_time(void **state)
{
	static const struct {
		uint64_t us;
		uint32_t value;
	} rows[] = {{0, 0}, {500000, 1 << 17}, {1000000, 1 << 18}, {63999999, 0xffffff},
		{64000000, 0}, {64000000ull * 1000000000 + 1000000, 1 << 18}};
	uint8_t out[3];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++)
		assert_int_equal(rtp_ext_abs_send_time(rows[i].us), rows[i].value);
	rtp_ext_put_be24(out, 0x123456);
	assert_memory_equal(out, "\x12\x34\x56", 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_walk),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_build),
		cmocka_unit_test(test_build_forms),
		cmocka_unit_test(test_build_keeps_first_of_equal_ids),
		cmocka_unit_test(test_build_bounds_its_work),
		cmocka_unit_test(test_abs_send_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
