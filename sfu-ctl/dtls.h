// SPDX-License-Identifier: BSD-3-Clause
/**
 * DTLS server handshakes for SRTP keys (RFC 5764), fed and drained as datagrams.
 *
 * No socket: the data plane punts datagrams of validated tuples, dtls_session_feed() takes them, and
 * what is to be sent leaves through a callback. One context per process, one session per transport.
 * DTLS 1.2 with extended master secret only; the client must present a certificate, and keys can be
 * exported only after it matched a fingerprint that signalling brought, however early the handshake
 * itself was done. Not thread safe: the context and its sessions belong to one thread.
 *
 * Time is an argument and only bounds the life of a handshake. The retransmission timer (100 ms,
 * doubling, at most 2 s) runs on OpenSSL's own clock, which is wall time: a step of it delays or
 * hastens one retransmission and nothing else.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Datagrams sent are never longer than this. */
#define DTLS_MTU_BYTES 1200u
/** "AA:BB:..." of SHA-256, with the NUL. */
#define DTLS_FINGERPRINT_TEXT_BYTES 96u
/** A handshake takes no more octets than this from its peer. */
#define DTLS_HANDSHAKE_MAX_BYTES 32768u
/** From the first datagram until connected. */
#define DTLS_HANDSHAKE_MAX_US 10000000u
/** Fingerprints of one peer that are looked at. */
#define DTLS_MAX_FINGERPRINTS 8u

struct dtls_context;
struct dtls_session;

enum dtls_state {
	DTLS_HANDSHAKING = 0,
	DTLS_WAITING_FINGERPRINT, /* handshake done, dtls_session_set_remote() is awaited */
	DTLS_CONNECTED, /* fingerprint matched: keys may be exported */
	DTLS_CLOSED, /* the peer, or dtls_session_close(), closed a connected session */
	DTLS_FAILED, /* for good; dtls_session_reason() says why */
};

/** Hop keys of both directions (RFC 5764, 4.2). Wipe after use with dtls_keys_wipe(). */
struct dtls_srtp_keys {
	uint16_t profile; /* enum sfu_srtp_profile */
	uint8_t key_bytes; /* 16 or 32 */
	uint8_t salt_bytes; /* 14 (CM) or 12 (GCM) */
	uint8_t client_key[32]; /* what the peer seals with */
	uint8_t client_salt[16];
	uint8_t server_key[32]; /* what we seal with */
	uint8_t server_salt[16];
};

/** One entry of dtlsParameters.fingerprints. */
struct dtls_fingerprint {
	const char *algorithm; /* "sha-256", "sha-384", "sha-512"; others are skipped */
	const char *value; /* "AA:BB:...", any case */
};

/**
 * Takes one datagram to the peer. Called from inside feed, on_timeout and close only.
 * @param datagram  at most DTLS_MTU_BYTES, valid during the call
 * The callback must not call back into the session.
 */
typedef void (*dtls_send_fn)(void *arg, const uint8_t *datagram, size_t len);

/**
 * Make the context with a self-signed P-256 certificate, valid 30 days at most.
 * @param dir  where certificate and key are kept across restarts, as DIR/dtls.pem with mode 0600;
 *             a new pair is made when there is none or it ends within 3 days. NULL: memory only.
 * @param err  receives one line on failure: what is wrong and with which file
 * @return the context, or NULL. A file that others can read, or that is damaged, is refused, not
 *         replaced: somebody should look at it.
 */
struct dtls_context *dtls_context_create(const char *dir, char *err, size_t err_size);

/** Free the context. Its sessions must be gone. NULL is fine. */
void dtls_context_destroy(struct dtls_context *ctx);

/** SHA-256 fingerprint of our certificate, "AA:BB:..."; lives as long as the context. */
const char *dtls_context_fingerprint(const struct dtls_context *ctx);

/**
 * Make a session. No datagram leaves before one came in.
 * @param send  called with arg for each outgoing datagram
 * @return the session, or NULL when out of memory
 */
struct dtls_session *dtls_session_create(struct dtls_context *ctx, dtls_send_fn send, void *arg);

/** Free the session and wipe its secrets. Sends nothing. NULL is fine. */
void dtls_session_destroy(struct dtls_session *s);

/**
 * Say which certificate the peer will present. May come before, during or after the handshake;
 * read dtls_session_state() afterwards, it may be DTLS_CONNECTED or DTLS_FAILED now.
 * @param role  of the peer, "client", "auto" or NULL (auto); we are always the server
 * @return 0; -EINVAL (role "server", or a value that is no fingerprint); -ENOENT (no fingerprint
 *         with a hash we know); -EALREADY (was set before; nothing is changed)
 */
int dtls_session_set_remote(struct dtls_session *s, const char *role,
	const struct dtls_fingerprint *fingerprints, size_t count);

/**
 * Take one datagram. What is not a well-formed DTLS record is ignored. Answers leave through the
 * callback, also those to retransmitted final flights of a connected session.
 * @return the state after it
 */
enum dtls_state dtls_session_feed(
	struct dtls_session *s, const uint8_t *datagram, size_t len, uint64_t now_us);

/** When dtls_session_on_timeout() wants to be called, on the caller's clock; UINT64_MAX: never. */
uint64_t dtls_session_next_timeout_us(const struct dtls_session *s, uint64_t now_us);

/** Retransmit or give up, whichever is due. Early calls do nothing. @return the state after it */
enum dtls_state dtls_session_on_timeout(struct dtls_session *s, uint64_t now_us);

/** @return the present state */
enum dtls_state dtls_session_state(const struct dtls_session *s);

/** Why the session failed or was closed, for logs: static text without secrets; "" otherwise. */
const char *dtls_session_reason(const struct dtls_session *s);

/**
 * The negotiated hop keys, once: then the session forgets what they were made from. It goes on, and
 * repeats its last flight, with the keys of its records.
 * @return 0; -EAGAIN unless DTLS_CONNECTED, -EALREADY the second time (*keys is zeroed in both); -EIO when
 *         OpenSSL refuses
 */
int dtls_session_export(struct dtls_session *s, struct dtls_srtp_keys *keys);

/** Send close_notify if connected; the state becomes DTLS_CLOSED. */
void dtls_session_close(struct dtls_session *s);

/** Overwrite keys. */
void dtls_keys_wipe(struct dtls_srtp_keys *keys);
