// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/proto/srtp.h"

#include "sfu-dp/proto/cursor.h"

#include <string.h>

static const struct srtp_profile profiles[] = {
	{"SRTP_AEAD_AES_128_GCM", SRTP_AEAD_AES_128_GCM, 16, 12, 16, true},
	{"SRTP_AEAD_AES_256_GCM", SRTP_AEAD_AES_256_GCM, 32, 12, 16, true},
	{"SRTP_AES128_CM_SHA1_80", SRTP_AES128_CM_SHA1_80, 16, 14, 10, false},
};

#define NUM_PROFILES (sizeof(profiles) / sizeof(profiles[0]))

// A restart maps these from memory that the former process wrote.
_Static_assert(sizeof(struct srtp_rx_stream) == 136, "layout of srtp_rx_stream");
_Static_assert(sizeof(struct srtcp_rx_stream) == 24, "layout of srtcp_rx_stream");
_Static_assert(sizeof(struct srtp_tx_stream) == 8, "layout of srtp_tx_stream");
_Static_assert(sizeof(struct srtcp_tx_stream) == 4, "layout of srtcp_tx_stream");

/* Key derivation labels (RFC 3711 4.3.2); those of SRTCP follow at a distance of 3. */
enum label {
	LABEL_CIPHER = 0,
	LABEL_AUTH = 1,
	LABEL_SALT = 2,
	LABEL_SRTCP = 3,
};

const char *srtp_status_name(int status)
{
	switch (status) {
	case SRTP_OK:
		return "ok";
	case SRTP_SHORT:
		return "short";
	case SRTP_NO_ROOM:
		return "no-room";
	case SRTP_UNSUPPORTED:
		return "unsupported";
	case SRTP_AUTH_FAIL:
		return "auth-fail";
	case SRTP_REPLAY:
		return "replay";
	case SRTP_OLD:
		return "old";
	case SRTP_EXHAUSTED:
		return "exhausted";
	case SRTP_CLEAR:
		return "clear";
	case SRTP_ENGINE:
		return "engine";
	default:
		return "?";
	}
}

const struct srtp_profile *srtp_profile_find(unsigned id)
{
	for (size_t i = 0; i < NUM_PROFILES; i++) {
		if (profiles[i].id == id)
			return &profiles[i];
	}
	return NULL;
}

const struct srtp_profile *srtp_profile_at(unsigned place)
{
	return place < NUM_PROFILES ? &profiles[place] : NULL;
}

void srtp_wipe(void *secret, size_t len)
{
	explicit_bzero(secret, len);
}

bool srtp_tag_equal(const uint8_t *a, const uint8_t *b, size_t len)
{
	// volatile keeps the compiler from leaving the loop at the first difference.
	volatile uint8_t diff = 0;

	for (size_t i = 0; i < len; i++)
		diff |= a[i] ^ b[i];
	return diff == 0;
}

/* Derive one key. Key derivation rate 0: r is 0, so x = label << 48 xor salt (4.3.1). */
static enum srtp_status derive(const struct srtp_profile *profile, const uint8_t *key,
	const uint8_t *salt, unsigned label, srtp_prf_fn prf, void *arg, uint8_t *out, size_t len)
{
	uint8_t iv[16] = {0};
	enum srtp_status st;

	// A salt of 96 bits is extended to 112 with zeros on the right (RFC 7714 11).
	memcpy(iv, salt, profile->salt_len);
	iv[7] ^= (uint8_t)label;
	st = prf(arg, key, profile->key_len, iv, out, len);
	srtp_wipe(iv, sizeof(iv));
	return st;
}

static enum srtp_status derive_set(const struct srtp_profile *profile, const uint8_t *key,
	const uint8_t *salt, unsigned base, srtp_prf_fn prf, void *arg, struct srtp_keys *out)
{
	enum srtp_status st;

	st = derive(profile, key, salt, base + LABEL_CIPHER, prf, arg, out->key, profile->key_len);
	if (st == SRTP_OK)
		st = derive(profile, key, salt, base + LABEL_SALT, prf, arg, out->salt,
			profile->salt_len);
	if (st == SRTP_OK && !profile->aead)
		st = derive(profile, key, salt, base + LABEL_AUTH, prf, arg, out->auth,
			sizeof(out->auth));
	return st;
}

