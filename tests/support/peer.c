// SPDX-License-Identifier: BSD-3-Clause
#include "tests/support/content.h"
#include "tests/support/peer_impl.h"

#include <stdlib.h>
#include <string.h>

#include "tests/support/peer_params.h"

#define REJOIN_US 100000
#define MEDIA_LOST_US 1000000

static const char *const track_kinds[PEER_TRACKS] = {"audio", "video"};

static uint64_t clock_us(void)
{
	return (uint64_t)g_get_monotonic_time();
}

/** Payload with the room in it, as every request inside one has. */
static json_object *in_room(const struct peer *p)
{
	json_object *o = json_object_new_object();

	json_object_object_add(o, "roomId", json_object_new_string(p->room));
	return o;
}

static void add_text(json_object *o, const char *key, const char *value)
{
	json_object_object_add(o, key, json_object_new_string(value));
}

static json_object *member(json_object *o, const char *key)
{
	json_object *value = NULL;

	json_object_object_get_ex(o, key, &value);
	return value;
}

void peer_lose(struct peer *p, const char *why)
{
	if (!p->failure && !p->has_left)
		p->failure = why;
}

/** True if it was accepted; else the peer cannot go on. */
static bool accepted(struct peer *p, const struct signal_answer *answer, const char *request)
{
	char *why;

	if (answer->ok)
		return true;
	why = g_strdup_printf("%s: %s (%s)", request, answer->code, answer->message);
	peer_lose(p, g_intern_string(why));
	g_free(why);
	return false;
}

/* Consuming. */

static void consumer_free(gpointer data)
{
	struct peer_consumer *c = data;

	rtp_sink_destroy(c->sink);
	rtp_repair_destroy(c->repair);
	g_free(c->id);
	g_free(c->producer_id);
	g_free(c->device);
	g_free(c);
}

static void consumer_close(struct peer_consumer *c)
{
	struct peer *p = c->peer;

	if (!c->is_live)
		return;
	c->is_live = false;
	g_hash_table_remove(p->by_producer, c->producer_id);
}

static void on_resumed(void *ctx, const struct signal_answer *answer)
{
	struct peer_consumer *c = ctx;

	if (!accepted(c->peer, answer, "CONSUMER_RESUME"))
		return;
	c->is_resumed = true;
	c->resumed_us = clock_us();
}

static void consumer_close_request(struct peer *p, json_object *added)
{
	json_object *payload = in_room(p);

	add_text(payload, "consumerId", params_text(added, "consumerId"));
	peer_signal_request(p->signal, "CONSUMER_CLOSE", payload, NULL, NULL);
}

static void on_consumed(void *ctx, const struct signal_answer *answer)
{
	struct peer_consumer *c = ctx;
	struct peer *p = c->peer;
	json_object *added = member(answer->results, "CONSUMER_ADDED"), *payload;
	struct rtp_sink_config config = {
		.key = p->env->options->key,
		.key_len = PEER_KEY_LEN,
		.sender = c->sender,
		.track = c->track == PEER_VIDEO,
	};
	struct rtp_repair_config repair;
	const char *problem;

	if (!answer->ok && !strcmp(answer->code, "PRODUCER_NOT_FOUND")) {
		consumer_close(c); // it went away meanwhile
		return;
	}
	if (!accepted(p, answer, "CONSUME"))
		return;
	if (!c->is_live) {
		consumer_close_request(p, added);
		return;
	}
	problem = params_sink(member(added, "rtpParameters"), &config, &repair, &p->twcc_id);
	if (problem) {
		peer_lose(p, problem);
		return;
	}
	c->id = g_strdup(params_text(added, "consumerId"));
	c->ssrc = config.ssrc;
	c->sink = rtp_sink_create(&config);
	if (!g_hash_table_insert(p->by_ssrc, GUINT_TO_POINTER(c->ssrc), c)) {
		peer_lose(p, "two consumers of a transport have the same SSRC");
		return;
	}
	g_hash_table_remove(p->early, GUINT_TO_POINTER(c->ssrc));
	if (repair.rtx_ssrc) {
		c->rtx_ssrc = repair.rtx_ssrc;
		c->repair = rtp_repair_create(&repair);
		g_hash_table_insert(p->by_ssrc, GUINT_TO_POINTER(c->rtx_ssrc), c);
		g_hash_table_remove(p->early, GUINT_TO_POINTER(c->rtx_ssrc));
	}
	payload = in_room(p);
	add_text(payload, "consumerId", c->id);
	peer_signal_insist(p->signal, "CONSUMER_RESUME", payload, on_resumed, c);
}

