// SPDX-License-Identifier: BSD-3-Clause
/**
 * The cache by itself, and auth.c against a real HTTP server in a thread. What the server does with a
 * look-up is named by the token's first word; what it does when it is asked for keys, by server.keys.
 */
#include "sfu-ctl/auth.h"
#include "sfu-ctl/auth_cache.h"
#include "sfu-ctl/config.h"
#include "sfu-ctl/log.h"
#include "sfu-ctl/loop.h"
#include "tests/unit/make_jwt.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* --- cache --- */

static void key_of(unsigned n, uint8_t key[AUTH_KEY_BYTES])
{
	assert_int_equal(auth_cache_key(&n, sizeof(n), key), 0);
}

static void test_cache_life(void **state)
{
	struct auth_cache *cache = auth_cache_create();
	uint8_t key[AUTH_KEY_BYTES];

	(void)state;
	key_of(1, key);
	assert_int_equal(auth_cache_add(cache, key, "user", 1000), 0);
	assert_string_equal(auth_cache_find(cache, key, 1000), "user");
	assert_string_equal(auth_cache_find(cache, key, 1000 + AUTH_CACHE_LIFE_US - 1), "user");
	assert_null(auth_cache_find(cache, key, 1000 + AUTH_CACHE_LIFE_US));
	assert_int_equal(auth_cache_expire(cache, 1001), 1000 + AUTH_CACHE_LIFE_US);
	assert_int_equal(auth_cache_count(cache), 1);
	assert_true(auth_cache_expire(cache, 1000 + AUTH_CACHE_LIFE_US) == UINT64_MAX);
	assert_int_equal(auth_cache_count(cache), 0);
	auth_cache_destroy(cache);
}

static void test_cache_renews(void **state)
{
	struct auth_cache *cache = auth_cache_create();
	uint8_t key[AUTH_KEY_BYTES];

	(void)state;
	key_of(1, key);
	auth_cache_add(cache, key, "old", 1000);
	auth_cache_add(cache, key, "new", 2000);
	assert_int_equal(auth_cache_count(cache), 1);
	assert_string_equal(auth_cache_find(cache, key, 1500 + AUTH_CACHE_LIFE_US), "new");
	assert_int_not_equal(
		auth_cache_add(cache, key,
			"a user id that is longer than one hundred and twenty-eight "
			"characters is none that we take from anybody, however much it "
			"may mean it",
			3000),
		0);
	auth_cache_destroy(cache);
}

/** More than 2000: the 500 oldest by start of their check go, in whatever order they came. */
static void test_cache_drops_oldest(void **state)
{
	struct auth_cache *cache = auth_cache_create();
	uint8_t key[AUTH_KEY_BYTES];

	(void)state;
	for (unsigned i = 0; i <= AUTH_CACHE_MAX; i++) {
		unsigned n = AUTH_CACHE_MAX - i;

		assert_int_equal(auth_cache_count(cache), i);
		key_of(n, key);
		auth_cache_add(cache, key, "user", 1000 + n);
	}
	assert_int_equal(auth_cache_count(cache), AUTH_CACHE_MAX + 1 - AUTH_CACHE_DROP);
	for (unsigned n = 0; n <= AUTH_CACHE_MAX; n++) {
		key_of(n, key);
		assert_int_equal(auth_cache_find(cache, key, 5000) != NULL, n >= AUTH_CACHE_DROP);
	}
	auth_cache_destroy(cache);
}

/* --- a server --- */

static struct {
	int fd;
	uint16_t port;
	pthread_t thread;
	atomic_uint requests;
	pthread_mutex_t lock;
	char last[4096]; /* header of the last request */

	/* when asked for keys */
	_Atomic(const char *) keys; /* what is done: a word, see respond_keys() */
	atomic_uint keys_requests;
	char *key_set; /* the right answer */
	char *other_key_set; /* the same after a rollover */
} server;

static void say(int fd, const char *status, const char *body)
{
	char text[2048];
	int len = snprintf(text, sizeof(text),
		"HTTP/1.1 %s\r\nContent-Length: %zu\r\nContent-Type: application/json\r\n\r\n%s",
		status, strlen(body), body);

	if (send(fd, text, (size_t)len, MSG_NOSIGNAL) < 0)
		print_message("client is gone\n");
}

/** A body that never ends, as fast as it is taken. */
static void say_endless(int fd)
{
	static const char head[] = "HTTP/1.1 200 OK\r\n\r\n{\"id\":\"";
	static char filler[4096];

	memset(filler, 'x', sizeof(filler));
	send(fd, head, sizeof(head) - 1, MSG_NOSIGNAL);
	while (send(fd, filler, sizeof(filler), MSG_NOSIGNAL) > 0)
		;
}

static bool asked(const char *request, const char *word)
{
	const char *token = strstr(request, "Authorization: Bearer ");

	return token != NULL
	       && strncmp(token + strlen("Authorization: Bearer "), word, strlen(word)) == 0;
}

