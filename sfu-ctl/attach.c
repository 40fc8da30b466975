// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/attach.h"

#include "sfu-ctl/core_impl.h"
#include "sfu-ctl/log.h"
#include "sfu-ctl/media_setup.h"
#include "sfu-ctl/producer.h"
#include "sfu-ctl/remember.h"
#include "sfu-ctl/room.h"
#include "sfu-ctl/session.h"
#include "sfu-ctl/transport.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static bool announces(const struct media_info *info, const char *ip)
{
	uint8_t want[16];
	uint8_t family = strchr(ip, ':') == NULL ? 4 : 6;

	if (inet_pton(family == 4 ? AF_INET : AF_INET6, ip, want) != 1)
		return false;
	for (uint32_t i = 0; i < info->address_count; i++) {
		const struct sfu_address *a = &info->address[i];

		if (a->family == family && memcmp(a->addr, want, family == 4 ? 4 : 16) == 0)
			return true;
	}
	return false;
}

/* design.md 12: the data plane owns address and port; what we were told must agree. */
static bool fits(const struct config *config, const struct media_info *info)
{
	if (info->address_count == 0) {
		log_error("attach", "the data plane announces no address");
		return false;
	}
	if (config->announced_ip[0] != '\0' && !announces(info, config->announced_ip)) {
		log_error("attach", "the data plane does not announce SFU_ANNOUNCED_IP",
			log_str("SFU_ANNOUNCED_IP", config->announced_ip));
		return false;
	}
	for (uint32_t i = 0; i < info->address_count; i++) {
		uint32_t port = info->address[i].port;

		if ((config->rtc_min_port_set && port < config->rtc_min_port)
			|| (config->rtc_max_port_set && port > config->rtc_max_port)) {
			log_error("attach",
				"the data plane's port is outside "
				"SFU_RTC_MIN_PORT..SFU_RTC_MAX_PORT",
				log_num("port", port));
			return false;
		}
	}
	return true;
}

/* What it could not be told while it was away, or had no room for. */
static void tell_all(struct core *c)
{
	struct room *room;
	struct peer *p;

	TAILQ_FOREACH (room, &c->room_list, link) {
		if (TAILQ_EMPTY(&room->peers))
			continue;
		room_program(room);
		TAILQ_FOREACH (p, &room->peers, link)
			peer_program(p);
	}
}

static void drop_media(struct core *c)
{
	struct room *room;
	struct peer *p;

	TAILQ_FOREACH (room, &c->room_list, link) {
		TAILQ_FOREACH (p, &room->peers, link)
			peer_drop_media(p, "transport_closed", true);
	}
}

static void enter_media_mode(struct core *c)
{
	c->media_seen = true;
	json_object_put(c->capabilities);
	c->capabilities = c->media_capabilities;
	c->media_capabilities = NULL;
	remember_mode(c);
}

static void await_plane(struct core *c, uint32_t sec)
{
	c->media_gone_us = core_now(c) + sec * UINT64_C(1000000);
	core_wake_at(c, c->media_gone_us);
}

void attach_restored(struct core *c)
{
	enter_media_mode(c);
	await_plane(c, c->config->plane_grace_sec);
}

static void on_attached(void *ctx, bool attached)
{
	struct core *c = ctx;

	c->media_gone_us = 0;
	if (!attached) {
		c->media_on = false;
		await_plane(c, c->config->plane_grace_sec);
		return;
	}
	if (!c->media_seen) {
		drop_media(c); // A11: what was made up until now led nowhere
		enter_media_mode(c);
	}
	c->media_on = fits(c->config, media_info(c->media));
	if (c->media_on)
		tell_all(c);
	else
		drop_media(c);
	migrate_media(c, true);
}

static void on_forgotten(void *ctx, bool stale)
{
	struct core *c = ctx;
	struct session *s;
	struct room *room;
	struct peer *p;

	if (!c->media_seen)
		return;
	drop_media(c);
	// What we know of epochs and gates is as old: who was here joins again.
	while (stale && (s = TAILQ_FIRST(&c->parked)) != NULL)
		session_destroy(s, false);
	TAILQ_FOREACH (room, &c->room_list, link) {
		TAILQ_FOREACH (p, &room->peers, link)
			p->media = 0;
		room->media = 0;
	}
}

void attach_stood_still(struct core *c)
{
	if (c->media_gone_us != 0)
		await_plane(c, c->config->plane_grace_sec);
}

uint64_t attach_expire(struct core *c, uint64_t now_us)
{
	// The calls are the successor's, which waits anew.
	if (c->ending)
		return 0;
	if (c->media_gone_us == 0 || c->media_gone_us > now_us)
		return c->media_gone_us;
	// It forwards: that we cannot talk to it is for an upgrade of one of us to end.
	if (media_foreign(c->media)) {
		await_plane(c, c->config->plane_grace_sec > 0 ? c->config->plane_grace_sec : 1);
		return c->media_gone_us;
	}
	c->media_gone_us = 0;
	log_warn("attach", "the data plane does not come back, its calls are ended");
	drop_media(c);
	migrate_media(c, false);
	return 0;
}

static void on_transport_end(void *ctx, uint64_t handle, enum media_transport_end why)
{
	struct core *c = ctx;
	struct transport *t = transport_by_media(c, handle);

	if (t == NULL)
		return;
	log_info("attach", "transport ended", log_str("transport", t->id), log_num("why", why),
		log_str("room", t->peer->room->id), SESSION_LOG_IDS(t->peer->session));
	transport_close(t, "transport_closed", true);
}

static void on_transport_connected(void *ctx, uint64_t handle)
{
	const struct core *c = ctx;
	const struct transport *t = transport_by_media(c, handle);

	if (t != NULL)
		log_debug("attach", "transport connected", log_str("transport", t->id),
			log_str("room", t->peer->room->id), SESSION_LOG_IDS(t->peer->session));
}

static void on_speaker(void *ctx, uint64_t transport, uint64_t producer)
{
	struct core *c = ctx;
	struct transport *t = transport_by_media(c, transport);
	struct producer *p;

	if (t == NULL)
		return;
	TAILQ_FOREACH (p, &t->peer->producers, link) {
		if (p->media != producer || !p->live)
			continue;
		producer_speaks(p);
		return;
	}
}

void attach_register(struct core *c)
{
	const struct media_notices notices = {
		.ctx = c,
		.on_attached = on_attached,
		.on_forgotten = on_forgotten,
		.on_transport_end = on_transport_end,
		.on_transport_connected = on_transport_connected,
		.on_speaker = on_speaker,
	};

	media_set_notices(c->media, &notices);
}
