// SPDX-License-Identifier: BSD-3-Clause
/**
 * The path as a contender: objects programmed as the control plane does, addresses learnt from ICE
 * checks, frames received from net_ring, copies sent to net_null. A turn is that of worker_run(),
 * which takes both from one port.
 */
#include <math.h>
#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sfu-dp/port.h"
#include "sfu-dp/programme.h"
#include "sfu-dp/table/ufrag.h"
#include "tests/bench/bench_contender.h"
#include "tests/support/pktbuild.h"

#define RING_SLOTS 4096u
/** A round that takes longer has lost packets. */
#define ROUND_SECONDS 20.0
#define CONSENT_REFRESH_US 10000000u
#define SETTLE_TURNS 2000u

struct path {
	struct contender c;
	unsigned id;
	struct port port;
	struct objects objects;
	struct rte_rcu_qsbr *qsbr;
	struct rte_hash *ufrags;
	struct programme *programme;
	struct worker *workers;
	uint32_t checks;
	uint64_t checked_us;
	uint64_t copies_before, target[BENCH_WORKERS];
	unsigned share[BENCH_WORKERS]; /* of each producer's consumers */
	unsigned pool_full;
};

static uint64_t clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* A worker's turn */

static void turn_end(struct worker *w)
{
	worker_orders(w);
	worker_timers(w);
	tx_flush(w);
	rte_rcu_qsbr_quiescent(w->qsbr, w->id);
}

static unsigned take_handed(struct worker *w)
{
	struct rte_mbuf *m[PATH_BURST];
	unsigned total = 0;

	for (unsigned v = 0; v < w->workers; v++) {
		unsigned n;

		if (!w->from_worker[v])
			continue;
		n = rte_ring_sc_dequeue_burst(w->from_worker[v], (void **)m, PATH_BURST, NULL);
		if (n)
			handoff_burst(w, m, n);
		total += n;
	}
	return total;
}

static unsigned turn(struct worker *w, unsigned most)
{
	struct rte_mbuf *m[PATH_BURST];
	unsigned n = 0;

	w->now_us = clock_us();
	if (most)
		n = rte_eth_rx_burst(bench.ring_port, w->id, m, (uint16_t)most);
	if (n)
		rx_burst(w, m, n);
	n += take_handed(w);
	turn_end(w);
	return n;
}

/** With two workers one may have to wait for what the other hands over. */
static double path_work(struct contender *c, unsigned worker)
{
	struct path *p = (void *)c;
	struct worker *w = &p->workers[worker];
	uint64_t give_up = rte_rdtsc() + (uint64_t)(ROUND_SECONDS * bench.tsc_hz);
	double idle = 0, since = 0;

	while (w->count.egress_tried < p->target[worker] && rte_rdtsc() < give_up) {
		unsigned did = turn(w, PATH_BURST);

		if (w->workers == 1 || (did != 0) == (since <= 0))
			continue;
		if (did) {
			idle += contender_clock_ns() - since;
			since = 0;
		} else {
			since = contender_clock_ns();
		}
	}
	return idle;
}

/* Housekeeping's part */

static void house_turn(struct path *p)
{
	struct worker_notice n;

	for (unsigned k = 0; k < p->c.shape.workers; k++) {
		struct worker *w = &p->workers[k];

		while (!rte_ring_sc_dequeue_elem(w->to_house, &n, sizeof(n))) {
			if (n.kind == NOTICE_CLAIMED)
				programme_notice(p->programme, w, &n);
			rte_pktmbuf_free(n.mbuf);
		}
		rte_rcu_qsbr_quiescent(p->qsbr, k);
	}
	programme_reclaim(p->programme);
}

static bool apply(struct path *p, struct sfu_command *cmd)
{
	static uint64_t id;
	uint32_t status;

	cmd->version = 1;
	cmd->id = ++id;
	status = programme_apply(p->programme, cmd);
	if (status != SFU_STATUS_OK)
		fprintf(stderr, "bench: command %u is refused with %u\n", cmd->type, status);
	for (unsigned k = 0; k < p->c.shape.workers; k++)
		rte_rcu_qsbr_quiescent(p->qsbr, k);
	programme_reclaim(p->programme);
	return status == SFU_STATUS_OK;
}

static unsigned room_of(const struct shape *s, unsigned transport)
{
	unsigned producers = shape_producers(s);

	return transport < producers ? transport / s->producers
				     : (transport - producers) / s->consumers;
}

static void names_of(const struct path *p, unsigned transport, char ufrag[24], char pwd[33])
{
	// Contenders of a row share the table of names: it has one name in a process.
	snprintf(ufrag, 24, "u%u-%u", p->id, transport);
	snprintf(pwd, 33, "password-of-22-octets-%u", transport);
}

