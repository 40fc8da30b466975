// SPDX-License-Identifier: BSD-3-Clause
#include "tests/support/peer_impl.h"

#include <string.h>

#include "sfu-dp/proto/rtp.h"
#include "tests/support/peer_params.h"

#define PACKET_ROOM (RTP_SOURCE_PACKET_MAX + MEDIA_TRAILER_MAX)
#define REPORT_US 1000000
/** A gate cannot shut more exactly: packets on their way, and our own loop. */
#define GATE_SLACK_US 300000

bool peer_media_prepare(struct peer *p, enum peer_track track)
{
	const struct peer_options *o = p->env->options;
	struct rtp_source_config *c = &p->source_configs[track];
	bool is_video = track == PEER_VIDEO;

	memset(c, 0, sizeof(*c));
	c->key = o->key;
	c->key_len = sizeof(o->key);
	c->mid = is_video ? "1" : "0";
	c->packets = o->packets;
	c->sender = p->tag;
	c->ssrc = g_random_int() | 1;
	c->pps = is_video ? o->video_pps : o->audio_pps;
	c->payload_bytes = is_video ? o->video_bytes : o->audio_bytes;
	c->first_seq = (uint16_t)g_random_int();
	// Never the same key and counter twice, also after coming back.
	c->track = (uint8_t)(p->incarnation << 1 | (is_video ? 1 : 0));
	if (!params_source(p->router_caps, is_video, o->codec, c))
		return false;
	p->sources[track] = rtp_source_create(c);
	return p->sources[track] != NULL;
}

static void count_transport(const struct media_transport *t, struct peer_stats *out)
{
	const struct media_counts *counts;

	if (!t)
		return;
	counts = media_transport_counts(t);
	out->not_opened += counts->not_opened;
	out->send_failed += counts->send_failed;
	if (*media_transport_profile(t))
		out->profile = media_transport_profile(t);
}

void peer_media_count(const struct peer *p, struct peer_stats *out)
{
	GHashTableIter it;
	gpointer count;

	for (unsigned i = 0; i < PEER_TRACKS; i++) {
		if (p->sources[i])
			out->sent[i] += rtp_source_sent(p->sources[i]);
	}
	count_transport(p->send, out);
	count_transport(p->recv, out);
	out->refused += peer_signal_refused(p->signal);
	g_hash_table_iter_init(&it, p->early);
	while (g_hash_table_iter_next(&it, NULL, &count))
		out->unknown_ssrc += GPOINTER_TO_UINT(count);
}

void peer_media_close(struct peer *p)
{
	for (unsigned i = 0; i < PEER_TRACKS; i++) {
		rtp_source_destroy(p->sources[i]);
		p->sources[i] = NULL;
		p->is_produced[i] = false;
	}
	media_transport_destroy(p->send);
	media_transport_destroy(p->recv);
	p->send = NULL;
	p->recv = NULL;
}

void peer_tick_media(struct peer *p, uint64_t now_us)
{
	uint8_t packet[PACKET_ROOM];

	if (!media_transport_is_connected(p->send) || p->is_stopped)
		return;
	for (unsigned i = 0; i < PEER_TRACKS; i++) {
		struct rtp_source *source = p->sources[i];

		if (!source || !p->is_produced[i])
			continue;
		if (!p->env->options->packets || p->is_begun)
			rtp_source_start(source, now_us);
		for (unsigned n = rtp_source_due(source, now_us); n; n--) {
			size_t len = rtp_source_next(source, (uint64_t)g_get_monotonic_time(),
				p->send_epoch, packet, RTP_SOURCE_PACKET_MAX);

			if (len)
				media_transport_send_rtp(p->send, packet, len);
		}
	}
}

/** Whether a gate was shut at some time of an interval. */
static bool gate_was_shut(const struct peer_gate *gate, uint64_t from_us, uint64_t to_us)
{
	return gate->shut_us && gate->shut_us <= to_us
	       && (!gate->open_us || gate->open_us >= from_us);
}

static bool gate_is_shut(const struct peer *p, uint64_t now_us)
{
	return p->gate.shut_us && !p->gate.open_us
	       && now_us > p->gate.shut_us + p->env->options->grace_ms * 1000ull + GATE_SLACK_US;
}

static void note_opening(
	struct peer_consumer *c, const struct peer_gate *gate, uint64_t last_us, uint64_t now_us)
{
	if (gate->open_us && last_us < gate->open_us && !c->opened_after_us)
		c->opened_after_us = now_us > gate->open_us ? now_us - gate->open_us : 1;
}

