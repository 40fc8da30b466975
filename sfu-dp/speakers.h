// SPDX-License-Identifier: BSD-3-Clause
/**
 * Who speaks, room by room: housekeeping reads the loudness that workers have counted and tells who
 * took the turn. Housekeeping's thread only.
 */
#pragma once

#include <stdint.h>

#include "sfu-dp/table/objects.h"

/** producer speaks in room now; transport is the producer's. */
typedef void (*speakers_changed_fn)(
	void *ctx, uint64_t room, uint64_t producer, uint64_t transport, uint8_t loudness);

/** Look at all rooms once; every SPEAKER_LOOK_US. */
void speakers_look(struct objects *o, speakers_changed_fn changed, void *ctx);
