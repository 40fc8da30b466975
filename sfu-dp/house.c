// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/house.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "sfu-dp/inspect.h"
#include "sfu-dp/log.h"
#include "shared/abi.h"
#include "shared/event.h"

/** Work per turn and source, so that no peer holds up the others. */
#define COMMANDS_PER_TURN 256u
#define NOTICES_PER_TURN 128u
#define DTLS_PER_TURN 64u
/** A turn answers commands only while this many event slots are free for notices. */
#define EVENT_RESERVE 64u
#define STATS_EVERY_US 100000u
/** Workers cannot wake this thread: it looks at their rings this often. */
#define SLEEP_MS 2
#define SLEEP_EMPTY_MS 5

static uint64_t clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void transport_event(struct house *h, uint64_t transport, uint32_t state, uint32_t worker)
{
	struct sfu_event e = {.type = SFU_EVENT_TRANSPORT, .handle = transport};

	e.u.transport.state = state;
	e.u.transport.worker = worker;
	link_push_event(h->link, &e);
}

/** A punted datagram: from the worker's mbuf to the link. */
static void punt(struct house *h, const struct worker_notice *n)
{
	struct sfu_dtls_record r = {.transport = n->transport, .tuple = n->value};
	uint32_t len = rte_pktmbuf_pkt_len(n->mbuf);

	if (len && len <= sizeof(r.bytes)) {
		r.len = len;
		memcpy(r.bytes, rte_pktmbuf_mtod(n->mbuf, void *), len);
	}
	rte_pktmbuf_free(n->mbuf);
	if (!r.len || !link_push_dtls(h->link, &r))
		h->count.punts_lost++;
}

static void notice(struct house *h, struct worker *w, const struct worker_notice *n)
{
	switch (n->kind) {
	case NOTICE_CLAIMED:
		programme_notice(h->programme, w, n);
		break;
	case NOTICE_VALIDATED:
		transport_event(h, n->transport, SFU_TRANSPORT_VALIDATED, w->id);
		break;
	case NOTICE_NOMINATED:
		transport_event(h, n->transport, SFU_TRANSPORT_NOMINATED, w->id);
		break;
	case NOTICE_CONSENT_LOST:
		transport_event(h, n->transport, SFU_TRANSPORT_CONSENT_LOST, w->id);
		break;
	case NOTICE_DTLS:
		punt(h, n);
		break;
	default:
		break;
	}
}

static unsigned notices_take(struct house *h)
{
	unsigned total = 0;

	for (unsigned i = 0; i < h->worker_count; i++) {
		struct worker *w = &h->workers[i];
		struct worker_notice n;

		for (unsigned k = 0; k < NOTICES_PER_TURN
				     && !rte_ring_sc_dequeue_elem(w->to_house, &n, sizeof(n));
			k++) {
			notice(h, w, &n);
			total++;
		}
	}
	return total;
}

static void ack(struct house *h, const struct sfu_command *cmd, uint32_t status)
{
	struct sfu_event e = {.type = SFU_EVENT_ACK, .handle = cmd->handle};

	e.u.ack.command_id = cmd->id;
	e.u.ack.command_type = cmd->type;
	e.u.ack.status = status;
	link_push_event(h->link, &e);
}

/** Send what has room of the digest that was asked for; more next turn. */
static void digest_go_on(struct house *h)
{
	struct sfu_command done = {.type = SFU_CMD_DIGEST, .id = h->digest_command};

	while (h->digesting && link_event_room(h->link) > EVENT_RESERVE) {
		struct sfu_event e = {.type = SFU_EVENT_DIGEST};

		if (programme_digest_next(h->programme, &h->digest_cursor, &e.u.digest)) {
			h->digest_items += e.u.digest.count;
			link_push_event(h->link, &e);
			continue;
		}
		memset(&e, 0, sizeof(e));
		e.type = SFU_EVENT_DIGEST_END;
		e.u.digest_end.items = h->digest_items;
		link_push_event(h->link, &e);
		ack(h, &done, SFU_STATUS_OK);
		h->digesting = 0;
	}
}

static unsigned commands_take(struct house *h)
{
	struct sfu_command cmd;
	unsigned n = 0;

	// While a digest is under way the programme must hold still.
	while (n < COMMANDS_PER_TURN && !h->digesting && link_event_room(h->link) > EVENT_RESERVE
		&& link_pop_command(h->link, &cmd)) {
		n++;
		h->count.commands++;
		if (cmd.type == SFU_CMD_DIGEST) {
			h->digesting = 1;
			h->digest_cursor = 0;
			h->digest_items = 0;
			h->digest_command = cmd.id;
		} else {
			uint32_t status = programme_apply(h->programme, &cmd);

			if (status != SFU_STATUS_OK) {
				h->count.refused++;
				log_line(LOG_DEBUG, "link", "command refused",
					"type=%u handle=%llx status=%u", cmd.type,
					(unsigned long long)cmd.handle, status);
			}
			ack(h, &cmd, status);
		}
		explicit_bzero(&cmd, sizeof(cmd));
	}
	return n;
}

