// SPDX-License-Identifier: BSD-3-Clause
/** The list of other nodes, what is known of them, their order; what they say; numbers by the clock. */
#include "sfu-ctl/numbering.h"
#include "sfu-ctl/region_report.h"
#include "sfu-ctl/regions.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SECOND UINT64_C(1000000)

/* --- the list --- */

static void test_parse(void **state)
{
	static const struct {
		const char *text;
		enum regions_status status;
		size_t number; /* entries, or the bad one */
	} rows[] = {
		{"", REGIONS_OK, 0},
		{"  ", REGIONS_OK, 0},
		{"tr=wss://a", REGIONS_OK, 1},
		{"tr=wss://a.example:8888/ws,ru=ws://b/sfu/ws", REGIONS_OK, 2},
		{" tr=wss://a/ws ,\tru=ws://b/ws", REGIONS_OK, 2},
		{"tr=wss://a/ws,tr=wss://b/ws", REGIONS_OK, 2},
		{"tr=WSS://A/ws", REGIONS_OK, 1},
		{"tr=ws://127.0.0.1:65535/ws", REGIONS_OK, 1},
		{"tr=ws://[::1]/ws", REGIONS_OK, 1},
		{"tr=ws://[::1]:8888/ws", REGIONS_OK, 1},
		{"x.y_z-1=ws://a", REGIONS_OK, 1},
		{"tr=ws://a/ws?x", REGIONS_BAD_URL, 1},
		{"tr=ws://a/ws#x", REGIONS_BAD_URL, 1},
		{"tr=ws://user@a/ws", REGIONS_BAD_URL, 1},
		{"tr=ws://user:word@a/ws", REGIONS_BAD_URL, 1},
		{"tr=http://a/ws", REGIONS_BAD_URL, 1},
		{"tr=a", REGIONS_BAD_URL, 1},
		{"tr=", REGIONS_BAD_URL, 1},
		{"tr=ws://", REGIONS_BAD_URL, 1},
		{"tr=ws:///ws", REGIONS_BAD_URL, 1},
		{"tr=ws://a:/ws", REGIONS_BAD_URL, 1},
		{"tr=ws://a:0/ws", REGIONS_BAD_URL, 1},
		{"tr=ws://a:65536/ws", REGIONS_BAD_URL, 1},
		{"tr=ws://a:123456/ws", REGIONS_BAD_URL, 1},
		{"tr=ws://a:8x/ws", REGIONS_BAD_URL, 1},
		{"tr=ws://[::1/ws", REGIONS_BAD_URL, 1},
		{"tr=ws://[]/ws", REGIONS_BAD_URL, 1},
		{"tr=ws://[::1]x/ws", REGIONS_BAD_URL, 1},
		{"tr=ws://a b/ws", REGIONS_BAD_URL, 1},
		{"tr=ws://a/w s", REGIONS_BAD_URL, 1},
		{"tr=ws://a/\xc3\xbc", REGIONS_BAD_URL, 1},
		{"tr=ws://a,ru", REGIONS_NO_PAIR, 2},
		{"tr=ws://a,", REGIONS_NO_PAIR, 2},
		{",tr=ws://a", REGIONS_NO_PAIR, 1},
		{",", REGIONS_NO_PAIR, 1},
		{"=ws://a", REGIONS_BAD_NAME, 1},
		{"t r=ws://a", REGIONS_BAD_NAME, 1},
		{"ok=ws://a,\xc3\xbc=ws://b", REGIONS_BAD_NAME, 2},
		{"a2345678901234567890123456789012=ws://a", REGIONS_OK, 1},
		{"a23456789012345678901234567890123=ws://a", REGIONS_BAD_NAME, 1},
		{"a=ws://x/ws,b=ws://y/ws,c=ws://x/ws", REGIONS_TWICE, 3},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct region_list list;
		size_t number = 99;

		print_message("\"%s\"\n", rows[i].text);
		assert_int_equal(regions_parse(rows[i].text, &list, &number), rows[i].status);
		if (rows[i].status == REGIONS_OK)
			assert_int_equal(list.count, rows[i].number);
		else
			assert_int_equal(number, rows[i].number);
	}
}

