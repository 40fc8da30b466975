// SPDX-License-Identifier: BSD-3-Clause
/**
 * Which epoch's key was an encrypted frame sealed with? Read from the clear header in its first packet
 * (RFC 9605, or the reference client's octet); the frame's other packets share its verdict. A second
 * lock behind the gate: a sender that said it is ready and goes on with an old key is found here.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "sfu-dp/path/path.h"
#include "sfu-dp/table/objects.h"

enum epoch_verdict {
	EPOCH_FINE = 0, /* the room's, a newer one, or an older one within the grace */
	EPOCH_STALE,
	EPOCH_UNREADABLE, /* no such header: clear media, or another format than announced */
};

/**
 * Judge a packet of a producer whose frame format is known, count, and say what becomes of it.
 * @param payload  the packet's RTP payload
 * @return DROP_COUNT: it goes on
 * Owner of the producer's transport only.
 */
unsigned epoch_verdict(
	struct worker *w, struct producer *p, const struct pkt *pkt, const uint8_t *payload);

/**
 * Is the epoch of a frame, of which so many low bits are known, older than the room's? Half of the
 * values that the bits can have lie before the room's epoch, half behind.
 */
bool epoch_is_older(uint64_t frame, unsigned bits, uint64_t room);