/** A header, and then one octet in 100 ms until the client goes. */
static void say_slowly(int fd)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";

	send(fd, head, sizeof(head) - 1, MSG_NOSIGNAL);
	while (send(fd, " ", 1, MSG_NOSIGNAL) > 0)
		usleep(100000);
}

static void say_all(int fd, const char *data, size_t len)
{
	ssize_t sent;

	for (; len > 0 && (sent = send(fd, data, len, MSG_NOSIGNAL)) > 0; len -= (size_t)sent)
		data += sent;
}

/** False: close the connection. */
static bool respond_keys(int fd, const char *what)
{
	char drain[64];

	if (strcmp(what, "right") == 0) {
		say(fd, "200 OK", server.key_set);
	} else if (strcmp(what, "rollover") == 0) {
		say(fd, "200 OK", server.other_key_set);
	} else if (strcmp(what, "wrong status") == 0) {
		say(fd, "500 Oops", server.other_key_set);
	} else if (strcmp(what, "not found") == 0) {
		say(fd, "404 Not Found", "{\"keys\":[]}");
	} else if (strcmp(what, "garbage") == 0) {
		say(fd, "200 OK", "<html>{\"keys\":[]}");
	} else if (strcmp(what, "other JSON") == 0) {
		say(fd, "200 OK", "{\"id\":\"user-1\"}");
	} else if (strcmp(what, "not HTTP") == 0) {
		say_all(fd, "\x16\x03\x01\r\n\r\n", 7);
		return false;
	} else if (strcmp(what, "redirect") == 0) {
		say(fd, "302 Found\r\nLocation: /elsewhere", server.other_key_set);
	} else if (strcmp(what, "compressed") == 0) {
		say(fd, "200 OK\r\nContent-Encoding: gzip", "\x1f\x8b\x08");
	} else if (strcmp(what, "too big") == 0) {
		size_t size = JWKS_BODY_MAX_BYTES + 1;
		char *body = malloc(size);

		memset(body, ' ', size);
		memcpy(body, server.other_key_set, strlen(server.other_key_set));
		say_all(fd, "HTTP/1.1 200 OK\r\nContent-Length: 65537\r\n\r\n", 43);
		say_all(fd, body, size);
		free(body);
		return false;
	} else if (strcmp(what, "endless") == 0) {
		say_endless(fd);
		return false;
	} else if (strcmp(what, "endless header") == 0) {
		say_all(fd, "HTTP/1.1 200 OK\r\n", 17);
		while (send(fd, "X-Filler: 0123456789\r\n", 22, MSG_NOSIGNAL) > 0)
			;
		return false;
	} else if (strcmp(what, "slow") == 0) {
		say_slowly(fd);
		return false;
	} else if (strcmp(what, "silent") == 0) {
		while (recv(fd, drain, sizeof(drain), 0) > 0)
			;
		return false;
	} else {
		return false; // hangs up
	}
	return true;
}

/** False: close the connection. */
static bool respond(int fd, const char *request)
{
	char drain[64];

	if (strncmp(request, "GET /auth/v1/.well-known/jwks.json ", 35) == 0) {
		atomic_fetch_add(&server.keys_requests, 1);
		return respond_keys(fd, atomic_load(&server.keys));
	}
	if (asked(request, "good")) {
		say(fd, "200 OK", "{\"id\":\"user-1\",\"aud\":\"authenticated\"}");
	} else if (asked(request, "wrapped")) {
		say(fd, "200 OK", "{\"user\":{\"id\":\"user-2\"}}");
	} else if (asked(request, "401")) {
		say(fd, "401 Unauthorized", "{\"code\":401,\"msg\":\"no\"}");
	} else if (asked(request, "403")) {
		say(fd, "403 Forbidden", "{\"id\":\"user-1\"}");
	} else if (asked(request, "500")) {
		say(fd, "500 Oops", "{\"id\":\"user-1\"}");
	} else if (asked(request, "garbage")) {
		say(fd, "200 OK", "<html>");
	} else if (asked(request, "trailing")) {
		say(fd, "200 OK", "{\"id\":\"user-1\"} and more");
	} else if (asked(request, "noid")) {
		say(fd, "200 OK", "{\"id\":\"\",\"user\":{\"id\":7}}");
	} else if (asked(request, "control")) {
		say(fd, "200 OK", "{\"id\":\"a\\nb\"}");
	} else if (asked(request, "empty")) {
		say(fd, "200 OK", "");
	} else if (asked(request, "deep")) {
		say(fd, "200 OK", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[");
	} else if (asked(request, "redirect")) {
		say(fd, "302 Found\r\nLocation: /elsewhere", "");
	} else if (asked(request, "endless")) {
		say_endless(fd);
		return false;
	} else if (asked(request, "eyJ")) {
		say(fd, "500 Oops", "");
	} else if (asked(request, "hangup")) {
		return false;
	} else if (asked(request, "slow")) {
		while (recv(fd, drain, sizeof(drain), 0) > 0)
			;
		return false;
	}
	return true;
}

static void *serve_connection(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char request[sizeof(server.last)];
	bool go_on = true;

	while (go_on) {
		size_t len = 0;

		request[0] = '\0';
		while (strstr(request, "\r\n\r\n") == NULL) {
			ssize_t got = recv(fd, request + len, sizeof(request) - 1 - len, 0);

			if (got <= 0)
				goto close_fd;
			len += (size_t)got;
			request[len] = '\0';
		}
		atomic_fetch_add(&server.requests, 1);
		pthread_mutex_lock(&server.lock);
		strcpy(server.last, request);
		pthread_mutex_unlock(&server.lock);
		go_on = respond(fd, request);
	}
close_fd:
	close(fd);
	return NULL;
}

static void *serve(void *arg)
{
	(void)arg;
	for (;;) {
		pthread_t thread;
		int fd = accept(server.fd, NULL, NULL);

		if (fd < 0)
			return NULL;
		if (pthread_create(&thread, NULL, serve_connection, (void *)(intptr_t)fd) == 0)
			pthread_detach(thread);
	}
}

static int start_server(void **state)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001)};
	socklen_t len = sizeof(addr);

	(void)state;
	log_set_level(LOG_LEVEL_NONE);
	pthread_mutex_init(&server.lock, NULL);
	server.fd = socket(AF_INET, SOCK_STREAM, 0);
	if (server.fd < 0 || bind(server.fd, (struct sockaddr *)&addr, len) < 0
		|| listen(server.fd, 64) < 0
		|| getsockname(server.fd, (struct sockaddr *)&addr, &len) < 0)
		return -1;
	server.port = ntohs(addr.sin_port);
	return pthread_create(&server.thread, NULL, serve, NULL);
}

