// SPDX-License-Identifier: BSD-3-Clause
/* The media programme against a scripted data plane on the other end of a real link. */
#include "sfu-ctl/media.h"
#include "sfu-ctl/media_setup.h"

#include "sfu-ctl/handshake.h"
#include "sfu-dp/link.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <cmocka.h>

#define TRANSPORTS 16u

struct client {
	SSL *ssl;
	int fd[2]; /* client's end, network's end */
	char fingerprint[96];
};

struct world {
	char folder[64], path[96];
	struct link *dp;
	uv_loop_t loop;
	struct media *media;

	/* The data plane's script. */
	bool mute; /* takes commands, answers none */
	bool deaf; /* takes no commands */
	uint32_t status[SFU_CMD_TYPE_COUNT];
	struct sfu_digest_item item[32];
	size_t items;
	uint32_t seen[SFU_CMD_TYPE_COUNT];
	struct sfu_command last[SFU_CMD_TYPE_COUNT];
	uint32_t order[8192]; /* types as they came */
	size_t order_count;
	struct client *client; /* gets the datagrams */

	/* What the notices said. */
	int attached, detached, connected, ended, forgotten;
	int stale;
	struct memory *memory; /* what media tells; NULL: nobody listens */
	bool remembers; /* its digest says what it was told */
	uint32_t max_peers; /* 0: 16 */
	uint64_t last_transport;
	enum media_transport_end why;
	bool inside; /* a media call is running: notices are a defect */
};

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

// --- the data plane ----------------------------------------------------------------------------

static void dp_ack(struct world *w, const struct sfu_command *c, uint32_t status)
{
	struct sfu_event event = {
		.type = SFU_EVENT_ACK,
		.handle = c->handle,
		.u.ack = {.command_id = c->id, .command_type = c->type, .status = status},
	};

	assert_true(link_push_event(w->dp, &event));
}

static void dp_digest(struct world *w)
{
	struct sfu_event event = {.type = SFU_EVENT_DIGEST};

	for (size_t at = 0; at < w->items; at += event.u.digest.count) {
		size_t left = w->items - at;

		event.u.digest.count = left < SFU_DIGEST_ITEMS ? (uint32_t)left : SFU_DIGEST_ITEMS;
		memcpy(event.u.digest.item, w->item + at, event.u.digest.count * sizeof(*w->item));
		link_push_event(w->dp, &event);
	}
	event = (struct sfu_event){.type = SFU_EVENT_DIGEST_END, .u.digest_end.items = w->items};
	link_push_event(w->dp, &event);
}

static enum sfu_object_kind put_kind(uint32_t type)
{
	switch (type) {
	case SFU_CMD_PUT_ROOM:
		return SFU_KIND_ROOM;
	case SFU_CMD_PUT_PEER:
		return SFU_KIND_PEER;
	case SFU_CMD_PUT_TRANSPORT:
		return SFU_KIND_TRANSPORT;
	default:
		return SFU_KIND_NONE;
	}
}

static void dp_remember(struct world *w, const struct sfu_command *c)
{
	enum sfu_object_kind kind = put_kind(c->type);

	for (size_t i = 0; i < w->items; i++)
		if (c->type != SFU_CMD_DIGEST && w->item[i].handle == c->handle
			&& (kind == SFU_KIND_NONE || w->item[i].kind == (uint32_t)kind))
			w->item[i] = w->item[--w->items];
	if (w->remembers && kind != SFU_KIND_NONE)
		w->item[w->items++] = (struct sfu_digest_item){c->handle, kind, c->version};
}

static void dp_turn(struct world *w)
{
	struct sfu_command c;
	struct sfu_dtls_record record;

	link_poll(w->dp, now_us());
	while (!w->deaf && link_event_room(w->dp) > 8 && link_pop_command(w->dp, &c)) {
		assert_in_range(c.type, 1, SFU_CMD_TYPE_COUNT - 1);
		w->seen[c.type]++;
		w->last[c.type] = c;
		if (w->order_count < 8192)
			w->order[w->order_count++] = c.type;
		if (w->mute)
			continue;
		if (c.type == SFU_CMD_DIGEST)
			dp_digest(w);
		dp_remember(w, &c);
		dp_ack(w, &c, w->status[c.type]);
	}
	while (link_pop_dtls(w->dp, &record))
		if (w->client != NULL) {
			assert_int_equal(record.tuple, 77);
			assert_int_equal(
				send(w->client->fd[1], record.bytes, record.len, 0), record.len);
		}
}

static void dp_start(struct world *w)
{
	const struct link_options options = {
		.path = w->path,
		.dp_instance = 1,
		.workers = 1,
		.max_rooms = 8,
		.max_peers = w->max_peers == 0 ? 16 : w->max_peers,
		.max_transports = TRANSPORTS,
		.max_producers = 16,
		.max_consumers = 16,
		.address_count = 1,
		.address = {{.family = 4, .port = 40000, .addr = {192, 0, 2, 1}}},
	};
	char err[256] = "";

	w->dp = link_create(&options, err, sizeof(err));
	if (w->dp == NULL)
		fail_msg("%s", err);
}

// --- notices -----------------------------------------------------------------------------------

static void on_attached(void *ctx, bool attached)
{
	struct world *w = ctx;

	assert_false(w->inside);
	assert_true(media_attached(w->media) == attached);
	if (attached)
		w->attached++;
	else
		w->detached++;
}

static void on_forgotten(void *ctx, bool stale)
{
	(void)stale;
	struct world *w = ctx;

	assert_false(w->inside);
	w->stale += stale;
	w->forgotten++;
}

static void on_transport_end(void *ctx, uint64_t transport, enum media_transport_end why)
{
	struct world *w = ctx;

	assert_false(w->inside);
	w->ended++;
	w->last_transport = transport;
	w->why = why;
	media_transport_delete(w->media, transport);
}

static void on_transport_connected(void *ctx, uint64_t transport)
{
	struct world *w = ctx;

	assert_false(w->inside);
	w->connected++;
	w->last_transport = transport;
}

static void on_log(void *ctx, int priority, const char *line)
{
	(void)ctx;
	(void)priority;
	if (getenv("VERBOSE") != NULL)
		print_message("%s\n", line);
}

struct done {
	struct world *world;
	int calls;
	enum media_result result;
};

static void on_done(void *ctx, enum media_result result)
{
	struct done *d = ctx;

	assert_false(d->world->inside);
	d->calls++;
	d->result = result;
}

static void step(struct world *w)
{
	if (w->dp != NULL)
		dp_turn(w);
	uv_run(&w->loop, UV_RUN_NOWAIT);
}

