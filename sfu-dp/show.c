// SPDX-License-Identifier: BSD-3-Clause
/**
 * The nouns of dp-cli show, as JSON. Runs on the housekeeping thread; what workers own is read
 * without a promise of consistency between fields.
 */
#include <arpa/inet.h>
#include <json-c/json.h>
#include <rte_ethdev.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sfu-dp/house.h"
#include "sfu-dp/inspect.h"
#include "sfu-dp/table/credentials.h"

typedef struct json_object json;

static void put(json *o, const char *key, json *value)
{
	json_object_object_add(o, key, value);
}

static void put_u64(json *o, const char *key, uint64_t value)
{
	put(o, key, json_object_new_uint64(value));
}

static void put_text(json *o, const char *key, const char *text)
{
	put(o, key, json_object_new_string(text));
}

/** Text from the control plane or a client: made printable. */
static void put_octets(json *o, const char *key, const void *octets, size_t len)
{
	char text[64];

	if (len > sizeof(text) - 1)
		len = sizeof(text) - 1;
	len = strnlen(octets, len);
	memcpy(text, octets, len);
	text[len] = 0;
	for (char *p = text; *p; p++) {
		if (*p < 0x20 || *p > 0x7e)
			*p = '?';
	}
	put_text(o, key, text);
}

/** Handles as "index.generation": short, and exact in JSON. */
static void put_handle(json *o, const char *key, uint64_t handle)
{
	char text[32];

	if (!handle) {
		put(o, key, NULL);
		return;
	}
	snprintf(text, sizeof(text), "%u.%u", sfu_handle_index(handle),
		sfu_handle_generation(handle));
	put_text(o, key, text);
}

