// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/auth.h"

#include "sfu-ctl/auth_cache.h"
#include "sfu-ctl/config.h"
#include "sfu-ctl/log.h"
#include "sfu-ctl/loop.h"

#include <curl/curl.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define TOKEN_MIN_BYTES 20u
#define TOKEN_MAX_BYTES 16384u
#define DEV_USER_CHARS 20u
#define BODY_MAX_BYTES 65536u
#define LOOKUP_TIMEOUT_MS 5000L
/** Questions under way; beyond this the answer is "unavailable, try again". */
#define MAX_LOOKUPS 4096u
/** Of them, connections to the server at a time; the rest waits within its 5 s. */
#define MAX_CONNECTIONS 32L
#define LOOKUP_BUCKETS 1024u
#define JSON_DEPTH 32

/** Somebody who waits for an answer. */
struct waiter {
	STAILQ_ENTRY(waiter) next;
	uint64_t session_id, request_id;
	enum auth_verdict verdict; /* of a finished one */
	char user[AUTH_USER_BYTES + 1];
};

STAILQ_HEAD(waiter_list, waiter);

/** A question to the auth server. */
struct lookup {
	LIST_ENTRY(lookup) in_bucket;
	struct auth *auth;
	CURL *easy;
	struct curl_slist *headers;
	struct waiter_list waiters;
	uint64_t started_us;
	uint8_t key[AUTH_KEY_BYTES];
	size_t body_len;
	char *body;
};

struct auth {
	uv_loop_t *loop;
	auth_done_fn done;
	void *ctx;
	bool dev;
	bool closing;
	char *url; /* NULL: no server configured */
	char *apikey; /* header line */
	CURLM *multi;
	struct auth_cache *cache;
	LIST_HEAD(, lookup) bucket[LOOKUP_BUCKETS];
	struct waiter_list finished; /* delivered on the next turn of the loop */
	struct auth_figures figures;
	struct log_limit failure_limit;

	/* Handles close asynchronously; the last of them frees this. */
	uv_timer_t curl_timer, expiry_timer;
	uv_idle_t deliver;
	unsigned handles_open;
};

/** libcurl's socket, watched by the loop. */
struct watch {
	uv_poll_t poll;
	struct auth *auth;
	curl_socket_t fd;
};

static const char module[] = "auth";

/* --- answers --- */

static void auth_free(struct auth *auth)
{
	auth_cache_destroy(auth->cache);
	free(auth->url);
	if (auth->apikey != NULL)
		explicit_bzero(auth->apikey, strlen(auth->apikey));
	free(auth->apikey);
	free(auth);
}

static void on_deliver(uv_idle_t *handle)
{
	struct auth *auth = handle->data;
	struct waiter_list ready = STAILQ_HEAD_INITIALIZER(ready);
	struct waiter *w;

	// What the receivers ask for meanwhile is delivered on the next turn.
	STAILQ_CONCAT(&ready, &auth->finished);
	uv_idle_stop(&auth->deliver);
	while ((w = STAILQ_FIRST(&ready)) != NULL) {
		STAILQ_REMOVE_HEAD(&ready, next);
		auth->done(auth->ctx, w->session_id, w->request_id, w->verdict,
			w->verdict == AUTH_ACCEPTED ? w->user : NULL);
		free(w);
	}
}

static void finish(struct auth *auth, struct waiter *w, enum auth_verdict verdict, const char *user)
{
	w->verdict = verdict;
	if (verdict == AUTH_ACCEPTED) {
		auth->figures.accepted++;
		snprintf(w->user, sizeof(w->user), "%s", user);
	} else if (verdict == AUTH_REFUSED) {
		auth->figures.refused++;
	} else {
		auth->figures.unavailable++;
	}
	STAILQ_INSERT_TAIL(&auth->finished, w, next);
	uv_idle_start(&auth->deliver, on_deliver);
}

static void on_expiry(uv_timer_t *handle);

static void arm_expiry(struct auth *auth)
{
	uint64_t now = loop_now_us();
	uint64_t next = auth_cache_expire(auth->cache, now);

	if (next != UINT64_MAX)
		uv_timer_start(&auth->expiry_timer, on_expiry, (next - now) / 1000 + 1, 0);
}

