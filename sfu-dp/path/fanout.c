// SPDX-License-Identifier: BSD-3-Clause
/**
 * fanout: which consumers get it?
 *
 * The rule between workers: the owner of the producer's transport opens a packet and from then on
 * nobody writes it. Every other worker that has consumers of the producer gets one reference, in
 * the order of arrival; it rewrites and seals for the consumers whose transports it owns, and alone
 * touches their state. Leaves to: rewrite and srtp_seal, other workers, drop.
 */
#include "sfu-dp/path/epoch.h"
#include "sfu-dp/path/feedback.h"
#include "sfu-dp/path/gate.h"
#include "sfu-dp/path/key_frame.h"
#include "sfu-dp/path/path.h"
#include "sfu-dp/path/recover.h"
#include "sfu-dp/path/rewrite.h"
#include "sfu-dp/path/srtp_seal.h"
#include "sfu-dp/path/transport.h"
#include "sfu-dp/port.h"
#include "sfu-dp/worker.h"

/** An encoding without a packet for so long is taken for stopped. */
#define ENCODING_IDLE_US 1000000u

/** A key frame that nothing tells from others may be there so long after it was asked for. */
#define REQUEST_EFFECT_MS 500u

/** So many copies ahead the consumer is fetched, and what it points to: once that is there itself. */
#define PREFETCH_CONSUMER 8u
#define PREFETCH_TRANSPORT 5u
#define PREFETCH_KEYS 2u

/** References for one other worker. */
struct outgoing {
	struct rte_mbuf *m[PATH_BURST];
	unsigned n;
};

/** The highest encoding that flows. */
static void encodings_note(struct worker *w, struct producer *p, unsigned encoding)
{
	unsigned best = encoding;

	p->encoding_us[encoding] = w->now_us;
	for (unsigned e = encoding + 1; e < p->put.encoding_count; e++) {
		if (p->encoding_us[e] && w->now_us - p->encoding_us[e] < ENCODING_IDLE_US)
			best = e;
	}
	atomic_store_explicit(&p->best_encoding, (uint8_t)best, memory_order_relaxed);
}

/** The producer's end of every edge: DROP_COUNT when its packets may go out. */
static unsigned producer_verdict(
	struct worker *w, struct producer *p, struct pkt *pkt, const uint8_t *packet)
{
	uint32_t flags = atomic_load_explicit(&p->flags, memory_order_relaxed);
	unsigned verdict = DROP_COUNT;

	if (flags & SFU_PRODUCER_PAUSED)
		verdict = DROP_producer_paused;
	else if (!gate_open(w, p->peer))
		verdict = DROP_producer_gate;
	else if (p->put.frame_format != SFU_FRAME_OPAQUE)
		verdict = epoch_verdict(w, p, pkt, packet + pkt->rtp.payload_off);
	if (verdict != DROP_COUNT) {
		p->was_shut = 1;
		p->shut_reason = (uint8_t)verdict;
		if (pkt->index > p->shut_index[pkt->encoding])
			p->shut_index[pkt->encoding] = pkt->index;
		recover_forget(p);
		return verdict;
	}
	// Overtaken by what was held back: a stream that began with it would have a hole behind it.
	if (pkt->index < p->shut_index[pkt->encoding])
		return p->shut_reason;
	if (p->was_shut) {
		p->was_shut = 0;
		p->source_change++;
		key_frame_reopen(w, p);
	}
	pkt->source_change = p->source_change;
	p->packets++;
	p->bytes += pkt->rtp.payload_len;
	encodings_note(w, p, pkt->encoding);
	if (pkt->has_audio_level) {
		p->loudness += 127u - (pkt->audio_level & 0x7f);
		p->loudness_packets++;
	}
	key_frame_note(w, p, pkt);
	return DROP_COUNT;
}

static bool has_consumers(struct producer *p, unsigned worker)
{
	const struct consumer_list *l
		= atomic_load_explicit(&p->fanout[worker], memory_order_acquire);

	return l && l->count;
}

static void references_push(struct worker *w, unsigned v, struct outgoing *out)
{
	unsigned taken = 0;

	if (w->to_worker[v])
		taken = rte_ring_sp_enqueue_burst(w->to_worker[v], (void **)out->m, out->n, NULL);
	w->count.fanout_out += taken;
	for (unsigned i = taken; i < out->n; i++) {
		w->count.egress_tried++;
		w->count.edge[EDGE_handoff_full]++;
		rte_pktmbuf_free(out->m[i]);
	}
}

