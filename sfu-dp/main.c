// SPDX-License-Identifier: BSD-3-Clause
/**
 * sfu-dp: start in named phases, undo backwards. A start that fails says in one line what to do.
 * Called by people it is the keeper, which calls it again to be the process that forwards.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_malloc.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "sfu-dp/buffers.h"
#include "sfu-dp/config.h"
#include "sfu-dp/house.h"
#include "sfu-dp/inspect.h"
#include "sfu-dp/keeper/keeper.h"
#include "sfu-dp/keeper/pace.h"
#include "sfu-dp/keeper/tie.h"
#include "sfu-dp/log.h"
#include "sfu-dp/state/memory.h"
#include "sfu-dp/state/restore.h"
#include "sfu-dp/table/tuple.h"
#include "sfu-dp/table/ufrag.h"

#define EAL_ARGUMENTS 64

static _Atomic int stop;

static void on_signal(int number)
{
	(void)number;
	atomic_store_explicit(&stop, 1, memory_order_relaxed);
}

/** Everything that start-up makes, so that the end can undo it. */
struct dp {
	struct config config;
	struct port port;
	struct objects objects;
	struct rte_mempool *pool;
	struct rte_rcu_qsbr *qsbr;
	struct rte_hash *ufrags;
	struct worker *workers;
	struct house house;
	struct tie tie; /* to the keeper */
	struct state state; /* stream state; open from state_start() on */
	void *state_memory; /* it lies there; NULL = there is none */
	size_t state_bytes;
	bool state_is_whole; /* to be adopted */
	bool eal_is_up;
	pthread_t warmer; /* brings the tables into memory */
	bool warming; /* it was started */
	bool is_warm; /* it has ended, before anything was forwarded */
	atomic_bool warm_stop;
	char eal_said[160]; /* first line of what the EAL said while it started */
	char eal_text[CONFIG_TEXT_BYTES];
	char vdev[CONFIG_TEXT_BYTES + 128];
	char lcores[CONFIG_TEXT_BYTES];
	char memory[16];
	char *argv[EAL_ARGUMENTS];
	int argc;
};

static uint64_t clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static int fail(const char *what, const char *why)
{
	fprintf(stderr, "sfu-dp: %s: %s\n", what, why);
	return 1;
}

/** A figure of /proc/meminfo, 0 when it is not there. */
static unsigned long meminfo(const char *name)
{
	unsigned long value = 0;
	size_t len = strlen(name);
	char line[128];
	FILE *f = fopen("/proc/meminfo", "re");

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f)) {
		if (!strncmp(line, name, len) && line[len] == ':')
			value = strtoul(line + len + 1, NULL, 10);
	}
	fclose(f);
	return value;
}

/** With what the EAL said first, if it said anything: drivers know best why a port is missing. */
static int fail_said(const struct dp *dp, const char *what, const char *why)
{
	fprintf(stderr, "sfu-dp: %s: %s%s%s%s\n", what, why, *dp->eal_said ? " (" : "",
		dp->eal_said, *dp->eal_said ? ")" : "");
	return 1;
}

static unsigned long hugepages_free_mb(void)
{
	return meminfo("HugePages_Free") * meminfo("Hugepagesize") / 1024;
}

static bool hugepages_wanted(const struct config *c)
{
	return !strcmp(c->hugepages, "on")
	       || (!strcmp(c->hugepages, "auto") && hugepages_free_mb() >= c->memory_mb);
}

/** The EAL, asked for more than there is, works for minutes or is killed: look first. */
static int memory_check(const struct config *c)
{
	bool huge = hugepages_wanted(c);
	unsigned long there = huge ? hugepages_free_mb() : meminfo("MemAvailable") / 1024;
	char why[256];

	if (there >= c->memory_mb)
		return 0;
	snprintf(why, sizeof(why), "%u asked for, %lu MB of %s are free: lower it, or %s",
		c->memory_mb, there, huge ? "hugepages" : "memory",
		huge ? "reserve more (vm.nr_hugepages), or set SFU_DP_HUGEPAGES=auto"
		     : "free some");
	return fail("SFU_DP_MEMORY_MB", why);
}

