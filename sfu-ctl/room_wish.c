// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/room_wish.h"

#include "sfu-ctl/core_impl.h"
#include "sfu-ctl/payload.h"
#include "sfu-ctl/remember.h"
#include "sfu-ctl/room.h"
#include "sfu-ctl/session.h"

#include <string.h>

static bool read_sframe_policy(struct request *r, bool *drop)
{
	struct json_object *value = field_get(r->payload, "sframePolicy");
	const char *text
		= json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";

	*drop = strcmp(text, "drop") == 0;
	if (value == NULL || *drop || strcmp(text, "observe") == 0)
		return true;
	request_fail_field(r, "sframePolicy");
	return false;
}

bool room_wish_read(struct request *r, struct room_wish *w)
{
	struct core *c = r->session->core;
	const struct {
		const char *name;
		const char **out;
	} fields[] = {
		{"roomId", &w->room_id},
		{"callId", &w->call_id},
		{"preferredRegion", &w->region},
	};

	core_short_id(c, "room_", w->default_room_id);
	core_short_id(c, "call_", w->default_call_id);
	w->room_id = w->default_room_id;
	w->call_id = w->default_call_id;
	w->region = c->config->region;
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if (field_id(r->payload, fields[i].name, fields[i].out) == FIELD_INVALID) {
			request_fail_field(r, fields[i].name);
			return false;
		}
	}
	return read_sframe_policy(r, &w->drop_stale);
}

struct room *room_wish_find(struct request *r, const struct room_wish *w)
{
	struct core *c = r->session->core;
	struct room *room = room_find(c, w->room_id);

	if (!migrate_admits(r, room))
		return NULL;
	if (room != NULL)
		return room;
	if (c->rooms.count >= c->config->max_rooms) {
		request_fail(r, FAULT_TOO_MANY_ROOMS);
		return NULL;
	}
	room = room_create(c, w->room_id, w->call_id, w->region);
	if (room == NULL) {
		request_fail(r, FAULT_NO_MEMORY);
		return NULL;
	}
	room->drop_stale = room->drop_stale || w->drop_stale;
	remember_room(room);
	return room;
}

void room_wish_refuse(struct request *r, enum fault f, const char *room_id)
{
	struct json_object *details = json_object_new_object();

	put_string(details, "roomId", room_id);
	request_fail_with(r, f, NULL, details);
}
