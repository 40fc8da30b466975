// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <json-c/json.h>

#include "sfu-dp/proto/twcc.h"
#include "tests/support/peer.h"
#include "tests/support/peer_signal.h"
#include "tests/support/rtp_source.h"

/**
 * @file
 * For tests: inside of a participant, shared by peer.c (joining, signalling) and peer_media.c
 * (packets).
 */

/** When a peer was held back from being ready, and when it became ready after all. */
struct peer_gate {
	uint64_t shut_us; // 0 = never
	uint64_t open_us; // 0 = not yet
};

struct peer {
	const struct peer_env *env;
	unsigned index;
	uint32_t tag;
	char device[32], cname[32], room[64];
	unsigned incarnation; // rejoins so far
	struct peer_signal *signal;
	struct media_transport *send, *recv;
	char send_id[129], recv_id[129];
	json_object *router_caps;
	struct rtp_source *sources[PEER_TRACKS]; // NULL before PRODUCE
	struct rtp_source_config source_configs[PEER_TRACKS];
	struct rtp_resend *resends[PEER_TRACKS]; // NULL without retransmissions
	struct rtcp_report_block last_reports[PEER_TRACKS]; // about them
	bool is_produced[PEER_TRACKS];
	bool is_begun; // with --packets: allowed to send
	bool is_stopped;
	GPtrArray *consumers; // struct peer_consumer, also closed ones
	GHashTable *by_ssrc; // SSRC -> struct peer_consumer of this stay in the room
	GHashTable *early; // SSRC -> packets that overtook their CONSUMER_ADDED
	GHashTable *by_producer; // producer id -> live struct peer_consumer, also unanswered ones
	uint32_t report_ssrc; // of our receiver reports
	uint16_t twcc_seq; // next transport-wide sequence number of send
	uint8_t twcc_id; // of what recv brings; 0 = none
	struct twcc_arrivals twcc; // on recv
	uint64_t twcc_us; // next feedback
	uint64_t flood_us; // since when --flood
	bool is_joined; // ROOM_JOIN_OK
	bool is_ready; // E2EE_READY accepted for epoch
	bool has_left;
	bool keeps_key; // --old-key
	bool held_back; // still to lag: laggard or unready
	uint64_t epoch; // of the room
	uint64_t send_epoch; // whose key seals
	struct peer_gate gate;
	uint64_t ready_at_us; // when to stop lagging; 0 = never
	uint64_t joined_us;
	uint64_t report_us; // next SR and RR
	uint64_t pli_us; // next one
	const char *failure;
	uint64_t lost_us; // kill-safe: when the loss was seen; 0 = in order
	uint64_t media_before_us; // last packet before it
	uint64_t rejoin_us; // when to try again; 0 = not waiting
	char resume_token[64]; // --resume; "" = none yet
	bool signal_gone; // to be destroyed by the next tick
	uint64_t signal_lost_us; // 0 = connected, or never was
	uint64_t reconnect_us; // when to try again; 0 = under way
	struct peer_stats stats;
};

/* peer_media.c */

extern const struct media_events peer_send_events, peer_recv_events;

/** Make a source for PRODUCE; false if the server has no codec for it. */
bool peer_media_prepare(struct peer *peer, enum peer_track track);

/** Add what the present sources, transports and signalling have counted. */
void peer_media_count(const struct peer *peer, struct peer_stats *out);

/** Close sources and transports. */
void peer_media_close(struct peer *peer);

/** SR, RR, PLI, NACK and transport-wide feedback when due. */
void peer_media_report(struct peer *peer, uint64_t now_us);

/** --flood: what is due of it. */
void peer_media_flood(struct peer *peer, uint64_t now_us);

/* peer_resume.c: with --resume, a lost WebSocket is no lost call (protocol.md B9). */

/** The socket is gone. False: that is the end of the call. */
bool peer_resume_lost(struct peer *peer);

/** What HELLO says of it. */
void peer_resume_hello(const struct peer *peer, json_object *payload, json_object *ext);

/** WELCOME came. False: the server does not know us any more. */
bool peer_resume_welcome(struct peer *peer, json_object *welcome);

/** AUTH was accepted. True: we are back, and nothing is left to do. */
bool peer_resume_done(struct peer *peer);

/** Connect again when it is time. */
void peer_resume_tick(struct peer *peer, uint64_t now_us);

/* peer.c */

/** Something ended that a peer cannot do without; it comes back or fails. why is static. */
void peer_lose(struct peer *peer, const char *why);
