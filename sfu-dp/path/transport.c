// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/path/transport.h"

#include <string.h>

#include "sfu-dp/port.h"
#include "sfu-dp/state/hot.h"

#define RTCP_MAX 1200u
/** Who sent no RTCP for so long is gone: reports come every five seconds at the latest. */
#define RTCP_GONE_US 30000000u
/** A path that was narrow is tried again after so long (RFC 8201, 4: not before 5 minutes). */
#define MTU_HINT_US 600000000u

struct transport_tuple *transport_tuple_find(struct transport *t, const struct tuple *tuple)
{
	for (unsigned i = 0; i < TRANSPORT_TUPLES; i++) {
		struct transport_tuple *entry = &t->tuples[i];

		if (entry->last_check_us && !memcmp(&entry->tuple, tuple, sizeof(*tuple)))
			return entry;
	}
	return NULL;
}

uint16_t transport_tuple_mtu(const struct worker *w, const struct transport_tuple *entry)
{
	bool hinted = entry->mtu && entry->mtu < w->port->mtu
		      && w->now_us - entry->mtu_us < MTU_HINT_US;

	return hinted ? entry->mtu : w->port->mtu;
}

bool transport_tuple_fits(const struct worker *w, const struct transport_tuple *entry, size_t len)
{
	size_t headers = tuple_is_ip4(&entry->tuple) ? TX_IP4_UDP_BYTES : TX_IP6_UDP_BYTES;

	return headers + len <= transport_tuple_mtu(w, entry);
}

static bool notice_push(struct worker *w, struct transport *t, enum worker_notice_kind kind)
{
	struct worker_notice n = {
		.kind = kind,
		.value = kind == NOTICE_RESTARTED ? t->nominated_round : 0,
		.transport = atomic_load_explicit(&t->handle, memory_order_relaxed),
	};

	return worker_notify(w, &n);
}

void transport_notice(struct worker *w, struct transport *t, enum worker_notice_kind kind)
{
	t->notices_due |= (uint8_t)(1u << kind);
	transport_notices_retry(w, t);
}

void transport_notices_retry(struct worker *w, struct transport *t)
{
	// In the order in which they can have come about.
	for (unsigned kind = NOTICE_CLAIMED; kind <= NOTICE_RESTARTED; kind++) {
		if (!(t->notices_due & 1u << kind))
			continue;
		if (!notice_push(w, t, kind))
			return;
		t->notices_due &= (uint8_t) ~(1u << kind);
	}
}

struct rx_stream *transport_stream_find(struct transport *t, uint32_t ssrc)
{
	for (unsigned i = 0; i < TRANSPORT_STREAMS; i++) {
		if (!t->streams[i].used)
			return NULL;
		if (t->streams[i].ssrc == ssrc)
			return &t->streams[i];
	}
	return NULL;
}

/** Its producer is gone, or feeds on another SSRC now: nothing of it will be taken any more. */
static bool stream_is_over(const struct objects *o, const struct rx_stream *s)
{
	const struct producer *p = producer_find(o, s->producer);

	return !p || (!s->rtx && p->bound_ssrc[s->encoding] != s->ssrc);
}

/** A place for one more: a free one, or that of the stream that is over for longest; or NULL. */
static struct rx_stream *stream_place(const struct objects *o, struct transport *t)
{
	struct rx_stream *oldest = NULL;

	// The used ones come first.
	for (unsigned i = 0; i < TRANSPORT_STREAMS; i++) {
		struct rx_stream *s = &t->streams[i];

		if (!s->used)
			return s;
		if (stream_is_over(o, s) && (!oldest || s->last_us < oldest->last_us))
			oldest = s;
	}
	return t->retired_count < TRANSPORT_RETIRED ? oldest : NULL;
}

static bool is_retired(const struct transport *t, uint32_t ssrc)
{
	for (uint32_t i = 0; i < t->retired_count; i++) {
		if (t->retired_ssrc[i] == ssrc)
			return true;
	}
	return false;
}

/** There is room for it. */
static void retire(struct transport *t, uint32_t ssrc)
{
	// Already there when it sent both RTP and RTCP.
	if (is_retired(t, ssrc))
		return;
	state_retire(t->saved, t->retired_count, ssrc);
	t->retired_ssrc[t->retired_count++] = ssrc;
}

unsigned transport_stream_room(const struct objects *o, struct transport *t, uint32_t ssrc)
{
	if (is_retired(t, ssrc))
		return DROP_srtp_ssrc;
	return stream_place(o, t) ? DROP_COUNT : DROP_srtp_ssrc_limit;
}

struct rx_stream *transport_stream_add(const struct objects *o, struct transport *t, uint32_t ssrc)
{
	struct rx_stream *s = stream_place(o, t);

