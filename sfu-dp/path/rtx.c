// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/path/rtx.h"

#include <rte_prefetch.h>

#include "sfu-dp/path/gate.h"
#include "sfu-dp/path/rtx_send.h"
#include "sfu-dp/path/transport.h"
#include "sfu-dp/worker.h"

/** How often consumers with answers waiting are looked at. */
#define LOOK_US 1000u
#define LOOKS_PER_TURN 64u
/** About what header, tag and original number add to a payload; for the share only. */
#define OVERHEAD_BYTES 44u
/**
 * A packet that we do not have is taken for one that we are asking for ourselves if so many places
 * before and behind it there are packets that we do have, the one behind not older than AWAITED_US.
 */
#define AWAITED_LOOK 16u
#define AWAITED_US 500000u
/** So many answers ahead the packet is fetched. */
#define PREFETCH_PACKET 2u
/** Octets at the start of expanded keys that every packet reads: salts and AES round keys. */
#define CTX_PREFETCH 320u

/** Whether packets may flow to the consumer now; then its keys. */
static struct transport_keys *may_flow(struct worker *w, struct consumer *c)
{
	if (!gate_open(w, c->peer) || !gate_open(w, c->producer->peer)
		|| (atomic_load_explicit(&c->flags, memory_order_relaxed) & SFU_CONSUMER_PAUSED)
		|| !transport_active(c->transport))
		return NULL;
	return atomic_load_explicit(&c->transport->keys, memory_order_acquire);
}

/** Where in the consumer's stream a packet stood: false when it is before all that is remembered. */
static bool part_find(const struct consumer *c, uint64_t out_index, struct egress_part *out)
{
	const struct egress_rtx *x = c->rtx;

	*out = (struct egress_part){
		.first_out_index = c->start_in_index + c->offset,
		.offset = c->offset,
		.timestamp_offset = c->timestamp_offset,
		.source_ssrc = c->source_ssrc,
		.encoding = c->current_encoding,
	};
	for (uint32_t k = 0; k <= EGRESS_PARTS; k++) {
		if (out_index >= out->first_out_index)
			return true;
		if (k >= x->part_count || k == EGRESS_PARTS)
			break;
		*out = x->part[(x->part_count - 1 - k) % EGRESS_PARTS];
	}
	return false;
}

static void key_frame_instead(struct worker *w, struct consumer *c)
{
	struct egress_rtx *x = c->rtx;

	producer_want_key_frame(w->objects, c->producer);
	x->key_frames++;
	x->gone_asked = 1;
	x->gone_index = c->highest_out_index;
}

/** Nobody has it any more. One request serves all that were missing when it was made. */
static void is_gone(struct worker *w, struct consumer *c, uint64_t out_index)
{
	struct egress_rtx *x = c->rtx;

	x->gone++;
	if (!x->gone_asked || out_index > x->gone_index)
		key_frame_instead(w, c);
}

/** The packet of a part with this index, if it is still kept. */
static struct rte_mbuf *kept(
	struct worker *w, const struct consumer *c, const struct egress_part *part, uint64_t index)
{
	return history_find(
		&w->repair.history, c->producer_handle, part->encoding, part->source_ssrc, index);
}

/**
 * The hole is the producer's, and young: what fills it will come on the stream itself. With nothing
 * kept before it, it is no hole, but past.
 */
static bool is_awaited(
	struct worker *w, const struct consumer *c, const struct egress_part *part, uint64_t index)
{
	struct rte_mbuf *before = NULL, *behind = NULL;

	for (unsigned k = 1; k <= AWAITED_LOOK && !before; k++)
		before = kept(w, c, part, index - k);
	for (unsigned k = 1; k <= AWAITED_LOOK && before && !behind; k++)
		behind = kept(w, c, part, index + k);
	return behind && w->now_us - pkt_of(behind)->rx_us < AWAITED_US;
}

/** One packet whose turn it is: sent, or not, with its buffer. */
static void answer_one(struct worker *w, struct rtx_burst *b, struct rtx_answer *a)
{
	struct egress_rtx *x = a->c->rtx;
	const struct pkt *pkt;

	if (a->place && !a->m && is_awaited(w, a->c, &a->part, a->in_index)) {
		x->awaited++;
		return;
	}
	if (!a->m || !rtx_payload_type(x, pkt_of(a->m)->mapped_payload_type)) {
		is_gone(w, a->c, a->out_index);
		return;
	}
	pkt = pkt_of(a->m);
	if (!resend_spend(
		    &x->resend, a->c->bytes, pkt->rtp.payload_len + OVERHEAD_BYTES, w->now_us)) {
		x->over++;
		return;
	}
	rtx_send(w, b, a);
	a->out = NULL;
}

/** Octets that a packet gets longer by being sent. */
#define GROWTH 64u

/** The packet, and a buffer for it that nobody has touched for as long. */
static void packet_prefetch(struct worker *w, struct rtx_answer *a)
{
	const uint8_t *packet, *out;

	a->out = NULL;
	if (!a->m)
		return;
	packet = rte_pktmbuf_mtod(a->m, const uint8_t *);
	for (unsigned i = 0; i < rte_pktmbuf_data_len(a->m); i += RTE_CACHE_LINE_SIZE)
		rte_prefetch0(packet + i);
	a->out = rte_pktmbuf_alloc(w->pool);
	if (!a->out)
		return;
	out = rte_pktmbuf_mtod(a->out, const uint8_t *);
	for (unsigned i = 0; i < rte_pktmbuf_data_len(a->m) + GROWTH; i += RTE_CACHE_LINE_SIZE)
		rte_prefetch0(out + i);
}

