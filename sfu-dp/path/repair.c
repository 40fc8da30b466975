// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/path/repair.h"

#include <errno.h>
#include <string.h>

#include "sfu-dp/path/recover.h"
#include "sfu-dp/path/rtx.h"
#include "sfu-dp/worker.h"

int repair_create(struct repair *r, const struct history_limits *history,
	const struct objects_limits *objects)
{
	memset(r, 0, sizeof(*r));
	if (!history_create(&r->history, history) && watch_create(&r->asking, objects->producers)
		&& watch_create(&r->answering, objects->consumers))
		return 0;
	repair_destroy(r);
	return -ENOMEM;
}

void repair_destroy(struct repair *r)
{
	watch_destroy(&r->asking);
	watch_destroy(&r->answering);
	history_destroy(&r->history);
}

void repair_timers(struct worker *w)
{
	recover_timers(w);
	rtx_timers(w);
	history_expire(&w->repair.history, w->now_us);
}
