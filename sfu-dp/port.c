// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/port.h"

#include <arpa/inet.h>
#include <errno.h>
#include <rte_bus.h>
#include <rte_dev.h>
#include <rte_ethdev.h>
#include <stdio.h>
#include <string.h>

#include "sfu-dp/keeper/tie.h"

#define RX_DESCRIPTORS 1024
#define TX_DESCRIPTORS 1024

bool port_is_vdev(const char *device)
{
	return !strncmp(device, "net_", 4) || !strncmp(device, "eth_", 4)
	       || !strncmp(device, "virtio_user", 11);
}

bool port_is_virtual(const char *device)
{
	return port_is_vdev(device) || memif_is(device);
}

bool port_copies(const char *device)
{
	static const char *const copying[]
		= {"net_af_packet", "net_tap", "net_ring", "net_null", "net_memif", "memif"};

	for (size_t i = 0; i < RTE_DIM(copying); i++) {
		if (!strncmp(device, copying[i], strlen(copying[i])))
			return true;
	}
	return false;
}

bool port_is_shareable(const char *device)
{
	return !strncmp(device, "net_af_packet", 13) || port_keeps(device);
}

bool port_keeps(const char *device)
{
	return memif_is(device);
}

int port_plug(const char *device, const char *vdev_arguments)
{
	char name[64];
	size_t len = strcspn(vdev_arguments, ",");

	if (memif_is(device))
		return 0;
	if (!port_is_vdev(device))
		return rte_eal_hotplug_add("pci", device, "");
	if (len >= sizeof(name))
		return -EINVAL;
	memcpy(name, vdev_arguments, len);
	name[len] = 0;
	return rte_eal_hotplug_add(
		"vdev", name, vdev_arguments[len] ? vdev_arguments + len + 1 : "");
}

void port_drain(struct port *p)
{
	struct rte_mbuf *m[32];

	if (p->memif)
		return;
	for (uint16_t q = 0; q < p->rx_queues; q++) {
		uint16_t n;

		while ((n = rte_eth_rx_burst(p->id, q, m, 32)))
			rte_pktmbuf_free_bulk(m, n);
	}
}

bool port_vdev_arguments(const char *device, unsigned workers, char *out, size_t cap)
{
	bool af_packet = !strncmp(device, "net_af_packet", 13);
	int n;

	// 4 MiB of receive ring per queue: two cores shared with four browsers leave us unscheduled
	// for tens of milliseconds, and what does not fit the kernel's ring is lost unseen.
	n = snprintf(out, cap, "%s%s", device,
		af_packet && !strstr(device, "framecnt=")
			? ",blocksz=65536,framesz=2048,framecnt=2048,qdisc_bypass=0"
			: "");
	if (n < 0 || (size_t)n >= cap)
		return false;
	if (af_packet && !strstr(device, "qpairs=")) {
		int m = snprintf(out + n, cap - (size_t)n, ",qpairs=%u", workers);

		return m > 0 && (size_t)m < cap - (size_t)n;
	}
	return true;
}

/** One machine's address: neither "any" nor a group, nor the reserved block above them. */
static bool is_host(struct in_addr v4)
{
	return v4.s_addr != INADDR_ANY && ntohl(v4.s_addr) < 0xe0000000;
}

static bool parse_ip4(const char *word, uint8_t out[16])
{
	struct in_addr v4;

	if (inet_pton(AF_INET, word, &v4) != 1 || !is_host(v4))
		return false;
	memset(out, 0, 10);
	memset(out + 10, 0xff, 2);
	memcpy(out + 12, &v4, 4);
	return true;
}

static bool parse_ip6(const char *word, uint8_t out[16])
{
	static const uint8_t zeros[10];
	struct in6_addr v6;

	// Neither "any", ourselves nor IPv4 in disguise, and no group.
	if (inet_pton(AF_INET6, word, &v6) != 1 || !memcmp(&v6, zeros, sizeof(zeros))
		|| IN6_IS_ADDR_MULTICAST(&v6))
		return false;
	memcpy(out, &v6, 16);
	return true;
}

