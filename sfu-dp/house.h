// SPDX-License-Identifier: BSD-3-Clause
/**
 * Housekeeping: the thread beside the workers. It alone talks to the link, applies the programme,
 * carries DTLS between workers and link, and answers dp-cli. Runs on the EAL's main lcore.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "sfu-dp/config.h"
#include "sfu-dp/link.h"
#include "sfu-dp/port.h"
#include "sfu-dp/programme.h"
#include "sfu-dp/worker.h"

struct inspect;

/** Counters of housekeeping itself. */
struct house_counters {
	uint64_t punts_lost; /* punted by a worker, not taken by the link */
	uint64_t dtls_orders; /* datagrams from the control plane given to workers */
	uint64_t dtls_unknown; /* for a transport that is gone or has no owner yet */
	uint64_t orders_lost; /* a worker's order ring was full */
	uint64_t commands, refused;
};

struct house {
	const struct config *config;
	struct link *link;
	struct programme *programme;
	struct inspect *inspect;
	struct port *port;
	struct objects *objects;
	struct rte_mempool *pool;
	struct worker *workers;
	unsigned worker_count;
	_Atomic int *stop; /* set by the signal handler */
	uint64_t started_us;

	/* own */
	int epoll;
	uint64_t now_us;
	uint64_t stats_us;
	uint64_t generation; /* of the attach that the digest below belongs to */
	uint8_t digesting;
	uint64_t digest_cursor;
	uint64_t digest_items;
	uint64_t digest_command;
	struct house_counters count;
};

/** Run until *h->stop; 0 or negative errno when it could not begin. */
int house_run(struct house *h);
