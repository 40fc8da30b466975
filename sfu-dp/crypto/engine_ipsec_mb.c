// SPDX-License-Identifier: BSD-3-Clause
/*
 * The engine for x86: GCM by direct call of intel-ipsec-mb, out of place, so that copying the
 * shared plaintext and encrypting it are one pass. The direct calls keep no state between packets;
 * one manager, read-only once it is initialised, serves all threads.
 *
 * Counter mode and HMAC-SHA1 gather the packets of a burst: hashing many at once is where the
 * library gains. That keeps state in the manager, so each thread has managers of its own, made at
 * its first packet. Few packets leave most lanes of the wide hash empty; they go through the SHA
 * instructions of the processor, two at a time, where it has them. From how many on the lanes are
 * worth it depends on processor and length, so it is measured once.
 */
#include "sfu-dp/crypto/engine.h"

#include <intel-ipsec-mb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <x86intrin.h>

#define CM_ROUND_KEYS (11 * 16)
#define CM_TAG 10
// The library takes no tag shorter than this; the rest is cut off.
#define CM_TAG_ASKED 12
#define SHA1_STATE 20
// The library counts a hashed message in 16 bits; no datagram is longer.
#define CM_MESSAGE_MAX 65534

/* Expanded keys of counter mode and HMAC-SHA1. */
struct cm_keys {
	_Alignas(16) uint8_t enc[CM_ROUND_KEYS];
	uint8_t ipad[SHA1_STATE]; // hash states after the padded key
	uint8_t opad[SHA1_STATE];
};

struct srtp_ctx {
	// First what every packet needs.
	uint8_t rtp_salt[SRTP_SALT_MAX];
	uint8_t rtcp_salt[SRTP_SALT_MAX];
	bool aead;
	bool wide; // 256 bit key
	union {
		struct gcm_key_data gcm; // demands an alignment of 64
		struct cm_keys cm;
	} rtp, rtcp;
};

/* Packets hashed together at most; those of a larger burst follow. */
#define GATHER 32u
#define LANES_MAX 16u
/* Messages up to here are short: setting up the lanes weighs more than hashing. */
#define SHORT_BYTES 400u

/* What a thread needs for gathered jobs. */
struct gather {
	IMB_MGR *wide, *narrow;
	IMB_JOB job[GATHER];
	uint8_t iv[GATHER][16];
	uint8_t tag[GATHER][16];
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static IMB_MGR *mgr; // written once, before any ctx exists
static unsigned lanes; // of the wide hash; written once, too
static unsigned lanes_worth[2]; // from so many messages on it is the faster one: long, short
static pthread_key_t gather_key; // frees a thread's gather when it ends
static _Thread_local struct gather *gather_own;

static void gather_free(void *arg)
{
	struct gather *g = arg;

	if (g->wide)
		free_mb_mgr(g->wide);
	if (g->narrow)
		free_mb_mgr(g->narrow);
	srtp_wipe(g, sizeof(*g));
	free(g);
}

static struct gather *gather_make(void)
{
	struct gather *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->wide = alloc_mb_mgr(0);
	g->narrow = alloc_mb_mgr(0);
	if (g->wide && g->narrow) {
		init_mb_mgr_auto(g->wide, NULL);
		init_mb_mgr_sse(g->narrow);
		if (!imb_get_errno(g->wide) && !imb_get_errno(g->narrow)
			&& !pthread_setspecific(gather_key, g)) {
			gather_own = g;
			return g;
		}
	}
	gather_free(g);
	return NULL;
}

/** This thread's; NULL when there is no memory for it. Allocates at the thread's first packet. */
static struct gather *gather_get(void)
{
	return gather_own ? gather_own : gather_make();
}

static void hash_job(
	IMB_JOB *job, const struct cm_keys *keys, const uint8_t *p, size_t len, uint8_t tag[16]);

/** Cycles for n messages of so many octets: the least of some tries, since others run as well. */
static uint64_t hash_cycles(struct gather *g, IMB_MGR *m, unsigned n, size_t len)
{
	static const struct cm_keys keys;
	static const uint8_t message[1200];
	uint64_t least = UINT64_MAX;

	for (unsigned try = 0; try < 9; try++) {
		uint64_t begin = __rdtsc(), cycles;

		for (unsigned i = 0; i < n; i++)
			hash_job(&g->job[i], &keys, message, len, g->tag[i]);
		IMB_SUBMIT_HASH_BURST(m, g->job, n, IMB_AUTH_HMAC_SHA_1);
		cycles = __rdtsc() - begin;
		if (cycles < least)
			least = cycles;
	}
	return least;
}

/** A tenth of a millisecond, once per process. Lanes cost the same however many are filled. */
static void lanes_measure(IMB_ARCH arch)
{
	static const size_t len[2] = {1200, 200};
	struct gather *g;

	lanes = arch == IMB_ARCH_AVX512 ? LANES_MAX : arch == IMB_ARCH_AVX2 ? 8 : 4;
	g = gather_get();
	for (unsigned i = 0; g && i < 2; i++) {
		uint64_t wide = hash_cycles(g, g->wide, lanes / 2, len[i]);
		uint64_t pair = hash_cycles(g, g->narrow, 2, len[i]);

		if (g->narrow->features & IMB_FEATURE_SHANI)
			lanes_worth[i] = (unsigned)((2 * wide + pair - 1) / (pair ? pair : 1));
	}
}

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
	if (pthread_key_create(&gather_key, gather_free)) {
		free_mb_mgr(m);
		return;
	}
	lanes_measure(arch);
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
	srtp_wipe(ctx, sizeof(*ctx));
	free(ctx);
}

