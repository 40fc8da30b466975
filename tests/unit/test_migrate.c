// SPDX-License-Identifier: BSD-3-Clause
/*
 * Three nodes and their clients in one process, at random: nodes are killed, drained and started again,
 * their clocks differ by up to minutes, rooms commit epochs and fill up. Clients do what they are told:
 * ROOM_MIGRATE, and when their node is gone the endpoints in order. Always:
 *
 *   - the seq of a client goes up, whichever node it is given by;
 *   - the epoch of a room goes up with each move, and no member sees one that goes back;
 *   - a node that drains has no members left after a few seconds, and nobody was cut off;
 *   - the members of a room are on one node again, once everything has been quiet for a while.
 */
#include "sfu-ctl/config.h"
#include "sfu-ctl/core.h"
#include "sfu-ctl/log.h"
#include "sfu-ctl/regions.h"
#include "tests/unit/outside.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NODES 3
#define ROOMS 5
#define CLIENTS 20
#define MS UINT64_C(1000)
#define START_US UINT64_C(1800000000000000)
#define RUNS 40
#define ROUNDS 25

struct world;

struct node {
	struct outside out; /* a clock, a wall clock and a core of its own; NULL: dead */
	struct world *w;
	unsigned index;
	struct regions regions;
	uint64_t back_us; /* a dead one is started again then */
};

struct client;

struct conn {
	struct client *client; /* NULL: given up, what comes is not read */
	struct session *session;
};

struct client {
	struct world *w;
	unsigned index, room;
	struct node *node;
	struct conn *conn; /* NULL: not in its room */
	unsigned sent;
	uint64_t seq; /* highest received */
	uint64_t epoch; /* highest seen of its room */
	unsigned order[NODES], order_count; /* endpoints */
	int told; /* node of the last ROOM_MIGRATE, -1 = none */
	uint64_t go_us;
	bool accepted; /* last ACK */
	int refused_to; /* where a refusal sends to, -1 = nowhere */
};

struct auth_call {
	uint64_t session_id, request_id;
	bool used;
};

struct world {
	struct outside out; /* dice, and the clock of the clients */
	struct config config[NODES];
	struct node nodes[NODES];
	struct client clients[CLIENTS];
	struct auth_call auth;
	unsigned moves, drains, kills;
};

static uint32_t roll(struct world *w, uint32_t sides)
{
	return outside_roll(&w->out, sides);
}

static struct json_object *get(const struct json_object *o, const char *name)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(o, name, &value);
	return value;
}

/* "ws://n1/ws" -> 1 */
static int node_of(const struct json_object *o)
{
	const char *url = json_object_get_string(get(o, "url"));

	return url == NULL ? -1 : url[6] - '0';
}

static void read_endpoints(struct client *c, const struct json_object *payload)
{
	const struct json_object *list = get(payload, "endpoints");

	if (list == NULL)
		return;
	c->order_count = 0;
	for (size_t i = 0; i < json_object_array_length(list); i++)
		c->order[c->order_count++] = (unsigned)node_of(json_object_array_get_idx(list, i));
}

static void read_ack(struct client *c, const struct json_object *ack)
{
	const struct json_object *error = get(ack, "error");

	c->accepted = json_object_get_boolean(get(ack, "ok"));
	c->refused_to = error == NULL ? -1 : node_of(get(error, "details"));
}

static void io_send(void *ctx, void *opaque, const char *text, size_t len)
{
	struct conn *conn = opaque;
	struct client *c = conn->client;
	struct json_object *frame = json_tokener_parse(text), *payload;
	const char *type;
	uint64_t epoch;

	(void)ctx;
	(void)len;
	if (c == NULL) {
		json_object_put(frame);
		return;
	}
	payload = get(frame, "payload");
	type = json_object_get_string(get(frame, "type"));
	if (get(frame, "seq") != NULL) {
		assert_true(json_object_get_uint64(get(frame, "seq")) > c->seq);
		c->seq = json_object_get_uint64(get(frame, "seq"));
	}
	read_endpoints(c, payload);
	if (strcmp(type, "ACK") == 0)
		read_ack(c, get(frame, "ack"));
	epoch = json_object_get_uint64(get(payload, "epoch"));
	if (strcmp(type, "ROOM_JOIN_OK") == 0 || strcmp(type, "REKEY_COMMIT") == 0) {
		assert_true(epoch > c->epoch);
		c->epoch = epoch;
	}
	if (strcmp(type, "ROOM_MIGRATE") == 0) {
		c->told = node_of(payload);
		c->go_us = c->w->out.now_us
			   + json_object_get_uint64(get(payload, "rejoinAfterMs")) * MS;
		assert_true(json_object_get_int(get(payload, "rejoinAfterMs")) <= 1000);
	}
	json_object_put(frame);
}

