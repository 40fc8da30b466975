// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/json_text.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_BYTES 4096u
/** A buffer that has grown beyond this is not kept. */
#define KEEP_BYTES 65536u
/** Values inside each other that are written here; frames have fewer. */
#define MAX_DEPTH 20u
/** Digits of a 64-bit number. */
#define NUMBER_DIGITS 20u

void json_text_begin(struct json_text *t)
{
	if (t->size > KEEP_BYTES)
		json_text_fini(t);
	t->len = 0;
	t->failed = false;
}

void json_text_fini(struct json_text *t)
{
	free(t->text);
	*t = (struct json_text){0};
}

bool json_text_grow(struct json_text *t, size_t len)
{
	size_t size = t->size == 0 ? FIRST_BYTES : t->size;
	char *bigger;

	if (t->failed)
		return false;
	while (size - t->len <= len)
		size *= 2;
	bigger = realloc(t->text, size);
	if (bigger == NULL) {
		t->failed = true;
		return false;
	}
	t->text = bigger;
	t->size = size;
	return true;
}

static bool plain(unsigned char c)
{
	return c >= ' ' && c != '"' && c != '\\';
}

static void escaped(struct json_text *t, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	static const char letters[] = "\bb\ff\nn\rr\tt\"\"\\\\";
	char out[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 0xf]};

	for (const char *at = letters; *at != '\0'; at += 2) {
		if ((unsigned char)*at != c)
			continue;
		out[1] = at[1];
		json_text_raw(t, out, 2);
		return;
	}
	json_text_raw(t, out, sizeof(out));
}

void json_text_string(struct json_text *t, const char *string, size_t len)
{
	size_t from = 0;

	json_text_raw(t, "\"", 1);
	for (size_t i = 0; i < len; i++) {
		if (plain((unsigned char)string[i]))
			continue;
		json_text_raw(t, string + from, i - from);
		escaped(t, (unsigned char)string[i]);
		from = i + 1;
	}
	json_text_raw(t, string + from, len - from);
	json_text_raw(t, "\"", 1);
}

void json_text_number(struct json_text *t, uint64_t number)
{
	char digits[NUMBER_DIGITS], *at = digits + NUMBER_DIGITS;

	do {
		*--at = (char)('0' + number % 10);
		number /= 10;
	} while (number > 0);
	json_text_raw(t, at, (size_t)(digits + NUMBER_DIGITS - at));
}

/* An object or array that has been begun. */
struct level {
	struct lh_entry *member; /* the next one of an object */
	struct json_object *array; /* NULL: an object */
	size_t index; /* of the next element of an array */
	bool any; /* something has been written inside */
};

/* What json-c writes: doubles, numbers beyond 63 bits, whatever is too deep for us. */
static void foreign(struct json_text *t, struct json_object *value)
{
	size_t len = 0;
	const char *text = json_object_to_json_string_length(
		value, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);

	if (text == NULL)
		t->failed = true;
	else
		json_text_raw(t, text, len);
}

static void integer(struct json_text *t, struct json_object *value)
{
	int64_t number = json_object_get_int64(value);

	if (number >= 0 && number < INT64_MAX)
		json_text_number(t, (uint64_t)number);
	else
		foreign(t, value);
}

/* A value, or the beginning of one that has members or elements: then true, and *level is set. */
static bool open_value(struct json_text *t, struct json_object *value, struct level *level)
{
	switch (json_object_get_type(value)) {
	case json_type_null:
		json_text_literal(t, "null");
		return false;
	case json_type_boolean:
		if (json_object_get_boolean(value))
			json_text_literal(t, "true");
		else
			json_text_literal(t, "false");
		return false;
	case json_type_string:
		json_text_string(t, json_object_get_string(value),
			(size_t)json_object_get_string_len(value));
		return false;
	case json_type_int:
		integer(t, value);
		return false;
	case json_type_double:
		foreign(t, value);
		return false;
	case json_type_object:
		json_text_literal(t, "{");
		*level = (struct level){.member = json_object_get_object(value)->head};
		return true;
	case json_type_array:
		json_text_literal(t, "[");
		*level = (struct level){.array = value};
		return true;
	}
	return false;
}

/* Go on to the next member or element, its name written. False: that was the last. */
static bool next_value(struct json_text *t, struct level *level, struct json_object **out)
{
	bool more = level->array == NULL ? level->member != NULL
					 : level->index < json_object_array_length(level->array);

	if (!more) {
		if (level->array == NULL)
			json_text_literal(t, "}");
		else
			json_text_literal(t, "]");
		return false;
	}
	if (level->any)
		json_text_literal(t, ",");
	level->any = true;
	if (level->array != NULL) {
		*out = json_object_array_get_idx(level->array, level->index++);
		return true;
	}
	json_text_string(t, lh_entry_k(level->member), strlen(lh_entry_k(level->member)));
	json_text_literal(t, ":");
	*out = lh_entry_v(level->member);
	level->member = level->member->next;
	return true;
}

void json_text_value(struct json_text *t, struct json_object *value)
{
	struct level levels[MAX_DEPTH];
	size_t depth = open_value(t, value, &levels[0]) ? 1 : 0;

	while (depth > 0) {
		struct json_object *inner;

		if (!next_value(t, &levels[depth - 1], &inner))
			depth--;
		else if (depth == MAX_DEPTH)
			foreign(t, inner);
		else if (open_value(t, inner, &levels[depth]))
			depth++;
	}
}
