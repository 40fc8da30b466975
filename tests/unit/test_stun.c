// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/proto/stun.h"

#include "sfu-dp/proto/demux.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t pwd[] = "VOkJxbRl1RmTxUk/WvJxBt";
#define PWD_LEN (sizeof(pwd) - 1)

// RFC 5769, 2.1: request with username evtj:h6vY, padded with spaces.
static const uint8_t rfc5769_request[] = {0x00, 0x01, 0x00, 0x58, 0x21, 0x12, 0xa4, 0x42, 0xb7,
	0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae, 0x80, 0x22, 0x00, 0x10,
	0x53, 0x54, 0x55, 0x4e, 0x20, 0x74, 0x65, 0x73, 0x74, 0x20, 0x63, 0x6c, 0x69, 0x65, 0x6e,
	0x74, 0x00, 0x24, 0x00, 0x04, 0x6e, 0x00, 0x01, 0xff, 0x80, 0x29, 0x00, 0x08, 0x93, 0x2f,
	0xf9, 0xb1, 0x51, 0x26, 0x3b, 0x36, 0x00, 0x06, 0x00, 0x09, 0x65, 0x76, 0x74, 0x6a, 0x3a,
	0x68, 0x36, 0x76, 0x59, 0x20, 0x20, 0x20, 0x00, 0x08, 0x00, 0x14, 0x9a, 0xea, 0xa7, 0x0c,
	0xbf, 0xd8, 0xcb, 0x56, 0x78, 0x1e, 0xf2, 0xb5, 0xb2, 0xd3, 0xf2, 0x49, 0xc1, 0xb5, 0x71,
	0xa2, 0x80, 0x28, 0x00, 0x04, 0xe5, 0x7a, 0x3b, 0xcf};

// RFC 5769, 2.2: 192.0.2.1 port 32853.
static const uint8_t rfc5769_ipv4[] = {0x01, 0x01, 0x00, 0x3c, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7,
	0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae, 0x80, 0x22, 0x00, 0x0b, 0x74,
	0x65, 0x73, 0x74, 0x20, 0x76, 0x65, 0x63, 0x74, 0x6f, 0x72, 0x20, 0x00, 0x20, 0x00, 0x08,
	0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43, 0x00, 0x08, 0x00, 0x14, 0x2b, 0x91, 0xf5,
	0x99, 0xfd, 0x9e, 0x90, 0xc3, 0x8c, 0x74, 0x89, 0xf9, 0x2a, 0xf9, 0xba, 0x53, 0xf0, 0x6b,
	0xe7, 0xd7, 0x80, 0x28, 0x00, 0x04, 0xc0, 0x7d, 0x4c, 0x96};

// RFC 5769, 2.3: 2001:db8:1234:5678:11:2233:4455:6677 port 32853.
static const uint8_t rfc5769_ipv6[] = {0x01, 0x01, 0x00, 0x48, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7,
	0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae, 0x80, 0x22, 0x00, 0x0b, 0x74,
	0x65, 0x73, 0x74, 0x20, 0x76, 0x65, 0x63, 0x74, 0x6f, 0x72, 0x20, 0x00, 0x20, 0x00, 0x14,
	0x00, 0x02, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79, 0xbc, 0x25, 0xf4,
	0xb5, 0xbe, 0xd2, 0xb9, 0xd9, 0x00, 0x08, 0x00, 0x14, 0xa3, 0x82, 0x95, 0x4e, 0x4b, 0xe6,
	0x7b, 0xf1, 0x17, 0x84, 0xc9, 0x7c, 0x82, 0x92, 0xc2, 0x75, 0xbf, 0xe3, 0xed, 0x41, 0x80,
	0x28, 0x00, 0x04, 0xc8, 0xfb, 0x0b, 0x4c};

static const uint8_t *const txid = rfc5769_request + STUN_TXID_OFF;
static const struct stun_addr addr4 = {{192, 0, 2, 1}, 32853, 4};
static const struct stun_addr addr6 = {{0x20, 0x01, 0x0d, 0xb8, 0x12, 0x34, 0x56, 0x78, 0x00, 0x11,
					       0x22, 0x33, 0x44, 0x55, 0x66, 0x77},
	32853, 6};

