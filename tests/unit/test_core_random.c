// SPDX-License-Identifier: BSD-3-Clause
/*
 * Anything in any order: random requests of several connections, good and bad, while the data plane
 * waits, refuses, goes and comes back, sockets close and time passes. Nothing is expected of the
 * answers but their number; at the end nothing may be left over. Meant for the sanitizers.
 */
#include "sfu-ctl/config.h"
#include "sfu-ctl/core.h"
#include "sfu-ctl/log.h"
#include "tests/unit/fake_media.h"
#include "tests/unit/outside.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECTIONS 6
#define STEPS 400
#define RUNS 60
#define REMEMBERED 16

struct connection {
	struct session *session;
	unsigned seq, asked, answered;
	bool closing;
	char last[2048]; /* frame sent, "" before the first */
};

struct auth_call {
	uint64_t session_id, request_id;
	unsigned user;
	bool used;
};

struct world {
	struct outside out;
	struct media *media;
	struct connection connections[CONNECTIONS];
	struct auth_call auths[CONNECTIONS * 4];
	char ids[REMEMBERED][40]; /* seen in answers, to be used again */
	unsigned id_count;
	char tokens[REMEMBERED][40]; /* resumeTokens */
	unsigned token_count;
	char begin_id[40]; /* msgId of the last REKEY_BEGIN that was relayed */
	bool attached;
};

static uint32_t roll(struct world *w, uint32_t sides)
{
	return outside_roll(&w->out, sides);
}

static void remember_in(
	char (*list)[40], unsigned at, const struct json_object *payload, const char *name)
{
	struct json_object *value;

	if (json_object_object_get_ex(payload, name, &value))
		snprintf(list[at % REMEMBERED], sizeof(list[0]), "%s",
			json_object_get_string(value));
}

static void remember(struct world *w, const struct json_object *payload, const char *name)
{
	if (json_object_object_get_ex(payload, name, NULL))
		remember_in(w->ids, w->id_count++, payload, name);
}

static void io_send(void *ctx, void *conn, const char *text, size_t len)
{
	struct world *w = ctx;
	struct connection *c = conn;
	struct json_object *frame = json_tokener_parse(text);
	struct json_object *payload = NULL, *type = NULL, *id = NULL;

	assert_non_null(frame);
	assert_int_equal(strlen(text), len);
	assert_false(c->closing);
	if (json_object_object_get_ex(frame, "ack", NULL))
		c->answered++;
	json_object_object_get_ex(frame, "payload", &payload);
	json_object_object_get_ex(frame, "type", &type);
	json_object_object_get_ex(frame, "msgId", &id);
	if (strcmp(json_object_get_string(type), "REKEY_BEGIN") == 0)
		snprintf(w->begin_id, sizeof(w->begin_id), "%s", json_object_get_string(id));
	if (json_object_object_get_ex(payload, "resumeToken", NULL))
		w->token_count++;
	remember_in(w->tokens, w->token_count, payload, "resumeToken");
	remember(w, payload, "transportId");
	remember(w, payload, "producerId");
	remember(w, payload, "consumerId");
	json_object_put(frame);
}

static void io_close(void *ctx, void *conn, uint16_t code, const char *reason)
{
	struct connection *c = conn;

	(void)ctx;
	(void)code;
	(void)reason;
	assert_false(c->closing);
	c->closing = true;
}

static int io_auth(
	void *ctx, uint64_t session_id, uint64_t request_id, const char *token, size_t len)
{
	struct world *w = ctx;

	if (roll(w, 30) == 0)
		return -ENOMEM;
	for (size_t i = 0; i < CONNECTIONS * 4; i++) {
		if (!w->auths[i].used) {
			w->auths[i] = (struct auth_call){session_id, request_id,
				len > 0 ? (unsigned)(unsigned char)token[0] % 3 : 0, true};
			return 0;
		}
	}
	fail_msg("too many AUTHs");
	return 0;
}

static void answer_auths(struct world *w)
{
	static const char *const users[] = {"ann", "bob", "cem"};

	for (size_t i = 0; i < CONNECTIONS * 4; i++) {
		struct auth_call a = w->auths[i];

		if (!a.used || roll(w, 3) == 0)
			continue;
		w->auths[i].used = false;
		core_auth_result(w->out.core, a.session_id, a.request_id,
			roll(w, 8) == 0 ? AUTH_REFUSED : AUTH_ACCEPTED, users[a.user]);
	}
}