/** The tag is in the device id of every peer of this program. */
static uint32_t tag_of_device(const char *device)
{
	return g_str_has_prefix(device, "peer-") ? (uint32_t)strtoul(device + 5, NULL, 16) : 0;
}

static void consume(struct peer_consumer *c)
{
	struct peer *p = c->peer;
	json_object *payload = in_room(p);

	add_text(payload, "producerId", c->producer_id);
	add_text(payload, "transportId", p->recv_id);
	json_object_object_add(payload, "rtpCapabilities", json_object_get(p->router_caps));
	peer_signal_insist(p->signal, "CONSUME", payload, on_consumed, c);
}

/** Consumed now, or when there is a transport for it. Browsers' tracks are not ours to check. */
static void offer(struct peer *p, json_object *producer)
{
	const char *id = params_text(producer, "producerId");
	const char *device = params_text(producer, "peerDeviceId");
	struct peer_consumer *c;

	if (!*id || !strcmp(device, p->device) || !tag_of_device(device)
		|| g_hash_table_contains(p->by_producer, id))
		return;
	c = g_new0(struct peer_consumer, 1);
	c->peer = p;
	c->producer_id = g_strdup(id);
	c->device = g_strdup(device);
	c->sender = tag_of_device(device);
	c->track = strcmp(params_text(producer, "kind"), "audio") ? PEER_VIDEO : PEER_AUDIO;
	c->is_live = true;
	g_ptr_array_add(p->consumers, c);
	g_hash_table_insert(p->by_producer, c->producer_id, c);
	if (p->recv)
		consume(c);
}

/* Publishing. */

static void on_produced(void *ctx, const struct signal_answer *answer, enum peer_track track)
{
	struct peer *p = ctx;

	if (accepted(p, answer, "PRODUCE"))
		p->is_produced[track] = true;
}

static void on_audio_produced(void *ctx, const struct signal_answer *answer)
{
	on_produced(ctx, answer, PEER_AUDIO);
}

static void on_video_produced(void *ctx, const struct signal_answer *answer)
{
	on_produced(ctx, answer, PEER_VIDEO);
}

static bool wants_track(const struct peer *p, enum peer_track track)
{
	return track == PEER_VIDEO ? p->env->options->video_pps : p->env->options->audio_pps;
}

static void produce(struct peer *p, enum peer_track track)
{
	json_object *payload = in_room(p);

	if (!peer_media_prepare(p, track)) {
		peer_lose(p, "the server offers no codec for a track");
		json_object_put(payload);
		return;
	}
	add_text(payload, "transportId", p->send_id);
	add_text(payload, "kind", track_kinds[track]);
	json_object_object_add(payload, "rtpParameters",
		params_produce(p->router_caps, &p->source_configs[track], p->cname));
	peer_signal_insist(p->signal, "PRODUCE", payload,
		track == PEER_VIDEO ? on_video_produced : on_audio_produced, p);
}

/* Transports. */

static void on_transport_connected(void *ctx, const struct signal_answer *answer)
{
	accepted(ctx, answer, "TRANSPORT_CONNECT");
}

static json_object *dtls_parameters(const struct peer *p)
{
	json_object *o = json_object_new_object(), *list = json_object_new_array(), *f;

	f = json_object_new_object();
	add_text(f, "algorithm", "sha-256");
	add_text(f, "value", media_identity_fingerprint(p->env->identity));
	json_object_array_add(list, f);
	add_text(o, "role", "client");
	json_object_object_add(o, "fingerprints", list);
	return o;
}

