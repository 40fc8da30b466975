// SPDX-License-Identifier: BSD-3-Clause
/* Every engine of the build: RFC vectors, and octet for octet against libsrtp2's sessions. */
#include "sfu-dp/crypto/engine.h"
#include "tests/support/srtp_oracle.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SSRC 0xcafebabeu
#define CAP 2200
#define OTHER 7 // master_key() + OTHER is another key

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

static const uint8_t *master_key(void)
{
	return (const uint8_t *)"any thirty-two octets and seven more...";
}

static const uint8_t *master_salt(void)
{
	return (const uint8_t *)"fourteen salty";
}

static struct srtp_side side_create(
	const struct srtp_engine *engine, const struct srtp_profile *profile)
{
	struct srtp_side side = {.engine = engine, .profile = profile};

	assert_int_equal(engine->create(profile, master_key(), master_salt(), &side.ctx), SRTP_OK);
	return side;
}

enum shape {
	PLAIN = 0,
	CSRC = 1,
	EXT = 2,
	NUM_SHAPES = 4,
};

static size_t rtp_packet(uint8_t *p, unsigned shape, uint16_t seq, size_t payload_len)
{
	size_t n = 12;

	unhex("8060000011223344cafebabe", p);
	p[2] = (uint8_t)(seq >> 8);
	p[3] = (uint8_t)seq;
	if (shape & CSRC) {
		p[0] |= 2;
		n += unhex("0102030405060708", p + n);
	}
	if (shape & EXT) {
		p[0] |= 0x10;
		n += unhex("bede00021001020332aabbcc", p + n);
	}
	for (size_t i = 0; i < payload_len; i++)
		p[n++] = (uint8_t)(seq + i * 7);
	return n;
}

static size_t rtcp_packet(uint8_t *p, unsigned mark, size_t body_len)
{
	size_t n = unhex("80c90000cafebabe", p);

	p[3] = (uint8_t)(1 + body_len / 4);
	for (size_t i = 0; i < body_len; i++)
		p[n++] = (uint8_t)(mark + i * 5);
	return n;
}

/* Run a check for every engine and profile. */
typedef void (*check_fn)(const struct srtp_engine *engine, const struct srtp_profile *profile);

static void each(check_fn check)
{
	for (unsigned e = 0; srtp_engine_at(e); e++) {
		for (unsigned p = 0; srtp_profile_at(p); p++)
			check(srtp_engine_at(e), srtp_profile_at(p));
	}
}

static void engines_are_found_by_name(void **state)
{
	(void)state;
	assert_non_null(srtp_engine_at(0));
	assert_ptr_equal(srtp_engine_find(NULL), srtp_engine_at(0));
	assert_ptr_equal(srtp_engine_find("auto"), srtp_engine_at(0));
	assert_ptr_equal(srtp_engine_find("libsrtp2"), &srtp_engine_libsrtp2);
	assert_null(srtp_engine_find("none"));
	for (unsigned i = 0; srtp_engine_at(i); i++)
		assert_ptr_equal(srtp_engine_find(srtp_engine_at(i)->name), srtp_engine_at(i));
}

/* RFC 3711 B.2: 65282 blocks of key stream, index 0, SSRC 0. */
static void rfc3711_b2_aes_cm(void **state)
{
	const size_t len = 1044512, datagram = 65400;
	uint8_t *in = calloc(1, len + 12), *out = malloc(len + 12 + SRTP_TAG_MAX);
	struct srtp_keys keys = {{0}, {0}, {0}};
	struct srtp_seal_in job = {in, 12, in + 12, len, 0, 0};
	const struct srtp_engine *engine;
	struct srtp_ctx *ctx;

	(void)state;
	unhex("2b7e151628aed2a6abf7158809cf4f3c", keys.key);
	unhex("f0f1f2f3f4f5f6f7f8f9fafbfcfd", keys.salt);
	for (unsigned e = 0; (engine = srtp_engine_at(e)); e++) {
		int sealed;

		assert_int_equal(
			engine->create_session(srtp_profile_find(1), &keys, &keys, &ctx), SRTP_OK);
		job.payload_len = len;
		sealed = engine->rtp_seal(ctx, &job, out, len + 12 + SRTP_TAG_MAX);
		if (sealed == SRTP_UNSUPPORTED) {
			// An engine may end where datagrams do: then the blocks up to there.
			job.payload_len = datagram;
			assert_int_equal(engine->rtp_seal(ctx, &job, out, len + 12 + SRTP_TAG_MAX),
				datagram + 12 + 10);
			assert_hex(out + 12 + 0xfe10,
				"b49160f289718e46916c81d7937ef78d65224800e6cd8bb1");
		} else {
			assert_int_equal(sealed, len + 12 + 10);
			assert_hex(out + 12 + len - 48,
				"ec8cdf7398607cb0f2d21675ea9ea1e4362b7c3c6773516318a077d7fc5073ae"
				"6a2cc3787889374fbeb4c81b17ba6c44");
		}
		assert_hex(out + 12,
			"e03ead0935c95e80e166b16dd92b4eb4d23513162b02d0f72a43a2fe4a5f97ab"
			"41e95b3bb0a2e8dd477901e4fca894c0");
		engine->destroy(ctx);
	}
	free(in);
	free(out);
}

