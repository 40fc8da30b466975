// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/proto/json_scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct row {
	const char *text;
	enum json_scan_status status;
};

static void check(const char *text, size_t len, enum json_scan_status expected)
{
	/* A copy of its own size: reading past the end is seen by the sanitizer. */
	char *copy = malloc(len);
	size_t offset = SIZE_MAX;
	enum json_scan_status status;

	if (len > 0)
		memcpy(copy, text, len);
	status = json_scan(copy, len, &offset);
	if (status != expected)
		fail_msg("%.*s: %s, not %s", (int)len, text, json_scan_name(status),
			json_scan_name(expected));
	assert_true(offset <= len);
	assert_int_equal(json_scan(copy, len, NULL), expected);
	free(copy);
}

static void check_rows(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		check(rows[i].text, strlen(rows[i].text), rows[i].status);
}

#define CHECK_ROWS(rows) check_rows(rows, sizeof(rows) / sizeof((rows)[0]))

static void test_syntax(void **state)
{
	static const struct row rows[] = {
		{"{}", JSON_SCAN_OK},
		{"[]", JSON_SCAN_OK},
		{" \t\r\n{ \"a\" : [ 1 , 2 ] , \"b\" : null } ", JSON_SCAN_OK},
		{"null", JSON_SCAN_OK},
		{"true", JSON_SCAN_OK},
		{"false", JSON_SCAN_OK},
		{"\"\"", JSON_SCAN_OK},
		{"{\"v\":1,\"type\":\"PING\",\"msgId\":\"m\",\"ts\":1.5e3,\"seq\":1,\"payload\":{}"
		 "}",
			JSON_SCAN_OK},
		{"[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"]", JSON_SCAN_OK},
		{"{\"a\":{\"a\":{\"a\":1}},\"b\":[{\"a\":1},{\"a\":1}]}", JSON_SCAN_OK},
		{"", JSON_SCAN_NOT_JSON},
		{" ", JSON_SCAN_NOT_JSON},
		{"{", JSON_SCAN_NOT_JSON},
		{"}", JSON_SCAN_NOT_JSON},
		{"[}", JSON_SCAN_NOT_JSON},
		{"{]", JSON_SCAN_NOT_JSON},
		{"[1,]", JSON_SCAN_NOT_JSON},
		{"[,1]", JSON_SCAN_NOT_JSON},
		{"[1 2]", JSON_SCAN_NOT_JSON},
		{"{\"a\":1,}", JSON_SCAN_NOT_JSON},
		{"{\"a\"}", JSON_SCAN_NOT_JSON},
		{"{\"a\":}", JSON_SCAN_NOT_JSON},
		{"{\"a\" 1}", JSON_SCAN_NOT_JSON},
		{"{a:1}", JSON_SCAN_NOT_JSON},
		{"{1:1}", JSON_SCAN_NOT_JSON},
		{"{'a':1}", JSON_SCAN_NOT_JSON},
		{"{}{}", JSON_SCAN_NOT_JSON},
		{"{} x", JSON_SCAN_NOT_JSON},
		{"{},", JSON_SCAN_NOT_JSON},
		{"[1]]", JSON_SCAN_NOT_JSON},
		{"// c\n{}", JSON_SCAN_NOT_JSON},
		{"{}/* c */", JSON_SCAN_NOT_JSON},
		{"tru", JSON_SCAN_NOT_JSON},
		{"True", JSON_SCAN_NOT_JSON},
		{"nulll", JSON_SCAN_NOT_JSON},
		{"NaN", JSON_SCAN_NOT_JSON},
		{"Infinity", JSON_SCAN_NOT_JSON},
		{"-Infinity", JSON_SCAN_NOT_JSON},
		{"\"", JSON_SCAN_NOT_JSON},
		{"\"\\", JSON_SCAN_NOT_JSON},
		{"\"\\x41\"", JSON_SCAN_NOT_JSON},
		{"\"\\u12g4\"", JSON_SCAN_NOT_JSON},
		{"\"\\u12", JSON_SCAN_NOT_JSON},
		{"\"a\nb\"", JSON_SCAN_NOT_JSON},
		{"\"a\tb\"", JSON_SCAN_NOT_JSON},
		{"\"a\x1f\"", JSON_SCAN_NOT_JSON},
		{"\"a\x7f\"", JSON_SCAN_OK}, /* DEL is no control character to RFC 8259 */
		{"\xef\xbb\xbf{}", JSON_SCAN_NOT_JSON},
		{"\f{}", JSON_SCAN_NOT_JSON},
	};

	(void)state;
	CHECK_ROWS(rows);
	check("{}\0", 3, JSON_SCAN_NOT_JSON);
	check("\"a\0b\"", 5, JSON_SCAN_NOT_JSON);
	assert_int_equal(json_scan(NULL, 0, NULL), JSON_SCAN_NOT_JSON);
}

