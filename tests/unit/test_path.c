// SPDX-License-Identifier: BSD-3-Clause
/*
 * The packet's way from frame to frame: real stages, real tables, frames on a loop-back port, and
 * libsrtp2 as the clients' SRTP. Alice sends, Bob and Carol receive.
 */
#include "sfu-dp/proto/rtcp.h"
#include "sfu-dp/proto/rtp.h"
#include "sfu-dp/proto/rtp_ext.h"
#include "sfu-dp/state/hot.h"
#include "shared/event.h"
#include "tests/support/dp_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS 1000u
#define SECOND 1000000u
#define OPEN UINT64_MAX
#define SSRC 0x11111111u
#define OTHER_SSRC 0x22222222u
#define BOB_SSRC 0x0b0b0b0bu
#define CAROL_SSRC 0x0c0c0c0cu
#define PT 96
#define MAPPED_PT 101
#define UNKNOWN_PT 97
#define CLOCK 90000u
/* Extension ids: as Alice sends, and as the others receive. */
#define MID_IN 4
#define RID_IN 10
#define LEVEL_IN 1
#define MID_OUT 1
#define SEND_TIME_OUT 2
#define LEVEL_OUT 7

/* A VP8 payload descriptor of a frame start, then what may be ciphertext. */
static const uint8_t media[] = {0x90, 0x80, 0x12, 0x9d, 0xa5, 0x5a, 0xff, 0x00, 0x01, 0x02, 0x03,
	0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x10};

/** A call as programmed. */
struct call {
	struct world *w;
	struct world_client alice, bob, carol;
	uint16_t seq; /* next of Alice's */
	uint8_t frame_format; /* of what she sends; the epoch is the KID without 16 bits */
	unsigned at; /* worker that receives her flow */
};

static void put_producer(
	struct call *call, uint32_t index, uint32_t version, uint32_t ssrc, uint32_t flags)
{
	struct sfu_command cmd = {
		.type = SFU_CMD_PUT_PRODUCER,
		.version = version,
		.handle = sfu_handle_make(index, 1),
		.u.producer = {
			.transport = call->alice.handle,
			.flags = flags,
			.kind = SFU_VIDEO,
			.codec_count = 1,
			.encoding_count = 1,
			.ext_count = 3,
			.codec = {{PT, MAPPED_PT, SFU_CODEC_VP8, 0, CLOCK}},
			.encoding = {{.ssrc = ssrc}},
			.ext = {{MID_IN, SFU_EXT_MID}, {RID_IN, SFU_EXT_RID},
				{LEVEL_IN, SFU_EXT_AUDIO_LEVEL}},
			.mid_len = 1,
			.mid = "0",
			.cname_len = 5,
			.cname = "alice",
			.frame_format = call->frame_format,
			.kid_epoch_shift = 16,
			.kid_epoch_bits = 48,
		},
	};

	assert_int_equal(world_apply(call->w, &cmd), SFU_STATUS_OK);
}

static void put_consumer(struct call *call, const struct world_client *client, uint32_t index,
	uint32_t version, uint32_t ssrc, uint32_t flags)
{
	struct sfu_command cmd = {
		.type = SFU_CMD_PUT_CONSUMER,
		.version = version,
		.handle = sfu_handle_make(index, 1),
		.u.consumer = {
			.transport = client->handle,
			.producer = sfu_handle_make(0, 1),
			.flags = flags,
			.ssrc = ssrc,
			.encoding = 255,
			.payload_type_count = 1,
			.ext_count = 3,
			.payload_type = {MAPPED_PT},
			.mid_len = 2,
			.ext = {{MID_OUT, SFU_EXT_MID}, {SEND_TIME_OUT, SFU_EXT_ABS_SEND_TIME},
				{LEVEL_OUT, SFU_EXT_AUDIO_LEVEL}},
			.mid = "77",
		},
	};

	assert_int_equal(world_apply(call->w, &cmd), SFU_STATUS_OK);
}

/** Everybody connected with the profile, nothing sent yet. */
static void call_open_with(
	struct call *call, unsigned workers, bool spread, unsigned profile, uint8_t frame_format)
{
	struct world_client *all[] = {&call->alice, &call->bob, &call->carol};

	memset(call, 0, sizeof(*call));
	call->frame_format = frame_format;
	call->seq = 1000;
	call->w = world_open(workers, spread, NULL);
	assert_non_null(call->w);
	assert_int_equal(world_put_room(call->w, 0, 1, true), SFU_STATUS_OK);
	// A port that spreads brings each flow to a worker of its own.
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(world_put_member(call->w, all[i], i, spread ? i % workers : 0,
					 OPEN, profile),
			SFU_STATUS_OK);
	put_producer(call, 0, 1, SSRC, SFU_PRODUCER_E2EE);
	put_consumer(call, &call->bob, 0, 1, BOB_SSRC, 0);
	put_consumer(call, &call->carol, 1, 1, CAROL_SSRC, 0);
	world_turn(call->w);
	world_forget(call->w);
}

static void call_open(struct call *call, unsigned workers, bool spread, unsigned profile)
{
	call_open_with(call, workers, spread, profile, SFU_FRAME_OPAQUE);
}

static void call_close(struct call *call)
{
	world_turn(call->w);
	assert_string_equal(world_books(call->w), "");
	world_client_end(&call->alice);
	world_client_end(&call->bob);
	world_client_end(&call->carol);
	world_close(call->w);
}

static struct pkt_rtp packet(const struct call *call)
{
	return (struct pkt_rtp){
		.ssrc = SSRC,
		.timestamp = (uint32_t)(call->w->now_us * CLOCK / SECOND),
		.seq = call->seq,
		.payload_type = PT,
		.marker = true,
		.mid_id = MID_IN,
		.mid = "0",
		.level_id = LEVEL_IN,
		.level = 0x55,
		.payload = media,
		.payload_len = sizeof(media),
	};
}

/** One packet of Alice's, through to the ends. */
static void alice_sends(struct call *call)
{
	struct pkt_rtp p = packet(call);

	call->seq++;
	world_rtp(call->w, call->at, &call->alice, &p);
	world_turn(call->w);
}

/** The nth RTP packet that went to a client, opened; false when there is none. */
static bool received(struct call *call, struct world_client *client, unsigned nth,
	uint8_t plain[WORLD_PAYLOAD], struct rtp_view *view)
{
	for (unsigned i = 0; i < call->w->sent_count; i++) {
		const struct world_sent *s = &call->w->sent[i];
		int len = (int)s->len;

		if (s->to.port != client->at.port || (s->octets[0] >> 6) != 2
			|| (s->octets[1] >= 192 && s->octets[1] <= 223) || nth--)
			continue;
		memcpy(plain, s->octets, s->len);
		assert_int_equal(srtp_unprotect(client->in, plain, &len), srtp_err_status_ok);
		assert_int_equal(rtp_parse(plain, (size_t)len, view), RTP_OK);
		return true;
	}
	return false;
}

static unsigned rtp_count(const struct call *call, const struct world_client *client)
{
	unsigned n = 0;

	for (unsigned i = 0; i < call->w->sent_count; i++) {
		const struct world_sent *s = &call->w->sent[i];

		n += s->to.port == client->at.port && (s->octets[0] >> 6) == 2
		     && !(s->octets[1] >= 192 && s->octets[1] <= 223);
	}
	return n;
}

/** How many packets of an RTCP type (and count field, if not negative) went to a client. */
static unsigned rtcp_received(struct call *call, struct world_client *client, unsigned type,
	int count, struct rtcp_packet *last, uint8_t keep[WORLD_PAYLOAD])
{
	unsigned n = 0;

	for (unsigned i = 0; i < call->w->sent_count; i++) {
		const struct world_sent *s = &call->w->sent[i];
		int len = (int)s->len;
		uint8_t plain[WORLD_PAYLOAD];
		struct rtcp_packet p;
		struct rtcp_iter it;

		if (s->to.port != client->at.port || s->octets[1] < 192 || s->octets[1] > 223
			|| (s->octets[0] >> 6) != 2)
			continue;
		memcpy(plain, s->octets, s->len);
		assert_int_equal(srtp_unprotect_rtcp(client->in, plain, &len), srtp_err_status_ok);
		rtcp_iter_init(&it, plain, (size_t)len);
		while (rtcp_next(&it, &p) == RTCP_OK) {
			if (p.type != type || (count >= 0 && p.count != count))
				continue;
			n++;
			if (!last)
				continue;
			memcpy(keep, plain, (size_t)len);
			*last = p;
			last->body = keep + (p.body - plain);
		}
	}
	return n;
}

/* --- ICE and DTLS --- */

static void only_the_sender_of_an_authentic_check_is_answered(void **state)
{
	struct row {
		const char *about;
		const char *ufrag, *pwd;
		uint8_t role;
		int damage; /* octet to flip, from the end; 0 = none */
		enum drop_reason drop;
		unsigned answers;
	} rows[] = {
		{"an authentic check", "ufrag0", "password-of-22-octets-0", STUN_ROLE_CONTROLLING,
			0, DROP_COUNT, 1},
		{"a ufrag that was not issued", "ufrag9", "password-of-22-octets-0",
			STUN_ROLE_CONTROLLING, 0, DROP_stun_ufrag, 0},
		{"another password", "ufrag0", "password-of-22-octets-1", STUN_ROLE_CONTROLLING, 0,
			DROP_stun_integrity, 0},
		{"a damaged fingerprint", "ufrag0", "password-of-22-octets-0",
			STUN_ROLE_CONTROLLING, 1, DROP_stun_fingerprint, 0},
		{"no fingerprint", "ufrag0", "password-of-22-octets-0", STUN_ROLE_CONTROLLING, -8,
			DROP_stun_fingerprint, 0},
		{"a length that is not true", "ufrag0", "password-of-22-octets-0",
			STUN_ROLE_CONTROLLING, -4, DROP_stun_malformed, 0},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct world *w = world_open(1, true, NULL);
		const struct row *r = &rows[i];
		struct world_client c;
		uint8_t check[256];
		size_t len;

		print_message("  %s\n", r->about);
		world_put_room(w, 0, 1, false);
		world_put_peer(w, 0, 1, 0, 0);
		world_put_client(w, &c, 0, 0, 1, 50000);
		len = pkt_check(check, sizeof(check), r->ufrag, r->pwd, r->role, false, &w->checks);
		if (r->damage > 0)
			check[len - (size_t)r->damage] ^= 1;
		if (r->damage < 0)
			len -= (size_t)-r->damage;
		if (r->damage == -8)
			check[3] = (uint8_t)(check[3] - 8);
		world_receive(w, 0, &c.at, check, len);
		world_turn(w);
		assert_int_equal(w->sent_count, r->answers);
		assert_int_equal(w->notice_count, r->answers ? 2 : 0);
		assert_int_equal(tuple_table_count(w->workers[0].tuples), r->answers);
		if (r->drop != DROP_COUNT)
			assert_int_equal(world_drops(w, r->drop), 1);
		assert_string_equal(world_books(w), "");
		world_close(w);
	}
}

