// SPDX-License-Identifier: BSD-3-Clause
/**
 * Readiness and key epochs of a room: state and event in, new state out. Pure; no key comes here.
 *
 * Two locks (protocol.md A7, design.md 7). Signalling: a member may ask for media while it is ready
 * for the room's epoch. Packets: a member's end of every edge is open while
 * now < open_until_us; the data plane compares with its own clock, so a deadline needs no timer here.
 *
 *   event                        ready        open_until_us
 *   joins                        no           0
 *   E2EE_READY for the epoch     yes          UINT64_MAX
 *   new epoch, by itself         no *         UINT64_MAX (it made the key)
 *   the epoch again, by itself   as it was *  UINT64_MAX (it made the same key)
 *   new epoch, by another        no           UINT64_MAX becomes now + grace; all else stays
 *
 * * yes with SFU_COMMITTER_READY. Where E2EE is not required: always ready and UINT64_MAX.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/** Largest epoch: what JSON numbers hold exactly. */
#define E2EE_EPOCH_MAX ((UINT64_C(1) << 53) - 1)

#define E2EE_OPEN UINT64_MAX

struct e2ee_room {
	bool required;
	uint64_t epoch; /* 0..E2EE_EPOCH_MAX, never goes back */
};

struct e2ee_member {
	bool ready; /* for the room's present epoch */
	uint64_t open_until_us; /* monotonic; 0 = shut, E2EE_OPEN = ready, else the grace's end */
};

enum e2ee_verdict {
	E2EE_COMMIT_NEW, /* the epoch rises */
	E2EE_COMMIT_SAME, /* a second committer of the present epoch */
	E2EE_COMMIT_REFUSED, /* lower, no integer, or too large */
};

/** @param epoch  the first one */
void e2ee_room_init(struct e2ee_room *r, bool required, uint64_t epoch);

/** A member that has just joined, or joined again. */
void e2ee_member_init(const struct e2ee_room *r, struct e2ee_member *m);

/** May this member ask for media? */
bool e2ee_gate_open(const struct e2ee_room *r, const struct e2ee_member *m);

/** E2EE_READY: false, and no change, when the epoch is not the room's. */
bool e2ee_member_ready(const struct e2ee_room *r, struct e2ee_member *m, double epoch);

/** What a REKEY_COMMIT with this number would do. Changes nothing. */
enum e2ee_verdict e2ee_judge(const struct e2ee_room *r, double epoch);

/** How a commit is carried out. */
struct e2ee_commit {
	enum e2ee_verdict verdict; /* NEW or SAME */
	bool committer_ready; /* SFU_COMMITTER_READY */
	uint64_t now_us;
	uint64_t grace_us;
};

/** First the room (E2EE_COMMIT_NEW only), then each of its members. */
void e2ee_room_commit(struct e2ee_room *r, double epoch);
void e2ee_member_commit(const struct e2ee_room *r, struct e2ee_member *m, bool is_committer,
	const struct e2ee_commit *commit);
