// SPDX-License-Identifier: BSD-3-Clause
#include "tests/support/twcc_oracle.h"

static int bits(const uint8_t *at, unsigned first, unsigned count)
{
	int value = 0;

	for (unsigned i = first; i < first + count; i++)
		value = value << 1 | (at[i / 8] >> (7 - i % 8) & 1);
	return value;
}

/** Symbols of one chunk, appended. */
static void chunk(const uint8_t *at, uint32_t count, uint8_t *symbol, uint32_t *have)
{
	if (bits(at, 0, 1) == 0) {
		int run = bits(at, 3, 13);

		for (int i = 0; i < run && *have < count; i++)
			symbol[(*have)++] = (uint8_t)bits(at, 1, 2);
	} else if (bits(at, 1, 1) == 0) {
		for (unsigned i = 0; i < 14 && *have < count; i++)
			symbol[(*have)++] = (uint8_t)bits(at, 2 + i, 1);
	} else {
		for (unsigned i = 0; i < 7 && *have < count; i++)
			symbol[(*have)++] = (uint8_t)bits(at, 2 + 2 * i, 2);
	}
}

bool twcc_oracle_read(const uint8_t *rtcp, size_t len, struct twcc_oracle *out)
{
	static uint8_t symbol[TWCC_ORACLE_MAX];
	uint32_t have = 0;
	size_t at = 20;
	int64_t ticks;

	if (len < 20 || bits(rtcp, 0, 2) != 2 || bits(rtcp, 3, 5) != 15 || rtcp[1] != 205
		|| (size_t)(bits(rtcp, 16, 16) + 1) * 4 != len)
		return false;
	if (bits(rtcp, 2, 1)) {
		if (!rtcp[len - 1] || rtcp[len - 1] > len - 4)
			return false;
		len -= rtcp[len - 1];
		if (len < 20)
			return false;
	}
	out->base = (uint16_t)bits(rtcp, 96, 16);
	out->count = (uint32_t)bits(rtcp, 112, 16);
	ticks = (int64_t)bits(rtcp, 128, 24) * 256;
	out->feedback_count = rtcp[19];
	while (have < out->count) {
		if (at + 2 > len)
			return false;
		chunk(rtcp + at, out->count, symbol, &have);
		at += 2;
	}
	for (uint32_t i = 0; i < out->count; i++) {
		size_t octets = symbol[i] == 3 ? 0 : symbol[i];

		if (symbol[i] == 3 || at + octets > len)
			return false;
		out->arrived[i] = octets > 0;
		if (octets == 1)
			ticks += rtcp[at];
		else if (octets == 2)
			ticks += (int16_t)(uint16_t)bits(rtcp, (unsigned)at * 8, 16);
		out->ticks[i] = ticks;
		at += octets;
	}
	return out->count > 0;
}
