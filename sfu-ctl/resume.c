// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/resume.h"

#include "sfu-ctl/address.h"
#include "sfu-ctl/bounds.h"
#include "sfu-ctl/core_impl.h"
#include "sfu-ctl/log.h"
#include "sfu-ctl/payload.h"
#include "sfu-ctl/rekey_watch.h"
#include "sfu-ctl/remember.h"
#include "sfu-ctl/room.h"
#include "sfu-ctl/session.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of a token's hash: 128 bit, as much as the token has. */
#define HASH_BYTES 16u
#define RESTART_PARK_SEC 30u

static void unlist(struct session *s)
{
	if (s->resume_token[0] != '\0')
		table_remove(&s->core->resume_tokens, &s->by_token);
	s->resume_token[0] = '\0';
}

/* Tokens are held, and remembered, as hashes: who reads them cannot come back as somebody else. */
static void hash_token(const char *token, size_t len, char out[UUID_BYTES])
{
	uint8_t digest[EVP_MAX_MD_SIZE];

	EVP_Digest(token, len, digest, NULL, EVP_sha256(), NULL);
	for (size_t i = 0; i < HASH_BYTES; i++)
		snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

static void list(struct session *s, const char *hash)
{
	unlist(s);
	snprintf(s->resume_token, sizeof(s->resume_token), "%s", hash);
	if (table_add(
		    &s->core->resume_tokens, &s->by_token, s->resume_token, strlen(s->resume_token))
		< 0)
		s->resume_token[0] = '\0';
}

void resume_issue(struct session *s, const char *token)
{
	char hash[UUID_BYTES];
	const struct session *old;

	unlist(s);
	if (!s->wants_resume || s->core->config->resume_sec == 0)
		return;
	hash_token(token, strlen(token), hash);
	list(s, hash);
	remember_session(s);
	// The token that claimed it is used up; the one that the client gets now leads to it.
	old = s->resuming == 0 ? NULL : session_find(s->core, s->resuming);
	if (old != NULL)
		remember_claimed(old, hash);
}

/* Whose token it is; NULL when nobody's. */
static struct session *find(const struct core *c, const struct json_object *hello)
{
	struct json_object *token = field_get(field_object(hello, "resume"), "resumeToken");
	struct table_node *node;
	char hash[UUID_BYTES];

	if (!json_object_is_type(token, json_type_string))
		return NULL;
	hash_token(json_object_get_string(token), (size_t)json_object_get_string_len(token), hash);
	node = table_find(&c->resume_tokens, hash, strlen(hash));
	return node == NULL ? NULL : container_of(node, struct session, by_token);
}

/* After a restart members are parked even where connections that are lost are not. */
static uint64_t park_us(const struct core *c)
{
	uint32_t sec = c->config->resume_sec;

	return (sec != 0 ? sec : RESTART_PARK_SEC) * UINT64_C(1000000);
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
	s->parked_until_us = core_now(c) + park_us(c);
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
	s->caps_frames = old->caps_frames;
	if (s->seq < old->seq)
		s->seq = old->seq;
	move_window(s, old);
	s->peer = old->peer;
	if (s->peer != NULL)
		s->peer->session = s;
	old->peer = NULL;
	old->claimed = false;
	remember_session(s);
	if (s->peer != NULL)
		remember_peer(s->peer);
	log_debug("session", "resumed", SESSION_LOG_IDS(s));
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

void resume_restore(struct session *s, const char *token_hash)
{
	if (token_hash[0] != '\0' && s->core->config->resume_sec != 0)
		list(s, token_hash);
	park(s);
}

void resume_forget(struct session *s)
{
	struct core *c = s->core;
	struct session *old = s->resuming == 0 ? NULL : session_find(c, s->resuming);
	char token[UUID_BYTES];

	memcpy(token, s->resume_token, sizeof(token));
	unlist(s);
	// It was lost again before its AUTH: the token it was given still leads to the first one.
	if (old != NULL && old->claimed && token[0] != '\0') {
		list(old, token);
		remember_session(old);
	}
	if (!s->parked)
		return;
	TAILQ_REMOVE(&c->parked, s, park_link);
	c->parked_count--;
}

void resume_stood_still(struct core *c)
{
	uint64_t until_us = core_now(c) + park_us(c);
	struct session *s;

	TAILQ_FOREACH (s, &c->parked, park_link)
		s->parked_until_us = until_us;
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
