// SPDX-License-Identifier: BSD-3-Clause
#include "tests/unit/outside.h"

#include <stdio.h>
#include <stdlib.h>

uint32_t outside_roll(struct outside *out, uint32_t sides)
{
	out->seed = out->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(out->seed >> 33) % sides;
}

static void io_send_all(
	void *ctx, void *const *conns, size_t count, const char *text, size_t len, bool latest)
{
	const struct outside *out = ctx;

	(void)latest;
	for (size_t i = 0; i < count; i++)
		out->send(ctx, conns[i], text, len);
}

static void io_random(void *ctx, void *to, size_t len)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)to)[i] = (uint8_t)outside_roll(ctx, 256);
}

static uint64_t io_wall_ms(void *ctx)
{
	const struct outside *out = ctx;

	return (out->wall_us + out->now_us) / 1000;
}

static uint64_t io_now_us(void *ctx)
{
	return ((const struct outside *)ctx)->now_us;
}

static void io_wake_at(void *ctx, uint64_t at_us)
{
	struct outside *out = ctx;

	if (out->wake_us == 0 || at_us < out->wake_us)
		out->wake_us = at_us;
}

void outside_no_close(void *ctx, void *conn, uint16_t code, const char *reason)
{
	(void)ctx;
	(void)conn;
	fprintf(stderr, "closed with %u %s\n", code, reason);
	abort();
}

struct core_io outside_io(
	struct outside *out, outside_send *send, outside_close *close, outside_auth *auth)
{
	out->send = send;
	return (struct core_io){
		.ctx = out,
		.send = send,
		.send_all = io_send_all,
		.close = close,
		.auth = auth,
		.random = io_random,
		.wall_ms = io_wall_ms,
		.now_us = io_now_us,
		.wake_at = io_wake_at,
	};
}

void outside_pass(struct outside *out, uint64_t us)
{
	uint64_t end_us = out->now_us + us;

	while (out->wake_us != 0 && out->wake_us <= end_us) {
		if (out->wake_us > out->now_us)
			out->now_us = out->wake_us;
		out->wake_us = 0;
		core_tick(out->core);
	}
	out->now_us = end_us;
}
