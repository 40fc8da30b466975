// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/programme.h"

#include <errno.h>
#include <rte_random.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sfu-dp/table/ufrag.h"

#define KINDS (SFU_KIND_CONSUMER + 1)
#define RECLAIM_PER_TURN 256u
#define WAIT_STEP_US 100u
/** SSRCs remembered per transport; a transport that needs more has a fault. */
#define SSRC_HISTORY_MAX (1u << 20)

enum slot_state {
	SLOT_FREE = 0,
	SLOT_LIVE,
	SLOT_RETIRED, /* a worker may still look at the object */
};

/** One place for an object. */
struct slot {
	uint32_t generation; /* of the object, or of the last one */
	uint32_t version;
	uint8_t state; /* enum slot_state */
};

/** All places of a kind. */
struct table {
	struct slot *slot;
	uint8_t *base; /* the objects */
	size_t size; /* of one */
	uint32_t limit;
	uint32_t live;
};

/** An object's slot on its way from SLOT_RETIRED to SLOT_FREE. */
struct retired_slot {
	uint64_t token;
	uint32_t index;
	uint32_t kind;
};

/** In front of every list that workers see; a list on its way to free(). */
struct list_head {
	struct list_head *next;
	uint64_t token;
};

struct programme {
	struct programme_options o;
	struct table table[KINDS];
	/* ring of slots; a slot is in it once at most, so it never overflows */
	struct retired_slot *retired;
	uint32_t retired_room, retired_first, retired_count;
	struct list_head *list_first, *list_last;
	uint32_t list_count;
	bool stale_lists; /* a list could not be rebuilt for want of memory */
};

/* Lists and slots that workers may still see */

static void *list_alloc(size_t size)
{
	struct list_head *h = calloc(1, sizeof(*h) + size);

	return h ? h + 1 : NULL;
}

static void list_retire(struct programme *p, void *list)
{
	struct list_head *h = list;

	if (!list)
		return;
	h--;
	h->next = NULL;
	h->token = rte_rcu_qsbr_start(p->o.qsbr);
	if (p->list_last)
		p->list_last->next = h;
	else
		p->list_first = h;
	p->list_last = h;
	p->list_count++;
}

static void *object_at(struct programme *p, unsigned kind, uint32_t index)
{
	return p->table[kind].base + p->table[kind].size * index;
}

/** The object is out of sight (handle 0): its slot may be reused when the workers have moved on. */
static void slot_retire(struct programme *p, unsigned kind, void *object)
{
	struct table *t = &p->table[kind];
	uint32_t index = (uint32_t)((size_t)((uint8_t *)object - t->base) / t->size);
	uint32_t last = (p->retired_first + p->retired_count) % p->retired_room;

	t->slot[index].state = SLOT_RETIRED;
	t->live--;
	p->retired[last].token = rte_rcu_qsbr_start(p->o.qsbr);
	p->retired[last].kind = kind;
	p->retired[last].index = index;
	p->retired_count++;
}

static void keys_destroy(struct transport_keys *keys)
{
	if (!keys)
		return;
	keys->engine->destroy(keys->rx);
	keys->engine->destroy(keys->tx);
	free(keys);
}

/** Nobody looks at the object any more: forget what it held. */
static void slot_free(struct programme *p, unsigned kind, uint32_t index)
{
	void *object = object_at(p, kind, index);

	if (kind == SFU_KIND_TRANSPORT) {
		struct transport *t = object;
		uint8_t owner = atomic_load_explicit(&t->owner, memory_order_acquire);

		if (owner < p->o.worker_count)
			atomic_fetch_sub_explicit(
				&p->o.objects->shares[owner].transports[t->direction], 1,
				memory_order_relaxed);
		keys_destroy(atomic_load_explicit(&t->keys, memory_order_relaxed));
		free(t->ssrcs);
	}
	srtp_wipe(object, p->table[kind].size);
	p->table[kind].slot[index].state = SLOT_FREE;
}

static bool quiescent(struct programme *p, uint64_t token)
{
	return rte_rcu_qsbr_check(p->o.qsbr, token, false) == 1;
}

static void reclaim(struct programme *p, unsigned most)
{
	unsigned n = 0;

	while (p->retired_count && n < most) {
		struct retired_slot *r = &p->retired[p->retired_first];

		if (!quiescent(p, r->token))
			break;
		slot_free(p, r->kind, r->index);
		p->retired_first = (p->retired_first + 1) % p->retired_room;
		p->retired_count--;
		n++;
	}
	while (p->list_first && n < most) {
		struct list_head *h = p->list_first;

		if (!quiescent(p, h->token))
			break;
		p->list_first = h->next;
		if (!p->list_first)
			p->list_last = NULL;
		p->list_count--;
		free(h);
		n++;
	}
}

/** True when the slot is free; waits for the workers a little. */
static bool slot_wait(struct programme *p, const struct slot *slot)
{
	for (unsigned us = 0; slot->state == SLOT_RETIRED && us < PROGRAMME_WAIT_US;
		us += WAIT_STEP_US) {
		reclaim(p, UINT32_MAX);
		if (slot->state == SLOT_RETIRED)
			usleep(WAIT_STEP_US);
	}
	return slot->state == SLOT_FREE;
}

