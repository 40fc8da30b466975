// SPDX-License-Identifier: BSD-3-Clause
/* Opaque key messages between devices: KEY_PACKAGE, KEY_ACK. */
#include "sfu-ctl/bounds.h"
#include "sfu-ctl/core_impl.h"
#include "sfu-ctl/dispatch.h"
#include "sfu-ctl/outbox.h"
#include "sfu-ctl/payload.h"
#include "sfu-ctl/room.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* The later service's shortest ciphertext, signature and key. */
#define MIN_KEY_FIELD_CHARACTERS 24

static bool has_epoch(const struct json_object *payload, double *epoch)
{
	return field_number(payload, "epoch", epoch) && isfinite(*epoch) && *epoch >= 0;
}

static bool has_base64(const struct json_object *payload, const char *name)
{
	struct json_object *value = field_get(payload, name);
	const char *text;
	size_t len, digits = 0;

	if (!json_object_is_type(value, json_type_string))
		return false;
	text = json_object_get_string(value);
	len = (size_t)json_object_get_string_len(value);
	if (len < MIN_KEY_FIELD_CHARACTERS)
		return false;
	while (digits < len
		&& (isalnum((unsigned char)text[digits]) || text[digits] == '+'
			|| text[digits] == '/'))
		digits++;
	return len - digits <= 2 && strspn(text + digits, "=") == len - digits;
}

/* SFU_KEY_STRICT: the first field that is not as the later service wants it, or NULL. */
static const char *bad_package_field(const struct json_object *payload)
{
	struct json_object *ciphertext = field_get(payload, "ciphertext");
	double epoch;

	if (!json_object_is_type(ciphertext, json_type_string)
		|| json_object_get_string_len(ciphertext) < MIN_KEY_FIELD_CHARACTERS)
		return "ciphertext";
	if (!has_epoch(payload, &epoch))
		return "epoch";
	if (!has_base64(payload, "sig"))
		return "sig";
	return has_base64(payload, "senderPublicKey") ? NULL : "senderPublicKey";
}

static void refuse_key_field(struct request *r, enum fault f, const char *field)
{
	char message[64];

	snprintf(message, sizeof(message), "Missing or invalid %s", field);
	request_fail_with(r, f, message, NULL);
}

/* B5: the later name, then the gateway's. */
static enum field_status read_target(const struct json_object *payload, const char **out)
{
	enum field_status status = field_id(payload, "targetDeviceId", out);

	return status == FIELD_ABSENT ? field_id(payload, "toDeviceId", out) : status;
}

static void send_package(struct request *r, struct peer *target)
{
	outbox_relay(r, r->peer, target);
	rekey_package(&target->room->rekey, &target->rekey, request_relayed_id(r));
	request_ok(r);
}

/* Fields that can be judged without the room. False: the request has been ended. */
static bool package_valid(struct request *r)
{
	const struct config *config = r->session->core->config;
	struct json_object *ciphertext = field_get(r->payload, "ciphertext");
	const char *bad = config->key_strict ? bad_package_field(r->payload) : NULL;

	if (json_object_is_type(ciphertext, json_type_string)
		&& json_object_get_string_len(ciphertext) > (int)LIMIT_CIPHERTEXT_BYTES) {
		request_fail(r, FAULT_KEY_PACKAGE_INVALID);
		return false;
	}
	if (bad == NULL)
		return true;
	refuse_key_field(r, FAULT_KEY_PACKAGE_INVALID, bad);
	return false;
}

static void relay_untargeted(struct request *r)
{
	struct peer *p;

	outbox_relay(r, r->peer, NULL);
	TAILQ_FOREACH (p, &r->peer->room->peers, link)
		rekey_package(&p->room->rekey, &p->rekey, request_relayed_id(r));
	request_ok(r);
}

void handle_key_package(struct request *r)
{
	struct core *c = r->session->core;
	const char *device_id;
	struct peer *target;

	if (!device_rate_allows(&c->key_packages, c->config->key_package_rate, r->peer->user_id,
		    r->peer->device_id, core_now(c))) {
		request_fail(r, FAULT_KEY_PACKAGE_RATE);
		return;
	}
	if (!package_valid(r))
		return;
	switch (read_target(r->payload, &device_id)) {
	case FIELD_INVALID:
		request_fail_field(r, "targetDeviceId");
		return;
	case FIELD_ABSENT:
		if (c->config->key_strict)
			refuse_key_field(r, FAULT_KEY_PACKAGE_INVALID, "targetDeviceId");
		else
			relay_untargeted(r);
		return;
	case FIELD_OK:
		break;
	}
	target = room_peer(r->peer->room, device_id);
	if (target == NULL)
		request_fail(r, FAULT_KEY_TARGET_NOT_FOUND);
	else if (target->session->closing)
		request_fail(r, FAULT_KEY_TARGET_OFFLINE);
	else
		send_package(r, target);
}

void handle_key_ack(struct request *r)
{
	struct peer *p = r->peer;
	struct json_object *from = field_get(r->payload, "fromDeviceId");
	struct json_object *ref = field_get(r->payload, "refId");
	bool named = json_object_is_type(from, json_type_string);
	double epoch = -1;

	if (named ? strcmp(json_object_get_string(from), p->device_id) != 0
		  : p->room->core->config->key_strict) {
		request_fail(r, FAULT_KEY_ACK_INVALID);
		return;
	}
	if (!has_epoch(r->payload, &epoch) && p->room->core->config->key_strict) {
		refuse_key_field(r, FAULT_KEY_ACK_INVALID, "epoch");
		return;
	}
	if (json_object_is_type(ref, json_type_string))
		rekey_ack(&p->room->rekey, &p->rekey, epoch, json_object_get_string(ref));
	outbox_relay(r, p, NULL);
	request_ok(r);
}
