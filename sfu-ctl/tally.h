// SPDX-License-Identifier: BSD-3-Clause
/** What the core has done so far, counted for metrics. Pure; owned and written by the core alone. */
#pragma once

#include <stdint.h>

#include "sfu-ctl/fault.h"
#include "sfu-ctl/migrate.h"

/** Upper bounds of the buckets of join times, in microseconds; one more bucket is above the last. */
#define TALLY_JOIN_LIST(X)                                                                         \
	X(1000)                                                                                    \
	X(2500)                                                                                    \
	X(5000)                                                                                    \
	X(10000)                                                                                   \
	X(25000)                                                                                   \
	X(50000)                                                                                   \
	X(100000)                                                                                  \
	X(250000)                                                                                  \
	X(500000)                                                                                  \
	X(1000000)                                                                                 \
	X(2500000)

enum {
#define X(us) TALLY_JOIN_##us,
	TALLY_JOIN_LIST(X)
#undef X
		TALLY_JOIN_LAST,
	TALLY_JOIN_BUCKETS
};

enum tally_rekey { TALLY_COMMITTED, TALLY_TIMEOUT, TALLY_LEADER_LOST, TALLY_REKEYS };

struct tally {
	uint64_t acks[FAULT_COUNT]; /* sent, repeated ones too; FAULT_NONE: ok */
	uint64_t rekeys[TALLY_REKEYS]; /* epochs begun, and rekeys that came to nothing */
	uint64_t joins[TALLY_JOIN_BUCKETS]; /* ROOM_JOINs that were accepted, by their time */
	uint64_t join_us; /* of all of them */
	uint64_t moves[MIGRATE_REASONS]; /* times that a room was asked to go, by reason */
};

/** A ROOM_JOIN took so long from its arrival to its ACK. */
void tally_join(struct tally *tally, uint64_t took_us);

/** In microseconds; UINT64_MAX for the last bucket. */
uint64_t tally_join_bound_us(unsigned bucket);