/* Building the lists. Each returns false when memory is short; nothing has changed then. */

static int by_ssrc(const void *a, const void *b)
{
	uint32_t x = (*(struct consumer *const *)a)->put.ssrc;
	uint32_t y = (*(struct consumer *const *)b)->put.ssrc;

	return x < y ? -1 : x > y;
}

static struct consumer_list *consumer_list_alloc(uint32_t count)
{
	struct consumer_list *l = list_alloc(sizeof(*l) + sizeof(l->consumer[0]) * count);

	return l;
}

/** Consumers of a transport in the order of their SSRCs; *out is NULL when there are none. */
static bool transport_consumers_build(struct transport *t, struct consumer_list **out)
{
	struct consumer *c;
	uint32_t count = 0;

	LIST_FOREACH(c, &t->consumer_head, of_transport)
	count++;
	*out = NULL;
	if (!count)
		return true;
	*out = consumer_list_alloc(count);
	if (!*out)
		return false;
	LIST_FOREACH(c, &t->consumer_head, of_transport)
	(*out)->consumer[(*out)->count++] = c;
	qsort((*out)->consumer, count, sizeof((*out)->consumer[0]), by_ssrc);
	return true;
}

static uint8_t owner_of(struct transport *t)
{
	return atomic_load_explicit(&t->owner, memory_order_acquire);
}

/** Consumers of a producer whose transports a worker owns. */
static bool fanout_build(struct producer *producer, unsigned worker, struct consumer_list **out)
{
	struct consumer *c;
	uint32_t count = 0;

	// An owner may come in between: never more than were counted.
	LIST_FOREACH(c, &producer->consumer_head, of_producer)
	count += owner_of(c->transport) == worker;
	*out = NULL;
	if (!count)
		return true;
	*out = consumer_list_alloc(count);
	if (!*out)
		return false;
	LIST_FOREACH(c, &producer->consumer_head, of_producer)
	{
		if ((*out)->count < count && owner_of(c->transport) == worker)
			(*out)->consumer[(*out)->count++] = c;
	}
	return true;
}

static void consumers_publish(
	struct programme *p, _Atomic(struct consumer_list *) *where, struct consumer_list *list)
{
	list_retire(p, atomic_exchange_explicit(where, list, memory_order_acq_rel));
}

static void fanout_rebuild(struct programme *p, struct producer *producer, unsigned worker)
{
	struct consumer_list *list;

	if (fanout_build(producer, worker, &list))
		consumers_publish(p, &producer->fanout[worker], list);
	else
		p->stale_lists = true;
}

/**
 * Take one consumer out of a published list. Must not fail: without memory for a new list the old
 * one is hidden, waited for, changed and shown again.
 */
static void consumers_take_out(
	struct programme *p, _Atomic(struct consumer_list *) *where, const struct consumer *gone)
{
	struct consumer_list *old = atomic_load_explicit(where, memory_order_relaxed), *list;
	uint32_t kept = 0;

	if (!old)
		return;
	list = consumer_list_alloc(old->count);
	if (!list) {
		atomic_store_explicit(where, NULL, memory_order_release);
		rte_rcu_qsbr_synchronize(p->o.qsbr, RTE_QSBR_THRID_INVALID);
		for (uint32_t i = 0; i < old->count; i++) {
			if (old->consumer[i] != gone)
				old->consumer[kept++] = old->consumer[i];
		}
		old->count = kept;
		atomic_store_explicit(where, old, memory_order_release);
		return;
	}
	for (uint32_t i = 0; i < old->count; i++) {
		if (old->consumer[i] != gone)
			list->consumer[list->count++] = old->consumer[i];
	}
	if (!list->count) {
		free((struct list_head *)list - 1);
		list = NULL;
	}
	consumers_publish(p, where, list);
}

static bool transport_producers_build(struct transport *t, struct producer_list **out)
{
	struct producer *producer;
	uint32_t count = 0;

	LIST_FOREACH(producer, &t->producer_head, of_transport)
	count++;
	*out = NULL;
	if (!count)
		return true;
	*out = list_alloc(sizeof(**out) + sizeof((*out)->producer[0]) * count);
	if (!*out)
		return false;
	LIST_FOREACH(producer, &t->producer_head, of_transport)
	(*out)->producer[(*out)->count++] = producer;
	return true;
}

static void producers_publish(struct programme *p, struct transport *t, struct producer_list *list)
{
	list_retire(p, atomic_exchange_explicit(&t->producers, list, memory_order_acq_rel));
}

static void producers_take_out(
	struct programme *p, struct transport *t, const struct producer *gone)
{
	struct producer_list *old, *list;
	uint32_t kept = 0;

