// SPDX-License-Identifier: BSD-3-Clause
/*
 * The programme in the data plane: what it refuses, what it removes with what, and that nothing is
 * reused while a worker may look at it.
 */
#include "sfu-dp/table/ufrag.h"
#include "shared/event.h"
#include "tests/support/dp_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <malloc.h>

#define OPEN UINT64_MAX
#define RANDOM_COMMANDS 100000u

static struct sfu_command room(uint32_t index, uint32_t generation)
{
	return (struct sfu_command){
		.type = SFU_CMD_PUT_ROOM,
		.version = 1,
		.handle = sfu_handle_make(index, generation),
		.u.room = {.required = 1},
	};
}

static struct sfu_command peer(uint32_t index, uint32_t generation, uint64_t in)
{
	return (struct sfu_command){
		.type = SFU_CMD_PUT_PEER,
		.version = 1,
		.handle = sfu_handle_make(index, generation),
		.u.peer = {.room = in, .open_until_us = OPEN},
	};
}

static struct sfu_command transport(
	uint32_t index, uint32_t generation, uint64_t of, uint8_t direction)
{
	struct sfu_command cmd = {
		.type = SFU_CMD_PUT_TRANSPORT,
		.version = 1,
		.handle = sfu_handle_make(index, generation),
		.u.transport = {.peer = of, .direction = direction, .pwd_len = 22},
	};

	cmd.u.transport.ufrag_len = (uint8_t)snprintf(
		(char *)cmd.u.transport.ufrag, SFU_UFRAG_BYTES, "u%u.%u", index, generation);
	memset(cmd.u.transport.pwd, 'p', 22);
	return cmd;
}

static struct sfu_command keys(uint64_t of)
{
	return (struct sfu_command){
		.type = SFU_CMD_PUT_KEYS,
		.version = 1,
		.handle = of,
		.u.keys = {.profile = SFU_SRTP_AEAD_AES_128_GCM, .rx_key = {1}, .tx_key = {2}},
	};
}

static struct sfu_command producer(uint32_t index, uint32_t generation, uint64_t of, uint32_t ssrc)
{
	return (struct sfu_command){
		.type = SFU_CMD_PUT_PRODUCER,
		.version = 1,
		.handle = sfu_handle_make(index, generation),
		.u.producer = {
			.transport = of,
			.kind = SFU_AUDIO,
			.codec_count = 1,
			.encoding_count = 1,
			.codec = {{111, 100, SFU_CODEC_OPUS, 0, 48000}},
			.encoding = {{.ssrc = ssrc}},
		},
	};
}

static struct sfu_command consumer(
	uint32_t index, uint32_t generation, uint64_t of, uint64_t what, uint32_t ssrc)
{
	return (struct sfu_command){
		.type = SFU_CMD_PUT_CONSUMER,
		.version = 1,
		.handle = sfu_handle_make(index, generation),
		.u.consumer = {
			.transport = of,
			.producer = what,
			.ssrc = ssrc,
			.encoding = 255,
			.payload_type_count = 1,
			.payload_type = {100},
		},
	};
}

static uint32_t apply(struct world *w, struct sfu_command cmd)
{
	return world_apply(w, &cmd);
}

static uint32_t delete_one(struct world *w, uint32_t type, uint64_t handle)
{
	return apply(w, (struct sfu_command){.type = type, .handle = handle});
}

#define H(index, generation) sfu_handle_make(index, generation)

/** Room 0; peers 0 and 1; transport 0 sends, 1 receives; producer 0, consumer 0. */
static struct world *small_call(void)
{
	struct world *w = world_open(2, true, NULL);

	assert_non_null(w);
	assert_int_equal(apply(w, room(0, 1)), SFU_STATUS_OK);
	assert_int_equal(apply(w, peer(0, 1, H(0, 1))), SFU_STATUS_OK);
	assert_int_equal(apply(w, peer(1, 1, H(0, 1))), SFU_STATUS_OK);
	assert_int_equal(apply(w, transport(0, 1, H(0, 1), 1)), SFU_STATUS_OK);
	assert_int_equal(apply(w, transport(1, 1, H(1, 1), 2)), SFU_STATUS_OK);
	assert_int_equal(apply(w, producer(0, 1, H(0, 1), 1000)), SFU_STATUS_OK);
	assert_int_equal(apply(w, consumer(0, 1, H(1, 1), H(0, 1), 2000)), SFU_STATUS_OK);
	return w;
}

