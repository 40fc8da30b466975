// SPDX-License-Identifier: BSD-3-Clause
/* A header that parses encodes to the very octets it was read from; any values survive the way. */
#include "sfu-dp/proto/sframe.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(int ok)
{
	if (!ok)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sframe_header h, again;
	uint8_t buf[SFRAME_HDR_MAX];
	uint64_t kid, ctr;
	uint8_t epoch;
	int n;

	if (sframe_parse(data, size, &h) == SFRAME_OK) {
		expect(h.len >= 1 && h.len <= SFRAME_HDR_MAX && h.len <= size);
		expect(sframe_encode(buf, sizeof(buf), h.kid, h.ctr) == h.len);
		expect(memcmp(buf, data, h.len) == 0);
		expect(sframe_encode(buf, h.len - 1u, h.kid, h.ctr) == SFRAME_NO_ROOM);
		for (size_t cut = 0; cut < h.len; cut++)
			expect(sframe_parse(data, cut, &again) == SFRAME_SHORT);
	}
	if (size >= 16) {
		memcpy(&kid, data, 8);
		memcpy(&ctr, data + 8, 8);
		n = sframe_encode(buf, sizeof(buf), kid, ctr);
		expect(n >= 1 && sframe_parse(buf, (size_t)n, &h) == SFRAME_OK);
		expect(h.kid == kid && h.ctr == ctr && h.len == n);
	}
	if (sframe_reference_parse(data, size, &epoch) == SFRAME_OK)
		expect(size >= 17 && epoch == data[0]);
	return 0;
}