static void eal_add(struct dp *dp, const char *argument)
{
	if (dp->argc < EAL_ARGUMENTS - 1)
		dp->argv[dp->argc++] = (char *)(uintptr_t)argument;
}

/** Lcore 0 is housekeeping, 1..workers are workers; by default all float over all processors. */
static void eal_lcores(struct dp *dp)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);

	if (*dp->config.lcores)
		snprintf(dp->lcores, sizeof(dp->lcores), "%s", dp->config.lcores);
	else
		snprintf(dp->lcores, sizeof(dp->lcores), "(0-%u)@(0-%ld)", dp->config.workers,
			processors > 0 ? processors - 1 : 0);
	eal_add(dp, "--lcores");
	eal_add(dp, dp->lcores);
	eal_add(dp, "--main-lcore=0");
}

static void eal_arguments(struct dp *dp)
{
	const struct config *c = &dp->config;

	eal_add(dp, "sfu-dp");
	eal_lcores(dp);
	snprintf(dp->memory, sizeof(dp->memory), "%u", c->memory_mb);
	eal_add(dp, "-m");
	eal_add(dp, dp->memory);
	if (hugepages_wanted(c)) {
		eal_add(dp, "--in-memory");
	} else {
		eal_add(dp, "--no-huge");
		eal_add(dp, "--no-shconf");
	}
	// Names an empty directory and nothing else in both modes: the same one after a kill -9.
	eal_add(dp, "--file-prefix=sfu-dp");
	eal_add(dp, "--iova-mode=va");
	eal_add(dp, "--no-telemetry");
	eal_add(dp, "--log-level=warning");
	if (port_is_virtual(c->device)) {
		eal_add(dp, "--no-pci");
		if (port_is_vdev(c->device) && !dp->tie.waits) {
			eal_add(dp, "--vdev");
			eal_add(dp, dp->vdev);
		}
	} else if (!dp->tie.waits) {
		eal_add(dp, "-a");
		eal_add(dp, c->device);
	} else {
		// Nothing yet, though the bus has to be known: no device has this address.
		eal_add(dp, "-a");
		eal_add(dp, "ffff:ff:1f.7");
	}
	memcpy(dp->eal_text, c->eal, sizeof(dp->eal_text));
	for (char *save = NULL, *word = strtok_r(dp->eal_text, " ", &save); word;
		word = strtok_r(NULL, " ", &save))
		eal_add(dp, word);
}

/** What the EAL said goes to the debug log; the first line, the most specific, is kept. */
static void eal_replay(struct dp *dp, FILE *said)
{
	char line[160];

	rewind(said);
	while (fgets(line, sizeof(line), said)) {
		line[strcspn(line, "\n")] = 0;
		if (!*line)
			continue;
		if (!*dp->eal_said)
			memcpy(dp->eal_said, line, sizeof(line));
		log_line(LOG_DEBUG, "eal", line, NULL);
	}
}

/**
 * rte_eal_init() with what it and its drivers print on stdout and stderr held back: on an error we
 * say one line, not theirs and a page of usage. One thread so far, so the descriptors are ours.
 */
static int eal_init_quietly(struct dp *dp)
{
	FILE *said = tmpfile();
	int out, err, rc;

	if (!said)
		return rte_eal_init(dp->argc, dp->argv);
	fflush(stdout);
	out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	err = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	dup2(fileno(said), STDOUT_FILENO);
	dup2(fileno(said), STDERR_FILENO);
	rc = rte_eal_init(dp->argc, dp->argv);
	fflush(stdout);
	dup2(out, STDOUT_FILENO);
	dup2(err, STDERR_FILENO);
	close(out);
	close(err);
	eal_replay(dp, said);
	fclose(said);
	return rc;
}

