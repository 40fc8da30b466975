// SPDX-License-Identifier: BSD-3-Clause
/*
 * Our end of a memif against DPDK's net_memif as the server: frames of any length both ways, hand-over
 * while both rings are full of them, a server that goes and comes back, one that writes nonsense, one
 * that wants workers to wait for it.
 */
#include "sfu-dp/keeper/tie.h"
#include "sfu-dp/memif/memif.h"
#include "sfu-dp/memif/session.h"
#include "shared/wake.h"

#include <fcntl.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <pthread.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#define SERVER "net_memif0"
#define WORKERS 2u
#define LOG2_SLOTS 6u
#define SLOTS (1u << LOG2_SLOTS)
#define BURST 32u
#define FRAME_MAX 1500u

static struct {
	char folder[32];
	char device[96];
	struct rte_mempool *pool;
	struct rte_rcu_qsbr *qsbr;
	uint16_t server;
	uint64_t now_us;
} world;

/* The server */

static void server_start(void)
{
	const struct rte_eth_conf conf = {0};
	char arguments[160];

	snprintf(arguments, sizeof(arguments),
		"role=server,id=7,socket-abstract=no,rsize=%u,socket=%s/memif", LOG2_SLOTS,
		world.folder);
	assert_int_equal(rte_eal_hotplug_add("vdev", SERVER, arguments), 0);
	assert_int_equal(rte_eth_dev_get_port_by_name(SERVER, &world.server), 0);
	assert_int_equal(rte_eth_dev_configure(world.server, WORKERS, 1, &conf), 0);
	for (unsigned q = 0; q < WORKERS; q++)
		assert_int_equal(rte_eth_rx_queue_setup(
					 world.server, (uint16_t)q, SLOTS, 0, NULL, world.pool),
			0);
	assert_int_equal(rte_eth_tx_queue_setup(world.server, 0, SLOTS, 0, NULL), 0);
	assert_int_equal(rte_eth_dev_start(world.server), 0);
}

static void server_stop(void)
{
	char path[64];

	rte_eth_dev_stop(world.server);
	rte_eth_dev_close(world.server);
	rte_eal_hotplug_remove("vdev", SERVER);
	snprintf(path, sizeof(path), "%s/memif", world.folder);
	unlink(path);
}

static bool server_is_up(void)
{
	struct rte_eth_link link = {0};

	return !rte_eth_link_get_nowait(world.server, &link) && link.link_status;
}

/* Our end */

static struct memif *client_new(unsigned workers)
{
	uint8_t mac[6] = {0};
	char why[256] = "";
	struct memif *m = memif_create(world.device, workers, world.pool, mac, why, sizeof(why));

	assert_string_equal(why, "");
	assert_non_null(m);
	return m;
}

static bool is_up(const struct memif *m)
{
	struct memif_figures f;

	memif_figures(m, &f);
	return f.is_up;
}

/** Turns until it is as it should be; *held as last said. */
static void turn_until(struct memif *m, bool up, struct tie_held *held)
{
	for (unsigned i = 0; i < 5000 && (is_up(m) != up || server_is_up() != up); i++) {
		world.now_us += 1000;
		memif_turn(m, world.now_us, held);
		usleep(1000);
	}
	assert_int_equal(is_up(m), up);
	assert_int_equal(server_is_up(), up);
}

static struct memif *client_up(struct tie_held *held)
{
	struct memif *m = client_new(WORKERS);

	memif_start(m, world.qsbr);
	turn_until(m, true, held);
	return m;
}

/** As if it came from the keeper. */
static struct tie_held passed(const struct tie_held *held)
{
	struct tie_held copy = *held;

	for (unsigned i = 0; i < copy.count; i++) {
		copy.fd[i] = dup(held->fd[i]);
		assert_true(copy.fd[i] >= 0);
	}
	return copy;
}

/* Frames that tell their number and length */

static size_t length_of(uint32_t number)
{
	return 60 + number * 97 % (FRAME_MAX - 60);
}

