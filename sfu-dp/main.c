// SPDX-License-Identifier: BSD-3-Clause
/**
 * sfu-dp: start in named phases, undo backwards. A start that fails says in one line what to do.
 */
#include <errno.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <signal.h>
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

#include "sfu-dp/config.h"
#include "sfu-dp/house.h"
#include "sfu-dp/inspect.h"
#include "sfu-dp/log.h"
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
	char runtime[64]; /* directory made for the EAL, removed at the end */
	char eal_text[CONFIG_TEXT_BYTES];
	char vdev[CONFIG_TEXT_BYTES + 128];
	char lcores[CONFIG_TEXT_BYTES];
	char memory[16], prefix[32];
	char *argv[EAL_ARGUMENTS];
	int argc;
};

static int fail(const char *what, const char *why)
{
	fprintf(stderr, "sfu-dp: %s: %s\n", what, why);
	return 1;
}

static unsigned long hugepages_free_kb(void)
{
	unsigned long pages = 0, size_kb = 0;
	char line[128];
	FILE *f = fopen("/proc/meminfo", "re");

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "HugePages_Free: %lu", &pages) == 1)
			continue;
		if (sscanf(line, "Hugepagesize: %lu", &size_kb) == 1)
			continue;
	}
	fclose(f);
	return pages * size_kb;
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
	bool huge = !strcmp(c->hugepages, "on")
		    || (!strcmp(c->hugepages, "auto")
			    && hugepages_free_kb() >= (unsigned long)c->memory_mb * 1024);

	eal_add(dp, "sfu-dp");
	eal_lcores(dp);
	snprintf(dp->memory, sizeof(dp->memory), "%u", c->memory_mb);
	eal_add(dp, "-m");
	eal_add(dp, dp->memory);
	if (huge) {
		eal_add(dp, "--in-memory");
	} else {
		snprintf(dp->prefix, sizeof(dp->prefix), "--file-prefix=sfu-dp-%d", (int)getpid());
		eal_add(dp, "--no-huge");
		eal_add(dp, "--no-shconf");
		eal_add(dp, dp->prefix);
	}
	eal_add(dp, "--iova-mode=va");
	eal_add(dp, "--no-telemetry");
	eal_add(dp, "--log-level=warning");
	if (port_is_vdev(c->device)) {
		eal_add(dp, "--no-pci");
		eal_add(dp, "--vdev");
		eal_add(dp, dp->vdev);
	} else {
		eal_add(dp, "-a");
		eal_add(dp, c->device);
	}
	memcpy(dp->eal_text, c->eal, sizeof(dp->eal_text));
	for (char *save = NULL, *word = strtok_r(dp->eal_text, " ", &save); word;
		word = strtok_r(NULL, " ", &save))
		eal_add(dp, word);
}

/** The EAL keeps a lock file in a directory; ours is private and removed at the end. */
static void runtime_directory(struct dp *dp)
{
	strcpy(dp->runtime, "/tmp/sfu-dp-XXXXXX");
	if (getenv("RUNTIME_DIRECTORY") || !mkdtemp(dp->runtime)) {
		dp->runtime[0] = 0;
		return;
	}
	setenv("RUNTIME_DIRECTORY", dp->runtime, 1);
}

static void runtime_remove(struct dp *dp)
{
	char path[160];

	if (!*dp->runtime)
		return;
	snprintf(path, sizeof(path), "%s/dpdk/sfu-dp-%d", dp->runtime, (int)getpid());
	rmdir(path);
	snprintf(path, sizeof(path), "%s/dpdk/rte", dp->runtime);
	rmdir(path);
	snprintf(path, sizeof(path), "%s/dpdk", dp->runtime);
	rmdir(path);
	if (rmdir(dp->runtime))
		log_line(LOG_WARNING, "main", "runtime directory stays", "path=%s", dp->runtime);
}