void fanout_burst(struct worker *w, struct rte_mbuf **m, unsigned n)
{
	struct outgoing out[DP_MAX_WORKERS];
	struct rte_mbuf *local[PATH_BURST];
	unsigned local_count = 0;

	for (unsigned v = 0; v < w->workers; v++)
		out[v].n = 0;
	for (unsigned i = 0; i < n; i++) {
		struct pkt *pkt = pkt_of(m[i]);
		struct producer *p = producer_find(w->objects, pkt->producer);
		unsigned verdict
			= p ? producer_verdict(w, p, pkt, rte_pktmbuf_mtod(m[i], const uint8_t *))
			    : DROP_stale_handle;
		uint16_t references = 0;

		if (verdict != DROP_COUNT) {
			path_drop(w, m[i], (enum drop_reason)verdict);
			continue;
		}
		pkt->task = PKT_TASK_FANOUT;
		for (unsigned v = 0; v < w->workers; v++) {
			if (!has_consumers(p, v))
				continue;
			references++;
			if (v == w->id)
				local[local_count++] = m[i];
			else
				out[v].m[out[v].n++] = m[i];
		}
		if (!references) {
			path_drop(w, m[i], DROP_no_consumer);
			continue;
		}
		w->count.forwarded++;
		// All before the first other worker can let go of its own.
		rte_mbuf_refcnt_update(m[i], (int16_t)(references - 1));
	}
	for (unsigned v = 0; v < w->workers; v++) {
		if (out[v].n)
			references_push(w, v, &out[v]);
	}
	if (local_count)
		fanout_local(w, local, local_count);
}

/**
 * Whether a frame that may be a key frame is taken for one. What an encoding begins with is one, if
 * nothing was lost; later ones are once a request can have had its effect. Nothing is lost with an
 * encoding that does not come any more.
 */
static bool starts_in_the_dark(
	const struct worker *w, const struct consumer *c, const struct pkt *pkt)
{
	return pkt->start == PKT_START_FIRST
	       || (pkt->start == PKT_START_UNKNOWN
		       && ((uint32_t)(w->now_us / 1000) - c->switch_asked_ms >= REQUEST_EFFECT_MS
			       || w->now_us - c->last_sent_us >= ENCODING_IDLE_US));
}

/**
 * Whether a receiver may start with this packet of another encoding than the one it gets. A key frame
 * is asked for once, and again with a frame that was taken on trust: the key frame may have gone by.
 */
static bool encoding_starts(
	struct worker *w, struct consumer *c, struct producer *p, const struct pkt *pkt)
{
	if (pkt->start == PKT_START_KEY_FRAME)
		return true;
	if (c->switch_asked != pkt->encoding + 1) {
		c->switch_asked = (uint8_t)(pkt->encoding + 1);
		c->switch_asked_ms = (uint32_t)(w->now_us / 1000);
		producer_want_key_frame(w->objects, p);
	}
	if (!starts_in_the_dark(w, c, pkt))
		return false;
	producer_want_key_frame(w->objects, p);
	return true;
}

/**
 * Whether the consumer takes packets of this encoding now. A change of encoding waits for a packet
 * at which a receiver can start, and what it had goes on until then.
 */
static bool encoding_passes(
	struct worker *w, struct consumer *c, struct producer *p, const struct pkt *pkt)
{
	uint32_t wanted = atomic_load_explicit(&c->encoding, memory_order_relaxed);
	uint32_t target = atomic_load_explicit(&p->best_encoding, memory_order_relaxed);

	if (p->put.encoding_count == 1)
		return true;
	if (wanted < target)
		target = wanted;
	if (!c->started)
		return pkt->encoding == target;
	if (target == c->current_encoding) {
		c->switch_asked = 0;
		return pkt->encoding == target;
	}
	if (pkt->encoding == c->current_encoding)
		return true;
	if (pkt->encoding != target || !encoding_starts(w, c, p, pkt))
		return false;
	c->switch_asked = 0;
	return true;
}

/** A packet on its way to consumers: what is the same for all of them. */
struct copying {
	const uint8_t *packet;
	const struct pkt *pkt;
	struct producer *producer;
	uint32_t clock_rate_hz;
	bool gate_open; /* the producer's end */
	struct rewrite_template header;
};

/** Whether an edge passes this packet: EDGE_COUNT, and then the place is taken. */
static enum edge_reason edge_verdict(struct worker *w, struct consumer *c,
	const struct copying *copying, const struct transport_keys *keys,
	struct rewrite_place *place)
{
	const struct pkt *pkt = copying->pkt;
	struct producer *p = copying->producer;
	bool starts;
	enum edge_reason reason;

	if (!copying->gate_open || !gate_open(w, c->peer)) {
		c->resync = 1;
		return EDGE_gate;
	}
	if (atomic_load_explicit(&c->flags, memory_order_relaxed) & SFU_CONSUMER_PAUSED) {
		c->resync = 1;
		return EDGE_paused;
	}
	if (!keys || !transport_active(c->transport)) {
		c->resync = 1;
		return EDGE_not_connected;
	}
	if (!consumer_takes(c, pkt->mapped_payload_type))
		return EDGE_payload_type;
	if (!encoding_passes(w, c, p, pkt))
		return EDGE_encoding;
	starts = !c->started || c->resync;
	reason = rewrite_place(c, pkt, copying->clock_rate_hz, w->now_us,
		c->started ? 0 : worker_random(w), place);
	if (reason == EDGE_COUNT && starts && pkt->start != PKT_START_KEY_FRAME)
		producer_want_key_frame(w->objects, p);
	return reason;
}

