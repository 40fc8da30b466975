// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/proto/rtp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

// A copy of exactly this size, so that a sanitizer sees any access past it.
static uint8_t *exact(const uint8_t *buf, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);

	assert_non_null(copy);
	if (len)
		memcpy(copy, buf, len);
	return copy;
}

// Parse header and padding of an unencrypted packet.
static enum rtp_status parse(const uint8_t *buf, size_t len, struct rtp_view *v)
{
	uint8_t *copy = exact(buf, len);
	enum rtp_status status = rtp_parse(copy, len, v);

	if (status == RTP_OK)
		status = rtp_strip_padding(copy, len, v);
	free(copy);
	return status;
}

static const uint8_t full[] = {0xb2, 0xe4, 0x12, 0x34, 0x01, 0x02, 0x03, 0x04, 0xa1, 0xa2, 0xa3,
	0xa4, 1, 1, 1, 1, 2, 2, 2, 2, 0xbe, 0xde, 0, 1, 0x10, 0x33, 0, 0, 'p', 'a', 'y', 0, 0, 3};

static void test_full_header(void **state)
{
	struct rtp_view v;

	(void)state;
	assert_int_equal(parse(full, sizeof(full), &v), RTP_OK);
	assert_true(v.marker);
	assert_int_equal(v.payload_type, 100);
	assert_int_equal(v.seq, 0x1234);
	assert_int_equal(v.timestamp, 0x01020304);
	assert_int_equal(v.ssrc, 0xa1a2a3a4);
	assert_int_equal(v.csrc_count, 2);
	assert_true(v.extension);
	assert_int_equal(v.ext_profile, 0xbede);
	assert_int_equal(v.ext_off, 24);
	assert_int_equal(v.ext_len, 4);
	assert_true(v.padding);
	assert_int_equal(v.payload_off, 28);
	assert_int_equal(v.payload_len, 3);
	assert_int_equal(v.padding_len, 3);
}

static void test_headers(void **state)
{
	static const struct {
		const char *what;
		uint8_t packet[24];
		size_t len;
		enum rtp_status status;
		uint16_t payload_off, payload_len;
	} rows[] = {
		{"empty", {0}, 0, RTP_SHORT, 0, 0},
		{"version 1", {0x40}, 12, RTP_NOT_RTP, 0, 0},
		{"version 3", {0xc0}, 12, RTP_NOT_RTP, 0, 0},
		{"smallest", {0x80}, 12, RTP_OK, 12, 0},
		{"one octet short", {0x80}, 11, RTP_SHORT, 0, 0},
		{"15 CSRCs that are not there", {0x8f}, 24, RTP_SHORT, 0, 0},
		{"extension of no words", {0x90}, 16, RTP_OK, 16, 0},
		{"extension head cut", {0x90}, 15, RTP_SHORT, 0, 0},
		{"extension as long as the packet", {[0] = 0x90, [15] = 2}, 24, RTP_OK, 24, 0},
		{"extension one word too long", {[0] = 0x90, [15] = 3}, 24, RTP_SHORT, 0, 0},
		{"extension of 0xffff words", {[0] = 0x90, [14] = 0xff, 0xff}, 24, RTP_SHORT, 0, 0},
		{"padding without payload", {0xa0}, 12, RTP_MALFORMED, 0, 0},
		{"padding count 0", {0xa0}, 16, RTP_MALFORMED, 0, 0},
		{"padding only", {[0] = 0xa0, [15] = 4}, 16, RTP_OK, 12, 0},
		{"padding larger than payload", {[0] = 0xa0, [15] = 5}, 16, RTP_MALFORMED, 0, 0},
		{"padding 255", {[0] = 0xa0, [15] = 255}, 16, RTP_MALFORMED, 0, 0},
		{"padding reaching into the extension", {[0] = 0xb0, [19] = 5}, 20, RTP_MALFORMED,
			0, 0},
		{"odd padding", {[0] = 0xa0, [15] = 1}, 16, RTP_OK, 12, 3},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct rtp_view v;
		enum rtp_status status = parse(rows[i].packet, rows[i].len, &v);

		if (status != rows[i].status
			|| (!status
				&& (v.payload_off != rows[i].payload_off
					|| v.payload_len != rows[i].payload_len)))
			fail_msg("%s", rows[i].what);
	}
}

