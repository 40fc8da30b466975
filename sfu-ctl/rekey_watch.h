// SPDX-License-Identifier: BSD-3-Clause
/**
 * The rekeys of rooms over time (protocol.md B5): who leads, deadlines, REKEY_REQUIRED and
 * REKEY_ABORT. The rules are rekey.h's; with the policy relay nothing of this is ever sent.
 */
#pragma once

#include <stdint.h>

#include "sfu-ctl/rekey.h"

struct core;
struct peer;
struct room;

/**
 * The member that should do the next rekey: of those that can be reached the one that missed the
 * fewest turns, in join order. NULL when the room is empty.
 */
struct peer *rekey_watch_leader(const struct room *room);

/** Tell the members, and watch the deadline as it is now. */
void rekey_watch_news(struct room *room, enum rekey_news news);

void rekey_watch_joined(struct peer *p);
/** p is no longer in the room's list. */
void rekey_watch_left(struct room *room, struct peer *p);
/** The connection of p is gone, p stays for a while. */
void rekey_watch_lost(struct peer *p);

/** The process stood still for about so long: deadlines are as much later. */
void rekey_watch_stood_still(struct core *c, uint64_t for_us);

/** Deadlines that are due. Returns the next one or 0. */
uint64_t rekey_watch_expire(struct core *c, uint64_t now_us);
