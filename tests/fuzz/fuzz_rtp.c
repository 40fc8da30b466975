// SPDX-License-Identifier: BSD-3-Clause
// Any packet through header, padding, extension rewriting and payload descriptors.
//
// The first octet chooses capacity, the next eight the mapping, the rest is the packet. What must
// hold: views stay within the packet; a rewritten extension block stays within its capacity, has a
// length that is a multiple of 4 and re-parses to exactly the elements that a slow model expects; a
// header written from a view reads the same.
#include "sfu-dp/proto/rtp.h"
#include "sfu-dp/proto/rtp_ext.h"

#include <stdlib.h>
#include <string.h>

#define REQUIRE(condition)                                                                         \
	do {                                                                                       \
		if (!(condition))                                                                  \
			abort();                                                                   \
	} while (0)
#define CANARY 0xa5
#define OUT_MAX 512

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** One expected element. */
struct expected {
	uint8_t id, len;
	const uint8_t *data;
};

// Slow second reading of RFC 8285 by plain indices; returns the number of elements.
static unsigned model_parse(
	uint16_t profile, const uint8_t *p, size_t len, struct expected *out, unsigned max)
{
	bool two = (profile >> 4) == 0x100;
	unsigned n = 0;
	size_t i = 0;

	if (!two && profile != 0xbede)
		return 0;
	while (i < len && n < max) {
		size_t head = two ? 2 : 1, elem_len;
		uint8_t id = two ? p[i] : p[i] >> 4;

		if (p[i] == 0) {
			i++;
			continue;
		}
		if (!two && (id == 0 || id == 15))
			break;
		if (i + head > len)
			break;
		elem_len = two ? p[i + 1] : (p[i] & 15) + 1u;
		if (i + head + elem_len > len)
			break;
		out[n++] = (struct expected){id, (uint8_t)elem_len, p + i + head};
		i += head + elem_len;
	}
	return n;
}

static unsigned model_map(struct expected *out, const struct expected *in, unsigned in_count,
	const struct rtp_ext_map *map, const struct rtp_ext_value *values, unsigned value_count)
{
	bool taken[256] = {[0] = true};
	unsigned n = 0;

	for (unsigned i = 0; i < value_count; i++) {
		if (taken[values[i].id])
			continue;
		taken[values[i].id] = true;
		out[n++] = (struct expected){values[i].id, values[i].len, values[i].data};
	}
	for (unsigned i = 0; i < in_count && n < RTP_EXT_ELEMS_MAX; i++) {
		uint8_t id = in[i].id < RTP_EXT_MAP_LEN ? map->out_id[in[i].id] : 0;

		if (taken[id])
			continue;
		taken[id] = true;
		out[n++] = (struct expected){id, in[i].len, in[i].data};
	}
	return n;
}

static void check_extension(const uint8_t *choice, const uint8_t *packet, const struct rtp_view *v)
{
	static const uint8_t octets[20] = {1, 2, 3, 4, 5, 6, 7, 8};
	const uint8_t *elems = packet + v->ext_off;
	struct rtp_ext_map map = {{0}};
	struct rtp_ext_value values[2]
		= {{octets, 0, choice[6], choice[7] % 20}, {octets + 1, 0, choice[8] & 15, 3}};
	struct expected in[1024], want[RTP_EXT_ELEMS_MAX], got[RTP_EXT_ELEMS_MAX + 1];
	unsigned in_count, want_count, got_count;
	size_t cap = choice[0] * 2u, need = 0;
	uint8_t out[OUT_MAX + 16];
	bool two_byte = false;
	int len;

	for (unsigned i = 0; i < 5; i++)
		map.out_id[i * 3 + 1] = choice[1 + i];
	map.out_id[2] = 2;
	memset(out, CANARY, sizeof(out));
	len = rtp_ext_build(out, cap, v->ext_profile, elems, v->ext_len, &map, values, 2);
	for (size_t i = cap; i < sizeof(out); i++)
		REQUIRE(out[i] == CANARY);

	in_count = model_parse(v->ext_profile, elems, v->ext_len, in, 1024);
	want_count = model_map(want, in, in_count, &map, values, 2);
	for (unsigned i = 0; i < want_count; i++)
		two_byte |= want[i].id > 14 || !want[i].len || want[i].len > 16;
	for (unsigned i = 0; i < want_count; i++)
		need += want[i].len + (two_byte ? 2u : 1u);
	need = want_count ? (need + 3) / 4 * 4 + 4 : 0;
	if (need > cap) {
		REQUIRE(len == RTP_EXT_NO_SPACE);
		return;
	}
	REQUIRE(len >= 0 && (size_t)len == need);
	if (!len)
		return;
	REQUIRE(len == 4 + 4 * (out[2] << 8 | out[3]));
	got_count = model_parse((uint16_t)(out[0] << 8 | out[1]), out + 4, (size_t)len - 4, got,
		RTP_EXT_ELEMS_MAX + 1);
	REQUIRE(got_count == want_count);
	for (unsigned i = 0; i < got_count; i++) {
		REQUIRE(got[i].id == want[i].id && got[i].len == want[i].len);
		REQUIRE(!memcmp(got[i].data, want[i].data, got[i].len));
	}
	for (unsigned i = 0; i < 2; i++)
		REQUIRE(!values[i].off
			|| !memcmp(out + values[i].off, values[i].data, values[i].len));
}

