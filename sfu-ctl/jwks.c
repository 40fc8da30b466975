// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/jwks.h"

#include "sfu-ctl/proto/json_scan.h"

#include <errno.h>
#include <json-c/json.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <stdlib.h>
#include <string.h>

#define JSON_DEPTH 32
#define EC_HALF_BYTES 32u
#define RSA_MIN_BITS 2048
#define RSA_MAX_BITS 8192
#define RSA_MAX_EXPONENT_BYTES 8u

struct absent {
	char kid[JWT_KID_BYTES + 1];
	uint64_t until_us;
};

struct jwks {
	struct jwt_keys keys;
	uint64_t fetched_us; /* last good set; 0 = never */
	uint64_t asked_us; /* last fetch because of an unknown kid; 0 = never */
	uint64_t due_us;
	uint64_t retry_us; /* after the next failure */
	bool fetching;
	uint64_t fetches, failures;
	struct absent absent[JWKS_ABSENT_MAX];
	size_t absent_next; /* overwritten next */
};

/* --- reading --- */

static const char *text_of(struct json_object *key, const char *name)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(key, name, &value);
	return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
}

/** A member that, if it is there, must be this text. */
static bool text_fits(struct json_object *key, const char *name, const char *wanted)
{
	const char *text = text_of(key, name);

	return !json_object_object_get_ex(key, name, NULL)
	       || (text != NULL && strcmp(text, wanted) == 0);
}

/** "key_ops", if it is there, has "verify" (RFC 7517, 4.3). */
static bool may_verify(struct json_object *key)
{
	struct json_object *ops = NULL;

	if (!json_object_object_get_ex(key, "key_ops", &ops))
		return true;
	if (!json_object_is_type(ops, json_type_array))
		return false;
	for (size_t i = 0; i < json_object_array_length(ops); i++) {
		struct json_object *op = json_object_array_get_idx(ops, i);

		if (json_object_is_type(op, json_type_string)
			&& strcmp(json_object_get_string(op), "verify") == 0)
			return true;
	}
	return false;
}

static long bytes_of(struct json_object *key, const char *name, uint8_t *out, size_t size)
{
	const char *text = text_of(key, name);

	return text != NULL ? jwt_base64url(text, strlen(text), out, size) : -1;
}

/** A public key from parameters, checked; NULL: it is none. Takes the parameters. */
static EVP_PKEY *key_from(const char *kind, OSSL_PARAM *params)
{
	EVP_PKEY_CTX *make = EVP_PKEY_CTX_new_from_name(NULL, kind, NULL);
	EVP_PKEY_CTX *check = NULL;
	EVP_PKEY *pkey = NULL;

	if (make == NULL || params == NULL || EVP_PKEY_fromdata_init(make) != 1
		|| EVP_PKEY_fromdata(make, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
		goto out;
	check = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
	if (check == NULL || EVP_PKEY_public_check(check) != 1) {
		EVP_PKEY_free(pkey);
		pkey = NULL;
	}
out:
	EVP_PKEY_CTX_free(check);
	EVP_PKEY_CTX_free(make);
	OSSL_PARAM_free(params);
	return pkey;
}

static EVP_PKEY *read_ec(struct json_object *key)
{
	uint8_t point[1 + 2 * EC_HALF_BYTES] = {POINT_CONVERSION_UNCOMPRESSED};
	OSSL_PARAM_BLD *build;
	OSSL_PARAM *params = NULL;
	EVP_PKEY *pkey;

	if (!json_object_object_get_ex(key, "crv", NULL) || !text_fits(key, "crv", "P-256")
		|| bytes_of(key, "x", point + 1, EC_HALF_BYTES) != EC_HALF_BYTES
		|| bytes_of(key, "y", point + 1 + EC_HALF_BYTES, EC_HALF_BYTES) != EC_HALF_BYTES)
		return NULL;
	build = OSSL_PARAM_BLD_new();
	if (build != NULL
		&& OSSL_PARAM_BLD_push_utf8_string(
			build, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0)
		&& OSSL_PARAM_BLD_push_octet_string(
			build, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)))
		params = OSSL_PARAM_BLD_to_param(build);
	pkey = key_from("EC", params);
	OSSL_PARAM_BLD_free(build);
	return pkey;
}

static EVP_PKEY *read_rsa(struct json_object *key)
{
	uint8_t n_bytes[RSA_MAX_BITS / 8], e_bytes[RSA_MAX_EXPONENT_BYTES];
	long n_len = bytes_of(key, "n", n_bytes, sizeof(n_bytes));
	long e_len = bytes_of(key, "e", e_bytes, sizeof(e_bytes));
	OSSL_PARAM_BLD *build;
	OSSL_PARAM *params = NULL;
	EVP_PKEY *pkey = NULL;
	BIGNUM *n, *e;

	if (n_len <= 0 || e_len <= 0)
		return NULL;
	build = OSSL_PARAM_BLD_new();
	n = BN_bin2bn(n_bytes, (int)n_len, NULL);
	e = BN_bin2bn(e_bytes, (int)e_len, NULL);
	if (build == NULL || n == NULL || e == NULL || BN_num_bits(n) < RSA_MIN_BITS
		|| !BN_is_odd(e) || BN_is_one(e))
		goto out;
	if (OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n)
		&& OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e))
		params = OSSL_PARAM_BLD_to_param(build);
	pkey = key_from("RSA", params);
