// SPDX-License-Identifier: BSD-3-Clause
/** gate: may this end of an edge send or receive now? See "End-to-end encryption" in ARCHITECTURE.md. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "sfu-dp/table/objects.h"
#include "sfu-dp/worker.h"

static inline bool gate_open(const struct worker *w, struct peer *peer)
{
	return w->now_us < atomic_load_explicit(&peer->open_until_us, memory_order_relaxed);
}
