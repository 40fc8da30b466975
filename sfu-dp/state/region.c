// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/state/region.h"

#include <stdatomic.h>
#include <string.h>

/**
 * After each store that another process might find to be the last. The compiler must not move
 * stores over it; the processor does not, as seen by a process that maps the memory after a death.
 * Tests die here.
 */
#ifndef STATE_STEP
#define STATE_STEP() atomic_signal_fence(memory_order_seq_cst)
#endif

const char *state_status_text(enum state_status status)
{
	switch (status) {
	case STATE_OK:
		return "whole";
	case STATE_EMPTY:
		return "empty";
	case STATE_FOREIGN:
		return "of another version";
	case STATE_LIMITS:
		return "of other SFU_DP_MAX_* settings";
	case STATE_DAMAGED:
		return "damaged";
	}
	return "?";
}

uint64_t state_sum(const void *data, size_t bytes)
{
	const uint8_t *p = data;
	uint64_t sum = 0x9e3779b97f4a7c15u, word;

	// Each step can be undone, so two inputs that differ in one word never meet again.
	for (size_t i = 0; i + sizeof(word) <= bytes; i += sizeof(word)) {
		memcpy(&word, p + i, sizeof(word));
		sum = (sum ^ word) * 0xff51afd7ed558ccdu;
		sum ^= sum >> 32;
	}
	return sum;
}

static uint64_t header_sum(const struct state_header *h)
{
	return state_sum(h, offsetof(struct state_header, sum));
}

static uint64_t redo_sum(const struct state_redo *redo)
{
	return state_sum(redo, offsetof(struct state_redo, sum));
}

uint64_t state_tuple_sum(const struct state_tuple *t)
{
	return state_sum(t, offsetof(struct state_tuple, sum));
}

/** Where everything lies; the sum is not made. Returns the octets of the whole. */
static uint64_t header_fill(struct state_header *h, const struct state_limits *limits)
{
	uint64_t at = STATE_HEADER_BYTES;

	memset(h, 0, sizeof(*h));
	h->magic = STATE_MAGIC;
	h->version = STATE_VERSION;
	h->header_bytes = STATE_HEADER_BYTES;
	h->limits = *limits;
	for (unsigned kind = 1; kind < STATE_KINDS; kind++) {
		h->slots_at[kind] = at;
		at += (uint64_t)limits->count[kind] * sizeof(struct state_slot);
	}
	at = (at + 63) & ~UINT64_C(63);
	for (unsigned kind = 1; kind < STATE_KINDS; kind++) {
		h->bodies_at[kind] = at;
		at += (uint64_t)limits->count[kind] * sizeof(struct sfu_command);
	}
	h->egress_at = at;
	at += (uint64_t)limits->count[SFU_KIND_CONSUMER] * sizeof(struct state_egress);
	h->transports_at = at;
	at += (uint64_t)limits->count[SFU_KIND_TRANSPORT] * sizeof(struct state_transport);
	h->region_bytes = (at + 4095) & ~UINT64_C(4095);
	return h->region_bytes;
}

size_t state_bytes(const struct state_limits *limits)
{
	struct state_header h;

	return header_fill(&h, limits);
}

void state_format(void *memory, const struct state_limits *limits, uint64_t instance)
{
	struct state_header *mapped = memory, h;

	header_fill(&h, limits);
	h.instance = instance;
	h.sum = header_sum(&h);
	h.done = state_guard(0);
	// Without its magic it is no state yet.
	h.magic = 0;
	*mapped = h;
	STATE_STEP();
	mapped->magic = STATE_MAGIC;
	STATE_STEP();
}

void state_open(struct state *s, void *memory)
{
	uint8_t *base = memory;

	memset(s, 0, sizeof(*s));
	s->header = memory;
	s->limits = s->header->limits;
	for (unsigned kind = 1; kind < STATE_KINDS; kind++) {
		s->slots[kind] = (void *)(base + s->header->slots_at[kind]);
		s->bodies[kind] = (void *)(base + s->header->bodies_at[kind]);
	}
	s->egress = (void *)(base + s->header->egress_at);
	s->transports = (void *)(base + s->header->transports_at);
	s->sequence = state_value(s->header->done);
}

