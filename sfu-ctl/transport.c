// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/transport.h"

#include "sfu-ctl/consumer.h"
#include "sfu-ctl/core_impl.h"
#include "sfu-ctl/payload.h"
#include "sfu-ctl/producer.h"
#include "sfu-ctl/remember.h"
#include "sfu-ctl/room.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct transport *transport_create(struct peer *p, bool send)
{
	struct core *c = p->room->core;
	char id[UUID_BYTES];

	core_new_id(c, &c->transports, "tr_", id);
	return transport_restore(p, id, send);
}

struct transport *transport_restore(struct peer *p, const char *id, bool send)
{
	struct core *c = p->room->core;
	struct transport *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->peer = p;
	t->send = send;
	snprintf(t->id, sizeof(t->id), "%s", id);
	if (table_add(&c->transports, &t->by_id, t->id, strlen(t->id)) < 0) {
		free(t);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&p->transports, t, link);
	p->transport_count++;
	return t;
}

int transport_set_media(struct transport *t, uint64_t handle)
{
	struct core *c = t->peer->room->core;
	int status;

	// It would be in the table, and everybody would think that it is not.
	if (handle == 0)
		return -EINVAL;
	t->media = handle;
	status = table_add(&c->transports_by_media, &t->by_media, &t->media, sizeof(t->media));
	if (status < 0) {
		media_transport_delete(c->media, handle);
		t->media = 0;
	}
	return status;
}

void transport_destroy(struct transport *t)
{
	struct peer *p = t->peer;
	struct core *c = p->room->core;

	forget_transport(t);
	if (t->media != 0) {
		table_remove(&c->transports_by_media, &t->by_media);
		media_transport_delete(c->media, t->media);
	}
	table_remove(&c->transports, &t->by_id);
	TAILQ_REMOVE(&p->transports, t, link);
	p->transport_count--;
	OPENSSL_cleanse(&t->ice, sizeof(t->ice));
	OPENSSL_cleanse(&t->ice_next, sizeof(t->ice_next));
	free(t);
}

static struct consumer *consumer_on(const struct transport *t)
{
	struct consumer *consumer;

	TAILQ_FOREACH (consumer, &t->peer->consumers, link) {
		if (consumer->transport == t)
			return consumer;
	}
	return NULL;
}

static struct producer *producer_on(const struct transport *t)
{
	struct producer *producer;

	TAILQ_FOREACH (producer, &t->peer->producers, link) {
		if (producer->transport == t)
			return producer;
	}
	return NULL;
}

void transport_close(struct transport *t, const char *reason, bool tell_owner)
{
	struct consumer *consumer;
	struct producer *producer;

	while ((consumer = consumer_on(t)) != NULL)
		consumer_close(consumer, tell_owner ? reason : NULL);
	while ((producer = producer_on(t)) != NULL)
		producer_close(producer, reason);
	transport_destroy(t);
}

struct transport *transport_find(const struct core *c, const char *id)
{
	struct table_node *node = table_find(&c->transports, id, strlen(id));

	return node == NULL ? NULL : container_of(node, struct transport, by_id);
}

struct transport *transport_by_media(const struct core *c, uint64_t handle)
{
	struct table_node *node = table_find(&c->transports_by_media, &handle, sizeof(handle));

	return node == NULL ? NULL : container_of(node, struct transport, by_media);
}

struct transport *transport_in_room(const struct peer *p, const char *id)
{
	struct transport *t = transport_find(p->room->core, id);

	return t != NULL && t->live && t->peer->room == p->room ? t : NULL;
}

struct transport *transport_of(const struct peer *p, const char *id)
{
	struct transport *t = transport_find(p->room->core, id);

	return t != NULL && t->live && t->peer == p ? t : NULL;
}

struct transport *transport_first_recv(const struct peer *p)
{
	struct transport *t;

	TAILQ_FOREACH (t, &p->transports, link) {
		if (t->live && !t->send)
			return t;
	}
	return NULL;
}

static struct json_object *describe_candidate(const struct sfu_address *a, uint32_t index)
{
	struct json_object *candidate = json_object_new_object();
	// RFC 8445, 5.1.2.1: host, component 1; the local preference falls with the index.
	uint32_t priority = 126u << 24 | (65535u - index) << 8 | 255u;
	char text[INET6_ADDRSTRLEN] = "", foundation[24] = "udpcandidate";

	inet_ntop(a->family == 6 ? AF_INET6 : AF_INET, a->addr, text, sizeof(text));
	// One per address (RFC 8445, 5.1.1.3); the first is named as clients have always seen it.
	if (index > 0)
		snprintf(foundation, sizeof(foundation), "udpcandidate%u", index);
	put_string(candidate, "foundation", foundation);
	put_number(candidate, "priority", priority);
	put_string(candidate, "ip", text);
	put_string(candidate, "address", text);
	put_string(candidate, "protocol", "udp");
	put_number(candidate, "port", a->port);
	put_string(candidate, "type", "host");
	return candidate;
}

void transport_describe_ice(const struct transport *t, struct json_object *payload)
{
	const struct media *m = t->peer->room->core->media;
	struct json_object *ice = json_object_new_object();
	struct json_object *candidates = json_object_new_array();

	if (core_media_mode(t->peer->room->core)) {
		const struct media_info *info = media_info(m);

		put_string(ice, "usernameFragment", t->ice.ufrag);
		put_string(ice, "password", t->ice.pwd);
		put_bool(ice, "iceLite", true);
		for (uint32_t i = 0; info != NULL && i < info->address_count; i++)
			json_object_array_add(candidates, describe_candidate(&info->address[i], i));
	}
	put(payload, "iceParameters", ice);
	put(payload, "iceCandidates", candidates);
}

static struct json_object *describe_dtls(const struct transport *t)
{
	struct json_object *dtls = json_object_new_object();
	struct json_object *fingerprints, *fingerprint;

	if (!core_media_mode(t->peer->room->core))
		return dtls;
	fingerprint = json_object_new_object();
	fingerprints = json_object_new_array();
	// Exactly one: clients take the last of the list (webrtc.md 1).
	put_string(fingerprint, "algorithm", "sha-256");
	put_string(fingerprint, "value", media_fingerprint(t->peer->room->core->media));
	json_object_array_add(fingerprints, fingerprint);
	put_string(dtls, "role", "auto");
	put(dtls, "fingerprints", fingerprints);
	return dtls;
}

struct json_object *transport_describe(const struct transport *t)
{
	struct json_object *payload = json_object_new_object();

	put_string(payload, "roomId", t->peer->room->id);
	put_string(payload, "transportId", t->id);
	put_string(payload, "direction", t->send ? "send" : "recv");
	transport_describe_ice(t, payload);
	put(payload, "dtlsParameters", describe_dtls(t));
	return payload;
}
