// SPDX-License-Identifier: BSD-3-Clause
/*
 * The engine that runs everywhere. It uses the cipher and authentication objects of libsrtp2, not
 * its sessions: index, rollover and replay stay ours, one ctx serves any number of SSRCs without
 * libsrtp2's linear list of streams, and no state moves before a tag is verified.
 *
 * libsrtp2 exports these objects but declares only their types. Debian builds it on NSS, whose
 * GCM writes the tag behind the ciphertext while it encrypts and takes it in place while it
 * decrypts; the OpenSSL build works with the same calls.
 */

#include "sfu-dp/crypto/engine.h"

#include <pthread.h>
#include <srtp2/auth.h>
#include <srtp2/cipher.h>
#include <srtp2/srtp.h>
#include <stdlib.h>
#include <string.h>

extern const srtp_cipher_type_t srtp_aes_icm_128;
extern const srtp_cipher_type_t srtp_aes_icm_256;
extern const srtp_cipher_type_t srtp_aes_gcm_128;
extern const srtp_cipher_type_t srtp_aes_gcm_256;
extern const srtp_auth_type_t srtp_hmac;

// libsrtp2's own key lengths have the salt behind the key. We give the whole vector with
// set_iv(), so the salt they see is zero.
#define ICM_SALT 14
#define GCM_SALT 12

/* RTP or RTCP of one ctx. */
struct half {
	srtp_cipher_t *cipher;
	srtp_auth_t *auth; // NULL for AEAD
	uint8_t salt[SRTP_SALT_MAX];
};

struct srtp_ctx {
	const struct srtp_profile *profile;
	struct half rtp;
	struct half rtcp;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static srtp_err_status_t once_status;

static void init_library(void)
{
	// A second srtp_init() in one process fails: whoever uses libsrtp2 besides this engine
	// creates a ctx first and leaves the call to us.
	once_status = srtp_init();
}

static enum srtp_status ready(void)
{
	if (pthread_once(&once, init_library) != 0 || once_status != srtp_err_status_ok)
		return SRTP_ENGINE;
	return SRTP_OK;
}

static enum srtp_status prf(void *arg, const uint8_t *key, size_t key_len, const uint8_t iv[16],
	uint8_t *out, size_t out_len)
{
	const srtp_cipher_type_t *type = key_len == 32 ? &srtp_aes_icm_256 : &srtp_aes_icm_128;
	uint8_t padded[SRTP_KEY_MAX + ICM_SALT] = {0};
	enum srtp_status st = SRTP_ENGINE;
	unsigned len = (unsigned)out_len;
	srtp_cipher_t *cipher = NULL;
	_Alignas(16) uint8_t block[16];

	(void)arg;
	if (ready() != SRTP_OK)
		return SRTP_ENGINE;
	memcpy(padded, key, key_len);
	memcpy(block, iv, sizeof(block));
	memset(out, 0, out_len);
	if (srtp_cipher_type_alloc(type, &cipher, (int)key_len + ICM_SALT, 0) == srtp_err_status_ok
		&& srtp_cipher_init(cipher, padded) == srtp_err_status_ok
		&& srtp_cipher_set_iv(cipher, block, srtp_direction_encrypt) == srtp_err_status_ok
		&& srtp_cipher_encrypt(cipher, out, &len) == srtp_err_status_ok && len == out_len)
		st = SRTP_OK;
	if (cipher)
		srtp_cipher_dealloc(cipher);
	srtp_wipe(padded, sizeof(padded));
	srtp_wipe(block, sizeof(block));
	return st;
}

static void half_fini(struct half *half)
{
	// Both deallocators overwrite what they hold: hmac its pads, NSS its key object.
	if (half->cipher)
		srtp_cipher_dealloc(half->cipher);
	if (half->auth)
		srtp_auth_dealloc(half->auth);
	srtp_wipe(half, sizeof(*half));
}

/* On failure the caller runs half_fini(). */
static enum srtp_status half_init(
	struct half *half, const struct srtp_profile *profile, const struct srtp_keys *keys)
{
	uint8_t padded[SRTP_KEY_MAX + ICM_SALT] = {0};
	int len = profile->key_len + (profile->aead ? GCM_SALT : ICM_SALT);
	const srtp_cipher_type_t *type;
	srtp_err_status_t err;

