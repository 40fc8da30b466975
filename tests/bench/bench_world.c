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
#include "sfu-dp/programme/programme.h"
#include "sfu-dp/proto/rtcp.h"
#include "sfu-dp/table/ufrag.h"
#include "tests/bench/bench_contender.h"
#include "tests/bench/bench_stages.h"
#include "tests/support/pktbuild.h"

#define RING_SLOTS 4096u
/** A round that takes longer has lost packets. */
#define ROUND_SECONDS 20.0
#define CONSENT_REFRESH_US 10000000u
#define SETTLE_TURNS 2000u
/** What sfu-dp keeps unless told otherwise. */
#define HISTORY_PACKETS 8191u

struct path {
	struct contender c;
	unsigned id;
	uint16_t rx_port;
	struct port port; /* copies leave through */
	struct objects objects;
	struct rte_rcu_qsbr *qsbr;
	struct rte_hash *ufrags;
	struct programme *programme;
	const struct srtp_engine *engine;
	struct worker *workers;
	uint32_t checks;
	uint64_t checked_us;
	uint64_t copies_before, target[BENCH_WORKERS];
	unsigned share[BENCH_WORKERS]; /* of each producer's consumers */
	unsigned given, taken; /* frames of the round, with one worker */
	unsigned pool_full;
	struct asker *askers; /* by receiver; NULL = nobody asks again */
	uint64_t asked, warm_copies; /* packets so far, and copies before the first was */
	bool asks;
};

