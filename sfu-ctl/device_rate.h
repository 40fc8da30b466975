// SPDX-License-Identifier: BSD-3-Clause
/**
 * How often each device did something in the last minute (protocol.md B5): fixed windows of 60 s per
 * user and device, so that a new connection starts none. At most DEVICE_RATE_MAX devices are
 * remembered, oldest window dropped first.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "sfu-ctl/table.h"

#define DEVICE_RATE_MAX 200000u
#define DEVICE_RATE_WINDOW_US UINT64_C(60000000)

struct device_rate {
	struct table_node node;
	TAILQ_ENTRY(device_rate) link; /* oldest window first */
	uint64_t start_us;
	uint32_t count;
	char key[]; /* user, NUL, device */
};

struct device_rates {
	struct table by_key;
	TAILQ_HEAD(, device_rate) windows;
};

void device_rates_init(struct device_rates *d, const uint8_t *hash_key);
void device_rates_fini(struct device_rates *d);

/**
 * Once more. False when it is too often; then it is not counted.
 * @param limit  per window, as it is now; 0: any number, which is not counted either
 */
bool device_rate_allows(struct device_rates *d, uint32_t limit, const char *user_id,
	const char *device_id, uint64_t now_us);
