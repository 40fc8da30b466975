// SPDX-License-Identifier: BSD-3-Clause
/* SFrame headers against the vectors of RFC 9605, appendix C, and the crypto of the test peers. */
#include "sfu-dp/proto/sframe.h"
#include "tests/support/sframe_crypto.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static size_t unhex(const char *hex, uint8_t *out)
{
	size_t n = 0;
	unsigned v;

	for (; sscanf(hex, "%2x", &v) == 1; hex += 2)
		out[n++] = (uint8_t)v;
	return n;
}

// clang-format off
/* RFC 9605 C.1: every width of KID and CTR, each at both of its ends. */
static const struct {
	uint64_t kid;
	uint64_t ctr;
	const char *hex;
} vectors[] = {
	{0, 0, "00"},
	{0, 1, "01"},
	{0, 0xff, "08ff"},
	{0, 0x100, "090100"},
	{0, 0xffff, "09ffff"},
	{0, 0x10000, "0a010000"},
	{0, 0xffffff, "0affffff"},
	{0, 0x1000000, "0b01000000"},
	{0, 0xffffffff, "0bffffffff"},
	{0, 0x100000000, "0c0100000000"},
	{0, 0xffffffffff, "0cffffffffff"},
	{0, 0x10000000000, "0d010000000000"},
	{0, 0xffffffffffff, "0dffffffffffff"},
	{0, 0x1000000000000, "0e01000000000000"},
	{0, 0xffffffffffffff, "0effffffffffffff"},
	{0, 0x100000000000000, "0f0100000000000000"},
	{0, 0xffffffffffffffff, "0fffffffffffffffff"},
	{1, 0, "10"},
	{1, 1, "11"},
	{1, 0xff, "18ff"},
	{1, 0xffffffffffffffff, "1fffffffffffffffff"},
	{0xff, 0, "80ff"},
	{0xff, 1, "81ff"},
	{0xff, 0xff, "88ffff"},
	{0xff, 0x100, "89ff0100"},
	{0xff, 0xffffffffffffffff, "8fffffffffffffffffff"},
	{0x100, 0, "900100"},
	{0x100, 0x100, "9901000100"},
	{0x100, 0xffffffff, "9b0100ffffffff"},
	{0xffff, 1, "91ffff"},
	{0xffff, 0x1000000000000, "9effff01000000000000"},
	{0x10000, 0, "a0010000"},
	{0x10000, 0x10000000000, "ad010000010000000000"},
	{0xffffff, 0xff, "a8ffffffff"},
	{0x1000000, 0xffffffffffff, "bd01000000ffffffffffff"},
	{0xffffffff, 0, "b0ffffffff"},
	{0x100000000, 0x100000000, "cc01000000000100000000"},
	{0xffffffffff, 0, "c0ffffffffff"},
};
// clang-format on

static void rfc9605_c1_headers(void **state)
{
	uint8_t want[SFRAME_HDR_MAX + 1], got[SFRAME_HDR_MAX];
	struct sframe_header h;

	(void)state;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		size_t n = unhex(vectors[i].hex, want);

		memset(got, 0xa5, sizeof(got));
		for (size_t cap = 0; cap < n; cap++) {
			assert_int_equal(sframe_encode(got, cap, vectors[i].kid, vectors[i].ctr),
				SFRAME_NO_ROOM);
			assert_int_equal(got[0], 0xa5);
		}
		assert_int_equal(sframe_encode(got, n, vectors[i].kid, vectors[i].ctr), n);
		assert_memory_equal(got, want, n);

		for (size_t len = 0; len < n; len++)
			assert_int_equal(sframe_parse(want, len, &h), SFRAME_SHORT);
		want[n] = 0xff; // what follows is not part of it
		assert_int_equal(sframe_parse(want, n + 1, &h), SFRAME_OK);
		assert_true(h.kid == vectors[i].kid && h.ctr == vectors[i].ctr);
		assert_int_equal(h.len, n);
	}
}

static void longer_forms_are_refused(void **state)
{
	static const char *const rows[] = {
		"0800",
		"0807", // fits the three bits
		"8000",
		"8007",
		"0900ff",
		"9000ff", // begins with a zero octet
		"0f00ffffffffffffff",
		"f000ffffffffffffff",
		"f00000000000000000",
		"980008ff",
	};
	struct sframe_header h = {1, 2, 3};
	uint8_t buf[32];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t n = unhex(rows[i], buf);

		assert_int_equal(sframe_parse(buf, n, &h), SFRAME_MALFORMED);
		assert_true(h.kid == 1 && h.ctr == 2 && h.len == 3);
	}
}

static void the_longest_header_has_17_octets(void **state)
{
	uint8_t buf[SFRAME_HDR_MAX];
	struct sframe_header h;

	(void)state;
	assert_int_equal(sframe_encode(buf, sizeof(buf), UINT64_MAX, UINT64_MAX), SFRAME_HDR_MAX);
	assert_int_equal(buf[0], 0xff);
	assert_int_equal(sframe_parse(buf, sizeof(buf), &h), SFRAME_OK);
	assert_int_equal(h.len, SFRAME_HDR_MAX);
	assert_true(h.kid == UINT64_MAX && h.ctr == UINT64_MAX);
}