static void test_parse_bounds(void **state)
{
	char text[1024] = "", url[300] = "tr=ws://";
	struct region_list list;
	size_t number;

	(void)state;
	for (unsigned i = 0; i < REGIONS_MAX + 1; i++) {
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%sr%u=ws://n%u/ws",
			i == 0 ? "" : ",", i, i);
		assert_int_equal(regions_parse(text, &list, &number),
			i < REGIONS_MAX ? REGIONS_OK : REGIONS_TOO_MANY);
	}
	assert_int_equal(number, REGIONS_MAX + 1);
	memset(url + 8, 'a', 250);
	assert_int_equal(regions_parse(url, &list, &number), REGIONS_OK);
	assert_int_equal(strlen(list.entry[0].url), REGION_URL_BYTES);
	url[258] = 'a';
	assert_int_equal(regions_parse(url, &list, &number), REGIONS_LONG_URL);
	for (int status = REGIONS_NO_PAIR; status <= REGIONS_TOO_MANY; status++)
		assert_true(strlen(regions_status_text((enum regions_status)status)) > 10);
}

static void test_health_url(void **state)
{
	static const char *const rows[][2] = {
		{"ws://a", "http://a/health"},
		{"wss://a/", "https://a/health"},
		{"wss://a:8443/ws", "https://a:8443/health"},
		{"WSS://a/ws", "https://a/health"},
		{"ws://a/sfu/ws", "http://a/sfu/health"},
		{"ws://a/sfu/news", "http://a/sfu/news/health"},
		{"ws://[::1]:1/ws", "http://[::1]:1/health"},
	};
	char out[64];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_true(regions_health_url(rows[i][0], out, sizeof(out)));
		assert_string_equal(out, rows[i][1]);
	}
	assert_true(regions_health_url("ws://a/ws", out, sizeof("http://a/health")));
	assert_false(regions_health_url("ws://a/ws", out, sizeof("http://a/health") - 1));
}

/* --- what is known --- */

static struct regions r;
static uint64_t now_us;

static void configure(const char *text)
{
	struct region_list list;

	assert_int_equal(regions_parse(text, &list, NULL), REGIONS_OK);
	regions_configure(&r, &list, SECOND, now_us);
}

static void begin(const char *text)
{
	now_us = 5 * SECOND;
	regions_init(&r, "0123456789abcdef");
	configure(text);
}

static bool says(size_t i, bool healthy, uint32_t load)
{
	struct region_report report = {.healthy = healthy, .load = load, .node_id = "n"};

	now_us += SECOND;
	return regions_heard(&r, i, &report, now_us);
}

static bool silent(size_t i)
{
	now_us += SECOND;
	return regions_heard(&r, i, NULL, now_us);
}

/** The order as letters of the names. */
static const char *order(const char *preferred)
{
	static char text[REGIONS_MAX + 1];
	uint8_t indices[REGIONS_MAX];
	size_t count = regions_order(&r, preferred, indices);

	for (size_t i = 0; i < count; i++)
		text[i] = r.region[indices[i]].where.name[0];
	text[count] = '\0';
	return text;
}

static void test_asks(void **state)
{
	(void)state;
	begin("a=ws://a,b=ws://b");
	assert_int_equal(regions_due_us(&r), now_us);
	assert_int_equal(regions_ask(&r, now_us), 0);
	assert_int_equal(regions_ask(&r, now_us), 1);
	assert_int_equal(regions_ask(&r, now_us), REGIONS_MAX);
	assert_true(regions_due_us(&r) == UINT64_MAX);
	says(1, true, 0);
	assert_int_equal(regions_due_us(&r), now_us + SECOND);
	assert_int_equal(regions_ask(&r, now_us + SECOND - 1), REGIONS_MAX);
	assert_int_equal(regions_ask(&r, now_us + SECOND), 1);
	// Who was up and does not answer is asked again soon; who is down, in its turn.
	silent(1);
	assert_int_equal(regions_due_us(&r), now_us + REGION_RETRY_US);
	silent(1);
	assert_int_equal(regions_due_us(&r), now_us + SECOND);
}

static void test_order(void **state)
{
	uint8_t equal[REGIONS_MAX];

	(void)state;
	begin("a=ws://a,b=ws://b,c=ws://c,d=ws://d");
	assert_int_equal(regions_equals(&r, "a", equal), 0);
	assert_string_equal(order("x"), "abcd");
	assert_string_equal(order("c"), "cabd");
	assert_null(regions_best(&r, "a"));
	says(3, true, 50);
	says(2, true, 20);
	assert_string_equal(order("x"), "cdab");
	assert_string_equal(order("d"), "dcab");
	assert_string_equal(order("b"), "cdba");
	silent(0);
	assert_string_equal(order("a"), "cdba");
	says(1, true, 20);
	assert_string_equal(order("a"), "bcda");
	assert_string_equal(regions_best(&r, "d")->where.name, "d");
	// b and c have the same load, d another, a is down.
	assert_int_equal(regions_equals(&r, "a", equal), 2);
	assert_int_equal(equal[0], 1);
	assert_int_equal(equal[1], 2);
	assert_int_equal(regions_equals(&r, "b", equal), 1);
	assert_ptr_equal(regions_find_up(&r, "ws://c"), &r.region[2]);
	assert_null(regions_find_up(&r, "ws://a"));
	assert_null(regions_find_up(&r, "ws://e"));
	assert_int_equal(r.count, 4);
}