static int stop_server(void **state)
{
	(void)state;
	shutdown(server.fd, SHUT_RDWR);
	pthread_join(server.thread, NULL);
	close(server.fd);
	return 0;
}

/* --- auth.c against it --- */

struct answer {
	unsigned count;
	int64_t expires_sec;
	enum auth_verdict verdict;
	char user[AUTH_USER_BYTES + 1];
};

struct fixture {
	uv_loop_t loop;
	struct config config;
	struct auth *auth;
	struct answer answer[16]; /* by request id */
	unsigned answers;
	bool inside; /* auth_check() is running */
};

static void on_done(void *ctx, uint64_t session_id, uint64_t request_id, enum auth_verdict verdict,
	const char *user, int64_t expires_sec)
{
	struct fixture *f = ctx;
	struct answer *a = &f->answer[request_id];

	assert_int_equal(session_id, 77);
	assert_false(f->inside);
	assert_int_equal(user != NULL, verdict == AUTH_ACCEPTED);
	a->count++;
	a->verdict = verdict;
	a->expires_sec = expires_sec;
	snprintf(a->user, sizeof(a->user), "%s", user != NULL ? user : "");
	f->answers++;
}

static void set(struct config *config, const char *setting)
{
	static struct config_report report;
	char *env[] = {(char *)(uintptr_t)setting, NULL};
	char *argv[] = {env[0]};

	assert_int_equal(config_load(config, 1, argv, env, &report), CONFIG_OK);
}

static void open_fixture(struct fixture *f, const char *url)
{
	char setting[128];

	memset(f, 0, sizeof(*f));
	uv_loop_init(&f->loop);
	config_init(&f->config);
	set(&f->config, "SUPABASE_ANON_KEY=the-api-key");
	if (url == NULL) {
		snprintf(
			setting, sizeof(setting), "SUPABASE_URL=http://127.0.0.1:%u/", server.port);
		set(&f->config, setting);
	} else if (*url != '\0') {
		snprintf(setting, sizeof(setting), "SUPABASE_URL=%s", url);
		set(&f->config, setting);
	}
	f->auth = auth_create(&f->loop, &f->config, on_done, f);
	assert_non_null(f->auth);
}

static void close_fixture(struct fixture *f)
{
	auth_destroy(f->auth);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	config_fini(&f->config);
}

static void check(struct fixture *f, uint64_t request_id, const char *token)
{
	f->inside = true;
	auth_check(f->auth, 77, request_id, token, token != NULL ? strlen(token) : 0);
	f->inside = false;
}

static void run_until(struct fixture *f, unsigned answers)
{
	while (f->answers < answers)
		uv_run(&f->loop, UV_RUN_ONCE);
}

/** Tokens are at least 20 characters long; the word says what the server does. */
#define TOKEN(word) word "-0123456789abcdefghij"

