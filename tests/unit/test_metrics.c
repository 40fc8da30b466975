// SPDX-License-Identifier: BSD-3-Clause
/** What /metrics and /ready answer to whom. The page itself is read by a parser in tests/e2e. */
#include "sfu-ctl/config.h"
#include "sfu-ctl/core.h"
#include "sfu-ctl/http.h"
#include "sfu-ctl/metrics.h"
#include "sfu-ctl/tally.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_choose(void **state)
{
	static const struct {
		const char *accept;
		enum metrics_format format;
	} rows[] = {
		{"", METRICS_JSON},
		{"*/*", METRICS_JSON},
		{"application/json", METRICS_JSON},
		{"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", METRICS_JSON},
		{"application/json, text/plain, */*", METRICS_JSON},
		{"text/plain", METRICS_TEXT},
		{"TEXT/Plain; version=0.0.4", METRICS_TEXT},
		{"text/plain;q=0", METRICS_JSON},
		{"text/plain; q=0.000", METRICS_JSON},
		{"text/plain;q=0.5,application/json;q=0.4", METRICS_TEXT},
		{"text/plain;q=0.4,application/json;q=0.5", METRICS_JSON},
		{"application/openmetrics-text", METRICS_OPENMETRICS},
		{"application/openmetrics-text;version=1.0.0,application/"
		 "openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
			METRICS_OPENMETRICS},
		{"text/plain,application/openmetrics-text;q=0.9", METRICS_TEXT},
		{"text/plainer", METRICS_JSON},
		{"text/plai", METRICS_JSON},
		{",,;;q=,text/plain", METRICS_TEXT},
		{"text/plain;q", METRICS_TEXT},
		{"text/plain ;\tq=0.1 , ", METRICS_TEXT},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("%s\n", rows[i].accept);
		assert_int_equal(metrics_choose(rows[i].accept), rows[i].format);
	}
}

static void test_allowed(void **state)
{
	(void)state;
	assert_true(metrics_allowed("", ""));
	assert_true(metrics_allowed("Bearer x", ""));
	assert_true(metrics_allowed("Bearer the-token", "the-token"));
	assert_true(metrics_allowed("bearer the-token", "the-token"));
	assert_false(metrics_allowed("", "the-token"));
	assert_false(metrics_allowed("Bearer ", "the-token"));
	assert_false(metrics_allowed("Bearer the-toke", "the-token"));
	assert_false(metrics_allowed("Bearer the-token ", "the-token"));
	assert_false(metrics_allowed("Basic the-token", "the-token"));
	assert_false(metrics_allowed("the-token", "the-token"));
}

static void test_join_buckets(void **state)
{
	struct tally tally = {.join_us = 0};

	(void)state;
	tally_join(&tally, 0);
	tally_join(&tally, 1000);
	tally_join(&tally, 1001);
	tally_join(&tally, 2500000);
	tally_join(&tally, 2500001);
	tally_join(&tally, UINT64_MAX / 2);
	assert_int_equal(tally.joins[0], 2);
	assert_int_equal(tally.joins[1], 1);
	assert_int_equal(tally.joins[TALLY_JOIN_BUCKETS - 2], 1);
	assert_int_equal(tally.joins[TALLY_JOIN_BUCKETS - 1], 2);
}

/* --- answers --- */

static void no_send(void *ctx, void *conn, const char *text, size_t len)
{
	(void)ctx;
	(void)conn;
	(void)text;
	(void)len;
}

static void no_send_all(
	void *ctx, void *const *conns, size_t count, const char *text, size_t len, bool latest)
{
	(void)ctx;
	(void)conns;
	(void)count;
	(void)text;
	(void)len;
	(void)latest;
}

static void no_close(void *ctx, void *conn, uint16_t code, const char *reason)
{
	(void)ctx;
	(void)conn;
	(void)code;
	(void)reason;
}

static int no_auth(
	void *ctx, uint64_t session_id, uint64_t request_id, const char *token, size_t len)
{
	(void)ctx;
	(void)session_id;
	(void)request_id;
	(void)token;
	(void)len;
	return 0;
}

static void same_random(void *ctx, void *out, size_t len)
{
	(void)ctx;
	memset(out, 7, len);
}

static uint64_t no_time(void *ctx)
{
	(void)ctx;
	return 1000000;
}

