// SPDX-License-Identifier: BSD-3-Clause
/**
 * srtp_open: authentic, fresh, and of which producer? Opens in place. Before the tag is checked
 * nothing is changed; an SSRC that nothing announces is not worth a check. Leaves to: rtcp, fanout,
 * drop.
 */
#include <string.h>

#include "sfu-dp/path/feedback.h"
#include "sfu-dp/path/path.h"
#include "sfu-dp/path/recover.h"
#include "sfu-dp/path/rtx.h"
#include "sfu-dp/path/rtx_ahead.h"
#include "sfu-dp/path/transport.h"
#include "sfu-dp/proto/demux.h"
#include "sfu-dp/proto/rtp.h"
#include "sfu-dp/proto/rtp_ext.h"
#include "sfu-dp/state/hot.h"
#include "sfu-dp/worker.h"

/** Which producer and encoding an SSRC feeds. */
struct binding {
	struct producer *producer;
	uint8_t encoding;
	uint8_t rtx;
};

/** What a packet's extensions say about where it belongs; data NULL = absent. */
struct names {
	struct rtp_ext_elem mid, rid, repaired_rid;
};

static void names_read(const struct producer *p, const uint8_t *buf, const struct rtp_view *view,
	struct names *out)
{
	struct rtp_ext_iter it;
	struct rtp_ext_elem e;

	memset(out, 0, sizeof(*out));
	if (!view->extension
		|| !rtp_ext_iter_init(&it, view->ext_profile, buf + view->ext_off, view->ext_len))
		return;
	while (rtp_ext_next(&it, &e)) {
		switch (p->ext_of_id[e.id]) {
		case SFU_EXT_MID:
			out->mid = e;
			break;
		case SFU_EXT_RID:
			out->rid = e;
			break;
		case SFU_EXT_REPAIRED_RID:
			out->repaired_rid = e;
			break;
		default:
			break;
		}
	}
}

static bool text_is(const struct rtp_ext_elem *e, const uint8_t *text, unsigned len)
{
	return e->data && len && e->len == len && !memcmp(e->data, text, len);
}

/** By the SSRCs that were signalled. */
static bool bind_by_ssrc(const struct producer_list *l, uint32_t ssrc, struct binding *out)
{
	for (uint32_t i = 0; i < l->count; i++) {
		const struct sfu_put_producer *put = &l->producer[i]->put;

		for (uint8_t e = 0; e < put->encoding_count; e++) {
			if (put->encoding[e].ssrc != ssrc && put->encoding[e].rtx_ssrc != ssrc)
				continue;
			out->producer = l->producer[i];
			out->encoding = e;
			out->rtx = put->encoding[e].ssrc != ssrc;
			return true;
		}
	}
	return false;
}

/**
 * The encoding that a packet of this producer feeds, or as RTX repairs, by its (repaired) RID; false
 * if none can be learnt.
 */
static bool encoding_by_rid(const struct sfu_put_producer *put, const struct names *names, bool rtx,
	struct binding *out)
{
	const struct rtp_ext_elem *rid = rtx ? &names->repaired_rid : &names->rid;

	for (uint8_t e = 0; e < put->encoding_count; e++) {
		const struct sfu_producer_encoding *encoding = &put->encoding[e];

		if (rtx ? encoding->rtx_ssrc : encoding->ssrc)
			continue;
		// One encoding without a name needs none: the MID says it all.
		if (text_is(rid, encoding->rid, encoding->rid_len)
			|| (put->encoding_count == 1 && !encoding->rid_len)) {
			out->encoding = e;
			out->rtx = rtx;
			return true;
		}
	}
	return false;
}

/** By MID, or by RID where no MID is sent and only one producer has that RID (RFC 8843, 9.2). */
static bool bind_by_name(const struct producer_list *l, const uint8_t *buf,
	const struct rtp_view *view, struct binding *out)
{
	unsigned found = 0;

	for (uint32_t i = 0; i < l->count; i++) {
		struct producer *p = l->producer[i];
		bool rtx = p->codec[view->payload_type] == SFU_CODEC_RTX;
		struct binding b = {.producer = p};
		struct names names;

		if (p->mapped_payload_type[view->payload_type] == 0xff)
			continue;
		names_read(p, buf, view, &names);
		if (names.mid.data ? !text_is(&names.mid, p->put.mid, p->put.mid_len)
				   : !(rtx ? names.repaired_rid.data : names.rid.data))
			continue;
		if (!encoding_by_rid(&p->put, &names, rtx, &b))
			continue;
		*out = b;
		found++;
	}
	return found == 1;
}

