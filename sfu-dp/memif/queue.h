// SPDX-License-Identifier: BSD-3-Clause
/**
 * One ring of a memif and its buffers, the client's end. What the server writes is taken for what it
 * is worth: where a buffer lies we know ourselves, and of a slot only length and flags are read, once.
 */
#pragma once

#include <rte_mempool.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "sfu-dp/memif/session.h"

struct rte_mbuf;

/** Of one worker; what housekeeping touches says so. */
struct memif_queue {
	_Alignas(64) struct memif_ring *ring;
	uint8_t *buffers; /* of slot 0; the others' behind it */
	uint32_t offset; /* of these in the region */
	uint16_t slots; /* a power of two */
	uint16_t next; /* index of the slot that is filled or taken next */
	bool in_chain; /* the frame that is skipped goes on in that slot */
	int kick; /* eventfd; the server may do with it what we may */
	_Atomic pid_t writer; /* thread that writes to kick now, 0 = none; housekeeping reads */
	_Atomic bool broken; /* impossible indices; housekeeping reads */
	uint64_t odd; /* frames from the server that were none of ours: empty, too long, in parts */
	uint64_t starved; /* bursts left in the ring since no buffer was free */
	uint64_t too_long; /* frames to the server that no slot can hold; not sent */
};

/** Ring number of the region at memory. The eventfd and what was counted stay as they are. */
void memif_queue_init(
	struct memif_queue *q, const struct memif_layout *l, unsigned ring, uint8_t *memory);

/** A connection is being made: indices 0, the buffers of every slot in their places. */
void memif_queue_clear(struct memif_queue *q);

/** The server has connected: offer it all slots. Of the ring from the server. */
void memif_queue_offer(struct memif_queue *q);

/**
 * Go on where another process was: the rings themselves say where that is. It no longer touches
 * them, the server may.
 */
void memif_queue_resume(struct memif_queue *q, bool from_server);

/** As rte_eth_rx_burst(); buffers from pool. */
uint16_t memif_queue_receive(
	struct memif_queue *q, struct rte_mempool *pool, struct rte_mbuf **m, uint16_t most);

/**
 * As rte_eth_tx_burst(); frames of one segment. One that is longer than a slot is taken, counted and goes
 * nowhere. Where the server wants to be woken, it can hold the caller until memif_queue_unblock().
 */
uint16_t memif_queue_send(struct memif_queue *q, struct rte_mbuf **m, uint16_t count);

/** Before the first memif_queue_unblock(): SIGURG becomes ours, and means nothing. Main thread. */
void memif_queue_signal(void);

/**
 * Let go a worker that waits in memif_queue_send(), or would: the server has filled the counter of the
 * eventfd, by which it cannot have been woken so often. True: it had. Never blocks. Housekeeping.
 */
bool memif_queue_unblock(const struct memif_queue *q);
