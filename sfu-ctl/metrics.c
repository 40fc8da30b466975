// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/metrics.h"

#include "sfu-ctl/auth.h"
#include "sfu-ctl/auth_cache.h"
#include "sfu-ctl/config.h"
#include "sfu-ctl/core.h"
#include "sfu-ctl/http.h"
#include "sfu-ctl/loop.h"
#include "sfu-ctl/media.h"
#include "sfu-ctl/regions.h"
#include "sfu-ctl/tally.h"
#include "sfu-ctl/ws.h"

#include <ctype.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* --- choice of form --- */

/** q of an entry's parameters, in thousandths (RFC 9110, 12.4.2); without or with a bad one: 1000. */
static unsigned quality(const char *params, size_t len)
{
	const char *end = params + len;

	for (const char *p = params; p < end; p++) {
		unsigned q, scale = 100;

		if (*p != ';')
			continue;
		for (p++; p < end && (*p == ' ' || *p == '\t'); p++)
			;
		if (end - p < 3 || (*p != 'q' && *p != 'Q') || p[1] != '=') {
			p--;
			continue;
		}
		if (p[2] != '0')
			return 1000;
		q = 0;
		for (p += 3; p < end && (*p == '.' || isdigit((unsigned char)*p)); p++) {
			if (*p == '.')
				continue;
			q += (unsigned)(*p - '0') * scale;
			scale /= 10;
		}
		return q;
	}
	return 1000;
}

enum metrics_format metrics_choose(const char *accept)
{
	static const char *const names[] = {[METRICS_JSON] = "application/json",
		[METRICS_TEXT] = "text/plain",
		[METRICS_OPENMETRICS] = "application/openmetrics-text"};
	unsigned best[3] = {0};

	while (*accept != '\0') {
		size_t len = strcspn(accept, ",");
		size_t start = strspn(accept, " \t");
		size_t name;

		if (start < len) {
			name = strcspn(accept + start, "; \t,");
			for (unsigned i = 0; i < 3; i++) {
				unsigned q = quality(accept + start + name, len - start - name);

				if (strlen(names[i]) == name
					&& strncasecmp(accept + start, names[i], name) == 0
					&& q > best[i])
					best[i] = q;
			}
		}
		accept += len + (accept[len] == ',');
	}
	if (best[METRICS_OPENMETRICS] > best[METRICS_JSON]
		&& best[METRICS_OPENMETRICS] >= best[METRICS_TEXT])
		return METRICS_OPENMETRICS;
	return best[METRICS_TEXT] > best[METRICS_JSON] ? METRICS_TEXT : METRICS_JSON;
}

const char *metrics_content_type(enum metrics_format format)
{
	return format == METRICS_OPENMETRICS
		       ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
		       : "text/plain; version=0.0.4; charset=utf-8";
}

bool metrics_allowed(const char *authorization, const char *token)
{
	static const char scheme[] = "Bearer ";
	uint8_t given[AUTH_KEY_BYTES], wanted[AUTH_KEY_BYTES];

	if (*token == '\0')
		return true;
	if (strncasecmp(authorization, scheme, sizeof(scheme) - 1) != 0)
		return false;
	authorization += sizeof(scheme) - 1;
	// Hashes are of one length, so the comparison tells nothing about the token's.
	return auth_cache_key(authorization, strlen(authorization), given) == 0
	       && auth_cache_key(token, strlen(token), wanted) == 0
	       && CRYPTO_memcmp(given, wanted, sizeof(given)) == 0;
}

/* --- writing --- */

struct page {
	FILE *out;
	enum metrics_format format;
	const char *name; /* of the family now being written */
	bool counter;
};

/** A family: name without "_total"; unit as OpenMetrics wants it, the end of the name, or NULL. */
static void family(
	struct page *page, const char *name, const char *type, const char *unit, const char *help)
{
	bool open = page->format == METRICS_OPENMETRICS;
	const char *end;

	page->name = name;
	page->counter = strcmp(type, "counter") == 0;
	end = page->counter && !open ? "_total" : "";
	fprintf(page->out, "# HELP %s%s %s\n# TYPE %s%s %s\n", name, end, help, name, end, type);
	if (open && unit != NULL)
		fprintf(page->out, "# UNIT %s %s\n", name, unit);
}

static void value(struct page *page, uint64_t number)
{
	fprintf(page->out, "%s%s %" PRIu64 "\n", page->name, page->counter ? "_total" : "", number);
}