/* Slots. One that was never used is all zero. */

static bool slot_is_fresh(const struct state_slot *slot)
{
	return !slot->generation && !slot->version && !slot->body_sum;
}

static unsigned slot_state(const struct state_slot *slot)
{
	return slot_is_fresh(slot) ? STATE_FREE : (unsigned)(slot->version >> 32 & 0xffff);
}

static uint32_t slot_version(const struct state_slot *slot)
{
	return (uint32_t)slot->version;
}

uint32_t state_generation(const struct state *s, unsigned kind, uint32_t index)
{
	const struct state_slot *slot = &s->slots[kind][index];

	return slot_is_fresh(slot) ? 0 : (uint32_t)state_value(slot->generation);
}

unsigned state_kind_of_put(uint32_t command_type)
{
	switch (command_type) {
	case SFU_CMD_PUT_ROOM:
		return SFU_KIND_ROOM;
	case SFU_CMD_PUT_PEER:
		return SFU_KIND_PEER;
	case SFU_CMD_PUT_TRANSPORT:
		return SFU_KIND_TRANSPORT;
	case SFU_CMD_PUT_PRODUCER:
		return SFU_KIND_PRODUCER;
	case SFU_CMD_PUT_CONSUMER:
		return SFU_KIND_CONSUMER;
	case SFU_CMD_PUT_KEYS:
		return STATE_KIND_KEYS;
	default:
		return 0;
	}
}

/* Checking */

static bool words_ok(const uint64_t *word, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (!state_guard_ok(word[i]))
			return false;
	}
	return true;
}

static const struct sfu_command *redo_pending(const struct state_header *h)
{
	if (redo_sum(&h->redo) != h->redo.sum || h->redo.sequence != state_value(h->done) + 1)
		return NULL;
	return &h->redo.command;
}

/** Only the object that a pending PUT makes may be found unfinished; a DELETE may leave many. */
static bool busy_is_explained(const struct state *s, unsigned kind, uint32_t index)
{
	const struct sfu_command *redo = redo_pending(s->header);
	unsigned put = redo ? state_kind_of_put(redo->type) : 0;

	if (!redo)
		return false;
	return !put || (put == kind && sfu_handle_index(redo->handle) == index);
}

static bool slot_ok(const struct state *s, unsigned kind, uint32_t index)
{
	const struct state_slot *slot = &s->slots[kind][index];
	const struct sfu_command *body = &s->bodies[kind][index];

	if (slot_is_fresh(slot))
		return true;
	if (!state_guard_ok(slot->version))
		return false;
	if (slot_state(slot) == STATE_BUSY)
		return busy_is_explained(s, kind, index);
	if (!state_guard_ok(slot->generation))
		return false;
	if (slot_state(slot) == STATE_FREE)
		return true;
	return slot_state(slot) == STATE_LIVE && slot->body_sum == state_sum(body, sizeof(*body))
	       && state_kind_of_put(body->type) == kind && body->version == slot_version(slot)
	       && body->handle == sfu_handle_make(index, (uint32_t)state_value(slot->generation));
}

static bool is_live(const struct state *s, unsigned kind, uint32_t index)
{
	return slot_state(&s->slots[kind][index]) == STATE_LIVE;
}

static bool egress_ok(const struct state *s, uint32_t index)
{
	const struct state_egress *e = &s->egress[index];

	return words_ok(&e->generation, offsetof(struct state_egress, about) / sizeof(uint64_t))
	       && state_value(e->generation) == state_generation(s, SFU_KIND_CONSUMER, index);
}

static bool rx_ok(const struct state_rx *rx)
{
	return !rx->id || words_ok(&rx->id, sizeof(*rx) / sizeof(uint64_t));
}

static bool rtcp_ok(const struct state_rtcp *rtcp)
{
	return !rtcp->id || words_ok(&rtcp->id, sizeof(*rtcp) / sizeof(uint64_t));
}