/* RFC 7714 16 and 17; its keys are session keys. */
static void rfc7714_vectors(void **state)
{
	static const struct {
		unsigned profile;
		const char *srtp;
		const char *srtcp;
	} rows[] = {
		{7,
			"8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd5"
			"0d294e6f42a5f47a51c7d19b36de3adf8833899d7f27beb16a9152cf765ee4390cce",
			"81c8000d4d61727363e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1"
			"730d6fda4ce09b4686303ded0bb9275bc84aa45896cf4d2fc5abf87245d9eade800005d4"},
		{8,
			"8040f17b8041f8d35501a0b232b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3"
			"b50b2a0276ffae0f1ba63799b87b7aa3db36dfffd6b0f9bb7878d7a76c13",
			"81c8000d4d617273d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1"
			"110555be8415f658c61de0476f1b6fad1d1eb30c4446839f57ff6f6cb26ac3be800005d4"},
	};
	struct srtp_keys keys = {{0}, {0}, {0}};
	uint8_t rtp[64], rtcp[64], buf[128];
	const struct srtp_engine *engine;
	size_t rtp_len, rtcp_len;
	struct srtcp_view view;
	struct srtp_ctx *ctx;

	(void)state;
	unhex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", keys.key);
	unhex("517569642070726f2071756f", keys.salt);
	rtp_len = unhex("8040f17b8041f8d35501a0b247616c6c696120657374206f6d6e6973206469766973612069"
			"6e207061727465732074726573",
		rtp);
	rtcp_len = unhex("81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61"
			 "deadbeefdeadbeefdeadbeefdeadbeefdeadbeef",
		rtcp);
	for (unsigned e = 0; (engine = srtp_engine_at(e)); e++) {
		for (unsigned r = 0; r < 2; r++) {
			const struct srtp_profile *p = srtp_profile_find(rows[r].profile);
			struct srtp_seal_in job
				= {rtp, 12, rtp + 12, rtp_len - 12, 0xf17b, 0x5501a0b2};
			int len;

			assert_int_equal(engine->create_session(p, &keys, &keys, &ctx), SRTP_OK);
			len = engine->rtp_seal(ctx, &job, buf, sizeof(buf));
			assert_int_equal(len, rtp_len + 16);
			assert_hex(buf, rows[r].srtp);
			assert_int_equal(
				engine->rtp_open(ctx, buf, (size_t)len, 12, 0x5501a0b2, 0xf17b),
				rtp_len);
			assert_memory_equal(buf, rtp, rtp_len);

			len = engine->rtcp_seal(ctx, rtcp, rtcp_len, 0x5d4, buf, sizeof(buf));
			assert_int_equal(len, rtcp_len + 20);
			assert_hex(buf, rows[r].srtcp);
			assert_int_equal(srtcp_parse(p, buf, (size_t)len, &view), SRTP_OK);
			assert_int_equal(view.index, 0x5d4);
			assert_int_equal(engine->rtcp_open(ctx, buf, &view), rtcp_len);
			assert_memory_equal(buf, rtcp, rtcp_len);
			engine->destroy(ctx);
		}
	}
}

/* One packet through both senders and both receivers; all must agree to the octet. */
static void cross_rtp(
	struct srtp_side *side, srtp_t oracle_tx, srtp_t oracle_rx, const uint8_t *plain, size_t n)
{
	uint8_t ours[CAP], theirs[CAP], source[CAP];
	size_t cap = n + side->profile->tag_len;
	int len, their_len = (int)n;

