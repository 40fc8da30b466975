// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/regions.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* --- the list --- */

static bool name_valid(const char *text, size_t len)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789._-";

	return len >= 1 && len <= REGION_NAME_BYTES && strspn(text, letters) >= len;
}

/** Octets of "ws://" or "wss://", 0 when it begins otherwise. */
static size_t scheme_len(const char *url)
{
	if (strncasecmp(url, "ws://", 5) == 0)
		return 5;
	return strncasecmp(url, "wss://", 6) == 0 ? 6 : 0;
}

static bool port_valid(const char *text, size_t len)
{
	unsigned port = 0;

	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9' || len > 5)
			return false;
		port = port * 10 + (unsigned)(text[i] - '0');
	}
	return port >= 1 && port <= 65535;
}

/** host, host:port or [IPv6]:port; no user name. */
static bool authority_valid(const char *text, size_t len)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789.-";
	static const char hex[] = "ABCDEFabcdef0123456789:.";
	bool literal = len > 0 && text[0] == '[';
	size_t host = literal ? 1 + strspn(text + 1, hex) : strspn(text, letters);

	if (literal) {
		if (host < 3 || host >= len || text[host] != ']')
			return false;
		host++;
	}
	if (host == 0 || host > len)
		return false;
	return host == len || (text[host] == ':' && port_valid(text + host + 1, len - host - 1));
}

static bool url_valid(const char *url)
{
	size_t scheme = scheme_len(url);
	size_t authority = scheme == 0 ? 0 : strcspn(url + scheme, "/?#");

	if (scheme == 0 || !authority_valid(url + scheme, authority))
		return false;
	for (const char *p = url + scheme + authority; *p != '\0'; p++) {
		if ((unsigned char)*p <= 0x20 || (unsigned char)*p >= 0x7f
			|| strchr("?#\"\\<>", *p) != NULL)
			return false;
	}
	return true;
}

static enum regions_status read_entry(const char *text, size_t len, struct region_list *out)
{
	struct region_entry *entry = &out->entry[out->count];
	const char *equals = memchr(text, '=', len);
	size_t name, url;

	if (equals == NULL)
		return REGIONS_NO_PAIR;
	if (out->count == REGIONS_MAX)
		return REGIONS_TOO_MANY;
	name = (size_t)(equals - text);
	url = len - name - 1;
	if (!name_valid(text, name))
		return REGIONS_BAD_NAME;
	if (url > REGION_URL_BYTES)
		return REGIONS_LONG_URL;
	memcpy(entry->name, text, name);
	entry->name[name] = '\0';
	memcpy(entry->url, equals + 1, url);
	entry->url[url] = '\0';
	if (!url_valid(entry->url))
		return REGIONS_BAD_URL;
	for (size_t i = 0; i < out->count; i++) {
		if (strcmp(out->entry[i].url, entry->url) == 0)
			return REGIONS_TWICE;
	}
	out->count++;
	return REGIONS_OK;
}

enum regions_status regions_parse(const char *text, struct region_list *out, size_t *number)
{
	enum regions_status status = REGIONS_OK;
	size_t entry = 0;

	memset(out, 0, sizeof(*out));
	if (text[strspn(text, " \t")] == '\0')
		return REGIONS_OK;
	while (status == REGIONS_OK) {
		size_t blank = strspn(text, " \t"), whole = strcspn(text, ","), len = whole;

		if (blank > len)
			blank = len;
		while (len > blank && (text[len - 1] == ' ' || text[len - 1] == '\t'))
			len--;
		entry++;
		status = read_entry(text + blank, len - blank, out);
		if (text[whole] == '\0')
			break;
		text += whole + 1;
	}
	if (number != NULL)
		*number = entry;
	return status;
}

const char *regions_status_text(enum regions_status status)
{
	static const char *const texts[] = {
#define X(name, text) [REGIONS_##name] = text,
		REGIONS_STATUS_LIST(X)
#undef X
	};

	return texts[status];
}

bool regions_health_url(const char *url, char *out, size_t size)
{
	size_t scheme = scheme_len(url);
	const char *rest = url + scheme;
	size_t len = strlen(rest);
	int written;

	// The WebSocket and the health of a node are neighbours (protocol.md A1, A9).
	if (len >= 3 && strcmp(rest + len - 3, "/ws") == 0)
		len -= 3;
	while (len > 0 && rest[len - 1] == '/')
		len--;
	written = snprintf(
		out, size, "http%s://%.*s/health", scheme == 6 ? "s" : "", (int)len, rest);
	return written > 0 && (size_t)written < size;
}

/* --- what is known --- */

void regions_init(struct regions *r, const char *instance)
{
	memset(r, 0, sizeof(*r));
	snprintf(r->instance, sizeof(r->instance), "%s", instance);
}

static const struct region *known(const struct regions *r, const struct region_entry *entry)
{
	for (size_t i = 0; i < r->count; i++) {
		if (strcmp(r->region[i].where.url, entry->url) == 0)
			return &r->region[i];
	}
	return NULL;
}

void regions_configure(
	struct regions *r, const struct region_list *list, uint64_t interval_us, uint64_t now_us)
{
	struct regions before = *r;

