// SPDX-License-Identifier: BSD-3-Clause
/* What a client without transport-wide feedback is told. */
#include "sfu-dp/proto/remb_rate.h"
#include "sfu-dp/proto/rtp_ext.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define MS 1000u
#define EVERY_US (250 * MS)

/** A client on a path: sends at what it is told, through a queue in front of a rate. */
struct path {
	struct remb_rate r;
	uint64_t now_us, queue_free_us;
	uint64_t expected, received;
	uint32_t told_bps;
	unsigned lose_every; /* each nth packet; 0 = none */
};

/** Some milliseconds of it, through a path of so many bits a second. */
static void run(struct path *p, unsigned ms, uint32_t path_bps)
{
	uint64_t end_us = p->now_us + ms * (uint64_t)MS, update_us = p->now_us + EVERY_US;

	while (p->now_us < end_us) {
		uint32_t sending = p->told_bps ? p->told_bps : 300000;
		uint64_t arrival_us;

		p->now_us += 1000 * 8 * UINT64_C(1000000) / sending;
		p->expected++;
		if (p->lose_every && p->expected % p->lose_every == 0)
			continue;
		if (p->queue_free_us < p->now_us)
			p->queue_free_us = p->now_us;
		p->queue_free_us += 1000 * 8 * UINT64_C(1000000) / path_bps;
		arrival_us = p->queue_free_us + 20 * MS;
		p->received++;
		remb_rate_arrived(
			&p->r, 1000, (int32_t)rtp_ext_abs_send_time(p->now_us), arrival_us);
		if (p->now_us < update_us)
			continue;
		update_us += EVERY_US;
		p->told_bps = remb_rate_update(&p->r, p->expected, p->received, arrival_us);
	}
}

static void nothing_is_announced_before_anything_came(void **state)
{
	struct remb_rate r = {0};

	(void)state;
	assert_int_equal(remb_rate_update(&r, 0, 0, 1000000), 0);
}

/* From 63 s on: the send time wraps on the way. */
static void a_clean_path_is_used_more_and_more(void **state)
{
	struct path p = {.now_us = 63 * 1000 * MS};

	(void)state;
	run(&p, 1000, 10000000);
	assert_true(p.told_bps >= REMB_RATE_START_BPS);
	run(&p, 15000, 10000000);
	assert_in_range(p.told_bps, 2500000, 10000000);
}

static void a_narrow_path_brings_it_down(void **state)
{
	struct path p = {.now_us = 1000 * MS};

	(void)state;
	run(&p, 10000, 10000000);
	assert_true(p.told_bps > 1500000);
	run(&p, 5000, 500000);
	assert_in_range(p.told_bps, 100000, 600000);
	run(&p, 10000, 500000);
	assert_in_range(p.told_bps, 200000, 700000);
	// The queue is bounded: it empties when the rate is below the path.
	assert_true(p.queue_free_us < p.now_us + 1500 * MS);
}

static void much_loss_brings_it_down_and_little_does_not(void **state)
{
	struct path p = {.now_us = 1000 * MS, .lose_every = 5};

	(void)state;
	run(&p, 5000, 100000000);
	assert_true(p.told_bps < 500000);
	p.lose_every = 100;
	run(&p, 30000, 100000000);
	assert_true(p.told_bps > 1000000);
}

static void who_sends_little_is_not_told_ever_more(void **state)
{
	struct remb_rate r = {0};
	uint64_t now_us = 1000 * MS, n = 0;

	(void)state;
	for (unsigned i = 0; i < 400; i++) {
		for (unsigned k = 0; k < 12; k++, n++)
			remb_rate_arrived(&r, 100, -1, now_us += 20 * MS);
		remb_rate_update(&r, n, n, now_us);
	}
	assert_int_equal(r.rate_bps, REMB_RATE_START_BPS);
}

static void streams_that_go_are_no_loss(void **state)
{
	struct remb_rate r = {0};
	uint32_t before, after;

	(void)state;
	remb_rate_arrived(&r, 1000, -1, 1000 * MS);
	before = remb_rate_update(&r, 5000, 4000, 1250 * MS);
	remb_rate_arrived(&r, 1000, -1, 1300 * MS);
	after = remb_rate_update(&r, 100, 100, 1500 * MS);
	assert_true(after >= before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_announced_before_anything_came),
		cmocka_unit_test(a_clean_path_is_used_more_and_more),
		cmocka_unit_test(a_narrow_path_brings_it_down),
		cmocka_unit_test(much_loss_brings_it_down_and_little_does_not),
		cmocka_unit_test(who_sends_little_is_not_told_ever_more),
		cmocka_unit_test(streams_that_go_are_no_loss),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
