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
#include "sfu-dp/keeper/tie.h"
#include "sfu-dp/log.h"
#include "sfu-dp/proto/srtp.h"
#include "sfu-dp/speakers.h"
#include "sfu-dp/state/region.h"
#include "shared/abi.h"
#include "shared/event.h"

/** Work per turn and source, so that no peer holds up the others. */
#define COMMANDS_PER_TURN 256u
/** Of one command: so many objects go at once. */
#define REMOVALS_PER_TURN 32u
/** No command is begun when a turn has taken so long: most are through in one or two. */
#define COMMANDS_US 300u
#define NOTICES_PER_TURN 128u
#define DTLS_PER_TURN 64u
/** A turn answers commands only while this many event slots are free for notices: 64 of 4096. A digest
 * ends in two events, which need what lies above it. */
#define EVENT_RESERVE (SFU_EVENT_SLOTS / 64u ? SFU_EVENT_SLOTS / 64u : 1u)
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

/** What there is room for of the transports' events; the rest waits. */
static void transport_events_send(struct house *h)
{
	struct sfu_event e;

	while (h->events.waiting && !h->digesting && link_event_room(h->link) > EVENT_RESERVE / 2
		&& transport_events_next(&h->events, &e)) {
		if (link_push_event(h->link, &e))
			continue;
		transport_events_note(
			&h->events, e.handle, e.u.transport.state, e.u.transport.worker);
		return;
	}
}

_Static_assert(SFU_EVENT_SLOTS > EVENT_RESERVE, "no command would ever be taken");

/** What there is room for of the datagrams that wait. */
static void punts_send(struct house *h)
{
	const struct sfu_dtls_record *r;

	while ((r = punts_first(&h->punts)) && link_dtls_room(h->link)
		&& link_push_dtls(h->link, r))
		punts_pop(&h->punts);
}

/** A punted datagram: from the worker's mbuf to the link, or to those that wait for room there. */
static void punt(struct house *h, const struct worker_notice *n)
{
	struct sfu_dtls_record r = {.transport = n->transport, .tuple = n->value};
	uint32_t len = rte_pktmbuf_pkt_len(n->mbuf);

	if (len && len <= sizeof(r.bytes)) {
		r.len = len;
		memcpy(r.bytes, rte_pktmbuf_mtod(n->mbuf, void *), len);
	}
	rte_pktmbuf_free(n->mbuf);
	if (!r.len || !link_attached(h->link))
		h->count.punts_lost++;
	else if (punts_first(&h->punts) || !link_dtls_room(h->link) || !link_push_dtls(h->link, &r))
		h->count.punts_overtaken += punts_push(&h->punts, &r);
}

static void notice(struct house *h, struct worker *w, const struct worker_notice *n)
{
	switch (n->kind) {
	case NOTICE_CLAIMED:
	case NOTICE_RESTARTED:
		programme_notice(h->programme, w, n);
		break;
	case NOTICE_VALIDATED:
		transport_events_note(&h->events, n->transport, SFU_TRANSPORT_VALIDATED, w->id);
		break;
	case NOTICE_NOMINATED:
		transport_events_note(&h->events, n->transport, SFU_TRANSPORT_NOMINATED, w->id);
		break;
	case NOTICE_CONSENT_LOST:
		transport_events_note(&h->events, n->transport, SFU_TRANSPORT_CONSENT_LOST, w->id);
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
		// Whoever asks for a digest has heard nothing, or may not have.
		transport_events_note_all(&h->events);
	}
}

static void digest_begin(struct house *h, const struct sfu_command *cmd)
{
	h->digesting = 1;
	h->digest_cursor = 0;
	h->digest_items = 0;
	h->digest_command = cmd->id;
}

/** True when the command under way is done, and answered if who sent it is still there. */
static bool command_go_on(struct house *h)
{
	const struct sfu_command *cmd = &h->command;
	uint32_t status;

	if (!programme_go_on(h->programme, cmd, REMOVALS_PER_TURN, &status)) {
		// Removals get on with each turn; only a PUT may have to wait, and not for ever.
		if (!state_kind_of_put(cmd->type) || h->now_us - h->command_us < PROGRAMME_WAIT_US)
			return false;
		status = programme_give_up(h->programme);
	}
	if (status != SFU_STATUS_OK) {
		h->count.refused++;
		log_line(LOG_DEBUG, "link", "command refused", "type=%u handle=%llx status=%u",
			cmd->type, (unsigned long long)cmd->handle, status);
	}
	if (h->command_generation == link_generation(h->link))
		ack(h, cmd, status);
	srtp_wipe(&h->command, sizeof(h->command));
	h->command_under_way = false;
	return true;
}

/** The next command of the ring; false when there is none, or no room for its answer. */
static bool command_take(struct house *h)
{
	if (link_event_room(h->link) <= EVENT_RESERVE || !link_pop_command(h->link, &h->command))
		return false;
	h->count.commands++;
	h->command_us = h->now_us;
	h->command_generation = link_generation(h->link);
	h->command_under_way = true;
	return true;
}