static void check_walk(const uint8_t *packet, const struct rtp_view *v)
{
	const uint8_t *elems = packet + v->ext_off;
	struct expected want[1024];
	unsigned n = 0, count = model_parse(v->ext_profile, elems, v->ext_len, want, 1024);
	struct rtp_ext_iter it;
	struct rtp_ext_elem e;

	rtp_ext_iter_init(&it, v->ext_profile, elems, v->ext_len);
	while (n < 1024 && rtp_ext_next(&it, &e)) {
		REQUIRE(n < count && e.id == want[n].id && e.len == want[n].len
			&& e.data == want[n].data);
		n++;
	}
	REQUIRE(n == count);
}

static void check_descriptors(const uint8_t *payload, size_t len)
{
	uint8_t *copy = malloc(len + 1);
	struct vp8_desc vp8, vp8_back;
	struct vp9_desc vp9, vp9_back;

	REQUIRE(copy);
	memcpy(copy, payload, len);
	copy[len] = CANARY;
	if (vp8_desc_parse(copy, len, &vp8) == RTP_OK) {
		REQUIRE(vp8.len <= len && vp8.len <= 6);
		vp8_key_frame_start(copy, len, &vp8);
		vp8_desc_rewrite(copy, len, &vp8, 0x1234, 0x56);
		REQUIRE(vp8_desc_parse(copy, len, &vp8_back) == RTP_OK && vp8_back.len == vp8.len);
		REQUIRE(!vp8.has_tl0_pic_idx || vp8_back.tl0_pic_idx == 0x56);
		REQUIRE(vp8_back.picture_id_bits == vp8.picture_id_bits);
		REQUIRE(vp8_back.picture_id
			== (vp8.picture_id_bits == 15 ? 0x1234
				: vp8.picture_id_bits ? 0x34
						      : 0));
		REQUIRE(!memcmp(copy + vp8.len, payload + vp8.len, len - vp8.len));
	}
	memcpy(copy, payload, len);
	if (vp9_desc_parse(copy, len, &vp9) == RTP_OK) {
		REQUIRE(vp9.len <= len && vp9.ss_off + vp9.ss_len <= vp9.len);
		vp9_desc_rewrite(copy, len, &vp9, 0x1234, 0x56);
		REQUIRE(vp9_desc_parse(copy, len, &vp9_back) == RTP_OK && vp9_back.len == vp9.len);
		REQUIRE(vp9_back.key_frame_start == vp9.key_frame_start);
		REQUIRE(!memcmp(copy + vp9.len, payload + vp9.len, len - vp9.len));
	}
	memcpy(copy, payload, len);
	REQUIRE(len || !(h264_key_frame_start(copy, len) || av1_key_frame_start(copy, len)));
	h264_key_frame_start(copy, len);
	av1_key_frame_start(copy, len);
	REQUIRE(copy[len] == CANARY);
	free(copy);
}

static void check_header(const uint8_t *packet, const struct rtp_view *v)
{
	struct rtp_header h = {.timestamp = v->timestamp,
		.ssrc = v->ssrc,
		.csrc = packet + RTP_HEADER_LEN,
		.seq = v->seq,
		.payload_type = v->payload_type,
		.csrc_count = v->csrc_count,
		.marker = v->marker,
		.padding = v->padding,
		.extension = v->extension};
	uint8_t out[RTP_HEADER_MAX];
	size_t len = rtp_encode(out, sizeof(out), &h);

	REQUIRE(len == RTP_HEADER_LEN + 4u * v->csrc_count);
	REQUIRE(!memcmp(out, packet, len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *packet = data + 9;
	struct rtp_view v;
	size_t len;

	if (size < 9)
		return 0;
	len = size - 9;
	if (rtp_parse(packet, len, &v) != RTP_OK)
		return 0;
	REQUIRE((size_t)v.payload_off + v.payload_len == len);
	REQUIRE(!v.extension || v.ext_off + v.ext_len == v.payload_off);
	check_header(packet, &v);
	check_walk(packet, &v);
	check_extension(data, packet, &v);
	if (rtp_strip_padding(packet, len, &v) != RTP_OK)
		return 0;
	REQUIRE((size_t)v.payload_off + v.payload_len + v.padding_len == len);
	check_descriptors(packet + v.payload_off, v.payload_len);
	return 0;
}
