// SPDX-License-Identifier: BSD-3-Clause
/**
 * What a worker does by the clock for the transports that it owns: consent, reports, key-frame
 * requests. Nothing is walked as a whole at once but at a key-frame request: the sweep takes as many
 * transports per turn as are due, so that each is met every SWEEP_US.
 */
#include "sfu-dp/path/feedback.h"
#include "sfu-dp/path/key_frame.h"
#include "sfu-dp/path/report.h"
#include "sfu-dp/path/transport.h"
#include "sfu-dp/state/restore.h"
#include "sfu-dp/worker.h"

#define SWEEP_US 250000u
#define SWEEP_PER_TURN 64u
#define REPORT_US 1000000u
/** A worker that did not run for so long was stopped; clients get a while to be heard again. */
#define PAUSE_US 1000000u
#define PAUSE_GRACE_US 5000000u
#define FLOWS_US 10000u
#define FLOWS_PER_SWEEP 64u
#define ORDERS_PER_TURN 32u

/** Whether nobody has wanted it for too long: RFC 7675, seen from the side that is asked. */
static bool consent_is_lost(const struct worker *w, const struct transport *t)
{
	return t->validated && w->now_us - t->last_check_us >= w->consent_us
	       && w->now_us - w->woke_us >= PAUSE_GRACE_US;
}

/** Addresses that are no longer checked are no longer the client's. */
static void tuples_expire(struct worker *w, struct transport *t)
{
	for (unsigned i = 0; i < TRANSPORT_TUPLES; i++) {
		struct transport_tuple *entry = &t->tuples[i];

		if (i != t->active && entry->last_check_us
			&& w->now_us - entry->last_check_us >= w->consent_us) {
			tuple_table_remove(w->tuples, &entry->tuple,
				atomic_load_explicit(&t->handle, memory_order_relaxed));
			memset(entry, 0, sizeof(*entry));
			save_tuple(t, entry);
			t->tuple_count--;
		}
	}
}

static void transport_timer(struct worker *w, struct transport *t)
{
	transport_notices_retry(w, t);
	if (t->closed)
		return;
	if (consent_is_lost(w, t)) {
		t->closed = 1;
		save_path(t);
		transport_notice(w, t, NOTICE_CONSENT_LOST);
		return;
	}
	tuples_expire(w, t);
	if (w->now_us < t->timer_us)
		return;
	t->timer_us = w->now_us + REPORT_US;
	reports_send(w, t);
}

static void sweep(struct worker *w)
{
	uint64_t passed = w->now_us - w->timer_us, whole = (uint64_t)w->owned_count * SWEEP_US;

	w->timer_us = w->now_us;
	if (passed >= PAUSE_US)
		w->woke_us = w->now_us;
	if (passed > SWEEP_US)
		passed = SWEEP_US;
	w->timer_credit += passed * w->owned_count;
	if (w->timer_credit > whole)
		w->timer_credit = whole;
	for (unsigned n = 0; n < SWEEP_PER_TURN && w->timer_credit >= SWEEP_US && w->owned_count;
		n++) {
		struct transport *t;

		w->timer_credit -= SWEEP_US;
		if (w->owned_cursor >= w->owned_count)
			w->owned_cursor = 0;
		t = transport_find(w->objects, w->owned[w->owned_cursor]);
		if (!t) {
			w->owned[w->owned_cursor] = w->owned[--w->owned_count];
			continue;
		}
		w->owned_cursor++;
		transport_timer(w, t);
	}
}

void worker_timers(struct worker *w)
{
	key_frames_ask(w);
	feedback_send(w);
	repair_timers(w);
	sweep(w);
	if (w->now_us - w->flows_us >= FLOWS_US) {
		w->flows_us = w->now_us;
		tuple_table_sweep(w->tuples, w->now_us, w->consent_us, FLOWS_PER_SWEEP);
	}
}

/* Orders */

/** A DTLS datagram of the control plane, along the tuple that it answers to. */
static void dtls_send(struct worker *w, const struct worker_order *o)
{
	struct transport *t = transport_find(w->objects, o->handle);
	const struct transport_tuple *to = NULL;

	if (t && !t->closed && !o->value)
		to = transport_active(t);
	for (unsigned i = 0; t && !t->closed && o->value && i < TRANSPORT_TUPLES; i++) {
		if (t->tuples[i].last_check_us && t->tuples[i].id == o->value)
			to = &t->tuples[i];
	}
	if (!to) {
		rte_pktmbuf_free(o->mbuf);
		return;
	}
	// The control plane knows neither port nor path, and is not believed to keep to less.
	if (!transport_tuple_fits(w, to, rte_pktmbuf_pkt_len(o->mbuf))) {
		w->count.dtls_too_long++;
		rte_pktmbuf_free(o->mbuf);
		return;
	}
	w->count.dtls_sent++;
	tx_encapsulate(w, o->mbuf, &to->tuple, &to->l2);
	tx_frame(w, o->mbuf);
}

static void bye_send(struct worker *w, const struct worker_order *o)
{
	struct transport *t = transport_find(w->objects, o->handle);

	if (t)
		report_bye(w, t, o->value);
}

void worker_orders(struct worker *w)
{
	struct worker_order o;

	for (unsigned n = 0;
		n < ORDERS_PER_TURN && !rte_ring_sc_dequeue_elem(w->from_house, &o, sizeof(o));
		n++) {
		if (o.kind == ORDER_DTLS)
			dtls_send(w, &o);
		else if (o.kind == ORDER_BYE)
			bye_send(w, &o);
	}
}
