// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "sfu-dp/proto/cursor.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * @file
 * RTCP: walk a compound (RFC 3550, 6.1) or reduced-size (RFC 5506) datagram and read what browsers
 * send; write what we send. Pure functions over the caller's bytes; any lcore.
 *
 * Reading: rtcp_iter_init(), then rtcp_next() until it does not say RTCP_OK. Each packet goes to
 * the parse function of its type; a packet that this refuses ends nothing, the walk goes on behind
 * it. Lists in a packet (report blocks, NACK pairs ...) are read by index from its view.
 *
 * Writing: every rtcp_encode_ function appends one packet and returns its octets, a multiple of 4,
 * or 0 if the room is short or a count too large; then nothing useful is in out. Concatenated they
 * make a compound.
 */

enum rtcp_status {
	RTCP_OK = 0,
	RTCP_END, // the walk came to the end of the datagram
	RTCP_SHORT, // a packet or list ends behind the octets there are
	RTCP_MALFORMED, // a field contradicts the packet
	RTCP_UNSUPPORTED, // not the type that this function reads
};

enum rtcp_type {
	RTCP_SR = 200,
	RTCP_RR = 201,
	RTCP_SDES = 202,
	RTCP_BYE = 203,
	RTCP_APP = 204,
	RTCP_RTPFB = 205, // transport layer feedback (RFC 4585)
	RTCP_PSFB = 206, // payload-specific feedback
	RTCP_XR = 207, // extended reports (RFC 3611)
};

/** Feedback message types, the count field of RTCP_RTPFB and RTCP_PSFB. */
enum rtcp_fmt {
	RTCP_RTPFB_NACK = 1,
	RTCP_RTPFB_TWCC = 15,
	RTCP_PSFB_PLI = 1,
	RTCP_PSFB_FIR = 4, // RFC 5104
	RTCP_PSFB_AFB = 15, // REMB, if 'REMB' follows
};

#define RTCP_SDES_CNAME 1
#define RTCP_XR_RRTR 4
#define RTCP_XR_DLRR 5
/** Most report blocks, SSRCs or chunks in one packet: the count has 5 bits. */
#define RTCP_COUNT_MAX 31

/** A walk over a datagram. */
struct rtcp_iter {
	struct rcursor c;
};

/** One packet of it. */
struct rtcp_packet {
	const uint8_t *body; // behind the 4-octet header, padding cut off
	uint16_t off; // of the header, from the start of the datagram
	uint16_t len; // octets, header and padding included
	uint16_t body_len; // octets of body
	uint8_t type; // enum rtcp_type or another
	uint8_t count; // report count, source count or feedback message type, 0 .. 31
};

/** Report block (RFC 3550, 6.4.1). */
struct rtcp_report_block {
	uint32_t ssrc; // stream that is reported on
	int32_t cumulative_lost; // packets, 24 bits signed; written clamped to them
	uint32_t highest_seq; // cycles in the upper half
	uint32_t jitter; // media clock units
	uint32_t lsr; // middle 32 bits of the NTP time of the last SR; 0 = none seen
	uint32_t dlsr; // delay since then in 1/65536 s
	uint8_t fraction_lost; // 1/256
};

/** Sender information (RFC 3550, 6.4.1). */
struct rtcp_sender_info {
	uint64_t ntp; // 32 bits of seconds, 32 bits of fraction
	uint32_t ssrc; // sender of the report
	uint32_t rtp_timestamp; // the same instant in media clock units
	uint32_t packets; // sent since the start of the stream, modulo 2^32
	uint32_t octets; // payload octets likewise
};

/** SR or RR. */
struct rtcp_report {
	struct rtcp_sender_info info; // in an RR only ssrc is set
	const uint8_t *blocks; // block_count * 24 octets; see rtcp_report_block()
	uint8_t block_count;
};

/** Feedback packet (RFC 4585, 6.1). */
struct rtcp_feedback {
	const uint8_t *fci; // feedback control information
	uint32_t sender_ssrc; // who sends the feedback
	uint32_t media_ssrc; // about which stream; 0 in FIR, REMB
	uint16_t fci_len; // octets of fci
	uint8_t type; // RTCP_RTPFB or RTCP_PSFB
	uint8_t fmt; // enum rtcp_fmt or another
};

/** One entry of a generic NACK (RFC 4585, 6.2.1). */
struct rtcp_nack {
	uint16_t pid; // first lost packet
	uint16_t blp; // bit i: pid + 1 + i is lost too
};

/** Head of transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01, 3.1). */
struct rtcp_twcc {
	const uint8_t *chunks; // status chunks and deltas, not looked at
	int32_t reference_time; // in 64 ms, 24 bits signed
	uint16_t chunks_len; // octets
	uint16_t base_seq; // first transport-wide sequence number
	uint16_t status_count; // how many packets are reported on
	uint8_t feedback_count; // running number of these packets
};

/** One entry of a FIR (RFC 5104, 4.3.1). */
struct rtcp_fir {
	uint32_t ssrc; // stream that shall send a key frame
	uint8_t seq; // changes with every new request
};

