// SPDX-License-Identifier: BSD-3-Clause
#include "tests/support/rtp_repair.h"

#include "sfu-dp/proto/nack.h"
#include "sfu-dp/proto/rtcp.h"
#include "sfu-dp/proto/rtp.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define OSN_LEN 2
/** Sequence numbers below the highest that are told apart; older ones count as known. */
#define WINDOW 2048u

struct rtp_repair {
	struct rtp_repair_config config;
	struct rtp_repair_counts counts;
	struct nack nack;
	uint64_t highest; // extended; 0 = none yet
	uint64_t seen[WINDOW / 64];
};

struct rtp_repair *rtp_repair_create(const struct rtp_repair_config *config)
{
	struct rtp_repair *r = calloc(1, sizeof(*r));

	if (r)
		r->config = *config;
	return r;
}

void rtp_repair_destroy(struct rtp_repair *r)
{
	free(r);
}

static void forget(struct rtp_repair *r, uint64_t n)
{
	r->seen[n % WINDOW / 64] &= ~(1ull << n % 64);
}

/** Extend a sequence number, and remember it; 0 if it was known. */
static uint64_t remember(struct rtp_repair *r, uint16_t seq)
{
	uint64_t n, *word;

	if (!r->highest)
		r->highest = 0x10000u + seq - 1;
	n = r->highest + (uint64_t)(int16_t)(seq - (uint16_t)r->highest);
	if (n + WINDOW <= r->highest)
		return 0;
	if (n > r->highest + WINDOW)
		memset(r->seen, 0, sizeof(r->seen));
	for (; r->highest < n; r->highest++)
		forget(r, r->highest + 1);
	word = &r->seen[n % WINDOW / 64];
	if (*word & 1ull << n % 64)
		return 0;
	*word |= 1ull << n % 64;
	return n;
}

static enum rtp_repair_verdict take(
	struct rtp_repair *r, uint16_t seq, bool retransmitted, uint64_t now_us)
{
	uint64_t n = remember(r, seq);

	if (!n) {
		r->counts.again++;
		return RTP_REPAIR_AGAIN;
	}
	nack_arrived(&r->nack, n, retransmitted, now_us);
	r->counts.recovered += retransmitted;
	return retransmitted ? RTP_REPAIR_RECOVERED : RTP_REPAIR_FRESH;
}

enum rtp_repair_verdict rtp_repair_packet(
	struct rtp_repair *r, uint8_t *packet, size_t *len, uint64_t now_us)
{
	struct rtp_view view;
	uint8_t *payload;
	uint16_t seq;

	if (rtp_parse(packet, *len, &view) != RTP_OK
		|| rtp_strip_padding(packet, *len, &view) != RTP_OK)
		return RTP_REPAIR_WRONG;
	if (view.ssrc == r->config.ssrc)
		return take(r, view.seq, false, now_us);
	r->counts.retransmissions++;
	if (!view.payload_len)
		return RTP_REPAIR_PADDING;
	if (view.payload_type != r->config.rtx_payload_type || view.payload_len < OSN_LEN) {
		r->counts.wrong++;
		return RTP_REPAIR_WRONG;
	}
	payload = packet + view.payload_off;
	seq = (uint16_t)(payload[0] << 8 | payload[1]);
	memmove(payload, payload + OSN_LEN, *len - view.payload_off - OSN_LEN);
	*len -= OSN_LEN;
	rtp_rewrite(
		packet, r->config.payload_type, view.marker, seq, view.timestamp, r->config.ssrc);
	return take(r, seq, true, now_us);
}

size_t rtp_repair_nack(
	struct rtp_repair *r, uint64_t now_us, uint32_t sender_ssrc, uint8_t *out, size_t cap)
{
	uint16_t seqs[NACK_MISSING_MAX];
	unsigned count;

	if (!r->nack.count || now_us < r->nack.due_us)
		return 0;
	count = nack_due(&r->nack, now_us, seqs);
	r->counts.asked += count;
	return count ? rtcp_encode_nack(out, cap, sender_ssrc, r->config.ssrc, seqs, count) : 0;
}

const struct rtp_repair_counts *rtp_repair_counts(const struct rtp_repair *r)
{
	return &r->counts;
}
