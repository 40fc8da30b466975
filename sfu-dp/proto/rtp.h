// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * @file
 * RTP packets (RFC 3550, 5.1) and the parts of payloads a forwarder may look at: of VP8 and VP9 the
 * payload descriptors, which the packetiser adds after end-to-end encryption (RFC 7741, 4.2;
 * RFC 9628, 4.2); of H264 and AV1, where nothing is encrypted, what tells a key frame (RFC 6184, 5.2;
 * AV1 RTP, 4.4). Pure functions over the caller's bytes; any lcore.
 */

/** Octets of the fixed header, before CSRCs and extension. */
#define RTP_HEADER_LEN 12
/** The most a header takes without its extension block: 15 CSRCs. */
#define RTP_HEADER_MAX (RTP_HEADER_LEN + 15 * 4)
/** Longest packet looked at; offsets in the views are 16 bits wide. */
#define RTP_PACKET_MAX 65535

enum rtp_status {
	RTP_OK = 0,
	RTP_NOT_RTP, // version is not 2: try another parser
	RTP_SHORT, // ends inside a structure that it announces
	RTP_MALFORMED, // a field contradicts the packet
};

/** What a packet says; offsets count from the first octet of the packet. */
struct rtp_view {
	uint32_t timestamp; // media clock units
	uint32_t ssrc; // sender's stream
	uint16_t seq; // sequence number
	uint16_t ext_profile; // 0xBEDE, 0x1000 .. 0x100F or another; 0 without extension
	uint16_t ext_off; // first extension element; 0 without extension
	uint16_t ext_len; // octets of elements, a multiple of 4
	uint16_t payload_off; // first octet after header, CSRCs and extension
	uint16_t payload_len; // octets, padding included until rtp_strip_padding()
	uint8_t payload_type; // 0 .. 127
	uint8_t csrc_count; // 0 .. 15; the list starts at RTP_HEADER_LEN
	uint8_t padding_len; // octets cut by rtp_strip_padding(), its count included; 0 = none
	bool marker; // M bit
	bool padding; // P bit: the last octet of the plaintext counts the padding
	bool extension; // X bit
};

/** What rtp_encode() writes. */
struct rtp_header {
	uint32_t timestamp; // media clock units
	uint32_t ssrc; // stream of the packet
	const uint8_t
		*csrc; // csrc_count * 4 octets in network order; may be NULL if the count is 0
	uint16_t seq; // sequence number
	uint8_t payload_type; // 0 .. 127
	uint8_t csrc_count; // 0 .. 15
	bool marker; // M bit
	bool padding; // P bit; the caller appends the padding
	bool extension; // X bit; the caller appends the block, see rtp_ext_build()
};

/** VP8 payload descriptor (RFC 7741, 4.2); offsets count from the first octet of the payload. */
struct vp8_desc {
	uint16_t picture_id; // valid if has_picture_id
	uint8_t len; // octets of the descriptor, 1 .. 6
	uint8_t partition; // PID, 0 .. 7
	uint8_t picture_id_bits; // 7 or 15; 0 without picture id
	uint8_t picture_id_off; // where the picture id stands; 0 without
	uint8_t tl0_pic_idx; // valid if has_tl0_pic_idx
	uint8_t tl0_off; // where TL0PICIDX stands; 0 without
	uint8_t temporal; // TID 0 .. 3; valid if has_temporal
	uint8_t key_idx; // KEYIDX 0 .. 31; valid if has_key_idx
	bool start_of_frame; // S is set and PID is 0: first packet of a frame
	bool start_of_partition; // S bit
	bool non_reference; // N bit: no other frame depends on this one
	bool layer_sync; // Y bit: depends only on the base layer; valid if has_temporal
	bool has_picture_id; // I bit
	bool has_tl0_pic_idx; // L bit
	bool has_temporal; // T bit
	bool has_key_idx; // K bit
};

/** VP9 payload descriptor (RFC 9628, 4.2); offsets count from the first octet of the payload. */
struct vp9_desc {
	uint16_t picture_id; // valid if has_picture_id
	uint16_t len; // octets of the descriptor
	uint16_t ss_off; // scalability structure; 0 without
	uint16_t ss_len; // its octets; 0 without
	uint8_t picture_id_bits; // 7 or 15; 0 without picture id
	uint8_t picture_id_off; // where the picture id stands; 0 without
	uint8_t tl0_pic_idx; // valid if has_tl0_pic_idx
	uint8_t tl0_off; // where TL0PICIDX stands; 0 without
	uint8_t temporal; // TID 0 .. 7; 0 without layer indices
	uint8_t spatial; // SID 0 .. 7; 0 without layer indices
	uint8_t ref_count; // P_DIFF entries in flexible mode, 0 .. 3
	uint8_t spatial_layers; // N_S + 1 of the scalability structure; 0 without
	bool start_of_frame; // B bit: first packet of a layer frame
	bool end_of_frame; // E bit: last packet of a layer frame
	bool inter_predicted; // P bit: needs an earlier picture
	bool inter_layer; // D bit: needs the next lower spatial layer of this picture
	bool switching_up; // U bit: later frames of higher temporal layers do not look past this
	bool not_ref_for_upper; // Z bit: upper spatial layers do not need this one
	bool flexible; // F bit
	bool has_picture_id; // I bit
	bool has_layers; // L bit
	bool has_tl0_pic_idx; // L without F
	bool key_frame_start; // first packet of a picture at which a decoder can start
};

