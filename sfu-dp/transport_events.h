// SPDX-License-Identifier: BSD-3-Clause
/**
 * What the control plane has not been told yet about its transports. An event that finds no room, or
 * nobody attached, is not lost: it waits here, one bit each, and a control plane that attaches anew
 * is told how every transport stands. Housekeeping's thread only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "sfu-dp/table/objects.h"
#include "shared/event.h"

struct transport_events {
	struct objects *objects;
	struct transport_due *due; /* by the transport's index */
	uint32_t waiting; /* how many of them have something */
	uint32_t cursor;
};

/** 0 or -ENOMEM. objects must outlive it. */
int transport_events_create(struct transport_events *e, struct objects *objects);
void transport_events_destroy(struct transport_events *e);

/** This has become so; enum sfu_transport_state. An unknown transport is passed over. */
void transport_events_note(
	struct transport_events *e, uint64_t transport, uint32_t state, uint32_t worker);

/** As if all that is so of every live transport had just become so. */
void transport_events_note_all(struct transport_events *e);

/**
 * The next event to send, in the order of states for one transport; events of transports that are
 * gone are passed over. Give it back with transport_events_note() when it cannot be sent.
 * @return false when there is none
 */
bool transport_events_next(struct transport_events *e, struct sfu_event *out);
