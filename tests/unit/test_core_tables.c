// SPDX-License-Identifier: BSD-3-Clause
/* Hash tables and the memory of seqs. */
#include "sfu-ctl/address.h"
#include "sfu-ctl/device_rate.h"
#include "sfu-ctl/seq_memory.h"
#include "sfu-ctl/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ITEMS 5000

static const uint8_t hash_key[16] = "0123456789abcdef";

struct item {
	struct table_node node;
	char key[16];
};

static void test_table(void **state)
{
	struct item *items = calloc(ITEMS, sizeof(*items));
	struct item twin = {.key = "item-7"};
	struct table t;

	(void)state;
	table_init(&t, hash_key);
	assert_null(table_find(&t, "item-7", 6));
	for (size_t i = 0; i < ITEMS; i++) {
		snprintf(items[i].key, sizeof(items[i].key), "item-%zu", i);
		assert_int_equal(
			table_add(&t, &items[i].node, items[i].key, strlen(items[i].key)), 0);
	}
	assert_int_equal(t.count, ITEMS);
	assert_true(t.bucket_count >= ITEMS);
	assert_int_equal(table_add(&t, &twin.node, twin.key, 6), -EEXIST);
	for (size_t i = 0; i < ITEMS; i += 2)
		table_remove(&t, &items[i].node);
	for (size_t i = 0; i < ITEMS; i++) {
		struct table_node *node = table_find(&t, items[i].key, strlen(items[i].key));

		assert_ptr_equal(node, i % 2 == 0 ? NULL : &items[i].node);
	}
	assert_null(table_find(&t, "item-", 5)); // a prefix is another key
	table_fini(&t);
	free(items);
}

static void test_seq_memory(void **state)
{
	struct seq_memory m;
	struct seq_entry *a, *again, *b;

	(void)state;
	seq_memory_init(&m, hash_key);
	assert_int_equal(seq_memory_last(&m, "a", 0), 0);
	a = seq_memory_bind(&m, "a", 0);
	a->last = 17;
	again = seq_memory_bind(&m, "a", 0);
	assert_ptr_equal(a, again); // two connections of one device
	seq_memory_release(&m, a, 0);
	assert_int_equal(m.idle_count, 0);
	// While one is there it is kept for ever.
	assert_int_equal(seq_memory_last(&m, "a", 10 * SEQ_MEMORY_KEEP_US), 17);
	seq_memory_release(&m, again, 0);
	assert_int_equal(seq_memory_last(&m, "a", SEQ_MEMORY_KEEP_US - 1), 17);
	assert_int_equal(seq_memory_last(&m, "a", SEQ_MEMORY_KEEP_US), 0);
	assert_int_equal(m.by_device.count, 0);
	b = seq_memory_bind(&m, "b", 0);
	seq_memory_release(&m, b, 0);
	assert_ptr_equal(b, seq_memory_bind(&m, "b", 1)); // back in time
	seq_memory_release(&m, b, 1);
	seq_memory_release(&m, NULL, 1);
	seq_memory_fini(&m);
}

static void test_seq_memory_is_bounded(void **state)
{
	struct seq_memory m;
	char name[16];

	(void)state;
	seq_memory_init(&m, hash_key);
	for (unsigned i = 0; i < SEQ_MEMORY_IDLE + 5; i++) {
		struct seq_entry *e;

		snprintf(name, sizeof(name), "dev-%u", i);
		e = seq_memory_bind(&m, name, i);
		e->last = i + 1;
		seq_memory_release(&m, e, i);
	}
	assert_int_equal(m.by_device.count, SEQ_MEMORY_IDLE);
	assert_int_equal(seq_memory_last(&m, "dev-4", 0), 0); // the oldest went
	assert_int_equal(seq_memory_last(&m, "dev-5", 0), 6);
	seq_memory_fini(&m);
}

static void test_device_rate(void **state)
{
	struct device_rates d;

	(void)state;
	device_rates_init(&d, hash_key);
	assert_true(device_rate_allows(&d, 2, "ann", "phone", 5));
	assert_true(device_rate_allows(&d, 2, "ann", "phone", 6));
	assert_false(device_rate_allows(&d, 2, "ann", "phone", 7));
	assert_true(device_rate_allows(&d, 2, "ann", "desk", 7));
	assert_true(device_rate_allows(&d, 2, "bob", "phone", 7));
	assert_true(device_rate_allows(&d, 2, "annp", "hone", 7)); // not the same key
	assert_false(device_rate_allows(&d, 2, "ann", "phone", DEVICE_RATE_WINDOW_US + 4));
	assert_true(device_rate_allows(&d, 2, "ann", "phone", DEVICE_RATE_WINDOW_US + 5));
	assert_int_equal(d.by_key.count, 4);
	assert_true(device_rate_allows(&d, 2, "cem", "phone", 3 * DEVICE_RATE_WINDOW_US));
	assert_int_equal(d.by_key.count, 1);
	device_rates_fini(&d);
}

static void test_device_rate_is_bounded(void **state)
{
	struct device_rates d;
	char device[16];

	(void)state;
	device_rates_init(&d, hash_key);
	for (unsigned i = 0; i < DEVICE_RATE_MAX + 5; i++) {
		snprintf(device, sizeof(device), "%u", i);
		assert_true(device_rate_allows(&d, 1, "ann", device, 1));
	}
	assert_int_equal(d.by_key.count, DEVICE_RATE_MAX);
	assert_true(device_rate_allows(&d, 1, "ann", "0", 1)); // forgotten
	assert_false(device_rate_allows(&d, 1, "ann", "10", 1));
	device_rates_fini(&d);
}

static void test_addresses(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} rows[] = {
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"192.0.2.1", "::ffff:192.0.2.1", true},
		{"::ffff:192.0.2.1", "::ffff:192.0.2.2", false},
		{"2001:db8::1", "2001:db8::ffff:1", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
		{"nonsense", "", true},
	};
	struct table t;

	(void)state;
	table_init(&t, hash_key);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct address *a = address_add(&t, rows[i].a);
		struct address *b = address_add(&t, rows[i].b);

		if ((a == b) != rows[i].same)
			fail_msg("%s, %s", rows[i].a, rows[i].b);
		assert_int_equal(a->connections, rows[i].same ? 2 : 1);
		address_remove(&t, a);
		address_remove(&t, b);
		assert_int_equal(t.count, 0);
	}
	address_remove(&t, NULL);
	table_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_seq_memory),
		cmocka_unit_test(test_seq_memory_is_bounded),
		cmocka_unit_test(test_device_rate),
		cmocka_unit_test(test_device_rate_is_bounded),
		cmocka_unit_test(test_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