static int eal_start(struct dp *dp)
{
	if (!port_vdev_arguments(dp->config.device, dp->config.workers, dp->vdev, sizeof(dp->vdev)))
		return fail("SFU_DP_DEVICE", "too long");
	eal_arguments(dp);
	if (eal_init_quietly(dp) < 0) {
		char why[512];

		if (!*dp->eal_said)
			snprintf(dp->eal_said, sizeof(dp->eal_said), "%s", rte_strerror(rte_errno));
		snprintf(why, sizeof(why),
			"the EAL does not start: check SFU_DP_DEVICE=%s, SFU_DP_LCORES, SFU_DP_EAL "
			"and "
			"SFU_DP_HUGEPAGES; SFU_DP_LOG_LEVEL=debug shows more",
			dp->config.device);
		return fail_said(dp, "DPDK", why);
	}
	dp->eal_is_up = true;
	// What fails from here on is said by us in one line.
	if (strcmp(dp->config.log_level, "debug"))
		rte_log_set_global_level(RTE_LOG_CRIT);
	if (rte_lcore_count() < dp->config.workers + 1)
		return fail("SFU_DP_LCORES", "needs lcore 0 and one more per worker");
	return 0;
}

static int memory_start(struct dp *dp)
{
	const struct config *c = &dp->config;
	struct objects_limits limits = {
		.rooms = c->max_rooms,
		.peers = c->max_peers,
		.transports = c->max_transports,
		.producers = c->max_producers,
		.consumers = c->max_consumers,
	};
	int socket;

	if (c->history_packets > c->mbufs / 4 * 3)
		return fail("SFU_DP_HISTORY_PACKETS",
			"more than three quarters of SFU_DP_MBUFS would leave too few for traffic");
	// Next to the device, where it is known already; a process that waits is told of it later.
	socket = port_socket(c->device);
	dp->pool = buffers_create(c->mbufs, socket < 0 ? (int)rte_socket_id() : socket,
		hugepages_wanted(c) || !port_copies(c->device) ? BUFFERS_EAL : BUFFERS_OWN,
		(size_t)c->memory_mb << 20);
	if (!dp->pool)
		return fail("packet buffers",
			"not enough memory: raise SFU_DP_MEMORY_MB or lower SFU_DP_MBUFS");
	if (objects_create(&dp->objects, &limits))
		return fail("objects", "not enough memory: lower the SFU_DP_MAX_* settings");
	dp->qsbr = rte_zmalloc(
		"qsbr", rte_rcu_qsbr_get_memsize(DP_MAX_WORKERS), RTE_CACHE_LINE_SIZE);
	if (!dp->qsbr || rte_rcu_qsbr_init(dp->qsbr, DP_MAX_WORKERS))
		return fail("tables", "not enough memory: raise SFU_DP_MEMORY_MB");
	dp->ufrags = ufrag_table_create(c->max_transports, dp->qsbr);
	if (!dp->ufrags)
		return fail("tables", "not enough memory: raise SFU_DP_MEMORY_MB");
	return 0;
}

static int port_start(struct dp *dp)
{
	char why[256];
	int count;

	count = port_addresses_parse(dp->config.address, dp->port.address);
	if (count < 0) {
		fprintf(stderr,
			"sfu-dp: SFU_DP_ADDRESS = \"%s\": up to %u IPv4 and IPv6 addresses, comma "
			"separated, are allowed\n",
			dp->config.address, PORT_ADDRESSES);
		return 2;
	}
	dp->port.address_count = (unsigned)count;
	dp->port.media_port_be16 = rte_cpu_to_be_16((uint16_t)dp->config.media_port);
	if (port_open(&dp->port, dp->config.device, dp->config.workers, dp->pool, why, sizeof(why)))
		return fail_said(dp, "SFU_DP_DEVICE", why);
	return 0;
}

static struct rte_ring *ring_make(const char *kind, unsigned a, unsigned b, unsigned element)
{
	char name[RTE_RING_NAMESIZE];

