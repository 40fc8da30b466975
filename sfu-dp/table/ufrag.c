// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/table/ufrag.h"

#include <rte_jhash.h>
#include <rte_random.h>
#include <string.h>

#include "shared/command.h"

#define ENTRIES_LEAST 64u

struct ufrag_key {
	uint32_t len;
	uint8_t bytes[SFU_UFRAG_BYTES];
};

_Static_assert(sizeof(struct ufrag_key) == 36, "no padding in a hash key");
_Static_assert(sizeof(void *) == sizeof(uint64_t), "handles are kept as data pointers");

struct rte_hash *ufrag_table_create(uint32_t transports, struct rte_rcu_qsbr *qsbr)
{
	struct rte_hash_parameters p = {
		.name = "ufrags",
		// Two each during an ICE restart, and removed entries wait for the workers.
		.entries = transports < ENTRIES_LEAST ? 4 * ENTRIES_LEAST : 4 * transports,
		.key_len = sizeof(struct ufrag_key),
		.hash_func = rte_jhash,
		.hash_func_init_val = (uint32_t)rte_rand(),
		.socket_id = SOCKET_ID_ANY,
		.extra_flag = RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF,
	};
	struct rte_hash_rcu_config rcu = {.v = qsbr, .mode = RTE_HASH_QSBR_MODE_DQ};
	struct rte_hash *table = rte_hash_create(&p);

	if (table && rte_hash_rcu_qsbr_add(table, &rcu)) {
		rte_hash_free(table);
		return NULL;
	}
	return table;
}

static bool key_make(struct ufrag_key *key, const uint8_t *ufrag, size_t len)
{
	if (!len || len > sizeof(key->bytes))
		return false;
	memset(key, 0, sizeof(*key));
	key->len = (uint32_t)len;
	memcpy(key->bytes, ufrag, len);
	return true;
}

bool ufrag_add(struct rte_hash *table, const uint8_t *ufrag, size_t len, uint64_t transport)
{
	struct ufrag_key key;

	if (!key_make(&key, ufrag, len) || rte_hash_lookup(table, &key) >= 0)
		return false;
	return rte_hash_add_key_data(table, &key, (void *)(uintptr_t)transport) == 0;
}

void ufrag_remove(struct rte_hash *table, const uint8_t *ufrag, size_t len)
{
	struct ufrag_key key;

	if (key_make(&key, ufrag, len))
		rte_hash_del_key(table, &key);
}

uint64_t ufrag_find(const struct rte_hash *table, const uint8_t *ufrag, size_t len)
{
	struct ufrag_key key;
	void *data;

	if (!key_make(&key, ufrag, len) || rte_hash_lookup_data(table, &key, &data) < 0)
		return 0;
	return (uint64_t)(uintptr_t)data;
}
