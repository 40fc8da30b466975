// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/named.h"

#include "sfu-ctl/consumer.h"
#include "sfu-ctl/payload.h"
#include "sfu-ctl/producer.h"
#include "sfu-ctl/room.h"
#include "sfu-ctl/transport.h"

bool named_id(struct request *r, const char *field, const char **out)
{
	*out = NULL;
	if (field_id(r->payload, field, out) != FIELD_INVALID)
		return true;
	request_fail_field(r, field);
	return false;
}

struct producer *named_producer(struct request *r)
{
	struct producer *producer;
	const char *id;

	if (!named_id(r, "producerId", &id))
		return NULL;
	producer = id == NULL ? NULL : producer_in_room(r->peer, id);
	if (producer == NULL)
		request_fail(r, FAULT_UNKNOWN_PRODUCER);
	return producer;
}

struct producer *named_own_producer(struct request *r)
{
	struct producer *producer = named_producer(r);

	if (producer == NULL || producer->peer == r->peer)
		return producer;
	request_fail(r, FAULT_UNKNOWN_PRODUCER);
	return NULL;
}

struct consumer *named_own_consumer(struct request *r)
{
	struct consumer *consumer;
	const char *id;

	if (!named_id(r, "consumerId", &id))
		return NULL;
	consumer = id == NULL ? NULL : consumer_of(r->peer, id);
	if (consumer == NULL)
		request_fail(r, FAULT_UNKNOWN_CONSUMER);
	return consumer;
}

struct transport *named_own_transport(struct request *r)
{
	struct transport *t;
	const char *id;

	if (!named_id(r, "transportId", &id))
		return NULL;
	t = id == NULL ? NULL : transport_of(r->peer, id);
	if (t == NULL)
		request_fail(r, FAULT_UNKNOWN_TRANSPORT);
	return t;
}