	memcpy(source, plain, n);
	memcpy(theirs, plain, n);
	assert_int_equal(srtp_protect(oracle_tx, theirs, &their_len), srtp_err_status_ok);
	memset(ours, 0xa5, sizeof(ours));
	len = srtp_side_rtp_seal(side, source, n, ours, cap);
	assert_int_equal(len, their_len);
	assert_memory_equal(ours, theirs, (size_t)len);
	assert_memory_equal(source, plain, n);
	for (size_t i = cap; i < sizeof(ours); i++)
		assert_int_equal(ours[i], 0xa5);

	assert_int_equal(srtp_unprotect(oracle_rx, ours, &len), srtp_err_status_ok);
	assert_int_equal(len, n);
	assert_memory_equal(ours, plain, n);
	assert_int_equal(srtp_side_rtp_open(side, theirs, (size_t)their_len), n);
	assert_memory_equal(theirs, plain, n);
}

static void check_rtp_lengths(const struct srtp_engine *engine, const struct srtp_profile *profile)
{
	uint8_t plain[CAP];

	for (unsigned shape = 0; shape < NUM_SHAPES; shape++) {
		srtp_t tx = srtp_oracle_create(profile, master_key(), master_salt(), false);
		srtp_t rx = srtp_oracle_create(profile, master_key(), master_salt(), true);
		struct srtp_side side = side_create(engine, profile);
		uint16_t seq = 1000;

		for (size_t len = 0; len <= 1500; len += len < 70 ? 1 : len < 1490 ? 31 : 1)
			cross_rtp(&side, tx, rx, plain, rtp_packet(plain, shape, seq++, len));
		engine->destroy(side.ctx);
		srtp_dealloc(tx);
		srtp_dealloc(rx);
	}
}

static void rtp_equals_libsrtp2_for_all_lengths(void **state)
{
	(void)state;
	each(check_rtp_lengths);
}

static void check_rtcp_lengths(const struct srtp_engine *engine, const struct srtp_profile *profile)
{
	srtp_t tx = srtp_oracle_create(profile, master_key(), master_salt(), false);
	srtp_t rx = srtp_oracle_create(profile, master_key(), master_salt(), true);
	struct srtp_side side = side_create(engine, profile);
	uint8_t plain[CAP], ours[CAP], theirs[CAP];
	uint32_t skipped;

	// libsrtp2 begins with 1, RFC 3711 3.4 with 0.
	assert_int_equal(srtcp_tx_index(&side.rtcp_tx, &skipped), SRTP_OK);
	for (size_t body = 0; body <= 1400; body += 4) {
		size_t n = rtcp_packet(plain, (unsigned)body, body);
		int len, their_len = (int)n;

		memcpy(theirs, plain, n);
		assert_int_equal(srtp_protect_rtcp(tx, theirs, &their_len), srtp_err_status_ok);
		memset(ours, 0xa5, sizeof(ours));
		len = srtp_side_rtcp_seal(&side, plain, n, ours, n + profile->tag_len + 4);
		assert_int_equal(len, their_len);
		assert_memory_equal(ours, theirs, (size_t)len);
		assert_int_equal(ours[len], 0xa5);

		assert_int_equal(srtp_unprotect_rtcp(rx, ours, &len), srtp_err_status_ok);
		assert_int_equal(len, n);
		assert_memory_equal(ours, plain, n);
		assert_int_equal(srtp_side_rtcp_open(&side, theirs, (size_t)their_len), n);
		assert_memory_equal(theirs, plain, n);
	}
	engine->destroy(side.ctx);
	srtp_dealloc(tx);
	srtp_dealloc(rx);
}

static void rtcp_equals_libsrtp2_for_all_lengths(void **state)
{
	(void)state;
	each(check_rtcp_lengths);
}

static void check_rollover(const struct srtp_engine *engine, const struct srtp_profile *profile)
{
	static const uint16_t seqs[] = {65530, 65532, 65531, 65533, 65535, 1, 65534, 0, 2, 5, 4, 3,
		6, 7, 8, 9, 10, 20000, 40000, 60000, 65534, 0, 65535, 2, 1, 3, 10};
	srtp_t tx = srtp_oracle_create(profile, master_key(), master_salt(), false);
	srtp_t rx = srtp_oracle_create(profile, master_key(), master_salt(), true);
	struct srtp_side side = side_create(engine, profile);
	uint8_t plain[CAP];

	for (size_t i = 0; i < sizeof(seqs) / sizeof(seqs[0]); i++)
		cross_rtp(&side, tx, rx, plain, rtp_packet(plain, PLAIN, seqs[i], 50));
	assert_int_equal(side.rx.highest, 2 * 65536 + 10);
	assert_int_equal(side.tx.index, 2 * 65536 + 10);
	engine->destroy(side.ctx);
	srtp_dealloc(tx);
	srtp_dealloc(rx);
}

