// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/http.h"

#include "sfu-ctl/config.h"
#include "sfu-ctl/core.h"
#include "sfu-ctl/loop.h"
#include "sfu-ctl/media.h"
#include "sfu-ctl/metrics.h"
#include "sfu-ctl/region_view.h"
#include "sfu-ctl/regions.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_PATH_BYTES 512u
/** When who was refused a file may ask again: others' may have been sent by then. */
#define RETRY_AFTER_SEC 5

/**
 * Scripts, workers and WebAssembly of the page itself, its own WebSocket, camera and microphone,
 * and nothing from or to elsewhere. Styles may be inline: tiles are placed by them.
 */
const struct http_header http_page_headers[] = {
	{"content-security-policy:",
		"default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' "
		"blob:; "
		"connect-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
		"media-src 'self' blob:; font-src 'self'; manifest-src 'self'; base-uri 'none'; "
		"form-action 'self'; frame-ancestors 'none'"},
	{"permissions-policy:", "camera=(self), microphone=(self), display-capture=(self), "
				"geolocation=(), usb=(), serial=()"},
	{"x-content-type-options:", "nosniff"},
	{"x-frame-options:", "DENY"},
	{"referrer-policy:", "no-referrer"},
	{"cross-origin-opener-policy:", "same-origin"},
	{"cross-origin-resource-policy:", "same-origin"},
	{NULL, NULL},
};

static const struct {
	const char *suffix, *type;
} content_types[] = {
	{".html", "text/html; charset=utf-8"},
	{".js", "text/javascript; charset=utf-8"},
	{".mjs", "text/javascript; charset=utf-8"},
	{".css", "text/css; charset=utf-8"},
	{".json", "application/json"},
	{".map", "application/json"},
	{".webmanifest", "application/manifest+json"},
	{".svg", "image/svg+xml"},
	{".png", "image/png"},
	{".jpg", "image/jpeg"},
	{".webp", "image/webp"},
	{".ico", "image/x-icon"},
	{".wasm", "application/wasm"},
	{".woff2", "font/woff2"},
	{".txt", "text/plain; charset=utf-8"},
};

/* --- JSON --- */

