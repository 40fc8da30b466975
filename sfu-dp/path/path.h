// SPDX-License-Identifier: BSD-3-Clause
/**
 * The packet's way: the context that travels with a packet, where a packet can end, and the
 * stages in order. Read with the table in ARCHITECTURE.md.
 *
 *   rx ─► classify ─┬─► ice ───────► tx             (rx ─► hint: ICMP "too big")
 *                   ├─► dtls_punt ─► link (through housekeeping)
 *                   └─► srtp_open ─┬─► rtcp ─► tx
 *                                  └─► fanout ─► rewrite ─► srtp_seal ─► tx
 *
 * A stage takes an array of mbufs of at most PATH_BURST, gives every one of them away (to the
 * next stage, to another worker, to tx, or to path_drop()), and runs on a worker's thread only.
 * No locks, no allocation but mbufs, no system call, no log.
 */
#pragma once

#include <rte_mbuf.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "sfu-dp/proto/rtp.h"

#define PATH_BURST 32u

/**
 * Where a received packet can end other than forwarded, answered or punted. One list makes the
 * enum, the counters and the text of dp-cli show drops. "in = forwarded + answered + punted +
 * dropped" holds over these at any instant, with what waits in worker rings as in_transit.
 */
#define DROP_LIST(X)                                                                               \
	X(frame_short, "frame too short for its headers")                                          \
	X(not_for_us, "Ethernet or IP destination is not ours")                                    \
	X(ethertype, "neither ARP nor IP")                                                         \
	X(arp_malformed, "ARP packet malformed or not for our address")                            \
	X(arp_rate, "more ARP, ICMP or neighbours than are answered per second")                   \
	X(ip_malformed, "IP header malformed or wrong checksum")                                   \
	X(ip_options, "IP options or extension headers")                                           \
	X(ip_fragment, "IP fragment")                                                              \
	X(ip_protocol, "neither UDP nor ICMP echo")                                                \
	X(icmp_malformed, "ICMP malformed, or of a kind that is not answered")                     \
	X(udp_malformed, "UDP length does not fit the packet")                                     \
	X(udp_port, "UDP port is not the media port, or port 0")                                   \
	X(hint_unknown, "ICMP says too big of a flow that is none of ours")                        \
	X(hint_refused, "ICMP says too big, and cannot be right")                                  \
	X(tuple_unknown, "media or DTLS from an address without a validated ICE check")            \
	X(kind_unknown, "neither STUN, DTLS nor RTP")                                              \
	X(stun_malformed, "STUN malformed")                                                        \
	X(stun_not_request, "STUN, but not a Binding request")                                     \
	X(stun_fingerprint, "STUN FINGERPRINT missing or wrong")                                   \
	X(stun_ufrag, "STUN for a ufrag that was not issued")                                      \
	X(stun_integrity, "STUN MESSAGE-INTEGRITY missing or wrong")                               \
	X(stun_replay, "STUN check seen before from another address")                              \
	X(stun_taken, "STUN check from the address of another transport that is in use")           \
	X(stun_tuples, "transport has as many validated addresses as it may")                      \
	X(dtls_size, "DTLS datagram longer than the link takes")                                   \
	X(dtls_rate, "more DTLS records than a transport may send per second")                     \
	X(dtls_link, "housekeeping has too many DTLS records waiting")                             \
	X(rtp_malformed, "RTP or RTCP header malformed")                                           \
	X(srtp_no_keys, "media before DTLS has finished")                                          \
	X(srtp_ssrc, "SSRC that no producer of the transport has, nor MID or RID binds")           \
	X(srtp_ssrc_limit, "more SSRCs on the transport than are followed")                        \
	X(srtp_replay, "SRTP index seen before")                                                   \
	X(srtp_old, "SRTP index behind the replay window")                                         \
	X(srtp_auth, "SRTP authentication failed")                                                 \
	X(srtcp_replay, "SRTCP index seen before or too old")                                      \
	X(srtcp_auth, "SRTCP authentication failed")                                               \
	X(rtcp_rate, "more RTCP than a transport may send per second")                             \
	X(rtp_payload_type, "payload type that the producer did not announce")                     \
	X(rtp_padding_only, "padding probe on RTX: accepted, nothing to forward")                  \
	X(rtp_late, "came after its own retransmission")                                           \
	X(rtx_duplicate, "retransmission of a packet that has come already")                       \
	X(rtx_unknown, "retransmission of a packet too old, or of a stream not begun")             \
	X(producer_paused, "producer is paused")                                                   \
	X(producer_gate, "E2EE gate of the sending peer is shut")                                  \
	X(frame_stale, "sealed with the key of an epoch that is over, in a room that drops such")  \
	X(frame_header, "no header of an encrypted frame, in a room that drops stale ones")        \
	X(no_consumer, "nobody consumes this producer")                                            \
	X(transport_closed, "transport lost consent or is being removed")                          \
	X(handoff_full, "ring to the owning worker is full")                                       \
	X(stalled, "waited while the process did not run")                                         \
	X(stale_handle, "object was removed while the packet was on its way")

