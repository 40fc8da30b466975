// SPDX-License-Identifier: BSD-3-Clause
/*
 * Where a transport is reached: addresses, nomination, new credentials, replayed checks, narrow
 * paths, consent; over IPv4 and IPv6. Real stages and tables, frames on a loop-back port.
 */
#include "sfu-dp/proto/rtcp.h"
#include "sfu-dp/table/credentials.h"
#include "sfu-dp/transport_events.h"
#include "shared/event.h"
#include "tests/support/dp_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS 1000u
#define SECOND 1000000u
#define SSRC 0x11111111u
#define BOB_SSRC 0x0b0b0b0bu
#define PT 96
#define MAPPED_PT 101

/** Alice sends video to Bob. */
struct call {
	struct world *w;
	struct world_client alice, bob;
	uint16_t seq;
};

static void media_programme(struct call *call)
{
	struct sfu_command producer = {
		.type = SFU_CMD_PUT_PRODUCER,
		.version = 1,
		.handle = sfu_handle_make(0, 1),
		.u.producer = {
			.transport = call->alice.handle,
			.kind = SFU_VIDEO,
			.codec_count = 1,
			.encoding_count = 1,
			.codec = {{PT, MAPPED_PT, SFU_CODEC_VP8, 0, 90000}},
			.encoding = {{.ssrc = SSRC}},
		},
	};
	struct sfu_command consumer = {
		.type = SFU_CMD_PUT_CONSUMER,
		.version = 1,
		.handle = sfu_handle_make(0, 1),
		.u.consumer = {
			.transport = call->bob.handle,
			.producer = sfu_handle_make(0, 1),
			.ssrc = BOB_SSRC,
			.encoding = 255,
			.payload_type_count = 1,
			.payload_type = {MAPPED_PT},
		},
	};

	assert_int_equal(world_apply(call->w, &producer), SFU_STATUS_OK);
	assert_int_equal(world_apply(call->w, &consumer), SFU_STATUS_OK);
}

static void make_ip6(struct world_client *c)
{
	static const uint8_t ip6[16] = {0xfd, 0x99, [15] = 0x01};

	memcpy(c->at.ip, ip6, 16);
	c->at.is_ip6 = true;
}

static void call_open(struct call *call, unsigned workers, bool ip6)
{
	struct world_client *all[] = {&call->alice, &call->bob};

	memset(call, 0, sizeof(*call));
	call->w = world_open(workers, true, NULL);
	assert_non_null(call->w);
	world_put_room(call->w, 0, 1, false);
	for (uint32_t i = 0; i < 2; i++) {
		world_put_peer(call->w, i, 1, 0, 0);
		assert_int_equal(
			world_put_client(call->w, all[i], i, i, i + 1, (uint16_t)(50000 + i)),
			SFU_STATUS_OK);
		if (ip6)
			make_ip6(all[i]);
		world_check(call->w, i % workers, all[i], true);
		assert_int_equal(
			world_put_keys(call->w, all[i], SFU_SRTP_AEAD_AES_128_GCM), SFU_STATUS_OK);
	}
	media_programme(call);
	world_turn(call->w);
	world_forget(call->w);
}

static void call_close(struct call *call)
{
	world_turn(call->w);
	assert_string_equal(world_books(call->w), "");
	world_client_end(&call->alice);
	world_client_end(&call->bob);
	world_close(call->w);
}

/** One packet of Alice's at worker 0; where the copy for Bob went, port 0 = nowhere. */
static struct pkt_addr send_one(struct call *call, size_t payload_len)
{
	static uint8_t payload[1500] = {0x90, 0x80, 0x12};
	const struct pkt_rtp p = {
		.ssrc = SSRC,
		.timestamp = (uint32_t)(call->w->now_us * 9 / 100),
		.seq = call->seq++,
		.payload_type = PT,
		.marker = true,
		.payload = payload,
		.payload_len = payload_len,
	};

	world_forget(call->w);
	world_rtp(call->w, 0, &call->alice, &p);
	world_turn(call->w);
	for (unsigned i = 0; i < call->w->sent_count; i++) {
		uint8_t buf[WORLD_PAYLOAD];
		int len = (int)call->w->sent[i].len;

		memcpy(buf, call->w->sent[i].octets, (size_t)len);
		// RTCP goes there as well.
		if (buf[1] >= 192 && buf[1] <= 223)
			continue;
		assert_int_equal(srtp_unprotect(call->bob.in, buf, &len), srtp_err_status_ok);
		return call->w->sent[i].to;
	}
	return (struct pkt_addr){.port = 0};
}

