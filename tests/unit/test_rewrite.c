// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/path/rewrite.h"
#include "sfu-dp/path/tx_header.h"
#include "sfu-dp/proto/srtp.h"
#include "sfu-dp/state/hot.h"
#include "sfu-dp/state/memory.h"
#include "sfu-dp/state/restore.h"

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

/** A consumer on a stream state, as programme makes it; after a death it finds what was stored. */
static struct consumer *consumer_make(struct state *s)
{
	static const struct state_limits limits = {.count = {0, 1, 1, 1, 1, 1, 1}};
	struct consumer *c = aligned_alloc(64, sizeof(*c));

	assert_non_null(c);
	if (!s->header) {
		void *memory = state_memory_map(-1, state_bytes(&limits));

		assert_non_null(memory);
		state_format(memory, &limits, 1);
		state_open(s, memory);
	}
	memset(c, 0, sizeof(*c));
	restore_consumer(s, c, sfu_handle_make(0, 1));
	return c;
}

static void consumer_free(struct state *s, struct consumer *c)
{
	state_memory_unmap(s->header, s->header->region_bytes);
	free(c);
}

/** The process dies and another one goes on. */
static struct consumer *die(struct state *s, struct consumer *c)
{
	struct consumer *next = consumer_make(s);

	assert_int_equal(next->started, c->started);
	assert_true(next->highest_out_index == c->highest_out_index);
	free(c);
	return next;
}

/** Retransmissions have indices of their own, and those are not forgotten either. */
static void a_retransmission_stream_goes_on_where_it_was(void **state)
{
	struct egress_rtx before = {0}, after = {0};
	struct state s = {0};
	struct consumer *c = consumer_make(&s);

	(void)state;
	c->rtx = &before;
	state_egress_rtx(c->saved, 70000);
	memset(c, 0, sizeof(*c));
	c->rtx = &after;
	restore_consumer(&s, c, sfu_handle_make(0, 1));
	assert_int_equal(after.started, 1);
	assert_int_equal(after.index, 70000);
	// Another consumer in its place begins anew.
	after = (struct egress_rtx){0};
	restore_consumer(&s, c, sfu_handle_make(0, 2));
	assert_int_equal(after.started, 0);
	consumer_free(&s, c);
}

static void no_index_is_ever_used_twice(void **state)
{
	struct state saved = {0};
	struct consumer *c = consumer_make(&saved);
	uint64_t *used = calloc(INDEX_BITS / 64, sizeof(*used));
	uint64_t now_us = 1000000, sent = 0, late = 0, starts = 0, deaths = 0, gone_on = 0;
	struct source s = {.seq = 500};
	bool shut = false;

	(void)state;
	assert_non_null(used);
	new_source(&s);
	for (unsigned i = 0; i < PACKETS; i++) {
		struct rewrite_place place;
		enum edge_reason reason;
		bool fresh, adopted;
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
		case 4:
			c = die(&saved, c);
			s.change = 0;
			deaths++;
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
		adopted = c->resync == CONSUMER_ADOPTED;
		fresh = c->resync || !c->started || c->source_ssrc != pkt.rtp.ssrc
			|| c->source_change != pkt.source_change;
		highest = c->highest_out_index;
		reason = rewrite_place(c, &pkt, CLOCK, now_us, state_of_random, &place);
		if (reason != EDGE_COUNT) {
			assert_int_equal(reason, EDGE_before_start);
			assert_true(!fresh || adopted);
			late++;
			continue;
		}
		assert_true(place.index < INDEX_BITS);
		assert_false(used[place.index / 64] >> place.index % 64 & 1);
		used[place.index / 64] |= UINT64_C(1) << place.index % 64;
		if (adopted && place.index != highest + 1) {
			assert_true(place.index > highest);
			fresh = false;
			gone_on++;
		}
		if (fresh && starts)
			assert_true(place.index == highest + 1);
		if (fresh && !starts)
			assert_true(place.index < 0x8000);
		starts += fresh;
		sent++;
	}
	print_message(
		"  %lu sent, %lu starts, %lu too late, %lu deaths\n", sent, starts, late, deaths);
	assert_true(sent > PACKETS / 4 && starts > 500 && late > 500);
	assert_true(deaths > 100 && gone_on > 10);
	free(used);
	consumer_free(&saved, c);
}

static void timestamps_follow_time_through_a_new_source(void **state)
{
	struct state saved = {0};
	struct consumer *c = consumer_make(&saved);
	struct rewrite_place first, second;
	struct pkt pkt;

	(void)state;
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
	consumer_free(&saved, c);
}

static void the_last_index_is_the_last(void **state)
{
	struct state saved = {0};
	struct consumer *c = consumer_make(&saved);
	struct rewrite_place place;
	struct pkt pkt;

	(void)state;
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
	// Nor by dying.
	c = die(&saved, c);
	pkt.index = SRTP_INDEX_MAX;
	assert_int_equal(rewrite_place(c, &pkt, CLOCK, 0, 0, &place), EDGE_index_exhausted);
	consumer_free(&saved, c);
}