static void a_command_that_makes_no_sense_changes_nothing(void **state)
{
	struct world *w = small_call();
	struct programme_figures before, after;
	struct sfu_command bad[40];
	unsigned n = 0;

	(void)state;
	programme_figures(w->programme, &before);
	bad[n] = room(1, 0);
	bad[n++].version = 9;
	bad[n] = room(1, 1);
	bad[n++].u.room.required = 2;
	bad[n] = transport(2, 1, H(0, 1), 3);
	n++;
	bad[n] = transport(2, 1, H(0, 1), 1);
	bad[n++].u.transport.ufrag_len = 3;
	bad[n] = transport(2, 1, H(0, 1), 1);
	bad[n++].u.transport.ufrag_len = 33;
	bad[n] = transport(2, 1, H(0, 1), 1);
	bad[n++].u.transport.pwd_len = 21;
	bad[n] = transport(2, 1, H(0, 1), 1);
	bad[n++].u.transport.pwd_len = 255;
	bad[n] = transport(2, 1, H(0, 1), 1);
	bad[n++].u.transport.ufrag[1] = ':';
	bad[n] = transport(2, 1, H(0, 1), 1);
	memcpy(bad[n].u.transport.ufrag, "u0.1", 4); // In use.
	bad[n++].u.transport.ufrag_len = 4;
	bad[n] = keys(H(0, 1));
	bad[n++].u.keys.profile = 2;
	bad[n] = producer(1, 1, H(1, 1), 5); // On a transport that receives.
	n++;
	bad[n] = producer(1, 1, H(0, 1), 5);
	bad[n++].u.producer.kind = 3;
	bad[n] = producer(1, 1, H(0, 1), 5);
	bad[n++].u.producer.codec_count = SFU_MAX_CODECS + 1;
	bad[n] = producer(1, 1, H(0, 1), 5);
	bad[n++].u.producer.codec[0].payload_type = 128;
	bad[n] = producer(1, 1, H(0, 1), 5);
	bad[n++].u.producer.codec[0].mapped_payload_type = 200;
	bad[n] = producer(1, 1, H(0, 1), 5);
	bad[n++].u.producer.codec[0].clock_rate_hz = 0;
	bad[n] = producer(1, 1, H(0, 1), 5);
	bad[n++].u.producer.encoding_count = 0;
	bad[n] = producer(1, 1, H(0, 1), 5);
	bad[n++].u.producer.encoding[0].rid_len = 16;
	bad[n] = producer(1, 1, H(0, 1), 5);
	bad[n++].u.producer.ext_count = SFU_MAX_EXTS + 1;
	bad[n] = producer(1, 1, H(0, 1), 5);
	bad[n].u.producer.ext_count = 1;
	bad[n++].u.producer.ext[0] = (struct sfu_ext_id){1, SFU_EXT_COUNT};
	bad[n] = producer(1, 1, H(0, 1), 5);
	bad[n++].u.producer.mid_len = 16;
	bad[n] = producer(1, 1, H(0, 1), 5);
	bad[n++].u.producer.cname_len = 32;
	bad[n] = producer(1, 1, H(0, 1), 5);
	bad[n++].u.producer.flags = 0x80;
	bad[n] = consumer(1, 1, H(0, 1), H(0, 1), 5); // On a transport that sends.
	n++;
	bad[n] = consumer(1, 1, H(1, 1), H(0, 1), 0);
	n++;
	bad[n] = consumer(1, 1, H(1, 1), H(0, 1), 5);
	bad[n++].u.consumer.rtx_ssrc = 5;
	bad[n] = consumer(1, 1, H(1, 1), H(0, 1), 5);
	bad[n++].u.consumer.encoding = 3;
	bad[n] = consumer(1, 1, H(1, 1), H(0, 1), 5);
	bad[n++].u.consumer.payload_type_count = 0;
	bad[n] = consumer(1, 1, H(1, 1), H(0, 1), 5);
	bad[n++].u.consumer.payload_type[0] = 255;
	bad[n] = consumer(1, 1, H(1, 1), H(0, 1), 5);
	bad[n++].u.consumer.mid_len = 16;
	bad[n] = consumer(1, 1, H(1, 1), H(0, 1), 5);
	bad[n].u.consumer.ext_count = 2;
	bad[n].u.consumer.ext[0] = (struct sfu_ext_id){1, SFU_EXT_MID};
	bad[n++].u.consumer.ext[1] = (struct sfu_ext_id){1, SFU_EXT_AUDIO_LEVEL};
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(world_apply(w, &bad[i]), SFU_STATUS_MALFORMED);
	assert_int_equal(apply(w, (struct sfu_command){.type = 77}), SFU_STATUS_UNSUPPORTED);
	assert_int_equal(
		apply(w, (struct sfu_command){.type = SFU_CMD_DIGEST}), SFU_STATUS_UNSUPPORTED);
	programme_figures(w->programme, &after);
	assert_memory_equal(&before, &after, sizeof(before));
	world_close(w);
}