static int io_auth(
	void *ctx, uint64_t session_id, uint64_t request_id, const char *token, size_t len)
{
	struct node *n = ctx;

	(void)token;
	(void)len;
	assert_false(n->w->auth.used);
	n->w->auth = (struct auth_call){session_id, request_id, true};
	return 0;
}

/* --- nodes --- */

static void start(struct world *w, struct node *n)
{
	const struct core_io io = outside_io(&n->out, io_send, outside_no_close, io_auth);
	struct region_list list;
	char instance[8];

	snprintf(instance, sizeof(instance), "i%u", roll(w, 100000));
	assert_int_equal(regions_parse("r0=ws://n0/ws,r1=ws://n1/ws,r2=ws://n2/ws", &list, NULL),
		REGIONS_OK);
	n->out.wake_us = 0;
	n->out.core = core_create(&w->config[n->index], &io, NULL);
	assert_non_null(n->out.core);
	regions_init(&n->regions, instance);
	regions_configure(&n->regions, &list, 200 * MS, n->out.now_us);
	core_set_regions(n->out.core, &n->regions);
	core_regions_changed(n->out.core);
}

static void kill_node(struct world *w, struct node *n)
{
	core_destroy(n->out.core);
	n->out.core = NULL;
	n->out.wake_us = 0;
	n->back_us = w->out.now_us + (1 + roll(w, 10)) * 1000 * MS;
	for (size_t i = 0; i < CLIENTS; i++) {
		if (w->clients[i].node != n)
			continue;
		free(w->clients[i].conn);
		w->clients[i].conn = NULL;
		w->clients[i].node = NULL;
	}
	w->kills++;
}

/* What region_watch.c would bring, from everybody to everybody. */
static void exchange_health(struct world *w)
{
	for (size_t i = 0; i < NODES; i++) {
		struct node *n = &w->nodes[i];

		for (size_t j = 0; n->out.core != NULL && j < NODES; j++) {
			struct node *other = &w->nodes[j];
			struct region_report report = {.healthy = false};

			if (other->out.core != NULL) {
				report.healthy = core_takes_rooms(other->out.core);
				report.load = core_load(other->out.core);
				report.clock_us = core_clock_us(other->out.core);
				snprintf(report.node_id, sizeof(report.node_id), "n%zu", j);
				strcpy(report.instance, other->regions.instance);
				assert_true(core_heard_clock(n->out.core, report.clock_us));
			}
			if (regions_heard(&n->regions, j, other->out.core != NULL ? &report : NULL,
				    n->out.now_us))
				core_regions_changed(n->out.core);
		}
	}
}

/* --- clients --- */

static void say(struct client *c, const char *type, const char *payload)
{
	struct world *w = c->w;
	char text[512];

	c->sent++;
	snprintf(text, sizeof(text),
		"{\"v\":1,\"type\":\"%s\",\"msgId\":\"%u\",\"ts\":0,\"seq\":%u,\"payload\":{%s}}",
		type, c->sent, c->sent, payload);
	core_session_message(c->conn->session, text, strlen(text));
	if (w->auth.used) {
		w->auth.used = false;
		core_auth_result(c->node->out.core, w->auth.session_id, w->auth.request_id,
			AUTH_ACCEPTED, "user");
	}
}

static void hang_up(struct conn *conn)
{
	if (conn == NULL)
		return;
	conn->client = NULL;
	core_session_close(conn->session, true);
	free(conn);
}

/* The old connection stays until the room is reached on the new one. False: not let in. */
static bool enter(struct client *c, struct node *n)
{
	struct conn *before = c->conn;
	struct node *node_before = c->node;
	char text[128];

	if (n->out.core == NULL)
		return false;
	if (before != NULL)
		before->client = NULL;
	c->conn = calloc(1, sizeof(*c->conn));
	c->conn->client = c;
	c->node = n;
	c->sent = 0;
	c->told = -1;
	c->conn->session = core_session_open(n->out.core, c->conn, "192.0.2.1");
	snprintf(text, sizeof(text), "\"client\":{\"deviceId\":\"device-%u\"}", c->index);
	say(c, "HELLO", text);
	say(c, "AUTH", "\"accessToken\":\"t\"");
	say(c, "E2EE_CAPS", "\"insertableStreams\":true");
	snprintf(text, sizeof(text), "\"roomId\":\"room-%u\"", c->room);
	say(c, "ROOM_JOIN", text);
	if (c->accepted) {
		hang_up(before);
		c->w->moves++;
		return true;
	}
	hang_up(c->conn);
	c->conn = before;
	c->node = node_before;
	if (before != NULL)
		before->client = c;
	return false;
}

/* Its node is gone: the list from the top; what a refusal says comes first. */
static void wander(struct client *c)
{
	unsigned order[NODES], count = c->order_count;

	memcpy(order, c->order, sizeof(order));
	for (unsigned i = 0; i < count; i++) {
		c->refused_to = -1;
		if (enter(c, &c->w->nodes[order[i]]))
			return;
		if (c->refused_to >= 0 && enter(c, &c->w->nodes[c->refused_to]))
			return;
	}
}

