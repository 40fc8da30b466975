// SPDX-License-Identifier: BSD-3-Clause
/*
 * Which encoding of a producer goes to a consumer, and at which packet it changes. Real stages and
 * tables; Alice sends up to three encodings, Bob receives.
 */
#include "tests/support/dp_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS 1000u
#define SECOND 1000000u
#define SSRC(encoding) (0x11111111u * (1 + (encoding)))
#define BOB_SSRC 0x0b0b0b0bu
#define PT 96
#define MAPPED_PT 101
#define RID_IN 10
#define CLOCK 90000u
/** Longer than a request may take to have an effect where none can be seen. */
#define EFFECT_US (600u * MS)

/** What a packet of the codec may be. */
struct kind {
	const char *name;
	uint8_t codec;
	uint32_t flags; /* SFU_PRODUCER_* */
	uint8_t key[4], frame[4], middle[4];
};

static const struct kind vp8 = {"VP8", SFU_CODEC_VP8, 0, {0x10, 0}, {0x10, 1}, {0, 1}};
static const struct kind vp9 = {"VP9", SFU_CODEC_VP9, 0, {0x08, 1}, {0x48, 1}, {0x40, 1}};
static const struct kind h264
	= {"H264", SFU_CODEC_H264, 0, {0x67, 0x42, 0xe0}, {0x41, 0x9a}, {0x5c, 0x01, 0x55}};
static const struct kind av1
	= {"AV1", SFU_CODEC_AV1, 0, {0x18, 0x0a, 0x0b}, {0x10, 0x32}, {0x90, 0x32}};
/* A key frame shows in none of them. */
static const struct kind sealed_vp8
	= {"VP8, encrypted", SFU_CODEC_VP8, SFU_PRODUCER_E2EE, {0x10, 0}, {0x10, 1}, {0, 0}};
static const struct kind sealed_h264 = {"H264, encrypted", SFU_CODEC_H264, SFU_PRODUCER_E2EE,
	{0x67, 0x42}, {0x67, 0x42}, {0x67, 0x42}};

struct call {
	struct world *w;
	struct world_client alice, bob;
	const struct kind *kind;
	uint16_t seq[3];
	uint32_t timestamp[3];
	uint32_t version;
	uint32_t changes; /* of the SSRC of the highest encoding, which is learnt by its name */
};

static void wants(struct call *call, uint8_t encoding)
{
	struct sfu_command cmd = {
		.type = SFU_CMD_PUT_CONSUMER,
		.version = ++call->version,
		.handle = sfu_handle_make(0, 1),
		.u.consumer = {
			.transport = call->bob.handle,
			.producer = sfu_handle_make(0, 1),
			.ssrc = BOB_SSRC,
			.encoding = encoding,
			.payload_type_count = 1,
			.payload_type = {MAPPED_PT},
		},
	};

	assert_int_equal(world_apply(call->w, &cmd), SFU_STATUS_OK);
}

