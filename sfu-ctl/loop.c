// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

uint64_t loop_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static void on_signal(uv_signal_t *handle, int signal)
{
	struct loop *loop = handle->data;

	// Who asks twice does not want to wait for the first.
	if (loop->signals++ > 0)
		_exit(128 + signal);
	loop->on_stop(loop->ctx, signal);
}

static void on_wake_timer(uv_timer_t *handle)
{
	struct loop *loop = handle->data;

	loop->wake_at_us = UINT64_MAX;
	loop->on_wake(loop->ctx);
}

int loop_init(struct loop *loop)
{
	int result = uv_loop_init(&loop->uv);

	if (result < 0)
		return result;
	loop->wake_at_us = UINT64_MAX;
	loop->signals = 0;
	signal(SIGPIPE, SIG_IGN);
	uv_timer_init(&loop->uv, &loop->wake);
	uv_signal_init(&loop->uv, &loop->sigterm);
	uv_signal_init(&loop->uv, &loop->sigint);
	loop->wake.data = loop->sigterm.data = loop->sigint.data = loop;
	result = uv_signal_start(&loop->sigterm, on_signal, SIGTERM);
	if (result == 0)
		result = uv_signal_start(&loop->sigint, on_signal, SIGINT);
	if (result < 0)
		loop_fini(loop, 0);
	return result;
}

void loop_wake_at(struct loop *loop, uint64_t at_us)
{
	uint64_t now = loop_now_us();

	if (at_us >= loop->wake_at_us)
		return;
	loop->wake_at_us = at_us;
	// libuv counts from the start of the turn: without this a long turn would wake us early.
	uv_update_time(&loop->uv);
	uv_timer_start(&loop->wake, on_wake_timer, at_us > now ? (at_us - now + 999) / 1000 : 0, 0);
}

int loop_fini(struct loop *loop, uint32_t limit_ms)
{
	uint64_t end_us = loop_now_us() + (uint64_t)limit_ms * 1000u;

	uv_close((uv_handle_t *)&loop->wake, NULL);
	uv_close((uv_handle_t *)&loop->sigterm, NULL);
	uv_close((uv_handle_t *)&loop->sigint, NULL);
	while (uv_run(&loop->uv, UV_RUN_NOWAIT) != 0 && loop_now_us() < end_us)
		usleep(1000);
	return uv_loop_close(&loop->uv);
}
