// SPDX-License-Identifier: BSD-3-Clause
/* ROOM_CREATE, with and without join tokens (protocol.md A6, B2, B4). */
#include "sfu-ctl/bounds.h"
#include "sfu-ctl/core_impl.h"
#include "sfu-ctl/dispatch.h"
#include "sfu-ctl/jointoken.h"
#include "sfu-ctl/outbox.h"
#include "sfu-ctl/payload.h"
#include "sfu-ctl/remember.h"
#include "sfu-ctl/room.h"
#include "sfu-ctl/room_view.h"
#include "sfu-ctl/room_wish.h"

#include <stdlib.h>
#include <string.h>

/* B4, with join tokens: who the creator wants in the room. False: the request has been ended. */
static bool read_allowed(struct request *r, struct json_object **out)
{
	struct json_object *value = field_get(r->payload, "allowedUserIds");
	struct json_object *list;

	*out = NULL;
	if (value == NULL)
		return true;
	if (!json_object_is_type(value, json_type_array)
		|| json_object_array_length(value) > LIMIT_ALLOWED_USERS) {
		request_fail_field(r, "allowedUserIds");
		return false;
	}
	if (json_object_array_length(value) == 0)
		return true;
	list = json_object_new_array();
	json_object_array_add(list, json_object_new_string(r->session->user_id));
	for (size_t i = 0; i < json_object_array_length(value); i++) {
		struct json_object *user = json_object_array_get_idx(value, i);

		if (!json_object_is_type(user, json_type_string)
			|| !env_id_valid(json_object_get_string(user),
				(size_t)json_object_get_string_len(user), 1)) {
			json_object_put(list);
			request_fail_field(r, "allowedUserIds");
			return false;
		}
		json_object_array_add(list, json_object_get(user));
	}
	*out = list;
	return true;
}

/* Whoever is told a room's token can open the room: not everybody who knows its name. */
static bool may_have_token(const struct session *s, const struct room *room)
{
	size_t count = room->allowed == NULL ? 0 : json_object_array_length(room->allowed);
	const struct peer *p = session_member(s);

	if (p != NULL && p->room == room)
		return true;
	if (room->creator != NULL && strcmp(room->creator, s->user_id) == 0)
		return true;
	for (size_t i = 0; i < count; i++) {
		if (strcmp(json_object_get_string(json_object_array_get_idx(room->allowed, i)),
			    s->user_id)
			== 0)
			return true;
	}
	return false;
}

/* NULL when out of memory. */
static char *make_token(const struct room *room)
{
	struct core *c = room->core;
	const struct config *config = c->config;
	char id[UUID_BYTES];
	const struct jointoken token = {
		.room_id = room->id,
		.call_id = room->call_id,
		.user_ids = room->allowed,
		.id = id,
		.expires_sec = c->io.wall_ms(c->io.ctx) / 1000 + config->join_token_ttl_sec,
	};

	outbox_uuid(c, id);
	return jointoken_sign(config->join_token_secret, &token);
}

static void answer_create(struct request *r, const struct room *room, const char *token)
{
	struct json_object *payload = room_view_base(room);

	if (token != NULL)
		put_string(payload, "joinToken", token);
	outbox_result(r->session, "ROOM_CREATED", payload);
	if (token != NULL) {
		payload = json_object_new_object();
		put_string(payload, "roomId", room->id);
		put_string(payload, "joinToken", token);
		outbox_result(r->session, "ROOM_JOIN_SECRET", payload);
	}
	request_ok(r);
}

/* allowed is taken. */
static void create_with_token(
	struct request *r, const struct room_wish *wish, struct json_object *allowed)
{
	struct session *s = r->session;
	bool is_new = room_find(s->core, wish->room_id) == NULL;
	struct room *room = room_wish_find(r, wish);
	char *token = NULL;

	if (room == NULL) {
		json_object_put(allowed);
		return;
	}
	if (is_new) {
		room->creator = strdup(s->user_id);
		room->allowed = json_object_get(allowed);
		remember_room(room);
	}
	json_object_put(allowed);
	if (may_have_token(s, room)) {
		token = make_token(room);
		if (token == NULL) {
			request_fail(r, FAULT_NO_MEMORY);
			return;
		}
	} else if (s->core->config->join_token == JOIN_TOKEN_REQUIRE) {
		room_wish_refuse(r, FAULT_JOIN_USER, room->id);
		return;
	}
	answer_create(r, room, token);
	free(token);
}

void handle_room_create(struct request *r)
{
	struct json_object *allowed;
	struct room_wish wish;
	struct room *room;

	if (!room_wish_read(r, &wish))
		return;
	if (r->session->core->config->join_token != JOIN_TOKEN_OFF) {
		if (read_allowed(r, &allowed))
			create_with_token(r, &wish, allowed);
		return;
	}
	room = room_wish_find(r, &wish);
	if (room != NULL)
		answer_create(r, room, NULL);
}
