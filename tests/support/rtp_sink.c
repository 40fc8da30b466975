// SPDX-License-Identifier: BSD-3-Clause
#include "tests/support/rtp_sink.h"

#include "sfu-dp/proto/rtp.h"
#include "sfu-dp/proto/rtp_ext.h"
#include "sfu-dp/proto/sframe.h"
#include "tests/support/content.h"
#include "tests/support/sframe_crypto.h"

#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 64
#define EPOCH_KEYS 4
/** Numbers below the highest that are still told apart; more than any network here reorders. */
#define WINDOW 4096u
/** A report this far from what the packets say cannot be: a wrong offset is off by far more. */
#define SR_WRONG_US 2000000
/** This far it may be when sender or receiver stalled, but not often. */
#define SR_FAR_US 200000
#define SR_COUNT_SLACK 256
/** Packets of so long may be between a report and its place: threads move between processors. */
#define SR_COUNT_US 500000

/** Which of the last WINDOW numbers came. */
struct window {
	uint64_t bits[WINDOW / 64];
};

struct rtp_sink {
	struct rtp_sink_config config;
	char mid[TEXT_MAX];
	char cname[TEXT_MAX];
	struct sframe_crypto *keys[EPOCH_KEYS];
	unsigned next_key;
	struct rtp_sink_stats stats;
	struct window window;
	uint64_t rtp_highest; // extended sequence number
	uint64_t rtp_first;
	uint64_t rtp_unique; // 0 = none yet
	uint32_t timestamp_offset; // ours minus the sender's
	uint32_t last_timestamp;
	uint64_t last_timestamp_us; // arrival
	uint32_t clock_rate;
	uint32_t jitter_q4;
	uint32_t last_transit;
	bool has_sr;
	struct rtcp_sender_info last_sr;
	uint64_t last_sr_us;
	uint64_t block_expected, block_received; // at the last report block
};

struct rtp_sink *rtp_sink_create(const struct rtp_sink_config *config)
{
	struct rtp_sink *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->config = *config;
	strncpy(s->mid, config->mid, TEXT_MAX - 1);
	strncpy(s->cname, config->cname, TEXT_MAX - 1);
	s->clock_rate = config->codec == RTP_CODEC_OPUS ? 48000 : 90000;
	return s;
}

void rtp_sink_destroy(struct rtp_sink *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < EPOCH_KEYS; i++)
		sframe_crypto_destroy(s->keys[i]);
	free(s);
}

static void wrong(struct rtp_sink *s, uint64_t *counter, const char *what)
{
	(*counter)++;
	if (!s->stats.problem)
		s->stats.problem = what;
}

static struct sframe_crypto *key_of(struct rtp_sink *s, uint64_t kid)
{
	for (unsigned i = 0; i < EPOCH_KEYS; i++) {
		if (s->keys[i] && sframe_crypto_kid(s->keys[i]) == kid)
			return s->keys[i];
	}
	sframe_crypto_destroy(s->keys[s->next_key]);
	s->keys[s->next_key] = sframe_crypto_create(s->config.key, s->config.key_len, kid);
	s->stats.epochs++;
	s->next_key = (s->next_key + 1) % EPOCH_KEYS;
	return s->keys[(s->next_key + EPOCH_KEYS - 1) % EPOCH_KEYS];
}

/** Set a number; false if it was set, or is too old to know. */
static bool window_set(struct window *w, uint64_t highest, uint64_t n)
{
	uint64_t bit = 1ull << (n % 64);
	uint64_t *word = &w->bits[n % WINDOW / 64];

	if (n + WINDOW <= highest || *word & bit)
		return false;
	*word |= bit;
	return true;
}

static void window_advance(struct window *w, uint64_t highest, uint64_t to)
{
	if (to - highest >= WINDOW) {
		memset(w, 0, sizeof(*w));
		return;
	}
	for (uint64_t n = highest + 1; n <= to; n++)
		w->bits[n % WINDOW / 64] &= ~(1ull << (n % 64));
}

