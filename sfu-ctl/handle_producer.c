// SPDX-License-Identifier: BSD-3-Clause
/* PRODUCE, PRODUCER_CLOSE, PRODUCER_PAUSE, PRODUCER_RESUME. */
#include "sfu-ctl/await.h"
#include "sfu-ctl/bounds.h"
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

#include <assert.h>
#include <stdio.h>
#include <string.h>

static void answer_produced(struct request *r, struct producer *producer)
{
	struct json_object *payload = json_object_new_object();

	put_string(payload, "roomId", producer->peer->room->id);
	put_string(payload, "producerId", producer->id);
	put_string(payload, "kind", producer_kind(producer));
	outbox_result(r->session, "PRODUCED", payload);
	producer_announce(producer);
	request_ok(r);
}

static void on_produced(struct await *a, struct request *r, enum media_result result)
{
	struct producer *producer = producer_find(a->core, a->object_id);

	if (r == NULL)
		return;
	if (!await_allows(a, r, result)) {
		if (producer != NULL)
			producer_close(producer, "closed");
	} else if (producer == NULL) {
		// Its transport ended meanwhile, or the data plane with it.
		request_fail(
			r, a->core->media_on ? FAULT_UNKNOWN_TRANSPORT : FAULT_NODE_UNAVAILABLE);
	} else {
		answer_produced(r, producer);
	}
}

static_assert(sizeof(((struct ortc_producer *)0)->cname) == SFU_CNAME_BYTES + 1, "cname");

/* What ortc compiled, as the data plane wants it. */
static void fill_put(
	struct sfu_put_producer *put, const struct ortc_producer *o, const struct transport *t)
{
	memset(put, 0, sizeof(*put));
	put->transport = t->media;
	put->flags = t->peer->room->e2ee.required ? SFU_PRODUCER_E2EE : 0;
	if (o->feedback & ORTC_FB_NACK)
		put->flags |= SFU_PRODUCER_NACK;
	if (o->feedback & ORTC_FB_REMB)
		put->flags |= SFU_PRODUCER_REMB;
	if (t->peer->room->e2ee.required) {
		const struct frame_format *frames = &t->peer->session->caps_frames;

		put->frame_format = frames->format;
		put->kid_epoch_shift = frames->epoch_shift;
		put->kid_epoch_bits = frames->epoch_bits;
	}
	put->kind = o->kind;
	put->codec_count = o->codec_count;
	put->encoding_count = o->encoding_count;
	put->ext_count = o->ext_count;
	for (size_t i = 0; i < o->codec_count; i++) {
		put->codec[i].payload_type = o->codec[i].payload_type;
		put->codec[i].mapped_payload_type = o->codec[i].mapped_payload_type;
		put->codec[i].codec = o->codec[i].codec;
		put->codec[i].apt = o->codec[i].apt;
		put->codec[i].clock_rate_hz = o->codec[i].clock_rate_hz;
	}
	for (size_t i = 0; i < o->encoding_count; i++) {
		put->encoding[i].ssrc = o->encoding[i].ssrc;
		put->encoding[i].rtx_ssrc = o->encoding[i].rtx_ssrc;
		put->encoding[i].rid_len = o->encoding[i].rid_len;
		memcpy(put->encoding[i].rid, o->encoding[i].rid, o->encoding[i].rid_len);
	}
	for (size_t i = 0; i < o->ext_count; i++) {
		put->ext[i].id = o->ext[i].id;
		put->ext[i].ext = o->ext[i].ext;
	}
	put->mid_len = o->mid_len;
	memcpy(put->mid, o->mid, o->mid_len);
	put->cname_len = o->cname_len;
	memcpy(put->cname, o->cname, o->cname_len);
}

/* A5: an object, with codecs or encodings in it. */
static bool has_content(const struct json_object *params)
{
	struct json_object *codecs = field_array(params, "codecs");
	struct json_object *encodings = field_array(params, "encodings");

	return (codecs != NULL && json_object_array_length(codecs) > 0)
	       || (encodings != NULL && json_object_array_length(encodings) > 0);
}

static enum ortc_status negotiate(struct request *r, const struct transport *t, bool audio,
	struct ortc_producer *out, struct json_object **consumable, struct ortc_error *error)
{
	struct core *c = r->session->core;
	char cname[16];
	uint32_t mapped_ssrc;
	struct ortc_produce_args args = {
		.kind = audio ? SFU_AUDIO : SFU_VIDEO,
		.router_caps = c->capabilities,
		.fixed_cname = t->cname[0] == '\0' ? NULL : t->cname,
		.default_cname = cname,
	};

