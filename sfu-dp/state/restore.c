// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/state/restore.h"

#include <string.h>

#include "sfu-dp/state/hot.h"

_Static_assert(STATE_TUPLES == TRANSPORT_TUPLES, "state layout");
_Static_assert(STATE_RX_STREAMS == TRANSPORT_STREAMS, "state layout");
_Static_assert(STATE_RTCP_SOURCES == TRANSPORT_RTCP_SOURCES, "state layout");
_Static_assert(STATE_RETIRED == TRANSPORT_RETIRED, "state layout");
_Static_assert(sizeof(struct tuple) == 40 && sizeof(struct l2_path) == 12, "state layout");

struct state_limits state_limits_of(const struct objects_limits *o)
{
	return (struct state_limits){
		.count = {
			[SFU_KIND_ROOM] = o->rooms,
			[SFU_KIND_PEER] = o->peers,
			[SFU_KIND_TRANSPORT] = o->transports,
			[SFU_KIND_PRODUCER] = o->producers,
			[SFU_KIND_CONSUMER] = o->consumers,
			[STATE_KIND_KEYS] = o->transports,
		},
	};
}

/** Back from 48 bits: streams are at most 2^47 indices apart. */
static uint64_t sign_extend(uint64_t value)
{
	return value >> 47 ? value | ~STATE_VALUE_MAX : value;
}

/** The index of which state_next() was stored. */
static uint64_t index_of(uint64_t next)
{
	return next == STATE_VALUE_MAX ? next : next - 1;
}

/* Consumers */

static void egress_clear(struct state_egress *e, uint32_t generation)
{
	uint64_t *word = &e->generation;

	// Nobody's until it is clean.
	for (unsigned i = 0; i < sizeof(*e) / sizeof(*word); i++)
		state_store(&word[i], state_guard(0));
	state_store(&e->about, 0);
	state_store(&e->generation, state_guard(generation));
}

void restore_consumer(struct state *s, struct consumer *c, uint64_t handle)
{
	struct state_egress *e = &s->egress[sfu_handle_index(handle)];
	uint64_t next, source;

	c->saved = e;
	if (e->generation != state_guard(sfu_handle_generation(handle))) {
		egress_clear(e, sfu_handle_generation(handle));
		return;
	}
	if (c->rtx && state_value(e->rtx_next)) {
		c->rtx->index = index_of(state_value(e->rtx_next));
		c->rtx->started = 1;
	}
	next = state_value(e->next);
	source = state_value(e->source);
	if (!next)
		return;
	c->started = 1;
	c->resync = CONSUMER_ADOPTED;
	c->highest_out_index = index_of(next);
	c->offset = sign_extend(state_value(e->offset));
	// Nothing that could have been sent under this key is sent again.
	c->start_in_index = c->highest_out_index + 1 - c->offset;
	c->source_ssrc = (uint32_t)source;
	c->current_encoding = (uint8_t)(source >> 32);
	c->timestamp_offset = (uint32_t)state_value(e->timestamp_offset);
	c->last_timestamp = (uint32_t)e->about;
	c->packets = e->about >> 32;
	c->last_sent_us = s->header->alive_us;
	if (c->rtx)
		resend_start(&c->rtx->resend, 0, s->header->alive_us);
}

/* Transports */

static void transport_clear(struct state_transport *t, uint32_t generation)
{
	state_store(&t->generation, state_guard(0));
	memset(&t->tuple, 0, sizeof(*t) - offsetof(struct state_transport, tuple));
	for (uint64_t *word = &t->generation; word < (uint64_t *)(void *)&t->tuple; word++)
		state_store(word, state_guard(0));
	state_store(&t->generation, state_guard(generation));
}

static void tuples_restore(struct transport *t)
{
	const struct state_transport *saved = t->saved;
	uint64_t path = state_value(saved->path);

	for (unsigned i = 0; i < STATE_TUPLES; i++) {
		const struct state_tuple *from = &saved->tuple[i];
		struct transport_tuple *to = &t->tuples[i];

		if (!from->last_check_us || from->sum != state_tuple_sum(from))
			continue;
		memcpy(&to->tuple, from->tuple, sizeof(to->tuple));
		memcpy(&to->l2, from->l2, sizeof(to->l2));
		to->id = from->id;
		to->last_check_us = from->last_check_us;
		t->tuple_count++;
		if (to->id >= t->next_tuple_id)
			t->next_tuple_id = to->id + 1;
		if (to->last_check_us > t->last_check_us)
			t->last_check_us = to->last_check_us;
	}
	if ((uint32_t)(path >> 16) > t->next_tuple_id)
		t->next_tuple_id = (uint32_t)(path >> 16);
	t->active = (uint32_t)(path & 0xff) % STATE_TUPLES;
	t->closed = path & STATE_PATH_CLOSED ? 1 : 0;
	// Where the address is not known any more, a check has to bring one again.
	if (!t->tuples[t->active].last_check_us)
		return;
	t->validated = path & STATE_PATH_VALIDATED ? 1 : 0;
	t->nominated = path & STATE_PATH_NOMINATED ? 1 : 0;
}

/** Everything up to the highest counts as received: what was late is lost, no replay passes. */
static void rx_restore(struct rx_stream *to, struct state_rx *from)
{
	uint64_t id = state_value(from->id);

	memset(to, 0, sizeof(*to));
	to->saved = from;
	to->used = 1;
	to->ssrc = (uint32_t)id;
	to->encoding = (uint8_t)(id >> 32);
	to->rtx = id & STATE_RX_RTX ? 1 : 0;
	if (state_value(from->producer_generation))
		to->producer = sfu_handle_make((uint32_t)state_value(from->producer_index),
			(uint32_t)state_value(from->producer_generation));
	if (state_value(from->next)) {
		to->srtp.highest = index_of(state_value(from->next));
		memset(to->srtp.window, 0xff, sizeof(to->srtp.window));
	}
}

