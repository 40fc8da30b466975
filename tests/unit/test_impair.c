// SPDX-License-Identifier: BSD-3-Clause
// The bad network of the tests must be exactly as bad as it is told to be.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "sfu-dp/proto/inet_sum.h"
#include "tests/support/frame.h"
#include "tests/support/impair.h"
#include "tests/support/nat.h"

#define MANY 100000u
#define LEN 1000u

/** What became of many packets, one each millisecond. */
struct tally {
	unsigned fates[IMPAIR_FATES];
	unsigned late, duplicated, flipped;
	unsigned longest_run; // of losses
	uint64_t delay_least, delay_most; // of those in order
	unsigned overtaken; // departures before an earlier packet's
};

static void begin(struct impair *i, uint64_t seed, const char *text)
{
	struct impair_settings settings;

	assert_null(impair_parse(text, &settings));
	impair_init(i, seed);
	impair_set(i, &settings);
}

static void feed(struct impair *i, unsigned count, struct tally *t)
{
	uint64_t last_at = 0;
	unsigned run = 0;

	memset(t, 0, sizeof(*t));
	t->delay_least = UINT64_MAX;
	for (unsigned n = 0; n < count; n++) {
		uint64_t now = (n + 1) * 1000ull;
		struct impair_verdict v;

		impair_packet(i, LEN, now, &v);
		t->fates[v.fate]++;
		run = v.fate == IMPAIR_LOST ? run + 1 : 0;
		t->longest_run = run > t->longest_run ? run : t->longest_run;
		if (!v.copies)
			continue;
		t->late += v.is_late;
		t->duplicated += v.copies - 1;
		t->flipped += v.is_flipped;
		t->overtaken += v.at_us[0] < last_at;
		last_at = v.at_us[0];
		if (v.is_late)
			continue;
		t->delay_least
			= v.at_us[0] - now < t->delay_least ? v.at_us[0] - now : t->delay_least;
		t->delay_most = v.at_us[0] - now > t->delay_most ? v.at_us[0] - now : t->delay_most;
	}
}

static void assert_share(unsigned count, unsigned of, double share, double slack)
{
	double seen = (double)count / of;

	assert_true(seen > share - slack && seen < share + slack);
}

static void test_nothing(void **state)
{
	struct impair i;
	struct tally t;

	(void)state;
	begin(&i, 1, "none");
	feed(&i, MANY, &t);
	assert_int_equal(t.fates[IMPAIR_PASSED], MANY);
	assert_int_equal(t.late + t.duplicated + t.flipped + t.overtaken, 0);
	assert_int_equal(t.delay_most, 0);
}

static void test_uniform_loss(void **state)
{
	struct impair i;
	struct tally t;

	(void)state;
	begin(&i, 7, "loss=5%");
	feed(&i, MANY, &t);
	assert_share(t.fates[IMPAIR_LOST], MANY, 0.05, 0.003);
	// With a chance of 1 in 20 six in a row are improbable enough over this many, ten are not seen.
	assert_true(t.longest_run >= 2 && t.longest_run < 10);
}

static void test_bursts(void **state)
{
	struct impair i;
	struct tally t;

	(void)state;
	// In the bad state for 1/(1+19) of the time, five packets on average.
	begin(&i, 7, "burst=1.052632%/20%");
	feed(&i, MANY, &t);
	assert_share(t.fates[IMPAIR_LOST], MANY, 0.05, 0.006);
	assert_true(t.longest_run > 15);
	begin(&i, 7, "burst=10%/10%/50%");
	feed(&i, MANY, &t);
	assert_share(t.fates[IMPAIR_LOST], MANY, 0.25, 0.01);
}

static void test_same_seed_same_fates(void **state)
{
	const char *text = "loss=3%,jitter=5ms,reorder=10%/50ms,dup=5%,flip=0.1%";
	struct impair a, b, c;
	unsigned differ = 0;

	(void)state;
	begin(&a, 42, text);
	begin(&b, 42, text);
	begin(&c, 43, text);
	for (unsigned n = 0; n < 1000; n++) {
		struct impair_verdict va, vb, vc;

		impair_packet(&a, LEN, n, &va);
		impair_packet(&b, LEN, n, &vb);
		impair_packet(&c, LEN, n, &vc);
		assert_memory_equal(&va, &vb, sizeof(va));
		differ += va.fate != vc.fate;
	}
	assert_true(differ > 20);
}

static void test_one_decision_does_not_shift_another(void **state)
{
	struct impair a, b;

	(void)state;
	begin(&a, 42, "loss=3%");
	begin(&b, 42, "loss=3%,dup=50%,reorder=30%/10ms,jitter=3ms");
	for (unsigned n = 0; n < 1000; n++) {
		struct impair_verdict va, vb;

		impair_packet(&a, LEN, n, &va);
		impair_packet(&b, LEN, n, &vb);
		assert_int_equal(va.fate, vb.fate);
	}
}