static struct rte_mbuf *frame(uint32_t number)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(world.pool);
	size_t len = length_of(number);
	uint8_t *p;

	assert_non_null(m);
	p = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)len);
	memset(p, (int)number, len);
	memcpy(p, &number, sizeof(number));
	return m;
}

static void frame_is(struct rte_mbuf *m, uint32_t number)
{
	const uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *);
	uint32_t is;

	memcpy(&is, p, sizeof(is));
	assert_int_equal(is, number);
	assert_int_equal(m->pkt_len, length_of(number));
	for (size_t i = sizeof(is); i < length_of(number); i++)
		assert_int_equal(p[i], (uint8_t)number);
	rte_pktmbuf_free(m);
}

/** So many of them by the server, from *next on; how many it got rid of. */
static unsigned server_sends(uint32_t *next, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct rte_mbuf *m = frame(*next);

		if (!rte_eth_tx_burst(world.server, 0, &m, 1)) {
			rte_pktmbuf_free(m);
			return i;
		}
		++*next;
	}
	return count;
}

static unsigned client_sends(struct memif *c, uint16_t queue, uint32_t *next, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct rte_mbuf *m = frame(*next);

		if (!memif_send(c, queue, &m, 1)) {
			rte_pktmbuf_free(m);
			return i;
		}
		++*next;
	}
	return count;
}

static unsigned client_takes(struct memif *c, uint32_t *next)
{
	struct rte_mbuf *m[BURST];
	unsigned total = 0, n;

	while ((n = memif_receive(c, m, BURST))) {
		for (unsigned i = 0; i < n; i++)
			frame_is(m[i], (*next)++);
		total += n;
	}
	return total;
}

static unsigned server_takes(uint16_t queue, uint32_t *next)
{
	struct rte_mbuf *m[BURST];
	unsigned total = 0, n;

	while ((n = rte_eth_rx_burst(world.server, queue, m, BURST))) {
		for (unsigned i = 0; i < n; i++)
			frame_is(m[i], (*next)++);
		total += n;
	}
	return total;
}

/* Tests */

static int start_server(void **state)
{
	(void)state;
	server_start();
	return 0;
}

static int stop_server(void **state)
{
	(void)state;
	// Its driver hears in a thread of its own that the client is gone, and frees what it had of it after
	// its link is down: not at the same time as the EAL's end.
	for (unsigned i = 0; i < 1000 && server_is_up(); i++)
		usleep(1000);
	usleep(20000);
	server_stop();
	// Whoever had a buffer has given it back.
	return rte_mempool_in_use_count(world.pool) != 0;
}

static void frames_go_both_ways_as_long_as_there_is_room(void **state)
{
	uint32_t sent = 0, taken = 0, back = 0, back_taken = 0, other = 1000, other_taken = 1000;
	struct tie_held held = {0};
	struct memif *m = client_up(&held);

	(void)state;
	assert_int_not_equal(held.value, 0);
	assert_int_equal(held.count, 2 + WORKERS + 1);
	// Often enough for indices to run over 2^16.
	for (unsigned round = 0; round < 2200; round++) {
		unsigned some = 1 + round % 40;

		assert_int_equal(server_sends(&sent, some), some);
		assert_int_equal(client_takes(m, &taken), some);
		assert_int_equal(client_sends(m, 0, &back, some), some);
		assert_int_equal(client_sends(m, 1, &other, 1), 1);
		assert_int_equal(server_takes(0, &back_taken), some);
		assert_int_equal(server_takes(1, &other_taken), 1);
	}
	assert_int_equal(client_sends(m, 0, &back, SLOTS + 5), SLOTS);
	assert_int_equal(server_takes(0, &back_taken), SLOTS);
	assert_int_equal(server_sends(&sent, SLOTS + 5), SLOTS);
	assert_int_equal(client_takes(m, &taken), SLOTS);
	memif_destroy(m);
}

