// SPDX-License-Identifier: BSD-3-Clause
/** The other nodes as clients are shown them. New objects, the caller puts them. */
#pragma once

#include <json-c/json.h>

struct region;
struct regions;

/** [{region, url, nodeId, healthy, load}, …] in order; nodeId "" while it has not been heard. */
struct json_object *region_view_endpoints(const struct regions *regions, const char *preferred);

/** Where to go: adds toNodeId, region and url. */
void region_view_target(struct json_object *o, const struct region *target);