int port_addresses_parse(const char *text, uint8_t out[PORT_ADDRESSES][16])
{
	char word[64];
	int count = 0;

	while (*text) {
		size_t len = strcspn(text, ",");

		if (len == 0 || len >= sizeof(word) || count == (int)PORT_ADDRESSES)
			return -EINVAL;
		memcpy(word, text, len);
		word[len] = 0;
		if (!parse_ip4(word, out[count]) && !parse_ip6(word, out[count]))
			return -EINVAL;
		count++;
		text += len;
		if (*text == ',' && !*++text)
			return -EINVAL;
	}
	return count ? count : -EINVAL;
}

static int port_id_of(const char *device, uint16_t *id)
{
	char name[64];
	size_t len = strcspn(device, ",");

	if (len >= sizeof(name))
		return -EINVAL;
	memcpy(name, device, len);
	name[len] = 0;
	return rte_eth_dev_get_port_by_name(name, id);
}

int port_socket(const char *device)
{
	uint16_t id;

	return port_id_of(device, &id) ? -1 : rte_eth_dev_socket_id(id);
}

/**
 * What is worth having. Every frame is one buffer of the one pool with one reference, so the driver may
 * give them back unseen. Checksums are not: IPv4's is a sum of two numbers per copy (path/tx_header.h), UDP
 * over IPv4 goes without, and descriptors for offloads cost more.
 */
static uint64_t tx_offloads(const struct rte_eth_dev_info *info)
{
	return info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
}

static int queues_setup(
	struct port *p, const struct rte_eth_dev_info *info, struct rte_mempool *pool)
{
	uint16_t rxd = RX_DESCRIPTORS, txd = TX_DESCRIPTORS;
	struct rte_eth_txconf txconf = info->default_txconf;
	int socket = rte_eth_dev_socket_id(p->id);
	int rc;

	txconf.offloads = p->tx_used;
	rc = rte_eth_dev_adjust_nb_rx_tx_desc(p->id, &rxd, &txd);
	if (rc)
		return rc;
	for (uint16_t q = 0; q < p->rx_queues; q++) {
		rc = rte_eth_rx_queue_setup(
			p->id, q, rxd, (unsigned)socket, &info->default_rxconf, pool);
		if (rc)
			return rc;
	}
	for (uint16_t q = 0; q < p->tx_queues; q++) {
		rc = rte_eth_tx_queue_setup(p->id, q, txd, (unsigned)socket, &txconf);
		if (rc)
			return rc;
	}
	return 0;
}

/** A locally administered address that no other station of the segment has, as nobody has ours. */
static void mac_of_address(struct port *p)
{
	p->mac[0] = 0x02;
	p->mac[1] = 0xfe;
	memcpy(p->mac + 2, p->address[0] + 12, 4);
}

static int memif_open(struct port *p, const char *device, unsigned workers,
	struct rte_mempool *pool, char *why, size_t why_cap)
{
	mac_of_address(p);
	p->memif = memif_create(device, workers, pool, p->mac, why, why_cap);
	if (!p->memif)
		return -EINVAL;
	snprintf(p->name, sizeof(p->name), "%.*s", (int)strcspn(device, ","), device);
	snprintf(p->driver, sizeof(p->driver), "memif");
	p->socket = -1;
	p->rx_queues = 1;
	p->tx_queues = (uint16_t)workers;
	p->mtu = RTE_ETHER_MTU;
	return 0;
}

