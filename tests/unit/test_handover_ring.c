// SPDX-License-Identifier: BSD-3-Clause
/*
 * The path is handed over between two bursts, again and again, while packets keep coming over net_ring:
 * the workers stop as those of sfu-dp do, all that they had is thrown away but the stream state, and the
 * next ones adopt it and go on with the rings. A thread of its own is Alice, who sends without a pause,
 * and Bob and Carol with libsrtp2, who count: nothing is lost, nothing comes twice.
 */
#include "tests/support/dp_world.h"

#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/sanitizer.h"

#define HANDOVERS 20u
#define TRAFFIC_LCORE 2u
/** Alice sends so often: no more than the path takes, ten times slower as it is under a sanitizer. */
#ifdef __SANITIZE_ADDRESS__
#define PACE_US 250u
#else
#define PACE_US 50u
#endif
/** 200 ms of hers and more, if nobody takes them. */
#define SLOTS 4096u
#define SSRC 0x11111111u
#define PT 96
#define PAYLOAD_BYTES 600u
#define CLIENTS 3u

/** Somebody who receives. Written by the traffic thread. */
struct listener {
	struct world_client client;
	_Atomic uint64_t rtp;
	uint64_t rtcp;
	uint64_t lost, wrong; /* numbers that did not come; packets that libsrtp2 refused */
	uint16_t next_seq;
};

/** Made once: to the path, from it, and the port that the path has of them. */
static struct {
	struct rte_ring *in, *out;
	uint16_t port;
} wire;

static struct {
	struct world *w; /* the one that has the call now; the main thread's */
	struct rte_mempool *pool;
	struct listener who[CLIENTS]; /* Alice, Bob, Carol */
	struct pkt_addr server;
	uint64_t sent, no_room;
	atomic_bool silent, stop; /* Alice is; the thread shall end */
	_Atomic uint64_t
		gap_us; /* longest between two of Bob's packets; the main thread sets it to 0 */
	uint64_t last_us; /* of these */
} call;

static uint64_t clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* The clients' thread */

static void send_one(void)
{
	static const uint8_t payload[PAYLOAD_BYTES] = {0x90, 0x80, 0x12};
	const struct pkt_rtp p = {
		.ssrc = SSRC,
		.timestamp = (uint32_t)(call.sent * 90 * PACE_US / 1000),
		.seq = (uint16_t)(65000 + call.sent),
		.payload_type = PT,
		.payload = payload,
		.payload_len = sizeof(payload),
	};
	uint8_t buf[PKT_FRAME_MAX], frame[PKT_FRAME_MAX];
	int len = (int)pkt_rtp(buf, sizeof(buf) - SRTP_OVERHEAD_MAX, &p);
	struct rte_mbuf *m = rte_pktmbuf_alloc(call.pool);
	size_t frame_len;

	if (!m || srtp_protect(call.who[0].client.out, buf, &len))
		abort();
	frame_len = pkt_frame(frame, &call.who[0].client.at, &call.server, buf, (size_t)len);
	memcpy(rte_pktmbuf_append(m, (uint16_t)frame_len), frame, frame_len);
	call.sent++;
	if (rte_ring_sp_enqueue(wire.in, m)) {
		call.no_room++;
		rte_pktmbuf_free(m);
	}
}

static void rtp_received(struct listener *l, const uint8_t *rtp)
{
	uint16_t seq = (uint16_t)(rtp[2] << 8 | rtp[3]);
	uint64_t now_us = clock_us();

	if (atomic_fetch_add(&l->rtp, 1))
		l->lost += (uint16_t)(seq - l->next_seq);
	l->next_seq = (uint16_t)(seq + 1);
	if (l != &call.who[1])
		return;
	if (call.last_us && now_us - call.last_us > atomic_load(&call.gap_us))
		atomic_store(&call.gap_us, now_us - call.last_us);
	call.last_us = now_us;
}