static const struct transport *transport_of(const struct call *call, const struct world_client *c)
{
	return transport_find(&call->w->objects, c->handle);
}

/** Both check where they are, as they do every 2.5 s. */
static void both_check(struct call *call)
{
	world_check(call->w, 0, &call->alice, true);
	world_check(call->w, call->w->worker_count - 1, &call->bob, true);
}

static unsigned notices_of(const struct world *w, uint32_t kind)
{
	unsigned n = 0;

	for (unsigned i = 0; i < w->notice_count; i++)
		n += w->notices[i].kind == kind;
	return n;
}

static void a_call_over_ip6_is_a_call(void **state)
{
	struct call call;
	struct pkt_addr to;

	(void)state;
	for (unsigned workers = 1; workers <= 2; workers++) {
		call_open(&call, workers, true);
		for (unsigned i = 0; i < 20; i++) {
			to = send_one(&call, 24 + 60 * i);
			assert_true(to.is_ip6);
			assert_int_equal(to.port, 50001);
			assert_memory_equal(to.ip, call.bob.at.ip, 16);
			assert_memory_equal(to.mac, call.bob.at.mac, 6);
		}
		call_close(&call);
	}
}

static void an_answer_over_ip6_says_where_the_check_came_from(void **state)
{
	struct call call;
	struct stun_view view;

	(void)state;
	call_open(&call, 1, true);
	world_check(call.w, 0, &call.bob, true);
	assert_int_equal(call.w->sent_count, 1);
	assert_int_equal(stun_parse(call.w->sent[0].octets, call.w->sent[0].len, &view), STUN_OK);
	assert_int_equal(view.mapped.version, 6);
	assert_int_equal(view.mapped.port, 50001);
	assert_memory_equal(view.mapped.ip, call.bob.at.ip, 16);
	call_close(&call);
}

static void a_client_moves_from_one_family_to_the_other(void **state)
{
	struct call call;

	(void)state;
	call_open(&call, 1, false);
	assert_false(send_one(&call, 100).is_ip6);
	make_ip6(&call.bob);
	world_check(call.w, 0, &call.bob, true);
	assert_true(send_one(&call, 100).is_ip6);
	call_close(&call);
}

/* --- nomination and replay --- */

static void a_nomination_moves_the_path_at_once_and_a_plain_check_does_not(void **state)
{
	struct call call;

	(void)state;
	call_open(&call, 1, false);
	call.bob.at.port = 50500;
	world_check(call.w, 0, &call.bob, false);
	assert_int_equal(send_one(&call, 100).port, 50001);
	world_check(call.w, 0, &call.bob, true);
	assert_int_equal(send_one(&call, 100).port, 50500);
	call_close(&call);
}

static void media_is_taken_from_any_validated_address(void **state)
{
	struct call call;
	struct world_client other;

	(void)state;
	call_open(&call, 2, false);
	other = call.alice;
	for (uint16_t i = 1; i < TRANSPORT_TUPLES; i++) {
		other.at.port = (uint16_t)(50100 + i);
		world_check(call.w, 0, &other, false);
	}
	for (uint16_t i = 1; i < TRANSPORT_TUPLES; i++) {
		call.alice.at.port = (uint16_t)(50100 + i);
		assert_int_equal(send_one(&call, 100).port, 50001);
	}
	call.alice.at.port = 50200;
	assert_int_equal(send_one(&call, 100).port, 0);
	assert_int_equal(world_drops(call.w, DROP_tuple_unknown), 1);
	call_close(&call);
}

/** A check as octets, to be sent more than once. */
struct capture {
	uint8_t octets[256];
	size_t len;
};

static struct capture capture(struct call *call, const struct world_client *c)
{
	struct capture k;

	k.len = pkt_check(k.octets, sizeof(k.octets), c->ufrag, c->pwd, STUN_ROLE_CONTROLLING, true,
		&call->w->checks);
	return k;
}

static void a_check_heard_twice_from_elsewhere_moves_nothing(void **state)
{
	struct call call;
	struct pkt_addr thief;
	struct capture k;

	(void)state;
	for (unsigned at = 0; at < 2; at++) {
		unsigned flows;

		call_open(&call, 2, false);
		k = capture(&call, &call.bob);
		world_receive(call.w, 1, &call.bob.at, k.octets, k.len);
		world_turn(call.w);
		flows = tuple_table_count(call.w->workers[at].tuples);
		thief = call.bob.at;
		// From as many ports as he likes, at the worker that owns the transport or another.
		for (uint16_t i = 0; i < 100; i++) {
			thief.port = (uint16_t)(60000 + i);
			world_receive(call.w, at, &thief, k.octets, k.len);
			world_turn(call.w);
		}
		assert_int_equal(world_drops(call.w, DROP_stun_replay), 100);
		assert_int_equal(tuple_table_count(call.w->workers[at].tuples), flows);
		assert_int_equal(transport_of(&call, &call.bob)->tuple_count, 1);
		assert_int_equal(send_one(&call, 100).port, 50001);
		call_close(&call);
	}
}

