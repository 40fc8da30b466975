// SPDX-License-Identifier: BSD-3-Clause
/*
 * The media programme over rings of two slots each, to a data plane that stops listening again and again,
 * and then for seconds: no removal is lost, every command is answered or refused, and in the end the
 * data plane has what is wanted and nothing else.
 */
#include "sfu-ctl/media.h"
#include "sfu-ctl/media_setup.h"

#include "sfu-dp/link.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define MOST 16u /* of each kind */
#define KINDS (SFU_KIND_CONSUMER + 1)
#define SEEDS 8u
#define MOVES 8000u
#define REQUESTS_MAX (SEEDS * MOVES)

/* An object of the data plane. */
struct thing {
	uint64_t handle, parent; /* handle 0: there is none */
	uint32_t generation; /* highest that was here */
	uint32_t version;
	uint64_t gate;
};

/* Of what is wanted. */
struct wish {
	uint64_t handle, parent, gate;
	bool pending; /* not answered yet */
};

struct done {
	struct world *w;
	struct wish *wish;
	int calls;
};

struct world {
	char folder[64], path[96];
	struct link *dp;
	uv_loop_t loop;
	struct media *media;
	int attached, detached;

	bool deaf; /* the data plane takes nothing */
	bool digesting;
	struct sfu_command digest;
	struct thing thing[KINDS][MOST];
	unsigned taken, overtaken; /* commands; those that came after the DELETE of theirs */
	enum sfu_command_type last_type;

	struct wish room[MOST], peer[MOST], transport[MOST];
	struct done done[REQUESTS_MAX];
	unsigned requests, refused;
	uint64_t random;
};

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static unsigned any(struct world *w, unsigned below)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return (unsigned)(w->random >> 32) % below;
}

// --- the data plane ----------------------------------------------------------------------------

static struct thing *thing_of(struct world *w, enum sfu_object_kind kind, uint64_t handle)
{
	struct thing *t = &w->thing[kind][sfu_handle_index(handle)];

	assert_true(sfu_handle_index(handle) < MOST);
	return t;
}

static uint32_t dp_put(struct world *w, enum sfu_object_kind kind, const struct sfu_command *c,
	uint64_t parent, uint64_t gate)
{
	struct thing *t = thing_of(w, kind, c->handle);

	if (kind != SFU_KIND_ROOM && thing_of(w, kind - 1, parent)->handle != parent)
		return SFU_STATUS_NO_PARENT;
	if (t->handle == c->handle) {
		if (c->version <= t->version)
			return c->version < t->version ? SFU_STATUS_STALE : SFU_STATUS_OK;
	} else {
		if (t->generation >= sfu_handle_generation(c->handle))
			return SFU_STATUS_STALE;
		if (t->handle != 0)
			return SFU_STATUS_OCCUPIED;
	}
	*t = (struct thing){c->handle, parent, sfu_handle_generation(c->handle), c->version, gate};
	return SFU_STATUS_OK;
}

static uint32_t dp_delete(struct world *w, enum sfu_object_kind kind, uint64_t handle)
{
	struct thing *t = thing_of(w, kind, handle);

	if (t->handle != handle)
		return SFU_STATUS_NO_OBJECT;
	t->handle = 0;
	for (unsigned i = 0; i < MOST && kind < SFU_KIND_TRANSPORT; i++) {
		struct thing *child = &w->thing[kind + 1][i];

		if (child->handle != 0 && child->parent == handle)
			dp_delete(w, kind + 1, child->handle);
	}
	return SFU_STATUS_OK;
}

static uint32_t dp_apply(struct world *w, const struct sfu_command *c)
{
	switch (c->type) {
	case SFU_CMD_PUT_ROOM:
		return dp_put(w, SFU_KIND_ROOM, c, 0, c->u.room.epoch);
	case SFU_CMD_PUT_PEER:
		return dp_put(w, SFU_KIND_PEER, c, c->u.peer.room, c->u.peer.open_until_us);
	case SFU_CMD_PUT_TRANSPORT:
		return dp_put(w, SFU_KIND_TRANSPORT, c, c->u.transport.peer, 0);
	case SFU_CMD_DELETE_ROOM:
		return dp_delete(w, SFU_KIND_ROOM, c->handle);
	case SFU_CMD_DELETE_PEER:
		return dp_delete(w, SFU_KIND_PEER, c->handle);
	case SFU_CMD_DELETE_TRANSPORT:
		return dp_delete(w, SFU_KIND_TRANSPORT, c->handle);
	default:
		fail_msg("command of type %u", c->type);
		return SFU_STATUS_UNSUPPORTED;
	}
}

static void dp_ack(struct world *w, const struct sfu_command *c, uint32_t status)
{
	struct sfu_event event = {
		.type = SFU_EVENT_ACK,
		.handle = c->handle,
		.u.ack = {.command_id = c->id, .command_type = c->type, .status = status},
	};

	assert_true(link_push_event(w->dp, &event));
}