static void test_answers(void **state)
{
	static const struct {
		const char *token;
		enum auth_verdict verdict;
		const char *user;
	} rows[] = {
		{TOKEN("good"), AUTH_ACCEPTED, "user-1"},
		{TOKEN("wrapped"), AUTH_ACCEPTED, "user-2"},
		{TOKEN("401"), AUTH_REFUSED, ""},
		{TOKEN("403"), AUTH_REFUSED, ""},
		{TOKEN("500"), AUTH_UNAVAILABLE, ""},
		{TOKEN("garbage"), AUTH_UNAVAILABLE, ""},
		{TOKEN("trailing"), AUTH_UNAVAILABLE, ""},
		{TOKEN("noid"), AUTH_REFUSED, ""},
		{TOKEN("control"), AUTH_REFUSED, ""},
		{TOKEN("empty"), AUTH_UNAVAILABLE, ""},
		{TOKEN("deep"), AUTH_UNAVAILABLE, ""},
		{TOKEN("redirect"), AUTH_UNAVAILABLE, ""},
		{TOKEN("endless"), AUTH_UNAVAILABLE, ""},
		{TOKEN("hangup"), AUTH_UNAVAILABLE, ""},
	};
	struct fixture f;

	(void)state;
	open_fixture(&f, NULL);
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("%s\n", rows[i].token);
		check(&f, i, rows[i].token);
		assert_int_equal(f.answer[i].count, 0);
		run_until(&f, i + 1);
		assert_int_equal(f.answer[i].count, 1);
		assert_int_equal(f.answer[i].verdict, rows[i].verdict);
		assert_string_equal(f.answer[i].user, rows[i].user);
	}
	close_fixture(&f);
}

static void test_request(void **state)
{
	struct fixture f;

	(void)state;
	open_fixture(&f, NULL);
	check(&f, 0, TOKEN("good"));
	run_until(&f, 1);
	pthread_mutex_lock(&server.lock);
	assert_int_equal(strncmp(server.last, "GET /auth/v1/user HTTP/1.1\r\n", 28), 0);
	assert_non_null(strstr(server.last, "\r\napikey: the-api-key\r\n"));
	assert_non_null(strstr(server.last, "\r\nAuthorization: Bearer " TOKEN("good") "\r\n"));
	assert_non_null(strstr(server.last, "\r\nX-Supabase-Api-Version: 2024-01-01\r\n"));
	assert_non_null(strstr(server.last, "\r\nX-Client-Info: "));
	assert_non_null(strstr(server.last, "\r\nAccept: */*\r\n"));
	pthread_mutex_unlock(&server.lock);
	close_fixture(&f);
}

/** Not sent to anybody: too short, missing, or not fit for a header line. */
static void test_refused_at_once(void **state)
{
	struct fixture f;
	unsigned before = atomic_load(&server.requests);

	(void)state;
	open_fixture(&f, NULL);
	check(&f, 0, NULL);
	check(&f, 1, "good");
	check(&f, 2, "good-0123456789abcdefghij\r\nX-Evil: 1");
	check(&f, 3, "good-0123456789abcdefghij\xc3\xa4");
	run_until(&f, 4);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(f.answer[i].verdict, AUTH_REFUSED);
	assert_int_equal(atomic_load(&server.requests), before);
	close_fixture(&f);
}

/** One question per token at a time; an accepted one is remembered, a refused one is not. */
static void test_join_and_cache(void **state)
{
	struct fixture f;
	struct auth_figures figures;
	unsigned before = atomic_load(&server.requests);

	(void)state;
	open_fixture(&f, NULL);
	check(&f, 0, TOKEN("good"));
	check(&f, 1, TOKEN("good"));
	check(&f, 2, TOKEN("good"));
	run_until(&f, 3);
	check(&f, 3, TOKEN("good"));
	run_until(&f, 4);
	assert_int_equal(atomic_load(&server.requests), before + 1);
	for (unsigned i = 0; i < 4; i++)
		assert_string_equal(f.answer[i].user, "user-1");
	auth_figures(f.auth, &figures);
	assert_int_equal(figures.joined, 2);
	assert_int_equal(figures.cache_hits, 1);
	assert_int_equal(figures.lookups_now, 0);

	check(&f, 4, TOKEN("401"));
	run_until(&f, 5);
	check(&f, 5, TOKEN("401"));
	run_until(&f, 6);
	assert_int_equal(atomic_load(&server.requests), before + 3);
	close_fixture(&f);
}

static void test_nobody_there(void **state)
{
	struct fixture f;

	(void)state;
	open_fixture(&f, "http://127.0.0.1:9");
	check(&f, 0, TOKEN("good"));
	run_until(&f, 1);
	assert_int_equal(f.answer[0].verdict, AUTH_UNAVAILABLE);
	close_fixture(&f);

	// Without a server configured every token is refused (A10, step 4).
	open_fixture(&f, "");
	check(&f, 0, TOKEN("good"));
	run_until(&f, 1);
	assert_int_equal(f.answer[0].verdict, AUTH_REFUSED);
	close_fixture(&f);
}

/** A server that does not answer has 5 s, and the loop runs meanwhile. */
static void test_slow(void **state)
{
	struct fixture f;
	uint64_t start = loop_now_us(), took;

	(void)state;
	open_fixture(&f, NULL);
	check(&f, 0, TOKEN("slow"));
	check(&f, 1, TOKEN("good"));
	run_until(&f, 1);
	assert_int_equal(f.answer[1].verdict, AUTH_ACCEPTED);
	assert_true(loop_now_us() - start < 1000000);
	run_until(&f, 2);
	took = loop_now_us() - start;
	assert_int_equal(f.answer[0].verdict, AUTH_UNAVAILABLE);
	assert_true(took > 4500000 && took < 6000000);
	close_fixture(&f);
}

