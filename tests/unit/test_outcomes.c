// SPDX-License-Identifier: BSD-3-Clause
/* What a connection costs for the outcomes that it may ask for again (C4). */
#include "sfu-ctl/config.h"
#include "sfu-ctl/core.h"
#include "sfu-ctl/log.h"
#include "tests/unit/outside.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#define REQUESTS 4000u
// With its place in the window and what malloc() adds.
#define OCTETS_EACH 150u

struct world {
	struct outside out;
	uint64_t session_id, request_id;
	char last[512];
};

static void io_send(void *ctx, void *conn, const char *text, size_t len)
{
	struct world *w = ctx;

	(void)conn;
	snprintf(w->last, sizeof(w->last), "%.*s", (int)len, text);
}

static int io_auth(
	void *ctx, uint64_t session_id, uint64_t request_id, const char *token, size_t len)
{
	struct world *w = ctx;

	(void)token;
	(void)len;
	w->session_id = session_id;
	w->request_id = request_id;
	return 0;
}

static void say(struct session *s, unsigned number, const char *type, const char *payload)
{
	char text[512];

	snprintf(text, sizeof(text),
		"{\"v\":1,\"type\":\"%s\",\"msgId\":\"m-%u\",\"ts\":0,\"seq\":%u,\"payload\":%s}",
		type, number, number, payload);
	core_session_message(s, text, strlen(text));
}

static void many_refusals_take_little_memory(void **state)
{
	struct world w = {.out = {.now_us = 1}};
	const struct core_io io = outside_io(&w.out, io_send, outside_no_close, io_auth);
	struct config config;
	struct session *s;
	size_t before, after;

	(void)state;
	assert_int_equal(config_init(&config), 0);
	w.out.core = core_create(&config, &io, NULL);
	assert_non_null(w.out.core);
	s = core_session_open(w.out.core, &w, "192.0.2.9");
	say(s, 1, "HELLO", "{\"client\":{\"deviceId\":\"d\"}}");
	say(s, 2, "AUTH", "{\"accessToken\":\"t\"}");
	core_auth_result(w.out.core, w.session_id, w.request_id, AUTH_ACCEPTED, "ann");
	say(s, 3, "E2EE_CAPS", "{\"insertableStreams\":true}");
	say(s, 4, "ROOM_JOIN", "{\"roomId\":\"r\"}");
	before = mallinfo2().uordblks;
	for (unsigned i = 5; i < 5 + REQUESTS; i++) {
		outside_pass(&w.out, 1000000); // not too fast for anybody
		say(s, i, "TRANSPORT_CREATE", "{}");
		assert_non_null(strstr(w.last, "\"details\":{\"expectedEpoch\":0}"));
	}
	after = mallinfo2().uordblks;
	// The sanitizers have an allocator of their own, that tells nothing.
	if (before > 0)
		print_message("  %zu octets each\n", (after - before) / REQUESTS);
	assert_true(after - before <= REQUESTS * OCTETS_EACH);
	// The last and the first of them that is remembered have what they had.
	for (unsigned i = 0; i < 2; i++) {
		char repeated[64];
		unsigned number = i == 0 ? 4 + REQUESTS : 5;

		w.last[0] = '\0';
		say(s, number, "TRANSPORT_CREATE", "{}");
		snprintf(repeated, sizeof(repeated), "\"ackOfMsgId\":\"m-%u\"", number);
		assert_non_null(strstr(w.last, repeated));
		assert_non_null(strstr(w.last, "\"details\":{\"expectedEpoch\":0}"));
	}
	core_destroy(w.out.core);
	config_fini(&config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_refusals_take_little_memory),
	};

	log_set_level(LOG_LEVEL_NONE);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
