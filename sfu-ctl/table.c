// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/table.h"

#include "sfu-ctl/proto/envelope.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BUCKETS 8u

void table_init(struct table *t, const uint8_t *hash_key)
{
	memset(t, 0, sizeof(*t));
	t->hash_key = hash_key;
}

void table_fini(struct table *t)
{
	free(t->buckets);
	t->buckets = NULL;
	t->bucket_count = 0;
	t->count = 0;
}

static struct table_node **bucket_of(const struct table *t, uint64_t hash)
{
	return &t->buckets[hash & (t->bucket_count - 1)];
}

static struct table_node *find(const struct table *t, uint64_t hash, const void *key, size_t len)
{
	struct table_node *node;

	if (t->bucket_count == 0)
		return NULL;
	for (node = *bucket_of(t, hash); node != NULL; node = node->next) {
		if (node->hash == hash && node->key_len == len && memcmp(node->key, key, len) == 0)
			return node;
	}
	return NULL;
}

static int grow(struct table *t)
{
	uint32_t old_count = t->bucket_count;
	struct table_node **old = t->buckets;
	uint32_t count = old_count == 0 ? FIRST_BUCKETS : old_count * 2;
	struct table_node **buckets = calloc(count, sizeof(struct table_node *));

	if (buckets == NULL)
		return -ENOMEM;
	t->buckets = buckets;
	t->bucket_count = count;
	for (uint32_t i = 0; i < old_count; i++) {
		struct table_node *node = old[i];

		while (node != NULL) {
			struct table_node *next = node->next;
			struct table_node **bucket = bucket_of(t, node->hash);

			node->next = *bucket;
			*bucket = node;
			node = next;
		}
	}
	free(old);
	return 0;
}

int table_add(struct table *t, struct table_node *node, const void *key, size_t key_len)
{
	uint64_t hash = env_siphash(t->hash_key, key, key_len);
	struct table_node **bucket;

	if (find(t, hash, key, key_len) != NULL)
		return -EEXIST;
	// A failed growth is bearable once there are buckets: chains get longer.
	if (t->count >= t->bucket_count && grow(t) < 0 && t->bucket_count == 0)
		return -ENOMEM;
	node->key = key;
	node->key_len = key_len;
	node->hash = hash;
	bucket = bucket_of(t, hash);
	node->next = *bucket;
	*bucket = node;
	t->count++;
	return 0;
}

struct table_node *table_find(const struct table *t, const void *key, size_t key_len)
{
	if (t->count == 0)
		return NULL;
	return find(t, env_siphash(t->hash_key, key, key_len), key, key_len);
}

void table_remove(struct table *t, struct table_node *node)
{
	struct table_node **at = bucket_of(t, node->hash);

	while (*at != node) {
		assert(*at != NULL);
		at = &(*at)->next;
	}
	*at = node->next;
	node->next = NULL;
	t->count--;
}
