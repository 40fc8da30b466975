// SPDX-License-Identifier: BSD-3-Clause
/**
 * The objects of the programme as the packet path sees them. All live in fixed arrays sized at
 * start (objects_create()), so a pointer is always safe to read; a handle tells whether the slot
 * still holds the same object.
 *
 * Who writes what stands on each part: "programme" is programme.c on the housekeeping thread,
 * before the object is published or through the atomics marked so; "owner" is the worker that owns
 * the transport, and nobody else. A slot is reused only after every worker has passed a quiescent
 * state since it was unpublished (rte_rcu_qsbr).
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "sfu-dp/crypto/engine.h"
#include "sfu-dp/path/path.h"
#include "sfu-dp/proto/rtp_ext.h"
#include "shared/command.h"

#define DP_MAX_WORKERS 16u
#define DP_NO_WORKER 0xffu

/** Validated tuples of one transport (webrtc.md 1: mediasoup keeps 8). */
#define TRANSPORT_TUPLES 8u
/** SSRCs followed per transport at a time, RTP and RTCP sources together. */
#define TRANSPORT_STREAMS 32u
/** SSRCs per transport that were followed and never will be again: their replay state is gone. */
#define TRANSPORT_RETIRED 224u

struct room {
	uint64_t handle; /* 0 = free slot */
	uint32_t epoch;
	uint32_t peers; /* how many refer to it */
	uint8_t required;
	LIST_HEAD(, peer) members;
};

struct peer {
	/* workers read relaxed on every packet; programme writes. UINT64_MAX while the room
	 * requires nothing */
	_Atomic uint64_t open_until_us;
	/* programme only */
	uint64_t handle;
	uint64_t room;
	uint64_t put_open_until_us; /* as programmed */
	uint32_t transports;
	LIST_ENTRY(peer) of_room;
	LIST_HEAD(, transport) list;
};

/** Hop keys, made ready by programme, published once, used by the owner only. */
struct transport_keys {
	const struct srtp_engine *engine;
	const struct srtp_profile *profile;
	struct srtp_ctx *rx;
	struct srtp_ctx *tx;
};

/** One validated tuple. Owner. */
struct transport_tuple {
	struct tuple tuple;
	struct l2_path l2;
	uint64_t last_check_us; /* last authenticated ICE check; 0 = free entry */
	uint32_t id; /* 1.., never reused within the transport: for DTLS answers */
};

/** One received SSRC of a transport. Owner. */
struct rx_stream {
	uint32_t ssrc;
	uint8_t used;
	uint8_t encoding;
	uint8_t payload_type; /* last seen, for the clock rate */
	uint8_t rtp_seen;
	uint8_t rtx; /* retransmissions of the encoding: accepted, not forwarded */
	uint64_t producer; /* handle, 0 = not bound (RTCP source, or its producer is gone) */
	struct srtp_rx_stream srtp;
	struct srtcp_rx_stream srtcp;
	/* RFC 3550 A.1, A.3, A.8 for our receiver reports */
	uint64_t base_index;
	uint64_t received;
	uint64_t received_prior;
	uint64_t expected_prior;
	uint64_t bytes;
	uint32_t jitter_q4; /* timestamp units << 4 */
	uint32_t transit;
	uint32_t clock_rate_hz;
	/* last sender report */
	uint64_t sr_ntp;
	uint32_t sr_rtp;
	uint64_t sr_us; /* when it came; 0 = none yet */
	uint64_t last_us;
};

/** Immutable lists published by programme; freed after quiescence. */
struct producer_list {
	uint32_t count;
	struct producer *producer[];
};

struct consumer_list {
	uint32_t count;
	struct consumer *consumer[];
};

/**
 * Ethernet, (VLAN,) IPv4 and UDP header toward a client, ready but for the lengths: right-aligned,
 * so that one copy of constant size lays it in front of the payload (path/tx_header.h).
 */
#define TX_HEADER_BYTES 48u

struct tx_header {
	uint8_t bytes[TX_HEADER_BYTES];
	uint16_t ip_sum; /* one's complement sum of the IP header, its length taken as 0 */
	uint8_t frame_len; /* octets of bytes that are sent; 0 = to be made */
	uint8_t ip_len; /* octets of the IP and UDP headers */
};

/*
 * What a copy for a consumer touches comes first, a cache line each:
 *   0  where the keys are, and what was sent    1  the header in front, whether it may be sent
 */
struct transport {
	/* identity: programme, before publication */
	_Alignas(64) _Atomic uint64_t handle; /* 0 = free; cleared first when removed */
	struct peer *peer;
	/* published by programme, read by the owner */
	_Atomic(struct transport_keys *) keys;
	_Atomic(struct producer_list *) producers; /* of this transport, or NULL */
	_Atomic(struct consumer_list *) consumers; /* of this transport by SSRC, or NULL */
	uint64_t tx_packets, tx_bytes; /* owner */
	/* set once by the worker of the first authenticated check (compare and swap) */
	_Atomic uint8_t owner; /* DP_NO_WORKER until then */

