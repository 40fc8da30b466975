// SPDX-License-Identifier: BSD-3-Clause
/*
 * The engine for x86: GCM by direct call of intel-ipsec-mb, out of place, so that copying the
 * shared plaintext and encrypting it are one pass. The direct calls keep no state between packets;
 * one manager, read-only once it is initialised, serves all threads.
 *
 * XXX Counter mode and HMAC-SHA1 go through libsrtp2. ipsec-mb gains there only from gathering 16
 * and more packets of a burst; rtp_seal_burst() is where that would be done.
 */
#include "sfu-dp/crypto/engine.h"
#include "sfu-dp/crypto/engine_libsrtp2.h"

#include <intel-ipsec-mb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct srtp_ctx {
	struct gcm_key_data rtp; // demands an alignment of 64
	struct gcm_key_data rtcp;
	uint8_t rtp_salt[SRTP_SALT_MAX];
	uint8_t rtcp_salt[SRTP_SALT_MAX];
	bool wide; // 256 bit key
	// A ctx of the libsrtp2 engine when the profile is not AEAD; then nothing above is used.
	struct srtp_ctx *cm;
};

static const struct srtp_engine *const fallback = &srtp_engine_libsrtp2;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static IMB_MGR *mgr; // written once, before any ctx exists

static void init_manager(void)
{
	IMB_ARCH arch = IMB_ARCH_NONE;
	IMB_MGR *m = alloc_mb_mgr(0);

	if (!m)
		return;
	init_mb_mgr_auto(m, &arch);
	// Without AES instructions the library emulates them in a time that depends on the key.
	if (imb_get_errno(m) != 0 || arch == IMB_ARCH_NONE || arch == IMB_ARCH_NOAESNI) {
		free_mb_mgr(m);
		return;
	}
	mgr = m;
}

static bool usable(void)
{
	return pthread_once(&once, init_manager) == 0 && mgr;
}

static void destroy(struct srtp_ctx *ctx)
{
	if (!ctx)
		return;
	fallback->destroy(ctx->cm);
	srtp_wipe(ctx, sizeof(*ctx));
	free(ctx);
}

static void expand(const struct srtp_ctx *ctx, const uint8_t *key, struct gcm_key_data *out)
{
	if (ctx->wide)
		IMB_AES256_GCM_PRE(mgr, key, out);
	else
		IMB_AES128_GCM_PRE(mgr, key, out);
}

static enum srtp_status create_session(const struct srtp_profile *profile,
	const struct srtp_keys *rtp, const struct srtp_keys *rtcp, struct srtp_ctx **out)
{
	enum srtp_status st = SRTP_OK;
	struct srtp_ctx *ctx;

	if (!profile || srtp_profile_find(profile->id) != profile)
		return SRTP_UNSUPPORTED;
	if (!usable())
		return SRTP_ENGINE;
	ctx = aligned_alloc(_Alignof(struct srtp_ctx), sizeof(*ctx));
	if (!ctx)
		return SRTP_ENGINE;
	memset(ctx, 0, sizeof(*ctx));
	if (profile->aead) {
		ctx->wide = profile->key_len == 32;
		memcpy(ctx->rtp_salt, rtp->salt, profile->salt_len);
		memcpy(ctx->rtcp_salt, rtcp->salt, profile->salt_len);
		expand(ctx, rtp->key, &ctx->rtp);
		expand(ctx, rtcp->key, &ctx->rtcp);
	} else {
		st = fallback->create_session(profile, rtp, rtcp, &ctx->cm);
	}
	if (st != SRTP_OK) {
		destroy(ctx);
		return st;
	}
	*out = ctx;
	return SRTP_OK;
}