	snprintf(name, sizeof(name), "%s%u-%u", kind, a, b);
	return rte_ring_create_elem(
		name, element, WORKER_RING_SLOTS, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
}

/** In all, over the workers. */
static uint32_t history_packets(const struct config *c)
{
	return c->history_packets ? c->history_packets : c->mbufs / 2;
}

static bool worker_make(struct dp *dp, unsigned id, unsigned lcore)
{
	struct worker *w = &dp->workers[id];
	struct history_limits history = {
		.packets = history_packets(&dp->config) / dp->config.workers,
		.keep_ms = dp->config.history_ms,
		.producers = dp->config.max_producers,
	};

	w->id = (uint8_t)id;
	w->workers = (uint8_t)dp->config.workers;
	w->spread = dp->port.spreads;
	w->adaptive = !strcmp(dp->config.polling, "adaptive");
	turn_meter_set(&w->turn, !strcmp(dp->config.turn_clock, "processor"));
	w->lcore = lcore;
	w->consent_us = dp->config.consent_sec * UINT64_C(1000000);
	w->port = &dp->port;
	w->queue = (uint16_t)id;
	w->tx_queue = (uint16_t)id;
	w->pool = dp->pool;
	w->objects = &dp->objects;
	w->ufrags = dp->ufrags;
	w->qsbr = dp->qsbr;
	w->tuples = tuple_table_create(id, dp->config.max_transports);
	w->owned = calloc(dp->config.max_transports, sizeof(*w->owned));
	w->feedback_due = due_list_create(2 * dp->config.max_transports);
	if (repair_create(&w->repair, &history, &dp->objects.limits))
		return false;
	w->to_house = ring_make("house", id, 0, sizeof(struct worker_notice));
	w->from_house = ring_make("order", 0, id, sizeof(struct worker_order));
	if (getrandom(&w->random, sizeof(w->random), 0) != sizeof(w->random) || !w->random)
		w->random = 1;
	return w->tuples && w->owned && w->feedback_due && w->to_house && w->from_house;
}

static int workers_start(struct dp *dp)
{
	unsigned lcore, id = 0, n = dp->config.workers;

	dp->workers = aligned_alloc(64, n * sizeof(*dp->workers));
	if (!dp->workers)
		return fail("workers", "not enough memory");
	memset(dp->workers, 0, n * sizeof(*dp->workers));
	RTE_LCORE_FOREACH_WORKER (lcore) {
		if (id < n && !worker_make(dp, id++, lcore))
			return fail("workers", "not enough memory: raise SFU_DP_MEMORY_MB");
	}
	for (unsigned a = 0; a < n; a++) {
		for (unsigned b = 0; b < n; b++) {
			struct rte_ring *ring;

			if (a == b)
				continue;
			ring = ring_make("hand", a, b, sizeof(void *));
			if (!ring)
				return fail("workers", "not enough memory: raise SFU_DP_MEMORY_MB");
			dp->workers[a].to_worker[b] = ring;
			dp->workers[b].from_worker[a] = ring;
		}
	}
	return 0;
}

static void link_log(void *ctx, int priority, const char *line)
{
	(void)ctx;
	log_line(priority, "link", line, NULL);
}

static void announce(struct sfu_address *out, const uint8_t ip[16], uint16_t port)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	bool is_ip4 = !memcmp(ip, mapped, sizeof(mapped));

	out->family = is_ip4 ? 4 : 6;
	out->port = port;
	memcpy(out->addr, is_ip4 ? ip + 12 : ip, is_ip4 ? 4 : 16);
}

static int link_announce(struct dp *dp, struct link_options *o)
{
	const char *text = *dp->config.announced ? dp->config.announced : dp->config.address;
	uint8_t address[PORT_ADDRESSES][16];
	int count = port_addresses_parse(text, address);

	if (count < 0) {
		fprintf(stderr,
			"sfu-dp: SFU_ANNOUNCED_IP = \"%s\": up to %u addresses, comma "
			"separated, are "
			"allowed\n",
			text, PORT_ADDRESSES);
		return 2;
	}
	o->address_count = (uint32_t)count;
	for (int i = 0; i < count; i++)
		announce(&o->address[i], address[i], (uint16_t)dp->config.media_port);
	return 0;
}

static struct state_limits limits_of(const struct config *c)
{
	const struct objects_limits objects = {
		c->max_rooms, c->max_peers, c->max_transports, c->max_producers, c->max_consumers};

	return state_limits_of(&objects);
}