static struct media_transport *connect_transport(
	struct peer *p, json_object *created, char id[129], const struct media_events *events)
{
	struct media_transport *t;
	struct media_remote remote;
	json_object *payload;

	g_strlcpy(id, params_text(created, "transportId"), 129);
	if (!*id || !params_remote(created, p->env->options->ipv6 ? AF_INET6 : AF_INET, &remote)) {
		peer_lose(p, "TRANSPORT_CREATED lacks id, ICE, candidate or fingerprint");
		return NULL;
	}
	remote.patient = p->env->options->patient;
	t = media_transport_create(p->env->identity, &remote, events, p);
	if (!t) {
		peer_lose(p, "no way to the server's candidate");
		return NULL;
	}
	payload = in_room(p);
	add_text(payload, "transportId", id);
	json_object_object_add(payload, "dtlsParameters", dtls_parameters(p));
	peer_signal_insist(p->signal, "TRANSPORT_CONNECT", payload, on_transport_connected, p);
	return t;
}

static void on_send_created(void *ctx, const struct signal_answer *answer)
{
	struct peer *p = ctx;

	if (!accepted(p, answer, "TRANSPORT_CREATE"))
		return;
	p->send = connect_transport(
		p, member(answer->results, "TRANSPORT_CREATED"), p->send_id, &peer_send_events);
	for (unsigned i = 0; p->send && i < PEER_TRACKS; i++) {
		if (wants_track(p, (enum peer_track)i))
			produce(p, (enum peer_track)i);
	}
}

static void on_recv_created(void *ctx, const struct signal_answer *answer)
{
	struct peer *p = ctx;

	if (!accepted(p, answer, "TRANSPORT_CREATE"))
		return;
	p->recv = connect_transport(
		p, member(answer->results, "TRANSPORT_CREATED"), p->recv_id, &peer_recv_events);
	for (unsigned i = 0; p->recv && i < p->consumers->len; i++) {
		struct peer_consumer *c = p->consumers->pdata[i];

		if (c->is_live)
			consume(c);
	}
}

static void on_restarted(struct peer *p, const struct signal_answer *answer,
	struct media_transport *t, const char *id)
{
	json_object *restarted = member(answer->results, "ICE_RESTART_OK");
	struct media_remote remote;

	if (!accepted(p, answer, "ICE_RESTART"))
		return;
	if (strcmp(params_text(restarted, "transportId"), id) != 0
		|| !params_ice(restarted, &remote))
		peer_lose(p, "ICE_RESTART_OK lacks transport or credentials");
	else if (t && !media_transport_move(t, &remote))
		peer_lose(p, "ICE_RESTART while another one is under way");
}

static void on_send_restarted(void *ctx, const struct signal_answer *answer)
{
	struct peer *p = ctx;

	on_restarted(p, answer, p->send, p->send_id);
}

static void on_recv_restarted(void *ctx, const struct signal_answer *answer)
{
	struct peer *p = ctx;

	on_restarted(p, answer, p->recv, p->recv_id);
}

static void restart_ice(struct peer *p, const char *id, signal_done done)
{
	json_object *payload = in_room(p);

	add_text(payload, "transportId", id);
	peer_signal_insist(p->signal, "ICE_RESTART", payload, done, p);
}

void peer_move(struct peer *p, bool with_new_credentials)
{
	if (!p->signal || !p->send || !p->recv)
		return;
	if (with_new_credentials) {
		restart_ice(p, p->send_id, on_send_restarted);
		restart_ice(p, p->recv_id, on_recv_restarted);
	} else {
		media_transport_move(p->send, NULL);
		media_transport_move(p->recv, NULL);
	}
}