/** A datagram of a handshake: to the worker that owns the transport. */
static void dtls_order(struct house *h, const struct sfu_dtls_record *r)
{
	struct transport *t = transport_find(h->objects, r->transport);
	uint8_t owner = t ? atomic_load_explicit(&t->owner, memory_order_acquire) : DP_NO_WORKER;
	struct worker_order o = {.kind = ORDER_DTLS, .value = r->tuple, .handle = r->transport};
	char *payload;

	if (owner >= h->worker_count) {
		h->count.dtls_unknown++;
		return;
	}
	o.mbuf = rte_pktmbuf_alloc(h->pool);
	payload = o.mbuf ? rte_pktmbuf_append(o.mbuf, (uint16_t)r->len) : NULL;
	if (!payload) {
		rte_pktmbuf_free(o.mbuf);
		h->count.orders_lost++;
		return;
	}
	memcpy(payload, r->bytes, r->len);
	if (rte_ring_sp_enqueue_elem(h->workers[owner].from_house, &o, sizeof(o))) {
		rte_pktmbuf_free(o.mbuf);
		h->count.orders_lost++;
		return;
	}
	h->count.dtls_orders++;
}

static unsigned dtls_take(struct house *h)
{
	struct sfu_dtls_record r;
	unsigned n = 0;

	while (n < DTLS_PER_TURN && link_pop_dtls(h->link, &r)) {
		dtls_order(h, &r);
		n++;
	}
	return n;
}

static uint64_t load(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static void stats_publish(struct house *h)
{
	struct sfu_stats_page *page = link_stats_page(h->link);
	uint64_t v[SFU_STAT_COUNT] = {0};
	struct programme_figures f;
	struct link_figures l;

	if (!page)
		return;
	for (unsigned i = 0; i < h->worker_count; i++) {
		const struct worker_counters *c = &h->workers[i].count;

		v[SFU_STAT_rx_packets] += load(&c->rx_packets);
		v[SFU_STAT_rx_bytes] += load(&c->rx_bytes);
		v[SFU_STAT_forwarded] += load(&c->forwarded);
		v[SFU_STAT_answered] += load(&c->answered);
		v[SFU_STAT_punted] += load(&c->punted);
		for (unsigned r = 0; r < DROP_COUNT; r++)
			v[SFU_STAT_dropped] += load(&c->drop[r]);
		v[SFU_STAT_egress_packets] += load(&c->egress_packets);
		v[SFU_STAT_egress_bytes] += load(&c->egress_bytes);
		for (unsigned r = 0; r < EDGE_COUNT; r++)
			v[SFU_STAT_egress_dropped] += load(&c->edge[r]);
		v[SFU_STAT_handoffs] += load(&c->handoff_out) + load(&c->fanout_out);
	}
	programme_figures(h->programme, &f);
	v[SFU_STAT_gauge_rooms] = f.rooms;
	v[SFU_STAT_gauge_peers] = f.peers;
	v[SFU_STAT_gauge_transports] = f.transports;
	v[SFU_STAT_gauge_producers] = f.producers;
	v[SFU_STAT_gauge_consumers] = f.consumers;
	v[SFU_STAT_gauge_workers] = h->worker_count;
	v[SFU_STAT_gauge_mbufs_free] = rte_mempool_avail_count(h->pool);
	v[SFU_STAT_link_commands] = h->count.commands;
	v[SFU_STAT_link_refused] = h->count.refused;
	link_figures(h->link, &l);
	v[SFU_STAT_link_events_lost] = l.events_lost;
	for (unsigned i = 0; i < SFU_STAT_COUNT; i++)
		__atomic_store_n(&page->value[i], v[i], __ATOMIC_RELAXED);
	__atomic_store_n(&page->updated_us, h->now_us, __ATOMIC_RELAXED);
}

static unsigned turn(struct house *h)
{
	unsigned did = 0;

	h->now_us = clock_us();
	link_poll(h->link, h->now_us);
	if (link_generation(h->link) != h->generation) {
		h->generation = link_generation(h->link);
		h->digesting = 0;
	}
	did += notices_take(h);
	digest_go_on(h);
	did += commands_take(h);
	did += dtls_take(h);
	programme_reclaim(h->programme);
	did += inspect_poll(h->inspect);
	if (h->now_us - h->stats_us >= STATS_EVERY_US) {
		h->stats_us = h->now_us;
		stats_publish(h);
	}
	return did;
}

static void rest(struct house *h)
{
	struct epoll_event e[4];
	struct programme_figures f;
	// Commands that wait until there is room for their answers do not keep us awake.
	bool stuck = link_attached(h->link) && link_event_room(h->link) <= EVENT_RESERVE;

	programme_figures(h->programme, &f);
	if (h->digesting || stuck || link_prepare_sleep(h->link))
		epoll_wait(h->epoll, e, 4, f.transports ? SLEEP_MS : SLEEP_EMPTY_MS);
	link_awake(h->link);
}

int house_run(struct house *h)
{
	struct epoll_event e = {.events = EPOLLIN};

	prctl(PR_SET_TIMERSLACK, 10000UL, 0, 0, 0);
	h->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (h->epoll < 0)
		return -errno;
	if (epoll_ctl(h->epoll, EPOLL_CTL_ADD, link_fd(h->link), &e)
		|| epoll_ctl(h->epoll, EPOLL_CTL_ADD, inspect_fd(h->inspect), &e)) {
		int rc = -errno;

		close(h->epoll);
		return rc;
	}
	while (!atomic_load_explicit(h->stop, memory_order_relaxed)) {
		if (!turn(h))
			rest(h);
	}
	close(h->epoll);
	return 0;
}