static void on_expiry(uv_timer_t *handle)
{
	arm_expiry(handle->data);
}

/* --- questions --- */

static unsigned lookup_bucket(const uint8_t key[AUTH_KEY_BYTES])
{
	return ((unsigned)key[0] << 8 | key[1]) % LOOKUP_BUCKETS;
}

static struct lookup *lookup_find(struct auth *auth, const uint8_t key[AUTH_KEY_BYTES])
{
	struct lookup *l;

	LIST_FOREACH(l, &auth->bucket[lookup_bucket(key)], in_bucket)
	{
		if (memcmp(l->key, key, AUTH_KEY_BYTES) == 0)
			return l;
	}
	return NULL;
}

static void lookup_free(struct lookup *l)
{
	struct waiter *w;

	if (l->easy != NULL) {
		curl_multi_remove_handle(l->auth->multi, l->easy);
		curl_easy_cleanup(l->easy);
	}
	for (struct curl_slist *h = l->headers; h != NULL; h = h->next)
		explicit_bzero(h->data, strlen(h->data));
	curl_slist_free_all(l->headers);
	while ((w = STAILQ_FIRST(&l->waiters)) != NULL) {
		STAILQ_REMOVE_HEAD(&l->waiters, next);
		free(w);
	}
	free(l->body);
	free(l);
}

static void lookup_unlink(struct lookup *l)
{
	LIST_REMOVE(l, in_bucket);
	l->auth->figures.lookups_now--;
}

/** Our own copy of what is in an answer: {"id":…} or {"user":{"id":…}}. */
static bool user_of(struct json_object *answer, char user[AUTH_USER_BYTES + 1])
{
	struct json_object *id = NULL, *inner = NULL;
	const char *text;
	size_t len;

	if (!json_object_is_type(answer, json_type_object))
		return false;
	json_object_object_get_ex(answer, "id", &id);
	if (!json_object_is_type(id, json_type_string)
		&& json_object_object_get_ex(answer, "user", &inner)
		&& json_object_is_type(inner, json_type_object))
		json_object_object_get_ex(inner, "id", &id);
	if (!json_object_is_type(id, json_type_string))
		return false;
	text = json_object_get_string(id);
	len = (size_t)json_object_get_string_len(id);
	if (len == 0 || len > AUTH_USER_BYTES)
		return false;
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return false;
	}
	memcpy(user, text, len);
	user[len] = '\0';
	return true;
}

/**
 * What a finished question says (protocol.md A10 and C20).
 * @param why  receives a few words for the log when it is AUTH_UNAVAILABLE
 */
static enum auth_verdict lookup_verdict(
	struct lookup *l, CURLcode code, char user[AUTH_USER_BYTES + 1], const char **why)
{
	enum auth_verdict verdict = AUTH_UNAVAILABLE;
	struct json_tokener *tokener;
	struct json_object *answer;
	long status = 0;

	*why = curl_easy_strerror(code);
	if (code != CURLE_OK)
		return AUTH_UNAVAILABLE;
	curl_easy_getinfo(l->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status >= 400 && status < 500)
		return AUTH_REFUSED;
	*why = "status of the answer";
	if (status != 200)
		return AUTH_UNAVAILABLE;
	*why = "answer is not JSON";
	tokener = json_tokener_new_ex(JSON_DEPTH);
	if (tokener == NULL || l->body == NULL) {
		json_tokener_free(tokener);
		return AUTH_UNAVAILABLE;
	}
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	answer = json_tokener_parse_ex(tokener, l->body, (int)l->body_len + 1);
	if (json_tokener_get_error(tokener) == json_tokener_success)
		verdict = user_of(answer, user) ? AUTH_ACCEPTED : AUTH_REFUSED;
	json_object_put(answer);
	json_tokener_free(tokener);
	return verdict;
}

