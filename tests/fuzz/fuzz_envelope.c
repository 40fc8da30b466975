// SPDX-License-Identifier: BSD-3-Clause
// A connection's frames, one per line: JSON scanner, then json-c, then the envelope's order.
//
// What must hold: a text that the scanner takes, strict json-c takes whole; verdicts agree with a
// slow model of protocol A4 that keeps every id; the same input gives the same verdicts. What is read as
// a plain frame is what the scanner takes and json-c finds.
#include "sfu-ctl/proto/envelope.h"
#include "sfu-ctl/proto/json_scan.h"
#include "sfu-ctl/proto/plain_frame.h"

#include <json-c/json.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FRAMES 64
/* Small, so that ids are forgotten within one input. */
#define WINDOW 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t key[ENV_KEY_BYTES] = "fuzz envelope...";

/* The slow model: ids as they are, in order. */
struct model {
	double highest;
	unsigned int count;
	struct {
		char id[ENV_MSG_ID_MAX_BYTES];
		size_t len;
		uint64_t outcome;
	} seen[MAX_FRAMES];
};

static void require(bool condition)
{
	if (!condition)
		abort();
}

static struct env_value extract(struct json_object *object, const char *name)
{
	struct env_value v = {.type = ENV_ABSENT};
	struct json_object *value;

	if (!json_object_object_get_ex(object, name, &value))
		return v;
	switch (json_object_get_type(value)) {
	case json_type_null:
		v.type = ENV_NULL;
		break;
	case json_type_boolean:
		v.type = ENV_BOOL;
		v.boolean = json_object_get_boolean(value);
		break;
	case json_type_int:
	case json_type_double:
		v.type = ENV_NUMBER;
		v.number = json_object_get_double(value);
		break;
	case json_type_string:
		v.type = ENV_STRING;
		v.string = json_object_get_string(value);
		v.string_len = (size_t)json_object_get_string_len(value);
		// The scanner let no NUL through.
		require(strlen(v.string) == v.string_len);
		break;
	case json_type_array:
		v.type = ENV_ARRAY;
		break;
	case json_type_object:
		v.type = ENV_OBJECT;
		break;
	}
	return v;
}

static struct json_object *parse_strict(const char *text, size_t len)
{
	struct json_tokener *tokener = json_tokener_new();
	struct json_object *object;

	require(tokener != NULL);
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	// With the NUL behind it: json-c ends a number at the outermost level only there.
	object = json_tokener_parse_ex(tokener, text, (int)len + 1);
	require(json_tokener_get_error(tokener) == json_tokener_success);
	require(json_tokener_get_parse_end(tokener) >= len);
	json_tokener_free(tokener);
	return object;
}

/* Refusals are checked by the unit test; here: order, window, outcomes. */
static void check_model(struct model *m, const struct env_fields *f, enum env_verdict verdict,
	const struct env_result *r)
{
	unsigned int first = m->count > WINDOW ? m->count - WINDOW : 0;
	bool found = false;

	if (verdict == ENV_DROP || verdict == ENV_REFUSE_INVALID || verdict == ENV_REFUSE_SEQ
		|| verdict == ENV_REFUSE_MSG_ID)
		return;
	require(f->is_object && f->msg_id.type == ENV_STRING && f->type.type == ENV_STRING);
	require(f->seq.number > 0 && isfinite(f->seq.number));
	require(f->msg_id.string_len <= ENV_MSG_ID_MAX_BYTES);
	for (unsigned int i = first; i < m->count; i++) {
		if (m->seen[i].len == f->msg_id.string_len
			&& memcmp(m->seen[i].id, f->msg_id.string, f->msg_id.string_len) == 0) {
			require(verdict == ENV_DUPLICATE);
			require(r->ticket == i && r->outcome == m->seen[i].outcome);
			found = true;
		}
	}
	require(found == (verdict == ENV_DUPLICATE));
	if (found)
		return;
	require((verdict == ENV_REPLAY) == (f->seq.number <= m->highest));
	if (verdict != ENV_ACCEPT)
		return;
	require(r->evicted == (m->count >= WINDOW));
	if (r->evicted)
		require(r->released == m->seen[m->count - WINDOW].outcome);
	m->highest = f->seq.number;
	memcpy(m->seen[m->count].id, f->msg_id.string, f->msg_id.string_len);
	m->seen[m->count].len = f->msg_id.string_len;
	m->seen[m->count].outcome = ENV_OUTCOME_PENDING;
	require(r->ticket == m->count);
	m->count++;
}

