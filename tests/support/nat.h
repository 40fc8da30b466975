// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tests/support/frame.h"

/**
 * @file
 * For tests: a translator of addresses that can forget. Until the first nat_rebind() clients are
 * seen as they are; after it each has a new port, and perhaps a new address, at once.
 */

#define NAT_FLOWS_MAX 512

struct nat_flow {
	struct frame_end inside, outside;
};

/** All zero at first. One owner. */
struct nat {
	struct nat_flow flows[NAT_FLOWS_MAX];
	unsigned count;
	bool has_rebound;
	uint16_t next_port; // outside
	struct frame_end outside; // address of new flows; len 0 = their own
};

/** New ports for everybody, and this address (its port is ignored); NULL: the addresses stay. */
void nat_rebind(struct nat *nat, const struct frame_end *address);

/** A frame from a client: its source becomes what it is outside. */
void nat_up(struct nat *nat, uint8_t *buf, const struct frame *frame);

/** A frame to a client: its target becomes what it is inside. False: nobody is there any more. */
bool nat_down(const struct nat *nat, uint8_t *buf, const struct frame *frame);