static void an_answer_says_where_the_check_came_from(void **state)
{
	struct world *w = world_open(1, true, NULL);
	struct world_client c;
	struct stun_view view;

	(void)state;
	world_put_room(w, 0, 1, false);
	world_put_peer(w, 0, 1, 0, 0);
	world_put_client(w, &c, 0, 0, 1, 50123);
	world_check(w, 0, &c, true);
	assert_int_equal(w->sent_count, 1);
	assert_memory_equal(w->sent[0].to.mac, c.at.mac, 6);
	assert_memory_equal(w->sent[0].to.ip, c.at.ip, 4);
	assert_int_equal(w->sent[0].to.port, 50123);
	assert_int_equal(w->sent[0].from.port, 40000);
	assert_int_equal(stun_parse(w->sent[0].octets, w->sent[0].len, &view), STUN_OK);
	assert_int_equal(view.class, STUN_SUCCESS);
	assert_int_equal(stun_verify(w->sent[0].octets, &view, (const uint8_t *)c.pwd,
				 strlen(c.pwd), &pkt_stun_crypto),
		STUN_OK);
	assert_int_equal(view.mapped.port, 50123);
	assert_memory_equal(view.mapped.ip, c.at.ip, 4);
	assert_int_equal(w->workers[0].count.answered, 1);
	assert_int_equal(w->notice_count, 3);
	assert_int_equal(w->notices[0].kind, NOTICE_CLAIMED);
	assert_int_equal(w->notices[1].kind, NOTICE_VALIDATED);
	assert_int_equal(w->notices[2].kind, NOTICE_NOMINATED);
	world_close(w);
}

static void a_client_in_our_role_is_told_and_learns_us_nothing(void **state)
{
	struct world *w = world_open(1, true, NULL);
	struct world_client c;
	struct stun_view view;
	uint8_t check[256];
	size_t len;

	(void)state;
	world_put_room(w, 0, 1, false);
	world_put_peer(w, 0, 1, 0, 0);
	world_put_client(w, &c, 0, 0, 1, 50000);
	len = pkt_check(
		check, sizeof(check), c.ufrag, c.pwd, STUN_ROLE_CONTROLLED, true, &w->checks);
	world_receive(w, 0, &c.at, check, len);
	world_turn(w);
	assert_int_equal(w->sent_count, 1);
	assert_int_equal(stun_parse(w->sent[0].octets, w->sent[0].len, &view), STUN_OK);
	assert_int_equal(view.error_code, 487);
	assert_int_equal(transport_find(&w->objects, c.handle)->validated, 0);
	world_close(w);
}

static void addresses_of_a_transport_are_bounded_and_stale_ones_give_way(void **state)
{
	struct world *w = world_open(1, true, NULL);
	struct world_client c;

	(void)state;
	world_put_room(w, 0, 1, false);
	world_put_peer(w, 0, 1, 0, 0);
	world_put_client(w, &c, 0, 0, 1, 50000);
	for (unsigned i = 0; i < TRANSPORT_TUPLES; i++) {
		c.at.port = (uint16_t)(50000 + i);
		world_check(w, 0, &c, i == 0);
	}
	assert_int_equal(w->sent_count, TRANSPORT_TUPLES);
	c.at.port = 51000;
	world_check(w, 0, &c, false);
	assert_int_equal(w->sent_count, TRANSPORT_TUPLES);
	assert_int_equal(world_drops(w, DROP_stun_tuples), 1);
	// The nominated one stays, an unchecked one of the others gives way.
	for (unsigned s = 0; s < 32; s++) {
		world_pass(w, SECOND, 100 * MS);
		c.at.port = 50000;
		world_check(w, 0, &c, true);
	}
	c.at.port = 51000;
	world_check(w, 0, &c, false);
	assert_int_equal(world_drops(w, DROP_stun_tuples), 1);
	assert_int_equal(transport_find(&w->objects, c.handle)->active, 0);
	assert_string_equal(world_books(w), "");
	world_close(w);
}

static void the_newest_nomination_wins(void **state)
{
	struct call call;

	(void)state;
	call_open(&call, 1, true, SFU_SRTP_AEAD_AES_128_GCM);
	call.bob.at.port = 50500;
	world_check(call.w, 0, &call.bob, false);
	world_forget(call.w);
	alice_sends(&call);
	assert_int_equal(rtp_count(&call, &call.bob), 0);
	world_check(call.w, 0, &call.bob, true);
	world_forget(call.w);
	alice_sends(&call);
	assert_int_equal(rtp_count(&call, &call.bob), 1);
	call_close(&call);
}

static void dtls_is_punted_only_from_a_validated_address(void **state)
{
	static const uint8_t record[64] = {22, 0xfe, 0xfd};
	static const uint8_t giant[SFU_DTLS_MAX_BYTES + 1] = {22, 0xfe, 0xfd};
	struct world *w = world_open(1, true, NULL);
	struct world_client c;
	struct worker_order o = {.kind = ORDER_DTLS};
	struct pkt_addr stranger;

	(void)state;
	world_put_room(w, 0, 1, false);
	world_put_peer(w, 0, 1, 0, 0);
	world_put_client(w, &c, 0, 0, 1, 50000);
	world_receive(w, 0, &c.at, record, sizeof(record));
	world_turn(w);
	assert_int_equal(world_drops(w, DROP_tuple_unknown), 1);
	world_check(w, 0, &c, false);
	world_forget(w);
	world_receive(w, 0, &c.at, record, sizeof(record));
	stranger = c.at;
	stranger.port++;
	world_receive(w, 0, &stranger, record, sizeof(record));
	world_receive(w, 0, &c.at, giant, sizeof(giant));
	world_turn(w);
	assert_int_equal(world_drops(w, DROP_tuple_unknown), 2);
	assert_int_equal(world_drops(w, DROP_dtls_size), 1);
	assert_int_equal(w->notice_count, 1);
	assert_int_equal(w->notices[0].kind, NOTICE_DTLS);
	assert_true(w->notices[0].transport == c.handle);
	assert_int_equal(w->sent_count, 0);

	// The answer goes the same way back; to an address that is gone it goes nowhere.
	o.handle = c.handle;
	for (unsigned i = 0; i < 2; i++) {
		o.value = i ? 99 : w->notices[0].value;
		o.mbuf = rte_pktmbuf_alloc(w->pool);
		memcpy(rte_pktmbuf_append(o.mbuf, sizeof(record)), record, sizeof(record));
		assert_int_equal(
			rte_ring_sp_enqueue_elem(w->workers[0].from_house, &o, sizeof(o)), 0);
	}
	world_turn(w);
	assert_int_equal(w->sent_count, 1);
	assert_int_equal(w->sent[0].to.port, c.at.port);
	assert_memory_equal(w->sent[0].octets, record, sizeof(record));

	for (unsigned i = 0; i < 100; i++)
		world_receive(w, 0, &c.at, record, sizeof(record));
	world_turn(w);
	assert_true(world_drops(w, DROP_dtls_rate) >= 30);
	assert_true(w->workers[0].count.punted <= 65);
	assert_string_equal(world_books(w), "");
	world_close(w);
}

static void dtls_is_sent_as_far_as_the_path_is_wide(void **state)
{
	static const uint8_t record[SFU_DTLS_MAX_BYTES] = {22, 0xfe, 0xfd};
	static const struct {
		bool is_ip6;
		uint16_t hinted;
		uint16_t len;
		bool goes;
	} rows[] = {
		{false, 0, 1472, true},
		{false, 0, 1473, false},
		{true, 0, 1452, true},
		{true, 0, 1453, false},
		{true, 0, SFU_DTLS_MAX_BYTES, false},
		{true, 1280, 1232, true},
		{true, 1280, 1233, false},
	};

	(void)state;
	for (size_t i = 0; i < RTE_DIM(rows); i++) {
		struct world *w = world_open(1, true, NULL);
		const struct worker_counters *count = &w->workers[0].count;
		struct worker_order o = {.kind = ORDER_DTLS};
		struct world_client c;
		struct transport *t;
		uint64_t sent;

		world_put_room(w, 0, 1, false);
		world_put_peer(w, 0, 1, 0, 0);
		world_put_client(w, &c, 0, 0, 1, 50000);
		if (rows[i].is_ip6) {
			c.at.is_ip6 = true;
			memcpy(c.at.ip, (uint8_t[16]){0xfd, 0x99, [15] = 0x09}, 16);
		}
		world_check(w, 0, &c, false);
		t = transport_find(&w->objects, c.handle);
		assert_non_null(t);
		// Widest of all headers; the tag is no part of the MTU.
		t->tuples[t->active].tuple.vlan = 7;
		t->tuples[t->active].mtu = rows[i].hinted;
		t->tuples[t->active].mtu_us = w->now_us;
		sent = count->tx_packets;
		o.handle = c.handle;
		// Along a tuple by its name, and along the one in use.
		for (unsigned named = 0; named < 2; named++) {
			o.value = named ? t->tuples[t->active].id : 0;
			o.mbuf = rte_pktmbuf_alloc(w->pool);
			memcpy(rte_pktmbuf_append(o.mbuf, rows[i].len), record, rows[i].len);
			assert_int_equal(
				rte_ring_sp_enqueue_elem(w->workers[0].from_house, &o, sizeof(o)),
				0);
		}
		world_turn(w);
		assert_int_equal(count->dtls_sent, rows[i].goes ? 2 : 0);
		assert_int_equal(count->dtls_too_long, rows[i].goes ? 0 : 2);
		assert_int_equal(count->tx_packets - sent, rows[i].goes ? 2 : 0);
		assert_string_equal(world_books(w), "");
		world_close(w);
	}
}

static void without_checks_consent_ends_and_nothing_is_sent(void **state)
{
	struct call call;

	(void)state;
	call_open(&call, 1, true, SFU_SRTP_AEAD_AES_128_GCM);
	for (unsigned s = 0; s < 31; s++) {
		world_pass(call.w, SECOND, 250 * MS);
		world_check(call.w, 0, &call.alice, true);
		world_check(call.w, 0, &call.carol, true);
	}
	assert_true(call.w->notice_count > 0);
	assert_int_equal(call.w->notices[call.w->notice_count - 1].kind, NOTICE_CONSENT_LOST);
	assert_true(call.w->notices[call.w->notice_count - 1].transport == call.bob.handle);
	world_forget(call.w);
	alice_sends(&call);
	assert_int_equal(rtp_count(&call, &call.bob), 0);
	assert_int_equal(rtp_count(&call, &call.carol), 1);
	assert_int_equal(world_edges(call.w, EDGE_not_connected), 1);
	world_check(call.w, 0, &call.bob, true);
	assert_int_equal(world_drops(call.w, DROP_transport_closed), 1);
	call_close(&call);
}

