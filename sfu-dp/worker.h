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
#include <sys/types.h>

#include "sfu-dp/path/path.h"
#include "sfu-dp/path/repair.h"
#include "sfu-dp/table/due.h"
#include "sfu-dp/table/objects.h"
#include "sfu-dp/table/tuple.h"
#include "sfu-dp/turn_meter.h"

struct port;

/** What a worker tells housekeeping. 32 octets, by value. */
enum worker_notice_kind {
	NOTICE_CLAIMED = 1, /* this worker became owner of the transport: fan-out lists change */
	NOTICE_VALIDATED, /* first authenticated check */
	NOTICE_NOMINATED,
	NOTICE_CONSENT_LOST,
	NOTICE_RESTARTED, /* a check has nominated; value = round of its ICE credentials */
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
	ORDER_BYE, /* the stream of SSRC value toward the transport has ended */
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
	uint64_t rtx_sent; /* of them such as were sent again */
	uint64_t edge[EDGE_COUNT];
	uint64_t frames_stale, frames_unreadable; /* of known format: path/epoch.h */
	uint64_t rtcp_sent, dtls_sent; /* our own packets, outside both ledgers */
	uint64_t dtls_too_long; /* not sent: it would exceed the MTU of the port or the path */
	uint64_t tx_packets, tx_bytes,
		tx_full; /* frames of any kind taken and refused by the port */
	uint64_t handoff_out,
		handoff_in; /* received packets given to and taken from other workers */
	uint64_t fanout_out, fanout_in; /* references for other workers' consumers */
	uint64_t key_frames_asked;
	uint64_t notices_lost;
	uint64_t polls, polls_empty, sleeps;
	uint64_t busy_cycles, idle_cycles;
};

/** Frames gathered for the port: what an engine seals at once leaves at once. */
#define WORKER_TX_BUFFER 32u
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
	_Atomic pid_t thread; /* 0 before worker_run() */
	uint64_t consent_us; /* so long without an authenticated check, and a transport is closed */
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
	uint64_t woke_us; /* when it last ran again after a pause of the whole process */
	uint64_t timer_credit; /* transport-microseconds the sweep is behind */
	uint64_t flows_us; /* when tuples was last swept */
	uint64_t key_frame_us; /* not before then are key-frame requests looked at again */
	uint8_t key_frame_open; /* a request waits for its time or its effect */
	uint32_t fanout_16ths; /* copies that a packet taken makes, running average */
	struct due_list *feedback_due; /* transports that get bandwidth feedback, next first */
	struct repair repair; /* what was lost */
	uint32_t arp_tokens;
	uint64_t arp_refill_us;
	uint64_t random; /* xorshift state, seeded at start; never for secrets */
	_Atomic bool stop; /* nothing more is taken from the port; workers_stop() stores */
	_Atomic uint32_t round; /* of the end; others read */
	struct turn_meter turn;
	struct worker_counters count;
};

/** The worker's loop; returns after workers_stop(). Thread of its own lcore. arg: struct worker. */
int worker_run(void *arg);

/**
 * Main thread: none takes anything more from the port, what is between them is done and sent, then they
 * end. All of them run.
 */
void workers_stop(struct worker *workers, unsigned count);

/**
 * We did not run for long (stopped, or the machine was): what waits at the port and between workers
 * is too old for anybody, and a burst of it would only drive out what is fresh. The worker's thread.
 */
void worker_stood_still(struct worker *w);

/**
 * Timers of owned transports (reports, consent) and orders from housekeeping. Called each turn;
 * touches only what is due. In worker_timer.c.
 */
void worker_orders(struct worker *w);
void worker_timers(struct worker *w);

/** Tell housekeeping; a full ring is counted (NOTICE_DTLS: the caller keeps the mbuf). */
bool worker_notify(struct worker *w, const struct worker_notice *n);

/**
 * How many packets a turn may take from each of its sources, so that its work is bounded: many where
 * each makes few copies, few where each makes many.
 */
static inline unsigned worker_take(const struct worker *w);

/** What the packets of a turn came to; for the next one. */
static inline void worker_took(struct worker *w, unsigned packets, uint64_t copies);

/* Inline bodies */

/**
 * Copies of a turn, about: what arrives meanwhile waits for its end, 40 us with GCM and twice that
 * with counter mode.
 */
#define WORKER_TURN_COPIES 192u

static inline unsigned worker_take(const struct worker *w)
{
	uint32_t most = 16 * WORKER_TURN_COPIES / (w->fanout_16ths | 1);

	return most > PATH_BURST ? PATH_BURST : most ? most : 1;
}

static inline void worker_took(struct worker *w, unsigned packets, uint64_t copies)
{
	uint64_t now;

	if (!packets)
		return;
	now = 16 * copies / packets;
	// Up at once, down slowly: rather a turn too short than one too long.
	w->fanout_16ths = (uint32_t)(now > w->fanout_16ths ? now : (7 * w->fanout_16ths + now) / 8);
}

/** A copy for c is not sent, for this reason. */
static inline void edge_count(struct worker *w, struct consumer *c, enum edge_reason reason)
{
	w->count.edge[reason]++;
	c->edge[reason]++;
}

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
