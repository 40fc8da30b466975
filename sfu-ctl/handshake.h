// SPDX-License-Identifier: BSD-3-Clause
/**
 * The DTLS sessions of all transports: which record belongs to which session, when a failed one may
 * be tried again, when a transport is given up.
 *
 * A failed handshake frees its session and the next ClientHello starts another (a forged record
 * must not end a call), at most three a second; a transport that is not connected ten seconds after
 * its first failure is given up. No socket, no ring, no timer: time is an argument.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "sfu-ctl/dtls.h"
#include "sfu-ctl/media.h"
#include "shared/command.h"
#include "shared/event.h"

/** Handshakes in progress at once; more wait for the client's retransmission. */
#define HANDSHAKES_AT_ONCE 512u

struct handshakes;

struct handshake_callbacks {
	void *ctx;
	/** A datagram for the client, tuple and all. */
	void (*send)(void *ctx, const struct sfu_dtls_record *record);
	/** Connected and the certificate matched. *keys is wiped after the return. */
	void (*on_keys)(void *ctx, uint64_t transport, const struct sfu_put_keys *keys);
	/** Given up or closed by the client; once per transport. From feed and tick only. */
	void (*on_ended)(void *ctx, uint64_t transport, const char *reason);
};

/** NULL when out of memory. ctx outlives it. */
struct handshakes *handshakes_create(
	struct dtls_context *ctx, const struct handshake_callbacks *callbacks);

/** Wipe all sessions. NULL is fine. */
void handshakes_destroy(struct handshakes *h);

/** Wipe all sessions and take this many transports. 0 or -ENOMEM (room for none). */
int handshakes_reset(struct handshakes *h, uint32_t max_transports);

/** A transport was made. 0 or -ENOMEM. */
int handshakes_add(struct handshakes *h, uint64_t transport);

/**
 * A transport whose handshake a predecessor finished: its records say nothing to us, who have no
 * session of it. 0 or -ENOMEM.
 */
int handshakes_adopt(struct handshakes *h, uint64_t transport);

/** It is gone: wipe its session, send nothing. Unknown handles are fine. */
void handshakes_remove(struct handshakes *h, uint64_t transport);

/**
 * TRANSPORT_CONNECT. Only the first call counts.
 * @return 0; -EINVAL (role, or no fingerprint that we can check); -ENOENT; -ENOMEM
 */
int handshakes_set_remote(struct handshakes *h, uint64_t transport, const char *role,
	const struct media_fingerprint *fingerprints, size_t count, uint64_t now_us);

/** A record that the data plane punted. */
void handshakes_feed(struct handshakes *h, const struct sfu_dtls_record *record, uint64_t now_us);

/** When handshakes_tick() wants to be called; UINT64_MAX: not at all. */
uint64_t handshakes_next_us(const struct handshakes *h);

void handshakes_tick(struct handshakes *h, uint64_t now_us);

/** Were its keys given, by us or by a predecessor? */
bool handshakes_finished(const struct handshakes *h, uint64_t transport);

/** The fingerprints of TRANSPORT_CONNECT; how many. */
size_t handshakes_remote(const struct handshakes *h, uint64_t transport,
	struct media_fingerprint out[DTLS_MAX_FINGERPRINTS]);

/** Sessions between their first datagram and connected. */
uint32_t handshakes_live(const struct handshakes *h);
