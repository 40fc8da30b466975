// SPDX-License-Identifier: BSD-3-Clause
/**
 * srtp_seal: copies for consumers, gathered and sealed in one go, each from the shared plaintext
 * into a buffer of its own. Leaves to: tx.
 */
#pragma once

#include "sfu-dp/path/path.h"
#include "sfu-dp/path/rewrite.h"
#include "sfu-dp/table/objects.h"

/** Copies sealed together: what keeps the engines' wide paths filled (measured.md B). */
#define SEAL_BURST 32u

/** Copies under way. On the caller's stack; the plain packets stay with the caller until flush. */
struct seal_burst {
	unsigned n;
	struct srtp_seal_job job[SEAL_BURST];
	struct consumer *consumer[SEAL_BURST];
	uint8_t hdr[SEAL_BURST][REWRITE_HEADER_MAX];
};

/** Room for the header of the next copy; seal_add() takes it. */
static inline uint8_t *seal_next(struct seal_burst *b)
{
	return b->hdr[b->n];
}

/**
 * One more copy; flushes when full. The consumer's transport has keys and an active tuple, and is
 * this worker's.
 * @param packet   opened packet, unchanged until seal_flush()
 * @param hdr_len  octets of the header in seal_next()
 * @param index    of rewrite_place(): never the same twice for this consumer
 */

void seal_add(struct worker *w, struct seal_burst *b, struct consumer *c,
	const struct transport_keys *keys, const uint8_t *packet, const struct pkt *pkt,
	size_t hdr_len, uint64_t index);

/** Seal and send what was gathered. */
void seal_flush(struct worker *w, struct seal_burst *b);
