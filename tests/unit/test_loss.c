// SPDX-License-Identifier: BSD-3-Clause
/*
 * Packets that get lost, on both sides of the data plane: real stages and tables, frames on a
 * loop-back port, libsrtp2 as the clients' SRTP (which refuses an index that comes twice). Alice
 * sends, Bob and Carol receive.
 */
#include "sfu-dp/proto/rtcp.h"
#include "sfu-dp/proto/rtp.h"
#include "sfu-dp/proto/rtp_ext.h"
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
#define RTX_SSRC 0x22222222u
#define BOB_SSRC 0x0b0b0b0bu
#define CAROL_SSRC 0x0c0c0c0cu
#define PT 96
#define RTX_PT 97
#define MAPPED_PT 101
#define MAPPED_RTX_PT 102
#define CLOCK 90000u
#define MID_IN 4
#define RID_IN 10
#define REPAIRED_RID_IN 11
#define MID_OUT 1
#define FIRST_SEQ 65500u /* wraps soon */

/** A call as programmed. */
struct call {
	struct world *w;
	struct world_client alice, bob, carol;
	uint16_t seq, rtx_seq; /* next of Alice's */
};

/** What differs from the common call. */
struct options {
	unsigned workers; /* 0 = 1 */
	unsigned profile; /* 0 = AEAD_AES_128_GCM */
	bool no_nack; /* Alice does not answer NACKs */
	bool no_rtx; /* Bob and Carol get no RTX */
	bool by_name; /* no SSRC of Alice's is signalled */
	const char *rid;
};

/* What a packet holds: its number, so that whatever comes out can be told from all others. */

static size_t content(uint8_t out[64], uint16_t seq)
{
	static const uint8_t descriptor[] = {0x90, 0x80, 0x12};

	memcpy(out, descriptor, sizeof(descriptor));
	for (unsigned i = sizeof(descriptor); i < 64; i++)
		out[i] = (uint8_t)(seq * 7 + i);
	out[3] = (uint8_t)(seq >> 8);
	out[4] = (uint8_t)seq;
	return 64;
}

static void put_producer(struct call *call, const struct options *o)
{
	struct sfu_command cmd = {
		.type = SFU_CMD_PUT_PRODUCER,
		.version = 1,
		.handle = sfu_handle_make(0, 1),
		.u.producer = {
			.transport = call->alice.handle,
			.flags = o->no_nack ? 0 : SFU_PRODUCER_NACK,
			.kind = SFU_VIDEO,
			.codec_count = 2,
			.encoding_count = 1,
			.ext_count = 3,
			.codec = {{PT, MAPPED_PT, SFU_CODEC_VP8, 0, CLOCK},
				{RTX_PT, MAPPED_RTX_PT, SFU_CODEC_RTX, PT, CLOCK}},
			.encoding = {{.ssrc = SSRC, .rtx_ssrc = RTX_SSRC}},
			.ext = {{MID_IN, SFU_EXT_MID}, {RID_IN, SFU_EXT_RID},
				{REPAIRED_RID_IN, SFU_EXT_REPAIRED_RID}},
			.mid_len = 1,
			.mid = "0",
		},
	};

	if (o->by_name)
		cmd.u.producer.encoding[0] = (struct sfu_producer_encoding){0};
	if (o->rid) {
		cmd.u.producer.encoding[0].rid_len = (uint8_t)strlen(o->rid);
		memcpy(cmd.u.producer.encoding[0].rid, o->rid, strlen(o->rid));
	}
	assert_int_equal(world_apply(call->w, &cmd), SFU_STATUS_OK);
}

static void put_consumer(struct call *call, const struct world_client *client, uint32_t index,
	uint32_t version, uint32_t ssrc, uint32_t flags, bool rtx)
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
			.rtx_ssrc = rtx ? ssrc + 1 : 0,
			.encoding = 255,
			.payload_type_count = 2,
			.ext_count = 1,
			.payload_type = {MAPPED_PT, MAPPED_RTX_PT},
			.rtx_payload_type = {rtx ? MAPPED_RTX_PT : 0},
			.mid_len = 2,
			.ext = {{MID_OUT, SFU_EXT_MID}},
			.mid = "77",
		},
	};

	assert_int_equal(world_apply(call->w, &cmd), SFU_STATUS_OK);
}