static void live(struct client *c)
{
	int told = c->told;

	if (c->conn == NULL) {
		if (c->order_count == 0)
			enter(c, &c->w->nodes[roll(c->w, NODES)]);
		else
			wander(c);
	} else if (told >= 0 && c->go_us <= c->w->out.now_us) {
		c->told = -1;
		if (!enter(c, &c->w->nodes[told])) {
			c->told = c->refused_to >= 0 ? c->refused_to : told;
			c->go_us = c->w->out.now_us + 500 * MS;
		}
	}
}

static void commit(struct client *c)
{
	char text[64];
	unsigned times = 1 + roll(c->w, 3);

	while (c->conn != NULL && times-- > 0) {
		snprintf(text, sizeof(text), "\"epoch\":%llu", (unsigned long long)c->epoch + 1);
		say(c, "REKEY_COMMIT", text);
		assert_true(c->accepted);
	}
}

/* --- the world --- */

/* 50 ms at a time. */
static void pass(struct world *w, unsigned ms)
{
	for (unsigned step = 0; step < ms / 50; step++) {
		w->out.now_us += 50 * MS;
		for (size_t i = 0; i < NODES; i++) {
			struct node *n = &w->nodes[i];

			if (n->out.core == NULL && n->back_us <= w->out.now_us)
				start(w, n);
			outside_pass(&n->out, 50 * MS);
		}
		if (step % 4 == 0)
			exchange_health(w);
		for (size_t i = 0; i < CLIENTS; i++)
			live(&w->clients[i]);
	}
}

static void check_together(struct world *w)
{
	const struct node *at[ROOMS] = {NULL};

	for (size_t i = 0; i < CLIENTS; i++) {
		const struct client *c = &w->clients[i];

		assert_non_null(c->conn);
		if (at[c->room] == NULL)
			at[c->room] = c->node;
		assert_ptr_equal(at[c->room], c->node);
	}
}

static void drain(struct world *w, struct node *n)
{
	core_drain(n->out.core, n->out.now_us + 60000 * MS);
	for (unsigned i = 0; i < 40 && core_members_here(n->out.core) > 0; i++)
		pass(w, 100);
	assert_int_equal(core_members_here(n->out.core), 0);
	check_together(w);
	w->drains++;
	kill_node(w, n);
}

static void run(uint64_t seed)
{
	struct world *w = calloc(1, sizeof(*w));

	w->out.seed = seed;
	w->out.now_us = 1000000;
	for (unsigned i = 0; i < NODES; i++) {
		assert_int_equal(config_init(&w->config[i]), 0);
		w->config[i].numbering = NUMBERING_CLOCK;
		w->config[i].region[0] = 'r';
		w->config[i].region[1] = (char)('0' + i);
		w->nodes[i] = (struct node){.w = w, .index = i};
		// Each machine was started at another time, and has a clock of its own.
		w->nodes[i].out.seed = seed + i;
		w->nodes[i].out.now_us = w->out.now_us + i * UINT64_C(7777777777);
		w->nodes[i].out.wall_us
			= START_US - i * UINT64_C(7777777777) + roll(w, 600000) * 1000 - 300000000;
		start(w, &w->nodes[i]);
	}
	for (unsigned i = 0; i < 5; i++) {
		w->out.now_us += 200 * MS;
		for (size_t k = 0; k < NODES; k++)
			outside_pass(&w->nodes[k].out, 200 * MS);
		exchange_health(w);
	}
	for (unsigned i = 0; i < CLIENTS; i++) {
		struct client *c = &w->clients[i];

		*c = (struct client){.w = w, .index = i, .room = i % ROOMS, .told = -1};
		enter(c, &w->nodes[c->room % NODES]);
	}
	check_together(w);
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct node *n = &w->nodes[roll(w, NODES)];

		for (unsigned i = roll(w, 10); i > 0; i--)
			commit(&w->clients[roll(w, CLIENTS)]);
		// Quiet: all that is up is known to be, and the members have been told.
		pass(w, 20000 + roll(w, 20) * 100);
		check_together(w);
		if (roll(w, 2) == 0)
			drain(w, n);
		else
			kill_node(w, n);
		pass(w, roll(w, 30) * 50);
	}
	for (size_t i = 0; i < CLIENTS; i++)
		hang_up(w->clients[i].conn);
	for (size_t i = 0; i < NODES; i++) {
		core_destroy(w->nodes[i].out.core);
		config_fini(&w->config[i]);
	}
	print_message("seed %llu: %u moves, %u drains, %u kills\n", (unsigned long long)seed,
		w->moves, w->drains, w->kills);
	assert_true(w->drains > 0 && w->kills > w->drains);
	free(w);
}

static void test_moves(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= RUNS; seed++)
		run(seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_moves),
	};

	log_set_level(LOG_LEVEL_NONE);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