	if (!profile->aead)
		type = &srtp_aes_icm_128;
	else
		type = profile->key_len == 32 ? &srtp_aes_gcm_256 : &srtp_aes_gcm_128;
	memcpy(half->salt, keys->salt, profile->salt_len);
	memcpy(padded, keys->key, profile->key_len);
	err = srtp_cipher_type_alloc(
		type, &half->cipher, len, profile->aead ? profile->tag_len : 0);
	if (err == srtp_err_status_ok)
		err = srtp_cipher_init(half->cipher, padded);
	srtp_wipe(padded, sizeof(padded));
	if (err == srtp_err_status_ok && !profile->aead) {
		err = srtp_auth_type_alloc(
			&srtp_hmac, &half->auth, SRTP_AUTH_KEY_LEN, profile->tag_len);
		if (err == srtp_err_status_ok)
			err = srtp_auth_init(half->auth, keys->auth);
	}
	return err == srtp_err_status_ok ? SRTP_OK : SRTP_ENGINE;
}

static void destroy(struct srtp_ctx *ctx)
{
	if (!ctx)
		return;
	half_fini(&ctx->rtp);
	half_fini(&ctx->rtcp);
	free(ctx);
}

static enum srtp_status create_session(const struct srtp_profile *profile,
	const struct srtp_keys *rtp, const struct srtp_keys *rtcp, struct srtp_ctx **out)
{
	struct srtp_ctx *ctx;
	enum srtp_status st;

	if (!profile || srtp_profile_find(profile->id) != profile)
		return SRTP_UNSUPPORTED;
	st = ready();
	if (st != SRTP_OK)
		return st;
	ctx = calloc(1, sizeof(*ctx));
	if (!ctx)
		return SRTP_ENGINE;
	ctx->profile = profile;
	st = half_init(&ctx->rtp, profile, rtp);
	if (st == SRTP_OK)
		st = half_init(&ctx->rtcp, profile, rtcp);
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
	return srtp_engine_derive(prf, create_session, profile, key, salt, ctx);
}

/* Run the counter mode key stream over len octets. */
static bool cm_apply(struct half *half, uint32_t ssrc, uint64_t index, uint8_t *p, size_t len)
{
	_Alignas(16) uint8_t iv[16];
	unsigned n = (unsigned)len;

	if (len == 0)
		return true;
	srtp_iv_cm(half->salt, ssrc, index, iv);
	return srtp_cipher_set_iv(half->cipher, iv, srtp_direction_encrypt) == srtp_err_status_ok
	       && srtp_cipher_encrypt(half->cipher, p, &n) == srtp_err_status_ok && n == len;
}

/* HMAC over len octets and a tail that is not part of the message; SRTCP has none. */
static bool cm_tag(struct half *half, const uint8_t *p, size_t len, const uint8_t *tail,
	size_t tail_len, uint8_t *tag)
{
	return srtp_auth_start(half->auth) == srtp_err_status_ok
	       && srtp_auth_update(half->auth, p, (int)len) == srtp_err_status_ok
	       && srtp_auth_compute(half->auth, tail, (int)tail_len, tag) == srtp_err_status_ok;
}

/* Encrypt len octets in place and write the tag. tag_len octets behind p + len are overwritten. */
static bool gcm_seal(struct half *half, uint8_t *iv, const uint8_t *aad, size_t aad_len, uint8_t *p,
	size_t len, uint8_t *tag)
{
	uint32_t tag_len = SRTP_TAG_MAX;
	unsigned n = (unsigned)len;

	return srtp_cipher_set_iv(half->cipher, iv, srtp_direction_encrypt) == srtp_err_status_ok
	       && srtp_cipher_set_aad(half->cipher, aad, (uint32_t)aad_len) == srtp_err_status_ok
	       && srtp_cipher_encrypt(half->cipher, p, &n) == srtp_err_status_ok && n == len
	       && srtp_cipher_get_tag(half->cipher, tag, &tag_len) == srtp_err_status_ok
	       && tag_len == SRTP_TAG_MAX;
}

/* Verify and decrypt len octets of ciphertext with the tag behind them. */
static enum srtp_status gcm_open(
	struct half *half, uint8_t *iv, const uint8_t *aad, size_t aad_len, uint8_t *p, size_t len)
{
	unsigned n = (unsigned)(len + SRTP_TAG_MAX);

