// SPDX-License-Identifier: BSD-3-Clause
/* TRANSPORT_CREATE, TRANSPORT_CONNECT, TRANSPORT_CLOSE, ICE_RESTART. */
#include "sfu-ctl/await.h"
#include "sfu-ctl/bounds.h"
#include "sfu-ctl/core_impl.h"
#include "sfu-ctl/dispatch.h"
#include "sfu-ctl/named.h"
#include "sfu-ctl/outbox.h"
#include "sfu-ctl/payload.h"
#include "sfu-ctl/remember.h"
#include "sfu-ctl/room.h"
#include "sfu-ctl/transport.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void answer_created(struct request *r, struct transport *t)
{
	struct peer *p = t->peer;

	t->live = true;
	remember_transport(t);
	outbox_result(r->session, "TRANSPORT_CREATED", transport_describe(t));
	if (!t->send && !p->had_recv_transport) {
		p->had_recv_transport = true;
		remember_peer(p);
		r->replay_producers = true; // B6: a late joiner hears of what is there
	}
	request_ok(r);
}

static void on_created(struct await *a, struct request *r, enum media_result result)
{
	struct transport *t = transport_find(a->core, a->object_id);

	if (r == NULL)
		return;
	if (!await_allows(a, r, result)) {
		if (t != NULL)
			transport_destroy(t);
	} else if (t == NULL) {
		request_fail(r, FAULT_NODE_UNAVAILABLE);
	} else {
		answer_created(r, t);
	}
}

static void create_in_media(struct request *r, struct transport *t)
{
	struct core *c = r->session->core;
	struct peer *p = t->peer;
	struct await *a;
	uint64_t handle = 0;
	int status;

	// The data plane may have been full when this member joined.
	room_program(p->room);
	peer_program(p);
	a = p->media == 0 ? NULL : await_begin(r, on_created, t->id);
	if (a == NULL) {
		request_fail(r, p->media == 0 ? FAULT_NODE_FULL : FAULT_NO_MEMORY);
		transport_destroy(t);
		return;
	}
	status = media_transport_create(
		c->media, p->media, t->send, t->id, &handle, &t->ice, await_done, a);
	if (status < 0) {
		transport_destroy(t);
		await_refused(a, r, status);
		return;
	}
	// Without the handle nobody could end it: the await finds no transport and says so.
	if (transport_set_media(t, handle) < 0)
		transport_destroy(t);
}

void handle_transport_create(struct request *r)
{
	struct core *c = r->session->core;
	struct json_object *direction = field_get(r->payload, "direction");
	bool recv = json_object_is_type(direction, json_type_string)
		    && strcmp(json_object_get_string(direction), "recv") == 0;
	struct transport *t;

	if (core_media_mode(c) && !c->media_on) {
		request_fail(r, FAULT_NODE_UNAVAILABLE);
		return;
	}
	if (r->peer->transport_count >= LIMIT_TRANSPORTS) {
		request_fail(r, FAULT_TOO_MANY_OBJECTS);
		return;
	}
	t = transport_create(r->peer, !recv);
	if (t == NULL)
		request_fail(r, FAULT_NO_MEMORY);
	else if (core_media_mode(c))
		create_in_media(r, t);
	else
		answer_created(r, t);
}

static bool copy_text(char *out, size_t size, const struct json_object *o, const char *name)
{
	struct json_object *value = field_get(o, name);

	if (!json_object_is_type(value, json_type_string)
		|| (size_t)json_object_get_string_len(value) >= size)
		return false;
	memcpy(out, json_object_get_string(value), (size_t)json_object_get_string_len(value) + 1);
	return true;
}

/* How many there are, 0 when the list is empty or one is malformed. */
static size_t read_fingerprints(
	const struct json_object *dtls, struct media_fingerprint out[LIMIT_FINGERPRINTS])
{
	struct json_object *list = field_array(dtls, "fingerprints");
	size_t count = list == NULL ? 0 : json_object_array_length(list);

	if (count > LIMIT_FINGERPRINTS)
		return 0;
	for (size_t i = 0; i < count; i++) {
		struct json_object *entry = json_object_array_get_idx(list, i);

		if (!copy_text(out[i].algorithm, sizeof(out[i].algorithm), entry, "algorithm")
			|| !copy_text(out[i].value, sizeof(out[i].value), entry, "value"))
			return 0;
	}
	return count;
}

