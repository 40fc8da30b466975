// SPDX-License-Identifier: BSD-3-Clause
/**
 * How many connections come from where (protocol.md B10). An IPv6 network of 64 bits counts as one
 * place, since a single host may use all of it; an IPv4-mapped address as IPv4.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "sfu-ctl/table.h"

struct address {
	struct table_node node;
	uint32_t connections;
	uint8_t key[16];
};

/**
 * One connection more from this place.
 * @param text  as printed by the system; whatever is no address counts as one place
 * @return NULL when out of memory
 */
struct address *address_add(struct table *t, const char *text);

/** One less. NULL is fine. */
void address_remove(struct table *t, struct address *a);