static void a_child_needs_its_parents(void **state)
{
	struct world *w = small_call();

	(void)state;
	assert_int_equal(apply(w, peer(2, 1, H(1, 1))), SFU_STATUS_NO_PARENT);
	assert_int_equal(apply(w, peer(2, 1, H(0, 2))), SFU_STATUS_NO_PARENT);
	assert_int_equal(apply(w, peer(2, 1, H(9999, 1))), SFU_STATUS_NO_PARENT);
	assert_int_equal(apply(w, peer(2, 1, 0)), SFU_STATUS_NO_PARENT);
	assert_int_equal(apply(w, transport(2, 1, H(5, 1), 1)), SFU_STATUS_NO_PARENT);
	assert_int_equal(apply(w, keys(H(2, 1))), SFU_STATUS_NO_PARENT);
	assert_int_equal(apply(w, producer(1, 1, H(2, 1), 5)), SFU_STATUS_NO_PARENT);
	assert_int_equal(apply(w, consumer(1, 1, H(1, 1), H(1, 1), 5)), SFU_STATUS_NO_PARENT);
	assert_int_equal(apply(w, consumer(1, 1, H(2, 1), H(0, 1), 5)), SFU_STATUS_NO_PARENT);
	// Two rooms: nobody hears across.
	assert_int_equal(apply(w, room(1, 1)), SFU_STATUS_OK);
	assert_int_equal(apply(w, peer(2, 1, H(1, 1))), SFU_STATUS_OK);
	assert_int_equal(apply(w, transport(2, 1, H(2, 1), 2)), SFU_STATUS_OK);
	assert_int_equal(apply(w, consumer(1, 1, H(2, 1), H(0, 1), 5)), SFU_STATUS_MALFORMED);
	// Indices beyond the pools.
	assert_int_equal(apply(w, room(4, 1)), SFU_STATUS_FULL);
	assert_int_equal(apply(w, room(UINT32_MAX, 1)), SFU_STATUS_FULL);
	world_close(w);
}

static void versions_and_generations_decide(void **state)
{
	struct world *w = small_call();
	struct sfu_command cmd = peer(0, 1, H(0, 1));

	(void)state;
	cmd.version = 5;
	cmd.u.peer.open_until_us = 7;
	assert_int_equal(world_apply(w, &cmd), SFU_STATUS_OK);
	assert_true(atomic_load(&w->objects.peers[0].open_until_us) == 7);
	// The same version again changes nothing, whatever it says.
	cmd.u.peer.open_until_us = 8;
	assert_int_equal(world_apply(w, &cmd), SFU_STATUS_OK);
	assert_true(atomic_load(&w->objects.peers[0].open_until_us) == 7);
	cmd.version = 4;
	assert_int_equal(world_apply(w, &cmd), SFU_STATUS_STALE);
	assert_true(atomic_load(&w->objects.peers[0].open_until_us) == 7);
	assert_int_equal(apply(w, peer(0, 2, H(0, 1))), SFU_STATUS_OCCUPIED);
	assert_int_equal(delete_one(w, SFU_CMD_DELETE_PEER, H(0, 2)), SFU_STATUS_NO_OBJECT);
	assert_int_equal(delete_one(w, SFU_CMD_DELETE_PEER, H(0, 1)), SFU_STATUS_OK);
	assert_int_equal(delete_one(w, SFU_CMD_DELETE_PEER, H(0, 1)), SFU_STATUS_NO_OBJECT);
	world_turn(w);
	// A deleted generation never comes back.
	assert_int_equal(apply(w, peer(0, 1, H(0, 1))), SFU_STATUS_STALE);
	assert_int_equal(apply(w, peer(0, 2, H(0, 1))), SFU_STATUS_OK);
	world_close(w);
}

static void what_is_set_once_cannot_be_set_again(void **state)
{
	struct world *w = small_call();
	struct sfu_command cmd;

	(void)state;
	assert_int_equal(apply(w, keys(H(0, 1))), SFU_STATUS_OK);
	assert_int_equal(apply(w, keys(H(0, 1))), SFU_STATUS_OK);
	cmd = keys(H(0, 1));
	cmd.version = 2;
	assert_int_equal(world_apply(w, &cmd), SFU_STATUS_OCCUPIED);
	cmd.version = 0;
	assert_int_equal(world_apply(w, &cmd), SFU_STATUS_STALE);
	cmd = producer(0, 1, H(0, 1), 1001);
	cmd.version = 2;
	assert_int_equal(world_apply(w, &cmd), SFU_STATUS_UNSUPPORTED);
	cmd = producer(0, 1, H(0, 1), 1000);
	cmd.version = 2;
	cmd.u.producer.flags = SFU_PRODUCER_E2EE;
	assert_int_equal(world_apply(w, &cmd), SFU_STATUS_UNSUPPORTED);
	cmd.u.producer.flags = SFU_PRODUCER_PAUSED;
	assert_int_equal(world_apply(w, &cmd), SFU_STATUS_OK);
	cmd = consumer(0, 1, H(1, 1), H(0, 1), 2001);
	cmd.version = 2;
	assert_int_equal(world_apply(w, &cmd), SFU_STATUS_UNSUPPORTED);
	cmd = consumer(0, 1, H(1, 1), H(0, 1), 2000);
	cmd.version = 2;
	cmd.u.consumer.flags = SFU_CONSUMER_PAUSED;
	cmd.u.consumer.encoding = 0;
	assert_int_equal(world_apply(w, &cmd), SFU_STATUS_OK);
	cmd = transport(0, 1, H(0, 1), 1);
	cmd.version = 2;
	cmd.u.transport.direction = 2;
	assert_int_equal(world_apply(w, &cmd), SFU_STATUS_UNSUPPORTED);
	// ICE restart.
	cmd.u.transport.direction = 1;
	cmd.u.transport.ufrag[0] = 'v';
	cmd.u.transport.pwd[0] = 'q';
	assert_int_equal(world_apply(w, &cmd), SFU_STATUS_OK);
	assert_true(ufrag_find(w->ufrags, (const uint8_t *)"v0.1", 4) == H(0, 1));
	assert_true(ufrag_find(w->ufrags, (const uint8_t *)"u0.1", 4) == H(0, 1));
	world_close(w);
}

