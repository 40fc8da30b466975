// SPDX-License-Identifier: BSD-3-Clause
/*
 * Feedback and reports on the packet's way: what producers hear of what came, what consumers' packets
 * are numbered with, what becomes of what consumers say, and when producers are asked for key frames. Alice sends video on two producers, Bob
 * takes both on one transport, Carol the first.
 */
#include "sfu-dp/path/feedback.h"
#include "sfu-dp/proto/rtp.h"
#include "sfu-dp/speakers.h"
#include "tests/support/dp_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define MS 1000u
#define SECOND 1000000u
#define SSRC(producer) (0x11110000u + (producer))
#define RTX_SSRC(producer) (0x22220000u + (producer))
#define OUT_SSRC(consumer) (0x0b0b0000u + (consumer))
#define PT 96
#define RTX_PT 97
#define MAPPED_PT 101
#define TWCC_IN 5
#define SEND_TIME_IN 2
#define TWCC_OUT 3
#define SEND_TIME_OUT 4

struct call {
	struct world *w;
	struct world_client alice, bob, carol;
	uint16_t seq[2]; /* next of each producer */
	uint16_t twcc; /* next of Alice's transport */
};

static const uint8_t media[] = {0x90, 0x80, 0x12, 0x9d, 0xa5, 0x5a, 0xff, 0x00, 0x01, 0x02};

/** A producer whose client numbers its packets, or one that takes a REMB. */
static void put_producer(struct call *call, uint32_t index, bool twcc, uint32_t flags)
{
	struct sfu_command cmd = {
		.type = SFU_CMD_PUT_PRODUCER,
		.version = 1,
		.handle = sfu_handle_make(index, 1),
		.u.producer = {
			.transport = call->alice.handle,
			.flags = flags,
			.kind = SFU_VIDEO,
			.codec_count = 2,
			.encoding_count = 1,
			.ext_count = twcc ? 2 : 1,
			.codec = {{PT, MAPPED_PT, SFU_CODEC_VP8, 0, 90000},
				{RTX_PT, MAPPED_PT + 1, SFU_CODEC_RTX, 0, 90000}},
			.encoding = {{.ssrc = SSRC(index), .rtx_ssrc = RTX_SSRC(index)}},
			.ext = {{SEND_TIME_IN, SFU_EXT_ABS_SEND_TIME},
				{TWCC_IN, SFU_EXT_TRANSPORT_CC}},
		},
	};

	assert_int_equal(world_apply(call->w, &cmd), SFU_STATUS_OK);
}

static void put_consumer(
	struct call *call, const struct world_client *client, uint32_t index, uint32_t producer)
{
	struct sfu_command cmd = {
		.type = SFU_CMD_PUT_CONSUMER,
		.version = 1,
		.handle = sfu_handle_make(index, 1),
		.u.consumer = {
			.transport = client->handle,
			.producer = sfu_handle_make(producer, 1),
			.ssrc = OUT_SSRC(index),
			.encoding = 255,
			.payload_type_count = 1,
			.ext_count = 2,
			.payload_type = {MAPPED_PT},
			.ext = {{TWCC_OUT, SFU_EXT_TRANSPORT_CC},
				{SEND_TIME_OUT, SFU_EXT_ABS_SEND_TIME}},
		},
	};

	assert_int_equal(world_apply(call->w, &cmd), SFU_STATUS_OK);
}

