// SPDX-License-Identifier: BSD-3-Clause
/** Transports: one half of a device's media, in one direction. */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "sfu-ctl/media.h"
#include "sfu-ctl/session.h"
#include "sfu-ctl/table.h"

struct peer;

struct transport {
	struct table_node by_id;
	struct table_node by_media; /* while media is not 0 */
	TAILQ_ENTRY(transport) link; /* of the peer */
	struct peer *peer;
	char id[UUID_BYTES];
	bool send; /* client to us */
	bool live; /* the data plane has it; always in fallback mode */
	uint64_t media; /* handle, 0 = none */
	struct media_ice ice; /* wiped by transport_destroy(), like the next */
	struct media_ice ice_next; /* of a restart that the data plane has not answered yet */
	uint32_t next_mid; /* recv: of the next consumer, never used twice */
	char cname[SFU_CNAME_BYTES + 1]; /* send: of its first producer, "" = none yet */
};

/** A new one with a fresh id, in the tables but not live. NULL when out of memory. */
struct transport *transport_create(struct peer *p, bool send);

/** One that was there before a restart, by its id. NULL when out of memory, or there is one. */
struct transport *transport_restore(struct peer *p, const char *id, bool send);

/** Remember the data plane's handle. 0, -ENOMEM, or -EINVAL for the handle 0, which is none. */
int transport_set_media(struct transport *t, uint64_t handle);

/**
 * Remove it and what hangs on it; others hear of that with this reason.
 * @param tell_owner  the consumers' own device is told as well: it did not ask for this
 */
void transport_close(struct transport *t, const char *reason, bool tell_owner);

/** Remove it; nothing may hang on it. */
void transport_destroy(struct transport *t);

/** A live transport of this peer, NULL if there is none of that id. */
struct transport *transport_of(const struct peer *p, const char *id);
/** A live one of any peer in the room of p. */
struct transport *transport_in_room(const struct peer *p, const char *id);
/** The first live recv transport of the peer, or NULL. */
struct transport *transport_first_recv(const struct peer *p);
/** Any, also one that is not live. */
struct transport *transport_find(const struct core *c, const char *id);
struct transport *transport_by_media(const struct core *c, uint64_t handle);

/** Put iceParameters and iceCandidates into a payload: empty ones in fallback mode. */
void transport_describe_ice(const struct transport *t, struct json_object *payload);

/** Payload of TRANSPORT_CREATED. */
struct json_object *transport_describe(const struct transport *t);