int port_open(struct port *p, const char *device, unsigned workers, struct rte_mempool *pool,
	char *why, size_t why_cap)
{
	struct rte_eth_conf conf = {0};
	struct rte_eth_dev_info info;
	struct rte_ether_addr mac;
	int rc;

	if (memif_is(device))
		return memif_open(p, device, workers, pool, why, why_cap);
	rc = port_id_of(device, &p->id);
	if (rc) {
		snprintf(why, why_cap,
			"no DPDK port \"%s\": is the interface there, and may we open it "
			"(CAP_NET_RAW)?",
			device);
		return -ENODEV;
	}
	rc = rte_eth_dev_info_get(p->id, &info);
	if (rc) {
		snprintf(why, why_cap, "port %s gives no information: %s", device,
			rte_strerror(-rc));
		return rc;
	}
	snprintf(p->name, sizeof(p->name), "%.*s", (int)strcspn(device, ","), device);
	snprintf(p->driver, sizeof(p->driver), "%s", info.driver_name);
	p->socket = rte_eth_dev_socket_id(p->id);
	p->rx_offers = info.rx_offload_capa;
	p->tx_offers = info.tx_offload_capa;
	p->tx_used = conf.txmode.offloads = tx_offloads(&info);
	p->rx_queues = (uint16_t)RTE_MIN(workers, info.max_rx_queues);
	p->tx_queues = (uint16_t)RTE_MIN(workers, info.max_tx_queues);
	// Only where a flow always meets the same queue: packet fanout by hash, or RSS. To a tap the
	// kernel brings a flow on the queue on which we sent to it last, whatever it is told.
	p->spreads = !strcmp(info.driver_name, "net_af_packet");
	if (p->rx_queues > 1 && strcmp(info.driver_name, "net_tap")
		&& (info.flow_type_rss_offloads & (RTE_ETH_RSS_UDP | RTE_ETH_RSS_IP))) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf
			= info.flow_type_rss_offloads & (RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP);
		p->spreads = p->rss = true;
	}
	if (p->rx_queues < workers)
		p->spreads = p->rss = false;
	if (p->tx_queues < workers) {
		snprintf(why, why_cap,
			"port %s has %u transmit queues for %u workers: lower SFU_DP_WORKERS",
			device, info.max_tx_queues, workers);
		return -ENOTSUP;
	}
	rc = rte_eth_dev_configure(p->id, p->rx_queues, p->tx_queues, &conf);
	if (!rc)
		rc = queues_setup(p, &info, pool);
	if (!rc)
		rc = rte_eth_dev_start(p->id);
	if (rc) {
		snprintf(why, why_cap, "port %s does not start: %s", device, rte_strerror(-rc));
		return rc;
	}
	// Promiscuous so that a MAC set from outside still reaches us; rx checks the destination.
	rte_eth_promiscuous_enable(p->id);
	rc = rte_eth_macaddr_get(p->id, &mac);
	if (!rc)
		rc = rte_eth_dev_get_mtu(p->id, &p->mtu);
	if (rc) {
		snprintf(why, why_cap, "port %s: no MAC address or MTU: %s", device,
			rte_strerror(-rc));
		port_close(p);
		return rc;
	}
	memcpy(p->mac, mac.addr_bytes, sizeof(p->mac));
	return 0;
}

void port_adopt(struct port *p, struct tie_held *held)
{
	if (p->memif)
		memif_adopt(p->memif, held);
}

void port_begin(struct port *p, struct rte_rcu_qsbr *qsbr)
{
	if (p->memif)
		memif_start(p->memif, qsbr);
}

bool port_turn(struct port *p, uint64_t now_us, struct tie_held *held)
{
	return p->memif && memif_turn(p->memif, now_us, held);
}

void port_unblock(struct port *p)
{
	if (p->memif)
		memif_unblock(p->memif);
}

void port_release(struct port *p)
{
	if (p->memif)
		memif_release(p->memif);
}

void port_close(struct port *p)
{
	if (p->memif) {
		memif_destroy(p->memif);
		p->memif = NULL;
	} else {
		rte_eth_dev_stop(p->id);
		rte_eth_dev_close(p->id);
	}
	p->name[0] = 0;
}
