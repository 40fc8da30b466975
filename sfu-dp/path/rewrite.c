// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/path/rewrite.h"

#include <string.h>

#include "sfu-dp/proto/rtp_ext.h"
#include "sfu-dp/proto/srtp.h"
#include "sfu-dp/state/hot.h"

/** A stream of a dead process that stood still for longer starts anew: no gap can be waited for. */
#define ADOPTED_GAP_MAX 8192u

/** A new source may begin a little behind its first packet that came: no timestamp goes back. */
static uint32_t timestamp_continue(
	const struct consumer *c, uint32_t clock_rate_hz, uint64_t now_us)
{
	uint64_t elapsed = (now_us - c->last_sent_us) * clock_rate_hz / 1000000u;

	return c->last_timestamp + (uint32_t)(elapsed ? elapsed : 1);
}

/** The stream begins, or goes on with another offset: NACKs may be about what was before. */
static void part_begins(struct consumer *c, uint64_t now_us)
{
	struct egress_rtx *x = c->rtx;

	if (!c->started) {
		resend_start(&x->resend, c->bytes, now_us);
		return;
	}
	x->part[x->part_count++ % EGRESS_PARTS] = (struct egress_part){
		.first_out_index = c->start_in_index + c->offset,
		.offset = c->offset,
		.timestamp_offset = c->timestamp_offset,
		.source_ssrc = c->source_ssrc,
		.encoding = c->current_encoding,
	};
}

static void start(struct consumer *c, const struct pkt *pkt, uint32_t clock_rate_hz,
	uint64_t now_us, uint64_t random)
{
	// RFC 3711, 3.3.1: below 2^15, so that a lost first packet does not spoil the receiver's
	// guess of the rollover.
	uint64_t next = c->started ? c->highest_out_index + 1 : random & 0x7fff;

	if (c->rtx)
		part_begins(c, now_us);
	c->offset = next - pkt->index;
	c->start_in_index = pkt->index;
	// The same source has kept its time through the pause; another one has its own.
	if (!c->started)
		c->timestamp_offset = (uint32_t)(random >> 32);
	else if (c->source_ssrc != pkt->rtp.ssrc)
		c->timestamp_offset
			= timestamp_continue(c, clock_rate_hz, now_us) - pkt->rtp.timestamp;
	c->source_ssrc = pkt->rtp.ssrc;
	c->source_change = pkt->source_change;
	c->current_encoding = pkt->encoding;
	c->started = 1;
	c->resync = 0;
	state_egress_start(
		c->saved, c->offset, c->timestamp_offset, c->source_ssrc, c->current_encoding);
}

/** First packet of this source after a restart: whether the stream goes on as it was. */
static bool adopted_goes_on(const struct consumer *c, const struct pkt *pkt)
{
	return c->resync == CONSUMER_ADOPTED && c->source_ssrc == pkt->rtp.ssrc
	       && pkt->index - c->start_in_index < ADOPTED_GAP_MAX;
}

enum edge_reason rewrite_place(struct consumer *c, const struct pkt *pkt, uint32_t clock_rate_hz,
	uint64_t now_us, uint64_t random, struct rewrite_place *out)
{
	bool fresh = !c->started || c->resync || c->source_ssrc != pkt->rtp.ssrc
		     || c->source_change != pkt->source_change;
	uint64_t first = c->started ? c->highest_out_index : 0;
	uint64_t index;

	if (fresh && adopted_goes_on(c, pkt)) {
		c->resync = 0;
		fresh = false;
	}
	if (fresh && first >= SRTP_INDEX_MAX)
		return EDGE_index_exhausted;
	if (fresh)
		start(c, pkt, clock_rate_hz, now_us, random);
	else if (pkt->index < c->start_in_index)
		return EDGE_before_start;
	index = pkt->index + c->offset;
	if (index > SRTP_INDEX_MAX)
		return EDGE_index_exhausted;
	out->index = index;
	out->timestamp = pkt->rtp.timestamp + c->timestamp_offset;
	if (!fresh && index > c->highest_out_index)
		c->holes += (uint32_t)(index - c->highest_out_index - 1);
	else if (!fresh && c->holes)
		c->holes--; // late, but here
	if (fresh || index > c->highest_out_index) {
		c->highest_out_index = index;
		c->last_timestamp = out->timestamp;
		c->last_sent_us = now_us;
		state_egress_index(c->saved, index, out->timestamp, (uint32_t)c->packets + 1);
	}
	c->clock_rate_hz = clock_rate_hz;
	return EDGE_COUNT;
}

