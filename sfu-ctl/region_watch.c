// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/region_watch.h"

#include "sfu-ctl/fetch.h"
#include "sfu-ctl/log.h"
#include "sfu-ctl/loop.h"
#include "sfu-ctl/region_report.h"
#include "sfu-ctl/regions.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/** Octets more than the URL of a node that the URL of its health may have. */
#define HEALTH_EXTRA_BYTES 16u

struct probe {
	struct region_watch *watch;
	struct fetch *fetch; /* NULL: none under way */
};

struct region_watch {
	uv_loop_t *loop;
	struct regions *regions;
	struct region_watch_notices notices;
	struct fetcher *fetcher;
	struct probe probe[REGIONS_MAX]; /* same index as in regions */
	uv_timer_t timer;
};

static const char module[] = "regions";

static void ask_due(struct region_watch *watch);

static void on_timer(uv_timer_t *timer)
{
	ask_due(timer->data);
}

static void log_change(const struct region *region, enum region_state before)
{
	static const char *const names[]
		= {[REGION_UP] = "up", [REGION_UNKNOWN] = "unknown", [REGION_DOWN] = "down"};

	if (region->state != before)
		log_at(region->state == REGION_UP ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, module,
			"another node", log_str("region", region->where.name),
			log_str("url", region->where.url), log_str("node", region->node_id),
			log_str("is", names[region->state]),
			log_num("good_answers_needed", region->needed));
}

static void heard(struct region_watch *watch, size_t i, const struct region_report *report)
{
	const struct region *region = &watch->regions->region[i];
	enum region_state before = region->state;
	bool changed = regions_heard(watch->regions, i, report, loop_now_us());

	log_change(region, before);
	if (report != NULL && report->clock_us != 0 && !region->self)
		watch->notices.on_clock(watch->notices.ctx, region->where.url, report->clock_us);
	if (changed)
		watch->notices.on_changed(watch->notices.ctx);
}

static void on_answer(void *ctx, const struct fetch_answer *answer)
{
	struct probe *probe = ctx;
	struct region_watch *watch = probe->watch;
	size_t i = (size_t)(probe - watch->probe);
	struct region_report report;
	const char *why = answer->error;

	probe->fetch = NULL;
	if (why == NULL
		&& region_report_read(answer->status, answer->body, answer->body_len, &report) < 0)
		why = "not the answer of a node";
	if (why != NULL)
		log_debug(module, "no answer", log_str("url", watch->regions->region[i].where.url),
			log_str("why", why), log_num("status", answer->status));
	heard(watch, i, why == NULL ? &report : NULL);
	ask_due(watch);
}

/** 0, or -ENOMEM: counts as no answer. */
static int ask(struct region_watch *watch, size_t i)
{
	char url[REGION_URL_BYTES + HEALTH_EXTRA_BYTES];
	const struct fetch_request request = {
		.url = url,
		.deadline_ms = REGION_WATCH_DEADLINE_MS,
		.body_max_bytes = REGION_REPORT_MAX_BYTES,
		.done = on_answer,
		.ctx = &watch->probe[i],
	};

	if (!regions_health_url(watch->regions->region[i].where.url, url, sizeof(url)))
		return -EINVAL;
	watch->probe[i].fetch = fetch_start(watch->fetcher, &request);
	return watch->probe[i].fetch != NULL ? 0 : -ENOMEM;
}

static void ask_due(struct region_watch *watch)
{
	uint64_t now_us = loop_now_us(), due_us;
	size_t i;

	while ((i = regions_ask(watch->regions, now_us)) < REGIONS_MAX) {
		if (ask(watch, i) < 0)
			heard(watch, i, NULL);
	}
	due_us = regions_due_us(watch->regions);
	if (due_us == UINT64_MAX) {
		uv_timer_stop(&watch->timer);
		return;
	}
	uv_update_time(watch->loop);
	uv_timer_start(
		&watch->timer, on_timer, due_us > now_us ? (due_us - now_us + 999) / 1000 : 0, 0);
}

struct region_watch *region_watch_create(
	uv_loop_t *loop, struct regions *regions, const struct region_watch_notices *notices)
{
	struct region_watch *watch = calloc(1, sizeof(*watch));

	if (watch == NULL)
		return NULL;
	watch->fetcher = fetcher_create(loop, REGIONS_MAX);
	if (watch->fetcher == NULL) {
		free(watch);
		return NULL;
	}
	watch->loop = loop;
	watch->regions = regions;
	watch->notices = *notices;
	for (size_t i = 0; i < REGIONS_MAX; i++)
		watch->probe[i].watch = watch;
	uv_timer_init(loop, &watch->timer);
	watch->timer.data = watch;
	return watch;
}

static void give_up(struct region_watch *watch)
{
	for (size_t i = 0; i < REGIONS_MAX; i++) {
		if (watch->probe[i].fetch != NULL)
			fetch_cancel(watch->probe[i].fetch);
		watch->probe[i].fetch = NULL;
	}
}

void region_watch_configure(struct region_watch *watch, const char *list, uint32_t interval_ms)
{
	struct region_list parsed;

	// config.c has looked at it: what is not valid would be an empty list.
	if (regions_parse(list, &parsed, NULL) != REGIONS_OK)
		parsed.count = 0;
	give_up(watch);
	regions_configure(watch->regions, &parsed, interval_ms * UINT64_C(1000), loop_now_us());
	watch->notices.on_changed(watch->notices.ctx);
	ask_due(watch);
}

static void on_timer_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void region_watch_destroy(struct region_watch *watch)
{
	if (watch == NULL)
		return;
	give_up(watch);
	fetcher_destroy(watch->fetcher);
	uv_close((uv_handle_t *)&watch->timer, on_timer_closed);
}
