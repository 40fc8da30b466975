// SPDX-License-Identifier: BSD-3-Clause
/**
 * Bandwidth feedback, both ways: what arrived from a client told to it (transport-wide, or REMB where
 * that was not negotiated), and what a client tells of what we sent it. The transport's owner only.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "sfu-dp/path/path.h"
#include "sfu-dp/proto/rtcp.h"
#include "sfu-dp/proto/rtp_ext.h"
#include "sfu-dp/state/hot.h"
#include "sfu-dp/table/objects.h"

/** A client hears of a packet so long after it came, at most (and the packets behind it meanwhile). */
#define FEEDBACK_AFTER_US 80000u

/**
 * An authentic packet of a producer's, retransmissions and probes included: read what its extensions
 * say about its way, and what the path wants to know later (pkt->audio_level).
 * @param packet  opened, len octets; pkt->rtp describes it
 */
void feedback_received(struct worker *w, struct transport *t, const struct producer *p,
	const uint8_t *packet, size_t len, struct pkt *pkt);

/** Send what is due. Each turn. */
void feedback_send(struct worker *w);

/**
 * Transport-wide feedback of a client about what we sent it.
 * @return statuses looked at: what it cost
 */
uint32_t feedback_twcc(struct worker *w, struct transport *t, const struct rtcp_feedback *fb);

/** A client's own estimate of what it can receive. */
void feedback_remb(struct worker *w, struct transport *t, const struct rtcp_feedback *fb);

/**
 * Number a packet in its transport's order and note it as sent.
 * @param seq_at  the extension's two octets in the header
 * @param bytes   of the packet as it goes out, header and payload
 */
static inline void feedback_stamp(
	struct transport *t, uint8_t *seq_at, uint64_t now_us, size_t bytes);

/* Inline bodies */

static inline void feedback_stamp(
	struct transport *t, uint8_t *seq_at, uint64_t now_us, size_t bytes)
{
	uint16_t seq = t->twcc_seq++;

	seq_at[0] = (uint8_t)(seq >> 8);
	seq_at[1] = (uint8_t)seq;
	state_twcc(t->saved, seq);
	twcc_note_sent(&t->twcc.sent, seq, now_us, (uint32_t)bytes);
}