out:
	BN_free(n);
	BN_free(e);
	OSSL_PARAM_BLD_free(build);
	return pkey;
}

static bool has_kid(const struct jwt_keys *keys, const char *kid)
{
	for (size_t i = 0; i < keys->count; i++) {
		if (strcmp(keys->key[i].kid, kid) == 0)
			return true;
	}
	return false;
}

static void read_key(struct json_object *key, struct jwt_keys *out)
{
	struct jwt_key *slot = &out->key[out->count];
	const char *kid, *kty;

	if (out->count == JWT_MAX_KEYS || !json_object_is_type(key, json_type_object))
		return;
	kid = text_of(key, "kid");
	kty = text_of(key, "kty");
	if (kty == NULL || kid == NULL || *kid == '\0' || strlen(kid) > JWT_KID_BYTES
		|| has_kid(out, kid) || !text_fits(key, "use", "sig") || !may_verify(key))
		return;
	// Who publishes a private key has lost it.
	if (json_object_object_get_ex(key, "d", NULL))
		return;
	if (strcmp(kty, "EC") == 0 && text_fits(key, "alg", "ES256")) {
		slot->alg = JWT_ES256;
		slot->pkey = read_ec(key);
	} else if (strcmp(kty, "RSA") == 0 && text_fits(key, "alg", "RS256")) {
		slot->alg = JWT_RS256;
		slot->pkey = read_rsa(key);
	} else {
		return;
	}
	if (slot->pkey == NULL)
		return;
	strcpy(slot->kid, kid);
	out->count++;
}

int jwks_parse(const char *text, size_t len, struct jwt_keys *out)
{
	struct json_object *set, *keys = NULL;
	struct json_tokener *tokener;
	int result = -EINVAL;

	memset(out, 0, sizeof(*out));
	if (len == 0 || len > JWKS_BODY_MAX_BYTES || json_scan(text, len, NULL) != JSON_SCAN_OK)
		return -EINVAL;
	tokener = json_tokener_new_ex(JSON_DEPTH);
	if (tokener == NULL)
		return -ENOMEM;
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	set = json_tokener_parse_ex(tokener, text, (int)len);
	if (json_tokener_get_error(tokener) == json_tokener_success
		&& json_object_is_type(set, json_type_object)
		&& json_object_object_get_ex(set, "keys", &keys)
		&& json_object_is_type(keys, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(keys); i++)
			read_key(json_object_array_get_idx(keys, i), out);
		result = 0;
	}
	json_object_put(set);
	json_tokener_free(tokener);
	return result;
}

