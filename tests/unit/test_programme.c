// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/programme.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const uint32_t small[PROGRAMME_KINDS] = {
	[SFU_KIND_ROOM] = 4,
	[SFU_KIND_PEER] = 4,
	[SFU_KIND_TRANSPORT] = 8,
	[SFU_KIND_PRODUCER] = 8,
	[SFU_KIND_CONSUMER] = 8,
};

static int setup(void **state)
{
	*state = programme_create();
	return programme_reset(*state, small, 100);
}

static int teardown(void **state)
{
	programme_destroy(*state);
	return 0;
}

static uint64_t put(struct programme *p, struct sfu_command command)
{
	assert_int_equal(programme_put(p, &command), 0);
	assert_int_not_equal(command.handle, 0);
	return command.handle;
}

static uint64_t put_room(struct programme *p)
{
	return put(p, (struct sfu_command){.type = SFU_CMD_PUT_ROOM});
}

static uint64_t put_peer(struct programme *p, uint64_t room)
{
	return put(p, (struct sfu_command){.type = SFU_CMD_PUT_PEER, .u.peer.room = room});
}

static uint64_t put_transport(struct programme *p, uint64_t peer)
{
	return put(
		p, (struct sfu_command){.type = SFU_CMD_PUT_TRANSPORT, .u.transport.peer = peer});
}

static uint64_t put_producer(struct programme *p, uint64_t transport)
{
	return put(p, (struct sfu_command){
			      .type = SFU_CMD_PUT_PRODUCER, .u.producer.transport = transport});
}

static uint64_t put_consumer(struct programme *p, uint64_t transport, uint64_t producer)
{
	return put(p, (struct sfu_command){.type = SFU_CMD_PUT_CONSUMER,
			      .u.consumer = {.transport = transport, .producer = producer}});
}

static void handles_and_versions(void **state)
{
	struct programme *p = *state;
	struct sfu_command c = {.type = SFU_CMD_PUT_ROOM};
	uint64_t room;

	assert_int_equal(programme_put(p, &c), 0);
	assert_int_equal(sfu_handle_generation(c.handle), 100);
	assert_int_equal(sfu_handle_index(c.handle), 0);
	assert_int_equal(c.version, 1);
	room = c.handle;
	c.u.room.epoch = 5;
	assert_int_equal(programme_put(p, &c), 0);
	assert_int_equal(c.handle, room);
	assert_int_equal(c.version, 2);
	assert_int_equal(programme_find(p, SFU_KIND_ROOM, room)->u.room.epoch, 5);
	assert_null(programme_find(p, SFU_KIND_PEER, room));
	assert_false(programme_has(p, SFU_KIND_ROOM, room + (1ull << 32)));
	c.handle = sfu_handle_make(3, 100);
	assert_int_equal(programme_put(p, &c), -ENOENT);
	c.type = SFU_CMD_PUT_KEYS;
	assert_int_equal(programme_put(p, &c), -EINVAL);
}

static void parents_are_needed_and_kept(void **state)
{
	struct programme *p = *state;
	uint64_t a = put_room(p), b = put_room(p);
	struct sfu_command c = {.type = SFU_CMD_PUT_PEER, .u.peer.room = a};

	assert_int_equal(programme_put(p, &c), 0);
	c.u.peer.room = b;
	assert_int_equal(programme_put(p, &c), -EINVAL);
	c.handle = 0;
	c.u.peer.room = a + 7;
	assert_int_equal(programme_put(p, &c), -ENOENT);
	assert_int_equal(programme_count(p, SFU_KIND_PEER), 1);
	c = (struct sfu_command){.type = SFU_CMD_PUT_CONSUMER};
	assert_int_equal(programme_put(p, &c), -ENOENT);
}

static void a_full_table_says_so_and_slots_come_back(void **state)
{
	struct programme *p = *state;
	struct sfu_command c = {.type = SFU_CMD_PUT_ROOM}, gone;
	uint64_t rooms[4];

	for (int i = 0; i < 4; i++)
		rooms[i] = put_room(p);
	assert_int_equal(programme_put(p, &c), -ENOSPC);
	assert_int_equal(programme_delete(p, SFU_KIND_ROOM, rooms[2], &gone, NULL, NULL), 0);
	assert_int_equal(gone.type, SFU_CMD_DELETE_ROOM);
	assert_int_equal(gone.handle, rooms[2]);
	assert_int_equal(programme_delete(p, SFU_KIND_ROOM, rooms[2], &gone, NULL, NULL), -ENOENT);
	assert_int_equal(programme_put(p, &c), 0);
	assert_int_equal(sfu_handle_index(c.handle), 2);
	assert_int_equal(sfu_handle_generation(c.handle), 101);
	assert_false(programme_has(p, SFU_KIND_ROOM, rooms[2]));
}

