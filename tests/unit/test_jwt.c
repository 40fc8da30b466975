// SPDX-License-Identifier: BSD-3-Clause
/**
 * Tokens and key sets: what is right is accepted, and nothing else. The keys are made anew at each run;
 * hostile tokens are made by whoever has no key of the server's, unless a row says otherwise.
 */
#include "sfu-ctl/jwks.h"
#include "sfu-ctl/jwt.h"
#include "tests/unit/make_jwt.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW 1800000000
#define ISSUER "https://auth.example/auth/v1"
#define GOOD_CLAIMS                                                                                \
	"\"iss\":\"" ISSUER "\",\"aud\":\"authenticated\",\"sub\":\"user-1\",\"exp\":1800003600"
#define GOOD "{" GOOD_CLAIMS "}"

static const char secret[] = "a secret of thirty-two characters or more";

static struct {
	EVP_PKEY *ec, *rsa, *p384, *stranger, *small_rsa;
	struct jwt_keys keys;
	char *rsa_pem; /* what everybody may know */
	size_t rsa_pem_len;
} world;

static struct jwt_expect expectation(void)
{
	return (struct jwt_expect){.keys = &world.keys,
		.secret = secret,
		.secret_len = strlen(secret),
		.audience = "authenticated",
		.issuer = ISSUER,
		.now_sec = NOW};
}

static char *key_set(const char *const *jwks, size_t count)
{
	char *out = strdup("{\"keys\":[");

	for (size_t i = 0; i < count; i++) {
		char *longer = NULL;

		assert_true(asprintf(&longer, "%s%s%s", out, i > 0 ? "," : "", jwks[i]) > 0);
		free(out);
		out = longer;
	}
	out = realloc(out, strlen(out) + 4);
	return strcat(out, "]}\n");
}

static int make_world(void **state)
{
	char *jwk[2], *set;
	BIO *bio = BIO_new(BIO_s_mem());
	char *pem;
	long pem_len;

	(void)state;
	world.ec = make_ec_key("P-256");
	world.stranger = make_ec_key("P-256");
	world.p384 = make_ec_key("P-384");
	world.rsa = make_rsa_key(2048);
	world.small_rsa = make_rsa_key(1024);
	jwk[0] = make_jwk(
		world.ec, "ec", ",\"alg\":\"ES256\",\"use\":\"sig\",\"key_ops\":[\"verify\"]");
	jwk[1] = make_jwk(world.rsa, "rsa", "");
	set = key_set((const char *const *)jwk, 2);
	assert_int_equal(jwks_parse(set, strlen(set), &world.keys), 0);
	assert_int_equal(world.keys.count, 2);
	PEM_write_bio_PUBKEY(bio, world.rsa);
	pem_len = BIO_get_mem_data(bio, &pem);
	world.rsa_pem = malloc((size_t)pem_len);
	memcpy(world.rsa_pem, pem, (size_t)pem_len);
	world.rsa_pem_len = (size_t)pem_len;
	BIO_free(bio);
	free(set);
	free(jwk[0]);
	free(jwk[1]);
	return 0;
}

static int end_world(void **state)
{
	(void)state;
	jwks_keys_fini(&world.keys);
	EVP_PKEY_free(world.ec);
	EVP_PKEY_free(world.rsa);
	EVP_PKEY_free(world.p384);
	EVP_PKEY_free(world.stranger);
	EVP_PKEY_free(world.small_rsa);
	free(world.rsa_pem);
	return 0;
}

/** Verify from a buffer of exact size, so that a sanitizer sees what is read beyond. */
static enum jwt_status verify(
	const char *token, size_t len, const struct jwt_expect *expect, struct jwt_result *result)
{
	char *copy = malloc(len > 0 ? len : 1);
	enum jwt_status status;

	memcpy(copy, token, len);
	status = jwt_verify(copy, len, expect, result);
	free(copy);
	return status;
}

static void assert_status(char *token, enum jwt_status status)
{
	struct jwt_expect expect = expectation();
	struct jwt_result result;

	assert_int_equal(verify(token, strlen(token), &expect, &result), status);
	if (status != JWT_OK)
		assert_string_equal(result.subject, "");
	free(token);
}

static char *ec(const char *header, const char *payload)
{
	return make_signed(make_input(header, payload), world.ec);
}

