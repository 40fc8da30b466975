// SPDX-License-Identifier: BSD-3-Clause
/**
 * The data plane comes and goes: what the core does about it. Media outlives its absence for
 * SFU_PLANE_GRACE_SEC, since it may come back with all it had; what it has lost then is closed.
 */
#pragma once

#include <stdint.h>

struct core;

/** Register for the notices of the core's media, which must not be NULL. */
void attach_register(struct core *c);

/** A predecessor had a data plane, and media in it: it is awaited as one that went away. */
void attach_restored(struct core *c);

/** The process stood still: a data plane that was awaited has the whole time again. */
void attach_stood_still(struct core *c);

/** End all media once the data plane has been away too long. Returns the next deadline or 0. */
uint64_t attach_expire(struct core *c, uint64_t now_us);
