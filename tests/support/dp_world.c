// SPDX-License-Identifier: BSD-3-Clause
#include "tests/support/dp_world.h"

#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sfu-dp/buffers.h"
#include "sfu-dp/state/memory.h"
#include "sfu-dp/state/restore.h"
#include "sfu-dp/table/ufrag.h"
#include "tests/support/srtp_oracle.h"

#define MBUFS 8191u
#define MEDIA_PORT 40000u
#define TURNS_MAX 64u

static struct {
	char folder[32];
	struct rte_mempool *pool;
	struct port port;
	struct world *open; /* a failed test leaves its world behind */
} process;

static const uint8_t our_ip[4] = {198, 18, 99, 2};
static const uint8_t our_ip6[16] = {0xfd, 0x99, [15] = 0x02};

/** The EAL keeps nothing in its folder after start, and a fuzzer never gets to the end. */
static void folder_remove(void)
{
	char path[160];

	snprintf(path, sizeof(path), "%s", rte_eal_get_runtime_dir());
	rmdir(path);
	snprintf(path, sizeof(path), "%s/dpdk", process.folder);
	rmdir(path);
	rmdir(process.folder);
}

int world_start(const char *program, unsigned queues)
{
	return world_start_on(program, queues, "0");
}

int world_start_on(const char *program, unsigned queues, const char *lcores)
{
	static char arguments[][32]
		= {"", "--no-huge", "--no-pci", "--no-shconf", "--no-telemetry", "-m", "192",
			"--iova-mode=va", "--log-level=1", "--vdev", "net_ring0", "--lcores", ""};
	char *argv[sizeof(arguments) / sizeof(arguments[0])];
	const int argc = sizeof(arguments) / sizeof(arguments[0]);
	char why[256];

	snprintf(arguments[0], sizeof(arguments[0]), "%s", program);
	snprintf(arguments[argc - 1], sizeof(arguments[0]), "%s", lcores);
	strcpy(process.folder, "/tmp/sfu-test-XXXXXX");
	if (!mkdtemp(process.folder) || setenv("RUNTIME_DIRECTORY", process.folder, 1))
		return -1;
	for (int i = 0; i < argc; i++)
		argv[i] = arguments[i];
	if (rte_eal_init(argc, argv) < 0)
		return -1;
	folder_remove();
	process.pool = buffers_create(MBUFS, SOCKET_ID_ANY, BUFFERS_OWN, 0);
	if (!process.pool)
		return -1;
	process.port.address_count
		= (unsigned)port_addresses_parse("198.18.99.2,fd99::2", process.port.address);
	process.port.media_port_be16 = rte_cpu_to_be_16(MEDIA_PORT);
	if (port_open(&process.port, "net_ring0", queues, process.pool, why, sizeof(why))) {
		fprintf(stderr, "%s\n", why);
		return -1;
	}
	return 0;
}

void world_stop(void)
{
	port_close(&process.port);
	rte_mempool_free(process.pool);
	rte_eal_cleanup();
}

static struct rte_ring *ring_make(const char *kind, unsigned a, unsigned b, unsigned element)
{
	char name[RTE_RING_NAMESIZE];