static void label(struct page *page, const char *key, const char *text)
{
	fprintf(page->out, "%s=\"", key);
	for (; *text != '\0'; text++) {
		if (*text == '\n')
			fputs("\\n", page->out);
		else if (*text == '"' || *text == '\\')
			fprintf(page->out, "\\%c", *text);
		else
			fputc(*text, page->out);
	}
	fputc('"', page->out);
}

static void labelled(struct page *page, const char *key, const char *text, uint64_t number)
{
	fprintf(page->out, "%s%s{", page->name, page->counter ? "_total" : "");
	label(page, key, text);
	fprintf(page->out, "} %" PRIu64 "\n", number);
}

static void gauge(struct page *page, const char *name, uint64_t number, const char *help)
{
	family(page, name, "gauge", NULL, help);
	value(page, number);
}

static void counter(struct page *page, const char *name, uint64_t number, const char *help)
{
	family(page, name, "counter", NULL, help);
	value(page, number);
}

/* --- the figures --- */

static void write_node(struct page *page, const struct http_site *site)
{
	uint64_t now = loop_now_us();

	family(page, "sfu_node_info", "gauge", NULL, "Always 1; who this is, in its labels.");
	fprintf(page->out, "sfu_node_info{");
	label(page, "node", site->config->node_id);
	fputc(',', page->out);
	label(page, "region", site->config->region);
	fprintf(page->out, "} 1\n");
	family(page, "sfu_uptime_seconds", "gauge", "seconds",
		"Since the start of the control plane.");
	value(page, (now - site->started_us) / 1000000u);
	gauge(page, "sfu_ready", http_site_ready(site), "1: takes new rooms, as /ready says.");
	if (site->ws == NULL)
		return;
	gauge(page, "sfu_connections", ws_connections(site->ws),
		"TCP connections open, HTTP and WebSocket.");
	counter(page, "sfu_files_refused", ws_files_refused(site->ws),
		"Files of the page not sent for want of descriptors.");
}

static void write_core(struct page *page, const struct http_site *site)
{
	struct json_object *regions = core_rooms_by_region(site->core);
	struct core_figures f;

	core_figures(site->core, &f);
	gauge(page, "sfu_rooms", f.rooms, "Rooms.");
	gauge(page, "sfu_devices", f.bound_peers, "Devices bound to a connection.");
	gauge(page, "sfu_peers", f.room_peers, "Members of rooms.");
	gauge(page, "sfu_transports", f.transports, "Transports of members.");
	gauge(page, "sfu_producers", f.producers, "Producers of members.");
	gauge(page, "sfu_consumers", f.consumers, "Consumers of members.");
	family(page, "sfu_region_rooms", "gauge", NULL, "Rooms, by the region they were made for.");
	json_object_object_foreach(regions, region, count)
		labelled(page, "region", region, (uint64_t)json_object_get_int64(count));
	json_object_put(regions);
}

static void write_tally(struct page *page, const struct tally *tally)
{
	static const char *const reasons[FAULT_COUNT] = {[FAULT_NONE] = "",
#define X(name, code, retryable, message) [FAULT_##name] = #name,
		FAULT_LIST(X)
#undef X
	};
	static const char *const outcomes[TALLY_REKEYS] = {[TALLY_COMMITTED] = "committed",
		[TALLY_TIMEOUT] = "timeout",
		[TALLY_LEADER_LOST] = "leader_lost"};
	uint64_t joins = 0;

	family(page, "sfu_acks", "counter", NULL, "Answers to requests, by error code and reason.");
	for (unsigned i = 0; i < FAULT_COUNT; i++) {
		fprintf(page->out, "sfu_acks_total{");
		label(page, "code", i == FAULT_NONE ? "OK" : fault_code((enum fault)i));
		fputc(',', page->out);
		label(page, "reason", reasons[i]);
		fprintf(page->out, "} %" PRIu64 "\n", tally->acks[i]);
	}
	family(page, "sfu_rekeys", "counter", NULL, "Epochs committed and rekeys aborted.");
	for (unsigned i = 0; i < TALLY_REKEYS; i++)
		labelled(page, "outcome", outcomes[i], tally->rekeys[i]);

	family(page, "sfu_join_duration_seconds", "histogram", "seconds",
		"From a ROOM_JOIN that was accepted to its ACK.");
	for (unsigned i = 0; i < TALLY_JOIN_BUCKETS; i++) {
		uint64_t bound = tally_join_bound_us(i);

		joins += tally->joins[i];
		if (bound == UINT64_MAX)
			fprintf(page->out, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", page->name,
				joins);
		else
			fprintf(page->out, "%s_bucket{le=\"%.4f\"} %" PRIu64 "\n", page->name,
				(double)bound / 1e6, joins);
	}
	fprintf(page->out, "%s_sum %.6f\n%s_count %" PRIu64 "\n", page->name,
		(double)tally->join_us / 1e6, page->name, joins);
}

