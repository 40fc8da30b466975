// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/region_view.h"

#include "sfu-ctl/payload.h"
#include "sfu-ctl/regions.h"

struct json_object *region_view_endpoints(const struct regions *regions, const char *preferred)
{
	struct json_object *endpoints = json_object_new_array();
	uint8_t order[REGIONS_MAX];
	size_t count = regions_order(regions, preferred, order);

	for (size_t i = 0; i < count; i++) {
		const struct region *region = &regions->region[order[i]];
		struct json_object *o = json_object_new_object();

		put_string(o, "region", region->where.name);
		put_string(o, "url", region->where.url);
		put_string(o, "nodeId", region->node_id);
		put_bool(o, "healthy", region->state == REGION_UP);
		put_number(o, "load", region->load);
		json_object_array_add(endpoints, o);
	}
	return endpoints;
}

void region_view_target(struct json_object *o, const struct region *target)
{
	put_string(o, "toNodeId", target->node_id);
	put_string(o, "region", target->where.name);
	put_string(o, "url", target->where.url);
}
