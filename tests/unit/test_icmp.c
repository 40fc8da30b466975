// SPDX-License-Identifier: BSD-3-Clause
/* proto/icmp.c and proto/inet_sum.c: octets written out by hand, and every way to cut them. */
#include "sfu-dp/proto/icmp.h"
#include "sfu-dp/proto/inet_sum.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A solicitation for fd00::2 as Linux sends it: target, then the source's link-layer address. */
static const uint8_t solicit[32]
	= {135, 0, 0x12, 0x34, 0, 0, 0, 0, 0xfd, [23] = 2, 1, 1, 2, 0, 0, 0, 0, 9};

static void a_solicitation_is_read(void **state)
{
	static const uint8_t target[16] = {0xfd, [15] = 2}, mac[6] = {2, 0, 0, 0, 0, 9};
	struct icmp6_solicit s;

	(void)state;
	assert_int_equal(icmp6_solicit_parse(solicit, 32, &s), ICMP_OK);
	assert_memory_equal(s.target, target, 16);
	assert_true(s.has_source_mac);
	assert_memory_equal(s.source_mac, mac, 6);
	// A probe for a duplicate address has no option.
	assert_int_equal(icmp6_solicit_parse(solicit, 24, &s), ICMP_OK);
	assert_false(s.has_source_mac);
}

static void what_contradicts_a_solicitation_is_refused(void **state)
{
	static const struct {
		const char *what;
		unsigned at, value;
		enum icmp_status want;
	} rows[] = {
		{"another type", 0, 136, ICMP_OTHER},
		{"a code", 1, 1, ICMP_MALFORMED},
		{"a group as target", 8, 0xff, ICMP_MALFORMED},
		{"an option of no length", 25, 0, ICMP_MALFORMED},
		{"an option longer than the message", 25, 2, ICMP_MALFORMED},
		{"a group's MAC as the source", 26, 3, ICMP_MALFORMED},
		{"an unknown option is passed over", 24, 14, ICMP_OK},
	};
	struct icmp6_solicit s;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t buf[32];

		memcpy(buf, solicit, 32);
		buf[rows[i].at] = (uint8_t)rows[i].value;
		if (icmp6_solicit_parse(buf, 32, &s) != rows[i].want)
			fail_msg("%s", rows[i].what);
	}
	for (size_t len = 0; len < 32; len++) {
		uint8_t *exact = malloc(len ? len : 1);

		memcpy(exact, solicit, len);
		if (len != 24)
			assert_int_equal(icmp6_solicit_parse(exact, len, &s), ICMP_MALFORMED);
		free(exact);
	}
}

static void an_advertisement_is_written(void **state)
{
	static const uint8_t target[16] = {0xfd, [15] = 2}, mac[6] = {2, 1, 1, 1, 1, 1};
	static const uint8_t want[32]
		= {136, 0, 0, 0, 0x60, 0, 0, 0, 0xfd, [23] = 2, 2, 1, 2, 1, 1, 1, 1, 1};
	uint8_t out[ICMP6_ADVERT_LEN];

	(void)state;
	memset(out, 0xee, sizeof(out));
	for (size_t cap = 0; cap < 32; cap++)
		assert_int_equal(icmp6_advert_encode(out, cap, target, mac, true), 0);
	assert_int_equal(icmp6_advert_encode(out, 32, target, mac, true), 32);
	assert_memory_equal(out, want, 32);
	assert_int_equal(icmp6_advert_encode(out, 32, target, mac, false), 32);
	assert_int_equal(out[4], 0x20);
}

/* ICMPv6 "too big" of 1400, about 1452 octets from [fd00::2]:40000 to [fd00::1]:5004. */
static size_t too_big6(uint8_t out[64])
{
	memset(out, 0, 64);
	out[0] = 2;
	out[6] = 1400 >> 8;
	out[7] = 1400 & 0xff;
	out[8] = 0x60;
	out[12] = 1412 >> 8;
	out[13] = 1412 & 0xff;
	out[14] = 17;
	out[15] = 63;
	out[16] = 0xfd;
	out[31] = 2;
	out[32] = 0xfd;
	out[47] = 1;
	out[48] = 40000 >> 8;
	out[49] = 40000 & 0xff;
	out[50] = 5004 >> 8;
	out[51] = 5004 & 0xff;
	return 52;
}

static size_t too_big4(uint8_t out[64])
{
	memset(out, 0, 64);
	out[0] = 3;
	out[1] = 4;
	out[6] = 1400 >> 8;
	out[7] = 1400 & 0xff;
	out[8] = 0x45;
	out[10] = 1452 >> 8;
	out[11] = 1452 & 0xff;
	out[14] = 0x40;
	out[16] = 63;
	out[17] = 17;
	memcpy(out + 20, (const uint8_t[]){198, 18, 99, 2, 198, 18, 99, 1}, 8);
	out[28] = 40000 >> 8;
	out[29] = 40000 & 0xff;
	out[30] = 5004 >> 8;
	out[31] = 5004 & 0xff;
	return 32;
}