static void what_lies_in_the_rings_passes_to_the_next_process(void **state)
{
	uint32_t sent = 0, taken = 0, back = 0, back_taken = 0;
	struct tie_held held = {0}, again = {0};
	struct memif *m = client_up(&held);

	(void)state;
	for (unsigned round = 0; round < 200; round++) {
		struct tie_held given = passed(&held);
		struct memif *next = client_new(WORKERS);

		server_sends(&sent, 1 + round % SLOTS);
		client_sends(m, 0, &back, 1 + round * 7 % SLOTS);
		memif_adopt(next, &given);
		assert_int_equal(given.count, 0);
		// Prepared, it touches nothing; the old one goes on.
		if (round % 3 == 0)
			client_takes(m, &taken);
		server_sends(&sent, 5);
		memif_release(m);
		memif_destroy(m);
		server_sends(&sent, 5);
		if (round % 2)
			server_takes(0, &back_taken);
		memif_start(next, world.qsbr);
		// It tells what the one after it needs, also if it is what it got.
		assert_true(memif_turn(next, ++world.now_us, &again));
		assert_int_equal(again.value, held.value);
		held = again;
		m = next;
		client_takes(m, &taken);
		assert_int_equal(taken, sent);
		server_takes(0, &back_taken);
		assert_int_equal(back_taken, back);
	}
	assert_true(server_is_up());
	memif_destroy(m);
	for (unsigned i = 0; i < 1000 && server_is_up(); i++)
		usleep(1000);
	assert_false(server_is_up());
}

static void a_process_with_other_workers_begins_anew(void **state)
{
	uint32_t sent = 0, taken = 0;
	struct tie_held held = {0}, given;
	struct memif *m = client_up(&held), *next = client_new(1);

	(void)state;
	given = passed(&held);
	memif_adopt(next, &given);
	// The old one may go on until it is told otherwise.
	assert_int_equal(server_sends(&sent, 3), 3);
	assert_int_equal(client_takes(m, &taken), 3);
	memif_release(m);
	memif_start(next, world.qsbr);
	memif_destroy(m);
	for (unsigned i = 0; i < 1000 && server_is_up(); i++)
		usleep(1000);
	turn_until(next, true, &held);
	assert_int_equal(held.count, 2 + 1 + 1);
	assert_int_equal(server_sends(&sent, 3), 3);
	assert_int_equal(client_takes(next, &taken), 3);
	memif_destroy(next);
}

static void a_server_may_go_and_come_back(void **state)
{
	struct tie_held held = {0};
	struct memif *m = client_up(&held);
	uint32_t sent = 0, taken = 0, back = 0, back_taken;

	(void)state;
	for (unsigned round = 0; round < 3; round++) {
		server_sends(&sent, 10);
		client_sends(m, 0, &back, 10);
		server_stop();
		for (unsigned i = 0; i < 1000 && is_up(m); i++)
			memif_turn(m, world.now_us += 10000, &held);
		assert_false(is_up(m));
		assert_int_equal(held.value, 0);
		assert_int_equal(client_takes(m, &taken), 0);
		assert_int_equal(client_sends(m, 0, &back, 1), 0);
		server_start();
		turn_until(m, true, &held);
		assert_int_not_equal(held.value, 0);
		// What lay in the rings is gone, and nothing else.
		taken = sent;
		back_taken = back;
		assert_int_equal(server_sends(&sent, 10), 10);
		assert_int_equal(client_takes(m, &taken), 10);
		assert_int_equal(client_sends(m, 0, &back, 10), 10);
		assert_int_equal(server_takes(0, &back_taken), 10);
	}
	memif_destroy(m);
}