/** The memory that the keeper holds; what is in it may still change. */
static int state_map(struct dp *dp)
{
	struct state_limits limits = limits_of(&dp->config);

	if (dp->tie.state_fd < 0)
		return 0;
	dp->state_bytes = state_bytes(&limits);
	if (state_memory_size(dp->tie.state_fd) != dp->state_bytes)
		return fail("stream state", "it has another size; end the keeper, too");
	dp->state_memory = state_memory_map(dp->tie.state_fd, dp->state_bytes);
	return dp->state_memory ? 0 : fail("stream state", strerror(errno));
}

/** Whole, it is adopted; anything else is begun anew. Nobody else writes it any more. */
static int state_start(struct dp *dp)
{
	struct state_limits limits = limits_of(&dp->config);
	void *memory = dp->state_memory;
	enum state_status status;
	uint64_t instance;

	if (!memory)
		return 0;
	if (getrandom(&instance, sizeof(instance), 0) != sizeof(instance))
		return fail("stream state", strerror(errno));
	status = state_check(memory, dp->state_bytes, &limits);
	dp->state_is_whole = status == STATE_OK;
	if (status != STATE_OK && status != STATE_EMPTY) {
		log_line(LOG_ERR, "state", "the stream state cannot be used, calls start anew",
			"it_is=\"%s\"", state_status_text(status));
		if (!state_memory_clear(memory, dp->state_bytes))
			return fail("stream state", strerror(errno));
	}
	if (!dp->state_is_whole)
		state_format(memory, &limits, instance);
	state_open(&dp->state, memory);
	return 0;
}

static void state_adopt(struct dp *dp)
{
	uint64_t before_us = clock_us(), alive_us = dp->state.header->alive_us;
	struct programme_figures f;
	unsigned lost;

	lost = programme_adopt(dp->house.programme, before_us);
	// What waited too long meanwhile is no use to anybody: as after a stop (worker_stood_still).
	for (unsigned i = 0; port_keeps(dp->config.device) && i < dp->config.workers; i++)
		dp->workers[i].now_us = alive_us;
	programme_figures(dp->house.programme, &f);
	log_line(lost ? LOG_ERR : LOG_NOTICE, "state", "goes on where another process was",
		"transports=%u producers=%u consumers=%u refused=%u silent_us=%llu took_us=%llu",
		f.transports, f.producers, f.consumers, lost,
		(unsigned long long)(before_us - alive_us),
		(unsigned long long)(clock_us() - before_us));
}

/**
 * The names by which others reach us. Before the state is touched: who still holds them forwards with
 * it, also when nobody knows of him any more.
 */
static int sockets_start(struct dp *dp)
{
	const struct config *c = &dp->config;
	struct link_options link = {
		.path = c->link,
		.group = *c->link_group ? c->link_group : NULL,
		.log = link_log,
		.workers = c->workers,
		.max_rooms = c->max_rooms,
		.max_peers = c->max_peers,
		.max_transports = c->max_transports,
		.max_producers = c->max_producers,
		.max_consumers = c->max_consumers,
	};
	struct house *h = &dp->house;
	char why[256];
	int rc;

	rc = link_announce(dp, &link);
	if (rc)
		return rc;
	if (getrandom(&link.dp_instance, sizeof(link.dp_instance), 0) < 0)
		return fail("random", "the kernel gives no random numbers");
	h->link = link_create(&link, why, sizeof(why));
	if (!h->link)
		return fail("SFU_LINK", why);
	h->inspect = inspect_create(c->cli, h, why, sizeof(why));
	if (!h->inspect)
		return fail("SFU_DP_CLI", why);
	return 0;
}

static int house_make(struct dp *dp)
{
	const struct config *c = &dp->config;
	struct programme_options programme = {
		.objects = &dp->objects,
		.engine = srtp_engine_find(c->engine),
		.workers = dp->workers,
		.worker_count = c->workers,
		.qsbr = dp->qsbr,
		.ufrags = dp->ufrags,
		.state = dp->state_memory ? &dp->state : NULL,
	};
	struct house *h = &dp->house;

	if (!programme.engine) {
		fprintf(stderr,
			"sfu-dp: SFU_DP_ENGINE = \"%s\": no such engine in this build; allowed:",
			c->engine);
		for (unsigned i = 0; srtp_engine_at(i); i++)
			fprintf(stderr, " %s", srtp_engine_at(i)->name);
		fprintf(stderr, " auto\n");
		return 2;
	}
	h->config = c;
	h->port = &dp->port;
	h->objects = &dp->objects;
	h->pool = dp->pool;
	h->workers = dp->workers;
	h->worker_count = c->workers;
	h->stop = &stop;
	if (programme_create(&h->programme, &programme)
		|| transport_events_create(&h->events, &dp->objects) || punts_create(&h->punts))
		return fail("programme", "not enough memory");
	h->tie = &dp->tie;
	h->state = programme.state;
	return 0;
}

