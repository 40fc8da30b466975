// SPDX-License-Identifier: BSD-3-Clause
/**
 * rtx_ahead: a NACK leads from its transport to a consumer and to what that one has asked for before,
 * each known only from the one before and none of it in the caches. What the NACKs of a burst will need
 * is fetched step by step for all of them at once; the packets themselves are rtx_give()'s.
 */
#pragma once

#include "sfu-dp/path/path.h"

/** Opened RTCP of transports of this worker, before it goes to rtcp. Changes nothing. n <= PATH_BURST. */
void rtx_ahead(struct worker *w, struct rte_mbuf **m, unsigned n);