static void edge(
	struct worker *w, struct seal_burst *b, struct consumer *c, struct copying *copying)
{
	const struct transport_keys *keys
		= atomic_load_explicit(&c->transport->keys, memory_order_acquire);
	const struct pkt *pkt = copying->pkt;
	struct rewrite_place place;
	enum edge_reason reason;
	size_t hdr_len;

	w->count.egress_tried++;
	reason = edge_verdict(w, c, copying, keys, &place);
	if (reason == EDGE_COUNT) {
		hdr_len = rewrite_header_like(
			&copying->header, c, copying->packet, pkt, &place, w->now_us, seal_next(b));
		if (hdr_len
			&& transport_fits(w, c->transport,
				hdr_len + pkt->rtp.payload_len + keys->profile->tag_len)) {
			// Only now that it goes out: a number that is not sent counts as lost.
			if (copying->header.twcc_off)
				feedback_stamp(c->transport,
					seal_next(b) + copying->header.twcc_off, w->now_us,
					hdr_len + pkt->rtp.payload_len);
			seal_add(w, b, c, keys, copying->packet, pkt, hdr_len, place.index);
			return;
		}
		reason = EDGE_too_long;
	}
	edge_count(w, c, reason);
}

/** What the copy for a consumer will touch: first the consumer, a little later what it points to. */
static void consumer_prefetch(const struct consumer *c)
{
	rte_prefetch0(c);
	rte_prefetch0(&c->offset);
	rte_prefetch0(&c->packets);
}

static void transport_prefetch(const struct consumer *c)
{
	rte_prefetch0(c->transport);
	rte_prefetch0(&c->transport->tx_header);
	rte_prefetch0(c->peer);
	rte_prefetch0(c->saved);
}

static void keys_prefetch(const struct consumer *c)
{
	const struct transport *t = c->transport;

	rte_prefetch0(atomic_load_explicit(&t->keys, memory_order_relaxed));
	// Where the packet will be noted as sent.
	rte_prefetch0(&t->twcc.sent.packet[t->twcc_seq % TWCC_WINDOW]);
}

/** All copies of this worker; whether one of them may have to be sent again. */
static bool copies(struct worker *w, struct seal_burst *b, struct copying *copying)
{
	const struct consumer_list *l
		= atomic_load_explicit(&copying->producer->fanout[w->id], memory_order_acquire);
	uint32_t count = l ? l->count : 0;

	for (uint32_t k = 0; k < PREFETCH_CONSUMER && k < count; k++)
		consumer_prefetch(l->consumer[k]);
	for (uint32_t k = 0; k < count; k++) {
		if (k + PREFETCH_CONSUMER < count)
			consumer_prefetch(l->consumer[k + PREFETCH_CONSUMER]);
		if (k + PREFETCH_TRANSPORT < count)
			transport_prefetch(l->consumer[k + PREFETCH_TRANSPORT]);
		if (k + PREFETCH_KEYS < count)
			keys_prefetch(l->consumer[k + PREFETCH_KEYS]);
		edge(w, b, l->consumer[k], copying);
	}
	return l && l->repairable;
}

/* What another worker has written lies in its caches. */

static void context_prefetch(struct rte_mbuf *m)
{
	const uint8_t *pkt = (const uint8_t *)pkt_of(m);

	rte_prefetch0(m);
	for (unsigned i = 0; i < sizeof(struct pkt); i += RTE_CACHE_LINE_SIZE)
		rte_prefetch0(pkt + i);
}

static void packet_prefetch(const struct rte_mbuf *m)
{
	const uint8_t *packet = rte_pktmbuf_mtod(m, const uint8_t *);

	for (unsigned i = 0; i < rte_pktmbuf_data_len(m); i += RTE_CACHE_LINE_SIZE)
		rte_prefetch0(packet + i);
}

void fanout_local(struct worker *w, struct rte_mbuf **m, unsigned n)
{
	bool keep[PATH_BURST] = {false};
	struct copying copying;
	struct seal_burst b;

	b.n = 0;
	for (unsigned i = 0; i < n && w->workers > 1; i++)
		context_prefetch(m[i]);
	for (unsigned i = 0; i < n; i++) {
		const struct pkt *pkt = pkt_of(m[i]);
		struct producer *p = producer_find(w->objects, pkt->producer);

		if (w->workers > 1 && i + 1 < n)
			packet_prefetch(m[i + 1]);
		if (!p)
			continue;
		copying.packet = rte_pktmbuf_mtod(m[i], const uint8_t *);
		copying.pkt = pkt;
		copying.producer = p;
		copying.clock_rate_hz = p->clock_rate_hz[pkt->rtp.payload_type];
		copying.gate_open = gate_open(w, p->peer);
		copying.header.len = 0;
		keep[i] = copies(w, &b, &copying);
	}
	seal_flush(w, &b);
	for (unsigned i = 0; i < n; i++) {
		if (!keep[i])
			continue;
		history_keep(&w->repair.history, m[i], w->now_us);
		m[i] = NULL;
	}
	rte_pktmbuf_free_bulk(m, n);
}