enum srtp_status srtp_keys_derive(const struct srtp_profile *profile, const uint8_t *key,
	const uint8_t *salt, srtp_prf_fn prf, void *arg, struct srtp_keys *rtp,
	struct srtp_keys *rtcp)
{
	enum srtp_status st;

	memset(rtp, 0, sizeof(*rtp));
	memset(rtcp, 0, sizeof(*rtcp));
	st = derive_set(profile, key, salt, 0, prf, arg, rtp);
	if (st == SRTP_OK)
		st = derive_set(profile, key, salt, LABEL_SRTCP, prf, arg, rtcp);
	if (st != SRTP_OK) {
		srtp_wipe(rtp, sizeof(*rtp));
		srtp_wipe(rtcp, sizeof(*rtcp));
	}
	return st;
}

/*
 * Guess the index of a sequence number near the highest one (RFC 3711 3.3.1, appendix A).
 * False when it would lie past the last index.
 */
static bool estimate(uint64_t highest, uint16_t seq, uint64_t *index)
{
	uint32_t roc = (uint32_t)(highest >> 16);
	uint16_t near = (uint16_t)highest;

	if (near < 0x8000) {
		// The text takes 2^32 - 1 for "one before rollover 0". There is no such packet; a
		// number far ahead in rollover 0 is what a sender means that starts just
		// below 2^16 and whose first packets overtook each other.
		if (seq - near > 0x8000 && roc > 0)
			roc--;
	} else if (near - 0x8000 > seq) {
		if (roc == UINT32_MAX)
			return false;
		roc++;
	}
	*index = (uint64_t)roc << 16 | seq;
	return true;
}

/*
 * The window is a ring of bits: bit (i % size) says whether index i was accepted, for the size
 * indices up to and with the highest. An empty stream has highest 0 and no bit set, so index 0
 * is not yet taken there.
 */
static enum srtp_status window_check(
	const uint64_t *window, unsigned size, uint64_t highest, uint64_t index)
{
	unsigned bit = (unsigned)(index % size);

	if (index > highest)
		return SRTP_OK;
	if (highest - index >= size)
		return SRTP_OLD;
	return window[bit / 64] >> (bit % 64) & 1 ? SRTP_REPLAY : SRTP_OK;
}

static void window_commit(uint64_t *window, unsigned size, uint64_t highest, uint64_t index)
{
	unsigned bit = (unsigned)(index % size);

	if (index > highest && index - highest >= size) {
		memset(window, 0, size / 8);
	} else {
		// The bits that the window moves over still speak of indices one round back.
		for (uint64_t i = highest + 1; i <= index; i++)
			window[i % size / 64] &= ~(UINT64_C(1) << (i % 64));
	}
	window[bit / 64] |= UINT64_C(1) << (bit % 64);
}

enum srtp_status srtp_rx_check(const struct srtp_rx_stream *stream, uint16_t seq, uint64_t *index)
{
	enum srtp_status st;
	uint64_t guess;

	if (!estimate(stream->highest, seq, &guess))
		return SRTP_EXHAUSTED;
	st = window_check(stream->window, SRTP_WINDOW, stream->highest, guess);
	if (st == SRTP_OK)
		*index = guess;
	return st;
}

void srtp_rx_commit(struct srtp_rx_stream *stream, uint64_t index)
{
	window_commit(stream->window, SRTP_WINDOW, stream->highest, index);
	if (index > stream->highest)
		stream->highest = index;
}

enum srtp_status srtcp_rx_check(const struct srtcp_rx_stream *stream, uint32_t index)
{
	return window_check(stream->window, SRTCP_WINDOW, stream->highest, index);
}

void srtcp_rx_commit(struct srtcp_rx_stream *stream, uint32_t index)
{
	window_commit(stream->window, SRTCP_WINDOW, stream->highest, index);
	if (index > stream->highest)
		stream->highest = index;
}

enum srtp_status srtp_tx_index(struct srtp_tx_stream *stream, uint16_t seq, uint64_t *index)
{
	uint64_t guess;