static void rollover_equals_libsrtp2_with_reordering(void **state)
{
	(void)state;
	each(check_rollover);
}

static void check_damage(const struct srtp_engine *engine, const struct srtp_profile *profile)
{
	struct srtp_side side = side_create(engine, profile), before;
	uint8_t plain[CAP], good[CAP], buf[CAP];
	size_t n;
	int len;

	// A first good packet, so that the streams are not empty.
	n = rtp_packet(plain, CSRC | EXT, 100, 40);
	len = srtp_side_rtp_seal(&side, plain, n, buf, sizeof(buf));
	assert_int_equal(srtp_side_rtp_open(&side, buf, (size_t)len), n);
	n = rtcp_packet(plain, 1, 24);
	len = srtp_side_rtcp_seal(&side, plain, n, buf, sizeof(buf));
	assert_int_equal(srtp_side_rtcp_open(&side, buf, (size_t)len), n);

	n = rtp_packet(plain, CSRC | EXT, 101, 40);
	len = srtp_side_rtp_seal(&side, plain, n, good, sizeof(good));
	before = side;
	for (int bit = 0; bit < 8 * len; bit++) {
		memcpy(buf, good, (size_t)len);
		buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_true(srtp_side_rtp_open(&side, buf, (size_t)len) < 0);
		assert_memory_equal(&side, &before, sizeof(side));
	}
	for (int cut = 0; cut < len; cut++) {
		memcpy(buf, good, (size_t)len);
		assert_true(srtp_side_rtp_open(&side, buf, (size_t)cut) < 0);
		assert_memory_equal(&side, &before, sizeof(side));
	}
	// The tag alone is named as such.
	memcpy(buf, good, (size_t)len);
	buf[len - 1] ^= 1;
	assert_int_equal(srtp_side_rtp_open(&side, buf, (size_t)len), SRTP_AUTH_FAIL);
	memcpy(buf, good, (size_t)len);
	assert_int_equal(srtp_side_rtp_open(&side, buf, (size_t)len), n);
	memcpy(buf, good, (size_t)len);
	before = side;
	assert_int_equal(srtp_side_rtp_open(&side, buf, (size_t)len), SRTP_REPLAY);
	assert_memory_equal(&side, &before, sizeof(side));

	n = rtcp_packet(plain, 2, 24);
	len = srtp_side_rtcp_seal(&side, plain, n, good, sizeof(good));
	before = side;
	for (int bit = 0; bit < 8 * len; bit++) {
		memcpy(buf, good, (size_t)len);
		buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_true(srtp_side_rtcp_open(&side, buf, (size_t)len) < 0);
		assert_memory_equal(&side, &before, sizeof(side));
	}
	for (int cut = 0; cut < len; cut++) {
		memcpy(buf, good, (size_t)len);
		assert_true(srtp_side_rtcp_open(&side, buf, (size_t)cut) < 0);
		assert_memory_equal(&side, &before, sizeof(side));
	}
	memcpy(buf, good, (size_t)len);
	assert_int_equal(srtp_side_rtcp_open(&side, buf, (size_t)len), n);
	memcpy(buf, good, (size_t)len);
	assert_int_equal(srtp_side_rtcp_open(&side, buf, (size_t)len), SRTP_REPLAY);
	engine->destroy(side.ctx);
}

static void damage_and_replay_change_nothing(void **state)
{
	(void)state;
	each(check_damage);
}