static enum srtp_status create(const struct srtp_profile *profile, const uint8_t *key,
	const uint8_t *salt, struct srtp_ctx **ctx)
{
	struct srtp_keys rtp, rtcp;
	enum srtp_status st;

	if (!profile || srtp_profile_find(profile->id) != profile)
		return SRTP_UNSUPPORTED;
	st = srtp_keys_derive(profile, key, salt, srtp_prf_libsrtp2, NULL, &rtp, &rtcp);
	if (st != SRTP_OK)
		return st;
	st = create_session(profile, &rtp, &rtcp, ctx);
	srtp_wipe(&rtp, sizeof(rtp));
	srtp_wipe(&rtcp, sizeof(rtcp));
	return st;
}

/* Encrypt len octets from in to out and write the tag. */
static void gcm_seal(const struct srtp_ctx *ctx, const struct gcm_key_data *key, const uint8_t *iv,
	const uint8_t *aad, size_t aad_len, const uint8_t *in, size_t len, uint8_t *out,
	uint8_t *tag)
{
	struct gcm_context_data scratch;

	if (ctx->wide)
		IMB_AES256_GCM_ENC(
			mgr, key, &scratch, out, in, len, iv, aad, aad_len, tag, SRTP_TAG_MAX);
	else
		IMB_AES128_GCM_ENC(
			mgr, key, &scratch, out, in, len, iv, aad, aad_len, tag, SRTP_TAG_MAX);
}

/* Decrypt len octets in place and say whether the tag was theirs. */
static bool gcm_open(const struct srtp_ctx *ctx, const struct gcm_key_data *key, const uint8_t *iv,
	const uint8_t *aad, size_t aad_len, uint8_t *p, size_t len, const uint8_t *tag)
{
	struct gcm_context_data scratch;
	uint8_t want[SRTP_TAG_MAX];

	if (ctx->wide)
		IMB_AES256_GCM_DEC(
			mgr, key, &scratch, p, p, len, iv, aad, aad_len, want, SRTP_TAG_MAX);
	else
		IMB_AES128_GCM_DEC(
			mgr, key, &scratch, p, p, len, iv, aad, aad_len, want, SRTP_TAG_MAX);
	return srtp_tag_equal(want, tag, SRTP_TAG_MAX);
}

static enum srtp_status limits(size_t hdr_len, size_t payload_len)
{
	if (hdr_len < SRTP_RTP_HDR_MIN)
		return SRTP_SHORT;
	if (hdr_len > SRTP_HDR_MAX || payload_len > SRTP_PAYLOAD_MAX)
		return SRTP_UNSUPPORTED;
	return SRTP_OK;
}

static int rtp_seal(struct srtp_ctx *ctx, const struct srtp_seal_in *in, uint8_t *out, size_t cap)
{
	size_t len = in->payload_len;
	enum srtp_status st;
	uint8_t iv[12];
	uint8_t *p;

	if (ctx->cm)
		return fallback->rtp_seal(ctx->cm, in, out, cap);
	st = limits(in->hdr_len, len);
	if (st != SRTP_OK)
		return st;
	if (cap < in->hdr_len + len + SRTP_TAG_MAX)
		return SRTP_NO_ROOM;
	p = out + in->hdr_len;
	memcpy(out, in->hdr, in->hdr_len);
	srtp_iv_gcm(ctx->rtp_salt, in->ssrc, in->index, iv);
	// The library takes no null pointer, not even for 0 octets.
	gcm_seal(ctx, &ctx->rtp, iv, out, in->hdr_len, len ? in->payload : p, len, p, p + len);
	return (int)(in->hdr_len + len + SRTP_TAG_MAX);
}

static void rtp_seal_burst(struct srtp_seal_job *jobs, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		jobs[i].result = rtp_seal(jobs[i].ctx, &jobs[i].in, jobs[i].out, jobs[i].cap);
}