static void call_open(struct call *call, bool twcc, uint32_t flags)
{
	struct world_client *all[] = {&call->alice, &call->bob, &call->carol};

	memset(call, 0, sizeof(*call));
	call->twcc = 65530;
	call->w = world_open(1, true, NULL);
	assert_non_null(call->w);
	assert_int_equal(world_put_room(call->w, 0, 1, false), SFU_STATUS_OK);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(world_put_member(call->w, all[i], i, 0, UINT64_MAX,
					 SFU_SRTP_AEAD_AES_128_GCM),
			SFU_STATUS_OK);
	put_producer(call, 0, twcc, flags);
	put_producer(call, 1, twcc, flags);
	put_consumer(call, &call->bob, 0, 0);
	put_consumer(call, &call->bob, 1, 1);
	put_consumer(call, &call->carol, 2, 0);
	world_turn(call->w);
	world_forget(call->w);
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

/** The next packet of a producer, numbered as a browser does. */
static void alice_sends(struct call *call, unsigned producer, bool numbered)
{
	struct pkt_rtp p = {
		.ssrc = SSRC(producer),
		.timestamp = (uint32_t)(call->w->now_us * 9 / 100),
		.seq = call->seq[producer]++,
		.payload_type = PT,
		.marker = true,
		.twcc_id = numbered ? TWCC_IN : 0,
		.twcc = call->twcc++,
		.send_time_id = SEND_TIME_IN,
		.send_time = rtp_ext_abs_send_time(call->w->now_us),
		.payload = media,
		.payload_len = sizeof(media),
	};

	world_rtp(call->w, 0, &call->alice, &p);
	world_turn(call->w);
}

/** The nth feedback message of a type that went to Alice; false when there is none. */
static bool told(struct call *call, unsigned nth, uint8_t type, uint8_t fmt,
	uint8_t keep[WORLD_PAYLOAD], struct rtcp_feedback *fb)
{
	for (unsigned i = 0; i < call->w->sent_count; i++) {
		const struct world_sent *s = &call->w->sent[i];
		int len = (int)s->len;
		struct rtcp_packet p;
		struct rtcp_iter it;

		if (s->to.port != call->alice.at.port || s->octets[0] >> 6 != 2
			|| s->octets[1] < 192 || s->octets[1] > 223)
			continue;
		memcpy(keep, s->octets, s->len);
		assert_int_equal(
			srtp_unprotect_rtcp(call->alice.in, keep, &len), srtp_err_status_ok);
		rtcp_iter_init(&it, keep, (size_t)len);
		while (rtcp_next(&it, &p) == RTCP_OK) {
			if (p.type == type && p.count == fmt && !nth--)
				return rtcp_feedback_parse(&p, fb) == RTCP_OK;
		}
	}
	return false;
}

/* 100 ms at the most from a packet to the feedback on it, losses and the wrap of the numbers in it. */
static void a_producer_hears_what_came(void **state)
{
	uint8_t keep[WORLD_PAYLOAD];
	struct rtcp_feedback fb;
	struct twcc_status status;
	struct twcc_iter it;
	struct rtcp_twcc twcc;
	uint32_t first = 0, n = 0;
	struct call call;

	(void)state;
	call_open(&call, true, 0);
	for (unsigned i = 0; i < 10; i++) {
		if (i == 4)
			call.twcc++; // Lost on the way to us.
		alice_sends(&call, i % 2, true);
		world_pass(call.w, 5 * MS, 5 * MS);
	}
	assert_int_equal(call.w->objects.transports[0].feedbacks_sent, 0);
	world_pass(call.w, 50 * MS, 5 * MS);
	assert_true(told(&call, 0, RTCP_RTPFB, RTCP_RTPFB_TWCC, keep, &fb));
	// Browsers look at feedback about streams of theirs only.
	assert_true(fb.media_ssrc == SSRC(0) || fb.media_ssrc == SSRC(1));
	assert_int_equal(rtcp_twcc_parse(&fb, &twcc), RTCP_OK);
	assert_int_equal(twcc.base_seq, 65530);
	assert_int_equal(twcc.status_count, 11);
	assert_int_equal(twcc_iter_init(&it, &twcc, 11), RTCP_OK);
	for (; twcc_next(&it, &status); n++) {
		assert_int_equal(status.arrived, n != 4);
		if (n == 0)
			first = status.ticks;
		else if (n != 4)
			assert_int_equal(
				status.ticks - first, (n - (n > 4)) * 5 * MS / TWCC_TICK_US);
	}
	// Once: silence has nothing to tell.
	world_forget(call.w);
	world_pass(call.w, 900 * MS, 10 * MS);
	assert_false(told(&call, 0, RTCP_RTPFB, RTCP_RTPFB_TWCC, keep, &fb));
	call_close(&call);
}

/* 50 packets a second for 2 s. */
static void feedback_comes_every_80_ms(void **state)
{
	struct call call;

	(void)state;
	call_open(&call, true, 0);
	for (unsigned i = 0; i < 100; i++) {
		alice_sends(&call, 0, true);
		world_pass(call.w, 20 * MS, MS);
	}
	assert_in_range(call.w->objects.transports[0].feedbacks_sent, 20, 26);
	call_close(&call);
}

/* Padding on the RTX stream is what browsers probe a path with. */
static void probes_count(void **state)
{
	struct pkt_rtp probe = {.ssrc = RTX_SSRC(0),
		.payload_type = RTX_PT,
		.padding = 250,
		.twcc_id = TWCC_IN,
		.twcc = 7};
	uint8_t keep[WORLD_PAYLOAD];
	struct rtcp_feedback fb;
	struct rtcp_twcc twcc;
	struct call call;

	(void)state;
	call_open(&call, true, 0);
	world_rtp(call.w, 0, &call.alice, &probe);
	world_pass(call.w, 100 * MS, 10 * MS);
	assert_true(told(&call, 0, RTCP_RTPFB, RTCP_RTPFB_TWCC, keep, &fb));
	assert_int_equal(rtcp_twcc_parse(&fb, &twcc), RTCP_OK);
	assert_int_equal(twcc.base_seq, 7);
	assert_int_equal(twcc.status_count, 1);
	call_close(&call);
}

static void forged_packets_are_not_reported(void **state)
{
	uint8_t keep[WORLD_PAYLOAD], forged[64] = {0x90, PT, 0, 1, 0, 0, 0, 1, 0x11, 0x11, 0, 0,
					     0xbe, 0xde, 0, 1, TWCC_IN << 4 | 1, 0, 9, 0};
	struct rtcp_feedback fb;
	struct call call;

	(void)state;
	call_open(&call, true, 0);
	world_receive(call.w, 0, &call.alice.at, forged, sizeof(forged));
	world_pass(call.w, 200 * MS, 10 * MS);
	assert_int_equal(world_drops(call.w, DROP_srtp_auth), 1);
	assert_false(told(&call, 0, RTCP_RTPFB, RTCP_RTPFB_TWCC, keep, &fb));
	call_close(&call);
}

static void who_has_no_numbers_gets_a_remb_where_wanted(void **state)
{
	const struct {
		const char *about;
		bool twcc;
		uint32_t flags;
		bool remb;
	} rows[] = {
		{"neither was negotiated", false, 0, false},
		{"REMB was", false, SFU_PRODUCER_REMB, true},
		{"both were: numbers go before", true, SFU_PRODUCER_REMB, false},
	};
	uint8_t keep[WORLD_PAYLOAD];
	struct rtcp_feedback fb;
	struct rtcp_remb remb;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		unsigned n = 0;
		struct call call;

		call_open(&call, rows[i].twcc, rows[i].flags);
		for (unsigned k = 0; k < 100; k++) {
			alice_sends(&call, 0, rows[i].twcc);
			world_pass(call.w, 20 * MS, 10 * MS);
		}
		if (told(&call, 0, RTCP_PSFB, RTCP_PSFB_AFB, keep, &fb) != rows[i].remb)
			fail_msg("%s", rows[i].about);
		if (rows[i].remb) {
			assert_int_equal(rtcp_remb_parse(&fb, &remb), RTCP_OK);
			// 18 bits of it are sent.
			assert_in_range(
				remb.bitrate_bps, REMB_RATE_START_BPS - 8, REMB_RATE_START_BPS);
			assert_int_equal(remb.ssrc_count, 1);
			assert_int_equal(rtcp_ssrc(remb.ssrcs, 1, 0), SSRC(0));
			n = (unsigned)call.w->objects.transports[0].feedbacks_sent;
			assert_in_range(n, 6, 9);
		}
		call_close(&call);
	}
}

