// SPDX-License-Identifier: BSD-3-Clause
#include "tests/support/srtp_oracle.h"

#include <stdlib.h>
#include <string.h>

/* srtp_init() fails when it is called twice, and the engine calls it with its first ctx. */
static void init_library(
	const struct srtp_profile *profile, const uint8_t *key, const uint8_t *salt)
{
	const struct srtp_engine *engine = srtp_engine_find("libsrtp2");
	struct srtp_ctx *ctx;

	if (engine->create(profile, key, salt, &ctx) != SRTP_OK)
		abort();
	engine->destroy(ctx);
}

srtp_t srtp_oracle_create(
	const struct srtp_profile *profile, const uint8_t *key, const uint8_t *salt, bool inbound)
{
	uint8_t master[SRTP_KEY_MAX + SRTP_SALT_MAX] = {0};
	srtp_policy_t policy;
	srtp_t session;

	memset(&policy, 0, sizeof(policy));
	switch (profile->id) {
	case SRTP_AES128_CM_SHA1_80:
		srtp_crypto_policy_set_rtp_default(&policy.rtp);
		srtp_crypto_policy_set_rtcp_default(&policy.rtcp);
		break;
	case SRTP_AEAD_AES_128_GCM:
		srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtp);
		srtp_crypto_policy_set_aes_gcm_128_16_auth(&policy.rtcp);
		break;
	case SRTP_AEAD_AES_256_GCM:
		srtp_crypto_policy_set_aes_gcm_256_16_auth(&policy.rtp);
		srtp_crypto_policy_set_aes_gcm_256_16_auth(&policy.rtcp);
		break;
	default:
		abort();
	}
	memcpy(master, key, profile->key_len);
	memcpy(master + profile->key_len, salt, profile->salt_len);
	policy.ssrc.type = inbound ? ssrc_any_inbound : ssrc_any_outbound;
	policy.key = master;
	policy.window_size = SRTP_WINDOW;
	init_library(profile, key, salt);
	if (srtp_create(&session, &policy) != srtp_err_status_ok)
		abort();
	return session;
}

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

size_t srtp_side_hdr_len(const uint8_t *buf, size_t len)
{
	size_t hdr_len;

	if (len < SRTP_RTP_HDR_MIN)
		return 0;
	hdr_len = SRTP_RTP_HDR_MIN + 4 * (size_t)(buf[0] & 0x0f);
	if (buf[0] & 0x10) {
		if (len < hdr_len + 4)
			return 0;
		hdr_len += 4 + 4 * (size_t)(buf[hdr_len + 2] << 8 | buf[hdr_len + 3]);
	}
	return hdr_len <= len ? hdr_len : 0;
}

int srtp_side_rtp_open(struct srtp_side *side, uint8_t *buf, size_t len)
{
	size_t hdr_len = srtp_side_hdr_len(buf, len);
	uint64_t index;
	int ret;

	if (hdr_len == 0)
		return SRTP_SHORT;
	ret = srtp_rx_check(&side->rx, (uint16_t)(buf[2] << 8 | buf[3]), &index);
	if (ret != SRTP_OK)
		return ret;
	ret = side->engine->rtp_open(side->ctx, buf, len, hdr_len, be32(buf + 8), index);
	if (ret >= 0)
		srtp_rx_commit(&side->rx, index);
	return ret;
}

int srtp_side_rtcp_open(struct srtp_side *side, uint8_t *buf, size_t len)
{
	struct srtcp_view view;
	int ret;

	ret = srtcp_parse(side->profile, buf, len, &view);
	if (ret == SRTP_OK)
		ret = srtcp_rx_check(&side->rtcp_rx, view.index);
	if (ret != SRTP_OK)
		return ret;
	ret = side->engine->rtcp_open(side->ctx, buf, &view);
	if (ret >= 0)
		srtcp_rx_commit(&side->rtcp_rx, view.index);
	return ret;
}

int srtp_side_rtp_seal(
	struct srtp_side *side, const uint8_t *in, size_t len, uint8_t *out, size_t cap)
{
	size_t hdr_len = srtp_side_hdr_len(in, len);
	struct srtp_seal_in job;
	int ret;

	if (hdr_len == 0)
		return SRTP_SHORT;
	job.hdr = in;
	job.hdr_len = hdr_len;
	job.payload = in + hdr_len;
	job.payload_len = len - hdr_len;
	job.ssrc = be32(in + 8);
	ret = srtp_tx_index(&side->tx, (uint16_t)(in[2] << 8 | in[3]), &job.index);
	if (ret != SRTP_OK)
		return ret;
	return side->engine->rtp_seal(side->ctx, &job, out, cap);
}

int srtp_side_rtcp_seal(
	struct srtp_side *side, const uint8_t *in, size_t len, uint8_t *out, size_t cap)
{
	uint32_t index;
	int ret;

	ret = srtcp_tx_index(&side->rtcp_tx, &index);
	if (ret != SRTP_OK)
		return ret;
	return side->engine->rtcp_seal(side->ctx, in, len, index, out, cap);
}
