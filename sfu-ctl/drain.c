// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/drain.h"

#include "sfu-ctl/config.h"
#include "sfu-ctl/core.h"
#include "sfu-ctl/log.h"
#include "sfu-ctl/loop.h"

#include <signal.h>

#define CHECK_MS 50u

static void on_check(uv_timer_t *timer)
{
	struct drain *drain = timer->data;
	uint64_t now_us = loop_now_us();
	uint32_t members = core_members_here(drain->core);

	if (members > 0)
		drain->quiet_us = 0;
	else if (drain->quiet_us == 0)
		drain->quiet_us = now_us;
	if ((drain->quiet_us == 0 || now_us < drain->quiet_us + DRAIN_QUIET_US)
		&& now_us < drain->deadline_us)
		return;
	uv_timer_stop(timer);
	log_warn("drain", "ends", log_num("members", members));
	drain->on_empty(drain->ctx);
}

bool drain_begin(struct drain *drain)
{
	if (*drain->draining)
		return false;
	*drain->draining = true;
	drain->deadline_us = loop_now_us() + drain->config->drain_deadline_sec * UINT64_C(1000000);
	log_warn("drain", "begins", log_num("members", core_members_here(drain->core)),
		log_num("deadline_sec", drain->config->drain_deadline_sec));
	core_drain(drain->core, drain->deadline_us);
	uv_timer_start(&drain->timer, on_check, CHECK_MS, CHECK_MS);
	return true;
}

static void on_signal(uv_signal_t *handle, int signal)
{
	(void)signal;
	drain_begin(handle->data);
}

int drain_init(struct drain *drain, uv_loop_t *loop)
{
	drain->quiet_us = 0;
	uv_timer_init(loop, &drain->timer);
	uv_signal_init(loop, &drain->signal);
	drain->timer.data = drain->signal.data = drain;
	return uv_signal_start(&drain->signal, on_signal, SIGUSR1);
}

void drain_fini(struct drain *drain)
{
	uv_close((uv_handle_t *)&drain->timer, NULL);
	uv_close((uv_handle_t *)&drain->signal, NULL);
}