#define EC_HEADER "{\"alg\":\"ES256\",\"kid\":\"ec\"}"

/* --- what is right --- */

static void test_valid(void **state)
{
	char *tokens[] = {
		make_token(world.ec, "ec", GOOD),
		make_token(world.rsa, "rsa", GOOD),
		make_mac(make_input("{\"alg\":\"HS256\",\"typ\":\"JWT\"}", GOOD), secret,
			strlen(secret)),
		make_mac(make_input("{\"alg\":\"HS256\",\"kid\":\"legacy\"}", GOOD), secret,
			strlen(secret)),
	};
	struct jwt_expect expect = expectation();

	(void)state;
	for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
		struct jwt_result result;

		assert_int_equal(verify(tokens[i], strlen(tokens[i]), &expect, &result), JWT_OK);
		assert_string_equal(result.subject, "user-1");
		assert_int_equal(result.expires_sec, 1800003600);
		assert_int_equal(jwt_expiry(tokens[i], strlen(tokens[i])), 1800003600);
		free(tokens[i]);
	}
}

/** Claims in every form that is right, and at the edges of time. */
static void test_claims(void **state)
{
	static const struct {
		const char *what, *payload;
		enum jwt_status status;
	} rows[] = {
		{"audience in a list",
			"{\"iss\":\"" ISSUER "\",\"aud\":[\"x\",\"authenticated\"],\"sub\":\"u\","
			"\"exp\":1800003600}",
			JWT_OK},
		{"last second of the leeway",
			"{\"iss\":\"" ISSUER "\",\"aud\":\"authenticated\",\"sub\":\"u\",\"exp\":"
			"1799999941}",
			JWT_OK},
		{"leeway over",
			"{\"iss\":\"" ISSUER "\",\"aud\":\"authenticated\",\"sub\":\"u\",\"exp\":"
			"1799999940}",
			JWT_EXPIRED},
		{"fraction of a second",
			"{\"iss\":\"" ISSUER "\",\"aud\":\"authenticated\",\"sub\":\"u\",\"exp\":"
			"1.8000036e9}",
			JWT_OK},
		{"not before within the leeway", "{" GOOD_CLAIMS ",\"nbf\":1800000060}", JWT_OK},
		{"not before beyond it", "{" GOOD_CLAIMS ",\"nbf\":1800000061}", JWT_TOO_EARLY},
		{"expired long ago",
			"{\"iss\":\"" ISSUER
			"\",\"aud\":\"authenticated\",\"sub\":\"u\",\"exp\":1}",
			JWT_EXPIRED},
		{"no exp", "{\"iss\":\"" ISSUER "\",\"aud\":\"authenticated\",\"sub\":\"u\"}",
			JWT_MALFORMED},
		{"exp is text",
			"{\"iss\":\"" ISSUER "\",\"aud\":\"authenticated\",\"sub\":\"u\",\"exp\":"
			"\"1800003600\"}",
			JWT_MALFORMED},
		{"exp below zero",
			"{\"iss\":\"" ISSUER
			"\",\"aud\":\"authenticated\",\"sub\":\"u\",\"exp\":-1}",
			JWT_MALFORMED},
		{"exp beyond all integers",
			"{\"iss\":\"" ISSUER "\",\"aud\":\"authenticated\",\"sub\":\"u\",\"exp\":"
			"99999999999999999999999999}",
			JWT_MALFORMED},
		{"exp infinite",
			"{\"iss\":\"" ISSUER "\",\"aud\":\"authenticated\",\"sub\":\"u\",\"exp\":"
			"1e999}",
			JWT_MALFORMED},
		{"exp twice, the good one last", "{\"exp\":1," GOOD_CLAIMS "}", JWT_MALFORMED},
		{"exp twice, one escaped", "{" GOOD_CLAIMS ",\"\\u0065xp\":1}", JWT_MALFORMED},
		{"nbf is an object", "{" GOOD_CLAIMS ",\"nbf\":{}}", JWT_MALFORMED},
		{"other audience",
			"{\"iss\":\"" ISSUER
			"\",\"aud\":\"anon\",\"sub\":\"u\",\"exp\":1800003600}",
			JWT_AUDIENCE},
		{"empty list of audiences",
			"{\"iss\":\"" ISSUER "\",\"aud\":[],\"sub\":\"u\",\"exp\":1800003600}",
			JWT_AUDIENCE},
		{"audience in a list in a list",
			"{\"iss\":\"" ISSUER
			"\",\"aud\":[[\"authenticated\"]],\"sub\":\"u\",\"exp\":"
			"1800003600}",
			JWT_AUDIENCE},
		{"no audience", "{\"iss\":\"" ISSUER "\",\"sub\":\"u\",\"exp\":1800003600}",
			JWT_AUDIENCE},
		{"audience with an end of its own",
			"{\"iss\":\"" ISSUER "\",\"aud\":\"authenticated\\u0000x\",\"sub\":\"u\","
			"\"exp\":1800003600}",
			JWT_MALFORMED},
		{"other issuer",
			"{\"iss\":\"https://evil.example/auth/v1\",\"aud\":\"authenticated\","
			"\"sub\":\"u\",\"exp\":1800003600}",
			JWT_ISSUER},
		{"issuer longer than ours",
			"{\"iss\":\"" ISSUER "/\",\"aud\":\"authenticated\",\"sub\":\"u\",\"exp\":"
			"1800003600}",
			JWT_ISSUER},
		{"no issuer", "{\"aud\":\"authenticated\",\"sub\":\"u\",\"exp\":1800003600}",
			JWT_ISSUER},
		{"no subject, as in an anon key",
			"{\"iss\":\"" ISSUER
			"\",\"aud\":\"authenticated\",\"role\":\"anon\",\"exp\":"
			"1800003600}",
			JWT_SUBJECT},
		{"empty subject",
			"{\"iss\":\"" ISSUER "\",\"aud\":\"authenticated\",\"sub\":\"\",\"exp\":"
			"1800003600}",
			JWT_SUBJECT},
		{"subject is a number",
			"{\"iss\":\"" ISSUER "\",\"aud\":\"authenticated\",\"sub\":7,\"exp\":"
			"1800003600}",
			JWT_SUBJECT},
		{"subject with a line end",
			"{\"iss\":\"" ISSUER
			"\",\"aud\":\"authenticated\",\"sub\":\"a\\nb\",\"exp\":"
			"1800003600}",
			JWT_SUBJECT},
		{"payload is a list", "[1]", JWT_MALFORMED},
		{"payload is empty text", "\"\"", JWT_MALFORMED},
		{"payload and more", GOOD "{}", JWT_MALFORMED},
		{"payload is not UTF-8", "{" GOOD_CLAIMS ",\"x\":\"\xff\"}", JWT_MALFORMED},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("%s\n", rows[i].what);
		assert_status(ec(EC_HEADER, rows[i].payload), rows[i].status);
	}
}

