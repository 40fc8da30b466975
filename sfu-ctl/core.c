// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/core.h"

#include "sfu-ctl/attach.h"
#include "sfu-ctl/core_impl.h"
#include "sfu-ctl/dispatch.h"
#include "sfu-ctl/endpoints.h"
#include "sfu-ctl/log.h"
#include "sfu-ctl/media_setup.h"
#include "sfu-ctl/ortc.h"
#include "sfu-ctl/outbox.h"
#include "sfu-ctl/payload.h"
#include "sfu-ctl/rekey_watch.h"
#include "sfu-ctl/resume.h"
#include "sfu-ctl/room.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Deeper than json_scan() lets through. */
#define TOKENER_DEPTH 32

/* The year 9999; whatever is later never comes. */
#define EXPIRY_MAX_SEC UINT64_C(253402300799)

/*
 * While any deadline is set we look this often, so that a look that comes late by more than a busy turn
 * takes means that the process, or the machine, stood still.
 */
#define LOOK_US UINT64_C(1000000)
#define STOOD_STILL_US UINT64_C(2000000)

void core_wake_at(struct core *c, uint64_t at_us)
{
	uint64_t look_us;

	if (c->wake_us != 0 && c->wake_us <= at_us)
		return;
	look_us = core_now(c) + LOOK_US;
	c->wake_us = at_us < look_us ? at_us : look_us;
	c->io.wake_at(c->io.ctx, c->wake_us);
}

void core_short_id(struct core *c, const char *prefix, char out[16])
{
	uint8_t b[4];

	c->io.random(c->io.ctx, b, sizeof(b));
	snprintf(out, 16, "%.7s%02x%02x%02x%02x", prefix, b[0], b[1], b[2], b[3]);
}

void core_new_id(struct core *c, const struct table *among, const char *prefix, char out[37])
{
	do {
		if (core_media_mode(c))
			outbox_uuid(c, out);
		else
			core_short_id(c, prefix, out);
	} while (table_find(among, out, strlen(out)) != NULL);
}

/* B3: what the later service says without a media engine. */
static struct json_object *fallback_capabilities(bool with_codecs)
{
	struct json_object *caps = json_object_new_object();
	struct json_object *codecs = json_object_new_array();

	if (with_codecs) {
		struct json_object *opus = json_object_new_object();
		struct json_object *vp8 = json_object_new_object();
		struct json_object *parameters = json_object_new_object();

		put_string(opus, "kind", "audio");
		put_string(opus, "mimeType", "audio/opus");
		put_number(opus, "clockRate", 48000);
		put_number(opus, "channels", 2);
		put_string(vp8, "kind", "video");
		put_string(vp8, "mimeType", "video/VP8");
		put_number(vp8, "clockRate", 90000);
		put_number(parameters, "x-google-start-bitrate", 1000);
		put(vp8, "parameters", parameters);
		json_object_array_add(codecs, opus);
		json_object_array_add(codecs, vp8);
	}
	put(caps, "codecs", codecs);
	return caps;
}

static struct json_object *capabilities(const struct config *config, bool media_mode)
{
	// What is not announced is not negotiated: what the data plane does.
	static const struct ortc_features features = {
		.rtx = true,
		.nack = true,
		.transport_cc = true,
		.remb = true,
	};
	struct json_object *caps = NULL;
	struct ortc_error error;

	if (!media_mode)
		return fallback_capabilities(config->fallback_codecs);
	if (ortc_router_capabilities(config->codecs, &features, &caps, &error) != ORTC_OK) {
		log_error("core", "codec list refused", log_str("codecs", config->codecs),
			log_str("why", error.text));
		return NULL;
	}
	return caps;
}

