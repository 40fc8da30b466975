// SPDX-License-Identifier: BSD-3-Clause
#include "tests/support/rtp_source.h"

#include "sfu-dp/proto/cursor.h"
#include "sfu-dp/proto/rtp.h"
#include "sfu-dp/proto/rtp_ext.h"
#include "tests/support/content.h"
#include "tests/support/sframe_crypto.h"

#include <stdlib.h>
#include <string.h>

#define FRAMES_PER_SECOND 30
#define BURST_MAX 64
#define EXT_MAX 64
#define MID_MAX 16

struct rtp_source {
	struct rtp_source_config config;
	char mid[MID_MAX + 1];
	struct sframe_crypto *seal; // of the epoch that was used last
	uint64_t seal_epoch;
	uint64_t started_us; // 0 = not yet
	uint64_t sent; // packets, the next one's number
	uint64_t octets; // RTP payload
	uint32_t clock_rate;
	uint32_t packets_per_frame;
	uint32_t timestamp_base;
	uint8_t ext[EXT_MAX]; // extension block, values patched per packet
	int ext_len;
	uint16_t abs_send_time_off; // in ext; 0 = none
	uint16_t value_off; // in ext; 0 = none
	bool stopped;
	bool key_frame_wanted; // next frame
	bool in_key_frame; // this frame
};

static void build_extensions(struct rtp_source *s)
{
	static const uint8_t zero[3];
	static const struct rtp_ext_map nothing;
	struct rtp_ext_value values[] = {
		{.data = (const uint8_t *)s->mid,
			.id = s->config.mid_id,
			.len = (uint8_t)strlen(s->mid)},
		{.data = zero, .id = s->config.abs_send_time_id, .len = 3},
		{.data = zero, .id = s->config.value_id, .len = 1},
		{.data = zero, .id = s->config.twcc_id, .len = 2},
	};

	s->ext_len = rtp_ext_build(s->ext, sizeof(s->ext), 0, NULL, 0, &nothing, values, 4);
	if (s->ext_len <= 0)
		return;
	s->abs_send_time_off = s->config.abs_send_time_id ? values[1].off : 0;
	s->value_off = s->config.value_id ? values[2].off : 0;
}

struct rtp_source *rtp_source_create(const struct rtp_source_config *config)
{
	struct rtp_source *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->config = *config;
	strncpy(s->mid, config->mid, MID_MAX);
	if (s->config.payload_bytes < RTP_SOURCE_PAYLOAD_MIN)
		s->config.payload_bytes = RTP_SOURCE_PAYLOAD_MIN;
	s->clock_rate = config->codec == RTP_CODEC_OPUS ? 48000 : 90000;
	s->packets_per_frame = 1;
	if (config->codec != RTP_CODEC_OPUS && config->pps > FRAMES_PER_SECOND)
		s->packets_per_frame = config->pps / FRAMES_PER_SECOND;
	s->timestamp_base = config->ssrc * 2654435761u;
	s->key_frame_wanted = true;
	build_extensions(s);
	return s;
}

void rtp_source_destroy(struct rtp_source *s)
{
	if (!s)
		return;
	sframe_crypto_destroy(s->seal);
	free(s);
}

void rtp_source_start(struct rtp_source *s, uint64_t now_us)
{
	if (!s->started_us)
		s->started_us = now_us;
}

void rtp_source_stop(struct rtp_source *s)
{
	s->stopped = true;
}

unsigned rtp_source_due(const struct rtp_source *s, uint64_t now_us)
{
	uint64_t due;

	if (!s->started_us || s->stopped)
		return 0;
	due = (now_us - s->started_us) * s->config.pps / 1000000;
	if (s->config.packets && due > s->config.packets)
		due = s->config.packets;
	if (due <= s->sent)
		return 0;
	return due - s->sent > BURST_MAX ? BURST_MAX : (unsigned)(due - s->sent);
}

/** Octets of the payload descriptor: RFC 9628, 4.2 and RFC 7741, 4.2, with 15 bit picture id. */
static uint8_t write_descriptor(
	const struct rtp_source *s, uint64_t frame, bool first, bool last, uint8_t out[8])
{
	uint16_t picture = (uint16_t)(frame & 0x7fff);

	memset(out, 0, 8);
	switch (s->config.codec) {
	case RTP_CODEC_VP9:
		out[0] = (uint8_t)(0x80 | (s->in_key_frame ? 0 : 0x40) | (first ? 0x08 : 0)
				   | (last ? 0x04 : 0));
		out[1] = (uint8_t)(0x80 | picture >> 8);
		out[2] = (uint8_t)picture;
		return 3;
	case RTP_CODEC_VP8:
		out[0] = (uint8_t)(0x80 | (first ? 0x10 : 0));
		out[1] = 0x80;
		out[2] = (uint8_t)(0x80 | picture >> 8);
		out[3] = (uint8_t)picture;
		return 4;
	case RTP_CODEC_OPUS:
		break;
	}
	return 0;
}

