// SPDX-License-Identifier: BSD-3-Clause
/**
 * The control plane's view of the data plane: what rooms ask of it, and what it reports back.
 *
 * media.c keeps the wanted programme (programme.c), sends the difference over the link, matches
 * acknowledgements, and runs the DTLS handshakes of the transports on punted records. Nothing
 * below dispatch.c knows of sockets or JSON messages; nothing above media.c knows of rings.
 *
 * Everything here runs on the event loop's thread. No function blocks. Handles are
 * shared/command.h handles, given out by media.c; 0 is none.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/abi.h"
#include "shared/command.h"

struct media;

/** What the data plane told at attach. Valid while attached. */
struct media_info {
	uint32_t address_count;
	struct sfu_address address[SFU_MAX_ADDRESSES]; /* announced, best first */
	uint32_t workers;
	uint32_t max_transports, max_producers, max_consumers;
};

/** Outcome of an asynchronous request. */
enum media_result {
	MEDIA_OK,
	MEDIA_UNAVAILABLE, /* no data plane, link lost meanwhile, ring full, or no answer within 1 s */
	MEDIA_FULL, /* the data plane has no room for another */
	MEDIA_REFUSED, /* any other status: a defect on one side, logged there */
};

typedef void (*media_done_fn)(void *ctx, enum media_result result);

/** Why a transport ended without having been asked to. */
enum media_transport_end {
	MEDIA_END_CONSENT, /* no authenticated ICE check for 30 s */
	MEDIA_END_DTLS, /* handshake failed or certificate did not match; close_notify */
	MEDIA_END_DATAPLANE, /* the data plane came back without it */
};

/** Notices, called from the event loop; never from inside a media_*() call of the receiver. */
struct media_notices {
	void *ctx;
	/**
	 * The data plane came or went. Handles stay valid meanwhile: what is changed or deleted while
	 * it is away reaches it when it comes back. What it has lost by then ends before
	 * on_attached(true): each transport that it does not know with on_transport_end().
	 */
	void (*on_attached)(void *ctx, bool attached);
	/**
	 * Every handle is void after this returns: it came back with tables of another size, or
	 * (stale) it knows of later things than what was restored, which is not to be trusted then.
	 */
	void (*on_forgotten)(void *ctx, bool stale);
	/** One transport ended; the receiver closes what hung on it with media_transport_delete(). */
	void (*on_transport_end)(void *ctx, uint64_t transport, enum media_transport_end why);
	/** DTLS finished, certificate matched, keys acknowledged by the data plane. */
	void (*on_transport_connected)(void *ctx, uint64_t transport);
	/** Another member of a room speaks now: the producer and its transport. May be NULL. */
	void (*on_speaker)(void *ctx, uint64_t transport, uint64_t producer);
};

/** After media_restore(): this object is known above. False: there is none. */
bool media_claim(struct media *m, enum sfu_object_kind kind, uint64_t handle);
/** What the data plane has, or is to have, of a room and a peer. Claimed ones only. */
void media_room_get(const struct media *m, uint64_t room, struct sfu_put_room *out);
uint64_t media_peer_open_until(const struct media *m, uint64_t peer);
/** What a producer and a consumer were made, or changed, to be. Claimed ones only. */
void media_producer_get(const struct media *m, uint64_t producer, struct sfu_put_producer *out);
void media_consumer_get(const struct media *m, uint64_t consumer, struct sfu_put_consumer *out);

/** True while a data plane is attached and its digest is settled. */
bool media_attached(const struct media *m);

/**
 * Not attached, and a data plane is there: of another version, so that we cannot talk to it. It goes on
 * forwarding.
 */
bool media_foreign(const struct media *m);

/** NULL while not attached. */
const struct media_info *media_info(const struct media *m);

/** "AA:BB:…", the sha-256 fingerprint of this node's DTLS certificate. Always available. */
const char *media_fingerprint(const struct media *m);

/**
 * Make or change a room. *room is 0 for a new one and receives its handle. A change while no data
 * plane is attached is kept for the next one.
 * Returns 0 or -EAGAIN (a new one, and not attached), -ENOSPC. Not acknowledged to the caller.
 */
int media_room_put(struct media *m, uint64_t *room, const struct sfu_put_room *as);
void media_room_delete(struct media *m, uint64_t room);

/**
 * Make or change a peer's end of its edges (shared/command.h, struct sfu_put_peer).
 * Commands keep their order, so a gate set before media is added holds for it.
 */
int media_peer_put(struct media *m, uint64_t *peer, uint64_t room, uint64_t open_until_us);
void media_peer_delete(struct media *m, uint64_t peer);

/** ICE credentials of a new transport, made by media.c from the given randomness. */
struct media_ice {
	char ufrag[SFU_UFRAG_BYTES + 1];
	char pwd[SFU_PWD_BYTES + 1];
};

/**
 * Make a transport. done is called exactly once, after the return, also on failure, unless the
 * call itself fails (0 or negative errno; then done is never called). label: the id on the wire.
 */
int media_transport_create(struct media *m, uint64_t peer, bool send, const char *label,
	uint64_t *transport, struct media_ice *ice, media_done_fn done, void *ctx);

/**
 * ICE restart: new credentials for a transport, made as above. The old ones stay good until the
 * client has nominated an address with these; DTLS and media know nothing of it. done as above.
 * @return 0; -EAGAIN; -ENOENT
 */
int media_transport_restart(
	struct media *m, uint64_t transport, struct media_ice *ice, media_done_fn done, void *ctx);

struct media_fingerprint {
	char algorithm[16]; /* "sha-256" */
	char value[3 * 64]; /* "AA:BB:…" */
};

/**
 * TRANSPORT_CONNECT: the client's DTLS role ("client", "auto"; "server" is refused) and
 * fingerprints. A second call on a connected transport does nothing. 0, -EINVAL, -ENOENT.
 */
int media_transport_connect(struct media *m, uint64_t transport, const char *role,
	const struct media_fingerprint *fingerprints, size_t count);

/** Remove a transport and what hangs on it in the data plane; wipes its DTLS session. */
void media_transport_delete(struct media *m, uint64_t transport);

/**
 * Make a producer or consumer. The struct is copied; transport and producer handles are in it.
 * done as for transports. The put functions change an existing one (pause): not acknowledged.
 */
int media_producer_create(struct media *m, const struct sfu_put_producer *p, uint64_t *producer,
	media_done_fn done, void *ctx);
int media_producer_put(struct media *m, uint64_t producer, const struct sfu_put_producer *p);
void media_producer_delete(struct media *m, uint64_t producer);

int media_consumer_create(struct media *m, const struct sfu_put_consumer *c, uint64_t *consumer,
	media_done_fn done, void *ctx);
int media_consumer_put(struct media *m, uint64_t consumer, const struct sfu_put_consumer *c);
void media_consumer_delete(struct media *m, uint64_t consumer);

/** Ask the producer of this consumer for a key frame. */
void media_consumer_key_frame(struct media *m, uint64_t consumer);

/** A fresh SSRC for a consumer of this transport: even, rtx is +1, never given out before. */
uint32_t media_ssrc_new(struct media *m);

/** Leave everything as it is for a successor: from now on nothing is sent or remembered. */
void media_let_go(struct media *m);

/** What waits in the rings of the link, by enum sfu_ring_id; all 0 while not attached. */
void media_ring_depths(struct media *m, uint32_t depths[SFU_RING_COUNT]);

/** Data-plane counters as last published, NULL while not attached. Index: enum sfu_stat. */
const uint64_t *media_stats(struct media *m);
