// SPDX-License-Identifier: BSD-3-Clause
/**
 * Objects that have something to do by the clock: handles, looked at once per step, so that only they
 * are touched. An object that went is met as a handle that finds nothing, and leaves the list then.
 * The worker's own.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

struct watch_list {
	uint64_t *handle;
	uint32_t count, room;
	uint32_t cursor; /* where the present look is; 0 = none is under way */
	uint64_t look_us; /* when the next one begins */
};

struct worker;

/** Look at one object; whether it stays in the list. */
typedef bool (*watch_fn)(struct worker *w, uint64_t handle);

/** Room for so many; whether there is memory. Start-up only. */
static inline bool watch_create(struct watch_list *d, uint32_t room)
{
	*d = (struct watch_list){.handle = calloc(room, sizeof(*d->handle)), .room = room};
	return d->handle;
}

static inline void watch_destroy(struct watch_list *d)
{
	free(d->handle);
	*d = (struct watch_list){0};
}

/** Once per object: the caller remembers that it is in. False when full; it is to try again. */
static inline bool watch_add(struct watch_list *d, uint64_t handle)
{
	if (d->count == d->room)
		return false;
	d->handle[d->count++] = handle;
	return true;
}

/** Begin a look every step_us and go on with it, per_turn objects at a time. */
static inline void watch_turn(struct watch_list *d, struct worker *w, uint64_t now_us,
	uint64_t step_us, unsigned per_turn, watch_fn look)
{
	if (!d->count || now_us < d->look_us)
		return;
	while (per_turn-- && d->cursor < d->count) {
		if (look(w, d->handle[d->cursor]))
			d->cursor++;
		else
			d->handle[d->cursor] = d->handle[--d->count];
	}
	if (d->cursor < d->count)
		return;
	d->cursor = 0;
	d->look_us = now_us + step_us;
}
