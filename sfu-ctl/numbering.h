// SPDX-License-Identifier: BSD-3-Clause
/**
 * Where numbers begin that must never go back for a client: the epoch of a new room, the seq of a
 * connection. Pure; times come in: wall time, and the monotonic clock of now_us.
 *
 * fresh (SFU_NUMBERING): epochs from 0, seq from 1, as the first service (protocol.md A6, A2). After a
 * restart, and on another node, both go back.
 *
 * clock: both begin at the microseconds since 2026. No room commits and no connection answers a million
 * times a second, so they fall behind the clock, and whatever a client saw here before a restart, or on
 * another node, is less than what it is given now. Clocks that differ are no harm: the nodes hear of each
 * other's (region_report.h), and everybody counts by the one that is furthest ahead; ours is not set back
 * while we run. An epoch may be committed out of turn up to the clock and no further, else it could not be
 * passed. JSON numbers hold all this exactly for two centuries.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/** 2026-01-01 00:00 UTC, where clock numbers begin. */
#define NUMBERING_ZERO_US UINT64_C(1767225600000000)
/** A clock that is further ahead of our wall time is wrong. */
#define NUMBERING_AHEAD_MAX_US UINT64_C(3600000000)
/** Highest seq that is believed of a client: as much room again is left in a JSON number. */
#define NUMBERING_SEQ_MAX (UINT64_C(1) << 52)

struct numbering {
	bool by_clock;
	uint64_t offset_us; /* from the monotonic clock to the latest clock among the nodes */
	uint64_t epoch_floor; /* no new room starts below; 0 = none */
};

/** What time it is. */
struct numbering_now {
	uint64_t wall_us; /* Unix time */
	uint64_t now_us; /* monotonic */
};

void numbering_init(struct numbering *n, bool by_clock);

/** From now on by the clock; there is no way back, since numbers would go back too. */
void numbering_use_clock(struct numbering *n);

/** The latest clock among the nodes, Unix time; never goes back. */
uint64_t numbering_clock_us(struct numbering *n, struct numbering_now now);

/** Another node's numbering_clock_us(), now. False: not believed. */
bool numbering_heard(struct numbering *n, uint64_t clock_us, struct numbering_now now);

/** Epochs up to this one were used in rooms that are no more: those made from now on begin above. */
void numbering_raise_epoch(struct numbering *n, uint64_t used);

/** The epoch of a new room. */
uint64_t numbering_first_epoch(struct numbering *n, struct numbering_now now);

/** May a room go from one epoch to a higher one? */
bool numbering_allows_epoch(
	struct numbering *n, uint64_t from, double to, struct numbering_now now);

/** The seq that a connection's must be above; 0: any. */
uint64_t numbering_seq(struct numbering *n, struct numbering_now now);

/** Above every seq that was given out before now, by a predecessor that did not leave its own. */
uint64_t numbering_beyond(struct numbering *n, struct numbering_now now);
