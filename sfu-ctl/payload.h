// SPDX-License-Identifier: BSD-3-Clause
/**
 * Reading fields of a payload: hostile, any JSON type, absent payload included (NULL). Strings that
 * are handed out belong to the payload. And writing the few number types the wire has.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum field_status {
	FIELD_ABSENT, /* not there, or not "truthy" in JavaScript: null, false, 0, "" */
	FIELD_OK,
	FIELD_INVALID,
};

/** An id (protocol.md C28): a string of 1..128 octets without control characters. */
enum field_status field_id(const struct json_object *payload, const char *name, const char **out);

/** NULL when there is no such member, also when payload is no object. */
struct json_object *field_get(const struct json_object *payload, const char *name);

/** The member when it is an object (array), else NULL. */
struct json_object *field_object(const struct json_object *payload, const char *name);
struct json_object *field_array(const struct json_object *payload, const char *name);

/** JSON true and nothing else. */
bool field_is_true(const struct json_object *payload, const char *name);

/** A JSON number: true and *out. */
bool field_number(const struct json_object *payload, const char *name, double *out);

/** Add a member; value is taken, also when memory is short. */
void put(struct json_object *o, const char *name, struct json_object *value);
void put_string(struct json_object *o, const char *name, const char *value);
void put_number(struct json_object *o, const char *name, uint64_t value);
void put_bool(struct json_object *o, const char *name, bool value);
