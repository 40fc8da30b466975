// SPDX-License-Identifier: BSD-3-Clause
/**
 * rtx: loss on the way to consumers. A NACK is mapped back through what rewrite did to the stream, the
 * packet is looked up in the history and sent again as RFC 4588 has it: under the consumer's RTX SSRC
 * and payload type, with a sequence of its own. How many, how fast and how often is proto/resend.h's.
 * What is gone ends in one request for a key frame; so does every NACK of a consumer without RTX,
 * since the same index under the same key may never be sealed twice.
 *
 * The owner of the consumer's transport calls this.
 */
#pragma once

#include "sfu-dp/path/path.h"
#include "sfu-dp/path/rtx_send.h"
#include "sfu-dp/proto/rtcp.h"
#include "sfu-dp/table/objects.h"

/** Answers gathered at most before they are given. */
#define RTX_ANSWERS 32u

/** Those of a burst of NACKs, so that what they need is fetched for all at once. The worker's own. */
struct rtx_answers {
	unsigned n;
	struct rtx_answer answer[RTX_ANSWERS];
};

/** A NACK from the client of a transport, about whatever stream it names. Answered by rtx_give(). */
void rtx_nack(struct worker *w, struct transport *t, const struct rtcp_feedback *fb);

/** Send the answers to the NACKs since the last call. Within their turn, before anything is kept. */
void rtx_give(struct worker *w);

/** Send the answers whose turn it is. Each turn. */
void rtx_timers(struct worker *w);