static void create_transport(struct peer *p, const char *direction, signal_done done)
{
	json_object *payload = in_room(p);

	add_text(payload, "direction", direction);
	peer_signal_insist(p->signal, "TRANSPORT_CREATE", payload, done, p);
}

/* Epochs. */

static void on_ready(void *ctx, const struct signal_answer *answer);

static void send_ready(struct peer *p)
{
	json_object *payload = in_room(p);

	p->is_ready = false;
	json_object_object_add(payload, "epoch", json_object_new_int64((int64_t)p->epoch));
	peer_signal_request(p->signal, "E2EE_READY", payload, on_ready, p);
}

static void on_ready(void *ctx, const struct signal_answer *answer)
{
	struct peer *p = ctx;

	if (!strcmp(answer->code, "E2EE_EPOCH_MISMATCH")) {
		// A commit came in between; we may have answered it already.
		if (answer->expected_epoch > (int64_t)p->epoch) {
			p->epoch = (uint64_t)answer->expected_epoch;
			send_ready(p);
		}
		return;
	}
	if (!accepted(p, answer, "E2EE_READY"))
		return;
	p->is_ready = true;
	if (!p->keeps_key)
		p->send_epoch = p->epoch;
}

/** Whether this peer lags; remembers since when. */
static bool hold_back(struct peer *p)
{
	if (!p->held_back)
		return false;
	if (!p->gate.shut_us) {
		p->gate.shut_us = clock_us();
		if (p->env->options->ready_after_ms)
			p->ready_at_us
				= p->gate.shut_us + p->env->options->ready_after_ms * 1000ull;
	}
	return true;
}

static void on_commit(struct peer *p, json_object *payload)
{
	json_object *epoch = member(payload, "epoch");

	if (!json_object_is_type(epoch, json_type_int)
		|| json_object_get_int64(epoch) <= (int64_t)p->epoch)
		return;
	p->epoch = (uint64_t)json_object_get_int64(epoch);
	if (!hold_back(p))
		send_ready(p);
}

void peer_rekey(struct peer *p)
{
	static const char *const types[] = {"REKEY_BEGIN", "REKEY_COMMIT"};

	if (!p->is_joined || !p->is_ready)
		return;
	for (unsigned i = 0; i < G_N_ELEMENTS(types); i++) {
		json_object *payload = in_room(p);

		json_object_object_add(
			payload, "epoch", json_object_new_int64((int64_t)p->epoch + 1));
		if (i == 0)
			add_text(payload, "reason", "periodic");
		peer_signal_request(p->signal, types[i], payload, NULL, NULL);
	}
}

/* Joining. */

static void on_joined(void *ctx, const struct signal_answer *answer)
{
	struct peer *p = ctx;
	json_object *ok = member(answer->results, "ROOM_JOIN_OK");
	json_object *snapshot = member(answer->results, "ROOM_SNAPSHOT");
	json_object *list = member(snapshot, "producers");

	if (!accepted(p, answer, "ROOM_JOIN"))
		return;
	p->router_caps = json_object_get(member(member(ok, "mediasoup"), "routerRtpCapabilities"));
	if (!p->router_caps || !json_object_is_type(list, json_type_array)) {
		peer_lose(p, "ROOM_JOIN without capabilities or snapshot");
		return;
	}
	p->is_joined = true;
	p->joined_us = clock_us();
	p->epoch = (uint64_t)json_object_get_int64(member(ok, "epoch"));
	p->send_epoch = p->epoch;
	if (p->env->options->unready != p->index || !hold_back(p))
		send_ready(p);
	for (size_t i = 0; i < json_object_array_length(list); i++)
		offer(p, json_object_array_get_idx(list, i));
	create_transport(p, "send", on_send_created);
	create_transport(p, "recv", on_recv_created);
}

static void on_caps(void *ctx, const struct signal_answer *answer)
{
	struct peer *p = ctx;

	if (accepted(p, answer, "E2EE_CAPS"))
		peer_signal_insist(p->signal, "ROOM_JOIN", in_room(p), on_joined, p);
}

