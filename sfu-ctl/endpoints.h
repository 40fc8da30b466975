// SPDX-License-Identifier: BSD-3-Clause
/**
 * Telling clients where else they may go: the ordered list in answers, and ENDPOINTS {roomId, endpoints}
 * (no seq) to the members of all rooms when it changes, so that the members of a room hold the same list
 * when this node is lost, and meet again. Without other nodes nothing is said.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct core;
struct json_object;

/** Between two of those messages, so that nodes that come and go do not flood the members. */
#define ENDPOINTS_PAUSE_US UINT64_C(2000000)

/** Adds "endpoints" to an answer, if there are other nodes. */
void endpoints_add(const struct core *c, struct json_object *o, const char *preferred);

/** The order may have changed: members are told, now or after the pause. */
void endpoints_changed(struct core *c);

/** What is due. Returns the next deadline or 0. */
uint64_t endpoints_expire(struct core *c, uint64_t now_us);
