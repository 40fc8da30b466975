// SPDX-License-Identifier: BSD-3-Clause
/**
 * Asks the other nodes for their health, by fetch.h on the event loop, and keeps struct regions up to date.
 * A name that is not resolved and a node that does not answer hold up nobody. Event loop's thread only.
 */
#pragma once

#include <stdint.h>
#include <uv.h>

struct regions;
struct region_watch;

/** A question is given up after this: four ways around the world, for a first one with TLS. */
#define REGION_WATCH_DEADLINE_MS 1500u

struct region_watch_notices {
	void *ctx;
	/** regions_order() may say something else now. */
	void (*on_changed)(void *ctx);
	/** Another node's clock (struct region_report). */
	void (*on_clock)(void *ctx, const char *url, uint64_t clock_us);
};

/**
 * Watches nothing until region_watch_configure().
 * @param regions  initialised; written by the watch from now on
 * @return NULL when out of memory
 */
struct region_watch *region_watch_create(
	uv_loop_t *loop, struct regions *regions, const struct region_watch_notices *notices);

/**
 * Take the list of SFU_REGIONS, valid, and ask everybody at once. Also for another list later; notices
 * come from here too.
 */
void region_watch_configure(struct region_watch *watch, const char *list, uint32_t interval_ms);

/** Questions under way are given up. Memory goes when the loop has run. NULL is fine. */
void region_watch_destroy(struct region_watch *watch);
