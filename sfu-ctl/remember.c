// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/remember.h"

#include "sfu-ctl/consumer.h"
#include "sfu-ctl/core_impl.h"
#include "sfu-ctl/payload.h"
#include "sfu-ctl/producer.h"
#include "sfu-ctl/room.h"
#include "sfu-ctl/session.h"
#include "sfu-ctl/transport.h"

#include <inttypes.h>
#include <stdio.h>

static void number_id(char out[24], uint64_t number)
{
	snprintf(out, 24, "%" PRIu64, number);
}

static bool listening(const struct core *c)
{
	return c->io.remember.tell != NULL && !c->ending;
}

/* o is taken. */
static void tell(const struct core *c, const char *kind, const char *id, struct json_object *o)
{
	c->io.remember.tell(c->io.remember.ctx, kind, id,
		json_object_to_json_string_ext(
			o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
}

static void forget(const struct core *c, const char *kind, const char *id)
{
	if (listening(c))
		c->io.remember.tell(c->io.remember.ctx, kind, id, NULL);
}

void remember_mode(const struct core *c)
{
	if (listening(c) && c->media_seen)
		c->io.remember.tell(c->io.remember.ctx, "core", "mode", "media");
}

void remember_room(const struct room *room)
{
	struct json_object *o;

	if (!listening(room->core))
		return;
	o = json_object_new_object();
	put_string(o, "call", room->call_id);
	put_string(o, "region", room->region);
	if (room->creator != NULL)
		put_string(o, "creator", room->creator);
	if (room->allowed != NULL)
		put(o, "allowed", json_object_get(room->allowed));
	put_bool(o, "unused", room->unused);
	put_number(o, "created", room->created_us);
	put_number(o, "members", room->member_set_version);
	put_number(o, "version", room->version);
	put_bool(o, "required", room->e2ee.required);
	put_number(o, "epoch", room->e2ee.epoch);
	put_number(o, "older", room->older_until_us);
	put_bool(o, "drop", room->drop_stale);
	put_number(o, "media", room->media);
	tell(room->core, "room", room->id, o);
}

void remember_session(const struct session *s)
{
	remember_claimed(s, s->resume_token);
}

void remember_claimed(const struct session *s, const char *token_hash)
{
	char id[24];
	struct json_object *o;

	if (!listening(s->core) || s->user_id == NULL || (s->peer == NULL && token_hash[0] == '\0'))
		return;
	number_id(id, s->id);
	o = json_object_new_object();
	put_string(o, "device", s->device_id);
	put_string(o, "user", s->user_id);
	put_string(o, "token", token_hash);
	put_bool(o, "resume", s->wants_resume);
	put_bool(o, "speaker", s->wants_speaker);
	put_number(o, "expires", s->expires_sec);
	put_bool(o, "streams", s->caps_insertable_streams);
	put_bool(o, "sframe", s->caps_sframe);
	put_bool(o, "ratchet", s->caps_double_ratchet);
	put_number(o, "format", s->caps_frames.format);
	put_number(o, "shift", s->caps_frames.epoch_shift);
	put_number(o, "bits", s->caps_frames.epoch_bits);
	tell(s->core, "session", id, o);
}

void remember_peer(const struct peer *p)
{
	char id[24];
	struct json_object *o;

	if (!listening(p->room->core))
		return;
	number_id(id, p->number);
	o = json_object_new_object();
	put_string(o, "room", p->room->id);
	put_string(o, "device", p->device_id);
	put_string(o, "user", p->user_id);
	put_number(o, "session", p->session->id);
	put_bool(o, "ready", p->e2ee.ready);
	put_number(o, "open", p->e2ee.open_until_us);
	put_bool(o, "recv", p->had_recv_transport);
	put_bool(o, "refused", p->consume_refused);
	put_number(o, "media", p->media);
	tell(p->room->core, "peer", id, o);
}

void remember_transport(const struct transport *t)
{
	struct json_object *o;

	if (!listening(t->peer->room->core) || !t->live)
		return;
	o = json_object_new_object();
	put_number(o, "peer", t->peer->number);
	put_bool(o, "send", t->send);
	put_number(o, "media", t->media);
	put_number(o, "mid", t->next_mid);
	put_string(o, "cname", t->cname);
	tell(t->peer->room->core, "transport", t->id, o);
}

void remember_producer(const struct producer *p)
{
	struct json_object *o;

	if (!listening(p->peer->room->core) || !p->live)
		return;
	o = json_object_new_object();
	put_number(o, "peer", p->peer->number);
	if (p->transport != NULL)
		put_string(o, "transport", p->transport->id);
	put_bool(o, "audio", p->audio);
	put_bool(o, "paused", p->paused);
	put_number(o, "media", p->media);
	if (p->consumable != NULL)
		put(o, "consumable", json_object_get(p->consumable));
	tell(p->peer->room->core, "producer", p->id, o);
}

void remember_consumer(const struct consumer *consumer)
{
	struct json_object *o;

	if (!listening(consumer->peer->room->core) || !consumer->live)
		return;
	o = json_object_new_object();
	put_number(o, "peer", consumer->peer->number);
	put_string(o, "producer", consumer->producer->id);
	if (consumer->transport != NULL)
		put_string(o, "transport", consumer->transport->id);
	put_bool(o, "paused", consumer->paused);
	put_number(o, "media", consumer->media);
	tell(consumer->peer->room->core, "consumer", consumer->id, o);
}

void forget_room(const struct room *room)
{
	forget(room->core, "room", room->id);
}

void forget_session(const struct session *s)
{
	char id[24];

	if (s->user_id == NULL)
		return;
	number_id(id, s->id);
	forget(s->core, "session", id);
}

void forget_peer(const struct peer *p)
{
	char id[24];

	number_id(id, p->number);
	forget(p->room->core, "peer", id);
}

void forget_transport(const struct transport *t)
{
	if (t->live)
		forget(t->peer->room->core, "transport", t->id);
}

void forget_producer(const struct producer *p)
{
	if (p->live)
		forget(p->peer->room->core, "producer", p->id);
}

void forget_consumer(const struct consumer *consumer)
{
	if (consumer->live)
		forget(consumer->peer->room->core, "consumer", consumer->id);
}