/* --- media --- */

static void check_copy(struct call *call, struct world_client *client, uint32_t ssrc)
{
	uint8_t plain[WORLD_PAYLOAD];
	struct rtp_ext_elem e;
	struct rtp_view v;
	uint8_t sent_at[3];

	assert_true(received(call, client, 0, plain, &v));
	assert_int_equal(v.ssrc, ssrc);
	assert_int_equal(v.payload_type, MAPPED_PT);
	assert_true(v.marker);
	assert_true(v.seq < 0x8000);
	assert_int_equal(v.payload_len, sizeof(media));
	assert_memory_equal(plain + v.payload_off, media, sizeof(media));
	assert_true(rtp_ext_find(v.ext_profile, plain + v.ext_off, v.ext_len, MID_OUT, &e));
	assert_int_equal(e.len, 2);
	assert_memory_equal(e.data, "77", 2);
	assert_true(rtp_ext_find(v.ext_profile, plain + v.ext_off, v.ext_len, LEVEL_OUT, &e));
	assert_int_equal(e.data[0], 0x55);
	assert_true(rtp_ext_find(v.ext_profile, plain + v.ext_off, v.ext_len, SEND_TIME_OUT, &e));
	rtp_ext_put_be24(sent_at, rtp_ext_abs_send_time(call->w->now_us));
	assert_memory_equal(e.data, sent_at, 3);
	assert_false(rtp_ext_find(v.ext_profile, plain + v.ext_off, v.ext_len, MID_IN, &e));
	assert_false(rtp_ext_find(v.ext_profile, plain + v.ext_off, v.ext_len, RID_IN, &e));
}

static void every_profile_brings_the_same_payload_to_each_consumer(void **state)
{
	static const unsigned profiles[] = {
		SFU_SRTP_AES128_CM_SHA1_80, SFU_SRTP_AEAD_AES_128_GCM, SFU_SRTP_AEAD_AES_256_GCM};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct pkt_rtp p;
		struct call call;

		call_open(&call, 1, true, profiles[i]);
		p = packet(&call);
		p.rid_id = RID_IN;
		p.rid = "h";
		world_rtp(call.w, 0, &call.alice, &p);
		world_turn(call.w);
		assert_int_equal(rtp_count(&call, &call.alice), 0);
		check_copy(&call, &call.bob, BOB_SSRC);
		check_copy(&call, &call.carol, CAROL_SSRC);
		assert_int_equal(call.w->workers[0].count.forwarded, 1);
		assert_int_equal(call.w->workers[0].count.egress_packets, 2);
		call_close(&call);
	}
}

/** What Alice, or somebody in her name, may send, and what becomes of it. */
static void nothing_but_authentic_media_is_forwarded(void **state)
{
	enum deed {
		PLAIN,
		REPLAYED,
		DAMAGED,
		WRONG_KEY,
		FROM_ELSEWHERE,
		UNKNOWN_SSRC,
		UNKNOWN_TYPE,
		PADDING_ONLY,
		PADDED,
		BAD_PADDING,
		SHORT,
		JUNK,
		GATE_OF_ALICE,
		PAUSED,
	};
	static const struct {
		const char *about;
		enum deed deed;
		enum drop_reason drop;
		unsigned copies;
	} rows[] = {
		{"a good packet", PLAIN, DROP_COUNT, 2},
		{"a replay", REPLAYED, DROP_srtp_replay, 2},
		{"a damaged tag", DAMAGED, DROP_srtp_auth, 0},
		{"another key", WRONG_KEY, DROP_srtp_auth, 0},
		{"another address", FROM_ELSEWHERE, DROP_tuple_unknown, 0},
		{"an SSRC that nobody announced", UNKNOWN_SSRC, DROP_srtp_ssrc, 0},
		{"a payload type that nobody announced", UNKNOWN_TYPE, DROP_rtp_payload_type, 0},
		{"a probe of padding on the media's own SSRC", PADDING_ONLY, DROP_COUNT, 2},
		{"a padded packet", PADDED, DROP_COUNT, 2},
		{"more padding than packet", BAD_PADDING, DROP_rtp_malformed, 0},
		{"a header cut off", SHORT, DROP_rtp_malformed, 0},
		{"junk", JUNK, DROP_kind_unknown, 0},
		{"a sender that is not ready", GATE_OF_ALICE, DROP_producer_gate, 0},
		{"a paused producer", PAUSED, DROP_producer_paused, 0},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t buf[256];
		struct world_client *from;
		struct pkt_rtp p;
		struct call call;
		int len;

		print_message("  %s\n", rows[i].about);
		call_open(&call, 1, true, SFU_SRTP_AEAD_AES_128_GCM);
		p = packet(&call);
		from = rows[i].deed == WRONG_KEY ? &call.bob : &call.alice;
		switch (rows[i].deed) {
		case UNKNOWN_SSRC:
			p.ssrc = OTHER_SSRC;
			p.mid_id = 0;
			break;
		case UNKNOWN_TYPE:
			p.payload_type = UNKNOWN_PT;
			break;
		case PADDING_ONLY:
			p.payload_len = 0;
			p.padding = 200;
			break;
		case PADDED:
			p.padding = 9;
			break;
		case BAD_PADDING:
			p.padding = 1;
			break;
		case GATE_OF_ALICE:
			world_put_peer(call.w, 0, 2, 0, call.w->now_us);
			break;
		case PAUSED:
			put_producer(&call, 0, 2, SSRC, SFU_PRODUCER_E2EE | SFU_PRODUCER_PAUSED);
			break;
		default:
			break;
		}
		len = (int)pkt_rtp(buf, sizeof(buf), &p);
		if (rows[i].deed == BAD_PADDING)
			buf[len - 1] = 255;
		assert_int_equal(srtp_protect(from->out, buf, &len), srtp_err_status_ok);
		if (rows[i].deed == DAMAGED)
			buf[len - 1] ^= 1;
		if (rows[i].deed == SHORT)
			len = 14;
		if (rows[i].deed == JUNK)
			buf[0] = 0xff;
		if (rows[i].deed == FROM_ELSEWHERE)
			call.alice.at.port = 55555;
		world_receive(call.w, 0, &call.alice.at, buf, (size_t)len);
		if (rows[i].deed == REPLAYED)
			world_receive(call.w, 0, &call.alice.at, buf, (size_t)len);
		world_turn(call.w);
		if (rows[i].drop != DROP_COUNT)
			assert_int_equal(world_drops(call.w, rows[i].drop), 1);
		assert_int_equal(call.w->workers[0].count.egress_packets, rows[i].copies);
		if (rows[i].deed == PADDED)
			check_copy(&call, &call.bob, BOB_SSRC);
		if (rows[i].deed == PADDING_ONLY) {
			uint8_t plain[WORLD_PAYLOAD];
			struct rtp_view view;

			// Its number is the sequence's: left out it would look like a loss.
			assert_true(received(&call, &call.bob, 0, plain, &view));
			assert_int_equal(view.payload_len, 0);
			assert_false(view.padding);
		}
		call_close(&call);
	}
}

static void before_keys_media_is_dropped(void **state)
{
	static const uint8_t rtp[64] = {0x80, PT};
	struct call call;

	(void)state;
	call_open(&call, 1, true, 0);
	world_receive(call.w, 0, &call.alice.at, rtp, sizeof(rtp));
	world_turn(call.w);
	assert_int_equal(world_drops(call.w, DROP_srtp_no_keys), 1);
	call_close(&call);
}

static void a_shut_gate_holds_until_the_peer_is_ready(void **state)
{
	uint8_t plain[WORLD_PAYLOAD];
	struct rtp_view first, after;
	struct call call;

	(void)state;
	call_open(&call, 1, true, SFU_SRTP_AEAD_AES_128_GCM);
	alice_sends(&call);
	assert_true(received(&call, &call.bob, 0, plain, &first));
	world_forget(call.w);

	// Bob has a grace of 50 ms, then nothing.
	world_put_peer(call.w, 1, 2, 0, call.w->now_us + 50 * MS);
	world_pass(call.w, 40 * MS, 20 * MS);
	alice_sends(&call);
	assert_int_equal(rtp_count(&call, &call.bob), 1);
	world_pass(call.w, 60 * MS, 20 * MS);
	world_forget(call.w);
	for (unsigned i = 0; i < 50; i++)
		alice_sends(&call);
	assert_int_equal(rtp_count(&call, &call.bob), 0);
	assert_int_equal(rtp_count(&call, &call.carol), 50);
	assert_int_equal(world_edges(call.w, EDGE_gate), 50);

	// Ready again: at once, without a gap, and with a key-frame request.
	world_pass(call.w, SECOND, 250 * MS);
	world_forget(call.w);
	world_put_peer(call.w, 1, 3, 0, OPEN);
	alice_sends(&call);
	assert_true(received(&call, &call.bob, 0, plain, &after));
	assert_int_equal((uint16_t)(after.seq - first.seq), 2);
	assert_int_equal(
		rtcp_received(&call, &call.alice, RTCP_PSFB, RTCP_PSFB_PLI, NULL, NULL), 1);
	call_close(&call);
}

/** Whoever looked at a frozen picture has asked all the while: that must not delay its end. */
static void a_sender_that_is_ready_again_is_asked_for_a_key_frame_at_once(void **state)
{
	struct call call;
	uint8_t pli[16];

	(void)state;
	call_open(&call, 1, true, SFU_SRTP_AEAD_AES_128_GCM);
	alice_sends(&call);
	world_put_peer(call.w, 0, 2, 0, 0);
	for (unsigned i = 0; i < 40; i++) {
		alice_sends(&call);
		world_rtcp(
			call.w, 0, &call.bob, pli, rtcp_encode_pli(pli, sizeof(pli), 1, BOB_SSRC));
		world_pass(call.w, 50 * MS, 50 * MS);
	}
	assert_int_equal(world_drops(call.w, DROP_producer_gate), 40);
	for (unsigned i = 0; i < 10; i++) {
		// Soon after the last request too, as long as they are no more than two in a second.
		world_put_peer(call.w, 0, 3 + 2 * i, 0, OPEN);
		world_forget(call.w);
		alice_sends(&call);
		world_pass(call.w, 10 * MS, 10 * MS);
		assert_int_equal(
			rtcp_received(&call, &call.alice, RTCP_PSFB, RTCP_PSFB_PLI, NULL, NULL), 1);
		world_put_peer(call.w, 0, 4 + 2 * i, 0, 0);
		alice_sends(&call);
		world_pass(call.w, (i % 2 ? 900 : 290) * MS, 10 * MS);
	}
	call_close(&call);
}

