// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/proto/json_scan.h"
#include "sfu-ctl/proto/plain_frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A copy of its own size: reading past the end is seen by the sanitizer. */
static char *copy_of(const char *text, size_t len)
{
	char *copy = malloc(len > 0 ? len : 1);

	memcpy(copy, text, len);
	return copy;
}

/* "type msgId payload v ts seq", "-" when it is not plain. */
static void check(const char *text, const char *expected)
{
	size_t len = strlen(text);
	char *copy = copy_of(text, len), got[256] = "-";
	struct plain_frame f;

	if (plain_frame_read(copy, len, &f)) {
		snprintf(got, sizeof(got), "%.*s %.*s %.*s %.0f %.0f %.0f", (int)f.type.len,
			f.type.at, (int)f.msg_id.len, f.msg_id.at, (int)f.payload.len,
			f.payload.len > 0 ? f.payload.at : "", f.v, f.ts, f.seq);
		assert_int_equal(json_scan(copy, len, NULL), JSON_SCAN_OK);
	}
	if (strcmp(got, expected) != 0)
		fail_msg("%s: %s, not %s", text, got, expected);
	free(copy);
}

#define HEAD "{\"v\":1,\"type\":\"PING\",\"msgId\":\"m\",\"ts\":5,\"seq\":7"

static void test_plain(void **state)
{
	(void)state;
	check(HEAD ",\"payload\":{}}", "PING m {} 1 5 7");
	check(HEAD "}", "PING m  1 5 7");
	check("{\"payload\":{},\"seq\":7,\"ts\":5,\"msgId\":\"m\",\"type\":\"PING\",\"v\":1}",
		"PING m {} 1 5 7");
	check(" {\t\"v\" : 1 ,\n\"type\":\"A B\", \"msgId\": "
	      "\"\",\r\"ts\":0,\"seq\":999999999999999 } ",
		"A B   1 0 999999999999999");
	check(HEAD ",\"payload\": {\"a\":[1,{\"b\":\"}\\\"\xc3\xa4\"}]} }",
		"PING m {\"a\":[1,{\"b\":\"}\\\"\xc3\xa4\"}]} 1 5 7");
	check("{\"v\":2,\"type\":\"\",\"msgId\":\"~ !\",\"ts\":1,\"seq\":0}", " ~ !  2 1 0");
}

static void test_not_plain(void **state)
{
	static const char *const texts[] = {
		"",
		" ",
		"{",
		"{}",
		"[]",
		"1",
		HEAD,
		HEAD ",}",
		HEAD "}x",
		HEAD "}}",
		HEAD " \"payload\":{}}",
		HEAD ",\"payload\":{}",
		HEAD ",\"payload\":{},\"payload\":{}}",
		HEAD ",\"payload\":[]}",
		HEAD ",\"payload\":null}",
		HEAD ",\"payload\":1}",
		HEAD ",\"payload\":{\"a\":1,\"a\":2}}",
		HEAD ",\"payload\":{\"a\":\"\\u0000\"}}",
		HEAD ",\"payload\":{\"a\":\"\\ud800\"}}",
		HEAD ",\"payload\":{\"a\":}}",
		HEAD ",\"payload\":{\"a\":01}}",
		HEAD ",\"payload\":{\"a\":\"\xff\"}}",
		HEAD ",\"payload\":{]}",
		HEAD ",\"trace\":{}}",
		HEAD ",\"ack\":{}}",
		HEAD ",\"v\":1}",
		HEAD ",\"\":1}",
		HEAD ",\"\\u0061ck\":1}",
		HEAD ".0}",
		HEAD "e1}",
		HEAD "0000000000000000}",
		"{\"v\":1,\"type\":\"PING\",\"msgId\":\"m\",\"ts\":5,\"seq\":07}",
		"{\"v\":1,\"type\":\"PING\",\"msgId\":\"m\",\"ts\":5,\"seq\":-7}",
		"{\"v\":1,\"type\":\"PING\",\"msgId\":\"m\",\"ts\":5,\"seq\":\"7\"}",
		"{\"v\":1,\"type\":\"PING\",\"msgId\":\"m\",\"ts\":5}",
		"{\"v\":1,\"type\":\"PING\",\"msgId\":5,\"ts\":5,\"seq\":7}",
		"{\"v\":1,\"type\":\"PI\\u004eG\",\"msgId\":\"m\",\"ts\":5,\"seq\":7}",
		"{\"v\":1,\"type\":\"PING\",\"msgId\":\"\xc3\xa4\",\"ts\":5,\"seq\":7}",
		"{\"v\":1,\"type\":\"PING\",\"msgId\":\"a\nb\",\"ts\":5,\"seq\":7}",
		"{\"v\":1,\"type\":\"PING\",\"msgId\":\"m,\"ts\":5,\"seq\":7}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		check(texts[i], "-");
}

/* Each octet of a frame changed, and each beginning of it: what is plain is JSON that we take. */
static void test_damaged(void **state)
{
	static const char text[] = HEAD " , \"payload\":{\"a\":[1.5,true,\"x\\n\"],\"b\":{}}}";
	size_t len = sizeof(text) - 1;
	struct plain_frame f;

	(void)state;
	for (size_t at = 0; at < len; at++) {
		char *copy = copy_of(text, at);

		assert_false(plain_frame_read(copy, at, &f));
		free(copy);
		copy = copy_of(text, len);
		for (unsigned octet = 0; octet < 256; octet++) {
			copy[at] = (char)octet;
			if (plain_frame_read(copy, len, &f))
				assert_int_equal(json_scan(copy, len, NULL), JSON_SCAN_OK);
		}
		free(copy);
	}
}

/* The limits are those of the whole text. */
static void test_limits(void **state)
{
	char text[8192];

	(void)state;
	for (unsigned depth = 1; depth < 20; depth++) {
		size_t len = (size_t)sprintf(text, HEAD ",\"payload\":{\"a\":");
		struct plain_frame f;

		for (unsigned i = 2; i < depth; i++)
			text[len++] = '[';
		for (unsigned i = 2; i < depth; i++)
			text[len++] = ']';
		if (depth <= 2)
			text[len++] = '1';
		len += (size_t)sprintf(text + len, "}}");
		assert_int_equal(plain_frame_read(text, len, &f),
			json_scan(text, len, NULL) == JSON_SCAN_OK);
	}
	// Nested objects with many members: how many may be open together.
	for (unsigned last = 120; last < 129; last++) {
		size_t len = (size_t)sprintf(text, HEAD ",\"payload\":");
		struct plain_frame f;

		for (unsigned level = 0; level < 4; level++) {
			text[len++] = '{';
			for (unsigned i = 0; i < (level < 3 ? 127 : last); i++)
				len += (size_t)sprintf(text + len, "\"%u\":0,", i);
			len += (size_t)sprintf(text + len, "\"x\":");
		}
		len += (size_t)sprintf(text + len, "0}}}}}");
		assert_true(len < sizeof(text));
		assert_int_equal(plain_frame_read(text, len, &f),
			json_scan(text, len, NULL) == JSON_SCAN_OK);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_not_plain),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