#define UNTIL(w, condition)                                                                        \
	do {                                                                                       \
		uint64_t deadline = now_us() + 8000000;                                            \
                                                                                                   \
		while (!(condition)) {                                                             \
			if (now_us() > deadline)                                                   \
				fail_msg("waited in vain for " #condition);                        \
			step(w);                                                                   \
			usleep(100);                                                               \
		}                                                                                  \
	} while (0)

static void settle(struct world *w, int turns)
{
	for (int i = 0; i < turns; i++) {
		step(w);
		usleep(200);
	}
}

static void on_remember(void *ctx, const char *kind, const char *id, const char *text)
{
	struct world *w = ctx;

	assert_int_equal(memory_put(w->memory, kind, id, text), 0);
}

static void media_start(struct world *w)
{
	const struct media_options options = {
		.link_path = w->path,
		.node_id = "test",
		.remember = {w, w->memory == NULL ? NULL : on_remember},
		.log = on_log,
	};
	const struct media_notices notices = {
		.ctx = w,
		.on_attached = on_attached,
		.on_forgotten = on_forgotten,
		.on_transport_end = on_transport_end,
		.on_transport_connected = on_transport_connected,
	};
	char err[256] = "";

	w->media = media_create(&w->loop, &options, err, sizeof(err));
	if (w->media == NULL)
		fail_msg("%s", err);
	media_set_notices(w->media, &notices);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	strcpy(w->folder, "/tmp/test_media.XXXXXX");
	assert_non_null(mkdtemp(w->folder));
	snprintf(w->path, sizeof(w->path), "%s/link", w->folder);
	uv_loop_init(&w->loop);
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
	memory_destroy(w->memory);
	rmdir(w->folder);
	free(w);
	return 0;
}

static void attach(struct world *w)
{
	dp_start(w);
	media_start(w);
	UNTIL(w, w->attached == 1);
}

// A call into media during which no notice may come.
#define CALL(w, expression)                                                                        \
	do {                                                                                       \
		(w)->inside = true;                                                                \
		expression;                                                                        \
		(w)->inside = false;                                                               \
	} while (0)

static uint64_t make_peer(struct world *w)
{
	uint64_t room = 0, peer = 0;

	assert_int_equal(media_room_put(w->media, &room,
				 &(struct sfu_put_room){.required = true, .epoch = 1}),
		0);
	assert_int_equal(media_peer_put(w->media, &peer, room, UINT64_MAX), 0);
	return peer;
}

static uint64_t make_transport(struct world *w, struct media_ice *ice)
{
	struct done done = {.world = w};
	uint64_t peer = make_peer(w), transport = 0;
	int rc;

	CALL(w, rc = media_transport_create(
			w->media, peer, true, "label", &transport, ice, on_done, &done));
	assert_int_equal(rc, 0);
	UNTIL(w, done.calls == 1);
	assert_int_equal(done.result, MEDIA_OK);
	return transport;
}

// --- the programme -----------------------------------------------------------------------------

static void nothing_works_without_a_data_plane(void **state)
{
	struct world *w = *state;
	uint64_t room = 0;

	media_start(w);
	settle(w, 20);
	assert_false(media_attached(w->media));
	assert_null(media_info(w->media));
	assert_null(media_stats(w->media));
	assert_int_equal(media_room_put(w->media, &room,
				 &(struct sfu_put_room){.required = false, .epoch = 0}),
		-EAGAIN);
	media_room_delete(w->media, 12345);
	assert_int_equal(strlen(media_fingerprint(w->media)), 95);
}

static void orphans_are_deleted_before_attached(void **state)
{
	struct world *w = *state;

	for (uint32_t i = 0; i < 30; i++)
		w->item[w->items++]
			= (struct sfu_digest_item){sfu_handle_make(i % 6, 3), 1 + i / 6, 9};
	attach(w);
	assert_int_equal(w->items, 0);
	assert_int_equal(w->seen[SFU_CMD_DIGEST], 2);
	assert_int_equal(w->seen[SFU_CMD_DELETE_CONSUMER], 6);
	assert_int_equal(w->order[1], SFU_CMD_DELETE_CONSUMER);
	assert_int_equal(w->order[30], SFU_CMD_DELETE_ROOM);
	assert_int_equal(media_info(w->media)->max_transports, TRANSPORTS);
	assert_int_equal(media_info(w->media)->address[0].port, 40000);
	link_stats_page(w->dp)->value[SFU_STAT_forwarded] = 99;
	assert_int_equal(media_stats(w->media)[SFU_STAT_forwarded], 99);
}

// Above the last generation there is only the handle 0, which means that there is none.
static void an_orphan_of_the_last_generation_makes_no_handle_0(void **state)
{
	struct world *w = *state;
	struct media_ice ice;

	w->item[w->items++]
		= (struct sfu_digest_item){sfu_handle_make(0, UINT32_MAX), SFU_KIND_TRANSPORT, 1};
	attach(w);
	assert_int_equal(w->last[SFU_CMD_DELETE_TRANSPORT].handle, sfu_handle_make(0, UINT32_MAX));
	assert_int_equal(sfu_handle_index(make_transport(w, &ice)), 1);
}

static void what_waits_in_the_rings_is_known(void **state)
{
	struct world *w = *state;
	uint32_t depths[SFU_RING_COUNT];
	uint64_t room = 0;

	attach(w);
	media_ring_depths(w->media, depths);
	assert_int_equal(depths[SFU_RING_CMD], 0);
	w->deaf = true;
	for (uint64_t i = 1; i <= 5; i++)
		assert_int_equal(media_room_put(w->media, &room,
					 &(struct sfu_put_room){.required = 1, .epoch = i}),
			0);
	media_ring_depths(w->media, depths);
	assert_int_equal(depths[SFU_RING_CMD], 5);
	assert_int_equal(depths[SFU_RING_EVENT], 0);
	assert_int_equal(depths[SFU_RING_DTLS_TO_DP], 0);
	assert_int_equal(depths[SFU_RING_DTLS_TO_CTL], 0);
}

static void a_data_plane_that_tells_nonsense_is_not_attached(void **state)
{
	struct world *w = *state;
	struct sfu_event event = {.type = SFU_EVENT_DIGEST, .u.digest.count = 15};

	w->mute = true;
	dp_start(w);
	media_start(w);
	UNTIL(w, w->seen[SFU_CMD_DIGEST] == 1);
	link_push_event(w->dp, &event);
	UNTIL(w, w->seen[SFU_CMD_DIGEST] == 2); // left and tried again
	// A part of nothing is odd, but no lie.
	event.u.digest.count = 0;
	link_push_event(w->dp, &event);
	event.type = SFU_EVENT_DIGEST_END;
	event.u.digest_end.items = 5;
	link_push_event(w->dp, &event);
	UNTIL(w, w->seen[SFU_CMD_DIGEST] == 3);
	assert_int_equal(w->attached, 0);
	w->mute = false;
	link_push_event(w->dp, &event);
	UNTIL(w, w->attached == 1);
	// Answers to questions that were never asked are nothing.
	event = (struct sfu_event){.type = SFU_EVENT_ACK, .u.ack.command_id = UINT64_MAX};
	link_push_event(w->dp, &event);
	event.u.ack.command_type = UINT32_MAX;
	event.u.ack.status = UINT32_MAX;
	link_push_event(w->dp, &event);
	event = (struct sfu_event){.type = UINT32_MAX, .handle = 4};
	link_push_event(w->dp, &event);
	event = (struct sfu_event){.type = SFU_EVENT_TRANSPORT,
		.handle = UINT64_MAX,
		.u.transport.state = SFU_TRANSPORT_CONSENT_LOST};
	link_push_event(w->dp, &event);
	settle(w, 20);
	assert_true(media_attached(w->media));
	assert_int_equal(w->ended, 0);
}

static void a_transport_is_made_with_its_credentials(void **state)
{
	struct world *w = *state;
	struct media_ice ice, other;
	uint64_t transport;
	const struct sfu_put_transport *put;

	attach(w);
	transport = make_transport(w, &ice);
	put = &w->last[SFU_CMD_PUT_TRANSPORT].u.transport;
	assert_int_equal(w->last[SFU_CMD_PUT_TRANSPORT].handle, transport);
	assert_int_equal(put->peer, w->last[SFU_CMD_PUT_PEER].handle);
	assert_int_equal(put->direction, 1);
	assert_string_equal(put->label, "label");
	assert_int_equal(put->ufrag_len, strlen(ice.ufrag));
	assert_memory_equal(put->ufrag, ice.ufrag, put->ufrag_len);
	assert_int_equal(put->pwd_len, strlen(ice.pwd));
	assert_memory_equal(put->pwd, ice.pwd, put->pwd_len);
	assert_true(strlen(ice.ufrag) * 6 >= 64);
	assert_true(strlen(ice.pwd) * 6 >= 128);
	// The order of the ring is the order of the calls.
	assert_int_equal(w->order[w->order_count - 3], SFU_CMD_PUT_ROOM);
	assert_int_equal(w->order[w->order_count - 2], SFU_CMD_PUT_PEER);
	make_transport(w, &other);
	assert_string_not_equal(ice.ufrag, other.ufrag);
	assert_string_not_equal(ice.pwd, other.pwd);
}

static void a_restart_changes_the_credentials_and_nothing_else(void **state)
{
	struct world *w = *state;
	struct media_ice ice, again;
	struct sfu_command before;
	const struct sfu_command *after = &w->last[SFU_CMD_PUT_TRANSPORT];
	struct done done = {.world = w};
	uint64_t transport;
	int rc;

	attach(w);
	transport = make_transport(w, &ice);
	before = *after;
	CALL(w, rc = media_transport_restart(w->media, transport, &again, on_done, &done));
	assert_int_equal(rc, 0);
	UNTIL(w, done.calls == 1);
	assert_int_equal(done.result, MEDIA_OK);
	assert_int_equal(after->handle, transport);
	assert_int_equal(after->version, before.version + 1);
	assert_int_equal(after->u.transport.peer, before.u.transport.peer);
	assert_int_equal(after->u.transport.direction, before.u.transport.direction);
	assert_memory_equal(after->u.transport.label, before.u.transport.label, 40);
	assert_string_not_equal(ice.ufrag, again.ufrag);
	assert_string_not_equal(ice.pwd, again.pwd);
	assert_memory_equal(after->u.transport.ufrag, again.ufrag, strlen(again.ufrag));
	assert_memory_equal(after->u.transport.pwd, again.pwd, strlen(again.pwd));
	assert_int_equal(
		media_transport_restart(w->media, transport + 1, &again, on_done, &done), -ENOENT);
	// A refusal leaves the transport as it was.
	w->status[SFU_CMD_PUT_TRANSPORT] = SFU_STATUS_OCCUPIED;
	CALL(w, rc = media_transport_restart(w->media, transport, &again, on_done, &done));
	assert_int_equal(rc, 0);
	UNTIL(w, done.calls == 2);
	assert_int_equal(done.result, MEDIA_UNAVAILABLE);
	CALL(w, rc = media_transport_connect(w->media, transport, "client", NULL, 0));
	assert_int_not_equal(rc, -ENOENT);
}

static void refusals_reach_the_asker(void **state)
{
	struct world *w = *state;
	static const struct {
		uint32_t status;
		enum media_result result;
	} rows[] = {
		{SFU_STATUS_OK, MEDIA_OK},
		{SFU_STATUS_FULL, MEDIA_FULL},
		{SFU_STATUS_OCCUPIED, MEDIA_UNAVAILABLE},
		{SFU_STATUS_MALFORMED, MEDIA_REFUSED},
		{SFU_STATUS_NO_PARENT, MEDIA_REFUSED},
		{1000, MEDIA_REFUSED},
	};
	struct media_ice ice;
	uint64_t transport;

	attach(w);
	transport = make_transport(w, &ice);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct sfu_put_producer put = {.transport = transport};
		struct done done = {.world = w};
		uint64_t producer;
		int rc;

		w->status[SFU_CMD_PUT_PRODUCER] = rows[i].status;
		CALL(w, rc = media_producer_create(w->media, &put, &producer, on_done, &done));
		assert_int_equal(rc, 0);
		assert_int_equal(done.calls, 0);
		UNTIL(w, done.calls == 1);
		assert_int_equal(done.result, rows[i].result);
		// What failed is gone, so that its parent is not answered for it.
		assert_int_equal(media_producer_put(w->media, producer, &put),
			rows[i].result == MEDIA_OK ? 0 : -ENOENT);
	}
	// A local refusal calls nobody.
	const struct sfu_put_producer orphan = {.transport = transport + 1};
	struct done done = {.world = w};
	uint64_t producer;

	assert_int_equal(
		media_producer_create(w->media, &orphan, &producer, on_done, &done), -ENOENT);
	settle(w, 10);
	assert_int_equal(done.calls, 0);
}

