// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/tally.h"

uint64_t tally_join_bound_us(unsigned bucket)
{
	static const uint64_t bounds[TALLY_JOIN_BUCKETS] = {
#define X(us) us,
		TALLY_JOIN_LIST(X)
#undef X
			UINT64_MAX};

	return bounds[bucket];
}

void tally_join(struct tally *tally, uint64_t took_us)
{
	unsigned bucket = 0;

	while (took_us > tally_join_bound_us(bucket))
		bucket++;
	tally->joins[bucket]++;
	tally->join_us += took_us;
}