static void on_auth(void *ctx, const struct signal_answer *answer)
{
	struct peer *p = ctx;
	json_object *payload;

	if (!accepted(p, answer, "AUTH") || peer_resume_done(p))
		return;
	payload = json_object_new_object();
	json_object_object_add(payload, "insertableStreams", json_object_new_boolean(true));
	json_object_object_add(payload, "sframe", json_object_new_boolean(true));
	add_text(payload, "frameFormat", "rfc9605");
	json_object_object_add(payload, "kidEpochShift", json_object_new_int(CONTENT_EPOCH_SHIFT));
	peer_signal_request(p->signal, "E2EE_CAPS", payload, on_caps, p);
}

static void on_hello(void *ctx, const struct signal_answer *answer)
{
	struct peer *p = ctx;
	json_object *payload;
	char token[64];

	if (!accepted(p, answer, "HELLO"))
		return;
	if (!peer_resume_welcome(p, member(answer->results, "WELCOME"))) {
		peer_lose(p, "the server does not know us any more");
		return;
	}
	// In development the first 20 characters are the user.
	g_snprintf(token, sizeof(token), "%08x-token-of-a-test-peer", p->tag);
	payload = json_object_new_object();
	add_text(payload, "accessToken", token);
	peer_signal_insist(p->signal, "AUTH", payload, on_auth, p);
}

static void on_open(void *ctx)
{
	struct peer *p = ctx;
	json_object *payload = json_object_new_object(), *client = json_object_new_object();
	json_object *ext = json_object_new_array();

	json_object_array_add(ext, json_object_new_string("producer-events"));
	add_text(client, "deviceId", p->device);
	add_text(client, "platform", "test");
	json_object_object_add(client, "ext", ext);
	json_object_object_add(payload, "client", client);
	peer_resume_hello(p, payload, ext);
	peer_signal_request(p->signal, "HELLO", payload, on_hello, p);
}

static void close_producer(struct peer *p, json_object *payload)
{
	struct peer_consumer *c
		= g_hash_table_lookup(p->by_producer, params_text(payload, "producerId"));

	if (!c)
		return;
	consumer_close(c);
	// Nobody here closes a transport and stays: the server has lost them, ours with them.
	if (!strcmp(params_text(payload, "reason"), "transport_closed"))
		peer_lose(p, "the server closed a transport");
}

static void close_device(struct peer *p, const char *device)
{
	for (unsigned i = 0; i < p->consumers->len; i++) {
		struct peer_consumer *c = p->consumers->pdata[i];

		if (!strcmp(c->device, device))
			consumer_close(c);
	}
}

static void on_event(void *ctx, const char *type, json_object *payload)
{
	struct peer *p = ctx;

	// The others leave too; what we consumed to the end counts as not closed.
	if (p->has_left)
		return;
	if (!strcmp(type, "PRODUCER_ADDED"))
		offer(p, payload);
	else if (!strcmp(type, "PRODUCER_REMOVED") || !strcmp(type, "CONSUMER_CLOSED"))
		close_producer(p, payload);
	else if (!strcmp(type, "PEER_LEFT"))
		close_device(p, params_text(payload, "deviceId"));
	else if (!strcmp(type, "REKEY_COMMIT"))
		on_commit(p, payload);
}

static void on_lost(void *ctx, const char *why)
{
	if (!peer_resume_lost(ctx))
		peer_lose(ctx, why);
}

static const struct signal_events signal_events = {on_open, on_event, on_lost};

struct peer *peer_create(const struct peer_env *env, unsigned index, const char *room)
{
	struct peer *p = g_new0(struct peer, 1);