static uint64_t load(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static void put_address(json *o, const char *key, const uint8_t ip[16], uint16_t port_be16)
{
	static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	char ip_text[INET6_ADDRSTRLEN], text[INET6_ADDRSTRLEN + 10];

	if (!memcmp(ip, mapped, 12)) {
		inet_ntop(AF_INET, ip + 12, ip_text, sizeof(ip_text));
		snprintf(text, sizeof(text), "%s:%u", ip_text, ntohs(port_be16));
	} else {
		inet_ntop(AF_INET6, ip, ip_text, sizeof(ip_text));
		snprintf(text, sizeof(text), "[%s]:%u", ip_text, ntohs(port_be16));
	}
	put_text(o, key, text);
}

static const char *media_kind_name(unsigned kind)
{
	return kind == SFU_AUDIO ? "audio" : kind == SFU_VIDEO ? "video" : "?";
}

static void put_edges(json *o, const uint64_t edge[EDGE_COUNT])
{
	json *e = json_object_new_object();

	for (unsigned r = 0; r < EDGE_COUNT; r++) {
		if (load(&edge[r]))
			put_u64(e, edge_names[r], load(&edge[r]));
	}
	put(o, "not_sent", e);
}

static json *stream_json(const struct rx_stream *s)
{
	json *o = json_object_new_object();

	put_u64(o, "ssrc", s->ssrc);
	put_handle(o, "producer", s->producer);
	put_u64(o, "encoding", s->encoding);
	put_u64(o, "payload_type", s->payload_type);
	put_u64(o, "packets", load(&s->rtp.received));
	put_u64(o, "bytes", load(&s->bytes));
	put_u64(o, "lost", reception_lost(&s->rtp));
	put_u64(o, "jitter_timestamp_units", s->rtp.jitter_q4 >> 4);
	return o;
}

static const char *transport_state(const struct transport *t)
{
	if (t->closed)
		return "closed";
	if (!t->validated)
		return "new";
	if (!atomic_load_explicit(&t->keys, memory_order_acquire))
		return t->nominated ? "nominated" : "validated";
	return "connected";
}

/** What was told to a sender, and what a receiver told us. */
static void put_bandwidth(json *o, const struct transport *t)
{
	put_u64(o, "rtcp_over", load(&t->rtcp_over));
	if (t->direction == 1) {
		put_u64(o, "feedbacks_sent", load(&t->feedbacks_sent));
		put_u64(o, "remb_sent_bps", t->remb_rate.rate_bps);
		return;
	}
	put_u64(o, "feedbacks_received", load(&t->twcc.sent.feedbacks));
	put_u64(o, "feedbacks_refused", load(&t->twcc.sent.refused));
	put_u64(o, "feedback_packets", load(&t->twcc.sent.packets));
	put_u64(o, "feedback_lost", load(&t->twcc.sent.packets_lost));
	put_u64(o, "feedback_rtt_us", t->twcc.sent.rtt_us);
	put_u64(o, "feedback_delay_us",
		t->twcc.sent.delay_us < 0 ? 0 : (uint64_t)t->twcc.sent.delay_us);
	put_u64(o, "arrival_bps", t->twcc.sent.arrival_bps);
	put_u64(o, "remb_received_bps", load(&t->remb_received_bps));
}

static json *transport_json(struct house *h, struct transport *t)
{
	json *o = json_object_new_object();
	json *streams = json_object_new_array(), *tuples = json_object_new_array();
	struct transport_keys *keys = atomic_load_explicit(&t->keys, memory_order_acquire);
	uint8_t owner = atomic_load_explicit(&t->owner, memory_order_relaxed);
	const struct ice_credentials *pair = credentials_newest(t);

	put_handle(o, "handle", atomic_load_explicit(&t->handle, memory_order_relaxed));
	put_octets(o, "id", t->label, sizeof(t->label));
	put_text(o, "direction", t->direction == 1 ? "send" : "recv");
	put_text(o, "state", transport_state(t));
	put_handle(o, "peer", t->peer->handle);
	put(o, "worker", owner == DP_NO_WORKER ? NULL : json_object_new_int(owner));
	put_octets(o, "ufrag", pair->ufrag, pair->ufrag_len);
	put_u64(o, "ice_restarts", pair->round - 1);
	put_text(o, "profile", keys ? keys->profile->name : "");
	if (t->validated && t->active < TRANSPORT_TUPLES)
		put_address(o, "remote", t->tuples[t->active].tuple.remote,
			t->tuples[t->active].tuple.remote_port_be16);
	else
		put_text(o, "remote", "");
	for (unsigned i = 0; i < TRANSPORT_TUPLES; i++) {
		json *tuple;

		if (!t->tuples[i].last_check_us)
			continue;
		tuple = json_object_new_object();
		put_address(tuple, "remote", t->tuples[i].tuple.remote,
			t->tuples[i].tuple.remote_port_be16);
		put_address(tuple, "local", t->tuples[i].tuple.local,
			t->tuples[i].tuple.local_port_be16);
		put_u64(tuple, "mtu_hint", t->tuples[i].mtu);
		put(tuple, "active", json_object_new_boolean(i == t->active));
		put_u64(tuple, "last_check_ms_ago",
			(h->now_us - t->tuples[i].last_check_us) / 1000);
		json_object_array_add(tuples, tuple);
	}
	put(o, "tuples", tuples);
	put_u64(o, "last_check_ms_ago",
		t->last_check_us ? (h->now_us - t->last_check_us) / 1000 : 0);
	put_u64(o, "rx_packets", load(&t->rx_packets));
	put_u64(o, "rx_bytes", load(&t->rx_bytes));
	put_u64(o, "tx_packets", load(&t->tx_packets));
	put_u64(o, "tx_bytes", load(&t->tx_bytes));
	for (unsigned i = 0; i < TRANSPORT_STREAMS; i++) {
		if (t->streams[i].used)
			json_object_array_add(streams, stream_json(&t->streams[i]));
	}
	put(o, "streams", streams);
	put_u64(o, "rtcp_sources", t->rtcp_source_count);
	put_bandwidth(o, t);
	return o;
}

static json *transports(struct house *h)
{
	json *all = json_object_new_array();

	for (uint32_t i = 0; i < h->objects->limits.transports; i++) {
		struct transport *t = &h->objects->transports[i];

		if (atomic_load_explicit(&t->handle, memory_order_acquire))
			json_object_array_add(all, transport_json(h, t));
	}
	return all;
}

static const char *frame_format_name(const struct producer *p)
{
	static const char *const names[] = {"opaque", "rfc9605", "reference-v1"};

	return p->put.frame_format < 3 ? names[p->put.frame_format] : "?";
}

/** What the headers of encrypted frames said: counts, and the last one of each encoding. */
static json *frames_json(const struct producer *p)
{
	json *o = json_object_new_object(), *last = json_object_new_array();

	put_text(o, "format", frame_format_name(p));
	put_u64(o, "seen", load(&p->frames));
	put_u64(o, "stale", load(&p->frames_stale));
	put_u64(o, "unreadable", load(&p->frames_unreadable));
	for (unsigned e = 0; e < p->put.encoding_count; e++) {
		json *header = json_object_new_object();

		put_u64(header, "kid", load(&p->frame[e].kid));
		put_u64(header, "ctr", load(&p->frame[e].ctr));
		json_object_array_add(last, header);
	}
	put(o, "last", last);
	return o;
}

/** Loss toward us, over the encodings. */
static void put_recovery(json *o, const struct producer *p)
{
	struct recovery sum = {0};

	for (unsigned e = 0; e < p->put.encoding_count; e++) {
		const struct recovery *r = &p->recovery[e];

		sum.requests += load(&r->requests);
		sum.retransmitted += load(&r->retransmitted);
		sum.duplicates += load(&r->duplicates);
		sum.probes += load(&r->probes);
		sum.nack.asked += load(&r->nack.asked);
		sum.nack.recovered += load(&r->nack.recovered);
		sum.nack.given_up += load(&r->nack.given_up);
		sum.nack.resets += load(&r->nack.resets);
		sum.nack.count = (uint16_t)(sum.nack.count + r->nack.count);
	}
	put_u64(o, "nacks_sent", sum.requests);
	put_u64(o, "nacked_packets", sum.nack.asked);
	put_u64(o, "nack_missing", sum.nack.count);
	put_u64(o, "nack_recovered", sum.nack.recovered);
	put_u64(o, "nack_given_up", sum.nack.given_up);
	put_u64(o, "nack_gaps_too_long", sum.nack.resets);
	put_u64(o, "nack_rtt_us", p->recovery[0].nack.rtt_us);
	put_u64(o, "rtx_packets", sum.retransmitted);
	put_u64(o, "rtx_duplicates", sum.duplicates);
	put_u64(o, "rtx_probes", sum.probes);
}

static json *producers(struct house *h)
{
	json *all = json_object_new_array();

	for (uint32_t i = 0; i < h->objects->limits.producers; i++) {
		struct producer *p = &h->objects->producers[i];
		uint64_t handle = atomic_load_explicit(&p->handle, memory_order_acquire);
		uint32_t flags = atomic_load_explicit(&p->flags, memory_order_relaxed);
		json *o;

		if (!handle)
			continue;
		o = json_object_new_object();
		put_handle(o, "handle", handle);
		put_handle(o, "transport", p->put.transport);
		put_handle(o, "peer", p->peer->handle);
		put_text(o, "kind", media_kind_name(p->put.kind));
		put_octets(o, "mid", p->put.mid, p->put.mid_len);
		put_octets(o, "cname", p->put.cname, p->put.cname_len);
		put_u64(o, "encodings", p->put.encoding_count);
		put(o, "paused", json_object_new_boolean(flags & SFU_PRODUCER_PAUSED));
		put(o, "e2ee", json_object_new_boolean(flags & SFU_PRODUCER_E2EE));
		put_u64(o, "consumers", p->consumers);
		put_u64(o, "packets", load(&p->packets));
		put_u64(o, "bytes", load(&p->bytes));
		put_u64(o, "key_frame_requests", load(&p->key_frame_requests));
		put_u64(o, "key_frames", load(&p->key_frames));
		put_u64(o, "loudness", p->speaker.loudness);
		put_recovery(o, p);
		put(o, "frames", frames_json(p));
		json_object_array_add(all, o);
	}
	return all;
}

/** Loss toward a consumer; nothing without RTX. */
static void put_rtx(json *o, const struct egress_rtx *x)
{
	if (!x)
		return;
	put_u64(o, "nacks", load(&x->nacks));
	put_u64(o, "nacked_packets", load(&x->asked));
	put_u64(o, "nack_ignored", load(&x->ignored));
	put_u64(o, "nack_duplicates", load(&x->duplicates));
	put_u64(o, "nack_awaited", load(&x->awaited));
	put_u64(o, "nack_gone", load(&x->gone));
	put_u64(o, "nack_over_share", load(&x->over));
	put_u64(o, "nack_key_frames", load(&x->key_frames));
	put_u64(o, "rtx_packets", load(&x->packets));
	put_u64(o, "rtx_bytes", load(&x->bytes));
}

static json *consumers(struct house *h)
{
	json *all = json_object_new_array();

	for (uint32_t i = 0; i < h->objects->limits.consumers; i++) {
		struct consumer *c = &h->objects->consumers[i];
		uint64_t handle = atomic_load_explicit(&c->handle, memory_order_acquire);
		uint8_t owner;
		json *o;

		if (!handle)
			continue;
		owner = atomic_load_explicit(&c->transport->owner, memory_order_relaxed);
		o = json_object_new_object();
		put_handle(o, "handle", handle);
		put_octets(o, "id", c->put.label, sizeof(c->put.label));
		put_handle(o, "transport", c->put.transport);
		put_handle(o, "producer", c->producer_handle);
		put_handle(o, "peer", c->peer->handle);
		put_text(o, "kind", media_kind_name(c->producer->put.kind));
		put(o, "worker", owner == DP_NO_WORKER ? NULL : json_object_new_int(owner));
		put_u64(o, "ssrc", c->put.ssrc);
		put_octets(o, "mid", c->put.mid, c->put.mid_len);
		put(o, "paused",
			json_object_new_boolean(
				atomic_load_explicit(&c->flags, memory_order_relaxed)
				& SFU_CONSUMER_PAUSED));
		put(o, "started", json_object_new_boolean(c->started));
		put_u64(o, "packets", load(&c->packets));
		put_u64(o, "bytes", load(&c->bytes));
		put_u64(o, "rtx_ssrc", c->put.rtx_ssrc);
		put_rtx(o, c->rtx);
		put_edges(o, c->edge);
		put_u64(o, "report_fraction_lost", c->report_fraction_lost);
		put(o, "report_lost", json_object_new_int(c->report_lost));
		put_u64(o, "report_jitter", c->report_jitter);
		put_u64(o, "report_rtt_us", c->report_rtt_us);
		put_u64(o, "reports", c->reports);
		put_u64(o, "report_highest", c->report_highest);
		put(o, "report_lost_downstream", json_object_new_int(c->report_lost_downstream));
		put_u64(o, "report_fraction_downstream", c->report_fraction_downstream);
		json_object_array_add(all, o);
	}
	return all;
}

static json *peer_json(struct house *h, const struct peer *p)
{
	json *o = json_object_new_object();
	uint64_t until = atomic_load_explicit(&p->open_until_us, memory_order_relaxed);

	put_handle(o, "handle", p->handle);
	put_text(o, "gate", until == UINT64_MAX ? "open" : until > h->now_us ? "grace" : "shut");
	put_u64(o, "grace_left_ms",
		until != UINT64_MAX && until > h->now_us ? (until - h->now_us) / 1000 : 0);
	put_u64(o, "transports", p->transports);
	return o;
}

static json *rooms(struct house *h)
{
	json *all = json_object_new_array();

	for (uint32_t i = 0; i < h->objects->limits.rooms; i++) {
		const struct room *r = &h->objects->rooms[i];
		const struct peer *p;
		json *o, *peers;

		if (!r->handle)
			continue;
		o = json_object_new_object();
		peers = json_object_new_array();
		put_handle(o, "handle", r->handle);
		put(o, "e2ee_required", json_object_new_boolean(r->required));
		put_u64(o, "epoch", r->epoch);
		put_text(o, "stale_frames", r->stale == SFU_STALE_DROP ? "dropped" : "counted");
		put_u64(o, "peer_count", r->peers);
		put_handle(o, "speaker", r->speaker.active);
		for (p = LIST_FIRST(&r->members); p; p = LIST_NEXT(p, of_room))
			json_object_array_add(peers, peer_json(h, p));
		put(o, "peers", peers);
		json_object_array_add(all, o);
	}
	return all;
}

static json *workers(struct house *h)
{
	json *all = json_object_new_array();

	for (unsigned i = 0; i < h->worker_count; i++) {
		const struct worker *w = &h->workers[i];
		const struct worker_counters *c = &w->count;
		uint64_t busy = load(&c->busy_cycles), idle = load(&c->idle_cycles);
		uint64_t moved = load(&c->rx_packets) + load(&c->tx_packets);
		json *o = json_object_new_object();

		put_u64(o, "worker", w->id);
		put_u64(o, "lcore", w->lcore);
		put_u64(o, "transports", w->owned_count);
		put_u64(o, "rx_packets", load(&c->rx_packets));
		put_u64(o, "tx_packets", load(&c->tx_packets));
		put_u64(o, "egress_packets", load(&c->egress_packets));
		put_u64(o, "rtx_sent", load(&c->rtx_sent));
		put_u64(o, "history_packets", history_held(&w->repair.history));
		put_u64(o, "rtcp_sent", load(&c->rtcp_sent));
		put_u64(o, "dtls_sent", load(&c->dtls_sent));
		put_u64(o, "dtls_too_long", load(&c->dtls_too_long));
		put_u64(o, "tx_full", load(&c->tx_full));
		put_u64(o, "handoff_out", load(&c->handoff_out));
		put_u64(o, "handoff_in", load(&c->handoff_in));
		put_u64(o, "fanout_out", load(&c->fanout_out));
		put_u64(o, "fanout_in", load(&c->fanout_in));
		put_u64(o, "frames_stale", load(&c->frames_stale));
		put_u64(o, "frames_unreadable", load(&c->frames_unreadable));
		put_u64(o, "notices_lost", load(&c->notices_lost));
		put_u64(o, "polls", load(&c->polls));
		put_u64(o, "polls_empty", load(&c->polls_empty));
		put_u64(o, "sleeps", load(&c->sleeps));
		put_u64(o, "turn_longest_us", turn_longest_us(&w->turn));
		put_u64(o, "turns_over_1ms", load(&w->turn.over));
		put_u64(o, "busy_permille", busy + idle ? busy * 1000 / (busy + idle) : 0);
		put_u64(o, "cycles_per_packet", moved ? busy / moved : 0);
		json_object_array_add(all, o);
	}
	return all;
}

static json *reasons(struct house *h, const char *const *names, const char *const *texts,
	unsigned count, size_t offset, uint64_t *total)
{
	json *all = json_object_new_array();

	*total = 0;
	for (unsigned r = 0; r < count; r++) {
		json *o = json_object_new_object(), *per = json_object_new_array();
		uint64_t sum = 0;

		for (unsigned i = 0; i < h->worker_count; i++) {
			const char *base = (const char *)&h->workers[i].count + offset;
			uint64_t v = load((const uint64_t *)(const void *)base + r);

			sum += v;
			json_object_array_add(per, json_object_new_uint64(v));
		}
		put_text(o, "reason", names[r]);
		put_u64(o, "count", sum);
		put(o, "workers", per);
		put_text(o, "text", texts[r]);
		json_object_array_add(all, o);
		*total += sum;
	}
	return all;
}

/**
 * Both ledgers. in_transit is what waits in rings between workers as a received packet; a
 * reference of a fan-out is no packet of its own. With traffic the sum may be off by what moved
 * while it was read; at rest it is exact.
 */
static json *drops(struct house *h)
{
	json *o = json_object_new_object(), *ledger = json_object_new_object();
	json *egress = json_object_new_object();
	uint64_t rx = 0, forwarded = 0, answered = 0, punted = 0, out = 0, in = 0, tried = 0;
	uint64_t sent = 0, dropped, unsent;

	put(o, "drops",
		reasons(h, drop_names, drop_texts, DROP_COUNT,
			offsetof(struct worker_counters, drop), &dropped));
	put(o, "not_sent",
		reasons(h, edge_names, edge_texts, EDGE_COUNT,
			offsetof(struct worker_counters, edge), &unsent));
	for (unsigned i = 0; i < h->worker_count; i++) {
		const struct worker_counters *c = &h->workers[i].count;

		rx += load(&c->rx_packets);
		forwarded += load(&c->forwarded);
		answered += load(&c->answered);
		punted += load(&c->punted);
		out += load(&c->handoff_out);
		in += load(&c->handoff_in);
		tried += load(&c->egress_tried);
		sent += load(&c->egress_packets);
	}
	put_u64(ledger, "in", rx);
	put_u64(ledger, "forwarded", forwarded);
	put_u64(ledger, "answered", answered);
	put_u64(ledger, "punted", punted);
	put_u64(ledger, "dropped", dropped);
	put_u64(ledger, "in_transit", out - in);
	put(ledger, "difference",
		json_object_new_int64(
			(int64_t)(rx - forwarded - answered - punted - dropped - (out - in))));
	put(o, "ledger", ledger);
	put_u64(egress, "tried", tried);
	put_u64(egress, "sent", sent);
	put_u64(egress, "not_sent", unsent);
	put(egress, "difference", json_object_new_int64((int64_t)(tried - sent - unsent)));
	put(o, "egress", egress);
	return o;
}

static json *link_json(struct house *h)
{
	json *o = json_object_new_object();
	struct link_figures f;

	link_figures(h->link, &f);
	put(o, "process", json_object_new_int((int)getpid()));
	put(o, "attached", json_object_new_boolean(f.attached));
	put(o, "silent", json_object_new_boolean(h->ctl_silent));
	put_text(o, "name", f.name);
	put_u64(o, "pid", (uint64_t)f.pid);
	put_u64(o, "generation", f.generation);
	put_u64(o, "attaches", f.attaches);
	put_u64(o, "detaches", f.detaches);
	put_u64(o, "refused_peer", f.refused_peer);
	put_u64(o, "refused_hello", f.refused_hello);
	put_u64(o, "refused_version", f.refused_version);
	put_u64(o, "refused_busy", f.refused_busy);
	put_u64(o, "poisoned", f.poisoned);
	put_u64(o, "commands", f.commands);
	put_u64(o, "commands_refused", h->count.refused);
	put_u64(o, "commands_waiting", f.commands_waiting);
	put_u64(o, "turn_longest_us", turn_longest_us(&h->turn));
	put_u64(o, "turns_over_1ms", h->turn.over);
	put_u64(o, "events", f.events);
	put_u64(o, "events_lost", f.events_lost);
	put_u64(o, "events_waiting", f.events_waiting);
	put_u64(o, "dtls_to_ctl", f.dtls_out);
	put_u64(o, "dtls_to_dp", f.dtls_in);
	put_u64(o, "dtls_lost", f.dtls_lost);
	put_u64(o, "punts_lost", h->count.punts_lost);
	put_u64(o, "punts_overtaken", h->count.punts_overtaken);
	put_u64(o, "punts_waiting", h->punts.count);
	put_u64(o, "dtls_unknown", h->count.dtls_unknown);
	put_u64(o, "orders_lost", h->count.orders_lost);
	return o;
}

/** By the driver's names, each with its direction in front. */
static json *offloads(uint64_t rx, uint64_t tx)
{
	json *names = json_object_new_array();
	char text[64];

	for (unsigned bit = 0; bit < 64; bit++) {
		if (rx >> bit & 1) {
			snprintf(text, sizeof(text), "rx %s",
				rte_eth_dev_rx_offload_name(RTE_BIT64(bit)));
			json_object_array_add(names, json_object_new_string(text));
		}
		if (tx >> bit & 1) {
			snprintf(text, sizeof(text), "tx %s",
				rte_eth_dev_tx_offload_name(RTE_BIT64(bit)));
			json_object_array_add(names, json_object_new_string(text));
		}
	}
	return names;
}

static json *ports(struct house *h)
{
	json *all = json_object_new_array(), *o = json_object_new_object();
	json *addresses = json_object_new_array();
	char mac[18];

	snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", h->port->mac[0],
		h->port->mac[1], h->port->mac[2], h->port->mac[3], h->port->mac[4],
		h->port->mac[5]);
	put_text(o, "name", h->port->name);
	put_text(o, "driver", h->port->driver);
	put_text(o, "mac", mac);
	put_u64(o, "mtu", h->port->mtu);
	put_u64(o, "rx_queues", h->port->rx_queues);
	put_u64(o, "tx_queues", h->port->tx_queues);
	if (h->port->memif) {
		struct memif_figures f;

		memif_figures(h->port->memif, &f);
		put(o, "connected", json_object_new_boolean(f.is_up));
		put_u64(o, "connects", f.connects);
		put_u64(o, "odd_frames", f.odd);
		put_u64(o, "starved", f.starved);
		put_u64(o, "too_long", f.too_long);
	}
	put(o, "spreads", json_object_new_boolean(h->port->spreads));
	put(o, "rss", json_object_new_boolean(h->port->rss));
	put(o, "numa", json_object_new_int(h->port->socket));
	put(o, "offers", offloads(h->port->rx_offers, h->port->tx_offers));
	put(o, "uses", offloads(0, h->port->tx_used));
	for (unsigned i = 0; i < h->port->address_count; i++) {
		json *a = json_object_new_object();

		put_address(a, "address", h->port->address[i], h->port->media_port_be16);
		json_object_array_add(addresses, a);
	}
	put(o, "addresses", addresses);
	put_u64(o, "mbufs_free", rte_mempool_avail_count(h->pool));
	put_u64(o, "mbufs", h->pool->size);
	json_object_array_add(all, o);
	return all;
}

static void put_setting(void *ctx, const char *key, const char *value)
{
	put_text(ctx, key, value);
}

static json *config_json(struct house *h)
{
	json *o = json_object_new_object();

	config_each(h->config, put_setting, o);
	return o;
}

json *show(struct house *h, const char *noun)
{
	static const struct {
		const char *noun;
		json *(*make)(struct house *h);
	} nouns[] = {
		{"transports", transports},
		{"producers", producers},
		{"consumers", consumers},
		{"rooms", rooms},
		{"workers", workers},
		{"drops", drops},
		{"link", link_json},
		{"ports", ports},
		{"config", config_json},
	};

	for (size_t i = 0; i < sizeof(nouns) / sizeof(nouns[0]); i++) {
		if (!strcmp(nouns[i].noun, noun))
			return nouns[i].make(h);
	}
	return NULL;
}
