// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * @file
 * SRTP and SRTCP without the cipher (RFC 3711, RFC 7714): profiles, key derivation, packet
 * index and rollover, replay windows, initialisation vectors and layouts. The cipher is an
 * engine (sfu-dp/crypto/engine.h). A packet is opened in this order, and only the last step
 * changes state, so nothing unauthenticated ever does:
 *
 *	RTP:  srtp_rx_check() -> engine rtp_open() -> srtp_rx_commit()
 *	RTCP: srtcp_parse() -> srtcp_rx_check() -> engine rtcp_open() -> srtcp_rx_commit()
 *
 * and sealed so; the stream is advanced first, so that no index is used twice even if the
 * process dies between the two steps:
 *
 *	RTP:  srtp_tx_index() -> engine rtp_seal() or rtp_seal_burst()
 *	RTCP: srtcp_tx_index() -> engine rtcp_seal()
 *
 * Stream structs are plain old data of fixed size, valid when all zero (= nothing seen yet), and
 * may lie in memory that outlives the process. One writer each. Pure: no allocation, any lcore.
 */

/** Outcomes; also returned as the negative half of "length or status". */
enum srtp_status {
	SRTP_OK = 0,
	SRTP_SHORT = -1, // fewer octets than the fixed parts of this profile need
	SRTP_NO_ROOM = -2, // the caller's output buffer is too small; nothing written
	SRTP_UNSUPPORTED = -3, // profile, or more octets than the limits below
	SRTP_AUTH_FAIL = -4, // tag wrong: forged, damaged, wrong key or wrong rollover
	SRTP_REPLAY = -5, // this index was accepted before
	SRTP_OLD = -6, // behind the replay window
	SRTP_EXHAUSTED = -7, // no index left under this key
	SRTP_CLEAR = -8, // SRTCP with E = 0: our profiles always encrypt (RFC 5764, 4.1.2)
	SRTP_ENGINE = -9, // the cipher library failed (no memory, not initialised)
};

/** Name of a status for logs and tests, such as "auth-fail"; "?" when unknown. */
const char *srtp_status_name(int status);

/** Protection profiles by their DTLS-SRTP numbers (IANA; RFC 5764, RFC 7714 14.2). */
enum srtp_profile_id {
	SRTP_AES128_CM_SHA1_80 = 0x0001,
	SRTP_AEAD_AES_128_GCM = 0x0007,
	SRTP_AEAD_AES_256_GCM = 0x0008,
};

#define SRTP_KEY_MAX 32 // master and session cipher keys
#define SRTP_SALT_MAX 14 // master and session salts
#define SRTP_AUTH_KEY_LEN 20
#define SRTP_TAG_MAX 16
#define SRTP_RTP_HDR_MIN 12
#define SRTP_HDR_MAX 2048 // longest RTP header, extensions included, that an engine takes
#define SRTP_PAYLOAD_MAX (1 << 20) // 2^16 AES blocks, where counter mode repeats (3711, 4.1.1)
#define SRTCP_HDR_LEN 8 // octets of an RTCP compound that stay clear
#define SRTCP_WORD_LEN 4 // E bit and index
/** Most octets that rtp_seal() and rtcp_seal() add, over all profiles. */
#define SRTP_OVERHEAD_MAX SRTP_TAG_MAX
#define SRTCP_OVERHEAD_MAX (SRTP_TAG_MAX + SRTCP_WORD_LEN)

#define SRTP_INDEX_MAX ((UINT64_C(1) << 48) - 1)
#define SRTCP_INDEX_MAX 0x7fffffffu

/** What a profile fixes; lengths in octets. Constant data, never freed. */
struct srtp_profile {
	const char *name; // as OpenSSL and RFC 5764 write it, "SRTP_AEAD_AES_128_GCM"
	uint16_t id; // enum srtp_profile_id
	uint8_t key_len; // master key and session cipher key
	uint8_t salt_len; // master salt and session salt
	uint8_t tag_len; // RTP and RTCP alike
	bool aead; // GCM; otherwise counter mode and HMAC-SHA1
};

/** Find a profile by DTLS-SRTP number; NULL when it is none of ours. */
const struct srtp_profile *srtp_profile_find(unsigned id);

/**
 * Find a profile by place, in our order of preference: AEAD_AES_128_GCM, AEAD_AES_256_GCM,
 * AES128_CM_SHA1_80. NULL past the last.
 */
const struct srtp_profile *srtp_profile_at(unsigned place);

/* Key derivation */

/** Session keys of one direction, for RTP or for RTCP. Secret: wipe with srtp_wipe(). */
struct srtp_keys {
	uint8_t key[SRTP_KEY_MAX]; // first profile.key_len octets used
	uint8_t salt[SRTP_SALT_MAX]; // first profile.salt_len octets used
	uint8_t auth[SRTP_AUTH_KEY_LEN]; // unused by AEAD profiles
};

/**
 * The pseudo-random function of RFC 3711 4.3.3 and RFC 6188 2: AES in counter mode.
 * @param arg      as given to srtp_keys_derive()
 * @param key      AES key of key_len octets, 16 or 32
 * @param iv       first counter block; its last two octets are zero
 * @param out      gets out_len octets of key stream; at most 46 are asked for
 * @return SRTP_OK or SRTP_ENGINE
 */
typedef enum srtp_status (*srtp_prf_fn)(void *arg, const uint8_t *key, size_t key_len,
	const uint8_t iv[16], uint8_t *out, size_t out_len);