/** The extension's octets in the nth RTP packet that went to a client; NULL when there is none. */
static const uint8_t *ext_of(
	struct call *call, struct world_client *client, unsigned nth, uint8_t id)
{
	static uint8_t plain[WORLD_PAYLOAD];

	for (unsigned i = 0; i < call->w->sent_count; i++) {
		const struct world_sent *s = &call->w->sent[i];
		int len = (int)s->len;
		struct rtp_ext_elem e;
		struct rtp_view v;

		if (s->to.port != client->at.port || s->octets[0] >> 6 != 2
			|| (s->octets[1] >= 192 && s->octets[1] <= 223) || nth--)
			continue;
		memcpy(plain, s->octets, s->len);
		assert_int_equal(srtp_unprotect(client->in, plain, &len), srtp_err_status_ok);
		assert_int_equal(rtp_parse(plain, (size_t)len, &v), RTP_OK);
		assert_true(rtp_ext_find(v.ext_profile, plain + v.ext_off, v.ext_len, id, &e));
		return e.data;
	}
	return NULL;
}

static int number_of(struct call *call, struct world_client *client, unsigned nth)
{
	const uint8_t *at = ext_of(call, client, nth, TWCC_OUT);

	return at ? at[0] << 8 | at[1] : -1;
}

/* All streams of a transport in one order, as they go out; the sender's numbers are nobody's. */
static void packets_are_numbered_per_transport(void **state)
{
	struct call call;

	(void)state;
	call_open(&call, true, 0);
	for (unsigned i = 0; i < 6; i++)
		alice_sends(&call, i % 2, true);
	for (int i = 0; i < 6; i++)
		assert_int_equal(number_of(&call, &call.bob, (unsigned)i), i);
	for (int i = 0; i < 3; i++)
		assert_int_equal(number_of(&call, &call.carol, (unsigned)i), i);
	assert_int_equal(number_of(&call, &call.carol, 3), -1);
	world_forget(call.w);
	// And stamped with the instant they go out.
	call.w->now_us += 3 * SECOND;
	alice_sends(&call, 1, true);
	{
		const uint8_t *at = ext_of(&call, &call.bob, 0, SEND_TIME_OUT);

		assert_non_null(at);
		assert_int_equal((uint32_t)at[0] << 16 | (uint32_t)at[1] << 8 | at[2],
			rtp_ext_abs_send_time(call.w->now_us));
	}
	call_close(&call);
}

