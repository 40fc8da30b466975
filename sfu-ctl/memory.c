// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/memory.h"

#include "sfu-ctl/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/random.h>

struct entry {
	struct table_node node;
	TAILQ_ENTRY(entry) link;
	char *text;
	size_t kind_len;
	char key[]; /* kind, NUL, id, NUL */
};

struct memory {
	struct table entries;
	TAILQ_HEAD(, entry) order;
	uint8_t hash_key[16];
};

struct memory *memory_create(void)
{
	struct memory *m = calloc(1, sizeof(*m));

	if (m == NULL)
		return NULL;
	// Ids come from clients: they must not choose where they land.
	if (getrandom(m->hash_key, sizeof(m->hash_key), 0) != sizeof(m->hash_key))
		abort();
	table_init(&m->entries, m->hash_key);
	TAILQ_INIT(&m->order);
	return m;
}

static void drop(struct memory *m, struct entry *e)
{
	table_remove(&m->entries, &e->node);
	TAILQ_REMOVE(&m->order, e, link);
	free(e->text);
	free(e);
}

void memory_destroy(struct memory *m)
{
	struct entry *e;

	if (m == NULL)
		return;
	while ((e = TAILQ_FIRST(&m->order)) != NULL)
		drop(m, e);
	table_fini(&m->entries);
	free(m);
}

/* NULL when out of memory. The key is both names with their NULs. */
static struct entry *make(const char *kind, const char *id)
{
	size_t kind_len = strlen(kind) + 1, id_len = strlen(id) + 1;
	struct entry *e = calloc(1, sizeof(*e) + kind_len + id_len);

	if (e == NULL)
		return NULL;
	e->kind_len = kind_len;
	memcpy(e->key, kind, kind_len);
	memcpy(e->key + kind_len, id, id_len);
	return e;
}

static struct entry *find(const struct memory *m, const struct entry *like)
{
	struct table_node *node = table_find(
		&m->entries, like->key, like->kind_len + strlen(like->key + like->kind_len) + 1);

	return node == NULL ? NULL : container_of(node, struct entry, node);
}

static int replace(struct entry *e, const char *text)
{
	char *copy = strdup(text);

	if (copy == NULL)
		return -ENOMEM;
	free(e->text);
	e->text = copy;
	return 0;
}

int memory_put(struct memory *m, const char *kind, const char *id, const char *text)
{
	struct entry *fresh = make(kind, id);
	struct entry *old;
	int status = 0;

	if (fresh == NULL)
		return -ENOMEM;
	old = find(m, fresh);
	if (old != NULL) {
		free(fresh);
		if (text == NULL)
			drop(m, old);
		else
			status = replace(old, text);
		return status;
	}
	if (text == NULL || replace(fresh, text) < 0
		|| table_add(
			   &m->entries, &fresh->node, fresh->key, fresh->kind_len + strlen(id) + 1)
			   < 0) {
		free(fresh->text);
		free(fresh);
		return text == NULL ? 0 : -ENOMEM;
	}
	TAILQ_INSERT_TAIL(&m->order, fresh, link);
	return 0;
}

size_t memory_count(const struct memory *m)
{
	return m->entries.count;
}

const char *memory_find(const struct memory *m, const char *kind, const char *id)
{
	struct entry *like = make(kind, id);
	const struct entry *e = like == NULL ? NULL : find(m, like);

	free(like);
	return e == NULL ? NULL : e->text;
}

void memory_each(const struct memory *m, const char *kind,
	void (*fn)(void *ctx, const char *id, const char *text), void *ctx)
{
	const struct entry *e;

	TAILQ_FOREACH (e, &m->order, link) {
		if (strcmp(e->key, kind) == 0)
			fn(ctx, e->key + e->kind_len, e->text);
	}
}