	snprintf(name, sizeof(name), "%s%u-%u", kind, a, b);
	return rte_ring_create_elem(
		name, element, 1024, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
}

static bool worker_make(struct world *w, unsigned id, bool spread)
{
	struct worker *k = &w->workers[id];
	struct history_limits history = {
		.packets = MBUFS / 4,
		.keep_ms = 1000,
		.producers = w->objects.limits.producers,
	};

	k->id = (uint8_t)id;
	k->workers = (uint8_t)w->worker_count;
	k->spread = spread;
	k->consent_us = 30000000;
	k->port = &w->port;
	k->queue = k->tx_queue = (uint16_t)id;
	k->pool = w->pool;
	k->objects = &w->objects;
	k->ufrags = w->ufrags;
	k->qsbr = w->qsbr;
	k->tuples = tuple_table_create(id, w->objects.limits.transports);
	k->owned = calloc(w->objects.limits.transports, sizeof(*k->owned));
	k->feedback_due = due_list_create(2 * w->objects.limits.transports);
	if (repair_create(&k->repair, &history, &w->objects.limits))
		return false;
	k->to_house = ring_make("house", id, 0, sizeof(struct worker_notice));
	k->from_house = ring_make("order", 0, id, sizeof(struct worker_order));
	k->random = 0x9e3779b97f4a7c15u + id;
	rte_rcu_qsbr_thread_register(w->qsbr, id);
	rte_rcu_qsbr_thread_online(w->qsbr, id);
	return k->tuples && k->owned && k->feedback_due && k->to_house && k->from_house;
}

static bool workers_make(struct world *w, bool spread)
{
	size_t size = w->worker_count * sizeof(*w->workers);

	w->workers = aligned_alloc(64, size);
	if (!w->workers)
		return false;
	memset(w->workers, 0, size);
	for (unsigned i = 0; i < w->worker_count; i++) {
		if (!worker_make(w, i, spread))
			return false;
	}
	for (unsigned a = 0; a < w->worker_count; a++) {
		for (unsigned b = 0; b < w->worker_count; b++) {
			if (a == b)
				continue;
			w->workers[a].to_worker[b] = ring_make("hand", a, b, sizeof(void *));
			w->workers[b].from_worker[a] = w->workers[a].to_worker[b];
			if (!w->workers[a].to_worker[b])
				return false;
		}
	}
	return true;
}

/** On a state that is there (and of these limits), or on a new one. */
static struct world *open_on(
	void *memory, unsigned workers, bool spread, const struct objects_limits *limits)
{
	const struct state_limits saved = state_limits_of(limits);
	// The tests of the path are run with each engine (tests/unit/meson.build).
	struct programme_options o = {.engine = srtp_engine_find(getenv("SFU_DP_ENGINE"))};
	struct world *w;

	if (process.open)
		world_close(process.open);
	w = aligned_alloc(64, sizeof(*w));
	if (!w)
		return NULL;
	memset(w, 0, sizeof(*w));
	w->pool = process.pool;
	w->port = process.port;
	w->pool_full = rte_mempool_avail_count(w->pool);
	w->worker_count = workers;
	w->now_us = 1000000000;
	w->generation = 1;
	w->qsbr = rte_zmalloc("qsbr", rte_rcu_qsbr_get_memsize(DP_MAX_WORKERS), 64);
	if (!w->qsbr || rte_rcu_qsbr_init(w->qsbr, DP_MAX_WORKERS)
		|| objects_create(&w->objects, limits))
		return NULL;
	if (!memory) {
		memory = state_memory_map(-1, state_bytes(&saved));
		if (!memory)
			return NULL;
		state_format(memory, &saved, 1);
	}
	state_open(&w->state, memory);
	w->ufrags = ufrag_table_create(w->objects.limits.transports, w->qsbr);
	if (!w->ufrags || !workers_make(w, spread))
		return NULL;
	o.objects = &w->objects;
	o.workers = w->workers;
	o.worker_count = workers;
	o.qsbr = w->qsbr;
	o.ufrags = w->ufrags;
	o.state = &w->state;
	w->spread = spread;
	if (programme_create(&w->programme, &o))
		return NULL;
	process.open = w;
	return w;
}

struct world *world_open(unsigned workers, bool spread, const struct objects_limits *limits)
{
	const struct objects_limits common
		= {.rooms = 4, .peers = 16, .transports = 32, .producers = 32, .consumers = 64};
	struct world *w = open_on(NULL, workers, spread, limits ? limits : &common);

	if (w)
		world_turn(w);
	return w;
}

struct world *world_die(struct world *w, unsigned workers)
{
	const struct state_limits saved = state_limits_of(&w->objects.limits);
	const struct objects_limits limits = w->objects.limits;
	const uint64_t now_us = w->now_us;
	const bool spread = w->spread, runs_itself = w->runs_itself;
	const uint16_t port = w->port.id;
	void *memory = w->state.header;
	struct world *next;

	w->state.header->alive_us = now_us;
	w->state.header = NULL;
	world_close(w);
	if (state_check(memory, state_bytes(&saved), &saved) != STATE_OK)
		return NULL;
	next = open_on(memory, workers, spread, &limits);
	if (!next)
		return NULL;
	next->now_us = now_us;
	next->runs_itself = runs_itself;
	next->port.id = port;
	if (programme_adopt(next->programme, now_us))
		return NULL;
	world_turn(next);
	world_forget(next);
	return next;
}

struct world *world_on(const void *state, unsigned workers, const struct objects_limits *limits)
{
	const struct state_limits saved = state_limits_of(limits);
	void *memory = state_memory_map(-1, state_bytes(&saved));