/** What a client saw of numbers from..to, each nth lost, told after so many us. */
static void client_reports(struct call *call, struct world_client *client, uint16_t from,
	uint16_t to, unsigned lose_every)
{
	static struct twcc_arrivals seen;
	uint8_t rtcp[TWCC_FEEDBACK_MAX];
	size_t len;

	memset(&seen, 0, sizeof(seen));
	for (unsigned i = from; i <= to; i++) {
		if (!lose_every || i % lose_every != 1)
			twcc_arrived(&seen, (uint16_t)i, 5 * SECOND + i * 10 * MS);
	}
	len = twcc_encode(&seen, rtcp, sizeof(rtcp), 1, OUT_SSRC(0));
	world_rtcp(call->w, 0, client, rtcp, len);
	world_turn(call->w);
}

static void what_a_consumer_says_is_kept(void **state)
{
	struct transport *bob, *carol;
	struct call call;

	(void)state;
	call_open(&call, true, 0);
	bob = &call.w->objects.transports[1];
	carol = &call.w->objects.transports[2];
	for (unsigned i = 0; i < 100; i++) {
		alice_sends(&call, 0, true);
		world_pass(call.w, 10 * MS, 10 * MS);
	}
	client_reports(&call, &call.bob, 0, 99, 10);
	assert_int_equal(bob->twcc.sent.packets, 100);
	assert_int_equal(bob->twcc.sent.packets_lost, 10);
	assert_int_equal(bob->twcc.sent.rtt_us, 10 * MS);
	assert_true(bob->twcc.sent.arrival_bps > 0);
	assert_int_equal(bob->twcc.sent.delay_us, 0);
	// Carol has said nothing, and what was not sent is nobody's.
	assert_int_equal(carol->twcc.sent.feedbacks, 0);
	client_reports(&call, &call.carol, 90, 120, 0);
	assert_int_equal(carol->twcc.sent.refused, 1);
	assert_int_equal(carol->twcc.sent.packets, 0);
	// A sender has nothing to say about what it does not receive.
	client_reports(&call, &call.alice, 0, 10, 0);
	assert_int_equal(carol->twcc.sent.packets, 0);
	call_close(&call);
}

static void a_consumers_remb_is_kept(void **state)
{
	const uint32_t ssrc = OUT_SSRC(0);
	uint8_t rtcp[64];
	struct call call;

	(void)state;
	call_open(&call, true, 0);
	world_rtcp(call.w, 0, &call.bob, rtcp,
		rtcp_encode_remb(rtcp, sizeof(rtcp), 1, 1234567 & ~7u, &ssrc, 1));
	assert_int_equal(call.w->objects.transports[1].remb_received_bps, 1234567 & ~7u);
	assert_int_equal(call.w->objects.transports[2].remb_received_bps, 0);
	call_close(&call);
}

/* The place in the list of what is due is that of a transport that is gone. */
static void a_transport_that_goes_leaves_nothing_due(void **state)
{
	struct sfu_command cmd
		= {.type = SFU_CMD_DELETE_TRANSPORT, .version = 2, .handle = sfu_handle_make(0, 1)};
	struct call call;

	(void)state;
	call_open(&call, true, 0);
	alice_sends(&call, 0, true);
	assert_int_equal(world_apply(call.w, &cmd), SFU_STATUS_OK);
	world_forget(call.w);
	world_pass(call.w, 200 * MS, 10 * MS);
	for (unsigned i = 0; i < call.w->sent_count; i++)
		assert_int_not_equal(call.w->sent[i].to.port, call.alice.at.port);
	call_close(&call);
}

/* --- reports --- */

/** How many packets of an RTCP type went to a client; the last one is kept. */
static unsigned rtcp_to(struct call *call, struct world_client *client, uint8_t type,
	uint8_t keep[WORLD_PAYLOAD], struct rtcp_packet *last)
{
	uint8_t plain[WORLD_PAYLOAD];
	unsigned n = 0;

	for (unsigned i = 0; i < call->w->sent_count; i++) {
		const struct world_sent *s = &call->w->sent[i];
		int len = (int)s->len;
		struct rtcp_packet p;
		struct rtcp_iter it;

		if (s->to.port != client->at.port || s->octets[0] >> 6 != 2 || s->octets[1] < 192
			|| s->octets[1] > 223)
			continue;
		memcpy(plain, s->octets, s->len);
		assert_int_equal(srtp_unprotect_rtcp(client->in, plain, &len), srtp_err_status_ok);
		rtcp_iter_init(&it, plain, (size_t)len);
		while (rtcp_next(&it, &p) == RTCP_OK) {
			if (p.type != type)
				continue;
			n++;
			memcpy(keep, plain, (size_t)len);
			*last = p;
			last->body = keep + (p.body - plain);
		}
	}
	world_forget(call->w);
	return n;
}

