// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/programme/ssrc.h"

#include <stdlib.h>
#include <string.h>

#include "sfu-dp/programme/impl.h"
#include "sfu-dp/state/hot.h"

static uint32_t ssrc_place(const struct transport *t, uint32_t ssrc)
{
	uint32_t low = 0, high = t->ssrc_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (t->ssrcs[middle] < ssrc)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool ssrc_used(const struct programme *p, const struct transport *t, uint32_t ssrc)
{
	uint32_t at = ssrc_place(t, ssrc);

	if (at < t->ssrc_count && t->ssrcs[at] == ssrc)
		return true;
	// One of the state was there before those that are over now.
	return !p->from_state && state_ssrc_is_over(t->saved, ssrc);
}

bool ssrc_reserve(struct transport *t, uint32_t more)
{
	uint32_t room = t->ssrc_room ? t->ssrc_room * 2 : 16;
	uint32_t *grown;

	if (t->ssrc_count + more <= t->ssrc_room)
		return true;
	grown = realloc(t->ssrcs, room * sizeof(*grown));
	if (!grown)
		return false;
	t->ssrcs = grown;
	t->ssrc_room = room;
	return true;
}

void ssrc_remember(struct transport *t, uint32_t ssrc)
{
	uint32_t at;

	if (!ssrc)
		return;
	at = ssrc_place(t, ssrc);
	memmove(&t->ssrcs[at + 1], &t->ssrcs[at], (t->ssrc_count - at) * sizeof(t->ssrcs[0]));
	t->ssrcs[at] = ssrc;
	t->ssrc_count++;
}

void ssrc_retire(struct programme *p, struct transport *t, uint32_t ssrc)
{
	uint32_t at = ssrc_place(t, ssrc);

	if (!ssrc)
		return;
	memmove(&t->ssrcs[at], &t->ssrcs[at + 1], (t->ssrc_count - at - 1) * sizeof(t->ssrcs[0]));
	t->ssrc_count--;
	// With the transport it goes anyway; and the state may be another process's by now.
	if (p->state && atomic_load_explicit(&t->handle, memory_order_relaxed))
		state_ssrc_over(t->saved, ssrc);
}