	p->env = env;
	p->index = index;
	do
		p->tag = g_random_int();
	while (!p->tag || g_hash_table_contains(env->by_tag, GUINT_TO_POINTER(p->tag)));
	g_hash_table_insert(env->by_tag, GUINT_TO_POINTER(p->tag), p);
	g_snprintf(p->device, sizeof(p->device), "peer-%08x", p->tag);
	g_snprintf(p->cname, sizeof(p->cname), "cname-%08x", p->tag);
	g_strlcpy(p->room, room, sizeof(p->room));
	p->consumers = g_ptr_array_new_with_free_func(consumer_free);
	p->by_ssrc = g_hash_table_new(NULL, NULL);
	p->early = g_hash_table_new(NULL, NULL);
	p->by_producer = g_hash_table_new(g_str_hash, g_str_equal);
	p->report_ssrc = g_random_int() | 1;
	p->keeps_key = env->options->old_key == index;
	p->held_back = env->options->laggard == index || env->options->unready == index;
	return p;
}

/** Close everything of this stay in the room; what was counted stays. */
static void close_all(struct peer *p)
{
	peer_media_count(p, &p->stats);
	peer_signal_destroy(p->signal);
	p->signal = NULL;
	peer_media_close(p);
	for (unsigned i = 0; i < p->consumers->len; i++)
		consumer_close(p->consumers->pdata[i]);
	g_hash_table_remove_all(p->by_ssrc);
	g_hash_table_remove_all(p->early);
	json_object_put(p->router_caps);
	p->router_caps = NULL;
	memset(&p->twcc, 0, sizeof(p->twcc));
	p->twcc_id = 0;
	p->is_joined = false;
	p->is_ready = false;
}

void peer_destroy(struct peer *p)
{
	if (!p)
		return;
	close_all(p);
	g_hash_table_remove(p->env->by_tag, GUINT_TO_POINTER(p->tag));
	g_hash_table_destroy(p->by_ssrc);
	g_hash_table_destroy(p->early);
	g_hash_table_destroy(p->by_producer);
	g_ptr_array_free(p->consumers, TRUE);
	g_free(p);
}

void peer_start(struct peer *p)
{
	p->signal = peer_signal_create(p->env->ws, p->env->options->url, &signal_events, p);
	if (!p->signal)
		peer_lose(p, "cannot connect to the server");
}

/** Nothing came for a while on any of the consumers that should bring something. */
static bool media_is_lost(const struct peer *p, uint64_t now_us)
{
	unsigned waiting = 0;

	for (unsigned i = 0; i < p->consumers->len; i++) {
		const struct peer_consumer *c = p->consumers->pdata[i];
		uint64_t last_us;

		if (!c->is_live || !c->is_resumed)
			continue;
		last_us = rtp_sink_stats(c->sink)->last_us;
		if (MAX(last_us, c->resumed_us) + MEDIA_LOST_US > now_us)
			return false;
		waiting++;
	}
	return waiting > 0;
}

static uint64_t last_media_us(const struct peer *p)
{
	uint64_t last_us = 0;

	for (unsigned i = 0; i < p->consumers->len; i++) {
		const struct peer_consumer *c = p->consumers->pdata[i];

		if (c->sink)
			last_us = MAX(last_us, rtp_sink_stats(c->sink)->last_us);
	}
	return last_us;
}

/** --kill-safe: what was lost is made anew. */
static void come_back(struct peer *p, uint64_t now_us)
{
	if (p->failure) {
		if (!p->lost_us) {
			p->lost_us = now_us;
			p->media_before_us = last_media_us(p);
			g_print("peer %u: lost: %s\n", p->index, p->failure);
		}
		close_all(p);
		p->failure = NULL;
		p->rejoin_us = now_us + REJOIN_US;
	} else if (p->rejoin_us && now_us >= p->rejoin_us) {
		p->rejoin_us = 0;
		p->incarnation++;
		p->stats.rejoins++;
		peer_start(p);
	} else if (!p->is_stopped && !p->gate.shut_us && media_is_lost(p, now_us)) {
		peer_lose(p, "no media any more");
	}
}

