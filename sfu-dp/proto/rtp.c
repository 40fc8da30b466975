// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/proto/rtp.h"

#include "sfu-dp/proto/cursor.h"

enum rtp_status rtp_parse(const uint8_t *buf, size_t len, struct rtp_view *out)
{
	struct rcursor c = rcursor_init(buf, len);
	uint8_t b0 = rcursor_u8(&c);
	uint8_t b1 = rcursor_u8(&c);
	struct rtp_view v = {0};

	if (!len)
		return RTP_SHORT;
	if (b0 >> 6 != 2)
		return RTP_NOT_RTP;
	if (len > RTP_PACKET_MAX)
		return RTP_MALFORMED;
	v.padding = b0 & 0x20;
	v.extension = b0 & 0x10;
	v.csrc_count = b0 & 0x0f;
	v.marker = b1 & 0x80;
	v.payload_type = b1 & 0x7f;
	v.seq = rcursor_be16(&c);
	v.timestamp = rcursor_be32(&c);
	v.ssrc = rcursor_be32(&c);
	rcursor_skip(&c, v.csrc_count * 4u);
	if (v.extension) {
		v.ext_profile = rcursor_be16(&c);
		size_t ext_len = rcursor_be16(&c) * 4u;

		v.ext_off = (uint16_t)rcursor_offset(&c);
		if (!rcursor_skip(&c, ext_len))
			return RTP_SHORT;
		v.ext_len = (uint16_t)ext_len;
	}
	if (!rcursor_ok(&c))
		return RTP_SHORT;
	v.payload_off = (uint16_t)rcursor_offset(&c);
	v.payload_len = (uint16_t)rcursor_left(&c);
	*out = v;
	return RTP_OK;
}

enum rtp_status rtp_strip_padding(const uint8_t *buf, size_t len, struct rtp_view *view)
{
	struct rcursor c = rcursor_init(buf, len);
	uint8_t count = 0;
	size_t left;

	if (!rcursor_skip(&c, view->payload_off))
		return RTP_SHORT;
	left = rcursor_left(&c);
	if (left > RTP_PACKET_MAX)
		return RTP_MALFORMED;
	if (view->padding) {
		if (!left)
			return RTP_MALFORMED;
		rcursor_skip(&c, left - 1);
		count = rcursor_u8(&c);
		if (!count || count > left)
			return RTP_MALFORMED;
	}
	view->padding_len = count;
	view->payload_len = (uint16_t)(left - count);
	return RTP_OK;
}

size_t rtp_encode(uint8_t *out, size_t cap, const struct rtp_header *h)
{
	struct wcursor c = wcursor_init(out, cap);

	if (h->csrc_count > 15 || h->payload_type > 127
		|| cap < RTP_HEADER_LEN + h->csrc_count * 4u)
		return 0;
	wcursor_u8(&c, (uint8_t)(0x80 | (h->padding ? 0x20 : 0) | (h->extension ? 0x10 : 0)
				 | h->csrc_count));
	wcursor_u8(&c, (uint8_t)((h->marker ? 0x80 : 0) | h->payload_type));
	wcursor_be16(&c, h->seq);
	wcursor_be32(&c, h->timestamp);
	wcursor_be32(&c, h->ssrc);
	wcursor_bytes(&c, h->csrc, h->csrc_count * 4u);
	return wcursor_ok(&c) ? wcursor_len(&c) : 0;
}

// The picture id has the same form in both descriptors: the top bit of the first octet says
// whether it has 7 or 15 bits.
static uint16_t read_picture_id(struct rcursor *c, uint8_t *bits, uint8_t *off)
{
	uint16_t id;

	*off = (uint8_t)rcursor_offset(c);
	id = rcursor_u8(c);
	*bits = 7;
	if (id & 0x80) {
		id = (uint16_t)((id & 0x7f) << 8 | rcursor_u8(c));
		*bits = 15;
	}
	return id;
}

