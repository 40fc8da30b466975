// SPDX-License-Identifier: BSD-3-Clause
/* CONSUME and CONSUMER_*. */
#include "sfu-ctl/await.h"
#include "sfu-ctl/bounds.h"
#include "sfu-ctl/consumer.h"
#include "sfu-ctl/core_impl.h"
#include "sfu-ctl/dispatch.h"
#include "sfu-ctl/named.h"
#include "sfu-ctl/ortc.h"
#include "sfu-ctl/outbox.h"
#include "sfu-ctl/payload.h"
#include "sfu-ctl/producer.h"
#include "sfu-ctl/remember.h"
#include "sfu-ctl/room.h"
#include "sfu-ctl/transport.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The consumer takes the best encoding there is (shared/command.h). */
#define BEST_ENCODING 255u

static void answer_consumed(struct request *r, struct consumer *consumer)
{
	struct json_object *payload = json_object_new_object();
	struct json_object *params = consumer->rtp_parameters;

	consumer->live = true;
	consumer->rtp_parameters = NULL;
	remember_consumer(consumer);
	if (consumer->transport != NULL)
		remember_transport(consumer->transport); // its next MID
	put_string(payload, "roomId", consumer->peer->room->id);
	put_string(payload, "consumerId", consumer->id);
	put_string(payload, "producerId", consumer->producer->id);
	put_string(payload, "kind", producer_kind(consumer->producer));
	put(payload, "rtpParameters", params == NULL ? json_object_new_object() : params);
	outbox_result(r->session, "CONSUMER_ADDED", payload);
	request_ok(r);
}

static void on_consumed(struct await *a, struct request *r, enum media_result result)
{
	struct consumer *consumer = consumer_find(a->core, a->object_id);
	enum fault gone = FAULT_NODE_UNAVAILABLE;

	if (r == NULL)
		return;
	// It went with its producer or its transport: the data plane's answer says nothing then.
	if (consumer == NULL && a->core->media_on) {
		gone = producer_find(a->core, a->parent_id) == NULL
			       ? FAULT_UNKNOWN_PRODUCER
			       : FAULT_ENGINE_NO_RECV_TRANSPORT;
		result = MEDIA_OK;
	}
	if (!await_allows(a, r, result)) {
		if (consumer != NULL)
			consumer_close(consumer, NULL);
	} else if (consumer == NULL) {
		request_fail(r, gone);
	} else {
		answer_consumed(r, consumer);
	}
}

/* What ortc compiled, as the data plane wants it. */
static void fill_put(struct consumer *consumer, const struct ortc_consumer *o)
{
	struct sfu_put_consumer *put = &consumer->put;

	memset(put, 0, sizeof(*put));
	put->transport = consumer->transport->media;
	put->producer = consumer->producer->media;
	put->ssrc = o->ssrc;
	put->rtx_ssrc = o->rtx_ssrc;
	put->encoding = BEST_ENCODING;
	put->payload_type_count = o->payload_type_count;
	memcpy(put->payload_type, o->payload_types, o->payload_type_count);
	memcpy(put->rtx_payload_type, o->rtx_payload_types, o->payload_type_count);
	put->ext_count = o->ext_count;
	for (size_t i = 0; i < o->ext_count; i++) {
		put->ext[i].id = o->ext[i].id;
		put->ext[i].ext = o->ext[i].ext;
	}
	put->mid_len = o->mid_len;
	memcpy(put->mid, o->mid, o->mid_len);
	snprintf(put->label, sizeof(put->label), "%s", consumer->id);
}

/* False: the request has been ended. */
static bool negotiate(struct request *r, struct consumer *consumer)
{
	struct core *c = r->session->core;
	const struct ortc_consume_args args = {
		.enable_rtx = !consumer->producer->audio,
		.mid = consumer->transport->next_mid,
		.ssrc = media_ssrc_new(c->media),
	};
	struct ortc_consumer negotiated;
	struct ortc_error error = {""};

	switch (ortc_consume(consumer->producer->consumable,
		field_object(r->payload, "rtpCapabilities"), &args, &negotiated,
		&consumer->rtp_parameters, &error)) {
	case ORTC_OK:
		break;
	case ORTC_INVALID:
		request_fail_with(r, FAULT_INVALID_RTP_CAPABILITIES, error.text, NULL);
		return false;
	case ORTC_UNSUPPORTED:
		request_fail(r, FAULT_CONSUME_NOT_ALLOWED);
		return false;
	case ORTC_NO_MEMORY:
		request_fail(r, FAULT_NO_MEMORY);
		return false;
	}
	consumer->transport->next_mid++;
	fill_put(consumer, &negotiated);
	return true;
}

static void consume_in_media(struct request *r, struct consumer *consumer)
{
	struct core *c = r->session->core;
	struct await *a;
	int status;

	if (!negotiate(r, consumer)) {
		consumer_close(consumer, NULL);
		return;
	}
	a = await_begin(r, on_consumed, consumer->id);
	if (a == NULL) {
		consumer_close(consumer, NULL);
		request_fail(r, FAULT_NO_MEMORY);
		return;
	}
	snprintf(a->parent_id, sizeof(a->parent_id), "%s", consumer->producer->id);
	status = media_consumer_create(c->media, &consumer->put, &consumer->media, await_done, a);
	if (status < 0) {
		consumer->media = 0;
		consumer_close(consumer, NULL);
		await_refused(a, r, status);
	}
}

