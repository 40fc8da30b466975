// SPDX-License-Identifier: BSD-3-Clause
/**
 * What plain HTTP requests get (protocol.md A9, B12): health, metrics, the files of the page, 404.
 * No sockets: ws.c asks and sends.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct auth;
struct config;
struct core;
struct media;
struct regions;
struct ws;

/** Where answers come from. Filled in by main.c; root_fd by http_site_open(). */
struct http_site {
	const struct config *config;
	struct core *core; /* only read */
	struct media *media; /* NULL in fallback mode; only read */
	const struct auth *auth; /* NULL: no figures of it */
	const struct ws *ws; /* NULL until it listens */
	const struct regions *regions; /* NULL: no other nodes */
	bool starting; /* not yet in service: written by main.c */
	bool draining; /* no new rooms here: written by drain.c */
	uint64_t started_us;
	int root_fd; /* SFU_WEB_ROOT; -1 = none */
};

struct http_request {
	const char *path; /* decoded, without the query; NUL terminated */
	bool has_query;
	bool at_metrics; /* it came to SFU_METRICS_LISTEN */
	bool no_files; /* no descriptor is left for one: 503 */
	const char *if_none_match; /* "" = none */
	const char *accept; /* "" = none */
	const char *authorization; /* "" = none */
};

#define HTTP_ETAG_BYTES 64u

/** An answer: either body or fd. Freed by http_answer_free(). */
struct http_answer {
	unsigned status;
	const char *content_type; /* static */
	char *body; /* malloc()ed; NULL = none */
	int fd; /* file to send, length octets; -1 = none */
	size_t length;
	char etag[HTTP_ETAG_BYTES]; /* "" = none */
	bool page; /* a file of the page: send http_page_headers too */
	unsigned retry_after_sec; /* 0 = none; else a file was refused */
};

/** A header line of the page's files: who may embed it, and what it may do. */
struct http_header {
	const char *name; /* with its colon */
	const char *value;
};

/** Ended by an entry with a NULL name. */
extern const struct http_header http_page_headers[];

/** Open SFU_WEB_ROOT. 0 or negative errno. */
int http_site_open(struct http_site *site);
void http_site_close(struct http_site *site);

/**
 * Is this node one for new rooms? Not while it starts or drains, nor without a data plane that it must
 * have.
 */
bool http_site_ready(const struct http_site *site);

/** Answer a request, of whatever method. Without memory the answer is 503 without a body. */
void http_answer(
	const struct http_site *site, const struct http_request *request, struct http_answer *out);

void http_answer_free(struct http_answer *answer);
