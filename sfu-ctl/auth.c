// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/auth.h"

#include "sfu-ctl/auth_cache.h"
#include "sfu-ctl/config.h"
#include "sfu-ctl/fetch.h"
#include "sfu-ctl/jwks.h"
#include "sfu-ctl/jwt.h"
#include "sfu-ctl/log.h"
#include "sfu-ctl/loop.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#define TOKEN_MIN_BYTES 20u
#define TOKEN_MAX_BYTES 16384u
#define DEV_USER_CHARS 20u
#define BODY_MAX_BYTES 65536u
#define LOOKUP_DEADLINE_MS 5000u
#define KEYS_DEADLINE_MS 3000u
/** Tokens that wait for keys; beyond this the answer is "unavailable, try again". */
#define MAX_WAIT_FOR_KEYS 256u
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
	int64_t expires_sec; /* as the token says; 0 = it does not */
	enum auth_verdict verdict; /* of a finished one */
	char user[AUTH_USER_BYTES + 1];
	char *token; /* while it waits for keys; wiped afterwards */
	size_t token_len;
};

STAILQ_HEAD(waiter_list, waiter);

/** A question to the auth server. */
struct lookup {
	LIST_ENTRY(lookup) in_bucket;
	struct auth *auth;
	struct fetch *fetch;
	struct waiter_list waiters;
	uint64_t started_us;
	uint8_t key[AUTH_KEY_BYTES];
};

struct auth {
	uv_loop_t *loop;
	auth_done_fn done;
	void *ctx;
	enum auth_mode mode;
	bool dev;
	char *url; /* of look-ups; NULL: nobody to ask */
	char *apikey; /* header line */
	struct fetcher *fetcher;
	struct auth_cache *cache;
	LIST_HEAD(, lookup) bucket[LOOKUP_BUCKETS];
	struct waiter_list finished; /* delivered on the next turn of the loop */
	struct auth_figures figures;
	struct log_limit failure_limit, keys_limit;

	/* Tokens verified here. */
	char *keys_url; /* NULL: no public keys */
	char *audience, *issuer, *secret; /* "" = none */
	struct jwks *jwks;
	struct fetch *keys_fetch; /* under way, or NULL */
	struct waiter_list waiting; /* for keys_fetch */
	unsigned waiting_count;

	/* Handles close asynchronously; the last of them frees this. */
	uv_timer_t keys_timer, expiry_timer;
	uv_idle_t deliver;
	unsigned handles_open;
};

static const char module[] = "auth";

/* --- answers --- */

static void wipe_free(char *secret)
{
	if (secret != NULL)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}

static void auth_free(struct auth *auth)
{
	auth_cache_destroy(auth->cache);
	jwks_destroy(auth->jwks);
	free(auth->url);
	free(auth->keys_url);
	free(auth->audience);
	free(auth->issuer);
	wipe_free(auth->secret);
	wipe_free(auth->apikey);
	free(auth);
}

static void waiter_free(struct waiter *w)
{
	if (w->token != NULL)
		explicit_bzero(w->token, w->token_len);
	free(w->token);
	free(w);
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
			w->verdict == AUTH_ACCEPTED ? w->user : NULL,
			w->verdict == AUTH_ACCEPTED ? w->expires_sec : 0);
		waiter_free(w);
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

/* --- questions to the auth server --- */

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

	while ((w = STAILQ_FIRST(&l->waiters)) != NULL) {
		STAILQ_REMOVE_HEAD(&l->waiters, next);
		waiter_free(w);
	}
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
 * What an answer says (protocol.md A10 and C20).
 * @param why  receives a few words for the log when it is AUTH_UNAVAILABLE
 */
static enum auth_verdict lookup_verdict(
	const struct fetch_answer *a, char user[AUTH_USER_BYTES + 1], const char **why)
{
	enum auth_verdict verdict = AUTH_UNAVAILABLE;
	struct json_tokener *tokener;
	struct json_object *answer;

	*why = a->error;
	if (a->error != NULL)
		return AUTH_UNAVAILABLE;
	if (a->status >= 400 && a->status < 500)
		return AUTH_REFUSED;
	*why = "status of the answer";
	if (a->status != 200)
		return AUTH_UNAVAILABLE;
	*why = "answer is not JSON";
	tokener = json_tokener_new_ex(JSON_DEPTH);
	if (tokener == NULL)
		return AUTH_UNAVAILABLE;
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	// One octet more: json-c wants to see the end.
	answer = json_tokener_parse_ex(tokener, a->body, (int)a->body_len + 1);
	if (json_tokener_get_error(tokener) == json_tokener_success)
		verdict = user_of(answer, user) ? AUTH_ACCEPTED : AUTH_REFUSED;
	json_object_put(answer);
	json_tokener_free(tokener);
	return verdict;
}

