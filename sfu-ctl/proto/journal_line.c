// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/proto/journal_line.h"

#include <stdio.h>
#include <string.h>

#define CRC_DIGITS 8u

uint32_t journal_crc(const void *bytes, size_t len)
{
	// Nibble by nibble: sixteen words instead of a table that must be built first.
	static const uint32_t table[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac,
		0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8,
		0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
	const uint8_t *b = bytes;
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < len; i++) {
		crc ^= b[i];
		crc = crc >> 4 ^ table[crc & 15];
		crc = crc >> 4 ^ table[crc & 15];
	}
	return ~crc;
}

static int plain(const char *name)
{
	return *name != '\0' && strpbrk(name, "\t\n") == NULL;
}

size_t journal_line(char *out, size_t size, const char *kind, const char *id, const char *text)
{
	char crc[CRC_DIGITS + 1];
	int len;

	if (!plain(kind) || !plain(id) || (text != NULL && strpbrk(text, "\t\n") != NULL))
		return 0;
	len = snprintf(out, size, "%8s %s\t%s%s%s\n", "", kind, id, text == NULL ? "" : "\t",
		text == NULL ? "" : text);
	if (len < 0 || (size_t)len >= size || (size_t)len > JOURNAL_LINE_MAX)
		return 0;
	snprintf(crc, sizeof(crc), "%08x",
		journal_crc(out + CRC_DIGITS + 1, (size_t)len - CRC_DIGITS - 2));
	memcpy(out, crc, CRC_DIGITS);
	return (size_t)len;
}

/* Lower-case digits only, so that a line has one spelling. */
static int read_crc(const char *digits, uint32_t *out)
{
	*out = 0;
	for (size_t i = 0; i < CRC_DIGITS; i++) {
		static const char hex[] = "0123456789abcdef";
		const char *at = memchr(hex, digits[i], 16);

		if (at == NULL)
			return -1;
		*out = *out << 4 | (uint32_t)(at - hex);
	}
	return 0;
}

/* One line without its LF, which the caller has made a NUL. */
static int read_line(char *line, size_t len, journal_line_fn fn, void *ctx)
{
	char *kind = line + CRC_DIGITS + 1, *id, *text;
	uint32_t crc;

	if (len < CRC_DIGITS + 1 || line[CRC_DIGITS] != ' ' || read_crc(line, &crc) < 0
		|| crc != journal_crc(kind, len - CRC_DIGITS - 1) || strlen(line) != len)
		return -1;
	id = strchr(kind, '\t');
	if (id == NULL)
		return -1;
	*id++ = '\0';
	text = strchr(id, '\t');
	if (text != NULL)
		*text++ = '\0';
	if (*kind == '\0' || *id == '\0')
		return -1;
	return fn(ctx, kind, id, text);
}

enum journal_status journal_scan(char *bytes, size_t len, journal_line_fn fn, void *ctx)
{
	size_t at = 0;

	while (at < len) {
		char *end = memchr(bytes + at, '\n', len - at);

		if (end == NULL)
			return JOURNAL_CUT;
		*end = '\0';
		if (read_line(bytes + at, (size_t)(end - bytes) - at, fn, ctx) != 0)
			return JOURNAL_DAMAGED;
		at = (size_t)(end - bytes) + 1;
	}
	return JOURNAL_OK;
}