static void receivers_that_ask_are_told_their_round_trip(void **state)
{
	uint64_t theirs = rtcp_ntp_from_us(12345678901);
	uint8_t xr[64], keep[WORLD_PAYLOAD];
	struct rtcp_xr_block block;
	struct rtcp_packet packet;
	struct rtcp_xr_iter it;
	struct rtcp_dlrr dlrr;
	struct call call;

	(void)state;
	call_open(&call, true, 0);
	world_rtcp(call.w, 0, &call.bob, xr, rtcp_encode_rrtr(xr, sizeof(xr), 77, theirs));
	world_pass(call.w, 1500 * MS, 10 * MS);
	assert_int_equal(rtcp_to(&call, &call.bob, RTCP_XR, keep, &packet), 1);
	assert_int_equal(rtcp_xr_iter_init(&it, &packet), RTCP_OK);
	assert_int_equal(rtcp_xr_next(&it, &block), RTCP_OK);
	assert_true(rtcp_xr_dlrr(&block, 0, &dlrr));
	assert_int_equal(dlrr.ssrc, 77);
	assert_int_equal(dlrr.lrr, rtcp_ntp_mid(theirs));
	assert_in_range(rtcp_mid_to_us(dlrr.dlrr), 1, 1500 * MS);
	assert_false(rtcp_xr_dlrr(&block, 1, &dlrr));
	// Once for each time that is asked.
	world_pass(call.w, 1500 * MS, 10 * MS);
	assert_int_equal(rtcp_to(&call, &call.bob, RTCP_XR, keep, &packet), 0);
	call_close(&call);
}

static void a_stream_that_is_closed_says_bye(void **state)
{
	struct sfu_command consumer
		= {.type = SFU_CMD_DELETE_CONSUMER, .version = 2, .handle = sfu_handle_make(1, 1)};
	struct sfu_command producer
		= {.type = SFU_CMD_DELETE_PRODUCER, .version = 2, .handle = sfu_handle_make(0, 1)};
	uint8_t keep[WORLD_PAYLOAD];
	struct rtcp_packet packet;
	struct rtcp_bye bye;
	struct call call;

	(void)state;
	call_open(&call, true, 0);
	alice_sends(&call, 0, true);
	alice_sends(&call, 1, true);
	assert_int_equal(world_apply(call.w, &consumer), SFU_STATUS_OK);
	world_turn(call.w);
	assert_int_equal(rtcp_to(&call, &call.bob, RTCP_BYE, keep, &packet), 1);
	assert_int_equal(rtcp_bye_parse(&packet, &bye), RTCP_OK);
	assert_int_equal(rtcp_ssrc(bye.ssrcs, bye.ssrc_count, 0), OUT_SSRC(1));
	// A producer's end is that of all its streams.
	assert_int_equal(world_apply(call.w, &producer), SFU_STATUS_OK);
	world_turn(call.w);
	assert_int_equal(rtcp_to(&call, &call.carol, RTCP_BYE, keep, &packet), 1);
	assert_int_equal(rtcp_bye_parse(&packet, &bye), RTCP_OK);
	assert_int_equal(rtcp_ssrc(bye.ssrcs, bye.ssrc_count, 0), OUT_SSRC(2));
	call_close(&call);
}

/* Each fifth packet is lost on the way to us, each tenth of the others on the way to Bob. */
static void loss_before_us_is_not_charged_behind_us(void **state)
{
	struct rtcp_report_block block = {.ssrc = OUT_SSRC(0)};
	unsigned lost = 0, sent = 0;
	const struct consumer *c;
	uint8_t rr[64];
	struct call call;

	(void)state;
	call_open(&call, true, 0);
	c = consumer_find(&call.w->objects, sfu_handle_make(0, 1));
	for (unsigned round = 0; round < 5; round++) {
		for (unsigned i = 0; i < 100; i++) {
			if (i % 5 == 3) {
				call.seq[0]++;
				lost++;
				continue;
			}
			alice_sends(&call, 0, true);
			lost += sent++ % 10 == 0;
			world_forget(call.w);
		}
		block.highest_seq = (uint32_t)c->highest_out_index;
		block.cumulative_lost = (int32_t)lost;
		world_rtcp(call.w, 0, &call.bob, rr, rtcp_encode_rr(rr, sizeof(rr), 1, &block, 1));
	}
	assert_int_equal(c->report_lost, 100 + 40);
	assert_in_range(c->report_lost_downstream, 39, 41);
	// 8 of 100 numbers: the share of what the receiver expects.
	assert_in_range(c->report_fraction_downstream, 18, 23);
	call_close(&call);
}