static void test_every_prefix(void **state)
{
	(void)state;
	for (size_t len = 0; len < sizeof(full); len++) {
		struct rtp_view v;
		enum rtp_status status = parse(full, len, &v);

		// The header ends at 28; behind it the octet before last is no padding count.
		assert_int_equal(status, len < 28 ? RTP_SHORT : RTP_MALFORMED);
	}
}

static void test_refused_padding_leaves_the_view(void **state)
{
	const uint8_t packet[16] = {[0] = 0xa0, [15] = 9};
	struct rtp_view v, before;

	(void)state;
	assert_int_equal(rtp_parse(packet, sizeof(packet), &v), RTP_OK);
	before = v;
	assert_int_equal(rtp_strip_padding(packet, sizeof(packet), &v), RTP_MALFORMED);
	assert_memory_equal(&v, &before, sizeof(v));
	assert_int_equal(rtp_strip_padding(packet, 11, &v), RTP_SHORT);
	assert_memory_equal(&v, &before, sizeof(v));
}

static void test_longest_packet(void **state)
{
	uint8_t *buf = calloc(1, RTP_PACKET_MAX + 1);
	struct rtp_view v;

	(void)state;
	assert_non_null(buf);
	buf[0] = 0x80;
	assert_int_equal(rtp_parse(buf, RTP_PACKET_MAX, &v), RTP_OK);
	assert_int_equal(v.payload_len, RTP_PACKET_MAX - 12);
	assert_int_equal(rtp_parse(buf, RTP_PACKET_MAX + 1, &v), RTP_MALFORMED);
	free(buf);
}

static void test_encode(void **state)
{
	const uint8_t csrcs[60] = {1, 1, 1, 1, 2, 2, 2, 2};
	struct rtp_header h = {.timestamp = 0x01020304,
		.ssrc = 0xa1a2a3a4,
		.csrc = csrcs,
		.seq = 0x1234,
		.payload_type = 100,
		.csrc_count = 2,
		.marker = true,
		.padding = true,
		.extension = true};
	uint8_t buf[RTP_HEADER_MAX];
	struct rtp_view v;

	(void)state;
	assert_int_equal(rtp_encode(buf, sizeof(buf), &h), 20);
	assert_memory_equal(buf, full, 20);
	for (size_t cap = 0; cap < 20; cap++) {
		memset(buf, 0xa5, sizeof(buf));
		assert_int_equal(rtp_encode(buf, cap, &h), 0);
		assert_int_equal(buf[0], 0xa5);
	}
	h.csrc_count = 15;
	assert_int_equal(rtp_encode(buf, sizeof(buf), &h), RTP_HEADER_MAX);
	h.csrc_count = 16;
	assert_int_equal(rtp_encode(buf, sizeof(buf), &h), 0);
	h.csrc_count = 0;
	h.payload_type = 128;
	assert_int_equal(rtp_encode(buf, sizeof(buf), &h), 0);
	h = (struct rtp_header){.payload_type = 1};
	assert_int_equal(rtp_encode(buf, sizeof(buf), &h), 12);
	rtp_rewrite(buf, 127, true, 0xfffe, 0xfedcba98, 0x89abcdef);
	assert_int_equal(rtp_parse(buf, 12, &v), RTP_OK);
	assert_int_equal(v.payload_type, 127);
	assert_true(v.marker);
	assert_int_equal(v.seq, 0xfffe);
	assert_int_equal(v.timestamp, 0xfedcba98);
	assert_int_equal(v.ssrc, 0x89abcdef);
	assert_int_equal(v.csrc_count, 0);
}

static enum rtp_status parse_vp8(const uint8_t *buf, size_t len, struct vp8_desc *d)
{
	uint8_t *copy = exact(buf, len);
	enum rtp_status status = vp8_desc_parse(copy, len, d);

	if (status == RTP_OK)
		vp8_key_frame_start(copy, len, d);
	free(copy);
	return status;
}