static void no_answer_is_unavailable_after_a_second(void **state)
{
	struct world *w = *state;
	struct done done = {.world = w};
	struct media_ice ice;
	uint64_t peer, transport, start;

	attach(w);
	peer = make_peer(w);
	settle(w, 10);
	w->mute = true;
	start = now_us();
	assert_int_equal(
		media_transport_create(w->media, peer, true, "", &transport, &ice, on_done, &done),
		0);
	UNTIL(w, done.calls == 1);
	assert_int_equal(done.result, MEDIA_UNAVAILABLE);
	assert_in_range(now_us() - start, 950000, 1500000);
	// If it was made after all, it is unmade.
	UNTIL(w, w->seen[SFU_CMD_DELETE_TRANSPORT] == 1);
	assert_int_equal(w->last[SFU_CMD_DELETE_TRANSPORT].handle, transport);
	// The answer that comes too late changes nothing.
	dp_ack(w, &w->last[SFU_CMD_PUT_TRANSPORT], SFU_STATUS_OK);
	settle(w, 10);
	assert_int_equal(done.calls, 1);
}

static void dp_die(struct world *w)
{
	int detached = w->detached;

	link_destroy(w->dp);
	w->dp = NULL;
	UNTIL(w, w->detached == detached + 1);
}

static void dp_come_back(struct world *w)
{
	int attached = w->attached;

	memset(w->seen, 0, sizeof(w->seen));
	dp_start(w);
	UNTIL(w, w->attached == attached + 1);
}