/* --- key frames --- */

static unsigned plis(struct call *call)
{
	uint8_t keep[WORLD_PAYLOAD];
	struct rtcp_packet packet;

	return rtcp_to(call, &call->alice, RTCP_PSFB, keep, &packet);
}

/** Frames of so many packets, 30 a second, for so long; how often Alice was asked. */
static unsigned frames(struct call *call, unsigned packets, unsigned ms)
{
	unsigned asked = 0;

	for (unsigned passed = 0; passed < ms; passed += 33) {
		for (unsigned i = 0; i < packets; i++)
			alice_sends(call, 0, true);
		world_pass(call->w, 33 * MS, 33 * MS);
		asked += plis(call);
	}
	return asked;
}

static void bob_asks(struct call *call)
{
	uint8_t pli[16];

	world_rtcp(call->w, 0, &call->bob, pli, rtcp_encode_pli(pli, sizeof(pli), 1, OUT_SSRC(0)));
}

/* Closed frames say nothing: one of several times the usual size is taken for the answer. */
static void a_request_is_repeated_until_a_key_frame_comes(void **state)
{
	struct call call;

	(void)state;
	call_open(&call, true, SFU_PRODUCER_E2EE);
	frames(&call, 2, 3000);
	bob_asks(&call);
	assert_int_equal(frames(&call, 2, 600), 2);
	assert_int_equal(frames(&call, 9, 33), 0);
	assert_int_equal(frames(&call, 2, 3000), 0);
	// Where no frame stands out it ends by itself.
	bob_asks(&call);
	assert_int_equal(frames(&call, 2, 10000), 3);
	call_close(&call);
}

/* Key frames of nearly half a second's bits each: in the long run they take half of the time. */
static void dear_key_frames_are_asked_for_less_often(void **state)
{
	unsigned asked = 0;
	struct call call;

	(void)state;
	call_open(&call, true, SFU_PRODUCER_E2EE);
	frames(&call, 1, 3000);
	for (unsigned i = 0; i < 40; i++) {
		bob_asks(&call);
		asked += frames(&call, 1, 33);
		asked += frames(&call, 100, 33);
		asked += frames(&call, 1, 430);
	}
	// 20 s: at two a second there would be 40.
	assert_in_range(asked, 24, 34);
	call_close(&call);
}

/* --- pause and resume --- */

static void set_producer(struct call *call, uint32_t version, uint32_t flags)
{
	struct sfu_command cmd = {
		.type = SFU_CMD_PUT_PRODUCER,
		.version = version,
		.handle = sfu_handle_make(0, 1),
		.u.producer = call->w->objects.producers[0].put,
	};

	cmd.u.producer.flags = flags;
	assert_int_equal(world_apply(call->w, &cmd), SFU_STATUS_OK);
}

/** Header of the nth RTP packet that went to a client. */
static struct rtp_view header(struct call *call, struct world_client *client, unsigned nth)
{
	struct rtp_view v = {0};

	for (unsigned i = 0; i < call->w->sent_count; i++) {
		const struct world_sent *s = &call->w->sent[i];

		if (s->to.port != client->at.port || s->octets[0] >> 6 != 2
			|| (s->octets[1] >= 192 && s->octets[1] <= 223) || nth--)
			continue;
		assert_int_equal(rtp_parse(s->octets, s->len, &v), RTP_OK);
		return v;
	}
	fail_msg("not that many packets");
	return v;
}

/* The client goes on sending meanwhile, as browsers do that only mute their picture. */
static void a_producers_pause_is_a_pause_and_no_loss(void **state)
{
	struct rtp_view before, after;
	const struct consumer *c;
	struct call call;

	(void)state;
	call_open(&call, true, 0);
	c = consumer_find(&call.w->objects, sfu_handle_make(0, 1));
	frames(&call, 1, 2000);
	alice_sends(&call, 0, true);
	before = header(&call, &call.bob, 0);
	set_producer(&call, 2, SFU_PRODUCER_PAUSED);
	world_forget(call.w);
	frames(&call, 1, 3000);
	assert_int_equal(call.w->objects.producers[0].packets, c->packets);
	set_producer(&call, 3, 0);
	world_forget(call.w);
	call.w->now_us += 5 * MS;
	alice_sends(&call, 0, true);
	after = header(&call, &call.bob, 0);
	assert_int_equal((uint16_t)(after.seq - before.seq), 1);
	assert_in_range(after.timestamp - before.timestamp, 3000 * 90, 3100 * 90);
	assert_int_equal(c->holes, 0);
	// The picture comes back with a key frame, asked for at once.
	world_turn(call.w);
	assert_int_equal(plis(&call), 1);
	call_close(&call);
}

