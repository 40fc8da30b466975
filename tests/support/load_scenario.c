// SPDX-License-Identifier: BSD-3-Clause
#include "tests/support/load_scenario.h"

#include <stdio.h>

/** Nothing at all for so long means that it never comes. */
#define STALL_US 30000000u

void load_group_init(struct load_group *g, const struct load_options *o, struct load_loop *loop,
	const char *name)
{
	*g = (struct load_group){
		.loop = loop,
		.name = name,
		.tokens = o->tokens,
		.token_count = o->token_count,
		.room_size = o->room_size,
	};
}

static uint32_t arrived;

static void on_arrived(struct load_client *c, bool ok)
{
	c->on_done = NULL;
	arrived += ok;
}

bool load_arrive(struct load_client *clients, struct load_group *group, uint32_t count,
	uint32_t parallel, unsigned steps)
{
	uint64_t heard_us = load_now_us();
	uint32_t begun = 0, seen = 0;

	arrived = 0;
	while (arrived < count && group->refused + group->lost == 0) {
		while (begun < count && begun - arrived < parallel) {
			if (!load_client_start(&clients[begun], group, begun, steps, on_arrived)) {
				snprintf(group->why, sizeof(group->why), "no socket for client %u",
					begun);
				return false;
			}
			begun++;
		}
		load_turn(group->loop, 10000);
		if (arrived != seen)
			heard_us = load_now_us();
		else if (load_now_us() - heard_us > STALL_US) {
			snprintf(group->why, sizeof(group->why), "%u of %u came", arrived, count);
			return false;
		}
		seen = arrived;
	}
	return group->refused + group->lost == 0;
}

void load_pace(struct load_client *clients, struct load_group *group, uint32_t count, uint32_t rate,
	double seconds)
{
	uint64_t start_us = load_now_us(), now_us = start_us;
	uint64_t end_us = start_us + (uint64_t)(seconds * 1e6);
	uint64_t sent = 0;

	while (now_us < end_us) {
		uint64_t due_us = start_us + sent * 1000000u / rate;

		if (due_us > now_us) {
			load_turn(group->loop, due_us - now_us);
		} else {
			struct load_client *c = &clients[sent % count];

			if (c->conn != NULL && !load_client_busy(c))
				load_client_ping(c, due_us);
			// A late burst must not keep the answers waiting in the socket.
			if (++sent % 16 == 0)
				load_turn(group->loop, 0);
		}
		now_us = load_now_us();
	}
}

void load_print_group(const struct load_group *g)
{
	const struct latency *l = &g->latency;

	printf("\"requests\": %llu, \"latency_us\": {\"p50\": %llu, \"p99\": %llu, \"p999\": %llu, "
	       "\"max\": %llu}, \"websocket_pings\": %llu, \"refused\": %llu, \"lost\": %llu, "
	       "\"why\": \"",
		(unsigned long long)g->answered, (unsigned long long)latency_quantile(l, 500),
		(unsigned long long)latency_quantile(l, 990),
		(unsigned long long)latency_quantile(l, 999), (unsigned long long)l->max_us,
		(unsigned long long)g->pings, (unsigned long long)g->refused,
		(unsigned long long)g->lost);
	for (const char *at = g->why; *at != '\0'; at++) {
		if (*at == '"' || *at == '\\')
			putchar('\\');
		if ((unsigned char)*at >= ' ')
			putchar(*at);
	}
	putchar('"');
}