/** The next process may have the port and the names of our sockets: that first, the rest at leisure. */
static void release(struct dp *dp)
{
	inspect_destroy(dp->house.inspect);
	link_destroy(dp->house.link);
	dp->house.inspect = NULL;
	dp->house.link = NULL;
	port_release(&dp->port);
	if (!port_is_shareable(dp->config.device))
		port_close(&dp->port);
	tie_send(dp->tie.fd, TIE_RELEASED, 0);
	pace_set(PACE_BEHIND);
	log_line(LOG_NOTICE, "main", "handed over", NULL);
}

static void *warm(void *arg)
{
	struct dp *dp = arg;

	// Behind everybody who has something to do.
	setpriority(PRIO_PROCESS, 0, 19);
	if (objects_warm(&dp->objects, &dp->warm_stop))
		log_line(LOG_INFO, "main", "the tables are in memory", NULL);
	return NULL;
}

/** Without it the tables come into memory as they are used. */
static void warm_start(struct dp *dp)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	dp->warming = !pthread_create(&dp->warmer, NULL, warm, dp);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void warm_end(struct dp *dp)
{
	if (dp->warming)
		pthread_join(dp->warmer, NULL);
	dp->warming = false;
}

static int run(struct dp *dp)
{
	struct house *h = &dp->house;
	int rc;

	port_begin(&dp->port, dp->qsbr);
	for (unsigned i = 0; i < h->worker_count; i++) {
		if (rte_eal_remote_launch(worker_run, &dp->workers[i], dp->workers[i].lcore))
			return fail("workers", "a worker thread does not start");
	}
	tie_send(dp->tie.fd, TIE_READY, 0);
	pace_set(PACE_USUAL);
	pace_all_as_ours();
	// One line on stdout when ready: scripts wait for it.
	printf("sfu-dp ready: %s, address %s, UDP port %u, %u worker%s, engine %s\n", dp->port.name,
		dp->config.address, dp->config.media_port, h->worker_count,
		h->worker_count == 1 ? "" : "s", programme_engine(h->programme)->name);
	fflush(stdout);
	if (*dp->eal_said)
		log_line(LOG_INFO, "eal", dp->eal_said, NULL);
	rte_log_set_global_level(RTE_LOG_WARNING);
	if (!dp->is_warm)
		warm_start(dp);
	rc = house_run(h);
	if (h->released)
		pace_set(PACE_FIRST);
	workers_stop(dp->workers, dp->config.workers);
	if (h->released)
		release(dp);
	else
		log_line(LOG_INFO, "main", "stopped", NULL);
	atomic_store_explicit(&dp->warm_stop, true, memory_order_relaxed);
	warm_end(dp);
	return rc ? 1 : 0;
}

static void harden(void)
{
	static const struct rlimit none = {0, 0};

	// Hop keys live here: no core dumps, no other process of the user reads our memory.
	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0UL, 0, 0, 0);
	umask(0027);
}

/** While another process forwards there is time to do at once what is otherwise done behind everybody. */
static void warm_wholly(struct dp *dp)
{
	struct state_limits limits = limits_of(&dp->config);

	warm_start(dp);
	warm_end(dp);
	dp->is_warm = true;
	// It is still written: what comes of this look does not count, but now the pages are ours, too.
	if (dp->state_memory)
		state_check(dp->state_memory, dp->state_bytes, &limits);
}