static bool put_transport(struct path *p, unsigned i)
{
	const struct shape *s = &p->c.shape;
	struct sfu_command peer = {
		.type = SFU_CMD_PUT_PEER,
		.handle = sfu_handle_make(i, 1),
		.u.peer = {.room = sfu_handle_make(room_of(s, i), 1), .open_until_us = UINT64_MAX},
	};
	struct sfu_command cmd = {
		.type = SFU_CMD_PUT_TRANSPORT,
		.handle = sfu_handle_make(i, 1),
		.u.transport = {
			.peer = sfu_handle_make(i, 1),
			.direction = i < shape_producers(s) ? 1 : 2,
		},
	};
	struct sfu_command keys = {
		.type = SFU_CMD_PUT_KEYS,
		.handle = sfu_handle_make(i, 1),
		.u.keys = {.profile = s->profile->id},
	};
	char ufrag[24], pwd[33];

	names_of(p, i, ufrag, pwd);
	cmd.u.transport.ufrag_len = (uint8_t)strlen(ufrag);
	cmd.u.transport.pwd_len = (uint8_t)strlen(pwd);
	memcpy(cmd.u.transport.ufrag, ufrag, strlen(ufrag));
	memcpy(cmd.u.transport.pwd, pwd, strlen(pwd));
	bench_keys(i, true, keys.u.keys.rx_key, keys.u.keys.rx_salt);
	bench_keys(i, false, keys.u.keys.tx_key, keys.u.keys.tx_salt);
	return apply(p, &peer) && apply(p, &cmd) && apply(p, &keys);
}

static bool put_producer(struct path *p, unsigned i)
{
	bool audio = p->c.shape.audio;
	struct sfu_command cmd = {
		.type = SFU_CMD_PUT_PRODUCER,
		.handle = sfu_handle_make(i, 1),
		.u.producer = {
			.transport = sfu_handle_make(i, 1),
			.flags = SFU_PRODUCER_E2EE,
			.kind = audio ? SFU_AUDIO : SFU_VIDEO,
			.codec_count = 1,
			.encoding_count = 1,
			.ext_count = 2,
			.codec = {{96, 96, 0, 0, 0}},
			.encoding = {{.ssrc = 0x10000000 + i}},
			.ext = {{4, SFU_EXT_MID}, {1, SFU_EXT_AUDIO_LEVEL}},
			.mid_len = 1,
			.mid = "0",
		},
	};

	cmd.u.producer.codec[0].codec = audio ? SFU_CODEC_OPUS : SFU_CODEC_VP8;
	cmd.u.producer.codec[0].clock_rate_hz = audio ? 48000 : 90000;
	return apply(p, &cmd);
}

static bool put_consumer(struct path *p, unsigned producer, unsigned k)
{
	const struct shape *s = &p->c.shape;
	unsigned receiver = producer / s->producers * s->consumers + k;
	unsigned i = producer * s->consumers + k;
	struct sfu_command cmd = {
		.type = SFU_CMD_PUT_CONSUMER,
		.handle = sfu_handle_make(i, 1),
		.u.consumer = {
			.transport = sfu_handle_make(shape_producers(s) + receiver, 1),
			.producer = sfu_handle_make(producer, 1),
			.ssrc = 0x20000000 + 2 * i,
			.encoding = 255,
			.payload_type_count = 1,
			.ext_count = 3,
			.payload_type = {96},
			.mid_len = 2,
			.ext = {{4, SFU_EXT_MID}, {2, SFU_EXT_ABS_SEND_TIME},
				{1, SFU_EXT_AUDIO_LEVEL}},
			.mid = "77",
		},
	};

	return apply(p, &cmd);
}

static bool programme_fill(struct path *p)
{
	const struct shape *s = &p->c.shape;

	for (unsigned r = 0; r < s->rooms; r++) {
		struct sfu_command cmd
			= {.type = SFU_CMD_PUT_ROOM, .handle = sfu_handle_make(r, 1)};

		if (!apply(p, &cmd))
			return false;
	}
	for (unsigned i = 0; i < shape_transports(s); i++) {
		if (!put_transport(p, i))
			return false;
	}
	for (unsigned i = 0; i < shape_producers(s); i++) {
		if (!put_producer(p, i))
			return false;
		for (unsigned k = 0; k < s->consumers; k++) {
			if (!put_consumer(p, i, k))
				return false;
		}
	}
	return true;
}

