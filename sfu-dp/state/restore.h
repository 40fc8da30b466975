// SPDX-License-Identifier: BSD-3-Clause
/**
 * Between the objects (table/objects.h) and the stream state: an object that is made finds what its
 * predecessor in a dead process had stored, or a clean place. Housekeeping's thread, before the
 * object is published, but for what says otherwise.
 */
#pragma once

#include <stdint.h>

#include "sfu-dp/state/region.h"
#include "sfu-dp/table/objects.h"

/** The limits of a state for so many objects. */
struct state_limits state_limits_of(const struct objects_limits *o);

/** Sets c->saved, and what it holds of this very consumer. handle, put, transport and rtx are set. */
void restore_consumer(struct state *s, struct consumer *c, uint64_t handle);

/** Sets t->saved, and what it holds of this very transport: addresses, streams, indices. */
void restore_transport(struct state *s, struct transport *t, uint64_t handle);

/** What the transport's restored streams feed. p->handle is not needed. */
void restore_producer(struct producer *p, uint64_t handle, uint64_t now_us);

/* Owner's thread: what ICE has learnt. */

/** One address of the transport is new or was checked again. */
void save_tuple(const struct transport *t, const struct transport_tuple *tuple);

/** Which address is used, and whether it may be. */
void save_path(const struct transport *t);

/** The transport has an owner. Whoever claimed it. */
void save_owner(const struct transport *t, unsigned worker);
