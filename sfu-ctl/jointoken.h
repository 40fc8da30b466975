// SPDX-License-Identifier: BSD-3-Clause
/**
 * Join tokens (protocol.md B4): who may enter which room, signed by whoever shares the secret.
 *
 *   b64url(payload JSON) "." b64url(HMAC-SHA256(secret, b64url(payload JSON))), without padding
 *
 * No state, no clock. A token is not spent: the same one serves several devices.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "sfu-ctl/proto/envelope.h"

/** Octets of a secret, at least. */
#define JOINTOKEN_SECRET_BYTES 32u
/** Longest token that is looked at. */
#define JOINTOKEN_MAX_BYTES (128u * 1024u)

struct json_object;

struct jointoken {
	const char *room_id;
	const char *call_id;
	struct json_object *user_ids; /* array of strings; NULL or empty: whoever has the token */
	const char *id; /* jti */
	uint64_t expires_sec; /* Unix time */
};

enum jointoken_status {
	JOINTOKEN_OK,
	JOINTOKEN_INVALID, /* not ours, not whole, expired, or of another room */
	JOINTOKEN_OTHER_USER, /* ours, but not for this user */
};

/** NUL terminated, the caller's to free(). NULL when out of memory. */
char *jointoken_sign(const char *secret, const struct jointoken *t);

/**
 * @param token    any bytes
 * @param now_ms   Unix time
 * @param call_id  of the token on JOINTOKEN_OK, "" when it has none that is an id
 */
enum jointoken_status jointoken_verify(const char *secret, const char *token, size_t len,
	uint64_t now_ms, const char *room_id, const char *user_id,
	char call_id[ENV_MSG_ID_MAX_BYTES + 1]);
