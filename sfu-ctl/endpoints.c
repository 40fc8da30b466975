// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/endpoints.h"

#include "sfu-ctl/core_impl.h"
#include "sfu-ctl/outbox.h"
#include "sfu-ctl/payload.h"
#include "sfu-ctl/region_view.h"
#include "sfu-ctl/regions.h"
#include "sfu-ctl/room.h"

void endpoints_add(const struct core *c, struct json_object *o, const char *preferred)
{
	if (c->regions != NULL && c->regions->count > 0)
		put(o, "endpoints", region_view_endpoints(c->regions, preferred));
}

void endpoints_changed(struct core *c)
{
	uint64_t now_us = core_now(c);

	if (c->endpoints_due_us != 0)
		return;
	c->endpoints_due_us
		= c->endpoints_told_us == 0 || c->endpoints_told_us + ENDPOINTS_PAUSE_US < now_us
			  ? now_us
			  : c->endpoints_told_us + ENDPOINTS_PAUSE_US;
	core_wake_at(c, c->endpoints_due_us);
}

static void tell_all(struct core *c)
{
	struct room *room;

	TAILQ_FOREACH (room, &c->room_list, link) {
		struct json_object *payload;

		if (TAILQ_EMPTY(&room->peers))
			continue;
		payload = json_object_new_object();
		put_string(payload, "roomId", room->id);
		put(payload, "endpoints", region_view_endpoints(c->regions, room->region));
		outbox_broadcast(room, NULL, "ENDPOINTS", payload);
	}
}

uint64_t endpoints_expire(struct core *c, uint64_t now_us)
{
	if (c->endpoints_due_us == 0 || c->endpoints_due_us > now_us)
		return c->endpoints_due_us;
	c->endpoints_due_us = 0;
	c->endpoints_told_us = now_us;
	if (c->regions != NULL)
		tell_all(c);
	return 0;
}
