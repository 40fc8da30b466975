// SPDX-License-Identifier: BSD-3-Clause
/* The SRTP core: key derivation, vectors of its IVs, index, rollover, replay, layout. */
#include "sfu-dp/proto/srtp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>

static size_t unhex(const char *hex, uint8_t *out)
{
	size_t n = 0;
	unsigned v;

	for (; sscanf(hex, "%2x", &v) == 1; hex += 2)
		out[n++] = (uint8_t)v;
	return n;
}

static void assert_hex(const uint8_t *got, const char *hex)
{
	uint8_t want[128];

	assert_memory_equal(got, want, unhex(hex, want));
}

/* arg: call that is to fail, counted down; NULL for none */
static enum srtp_status prf(void *arg, const uint8_t *key, size_t key_len, const uint8_t iv[16],
	uint8_t *out, size_t out_len)
{
	const EVP_CIPHER *type = key_len == 32 ? EVP_aes_256_ctr() : EVP_aes_128_ctr();
	EVP_CIPHER_CTX *ctx;
	int *fail_at = arg;
	int len;

	if (fail_at && (*fail_at)-- == 0)
		return SRTP_ENGINE;
	ctx = EVP_CIPHER_CTX_new();
	memset(out, 0, out_len);
	assert_int_equal(EVP_EncryptInit_ex(ctx, type, NULL, key, iv), 1);
	assert_int_equal(EVP_EncryptUpdate(ctx, out, &len, out, (int)out_len), 1);
	EVP_CIPHER_CTX_free(ctx);
	return SRTP_OK;
}

static void profiles_have_the_numbers_and_lengths_of_the_registry(void **state)
{
	const struct srtp_profile *p;

	(void)state;
	assert_int_equal(srtp_profile_at(0)->id, 7);
	assert_int_equal(srtp_profile_at(1)->id, 8);
	assert_int_equal(srtp_profile_at(2)->id, 1);
	assert_null(srtp_profile_at(3));
	assert_null(srtp_profile_find(0));
	assert_null(srtp_profile_find(2)); // the 32 bit tag is never offered
	assert_null(srtp_profile_find(5)); // nor is NULL encryption
	p = srtp_profile_find(1);
	assert_string_equal(p->name, "SRTP_AES128_CM_SHA1_80");
	assert_int_equal(p->key_len + p->salt_len, 30);
	assert_int_equal(p->tag_len, 10);
	p = srtp_profile_find(8);
	assert_int_equal(p->key_len + p->salt_len, 44);
	assert_int_equal(p->tag_len, 16);
}

static void rfc3711_b3_key_derivation(void **state)
{
	struct srtp_keys rtp, rtcp;
	uint8_t key[16], salt[14];

	(void)state;
	unhex("e1f97a0d3e018be0d64fa32c06de4139", key);
	unhex("0ec675ad498afeebb6960b3aabe6", salt);
	assert_int_equal(
		srtp_keys_derive(srtp_profile_find(1), key, salt, prf, NULL, &rtp, &rtcp), SRTP_OK);
	assert_hex(rtp.key, "c61e7a93744f39ee10734afe3ff7a087");
	assert_hex(rtp.salt, "30cbbc08863d8c85d49db34a9ae1");
	assert_hex(rtp.auth, "cebe321f6ff7716b6fd4ab49af256a156d38baa4");
	// SRTCP has keys of its own.
	assert_memory_not_equal(rtp.key, rtcp.key, 16);
	assert_memory_not_equal(rtp.salt, rtcp.salt, 14);
	assert_memory_not_equal(rtp.auth, rtcp.auth, 20);
}

static void a_failing_prf_leaves_no_key_behind(void **state)
{
	static const struct srtp_keys zero;
	struct srtp_keys rtp, rtcp;
	uint8_t key[32] = {1}, salt[14] = {2};

	(void)state;
	for (int at = 0; at < 6; at++) {
		int fail_at = at;

		assert_int_equal(srtp_keys_derive(srtp_profile_find(1), key, salt, prf, &fail_at,
					 &rtp, &rtcp),
			SRTP_ENGINE);
		assert_memory_equal(&rtp, &zero, sizeof(zero));
		assert_memory_equal(&rtcp, &zero, sizeof(zero));
	}
}

