// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/seq_memory.h"

#include <stdlib.h>
#include <string.h>

void seq_memory_init(struct seq_memory *m, const uint8_t *hash_key)
{
	table_init(&m->by_device, hash_key);
	TAILQ_INIT(&m->idle);
	m->idle_count = 0;
}

static void idle_remove(struct seq_memory *m, struct seq_entry *e)
{
	TAILQ_REMOVE(&m->idle, e, idle_link);
	m->idle_count--;
}

static void forget_oldest(struct seq_memory *m)
{
	struct seq_entry *e = TAILQ_FIRST(&m->idle);

	idle_remove(m, e);
	table_remove(&m->by_device, &e->node);
	free(e);
}

static void forget_expired(struct seq_memory *m, uint64_t now_us)
{
	while (m->idle_count > 0 && TAILQ_FIRST(&m->idle)->idle_until_us <= now_us)
		forget_oldest(m);
}

void seq_memory_fini(struct seq_memory *m)
{
	while (m->idle_count > 0)
		forget_oldest(m);
	table_fini(&m->by_device);
}

static struct seq_entry *find(const struct seq_memory *m, const char *device_id)
{
	struct table_node *node = table_find(&m->by_device, device_id, strlen(device_id));

	return node == NULL ? NULL : container_of(node, struct seq_entry, node);
}

uint64_t seq_memory_last(struct seq_memory *m, const char *device_id, uint64_t now_us)
{
	struct seq_entry *e;

	forget_expired(m, now_us);
	e = find(m, device_id);
	return e == NULL ? 0 : e->last;
}

struct seq_entry *seq_memory_bind(struct seq_memory *m, const char *device_id, uint64_t now_us)
{
	size_t len = strlen(device_id);
	struct seq_entry *e;

	forget_expired(m, now_us);
	e = find(m, device_id);
	if (e != NULL) {
		if (e->users++ == 0)
			idle_remove(m, e);
		return e;
	}
	e = calloc(1, sizeof(*e) + len + 1);
	if (e == NULL)
		return NULL;
	memcpy(e->device_id, device_id, len + 1);
	e->users = 1;
	if (table_add(&m->by_device, &e->node, e->device_id, len) < 0) {
		free(e);
		return NULL;
	}
	return e;
}

void seq_memory_release(struct seq_memory *m, struct seq_entry *e, uint64_t now_us)
{
	if (e == NULL || --e->users > 0)
		return;
	e->idle_until_us = now_us + SEQ_MEMORY_KEEP_US;
	TAILQ_INSERT_TAIL(&m->idle, e, idle_link);
	if (++m->idle_count > SEQ_MEMORY_IDLE)
		forget_oldest(m);
}
