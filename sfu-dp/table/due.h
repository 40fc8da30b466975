// SPDX-License-Identifier: BSD-3-Clause
/**
 * Transports that something is due for after one and the same delay: a first-in first-out list, so
 * that only what is due is touched. One worker's own.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct due_list;

/** Room for so many entries; NULL without memory. Destroy takes NULL. */
struct due_list *due_list_create(uint32_t capacity);
void due_list_destroy(struct due_list *l);

/** Append; at_us is never below that of the entry before. False when full. */
bool due_list_push(struct due_list *l, uint64_t handle, uint64_t at_us);

/** Take the first entry if it is due; 0 = none. Its object may be gone by now. */
uint64_t due_list_pop(struct due_list *l, uint64_t now_us);