/** Whose packet this claims to be. Nothing is changed: the tag is still to be checked. */
static bool binding_find(struct worker *w, struct transport *t, const struct rx_stream *stream,
	const uint8_t *buf, const struct rtp_view *view, struct binding *out)
{
	const struct producer_list *l;

	if (stream && stream->producer) {
		out->producer = producer_find(w->objects, stream->producer);
		out->encoding = stream->encoding;
		out->rtx = stream->rtx;
		if (out->producer)
			// A source that another one took the place of does not come back.
			return out->rtx || out->producer->bound_ssrc[out->encoding] == view->ssrc;
	}
	l = atomic_load_explicit(&t->producers, memory_order_acquire);
	return l && (bind_by_ssrc(l, view->ssrc, out) || bind_by_name(l, buf, view, out));
}

/** The packet was authentic: its SSRC belongs to the encoding from now on. */
static void binding_commit(struct transport *t, struct rx_stream *stream, const struct binding *b)
{
	uint64_t handle = atomic_load_explicit(&b->producer->handle, memory_order_relaxed);
	uint32_t *bound = &b->producer->bound_ssrc[b->encoding];
	struct rx_stream *old;

	if (stream->producer != handle || !handle) {
		stream->producer = handle;
		stream->encoding = b->encoding;
		stream->rtx = b->rtx;
		state_rx_bind(stream->saved, stream->ssrc, handle, b->encoding,
			b->rtx ? STATE_RX_RTX : 0);
	}
	if (b->rtx || *bound == stream->ssrc)
		return;
	if (*bound) {
		old = transport_stream_find(t, *bound);
		if (old)
			state_rx_over(old->saved);
		b->producer->source_change++;
		recover_restart(b->producer, b->encoding);
		b->producer->shut_index[b->encoding] = 0;
		memset(&b->producer->frame_meter[b->encoding], 0,
			sizeof(b->producer->frame_meter[b->encoding]));
		b->producer->frame_edge[b->encoding].begun = 0;
		// The old source's sender reports say nothing about the new one.
		atomic_store_explicit(
			&b->producer->clock[b->encoding].at_us, 0, memory_order_relaxed);
	}
	*bound = stream->ssrc;
}

static void stream_count(struct rx_stream *s, const struct pkt *pkt, uint32_t clock_rate_hz)
{
	reception_packet(&s->rtp, pkt->index, pkt->rtp.timestamp, clock_rate_hz, pkt->rx_us);
	s->last_us = pkt->rx_us;
	s->payload_type = pkt->rtp.payload_type;
}

/** Whether a frame of which nothing can be read begins here, as far as timestamps tell. */
static bool frame_begins(struct frame_edge *e, const struct pkt *pkt)
{
	bool begins
		= !e->begun || (pkt->index == e->index + 1 && pkt->rtp.timestamp != e->timestamp);

	if (e->begun && pkt->index <= e->index)
		return false;
	e->index = pkt->index;
	if (pkt->rtp.payload_len)
		e->timestamp = pkt->rtp.timestamp;
	return begins && pkt->rtp.payload_len;
}

/** Of an encoding that does not tell its key frames. */
static enum pkt_start start_in_the_dark(struct frame_edge *e, const struct pkt *pkt, bool begins)
{
	bool first = !e->begun;

	if (pkt->rtp.payload_len)
		e->begun = 1;
	if (!begins)
		return PKT_START_NOT;
	return first ? PKT_START_FIRST : PKT_START_UNKNOWN;
}

/**
 * Of an end-to-end encrypted payload only what the packetiser wrote after encryption (webrtc.md 7).
 * @param frame_at  out: octets of it in front of a frame that begins here, else PKT_NO_FRAME
 */