static bool count_number(struct rtp_sink *s, uint64_t n, const struct rtp_sink_edge *edge)
{
	struct rtp_sink_stats *st = &s->stats;

	if (!st->unique) {
		st->first = n;
		st->highest = n;
	} else if (n > st->highest) {
		if (edge->was_shut)
			st->excused += n - st->highest - 1;
		window_advance(&s->window, st->highest, n);
		st->highest = n;
	}
	if (!window_set(&s->window, st->highest, n)) {
		wrong(s, &st->duplicated, "a packet came twice");
		return false;
	}
	// Overtaken by the first: what came around it came while nobody listened yet, and was not lost.
	if (n < st->first)
		return false;
	if (n < st->highest)
		st->reordered++;
	st->unique++;
	return true;
}

/** Continuity of the RTP sequence, whatever is in the packets. */
static void count_sequence(struct rtp_sink *s, uint16_t seq)
{
	int16_t ahead;

	if (!s->rtp_unique) {
		s->rtp_highest = 0x10000u + seq;
		s->rtp_first = s->rtp_highest;
		s->rtp_unique = 1;
		return;
	}
	ahead = (int16_t)(seq - (uint16_t)s->rtp_highest);
	if (ahead > 0)
		s->rtp_highest += (unsigned)ahead;
	if (ahead)
		s->rtp_unique++;
}

/** Sequence numbers from the first to the highest. */
static uint64_t rtp_expected(const struct rtp_sink *s)
{
	return s->rtp_unique ? s->rtp_highest - s->rtp_first + 1 : 0;
}

/** Interarrival jitter (RFC 3550, 6.4.1). */
static void count_jitter(struct rtp_sink *s, uint32_t timestamp, uint64_t now_us)
{
	uint32_t transit = (uint32_t)(now_us * (s->clock_rate / 100) / 10000) - timestamp;
	int32_t d = (int32_t)(transit - s->last_transit);

	s->last_transit = transit;
	if (s->rtp_unique == 1)
		return;
	if (d < 0)
		d = -d;
	s->jitter_q4 += (uint32_t)d - ((s->jitter_q4 + 8) >> 4);
}

static void check_header(struct rtp_sink *s, const struct rtp_view *view, const uint8_t *packet)
{
	struct rtp_sink_stats *st = &s->stats;
	struct rtp_ext_elem elem;

	if (view->payload_type != s->config.payload_type)
		wrong(s, &st->header_wrong, "payload type is not the signalled one");
	if (s->config.mid_id
		&& rtp_ext_find(view->ext_profile, packet + view->ext_off, view->ext_len,
			s->config.mid_id, &elem)) {
		st->mids++;
		if (elem.len != strlen(s->mid) || memcmp(elem.data, s->mid, elem.len))
			wrong(s, &st->header_wrong, "MID is not the signalled one");
	}
}

static void check_value(
	struct rtp_sink *s, const struct rtp_view *view, const uint8_t *packet, uint64_t number)
{
	struct rtp_ext_elem elem;

	if (!s->config.value_id)
		return;
	if (!rtp_ext_find(view->ext_profile, packet + view->ext_off, view->ext_len,
		    s->config.value_id, &elem))
		wrong(s, &s->stats.header_wrong, "a signalled header extension is missing");
	else if (elem.len != 1 || elem.data[0] != rtp_source_value(s->config.codec, number))
		wrong(s, &s->stats.header_wrong, "a header extension has another value");
}

static void check_timestamp(struct rtp_sink *s, const struct rtp_view *view,
	const struct content *content, const struct rtp_sink_edge *edge)
{
	struct rtp_sink_stats *st = &s->stats;
	uint32_t offset = view->timestamp - content->timestamp;

	if (st->unique > 1 && offset != s->timestamp_offset && !edge->was_shut)
		wrong(s, &st->timestamp_jumps, "offset to the sender's time stamps changed");
	s->timestamp_offset = offset;
	if (view->marker != content->marker)
		wrong(s, &st->header_wrong, "marker bit changed");
}