static void a_lost_data_plane_answers_all(void **state)
{
	struct world *w = *state;
	struct done done[20];
	struct media_ice ice;
	uint64_t peer, transport, room = 0;

	w->remembers = true;
	attach(w);
	peer = make_peer(w);
	settle(w, 10);
	w->mute = true;
	for (uint32_t i = 0; i < TRANSPORTS; i++) {
		done[i] = (struct done){.world = w};
		assert_int_equal(media_transport_create(w->media, peer, false, "", &transport, &ice,
					 on_done, &done[i]),
			0);
	}
	assert_int_equal(media_transport_create(
				 w->media, peer, false, "", &transport, &ice, on_done, &done[0]),
		-ENOSPC);
	dp_die(w);
	for (uint32_t i = 0; i < TRANSPORTS; i++) {
		assert_int_equal(done[i].calls, 1);
		assert_int_equal(done[i].result, MEDIA_UNAVAILABLE);
	}
	assert_int_equal(media_room_put(w->media, &room,
				 &(struct sfu_put_room){.required = true, .epoch = 1}),
		-EAGAIN);
	w->mute = false;
	dp_come_back(w);
	// What could not be made is not wanted.
	assert_int_equal(w->seen[SFU_CMD_PUT_TRANSPORT], 0);
	make_transport(w, &ice);
	assert_true(sfu_handle_generation(w->last[SFU_CMD_PUT_TRANSPORT].handle)
		    > sfu_handle_generation(transport));
	assert_int_equal(w->ended, 0);
}

static void a_data_plane_that_remembers_goes_on(void **state)
{
	struct world *w = *state;
	struct media_ice ice;
	uint64_t room = 0, peer = 0, transport;
	struct done done = {.world = w};

	w->remembers = true;
	attach(w);
	assert_int_equal(media_room_put(w->media, &room,
				 &(struct sfu_put_room){.required = true, .epoch = 1}),
		0);
	assert_int_equal(media_peer_put(w->media, &peer, room, UINT64_MAX), 0);
	assert_int_equal(
		media_transport_create(w->media, peer, true, "", &transport, &ice, on_done, &done),
		0);
	UNTIL(w, done.calls == 1);
	dp_die(w);
	dp_come_back(w);
	assert_int_equal(w->seen[SFU_CMD_DIGEST], 1);
	assert_int_equal(w->seen[SFU_CMD_PUT_ROOM] + w->seen[SFU_CMD_PUT_TRANSPORT], 0);
	// A gate that is shut while it is away is the first thing it hears.
	dp_die(w);
	assert_int_equal(media_peer_put(w->media, &peer, room, 0), 0);
	dp_come_back(w);
	assert_int_equal(w->seen[SFU_CMD_PUT_PEER], 1);
	assert_int_equal(w->last[SFU_CMD_PUT_PEER].handle, peer);
	assert_int_equal(w->last[SFU_CMD_PUT_PEER].u.peer.open_until_us, 0);
	// So is a transport that was deleted meanwhile.
	dp_die(w);
	media_transport_delete(w->media, transport);
	dp_come_back(w);
	assert_int_equal(w->seen[SFU_CMD_DELETE_TRANSPORT], 1);
	assert_int_equal(w->last[SFU_CMD_DELETE_TRANSPORT].handle, transport);
	assert_int_equal(w->ended + w->forgotten, 0);
}

static void a_data_plane_that_forgot_ends_its_transports(void **state)
{
	struct world *w = *state;
	struct media_ice ice;
	uint64_t transport;

	w->remembers = true;
	attach(w);
	transport = make_transport(w, &ice);
	dp_die(w);
	w->items = 0;
	assert_int_equal(w->ended, 0);
	dp_come_back(w);
	assert_int_equal(w->ended, 1);
	assert_int_equal(w->last_transport, transport);
	assert_int_equal(w->why, MEDIA_END_DATAPLANE);
	assert_int_equal(w->seen[SFU_CMD_PUT_TRANSPORT], 0);
	// Rooms and members are told again, under the handles that they had.
	assert_int_equal(w->seen[SFU_CMD_PUT_ROOM], 1);
	assert_int_equal(w->seen[SFU_CMD_PUT_PEER], 1);
	assert_int_equal(w->forgotten, 0);
}

static void a_data_plane_of_another_size_is_another_one(void **state)
{
	struct world *w = *state;
	struct media_ice ice;
	uint64_t peer;

	w->remembers = true;
	attach(w);
	assert_int_equal(w->forgotten, 0);
	make_transport(w, &ice);
	peer = w->last[SFU_CMD_PUT_PEER].handle;
	dp_die(w);
	w->max_peers = 4;
	dp_come_back(w);
	assert_int_equal(w->forgotten, 1);
	assert_int_equal(w->items, 0);
	assert_int_equal(media_peer_put(w->media, &peer, 0, 0), -ENOENT);
}

// The control plane is killed, and a new one begins with what it told.
static void ctl_restart(struct world *w)
{
	struct memory *left = w->memory;

	media_let_go(w->media);
	media_destroy(w->media);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	memset(w->seen, 0, sizeof(w->seen));
	w->memory = memory_create();
	media_start(w);
	media_restore(w->media, left);
	memory_destroy(left);
}

static void a_successor_takes_over_without_a_command(void **state)
{
	struct world *w = *state;
	struct sfu_put_room as;
	struct media_ice ice;
	uint64_t room, peer, transport;
	uint32_t ssrc;

	w->remembers = true;
	w->memory = memory_create();
	attach(w);
	transport = make_transport(w, &ice);
	room = w->last[SFU_CMD_PUT_ROOM].handle;
	peer = w->last[SFU_CMD_PUT_PEER].handle;
	ssrc = media_ssrc_new(w->media);
	for (int round = 0; round < 3; round++) {
		int attached = w->attached;

		ctl_restart(w);
		assert_true(media_claim(w->media, SFU_KIND_ROOM, room));
		assert_true(media_claim(w->media, SFU_KIND_PEER, peer));
		assert_true(media_claim(w->media, SFU_KIND_TRANSPORT, transport));
		assert_false(media_claim(w->media, SFU_KIND_TRANSPORT, transport + 1));
		media_sweep(w->media);
		media_remember_all(w->media);
		media_room_get(w->media, room, &as);
		assert_true(as.required);
		assert_true(media_peer_open_until(w->media, peer) == UINT64_MAX);
		UNTIL(w, w->attached == attached + 1);
		assert_int_equal(w->seen[SFU_CMD_DIGEST], 1);
		for (int type = SFU_CMD_PUT_ROOM; type < SFU_CMD_TYPE_COUNT; type++)
			assert_int_equal(w->seen[type], 0);
		// Its SSRCs begin above all that were given out.
		assert_true(media_ssrc_new(w->media) - ssrc < 1u << 20);
		assert_true(media_ssrc_new(w->media) - ssrc >= 4 + 2 * (uint32_t)round);
	}
	// What it restored is as good as what it made.
	assert_int_equal(media_peer_put(w->media, &peer, room, 0), 0);
	media_transport_delete(w->media, transport);
	UNTIL(w, w->seen[SFU_CMD_DELETE_TRANSPORT] == 1);
	assert_int_equal(w->last[SFU_CMD_PUT_PEER].version, 2);
	assert_int_equal(w->ended + w->forgotten, 0);
}