static void test_vp8(void **state)
{
	static const uint8_t payload[] = {0xb0, 0xf0, 0x92, 0x34, 0x55, 0xbd, 0x10};
	uint8_t copy[sizeof(payload)];
	struct vp8_desc d;

	(void)state;
	assert_int_equal(parse_vp8(payload, sizeof(payload), &d), RTP_OK);
	assert_int_equal(d.len, 6);
	assert_true(d.start_of_frame);
	assert_true(d.non_reference);
	assert_int_equal(d.picture_id, 0x1234);
	assert_int_equal(d.picture_id_bits, 15);
	assert_int_equal(d.tl0_pic_idx, 0x55);
	assert_int_equal(d.temporal, 2);
	assert_true(d.layer_sync);
	assert_int_equal(d.key_idx, 29);
	assert_true(vp8_key_frame_start(payload, sizeof(payload), &d));
	assert_false(vp8_key_frame_start(payload, 6, &d));
	for (size_t len = 0; len < 6; len++)
		assert_int_equal(parse_vp8(payload, len, &d), RTP_SHORT);

	assert_int_equal(parse_vp8(payload, sizeof(payload), &d), RTP_OK);
	memcpy(copy, payload, sizeof(copy));
	vp8_desc_rewrite(copy, sizeof(copy), &d, 0x7fff, 9);
	assert_int_equal(parse_vp8(copy, sizeof(copy), &d), RTP_OK);
	assert_int_equal(d.picture_id, 0x7fff);
	assert_int_equal(d.picture_id_bits, 15);
	assert_int_equal(d.tl0_pic_idx, 9);
	copy[2] = payload[2], copy[3] = payload[3], copy[4] = payload[4];
	assert_memory_equal(copy, payload, sizeof(copy));
}

static void test_vp8_forms(void **state)
{
	static const struct {
		const char *what;
		uint8_t payload[8];
		size_t len, desc_len;
		bool start, key;
		uint16_t picture_id;
		uint8_t picture_id_bits;
	} rows[] = {
		{"no extension, key frame", {0x10, 0x00}, 2, 1, true, true, 0, 0},
		{"no extension, delta frame", {0x10, 0x01}, 2, 1, true, false, 0, 0},
		{"second partition", {0x11, 0x00}, 2, 1, false, false, 0, 0},
		{"middle of a partition", {0x00, 0x00}, 2, 1, false, false, 0, 0},
		{"short picture id", {0x90, 0x80, 0x7f, 0x00}, 4, 3, true, true, 0x7f, 7},
		{"long picture id", {0x90, 0x80, 0xff, 0xff, 1}, 5, 4, true, false, 0x7fff, 15},
		{"only TID", {0x90, 0x20, 0xc0, 1}, 4, 3, true, false, 0, 0},
		{"only KEYIDX", {0x90, 0x10, 0xc0, 1}, 4, 3, true, false, 0, 0},
		{"empty extension", {0x90, 0x00, 0}, 3, 2, true, true, 0, 0},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct vp8_desc d;

		if (parse_vp8(rows[i].payload, rows[i].len, &d) != RTP_OK
			|| d.len != rows[i].desc_len || d.start_of_frame != rows[i].start
			|| d.picture_id != rows[i].picture_id
			|| d.picture_id_bits != rows[i].picture_id_bits
			|| vp8_key_frame_start(rows[i].payload, rows[i].len, &d) != rows[i].key)
			fail_msg("%s", rows[i].what);
		for (size_t len = 0; len < rows[i].desc_len; len++)
			assert_int_equal(parse_vp8(rows[i].payload, len, &d), RTP_SHORT);
	}
}

static enum rtp_status parse_vp9(const uint8_t *buf, size_t len, struct vp9_desc *d)
{
	uint8_t *copy = exact(buf, len);
	enum rtp_status status = vp9_desc_parse(copy, len, d);

	free(copy);
	return status;
}