static void iv_vectors(void **state)
{
	uint8_t salt[14], iv[16], word[4];

	(void)state;
	// RFC 3711 B.2
	unhex("f0f1f2f3f4f5f6f7f8f9fafbfcfd", salt);
	srtp_iv_cm(salt, 0, 0, iv);
	assert_hex(iv, "f0f1f2f3f4f5f6f7f8f9fafbfcfd0000");
	// Each field alone, against 4.1.1: salt << 16 ^ ssrc << 64 ^ index << 16
	memset(salt, 0, sizeof(salt));
	srtp_iv_cm(salt, 0xdecafbad, 0x123456789abc, iv);
	assert_hex(iv, "00000000decafbad123456789abc0000");
	// RFC 7714 16 and 17
	unhex("517569642070726f2071756f", salt);
	srtp_iv_gcm(salt, 0x5501a0b2, 0xf17b, iv);
	assert_hex(iv, "51753c6580c2726f20718414");
	srtcp_iv_gcm(salt, 0x4d617273, 0x5d4, iv);
	assert_hex(iv, "517524055203726f207170bb");
	srtcp_word(0x5d4, word);
	assert_hex(word, "800005d4");
	srtp_roc_be(UINT64_C(0x123456789abc), word);
	assert_hex(word, "12345678");
}

static void rx(struct srtp_rx_stream *s, uint16_t seq, int status, uint64_t want)
{
	uint64_t index = UINT64_MAX;
	enum srtp_status st = srtp_rx_check(s, seq, &index);

	assert_int_equal(st, status);
	if (st == SRTP_OK) {
		assert_int_equal(index, want);
		srtp_rx_commit(s, index);
	} else {
		assert_int_equal(index, UINT64_MAX);
	}
}

static void rollover_is_followed_in_any_order(void **state)
{
	struct srtp_rx_stream s = {0};

	(void)state;
	rx(&s, 65533, SRTP_OK, 65533);
	rx(&s, 65535, SRTP_OK, 65535);
	rx(&s, 1, SRTP_OK, 65537);
	rx(&s, 65534, SRTP_OK, 65534); // late, from before the edge
	rx(&s, 0, SRTP_OK, 65536);
	rx(&s, 65534, SRTP_REPLAY, 0);
	rx(&s, 0, SRTP_REPLAY, 0);
	rx(&s, 1, SRTP_REPLAY, 0);
	rx(&s, 32769, SRTP_OK, 65536 + 32769); // half a round ahead is still ahead
	rx(&s, 65535, SRTP_OK, 131071);
	rx(&s, 0, SRTP_OK, 131072);
	rx(&s, 65535, SRTP_REPLAY, 0);
}

static void the_first_packet_fixes_rollover_zero(void **state)
{
	struct srtp_rx_stream s = {0};

	(void)state;
	rx(&s, 0, SRTP_OK, 0);
	rx(&s, 0, SRTP_REPLAY, 0);
	// There is no rollover before 0: 65535 is ahead.
	rx(&s, 65535, SRTP_OK, 65535);
	memset(&s, 0, sizeof(s));
	rx(&s, 60000, SRTP_OK, 60000);
	rx(&s, 59999, SRTP_OK, 59999);
	rx(&s, 60000 - SRTP_WINDOW, SRTP_OLD, 0);
	rx(&s, 60000 - SRTP_WINDOW + 1, SRTP_OK, 60000 - SRTP_WINDOW + 1);
}

/* RFC 3711 appendix A: at a distance of exactly 2^15 the rollover stays what it is. */
static void half_a_round_belongs_to_this_rollover(void **state)
{
	static const struct {
		uint64_t highest;
		uint16_t seq;
		uint64_t index;
	} rows[] = {
		{40000, 40000 - 32768, 40000 - 32768},
		{40000, 40000 - 32769, 65536 + 40000 - 32769},
		{65536 + 100, 100 + 32768, 65536 + 100 + 32768},
		{65536 + 100, 100 + 32769, 100 + 32769},
		{65536 + 32768, 0, 65536},
		{65536 + 32767, 65535, 65536 + 65535},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct srtp_tx_stream s = {rows[i].highest};
		uint64_t index;

		assert_int_equal(srtp_tx_index(&s, rows[i].seq, &index), SRTP_OK);
		assert_int_equal(index, rows[i].index);
	}
}

