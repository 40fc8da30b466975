// SPDX-License-Identifier: BSD-3-Clause
#include <string.h>

#include "sfu-dp/programme/check.h"
#include "sfu-dp/programme/impl.h"
#include "sfu-dp/state/restore.h"

static bool encoding_has(const struct sfu_producer_encoding *e, uint32_t ssrc)
{
	return ssrc && (e->ssrc == ssrc || e->rtx_ssrc == ssrc);
}

static bool producer_has(const struct sfu_put_producer *put, unsigned encodings, uint32_t ssrc)
{
	for (unsigned i = 0; i < encodings; i++) {
		if (encoding_has(&put->encoding[i], ssrc))
			return true;
	}
	return false;
}

/** An SSRC that an earlier encoding or another producer of the transport has announced. */
static bool producer_ssrcs_clash(struct transport *t, const struct sfu_put_producer *put)
{
	for (unsigned i = 0; i < put->encoding_count; i++) {
		const struct sfu_producer_encoding *e = &put->encoding[i];
		struct producer *other;

		if (producer_has(put, i, e->ssrc) || producer_has(put, i, e->rtx_ssrc))
			return true;
		LIST_FOREACH(other, &t->producer_head, of_transport)
		{
			unsigned n = other->put.encoding_count;

			if (producer_has(&other->put, n, e->ssrc)
				|| producer_has(&other->put, n, e->rtx_ssrc))
				return true;
		}
	}
	return false;
}

static void producer_fill(
	struct producer *producer, struct transport *t, const struct sfu_put_producer *put)
{
	producer->transport = t;
	producer->peer = t->peer;
	producer->put = *put;
	memset(producer->mapped_payload_type, 0xff, sizeof(producer->mapped_payload_type));
	memset(producer->apt, 0xff, sizeof(producer->apt));
	for (unsigned i = 0; i < put->codec_count; i++) {
		const struct sfu_producer_codec *c = &put->codec[i];

		producer->mapped_payload_type[c->payload_type] = c->mapped_payload_type;
		producer->clock_rate_hz[c->payload_type] = c->clock_rate_hz;
		producer->codec[c->payload_type] = c->codec;
		if (c->codec == SFU_CODEC_RTX)
			producer->apt[c->payload_type] = c->apt;
	}
	for (unsigned i = 0; i < put->ext_count; i++)
		producer->ext_of_id[put->ext[i].id] = put->ext[i].ext;
	LIST_INIT(&producer->consumer_head);
	atomic_store_explicit(&producer->flags, put->flags, memory_order_relaxed);
}

/** Only whether it is paused may change in the life of a producer. */
static uint32_t producer_change(
	struct programme *p, struct producer *producer, const struct sfu_put_producer *put)
{
	struct sfu_put_producer as_is = producer->put;
	uint32_t before;

	as_is.flags = put->flags;
	if (memcmp(&as_is, put, sizeof(as_is))
		|| ((producer->put.flags ^ put->flags) & ~SFU_PRODUCER_PAUSED))
		return SFU_STATUS_UNSUPPORTED;
	producer->put.flags = put->flags;
	before = atomic_exchange_explicit(&producer->flags, put->flags, memory_order_relaxed);
	if (before & ~put->flags & SFU_PRODUCER_PAUSED)
		producer_want_key_frame(p->o.objects, producer);
	return SFU_STATUS_OK;
}

static uint32_t producer_make(
	struct programme *p, const struct sfu_command *cmd, struct producer *producer)
{
	const struct sfu_put_producer *put = &cmd->u.producer;
	struct transport *t = slot_find(p, SFU_KIND_TRANSPORT, put->transport);
	struct producer_list *list;

	if (!t)
		return SFU_STATUS_NO_PARENT;
	if (t->direction != 1)
		return SFU_STATUS_MALFORMED;
	if (producer_ssrcs_clash(t, put))
		return SFU_STATUS_SSRC_USED;
	producer_fill(producer, t, put);
	restore_producer(producer, cmd->handle, p->adopt_us);
	LIST_INSERT_HEAD(&t->producer_head, producer, of_transport);
	if (!lists_producers_build(t, &list)) {
		LIST_REMOVE(producer, of_transport);
		memset(producer, 0, sizeof(*producer));
		return SFU_STATUS_FULL;
	}
	atomic_store_explicit(&producer->handle, cmd->handle, memory_order_release);
	lists_producers_publish(&p->lists, t, list);
	return SFU_STATUS_OK;
}

uint32_t put_producer(struct programme *p, const struct sfu_command *cmd)
{
	struct producer *producer;
	struct slot *slot = NULL;
	uint32_t status;
	enum place place;

	if (!check_producer(&cmd->u.producer))
		return SFU_STATUS_MALFORMED;
	place = slot_place(p, SFU_KIND_PRODUCER, cmd, &slot, &status);
	if (place == PLACE_ANSWER)
		return status;
	producer = slot_object(p, SFU_KIND_PRODUCER, sfu_handle_index(cmd->handle));
	if (place == PLACE_THERE) {
		status = producer_change(p, producer, &cmd->u.producer);
		if (status == SFU_STATUS_OK)
			slot->version = cmd->version;
		return status;
	}
	status = producer_make(p, cmd, producer);
	if (status == SFU_STATUS_OK)
		slot_take(p, SFU_KIND_PRODUCER, slot, cmd);
	return status;
}
