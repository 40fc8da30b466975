// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/consumer.h"

#include "sfu-ctl/core_impl.h"
#include "sfu-ctl/outbox.h"
#include "sfu-ctl/payload.h"
#include "sfu-ctl/producer.h"
#include "sfu-ctl/remember.h"
#include "sfu-ctl/room.h"
#include "sfu-ctl/transport.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct consumer *consumer_new(
	struct peer *p, struct producer *producer, struct transport *t, const char *id)
{
	struct core *c = p->room->core;
	struct consumer *consumer = calloc(1, sizeof(*consumer));

	if (consumer == NULL)
		return NULL;
	consumer->peer = p;
	consumer->producer = producer;
	consumer->transport = t;
	snprintf(consumer->id, sizeof(consumer->id), "%s", id);
	if (table_add(&c->consumers, &consumer->by_id, consumer->id, strlen(consumer->id)) < 0) {
		free(consumer);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&p->consumers, consumer, link);
	TAILQ_INSERT_TAIL(&producer->consumers, consumer, producer_link);
	p->consumer_count++;
	return consumer;
}

struct consumer *consumer_create(struct peer *p, struct producer *producer, struct transport *t)
{
	struct core *c = p->room->core;
	char id[UUID_BYTES];

	core_new_id(c, &c->consumers, "cs_", id);
	return consumer_new(p, producer, t, id);
}

struct consumer *consumer_restore(
	struct peer *p, struct producer *producer, struct transport *t, const char *id)
{
	struct consumer *consumer = consumer_new(p, producer, t, id);

	if (consumer != NULL)
		consumer->live = true;
	return consumer;
}

void consumer_close(struct consumer *consumer, const char *reason)
{
	struct peer *p = consumer->peer;
	struct core *c = p->room->core;

	forget_consumer(consumer);
	if (consumer->live && reason != NULL) {
		struct json_object *payload = json_object_new_object();

		put_string(payload, "roomId", p->room->id);
		put_string(payload, "consumerId", consumer->id);
		put_string(payload, "producerId", consumer->producer->id);
		put_string(payload, "reason", reason);
		outbox_event(p, "CONSUMER_CLOSED", payload);
	}
	if (consumer->media != 0)
		media_consumer_delete(c->media, consumer->media);
	table_remove(&c->consumers, &consumer->by_id);
	TAILQ_REMOVE(&p->consumers, consumer, link);
	TAILQ_REMOVE(&consumer->producer->consumers, consumer, producer_link);
	p->consumer_count--;
	json_object_put(consumer->rtp_parameters);
	free(consumer);
}

struct consumer *consumer_find(const struct core *c, const char *id)
{
	struct table_node *node = table_find(&c->consumers, id, strlen(id));

	return node == NULL ? NULL : container_of(node, struct consumer, by_id);
}

struct consumer *consumer_of(const struct peer *p, const char *id)
{
	struct consumer *consumer = consumer_find(p->room->core, id);

	return consumer != NULL && consumer->live && consumer->peer == p ? consumer : NULL;
}

static void reprogram(struct consumer *consumer)
{
	remember_consumer(consumer);
	if (consumer->media != 0)
		media_consumer_put(
			consumer->peer->room->core->media, consumer->media, &consumer->put);
}

void consumer_set_paused(struct consumer *consumer, bool paused)
{
	if (consumer->paused == paused)
		return;
	consumer->paused = paused;
	consumer->put.flags &= ~SFU_CONSUMER_PAUSED;
	if (paused)
		consumer->put.flags |= SFU_CONSUMER_PAUSED;
	reprogram(consumer);
}

void consumer_set_layer(struct consumer *consumer, uint32_t layer)
{
	uint32_t count = consumer->producer->put.encoding_count;
	uint8_t encoding = (uint8_t)(layer < count ? layer : count == 0 ? 0 : count - 1);

	if (consumer->put.encoding == encoding)
		return;
	consumer->put.encoding = encoding;
	reprogram(consumer);
}