	RTE_VERIFY(s);
	if (s->used)
		retire(t, s->ssrc);
	memset(s, 0, sizeof(*s));
	s->saved = &t->saved->rx[s - t->streams];
	state_rx_begin(s->saved, ssrc);
	s->ssrc = ssrc;
	s->used = 1;
	return s;
}

struct rtcp_source *transport_rtcp_find(struct transport *t, uint32_t ssrc)
{
	for (uint32_t i = 0; i < t->rtcp_source_count; i++) {
		if (t->rtcp_source_ssrc[i] == ssrc && t->rtcp_source[i].last_us)
			return &t->rtcp_source[i];
	}
	return NULL;
}

/** A place for one more: a free one, or that of who is gone for longest; TRANSPORT_RTCP_SOURCES: none. */
static uint32_t rtcp_place(const struct worker *w, const struct transport *t)
{
	uint32_t oldest = 0;

	if (t->rtcp_source_count < TRANSPORT_RTCP_SOURCES)
		return t->rtcp_source_count;
	for (uint32_t i = 1; i < TRANSPORT_RTCP_SOURCES; i++) {
		if (t->rtcp_source[i].last_us < t->rtcp_source[oldest].last_us)
			oldest = i;
	}
	if (!t->rtcp_source[oldest].last_us)
		return oldest;
	if (w->now_us < t->rtcp_source[oldest].last_us + RTCP_GONE_US
		|| t->retired_count == TRANSPORT_RETIRED)
		return TRANSPORT_RTCP_SOURCES;
	return oldest;
}

unsigned transport_rtcp_room(const struct worker *w, const struct transport *t, uint32_t ssrc)
{
	if (is_retired(t, ssrc))
		return DROP_srtp_ssrc;
	return rtcp_place(w, t) < TRANSPORT_RTCP_SOURCES ? DROP_COUNT : DROP_srtp_ssrc_limit;
}

struct rtcp_source *transport_rtcp_add(
	const struct worker *w, struct transport *t, uint32_t ssrc, uint32_t index)
{
	uint32_t place = rtcp_place(w, t);
	struct rtcp_source *s;

	RTE_VERIFY(place < TRANSPORT_RTCP_SOURCES);
	s = &t->rtcp_source[place];
	if (s->last_us)
		retire(t, t->rtcp_source_ssrc[place]);
	memset(s, 0, sizeof(*s));
	s->last_us = w->now_us;
	t->rtcp_source_ssrc[place] = ssrc;
	if (place == t->rtcp_source_count)
		t->rtcp_source_count++;
	state_rtcp_begin(&t->saved->rtcp[place], ssrc, index);
	return s;
}

void transport_rtcp_commit(
	const struct worker *w, struct transport *t, struct rtcp_source *s, uint32_t index)
{
	s->last_us = w->now_us;
	srtcp_rx_commit(&s->srtcp, index);
	state_rtcp_index(&t->saved->rtcp[s - t->rtcp_source], s->srtcp.highest);
}

struct consumer *transport_consumer_find(struct transport *t, uint32_t ssrc)
{
	const struct consumer_list *l = atomic_load_explicit(&t->consumers, memory_order_acquire);
	uint32_t low = 0, high = l ? l->count : 0;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (l->ssrc[middle] < ssrc)
			low = middle + 1;
		else
			high = middle;
	}
	return l && low < l->count && l->ssrc[low] == ssrc ? l->consumer[low] : NULL;
}

void transport_rtcp_send(struct worker *w, struct transport *t, const uint8_t *rtcp, size_t len)
{
	struct transport_keys *keys = atomic_load_explicit(&t->keys, memory_order_acquire);
	const struct transport_tuple *to = transport_active(t);
	struct rte_mbuf *m;
	uint32_t index;
	int sealed;

	if (!keys || !to || len > RTCP_MAX || srtcp_tx_index(&t->srtcp_tx, &index) != SRTP_OK)
		return;
	state_rtcp_next(t->saved, t->srtcp_tx.next);
	m = rte_pktmbuf_alloc(w->pool);
	if (!m)
		return;
	sealed = keys->engine->rtcp_seal(keys->tx, rtcp, len, index, rte_pktmbuf_mtod(m, uint8_t *),
		rte_pktmbuf_tailroom(m));
	if (sealed < 0) {
		rte_pktmbuf_free(m);
		return;
	}
	rte_pktmbuf_append(m, (uint16_t)sealed);
	tx_encapsulate(w, m, &to->tuple, &to->l2);
	w->count.rtcp_sent++;
	t->tx_packets++;
	t->tx_bytes += (uint64_t)sealed;
	tx_frame(w, m);
}
