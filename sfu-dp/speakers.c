// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/speakers.h"

/** One member's producers of sound. */
static void member_look(struct speaker_look *look, struct room *room, struct peer *peer)
{
	struct transport *t;
	struct producer *p;

	LIST_FOREACH(t, &peer->list, of_peer)
	LIST_FOREACH(p, &t->producer_head, of_transport)
	{
		if (p->put.kind != SFU_AUDIO)
			continue;
		speaker_level_update(&p->speaker, __atomic_load_n(&p->loudness, __ATOMIC_RELAXED),
			__atomic_load_n(&p->loudness_packets, __ATOMIC_RELAXED));
		speaker_look_at(look, &room->speaker,
			atomic_load_explicit(&p->handle, memory_order_relaxed), &p->speaker);
	}
}

void speakers_look(struct objects *o, speakers_changed_fn changed, void *ctx)
{
	for (uint32_t i = 0; i < o->limits.rooms; i++) {
		struct room *room = &o->rooms[i];
		struct speaker_look look;
		struct producer *active;
		struct peer *peer;

		if (!room->handle)
			continue;
		speaker_look_begin(&look);
		LIST_FOREACH(peer, &room->members, of_room)
		member_look(&look, room, peer);
		if (!speaker_look_end(&look, &room->speaker))
			continue;
		active = producer_find(o, room->speaker.active);
		if (active)
			changed(ctx, room->handle, room->speaker.active, active->put.transport,
				look.loudness);
	}
}