	if (transport_producers_build(t, &list)) {
		producers_publish(p, t, list);
		return;
	}
	old = atomic_exchange_explicit(&t->producers, NULL, memory_order_acq_rel);
	rte_rcu_qsbr_synchronize(p->o.qsbr, RTE_QSBR_THRID_INVALID);
	for (uint32_t i = 0; i < old->count; i++) {
		if (old->producer[i] != gone)
			old->producer[kept++] = old->producer[i];
	}
	old->count = kept;
	atomic_store_explicit(&t->producers, old, memory_order_release);
}

/* Finding */

static struct slot *slot_live(struct programme *p, unsigned kind, uint64_t handle)
{
	struct table *t = &p->table[kind];
	uint32_t index = sfu_handle_index(handle);
	struct slot *slot;

	if (!handle || index >= t->limit)
		return NULL;
	slot = &t->slot[index];
	return slot->state == SLOT_LIVE && slot->generation == sfu_handle_generation(handle) ? slot
											     : NULL;
}

static void *find(struct programme *p, unsigned kind, uint64_t handle)
{
	return slot_live(p, kind, handle) ? object_at(p, kind, sfu_handle_index(handle)) : NULL;
}

/** What a PUT meets. */
enum place {
	PLACE_NEW, /* the slot is free: make the object */
	PLACE_THERE, /* the object is there and older: change it */
	PLACE_ANSWER, /* nothing to do but answer *status */
};

static enum place place_find(struct programme *p, unsigned kind, const struct sfu_command *cmd,
	struct slot **out, uint32_t *status)
{
	struct table *t = &p->table[kind];
	uint32_t index = sfu_handle_index(cmd->handle);
	uint32_t generation = sfu_handle_generation(cmd->handle);
	struct slot *slot;

	*status = generation ? SFU_STATUS_FULL : SFU_STATUS_MALFORMED;
	if (!generation || index >= t->limit)
		return PLACE_ANSWER;
	slot = &t->slot[index];
	*out = slot;
	if (slot->state == SLOT_LIVE && generation == slot->generation) {
		*status = cmd->version < slot->version ? SFU_STATUS_STALE : SFU_STATUS_OK;
		return cmd->version > slot->version ? PLACE_THERE : PLACE_ANSWER;
	}
	*status = SFU_STATUS_STALE;
	if (generation <= slot->generation)
		return PLACE_ANSWER;
	*status = SFU_STATUS_OCCUPIED;
	if (slot->state == SLOT_LIVE || !slot_wait(p, slot))
		return PLACE_ANSWER;
	return PLACE_NEW;
}

static void slot_take(
	struct programme *p, unsigned kind, struct slot *slot, const struct sfu_command *cmd)
{
	slot->state = SLOT_LIVE;
	slot->generation = sfu_handle_generation(cmd->handle);
	slot->version = cmd->version;
	p->table[kind].live++;
}

/* Rooms and peers */

static void gate_apply(struct peer *peer, const struct room *room)
{
	atomic_store_explicit(&peer->open_until_us,
		room->required ? peer->put_open_until_us : UINT64_MAX, memory_order_relaxed);
}

static uint32_t put_room(struct programme *p, const struct sfu_command *cmd)
{
	const struct sfu_put_room *put = &cmd->u.room;
	struct slot *slot = NULL;
	struct room *room;
	struct peer *peer;
	uint32_t status;
	enum place place;

	if (put->required > 1)
		return SFU_STATUS_MALFORMED;
	place = place_find(p, SFU_KIND_ROOM, cmd, &slot, &status);
	if (place == PLACE_ANSWER)
		return status;
	room = object_at(p, SFU_KIND_ROOM, sfu_handle_index(cmd->handle));
	room->epoch = put->epoch;
	room->required = put->required;
	if (place == PLACE_NEW) {
		room->handle = cmd->handle;
		LIST_INIT(&room->members);
		slot_take(p, SFU_KIND_ROOM, slot, cmd);
	}
	slot->version = cmd->version;
	LIST_FOREACH(peer, &room->members, of_room)
	gate_apply(peer, room);
	return SFU_STATUS_OK;
}

static uint32_t put_peer(struct programme *p, const struct sfu_command *cmd)
{
	const struct sfu_put_peer *put = &cmd->u.peer;
	struct slot *slot = NULL;
	struct room *room;
	struct peer *peer;
	uint32_t status;
	enum place place = place_find(p, SFU_KIND_PEER, cmd, &slot, &status);

	if (place == PLACE_ANSWER)
		return status;
	room = find(p, SFU_KIND_ROOM, put->room);
	if (!room)
		return SFU_STATUS_NO_PARENT;
	peer = object_at(p, SFU_KIND_PEER, sfu_handle_index(cmd->handle));
	if (place == PLACE_THERE && peer->room != put->room)
		return SFU_STATUS_UNSUPPORTED;
	peer->put_open_until_us = put->open_until_us;
	gate_apply(peer, room);
	if (place == PLACE_NEW) {
		peer->handle = cmd->handle;
		peer->room = put->room;
		LIST_INIT(&peer->list);
		LIST_INSERT_HEAD(&room->members, peer, of_room);
		room->peers++;
		slot_take(p, SFU_KIND_PEER, slot, cmd);
	}
	slot->version = cmd->version;
	return SFU_STATUS_OK;
}

