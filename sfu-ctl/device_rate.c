// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/device_rate.h"

#include <stdlib.h>
#include <string.h>

/* Ids have at most 128 octets (C28), users come from the auth server or from a token. */
#define KEY_BYTES 1024u

void device_rates_init(struct device_rates *d, const uint8_t *hash_key)
{
	table_init(&d->by_key, hash_key);
	TAILQ_INIT(&d->windows);
}

static void forget(struct device_rates *d, struct device_rate *rate)
{
	TAILQ_REMOVE(&d->windows, rate, link);
	table_remove(&d->by_key, &rate->node);
	free(rate);
}

void device_rates_fini(struct device_rates *d)
{
	struct device_rate *rate;

	while ((rate = TAILQ_FIRST(&d->windows)) != NULL)
		forget(d, rate);
	table_fini(&d->by_key);
}

static void make_room(struct device_rates *d, uint64_t now_us)
{
	struct device_rate *oldest;

	while ((oldest = TAILQ_FIRST(&d->windows)) != NULL) {
		if (oldest->start_us + DEVICE_RATE_WINDOW_US > now_us
			&& d->by_key.count < DEVICE_RATE_MAX)
			return;
		forget(d, oldest);
	}
}

static struct device_rate *start(
	struct device_rates *d, const char *key, size_t len, uint64_t now_us)
{
	struct device_rate *rate = calloc(1, sizeof(*rate) + len);

	if (rate == NULL)
		return NULL;
	memcpy(rate->key, key, len);
	rate->start_us = now_us;
	if (table_add(&d->by_key, &rate->node, rate->key, len) < 0) {
		free(rate);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&d->windows, rate, link);
	return rate;
}

bool device_rate_allows(struct device_rates *d, uint32_t limit, const char *user_id,
	const char *device_id, uint64_t now_us)
{
	size_t user_len = strnlen(user_id, KEY_BYTES / 2 - 1);
	size_t device_len = strnlen(device_id, KEY_BYTES / 2 - 1);
	struct device_rate *rate;
	struct table_node *node;
	char key[KEY_BYTES];

	if (limit == 0)
		return true;
	memcpy(key, user_id, user_len);
	key[user_len] = '\0';
	memcpy(key + user_len + 1, device_id, device_len);
	make_room(d, now_us);
	node = table_find(&d->by_key, key, user_len + 1 + device_len);
	rate = node == NULL ? start(d, key, user_len + 1 + device_len, now_us)
			    : container_of(node, struct device_rate, node);
	if (rate == NULL || rate->count >= limit)
		return false;
	rate->count++;
	return true;
}