static void test_delay_and_jitter_keep_order(void **state)
{
	struct impair i;
	struct tally t;

	(void)state;
	begin(&i, 3, "delay=25ms,jitter=10ms");
	feed(&i, MANY, &t);
	assert_int_equal(t.overtaken, 0);
	assert_true(t.delay_least >= 25000 && t.delay_least < 26000);
	assert_true(t.delay_most > 34000 && t.delay_most <= 35000);
}

static void test_reorder(void **state)
{
	struct impair i;
	struct tally t;

	(void)state;
	begin(&i, 3, "delay=25ms,reorder=10%/50ms");
	feed(&i, MANY, &t);
	assert_share(t.late, MANY, 0.10, 0.004);
	assert_true(t.overtaken > MANY * 8 / 100);
	assert_int_equal(t.delay_most, 25000);
}

static void test_duplicates_and_flips(void **state)
{
	struct impair i;
	struct tally t;

	(void)state;
	begin(&i, 3, "dup=5%,flip=0.1%");
	feed(&i, MANY, &t);
	assert_share(t.duplicated, MANY, 0.05, 0.003);
	assert_share(t.flipped, MANY, 0.001, 0.0004);
}

static void test_rate(void **state)
{
	struct impair_verdict v;
	struct impair i;
	struct tally t;

	(void)state;
	// 1000 octets are 16 ms of 500 kbit/s.
	begin(&i, 3, "rate=500k,queue=40ms");
	impair_packet(&i, LEN, 1000, &v);
	assert_int_equal(v.at_us[0], 17000);
	impair_packet(&i, LEN, 1000, &v);
	assert_int_equal(v.at_us[0], 33000);
	impair_packet(&i, LEN, 1000, &v);
	assert_int_equal(v.at_us[0], 49000);
	impair_packet(&i, LEN, 1000, &v);
	assert_int_equal(v.fate, IMPAIR_QUEUE_FULL);
	impair_packet(&i, LEN, 49000, &v);
	assert_int_equal(v.at_us[0], 65000);
	// 8 Mbit/s into 4 of them: half is dropped.
	begin(&i, 3, "rate=4M");
	feed(&i, MANY, &t);
	assert_share(t.fates[IMPAIR_QUEUE_FULL], MANY, 0.5, 0.01);
	assert_true(t.delay_most <= 202000);
}

static void test_blackout_and_mtu(void **state)
{
	struct impair_verdict v;
	struct impair i;

	(void)state;
	begin(&i, 3, "blackout,delay=1ms");
	impair_packet(&i, LEN, 1, &v);
	assert_int_equal(v.fate, IMPAIR_BLACKOUT);
	assert_int_equal(v.copies, 0);
	begin(&i, 3, "mtu=1280");
	impair_packet(&i, 1280, 1, &v);
	assert_int_equal(v.fate, IMPAIR_PASSED);
	impair_packet(&i, 1281, 1, &v);
	assert_int_equal(v.fate, IMPAIR_TOO_LARGE);
}

static void test_words(void **state)
{
	static const char *const wrong[] = {"loss", "loss=5", "loss=101%", "loss=-1%", "loss=0x5%",
		"delay=5", "delay=2h", "delay=4000s", "burst=1%", "reorder=10%", "rate=0",
		"rate=5X", "mtu=20", "speed=5%", "loss=5%,", "", "blackouts", "loss=inf%"};
	struct impair_settings s;

	(void)state;
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_non_null(impair_parse(wrong[i], &s));
	assert_null(impair_parse("loss=0.01%,delay=1.5ms,rate=2.5M,burst=1%/2%/3%,queue=1s", &s));
	assert_int_equal(s.loss_ppm, 100);
	assert_int_equal(s.delay_us, 1500);
	assert_int_equal(s.rate_bps, 2500000);
	assert_int_equal(s.burst_in_ppm, 10000);
	assert_int_equal(s.burst_out_ppm, 20000);
	assert_int_equal(s.burst_loss_ppm, 30000);
	assert_int_equal(s.queue_us, 1000000);
}

/* Frames. */

/** 10.0.0.1:1000 -> 10.0.0.2:2000, eight octets of payload, checksums right. */
static const uint8_t udp4[] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x08, 0x00, 0x45, 0, 0, 36, 0, 0,
	0, 0, 64, 17, 0x66, 0xc7, 10, 0, 0, 1, 10, 0, 0, 2, 0x03, 0xe8, 0x07, 0xd0, 0, 16, 0xcf,
	0xff, 1, 2, 3, 4, 5, 6, 7, 8};
/** fd00::1.1000 -> fd00::2.2000 likewise. */
static const uint8_t udp6[] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 16,
	17, 64, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 0, 0, 0, 0, 2, 0x03, 0xe8, 0x07, 0xd0, 0, 16, 0xe9, 0xfd, 1, 2, 3, 4, 5, 6, 7, 8};

