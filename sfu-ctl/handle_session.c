// SPDX-License-Identifier: BSD-3-Clause
/* Who is there: HELLO, AUTH, E2EE_CAPS, PING. */
#include "sfu-ctl/core_impl.h"
#include "sfu-ctl/dispatch.h"
#include "sfu-ctl/log.h"
#include "sfu-ctl/outbox.h"
#include "sfu-ctl/payload.h"

#include <string.h>

void handle_hello(struct request *r)
{
	struct session *s = r->session;
	struct core *c = s->core;
	struct json_object *payload, *features, *extensions;
	const char *device_id;
	char token[UUID_BYTES];

	switch (field_id(field_object(r->payload, "client"), "deviceId", &device_id)) {
	case FIELD_INVALID:
		request_fail_field(r, "deviceId");
		return;
	case FIELD_OK:
		if (session_set_device(s, device_id) < 0) {
			request_fail(r, FAULT_NO_MEMORY);
			return;
		}
		session_continue_seq(s);
		break;
	case FIELD_ABSENT:
		break;
	}
	extensions = json_object_new_array();
	json_object_array_add(extensions, json_object_new_string("producer-events"));
	features = json_object_new_object();
	put_bool(features, "wsSeqRequired", true);
	put_bool(features, "e2eeRequiredDefault", c->config->e2ee_required);
	put_bool(features, "sframeRequired", c->config->require_sframe);
	put_bool(features, "sfuEnabled", true);
	put(features, "ext", extensions);
	outbox_uuid(c, token);
	payload = json_object_new_object();
	put_number(payload, "serverTime", c->io.wall_ms(c->io.ctx));
	put_number(payload, "heartbeatSec", c->config->heartbeat_sec);
	put_string(payload, "resumeToken", token);
	put(payload, "features", features);
	outbox_result(s, "WELCOME", payload);
	request_ok(r);
}

void handle_auth(struct request *r)
{
	struct session *s = r->session;
	struct core *c = s->core;
	struct json_object *token = field_get(r->payload, "accessToken");

	if (json_object_is_type(token, json_type_string))
		c->io.auth(c->io.ctx, s->id, r->id, json_object_get_string(token),
			(size_t)json_object_get_string_len(token));
	else
		c->io.auth(c->io.ctx, s->id, r->id, NULL, 0);
}

void handle_auth_result(struct request *r, int verdict, const char *user_id)
{
	struct session *s = r->session;
	struct json_object *payload;

	if (verdict == AUTH_UNAVAILABLE) {
		struct json_object *details = json_object_new_object();

		put_string(details, "reason", "auth_unavailable");
		request_fail_with(r, FAULT_AUTH_UNAVAILABLE, NULL, details);
		return;
	}
	if (verdict != AUTH_ACCEPTED || user_id == NULL) {
		log_info("session", "token refused", log_str("peer", s->remote_address));
		request_fail(r, FAULT_AUTH_REFUSED);
		return;
	}
	if (session_set_user(s, user_id) < 0) {
		request_fail(r, FAULT_NO_MEMORY);
		return;
	}
	s->auth_request = r->id;
	s->expires_sec = 0; // core_auth_expires() follows, if it does
	payload = json_object_new_object();
	put_string(payload, "userId", s->user_id);
	put_string(payload, "deviceId", s->device_id);
	outbox_result(s, "AUTH_OK", payload);
	request_ok(r);
}

/* B2: said outright, or by one of its cipher suites. */
static bool has_double_ratchet(const struct json_object *payload)
{
	const struct json_object *suites = field_array(payload, "supportedCipherSuites");
	size_t count = suites == NULL ? 0 : json_object_array_length(suites);

	if (field_is_true(payload, "doubleRatchet"))
		return true;
	for (size_t i = 0; i < count; i++) {
		struct json_object *suite = json_object_array_get_idx(suites, i);
		const char *name = json_object_is_type(suite, json_type_string)
					   ? json_object_get_string(suite)
					   : "";

		if (strcmp(name, "DOUBLE_RATCHET_P256_AES128GCM") == 0
			|| strcmp(name, "DR_P256_HKDF_SHA256_AES128GCM") == 0)
			return true;
	}
	return false;
}

void handle_e2ee_caps(struct request *r)
{
	struct session *s = r->session;
	const struct config *config = s->core->config;
	struct json_object *details;

	// Stored before the answer, also on refusal: the last one sent counts (A5).
	s->caps_insertable_streams = field_is_true(r->payload, "insertableStreams");
	s->caps_sframe = field_is_true(r->payload, "sframe");
	s->caps_double_ratchet = has_double_ratchet(r->payload);
	if (config->e2ee_required && !s->caps_insertable_streams) {
		request_fail(r, FAULT_CAPS_INSERTABLE);
	} else if (config->require_sframe && !s->caps_sframe) {
		request_fail(r, FAULT_CAPS_SFRAME);
	} else if (config->require_double_ratchet && !s->caps_double_ratchet) {
		details = json_object_new_object();
		put_bool(details, "doubleRatchet", false);
		request_fail_with(r, FAULT_CAPS_RATCHET, NULL, details);
	} else {
		request_ok(r);
	}
}

void handle_ping(struct request *r)
{
	request_ok(r);
}
