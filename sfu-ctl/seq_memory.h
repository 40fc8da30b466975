// SPDX-License-Identifier: BSD-3-Clause
/**
 * The last server seq of each device, so that a device that comes back is not given numbers it has
 * already seen (protocol.md C2). Devices of authenticated connections only; kept for ten minutes
 * after the last of them went, at most SEQ_MEMORY_IDLE of those, oldest dropped first.
 */
#pragma once

#include <stdint.h>
#include <sys/queue.h>

#include "sfu-ctl/table.h"

#define SEQ_MEMORY_IDLE 10000u
#define SEQ_MEMORY_KEEP_US UINT64_C(600000000)

struct seq_entry {
	struct table_node node;
	TAILQ_ENTRY(seq_entry) idle_link; /* while users is 0 */
	uint64_t last; /* highest seq sent to this device */
	uint64_t idle_until_us;
	uint32_t users; /* connections */
	char device_id[];
};

struct seq_memory {
	struct table by_device;
	TAILQ_HEAD(, seq_entry) idle; /* oldest first */
	uint32_t idle_count;
};

void seq_memory_init(struct seq_memory *m, const uint8_t *hash_key);
/** All connections must have released theirs. */
void seq_memory_fini(struct seq_memory *m);

/** The last seq of a device, 0 when it is not known. */
uint64_t seq_memory_last(struct seq_memory *m, const char *device_id, uint64_t now_us);

/** An authenticated connection has this device id. NULL when out of memory: then nothing is kept. */
struct seq_entry *seq_memory_bind(struct seq_memory *m, const char *device_id, uint64_t now_us);
/** It has it no longer. NULL is fine. */
void seq_memory_release(struct seq_memory *m, struct seq_entry *e, uint64_t now_us);
