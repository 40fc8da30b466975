// SPDX-License-Identifier: BSD-3-Clause
/**
 * The TURN servers that a member is told of (protocol.md B8). With TURN_SECRET the credentials go
 * along, good for TURN_TTL_SEC: the server checks them with the same secret ("REST API for access to
 * TURN services", as coturn's use-auth-secret does). Without it clients fetch theirs elsewhere.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct config;
struct json_object;

/**
 * ROOM_JOIN_OK.turn.
 * @param wall_sec  Unix time
 * @return the caller's; NULL without TURN_URLS, or when out of memory
 */
struct json_object *turn_describe(
	const struct config *config, const char *user_id, uint64_t wall_sec);

/** URLs with commas, each turn:, turns: or stun: with a host (RFC 7064, RFC 7065). */
bool turn_urls_valid(const char *urls);