/** Destroying it drops what is under way, without an answer. */
static void test_destroy(void **state)
{
	struct fixture f;

	(void)state;
	open_fixture(&f, NULL);
	check(&f, 0, TOKEN("slow"));
	check(&f, 1, NULL);
	for (unsigned i = 0; i < 3; i++)
		uv_run(&f.loop, UV_RUN_NOWAIT);
	check(&f, 2, NULL);
	close_fixture(&f);
	assert_int_equal(f.answers, 1);
}

static void test_dev(void **state)
{
	static const struct {
		const char *token, *user;
	} rows[] = {
		{NULL, "dev_anon"},
		{"", "dev_anon"},
		{"a", "dev_a"},
		{"01234567890123456789xyz", "dev_01234567890123456789"},
		// Characters, not octets.
		{"\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4"
		 "0123456789x",
			"dev_\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4\xc3"
			"\xa4\xc3\xa4"
			"0123456789"},
	};
	struct fixture f;

	(void)state;
	open_fixture(&f, "");
	f.config.dev_auth = true;
	auth_destroy(f.auth);
	f.auth = auth_create(&f.loop, &f.config, on_done, &f);
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		check(&f, i, rows[i].token);
		run_until(&f, i + 1);
		assert_int_equal(f.answer[i].verdict, AUTH_ACCEPTED);
		assert_string_equal(f.answer[i].user, rows[i].user);
	}
	close_fixture(&f);
}

/* --- tokens verified here --- */

static struct {
	EVP_PKEY *ec, *rsa, *stranger;
	char *by_ec, *by_rsa, *by_stranger, *unknown, *unknown_too, *expired, *by_secret;
} keys;

static const char secret[] = "a secret of thirty-two characters or more";

/** For the audience and issuer of the fixture, for an hour from now. */
static char *token_for(EVP_PKEY *key, const char *kid, long lasts_sec)
{
	char payload[256];

	snprintf(payload, sizeof(payload),
		"{\"aud\":\"authenticated\",\"iss\":\"http://127.0.0.1:%u/auth/"
		"v1\",\"sub\":\"user-%s\","
		"\"exp\":%ld}",
		server.port, kid, (long)time(NULL) + lasts_sec);
	if (key == NULL)
		return make_mac(make_input("{\"alg\":\"HS256\"}", payload), secret, strlen(secret));
	return make_token(key, kid, payload);
}

static int make_keys(void **state)
{
	char *a, *b;

	// All that the server's threads read is there before them.
	atomic_store(&server.keys, "right");
	keys.ec = make_ec_key("P-256");
	keys.stranger = make_ec_key("P-256");
	keys.rsa = make_rsa_key(2048);
	a = make_jwk(keys.ec, "ec", "");
	b = make_jwk(keys.rsa, "rsa", "");
	if (asprintf(&server.key_set, "{\"keys\":[%s,%s]}", a, b) < 0)
		return -1;
	free(a);
	a = make_jwk(keys.stranger, "unknown", "");
	if (asprintf(&server.other_key_set, "{\"keys\":[%s,%s]}", a, b) < 0)
		return -1;
	free(a);
	free(b);
	if (start_server(state) != 0)
		return -1;
	keys.by_ec = token_for(keys.ec, "ec", 3600);
	keys.by_rsa = token_for(keys.rsa, "rsa", 3600);
	keys.by_stranger = token_for(keys.stranger, "ec", 3600);
	keys.unknown = token_for(keys.stranger, "unknown", 3600);
	keys.unknown_too = token_for(keys.stranger, "unknown-too", 3600);
	keys.expired = token_for(keys.ec, "ec", -3600);
	keys.by_secret = token_for(NULL, "secret", 3600);
	return 0;
}

static int end_keys(void **state)
{
	EVP_PKEY_free(keys.ec);
	EVP_PKEY_free(keys.rsa);
	EVP_PKEY_free(keys.stranger);
	free(keys.by_ec);
	free(keys.by_rsa);
	free(keys.by_stranger);
	free(keys.unknown);
	free(keys.unknown_too);
	free(keys.expired);
	free(keys.by_secret);
	free(server.key_set);
	free(server.other_key_set);
	return stop_server(state);
}

/** The fixture with settings of ours; waits until the first fetch of keys has ended. */
static void open_settings(struct fixture *f, const char *const *settings)
{
	struct auth_figures figures;

	memset(f, 0, sizeof(*f));
	uv_loop_init(&f->loop);
	config_init(&f->config);
	for (; *settings != NULL; settings++)
		set(&f->config, *settings);
	f->auth = auth_create(&f->loop, &f->config, on_done, f);
	assert_non_null(f->auth);
	do {
		uv_run(&f->loop, UV_RUN_ONCE);
		auth_figures(f->auth, &figures);
	} while (figures.keys.fetched_us == 0 && figures.keys.failures == 0);
}