static void test_numbers(void **state)
{
	static const struct row rows[] = {
		{"0", JSON_SCAN_OK},
		{"-0", JSON_SCAN_OK},
		{"-12.50e+10", JSON_SCAN_OK},
		{"1E5", JSON_SCAN_OK},
		{"1e-5", JSON_SCAN_OK},
		{"0.0", JSON_SCAN_OK},
		{"99999999999999999999999999", JSON_SCAN_OK},
		{"1e999", JSON_SCAN_OK},
		{"01", JSON_SCAN_NOT_JSON},
		{"-", JSON_SCAN_NOT_JSON},
		{"+1", JSON_SCAN_NOT_JSON},
		{".5", JSON_SCAN_NOT_JSON},
		{"5.", JSON_SCAN_NOT_JSON},
		{"[5.]", JSON_SCAN_NOT_JSON},
		{"1e", JSON_SCAN_NOT_JSON},
		{"1e+", JSON_SCAN_NOT_JSON},
		{"0x10", JSON_SCAN_NOT_JSON},
		{"1.2.3", JSON_SCAN_NOT_JSON},
		{"--1", JSON_SCAN_NOT_JSON},
	};

	(void)state;
	CHECK_ROWS(rows);
}

static void test_utf8(void **state)
{
	static const struct row rows[] = {
		{"\"\xc2\x80\"", JSON_SCAN_OK},
		{"\"\xdf\xbf\"", JSON_SCAN_OK},
		{"\"\xe0\xa0\x80\"", JSON_SCAN_OK},
		{"\"\xed\x9f\xbf\"", JSON_SCAN_OK},
		{"\"\xee\x80\x80\"", JSON_SCAN_OK},
		{"\"\xf0\x90\x80\x80\"", JSON_SCAN_OK},
		{"\"\xf4\x8f\xbf\xbf\"", JSON_SCAN_OK},
		{"\"\x80\"", JSON_SCAN_NOT_JSON}, /* continuation alone */
		{"\"\xc2\"", JSON_SCAN_NOT_JSON}, /* cut */
		{"\"\xc0\xaf\"", JSON_SCAN_NOT_JSON}, /* overlong '/' */
		{"\"\xc1\xbf\"", JSON_SCAN_NOT_JSON}, /* overlong */
		{"\"\xe0\x9f\xbf\"", JSON_SCAN_NOT_JSON}, /* overlong */
		{"\"\xf0\x8f\xbf\xbf\"", JSON_SCAN_NOT_JSON}, /* overlong */
		{"\"\xed\xa0\x80\"", JSON_SCAN_NOT_JSON}, /* surrogate */
		{"\"\xf4\x90\x80\x80\"", JSON_SCAN_NOT_JSON}, /* beyond U+10FFFF */
		{"\"\xf5\x80\x80\x80\"", JSON_SCAN_NOT_JSON},
		{"\"\xff\"", JSON_SCAN_NOT_JSON},
		{"\"\xe2\x82", JSON_SCAN_NOT_JSON},
		{"{\"\xc3\x28\":1}", JSON_SCAN_NOT_JSON},
	};

	(void)state;
	CHECK_ROWS(rows);
}

