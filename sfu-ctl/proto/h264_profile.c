// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/proto/h264_profile.h"

#include <string.h>

/* RFC 6184, 8.1, table 5: profile_idc, then the bits of profile_iop that matter and their values. */
static const struct {
	uint8_t profile_idc;
	uint8_t iop_mask;
	uint8_t iop_value;
	enum h264_profile_kind profile;
} patterns[] = {
	{0x42, 0x4f, 0x40, H264_CONSTRAINED_BASELINE}, /* x1xx0000 */
	{0x4d, 0x8f, 0x80, H264_CONSTRAINED_BASELINE}, /* 1xxx0000 */
	{0x58, 0xcf, 0xc0, H264_CONSTRAINED_BASELINE}, /* 11xx0000 */
	{0x42, 0x4f, 0x00, H264_BASELINE}, /* x0xx0000 */
	{0x58, 0xcf, 0x80, H264_BASELINE}, /* 10xx0000 */
	{0x4d, 0xaf, 0x00, H264_MAIN}, /* 0x0x0000 */
	{0x64, 0xff, 0x00, H264_HIGH}, /* 00000000 */
	{0x64, 0xff, 0x0c, H264_CONSTRAINED_HIGH}, /* 00001100 */
	{0xf4, 0xff, 0x00, H264_PREDICTIVE_HIGH_444}, /* 00000000 */
};

static const uint8_t levels[] = {10, 11, 12, 13, 20, 21, 22, 30, 31, 32, 40, 41, 42, 50, 51, 52};

static const char *const prefixes[] = {
	[H264_CONSTRAINED_BASELINE] = "42e0",
	[H264_BASELINE] = "4200",
	[H264_MAIN] = "4d00",
	[H264_CONSTRAINED_HIGH] = "640c",
	[H264_HIGH] = "6400",
	[H264_PREDICTIVE_HIGH_444] = "f400",
};

/* Level 1b is written as level 1.1 with constraint_set3_flag; other profiles have no 1b. */
static const char *const texts_1b[] = {
	[H264_CONSTRAINED_BASELINE] = "42f00b",
	[H264_BASELINE] = "42100b",
	[H264_MAIN] = "4d100b",
	[H264_PREDICTIVE_HIGH_444] = NULL,
};

static bool hex24(const char *text, uint32_t *value)
{
	uint32_t v = 0;

	for (int i = 0; i < 6; i++) {
		char c = text[i];

		if (c >= '0' && c <= '9')
			v = v << 4 | (uint32_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			v = v << 4 | (uint32_t)(c - 'a' + 10);
		else if (c >= 'A' && c <= 'F')
			v = v << 4 | (uint32_t)(c - 'A' + 10);
		else
			return false;
	}
	*value = v;
	return true;
}

bool h264_profile_parse(const char *text, size_t len, struct h264_profile *out)
{
	uint32_t value;
	uint8_t idc, iop;
	bool known = false;

	if (len != 6 || !hex24(text, &value))
		return false;
	idc = (uint8_t)(value >> 16);
	iop = (uint8_t)(value >> 8);
	out->level_idc = (uint8_t)value;
	out->level_1b = out->level_idc == 11 && (iop & 0x10) != 0;
	for (size_t i = 0; i < sizeof(levels); i++)
		known = known || levels[i] == out->level_idc;
	if (!known)
		return false;
	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		if (idc == patterns[i].profile_idc
			&& (iop & patterns[i].iop_mask) == patterns[i].iop_value) {
			out->profile = patterns[i].profile;
			return true;
		}
	}
	return false;
}

/* Levels in order: 1, 1b, 1.1, ... */
static unsigned int rank(const struct h264_profile *p)
{
	return p->level_1b ? 21u : 2u * p->level_idc;
}

bool h264_profile_answer(const struct h264_profile *local, const struct h264_profile *remote,
	bool asymmetry, char text[H264_PROFILE_TEXT_BYTES])
{
	static const char hex[] = "0123456789abcdef";
	const struct h264_profile *level = local;

	if (local->profile != remote->profile)
		return false;
	if (!asymmetry && rank(remote) < rank(local))
		level = remote;
	if (level->level_1b) {
		if (texts_1b[local->profile] == NULL)
			return false;
		memcpy(text, texts_1b[local->profile], H264_PROFILE_TEXT_BYTES);
		return true;
	}
	memcpy(text, prefixes[local->profile], 4);
	text[4] = hex[level->level_idc >> 4];
	text[5] = hex[level->level_idc & 0xf];
	text[6] = '\0';
	return true;
}
