// SPDX-License-Identifier: BSD-3-Clause
/**
 * The network port: one DPDK ethdev with a queue pair per worker where it has that many, or a memif of
 * our own (memif/memif.h).
 */
#pragma once

#include <rte_ethdev.h>
#include <rte_mempool.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sfu-dp/memif/memif.h"

struct tie_held;

#define PORT_ADDRESSES 4u

/** Written by port_open() on the main thread, then read only, any worker. */
struct port {
	struct memif *memif; /* NULL = an ethdev, id */
	uint16_t id;
	uint16_t rx_queues, tx_queues;
	bool spreads; /* the port spreads flows over its receive queues, always the same way */
	bool rss; /* it does so by its own hash */
	int socket; /* NUMA node; -1 = none */
	uint64_t rx_offers, tx_offers; /* RTE_ETH_{RX,TX}_OFFLOAD_* that it has … */
	uint64_t tx_used; /* … and those in use; nothing is needed of any */
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

/** False for a PCI address. */
bool port_is_virtual(const char *device);

/** Whether the driver copies frames and so takes buffers that the EAL knows nothing of. */
bool port_copies(const char *device);

/** NUMA node of the device, or -1: no such node, or no such device yet. */
int port_socket(const char *device);

/** Whether two processes may have it open at a time. */
bool port_is_shareable(const char *device);

/** Whether it is of the EAL's making: a vdev ("net_…"). */
bool port_is_vdev(const char *device);

/** Whether what is received waits in memory that outlives a process, and its successor takes it up. */
bool port_keeps(const char *device);

/** Have the EAL find a device that it was not told of at its start. 0 or negative errno. */
int port_plug(const char *device, const char *vdev_arguments);

/**
 * Throw away what has been received so far, where another process that has the port open received it as
 * well. No worker polls yet.
 */
void port_drain(struct port *p);

/**
 * Parse "ADDRESS[,ADDRESS]…", IPv4 or IPv6, into addresses of 16 octets, IPv4 mapped.
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

/** After port_open(), perhaps again: what another process had open of this port (keeper/tie.h). */
void port_adopt(struct port *p, struct tie_held *held);

/** From here on no other process polls it. Before workers do. */
void port_begin(struct port *p, struct rte_rcu_qsbr *qsbr);

/** Housekeeping's part, each turn. True: a successor needs what *held says now. */
bool port_turn(struct port *p, uint64_t now_us, struct tie_held *held);

/** No worker stays in port_send(), whatever the other end does: while they are waited for. Housekeeping. */
void port_unblock(struct port *p);

/** Another process goes on with it; workers no longer poll. */
void port_release(struct port *p);

/** A burst of received frames; queue is one of rx_queues. One worker a queue. */
static inline uint16_t port_receive(
	const struct port *p, uint16_t queue, struct rte_mbuf **m, uint16_t most);

/** How many of these frames the port took; the others remain the caller's. One worker a queue. */
static inline uint16_t port_send(
	const struct port *p, uint16_t queue, struct rte_mbuf **m, uint16_t count);

/** Stop and close; workers no longer poll. The name is empty afterwards: nothing is open. */
void port_close(struct port *p);

/* Inline bodies */

static inline uint16_t port_receive(
	const struct port *p, uint16_t queue, struct rte_mbuf **m, uint16_t most)
{
	if (p->memif)
		return memif_receive(p->memif, m, most);
	return rte_eth_rx_burst(p->id, queue, m, most);
}

static inline uint16_t port_send(
	const struct port *p, uint16_t queue, struct rte_mbuf **m, uint16_t count)
{
	if (p->memif)
		return memif_send(p->memif, queue, m, count);
	return rte_eth_tx_burst(p->id, queue, m, count);
}
