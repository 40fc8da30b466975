// SPDX-License-Identifier: BSD-3-Clause
/**
 * A memif of our own: the client's end, spoken to any server (VPP, DPDK's net_memif, libmemif). Unlike
 * net_memif's, its socket, memory and eventfds may pass from process to process (keeper/tie.h), so the
 * server does not notice that another one goes on: what lies in the rings stays there meanwhile.
 *
 *   SFU_DP_DEVICE = memif0,socket=PATH[,id=N][,rsize=N][,mac=XX:XX:XX:XX:XX:XX]
 *
 * Memory and eventfds that a server has had go to no other: it may write to them as long as it lives.
 * They outlive our process, not the server.
 *
 * rsize is log2 of the slots of a ring, as in net_memif (11). A ring per worker leads to the server, one
 * comes from it.
 */
#pragma once

#include <rte_mempool.h>
#include <rte_rcu_qsbr.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct memif;
struct rte_mbuf;
struct tie_held;

struct memif_figures {
	bool is_up; /* a server is there */
	uint64_t connects; /* connections made; not those taken over */
	uint64_t odd, starved, too_long; /* memif/queue.h */
};

/** True for "memif…". */
bool memif_is(const char *device);

/**
 * Read the arguments; nothing is opened yet. Main thread.
 * @param mac  receives the address where the arguments give one
 * @return NULL; why holds one line that says what to do
 */
struct memif *memif_create(const char *device, unsigned workers, struct rte_mempool *pool,
	uint8_t mac[6], char *why, size_t why_cap);

/** With whom we talk hears that it is over, unless memif_release() was called or never memif_start(). */
void memif_destroy(struct memif *m);

/**
 * What another process had open, as the keeper gave it: mapped, not touched. May come again, the last
 * counts. Takes the descriptors, used or not: what does not fit (other workers) is begun anew.
 */
void memif_adopt(struct memif *m, struct tie_held *held);

/** From now on it is this process's: goes on with what was adopted, or begins to look for the server. */
void memif_start(struct memif *m, struct rte_rcu_qsbr *qsbr);

/**
 * Housekeeping's part, each turn: conversation, loss of the server, looking for it again.
 * @param held  filled when true: what a successor needs has changed; the descriptors remain ours
 */
bool memif_turn(struct memif *m, uint64_t now_us, struct tie_held *held);

/**
 * No worker stays in a write to the server: for who waits for workers and takes no turns meanwhile.
 * Housekeeping.
 */
void memif_unblock(struct memif *m);

/** Another process goes on. Workers no longer poll. */
void memif_release(struct memif *m);

void memif_figures(const struct memif *m, struct memif_figures *out);

/** As rte_eth_rx_burst() on its one queue. One worker. */
uint16_t memif_receive(struct memif *m, struct rte_mbuf **mbufs, uint16_t most);

/** As rte_eth_tx_burst(); queue is a worker's. */
uint16_t memif_send(struct memif *m, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count);