static void rewrite_indices(uint8_t *payload, size_t len, uint8_t pid_bits, uint8_t pid_off,
	uint16_t picture_id, bool has_tl0, uint8_t tl0_off, uint8_t tl0)
{
	if (pid_bits) {
		struct wcursor c = wcursor_init(payload, len);

		wcursor_reserve(&c, pid_off);
		if (pid_bits == 15)
			wcursor_be16(&c, (uint16_t)(0x8000 | picture_id));
		else
			wcursor_u8(&c, picture_id & 0x7f);
	}
	if (has_tl0) {
		struct wcursor c = wcursor_init(payload, len);

		wcursor_reserve(&c, tl0_off);
		wcursor_u8(&c, tl0);
	}
}

enum rtp_status vp8_desc_parse(const uint8_t *payload, size_t len, struct vp8_desc *out)
{
	struct rcursor c = rcursor_init(payload, len);
	struct vp8_desc d = {0};
	uint8_t b0 = rcursor_u8(&c);
	uint8_t x;

	d.non_reference = b0 & 0x20;
	d.start_of_partition = b0 & 0x10;
	d.partition = b0 & 0x07;
	d.start_of_frame = d.start_of_partition && !d.partition;
	x = b0 & 0x80 ? rcursor_u8(&c) : 0;
	d.has_picture_id = x & 0x80;
	d.has_tl0_pic_idx = x & 0x40;
	d.has_temporal = x & 0x20;
	d.has_key_idx = x & 0x10;
	if (d.has_picture_id)
		d.picture_id = read_picture_id(&c, &d.picture_id_bits, &d.picture_id_off);
	if (d.has_tl0_pic_idx) {
		d.tl0_off = (uint8_t)rcursor_offset(&c);
		d.tl0_pic_idx = rcursor_u8(&c);
	}
	// TID and KEYIDX share one octet, present if either bit is set.
	if (d.has_temporal || d.has_key_idx) {
		uint8_t b = rcursor_u8(&c);

		if (d.has_temporal) {
			d.temporal = b >> 6;
			d.layer_sync = b & 0x20;
		}
		if (d.has_key_idx)
			d.key_idx = b & 0x1f;
	}
	if (!rcursor_ok(&c))
		return RTP_SHORT;
	d.len = (uint8_t)rcursor_offset(&c);
	*out = d;
	return RTP_OK;
}

bool vp8_key_frame_start(const uint8_t *payload, size_t len, const struct vp8_desc *desc)
{
	struct rcursor c = rcursor_init(payload, len);

	rcursor_skip(&c, desc->len);
	return desc->start_of_frame && rcursor_left(&c) && !(rcursor_u8(&c) & 0x01)
	       && rcursor_ok(&c);
}

void vp8_desc_rewrite(uint8_t *payload, size_t len, const struct vp8_desc *d, uint16_t picture_id,
	uint8_t tl0_pic_idx)
{
	rewrite_indices(payload, len, d->picture_id_bits, d->picture_id_off, picture_id,
		d->has_tl0_pic_idx, d->tl0_off, tl0_pic_idx);
}

// Step over a scalability structure (RFC 9628, 4.2.1).
static void vp9_skip_structure(struct rcursor *c, struct vp9_desc *d)
{
	uint8_t b;

	d->ss_off = (uint16_t)rcursor_offset(c);
	b = rcursor_u8(c);
	d->spatial_layers = (uint8_t)((b >> 5) + 1);
	if (b & 0x10)
		rcursor_skip(c, d->spatial_layers * 4u);
	if (b & 0x08) {
		uint8_t pictures = rcursor_u8(c);

		for (unsigned i = 0; i < pictures && rcursor_ok(c); i++)
			rcursor_skip(c, (rcursor_u8(c) >> 2) & 3);
	}
	d->ss_len = (uint16_t)(rcursor_offset(c) - d->ss_off);
}

