// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/turn.h"

#include "sfu-ctl/config.h"
#include "sfu-ctl/payload.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/** When clients that could not connect shall give up on direct ways. */
#define FORCE_RELAY_AFTER_MS 4000u
#define SHA1_BYTES 20u
/** Base64 of a SHA-1 value, with its NUL. */
#define CREDENTIAL_BYTES 29u

static bool url_valid(const char *url, size_t len)
{
	static const char *const schemes[] = {"turn:", "turns:", "stun:"};

	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)url[i] <= 0x20 || url[i] == 0x7f || url[i] == '"')
			return false;
	}
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		size_t scheme = strlen(schemes[i]);

		if (len > scheme && memcmp(url, schemes[i], scheme) == 0)
			return url[scheme] != '/' && url[scheme] != '?';
	}
	return false;
}

bool turn_urls_valid(const char *urls)
{
	for (;;) {
		size_t len = strcspn(urls, ",");

		if (!url_valid(urls, len))
			return false;
		if (urls[len] == '\0')
			return true;
		urls += len + 1;
	}
}

static struct json_object *url_list(const char *urls)
{
	struct json_object *list = json_object_new_array();

	while (list != NULL && *urls != '\0') {
		size_t len = strcspn(urls, ",");

		json_object_array_add(list, json_object_new_string_len(urls, (int)len));
		urls += len + (urls[len] == ',');
	}
	return list;
}

/* username "<expiry>:<userId>", credential base64(HMAC-SHA1(secret, username)). */
static bool put_credentials(struct json_object *server, const struct config *config,
	const char *user_id, uint64_t wall_sec)
{
	uint8_t mac[SHA1_BYTES];
	unsigned char credential[CREDENTIAL_BYTES];
	char *username = NULL;
	bool ok;

	if (asprintf(&username, "%" PRIu64 ":%s", wall_sec + config->turn_ttl_sec, user_id) < 0)
		return false;
	ok = HMAC(EVP_sha1(), config->turn_secret, (int)strlen(config->turn_secret),
		     (const unsigned char *)username, strlen(username), mac, NULL)
	     != NULL;
	if (ok) {
		EVP_EncodeBlock(credential, mac, sizeof(mac));
		put_string(server, "username", username);
		put_string(server, "credential", (const char *)credential);
	}
	free(username);
	return ok;
}

struct json_object *turn_describe(
	const struct config *config, const char *user_id, uint64_t wall_sec)
{
	bool is_inline = config->turn_secret[0] != '\0';
	struct json_object *turn, *servers, *server;

	if (config->turn_urls[0] == '\0')
		return NULL;
	turn = json_object_new_object();
	servers = json_object_new_array();
	server = json_object_new_object();
	put(server, "urls", url_list(config->turn_urls));
	is_inline = is_inline && put_credentials(server, config, user_id, wall_sec);
	json_object_array_add(servers, server);
	put_bool(turn, "turnAvailable", true);
	put(turn, "turnUrls", url_list(config->turn_urls));
	put(turn, "iceServers", servers);
	put_string(turn, "credsVia", is_inline ? "inline" : "edge_function");
	put_number(turn, "forceRelayAfterMs", FORCE_RELAY_AFTER_MS);
	return turn;
}