/** A consumer of a producer whose extension ids are 1..4; few classes, so that they meet again. */
static void consumer_of_class(struct consumer *c, unsigned number)
{
	static const uint8_t kinds[] = {0, SFU_EXT_MID, SFU_EXT_AUDIO_LEVEL, SFU_EXT_ABS_SEND_TIME,
		SFU_EXT_VIDEO_ORIENTATION};

	memset(c, 0, sizeof(*c));
	c->ssrc = number;
	c->mid_len = (uint8_t)random_below(4);
	for (unsigned i = 0; i < c->mid_len; i++)
		c->mid[i] = (uint8_t)('0' + random_below(10));
	for (unsigned i = 1; i < sizeof(kinds); i++)
		c->ext_id[kinds[i]] = random_below(2) ? (uint8_t)(i + 10 * random_below(2)) : 0;
	c->ext_map.out_id[2] = c->ext_id[SFU_EXT_AUDIO_LEVEL];
	c->ext_map.out_id[4] = c->ext_id[SFU_EXT_VIDEO_ORIENTATION];
}

static void a_header_by_template_equals_one_made_whole(void **state)
{
	// Two CSRCs, then MID, audio level, send time and orientation, and a stranger.
	static const uint8_t packet[] = {0x92, 0xe0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6,
		7, 8, 0xbe, 0xde, 0, 4, 0x10, '0', 0x20, 0x55, 0x32, 1, 2, 3, 0x40, 1, 0x51, 9, 9,
		0, 0, 0, 0xaa};
	struct consumer *c = aligned_alloc(64, sizeof(*c));
	struct pkt pkt = {.mapped_payload_type = 101};
	unsigned alike = 0;

	(void)state;
	assert_non_null(c);
	assert_int_equal(rtp_parse(packet, sizeof(packet), &pkt.rtp), RTP_OK);
	for (unsigned round = 0; round < 200; round++) {
		struct rewrite_template t = {.len = 0};

		for (unsigned i = 0; i < 200; i++) {
			uint8_t whole[REWRITE_HEADER_MAX], like[REWRITE_HEADER_MAX];
			struct rewrite_place place
				= {random_below(1u << 30), random_below(1u << 31)};
			struct rewrite_template before = t;
			uint64_t now_us = 1000000 + round * 12345;
			size_t len;

			consumer_of_class(c, i);
			len = rewrite_header(c, packet, &pkt, &place, now_us, whole);
			assert_true(len >= RTP_HEADER_LEN + 8);
			assert_int_equal(
				rewrite_header_like(&t, c, packet, &pkt, &place, now_us, like),
				len);
			assert_memory_equal(whole, like, len);
			alike += i && !memcmp(before.ext_id, t.ext_id, sizeof(t.ext_id))
				 && before.mid_len == t.mid_len;
		}
	}
	print_message("  %u by template\n", alike);
	assert_true(alike > 100);
	free(c);
}

static void a_ready_header_equals_one_made_whole(void **state)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	static uint8_t room[2][2048];

	(void)state;
	for (size_t i = 0; i < sizeof(room); i++)
		((uint8_t *)room)[i] = (uint8_t)i;
	for (unsigned i = 0; i < 5000; i++) {
		struct rte_mbuf m[2];
		struct tuple tuple;
		struct l2_path l2;
		struct tx_header h;
		uint16_t len = (uint16_t)random_below(1501);

		for (size_t k = 0; k < sizeof(tuple); k++)
			((uint8_t *)&tuple)[k] = (uint8_t)random_below(256);
		tuple.vlan = random_below(2) ? 1 + random_below(4094) : 0;
		if (random_below(2)) {
			memcpy(tuple.remote, mapped, sizeof(mapped));
			memcpy(tuple.local, mapped, sizeof(mapped));
		}
		for (size_t k = 0; k < sizeof(l2); k++)
			((uint8_t *)&l2)[k] = (uint8_t)random_below(256);
		memset(m, 0, sizeof(m));
		for (unsigned k = 0; k < 2; k++) {
			m[k].buf_addr = room[k];
			m[k].data_off = RTE_PKTMBUF_HEADROOM;
			m[k].nb_segs = 1;
			m[k].data_len = len;
			m[k].pkt_len = len;
			memset(room[k] + RTE_PKTMBUF_HEADROOM, (int)(i * 31), len);
		}
		tx_encapsulate(NULL, &m[0], &tuple, &l2);
		tx_header_make(&h, &tuple, &l2, 1500);
		tx_header_put(&h, &m[1]);
		assert_int_equal(m[0].data_off, m[1].data_off);
		assert_int_equal(m[0].data_len, m[1].data_len);
		assert_int_equal(m[0].pkt_len, m[1].pkt_len);
		assert_memory_equal(rte_pktmbuf_mtod(&m[0], void *),
			rte_pktmbuf_mtod(&m[1], void *), m[0].data_len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_retransmission_stream_goes_on_where_it_was),
		cmocka_unit_test(no_index_is_ever_used_twice),
		cmocka_unit_test(timestamps_follow_time_through_a_new_source),
		cmocka_unit_test(the_last_index_is_the_last),
		cmocka_unit_test(a_header_by_template_equals_one_made_whole),
		cmocka_unit_test(a_ready_header_equals_one_made_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
