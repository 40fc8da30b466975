// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/auth_cache.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define BUCKETS 1024u

struct entry {
	TAILQ_ENTRY(entry) by_age; /* oldest start of check first */
	LIST_ENTRY(entry) in_bucket;
	uint64_t started_us;
	uint8_t key[AUTH_KEY_BYTES];
	char user[AUTH_USER_BYTES + 1];
};

TAILQ_HEAD(entry_list, entry);

struct auth_cache {
	struct entry_list by_age;
	LIST_HEAD(, entry) bucket[BUCKETS];
	size_t count;
};

struct auth_cache *auth_cache_create(void)
{
	struct auth_cache *cache = calloc(1, sizeof(*cache));

	if (cache != NULL)
		TAILQ_INIT(&cache->by_age);
	return cache;
}

static void entry_remove(struct auth_cache *cache, struct entry *entry)
{
	TAILQ_REMOVE(&cache->by_age, entry, by_age);
	LIST_REMOVE(entry, in_bucket);
	cache->count--;
	free(entry);
}

void auth_cache_destroy(struct auth_cache *cache)
{
	if (cache == NULL)
		return;
	while (!TAILQ_EMPTY(&cache->by_age))
		entry_remove(cache, TAILQ_FIRST(&cache->by_age));
	free(cache);
}

int auth_cache_key(const void *token, size_t len, uint8_t key[AUTH_KEY_BYTES])
{
	return EVP_Digest(token, len, key, NULL, EVP_sha256(), NULL) == 1 ? 0 : -EIO;
}

/** The key is a SHA-256 of a secret: its first octets are as good as any hash of it. */
static unsigned bucket_of(const uint8_t key[AUTH_KEY_BYTES])
{
	return ((unsigned)key[0] << 8 | key[1]) % BUCKETS;
}

static struct entry *entry_find(const struct auth_cache *cache, const uint8_t key[AUTH_KEY_BYTES])
{
	struct entry *entry;

	LIST_FOREACH(entry, &cache->bucket[bucket_of(key)], in_bucket)
	{
		if (memcmp(entry->key, key, AUTH_KEY_BYTES) == 0)
			return entry;
	}
	return NULL;
}

const char *auth_cache_find(
	const struct auth_cache *cache, const uint8_t key[AUTH_KEY_BYTES], uint64_t now_us)
{
	const struct entry *entry = entry_find(cache, key);

	if (entry == NULL || now_us >= entry->started_us + AUTH_CACHE_LIFE_US)
		return NULL;
	return entry->user;
}

int auth_cache_add(struct auth_cache *cache, const uint8_t key[AUTH_KEY_BYTES], const char *user,
	uint64_t started_us)
{
	struct entry *entry, *older;

	if (strlen(user) > AUTH_USER_BYTES)
		return -EINVAL;
	entry = calloc(1, sizeof(*entry));
	if (entry == NULL)
		return -ENOMEM;
	older = entry_find(cache, key);
	if (older != NULL)
		entry_remove(cache, older);

	memcpy(entry->key, key, AUTH_KEY_BYTES);
	strcpy(entry->user, user);
	entry->started_us = started_us;
	LIST_INSERT_HEAD(&cache->bucket[bucket_of(key)], entry, in_bucket);
	// Answers come nearly in the order of their questions: a few steps at most.
	older = TAILQ_LAST(&cache->by_age, entry_list);
	while (older != NULL && older->started_us > started_us)
		older = TAILQ_PREV(older, entry_list, by_age);
	if (older != NULL)
		TAILQ_INSERT_AFTER(&cache->by_age, older, entry, by_age);
	else
		TAILQ_INSERT_HEAD(&cache->by_age, entry, by_age);
	cache->count++;

	if (cache->count > AUTH_CACHE_MAX) {
		for (unsigned i = 0; i < AUTH_CACHE_DROP; i++)
			entry_remove(cache, TAILQ_FIRST(&cache->by_age));
	}
	return 0;
}

uint64_t auth_cache_expire(struct auth_cache *cache, uint64_t now_us)
{
	struct entry *oldest;

	while ((oldest = TAILQ_FIRST(&cache->by_age)) != NULL) {
		if (oldest->started_us + AUTH_CACHE_LIFE_US > now_us)
			return oldest->started_us + AUTH_CACHE_LIFE_US;
		entry_remove(cache, oldest);
	}
	return UINT64_MAX;
}

size_t auth_cache_count(const struct auth_cache *cache)
{
	return cache->count;
}