static const char *some_id(struct world *w)
{
	return w->id_count == 0 ? "none" : w->ids[roll(w, REMEMBERED)];
}

#define RTP_AUDIO                                                                                  \
	"{\"codecs\":[{\"mimeType\":\"audio/opus\",\"payloadType\":111,\"clockRate\":48000,"       \
	"\"channels\":2}],\"encodings\":[{\"ssrc\":7}]}"
#define RTP_CAPS                                                                                   \
	"{\"codecs\":[{\"kind\":\"audio\",\"mimeType\":\"audio/opus\","                            \
	"\"preferredPayloadType\":100,\"clockRate\":48000,\"channels\":2}]}"

static void random_frame(struct world *w, struct connection *c, char *out, size_t size)
{
	static const char *const types[] = {"HELLO", "AUTH", "AUTH", "E2EE_CAPS", "E2EE_CAPS",
		"PING", "ROOM_CREATE", "ROOM_JOIN", "ROOM_JOIN", "ROOM_JOIN", "ROOM_LEAVE",
		"E2EE_READY", "E2EE_READY", "E2EE_READY", "E2EE_READY", "REKEY_BEGIN",
		"REKEY_COMMIT", "KEY_PACKAGE", "KEY_ACK", "KEY_ACK", "TRANSPORT_CREATE",
		"TRANSPORT_CREATE", "TRANSPORT_CREATE", "TRANSPORT_CONNECT", "TRANSPORT_CLOSE",
		"ICE_RESTART", "PRODUCE", "PRODUCE", "PRODUCE", "PRODUCE", "PRODUCE",
		"PRODUCER_CLOSE", "PRODUCER_PAUSE", "PRODUCER_RESUME", "CONSUME", "CONSUME",
		"CONSUME", "CONSUME", "CONSUME", "CONSUMER_CLOSE", "CONSUMER_PAUSE",
		"CONSUMER_RESUME", "CONSUMER_SET_LAYERS", "CONSUMER_REQUEST_KEY_FRAME",
		"GET_ROUTER_RTP_CAPABILITIES", "NONSENSE"};
	uint32_t device = roll(w, 5);
	char token[40];

	memcpy(token, w->tokens[roll(w, REMEMBERED)], sizeof(token));
	c->seq++;
	snprintf(out, size,
		"{\"v\":1,\"type\":\"%s\",\"msgId\":\"%u\",\"ts\":0,\"seq\":%u,\"payload\":{"
		"\"client\":{\"deviceId\":\"d%u\",\"ext\":[\"resume\"]},"
		"\"resume\":{\"resumeToken\":\"%s\"},%s\"accessToken\":\"%u\","
		"\"insertableStreams\":true,\"epoch\":%u,\"targetDeviceId\":\"d%u\","
		"\"refId\":\"%s\","
		"\"direction\":\"%s\",\"transportId\":\"%s\",\"producerId\":\"%s\","
		"\"consumerId\":\"%s\",\"kind\":\"audio\",\"spatialLayer\":1,"
		"\"dtlsParameters\":{\"fingerprints\":[{\"algorithm\":\"sha-256\",\"value\":\"A\"}]"
		"},"
		"\"rtpParameters\":" RTP_AUDIO ",\"rtpCapabilities\":" RTP_CAPS "%s}}",
		types[roll(w, sizeof(types) / sizeof(types[0]))], c->seq, c->seq, device, token,
		roll(w, 3) == 0   ? ""
		: roll(w, 8) == 0 ? "\"roomId\":\"s\","
				  : "\"roomId\":\"r\",",
		roll(w, 3), roll(w, 3), device, w->begin_id, roll(w, 2) == 0 ? "send" : "recv",
		some_id(w), some_id(w), some_id(w), roll(w, 4) == 0 ? ",\"deviceId\":\"d1\"" : "");
}

