// SPDX-License-Identifier: BSD-3-Clause
/** Headers of proxies: whose count, and what they say. */
#include "sfu-ctl/proxy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_lists(void **state)
{
	static const struct {
		const char *list;
		bool valid;
	} rows[] = {{"", true}, {"10.0.0.1", true}, {"10.0.0.0/8,::1", true},
		{" 10.0.0.1 ,\tfd00::/8 ", true}, {"0.0.0.0/0", true}, {"::/0", true},
		{"10.0.0.0/33", false}, {"::/129", false}, {"10.0.0.0/", false},
		{"10.0.0.0/8x", false}, {"10.0.0.0/-1", false}, {"10.0.0", false}, {"proxy", false},
		{"10.0.0.1,,::1", false}, {"10.0.0.1 10.0.0.2", false}, {"10.0.0.1,", false},
		{",", false}, {"10.0.0.0/0008", false}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("\"%s\"\n", rows[i].list);
		assert_int_equal(proxy_list_valid(rows[i].list), rows[i].valid);
	}
}

static void test_clients(void **state)
{
	static const struct {
		const char *what, *peer, *forwarded_for, *proto, *trusted, *address;
		bool tls, secure;
	} rows[] = {
		{"nobody between", "192.0.2.7", "", "", "", "192.0.2.7", false, false},
		{"with TLS", "192.0.2.7", "", "", "", "192.0.2.7", true, true},
		{"IPv4 in IPv6 form", "::ffff:192.0.2.7", "", "", "", "192.0.2.7", false, false},
		{"proto without a list", "192.0.2.7", "", "https", "", "192.0.2.7", false, true},
		{"for without a list", "192.0.2.7", "198.51.100.1", "", "", "192.0.2.7", false,
			false},
		{"our proxy", "10.0.0.1", "198.51.100.1", "https", "10.0.0.0/8", "198.51.100.1",
			false, true},
		{"our proxy in IPv6 form", "::ffff:10.0.0.1", "198.51.100.1", "wss", "10.0.0.1",
			"198.51.100.1", false, true},
		{"somebody else's", "192.0.2.7", "198.51.100.1", "https", "10.0.0.0/8", "192.0.2.7",
			false, false},
		{"what the client put before", "10.0.0.1", "1.1.1.1, 198.51.100.1", "https, http",
			"10.0.0.0/8", "198.51.100.1", false, false},
		{"two of ours", "10.0.0.1", "1.1.1.1,198.51.100.1 , 10.9.9.9", "HTTPS",
			"10.0.0.0/8", "198.51.100.1", false, true},
		{"only ours", "10.0.0.1", "10.0.0.2", "http", "10.0.0.0/8", "10.0.0.2", false,
			false},
		{"not an address", "10.0.0.1", "1.1.1.1, unknown", "", "10.0.0.0/8", "10.0.0.1",
			false, false},
		{"empty entries", "10.0.0.1", ",,", ",", "10.0.0.0/8", "10.0.0.1", false, false},
		{"IPv6", "fd00::1", "2001:db8::5", "https", "fd00::/8", "2001:db8::5", false, true},
		{"with a port", "10.0.0.1", "198.51.100.1:443", "", "10.0.0.0/8", "10.0.0.1", false,
			false},
		{"odd number of bits", "10.15.255.255", "198.51.100.1", "", "10.0.0.0/12",
			"198.51.100.1", false, false},
		{"just outside", "10.16.0.0", "198.51.100.1", "", "10.0.0.0/12", "10.16.0.0", false,
			false},
		{"no bits: everybody", "10.16.0.0", "198.51.100.1", "", "0.0.0.0/0", "198.51.100.1",
			false, false},
		{"a name for a peer", "unix", "198.51.100.1", "https", "10.0.0.0/8", "unix", false,
			false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct proxy_client client;

		print_message("%s\n", rows[i].what);
		proxy_resolve(rows[i].peer, rows[i].tls, rows[i].forwarded_for, rows[i].proto,
			rows[i].trusted, &client);
		assert_string_equal(client.address, rows[i].address);
		assert_int_equal(client.secure, rows[i].secure);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_clients),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
