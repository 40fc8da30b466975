// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/proto/inet_sum.h"

#include <string.h>

/**
 * Words of 32 bits into a sum of 64: no carry to look after, and the compiler turns the loop into
 * the vectors of the function it is inlined into.
 */
static inline __attribute__((always_inline)) uint64_t sum_words(const uint8_t *buf, size_t words)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < words; i++) {
		uint32_t word;

		memcpy(&word, buf + 4 * i, sizeof(word));
		sum += word;
	}
	return sum;
}

/** The up to three octets behind the last whole word. */
static inline uint64_t sum_rest(const uint8_t *buf, size_t len)
{
	uint16_t half[2] = {0, 0};

	memcpy(half, buf, len);
	return (uint64_t)half[0] + half[1];
}

uint64_t inet_sum_plain(const uint8_t *buf, size_t len)
{
	return sum_words(buf, len / 4) + sum_rest(buf + len / 4 * 4, len % 4);
}

#if defined(__x86_64__)

__attribute__((target("avx2"))) static uint64_t words_avx2(const uint8_t *buf, size_t words)
{
	return sum_words(buf, words);
}

uint64_t inet_sum(const uint8_t *buf, size_t len)
{
	if (!__builtin_cpu_supports("avx2"))
		return inet_sum_plain(buf, len);
	return words_avx2(buf, len / 4) + sum_rest(buf + len / 4 * 4, len % 4);
}

#else

uint64_t inet_sum(const uint8_t *buf, size_t len)
{
	return inet_sum_plain(buf, len);
}

#endif