static void what_nobody_claims_is_deleted(void **state)
{
	struct world *w = *state;
	struct media_ice ice;

	w->remembers = true;
	w->memory = memory_create();
	attach(w);
	make_transport(w, &ice);
	ctl_restart(w);
	assert_true(media_claim(w->media, SFU_KIND_ROOM, w->last[SFU_CMD_PUT_ROOM].handle));
	media_sweep(w->media);
	UNTIL(w, w->attached == 2);
	assert_int_equal(w->items, 1);
	assert_int_equal(w->seen[SFU_CMD_DELETE_TRANSPORT], 1);
	assert_int_equal(w->seen[SFU_CMD_DELETE_PEER], 1);
	assert_int_equal(w->ended + w->forgotten, 0);
}

static void a_memory_that_is_behind_is_dropped(void **state)
{
	struct world *w = *state;
	uint64_t room = 0, peer = 0;
	struct memory *old;

	w->remembers = true;
	w->memory = memory_create();
	attach(w);
	assert_int_equal(media_room_put(w->media, &room,
				 &(struct sfu_put_room){.required = true, .epoch = 1}),
		0);
	assert_int_equal(media_peer_put(w->media, &peer, room, UINT64_MAX), 0);
	// From here on the journal could not be written: the gate is shut without its knowledge.
	old = w->memory;
	w->memory = memory_create();
	assert_int_equal(media_peer_put(w->media, &peer, room, 0), 0);
	settle(w, 10);
	memory_destroy(w->memory);
	w->memory = old;
	ctl_restart(w);
	assert_true(media_claim(w->media, SFU_KIND_ROOM, room));
	assert_true(media_claim(w->media, SFU_KIND_PEER, peer));
	media_sweep(w->media);
	UNTIL(w, w->attached == 2);
	assert_int_equal(w->stale, 1);
	assert_int_equal(w->items, 0);
	assert_int_equal(w->seen[SFU_CMD_PUT_PEER], 0);
}

static void a_full_ring_keeps_gates_and_refuses_newcomers(void **state)
{
	struct world *w = *state;
	struct done done = {.world = w};
	struct media_ice ice;
	uint64_t room = 0, peer = 0, transport;

	attach(w);
	assert_int_equal(media_room_put(w->media, &room,
				 &(struct sfu_put_room){.required = true, .epoch = 0}),
		0);
	assert_int_equal(media_peer_put(w->media, &peer, room, 0), 0);
	settle(w, 10);
	w->deaf = true;
	for (uint32_t i = 1; i <= SFU_CMD_SLOTS + 500; i++)
		assert_int_equal(media_room_put(w->media, &room,
					 &(struct sfu_put_room){.required = true, .epoch = i}),
			0);
	assert_int_equal(
		media_transport_create(w->media, peer, true, "", &transport, &ice, on_done, &done),
		-EAGAIN);
	settle(w, 10);
	w->deaf = false;
	UNTIL(w, w->seen[SFU_CMD_PUT_ROOM] == SFU_CMD_SLOTS + 501);
	assert_int_equal(w->last[SFU_CMD_PUT_ROOM].u.room.epoch, SFU_CMD_SLOTS + 500);
	assert_int_equal(w->last[SFU_CMD_PUT_ROOM].version, SFU_CMD_SLOTS + 501);
	assert_int_equal(
		media_transport_create(w->media, peer, true, "", &transport, &ice, on_done, &done),
		0);
	UNTIL(w, done.calls == 1);
}

static void lost_consent_ends_a_transport(void **state)
{
	struct world *w = *state;
	struct sfu_event event
		= {.type = SFU_EVENT_TRANSPORT, .u.transport.state = SFU_TRANSPORT_VALIDATED};
	struct media_ice ice;

	attach(w);
	event.handle = make_transport(w, &ice);
	link_push_event(w->dp, &event);
	settle(w, 10);
	assert_int_equal(w->ended, 0);
	event.u.transport.state = SFU_TRANSPORT_CONSENT_LOST;
	link_push_event(w->dp, &event);
	link_push_event(w->dp, &event);
	UNTIL(w, w->ended == 1);
	assert_int_equal(w->why, MEDIA_END_CONSENT);
	assert_int_equal(w->last_transport, event.handle);
	UNTIL(w, w->seen[SFU_CMD_DELETE_TRANSPORT] == 1);
	settle(w, 10);
	assert_int_equal(w->ended, 1);
}

static void the_receiver_goes_and_all_is_answered(void **state)
{
	struct world *w = *state;
	struct done done = {.world = w};
	struct media_ice ice;
	uint64_t transport;

	attach(w);
	w->mute = true;
	assert_int_equal(media_transport_create(w->media, make_peer(w), true, "", &transport, &ice,
				 on_done, &done),
		0);
	media_set_notices(w->media, NULL);
	assert_int_equal(done.calls, 1);
	assert_int_equal(done.result, MEDIA_UNAVAILABLE);
	dp_turn(w);
	dp_ack(w, &w->last[SFU_CMD_PUT_TRANSPORT], SFU_STATUS_OK);
	settle(w, 10);
	assert_int_equal(done.calls, 1);
}

static void late_notices_hear_of_the_attach(void **state)
{
	struct world *w = *state;
	const struct media_notices notices = {
		.ctx = w,
		.on_attached = on_attached,
		.on_forgotten = on_forgotten,
		.on_transport_end = on_transport_end,
		.on_transport_connected = on_transport_connected,
	};

	attach(w);
	CALL(w, media_set_notices(w->media, &notices));
	assert_int_equal(w->attached, 1);
	UNTIL(w, w->attached == 2);
}

static int compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void ssrcs_never_repeat(void **state)
{
	struct world *w = *state;
	static uint32_t given[100000];

	media_start(w);
	for (size_t i = 0; i < 100000; i++) {
		given[i] = media_ssrc_new(w->media);
		assert_int_equal(given[i] & 1, 0);
		assert_int_not_equal(given[i], 0);
	}
	qsort(given, 100000, sizeof(*given), compare_u32);
	for (size_t i = 1; i < 100000; i++)
		assert_true(given[i] >= given[i - 1] + 2);
}

// --- DTLS --------------------------------------------------------------------------------------

static int trust_anyone(X509_STORE_CTX *store, void *arg)
{
	(void)store;
	(void)arg;
	return 1;
}

static void client_start(struct client *c, const char *profiles)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	SSL_CTX *ctx = SSL_CTX_new(DTLS_client_method());
	uint8_t digest[32];
	unsigned int len;

	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -60);
	X509_gmtime_adj(X509_getm_notAfter(x), 3600);
	X509_set_pubkey(x, key);
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	X509_digest(x, EVP_sha256(), digest, &len);
	for (size_t i = 0; i < 32; i++)
		snprintf(c->fingerprint + i * 3, 4, "%02X%s", digest[i], i < 31 ? ":" : "");
	SSL_CTX_set_cert_verify_callback(ctx, trust_anyone, NULL);
	SSL_CTX_set_options(ctx, SSL_OP_NO_QUERY_MTU);
	assert_int_equal(SSL_CTX_use_certificate(ctx, x), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(ctx, key), 1);
	if (profiles != NULL)
		assert_int_equal(SSL_CTX_set_tlsext_use_srtp(ctx, profiles), 0);
	c->ssl = SSL_new(ctx);
	SSL_CTX_free(ctx);
	X509_free(x);
	EVP_PKEY_free(key);
	// A pair of datagram sockets keeps the boundaries.
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, c->fd), 0);
	SSL_set_bio(c->ssl, BIO_new_socket(c->fd[0], BIO_NOCLOSE), NULL);
	BIO_up_ref(SSL_get_rbio(c->ssl));
	SSL_set0_wbio(c->ssl, SSL_get_rbio(c->ssl));
	SSL_set_mtu(c->ssl, 1200);
	SSL_set_connect_state(c->ssl);
}

