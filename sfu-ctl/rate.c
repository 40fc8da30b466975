// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/rate.h"

#include <stdbool.h>

static const struct {
	uint32_t count, seconds;
} limits[RATE_KINDS] = {
#define X(name, count, seconds) [RATE_##name] = {count, seconds},
	RATE_LIST(X)
#undef X
};

/* A bucket of count tokens that fills in window_us, as the time at which it will be full. */
static bool take(uint64_t *full_us, uint64_t count, uint64_t window_us, uint64_t now_us)
{
	uint64_t from = *full_us > now_us ? *full_us : now_us;

	if (from + window_us / count > now_us + window_us)
		return false;
	*full_us = from + window_us / count;
	return true;
}

enum rate_verdict rate_take(
	struct rate *r, enum rate_kind kind, const struct rate_scale *scale, uint64_t now_us)
{
	uint64_t count = limits[kind].count == 0 ? scale->key_messages : limits[kind].count;
	uint64_t window_us = limits[kind].seconds * UINT64_C(1000000);

	count *= scale->factor;
	if (count == 0 || take(&r->full_us[kind], count, window_us, now_us))
		return RATE_FINE;
	// Refused ones have a bucket of their own, so that a short excess is forgiven at once.
	return take(&r->beyond_us[kind], 4 * count, window_us, now_us) ? RATE_LIMITED : RATE_ABUSED;
}