/** Receiver estimated maximum bitrate (draft-alvestrand-rmcat-remb-03). */
struct rtcp_remb {
	const uint8_t *ssrcs; // ssrc_count * 4 octets; see rtcp_ssrc()
	uint64_t bitrate_bps; // clamped to UINT64_MAX
	uint8_t ssrc_count;
};

/** BYE (RFC 3550, 6.6). */
struct rtcp_bye {
	const uint8_t *ssrcs; // ssrc_count * 4 octets; see rtcp_ssrc()
	const uint8_t *reason; // reason_len octets, any content; NULL without
	uint8_t ssrc_count;
	uint8_t reason_len;
};

/** A walk over the items of an SDES packet. */
struct rtcp_sdes_iter {
	struct rcursor c;
	uint32_t ssrc; // chunk that is being read
	uint8_t chunks_left; // not begun yet
	bool in_chunk;
};

/** One item of it (RFC 3550, 6.5). */
struct rtcp_sdes_item {
	const uint8_t *text; // len octets, not terminated, any content
	uint32_t ssrc; // whom it describes
	uint8_t type; // RTCP_SDES_CNAME or another
	uint8_t len;
};

/** A walk over the blocks of an XR packet. */
struct rtcp_xr_iter {
	struct rcursor c;
	uint32_t ssrc; // sender of the packet
};

/** One block of it (RFC 3611, 3). */
struct rtcp_xr_block {
	const uint8_t *body; // behind the 4-octet block header
	uint16_t body_len; // octets, a multiple of 4
	uint8_t type; // RTCP_XR_RRTR, RTCP_XR_DLRR or another
	uint8_t specific; // type-specific octet
};

/** Sub-block of a DLRR block (RFC 3611, 4.5). */
struct rtcp_dlrr {
	uint32_t ssrc; // receiver whose RRTR is answered
	uint32_t lrr; // middle 32 bits of that RRTR's NTP time
	uint32_t dlrr; // delay since then in 1/65536 s
};

/** Start a walk over a decrypted datagram, without SRTCP index and tag. buf must outlive it. */
void rtcp_iter_init(struct rtcp_iter *it, const uint8_t *buf, size_t len);

/**
 * Next packet, known to lie within the datagram.
 * @param out  filled only on RTCP_OK
 * @return RTCP_OK; RTCP_END; RTCP_SHORT or RTCP_MALFORMED (version, padding) if the rest of the
 *         datagram cannot be read: the packets so far are good, further calls say RTCP_END
 */
enum rtcp_status rtcp_next(struct rtcp_iter *it, struct rtcp_packet *out);

/**
 * Read an SR or RR. Profile-specific extensions behind the blocks are ignored.
 * @return RTCP_OK, RTCP_SHORT, RTCP_UNSUPPORTED
 */
enum rtcp_status rtcp_report_parse(const struct rtcp_packet *packet, struct rtcp_report *out);

/** Report block i; false if there is none. */
bool rtcp_report_block(const struct rtcp_report *report, unsigned i, struct rtcp_report_block *out);

/** Start a walk over an SDES packet; RTCP_OK or RTCP_UNSUPPORTED. */
enum rtcp_status rtcp_sdes_iter_init(struct rtcp_sdes_iter *it, const struct rtcp_packet *packet);

/** Next item; RTCP_OK, RTCP_END, or RTCP_SHORT if a chunk or item is cut off (further: RTCP_END). */
enum rtcp_status rtcp_sdes_next(struct rtcp_sdes_iter *it, struct rtcp_sdes_item *out);

/**
 * Read a BYE. A reason that does not fit is left out.
 * @return RTCP_OK, RTCP_SHORT (fewer SSRCs than counted), RTCP_UNSUPPORTED
 */
enum rtcp_status rtcp_bye_parse(const struct rtcp_packet *packet, struct rtcp_bye *out);

/** SSRC i of a list in network order; 0 if i is not below count. */
uint32_t rtcp_ssrc(const uint8_t *ssrcs, unsigned count, unsigned i);

/** Read the common part of a feedback packet; RTCP_OK, RTCP_SHORT, RTCP_UNSUPPORTED. */
enum rtcp_status rtcp_feedback_parse(const struct rtcp_packet *packet, struct rtcp_feedback *out);

/** NACK entry i; false at the end, or if this is not a NACK. */
bool rtcp_nack(const struct rtcp_feedback *fb, unsigned i, struct rtcp_nack *out);

/** FIR entry i; false at the end, or if this is not a FIR. */
bool rtcp_fir(const struct rtcp_feedback *fb, unsigned i, struct rtcp_fir *out);

/** Whether this is a PLI (its stream is media_ssrc). */
bool rtcp_is_pli(const struct rtcp_feedback *fb);

/** Read the head of transport-wide feedback; RTCP_OK, RTCP_SHORT, RTCP_UNSUPPORTED. */
enum rtcp_status rtcp_twcc_parse(const struct rtcp_feedback *fb, struct rtcp_twcc *out);

/**
 * Read a REMB.
 * @return RTCP_OK, RTCP_SHORT, RTCP_UNSUPPORTED (another application's message)
 */
