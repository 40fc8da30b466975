// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdbool.h>
#include <stdint.h>

/**
 * @file
 * Who speaks in a room, by the levels in RTP headers (RFC 6464) alone: the loudest who is louder than
 * silence, kept until another has clearly been louder for a while or it falls silent. Looked at every
 * SPEAKER_LOOK_US. Pure; one owner at a time.
 *
 * Loudness is 127 less the level's -dBov: 0 is silence, 127 the loudest there is.
 */

#define SPEAKER_LOOK_US 250000u

/** One who may speak. All zero: silent so far. */
struct speaker_level {
	uint64_t sum, count; // of loudness and packets, as read the last time
	uint8_t loudness; // smoothed: up fast, down slowly
};

/**
 * Take what was counted since the last look.
 * @param sum, count  loudness of all packets and their number, both only ever grow; no packet (DTX,
 *                    mute) is silence
 */
void speaker_level_update(struct speaker_level *l, uint64_t sum, uint64_t count);

/** One room. All zero: nobody has spoken. */
struct speaker_room {
	uint64_t active; // 0 = nobody yet
	uint64_t challenger; // who was louder than the active one at the last look
	uint8_t looks; // for so many looks
};

/** One look at a room: begin, each who may speak, end. */
struct speaker_look {
	uint64_t loudest;
	uint8_t loudness;
	uint8_t active_loudness; // of the active one; 0 also when it has gone
};

void speaker_look_begin(struct speaker_look *look);
void speaker_look_at(struct speaker_look *look, const struct speaker_room *room, uint64_t who,
	const struct speaker_level *level);

/** True when another speaks now: room->active. */
bool speaker_look_end(const struct speaker_look *look, struct speaker_room *room);
