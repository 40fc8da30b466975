// SPDX-License-Identifier: BSD-3-Clause
/**
 * HTTP GET by libcurl's multi interface on the event loop: names, handshakes and bodies never hold the loop
 * up. No redirects, no proxy, certificates checked, nothing decompressed. Event loop's thread only.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct fetcher;
struct fetch; /* one question under way */

struct fetch_answer {
	/** NULL: an answer came, whatever its status. Else a few words why none did; static storage. */
	const char *error;
	long status;
	const char *body; /* body_len octets and a NUL; valid during the call */
	size_t body_len;
};

/** The fetch is gone when this returns. */
typedef void (*fetch_done_fn)(void *ctx, const struct fetch_answer *answer);

struct fetch_request {
	const char *url;
	const char *const *headers; /* "Name: value", NULL terminated; wiped copies. NULL: none */
	uint32_t deadline_ms; /* for everything, waiting for a connection included */
	size_t body_max_bytes; /* a longer one is an error */
	fetch_done_fn done; /* called exactly once, never from inside fetch_start() */
	void *ctx;
};

/** @param max_connections  at a time; further questions wait. NULL when out of memory. */
struct fetcher *fetcher_create(uv_loop_t *loop, long max_connections);

/** Drops what is under way without a call. Memory goes when the loop has run. NULL is fine. */
void fetcher_destroy(struct fetcher *fetcher);

/** Ask; the request is copied. NULL when out of memory. */
struct fetch *fetch_start(struct fetcher *fetcher, const struct fetch_request *request);

/** Give up; done is not called. Not from inside done. */
void fetch_cancel(struct fetch *fetch);
