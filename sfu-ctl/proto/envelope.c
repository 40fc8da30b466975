// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/proto/envelope.h"

#include <assert.h>
#include <math.h>
#include <string.h>

static uint64_t read_le64(const uint8_t *p)
{
	return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24
	       | (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48
	       | (uint64_t)p[7] << 56;
}

static uint64_t rotate(uint64_t v, int bits)
{
	return v << bits | v >> (64 - bits);
}

/* By value, so that all of it stays in registers. */
struct sip {
	uint64_t v0, v1, v2, v3;
};

static inline struct sip sip_round(struct sip s)
{
	s.v0 += s.v1;
	s.v1 = rotate(s.v1, 13) ^ s.v0;
	s.v0 = rotate(s.v0, 32);
	s.v2 += s.v3;
	s.v3 = rotate(s.v3, 16) ^ s.v2;
	s.v0 += s.v3;
	s.v3 = rotate(s.v3, 21) ^ s.v0;
	s.v2 += s.v1;
	s.v1 = rotate(s.v1, 17) ^ s.v2;
	s.v2 = rotate(s.v2, 32);
	return s;
}

static inline struct sip sip_word(struct sip s, uint64_t m)
{
	s.v3 ^= m;
	s = sip_round(sip_round(s));
	s.v0 ^= m;
	return s;
}

uint64_t env_siphash(const uint8_t key[ENV_KEY_BYTES], const void *data, size_t len)
{
	uint64_t k0 = read_le64(key);
	uint64_t k1 = read_le64(key + 8);
	struct sip s = {
		k0 ^ UINT64_C(0x736f6d6570736575),
		k1 ^ UINT64_C(0x646f72616e646f6d),
		k0 ^ UINT64_C(0x6c7967656e657261),
		k1 ^ UINT64_C(0x7465646279746573),
	};
	const uint8_t *at = data;
	uint8_t last[8] = {0};

	for (size_t left = len; left >= 8; left -= 8, at += 8)
		s = sip_word(s, read_le64(at));
	if (len % 8 != 0)
		memcpy(last, at, len % 8);
	last[7] = (uint8_t)len;
	s = sip_word(s, read_le64(last));
	s.v2 ^= 0xff;
	s = sip_round(sip_round(sip_round(sip_round(s))));
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
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

/* An id that is remembered. */
struct id {
	uint64_t hash;
	uint64_t outcome; /* the caller's; ENV_OUTCOME_PENDING until recorded */
};

/*
 * The storage that was lent: ids in a circle, in the order they came, and behind them an index of twice
 * as many cells, a hash table with linear probing. A cell says without a look at its id how far that
 * is from home, so that one can be taken out and those behind it moved up within a cache line or two: with
 * 4000 ids per connection most of this is in no cache. 0 is an empty cell.
 */
#define CELL_PLACE_BITS 13u /* place of the id, plus one */
#define CELL_DISTANCE_BITS 7u
#define CELL_PLACE_MASK ((UINT32_C(1) << CELL_PLACE_BITS) - 1)
#define CELL_DISTANCE_MAX ((UINT32_C(1) << CELL_DISTANCE_BITS) - 1)
#define CELL_TAG_SHIFT (CELL_PLACE_BITS + CELL_DISTANCE_BITS)

static_assert(ENV_WINDOW_MAX < CELL_PLACE_MASK, "a place fits into its cell");
static_assert(sizeof(struct env_slot) == sizeof(struct id) + 2 * sizeof(uint32_t), "storage");

static struct id *ids_of(const struct env_window *w)
{
	return (struct id *)(void *)w->slots;
}

static uint32_t *cells_of(const struct env_window *w)
{
	return (uint32_t *)(void *)(ids_of(w) + w->capacity);
}

static uint32_t cell_make(uint64_t hash, uint32_t distance, uint32_t place)
{
	return (uint32_t)hash << CELL_TAG_SHIFT | distance << CELL_PLACE_BITS | (place + 1);
}

static uint32_t cell_place(uint32_t cell)
{
	return (cell & CELL_PLACE_MASK) - 1;
}

static uint32_t cell_distance(uint32_t cell)
{
	return cell >> CELL_PLACE_BITS & CELL_DISTANCE_MAX;
}

/* Its high bits choose the home, its low ones are the tag. */
static uint32_t home_of(const struct env_window *w, uint64_t hash)
{
	return (uint32_t)((hash >> 32) * (2 * w->capacity) >> 32);
}

static uint32_t cell_after(const struct env_window *w, uint32_t at)
{
	return at + 1 == 2 * w->capacity ? 0 : at + 1;
}

/* The place of the id that is this much younger than the oldest; behind the youngest: the next one's. */
static uint32_t place_of(const struct env_window *w, uint32_t age)
{
	uint32_t place = w->first + age;

	return place >= w->capacity ? place - w->capacity : place;
}

/*
 * No cell at all within reach needs half of the table to be one run. An id without a cell is one
 * that is not remembered.
 */
static void index_add(struct env_window *w, uint32_t place)
{
	uint64_t hash = ids_of(w)[place].hash;
	uint32_t *cells = cells_of(w), at = home_of(w, hash);

	for (uint32_t distance = 0; distance <= CELL_DISTANCE_MAX; distance++) {
		if (cells[at] == 0) {
			cells[at] = cell_make(hash, distance, place);
			return;
		}
		at = cell_after(w, at);
	}
}

static void index_remove(struct env_window *w, uint32_t place)
{
	uint32_t *cells = cells_of(w), hole = home_of(w, ids_of(w)[place].hash), at, gap = 0;

	for (uint32_t distance = 0; cells[hole] == 0 || cell_place(cells[hole]) != place;
		distance++) {
		if (cells[hole] == 0 || distance == CELL_DISTANCE_MAX)
			return;
		hole = cell_after(w, hole);
	}
	// Whoever has its home at the hole or before it moves up: no run has a hole.
	cells[hole] = 0;
	for (at = cell_after(w, hole); cells[at] != 0; at = cell_after(w, at)) {
		gap++;
		if (cell_distance(cells[at]) < gap)
			continue;
		cells[hole] = cells[at] - (gap << CELL_PLACE_BITS);
		cells[at] = 0;
		hole = at;
		gap = 0;
	}
}

/* After ids have been put into other storage, from its beginning. */
static void index_all(struct env_window *w)
{
	memset(cells_of(w), 0, 2 * w->capacity * sizeof(uint32_t));
	w->first = 0;
	for (uint32_t place = 0; place < w->count; place++)
		index_add(w, place);
}

static void copy_ids(const struct env_window *w, struct id *out)
{
	for (uint32_t age = 0; age < w->count; age++)
		out[age] = ids_of(w)[place_of(w, age)];
}

void env_window_init(struct env_window *w, struct env_slot *slots, uint32_t capacity)
{
	assert(capacity >= 1 && capacity <= ENV_WINDOW_MAX);
	memset(w, 0, sizeof(*w));
	w->slots = slots;
	w->capacity = capacity;
	index_all(w);
}

uint32_t env_window_wants(const struct env_window *w)
{
	if (w->count < w->capacity || w->capacity == ENV_WINDOW_MAX)
		return 0;
	return w->capacity > ENV_WINDOW_MAX / 2 ? ENV_WINDOW_MAX : w->capacity * 2;
}

struct env_slot *env_window_move(struct env_window *w, struct env_slot *slots, uint32_t capacity)
{
	struct env_slot *old = w->slots;

	assert(capacity >= w->capacity && capacity <= ENV_WINDOW_MAX);
	copy_ids(w, (struct id *)(void *)slots);
	w->slots = slots;
	w->capacity = capacity;
	index_all(w);
	return old;
}

uint64_t env_window_adopt(
	struct env_window *w, struct env_window *older, struct env_slot *slots, uint32_t capacity)
{
	struct id *ids = (struct id *)(void *)slots;
	uint32_t shift = older->count;

	assert(capacity >= 1 && capacity <= ENV_WINDOW_MAX && capacity >= w->count + shift);
	copy_ids(older, ids);
	copy_ids(w, ids + shift);
	w->slots = slots;
	w->capacity = capacity;
	w->accepted += shift;
	w->count += shift;
	index_all(w);
	older->slots = NULL;
	older->count = 0;
	return shift;
}

bool env_window_pop(struct env_window *w, uint64_t *outcome)
{
	if (w->count == 0)
		return false;
	*outcome = ids_of(w)[w->first].outcome;
	index_remove(w, w->first);
	w->first = place_of(w, 1);
	w->count--;
	return true;
}

void env_window_prefetch(const struct env_window *w)
{
	__builtin_prefetch(&ids_of(w)[place_of(w, w->count % w->capacity)], 1);
}

/* What record() will need next. */
static void prefetch_cells(const struct env_window *w, uint64_t hash)
{
	__builtin_prefetch(&cells_of(w)[home_of(w, hash)], 1);
	if (w->count == w->capacity)
		__builtin_prefetch(&cells_of(w)[home_of(w, ids_of(w)[w->first].hash)], 1);
}

/* The place of an id; false: it is not remembered. */
static bool find(const struct env_window *w, uint64_t hash, uint32_t *place)
{
	const uint32_t *cells = cells_of(w);
	uint32_t at = home_of(w, hash);

	for (uint32_t distance = 0; distance <= CELL_DISTANCE_MAX && cells[at] != 0; distance++) {
		*place = cell_place(cells[at]);
		if (cells[at] == cell_make(hash, distance, *place)
			&& ids_of(w)[*place].hash == hash)
			return true;
		at = cell_after(w, at);
	}
	return false;
}

static uint32_t age_of(const struct env_window *w, uint32_t place)
{
	return place >= w->first ? place - w->first : place + w->capacity - w->first;
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
	uint32_t place;

	if (w->count == w->capacity)
		out->evicted = env_window_pop(w, &out->released);
	w->highest_seq = seq;
	out->ticket = w->accepted;
	place = place_of(w, w->count);
	ids_of(w)[place] = (struct id){hash, ENV_OUTCOME_PENDING};
	w->accepted++;
	w->count++;
	index_add(w, place);
}

enum env_verdict env_check(struct env_window *w, const uint8_t key[ENV_KEY_BYTES],
	const struct env_fields *fields, struct env_result *out)
{
	double seq = fields->seq.number;
	uint32_t place;
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
	prefetch_cells(w, hash);
	if (find(w, hash, &place)) {
		out->ticket = w->accepted - w->count + age_of(w, place);
		out->outcome = ids_of(w)[place].outcome;
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
	ids_of(w)[place_of(w, (uint32_t)(ticket - (w->accepted - w->count)))].outcome = outcome;
	return true;
}
