// SPDX-License-Identifier: BSD-3-Clause
/** What the packet path must not do: allocate, lock, call the kernel. Counted while it works. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct watch_counts {
	uint64_t allocations; /* malloc, calloc, realloc */
	uint64_t locks; /* pthread mutexes, spin and read-write locks taken */
	uint64_t system_calls;
};

/* Each thread watches itself. */

/** Once per thread before its first watch_begin(); further calls do nothing. */
void watch_thread(void);

/** From here on. */
void watch_begin(void);

/** What the bench itself asks of the kernel in between is not counted. */
void watch_pause(void);
void watch_resume(void);

/** Until here: what happened is added to *sum. */
void watch_end(struct watch_counts *sum);

/** Whether this kernel lets system calls be counted, of all threads so far. */
bool watch_sees_system_calls(void);