/**
 * Derive the session keys from a master key and salt (RFC 3711 4.3, RFC 7714 11), with a key
 * derivation rate of zero as DTLS-SRTP has it.
 * @param key    profile->key_len octets
 * @param salt   profile->salt_len octets
 * @param rtp    out, keys for RTP; both are wiped when this fails
 * @param rtcp   out, keys for RTCP
 * @return SRTP_OK, or what prf returned
 */
enum srtp_status srtp_keys_derive(const struct srtp_profile *profile, const uint8_t *key,
	const uint8_t *salt, srtp_prf_fn prf, void *arg, struct srtp_keys *rtp,
	struct srtp_keys *rtcp);

/** Overwrite a secret so that the compiler cannot leave it out. */
void srtp_wipe(void *secret, size_t len);

/** Compare two tags in a time that depends on len alone. */
bool srtp_tag_equal(const uint8_t *a, const uint8_t *b, size_t len);

/* Receiving: index and replay. index = rollover counter << 16 | sequence number */

#define SRTP_WINDOW 1024 // RTP packets; a multiple of 64
#define SRTCP_WINDOW 128

/** One received SSRC. All zero = nothing received. 136 octets. */
struct srtp_rx_stream {
	uint64_t highest; // highest authenticated index
	uint64_t window[SRTP_WINDOW / 64]; // bit (index % SRTP_WINDOW): that index was accepted
};

/** One received SRTCP source. All zero = nothing received. 24 octets. */
struct srtcp_rx_stream {
	uint32_t highest;
	uint32_t reserved; // zero
	uint64_t window[SRTCP_WINDOW / 64];
};

/**
 * Estimate the index of a received packet (RFC 3711 3.3.1, appendix A) and look it up in the
 * replay window (3.3.2). The stream is not changed. The first packet of a stream has rollover 0.
 * @param seq     sequence number of the RTP header
 * @param index   out, on SRTP_OK only: what rtp_open() and srtp_rx_commit() need
 * @return SRTP_OK, SRTP_REPLAY, SRTP_OLD, SRTP_EXHAUSTED
 */
enum srtp_status srtp_rx_check(const struct srtp_rx_stream *stream, uint16_t seq, uint64_t *index);

/** Remember an index that srtp_rx_check() gave and rtp_open() has authenticated. */
void srtp_rx_commit(struct srtp_rx_stream *stream, uint64_t index);

/** The same for SRTCP, whose index is in the packet: SRTP_OK, SRTP_REPLAY or SRTP_OLD. */
enum srtp_status srtcp_rx_check(const struct srtcp_rx_stream *stream, uint32_t index);
void srtcp_rx_commit(struct srtcp_rx_stream *stream, uint32_t index);

/* Sending */

/** One sent SSRC. All zero = nothing sent. */
struct srtp_tx_stream {
	uint64_t index; // highest index given out
};

/** SRTCP of one sender SSRC. All zero = nothing sent. */
struct srtcp_tx_stream {
	uint32_t next; // index of the next packet
};

/**
 * Give the index under which an outgoing sequence number is sealed, and advance the stream.
 * A number up to 2^15 behind the highest one belongs to the past, so a late packet gets the
 * rollover of its time. The caller never seals two different packets under one sequence number
 * of one rollover: (key, SSRC, index) is the nonce.
 * @return SRTP_OK, SRTP_EXHAUSTED (stream and *index not changed)
 */
enum srtp_status srtp_tx_index(struct srtp_tx_stream *stream, uint16_t seq, uint64_t *index);

/** Give the index of the next SRTCP packet and advance: SRTP_OK or SRTP_EXHAUSTED. */
enum srtp_status srtcp_tx_index(struct srtcp_tx_stream *stream, uint32_t *index);

/* Layout */

/**
 * An SRTCP packet as received, offsets into the caller's buffer (RFC 3711 3.4, RFC 7714 9).
 *
 *	CM:   | header 8 | enc_len | E+index 4 | tag 10 |
 *	AEAD: | header 8 | enc_len | tag 16 | E+index 4 |
 */
struct srtcp_view {
	uint32_t ssrc; // sender of the first packet in the compound: selects the stream
	uint32_t index; // 31 bits
	size_t enc_len; // encrypted octets, from SRTCP_HDR_LEN on; may be 0
	size_t tag_off; // where the tag begins
	size_t word_off; // where E+index begins
};

/**
 * Read the layout of an SRTCP packet. Nothing is authenticated.
 * @return SRTP_OK, SRTP_SHORT, SRTP_CLEAR
 */
enum srtp_status srtcp_parse(
	const struct srtp_profile *profile, const uint8_t *buf, size_t len, struct srtcp_view *out);

/* For engines */

/** First counter block of counter mode (RFC 3711 4.1.1); index is the RTP or SRTCP index. */
void srtp_iv_cm(const uint8_t salt[14], uint32_t ssrc, uint64_t index, uint8_t iv[16]);

/** GCM nonce of an RTP packet (RFC 7714 8.1). */
void srtp_iv_gcm(const uint8_t salt[12], uint32_t ssrc, uint64_t index, uint8_t iv[12]);

/** GCM nonce of an SRTCP packet (RFC 7714 9.1). */
void srtcp_iv_gcm(const uint8_t salt[12], uint32_t ssrc, uint32_t index, uint8_t iv[12]);

/** The E+index word of an encrypted SRTCP packet, in wire order. */
void srtcp_word(uint32_t index, uint8_t word[SRTCP_WORD_LEN]);

/** The rollover counter in wire order, as it is authenticated behind a CM packet. */
void srtp_roc_be(uint64_t index, uint8_t roc[4]);
