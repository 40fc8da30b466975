// SPDX-License-Identifier: BSD-3-Clause
/** Random octets of the kernel, fetched many at a time: each frame that leaves has a UUID of its own. */
#pragma once

#include <stddef.h>

/**
 * Fill out with octets that nobody else gets. Event loop's thread only, not across fork(). Ends the
 * process when the kernel has none: ids that can be guessed are worse than no service.
 */
void entropy_fill(void *out, size_t len);