/* 4.3 leaves one form to each pair of values; the first two octets decide most of it. */
static void every_start_parses_to_what_encodes_to_it(void **state)
{
	uint8_t buf[SFRAME_HDR_MAX], back[SFRAME_HDR_MAX];
	struct sframe_header h;
	unsigned ok = 0;

	(void)state;
	for (unsigned i = 0; i < 65536; i++) {
		memset(buf, 0x5a, sizeof(buf));
		buf[0] = (uint8_t)(i >> 8);
		buf[1] = (uint8_t)i;
		if (sframe_parse(buf, sizeof(buf), &h) != SFRAME_OK)
			continue;
		ok++;
		assert_int_equal(sframe_encode(back, sizeof(back), h.kid, h.ctr), h.len);
		assert_memory_equal(back, buf, h.len);
	}
	assert_true(ok > 60000);
}

static void reference_frames(void **state)
{
	uint8_t buf[64] = {0x03}, epoch = 0x55;

	(void)state;
	for (size_t len = 0; len < 17; len++)
		assert_int_equal(sframe_reference_parse(buf, len, &epoch), SFRAME_SHORT);
	assert_int_equal(epoch, 0x55);
	assert_int_equal(sframe_reference_parse(buf, 17, &epoch), SFRAME_OK);
	assert_int_equal(epoch, 3);
	buf[0] = 0x7f;
	assert_int_equal(sframe_reference_parse(buf, 64, &epoch), SFRAME_OK);
	assert_int_equal(epoch, 0x7f);
	buf[0] = 0x80;
	assert_int_equal(sframe_reference_parse(buf, 64, &epoch), SFRAME_MALFORMED);
	assert_int_equal(epoch, 0x7f);
}

/* RFC 9605 C.3, AES_128_GCM_SHA256_128 */
static void rfc9605_c3_aes_128_gcm(void **state)
{
	uint8_t base[16], metadata[32], frame[32], want[64], got[64], back[64];
	size_t metadata_len, len, want_len;
	struct sframe_crypto *c;
	uint64_t ctr = 0;

	(void)state;
	unhex("000102030405060708090a0b0c0d0e0f", base);
	metadata_len = unhex("4945544620534672616d65205747", metadata);
	len = unhex("64726166742d696574662d736672616d652d656e63", frame);
	want_len
		= unhex("9901234567b7412c2513a1b66dbb48841bbaf17f598751176ad847681a69c6d0b091c07018"
			"ce4adb34eb",
			want);
	c = sframe_crypto_create(base, sizeof(base), 0x123);
	assert_non_null(c);
	assert_int_equal(sframe_crypto_kid(c), 0x123);
	assert_int_equal(
		sframe_encrypt(c, 0x4567, metadata, metadata_len, frame, len, got, sizeof(got)),
		want_len);
	assert_memory_equal(got, want, want_len);
	assert_int_equal(
		sframe_decrypt(c, metadata, metadata_len, want, want_len, back, sizeof(back), &ctr),
		len);
	assert_memory_equal(back, frame, len);
	assert_int_equal(ctr, 0x4567);

	for (size_t i = 0; i < want_len; i++) {
		want[i] ^= 1;
		assert_int_equal(sframe_decrypt(c, metadata, metadata_len, want, want_len, back,
					 sizeof(back), NULL),
			-1);
		want[i] ^= 1;
	}
	for (size_t cut = 0; cut < want_len; cut++)
		assert_int_equal(sframe_decrypt(c, metadata, metadata_len, want, cut, back,
					 sizeof(back), NULL),
			-1);
	metadata[0] ^= 1;
	assert_int_equal(
		sframe_decrypt(c, metadata, metadata_len, want, want_len, back, sizeof(back), NULL),
		-1);
	assert_int_equal(sframe_encrypt(c, 1, NULL, 0, frame, len, got, len + 17), -1);
	sframe_crypto_destroy(c);
	sframe_crypto_destroy(NULL);
}

static void frames_of_every_length_come_back(void **state)
{
	static uint8_t frame[1400], sealed[1400 + SFRAME_CRYPTO_OVERHEAD], back[1400];
	struct sframe_crypto *c = sframe_crypto_create((const uint8_t *)"0123456789abcdef", 16, 9);
	uint64_t ctr;

	(void)state;
	for (size_t i = 0; i < sizeof(frame); i++)
		frame[i] = (uint8_t)(i * 3);
	for (size_t len = 0; len <= sizeof(frame); len += len < 40 ? 1 : 17) {
		int n = sframe_encrypt(c, len * 1000003, NULL, 0, frame, len, sealed,
			len + SFRAME_CRYPTO_OVERHEAD);

		assert_true(n >= (int)len + 17);
		assert_int_equal(
			sframe_decrypt(c, NULL, 0, sealed, (size_t)n, back, len, &ctr), len);
		assert_int_equal(ctr, len * 1000003);
		assert_memory_equal(back, frame, len);
	}
	sframe_crypto_destroy(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rfc9605_c1_headers),
		cmocka_unit_test(longer_forms_are_refused),
		cmocka_unit_test(the_longest_header_has_17_octets),
		cmocka_unit_test(every_start_parses_to_what_encodes_to_it),
		cmocka_unit_test(reference_frames),
		cmocka_unit_test(rfc9605_c3_aes_128_gcm),
		cmocka_unit_test(frames_of_every_length_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