/* --- epochs of encrypted frames --- */

static void put_room(struct call *call, uint64_t epoch, uint64_t older_until_us, uint8_t stale)
{
	static uint32_t version = 100;
	struct sfu_command cmd = {
		.type = SFU_CMD_PUT_ROOM,
		.version = ++version,
		.handle = sfu_handle_make(0, call->w->generation),
		.u.room
		= {.epoch = epoch, .older_until_us = older_until_us, .required = 1, .stale = stale},
	};

	assert_int_equal(world_apply(call->w, &cmd), SFU_STATUS_OK);
}

/** A packet of Alice's that begins a frame with this header, or goes on with the last one. */
static void frame_sent(struct call *call, const uint8_t *header, size_t header_len, bool begins)
{
	uint8_t payload[64] = {begins ? 0x90 : 0x80, 0x80, 0x12};
	struct pkt_rtp p = packet(call);

	memset(payload + 3, 0x99, sizeof(payload) - 3);
	memcpy(payload + 3, header, header_len);
	p.payload = payload;
	p.payload_len = sizeof(payload);
	call->seq++;
	world_rtp(call->w, call->at, &call->alice, &p);
	world_turn(call->w);
}

/** A frame of two packets: how many of them Bob gets. */
static unsigned frame_passes(struct call *call, const uint8_t *header, size_t header_len)
{
	world_pass(call->w, 10 * MS, 10 * MS);
	world_forget(call->w);
	frame_sent(call, header, header_len, true);
	frame_sent(call, header, 0, false);
	return rtp_count(call, &call->bob);
}

static void frames_of_an_epoch_that_is_over_are_told_from_others(void **state)
{
	/* KID 0x50007: epoch 5 of sender 7; then with a counter of two octets, and so on */
	static const struct {
		const char *what;
		uint8_t format, header[8], len;
		uint64_t epoch; /* the room's */
		enum drop_reason reason; /* where stale ones are dropped; DROP_COUNT = passes */
	} rows[] = {
		{"RFC 9605, the room's", SFU_FRAME_RFC9605, {0xa1, 5, 0, 7}, 4, 5, DROP_COUNT},
		{"RFC 9605, one older", SFU_FRAME_RFC9605, {0xa1, 5, 0, 7}, 4, 6, DROP_frame_stale},
		{"RFC 9605, a long counter", SFU_FRAME_RFC9605, {0xa9, 5, 0, 7, 1, 0}, 6, 6,
			DROP_frame_stale},
		{"RFC 9605, one newer", SFU_FRAME_RFC9605, {0xa1, 5, 0, 7}, 4, 4, DROP_COUNT},
		{"RFC 9605, epoch 0 long after", SFU_FRAME_RFC9605, {0x70}, 1, 1ull << 40,
			DROP_frame_stale},
		{"RFC 9605, not the shortest form", SFU_FRAME_RFC9605, {0xa1, 0, 0, 7}, 4, 5,
			DROP_frame_header},
		{"reference, the room's", SFU_FRAME_REFERENCE, {5}, 1, 5, DROP_COUNT},
		{"reference, one older", SFU_FRAME_REFERENCE, {5}, 1, 6, DROP_frame_stale},
		{"reference, 128 epochs are one turn", SFU_FRAME_REFERENCE, {5}, 1, 133,
			DROP_COUNT},
		{"reference, older across the turn", SFU_FRAME_REFERENCE, {127}, 1, 128,
			DROP_frame_stale},
		{"reference, newer across the turn", SFU_FRAME_REFERENCE, {0}, 1, 127, DROP_COUNT},
		{"reference, no epoch", SFU_FRAME_REFERENCE, {0x85}, 1, 5, DROP_frame_header},
		{"opaque", SFU_FRAME_OPAQUE, {5}, 1, 9, DROP_COUNT},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct worker_counters *count;
		unsigned stale = rows[i].reason == DROP_frame_stale;
		unsigned unreadable = rows[i].reason == DROP_frame_header;
		struct call call;

		print_message("%s\n", rows[i].what);
		call_open_with(&call, 1, true, SFU_SRTP_AEAD_AES_128_GCM, rows[i].format);
		count = &call.w->workers[0].count;
		put_room(&call, rows[i].epoch, 0, SFU_STALE_COUNT);
		assert_int_equal(frame_passes(&call, rows[i].header, rows[i].len), 2);
		assert_int_equal(count->frames_stale, stale);
		assert_int_equal(count->frames_unreadable, unreadable);
		put_room(&call, rows[i].epoch, 0, SFU_STALE_DROP);
		assert_int_equal(frame_passes(&call, rows[i].header, rows[i].len),
			stale || unreadable ? 0 : 2);
		assert_int_equal(world_drops(call.w, DROP_frame_stale), 2 * stale);
		assert_int_equal(world_drops(call.w, DROP_frame_header), 2 * unreadable);
		call_close(&call);
	}
}

static void an_old_key_is_in_order_until_the_grace_is_over(void **state)
{
	static const uint8_t old_key[] = {0xa1, 5, 0, 7}, new_key[] = {0xa1, 6, 0, 7};
	struct call call;

	(void)state;
	call_open_with(&call, 1, true, SFU_SRTP_AEAD_AES_128_GCM, SFU_FRAME_RFC9605);
	put_room(&call, 5, 0, SFU_STALE_DROP);
	assert_int_equal(frame_passes(&call, old_key, 4), 2);
	put_room(&call, 6, call.w->now_us + 50 * MS, SFU_STALE_DROP);
	assert_int_equal(frame_passes(&call, old_key, 4), 2);
	world_pass(call.w, 50 * MS, 10 * MS);
	assert_int_equal(frame_passes(&call, old_key, 4), 0);
	// Whoever changes the key goes on at once, and is asked for a key frame.
	assert_int_equal(frame_passes(&call, new_key, 4), 2);
	assert_int_equal(world_drops(call.w, DROP_frame_stale), 2);
	world_pass(call.w, SECOND, 250 * MS);
	assert_true(rtcp_received(&call, &call.alice, RTCP_PSFB, RTCP_PSFB_PLI, NULL, NULL) > 0);
	call_close(&call);
}

static void in_a_room_that_requires_nothing_no_gate_is_shut(void **state)
{
	struct call call;

	(void)state;
	call_open(&call, 1, true, SFU_SRTP_AEAD_AES_128_GCM);
	world_put_peer(call.w, 1, 2, 0, 0);
	alice_sends(&call);
	assert_int_equal(rtp_count(&call, &call.bob), 0);
	assert_int_equal(world_put_room(call.w, 0, 2, false), SFU_STATUS_OK);
	alice_sends(&call);
	assert_int_equal(rtp_count(&call, &call.bob), 1);
	assert_int_equal(world_put_room(call.w, 0, 3, true), SFU_STATUS_OK);
	alice_sends(&call);
	assert_int_equal(rtp_count(&call, &call.bob), 1);
	call_close(&call);
}

static void a_paused_consumer_goes_on_without_a_gap(void **state)
{
	uint8_t plain[WORLD_PAYLOAD];
	struct rtp_view before, after;
	struct call call;

	(void)state;
	call_open(&call, 1, true, SFU_SRTP_AEAD_AES_128_GCM);
	alice_sends(&call);
	assert_true(received(&call, &call.bob, 0, plain, &before));
	put_consumer(&call, &call.bob, 0, 2, BOB_SSRC, SFU_CONSUMER_PAUSED);
	world_pass(call.w, 200 * MS, 100 * MS);
	for (unsigned i = 0; i < 20; i++)
		alice_sends(&call);
	assert_int_equal(rtp_count(&call, &call.bob), 1);
	world_pass(call.w, 1800 * MS, 100 * MS);
	world_forget(call.w);
	put_consumer(&call, &call.bob, 0, 3, BOB_SSRC, 0);
	world_turn(call.w);
	assert_int_equal(
		rtcp_received(&call, &call.alice, RTCP_PSFB, RTCP_PSFB_PLI, NULL, NULL), 1);
	alice_sends(&call);
	assert_true(received(&call, &call.bob, 0, plain, &after));
	assert_int_equal((uint16_t)(after.seq - before.seq), 1);
	assert_int_equal(after.timestamp - before.timestamp, 2 * CLOCK);
	call_close(&call);
}

static void an_ssrc_is_learnt_by_mid_and_changed_by_it(void **state)
{
	uint8_t plain[WORLD_PAYLOAD];
	struct rtp_view first, second;
	struct sfu_command gone
		= {.type = SFU_CMD_DELETE_PRODUCER, .handle = sfu_handle_make(0, 1)};
	struct pkt_rtp p;
	struct call call;

	(void)state;
	call_open(&call, 1, true, SFU_SRTP_AEAD_AES_128_GCM);
	// The same again, but with an SSRC to learn.
	assert_int_equal(world_apply(call.w, &gone), SFU_STATUS_OK);
	world_turn(call.w);
	{
		struct sfu_command cmd = {
			.type = SFU_CMD_PUT_PRODUCER,
			.version = 1,
			.handle = sfu_handle_make(0, 2),
			.u.producer = {
				.transport = call.alice.handle,
				.kind = SFU_VIDEO,
				.codec_count = 1,
				.encoding_count = 1,
				.ext_count = 1,
				.codec = {{PT, MAPPED_PT, SFU_CODEC_VP8, 0, CLOCK}},
				.ext = {{MID_IN, SFU_EXT_MID}},
				.mid_len = 1,
				.mid = "0",
			},
		};

		assert_int_equal(world_apply(call.w, &cmd), SFU_STATUS_OK);
		cmd = (struct sfu_command){
			.type = SFU_CMD_PUT_CONSUMER,
			.version = 1,
			.handle = sfu_handle_make(2, 1),
			.u.consumer = {
				.transport = call.bob.handle,
				.producer = sfu_handle_make(0, 2),
				.ssrc = BOB_SSRC + 2,
				.encoding = 255,
				.payload_type_count = 1,
				.payload_type = {MAPPED_PT},
			},
		};
		assert_int_equal(world_apply(call.w, &cmd), SFU_STATUS_OK);
	}
	p = packet(&call);
	p.ssrc = OTHER_SSRC;
	p.mid = "9";
	world_rtp(call.w, 0, &call.alice, &p);
	assert_int_equal(world_drops(call.w, DROP_srtp_ssrc), 1);
	p.mid = "0";
	p.seq++;
	world_rtp(call.w, 0, &call.alice, &p);
	world_turn(call.w);
	assert_true(received(&call, &call.bob, 0, plain, &first));
	// Bound now: no extension needed.
	p.mid_id = 0;
	p.seq++;
	world_rtp(call.w, 0, &call.alice, &p);
	world_turn(call.w);
	assert_int_equal(rtp_count(&call, &call.bob), 2);
	// A new source takes over, the old one is out.
	world_forget(call.w);
	call.w->now_us += 10 * MS;
	p.ssrc = 0x33333333;
	p.seq = 60000;
	p.timestamp = 5;
	p.mid_id = MID_IN;
	world_rtp(call.w, 0, &call.alice, &p);
	world_turn(call.w);
	assert_true(received(&call, &call.bob, 0, plain, &second));
	assert_int_equal((uint16_t)(second.seq - first.seq), 2);
	assert_true(second.timestamp - first.timestamp > 0
		    && second.timestamp - first.timestamp <= CLOCK);
	p.ssrc = OTHER_SSRC;
	p.seq = (uint16_t)(call.seq + 3);
	world_rtp(call.w, 0, &call.alice, &p);
	world_turn(call.w);
	assert_int_equal(rtp_count(&call, &call.bob), 1);
	assert_int_equal(world_drops(call.w, DROP_srtp_ssrc), 2);
	call_close(&call);
}