	if (!memory)
		return NULL;
	memcpy(memory, state, state_bytes(&saved));
	return open_on(memory, workers, true, limits);
}

void world_close(struct world *w)
{
	process.open = NULL;
	world_forget(w);
	world_turn(w);
	for (unsigned i = 0; i < w->worker_count; i++) {
		struct worker *k = &w->workers[i];

		rte_rcu_qsbr_thread_offline(w->qsbr, i);
		rte_rcu_qsbr_thread_unregister(w->qsbr, i);
		tuple_table_destroy(k->tuples);
		free(k->owned);
		due_list_destroy(k->feedback_due);
		repair_destroy(&k->repair);
		rte_ring_free(k->to_house);
		rte_ring_free(k->from_house);
		for (unsigned v = 0; v < w->worker_count; v++)
			rte_ring_free(k->to_worker[v]);
	}
	programme_destroy(w->programme);
	if (w->state.header)
		state_memory_unmap(w->state.header, w->state.header->region_bytes);
	rte_hash_free(w->ufrags);
	objects_destroy(&w->objects);
	rte_free(w->qsbr);
	free(w->workers);
	free(w);
}

void world_run(struct world *w, uint16_t port)
{
	w->runs_itself = true;
	w->port.id = port;
	for (unsigned i = 0; i < w->worker_count; i++) {
		w->workers[i].lcore = i + 1;
		w->workers[i].adaptive = 1;
		if (rte_eal_remote_launch(worker_run, &w->workers[i], i + 1))
			abort();
	}
}

void world_halt(struct world *w)
{
	workers_stop(w->workers, w->worker_count);
}

void world_walk(struct world *w)
{
	w->runs_itself = false;
	w->port.id = process.port.id;
	for (unsigned i = 0; i < w->worker_count; i++) {
		rte_rcu_qsbr_thread_register(w->qsbr, i);
		rte_rcu_qsbr_thread_online(w->qsbr, i);
	}
}

uint32_t world_apply(struct world *w, struct sfu_command *cmd)
{
	return programme_apply(w->programme, cmd);
}

uint32_t world_put_room(struct world *w, uint32_t index, uint32_t version, bool required)
{
	struct sfu_command cmd = {
		.type = SFU_CMD_PUT_ROOM,
		.version = version,
		.handle = sfu_handle_make(index, w->generation),
		.u.room = {.epoch = version, .required = required},
	};

	return world_apply(w, &cmd);
}

uint32_t world_put_peer(
	struct world *w, uint32_t index, uint32_t version, uint32_t room, uint64_t open_until_us)
{
	struct sfu_command cmd = {
		.type = SFU_CMD_PUT_PEER,
		.version = version,
		.handle = sfu_handle_make(index, w->generation),
		.u.peer
		= {.room = sfu_handle_make(room, w->generation), .open_until_us = open_until_us},
	};