/* Shuffled, repeated and jumping streams: both receivers accept the same packets. */
static void check_acceptance(const struct srtp_engine *engine, const struct srtp_profile *profile)
{
	srtp_t rx = srtp_oracle_create(profile, master_key(), master_salt(), true);
	struct srtp_side side = side_create(engine, profile);
	uint8_t plain[CAP], ours[CAP], theirs[CAP];
	unsigned accepted = 0, refused = 0;
	uint32_t rnd = 88172645u;
	uint64_t at = 64000;

	for (int i = 0; i < 6000; i++) {
		struct srtp_seal_in job = {plain, 12, plain + 12, 20, 0, SSRC};
		int len, their_len;
		bool ok, their_ok;

		rnd = rnd * 1664525u + 1013904223u;
		at += rnd >> 16 & 3;
		if ((rnd >> 20) % 97 == 0)
			at += 1500;
		job.index = at - (rnd >> 24) % ((rnd & 0x80) ? 1200 : 8);
		rtp_packet(plain, PLAIN, (uint16_t)job.index, 20);
		len = engine->rtp_seal(side.ctx, &job, ours, sizeof(ours));
		assert_true(len > 0);
		their_len = len;
		memcpy(theirs, ours, (size_t)len);
		if ((rnd >> 12 & 15) == 0) {
			ours[len - 1] ^= 1;
			theirs[len - 1] ^= 1;
		}
		ok = srtp_side_rtp_open(&side, ours, (size_t)len) >= 0;
		their_ok = srtp_unprotect(rx, theirs, &their_len) == srtp_err_status_ok;
		assert_int_equal(ok, their_ok);
		if (ok)
			assert_memory_equal(ours, theirs, (size_t)their_len);
		accepted += ok;
		refused += !ok;
	}
	assert_true(accepted > 1000 && refused > 1000);
	assert_true(side.rx.highest > 65536);
	engine->destroy(side.ctx);
	srtp_dealloc(rx);
}

static void acceptance_equals_libsrtp2(void **state)
{
	(void)state;
	each(check_acceptance);
}

static void check_burst(const struct srtp_engine *engine, const struct srtp_profile *profile)
{
	enum { N = 37 };
	static uint8_t payload[N][1300], hdr[N][32], out[N][CAP], one[CAP];
	struct srtp_seal_job jobs[N];
	struct srtp_side a = side_create(engine, profile);
	struct srtp_ctx *b;

	assert_int_equal(engine->create(profile, master_key() + OTHER, master_salt(), &b), SRTP_OK);
	for (unsigned i = 0; i < N; i++) {
		size_t len = (i * 211) % 1300;

		memset(payload[i], (int)i, len);
		memset(hdr[i], 0x80, sizeof(hdr[i]));
		jobs[i] = (struct srtp_seal_job){
			.ctx = i % 3 ? a.ctx : b,
			.in = {hdr[i], 12 + 4 * (i % 3), payload[i], len, 65530 + i, i},
			.out = out[i],
			.cap = i == 5 ? 12 : CAP,
			.result = 12345,
		};
	}
	engine->rtp_seal_burst(jobs, N);
	for (unsigned i = 0; i < N; i++) {
		int len = engine->rtp_seal(jobs[i].ctx, &jobs[i].in, one, jobs[i].cap);

		assert_int_equal(jobs[i].result, len);
		assert_int_equal(len == SRTP_NO_ROOM, i == 5);
		if (len > 0)
			assert_memory_equal(one, out[i], (size_t)len);
	}
	engine->rtp_seal_burst(NULL, 0);
	engine->destroy(a.ctx);
	engine->destroy(b);
}

/* The same jobs, with the payloads where they will be sealed; */
static void in_place(const struct srtp_engine *engine, struct srtp_seal_job *jobs, unsigned n)
{
	static uint8_t one[CAP];
	const uint8_t *payload[40];

	for (unsigned i = 0; i < n; i++) {
		payload[i] = jobs[i].in.payload;
		jobs[i].in.payload = jobs[i].out + jobs[i].in.hdr_len;
		memcpy(jobs[i].out + jobs[i].in.hdr_len, payload[i], jobs[i].in.payload_len);
	}
	engine->rtp_seal_burst(jobs, n);
	for (unsigned i = 0; i < n; i++) {
		struct srtp_seal_in in = jobs[i].in;
		int len;

		in.payload = payload[i];
		len = engine->rtp_seal(jobs[i].ctx, &in, one, CAP);
		assert_int_equal(jobs[i].result, len);
		assert_memory_equal(one, jobs[i].out, (size_t)len);
	}
}

