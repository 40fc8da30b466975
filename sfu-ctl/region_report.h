// SPDX-License-Identifier: BSD-3-Clause
/** Reading what another node answers to GET /health (protocol.md A9, failoverHints). Pure. */
#pragma once

#include <stddef.h>

#include "sfu-ctl/regions.h"

/** Longer answers are none. */
#define REGION_REPORT_MAX_BYTES 16384u

/**
 * @param status  of HTTP
 * @param text    body: len octets; hostile
 * @return 0; -EINVAL: no answer of a node like us; -ENOMEM
 * A node without our additions (load, clockUs, instance) is read too.
 */
int region_report_read(long status, const char *text, size_t len, struct region_report *out);
