// SPDX-License-Identifier: BSD-3-Clause
#include "tests/support/peer_impl.h"

#include <string.h>

#include "sfu-dp/proto/rtp.h"
#include "sfu-dp/proto/rtp_ext.h"
#include "tests/support/peer_params.h"

#define PACKET_ROOM (RTP_SOURCE_PACKET_MAX + MEDIA_TRAILER_MAX)
#define REPORT_US 1000000
#define TWCC_US 100000
/** Sequence numbers of one NACK of a flood: the newest, which can be sent again, two entries with all their bits. */
#define FLOOD_SEQS 34
#define FLOOD_BURST 200u
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
	if (c->rtx_payload_type) {
		c->rtx_ssrc = c->ssrc ^ 2; // the lowest bit keeps it from being 0
		p->resends[track] = rtp_resend_create(
			c->rtx_ssrc, c->rtx_payload_type, (uint16_t)g_random_int());
	}
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
	out->replayed += counts->replayed;
	out->send_failed += counts->send_failed;
	out->moves += media_transport_moves(t);
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
		rtp_resend_destroy(p->resends[i]);
		p->resends[i] = NULL;
		p->is_produced[i] = false;
	}
	media_transport_destroy(p->send);
	media_transport_destroy(p->recv);
	p->send = NULL;
	p->recv = NULL;
}

/** Number the packet for the transport, if it has a place for that, and send it. */
static void send_packet(
	struct peer *p, const struct rtp_source_config *config, uint8_t *packet, size_t len)
{
	struct rtp_ext_elem elem;
	struct rtp_view view;

	if (config->twcc_id && rtp_parse(packet, len, &view) == RTP_OK
		&& rtp_ext_find(view.ext_profile, packet + view.ext_off, view.ext_len,
			config->twcc_id, &elem)
		&& elem.len == 2) {
		packet[elem.data - packet] = (uint8_t)(p->twcc_seq >> 8);
		packet[elem.data - packet + 1] = (uint8_t)p->twcc_seq;
		p->twcc_seq++;
	}
	media_transport_send_rtp(p->send, packet, len);
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

			if (!len)
				continue;
			if (p->resends[i])
				rtp_resend_keep(p->resends[i], packet, len);
			send_packet(p, &p->source_configs[i], packet, len);
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

static void note_arrival(
	struct peer *p, const struct rtp_view *view, const uint8_t *packet, uint64_t now_us)
{
	struct rtp_ext_elem elem;