static bool rx_is_among(const struct state_transport *saved, unsigned count, uint64_t id)
{
	for (unsigned i = 0; i < count; i++) {
		if (saved->rx[i].id == id)
			return true;
	}
	return false;
}

static void streams_restore(struct transport *t)
{
	struct state_transport *saved = t->saved;
	unsigned count = 0;

	for (unsigned i = 0; i < STATE_RETIRED && saved->retired[i]; i++)
		t->retired_ssrc[t->retired_count++] = (uint32_t)state_value(saved->retired[i]);
	for (unsigned i = 0; i < STATE_RX_STREAMS; i++) {
		if (!saved->rx[i].id)
			continue;
		// Twice after a death in the move below: the first one has all that the other has.
		if (rx_is_among(saved, count, saved->rx[i].id)) {
			state_store(&saved->rx[i].id, 0);
			continue;
		}
		// The used ones come first.
		if (i != count) {
			struct state_rx moved = saved->rx[i];

			state_rx_begin(&saved->rx[count], 0);
			state_store(&saved->rx[count].id, 0);
			memcpy(&saved->rx[count].next, &moved.next,
				sizeof(moved) - offsetof(struct state_rx, next));
			state_store(&saved->rx[count].id, moved.id);
			state_store(&saved->rx[i].id, 0);
		}
		rx_restore(&t->streams[count], &saved->rx[count]);
		count++;
	}
}

/** As after rx_restore(): nothing up to the highest passes. Each where it was: places may be free. */
static void rtcp_sources_restore(struct transport *t, uint64_t died_us)
{
	for (unsigned i = 0; i < STATE_RTCP_SOURCES; i++) {
		const struct state_rtcp *from = &t->saved->rtcp[i];
		struct rtcp_source *to = &t->rtcp_source[i];

		if (!from->id)
			continue;
		t->rtcp_source_ssrc[i] = (uint32_t)state_value(from->id);
		to->srtcp.highest = (uint32_t)index_of(state_value(from->next));
		memset(to->srtcp.window, 0xff, sizeof(to->srtcp.window));
		to->last_us = died_us ? died_us : 1;
		t->rtcp_source_count = i + 1;
	}
}

void restore_transport(struct state *s, struct transport *t, uint64_t handle)
{
	struct state_transport *saved = &s->transports[sfu_handle_index(handle)];
	uint64_t owner;

	t->saved = saved;
	if (saved->generation != state_guard(sfu_handle_generation(handle))) {
		transport_clear(saved, sfu_handle_generation(handle));
		state_store(&saved->rtcp_ssrc, state_guard(t->rtcp_ssrc));
		return;
	}
	// Made, but not quite: nothing was sent with it.
	if (!state_value(saved->rtcp_ssrc))
		state_store(&saved->rtcp_ssrc, state_guard(t->rtcp_ssrc));
	t->rtcp_ssrc = (uint32_t)state_value(saved->rtcp_ssrc);
	t->srtcp_tx.next = (uint32_t)state_value(saved->rtcp_next);
	t->twcc_seq = (uint16_t)state_value(saved->twcc_next);
	tuples_restore(t);
	streams_restore(t);
	rtcp_sources_restore(t, s->header->alive_us);
	owner = state_value(saved->owner);
	if (owner)
		atomic_store_explicit(&t->owner, (uint8_t)(owner - 1), memory_order_relaxed);
}

/* Producers */

void restore_producer(struct producer *p, uint64_t handle, uint64_t now_us)
{
	struct transport *t = p->transport;

	for (unsigned i = 0; i < TRANSPORT_STREAMS && t->streams[i].used; i++) {
		struct rx_stream *s = &t->streams[i];

		if (s->producer != handle || s->rtx || s->encoding >= SFU_MAX_ENCODINGS
			|| state_value(s->saved->id) & STATE_RX_OVER)
			continue;
		p->bound_ssrc[s->encoding] = s->ssrc;
		// As if it had flowed just now: or all would fall to the first that is heard.
		p->encoding_us[s->encoding] = now_us;
		if (s->encoding > atomic_load_explicit(&p->best_encoding, memory_order_relaxed))
			atomic_store_explicit(&p->best_encoding, s->encoding, memory_order_relaxed);
	}
}

/* Saving */

void save_tuple(const struct transport *t, const struct transport_tuple *tuple)
{
	struct state_tuple *to = &t->saved->tuple[tuple - t->tuples];

	memcpy(to->tuple, &tuple->tuple, sizeof(to->tuple));
	memcpy(to->l2, &tuple->l2, sizeof(to->l2));
	to->id = tuple->id;
	to->last_check_us = tuple->last_check_us;
	state_store(&to->sum, state_tuple_sum(to));
}

void save_path(const struct transport *t)
{
	state_store(
		&t->saved->path, state_guard(t->active | (t->validated ? STATE_PATH_VALIDATED : 0)
					     | (t->nominated ? STATE_PATH_NOMINATED : 0)
					     | (t->closed ? STATE_PATH_CLOSED : 0)
					     | (uint64_t)t->next_tuple_id << 16));
}

void save_owner(const struct transport *t, unsigned worker)
{
	state_store(&t->saved->owner, state_guard(worker + 1));
}
