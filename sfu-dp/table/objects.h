// SPDX-License-Identifier: BSD-3-Clause
/**
 * The objects of the programme as the packet path sees them. All live in fixed arrays sized at
 * start (objects_create()), so a pointer is always safe to read; a handle tells whether the slot
 * still holds the same object.
 *
 * Who writes what stands on each part: "programme" is programme/ on the housekeeping thread,
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
#include "sfu-dp/proto/frame_meter.h"
#include "sfu-dp/proto/nack.h"
#include "sfu-dp/proto/reception.h"
#include "sfu-dp/proto/remb_rate.h"
#include "sfu-dp/proto/resend.h"
#include "sfu-dp/proto/rtp_ext.h"
#include "sfu-dp/proto/speaker.h"
#include "sfu-dp/proto/twcc.h"
#include "sfu-dp/state/layout.h"
#include "shared/command.h"

#define DP_MAX_WORKERS 16u
#define DP_NO_WORKER 0xffu

/** Validated tuples of one transport (webrtc.md 1: mediasoup keeps 8). */
#define TRANSPORT_TUPLES 8u
/** SSRCs that send RTP, followed per transport at a time. */
#define TRANSPORT_STREAMS 32u
/**
 * SSRCs that send RTCP, the same: those, and what else a client speaks under. Some receivers (Firefox,
 * aiortc) have an SSRC of their own for each stream that they take.
 */
#define TRANSPORT_RTCP_SOURCES 256u
/** SSRCs per transport that were followed and never will be again: their replay state is gone. */
#define TRANSPORT_RETIRED 224u

struct room {
	uint64_t handle; /* 0 = free slot */
	uint64_t epoch;
	uint64_t older_until_us; /* frames of an older epoch are in order until then */
	uint32_t peers; /* how many refer to it */
	uint8_t required;
	uint8_t stale; /* enum sfu_stale_policy */
	LIST_HEAD(, peer) members;
	struct speaker_room speaker; /* speakers.c */
};

struct peer {
	/* workers read relaxed on every packet; programme writes. UINT64_MAX while the room
	 * requires nothing */
	_Atomic uint64_t open_until_us;
	/* the room's, for path/epoch.c: programme stores epoch last */
	_Atomic uint64_t older_until_us;
	_Atomic uint64_t epoch;
	_Atomic uint8_t stale; /* enum sfu_stale_policy */
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
	uint16_t mtu; /* octets that an IP packet may have there by a hint; 0 = the port's */
	uint64_t mtu_us; /* when it was hinted */
};

/** Pairs of ICE credentials: the newest, the one before, and one on its way out. */
#define TRANSPORT_CREDENTIALS 3u
#define CREDENTIALS_NONE 0xffu

/** A pair of ICE credentials, ours (table/credentials.h). */
struct ice_credentials {
	uint32_t round; /* counts up with each pair of the transport, 1 first */
	uint8_t ufrag_len;
	uint8_t pwd_len;
	uint8_t ufrag[SFU_UFRAG_BYTES];
	uint8_t pwd[SFU_PWD_BYTES];
};

/** Receivers of one client that may ask for a DLRR at a time; browsers have one. */
#define TRANSPORT_REFERENCES 4u

/** A receiver reference time (RFC 3611, 4.4). */
struct rtcp_reference {
	uint64_t at_us; /* when it came */
	uint32_t ssrc; /* who asks */
	uint32_t ntp_mid;
};

/** One SSRC of a transport that sends RTP. Owner. */
struct rx_stream {
	struct state_rx *saved; /* its place in the stream state */
	uint32_t ssrc;
	uint8_t used;
	uint8_t encoding;
	uint8_t payload_type; /* last seen, for the clock rate */
	uint8_t rtx; /* retransmissions of the encoding: accepted, not forwarded */
	uint64_t producer; /* handle, 0 = not bound */
	struct srtp_rx_stream srtp;
	struct reception rtp; /* for our receiver reports */
	uint64_t bytes;
	/* last sender report */
	uint64_t sr_ntp;
	uint32_t sr_rtp;
	uint64_t sr_us; /* when it came; 0 = none yet */
	uint64_t last_us;
};

/** One SSRC of a transport that sends RTCP, whether it sends RTP as well or not. Owner. */
struct rtcp_source {
	struct srtcp_rx_stream srtcp;
	uint64_t last_us; /* last authentic packet; 0 = free */
};

/** Immutable lists published by programme; freed after quiescence. */
struct producer_list {
	uint32_t count;
	struct producer *producer[];
};

