// SPDX-License-Identifier: BSD-3-Clause
/**
 * What several stages do with a transport that this worker owns. The owner's thread only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sfu-dp/path/path.h"
#include "sfu-dp/path/tx_header.h"
#include "sfu-dp/table/objects.h"
#include "sfu-dp/worker.h"

/** The validated tuple that equals this one, or NULL. */
struct transport_tuple *transport_tuple_find(struct transport *t, const struct tuple *tuple);

/** Where to send to: the nominated tuple, or the first validated; NULL when closed or none. */
static inline const struct transport_tuple *transport_active(const struct transport *t);

/** Octets that an IP packet to there may have. */
uint16_t transport_tuple_mtu(const struct worker *w, const struct transport_tuple *entry);

/** Whether the path to there takes a UDP payload of len octets. */
bool transport_tuple_fits(const struct worker *w, const struct transport_tuple *entry, size_t len);

/** The header in front of what is sent there; NULL when closed or none. */
static inline const struct tx_header *transport_tx_header(struct worker *w, struct transport *t);

/** The same for the path in use; false when closed or none. */
static inline bool transport_fits(struct worker *w, struct transport *t, size_t len);

/** Note that housekeeping has to be told, and tell it as far as the ring has room. */
void transport_notice(struct worker *w, struct transport *t, enum worker_notice_kind kind);

/** Tell housekeeping what it has not been told yet. */
void transport_notices_retry(struct worker *w, struct transport *t);

/** The stream of an SSRC that sends RTP, or NULL. */
struct rx_stream *transport_stream_find(struct transport *t, uint32_t ssrc);

/**
 * Whether a stream may be added for an SSRC that has none: DROP_COUNT, or why not. Nothing changes;
 * for before authentication.
 */
unsigned transport_stream_room(const struct objects *o, struct transport *t, uint32_t ssrc);

/** A new stream. After authentication, and only where transport_stream_room() said yes. */
struct rx_stream *transport_stream_add(const struct objects *o, struct transport *t, uint32_t ssrc);

/** The same three for an SSRC that sends RTCP, which begins with this SRTCP index. */
struct rtcp_source *transport_rtcp_find(struct transport *t, uint32_t ssrc);
unsigned transport_rtcp_room(const struct worker *w, const struct transport *t, uint32_t ssrc);
struct rtcp_source *transport_rtcp_add(
	const struct worker *w, struct transport *t, uint32_t ssrc, uint32_t index);

/** An index that srtcp_rx_check() passed was authentic. */
void transport_rtcp_commit(
	const struct worker *w, struct transport *t, struct rtcp_source *s, uint32_t index);

/** The consumer of this transport that has this SSRC, or NULL. */
struct consumer *transport_consumer_find(struct transport *t, uint32_t ssrc);

/**
 * Seal a plain RTCP compound and send it on the active tuple; nothing happens when the transport
 * cannot send. len <= 1200.
 */
void transport_rtcp_send(struct worker *w, struct transport *t, const uint8_t *rtcp, size_t len);

/** classify.c: a received packet for the worker that owns its transport. Takes m. */
void classify_hand_over(struct worker *w, unsigned owner, struct rte_mbuf *m);

/* Inline bodies */

static inline const struct transport_tuple *transport_active(const struct transport *t)
{
	return t->closed || !t->validated ? NULL : &t->tuples[t->active];
}

static inline const struct tx_header *transport_tx_header(struct worker *w, struct transport *t)
{
	const struct transport_tuple *to = transport_active(t);

	if (!to)
		return NULL;
	if (!t->tx_header.frame_len)
		tx_header_make(&t->tx_header, &to->tuple, &to->l2, transport_tuple_mtu(w, to));
	return &t->tx_header;
}

static inline bool transport_fits(struct worker *w, struct transport *t, size_t len)
{
	const struct tx_header *h = transport_tx_header(w, t);

	return h && h->ip_len + len <= h->mtu;
}
