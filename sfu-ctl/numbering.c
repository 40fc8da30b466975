// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/numbering.h"

void numbering_init(struct numbering *n, bool by_clock)
{
	*n = (struct numbering){.by_clock = by_clock};
}

void numbering_use_clock(struct numbering *n)
{
	n->by_clock = true;
}

uint64_t numbering_clock_us(struct numbering *n, struct numbering_now now)
{
	// Wall time may be set back; then the monotonic clock goes on from where it was.
	if (now.wall_us > now.now_us + n->offset_us)
		n->offset_us = now.wall_us - now.now_us;
	return now.now_us + n->offset_us;
}

bool numbering_heard(struct numbering *n, uint64_t clock_us, struct numbering_now now)
{
	if (clock_us <= numbering_clock_us(n, now))
		return true;
	if (clock_us > now.wall_us + NUMBERING_AHEAD_MAX_US)
		return false;
	n->offset_us = clock_us - now.now_us;
	return true;
}

void numbering_raise_epoch(struct numbering *n, uint64_t used)
{
	if (n->epoch_floor <= used)
		n->epoch_floor = used + 1;
}

uint64_t numbering_beyond(struct numbering *n, struct numbering_now now)
{
	uint64_t clock_us = numbering_clock_us(n, now);

	return clock_us > NUMBERING_ZERO_US ? clock_us - NUMBERING_ZERO_US : 0;
}

static uint64_t clock_number(struct numbering *n, struct numbering_now now)
{
	return n->by_clock ? numbering_beyond(n, now) : 0;
}

uint64_t numbering_first_epoch(struct numbering *n, struct numbering_now now)
{
	uint64_t epoch = clock_number(n, now);

	return epoch > n->epoch_floor ? epoch : n->epoch_floor;
}

bool numbering_allows_epoch(struct numbering *n, uint64_t from, double to, struct numbering_now now)
{
	return !n->by_clock || to <= (double)(from + 1) || to <= (double)clock_number(n, now);
}

uint64_t numbering_seq(struct numbering *n, struct numbering_now now)
{
	return clock_number(n, now);
}