/** One after the other, as they were sent: one that takes several turns holds up those behind it. */
static unsigned commands_take(struct house *h)
{
	unsigned n = 0;

	// While a digest is under way the programme must hold still.
	while (n < COMMANDS_PER_TURN && !h->digesting && clock_us() - h->now_us < COMMANDS_US) {
		if (!h->command_under_way && !command_take(h))
			break;
		if (h->command.type == SFU_CMD_DIGEST) {
			digest_begin(h, &h->command);
			h->command_under_way = false;
		} else if (!command_go_on(h)) {
			// A removal goes on at once, a wait may as well be slept.
			return n + !state_kind_of_put(h->command.type);
		}
		n++;
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

static void on_speaker(
	void *ctx, uint64_t room, uint64_t producer, uint64_t transport, uint8_t loudness)
{
	struct house *h = ctx;
	struct sfu_event e = {.type = SFU_EVENT_SPEAKER, .handle = room};

	// The answers to commands go before: the next change of turn comes soon enough.
	if (link_event_room(h->link) <= EVENT_RESERVE)
		return;
	e.u.speaker.producer = producer;
	e.u.speaker.transport = transport;
	e.u.speaker.loudness = loudness;
	link_push_event(h->link, &e);
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
		v[SFU_STAT_frames_stale] += load(&c->frames_stale);
		v[SFU_STAT_frames_unreadable] += load(&c->frames_unreadable);
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

/** Its socket closes when it dies, not when it hangs. Media needs it for nothing. */
static void ctl_watch(struct house *h)
{
	const struct sfu_stats_page *page = link_stats_page(h->link);
	uint64_t sign_us = page ? __atomic_load_n(&page->ctl_alive_us, __ATOMIC_RELAXED) : 0;
	bool silent = sign_us && h->now_us > sign_us && h->now_us - sign_us >= SFU_SILENT_US;

	if (silent != h->ctl_silent)
		log_line(silent ? LOG_ERR : LOG_NOTICE, "link",
			silent ? "the control plane gives no sign of life"
			       : "the control plane answers again, or is gone",
			NULL);
	h->ctl_silent = silent;
}

static unsigned turn(struct house *h)
{
	struct tie_held held;
	unsigned did = 0;

	turn_begins(&h->turn, 0);
	h->now_us = clock_us();
	if (h->state)
		h->state->header->alive_us = h->now_us;
	if (tie_poll(h->tie, h->now_us) == TIE_RELEASE)
		h->released = true;
	if (port_turn(h->port, h->now_us, &held))
		tie_hold(h->tie, &held);
	link_poll(h->link, h->now_us);
	if (link_generation(h->link) != h->generation) {
		h->generation = link_generation(h->link);
		h->digesting = 0;
		h->count.punts_lost += punts_clear(&h->punts);
	}
	punts_send(h);
	did += notices_take(h);
	digest_go_on(h);
	transport_events_send(h);
	did += commands_take(h);
	did += dtls_take(h);
	programme_reclaim(h->programme);
	if (h->now_us - h->speakers_us >= SPEAKER_LOOK_US) {
		h->speakers_us = h->now_us;
		speakers_look(h->objects, on_speaker, h);
	}
	if (h->now_us - h->stats_us >= STATS_EVERY_US) {
		h->stats_us = h->now_us;
		stats_publish(h);
		ctl_watch(h);
	}
	turn_ends(&h->turn, 0);
	// Somebody asked for it, and it may be long.
	return did + inspect_poll(h->inspect);
}

static void rest(struct house *h)
{
	struct epoll_event e[4];
	struct programme_figures f;
	// Commands that wait until there is room for their answers do not keep us awake.
	bool stuck = link_attached(h->link) && link_event_room(h->link) <= EVENT_RESERVE;

	programme_figures(h->programme, &f);
	if (h->digesting || stuck || h->command_under_way || link_prepare_sleep(h->link))
		epoll_wait(h->epoll, e, 4, f.transports ? SLEEP_MS : SLEEP_EMPTY_MS);
	link_awake(h->link);
}

int house_run(struct house *h)
{
	struct epoll_event e = {.events = EPOLLIN};

	prctl(PR_SET_TIMERSLACK, 10000UL, 0, 0, 0);
	turn_meter_set(&h->turn, true);
	h->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (h->epoll < 0)
		return -errno;
	if (epoll_ctl(h->epoll, EPOLL_CTL_ADD, link_fd(h->link), &e)
		|| epoll_ctl(h->epoll, EPOLL_CTL_ADD, inspect_fd(h->inspect), &e)) {
		int rc = -errno;

		close(h->epoll);
		return rc;
	}
	while (!h->released && !atomic_load_explicit(h->stop, memory_order_relaxed)) {
		if (!turn(h))
			rest(h);
	}
	close(h->epoll);
	return 0;
}