static void a_key_frame_is_asked_for_who_can_get_it(void **state)
{
	struct world *w = small_call();
	struct producer *p = &w->objects.producers[0];
	struct sfu_command cmd = consumer(0, 1, H(1, 1), H(0, 1), 2000);
	const struct sfu_command ask = {.type = SFU_CMD_KEY_FRAME, .handle = H(0, 1), .version = 1};

	(void)state;
	p->put.kind = SFU_VIDEO; // the call is audio
	for (int keyed = 0; keyed < 2; keyed++) {
		if (keyed)
			assert_int_equal(apply(w, keys(H(1, 1))), SFU_STATUS_OK);
		for (uint32_t flags = SFU_CONSUMER_PAUSED + 1; flags-- > 0;) {
			cmd.version++;
			cmd.u.consumer.flags = flags;
			assert_int_equal(world_apply(w, &cmd), SFU_STATUS_OK);
		}
		assert_int_equal(atomic_exchange(&p->key_frame_wanted, 0), keyed);
		assert_int_equal(apply(w, ask), SFU_STATUS_OK);
		assert_int_equal(atomic_exchange(&p->key_frame_wanted, 0), keyed);
	}
	world_close(w);
}

static void an_ssrc_is_given_once_under_one_key(void **state)
{
	struct world *w = small_call();
	struct sfu_command cmd;

	(void)state;
	assert_int_equal(apply(w, consumer(1, 1, H(1, 1), H(0, 1), 2000)), SFU_STATUS_SSRC_USED);
	assert_int_equal(delete_one(w, SFU_CMD_DELETE_CONSUMER, H(0, 1)), SFU_STATUS_OK);
	world_turn(w);
	// Gone, but its packets were sent.
	assert_int_equal(apply(w, consumer(0, 2, H(1, 1), H(0, 1), 2000)), SFU_STATUS_SSRC_USED);
	cmd = consumer(0, 2, H(1, 1), H(0, 1), 2002);
	cmd.u.consumer.rtx_ssrc = 2000;
	assert_int_equal(world_apply(w, &cmd), SFU_STATUS_SSRC_USED);
	for (uint32_t i = 0; i < 100; i++) {
		// Rising, as they have to.
		cmd = consumer(0, 2 + i, H(1, 1), H(0, 1), 3000 + 2 * i);
		cmd.u.consumer.rtx_ssrc = cmd.u.consumer.ssrc + 1;
		assert_int_equal(world_apply(w, &cmd), SFU_STATUS_OK);
		assert_int_equal(delete_one(w, SFU_CMD_DELETE_CONSUMER, cmd.handle), SFU_STATUS_OK);
		world_turn(w);
	}
	// However many there were, and also for a successor.
	for (unsigned life = 0; life < 2; life++) {
		for (uint32_t ssrc = 3000; ssrc < 3200; ssrc++)
			assert_int_equal(apply(w, consumer(0, 499, H(1, 1), H(0, 1), ssrc)),
				SFU_STATUS_SSRC_USED);
		assert_int_equal(apply(w, consumer(1 + life, 1, H(1, 1), H(0, 1), 3200 + life)),
			SFU_STATUS_OK);
		w = world_die(w, 2);
		assert_non_null(w);
	}
	// One that lives between such as are gone is made again all the same.
	assert_int_equal(delete_one(w, SFU_CMD_DELETE_CONSUMER, H(2, 1)), SFU_STATUS_OK);
	w = world_die(w, 2);
	assert_non_null(w);
	assert_int_equal(atomic_load(&w->objects.consumers[1].handle), H(1, 1));
	assert_int_equal(apply(w, consumer(2, 2, H(1, 1), H(0, 1), 3200)), SFU_STATUS_SSRC_USED);
	assert_int_equal(apply(w, consumer(2, 2, H(1, 1), H(0, 1), 3201)), SFU_STATUS_SSRC_USED);
	assert_int_equal(apply(w, consumer(2, 2, H(1, 1), H(0, 1), 3202)), SFU_STATUS_OK);
	assert_int_equal(delete_one(w, SFU_CMD_DELETE_CONSUMER, H(1, 1)), SFU_STATUS_OK);
	assert_int_equal(delete_one(w, SFU_CMD_DELETE_CONSUMER, H(2, 2)), SFU_STATUS_OK);
	world_turn(w);
	// Another transport has other keys.
	assert_int_equal(apply(w, transport(2, 1, H(1, 1), 2)), SFU_STATUS_OK);
	assert_int_equal(apply(w, consumer(0, 500, H(2, 1), H(0, 1), 2000)), SFU_STATUS_OK);
	// What a client announces is its own once, too.
	assert_int_equal(apply(w, producer(1, 1, H(0, 1), 1000)), SFU_STATUS_SSRC_USED);
	assert_int_equal(delete_one(w, SFU_CMD_DELETE_PRODUCER, H(0, 1)), SFU_STATUS_OK);
	assert_int_equal(apply(w, producer(1, 1, H(0, 1), 1000)), SFU_STATUS_OK);
	world_close(w);
}