static void client_stop(struct client *c)
{
	SSL_free(c->ssl);
	close(c->fd[0]);
	close(c->fd[1]);
}

// Let the client go on and carry its datagrams to the transport as the data plane would.
static void client_turn(struct world *w, struct client *c, uint64_t transport)
{
	ssize_t n;

	w->client = c;
	SSL_do_handshake(c->ssl);
	for (;;) {
		struct sfu_dtls_record record = {.transport = transport, .tuple = 77};

		n = recv(c->fd[1], record.bytes, sizeof(record.bytes), MSG_DONTWAIT);
		if (n <= 0)
			break;
		record.len = (uint32_t)n;
		link_push_dtls(w->dp, &record);
	}
	step(w);
}

#define CLIENT_UNTIL(w, c, transport, condition)                                                   \
	do {                                                                                       \
		uint64_t deadline = now_us() + 8000000;                                            \
                                                                                                   \
		while (!(condition)) {                                                             \
			if (now_us() > deadline)                                                   \
				fail_msg("waited in vain for " #condition);                        \
			client_turn(w, c, transport);                                              \
			usleep(100);                                                               \
		}                                                                                  \
	} while (0)

static struct media_fingerprint fingerprint_of(const struct client *c)
{
	struct media_fingerprint f = {.algorithm = "sha-256"};

	snprintf(f.value, sizeof(f.value), "%s", c->fingerprint);
	return f;
}

static void check_keys(
	const struct world *w, const struct client *c, uint16_t profile, size_t key, size_t salt)
{
	const struct sfu_put_keys *put = &w->last[SFU_CMD_PUT_KEYS].u.keys;
	uint8_t material[2 * (32 + 14)];

	assert_int_equal(put->profile, profile);
	assert_int_equal(SSL_export_keying_material(c->ssl, material, 2 * (key + salt),
				 "EXTRACTOR-dtls_srtp", 19, NULL, 0, 0),
		1);
	assert_memory_equal(put->rx_key, material, key);
	assert_memory_equal(put->tx_key, material + key, key);
	assert_memory_equal(put->rx_salt, material + 2 * key, salt);
	assert_memory_equal(put->tx_salt, material + 2 * key + salt, salt);
}

static void a_handshake_ends_in_keys(void **state)
{
	struct world *w = *state;
	static const struct {
		const char *name;
		uint16_t profile;
		size_t key, salt;
		bool connect_first;
	} rows[] = {
		{"SRTP_AEAD_AES_128_GCM", SFU_SRTP_AEAD_AES_128_GCM, 16, 12, true},
		{"SRTP_AEAD_AES_256_GCM", SFU_SRTP_AEAD_AES_256_GCM, 32, 12, false},
		{"SRTP_AES128_CM_SHA1_80", SFU_SRTP_AES128_CM_SHA1_80, 16, 14, true},
	};

	attach(w);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct client c = {0};
		struct media_fingerprint f;
		struct media_ice ice;
		uint64_t transport = make_transport(w, &ice);
		int rc = 0;

		client_start(&c, rows[i].name);
		f = fingerprint_of(&c);
		if (rows[i].connect_first)
			CALL(w, rc = media_transport_connect(w->media, transport, "client", &f, 1));
		assert_int_equal(rc, 0);
		CLIENT_UNTIL(w, &c, transport, SSL_is_init_finished(c.ssl));
		if (!rows[i].connect_first) {
			for (int n = 0; n < 20; n++)
				client_turn(w, &c, transport);
			assert_int_equal(w->seen[SFU_CMD_PUT_KEYS], i);
			CALL(w, rc = media_transport_connect(w->media, transport, "auto", &f, 1));
			assert_int_equal(rc, 0);
		}
		CLIENT_UNTIL(w, &c, transport, w->connected == (int)i + 1);
		assert_int_equal(w->last_transport, transport);
		assert_int_equal(w->last[SFU_CMD_PUT_KEYS].handle, transport);
		check_keys(w, &c, rows[i].profile, rows[i].key, rows[i].salt);
		// Once per transport; a second CONNECT changes nothing.
		assert_int_equal(media_transport_connect(w->media, transport, "client", &f, 1), 0);
		for (int n = 0; n < 20; n++)
			client_turn(w, &c, transport);
		assert_int_equal(w->seen[SFU_CMD_PUT_KEYS], i + 1);
		client_stop(&c);
	}
	assert_int_equal(w->ended, 0);
}

static void what_ends_goes_before_keys_and_keys_before_the_rest(void **state)
{
	struct world *w = *state;
	struct client c = {0};
	struct media_ice ice;
	uint64_t transport, ended, room = 0;
	struct media_fingerprint f;
	size_t at;

	attach(w);
	ended = make_transport(w, &ice);
	transport = make_transport(w, &ice);
	client_start(&c, "SRTP_AEAD_AES_128_GCM");
	f = fingerprint_of(&c);
	assert_int_equal(media_transport_connect(w->media, transport, "client", &f, 1), 0);
	settle(w, 10);
	w->deaf = true;
	w->order_count = 0;
	for (uint32_t i = 0; i < SFU_CMD_SLOTS + 100; i++)
		assert_int_equal(media_room_put(w->media, &room,
					 &(struct sfu_put_room){.required = true, .epoch = i}),
			0);
	for (int n = 0; n < 100; n++)
		client_turn(w, &c, transport);
	assert_true(SSL_is_init_finished(c.ssl));
	media_transport_delete(w->media, ended);
	w->deaf = false;
	UNTIL(w, w->order_count == SFU_CMD_SLOTS + 102);
	at = SFU_CMD_SLOTS; // what was in the ring stays before it
	assert_int_equal(w->order[at - 1], SFU_CMD_PUT_ROOM);
	assert_int_equal(w->order[at], SFU_CMD_DELETE_TRANSPORT);
	assert_int_equal(w->order[at + 1], SFU_CMD_PUT_KEYS);
	while (at + 2 < w->order_count)
		assert_int_equal(w->order[2 + at++], SFU_CMD_PUT_ROOM);
	UNTIL(w, w->connected == 1);
	client_stop(&c);
}