/** Nothing is asked of audience and issuer when nothing is configured. */
static void test_unchecked(void **state)
{
	struct jwt_expect expect = expectation();
	struct jwt_result result;
	char *token = ec(EC_HEADER, "{\"sub\":\"u\",\"exp\":1800003600}");

	(void)state;
	expect.audience = expect.issuer = "";
	assert_int_equal(verify(token, strlen(token), &expect, &result), JWT_OK);
	free(token);
}

/* --- header and key --- */

static void test_headers(void **state)
{
	static const struct {
		const char *what, *header;
		enum jwt_status status;
	} rows[] = {
		{"as it should be", EC_HEADER, JWT_OK},
		{"address and key of its own are not looked at",
			"{\"alg\":\"ES256\",\"kid\":\"ec\",\"jku\":\"https://"
			"evil.example\",\"x5u\":"
			"\"https://evil.example\",\"jwk\":{\"kty\":\"oct\",\"k\":\"AA\"}}",
			JWT_OK},
		{"critical extension",
			"{\"alg\":\"ES256\",\"kid\":\"ec\",\"crit\":[\"b64\"],\"b64\":false}",
			JWT_CRIT},
		{"empty list of them", "{\"alg\":\"ES256\",\"kid\":\"ec\",\"crit\":[]}", JWT_CRIT},
		{"none", "{\"alg\":\"none\",\"kid\":\"ec\"}", JWT_MALFORMED},
		{"none in capitals", "{\"alg\":\"NONE\",\"kid\":\"ec\"}", JWT_MALFORMED},
		{"no algorithm", "{\"kid\":\"ec\"}", JWT_MALFORMED},
		{"algorithm is null", "{\"alg\":null,\"kid\":\"ec\"}", JWT_MALFORMED},
		{"algorithm twice", "{\"alg\":\"ES256\",\"alg\":\"ES256\",\"kid\":\"ec\"}",
			JWT_MALFORMED},
		{"other case", "{\"alg\":\"es256\",\"kid\":\"ec\"}", JWT_ALG},
		{"ES384", "{\"alg\":\"ES384\",\"kid\":\"ec\"}", JWT_ALG},
		{"RS256 with an EC key", "{\"alg\":\"RS256\",\"kid\":\"ec\"}", JWT_ALG_OF_KEY},
		{"HS256 with a public key's name", "{\"alg\":\"HS256\",\"kid\":\"ec\"}",
			JWT_ALG_OF_KEY},
		{"the other key's name", "{\"alg\":\"ES256\",\"kid\":\"rsa\"}", JWT_ALG_OF_KEY},
		{"unknown key", "{\"alg\":\"ES256\",\"kid\":\"EC\"}", JWT_NO_KEY},
		{"no name of a key", "{\"alg\":\"ES256\"}", JWT_NO_KEY},
		{"empty name", "{\"alg\":\"ES256\",\"kid\":\"\"}", JWT_NO_KEY},
		{"name is a number", "{\"alg\":\"ES256\",\"kid\":1}", JWT_MALFORMED},
		{"name with an end of its own", "{\"alg\":\"ES256\",\"kid\":\"ec\\u0000\"}",
			JWT_MALFORMED},
		{"a file as a name", "{\"alg\":\"ES256\",\"kid\":\"../../dev/null\"}", JWT_NO_KEY},
		{"not an object", "[]", JWT_MALFORMED},
		{"empty object", "{}", JWT_MALFORMED},
		{"trailing text", EC_HEADER "x", JWT_MALFORMED},
	};
	char name[200] = "", header[1200] = "";

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("%s\n", rows[i].what);
		assert_status(ec(rows[i].header, GOOD), rows[i].status);
	}
	memset(name, 'k', JWT_KID_BYTES + 1);
	snprintf(header, sizeof(header), "{\"alg\":\"ES256\",\"kid\":\"%s\"}", name);
	assert_status(ec(header, GOOD), JWT_MALFORMED);
	memset(header, 'x', JWT_HEADER_MAX_BYTES + 1);
	memcpy(header, "{\"alg\":\"ES256\",\"kid\":\"ec\",\"x\":\"", 31);
	strcpy(header + JWT_HEADER_MAX_BYTES - 1, "\"}");
	assert_status(ec(header, GOOD), JWT_NOT_JWT);
}

