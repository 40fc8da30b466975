// SPDX-License-Identifier: BSD-3-Clause
#include "tests/support/peer_first_check.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sfu-dp/proto/stun.h"
#include "tests/support/peer_params.h"
#include "tests/support/peer_signal.h"

#define SETUP_US 10000000
#define ANSWER_MS 2000

/** Signalling up to TRANSPORT_CREATED, and what came of it. */
struct first_check {
	struct peer_signal *signal;
	const char *room;
	const char *failure;
	struct media_remote remote;
	bool has_remote;
};

static void hmac_sha1(void *ctx, const uint8_t *key, size_t key_len, const struct stun_bytes *parts,
	size_t part_count, uint8_t out[20])
{
	uint8_t message[1500];
	size_t len = 0;

	(void)ctx;
	for (size_t i = 0; i < part_count && len + parts[i].len <= sizeof(message); i++) {
		memcpy(message + len, parts[i].ptr, parts[i].len);
		len += parts[i].len;
	}
	HMAC(EVP_sha1(), key, (int)key_len, message, len, out, NULL);
}

static const struct stun_crypto crypto = {.hmac_sha1 = hmac_sha1};

static json_object *in_room(const struct first_check *f)
{
	json_object *o = json_object_new_object();

	json_object_object_add(o, "roomId", json_object_new_string(f->room));
	return o;
}

static bool accepted(struct first_check *f, const struct signal_answer *answer)
{
	if (!answer->ok && !f->failure)
		f->failure = g_intern_string(answer->code);
	return answer->ok;
}

static void on_created(void *ctx, const struct signal_answer *answer)
{
	struct first_check *f = ctx;
	json_object *created = NULL;

	if (!accepted(f, answer))
		return;
	json_object_object_get_ex(answer->results, "TRANSPORT_CREATED", &created);
	f->has_remote = params_remote(created, AF_INET, &f->remote);
	if (!f->has_remote)
		f->failure = "TRANSPORT_CREATED lacks something";
}

static void on_ready(void *ctx, const struct signal_answer *answer)
{
	struct first_check *f = ctx;
	json_object *payload;

	if (!accepted(f, answer))
		return;
	payload = in_room(f);
	json_object_object_add(payload, "direction", json_object_new_string("recv"));
	peer_signal_insist(f->signal, "TRANSPORT_CREATE", payload, on_created, f);
}

static void on_joined(void *ctx, const struct signal_answer *answer)
{
	struct first_check *f = ctx;
	json_object *payload;

	if (!accepted(f, answer))
		return;
	payload = in_room(f);
	json_object_object_add(payload, "epoch", json_object_new_int(0));
	peer_signal_insist(f->signal, "E2EE_READY", payload, on_ready, f);
}

static void on_answer(void *ctx, const struct signal_answer *answer)
{
	accepted(ctx, answer);
}

static void on_open(void *ctx)
{
	struct first_check *f = ctx;
	json_object *payload = json_object_new_object();

	json_object_object_add(
		payload, "accessToken", json_object_new_string("token-of-a-test-peer"));
	peer_signal_insist(f->signal, "AUTH", payload, on_answer, f);
	payload = json_object_new_object();
	json_object_object_add(payload, "insertableStreams", json_object_new_boolean(true));
	json_object_object_add(payload, "sframe", json_object_new_boolean(true));
	peer_signal_insist(f->signal, "E2EE_CAPS", payload, on_answer, f);
	peer_signal_insist(f->signal, "ROOM_JOIN", in_room(f), on_joined, f);
}

static void on_event(void *ctx, const char *type, json_object *payload)
{
	(void)ctx;
	(void)type;
	(void)payload;
}

static void on_lost(void *ctx, const char *why)
{
	struct first_check *f = ctx;

	if (!f->failure)
		f->failure = why;
}

static void serve(const struct peer_env *env, struct first_check *f)
{
	ws_service(env->ws);
	peer_signal_tick(f->signal, (uint64_t)g_get_monotonic_time());
	g_usleep(5000);
}

/** Milliseconds from the check to its authentic answer; negative: none came. */
static double check_once(const struct media_remote *remote)
{
	uint8_t txid[STUN_TXID_LEN], buf[1500];
	char username[300];
	struct stun_request request = {.txid = txid,
		.username = (const uint8_t *)username,
		.tie_breaker = 1,
		.priority = 1853824767,
		.role = STUN_ROLE_CONTROLLING};
	const uint8_t *password = (const uint8_t *)remote->password;
	size_t password_len = strlen(remote->password), len;
	struct stun_view view;
	struct pollfd answer = {.events = POLLIN};
	double elapsed_ms = -1;
	int64_t start_us;
	ssize_t got;

	RAND_bytes(txid, sizeof(txid));
	g_snprintf(username, sizeof(username), "%s:test", remote->ufrag);
	request.username_len = strlen(username);
	len = stun_encode_request(buf, sizeof(buf), &request, password, password_len, &crypto);
	answer.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (answer.fd < 0
		|| connect(answer.fd, (const struct sockaddr *)&remote->address,
			sizeof(struct sockaddr_in)))
		goto out;
	start_us = g_get_monotonic_time();
	if (send(answer.fd, buf, len, 0) < 0 || poll(&answer, 1, ANSWER_MS) != 1)
		goto out;
	got = recv(answer.fd, buf, sizeof(buf), 0);
	if (got > 0 && stun_parse(buf, (size_t)got, &view) == STUN_OK && view.class == STUN_SUCCESS
		&& !memcmp(buf + STUN_TXID_OFF, txid, sizeof(txid))
		&& stun_verify(buf, &view, password, password_len, &crypto) == STUN_OK)
		elapsed_ms = (double)(g_get_monotonic_time() - start_us) / 1000;
out:
	if (answer.fd >= 0)
		close(answer.fd);
	return elapsed_ms;
}

int peer_first_check(const struct peer_env *env, const char *room)
{
	static const struct signal_events events = {on_open, on_event, on_lost};
	struct first_check f = {.room = room};
	uint64_t until_us = (uint64_t)g_get_monotonic_time() + SETUP_US;
	double elapsed_ms = -1;

	f.signal = peer_signal_create(env->ws, env->options->url, &events, &f);
	if (!f.signal)
		f.failure = "cannot connect to the server";
	while (!f.failure && !f.has_remote) {
		serve(env, &f);
		if ((uint64_t)g_get_monotonic_time() > until_us)
			f.failure = "the transport was not made in time";
	}
	until_us = (uint64_t)g_get_monotonic_time() + env->options->seconds * 1000000ull;
	while (!f.failure && (uint64_t)g_get_monotonic_time() < until_us)
		serve(env, &f);
	if (!f.failure) {
		elapsed_ms = check_once(&f.remote);
		if (elapsed_ms < 0)
			f.failure = "no authentic answer to the first check";
	}
	if (f.failure)
		fprintf(stderr, "sfu-peer: %s\n", f.failure);
	else
		printf("first_check_ms=%.3f\n", elapsed_ms);
	peer_signal_destroy(f.signal);
	return f.failure ? 1 : 0;
}