static void a_parent_takes_its_children_along(void **state)
{
	static const struct {
		uint32_t type;
		uint32_t left[5]; /* rooms, peers, transports, producers, consumers */
	} rows[] = {
		{SFU_CMD_DELETE_CONSUMER, {1, 2, 2, 1, 0}},
		{SFU_CMD_DELETE_PRODUCER, {1, 2, 2, 0, 0}},
		{SFU_CMD_DELETE_TRANSPORT, {1, 2, 1, 0, 0}},
		{SFU_CMD_DELETE_PEER, {1, 1, 1, 0, 0}},
		{SFU_CMD_DELETE_ROOM, {0, 0, 0, 0, 0}},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct world *w = small_call();
		struct programme_figures f;

		assert_int_equal(delete_one(w, rows[i].type, H(0, 1)), SFU_STATUS_OK);
		programme_figures(w->programme, &f);
		assert_int_equal(f.rooms, rows[i].left[0]);
		assert_int_equal(f.peers, rows[i].left[1]);
		assert_int_equal(f.transports, rows[i].left[2]);
		assert_int_equal(f.producers, rows[i].left[3]);
		assert_int_equal(f.consumers, rows[i].left[4]);
		assert_null(consumer_find(&w->objects, H(0, 1)));
		if (rows[i].type == SFU_CMD_DELETE_TRANSPORT) {
			assert_null(transport_find(&w->objects, H(0, 1)));
			assert_true(ufrag_find(w->ufrags, (const uint8_t *)"u0.1", 4) == 0);
		}
		world_turn(w);
		programme_figures(w->programme, &f);
		assert_int_equal(f.retired, 0);
		world_close(w);
	}
}

/** What a producer with many consumers leaves for the workers to let go of is linear in them. */
static void the_end_of_a_producer_takes_little_memory(void **state)
{
	const uint32_t n = 500;
	struct objects_limits limits = {1, 2, n + 1, 1, n};
	struct world *w = world_open(1, true, &limits);
	struct programme_figures f;
	size_t before;

	(void)state;
	assert_non_null(w);
	assert_int_equal(apply(w, room(0, 1)), SFU_STATUS_OK);
	assert_int_equal(apply(w, peer(0, 1, H(0, 1))), SFU_STATUS_OK);
	assert_int_equal(apply(w, peer(1, 1, H(0, 1))), SFU_STATUS_OK);
	assert_int_equal(apply(w, transport(n, 1, H(0, 1), 1)), SFU_STATUS_OK);
	assert_int_equal(apply(w, producer(0, 1, H(n, 1), 1000)), SFU_STATUS_OK);
	for (uint32_t i = 0; i < n; i++) {
		assert_int_equal(apply(w, transport(i, 1, H(1, 1), 2)), SFU_STATUS_OK);
		atomic_store(&w->objects.transports[i].owner, 0);
		assert_int_equal(apply(w, consumer(i, 1, H(i, 1), H(0, 1), 2000)), SFU_STATUS_OK);
	}
	world_turn(w);
	do {
		world_turn(w);
		programme_figures(w->programme, &f);
	} while (f.retired);
	before = mallinfo2().uordblks;
	assert_int_equal(delete_one(w, SFU_CMD_DELETE_PRODUCER, H(0, 1)), SFU_STATUS_OK);
	assert_true(mallinfo2().uordblks < before + n * 100);
	programme_figures(w->programme, &f);
	assert_int_equal(f.consumers + f.producers, 0);
	// For one worker its list, for each transport its own; slots of all.
	assert_int_equal(f.retired, 1 + n + n + 1 + 1);
	world_close(w);
}

static void a_slot_is_reused_only_when_no_worker_can_look(void **state)
{
	struct world *w = small_call();
	struct consumer *c = &w->objects.consumers[0];

	(void)state;
	assert_int_equal(apply(w, keys(H(0, 1))), SFU_STATUS_OK);
	world_turn(w);
	assert_int_equal(delete_one(w, SFU_CMD_DELETE_TRANSPORT, H(0, 1)), SFU_STATUS_OK);
	assert_int_equal(delete_one(w, SFU_CMD_DELETE_CONSUMER, H(0, 1)), SFU_STATUS_NO_OBJECT);
	// The workers have not moved: what one of them may hold stays as it was.
	programme_reclaim(w->programme);
	assert_int_equal(c->put.ssrc, 2000);
	assert_non_null(atomic_load(&w->objects.transports[0].keys));
	assert_int_equal(apply(w, transport(0, 2, H(0, 1), 1)), SFU_STATUS_OCCUPIED);
	rte_rcu_qsbr_quiescent(w->qsbr, 0);
	programme_reclaim(w->programme);
	assert_int_equal(c->put.ssrc, 2000);
	rte_rcu_qsbr_quiescent(w->qsbr, 1);
	programme_reclaim(w->programme);
	assert_int_equal(c->put.ssrc, 0);
	assert_null(atomic_load(&w->objects.transports[0].keys));
	assert_int_equal(apply(w, transport(0, 2, H(0, 1), 1)), SFU_STATUS_OK);
	world_close(w);
}

