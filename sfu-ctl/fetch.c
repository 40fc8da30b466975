// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/fetch.h"

#include <curl/curl.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

struct fetch {
	LIST_ENTRY(fetch) link;
	struct fetcher *fetcher;
	CURL *easy;
	struct curl_slist *headers;
	fetch_done_fn done;
	void *ctx;
	size_t body_max_bytes, body_len, body_size;
	char *body;
};

struct fetcher {
	uv_loop_t *loop;
	CURLM *multi;
	X509_STORE *trusted; /* the system's certificates, as OpenSSL finds them */
	LIST_HEAD(, fetch) fetches;
	bool closing;
	uv_timer_t timer; /* closes asynchronously and then frees this */
};

/** libcurl's socket, watched by the loop. */
struct watch {
	uv_poll_t poll;
	struct fetcher *fetcher;
	curl_socket_t fd;
};

/* --- one question --- */

static void fetch_free(struct fetch *f)
{
	if (f->easy != NULL) {
		curl_multi_remove_handle(f->fetcher->multi, f->easy);
		curl_easy_cleanup(f->easy);
	}
	for (struct curl_slist *h = f->headers; h != NULL; h = h->next)
		explicit_bzero(h->data, strlen(h->data));
	curl_slist_free_all(f->headers);
	free(f->body);
	free(f);
}

void fetch_cancel(struct fetch *f)
{
	LIST_REMOVE(f, link);
	fetch_free(f);
}

static void fetch_finish(struct fetch *f, CURLcode code)
{
	struct fetch_answer answer = {
		.error = code != CURLE_OK ? curl_easy_strerror(code) : NULL,
		.body = f->body != NULL ? f->body : "",
		.body_len = f->body_len,
	};

	curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &answer.status);
	LIST_REMOVE(f, link);
	f->done(f->ctx, &answer);
	fetch_free(f);
}

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
	struct fetch *f = arg;
	size_t len = size * count;

	if (len > f->body_max_bytes - f->body_len)
		return CURL_WRITEFUNC_ERROR;
	if (f->body_len + len >= f->body_size) {
		size_t bigger = f->body_size != 0 ? f->body_size : 1024;
		char *body;

		while (bigger <= f->body_len + len)
			bigger *= 2;
		body = realloc(f->body, bigger);
		if (body == NULL)
			return CURL_WRITEFUNC_ERROR;
		f->body = body;
		f->body_size = bigger;
	}
	memcpy(f->body + f->body_len, data, len);
	f->body_len += len;
	f->body[f->body_len] = '\0';
	return len;
}

static bool set_headers(struct fetch *f, const char *const *headers)
{
	for (; headers != NULL && *headers != NULL; headers++) {
		struct curl_slist *list = curl_slist_append(f->headers, *headers);

		if (list == NULL)
			return false;
		f->headers = list;
	}
	return true;
}

/**
 * libcurl would read the system's whole bundle at the first handshake, which held the loop up for
 * 190 ms. Ours looks up what a chain needs.
 */
static CURLcode on_tls(CURL *easy, void *tls, void *arg)
{
	struct fetcher *fetcher = arg;

	(void)easy;
	SSL_CTX_set1_cert_store(tls, fetcher->trusted);
	return CURLE_OK;
}

static bool set_options(struct fetch *f, const struct fetch_request *request)
{
	CURL *easy = f->easy;
	bool ok = curl_easy_setopt(easy, CURLOPT_URL, request->url) == CURLE_OK;

	ok &= curl_easy_setopt(easy, CURLOPT_PRIVATE, f) == CURLE_OK;
	ok &= curl_easy_setopt(easy, CURLOPT_HTTPHEADER, f->headers) == CURLE_OK;
	ok &= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK;
	ok &= curl_easy_setopt(easy, CURLOPT_WRITEDATA, f) == CURLE_OK;
	ok &= curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)request->deadline_ms) == CURLE_OK;
	ok &= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
	ok &= curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK;
	ok &= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK;
	// What is asked goes to the configured server and to nobody else.
	ok &= curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK;
	// Else a dead resolver holds the process for 5 s at its end (design.md 12).
	ok &= curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK;
	// The certificates we trust come from on_tls() alone.
	ok &= curl_easy_setopt(easy, CURLOPT_CAINFO, NULL) == CURLE_OK;
	ok &= curl_easy_setopt(easy, CURLOPT_CAPATH, NULL) == CURLE_OK;
	ok &= curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_tls) == CURLE_OK;
	ok &= curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, f->fetcher) == CURLE_OK;
	return ok;
}