/* --- signature --- */

static void test_signatures(void **state)
{
	char *good = make_token(world.ec, "ec", GOOD);
	char *other = ec(EC_HEADER, "{" GOOD_CLAIMS ",\"role\":\"service_role\"}");
	char *text = NULL;
	struct jwt_expect expect = expectation();
	struct jwt_result result;

	(void)state;
	print_message("by somebody else\n");
	assert_status(make_token(world.stranger, "ec", GOOD), JWT_SIGNATURE);
	print_message("by a P-384 key\n");
	assert_status(make_signed(make_input(EC_HEADER, GOOD), world.p384), JWT_SIGNATURE);
	print_message("HS256 with the RSA public key as the secret\n");
	assert_status(make_mac(make_input("{\"alg\":\"HS256\",\"kid\":\"rsa\"}", GOOD),
			      world.rsa_pem, world.rsa_pem_len),
		JWT_ALG_OF_KEY);
	assert_status(
		make_mac(make_input("{\"alg\":\"HS256\"}", GOOD), world.rsa_pem, world.rsa_pem_len),
		JWT_SIGNATURE);
	print_message("HS256 with an empty secret, and with ours when none is configured\n");
	assert_status(make_mac(make_input("{\"alg\":\"HS256\"}", GOOD), "", 0), JWT_SIGNATURE);
	expect.secret_len = 0;
	text = make_mac(make_input("{\"alg\":\"HS256\"}", GOOD), secret, strlen(secret));
	assert_int_equal(verify(text, strlen(text), &expect, &result), JWT_ALG);
	free(text);
	expect = expectation();
	print_message("signature of another token\n");
	assert_true(asprintf(&text, "%.*s.%s", (int)(strrchr(other, '.') - other), other,
			    strrchr(good, '.') + 1)
		    > 0);
	assert_status(text, JWT_SIGNATURE);
	print_message("header of another token\n");
	{
		char *rsa = make_token(world.rsa, "rsa", GOOD);
		const char *dot = strchr(good, '.'), *rest = strchr(rsa, '.');

		assert_non_null(dot);
		assert_non_null(rest);
		assert_true(asprintf(&text, "%.*s%s", (int)(dot - good), good, rest) > 0);
		free(rsa);
	}
	assert_status(text, JWT_SIGNATURE);
	print_message("no signature\n");
	assert_true(asprintf(&text, "%.*s.", (int)(strrchr(good, '.') - good), good) > 0);
	assert_status(text, JWT_SIGNATURE);
	print_message("zero signature\n");
	assert_true(asprintf(&text, "%.*s.%086d", (int)(strrchr(good, '.') - good), good, 0) > 0);
	memset(strrchr(text, '.') + 1, 'A', 86);
	assert_status(text, JWT_SIGNATURE);
	print_message("signature in DER form\n");
	{
		unsigned char der[256];
		size_t len = sizeof(der);
		char *input = make_input(EC_HEADER, GOOD), *encoded;
		EVP_MD_CTX *md = EVP_MD_CTX_new();

		EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, world.ec);
		EVP_DigestSign(md, der, &len, (unsigned char *)input, strlen(input));
		EVP_MD_CTX_free(md);
		encoded = make_base64url(der, len);
		assert_true(asprintf(&text, "%s.%s", input, encoded) > 0);
		free(input);
		free(encoded);
		assert_status(text, JWT_SIGNATURE);
	}
	free(good);
	free(other);
}

