// SPDX-License-Identifier: BSD-3-Clause
/*
 * What is asked for again and what is sent again, driven by arbitrary arrivals, requests and waits.
 * What must hold whatever comes: lists stay within their bounds and in order, no packet that came is
 * asked for, nothing more often than allowed, and what is sent again stays within its share.
 */
#include "sfu-dp/proto/cursor.h"
#include "sfu-dp/proto/nack.h"
#include "sfu-dp/proto/resend.h"

#include <stdlib.h>
#include <string.h>

#define SEEN 65536u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
	if (!ok)
		abort();
}

static uint8_t seen[SEEN / 8], asked[SEEN];

static bool was_seen(uint16_t seq)
{
	return seen[seq / 8] >> (seq % 8) & 1;
}

static void arrive(struct nack *n, uint64_t index, bool retransmitted, uint64_t now_us)
{
	// As the replay window has it: never twice, and not from before its reach.
	if (was_seen((uint16_t)index))
		return;
	seen[(uint16_t)index / 8] |= (uint8_t)(1u << (index % 8));
	nack_arrived(n, index, retransmitted, now_us);
	must(n->count <= NACK_MISSING_MAX);
}

static void ask(struct nack *n, uint64_t now_us)
{
	uint16_t seqs[NACK_MISSING_MAX];
	unsigned count = n->count && now_us >= n->due_us ? nack_due(n, now_us, seqs) : 0;

	must(count <= n->count);
	must(!n->count || n->due_us > now_us);
	for (unsigned i = 0; i < count; i++) {
		must(!was_seen(seqs[i]));
		must(++asked[seqs[i]] <= NACK_TRIES_MAX);
		must(!i || (uint16_t)(seqs[i] - seqs[i - 1]) < 0x8000);
	}
}

/** Answers never exceed the share of the media, beside what every second may have. */
static void answer(
	struct resend *r, uint64_t *media, uint64_t *again, uint64_t elapsed_us, uint64_t now_us)
{
	uint64_t index;

	must(r->waiting_count <= RESEND_WAITING);
	while (resend_next(r, now_us, &index)) {
		if (resend_spend(r, *media, 1200, now_us))
			*again += 1200;
	}
	must(*again * 100
		<= RESEND_SHARE_PERCENT * *media
			   + RESEND_LEAST_BYTES * 100u * (1 + elapsed_us / RESEND_WINDOW_US));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rcursor c = rcursor_init(data, size);
	uint64_t now_us = 1000000, highest, media = 0, again = 0, admitted = 0, start_us = now_us;
	struct resend r;
	struct nack n;

	memset(&n, 0, sizeof(n));
	memset(&r, 0, sizeof(r));
	memset(seen, 0, sizeof(seen));
	memset(asked, 0, sizeof(asked));
	resend_start(&r, 0, now_us);
	highest = rcursor_be16(&c);
	arrive(&n, highest, false, now_us);
	while (rcursor_left(&c) >= 2 && highest < SEEN - 256 + (data[0] << 8)) {
		uint8_t what = rcursor_u8(&c), how = rcursor_u8(&c);

		switch (what % 6) {
		case 0:
			highest += 1 + (how & 0x3f);
			arrive(&n, highest, false, now_us);
			break;
		case 1:
		case 2:
			if (how <= highest)
				arrive(&n, highest - how, what % 6 == 1, now_us);
			break;
		case 3:
			now_us += (uint64_t)how * how * 16;
			break;
		case 4:
			admitted += resend_admit(&r, how, now_us);
			must(admitted
				<= RESEND_ADMIT_BURST + 1
					   + (now_us - start_us) * RESEND_ADMIT_PER_S / 1000000);
			if (how <= highest)
				resend_ask(&r, highest - how, (uint32_t)what * 500, now_us);
			break;
		default:
			media += (uint64_t)how * 100;
			break;
		}
		ask(&n, now_us);
		answer(&r, &media, &again, now_us - start_us, now_us);
	}
	return 0;
}
