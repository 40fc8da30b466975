// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/jointoken.h"

#include "sfu-ctl/payload.h"
#include "sfu-ctl/proto/json_scan.h"

#include <json-c/json.h>
#include <math.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define MAC_BYTES 32u
#define MAC_CHARACTERS 43u
#define TOKENER_DEPTH 32

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* RFC 4648, 5, without padding. Returns the characters written; out has room for 4/3 of len, rounded up. */
static size_t b64url_encode(const uint8_t *data, size_t len, char *out)
{
	uint32_t bits = 0;
	unsigned have = 0;
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		bits = bits << 8 | data[i];
		have += 8;
		while (have >= 6) {
			have -= 6;
			out[n++] = alphabet[bits >> have & 0x3f];
		}
	}
	if (have > 0)
		out[n++] = alphabet[bits << (6 - have) & 0x3f];
	return n;
}

/* Returns the octets written, at most 3/4 of len; SIZE_MAX when it is no base64url. */
static size_t b64url_decode(const char *text, size_t len, uint8_t *out)
{
	uint32_t bits = 0;
	unsigned have = 0;
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		const char *at = memchr(alphabet, text[i], sizeof(alphabet) - 1);

		if (at == NULL)
			return SIZE_MAX;
		bits = bits << 6 | (uint32_t)(at - alphabet);
		have += 6;
		if (have >= 8) {
			have -= 8;
			out[n++] = (uint8_t)(bits >> have);
		}
	}
	// A lone character carries no octet, and left over bits are zero: one text per value.
	if (have >= 6 || (bits & ((1u << have) - 1)) != 0)
		return SIZE_MAX;
	return n;
}

/* The MAC over the encoded payload, encoded. False when OpenSSL fails. */
static bool mac(const char *secret, const char *encoded, size_t len, char out[MAC_CHARACTERS])
{
	uint8_t raw[MAC_BYTES];
	unsigned raw_len = sizeof(raw);

	if (HMAC(EVP_sha256(), secret, (int)strlen(secret), (const uint8_t *)encoded, len, raw,
		    &raw_len)
		== NULL)
		return false;
	b64url_encode(raw, sizeof(raw), out);
	return true;
}

char *jointoken_sign(const char *secret, const struct jointoken *t)
{
	struct json_object *payload = json_object_new_object();
	const char *text;
	char *token = NULL;
	size_t len = 0, encoded;

	put_string(payload, "roomId", t->room_id);
	put_string(payload, "callId", t->call_id);
	put(payload, "allowedUserIds",
		t->user_ids == NULL ? json_object_new_array() : json_object_get(t->user_ids));
	put_string(payload, "jti", t->id);
	put_number(payload, "exp", t->expires_sec);
	text = json_object_to_json_string_length(
		payload, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);
	if (text != NULL)
		token = malloc(len * 4 / 3 + 2 + 1 + MAC_CHARACTERS + 1);
	if (token != NULL) {
		encoded = b64url_encode((const uint8_t *)text, len, token);
		token[encoded] = '.';
		token[encoded + 1 + MAC_CHARACTERS] = '\0';
		if (!mac(secret, token, encoded, token + encoded + 1)) {
			free(token);
			token = NULL;
		}
	}
	json_object_put(payload);
	return token;
}

/* The payload of a token whose MAC was right; NULL when it is no object. */
static struct json_object *parse_payload(const char *encoded, size_t len)
{
	struct json_object *payload = NULL;
	struct json_tokener *tokener = json_tokener_new_ex(TOKENER_DEPTH);
	char *text = malloc(len + 1);
	size_t size;

	if (tokener == NULL || text == NULL)
		goto done;
	size = b64url_decode(encoded, len, (uint8_t *)text);
	if (size == SIZE_MAX || json_scan(text, size, NULL) != JSON_SCAN_OK)
		goto done;
	payload = json_tokener_parse_ex(tokener, text, (int)size);
	if (!json_object_is_type(payload, json_type_object)) {
		json_object_put(payload);
		payload = NULL;
	}
done:
	if (tokener != NULL)
		json_tokener_free(tokener);
	free(text);
	return payload;
}

static bool equals(const struct json_object *value, const char *text)
{
	return json_object_is_type(value, json_type_string)
	       && (size_t)json_object_get_string_len(value) == strlen(text)
	       && strcmp(json_object_get_string((struct json_object *)(uintptr_t)value), text) == 0;
}

/* A gateway's token may name one user instead of a list. */
static bool for_user(const struct json_object *payload, const char *user_id)
{
	const struct json_object *list = field_array(payload, "allowedUserIds");
	const struct json_object *one = field_get(payload, "userId");
	size_t count = list == NULL ? 0 : json_object_array_length(list);

	if (count == 0)
		return one == NULL || equals(one, user_id);
	for (size_t i = 0; i < count; i++) {
		if (equals(json_object_array_get_idx(list, i), user_id))
			return true;
	}
	return false;
}

static enum jointoken_status judge(const struct json_object *payload, uint64_t now_ms,
	const char *room_id, const char *user_id, char call_id[ENV_MSG_ID_MAX_BYTES + 1])
{
	const char *call = "";
	double expires = 0;

	if (!field_number(payload, "exp", &expires) || !isfinite(expires)
		|| expires * 1000 <= (double)now_ms)
		return JOINTOKEN_INVALID;
	if (!equals(field_get(payload, "roomId"), room_id))
		return JOINTOKEN_INVALID;
	if (!for_user(payload, user_id))
		return JOINTOKEN_OTHER_USER;
	if (field_id(payload, "callId", &call) != FIELD_OK)
		call = "";
	memcpy(call_id, call, strlen(call) + 1); // field_id(): at most ENV_MSG_ID_MAX_BYTES
	return JOINTOKEN_OK;
}

enum jointoken_status jointoken_verify(const char *secret, const char *token, size_t len,
	uint64_t now_ms, const char *room_id, const char *user_id,
	char call_id[ENV_MSG_ID_MAX_BYTES + 1])
{
	const char *dot = len > JOINTOKEN_MAX_BYTES ? NULL : memchr(token, '.', len);
	struct json_object *payload;
	enum jointoken_status status;
	char expected[MAC_CHARACTERS];
	size_t encoded;

	call_id[0] = '\0';
	if (dot == NULL || dot == token)
		return JOINTOKEN_INVALID;
	encoded = (size_t)(dot - token);
	if (len - encoded - 1 != MAC_CHARACTERS || !mac(secret, token, encoded, expected)
		|| CRYPTO_memcmp(expected, dot + 1, MAC_CHARACTERS) != 0)
		return JOINTOKEN_INVALID;
	payload = parse_payload(token, encoded);
	status = payload == NULL ? JOINTOKEN_INVALID
				 : judge(payload, now_ms, room_id, user_id, call_id);
	json_object_put(payload);
	return status;
}
