// SPDX-License-Identifier: BSD-3-Clause
/**
 * What a worker needs to make good for lost packets, in both directions: recover.h asks clients for
 * what was lost on the way to us, rtx.h answers clients who ask for what was lost on the way to them.
 */
#pragma once

#include "sfu-dp/path/history.h"
#include "sfu-dp/path/rtx.h"
#include "sfu-dp/path/watch.h"
#include "sfu-dp/table/objects.h"

struct worker;

/** The worker's own. */
struct repair {
	struct history history;
	struct watch_list asking; /* producers of which packets are missing */
	struct watch_list answering; /* consumers with answers that are waiting */
	struct rtx_answers answers; /* of this burst */
};

/** Allocate; 0 or -ENOMEM. Start-up only. */
int repair_create(struct repair *r, const struct history_limits *history,
	const struct objects_limits *objects);

/** The worker does not run any more. */
void repair_destroy(struct repair *r);

/** Requests, answers and packets whose time has come. Each turn; touches only what is due. */
void repair_timers(struct worker *w);