static void close_notify_ends_the_transport(void **state)
{
	struct world *w = *state;
	struct client c = {0};
	struct media_fingerprint f;
	struct media_ice ice;
	uint64_t transport;

	attach(w);
	transport = make_transport(w, &ice);
	client_start(&c, "SRTP_AEAD_AES_128_GCM");
	f = fingerprint_of(&c);
	assert_int_equal(media_transport_connect(w->media, transport, "client", &f, 1), 0);
	CLIENT_UNTIL(w, &c, transport, w->connected == 1 && SSL_is_init_finished(c.ssl));
	SSL_shutdown(c.ssl);
	CLIENT_UNTIL(w, &c, transport, w->ended == 1);
	assert_int_equal(w->why, MEDIA_END_DTLS);
	client_stop(&c);
}

static void another_certificate_gets_no_keys(void **state)
{
	struct world *w = *state;
	struct client c = {0};
	struct media_fingerprint f;
	struct media_ice ice;
	uint64_t transport;
	int rc;

	attach(w);
	transport = make_transport(w, &ice);
	client_start(&c, "SRTP_AEAD_AES_128_GCM");
	f = fingerprint_of(&c);
	f.value[0] = f.value[0] == 'A' ? 'B' : 'A';
	CLIENT_UNTIL(w, &c, transport, SSL_is_init_finished(c.ssl));
	for (int n = 0; n < 20; n++)
		client_turn(w, &c, transport);
	CALL(w, rc = media_transport_connect(w->media, transport, "client", &f, 1));
	assert_int_equal(rc, 0);
	CLIENT_UNTIL(w, &c, transport, w->ended == 1);
	assert_int_equal(w->why, MEDIA_END_DTLS);
	assert_int_equal(w->connected, 0);
	assert_int_equal(w->seen[SFU_CMD_PUT_KEYS], 0);
	client_stop(&c);
}

static void bad_connects_are_refused(void **state)
{
	struct world *w = *state;
	struct media_fingerprint f = {.algorithm = "sha-256", .value = "AA:BB"};
	struct client c = {0};
	struct media_ice ice;
	uint64_t transport;

	attach(w);
	transport = make_transport(w, &ice);
	client_start(&c, "SRTP_AEAD_AES_128_GCM");
	assert_int_equal(media_transport_connect(w->media, transport, "client", &f, 1), -EINVAL);
	assert_int_equal(media_transport_connect(w->media, transport, "client", NULL, 0), -EINVAL);
	f = fingerprint_of(&c);
	assert_int_equal(media_transport_connect(w->media, transport, "server", &f, 1), -EINVAL);
	strcpy(f.algorithm, "md5");
	assert_int_equal(media_transport_connect(w->media, transport, "client", &f, 1), -EINVAL);
	assert_int_equal(media_transport_connect(w->media, 5, "client", &f, 1), -ENOENT);
	// None of these has spoilt it.
	f = fingerprint_of(&c);
	assert_int_equal(media_transport_connect(w->media, transport, "client", &f, 1), 0);
	CLIENT_UNTIL(w, &c, transport, w->connected == 1);
	client_stop(&c);
}

static void a_failed_handshake_makes_way_for_a_good_one(void **state)
{
	struct world *w = *state;
	struct client bad = {0}, good = {0};
	struct sfu_dtls_record junk = {.tuple = 77, .len = 200};
	struct media_fingerprint f;
	struct media_ice ice;
	uint64_t transport;

	attach(w);
	transport = make_transport(w, &ice);
	client_start(&good, "SRTP_AEAD_AES_128_GCM");
	f = fingerprint_of(&good);
	assert_int_equal(media_transport_connect(w->media, transport, "client", &f, 1), 0);
	// Junk of every first octet, and records for nobody.
	junk.transport = transport;
	for (int i = 0; i < 256; i++) {
		memset(junk.bytes, i, junk.len);
		link_push_dtls(w->dp, &junk);
		junk.transport = i % 2 ? transport : transport + 1;
	}
	settle(w, 20);
	// A handshake that fails: no use_srtp.
	client_start(&bad, NULL);
	for (int i = 0;
		i < 200 && SSL_get_error(bad.ssl, SSL_do_handshake(bad.ssl)) != SSL_ERROR_SSL; i++)
		client_turn(w, &bad, transport);
	assert_int_equal(w->connected, 0);
	assert_int_equal(w->ended, 0);
	CLIENT_UNTIL(w, &good, transport, w->connected == 1);
	assert_int_equal(w->ended, 0);
	check_keys(w, &good, SFU_SRTP_AEAD_AES_128_GCM, 16, 12);
	client_stop(&bad);
	client_stop(&good);
}

static void refused_keys_end_the_transport(void **state)
{
	struct world *w = *state;
	struct client c = {0};
	struct media_fingerprint f;
	struct media_ice ice;
	uint64_t transport;

	attach(w);
	w->status[SFU_CMD_PUT_KEYS] = SFU_STATUS_MALFORMED;
	transport = make_transport(w, &ice);
	client_start(&c, "SRTP_AEAD_AES_128_GCM");
	f = fingerprint_of(&c);
	assert_int_equal(media_transport_connect(w->media, transport, "client", &f, 1), 0);
	CLIENT_UNTIL(w, &c, transport, w->ended == 1);
	assert_int_equal(w->connected, 0);
	client_stop(&c);
}

static uint32_t commands_seen(const struct world *w)
{
	uint32_t sum = 0;

	for (int type = 0; type < SFU_CMD_TYPE_COUNT; type++)
		sum += w->seen[type];
	return sum;
}

// Clients go on talking for as long as they have not echoed their close frames.
static void what_was_let_go_is_not_touched(void **state)
{
	struct world *w = *state;
	struct client whole = {0}, begun = {0};
	const struct sfu_put_transport *last = &w->last[SFU_CMD_PUT_TRANSPORT].u.transport;
	struct done done = {.world = w};
	uint32_t depths[SFU_RING_COUNT], sent;
	uint64_t transport[3], another, peer;
	struct media_fingerprint f;
	struct media_ice ice;

	attach(w);
	for (int i = 0; i < 3; i++)
		transport[i] = make_transport(w, &ice);
	peer = last->peer;
	// One handshake lacks nothing but the fingerprint, one is in the middle, one has not begun.
	client_start(&whole, "SRTP_AEAD_AES_128_GCM");
	CLIENT_UNTIL(w, &whole, transport[0], SSL_is_init_finished(whole.ssl));
	client_start(&begun, "SRTP_AEAD_AES_128_GCM");
	client_turn(w, &begun, transport[1]);
	settle(w, 20);
	sent = commands_seen(w);
	media_let_go(w->media);
	settle(w, 10);
	assert_false(media_foreign(w->media));
	assert_false(media_attached(w->media));
	media_ring_depths(w->media, depths);
	assert_int_equal(depths[SFU_RING_CMD], 0);
	f = fingerprint_of(&whole);
	assert_int_equal(media_transport_connect(w->media, transport[0], "client", &f, 1), 0);
	f = fingerprint_of(&begun);
	assert_int_equal(media_transport_connect(w->media, transport[2], "client", &f, 1), 0);
	// What was begun would be sent again after a second.
	for (uint64_t end = now_us() + 1200000; now_us() < end;)
		settle(w, 1);
	assert_int_equal(
		media_transport_create(w->media, peer, true, "", &another, &ice, on_done, &done),
		-EAGAIN);
	assert_int_equal(
		media_transport_restart(w->media, transport[0], &ice, on_done, &done), -EAGAIN);
	assert_int_equal(media_peer_put(w->media, &peer, w->last[SFU_CMD_PUT_ROOM].handle, 0), 0);
	for (int i = 0; i < 3; i++)
		media_transport_delete(w->media, transport[i]);
	settle(w, 10);
	assert_int_equal(done.calls, 0);
	assert_int_equal(commands_seen(w), sent);
	client_stop(&whole);
	client_stop(&begun);
}

