// SPDX-License-Identifier: BSD-3-Clause
/** The data plane comes and goes: what the core does about it. */
#pragma once

struct core;

/** Register for the notices of the core's media, which must not be NULL. */
void attach_register(struct core *c);