/** True if the UDP checksum, and for IPv4 the header's, is right: by the pseudo header. */
static bool sums_are_right(const uint8_t *buf, const struct frame *f)
{
	unsigned addresses = f->is_ipv6 ? 32 : 8, udp_len = f->payload_len + 8u;
	uint64_t sum = inet_sum_plain(buf + f->udp_off - addresses, addresses) + inet_sum_u16(17)
		       + inet_sum_u16((uint16_t)udp_len)
		       + inet_sum_plain(buf + f->udp_off, udp_len);

	return inet_fold(sum) == 0xffff
	       && (f->is_ipv6 || inet_fold(inet_sum_plain(buf + f->ip_off, 20)) == 0xffff);
}

static void check_flip(const uint8_t *original, size_t len)
{
	uint8_t buf[128];
	struct frame f;

	assert_true(frame_parse(original, len, &f));
	assert_int_equal(f.payload_len, 8);
	assert_true(sums_are_right(original, &f));
	for (uint32_t random = 0; random < 200; random++) {
		unsigned bits = 0;

		memcpy(buf, original, len);
		frame_flip(buf, &f, random);
		assert_true(sums_are_right(buf, &f));
		for (unsigned i = 0; i < 8; i++)
			bits += (unsigned)__builtin_popcount(
				buf[f.payload_off + i] ^ original[f.payload_off + i]);
		assert_int_equal(bits, 1);
	}
}

static void test_flip(void **state)
{
	(void)state;
	check_flip(udp4, sizeof(udp4));
	check_flip(udp6, sizeof(udp6));
}

static void test_not_udp(void **state)
{
	uint8_t buf[sizeof(udp6)];
	struct frame f;

	(void)state;
	for (size_t len = 0; len < sizeof(udp4); len++)
		assert_false(frame_parse(udp4, len, &f));
	for (size_t len = 0; len < sizeof(udp6); len++)
		assert_false(frame_parse(udp6, len, &f));
	memcpy(buf, udp4, sizeof(udp4));
	buf[23] = 6; // TCP
	assert_false(frame_parse(buf, sizeof(udp4), &f));
	memcpy(buf, udp4, sizeof(udp4));
	buf[20] = 0x20; // more fragments
	assert_false(frame_parse(buf, sizeof(udp4), &f));
	memcpy(buf, udp4, sizeof(udp4));
	buf[39] = 7; // UDP length
	assert_false(frame_parse(buf, sizeof(udp4), &f));
	buf[39] = 17;
	assert_false(frame_parse(buf, sizeof(udp4), &f));
}

/** What the server sends back to whom it sees. */
static void answer(const uint8_t *seen, const struct frame *f, uint8_t *out, size_t len)
{
	struct frame_end a, b;

	memcpy(out, seen, len);
	frame_source(seen, f, &a);
	frame_target(seen, f, &b);
	frame_set_source(out, f, &b);
	frame_set_target(out, f, &a);
}

static void check_rebind(const uint8_t *original, size_t len, const struct frame_end *address)
{
	static struct nat nat;
	uint8_t up[128], back[128], stale[128];
	struct frame_end before, after, inside;
	struct frame f;

	memset(&nat, 0, sizeof(nat));
	assert_true(frame_parse(original, len, &f));
	frame_source(original, &f, &inside);
	memcpy(up, original, len);
	nat_up(&nat, up, &f);
	assert_memory_equal(up, original, len);
	answer(up, &f, stale, len);
	assert_true(nat_down(&nat, stale, &f));

	for (unsigned round = 0; round < 3; round++) {
		nat_rebind(&nat, address);
		assert_false(nat_down(&nat, stale, &f));
		frame_source(up, &f, &before);
		memcpy(up, original, len);
		nat_up(&nat, up, &f);
		frame_source(up, &f, &after);
		assert_true(before.port != after.port);
		assert_memory_equal(
			after.address, (address ? address : &inside)->address, inside.len);
		assert_true(sums_are_right(up, &f));
		answer(up, &f, back, len);
		memcpy(stale, back, len);
		assert_true(nat_down(&nat, back, &f));
		assert_true(sums_are_right(back, &f));
		frame_target(back, &f, &after);
		assert_memory_equal(&after, &inside, sizeof(inside));
	}
}

static void test_rebind(void **state)
{
	const struct frame_end address4 = {.address = {10, 0, 0, 9}, .len = 4};
	const struct frame_end address6 = {.address = {0xfd, [15] = 9}, .len = 16};

	(void)state;
	check_rebind(udp4, sizeof(udp4), NULL);
	check_rebind(udp4, sizeof(udp4), &address4);
	check_rebind(udp6, sizeof(udp6), NULL);
	check_rebind(udp6, sizeof(udp6), &address6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_uniform_loss),
		cmocka_unit_test(test_bursts),
		cmocka_unit_test(test_same_seed_same_fates),
		cmocka_unit_test(test_one_decision_does_not_shift_another),
		cmocka_unit_test(test_delay_and_jitter_keep_order),
		cmocka_unit_test(test_reorder),
		cmocka_unit_test(test_duplicates_and_flips),
		cmocka_unit_test(test_rate),
		cmocka_unit_test(test_blackout_and_mtu),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_flip),
		cmocka_unit_test(test_not_udp),
		cmocka_unit_test(test_rebind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
