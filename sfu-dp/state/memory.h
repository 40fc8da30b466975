// SPDX-License-Identifier: BSD-3-Clause
/**
 * Where a stream state lies: a memfd that can be handed on, or memory of this process alone. Pages
 * are locked as they are touched, stay out of core dumps, and are zero until then. Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/** A memfd of so many octets whose size is sealed, CLOEXEC; -1 with errno. */
int state_memory_create(size_t bytes);

/** Octets of a memfd whose size is sealed; 0 when it is none. */
size_t state_memory_size(int fd);

/** Map it, or zeroed memory of our own where fd is -1; NULL with errno. */
void *state_memory_map(int fd, size_t bytes);

void state_memory_unmap(void *memory, size_t bytes);

/** Back to zeros, for everybody who maps it; false when the kernel does not give us new pages. */
bool state_memory_clear(void *memory, size_t bytes);