	r->count = list->count;
	r->interval_us = interval_us;
	r->version++;
	for (size_t i = 0; i < list->count; i++) {
		const struct region *old = known(&before, &list->entry[i]);

		r->region[i] = old != NULL ? *old
					   : (struct region){.state = REGION_UNKNOWN, .needed = 1};
		r->region[i].where = list->entry[i];
		r->region[i].asking = false;
		r->region[i].due_us = now_us;
	}
}

uint64_t regions_due_us(const struct regions *r)
{
	uint64_t due_us = UINT64_MAX;

	for (size_t i = 0; i < r->count; i++) {
		if (!r->region[i].asking && r->region[i].due_us < due_us)
			due_us = r->region[i].due_us;
	}
	return due_us;
}

size_t regions_ask(struct regions *r, uint64_t now_us)
{
	for (size_t i = 0; i < r->count; i++) {
		if (!r->region[i].asking && r->region[i].due_us <= now_us) {
			r->region[i].asking = true;
			return i;
		}
	}
	return REGIONS_MAX;
}

static void goes_up(struct region *region, uint64_t now_us)
{
	region->state = REGION_UP;
	region->up_us = now_us;
	region->misses = 0;
}

static void goes_down(struct region *region)
{
	// Never seen up is no fall: it may just be started after us.
	if (region->state == REGION_UP && region->needed < REGION_NEEDED_MAX)
		region->needed *= 2;
	region->state = REGION_DOWN;
	region->good = 0;
}

static void heard_well(struct region *region, uint64_t now_us)
{
	region->misses = 0;
	if (region->state == REGION_UP) {
		if (now_us >= region->up_us + REGION_CALM_US)
			region->needed = 1;
	} else if (region->state == REGION_UNKNOWN || ++region->good >= region->needed) {
		goes_up(region, now_us);
	}
}

static void heard_nothing(const struct regions *r, struct region *region, uint64_t now_us)
{
	region->good = 0;
	if (region->state == REGION_UP && ++region->misses < REGION_MISSES) {
		if (r->interval_us > REGION_RETRY_US)
			region->due_us = now_us + REGION_RETRY_US;
		return;
	}
	goes_down(region);
}

static void rank_load(struct region *region)
{
	uint32_t a = region->load, b = region->ranked_load;

	if ((a > b ? a - b : b - a) >= REGION_LOAD_STEP)
		region->ranked_load = a;
}

bool regions_heard(struct regions *r, size_t i, const struct region_report *report, uint64_t now_us)
{
	struct region *region = &r->region[i];
	struct region before = *region;

	region->asking = false;
	region->due_us = now_us + r->interval_us;
	if (report == NULL) {
		heard_nothing(r, region, now_us);
	} else {
		region->self
			= report->instance[0] != '\0' && strcmp(report->instance, r->instance) == 0;
		snprintf(region->node_id, sizeof(region->node_id), "%s", report->node_id);
		region->load = report->load;
		rank_load(region);
		if (report->healthy)
			heard_well(region, now_us);
		else
			goes_down(region);
	}
	if (before.state == region->state && before.self == region->self
		&& before.ranked_load == region->ranked_load
		&& strcmp(before.node_id, region->node_id) == 0)
		return false;
	r->version++;
	return true;
}

/* --- the order --- */

/** True: a goes before b; of equals the one that is listed first. */
static bool goes_first(const struct region *a, const struct region *b, const char *preferred)
{
	bool a_near = strcmp(a->where.name, preferred) == 0;
	bool b_near = strcmp(b->where.name, preferred) == 0;

	if (a->state != b->state)
		return a->state < b->state;
	if (a_near != b_near)
		return a_near;
	return a->ranked_load < b->ranked_load;
}

size_t regions_order(const struct regions *r, const char *preferred, uint8_t out[REGIONS_MAX])
{
	size_t count = 0;

	for (size_t i = 0; i < r->count; i++) {
		size_t at = count;

		if (r->region[i].self)
			continue;
		for (; at > 0 && goes_first(&r->region[i], &r->region[out[at - 1]], preferred);
			at--)
			out[at] = out[at - 1];
		out[at] = (uint8_t)i;
		count++;
	}
	return count;
}

const struct region *regions_best(const struct regions *r, const char *preferred)
{
	uint8_t order[REGIONS_MAX];

	if (regions_order(r, preferred, order) == 0 || r->region[order[0]].state != REGION_UP)
		return NULL;
	return &r->region[order[0]];
}

size_t regions_equals(const struct regions *r, const char *preferred, uint8_t out[REGIONS_MAX])
{
	size_t count = regions_order(r, preferred, out), equal = 0;

	while (equal < count && r->region[out[equal]].state == REGION_UP
		&& !goes_first(&r->region[out[0]], &r->region[out[equal]], preferred))
		equal++;
	return equal;
}

const struct region *regions_find_up(const struct regions *r, const char *url)
{
	for (size_t i = 0; i < r->count; i++) {
		const struct region *region = &r->region[i];

		if (!region->self && region->state == REGION_UP
			&& strcmp(region->where.url, url) == 0)
			return region;
	}
	return NULL;
}
