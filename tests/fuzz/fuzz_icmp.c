// SPDX-License-Identifier: BSD-3-Clause
/*
 * ICMP and ICMPv6 from anybody: solicitations, "too big", and the checksum under them. The first octet
 * chooses, the rest is the message.
 */
#include "sfu-dp/proto/icmp.h"
#include "sfu-dp/proto/inet_sum.h"

#include <stdlib.h>
#include <string.h>

#define REQUIRE(condition)                                                                         \
	do {                                                                                       \
		if (!(condition))                                                                  \
			abort();                                                                   \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void solicit(const uint8_t *buf, size_t len)
{
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
	uint8_t out[ICMP6_ADVERT_LEN + 1];
	struct icmp6_solicit s;

	if (icmp6_solicit_parse(buf, len, &s) != ICMP_OK)
		return;
	REQUIRE(len >= 24 && buf[0] == ICMP6_SOLICIT && !buf[1]);
	REQUIRE(s.target[0] != 0xff && !memcmp(s.target, buf + 8, 16));
	REQUIRE(!s.has_source_mac || (len >= 32 && !(s.source_mac[0] & 1)));
	for (size_t cap = 0; cap <= ICMP6_ADVERT_LEN; cap++) {
		out[cap] = 0xa5;
		REQUIRE(icmp6_advert_encode(out, cap, s.target, mac, s.has_source_mac)
			== (cap == ICMP6_ADVERT_LEN ? cap : 0));
		REQUIRE(out[cap] == 0xa5);
	}
}

static void too_big(const uint8_t *buf, size_t len, bool is_ip6)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	struct icmp_too_big t;
	enum icmp_status status
		= is_ip6 ? icmp6_too_big_parse(buf, len, &t) : icmp4_too_big_parse(buf, len, &t);

	if (status != ICMP_OK)
		return;
	REQUIRE(len >= (is_ip6 ? 52u : 32u));
	REQUIRE(is_ip6 || (!memcmp(t.local, mapped, 12) && !memcmp(t.remote, mapped, 12)));
	REQUIRE(is_ip6 ? t.quoted_len >= 40 && t.quoted_len <= 65575 : t.quoted_len <= 65535);
	REQUIRE(is_ip6 || t.mtu <= 65535);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t len = size ? size - 1 : 0, even;
	const uint8_t *buf = data + 1;

	if (!size)
		return 0;
	even = len / 4 * 2;
	REQUIRE(inet_fold(inet_sum(buf, len)) == inet_fold(inet_sum_plain(buf, len)));
	REQUIRE(inet_fold(inet_sum(buf, len))
		== inet_fold(inet_sum(buf, even) + inet_sum(buf + even, len - even)));
	switch (data[0] % 3) {
	case 0:
		solicit(buf, len);
		break;
	case 1:
		too_big(buf, len, false);
		break;
	default:
		too_big(buf, len, true);
		break;
	}
	return 0;
}