/* --- form --- */

static void test_forms(void **state)
{
	char *good = make_token(world.ec, "ec", GOOD);
	size_t len = strlen(good);
	struct jwt_expect expect = expectation();
	struct jwt_result result;
	char *text = NULL;
	static const char *const rows[] = {"", ".", "..", "...", "a", "a.b", "a.b.c", "e30.e30.e30",
		"eyJ hbGci", "e30.e30.e30.e30", ".e30.", "e30..e30", "e3=.e30.", "=.=.="};
	char *big;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_not_equal(verify(rows[i], strlen(rows[i]), &expect, &result), JWT_OK);
	for (size_t cut = 0; cut < len; cut++)
		assert_int_not_equal(verify(good, cut, &expect, &result), JWT_OK);
	// Spare bits of the last character: another spelling of the same signature.
	for (const char *c = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
		*c != '\0'; c++) {
		char last = good[len - 1];

		good[len - 1] = *c;
		assert_int_equal(verify(good, len, &expect, &result) == JWT_OK, *c == last);
		good[len - 1] = last;
	}
	for (const char *tail = "=. \n\tA/+"; *tail != '\0'; tail++) {
		assert_true(asprintf(&text, "%s%c", good, *tail) > 0);
		assert_int_not_equal(verify(text, len + 1, &expect, &result), JWT_OK);
		free(text);
	}
	assert_int_not_equal(verify(good, len + 1, &expect, &result), JWT_OK); // with its NUL
	assert_true(asprintf(&text, " %s", good) > 0);
	assert_status(text, JWT_NOT_JWT);
	assert_true(asprintf(&text, "%s.e30", good) > 0);
	assert_status(text, JWT_NOT_JWT);

	// Every single character changed to its neighbour.
	for (size_t i = 0; i < len; i++) {
		good[i] ^= 1;
		assert_int_not_equal(verify(good, len, &expect, &result), JWT_OK);
		good[i] ^= 1;
	}
	assert_int_equal(verify(good, len, &expect, &result), JWT_OK);
	free(good);

	// A payload as long as may be, and one octet more than that.
	big = malloc(20000);
	memset(big, ' ', 20000);
	memcpy(big, GOOD, strlen(GOOD));
	big[11800] = '\0';
	assert_status(ec(EC_HEADER, big), JWT_OK);
	big[11800] = ' ';
	big[12400] = '\0';
	assert_status(ec(EC_HEADER, big), JWT_NOT_JWT);
	memset(big, '[', 10000);
	memcpy(big, "{\"exp\":", 7);
	big[10000] = '\0';
	assert_status(ec(EC_HEADER, big), JWT_MALFORMED);
	memset(big, 'A', 20000);
	assert_int_equal(verify(big, 20000, &expect, &result), JWT_NOT_JWT);
	free(big);
}

