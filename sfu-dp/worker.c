// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/worker.h"

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_pause.h>
#include <sys/prctl.h>
#include <time.h>

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

static uint64_t clock_us(void)
{
	struct timespec ts;

	// vDSO, no system call; the same clock as the control plane's grace deadlines.
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static unsigned receive(struct worker *w)
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
		unsigned n = rte_eth_rx_burst(w->port->id, (uint16_t)q, m, PATH_BURST);

		if (n)
			rx_burst(w, m, n);
		total += n;
	}
	return total;
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

int worker_run(void *arg)
{
	struct worker *w = arg;
	uint64_t before = rte_rdtsc();
	unsigned idle_turns = 0;

	// Sleeps of microseconds are meant as such; the default slack is 50.
	prctl(PR_SET_TIMERSLACK, 1000UL, 0, 0, 0);
	rte_rcu_qsbr_thread_register(w->qsbr, w->id);
	rte_rcu_qsbr_thread_online(w->qsbr, w->id);
	while (!atomic_load_explicit(&w->stop, memory_order_relaxed)) {
		uint64_t after;
		unsigned did;

		w->now_us = clock_us();
		did = receive(w);
		did += take_handed(w);
		worker_orders(w);
		worker_timers(w);
		tx_flush(w);
		rte_rcu_qsbr_quiescent(w->qsbr, w->id);

		w->count.polls++;
		after = rte_rdtsc();
		if (did) {
			w->count.busy_cycles += after - before;
			idle_turns = 0;
		} else {
			w->count.polls_empty++;
			if (w->adaptive && ++idle_turns > SPIN_TURNS) {
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

bool worker_notify(struct worker *w, const struct worker_notice *n)
{
	if (!rte_ring_sp_enqueue_elem(w->to_house, (void *)(uintptr_t)n, sizeof(*n)))
		return true;
	w->count.notices_lost++;
	return false;
}