/* Transports and keys */

/** Neither control characters nor the colon that ends a ufrag in USERNAME. */
static bool ice_text_ok(const uint8_t *text, unsigned len)
{
	for (unsigned i = 0; i < len; i++) {
		if (text[i] <= 0x20 || text[i] >= 0x7f || text[i] == ':')
			return false;
	}
	return true;
}

static bool transport_ok(const struct sfu_put_transport *put)
{
	return (put->direction == 1 || put->direction == 2) && put->ufrag_len >= 4
	       && put->ufrag_len <= SFU_UFRAG_BYTES && put->pwd_len >= 22
	       && put->pwd_len <= SFU_PWD_BYTES && ice_text_ok(put->ufrag, put->ufrag_len)
	       && ice_text_ok(put->pwd, put->pwd_len);
}

static bool transport_same(const struct transport *t, const struct sfu_put_transport *put)
{
	return t->direction == put->direction && t->ufrag_len == put->ufrag_len
	       && t->pwd_len == put->pwd_len && !memcmp(t->ufrag, put->ufrag, put->ufrag_len)
	       && !memcmp(t->pwd, put->pwd, put->pwd_len);
}

static uint32_t transport_make(
	struct programme *p, const struct sfu_command *cmd, struct peer *peer, struct transport *t)
{
	const struct sfu_put_transport *put = &cmd->u.transport;

	if (ufrag_find(p->o.ufrags, put->ufrag, put->ufrag_len))
		return SFU_STATUS_MALFORMED;
	if (!ufrag_add(p->o.ufrags, put->ufrag, put->ufrag_len, cmd->handle))
		return SFU_STATUS_FULL;
	t->peer = peer;
	t->direction = put->direction;
	t->ufrag_len = put->ufrag_len;
	t->pwd_len = put->pwd_len;
	memcpy(t->ufrag, put->ufrag, put->ufrag_len);
	memcpy(t->pwd, put->pwd, put->pwd_len);
	memcpy(t->label, put->label, sizeof(put->label));
	t->rtcp_ssrc = (uint32_t)rte_rand() | 1;
	t->next_tuple_id = 1;
	LIST_INIT(&t->producer_head);
	LIST_INIT(&t->consumer_head);
	LIST_INSERT_HEAD(&peer->list, t, of_peer);
	peer->transports++;
	atomic_store_explicit(&t->owner, DP_NO_WORKER, memory_order_relaxed);
	atomic_store_explicit(&t->handle, cmd->handle, memory_order_release);
	return SFU_STATUS_OK;
}

static uint32_t put_transport(struct programme *p, const struct sfu_command *cmd)
{
	const struct sfu_put_transport *put = &cmd->u.transport;
	struct slot *slot = NULL;
	struct transport *t;
	struct peer *peer;
	uint32_t status;
	enum place place;

	if (!transport_ok(put))
		return SFU_STATUS_MALFORMED;
	place = place_find(p, SFU_KIND_TRANSPORT, cmd, &slot, &status);
	if (place == PLACE_ANSWER)
		return status;
	peer = find(p, SFU_KIND_PEER, put->peer);
	if (!peer)
		return SFU_STATUS_NO_PARENT;
	t = object_at(p, SFU_KIND_TRANSPORT, sfu_handle_index(cmd->handle));
	if (place == PLACE_THERE) {
		// XXX new credentials (ICE restart) come with the issue that needs them.
		if (t->peer != peer || !transport_same(t, put))
			return SFU_STATUS_UNSUPPORTED;
		slot->version = cmd->version;
		return SFU_STATUS_OK;
	}
	status = transport_make(p, cmd, peer, t);
	if (status == SFU_STATUS_OK)
		slot_take(p, SFU_KIND_TRANSPORT, slot, cmd);
	return status;
}

static struct transport_keys *keys_create(
	const struct srtp_engine *engine, const struct sfu_put_keys *put, uint32_t *status)
{
	const struct srtp_profile *profile = srtp_profile_find(put->profile);
	struct transport_keys *keys;

	*status = SFU_STATUS_MALFORMED;
	if (!profile)
		return NULL;
	*status = SFU_STATUS_FULL;
	keys = calloc(1, sizeof(*keys));
	if (!keys)
		return NULL;
	keys->engine = engine;
	keys->profile = profile;
	if (engine->create(profile, put->rx_key, put->rx_salt, &keys->rx) != SRTP_OK
		|| engine->create(profile, put->tx_key, put->tx_salt, &keys->tx) != SRTP_OK) {
		keys_destroy(keys);
		return NULL;
	}
	*status = SFU_STATUS_OK;
	return keys;
}

static uint32_t put_keys(struct programme *p, const struct sfu_command *cmd)
{
	struct transport *t = find(p, SFU_KIND_TRANSPORT, cmd->handle);
	struct transport_keys *keys;
	uint32_t status;

	if (!t)
		return SFU_STATUS_NO_PARENT;
	if (atomic_load_explicit(&t->keys, memory_order_relaxed)) {
		if (cmd->version == t->keys_version)
			return SFU_STATUS_OK;
		return cmd->version < t->keys_version ? SFU_STATUS_STALE : SFU_STATUS_OCCUPIED;
	}
	keys = keys_create(p->o.engine, &cmd->u.keys, &status);
	if (!keys)
		return status;
	t->keys_version = cmd->version;
	atomic_store_explicit(&t->keys, keys, memory_order_release);
	return SFU_STATUS_OK;
}

