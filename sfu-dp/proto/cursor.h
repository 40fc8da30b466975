// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/**
 * @file
 * Bounds-checked reading and writing of big-endian wire formats, shared by the protocol cores.
 *
 * One cursor moves toward one end pointer. A read or write past the end does nothing but raise
 * the sticky `bad` flag (reads then give 0), so a decoder may read a whole fixed structure and
 * ask once with rcursor_ok() or wcursor_ok(). Any lcore; no allocation; the buffer belongs to the caller.
 */

/** A reader over octets that are not modified and must outlive it. */
struct rcursor {
	const uint8_t *base; // first octet; offsets are counted from here
	const uint8_t *pos; // next octet to read
	const uint8_t *end; // one past the last
	bool bad; // a read went past the end; sticky
};

/** A writer into a caller's buffer; never writes at or past `end`. */
struct wcursor {
	uint8_t *base; // first octet
	uint8_t *pos; // next octet to write
	uint8_t *end; // one past the last
	bool bad; // a write did not fit; sticky, nothing of that write was stored
};

/** Start reading len octets at buf. */
static inline struct rcursor rcursor_init(const uint8_t *buf, size_t len)
{
	// A null buffer of length 0 is allowed: no arithmetic on the null pointer.
	struct rcursor c = {buf, buf, len ? buf + len : buf, false};

	return c;
}

/** Octets left to read. */
static inline size_t rcursor_left(const struct rcursor *c)
{
	return (size_t)(c->end - c->pos);
}

/** Offset of the next octet, counted from the start. */
static inline size_t rcursor_offset(const struct rcursor *c)
{
	return (size_t)(c->pos - c->base);
}

/** True while no read went past the end. */
static inline bool rcursor_ok(const struct rcursor *c)
{
	return !c->bad;
}

/**
 * Take the next len octets.
 * @return pointer into the buffer, or NULL (and `bad` set, nothing taken) when fewer are left
 */
static inline const uint8_t *rcursor_take(struct rcursor *c, size_t len)
{
	const uint8_t *p = c->pos;

	if (c->bad || rcursor_left(c) < len) {
		c->bad = true;
		return NULL;
	}
	if (len)
		c->pos += len;
	return p;
}

/** Skip len octets; false, and nothing skipped, when fewer are left. */
static inline bool rcursor_skip(struct rcursor *c, size_t len)
{
	rcursor_take(c, len);
	return !c->bad;
}

/** Next 8 bits; 0 and `bad` past the end. */
static inline uint8_t rcursor_u8(struct rcursor *c)
{
	const uint8_t *p = rcursor_take(c, 1);

	return p ? p[0] : 0;
}

/** Next 16 bits in host order; 0 and `bad` past the end. */
static inline uint16_t rcursor_be16(struct rcursor *c)
{
	const uint8_t *p = rcursor_take(c, 2);

	return p ? (uint16_t)(p[0] << 8 | p[1]) : 0;
}

/** Next 24 bits in host order; 0 and `bad` past the end. */
static inline uint32_t rcursor_be24(struct rcursor *c)
{
	const uint8_t *p = rcursor_take(c, 3);

	return p ? (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2] : 0;
}

/** Next 32 bits in host order; 0 and `bad` past the end. */
static inline uint32_t rcursor_be32(struct rcursor *c)
{
	const uint8_t *p = rcursor_take(c, 4);

	return p ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3] : 0;
}

/** Next 64 bits in host order; 0 and `bad` past the end. */
static inline uint64_t rcursor_be64(struct rcursor *c)
{
	const uint8_t *p = rcursor_take(c, 8);
	uint64_t v = 0;

	if (p) {
		for (int i = 0; i < 8; i++)
			v = v << 8 | p[i];
	}
	return v;
}

/** Start writing into cap octets at buf. */
static inline struct wcursor wcursor_init(uint8_t *buf, size_t cap)
{
	struct wcursor c = {buf, buf, cap ? buf + cap : buf, false};

	return c;
}

/** Octets of room left. */
static inline size_t wcursor_left(const struct wcursor *c)
{
	return (size_t)(c->end - c->pos);
}

/** Octets written so far. */
static inline size_t wcursor_len(const struct wcursor *c)
{
	return (size_t)(c->pos - c->base);
}

/** True while every write fitted. */
static inline bool wcursor_ok(const struct wcursor *c)
{
	return !c->bad;
}

/**
 * Reserve len octets for the caller to fill.
 * @return pointer into the buffer, or NULL (and `bad` set, nothing reserved) when short
 */
static inline uint8_t *wcursor_reserve(struct wcursor *c, size_t len)
{
	uint8_t *p = c->pos;

	if (c->bad || wcursor_left(c) < len) {
		c->bad = true;
		return NULL;
	}
	if (len)
		c->pos += len;
	return p;
}

/** Copy len octets; src may be NULL when len is 0. */
static inline void wcursor_bytes(struct wcursor *c, const void *src, size_t len)
{
	uint8_t *p = wcursor_reserve(c, len);

	if (p && len)
		memcpy(p, src, len);
}

/** Write len zero octets. */
static inline void wcursor_zero(struct wcursor *c, size_t len)
{
	uint8_t *p = wcursor_reserve(c, len);

	if (p && len)
		memset(p, 0, len);
}

/** Write 8 bits. */
static inline void wcursor_u8(struct wcursor *c, uint8_t v)
{
	uint8_t *p = wcursor_reserve(c, 1);

	if (p)
		p[0] = v;
}

/** Write 16 bits, most significant octet first. */
static inline void wcursor_be16(struct wcursor *c, uint16_t v)
{
	uint8_t *p = wcursor_reserve(c, 2);

	if (p) {
		p[0] = (uint8_t)(v >> 8);
		p[1] = (uint8_t)v;
	}
}

/** Write the low 24 bits, most significant octet first. */
static inline void wcursor_be24(struct wcursor *c, uint32_t v)
{
	uint8_t *p = wcursor_reserve(c, 3);

	if (p) {
		p[0] = (uint8_t)(v >> 16);
		p[1] = (uint8_t)(v >> 8);
		p[2] = (uint8_t)v;
	}
}

/** Write 32 bits, most significant octet first. */
static inline void wcursor_be32(struct wcursor *c, uint32_t v)
{
	uint8_t *p = wcursor_reserve(c, 4);

	if (p) {
		p[0] = (uint8_t)(v >> 24);
		p[1] = (uint8_t)(v >> 16);
		p[2] = (uint8_t)(v >> 8);
		p[3] = (uint8_t)v;
	}
}

/** Write 64 bits, most significant octet first. */
static inline void wcursor_be64(struct wcursor *c, uint64_t v)
{
	wcursor_be32(c, (uint32_t)(v >> 32));
	wcursor_be32(c, (uint32_t)v);
}