static void on_lookup(void *ctx, const struct fetch_answer *answer)
{
	struct lookup *l = ctx;
	struct auth *auth = l->auth;
	char user[AUTH_USER_BYTES + 1] = "";
	const char *why = "";
	enum auth_verdict verdict = lookup_verdict(answer, user, &why);
	struct waiter *w;
	uint32_t suppressed = 0;

	if (verdict == AUTH_UNAVAILABLE
		&& log_allowed(&auth->failure_limit, loop_now_us(), &suppressed))
		log_warn(module, "auth server could not be asked", log_str("reason", why),
			log_num("status", answer->status), log_num("suppressed", suppressed));
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

/** A question about a token; it is under way on return. NULL: no memory. */
static struct lookup *lookup_start(
	struct auth *auth, const uint8_t key[AUTH_KEY_BYTES], const char *token, size_t len)
{
	static const char start[] = "Authorization: Bearer ";
	char bearer[sizeof(start) + TOKEN_MAX_BYTES];
	const char *const headers[] = {auth->apikey, bearer, "X-Client-Info: sfu-ctl/0.1.0",
		"X-Supabase-Api-Version: 2024-01-01", NULL};
	const struct fetch_request request = {
		.url = auth->url,
		.headers = headers,
		.deadline_ms = LOOKUP_DEADLINE_MS,
		.body_max_bytes = BODY_MAX_BYTES,
		.done = on_lookup,
		.ctx = calloc(1, sizeof(struct lookup)),
	};
	struct lookup *l = request.ctx;

	if (l == NULL)
		return NULL;
	l->auth = auth;
	l->started_us = loop_now_us();
	memcpy(l->key, key, AUTH_KEY_BYTES);
	STAILQ_INIT(&l->waiters);
	memcpy(bearer, start, sizeof(start) - 1);
	memcpy(bearer + sizeof(start) - 1, token, len);
	bearer[sizeof(start) - 1 + len] = '\0';
	l->fetch = fetch_start(auth->fetcher, &request);
	explicit_bzero(bearer, sizeof(bearer));
	if (l->fetch == NULL) {
		lookup_free(l);
		return NULL;
	}
	LIST_INSERT_HEAD(&auth->bucket[lookup_bucket(key)], l, in_bucket);
	auth->figures.lookups++;
	auth->figures.lookups_now++;
	return l;
}

/** Ask, or wait with others who asked. Takes the waiter. */
static void look_up(struct auth *auth, struct waiter *w, const uint8_t key[AUTH_KEY_BYTES],
	const char *token, size_t len)
{
	struct lookup *l;

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

/* --- tokens verified here --- */

static void on_keys_timer(uv_timer_t *handle);

static void arm_keys(struct auth *auth)
{
	uint64_t now = loop_now_us();
	uint64_t due = jwks_due_us(auth->jwks);

	uv_update_time(auth->loop);
	uv_timer_start(&auth->keys_timer, on_keys_timer, due > now ? (due - now) / 1000 + 1 : 0, 0);
}

static enum jwt_status verify(
	struct auth *auth, const char *token, size_t len, struct jwt_result *result)
{
	struct jwt_expect expect = {
		.keys = jwks_keys(auth->jwks, loop_now_us()),
		.secret = auth->secret,
		.secret_len = strlen(auth->secret),
		.audience = auth->audience,
		.issuer = auth->issuer,
		.now_sec = (int64_t)time(NULL),
	};
	enum jwt_status status = jwt_verify(token, len, &expect, result);

	auth->figures.jwt[status]++;
	if (status != JWT_OK && status != JWT_NO_KEY)
		log_debug(module, "token not good", log_str("reason", jwt_status_text(status)));
	return status;
}

/** Those who waited for keys, once more. fresh: the server gave some. */
static void answer_waiting(struct auth *auth, bool fresh)
{
	struct waiter *w;

	while ((w = STAILQ_FIRST(&auth->waiting)) != NULL) {
		struct jwt_result result;
		enum jwt_status status = verify(auth, w->token, w->token_len, &result);

		STAILQ_REMOVE_HEAD(&auth->waiting, next);
		auth->waiting_count--;
		if (status == JWT_NO_KEY && fresh)
			jwks_absent(auth->jwks, result.kid, loop_now_us());
		if (status == JWT_OK)
			finish(auth, w, AUTH_ACCEPTED, result.subject);
		else if (status == JWT_NO_KEY && !fresh)
			finish(auth, w, AUTH_UNAVAILABLE, NULL);
		else
			finish(auth, w, AUTH_REFUSED, NULL);
	}
}

static void on_keys(void *ctx, const struct fetch_answer *answer)
{
	struct auth *auth = ctx;
	const char *why = answer->error != NULL   ? answer->error
			  : answer->status != 200 ? "status of the answer"
						  : NULL;
	uint32_t suppressed = 0;

	auth->keys_fetch = NULL;
	if (why != NULL)
		jwks_failed(auth->jwks, loop_now_us());
	else if (jwks_fetched(auth->jwks, answer->body, answer->body_len, loop_now_us()) < 0)
		why = "answer is no key set";
	if (why != NULL && log_allowed(&auth->keys_limit, loop_now_us(), &suppressed))
		log_warn(module, "keys could not be fetched; those that are known stay in use",
			log_str("reason", why), log_num("status", answer->status),
			log_num("suppressed", suppressed));
	answer_waiting(auth, why == NULL);
	arm_keys(auth);
}

static void fetch_keys(struct auth *auth)
{
	const struct fetch_request request = {
		.url = auth->keys_url,
		.deadline_ms = KEYS_DEADLINE_MS,
		.body_max_bytes = JWKS_BODY_MAX_BYTES,
		.done = on_keys,
		.ctx = auth,
	};

	if (auth->keys_fetch != NULL)
		return;
	jwks_started(auth->jwks, loop_now_us());
	auth->keys_fetch = fetch_start(auth->fetcher, &request);
	if (auth->keys_fetch == NULL)
		jwks_failed(auth->jwks, loop_now_us());
	arm_keys(auth);
}

static void on_keys_timer(uv_timer_t *handle)
{
	fetch_keys(handle->data);
}

/** Have a token wait for keys that are being fetched. Takes the waiter. */
static void wait_for_keys(struct auth *auth, struct waiter *w, const char *token, size_t len)
{
	if (auth->keys_fetch == NULL || auth->waiting_count == MAX_WAIT_FOR_KEYS
		|| (w->token = malloc(len)) == NULL) {
		finish(auth, w, AUTH_UNAVAILABLE, NULL);
		return;
	}
	memcpy(w->token, token, len);
	w->token_len = len;
	STAILQ_INSERT_TAIL(&auth->waiting, w, next);
	auth->waiting_count++;
}

/** A token with a name of a key that we do not have. Takes the waiter. */
static void unknown_key(
	struct auth *auth, struct waiter *w, const char *kid, const char *token, size_t len)
{
	enum jwks_verdict verdict = JWKS_ABSENT;

	if (auth->keys_url != NULL && kid[0] != '\0')
		verdict = jwks_unknown(auth->jwks, kid, loop_now_us());
	if (verdict == JWKS_FETCH)
		fetch_keys(auth);
	if (verdict == JWKS_ABSENT)
		finish(auth, w, AUTH_REFUSED, NULL);
	else if (verdict == JWKS_UNKNOWN)
		finish(auth, w, AUTH_UNAVAILABLE, NULL);
	else
		wait_for_keys(auth, w, token, len);
}

/** Verify here. Takes the waiter and returns true, or leaves the token to the auth server. */
static bool decide_here(struct auth *auth, struct waiter *w, const char *token, size_t len)
{
	bool may_ask = auth->mode == AUTH_BOTH && auth->url != NULL;
	struct jwt_result result;

	switch (verify(auth, token, len, &result)) {
	case JWT_OK:
		finish(auth, w, AUTH_ACCEPTED, result.subject);
		return true;
	case JWT_NO_KEY:
		if (!may_ask) {
			unknown_key(auth, w, result.kid, token, len);
			return true;
		}
		// The server knows now; we know next time.
		if (auth->keys_url != NULL && result.kid[0] != '\0'
			&& jwks_unknown(auth->jwks, result.kid, loop_now_us()) == JWKS_FETCH)
			fetch_keys(auth);
		return false;
	case JWT_NOT_JWT:
	case JWT_ALG:
		if (may_ask)
			return false;
		break;
	default:
		break;
	}
	finish(auth, w, AUTH_REFUSED, NULL);
	return true;
}

/* --- birth, use, death --- */

static void on_handle_closed(uv_handle_t *handle)
{
	struct auth *auth = handle->data;

	if (--auth->handles_open == 0)
		auth_free(auth);
}

/** A formatted copy; NULL: no memory. */
__attribute__((format(printf, 1, 2))) static char *text(const char *format, ...)
{
	char *out = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&out, format, args) < 0)
		out = NULL;
	va_end(args);
	return out;
}

