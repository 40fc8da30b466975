// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/jwt.h"

#include "sfu-ctl/proto/json_scan.h"

#include <json-c/json.h>
#include <math.h>
#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#define JSON_DEPTH 32
#define ES256_HALF_BYTES 32u
#define HS256_BYTES 32u
#define SIGNATURE_MAX_BYTES 1024u /* RSA with 8192 bits */
/** Whole seconds that a double has exactly. */
#define MAX_DATE (INT64_C(1) << 53)

struct part {
	const char *text;
	size_t len;
};

struct parts {
	struct part header, payload, signature;
	struct part input; /* what is signed: header, dot, payload */
};

/* --- form --- */

static int digit_of(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '-' ? 62 : c == '_' ? 63 : -1;
}

long jwt_base64url(const char *text, size_t len, uint8_t *out, size_t size)
{
	uint32_t bits = 0;
	unsigned have = 0;
	size_t n = 0;

	if (len % 4 == 1)
		return -1;
	for (size_t i = 0; i < len; i++) {
		int digit = digit_of(text[i]);

		if (digit < 0)
			return -1;
		bits = bits << 6 | (uint32_t)digit;
		have += 6;
		if (have < 8)
			continue;
		have -= 8;
		if (n == size)
			return -1;
		out[n++] = (uint8_t)(bits >> have);
		bits &= (1u << have) - 1;
	}
	return bits == 0 ? (long)n : -1;
}

static bool split(const char *token, size_t len, struct parts *out)
{
	const char *first, *second;

	if (len == 0 || len > JWT_MAX_BYTES)
		return false;
	first = memchr(token, '.', len);
	if (first == NULL)
		return false;
	second = memchr(first + 1, '.', len - (size_t)(first + 1 - token));
	if (second == NULL)
		return false;
	out->header = (struct part){token, (size_t)(first - token)};
	out->payload = (struct part){first + 1, (size_t)(second - first - 1)};
	out->signature = (struct part){second + 1, len - (size_t)(second + 1 - token)};
	out->input = (struct part){token, (size_t)(second - token)};
	return out->header.len > 0 && out->payload.len > 0;
}

/** A JSON object, the caller's to put; NULL: it is none, or a form of it that we refuse. */
static struct json_object *parse_object(const uint8_t *text, size_t len)
{
	struct json_object *object;
	struct json_tokener *tokener;

	// json-c takes duplicate keys, and which one counts is anybody's guess.
	if (len == 0 || text[0] != '{' || json_scan(text, len, NULL) != JSON_SCAN_OK)
		return NULL;
	tokener = json_tokener_new_ex(JSON_DEPTH);
	if (tokener == NULL)
		return NULL;
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	object = json_tokener_parse_ex(tokener, (const char *)text, (int)len);
	if (json_tokener_get_error(tokener) != json_tokener_success
		|| !json_object_is_type(object, json_type_object)) {
		json_object_put(object);
		object = NULL;
	}
	json_tokener_free(tokener);
	return object;
}

/* --- header --- */

static enum jwt_alg alg_of(const char *name)
{
	if (strcmp(name, "ES256") == 0)
		return JWT_ES256;
	if (strcmp(name, "RS256") == 0)
		return JWT_RS256;
	if (strcmp(name, "HS256") == 0)
		return JWT_HS256;
	return JWT_ALG_NONE;
}

static enum jwt_status read_header(const struct part *part, struct jwt_result *out)
{
	uint8_t text[JWT_HEADER_MAX_BYTES];
	long len = jwt_base64url(part->text, part->len, text, sizeof(text));
	struct json_object *header, *alg, *kid;
	enum jwt_status status = JWT_MALFORMED;

	if (len < 0)
		return JWT_NOT_JWT;
	header = parse_object(text, (size_t)len);
	if (header == NULL)
		return JWT_MALFORMED;
	if (!json_object_object_get_ex(header, "alg", &alg)
		|| !json_object_is_type(alg, json_type_string))
		goto put;
	if (json_object_object_get_ex(header, "kid", &kid)) {
		if (!json_object_is_type(kid, json_type_string)
			|| json_object_get_string_len(kid) > (int)JWT_KID_BYTES)
			goto put;
		strcpy(out->kid, json_object_get_string(kid));
	}
	// Not a form of token that somebody else may know: none at all.
	if (strcasecmp(json_object_get_string(alg), "none") == 0)
		goto put;
	out->alg = alg_of(json_object_get_string(alg));
	// RFC 7515, 4.1.11: we understand none.
	if (json_object_object_get_ex(header, "crit", NULL))
		status = JWT_CRIT;
	else
		status = out->alg != JWT_ALG_NONE ? JWT_OK : JWT_ALG;
put:
	json_object_put(header);
	return status;
}