static void speak(struct world *w, struct connection *c)
{
	char text[sizeof(c->last)];

	if (c->session == NULL) {
		memset(c, 0, sizeof(*c));
		c->session = core_session_open(w->out.core, c, "192.0.2.9");
		assert_non_null(c->session);
		return;
	}
	if (roll(w, 40) == 0 || (c->closing && roll(w, 2) == 0)) {
		core_session_close(c->session, roll(w, 2) == 0);
		memset(c, 0, sizeof(*c));
		return;
	}
	// A client that waits for its ACK sends the same once more (A4.5, C4).
	if (c->last[0] == '\0' || roll(w, 10) != 0) {
		random_frame(w, c, text, sizeof(text));
		memcpy(c->last, text, sizeof(text));
	}
	c->asked++;
	core_session_message(c->session, c->last, strlen(c->last));
}

static void disturb(struct world *w)
{
	switch (roll(w, 12)) {
	case 0:
	case 1:
		fake_media_hold(w->media, true);
		break;
	case 2:
	case 3:
	case 4:
		fake_media_hold(w->media, false);
		break;
	case 5:
		fake_media_answer(w->media, (enum media_result)roll(w, 4));
		break;
	case 6:
	case 7:
		fake_media_answer(w->media, MEDIA_OK);
		break;
	case 8:
		fake_media_refuse(w->media, roll(w, 2) == 0 ? -11 : -28);
		break;
	case 9:
		if (w->attached && roll(w, 3) == 0) {
			w->attached = false;
			fake_media_attach(w->media, false);
		}
		break;
	case 10:
		if (!w->attached) {
			w->attached = true;
			fake_media_attach(w->media, true);
		}
		break;
	default:
		if (roll(w, 4) == 0)
			w->out.now_us += roll(w, 20000000); // it stands still
		outside_pass(&w->out, roll(w, 20000000));
	}
}

static void run(uint64_t seed, bool media_mode)
{
	struct world *w = calloc(1, sizeof(*w));
	const struct core_io io = outside_io(&w->out, io_send, io_close, io_auth);
	struct core_figures figures;
	struct config config;

	assert_int_equal(config_init(&config), 0);
	config.max_participants = 3;
	config.max_rooms = 2;
	config.rekey_policy = (uint32_t)(seed % 3);
	config.join_token = (uint32_t)(seed / 3 % 2);
	config.committer_ready = seed % 5 == 0;
	w->out.seed = seed;
	w->out.now_us = 1;
	if (media_mode)
		w->media = fake_media_create();
	w->out.core = core_create(&config, &io, w->media);
	assert_non_null(w->out.core);
	for (unsigned step = 0; step < STEPS; step++) {
		speak(w, &w->connections[roll(w, CONNECTIONS)]);
		if (roll(w, 4) == 0)
			answer_auths(w);
		if (media_mode) {
			disturb(w);
			fake_media_settle(w->media);
			fake_media_log_clear(w->media);
		}
	}
	if (media_mode) {
		fake_media_hold(w->media, false);
		while (fake_media_settle(w->media) > 0)
			;
	}
	for (unsigned i = 0; i < 200; i++) {
		answer_auths(w);
		if (media_mode)
			fake_media_settle(w->media);
	}
	for (size_t i = 0; i < CONNECTIONS; i++) {
		struct connection *c = &w->connections[i];

		// Every request has its one answer by now.
		if (c->session != NULL && !c->closing)
			assert_int_equal(c->asked, c->answered);
		if (c->session != NULL && seed % 2 == 0)
			core_session_close(c->session, true);
	}
	outside_pass(&w->out, 61000000); // who may come back does not
	core_figures(w->out.core, &figures);
	if (seed % 2 == 0) {
		assert_int_equal(figures.bound_peers, 0);
		assert_int_equal(figures.room_peers, 0);
		assert_int_equal(figures.transports, 0);
		assert_int_equal(figures.producers, 0);
		assert_int_equal(figures.consumers, 0);
		if (media_mode)
			assert_int_equal(fake_media_objects(w->media), 0);
	}
	core_destroy(w->out.core);
	fake_media_destroy(w->media);
	config_fini(&config);
	free(w);
}

static void test_fallback(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= RUNS; seed++)
		run(seed, false);
}

static void test_media(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= RUNS; seed++)
		run(seed, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fallback),
		cmocka_unit_test(test_media),
	};

	log_set_level(LOG_LEVEL_NONE);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