	/* owner's; all of those below without another writer named too */
	_Alignas(64) struct tx_header tx_header; /* of the active tuple; any check unmakes it */
	uint32_t active; /* index of the nominated tuple (or first validated) */
	uint8_t nominated;
	uint8_t closed; /* consent lost */
	uint8_t validated;
	uint8_t adopted; /* in its owner's list of owned transports */

	/* identity: programme, before publication */
	_Alignas(64) uint8_t direction; /* 1 = send, 2 = recv, as the client sees it */
	uint8_t ufrag_len;
	uint8_t pwd_len;
	uint8_t ufrag[SFU_UFRAG_BYTES];
	uint8_t pwd[SFU_PWD_BYTES];
	char label[41];

	/* programme only */
	uint32_t keys_version;
	uint32_t *ssrcs; /* all that were ever sent under these keys, ascending; malloc */
	uint32_t ssrc_count, ssrc_room;
	LIST_ENTRY(transport) of_peer;
	LIST_HEAD(, producer) producer_head;
	LIST_HEAD(, consumer) consumer_head;

	/* owner's, read by inspection without promise of consistency */
	_Alignas(64) struct transport_tuple tuples[TRANSPORT_TUPLES];
	uint32_t tuple_count;
	uint32_t next_tuple_id;
	uint8_t notices_due; /* bit per enum worker_notice_kind: to be told to housekeeping */
	uint64_t last_check_us;
	uint64_t timer_us; /* next reports and consent check */
	uint32_t dtls_tokens; /* punt budget */
	uint64_t dtls_refill_us;
	struct srtcp_tx_stream srtcp_tx; /* one index space for all our RTCP on this transport */
	uint32_t rtcp_ssrc; /* our sender SSRC in reports; programme, before publication */
	int64_t clock_delta_us; /* client's NTP clock less ours, least network delay; with clock_known */
	uint8_t clock_known;
	struct rx_stream streams[TRANSPORT_STREAMS];
	uint32_t retired_ssrc[TRANSPORT_RETIRED];
	uint32_t retired_count;
	uint64_t rx_packets, rx_bytes;
};

_Static_assert(offsetof(struct transport, tx_header) == 64, "second line of what a copy touches");
_Static_assert(offsetof(struct transport, direction) == 128, "behind what a copy touches");

/**
 * Producer's clock for the consumers' sender reports: owner of the producer's transport writes
 * under a sequence lock, any worker reads. All streams of a client are brought to our clock by the
 * same difference (transport.clock_delta_us), so that they stay in step with each other.
 */
struct producer_clock {
	_Atomic uint32_t sequence; /* odd while being written */
	_Atomic uint32_t rtp;
	_Atomic uint64_t at_us; /* instant of rtp by our clock; 0 = no sender report yet */
};

struct producer {
	/* identity: programme, before publication */
	_Atomic uint64_t handle;
	struct transport *transport;
	struct peer *peer;
	struct sfu_put_producer put; /* as programmed */
	uint8_t mapped_payload_type[128]; /* 0xff = not announced */
	uint32_t clock_rate_hz[128]; /* by the client's payload type */
	uint8_t codec[128]; /* enum sfu_codec by the client's payload type */
	uint8_t ext_of_id[256]; /* enum sfu_rtp_ext by the client's id */
	/* programme changes them while published */
	_Atomic uint32_t flags; /* SFU_PRODUCER_* */
	_Atomic(struct consumer_list *) fanout[DP_MAX_WORKERS];
	uint32_t consumers; /* how many refer to it; programme */
	LIST_ENTRY(producer) of_transport; /* programme */
	LIST_HEAD(, consumer) consumer_head; /* programme */
	/* anybody stores 1 through producer_want_key_frame(); the owner takes it back to 0 */
	_Atomic uint8_t key_frame_wanted;
	_Atomic uint8_t best_encoding; /* highest one that flows; owner writes, any worker reads */
	struct producer_clock clock[SFU_MAX_ENCODINGS];
	/* owner of its transport */
	uint32_t bound_ssrc[SFU_MAX_ENCODINGS]; /* that feeds the encoding; 0 = none yet */
	uint64_t encoding_us[SFU_MAX_ENCODINGS]; /* last packet of it */
	uint64_t key_frame_sent_us; /* last PLI toward the client; 0 = never */
	uint8_t key_frame_tries; /* PLIs sent for the open request; 0 = none open */
	uint8_t source_change; /* see struct pkt */
	uint8_t was_shut; /* packets were dropped for gate or pause */
	uint64_t packets, bytes;
	uint64_t key_frame_requests;
};