static void write_auth(struct page *page, const struct auth *auth)
{
	static const char *const statuses[JWT_STATUS_COUNT] = {
#define X(name, text) [JWT_##name] = #name,
		JWT_STATUS_LIST(X)
#undef X
	};
	struct auth_figures f;
	uint64_t now = loop_now_us();

	auth_figures(auth, &f);
	family(page, "sfu_auth_results", "counter", NULL, "Checks of tokens, by their result.");
	labelled(page, "result", "accepted", f.accepted);
	labelled(page, "result", "refused", f.refused);
	labelled(page, "result", "unavailable", f.unavailable);
	counter(page, "sfu_auth_cache_hits", f.cache_hits, "Tokens that were still remembered.");
	counter(page, "sfu_auth_lookups", f.lookups, "Questions to the auth server about a token.");
	counter(page, "sfu_auth_lookups_shared", f.joined,
		"Checks that waited for another's question.");
	gauge(page, "sfu_auth_lookups_open", f.lookups_now, "Questions under way.");
	family(page, "sfu_auth_jwt", "counter", NULL, "Tokens verified here, by the outcome.");
	for (unsigned i = 0; i < JWT_STATUS_COUNT; i++)
		labelled(page, "status", statuses[i], f.jwt[i]);
	gauge(page, "sfu_auth_keys", f.keys.keys,
		"Public keys of the auth server that are in use.");
	counter(page, "sfu_auth_key_fetches", f.keys.fetches,
		"Times that its keys were asked for.");
	counter(page, "sfu_auth_key_failures", f.keys.failures, "Times that this failed.");
	if (f.keys.fetched_us != 0) {
		family(page, "sfu_auth_keys_age_seconds", "gauge", "seconds",
			"Since its keys were last fetched.");
		value(page, (now - f.keys.fetched_us) / 1000000u);
	}
}

/** One series for each other node. */
static void write_other(struct page *page, const struct region *region, uint64_t number)
{
	fprintf(page->out, "%s{", page->name);
	label(page, "region", region->where.name);
	fputc(',', page->out);
	label(page, "url", region->where.url);
	fprintf(page->out, "} %" PRIu64 "\n", number);
}

/** Ourselves among the other nodes. */
static void write_regions(struct page *page, const struct http_site *site)
{
	const struct tally *tally = core_tally(site->core);
	const struct regions *regions = site->regions;
	uint8_t order[REGIONS_MAX];
	size_t count = regions != NULL ? regions_order(regions, site->config->region, order) : 0;

	gauge(page, "sfu_draining", site->draining, "1: empties itself and ends.");
	gauge(page, "sfu_load", core_load(site->core), "Percent of what it is meant to take.");
	family(page, "sfu_room_moves", "counter", NULL,
		"Times that a room was asked to move to another node.");
	for (unsigned i = MIGRATE_NONE + 1; i < MIGRATE_REASONS; i++)
		labelled(page, "reason", migrate_reason_name((enum migrate_reason)i),
			tally->moves[i]);
	family(page, "sfu_other_node_up", "gauge", NULL, "1: that node takes rooms.");
	for (size_t i = 0; i < count; i++)
		write_other(page, &regions->region[order[i]],
			regions->region[order[i]].state == REGION_UP);
	family(page, "sfu_other_node_load", "gauge", NULL, "Its load, as it said last.");
	for (size_t i = 0; i < count; i++)
		write_other(page, &regions->region[order[i]], regions->region[order[i]].load);
}

