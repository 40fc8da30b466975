// SPDX-License-Identifier: BSD-3-Clause
/**
 * The network port: one DPDK ethdev with a queue pair per worker where it has that many.
 */
#pragma once

#include <rte_mempool.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PORT_ADDRESSES 4u

/** Written by port_open() on the main thread, then read only, any worker. */
struct port {
	uint16_t id;
	uint16_t rx_queues, tx_queues;
	bool spreads; /* the port spreads flows over its receive queues, always the same way */
	uint16_t mtu; /* octets of an IP packet */
	uint8_t mac[6];
	uint8_t address[PORT_ADDRESSES][16]; /* that we answer for; IPv4 mapped, network order */
	unsigned address_count;
	uint16_t media_port_be16;
	char name[64];
	char driver[64];
};

/**
 * Complete a vdev's arguments for our use: queues and ring sizes of net_af_packet, where the
 * operator gave none. Other devices are passed as they are.
 * @return false when out (cap octets) is too small
 */
bool port_vdev_arguments(const char *device, unsigned workers, char *out, size_t cap);

/** True for a vdev ("net_…"), false for a PCI address. */
bool port_is_vdev(const char *device);

/**
 * Parse "a.b.c.d[,a.b.c.d]…" into mapped addresses.
 * @return how many, or -EINVAL (also for more than PORT_ADDRESSES or none, and for what cannot be
 *         one machine's address)
 */
int port_addresses_parse(const char *text, uint8_t out[PORT_ADDRESSES][16]);

/**
 * Configure and start the device. Main thread, after the EAL is up. address, address_count and
 * media_port_be16 are the caller's to fill in.
 * @return 0 or negative errno; why holds one line that says what to do
 */
int port_open(struct port *p, const char *device, unsigned workers, struct rte_mempool *pool,
	char *why, size_t why_cap);

/** Stop and close; workers no longer poll. The name is empty afterwards: nothing is open. */
void port_close(struct port *p);