void peer_tick(struct peer *p, uint64_t now_us)
{
	if (p->has_left)
		return;
	peer_resume_tick(p, now_us);
	if (p->signal && !p->signal_gone)
		peer_signal_tick(p->signal, now_us);
	if (p->send)
		media_transport_tick(p->send);
	if (p->recv)
		media_transport_tick(p->recv);
	if (p->is_joined)
		peer_media_report(p, now_us);
	if (p->env->options->flood && p->index == p->env->options->peers - 1)
		peer_media_flood(p, now_us);
	if (p->ready_at_us && now_us >= p->ready_at_us && p->is_joined) {
		p->ready_at_us = 0;
		p->held_back = false;
		p->gate.open_us = now_us;
		send_ready(p);
	}
	if (p->env->options->kill_safe)
		come_back(p, now_us);
}

static unsigned resumed_consumers(const struct peer *p)
{
	unsigned count = 0;

	for (unsigned i = 0; i < p->consumers->len; i++) {
		const struct peer_consumer *c = p->consumers->pdata[i];

		count += c->is_live && c->is_resumed;
	}
	return count;
}

bool peer_is_set_up(const struct peer *p, unsigned consumers)
{
	if (!p->is_joined)
		return false;
	if (p->env->options->unready == p->index && !p->gate.open_us)
		return true;
	for (unsigned i = 0; i < PEER_TRACKS; i++) {
		if (wants_track(p, (enum peer_track)i) && !p->is_produced[i])
			return false;
	}
	return media_transport_is_connected(p->send) && media_transport_is_connected(p->recv)
	       && resumed_consumers(p) >= consumers;
}

void peer_begin(struct peer *p)
{
	p->is_begun = true;
}

bool peer_is_done(const struct peer *p)
{
	for (unsigned i = 0; i < PEER_TRACKS; i++) {
		if (p->sources[i] && !rtp_source_is_done(p->sources[i]))
			return false;
	}
	return true;
}

void peer_stop_media(struct peer *p)
{
	p->is_stopped = true;
}

void peer_leave(struct peer *p)
{
	if (p->signal && p->is_joined && !p->has_left)
		peer_signal_request(p->signal, "ROOM_LEAVE", in_room(p), NULL, NULL);
	p->has_left = true;
}

const char *peer_failure(const struct peer *p)
{
	return p->failure;
}

const char *peer_state(const struct peer *p)
{
	if (p->failure)
		return p->failure;
	if (!p->is_joined)
		return "joining";
	if (!p->send || !p->recv)
		return p->is_ready ? "making transports" : "not ready for the epoch";
	if (!media_transport_is_connected(p->send))
		return media_transport_state(p->send);
	if (!media_transport_is_connected(p->recv))
		return media_transport_state(p->recv);
	return "consuming";
}

bool peer_is_shut(const struct peer *p)
{
	return p->gate.shut_us && !p->gate.open_us;
}

uint64_t peer_opened_us(const struct peer *p)
{
	return p->gate.open_us;
}

unsigned peer_index(const struct peer *p)
{
	return p->index;
}

const char *peer_device(const struct peer *p)
{
	return p->device;
}

const char *peer_room(const struct peer *p)
{
	return p->room;
}

bool peer_source(const struct peer *p, enum peer_track track, struct peer_source *out)
{
	if (!p->sources[track])
		return false;
	memset(out, 0, sizeof(*out));
	out->ssrc = p->source_configs[track].ssrc;
	out->rtx_ssrc = p->source_configs[track].rtx_ssrc;
	out->sent = rtp_source_sent(p->sources[track]);
	out->last_report = p->last_reports[track];
	if (p->resends[track])
		out->resend = *rtp_resend_counts(p->resends[track]);
	return true;
}

unsigned peer_consumer_count(const struct peer *p)
{
	return p->consumers->len;
}

const struct peer_consumer *peer_consumer(const struct peer *p, unsigned i)
{
	return p->consumers->pdata[i];
}

void peer_stats(const struct peer *p, struct peer_stats *out)
{
	*out = p->stats;
	out->epoch = (uint32_t)p->epoch;
	peer_media_count(p, out);
}