/* SSRCs under a transport's keys: an ascending array of all that ever were */

static uint32_t ssrc_place(const struct transport *t, uint32_t ssrc)
{
	uint32_t low = 0, high = t->ssrc_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (t->ssrcs[middle] < ssrc)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool ssrc_used(const struct transport *t, uint32_t ssrc)
{
	uint32_t at = ssrc_place(t, ssrc);

	return at < t->ssrc_count && t->ssrcs[at] == ssrc;
}

static bool ssrc_reserve(struct transport *t, uint32_t more)
{
	uint32_t room = t->ssrc_room ? t->ssrc_room * 2 : 16;
	uint32_t *grown;

	if (t->ssrc_count + more <= t->ssrc_room)
		return true;
	if (room > SSRC_HISTORY_MAX)
		return false;
	grown = realloc(t->ssrcs, room * sizeof(*grown));
	if (!grown)
		return false;
	t->ssrcs = grown;
	t->ssrc_room = room;
	return true;
}

/** Room was reserved. */
static void ssrc_remember(struct transport *t, uint32_t ssrc)
{
	uint32_t at;

	if (!ssrc)
		return;
	at = ssrc_place(t, ssrc);
	memmove(&t->ssrcs[at + 1], &t->ssrcs[at], (t->ssrc_count - at) * sizeof(t->ssrcs[0]));
	t->ssrcs[at] = ssrc;
	t->ssrc_count++;
}

/* Producers */

static bool exts_ok(const struct sfu_ext_id *ext, unsigned count)
{
	if (count > SFU_MAX_EXTS)
		return false;
	for (unsigned i = 0; i < count; i++) {
		if (!ext[i].id || ext[i].ext == SFU_EXT_NONE || ext[i].ext >= SFU_EXT_COUNT)
			return false;
		for (unsigned k = 0; k < i; k++) {
			if (ext[k].id == ext[i].id || ext[k].ext == ext[i].ext)
				return false;
		}
	}
	return true;
}

static bool codecs_ok(const struct sfu_put_producer *put)
{
	if (!put->codec_count || put->codec_count > SFU_MAX_CODECS)
		return false;
	for (unsigned i = 0; i < put->codec_count; i++) {
		const struct sfu_producer_codec *c = &put->codec[i];

		if (c->payload_type > 127 || c->mapped_payload_type > 127 || !c->clock_rate_hz
			|| c->clock_rate_hz > 1000000 || c->codec > SFU_CODEC_RTX)
			return false;
		for (unsigned k = 0; k < i; k++) {
			if (put->codec[k].payload_type == c->payload_type)
				return false;
		}
	}
	return true;
}

static bool encodings_ok(const struct sfu_put_producer *put)
{
	if (!put->encoding_count || put->encoding_count > SFU_MAX_ENCODINGS)
		return false;
	for (unsigned i = 0; i < put->encoding_count; i++) {
		const struct sfu_producer_encoding *e = &put->encoding[i];

		if (e->rid_len > SFU_RID_BYTES || (e->ssrc && e->ssrc == e->rtx_ssrc))
			return false;
	}
	return true;
}

static bool producer_ok(const struct sfu_put_producer *put)
{
	return (put->kind == SFU_AUDIO || put->kind == SFU_VIDEO) && codecs_ok(put)
	       && encodings_ok(put) && exts_ok(put->ext, put->ext_count)
	       && put->mid_len <= SFU_MID_BYTES && put->cname_len <= SFU_CNAME_BYTES
	       && !(put->flags & ~(SFU_PRODUCER_PAUSED | SFU_PRODUCER_E2EE));
}

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
	for (unsigned i = 0; i < put->codec_count; i++) {
		const struct sfu_producer_codec *c = &put->codec[i];

		producer->mapped_payload_type[c->payload_type] = c->mapped_payload_type;
		producer->clock_rate_hz[c->payload_type] = c->clock_rate_hz;
		producer->codec[c->payload_type] = c->codec;
	}
	for (unsigned i = 0; i < put->ext_count; i++)
		producer->ext_of_id[put->ext[i].id] = put->ext[i].ext;
	LIST_INIT(&producer->consumer_head);
	atomic_store_explicit(&producer->flags, put->flags, memory_order_relaxed);
}

/** Only the flags may change in the life of a producer. */
static uint32_t producer_change(
	struct programme *p, struct producer *producer, const struct sfu_put_producer *put)
{
	struct sfu_put_producer as_is = producer->put;
	uint32_t before;

	as_is.flags = put->flags;
	if (memcmp(&as_is, put, sizeof(as_is))
		|| ((producer->put.flags ^ put->flags) & SFU_PRODUCER_E2EE))
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
	struct transport *t = find(p, SFU_KIND_TRANSPORT, put->transport);
	struct producer_list *list;