/** The worker that a transport's flow comes to, as a port that spreads would have it. */
static unsigned worker_of(const struct path *p, unsigned transport)
{
	unsigned producers = shape_producers(&p->c.shape);

	return (transport < producers ? transport : transport - producers) % p->c.shape.workers;
}

/** An ICE check of every client. */
static void check_all(struct path *p)
{
	for (unsigned i = 0; i < shape_transports(&p->c.shape); i++) {
		struct worker *w = &p->workers[worker_of(p, i)];
		struct rte_mbuf *m = rte_pktmbuf_alloc(bench.pool);
		uint8_t check[256], frame[PKT_FRAME_MAX];
		struct pkt_addr from, to;
		char ufrag[24], pwd[33];
		size_t len;

		if (!m)
			abort();
		names_of(p, i, ufrag, pwd);
		bench_client(i, &from);
		bench_server(&to);
		len = pkt_check(
			check, sizeof(check), ufrag, pwd, STUN_ROLE_CONTROLLING, true, &p->checks);
		len = pkt_frame(frame, &from, &to, check, len);
		memcpy(rte_pktmbuf_append(m, (uint16_t)len), frame, len);
		w->now_us = clock_us();
		rx_burst(w, &m, 1);
		tx_flush(w);
		house_turn(p);
	}
	p->checked_us = clock_us();
}

static void path_refresh(struct contender *c)
{
	struct path *p = (void *)c;

	if (clock_us() - p->checked_us >= CONSENT_REFRESH_US)
		check_all(p);
}

/* A round */

/** What the clock had ready meanwhile is not the round's. */
static void settle(struct path *p)
{
	for (unsigned k = 0; k < p->c.shape.workers; k++) {
		for (unsigned i = 0; i < SETTLE_TURNS; i++) {
			turn(&p->workers[k], 0);
			if (p->workers[k].timer_credit < 250000)
				break;
		}
	}
	house_turn(p);
}

static void input_give(struct path *p, unsigned producer)
{
	struct rte_mbuf *m = sources_next(p->c.sources, producer);

	if (rte_eth_tx_burst(bench.ring_port, (uint16_t)worker_of(p, producer), &m, 1) != 1)
		abort();
	for (unsigned v = 0; v < p->c.shape.workers; v++)
		p->target[v] += p->share[v];
}

static uint64_t path_copies(const struct contender *c, unsigned inputs)
{
	return (uint64_t)inputs * c->shape.consumers;
}

static void path_prepare(struct contender *c, unsigned inputs)
{
	struct path *p = (void *)c;

	settle(p);
	p->copies_before = 0;
	for (unsigned k = 0; k < c->shape.workers; k++) {
		p->target[k] = p->workers[k].count.egress_tried;
		p->copies_before += p->workers[k].count.egress_packets;
	}
	p->pool_full = rte_mempool_avail_count(bench.pool);
	for (unsigned i = 0; i < inputs; i++)
		input_give(p, contender_producer(c));
}

static void wrong_print(const struct path *p)
{
	for (unsigned k = 0; k < p->c.shape.workers; k++) {
		const struct worker_counters *c = &p->workers[k].count;

		for (unsigned r = 0; r < DROP_COUNT; r++) {
			if (c->drop[r])
				fprintf(stderr, "  worker %u dropped %lu: %s\n", k, c->drop[r],
					drop_texts[r]);
		}
		for (unsigned r = 0; r < EDGE_COUNT; r++) {
			if (c->edge[r])
				fprintf(stderr, "  worker %u not sent %lu: %s\n", k, c->edge[r],
					edge_texts[r]);
		}
	}
}

static void path_check(struct contender *c, unsigned inputs)
{
	struct path *p = (void *)c;
	uint64_t in = 0, out = 0, tried = 0, ended = 0, sent = 0;

	for (unsigned k = 0; k < c->shape.workers; k++) {
		const struct worker_counters *n = &p->workers[k].count;

		in += n->rx_packets + n->handoff_in;
		out += n->forwarded + n->answered + n->punted + n->handoff_out;
		tried += n->egress_tried;
		ended += n->egress_packets;
		sent += n->egress_packets;
		for (unsigned r = 0; r < DROP_COUNT; r++)
			out += n->drop[r];
		for (unsigned r = 0; r < EDGE_COUNT; r++)
			ended += n->edge[r];
	}
	if (sent - p->copies_before != path_copies(c, inputs))
		c->wrong = "path: not every copy was sent";
	else if (in != out)
		c->wrong = "path: received packets do not balance";
	else if (tried != ended)
		c->wrong = "path: copies do not balance";
	else if (rte_mempool_avail_count(bench.pool) != p->pool_full)
		c->wrong = "path: buffers are missing";
	if (c->wrong)
		wrong_print(p);
}