	if (!estimate(stream->index, seq, &guess))
		return SRTP_EXHAUSTED;
	if (guess > stream->index)
		stream->index = guess;
	*index = guess;
	return SRTP_OK;
}

enum srtp_status srtcp_tx_index(struct srtcp_tx_stream *stream, uint32_t *index)
{
	if (stream->next > SRTCP_INDEX_MAX)
		return SRTP_EXHAUSTED;
	*index = stream->next++;
	return SRTP_OK;
}

enum srtp_status srtcp_parse(
	const struct srtp_profile *profile, const uint8_t *buf, size_t len, struct srtcp_view *out)
{
	struct rcursor c = rcursor_init(buf, len);
	size_t fixed = SRTCP_HDR_LEN + profile->tag_len + SRTCP_WORD_LEN;
	uint32_t word;

	if (len < fixed)
		return SRTP_SHORT;
	out->enc_len = len - fixed;
	rcursor_skip(&c, 4);
	out->ssrc = rcursor_be32(&c);
	rcursor_skip(&c, out->enc_len);
	if (profile->aead) {
		out->tag_off = rcursor_offset(&c);
		rcursor_skip(&c, profile->tag_len);
		out->word_off = rcursor_offset(&c);
		word = rcursor_be32(&c);
	} else {
		out->word_off = rcursor_offset(&c);
		word = rcursor_be32(&c);
		out->tag_off = rcursor_offset(&c);
		rcursor_skip(&c, profile->tag_len);
	}
	if (!rcursor_ok(&c))
		return SRTP_SHORT;
	if (!(word >> 31))
		return SRTP_CLEAR;
	out->index = word & SRTCP_INDEX_MAX;
	return SRTP_OK;
}

/* The vectors are made for every packet: whole words, not octet by octet. */

static uint64_t be64(uint64_t v)
{
	return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? __builtin_bswap64(v) : v;
}

/** XOR a value, most significant octet first, into the first 8 octets of salt. */
static void xor_be64(const uint8_t *salt, uint64_t value, uint8_t *out)
{
	uint64_t word;

	memcpy(&word, salt, sizeof(word));
	word ^= be64(value);
	memcpy(out, &word, sizeof(word));
}

/** The same with 32 bits. */
static void xor_be32(const uint8_t *salt, uint32_t value, uint8_t *out)
{
	uint32_t word;

	memcpy(&word, salt, sizeof(word));
	word ^= (uint32_t)(be64(value) >> 32);
	memcpy(out, &word, sizeof(word));
}

void srtp_iv_cm(const uint8_t salt[14], uint32_t ssrc, uint64_t index, uint8_t iv[16])
{
	xor_be64(salt, ssrc, iv);
	xor_be32(salt + 8, (uint32_t)(index >> 16), iv + 8);
	iv[12] = salt[12] ^ (uint8_t)(index >> 8);
	iv[13] = salt[13] ^ (uint8_t)index;
	iv[14] = 0;
	iv[15] = 0;
}

/** RFC 7714, 8.1 and 9.1: two octets of nothing, the SSRC, then 48 bits. */
void srtp_iv_gcm(const uint8_t salt[12], uint32_t ssrc, uint64_t index, uint8_t iv[12])
{
	xor_be64(salt, (uint64_t)ssrc << 16 | (index >> 32 & 0xffff), iv);
	xor_be32(salt + 8, (uint32_t)index, iv + 8);
}

void srtcp_iv_gcm(const uint8_t salt[12], uint32_t ssrc, uint32_t index, uint8_t iv[12])
{
	srtp_iv_gcm(salt, ssrc, index & SRTCP_INDEX_MAX, iv);
}

void srtcp_word(uint32_t index, uint8_t word[SRTCP_WORD_LEN])
{
	struct wcursor c = wcursor_init(word, SRTCP_WORD_LEN);

	wcursor_be32(&c, index | 0x80000000u);
}

void srtp_roc_be(uint64_t index, uint8_t roc[4])
{
	struct wcursor c = wcursor_init(roc, 4);

	wcursor_be32(&c, (uint32_t)(index >> 16));
}