/* However many there are and however long: an engine may have ways of its own for few and for many. */
static void check_burst_sizes(const struct srtp_engine *engine, const struct srtp_profile *profile)
{
	enum { MOST = 40 };
	static const size_t lengths[] = {0, 1, 60, 200, 380, 420, 1200};
	static uint8_t payload[1200], hdr[MOST][12], out[MOST][CAP], one[CAP];
	struct srtp_side side = side_create(engine, profile);
	struct srtp_seal_job jobs[MOST];

	memset(payload, 0x5c, sizeof(payload));
	for (unsigned n = 1; n <= MOST; n++) {
		for (unsigned l = 0; l < sizeof(lengths) / sizeof(lengths[0]); l++) {
			for (unsigned i = 0; i < n; i++) {
				rtp_packet(hdr[i], PLAIN, (uint16_t)i, 0);
				// The last one is of another length than the rest.
				jobs[i] = (struct srtp_seal_job){
					.ctx = side.ctx,
					.in = {hdr[i], 12, payload,
						i + 1 == n ? lengths[6 - l] : lengths[l], 1 + i,
						SSRC},
					.out = out[i],
					.cap = CAP,
				};
			}
			engine->rtp_seal_burst(jobs, n);
			for (unsigned i = 0; i < n; i++) {
				int len = engine->rtp_seal(side.ctx, &jobs[i].in, one, CAP);

				assert_true(len > 0);
				assert_int_equal(jobs[i].result, len);
				assert_memory_equal(one, out[i], (size_t)len);
			}
			in_place(engine, jobs, n);
		}
	}
	engine->destroy(side.ctx);
}

static void bursts_of_every_size_equal_single_packets(void **state)
{
	(void)state;
	each(check_burst_sizes);
}

static void a_burst_equals_single_packets(void **state)
{
	(void)state;
	each(check_burst);
}

static void check_limits(const struct srtp_engine *engine, const struct srtp_profile *profile)
{
	static uint8_t big[SRTP_HDR_MAX + 200], out[SRTP_HDR_MAX + 200];
	struct srtp_profile stranger = *profile;
	struct srtp_side side = side_create(engine, profile);
	struct srtp_seal_in job = {big, 12, big + 12, 100, 1, SSRC};
	size_t need = 112 + profile->tag_len;
	struct srtp_ctx *ctx = NULL;
	int len;

	engine->destroy(NULL);
	assert_int_equal(engine->create(NULL, master_key(), master_salt(), &ctx), SRTP_UNSUPPORTED);
	assert_int_equal(
		engine->create(&stranger, master_key(), master_salt(), &ctx), SRTP_UNSUPPORTED);
	assert_null(ctx);

	for (size_t cap = 0; cap < need; cap++) {
		memset(out, 0xa5, sizeof(out));
		assert_int_equal(engine->rtp_seal(side.ctx, &job, out, cap), SRTP_NO_ROOM);
		for (size_t i = 0; i < need; i++)
			assert_int_equal(out[i], 0xa5);
	}
	assert_int_equal(engine->rtp_seal(side.ctx, &job, out, need), need);
	job.hdr_len = 11;
	assert_int_equal(engine->rtp_seal(side.ctx, &job, out, sizeof(out)), SRTP_SHORT);
	job.hdr_len = SRTP_HDR_MAX + 1;
	assert_int_equal(engine->rtp_seal(side.ctx, &job, out, sizeof(out)), SRTP_UNSUPPORTED);
	job.hdr_len = SRTP_HDR_MAX;
	len = engine->rtp_seal(side.ctx, &job, out, sizeof(out));
	assert_int_equal(len, SRTP_HDR_MAX + 100 + profile->tag_len);
	assert_int_equal(engine->rtp_open(side.ctx, out, (size_t)len, SRTP_HDR_MAX, SSRC, 1),
		SRTP_HDR_MAX + 100);
	job.payload_len = SRTP_PAYLOAD_MAX + 1;
	assert_int_equal(engine->rtp_seal(side.ctx, &job, out, SIZE_MAX), SRTP_UNSUPPORTED);
	for (size_t n = 0; n < 12u + profile->tag_len; n++)
		assert_int_equal(engine->rtp_open(side.ctx, out, n, 12, SSRC, 1), SRTP_SHORT);

	for (size_t n = 0; n < 8; n++)
		assert_int_equal(
			engine->rtcp_seal(side.ctx, big, n, 1, out, sizeof(out)), SRTP_SHORT);
	assert_int_equal(
		engine->rtcp_seal(side.ctx, big, 8, 1, out, 11 + profile->tag_len), SRTP_NO_ROOM);
	assert_int_equal(engine->rtcp_seal(side.ctx, big, 8, 1, out, 12 + profile->tag_len),
		12 + profile->tag_len);
	engine->destroy(side.ctx);
}