static void gcm_expand(const struct srtp_ctx *ctx, const uint8_t *key, struct gcm_key_data *out)
{
	if (ctx->wide)
		IMB_AES256_GCM_PRE(mgr, key, out);
	else
		IMB_AES128_GCM_PRE(mgr, key, out);
}

/* The hash state after a key padded to a block (RFC 2104). */
static void hmac_state(const uint8_t *auth, uint8_t pad, uint8_t out[SHA1_STATE])
{
	uint8_t block[IMB_SHA1_BLOCK_SIZE];

	memset(block, pad, sizeof(block));
	for (size_t i = 0; i < SRTP_AUTH_KEY_LEN; i++)
		block[i] ^= auth[i];
	IMB_SHA1_ONE_BLOCK(mgr, block, out);
	srtp_wipe(block, sizeof(block));
}

static void cm_expand(const struct srtp_keys *keys, struct cm_keys *out)
{
	_Alignas(16) uint8_t dec[CM_ROUND_KEYS];

	IMB_AES_KEYEXP_128(mgr, keys->key, out->enc, dec);
	srtp_wipe(dec, sizeof(dec));
	hmac_state(keys->auth, 0x36, out->ipad);
	hmac_state(keys->auth, 0x5c, out->opad);
}

static enum srtp_status create_session(const struct srtp_profile *profile,
	const struct srtp_keys *rtp, const struct srtp_keys *rtcp, struct srtp_ctx **out)
{
	struct srtp_ctx *ctx;

	if (!profile || srtp_profile_find(profile->id) != profile)
		return SRTP_UNSUPPORTED;
	if (!usable())
		return SRTP_ENGINE;
	ctx = aligned_alloc(_Alignof(struct srtp_ctx), sizeof(*ctx));
	if (!ctx)
		return SRTP_ENGINE;
	memset(ctx, 0, sizeof(*ctx));
	ctx->aead = profile->aead;
	ctx->wide = profile->key_len == 32;
	memcpy(ctx->rtp_salt, rtp->salt, profile->salt_len);
	memcpy(ctx->rtcp_salt, rtcp->salt, profile->salt_len);
	if (profile->aead) {
		gcm_expand(ctx, rtp->key, &ctx->rtp.gcm);
		gcm_expand(ctx, rtcp->key, &ctx->rtcp.gcm);
	} else {
		cm_expand(rtp, &ctx->rtp.cm);
		cm_expand(rtcp, &ctx->rtcp.cm);
	}
	*out = ctx;
	return SRTP_OK;
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

static enum srtp_status cm_limits(size_t hdr_len, size_t payload_len)
{
	enum srtp_status st = limits(hdr_len, payload_len);

	if (st == SRTP_OK && hdr_len + payload_len + 4 > CM_MESSAGE_MAX)
		return SRTP_UNSUPPORTED;
	return st;
}

/* Counter mode and HMAC-SHA1: jobs are laid out in g->job, then run together. */

static void cipher_job(IMB_JOB *job, const uint8_t *enc, const uint8_t *iv, const uint8_t *in,
	size_t len, uint8_t *out)
{
	job->enc_keys = enc;
	job->dec_keys = enc;
	job->key_len_in_bytes = 16;
	job->src = in;
	job->dst = out;
	job->cipher_start_src_offset_in_bytes = 0;
	job->msg_len_to_cipher_in_bytes = len;
	job->iv = iv;
	job->iv_len_in_bytes = 16;
}

static void hash_job(
	IMB_JOB *job, const struct cm_keys *keys, const uint8_t *p, size_t len, uint8_t tag[16])
{
	job->src = p;
	job->hash_start_src_offset_in_bytes = 0;
	job->msg_len_to_hash_in_bytes = len;
	job->auth_tag_output = tag;
	job->auth_tag_output_len_in_bytes = CM_TAG_ASKED;
	job->u.HMAC._hashed_auth_key_xor_ipad = keys->ipad;
	job->u.HMAC._hashed_auth_key_xor_opad = keys->opad;
}

/* A bad job shows in its own status, not in what the call returns. */
static bool jobs_done(const IMB_JOB *jobs, unsigned n, unsigned wanted)
{
	unsigned all = wanted;

	for (unsigned i = 0; i < n; i++)
		all &= (unsigned)jobs[i].status;
	return all == wanted;
}

static bool cipher_run(struct gather *g, unsigned n)
{
	if (!n)
		return true;
	IMB_SUBMIT_CIPHER_BURST(
		g->wide, g->job, n, IMB_CIPHER_CNTR, IMB_DIR_ENCRYPT, IMB_KEY_128_BYTES);
	return jobs_done(g->job, n, IMB_STATUS_COMPLETED_CIPHER);
}

static bool hash_some(struct gather *g, IMB_JOB *jobs, unsigned n)
{
	size_t octets = 0;
	IMB_MGR *m;

	for (unsigned i = 0; i < n; i++)
		octets += jobs[i].msg_len_to_hash_in_bytes;
	m = n < lanes_worth[octets <= SHORT_BYTES * n] ? g->narrow : g->wide;
	IMB_SUBMIT_HASH_BURST(m, jobs, n, IMB_AUTH_HMAC_SHA_1);
	return jobs_done(jobs, n, IMB_STATUS_COMPLETED_AUTH);
}

/** In whole sets of lanes: of 17 messages the last one alone would take as long as the 16. */
static bool hash_run(struct gather *g, unsigned n)
{
	bool ok = true;

	for (unsigned i = 0; i < n; i += lanes)
		ok &= hash_some(g, g->job + i, n - i < lanes ? n - i : lanes);
	return ok;
}

/* One message: counter mode over len octets from in to out. */
static bool cm_apply(struct gather *g, const struct cm_keys *keys, const uint8_t salt[14],
	uint32_t ssrc, uint64_t index, const uint8_t *in, size_t len, uint8_t *out)
{
	srtp_iv_cm(salt, ssrc, index, g->iv[0]);
	cipher_job(&g->job[0], keys->enc, g->iv[0], in, len, out);
	// The library refuses jobs of nothing.
	return cipher_run(g, len ? 1 : 0);
}

/* One message: its tag, CM_TAG octets. */
static bool cm_tag(
	struct gather *g, const struct cm_keys *keys, const uint8_t *p, size_t len, uint8_t *tag)
{
	hash_job(&g->job[0], keys, p, len, g->tag[0]);
	if (!hash_run(g, 1))
		return false;
	memcpy(tag, g->tag[0], CM_TAG);
	return true;
}

/*
 * Not libsrtp2's: on NSS each of its ciphers is a library loaded and unloaded again, milliseconds
 * for the keys of a transport.
 */
static enum srtp_status prf(void *arg, const uint8_t *key, size_t key_len, const uint8_t iv[16],
	uint8_t *out, size_t out_len)
{
	_Alignas(16) uint8_t enc[15 * 16], dec[15 * 16];
	struct gather *g = gather_get();
	IMB_JOB *job;
	bool done;

	(void)arg;
	if (!g)
		return SRTP_ENGINE;
	if (key_len == IMB_KEY_256_BYTES)
		IMB_AES_KEYEXP_256(mgr, key, enc, dec);
	else
		IMB_AES_KEYEXP_128(mgr, key, enc, dec);
	memset(out, 0, out_len);
	memcpy(g->iv[0], iv, sizeof(g->iv[0]));
	job = &g->job[0];
	cipher_job(job, enc, g->iv[0], out, out_len, out);
	job->key_len_in_bytes = key_len;
	IMB_SUBMIT_CIPHER_BURST(
		g->wide, job, 1, IMB_CIPHER_CNTR, IMB_DIR_ENCRYPT, (IMB_KEY_SIZE_BYTES)key_len);
	done = jobs_done(job, 1, IMB_STATUS_COMPLETED_CIPHER);
	srtp_wipe(enc, sizeof(enc));
	srtp_wipe(dec, sizeof(dec));
	srtp_wipe(job, sizeof(*job));
	return done ? SRTP_OK : SRTP_ENGINE;
}

static enum srtp_status create(const struct srtp_profile *profile, const uint8_t *key,
	const uint8_t *salt, struct srtp_ctx **ctx)
{
	return srtp_engine_derive(prf, create_session, profile, key, salt, ctx);
}

static int gcm_rtp_seal(
	struct srtp_ctx *ctx, const struct srtp_seal_in *in, uint8_t *out, size_t cap)
{
	size_t len = in->payload_len;
	enum srtp_status st = limits(in->hdr_len, len);
	uint8_t iv[12];
	uint8_t *p;

	if (st != SRTP_OK)
		return st;
	if (cap < in->hdr_len + len + SRTP_TAG_MAX)
		return SRTP_NO_ROOM;
	p = out + in->hdr_len;
	memcpy(out, in->hdr, in->hdr_len);
	srtp_iv_gcm(ctx->rtp_salt, in->ssrc, in->index, iv);
	// The library takes no null pointer, not even for 0 octets.
	gcm_seal(
		ctx, &ctx->rtp.gcm, iv, out, in->hdr_len, len ? in->payload : out, len, p, p + len);
	return (int)(in->hdr_len + len + SRTP_TAG_MAX);
}

/* What was to be sealed is not: nothing of the plaintext stays in out. */
static void cm_fail(struct srtp_seal_job *job)
{
	srtp_wipe(job->out + job->in.hdr_len, job->in.payload_len + CM_TAG);
	job->result = SRTP_ENGINE;
}

/* Seal up to GATHER packets whose limits are checked. */
static void cm_seal_gathered(struct gather *g, struct srtp_seal_job **jobs, unsigned n)
{
	unsigned ciphers = 0;
	bool ok;

	for (unsigned i = 0; i < n; i++) {
		const struct srtp_seal_in *in = &jobs[i]->in;

		memcpy(jobs[i]->out, in->hdr, in->hdr_len);
		if (!in->payload_len)
			continue;
		srtp_iv_cm(jobs[i]->ctx->rtp_salt, in->ssrc, in->index, g->iv[ciphers]);
		cipher_job(&g->job[ciphers], jobs[i]->ctx->rtp.cm.enc, g->iv[ciphers], in->payload,
			in->payload_len, jobs[i]->out + in->hdr_len);
		ciphers++;
	}
	ok = cipher_run(g, ciphers);
	for (unsigned i = 0; i < n; i++) {
		size_t len = jobs[i]->in.hdr_len + jobs[i]->in.payload_len;

		// Authenticated behind the packet, then the tag takes its place (RFC 3711, 4.2).
		srtp_roc_be(jobs[i]->in.index, jobs[i]->out + len);
		hash_job(&g->job[i], &jobs[i]->ctx->rtp.cm, jobs[i]->out, len + 4, g->tag[i]);
	}
	ok = ok && hash_run(g, n);
	for (unsigned i = 0; i < n; i++) {
		size_t len = jobs[i]->in.hdr_len + jobs[i]->in.payload_len;

		if (!ok) {
			cm_fail(jobs[i]);
			continue;
		}
		memcpy(jobs[i]->out + len, g->tag[i], CM_TAG);
		jobs[i]->result = (int)(len + CM_TAG);
	}
}

static void cm_flush(struct srtp_seal_job **jobs, unsigned n)
{
	struct gather *g;

	if (!n)
		return;
	g = gather_get();
	if (g) {
		cm_seal_gathered(g, jobs, n);
		return;
	}
	for (unsigned i = 0; i < n; i++)
		cm_fail(jobs[i]);
}

static void rtp_seal_burst(struct srtp_seal_job *jobs, unsigned n)
{
	struct srtp_seal_job *cm[GATHER];
	unsigned gathered = 0;

	for (unsigned i = 0; i < n; i++) {
		struct srtp_seal_job *job = &jobs[i];
		enum srtp_status st;

		if (job->ctx->aead) {
			job->result = gcm_rtp_seal(job->ctx, &job->in, job->out, job->cap);
			continue;
		}
		st = cm_limits(job->in.hdr_len, job->in.payload_len);
		if (st == SRTP_OK && job->cap < job->in.hdr_len + job->in.payload_len + CM_TAG)
			st = SRTP_NO_ROOM;
		job->result = st;
		if (st != SRTP_OK)
			continue;
		cm[gathered++] = job;
		if (gathered == GATHER) {
			cm_flush(cm, gathered);
			gathered = 0;
		}
	}
	cm_flush(cm, gathered);
}

static int rtp_seal(struct srtp_ctx *ctx, const struct srtp_seal_in *in, uint8_t *out, size_t cap)
{
	struct srtp_seal_job job = {.ctx = ctx, .in = *in, .out = out, .cap = cap};

	rtp_seal_burst(&job, 1);
	return job.result;
}

static int cm_rtp_open(struct srtp_ctx *ctx, uint8_t *buf, size_t len, size_t hdr_len,
	uint32_t ssrc, uint64_t index)
{
	struct gather *g = gather_get();
	uint8_t given[CM_TAG], want[CM_TAG];
	enum srtp_status st;
	bool hashed;

	if (len < CM_TAG || len - CM_TAG < hdr_len)
		return SRTP_SHORT;
	len -= CM_TAG;
	st = cm_limits(hdr_len, len - hdr_len);
	if (st != SRTP_OK)
		return st;
	if (!g)
		return SRTP_ENGINE;
	// The rollover counter stands where the tag does while the tag is computed.
	memcpy(given, buf + len, CM_TAG);
	srtp_roc_be(index, buf + len);
	hashed = cm_tag(g, &ctx->rtp.cm, buf, len + 4, want);
	memcpy(buf + len, given, CM_TAG);
	if (!hashed)
		return SRTP_ENGINE;
	if (!srtp_tag_equal(want, given, CM_TAG))
		return SRTP_AUTH_FAIL;
	if (!cm_apply(g, &ctx->rtp.cm, ctx->rtp_salt, ssrc, index, buf + hdr_len, len - hdr_len,
		    buf + hdr_len))
		return SRTP_ENGINE;
	return (int)len;
}

static int rtp_open(struct srtp_ctx *ctx, uint8_t *buf, size_t len, size_t hdr_len, uint32_t ssrc,
	uint64_t index)
{
	enum srtp_status st;
	uint8_t iv[12];
	size_t enc_len;

	if (!ctx->aead)
		return cm_rtp_open(ctx, buf, len, hdr_len, ssrc, index);
	if (len < SRTP_TAG_MAX || len - SRTP_TAG_MAX < hdr_len)
		return SRTP_SHORT;
	enc_len = len - SRTP_TAG_MAX - hdr_len;
	st = limits(hdr_len, enc_len);
	if (st != SRTP_OK)
		return st;
	srtp_iv_gcm(ctx->rtp_salt, ssrc, index, iv);
	if (!gcm_open(ctx, &ctx->rtp.gcm, iv, buf, hdr_len, buf + hdr_len, enc_len,
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
	size_t tag_len = ctx->aead ? SRTP_TAG_MAX : CM_TAG;
	uint8_t aad[SRTCP_HDR_LEN + SRTCP_WORD_LEN];
	uint8_t word[SRTCP_WORD_LEN];
	struct gather *g;
	uint32_t ssrc;
	uint8_t iv[12];

	if (len < SRTCP_HDR_LEN)
		return SRTP_SHORT;
	if (len - SRTCP_HDR_LEN > SRTP_PAYLOAD_MAX || (!ctx->aead && len + 4 > CM_MESSAGE_MAX))
		return SRTP_UNSUPPORTED;
	if (cap < len + tag_len + SRTCP_WORD_LEN)
		return SRTP_NO_ROOM;
	memcpy(out, in, SRTCP_HDR_LEN);
	srtcp_word(index, word);
	ssrc = (uint32_t)in[4] << 24 | (uint32_t)in[5] << 16 | (uint32_t)in[6] << 8 | in[7];
	if (ctx->aead) {
		rtcp_aad(in, word, aad);
		srtcp_iv_gcm(ctx->rtcp_salt, ssrc, index, iv);
		gcm_seal(ctx, &ctx->rtcp.gcm, iv, aad, sizeof(aad), in + SRTCP_HDR_LEN,
			len - SRTCP_HDR_LEN, out + SRTCP_HDR_LEN, out + len);
		memcpy(out + len + SRTP_TAG_MAX, word, sizeof(word));
	} else {
		g = gather_get();
		memcpy(out + len, word, sizeof(word));
		if (!g
			|| !cm_apply(g, &ctx->rtcp.cm, ctx->rtcp_salt, ssrc, index,
				in + SRTCP_HDR_LEN, len - SRTCP_HDR_LEN, out + SRTCP_HDR_LEN)
			|| !cm_tag(g, &ctx->rtcp.cm, out, len + sizeof(word),
				out + len + sizeof(word))) {
			srtp_wipe(out, len + tag_len + SRTCP_WORD_LEN);
			return SRTP_ENGINE;
		}
	}
	return (int)(len + tag_len + SRTCP_WORD_LEN);
}

static int cm_rtcp_open(struct srtp_ctx *ctx, uint8_t *buf, const struct srtcp_view *view)
{
	size_t len = SRTCP_HDR_LEN + view->enc_len;
	struct gather *g = gather_get();
	uint8_t want[CM_TAG];

	if (len + SRTCP_WORD_LEN > CM_MESSAGE_MAX)
		return SRTP_UNSUPPORTED;
	if (!g || !cm_tag(g, &ctx->rtcp.cm, buf, len + SRTCP_WORD_LEN, want))
		return SRTP_ENGINE;
	if (!srtp_tag_equal(want, buf + view->tag_off, CM_TAG))
		return SRTP_AUTH_FAIL;
	if (!cm_apply(g, &ctx->rtcp.cm, ctx->rtcp_salt, view->ssrc, view->index,
		    buf + SRTCP_HDR_LEN, view->enc_len, buf + SRTCP_HDR_LEN))
		return SRTP_ENGINE;
	return (int)len;
}

static int rtcp_open(struct srtp_ctx *ctx, uint8_t *buf, const struct srtcp_view *view)
{
	uint8_t aad[SRTCP_HDR_LEN + SRTCP_WORD_LEN];
	uint8_t iv[12];

	if (view->enc_len > SRTP_PAYLOAD_MAX)
		return SRTP_UNSUPPORTED;
	if (!ctx->aead)
		return cm_rtcp_open(ctx, buf, view);
	rtcp_aad(buf, buf + view->word_off, aad);
	srtcp_iv_gcm(ctx->rtcp_salt, view->ssrc, view->index, iv);
	if (!gcm_open(ctx, &ctx->rtcp.gcm, iv, aad, sizeof(aad), buf + SRTCP_HDR_LEN, view->enc_len,
		    buf + view->tag_off))
		return SRTP_AUTH_FAIL;
	return (int)(SRTCP_HDR_LEN + view->enc_len);
}

const struct srtp_engine srtp_engine_ipsec_mb = {
	.name = "ipsec-mb",
	.about = "intel-ipsec-mb, packets gathered to bursts; x86 with AES instructions",
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
