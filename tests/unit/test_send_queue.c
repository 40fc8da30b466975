// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/send_queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void add(struct send_queue *q, const char *text, bool latest)
{
	struct send_text *t = send_text_create(text, strlen(text));

	assert_non_null(t);
	assert_int_equal(send_queue_add(q, t, latest), 0);
	send_text_release(t);
}

static void expect(struct send_queue *q, size_t size, const char *frames)
{
	unsigned char out[256];
	size_t len = send_queue_gather(q, out, size);

	assert_int_equal(len, strlen(frames));
	assert_memory_equal(out, frames, len);
}

static void test_in_order_and_together(void **state)
{
	struct send_queue q;

	(void)state;
	send_queue_init(&q);
	assert_true(send_queue_empty(&q));
	assert_int_equal(send_queue_first_bytes(&q), 0);
	expect(&q, 100, "");
	add(&q, "one", false);
	add(&q, "two!", false);
	assert_int_equal(q.bytes, 7);
	expect(&q, 100, "\x81\x03one\x81\x04two!");
	assert_true(send_queue_empty(&q));
	assert_int_equal(q.bytes, 0);
}

/* Never a part of a message: what does not fit waits, and what comes after it too. */
static void test_whole_messages_only(void **state)
{
	struct send_queue q;

	(void)state;
	send_queue_init(&q);
	add(&q, "one", false);
	add(&q, "a longer one", false);
	add(&q, "x", false);
	expect(&q, 12, "");
	expect(&q, 13, "\x81\x03one");
	expect(&q, 21, "");
	expect(&q, 22,
		"\x81\x0c"
		"a longer one");
	expect(&q, 100, "\x81\x01x");
}

/* Only the last of those that replace each other is kept, where it came. */
static void test_latest(void **state)
{
	struct send_queue q;

	(void)state;
	send_queue_init(&q);
	add(&q, "s1", true);
	add(&q, "a", false);
	add(&q, "s2", true);
	add(&q, "b", false);
	assert_int_equal(q.bytes, 4);
	expect(&q, 100,
		"\x81\x01"
		"a\x81\x02s2\x81\x01"
		"b");
	// What has gone out is not taken back.
	add(&q, "s3", true);
	expect(&q, 100, "\x81\x02s3");
	add(&q, "s4", true);
	expect(&q, 100, "\x81\x02s4");
}

static void test_lengths(void **state)
{
	static const struct {
		size_t len, header;
		unsigned char octets[SEND_HEADER_BYTES];
	} rows[] = {
		{0, 2, {0x81, 0}},
		{125, 2, {0x81, 125}},
		{126, 4, {0x81, 126, 0, 126}},
		{65535, 4, {0x81, 126, 0xff, 0xff}},
		{65536, 10, {0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0}},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *octets = calloc(1, rows[i].len + 1);
		struct send_text *text = send_text_create(octets, rows[i].len);
		unsigned char *out;
		struct send_queue q;
		size_t len;

		send_queue_init(&q);
		assert_int_equal(send_queue_add(&q, text, false), 0);
		assert_int_equal(send_queue_first_bytes(&q), rows[i].len + SEND_HEADER_BYTES);
		out = malloc(send_queue_first_bytes(&q));
		len = send_queue_take(&q, out);
		assert_int_equal(len, rows[i].header + rows[i].len);
		assert_memory_equal(out, rows[i].octets, rows[i].header);
		send_text_release(text);
		free(out);
		free(octets);
	}
}

/* One copy for all; it goes with the last of them (leaks are the sanitizer's to find). */
static void test_shared(void **state)
{
	struct send_text *text = send_text_create("all", 3);
	struct send_queue q[3];

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		send_queue_init(&q[i]);
		assert_int_equal(send_queue_add(&q[i], text, false), 0);
	}
	assert_int_equal(text->users, 4);
	send_text_release(text);
	send_queue_clear(&q[0]);
	assert_int_equal(q[0].bytes, 0);
	expect(&q[1], 100,
		"\x81\x03"
		"all");
	assert_int_equal(text->users, 1);
	expect(&q[2], 100,
		"\x81\x03"
		"all");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_order_and_together),
		cmocka_unit_test(test_whole_messages_only),
		cmocka_unit_test(test_latest),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_shared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
