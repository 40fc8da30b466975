// SPDX-License-Identifier: BSD-3-Clause
/**
 * rtx_send: a packet of the history under a consumer's RTX SSRC (RFC 4588), built, sealed and sent.
 * Those of a burst are sealed together where that is cheaper. Leaves to: tx. The owner of the consumer's
 * transport calls this.
 */
#pragma once

#include "sfu-dp/path/history.h"
#include "sfu-dp/path/path.h"
#include "sfu-dp/path/rewrite.h"
#include "sfu-dp/table/objects.h"

/** A packet whose turn it is to be sent again, and how far it has been looked for. */
struct rtx_answer {
	struct consumer *c;
	const struct transport_keys *keys;
	uint64_t out_index, in_index;
	struct egress_part part; /* of the consumer's stream */
	const uint32_t *place; /* in the history; NULL = before all that is remembered */
	const struct history_entry *entry;
	struct rte_mbuf *m; /* NULL = not kept */
	struct rte_mbuf *out; /* buffer in which it will go; NULL = there was none */
};

/** Sealed together at most: what fills the lanes of an engine (measured.md B). */
#define RTX_BURST 32u

/** Retransmissions under way, each in the buffer in which it will leave. On the caller's stack. */
struct rtx_burst {
	unsigned n;
	const struct srtp_engine *engine;
	struct srtp_seal_job job[RTX_BURST];
	struct consumer *consumer[RTX_BURST];
	struct rte_mbuf *m[RTX_BURST];
	uint8_t hdr[RTX_BURST][REWRITE_HEADER_MAX];
};

/**
 * One more, a kept packet that has a payload type of retransmissions; takes its buffer. Sealed at once
 * when the burst is full or the profile gains nothing from waiting. What does not go out is counted.
 */
void rtx_send(struct worker *w, struct rtx_burst *b, const struct rtx_answer *a);

/** Seal and send what was gathered. */
void rtx_send_flush(struct worker *w, struct rtx_burst *b);

/** The payload type of retransmissions of this one; 0 = there are none. */
static inline uint8_t rtx_payload_type(const struct egress_rtx *x, uint8_t mapped_payload_type)
{
	for (unsigned i = 0; i < SFU_MAX_CODECS; i++) {
		if (x->payload_type[i] && x->repairs[i] == mapped_payload_type)
			return x->payload_type[i];
	}
	return 0;
}