static void test_base64url(void **state)
{
	static const struct {
		const char *text;
		long len;
	} rows[] = {{"", 0}, {"AA", 1}, {"AAA", 2}, {"AAAA", 3}, {"_-8", 2}, {"A", -1},
		{"AAAAA", -1}, {"AB", -1}, {"AAB", -1}, {"AA==", -1}, {"A+AA", -1}, {"A/AA", -1},
		{"A AA", -1}, {"AAAAAAAAAAA", 8}, {"AAAAAAAAAAAA", -1}};
	uint8_t out[8];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(
			jwt_base64url(rows[i].text, strlen(rows[i].text), out, sizeof(out)),
			rows[i].len);
	assert_int_equal(jwt_base64url("_-8", 3, out, 2), 2);
	assert_memory_equal(out, "\xff\xef", 2);
}

/* --- key sets --- */

static void test_key_sets(void **state)
{
	static const char *const rows[] = {"", "{}", "[]", "null", "{\"keys\":{}}", "{\"keys\":[}",
		"<html>", "{\"keys\":[],\"keys\":[]}", "{\"keys\":[]} x"};
	struct jwt_keys keys;
	char *huge = calloc(1, JWKS_BODY_MAX_BYTES + 2);

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(jwks_parse(rows[i], strlen(rows[i]), &keys), -EINVAL);
	assert_int_equal(jwks_parse("{\"keys\":[]}", 11, &keys), 0);
	assert_int_equal(keys.count, 0);
	memset(huge, ' ', JWKS_BODY_MAX_BYTES + 1);
	memcpy(huge, "{\"keys\":[]}", 11);
	assert_int_equal(jwks_parse(huge, JWKS_BODY_MAX_BYTES, &keys), 0);
	assert_int_equal(jwks_parse(huge, JWKS_BODY_MAX_BYTES + 1, &keys), -EINVAL);
	free(huge);
}

/** Keys that are left out, each beside a good one. */
static void test_unusable_keys(void **state)
{
	char *rows[] = {
		make_jwk(world.p384, "k", ""),
		make_jwk(world.small_rsa, "k", ""),
		make_jwk(world.ec, "", ""),
		make_jwk(world.ec, "k", ",\"use\":\"enc\""),
		make_jwk(world.ec, "k", ",\"alg\":\"ES384\""),
		make_jwk(world.rsa, "k", ",\"alg\":\"PS256\""),
		make_jwk(world.ec, "k", ",\"key_ops\":[\"sign\"]"),
		make_jwk(world.ec, "k", ",\"d\":\"AAAA\""),
		make_jwk(world.stranger, "good", ""),
		strdup("{\"kty\":\"oct\",\"kid\":\"k\",\"k\":\"c2VjcmV0\",\"alg\":\"HS256\"}"),
		strdup("{\"kty\":\"OKP\",\"kid\":\"k\",\"crv\":\"Ed25519\",\"x\":\"AAAA\"}"),
		strdup("{\"kty\":\"EC\",\"kid\":\"k\",\"crv\":\"P-256\",\"x\":\"AAAA\",\"y\":"
		       "\"AAAA\"}"),
		// Not on the curve.
		strdup("{\"kty\":\"EC\",\"kid\":\"k\",\"crv\":\"P-256\","
		       "\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE\","
		       "\"y\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE\"}"),
		strdup("{\"kty\":\"RSA\",\"kid\":\"k\",\"n\":\"\",\"e\":\"AQAB\"}"),
		strdup("{\"kid\":\"k\"}"),
		strdup("7"),
	};
	char *good = make_jwk(world.ec, "good", "");

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *both[] = {good, rows[i]};
		char *set = key_set(both, 2);
		struct jwt_keys keys;

		print_message("%.60s\n", rows[i]);
		assert_int_equal(jwks_parse(set, strlen(set), &keys), 0);
		assert_int_equal(keys.count, 1);
		assert_true(EVP_PKEY_eq(keys.key[0].pkey, world.ec) == 1);
		jwks_keys_fini(&keys);
		free(set);
		free(rows[i]);
	}
	free(good);
}