/** Everything that another process with the same port does not mind. */
static int prepare(struct dp *dp)
{
	int rc = 0;

	if (dp->tie.waits && port_plug(dp->config.device, dp->vdev))
		rc = fail("SFU_DP_DEVICE", "the device cannot be opened");
	if (!rc)
		rc = port_start(dp);
	if (!rc)
		port_adopt(&dp->port, &dp->tie.given);
	if (!rc)
		rc = workers_start(dp);
	if (!rc)
		rc = state_map(dp);
	if (!rc)
		rc = house_make(dp);
	return rc;
}

static int first_lcore(void *none)
{
	(void)none;
	pace_set(PACE_FIRST);
	return 0;
}

/** Until the workers have forwarded what waits and housekeeping has said that all is ready. */
static void first_all(void)
{
	rte_eal_mp_remote_launch(first_lcore, NULL, SKIP_MAIN);
	rte_eal_mp_wait_lcore();
	pace_set(PACE_FIRST);
}

/** Wait until the other process is dead or has let go. */
static int stand_by(struct dp *dp)
{
	bool prepared = false;
	int rc = 0;

	tie_send(dp->tie.fd, TIE_STANDING_BY, 0);
	while (!rc && !atomic_load_explicit(&stop, memory_order_relaxed)) {
		struct pollfd readable = {.fd = dp->tie.fd, .events = POLLIN};

		poll(&readable, 1, -1);
		switch (tie_receive(dp->tie.fd, &dp->tie.given)) {
		case TIE_PREPARE:
			if (port_is_shareable(dp->config.device)) {
				rc = prepare(dp);
				prepared = !rc;
			}
			if (!rc)
				warm_wholly(dp);
			// What came until now the other one has, too; from here on it is kept, and
			// whatever both get is a replay for us.
			if (prepared)
				port_drain(&dp->port);
			first_all();
			tie_send(dp->tie.fd, TIE_PREPARED, 0);
			break;
		case TIE_GO:
			// The connection may have become another one since then.
			if (prepared)
				port_adopt(&dp->port, &dp->tie.given);
			first_all();
			return prepared ? 0 : prepare(dp);
		case TIE_LOST:
			return 1;
		default:
			break;
		}
	}
	return 1;
}

static int start(struct dp *dp)
{
	int rc = memory_check(&dp->config);

	if (!rc)
		rc = eal_start(dp);
	if (!rc)
		rc = memory_start(dp);
	if (!rc)
		rc = dp->tie.waits ? stand_by(dp) : prepare(dp);
	if (!rc)
		rc = sockets_start(dp);
	if (!rc)
		rc = state_start(dp);
	if (!rc && dp->state_is_whole)
		state_adopt(dp);
	return rc;
}

static void undo(struct dp *dp)
{
	inspect_destroy(dp->house.inspect);
	link_destroy(dp->house.link);
	programme_destroy(dp->house.programme);
	transport_events_destroy(&dp->house.events);
	punts_destroy(&dp->house.punts);
	if (*dp->port.name)
		port_close(&dp->port);
	for (unsigned i = 0; dp->workers && i < dp->config.workers; i++) {
		tuple_table_destroy(dp->workers[i].tuples);
		free(dp->workers[i].owned);
		due_list_destroy(dp->workers[i].feedback_due);
		repair_destroy(&dp->workers[i].repair);
	}
	free(dp->workers);
	rte_hash_free(dp->ufrags);
	objects_destroy(&dp->objects);
	state_memory_unmap(dp->state_memory, dp->state_bytes);
	if (dp->eal_is_up)
		rte_eal_cleanup();
	tie_fini(&dp->tie);
}

int main(int argc, char **argv)
{
	static struct dp dp;
	struct sigaction sa = {.sa_handler = on_signal};
	char next_keeper[112];
	int rc;

	rc = config_load(&dp.config, argc, argv, stdout, stderr);
	if (rc)
		return rc > 0 ? 0 : 2;
	log_level_set(dp.config.log_level);
	harden();
	if (!tie_path(next_keeper, dp.config.cli) || !tie_init(&dp.tie, next_keeper))
		return keeper_run(&dp.config, argv);
	sigaction(SIGTERM, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
	// Another one forwards: it shall not miss what this takes.
	if (dp.tie.waits)
		pace_set(PACE_BEHIND);
	rc = start(&dp);
	if (!rc)
		rc = run(&dp);
	undo(&dp);
	return rc;
}