/** Words of which a plain 0 was never written. */
static bool words_ok_or_fresh(const uint64_t *word, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (word[i] && !state_guard_ok(word[i]))
			return false;
	}
	return true;
}

static bool transport_ok(const struct state *s, uint32_t index)
{
	const struct state_transport *t = &s->transports[index];

	if (!words_ok(&t->generation, offsetof(struct state_transport, tuple) / sizeof(uint64_t))
		|| state_value(t->generation) != state_generation(s, SFU_KIND_TRANSPORT, index))
		return false;
	for (unsigned i = 0; i < STATE_RETIRED && t->retired[i]; i++) {
		if (!state_guard_ok(t->retired[i]))
			return false;
	}
	for (unsigned i = 0; i < STATE_RX_STREAMS; i++) {
		if (!rx_ok(&t->rx[i]))
			return false;
	}
	for (unsigned i = 0; i < STATE_RTCP_SOURCES; i++) {
		if (!rtcp_ok(&t->rtcp[i]))
			return false;
	}
	return words_ok_or_fresh(&t->checks_next, 1) && words_ok_or_fresh(t->checks, STATE_CHECKS);
}

static bool redo_ok(const struct state_header *h)
{
	if (!state_guard_ok(h->done))
		return false;
	// Not whole: it was being written, and no record was touched yet.
	if (redo_sum(&h->redo) != h->redo.sum)
		return true;
	return h->redo.sequence == state_value(h->done)
	       || h->redo.sequence == state_value(h->done) + 1;
}

static bool records_ok(const struct state *s)
{
	for (unsigned kind = 1; kind < STATE_KINDS; kind++) {
		for (uint32_t i = 0; i < s->limits.count[kind]; i++) {
			if (!slot_ok(s, kind, i))
				return false;
		}
	}
	for (uint32_t i = 0; i < s->limits.count[SFU_KIND_CONSUMER]; i++) {
		if (is_live(s, SFU_KIND_CONSUMER, i) && !egress_ok(s, i))
			return false;
	}
	for (uint32_t i = 0; i < s->limits.count[SFU_KIND_TRANSPORT]; i++) {
		if (is_live(s, SFU_KIND_TRANSPORT, i) && !transport_ok(s, i))
			return false;
	}
	return true;
}

enum state_status state_check(const void *memory, size_t bytes, const struct state_limits *limits)
{
	const struct state_header *h = memory;
	struct state_header expected;
	struct state s;

	if (bytes < STATE_HEADER_BYTES)
		return STATE_DAMAGED;
	if (!h->magic && !h->version && !h->sum)
		return STATE_EMPTY;
	if (h->magic != STATE_MAGIC)
		return h->version == STATE_VERSION && h->sum ? STATE_DAMAGED : STATE_FOREIGN;
	if (h->version != STATE_VERSION)
		return STATE_FOREIGN;
	if (h->sum != header_sum(h))
		return STATE_DAMAGED;
	if (memcmp(&h->limits, limits, sizeof(*limits)))
		return STATE_LIMITS;
	header_fill(&expected, limits);
	expected.instance = h->instance;
	if (memcmp(&expected, h, offsetof(struct state_header, sum)))
		return STATE_FOREIGN;
	if (h->region_bytes > bytes || !redo_ok(h))
		return STATE_DAMAGED;
	// Only read from here on, though state_open() is for writers too.
	state_open(&s, (void *)(uintptr_t)memory);
	return records_ok(&s) ? STATE_OK : STATE_DAMAGED;
}

const struct sfu_command *state_find(const struct state *s, unsigned kind, uint32_t index)
{
	return is_live(s, kind, index) ? &s->bodies[kind][index] : NULL;
}

/* Changing */

static void slot_write(
	struct state_slot *slot, uint32_t generation, uint32_t version, enum state_slot_state state)
{
	slot->generation = state_guard(generation);
	STATE_STEP();
	slot->version = state_guard(version | (uint64_t)state << 32);
	STATE_STEP();
}

static void slot_busy(struct state_slot *slot)
{
	slot->version = state_guard((uint64_t)STATE_BUSY << 32);
	STATE_STEP();
}