static void test_escapes_refused(void **state)
{
	static const struct row rows[] = {
		{"\"\\u0000\"", JSON_SCAN_NUL},
		{"{\"\\u0000\":1}", JSON_SCAN_NUL},
		{"\"\\u0001\"", JSON_SCAN_OK},
		{"\"\\\\u0000\"", JSON_SCAN_OK}, /* a backslash and u0000 */
		{"\"\\ud83d\\ude00\"", JSON_SCAN_OK},
		{"\"\\uD83D\\uDE00\"", JSON_SCAN_OK},
		{"\"\\ud83d\"", JSON_SCAN_LONE_SURROGATE},
		{"\"\\ude00\"", JSON_SCAN_LONE_SURROGATE},
		{"\"\\ude00\\ud83d\"", JSON_SCAN_LONE_SURROGATE},
		{"\"\\ud83d\\ud83d\\ude00\"", JSON_SCAN_LONE_SURROGATE},
		{"\"\\ud83dx\"", JSON_SCAN_LONE_SURROGATE},
		{"\"\\ud83d\\n\"", JSON_SCAN_LONE_SURROGATE},
		{"\"\\ud83d\\u0041\"", JSON_SCAN_LONE_SURROGATE},
		{"\"\\ud83d\\u12\"", JSON_SCAN_NOT_JSON},
		{"\"\\ud83d", JSON_SCAN_NOT_JSON},
		/* Not JSON at all comes first, wherever it is. */
		{"[\"\\u0000\"", JSON_SCAN_NOT_JSON},
		{"{\"a\":1,\"a\":2} x", JSON_SCAN_NOT_JSON},
		/* Of two refusals the first. */
		{"{\"a\":\"\\ud83d\",\"a\":2}", JSON_SCAN_LONE_SURROGATE},
		{"{\"a\":1,\"a\":\"\\ud83d\"}", JSON_SCAN_DUPLICATE_KEY},
	};

	(void)state;
	CHECK_ROWS(rows);
}

static void test_duplicate_keys(void **state)
{
	static const struct row rows[] = {
		{"{\"a\":1,\"a\":1}", JSON_SCAN_DUPLICATE_KEY},
		{"{\"a\":1,\"\\u0061\":1}", JSON_SCAN_DUPLICATE_KEY},
		{"{\"\":1,\"\":1}", JSON_SCAN_DUPLICATE_KEY},
		{"{\"/\":1,\"\\/\":1}", JSON_SCAN_DUPLICATE_KEY},
		{"{\"\xc3\xa9\":1,\"\\u00e9\":1}", JSON_SCAN_DUPLICATE_KEY},
		{"{\"\xe2\x82\xac\":1,\"\\u20AC\":1}", JSON_SCAN_DUPLICATE_KEY},
		{"{\"\xf0\x9f\x98\x80\":1,\"\\ud83d\\ude00\":1}", JSON_SCAN_DUPLICATE_KEY},
		{"{\"\\n\":1,\"\\u000a\":1}", JSON_SCAN_DUPLICATE_KEY},
		{"{\"x\":{\"a\":1,\"b\":[{\"a\":1}],\"a\":2}}", JSON_SCAN_DUPLICATE_KEY},
		{"{\"a\":{\"b\":1},\"c\":{\"b\":1},\"a\":1}", JSON_SCAN_DUPLICATE_KEY},
		{"{\"a\":1,\"A\":1,\"aa\":1,\"a \":1}", JSON_SCAN_OK},
		{"{\"a\":{\"a\":1},\"b\":{\"a\":1}}", JSON_SCAN_OK},
		{"{\"\xc3\xa9\":1,\"e\xcc\x81\":1}", JSON_SCAN_OK}, /* not normalised */
	};
	size_t offset;

	(void)state;
	CHECK_ROWS(rows);
	json_scan("{\"a\":1, \"a\":2}", 14, &offset);
	assert_int_equal(offset, 8);
}

/* An object of n members, its closing brace left out. */
static size_t open_object(char *text, size_t at, unsigned int members)
{
	text[at++] = '{';
	for (unsigned int i = 0; i < members; i++)
		at += (size_t)sprintf(text + at, "%s\"%x\":0", i > 0 ? "," : "", i);
	return at;
}