/** Media may overtake the signalling that announces it; whether it did is known later. */
static void count_early(struct peer *p, uint32_t ssrc)
{
	guint n = GPOINTER_TO_UINT(g_hash_table_lookup(p->early, GUINT_TO_POINTER(ssrc)));

	g_hash_table_insert(p->early, GUINT_TO_POINTER(ssrc), GUINT_TO_POINTER(n + 1));
}

static void on_recv_rtp(void *ctx, uint8_t *packet, size_t len, uint64_t now_us)
{
	struct peer *p = ctx, *sender;
	struct rtp_sink_edge edge;
	struct peer_consumer *c;
	struct rtp_view view;
	uint64_t last_us;

	if (rtp_parse(packet, len, &view) != RTP_OK)
		return;
	c = g_hash_table_lookup(p->by_ssrc, GUINT_TO_POINTER(view.ssrc));
	if (!c) {
		count_early(p, view.ssrc);
		return;
	}
	if (!c->is_live)
		return; // was on its way when the consumer was closed
	last_us = rtp_sink_stats(c->sink)->last_us;
	sender = g_hash_table_lookup(p->env->by_tag, GUINT_TO_POINTER(c->sender));
	edge.was_shut = gate_was_shut(&p->gate, last_us, now_us);
	edge.is_shut = gate_is_shut(p, now_us);
	note_opening(c, &p->gate, last_us, now_us);
	if (sender) {
		edge.was_shut |= gate_was_shut(&sender->gate, last_us, now_us);
		edge.is_shut |= gate_is_shut(sender, now_us);
		note_opening(c, &sender->gate, last_us, now_us);
	}
	rtp_sink_packet(c->sink, packet, len, now_us, &edge);
	if (p->lost_us) {
		p->stats.back_after_us = now_us - p->lost_us;
		g_print("peer %u: back after %.0f ms, media gap %.0f ms\n", p->index,
			(double)(now_us - p->lost_us) / 1000,
			p->media_before_us ? (double)(now_us - p->media_before_us) / 1000 : 0.0);
		p->lost_us = 0;
	}
}

static void on_recv_sr(struct peer *p, const struct rtcp_packet *packet, uint64_t now_us)
{
	struct rtcp_report report;
	struct peer_consumer *c;

	if (rtcp_report_parse(packet, &report) != RTCP_OK)
		return;
	c = g_hash_table_lookup(p->by_ssrc, GUINT_TO_POINTER(report.info.ssrc));
	if (c)
		rtp_sink_report(c->sink, &report.info, now_us);
}

static void on_recv_sdes(struct peer *p, const struct rtcp_packet *packet)
{
	struct rtcp_sdes_item item;
	struct rtcp_sdes_iter it;
	struct peer_consumer *c;

	if (rtcp_sdes_iter_init(&it, packet) != RTCP_OK)
		return;
	while (rtcp_sdes_next(&it, &item) == RTCP_OK) {
		c = g_hash_table_lookup(p->by_ssrc, GUINT_TO_POINTER(item.ssrc));
		if (c && item.type == RTCP_SDES_CNAME)
			rtp_sink_cname(c->sink, item.text, item.len);
	}
}

static void on_recv_rtcp(void *ctx, uint8_t *buf, size_t len, uint64_t now_us)
{
	struct peer *p = ctx;
	struct rtcp_packet packet;
	struct rtcp_iter it;

	rtcp_iter_init(&it, buf, len);
	while (rtcp_next(&it, &packet) == RTCP_OK) {
		if (packet.type == RTCP_SR)
			on_recv_sr(p, &packet, now_us);
		else if (packet.type == RTCP_SDES)
			on_recv_sdes(p, &packet);
	}
}

static struct rtp_source *source_of(struct peer *p, uint32_t ssrc, enum peer_track *track)
{
	for (unsigned i = 0; i < PEER_TRACKS; i++) {
		if (p->sources[i] && rtp_source_ssrc(p->sources[i]) == ssrc) {
			*track = (enum peer_track)i;
			return p->sources[i];
		}
	}
	return NULL;
}

static void key_frame_request(struct peer *p, uint32_t ssrc)
{
	enum peer_track track;
	struct rtp_source *source = source_of(p, ssrc, &track);

	if (!source)
		return;
	p->stats.key_frame_requests[track]++;
	rtp_source_key_frame(source);
}

static void on_send_feedback(struct peer *p, const struct rtcp_packet *packet)
{
	struct rtcp_feedback fb;
	struct rtcp_fir fir;
	struct rtcp_nack nack;

	if (rtcp_feedback_parse(packet, &fb) != RTCP_OK)
		return;
	if (rtcp_is_pli(&fb))
		key_frame_request(p, fb.media_ssrc);
	for (unsigned i = 0; rtcp_fir(&fb, i, &fir); i++)
		key_frame_request(p, fir.ssrc);
	if (rtcp_nack(&fb, 0, &nack))
		p->stats.nacks++;
}