	core_short_id(c, "cn", cname);
	c->io.random(c->io.ctx, &mapped_ssrc, sizeof(mapped_ssrc));
	// Room for all encodings below the top, and never 0.
	args.mapped_ssrc = mapped_ssrc % (UINT32_MAX - SFU_MAX_ENCODINGS) + 1;
	return ortc_produce(
		field_object(r->payload, "rtpParameters"), &args, out, consumable, error);
}

static void produce_in_media(struct request *r, struct transport *t, bool audio)
{
	struct core *c = r->session->core;
	struct json_object *consumable = NULL;
	struct ortc_producer negotiated;
	struct ortc_error error = {""};
	struct producer *producer;
	struct await *a;
	int status;

	if (!has_content(field_object(r->payload, "rtpParameters"))) {
		request_fail(r, FAULT_INVALID_RTP_PARAMETERS);
		return;
	}
	switch (negotiate(r, t, audio, &negotiated, &consumable, &error)) {
	case ORTC_OK:
		break;
	case ORTC_INVALID:
	case ORTC_UNSUPPORTED:
		request_fail_with(r, FAULT_INVALID_RTP_PARAMETERS, error.text, NULL);
		return;
	case ORTC_NO_MEMORY:
		request_fail(r, FAULT_NO_MEMORY);
		return;
	}
	producer = producer_create(r->peer, t, audio);
	if (producer == NULL) {
		json_object_put(consumable);
		request_fail(r, FAULT_NO_MEMORY);
		return;
	}
	producer->consumable = consumable;
	fill_put(&producer->put, &negotiated, t);
	a = await_begin(r, on_produced, producer->id);
	if (a == NULL) {
		producer_close(producer, "closed");
		request_fail(r, FAULT_NO_MEMORY);
		return;
	}
	status = media_producer_create(c->media, &producer->put, &producer->media, await_done, a);
	if (status < 0) {
		producer->media = 0;
		producer_close(producer, "closed");
		await_refused(a, r, status);
		return;
	}
	memcpy(t->cname, negotiated.cname, sizeof(t->cname));
	remember_transport(t);
}

/* The transport to produce on. NULL: the request has been ended. */
static struct transport *send_transport(struct request *r)
{
	bool media_mode = core_media_mode(r->session->core);
	struct transport *t = NULL;
	const char *id;

	if (!named_id(r, "transportId", &id))
		return NULL;
	// C14: owner and direction count where media flows; else the seed's rule stands.
	if (id != NULL)
		t = media_mode ? transport_of(r->peer, id) : transport_in_room(r->peer, id);
	if (media_mode && t != NULL && !t->send)
		t = NULL;
	if (t == NULL)
		request_fail(r, media_mode ? FAULT_UNKNOWN_TRANSPORT : FAULT_ENGINE_NO_TRANSPORT);
	return t;
}

void handle_produce(struct request *r)
{
	struct core *c = r->session->core;
	struct json_object *kind = field_get(r->payload, "kind");
	bool audio = json_object_is_type(kind, json_type_string)
		     && strcmp(json_object_get_string(kind), "audio") == 0;
	struct producer *producer;
	struct transport *t;

	if (core_media_mode(c) && !c->media_on) {
		request_fail(r, FAULT_NODE_UNAVAILABLE);
		return;
	}
	t = send_transport(r);
	if (t == NULL)
		return;
	if (r->peer->producer_count >= LIMIT_PRODUCERS) {
		request_fail(r, FAULT_TOO_MANY_OBJECTS);
		return;
	}
	if (core_media_mode(c)) {
		produce_in_media(r, t, audio);
		return;
	}
	producer = producer_create(r->peer, t, audio);
	if (producer == NULL)
		request_fail(r, FAULT_NO_MEMORY);
	else
		answer_produced(r, producer);
}

void handle_producer_close(struct request *r)
{
	struct producer *producer = named_own_producer(r);

	if (producer == NULL)
		return;
	producer_close(producer, "closed");
	request_ok(r);
}

static void set_paused(struct request *r, bool paused)
{
	struct producer *producer = named_own_producer(r);

	if (producer == NULL)
		return;
	producer_set_paused(producer, paused);
	request_ok(r);
}

void handle_producer_pause(struct request *r)
{
	set_paused(r, true);
}

void handle_producer_resume(struct request *r)
{
	set_paused(r, false);
}
