// SPDX-License-Identifier: BSD-3-Clause
/**
 * Housekeeping: the thread beside the workers. It alone talks to the link, applies the programme,
 * carries DTLS between workers and link, and answers dp-cli. Runs on the EAL's main lcore.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "sfu-dp/config.h"
#include "sfu-dp/link.h"
#include "sfu-dp/port.h"
#include "sfu-dp/programme/programme.h"
#include "sfu-dp/punts.h"
#include "sfu-dp/transport_events.h"
#include "sfu-dp/worker.h"

struct inspect;
struct state;
struct tie;

/** Counters of housekeeping itself. */
struct house_counters {
	uint64_t
		punts_lost; /* punted by a worker, and nobody was attached, or left with them waiting */
	uint64_t punts_overtaken; /* dropped for newer ones while the link was full */
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
	struct tie *tie; /* to the keeper */
	struct state *state; /* stream state; NULL without a keeper */
	bool released; /* the keeper wants the port for another process */
	uint64_t started_us;

	struct transport_events events;
	struct punts punts;

	/* own */
	int epoll;
	uint64_t now_us;
	uint64_t stats_us;
	bool ctl_silent; /* the control plane is attached and hangs: reported */
	uint64_t speakers_us; /* last look at who speaks */
	uint64_t generation; /* of the attach that the digest below belongs to */
	uint8_t digesting;
	uint64_t digest_cursor;
	uint64_t digest_items;
	uint64_t digest_command;
	struct sfu_command command; /* under way, in parts */
	bool command_under_way;
	uint64_t command_us; /* since when */
	uint64_t command_generation; /* of the attach that it came by */
	struct turn_meter turn; /* but for what dp-cli asked for */
	struct house_counters count;
};

/** Run until *h->stop or released; 0 or negative errno when it could not begin. */
int house_run(struct house *h);