/** Takes the object. */
static void answer_json(struct http_answer *out, unsigned status, struct json_object *object)
{
	const char *text = NULL;

	if (object != NULL)
		text = json_object_to_json_string_ext(
			object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
	if (text != NULL)
		out->body = strdup(text);
	json_object_put(object);
	out->status = out->body != NULL ? status : 503;
	out->content_type = "application/json";
	out->length = out->body != NULL ? strlen(out->body) : 0;
}

static void add_string(struct json_object *object, const char *key, const char *value)
{
	json_object_object_add(object, key, json_object_new_string(value));
}

static void add_number(struct json_object *object, const char *key, uint64_t value)
{
	json_object_object_add(object, key, json_object_new_int64((int64_t)value));
}

static void add_bool(struct json_object *object, const char *key, bool value)
{
	json_object_object_add(object, key, json_object_new_boolean(value));
}

static uint64_t uptime_sec(const struct http_site *site)
{
	return (loop_now_us() - site->started_us) / 1000000u;
}

static bool has_media(const struct http_site *site)
{
	return !site->starting && site->media != NULL && media_attached(site->media);
}

/* Where new rooms are welcome: here, or where clients are sent from here. */
static const char *preferred_region(const struct http_site *site, bool healthy)
{
	const struct region *other = NULL;

	if (!healthy && site->regions != NULL)
		other = regions_best(site->regions, site->config->region);
	return other != NULL ? other->where.name : site->config->region;
}

/* What other nodes read (region_report.h) and clients may; more than A9 only where there are others. */
static struct json_object *failover_hints(const struct http_site *site)
{
	struct json_object *hints = json_object_new_object();
	bool healthy = http_site_ready(site) && core_takes_rooms(site->core);

	add_bool(hints, "healthy", healthy);
	add_string(hints, "preferredRegion", preferred_region(site, healthy));
	if (site->regions == NULL || site->regions->count == 0)
		return hints;
	add_string(hints, "instance", site->regions->instance);
	add_number(hints, "load", core_load(site->core));
	add_number(hints, "clockUs", core_clock_us(site->core));
	json_object_object_add(
		hints, "endpoints", region_view_endpoints(site->regions, site->config->region));
	return hints;
}

static void answer_health(const struct http_site *site, bool ok, struct http_answer *out)
{
	struct json_object *health = json_object_new_object();
	struct core_figures figures;

	core_figures(site->core, &figures);
	add_bool(health, "ok", ok);
	add_string(health, "region", site->config->region);
	add_string(health, "nodeId", site->config->node_id);
	add_bool(health, "wsReady", true);
	add_number(health, "rooms", figures.rooms);
	add_number(health, "peers", figures.bound_peers);
	add_number(health, "uptimeSec", uptime_sec(site));
	json_object_object_add(health, "failoverHints", failover_hints(site));
	answer_json(out, ok ? 200 : 503, health);
}

static void answer_figures(const struct http_site *site, struct http_answer *out)
{
	struct json_object *metrics = json_object_new_object();
	struct json_object *plane = json_object_new_object();
	bool attached = has_media(site);
	const struct media_info *info = attached ? media_info(site->media) : NULL;
	struct core_figures figures;

	core_figures(site->core, &figures);
	add_string(metrics, "nodeId", site->config->node_id);
	add_string(metrics, "region", site->config->region);
	add_number(metrics, "uptimeSec", uptime_sec(site));
	add_number(metrics, "rooms", figures.rooms);
	add_number(metrics, "peers", figures.room_peers);
	add_number(metrics, "producers", figures.producers);
	add_string(plane, "mode", attached ? "mediasoup" : "fallback");
	add_number(plane, "roomCount", figures.rooms);
	add_number(plane, "transportCount", figures.transports);
	add_number(plane, "producerCount", figures.producers);
	add_number(plane, "consumerCount", figures.consumers);
	add_number(plane, "workerCount", info != NULL ? info->workers : 0);
	json_object_object_add(metrics, "mediaPlane", plane);
	json_object_object_add(metrics, "roomsByRegion", core_rooms_by_region(site->core));
	answer_json(out, 200, metrics);
}

static void answer_error(struct http_answer *out, unsigned status, const char *error)
{
	struct json_object *object = json_object_new_object();

	add_string(object, "error", error);
	answer_json(out, status, object);
}

/** Figures in the form that was asked for (B12). */
static void answer_metrics(const struct http_site *site, const struct http_request *request,
	enum metrics_format format, struct http_answer *out)
{
	if (!metrics_allowed(request->authorization, site->config->metrics_token)) {
		answer_error(out, 401, "unauthorized");
		return;
	}
	if (format == METRICS_JSON) {
		answer_figures(site, out);
		return;
	}
	out->body = metrics_write(site, format);
	out->status = out->body != NULL ? 200 : 503;
	out->content_type = metrics_content_type(format);
	out->length = out->body != NULL ? strlen(out->body) : 0;
}

/* --- files --- */

/**
 * Open a file below the root, name by name: no "..", no symbolic link, no hidden file.
 * @return descriptor of a regular file, or -1
 */
static int open_below(int root_fd, const char *path, struct stat *info)
{
	char name[NAME_MAX + 1];
	int fd = dup(root_fd);

	while (fd >= 0) {
		size_t len;
		bool last;
		int next;

		while (*path == '/')
			path++;
		len = strcspn(path, "/");
		last = path[len] == '\0';
		if (len == 0 || len > NAME_MAX || path[0] == '.')
			break;
		memcpy(name, path, len);
		name[len] = '\0';
		// O_NONBLOCK: opening a FIFO must not wait for its writer.
		next = openat(fd, name,
			O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | (last ? 0 : O_DIRECTORY));
		close(fd);
		fd = next;
		path += len;
		if (last && fd >= 0) {
			if (fstat(fd, info) == 0 && S_ISREG(info->st_mode))
				return fd;
			break;
		}
	}
	if (fd >= 0)
		close(fd);
	return -1;
}

static const char *content_type_of(const char *path)
{
	size_t len = strlen(path);

	for (size_t i = 0; i < sizeof(content_types) / sizeof(content_types[0]); i++) {
		size_t suffix = strlen(content_types[i].suffix);

		if (len > suffix && strcmp(path + len - suffix, content_types[i].suffix) == 0)
			return content_types[i].type;
	}
	return "application/octet-stream";
}

/** False: there is no such file. */
static bool answer_file(
	const struct http_site *site, const struct http_request *request, struct http_answer *out)
{
	const char *path = strcmp(request->path, "/") == 0 ? "/index.html" : request->path;
	struct stat info;
	int fd;

	if (site->root_fd < 0 || request->at_metrics || path[0] != '/'
		|| strlen(path) > MAX_PATH_BYTES)
		return false;
	fd = open_below(site->root_fd, path, &info);
	if (fd < 0)
		return false;
	out->page = true;
	out->content_type = content_type_of(path);
	snprintf(out->etag, sizeof(out->etag), "\"%llx-%llx-%llx\"",
		(unsigned long long)info.st_ino, (unsigned long long)info.st_size,
		(unsigned long long)info.st_mtim.tv_sec * 1000000000ull
			+ (unsigned long long)info.st_mtim.tv_nsec);
	if (strcmp(request->if_none_match, out->etag) == 0) {
		close(fd);
		out->status = 304;
		return true;
	}
	if (request->no_files) {
		close(fd);
		answer_error(out, 503, "busy");
		out->page = false;
		out->retry_after_sec = RETRY_AFTER_SEC;
		return true;
	}
	out->status = 200;
	out->fd = fd;
	out->length = (size_t)info.st_size;
	return true;
}

/* --- all together --- */

int http_site_open(struct http_site *site)
{
	site->root_fd = -1;
	if (site->config->web_root[0] == '\0')
		return 0;
	site->root_fd = open(site->config->web_root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return site->root_fd < 0 ? -errno : 0;
}

void http_site_close(struct http_site *site)
{
	if (site->root_fd >= 0)
		close(site->root_fd);
	site->root_fd = -1;
}

bool http_site_ready(const struct http_site *site)
{
	return !site->starting && !site->draining && (!site->config->require_dp || has_media(site));
}

/** With an address of their own, figures are given at no other (B12). */
static bool metrics_here(const struct http_site *site, const struct http_request *request)
{
	return request->at_metrics || site->config->metrics_listen[0] == '\0';
}

/** False: the path is no name of ours. The whole target is compared: a query makes it another. */
static bool answer_name(
	const struct http_site *site, const struct http_request *request, struct http_answer *out)
{
	const char *path = request->path;

	if (request->has_query)
		return false;
	if (strcmp(path, "/health") == 0 || strcmp(path, "/healthz") == 0)
		answer_health(site, true, out);
	else if (strcmp(path, "/ready") == 0)
		answer_health(site, http_site_ready(site), out);
	else if (!metrics_here(site, request))
		return false;
	else if (strcmp(path, "/metrics") == 0)
		answer_metrics(site, request, metrics_choose(request->accept), out);
	else if (strcmp(path, "/metrics/prometheus") == 0)
		answer_metrics(site, request,
			metrics_choose(request->accept) == METRICS_OPENMETRICS ? METRICS_OPENMETRICS
									       : METRICS_TEXT,
			out);
	else
		return false;
	return true;
}

void http_answer(
	const struct http_site *site, const struct http_request *request, struct http_answer *out)
{
	memset(out, 0, sizeof(*out));
	out->fd = -1;
	if (!answer_name(site, request, out) && !answer_file(site, request, out))
		answer_error(out, 404, "not_found");
}

void http_answer_free(struct http_answer *answer)
{
	free(answer->body);
	answer->body = NULL;
	if (answer->fd >= 0)
		close(answer->fd);
	answer->fd = -1;
}