enum rtp_status vp9_desc_parse(const uint8_t *payload, size_t len, struct vp9_desc *out)
{
	struct rcursor c = rcursor_init(payload, len);
	struct vp9_desc d = {0};
	uint8_t b0 = rcursor_u8(&c);

	d.has_picture_id = b0 & 0x80;
	d.inter_predicted = b0 & 0x40;
	d.has_layers = b0 & 0x20;
	d.flexible = b0 & 0x10;
	d.start_of_frame = b0 & 0x08;
	d.end_of_frame = b0 & 0x04;
	d.not_ref_for_upper = b0 & 0x01;
	if (d.has_picture_id)
		d.picture_id = read_picture_id(&c, &d.picture_id_bits, &d.picture_id_off);
	if (d.has_layers) {
		uint8_t b = rcursor_u8(&c);

		d.temporal = b >> 5;
		d.switching_up = b & 0x10;
		d.spatial = (b >> 1) & 7;
		d.inter_layer = b & 0x01;
		if (!d.flexible) {
			d.has_tl0_pic_idx = true;
			d.tl0_off = (uint8_t)rcursor_offset(&c);
			d.tl0_pic_idx = rcursor_u8(&c);
		}
	}
	if (d.flexible && d.inter_predicted) {
		bool more = true;

		while (more && rcursor_ok(&c)) {
			// At most three P_DIFF fields: the third must not announce another.
			if (d.ref_count == 3)
				return RTP_MALFORMED;
			more = rcursor_u8(&c) & 0x01;
			d.ref_count++;
		}
	}
	if (b0 & 0x02)
		vp9_skip_structure(&c, &d);
	if (!rcursor_ok(&c))
		return RTP_SHORT;
	d.len = (uint16_t)rcursor_offset(&c);
	d.key_frame_start = d.start_of_frame && !d.inter_predicted && !d.spatial && !d.inter_layer;
	*out = d;
	return RTP_OK;
}

void vp9_desc_rewrite(uint8_t *payload, size_t len, const struct vp9_desc *d, uint16_t picture_id,
	uint8_t tl0_pic_idx)
{
	rewrite_indices(payload, len, d->picture_id_bits, d->picture_id_off, picture_id,
		d->has_tl0_pic_idx, d->tl0_off, tl0_pic_idx);
}

/* H264 */

#define NAL_IDR 5
#define NAL_SPS 7
#define NAL_STAP_A 24
#define NAL_FU_A 28

// slice begins behind the header of the unit: first_mb_in_slice, in which 0 is a single 1 bit.
static bool h264_unit_starts(uint8_t type, struct rcursor slice)
{
	if (type == NAL_IDR)
		return rcursor_u8(&slice) & 0x80;
	return type == NAL_SPS;
}

static bool h264_aggregate_starts(struct rcursor *c)
{
	while (rcursor_left(c)) {
		size_t len = rcursor_be16(c);
		const uint8_t *unit = rcursor_take(c, len);

		if (!unit || !len)
			return false;
		if (h264_unit_starts(unit[0] & 0x1f, rcursor_init(unit + 1, len - 1)))
			return true;
	}
	return false;
}

bool h264_key_frame_start(const uint8_t *payload, size_t len)
{
	struct rcursor c = rcursor_init(payload, len);
	uint8_t type = rcursor_u8(&c) & 0x1f;
	uint8_t fragment;

	switch (type) {
	case NAL_STAP_A:
		return h264_aggregate_starts(&c);
	case NAL_FU_A:
		fragment = rcursor_u8(&c);
		return fragment & 0x80 && h264_unit_starts(fragment & 0x1f, c);
	default:
		return h264_unit_starts(type, c);
	}
}

/* AV1 */

bool av1_key_frame_start(const uint8_t *payload, size_t len)
{
	struct rcursor c = rcursor_init(payload, len);
	uint8_t aggregation = rcursor_u8(&c);

	// Z: goes on with a unit of the packet before. N: first packet of a coded video sequence.
	return rcursor_left(&c) && (aggregation & 0x88) == 0x08;
}