static void check_content(struct rtp_sink *s, const struct rtp_view *view, const uint8_t *packet,
	size_t descriptor_len, const uint8_t *plain, size_t plain_len, uint64_t now_us,
	const struct rtp_sink_edge *edge)
{
	struct rtp_sink_stats *st = &s->stats;
	struct content content;
	uint64_t after_us;

	if (content_check(plain, plain_len, &content) != CONTENT_OK) {
		wrong(s, &st->mismatched, "payload is not what its number must carry");
		return;
	}
	if (content.sender != s->config.sender) {
		wrong(s, &st->mismatched, "payload of another sender");
		return;
	}
	if ((content.track ^ s->config.track) & 1) {
		wrong(s, &st->mismatched, "payload of another track");
		return;
	}
	if (content.descriptor_len != descriptor_len
		|| memcmp(content.descriptor, packet + view->payload_off, descriptor_len)) {
		wrong(s, &st->mismatched, "payload descriptor changed");
		return;
	}
	after_us = now_us > content.sent_us ? now_us - content.sent_us : 0;
	if (count_number(s, content.number, edge))
		st->in_time += after_us <= RTP_SINK_IN_TIME_US;
	check_timestamp(s, view, &content, edge);
	check_value(s, view, packet, content.number);
	latency_add(&st->latency, after_us);
}

static size_t descriptor_len(enum rtp_codec codec, const uint8_t *payload, size_t len)
{
	struct vp8_desc vp8;
	struct vp9_desc vp9;

	if (codec == RTP_CODEC_VP8 && vp8_desc_parse(payload, len, &vp8) == RTP_OK)
		return vp8.len;
	if (codec == RTP_CODEC_VP9 && vp9_desc_parse(payload, len, &vp9) == RTP_OK)
		return vp9.len;
	return 0;
}

static void check_payload(struct rtp_sink *s, const struct rtp_view *view, const uint8_t *packet,
	uint64_t now_us, const struct rtp_sink_edge *edge)
{
	const uint8_t *payload = packet + view->payload_off;
	size_t skip = descriptor_len(s->config.codec, payload, view->payload_len);
	uint8_t plain[RTP_SOURCE_PACKET_MAX];
	struct sframe_crypto *key = NULL;
	struct sframe_header header;
	uint64_t epoch, ctr;
	uint32_t sender;
	uint8_t track;
	int len = -1;

	if (sframe_parse(payload + skip, view->payload_len - skip, &header) == SFRAME_OK) {
		content_kid_parts(header.kid, &sender, &track, &epoch);
		key = sender == s->config.sender ? key_of(s, header.kid) : NULL;
	}
	if (key)
		len = sframe_decrypt(key, NULL, 0, payload + skip, view->payload_len - skip, plain,
			sizeof(plain), &ctr);
	if (len < 0) {
		wrong(s, &s->stats.undecryptable, "SFrame does not open");
		return;
	}
	check_content(s, view, packet, skip, plain, (size_t)len, now_us, edge);
}

static void take(struct rtp_sink *s, const uint8_t *packet, size_t len, uint64_t now_us,
	const struct rtp_sink_edge *edge, bool recovered)
{
	struct rtp_sink_stats *st = &s->stats;
	struct rtp_view view;

	if (rtp_parse(packet, len, &view) != RTP_OK
		|| rtp_strip_padding(packet, len, &view) != RTP_OK || !view.payload_len)
		return; // padding only: a probe, no media
	st->received++;
	if (edge->is_shut)
		wrong(s, &st->leaked, "a packet came through a shut gate");
	if (!st->first_us)
		st->first_us = now_us;
	if (st->last_us && now_us - st->last_us > st->longest_gap_us)
		st->longest_gap_us = now_us - st->last_us;
	st->last_us = now_us;
	if (recovered) {
		st->recovered++;
	} else {
		s->last_timestamp = view.timestamp;
		s->last_timestamp_us = now_us;
		count_sequence(s, view.seq);
		count_jitter(s, view.timestamp, now_us);
	}
	check_header(s, &view, packet);
	check_payload(s, &view, packet, now_us, edge);
	if (s->rtp_unique)
		st->rtp_missing = rtp_expected(s) - s->rtp_unique;
}

void rtp_sink_packet(struct rtp_sink *s, const uint8_t *packet, size_t len, uint64_t now_us,
	const struct rtp_sink_edge *edge)
{
	take(s, packet, len, now_us, edge, false);
}

void rtp_sink_recovered(struct rtp_sink *s, const uint8_t *packet, size_t len, uint64_t now_us,
	const struct rtp_sink_edge *edge)
{
	take(s, packet, len, now_us, edge, true);
}