static void require_same(const struct plain_piece *piece, const struct env_value *v)
{
	require(v->type == ENV_STRING && v->string_len == piece->len
		&& memcmp(v->string, piece->at, piece->len) == 0);
}

static void require_number(double number, const struct env_value *v)
{
	require(v->type == ENV_NUMBER && memcmp(&number, &v->number, sizeof(number)) == 0);
}

/* The two ways of reading a frame agree. */
static void check_plain(
	const struct plain_frame *plain, const struct env_fields *f, struct json_object *object)
{
	struct json_object *payload = NULL, *again;
	struct json_tokener *tokener;

	require_same(&plain->type, &f->type);
	require_same(&plain->msg_id, &f->msg_id);
	require_number(plain->v, &f->v);
	require_number(plain->ts, &f->ts);
	require_number(plain->seq, &f->seq);
	require(f->ack.type == ENV_ABSENT);
	require(json_object_object_get_ex(object, "payload", &payload) == (plain->payload.len > 0));
	require(json_object_object_length(object) == (plain->payload.len > 0 ? 6 : 5));
	if (plain->payload.len == 0)
		return;
	tokener = json_tokener_new();
	again = json_tokener_parse_ex(tokener, plain->payload.at, (int)plain->payload.len);
	require(json_tokener_get_error(tokener) == json_tokener_success);
	require(json_tokener_get_parse_end(tokener) == plain->payload.len);
	json_tokener_free(tokener);
	require(json_object_equal(payload, again));
	json_object_put(again);
}

static void feed(struct env_window *w, struct model *m, const char *text, size_t len)
{
	struct env_fields f = {0};
	struct env_result r, again;
	struct json_object *object;
	enum env_verdict verdict;
	size_t offset = SIZE_MAX;
	enum json_scan_status status = json_scan(text, len, &offset);
	struct json_scan_span span;
	struct plain_frame plain;
	bool is_plain;

	require(offset <= len);
	require(json_scan(text, len, NULL) == status);
	require(json_scan_member(text, len, "msgId", &span) == status);
	require(span.offset <= len && span.len <= len - span.offset);
	// A value by itself: JSON again, and nothing that has to be refused.
	require(span.len == 0
		|| json_scan((const char *)text + span.offset, span.len, NULL) == JSON_SCAN_OK);
	is_plain = plain_frame_read(text, len, &plain);
	require(!is_plain || status == JSON_SCAN_OK);
	if (status != JSON_SCAN_OK)
		return;
	object = parse_strict(text, len);
	f.is_object = json_object_get_type(object) == json_type_object;
	if (f.is_object) {
		f.v = extract(object, "v");
		f.type = extract(object, "type");
		f.msg_id = extract(object, "msgId");
		f.ts = extract(object, "ts");
		f.seq = extract(object, "seq");
		f.ack = extract(object, "ack");
	}
	if (is_plain)
		check_plain(&plain, &f, object);
	verdict = env_check(w, key, &f, &r);
	check_model(m, &f, verdict, &r);
	if (verdict == ENV_ACCEPT) {
		require(env_check(w, key, &f, &again) == ENV_DUPLICATE);
		require(again.ticket == r.ticket && again.outcome == ENV_OUTCOME_PENDING);
		if (r.ticket % 3 != 0) {
			require(env_record_outcome(w, r.ticket, 100 + r.ticket));
			m->seen[r.ticket].outcome = 100 + r.ticket;
		}
	} else {
		require(env_check(w, key, &f, &again) == verdict);
	}
	json_object_put(object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct model model;
	struct env_slot slots[2][WINDOW];
	struct env_window w;
	uint64_t outcome;
	size_t popped = 0, at = 0;

	memset(&model, 0, sizeof(model));
	// Starts small and grows, as a connection does.
	env_window_init(&w, slots[0], WINDOW / 2);
	for (int frames = 0; frames < MAX_FRAMES && at <= size; frames++) {
		const uint8_t *line = data + at;
		const uint8_t *end = size > at ? memchr(line, '\n', size - at) : NULL;
		size_t len = end != NULL ? (size_t)(end - line) : size - at;
		char *copy = malloc(len + 1); /* of its own size: reading past it is seen */

		require(copy != NULL);
		if (len > 0)
			memcpy(copy, line, len);
		copy[len] = '\0';
		if (w.capacity < WINDOW && env_window_wants(&w) != 0)
			require(env_window_move(&w, slots[1], WINDOW) == slots[0]);
		feed(&w, &model, copy, len);
		free(copy);
		at += len + 1;
	}
	while (env_window_pop(&w, &outcome))
		popped++;
	require(popped == (model.count < WINDOW ? model.count : WINDOW));
	return 0;
}