static int eal_start(struct dp *dp)
{
	if (!port_vdev_arguments(dp->config.device, dp->config.workers, dp->vdev, sizeof(dp->vdev)))
		return fail("SFU_DP_DEVICE", "too long");
	eal_arguments(dp);
	runtime_directory(dp);
	if (rte_eal_init(dp->argc, dp->argv) < 0) {
		char why[768];

		snprintf(why, sizeof(why),
			"the EAL does not start (%s): check SFU_DP_DEVICE=%s (does the interface "
			"exist, "
			"may we open it?), SFU_DP_MEMORY_MB=%u and SFU_DP_HUGEPAGES=%s",
			rte_strerror(rte_errno), dp->config.device, dp->config.memory_mb,
			dp->config.hugepages);
		return fail("DPDK", why);
	}
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

	dp->pool = rte_pktmbuf_pool_create("packets", c->mbufs, 256, PKT_PRIV_BYTES,
		RTE_MBUF_DEFAULT_BUF_SIZE, (int)rte_socket_id());
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
			"sfu-dp: SFU_DP_ADDRESS = \"%s\": up to %u IPv4 addresses, comma "
			"separated, are "
			"allowed\n",
			dp->config.address, PORT_ADDRESSES);
		return 2;
	}
	dp->port.address_count = (unsigned)count;
	dp->port.media_port_be16 = rte_cpu_to_be_16((uint16_t)dp->config.media_port);
	if (port_open(&dp->port, dp->config.device, dp->config.workers, dp->pool, why, sizeof(why)))
		return fail("SFU_DP_DEVICE", why);
	return 0;
}

static struct rte_ring *ring_make(const char *kind, unsigned a, unsigned b, unsigned element)
{
	char name[RTE_RING_NAMESIZE];

