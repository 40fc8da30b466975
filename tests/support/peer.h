// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "tests/support/media_transport.h"
#include "tests/support/peer_options.h"
#include "tests/support/rtp_repair.h"
#include "tests/support/rtp_resend.h"
#include "tests/support/rtp_sink.h"
#include "tests/support/ws_client.h"

/**
 * @file
 * For tests: one participant. Joins a room as a web client does, publishes audio and video, consumes
 * everything that the others publish.
 */

struct peer;

/** What all peers of the process share; outlives them. */
struct peer_env {
	const struct peer_options *options;
	struct ws_context *ws;
	struct media_identity *identity;
	GHashTable *by_tag; // tag -> struct peer, kept by the peers
};

enum peer_track { PEER_AUDIO, PEER_VIDEO, PEER_TRACKS };

/** One consumer, also one that has been closed; to be read for reports. */
struct peer_consumer {
	struct peer *peer; // whose it is
	char *id; // NULL until CONSUME is answered
	char *producer_id, *device;
	enum peer_track track;
	struct rtp_sink *sink; // NULL until CONSUME is answered
	struct rtp_repair *repair; // NULL before, and without retransmissions
	uint32_t sender; // tag
	uint32_t ssrc, rtx_ssrc; // rtx_ssrc 0 without retransmissions
	bool is_live; // not closed
	bool is_resumed; // CONSUMER_RESUME was accepted
	uint64_t resumed_us; // when
	uint64_t opened_after_us; // from E2EE_READY of an end to the first packet after it
};

/** What a peer did and met; to be read for reports. */
struct peer_stats {
	uint64_t sent[PEER_TRACKS]; // packets
	uint64_t key_frame_requests[PEER_TRACKS]; // PLI and FIR received
	uint64_t receiver_reports; // blocks about our tracks
	uint64_t report_loss; // of them with loss
	uint64_t nacks;
	uint64_t not_opened; // SRTP and SRTCP refused
	uint64_t replayed; // by SRTP, as having come before
	uint64_t twcc_received, twcc_sent; // feedback packets
	uint64_t remb_received;
	uint64_t flooded; // NACKs and PLIs of --flood
	uint64_t rtt_us; // by the last report block about our tracks; 0 = none
	uint64_t rtt_dlrr_us; // by the last answer to our RRTR; 0 = none
	uint64_t send_failed; // our socket did not take it
	uint64_t unknown_ssrc; // packets of no consumer
	uint64_t rejoins;
	uint64_t back_after_us; // last rejoin: from the loss to the first media packet
	uint64_t resumes; // --resume: lost sockets that came back
	uint64_t resumed_after_us; // the longest time from the loss to AUTH_OK
	uint64_t refused; // requests with E2EE_NOT_READY
	uint64_t pli_sent;
	uint64_t moves; // of a transport to another port, come to their end
	uint32_t epoch;
	const char *profile;
};

/** One track that a peer sends, for reports. */
struct peer_source {
	uint32_t ssrc, rtx_ssrc;
	uint64_t sent;
	struct rtp_resend_counts resend;
	struct rtcp_report_block last_report; // about it, from the server; ssrc 0 = none
};

struct peer *peer_create(const struct peer_env *env, unsigned index, const char *room);
void peer_destroy(struct peer *peer);

/** Begin to join. */
void peer_start(struct peer *peer);

/** Send what is due. Call every millisecond. */
void peer_tick_media(struct peer *peer, uint64_t now_us);

/** Everything else that takes time. Call about every 10 ms. */
void peer_tick(struct peer *peer, uint64_t now_us);

/**
 * Whether it is connected and publishes, and consumes at least so many.
 * A peer that stays unready is set up when it has joined.
 */
bool peer_is_set_up(const struct peer *peer, unsigned consumers);

/** With --packets: the sources begin only now. */
void peer_begin(struct peer *peer);

/** All sources have sent their --packets. */
bool peer_is_done(const struct peer *peer);

/** Start the next epoch of the room (REKEY_BEGIN, REKEY_COMMIT). */
void peer_rekey(struct peer *peer);

/**
 * Both transports to other ports: with new ICE credentials of the server (ICE_RESTART), or as behind a
 * NAT that forgot.
 */
void peer_move(struct peer *peer, bool with_new_credentials);

/** No more media; reports go on. */
void peer_stop_media(struct peer *peer);

/** ROOM_LEAVE. A few ticks later it may be destroyed. */
void peer_leave(struct peer *peer);

/** Why it cannot go on; NULL = it can. */
const char *peer_failure(const struct peer *peer);

/** What it is doing, for people. */
const char *peer_state(const struct peer *peer);

/** Held back by --laggard or --no-e2ee-ready, at this moment. */
bool peer_is_shut(const struct peer *peer);
/** Became ready at this time after having been held back; 0 = never. */
uint64_t peer_opened_us(const struct peer *peer);

unsigned peer_index(const struct peer *peer);
const char *peer_device(const struct peer *peer);
const char *peer_room(const struct peer *peer);
/** Counts up to now, of all its stays in the room. */
void peer_stats(const struct peer *peer, struct peer_stats *out);
/** False if it does not send this track now. */
bool peer_source(const struct peer *peer, enum peer_track track, struct peer_source *out);
unsigned peer_consumer_count(const struct peer *peer);
const struct peer_consumer *peer_consumer(const struct peer *peer, unsigned i);
