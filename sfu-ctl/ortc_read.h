// SPDX-License-Identifier: BSD-3-Clause
/**
 * Inside ORTC: a client's JSON as fixed-size structs, and whether two codecs match. Only ortc.c
 * includes this. What is read are views: the JSON must outlive them.
 */
#pragma once

#include "sfu-ctl/ortc.h"
#include "sfu-ctl/proto/h264_profile.h"

/* Bounds on what a client may list; browsers stay below half of each. */
#define ORTC_MAX_CAP_CODECS 96u
#define ORTC_MAX_CAP_EXTS 64u
#define ORTC_MAX_FEEDBACK 16u

/** RTCP feedback on the wire of signalling. */
struct ortc_feedback_row {
	enum ortc_feedback bit;
	const char *type;
	const char *parameter;
};

#define ORTC_FEEDBACK_ROWS 5u
extern const struct ortc_feedback_row ortc_feedback_rows[ORTC_FEEDBACK_ROWS];

/** A header extension as we announce it: mediasoup's ids, directions the router's. */
struct ortc_ext_row {
	uint8_t ext; /* enum sfu_rtp_ext */
	uint8_t id;
	const char *uri;
	const char *audio; /* direction, NULL: not for this kind */
	const char *video;
};

#define ORTC_EXT_ROWS 11u
extern const struct ortc_ext_row ortc_ext_rows[ORTC_EXT_ROWS];

struct ortc_read_codec {
	const char *mime;
	const struct json_object *parameters; /* NULL = {} */
	uint32_t clock_rate_hz;
	uint16_t channels; /* 0 for video */
	uint8_t kind; /* enum sfu_media_kind */
	uint8_t codec; /* enum sfu_codec */
	uint8_t payload_type;
	uint8_t apt; /* of RTX; 255 = none */
	uint8_t feedback_count;
	uint8_t feedback
		[ORTC_MAX_FEEDBACK]; /* enum ortc_feedback, in the order given; others left out */
};

struct ortc_read_ext {
	const char *uri;
	uint8_t ext; /* enum sfu_rtp_ext */
	uint8_t id;
	uint8_t kind; /* enum sfu_media_kind; of capabilities only */
	bool encrypt;
	bool to_consumers; /* direction sendrecv or sendonly */
};

struct ortc_read_capabilities {
	unsigned int codec_count;
	unsigned int ext_count;
	struct ortc_read_codec codec[ORTC_MAX_CAP_CODECS];
	struct ortc_read_ext ext[ORTC_MAX_CAP_EXTS];
};

struct ortc_read_encoding {
	const char *rid; /* NULL = none */
	const char *scalability_mode; /* NULL = none */
	uint32_t ssrc;
	uint32_t rtx_ssrc;
	uint32_t max_bitrate_bps;
	bool dtx;
};

struct ortc_read_parameters {
	const char *mid; /* NULL = none */
	const char *cname; /* NULL = none */
	bool reduced_size;
	unsigned int codec_count;
	unsigned int ext_count;
	unsigned int encoding_count;
	struct ortc_read_codec codec[ORTC_MAX_CAP_CODECS];
	struct ortc_read_ext ext[ORTC_MAX_CAP_EXTS];
	struct ortc_read_encoding encoding[SFU_MAX_ENCODINGS];
};

/** Set the text of an error. @return status */
enum ortc_status ortc_fail(struct ortc_error *err, enum ortc_status status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/**
 * Read rtpCapabilities.
 * @param path  how errors name the document
 */
enum ortc_status ortc_read_capabilities(const struct json_object *caps, const char *path,
	struct ortc_read_capabilities *out, struct ortc_error *err);

/** Read rtpParameters. As above. */
enum ortc_status ortc_read_parameters(const struct json_object *params, const char *path,
	struct ortc_read_parameters *out, struct ortc_error *err);

/**
 * The first of the capabilities that strictly matches a codec (webrtc.md 6, step 3), or NULL.
 * @param answer  NULL, or receives the profile-level-id of an H264 answer with codec as the local
 *                side; "" when neither end names a profile
 */
const struct ortc_read_codec *ortc_find_match(const struct ortc_read_capabilities *caps,
	const struct ortc_read_codec *codec, char answer[H264_PROFILE_TEXT_BYTES]);

/** The RTX codec that repairs a payload type, or NULL. */
const struct ortc_read_codec *ortc_find_rtx(
	const struct ortc_read_capabilities *caps, uint8_t payload_type);

/** L3T2_KEY, S2T1: layers, one or two digits each. 1 and 1 when mode is NULL or no such text. */
void ortc_parse_scalability_mode(const char *mode, uint8_t *spatial, uint8_t *temporal);