/** As rewrite_header(), and where MID and transport-wide number stand, 0 = nowhere. */
static size_t header_make(const struct consumer *c, const uint8_t *packet, const struct pkt *pkt,
	const struct rewrite_place *place, uint64_t now_us, uint8_t hdr[REWRITE_HEADER_MAX],
	size_t *mid_off, size_t *twcc_off)
{
	static const uint8_t no_number[2];
	uint8_t sent_at[3];
	struct rtp_ext_value values[3] = {
		{.data = c->mid, .id = c->ext_id[SFU_EXT_MID], .len = c->mid_len},
		{.data = sent_at, .id = c->ext_id[SFU_EXT_ABS_SEND_TIME], .len = sizeof(sent_at)},
		{.data = no_number,
			.id = c->ext_id[SFU_EXT_TRANSPORT_CC],
			.len = sizeof(no_number)},
	};
	struct rtp_header h = {
		.timestamp = place->timestamp,
		.ssrc = c->ssrc,
		.csrc = packet + RTP_HEADER_LEN,
		.seq = (uint16_t)place->index,
		.payload_type = pkt->mapped_payload_type,
		.csrc_count = pkt->rtp.csrc_count,
		.marker = pkt->rtp.marker,
	};
	size_t fixed = RTP_HEADER_LEN + 4u * pkt->rtp.csrc_count;
	int block;

	if (!c->mid_len)
		values[0].id = 0;
	rtp_ext_put_be24(sent_at, rtp_ext_abs_send_time(now_us));
	block = rtp_ext_build(hdr + fixed, REWRITE_HEADER_MAX - fixed, pkt->rtp.ext_profile,
		packet + pkt->rtp.ext_off, pkt->rtp.ext_len, &c->ext_map, values, 3);
	if (block < 0)
		return 0;
	h.extension = block > 0;
	if (!rtp_encode(hdr, fixed, &h))
		return 0;
	*mid_off = values[0].off ? fixed + values[0].off : 0;
	*twcc_off = values[2].off ? fixed + values[2].off : 0;
	return fixed + (size_t)block;
}

size_t rewrite_header(const struct consumer *c, const uint8_t *packet, const struct pkt *pkt,
	const struct rewrite_place *place, uint64_t now_us, uint8_t hdr[REWRITE_HEADER_MAX])
{
	size_t mid_off, twcc_off;

	return header_make(c, packet, pkt, place, now_us, hdr, &mid_off, &twcc_off);
}

/**
 * Which extensions are copied under which ids follows from the producer, the same for all copies,
 * and from ext_id (programme/): so equal ids and an equally long MID give an equal block.
 */
static bool fits(const struct rewrite_template *t, const struct consumer *c)
{
	return t->len && t->mid_len == c->mid_len
	       && !memcmp(t->ext_id, c->ext_id, sizeof(t->ext_id));
}

size_t rewrite_header_like(struct rewrite_template *t, const struct consumer *c,
	const uint8_t *packet, const struct pkt *pkt, const struct rewrite_place *place,
	uint64_t now_us, uint8_t hdr[REWRITE_HEADER_MAX])
{
	if (!fits(t, c)) {
		t->len = header_make(
			c, packet, pkt, place, now_us, t->hdr, &t->mid_off, &t->twcc_off);
		t->mid_len = c->mid_len;
		memcpy(t->ext_id, c->ext_id, sizeof(t->ext_id));
	}
	memcpy(hdr, t->hdr, t->len);
	if (!t->len)
		return 0;
	rtp_rewrite(hdr, pkt->mapped_payload_type, pkt->rtp.marker, (uint16_t)place->index,
		place->timestamp, c->ssrc);
	if (t->mid_off)
		memcpy(hdr + t->mid_off, c->mid, c->mid_len);
	return t->len;
}