static void a_freed_index_rests(void **state)
{
	struct programme *p = *state;
	uint32_t capacity[PROGRAMME_KINDS];
	struct sfu_command gone;
	uint64_t first;

	for (int i = 0; i < PROGRAMME_KINDS; i++)
		capacity[i] = 1000;
	assert_int_equal(programme_reset(p, capacity, 1), 0);
	first = put_room(p);
	// Passed over: the generations of before the reset.
	assert_true(sfu_handle_generation(first) >= 1);
	programme_delete(p, SFU_KIND_ROOM, first, &gone, NULL, NULL);
	for (int i = 0; i < 64; i++) {
		uint64_t room = put_room(p);

		assert_int_not_equal(sfu_handle_index(room), sfu_handle_index(first));
		programme_delete(p, SFU_KIND_ROOM, room, &gone, NULL, NULL);
	}
	assert_int_equal(sfu_handle_index(put_room(p)), sfu_handle_index(first));
	assert_int_equal(programme_count(p, SFU_KIND_ROOM), 1);
}

struct removed {
	int count;
	uint64_t handle[16];
	enum sfu_object_kind kind[16];
};

static void on_removed(void *ctx, enum sfu_object_kind kind, uint64_t handle)
{
	struct removed *r = ctx;

	r->kind[r->count] = kind;
	r->handle[r->count++] = handle;
}

static void a_parent_takes_its_children_along(void **state)
{
	struct programme *p = *state;
	struct removed removed = {0};
	struct sfu_command gone;
	uint64_t room = put_room(p), alice = put_peer(p, room), bob = put_peer(p, room);
	uint64_t send = put_transport(p, alice), recv = put_transport(p, bob);
	uint64_t producer = put_producer(p, send);
	uint64_t first = put_consumer(p, recv, producer), second = put_consumer(p, recv, producer);

	// A producer's consumers hang on the other peer's transport.
	assert_int_equal(programme_delete(p, SFU_KIND_PEER, alice, &gone, on_removed, &removed), 0);
	assert_int_equal(removed.count, 5);
	assert_int_equal(removed.kind[4], SFU_KIND_PEER);
	assert_false(programme_has(p, SFU_KIND_CONSUMER, first));
	assert_false(programme_has(p, SFU_KIND_CONSUMER, second));
	assert_true(programme_has(p, SFU_KIND_TRANSPORT, recv));
	assert_int_equal(programme_count(p, SFU_KIND_CONSUMER), 0);
	removed.count = 0;
	programme_delete(p, SFU_KIND_ROOM, room, &gone, on_removed, &removed);
	assert_int_equal(removed.count, 3);
	assert_int_equal(removed.handle[2], room);
	for (int kind = SFU_KIND_ROOM; kind < PROGRAMME_KINDS; kind++)
		assert_int_equal(programme_count(p, (enum sfu_object_kind)kind), 0);
}

// --- the difference ----------------------------------------------------------------------------

struct emitted {
	size_t count;
	struct sfu_command command[64];
};

static void on_emit(void *ctx, const struct sfu_command *command)
{
	struct emitted *e = ctx;

	assert_true(e->count < 64);
	e->command[e->count++] = *command;
}

static void an_empty_wish_deletes_all_children_first(void **state)
{
	struct programme *p = *state;
	struct emitted e = {0};
	const struct sfu_digest_item items[] = {
		{sfu_handle_make(0, 9), SFU_KIND_ROOM, 1},
		{sfu_handle_make(0, 9), SFU_KIND_CONSUMER, 4},
		{sfu_handle_make(0, 9), SFU_KIND_PEER, 1},
		{sfu_handle_make(1, 9), SFU_KIND_TRANSPORT, 1},
		{sfu_handle_make(5, 900), SFU_KIND_PRODUCER, 1},
	};

	assert_int_equal(programme_difference(p, items, 5, on_emit, &e), 5);
	assert_int_equal(e.count, 5);
	assert_int_equal(e.command[0].type, SFU_CMD_DELETE_CONSUMER);
	assert_int_equal(e.command[1].type, SFU_CMD_DELETE_PRODUCER);
	assert_int_equal(e.command[1].handle, sfu_handle_make(5, 900));
	assert_int_equal(e.command[2].type, SFU_CMD_DELETE_TRANSPORT);
	assert_int_equal(e.command[3].type, SFU_CMD_DELETE_PEER);
	assert_int_equal(e.command[4].type, SFU_CMD_DELETE_ROOM);
	assert_int_equal(programme_difference(p, NULL, 0, on_emit, &e), 0);
}