/** What the report calls now lies where the packets of now are. */
static void check_report(struct rtp_sink *s, const struct rtcp_sender_info *info, uint64_t now_us)
{
	struct rtp_sink_stats *st = &s->stats;
	int64_t media_us = (int64_t)(int32_t)(info->rtp_timestamp - s->last_timestamp) * 1000000
			   / s->clock_rate;
	int64_t slack = SR_COUNT_SLACK;
	int64_t off_us = llabs(media_us - (int64_t)(now_us - s->last_timestamp_us));

	if (off_us > SR_WRONG_US)
		wrong(s, &st->sr_wrong, "a sender report is far from the packets");
	else if (off_us > SR_FAR_US)
		st->sr_far++;
	// What was sent while nothing came through is not known here yet.
	slack += now_us > st->first_us
			 ? (int64_t)(st->received * (SR_COUNT_US + 2 * (now_us - st->last_us))
				     / (now_us - st->first_us))
			 : 0;
	// What was lost on the way here was sent; what was lost before the server was not.
	if ((int32_t)(info->packets - (uint32_t)rtp_expected(s)) > slack
		|| (int32_t)((uint32_t)s->rtp_unique - info->packets) > slack)
		wrong(s, &st->sr_wrong, "a sender report counts other packets");
}

/** Two reports tell one clock: as much media time as wall time went by. */
static void check_clock(struct rtp_sink *s, const struct rtcp_sender_info *info)
{
	int64_t wall_us = (int64_t)(rtcp_ntp_to_us(info->ntp) - rtcp_ntp_to_us(s->last_sr.ntp));
	int64_t media_us = (int64_t)(int32_t)(info->rtp_timestamp - s->last_sr.rtp_timestamp)
			   * 1000000 / s->clock_rate;

	if (llabs(media_us - wall_us) > SR_WRONG_US)
		wrong(s, &s->stats.sr_wrong, "sender reports disagree on the media clock");
}

void rtp_sink_report(struct rtp_sink *s, const struct rtcp_sender_info *info, uint64_t now_us)
{
	s->stats.sr_received++;
	if (s->has_sr)
		check_clock(s, info);
	if (s->stats.last_us)
		check_report(s, info, now_us);
	s->last_sr = *info;
	s->last_sr_us = now_us;
	s->has_sr = true;
}

void rtp_sink_cname(struct rtp_sink *s, const uint8_t *text, size_t len)
{
	if (len != strlen(s->cname) || memcmp(text, s->cname, len))
		wrong(s, &s->stats.header_wrong, "CNAME is not the signalled one");
}

bool rtp_sink_block(struct rtp_sink *s, uint64_t now_us, struct rtcp_report_block *out)
{
	uint64_t expected = rtp_expected(s), interval, lost;

	if (!s->rtp_unique)
		return false;
	memset(out, 0, sizeof(*out));
	interval = expected - s->block_expected;
	lost = interval - (s->rtp_unique - s->block_received);
	out->ssrc = s->config.ssrc;
	if (interval && (int64_t)lost > 0)
		out->fraction_lost
			= (uint8_t)(lost * 256 / interval > 255 ? 255 : lost * 256 / interval);
	out->cumulative_lost = (int32_t)(expected - s->rtp_unique);
	out->highest_seq = (uint32_t)(s->rtp_highest - 0x10000u);
	out->jitter = s->jitter_q4 >> 4;
	if (s->has_sr) {
		out->lsr = rtcp_ntp_mid(s->last_sr.ntp);
		out->dlsr = rtcp_mid_from_us(now_us - s->last_sr_us);
	}
	s->block_expected = expected;
	s->block_received = s->rtp_unique;
	return true;
}

uint16_t rtp_sink_newest_seq(const struct rtp_sink *s)
{
	return (uint16_t)s->rtp_highest;
}

uint64_t rtp_sink_lost(const struct rtp_sink *s)
{
	const struct rtp_sink_stats *st = &s->stats;
	uint64_t span, there;

	if (!st->unique)
		return 0;
	span = st->highest - st->first + 1;
	there = st->unique + st->excused;
	return there < span ? span - there : 0;
}

const struct rtp_sink_stats *rtp_sink_stats(const struct rtp_sink *s)
{
	return &s->stats;
}