	if (!t)
		return SFU_STATUS_NO_PARENT;
	if (t->direction != 1)
		return SFU_STATUS_MALFORMED;
	if (producer_ssrcs_clash(t, put))
		return SFU_STATUS_SSRC_USED;
	producer_fill(producer, t, put);
	LIST_INSERT_HEAD(&t->producer_head, producer, of_transport);
	if (!transport_producers_build(t, &list)) {
		LIST_REMOVE(producer, of_transport);
		memset(producer, 0, sizeof(*producer));
		return SFU_STATUS_FULL;
	}
	atomic_store_explicit(&producer->handle, cmd->handle, memory_order_release);
	producers_publish(p, t, list);
	return SFU_STATUS_OK;
}

static uint32_t put_producer(struct programme *p, const struct sfu_command *cmd)
{
	struct producer *producer;
	struct slot *slot = NULL;
	uint32_t status;
	enum place place;

	if (!producer_ok(&cmd->u.producer))
		return SFU_STATUS_MALFORMED;
	place = place_find(p, SFU_KIND_PRODUCER, cmd, &slot, &status);
	if (place == PLACE_ANSWER)
		return status;
	producer = object_at(p, SFU_KIND_PRODUCER, sfu_handle_index(cmd->handle));
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

/* Consumers */

static bool consumer_ok(const struct sfu_put_consumer *put)
{
	if (!put->payload_type_count || put->payload_type_count > SFU_MAX_CODECS)
		return false;
	for (unsigned i = 0; i < put->payload_type_count; i++) {
		if (put->payload_type[i] > 127)
			return false;
	}
	return put->ssrc && put->ssrc != put->rtx_ssrc
	       && (put->encoding < SFU_MAX_ENCODINGS || put->encoding == 255)
	       && exts_ok(put->ext, put->ext_count) && put->mid_len <= SFU_MID_BYTES
	       && !(put->flags & ~SFU_CONSUMER_PAUSED);
}

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
		producer_want_key_frame(p->o.objects, c->producer);
	return SFU_STATUS_OK;
}

/** Bring a filled consumer into the lists; false, and nothing changed, without memory. */
static bool consumer_link(struct programme *p, struct consumer *c)
{
	struct consumer_list *of_transport, *fanout = NULL;
	uint8_t owner = owner_of(c->transport);

	LIST_INSERT_HEAD(&c->transport->consumer_head, c, of_transport);
	LIST_INSERT_HEAD(&c->producer->consumer_head, c, of_producer);
	if (ssrc_reserve(c->transport, 2)
		&& transport_consumers_build(c->transport, &of_transport)) {
		if (owner >= p->o.worker_count || fanout_build(c->producer, owner, &fanout)) {
			consumers_publish(p, &c->transport->consumers, of_transport);
			if (owner < p->o.worker_count)
				consumers_publish(p, &c->producer->fanout[owner], fanout);
			return true;
		}
		free((struct list_head *)of_transport - 1);
	}
	LIST_REMOVE(c, of_transport);
	LIST_REMOVE(c, of_producer);
	return false;
}

static uint32_t consumer_make(
	struct programme *p, const struct sfu_command *cmd, struct consumer *c)
{
	const struct sfu_put_consumer *put = &cmd->u.consumer;
	struct transport *t = find(p, SFU_KIND_TRANSPORT, put->transport);
	struct producer *producer = find(p, SFU_KIND_PRODUCER, put->producer);

	if (!t || !producer)
		return SFU_STATUS_NO_PARENT;
	if (t->direction != 2 || t->peer->room != producer->peer->room)
		return SFU_STATUS_MALFORMED;
	// The same SSRC again would repeat (key, SSRC, index).
	if (ssrc_used(t, put->ssrc) || (put->rtx_ssrc && ssrc_used(t, put->rtx_ssrc)))
		return SFU_STATUS_SSRC_USED;
	consumer_fill(c, t, producer, put);
	// Before it can be found in a list.
	atomic_store_explicit(&c->handle, cmd->handle, memory_order_release);
	if (!consumer_link(p, c)) {
		memset(c, 0, sizeof(*c));
		return SFU_STATUS_FULL;
	}
	producer->consumers++;
	ssrc_remember(t, put->ssrc);
	ssrc_remember(t, put->rtx_ssrc);
	return SFU_STATUS_OK;
}