static void a_check_repeated_from_its_own_address_is_answered_and_no_more(void **state)
{
	struct call call;
	struct capture k;
	uint64_t heard;

	(void)state;
	call_open(&call, 1, false);
	k = capture(&call, &call.bob);
	world_receive(call.w, 0, &call.bob.at, k.octets, k.len);
	world_turn(call.w);
	call.bob.at.port = 50500;
	world_check(call.w, 0, &call.bob, true);
	heard = transport_of(&call, &call.bob)->last_check_us;
	world_pass(call.w, SECOND, 250 * MS);
	world_forget(call.w);
	// The old address, forged: no way back, and no sign of life.
	call.bob.at.port = 50001;
	world_receive(call.w, 0, &call.bob.at, k.octets, k.len);
	world_turn(call.w);
	assert_int_equal(call.w->sent_count, 1);
	assert_int_equal(call.w->sent[0].to.port, 50001);
	assert_true(transport_of(&call, &call.bob)->last_check_us == heard);
	assert_int_equal(send_one(&call, 100).port, 50500);
	call_close(&call);
}

static void a_check_heard_before_a_death_moves_nothing_after_it(void **state)
{
	struct call call;
	struct pkt_addr thief;
	struct capture k, second;
	uint64_t heard;

	(void)state;
	for (unsigned workers = 1; workers <= 2; workers++) {
		unsigned at = workers - 1;

		call_open(&call, workers, false);
		k = capture(&call, &call.bob);
		world_receive(call.w, at, &call.bob.at, k.octets, k.len);
		second = capture(&call, &call.bob);
		world_receive(call.w, at, &call.bob.at, second.octets, second.len);
		// As many as are remembered, these being the oldest.
		for (unsigned i = 0; i < STATE_CHECKS - 2; i++)
			world_check(call.w, at, &call.bob, true);
		call.w = world_die(call.w, workers);
		assert_non_null(call.w);
		// Long after, so that a new one would move the path whatever it says.
		world_pass(call.w, 6 * SECOND, 250 * MS);
		world_forget(call.w);
		heard = transport_of(&call, &call.bob)->last_check_us;
		thief = call.bob.at;
		for (uint16_t i = 0; i < 20; i++) {
			thief.port = (uint16_t)(60000 + i);
			world_receive(call.w, i % workers, &thief, k.octets, k.len);
			world_turn(call.w);
		}
		assert_int_equal(world_drops(call.w, DROP_stun_replay), 20);
		assert_int_equal(call.w->sent_count, 0);
		// With his source forged: an answer to him, and no sign of life.
		world_receive(call.w, at, &call.bob.at, k.octets, k.len);
		world_turn(call.w);
		assert_int_equal(call.w->sent_count, 1);
		assert_int_equal(call.w->sent[0].to.port, 50001);
		assert_true(transport_of(&call, &call.bob)->last_check_us == heard);
		assert_int_equal(transport_of(&call, &call.bob)->tuple_count, 1);
		assert_int_equal(send_one(&call, 100).port, 50001);
		// His own count as ever, and the next one goes where the oldest was.
		world_check(call.w, at, &call.bob, true);
		assert_true(transport_of(&call, &call.bob)->last_check_us > heard);
		world_receive(call.w, at, &thief, second.octets, second.len);
		world_turn(call.w);
		assert_int_equal(world_drops(call.w, DROP_stun_replay), 21);
		call_close(&call);
	}
}

static void nobody_takes_a_flow_that_another_one_uses(void **state)
{
	struct world_client thief;
	struct call call;

	(void)state;
	for (unsigned workers = 1; workers <= 2; workers++) {
		unsigned at = workers - 1;

		call_open(&call, workers, false);
		// Authentic, Alice's own, and with Bob's address on it.
		thief = call.alice;
		thief.at = call.bob.at;
		for (unsigned i = 0; i < 4; i++) {
			world_check(call.w, at, &thief, true);
			assert_int_equal(call.w->sent_count, 0);
			assert_int_equal(world_drops(call.w, DROP_stun_taken), i + 1);
			world_pass(call.w, 2 * SECOND, 250 * MS);
			both_check(&call);
			world_forget(call.w);
		}
		assert_int_equal(transport_of(&call, &call.alice)->tuple_count, 1);
		assert_int_equal(send_one(&call, 100).port, 50001);
		// Bob's network gave him another port long ago: this one is free.
		call.bob.at.port = 50500;
		for (unsigned i = 0; i < 10; i++) {
			both_check(&call);
			world_pass(call.w, 2 * SECOND, 250 * MS);
		}
		both_check(&call);
		world_forget(call.w);
		world_check(call.w, at, &thief, true);
		assert_int_equal(call.w->sent_count, 1);
		assert_int_equal(send_one(&call, 100).port, 50500);
		call_close(&call);
	}
}

