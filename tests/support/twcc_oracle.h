// SPDX-License-Identifier: BSD-3-Clause
/**
 * A second reading of transport-wide feedback, as slow and plain as the draft's text (3.1): what our
 * builder and our reader are held against.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TWCC_ORACLE_MAX 65535u

struct twcc_oracle {
	uint32_t count;
	uint16_t base;
	uint8_t feedback_count;
	bool arrived[TWCC_ORACLE_MAX];
	int64_t ticks
		[TWCC_ORACLE_MAX]; /* of those that arrived: since the clock's zero, not wrapped */
};

/**
 * Read a whole RTCP packet.
 * @return false if it is not transport-wide feedback, or not a consistent one
 */
bool twcc_oracle_read(const uint8_t *rtcp, size_t len, struct twcc_oracle *out);