/* All it has fits into nothing: it is asked once, at the first attach. */
static void dp_digest(struct world *w)
{
	struct sfu_event event = {.type = SFU_EVENT_DIGEST_END};

	if (link_event_room(w->dp) < 2)
		return;
	assert_true(link_push_event(w->dp, &event));
	dp_ack(w, &w->digest, SFU_STATUS_OK);
	w->digesting = false;
}

static void dp_turn(struct world *w)
{
	struct sfu_command c;

	link_poll(w->dp, now_us());
	if (w->deaf)
		return;
	if (w->digesting)
		dp_digest(w);
	while (!w->digesting && link_event_room(w->dp) > 0 && link_pop_command(w->dp, &c)) {
		uint32_t status;

		w->taken++;
		if (c.type == SFU_CMD_DIGEST) {
			w->digest = c;
			w->digesting = true;
			dp_digest(w);
			break;
		}
		status = dp_apply(w, &c);
		w->overtaken += status != SFU_STATUS_OK && status != SFU_STATUS_NO_OBJECT;
		dp_ack(w, &c, status);
	}
}

// --- the control plane -------------------------------------------------------------------------

static void on_attached(void *ctx, bool attached)
{
	struct world *w = ctx;

	if (attached)
		w->attached++;
	else
		w->detached++;
}

static void on_forgotten(void *ctx, bool stale)
{
	(void)ctx;
	(void)stale;
	fail_msg("all was forgotten");
}

static void on_transport_end(void *ctx, uint64_t transport, enum media_transport_end why)
{
	(void)ctx;
	fail_msg("transport %llx ended: %d", (unsigned long long)transport, why);
}

static void on_transport_connected(void *ctx, uint64_t transport)
{
	(void)ctx;
	(void)transport;
}

/* What was asked for is there, or is wanted no longer. */
static void on_done(void *ctx, enum media_result result)
{
	struct done *d = ctx;

	d->calls++;
	d->wish->pending = false;
	if (result != MEDIA_OK)
		d->wish->handle = 0;
	d->w->refused += result != MEDIA_OK;
}

static void step(struct world *w)
{
	dp_turn(w);
	uv_run(&w->loop, UV_RUN_NOWAIT);
}

static void wish_room(struct world *w, struct wish *room)
{
	uint64_t epoch = 1 + any(w, 1000);

	if (media_room_put(
		    w->media, &room->handle, &(struct sfu_put_room){.required = 1, .epoch = epoch})
		== 0)
		room->gate = epoch;
}

static void wish_peer(struct world *w, struct wish *peer)
{
	const struct wish *room = &w->room[any(w, 4)];
	uint64_t open_until_us = any(w, 2) * UINT64_MAX, parent = peer->parent;

	if (peer->handle == 0)
		parent = room->handle;
	if (parent == 0 || media_peer_put(w->media, &peer->handle, parent, open_until_us) != 0)
		return;
	peer->parent = parent;
	peer->gate = open_until_us;
}

static void wish_transport(struct world *w, struct wish *transport)
{
	const struct wish *peer = &w->peer[any(w, MOST)];
	struct done *d = &w->done[w->requests];
	struct media_ice ice;

	if (transport->handle != 0 || peer->handle == 0)
		return;
	*d = (struct done){.w = w, .wish = transport};
	if (media_transport_create(
		    w->media, peer->handle, true, "", &transport->handle, &ice, on_done, d)
		!= 0) {
		transport->handle = 0;
		return;
	}
	transport->parent = peer->handle;
	transport->pending = true;
	w->requests++;
}

/* And its children. */
static void unwish(struct world *w, enum sfu_object_kind kind, struct wish *gone)
{
	struct wish *children = kind == SFU_KIND_ROOM   ? w->peer
				: kind == SFU_KIND_PEER ? w->transport
							: NULL;

	for (unsigned i = 0; i < MOST && children != NULL; i++) {
		if (children[i].handle != 0 && children[i].parent == gone->handle)
			unwish(w, kind + 1, &children[i]);
	}
	gone->handle = 0;
}

static void end(struct world *w)
{
	struct wish *room = &w->room[any(w, 4)], *peer = &w->peer[any(w, MOST)];
	struct wish *transport = &w->transport[any(w, MOST)];

	switch (any(w, 6)) {
	case 0:
		media_room_delete(w->media, room->handle);
		unwish(w, SFU_KIND_ROOM, room);
		break;
	case 1:
	case 2:
		media_peer_delete(w->media, peer->handle);
		unwish(w, SFU_KIND_PEER, peer);
		break;
	default:
		media_transport_delete(w->media, transport->handle);
		unwish(w, SFU_KIND_TRANSPORT, transport);
		break;
	}
}

static void move(struct world *w)
{
	switch (any(w, 16)) {
	case 0:
		w->deaf = !w->deaf;
		break;
	case 1:
	case 2:
		end(w);
		break;
	case 3:
	case 4:
		wish_room(w, &w->room[any(w, 4)]);
		break;
	case 5:
	case 6:
	case 7:
		wish_peer(w, &w->peer[any(w, MOST)]);
		break;
	case 8:
	case 9:
		wish_transport(w, &w->transport[any(w, MOST)]);
		break;
	default:
		for (unsigned i = any(w, 8); i > 0; i--)
			step(w);
		break;
	}
}