/** Everything of the small call, one object at a time; the process dies after the given part. */
static void remove_in_parts(unsigned type, uint32_t left, unsigned die_after)
{
	struct sfu_command cmd = {.type = type, .handle = H(0, 1)};
	struct world *w = small_call();
	struct programme_figures f;
	uint32_t status = SFU_STATUS_OK;
	unsigned parts = 1;

	assert_int_equal(apply(w, keys(H(1, 1))), SFU_STATUS_OK);
	world_turn(w);
	for (; parts <= die_after && !programme_go_on(w->programme, &cmd, 1, &status); parts++) {
		struct worker_notice n = {.kind = NOTICE_CLAIMED, .transport = H(1, 1)};

		// What goes on meanwhile finds neither what is gone nor what is going.
		programme_notice(w->programme, &w->workers[0], &n);
		n.kind = NOTICE_RESTARTED;
		programme_notice(w->programme, &w->workers[0], &n);
		world_turn(w);
	}
	if (parts > die_after)
		w = world_die(w, 2);
	assert_non_null(w);
	assert_int_equal(status == SFU_STATUS_OK || parts > die_after, 1);
	world_turn(w);
	programme_figures(w->programme, &f);
	assert_int_equal(f.rooms + f.peers + f.transports + f.producers + f.consumers, left);
	assert_int_equal(apply(w, cmd), SFU_STATUS_NO_OBJECT);
	world_close(w);
}

static void a_removal_in_parts_is_the_same_removal(void **state)
{
	(void)state;
	for (unsigned die_after = 1; die_after < 10; die_after++) {
		remove_in_parts(SFU_CMD_DELETE_ROOM, 0, die_after);
		remove_in_parts(SFU_CMD_DELETE_PEER, 3, die_after);
		remove_in_parts(SFU_CMD_DELETE_TRANSPORT, 4, die_after);
		remove_in_parts(SFU_CMD_DELETE_PRODUCER, 5, die_after);
	}
}

static void a_part_is_as_large_as_it_may_be(void **state)
{
	struct sfu_command cmd = {.type = SFU_CMD_DELETE_ROOM, .handle = H(0, 1)};
	struct world *w = small_call();
	uint32_t status, there = 7;

	(void)state;
	for (bool done = false; !done;) {
		struct programme_figures f;

		done = programme_go_on(w->programme, &cmd, 2, &status);
		there -= done ? 1 : 2;
		programme_figures(w->programme, &f);
		assert_int_equal(
			f.rooms + f.peers + f.transports + f.producers + f.consumers, there);
	}
	assert_int_equal(there, 0);
	assert_int_equal(status, SFU_STATUS_OK);
	world_close(w);
}

static void a_put_that_has_to_wait_holds_up_nobody(void **state)
{
	struct sfu_command put = transport(0, 2, H(0, 1), 1);
	struct world *w = small_call();
	uint32_t status = SFU_STATUS_OK;

	(void)state;
	assert_int_equal(delete_one(w, SFU_CMD_DELETE_TRANSPORT, H(0, 1)), SFU_STATUS_OK);
	for (unsigned i = 0; i < 10; i++)
		assert_false(programme_go_on(w->programme, &put, 1, &status));
	world_turn(w);
	assert_true(programme_go_on(w->programme, &put, 1, &status));
	assert_int_equal(status, SFU_STATUS_OK);
	// One that is given up has changed nothing, also for a successor.
	assert_int_equal(delete_one(w, SFU_CMD_DELETE_TRANSPORT, H(0, 2)), SFU_STATUS_OK);
	put = transport(0, 3, H(0, 1), 1);
	assert_false(programme_go_on(w->programme, &put, 1, &status));
	assert_int_equal(programme_give_up(w->programme), SFU_STATUS_OCCUPIED);
	world_turn(w);
	w = world_die(w, 2);
	assert_non_null(w);
	assert_int_equal(delete_one(w, SFU_CMD_DELETE_TRANSPORT, H(0, 3)), SFU_STATUS_NO_OBJECT);
	assert_int_equal(apply(w, put), SFU_STATUS_OK);
	world_close(w);
}

static void the_digest_names_every_object_once(void **state)
{
	struct world *w = small_call();
	struct sfu_digest d;
	uint64_t cursor = 0;
	unsigned seen[SFU_KIND_CONSUMER + 1] = {0};

	(void)state;
	for (uint32_t i = 2; i < 16; i++)
		assert_int_equal(apply(w, peer(i, 3, H(0, 1))), SFU_STATUS_OK);
	while (programme_digest_next(w->programme, &cursor, &d)) {
		assert_in_range(d.count, 1, SFU_DIGEST_ITEMS);
		for (unsigned i = 0; i < d.count; i++) {
			assert_in_range(d.item[i].kind, SFU_KIND_ROOM, SFU_KIND_CONSUMER);
			assert_int_equal(d.item[i].version, 1);
			seen[d.item[i].kind]++;
		}
	}
	assert_int_equal(seen[SFU_KIND_ROOM], 1);
	assert_int_equal(seen[SFU_KIND_PEER], 16);
	assert_int_equal(seen[SFU_KIND_TRANSPORT], 2);
	assert_int_equal(seen[SFU_KIND_PRODUCER], 1);
	assert_int_equal(seen[SFU_KIND_CONSUMER], 1);
	world_close(w);
}