/** Whom look-ups ask; with an empty URL or key nobody can be asked. False: no memory. */
static bool set_server(struct auth *auth, const struct config *config)
{
	if (auth->mode == AUTH_JWKS || config->supabase_url[0] == '\0'
		|| config->supabase_key[0] == '\0')
		return true;
	auth->url = text("%s/auth/v1/user", config->supabase_url);
	auth->apikey = text("apikey: %s", config->supabase_key);
	return auth->url != NULL && auth->apikey != NULL;
}

/** What tokens are verified with here. False: no memory. */
static bool set_keys(struct auth *auth, const struct config *config)
{
	bool known_server = config->supabase_url[0] != '\0';

	if (auth->mode == AUTH_LOOKUP)
		return true;
	auth->audience = text("%s", config->jwt_audience);
	auth->secret = text("%s", config->jwt_secret);
	if (config->jwt_issuer[0] != '\0' || !known_server)
		auth->issuer = text("%s", config->jwt_issuer);
	else
		auth->issuer = text("%s/auth/v1", config->supabase_url);
	if (auth->audience == NULL || auth->secret == NULL || auth->issuer == NULL)
		return false;
	if (config->jwks_url[0] == '\0' && !known_server)
		return true;
	auth->keys_url = config->jwks_url[0] != '\0'
				 ? text("%s", config->jwks_url)
				 : text("%s/auth/v1/.well-known/jwks.json", config->supabase_url);
	return auth->keys_url != NULL;
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
	auth->mode = (enum auth_mode)config->auth_mode;
	STAILQ_INIT(&auth->finished);
	STAILQ_INIT(&auth->waiting);
	auth->cache = auth_cache_create();
	auth->jwks = jwks_create(loop_now_us());
	if (auth->cache == NULL || auth->jwks == NULL || !set_server(auth, config)
		|| !set_keys(auth, config))
		goto free_auth;
	auth->fetcher = fetcher_create(loop, MAX_CONNECTIONS);
	if (auth->fetcher == NULL)
		goto free_auth;

	uv_timer_init(loop, &auth->keys_timer);
	uv_timer_init(loop, &auth->expiry_timer);
	uv_idle_init(loop, &auth->deliver);
	auth->keys_timer.data = auth->expiry_timer.data = auth->deliver.data = auth;
	auth->handles_open = 3;
	if (auth->keys_url != NULL && !auth->dev)
		fetch_keys(auth);
	return auth;

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

int auth_check(
	struct auth *auth, uint64_t session_id, uint64_t request_id, const char *token, size_t len)
{
	struct waiter *w = calloc(1, sizeof(*w));
	uint8_t key[AUTH_KEY_BYTES];
	char user[AUTH_USER_BYTES + 1];
	const char *known;

	auth->figures.checks++;
	if (w == NULL)
		return -ENOMEM;
	w->session_id = session_id;
	w->request_id = request_id;
	if (auth->dev) {
		dev_user(token, len, user);
		finish(auth, w, AUTH_ACCEPTED, user);
		return 0;
	}
	if (token == NULL || len < TOKEN_MIN_BYTES || !token_sendable(token, len)
		|| auth_cache_key(token, len, key) < 0) {
		finish(auth, w, AUTH_REFUSED, NULL);
		return 0;
	}
	w->expires_sec = jwt_expiry(token, len);
	known = auth_cache_find(auth->cache, key, loop_now_us());
	if (known != NULL) {
		auth->figures.cache_hits++;
		finish(auth, w, AUTH_ACCEPTED, known);
		return 0;
	}
	if (auth->mode == AUTH_LOOKUP || !decide_here(auth, w, token, len))
		look_up(auth, w, key, token, len);
	return 0;
}

void auth_destroy(struct auth *auth)
{
	struct waiter *w;

	if (auth == NULL)
		return;
	fetcher_destroy(auth->fetcher);
	for (unsigned i = 0; i < LOOKUP_BUCKETS; i++) {
		while (!LIST_EMPTY(&auth->bucket[i])) {
			struct lookup *l = LIST_FIRST(&auth->bucket[i]);

			lookup_unlink(l);
			lookup_free(l);
		}
	}
	STAILQ_CONCAT(&auth->finished, &auth->waiting);
	while ((w = STAILQ_FIRST(&auth->finished)) != NULL) {
		STAILQ_REMOVE_HEAD(&auth->finished, next);
		waiter_free(w);
	}
	uv_close((uv_handle_t *)&auth->keys_timer, on_handle_closed);
	uv_close((uv_handle_t *)&auth->expiry_timer, on_handle_closed);
	uv_close((uv_handle_t *)&auth->deliver, on_handle_closed);
}

void auth_figures(const struct auth *auth, struct auth_figures *out)
{
	*out = auth->figures;
	jwks_figures(auth->jwks, &out->keys);
}