static void open_mode(struct fixture *f, const char *mode, const char *more)
{
	char url[128];

	snprintf(url, sizeof(url), "SUPABASE_URL=http://127.0.0.1:%u", server.port);
	open_settings(f, (const char *[]){url, "SUPABASE_ANON_KEY=the-api-key", mode, more, NULL});
}

struct stall {
	uv_timer_t timer;
	uint64_t last_us, last_queued_us, worst_us;
};

/** How long this thread wanted to run and had no processor, since it began: other people's doing. */
static uint64_t queued_us(void)
{
	FILE *file = fopen("/proc/thread-self/schedstat", "re");
	unsigned long long ran_ns, queued_ns = 0;

	if (file == NULL)
		return 0;
	if (fscanf(file, "%llu %llu", &ran_ns, &queued_ns) != 2)
		queued_ns = 0;
	fclose(file);
	return queued_ns / 1000;
}

static void on_stall_timer(uv_timer_t *timer)
{
	struct stall *stall = timer->data;
	uint64_t now = loop_now_us(), queued = queued_us();
	uint64_t gap = now - stall->last_us, waited = queued - stall->last_queued_us;

	if (gap > waited && gap - waited > stall->worst_us)
		stall->worst_us = gap - waited;
	stall->last_us = now;
	stall->last_queued_us = queued;
}

static void stall_start(struct stall *stall, uv_loop_t *loop)
{
	memset(stall, 0, sizeof(*stall));
	uv_timer_init(loop, &stall->timer);
	stall->timer.data = stall;
	stall->last_us = loop_now_us();
	stall->last_queued_us = queued_us();
	uv_timer_start(&stall->timer, on_stall_timer, 5, 5);
}

static void expect_answer(struct fixture *f, unsigned i, const char *token,
	enum auth_verdict verdict, const char *user)
{
	check(f, i, token);
	run_until(f, i + 1);
	assert_int_equal(f->answer[i].verdict, verdict);
	assert_string_equal(f->answer[i].user, user);
}

/** What each mode does with each kind of token, with a server that is right. */
static void test_modes(void **state)
{
	struct fixture f;
	unsigned lookups;

	(void)state;
	atomic_store(&server.keys, "right");
	open_mode(&f, "SFU_AUTH=jwks", NULL);
	lookups = atomic_load(&server.requests) - atomic_load(&server.keys_requests);
	expect_answer(&f, 0, keys.by_ec, AUTH_ACCEPTED, "user-ec");
	assert_true(f.answer[0].expires_sec > (int64_t)time(NULL) + 3500);
	expect_answer(&f, 1, keys.by_rsa, AUTH_ACCEPTED, "user-rsa");
	expect_answer(&f, 2, keys.by_stranger, AUTH_REFUSED, "");
	expect_answer(&f, 3, keys.expired, AUTH_REFUSED, "");
	expect_answer(&f, 4, keys.by_secret, AUTH_REFUSED, "");
	expect_answer(&f, 5, TOKEN("good"), AUTH_REFUSED, "");
	expect_answer(&f, 6, keys.unknown, AUTH_REFUSED, "");
	assert_int_equal(
		atomic_load(&server.requests) - atomic_load(&server.keys_requests), lookups);
	close_fixture(&f);

	open_mode(&f, "SFU_AUTH=jwks", "SFU_JWT_SECRET=a secret of thirty-two characters or more");
	expect_answer(&f, 0, keys.by_secret, AUTH_ACCEPTED, "user-secret");
	expect_answer(&f, 1, keys.by_ec, AUTH_ACCEPTED, "user-ec");
	close_fixture(&f);

	// What is decided here is not asked; what cannot be is. The server answers 500 to JWTs.
	open_mode(&f, "SFU_AUTH=both", NULL);
	lookups = atomic_load(&server.requests) - atomic_load(&server.keys_requests);
	expect_answer(&f, 0, keys.by_ec, AUTH_ACCEPTED, "user-ec");
	expect_answer(&f, 1, keys.by_stranger, AUTH_REFUSED, "");
	expect_answer(&f, 2, keys.expired, AUTH_REFUSED, "");
	assert_int_equal(
		atomic_load(&server.requests) - atomic_load(&server.keys_requests), lookups);
	expect_answer(&f, 3, TOKEN("good"), AUTH_ACCEPTED, "user-1");
	expect_answer(&f, 4, TOKEN("401"), AUTH_REFUSED, "");
	expect_answer(&f, 5, keys.by_secret, AUTH_UNAVAILABLE, "");
	expect_answer(&f, 6, keys.unknown, AUTH_UNAVAILABLE, "");
	assert_int_equal(
		atomic_load(&server.requests) - atomic_load(&server.keys_requests), lookups + 4);
	close_fixture(&f);
}

