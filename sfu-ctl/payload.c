// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/payload.h"

#include "sfu-ctl/proto/envelope.h"

#include <string.h>

struct json_object *field_get(const struct json_object *payload, const char *name)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(payload, name, &value);
	return value;
}

static struct json_object *get_typed(
	const struct json_object *payload, const char *name, enum json_type type)
{
	struct json_object *value = field_get(payload, name);

	return json_object_is_type(value, type) ? value : NULL;
}

struct json_object *field_object(const struct json_object *payload, const char *name)
{
	return get_typed(payload, name, json_type_object);
}

struct json_object *field_array(const struct json_object *payload, const char *name)
{
	return get_typed(payload, name, json_type_array);
}

bool field_is_true(const struct json_object *payload, const char *name)
{
	struct json_object *value = get_typed(payload, name, json_type_boolean);

	return value != NULL && json_object_get_boolean(value);
}

bool field_number(const struct json_object *payload, const char *name, double *out)
{
	struct json_object *value = field_get(payload, name);

	if (!json_object_is_type(value, json_type_int)
		&& !json_object_is_type(value, json_type_double))
		return false;
	*out = json_object_get_double(value);
	return true;
}

enum field_status field_id(const struct json_object *payload, const char *name, const char **out)
{
	struct json_object *value = field_get(payload, name);
	size_t len;
	double number;

	switch (json_object_get_type(value)) {
	case json_type_null:
		return FIELD_ABSENT;
	case json_type_boolean:
		return json_object_get_boolean(value) ? FIELD_INVALID : FIELD_ABSENT;
	case json_type_int:
	case json_type_double:
		number = json_object_get_double(value);
		return number < 0 || number > 0 ? FIELD_INVALID : FIELD_ABSENT;
	case json_type_string:
		break;
	case json_type_object:
	case json_type_array:
		return FIELD_INVALID;
	}
	len = (size_t)json_object_get_string_len(value);
	if (len == 0)
		return FIELD_ABSENT;
	if (!env_id_valid(json_object_get_string(value), len, 1))
		return FIELD_INVALID;
	*out = json_object_get_string(value);
	return FIELD_OK;
}

void put(struct json_object *o, const char *name, struct json_object *value)
{
	if (o == NULL || json_object_object_add(o, name, value) < 0)
		json_object_put(value);
}

void put_string(struct json_object *o, const char *name, const char *value)
{
	put(o, name, json_object_new_string(value));
}

void put_number(struct json_object *o, const char *name, uint64_t value)
{
	put(o, name, json_object_new_uint64(value));
}

void put_bool(struct json_object *o, const char *name, bool value)
{
	put(o, name, json_object_new_boolean(value));
}