static void test_self(void **state)
{
	struct region_report report = {.healthy = true, .instance = "0123456789abcdef"};

	(void)state;
	begin("a=ws://a,b=ws://b");
	says(1, true, 0);
	assert_string_equal(order("a"), "ba");
	assert_true(regions_heard(&r, 0, &report, now_us));
	assert_string_equal(order("a"), "b");
	assert_null(regions_find_up(&r, "ws://a"));
	// A process of the same node that came after us, and one that does not say.
	strcpy(report.instance, "0123456789abcdee");
	assert_true(regions_heard(&r, 0, &report, now_us));
	assert_string_equal(order("a"), "ab");
	report.instance[0] = '\0';
	r.instance[0] = '\0';
	regions_heard(&r, 0, &report, now_us);
	assert_string_equal(order("a"), "ab");
}

static void test_misses(void **state)
{
	uint32_t version;

	(void)state;
	begin("a=ws://a");
	assert_true(says(0, true, 0));
	version = r.version;
	assert_false(silent(0));
	assert_int_equal(r.region[0].state, REGION_UP);
	assert_false(says(0, true, 0));
	assert_false(silent(0));
	assert_int_equal(r.version, version);
	assert_true(silent(0));
	assert_int_equal(r.region[0].state, REGION_DOWN);
	assert_true(r.version != version);
	// One that says no is believed at once.
	begin("a=ws://a");
	says(0, true, 0);
	assert_true(says(0, false, 0));
	assert_int_equal(r.region[0].state, REGION_DOWN);
}

/** Each fall doubles what it takes to come back; a minute of calm forgets. */
static void test_flapping(void **state)
{
	static const uint32_t needed[] = {2, 4, 8, 16, 32, 32};

	(void)state;
	begin("a=ws://a");
	says(0, true, 0);
	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		says(0, false, 0);
		for (uint32_t good = 1; good < needed[i]; good++) {
			says(0, true, 0);
			assert_int_equal(r.region[0].state, REGION_DOWN);
		}
		says(0, true, 0);
		assert_int_equal(r.region[0].state, REGION_UP);
	}
	now_us += REGION_CALM_US;
	says(0, true, 0);
	says(0, false, 0);
	says(0, true, 0);
	assert_int_equal(r.region[0].state, REGION_DOWN);
	says(0, true, 0);
	assert_int_equal(r.region[0].state, REGION_UP);
	// Good answers count only in a row.
	says(0, false, 0);
	says(0, true, 0);
	silent(0);
	says(0, true, 0);
	assert_int_equal(r.region[0].state, REGION_DOWN);
}

/** Ten thousand answers at random of three nodes: the order never changes more often than states do. */
static void test_calm(void **state)
{
	uint32_t seed = 1, changes = 0, loads = 0;

	(void)state;
	begin("a=ws://a,b=ws://b,c=ws://c");
	for (size_t i = 0; i < 3; i++)
		says(i, true, 50);
	for (unsigned i = 0; i < 10000; i++) {
		seed = seed * 1664525u + 1013904223u;
		loads += says(i % 3, true, 50 + (seed >> 16) % REGION_LOAD_STEP);
		assert_string_equal(order("x"), "abc");
	}
	assert_int_equal(loads, 0);
	// One of them answers every second question: it falls at most when two are missed in a row.
	for (unsigned i = 0; i < 1000; i++)
		changes += i % 2 == 0 ? silent(0) : says(0, true, 50);
	assert_int_equal(changes, 0);
	// Every third: it is out for longer and longer.
	for (unsigned i = 0; i < 3000; i++)
		changes += i % 3 != 0 ? silent(0) : says(0, true, 50);
	assert_in_range(changes, 1, 10);
}