static uint32_t put_consumer(struct programme *p, const struct sfu_command *cmd)
{
	struct slot *slot = NULL;
	struct consumer *c;
	uint32_t status;
	enum place place;

	if (!consumer_ok(&cmd->u.consumer))
		return SFU_STATUS_MALFORMED;
	place = place_find(p, SFU_KIND_CONSUMER, cmd, &slot, &status);
	if (place == PLACE_ANSWER)
		return status;
	c = object_at(p, SFU_KIND_CONSUMER, sfu_handle_index(cmd->handle));
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

/* Removal, children first. Never fails. */

static void consumer_remove(struct programme *p, struct consumer *c)
{
	uint8_t owner = owner_of(c->transport);

	atomic_store_explicit(&c->handle, 0, memory_order_release);
	LIST_REMOVE(c, of_transport);
	LIST_REMOVE(c, of_producer);
	c->producer->consumers--;
	consumers_take_out(p, &c->transport->consumers, c);
	if (owner < p->o.worker_count)
		consumers_take_out(p, &c->producer->fanout[owner], c);
	slot_retire(p, SFU_KIND_CONSUMER, c);
}

static void producer_remove(struct programme *p, struct producer *producer)
{
	struct consumer *c;

	atomic_store_explicit(&producer->handle, 0, memory_order_release);
	// One at a time would rebuild the lists for each.
	for (unsigned w = 0; w < p->o.worker_count; w++)
		consumers_publish(p, &producer->fanout[w], NULL);
	while ((c = LIST_FIRST(&producer->consumer_head)))
		consumer_remove(p, c);
	LIST_REMOVE(producer, of_transport);
	producers_take_out(p, producer->transport, producer);
	slot_retire(p, SFU_KIND_PRODUCER, producer);
}

static void transport_remove(struct programme *p, struct transport *t)
{
	struct producer *producer;
	struct consumer *c;

	atomic_store_explicit(&t->handle, 0, memory_order_release);
	ufrag_remove(p->o.ufrags, t->ufrag, t->ufrag_len);
	while ((producer = LIST_FIRST(&t->producer_head)))
		producer_remove(p, producer);
	// One at a time would rebuild the list for each.
	consumers_publish(p, &t->consumers, NULL);
	while ((c = LIST_FIRST(&t->consumer_head)))
		consumer_remove(p, c);
	LIST_REMOVE(t, of_peer);
	t->peer->transports--;
	slot_retire(p, SFU_KIND_TRANSPORT, t);
}

static void peer_remove(struct programme *p, struct peer *peer)
{
	struct room *room = find(p, SFU_KIND_ROOM, peer->room);
	struct transport *t;

	while ((t = LIST_FIRST(&peer->list)))
		transport_remove(p, t);
	LIST_REMOVE(peer, of_room);
	if (room)
		room->peers--;
	peer->handle = 0;
	slot_retire(p, SFU_KIND_PEER, peer);
}

static void room_remove(struct programme *p, struct room *room)
{
	struct peer *peer;

	while ((peer = LIST_FIRST(&room->members)))
		peer_remove(p, peer);
	room->handle = 0;
	slot_retire(p, SFU_KIND_ROOM, room);
}

static uint32_t delete_object(struct programme *p, unsigned kind, uint64_t handle)
{
	void *object = find(p, kind, handle);

	if (!object)
		return SFU_STATUS_NO_OBJECT;
	switch (kind) {
	case SFU_KIND_ROOM:
		room_remove(p, object);
		break;
	case SFU_KIND_PEER:
		peer_remove(p, object);
		break;
	case SFU_KIND_TRANSPORT:
		transport_remove(p, object);
		break;
	case SFU_KIND_PRODUCER:
		producer_remove(p, object);
		break;
	default:
		consumer_remove(p, object);
		break;
	}
	return SFU_STATUS_OK;
}

static uint32_t key_frame(struct programme *p, uint64_t handle)
{
	struct consumer *c = find(p, SFU_KIND_CONSUMER, handle);

	if (!c)
		return SFU_STATUS_NO_OBJECT;
	producer_want_key_frame(p->o.objects, c->producer);
	return SFU_STATUS_OK;
}

/* Public */

int programme_create(struct programme **out, const struct programme_options *options)
{
	const struct objects *o = options->objects;
	const struct {
		void *base;
		size_t size;
		uint32_t limit;
	} pools[KINDS] = {
		[SFU_KIND_ROOM] = {o->rooms, sizeof(*o->rooms), o->limits.rooms},
		[SFU_KIND_PEER] = {o->peers, sizeof(*o->peers), o->limits.peers},
		[SFU_KIND_TRANSPORT]
		= {o->transports, sizeof(*o->transports), o->limits.transports},
		[SFU_KIND_PRODUCER] = {o->producers, sizeof(*o->producers), o->limits.producers},
		[SFU_KIND_CONSUMER] = {o->consumers, sizeof(*o->consumers), o->limits.consumers},
	};
	struct programme *p;

	if (options->worker_count > DP_MAX_WORKERS || !options->engine)
		return -EINVAL;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->o = *options;
	for (unsigned kind = SFU_KIND_ROOM; kind < KINDS; kind++) {
		p->table[kind].base = pools[kind].base;
		p->table[kind].size = pools[kind].size;
		p->table[kind].limit = pools[kind].limit;
		p->table[kind].slot = calloc(pools[kind].limit, sizeof(struct slot));
		p->retired_room += pools[kind].limit;
		if (!p->table[kind].slot)
			goto fail;
	}
	p->retired = calloc(p->retired_room, sizeof(*p->retired));
	if (!p->retired)
		goto fail;
	*out = p;
	return 0;
fail:
	for (unsigned kind = 0; kind < KINDS; kind++)
		free(p->table[kind].slot);
	free(p);
	return -ENOMEM;
}

void programme_destroy(struct programme *p)
{
	if (!p)
		return;
	for (uint32_t i = 0; i < p->table[SFU_KIND_ROOM].limit; i++) {
		if (p->table[SFU_KIND_ROOM].slot[i].state == SLOT_LIVE)
			room_remove(p, object_at(p, SFU_KIND_ROOM, i));
	}
	// No worker runs: nothing to wait for.
	while (p->retired_count) {
		struct retired_slot *r = &p->retired[p->retired_first];

		slot_free(p, r->kind, r->index);
		p->retired_first = (p->retired_first + 1) % p->retired_room;
		p->retired_count--;
	}
	while (p->list_first) {
		struct list_head *h = p->list_first;

		p->list_first = h->next;
		free(h);
	}
	for (unsigned kind = 0; kind < KINDS; kind++)
		free(p->table[kind].slot);
	free(p->retired);
	free(p);
}

uint32_t programme_apply(struct programme *p, const struct sfu_command *cmd)
{
	switch (cmd->type) {
	case SFU_CMD_PUT_ROOM:
		return put_room(p, cmd);
	case SFU_CMD_DELETE_ROOM:
		return delete_object(p, SFU_KIND_ROOM, cmd->handle);
	case SFU_CMD_PUT_PEER:
		return put_peer(p, cmd);
	case SFU_CMD_DELETE_PEER:
		return delete_object(p, SFU_KIND_PEER, cmd->handle);
	case SFU_CMD_PUT_TRANSPORT:
		return put_transport(p, cmd);
	case SFU_CMD_DELETE_TRANSPORT:
		return delete_object(p, SFU_KIND_TRANSPORT, cmd->handle);
	case SFU_CMD_PUT_KEYS:
		return put_keys(p, cmd);
	case SFU_CMD_PUT_PRODUCER:
		return put_producer(p, cmd);
	case SFU_CMD_DELETE_PRODUCER:
		return delete_object(p, SFU_KIND_PRODUCER, cmd->handle);
	case SFU_CMD_PUT_CONSUMER:
		return put_consumer(p, cmd);
	case SFU_CMD_DELETE_CONSUMER:
		return delete_object(p, SFU_KIND_CONSUMER, cmd->handle);
	case SFU_CMD_KEY_FRAME:
		return key_frame(p, cmd->handle);
	default:
		return SFU_STATUS_UNSUPPORTED;
	}
}

bool programme_digest_next(struct programme *p, uint64_t *cursor, struct sfu_digest *out)
{
	uint32_t kind = (uint32_t)(*cursor >> 32), index = (uint32_t)*cursor;
	struct sfu_digest digest = {0};

	if (kind < SFU_KIND_ROOM)
		kind = SFU_KIND_ROOM;
	while (kind < KINDS && digest.count < SFU_DIGEST_ITEMS) {
		const struct slot *slot;

		if (index >= p->table[kind].limit) {
			kind++;
			index = 0;
			continue;
		}
		slot = &p->table[kind].slot[index];
		if (slot->state == SLOT_LIVE) {
			struct sfu_digest_item *item = &digest.item[digest.count++];

			item->handle = sfu_handle_make(index, slot->generation);
			item->kind = kind;
			item->version = slot->version;
		}
		index++;
	}
	*cursor = (uint64_t)kind << 32 | index;
	if (!digest.count)
		return false;
	*out = digest;
	return true;
}

void programme_notice(
	struct programme *p, const struct worker *w, const struct worker_notice *notice)
{
	struct transport *t;
	struct consumer *c;

	if (notice->kind != NOTICE_CLAIMED || w->id >= p->o.worker_count)
		return;
	t = find(p, SFU_KIND_TRANSPORT, notice->transport);
	if (!t)
		return;
	LIST_FOREACH(c, &t->consumer_head, of_transport)
	fanout_rebuild(p, c->producer, w->id);
}

void programme_reclaim(struct programme *p)
{
	reclaim(p, RECLAIM_PER_TURN);
	if (!p->stale_lists)
		return;
	p->stale_lists = false;
	for (uint32_t i = 0; i < p->table[SFU_KIND_PRODUCER].limit; i++) {
		if (p->table[SFU_KIND_PRODUCER].slot[i].state != SLOT_LIVE)
			continue;
		for (unsigned w = 0; w < p->o.worker_count; w++)
			fanout_rebuild(p, object_at(p, SFU_KIND_PRODUCER, i), w);
	}
}

void programme_figures(const struct programme *p, struct programme_figures *out)
{
	out->rooms = p->table[SFU_KIND_ROOM].live;
	out->peers = p->table[SFU_KIND_PEER].live;
	out->transports = p->table[SFU_KIND_TRANSPORT].live;
	out->producers = p->table[SFU_KIND_PRODUCER].live;
	out->consumers = p->table[SFU_KIND_CONSUMER].live;
	out->retired = p->retired_count + p->list_count;
}

const struct srtp_engine *programme_engine(const struct programme *p)
{
	return p->o.engine;
}
