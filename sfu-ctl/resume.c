// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/resume.h"

#include "sfu-ctl/address.h"
#include "sfu-ctl/bounds.h"
#include "sfu-ctl/core_impl.h"
#include "sfu-ctl/log.h"
#include "sfu-ctl/payload.h"
#include "sfu-ctl/rekey_watch.h"
#include "sfu-ctl/room.h"
#include "sfu-ctl/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void unlist(struct session *s)
{
	if (s->resume_token[0] != '\0')
		table_remove(&s->core->resume_tokens, &s->by_token);
	s->resume_token[0] = '\0';
}

static void list(struct session *s, const char *token)
{
	unlist(s);
	snprintf(s->resume_token, sizeof(s->resume_token), "%s", token);
	if (table_add(
		    &s->core->resume_tokens, &s->by_token, s->resume_token, strlen(s->resume_token))
		< 0)
		s->resume_token[0] = '\0';
}

void resume_issue(struct session *s, const char *token)
{
	unlist(s);
	if (s->wants_resume && s->core->config->resume_sec != 0)
		list(s, token);
}

/* Whose token it is; NULL when nobody's. */
static struct session *find(const struct core *c, const struct json_object *hello)
{
	struct json_object *token = field_get(field_object(hello, "resume"), "resumeToken");
	struct table_node *node;

	if (!json_object_is_type(token, json_type_string))
		return NULL;
	node = table_find(&c->resume_tokens, json_object_get_string(token),
		(size_t)json_object_get_string_len(token));
	return node == NULL ? NULL : container_of(node, struct session, by_token);
}

/* Each lives as long as the others, so the list stays in the order of deadlines. */
static void park(struct session *s)
{
	struct core *c = s->core;

	if (s->parked)
		TAILQ_REMOVE(&c->parked, s, park_link);
	else
		c->parked_count++;
	s->parked = true;
	s->parked_until_us = core_now(c) + c->config->resume_sec * UINT64_C(1000000);
	TAILQ_INSERT_TAIL(&c->parked, s, park_link);
	core_wake_at(c, s->parked_until_us);
}

bool resume_claim(struct session *s, const struct json_object *hello)
{
	struct session *old = find(s->core, hello);

	// What it waits for would be answered to nobody: then it cannot be moved.
	if (old == NULL || old == s || s->user_id != NULL || old->user_id == NULL || old->busy
		|| strcmp(old->device_id, s->device_id) != 0)
		return false;
	unlist(old);
	old->claimed = true;
	s->resuming = old->id;
	if (old->parked)
		park(old); // time for the AUTH
	else
		session_shut(old, 4009, "DEVICE_REPLACED");
	return true;
}

/* C5: what was answered before is not done again. */
static void move_window(struct session *s, struct session *old)
{
	struct env_slot *storage[2] = {s->window.slots, old->window.slots};
	struct env_slot *slots;
	uint32_t capacity;

	while (s->window.count + old->window.count > ENV_WINDOW_MAX)
		session_forget_oldest(old);
	capacity = s->window.count + old->window.count;
	slots = capacity == 0 ? NULL : calloc(capacity, sizeof(*slots));
	if (slots == NULL)
		return;
	s->request.ticket += env_window_adopt(&s->window, &old->window, slots, capacity);
	free(storage[0]);
	free(storage[1]);
}

bool resume_move(struct session *s)
{
	struct session *old = s->resuming == 0 ? NULL : session_find(s->core, s->resuming);

	s->resuming = 0;
	if (old == NULL || !old->claimed || old->busy || strcmp(old->user_id, s->user_id) != 0
		|| strcmp(old->device_id, s->device_id) != 0)
		return false;
	s->caps_insertable_streams = old->caps_insertable_streams;
	s->caps_sframe = old->caps_sframe;
	s->caps_double_ratchet = old->caps_double_ratchet;
	if (s->seq < old->seq)
		s->seq = old->seq;
	move_window(s, old);
	s->peer = old->peer;
	if (s->peer != NULL)
		s->peer->session = s;
	old->peer = NULL;
	old->claimed = false;
	log_debug("session", "resumed", log_str("device", s->device_id));
	if (old->parked)
		session_destroy(old, true);
	return true;
}

bool resume_park(struct session *s, bool clean)
{
	struct core *c = s->core;
	bool lost = !clean && !s->closing && s->wants_resume;

	if (s->user_id == NULL || c->config->resume_sec == 0 || c->ending || !(lost || s->claimed))
		return false;
	s->closing = true;
	s->conn = NULL;
	session_drop_queue(s);
	address_remove(&c->addresses, s->address);
	s->address = NULL;
	if (c->parked_count >= LIMIT_PARKED)
		session_destroy(TAILQ_FIRST(&c->parked), false);
	park(s);
	if (s->peer != NULL)
		rekey_watch_lost(s->peer);
	return true;
}

void resume_forget(struct session *s)
{
	struct core *c = s->core;
	struct session *old = s->resuming == 0 ? NULL : session_find(c, s->resuming);
	char token[UUID_BYTES];

	memcpy(token, s->resume_token, sizeof(token));
	unlist(s);
	// It was lost again before its AUTH: the token it was given still leads to the first one.
	if (old != NULL && old->claimed && token[0] != '\0')
		list(old, token);
	if (!s->parked)
		return;
	TAILQ_REMOVE(&c->parked, s, park_link);
	c->parked_count--;
}

uint64_t resume_expire(struct core *c, uint64_t now_us)
{
	struct session *s;

	while ((s = TAILQ_FIRST(&c->parked)) != NULL) {
		if (s->parked_until_us > now_us)
			return s->parked_until_us;
		session_destroy(s, false);
	}
	return 0;
}