static void hmac_sha1(void *ctx, const uint8_t *key, size_t key_len, const struct stun_bytes *parts,
	size_t part_count, uint8_t out[20])
{
	uint8_t message[2048];
	size_t len = 0;
	unsigned out_len = 20;

	(void)ctx;
	for (size_t i = 0; i < part_count; i++) {
		assert_true(len + parts[i].len <= sizeof(message));
		memcpy(message + len, parts[i].ptr, parts[i].len);
		len += parts[i].len;
	}
	assert_non_null(HMAC(EVP_sha1(), key, (int)key_len, message, len, out, &out_len));
}

static const struct stun_crypto crypto = {hmac_sha1, NULL};

// Parse from a buffer of exactly this size, so that a sanitizer sees any read past it.
static enum stun_status parse_exact(const uint8_t *buf, size_t len, struct stun_view *view)
{
	uint8_t *copy = malloc(len ? len : 1);
	enum stun_status status;

	assert_non_null(copy);
	memcpy(copy, buf, len);
	status = stun_parse(copy, len, view);
	free(copy);
	return status;
}

static void assert_span(const uint8_t *buf, struct stun_span span, const char *text)
{
	assert_int_equal(span.len, strlen(text));
	assert_true(span.off > 0);
	assert_memory_equal(buf + span.off, text, span.len);
}

static void test_rfc5769_request(void **state)
{
	struct stun_view v;

	(void)state;
	assert_int_equal(demux_kind(rfc5769_request, sizeof(rfc5769_request)), DEMUX_STUN);
	assert_int_equal(parse_exact(rfc5769_request, sizeof(rfc5769_request), &v), STUN_OK);
	assert_int_equal(v.class, STUN_REQUEST);
	assert_int_equal(v.method, STUN_METHOD_BINDING);
	assert_true(v.has_priority);
	assert_int_equal(v.priority, 0x6e0001ff);
	assert_int_equal(v.role, STUN_ROLE_CONTROLLED);
	assert_int_equal(v.tie_breaker, 0x932ff9b151263b36);
	assert_false(v.use_candidate);
	assert_span(rfc5769_request, v.username, "evtj:h6vY");
	assert_span(rfc5769_request, v.local_ufrag, "evtj");
	assert_span(rfc5769_request, v.remote_ufrag, "h6vY");
	assert_int_equal(v.unknown_required, 0);
	assert_int_equal(stun_verify(rfc5769_request, &v, pwd, PWD_LEN, &crypto), STUN_OK);
	assert_int_equal(
		stun_verify(rfc5769_request, &v, pwd, PWD_LEN - 1, &crypto), STUN_BAD_INTEGRITY);
}

static void test_rfc5769_responses(void **state)
{
	struct stun_view v;

	(void)state;
	assert_int_equal(parse_exact(rfc5769_ipv4, sizeof(rfc5769_ipv4), &v), STUN_OK);
	assert_int_equal(v.class, STUN_SUCCESS);
	assert_memory_equal(v.mapped.ip, addr4.ip, 16);
	assert_int_equal(v.mapped.port, addr4.port);
	assert_int_equal(v.mapped.version, 4);
	assert_int_equal(stun_verify(rfc5769_ipv4, &v, pwd, PWD_LEN, &crypto), STUN_OK);
	assert_int_equal(parse_exact(rfc5769_ipv6, sizeof(rfc5769_ipv6), &v), STUN_OK);
	assert_int_equal(v.class, STUN_SUCCESS);
	assert_memory_equal(v.mapped.ip, addr6.ip, 16);
	assert_int_equal(v.mapped.port, addr6.port);
	assert_int_equal(stun_verify(rfc5769_ipv6, &v, pwd, PWD_LEN, &crypto), STUN_OK);
}

// A message of the crafted attributes alone; returns its length.
static size_t craft(uint8_t *out, const uint8_t *attrs, size_t len)
{
	memcpy(out, rfc5769_request, STUN_HEADER_LEN);
	out[2] = (uint8_t)(len >> 8);
	out[3] = (uint8_t)len;
	if (len)
		memcpy(out + STUN_HEADER_LEN, attrs, len);
	return STUN_HEADER_LEN + len;
}