static enum pkt_start start_of(struct producer *p, const struct pkt *pkt, const uint8_t *payload,
	uint8_t codec, uint8_t *frame_at)
{
	struct frame_edge *edge = &p->frame_edge[pkt->encoding];
	bool sealed = p->put.flags & SFU_PRODUCER_E2EE;
	size_t len = pkt->rtp.payload_len;
	bool key_frame;
	struct vp8_desc vp8;
	struct vp9_desc vp9;

	*frame_at = PKT_NO_FRAME;
	if (p->put.kind == SFU_AUDIO) {
		*frame_at = len ? 0 : PKT_NO_FRAME;
		return PKT_START_KEY_FRAME;
	}
	switch (codec) {
	case SFU_CODEC_VP9:
		if (vp9_desc_parse(payload, len, &vp9) != RTP_OK || !vp9.start_of_frame)
			return PKT_START_NOT;
		if (vp9.len < PKT_NO_FRAME)
			*frame_at = (uint8_t)vp9.len;
		return vp9.key_frame_start ? PKT_START_KEY_FRAME : PKT_START_FRAME;
	case SFU_CODEC_VP8:
		if (vp8_desc_parse(payload, len, &vp8) != RTP_OK)
			return PKT_START_NOT;
		if (vp8.start_of_frame)
			*frame_at = vp8.len;
		if (sealed)
			return start_in_the_dark(edge, pkt, vp8.start_of_frame);
		if (!vp8.start_of_frame)
			return PKT_START_NOT;
		return vp8_key_frame_start(payload, len, &vp8) ? PKT_START_KEY_FRAME
							       : PKT_START_FRAME;
	case SFU_CODEC_H264:
	case SFU_CODEC_AV1:
		if (sealed)
			break;
		key_frame = codec == SFU_CODEC_H264 ? h264_key_frame_start(payload, len)
						    : av1_key_frame_start(payload, len);
		return key_frame ? PKT_START_KEY_FRAME : PKT_START_NOT;
	default:
		break;
	}
	return start_in_the_dark(edge, pkt, frame_begins(edge, pkt));
}

/** Verdict on an authentic packet: DROP_COUNT when it goes on to fanout. */
static unsigned opened(struct worker *w, struct transport *t, struct rte_mbuf *m,
	struct rx_stream *stream, const struct binding *b)
{
	const uint8_t *buf = rte_pktmbuf_mtod(m, const uint8_t *);
	struct pkt *pkt = pkt_of(m);
	struct producer *p = b->producer;
	uint8_t pt = pkt->rtp.payload_type;
	unsigned verdict;

	if (rtp_strip_padding(buf, rte_pktmbuf_data_len(m), &pkt->rtp) != RTP_OK)
		return DROP_rtp_malformed;
	if (p->clock_rate_hz[pt])
		stream_count(stream, pkt, p->clock_rate_hz[pt]);
	stream->bytes += rte_pktmbuf_data_len(m);
	feedback_received(w, t, p, buf, rte_pktmbuf_data_len(m), pkt);
	if (p->mapped_payload_type[pt] == 0xff || b->rtx != (p->codec[pt] == SFU_CODEC_RTX))
		return DROP_rtp_payload_type;
	pkt->encoding = b->encoding;
	verdict = b->rtx ? recover_rtx(w, t, p, b->encoding, m) : recover_media(w, p, pkt);
	if (verdict != DROP_COUNT)
		return verdict;
	pt = pkt->rtp.payload_type;
	if (p->mapped_payload_type[pt] == 0xff)
		return DROP_rtp_payload_type;
	// Without RTX, browsers probe with padding on the media's SSRC. Such a packet goes on empty:
	// its sequence number belongs to the stream, and a hole would look like a loss.
	pkt->producer = stream->producer;
	pkt->mapped_payload_type = p->mapped_payload_type[pt];
	pkt->start = (uint8_t)start_of(
		p, pkt, buf + pkt->rtp.payload_off, p->codec[pt], &pkt->frame_at);
	return DROP_COUNT;
}

static unsigned rtp_open(struct worker *w, struct transport *t, const struct transport_keys *keys,
	struct rte_mbuf *m)
{
	static const struct srtp_rx_stream nothing_seen;
	uint8_t *buf = rte_pktmbuf_mtod(m, uint8_t *);
	size_t len = rte_pktmbuf_data_len(m);
	struct pkt *pkt = pkt_of(m);
	unsigned room = DROP_COUNT;
	struct rx_stream *stream;
	struct binding b;
	int plain;