/** A receiver that asks again: its own SRTCP. */
struct asker {
	struct srtp_ctx *ctx;
	uint32_t index;
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

static unsigned take_handed(struct worker *w, unsigned most)
{
	struct rte_mbuf *m[PATH_BURST];
	unsigned total = 0;

	for (unsigned v = 0; v < w->workers; v++) {
		unsigned n;

		if (!w->from_worker[v])
			continue;
		n = rte_ring_sc_dequeue_burst(w->from_worker[v], (void **)m, most, NULL);
		if (n)
			handoff_burst(w, m, n);
		total += n;
	}
	return total;
}

static unsigned turn(const struct path *p, struct worker *w, unsigned most)
{
	struct rte_mbuf *m[PATH_BURST];
	unsigned n = 0, take = worker_take(w);
	uint64_t copies = w->count.egress_tried;

	w->now_us = clock_us();
	if (most)
		n = rte_eth_rx_burst(p->rx_port, w->id, m, (uint16_t)RTE_MIN(most, take));
	if (n)
		rx_burst(w, m, n);
	n += take_handed(w, take);
	worker_took(w, n, w->count.egress_tried - copies);
	turn_end(w);
	return n;
}

/** The clock of the thread is a system call, and the bench's. */
static double clock_of_thread(void)
{
	double ns;

	watch_pause();
	ns = contender_clock_ns();
	watch_resume();
	return ns;
}

/** With two workers one may have to wait for what the other hands over. */
static double path_work(struct contender *c, unsigned worker)
{
	struct path *p = (void *)c;
	struct worker *w = &p->workers[worker];
	uint64_t give_up = rte_rdtsc() + (uint64_t)(ROUND_SECONDS * bench.tsc_hz);
	double idle = 0, since = 0;

	if (w->workers == 1) {
		stages_begin();
		while (p->taken < p->given && rte_rdtsc() < give_up)
			p->taken += turn(p, w, PATH_BURST);
		stages_end();
		return 0;
	}
	while (w->count.egress_tried < p->target[worker] && rte_rdtsc() < give_up) {
		unsigned did = turn(p, w, PATH_BURST);

		if ((did != 0) == (since <= 0))
			continue;
		if (did) {
			idle += clock_of_thread() - since;
			since = 0;
		} else {
			since = clock_of_thread();
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
	bool audio = shape_is_audio(&p->c.shape, i);
	struct sfu_command cmd = {
		.type = SFU_CMD_PUT_PRODUCER,
		.handle = sfu_handle_make(i, 1),
		.u.producer = {
			.transport = sfu_handle_make(i, 1),
			.flags = SFU_PRODUCER_E2EE | (audio ? 0 : SFU_PRODUCER_NACK),
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
	bool audio = shape_is_audio(s, producer);
	unsigned receiver = producer / s->producers * s->consumers + k;
	unsigned i = producer * s->consumers + k;
	struct sfu_command cmd = {
		.type = SFU_CMD_PUT_CONSUMER,
		.handle = sfu_handle_make(i, 1),
		.u.consumer = {
			.transport = sfu_handle_make(shape_producers(s) + receiver, 1),
			.producer = sfu_handle_make(producer, 1),
			.ssrc = 0x20000000 + 2 * i,
			.rtx_ssrc = audio ? 0 : 0x20000001 + 2 * i,
			.encoding = 255,
			.payload_type_count = 1,
			.ext_count = 4,
			.payload_type = {96},
			.rtx_payload_type = {audio ? 0 : 97},
			.mid_len = 2,
			.ext = {{4, SFU_EXT_MID}, {2, SFU_EXT_ABS_SEND_TIME},
				{3, SFU_EXT_TRANSPORT_CC},
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

/** Those that are free, and those that are kept for retransmission: not the same ones by two. */
static unsigned buffers(struct path *p)
{
	unsigned workers = p->c.shape.workers, held = 0;

	for (unsigned k = 0; k < workers; k++) {
		if (workers > 1)
			history_clear(&p->workers[k].repair.history);
		held += history_held(&p->workers[k].repair.history);
	}
	return rte_mempool_avail_count(bench.pool) + held;
}

/** What the clock had ready meanwhile is not the round's. */
static void settle(struct path *p)
{
	for (unsigned k = 0; k < p->c.shape.workers; k++) {
		for (unsigned i = 0; i < SETTLE_TURNS; i++) {
			turn(p, &p->workers[k], 0);
			if (p->workers[k].timer_credit < 250000)
				break;
		}
	}
	house_turn(p);
}

static void frame_give(struct path *p, unsigned worker, struct rte_mbuf *m)
{
	if (rte_eth_tx_burst(bench.ring_port, (uint16_t)worker, &m, 1) != 1)
		abort();
	p->given++;
}

/* Loss on both sides */

/** So many packets of the stream after it a lost one is asked for again: a round trip's worth. */
#define ASKED_AFTER 12u

static unsigned chance(struct path *p, unsigned of)
{
	contender_producer(&p->c);
	return (unsigned)((p->c.random >> 20) % of);
}

/**
 * The consumer's client has lost a packet and asks for it, as clients do: once, and for nothing that it
 * was not sent.
 */
static void ask_again(struct path *p, unsigned producer, unsigned k)
{
	const struct shape *s = &p->c.shape;
	const struct consumer *c = &p->objects.consumers[producer * s->consumers + k];
	unsigned receiver = producer / s->producers * s->consumers + k;
	uint64_t lost = sources_index(p->c.sources, producer) - ASKED_AFTER;
	uint16_t seq = (uint16_t)(lost + c->offset);
	uint8_t rtcp[64], sealed[128], frame[PKT_FRAME_MAX];
	struct asker *a = &p->askers[receiver];
	struct pkt_addr from, to;
	struct rte_mbuf *m;
	size_t len;
	int n;

	if (lost < c->start_in_index)
		return;
	m = rte_pktmbuf_alloc(bench.pool);
	if (!m)
		abort();
	p->asked++;
	len = rtcp_encode_nack(rtcp, sizeof(rtcp), 1, c->ssrc, &seq, 1);
	n = p->engine->rtcp_seal(a->ctx, rtcp, len, a->index++, sealed, sizeof(sealed));
	if (n < 0)
		abort();
	bench_client(shape_producers(s) + receiver, &from);
	bench_server(&to);
	len = pkt_frame(frame, &from, &to, sealed, (size_t)n);
	memcpy(rte_pktmbuf_append(m, (uint16_t)len), frame, len);
	frame_give(p, 0, m);
}

static bool askers_make(struct path *p)
{
	const struct shape *s = &p->c.shape;
	uint8_t key[32], salt[16];

	if (!s->nack)
		return true;
	p->askers = calloc(shape_receivers(s), sizeof(*p->askers));
	for (unsigned i = 0; p->askers && i < shape_receivers(s); i++) {
		bench_keys(shape_producers(s) + i, true, key, salt);
		p->askers[i].index = 1;
		if (p->engine->create(s->profile, key, salt, &p->askers[i].ctx) != SRTP_OK)
			return false;
	}
	return p->askers;
}

static void askers_destroy(struct path *p)
{
	for (unsigned i = 0; p->askers && i < shape_receivers(&p->c.shape); i++)
		p->engine->destroy(p->askers[i].ctx);
	free(p->askers);
}

void path_use_port(struct contender *c, uint16_t port)
{
	struct path *p = (void *)c;

	settle(p);
	p->rx_port = p->port.id = port;
	p->copies_before = p->workers[0].count.egress_packets;
}

uint64_t path_turns(struct contender *c, unsigned n)
{
	struct path *p = (void *)c;
	uint64_t busy = 0;

	for (unsigned i = 0; i < n; i++) {
		uint64_t begin = rte_rdtsc();

		if (turn(p, &p->workers[0], PATH_BURST))
			busy += rte_rdtsc() - begin;
	}
	return busy;
}

void path_sent(const struct contender *c, uint64_t *sent, uint64_t *refused)
{
	const struct path *p = (const void *)c;

	*sent = p->workers[0].count.egress_packets - p->copies_before;
	*refused = p->workers[0].count.edge[EDGE_tx_full];
}

void path_asked_again(const struct contender *c, double *asked, double *sent)
{
	const struct path *p = (const void *)c;
	const struct worker_counters *n = &p->workers[0].count;
	double copies = (double)(n->egress_packets - n->rtx_sent);

	copies -= (double)p->warm_copies;
	*asked = 100.0 * (double)p->asked / copies;
	*sent = 100.0 * (double)n->rtx_sent / copies;
}

static void input_give(struct path *p, unsigned producer)
{
	const struct shape *s = &p->c.shape;

	if (s->loss && chance(p, 100) < s->loss)
		rte_pktmbuf_free(sources_next(p->c.sources, producer));
	frame_give(p, worker_of(p, producer), sources_next(p->c.sources, producer));
	for (unsigned k = 0; p->asks && k < s->consumers; k++) {
		if (chance(p, 100) < s->nack)
			ask_again(p, producer, k);
	}
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
	p->given = p->taken = 0;
	p->copies_before = 0;
	for (unsigned k = 0; k < c->shape.workers; k++) {
		p->target[k] = p->workers[k].count.egress_tried;
		p->copies_before += p->workers[k].count.egress_packets;
		p->copies_before -= p->workers[k].count.rtx_sent;
	}
	p->pool_full = buffers(p);
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
		sent += n->egress_packets - n->rtx_sent;
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
	else if (buffers(p) != p->pool_full)
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
		n = turn(p, w, RTE_MIN(PATH_BURST, arrived - taken));
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
	struct history_limits history = {
		.packets = HISTORY_PACKETS / p->c.shape.workers,
		.keep_ms = 1000,
		.producers = p->objects.limits.producers,
	};

	w->id = (uint8_t)id;
	w->workers = (uint8_t)p->c.shape.workers;
	w->spread = 1;
	w->consent_us = 30000000;
	w->port = &p->port;
	w->queue = w->tx_queue = (uint16_t)id;
	w->pool = bench.pool;
	w->objects = &p->objects;
	w->ufrags = p->ufrags;
	w->qsbr = p->qsbr;
	w->tuples = tuple_table_create(p->id * BENCH_WORKERS + id, p->objects.limits.transports);
	w->owned = calloc(p->objects.limits.transports, sizeof(*w->owned));
	w->feedback_due = due_list_create(2 * p->objects.limits.transports);
	if (repair_create(&w->repair, &history, &p->objects.limits))
		return false;
	w->to_house = ring_make(p, "house", id, 0, sizeof(struct worker_notice));
	w->from_house = ring_make(p, "order", 0, id, sizeof(struct worker_order));
	w->random = 0x9e3779b97f4a7c15u + id;
	rte_rcu_qsbr_thread_register(p->qsbr, id);
	rte_rcu_qsbr_thread_online(p->qsbr, id);
	return w->tuples && w->owned && w->feedback_due && w->to_house && w->from_house;
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
		due_list_destroy(w->feedback_due);
		repair_destroy(&w->repair);
		rte_ring_free(w->to_house);
		rte_ring_free(w->from_house);
		for (unsigned v = 0; v < c->shape.workers; v++)
			rte_ring_free(w->to_worker[v]);
	}
	askers_destroy(p);
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
	p->rx_port = bench.ring_port;
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
	if (!askers_make(p))
		return false;
	check_all(p);
	for (unsigned v = 0; v < s->workers; v++)
		p->share[v] = (s->consumers + s->workers - 1 - v) / s->workers;
	return true;
}

/**
 * Every producer sends, so that every stream has begun, and has what is asked for again; then key-frame
 * requests pass.
 */
static bool path_warm(struct path *p)
{
	unsigned n = shape_producers(&p->c.shape);
	unsigned passes = p->c.shape.nack ? 1 + ASKED_AFTER : 2;

	for (unsigned pass = 0; pass < passes; pass++) {
		uint64_t until = clock_us() + 60000;

		for (unsigned i = 0; i < n; i += PATH_BURST) {
			unsigned some = RTE_MIN(PATH_BURST, n - i);

			path_prepare(&p->c, 0);
			for (unsigned k = 0; k < some; k++)
				input_give(p, i + k);
			for (unsigned turns = 0; turns < SETTLE_TURNS; turns++) {
				for (unsigned k = 0; k < p->c.shape.workers; k++)
					turn(p, &p->workers[k], PATH_BURST);
			}
			path_check(&p->c, some);
			if (p->c.wrong)
				return false;
		}
		while (pass < 2 && clock_us() < until)
			settle(p);
	}
	return true;
}

static unsigned payload_mean(const struct shape *s)
{
	return s->mixed ? (s->payload * BENCH_VIDEO_PPS + BENCH_AUDIO_PAYLOAD * BENCH_AUDIO_PPS)
				  / (BENCH_VIDEO_PPS + BENCH_AUDIO_PPS)
			: s->payload;
}

struct contender *path_create(const struct shape *s, const struct srtp_engine *engine, unsigned id)
{
	struct path *p = aligned_alloc(64, sizeof(*p));

	if (!p)
		return NULL;
	memset(p, 0, sizeof(*p));
	p->id = id;
	p->engine = engine;
	p->c = (struct contender){
		.shape = *s,
		.sources = sources_create(s),
		.random = 0x9e3779b97f4a7c15u,
		.frame_len
		= BENCH_FRAME_HEADER + BENCH_COPY_HEADER + payload_mean(s) + s->profile->tag_len,
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
	p->asks = s->nack;
	p->warm_copies = p->workers[0].count.egress_packets;
	return &p->c;
}
