// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/path/rtx_ahead.h"

#include <rte_byteorder.h>

#include "sfu-dp/path/transport.h"
#include "sfu-dp/proto/rtcp.h"
#include "sfu-dp/worker.h"

/** Octets of a NACK up to the end of its first entry. */
#define NACK_LEAST 16u
/** Octets of a consumer that a NACK touches. */
#define CONSUMER_AHEAD (offsetof(struct consumer, ext_map) + RTE_CACHE_LINE_SIZE)
/** Octets of a list of SSRCs that are fetched: of longer ones the search touches few. */
#define SSRCS_AHEAD 256u

/** A NACK on its way; what is not known yet is NULL. */
struct nacked {
	struct transport *t;
	uint32_t ssrc;
	uint16_t seq;
	const struct consumer *c;
};

static void prefetch(const void *p, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i += RTE_CACHE_LINE_SIZE)
		rte_prefetch0((const uint8_t *)p + i);
}

/** The first packet of a compound, when it is a NACK, and of it the first entry: a guess like all here. */
static bool is_nack(struct worker *w, struct rte_mbuf *m, struct nacked *out)
{
	const uint8_t *rtcp = rte_pktmbuf_mtod(m, const uint8_t *);
	rte_be32_t ssrc;
	rte_be16_t seq;

	if (rte_pktmbuf_data_len(m) < NACK_LEAST || rtcp[1] != RTCP_RTPFB
		|| (rtcp[0] & 0x1f) != RTCP_RTPFB_NACK)
		return false;
	memcpy(&ssrc, rtcp + 8, sizeof(ssrc));
	memcpy(&seq, rtcp + 12, sizeof(seq));
	*out = (struct nacked){
		.t = transport_find(w->objects, pkt_of(m)->transport),
		.ssrc = rte_be_to_cpu_32(ssrc),
		.seq = rte_be_to_cpu_16(seq),
	};
	return out->t;
}

static void ssrcs_ahead(const struct consumer_list *l)
{
	if (l)
		prefetch(l->ssrc, RTE_MIN(l->count * sizeof(l->ssrc[0]), SSRCS_AHEAD));
}

static void consumer_ahead(struct nacked *n)
{
	n->c = transport_consumer_find(n->t, n->ssrc);
	if (n->c)
		prefetch(n->c, CONSUMER_AHEAD);
}

/** What the consumer points to. */
static void stream_ahead(const struct nacked *n)
{
	const struct consumer *c = n->c;
	uint64_t index;

	if (!c || !c->rtx)
		return;
	index = c->highest_out_index - (uint16_t)((uint16_t)c->highest_out_index - n->seq);
	rte_prefetch0(c->peer);
	rte_prefetch0(c->producer);
	rte_prefetch0(c->saved);
	prefetch(c->rtx, offsetof(struct egress_rtx, resend.waiting[1]));
	rte_prefetch0(&c->rtx->resend.memory[index % RESEND_REMEMBERED]);
}

static void sender_ahead(const struct nacked *n)
{
	if (n->c)
		rte_prefetch0(n->c->producer->peer);
}

void rtx_ahead(struct worker *w, struct rte_mbuf **m, unsigned n)
{
	struct nacked nacked[PATH_BURST];
	unsigned count = 0;

	for (unsigned i = 0; i < n; i++) {
		if (is_nack(w, m[i], &nacked[count]))
			count++;
	}
	for (unsigned i = 0; i < count; i++)
		ssrcs_ahead(atomic_load_explicit(&nacked[i].t->consumers, memory_order_acquire));
	for (unsigned i = 0; i < count; i++)
		consumer_ahead(&nacked[i]);
	for (unsigned i = 0; i < count; i++)
		stream_ahead(&nacked[i]);
	for (unsigned i = 0; i < count; i++)
		sender_ahead(&nacked[i]);
}