/** Step by step for all: nobody has touched these packets for a round trip. */
static void find_all(struct worker *w, struct rtx_answers *all)
{
	const struct history *h = &w->repair.history;

	for (unsigned i = 0; i < all->n; i++) {
		struct rtx_answer *a = &all->answer[i];

		a->entry = a->place ? history_entry(h, a->place) : NULL;
		rte_prefetch0(a->entry);
	}
	for (unsigned i = 0; i < all->n; i++) {
		if (all->answer[i].entry)
			history_fetch(all->answer[i].entry->m);
	}
	for (unsigned i = 0; i < all->n; i++) {
		struct rtx_answer *a = &all->answer[i];

		a->m = a->entry ? kept(w, a->c, &a->part, a->in_index) : NULL;
	}
}

void rtx_give(struct worker *w)
{
	struct rtx_answers *all = &w->repair.answers;
	struct rtx_burst b;

	if (!all->n)
		return;
	b.n = 0;
	find_all(w, all);
	for (unsigned i = 0; i < PREFETCH_PACKET && i < all->n; i++)
		packet_prefetch(w, &all->answer[i]);
	for (unsigned i = 0; i < all->n; i++) {
		if (i + PREFETCH_PACKET < all->n)
			packet_prefetch(w, &all->answer[i + PREFETCH_PACKET]);
		answer_one(w, &b, &all->answer[i]);
		rte_pktmbuf_free(all->answer[i].out);
	}
	rtx_send_flush(w, &b);
	all->n = 0;
}

/** What sending to the consumer will touch. */
static void sending_prefetch(const struct consumer *c, const struct transport_keys *keys)
{
	const struct transport *t = c->transport;

	rte_prefetch0(&t->tx_header);
	rte_prefetch0(&t->twcc.sent.packet[t->twcc_seq % TWCC_WINDOW]);
	for (unsigned i = 0; i < CTX_PREFETCH; i += RTE_CACHE_LINE_SIZE)
		rte_prefetch0((const uint8_t *)keys->tx + i);
}

/** Note what may be answered now; whether answers are still waiting for their turn. */
static bool answer(struct worker *w, struct consumer *c)
{
	struct rtx_answers *all = &w->repair.answers;
	struct transport_keys *keys = may_flow(w, c);
	struct egress_rtx *x = c->rtx;
	uint64_t index;

	if (!keys)
		resend_forget(&x->resend);
	while (resend_next(&x->resend, w->now_us, &index)) {
		struct rtx_answer *a;

		if (all->n == RTX_ANSWERS)
			rtx_give(w);
		a = &all->answer[all->n++];
		a->c = c;
		a->keys = keys;
		a->out_index = index;
		a->place = NULL;
		if (!part_find(c, index, &a->part))
			continue;
		a->in_index = index - a->part.offset;
		a->place = history_place(
			&w->repair.history, c->producer_handle, a->part.encoding, a->in_index);
		rte_prefetch0(a->place);
		sending_prefetch(c, keys);
	}
	return x->resend.waiting_count;
}

/** One sequence number that the client says it misses. */
static void missed(struct worker *w, struct consumer *c, uint16_t seq)
{
	struct egress_rtx *x = c->rtx;
	uint16_t behind = (uint16_t)((uint16_t)c->highest_out_index - seq);

	x->asked++;
	// Ahead of what was sent, or before the start: it cannot be missed.
	if (behind > 0x7fff || behind > c->highest_out_index)
		return;
	switch (resend_ask(
		&x->resend, c->highest_out_index - behind, c->report_rtt_us, w->now_us)) {
	case RESEND_NOTED:
		break;
	case RESEND_DUPLICATE:
		x->duplicates++;
		break;
	case RESEND_FULL:
		x->over++;
		break;
	}
}

/** The numbers of a NACK, as far as work is granted. */
static void numbers(struct worker *w, struct consumer *c, const struct rtcp_feedback *fb)
{
	struct egress_rtx *x = c->rtx;
	struct rtcp_nack entry;
	unsigned i;

	for (i = 0; rtcp_nack(fb, i, &entry); i++) {
		uint32_t count = 1 + (uint32_t)__builtin_popcount(entry.blp);

		if (resend_admit(&x->resend, count, w->now_us) < count)
			break;
		missed(w, c, entry.pid);
		for (unsigned bit = 0; bit < 16; bit++) {
			if (entry.blp >> bit & 1)
				missed(w, c, (uint16_t)(entry.pid + 1 + bit));
		}
	}
	// Apart from what every NACK touches.
	if (i < fb->fci_len / 4u)
		x->ignored += fb->fci_len / 4u - i;
}

void rtx_nack(struct worker *w, struct transport *t, const struct rtcp_feedback *fb)
{
	struct consumer *c = transport_consumer_find(t, fb->media_ssrc);
	struct egress_rtx *x;

	if (!c || !c->started || !may_flow(w, c))
		return;
	x = c->rtx;
	if (!x) {
		producer_want_key_frame(w->objects, c->producer);
		return;
	}
	x->nacks++;
	numbers(w, c, fb);
	if (answer(w, c) && !x->answering)
		x->answering = watch_add(&w->repair.answering,
			atomic_load_explicit(&c->handle, memory_order_relaxed));
}

static bool look(struct worker *w, uint64_t handle)
{
	struct consumer *c = consumer_find(w->objects, handle);

	if (!c)
		return false;
	c->rtx->answering = answer(w, c);
	return c->rtx->answering;
}

void rtx_timers(struct worker *w)
{
	watch_turn(&w->repair.answering, w, w->now_us, LOOK_US, LOOKS_PER_TURN, look);
	rtx_give(w);
}
