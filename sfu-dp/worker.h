// SPDX-License-Identifier: BSD-3-Clause
/**
 * One worker: an lcore that polls one receive queue and owns the transports it met first. No other
 * core writes its struct; counters are read by housekeeping with relaxed loads.
 *
 * Rings (rte_ring, single producer, single consumer, named by both ends):
 *   w -> v   mbufs (struct pkt.task)            worker.to_worker[v] = workers[v].from_worker[w]
 *   w -> h   struct worker_notice               worker.to_house
 *   h -> w   struct worker_order                worker.from_house
 */
#pragma once

#include <rte_hash.h>
#include <rte_mempool.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "sfu-dp/path/path.h"
#include "sfu-dp/table/objects.h"
#include "sfu-dp/table/tuple.h"

struct port;

/** What a worker tells housekeeping. 32 octets, by value. */
enum worker_notice_kind {
	NOTICE_CLAIMED = 1, /* this worker became owner of the transport: fan-out lists change */
	NOTICE_VALIDATED, /* first authenticated check */
	NOTICE_NOMINATED,
	NOTICE_CONSENT_LOST,
	NOTICE_DTLS, /* mbuf holds a DTLS datagram for the control plane; value = tuple id */
};

struct worker_notice {
	uint32_t kind;
	uint32_t value;
	uint64_t transport;
	struct rte_mbuf *mbuf;
	uint64_t reserved;
};

/** What housekeeping tells a worker. 32 octets, by value. */
enum worker_order_kind {
	ORDER_DTLS
	= 1, /* mbuf holds a DTLS datagram for the transport; value = tuple id, 0 = active */
};

struct worker_order {
	uint32_t kind;
	uint32_t value;
	uint64_t handle;
	struct rte_mbuf *mbuf;
	uint64_t reserved;
};

/** Counters of one worker. Only ever grow. Writer: the worker. */
struct worker_counters {
	uint64_t rx_packets, rx_bytes;
	uint64_t forwarded, answered, punted;
	uint64_t drop[DROP_COUNT];
	uint64_t egress_tried, egress_packets, egress_bytes; /* copies for consumers */
	uint64_t edge[EDGE_COUNT];
	uint64_t rtcp_sent, dtls_sent; /* our own packets, outside both ledgers */
	uint64_t tx_packets, tx_bytes,
		tx_full; /* frames of any kind taken and refused by the port */
	uint64_t handoff_out,
		handoff_in; /* received packets given to and taken from other workers */
	uint64_t fanout_out, fanout_in; /* references for other workers' consumers */
	uint64_t notices_lost;
	uint64_t polls, polls_empty, sleeps;
	uint64_t busy_cycles, idle_cycles;
};

#define WORKER_TX_BUFFER 128u
#define WORKER_RING_SLOTS 4096u
#define WORKER_TIMER_SLOTS 16u

struct worker {
	/* set at start */
	uint8_t id;
	uint8_t workers; /* how many there are */
	uint8_t spread; /* 1 = the port spreads flows over queues; 0 = worker 0 reads them all and
			    deals out new transports in turn */
	uint8_t adaptive; /* sleep when idle */
	unsigned lcore;
	struct port *port;
	uint16_t queue; /* receive queue polled when the port spreads */
	uint16_t tx_queue;
	struct rte_mempool *pool;
	struct objects *objects;
	const struct rte_hash *ufrags; /* table/ufrag.h; programme writes, lock-free reads */
	struct rte_rcu_qsbr *qsbr;
	struct rte_ring *to_worker[DP_MAX_WORKERS];
	struct rte_ring *from_worker[DP_MAX_WORKERS];
	struct rte_ring *to_house;
	struct rte_ring *from_house;

	/* the worker's own */
	_Alignas(64) uint64_t now_us; /* clock of this turn, CLOCK_MONOTONIC microseconds */
	struct tuple_table *tuples; /* struct tuple -> transport handle; this worker's flows */
	struct rte_mbuf *tx[WORKER_TX_BUFFER];
	uint8_t tx_is_egress[WORKER_TX_BUFFER];
	unsigned tx_count;
	struct {
		uint64_t packets, bytes, egress_packets, egress_bytes;
	} tx_sum; /* of what waits in tx */
	uint64_t *owned; /* handles of transports owned, objects->limits.transports long; those of
			    removed ones go at the next sweep */
	uint32_t owned_count;
	uint32_t owned_cursor; /* timer sweep */
	uint64_t timer_us; /* when the sweep last ran */
	uint64_t timer_credit; /* transport-microseconds the sweep is behind */
	uint64_t flows_us; /* when tuples was last swept */
	uint64_t key_frame_us; /* not before then are key-frame requests looked at again */
	uint8_t key_frame_open; /* a request waits for its time or its effect */
	uint32_t arp_tokens;
	uint64_t arp_refill_us;
	uint64_t random; /* xorshift state, seeded at start; never for secrets */
	_Atomic uint32_t stop;
	struct worker_counters count;
};

/** The worker's loop; returns when w->stop is set. Thread of its own lcore. arg: struct worker. */
int worker_run(void *arg);

/**
 * Timers of owned transports (reports, consent) and orders from housekeeping. Called each turn;
 * touches only what is due. In worker_timer.c.
 */
void worker_orders(struct worker *w);
void worker_timers(struct worker *w);

/** Tell housekeeping; a full ring is counted (NOTICE_DTLS: the caller keeps the mbuf). */
bool worker_notify(struct worker *w, const struct worker_notice *n);

/** A pseudo-random number for sequence starts and the like. */
static inline uint64_t worker_random(struct worker *w)
{
	uint64_t x = w->random;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	w->random = x;
	return x;
}