struct fetch *fetch_start(struct fetcher *fetcher, const struct fetch_request *request)
{
	struct fetch *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return NULL;
	f->fetcher = fetcher;
	f->done = request->done;
	f->ctx = request->ctx;
	f->body_max_bytes = request->body_max_bytes;
	f->easy = curl_easy_init();
	if (f->easy == NULL || !set_headers(f, request->headers) || !set_options(f, request)
		|| curl_multi_add_handle(fetcher->multi, f->easy) != CURLM_OK) {
		fetch_free(f);
		return NULL;
	}
	LIST_INSERT_HEAD(&fetcher->fetches, f, link);
	return f;
}

/* --- libcurl on the loop --- */

static void read_finished(struct fetcher *fetcher)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(fetcher->multi, &left)) != NULL) {
		struct fetch *f = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&f);
		fetch_finish(f, message->data.result);
	}
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
	struct watch *watch = handle->data;
	struct fetcher *fetcher = watch->fetcher;
	int flags = 0, running;

	if (status < 0)
		flags = CURL_CSELECT_ERR;
	if ((events & UV_READABLE) != 0)
		flags |= CURL_CSELECT_IN;
	if ((events & UV_WRITABLE) != 0)
		flags |= CURL_CSELECT_OUT;
	curl_multi_socket_action(fetcher->multi, watch->fd, flags, &running);
	read_finished(fetcher);
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
	struct fetcher *fetcher = arg;
	struct watch *watch = socket_arg;
	int events = 0;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (watch != NULL)
			watch_close(watch);
		curl_multi_assign(fetcher->multi, fd, NULL);
		return 0;
	}
	if (watch == NULL) {
		watch = calloc(1, sizeof(*watch));
		if (watch == NULL)
			return -1;
		watch->fetcher = fetcher;
		watch->fd = fd;
		if (uv_poll_init_socket(fetcher->loop, &watch->poll, fd) < 0) {
			free(watch);
			return -1;
		}
		watch->poll.data = watch;
		curl_multi_assign(fetcher->multi, fd, watch);
	}
	if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
		events |= UV_READABLE;
	if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
		events |= UV_WRITABLE;
	return uv_poll_start(&watch->poll, events, on_poll) < 0 ? -1 : 0;
}

static void on_timer(uv_timer_t *handle)
{
	struct fetcher *fetcher = handle->data;
	int running;

	curl_multi_socket_action(fetcher->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	read_finished(fetcher);
}

static int on_timeout_wish(CURLM *multi, long timeout_ms, void *arg)
{
	struct fetcher *fetcher = arg;

	(void)multi;
	if (fetcher->closing)
		return 0;
	// Never straight from here: libcurl must not be entered from its own callback.
	if (timeout_ms < 0)
		uv_timer_stop(&fetcher->timer);
	else
		uv_timer_start(&fetcher->timer, on_timer, (uint64_t)timeout_ms, 0);
	return 0;
}

/* --- birth and death --- */

struct fetcher *fetcher_create(uv_loop_t *loop, long max_connections)
{
	struct fetcher *fetcher = calloc(1, sizeof(*fetcher));

	if (fetcher == NULL)
		return NULL;
	fetcher->loop = loop;
	fetcher->trusted = X509_STORE_new();
	if (fetcher->trusted == NULL || X509_STORE_set_default_paths(fetcher->trusted) != 1)
		goto free_fetcher;
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		goto free_fetcher;
	fetcher->multi = curl_multi_init();
	if (fetcher->multi == NULL)
		goto cleanup_curl;
	curl_multi_setopt(fetcher->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(fetcher->multi, CURLMOPT_SOCKETDATA, fetcher);
	curl_multi_setopt(fetcher->multi, CURLMOPT_TIMERFUNCTION, on_timeout_wish);
	curl_multi_setopt(fetcher->multi, CURLMOPT_TIMERDATA, fetcher);
	curl_multi_setopt(fetcher->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, max_connections);
	uv_timer_init(loop, &fetcher->timer);
	fetcher->timer.data = fetcher;
	return fetcher;

cleanup_curl:
	curl_global_cleanup();
free_fetcher:
	X509_STORE_free(fetcher->trusted);
	free(fetcher);
	return NULL;
}

static void on_timer_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void fetcher_destroy(struct fetcher *fetcher)
{
	if (fetcher == NULL)
		return;
	fetcher->closing = true;
	while (!LIST_EMPTY(&fetcher->fetches))
		fetch_cancel(LIST_FIRST(&fetcher->fetches));
	// Closes idle connections; their watches go through on_socket().
	curl_multi_cleanup(fetcher->multi);
	curl_global_cleanup();
	X509_STORE_free(fetcher->trusted);
	uv_close((uv_handle_t *)&fetcher->timer, on_timer_closed);
}
