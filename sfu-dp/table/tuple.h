// SPDX-License-Identifier: BSD-3-Clause
/**
 * One worker's flows: which transport a 5-tuple belongs to. An entry is made by an authenticated
 * ICE check and by nothing else, and goes when no check refreshed it for TUPLE_EXPIRE_US. The
 * worker that receives a flow has its entry, whoever owns the transport.
 *
 * No locks: one worker writes and reads. Nothing is allocated after create.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "sfu-dp/path/path.h"

/** Entries one transport can have with one worker: nobody fills the table alone. */
#define TUPLE_PER_TRANSPORT 8u
#define TUPLE_EXPIRE_US 30000000u

struct tuple_table;

/** Room for transports * 4 entries; worker names it. NULL when memory is short. Start-up only. */
struct tuple_table *tuple_table_create(unsigned worker, uint32_t transports);
void tuple_table_destroy(struct tuple_table *t);

/** Look up n <= PATH_BURST tuples: handles of their transports, 0 = unknown. */
void tuple_table_find(const struct tuple_table *t, const struct tuple *const *tuples, unsigned n,
	uint64_t *transports);

/**
 * Remember or refresh a flow; one that belonged to another transport changes over.
 * @return false when the transport has its TUPLE_PER_TRANSPORT, or the table is full
 */
bool tuple_table_add(
	struct tuple_table *t, const struct tuple *tuple, uint64_t transport, uint64_t now_us);

/** Forget a flow; unknown is fine. */
void tuple_table_remove(struct tuple_table *t, const struct tuple *tuple);

/** Look at the next few entries and forget what expired. Cheap, for every now and then. */
void tuple_table_sweep(struct tuple_table *t, uint64_t now_us, unsigned entries);

/** Flows known, for inspection and tests. */
uint32_t tuple_table_count(const struct tuple_table *t);