/** The memory as the server has it. */
static uint8_t *memory_of(const struct tie_held *held, const struct memif_layout *l)
{
	uint8_t *p = mmap(
		NULL, memif_region_bytes(l), PROT_READ | PROT_WRITE, MAP_SHARED, held->fd[1], 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	return p;
}

static struct memif_ring *ring_of(uint8_t *memory, const struct memif_layout *l, unsigned ring)
{
	return (struct memif_ring *)(void *)(memory + memif_ring_offset(l, ring));
}

static void what_the_server_writes_is_not_believed(void **state)
{
	const struct memif_layout l = {.to_server = WORKERS, .log2_slots = LOG2_SLOTS};
	struct tie_held held = {0};
	struct memif *m = client_up(&held);
	uint8_t *memory = memory_of(&held, &l);
	struct memif_ring *from = ring_of(memory, &l, WORKERS), *to = ring_of(memory, &l, 0);
	uint32_t sent = 0, back = 0;
	struct rte_mbuf *got[BURST];
	struct memif_figures f;

	(void)state;
	// Too long, empty, in parts, elsewhere: only the last is a frame, and it is where it always was.
	assert_int_equal(server_sends(&sent, 5), 5);
	from->desc[0].length = MEMIF_BUFFER_BYTES + 1;
	from->desc[1].length = 0;
	from->desc[2].flags = MEMIF_MORE;
	from->desc[4].offset = UINT32_MAX;
	from->desc[4].region = 9;
	assert_int_equal(memif_receive(m, got, BURST), 1);
	frame_is(got[0], 4);
	memif_figures(m, &f);
	assert_int_equal(f.odd, 4);
	// Indices that cannot be end the connection, and the next one is whole.
	for (unsigned way = 0; way < 2; way++) {
		munmap(memory, memif_region_bytes(&l));
		memory = memory_of(&held, &l);
		from = ring_of(memory, &l, WORKERS);
		to = ring_of(memory, &l, 0);
		if (way)
			atomic_store(&to->tail, atomic_load(&to->head) + 1);
		else
			atomic_fetch_add(&from->tail, SLOTS + 1);
		assert_int_equal(memif_receive(m, got, BURST), 0);
		assert_int_equal(client_sends(m, 0, &back, 1), !way);
		for (unsigned i = 0; i < 1000 && is_up(m); i++)
			memif_turn(m, world.now_us += 1000, &held);
		assert_false(is_up(m));
		for (unsigned i = 0; i < 1000 && server_is_up(); i++)
			usleep(1000);
		turn_until(m, true, &held);
	}
	assert_int_equal(server_sends(&sent, 3), 3);
	assert_int_equal(memif_receive(m, got, BURST), 3);
	rte_pktmbuf_free_bulk(got, 3);
	memif_figures(m, &f);
	assert_int_equal(f.odd, 4);
	munmap(memory, memif_region_bytes(&l));
	memif_destroy(m);
}

static void no_frame_is_longer_than_its_slot(void **state)
{
	const struct memif_layout l = {.to_server = WORKERS, .log2_slots = LOG2_SLOTS};
	static const uint16_t lengths[] = {MEMIF_BUFFER_BYTES, MEMIF_BUFFER_BYTES + 1,
		MEMIF_BUFFER_BYTES + 2, MEMIF_BUFFER_BYTES};
	struct tie_held held = {0};
	struct memif *m = client_up(&held);
	uint8_t *memory = memory_of(&held, &l), *next;
	struct rte_mbuf *sent[RTE_DIM(lengths)], *got[BURST];
	struct memif_figures f;

	(void)state;
	for (size_t i = 0; i < RTE_DIM(lengths); i++) {
		sent[i] = rte_pktmbuf_alloc(world.pool);
		assert_non_null(sent[i]);
		sent[i]->data_off = 0;
		memset(rte_pktmbuf_append(sent[i], lengths[i]), 0xa0 + (int)i, lengths[i]);
	}
	// The third slot is free, and stays as it is; the ones before have what fits.
	next = memory + memif_buffer_offset(&l, 0, 2);
	memset(next, 0x55, MEMIF_BUFFER_BYTES);
	assert_int_equal(memif_send(m, 0, sent, RTE_DIM(lengths)), RTE_DIM(lengths));
	for (size_t i = 0; i < MEMIF_BUFFER_BYTES; i++)
		assert_int_equal(next[i], 0x55);
	memif_figures(m, &f);
	assert_int_equal(f.too_long, 2);
	assert_int_equal(rte_eth_rx_burst(world.server, 0, got, BURST), 2);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(got[i]->pkt_len, MEMIF_BUFFER_BYTES);
		assert_int_equal(*rte_pktmbuf_mtod(got[i], uint8_t *), i ? 0xa3 : 0xa0);
	}
	rte_pktmbuf_free_bulk(got, 2);
	munmap(memory, memif_region_bytes(&l));
	memif_destroy(m);
}

