// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/proto/speaker.h"

/** Below -55 dBov nobody speaks. */
#define SPEAKS 72u
/** So much louder one has to be than whoever speaks, in dB, and at so many looks in a row. */
#define LOUDER 6u
#define LOOKS 2u

void speaker_level_update(struct speaker_level *l, uint64_t sum, uint64_t count)
{
	uint64_t now = count > l->count ? (sum - l->sum) / (count - l->count) : 0;

	// Sum and count are not read at one instant.
	now = now > 127 ? 127 : now;
	l->sum = sum;
	l->count = count;
	if (now > l->loudness)
		l->loudness = (uint8_t)(l->loudness + (now - l->loudness + 1) / 2);
	else
		l->loudness = (uint8_t)(l->loudness - (l->loudness - now + 3) / 4);
}

void speaker_look_begin(struct speaker_look *look)
{
	*look = (struct speaker_look){0};
}

void speaker_look_at(struct speaker_look *look, const struct speaker_room *room, uint64_t who,
	const struct speaker_level *level)
{
	if (who == room->active)
		look->active_loudness = level->loudness;
	if (level->loudness < SPEAKS || level->loudness <= look->loudness)
		return;
	look->loudness = level->loudness;
	look->loudest = who;
}

bool speaker_look_end(const struct speaker_look *look, struct speaker_room *room)
{
	bool challenged = look->active_loudness >= SPEAKS;

	if (!look->loudest || look->loudest == room->active
		|| (challenged && look->loudness < look->active_loudness + LOUDER)) {
		room->looks = 0;
		return false;
	}
	if (look->loudest != room->challenger)
		room->looks = 0;
	room->challenger = look->loudest;
	if (challenged && ++room->looks < LOOKS)
		return false;
	room->active = look->loudest;
	room->looks = 0;
	return true;
}