	if (rtp_parse(buf, len, &pkt->rtp) != RTP_OK)
		return DROP_rtp_malformed;
	stream = transport_stream_find(t, pkt->rtp.ssrc);
	if (!binding_find(w, t, stream, buf, &pkt->rtp, &b))
		return DROP_srtp_ssrc;
	if (!stream)
		room = transport_stream_room(w->objects, t, pkt->rtp.ssrc);
	if (room != DROP_COUNT)
		return room;
	switch (srtp_rx_check(stream ? &stream->srtp : &nothing_seen, pkt->rtp.seq, &pkt->index)) {
	case SRTP_OK:
		break;
	case SRTP_REPLAY:
		return DROP_srtp_replay;
	default:
		return DROP_srtp_old;
	}
	plain = keys->engine->rtp_open(
		keys->rx, buf, len, pkt->rtp.payload_off, pkt->rtp.ssrc, pkt->index);
	if (plain < 0)
		return plain == SRTP_SHORT || plain == SRTP_UNSUPPORTED ? DROP_rtp_malformed
									: DROP_srtp_auth;
	rte_pktmbuf_trim(m, (uint16_t)(len - (size_t)plain));
	if (!stream)
		stream = transport_stream_add(w->objects, t, pkt->rtp.ssrc);
	srtp_rx_commit(&stream->srtp, pkt->index);
	state_rx_index(stream->saved, stream->srtp.highest);
	binding_commit(t, stream, &b);
	return opened(w, t, m, stream, &b);
}

static unsigned rtcp_open(struct worker *w, struct transport *t, const struct transport_keys *keys,
	struct rte_mbuf *m)
{
	static const struct srtcp_rx_stream nothing_seen;
	uint8_t *buf = rte_pktmbuf_mtod(m, uint8_t *);
	size_t len = rte_pktmbuf_data_len(m);
	unsigned room = DROP_COUNT;
	struct rtcp_source *source;
	struct srtcp_view view;
	int plain;

	switch (srtcp_parse(keys->profile, buf, len, &view)) {
	case SRTP_OK:
		break;
	case SRTP_CLEAR:
		return DROP_srtcp_auth;
	default:
		return DROP_rtp_malformed;
	}
	source = transport_rtcp_find(t, view.ssrc);
	if (!source)
		room = transport_rtcp_room(w, t, view.ssrc);
	if (room != DROP_COUNT)
		return room;
	if (srtcp_rx_check(source ? &source->srtcp : &nothing_seen, view.index) != SRTP_OK)
		return DROP_srtcp_replay;
	plain = keys->engine->rtcp_open(keys->rx, buf, &view);
	if (plain < 0)
		return DROP_srtcp_auth;
	rte_pktmbuf_trim(m, (uint16_t)(len - (size_t)plain));
	if (!source)
		source = transport_rtcp_add(w, t, view.ssrc, view.index);
	transport_rtcp_commit(w, t, source, view.index);
	return DROP_COUNT;
}

/*
 * With thousands of producers nothing of a packet's transport, stream, keys or producer is in the
 * caches. What comes next is fetched step by step, each when the one that points to it is there.
 */
#define AHEAD_TRANSPORT 6u
#define AHEAD_STREAM 4u
#define AHEAD_KEYS 2u
/** Octets at the start of expanded keys: salts, AES round keys and the first powers for the tag. */
#define CTX_PREFETCH 640u

static struct transport *transport_of(struct worker *w, const struct rte_mbuf *m)
{
	return &w->objects->transports[sfu_handle_index(
		pkt_of((struct rte_mbuf *)(uintptr_t)m)->transport)];
}

static bool is_rtcp(const struct rte_mbuf *m)
{
	return demux_is_rtcp(rte_pktmbuf_mtod(m, const uint8_t *)[1]);
}

static void stream_prefetch(const struct transport *t, const struct rte_mbuf *m)
{
	const uint8_t *stream = (const uint8_t *)&t->streams[0];

	if (is_rtcp(m)) {
		rte_prefetch0(&t->rtcp_source_ssrc[0]);
		rte_prefetch0(&t->rtcp_source[0]);
		rte_prefetch0(&t->rtcp_source_count);
		rte_prefetch0(&t->tuples[t->active]);
		rte_prefetch0(atomic_load_explicit(&t->consumers, memory_order_relaxed));
	} else {
		for (unsigned i = 0; i < sizeof(t->streams[0]); i += RTE_CACHE_LINE_SIZE)
			rte_prefetch0(stream + i);
	}
	rte_prefetch0(atomic_load_explicit(&t->keys, memory_order_relaxed));
}