enum rtcp_status rtcp_remb_parse(const struct rtcp_feedback *fb, struct rtcp_remb *out);

/** Start a walk over an XR packet; RTCP_OK, RTCP_SHORT, RTCP_UNSUPPORTED. */
enum rtcp_status rtcp_xr_iter_init(struct rtcp_xr_iter *it, const struct rtcp_packet *packet);

/** Next block; RTCP_OK, RTCP_END, or RTCP_SHORT if a block is cut off (further: RTCP_END). */
enum rtcp_status rtcp_xr_next(struct rtcp_xr_iter *it, struct rtcp_xr_block *out);

/** NTP time of a receiver reference time block; false if this is not one. */
bool rtcp_xr_rrtr(const struct rtcp_xr_block *block, uint64_t *ntp);

/** DLRR sub-block i; false at the end, or if this is not a DLRR block. */
bool rtcp_xr_dlrr(const struct rtcp_xr_block *block, unsigned i, struct rtcp_dlrr *out);

/** Append an SR with up to RTCP_COUNT_MAX blocks (28 + 24 * count octets). */
size_t rtcp_encode_sr(uint8_t *out, size_t cap, const struct rtcp_sender_info *info,
	const struct rtcp_report_block *blocks, unsigned count);

/** Append an RR with up to RTCP_COUNT_MAX blocks (8 + 24 * count octets). */
size_t rtcp_encode_rr(uint8_t *out, size_t cap, uint32_t ssrc,
	const struct rtcp_report_block *blocks, unsigned count);

/** Append an SDES with one chunk of one CNAME; len is 1 .. 255 octets of any text. */
size_t rtcp_encode_sdes_cname(
	uint8_t *out, size_t cap, uint32_t ssrc, const char *cname, size_t len);

/** Append a BYE of up to RTCP_COUNT_MAX SSRCs, without reason. */
size_t rtcp_encode_bye(uint8_t *out, size_t cap, const uint32_t *ssrcs, unsigned count);

/** Append a PLI (12 octets). */
size_t rtcp_encode_pli(uint8_t *out, size_t cap, uint32_t sender_ssrc, uint32_t media_ssrc);

/** Append a FIR with one entry (20 octets). */
size_t rtcp_encode_fir(uint8_t *out, size_t cap, uint32_t sender_ssrc, const struct rtcp_fir *fir);

/**
 * Append a generic NACK. Sequence numbers within 16 of the first of an entry share it.
 * @param seqs   sequence numbers in ascending order (modulo 2^16); others only cost entries
 * @param count  at least 1
 * @return octets, at most 12 + 4 * count; 0 if cap is short
 */
size_t rtcp_encode_nack(uint8_t *out, size_t cap, uint32_t sender_ssrc, uint32_t media_ssrc,
	const uint16_t *seqs, unsigned count);

/**
 * Append a REMB for up to 255 SSRCs. The bitrate is rounded down to 18 significant bits.
 */
size_t rtcp_encode_remb(uint8_t *out, size_t cap, uint32_t sender_ssrc, uint64_t bitrate_bps,
	const uint32_t *ssrcs, unsigned count);

/** Append an XR with one receiver reference time block (20 octets). */
size_t rtcp_encode_rrtr(uint8_t *out, size_t cap, uint32_t ssrc, uint64_t ntp);

/** Append an XR with one DLRR block of 1 .. RTCP_COUNT_MAX sub-blocks (12 + 12 * count octets). */
size_t rtcp_encode_dlrr(
	uint8_t *out, size_t cap, uint32_t ssrc, const struct rtcp_dlrr *dlrr, unsigned count);

/**
 * NTP format of an instant in microseconds since any origin. With our monotonic clock the seconds
 * are not those since 1900; RFC 3550, 6.4.1 allows that, receivers use differences.
 */
uint64_t rtcp_ntp_from_us(uint64_t us);

/** Microseconds since the same origin; rounded to nearest, so that the pair is an identity. */
uint64_t rtcp_ntp_to_us(uint64_t ntp);

/** Middle 32 bits, 16.16 seconds, as in LSR and LRR. */
static inline uint32_t rtcp_ntp_mid(uint64_t ntp)
{
	return (uint32_t)(ntp >> 16);
}

/** 16.16 seconds from microseconds (for DLSR); at most UINT32_MAX. */
uint32_t rtcp_mid_from_us(uint64_t us);

/** Microseconds from 16.16 seconds. */
uint64_t rtcp_mid_to_us(uint32_t mid);

/**
 * Round-trip time of a report block or DLRR sub-block (RFC 3550, 6.4.1: A - LSR - DLSR).
 * @param now_mid  arrival in 16.16 seconds of the clock that wrote lsr
 * @param lsr      from the block; 0 = no report seen yet
 * @param dlsr     from the block
 * @return microseconds; 0 if lsr is 0 or the result would be negative or above 60 s (a lie, or a
 *         clock that jumped): no measurement
 */
uint64_t rtcp_rtt_us(uint32_t now_mid, uint32_t lsr, uint32_t dlsr);