static void no_index_follows_the_last_one(void **state)
{
	struct srtp_rx_stream s = {.highest = SRTP_INDEX_MAX - 1};
	struct srtp_tx_stream t = {.index = SRTP_INDEX_MAX - 1}, before;
	struct srtcp_tx_stream c = {.next = SRTCP_INDEX_MAX};
	uint64_t index = 5;
	uint32_t index32 = 5;

	(void)state;
	rx(&s, 65535, SRTP_OK, SRTP_INDEX_MAX);
	rx(&s, 0, SRTP_EXHAUSTED, 0);
	assert_int_equal(srtp_tx_index(&t, 65535, &index), SRTP_OK);
	assert_int_equal(index, SRTP_INDEX_MAX);
	before = t;
	assert_int_equal(srtp_tx_index(&t, 0, &index), SRTP_EXHAUSTED);
	assert_memory_equal(&t, &before, sizeof(t));
	assert_int_equal(srtcp_tx_index(&c, &index32), SRTP_OK);
	assert_int_equal(index32, SRTCP_INDEX_MAX);
	assert_int_equal(srtcp_tx_index(&c, &index32), SRTP_EXHAUSTED);
	assert_int_equal(srtcp_tx_index(&c, &index32), SRTP_EXHAUSTED);
}

/* A window as its definition reads: a list of every index that was accepted. */
#define MODEL_MAX (1 << 22)

static enum srtp_status model_check(const uint8_t *seen, uint64_t highest, uint64_t i, unsigned w)
{
	if (i + w <= highest)
		return SRTP_OLD;
	return seen[i] ? SRTP_REPLAY : SRTP_OK;
}

static uint32_t xorshift(uint32_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 17;
	*s ^= *s << 5;
	return *s;
}

static void windows_equal_their_definition(void **state)
{
	struct srtcp_rx_stream c = {0};
	struct srtp_rx_stream s = {0};
	uint8_t *seen = calloc(1, MODEL_MAX);
	uint8_t *seen_c = calloc(1, MODEL_MAX);
	uint64_t highest = 0, highest_c = 0;
	uint32_t rnd = 2463534242u;
	unsigned outcome[2][3] = {{0}};

	(void)state;
	for (int i = 0; i < 200000 && highest < MODEL_MAX - 40000; i++) {
		uint32_t r = xorshift(&rnd);
		// mostly near, now and then a jump as large as the window, rarely a huge one
		uint64_t ahead = r % 100 == 0 ? 3000 : r % 10 == 0 ? 1100 : 12;
		uint64_t at = highest + (r >> 8) % ahead, index;
		uint64_t back = r % 7 == 0 ? 1100 : 20;
		enum srtp_status want, got;

		at -= at < back ? at : (r >> 4) % back;
		want = model_check(seen, highest, at, SRTP_WINDOW);
		got = srtp_rx_check(&s, (uint16_t)at, &index);
		assert_int_equal(got, want);
		outcome[0][want == SRTP_OK ? 0 : want == SRTP_REPLAY ? 1 : 2]++;
		if (got == SRTP_OK) {
			assert_int_equal(index, at);
			srtp_rx_commit(&s, index);
			seen[at] = 1;
			highest = at > highest ? at : highest;
			assert_int_equal(s.highest, highest);
		}

		at = highest_c + (r >> 8) % (ahead / 6);
		at -= at < back ? at : (r >> 4) % (back / 5);
		if (at >= MODEL_MAX)
			continue;
		want = model_check(seen_c, highest_c, at, SRTCP_WINDOW);
		got = srtcp_rx_check(&c, (uint32_t)at);
		assert_int_equal(got, want);
		outcome[1][want == SRTP_OK ? 0 : want == SRTP_REPLAY ? 1 : 2]++;
		if (got == SRTP_OK) {
			srtcp_rx_commit(&c, (uint32_t)at);
			seen_c[at] = 1;
			highest_c = at > highest_c ? at : highest_c;
		}
	}
	free(seen);
	free(seen_c);
	for (int i = 0; i < 2; i++) {
		for (int j = 0; j < 3; j++)
			assert_true(outcome[i][j] > 300);
	}
}