/** A source that takes over has timestamps of its own, behind those of the one before or not. */
static void key_frames_of_another_source_are_seen(void **state)
{
	// Back by less than what the meter takes for a new start, by more, and forward.
	static const uint32_t step[] = {(uint32_t)-5 * CLOCK, (uint32_t)-1000 * CLOCK, 5 * CLOCK};
	static uint8_t big[1000];
	struct sfu_command gone
		= {.type = SFU_CMD_DELETE_PRODUCER, .handle = sfu_handle_make(0, 1)};
	struct producer *producer;
	uint64_t seen;
	struct pkt_rtp p;
	struct call call;

	(void)state;
	memcpy(big, media, sizeof(media));
	for (unsigned k = 0; k < sizeof(step) / sizeof(step[0]); k++) {
		call_open(&call, 1, true, SFU_SRTP_AEAD_AES_128_GCM);
		// One like Alice's, but with an SSRC to learn.
		assert_int_equal(world_apply(call.w, &gone), SFU_STATUS_OK);
		put_producer(&call, 1, 1, 0, SFU_PRODUCER_E2EE);
		producer = producer_find(&call.w->objects, sfu_handle_make(1, 1));
		for (unsigned i = 0; i < 50; i++)
			alice_sends(&call);
		world_pass(call.w, SECOND, 100 * MS);
		alice_sends(&call);
		seen = producer->key_frames;
		p = packet(&call);
		p.ssrc = OTHER_SSRC;
		p.seq = 60000;
		p.timestamp += step[k];
		p.payload = big;
		p.payload_len = sizeof(big);
		world_rtp(call.w, 0, &call.alice, &p);
		world_turn(call.w);
		assert_int_equal(producer->bound_ssrc[0], OTHER_SSRC);
		assert_int_equal(producer->key_frames, seen + 1);
		call_close(&call);
	}
}

/** A screen shared and shared no more, a hundred times: each time a source of its own. */
static void sources_come_and_go_without_end(void **state)
{
	// An empty receiver report of the first of them.
	static const uint8_t report[] = {0x80, 201, 0, 1, 0x40, 0, 0, 0};
	const unsigned times = 100;
	struct pkt_rtp p;
	struct call call;

	(void)state;
	call_open(&call, 1, true, SFU_SRTP_AEAD_AES_128_GCM);
	alice_sends(&call);
	p = packet(&call);
	p.mid = "1";
	for (uint32_t k = 0; k < times; k++) {
		struct sfu_command put = {
			.type = SFU_CMD_PUT_PRODUCER,
			.version = 1,
			.handle = sfu_handle_make(1, k + 1),
			.u.producer = {
				.transport = call.alice.handle,
				.kind = SFU_VIDEO,
				.codec_count = 1,
				.encoding_count = 1,
				.ext_count = 1,
				.codec = {{PT, MAPPED_PT, SFU_CODEC_VP8, 0, CLOCK}},
				.ext = {{MID_IN, SFU_EXT_MID}},
				.mid_len = 1,
				.mid = "1",
			},
		};
		struct sfu_command gone = {.type = SFU_CMD_DELETE_PRODUCER, .handle = put.handle};

		assert_int_equal(world_apply(call.w, &put), SFU_STATUS_OK);
		p.ssrc = 0x40000000 + k;
		world_rtp(call.w, 0, &call.alice, &p);
		assert_int_equal(world_drops(call.w, DROP_no_consumer), k + 1);
		// The first of them is forgotten by the end, and its replay window with it: it must
		// not be taken for a new source, whatever name it gives.
		if (k == times - 1) {
			p.ssrc = 0x40000000;
			p.seq++;
			world_rtp(call.w, 0, &call.alice, &p);
			world_rtcp(call.w, 0, &call.alice, report, sizeof(report));
			assert_int_equal(world_drops(call.w, DROP_no_consumer), times);
			assert_int_equal(world_drops(call.w, DROP_srtp_ssrc), 2);
		}
		assert_int_equal(world_apply(call.w, &gone), SFU_STATUS_OK);
		world_turn(call.w);
	}
	assert_int_equal(world_drops(call.w, DROP_srtp_ssrc_limit), 0);
	// What was there before them all goes on.
	world_forget(call.w);
	alice_sends(&call);
	assert_int_equal(rtp_count(&call, &call.bob), 1);
	call_close(&call);
}

static void a_copy_that_the_port_cannot_carry_is_not_sent(void **state)
{
	static uint8_t big[1472];
	struct pkt_rtp p;
	struct call call;

	(void)state;
	call_open(&call, 1, true, SFU_SRTP_AEAD_AES_128_GCM);
	p = packet(&call);
	p.payload = big;
	p.payload_len = 1472 - 12 - 16;
	p.mid_id = p.level_id = 0;
	world_rtp(call.w, 0, &call.alice, &p);
	world_turn(call.w);
	// MID and send time do not fit any more.
	assert_int_equal(world_edges(call.w, EDGE_too_long), 2);
	call_close(&call);
}

static void a_stream_crosses_the_rollover(void **state)
{
	uint8_t plain[WORLD_PAYLOAD];
	struct rtp_view v;
	struct call call;
	uint16_t before = 0;

	(void)state;
	call_open(&call, 1, true, SFU_SRTP_AES128_CM_SHA1_80);
	call.seq = 0x7ff0;
	for (unsigned i = 0; i < 70000; i++) {
		alice_sends(&call);
		// libsrtp2 on the other side keeps its own count.
		assert_true(received(&call, &call.bob, 0, plain, &v));
		if (i)
			assert_int_equal((uint16_t)(v.seq - before), 1);
		before = v.seq;
		world_forget(call.w);
	}
	call_close(&call);
}

/* --- two workers --- */

static void workers_share_a_call(void **state)
{
	(void)state;
	for (unsigned spread = 0; spread < 2; spread++) {
		uint64_t per[2], handed, fanned;
		struct call call;

		call_open(&call, 2, spread, SFU_SRTP_AEAD_AES_128_GCM);
		for (unsigned i = 0; i < 100; i++)
			alice_sends(&call);
		assert_int_equal(rtp_count(&call, &call.bob), 100);
		assert_int_equal(rtp_count(&call, &call.carol), 100);
		for (unsigned i = 0; i < 100; i++) {
			uint8_t plain[WORLD_PAYLOAD];
			struct rtp_view v;

			assert_true(received(&call, &call.carol, i, plain, &v));
			assert_memory_equal(plain + v.payload_off, media, sizeof(media));
		}
		per[0] = call.w->workers[0].count.egress_packets;
		per[1] = call.w->workers[1].count.egress_packets;
		handed = call.w->workers[0].count.handoff_out
			 + call.w->workers[1].count.handoff_out;
		fanned = call.w->workers[0].count.fanout_out + call.w->workers[1].count.fanout_out;
		print_message("  spread %u: worker 0 sent %lu, worker 1 %lu, handed %lu, fanned "
			      "%lu\n",
			spread, per[0], per[1], handed, fanned);
		assert_int_equal(per[0], 100);
		assert_int_equal(per[1], 100);
		assert_int_equal(fanned, 100);
		// Only a port that does not spread makes worker 0 hand packets on.
		assert_true(spread ? handed == 0 : handed > 0);
		call_close(&call);
	}
}

/** All on one queue: nobody is left with all of the work. */
static void chance_does_not_leave_a_worker_without_transports(void **state)
{
	struct sfu_command gone = {.type = SFU_CMD_DELETE_PEER, .id = 1};
	struct world *w = world_open(2, true, NULL);
	struct world_client clients[8];
	uint32_t owned[2] = {0};

	(void)state;
	assert_non_null(w);
	memset(clients, 0, sizeof(clients));
	assert_int_equal(world_put_room(w, 0, 1, true), SFU_STATUS_OK);
	assert_int_equal(world_put_peer(w, 0, 1, 0, OPEN), SFU_STATUS_OK);
	for (uint32_t i = 0; i < 8; i++) {
		assert_int_equal(world_put_client(w, &clients[i], i, 0, 2, (uint16_t)(50000 + i)),
			SFU_STATUS_OK);
		world_check(w, 0, &clients[i], true);
		owned[atomic_load(&w->objects.transports[i].owner)]++;
	}
	assert_in_range(owned[0], 3, 5);
	assert_int_equal(owned[0] + owned[1], 8);
	for (unsigned v = 0; v < 2; v++)
		assert_int_equal(atomic_load(&w->objects.shares[v].transports[2]), owned[v]);
	gone.handle = sfu_handle_make(0, w->generation);
	assert_int_equal(world_apply(w, &gone), SFU_STATUS_OK);
	world_turn(w);
	programme_reclaim(w->programme);
	for (unsigned v = 0; v < 2; v++)
		assert_int_equal(atomic_load(&w->objects.shares[v].transports[2]), 0);
	for (unsigned i = 0; i < 8; i++)
		world_client_end(&clients[i]);
	world_close(w);
}

