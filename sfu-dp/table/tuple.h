// SPDX-License-Identifier: BSD-3-Clause
/**
 * One worker's flows: which transport a 5-tuple belongs to. An entry is made by an authenticated
 * ICE check and by nothing else, and goes when no check refreshed it for the time of consent. The
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
/** One that was not checked for so long gives way when its transport has all it may. */
#define TUPLE_STALE_US 5000000u
/**
 * A flow that was checked within that time is its transport's, whoever else claims it. The slowest
 * clients check every six seconds (RFC 7675, 5.1), and a check may be lost.
 */
#define TUPLE_HELD_US 15000000u

struct tuple_table;

/** Room for transports * 4 entries; worker names it. NULL when memory is short. Start-up only. */
struct tuple_table *tuple_table_create(unsigned worker, uint32_t transports);
void tuple_table_destroy(struct tuple_table *t);

/** Look up n <= PATH_BURST tuples: handles of their transports, 0 = unknown. */
void tuple_table_find(const struct tuple_table *t, const struct tuple *const *tuples, unsigned n,
	uint64_t *transports);

/** Whose flow it is and has been for the last TUPLE_HELD_US: a handle, 0 = free to be taken. */
uint64_t tuple_table_holder(
	const struct tuple_table *t, const struct tuple *tuple, uint64_t now_us);

/**
 * Remember or refresh a flow; one that belonged to another transport changes over.
 * @return false when the transport has its TUPLE_PER_TRANSPORT, or the table is full
 */
bool tuple_table_add(
	struct tuple_table *t, const struct tuple *tuple, uint64_t transport, uint64_t now_us);

/** Forget a flow of this transport; one that is another's by now stays, unknown is fine. */
void tuple_table_remove(struct tuple_table *t, const struct tuple *tuple, uint64_t transport);

/** Look at the next few entries; forget what was not refreshed for expire_us. For every now and then. */
void tuple_table_sweep(
	struct tuple_table *t, uint64_t now_us, uint64_t expire_us, unsigned entries);

/** Flows known, for inspection and tests. */
uint32_t tuple_table_count(const struct tuple_table *t);
