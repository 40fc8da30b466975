// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/proto/envelope.h"

#include <assert.h>
#include <math.h>
#include <string.h>

static uint64_t read_le64(const uint8_t *p)
{
	uint64_t v = 0;

	for (int i = 7; i >= 0; i--)
		v = v << 8 | p[i];
	return v;
}

static uint64_t rotate(uint64_t v, int bits)
{
	return v << bits | v >> (64 - bits);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[0] = rotate(v[0], 32);
	v[2] += v[3];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[2] = rotate(v[2], 32);
}

uint64_t env_siphash(const uint8_t key[ENV_KEY_BYTES], const void *data, size_t len)
{
	uint64_t k0 = read_le64(key);
	uint64_t k1 = read_le64(key + 8);
	uint64_t v[4] = {
		k0 ^ UINT64_C(0x736f6d6570736575),
		k1 ^ UINT64_C(0x646f72616e646f6d),
		k0 ^ UINT64_C(0x6c7967656e657261),
		k1 ^ UINT64_C(0x7465646279746573),
	};
	const uint8_t *at = data;
	uint8_t last[8] = {0};
	uint64_t m;

	for (size_t left = len; left >= 8; left -= 8, at += 8) {
		m = read_le64(at);
		v[3] ^= m;
		sip_round(v);
		sip_round(v);
		v[0] ^= m;
	}
	if (len % 8 != 0)
		memcpy(last, at, len % 8);
	last[7] = (uint8_t)len;
	m = read_le64(last);
	v[3] ^= m;
	sip_round(v);
	sip_round(v);
	v[0] ^= m;
	v[2] ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

bool env_truthy(const struct env_value *value)
{
	switch (value->type) {
	case ENV_ABSENT:
	case ENV_NULL:
		return false;
	case ENV_BOOL:
		return value->boolean;
	case ENV_NUMBER:
		return value->number < 0 || value->number > 0; /* NaN is false too */
	case ENV_STRING:
		return value->string_len > 0;
	case ENV_ARRAY:
	case ENV_OBJECT:
		return true;
	}
	return false;
}

bool env_id_valid(const char *id, size_t len, size_t min_len)
{
	if (len < min_len || len > ENV_MSG_ID_MAX_BYTES)
		return false;
	for (size_t i = 0; i < len; i++) {
		uint8_t c = (uint8_t)id[i];

		if (c < 0x20 || c == 0x7f)
			return false;
		// C1 controls, U+0080..U+009F: terminals obey them in a log as well.
		if (c == 0xc2 && i + 1 < len && (uint8_t)id[i + 1] < 0xa0)
			return false;
	}
	return true;
}

void env_window_init(struct env_window *w, struct env_slot *slots, uint32_t capacity)
{
	assert(capacity >= 1 && capacity <= ENV_WINDOW_MAX);
	memset(w, 0, sizeof(*w));
	w->slots = slots;
	w->capacity = capacity;
}

uint32_t env_window_wants(const struct env_window *w)
{
	if (w->count < w->capacity || w->capacity == ENV_WINDOW_MAX)
		return 0;
	return w->capacity > ENV_WINDOW_MAX / 2 ? ENV_WINDOW_MAX : w->capacity * 2;
}

/* The slot of a ticket that is still in the window. */
static struct env_slot *slot_of(const struct env_window *w, uint64_t ticket)
{
	return &w->slots[ticket % w->capacity];
}

struct env_slot *env_window_move(struct env_window *w, struct env_slot *slots, uint32_t capacity)
{
	struct env_slot *old = w->slots;

	assert(capacity >= w->capacity && capacity <= ENV_WINDOW_MAX);
	for (uint64_t ticket = w->accepted - w->count; ticket < w->accepted; ticket++)
		slots[ticket % capacity] = *slot_of(w, ticket);
	w->slots = slots;
	w->capacity = capacity;
	return old;
}

uint64_t env_window_adopt(
	struct env_window *w, struct env_window *older, struct env_slot *slots, uint32_t capacity)
{
	uint64_t first = w->accepted - w->count;
	uint64_t older_first = older->accepted - older->count;
	uint32_t shift = older->count;

	assert(capacity >= 1 && capacity <= ENV_WINDOW_MAX && capacity >= w->count + shift);
	for (uint32_t i = 0; i < shift; i++)
		slots[(first + i) % capacity] = *slot_of(older, older_first + i);
	for (uint32_t i = 0; i < w->count; i++)
		slots[(first + shift + i) % capacity] = *slot_of(w, first + i);
	w->slots = slots;
	w->capacity = capacity;
	w->accepted += shift;
	w->count += shift;
	older->slots = NULL;
	older->count = 0;
	return shift;
}

bool env_window_pop(struct env_window *w, uint64_t *outcome)
{
	if (w->count == 0)
		return false;
	*outcome = slot_of(w, w->accepted - w->count)->outcome;
	w->count--;
	return true;
}

/* A plain scan: 4000 hashes are read in microseconds, and an index would double what each idle
 * connection holds. */
static bool find(const struct env_window *w, uint64_t hash, uint64_t *ticket)
{
	uint64_t oldest = w->accepted - w->count;
	uint32_t at = (uint32_t)(oldest % w->capacity);

	for (uint32_t i = 0; i < w->count; i++) {
		if (w->slots[at].hash == hash) {
			*ticket = oldest + i;
			return true;
		}
		at = at + 1 == w->capacity ? 0 : at + 1;
	}
	return false;
}

/* Number.isInteger(seq) && seq > 0. Doubles from 2^53 up are integers. */
static bool seq_valid(double seq)
{
	if (!isfinite(seq) || seq <= 0)
		return false;
	return seq >= 9007199254740992.0 || (double)(uint64_t)seq >= seq;
}

static void record(struct env_window *w, uint64_t hash, double seq, struct env_result *out)
{
	struct env_slot *slot;

	if (w->count == w->capacity)
		out->evicted = env_window_pop(w, &out->released);
	w->highest_seq = seq;
	out->ticket = w->accepted;
	slot = slot_of(w, w->accepted);
	slot->hash = hash;
	slot->outcome = ENV_OUTCOME_PENDING;
	w->accepted++;
	w->count++;
}

enum env_verdict env_check(struct env_window *w, const uint8_t key[ENV_KEY_BYTES],
	const struct env_fields *fields, struct env_result *out)
{
	double seq = fields->seq.number;
	uint64_t hash;

	memset(out, 0, sizeof(*out));

	// A4.2. Only 1 itself is 1: the comparison is exact.
	if (!fields->is_object || fields->v.type != ENV_NUMBER || fields->v.number < 1
		|| fields->v.number > 1 || fields->type.type != ENV_STRING
		|| fields->msg_id.type != ENV_STRING || fields->ts.type != ENV_NUMBER)
		return ENV_REFUSE_INVALID;
	// A4.3
	if (env_truthy(&fields->ack))
		return ENV_DROP;
	// A4.4
	if (fields->seq.type != ENV_NUMBER || !seq_valid(seq))
		return ENV_REFUSE_SEQ;
	// C28, here because from here on the id is a key. A2 allows the empty one.
	if (!env_id_valid(fields->msg_id.string, fields->msg_id.string_len, 0))
		return ENV_REFUSE_MSG_ID;
	// A4.5, before the sequence: a retransmission comes with its old one.
	hash = env_siphash(key, fields->msg_id.string, fields->msg_id.string_len);
	if (find(w, hash, &out->ticket)) {
		out->outcome = slot_of(w, out->ticket)->outcome;
		return ENV_DUPLICATE;
	}
	// A4.6
	if (seq <= w->highest_seq)
		return ENV_REPLAY;
	// A4.7
	record(w, hash, seq, out);
	return ENV_ACCEPT;
}

bool env_record_outcome(struct env_window *w, uint64_t ticket, uint64_t outcome)
{
	if (ticket >= w->accepted || w->accepted - ticket > w->count)
		return false;
	slot_of(w, ticket)->outcome = outcome;
	return true;
}
