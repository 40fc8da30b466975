// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/path/rewrite.h"
#include "sfu-dp/proto/srtp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CLOCK 90000u
#define PACKETS 1000000u
#define INDEX_BITS (1u << 28)

static uint64_t state_of_random = 88172645463325252u;

static uint32_t random_below(uint32_t n)
{
	state_of_random ^= state_of_random << 13;
	state_of_random ^= state_of_random >> 7;
	state_of_random ^= state_of_random << 17;
	return (uint32_t)(state_of_random >> 32) % n;
}

/** A client's source as the network gives it: late, lost, twice, and now and then another one. */
struct source {
	uint32_t ssrc;
	uint16_t seq;
	uint32_t timestamp;
	uint8_t change;
	struct srtp_rx_stream window;
};

/** One packet that passed the replay window; false when it did not. */
static bool arrives(struct source *s, struct pkt *pkt)
{
	uint16_t seq = s->seq;

	memset(pkt, 0, sizeof(*pkt));
	switch (random_below(10)) {
	case 0:
		s->seq = (uint16_t)(s->seq + random_below(30)); // A gap.
		break;
	case 1:
	case 2:
		seq = (uint16_t)(seq - random_below(1500)); // Late, or twice.
		break;
	default:
		s->seq++;
		break;
	}
	if (srtp_rx_check(&s->window, seq, &pkt->index) != SRTP_OK)
		return false;
	srtp_rx_commit(&s->window, pkt->index);
	s->timestamp += 3000;
	pkt->rtp.ssrc = s->ssrc;
	pkt->rtp.seq = seq;
	pkt->rtp.timestamp = s->timestamp;
	pkt->source_change = s->change;
	return true;
}

static void new_source(struct source *s)
{
	// SSRCs come back, too: their replay window is what they left, so theirs starts anew here
	// only because the index spaces of sources are unrelated.
	s->ssrc = 1 + random_below(1000000);
	s->seq = (uint16_t)random_below(65536);
	s->timestamp = random_below(UINT32_MAX);
	memset(&s->window, 0, sizeof(s->window));
}

static void no_index_is_ever_used_twice(void **state)
{
	struct consumer *c = aligned_alloc(64, sizeof(*c));
	uint64_t *used = calloc(INDEX_BITS / 64, sizeof(*used));
	uint64_t now_us = 1000000, sent = 0, late = 0, starts = 0;
	struct source s = {.seq = 500};
	bool shut = false;

	(void)state;
	assert_non_null(c);
	assert_non_null(used);
	memset(c, 0, sizeof(*c));
	new_source(&s);
	for (unsigned i = 0; i < PACKETS; i++) {
		struct rewrite_place place;
		enum edge_reason reason;
		bool fresh;
		uint64_t highest;
		struct pkt pkt;

		now_us += random_below(40000);
		switch (random_below(2000)) {
		case 0:
			new_source(&s);
			break;
		case 1:
			s.change++;
			break;
		case 2:
		case 3:
			shut = !shut;
			break;
		default:
			break;
		}
		if (!arrives(&s, &pkt))
			continue;
		if (shut) {
			c->resync = 1;
			continue;
		}
		fresh = c->resync || !c->started || c->source_ssrc != pkt.rtp.ssrc
			|| c->source_change != pkt.source_change;
		highest = c->highest_out_index;
		reason = rewrite_place(c, &pkt, CLOCK, now_us, state_of_random, &place);
		if (reason != EDGE_COUNT) {
			assert_int_equal(reason, EDGE_before_start);
			assert_false(fresh);
			late++;
			continue;
		}
		assert_true(place.index < INDEX_BITS);
		assert_false(used[place.index / 64] >> place.index % 64 & 1);
		used[place.index / 64] |= UINT64_C(1) << place.index % 64;
		if (fresh && starts)
			assert_true(place.index == highest + 1);
		if (fresh && !starts)
			assert_true(place.index < 0x8000);
		starts += fresh;
		sent++;
	}
	print_message("  %lu sent, %lu starts, %lu too late\n", sent, starts, late);
	assert_true(sent > PACKETS / 4 && starts > 500 && late > 500);
	free(used);
	free(c);
}

static void timestamps_follow_time_through_a_new_source(void **state)
{
	struct consumer *c = aligned_alloc(64, sizeof(*c));
	struct rewrite_place first, second;
	struct pkt pkt;

	(void)state;
	assert_non_null(c);
	memset(c, 0, sizeof(*c));
	memset(&pkt, 0, sizeof(pkt));
	pkt.index = 10;
	pkt.rtp.ssrc = 1;
	pkt.rtp.timestamp = 1000;
	assert_int_equal(
		rewrite_place(c, &pkt, CLOCK, 1000000, UINT64_C(7) << 32, &first), EDGE_COUNT);
	assert_int_equal(first.timestamp, 1007);
	// A pause of the same source: its own time has gone on.
	c->resync = 1;
	pkt.index = 500;
	pkt.rtp.timestamp = 1000 + 2 * CLOCK;
	assert_int_equal(rewrite_place(c, &pkt, CLOCK, 3000000, 0, &second), EDGE_COUNT);
	assert_int_equal(second.timestamp, 1007 + 2 * CLOCK);
	assert_true(second.index == first.index + 1);
	// Another source with another clock, a second later.
	pkt.index = 77;
	pkt.rtp.ssrc = 2;
	pkt.rtp.timestamp = 0xfffffff0;
	assert_int_equal(rewrite_place(c, &pkt, CLOCK, 4000000, 0, &second), EDGE_COUNT);
	assert_int_equal(second.timestamp, 1007 + 3 * CLOCK);
	assert_true(second.index == first.index + 2);
	// And at once: still a step forward.
	pkt.rtp.ssrc = 3;
	assert_int_equal(rewrite_place(c, &pkt, CLOCK, 4000000, 0, &second), EDGE_COUNT);
	assert_int_equal(second.timestamp, 1008 + 3 * CLOCK);
	free(c);
}

static void the_last_index_is_the_last(void **state)
{
	struct consumer *c = aligned_alloc(64, sizeof(*c));
	struct rewrite_place place;
	struct pkt pkt;

	(void)state;
	assert_non_null(c);
	memset(c, 0, sizeof(*c));
	memset(&pkt, 0, sizeof(pkt));
	pkt.rtp.ssrc = 1;
	assert_int_equal(rewrite_place(c, &pkt, CLOCK, 0, 0, &place), EDGE_COUNT);
	pkt.index = SRTP_INDEX_MAX;
	assert_int_equal(rewrite_place(c, &pkt, CLOCK, 0, 0, &place), EDGE_COUNT);
	assert_true(place.index == SRTP_INDEX_MAX);
	pkt.index++;
	assert_int_equal(rewrite_place(c, &pkt, CLOCK, 0, 0, &place), EDGE_index_exhausted);
	// Nor by starting anew.
	c->resync = 1;
	assert_int_equal(rewrite_place(c, &pkt, CLOCK, 0, 0, &place), EDGE_index_exhausted);
	pkt.rtp.ssrc = 2;
	pkt.index = 0;
	assert_int_equal(rewrite_place(c, &pkt, CLOCK, 0, 0, &place), EDGE_index_exhausted);
	free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_index_is_ever_used_twice),
		cmocka_unit_test(timestamps_follow_time_through_a_new_source),
		cmocka_unit_test(the_last_index_is_the_last),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
