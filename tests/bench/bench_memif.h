// SPDX-License-Identifier: BSD-3-Clause
/**
 * The cross-check: clients and path in processes of their own, net_memif between them, so that nothing
 * of what one measures is in the caches of the other, and each counts by itself.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "tests/bench/bench.h"

/**
 * Fork the clients. Before bench_start(), in a process of one thread; the child does not return.
 * @return false when it cannot be forked
 */
bool memif_fork(const char *program, const struct shape *s);

/** Have them send for a while; one line on stdout and one JSON object. false when the books differ. */
bool memif_run(
	const struct shape *s, const char *profile, const struct srtp_engine *engine, FILE *json);