void state_put(struct state *s, const struct sfu_command *command)
{
	unsigned kind = state_kind_of_put(command->type);
	uint32_t index = sfu_handle_index(command->handle);
	struct state_slot *slot = &s->slots[kind][index];
	struct sfu_command *body = &s->bodies[kind][index];

	slot_busy(slot);
	*body = *command;
	STATE_STEP();
	slot->body_sum = state_sum(body, sizeof(*body));
	STATE_STEP();
	slot_write(slot, sfu_handle_generation(command->handle), command->version, STATE_LIVE);
}

/** The body is nothing any more: wipe it, keep the generation. */
static void slot_clear(struct state *s, unsigned kind, uint32_t index)
{
	struct state_slot *slot = &s->slots[kind][index];
	uint32_t generation = (uint32_t)state_value(slot->generation);

	if (slot_is_fresh(slot))
		return;
	slot_busy(slot);
	explicit_bzero(&s->bodies[kind][index], sizeof(s->bodies[kind][index]));
	STATE_STEP();
	slot_write(slot, generation, 0, STATE_FREE);
}

void state_forget(struct state *s, unsigned kind, uint32_t index)
{
	// Keys first: a transport that is still there has its DELETE under way, keys alone have nobody.
	if (kind == SFU_KIND_TRANSPORT)
		slot_clear(s, STATE_KIND_KEYS, index);
	slot_clear(s, kind, index);
}

void state_begin(struct state *s, const struct sfu_command *command)
{
	struct state_redo *redo = &s->header->redo;

	s->sequence = state_value(s->header->done) + 1;
	redo->sum = 0;
	STATE_STEP();
	redo->command = *command;
	redo->sequence = s->sequence;
	STATE_STEP();
	redo->sum = redo_sum(redo);
	STATE_STEP();
}

void state_end(struct state *s)
{
	s->header->done = state_guard(s->sequence);
	STATE_STEP();
	// There may be keys in it. A wrong sum is one that was never begun.
	explicit_bzero(&s->header->redo.command, sizeof(s->header->redo.command));
	STATE_STEP();
}

const struct sfu_command *state_recover(struct state *s)
{
	const struct sfu_command *redo = redo_pending(s->header);
	unsigned kind = redo ? state_kind_of_put(redo->type) : 0;

	if (!redo)
		return NULL;
	s->sequence = s->header->redo.sequence;
	if (kind) {
		uint32_t index = sfu_handle_index(redo->handle);

		// What the control plane says is written before it is checked. Once it was accepted,
		// its record is begun.
		if (index < s->limits.count[kind]
			&& slot_state(&s->slots[kind][index]) == STATE_BUSY)
			state_put(s, redo);
		return redo;
	}
	for (kind = 1; kind < STATE_KINDS; kind++) {
		for (uint32_t i = 0; i < s->limits.count[kind]; i++) {
			if (slot_state(&s->slots[kind][i]) == STATE_BUSY)
				state_forget(s, kind, i);
		}
	}
	return redo;
}

/* SSRCs that may not come again: a range on the circle of 2^32 */

bool state_ssrc_is_over(const struct state_transport *t, uint32_t ssrc)
{
	return (uint32_t)(ssrc - (uint32_t)state_value(t->over_first)) < state_value(t->over_count);
}

static void over_store(uint64_t *where, uint64_t value)
{
	*(volatile uint64_t *)where = state_guard(value);
	STATE_STEP();
}

void state_ssrc_over(struct state_transport *t, uint32_t ssrc)
{
	uint32_t first = (uint32_t)state_value(t->over_first);
	uint64_t count = state_value(t->over_count);
	uint32_t above = ssrc - (uint32_t)(first + count - 1), below = first - ssrc;

	if (!ssrc || state_ssrc_is_over(t, ssrc))
		return;
	// Between two stores it may be too long, never too short.
	if (!count) {
		over_store(&t->over_first, ssrc);
		over_store(&t->over_count, 1);
	} else if (above <= below) {
		over_store(&t->over_count, count + above);
	} else {
		over_store(&t->over_count, count + below);
		over_store(&t->over_first, ssrc);
	}
}