static void the_flow_of_a_transport_that_is_gone_is_free(void **state)
{
	struct sfu_command gone = {.type = SFU_CMD_DELETE_TRANSPORT};
	struct world_client heir;
	struct call call;

	(void)state;
	call_open(&call, 1, false);
	gone.handle = call.bob.handle;
	assert_int_equal(world_apply(call.w, &gone), SFU_STATUS_OK);
	heir = call.alice;
	heir.at = call.bob.at;
	world_forget(call.w);
	world_check(call.w, 0, &heir, true);
	assert_int_equal(call.w->sent_count, 1);
	assert_int_equal(world_drops(call.w, DROP_stun_taken), 0);
	call_close(&call);
}

static void a_nat_that_gives_another_port_is_followed(void **state)
{
	struct call call;

	(void)state;
	call_open(&call, 2, false);
	// The new port comes to the other worker, and the check does not nominate.
	call.bob.at.port = 51111;
	world_check(call.w, 0, &call.bob, false);
	assert_int_equal(send_one(&call, 100).port, 50001);
	for (unsigned i = 0; i < 2; i++) {
		world_pass(call.w, 5 * SECOND / 2, 250 * MS);
		world_check(call.w, 0, &call.alice, true);
		world_check(call.w, 0, &call.bob, false);
	}
	assert_int_equal(send_one(&call, 100).port, 51111);
	assert_int_equal(notices_of(call.w, NOTICE_NOMINATED), 0);
	call_close(&call);
}

/** An empty receiver report of Bob's from where he is. */
static void bob_reports(struct call *call, unsigned worker)
{
	uint8_t rr[32];

	world_rtcp(call->w, worker, &call->bob, rr, rtcp_encode_rr(rr, sizeof(rr), 0xb0b, NULL, 0));
	world_turn(call->w);
}

/** Of clients that nominate once and check every four to six seconds (RFC 7675) from then on. */
static void a_client_that_is_heard_from_another_port_is_followed(void **state)
{
	struct call call;

	(void)state;
	for (unsigned worker = 0; worker < 2; worker++) {
		call_open(&call, 2, false);
		world_pass(call.w, 2 * SECOND, 250 * MS);
		bob_reports(&call, 1);
		world_pass(call.w, SECOND, 250 * MS);
		call.bob.at.port = 51111;
		// Not validated: says nothing.
		bob_reports(&call, worker);
		world_check(call.w, worker, &call.bob, false);
		assert_int_equal(send_one(&call, 100).port, 50001);
		bob_reports(&call, worker);
		assert_int_equal(send_one(&call, 100).port, 51111);
		assert_int_equal(notices_of(call.w, NOTICE_NOMINATED), 0);
		call_close(&call);
	}
}

static void what_was_on_its_way_when_the_path_moved_does_not_move_it_back(void **state)
{
	struct world_client before;
	struct call call;

	(void)state;
	call_open(&call, 1, false);
	before = call.bob;
	world_pass(call.w, 2 * SECOND, 250 * MS);
	call.bob.at.port = 51111;
	world_check(call.w, 0, &call.bob, true);
	for (unsigned i = 0; i < 4; i++) {
		call.bob.at.port = 50001;
		bob_reports(&call, 0);
		assert_int_equal(send_one(&call, 100).port, 51111);
		world_pass(call.w, 100 * MS, 100 * MS);
	}
	// As long as he is heard where he is, he stays there.
	for (unsigned i = 0; i < 8; i++) {
		call.bob.at.port = 51111;
		bob_reports(&call, 0);
		world_pass(call.w, 400 * MS, 100 * MS);
		call.bob.at.port = 50001;
		bob_reports(&call, 0);
		assert_int_equal(send_one(&call, 100).port, 51111);
	}
	call.bob.at = before.at;
	call_close(&call);
}