static void what_lacks_is_put_parents_first(void **state)
{
	struct programme *p = *state;
	struct emitted e = {0};
	uint64_t room = put_room(p), peer = put_peer(p, room), transport = put_transport(p, peer);
	uint64_t producer = put_producer(p, transport);
	uint64_t consumer = put_consumer(p, transport, producer);
	struct sfu_digest_item items[] = {
		{consumer, SFU_KIND_CONSUMER, 1},
		{peer, SFU_KIND_PEER, 1},
	};

	assert_int_equal(programme_difference(p, NULL, 0, on_emit, &e), 5);
	assert_int_equal(e.command[0].type, SFU_CMD_PUT_ROOM);
	assert_int_equal(e.command[1].type, SFU_CMD_PUT_PEER);
	assert_int_equal(e.command[2].type, SFU_CMD_PUT_TRANSPORT);
	assert_int_equal(e.command[3].type, SFU_CMD_PUT_PRODUCER);
	assert_int_equal(e.command[4].type, SFU_CMD_PUT_CONSUMER);
	assert_int_equal(e.command[4].u.consumer.producer, producer);
	e.count = 0;
	assert_int_equal(programme_difference(p, items, 2, on_emit, &e), 3);
	// An older one is put again, with what is wanted now.
	e.count = 0;
	items[1].version = 0;
	assert_int_equal(programme_difference(p, items, 2, on_emit, &e), 4);
	assert_int_equal(e.command[1].type, SFU_CMD_PUT_PEER);
	assert_int_equal(e.command[1].version, 1);
	// One that claims to be newer is overruled.
	e.count = 0;
	items[1].version = 77;
	assert_int_equal(programme_difference(p, items, 2, on_emit, &e), 4);
	assert_int_equal(e.command[1].version, 78);
}

static void another_generation_in_our_slot_goes_first(void **state)
{
	struct programme *p = *state;
	struct emitted e = {0};
	uint64_t room = put_room(p);
	const struct sfu_digest_item items[] = {{sfu_handle_make(0, 7), SFU_KIND_ROOM, 3}};

	assert_int_equal(programme_difference(p, items, 1, on_emit, &e), 2);
	assert_int_equal(e.command[0].type, SFU_CMD_DELETE_ROOM);
	assert_int_equal(e.command[0].handle, items[0].handle);
	assert_int_equal(e.command[1].type, SFU_CMD_PUT_ROOM);
	assert_int_equal(e.command[1].handle, room);
}

static void new_handles_are_above_what_the_digest_has(void **state)
{
	struct programme *p = *state;
	struct emitted e = {0};
	const struct sfu_digest_item items[] = {{sfu_handle_make(0, 5000), SFU_KIND_ROOM, 3}};

	programme_difference(p, items, 1, on_emit, &e);
	assert_int_equal(put_room(p), sfu_handle_make(0, 5001));
}

// A digest may say what it likes of a slot that we never used: a handle is never 0, and no
// generation comes back.
static void a_slot_whose_generations_are_used_up_is_used_no_more(void **state)
{
	struct programme *p = *state;
	struct sfu_command c = {.type = SFU_CMD_PUT_ROOM}, gone;
	struct emitted e = {0};
	const struct sfu_digest_item items[] = {
		{sfu_handle_make(0, UINT32_MAX), SFU_KIND_ROOM, 1},
		{sfu_handle_make(1, UINT32_MAX - 1), SFU_KIND_ROOM, 1},
		{sfu_handle_make(3, UINT32_MAX), SFU_KIND_ROOM, 1},
	};
	uint64_t last, other;

	assert_int_equal(programme_difference(p, items, 3, on_emit, &e), 3);
	last = put_room(p);
	assert_int_equal(last, sfu_handle_make(1, UINT32_MAX));
	other = put_room(p);
	assert_int_equal(sfu_handle_index(other), 2);
	assert_int_equal(programme_put(p, &c), -ENOSPC);
	assert_int_equal(programme_count(p, SFU_KIND_ROOM), 2);
	// Where the last generation was given out, none follows it.
	assert_int_equal(programme_delete(p, SFU_KIND_ROOM, last, &gone, NULL, NULL), 0);
	assert_int_equal(programme_put(p, &c), -ENOSPC);
	assert_int_equal(programme_delete(p, SFU_KIND_ROOM, other, &gone, NULL, NULL), 0);
	for (int i = 0; i < 10; i++) {
		other = put_room(p);
		assert_int_equal(sfu_handle_index(other), 2);
		assert_int_equal(programme_delete(p, SFU_KIND_ROOM, other, &gone, NULL, NULL), 0);
	}
	// Other tables are new ones.
	assert_int_equal(programme_reset(p, small, 100), 0);
	for (int i = 0; i < 4; i++)
		put_room(p);
}