/* --- signature --- */

/** The key that a token names, if its algorithm is the key's. *key stays NULL for the secret. */
static enum jwt_status choose_key(
	const struct jwt_expect *expect, const struct jwt_result *token, const struct jwt_key **key)
{
	*key = NULL;
	for (size_t i = 0; expect->keys != NULL && token->kid[0] != '\0' && i < expect->keys->count;
		i++) {
		const struct jwt_key *k = &expect->keys->key[i];

		if (strcmp(k->kid, token->kid) != 0)
			continue;
		*key = k;
		return k->alg == token->alg ? JWT_OK : JWT_ALG_OF_KEY;
	}
	if (token->alg != JWT_HS256)
		return JWT_NO_KEY;
	// The secret has no name: tokens made with it may carry any kid that is no public key's.
	return expect->secret_len > 0 ? JWT_OK : JWT_ALG;
}

/** r and s of fixed length (RFC 7518, 3.4) in the form that OpenSSL reads. Length, 0 on failure. */
static size_t es256_der(const uint8_t rs[2 * ES256_HALF_BYTES], uint8_t *der, size_t size)
{
	ECDSA_SIG *signature = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(rs, ES256_HALF_BYTES, NULL);
	BIGNUM *s = BN_bin2bn(rs + ES256_HALF_BYTES, ES256_HALF_BYTES, NULL);
	size_t len = 0;

	if (signature == NULL || r == NULL || s == NULL || ECDSA_SIG_set0(signature, r, s) != 1) {
		BN_free(r);
		BN_free(s);
	} else if (i2d_ECDSA_SIG(signature, NULL) <= (int)size) {
		int written = i2d_ECDSA_SIG(signature, &der);

		len = written > 0 ? (size_t)written : 0;
	}
	ECDSA_SIG_free(signature);
	return len;
}

static bool verify_public(
	const struct jwt_key *key, const struct part *input, const uint8_t *signature, size_t len)
{
	uint8_t der[2 * ES256_HALF_BYTES + 16];
	EVP_MD_CTX *md;
	bool good;

	if (key->alg == JWT_ES256) {
		if (len != 2 * ES256_HALF_BYTES)
			return false;
		len = es256_der(signature, der, sizeof(der));
		signature = der;
	} else if (len != (size_t)EVP_PKEY_get_size(key->pkey)) {
		return false;
	}
	md = EVP_MD_CTX_new();
	good = md != NULL && len > 0
	       && EVP_DigestVerifyInit(md, NULL, EVP_sha256(), NULL, key->pkey) == 1
	       && EVP_DigestVerify(
			  md, signature, len, (const unsigned char *)input->text, input->len)
			  == 1;
	EVP_MD_CTX_free(md);
	return good;
}

static bool verify_secret(const struct jwt_expect *expect, const struct part *input,
	const uint8_t *signature, size_t len)
{
	uint8_t mac[EVP_MAX_MD_SIZE];
	unsigned mac_len = 0;

	if (len != HS256_BYTES || expect->secret_len > INT32_MAX
		|| HMAC(EVP_sha256(), expect->secret, (int)expect->secret_len,
			   (const unsigned char *)input->text, input->len, mac, &mac_len)
			   == NULL)
		return false;
	return mac_len == HS256_BYTES && CRYPTO_memcmp(mac, signature, HS256_BYTES) == 0;
}

static enum jwt_status verify_signature(
	const struct parts *parts, const struct jwt_expect *expect, const struct jwt_result *token)
{
	uint8_t signature[SIGNATURE_MAX_BYTES];
	long len = jwt_base64url(
		parts->signature.text, parts->signature.len, signature, sizeof(signature));
	const struct jwt_key *key;
	enum jwt_status status = choose_key(expect, token, &key);

	if (len < 0)
		return JWT_NOT_JWT;
	if (status != JWT_OK)
		return status;
	if (key != NULL ? verify_public(key, &parts->input, signature, (size_t)len)
			: verify_secret(expect, &parts->input, signature, (size_t)len))
		return JWT_OK;
	return JWT_SIGNATURE;
}

/* --- payload --- */

/** A NumericDate (RFC 7519, 2), cut to whole seconds. False: it is none. */
static bool date_of(struct json_object *value, int64_t *out)
{
	if (json_object_is_type(value, json_type_int)) {
		*out = json_object_get_int64(value);
		return *out >= 0 && *out <= MAX_DATE;
	}
	if (json_object_is_type(value, json_type_double)) {
		double seconds = json_object_get_double(value);

		if (!isfinite(seconds) || seconds < 0 || seconds > (double)MAX_DATE)
			return false;
		*out = (int64_t)seconds;
		return true;
	}
	return false;
}

