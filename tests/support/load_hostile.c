// SPDX-License-Identifier: BSD-3-Clause
/*
 * Readers that never read and connections that send an octet now and then, beside clients that do
 * nothing wrong. Half of the readers are talked to by others in their rooms, half ask and ask.
 */
#include "tests/support/load_scenario.h"
#include "tests/support/load_server.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define HEALTHY_RATE 1000u
#define TURN_SECONDS 0.25
/** What the talkers send in each turn, and what each asks who does not read the answers. */
#define TALK_OCTETS 1400u
#define TALKS_PER_TURN 8u
#define FLOOD_PER_TURN 16u
/** What it takes to fill the buffers of kernel and server, asked before anything is timed. */
#define FLOOD_FIRST 1200u
/** Stop asking when the server does not take it. */
#define FLOOD_UNSENT_BYTES 65536u
#define READER_ROOM 50u
#define LOOK_US 2000000u

static const char half_header[] = "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ";
static const char upgrade[] = "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n"
			      "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
			      "Sec-WebSocket-Key: bG9hZCBvZiB0aGUgc2Z1IQ==\r\n\r\n";
/** A message of 60,000 octets that will never be whole. */
static const char half_frame[] = "\x81\xfe\xea\x60\0\0\0\0{";

/** How far one goes before it slows down. */
enum loris_kind { LORIS_SILENT, LORIS_HEADER, LORIS_FRAME, LORIS_KINDS };

struct loris {
	struct load_loop *loop;
	struct load_conn *conn;
	enum loris_kind kind;
	uint64_t *ended;
};

static void loris_opened(void *ctx)
{
	struct loris *l = ctx;

	if (l->kind == LORIS_HEADER) {
		load_send_raw(l->conn, half_header, sizeof(half_header) - 1);
	} else if (l->kind == LORIS_FRAME) {
		load_send_raw(l->conn, upgrade, sizeof(upgrade) - 1);
		load_send_raw(l->conn, half_frame, sizeof(half_frame) - 1);
	}
}

static void loris_text(void *ctx, const char *text, size_t len)
{
	(void)ctx;
	(void)text;
	(void)len;
}

static void loris_closed(void *ctx, uint16_t code)
{
	struct loris *l = ctx;

	(void)code;
	l->conn = NULL;
	++*l->ended;
}

/* Who was thrown out comes again; the others send their next octet. */
static void loris_turn(struct loris *all, uint32_t count)
{
	static const struct load_events events
		= {.on_open = loris_opened, .on_text = loris_text, .on_closed = loris_closed};

	for (uint32_t i = 0; i < count; i++) {
		struct loris *l = &all[i];

		if (l->conn == NULL)
			l->conn = load_connect_raw(l->loop, &events, l);
		else if (l->kind != LORIS_SILENT)
			load_send_raw(l->conn, "x", 1);
	}
}

static bool talks(uint32_t reader)
{
	return reader % READER_ROOM == 0;
}

static bool floods(const struct load_client *readers, uint32_t i)
{
	return i % 2 == 0 && !talks(i) && readers[i].conn != NULL
	       && load_unsent(readers[i].conn) < FLOOD_UNSENT_BYTES;
}

/* One in each room reads and talks to those who do not. */
static void reader_turn(struct load_client *readers, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (floods(readers, i))
			load_client_flood(&readers[i], FLOOD_PER_TURN);
	}
	for (uint32_t i = 0; i < count; i += READER_ROOM) {
		if (readers[i].conn != NULL && !load_client_busy(&readers[i]))
			load_client_talk(&readers[i], TALK_OCTETS);
	}
}

/* One message after the other until the turn's are said. */
static void on_talked(struct load_client *c, bool ok)
{
	if (ok && c->seq % TALKS_PER_TURN != 0)
		load_client_talk(c, TALK_OCTETS);
}

struct hostile {
	struct load_group healthy, bad;
	struct load_client *clients, *readers;
	struct loris *loris;
	uint64_t loris_ended;
	uint64_t settled, highest, last; /* resident octets */
};

static void fill_buffers(struct hostile *h, uint32_t count)
{
	for (unsigned asked = 0; asked < FLOOD_FIRST; asked += FLOOD_PER_TURN) {
		for (uint32_t i = 0; i < count; i++) {
			if (floods(h->readers, i))
				load_client_flood(&h->readers[i], FLOOD_PER_TURN);
			if (i % 16 == 0)
				load_turn(h->bad.loop, 0);
		}
	}
}