enum drop_reason {
#define X(name, text) DROP_##name,
	DROP_LIST(X)
#undef X
		DROP_COUNT
};

/**
 * Where a copy for one consumer can end other than sent. A second ledger: copies tried = sent +
 * these. A packet counts as forwarded once when at least one copy was tried.
 */
#define EDGE_LIST(X)                                                                               \
	X(gate, "E2EE gate of the consuming peer is shut")                                         \
	X(paused, "consumer is paused")                                                            \
	X(not_connected, "consumer's transport has no keys or no nominated address yet")           \
	X(payload_type, "consumer does not take this payload type")                                \
	X(encoding, "another encoding of the producer than the one selected")                      \
	X(before_start, "older than the packet with which the stream started or resumed")          \
	X(too_long, "packet would exceed the MTU of the port or the path")                         \
	X(index_exhausted, "no SRTP index left under this key")                                    \
	X(seal_failed, "cipher failed")                                                            \
	X(no_buffer, "no mbuf for the copy")                                                       \
	X(handoff_full, "ring to the consumer's worker is full (counted once per worker)")         \
	X(stalled, "waited between workers while the process did not run (once per worker)")       \
	X(tx_full, "port did not take the frame")

enum edge_reason {
#define X(name, text) EDGE_##name,
	EDGE_LIST(X)
#undef X
		EDGE_COUNT
};

extern const char *const drop_names[DROP_COUNT];
extern const char *const drop_texts[DROP_COUNT];
extern const char *const edge_names[EDGE_COUNT];
extern const char *const edge_texts[EDGE_COUNT];

/**
 * A UDP 5-tuple without the protocol, network order, as a hash key: 40 octets, no padding.
 * IPv4 addresses are mapped (::ffff:a.b.c.d), so that IPv6 is the same code.
 */
struct tuple {
	uint8_t remote[16];
	uint8_t local[16];
	uint16_t remote_port_be16;
	uint16_t local_port_be16;
	uint32_t vlan; /* 802.1Q tag control & 0xfff, 0 = untagged */
};
_Static_assert(sizeof(struct tuple) == 40, "hash key");

static inline bool tuple_is_ip4(const struct tuple *t)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	return !memcmp(t->remote, mapped, sizeof(mapped));
}

/** Link-layer way back, learnt from an authenticated ICE check and nothing else. */
struct l2_path {
	uint8_t remote_mac[6];
	uint8_t local_mac[6];
};

/** What waits in a ring between workers. */
enum pkt_task {
	PKT_TASK_RECEIVED, /* UDP payload for a transport that another worker owns */
	PKT_TASK_HINT, /* hint for a flow that another worker may know */
	PKT_TASK_FANOUT, /* opened packet for the receiving worker's consumers of a producer */
};

/** What a packet starts, as far as may be seen (webrtc.md 7). */
enum pkt_start {
	PKT_START_NOT = 0, /* no frame, or of H264 and AV1 one that is no key frame */
	PKT_START_FRAME, /* a frame that is no key frame */
	PKT_START_KEY_FRAME, /* a receiver can start here; every audio packet */
	PKT_START_FIRST, /* as UNKNOWN, and the source's first that came: most likely a key frame */
	PKT_START_UNKNOWN, /* a frame: end-to-end encrypted, or of a codec that we do not read */
};

/** No frame begins in the packet, or it cannot be told. */
#define PKT_NO_FRAME 0xffu

/**
 * Context of one packet, in the mbuf's private area. The mbuf's data is the Ethernet frame until
 * rx, from classify on the UDP payload, exactly as long as UDP says.
 */
