// SPDX-License-Identifier: BSD-3-Clause
#include <stdlib.h>
#include <string.h>

#include "sfu-dp/programme/check.h"
#include "sfu-dp/programme/impl.h"
#include "sfu-dp/programme/ssrc.h"
#include "sfu-dp/state/restore.h"

/** Extensions that are copied as they are; the others we write ourselves or strip. */
static bool ext_is_copied(uint8_t ext)
{
	switch (ext) {
	case SFU_EXT_AUDIO_LEVEL:
	case SFU_EXT_VIDEO_ORIENTATION:
	case SFU_EXT_TOFFSET:
	case SFU_EXT_ABS_CAPTURE_TIME:
	case SFU_EXT_PLAYOUT_DELAY:
	case SFU_EXT_DEPENDENCY_DESCRIPTOR:
		return true;
	default:
		return false;
	}
}

static void consumer_fill(struct consumer *c, struct transport *t, struct producer *producer,
	const struct sfu_put_consumer *put)
{
	c->transport = t;
	c->peer = t->peer;
	c->producer = producer;
	c->producer_handle = put->producer;
	c->put = *put;
	c->ssrc = put->ssrc;
	c->mid_len = put->mid_len;
	memcpy(c->mid, put->mid, put->mid_len);
	for (unsigned i = 0; i < put->payload_type_count; i++)
		c->takes_payload_type[put->payload_type[i] >> 6] |= UINT64_C(1)
								    << (put->payload_type[i] & 63);
	for (unsigned i = 0; i < put->ext_count; i++)
		c->ext_id[put->ext[i].ext] = put->ext[i].id;
	for (unsigned id = 1; id < RTP_EXT_MAP_LEN; id++) {
		uint8_t ext = producer->ext_of_id[id];

		c->ext_map.out_id[id] = ext_is_copied(ext) ? c->ext_id[ext] : 0;
	}
	atomic_store_explicit(&c->flags, put->flags, memory_order_relaxed);
	atomic_store_explicit(&c->encoding, put->encoding, memory_order_relaxed);
}

/**
 * A client resumes before its DTLS is through. A key frame that comes then reaches nobody, and the next
 * one has to wait its time: the edge asks by itself as soon as it can pass something (fanout.c).
 */
static void consumer_want_key_frame(struct programme *p, struct consumer *c)
{
	if (atomic_load_explicit(&c->transport->keys, memory_order_acquire))
		producer_want_key_frame(p->o.objects, c->producer);
}

/** Flags and the wanted encoding may change, nothing else. */
static uint32_t consumer_change(
	struct programme *p, struct consumer *c, const struct sfu_put_consumer *put)
{
	struct sfu_put_consumer as_is = c->put;
	uint32_t before;

	as_is.flags = put->flags;
	as_is.encoding = put->encoding;
	if (memcmp(&as_is, put, sizeof(as_is)))
		return SFU_STATUS_UNSUPPORTED;
	c->put.flags = put->flags;
	c->put.encoding = put->encoding;
	atomic_store_explicit(&c->encoding, put->encoding, memory_order_relaxed);
	before = atomic_exchange_explicit(&c->flags, put->flags, memory_order_relaxed);
	if (before & ~put->flags & SFU_CONSUMER_PAUSED)
		consumer_want_key_frame(p, c);
	return SFU_STATUS_OK;
}

/** Bring a filled consumer into the lists; false, and nothing changed, without memory. */
static bool consumer_link(struct programme *p, struct consumer *c)
{
	struct consumer_list *of_transport, *fanout = NULL;
	uint8_t owner = transport_owner(c->transport);

	LIST_INSERT_HEAD(&c->transport->consumer_head, c, of_transport);
	LIST_INSERT_HEAD(&c->producer->consumer_head, c, of_producer);
	// All lists are built at the end then, not once more for each consumer.
	if (p->adopt_us && ssrc_reserve(c->transport, 2))
		return true;
	if (ssrc_reserve(c->transport, 2) && lists_consumers_build(c->transport, &of_transport)) {
		if (owner >= p->o.worker_count || lists_fanout_build(c->producer, owner, &fanout)) {
			lists_consumers_publish(&p->lists, &c->transport->consumers, of_transport);
			if (owner < p->o.worker_count)
				lists_consumers_publish(
					&p->lists, &c->producer->fanout[owner], fanout);
			return true;
		}
		lists_discard(of_transport);
	}
	LIST_REMOVE(c, of_transport);
	LIST_REMOVE(c, of_producer);
	return false;
}

