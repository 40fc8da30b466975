// SPDX-License-Identifier: BSD-3-Clause
/**
 * SSRCs under a transport's keys, each of them once: an ascending array of those in use; those that were
 * are in the state. Programme's thread only. SSRC 0 is none.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct programme;
struct transport;

/** It is in use, or was: the same one again would repeat (key, SSRC, index). */
bool ssrc_used(const struct programme *p, const struct transport *t, uint32_t ssrc);

/** Make room for so many more; false without memory. */
bool ssrc_reserve(struct transport *t, uint32_t more);

/** Room was reserved. */
void ssrc_remember(struct transport *t, uint32_t ssrc);

/** Its consumer goes: never again, as long as there are these keys. */
void ssrc_retire(struct programme *p, struct transport *t, uint32_t ssrc);