static void lookup_finish(struct lookup *l, CURLcode code)
{
	struct auth *auth = l->auth;
	char user[AUTH_USER_BYTES + 1] = "";
	const char *why = "";
	enum auth_verdict verdict = lookup_verdict(l, code, user, &why);
	struct waiter *w;
	uint32_t suppressed = 0;
	long status = 0;

	curl_easy_getinfo(l->easy, CURLINFO_RESPONSE_CODE, &status);
	if (verdict == AUTH_UNAVAILABLE
		&& log_allowed(&auth->failure_limit, loop_now_us(), &suppressed))
		log_warn(module, "auth server could not be asked", log_str("reason", why),
			log_num("status", status), log_num("suppressed", suppressed));
	// Refusals are not remembered: a token may become valid. Without memory we ask again.
	if (verdict == AUTH_ACCEPTED
		&& auth_cache_add(auth->cache, l->key, user, l->started_us) == 0)
		arm_expiry(auth);
	lookup_unlink(l);
	while ((w = STAILQ_FIRST(&l->waiters)) != NULL) {
		STAILQ_REMOVE_HEAD(&l->waiters, next);
		finish(auth, w, verdict, user);
	}
	lookup_free(l);
}

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
	struct lookup *l = arg;
	size_t len = size * count;

	if (l->body == NULL) {
		// One octet more: json-c wants to see the end.
		l->body = calloc(1, BODY_MAX_BYTES + 1);
		if (l->body == NULL)
			return 0;
	}
	if (len > BODY_MAX_BYTES - l->body_len)
		return 0;
	memcpy(l->body + l->body_len, data, len);
	l->body_len += len;
	return len;
}

static bool add_header(struct lookup *l, const char *line)
{
	struct curl_slist *list = curl_slist_append(l->headers, line);

	if (list == NULL)
		return false;
	l->headers = list;
	return true;
}

static bool add_bearer(struct lookup *l, const char *token, size_t len)
{
	static const char start[] = "Authorization: Bearer ";
	char line[sizeof(start) + TOKEN_MAX_BYTES];
	bool added;

	memcpy(line, start, sizeof(start) - 1);
	memcpy(line + sizeof(start) - 1, token, len);
	line[sizeof(start) - 1 + len] = '\0';
	added = add_header(l, line);
	explicit_bzero(line, sizeof(line));
	return added;
}

/** A question about a token; it is under way on return. NULL: no memory. */
static struct lookup *lookup_start(
	struct auth *auth, const uint8_t key[AUTH_KEY_BYTES], const char *token, size_t len)
{
	struct lookup *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return NULL;
	l->auth = auth;
	l->started_us = loop_now_us();
	memcpy(l->key, key, AUTH_KEY_BYTES);
	STAILQ_INIT(&l->waiters);
	l->easy = curl_easy_init();
	if (l->easy == NULL || !add_header(l, auth->apikey) || !add_bearer(l, token, len)
		|| !add_header(l, "X-Client-Info: sfu-ctl/0.1.0")
		|| !add_header(l, "X-Supabase-Api-Version: 2024-01-01"))
		goto free_lookup;

	curl_easy_setopt(l->easy, CURLOPT_PRIVATE, l);
	curl_easy_setopt(l->easy, CURLOPT_URL, auth->url);
	curl_easy_setopt(l->easy, CURLOPT_HTTPHEADER, l->headers);
	curl_easy_setopt(l->easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(l->easy, CURLOPT_WRITEDATA, l);
	curl_easy_setopt(l->easy, CURLOPT_TIMEOUT_MS, LOOKUP_TIMEOUT_MS);
	curl_easy_setopt(l->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(l->easy, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(l->easy, CURLOPT_PROTOCOLS_STR, "http,https");
	// The token goes to the configured server and to nobody else.
	curl_easy_setopt(l->easy, CURLOPT_PROXY, "");
	// Else a dead resolver holds the process for 5 s at its end (design.md 12).
	curl_easy_setopt(l->easy, CURLOPT_QUICK_EXIT, 1L);
	if (curl_multi_add_handle(auth->multi, l->easy) != CURLM_OK)
		goto free_lookup;

	LIST_INSERT_HEAD(&auth->bucket[lookup_bucket(key)], l, in_bucket);
	auth->figures.lookups++;
	auth->figures.lookups_now++;
	return l;

free_lookup:
	lookup_free(l);
	return NULL;
}

/* --- libcurl on the loop --- */

static void read_finished(struct auth *auth)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(auth->multi, &left)) != NULL) {
		struct lookup *l = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&l);
		lookup_finish(l, message->data.result);
	}
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
	struct watch *watch = handle->data;
	struct auth *auth = watch->auth;
	int flags = 0, running;

	if (status < 0)
		flags = CURL_CSELECT_ERR;
	if ((events & UV_READABLE) != 0)
		flags |= CURL_CSELECT_IN;
	if ((events & UV_WRITABLE) != 0)
		flags |= CURL_CSELECT_OUT;
	curl_multi_socket_action(auth->multi, watch->fd, flags, &running);
	read_finished(auth);
}