static void test_other_list(void **state)
{
	uint32_t version;

	(void)state;
	begin("a=ws://a,b=ws://b");
	says(0, true, 70);
	says(1, true, 10);
	regions_ask(&r, now_us + SECOND);
	version = r.version;
	configure("c=ws://c,a=ws://a");
	assert_true(r.version != version);
	assert_int_equal(r.region[1].state, REGION_UP);
	assert_int_equal(r.region[1].ranked_load, 70);
	assert_false(r.region[1].asking);
	assert_int_equal(r.region[0].state, REGION_UNKNOWN);
	assert_string_equal(order("x"), "ac");
	assert_int_equal(regions_due_us(&r), now_us);
	// The same node with another name.
	configure("z=ws://a");
	assert_string_equal(order("x"), "z");
	assert_int_equal(r.region[0].state, REGION_UP);
	configure("");
	assert_string_equal(order("x"), "");
	assert_null(regions_best(&r, "x"));
	assert_true(regions_due_us(&r) == UINT64_MAX);
}

/* --- what they say --- */

static void test_report(void **state)
{
	static const struct {
		const char *text;
		int result;
		bool healthy;
		const char *node_id, *instance;
		uint32_t load;
		uint64_t clock_us;
	} rows[] = {
		{"{\"ok\":true,\"nodeId\":\"n\",\"peers\":40,\"failoverHints\":{\"healthy\":true,"
		 "\"preferredRegion\":\"tr\"}}",
			0, true, "n", "", 4, 0},
		{"{\"ok\":true,\"nodeId\":\"n\",\"peers\":40,\"failoverHints\":{\"healthy\":true,"
		 "\"load\":77,\"clockUs\":1767225600000000,\"instance\":\"00ff\"}}",
			0, true, "n", "00ff", 77, 1767225600000000},
		{"{\"ok\":true,\"failoverHints\":{\"healthy\":false}}", 0, false, "", "", 0, 0},
		{"{\"ok\":false,\"failoverHints\":{\"healthy\":true}}", 0, false, "", "", 0, 0},
		{"{\"failoverHints\":{\"healthy\":true}}", 0, false, "", "", 0, 0},
		{"{\"ok\":1,\"failoverHints\":{\"healthy\":1}}", 0, false, "", "", 0, 0},
		{"{\"ok\":true,\"nodeId\":7,\"failoverHints\":{\"healthy\":true,\"load\":\"7\","
		 "\"clockUs\":-5,\"instance\":\"longer than it may be\"}}",
			0, true, "", "", 0, 0},
		{"{\"ok\":true,\"nodeId\":\"a\\nb\",\"failoverHints\":{\"healthy\":true,"
		 "\"load\":1e300,\"clockUs\":1e300}}",
			0, true, "", "", 1000, 0},
		{"{\"ok\":true,\"peers\":-1e9,\"failoverHints\":{\"healthy\":true}}", 0, true, "",
			"", 0, 0},
		{"{\"ok\":true}", -EINVAL, false, "", "", 0, 0},
		{"{\"ok\":true,\"failoverHints\":[]}", -EINVAL, false, "", "", 0, 0},
		{"[]", -EINVAL, false, "", "", 0, 0},
		{"{\"ok\":true,\"ok\":true,\"failoverHints\":{\"healthy\":true}}", -EINVAL, false,
			"", "", 0, 0},
		{"<html>", -EINVAL, false, "", "", 0, 0},
		{"", -EINVAL, false, "", "", 0, 0},
	};
	struct region_report report;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("%s\n", rows[i].text);
		assert_int_equal(
			region_report_read(200, rows[i].text, strlen(rows[i].text), &report),
			rows[i].result);
		if (rows[i].result < 0)
			continue;
		assert_int_equal(report.healthy, rows[i].healthy);
		assert_string_equal(report.node_id, rows[i].node_id);
		assert_string_equal(report.instance, rows[i].instance);
		assert_int_equal(report.load, rows[i].load);
		assert_int_equal(report.clock_us, rows[i].clock_us);
	}
	assert_int_equal(
		region_report_read(503, rows[0].text, strlen(rows[0].text), &report), -EINVAL);
}

/* --- numbers --- */

#define ZERO NUMBERING_ZERO_US

/* Wall time; the machine has run for an hour less what it is set back. */
static struct numbering_now at(uint64_t wall_us)
{
	return (struct numbering_now){wall_us, wall_us - ZERO + 3600 * SECOND};
}