static void call_open(struct call *call, const struct kind *kind)
{
	struct sfu_command producer = {
		.type = SFU_CMD_PUT_PRODUCER,
		.version = 1,
		.handle = sfu_handle_make(0, 1),
		.u.producer = {
			.flags = kind->flags,
			.kind = SFU_VIDEO,
			.codec_count = 1,
			.encoding_count = 3,
			.ext_count = 1,
			.ext = {{RID_IN, SFU_EXT_RID}},
			.codec = {{PT, MAPPED_PT, kind->codec, 0, CLOCK}},
			.encoding = {{.ssrc = SSRC(0)}, {.ssrc = SSRC(1)}, {.rid_len = 1, .rid = "h"}},
		},
	};
	struct world_client *all[] = {&call->alice, &call->bob};

	print_message("  %s\n", kind->name);
	memset(call, 0, sizeof(*call));
	call->kind = kind;
	call->w = world_open(1, true, NULL);
	assert_non_null(call->w);
	assert_int_equal(world_put_room(call->w, 0, 1, false), SFU_STATUS_OK);
	for (uint32_t i = 0; i < 2; i++)
		assert_int_equal(world_put_member(call->w, all[i], i, 0, UINT64_MAX,
					 SFU_SRTP_AEAD_AES_128_GCM),
			SFU_STATUS_OK);
	producer.u.producer.transport = call->alice.handle;
	assert_int_equal(world_apply(call->w, &producer), SFU_STATUS_OK);
	wants(call, 255);
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

static unsigned media_to_bob(const struct call *call)
{
	unsigned n = 0;

	for (unsigned i = 0; i < call->w->sent_count; i++) {
		const struct world_sent *s = &call->w->sent[i];

		n += s->to.port == call->bob.at.port && s->octets[0] >> 6 == 2
		     && !(s->octets[1] >= 192 && s->octets[1] <= 223);
	}
	return n;
}

/** A packet of an encoding; whether it went to Bob. */
static bool passes_len(struct call *call, unsigned encoding, const uint8_t *payload, size_t len)
{
	struct pkt_rtp p = {
		.ssrc = SSRC(encoding) + (encoding == 2 ? call->changes : 0),
		.rid_id = encoding == 2 ? RID_IN : 0,
		.rid = "h",
		.timestamp = call->timestamp[encoding],
		.seq = call->seq[encoding]++,
		.payload_type = PT,
		.padding = len ? 0 : 8,
		.payload = payload,
		.payload_len = len,
	};
	unsigned before;

	world_turn(call->w);
	before = media_to_bob(call);
	world_rtp(call->w, 0, &call->alice, &p);
	world_turn(call->w);
	return media_to_bob(call) > before;
}

/** In the middle of a frame. */
static bool middle_passes(struct call *call, unsigned encoding)
{
	return passes_len(call, encoding, call->kind->middle, 4);
}

/** The first one of a frame. */
static bool frame_passes(struct call *call, unsigned encoding)
{
	call->timestamp[encoding] += 3000;
	return passes_len(call, encoding, call->kind->frame, 4);
}

static bool key_frame_passes(struct call *call, unsigned encoding)
{
	call->timestamp[encoding] += 3000;
	return passes_len(call, encoding, call->kind->key, 4);
}

static bool padding_passes(struct call *call, unsigned encoding)
{
	return passes_len(call, encoding, NULL, 0);
}

/** Bob receives the low encoding, both flow, and what was asked for at the begin has been met. */
static void low_flows(struct call *call)
{
	wants(call, 0);
	for (unsigned i = 0; i < 2; i++) {
		key_frame_passes(call, 1);
		assert_true(key_frame_passes(call, 0));
	}
	world_pass(call->w, 700 * MS, 10 * MS);
	assert_false(frame_passes(call, 1));
	assert_true(frame_passes(call, 0));
	world_forget(call->w);
}

static const struct producer *producer(const struct call *call)
{
	return &call->w->objects.producers[0];
}

static void a_change_waits_for_a_key_frame(void **state)
{
	static const struct kind *kinds[] = {&vp8, &vp9, &h264, &av1};

	(void)state;
	for (unsigned k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		uint64_t asked;
		struct call call;

		call_open(&call, kinds[k]);
		low_flows(&call);
		asked = producer(&call)->key_frame_requests;
		wants(&call, 1);
		for (unsigned i = 0; i < 20; i++) {
			assert_false(middle_passes(&call, 1));
			assert_false(padding_passes(&call, 1));
			assert_false(frame_passes(&call, 1));
			assert_true(frame_passes(&call, 0));
			assert_true(middle_passes(&call, 0));
			world_pass(call.w, 50 * MS, 10 * MS);
		}
		assert_true(producer(&call)->key_frame_requests > asked);
		assert_true(key_frame_passes(&call, 1));
		assert_true(middle_passes(&call, 1));
		assert_true(padding_passes(&call, 1));
		assert_false(key_frame_passes(&call, 0));
		call_close(&call);
	}
}

static void a_key_frame_that_is_there_is_not_asked_for(void **state)
{
	struct call call;
	uint64_t asked;

	(void)state;
	call_open(&call, &h264);
	low_flows(&call);
	asked = producer(&call)->key_frame_requests;
	wants(&call, 1);
	assert_true(key_frame_passes(&call, 1));
	world_pass(call.w, 50 * MS, 10 * MS);
	assert_int_equal(producer(&call)->key_frame_requests, asked);
	call_close(&call);
}

/** Nothing tells a key frame: a frame of a time when it may have come. */
static void a_change_in_the_dark_waits_for_the_requests_effect(void **state)
{
	static const struct kind *kinds[] = {&sealed_vp8, &sealed_h264};

	(void)state;
	for (unsigned k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		uint64_t asked;
		struct call call;

		call_open(&call, kinds[k]);
		low_flows(&call);
		asked = producer(&call)->key_frame_requests;
		wants(&call, 1);
		for (unsigned i = 0; i < 8; i++) {
			assert_false(frame_passes(&call, 1));
			assert_false(middle_passes(&call, 1));
			assert_true(frame_passes(&call, 0));
			world_pass(call.w, 50 * MS, 10 * MS);
		}
		assert_true(producer(&call)->key_frame_requests > asked);
		world_pass(call.w, EFFECT_US - 400 * MS, 10 * MS);
		assert_true(frame_passes(&call, 0));
		assert_false(middle_passes(&call, 1));
		assert_false(padding_passes(&call, 1));
		assert_true(frame_passes(&call, 1));
		assert_true(middle_passes(&call, 1));
		assert_false(frame_passes(&call, 0));
		// The key frame may have come before: another one is asked for.
		asked = producer(&call)->key_frame_requests;
		world_pass(call.w, SECOND, 10 * MS);
		assert_true(producer(&call)->key_frame_requests > asked);
		call_close(&call);
	}
}

/** With a packet lost in between, the next may be anywhere in a frame. */
static void behind_a_gap_no_frame_begins(void **state)
{
	struct call call;

	(void)state;
	call_open(&call, &sealed_h264);
	low_flows(&call);
	wants(&call, 1);
	assert_false(frame_passes(&call, 1));
	for (unsigned i = 0; i < 12; i++) {
		world_pass(call.w, 50 * MS, 10 * MS);
		assert_true(frame_passes(&call, 0));
	}
	call.seq[1]++;
	assert_false(frame_passes(&call, 1));
	assert_false(middle_passes(&call, 1));
	assert_true(frame_passes(&call, 1));
	call_close(&call);
}

static void what_has_stopped_is_not_waited_for(void **state)
{
	struct call call;

	(void)state;
	call_open(&call, &sealed_vp8);
	for (unsigned i = 0; i < 2; i++) {
		key_frame_passes(&call, 0);
		assert_true(key_frame_passes(&call, 1));
	}
	for (unsigned i = 0; i < 19; i++) {
		world_pass(call.w, 50 * MS, 10 * MS);
		assert_false(frame_passes(&call, 0));
	}
	world_pass(call.w, 60 * MS, 10 * MS);
	assert_false(middle_passes(&call, 0));
	assert_true(frame_passes(&call, 0));
	call_close(&call);
}

/** The encoding that was asked for stops before its key frame: the next lower one is asked for anew. */
static void a_request_is_for_one_encoding(void **state)
{
	struct call call;
	uint64_t asked;

	(void)state;
	call_open(&call, &vp8);
	low_flows(&call);
	wants(&call, 2);
	frame_passes(&call, 2);
	assert_false(frame_passes(&call, 2));
	world_pass(call.w, 100 * MS, 10 * MS);
	assert_false(key_frame_passes(&call, 1));
	assert_true(key_frame_passes(&call, 0));
	world_pass(call.w, 2 * SECOND, 10 * MS);
	asked = producer(&call)->key_frame_requests;
	assert_false(frame_passes(&call, 1));
	assert_true(frame_passes(&call, 0));
	world_pass(call.w, SECOND, 10 * MS);
	assert_true(producer(&call)->key_frame_requests > asked);
	assert_true(key_frame_passes(&call, 1));
	call_close(&call);
}

/** Who joins gets the best at once, though the encodings begin one after the other. */
static void what_begins_is_taken_for_a_key_frame(void **state)
{
	static const struct kind *kinds[] = {&vp8, &vp9, &h264, &av1, &sealed_vp8, &sealed_h264};

	(void)state;
	for (unsigned k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		struct call call;

		call_open(&call, kinds[k]);
		for (unsigned e = 0; e < 3; e++) {
			assert_true(key_frame_passes(&call, e));
			assert_true(middle_passes(&call, e));
			assert_true(e == 0 || !frame_passes(&call, e - 1));
		}
		call_close(&call);
	}
}

/** Numbers of another source say nothing about its frames. */
static void another_source_begins_anew(void **state)
{
	static const struct kind *kinds[] = {&sealed_vp8, &sealed_h264};

	(void)state;
	for (unsigned k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		struct call call;

		call_open(&call, kinds[k]);
		call.seq[2] = 5000;
		low_flows(&call);
		assert_false(frame_passes(&call, 2));
		assert_false(frame_passes(&call, 2));
		call.seq[2] = 0;
		call.changes++;
		wants(&call, 2);
		assert_false(frame_passes(&call, 1));
		assert_true(frame_passes(&call, 2));
		assert_true(middle_passes(&call, 2));
		call_close(&call);
	}
}

static int start(void **state)
{
	(void)state;
	return world_start("test_layers", 1);
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
		cmocka_unit_test(what_begins_is_taken_for_a_key_frame),
		cmocka_unit_test(a_change_waits_for_a_key_frame),
		cmocka_unit_test(a_key_frame_that_is_there_is_not_asked_for),
		cmocka_unit_test(a_change_in_the_dark_waits_for_the_requests_effect),
		cmocka_unit_test(behind_a_gap_no_frame_begins),
		cmocka_unit_test(what_has_stopped_is_not_waited_for),
		cmocka_unit_test(a_request_is_for_one_encoding),
		cmocka_unit_test(another_source_begins_anew),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