static void on_watch_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void watch_close(struct watch *watch)
{
	uv_poll_stop(&watch->poll);
	uv_close((uv_handle_t *)&watch->poll, on_watch_closed);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	struct auth *auth = arg;
	struct watch *watch = socket_arg;
	int events = 0;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (watch != NULL)
			watch_close(watch);
		curl_multi_assign(auth->multi, fd, NULL);
		return 0;
	}
	if (watch == NULL) {
		watch = calloc(1, sizeof(*watch));
		if (watch == NULL)
			return -1;
		watch->auth = auth;
		watch->fd = fd;
		if (uv_poll_init_socket(auth->loop, &watch->poll, fd) < 0) {
			free(watch);
			return -1;
		}
		watch->poll.data = watch;
		curl_multi_assign(auth->multi, fd, watch);
	}
	if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
		events |= UV_READABLE;
	if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
		events |= UV_WRITABLE;
	return uv_poll_start(&watch->poll, events, on_poll) < 0 ? -1 : 0;
}

static void on_curl_timer(uv_timer_t *handle)
{
	struct auth *auth = handle->data;
	int running;

	curl_multi_socket_action(auth->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	read_finished(auth);
}

static int on_timeout_wish(CURLM *multi, long timeout_ms, void *arg)
{
	struct auth *auth = arg;

	(void)multi;
	if (auth->closing)
		return 0;
	// Never straight from here: libcurl must not be entered from its own callback.
	if (timeout_ms < 0)
		uv_timer_stop(&auth->curl_timer);
	else
		uv_timer_start(&auth->curl_timer, on_curl_timer, (uint64_t)timeout_ms, 0);
	return 0;
}

/* --- birth, use, death --- */

static void on_handle_closed(uv_handle_t *handle)
{
	struct auth *auth = handle->data;

	if (--auth->handles_open == 0)
		auth_free(auth);
}

/** 0 or -ENOMEM; with an empty URL or key nobody can be asked. */
static int set_server(struct auth *auth, const struct config *config)
{
	if (config->supabase_url[0] == '\0' || config->supabase_key[0] == '\0')
		return 0;
	if (asprintf(&auth->url, "%s/auth/v1/user", config->supabase_url) < 0) {
		auth->url = NULL;
		return -ENOMEM;
	}
	if (asprintf(&auth->apikey, "apikey: %s", config->supabase_key) < 0) {
		auth->apikey = NULL;
		return -ENOMEM;
	}
	return 0;
}

struct auth *auth_create(uv_loop_t *loop, const struct config *config, auth_done_fn done, void *ctx)
{
	struct auth *auth = calloc(1, sizeof(*auth));

	if (auth == NULL)
		return NULL;
	auth->loop = loop;
	auth->done = done;
	auth->ctx = ctx;
	auth->dev = config->dev_auth;
	STAILQ_INIT(&auth->finished);
	auth->cache = auth_cache_create();
	if (auth->cache == NULL || set_server(auth, config) < 0)
		goto free_auth;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		goto free_auth;
	auth->multi = curl_multi_init();
	if (auth->multi == NULL)
		goto cleanup_curl;
	curl_multi_setopt(auth->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(auth->multi, CURLMOPT_SOCKETDATA, auth);
	curl_multi_setopt(auth->multi, CURLMOPT_TIMERFUNCTION, on_timeout_wish);
	curl_multi_setopt(auth->multi, CURLMOPT_TIMERDATA, auth);
	curl_multi_setopt(auth->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, MAX_CONNECTIONS);

	uv_timer_init(loop, &auth->curl_timer);
	uv_timer_init(loop, &auth->expiry_timer);
	uv_idle_init(loop, &auth->deliver);
	auth->curl_timer.data = auth->expiry_timer.data = auth->deliver.data = auth;
	auth->handles_open = 3;
	return auth;

cleanup_curl:
	curl_global_cleanup();
free_auth:
	auth_free(auth);
	return NULL;
}

/** "dev_" and the first 20 characters, or "dev_anon". Whole UTF-8 characters. */
static void dev_user(const char *token, size_t len, char user[AUTH_USER_BYTES + 1])
{
	size_t end = 0;

	if (token == NULL || len == 0) {
		strcpy(user, "dev_anon");
		return;
	}
	for (unsigned chars = 0; end < len && chars < DEV_USER_CHARS && end < 4 * DEV_USER_CHARS;
		chars++) {
		end++;
		while (end < len && ((unsigned char)token[end] & 0xc0) == 0x80)
			end++;
	}
	if (end > AUTH_USER_BYTES - 4)
		end = AUTH_USER_BYTES - 4;
	memcpy(user, "dev_", 4);
	memcpy(user + 4, token, end);
	user[4 + end] = '\0';
}

/** What may stand in a header line. */
static bool token_sendable(const char *token, size_t len)
{
	if (len > TOKEN_MAX_BYTES)
		return false;
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)token[i] < 0x20 || (unsigned char)token[i] > 0x7e)
			return false;
	}
	return true;
}

