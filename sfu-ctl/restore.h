// SPDX-License-Identifier: BSD-3-Clause
/**
 * A core begins where its predecessor ended: rooms, members, gates and media objects as remember.c
 * told them. All members are parked, as if their connections had been lost at once: those that
 * announced resume come back by their token, others by ROOM_JOIN, and until then their media goes on.
 */
#pragma once

struct core;
struct memory;

struct restored {
	unsigned rooms, sessions, peers, transports, producers, consumers;
	unsigned refused; /* entries that made no sense, or hung on such */
};

/**
 * Fresh core, nothing connected; after media_restore(). What media holds and nobody claims is swept.
 */
void core_restore(struct core *c, const struct memory *memory, struct restored *out);

/** Tell all that is to be remembered. */
void core_remember_all(const struct core *c);