static void a_flow_that_moves_to_another_queue_is_handed_to_the_owner(void **state)
{
	struct call call;
	uint64_t before;

	(void)state;
	call_open(&call, 2, true, SFU_SRTP_AEAD_AES_128_GCM);
	before = call.w->workers[0].count.forwarded;
	// Alice's new port arrives on the other queue: first nothing, then a check, then media.
	call.alice.at.port = 55555;
	call.at = 1;
	alice_sends(&call);
	assert_int_equal(world_drops(call.w, DROP_tuple_unknown), 1);
	world_forget(call.w);
	world_check(call.w, 1, &call.alice, true);
	assert_int_equal(call.w->sent_count, 1);
	assert_int_equal(call.w->sent[0].to.port, 55555);
	alice_sends(&call);
	assert_int_equal(call.w->workers[0].count.forwarded, before + 1);
	assert_int_equal(call.w->workers[1].count.handoff_out, 2);
	assert_int_equal(call.w->workers[0].count.handoff_in, 2);
	assert_int_equal(rtp_count(&call, &call.carol), 1);
	call_close(&call);
}

static void a_transport_removed_on_the_way_leaves_nothing_behind(void **state)
{
	struct sfu_command gone = {.type = SFU_CMD_DELETE_TRANSPORT};
	struct pkt_rtp p;
	struct call call;
	unsigned victim;

	(void)state;
	for (victim = 0; victim < 2; victim++) {
		call_open(&call, 2, false, SFU_SRTP_AEAD_AES_128_GCM);
		p = packet(&call);
		gone.handle = victim ? call.carol.handle : call.alice.handle;
		// In the ring between the workers when its transport goes.
		world_rtp(call.w, 0, &call.alice, &p);
		assert_int_equal(world_apply(call.w, &gone), SFU_STATUS_OK);
		world_turn(call.w);
		assert_string_equal(world_books(call.w), "");
		world_pass(call.w, SECOND, 100 * MS);
		p.seq++;
		world_rtp(call.w, 0, &call.alice, &p);
		world_turn(call.w);
		if (!victim)
			assert_true(world_drops(call.w, DROP_tuple_unknown) >= 1);
		call_close(&call);
	}
}

static void what_lay_between_workers_while_the_process_stood_still_is_dropped(void **state)
{
	(void)state;
	// Once a reference for the other worker's consumers, once a packet on the wrong queue.
	for (unsigned moved = 0; moved < 2; moved++) {
		struct worker *from, *to;
		struct call call;
		struct pkt_rtp p;

		call_open(&call, 2, true, SFU_SRTP_AEAD_AES_128_GCM);
		if (moved) {
			call.alice.at.port = 55555;
			call.at = 1;
			world_check(call.w, 1, &call.alice, true);
		}
		from = &call.w->workers[call.at];
		to = &call.w->workers[!call.at];
		p = packet(&call);
		world_rtp(call.w, call.at, &call.alice, &p);
		call.w->now_us += 600 * MS;
		from->now_us = to->now_us = call.w->now_us;
		p.seq++;
		world_rtp(call.w, call.at, &call.alice, &p);
		assert_int_equal(rte_ring_count(to->from_worker[from->id]), 2);
		worker_stood_still(to);
		assert_int_equal(to->count.drop[DROP_stalled], moved);
		assert_int_equal(to->count.edge[EDGE_stalled], !moved);
		world_turn(call.w);
		assert_int_equal(
			rtp_count(&call, &call.bob) + rtp_count(&call, &call.carol), moved ? 2 : 3);
		assert_string_equal(world_books(call.w), "");
		call_close(&call);
	}
}

/* --- RTCP --- */

static void reports_are_sent_once_a_second(void **state)
{
	struct rtcp_report_block block;
	struct rtcp_packet packet_;
	struct rtcp_report report;
	uint8_t keep[WORLD_PAYLOAD];
	struct call call;
	unsigned n;

	(void)state;
	call_open(&call, 1, true, SFU_SRTP_AEAD_AES_128_GCM);
	for (unsigned i = 0; i < 250; i++) {
		if (i % 10 == 9)
			call.seq++; // Lost on the way to us.
		alice_sends(&call);
		world_pass(call.w, 20 * MS, 10 * MS);
	}
	n = rtcp_received(&call, &call.alice, RTCP_RR, 1, &packet_, keep);
	assert_true(n >= 4 && n <= 6);
	assert_int_equal(rtcp_report_parse(&packet_, &report), RTCP_OK);
	assert_true(rtcp_report_block(&report, 0, &block));
	assert_int_equal(block.ssrc, SSRC);
	assert_in_range(block.fraction_lost, 20, 28);
	assert_in_range(block.cumulative_lost, 20, 25);
	assert_in_range((call.seq - 1u) - block.highest_seq, 0, 60);
	call_close(&call);
}

static void consumers_get_sender_reports_of_their_own_stream(void **state)
{
	struct rtcp_sender_info info = {.ntp = rtcp_ntp_from_us(7777 * (uint64_t)SECOND),
		.ssrc = SSRC,
		.packets = 1,
		.octets = 1};
	uint8_t sr[64], keep[WORLD_PAYLOAD], plain[WORLD_PAYLOAD];
	struct rtcp_packet packet_;
	struct rtcp_report report;
	struct rtp_view v;
	struct call call;
	uint32_t offset;

	(void)state;
	call_open(&call, 1, true, SFU_SRTP_AEAD_AES_128_GCM);
	alice_sends(&call);
	assert_true(received(&call, &call.bob, 0, plain, &v));
	offset = v.timestamp - (uint32_t)(call.w->now_us * CLOCK / SECOND);
	// Her clock: timestamp 0x1000 was at her 7777 s, which is now.
	info.rtp_timestamp = 0x1000;
	world_rtcp(call.w, 0, &call.alice, sr, rtcp_encode_sr(sr, sizeof(sr), &info, NULL, 0));
	world_turn(call.w);
	world_forget(call.w);
	world_pass(call.w, 1500 * MS, 10 * MS);
	assert_in_range(rtcp_received(&call, &call.bob, RTCP_SR, 0, &packet_, keep), 1, 2);
	assert_int_equal(rtcp_report_parse(&packet_, &report), RTCP_OK);
	assert_int_equal(report.info.ssrc, BOB_SSRC);
	assert_int_equal(report.info.packets, 1);
	assert_int_equal(report.info.octets, sizeof(media));
	{
		// The same instant on both axes.
		uint64_t passed_us = rtcp_ntp_to_us(report.info.ntp) - 1000000000u;
		uint32_t expected = 0x1000 + offset + (uint32_t)(passed_us * CLOCK / SECOND);

		assert_in_range(report.info.rtp_timestamp - expected + 2, 0, 4);
	}
	call_close(&call);
}

static void reports_of_a_receiver_are_kept_with_its_consumer(void **state)
{
	struct rtcp_report_block block
		= {.ssrc = BOB_SSRC, .fraction_lost = 64, .cumulative_lost = 17, .jitter = 99};
	struct rtcp_packet packet_;
	struct rtcp_report report;
	uint8_t rr[64], keep[WORLD_PAYLOAD];
	struct consumer *c;
	struct call call;

	(void)state;
	call_open(&call, 1, true, SFU_SRTP_AEAD_AES_128_GCM);
	alice_sends(&call);
	world_pass(call.w, 1200 * MS, 10 * MS);
	assert_true(rtcp_received(&call, &call.bob, RTCP_SR, 0, &packet_, keep) >= 1);
	assert_int_equal(rtcp_report_parse(&packet_, &report), RTCP_OK);
	c = consumer_find(&call.w->objects, sfu_handle_make(0, 1));
	// 40 ms on the way, 30 ms kept.
	call.w->now_us = rtcp_ntp_to_us(report.info.ntp) + 70 * MS;
	block.lsr = rtcp_ntp_mid(report.info.ntp);
	block.dlsr = rtcp_mid_from_us(30 * MS);
	world_rtcp(call.w, 0, &call.bob, rr, rtcp_encode_rr(rr, sizeof(rr), 1, &block, 1));
	assert_int_equal(c->report_fraction_lost, 64);
	assert_int_equal(c->report_lost, 17);
	assert_int_equal(c->report_jitter, 99);
	assert_in_range(c->report_rtt_us, 39900, 40100);
	// About somebody else's stream he may say what he likes.
	block.ssrc = CAROL_SSRC;
	world_rtcp(call.w, 0, &call.bob, rr, rtcp_encode_rr(rr, sizeof(rr), 1, &block, 1));
	c = consumer_find(&call.w->objects, sfu_handle_make(1, 1));
	assert_int_equal(c->report_lost, 0);
	call_close(&call);
}

static unsigned plis(struct call *call)
{
	unsigned n = rtcp_received(call, &call->alice, RTCP_PSFB, RTCP_PSFB_PLI, NULL, NULL);

	world_forget(call->w);
	return n;
}

static void key_frame_requests_are_merged(void **state)
{
	uint8_t pli[16], fir[32], bye[16];
	struct rtcp_fir entry = {.ssrc = CAROL_SSRC};
	const uint32_t ssrc = SSRC;
	struct call call;
	unsigned total;

	(void)state;
	call_open(&call, 1, true, SFU_SRTP_AEAD_AES_128_GCM);
	alice_sends(&call);
	world_pass(call.w, 10 * MS, 10 * MS);
	assert_int_equal(plis(&call), 1); // Consumers started.
	world_pass(call.w, SECOND, 100 * MS);
	alice_sends(&call);
	world_pass(call.w, SECOND, 100 * MS);
	world_forget(call.w);
	// 2,000 requests in ten seconds, by two receivers in two ways.
	total = 0;
	for (unsigned i = 0; i < 1000; i++) {
		world_rtcp(
			call.w, 0, &call.bob, pli, rtcp_encode_pli(pli, sizeof(pli), 1, BOB_SSRC));
		entry.seq = (uint8_t)i;
		world_rtcp(
			call.w, 0, &call.carol, fir, rtcp_encode_fir(fir, sizeof(fir), 1, &entry));
		alice_sends(&call);
		world_pass(call.w, 10 * MS, 10 * MS);
		total += plis(&call);
	}
	assert_in_range(total, 18, 21);
	// Nothing open any more: silence. Foreign SSRCs and a BYE change nothing.
	world_pass(call.w, 2 * SECOND, 100 * MS);
	alice_sends(&call);
	world_pass(call.w, 2 * SECOND, 100 * MS);
	world_forget(call.w);
	world_rtcp(call.w, 0, &call.bob, pli, rtcp_encode_pli(pli, sizeof(pli), 1, CAROL_SSRC));
	world_rtcp(call.w, 0, &call.bob, pli, rtcp_encode_pli(pli, sizeof(pli), 1, SSRC));
	world_rtcp(call.w, 0, &call.bob, bye, rtcp_encode_bye(bye, sizeof(bye), &ssrc, 1));
	world_pass(call.w, SECOND, 100 * MS);
	assert_int_equal(plis(&call), 0);
	alice_sends(&call);
	assert_int_equal(rtp_count(&call, &call.bob), 1);
	call_close(&call);
}