	if (srtp_cipher_set_iv(half->cipher, iv, srtp_direction_decrypt) != srtp_err_status_ok
		|| srtp_cipher_set_aad(half->cipher, aad, (uint32_t)aad_len) != srtp_err_status_ok)
		return SRTP_ENGINE;
	// Builds differ in the error that they give for a wrong tag, but not in giving one.
	if (srtp_cipher_decrypt(half->cipher, p, &n) != srtp_err_status_ok || n != len)
		return SRTP_AUTH_FAIL;
	return SRTP_OK;
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
	size_t tag_len = ctx->profile->tag_len;
	enum srtp_status st = limits(in->hdr_len, in->payload_len);
	size_t len = in->payload_len;
	_Alignas(16) uint8_t iv[16];
	uint8_t roc[4];
	uint8_t *p;
	bool ok;

	if (st != SRTP_OK)
		return st;
	if (cap < in->hdr_len + len + tag_len)
		return SRTP_NO_ROOM;
	p = out + in->hdr_len;
	memcpy(out, in->hdr, in->hdr_len);
	if (len && in->payload != p)
		memcpy(p, in->payload, len);
	if (ctx->profile->aead) {
		srtp_iv_gcm(ctx->rtp.salt, in->ssrc, in->index, iv);
		ok = gcm_seal(&ctx->rtp, iv, out, in->hdr_len, p, len, p + len);
	} else {
		srtp_roc_be(in->index, roc);
		ok = cm_apply(&ctx->rtp, in->ssrc, in->index, p, len)
		     && cm_tag(&ctx->rtp, out, in->hdr_len + len, roc, sizeof(roc), p + len);
	}
	if (!ok) {
		srtp_wipe(p, len + tag_len);
		return SRTP_ENGINE;
	}
	return (int)(in->hdr_len + len + tag_len);
}

static void rtp_seal_burst(struct srtp_seal_job *jobs, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		jobs[i].result = rtp_seal(jobs[i].ctx, &jobs[i].in, jobs[i].out, jobs[i].cap);
}

static int rtp_open(struct srtp_ctx *ctx, uint8_t *buf, size_t len, size_t hdr_len, uint32_t ssrc,
	uint64_t index)
{
	size_t tag_len = ctx->profile->tag_len;
	_Alignas(16) uint8_t iv[16];
	uint8_t tag[SRTP_TAG_MAX];
	enum srtp_status st;
	uint8_t roc[4];
	size_t enc_len;

	if (len < tag_len || len - tag_len < hdr_len)
		return SRTP_SHORT;
	enc_len = len - tag_len - hdr_len;
	st = limits(hdr_len, enc_len);
	if (st != SRTP_OK)
		return st;
	if (ctx->profile->aead) {
		srtp_iv_gcm(ctx->rtp.salt, ssrc, index, iv);
		st = gcm_open(&ctx->rtp, iv, buf, hdr_len, buf + hdr_len, enc_len);
		if (st != SRTP_OK)
			return st;
	} else {
		srtp_roc_be(index, roc);
		if (!cm_tag(&ctx->rtp, buf, len - tag_len, roc, sizeof(roc), tag))
			return SRTP_ENGINE;
		if (!srtp_tag_equal(tag, buf + len - tag_len, tag_len))
			return SRTP_AUTH_FAIL;
		if (!cm_apply(&ctx->rtp, ssrc, index, buf + hdr_len, enc_len))
			return SRTP_ENGINE;
	}
	return (int)(len - tag_len);
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
	size_t tag_len = ctx->profile->tag_len;
	uint8_t aad[SRTCP_HDR_LEN + SRTCP_WORD_LEN];
	_Alignas(16) uint8_t iv[16];
	uint8_t word[SRTCP_WORD_LEN];
	size_t enc_len;
	uint32_t ssrc;
	uint8_t *p;
	bool ok;

	if (len < SRTCP_HDR_LEN)
		return SRTP_SHORT;
	enc_len = len - SRTCP_HDR_LEN;
	if (enc_len > SRTP_PAYLOAD_MAX)
		return SRTP_UNSUPPORTED;
	if (cap < len + tag_len + SRTCP_WORD_LEN)
		return SRTP_NO_ROOM;
	p = out + SRTCP_HDR_LEN;
	memcpy(out, in, len);
	ssrc = (uint32_t)in[4] << 24 | (uint32_t)in[5] << 16 | (uint32_t)in[6] << 8 | in[7];
	srtcp_word(index, word);
	if (ctx->profile->aead) {
		rtcp_aad(out, word, aad);
		srtcp_iv_gcm(ctx->rtcp.salt, ssrc, index, iv);
		ok = gcm_seal(&ctx->rtcp, iv, aad, sizeof(aad), p, enc_len, out + len);
		memcpy(out + len + tag_len, word, sizeof(word));
	} else {
		memcpy(out + len, word, sizeof(word));
		ok = cm_apply(&ctx->rtcp, ssrc, index, p, enc_len)
		     && cm_tag(&ctx->rtcp, out, len, word, sizeof(word), out + len + sizeof(word));
	}
	if (!ok) {
		srtp_wipe(p, enc_len + tag_len + SRTCP_WORD_LEN);
		return SRTP_ENGINE;
	}
	return (int)(len + tag_len + SRTCP_WORD_LEN);
}

static int rtcp_open(struct srtp_ctx *ctx, uint8_t *buf, const struct srtcp_view *view)
{
	size_t len = SRTCP_HDR_LEN + view->enc_len;
	uint8_t aad[SRTCP_HDR_LEN + SRTCP_WORD_LEN];
	_Alignas(16) uint8_t iv[16];
	uint8_t tag[SRTP_TAG_MAX];
	enum srtp_status st;

	if (view->enc_len > SRTP_PAYLOAD_MAX)
		return SRTP_UNSUPPORTED;
	if (ctx->profile->aead) {
		rtcp_aad(buf, buf + view->word_off, aad);
		srtcp_iv_gcm(ctx->rtcp.salt, view->ssrc, view->index, iv);
		st = gcm_open(&ctx->rtcp, iv, aad, sizeof(aad), buf + SRTCP_HDR_LEN, view->enc_len);
		if (st != SRTP_OK)
			return st;
	} else {
		if (!cm_tag(&ctx->rtcp, buf, len, buf + view->word_off, SRTCP_WORD_LEN, tag))
			return SRTP_ENGINE;
		if (!srtp_tag_equal(tag, buf + view->tag_off, ctx->profile->tag_len))
			return SRTP_AUTH_FAIL;
		if (!cm_apply(&ctx->rtcp, view->ssrc, view->index, buf + SRTCP_HDR_LEN,
			    view->enc_len))
			return SRTP_ENGINE;
	}
	return (int)len;
}

static bool usable(void)
{
	return true;
}

const struct srtp_engine srtp_engine_libsrtp2 = {
	.name = "libsrtp2",
	.about = "ciphers of the system's libsrtp2; runs everywhere, slower",
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