/* Everything that is wanted is there, as wanted, and nothing else. */
static bool kind_agrees(struct world *w, enum sfu_object_kind kind, const struct wish *wishes)
{
	unsigned there = 0, wanted = 0;

	for (unsigned i = 0; i < MOST; i++) {
		const struct wish *wish = &wishes[i];

		there += w->thing[kind][i].handle != 0;
		if (wish->handle == 0)
			continue;
		wanted++;
		if (wish->pending || thing_of(w, kind, wish->handle)->handle != wish->handle
			|| (kind != SFU_KIND_TRANSPORT
				&& thing_of(w, kind, wish->handle)->gate != wish->gate))
			return false;
	}
	return there == wanted;
}

static bool both_agree(struct world *w)
{
	for (unsigned i = 0; i < w->requests; i++) {
		assert_in_range(w->done[i].calls, 0, 1);
		if (w->done[i].calls == 0)
			return false;
	}
	return kind_agrees(w, SFU_KIND_ROOM, w->room) && kind_agrees(w, SFU_KIND_PEER, w->peer)
	       && kind_agrees(w, SFU_KIND_TRANSPORT, w->transport);
}

static void they_agree_in_the_end(struct world *w)
{
	uint64_t start = now_us();

	w->deaf = false;
	while (!both_agree(w)) {
		if (now_us() - start > 5000000)
			fail_msg("they never agree");
		step(w);
	}
	// Once, and on the same attach.
	assert_int_equal(w->attached, 1);
	assert_int_equal(w->detached, 0);
}

static void nothing_is_lost_in_tiny_rings(void **state)
{
	struct world *w = *state;

	for (unsigned seed = 0; seed < SEEDS; seed++) {
		w->random = 88172645463325252u + seed;
		for (unsigned i = 0; i < MOVES; i++)
			move(w);
		they_agree_in_the_end(w);
	}
	print_message("  %u commands taken, %u requests\n", w->taken, w->requests);
	assert_int_equal(w->overtaken, 0);
	assert_in_range(w->requests, 500, REQUESTS_MAX);
}

static void a_data_plane_that_stops_for_seconds(void **state)
{
	struct world *w = *state;
	struct wish *newcomer = &w->transport[MOST - 1];
	unsigned before;
	uint64_t start;

	w->random = 4711;
	for (unsigned i = 0; i < 4; i++)
		wish_room(w, &w->room[i]);
	for (unsigned i = 0; i < MOST; i++) {
		wish_peer(w, &w->peer[i]);
		they_agree_in_the_end(w);
	}
	for (unsigned i = 0; i < MOST - 1; i++) {
		wish_transport(w, &w->transport[i]);
		they_agree_in_the_end(w);
	}
	before = w->requests;
	w->deaf = true;
	wish_transport(w, newcomer);
	assert_int_equal(w->requests, before + 1);
	start = now_us();
	while (now_us() - start < 2500000) {
		for (unsigned i = 0; i < 4; i++)
			wish_peer(w, &w->peer[any(w, MOST)]);
		end(w);
		uv_run(&w->loop, UV_RUN_NOWAIT);
		usleep(5000);
	}
	// It was refused in time, although what makes it lies in the ring; nobody else was kept waiting.
	assert_int_equal(w->done[before].calls, 1);
	assert_int_equal(w->refused, 1);
	wish_transport(w, newcomer);
	assert_int_equal(w->requests, before + 1);
	they_agree_in_the_end(w);
	assert_int_equal(w->overtaken, 0);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	const struct media_notices notices = {
		.ctx = w,
		.on_attached = on_attached,
		.on_forgotten = on_forgotten,
		.on_transport_end = on_transport_end,
		.on_transport_connected = on_transport_connected,
	};
	struct media_options options = {.node_id = "test"};
	struct link_options link = {
		.dp_instance = 1,
		.workers = 1,
		.max_rooms = MOST,
		.max_peers = MOST,
		.max_transports = MOST,
		.max_producers = MOST,
		.max_consumers = MOST,
	};
	char err[256] = "";

	assert_non_null(w);
	strcpy(w->folder, "/tmp/test_media_tiny.XXXXXX");
	assert_non_null(mkdtemp(w->folder));
	snprintf(w->path, sizeof(w->path), "%s/link", w->folder);
	uv_loop_init(&w->loop);
	link.path = options.link_path = w->path;
	w->dp = link_create(&link, err, sizeof(err));
	if (w->dp == NULL)
		fail_msg("%s", err);
	w->media = media_create(&w->loop, &options, err, sizeof(err));
	if (w->media == NULL)
		fail_msg("%s", err);
	media_set_notices(w->media, &notices);
	for (int i = 0; i < 20000 && w->attached == 0; i++) {
		step(w);
		usleep(100);
	}
	assert_int_equal(w->attached, 1);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	media_destroy(w->media);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&w->loop), 0);
	link_destroy(w->dp);
	rmdir(w->folder);
	free(w);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_lost_in_tiny_rings),
		TEST(a_data_plane_that_stops_for_seconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