/* --- random commands --- */

static uint64_t random_state = 88172645463325252u;

static uint32_t random_below(uint32_t n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 32) % n;
}

static bool list_has(const struct consumer_list *l, const struct consumer *c)
{
	for (uint32_t i = 0; l && i < l->count; i++) {
		if (l->consumer[i] == c)
			return true;
	}
	return false;
}

/** Every list that workers see holds what it should and nothing else. */
static void check_invariants(struct world *w)
{
	struct objects *o = &w->objects;
	struct programme_figures f;
	uint32_t live = 0, in_transports = 0, in_fanouts = 0, owned = 0;

	programme_figures(w->programme, &f);
	for (uint32_t i = 0; i < o->limits.consumers; i++) {
		struct consumer *c = &o->consumers[i];
		uint8_t owner;

		if (!atomic_load(&c->handle))
			continue;
		live++;
		assert_non_null(transport_find(o, c->put.transport));
		assert_ptr_equal(producer_find(o, c->producer_handle), c->producer);
		assert_true(list_has(atomic_load(&c->transport->consumers), c));
		owner = atomic_load(&c->transport->owner);
		for (uint8_t v = 0; v < w->worker_count; v++)
			assert_true(
				list_has(atomic_load(&c->producer->fanout[v]), c) == (owner == v));
		owned += owner != DP_NO_WORKER;
	}
	assert_int_equal(live, f.consumers);
	for (uint32_t i = 0; i < o->limits.transports; i++) {
		struct transport *t = &o->transports[i];
		const struct consumer_list *l = atomic_load(&t->consumers);

		if (!atomic_load(&t->handle))
			continue;
		in_transports += l ? l->count : 0;
		for (uint32_t k = 1; l && k < l->count; k++)
			assert_true(l->consumer[k - 1]->put.ssrc < l->consumer[k]->put.ssrc);
		assert_true(
			ufrag_find(w->ufrags, t->credentials[0].ufrag, t->credentials[0].ufrag_len)
			== atomic_load(&t->handle));
	}
	assert_int_equal(in_transports, live);
	for (uint32_t i = 0; i < o->limits.producers; i++) {
		struct producer *p = &o->producers[i];

		for (unsigned v = 0; atomic_load(&p->handle) && v < w->worker_count; v++)
			in_fanouts += atomic_load(&p->fanout[v]) ? atomic_load(&p->fanout[v])->count
								 : 0;
	}
	assert_int_equal(in_fanouts, owned);
}

static void claim_one(struct world *w)
{
	uint32_t index = random_below(w->objects.limits.transports);
	struct transport *t = &w->objects.transports[index];
	struct worker_notice n = {.kind = NOTICE_CLAIMED, .transport = atomic_load(&t->handle)};
	uint8_t nobody = DP_NO_WORKER, worker = (uint8_t)random_below(w->worker_count);

	if (n.transport && atomic_compare_exchange_strong(&t->owner, &nobody, worker))
		programme_notice(w->programme, &w->workers[worker], &n);
}

/** Generations rise as time goes on, with stragglers. */
static uint32_t generation_at(unsigned step)
{
	return 1 + step + random_below(3) - random_below(step + 1 < 50 ? step + 1 : 50);
}

static struct sfu_command random_command(unsigned step)
{
	uint32_t index = random_below(6), generation = generation_at(step);
	uint64_t a = H(random_below(6), generation_at(step));
	uint64_t b = H(random_below(6), generation_at(step));
	struct sfu_command cmd;

	switch (random_below(7)) {
	case 0:
		cmd = room(index, generation);
		break;
	case 1:
		cmd = peer(index, generation, a);
		break;
	case 2:
		cmd = transport(index, generation, a, (uint8_t)(1 + random_below(2)));
		break;
	case 3:
		cmd = keys(a);
		break;
	case 4:
		cmd = producer(index, generation, a, random_below(5000));
		break;
	case 5:
		cmd = consumer(index, generation, a, b, random_below(1000000));
		break;
	default:
		cmd = (struct sfu_command){
			.type = random_below(SFU_CMD_TYPE_COUNT + 1), .handle = a};
		for (unsigned i = 0; i < sizeof(cmd.u.bytes); i++)
			cmd.u.bytes[i] = (uint8_t)random_below(256);
		break;
	}
	cmd.version = random_below(4);
	return cmd;
}