static void test_many_keys(void **state)
{
	char *rows[JWT_MAX_KEYS + 4], *set;
	struct jwt_keys keys;

	(void)state;
	for (size_t i = 0; i < JWT_MAX_KEYS + 4; i++) {
		char kid[8];

		snprintf(kid, sizeof(kid), "%zu", i);
		rows[i] = make_jwk(world.ec, kid, "");
	}
	set = key_set((const char *const *)rows, JWT_MAX_KEYS + 4);
	assert_int_equal(jwks_parse(set, strlen(set), &keys), 0);
	assert_int_equal(keys.count, JWT_MAX_KEYS);
	jwks_keys_fini(&keys);
	free(set);
	for (size_t i = 0; i < JWT_MAX_KEYS + 4; i++)
		free(rows[i]);
}

/** When keys are fetched, how long they live, and what strange names may cause. */
static void test_keeping(void **state)
{
	char *jwk = make_jwk(world.ec, "ec", ""), *set = key_set((const char *const[]){jwk}, 1);
	const uint64_t sec = 1000000;
	uint64_t now = 100 * sec, good;
	struct jwks *jwks = jwks_create(now);

	(void)state;
	assert_int_equal(jwks_due_us(jwks), now);
	assert_int_equal(jwks_keys(jwks, now)->count, 0);
	jwks_started(jwks, now);
	assert_int_equal(jwks_unknown(jwks, "ec", now), JWKS_FETCHING);
	// Failures: 5, 10, 20, 40, 60, 60 s until the next.
	for (unsigned i = 0; i < 6; i++) {
		const unsigned wait[] = {5, 10, 20, 40, 60, 60};

		jwks_failed(jwks, now);
		assert_int_equal(jwks_due_us(jwks), now + wait[i] * sec);
		jwks_started(jwks, now);
	}
	assert_int_equal(jwks_fetched(jwks, set, strlen(set), now), 0);
	good = now;
	assert_int_equal(jwks_due_us(jwks), now + JWKS_REFRESH_US);
	assert_int_equal(jwks_keys(jwks, now)->count, 1);

	// A strange name: one fetch, and for 30 s no other, whatever the name.
	assert_int_equal(jwks_unknown(jwks, "strange", now), JWKS_FETCH);
	jwks_started(jwks, now);
	assert_int_equal(jwks_unknown(jwks, "stranger", now), JWKS_FETCHING);
	assert_int_equal(jwks_fetched(jwks, set, strlen(set), now), 0);
	jwks_absent(jwks, "strange", now);
	assert_int_equal(jwks_unknown(jwks, "strange", now + 29 * sec), JWKS_ABSENT);
	assert_int_equal(jwks_unknown(jwks, "stranger", now + 29 * sec), JWKS_UNKNOWN);
	now += 30 * sec;
	assert_int_equal(jwks_unknown(jwks, "strange", now), JWKS_FETCH);

	// Garbage does not replace keys; after 24 h without an answer they are gone.
	jwks_started(jwks, now);
	assert_int_equal(jwks_fetched(jwks, "<html>", 6, now), -EINVAL);
	assert_int_equal(jwks_due_us(jwks), now + JWKS_RETRY_US);
	assert_int_equal(jwks_keys(jwks, good + JWKS_LIFE_US - 1)->count, 1);
	assert_int_equal(jwks_keys(jwks, good + JWKS_LIFE_US)->count, 0);

	// More strange names than are remembered.
	for (unsigned i = 0; i < 3 * JWKS_ABSENT_MAX; i++) {
		char kid[16];

		snprintf(kid, sizeof(kid), "n%u", i);
		jwks_absent(jwks, kid, now);
		assert_int_equal(jwks_unknown(jwks, kid, now), JWKS_ABSENT);
	}
	jwks_destroy(jwks);
	free(jwk);
	free(set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_valid),
		cmocka_unit_test(test_claims),
		cmocka_unit_test(test_unchecked),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_signatures),
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_base64url),
		cmocka_unit_test(test_key_sets),
		cmocka_unit_test(test_unusable_keys),
		cmocka_unit_test(test_many_keys),
		cmocka_unit_test(test_keeping),
	};

	return cmocka_run_group_tests(tests, make_world, end_world);
}