/* Arrivals at random */

static void latency_push(struct latencies *l, uint64_t cycles)
{
	if (l->count < l->room)
		l->ns[l->count++] = (uint64_t)bench_ns(cycles);
}

void path_paced(struct contender *c, unsigned inputs, double gap_ns, struct latencies *through,
	struct latencies *waited)
{
	struct path *p = (void *)c;
	struct worker *w = &p->workers[0];
	uint64_t arrival[BENCH_INPUTS], begin;
	double at = 0;
	unsigned arrived = 0, taken = 0;

	path_prepare(c, inputs);
	for (unsigned i = 0; i < inputs; i++) {
		double u;

		contender_producer(c);
		u = (double)(c->random >> 11) / 9007199254740992.0;
		at += -log(1 - u) * gap_ns;
		arrival[i] = (uint64_t)(at * bench.tsc_hz / 1e9);
	}
	begin = rte_rdtsc();
	while (taken < inputs) {
		uint64_t start = rte_rdtsc(), end;
		unsigned n;

		while (arrived < inputs && begin + arrival[arrived] <= start)
			arrived++;
		n = turn(w, RTE_MIN(PATH_BURST, arrived - taken));
		end = rte_rdtsc();
		for (unsigned i = taken; i < taken + n; i++) {
			latency_push(through, end - start);
			latency_push(waited, end - begin - arrival[i]);
		}
		taken += n;
	}
	path_check(c, inputs);
}

/* Birth and death */

