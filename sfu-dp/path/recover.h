// SPDX-License-Identifier: BSD-3-Clause
/**
 * recover: loss on the way to us. Which packets are asked for again (proto/nack.h), and what a
 * retransmission was (RFC 4588). The owner of the producer's transport calls this.
 */
#pragma once

#include "sfu-dp/path/path.h"
#include "sfu-dp/table/objects.h"

/**
 * A packet on a source's own SSRC that was authentic and is no replay.
 * @return DROP_COUNT when it goes on, or DROP_rtp_late: its retransmission was faster
 */
unsigned recover_media(struct worker *w, struct producer *p, const struct pkt *pkt);

/**
 * A packet on an RTX SSRC of an encoding that was authentic and is no replay. When it goes on, pkt is
 * that of the original: SSRC, index, payload type and payload.
 * @param m         its data is the plain packet, pkt_of(m)->rtp without padding
 * @return DROP_COUNT when it goes on, or why not
 */
unsigned recover_rtx(struct worker *w, struct transport *t, struct producer *p, unsigned encoding,
	struct rte_mbuf *m);

/** Another source feeds an encoding: nothing of the one before is asked for. */
void recover_restart(struct producer *p, unsigned encoding);

/** What is missing now is not wanted any more: nothing of the producer may go out. */
void recover_forget(struct producer *p);

/** Send the requests that are due. Each turn. */
void recover_timers(struct worker *w);