static void limits_are_refused_with_a_reason(void **state)
{
	(void)state;
	each(check_limits);
}

/* The wrong key, SSRC or rollover is a wrong tag. */
static void check_wrong(const struct srtp_engine *engine, const struct srtp_profile *profile)
{
	struct srtp_side side = side_create(engine, profile);
	uint8_t plain[64], good[128], buf[128];
	struct srtp_seal_in job = {plain, 12, plain + 12, 30, 7, SSRC};
	struct srtp_ctx *other;
	size_t len;

	assert_int_equal(
		engine->create(profile, master_key() + OTHER, master_salt(), &other), SRTP_OK);
	rtp_packet(plain, PLAIN, 7, 30);
	len = (size_t)engine->rtp_seal(side.ctx, &job, good, sizeof(good));
	memcpy(buf, good, len);
	assert_int_equal(engine->rtp_open(other, buf, len, 12, SSRC, 7), SRTP_AUTH_FAIL);
	memcpy(buf, good, len);
	assert_int_equal(engine->rtp_open(side.ctx, buf, len, 12, SSRC, 65536 + 7), SRTP_AUTH_FAIL);
	memcpy(buf, good, len);
	assert_int_equal(engine->rtp_open(side.ctx, buf, len, 12, SSRC, 7), 42);
	assert_memory_equal(buf, plain, 42);
	engine->destroy(side.ctx);
	engine->destroy(other);
}

static void wrong_key_or_rollover_fails_the_tag(void **state)
{
	(void)state;
	each(check_wrong);
}

/* Workers create and use contexts of their own at the same time. */
struct lane {
	const struct srtp_engine *engine;
	const struct srtp_profile *profile;
	unsigned good;
};

static void *run_lane(void *arg)
{
	struct lane *lane = arg;
	uint8_t plain[212], buf[256];

	for (unsigned round = 0; round < 8; round++) {
		struct srtp_seal_in job = {plain, 12, plain + 12, 200, 0, SSRC};
		struct srtp_ctx *ctx;

		rtp_packet(plain, PLAIN, (uint16_t)round, 200);
		if (lane->engine->create(lane->profile, master_key(), master_salt(), &ctx)
			!= SRTP_OK)
			break;
		for (job.index = 0; job.index < 100; job.index++) {
			int len = lane->engine->rtp_seal(ctx, &job, buf, sizeof(buf));

			if (len > 0
				&& lane->engine->rtp_open(
					   ctx, buf, (size_t)len, 12, SSRC, job.index)
					   == sizeof(plain)
				&& memcmp(buf, plain, sizeof(plain)) == 0)
				lane->good++;
		}
		lane->engine->destroy(ctx);
	}
	return NULL;
}

static void check_lanes(const struct srtp_engine *engine, const struct srtp_profile *profile)
{
	enum { N = 4 };
	struct lane lanes[N];
	pthread_t threads[N];

	for (unsigned i = 0; i < N; i++) {
		lanes[i] = (struct lane){engine, profile, 0};
		assert_int_equal(pthread_create(&threads[i], NULL, run_lane, &lanes[i]), 0);
	}
	for (unsigned i = 0; i < N; i++)
		pthread_join(threads[i], NULL);
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(lanes[i].good, 800);
}

static void contexts_work_side_by_side(void **state)
{
	(void)state;
	each(check_lanes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		// first, so that the library is initialised by several threads at once
		cmocka_unit_test(contexts_work_side_by_side),
		cmocka_unit_test(engines_are_found_by_name),
		cmocka_unit_test(rfc3711_b2_aes_cm),
		cmocka_unit_test(rfc7714_vectors),
		cmocka_unit_test(rtp_equals_libsrtp2_for_all_lengths),
		cmocka_unit_test(rtcp_equals_libsrtp2_for_all_lengths),
		cmocka_unit_test(rollover_equals_libsrtp2_with_reordering),
		cmocka_unit_test(damage_and_replay_change_nothing),
		cmocka_unit_test(acceptance_equals_libsrtp2),
		cmocka_unit_test(a_burst_equals_single_packets),
		cmocka_unit_test(bursts_of_every_size_equal_single_packets),
		cmocka_unit_test(limits_are_refused_with_a_reason),
		cmocka_unit_test(wrong_key_or_rollover_fails_the_tag),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