	return world_apply(w, &cmd);
}

uint32_t world_put_client(struct world *w, struct world_client *c, uint32_t index, uint32_t peer,
	uint8_t direction, uint16_t port)
{
	struct sfu_command cmd = {
		.type = SFU_CMD_PUT_TRANSPORT,
		.version = 1,
		.handle = sfu_handle_make(index, w->generation),
		.u.transport
		= {.peer = sfu_handle_make(peer, w->generation), .direction = direction},
	};

	memset(c, 0, sizeof(*c));
	c->handle = cmd.handle;
	c->at = (struct pkt_addr){.mac = {2, 0, 0, 0, 0, 9}, .ip = {198, 18, 99, 1}, .port = port};
	snprintf(c->ufrag, sizeof(c->ufrag), "ufrag%u", index);
	snprintf(c->pwd, sizeof(c->pwd), "password-of-22-octets-%u", index);
	cmd.u.transport.ufrag_len = (uint8_t)strlen(c->ufrag);
	cmd.u.transport.pwd_len = (uint8_t)strlen(c->pwd);
	memcpy(cmd.u.transport.ufrag, c->ufrag, strlen(c->ufrag));
	memcpy(cmd.u.transport.pwd, c->pwd, strlen(c->pwd));
	snprintf(cmd.u.transport.label, sizeof(cmd.u.transport.label), "transport-%u", index);
	return world_apply(w, &cmd);
}

uint32_t world_put_keys(struct world *w, struct world_client *c, unsigned profile)
{
	struct sfu_command cmd = {
		.type = SFU_CMD_PUT_KEYS,
		.version = 1,
		.handle = c->handle,
		.u.keys = {.profile = (uint16_t)profile},
	};
	struct sfu_put_keys *k = &cmd.u.keys;

	for (unsigned i = 0; i < 32; i++) {
		k->rx_key[i] = (uint8_t)(i * 3 + c->handle);
		k->tx_key[i] = (uint8_t)(i * 5 + 100 + c->handle);
		if (i < 16) {
			k->rx_salt[i] = (uint8_t)(i * 7 + c->handle);
			k->tx_salt[i] = (uint8_t)(i * 11 + 50 + c->handle);
		}
	}
	c->profile = srtp_profile_find(profile);
	c->out = srtp_oracle_create(c->profile, k->rx_key, k->rx_salt, false);
	c->in = srtp_oracle_create(c->profile, k->tx_key, k->tx_salt, true);
	return world_apply(w, &cmd);
}

uint32_t world_put_member(struct world *w, struct world_client *c, uint32_t index, unsigned worker,
	uint64_t open_until_us, unsigned profile)
{
	uint32_t status = world_put_peer(w, index, 1, 0, open_until_us);

	if (status == SFU_STATUS_OK)
		status = world_put_client(
			w, c, index, index, index ? 2 : 1, (uint16_t)(50000 + index));
	if (status != SFU_STATUS_OK)
		return status;
	world_check(w, worker, c, true);
	return profile ? world_put_keys(w, c, profile) : SFU_STATUS_OK;
}

void world_client_end(struct world_client *c)
{
	if (c->out)
		srtp_dealloc(c->out);
	if (c->in)
		srtp_dealloc(c->in);
	c->out = c->in = NULL;
}

void world_receive_frame(struct world *w, unsigned worker, const uint8_t *frame, size_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(w->pool);
	char *p = m ? rte_pktmbuf_append(m, (uint16_t)len) : NULL;

	if (!p)
		abort();
	memcpy(p, frame, len);
	w->workers[worker].now_us = w->now_us;
	rx_burst(&w->workers[worker], &m, 1);
}

struct pkt_addr world_address(const struct world *w, bool is_ip6)
{
	struct pkt_addr a = {.port = MEDIA_PORT, .is_ip6 = is_ip6};

	memcpy(a.mac, w->port.mac, 6);
	memcpy(a.ip, is_ip6 ? our_ip6 : our_ip, is_ip6 ? 16 : 4);
	return a;
}

void world_receive(struct world *w, unsigned worker, const struct pkt_addr *from,
	const uint8_t *payload, size_t len)
{
	struct pkt_addr to = world_address(w, from->is_ip6);
	uint8_t frame[PKT_FRAME_MAX];

	world_receive_frame(w, worker, frame, pkt_frame(frame, from, &to, payload, len));
}

void world_check(struct world *w, unsigned worker, struct world_client *c, bool use_candidate)
{
	uint8_t check[256];
	size_t len = pkt_check(check, sizeof(check), c->ufrag, c->pwd, STUN_ROLE_CONTROLLING,
		use_candidate, &w->checks);

	world_receive(w, worker, &c->at, check, len);
	world_turn(w);
}

void world_rtp(struct world *w, unsigned worker, struct world_client *c, const struct pkt_rtp *rtp)
{
	uint8_t buf[PKT_FRAME_MAX];
	int len = (int)pkt_rtp(buf, sizeof(buf) - SRTP_OVERHEAD_MAX, rtp);

	if (srtp_protect(c->out, buf, &len) != srtp_err_status_ok)
		abort();
	world_receive(w, worker, &c->at, buf, (size_t)len);
}

void world_rtcp(
	struct world *w, unsigned worker, struct world_client *c, const uint8_t *rtcp, size_t len)
{
	uint8_t buf[PKT_FRAME_MAX];
	int sealed = (int)len;

