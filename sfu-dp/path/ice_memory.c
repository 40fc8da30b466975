// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/path/ice_memory.h"

#include <string.h>

#include "sfu-dp/proto/stun.h"
#include "sfu-dp/state/hot.h"
#include "sfu-dp/state/region.h"

/*
 * 32 bits of the transaction above 16 of the source, which only tell a retransmission from a replay:
 * neither has an effect. Collisions matter by chance alone, and cost one check: nobody without the
 * password adds an entry.
 */
#define SOURCE_BITS 16
#define SOURCE_MASK ((1u << SOURCE_BITS) - 1)

// Of the library's hashes none is promised to be the same for the next process.

static uint32_t transaction_of(const uint8_t *txid)
{
	uint64_t words[2] = {0};

	memcpy(words, txid, STUN_TXID_LEN);
	return (uint32_t)state_sum(words, sizeof(words));
}

static uint32_t source_of(const struct tuple *tuple)
{
	return (uint32_t)state_sum(tuple, sizeof(*tuple)) & SOURCE_MASK;
}

enum ice_memory ice_memory_find(
	const struct transport *t, const uint8_t *txid, const struct tuple *tuple)
{
	uint32_t transaction = transaction_of(txid);

	for (unsigned i = 0; i < STATE_CHECKS; i++) {
		uint64_t word = __atomic_load_n(&t->saved->checks[i], __ATOMIC_RELAXED);

		if (word && state_value(word) >> SOURCE_BITS == transaction)
			return (word & SOURCE_MASK) == source_of(tuple) ? ICE_CHECK_AGAIN
									: ICE_CHECK_REPLAYED;
	}
	return ICE_CHECK_NEW;
}

void ice_memory_add(struct transport *t, const uint8_t *txid, const struct tuple *tuple)
{
	state_heeded(t->saved, (uint64_t)transaction_of(txid) << SOURCE_BITS | source_of(tuple));
}
