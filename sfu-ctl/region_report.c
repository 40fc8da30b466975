// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/region_report.h"

#include "sfu-ctl/payload.h"
#include "sfu-ctl/proto/envelope.h"
#include "sfu-ctl/proto/json_scan.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define JSON_DEPTH 32
#define LOAD_MAX 1000u
/** What JSON numbers hold exactly. */
#define CLOCK_MAX_US 9007199254740991.0

static void read_text(const struct json_object *from, const char *name, char *out, size_t size)
{
	struct json_object *value = field_get(from, name);
	const char *text;
	size_t len;

	out[0] = '\0';
	if (!json_object_is_type(value, json_type_string))
		return;
	text = json_object_get_string(value);
	len = (size_t)json_object_get_string_len(value);
	// It goes on to clients and logs: what cannot be an id is none.
	if (len < size && env_id_valid(text, len, 1))
		memcpy(out, text, len + 1);
}

static uint32_t read_load(const struct json_object *hints, const struct json_object *health)
{
	double load = 0;

	// Without ours: a node's members by tens, so that the emptier one goes first all the same.
	if (!field_number(hints, "load", &load) && field_number(health, "peers", &load))
		load /= 10;
	if (!(load > 0))
		return 0;
	return load > LOAD_MAX ? LOAD_MAX : (uint32_t)load;
}

static int read(const struct json_object *health, struct region_report *out)
{
	const struct json_object *hints = field_object(health, "failoverHints");
	double clock_us = 0;

	if (hints == NULL)
		return -EINVAL;
	out->healthy = field_is_true(health, "ok") && field_is_true(hints, "healthy");
	read_text(health, "nodeId", out->node_id, sizeof(out->node_id));
	read_text(hints, "instance", out->instance, sizeof(out->instance));
	out->load = read_load(hints, health);
	if (field_number(hints, "clockUs", &clock_us) && clock_us > 0 && clock_us <= CLOCK_MAX_US)
		out->clock_us = (uint64_t)clock_us;
	return 0;
}

int region_report_read(long status, const char *text, size_t len, struct region_report *out)
{
	struct json_tokener *tokener;
	struct json_object *health;
	int result = -EINVAL;

	memset(out, 0, sizeof(*out));
	if (status != 200 || len == 0 || len > REGION_REPORT_MAX_BYTES
		|| json_scan(text, len, NULL) != JSON_SCAN_OK)
		return -EINVAL;
	tokener = json_tokener_new_ex(JSON_DEPTH);
	if (tokener == NULL)
		return -ENOMEM;
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	health = json_tokener_parse_ex(tokener, text, (int)len);
	if (json_tokener_get_error(tokener) == json_tokener_success)
		result = read(health, out);
	json_object_put(health);
	json_tokener_free(tokener);
	return result;
}