static void call_open(struct call *call, const struct options *o)
{
	static const struct options common;
	struct world_client *all[] = {&call->alice, &call->bob, &call->carol};
	unsigned workers;

	if (!o)
		o = &common;
	workers = o->workers ? o->workers : 1;
	memset(call, 0, sizeof(*call));
	call->seq = FIRST_SEQ;
	call->rtx_seq = 500;
	call->w = world_open(workers, true, NULL);
	assert_non_null(call->w);
	assert_int_equal(world_put_room(call->w, 0, 1, true), SFU_STATUS_OK);
	for (uint32_t i = 0; i < 3; i++)
		assert_int_equal(world_put_member(call->w, all[i], i, i % workers, OPEN,
					 o->profile ? o->profile : SFU_SRTP_AEAD_AES_128_GCM),
			SFU_STATUS_OK);
	put_producer(call, o);
	put_consumer(call, &call->bob, 0, 1, BOB_SSRC, 0, !o->no_rtx);
	put_consumer(call, &call->carol, 1, 1, CAROL_SSRC, 0, !o->no_rtx);
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

static struct producer *producer(struct call *call)
{
	return producer_find(&call->w->objects, sfu_handle_make(0, 1));
}

static struct consumer *bob_consumer(struct call *call)
{
	return consumer_find(&call->w->objects, sfu_handle_make(0, 1));
}

static struct pkt_rtp packet(const struct call *call, uint16_t seq, uint8_t payload[64])
{
	return (struct pkt_rtp){
		.ssrc = SSRC,
		.timestamp = seq * 3000u,
		.seq = seq,
		.payload_type = PT,
		.marker = call->seq % 2,
		.mid_id = MID_IN,
		.mid = "0",
		.payload = payload,
		.payload_len = content(payload, seq),
	};
}

/** Her packet with this number, through to the ends. */
static void alice_sends_seq(struct call *call, uint16_t seq)
{
	uint8_t payload[64];
	struct pkt_rtp p = packet(call, seq, payload);

	world_rtp(call->w, 0, &call->alice, &p);
	world_turn(call->w);
}

static void alice_sends(struct call *call, unsigned count)
{
	while (count--)
		alice_sends_seq(call, call->seq++);
}

/** The same again on her RTX stream. */
static void alice_sends_again(struct call *call, uint16_t seq, const char *repaired_rid)
{
	uint8_t payload[64], again[66];
	struct pkt_rtp p = packet(call, seq, payload);

	again[0] = (uint8_t)(seq >> 8);
	again[1] = (uint8_t)seq;
	memcpy(again + 2, payload, sizeof(payload));
	p.ssrc = RTX_SSRC;
	p.seq = call->rtx_seq++;
	p.payload_type = RTX_PT;
	p.payload = again;
	p.payload_len = sizeof(again);
	if (repaired_rid) {
		p.rid_id = REPAIRED_RID_IN;
		p.rid = repaired_rid;
	}
	world_rtp(call->w, 0, &call->alice, &p);
	world_turn(call->w);
}

/** The nth RTP packet to a client on an SSRC since world_forget(), opened once; false if none. */
static bool received(struct call *call, struct world_client *client, uint32_t ssrc, unsigned nth,
	uint8_t plain[WORLD_PAYLOAD], struct rtp_view *view)
{
	for (unsigned i = 0; i < call->w->sent_count; i++) {
		const struct world_sent *s = &call->w->sent[i];
		struct rtp_view v;
		int len = (int)s->len;

		if (s->to.port != client->at.port || (s->octets[0] >> 6) != 2
			|| (s->octets[1] >= 192 && s->octets[1] <= 223)
			|| rtp_parse(s->octets, s->len, &v) != RTP_OK || v.ssrc != ssrc || nth--)
			continue;
		memcpy(plain, s->octets, s->len);
		assert_int_equal(srtp_unprotect(client->in, plain, &len), srtp_err_status_ok);
		assert_int_equal(rtp_parse(plain, (size_t)len, view), RTP_OK);
		return true;
	}
	return false;
}

static unsigned rtp_count(const struct call *call, const struct world_client *client, uint32_t ssrc)
{
	unsigned n = 0;

	for (unsigned i = 0; i < call->w->sent_count; i++) {
		const struct world_sent *s = &call->w->sent[i];
		struct rtp_view v;

		n += s->to.port == client->at.port && (s->octets[0] >> 6) == 2
		     && !(s->octets[1] >= 192 && s->octets[1] <= 223)
		     && rtp_parse(s->octets, s->len, &v) == RTP_OK && v.ssrc == ssrc;
	}
	return n;
}

/** Sequence numbers that Alice was asked for since world_forget(), and the PLIs. */
static unsigned alice_asked(struct call *call, uint16_t seqs[64], unsigned *plis)
{
	unsigned n = 0;

	*plis = 0;
	for (unsigned i = 0; i < call->w->sent_count; i++) {
		const struct world_sent *s = &call->w->sent[i];
		int len = (int)s->len;
		uint8_t plain[WORLD_PAYLOAD];
		struct rtcp_feedback fb;
		struct rtcp_packet p;
		struct rtcp_nack e;
		struct rtcp_iter it;

		if (s->to.port != call->alice.at.port || s->octets[1] < 192 || s->octets[1] > 223
			|| (s->octets[0] >> 6) != 2)
			continue;
		memcpy(plain, s->octets, s->len);
		assert_int_equal(
			srtp_unprotect_rtcp(call->alice.in, plain, &len), srtp_err_status_ok);
		rtcp_iter_init(&it, plain, (size_t)len);
		while (rtcp_next(&it, &p) == RTCP_OK) {
			if (rtcp_feedback_parse(&p, &fb) != RTCP_OK)
				continue;
			*plis += rtcp_is_pli(&fb);
			for (unsigned k = 0; rtcp_nack(&fb, k, &e); k++) {
				assert_int_equal(fb.media_ssrc, SSRC);
				seqs[n++] = e.pid;
				for (unsigned bit = 0; bit < 16; bit++) {
					if (e.blp >> bit & 1)
						seqs[n++] = (uint16_t)(e.pid + 1 + bit);
				}
			}
		}
	}
	world_forget(call->w);
	return n;
}

static unsigned plis(struct call *call)
{
	uint16_t seqs[64];
	unsigned n;

	alice_asked(call, seqs, &n);
	return n;
}

static void bob_asks(struct call *call, const uint16_t *seqs, unsigned count)
{
	uint8_t nack[1200];
	size_t len = rtcp_encode_nack(nack, sizeof(nack), 1, BOB_SSRC, seqs, count);

	assert_true(len > 0);
	world_rtcp(call->w, bob_consumer(call)->transport->owner, &call->bob, nack, len);
	world_turn(call->w);
}

static void bob_asks_for(struct call *call, uint16_t seq)
{
	bob_asks(call, &seq, 1);
}

/** Key frames that the start of a call asks for are out of the way. */
static void settle(struct call *call)
{
	world_pass(call->w, 4 * SECOND, 100 * MS);
	alice_sends(call, 1);
	world_pass(call->w, 4 * SECOND, 100 * MS);
	world_forget(call->w);
}

/* --- loss on the way to us --- */

static void what_is_lost_is_asked_for_and_given_on_once(void **state)
{
	uint8_t plain[WORLD_PAYLOAD], expected[64];
	struct rtp_view before, v;
	struct call call;
	uint16_t seqs[64], lost;
	unsigned n, keys;

	(void)state;
	for (unsigned workers = 1; workers <= 2; workers++) {
		const struct options o = {.workers = workers};

		call_open(&call, &o);
		alice_sends(&call, 35);
		assert_true(received(&call, &call.carol, CAROL_SSRC, 34, plain, &before));
		world_forget(call.w);
		// The one with sequence number 65535, and the one after it.
		lost = call.seq;
		assert_int_equal(lost, 65535);
		call.seq = 1;
		alice_sends(&call, 1);
		assert_int_equal(alice_asked(&call, seqs, &keys), 0);
		world_pass(call.w, 10 * MS, MS);
		assert_int_equal(alice_asked(&call, seqs, &keys), 0);
		world_pass(call.w, 10 * MS, MS);
		n = alice_asked(&call, seqs, &keys);
		assert_int_equal(n, 2);
		assert_int_equal(seqs[0], 65535);
		assert_int_equal(seqs[1], 0);

		// She sends both again; the first of them was only late.
		alice_sends_again(&call, 65535, NULL);
		assert_true(received(&call, &call.carol, CAROL_SSRC, 0, plain, &v));
		assert_int_equal((uint16_t)(v.seq - before.seq), 1);
		assert_int_equal(v.payload_type, MAPPED_PT);
		assert_int_equal(v.timestamp - before.timestamp, (65535 - 65534) * 3000);
		content(expected, 65535);
		assert_int_equal(v.payload_len, sizeof(expected));
		assert_memory_equal(plain + v.payload_off, expected, sizeof(expected));
		alice_sends_seq(&call, 65535);
		assert_int_equal(rtp_count(&call, &call.carol, CAROL_SSRC), 1);
		assert_int_equal(world_drops(call.w, DROP_rtp_late), 1);
		alice_sends_again(&call, 0, NULL);
		alice_sends_again(&call, 0, NULL);
		assert_int_equal(rtp_count(&call, &call.carol, CAROL_SSRC), 2);
		assert_int_equal(rtp_count(&call, &call.bob, BOB_SSRC), 2);
		assert_int_equal(world_drops(call.w, DROP_rtx_duplicate), 1);
		assert_int_equal(producer(&call)->recovery[0].retransmitted, 2);
		assert_int_equal(producer(&call)->recovery[0].nack.recovered, 2);
		// Nothing is missing any more.
		world_forget(call.w);
		world_pass(call.w, 500 * MS, 5 * MS);
		assert_int_equal(alice_asked(&call, seqs, &keys), 0);
		// Long after, the window of what was retransmitted has gone again.
		for (unsigned i = 0; i < 3000; i++) {
			alice_sends(&call, 1);
			world_forget(call.w);
		}
		assert_int_equal(producer(&call)->recovery[0].delivered_kept, 0);
		assert_int_equal(world_drops(call.w, DROP_rtp_late), 1);
		call_close(&call);
	}
}

static void a_request_is_repeated_a_few_times(void **state)
{
	struct call call;
	uint16_t seqs[64];
	unsigned total = 0, keys;

	(void)state;
	call_open(&call, NULL);
	alice_sends(&call, 3);
	call.seq++;
	alice_sends(&call, 1);
	world_forget(call.w);
	for (unsigned i = 0; i < 300; i++) {
		world_pass(call.w, 10 * MS, 5 * MS);
		total += alice_asked(&call, seqs, &keys);
	}
	assert_int_equal(total, NACK_TRIES_MAX);
	assert_int_equal(producer(&call)->recovery[0].nack.given_up, 1);
	assert_int_equal(producer(&call)->asking, 0);
	call_close(&call);
}

static void what_is_overtaken_is_not_asked_for(void **state)
{
	struct call call;
	uint16_t seqs[64], late;
	unsigned keys;

	(void)state;
	call_open(&call, NULL);
	alice_sends(&call, 3);
	late = call.seq++;
	alice_sends(&call, 1);
	world_pass(call.w, 10 * MS, MS);
	alice_sends_seq(&call, late);
	world_pass(call.w, 500 * MS, 5 * MS);
	assert_int_equal(rtp_count(&call, &call.bob, BOB_SSRC), 5);
	assert_int_equal(alice_asked(&call, seqs, &keys), 0);
	call_close(&call);
}

static void a_gap_too_long_ends_in_a_key_frame_request(void **state)
{
	struct call call;
	uint16_t seqs[64];
	unsigned keys;

	(void)state;
	call_open(&call, NULL);
	alice_sends(&call, 3);
	settle(&call);
	call.seq = (uint16_t)(call.seq + NACK_MISSING_MAX + 1);
	alice_sends(&call, 1);
	world_pass(call.w, 100 * MS, 5 * MS);
	assert_int_equal(alice_asked(&call, seqs, &keys), 0);
	assert_int_equal(keys, 1);
	call_close(&call);
}

static void who_does_not_answer_is_not_asked(void **state)
{
	const struct options o = {.no_nack = true};
	struct call call;
	uint16_t seqs[64];
	unsigned keys;

	(void)state;
	call_open(&call, &o);
	alice_sends(&call, 3);
	call.seq++;
	alice_sends(&call, 1);
	world_pass(call.w, 500 * MS, 5 * MS);
	assert_int_equal(alice_asked(&call, seqs, &keys), 0);
	call_close(&call);
}

/** Without SSRCs in signalling: by MID, or by repaired RID. */
static void a_retransmission_stream_is_learnt(void **state)
{
	static const struct {
		const char *about;
		const char *rid, *repaired_rid;
		unsigned copies;
	} rows[] = {
		{"by MID, of the only encoding", NULL, NULL, 1},
		{"by repaired RID", "h", "h", 1},
		{"another encoding's", "h", "q", 0},
		{"without a name", "h", NULL, 0},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct options o = {.by_name = true, .rid = rows[i].rid};
		uint8_t payload[64];
		struct pkt_rtp p;
		struct call call;
		uint16_t lost;

		print_message("  %s\n", rows[i].about);
		call_open(&call, &o);
		p = packet(&call, call.seq++, payload);
		p.rid_id = rows[i].rid ? RID_IN : 0;
		p.rid = rows[i].rid;
		world_rtp(call.w, 0, &call.alice, &p);
		lost = call.seq++;
		alice_sends(&call, 1);
		assert_int_equal(rtp_count(&call, &call.bob, BOB_SSRC), 2);
		world_forget(call.w);
		alice_sends_again(&call, lost, rows[i].repaired_rid);
		assert_int_equal(rtp_count(&call, &call.bob, BOB_SSRC), rows[i].copies);
		assert_int_equal(world_drops(call.w, DROP_srtp_ssrc), !rows[i].copies);
		call_close(&call);
	}
}

static void nothing_odd_on_rtx_is_given_on(void **state)
{
	enum deed { PROBE, EMPTY, ONE_OCTET, AHEAD, OLD, BEFORE_MEDIA, MEDIA_TYPE, RTX_TYPE };
	static const struct {
		const char *about;
		enum deed deed;
		enum drop_reason drop;
	} rows[] = {
		{"a probe of padding", PROBE, DROP_rtp_padding_only},
		{"nothing at all", EMPTY, DROP_rtp_padding_only},
		{"half a number", ONE_OCTET, DROP_rtp_malformed},
		{"what is far ahead", AHEAD, DROP_rtx_unknown},
		{"what is too old", OLD, DROP_rtx_unknown},
		{"a stream that has not begun", BEFORE_MEDIA, DROP_rtx_unknown},
		{"media's type on the RTX stream", MEDIA_TYPE, DROP_rtp_payload_type},
		{"RTX's type on the media stream", RTX_TYPE, DROP_rtp_payload_type},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t octets[66] = {0};
		struct call call;
		struct pkt_rtp p = {
			.ssrc = rows[i].deed == RTX_TYPE ? SSRC : RTX_SSRC,
			.seq = 7,
			.payload_type = rows[i].deed == MEDIA_TYPE ? PT : RTX_PT,
			.payload = octets,
			.payload_len = sizeof(octets),
		};
		uint16_t original = 0;

		print_message("  %s\n", rows[i].about);
		call_open(&call, NULL);
		if (rows[i].deed != BEFORE_MEDIA)
			alice_sends(&call, 3);
		world_forget(call.w);
		switch (rows[i].deed) {
		case PROBE:
			p.padding = 255;
			p.payload_len = 0;
			break;
		case EMPTY:
			p.payload_len = 0;
			break;
		case ONE_OCTET:
			p.payload_len = 1;
			break;
		case AHEAD:
			original = (uint16_t)(call.seq + SRTP_WINDOW + 10);
			break;
		case OLD:
			original = (uint16_t)(call.seq - SRTP_WINDOW - 10);
			break;
		case RTX_TYPE:
			p.seq = call.seq++;
			break;
		default:
			break;
		}
		octets[0] = (uint8_t)(original >> 8);
		octets[1] = (uint8_t)original;
		world_rtp(call.w, 0, &call.alice, &p);
		world_turn(call.w);
		assert_int_equal(world_drops(call.w, rows[i].drop), 1);
		assert_int_equal(rtp_count(&call, &call.bob, BOB_SSRC), 0);
		call_close(&call);
	}
}

/* --- loss on the way to consumers --- */

static void a_consumer_gets_again_what_it_asks_for(void **state)
{
	uint8_t plain[WORLD_PAYLOAD], expected[64];
	struct rtp_view first, again;
	struct rtp_ext_elem e;
	struct call call;
	uint16_t rtx_seq;

	(void)state;
	for (unsigned workers = 1; workers <= 2; workers++) {
		const struct options o = {.workers = workers};

		call_open(&call, &o);
		alice_sends(&call, 1);
		assert_true(received(&call, &call.bob, BOB_SSRC, 0, plain, &first));
		alice_sends(&call, 49);
		world_forget(call.w);

		// The fortieth, of which Alice's number has wrapped meanwhile.
		bob_asks_for(&call, (uint16_t)(first.seq + 40));
		assert_int_equal(rtp_count(&call, &call.bob, BOB_SSRC), 0);
		assert_int_equal(rtp_count(&call, &call.carol, CAROL_SSRC), 0);
		assert_true(received(&call, &call.bob, BOB_SSRC + 1, 0, plain, &again));
		assert_int_equal(again.payload_type, MAPPED_RTX_PT);
		assert_true(again.seq > 0 && again.seq < 0x8000);
		assert_int_equal(
			again.timestamp, first.timestamp + 40 * 3000
						 - (FIRST_SEQ + 40 > 65535 ? 65536u * 3000u : 0));
		assert_int_equal(again.payload_len, 2 + 64);
		assert_int_equal(plain[again.payload_off] << 8 | plain[again.payload_off + 1],
			(uint16_t)(first.seq + 40));
		content(expected, (uint16_t)(FIRST_SEQ + 40));
		assert_memory_equal(plain + again.payload_off + 2, expected, sizeof(expected));
		assert_true(rtp_ext_find(
			again.ext_profile, plain + again.ext_off, again.ext_len, MID_OUT, &e));
		assert_memory_equal(e.data, "77", 2);
		rtx_seq = again.seq;

		// Once more at once: it is on its way. Later: the next number of the RTX stream.
		world_forget(call.w);
		bob_asks_for(&call, (uint16_t)(first.seq + 40));
		assert_int_equal(call.w->sent_count, 0);
		world_pass(call.w, 60 * MS, 10 * MS);
		world_forget(call.w);
		bob_asks_for(&call, (uint16_t)(first.seq + 40));
		assert_true(received(&call, &call.bob, BOB_SSRC + 1, 0, plain, &again));
		assert_int_equal(again.seq, rtx_seq + 1);
		assert_int_equal(bob_consumer(&call)->rtx->packets, 2);
		assert_int_equal(bob_consumer(&call)->rtx->duplicates, 1);
		assert_int_equal(bob_consumer(&call)->packets, 50);
		call_close(&call);
	}
}

static void answers_of_a_burst_are_each_their_own(void **state)
{
	static const unsigned profiles[] = {
		SFU_SRTP_AEAD_AES_128_GCM, SFU_SRTP_AEAD_AES_256_GCM, SFU_SRTP_AES128_CM_SHA1_80};
	uint8_t plain[WORLD_PAYLOAD], expected[64];
	struct rtp_view first, again;
	uint16_t seqs[RESEND_PACE_BURST], rtx_seq = 0;
	struct call call;

	(void)state;
	for (unsigned p = 0; p < 3; p++) {
		const struct options o = {.profile = profiles[p]};

		call_open(&call, &o);
		alice_sends(&call, 1);
		assert_true(received(&call, &call.bob, BOB_SSRC, 0, plain, &first));
		alice_sends(&call, 49);
		world_forget(call.w);
		for (unsigned i = 0; i < RESEND_PACE_BURST; i++)
			seqs[i] = (uint16_t)(first.seq + 5 * i + 1);
		bob_asks(&call, seqs, RESEND_PACE_BURST);
		for (unsigned i = 0; i < RESEND_PACE_BURST; i++) {
			assert_true(received(&call, &call.bob, BOB_SSRC + 1, i, plain, &again));
			if (i)
				assert_int_equal(again.seq, (uint16_t)(rtx_seq + 1));
			rtx_seq = again.seq;
			assert_int_equal(again.payload_len, 2 + 64);
			assert_int_equal(
				plain[again.payload_off] << 8 | plain[again.payload_off + 1],
				seqs[i]);
			content(expected, (uint16_t)(FIRST_SEQ + 5 * i + 1));
			assert_memory_equal(
				plain + again.payload_off + 2, expected, sizeof(expected));
		}
		assert_int_equal(rtp_count(&call, &call.bob, BOB_SSRC + 1), RESEND_PACE_BURST);
		call_close(&call);
	}
}

static void what_never_was_is_not_answered(void **state)
{
	uint8_t plain[WORLD_PAYLOAD];
	struct rtp_view last;
	struct call call;

	(void)state;
	call_open(&call, NULL);
	settle(&call);
	alice_sends(&call, 10);
	assert_true(received(&call, &call.bob, BOB_SSRC, 9, plain, &last));
	world_forget(call.w);
	bob_asks_for(&call, (uint16_t)(last.seq + 1));
	bob_asks_for(&call, (uint16_t)(last.seq + 1000));
	bob_asks_for(&call, (uint16_t)(last.seq + 0x7fff));
	world_pass(call.w, 300 * MS, 10 * MS);
	assert_int_equal(rtp_count(&call, &call.bob, BOB_SSRC + 1), 0);
	assert_int_equal(plis(&call), 0);
	// About somebody else's stream he may say what he likes.
	{
		uint16_t seq = last.seq;
		uint8_t nack[32];

		world_rtcp(call.w, 0, &call.bob, nack,
			rtcp_encode_nack(nack, sizeof(nack), 1, CAROL_SSRC, &seq, 1));
	}
	world_turn(call.w);
	assert_int_equal(rtp_count(&call, &call.carol, CAROL_SSRC + 1), 0);
	call_close(&call);
}

static void what_is_gone_ends_in_one_key_frame_request(void **state)
{
	uint8_t plain[WORLD_PAYLOAD];
	struct rtp_view first;
	struct call call;

	(void)state;
	call_open(&call, NULL);
	alice_sends(&call, 1);
	assert_true(received(&call, &call.bob, BOB_SSRC, 0, plain, &first));
	settle(&call);
	alice_sends(&call, 3);
	world_pass(call.w, 1200 * MS, 10 * MS);
	alice_sends(&call, 1);
	world_forget(call.w);
	for (unsigned i = 0; i < 30; i++) {
		bob_asks_for(&call, (uint16_t)(first.seq + 2 + i % 3));
		world_pass(call.w, 100 * MS, 10 * MS);
		alice_sends(&call, 1);
	}
	assert_int_equal(rtp_count(&call, &call.bob, BOB_SSRC + 1), 0);
	// And repeated while no key frame comes: the requests' own business, six of them.
	assert_in_range(plis(&call), 1, 6);
	assert_int_equal(bob_consumer(&call)->rtx->key_frames, 1);
	assert_true(bob_consumer(&call)->rtx->gone >= 30);
	call_close(&call);
}

static void without_rtx_a_nack_ends_in_a_key_frame_request(void **state)
{
	const struct options o = {.no_rtx = true};
	uint8_t plain[WORLD_PAYLOAD];
	struct rtp_view first;
	struct call call;

	(void)state;
	call_open(&call, &o);
	alice_sends(&call, 1);
	assert_true(received(&call, &call.bob, BOB_SSRC, 0, plain, &first));
	settle(&call);
	alice_sends(&call, 10);
	world_forget(call.w);
	bob_asks_for(&call, (uint16_t)(first.seq + 5));
	world_pass(call.w, 20 * MS, 5 * MS);
	assert_int_equal(rtp_count(&call, &call.bob, BOB_SSRC), 0);
	assert_int_equal(plis(&call), 1);
	// Nobody would ever ask for it: nothing is kept.
	assert_int_equal(history_held(&call.w->workers[0].repair.history), 0);
	call_close(&call);
}

/** The hole is Alice's: what fills it comes on the stream itself, and is no reason to worry her. */
static void what_we_wait_for_ourselves_is_not_gone(void **state)
{
	uint8_t plain[WORLD_PAYLOAD];
	struct rtp_view last, v;
	struct call call;
	uint16_t lost, seqs[64];
	unsigned keys;

	(void)state;
	call_open(&call, NULL);
	settle(&call);
	alice_sends(&call, 10);
	assert_true(received(&call, &call.bob, BOB_SSRC, 9, plain, &last));
	lost = call.seq++;
	alice_sends(&call, 1);
	world_forget(call.w);
	bob_asks_for(&call, (uint16_t)(last.seq + 1));
	world_pass(call.w, 30 * MS, 5 * MS);
	assert_int_equal(alice_asked(&call, seqs, &keys), 1);
	assert_int_equal(keys, 0);
	assert_int_equal(bob_consumer(&call)->rtx->awaited, 1);
	alice_sends_again(&call, lost, NULL);
	assert_true(received(&call, &call.bob, BOB_SSRC, 0, plain, &v));
	assert_int_equal((uint16_t)(v.seq - last.seq), 1);
	// And can be had again like any other.
	world_pass(call.w, 60 * MS, 10 * MS);
	bob_asks_for(&call, v.seq);
	assert_int_equal(rtp_count(&call, &call.bob, BOB_SSRC + 1), 1);
	call_close(&call);
}

static void a_pause_does_not_mix_up_what_was_before(void **state)
{
	uint8_t plain[WORLD_PAYLOAD], expected[64];
	struct rtp_view first, v;
	struct call call;

	(void)state;
	call_open(&call, NULL);
	alice_sends(&call, 1);
	assert_true(received(&call, &call.bob, BOB_SSRC, 0, plain, &first));
	alice_sends(&call, 9);
	put_consumer(&call, &call.bob, 0, 2, BOB_SSRC, SFU_CONSUMER_PAUSED, true);
	alice_sends(&call, 7);
	// While he is paused nothing goes.
	world_forget(call.w);
	bob_asks_for(&call, (uint16_t)(first.seq + 4));
	assert_int_equal(rtp_count(&call, &call.bob, BOB_SSRC + 1), 0);
	put_consumer(&call, &call.bob, 0, 3, BOB_SSRC, 0, true);
	alice_sends(&call, 10);
	world_pass(call.w, 60 * MS, 10 * MS);
	world_forget(call.w);
	for (unsigned i = 0; i < 20; i++) {
		world_pass(call.w, 5 * MS, MS);
		bob_asks_for(&call, (uint16_t)(first.seq + i));
		assert_true(received(&call, &call.bob, BOB_SSRC + 1, i, plain, &v));
		content(expected, (uint16_t)(FIRST_SEQ + (i < 10 ? i : i + 7)));
		assert_memory_equal(plain + v.payload_off + 2, expected, sizeof(expected));
		assert_int_equal(plain[v.payload_off + 1], (uint8_t)(first.seq + i));
	}
	call_close(&call);
}

static void nothing_goes_through_a_gate_that_is_shut(void **state)
{
	uint8_t plain[WORLD_PAYLOAD];
	struct rtp_view first;
	struct call call;

	(void)state;
	for (unsigned who = 0; who < 2; who++) {
		call_open(&call, NULL);
		alice_sends(&call, 1);
		assert_true(received(&call, &call.bob, BOB_SSRC, 0, plain, &first));
		alice_sends(&call, 9);
		world_forget(call.w);
		// Alice's end, or Bob's.
		assert_int_equal(world_put_peer(call.w, who, 2, 0, 0), SFU_STATUS_OK);
		bob_asks_for(&call, (uint16_t)(first.seq + 4));
		world_pass(call.w, 100 * MS, 10 * MS);
		assert_int_equal(rtp_count(&call, &call.bob, BOB_SSRC + 1), 0);
		assert_int_equal(world_put_peer(call.w, who, 3, 0, OPEN), SFU_STATUS_OK);
		bob_asks_for(&call, (uint16_t)(first.seq + 4));
		assert_int_equal(rtp_count(&call, &call.bob, BOB_SSRC + 1), 1);
		call_close(&call);
	}
}

/** 10,000 NACKs a second, for everything he ever got. */
static void a_flood_of_nacks_gets_its_share(void **state)
{
	uint8_t plain[WORLD_PAYLOAD];
	struct rtp_view first;
	struct consumer *bob;
	uint64_t media, again;
	struct call call;
	unsigned carol = 0, keys = 0;
	uint16_t seqs[150];

	(void)state;
	call_open(&call, NULL);
	alice_sends(&call, 1);
	assert_true(received(&call, &call.bob, BOB_SSRC, 0, plain, &first));
	bob = bob_consumer(&call);
	settle(&call);
	media = bob->bytes;
	// Five seconds of 200 packets, and 50 NACKs of 150 numbers with each.
	for (unsigned i = 0; i < 1000; i++) {
		alice_sends(&call, 1);
		for (unsigned k = 0; k < 150; k++)
			seqs[k] = (uint16_t)(bob->highest_out_index - 149 + k);
		for (unsigned k = 0; k < 50; k++) {
			uint8_t nack[1200];

			world_rtcp(call.w, 0, &call.bob, nack,
				rtcp_encode_nack(nack, sizeof(nack), 1, BOB_SSRC, seqs, 150));
		}
		world_pass(call.w, 5 * MS, MS);
		carol += rtp_count(&call, &call.carol, CAROL_SSRC);
		assert_int_equal(rtp_count(&call, &call.carol, CAROL_SSRC + 1), 0);
		keys += plis(&call);
	}
	media = bob->bytes - media;
	again = bob->rtx->bytes;
	print_message("  media %lu, again %lu octets; asked %lu, ignored %lu, duplicates %lu, over "
		      "%lu, key frames %u\n",
		media, again, bob->rtx->asked, bob->rtx->ignored, bob->rtx->duplicates,
		bob->rtx->over, keys);
	assert_int_equal(bob->rtx->nacks + world_drops(call.w, DROP_rtcp_rate), 50000);
	assert_true(again > 0);
	assert_true((media + again) * 100 <= media * 125);
	assert_true(bob->rtx->asked <= RESEND_ADMIT_BURST + 6 * RESEND_ADMIT_PER_S);
	assert_int_equal(carol, 1000);
	assert_true(keys <= 11);
	call_close(&call);
}

static void a_burst_is_answered_in_paces(void **state)
{
	uint8_t plain[WORLD_PAYLOAD];
	struct rtp_view first;
	struct call call;
	uint16_t seqs[30];
	unsigned at_once;

	(void)state;
	call_open(&call, NULL);
	alice_sends(&call, 1);
	assert_true(received(&call, &call.bob, BOB_SSRC, 0, plain, &first));
	for (unsigned i = 0; i < 300; i++) {
		alice_sends(&call, 1);
		world_pass(call.w, 3 * MS, MS);
	}
	for (unsigned i = 0; i < 30; i++)
		seqs[i] = (uint16_t)(first.seq + 250 + i);
	world_forget(call.w);
	bob_asks(&call, seqs, 30);
	at_once = rtp_count(&call, &call.bob, BOB_SSRC + 1);
	assert_in_range(at_once, 1, RESEND_PACE_BURST);
	world_pass(call.w, 10 * MS, MS);
	assert_in_range(rtp_count(&call, &call.bob, BOB_SSRC + 1), at_once + 8, at_once + 12);
	world_pass(call.w, 30 * MS, MS);
	assert_int_equal(rtp_count(&call, &call.bob, BOB_SSRC + 1), 30);
	assert_int_equal(bob_consumer(&call)->rtx->answering, 0);
	call_close(&call);
}

static void the_history_is_bounded_in_time_and_packets(void **state)
{
	struct call call;
	const struct history *h;
	uint32_t most;

	(void)state;
	call_open(&call, NULL);
	h = &call.w->workers[0].repair.history;
	most = h->most;
	for (unsigned i = 0; i < most + 100; i++) {
		alice_sends(&call, 1);
		world_forget(call.w);
	}
	assert_int_equal(history_held(h), most);
	assert_int_equal(rte_mempool_avail_count(call.w->pool), call.w->pool_full - most);
	// Nothing comes any more: what is held is let go.
	world_pass(call.w, 900 * MS, MS);
	assert_int_equal(history_held(h), most);
	world_pass(call.w, 200 * MS, MS);
	assert_int_equal(history_held(h), 0);
	call_close(&call);
}

static void a_consumer_that_goes_takes_its_answers_along(void **state)
{
	struct sfu_command gone = {.type = SFU_CMD_DELETE_CONSUMER};
	uint8_t plain[WORLD_PAYLOAD];
	struct rtp_view first;
	struct call call;
	uint16_t seqs[40];

	(void)state;
	call_open(&call, NULL);
	alice_sends(&call, 1);
	assert_true(received(&call, &call.bob, BOB_SSRC, 0, plain, &first));
	for (unsigned i = 0; i < 300; i++) {
		alice_sends(&call, 1);
		world_pass(call.w, 3 * MS, MS);
	}
	for (unsigned i = 0; i < 40; i++)
		seqs[i] = (uint16_t)(first.seq + 250 + i);
	world_forget(call.w);
	bob_asks(&call, seqs, 40);
	assert_int_equal(call.w->workers[0].repair.answering.count, 1);
	gone.handle = sfu_handle_make(0, 1);
	assert_int_equal(world_apply(call.w, &gone), SFU_STATUS_OK);
	world_forget(call.w);
	world_pass(call.w, 50 * MS, MS);
	assert_int_equal(rtp_count(&call, &call.bob, BOB_SSRC + 1), 0);
	assert_int_equal(call.w->workers[0].repair.answering.count, 0);
	call_close(&call);
}

static int start(void **state)
{
	(void)state;
	return world_start("test_loss", 2);
}

static int stop(void **state)
{
	(void)state;
	world_stop();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_lost_is_asked_for_and_given_on_once),
		cmocka_unit_test(a_request_is_repeated_a_few_times),
		cmocka_unit_test(what_is_overtaken_is_not_asked_for),
		cmocka_unit_test(a_gap_too_long_ends_in_a_key_frame_request),
		cmocka_unit_test(who_does_not_answer_is_not_asked),
		cmocka_unit_test(a_retransmission_stream_is_learnt),
		cmocka_unit_test(nothing_odd_on_rtx_is_given_on),
		cmocka_unit_test(a_consumer_gets_again_what_it_asks_for),
		cmocka_unit_test(answers_of_a_burst_are_each_their_own),
		cmocka_unit_test(what_never_was_is_not_answered),
		cmocka_unit_test(what_is_gone_ends_in_one_key_frame_request),
		cmocka_unit_test(without_rtx_a_nack_ends_in_a_key_frame_request),
		cmocka_unit_test(what_we_wait_for_ourselves_is_not_gone),
		cmocka_unit_test(a_pause_does_not_mix_up_what_was_before),
		cmocka_unit_test(nothing_goes_through_a_gate_that_is_shut),
		cmocka_unit_test(a_flood_of_nacks_gets_its_share),
		cmocka_unit_test(a_burst_is_answered_in_paces),
		cmocka_unit_test(the_history_is_bounded_in_time_and_packets),
		cmocka_unit_test(a_consumer_that_goes_takes_its_answers_along),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
