// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/attach.h"

#include "sfu-ctl/core_impl.h"
#include "sfu-ctl/log.h"
#include "sfu-ctl/media_setup.h"
#include "sfu-ctl/room.h"
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

/* Rooms and members outlive a data plane: a new one is told of them. */
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

/* Media does not outlive it. Every handle is void, so nothing is deleted over there. */
static void drop_all(struct core *c)
{
	struct room *room;
	struct peer *p;

	TAILQ_FOREACH (room, &c->room_list, link) {
		TAILQ_FOREACH (p, &room->peers, link) {
			peer_drop_media(p, "transport_closed", true);
			p->media = 0;
		}
		room->media = 0;
	}
}

/* A11: what was made up until now led nowhere; whoever wants media asks again. */
static void leave_fallback(struct core *c)
{
	drop_all(c);
	c->media_seen = true;
	json_object_put(c->capabilities);
	c->capabilities = c->media_capabilities;
	c->media_capabilities = NULL;
}

static void on_attached(void *ctx, bool attached)
{
	struct core *c = ctx;

	if (!attached) {
		c->media_on = false;
		drop_all(c);
		return;
	}
	if (!c->media_seen)
		leave_fallback(c);
	c->media_on = fits(c->config, media_info(c->media));
	if (c->media_on)
		tell_all(c);
}

static void on_transport_end(void *ctx, uint64_t handle, enum media_transport_end why)
{
	struct core *c = ctx;
	struct transport *t = transport_by_media(c, handle);

	if (t == NULL)
		return;
	log_info("attach", "transport ended", log_str("transport", t->id), log_num("why", why));
	transport_close(t, "transport_closed", true);
}

static void on_transport_connected(void *ctx, uint64_t handle)
{
	const struct core *c = ctx;
	const struct transport *t = transport_by_media(c, handle);

	if (t != NULL)
		log_debug("attach", "transport connected", log_str("transport", t->id));
}

void attach_register(struct core *c)
{
	const struct media_notices notices = {
		.ctx = c,
		.on_attached = on_attached,
		.on_transport_end = on_transport_end,
		.on_transport_connected = on_transport_connected,
	};

	media_set_notices(c->media, &notices);
}
