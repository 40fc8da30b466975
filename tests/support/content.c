// SPDX-License-Identifier: BSD-3-Clause
#include "tests/support/content.h"

#include "sfu-dp/proto/cursor.h"
#include "sfu-dp/proto/stun.h"

#include <string.h>

#define MAGIC 0x53465550u // "SFUP"
#define HEADER_LEN (CONTENT_MIN - 4)
#define FLAG_MARKER 0x01

/** xorshift64* over a seed that no two packets share. */
static uint64_t filler_seed(const struct content *c)
{
	uint64_t seed = c->number * 0x9e3779b97f4a7c15u;

	seed ^= ((uint64_t)c->sender << 8 | c->track) * 0xbf58476d1ce4e5b9u;
	seed ^= c->epoch * 0x94d049bb133111ebu;
	return seed ? seed : 1;
}

static uint64_t filler_next(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1du;
}

static void filler_write(uint8_t *out, size_t len, const struct content *c)
{
	uint64_t state = filler_seed(c);

	while (len) {
		uint64_t word = filler_next(&state);
		size_t n = len < sizeof(word) ? len : sizeof(word);

		memcpy(out, &word, n);
		out += n;
		len -= n;
	}
}

static bool filler_matches(const uint8_t *buf, size_t len, const struct content *c)
{
	uint64_t state = filler_seed(c);

	while (len) {
		uint64_t word = filler_next(&state);
		size_t n = len < sizeof(word) ? len : sizeof(word);

		if (memcmp(buf, &word, n))
			return false;
		buf += n;
		len -= n;
	}
	return true;
}

bool content_encode(uint8_t *out, size_t len, const struct content *content)
{
	struct wcursor c = wcursor_init(out, len);

	if (len < CONTENT_MIN)
		return false;
	wcursor_be32(&c, MAGIC);
	wcursor_be32(&c, content->sender);
	wcursor_u8(&c, content->track);
	wcursor_u8(&c, content->marker ? FLAG_MARKER : 0);
	wcursor_u8(&c, content->descriptor_len);
	wcursor_u8(&c, 0);
	wcursor_be32(&c, content->timestamp);
	wcursor_be64(&c, content->number);
	wcursor_be64(&c, content->sent_us);
	wcursor_be64(&c, content->epoch);
	wcursor_bytes(&c, content->descriptor, sizeof(content->descriptor));
	filler_write(out + HEADER_LEN, len - CONTENT_MIN, content);
	c = wcursor_init(out + len - 4, 4);
	wcursor_be32(&c, stun_crc32(0, out, len - 4));
	return true;
}

enum content_status content_check(const uint8_t *buf, size_t len, struct content *out)
{
	struct rcursor c = rcursor_init(buf, len);
	const uint8_t *descriptor;

	if (len < CONTENT_MIN)
		return CONTENT_SHORT;
	if (rcursor_be32(&c) != MAGIC)
		return CONTENT_NOT_OURS;
	memset(out, 0, sizeof(*out));
	out->sender = rcursor_be32(&c);
	out->track = rcursor_u8(&c);
	out->marker = rcursor_u8(&c) & FLAG_MARKER;
	out->descriptor_len = rcursor_u8(&c);
	rcursor_u8(&c);
	out->timestamp = rcursor_be32(&c);
	out->number = rcursor_be64(&c);
	out->sent_us = rcursor_be64(&c);
	out->epoch = rcursor_be64(&c);
	descriptor = rcursor_take(&c, sizeof(out->descriptor));
	memcpy(out->descriptor, descriptor, sizeof(out->descriptor));
	c = rcursor_init(buf + len - 4, 4);
	if (rcursor_be32(&c) != stun_crc32(0, buf, len - 4))
		return CONTENT_BAD_SUM;
	if (out->descriptor_len > CONTENT_DESCRIPTOR_MAX
		|| !filler_matches(buf + HEADER_LEN, len - CONTENT_MIN, out))
		return CONTENT_BAD_FILLER;
	return CONTENT_OK;
}

uint64_t content_kid(uint32_t sender, uint8_t track, uint64_t epoch)
{
	return epoch << CONTENT_EPOCH_SHIFT | (uint64_t)sender << 8 | track;
}

void content_kid_parts(uint64_t kid, uint32_t *sender, uint8_t *track, uint64_t *epoch)
{
	*epoch = kid >> CONTENT_EPOCH_SHIFT;
	*sender = (uint32_t)(kid >> 8);
	*track = (uint8_t)kid;
}
