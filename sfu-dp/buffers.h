// SPDX-License-Identifier: BSD-3-Clause
/**
 * The pool of packet buffers, with struct pkt as their private area.
 */
#pragma once

#include <rte_mempool.h>
#include <stdbool.h>
#include <stddef.h>

/** Where the buffers lie. */
enum buffers_memory {
	BUFFERS_EAL, /* in the EAL's memory: of hugepages, or shared with a device's driver */
	BUFFERS_OWN, /* in memory of our own, for an EAL without hugepages and ports that copy */
};

/**
 * Make the pool. Main thread, after the EAL is up; rte_mempool_free() ends it.
 * @param count      buffers (best: a power of two less one)
 * @param most_bytes what they may take; 0 = whatever they need
 * @return NULL with rte_errno when there is not so much
 */
struct rte_mempool *buffers_create(
	unsigned count, int socket, enum buffers_memory memory, size_t most_bytes);