struct consumer_list {
	uint32_t count;
	uint32_t repairable; /* how many of them get retransmissions */
	uint32_t *ssrc; /* of each, behind them: found without a look at the consumers themselves */
	struct consumer *consumer[];
};

/**
 * Headers toward a client, ready but for lengths and checksum, so that copies of constant size lay
 * them in front of the payload (path/tx_header.h). Over IPv4 bytes holds all of them, right-aligned;
 * over IPv6 those of IP and UDP, with Ethernet and VLAN in ether, right-aligned too.
 */
#define TX_HEADER_BYTES 48u
#define TX_ETHER_BYTES 18u

struct tx_header {
	uint8_t bytes[TX_HEADER_BYTES];
	uint16_t sum; /* one's complement sum in the order of memory, lengths taken as 0: IPv4's
			 header, or what UDP over IPv6 covers but for the payload */
	uint16_t mtu; /* octets that an IP packet to there may have */
	uint8_t frame_len; /* octets of headers that are sent; 0 = to be made */
	uint8_t ip_len; /* of them IP and UDP */
	uint8_t ether[TX_ETHER_BYTES];
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
	uint16_t twcc_seq; /* transport-wide number of the next packet sent; owner */

	/* owner's; all of those below without another writer named too */
	_Alignas(64) uint32_t active; /* index of the nominated tuple (or first validated) */
	uint8_t nominated;
	uint8_t closed; /* consent lost */
	uint8_t validated;
	uint8_t adopted; /* in its owner's list of owned transports */
	struct tx_header tx_header; /* of the active tuple; any check unmakes it */

	/* identity: programme, before publication */
	_Alignas(64) uint8_t direction; /* 1 = send, 2 = recv, as the client sees it */
	char label[41];

	/* programme fills a free place, then publishes it by the index; any worker reads */
	_Atomic uint8_t credentials_now;
	_Atomic uint8_t credentials_before; /* CREDENTIALS_NONE = none */
	struct ice_credentials credentials[TRANSPORT_CREDENTIALS];

	/* programme only */
	uint64_t credentials_token[TRANSPORT_CREDENTIALS]; /* given up then; 0 = never used */
	uint32_t keys_version;
	uint32_t *ssrcs; /* of its consumers, ascending; malloc. Those that were: saved */
	uint32_t ssrc_count, ssrc_room;
	LIST_ENTRY(transport) of_peer;
	LIST_HEAD(, producer) producer_head;
	LIST_HEAD(, consumer) consumer_head;

	/* owner's, read by inspection without promise of consistency */
	_Alignas(64) struct transport_tuple tuples[TRANSPORT_TUPLES];
	uint32_t tuple_count;
	uint32_t next_tuple_id;
	uint32_t nominated_round; /* of the credentials of the last nomination; 0 = none yet */
	uint8_t notices_due; /* bit per enum worker_notice_kind: to be told to housekeeping */
	uint64_t last_check_us;
	uint64_t timer_us; /* next reports and consent check */
	uint32_t dtls_tokens; /* punt budget */
	uint64_t dtls_refill_us;
	struct srtcp_tx_stream srtcp_tx; /* one index space for all our RTCP on this transport */
	uint32_t rtcp_ssrc; /* our sender SSRC in reports; programme, before publication */
	int64_t clock_delta_us; /* client's NTP clock less ours, least network delay; with clock_known */
	uint8_t clock_known;
	/* what its packets touch: this line, and of their stream the first */
	_Alignas(64) struct state_transport *saved; /* its place in the stream state; any worker
							reads checks */
	uint64_t rx_packets, rx_bytes;
	uint64_t heard_us; /* check or RTCP from the active tuple */
	uint64_t rtcp_refill_us;
	uint64_t rtcp_over; /* datagrams dropped since it cost more */
	uint32_t rtcp_tokens; /* what the client's RTCP may still cost (path/rtcp.c) */
	uint32_t retired_count;
	_Alignas(64) struct rx_stream streams[TRANSPORT_STREAMS];
	uint32_t retired_ssrc[TRANSPORT_RETIRED];
	_Alignas(64) uint32_t rtcp_source_ssrc[TRANSPORT_RTCP_SOURCES]; /* apart: searched first */
	struct rtcp_source rtcp_source[TRANSPORT_RTCP_SOURCES];
	uint32_t rtcp_source_count; /* none is used behind them */
	/* bandwidth feedback (path/feedback.c) */
	uint32_t feedback_ssrc; /* the client's stream that it is sent about */
	uint8_t feedback_waits; /* in the worker's list of what is due */
	uint64_t feedbacks_sent;
	/* reference times of the client's XR that wait for an answer */
	struct rtcp_reference reference[TRANSPORT_REFERENCES];
	uint8_t reference_count;
	uint64_t remb_sent_us; /* last one to the client; 0 = none */
	struct remb_rate remb_rate; /* what the client is told, without transport-wide feedback */
	uint64_t remb_received_bps; /* what the client says it can take; 0 = nothing yet */
	/* direction send: what arrived; direction recv: what was sent */
	_Alignas(64) union {
		struct twcc_arrivals arrivals;
		struct twcc_sent sent;
	} twcc;
};