/**
 * Read the header of an RTP or SRTP packet; nothing past the header is looked at, so this may run
 * before decryption. The payload then includes padding (and, for SRTP, the tag).
 * @param buf  datagram as received; not modified
 * @param len  octets in buf
 * @param out  filled only on RTP_OK
 * @return RTP_OK, RTP_NOT_RTP, RTP_SHORT, RTP_MALFORMED (longer than RTP_PACKET_MAX)
 */
enum rtp_status rtp_parse(const uint8_t *buf, size_t len, struct rtp_view *out);

/**
 * Cut the padding off the view of a decrypted packet (RFC 3550, 5.1). A packet of padding only
 * (a probe) is valid and ends with payload_len 0.
 * @param buf   the same packet, in the clear
 * @param len   octets in buf, without tag; at most what rtp_parse() saw
 * @param view  from rtp_parse(); payload_len and padding_len are set, also when the P bit is clear
 * @return RTP_OK; RTP_SHORT if len ends before the payload; RTP_MALFORMED if the count is 0 or
 *         larger than the payload. On a refusal the view is as it was.
 */
enum rtp_status rtp_strip_padding(const uint8_t *buf, size_t len, struct rtp_view *view);

/**
 * Write a header up to the end of the CSRC list.
 * @return octets written, RTP_HEADER_LEN + 4 * csrc_count; 0 if cap is short or a field is out of
 *         range (nothing is then written)
 */
size_t rtp_encode(uint8_t *out, size_t cap, const struct rtp_header *header);

/**
 * Overwrite the fields that differ per consumer in a header that rtp_parse() accepted.
 * The caller owns at least RTP_HEADER_LEN writable octets at packet.
 */
static inline void rtp_rewrite(uint8_t *packet, uint8_t payload_type, bool marker, uint16_t seq,
	uint32_t timestamp, uint32_t ssrc);

/**
 * Read a VP8 payload descriptor. Never looks at the frame behind it.
 * @param payload  RTP payload in the clear, without padding
 * @param len      octets of it
 * @param out      filled only on RTP_OK
 * @return RTP_OK, RTP_SHORT (also for an empty payload)
 */
enum rtp_status vp8_desc_parse(const uint8_t *payload, size_t len, struct vp8_desc *out);

/**
 * Whether this packet starts a VP8 key frame (RFC 7741, 4.3, inverse P bit). Reads the first octet
 * of the frame: never call it for an end-to-end encrypted producer, whose frames have ciphertext
 * there.
 */
bool vp8_key_frame_start(const uint8_t *payload, size_t len, const struct vp8_desc *desc);

/**
 * Write picture id and TL0PICIDX into a descriptor, in their present widths; fields that the
 * descriptor does not have are left out. Layer switches need both to be continuous.
 * @param payload  writable payload from which desc was read
 * @param len      octets of it; nothing is written outside
 */
void vp8_desc_rewrite(uint8_t *payload, size_t len, const struct vp8_desc *desc,
	uint16_t picture_id, uint8_t tl0_pic_idx);

/**
 * Read a VP9 payload descriptor. Never looks at the frame behind it; key_frame_start comes from
 * the descriptor alone and so holds under end-to-end encryption.
 * @param payload  RTP payload in the clear, without padding
 * @param len      octets of it
 * @param out      filled only on RTP_OK
 * @return RTP_OK, RTP_SHORT (also for an empty payload), RTP_MALFORMED (more than three references)
 */
enum rtp_status vp9_desc_parse(const uint8_t *payload, size_t len, struct vp9_desc *out);

/** As vp8_desc_rewrite(). */
void vp9_desc_rewrite(uint8_t *payload, size_t len, const struct vp9_desc *desc,
	uint16_t picture_id, uint8_t tl0_pic_idx);

/**
 * Whether this packet starts an H264 key frame (RFC 6184, 5.2): a sequence parameter set, or the first
 * slice of an IDR picture, alone (5.6), aggregated (STAP-A, 5.7.1) or as a first fragment (FU-A, 5.8).
 * Reads the encoder's bytes: never call it for an end-to-end encrypted producer.
 * @param payload  RTP payload in the clear, without padding
 * @param len      octets of it; 0 starts nothing
 */
bool h264_key_frame_start(const uint8_t *payload, size_t len);

/**
 * Whether this packet starts a coded video sequence of AV1, which begins with a key frame: N of the
 * aggregation header, which has no Z then (AV1 RTP, 4.4). As h264_key_frame_start().
 */
bool av1_key_frame_start(const uint8_t *payload, size_t len);

/* Inline bodies */

static inline void rtp_rewrite(uint8_t *packet, uint8_t payload_type, bool marker, uint16_t seq,
	uint32_t timestamp, uint32_t ssrc)
{
	packet[1] = (uint8_t)((marker ? 0x80 : 0) | (payload_type & 0x7f));
	packet[2] = (uint8_t)(seq >> 8);
	packet[3] = (uint8_t)seq;
	packet[4] = (uint8_t)(timestamp >> 24);
	packet[5] = (uint8_t)(timestamp >> 16);
	packet[6] = (uint8_t)(timestamp >> 8);
	packet[7] = (uint8_t)timestamp;
	packet[8] = (uint8_t)(ssrc >> 24);
	packet[9] = (uint8_t)(ssrc >> 16);
	packet[10] = (uint8_t)(ssrc >> 8);
	packet[11] = (uint8_t)ssrc;
}