static bool arrive(struct hostile *h, const struct load_options *o)
{
	if (!load_arrive(h->clients, &h->healthy, o->clients, o->parallel, STEP_JOINED)
		|| !load_arrive(h->readers, &h->bad, o->readers, o->parallel, STEP_JOINED))
		return false;
	for (uint32_t i = 0; i < o->readers; i++) {
		if (talks(i)) {
			h->readers[i].on_done = on_talked;
		} else {
			load_deafen(h->readers[i].conn);
		}
	}
	fill_buffers(h, o->readers);
	for (uint32_t i = 0; i < o->loris; i++)
		h->loris[i] = (struct loris){.loop = h->healthy.loop,
			.kind = (enum loris_kind)(i % LORIS_KINDS),
			.ended = &h->loris_ended};
	return true;
}

static void act(struct hostile *h, const struct load_options *o)
{
	uint64_t start_us = load_now_us();
	double passed = 0;

	h->healthy.latency = (struct latency){0};
	h->healthy.answered = 0;
	while (passed < o->seconds) {
		uint64_t resident;

		loris_turn(h->loris, o->loris);
		reader_turn(h->readers, o->readers);
		load_pace(h->clients, &h->healthy, o->clients, HEALTHY_RATE, TURN_SECONDS);
		resident = server_resident_bytes(o->pid);
		// What a server needs for all of them it has by half of the time.
		passed = (double)(load_now_us() - start_us) / 1e6;
		if (passed < o->seconds / 2)
			h->settled = resident > h->settled ? resident : h->settled;
		h->highest = resident > h->highest ? resident : h->highest;
		h->last = resident;
	}
}

/* Those who did not read look at last: whom did the server keep? */
static uint32_t readers_kept(struct hostile *h, uint32_t count)
{
	uint64_t end_us = load_now_us() + LOOK_US;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < count; i++) {
		if (!talks(i) && h->readers[i].conn != NULL)
			load_listen(h->readers[i].conn);
	}
	while (load_now_us() < end_us)
		load_turn(h->bad.loop, 10000);
	for (uint32_t i = 0; i < count; i++)
		kept += !talks(i) && h->readers[i].conn != NULL;
	return kept;
}

static void print(
	const struct hostile *h, const struct load_options *o, uint64_t before, uint32_t kept)
{
	printf("{\"healthy\": %u, \"readers\": %u, \"loris\": %u, \"seconds\": %.1f, "
	       "\"readers_kept\": %u, \"loris_ended\": %llu, \"talks\": %llu, "
	       "\"resident_before\": %llu, \"resident_settled\": %llu, \"resident_highest\": %llu, "
	       "\"resident_last\": %llu, ",
		o->clients, o->readers, o->loris, o->seconds, kept,
		(unsigned long long)h->loris_ended, (unsigned long long)h->bad.answered,
		(unsigned long long)before, (unsigned long long)h->settled,
		(unsigned long long)h->highest, (unsigned long long)h->last);
	load_print_group(&h->healthy);
	printf("}\n");
}

bool load_hostile(const struct load_options *o)
{
	struct load_loop *loop = load_loop_create(o->port);
	struct hostile h = {
		.clients = calloc(o->clients, sizeof(*h.clients)),
		.readers = calloc(o->readers, sizeof(*h.readers)),
		.loris = calloc(o->loris, sizeof(*h.loris)),
	};
	struct load_options deaf = *o;
	uint64_t before = server_resident_bytes(o->pid);
	uint32_t kept = 0;
	bool ok = loop != NULL && h.clients != NULL && h.readers != NULL && h.loris != NULL;

	deaf.room_size = READER_ROOM;
	load_group_init(&h.healthy, o, loop, "healthy");
	load_group_init(&h.bad, &deaf, loop, "bad");
	ok = ok && arrive(&h, o);
	if (ok) {
		act(&h, o);
		kept = readers_kept(&h, o->readers);
	}
	print(&h, o, before, kept);
	load_loop_destroy(loop);
	free(h.clients);
	free(h.readers);
	free(h.loris);
	return ok && h.healthy.refused + h.healthy.lost == 0 && h.healthy.answered > 0;
}
