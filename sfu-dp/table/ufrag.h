// SPDX-License-Identifier: BSD-3-Clause
/**
 * ufrag -> handle of the transport it was issued for: how the first ICE check of a transport is
 * recognised. Programme writes on the housekeeping thread, workers look up without a lock; a
 * removed entry's place is reused after every worker has been quiescent.
 */
#pragma once

#include <rte_hash.h>
#include <rte_rcu_qsbr.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** NULL when memory is short. qsbr must outlive the table. Start-up only; free with rte_hash_free. */
struct rte_hash *ufrag_table_create(uint32_t transports, struct rte_rcu_qsbr *qsbr);

/** Programme. len <= SFU_UFRAG_BYTES. False when the table is full or the ufrag is there already. */
bool ufrag_add(struct rte_hash *table, const uint8_t *ufrag, size_t len, uint64_t transport);

/** Programme. Unknown is fine. */
void ufrag_remove(struct rte_hash *table, const uint8_t *ufrag, size_t len);

/** Any worker. Handle, or 0 (also for a length that no ufrag of ours has). */
uint64_t ufrag_find(const struct rte_hash *table, const uint8_t *ufrag, size_t len);