struct pkt {
	/* inputs: rx */
	struct tuple tuple;
	struct l2_path l2;
	uint64_t rx_us; /* worker's clock at the burst */
	/* verdicts: classify, srtp_open */
	uint64_t transport; /* handle */
	uint64_t producer; /* handle, media only */
	uint64_t index; /* SRTP index as authenticated (rollover << 16 | seq) */
	uint32_t task; /* enum pkt_task, when in a ring between workers */
	uint8_t encoding; /* of the producer */
	uint8_t mapped_payload_type;
	uint8_t start; /* enum pkt_start */
	uint8_t frame_at; /* octets of payload in front of a frame that begins here; PKT_NO_FRAME */
	uint8_t has_audio_level;
	uint8_t audio_level; /* RFC 6464: V bit, 7 bits of -dBov (0 = loudest) */
	uint8_t source_change; /* counts up when a gap in the producer's stream is none of the
				  network's (gate, pause, new SSRC): consumers resync */
	uint8_t hops; /* hint: workers that did not know the flow */
	uint32_t hint_mtu, hint_quoted_len; /* hint: octets of IP packets */
	/* outputs for fanout and rewrite: read only once shared between workers */
	struct rtp_view rtp; /* offsets into the packet from its RTP header */
};

#define PKT_PRIV_BYTES 192u
_Static_assert(sizeof(struct pkt) <= PKT_PRIV_BYTES, "mbuf private area");

static inline struct pkt *pkt_of(struct rte_mbuf *m)
{
	return rte_mbuf_to_priv(m);
}

struct worker;
struct transport;

/** Count and free. The only way out for a packet that is not sent on. */
void path_drop(struct worker *w, struct rte_mbuf *m, enum drop_reason reason);
void path_drop_burst(struct worker *w, struct rte_mbuf **m, unsigned n, enum drop_reason reason);

/* The stages, in order. n <= PATH_BURST. */

/** Frames as the port gave them: L2 to UDP checked, ARP and ICMP echo answered; rest to classify. */
void rx_burst(struct worker *w, struct rte_mbuf **m, unsigned n);

/** One ICMP "too big": believed, for the owner of its flow to heed, or dropped. */
void hint_packet(struct worker *w, struct rte_mbuf *m);

/** The same from another worker. */
void hint_handed(struct worker *w, struct rte_mbuf *m);

/** UDP payloads: whose, and what kind; to ice, dtls_punt, srtp_open or another worker. */
void classify_burst(struct worker *w, struct rte_mbuf **m, unsigned n);

/** What other workers handed over: struct pkt.task says which. */
void handoff_burst(struct worker *w, struct rte_mbuf **m, unsigned n);

/** The same after the process stood still: what was received before oldest_us is dropped (stalled). */
void handoff_sift(struct worker *w, struct rte_mbuf **m, unsigned n, uint64_t oldest_us);

/** One STUN message from the wire (rare, so one by one): checked, answered or handed on. */
void ice_packet(struct worker *w, struct rte_mbuf *m);

/**
 * Authentic RTCP of the transport's client came from there: from another of its validated addresses,
 * while the one in use is silent, it moves the path. The owner.
 */
void ice_heard(struct worker *w, struct transport *t, const struct tuple *from);

/** One STUN message that another worker has checked, for a transport that this worker owns. */
void ice_handed(struct worker *w, struct rte_mbuf *m);

/** One DTLS record from a validated tuple of a transport that this worker owns. */
void dtls_punt_packet(struct worker *w, struct rte_mbuf *m);

/** SRTP and SRTCP of transports that this worker owns. */
void srtp_open_burst(struct worker *w, struct rte_mbuf **m, unsigned n);

/** One opened RTCP compound: m's data is the plain compound. It ends here: answered. */
void rtcp_packet(struct worker *w, struct rte_mbuf *m);

/** Opened RTP packets of producers this worker owns: to its consumers and the other workers. */
void fanout_burst(struct worker *w, struct rte_mbuf **m, unsigned n);

/** The worker's own part of a fan-out, also for references from other workers. Takes m. */
void fanout_local(struct worker *w, struct rte_mbuf **m, unsigned n);

/**
 * A frame for the port, Ethernet header included; takes m. tx_frame is for answers and our own
 * packets (the caller has counted them), tx_frame_egress for a copy for a consumer: whether the port
 * took it is counted here (egress_packets, or EDGE_tx_full).
 */
void tx_frame(struct worker *w, struct rte_mbuf *m);
void tx_frame_egress(struct worker *w, struct rte_mbuf *m);

/** Hand what is buffered to the port. End of each poll turn. */
void tx_flush(struct worker *w);

/**
 * Put Ethernet, (VLAN,) IP and UDP headers in front of a payload that starts at m's data, addressed
 * back along a tuple. Needs TX_HEADROOM octets of headroom. Sets checksums.
 */
#define TX_HEADROOM (14u + 4u + 40u + 8u)
void tx_encapsulate(
	struct worker *w, struct rte_mbuf *m, const struct tuple *tuple, const struct l2_path *l2);