static void impossible_items_are_passed_over(void **state)
{
	struct programme *p = *state;
	struct emitted e = {0};
	const struct sfu_digest_item items[] = {
		{0, SFU_KIND_ROOM, 0},
		{7, SFU_KIND_ROOM, 0},
		{sfu_handle_make(1, 1), SFU_KIND_NONE, 0},
		{sfu_handle_make(1, 1), 99, 0},
		{sfu_handle_make(1, 1), UINT32_MAX, 0},
		{sfu_handle_make(UINT32_MAX, UINT32_MAX), SFU_KIND_CONSUMER, UINT32_MAX},
	};

	assert_int_equal(programme_difference(p, items, 6, on_emit, &e), 1);
	assert_int_equal(e.command[0].handle, UINT64_MAX);
}

// Any order of puts, deletes and lost data planes: after the difference both sides agree.
static void random_histories_converge(void **state)
{
	struct programme *p = *state;
	uint64_t handles[PROGRAMME_KINDS][64] = {0};

	srand(1);
	for (int n = 0; n < 20000; n++) {
		enum sfu_object_kind kind = SFU_KIND_ROOM + rand() % 5;
		uint64_t *slot = &handles[kind][rand() % 16];
		struct sfu_command c = {.handle = rand() % 2 ? *slot : 0};

		switch (kind) {
		case SFU_KIND_ROOM:
			c.type = SFU_CMD_PUT_ROOM;
			break;
		case SFU_KIND_PEER:
			c.type = SFU_CMD_PUT_PEER;
			c.u.peer.room = handles[SFU_KIND_ROOM][rand() % 16];
			break;
		case SFU_KIND_TRANSPORT:
			c.type = SFU_CMD_PUT_TRANSPORT;
			c.u.transport.peer = handles[SFU_KIND_PEER][rand() % 16];
			break;
		case SFU_KIND_PRODUCER:
			c.type = SFU_CMD_PUT_PRODUCER;
			c.u.producer.transport = handles[SFU_KIND_TRANSPORT][rand() % 16];
			break;
		default:
			c.type = SFU_CMD_PUT_CONSUMER;
			c.u.consumer.transport = handles[SFU_KIND_TRANSPORT][rand() % 16];
			c.u.consumer.producer = handles[SFU_KIND_PRODUCER][rand() % 16];
			break;
		}
		if (rand() % 4 == 0)
			programme_delete(p, kind, *slot, &c, NULL, NULL);
		else if (programme_put(p, &c) == 0)
			*slot = c.handle;
		if (n % 100 == 0) {
			struct emitted e = {0};
			struct sfu_digest_item items[64];
			size_t count = 0;

			// What a fresh data plane is told, it then reports: nothing is left to say.
			programme_difference(p, NULL, 0, on_emit, &e);
			for (size_t i = 0; i < e.count; i++) {
				static const uint8_t kind_of[SFU_CMD_TYPE_COUNT] = {
					[SFU_CMD_PUT_ROOM] = SFU_KIND_ROOM,
					[SFU_CMD_PUT_PEER] = SFU_KIND_PEER,
					[SFU_CMD_PUT_TRANSPORT] = SFU_KIND_TRANSPORT,
					[SFU_CMD_PUT_PRODUCER] = SFU_KIND_PRODUCER,
					[SFU_CMD_PUT_CONSUMER] = SFU_KIND_CONSUMER,
				};

				items[count].handle = e.command[i].handle;
				items[count].kind = kind_of[e.command[i].type];
				items[count++].version = e.command[i].version;
			}
			e.count = 0;
			assert_int_equal(programme_difference(p, items, count, on_emit, &e), 0);
		}
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(handles_and_versions),
		TEST(parents_are_needed_and_kept),
		TEST(a_full_table_says_so_and_slots_come_back),
		TEST(a_freed_index_rests),
		TEST(a_parent_takes_its_children_along),
		TEST(an_empty_wish_deletes_all_children_first),
		TEST(what_lacks_is_put_parents_first),
		TEST(another_generation_in_our_slot_goes_first),
		TEST(new_handles_are_above_what_the_digest_has),
		TEST(a_slot_whose_generations_are_used_up_is_used_no_more),
		TEST(impossible_items_are_passed_over),
		TEST(random_histories_converge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