static void too_big_is_read(void **state)
{
	static const uint8_t from6[16] = {0xfd, [15] = 2}, to6[16] = {0xfd, [15] = 1};
	static const uint8_t from4[16] = {[10] = 0xff, 0xff, 198, 18, 99, 2};
	static const uint8_t to4[16] = {[10] = 0xff, 0xff, 198, 18, 99, 1};
	static const uint8_t ports[4] = {40000 >> 8, 40000 & 0xff, 5004 >> 8, 5004 & 0xff};

	(void)state;
	for (int version = 4; version <= 6; version += 2) {
		struct icmp_too_big t;
		uint8_t buf[64];
		size_t len = version == 4 ? too_big4(buf) : too_big6(buf);

		assert_int_equal(version == 4 ? icmp4_too_big_parse(buf, len, &t)
					      : icmp6_too_big_parse(buf, len, &t),
			ICMP_OK);
		assert_int_equal(t.mtu, 1400);
		assert_int_equal(t.quoted_len, 1452);
		assert_memory_equal(t.local, version == 4 ? from4 : from6, 16);
		assert_memory_equal(t.remote, version == 4 ? to4 : to6, 16);
		assert_memory_equal(&t.local_port_be16, ports, 2);
		assert_memory_equal(&t.remote_port_be16, ports + 2, 2);
		for (size_t cut = 0; cut < len; cut++) {
			uint8_t *exact = malloc(cut ? cut : 1);

			memcpy(exact, buf, cut);
			assert_int_equal(version == 4 ? icmp4_too_big_parse(exact, cut, &t)
						      : icmp6_too_big_parse(exact, cut, &t),
				ICMP_MALFORMED);
			free(exact);
		}
	}
}

static void what_is_not_about_our_datagrams_is_told_apart(void **state)
{
	static const struct {
		int version;
		unsigned at, value;
		enum icmp_status want;
	} rows[] = {
		{4, 0, 11, ICMP_OTHER}, /* time exceeded */
		{4, 1, 3, ICMP_OTHER}, /* port unreachable */
		{4, 8, 0x46, ICMP_MALFORMED}, /* options, which we do not send */
		{4, 14, 0x20, ICMP_MALFORMED}, /* a fragment, neither */
		{4, 17, 6, ICMP_OTHER}, /* TCP */
		{6, 0, 1, ICMP_OTHER},
		{6, 8, 0x40, ICMP_MALFORMED},
		{6, 14, 6, ICMP_OTHER},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct icmp_too_big t;
		uint8_t buf[64];
		size_t len = rows[i].version == 4 ? too_big4(buf) : too_big6(buf);

		buf[rows[i].at] = (uint8_t)rows[i].value;
		if ((rows[i].version == 4 ? icmp4_too_big_parse(buf, len, &t)
					  : icmp6_too_big_parse(buf, len, &t))
			!= rows[i].want)
			fail_msg("row %zu", i);
	}
}

/* RFC 1071, 3. */
static void the_sum_is_that_of_the_rfc(void **state)
{
	static const uint8_t octets[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
	static const uint8_t want[] = {0xdd, 0xf2};
	uint16_t sum = inet_fold(inet_sum(octets, sizeof(octets)));

	(void)state;
	assert_memory_equal(&sum, want, 2);
}

static uint16_t sum_by_words(const uint8_t *p, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static void every_way_to_sum_is_the_same(void **state)
{
	static uint8_t octets[2048];
	uint32_t dice = 1;

	(void)state;
	for (unsigned round = 0; round < 4000; round++) {
		size_t from = round % 16, len = round % 1600;
		uint16_t want, fast, plain, parts;

		for (size_t i = 0; i < sizeof(octets); i++) {
			dice = dice * 1664525 + 1013904223;
			octets[i] = round % 8 ? (uint8_t)(dice >> 24) : 0xff;
		}
		want = sum_by_words(octets + from, len);
		fast = inet_fold(inet_sum(octets + from, len));
		plain = inet_fold(inet_sum_plain(octets + from, len));
		parts = inet_fold(inet_sum(octets + from, len / 4 * 2)
				  + inet_sum(octets + from + len / 4 * 2, len - len / 4 * 2));
		assert_int_equal(fast, plain);
		assert_int_equal(fast, parts);
		assert_int_equal((uint16_t)(fast << 8 | fast >> 8), want);
	}
	assert_int_equal(inet_fold(inet_sum_u16(0x1234)),
		inet_fold(inet_sum((const uint8_t[]){0x12, 0x34}, 2)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_solicitation_is_read),
		cmocka_unit_test(what_contradicts_a_solicitation_is_refused),
		cmocka_unit_test(an_advertisement_is_written),
		cmocka_unit_test(too_big_is_read),
		cmocka_unit_test(what_is_not_about_our_datagrams_is_told_apart),
		cmocka_unit_test(the_sum_is_that_of_the_rfc),
		cmocka_unit_test(every_way_to_sum_is_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
