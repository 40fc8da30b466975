// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

/* As IPv6, IPv4 mapped. All zero and false when it is no address. */
static bool parse(const char *text, uint8_t out[16])
{
	struct in_addr four;

	memset(out, 0, 16);
	if (inet_pton(AF_INET6, text, out) == 1)
		return true;
	if (inet_pton(AF_INET, text, &four) != 1)
		return false;
	out[10] = 0xff;
	out[11] = 0xff;
	memcpy(out + 12, &four, 4);
	return true;
}

static void place_of(const char *text, uint8_t key[16])
{
	struct in6_addr six;

	parse(text, key);
	memcpy(&six, key, 16);
	if (!IN6_IS_ADDR_V4MAPPED(&six))
		memset(key + 8, 0, 8);
}

struct address *address_add(struct table *t, const char *text)
{
	struct table_node *node;
	struct address *a;
	uint8_t key[16];

	place_of(text, key);
	node = table_find(t, key, sizeof(key));
	if (node != NULL) {
		a = container_of(node, struct address, node);
		a->connections++;
		return a;
	}
	a = calloc(1, sizeof(*a));
	if (a == NULL)
		return NULL;
	memcpy(a->key, key, sizeof(key));
	a->connections = 1;
	if (table_add(t, &a->node, a->key, sizeof(a->key)) < 0) {
		free(a);
		return NULL;
	}
	return a;
}

void address_remove(struct table *t, struct address *a)
{
	if (a == NULL || --a->connections > 0)
		return;
	table_remove(t, &a->node);
	free(a);
}