static void addresses_that_are_checked_no_more_are_forgotten(void **state)
{
	struct call call;

	(void)state;
	call_open(&call, 1, false);
	for (uint16_t i = 0; i < 7; i++) {
		call.bob.at.port = (uint16_t)(50500 + i);
		world_check(call.w, 0, &call.bob, true);
	}
	assert_int_equal(transport_of(&call, &call.bob)->tuple_count, 8);
	for (unsigned i = 0; i < 32; i++) {
		world_pass(call.w, SECOND, 250 * MS);
		both_check(&call);
	}
	assert_int_equal(transport_of(&call, &call.bob)->tuple_count, 1);
	assert_int_equal(tuple_table_count(call.w->workers[0].tuples), 2);
	assert_int_equal(send_one(&call, 100).port, 50506);
	call_close(&call);
}

/* --- ICE restart --- */

static uint32_t renew(struct call *call, struct world_client *c, uint32_t round)
{
	struct sfu_command cmd = {
		.type = SFU_CMD_PUT_TRANSPORT,
		.version = round,
		.handle = c->handle,
		.u.transport = {
			.peer = sfu_handle_make(sfu_handle_index(c->handle), 1),
			.direction = c == &call->alice ? 1 : 2,
		},
	};

	snprintf(c->ufrag, sizeof(c->ufrag), "again%u.%u", sfu_handle_index(c->handle), round);
	snprintf(c->pwd, sizeof(c->pwd), "another-one-of-22-octets-%u", round);
	cmd.u.transport.ufrag_len = (uint8_t)strlen(c->ufrag);
	cmd.u.transport.pwd_len = (uint8_t)strlen(c->pwd);
	memcpy(cmd.u.transport.ufrag, c->ufrag, strlen(c->ufrag));
	memcpy(cmd.u.transport.pwd, c->pwd, strlen(c->pwd));
	return world_apply(call->w, &cmd);
}

/** What housekeeping does with the workers' notices. */
static void notices_carry_out(struct call *call)
{
	struct world *w = call->w;

	for (unsigned i = 0; i < w->notice_count; i++)
		programme_notice(w->programme, &w->workers[w->notice_worker[i]], &w->notices[i]);
	w->notice_count = 0;
	world_turn(w);
}

static void a_restart_breaks_nothing_before_the_new_path_is_there(void **state)
{
	struct world_client before;
	struct call call;

	(void)state;
	for (unsigned workers = 1; workers <= 2; workers++) {
		call_open(&call, workers, false);
		before = call.bob;
		assert_int_equal(renew(&call, &call.bob, 2), SFU_STATUS_OK);
		// Old checks are good, and media flows.
		world_check(call.w, 0, &before, true);
		assert_int_equal(call.w->sent_count, 1);
		assert_int_equal(send_one(&call, 100).port, 50001);
		// New ones are good too, and move nothing before they nominate.
		call.bob.at.port = 52000;
		world_check(call.w, 0, &call.bob, false);
		notices_carry_out(&call);
		world_check(call.w, 0, &before, true);
		assert_int_equal(world_drops(call.w, DROP_stun_ufrag), 0);
		assert_int_equal(send_one(&call, 100).port, 50001);
		world_check(call.w, 0, &call.bob, true);
		assert_int_equal(notices_of(call.w, NOTICE_RESTARTED), 1);
		// On its way before housekeeping has heard: answered, but the path stays.
		world_check(call.w, 0, &before, true);
		assert_int_equal(send_one(&call, 100).port, 52000);
		world_check(call.w, 0, &call.bob, true);
		notices_carry_out(&call);
		world_check(call.w, 0, &before, true);
		assert_int_equal(world_drops(call.w, DROP_stun_ufrag), 1);
		assert_int_equal(send_one(&call, 100).port, 52000);
		call_close(&call);
	}
}

static void restarts_without_end_leave_two_pairs(void **state)
{
	struct world_client first, earlier;
	struct call call;

	(void)state;
	call_open(&call, 1, false);
	first = call.bob;
	for (uint32_t round = 2; round < 300; round++) {
		earlier = call.bob;
		assert_int_equal(renew(&call, &call.bob, round), SFU_STATUS_OK);
		world_turn(call.w);
		// The pair that carries the call, and the newest; none in between.
		if (round > 2) {
			uint64_t refused = world_drops(call.w, DROP_stun_ufrag);

			world_check(call.w, 0, &earlier, true);
			assert_int_equal(world_drops(call.w, DROP_stun_ufrag), refused + 1);
		}
		world_forget(call.w);
		world_check(call.w, 0, &first, true);
		assert_int_equal(call.w->sent_count, 1);
	}
	world_check(call.w, 0, &call.bob, true);
	notices_carry_out(&call);
	world_forget(call.w);
	world_check(call.w, 0, &first, true);
	assert_int_equal(call.w->sent_count, 0);
	assert_int_equal(credentials_newest(transport_of(&call, &call.bob))->round, 299);
	call_close(&call);
}

