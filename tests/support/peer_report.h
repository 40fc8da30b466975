// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdbool.h>

#include "tests/support/peer.h"

/**
 * @file
 * For tests: what the peers of a run report, and whether all of it was right.
 */

/** What happened around the peers. */
struct peer_run_report {
	const struct peer_options *options;
	struct peer **peers;
	unsigned peer_count;
	double seconds; // of media
	uint64_t stopped_us; // when the sources stopped
	uint64_t socket_drops; // datagrams that our own sockets had no room for
	const char *failure; // of the run; NULL = it ran to its end
};

/** One line per peer for people, on standard output. */
void peer_report_text(const struct peer_run_report *run);

/** One JSON object per peer and one of totals, a line each. */
void peer_report_json(const struct peer_run_report *run);

/** Why the run was not right, to be freed; NULL if it was. */
char *peer_report_verdict(const struct peer_run_report *run);
