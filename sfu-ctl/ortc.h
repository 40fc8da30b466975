// SPDX-License-Identifier: BSD-3-Clause
/**
 * ORTC negotiation: capabilities and RTP parameters in, parameters and compiled maps out.
 *
 * The JSON shapes are those of mediasoup-client. Nothing here does I/O, keeps state or draws random
 * numbers: SSRCs and MIDs are given by the caller. Input is hostile: whatever is malformed is
 * refused with a text that names the field ("rtpParameters.codecs[2].payloadType: ..."). Any thread.
 *
 * In order of use: ortc_router_capabilities() once; ortc_produce() for each PRODUCE, which also
 * gives the consumable that the producer keeps; ortc_consume() for each CONSUME.
 */
#pragma once

#include "shared/command.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_object;

enum ortc_status {
	ORTC_OK = 0,
	ORTC_INVALID, /* malformed input: VALIDATION_FAILED */
	ORTC_UNSUPPORTED, /* well formed, but no codec is shared: CONSUME_NOT_ALLOWED for a consumer */
	ORTC_NO_MEMORY,
};

/** Why something was refused. text is empty on ORTC_OK. */
struct ortc_error {
	char text[192];
};

/**
 * What the data plane can do. Only that is announced: a feature that is false takes its codec,
 * feedback and header extension entries out of the router's capabilities, and so out of everything
 * that is derived from them.
 */
struct ortc_features {
	bool rtx; /* video/rtx codecs, repaired-rtp-stream-id */
	bool nack; /* generic NACK */
	bool transport_cc; /* transport-wide-cc feedback and extension */
	bool remb; /* goog-remb */
	bool dependency_descriptor; /* its header extension, sendrecv (webrtc.md 3) */
	bool abs_capture_time; /* its header extension */
	bool playout_delay; /* its header extension */
};

/** Feedback kinds, bits of ortc_consumer.feedback. */
enum ortc_feedback {
	ORTC_FB_NACK = 1 << 0,
	ORTC_FB_PLI = 1 << 1,
	ORTC_FB_FIR = 1 << 2,
	ORTC_FB_REMB = 1 << 3,
	ORTC_FB_TRANSPORT_CC = 1 << 4,
};

/** Bandwidth estimation that a consumer's negotiation left over. */
enum ortc_bwe {
	ORTC_BWE_NONE = 0,
	ORTC_BWE_REMB = 1,
	ORTC_BWE_TRANSPORT_CC = 2,
};

/** One payload type of a producer. */
struct ortc_codec_map {
	uint8_t payload_type; /* as the client sends it */
	uint8_t mapped_payload_type; /* as consumers get it */
	uint8_t codec; /* enum sfu_codec */
	uint8_t apt; /* RTX: the client's payload type it repairs; else 0 */
	uint32_t clock_rate_hz;
};

/** One encoding (simulcast layer) of a producer. */
struct ortc_encoding {
	uint32_t ssrc; /* 0 = to be learnt by RID or MID */
	uint32_t rtx_ssrc; /* 0 = none, or to be learnt by repaired RID */
	uint32_t mapped_ssrc; /* names the encoding in the consumable; never on the wire */
	uint32_t max_bitrate_bps; /* 0 = not given */
	uint8_t spatial_layers; /* of scalabilityMode, 1 when not given */
	uint8_t temporal_layers; /* of scalabilityMode, 1 when not given */
	bool dtx;
	uint8_t rid_len; /* 0 = no RID */
	char rid[SFU_RID_BYTES + 1]; /* NUL terminated */
};

/** A header extension and its id on one side. */
struct ortc_ext_id {
	uint8_t ext; /* enum sfu_rtp_ext, never SFU_EXT_NONE */
	uint8_t id; /* 1..255; one-byte headers carry up to 14 */
};

/** A producer for the data plane: fixed size, no pointers. */
struct ortc_producer {
	uint8_t kind; /* enum sfu_media_kind */
	uint8_t codec_count;
	uint8_t encoding_count; /* at least 1 */
	uint8_t ext_count;
	uint8_t feedback; /* enum ortc_feedback bits that the first media codec has on both sides */
	struct ortc_codec_map codec[SFU_MAX_CODECS]; /* media codecs first, then RTX */
	struct ortc_encoding encoding[SFU_MAX_ENCODINGS];
	struct ortc_ext_id
		ext[SFU_MAX_EXTS]; /* ids as the client sends them; unknown URIs left out */
	bool reduced_size; /* RFC 5506 towards this producer */
	uint8_t mid_len; /* 0 = no MID */
	uint8_t cname_len;
	char mid[SFU_MID_BYTES + 1]; /* NUL terminated */
	char cname[SFU_CNAME_BYTES + 1]; /* NUL terminated */
};