static void connect_in_media(struct request *r, const struct transport *t)
{
	const struct json_object *dtls = field_object(r->payload, "dtlsParameters");
	struct media_fingerprint fingerprints[LIMIT_FINGERPRINTS];
	size_t count = read_fingerprints(dtls, fingerprints);
	char role[16] = "auto";

	if (count == 0) {
		request_fail(r, FAULT_INVALID_DTLS);
		return;
	}
	if (field_get(dtls, "role") != NULL && !copy_text(role, sizeof(role), dtls, "role")) {
		request_fail_field(r, "dtlsParameters");
		return;
	}
	switch (media_transport_connect(
		r->session->core->media, t->media, role, fingerprints, count)) {
	case 0:
		request_ok(r);
		break;
	case -EINVAL:
		request_fail_field(r, "dtlsParameters");
		break;
	case -ENOENT:
		request_fail(r, FAULT_UNKNOWN_TRANSPORT);
		break;
	default:
		request_fail(r, FAULT_NODE_UNAVAILABLE);
	}
}

/* Without a data plane there is no transport to be found; say why. */
static bool plane_missing(struct request *r)
{
	const struct core *c = r->session->core;

	if (!core_media_mode(c) || c->media_on)
		return false;
	request_fail(r, FAULT_NODE_UNAVAILABLE);
	return true;
}

void handle_transport_connect(struct request *r)
{
	struct transport *t;

	if (plane_missing(r))
		return;
	t = named_own_transport(r);
	if (t == NULL)
		return;
	if (core_media_mode(r->session->core))
		connect_in_media(r, t);
	else
		request_ok(r);
}

void handle_transport_close(struct request *r)
{
	struct transport *t = named_own_transport(r);

	if (t == NULL)
		return;
	transport_close(t, "transport_closed", false);
	request_ok(r);
}

/* The seed's answer, and what a restart adds to it. */
static void answer_restarted(struct request *r, const char *room_id, const struct transport *t)
{
	struct json_object *payload = json_object_new_object();
	struct json_object *policy = field_get(r->payload, "policy");

	if (room_id != NULL)
		put_string(payload, "roomId", room_id);
	put_string(payload, "policy",
		json_object_is_type(policy, json_type_string) ? json_object_get_string(policy)
							      : "relay");
	if (t != NULL) {
		put_string(payload, "transportId", t->id);
		transport_describe_ice(t, payload);
	}
	outbox_result(r->session, "ICE_RESTART_OK", payload);
	request_ok(r);
}

static void on_restarted(struct await *a, struct request *r, enum media_result result)
{
	struct transport *t = transport_find(a->core, a->object_id);

	if (r == NULL || !await_allows(a, r, result))
		return;
	if (t == NULL) {
		request_fail(r, FAULT_UNKNOWN_TRANSPORT);
		return;
	}
	t->ice = t->ice_next;
	answer_restarted(r, t->peer->room->id, t);
}

static void restart_in_media(struct request *r, struct peer *p, struct transport *t)
{
	struct await *a;
	int status;

	r->peer = p;
	a = await_begin(r, on_restarted, t->id);
	if (a == NULL) {
		request_fail(r, FAULT_NO_MEMORY);
		return;
	}
	status = media_transport_restart(
		p->room->core->media, t->media, &t->ice_next, await_done, a);
	if (status < 0)
		await_refused(a, r, status);
}

/*
 * B7. Anyone may ask, and with nothing to restart the answer is the seed's; only an own transport
 * in media mode gets new credentials.
 */
void handle_ice_restart(struct request *r)
{
	struct session *s = r->session;
	struct peer *p = session_member(s);
	const char *room_id = p == NULL ? NULL : p->room->id;
	const char *transport_id = NULL;
	struct transport *t;

	if (field_id(r->payload, "roomId", &room_id) == FIELD_INVALID) {
		request_fail_field(r, "roomId");
		return;
	}
	if (s->core->config->strict && room_id != NULL
		&& (p == NULL || strcmp(room_id, p->room->id) != 0)) {
		request_fail(r, FAULT_NOT_MEMBER);
		return;
	}
	if (core_media_mode(s->core)
		&& field_id(r->payload, "transportId", &transport_id) == FIELD_INVALID) {
		request_fail_field(r, "transportId");
		return;
	}
	if (transport_id == NULL) {
		answer_restarted(r, room_id, NULL);
		return;
	}
	if (!s->core->media_on) {
		request_fail(r, FAULT_NODE_UNAVAILABLE);
		return;
	}
	t = p == NULL ? NULL : transport_of(p, transport_id);
	if (t == NULL)
		request_fail(r, FAULT_UNKNOWN_TRANSPORT);
	else
		restart_in_media(r, p, t);
}