static void keys_prefetch(struct worker *w, struct transport *t, const struct rte_mbuf *m)
{
	const struct transport_keys *keys = atomic_load_explicit(&t->keys, memory_order_acquire);
	uint32_t index = sfu_handle_index(t->streams[0].producer);
	const struct producer *p = &w->objects->producers[index];
	unsigned pt = rte_pktmbuf_mtod(m, const uint8_t *)[1] & 0x7f;

	if (!is_rtcp(m))
		rte_prefetch0(t->streams[0].saved);
	else if (t->saved)
		rte_prefetch0(&t->saved->rtcp[0]);
	for (unsigned i = 0; keys && i < CTX_PREFETCH; i += RTE_CACHE_LINE_SIZE)
		rte_prefetch0((const uint8_t *)keys->rx + i);
	if (is_rtcp(m) || index >= w->objects->limits.producers)
		return;
	rte_prefetch0(p);
	rte_prefetch0(&p->mapped_payload_type[pt]);
	rte_prefetch0(&p->clock_rate_hz[pt]);
	rte_prefetch0(&p->codec[pt]);
	rte_prefetch0(&p->fanout[w->id]);
	rte_prefetch0(&p->bound_ssrc);
	rte_prefetch0(&p->packets);
	rte_prefetch0(&p->recovery[0]);
}

static void ahead(struct worker *w, struct rte_mbuf **m, unsigned i, unsigned n)
{
	if (i + AHEAD_TRANSPORT < n) {
		const struct transport *t = transport_of(w, m[i + AHEAD_TRANSPORT]);

		rte_prefetch0(t);
		rte_prefetch0(&t->tx_header);
		rte_prefetch0(&t->rx_packets);
	}
	if (i + AHEAD_STREAM < n)
		stream_prefetch(transport_of(w, m[i + AHEAD_STREAM]), m[i + AHEAD_STREAM]);
	if (i + AHEAD_KEYS < n)
		keys_prefetch(w, transport_of(w, m[i + AHEAD_KEYS]), m[i + AHEAD_KEYS]);
}

void srtp_open_burst(struct worker *w, struct rte_mbuf **m, unsigned n)
{
	struct rte_mbuf *media[PATH_BURST], *rtcp[PATH_BURST];
	unsigned media_count = 0, rtcp_count = 0;

	for (unsigned i = 0; i < n; i++) {
		struct transport *t = transport_find(w->objects, pkt_of(m[i])->transport);
		const uint8_t *buf = rte_pktmbuf_mtod(m[i], const uint8_t *);
		size_t len = rte_pktmbuf_data_len(m[i]);
		struct transport_keys *keys;
		unsigned verdict;

		ahead(w, m, i, n);
		if (!t) {
			path_drop(w, m[i], DROP_stale_handle);
			continue;
		}
		t->rx_packets++;
		t->rx_bytes += len;
		if (t->closed) {
			path_drop(w, m[i], DROP_transport_closed);
			continue;
		}
		keys = atomic_load_explicit(&t->keys, memory_order_acquire);
		if (!keys) {
			path_drop(w, m[i], DROP_srtp_no_keys);
			continue;
		}
		if (demux_kind(buf, len) == DEMUX_RTP) {
			verdict = rtp_open(w, t, keys, m[i]);
			if (verdict == DROP_COUNT) {
				media[media_count++] = m[i];
				continue;
			}
		} else {
			verdict = rtcp_open(w, t, keys, m[i]);
			if (verdict == DROP_COUNT) {
				rtcp[rtcp_count++] = m[i];
				continue;
			}
		}
		path_drop(w, m[i], (enum drop_reason)verdict);
	}
	if (rtcp_count > 1)
		rtx_ahead(w, rtcp, rtcp_count);
	for (unsigned i = 0; i < rtcp_count; i++)
		rtcp_packet(w, rtcp[i]);
	rtx_give(w);
	if (media_count)
		fanout_burst(w, media, media_count);
}