void jwks_keys_fini(struct jwt_keys *keys)
{
	for (size_t i = 0; i < keys->count; i++)
		EVP_PKEY_free(keys->key[i].pkey);
	memset(keys, 0, sizeof(*keys));
}

/* --- keeping --- */

struct jwks *jwks_create(uint64_t now_us)
{
	struct jwks *jwks = calloc(1, sizeof(*jwks));

	if (jwks != NULL) {
		jwks->due_us = now_us;
		jwks->retry_us = JWKS_RETRY_US;
	}
	return jwks;
}

void jwks_destroy(struct jwks *jwks)
{
	if (jwks == NULL)
		return;
	jwks_keys_fini(&jwks->keys);
	free(jwks);
}

const struct jwt_keys *jwks_keys(struct jwks *jwks, uint64_t now_us)
{
	if (jwks->keys.count > 0 && now_us >= jwks->fetched_us + JWKS_LIFE_US)
		jwks_keys_fini(&jwks->keys);
	return &jwks->keys;
}

void jwks_started(struct jwks *jwks, uint64_t now_us)
{
	jwks->fetching = true;
	jwks->fetches++;
	jwks->due_us = now_us + JWKS_RETRY_MAX_US;
}

void jwks_failed(struct jwks *jwks, uint64_t now_us)
{
	jwks->fetching = false;
	jwks->failures++;
	jwks->due_us = now_us + jwks->retry_us;
	jwks->retry_us *= 2;
	if (jwks->retry_us > JWKS_RETRY_MAX_US)
		jwks->retry_us = JWKS_RETRY_MAX_US;
}

int jwks_fetched(struct jwks *jwks, const char *text, size_t len, uint64_t now_us)
{
	struct jwt_keys keys;
	int result = jwks_parse(text, len, &keys);

	if (result < 0) {
		jwks_failed(jwks, now_us);
		return result;
	}
	jwks_keys_fini(&jwks->keys);
	jwks->keys = keys;
	jwks->fetching = false;
	jwks->fetched_us = now_us;
	jwks->due_us = now_us + JWKS_REFRESH_US;
	jwks->retry_us = JWKS_RETRY_US;
	return 0;
}

uint64_t jwks_due_us(const struct jwks *jwks)
{
	return jwks->due_us;
}

static struct absent *find_absent(struct jwks *jwks, const char *kid)
{
	for (size_t i = 0; i < JWKS_ABSENT_MAX; i++) {
		if (jwks->absent[i].until_us != 0 && strcmp(jwks->absent[i].kid, kid) == 0)
			return &jwks->absent[i];
	}
	return NULL;
}

enum jwks_verdict jwks_unknown(struct jwks *jwks, const char *kid, uint64_t now_us)
{
	const struct absent *absent = find_absent(jwks, kid);

	if (absent != NULL && now_us < absent->until_us)
		return JWKS_ABSENT;
	if (jwks->fetching)
		return JWKS_FETCHING;
	if (jwks->asked_us != 0 && now_us < jwks->asked_us + JWKS_ASK_US)
		return JWKS_UNKNOWN;
	jwks->asked_us = now_us;
	return JWKS_FETCH;
}

void jwks_absent(struct jwks *jwks, const char *kid, uint64_t now_us)
{
	struct absent *absent = find_absent(jwks, kid);

	if (strlen(kid) > JWT_KID_BYTES)
		return;
	if (absent == NULL) {
		absent = &jwks->absent[jwks->absent_next];
		jwks->absent_next = (jwks->absent_next + 1) % JWKS_ABSENT_MAX;
	}
	strcpy(absent->kid, kid);
	absent->until_us = now_us + JWKS_ASK_US;
}

void jwks_figures(const struct jwks *jwks, struct jwks_figures *out)
{
	*out = (struct jwks_figures){
		.fetches = jwks->fetches,
		.failures = jwks->failures,
		.fetched_us = jwks->fetched_us,
		.keys = jwks->keys.count,
	};
}
