// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/proto/rtp_ext.h"

bool rtp_ext_iter_init(struct rtp_ext_iter *it, uint16_t profile, const uint8_t *elems, size_t len)
{
	bool one_byte = profile == RTP_EXT_ONE_BYTE;

	// The low four bits of the two-byte profile are "appbits", free for applications.
	it->two_byte = (profile & 0xfff0) == RTP_EXT_TWO_BYTE;
	it->malformed = false;
	it->c = rcursor_init(elems, one_byte || it->two_byte ? len : 0);
	return one_byte || it->two_byte;
}

bool rtp_ext_next(struct rtp_ext_iter *it, struct rtp_ext_elem *out)
{
	while (rcursor_left(&it->c)) {
		uint8_t b = rcursor_u8(&it->c);
		uint8_t id = b, len;
		const uint8_t *data;

		if (!b)
			continue;
		if (it->two_byte) {
			len = rcursor_u8(&it->c);
		} else {
			id = b >> 4;
			len = (uint8_t)((b & 15) + 1);
			// RFC 8285, 4.2: 15 is reserved and ends the walk; 0 with a length too.
			if (id == 0 || id == 15) {
				it->malformed = id == 0;
				break;
			}
		}
		data = rcursor_take(&it->c, len);
		if (!data) {
			it->malformed = true;
			break;
		}
		*out = (struct rtp_ext_elem){data, id, len};
		return true;
	}
	// Nothing behind the end of the walk may come out of a further call.
	it->c.pos = it->c.end;
	return false;
}

bool rtp_ext_find(
	uint16_t profile, const uint8_t *elems, size_t len, uint8_t id, struct rtp_ext_elem *out)
{
	struct rtp_ext_iter it;
	struct rtp_ext_elem elem;

	rtp_ext_iter_init(&it, profile, elems, len);
	while (rtp_ext_next(&it, &elem)) {
		if (elem.id == id) {
			*out = elem;
			return true;
		}
	}
	return false;
}

/** What goes into the block, before its form is known. */
struct selection {
	struct rtp_ext_elem elems[RTP_EXT_ELEMS_MAX];
	unsigned count;
	uint64_t seen[4]; // outgoing ids taken, one bit each
	bool two_byte; // an element does not fit the one-byte form
};

static bool select_elem(struct selection *s, uint8_t id, const uint8_t *data, uint8_t len)
{
	uint64_t bit = 1ull << (id & 63);

	if (!id || s->seen[id >> 6] & bit || s->count == RTP_EXT_ELEMS_MAX)
		return false;
	s->seen[id >> 6] |= bit;
	s->two_byte |= id > 14 || len == 0 || len > 16;
	s->elems[s->count++] = (struct rtp_ext_elem){data, id, len};
	return true;
}

static void select_mapped(struct selection *s, uint16_t profile, const uint8_t *elems, size_t len,
	const struct rtp_ext_map *map)
{
	struct rtp_ext_iter it;
	struct rtp_ext_elem elem;

	rtp_ext_iter_init(&it, profile, elems, len);
	while (rtp_ext_next(&it, &elem)) {
		if (elem.id < RTP_EXT_MAP_LEN)
			select_elem(s, map->out_id[elem.id], elem.data, elem.len);
	}
}

int rtp_ext_build(uint8_t *out, size_t cap, uint16_t profile, const uint8_t *elems, size_t len,
	const struct rtp_ext_map *map, struct rtp_ext_value *values, unsigned value_count)
{
	struct wcursor c = wcursor_init(out, cap);
	struct selection s;
	uint16_t *off[RTP_EXT_ELEMS_MAX];
	unsigned own = 0;
	size_t elems_len, padding;

	// Not "= {0}": the elements need no clearing, and this runs once per packet and consumer.
	s.count = 0;
	s.two_byte = false;
	memset(s.seen, 0, sizeof(s.seen));
	for (unsigned i = 0; i < value_count && i < RTP_EXT_ELEMS_MAX; i++) {
		values[i].off = 0;
		if (select_elem(&s, values[i].id, values[i].data, values[i].len))
			off[own++] = &values[i].off;
	}
	select_mapped(&s, profile, elems, len, map);
	if (!s.count)
		return 0;
	wcursor_reserve(&c, RTP_EXT_HEADER_LEN);
	for (unsigned i = 0; i < s.count; i++) {
		const struct rtp_ext_elem *e = &s.elems[i];

		if (s.two_byte) {
			wcursor_u8(&c, e->id);
			wcursor_u8(&c, e->len);
		} else {
			wcursor_u8(&c, (uint8_t)(e->id << 4 | (e->len - 1)));
		}
		if (i < own)
			*off[i] = (uint16_t)wcursor_len(&c);
		wcursor_bytes(&c, e->data, e->len);
	}
	padding = (4 - wcursor_len(&c) % 4) % 4;
	wcursor_zero(&c, padding);
	if (!wcursor_ok(&c))
		return RTP_EXT_NO_SPACE;
	elems_len = wcursor_len(&c) - RTP_EXT_HEADER_LEN;
	c = wcursor_init(out, cap);
	wcursor_be16(&c, s.two_byte ? RTP_EXT_TWO_BYTE : RTP_EXT_ONE_BYTE);
	wcursor_be16(&c, (uint16_t)(elems_len / 4));
	return (int)(RTP_EXT_HEADER_LEN + elems_len);
}