void auth_check(
	struct auth *auth, uint64_t session_id, uint64_t request_id, const char *token, size_t len)
{
	struct waiter *w = calloc(1, sizeof(*w));
	uint8_t key[AUTH_KEY_BYTES];
	char user[AUTH_USER_BYTES + 1];
	const char *known;
	struct lookup *l;

	auth->figures.checks++;
	if (w == NULL) {
		// XXX the answer is lost; the client's own timeout ends its wait
		log_error(module, "no memory for a check");
		return;
	}
	w->session_id = session_id;
	w->request_id = request_id;
	if (auth->dev) {
		dev_user(token, len, user);
		finish(auth, w, AUTH_ACCEPTED, user);
		return;
	}
	if (token == NULL || len < TOKEN_MIN_BYTES || !token_sendable(token, len)
		|| auth_cache_key(token, len, key) < 0) {
		finish(auth, w, AUTH_REFUSED, NULL);
		return;
	}
	known = auth_cache_find(auth->cache, key, loop_now_us());
	if (known != NULL) {
		auth->figures.cache_hits++;
		finish(auth, w, AUTH_ACCEPTED, known);
		return;
	}
	if (auth->url == NULL) {
		finish(auth, w, AUTH_REFUSED, NULL);
		return;
	}
	l = lookup_find(auth, key);
	if (l != NULL)
		auth->figures.joined++;
	else if (auth->figures.lookups_now < MAX_LOOKUPS)
		l = lookup_start(auth, key, token, len);
	if (l == NULL)
		finish(auth, w, AUTH_UNAVAILABLE, NULL);
	else
		STAILQ_INSERT_TAIL(&l->waiters, w, next);
}

void auth_destroy(struct auth *auth)
{
	struct waiter *w;

	if (auth == NULL)
		return;
	auth->closing = true;
	for (unsigned i = 0; i < LOOKUP_BUCKETS; i++) {
		while (!LIST_EMPTY(&auth->bucket[i])) {
			struct lookup *l = LIST_FIRST(&auth->bucket[i]);

			lookup_unlink(l);
			lookup_free(l);
		}
	}
	while ((w = STAILQ_FIRST(&auth->finished)) != NULL) {
		STAILQ_REMOVE_HEAD(&auth->finished, next);
		free(w);
	}
	// Closes idle connections; their watches go through on_socket().
	curl_multi_cleanup(auth->multi);
	curl_global_cleanup();
	uv_close((uv_handle_t *)&auth->curl_timer, on_handle_closed);
	uv_close((uv_handle_t *)&auth->expiry_timer, on_handle_closed);
	uv_close((uv_handle_t *)&auth->deliver, on_handle_closed);
}

void auth_figures(const struct auth *auth, struct auth_figures *out)
{
	*out = auth->figures;
}
