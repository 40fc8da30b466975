// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/**
 * @file
 * For tests: one WebRTC transport of a client. Full ICE (libnice, controlling), DTLS client
 * (OpenSSL), SRTP and SRTCP (libsrtp2). Callbacks come from the default GMainContext or from
 * media_transport_tick().
 */

struct media_identity;
struct media_transport;

/** What TRANSPORT_CREATED says. */
struct media_remote {
	char ufrag[256];
	char password[256];
	char foundation[33];
	uint32_t priority;
	struct sockaddr_storage address; // of either family
	uint8_t fingerprint[32]; // SHA-256 of the certificate
	bool patient; // libnice shall not give up after two consent checks without an answer
};

struct media_events {
	void (*on_connected)(void *ctx);
	/** It will not recover; no more packets. why is static. */
	void (*on_failed)(void *ctx, const char *why);
	/** Opened packets, valid and writable during the call. */
	void (*on_rtp)(void *ctx, uint8_t *packet, size_t len, uint64_t now_us);
	void (*on_rtcp)(void *ctx, uint8_t *packet, size_t len, uint64_t now_us);
};

struct media_counts {
	uint64_t sent, sent_rtcp; // datagrams
	uint64_t send_failed; // the socket did not take it
	uint64_t received, received_rtcp; // opened
	uint64_t not_opened; // SRTP or SRTCP refused
	uint64_t replayed; // that came before, or are too old to tell
	uint64_t unknown; // neither DTLS nor RTP
};

/** Octets behind a packet that sealing needs. */
#define MEDIA_TRAILER_MAX 64

/**
 * Certificate and SRTP profiles of this process.
 * @param profiles  as OpenSSL writes them, colon separated
 * @return NULL when OpenSSL or libsrtp2 refuses
 */
struct media_identity *media_identity_create(const char *profiles);
void media_identity_destroy(struct media_identity *identity);

/** Write what must never be in a log into a file, as lines "name value" (hop keys in hex). */
void media_identity_tell_secrets(struct media_identity *identity, FILE *out);

/** "AA:BB:…", SHA-256 of the certificate. */
const char *media_identity_fingerprint(const struct media_identity *identity);

/** Start ICE toward remote, then DTLS. @param events must outlive the transport */
struct media_transport *media_transport_create(const struct media_identity *identity,
	const struct media_remote *remote, const struct media_events *events, void *ctx);

/**
 * Go on from another port, with a new ICE agent; DTLS and SRTP are untouched.
 * @param remote  its ICE credentials: make before break, the old port is used until the new one is
 *                nominated and listened on for a while after. NULL: as a NAT does it, the old port is
 *                gone at once and the credentials stay
 * @return false when it is not connected, or is moving already
 */
bool media_transport_move(struct media_transport *transport, const struct media_remote *remote);

/** Moves that came to their end. */
unsigned media_transport_moves(const struct media_transport *transport);

/** Not from inside its callbacks. NULL is allowed. */
void media_transport_destroy(struct media_transport *transport);

/** DTLS timers. Call about every 10 ms. */
void media_transport_tick(struct media_transport *transport);

/** DTLS is done and the certificate is the signalled one. */
bool media_transport_is_connected(const struct media_transport *transport);

/**
 * Seal in place and send; dropped before the transport is connected.
 * @param packet  has MEDIA_TRAILER_MAX octets of room behind len
 */
void media_transport_send_rtp(struct media_transport *transport, uint8_t *packet, size_t len);
void media_transport_send_rtcp(struct media_transport *transport, uint8_t *packet, size_t len);

const struct media_counts *media_transport_counts(const struct media_transport *transport);

/** Name of the SRTP profile agreed on; "" before. */
const char *media_transport_profile(const struct media_transport *transport);

/** What state it is in, for people. */
const char *media_transport_state(const struct media_transport *transport);