struct core *core_create(const struct config *config, const struct core_io *io, struct media *media)
{
	struct core *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->config = config;
	c->io = *io;
	c->media = media;
	io->random(io->ctx, c->hash_key, sizeof(c->hash_key));
	table_init(&c->sessions, c->hash_key);
	table_init(&c->addresses, c->hash_key);
	table_init(&c->users, c->hash_key);
	table_init(&c->resume_tokens, c->hash_key);
	TAILQ_INIT(&c->parked);
	table_init(&c->rooms, c->hash_key);
	table_init(&c->transports, c->hash_key);
	table_init(&c->transports_by_media, c->hash_key);
	table_init(&c->producers, c->hash_key);
	table_init(&c->consumers, c->hash_key);
	seq_memory_init(&c->seq_memory, c->hash_key);
	TAILQ_INIT(&c->session_list);
	TAILQ_INIT(&c->anonymous);
	TAILQ_INIT(&c->room_list);
	TAILQ_INIT(&c->unused_rooms);
	TAILQ_INIT(&c->rekeys);
	device_rates_init(&c->key_packages, c->hash_key);
	device_rates_init(&c->rekey_begins, c->hash_key);
	TAILQ_INIT(&c->awaits);
	numbering_init(&c->numbering, config->numbering == NUMBERING_CLOCK);
	migrate_init(c);
	c->tokener = json_tokener_new_ex(TOKENER_DEPTH);
	c->capabilities = capabilities(config, false);
	if (media != NULL)
		c->media_capabilities = capabilities(config, true);
	if (c->tokener == NULL || c->capabilities == NULL
		|| (media != NULL && c->media_capabilities == NULL)) {
		if (c->tokener != NULL)
			json_tokener_free(c->tokener);
		json_object_put(c->capabilities);
		json_object_put(c->media_capabilities);
		free(c);
		return NULL;
	}
	if (media != NULL)
		attach_register(c);
	return c;
}

void core_destroy(struct core *c)
{
	struct session *s;
	struct room *room;

	if (c == NULL)
		return;
	c->ending = true;
	while ((s = TAILQ_FIRST(&c->session_list)) != NULL)
		session_destroy(s, true);
	while ((room = TAILQ_FIRST(&c->room_list)) != NULL)
		room_destroy(room);
	if (c->media != NULL)
		media_set_notices(c->media, NULL); // answers every await
	assert(TAILQ_EMPTY(&c->awaits));
	seq_memory_fini(&c->seq_memory);
	device_rates_fini(&c->key_packages);
	device_rates_fini(&c->rekey_begins);
	table_fini(&c->sessions);
	table_fini(&c->addresses);
	table_fini(&c->users);
	table_fini(&c->resume_tokens);
	table_fini(&c->rooms);
	table_fini(&c->transports);
	table_fini(&c->transports_by_media);
	table_fini(&c->producers);
	table_fini(&c->consumers);
	json_tokener_free(c->tokener);
	json_text_fini(&c->outgoing);
	json_object_put(c->capabilities);
	json_object_put(c->media_capabilities);
	free(c);
}

void core_auth_result(struct core *c, uint64_t session_id, uint64_t request_id,
	enum auth_verdict verdict, const char *user_id)
{
	struct session *s = session_find(c, session_id);

	if (s == NULL || !s->busy || s->request.id != request_id)
		return;
	handle_auth_result(&s->request, verdict, user_id);
	session_continue(s);
}

/* C23: who neither authenticates nor says anything. Returns the next deadline or 0. */
static uint64_t shut_silent(struct core *c, uint64_t now_us)
{
	uint64_t deadline_us = c->config->auth_deadline_sec * UINT64_C(1000000);
	struct session *s;

	if (deadline_us == 0)
		return 0;
	TAILQ_FOREACH (s, &c->anonymous, anonymous_link) {
		if (s->last_frame_us + deadline_us > now_us)
			return s->last_frame_us + deadline_us;
		session_shut(s, 1008, "AUTH deadline");
	}
	return 0;
}

/* Nobody could do meanwhile what deadlines wait for; what they said waits in their sockets. */
static void stood_still(struct core *c, uint64_t now_us, uint64_t for_us)
{
	struct session *s;

	TAILQ_FOREACH (s, &c->anonymous, anonymous_link)
		s->last_frame_us = now_us;
	rekey_watch_stood_still(c, for_us);
	resume_stood_still(c);
	attach_stood_still(c);
}

static void shut_if_expired(struct session *s, uint64_t wall_ms)
{
	struct json_object *payload;

	if (s->closing || s->expires_sec == 0 || s->expires_sec * 1000 > wall_ms)
		return;
	payload = json_object_new_object();
	put_string(payload, "reason", "TOKEN_EXPIRED");
	put_bool(payload, "retryable", true);
	outbox_notice(s, "AUTH_FAIL", payload);
	session_shut(s, 4001, "TOKEN_EXPIRED");
}

static uint64_t recheck_us(const struct core *c)
{
	return c->config->auth_recheck_sec * UINT64_C(1000000);
}

/* B10, C21: tokens that ran out, all at once every SFU_AUTH_RECHECK_SEC. */
static uint64_t shut_expired(struct core *c, uint64_t now_us)
{
	uint64_t wall_ms = c->io.wall_ms(c->io.ctx);
	struct session *s;

	if (c->expiry_check_us == 0 || c->expiry_check_us > now_us)
		return c->expiry_check_us;
	c->expiry_check_us = 0;
	// Switched off by a reload meanwhile.
	if (recheck_us(c) == 0)
		return 0;
	TAILQ_FOREACH (s, &c->session_list, link) {
		shut_if_expired(s, wall_ms);
		if (s->expires_sec != 0 && !s->closing)
			c->expiry_check_us = now_us + recheck_us(c);
	}
	return c->expiry_check_us;
}

