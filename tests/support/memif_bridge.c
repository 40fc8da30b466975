// SPDX-License-Identifier: BSD-3-Clause
/**
 * sfu-memif-bridge: what a virtual switch is to sfu-dp, as a process of its own: DPDK's net_memif as the
 * server of a memif, DPDK's net_af_packet on an interface, and frames from one to the other. Nothing in
 * it knows of hand-overs, nothing is sent a second time.
 *
 *   sfu-memif-bridge SOCKET INTERFACE QUEUES
 *
 * QUEUES rings come from the memif's client, one leads to it. "ready" on stdout; at SIGUSR1 and SIGTERM a
 * line of JSON: frames carried and refused by the other side, connections, and the longest time since the
 * last such line for which frames lay with the client and nothing came from it. Each such time of more
 * than 15 ms is told before: "silent FROM TO", microseconds of CLOCK_REALTIME.
 */
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BURST 32u
#define MBUFS 8191u
/** Empty turns that are spun before it sleeps, for there are others on this machine. */
#define SPIN_TURNS 64u
#define SLEEP_NS 20000
#define QUEUES_MAX 16u
#define SILENT_US 15000u

struct way {
	uint64_t carried, refused;
};

static struct {
	struct rte_mempool *pool;
	uint16_t memif, wire;
	unsigned queues;
	struct way to_client, from_client;
	uint64_t connections;
	bool is_up;
	uint64_t waits_since; /* cycles; 0 = nothing was sent since something came */
	uint64_t longest_us;
} bridge;

static volatile sig_atomic_t stop, tell;

static void on_signal(int number)
{
	if (number == SIGUSR1)
		tell = 1;
	else
		stop = 1;
}

static bool port_start(const char *name, unsigned rx, unsigned tx, uint16_t *id)
{
	struct rte_eth_conf conf = {0};

	if (rte_eth_dev_get_port_by_name(name, id)
		|| rte_eth_dev_configure(*id, (uint16_t)rx, (uint16_t)tx, &conf))
		return false;
	for (unsigned q = 0; q < rx; q++) {
		if (rte_eth_rx_queue_setup(*id, (uint16_t)q, 2048, 0, NULL, bridge.pool))
			return false;
	}
	for (unsigned q = 0; q < tx; q++) {
		if (rte_eth_tx_queue_setup(*id, (uint16_t)q, 2048, 0, NULL))
			return false;
	}
	return !rte_eth_dev_start(*id);
}

/** The EAL and both ports. */
static bool start(char *program, const char *socket, const char *interface)
{
	static char memif[160], wire[160];
	static char fixed[][20] = {"--no-huge", "--no-pci", "--no-shconf", "--no-telemetry", "-m",
		"64", "--lcores=0", "--log-level=1", "--vdev"};
	char *argv[16] = {program};
	int argc = 1;

	snprintf(memif, sizeof(memif),
		"net_memif0,role=server,id=0,socket-abstract=no,rsize=11,socket=%s", socket);
	snprintf(wire, sizeof(wire),
		"net_af_packet0,iface=%s,blocksz=65536,framesz=2048,framecnt=2048,qdisc_bypass=0",
		interface);
	for (unsigned i = 0; i < RTE_DIM(fixed); i++)
		argv[argc++] = fixed[i];
	argv[argc++] = memif;
	argv[argc++] = fixed[RTE_DIM(fixed) - 1];
	argv[argc++] = wire;
	if (rte_eal_init(argc, argv) < 0)
		return false;
	bridge.pool = rte_pktmbuf_pool_create(
		"bridge", MBUFS, 64, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	return bridge.pool && port_start("net_memif0", bridge.queues, 1, &bridge.memif)
	       && port_start("net_af_packet0", 1, 1, &bridge.wire)
	       && !rte_eth_promiscuous_enable(bridge.wire);
}

static unsigned carry(
	uint16_t from, unsigned from_queue, uint16_t to, struct way *way, unsigned *arrived)
{
	struct rte_mbuf *m[BURST];
	unsigned n = rte_eth_rx_burst(from, (uint16_t)from_queue, m, BURST);
	unsigned sent = n ? rte_eth_tx_burst(to, 0, m, (uint16_t)n) : 0;

	if (sent < n)
		rte_pktmbuf_free_bulk(m + sent, n - sent);
	way->carried += sent;
	way->refused += n - sent;
	*arrived += sent;
	return n;
}

static uint64_t us_of(uint64_t cycles)
{
	return cycles * 1000000 / rte_get_tsc_hz();
}

/** Something came from the client, for which frames had lain there for so long. */
static void silent(uint64_t us)
{
	struct timespec ts;
	uint64_t now_us;

	bridge.longest_us = RTE_MAX(bridge.longest_us, us);
	if (us < SILENT_US)
		return;
	clock_gettime(CLOCK_REALTIME, &ts);
	now_us = (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
	printf("silent %lu %lu\n", now_us - us, now_us);
}

static unsigned turn(void)
{
	unsigned did = 0, in = 0, out = 0;
	uint64_t now;

	did += carry(bridge.wire, 0, bridge.memif, &bridge.to_client, &in);
	for (unsigned q = 0; q < bridge.queues; q++)
		did += carry(bridge.memif, q, bridge.wire, &bridge.from_client, &out);
	now = rte_rdtsc();
	if (out && bridge.waits_since)
		silent(us_of(now - bridge.waits_since));
	if (out)
		bridge.waits_since = 0;
	if (in && !out && !bridge.waits_since)
		bridge.waits_since = now;
	return did;
}

static void link_watch(void)
{
	struct rte_eth_link link = {0};
	bool is_up = !rte_eth_link_get_nowait(bridge.memif, &link) && link.link_status;

	bridge.connections += is_up && !bridge.is_up;
	bridge.is_up = is_up;
}

static void report(void)
{
	printf("{\"to_client\": %lu, \"to_client_refused\": %lu, \"from_client\": %lu, "
	       "\"from_client_refused\": %lu, \"connections\": %lu, \"silent_us\": %lu}\n",
		bridge.to_client.carried, bridge.to_client.refused, bridge.from_client.carried,
		bridge.from_client.refused, bridge.connections, bridge.longest_us);
	fflush(stdout);
	bridge.longest_us = bridge.waits_since = 0;
}

static void run(void)
{
	static const struct timespec rest = {.tv_nsec = SLEEP_NS};
	unsigned idle = 0;

	while (!stop) {
		if (tell) {
			tell = 0;
			report();
		}
		link_watch();
		idle = turn() ? 0 : idle + 1;
		if (idle > SPIN_TURNS)
			nanosleep(&rest, NULL);
	}
}

int main(int argc, char **argv)
{
	struct sigaction sa = {.sa_handler = on_signal};

	bridge.queues = argc == 4 ? (unsigned)strtoul(argv[3], NULL, 10) : 0;
	if (!bridge.queues || bridge.queues > QUEUES_MAX) {
		fprintf(stderr, "usage: sfu-memif-bridge SOCKET INTERFACE QUEUES\n");
		return 2;
	}
	if (!start(argv[0], argv[1], argv[2])) {
		fprintf(stderr, "sfu-memif-bridge: no EAL, or no net_memif or net_af_packet\n");
		return 1;
	}
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGUSR1, &sa, NULL);
	printf("ready\n");
	fflush(stdout);
	run();
	report();
	rte_eth_dev_stop(bridge.memif);
	rte_eth_dev_stop(bridge.wire);
	rte_eal_cleanup();
	return 0;
}