static bool is_text(struct json_object *value, const char *text)
{
	return json_object_is_type(value, json_type_string)
	       && strcmp(json_object_get_string(value), text) == 0;
}

static bool audience_fits(struct json_object *aud, const char *wanted)
{
	if (json_object_is_type(aud, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(aud); i++) {
			if (is_text(json_object_array_get_idx(aud, i), wanted))
				return true;
		}
	}
	return is_text(aud, wanted);
}

static enum jwt_status read_subject(struct json_object *sub, char *out)
{
	const char *text;
	size_t len;

	if (!json_object_is_type(sub, json_type_string))
		return JWT_SUBJECT;
	text = json_object_get_string(sub);
	len = (size_t)json_object_get_string_len(sub);
	if (len == 0 || len > JWT_SUBJECT_BYTES)
		return JWT_SUBJECT;
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return JWT_SUBJECT;
	}
	memcpy(out, text, len + 1);
	return JWT_OK;
}

static enum jwt_status check_claims(
	struct json_object *payload, const struct jwt_expect *expect, struct jwt_result *out)
{
	struct json_object *value = NULL;
	int64_t not_before = 0;

	if (!json_object_object_get_ex(payload, "exp", &value)
		|| !date_of(value, &out->expires_sec))
		return JWT_MALFORMED;
	if (expect->now_sec >= out->expires_sec + JWT_LEEWAY_SEC)
		return JWT_EXPIRED;
	if (json_object_object_get_ex(payload, "nbf", &value) && !date_of(value, &not_before))
		return JWT_MALFORMED;
	if (not_before > expect->now_sec + JWT_LEEWAY_SEC)
		return JWT_TOO_EARLY;
	value = NULL;
	json_object_object_get_ex(payload, "aud", &value);
	if (expect->audience[0] != '\0' && !audience_fits(value, expect->audience))
		return JWT_AUDIENCE;
	value = NULL;
	json_object_object_get_ex(payload, "iss", &value);
	if (expect->issuer[0] != '\0' && !is_text(value, expect->issuer))
		return JWT_ISSUER;
	value = NULL;
	json_object_object_get_ex(payload, "sub", &value);
	return read_subject(value, out->subject);
}

static enum jwt_status read_payload(
	const struct part *part, const struct jwt_expect *expect, struct jwt_result *out)
{
	uint8_t text[JWT_MAX_BYTES / 4 * 3];
	long len = jwt_base64url(part->text, part->len, text, sizeof(text));
	struct json_object *payload;
	enum jwt_status status;

	if (len < 0)
		return JWT_NOT_JWT;
	payload = parse_object(text, (size_t)len);
	if (payload == NULL)
		return JWT_MALFORMED;
	status = check_claims(payload, expect, out);
	json_object_put(payload);
	return status;
}

/* --- all together --- */

enum jwt_status jwt_verify(
	const char *token, size_t len, const struct jwt_expect *expect, struct jwt_result *out)
{
	struct parts parts;
	enum jwt_status status;

	memset(out, 0, sizeof(*out));
	if (!split(token, len, &parts))
		return JWT_NOT_JWT;
	status = read_header(&parts.header, out);
	if (status == JWT_OK)
		status = verify_signature(&parts, expect, out);
	if (status == JWT_OK)
		status = read_payload(&parts.payload, expect, out);
	return status;
}

int64_t jwt_expiry(const char *token, size_t len)
{
	uint8_t text[JWT_MAX_BYTES / 4 * 3];
	struct json_object *payload = NULL, *exp = NULL;
	struct parts parts;
	int64_t expires_sec = 0;
	long bytes = -1;

	if (split(token, len, &parts))
		bytes = jwt_base64url(parts.payload.text, parts.payload.len, text, sizeof(text));
	if (bytes > 0)
		payload = parse_object(text, (size_t)bytes);
	if (payload != NULL && json_object_object_get_ex(payload, "exp", &exp)
		&& !date_of(exp, &expires_sec))
		expires_sec = 0;
	json_object_put(payload);
	return expires_sec;
}

const char *jwt_status_text(enum jwt_status status)
{
	static const char *const texts[JWT_STATUS_COUNT] = {
#define X(name, text) [JWT_##name] = text,
		JWT_STATUS_LIST(X)
#undef X
	};

	return texts[status];
}
