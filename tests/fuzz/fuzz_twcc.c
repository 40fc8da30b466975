// SPDX-License-Identifier: BSD-3-Clause
// Transport-wide feedback both ways. First octet even: a script of arrivals through the builder; what
// it tells, read by the oracle, must be exactly what arrived. Odd: octets as a client's feedback; our
// reader and the oracle must agree, and the sender's log must stay consistent.
#include "sfu-dp/proto/twcc.h"
#include "tests/support/twcc_oracle.h"

#include <stdlib.h>
#include <string.h>

#define REQUIRE(condition)                                                                         \
	do {                                                                                       \
		if (!(condition))                                                                  \
			abort();                                                                   \
	} while (0)
#define CANARY 0xa5

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct twcc_oracle oracle;

/** What arrived within the window, and when. */
static uint32_t when[0x10000];
static bool known[0x10000];

static void told(const struct twcc_arrivals *a, uint64_t begin)
{
	REQUIRE(oracle.base == (uint16_t)begin && oracle.count == a->begin - begin);
	for (uint32_t i = 0; i < oracle.count; i++) {
		uint16_t seq = (uint16_t)(oracle.base + i);

		REQUIRE(oracle.arrived[i] == known[seq]);
		REQUIRE(!known[seq] || (uint32_t)oracle.ticks[i] == when[seq]);
	}
}

static void feedback(struct twcc_arrivals *a, size_t cap)
{
	static uint8_t out[2048];

	while (twcc_pending(a)) {
		uint64_t begin = a->begin;
		size_t len;

		out[cap] = CANARY;
		len = twcc_encode(a, out, cap, 1, 2);
		REQUIRE(len <= cap && out[cap] == CANARY);
		REQUIRE(len || cap < TWCC_FEEDBACK_MIN);
		if (!len)
			return;
		REQUIRE(twcc_oracle_read(out, len, &oracle));
		told(a, begin);
	}
}

static void build(const uint8_t *data, size_t size)
{
	static struct twcc_arrivals a;
	uint64_t now_us = 0;
	uint16_t seq = 0;

	memset(&a, 0, sizeof(a));
	memset(known, 0, sizeof(known));
	for (size_t i = 0; i + 4 <= size; i += 4) {
		uint64_t before = a.end;

		if (data[i] == 0xff) {
			feedback(&a, data[i + 1] * 8u);
			continue;
		}
		seq = (uint16_t)(seq + (int8_t)data[i] + (data[i] & 1 ? data[i + 1] * 64 : 0));
		now_us += (uint64_t)data[i + 2] << (data[i + 3] & 31);
		if (!twcc_arrived(&a, seq, now_us))
			continue;
		// What the window left behind is unknown again; its numbers come anew.
		for (uint64_t gone = before; gone < a.end && a.end - before <= 0x10000; gone++)
			known[(uint16_t)(gone - TWCC_WINDOW)] = false;
		known[seq] = true;
		when[seq] = (uint32_t)(now_us / TWCC_TICK_US);
		REQUIRE(a.end - a.begin <= TWCC_WINDOW && a.begin < a.end);
	}
	feedback(&a, TWCC_FEEDBACK_MAX);
}

static void read_back(const struct rtcp_twcc *twcc, bool consistent)
{
	struct twcc_status status;
	struct twcc_iter it;
	uint32_t n = 0;

	REQUIRE((twcc_iter_init(&it, twcc, UINT16_MAX) == RTCP_OK) == consistent);
	if (!consistent)
		return;
	for (; twcc_next(&it, &status); n++) {
		REQUIRE(status.seq == (uint16_t)(oracle.base + n));
		REQUIRE(status.arrived == oracle.arrived[n]);
		REQUIRE(!status.arrived || status.ticks == (uint32_t)oracle.ticks[n]);
	}
	REQUIRE(n == oracle.count);
}

static void take(const struct rtcp_twcc *twcc, uint16_t next)
{
	static struct twcc_sent sent;
	uint32_t flying = 0;

	memset(&sent, 0, sizeof(sent));
	for (uint16_t i = 1; i <= 100; i++)
		twcc_note_sent(&sent, (uint16_t)(next - i), i, i);
	twcc_feedback(&sent, twcc, next, 1000000);
	for (unsigned i = 0; i < TWCC_WINDOW; i++)
		flying += sent.packet[i].state == TWCC_FLYING;
	REQUIRE(sent.packets + flying == 100 && sent.packets_lost <= sent.packets);
	REQUIRE(sent.feedbacks + sent.refused == 1);
}

static void parse(const uint8_t *data, size_t size)
{
	struct rtcp_feedback fb;
	struct rtcp_packet p;
	struct rtcp_twcc twcc;
	struct rtcp_iter it;

	rtcp_iter_init(&it, data, size);
	while (rtcp_next(&it, &p) == RTCP_OK) {
		if (rtcp_feedback_parse(&p, &fb) != RTCP_OK
			|| rtcp_twcc_parse(&fb, &twcc) != RTCP_OK)
			continue;
		read_back(&twcc, twcc_oracle_read(data + p.off, p.len, &oracle));
		take(&twcc, (uint16_t)(twcc.base_seq + twcc.status_count));
		take(&twcc, (uint16_t)(twcc.base_seq + 50));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	if (data[0] & 1)
		parse(data + 1, size - 1);
	else
		build(data + 1, size - 1);
	return 0;
}
