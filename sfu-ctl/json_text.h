// SPDX-License-Identifier: BSD-3-Clause
/**
 * JSON written straight into a buffer that is used again and again: what every frame has in common costs
 * no allocation. Whoever writes sees to it that it is JSON in the end.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/** Zero is an empty one. */
struct json_text {
	char *text; /* terminated with NUL once something was written */
	size_t len, size;
	bool failed; /* memory was short: the text is worth nothing */
};

/** Forget the text, keep the buffer, unless it is a large one. */
void json_text_begin(struct json_text *t);
void json_text_fini(struct json_text *t);

/** Octets as they are. */
static inline void json_text_raw(struct json_text *t, const char *octets, size_t len);
/** A string literal as it is. */
#define json_text_literal(t, literal) json_text_raw((t), (literal), sizeof(literal) - 1)
/** A string in quotes, escaped as json-c does it without JSON_C_TO_STRING escaping of slashes. */
void json_text_string(struct json_text *t, const char *string, size_t len);
void json_text_number(struct json_text *t, uint64_t number);
/** Any value; NULL is null. */
void json_text_value(struct json_text *t, struct json_object *value);

/* --- inline: most pieces are short and of a length that is known --- */

/** Have room for len octets and a NUL. False: memory is short, or was. */
bool json_text_grow(struct json_text *t, size_t len);

static inline void json_text_raw(struct json_text *t, const char *octets, size_t len)
{
	if ((t->failed || len >= t->size - t->len) && !json_text_grow(t, len))
		return;
	memcpy(t->text + t->len, octets, len);
	t->len += len;
	t->text[t->len] = '\0';
}
