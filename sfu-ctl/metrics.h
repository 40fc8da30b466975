// SPDX-License-Identifier: BSD-3-Clause
/**
 * The metrics as Prometheus reads them (protocol.md B12): names sfu_*, base units, HELP and TYPE for each,
 * every series there from the start. The JSON of A9 is http.c's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct http_site;

enum metrics_format {
	METRICS_JSON,
	METRICS_TEXT, /* Prometheus text exposition 0.0.4 */
	METRICS_OPENMETRICS, /* OpenMetrics 1.0 */
};

/**
 * What an Accept header asks for: text/plain or application/openmetrics-text when it prefers one of them
 * to application/json, else JSON. "" = no header.
 */
enum metrics_format metrics_choose(const char *accept);

/** Static storage. Not for METRICS_JSON. */
const char *metrics_content_type(enum metrics_format format);

/** The page, malloc()ed and NUL terminated; NULL: no memory. Not for METRICS_JSON. */
char *metrics_write(const struct http_site *site, enum metrics_format format);

/** Does "Authorization: Bearer …" carry the token? In constant time; an empty token: always. */
bool metrics_allowed(const char *authorization, const char *token);
