// SPDX-License-Identifier: BSD-3-Clause
/*
 * Conversations with the control core in fallback mode: connections come, speak, are lost and come
 * back while time passes. Input: one octet of settings, then steps. A step is one octet (connection,
 * kind) and for what is said a type, a length and that many octets of payload, or a length and a
 * frame as it comes.
 */
#include "sfu-ctl/config.h"
#include "sfu-ctl/core.h"
#include "sfu-ctl/log.h"
#include "tests/unit/outside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECTIONS 4u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct connection {
	struct session *session;
	unsigned seq;
	bool shut;
};

struct world {
	struct outside out;
	struct connection connection[CONNECTIONS];
	uint64_t auth_session, auth_request; /* 0 = none waits */
	char token[40]; /* the last resumeToken */
};

struct input {
	const uint8_t *at, *end;
};

static uint8_t next(struct input *in)
{
	return in->at == in->end ? 0 : *in->at++;
}

static void io_send(void *ctx, void *conn, const char *text, size_t len)
{
	static const char name[] = "\"resumeToken\":\"";
	struct world *w = ctx;
	const char *at = strstr(text, name);

	if (text[len] != '\0' || ((struct connection *)conn)->shut)
		abort();
	if (at != NULL)
		snprintf(w->token, sizeof(w->token), "%.36s", at + strlen(name));
}

static void io_close(void *ctx, void *conn, uint16_t code, const char *reason)
{
	struct connection *c = conn;

	(void)ctx;
	(void)code;
	(void)reason;
	if (c->shut)
		abort();
	c->shut = true;
}

static int io_auth(
	void *ctx, uint64_t session_id, uint64_t request_id, const char *token, size_t len)
{
	struct world *w = ctx;

	(void)token;
	(void)len;
	w->auth_session = session_id;
	w->auth_request = request_id;
	return 0;
}

/* The payload is the input's; "$" in it is the last resumeToken. */
static void speak(struct world *w, struct connection *c, struct input *in)
{
	static const char *const types[] = {"HELLO", "AUTH", "E2EE_CAPS", "ROOM_CREATE",
		"ROOM_JOIN", "ROOM_LEAVE", "E2EE_READY", "REKEY_BEGIN", "REKEY_COMMIT",
		"KEY_PACKAGE", "KEY_ACK", "TRANSPORT_CREATE", "PRODUCE", "CONSUME",
		"PRODUCER_CLOSE", "TRANSPORT_CLOSE"};
	uint8_t type = next(in), len = next(in);
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	c->seq++;
	fprintf(f, "{\"v\":1,\"type\":\"%s\",\"msgId\":\"%u\",\"ts\":0,\"seq\":%u,\"payload\":",
		types[type % 16], c->seq % 50, c->seq);
	if (len == 0)
		fputs("{\"roomId\":\"r\",\"insertableStreams\":true,\"epoch\":1}", f);
	for (; len > 0 && in->at != in->end; len--) {
		uint8_t octet = next(in);

		if (octet == '$')
			fputs(w->token, f);
		else
			fputc(octet, f);
	}
	fputc('}', f);
	fclose(f);
	core_session_message(c->session, text, size);
	free(text);
}

/* A frame that is the input's from end to end. */
static void babble(struct connection *c, struct input *in)
{
	size_t len = next(in), left = (size_t)(in->end - in->at);
	char *text;

	if (len > left)
		len = left;
	// A copy of its own size: reading past the end is seen by the sanitizer.
	text = malloc(len + (len == 0));
	memcpy(text, in->at, len);
	in->at += len;
	core_session_message(c->session, text, len);
	free(text);
}

static void hang_up(struct connection *c, bool clean)
{
	struct session *s = c->session;

	c->session = NULL;
	c->shut = true;
	core_session_close(s, clean);
	memset(c, 0, sizeof(*c));
}

static void step(struct world *w, struct input *in)
{
	uint8_t what = next(in);
	struct connection *c = &w->connection[what % CONNECTIONS];

	if (c->session == NULL) {
		c->session = core_session_open(w->out.core, c, "192.0.2.1");
		return;
	}
	switch (what / CONNECTIONS % 8) {
	case 0:
		hang_up(c, true);
		break;
	case 1:
		hang_up(c, false);
		break;
	case 2:
		// It stands still, or time passes.
		if (what >= 0xc0)
			w->out.now_us += next(in) * UINT64_C(500000);
		outside_pass(&w->out, next(in) * UINT64_C(500000));
		break;
	case 3:
		core_auth_result(w->out.core, w->auth_session, w->auth_request,
			what >= 0xe0 ? AUTH_REFUSED : AUTH_ACCEPTED, what % 2 ? "ann" : "bob");
		break;
	case 4:
		babble(c, in);
		break;
	default:
		speak(w, c, in);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world w = {.out = {.now_us = 1}};
	const struct core_io io = outside_io(&w.out, io_send, io_close, io_auth);
	struct input in = {data, data + size};
	struct config config;
	uint8_t how = next(&in);

	log_set_level(LOG_LEVEL_NONE);
	if (config_init(&config) < 0)
		return 0;
	config.rekey_policy = how % 3;
	config.join_token = how / 3 % 2;
	config.key_strict = how >= 128;
	config.rate_factor = how / 8 % 2;
	config.max_participants = 3;
	w.out.core = core_create(&config, &io, NULL);
	while (w.out.core != NULL && in.at != in.end)
		step(&w, &in);
	for (unsigned i = 0; i < CONNECTIONS; i++) {
		if (w.connection[i].session != NULL)
			hang_up(&w.connection[i], i % 2 == 0);
	}
	core_destroy(w.out.core);
	config_fini(&config);
	return 0;
}
