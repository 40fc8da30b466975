// SPDX-License-Identifier: BSD-3-Clause
/* PING as fast as it is answered (saturation), or at a rate. */
#include "tests/support/load_scenario.h"
#include "tests/support/load_server.h"

#include <stdlib.h>

static void again(struct load_client *c, bool ok)
{
	if (ok)
		load_client_ping(c, load_now_us());
}

static void saturate(
	struct load_client *clients, const struct load_options *o, struct load_loop *loop)
{
	uint64_t end_us = load_now_us() + (uint64_t)(o->seconds * 1e6);

	for (uint32_t i = 0; i < o->clients; i++) {
		clients[i].on_done = again;
		for (uint32_t out = 0; out < o->window; out++)
			load_client_ping(&clients[i], load_now_us());
	}
	while (load_now_us() < end_us)
		load_turn(loop, 10000);
	for (uint32_t i = 0; i < o->clients; i++)
		clients[i].on_done = NULL;
}

bool load_pings(const struct load_options *o)
{
	struct load_client *clients = calloc(o->clients, sizeof(*clients));
	struct load_loop *loop = load_loop_create(o->port);
	struct load_group g;
	uint64_t cpu_ns = 0, start_us = 0;
	double seconds;
	bool ok = clients != NULL && loop != NULL;

	load_group_init(&g, o, loop, "pings");
	if (ok)
		ok = load_arrive(clients, &g, o->clients, o->parallel, STEP_IN);
	g.latency = (struct latency){0};
	g.answered = 0;
	start_us = load_now_us();
	cpu_ns = server_cpu_ns(o->pid);
	if (ok && o->rate > 0)
		load_pace(clients, &g, o->clients, o->rate, o->seconds);
	else if (ok)
		saturate(clients, o, loop);
	cpu_ns = server_cpu_ns(o->pid) - cpu_ns;
	seconds = (double)(load_now_us() - start_us) / 1e6;
	printf("{\"clients\": %u, \"window\": %u, \"rate\": %u, \"seconds\": %.3f, "
	       "\"requests_per_second\": %.0f, "
	       "\"cpu_us_per_request\": %.3f, \"server_busy\": %.3f, ",
		o->clients, o->rate > 0 ? 1 : o->window, o->rate, seconds,
		(double)g.answered / seconds,
		(double)cpu_ns / 1e3 / (g.answered > 0 ? (double)g.answered : 1.0),
		(double)cpu_ns / 1e9 / seconds);
	load_print_group(&g);
	printf("}\n");
	load_loop_destroy(loop);
	free(clients);
	return ok && g.refused + g.lost == 0 && g.answered > 0;
}