static void test_vp9_forms(void **state)
{
	static const struct {
		const char *what;
		uint8_t payload[24];
		size_t desc_len;
		enum rtp_status status;
		bool key;
		uint8_t spatial, temporal, refs, layers;
	} rows[] = {
		{"smallest", {0x08}, 1, RTP_OK, true, 0, 0, 0, 0},
		{"inter predicted", {0x48}, 1, RTP_OK, false, 0, 0, 0, 0},
		{"not the start", {0x04}, 1, RTP_OK, false, 0, 0, 0, 0},
		{"key picture, upper spatial layer", {0x28, 0x03, 5}, 3, RTP_OK, false, 1, 0, 0, 0},
		{"key picture, base layer", {0x28, 0x00, 5}, 3, RTP_OK, true, 0, 0, 0, 0},
		{"layers, flexible: no TL0PICIDX", {0x38, 0x50}, 2, RTP_OK, true, 0, 2, 0, 0},
		{"picture id of 7 bits", {0x88, 0x7f}, 2, RTP_OK, true, 0, 0, 0, 0},
		{"picture id of 15 bits", {0x88, 0xff, 0xff}, 3, RTP_OK, true, 0, 0, 0, 0},
		{"one reference", {0x58, 0x02}, 2, RTP_OK, false, 0, 0, 1, 0},
		{"three references", {0x58, 0x03, 0x05, 0x06}, 4, RTP_OK, false, 0, 0, 3, 0},
		{"four references", {0x58, 0x03, 0x05, 0x07, 0x08}, 5, RTP_MALFORMED, false, 0, 0,
			0, 0},
		{"structure of one layer", {0x0a, 0x00}, 2, RTP_OK, true, 0, 0, 0, 1},
		{"structure with two sizes", {0x0a, 0x30, 1, 2, 3, 4, 5, 6, 7, 8}, 10, RTP_OK, true,
			0, 0, 0, 2},
		{"structure with pictures", {0x0a, 0x08, 2, 0x04, 9, 0x08, 9, 9}, 8, RTP_OK, true,
			0, 0, 0, 1},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct vp9_desc d;
		enum rtp_status status = parse_vp9(rows[i].payload, rows[i].desc_len, &d);

		if (status != rows[i].status
			|| (!status
				&& (d.len != rows[i].desc_len || d.key_frame_start != rows[i].key
					|| d.spatial != rows[i].spatial
					|| d.temporal != rows[i].temporal
					|| d.ref_count != rows[i].refs
					|| d.spatial_layers != rows[i].layers)))
			fail_msg("%s", rows[i].what);
		for (size_t len = 0; len < rows[i].desc_len && !rows[i].status; len++)
			assert_int_equal(parse_vp9(rows[i].payload, len, &d), RTP_SHORT);
	}
}

static void test_vp9_structure_cut(void **state)
{
	// 255 pictures announced, none there.
	static const uint8_t payload[] = {0x0a, 0xf8, 1, 2, 3, 4, 0xff};
	struct vp9_desc d;

	(void)state;
	assert_int_equal(parse_vp9(payload, sizeof(payload), &d), RTP_SHORT);
}

static void test_vp9_fields(void **state)
{
	static const uint8_t payload[] = {0xed, 0x92, 0x34, 0x75, 0x66, 0xff};
	uint8_t copy[sizeof(payload)];
	struct vp9_desc d;

	(void)state;
	assert_int_equal(parse_vp9(payload, sizeof(payload), &d), RTP_OK);
	assert_int_equal(d.len, 5);
	assert_true(d.start_of_frame);
	assert_true(d.end_of_frame);
	assert_true(d.inter_predicted);
	assert_true(d.inter_layer);
	assert_true(d.switching_up);
	assert_true(d.not_ref_for_upper);
	assert_false(d.flexible);
	assert_int_equal(d.picture_id, 0x1234);
	assert_int_equal(d.temporal, 3);
	assert_int_equal(d.spatial, 2);
	assert_true(d.has_tl0_pic_idx);
	assert_int_equal(d.tl0_pic_idx, 0x66);
	memcpy(copy, payload, sizeof(copy));
	vp9_desc_rewrite(copy, sizeof(copy), &d, 1, 2);
	assert_int_equal(parse_vp9(copy, sizeof(copy), &d), RTP_OK);
	assert_int_equal(d.picture_id, 1);
	assert_int_equal(d.picture_id_bits, 15);
	assert_int_equal(d.tl0_pic_idx, 2);
	assert_int_equal(copy[5], 0xff);
	// A payload cut behind the parse: nothing is written outside.
	copy[4] = 0xa5;
	vp9_desc_rewrite(copy, 4, &d, 1, 3);
	assert_int_equal(copy[4], 0xa5);
}

/* In a copy of just that length, so that a sanitizer sees what is read behind it. */
static bool key_frame_start(
	bool (*starts)(const uint8_t *, size_t), const uint8_t *payload, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	bool result;

	assert_non_null(copy);
	memcpy(copy, payload, len);
	result = starts(copy, len);
	free(copy);
	return result;
}