static void a_notice_of_an_earlier_restart_does_not_end_the_pair_in_use(void **state)
{
	struct world_client second;
	struct call call;

	(void)state;
	call_open(&call, 1, false);
	assert_int_equal(renew(&call, &call.bob, 2), SFU_STATUS_OK);
	world_turn(call.w);
	world_check(call.w, 0, &call.bob, true);
	second = call.bob;
	// The notice waits while a third pair is given out.
	assert_int_equal(renew(&call, &call.bob, 3), SFU_STATUS_OK);
	notices_carry_out(&call);
	world_forget(call.w);
	world_check(call.w, 0, &call.bob, true);
	assert_int_equal(call.w->sent_count, 1);
	notices_carry_out(&call);
	world_check(call.w, 0, &second, true);
	assert_true(world_drops(call.w, DROP_stun_ufrag) > 0);
	call_close(&call);
}

static void new_credentials_are_refused_when_they_are_taken(void **state)
{
	struct sfu_command cmd = {.type = SFU_CMD_PUT_TRANSPORT, .version = 2};
	struct call call;

	(void)state;
	call_open(&call, 1, false);
	cmd.handle = call.bob.handle;
	cmd.u.transport.peer = sfu_handle_make(1, 1);
	cmd.u.transport.direction = 2;
	cmd.u.transport.ufrag_len = (uint8_t)strlen(call.alice.ufrag);
	memcpy(cmd.u.transport.ufrag, call.alice.ufrag, strlen(call.alice.ufrag));
	cmd.u.transport.pwd_len = 22;
	memset(cmd.u.transport.pwd, 'p', 22);
	assert_int_equal(world_apply(call.w, &cmd), SFU_STATUS_MALFORMED);
	world_forget(call.w);
	world_check(call.w, 0, &call.bob, true);
	assert_int_equal(call.w->sent_count, 1);
	call_close(&call);
}

/* --- narrow paths --- */

static void say_too_big(struct call *call, unsigned worker, uint32_t mtu, uint16_t quoted_len)
{
	struct pkt_addr us = world_address(call->w, call->bob.at.is_ip6);
	uint8_t frame[PKT_FRAME_MAX];

	world_receive_frame(
		call->w, worker, frame, pkt_too_big(frame, &us, &call->bob.at, mtu, quoted_len));
	world_turn(call->w);
}

static void a_narrow_path_is_believed_and_kept_to(void **state)
{
	struct call call;

	(void)state;
	// Headers of IP, UDP and RTP and a tag besides the payload: 56 over IPv4, 76 over IPv6.
	for (unsigned i = 0; i < 4; i++) {
		bool ip6 = i & 1;
		unsigned workers = 1 + i / 2;
		size_t fits = 1400 - (ip6 ? 76 : 56);

		call_open(&call, workers, ip6);
		assert_int_equal(send_one(&call, fits + 1).port, 50001);
		// Wherever it comes in: Bob's flow is known to the last worker.
		say_too_big(&call, 0, 1400, 1440);
		assert_int_equal(send_one(&call, fits + 1).port, 0);
		assert_int_equal(world_edges(call.w, EDGE_too_long), 1);
		assert_int_equal(send_one(&call, fits).port, 50001);
		// Ten minutes later it is tried again.
		for (unsigned s = 0; s < 301; s++) {
			world_pass(call.w, 2 * SECOND, 250 * MS);
			both_check(&call);
			world_forget(call.w);
		}
		assert_int_equal(send_one(&call, fits + 1).port, 50001);
		call_close(&call);
	}
}

static void what_cannot_be_true_of_a_path_is_not_believed(void **state)
{
	static const struct {
		const char *what;
		uint32_t mtu;
		uint16_t quoted_len;
		enum drop_reason why;
	} rows[] = {
		{"no width", 0, 1440, DROP_hint_refused},
		{"below what paths of calls take", 1279, 1440, DROP_hint_refused},
		{"wider than the port", 1500, 1500, DROP_hint_refused},
		{"about a packet that fits", 1400, 1400, DROP_hint_refused},
		{"about a packet that we cannot have sent", 1400, 1501, DROP_hint_refused},
	};
	struct call call;

	(void)state;
	call_open(&call, 1, false);
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t before = world_drops(call.w, rows[i].why);

		say_too_big(&call, 0, rows[i].mtu, rows[i].quoted_len);
		if (world_drops(call.w, rows[i].why) != before + 1)
			fail_msg("%s", rows[i].what);
	}
	assert_int_equal(send_one(&call, 1400).port, 50001);
	call.bob.at.port = 50999;
	say_too_big(&call, 0, 1400, 1440);
	assert_int_equal(world_drops(call.w, DROP_hint_unknown), 1);
	call_close(&call);
	call_open(&call, 1, true);
	say_too_big(&call, 0, 1279, 1440);
	assert_int_equal(world_drops(call.w, DROP_hint_refused), 1);
	call_close(&call);
}