/** The first worker, which sends one frame. */
struct sender {
	struct memif *m;
	struct rte_mbuf *frame;
	pthread_t thread;
	_Atomic bool is_back;
};

static void *send_one(void *arg)
{
	struct sender *s = arg;

	rte_rcu_qsbr_thread_register(world.qsbr, 0);
	rte_rcu_qsbr_thread_online(world.qsbr, 0);
	if (!memif_send(s->m, 0, &s->frame, 1))
		rte_pktmbuf_free(s->frame);
	rte_rcu_qsbr_thread_offline(world.qsbr, 0);
	rte_rcu_qsbr_thread_unregister(world.qsbr, 0);
	atomic_store(&s->is_back, true);
	return NULL;
}

/** What a server does with its eventfd that wants us to wait for it. */
struct filler {
	int kick;
	pthread_t thread;
	_Atomic bool stop, is_back;
};

static void *fill(void *arg)
{
	struct filler *f = arg;
	const uint64_t most = UINT64_MAX - 1;

	// Again and again: who takes what is there makes room for the next one that waits.
	while (!atomic_load(&f->stop) && write(f->kick, &most, sizeof(most)) > 0)
		;
	atomic_store(&f->is_back, true);
	return NULL;
}

static bool is_full(int kick)
{
	struct pollfd room = {.fd = kick, .events = POLLOUT};

	return !poll(&room, 1, 0);
}

/** A counter that is full goes on to its very end, which write(2) cannot reach and poll(2) calls an error. */
static void overrun(int kick, int file)
{
	aio_context_t context = 0;
	char octet;
	struct iocb read_one = {
		.aio_lio_opcode = IOCB_CMD_PREAD,
		.aio_fildes = (uint32_t)file,
		.aio_buf = (uintptr_t)&octet,
		.aio_nbytes = 1,
		.aio_flags = IOCB_FLAG_RESFD,
		.aio_resfd = (uint32_t)kick,
	};
	struct iocb *all = &read_one;

	// A machine that does not let us has not let the server either.
	if (syscall(SYS_io_setup, 1, &context))
		return;
	syscall(SYS_io_submit, context, 1, &all);
	syscall(SYS_io_destroy, context);
}

#define FILLERS 100u

/** The worker sends while the counter is full and stays so; whether it comes back by turns of ours. */
static bool worker_comes_back(struct memif *m, int kick, bool ends, struct tie_held *held)
{
	struct sender s = {.m = m, .frame = frame(0)};
	struct filler f[FILLERS] = {0};
	bool is_back;

	assert_int_equal(fcntl(kick, F_SETFL, 0), 0);
	for (unsigned i = 0; i < FILLERS; i++) {
		f[i].kick = kick;
		assert_int_equal(pthread_create(&f[i].thread, NULL, fill, &f[i]), 0);
	}
	for (unsigned i = 0; i < 1000 && !is_full(kick); i++)
		usleep(1000);
	assert_true(is_full(kick));
	if (!ends)
		overrun(kick, held->fd[1]);
	assert_int_equal(pthread_create(&s.thread, NULL, send_one, &s), 0);
	usleep(20000);
	assert_false(atomic_load(&s.is_back));
	for (unsigned i = 0; i < 100 && !atomic_load(&s.is_back); i++) {
		if (ends)
			memif_unblock(m);
		else
			memif_turn(m, world.now_us += 1000, held);
		usleep(1000);
	}
	is_back = atomic_load(&s.is_back);
	for (unsigned i = 0; i < FILLERS; i++)
		atomic_store(&f[i].stop, true);
	for (unsigned i = 0; i < FILLERS; i++) {
		while (!atomic_load(&f[i].is_back))
			sfu_wake_drain(kick);
		pthread_join(f[i].thread, NULL);
	}
	while (!atomic_load(&s.is_back))
		sfu_wake_drain(kick);
	pthread_join(s.thread, NULL);
	sfu_wake_drain(kick);
	return is_back;
}

static ino_t memory_number(const struct tie_held *held)
{
	struct stat is;

	assert_int_equal(fstat(held->fd[1], &is), 0);
	return is.st_ino;
}