// --- handshakes alone, with the clock in our hand ----------------------------------------------

struct bare {
	int sent, keys, ended;
};

static void bare_send(void *ctx, const struct sfu_dtls_record *record)
{
	(void)record;
	((struct bare *)ctx)->sent++;
}

static void bare_keys(void *ctx, uint64_t transport, const struct sfu_put_keys *keys)
{
	(void)transport;
	(void)keys;
	((struct bare *)ctx)->keys++;
}

static void bare_ended(void *ctx, uint64_t transport, const char *reason)
{
	(void)transport;
	(void)reason;
	((struct bare *)ctx)->ended++;
}

static size_t client_hello(struct client *c, struct sfu_dtls_record *record)
{
	ssize_t n;

	SSL_do_handshake(c->ssl);
	n = recv(c->fd[1], record->bytes, sizeof(record->bytes), MSG_DONTWAIT);
	assert_true(n > 0);
	record->len = (uint32_t)n;
	return (size_t)n;
}

static void handshakes_have_budgets(void **state)
{
	char err[128];
	struct dtls_context *dtls = dtls_context_create(NULL, err, sizeof(err));
	struct bare bare = {0};
	const struct handshake_callbacks callbacks
		= {.ctx = &bare, .send = bare_send, .on_keys = bare_keys, .on_ended = bare_ended};
	struct handshakes *h = handshakes_create(dtls, &callbacks);
	struct sfu_dtls_record hello = {.tuple = 1}, bad_hello = {.tuple = 1};
	struct client c = {0}, bad = {0};
	uint64_t now = 1000000000;

	(void)state;
	client_start(&c, "SRTP_AEAD_AES_128_GCM");
	client_hello(&c, &hello);
	assert_int_equal(handshakes_reset(h, 1000), 0);
	assert_int_equal(handshakes_next_us(h), UINT64_MAX);

	// Ten seconds for a handshake, ten more for another try, then the transport is given up.
	hello.transport = sfu_handle_make(0, 1);
	assert_int_equal(handshakes_add(h, hello.transport), 0);
	handshakes_feed(h, &hello, now);
	assert_true(bare.sent > 0);
	assert_int_equal(handshakes_live(h), 1);
	assert_true(handshakes_next_us(h) < now + 300000);
	handshakes_tick(h, now + 9999999);
	assert_int_equal(handshakes_live(h), 1);
	handshakes_tick(h, now + 10100000);
	assert_int_equal(handshakes_live(h), 0);
	assert_int_equal(bare.ended, 0);
	handshakes_tick(h, now + 19000000);
	assert_int_equal(bare.ended, 0);
	handshakes_tick(h, now + 21000000);
	assert_int_equal(bare.ended, 1);
	handshakes_feed(h, &hello, now + 21000000);
	assert_int_equal(handshakes_live(h), 0);
	handshakes_tick(h, now + 60000000);
	assert_int_equal(bare.ended, 1);
	handshakes_remove(h, hello.transport);
	assert_int_equal(handshakes_next_us(h), UINT64_MAX);

	// No more than so many at once, over all transports; a slot comes back when one goes.
	for (uint32_t i = 0; i < HANDSHAKES_AT_ONCE + 10; i++) {
		hello.transport = sfu_handle_make(i, 2);
		assert_int_equal(handshakes_add(h, hello.transport), 0);
		handshakes_feed(h, &hello, now);
	}
	assert_int_equal(handshakes_live(h), HANDSHAKES_AT_ONCE);
	handshakes_remove(h, sfu_handle_make(3, 2));
	assert_int_equal(handshakes_live(h), HANDSHAKES_AT_ONCE - 1);
	handshakes_feed(h, &hello, now);
	assert_int_equal(handshakes_live(h), HANDSHAKES_AT_ONCE);
	assert_int_equal(handshakes_reset(h, 10), 0);
	assert_int_equal(handshakes_live(h), 0);

	// Three tries at once and three a second, whoever makes them fail.
	hello.transport = sfu_handle_make(0, 3);
	assert_int_equal(handshakes_add(h, hello.transport), 0);
	now += 1000000;
	client_start(&bad, NULL); // no use_srtp: refused at its first flight
	client_hello(&bad, &bad_hello);
	bad_hello.transport = hello.transport;
	for (uint64_t round = 0; round < 4; round++) {
		int before = bare.sent;

		for (int i = 0; i < 50; i++)
			handshakes_feed(h, &bad_hello, now + round * 1000000);
		assert_int_equal(bare.sent - before, 3);
		assert_int_equal(handshakes_live(h), 0);
	}
	// And then a good one is served as if nothing had been.
	handshakes_feed(h, &hello, now + 4000000);
	assert_int_equal(handshakes_live(h), 1);
	assert_int_equal(bare.ended, 1);
	client_stop(&bad);
	handshakes_destroy(h);
	dtls_context_destroy(dtls);
	client_stop(&c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_waits_in_the_rings_is_known),
		TEST(nothing_works_without_a_data_plane),
		TEST(orphans_are_deleted_before_attached),
		TEST(an_orphan_of_the_last_generation_makes_no_handle_0),
		TEST(a_data_plane_that_tells_nonsense_is_not_attached),
		TEST(a_transport_is_made_with_its_credentials),
		TEST(a_restart_changes_the_credentials_and_nothing_else),
		TEST(refusals_reach_the_asker),
		TEST(no_answer_is_unavailable_after_a_second),
		TEST(a_lost_data_plane_answers_all),
		TEST(a_data_plane_that_remembers_goes_on),
		TEST(a_data_plane_that_forgot_ends_its_transports),
		TEST(a_data_plane_of_another_size_is_another_one),
		TEST(a_successor_takes_over_without_a_command),
		TEST(what_nobody_claims_is_deleted),
		TEST(a_memory_that_is_behind_is_dropped),
		TEST(a_full_ring_keeps_gates_and_refuses_newcomers),
		TEST(lost_consent_ends_a_transport),
		TEST(the_receiver_goes_and_all_is_answered),
		TEST(late_notices_hear_of_the_attach),
		TEST(ssrcs_never_repeat),
		TEST(a_handshake_ends_in_keys),
		TEST(what_ends_goes_before_keys_and_keys_before_the_rest),
		TEST(close_notify_ends_the_transport),
		TEST(another_certificate_gets_no_keys),
		TEST(bad_connects_are_refused),
		TEST(a_failed_handshake_makes_way_for_a_good_one),
		TEST(refused_keys_end_the_transport),
		TEST(what_was_let_go_is_not_touched),
		cmocka_unit_test(handshakes_have_budgets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