/** A consumer for the data plane: fixed size, no pointers. */
struct ortc_consumer {
	uint32_t ssrc;
	uint32_t rtx_ssrc; /* 0 = no RTX */
	uint32_t clock_rate_hz; /* of the first media codec */
	uint32_t max_bitrate_bps; /* highest over the producer's encodings, 0 = not given */
	uint8_t kind; /* enum sfu_media_kind */
	uint8_t codec; /* enum sfu_codec of the first media codec */
	uint8_t payload_type; /* of the first media codec */
	uint8_t rtx_payload_type; /* that repairs it; 0 = no RTX */
	uint8_t payload_type_count;
	uint8_t payload_types[SFU_MAX_CODECS]; /* every mapped type it takes, RTX included */
	uint8_t rtx_payload_types[SFU_MAX_CODECS]; /* what repairs each of them; 0 = nothing */
	uint8_t ext_count;
	struct ortc_ext_id ext[SFU_MAX_EXTS]; /* ids as this consumer receives them */
	uint8_t feedback; /* enum ortc_feedback bits of the first media codec */
	uint8_t bwe; /* enum ortc_bwe */
	uint8_t mid_len;
	uint8_t cname_len;
	char mid[SFU_MID_BYTES + 1]; /* decimal, NUL terminated */
	char cname[SFU_CNAME_BYTES + 1]; /* the producer's, NUL terminated */
};

/**
 * The router's capabilities for a list of codecs.
 * @param codec_list  names separated by commas, any case: opus VP8 VP9 H264 AV1. The order is the
 *                    order of preference. H264 stands for its four profiles. A name twice, an
 *                    unknown name or an empty list is ORTC_INVALID.
 * @param features    what the data plane can do
 * @param out         {codecs, headerExtensions}; the caller puts it
 */
enum ortc_status ortc_router_capabilities(const char *codec_list,
	const struct ortc_features *features, struct json_object **out, struct ortc_error *err);

/**
 * Check a client's rtpCapabilities (a member missing or of the default type is filled in where
 * they are used). ORTC_OK or ORTC_INVALID.
 */
enum ortc_status ortc_validate_capabilities(const struct json_object *caps, struct ortc_error *err);

/** Check a client's rtpParameters without the router's capabilities. ORTC_OK or ORTC_INVALID. */
enum ortc_status ortc_validate_parameters(const struct json_object *params, struct ortc_error *err);

/** What PRODUCE needs beside the client's rtpParameters. */
struct ortc_produce_args {
	enum sfu_media_kind kind;
	const struct json_object *router_caps; /* of ortc_router_capabilities() */
	uint32_t mapped_ssrc; /* encoding i is named mapped_ssrc + i; random, by the caller */
	const char
		*fixed_cname; /* of the transport's first producer; NULL when this is the first */
	const char *default_cname; /* for a first producer that names none; random, by the caller */
};

/**
 * Accept a producer (webrtc.md 6, steps 1, 4, 5 and 10).
 * @param params      rtpParameters as the client sent them; not modified
 * @param out         compiled maps, valid on ORTC_OK. out->cname is what later producers of the
 *                    same transport get as fixed_cname; more than 31 octets are cut.
 * @param consumable  what ortc_consume() starts from; the caller puts it
 * ORTC_INVALID, or ORTC_UNSUPPORTED when a codec is not one of the router's.
 */
enum ortc_status ortc_produce(const struct json_object *params,
	const struct ortc_produce_args *args, struct ortc_producer *out,
	struct json_object **consumable, struct ortc_error *err);

/**
 * Can a client with these rtpCapabilities consume it? (step 6)
 * ORTC_OK, ORTC_UNSUPPORTED, or ORTC_INVALID when peer_caps is malformed.
 */
enum ortc_status ortc_can_consume(const struct json_object *consumable,
	const struct json_object *peer_caps, struct ortc_error *err);

/** What CONSUME needs beside the two JSON documents. */
struct ortc_consume_args {
	bool enable_rtx; /* video consumers; without RTX in the router's capabilities it has no effect */
	uint32_t mid; /* counter of the recv transport, never reused while it is open; < 10^8 */
	uint32_t ssrc; /* never used before under the transport's keys; RTX takes ssrc + 1 */
};

/**
 * Parameters of a consumer (steps 7, 9 and 10).
 * @param params  rtpParameters of CONSUMER_ADDED; the caller puts it
 * @param out     compiled form, valid on ORTC_OK
 * Feedback is what the client names and the router announced. ORTC_UNSUPPORTED when no media codec
 * is left.
 */
enum ortc_status ortc_consume(const struct json_object *consumable,
	const struct json_object *peer_caps, const struct ortc_consume_args *args,
	struct ortc_consumer *out, struct json_object **params, struct ortc_error *err);

/**
 * Parameters of a pipe consumer, the relay between nodes (step 8): all encodings, encoding i with
 * ssrc + i and rtx_ssrc + i; no MID and no bandwidth estimation.
 * @param params  the caller puts it
 */
enum ortc_status ortc_consume_pipe(const struct json_object *consumable, bool enable_rtx,
	uint32_t ssrc, uint32_t rtx_ssrc, struct json_object **params, struct ortc_error *err);

/** The URI of an enum sfu_rtp_ext; NULL for SFU_EXT_NONE and unknown values. Static storage. */
const char *ortc_ext_uri(unsigned int ext);