/** Its egress stream of retransmissions; whether there was memory. */
static bool rtx_make(struct consumer *c)
{
	struct egress_rtx *x = aligned_alloc(_Alignof(struct egress_rtx), sizeof(*x));

	if (!x)
		return false;
	memset(x, 0, sizeof(*x));
	x->ssrc = c->put.rtx_ssrc;
	for (unsigned i = 0; i < c->put.payload_type_count; i++) {
		x->repairs[i] = c->put.payload_type[i];
		x->payload_type[i] = c->put.rtx_payload_type[i];
	}
	c->rtx = x;
	return true;
}

static uint32_t consumer_make(
	struct programme *p, const struct sfu_command *cmd, struct consumer *c)
{
	const struct sfu_put_consumer *put = &cmd->u.consumer;
	struct transport *t = slot_find(p, SFU_KIND_TRANSPORT, put->transport);
	struct producer *producer = slot_find(p, SFU_KIND_PRODUCER, put->producer);

	if (!t || !producer)
		return SFU_STATUS_NO_PARENT;
	if (t->direction != 2 || t->peer->room != producer->peer->room)
		return SFU_STATUS_MALFORMED;
	// The same SSRC again would repeat (key, SSRC, index).
	if (ssrc_used(p, t, put->ssrc) || (put->rtx_ssrc && ssrc_used(p, t, put->rtx_ssrc)))
		return SFU_STATUS_SSRC_USED;
	consumer_fill(c, t, producer, put);
	if (put->rtx_ssrc && !rtx_make(c)) {
		memset(c, 0, sizeof(*c));
		return SFU_STATUS_FULL;
	}
	restore_consumer(p->state, c, cmd->handle);
	// Before it can be found in a list.
	atomic_store_explicit(&c->handle, cmd->handle, memory_order_release);
	if (!consumer_link(p, c)) {
		free(c->rtx);
		memset(c, 0, sizeof(*c));
		return SFU_STATUS_FULL;
	}
	producer->consumers++;
	ssrc_remember(t, put->ssrc);
	ssrc_remember(t, put->rtx_ssrc);
	return SFU_STATUS_OK;
}

uint32_t put_consumer(struct programme *p, const struct sfu_command *cmd)
{
	struct slot *slot = NULL;
	struct consumer *c;
	uint32_t status;
	enum place place;

	if (!check_consumer(&cmd->u.consumer))
		return SFU_STATUS_MALFORMED;
	place = slot_place(p, SFU_KIND_CONSUMER, cmd, &slot, &status);
	if (place == PLACE_ANSWER)
		return status;
	c = slot_object(p, SFU_KIND_CONSUMER, sfu_handle_index(cmd->handle));
	if (place == PLACE_THERE) {
		status = consumer_change(p, c, &cmd->u.consumer);
		if (status == SFU_STATUS_OK)
			slot->version = cmd->version;
		return status;
	}
	status = consumer_make(p, cmd, c);
	if (status == SFU_STATUS_OK)
		slot_take(p, SFU_KIND_CONSUMER, slot, cmd);
	return status;
}

uint32_t ask_key_frame(struct programme *p, uint64_t handle)
{
	struct consumer *c = slot_find(p, SFU_KIND_CONSUMER, handle);

	if (!c)
		return SFU_STATUS_NO_OBJECT;
	consumer_want_key_frame(p, c);
	return SFU_STATUS_OK;
}