static bool use_epoch(struct rtp_source *s, uint64_t epoch)
{
	uint64_t kid = content_kid(s->config.sender, s->config.track, epoch);

	if (s->seal && s->seal_epoch == epoch)
		return true;
	sframe_crypto_destroy(s->seal);
	s->seal = sframe_crypto_create(s->config.key, s->config.key_len, kid);
	s->seal_epoch = epoch;
	return s->seal != NULL;
}

/** Header and extensions; returns where the payload begins, 0 without room. */
static size_t write_header(struct rtp_source *s, const struct content *content, uint64_t now_us,
	uint8_t *out, size_t cap)
{
	const struct rtp_header header = {
		.timestamp = content->timestamp,
		.ssrc = s->config.ssrc,
		.seq = (uint16_t)(s->config.first_seq + content->number),
		.payload_type = s->config.payload_type,
		.marker = content->marker,
		.extension = s->ext_len > 0,
	};
	size_t len = rtp_encode(out, cap, &header);

	if (!len || cap - len < EXT_MAX)
		return 0;
	if (s->ext_len <= 0)
		return len;
	if (s->abs_send_time_off)
		rtp_ext_put_be24(s->ext + s->abs_send_time_off, rtp_ext_abs_send_time(now_us));
	if (s->value_off)
		s->ext[s->value_off] = rtp_source_value(s->config.codec, content->number);
	memcpy(out + len, s->ext, (size_t)s->ext_len);
	return len + (size_t)s->ext_len;
}

size_t rtp_source_next(
	struct rtp_source *s, uint64_t now_us, uint64_t epoch, uint8_t *out, size_t cap)
{
	uint64_t n = s->sent, frame = n / s->packets_per_frame;
	bool first = n % s->packets_per_frame == 0;
	bool last = n % s->packets_per_frame == s->packets_per_frame - 1;
	struct content content = {
		.number = n,
		.sent_us = now_us,
		.epoch = epoch,
		.sender = s->config.sender,
		.track = s->config.track,
		.marker = s->config.codec == RTP_CODEC_OPUS ? n == 0 : last,
	};
	uint8_t plain[RTP_SOURCE_PACKET_MAX];
	size_t len, plain_len;
	int sealed;

	if (!use_epoch(s, epoch))
		return 0;
	if (first) {
		s->in_key_frame = s->key_frame_wanted;
		s->key_frame_wanted = false;
	}
	content.timestamp
		= (uint32_t)(s->timestamp_base
			     + frame * s->packets_per_frame * s->clock_rate / s->config.pps);
	content.descriptor_len = write_descriptor(s, frame, first, last, content.descriptor);
	plain_len = s->config.payload_bytes - content.descriptor_len - SFRAME_CRYPTO_OVERHEAD;
	len = write_header(s, &content, now_us, out, cap);
	if (!len || plain_len > sizeof(plain) || cap - len < s->config.payload_bytes
		|| !content_encode(plain, plain_len, &content))
		return 0;
	memcpy(out + len, content.descriptor, content.descriptor_len);
	len += content.descriptor_len;
	sealed = sframe_encrypt(s->seal, n, NULL, 0, plain, plain_len, out + len, cap - len);
	if (sealed < 0)
		return 0;
	s->sent++;
	s->octets += content.descriptor_len + (unsigned)sealed;
	return len + (size_t)sealed;
}

size_t rtp_source_report(
	struct rtp_source *s, uint64_t now_us, const char *cname, uint8_t *out, size_t cap)
{
	struct rtcp_sender_info info = {
		.ntp = rtcp_ntp_from_us(now_us),
		.ssrc = s->config.ssrc,
		.packets = (uint32_t)s->sent,
		.octets = (uint32_t)s->octets,
	};
	size_t len, more;

	if (!s->started_us)
		return 0;
	info.rtp_timestamp = (uint32_t)(s->timestamp_base
					+ (now_us - s->started_us) * s->clock_rate / 1000000);
	len = rtcp_encode_sr(out, cap, &info, NULL, 0);
	if (!len)
		return 0;
	more = rtcp_encode_sdes_cname(out + len, cap - len, s->config.ssrc, cname, strlen(cname));
	return more ? len + more : 0;
}

void rtp_source_key_frame(struct rtp_source *s)
{
	s->key_frame_wanted = true;
}

uint32_t rtp_source_ssrc(const struct rtp_source *s)
{
	return s->config.ssrc;
}

uint64_t rtp_source_sent(const struct rtp_source *s)
{
	return s->sent;
}

bool rtp_source_is_done(const struct rtp_source *s)
{
	return s->stopped || (s->config.packets && s->sent >= s->config.packets);
}
