// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <srtp2/srtp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sfu-dp/crypto/engine.h"
#include "sfu-dp/proto/srtp.h"

/**
 * @file
 * For tests: libsrtp2's sessions as the oracle, and our core and an engine put together the way
 * the packet path does it, so that both sides take and give whole packets.
 */

/** Our receiving side for one SSRC. All zero but engine, profile and ctx at the start. */
struct srtp_side {
	const struct srtp_engine *engine;
	const struct srtp_profile *profile;
	struct srtp_ctx *ctx;
	struct srtp_rx_stream rx;
	struct srtcp_rx_stream rtcp_rx;
	struct srtp_tx_stream tx;
	struct srtcp_tx_stream rtcp_tx;
};

/** A libsrtp2 session for any SSRC; aborts when libsrtp2 refuses. srtp_dealloc() it. */
srtp_t srtp_oracle_create(
	const struct srtp_profile *profile, const uint8_t *key, const uint8_t *salt, bool inbound);

/** Length of the RTP header with CSRCs and extension; 0 when it does not fit into len. */
size_t srtp_side_hdr_len(const uint8_t *buf, size_t len);

/** Open a packet in place: new length, or negative enum srtp_status. Commits on success. */
int srtp_side_rtp_open(struct srtp_side *side, uint8_t *buf, size_t len);
int srtp_side_rtcp_open(struct srtp_side *side, uint8_t *buf, size_t len);

/** Seal a whole packet out of place: length, or negative enum srtp_status. */
int srtp_side_rtp_seal(
	struct srtp_side *side, const uint8_t *in, size_t len, uint8_t *out, size_t cap);
int srtp_side_rtcp_seal(
	struct srtp_side *side, const uint8_t *in, size_t len, uint8_t *out, size_t cap);