static void test_h264_key_frame_start(void **state)
{
	static const struct {
		const char *what;
		uint8_t payload[16];
		size_t len;
		bool starts;
	} rows[] = {
		{"nothing", {0x65, 0x88}, 0, false},
		{"first slice of an IDR picture", {0x65, 0x88, 0x84}, 3, true},
		{"another slice of it", {0x65, 0x40, 0x84}, 3, false},
		{"a slice without octets", {0x65, 0x88}, 1, false},
		{"sequence parameter set", {0x67, 0x42, 0xe0, 0x1f}, 4, true},
		{"picture parameter set", {0x68, 0xce, 0x3c, 0x80}, 4, false},
		{"slice of another picture", {0x41, 0x9a, 0x00}, 3, false},
		{"supplemental information", {0x06, 0x05, 0x01}, 3, false},
		{"STAP-A: SPS, PPS", {0x78, 0, 4, 0x67, 0x42, 0xe0, 0x1f, 0, 2, 0x68, 0xce}, 11,
			true},
		{"STAP-A: PPS, SPS", {0x78, 0, 2, 0x68, 0xce, 0, 2, 0x67, 0x42}, 9, true},
		{"STAP-A: PPS, IDR", {0x78, 0, 2, 0x68, 0xce, 0, 2, 0x65, 0x88}, 9, true},
		{"STAP-A: two other slices", {0x78, 0, 2, 0x41, 0x9a, 0, 2, 0x41, 0x5a}, 9, false},
		{"STAP-A: SPS that is cut", {0x78, 0, 4, 0x67, 0x42, 0xe0}, 6, false},
		{"STAP-A: IDR without octets, then a slice", {0x78, 0, 1, 0x65, 0, 2, 0x88, 0x88},
			8, false},
		{"STAP-A: a unit without octets", {0x78, 0, 0, 0, 2, 0x67, 0x42}, 7, false},
		{"STAP-A: half a length", {0x78, 0}, 2, false},
		{"STAP-A: nothing", {0x78}, 1, false},
		{"FU-A: begin of an IDR slice", {0x7c, 0x85, 0x88, 0x84}, 4, true},
		{"FU-A: begin of another of its slices", {0x7c, 0x85, 0x40}, 3, false},
		{"FU-A: its middle", {0x7c, 0x05, 0x88, 0x84}, 4, false},
		{"FU-A: its end", {0x7c, 0x45, 0x88, 0x84}, 4, false},
		{"FU-A: begin of an SPS", {0x7c, 0x87, 0x42}, 3, true},
		{"FU-A: begin of another slice", {0x5c, 0x81, 0x9a}, 3, false},
		{"FU-A: cut", {0x7c}, 1, false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		if (key_frame_start(h264_key_frame_start, rows[i].payload, rows[i].len)
			!= rows[i].starts)
			fail_msg("%s", rows[i].what);
	}
}

static void test_av1_key_frame_start(void **state)
{
	static const struct {
		const char *what;
		uint8_t payload[4];
		size_t len;
		bool starts;
	} rows[] = {
		{"nothing", {0x18}, 0, false},
		{"nothing behind the header", {0x18}, 1, false},
		{"one unit, new sequence", {0x18, 0x0a, 0x0b}, 3, true},
		{"new sequence, goes on in the next packet", {0x68, 0x0a, 0x0b}, 3, true},
		{"one unit", {0x10, 0x32, 0x0b}, 3, false},
		{"goes on with a unit", {0x90, 0x32, 0x0b}, 3, false},
		{"says both, which contradicts itself", {0x98, 0x0a, 0x0b}, 3, false},
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		if (key_frame_start(av1_key_frame_start, rows[i].payload, rows[i].len)
			!= rows[i].starts)
			fail_msg("%s", rows[i].what);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full_header),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_every_prefix),
		cmocka_unit_test(test_refused_padding_leaves_the_view),
		cmocka_unit_test(test_longest_packet),
		cmocka_unit_test(test_encode),
		cmocka_unit_test(test_vp8),
		cmocka_unit_test(test_vp8_forms),
		cmocka_unit_test(test_vp9_forms),
		cmocka_unit_test(test_vp9_structure_cut),
		cmocka_unit_test(test_vp9_fields),
		cmocka_unit_test(test_h264_key_frame_start),
		cmocka_unit_test(test_av1_key_frame_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
