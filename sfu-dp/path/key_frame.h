// SPDX-License-Identifier: BSD-3-Clause
/**
 * Key frames: who asks for one, when a producer is asked, and whether it came.
 *
 * All requests for a producer are one (producer_want_key_frame()); its owner passes it on as often as
 * the stream can pay for (proto/frame_meter.h) and repeats it until every encoding that flows has
 * begun a key frame, as far as may be seen.
 */
#pragma once

#include "sfu-dp/path/path.h"
#include "sfu-dp/proto/rtcp.h"
#include "sfu-dp/table/objects.h"

/** PLI and FIR of a client about streams that it receives (RFC 4585, 6.3.1; RFC 5104, 4.3.1). */
void key_frame_feedback(struct worker *w, struct transport *t, const struct rtcp_feedback *fb);

/** A packet of the producer goes out: its owner measures it and sees whether a request is met. */
void key_frame_note(struct worker *w, struct producer *p, const struct pkt *pkt);

/**
 * The producer's packets go out again after they were held back: what was asked for meanwhile came to
 * nothing.
 */
void key_frame_reopen(struct worker *w, struct producer *p);

/** Ask those producers whose time has come. Each turn. */
void key_frames_ask(struct worker *w);