void core_auth_expires(
	struct core *c, uint64_t session_id, uint64_t request_id, int64_t at_unix_sec)
{
	struct session *s = session_find(c, session_id);

	if (recheck_us(c) == 0 || s == NULL || s->auth_request != request_id || at_unix_sec <= 0)
		return;
	s->expires_sec
		= (uint64_t)at_unix_sec > EXPIRY_MAX_SEC ? EXPIRY_MAX_SEC : (uint64_t)at_unix_sec;
	if (c->expiry_check_us == 0)
		c->expiry_check_us = core_now(c) + recheck_us(c);
	core_wake_at(c, c->expiry_check_us);
}

void core_tick(struct core *c)
{
	uint64_t now_us = core_now(c);
	uint64_t next[8];

	if (c->wake_us != 0 && now_us > c->wake_us + STOOD_STILL_US)
		stood_still(c, now_us, now_us - c->wake_us);
	c->wake_us = 0;
	next[0] = shut_silent(c, now_us);
	next[1] = room_expire(c, now_us);
	next[2] = rekey_watch_expire(c, now_us);
	next[3] = shut_expired(c, now_us);
	next[4] = resume_expire(c, now_us);
	next[5] = attach_expire(c, now_us);
	next[6] = endpoints_expire(c, now_us);
	next[7] = migrate_expire(c, now_us);
	for (size_t i = 0; i < sizeof(next) / sizeof(next[0]); i++) {
		if (next[i] != 0)
			core_wake_at(c, next[i]);
	}
}

void core_set_regions(struct core *c, const struct regions *regions)
{
	c->regions = regions;
}

void core_regions_changed(struct core *c)
{
	// SIGHUP may have brought the first other node.
	if (c->config->numbering == NUMBERING_CLOCK)
		numbering_use_clock(&c->numbering);
	endpoints_changed(c);
	migrate_regions_changed(c);
}

bool core_heard_clock(struct core *c, uint64_t clock_us)
{
	return numbering_heard(&c->numbering, clock_us, core_numbering_now(c));
}

uint64_t core_clock_us(struct core *c)
{
	return numbering_clock_us(&c->numbering, core_numbering_now(c));
}

void core_hand_over(struct core *c)
{
	c->ending = true;
	if (c->media != NULL)
		media_let_go(c->media);
}

void core_end_parked(struct core *c)
{
	struct session *s;

	while ((s = TAILQ_FIRST(&c->parked)) != NULL)
		session_destroy(s, false);
}

void core_drain(struct core *c, uint64_t deadline_us)
{
	migrate_drain(c, deadline_us);
}

bool core_takes_rooms(const struct core *c)
{
	return migrate_takes_rooms(c);
}

uint32_t core_members_here(const struct core *c)
{
	uint32_t members = c->peer_count;
	const struct session *s;

	TAILQ_FOREACH (s, &c->parked, park_link)
		members -= s->peer != NULL;
	return members;
}

uint32_t core_load(const struct core *c)
{
	uint32_t limit = c->config->max_peers != 0 ? c->config->max_peers : CORE_NOMINAL_PEERS;
	uint64_t members = UINT64_C(100) * c->peer_count / limit;
	uint64_t rooms = UINT64_C(100) * c->rooms.count / c->config->max_rooms;

	return (uint32_t)(members > rooms ? members : rooms);
}

void core_figures(const struct core *c, struct core_figures *out)
{
	*out = (struct core_figures){
		.rooms = c->rooms.count,
		.bound_peers = c->authenticated - c->parked_count,
		.room_peers = c->peer_count,
		.producers = c->producers.count,
		.consumers = c->consumers.count,
		.transports = c->transports.count,
	};
}

const struct tally *core_tally(const struct core *c)
{
	return &c->tally;
}

struct json_object *core_rooms_by_region(const struct core *c)
{
	struct json_object *out = json_object_new_object();
	const struct room *room;

	TAILQ_FOREACH (room, &c->room_list, link) {
		struct json_object *count = field_get(out, room->region);

		if (count == NULL)
			put_number(out, room->region, 1);
		else
			json_object_set_uint64(count, json_object_get_uint64(count) + 1);
	}
	return out;
}