static void receive_one(struct rte_mbuf *m)
{
	struct pkt_addr from, to;
	uint8_t plain[PKT_FRAME_MAX];
	size_t len;
	const uint8_t *payload = pkt_unframe(
		rte_pktmbuf_mtod(m, uint8_t *), rte_pktmbuf_data_len(m), &from, &to, &len);
	int octets = (int)len;

	for (unsigned i = 0; payload && i < CLIENTS; i++) {
		struct listener *l = &call.who[i];

		if (to.port != l->client.at.port || payload[0] >> 6 != 2)
			continue;
		memcpy(plain, payload, len);
		// It knows every index that it opened: one that comes again is a replay.
		if (payload[1] >= 192 && payload[1] <= 223) {
			l->wrong += srtp_unprotect_rtcp(l->client.in, plain, &octets) != 0;
			l->rtcp++;
		} else if (srtp_unprotect(l->client.in, plain, &octets)) {
			l->wrong++;
		} else {
			rtp_received(l, plain);
		}
	}
	rte_pktmbuf_free(m);
}

static int traffic(void *arg)
{
	uint64_t next_us = clock_us();

	(void)arg;
	while (!atomic_load(&call.stop)) {
		struct rte_mbuf *m;

		while (!rte_ring_sc_dequeue(wire.out, (void **)&m))
			receive_one(m);
		if (clock_us() < next_us) {
			usleep(PACE_US / 2);
			continue;
		}
		next_us += PACE_US;
		if (!atomic_load(&call.silent))
			send_one();
	}
	return 0;
}

/* The call */