static void feedback_with_a_broken_tail_does_no_harm(void **state)
{
	uint8_t compound[64];
	struct call call;
	size_t len;

	(void)state;
	call_open(&call, 1, true, SFU_SRTP_AES128_CM_SHA1_80);
	alice_sends(&call);
	world_pass(call.w, 100 * MS, 10 * MS);
	alice_sends(&call);
	world_pass(call.w, 2 * SECOND, 100 * MS);
	world_forget(call.w);
	len = rtcp_encode_pli(compound, sizeof(compound), 1, BOB_SSRC);
	// Announces more than there is.
	memcpy(compound + len, (const uint8_t[]){0x81, 206, 0xff, 0xff}, 4);
	world_rtcp(call.w, 0, &call.bob, compound, len + 4);
	world_turn(call.w);
	assert_int_equal(plis(&call), 1);
	alice_sends(&call);
	assert_int_equal(rtp_count(&call, &call.bob), 1);
	call_close(&call);
}

static void forged_and_replayed_rtcp_is_dropped(void **state)
{
	uint8_t buf[64] = {0};
	int len;
	struct call call;

	(void)state;
	call_open(&call, 1, true, SFU_SRTP_AEAD_AES_128_GCM);
	len = (int)rtcp_encode_pli(buf, sizeof(buf), 1, BOB_SSRC);
	assert_int_equal(srtp_protect_rtcp(call.bob.out, buf, &len), srtp_err_status_ok);
	world_receive(call.w, 0, &call.bob.at, buf, (size_t)len);
	world_receive(call.w, 0, &call.bob.at, buf, (size_t)len);
	assert_int_equal(world_drops(call.w, DROP_srtcp_replay), 1);
	buf[len - 1]++; // Another index: the tag no longer fits.
	world_receive(call.w, 0, &call.bob.at, buf, (size_t)len);
	assert_int_equal(world_drops(call.w, DROP_srtcp_auth), 1);
	call_close(&call);
}

/* --- who receives, and speaks under SSRCs that send nothing --- */

/** SSRCs under which Bob reports: a receiver may have one for each stream that it takes. */
#define REPORTER(i) (0x50000000u + (i))

static size_t rr_from(uint8_t *out, size_t cap, uint32_t ssrc, int32_t lost)
{
	struct rtcp_report_block block = {.ssrc = BOB_SSRC, .cumulative_lost = lost};

	return rtcp_encode_rr(out, cap, ssrc, &block, 1);
}

/** Bob reports under this SSRC; whether it came to his consumer. */
static bool bob_reports(struct call *call, uint32_t ssrc)
{
	static int32_t lost;
	const struct consumer *c = consumer_find(&call->w->objects, sfu_handle_make(0, 1));
	uint8_t rr[64];

	world_rtcp(call->w, call->at, &call->bob, rr, rr_from(rr, sizeof(rr), ssrc, ++lost));
	return c->report_lost == lost;
}

/** The same, and what was sent. */
static size_t bob_reports_sealed(struct call *call, uint32_t ssrc, uint8_t sealed[128])
{
	int len = (int)rr_from(sealed, 64, ssrc, 0);

	assert_int_equal(srtp_protect_rtcp(call->bob.out, sealed, &len), srtp_err_status_ok);
	world_receive(call->w, call->at, &call->bob.at, sealed, (size_t)len);
	return (size_t)len;
}

static void streams_pass(struct call *call, unsigned seconds)
{
	for (unsigned i = 0; i < seconds; i++) {
		alice_sends(call);
		world_check(call->w, call->at, &call->alice, false);
		world_check(call->w, call->at, &call->bob, false);
		world_pass(call->w, SECOND, 500 * MS);
		world_forget(call->w);
	}
}

/** Firefox with 17 people: 34 streams, and an SSRC of its own for the reports about each. */
static void a_receiver_may_report_under_many_ssrcs(void **state)
{
	const unsigned count = 40;
	struct call call;
	uint8_t pli[16];

	(void)state;
	call_open(&call, 1, false, SFU_SRTP_AEAD_AES_128_GCM);
	streams_pass(&call, 3);
	for (unsigned round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < count; i++)
			assert_true(bob_reports(&call, REPORTER(i)));
	}
	world_forget(call.w);
	world_rtcp(call.w, 0, &call.bob, pli,
		rtcp_encode_pli(pli, sizeof(pli), REPORTER(count - 1), BOB_SSRC));
	world_pass(call.w, 100 * MS, 10 * MS);
	assert_int_equal(plis(&call), 1);
	assert_int_equal(world_drops(call.w, DROP_srtp_ssrc_limit), 0);
	call_close(&call);
}

/** In a call of an hour people come and go: 40 streams at a time, ten of them others each 90 s. */
static void who_reports_comes_and_goes(void **state)
{
	const unsigned at_a_time = 40, steps = 40;
	uint8_t old[128], first_pli[16];
	size_t old_len;
	struct call call;

	(void)state;
	call_open(&call, 1, false, SFU_SRTP_AEAD_AES_128_GCM);
	alice_sends(&call);
	old_len = bob_reports_sealed(&call, REPORTER(0), old);
	for (uint32_t step = 0; step < steps; step++) {
		for (unsigned k = 0; k < 3; k++) {
			for (uint32_t i = 0; i < at_a_time; i++)
				assert_true(bob_reports(&call, REPORTER(10 * step + i)));
			call.w->now_us += 29 * SECOND;
			streams_pass(&call, 1);
		}
	}
	assert_int_equal(world_drops(call.w, DROP_srtp_ssrc_limit), 0);
	// The first gave way to others, and its replay window with it: nothing of it is taken any more.
	world_receive(call.w, 0, &call.bob.at, old, old_len);
	world_rtcp(call.w, 0, &call.bob, first_pli,
		rtcp_encode_pli(first_pli, sizeof(first_pli), REPORTER(0), BOB_SSRC));
	assert_int_equal(world_drops(call.w, DROP_srtp_ssrc), 2);
	// One that was silent for long, but whose place nobody needed, goes on.
	assert_true(bob_reports(&call, REPORTER(10 * steps - 60)));
	call.w = world_die(call.w, 1);
	assert_non_null(call.w);
	world_receive(call.w, 0, &call.bob.at, old, old_len);
	assert_int_equal(world_drops(call.w, DROP_srtp_ssrc), 1);
	world_client_end(&call.alice);
	world_client_end(&call.bob);
	world_client_end(&call.carol);
	world_close(call.w);
}

/** No more than there are places for; who is silent for half a minute makes room, and nobody else. */
static void whose_reports_are_followed_is_bounded(void **state)
{
	struct state_transport *saved;
	struct transport *t;
	uint8_t forged[128];
	int len;
	struct call call;

	(void)state;
	call_open(&call, 1, false, SFU_SRTP_AEAD_AES_128_GCM);
	alice_sends(&call);
	t = transport_find(&call.w->objects, call.bob.handle);
	// Not authentic: nothing is kept of it.
	len = (int)rr_from(forged, 64, REPORTER(1000), 0);
	assert_int_equal(srtp_protect_rtcp(call.bob.out, forged, &len), srtp_err_status_ok);
	forged[len - 6] ^= 1;
	world_receive(call.w, 0, &call.bob.at, forged, (size_t)len);
	assert_int_equal(world_drops(call.w, DROP_srtcp_auth), 1);
	assert_int_equal(t->rtcp_source_count, 0);
	assert_true(bob_reports(&call, REPORTER(0)));
	streams_pass(&call, 10);
	for (uint32_t i = 1; i < TRANSPORT_RTCP_SOURCES; i++)
		assert_true(bob_reports(&call, REPORTER(i)));
	streams_pass(&call, 19);
	assert_false(bob_reports(&call, REPORTER(2000)));
	assert_int_equal(world_drops(call.w, DROP_srtp_ssrc_limit), 1);
	streams_pass(&call, 2);
	// The first makes room, but not for what is not authentic.
	world_receive(call.w, 0, &call.bob.at, forged, (size_t)len);
	assert_int_equal(world_drops(call.w, DROP_srtcp_auth), 2);
	assert_int_equal(t->retired_count, 0);
	assert_true(bob_reports(&call, REPORTER(2000)));
	assert_int_equal(t->retired_count, 1);
	assert_false(bob_reports(&call, REPORTER(0)));
	assert_int_equal(world_drops(call.w, DROP_srtp_ssrc), 1);
	assert_false(bob_reports(&call, REPORTER(2001)));
	assert_int_equal(world_drops(call.w, DROP_srtp_ssrc_limit), 2);
	assert_true(bob_reports(&call, REPORTER(7)));
	// Death between one that goes and one that comes in its place.
	saved = t->saved;
	state_retire(saved, 1, REPORTER(5));
	state_store(&saved->rtcp[5].id, 0);
	call.w = world_die(call.w, 1);
	assert_non_null(call.w);
	assert_false(bob_reports(&call, REPORTER(5)));
	assert_true(bob_reports(&call, REPORTER(2002)));
	assert_false(bob_reports(&call, REPORTER(2003)));
	for (uint32_t i = 6; i < TRANSPORT_RTCP_SOURCES; i++)
		assert_true(bob_reports(&call, REPORTER(i)));
	world_client_end(&call.alice);
	world_client_end(&call.bob);
	world_client_end(&call.carol);
	world_close(call.w);
}

static void no_report_of_before_a_death_is_taken_again(void **state)
{
	const unsigned count = 40;
	uint8_t old[128];
	size_t old_len = 0;
	struct call call;

	(void)state;
	call_open(&call, 1, false, SFU_SRTP_AEAD_AES_128_GCM);
	alice_sends(&call);
	for (uint32_t i = 0; i < count; i++)
		old_len = bob_reports_sealed(&call, REPORTER(i), old);
	call.w = world_die(call.w, 1);
	assert_non_null(call.w);
	world_receive(call.w, 0, &call.bob.at, old, old_len);
	assert_int_equal(world_drops(call.w, DROP_srtcp_replay), 1);
	for (uint32_t i = 0; i < count; i++)
		assert_true(bob_reports(&call, REPORTER(i)));
	world_client_end(&call.alice);
	world_client_end(&call.bob);
	world_client_end(&call.carol);
	world_close(call.w);
}

/* --- all kinds of junk --- */