	if (p->twcc_id
		&& rtp_ext_find(
			view->ext_profile, packet + view->ext_off, view->ext_len, p->twcc_id, &elem)
		&& elem.len == 2)
		twcc_arrived(&p->twcc, (uint16_t)(elem.data[0] << 8 | elem.data[1]), now_us);
}

/** Directly, or through what repairs the stream. */
static void deliver(struct peer_consumer *c, uint8_t *packet, size_t len, uint64_t now_us,
	const struct rtp_sink_edge *edge)
{
	switch (c->repair ? rtp_repair_packet(c->repair, packet, &len, now_us) : RTP_REPAIR_FRESH) {
	case RTP_REPAIR_FRESH:
		rtp_sink_packet(c->sink, packet, len, now_us, edge);
		break;
	case RTP_REPAIR_RECOVERED:
		rtp_sink_recovered(c->sink, packet, len, now_us, edge);
		break;
	case RTP_REPAIR_AGAIN:
	case RTP_REPAIR_PADDING:
	case RTP_REPAIR_WRONG:
		break; // counted there
	}
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
	note_arrival(p, &view, packet, now_us);
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
	deliver(c, packet, len, now_us, &edge);
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

/** The server's answer to our RRTR (RFC 3611, 4.5). */
static void on_recv_xr(struct peer *p, const struct rtcp_packet *packet, uint64_t now_us)
{
	struct rtcp_xr_block block;
	struct rtcp_xr_iter it;
	struct rtcp_dlrr dlrr;

	if (rtcp_xr_iter_init(&it, packet) != RTCP_OK)
		return;
	while (rtcp_xr_next(&it, &block) == RTCP_OK) {
		for (unsigned i = 0; rtcp_xr_dlrr(&block, i, &dlrr); i++) {
			if (dlrr.ssrc == p->report_ssrc)
				p->stats.rtt_dlrr_us
					= rtcp_rtt_us(rtcp_ntp_mid(rtcp_ntp_from_us(now_us)),
						dlrr.lrr, dlrr.dlrr);
		}
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
		else if (packet.type == RTCP_XR)
			on_recv_xr(p, &packet, now_us);
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

static void send_again(struct peer *p, enum peer_track track, uint16_t seq)
{
	uint8_t packet[PACKET_ROOM];
	size_t len = rtp_resend_answer(p->resends[track], seq, packet, RTP_SOURCE_PACKET_MAX);

	if (len)
		send_packet(p, &p->source_configs[track], packet, len);
}

static void on_nack(struct peer *p, const struct rtcp_feedback *fb)
{
	struct rtcp_nack nack;
	enum peer_track track;

	if (!source_of(p, fb->media_ssrc, &track) || !p->resends[track])
		return;
	for (unsigned i = 0; rtcp_nack(fb, i, &nack); i++) {
		send_again(p, track, nack.pid);
		for (unsigned bit = 0; bit < 16; bit++) {
			if (nack.blp >> bit & 1)
				send_again(p, track, (uint16_t)(nack.pid + 1 + bit));
		}
	}
}

static void on_send_feedback(struct peer *p, const struct rtcp_packet *packet)
{
	struct rtcp_feedback fb;
	struct rtcp_fir fir;
	struct rtcp_nack nack;
	struct rtcp_remb remb;
	struct rtcp_twcc twcc;

	if (rtcp_feedback_parse(packet, &fb) != RTCP_OK)
		return;
	if (rtcp_is_pli(&fb))
		key_frame_request(p, fb.media_ssrc);
	for (unsigned i = 0; rtcp_fir(&fb, i, &fir); i++)
		key_frame_request(p, fir.ssrc);
	if (rtcp_nack(&fb, 0, &nack)) {
		p->stats.nacks++;
		on_nack(p, &fb);
	}
	p->stats.twcc_received += rtcp_twcc_parse(&fb, &twcc) == RTCP_OK;
	p->stats.remb_received += rtcp_remb_parse(&fb, &remb) == RTCP_OK;
}

static void on_send_report(struct peer *p, const struct rtcp_packet *packet, uint64_t now_us)
{
	struct rtcp_report_block block;
	struct rtcp_report report;
	enum peer_track track;
	uint64_t rtt_us;

	if (rtcp_report_parse(packet, &report) != RTCP_OK)
		return;
	for (unsigned i = 0; rtcp_report_block(&report, i, &block); i++) {
		if (!source_of(p, block.ssrc, &track))
			continue;
		p->last_reports[track] = block;
		rtt_us = rtcp_rtt_us(rtcp_ntp_mid(rtcp_ntp_from_us(now_us)), block.lsr, block.dlsr);
		if (rtt_us)
			p->stats.rtt_us = rtt_us;
		p->stats.receiver_reports++;
		p->stats.report_loss += block.cumulative_lost > 0;
	}
}

static void on_send_rtcp(void *ctx, uint8_t *buf, size_t len, uint64_t now_us)
{
	struct peer *p = ctx;
	struct rtcp_packet packet;
	struct rtcp_iter it;

	rtcp_iter_init(&it, buf, len);
	while (rtcp_next(&it, &packet) == RTCP_OK) {
		if (packet.type == RTCP_PSFB || packet.type == RTCP_RTPFB)
			on_send_feedback(p, &packet);
		else if (packet.type == RTCP_RR || packet.type == RTCP_SR)
			on_send_report(p, &packet, now_us);
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
	len += rtcp_encode_rrtr(buf + len, RTP_SOURCE_PACKET_MAX - len, p->report_ssrc,
		rtcp_ntp_from_us((uint64_t)g_get_monotonic_time()));
	for (unsigned i = 0; i < pli_count; i++)
		len += rtcp_encode_pli(
			buf + len, RTP_SOURCE_PACKET_MAX - len, p->report_ssrc, plis[i]);
	p->stats.pli_sent += pli_count;
	media_transport_send_rtcp(p->recv, buf, len);
}

/** What is missing is asked for at once, not with the reports. */
static void send_nacks(struct peer *p, uint64_t now_us)
{
	uint8_t buf[PACKET_ROOM];

	for (unsigned i = 0; i < p->consumers->len; i++) {
		struct peer_consumer *c = p->consumers->pdata[i];
		size_t len = c->is_live && c->repair ? rtp_repair_nack(
				     c->repair, now_us, p->report_ssrc, buf, RTP_SOURCE_PACKET_MAX)
						     : 0;

		if (len)
			media_transport_send_rtcp(p->recv, buf, len);
	}
}

static void send_transport_feedback(struct peer *p, uint64_t now_us)
{
	uint8_t buf[PACKET_ROOM];

	if (now_us < p->twcc_us)
		return;
	p->twcc_us = now_us + TWCC_US;
	while (twcc_pending(&p->twcc)) {
		size_t len = twcc_encode(&p->twcc, buf, RTP_SOURCE_PACKET_MAX, p->report_ssrc, 0);

		if (!len)
			return;
		media_transport_send_rtcp(p->recv, buf, len);
		p->stats.twcc_sent++;
	}
}

/** Ask for all that was sent lately, or for a key frame. */
static size_t flood_packet(struct peer *p, const struct peer_consumer *c, uint8_t *buf, size_t cap)
{
	uint16_t seqs[FLOOD_SEQS];
	uint16_t newest = rtp_sink_newest_seq(c->sink);

	if (!strcmp(p->env->options->flood, "pli"))
		return rtcp_encode_pli(buf, cap, p->report_ssrc, c->ssrc);
	for (unsigned i = 0; i < FLOOD_SEQS; i++)
		seqs[i] = (uint16_t)(newest - (FLOOD_SEQS - 1) + i);
	return rtcp_encode_nack(buf, cap, p->report_ssrc, c->ssrc, seqs, FLOOD_SEQS);
}

void peer_media_flood(struct peer *p, uint64_t now_us)
{
	struct peer_consumer *c = NULL;
	uint8_t buf[PACKET_ROOM];
	uint64_t due;

	for (unsigned i = 0; i < p->consumers->len && !c; i++) {
		c = p->consumers->pdata[i];
		if (!c->is_resumed || c->track != PEER_VIDEO || !rtp_sink_stats(c->sink)->received)
			c = NULL;
	}
	if (!c || p->is_stopped)
		return;
	if (!p->flood_us)
		p->flood_us = now_us;
	due = (now_us - p->flood_us) * p->env->options->flood_pps / 1000000;
	for (unsigned n = 0; n < FLOOD_BURST && p->stats.flooded < due; n++) {
		size_t len = flood_packet(p, c, buf, RTP_SOURCE_PACKET_MAX);

		p->stats.flooded++;
		if (len)
			media_transport_send_rtcp(p->recv, buf, len);
	}
}

void peer_media_report(struct peer *p, uint64_t now_us)
{
	const struct peer_options *o = p->env->options;
	bool with_pli = o->pli_seconds && now_us >= p->pli_us;
	unsigned next = 0;

	if (media_transport_is_connected(p->recv)) {
		send_nacks(p, now_us);
		send_transport_feedback(p, now_us);
	}
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