static void no_worker_waits_for_the_server(void **state)
{
	const struct memif_layout l = {.to_server = WORKERS, .log2_slots = LOG2_SLOTS};
	struct tie_held held = {0};
	struct memif *m = client_up(&held);

	(void)state;
	// Once it is housekeeping that goes on, once the workers shall end, and it waits for them.
	for (unsigned ends = 0; ends < 2; ends++) {
		struct tie_held servers = passed(&held);
		uint8_t *memory = memory_of(&held, &l);
		const uint64_t one = 1, most = UINT64_MAX - 1;
		struct pollfd woken = {.events = POLLIN};

		atomic_store(&ring_of(memory, &l, 0)->flags, 0);
		assert_true(worker_comes_back(m, servers.fd[2], ends, &held));
		if (ends)
			assert_int_equal(write(servers.fd[2], &most, sizeof(most)), sizeof(most));
		// That one is dropped, and has nothing in common with the next.
		for (unsigned i = 0; i < 1000 && is_up(m); i++)
			memif_turn(m, world.now_us += 1000, &held);
		assert_false(is_up(m));
		for (unsigned i = 0; i < 1000 && server_is_up(); i++)
			usleep(1000);
		turn_until(m, true, &held);
		assert_int_not_equal(memory_number(&held), memory_number(&servers));
		sfu_wake_drain(servers.fd[2]);
		assert_int_equal(write(servers.fd[2], &one, sizeof(one)), sizeof(one));
		woken.fd = held.fd[2];
		assert_int_equal(poll(&woken, 1, 0), 0);
		munmap(memory, memif_region_bytes(&l));
		tie_held_close(&servers);
	}
	memif_destroy(m);
}

static void a_conversation_has_one_order(void **state)
{
	struct memif_session s = {.layout = {.to_server = 2, .log2_slots = 11}, .id = 3};
	struct memif_message hello = {.type = MEMIF_HELLO}, ack = {.type = MEMIF_ACK},
			     done = {.type = MEMIF_CONNECTED}, out;
	static const uint16_t types[] = {MEMIF_INIT, MEMIF_ADD_REGION, MEMIF_ADD_RING,
		MEMIF_ADD_RING, MEMIF_ADD_RING, MEMIF_CONNECT};
	static const int fds[] = {MEMIF_FD_NONE, MEMIF_FD_REGION, 0, 1, 2, MEMIF_FD_NONE};
	int fd;

	(void)state;
	hello.u.hello = (struct memif_hello){.version_min = 0x100,
		.version_max = 0x200,
		.to_server_max = 1,
		.log2_slots_max = 14};
	for (unsigned i = 0; i < 6; i++) {
		struct memif_session other = s;

		// Anything but the next message ends it.
		for (uint16_t type = 0; type < 12; type++) {
			struct memif_message wrong = {.type = type};

			if (type == (i ? MEMIF_ACK : MEMIF_HELLO) || type == MEMIF_DISCONNECT)
				continue;
			other = s;
			assert_int_equal(memif_session_on(&other, &wrong, &out, &fd), MEMIF_NOT_US);
			assert_int_equal(out.type, MEMIF_DISCONNECT);
		}
		assert_int_equal(memif_session_on(&s, i ? &ack : &hello, &out, &fd), MEMIF_SEND);
		assert_int_equal(out.type, types[i]);
		assert_int_equal(fd, fds[i]);
		if (out.type == MEMIF_INIT)
			assert_int_equal(out.u.init.id, 3);
		if (out.type == MEMIF_ADD_RING)
			assert_int_equal(out.u.add_ring.flags, i < 4 ? MEMIF_TO_SERVER : 0);
	}
	assert_int_equal(memif_session_on(&s, &done, &out, &fd), MEMIF_UP);
	// Who cannot do what we need hears it.
	s.sent = 0;
	hello.u.hello.to_server_max = 0;
	assert_int_equal(memif_session_on(&s, &hello, &out, &fd), MEMIF_NOT_US);
	hello.u.hello.to_server_max = 1;
	hello.u.hello.log2_slots_max = 10;
	assert_int_equal(memif_session_on(&s, &hello, &out, &fd), MEMIF_NOT_US);
	hello.u.hello.log2_slots_max = 11;
	hello.u.hello.version_min = 0x201;
	assert_int_equal(memif_session_on(&s, &hello, &out, &fd), MEMIF_NOT_US);
}

