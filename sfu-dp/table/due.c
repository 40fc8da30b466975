// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/table/due.h"

#include <stdlib.h>

struct due_entry {
	uint64_t handle;
	uint64_t at_us;
};

struct due_list {
	uint32_t capacity;
	uint32_t first, count;
	struct due_entry entry[];
};

struct due_list *due_list_create(uint32_t capacity)
{
	struct due_list *l = calloc(1, sizeof(*l) + capacity * sizeof(l->entry[0]));

	if (l)
		l->capacity = capacity;
	return l;
}

void due_list_destroy(struct due_list *l)
{
	free(l);
}

bool due_list_push(struct due_list *l, uint64_t handle, uint64_t at_us)
{
	uint32_t place;

	if (l->count == l->capacity)
		return false;
	place = (uint32_t)(((uint64_t)l->first + l->count) % l->capacity);
	l->entry[place] = (struct due_entry){handle, at_us};
	l->count++;
	return true;
}

uint64_t due_list_pop(struct due_list *l, uint64_t now_us)
{
	uint64_t handle;

	if (!l->count || l->entry[l->first].at_us > now_us)
		return 0;
	handle = l->entry[l->first].handle;
	l->first = l->first + 1 == l->capacity ? 0 : l->first + 1;
	l->count--;
	return handle;
}