static void a_hint_that_nobody_knows_goes_round_once(void **state)
{
	struct call call;

	(void)state;
	call_open(&call, 2, false);
	call.bob.at.port = 50999;
	say_too_big(&call, 0, 1400, 1440);
	assert_int_equal(world_drops(call.w, DROP_hint_unknown), 1);
	assert_int_equal(call.w->workers[0].count.handoff_out, 1);
	assert_int_equal(call.w->workers[1].count.handoff_in, 1);
	assert_int_equal(call.w->workers[1].count.handoff_out, 0);
	call_close(&call);
}

static void a_new_address_starts_with_the_full_width(void **state)
{
	struct call call;

	(void)state;
	call_open(&call, 1, false);
	say_too_big(&call, 0, 1300, 1440);
	assert_int_equal(send_one(&call, 1400).port, 0);
	call.bob.at.port = 50500;
	world_check(call.w, 0, &call.bob, true);
	assert_int_equal(send_one(&call, 1400).port, 50500);
	call_close(&call);
}

/* --- consent --- */

static void consent_ends_when_it_was_set_to(void **state)
{
	struct call call;

	(void)state;
	call_open(&call, 1, false);
	call.w->workers[0].consent_us = 6 * SECOND;
	for (unsigned s = 0; s < 5; s++) {
		world_pass(call.w, SECOND, 250 * MS);
		world_check(call.w, 0, &call.alice, true);
	}
	assert_int_equal(notices_of(call.w, NOTICE_CONSENT_LOST), 0);
	assert_int_equal(send_one(&call, 100).port, 50001);
	world_pass(call.w, 3 * SECOND / 2, 250 * MS);
	assert_int_equal(notices_of(call.w, NOTICE_CONSENT_LOST), 1);
	assert_int_equal(send_one(&call, 100).port, 0);
	call_close(&call);
}

/** The whole process was stopped: nobody could be heard, so nobody is blamed for silence at once. */
static void a_pause_of_ours_ends_nobodys_consent(void **state)
{
	struct call call;

	(void)state;
	call_open(&call, 1, false);
	world_pass(call.w, 2 * SECOND, 250 * MS);
	world_pass(call.w, 60 * SECOND, 60 * SECOND);
	world_pass(call.w, 3 * SECOND, 250 * MS);
	assert_int_equal(notices_of(call.w, NOTICE_CONSENT_LOST), 0);
	world_check(call.w, 0, &call.bob, true);
	world_pass(call.w, 3 * SECOND, 250 * MS);
	// Alice was not heard in the grace.
	assert_int_equal(notices_of(call.w, NOTICE_CONSENT_LOST), 1);
	call_close(&call);
}

/* --- what the control plane is told --- */

/** The next event must be this one. */
static void expect_event(struct transport_events *e, uint64_t transport, uint32_t state)
{
	struct sfu_event out;

	assert_true(transport_events_next(e, &out));
	assert_int_equal(out.type, SFU_EVENT_TRANSPORT);
	assert_true(out.handle == transport);
	assert_int_equal(out.u.transport.state, state);
}