_Static_assert(offsetof(struct transport, active) == 64, "second line of what a copy touches");
_Static_assert(offsetof(struct transport, tx_header.ether) <= 128, "all of it over IPv4");
_Static_assert(offsetof(struct transport, direction) == 192, "behind what a copy touches");

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

/** What the headers of a producer's encrypted frames say, of one encoding. Owner. */
struct frame_watch {
	uint64_t kid, ctr; /* of the last frame that was read, for inspection */
	uint32_t timestamp; /* RTP, of the last frame that began */
	uint8_t verdict; /* enum epoch_verdict on it, for its other packets */
};

/**
 * Where a frame of an encoding may begin that does not tell its key frames (path/srtp_open.c); of a
 * codec that is not read at all, at a new timestamp behind a packet that is there. Owner.
 */
struct frame_edge {
	uint64_t index; /* highest one that came */
	uint32_t timestamp; /* of the last one with a payload */
	uint8_t begun; /* there was a packet of the source that feeds the encoding */
};

/** Loss on the way from a client, of one encoding (path/recover.c). Owner of its transport. */
struct recovery {
	uint8_t delivered_kept; /* delivered is the stream's window with what was retransmitted:
				   from a retransmission on until its original could not pass */
	uint64_t last_rtx_index; /* highest one that was retransmitted */
	struct srtp_rx_stream delivered;
	struct nack nack;
	/* for inspection */
	uint64_t requests; /* NACKs sent */
	uint64_t retransmitted; /* packets that came on the RTX stream and went on */
	uint64_t duplicates; /* retransmissions of what had come already */
	uint64_t probes; /* padding only */
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
	uint8_t apt[128]; /* of RTX: the client's payload type that it repairs; 0xff = no RTX */
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
	uint64_t loudness, loudness_packets; /* sums that only grow; housekeeping reads them */
	struct speaker_level speaker; /* speakers.c, housekeeping */
	struct frame_meter frame_meter[SFU_MAX_ENCODINGS];
	uint8_t frames_guessed; /* a bit per encoding that does not say which frames are key frames */
	struct key_frame_price key_frame_price;
	uint8_t key_frame_tries; /* PLIs sent for the open request; 0 = none open */
	uint8_t key_frame_missing; /* a bit per encoding that has not answered it */
	uint8_t source_change; /* see struct pkt */
	uint8_t was_shut; /* packets were dropped for gate or pause */
	uint8_t shut_reason; /* the last of them */
	uint64_t shut_index[SFU_MAX_ENCODINGS]; /* and highest, of the source that feeds it */
	uint64_t packets, bytes;
	uint64_t key_frame_requests, key_frames; /* asked for, seen */
	struct frame_watch frame[SFU_MAX_ENCODINGS]; /* path/epoch.c */
	struct frame_edge frame_edge[SFU_MAX_ENCODINGS];
	uint64_t frames, frames_stale, frames_unreadable; /* that began, of a known format */
	uint8_t asking; /* in the worker's list of those of which packets are missing */
	struct recovery recovery[SFU_MAX_ENCODINGS];
};

/** A part of a consumer's stream with one offset, before the present one. */
struct egress_part {
	uint64_t first_out_index;
	uint64_t offset; /* out index = in index + offset (mod 2^64) */
	uint32_t timestamp_offset;
	uint32_t source_ssrc;
	uint8_t encoding;
};

/** Parts remembered: layers may change while packets of the one before are on their way again. */
#define EGRESS_PARTS 4u

/**
 * Retransmission to one consumer (path/rtx.c): an egress stream of its own. Made by programme before
 * publication, the owner's of the consumer's transport from then on. A NACK touches three cache lines,
 * and one of what was asked for lately (struct resend):
 *   0  the stream and its figures    1  what may be sent    2  what waits
 */