static void junk_is_counted_and_never_answered(void **state)
{
	static const uint8_t first[]
		= {0, 1, 2, 3, 19, 20, 22, 63, 64, 127, 128, 144, 191, 192, 255};
	uint64_t random = 88172645463325252u, in;
	struct call call;

	(void)state;
	call_open(&call, 2, false, SFU_SRTP_AEAD_AES_128_GCM);
	in = call.w->workers[0].count.rx_packets;
	for (unsigned i = 0; i < 50000; i++) {
		uint8_t junk[256];
		struct pkt_addr from = i % 2 ? call.alice.at : call.bob.at;
		size_t len;

		for (unsigned k = 0; k < sizeof(junk); k++) {
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			junk[k] = (uint8_t)(random >> 24);
		}
		len = junk[10];
		junk[0] = first[i % sizeof(first)];
		if (i % 3 == 0)
			from.port = (uint16_t)(random >> 8);
		world_receive(call.w, 0, &from, junk, len);
		if (i % 64 == 0)
			world_turn(call.w);
	}
	world_turn(call.w);
	assert_int_equal(call.w->workers[0].count.rx_packets - in, 50000);
	assert_int_equal(call.w->sent_count, 0);
	alice_sends(&call);
	assert_int_equal(rtp_count(&call, &call.bob), 1);
	call_close(&call);
}

static int start(void **state)
{
	(void)state;
	return world_start("test_path", 2);
}

static int stop(void **state)
{
	(void)state;
	world_stop();
	return 0;
}

/* --- death --- */

/** What the data plane says it has. */
static unsigned digest(struct world *w, struct sfu_digest_item out[64])
{
	struct sfu_digest part;
	uint64_t cursor = 0;
	unsigned n = 0;

	while (programme_digest_next(w->programme, &cursor, &part)) {
		memcpy(&out[n], part.item, part.count * sizeof(out[0]));
		n += part.count;
	}
	return n;
}

static void a_call_outlives_the_process(void **state)
{
	struct sfu_digest_item before[64], after[64];
	uint8_t plain[WORLD_PAYLOAD], recorded[WORLD_PAYLOAD];
	struct rtp_view first, view;
	int recorded_len;
	struct call call;

	(void)state;
	for (unsigned workers = 1; workers <= 2; workers++) {
		struct pkt_rtp p;
		unsigned items;

		call_open(&call, workers, false, SRTP_AEAD_AES_128_GCM);
		for (unsigned i = 0; i < 20; i++)
			alice_sends(&call);
		assert_true(received(&call, &call.bob, 19, plain, &first));
		// A packet that somebody records, and one on which they work when it happens.
		p = packet(&call);
		recorded_len = (int)pkt_rtp(recorded, sizeof(recorded) - SRTP_OVERHEAD_MAX, &p);
		call.seq++;
		assert_int_equal(
			srtp_protect(call.alice.out, recorded, &recorded_len), srtp_err_status_ok);
		world_receive(call.w, call.at, &call.alice.at, recorded, (size_t)recorded_len);
		world_turn(call.w);
		world_forget(call.w);
		items = digest(call.w, before);
		call.w = world_die(call.w, workers);
		assert_non_null(call.w);
		assert_int_equal(digest(call.w, after), items);
		assert_memory_equal(before, after, items * sizeof(before[0]));
		// Nothing of before passes.
		world_receive(call.w, call.at, &call.alice.at, recorded, (size_t)recorded_len);
		world_turn(call.w);
		assert_int_equal(rtp_count(&call, &call.bob), 0);
		assert_int_equal(world_drops(call.w, DROP_srtp_replay), 1);
		// Ten are lost while nobody is there; then it goes on, without a check.
		call.seq = (uint16_t)(call.seq + 10);
		for (unsigned i = 0; i < 10; i++)
			alice_sends(&call);
		assert_int_equal(rtp_count(&call, &call.bob), 10);
		assert_int_equal(rtp_count(&call, &call.carol), 10);
		// libsrtp2 takes no index twice; the gap is what was lost, and the recorded one.
		assert_true(received(&call, &call.bob, 0, plain, &view));
		assert_int_equal((uint16_t)(view.seq - first.seq), 12);
		assert_int_equal(view.timestamp - first.timestamp, 0);
		// The reports go on under indices of their own, and a key frame is asked for.
		world_pass(call.w, 3 * SECOND, 100000);
		assert_true(rtcp_received(&call, &call.bob, RTCP_SR, -1, NULL, NULL) >= 2);
		assert_true(rtcp_received(&call, &call.alice, RTCP_PSFB, 1, NULL, NULL) >= 1);
		world_client_end(&call.alice);
		world_client_end(&call.bob);
		world_client_end(&call.carol);
		world_close(call.w);
	}
}

static void what_stood_still_at_a_death_goes_on_without_a_gap(void **state)
{
	uint8_t plain[WORLD_PAYLOAD];
	struct rtp_view first, view;
	struct call call;

	(void)state;
	call_open(&call, 1, false, SRTP_AEAD_AES_128_GCM);
	for (unsigned i = 0; i < 5; i++)
		alice_sends(&call);
	assert_true(received(&call, &call.bob, 4, plain, &first));
	// Bob's gate shuts; death; packets go by; it opens.
	world_put_peer(call.w, 1, 2, 0, 0);
	call.w = world_die(call.w, 1);
	assert_non_null(call.w);
	for (unsigned i = 0; i < 5; i++)
		alice_sends(&call);
	assert_int_equal(rtp_count(&call, &call.bob), 0);
	assert_int_equal(rtp_count(&call, &call.carol), 5);
	world_put_peer(call.w, 1, 3, 0, OPEN);
	world_forget(call.w);
	alice_sends(&call);
	assert_true(received(&call, &call.bob, 0, plain, &view));
	assert_int_equal((uint16_t)(view.seq - first.seq), 1);
	world_client_end(&call.alice);
	world_client_end(&call.bob);
	world_client_end(&call.carol);
	world_close(call.w);
}

static void an_ssrc_never_comes_back_not_even_after_a_death(void **state)
{
	struct sfu_command gone
		= {.type = SFU_CMD_DELETE_CONSUMER, .version = 1, .handle = sfu_handle_make(0, 1)};
	struct sfu_command again = {
		.type = SFU_CMD_PUT_CONSUMER,
		.version = 1,
		.handle = sfu_handle_make(0, 2),
		.u.consumer = {
			.producer = sfu_handle_make(0, 1),
			.ssrc = BOB_SSRC,
			.encoding = 255,
			.payload_type_count = 1,
			.payload_type = {MAPPED_PT},
		},
	};
	struct call call;

	(void)state;
	call_open(&call, 1, false, SRTP_AEAD_AES_128_GCM);
	again.u.consumer.transport = call.bob.handle;
	assert_int_equal(world_apply(call.w, &gone), SFU_STATUS_OK);
	call.w = world_die(call.w, 1);
	assert_non_null(call.w);
	assert_int_equal(world_apply(call.w, &again), SFU_STATUS_SSRC_USED);
	again.u.consumer.ssrc = BOB_SSRC + 2;
	assert_int_equal(world_apply(call.w, &again), SFU_STATUS_OK);
	// And a handle that was deleted stays so.
	again.handle = sfu_handle_make(0, 1);
	assert_int_equal(world_apply(call.w, &again), SFU_STATUS_STALE);
	world_client_end(&call.alice);
	world_client_end(&call.bob);
	world_client_end(&call.carol);
	world_close(call.w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_the_sender_of_an_authentic_check_is_answered),
		cmocka_unit_test(an_answer_says_where_the_check_came_from),
		cmocka_unit_test(a_client_in_our_role_is_told_and_learns_us_nothing),
		cmocka_unit_test(addresses_of_a_transport_are_bounded_and_stale_ones_give_way),
		cmocka_unit_test(the_newest_nomination_wins),
		cmocka_unit_test(dtls_is_punted_only_from_a_validated_address),
		cmocka_unit_test(dtls_is_sent_as_far_as_the_path_is_wide),
		cmocka_unit_test(without_checks_consent_ends_and_nothing_is_sent),
		cmocka_unit_test(every_profile_brings_the_same_payload_to_each_consumer),
		cmocka_unit_test(nothing_but_authentic_media_is_forwarded),
		cmocka_unit_test(before_keys_media_is_dropped),
		cmocka_unit_test(a_shut_gate_holds_until_the_peer_is_ready),
		cmocka_unit_test(a_sender_that_is_ready_again_is_asked_for_a_key_frame_at_once),
		cmocka_unit_test(in_a_room_that_requires_nothing_no_gate_is_shut),
		cmocka_unit_test(frames_of_an_epoch_that_is_over_are_told_from_others),
		cmocka_unit_test(an_old_key_is_in_order_until_the_grace_is_over),
		cmocka_unit_test(a_paused_consumer_goes_on_without_a_gap),
		cmocka_unit_test(an_ssrc_is_learnt_by_mid_and_changed_by_it),
		cmocka_unit_test(key_frames_of_another_source_are_seen),
		cmocka_unit_test(sources_come_and_go_without_end),
		cmocka_unit_test(a_copy_that_the_port_cannot_carry_is_not_sent),
		cmocka_unit_test(a_stream_crosses_the_rollover),
		cmocka_unit_test(workers_share_a_call),
		cmocka_unit_test(what_lay_between_workers_while_the_process_stood_still_is_dropped),
		cmocka_unit_test(chance_does_not_leave_a_worker_without_transports),
		cmocka_unit_test(a_flow_that_moves_to_another_queue_is_handed_to_the_owner),
		cmocka_unit_test(a_transport_removed_on_the_way_leaves_nothing_behind),
		cmocka_unit_test(reports_are_sent_once_a_second),
		cmocka_unit_test(consumers_get_sender_reports_of_their_own_stream),
		cmocka_unit_test(reports_of_a_receiver_are_kept_with_its_consumer),
		cmocka_unit_test(key_frame_requests_are_merged),
		cmocka_unit_test(feedback_with_a_broken_tail_does_no_harm),
		cmocka_unit_test(forged_and_replayed_rtcp_is_dropped),
		cmocka_unit_test(a_receiver_may_report_under_many_ssrcs),
		cmocka_unit_test(who_reports_comes_and_goes),
		cmocka_unit_test(whose_reports_are_followed_is_bounded),
		cmocka_unit_test(no_report_of_before_a_death_is_taken_again),
		cmocka_unit_test(junk_is_counted_and_never_answered),
		cmocka_unit_test(a_call_outlives_the_process),
		cmocka_unit_test(what_stood_still_at_a_death_goes_on_without_a_gap),
		cmocka_unit_test(an_ssrc_never_comes_back_not_even_after_a_death),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