static void on_send_report(struct peer *p, const struct rtcp_packet *packet)
{
	struct rtcp_report_block block;
	struct rtcp_report report;
	enum peer_track track;

	if (rtcp_report_parse(packet, &report) != RTCP_OK)
		return;
	for (unsigned i = 0; rtcp_report_block(&report, i, &block); i++) {
		if (!source_of(p, block.ssrc, &track))
			continue;
		p->stats.receiver_reports++;
		p->stats.report_loss += block.cumulative_lost > 0;
	}
}

static void on_send_rtcp(void *ctx, uint8_t *buf, size_t len, uint64_t now_us)
{
	struct peer *p = ctx;
	struct rtcp_packet packet;
	struct rtcp_iter it;

	(void)now_us;
	rtcp_iter_init(&it, buf, len);
	while (rtcp_next(&it, &packet) == RTCP_OK) {
		if (packet.type == RTCP_PSFB || packet.type == RTCP_RTPFB)
			on_send_feedback(p, &packet);
		else if (packet.type == RTCP_RR || packet.type == RTCP_SR)
			on_send_report(p, &packet);
	}
}

static void on_send_rtp(void *ctx, uint8_t *packet, size_t len, uint64_t now_us)
{
	struct peer *p = ctx;

	(void)packet;
	(void)len;
	(void)now_us;
	p->stats.unknown_ssrc++; // nothing is consumed on this transport
}

static void on_connected(void *ctx)
{
	(void)ctx;
}

static void on_failed(void *ctx, const char *why)
{
	peer_lose(ctx, why);
}

const struct media_events peer_send_events = {on_connected, on_failed, on_send_rtp, on_send_rtcp};
const struct media_events peer_recv_events = {on_connected, on_failed, on_recv_rtp, on_recv_rtcp};

static void send_sender_reports(struct peer *p, uint64_t now_us)
{
	uint8_t buf[PACKET_ROOM];

	for (unsigned i = 0; i < PEER_TRACKS; i++) {
		size_t len = p->sources[i] ? rtp_source_report(
				     p->sources[i], now_us, p->cname, buf, RTP_SOURCE_PACKET_MAX)
					   : 0;

		if (len)
			media_transport_send_rtcp(p->send, buf, len);
	}
}

/** RR with as many blocks as one takes, SDES and perhaps PLIs: from consumer *next on. */
static void send_receiver_report(struct peer *p, uint64_t now_us, unsigned *next, bool with_pli)
{
	struct rtcp_report_block blocks[16] = {0};
	uint32_t plis[G_N_ELEMENTS(blocks)];
	unsigned count = 0, pli_count = 0;
	uint8_t buf[PACKET_ROOM];
	size_t len;

	for (; *next < p->consumers->len && count < G_N_ELEMENTS(blocks); (*next)++) {
		struct peer_consumer *c = p->consumers->pdata[*next];

		if (!c->is_live || !c->sink || !rtp_sink_block(c->sink, now_us, &blocks[count]))
			continue;
		if (with_pli && c->track == PEER_VIDEO)
			plis[pli_count++] = blocks[count].ssrc;
		count++;
	}
	len = rtcp_encode_rr(buf, RTP_SOURCE_PACKET_MAX, p->report_ssrc, blocks, count);
	len += rtcp_encode_sdes_cname(
		buf + len, RTP_SOURCE_PACKET_MAX - len, p->report_ssrc, p->cname, strlen(p->cname));
	for (unsigned i = 0; i < pli_count; i++)
		len += rtcp_encode_pli(
			buf + len, RTP_SOURCE_PACKET_MAX - len, p->report_ssrc, plis[i]);
	p->stats.pli_sent += pli_count;
	media_transport_send_rtcp(p->recv, buf, len);
}

void peer_media_report(struct peer *p, uint64_t now_us)
{
	const struct peer_options *o = p->env->options;
	bool with_pli = o->pli_seconds && now_us >= p->pli_us;
	unsigned next = 0;

	if (now_us < p->report_us)
		return;
	p->report_us = now_us + REPORT_US;
	if (with_pli)
		p->pli_us = now_us + o->pli_seconds * 1000000ull;
	if (media_transport_is_connected(p->send) && !p->is_stopped)
		send_sender_reports(p, now_us);
	if (!media_transport_is_connected(p->recv))
		return;
	do
		send_receiver_report(p, now_us, &next, with_pli);
	while (next < p->consumers->len);
}