static int rtp_open(struct srtp_ctx *ctx, uint8_t *buf, size_t len, size_t hdr_len, uint32_t ssrc,
	uint64_t index)
{
	enum srtp_status st;
	uint8_t iv[12];
	size_t enc_len;

	if (ctx->cm)
		return fallback->rtp_open(ctx->cm, buf, len, hdr_len, ssrc, index);
	if (len < SRTP_TAG_MAX || len - SRTP_TAG_MAX < hdr_len)
		return SRTP_SHORT;
	enc_len = len - SRTP_TAG_MAX - hdr_len;
	st = limits(hdr_len, enc_len);
	if (st != SRTP_OK)
		return st;
	srtp_iv_gcm(ctx->rtp_salt, ssrc, index, iv);
	if (!gcm_open(ctx, &ctx->rtp, iv, buf, hdr_len, buf + hdr_len, enc_len,
		    buf + len - SRTP_TAG_MAX))
		return SRTP_AUTH_FAIL;
	return (int)(len - SRTP_TAG_MAX);
}

/* RFC 7714 9.2: the clear header, then E+index. */
static void rtcp_aad(const uint8_t *hdr, const uint8_t *word, uint8_t *aad)
{
	memcpy(aad, hdr, SRTCP_HDR_LEN);
	memcpy(aad + SRTCP_HDR_LEN, word, SRTCP_WORD_LEN);
}

static int rtcp_seal(struct srtp_ctx *ctx, const uint8_t *in, size_t len, uint32_t index,
	uint8_t *out, size_t cap)
{
	uint8_t aad[SRTCP_HDR_LEN + SRTCP_WORD_LEN];
	uint8_t word[SRTCP_WORD_LEN];
	uint32_t ssrc;
	uint8_t iv[12];

	if (ctx->cm)
		return fallback->rtcp_seal(ctx->cm, in, len, index, out, cap);
	if (len < SRTCP_HDR_LEN)
		return SRTP_SHORT;
	if (len - SRTCP_HDR_LEN > SRTP_PAYLOAD_MAX)
		return SRTP_UNSUPPORTED;
	if (cap < len + SRTP_TAG_MAX + SRTCP_WORD_LEN)
		return SRTP_NO_ROOM;
	memcpy(out, in, SRTCP_HDR_LEN);
	srtcp_word(index, word);
	rtcp_aad(in, word, aad);
	ssrc = (uint32_t)in[4] << 24 | (uint32_t)in[5] << 16 | (uint32_t)in[6] << 8 | in[7];
	srtcp_iv_gcm(ctx->rtcp_salt, ssrc, index, iv);
	gcm_seal(ctx, &ctx->rtcp, iv, aad, sizeof(aad), in + SRTCP_HDR_LEN, len - SRTCP_HDR_LEN,
		out + SRTCP_HDR_LEN, out + len);
	memcpy(out + len + SRTP_TAG_MAX, word, sizeof(word));
	return (int)(len + SRTP_TAG_MAX + SRTCP_WORD_LEN);
}

static int rtcp_open(struct srtp_ctx *ctx, uint8_t *buf, const struct srtcp_view *view)
{
	uint8_t aad[SRTCP_HDR_LEN + SRTCP_WORD_LEN];
	uint8_t iv[12];

	if (ctx->cm)
		return fallback->rtcp_open(ctx->cm, buf, view);
	if (view->enc_len > SRTP_PAYLOAD_MAX)
		return SRTP_UNSUPPORTED;
	rtcp_aad(buf, buf + view->word_off, aad);
	srtcp_iv_gcm(ctx->rtcp_salt, view->ssrc, view->index, iv);
	if (!gcm_open(ctx, &ctx->rtcp, iv, aad, sizeof(aad), buf + SRTCP_HDR_LEN, view->enc_len,
		    buf + view->tag_off))
		return SRTP_AUTH_FAIL;
	return (int)(SRTCP_HDR_LEN + view->enc_len);
}

const struct srtp_engine srtp_engine_ipsec_mb = {
	.name = "ipsec-mb",
	.about = "GCM by intel-ipsec-mb, the rest by libsrtp2; x86 with AES instructions",
	.usable = usable,
	.create = create,
	.create_session = create_session,
	.destroy = destroy,
	.rtp_seal = rtp_seal,
	.rtp_seal_burst = rtp_seal_burst,
	.rtp_open = rtp_open,
	.rtcp_seal = rtcp_seal,
	.rtcp_open = rtcp_open,
};