static void sending_gives_late_numbers_their_rollover(void **state)
{
	static const struct {
		uint16_t seq;
		uint64_t index;
	} rows[] = {{65530, 65530}, {65535, 65535}, {1, 65537}, {65534, 65534}, {0, 65536},
		{30000, 95536}, {60000, 125536}, {5, 131077}, {65535, 131071}};
	struct srtp_tx_stream s = {0};
	struct srtcp_tx_stream c = {0};
	uint64_t index, highest = 0;
	uint32_t index32;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(srtp_tx_index(&s, rows[i].seq, &index), SRTP_OK);
		assert_int_equal(index, rows[i].index);
		highest = index > highest ? index : highest;
		assert_int_equal(s.index, highest);
	}
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(srtcp_tx_index(&c, &index32), SRTP_OK);
		assert_int_equal(index32, i);
	}
}

static void srtcp_layouts(void **state)
{
	const struct srtp_profile *cm = srtp_profile_find(1), *gcm = srtp_profile_find(7);
	struct srtcp_view v;
	uint8_t buf[64];

	(void)state;
	memset(buf, 0xff, sizeof(buf));
	unhex("81c8000d4d617273", buf);
	for (size_t len = 0; len < 22; len++)
		assert_int_equal(srtcp_parse(cm, buf, len, &v), SRTP_SHORT);
	for (size_t len = 0; len < 28; len++)
		assert_int_equal(srtcp_parse(gcm, buf, len, &v), SRTP_SHORT);
	unhex("800005d4", buf + 8);
	assert_int_equal(srtcp_parse(cm, buf, 22, &v), SRTP_OK);
	assert_int_equal(v.ssrc, 0x4d617273);
	assert_int_equal(v.index, 0x5d4);
	assert_int_equal(v.enc_len, 0);
	assert_int_equal(v.word_off, 8);
	assert_int_equal(v.tag_off, 12);
	unhex("80000001", buf + 20);
	assert_int_equal(srtcp_parse(cm, buf, 34, &v), SRTP_OK);
	assert_int_equal(v.enc_len, 12);
	assert_int_equal(v.word_off, 20);
	assert_int_equal(v.tag_off, 24);
	unhex("ffffffff", buf + 36);
	assert_int_equal(srtcp_parse(gcm, buf, 40, &v), SRTP_OK);
	assert_int_equal(v.index, SRTCP_INDEX_MAX);
	assert_int_equal(v.enc_len, 12);
	assert_int_equal(v.tag_off, 20);
	assert_int_equal(v.word_off, 36);
	buf[36] = 0x7f;
	assert_int_equal(srtcp_parse(gcm, buf, 40, &v), SRTP_CLEAR);
}

static void tags_compare_whole(void **state)
{
	uint8_t a[16], b[16];

	(void)state;
	memset(a, 0x55, sizeof(a));
	memcpy(b, a, sizeof(a));
	assert_true(srtp_tag_equal(a, b, 16));
	for (size_t i = 0; i < 16; i++) {
		b[i] ^= 0x80;
		assert_false(srtp_tag_equal(a, b, 16));
		assert_int_equal(srtp_tag_equal(a, b, 10), i >= 10);
		b[i] ^= 0x80;
	}
}

static void every_status_has_a_name(void **state)
{
	(void)state;
	for (int st = SRTP_ENGINE; st <= SRTP_OK; st++)
		assert_string_not_equal(srtp_status_name(st), "?");
	assert_string_equal(srtp_status_name(1), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(profiles_have_the_numbers_and_lengths_of_the_registry),
		cmocka_unit_test(rfc3711_b3_key_derivation),
		cmocka_unit_test(a_failing_prf_leaves_no_key_behind),
		cmocka_unit_test(iv_vectors),
		cmocka_unit_test(rollover_is_followed_in_any_order),
		cmocka_unit_test(the_first_packet_fixes_rollover_zero),
		cmocka_unit_test(half_a_round_belongs_to_this_rollover),
		cmocka_unit_test(no_index_follows_the_last_one),
		cmocka_unit_test(windows_equal_their_definition),
		cmocka_unit_test(sending_gives_late_numbers_their_rollover),
		cmocka_unit_test(srtcp_layouts),
		cmocka_unit_test(tags_compare_whole),
		cmocka_unit_test(every_status_has_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