/** Name and meaning of the data plane's figures; gauges without the "gauge_" of their field. */
static const struct {
	const char *name, *unit, *help;
	bool gauge;
} stats[SFU_STAT_COUNT] = {
	[SFU_STAT_rx_packets] = {"sfu_dp_rx_packets", NULL, "Packets received.", false},
	[SFU_STAT_rx_bytes] = {"sfu_dp_rx_bytes", "bytes", "Octets received.", false},
	[SFU_STAT_forwarded] = {"sfu_dp_forwarded", NULL, "Packets forwarded to consumers.", false},
	[SFU_STAT_answered]
	= {"sfu_dp_answered", NULL, "Packets answered by the data plane.", false},
	[SFU_STAT_punted] = {"sfu_dp_punted", NULL, "Packets handed to the control plane.", false},
	[SFU_STAT_dropped]
	= {"sfu_dp_dropped", NULL, "Packets dropped, for whatever reason.", false},
	[SFU_STAT_egress_packets] = {"sfu_dp_tx_packets", NULL, "Packets sent.", false},
	[SFU_STAT_egress_bytes] = {"sfu_dp_tx_bytes", "bytes", "Octets sent.", false},
	[SFU_STAT_egress_dropped]
	= {"sfu_dp_tx_dropped", NULL, "Packets that the device did not take.", false},
	[SFU_STAT_frames_stale] = {"sfu_dp_frames_stale", NULL,
		"Encrypted frames under a key of an epoch that was over.", false},
	[SFU_STAT_frames_unreadable] = {"sfu_dp_frames_unreadable", NULL,
		"Frames without the header that their sender had announced.", false},
	[SFU_STAT_handoffs] = {"sfu_dp_handoffs", NULL, "Packets passed between workers.", false},
	[SFU_STAT_gauge_rooms] = {"sfu_dp_rooms", NULL, "Rooms in the data plane.", true},
	[SFU_STAT_gauge_peers] = {"sfu_dp_peers", NULL, "Peers in the data plane.", true},
	[SFU_STAT_gauge_transports]
	= {"sfu_dp_transports", NULL, "Transports in the data plane.", true},
	[SFU_STAT_gauge_producers]
	= {"sfu_dp_producers", NULL, "Producers in the data plane.", true},
	[SFU_STAT_gauge_consumers]
	= {"sfu_dp_consumers", NULL, "Consumers in the data plane.", true},
	[SFU_STAT_gauge_workers] = {"sfu_dp_workers", NULL, "Workers of the data plane.", true},
	[SFU_STAT_gauge_mbufs_free] = {"sfu_dp_mbufs_free", NULL, "Packet buffers left.", true},
	[SFU_STAT_link_commands]
	= {"sfu_dp_commands", NULL, "Commands taken from the link.", false},
	[SFU_STAT_link_refused] = {"sfu_dp_commands_refused", NULL, "Commands refused.", false},
	[SFU_STAT_link_events_lost]
	= {"sfu_dp_events_lost", NULL, "Events that found the link's ring full.", false},
};

static void write_rings(struct page *page, struct media *media)
{
	static const char *const names[SFU_RING_COUNT] = {[SFU_RING_CMD] = "commands",
		[SFU_RING_EVENT] = "events",
		[SFU_RING_DTLS_TO_DP] = "dtls_to_dp",
		[SFU_RING_DTLS_TO_CTL] = "dtls_to_ctl"};
	uint32_t depths[SFU_RING_COUNT];

	media_ring_depths(media, depths);
	family(page, "sfu_link_ring_depth", "gauge", NULL,
		"Elements that wait in a ring of the link to the data plane.");
	for (unsigned i = 0; i < SFU_RING_COUNT; i++)
		labelled(page, "ring", names[i], depths[i]);
}

static void write_media(struct page *page, struct media *media)
{
	const uint64_t *figures = media != NULL ? media_stats(media) : NULL;

	gauge(page, "sfu_dp_attached", figures != NULL, "1: a data plane is attached.");
	if (media != NULL)
		write_rings(page, media);
	for (unsigned i = 0; figures != NULL && i < SFU_STAT_COUNT; i++) {
		if (stats[i].name == NULL)
			continue;
		family(page, stats[i].name, stats[i].gauge ? "gauge" : "counter", stats[i].unit,
			stats[i].help);
		value(page, figures[i]);
	}
}

char *metrics_write(const struct http_site *site, enum metrics_format format)
{
	size_t size = 0;
	char *text = NULL;
	struct page page = {.out = open_memstream(&text, &size), .format = format};
	bool failed;

	if (page.out == NULL)
		return NULL;
	write_node(&page, site);
	write_core(&page, site);
	write_tally(&page, core_tally(site->core));
	write_regions(&page, site);
	if (site->auth != NULL)
		write_auth(&page, site->auth);
	write_media(&page, site->media);
	if (format == METRICS_OPENMETRICS)
		fputs("# EOF\n", page.out);
	failed = ferror(page.out) != 0;
	if (fclose(page.out) != 0 || failed) {
		free(text);
		return NULL;
	}
	return text;
}
