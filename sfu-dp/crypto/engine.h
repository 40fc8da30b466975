// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sfu-dp/proto/srtp.h"

/**
 * @file
 * SRTP cipher engines. An engine turns a session key, an SSRC and an index into sealed or opened
 * packets; which index, and whether it is fresh, is decided by sfu-dp/proto/srtp.h. All engines
 * give the same octets. Chosen by name at start; see srtp_engine_find().
 */

/** Expanded session keys of one transport and one direction, RTP and RTCP, for any SSRC. */
struct srtp_ctx;

/** An RTP packet to seal. The two parts need not be adjacent; neither is modified. */
struct srtp_seal_in {
	const uint8_t *hdr; // RTP header, CSRCs and extensions as they will be sent: clear
	size_t hdr_len; // SRTP_RTP_HDR_MIN to SRTP_HDR_MAX
	const uint8_t *payload; // plaintext; may be shared with other readers
	size_t payload_len; // may be 0
	uint64_t index; // from srtp_tx_index()
	uint32_t ssrc; // the one written in hdr
};

/**
 * One packet of a burst. out must not overlap hdr or payload of any job of the burst; but a payload may
 * lie where it will be sealed, at out + hdr_len of its own job.
 */
struct srtp_seal_job {
	struct srtp_ctx *ctx; // of the engine that is called; jobs may share one
	struct srtp_seal_in in;
	uint8_t *out;
	size_t cap; // octets at out; hdr_len + payload_len + tag_len is enough
	int result; // out: octets written, or negative enum srtp_status
};

/**
 * The functions of an engine. A ctx is used by one thread at a time; different ones may be used
 * at once. The calls marked (packet) make no system call and take no lock of ours, and allocate
 * nothing themselves; a cipher library may.
 */
struct srtp_engine {
	const char *name; // value of the setting, "libsrtp2"
	const char *about; // one line for --help

	/** Whether this processor can run it. Any thread. */
	bool (*usable)(void);

	/**
	 * Derive and expand the session keys.
	 * @param profile  from srtp_profile_find()
	 * @param key      master key, profile->key_len octets; the caller wipes its copy
	 * @param salt     master salt, profile->salt_len octets
	 * @param ctx      out, on SRTP_OK only; the caller calls destroy()
	 * @return SRTP_OK, SRTP_UNSUPPORTED, SRTP_ENGINE; no key is left behind on failure
	 * Any thread, not on the packet path.
	 */
	enum srtp_status (*create)(const struct srtp_profile *profile, const uint8_t *key,
		const uint8_t *salt, struct srtp_ctx **ctx);

	/**
	 * The same from session keys, for test vectors that begin there. Only the octets that
	 * the profile uses are read.
	 */
	enum srtp_status (*create_session)(const struct srtp_profile *profile,
		const struct srtp_keys *rtp, const struct srtp_keys *rtcp, struct srtp_ctx **ctx);

	/** Wipe and free; NULL is allowed. No call may be under way. */
	void (*destroy)(struct srtp_ctx *ctx);

	/**
	 * Seal an RTP packet out of place: header, ciphertext and tag are written to out (packet).
	 * @return octets written; SRTP_SHORT (header below 12), SRTP_UNSUPPORTED (header or payload
	 *         above its maximum), SRTP_NO_ROOM, SRTP_ENGINE. On an error out is undefined but never
	 *         holds plaintext of the payload.
	 */
	int (*rtp_seal)(
		struct srtp_ctx *ctx, const struct srtp_seal_in *in, uint8_t *out, size_t cap);

	/** Seal n packets, each as rtp_seal() would, in any order; n may be 0 (packet). */
	void (*rtp_seal_burst)(struct srtp_seal_job *jobs, unsigned n);

	/**
	 * Authenticate and decrypt an RTP packet in place (packet).
	 * @param buf      the packet; on failure its payload is undefined, the header unchanged
	 * @param hdr_len  header with CSRCs and extensions, as rtp_parse() found it
	 * @param ssrc     of the header
	 * @param index    from srtp_rx_check()
	 * @return octets of header and plaintext; SRTP_SHORT, SRTP_UNSUPPORTED, SRTP_AUTH_FAIL,
	 *         SRTP_ENGINE
	 */
	int (*rtp_open)(struct srtp_ctx *ctx, uint8_t *buf, size_t len, size_t hdr_len,
		uint32_t ssrc, uint64_t index);

	/**
	 * Seal an RTCP compound out of place (packet).
	 * @param in     compound; its first SSRC selects the nonce. Not modified, no overlap
	 * @param index  from srtcp_tx_index()
	 * @param cap    len + tag_len + SRTCP_WORD_LEN is enough
	 * @return octets written; SRTP_SHORT (below 8), SRTP_NO_ROOM, SRTP_ENGINE
	 */
	int (*rtcp_seal)(struct srtp_ctx *ctx, const uint8_t *in, size_t len, uint32_t index,
		uint8_t *out, size_t cap);

	/**
	 * Authenticate and decrypt an SRTCP packet in place (packet).
	 * @param buf   the packet that srtcp_parse() read, unchanged since
	 * @param view  what srtcp_parse() gave; its index passed srtcp_rx_check()
	 * @return octets of the RTCP compound, at buf; SRTP_AUTH_FAIL, SRTP_ENGINE
	 */
	int (*rtcp_open)(struct srtp_ctx *ctx, uint8_t *buf, const struct srtcp_view *view);
};

/**
 * Find an engine by name. NULL or "auto" gives the preferred one; NULL for a name that is unknown,
 * or whose engine is not built in or not usable here.
 */
const struct srtp_engine *srtp_engine_find(const char *name);

/** The usable engines by place, preferred first; NULL past the last. For --help. */
const struct srtp_engine *srtp_engine_at(unsigned place);

/* The engines themselves; take them from srtp_engine_find(). */
extern const struct srtp_engine srtp_engine_ipsec_mb; // only where intel-ipsec-mb was found
extern const struct srtp_engine srtp_engine_libsrtp2;

/** An engine's create_session. */
typedef enum srtp_status (*srtp_create_session_fn)(const struct srtp_profile *profile,
	const struct srtp_keys *rtp, const struct srtp_keys *rtcp, struct srtp_ctx **ctx);

/**
 * What create() of every engine does: derive the session keys with the engine's own cipher, hand
 * them to its create_session, and wipe them whatever came of it. Returns as create() does.
 */
enum srtp_status srtp_engine_derive(srtp_prf_fn prf, srtp_create_session_fn create_session,
	const struct srtp_profile *profile, const uint8_t *key, const uint8_t *salt,
	struct srtp_ctx **ctx);