/*
 * One consumer = one egress stream (RTX will be a second). What a copy touches comes first, a cache
 * line each:
 *   0  who, and whether it may go    1  its place in the stream    2  its header, what was sent
 */
struct consumer {
	/* programme, before publication */
	_Alignas(64) _Atomic uint64_t handle;
	struct transport *transport;
	struct peer *peer;
	struct producer *producer;
	uint64_t takes_payload_type[2]; /* a bit per mapped payload type */
	/* programme changes them while published */
	_Atomic uint32_t flags; /* SFU_CONSUMER_* */
	_Atomic uint32_t encoding; /* wanted encoding, 255 = best */
	uint32_t ssrc; /* put.ssrc */

	/* owner of its transport */
	_Alignas(64) uint64_t offset; /* out index = in index + offset (mod 2^64) */
	uint64_t start_in_index; /* older packets than this are not sent */
	uint64_t highest_out_index;
	uint64_t last_sent_us;
	uint32_t source_ssrc; /* of the packets that the offsets were made for */
	uint32_t timestamp_offset;
	uint32_t last_timestamp; /* as sent */
	uint32_t clock_rate_hz;
	uint8_t started;
	uint8_t resync; /* next packet that passes starts anew after highest_out_index */
	uint8_t current_encoding;
	uint8_t source_change; /* of the packets that the offsets were made for */
	uint8_t switch_asked; /* key frame requested to change the encoding */

	/* owner of its transport */
	_Alignas(64) uint64_t packets;
	uint64_t bytes, payload_bytes;
	/* programme, before publication */
	uint8_t ext_id[SFU_EXT_COUNT]; /* id toward this consumer, 0 = strip */
	uint8_t mid_len;
	uint8_t mid[SFU_MID_BYTES]; /* put.mid */

	/* programme, before publication */
	_Alignas(64) uint64_t producer_handle;
	struct sfu_put_consumer put;
	struct rtp_ext_map ext_map; /* producer's ids to these, of what is copied */
	LIST_ENTRY(consumer) of_transport; /* programme */
	LIST_ENTRY(consumer) of_producer; /* programme */
	/* owner of its transport */
	uint64_t sr_sent_us; /* last sender report; 0 = none */
	uint32_t sr_ntp_mid; /* middle word of its NTP time */
	/* receiver's last report */
	uint8_t report_fraction_lost;
	int32_t report_lost;
	uint32_t report_jitter;
	uint32_t report_rtt_us;
	uint64_t edge[EDGE_COUNT];
};

_Static_assert(offsetof(struct consumer, offset) == 64, "second line of what a copy touches");
_Static_assert(offsetof(struct consumer, packets) == 128, "third line of what a copy touches");
_Static_assert(offsetof(struct consumer, producer_handle) == 192, "behind what a copy touches");

static inline bool consumer_takes(const struct consumer *c, unsigned mapped_payload_type)
{
	return c->takes_payload_type[mapped_payload_type >> 6 & 1] >> (mapped_payload_type & 63)
	       & 1;
}

struct objects_limits {
	uint32_t rooms, peers, transports, producers, consumers;
};

/** One per worker: a key-frame request waits at some producer of its transports. */
struct key_frame_flag {
	_Alignas(64) _Atomic uint32_t raised; /* anybody stores 1, that worker takes it back */
};

/** How many transports a worker owns, by direction. Whoever claims one counts it in, programme
 * counts it out when the slot is free again. Read without order: a hint for the next claim. */
struct owner_share {
	_Alignas(64) _Atomic uint32_t transports[3];
};

/** All pools. The arrays stay where they are; workers read them. */
struct objects {
	struct key_frame_flag key_frames[DP_MAX_WORKERS];
	struct owner_share shares[DP_MAX_WORKERS];
	struct objects_limits limits;
	struct room *rooms;
	struct peer *peers;
	struct transport *transports;
	struct producer *producers;
	struct consumer *consumers;
};

/** Allocate all pools, zeroed; 0 or -ENOMEM. Start-up only. Destroy once no thread uses them. */
int objects_create(struct objects *o, const struct objects_limits *limits);
void objects_destroy(struct objects *o);

/** The object a handle names, or NULL. Any worker. */
struct transport *transport_find(const struct objects *o, uint64_t handle);
struct producer *producer_find(const struct objects *o, uint64_t handle);
struct consumer *consumer_find(const struct objects *o, uint64_t handle);

/**
 * Ask the producer's client for a key frame; requests are merged by the owner of its transport. Any
 * thread, at most once per packet. Nothing happens for audio.
 */
void producer_want_key_frame(struct objects *o, struct producer *p);