static void test_limits(void **state)
{
	static char text[65536];
	size_t len;

	(void)state;
	memset(text, '[', 64);
	memset(text + JSON_SCAN_MAX_DEPTH, ']', JSON_SCAN_MAX_DEPTH);
	check(text, 2 * JSON_SCAN_MAX_DEPTH, JSON_SCAN_OK);
	memset(text, '[', 64);
	memset(text + JSON_SCAN_MAX_DEPTH + 1, ']', JSON_SCAN_MAX_DEPTH + 1);
	check(text, 2 * JSON_SCAN_MAX_DEPTH + 2, JSON_SCAN_TOO_DEEP);
	memset(text, '[', sizeof(text));
	check(text, sizeof(text), JSON_SCAN_TOO_DEEP);

	len = open_object(text, 0, JSON_SCAN_MAX_MEMBERS);
	text[len++] = '}';
	check(text, len, JSON_SCAN_OK);
	len = open_object(text, 0, JSON_SCAN_MAX_MEMBERS + 1);
	text[len++] = '}';
	check(text, len, JSON_SCAN_TOO_MANY_MEMBERS);

	/* Objects beside each other do not add up, objects inside each other do. */
	len = 0;
	text[len++] = '[';
	for (int i = 0; i < 20; i++) {
		if (i > 0)
			text[len++] = ',';
		len = open_object(text, len, JSON_SCAN_MAX_MEMBERS);
		text[len++] = '}';
	}
	text[len++] = ']';
	check(text, len, JSON_SCAN_OK);
	len = 0;
	for (int i = 0; i < 5; i++) {
		if (i > 0)
			len += (size_t)sprintf(text + len, ",\"n\":");
		len = open_object(text, len, JSON_SCAN_MAX_MEMBERS - 1);
	}
	memset(text + len, '}', 5);
	check(text, len + 5, JSON_SCAN_TOO_MANY_MEMBERS);
}

/* Cutting a good text anywhere makes it bad, and never reads past the cut. */
static void test_cut(void **state)
{
	static const char good[]
		= "{\"a\":[1.5e-3,true,\"\xe2\x82\xac\\ud83d\\ude00\",null],\"b\":{}}";

	(void)state;
	check(good, sizeof(good) - 1, JSON_SCAN_OK);
	for (size_t len = 0; len < sizeof(good) - 1; len++)
		check(good, len, JSON_SCAN_NOT_JSON);
}

static void test_member(void **state)
{
	static const struct {
		const char *text, *value; /* "" = none */
		enum json_scan_status status;
	} rows[] = {
		{"{\"msgId\":\"m\"}", "\"m\"", JSON_SCAN_OK},
		{"{ \"msgId\" : 5.0e1 , \"a\":1}", "5.0e1", JSON_SCAN_OK},
		{"{\"msgId\":null}", "null", JSON_SCAN_OK},
		{"{\"ms\\u0067Id\":true}", "true", JSON_SCAN_OK},
		{"{\"a\":{\"msgId\":1}}", "", JSON_SCAN_OK},
		{"[{\"msgId\":1}]", "", JSON_SCAN_OK},
		{"[\"msgId\",1]", "", JSON_SCAN_OK},
		{"{\"msgId\":[1],\"a\":2}", "", JSON_SCAN_OK},
		{"{\"msgId\":{},\"a\":2}", "", JSON_SCAN_OK},
		{"{\"a\":1,\"a\":2,\"msgId\":\"m\"}", "\"m\"", JSON_SCAN_DUPLICATE_KEY},
		{"{\"msgId\":1,\"msgId\":2}", "", JSON_SCAN_DUPLICATE_KEY},
		{"{\"msgId\":1,\"msgId\":2,\"msgId\":3}", "", JSON_SCAN_DUPLICATE_KEY},
		{"{\"a\":\"\\ud800\",\"msgId\":\"m\"}", "\"m\"", JSON_SCAN_LONE_SURROGATE},
		{"{\"msgId\":\"\\ud800\"}", "", JSON_SCAN_LONE_SURROGATE},
		{"{\"msgId\":\"m\",\"a\":[[[[[[[[[[[[[[[[[", "\"m\"", JSON_SCAN_TOO_DEEP},
		{"{\"msgId\":\"m\"", "", JSON_SCAN_NOT_JSON},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct json_scan_span span;

		assert_int_equal(
			json_scan_member(rows[i].text, strlen(rows[i].text), "msgId", &span),
			rows[i].status);
		assert_int_equal(span.len, strlen(rows[i].value));
		assert_memory_equal(rows[i].text + span.offset, rows[i].value, span.len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_syntax),
		cmocka_unit_test(test_member),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_escapes_refused),
		cmocka_unit_test(test_duplicate_keys),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
