// SPDX-License-Identifier: BSD-3-Clause
/*
 * The list of other nodes and what they answer, from any text. An accepted list is read again from what
 * was understood of it; whatever is heard, the order has every other node once and the healthy ones first.
 */
#include "sfu-ctl/region_report.h"
#include "sfu-ctl/regions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_order(const struct regions *r)
{
	uint8_t order[REGIONS_MAX];
	size_t count = regions_order(r, "tr", order), others = 0;
	unsigned seen = 0;

	for (size_t i = 0; i < r->count; i++)
		others += !r->region[i].self;
	if (count != others)
		abort();
	for (size_t i = 0; i < count; i++) {
		if ((seen & 1u << order[i]) != 0
			|| (i > 0 && r->region[order[i]].state < r->region[order[i - 1]].state))
			abort();
		seen |= 1u << order[i];
	}
}

static void check_list(const char *text, struct region_list *list)
{
	char copy[REGIONS_MAX * (REGION_NAME_BYTES + REGION_URL_BYTES + 2)] = "", health[300];
	struct region_list again;
	size_t len = 0;

	if (regions_parse(text, list, NULL) != REGIONS_OK) {
		list->count = 0;
		return;
	}
	for (size_t i = 0; i < list->count; i++) {
		len += (size_t)snprintf(copy + len, sizeof(copy) - len, "%s%s=%s",
			i == 0 ? "" : ",", list->entry[i].name, list->entry[i].url);
		if (!regions_health_url(list->entry[i].url, health, sizeof(health))
			|| strncmp(health, "http", 4) != 0)
			abort();
	}
	if (regions_parse(copy, &again, NULL) != REGIONS_OK || again.count != list->count)
		abort();
}

/* First line: the list. Then lines: which node, and what it answers, "" = nothing. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size), *rest = text, *line;
	struct region_list list;
	static struct regions r;
	uint64_t now_us = 0;

	regions_init(&r, "self");
	check_list(strsep(&rest, "\n"), &list);
	regions_configure(&r, &list, 1000000, now_us);
	while ((line = strsep(&rest, "\n")) != NULL) {
		struct region_report report;
		size_t i = (unsigned char)*line % REGIONS_MAX;
		size_t len = *line == '\0' ? 0 : strlen(line + 1);
		bool good = region_report_read(200, line + 1, len, &report) == 0;

		if (i >= r.count)
			continue;
		now_us += 1000000;
		regions_ask(&r, now_us);
		regions_heard(&r, i, good ? &report : NULL, now_us);
		check_order(&r);
	}
	free(text);
	return 0;
}
