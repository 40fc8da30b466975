// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/proto/sframe.h"

#include "sfu-dp/proto/cursor.h"

#define INLINE_MAX 7 // largest value that fits into the three bits

/*
 * Read a value of which the flag octet holds four bits: below 8 the value itself, else 8 + the
 * number of octets less one. The value has to need all of them, or it had a shorter form.
 */
static enum sframe_status value_parse(struct rcursor *c, unsigned bits, uint64_t *out)
{
	unsigned octets = (bits & 7) + 1;
	uint64_t v = 0;

	if (!(bits & 8)) {
		*out = bits;
		return SFRAME_OK;
	}
	for (unsigned i = 0; i < octets; i++) {
		v = v << 8 | rcursor_u8(c);
		if (i == 0 && octets > 1 && v == 0 && rcursor_ok(c))
			return SFRAME_MALFORMED;
	}
	if (!rcursor_ok(c))
		return SFRAME_SHORT;
	if (v <= INLINE_MAX)
		return SFRAME_MALFORMED;
	*out = v;
	return SFRAME_OK;
}

enum sframe_status sframe_parse(const uint8_t *buf, size_t len, struct sframe_header *out)
{
	struct rcursor c = rcursor_init(buf, len);
	unsigned flags = rcursor_u8(&c);
	struct sframe_header h = {0, 0, 0};
	enum sframe_status st;

	if (!rcursor_ok(&c))
		return SFRAME_SHORT;
	st = value_parse(&c, flags >> 4, &h.kid);
	if (st == SFRAME_OK)
		st = value_parse(&c, flags & 0x0f, &h.ctr);
	if (st != SFRAME_OK)
		return st;
	h.len = (uint8_t)rcursor_offset(&c);
	*out = h;
	return SFRAME_OK;
}

static unsigned value_octets(uint64_t v)
{
	unsigned n = 0;

	if (v <= INLINE_MAX)
		return 0;
	for (; v; v >>= 8)
		n++;
	return n;
}

static void value_encode(struct wcursor *c, uint64_t v, unsigned octets)
{
	while (octets-- > 0)
		wcursor_u8(c, (uint8_t)(v >> 8 * octets));
}

int sframe_encode(uint8_t *out, size_t cap, uint64_t kid, uint64_t ctr)
{
	struct wcursor c = wcursor_init(out, cap);
	unsigned k = value_octets(kid), n = value_octets(ctr);

	if (cap < 1 + k + n)
		return SFRAME_NO_ROOM;
	wcursor_u8(&c, (uint8_t)((k ? 8 + k - 1 : kid) << 4 | (n ? 8 + n - 1 : ctr)));
	value_encode(&c, kid, k);
	value_encode(&c, ctr, n);
	return wcursor_ok(&c) ? (int)wcursor_len(&c) : SFRAME_NO_ROOM;
}

enum sframe_status sframe_reference_parse(const uint8_t *buf, size_t len, uint8_t *epoch)
{
	struct rcursor c = rcursor_init(buf, len);
	uint8_t first = rcursor_u8(&c);

	if (!rcursor_skip(&c, SFRAME_TAG_LEN))
		return SFRAME_SHORT;
	if (first & 0x80)
		return SFRAME_MALFORMED;
	*epoch = first;
	return SFRAME_OK;
}