static void no_wake(void *ctx, uint64_t at_us)
{
	(void)ctx;
	(void)at_us;
}

struct fixture {
	struct config config;
	struct core *core;
	struct http_site site;
};

static void open_fixture(struct fixture *f)
{
	const struct core_io io = {.send = no_send,
		.send_all = no_send_all,
		.close = no_close,
		.auth = no_auth,
		.random = same_random,
		.wall_ms = no_time,
		.now_us = no_time,
		.wake_at = no_wake};

	memset(f, 0, sizeof(*f));
	assert_int_equal(config_init(&f->config), 0);
	f->core = core_create(&f->config, &io, NULL);
	assert_non_null(f->core);
	f->site = (struct http_site){.config = &f->config, .core = f->core, .root_fd = -1};
}

static void close_fixture(struct fixture *f)
{
	core_destroy(f->core);
	config_fini(&f->config);
}

static unsigned ask(struct fixture *f, const char *path, const char *accept,
	const char *authorization, const char *type, const char *part)
{
	const struct http_request request = {.path = path,
		.if_none_match = "",
		.accept = accept,
		.authorization = authorization};
	struct http_answer answer;
	unsigned status;

	http_answer(&f->site, &request, &answer);
	status = answer.status;
	assert_int_equal(strncmp(answer.content_type, type, strlen(type)), 0);
	assert_non_null(answer.body);
	assert_int_equal(strlen(answer.body), answer.length);
	assert_non_null(strstr(answer.body, part));
	http_answer_free(&answer);
	return status;
}

static void test_answers(void **state)
{
	struct fixture f;

	(void)state;
	open_fixture(&f);
	assert_int_equal(ask(&f, "/metrics", "", "", "application/json", "mediaPlane"), 200);
	assert_int_equal(ask(&f, "/metrics", "text/plain", "", "text/plain; version=0.0.4",
				 "\nsfu_rooms 0\n"),
		200);
	assert_int_equal(
		ask(&f, "/metrics/prometheus", "", "", "text/plain", "sfu_acks_total{"), 200);
	assert_int_equal(ask(&f, "/metrics/prometheus", "application/json", "", "text/plain",
				 "# TYPE sfu_acks_total counter\n"),
		200);
	assert_int_equal(ask(&f, "/metrics", "application/openmetrics-text", "",
				 "application/openmetrics-text", "# TYPE sfu_acks counter\n"),
		200);
	close_fixture(&f);
}

static void test_token(void **state)
{
	static const char *const forms[] = {"", "text/plain", "application/openmetrics-text"};
	struct fixture f;

	(void)state;
	open_fixture(&f);
	free(f.config.metrics_token);
	f.config.metrics_token = strdup("the-token");
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(
			ask(&f, "/metrics", forms[i], "", "application/json", "unauthorized"), 401);
		assert_int_equal(ask(&f, "/metrics/prometheus", forms[i], "Bearer x",
					 "application/json", "unauthorized"),
			401);
		assert_int_equal(ask(&f, "/metrics", forms[i], "Bearer the-token", "", "sfu"), 200);
	}
	assert_int_equal(ask(&f, "/health", "", "", "application/json", "\"ok\":true"), 200);
	close_fixture(&f);
}

static void test_ready(void **state)
{
	struct fixture f;

	(void)state;
	open_fixture(&f);
	assert_int_equal(ask(&f, "/ready", "", "", "application/json", "\"ok\":true"), 200);
	f.config.require_dp = true;
	assert_int_equal(ask(&f, "/ready", "", "", "application/json", "\"ok\":false"), 503);
	assert_int_equal(ask(&f, "/health", "", "", "application/json", "\"ok\":true"), 200);
	f.config.require_dp = false;
	f.site.starting = true;
	assert_int_equal(ask(&f, "/ready", "", "", "application/json", "\"ok\":false"), 503);
	f.site.starting = false;
	f.site.draining = true;
	assert_int_equal(ask(&f, "/ready", "", "", "application/json", "\"ok\":false"), 503);
	assert_int_equal(ask(&f, "/healthz", "", "", "application/json", "\"ok\":true"), 200);
	close_fixture(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_choose),
		cmocka_unit_test(test_allowed),
		cmocka_unit_test(test_join_buckets),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_token),
		cmocka_unit_test(test_ready),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