/** The server changes its key in the middle of things: one fetch, and all who came meanwhile are in. */
static void test_rollover(void **state)
{
	struct fixture f;
	unsigned before;

	(void)state;
	atomic_store(&server.keys, "right");
	open_mode(&f, "SFU_AUTH=jwks", NULL);
	atomic_store(&server.keys, "rollover");
	before = atomic_load(&server.keys_requests);
	check(&f, 0, keys.unknown);
	check(&f, 1, keys.unknown);
	check(&f, 2, keys.unknown_too);
	check(&f, 3, keys.by_rsa);
	run_until(&f, 4);
	assert_int_equal(f.answer[0].verdict, AUTH_ACCEPTED);
	assert_int_equal(f.answer[1].verdict, AUTH_ACCEPTED);
	assert_int_equal(f.answer[2].verdict, AUTH_REFUSED);
	assert_int_equal(f.answer[3].verdict, AUTH_ACCEPTED);
	// The key that was taken back counts no more, and strange names ask no more.
	expect_answer(&f, 4, keys.by_ec, AUTH_UNAVAILABLE, "");
	expect_answer(&f, 5, keys.unknown_too, AUTH_REFUSED, "");
	assert_int_equal(atomic_load(&server.keys_requests), before + 1);
	close_fixture(&f);
}

/**
 * A server that turned bad after its keys were fetched: valid tokens are accepted at once, those with
 * an unknown key answered within 3 s, and the loop goes on. Returns the longest stall.
 */
static uint64_t bad_server(const char *what)
{
	struct fixture f;
	struct stall stall;
	uint64_t start, took;

	atomic_store(&server.keys, "right");
	open_mode(&f, "SFU_AUTH=jwks", NULL);
	atomic_store(&server.keys, what);
	stall_start(&stall, &f.loop);
	start = loop_now_us();
	check(&f, 0, keys.unknown);
	check(&f, 1, keys.by_ec);
	check(&f, 2, keys.by_rsa);
	while (f.answer[1].count == 0 || f.answer[2].count == 0)
		uv_run(&f.loop, UV_RUN_ONCE);
	assert_true(loop_now_us() - start < 1000000);
	assert_int_equal(f.answer[1].verdict, AUTH_ACCEPTED);
	assert_int_equal(f.answer[2].verdict, AUTH_ACCEPTED);
	run_until(&f, 3);
	took = loop_now_us() - start;
	assert_int_equal(f.answer[0].verdict, AUTH_UNAVAILABLE);
	assert_true(took < 3500000);
	expect_answer(&f, 3, keys.by_ec, AUTH_ACCEPTED, "user-ec");
	expect_answer(&f, 4, keys.unknown_too, AUTH_UNAVAILABLE, "");
	assert_true(loop_now_us() - start - took < 1000000);
	while (loop_now_us() < start + took + 100000)
		uv_run(&f.loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&stall.timer, NULL);
	close_fixture(&f);
	print_message("%-15s answer after %5.0f ms, longest stall %4.1f ms\n", what,
		(double)took / 1000, (double)stall.worst_us / 1000);
	return stall.worst_us;
}

static void test_bad_servers(void **state)
{
	static const char *const rows[] = {"wrong status", "not found", "garbage", "other JSON",
		"not HTTP", "redirect", "compressed", "too big", "endless", "endless header",
		"hangup", "slow", "silent"};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t stall = UINT64_MAX;

		// A busy host stalls everybody now and then, but what stalls by itself does it always.
		for (unsigned attempt = 0; attempt < 3 && stall > 20000; attempt++)
			stall = bad_server(rows[i]);
		assert_true(stall <= 20000);
	}
}

/* --- names --- */

/**
 * The resolver, as libcurl's threads meet it: of all names under .example one has an address, one has
 * none, and the answer for the others never comes (it is cut off long after everybody has given up).
 */
int getaddrinfo(const char *restrict node, const char *restrict service,
	const struct addrinfo *restrict hints, struct addrinfo **restrict out)
{
	static int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

	if (node != NULL && strcmp(node, "nobody.example") == 0)
		return EAI_NONAME;
	if (node != NULL && strcmp(node, "never.example") == 0) {
		sleep(12);
		return EAI_AGAIN;
	}
	if (real == NULL)
		*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	return real(node, service, hints, out);
}

