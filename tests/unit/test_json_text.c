// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/json_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void expect(const struct json_text *t, const char *expected)
{
	assert_false(t->failed);
	assert_int_equal(t->len, strlen(expected));
	assert_memory_equal(t->text, expected, t->len);
}

static void test_numbers(void **state)
{
	struct json_text t = {0};

	(void)state;
	json_text_begin(&t);
	json_text_number(&t, 0);
	json_text_literal(&t, ",");
	json_text_number(&t, 1700000000000);
	json_text_literal(&t, ",");
	json_text_number(&t, UINT64_MAX);
	expect(&t, "0,1700000000000,18446744073709551615");
	json_text_fini(&t);
}

/* json-c is the oracle: each octet alone, and all of them in a row. */
static void test_strings(void **state)
{
	struct json_text t = {0};
	char all[127];

	(void)state;
	for (unsigned len = 1; len <= sizeof(all); len += sizeof(all) - 1) {
		for (unsigned first = 1; first + len <= 128; first++) {
			struct json_object *string;

			for (unsigned i = 0; i < len; i++)
				all[i] = (char)(first + i);
			string = json_object_new_string_len(all, (int)len);
			json_text_begin(&t);
			json_text_string(&t, all, len);
			expect(&t,
				json_object_to_json_string_ext(string,
					JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
			json_text_begin(&t);
			json_text_value(&t, string);
			expect(&t,
				json_object_to_json_string_ext(string,
					JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
			json_object_put(string);
		}
	}
	json_text_begin(&t);
	json_text_string(&t, "", 0);
	json_text_string(&t, "Z\xc3\xbcrich", 7);
	expect(&t, "\"\"\"Z\xc3\xbcrich\"");
	json_text_fini(&t);
}

static void test_values(void **state)
{
	static const char text[] = "{\"a\":[1,2.5,null,true],\"b\":{\"c\":\"d/e\"}}";
	struct json_object *value = json_tokener_parse(text);
	struct json_text t = {0};

	(void)state;
	json_text_begin(&t);
	json_text_value(&t, value);
	expect(&t, text);
	json_text_begin(&t);
	json_text_value(&t, NULL);
	expect(&t, "null");
	json_object_put(value);
	json_text_fini(&t);
}

static void test_like_json_c(void **state)
{
	static const char *const texts[] = {
		"{}",
		"[]",
		"[[],{},[{}]]",
		"{\"a\":{},\"b\":[],\"c\":{\"d\":[{\"e\":null}]}}",
		"[-1,-9223372036854775808,9223372036854775807,18446744073709551615,0]",
		"[1.5,-0.25,1e300,true,false,null]",
		"{\"q\\\"\\u0001\":\"\\\\/\\n\"}",
		"[[[[[[[[[[[[[[[[[[[[[[[[[[1,[2]],{\"x\":3}]]]]]]]]]]]]]]]]]]]]]]]]]",
	};
	struct json_text t = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct json_object *value = json_tokener_parse(texts[i]);

		assert_non_null(value);
		json_text_begin(&t);
		json_text_value(&t, value);
		expect(&t, json_object_to_json_string_ext(
				   value, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
		json_object_put(value);
	}
	json_text_fini(&t);
}

/* It grows by need, and does not keep for ever what one long text needed. */
static void test_growth(void **state)
{
	static char long_text[100000];
	struct json_text t = {0};

	(void)state;
	memset(long_text, 'x', sizeof(long_text));
	json_text_begin(&t);
	for (unsigned i = 0; i < 3; i++)
		json_text_raw(&t, long_text, sizeof(long_text));
	assert_int_equal(t.len, 3 * sizeof(long_text));
	assert_memory_equal(t.text + sizeof(long_text), long_text, sizeof(long_text));
	json_text_begin(&t);
	assert_int_equal(t.len, 0);
	assert_int_equal(t.size, 0);
	json_text_literal(&t, "{}");
	expect(&t, "{}");
	json_text_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_like_json_c),
		cmocka_unit_test(test_growth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
