// SPDX-License-Identifier: BSD-3-Clause
/**
 * DTLS datagrams of clients that wait for room on the link, in the order they came. When too many do,
 * the oldest goes: a client sends again what it has heard no answer to, so that one is worth least.
 * Housekeeping's thread only.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "shared/event.h"

/** Half a megabyte; a handshake takes about ten. */
#define PUNTS_MAX 256u

struct punts {
	struct sfu_dtls_record *record; /* PUNTS_MAX of them */
	uint32_t first, count;
};

/** 0 or -ENOMEM. */
int punts_create(struct punts *p);
void punts_destroy(struct punts *p);

/** Keep a copy. Returns whether the oldest was dropped for it. */
bool punts_push(struct punts *p, const struct sfu_dtls_record *r);

/** The oldest, NULL when there is none. Valid until the next call. */
const struct sfu_dtls_record *punts_first(const struct punts *p);
void punts_pop(struct punts *p);

/** Drop all. Returns how many that were. */
uint32_t punts_clear(struct punts *p);
