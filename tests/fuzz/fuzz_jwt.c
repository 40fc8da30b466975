// SPDX-License-Identifier: BSD-3-Clause
/*
 * No token is accepted but the three that the keys' owner made: raw text, or one of the three with octets
 * changed, put in, cut out. Key sets of any text are read without harm.
 */
#include "sfu-ctl/jwks.h"
#include "sfu-ctl/jwt.h"
#include "tests/unit/make_jwt.h"

#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define GOOD_TOKENS 3u

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct jwt_keys keys;
static char *good[GOOD_TOKENS];
static const char secret[] = "a secret of thirty-two characters or more";

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	static const char payload[]
		= "{\"iss\":\"i\",\"aud\":[\"a\"],\"sub\":\"user\",\"exp\":1800003600,\"nbf\":1}";
	EVP_PKEY *ec = make_ec_key("P-256"), *rsa = make_rsa_key(2048);

	(void)argc;
	(void)argv;
	strcpy(keys.key[0].kid, "ec");
	keys.key[0].alg = JWT_ES256;
	keys.key[0].pkey = ec;
	strcpy(keys.key[1].kid, "rsa");
	keys.key[1].alg = JWT_RS256;
	keys.key[1].pkey = rsa;
	keys.count = 2;
	good[0] = make_token(ec, "ec", payload);
	good[1] = make_token(rsa, "rsa", payload);
	good[2] = make_mac(make_input("{\"alg\":\"HS256\"}", payload), secret, strlen(secret));
	return 0;
}

static void check(const char *token, size_t len)
{
	const struct jwt_expect expect = {.keys = &keys,
		.secret = secret,
		.secret_len = strlen(secret),
		.audience = "a",
		.issuer = "i",
		.now_sec = 1800000000};
	char *copy = malloc(len > 0 ? len : 1);
	struct jwt_result result;
	bool accepted, known = false;

	if (copy == NULL)
		return;
	memcpy(copy, token, len);
	accepted = jwt_verify(copy, len, &expect, &result) == JWT_OK;
	jwt_expiry(copy, len);
	free(copy);
	for (unsigned i = 0; i < GOOD_TOKENS; i++)
		known = known || (strlen(good[i]) == len && memcmp(good[i], token, len) == 0);
	// Unchanged ones are accepted: the harness can see.
	if (accepted != known)
		abort();
}

/** The rest of the data is steps: what to do, where (two octets), with which octet. */
static void check_changed(const char *token, const uint8_t *data, size_t size)
{
	static char text[4096];
	size_t len = strlen(token);

	memcpy(text, token, len);
	for (; size >= 4; data += 4, size -= 4) {
		size_t at = len > 0 ? ((size_t)data[1] << 8 | data[2]) % len : 0;

		switch (data[0] % 4) {
		case 0:
			if (len > 0)
				text[at] = (char)data[3];
			break;
		case 1:
			if (len < sizeof(text)) {
				memmove(text + at + 1, text + at, len - at);
				text[at] = (char)data[3];
				len++;
			}
			break;
		case 2:
			if (len > 0)
				memmove(text + at, text + at + 1, --len - at);
			break;
		default:
			len = at;
			break;
		}
	}
	check(text, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct jwt_keys read;
	unsigned what;

	if (size == 0)
		return 0;
	what = data[0] % (GOOD_TOKENS + 2);
	if (what < GOOD_TOKENS) {
		check_changed(good[what], data + 1, size - 1);
	} else if (what == GOOD_TOKENS) {
		check((const char *)data + 1, size - 1);
	} else if (jwks_parse((const char *)data + 1, size - 1, &read) == 0) {
		jwks_keys_fini(&read);
	}
	return 0;
}