static void test_every_prefix_is_refused(void **state)
{
	static const struct {
		const uint8_t *buf;
		size_t len;
	} messages[] = {{rfc5769_request, sizeof(rfc5769_request)},
		{rfc5769_ipv4, sizeof(rfc5769_ipv4)}, {rfc5769_ipv6, sizeof(rfc5769_ipv6)}};

	(void)state;
	for (size_t m = 0; m < sizeof(messages) / sizeof(messages[0]); m++) {
		for (size_t len = 0; len < messages[m].len; len++) {
			struct stun_view v;
			uint8_t buf[256];
			size_t body = len < STUN_HEADER_LEN ? 0 : len - STUN_HEADER_LEN;
			enum stun_status status;

			assert_int_equal(parse_exact(messages[m].buf, len, &v), STUN_SHORT);
			// The same with a length field that agrees: cut attributes.
			if (len < STUN_HEADER_LEN || body % 4)
				continue;
			craft(buf, messages[m].buf + STUN_HEADER_LEN, body);
			memcpy(buf, messages[m].buf, 2);
			status = parse_exact(buf, len, &v);
			assert_true(status == STUN_OK || status == STUN_MALFORMED);
			// Without FINGERPRINT a message is whole; anything shorter lost its signature.
			if (status == STUN_OK)
				assert_int_equal(stun_verify(buf, &v, pwd, PWD_LEN, &crypto),
					len == messages[m].len - 8 ? STUN_OK : STUN_NO_INTEGRITY);
		}
	}
}

static void test_every_flipped_bit_is_refused(void **state)
{
	(void)state;
	for (size_t bit = 0; bit < sizeof(rfc5769_request) * 8; bit++) {
		uint8_t buf[sizeof(rfc5769_request)];
		struct stun_view v;

		memcpy(buf, rfc5769_request, sizeof(buf));
		buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (parse_exact(buf, sizeof(buf), &v) != STUN_OK)
			continue;
		// Only the head of the last attribute may differ: it is then an unknown attribute
		// behind the signature.
		if (bit / 8 >= sizeof(buf) - 8 && bit / 8 < sizeof(buf) - 6)
			continue;
		assert_int_not_equal(stun_verify(buf, &v, pwd, PWD_LEN, &crypto), STUN_OK);
	}
}