	memcpy(buf, rtcp, len);
	if (srtp_protect_rtcp(c->out, buf, &sealed) != srtp_err_status_ok)
		abort();
	world_receive(w, worker, &c->at, buf, (size_t)sealed);
}

static unsigned sent_collect(struct world *w, unsigned worker)
{
	struct rte_mbuf *m[PATH_BURST];
	unsigned n = rte_eth_rx_burst(w->port.id, (uint16_t)worker, m, PATH_BURST);

	for (unsigned i = 0; i < n; i++) {
		struct world_sent *s = &w->sent[w->sent_count];
		const uint8_t *payload;

		if (w->sent_count == WORLD_SENT)
			abort();
		payload = pkt_unframe(rte_pktmbuf_mtod(m[i], uint8_t *), rte_pktmbuf_data_len(m[i]),
			&s->from, &s->to, &s->len);
		if (payload && s->len <= sizeof(s->octets)) {
			memcpy(s->octets, payload, s->len);
			s->worker = worker;
			w->sent_count++;
		}
		rte_pktmbuf_free(m[i]);
	}
	return n;
}

static unsigned notices_collect(struct world *w, struct worker *k)
{
	struct worker_notice n;
	unsigned total = 0;

	while (!rte_ring_sc_dequeue_elem(k->to_house, &n, sizeof(n))) {
		if (w->notice_count == WORLD_NOTICES)
			abort();
		if (n.kind == NOTICE_CLAIMED)
			programme_notice(w->programme, k, &n);
		if (n.mbuf)
			rte_pktmbuf_free(n.mbuf);
		w->notice_worker[w->notice_count] = k->id;
		w->notices[w->notice_count++] = n;
		total++;
	}
	return total;
}

static unsigned worker_turn(struct world *w, struct worker *k)
{
	struct rte_mbuf *m[PATH_BURST];
	unsigned did = 0;

	k->now_us = w->now_us;
	for (unsigned v = 0; v < w->worker_count; v++) {
		unsigned n = k->from_worker[v] ? rte_ring_sc_dequeue_burst(
				     k->from_worker[v], (void **)m, PATH_BURST, NULL)
					       : 0;

		if (n)
			handoff_burst(k, m, n);
		did += n;
	}
	worker_orders(k);
	worker_timers(k);
	did += k->tx_count;
	tx_flush(k);
	rte_rcu_qsbr_quiescent(w->qsbr, k->id);
	return did + sent_collect(w, k->id) + notices_collect(w, k);
}

void world_turn(struct world *w)
{
	unsigned did = !w->runs_itself;

	for (unsigned turns = 0; did; turns++) {
		did = 0;
		if (turns == TURNS_MAX)
			abort();
		for (unsigned i = 0; i < w->worker_count; i++)
			did += worker_turn(w, &w->workers[i]);
		programme_reclaim(w->programme);
	}
}

void world_pass(struct world *w, uint64_t us, uint64_t step_us)
{
	for (uint64_t passed = 0; passed < us; passed += step_us) {
		w->now_us += step_us;
		world_turn(w);
	}
}

void world_forget(struct world *w)
{
	w->sent_count = 0;
	w->notice_count = 0;
}

uint64_t world_drops(const struct world *w, enum drop_reason reason)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < w->worker_count; i++)
		sum += w->workers[i].count.drop[reason];
	return sum;
}

uint64_t world_edges(const struct world *w, enum edge_reason reason)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < w->worker_count; i++)
		sum += w->workers[i].count.edge[reason];
	return sum;
}

const char *world_books(struct world *w)
{
	uint64_t in = 0, out = 0, tried = 0, ended = 0;

	for (unsigned i = 0; i < w->worker_count; i++) {
		const struct worker_counters *c = &w->workers[i].count;

		in += c->rx_packets + c->handoff_in;
		out += c->forwarded + c->answered + c->punted + c->handoff_out;
		tried += c->egress_tried;
		ended += c->egress_packets;
		for (unsigned r = 0; r < DROP_COUNT; r++)
			out += c->drop[r];
		for (unsigned r = 0; r < EDGE_COUNT; r++)
			ended += c->edge[r];
		history_clear(&w->workers[i].repair.history);
	}
	if (in != out)
		return "received packets do not balance";
	if (tried != ended)
		return "copies do not balance";
	if (rte_mempool_avail_count(w->pool) != w->pool_full)
		return "buffers are missing";
	return "";
}
