// SPDX-License-Identifier: BSD-3-Clause
/* Who is there: HELLO, AUTH, E2EE_CAPS, PING. */
#include "sfu-ctl/core_impl.h"
#include "sfu-ctl/dispatch.h"
#include "sfu-ctl/endpoints.h"
#include "sfu-ctl/log.h"
#include "sfu-ctl/outbox.h"
#include "sfu-ctl/payload.h"
#include "sfu-ctl/rekey_watch.h"
#include "sfu-ctl/remember.h"
#include "sfu-ctl/resume.h"
#include "sfu-ctl/room.h"
#include "sfu-ctl/room_view.h"

#include <string.h>

/* HELLO.client.ext says what a client understands beyond the seed. */
static bool announces(const struct json_object *hello, const char *extension)
{
	const struct json_object *ext = field_array(field_object(hello, "client"), "ext");
	size_t count = ext == NULL ? 0 : json_object_array_length(ext);

	for (size_t i = 0; i < count; i++) {
		struct json_object *name = json_object_array_get_idx(ext, i);

		if (json_object_is_type(name, json_type_string)
			&& strcmp(json_object_get_string(name), extension) == 0)
			return true;
	}
	return false;
}

/* HELLO.resume.lastServerSeqSeen (B9): what this or another node gave out; 0 when it says nothing. */
static uint64_t last_seq_seen(const struct json_object *hello)
{
	double seq = 0;

	if (!field_number(field_object(hello, "resume"), "lastServerSeqSeen", &seq)
		|| !(seq > 0 && seq <= (double)NUMBERING_SEQ_MAX))
		return 0;
	return (uint64_t)seq;
}

void handle_hello(struct request *r)
{
	struct session *s = r->session;
	struct core *c = s->core;
	struct json_object *payload, *features, *extensions;
	const char *device_id, *region = c->config->region;
	char token[UUID_BYTES];
	bool resumed;

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
	if (field_id(r->payload, "preferredRegion", &region) == FIELD_INVALID)
		region = c->config->region; // a wish, no more
	session_pass_seq(s, last_seq_seen(r->payload));
	session_pass_clock(s);
	s->wants_resume = announces(r->payload, "resume");
	s->wants_speaker = announces(r->payload, "active-speaker");
	resumed = s->wants_resume && resume_claim(s, r->payload);
	extensions = json_object_new_array();
	json_object_array_add(extensions, json_object_new_string("producer-events"));
	json_object_array_add(extensions, json_object_new_string("active-speaker"));
	if (c->config->resume_sec != 0)
		json_object_array_add(extensions, json_object_new_string("resume"));
	features = json_object_new_object();
	put_bool(features, "wsSeqRequired", true);
	put_bool(features, "e2eeRequiredDefault", c->config->e2ee_required);
	put_bool(features, "sframeRequired", c->config->require_sframe);
	put_bool(features, "sfuEnabled", true);
	put(features, "ext", extensions);
	outbox_uuid(c, token);
	resume_issue(s, token);
	payload = json_object_new_object();
	put_number(payload, "serverTime", c->io.wall_ms(c->io.ctx));
	put_number(payload, "heartbeatSec", c->config->heartbeat_sec);
	put_string(payload, "resumeToken", token);
	if (s->wants_resume && field_object(r->payload, "resume") != NULL)
		put_bool(payload, "resumed", resumed);
	put(payload, "features", features);
	endpoints_add(c, payload, region);
	outbox_result(s, "WELCOME", payload);
	request_ok(r);
}

void handle_auth(struct request *r)
{
	struct session *s = r->session;
	struct core *c = s->core;
	struct json_object *value = field_get(r->payload, "accessToken");
	const char *token = NULL;
	size_t len = 0;

	if (json_object_is_type(value, json_type_string)) {
		token = json_object_get_string(value);
		len = (size_t)json_object_get_string_len(value);
	}
	if (c->io.auth(c->io.ctx, s->id, r->id, token, len) < 0)
		handle_auth_result(r, AUTH_UNAVAILABLE, NULL);
}

/* B9: what happened in the room meanwhile. */
static void come_back(struct request *r, struct peer *p)
{
	outbox_result(r->session, "ROOM_SNAPSHOT", room_view_snapshot(p->room));
	r->replay_producers = p->had_recv_transport && p->room->core->config->replay_producers;
	request_ok(r);
	if (!e2ee_gate_open(&p->room->e2ee, &p->e2ee))
		rekey_watch_joined(p); // it has missed the key
	migrate_joined(p);
}

void handle_auth_result(struct request *r, int verdict, const char *user_id)
{
	struct session *s = r->session;
	struct json_object *payload;
	bool moved;

	if (verdict == AUTH_UNAVAILABLE) {
		struct json_object *details = json_object_new_object();

		put_string(details, "reason", "auth_unavailable");
		request_fail_with(r, FAULT_AUTH_UNAVAILABLE, NULL, details);
		return;
	}
	if (verdict != AUTH_ACCEPTED || user_id == NULL) {
		log_info("session", "token refused", SESSION_LOG_IDS(s));
		request_fail(r, FAULT_AUTH_REFUSED);
		return;
	}
	if (session_set_user(s, user_id) < 0) {
		request_fail(r, FAULT_NO_MEMORY);
		return;
	}
	if (s->seq == 0)
		session_pass_clock(s); // there was no HELLO
	s->auth_request = r->id;
	s->expires_sec = 0; // core_auth_expires() follows, if it does
	payload = json_object_new_object();
	put_string(payload, "userId", s->user_id);
	put_string(payload, "deviceId", s->device_id);
	moved = resume_move(s);
	remember_session(s);
	outbox_result(s, "AUTH_OK", payload);
	if (moved && s->peer != NULL)
		come_back(r, s->peer);
	else
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
	struct frame_format frames;
	struct json_object *details;

	if (!frame_format_read(r->payload, &frames)) {
		request_fail_field(r, "kidEpoch");
		return;
	}
	s->caps_frames = frames;
	// Stored before the answer, also on refusal: the last one sent counts (A5).
	s->caps_insertable_streams = field_is_true(r->payload, "insertableStreams");
	s->caps_sframe = field_is_true(r->payload, "sframe");
	s->caps_double_ratchet = has_double_ratchet(r->payload);
	remember_session(s);
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