	snprintf(name, sizeof(name), "%s%u-%u", kind, a, b);
	return rte_ring_create_elem(
		name, element, WORKER_RING_SLOTS, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
}

static bool worker_make(struct dp *dp, unsigned id, unsigned lcore)
{
	struct worker *w = &dp->workers[id];

	w->id = (uint8_t)id;
	w->workers = (uint8_t)dp->config.workers;
	w->spread = dp->port.spreads;
	w->adaptive = !strcmp(dp->config.polling, "adaptive");
	w->lcore = lcore;
	w->port = &dp->port;
	w->queue = (uint16_t)id;
	w->tx_queue = (uint16_t)id;
	w->pool = dp->pool;
	w->objects = &dp->objects;
	w->ufrags = dp->ufrags;
	w->qsbr = dp->qsbr;
	w->tuples = tuple_table_create(id, dp->config.max_transports);
	w->owned = calloc(dp->config.max_transports, sizeof(*w->owned));
	w->to_house = ring_make("house", id, 0, sizeof(struct worker_notice));
	w->from_house = ring_make("order", 0, id, sizeof(struct worker_order));
	if (getrandom(&w->random, sizeof(w->random), 0) != sizeof(w->random) || !w->random)
		w->random = 1;
	return w->tuples && w->owned && w->to_house && w->from_house;
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

static int link_announce(struct dp *dp, struct link_options *o)
{
	const char *text = *dp->config.announced ? dp->config.announced : dp->config.address;
	uint8_t address[PORT_ADDRESSES][16];
	int count = port_addresses_parse(text, address);

	if (count < 0) {
		fprintf(stderr,
			"sfu-dp: SFU_ANNOUNCED_IP = \"%s\": up to %u IPv4 addresses, comma "
			"separated, are "
			"allowed\n",
			text, PORT_ADDRESSES);
		return 2;
	}
	o->address_count = (uint32_t)count;
	for (int i = 0; i < count; i++) {
		o->address[i].family = 4;
		o->address[i].port = (uint16_t)dp->config.media_port;
		memcpy(o->address[i].addr, address[i] + 12, 4);
	}
	return 0;
}

static int house_start(struct dp *dp)
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
	struct programme_options programme = {
		.objects = &dp->objects,
		.engine = srtp_engine_find(c->engine),
		.workers = dp->workers,
		.worker_count = c->workers,
		.qsbr = dp->qsbr,
		.ufrags = dp->ufrags,
	};
	struct house *h = &dp->house;
	char why[256];
	int rc;

	if (!programme.engine) {
		fprintf(stderr,
			"sfu-dp: SFU_DP_ENGINE = \"%s\": no such engine in this build; allowed:",
			c->engine);
		for (unsigned i = 0; srtp_engine_at(i); i++)
			fprintf(stderr, " %s", srtp_engine_at(i)->name);
		fprintf(stderr, " auto\n");
		return 2;
	}
	rc = link_announce(dp, &link);
	if (rc)
		return rc;
	if (getrandom(&link.dp_instance, sizeof(link.dp_instance), 0) < 0)
		return fail("random", "the kernel gives no random numbers");
	h->config = c;
	h->port = &dp->port;
	h->objects = &dp->objects;
	h->pool = dp->pool;
	h->workers = dp->workers;
	h->worker_count = c->workers;
	h->stop = &stop;
	if (programme_create(&h->programme, &programme))
		return fail("programme", "not enough memory");
	h->link = link_create(&link, why, sizeof(why));
	if (!h->link)
		return fail("SFU_LINK", why);
	h->inspect = inspect_create(c->cli, h, why, sizeof(why));
	if (!h->inspect)
		return fail("SFU_DP_CLI", why);
	return 0;
}

static int run(struct dp *dp)
{
	struct house *h = &dp->house;
	int rc;

	for (unsigned i = 0; i < h->worker_count; i++) {
		if (rte_eal_remote_launch(worker_run, &dp->workers[i], dp->workers[i].lcore))
			return fail("workers", "a worker thread does not start");
	}
	// One line on stdout when ready: scripts wait for it.
	printf("sfu-dp ready: %s, address %s, UDP port %u, %u worker%s, engine %s\n", dp->port.name,
		dp->config.address, dp->config.media_port, h->worker_count,
		h->worker_count == 1 ? "" : "s", programme_engine(h->programme)->name);
	fflush(stdout);
	rc = house_run(h);
	for (unsigned i = 0; i < h->worker_count; i++)
		atomic_store_explicit(&dp->workers[i].stop, 1, memory_order_relaxed);
	rte_eal_mp_wait_lcore();
	log_line(LOG_INFO, "main", "stopped", NULL);
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

static int start(struct dp *dp)
{
	int rc = eal_start(dp);

	if (!rc)
		rc = memory_start(dp);
	if (!rc)
		rc = port_start(dp);
	if (!rc)
		rc = workers_start(dp);
	if (!rc)
		rc = house_start(dp);
	return rc;
}

static void undo(struct dp *dp)
{
	inspect_destroy(dp->house.inspect);
	link_destroy(dp->house.link);
	programme_destroy(dp->house.programme);
	if (*dp->port.name)
		port_close(&dp->port);
	for (unsigned i = 0; dp->workers && i < dp->config.workers; i++) {
		tuple_table_destroy(dp->workers[i].tuples);
		free(dp->workers[i].owned);
	}
	free(dp->workers);
	rte_hash_free(dp->ufrags);
	objects_destroy(&dp->objects);
	rte_eal_cleanup();
	runtime_remove(dp);
}

int main(int argc, char **argv)
{
	static struct dp dp;
	struct sigaction sa = {.sa_handler = on_signal};
	int rc;

	rc = config_load(&dp.config, argc, argv, stdout, stderr);
	if (rc)
		return rc > 0 ? 0 : 2;
	log_level_set(dp.config.log_level);
	harden();
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
	rc = start(&dp);
	if (!rc)
		rc = run(&dp);
	undo(&dp);
	return rc;
}