struct egress_rtx {
	_Alignas(64) uint64_t index; /* highest one given out under ssrc; with started */
	/* programme, before publication */
	uint32_t ssrc; /* put.rtx_ssrc */
	uint8_t payload_type[SFU_MAX_CODECS], repairs[SFU_MAX_CODECS]; /* mapped ones; put's */
	/* owner */
	uint8_t started;
	uint8_t answering; /* in the worker's list of those with answers waiting */
	uint8_t gone_asked; /* a key frame was asked for on account of ... */
	uint64_t nacks; /* NACKs about the stream */
	uint64_t asked; /* packets that they named and that were looked at */
	uint64_t packets, bytes; /* sent again */
	struct resend resend;
	uint64_t gone_index; /* ... a packet that was gone, up to here */
	uint32_t part_count; /* grows; the last EGRESS_PARTS are there */
	struct egress_part part[EGRESS_PARTS];
	/* for inspection */
	uint64_t ignored; /* entries beyond what is looked at */
	uint64_t duplicates; /* asked for while an answer was on its way */
	uint64_t awaited; /* asked for before they came to us */
	uint64_t gone; /* too old, or never there */
	uint64_t over; /* beyond the share, or too many waiting */
	uint64_t key_frames; /* asked for instead */
};

_Static_assert(offsetof(struct egress_rtx, resend) == 64, "second line of what a NACK touches");

/**
 * Value of consumer.resync: restored after the death of a process. The next packet goes on where
 * the stream was if it can, and starts anew otherwise.
 */
#define CONSUMER_ADOPTED 2

/*
 * One consumer = one egress stream, and one for RTX (struct egress_rtx). What a copy touches comes
 * first, a cache line each, then what a NACK touches besides:
 *   0  who, and whether it may go    1  its place in the stream    2  its header, what was sent
 *   3  what is sent again            4  extensions that are copied
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
	uint8_t resync; /* next packet that passes starts anew after highest_out_index; or
			   CONSUMER_ADOPTED */
	uint8_t current_encoding;
	uint8_t source_change; /* of the packets that the offsets were made for */
	uint8_t switch_asked; /* encoding that a key frame was requested of, to change to, + 1 */
	struct state_egress *saved; /* its place in the stream state */

	/* owner of its transport */
	_Alignas(64) uint64_t packets;
	uint64_t bytes, payload_bytes;
	/* programme, before publication */
	uint8_t ext_id[SFU_EXT_COUNT]; /* id toward this consumer, 0 = strip */
	uint8_t mid_len;
	uint8_t mid[SFU_MID_BYTES]; /* put.mid */
	uint32_t holes; /* numbers between those sent that never were: lost upstream; owner */

	/* programme, before publication */
	_Alignas(64) uint64_t producer_handle;
	struct egress_rtx *rtx; /* NULL = not negotiated */
	LIST_ENTRY(consumer) of_transport; /* programme */
	LIST_ENTRY(consumer) of_producer; /* programme */
	uint32_t report_rtt_us; /* owner */
	uint32_t switch_asked_ms; /* when, with switch_asked; owner */
	/* programme, before publication */
	_Alignas(64) struct rtp_ext_map ext_map; /* producer's ids to these, of what is copied */
	struct sfu_put_consumer put;
	/* owner of its transport */
	uint64_t sr_sent_us; /* last sender report; 0 = none */
	uint32_t sr_ntp_mid; /* middle word of its NTP time */
	/* receiver's last report, and less what was lost before it came to us */
	uint32_t reports;
	uint32_t report_highest;
	int32_t report_lost_downstream;
	uint8_t report_fraction_downstream;
	uint8_t report_fraction_lost;
	int32_t report_lost;
	uint32_t report_jitter;
	uint64_t edge[EDGE_COUNT];
};

_Static_assert(offsetof(struct consumer, offset) == 64, "second line of what a copy touches");
_Static_assert(offsetof(struct consumer, packets) == 128, "third line of what a copy touches");
_Static_assert(offsetof(struct consumer, producer_handle) == 192, "behind what a copy touches");
_Static_assert(offsetof(struct consumer, ext_map) == 256, "last line of what a NACK touches");

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

/**
 * Have the kernel find all pages of the pools now, so that nobody's turn touches one first: a large page
 * costs milliseconds where the host has to find it as well. Changes nothing of what is there, and goes
 * on beside those who use the pools; a thread of its own, for it may take a second.
 * @return false when it ended early: *stop was set, or the kernel (before 5.14) cannot do it
 */
bool objects_warm(const struct objects *o, const atomic_bool *stop);
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