/** What the pause held back leaves no hole, whatever is overtaken at its end. */
static void a_packet_from_the_pause_does_not_begin_what_follows(void **state)
{
	struct rtp_view before, after;
	const struct consumer *c;
	struct call call;

	(void)state;
	call_open(&call, true, 0);
	c = consumer_find(&call.w->objects, sfu_handle_make(0, 1));
	frames(&call, 1, 2000);
	alice_sends(&call, 0, true);
	before = header(&call, &call.bob, 0);
	set_producer(&call, 2, SFU_PRODUCER_PAUSED);
	call.seq[0] += 3;
	alice_sends(&call, 0, true);
	set_producer(&call, 3, 0);
	world_forget(call.w);
	// Sent before the one that was held back, and overtaken by it.
	call.seq[0] -= 2;
	alice_sends(&call, 0, true);
	assert_int_equal(world_drops(call.w, DROP_producer_paused), 2);
	call.seq[0]++;
	alice_sends(&call, 0, true);
	after = header(&call, &call.bob, 0);
	assert_int_equal((uint16_t)(after.seq - before.seq), 1);
	assert_int_equal(c->holes, 0);
	call_close(&call);
}

/* --- who speaks --- */

#define LEVEL_IN 1

static struct {
	unsigned count;
	uint64_t room, producer, transport;
} turn;

static void on_turn(
	void *ctx, uint64_t room, uint64_t producer, uint64_t transport, uint8_t loudness)
{
	(void)ctx;
	(void)loudness;
	turn.count++;
	turn.room = room;
	turn.producer = producer;
	turn.transport = transport;
}

static void put_microphone(struct call *call, uint32_t index, uint32_t version, uint32_t flags)
{
	struct sfu_command cmd = {
		.type = SFU_CMD_PUT_PRODUCER,
		.version = version,
		.handle = sfu_handle_make(index, 1),
		.u.producer = {
			.transport = call->alice.handle,
			.flags = flags,
			.kind = SFU_AUDIO,
			.codec_count = 1,
			.encoding_count = 1,
			.ext_count = 1,
			.codec = {{111, 100, SFU_CODEC_OPUS, 0, 48000}},
			.encoding = {{.ssrc = SSRC(index)}},
			.ext = {{LEVEL_IN, SFU_EXT_AUDIO_LEVEL}},
		},
	};

	assert_int_equal(world_apply(call->w, &cmd), SFU_STATUS_OK);
}

/** A second of two microphones, levels in -dBov; 127 sends nothing (DTX). */
static void talk(struct call *call, uint16_t seq[2], uint8_t first, uint8_t second)
{
	const uint8_t level[2] = {first, second};

	for (unsigned i = 0; i < 50; i++) {
		for (unsigned k = 0; k < 2; k++) {
			struct pkt_rtp p = {.ssrc = SSRC(2 + k),
				.seq = seq[k],
				.timestamp = (uint32_t)(call->w->now_us * 48 / 1000),
				.payload_type = 111,
				.level_id = LEVEL_IN,
				.level = 0x80 | level[k],
				.payload = media,
				.payload_len = sizeof(media)};

			if (level[k] == 127)
				continue;
			seq[k]++;
			world_rtp(call->w, 0, &call->alice, &p);
		}
		world_pass(call->w, 20 * MS, 20 * MS);
		if (i % 12 == 11)
			speakers_look(&call->w->objects, on_turn, NULL);
	}
	world_forget(call->w);
}

static void the_louder_one_speaks(void **state)
{
	uint16_t seq[2] = {0};
	struct call call;

	(void)state;
	memset(&turn, 0, sizeof(turn));
	call_open(&call, true, 0);
	put_microphone(&call, 2, 1, 0);
	put_microphone(&call, 3, 1, 0);
	talk(&call, seq, 90, 127);
	assert_int_equal(turn.count, 0);
	talk(&call, seq, 30, 90);
	assert_int_equal(turn.count, 1);
	assert_int_equal(turn.producer, sfu_handle_make(2, 1));
	assert_int_equal(turn.transport, call.alice.handle);
	assert_int_equal(turn.room, sfu_handle_make(0, 1));
	// Muted by signalling: what the client sends all the same is nobody's turn.
	put_microphone(&call, 3, 2, SFU_PRODUCER_PAUSED);
	talk(&call, seq, 127, 20);
	talk(&call, seq, 127, 20);
	assert_int_equal(turn.count, 1);
	put_microphone(&call, 3, 3, 0);
	talk(&call, seq, 127, 20);
	assert_int_equal(turn.count, 2);
	assert_int_equal(turn.producer, sfu_handle_make(3, 1));
	call_close(&call);
}