static void test_fresh(void **state)
{
	struct numbering n;

	(void)state;
	numbering_init(&n, false);
	assert_int_equal(numbering_first_epoch(&n, at(ZERO + 5000)), 0);
	assert_int_equal(numbering_seq(&n, at(ZERO + 5000)), 0);
	assert_true(numbering_allows_epoch(&n, 0, 1e15, at(ZERO)));
	numbering_raise_epoch(&n, 7);
	numbering_raise_epoch(&n, 3);
	assert_int_equal(numbering_first_epoch(&n, at(ZERO + 5000)), 8);
	numbering_use_clock(&n);
	assert_int_equal(numbering_first_epoch(&n, at(ZERO + 5000)), 5000);
	assert_int_equal(numbering_seq(&n, at(ZERO + 5000)), 5000);
}

static void test_clock(void **state)
{
	const struct numbering_now set_back = {ZERO - 1000 * SECOND, 3600 * SECOND + 1500};
	struct numbering n;

	(void)state;
	numbering_init(&n, true);
	assert_int_equal(numbering_seq(&n, (struct numbering_now){ZERO - 1, 5}), 0);
	numbering_init(&n, true);
	assert_int_equal(numbering_seq(&n, at(ZERO + 1000)), 1000);
	// Wall time that is set back: it goes on all the same.
	assert_int_equal(numbering_seq(&n, set_back), 1500);
	assert_int_equal(numbering_first_epoch(&n, set_back), 1500);
	numbering_raise_epoch(&n, 4000);
	assert_int_equal(numbering_first_epoch(&n, at(ZERO + 2000)), 4001);
	assert_int_equal(numbering_first_epoch(&n, at(ZERO + 5000)), 5000);
	assert_int_equal(numbering_seq(&n, at(ZERO + 5000)), 5000);
	assert_true(numbering_allows_epoch(&n, 4000, 5000, at(ZERO + 5000)));
	assert_false(numbering_allows_epoch(&n, 4000, 5001, at(ZERO + 5000)));
	assert_true(numbering_allows_epoch(&n, 9000, 9001, at(ZERO + 5000)));
	assert_false(numbering_allows_epoch(&n, 9000, 9002, at(ZERO + 5000)));
}

/** What one node gave out is less than what the other does, whichever clock is ahead. */
static void test_two_clocks(void **state)
{
	static const int64_t ahead_sec[] = {0, 5, -5, 3599, -3599};

	(void)state;
	for (size_t i = 0; i < sizeof(ahead_sec) / sizeof(ahead_sec[0]); i++) {
		uint64_t wall = ZERO + 100000 * SECOND;
		uint64_t other = wall + (uint64_t)ahead_sec[i] * SECOND, given;
		struct numbering a, b;

		numbering_init(&a, true);
		numbering_init(&b, true);
		for (unsigned second = 0; second < 10; second++) {
			assert_true(numbering_heard(
				&a, numbering_clock_us(&b, at(other)), at(wall + 300)));
			assert_true(numbering_heard(
				&b, numbering_clock_us(&a, at(wall)), at(other + 300)));
			wall += SECOND;
			other += SECOND;
		}
		given = numbering_seq(&a, at(wall));
		assert_true(numbering_seq(&b, at(other + 1000)) > given);
		given = numbering_first_epoch(&b, at(other + 2000));
		assert_true(numbering_first_epoch(&a, at(wall + 3000)) > given);
	}
}

static void test_wrong_clock(void **state)
{
	struct numbering n;

	(void)state;
	numbering_init(&n, true);
	assert_true(numbering_heard(&n, ZERO + NUMBERING_AHEAD_MAX_US, at(ZERO)));
	assert_false(numbering_heard(&n, ZERO + NUMBERING_AHEAD_MAX_US + 1, at(ZERO)));
	assert_false(numbering_heard(&n, UINT64_C(9007199254740991), at(ZERO)));
	assert_int_equal(numbering_seq(&n, at(ZERO)), NUMBERING_AHEAD_MAX_US);
	assert_int_equal(numbering_seq(&n, at(ZERO + 5)), NUMBERING_AHEAD_MAX_US + 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_parse_bounds),
		cmocka_unit_test(test_health_url),
		cmocka_unit_test(test_asks),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_self),
		cmocka_unit_test(test_misses),
		cmocka_unit_test(test_flapping),
		cmocka_unit_test(test_calm),
		cmocka_unit_test(test_other_list),
		cmocka_unit_test(test_report),
		cmocka_unit_test(test_fresh),
		cmocka_unit_test(test_clock),
		cmocka_unit_test(test_two_clocks),
		cmocka_unit_test(test_wrong_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
