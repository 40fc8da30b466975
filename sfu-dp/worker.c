// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/worker.h"

#include <rte_cycles.h>
#include <rte_launch.h>
#include <rte_pause.h>
#include <sched.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "sfu-dp/keeper/pace.h"
#include "sfu-dp/port.h"

/**
 * Adaptive polling: so many empty turns in a row are spun, then sleeps double from the first to the
 * longest. With transports the longest sleep bounds the latency that idling adds; without any it
 * bounds how late the first ICE check is answered (promised: 10 ms).
 */
#define SPIN_TURNS 64u
#define SLEEP_FIRST_US 20u
#define SLEEP_LONGEST_US 500u
#define SLEEP_LONGEST_EMPTY_US 2000u
/** A turn this late is none that the scheduler of a busy machine explains. */
#define STALLED_US 500000u
/** No port's ring is longer; what comes meanwhile is fresh. */
#define STALLED_BURSTS 1024u
/** After a hand-over: what waited is forwarded by then, or others shall not wait for it. */
#define FIRST_US 10000u

static uint64_t clock_us(void)
{
	struct timespec ts;

	// vDSO, no system call; the same clock as the control plane's grace deadlines.
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static unsigned receive(struct worker *w, unsigned most)
{
	struct rte_mbuf *m[PATH_BURST];
	unsigned first = w->queue, last = w->queue, total = 0;

	// A port that does not spread flows is read by worker 0 alone, which hands them on.
	if (!w->spread) {
		if (w->id)
			return 0;
		first = 0;
		last = w->port->rx_queues - 1u;
	}
	for (unsigned q = first; q <= last; q++) {
		unsigned n = port_receive(w->port, (uint16_t)q, m, (uint16_t)most);

		if (n)
			rx_burst(w, m, n);
		total += n;
	}
	return total;
}

static void port_sift(struct worker *w)
{
	struct rte_mbuf *m[PATH_BURST];

	for (unsigned q = 0; q < w->port->rx_queues; q++) {
		unsigned n;

		if (w->spread ? q != w->queue : w->id)
			continue;
		for (unsigned burst = 0; burst < STALLED_BURSTS
					 && (n = port_receive(w->port, (uint16_t)q, m, PATH_BURST));
			burst++) {
			w->count.rx_packets += n;
			for (unsigned i = 0; i < n; i++)
				w->count.rx_bytes += rte_pktmbuf_pkt_len(m[i]);
			path_drop_burst(w, m, n, DROP_stalled);
		}
	}
}

/** Another worker may be running again already: what it has put there since is fresh. */
static void rings_sift(struct worker *w)
{
	struct rte_mbuf *m[PATH_BURST];

	for (unsigned v = 0; v < w->workers; v++) {
		unsigned left = w->from_worker[v] ? rte_ring_count(w->from_worker[v]) : 0;

		while (left) {
			unsigned n = rte_ring_sc_dequeue_burst(
				w->from_worker[v], (void **)m, RTE_MIN(left, PATH_BURST), NULL);

			handoff_sift(w, m, n, w->now_us - STALLED_US);
			left -= n;
		}
	}
}

void worker_stood_still(struct worker *w)
{
	port_sift(w);
	rings_sift(w);
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

static void rest(struct worker *w, unsigned idle_turns)
{
	unsigned longest = w->owned_count ? SLEEP_LONGEST_US : SLEEP_LONGEST_EMPTY_US;
	unsigned shift = idle_turns - SPIN_TURNS, us;
	struct timespec ts = {0};

	us = shift > 16 ? longest : SLEEP_FIRST_US << (shift / 4);
	if (us > longest)
		us = longest;
	ts.tv_nsec = (long)us * 1000;
	w->count.sleeps++;
	clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL);
}

/**
 * Rounds in which workers end together. In each of them one that has seen all others begin it does turns
 * until there is nothing for it: in the first what came from the port, in the second what others handed
 * over of that, in the third their references for consumers. A packet passes no more rings than these two.
 */
#define DRAIN_ROUNDS 3u

/** Whether all workers are in this worker's round, at least. Before it looks at its rings. */
static bool round_is_on(const struct worker *w)
{
	const struct worker *all = w - w->id;

	for (unsigned v = 0; v < w->workers; v++) {
		if (atomic_load_explicit(&all[v].round, memory_order_acquire) < w->round)
			return false;
	}
	return true;
}

int worker_run(void *arg)
{
	struct worker *w = arg;
	uint64_t before = rte_rdtsc();
	unsigned idle_turns = 0;
	uint64_t first_until_us = pace_is_first() ? clock_us() + FIRST_US : 0;

	atomic_store_explicit(&w->thread, gettid(), memory_order_relaxed);
	// Sleeps of microseconds are meant as such; the default slack is 50.
	prctl(PR_SET_TIMERSLACK, 1000UL, 0, 0, 0);
	rte_rcu_qsbr_thread_register(w->qsbr, w->id);
	rte_rcu_qsbr_thread_online(w->qsbr, w->id);
	while (w->round < DRAIN_ROUNDS) {
		bool stop = atomic_load_explicit(&w->stop, memory_order_relaxed);
		bool is_on = stop && round_is_on(w);
		uint64_t after, last_us = w->now_us, copies = w->count.egress_tried;
		unsigned did, most = worker_take(w);

		turn_begins(&w->turn, before);
		w->now_us = clock_us();
		if (w->now_us - last_us >= STALLED_US && last_us)
			worker_stood_still(w);
		did = stop ? 0 : receive(w, most);
		did += take_handed(w, most);
		worker_took(w, did, w->count.egress_tried - copies);
		worker_orders(w);
		worker_timers(w);
		tx_flush(w);
		rte_rcu_qsbr_quiescent(w->qsbr, w->id);

		w->count.polls++;
		after = rte_rdtsc();
		turn_ends(&w->turn, after);
		if (first_until_us && w->now_us >= first_until_us) {
			first_until_us = 0;
			pace_set(PACE_USUAL);
		}
		if (did) {
			w->count.busy_cycles += after - before;
			idle_turns = 0;
		} else {
			w->count.polls_empty++;
			if (is_on)
				atomic_fetch_add_explicit(&w->round, 1, memory_order_release);
			if (stop) {
				// Packets wait for who follows: no sleep, but others may be late.
				sched_yield();
			} else if (w->adaptive && ++idle_turns > SPIN_TURNS) {
				rest(w, idle_turns);
				after = rte_rdtsc();
			} else {
				rte_pause();
			}
			w->count.idle_cycles += after - before;
		}
		before = after;
	}
	tx_flush(w);
	rte_rcu_qsbr_thread_offline(w->qsbr, w->id);
	rte_rcu_qsbr_thread_unregister(w->qsbr, w->id);
	return 0;
}

void workers_stop(struct worker *workers, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		pid_t thread = atomic_load_explicit(&workers[i].thread, memory_order_relaxed);

		if (pace_is_first() && thread)
			pace_first_to_end(thread);
		atomic_store_explicit(&workers[i].stop, true, memory_order_relaxed);
	}
	for (unsigned i = 0; i < count; i++) {
		// The EAL would spin, and the worker may want this processor.
		while (rte_eal_get_lcore_state(workers[i].lcore) == RUNNING) {
			port_unblock(workers[i].port);
			usleep(50);
		}
		rte_eal_wait_lcore(workers[i].lcore);
	}
}

bool worker_notify(struct worker *w, const struct worker_notice *n)
{
	if (!rte_ring_sp_enqueue_elem(w->to_house, (void *)(uintptr_t)n, sizeof(*n)))
		return true;
	w->count.notices_lost++;
	return false;
}