static void events_wait_until_they_can_be_told(void **state)
{
	struct transport_events e;
	struct sfu_event out;
	struct call call;

	(void)state;
	call_open(&call, 1, false);
	assert_int_equal(transport_events_create(&e, &call.w->objects), 0);
	assert_false(transport_events_next(&e, &out));
	// More often than once is once; in the order in which they come about.
	for (unsigned i = 0; i < 3; i++) {
		transport_events_note(&e, call.bob.handle, SFU_TRANSPORT_CONSENT_LOST, 0);
		transport_events_note(&e, call.bob.handle, SFU_TRANSPORT_NOMINATED, 0);
		transport_events_note(&e, call.bob.handle, SFU_TRANSPORT_VALIDATED, 0);
	}
	assert_int_equal(e.waiting, 1);
	expect_event(&e, call.bob.handle, SFU_TRANSPORT_VALIDATED);
	// No room after all.
	transport_events_note(&e, call.bob.handle, SFU_TRANSPORT_VALIDATED, 0);
	expect_event(&e, call.bob.handle, SFU_TRANSPORT_VALIDATED);
	expect_event(&e, call.bob.handle, SFU_TRANSPORT_NOMINATED);
	expect_event(&e, call.bob.handle, SFU_TRANSPORT_CONSENT_LOST);
	assert_false(transport_events_next(&e, &out));
	assert_int_equal(e.waiting, 0);
	// What is gone, or was never there, is not spoken of.
	transport_events_note(&e, call.bob.handle + 1, SFU_TRANSPORT_VALIDATED, 0);
	transport_events_note(&e, UINT64_MAX, SFU_TRANSPORT_VALIDATED, 0);
	transport_events_note(
		&e, call.alice.handle + (UINT64_C(1) << 32), SFU_TRANSPORT_VALIDATED, 0);
	assert_false(transport_events_next(&e, &out));
	assert_int_equal(e.waiting, 0);
	transport_events_destroy(&e);
	call_close(&call);
}

static void who_attaches_anew_is_told_how_everything_stands(void **state)
{
	struct transport_events e;
	struct sfu_event out;
	struct call call;

	(void)state;
	call_open(&call, 1, false);
	assert_int_equal(transport_events_create(&e, &call.w->objects), 0);
	for (unsigned s = 0; s < 31; s++) {
		world_pass(call.w, SECOND, 250 * MS);
		world_check(call.w, 0, &call.alice, true);
	}
	transport_events_note_all(&e);
	expect_event(&e, call.alice.handle, SFU_TRANSPORT_VALIDATED);
	expect_event(&e, call.alice.handle, SFU_TRANSPORT_NOMINATED);
	expect_event(&e, call.bob.handle, SFU_TRANSPORT_VALIDATED);
	expect_event(&e, call.bob.handle, SFU_TRANSPORT_NOMINATED);
	expect_event(&e, call.bob.handle, SFU_TRANSPORT_CONSENT_LOST);
	assert_false(transport_events_next(&e, &out));
	transport_events_destroy(&e);
	call_close(&call);
}

static int start(void **state)
{
	(void)state;
	return world_start("test_paths", 2);
}

static int end(void **state)
{
	(void)state;
	world_stop();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_over_ip6_is_a_call),
		cmocka_unit_test(an_answer_over_ip6_says_where_the_check_came_from),
		cmocka_unit_test(a_client_moves_from_one_family_to_the_other),
		cmocka_unit_test(a_nomination_moves_the_path_at_once_and_a_plain_check_does_not),
		cmocka_unit_test(media_is_taken_from_any_validated_address),
		cmocka_unit_test(a_check_heard_twice_from_elsewhere_moves_nothing),
		cmocka_unit_test(a_check_repeated_from_its_own_address_is_answered_and_no_more),
		cmocka_unit_test(a_check_heard_before_a_death_moves_nothing_after_it),
		cmocka_unit_test(nobody_takes_a_flow_that_another_one_uses),
		cmocka_unit_test(the_flow_of_a_transport_that_is_gone_is_free),
		cmocka_unit_test(a_nat_that_gives_another_port_is_followed),
		cmocka_unit_test(a_client_that_is_heard_from_another_port_is_followed),
		cmocka_unit_test(what_was_on_its_way_when_the_path_moved_does_not_move_it_back),
		cmocka_unit_test(addresses_that_are_checked_no_more_are_forgotten),
		cmocka_unit_test(a_restart_breaks_nothing_before_the_new_path_is_there),
		cmocka_unit_test(restarts_without_end_leave_two_pairs),
		cmocka_unit_test(a_notice_of_an_earlier_restart_does_not_end_the_pair_in_use),
		cmocka_unit_test(new_credentials_are_refused_when_they_are_taken),
		cmocka_unit_test(a_narrow_path_is_believed_and_kept_to),
		cmocka_unit_test(what_cannot_be_true_of_a_path_is_not_believed),
		cmocka_unit_test(a_hint_that_nobody_knows_goes_round_once),
		cmocka_unit_test(a_new_address_starts_with_the_full_width),
		cmocka_unit_test(consent_ends_when_it_was_set_to),
		cmocka_unit_test(a_pause_of_ours_ends_nobodys_consent),
		cmocka_unit_test(events_wait_until_they_can_be_told),
		cmocka_unit_test(who_attaches_anew_is_told_how_everything_stands),
	};

	return cmocka_run_group_tests(tests, start, end);
}
