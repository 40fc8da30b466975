// SPDX-License-Identifier: BSD-3-Clause
/**
 * The network port: one DPDK ethdev with a queue pair per worker where it has that many.
 */
#pragma once

#include <rte_mempool.h>
#include <stdbool.h>
#include <stdint.h>

struct port {
	uint16_t id;
	uint16_t rx_queues, tx_queues;
	bool spreads;   /* the port spreads flows over its receive queues */
	uint16_t mtu;
	uint8_t mac[6];
	/* addresses we answer for; IPv4 mapped, network order. Set at start, then read only. */
	uint8_t address[4][16];
	unsigned address_count;
	uint16_t media_port_be16;
};
