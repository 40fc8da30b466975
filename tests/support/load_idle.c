// SPDX-License-Identifier: BSD-3-Clause
/* Clients that have authenticated and then only are there. */
#include "tests/support/load_scenario.h"
#include "tests/support/load_server.h"

#include <stdlib.h>

/** PINGs per second while they are idle: enough to come round, too few to be load. */
#define IDLE_RATE 2000u

bool load_idle(const struct load_options *o)
{
	struct load_client *clients = calloc(o->clients, sizeof(*clients));
	struct load_loop *loop = load_loop_create(o->port);
	struct load_group group;
	uint64_t before, arrived = 0, after = 0, cpu_ns = 0;
	double seconds = o->seconds;
	bool ok = false;

	load_group_init(&group, o, loop, "idle");
	before = server_resident_bytes(o->pid);
	if (clients == NULL || loop == NULL || before == 0)
		goto done;
	ok = load_arrive(clients, &group, o->clients, o->parallel, STEP_IN);
	arrived = server_resident_bytes(o->pid);
	cpu_ns = server_cpu_ns(o->pid);
	// Each of them at least once, however short the time is.
	if (seconds < (double)o->clients / IDLE_RATE)
		seconds = (double)o->clients / IDLE_RATE + 0.5;
	group.latency = (struct latency){0};
	group.answered = 0;
	if (ok)
		load_pace(clients, &group, o->clients, IDLE_RATE, seconds);
	cpu_ns = server_cpu_ns(o->pid) - cpu_ns;
	after = server_resident_bytes(o->pid);

done:
	printf("{\"clients\": %u, \"seconds\": %.1f, \"resident_before\": %llu, "
	       "\"resident_arrived\": %llu, \"resident_after\": %llu, "
	       "\"bytes_per_client\": %lld, \"cpu_ms_per_second\": %.2f, ",
		o->clients, seconds, (unsigned long long)before, (unsigned long long)arrived,
		(unsigned long long)after, ((long long)after - (long long)before) / o->clients,
		(double)cpu_ns / 1e6 / seconds);
	load_print_group(&group);
	printf("}\n");
	load_loop_destroy(loop);
	free(clients);
	return ok && group.refused + group.lost == 0 && group.answered >= o->clients;
}