/** The auth server's name has no address any more. Returns the longest stall of the loop. */
static uint64_t bad_name(const char *host)
{
	struct fixture f;
	struct stall stall;
	uint64_t start, took;
	char settings[3][160];

	atomic_store(&server.keys, "right");
	snprintf(settings[0], sizeof(settings[0]), "SUPABASE_URL=http://%s", host);
	snprintf(settings[1], sizeof(settings[1]), "SFU_JWT_ISSUER=http://127.0.0.1:%u/auth/v1",
		server.port);
	snprintf(settings[2], sizeof(settings[2]),
		"SFU_JWKS_URL=http://127.0.0.1:%u/auth/v1/.well-known/jwks.json", server.port);
	open_settings(&f, (const char *[]){settings[0], settings[1], settings[2],
				  "SUPABASE_ANON_KEY=the-api-key", "SFU_AUTH=both", NULL});
	stall_start(&stall, &f.loop);
	start = loop_now_us();
	check(&f, 0, TOKEN("good"));
	check(&f, 1, keys.by_ec);
	run_until(&f, 1);
	assert_true(loop_now_us() - start < 1000000);
	assert_int_equal(f.answer[1].verdict, AUTH_ACCEPTED);
	run_until(&f, 2);
	took = loop_now_us() - start;
	assert_int_equal(f.answer[0].verdict, AUTH_UNAVAILABLE);
	assert_true(took < 5500000);
	// Giving up must not wait for the resolver's thread either.
	while (loop_now_us() < start + took + 100000)
		uv_run(&f.loop, UV_RUN_ONCE);
	expect_answer(&f, 2, keys.by_rsa, AUTH_ACCEPTED, "user-rsa");
	uv_close((uv_handle_t *)&stall.timer, NULL);
	close_fixture(&f);
	assert_true(loop_now_us() - start < took + 1000000);
	print_message("%-15s answer after %5.0f ms, longest stall %4.1f ms\n", host,
		(double)took / 1000, (double)stall.worst_us / 1000);
	return stall.worst_us;
}

static void test_bad_names(void **state)
{
	static const char *const rows[] = {"nobody.example", "never.example"};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t stall = UINT64_MAX;

		for (unsigned attempt = 0; attempt < 3 && stall > 20000; attempt++)
			stall = bad_name(rows[i]);
		assert_true(stall <= 20000);
	}
}

/** Keys were never there: no answer is certain, and the server is asked again. */
static void test_no_keys(void **state)
{
	struct fixture f;

	(void)state;
	open_mode(&f, "SFU_AUTH=jwks", "SFU_JWKS_URL=http://127.0.0.1:9/keys");
	expect_answer(&f, 0, keys.by_ec, AUTH_UNAVAILABLE, "");
	close_fixture(&f);
	// With both, the look-up decides.
	open_mode(&f, "SFU_AUTH=both", "SFU_JWKS_URL=http://127.0.0.1:9/keys");
	expect_answer(&f, 0, TOKEN("good"), AUTH_ACCEPTED, "user-1");
	close_fixture(&f);
}

/** Gives its keys once, then dies. */
static void *serve_once(void *arg)
{
	int listening = (int)(intptr_t)arg;
	int fd = accept(listening, NULL, NULL);
	char request[1024];

	if (fd >= 0 && recv(fd, request, sizeof(request), 0) > 0)
		say(fd, "200 OK\r\nConnection: close", server.key_set);
	close(fd);
	close(listening);
	return NULL;
}

/** A server that died after its keys were fetched: only those with an unknown key notice. */
static void test_dead(void **state)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001)};
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	uint64_t start;
	pthread_t thread;
	struct fixture f;
	char setting[128];

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	assert_int_equal(pthread_create(&thread, NULL, serve_once, (void *)(intptr_t)fd), 0);
	snprintf(setting, sizeof(setting), "SFU_JWKS_URL=http://127.0.0.1:%u/keys",
		ntohs(addr.sin_port));
	open_mode(&f, "SFU_AUTH=jwks", setting);
	pthread_join(thread, NULL);
	start = loop_now_us();
	expect_answer(&f, 0, keys.by_ec, AUTH_ACCEPTED, "user-ec");
	expect_answer(&f, 1, keys.unknown, AUTH_UNAVAILABLE, "");
	expect_answer(&f, 2, keys.by_rsa, AUTH_ACCEPTED, "user-rsa");
	expect_answer(&f, 3, keys.by_stranger, AUTH_REFUSED, "");
	assert_true(loop_now_us() - start < 1000000);
	close_fixture(&f);
}

/** Tokens that wait for keys when it is destroyed. */
static void test_destroy_waiting(void **state)
{
	struct fixture f;

	(void)state;
	atomic_store(&server.keys, "right");
	open_mode(&f, "SFU_AUTH=jwks", NULL);
	atomic_store(&server.keys, "silent");
	check(&f, 0, keys.unknown);
	for (unsigned i = 0; i < 3; i++)
		uv_run(&f.loop, UV_RUN_NOWAIT);
	close_fixture(&f);
	assert_int_equal(f.answers, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cache_life),
		cmocka_unit_test(test_cache_renews),
		cmocka_unit_test(test_cache_drops_oldest),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_refused_at_once),
		cmocka_unit_test(test_join_and_cache),
		cmocka_unit_test(test_nobody_there),
		cmocka_unit_test(test_slow),
		cmocka_unit_test(test_destroy),
		cmocka_unit_test(test_dev),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_rollover),
		cmocka_unit_test(test_no_keys),
		cmocka_unit_test(test_dead),
		cmocka_unit_test(test_destroy_waiting),
		cmocka_unit_test(test_bad_servers),
		cmocka_unit_test(test_bad_names),
	};

	return cmocka_run_group_tests(tests, make_keys, end_keys);
}