/* Numbers go on where silence ended: nothing was expected meanwhile, nothing is lost. */
static void silence_is_no_loss(void **state)
{
	uint8_t keep[WORLD_PAYLOAD];
	struct rtcp_report_block block;
	struct rtcp_packet packet;
	struct rtcp_report report;
	uint16_t seq[2] = {0};
	struct call call;

	(void)state;
	call_open(&call, true, 0);
	put_microphone(&call, 2, 1, 0);
	talk(&call, seq, 30, 127);
	world_pass(call.w, 10 * SECOND, 100 * MS);
	world_forget(call.w);
	for (unsigned i = 0; i < 50; i++) {
		struct pkt_rtp p = {.ssrc = SSRC(2),
			.seq = seq[0]++,
			.timestamp = (uint32_t)(call.w->now_us * 48 / 1000),
			.payload_type = 111,
			.payload = media,
			.payload_len = sizeof(media)};

		// One packet in 400 ms: comfort noise.
		world_rtp(call.w, 0, &call.alice, &p);
		world_pass(call.w, 400 * MS, 20 * MS);
	}
	assert_true(rtcp_to(&call, &call.alice, RTCP_RR, keep, &packet) > 15);
	assert_int_equal(rtcp_report_parse(&packet, &report), RTCP_OK);
	assert_true(rtcp_report_block(&report, 0, &block));
	assert_int_equal(block.cumulative_lost, 0);
	assert_int_equal(block.fraction_lost, 0);
	assert_in_range(block.jitter, 0, 48);
	call_close(&call);
}

/* --- floods --- */

static void a_flood_of_rtcp_costs_little_and_hurts_nobody(void **state)
{
	uint8_t compound[1100];
	uint64_t requests;
	size_t len = 0;
	struct call call;

	(void)state;
	call_open(&call, true, 0);
	frames(&call, 1, 1000);
	requests = call.w->objects.producers[0].key_frame_requests;
	while (len + 12 <= sizeof(compound))
		len += rtcp_encode_pli(compound + len, sizeof(compound) - len, 1, OUT_SSRC(0));
	// 10,000 datagrams in a second, 91 requests in each.
	for (unsigned i = 0; i < 1000; i++) {
		for (unsigned k = 0; k < 10; k++)
			world_rtcp(call.w, 0, &call.bob, compound, len);
		world_pass(call.w, MS, MS);
	}
	assert_true(world_drops(call.w, DROP_rtcp_rate) > 8900);
	assert_true(call.w->objects.transports[1].rtcp_over > 8900);
	assert_in_range(call.w->objects.producers[0].key_frame_requests - requests, 1, 2);
	// Carol is heard as ever, and in a second so is Bob.
	world_forget(call.w);
	alice_sends(&call, 0, true);
	assert_int_equal(call.w->objects.transports[2].rtcp_over, 0);
	world_pass(call.w, SECOND, 10 * MS);
	requests = world_drops(call.w, DROP_rtcp_rate);
	bob_asks(&call);
	assert_int_equal(world_drops(call.w, DROP_rtcp_rate), requests);
	call_close(&call);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_producer_hears_what_came),
		cmocka_unit_test(feedback_comes_every_80_ms),
		cmocka_unit_test(probes_count),
		cmocka_unit_test(forged_packets_are_not_reported),
		cmocka_unit_test(who_has_no_numbers_gets_a_remb_where_wanted),
		cmocka_unit_test(packets_are_numbered_per_transport),
		cmocka_unit_test(what_a_consumer_says_is_kept),
		cmocka_unit_test(a_consumers_remb_is_kept),
		cmocka_unit_test(a_transport_that_goes_leaves_nothing_due),
		cmocka_unit_test(receivers_that_ask_are_told_their_round_trip),
		cmocka_unit_test(a_stream_that_is_closed_says_bye),
		cmocka_unit_test(loss_before_us_is_not_charged_behind_us),
		cmocka_unit_test(a_request_is_repeated_until_a_key_frame_comes),
		cmocka_unit_test(dear_key_frames_are_asked_for_less_often),
		cmocka_unit_test(a_producers_pause_is_a_pause_and_no_loss),
		cmocka_unit_test(a_packet_from_the_pause_does_not_begin_what_follows),
		cmocka_unit_test(the_louder_one_speaks),
		cmocka_unit_test(silence_is_no_loss),
		cmocka_unit_test(a_flood_of_rtcp_costs_little_and_hurts_nobody),
	};
	int failed;

	(void)argc;
	if (world_start(argv[0], 1))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	world_stop();
	return failed;
}
