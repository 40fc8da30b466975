// SPDX-License-Identifier: BSD-3-Clause
/** Consumers: a producer's track on its way to one device. */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "sfu-ctl/session.h"
#include "sfu-ctl/table.h"
#include "shared/command.h"

struct peer;
struct producer;
struct transport;

struct consumer {
	struct table_node by_id;
	TAILQ_ENTRY(consumer) link; /* of the consuming peer */
	TAILQ_ENTRY(consumer) producer_link;
	struct peer *peer; /* who receives */
	struct producer *producer;
	struct transport *transport; /* NULL in fallback mode without a recv transport */
	char id[UUID_BYTES];
	bool live;
	bool paused;
	uint64_t key_frame_asked_us;
	uint64_t media; /* handle, 0 = none */
	struct sfu_put_consumer put; /* what the data plane was told, while media is not 0 */
	struct json_object *rtp_parameters; /* for CONSUMER_ADDED, while not live */
};

/** A new one with a fresh id, in the tables but not live. NULL when out of memory. */
struct consumer *consumer_create(struct peer *p, struct producer *producer, struct transport *t);

/** One that was there before a restart, live. NULL as transport_restore(). */
struct consumer *consumer_restore(
	struct peer *p, struct producer *producer, struct transport *t, const char *id);

/** Remove it. reason: what CONSUMER_CLOSED tells its device; NULL tells nothing. */
void consumer_close(struct consumer *c, const char *reason);

/** A live consumer of the peer, or NULL. */
struct consumer *consumer_of(const struct peer *p, const char *id);
struct consumer *consumer_find(const struct core *c, const char *id);

void consumer_set_paused(struct consumer *c, bool paused);
/** Index of the producer's encoding; the highest there is if there are fewer. */
void consumer_set_layer(struct consumer *c, uint32_t layer);