static struct rte_ring *ring_make(
	const struct path *p, const char *kind, unsigned a, unsigned b, unsigned element)
{
	char name[RTE_RING_NAMESIZE];

	snprintf(name, sizeof(name), "%s%u.%u-%u", kind, p->id, a, b);
	return rte_ring_create_elem(
		name, element, RING_SLOTS, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
}

static bool worker_make(struct path *p, unsigned id)
{
	struct worker *w = &p->workers[id];

	w->id = (uint8_t)id;
	w->workers = (uint8_t)p->c.shape.workers;
	w->spread = 1;
	w->port = &p->port;
	w->queue = w->tx_queue = (uint16_t)id;
	w->pool = bench.pool;
	w->objects = &p->objects;
	w->ufrags = p->ufrags;
	w->qsbr = p->qsbr;
	w->tuples = tuple_table_create(p->id * BENCH_WORKERS + id, p->objects.limits.transports);
	w->owned = calloc(p->objects.limits.transports, sizeof(*w->owned));
	w->to_house = ring_make(p, "house", id, 0, sizeof(struct worker_notice));
	w->from_house = ring_make(p, "order", 0, id, sizeof(struct worker_order));
	w->random = 0x9e3779b97f4a7c15u + id;
	rte_rcu_qsbr_thread_register(p->qsbr, id);
	rte_rcu_qsbr_thread_online(p->qsbr, id);
	return w->tuples && w->owned && w->to_house && w->from_house;
}

static bool workers_make(struct path *p)
{
	unsigned n = p->c.shape.workers;

	p->workers = aligned_alloc(64, n * sizeof(*p->workers));
	if (!p->workers)
		return false;
	memset(p->workers, 0, n * sizeof(*p->workers));
	for (unsigned i = 0; i < n; i++) {
		if (!worker_make(p, i))
			return false;
	}
	for (unsigned a = 0; a < n; a++) {
		for (unsigned b = 0; b < n; b++) {
			if (a == b)
				continue;
			p->workers[a].to_worker[b] = ring_make(p, "hand", a, b, sizeof(void *));
			p->workers[b].from_worker[a] = p->workers[a].to_worker[b];
			if (!p->workers[a].to_worker[b])
				return false;
		}
	}
	return true;
}

/** Names of transports, for all paths that live at a time: the table has one name in a process. */
static struct {
	struct rte_hash *table;
	struct rte_rcu_qsbr *qsbr;
	unsigned users;
} names;

#define NAMES 210000u

static bool names_take(void)
{
	if (names.users++)
		return true;
	names.qsbr = rte_zmalloc("qsbr", rte_rcu_qsbr_get_memsize(DP_MAX_WORKERS), 64);
	if (!names.qsbr || rte_rcu_qsbr_init(names.qsbr, DP_MAX_WORKERS))
		return false;
	names.table = ufrag_table_create(NAMES, names.qsbr);
	return names.table;
}

static void names_leave(void)
{
	if (--names.users)
		return;
	rte_hash_free(names.table);
	rte_free(names.qsbr);
	names.table = NULL;
	names.qsbr = NULL;
}

static void path_destroy(struct contender *c)
{
	struct path *p = (void *)c;

	for (unsigned i = 0; p->workers && i < c->shape.workers; i++) {
		struct worker *w = &p->workers[i];

		rte_rcu_qsbr_thread_offline(p->qsbr, i);
		rte_rcu_qsbr_thread_unregister(p->qsbr, i);
		tuple_table_destroy(w->tuples);
		free(w->owned);
		rte_ring_free(w->to_house);
		rte_ring_free(w->from_house);
		for (unsigned v = 0; v < c->shape.workers; v++)
			rte_ring_free(w->to_worker[v]);
	}
	programme_destroy(p->programme);
	objects_destroy(&p->objects);
	rte_free(p->qsbr);
	sources_destroy(c->sources);
	free(p->workers);
	free(p);
	names_leave();
}

static bool path_fill(struct path *p, const struct srtp_engine *engine)
{
	const struct shape *s = &p->c.shape;
	struct objects_limits limits = {
		.rooms = s->rooms,
		.peers = shape_transports(s),
		.transports = shape_transports(s),
		.producers = shape_producers(s),
		.consumers = shape_streams(s),
	};
	struct programme_options o = {.engine = engine};
	struct rte_ether_addr mac;

	if (!names_take())
		return false;
	p->qsbr = rte_zmalloc("qsbr", rte_rcu_qsbr_get_memsize(DP_MAX_WORKERS), 64);
	if (!p->c.sources || !p->qsbr || rte_rcu_qsbr_init(p->qsbr, DP_MAX_WORKERS)
		|| objects_create(&p->objects, &limits))
		return false;
	rte_eth_macaddr_get(bench.ring_port, &mac);
	memcpy(p->port.mac, mac.addr_bytes, sizeof(p->port.mac));
	p->port.id = bench.null_port;
	p->port.rx_queues = p->port.tx_queues = BENCH_WORKERS;
	p->port.spreads = true;
	p->port.mtu = 1500;
	p->port.address_count = (unsigned)port_addresses_parse("198.18.99.2", p->port.address);
	p->port.media_port_be16 = rte_cpu_to_be_16(BENCH_MEDIA_PORT);
	p->ufrags = names.table;
	if (!workers_make(p))
		return false;
	o.objects = &p->objects;
	o.workers = p->workers;
	o.worker_count = s->workers;
	o.qsbr = p->qsbr;
	o.ufrags = p->ufrags;
	if (programme_create(&p->programme, &o) || !programme_fill(p))
		return false;
	check_all(p);
	for (unsigned v = 0; v < s->workers; v++)
		p->share[v] = (s->consumers + s->workers - 1 - v) / s->workers;
	return true;
}

/** Every producer sends once, so that every stream has begun; then key-frame requests pass. */
static bool path_warm(struct path *p)
{
	unsigned n = shape_producers(&p->c.shape);

	for (unsigned pass = 0; pass < 2; pass++) {
		uint64_t until = clock_us() + 60000;

		for (unsigned i = 0; i < n; i += PATH_BURST) {
			unsigned some = RTE_MIN(PATH_BURST, n - i);

			path_prepare(&p->c, 0);
			for (unsigned k = 0; k < some; k++)
				input_give(p, i + k);
			for (unsigned turns = 0; turns < SETTLE_TURNS; turns++) {
				for (unsigned k = 0; k < p->c.shape.workers; k++)
					turn(&p->workers[k], PATH_BURST);
			}
			path_check(&p->c, some);
			if (p->c.wrong)
				return false;
		}
		while (clock_us() < until)
			settle(p);
	}
	return true;
}

struct contender *path_create(const struct shape *s, const struct srtp_engine *engine, unsigned id)
{
	struct path *p = aligned_alloc(64, sizeof(*p));

	if (!p)
		return NULL;
	memset(p, 0, sizeof(*p));
	p->id = id;
	p->c = (struct contender){
		.shape = *s,
		.sources = sources_create(s),
		.random = 0x9e3779b97f4a7c15u,
		.frame_len
		= BENCH_FRAME_HEADER + BENCH_COPY_HEADER + s->payload + s->profile->tag_len,
		.prepare = path_prepare,
		.work = path_work,
		.check = path_check,
		.refresh = path_refresh,
		.destroy = path_destroy,
		.copies = path_copies,
	};
	if (!path_fill(p, engine) || !path_warm(p)) {
		fprintf(stderr, "bench: the path does not start: %s\n",
			p->c.wrong ? p->c.wrong : "set-up failed");
		path_destroy(&p->c);
		return NULL;
	}
	return &p->c;
}