static void test_signature_alone_refuses_every_flipped_bit(void **state)
{
	// Without FINGERPRINT, so that no CRC stands in front of the comparison.
	const size_t len = sizeof(rfc5769_request) - 8;
	uint8_t buf[sizeof(rfc5769_request)];
	struct stun_view v;

	(void)state;
	memcpy(buf, rfc5769_request, len);
	buf[3] -= 8;
	assert_int_equal(parse_exact(buf, len, &v), STUN_OK);
	assert_int_equal(stun_verify(buf, &v, pwd, PWD_LEN, &crypto), STUN_OK);
	for (size_t bit = 0; bit < len * 8; bit++) {
		buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (parse_exact(buf, len, &v) == STUN_OK)
			assert_int_not_equal(stun_verify(buf, &v, pwd, PWD_LEN, &crypto), STUN_OK);
		buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void test_headers(void **state)
{
	static const struct {
		const char *what;
		size_t at;
		uint8_t value;
		enum stun_status status;
	} rows[] = {
		{"first two bits set", 0, 0x40, STUN_NOT_STUN},
		{"wrong cookie", 4, 0x22, STUN_NOT_STUN},
		{"length not a multiple of 4", 3, 0x59, STUN_NOT_STUN},
		{"length beyond the datagram", 3, 0x5c, STUN_SHORT},
		{"octets left over", 3, 0x54, STUN_MALFORMED},
		{"other method parses", 1, 0x02, STUN_OK},
		{"indication parses", 1, 0x11, STUN_OK},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t buf[sizeof(rfc5769_request)];
		struct stun_view v;

		memcpy(buf, rfc5769_request, sizeof(buf));
		buf[rows[i].at] = rows[i].value;
		if (parse_exact(buf, sizeof(buf), &v) != rows[i].status)
			fail_msg("%s", rows[i].what);
	}
	uint8_t buf[sizeof(rfc5769_request)];
	struct stun_view v;

	memcpy(buf, rfc5769_request, sizeof(buf));
	buf[0] = 0x3e;
	buf[1] = 0xef;
	assert_int_equal(parse_exact(buf, sizeof(buf), &v), STUN_OK);
	assert_int_equal(v.method, 0xfff);
	assert_int_equal(v.class, STUN_REQUEST);
	buf[0] = 0x01;
	buf[1] = 0x11;
	assert_int_equal(parse_exact(buf, sizeof(buf), &v), STUN_OK);
	assert_int_equal(v.method, STUN_METHOD_BINDING);
	assert_int_equal(v.class, STUN_ERROR);
}

static void test_attributes(void **state)
{
	static const struct {
		const char *what;
		uint8_t attrs[40];
		size_t len;
		enum stun_status status;
	} rows[] = {
		{"no attributes", {0}, 0, STUN_OK},
		{"attribute longer than the message", {0, 6, 0, 9, 'a', ':', 'b', 0}, 8,
			STUN_MALFORMED},
		{"attribute of length 0xffff", {0, 6, 0xff, 0xff, 0, 0, 0, 0}, 8, STUN_MALFORMED},
		{"empty username", {0, 6, 0, 0}, 4, STUN_OK},
		{"priority of 3", {0, 0x24, 0, 3, 1, 2, 3, 0}, 8, STUN_MALFORMED},
		{"priority of 8", {0, 0x24, 0, 8, 1, 2, 3, 0, 1, 2, 3, 4}, 12, STUN_MALFORMED},
		{"role of 4", {0x80, 0x2a, 0, 4, 1, 2, 3, 4}, 8, STUN_MALFORMED},
		{"use-candidate with a value", {0, 0x25, 0, 4, 1, 2, 3, 4}, 8, STUN_MALFORMED},
		{"nomination of 2", {0xc0, 0x01, 0, 2, 1, 2, 0, 0}, 8, STUN_MALFORMED},
		{"integrity of 16", {0, 8, 0, 16}, 20, STUN_MALFORMED},
		{"integrity of 32", {0, 8, 0, 32}, 36, STUN_MALFORMED},
		{"fingerprint of 0", {0x80, 0x28, 0, 0}, 4, STUN_MALFORMED},
		{"fingerprint not last", {0x80, 0x28, 0, 4, 0, 0, 0, 0, 0x80, 0x22, 0, 0}, 12,
			STUN_MALFORMED},
		{"error code of 2", {0, 9, 0, 2, 0, 0, 0, 0}, 8, STUN_MALFORMED},
		{"error code class 7", {0, 9, 0, 4, 0, 0, 7, 0}, 8, STUN_MALFORMED},
		{"error code number 100", {0, 9, 0, 4, 0, 0, 4, 100}, 8, STUN_MALFORMED},
		{"address of family 3", {0, 0x20, 0, 8, 0, 3, 0, 0, 0, 0, 0, 0}, 12,
			STUN_MALFORMED},
		{"IPv6 address of 4", {0, 0x20, 0, 8, 0, 2, 0, 0, 0, 0, 0, 0}, 12, STUN_MALFORMED},
		{"empty address", {0, 0x20, 0, 0}, 4, STUN_MALFORMED},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t buf[64];
		struct stun_view v;
		size_t len = craft(buf, rows[i].attrs, rows[i].len);

		if (parse_exact(buf, len, &v) != rows[i].status)
			fail_msg("%s", rows[i].what);
	}
}

static void test_first_of_repeated_attributes_counts(void **state)
{
	static const uint8_t attrs[] = {0, 6, 0, 3, 'a', ':', 'b', 0, 0, 6, 0, 3, 'c', ':', 'd', 0,
		0, 0x24, 0, 4, 0, 0, 0, 1, 0, 0x24, 0, 4, 0, 0, 0, 2, 0x80, 0x2a, 0, 8, 0, 0, 0, 0,
		0, 0, 0, 3, 0x80, 0x29, 0, 8, 0, 0, 0, 0, 0, 0, 0, 4, 0xc0, 1, 0, 4, 0, 0, 0, 5,
		0xc0, 1, 0, 4, 0, 0, 0, 6, 0, 0x77, 0, 0, 0, 0x78, 0, 1, 9, 0, 0, 0};
	uint8_t buf[128];
	struct stun_view v;
	size_t len = craft(buf, attrs, sizeof(attrs));

	(void)state;
	assert_int_equal(parse_exact(buf, len, &v), STUN_OK);
	assert_span(buf, v.username, "a:b");
	assert_int_equal(v.priority, 1);
	assert_int_equal(v.role, STUN_ROLE_CONTROLLING);
	assert_int_equal(v.tie_breaker, 3);
	assert_true(v.has_nomination);
	assert_int_equal(v.nomination, 5);
	assert_int_equal(v.unknown_required, 2);
	assert_int_equal(stun_verify(buf, &v, pwd, PWD_LEN, &crypto), STUN_NO_INTEGRITY);
}

static void test_username_forms(void **state)
{
	static const struct {
		const char *username, *local, *remote;
	} rows[] = {{"ab:cd", "ab", "cd"}, {"ab:cd:ef", "ab", "cd:ef"}, {":cd", "", "cd"},
		{"ab:", "ab", ""}, {":", "", ""}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct stun_request r = {.txid = txid,
			.username = (const uint8_t *)rows[i].username,
			.username_len = strlen(rows[i].username)};
		uint8_t buf[128];
		struct stun_view v;
		size_t len = stun_encode_request(buf, sizeof(buf), &r, pwd, PWD_LEN, &crypto);

		assert_int_equal(parse_exact(buf, len, &v), STUN_OK);
		assert_span(buf, v.local_ufrag, rows[i].local);
		assert_span(buf, v.remote_ufrag, rows[i].remote);
	}
	struct stun_request r
		= {.txid = txid, .username = (const uint8_t *)"abcd", .username_len = 4};
	uint8_t buf[1024], name[STUN_USERNAME_MAX + 1];
	struct stun_view v;
	size_t len = stun_encode_request(buf, sizeof(buf), &r, pwd, PWD_LEN, &crypto);

	assert_int_equal(parse_exact(buf, len, &v), STUN_OK);
	assert_int_equal(v.local_ufrag.off, 0);
	memset(name, 'a', sizeof(name));
	r.username = name;
	r.username_len = STUN_USERNAME_MAX;
	len = stun_encode_request(buf, sizeof(buf), &r, pwd, PWD_LEN, &crypto);
	assert_int_equal(parse_exact(buf, len, &v), STUN_OK);
	r.username_len++;
	assert_int_equal(stun_encode_request(buf, sizeof(buf), &r, pwd, PWD_LEN, &crypto), 0);
	// 508 and 509 octets, crafted: each whole with its padding.
	uint8_t attr[4 + STUN_USERNAME_MAX + 4]
		= {0, 6, STUN_USERNAME_MAX >> 8, STUN_USERNAME_MAX & 0xff};

	len = craft(buf, attr, 4 + STUN_USERNAME_MAX);
	assert_int_equal(parse_exact(buf, len, &v), STUN_OK);
	attr[3]++;
	len = craft(buf, attr, sizeof(attr));
	assert_int_equal(parse_exact(buf, len, &v), STUN_MALFORMED);
}

static void test_request_round_trip(void **state)
{
	struct stun_request r = {.txid = txid,
		.username = (const uint8_t *)"local:remote",
		.username_len = 12,
		.tie_breaker = 0x0123456789abcdef,
		.priority = 0x7effffff,
		.nomination = 7,
		.role = STUN_ROLE_CONTROLLING,
		.use_candidate = true,
		.has_nomination = true};
	uint8_t buf[256];
	struct stun_view v;
	size_t len = stun_encode_request(buf, sizeof(buf), &r, pwd, PWD_LEN, &crypto);

	(void)state;
	assert_true(len > 0);
	assert_int_equal(parse_exact(buf, len, &v), STUN_OK);
	assert_int_equal(v.class, STUN_REQUEST);
	assert_int_equal(v.len, len);
	assert_span(buf, v.username, "local:remote");
	assert_int_equal(v.role, STUN_ROLE_CONTROLLING);
	assert_int_equal(v.tie_breaker, r.tie_breaker);
	assert_int_equal(v.priority, r.priority);
	assert_true(v.use_candidate);
	assert_true(v.has_nomination);
	assert_int_equal(v.nomination, 7);
	assert_int_equal(v.fingerprint_off, len - 8);
	assert_int_equal(stun_verify(buf, &v, pwd, PWD_LEN, &crypto), STUN_OK);
	for (size_t cap = 0; cap < len; cap++) {
		uint8_t *small = malloc(cap + 1);

		assert_non_null(small);
		small[cap] = 0xa5;
		assert_int_equal(stun_encode_request(small, cap, &r, pwd, PWD_LEN, &crypto), 0);
		assert_int_equal(small[cap], 0xa5);
		free(small);
	}
}

static void test_attributes_behind_integrity_are_ignored(void **state)
{
	static const uint8_t tail[] = {0, 0x25, 0, 0, 0xc0, 1, 0, 4, 0, 0, 0, 9, 0, 0x77, 0, 0};
	struct stun_request r
		= {.txid = txid, .username = (const uint8_t *)"a:b", .username_len = 3};
	uint8_t buf[256];
	struct stun_view v;
	size_t len = stun_encode_request(buf, sizeof(buf), &r, pwd, PWD_LEN, &crypto);
	size_t end = len - 8;

	(void)state;
	// In front of the fingerprint, which then has to be made anew.
	memcpy(buf + end, tail, sizeof(tail));
	end += sizeof(tail);
	buf[3] = (uint8_t)(end + 8 - STUN_HEADER_LEN);
	uint32_t crc = stun_crc32(0, buf, end) ^ 0x5354554e;
	const uint8_t fingerprint[] = {0x80, 0x28, 0, 4, (uint8_t)(crc >> 24), (uint8_t)(crc >> 16),
		(uint8_t)(crc >> 8), (uint8_t)crc};

	memcpy(buf + end, fingerprint, sizeof(fingerprint));
	assert_int_equal(parse_exact(buf, end + 8, &v), STUN_OK);
	assert_int_equal(stun_verify(buf, &v, pwd, PWD_LEN, &crypto), STUN_OK);
	assert_false(v.use_candidate);
	assert_false(v.has_nomination);
	assert_int_equal(v.unknown_required, 0);
	buf[end + 7] ^= 1;
	assert_int_equal(stun_verify(buf, &v, pwd, PWD_LEN, &crypto), STUN_BAD_FINGERPRINT);
}

static void test_answers(void **state)
{
	uint8_t buf[STUN_RESPONSE_MAX];
	struct stun_view v;
	size_t len;

	(void)state;
	len = stun_encode_success(buf, sizeof(buf), txid, &addr4, pwd, PWD_LEN, &crypto);
	assert_int_equal(len, 64);
	assert_int_equal(parse_exact(buf, len, &v), STUN_OK);
	assert_int_equal(v.class, STUN_SUCCESS);
	assert_memory_equal(buf + STUN_TXID_OFF, txid, STUN_TXID_LEN);
	assert_memory_equal(v.mapped.ip, addr4.ip, 16);
	assert_int_equal(v.mapped.port, addr4.port);
	assert_int_equal(v.mapped.version, 4);
	assert_int_equal(stun_verify(buf, &v, pwd, PWD_LEN, &crypto), STUN_OK);
	// The attribute must be the one that RFC 5769, 2.2 shows for the same address.
	assert_memory_equal(buf + STUN_HEADER_LEN, rfc5769_ipv4 + 36, 12);

	len = stun_encode_success(buf, sizeof(buf), txid, &addr6, pwd, PWD_LEN, &crypto);
	assert_int_equal(len, 76);
	assert_int_equal(parse_exact(buf, len, &v), STUN_OK);
	assert_memory_equal(v.mapped.ip, addr6.ip, 16);
	assert_int_equal(stun_verify(buf, &v, pwd, PWD_LEN, &crypto), STUN_OK);
	assert_memory_equal(buf + STUN_HEADER_LEN, rfc5769_ipv6 + 36, 24);

	len = stun_encode_error(
		buf, sizeof(buf), txid, STUN_ERROR_ROLE_CONFLICT, pwd, PWD_LEN, &crypto);
	assert_int_equal(len, 60);
	assert_int_equal(parse_exact(buf, len, &v), STUN_OK);
	assert_int_equal(v.class, STUN_ERROR);
	assert_int_equal(v.error_code, 487);
	assert_int_equal(stun_verify(buf, &v, pwd, PWD_LEN, &crypto), STUN_OK);

	assert_int_equal(stun_encode_error(buf, sizeof(buf), txid, 200, pwd, PWD_LEN, &crypto), 0);
	assert_int_equal(stun_encode_error(buf, sizeof(buf), txid, 700, pwd, PWD_LEN, &crypto), 0);
	const struct stun_addr none = {0};

	assert_int_equal(
		stun_encode_success(buf, sizeof(buf), txid, &none, pwd, PWD_LEN, &crypto), 0);
	for (size_t cap = 0; cap < 76; cap++) {
		uint8_t small[STUN_RESPONSE_MAX + 1];

		memset(small, 0xa5, sizeof(small));
		assert_int_equal(
			stun_encode_success(small, cap, txid, &addr6, pwd, PWD_LEN, &crypto), 0);
		assert_int_equal(small[cap], 0xa5);
	}
}

static void test_crc32_check_value(void **state)
{
	(void)state;
	assert_int_equal(stun_crc32(0, (const uint8_t *)"123456789", 9), 0xcbf43926);
	assert_int_equal(
		stun_crc32(stun_crc32(0, (const uint8_t *)"1234", 4), (const uint8_t *)"56789", 5),
		0xcbf43926);
}

static void test_demux(void **state)
{
	static const struct {
		uint8_t b0, b1;
		size_t len;
		enum demux_kind kind;
	} rows[] = {
		{0x80, 100, 12, DEMUX_RTP},
		{0x80, 228, 12, DEMUX_RTP},
		{0xbf, 191, 12, DEMUX_RTP},
		{0x80, 224, 12, DEMUX_RTP},
		{0x80, 100, 11, DEMUX_UNKNOWN},
		{0x80, 192, 8, DEMUX_RTCP},
		{0x81, 200, 8, DEMUX_RTCP},
		{0x8f, 223, 8, DEMUX_RTCP},
		{0x80, 200, 7, DEMUX_UNKNOWN},
		{0, 1, 20, DEMUX_STUN},
		{3, 1, 20, DEMUX_STUN},
		{4, 1, 20, DEMUX_UNKNOWN},
		{0, 1, 19, DEMUX_UNKNOWN},
		{19, 0, 20, DEMUX_UNKNOWN},
		{20, 0xfe, 13, DEMUX_DTLS},
		{63, 0xfe, 13, DEMUX_DTLS},
		{22, 0xfe, 12, DEMUX_UNKNOWN},
		{64, 0, 20, DEMUX_UNKNOWN},
		{127, 0, 20, DEMUX_UNKNOWN},
		{192, 0, 20, DEMUX_UNKNOWN},
		{0, 0, 0, DEMUX_UNKNOWN},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t buf[20] = {rows[i].b0, rows[i].b1};

		if (demux_kind(buf, rows[i].len) != rows[i].kind)
			fail_msg("row %zu", i);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rfc5769_request),
		cmocka_unit_test(test_rfc5769_responses),
		cmocka_unit_test(test_every_prefix_is_refused),
		cmocka_unit_test(test_every_flipped_bit_is_refused),
		cmocka_unit_test(test_signature_alone_refuses_every_flipped_bit),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_attributes),
		cmocka_unit_test(test_first_of_repeated_attributes_counts),
		cmocka_unit_test(test_username_forms),
		cmocka_unit_test(test_request_round_trip),
		cmocka_unit_test(test_attributes_behind_integrity_are_ignored),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_crc32_check_value),
		cmocka_unit_test(test_demux),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
