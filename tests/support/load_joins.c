// SPDX-License-Identifier: BSD-3-Clause
/* Full joins in a row: each connects, goes all the way into a room, and leaves when others came. */
#include "tests/support/load_scenario.h"
#include "tests/support/load_server.h"

#include <stdlib.h>

#define STALL_US 30000000u

/** What the callbacks need; one run at a time. */
static struct {
	uint32_t done, under_way;
	uint64_t heard_us;
} row;

static void on_joined(struct load_client *c, bool ok)
{
	c->on_done = NULL;
	row.done += ok;
	row.under_way--;
	row.heard_us = load_now_us();
}

static bool begin(struct load_client *c, struct load_group *g, uint32_t i, bool connected)
{
	row.under_way++;
	if (connected) {
		c->on_done = on_joined;
		load_client_go_on(c, STEP_JOINED);
		return true;
	}
	return load_client_start(c, g, i, STEP_JOINED, on_joined);
}

bool load_joins(const struct load_options *o)
{
	struct load_client *clients = calloc(o->clients, sizeof(*clients));
	struct load_loop *loop = load_loop_create(o->port);
	struct load_group g;
	uint64_t cpu_ns = 0, start_us;
	uint32_t begun = 0, left = 0, stay = 10 * o->parallel;
	double seconds;
	bool ok;

	load_group_init(&g, o, loop, "joins");
	ok = clients != NULL && loop != NULL;
	if (ok && o->connected_first)
		ok = load_arrive(clients, &g, o->clients, o->parallel, 0);
	start_us = row.heard_us = load_now_us();
	row.done = row.under_way = 0;
	cpu_ns = server_cpu_ns(o->pid);
	while (ok && row.done < o->clients && g.refused + g.lost == 0) {
		while (begun < o->clients && row.under_way < o->parallel) {
			if (!begin(&clients[begun], &g, begun, o->connected_first))
				ok = false;
			begun++;
			// Rooms empty themselves behind those who come.
			if (!o->connected_first && begun - left > stay)
				load_client_stop(&clients[left++], true);
		}
		load_turn(loop, 10000);
		if (load_now_us() - row.heard_us > STALL_US)
			ok = false;
	}
	cpu_ns = server_cpu_ns(o->pid) - cpu_ns;
	seconds = (double)(load_now_us() - start_us) / 1e6;
	printf("{\"joins\": %u, \"asked\": %u, \"room_size\": %u, \"connected_first\": %s, "
	       "\"seconds\": %.3f, \"joins_per_second\": %.0f, \"cpu_us_per_join\": %.2f, "
	       "\"cpu_us_per_request\": %.3f, ",
		row.done, o->clients, o->room_size, o->connected_first ? "true" : "false", seconds,
		row.done / seconds, (double)cpu_ns / 1e3 / (row.done > 0 ? row.done : 1),
		(double)cpu_ns / 1e3 / (g.answered > 0 ? (double)g.answered : 1.0));
	load_print_group(&g);
	printf("}\n");
	ok = ok && row.done == o->clients && g.refused + g.lost == 0;
	for (uint32_t i = left; i < begun; i++)
		load_client_stop(&clients[i], true);
	load_loop_destroy(loop);
	free(clients);
	return ok;
}
