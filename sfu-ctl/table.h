// SPDX-License-Identifier: BSD-3-Clause
/**
 * Hash tables of the control core: intrusive, chained, keyed so that clients cannot choose where
 * their ids land. A node sits in the struct it finds; the key's bytes belong to that struct too.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define container_of(pointer, type, member)                                                        \
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))

struct table_node {
	struct table_node *next;
	const void *key;
	size_t key_len;
	uint64_t hash;
};

struct table {
	struct table_node **buckets; /* NULL until the first add */
	uint32_t bucket_count; /* power of two, at least count once there are buckets */
	uint32_t count;
	const uint8_t *hash_key; /* ENV_KEY_BYTES octets */
};

/** @param hash_key  16 random octets that outlive the table */
void table_init(struct table *t, const uint8_t *hash_key);
/** Frees the buckets; the nodes are their owners'. */
void table_fini(struct table *t);

/**
 * @param key  must stay as it is while the node is in the table
 * @return 0, -EEXIST or -ENOMEM
 */
int table_add(struct table *t, struct table_node *node, const void *key, size_t key_len);
struct table_node *table_find(const struct table *t, const void *key, size_t key_len);
/** The node must be in the table. */
void table_remove(struct table *t, struct table_node *node);