static void arguments_are_checked(void **state)
{
	static const char *const wrong[] = {"memif0", "memif0,id=1",
		"memif0,socket=", "memif0,socket=/a,id=x", "memif0,socket=/a,rsize=15",
		"memif0,socket=/a,rsize=4", "memif0,socket=/a,mac=01:00:00:00:00:01",
		"memif0,socket=/a,mac=1", "memif0,socket=/a,role=server", "memif0,socket"};
	uint8_t mac[6] = {0};
	struct memif *m;
	char why[256];

	(void)state;
	for (size_t i = 0; i < RTE_DIM(wrong); i++) {
		why[0] = 0;
		assert_null(memif_create(wrong[i], 1, world.pool, mac, why, sizeof(why)));
		assert_string_not_equal(why, "");
	}
	m = memif_create("memif0,socket=/nowhere/s,id=9,rsize=5,mac=02:00:00:00:00:07", 1,
		world.pool, mac, why, sizeof(why));
	assert_non_null(m);
	assert_int_equal(mac[5], 7);
	memif_destroy(m);
	assert_true(memif_is("memif0,socket=/a"));
	assert_false(memif_is("net_memif0,socket=/a"));
}

static int start(void **state)
{
	static char arguments[][20] = {"test_memif", "--no-huge", "--no-pci", "--no-shconf",
		"--no-telemetry", "-m", "128", "--lcores=0", "--iova-mode=va", "--log-level=1"};
	char *argv[RTE_DIM(arguments)];
	char eal[64];

	(void)state;
	strcpy(world.folder, "/tmp/sfu-test-XXXXXX");
	if (!mkdtemp(world.folder) || setenv("RUNTIME_DIRECTORY", world.folder, 1))
		return -1;
	for (unsigned i = 0; i < RTE_DIM(arguments); i++)
		argv[i] = arguments[i];
	if (rte_eal_init(RTE_DIM(arguments), argv) < 0)
		return -1;
	snprintf(eal, sizeof(eal), "%s", rte_eal_get_runtime_dir());
	rmdir(eal);
	snprintf(eal, sizeof(eal), "%s/dpdk", world.folder);
	rmdir(eal);
	snprintf(world.device, sizeof(world.device), "memif0,socket=%s/memif,id=7,rsize=%u",
		world.folder, LOG2_SLOTS);
	world.now_us = 1000000;
	// No cache, so that all that are not in use can be counted.
	world.pool = rte_pktmbuf_pool_create(
		"frames", 1023, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	world.qsbr = rte_zmalloc("qsbr", rte_rcu_qsbr_get_memsize(1), 64);
	return !world.pool || !world.qsbr || rte_rcu_qsbr_init(world.qsbr, 1);
}

static int stop(void **state)
{
	(void)state;
	rte_free(world.qsbr);
	rte_mempool_free(world.pool);
	rte_eal_cleanup();
	return rmdir(world.folder);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_conversation_has_one_order),
		cmocka_unit_test(arguments_are_checked),
		cmocka_unit_test_setup_teardown(
			frames_go_both_ways_as_long_as_there_is_room, start_server, stop_server),
		cmocka_unit_test_setup_teardown(what_lies_in_the_rings_passes_to_the_next_process,
			start_server, stop_server),
		cmocka_unit_test_setup_teardown(
			a_process_with_other_workers_begins_anew, start_server, stop_server),
		cmocka_unit_test_setup_teardown(
			a_server_may_go_and_come_back, start_server, stop_server),
		cmocka_unit_test_setup_teardown(
			what_the_server_writes_is_not_believed, start_server, stop_server),
		cmocka_unit_test_setup_teardown(
			no_frame_is_longer_than_its_slot, start_server, stop_server),
		cmocka_unit_test_setup_teardown(
			no_worker_waits_for_the_server, start_server, stop_server),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
