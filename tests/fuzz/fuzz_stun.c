// SPDX-License-Identifier: BSD-3-Clause
// Any datagram through parse, verify and the answers.
//
// The cipher is a dull sum, so that the fuzzer can sign a message. What must hold: a view points
// into the datagram; an answer re-parses, verifies, and keeps the size rule; only a signed message
// verifies.
#include "sfu-dp/proto/stun.h"

#include <stdlib.h>
#include <string.h>

#define REQUIRE(condition)                                                                         \
	do {                                                                                       \
		if (!(condition))                                                                  \
			abort();                                                                   \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t pwd[] = "password-of-24-octets...";

static void dull_hmac(void *ctx, const uint8_t *key, size_t key_len, const struct stun_bytes *parts,
	size_t part_count, uint8_t out[20])
{
	uint8_t sum = 0;

	(void)ctx;
	for (size_t i = 0; i < key_len; i++)
		sum = (uint8_t)(sum + key[i]);
	for (size_t p = 0; p < part_count; p++) {
		for (size_t i = 0; i < parts[p].len; i++)
			sum = (uint8_t)(sum + parts[p].ptr[i]);
	}
	// Mostly zero, so that a mutation reaches it; one octet still depends on every other.
	memset(out, 0, 20);
	out[0] = sum & 3;
}

static const struct stun_crypto crypto = {dull_hmac, NULL};

static void check_span(const uint8_t *data, struct stun_span span, size_t len)
{
	REQUIRE(span.off ? span.off + (size_t)span.len <= len : !span.len);
	if (span.len) {
		volatile uint8_t last = data[span.off + span.len - 1];

		(void)last;
	}
}

static void check_answer(const uint8_t *answer, size_t len, const uint8_t *txid)
{
	struct stun_view v;

	REQUIRE(stun_parse(answer, len, &v) == STUN_OK);
	REQUIRE(v.len == len && v.fingerprint_off);
	REQUIRE(!memcmp(answer + STUN_TXID_OFF, txid, STUN_TXID_LEN));
	REQUIRE(stun_verify(answer, &v, pwd, sizeof(pwd) - 1, &crypto) == STUN_OK);
}

static void answer(const uint8_t *data, const struct stun_view *v)
{
	const uint8_t *txid = data + STUN_TXID_OFF;
	uint8_t out[STUN_RESPONSE_MAX + 1];
	struct stun_addr addr = {.port = v->priority & 0xffff, .version = v->priority & 1 ? 4 : 6};
	struct stun_view back;
	size_t cap = v->tie_breaker % (STUN_RESPONSE_MAX + 1), len;

	memcpy(addr.ip, txid, addr.version == 4 ? 4 : STUN_TXID_LEN);
	out[STUN_RESPONSE_MAX] = 0xa5;
	len = stun_encode_success(
		out, STUN_RESPONSE_MAX, txid, &addr, pwd, sizeof(pwd) - 1, &crypto);
	REQUIRE(len == (addr.version == 4 ? 64 : 76) && out[STUN_RESPONSE_MAX] == 0xa5);
	// An authentic check of an ICE agent names us and is fingerprinted; see the size rule.
	if (v->local_ufrag.len >= 4 && v->remote_ufrag.len >= 4 && v->fingerprint_off
		&& addr.version == 4)
		REQUIRE(len <= v->len);
	check_answer(out, len, txid);
	REQUIRE(stun_parse(out, len, &back) == STUN_OK);
	REQUIRE(back.class == STUN_SUCCESS && back.mapped.version == addr.version);
	REQUIRE(back.mapped.port == addr.port);
	REQUIRE(!memcmp(back.mapped.ip, addr.ip, sizeof(addr.ip)));
	len = stun_encode_error(out, STUN_RESPONSE_MAX, txid, STUN_ERROR_ROLE_CONFLICT, pwd,
		sizeof(pwd) - 1, &crypto);
	REQUIRE(len == 60);
	check_answer(out, len, txid);
	out[cap] = 0xa5;
	len = stun_encode_success(out, cap, txid, &addr, pwd, sizeof(pwd) - 1, &crypto);
	REQUIRE(out[cap] == 0xa5 && len <= cap);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct stun_view v;
	enum stun_status status;

	if (stun_parse(data, size, &v) != STUN_OK)
		return 0;
	REQUIRE(v.len == size);
	check_span(data, v.username, size);
	check_span(data, v.local_ufrag, size);
	check_span(data, v.remote_ufrag, size);
	REQUIRE(!v.integrity_off || v.integrity_off + 24u <= size);
	REQUIRE(!v.fingerprint_off || v.fingerprint_off + 8u == size);
	status = stun_verify(data, &v, pwd, sizeof(pwd) - 1, &crypto);
	REQUIRE(status != STUN_OK || v.integrity_off);
	if (status == STUN_OK)
		answer(data, &v);
	return 0;
}
