// SPDX-License-Identifier: BSD-3-Clause
#include "tests/bench/bench_memif.h"

#include <fcntl.h>
#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_ethdev.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/bench_contender.h"

#define NAME "net_memif0"
#define SECONDS 3.0
#define LINK_SECONDS 10.0
/** So long without a copy, and no more will come. */
#define QUIET_SECONDS 0.3
#define BURST 32u
/** Copies under way: fewer than the ring holds, for the path shall not have to throw any away. */
#define WINDOW 1500u
#define GIVE_UP_SECONDS 0.02
/** So many packets of each producer have warmed the path (path_create). */
#define WARMED 2u

static struct {
	pid_t pid;
	char socket[64];
	int to_clients[2], from_clients[2];
} clients;

static double seconds(void)
{
	return (double)rte_rdtsc() / bench.tsc_hz;
}

static bool port_open_here(const char *role, uint16_t *port)
{
	struct rte_eth_conf conf = {0};
	char arguments[128];

	snprintf(arguments, sizeof(arguments), "role=%s,id=0,socket-abstract=no,rsize=11,socket=%s",
		role, clients.socket);
	return !rte_eal_hotplug_add("vdev", NAME, arguments)
	       && !rte_eth_dev_get_port_by_name(NAME, port)
	       && !rte_eth_dev_configure(*port, 1, 1, &conf)
	       && !rte_eth_rx_queue_setup(*port, 0, 2048, 0, NULL, bench.pool)
	       && !rte_eth_tx_queue_setup(*port, 0, 2048, 0, NULL) && !rte_eth_dev_start(*port);
}

static bool link_wait(uint16_t port)
{
	double until = seconds() + LINK_SECONDS;
	struct rte_eth_link link = {0};

	while (seconds() < until) {
		if (!rte_eth_link_get_nowait(port, &link) && link.link_status)
			return true;
		usleep(1000);
	}
	return false;
}

/* The clients' process */

/** Copies among what comes; the rest is the path's own RTCP. */
static uint64_t receive(uint16_t port)
{
	struct rte_mbuf *m[BURST];
	uint16_t n = rte_eth_rx_burst(port, 0, m, BURST);
	uint64_t copies = 0;

	for (unsigned i = 0; i < n; i++) {
		uint8_t type = rte_pktmbuf_mtod(m[i], const uint8_t *)[BENCH_FRAME_HEADER + 1];

		copies += type < 192 || type > 223;
	}
	rte_pktmbuf_free_bulk(m, n);
	return copies;
}

/** Send as copies come back, until told to stop; all copies that came. */
static uint64_t send_all(const struct shape *s, uint16_t port)
{
	struct sources *sources = sources_create(s);
	double quiet;
	unsigned next = 0;
	uint64_t copies = 0, expected = 0, some;
	char stop;

	for (unsigned i = 0; i < WARMED * shape_producers(s); i++)
		rte_pktmbuf_free(sources_next(sources, i % shape_producers(s)));
	while (read(clients.to_clients[0], &stop, 1) < 0) {
		struct rte_mbuf *m = sources_next(sources, next++ % shape_producers(s));

		while (!rte_eth_tx_burst(port, 0, &m, 1))
			copies += receive(port);
		expected += s->consumers;
		// Those that the path's end of the ring refused will not come.
		for (quiet = seconds() + GIVE_UP_SECONDS; expected > copies + WINDOW;) {
			copies += receive(port);
			if (seconds() > quiet)
				expected = copies;
		}
	}
	for (quiet = seconds() + QUIET_SECONDS; seconds() < quiet;) {
		some = receive(port);
		copies += some;
		if (some)
			quiet = seconds() + QUIET_SECONDS;
	}
	sources_destroy(sources);
	return copies;
}

static void clients_main(const char *program, const struct shape *s)
{
	uint64_t copies = 0;
	uint16_t port;
	cpu_set_t second;
	char go;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (bench_start(program) || read(clients.to_clients[0], &go, 1) != 1)
		_exit(1);
	CPU_ZERO(&second);
	CPU_SET(1, &second);
	sched_setaffinity(0, sizeof(second), &second);
	if (!port_open_here("client", &port) || !link_wait(port))
		_exit(1);
	rte_eth_stats_reset(port);
	// From here on only a stop comes, and is looked for without waiting.
	fcntl(clients.to_clients[0], F_SETFL, O_NONBLOCK);
	copies = send_all(s, port);
	if (write(clients.from_clients[1], &copies, sizeof(copies)) != sizeof(copies))
		_exit(1);
	rte_eth_dev_stop(port);
	bench_stop();
	_exit(0);
}

bool memif_fork(const char *program, const struct shape *s)
{
	snprintf(clients.socket, sizeof(clients.socket), "/tmp/sfu-bench-%d.sock", (int)getpid());
	if (pipe(clients.to_clients) || pipe(clients.from_clients))
		return false;
	clients.pid = fork();
	if (!clients.pid)
		clients_main(program, s);
	return clients.pid > 0;
}

/* The path's process */

struct totals {
	uint64_t sent, refused;
	double busy_ns, wall;
};

static bool turns(struct contender *path, struct totals *t)
{
	double begin = seconds();
	uint64_t busy = 0;

	while (seconds() - begin < SECONDS)
		busy += path_turns(path, 64);
	t->wall = seconds() - begin;
	t->busy_ns = bench_ns(busy);
	return write(clients.to_clients[1], "s", 1) == 1;
}

/** What was still on its way; then what the other side has counted. */
static bool settle(struct contender *path, uint64_t *received)
{
	double until = seconds() + QUIET_SECONDS / 2;

	while (seconds() < until)
		path_turns(path, 64);
	return read(clients.from_clients[0], received, sizeof(*received)) == sizeof(*received);
}

bool memif_run(
	const struct shape *s, const char *profile, const struct srtp_engine *engine, FILE *json)
{
	struct contender *path = path_create(s, engine, 0);
	uint64_t received = 0;
	struct totals t = {0};
	uint16_t port;
	bool ok = false;

	if (path && port_open_here("server", &port) && write(clients.to_clients[1], "g", 1) == 1
		&& link_wait(port)) {
		path_use_port(path, port);
		ok = turns(path, &t);
		path_sent(path, &t.sent, &t.refused);
		t.busy_ns /= (double)(t.sent + t.refused);
		ok = settle(path, &received) && ok;
		path_sent(path, &t.sent, &t.refused);
		ok = ok && received == t.sent && !*contender_books(path);
		printf("net_memif %s %u bytes, %u x %u x %u: %.1f ns per copy, %.2f Mpps; %lu "
		       "copies sent, "
		       "%lu received, %lu refused by a full ring\n",
			profile, s->payload, s->rooms, s->producers, s->consumers, t.busy_ns,
			(double)t.sent / t.wall / 1e6, t.sent, received, t.refused);
		fprintf(json,
			"{\"port\": \"net_memif\", \"of\": \"%s\", \"payload\": %u, \"rooms\": %u, "
			"\"producers\": %u, \"consumers\": %u, \"ns_per_packet\": %.1f, \"mpps\": "
			"%.3f, "
			"\"sent\": %lu, \"received\": %lu, \"refused\": %lu}\n",
			profile, s->payload, s->rooms, s->producers, s->consumers, t.busy_ns,
			(double)t.sent / t.wall / 1e6, t.sent, received, t.refused);
		rte_eth_dev_stop(port);
	}
	contender_destroy(path);
	unlink(clients.socket);
	waitpid(clients.pid, NULL, 0);
	return ok;
}