/* A5, C13. False: the request has been ended. */
static bool may_consume(struct request *r, const struct producer *producer)
{
	struct json_object *caps = field_object(r->payload, "rtpCapabilities");
	struct json_object *codecs = field_array(caps, "codecs");
	struct ortc_error error = {""};

	if (codecs == NULL || json_object_array_length(codecs) == 0) {
		request_fail(r, FAULT_INVALID_RTP_CAPABILITIES);
		return false;
	}
	switch (ortc_can_consume(producer->consumable, caps, &error)) {
	case ORTC_OK:
		return true;
	case ORTC_INVALID:
		request_fail_with(r, FAULT_INVALID_RTP_CAPABILITIES, error.text, NULL);
		return false;
	case ORTC_UNSUPPORTED:
		request_fail(r, FAULT_CONSUME_NOT_ALLOWED);
		return false;
	case ORTC_NO_MEMORY:
		request_fail(r, FAULT_NO_MEMORY);
		return false;
	}
	return false;
}

/* The one that is named, if it is one; else the first (A6). */
static struct transport *recv_transport(const struct request *r)
{
	struct transport *t = NULL;
	const char *id;

	if (field_id(r->payload, "transportId", &id) == FIELD_OK)
		t = transport_of(r->peer, id);
	return t != NULL && !t->send ? t : transport_first_recv(r->peer);
}

void handle_consume(struct request *r)
{
	struct core *c = r->session->core;
	struct transport *t = recv_transport(r);
	struct consumer *consumer;
	struct producer *producer;

	if (core_media_mode(c) && !c->media_on) {
		request_fail(r, FAULT_NODE_UNAVAILABLE);
		return;
	}
	producer = named_producer(r);
	if (producer == NULL)
		return;
	if (core_media_mode(c)) {
		if (!may_consume(r, producer))
			return;
		if (t == NULL) {
			request_fail(r, FAULT_ENGINE_NO_RECV_TRANSPORT);
			return;
		}
	}
	if (r->peer->consumer_count >= LIMIT_CONSUMERS) {
		request_fail(r, FAULT_TOO_MANY_OBJECTS);
		return;
	}
	consumer = consumer_create(r->peer, producer, t);
	if (consumer == NULL)
		request_fail(r, FAULT_NO_MEMORY);
	else if (core_media_mode(c))
		consume_in_media(r, consumer);
	else
		answer_consumed(r, consumer);
}

void handle_consumer_close(struct request *r)
{
	struct consumer *consumer = named_own_consumer(r);

	if (consumer == NULL)
		return;
	consumer_close(consumer, NULL);
	request_ok(r);
}

void handle_consumer_pause(struct request *r)
{
	struct consumer *consumer = named_own_consumer(r);

	if (consumer == NULL)
		return;
	consumer_set_paused(consumer, true);
	request_ok(r);
}

static void ask_key_frame(struct consumer *consumer)
{
	struct core *c = consumer->peer->room->core;

	consumer->key_frame_asked_us = core_now(c);
	if (consumer->media != 0 && !consumer->producer->audio)
		media_consumer_key_frame(c->media, consumer->media);
}

void handle_consumer_resume(struct request *r)
{
	struct consumer *consumer;
	const char *id;

	if (!named_id(r, "consumerId", &id))
		return;
	consumer = id == NULL ? NULL : consumer_of(r->peer, id);
	// Unknown is fine (B2): clients resume what may have gone meanwhile.
	if (consumer != NULL) {
		consumer_set_paused(consumer, false);
		ask_key_frame(consumer);
	}
	request_ok(r);
}

/* An integer 0..255 that has to be there. */
static bool read_layer(const struct json_object *payload, const char *name, uint32_t *out)
{
	double number;

	if (!field_number(payload, name, &number) || !(number >= 0) || number > 255
		|| floor(number) < number)
		return false;
	*out = (uint32_t)number;
	return true;
}

void handle_consumer_set_layers(struct request *r)
{
	struct consumer *consumer = named_own_consumer(r);
	uint32_t spatial, temporal;

	if (consumer == NULL)
		return;
	if (!read_layer(r->payload, "spatialLayer", &spatial)) {
		request_fail_field(r, "spatialLayer");
		return;
	}
	// The data plane drops no temporal layers: checked, then without effect (ARCHITECTURE.md, limits).
	if (field_get(r->payload, "temporalLayer") != NULL
		&& !read_layer(r->payload, "temporalLayer", &temporal)) {
		request_fail_field(r, "temporalLayer");
		return;
	}
	consumer_set_layer(consumer, spatial);
	request_ok(r);
}

void handle_consumer_key_frame(struct request *r)
{
	uint64_t now_us = core_now(r->session->core);
	struct consumer *consumer = named_own_consumer(r);

	if (consumer == NULL)
		return;
	if (consumer->key_frame_asked_us != 0
		&& now_us - consumer->key_frame_asked_us < LIMIT_KEY_FRAME_US) {
		request_fail(r, FAULT_KEY_FRAME_RATE);
		return;
	}
	ask_key_frame(consumer);
	request_ok(r);
}
