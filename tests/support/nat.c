// SPDX-License-Identifier: BSD-3-Clause
#include "tests/support/nat.h"

#include <string.h>

/** Outside the range from which Linux takes ports for its sockets. */
#define FIRST_PORT 61001

static bool same(const struct frame_end *a, const struct frame_end *b)
{
	return a->port == b->port && a->len == b->len && !memcmp(a->address, b->address, a->len);
}

static void map(struct nat *nat, struct nat_flow *flow)
{
	flow->outside = flow->inside;
	if (!nat->has_rebound)
		return;
	if (nat->outside.len == flow->inside.len)
		memcpy(flow->outside.address, nat->outside.address, flow->inside.len);
	flow->outside.port = nat->next_port++;
	if (nat->next_port < FIRST_PORT)
		nat->next_port = FIRST_PORT;
}

void nat_rebind(struct nat *nat, const struct frame_end *address)
{
	if (!nat->has_rebound)
		nat->next_port = FIRST_PORT;
	nat->has_rebound = true;
	if (address)
		nat->outside = *address;
	for (unsigned i = 0; i < nat->count; i++)
		map(nat, &nat->flows[i]);
}

void nat_up(struct nat *nat, uint8_t *buf, const struct frame *frame)
{
	struct frame_end source;
	struct nat_flow *flow;
	unsigned i = 0;

	frame_source(buf, frame, &source);
	while (i < nat->count && !same(&nat->flows[i].inside, &source))
		i++;
	if (i == NAT_FLOWS_MAX)
		return;
	flow = &nat->flows[i];
	if (i == nat->count) {
		nat->count++;
		flow->inside = source;
		map(nat, flow);
	}
	if (!same(&flow->inside, &flow->outside))
		frame_set_source(buf, frame, &flow->outside);
}

bool nat_down(const struct nat *nat, uint8_t *buf, const struct frame *frame)
{
	struct frame_end target;

	if (!nat->has_rebound)
		return true;
	frame_target(buf, frame, &target);
	for (unsigned i = 0; i < nat->count; i++) {
		if (same(&nat->flows[i].outside, &target)) {
			frame_set_target(buf, frame, &nat->flows[i].inside);
			return true;
		}
	}
	return false;
}