static void rings_make(void)
{
	const struct rte_eth_conf conf = {0};
	int port;

	if (wire.in)
		return;
	wire.in = rte_ring_create("to-path", SLOTS, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	wire.out = rte_ring_create("of-path", SLOTS, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	assert_non_null(wire.in);
	assert_non_null(wire.out);
	port = rte_eth_from_rings("handover", &wire.in, 1, &wire.out, 1, 0);
	assert_true(port >= 0);
	wire.port = (uint16_t)port;
	assert_int_equal(rte_eth_dev_configure(wire.port, 1, 1, &conf), 0);
	assert_int_equal(rte_eth_rx_queue_setup(wire.port, 0, 1024, 0, NULL, call.pool), 0);
	assert_int_equal(rte_eth_tx_queue_setup(wire.port, 0, 1024, 0, NULL), 0);
	assert_int_equal(rte_eth_dev_start(wire.port), 0);
}

static void streams_put(void)
{
	struct sfu_command producer = {
		.type = SFU_CMD_PUT_PRODUCER,
		.version = 1,
		.handle = sfu_handle_make(0, 1),
		.u.producer = {
			.transport = call.who[0].client.handle,
			.kind = SFU_VIDEO,
			.codec_count = 1,
			.encoding_count = 1,
			.codec = {{PT, PT, SFU_CODEC_VP8, 0, 90000}},
			.encoding = {{.ssrc = SSRC}},
			.cname_len = 5,
			.cname = "alice",
		},
	};

	assert_int_equal(world_apply(call.w, &producer), SFU_STATUS_OK);
	for (uint32_t i = 1; i < CLIENTS; i++) {
		struct sfu_command consumer = {
			.type = SFU_CMD_PUT_CONSUMER,
			.version = 1,
			.handle = sfu_handle_make(i, 1),
			.u.consumer = {
				.transport = call.who[i].client.handle,
				.producer = producer.handle,
				.ssrc = 0xc0000000u + i,
				.encoding = 255,
				.payload_type_count = 1,
				.payload_type = {PT},
			},
		};

		assert_int_equal(world_apply(call.w, &consumer), SFU_STATUS_OK);
	}
}

static void call_open(unsigned profile)
{
	memset(&call, 0, sizeof(call));
	call.w = world_open(1, false, NULL);
	assert_non_null(call.w);
	call.pool = call.w->pool;
	call.w->now_us = clock_us();
	call.server = world_address(call.w, false);
	assert_int_equal(world_put_room(call.w, 0, 1, false), SFU_STATUS_OK);
	for (uint32_t i = 0; i < CLIENTS; i++)
		assert_int_equal(
			world_put_member(call.w, &call.who[i].client, i, 0, UINT64_MAX, profile),
			SFU_STATUS_OK);
	streams_put();
	world_turn(call.w);
	world_forget(call.w);
	rings_make();
}

static void call_close(unsigned pool_full)
{
	world_walk(call.w);
	world_turn(call.w);
	call.w->pool_full = pool_full;
	assert_string_equal(world_books(call.w), "");
	for (unsigned i = 0; i < CLIENTS; i++)
		world_client_end(&call.who[i].client);
	world_close(call.w);
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/** All that was sent has come, or nothing comes any more. */
static void drain(void)
{
	unsigned long came = 0, before;

	do {
		before = came;
		usleep(100000);
		came = 0;
		for (unsigned i = 1; i < CLIENTS; i++)
			came += atomic_load(&call.who[i].rtp);
	} while (came != before);
}

/** How long Bob heard nothing. */
static uint64_t hand_over(void)
{
	uint64_t gap_us;

	atomic_store(&call.gap_us, 0);
	world_halt(call.w);
	call.w->now_us = clock_us();
	call.w = world_die(call.w, 1);
	assert_non_null(call.w);
	world_run(call.w, wire.port);
	usleep(30000);
	gap_us = atomic_load(&call.gap_us);
	return gap_us;
}

static void nothing_is_lost_with(unsigned profile)
{
	uint64_t gaps[HANDOVERS];
	unsigned pool_full;

	call_open(profile);
	pool_full = call.w->pool_full;
	world_run(call.w, wire.port);
	rte_eal_remote_launch(traffic, NULL, TRAFFIC_LCORE);
	usleep(50000);
	for (unsigned i = 0; i < HANDOVERS; i++)
		gaps[i] = hand_over();
	atomic_store(&call.silent, true);
	drain();
	world_halt(call.w);
	usleep(10000);
	atomic_store(&call.stop, true);
	rte_eal_wait_lcore(TRAFFIC_LCORE);
	qsort(gaps, HANDOVERS, sizeof(gaps[0]), by_value);
	print_message("  %u hand-overs, %lu packets sent; silent for %lu us in the median, %lu at "
		      "most\n",
		HANDOVERS, call.sent, gaps[HANDOVERS / 2], gaps[HANDOVERS - 1]);
	assert_true(call.sent > 1000);
	assert_int_equal(call.no_room, 0);
	for (unsigned i = 1; i < CLIENTS; i++) {
		assert_int_equal(call.who[i].rtp, call.sent);
		assert_int_equal(call.who[i].lost, 0);
	}
	for (unsigned i = 0; i < CLIENTS; i++)
		assert_int_equal(call.who[i].wrong, 0);
	assert_true(call.who[0].rtcp > 0);
#ifndef __SANITIZE_ADDRESS__
	// What was promised, of every second one at least: others use this machine, too.
	assert_true(gaps[HANDOVERS / 2] <= 20000);
#endif
	call_close(pool_full);
}

static void nothing_is_lost_with_gcm(void **state)
{
	(void)state;
	nothing_is_lost_with(SFU_SRTP_AEAD_AES_128_GCM);
}

static void nothing_is_lost_with_counter_mode(void **state)
{
	(void)state;
	nothing_is_lost_with(SFU_SRTP_AES128_CM_SHA1_80);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_lost_with_gcm),
		cmocka_unit_test(nothing_is_lost_with_counter_mode),
	};
	int failed;

	(void)argc;
	// All on any processor: one thread of house, path and clients each.
	if (world_start_on(argv[0], 1, "(0-2)@(0-1)"))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rte_eth_dev_stop(wire.port);
	rte_eth_dev_close(wire.port);
	rte_ring_free(wire.in);
	rte_ring_free(wire.out);
	world_stop();
	return failed;
}