/** The live handle of a random slot, or any. */
static uint64_t some(struct world *w, unsigned kind)
{
	uint32_t i = random_below(6);

	switch (kind) {
	case SFU_KIND_ROOM:
		return i < 4 ? w->objects.rooms[i].handle : 0;
	case SFU_KIND_PEER:
		return w->objects.peers[i].handle;
	case SFU_KIND_TRANSPORT:
		return atomic_load(&w->objects.transports[i].handle);
	case SFU_KIND_PRODUCER:
		return atomic_load(&w->objects.producers[i].handle);
	default:
		return atomic_load(&w->objects.consumers[i].handle);
	}
}

/** Make most commands refer to what is there, so that they get somewhere. */
static void steer(struct world *w, struct sfu_command *cmd)
{
	if (random_below(8) == 0)
		return;
	switch (cmd->type) {
	case SFU_CMD_PUT_PEER:
		cmd->u.peer.room = some(w, SFU_KIND_ROOM);
		break;
	case SFU_CMD_PUT_TRANSPORT:
		cmd->u.transport.peer = some(w, SFU_KIND_PEER);
		break;
	case SFU_CMD_PUT_KEYS:
		cmd->handle = some(w, SFU_KIND_TRANSPORT);
		break;
	case SFU_CMD_PUT_PRODUCER:
		cmd->u.producer.transport = some(w, SFU_KIND_TRANSPORT);
		break;
	case SFU_CMD_PUT_CONSUMER:
		cmd->u.consumer.transport = some(w, SFU_KIND_TRANSPORT);
		cmd->u.consumer.producer = some(w, SFU_KIND_PRODUCER);
		break;
	case SFU_CMD_DELETE_ROOM:
		if (random_below(4) == 0)
			cmd->handle = some(w, SFU_KIND_ROOM);
		break;
	case SFU_CMD_DELETE_PEER:
		cmd->handle = some(w, SFU_KIND_PEER);
		break;
	case SFU_CMD_DELETE_CONSUMER:
		cmd->handle = some(w, SFU_KIND_CONSUMER);
		break;
	case SFU_CMD_DELETE_PRODUCER:
		cmd->handle = some(w, SFU_KIND_PRODUCER);
		break;
	case SFU_CMD_DELETE_TRANSPORT:
		cmd->handle = some(w, SFU_KIND_TRANSPORT);
		break;
	default:
		break;
	}
}

static void random_commands_keep_the_tables_whole(void **state)
{
	struct world *w = world_open(2, true, NULL);
	uint64_t accepted[SFU_CMD_TYPE_COUNT + 1] = {0};
	struct programme_figures f;

	(void)state;
	for (unsigned i = 0; i < RANDOM_COMMANDS; i++) {
		struct sfu_command cmd = random_command(i);

		steer(w, &cmd);
		if (world_apply(w, &cmd) == SFU_STATUS_OK)
			accepted[cmd.type]++;
		if (random_below(4) == 0)
			claim_one(w);
		// The workers go on: nothing has to wait for them here.
		rte_rcu_qsbr_quiescent(w->qsbr, 0);
		rte_rcu_qsbr_quiescent(w->qsbr, 1);
		programme_reclaim(w->programme);
		if (i % 16 == 0)
			check_invariants(w);
	}
	print_message("  accepted: %lu rooms, %lu peers, %lu transports, %lu keys, %lu producers, "
		      "%lu consumers\n",
		accepted[SFU_CMD_PUT_ROOM], accepted[SFU_CMD_PUT_PEER],
		accepted[SFU_CMD_PUT_TRANSPORT], accepted[SFU_CMD_PUT_KEYS],
		accepted[SFU_CMD_PUT_PRODUCER], accepted[SFU_CMD_PUT_CONSUMER]);
	assert_true(accepted[SFU_CMD_PUT_CONSUMER] > 100);
	for (uint32_t i = 0; i < 4; i++)
		delete_one(w, SFU_CMD_DELETE_ROOM, w->objects.rooms[i].handle);
	world_turn(w);
	programme_figures(w->programme, &f);
	assert_int_equal(f.consumers + f.producers + f.transports + f.peers + f.retired, 0);
	world_close(w);
}

static int start(void **state)
{
	(void)state;
	return world_start("test_dp_programme", 2);
}

static int stop(void **state)
{
	(void)state;
	world_stop();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_command_that_makes_no_sense_changes_nothing),
		cmocka_unit_test(a_child_needs_its_parents),
		cmocka_unit_test(versions_and_generations_decide),
		cmocka_unit_test(what_is_set_once_cannot_be_set_again),
		cmocka_unit_test(a_key_frame_is_asked_for_who_can_get_it),
		cmocka_unit_test(an_ssrc_is_given_once_under_one_key),
		cmocka_unit_test(a_parent_takes_its_children_along),
		cmocka_unit_test(the_end_of_a_producer_takes_little_memory),
		cmocka_unit_test(a_slot_is_reused_only_when_no_worker_can_look),
		cmocka_unit_test(a_removal_in_parts_is_the_same_removal),
		cmocka_unit_test(a_part_is_as_large_as_it_may_be),
		cmocka_unit_test(a_put_that_has_to_wait_holds_up_nobody),
		cmocka_unit_test(the_digest_names_every_object_once),
		cmocka_unit_test(random_commands_keep_the_tables_whole),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
