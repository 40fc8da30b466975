// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/ortc_read.h"

#include <json-c/json_object.h>
#include <json-c/linkhash.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define MAX_PARAMETERS 32u
#define MAX_PARAMETER_BYTES 512u
/* Where a text names a field: "rtpParameters.encodings[2].rtx.ssrc". */
#define PATH_BYTES 96u

const struct ortc_feedback_row ortc_feedback_rows[ORTC_FEEDBACK_ROWS] = {
	{ORTC_FB_NACK, "nack", ""},
	{ORTC_FB_PLI, "nack", "pli"},
	{ORTC_FB_FIR, "ccm", "fir"},
	{ORTC_FB_REMB, "goog-remb", ""},
	{ORTC_FB_TRANSPORT_CC, "transport-cc", ""},
};

const struct ortc_ext_row ortc_ext_rows[ORTC_EXT_ROWS] = {
	{SFU_EXT_MID, 1, "urn:ietf:params:rtp-hdrext:sdes:mid", "sendrecv", "sendrecv"},
	{SFU_EXT_RID, 2, "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id", NULL, "recvonly"},
	{SFU_EXT_REPAIRED_RID, 3, "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id", NULL,
		"recvonly"},
	{SFU_EXT_ABS_SEND_TIME, 4, "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
		"sendrecv", "sendrecv"},
	{SFU_EXT_TRANSPORT_CC, 5,
		"http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
		"recvonly", "sendrecv"},
	{SFU_EXT_DEPENDENCY_DESCRIPTOR, 8,
		"https://aomediacodec.github.io/av1-rtp-spec/"
		"#dependency-descriptor-rtp-header-extension",
		NULL, "sendrecv"},
	{SFU_EXT_AUDIO_LEVEL, 10, "urn:ietf:params:rtp-hdrext:ssrc-audio-level", "sendrecv", NULL},
	{SFU_EXT_VIDEO_ORIENTATION, 11, "urn:3gpp:video-orientation", NULL, "sendrecv"},
	{SFU_EXT_TOFFSET, 12, "urn:ietf:params:rtp-hdrext:toffset", NULL, "sendrecv"},
	{SFU_EXT_ABS_CAPTURE_TIME, 13,
		"http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time", "sendrecv",
		"sendrecv"},
	{SFU_EXT_PLAYOUT_DELAY, 14, "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
		"sendrecv", "sendrecv"},
};

const char *ortc_ext_uri(unsigned int ext)
{
	for (size_t i = 0; i < ORTC_EXT_ROWS; i++) {
		if (ortc_ext_rows[i].ext == ext)
			return ortc_ext_rows[i].uri;
	}
	return NULL;
}

static uint8_t ext_by_uri(const char *uri)
{
	for (size_t i = 0; i < ORTC_EXT_ROWS; i++) {
		if (strcmp(ortc_ext_rows[i].uri, uri) == 0)
			return ortc_ext_rows[i].ext;
	}
	return SFU_EXT_NONE;
}

enum ortc_status ortc_fail(struct ortc_error *err, enum ortc_status status, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(err->text, sizeof(err->text), format, args);
	va_end(args);
	return status;
}

/* The member, or NULL when it is missing or null. */
static const struct json_object *member(const struct json_object *object, const char *key)
{
	struct json_object *value;

	return json_object_object_get_ex(object, key, &value) ? value : NULL;
}

static bool is_type(const struct json_object *value, enum json_type type)
{
	return value != NULL && json_object_get_type(value) == type;
}

/* json-c takes no const here, though it only reads. */
static const char *text_of(const struct json_object *value)
{
	return json_object_get_string((struct json_object *)(uintptr_t)value);
}

/* A number without a fraction, 5.0 included, in 0..max. */
static bool get_uint(const struct json_object *value, uint64_t max, uint64_t *out)
{
	double d;

	if (is_type(value, json_type_int)) {
		int64_t i = json_object_get_int64(value);

		if (i < 0 || (uint64_t)i > max)
			return false;
		*out = (uint64_t)i;
		return true;
	}
	if (!is_type(value, json_type_double))
		return false;
	d = json_object_get_double(value);
	if (!(d >= 0 && d <= (double)max) || (double)(uint64_t)d < d)
		return false;
	*out = (uint64_t)d;
	return true;
}

/* What JavaScript takes for "not given": missing, null, false, 0, "". */
static bool is_falsy(const struct json_object *value)
{
	switch (value == NULL ? json_type_null : json_object_get_type(value)) {
	case json_type_null:
		return true;
	case json_type_boolean:
		return !json_object_get_boolean(value);
	case json_type_int:
		return json_object_get_int64(value) == 0;
	case json_type_double:
		return fpclassify(json_object_get_double(value)) == FP_ZERO;
	case json_type_string:
		return json_object_get_string_len(value) == 0;
	default:
		return false;
	}
}

/* An optional string: NULL when it is not given. */
static enum ortc_status get_text(const struct json_object *object, const char *path,
	const char *key, size_t max, const char **out, struct ortc_error *err)
{
	const struct json_object *value = member(object, key);

	*out = NULL;
	if (is_falsy(value))
		return ORTC_OK;
	if (!is_type(value, json_type_string))
		return ortc_fail(err, ORTC_INVALID, "%s.%s: must be a string", path, key);
	*out = text_of(value);
	if (strlen(*out) != (size_t)json_object_get_string_len(value))
		return ortc_fail(err, ORTC_INVALID, "%s.%s: must not contain NUL", path, key);
	if (strlen(*out) > max)
		return ortc_fail(
			err, ORTC_INVALID, "%s.%s: longer than %zu octets", path, key, max);
	return ORTC_OK;
}

/* An optional array of at most max objects: NULL when it is not given. */
static enum ortc_status get_list(const struct json_object *object, const char *path,
	const char *key, size_t max, const struct json_object **out, size_t *count,
	struct ortc_error *err)
{
	const struct json_object *value = member(object, key);

	*out = NULL;
	*count = 0;
	if (is_falsy(value))
		return ORTC_OK;
	if (!is_type(value, json_type_array))
		return ortc_fail(err, ORTC_INVALID, "%s.%s: must be an array", path, key);
	if (json_object_array_length(value) > max)
		return ortc_fail(err, ORTC_INVALID, "%s.%s: more than %zu entries", path, key, max);
	*out = value;
	*count = json_object_array_length(value);
	return ORTC_OK;
}

/* Entry i of a list, which must be an object; path becomes its name. */
static enum ortc_status get_entry(const struct json_object *list, size_t i, const char *parent,
	const char *key, char path[PATH_BYTES], const struct json_object **out,
	struct ortc_error *err)
{
	*out = json_object_array_get_idx(list, i);
	// One that is cut still says about where.
	if (snprintf(path, PATH_BYTES, "%s.%s[%zu]", parent, key, i) >= (int)PATH_BYTES)
		path[PATH_BYTES - 2] = '~';
	if (!is_type(*out, json_type_object))
		return ortc_fail(err, ORTC_INVALID, "%s: must be an object", path);
	return ORTC_OK;
}

static const struct {
	const char *mime;
	uint8_t codec;
} mime_table[] = {
	{"audio/opus", SFU_CODEC_OPUS},
	{"video/vp8", SFU_CODEC_VP8},
	{"video/vp9", SFU_CODEC_VP9},
	{"video/h264", SFU_CODEC_H264},
	{"video/av1", SFU_CODEC_AV1},
	{"video/rtx", SFU_CODEC_RTX},
	{"audio/rtx", SFU_CODEC_RTX},
};

static enum ortc_status read_mime(const struct json_object *object, const char *path,
	struct ortc_read_codec *codec, struct ortc_error *err)
{
	enum ortc_status status = get_text(object, path, "mimeType", 64, &codec->mime, err);

	if (status != ORTC_OK)
		return status;
	if (codec->mime == NULL)
		return ortc_fail(err, ORTC_INVALID, "%s.mimeType: missing", path);
	if (strncasecmp(codec->mime, "audio/", 6) == 0)
		codec->kind = SFU_AUDIO;
	else if (strncasecmp(codec->mime, "video/", 6) == 0)
		codec->kind = SFU_VIDEO;
	if (codec->kind == 0 || codec->mime[6] == '\0')
		return ortc_fail(
			err, ORTC_INVALID, "%s.mimeType: must be audio/... or video/...", path);
	codec->codec = SFU_CODEC_OTHER;
	for (size_t i = 0; i < sizeof(mime_table) / sizeof(mime_table[0]); i++) {
		if (strcasecmp(codec->mime, mime_table[i].mime) == 0)
			codec->codec = mime_table[i].codec;
	}
	return ORTC_OK;
}

static enum ortc_status read_parameter_map(const struct json_object *object, const char *path,
	struct ortc_read_codec *codec, struct ortc_error *err)
{
	const struct json_object *map = member(object, "parameters");
	uint64_t apt;

	codec->apt = 255;
	if (!is_type(map, json_type_object))
		return ORTC_OK;
	if (json_object_object_length(map) > (int)MAX_PARAMETERS)
		return ortc_fail(err, ORTC_INVALID, "%s.parameters: more than %u entries", path,
			MAX_PARAMETERS);
	json_object_object_foreach((struct json_object *)(uintptr_t)map, key, value)
	{
		if (!is_type(value, json_type_string) && !is_type(value, json_type_int)
			&& !is_type(value, json_type_double))
			return ortc_fail(err, ORTC_INVALID,
				"%s.parameters.%.40s: must be a string or a number", path, key);
		if (strlen(key) > MAX_PARAMETER_BYTES
			|| (is_type(value, json_type_string)
				&& json_object_get_string_len(value) > (int)MAX_PARAMETER_BYTES))
			return ortc_fail(err, ORTC_INVALID,
				"%s.parameters.%.40s: longer than %u octets", path, key,
				MAX_PARAMETER_BYTES);
		if (strcmp(key, "apt") == 0) {
			if (!get_uint(value, 127, &apt))
				return ortc_fail(err, ORTC_INVALID,
					"%s.parameters.apt: must be a number 0..127", path);
			codec->apt = (uint8_t)apt;
		}
	}
	codec->parameters = map;
	return ORTC_OK;
}

static enum ortc_status read_feedback(const struct json_object *object, const char *path,
	struct ortc_read_codec *codec, struct ortc_error *err)
{
	const struct json_object *list = member(object, "rtcpFeedback");

	if (!is_type(list, json_type_array))
		return ORTC_OK;
	if (json_object_array_length(list) > ORTC_MAX_FEEDBACK)
		return ortc_fail(err, ORTC_INVALID, "%s.rtcpFeedback: more than %u entries", path,
			ORTC_MAX_FEEDBACK);
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		const struct json_object *entry, *value;
		const char *type, *parameter = "";
		char entry_path[PATH_BYTES];
		enum ortc_status status
			= get_entry(list, i, path, "rtcpFeedback", entry_path, &entry, err);

		if (status != ORTC_OK)
			return status;
		status = get_text(entry, entry_path, "type", 64, &type, err);
		if (status != ORTC_OK)
			return status;
		if (type == NULL)
			return ortc_fail(err, ORTC_INVALID, "%s.type: missing", entry_path);
		value = member(entry, "parameter");
		if (is_type(value, json_type_string))
			parameter = text_of(value);
		for (size_t k = 0; k < ORTC_FEEDBACK_ROWS; k++) {
			if (strcmp(type, ortc_feedback_rows[k].type) == 0
				&& strcmp(parameter, ortc_feedback_rows[k].parameter) == 0)
				codec->feedback[codec->feedback_count++]
					= (uint8_t)ortc_feedback_rows[k].bit;
		}
	}
	return ORTC_OK;
}

/* Of capabilities, and with is_parameters of rtpParameters. */
static enum ortc_status read_codec(const struct json_object *object, const char *path,
	bool is_parameters, struct ortc_read_codec *codec, struct ortc_error *err)
{
	const char *pt_key = is_parameters ? "payloadType" : "preferredPayloadType";
	const struct json_object *pt = member(object, pt_key);
	const struct json_object *channels = member(object, "channels");
	enum ortc_status status;
	uint64_t number = 0;

	memset(codec, 0, sizeof(*codec));
	status = read_mime(object, path, codec, err);
	if (status != ORTC_OK)
		return status;
	if (pt == NULL && is_parameters)
		return ortc_fail(err, ORTC_INVALID, "%s.%s: missing", path, pt_key);
	if (pt != NULL && !get_uint(pt, 127, &number))
		return ortc_fail(err, ORTC_INVALID, "%s.%s: must be a number 0..127", path, pt_key);
	codec->payload_type = (uint8_t)number;
	if (!get_uint(member(object, "clockRate"), INT32_MAX, &number) || number == 0)
		return ortc_fail(err, ORTC_INVALID, "%s.clockRate: must be a number above 0", path);
	codec->clock_rate_hz = (uint32_t)number;
	if (codec->kind == SFU_AUDIO) {
		codec->channels = 1;
		if (is_type(channels, json_type_int) || is_type(channels, json_type_double)) {
			if (!get_uint(channels, 255, &number) || number == 0)
				return ortc_fail(err, ORTC_INVALID,
					"%s.channels: must be a number 1..255", path);
			codec->channels = (uint16_t)number;
		}
	}
	status = read_parameter_map(object, path, codec, err);
	if (status != ORTC_OK)
		return status;
	return read_feedback(object, path, codec, err);
}

static enum ortc_status read_codecs(const struct json_object *object, const char *path,
	bool is_parameters, struct ortc_read_codec *codecs, unsigned int *codec_count,
	struct ortc_error *err)
{
	const struct json_object *list, *entry;
	char entry_path[PATH_BYTES];
	enum ortc_status status;
	size_t count;

	status = get_list(object, path, "codecs", ORTC_MAX_CAP_CODECS, &list, &count, err);
	for (size_t i = 0; status == ORTC_OK && i < count; i++) {
		status = get_entry(list, i, path, "codecs", entry_path, &entry, err);
		if (status == ORTC_OK)
			status = read_codec(entry, entry_path, is_parameters, &codecs[i], err);
	}
	*codec_count = (unsigned int)count;
	return status;
}

/* What both shapes of a header extension share. */
static enum ortc_status read_ext(const struct json_object *object, const char *path,
	const char *id_key, const char *encrypt_key, struct ortc_read_ext *ext,
	struct ortc_error *err)
{
	const struct json_object *encrypt = member(object, encrypt_key);
	enum ortc_status status;
	uint64_t id;

	memset(ext, 0, sizeof(*ext));
	status = get_text(object, path, "uri", 256, &ext->uri, err);
	if (status != ORTC_OK)
		return status;
	if (ext->uri == NULL)
		return ortc_fail(err, ORTC_INVALID, "%s.uri: missing", path);
	if (!get_uint(member(object, id_key), 255, &id) || id == 0)
		return ortc_fail(err, ORTC_INVALID, "%s.%s: must be a number 1..255", path, id_key);
	if (!is_falsy(encrypt) && !is_type(encrypt, json_type_boolean))
		return ortc_fail(err, ORTC_INVALID, "%s.%s: must be a boolean", path, encrypt_key);
	ext->id = (uint8_t)id;
	ext->ext = ext_by_uri(ext->uri);
	ext->encrypt = !is_falsy(encrypt);
	return ORTC_OK;
}

static enum ortc_status read_capability_ext(const struct json_object *object, const char *path,
	struct ortc_read_ext *ext, struct ortc_error *err)
{
	const char *kind, *direction;
	enum ortc_status status;

	status = read_ext(object, path, "preferredId", "preferredEncrypt", ext, err);
	if (status == ORTC_OK)
		status = get_text(object, path, "kind", 16, &kind, err);
	if (status == ORTC_OK)
		status = get_text(object, path, "direction", 16, &direction, err);
	if (status != ORTC_OK)
		return status;
	if (kind != NULL && strcmp(kind, "audio") == 0)
		ext->kind = SFU_AUDIO;
	else if (kind != NULL && strcmp(kind, "video") == 0)
		ext->kind = SFU_VIDEO;
	else
		return ortc_fail(err, ORTC_INVALID, "%s.kind: must be audio or video", path);
	ext->to_consumers = direction == NULL || strcmp(direction, "sendrecv") == 0
			    || strcmp(direction, "sendonly") == 0;
	return ORTC_OK;
}

enum ortc_status ortc_read_capabilities(const struct json_object *caps, const char *path,
	struct ortc_read_capabilities *out, struct ortc_error *err)
{
	const struct json_object *list, *entry;
	char entry_path[PATH_BYTES];
	enum ortc_status status;
	size_t count;

	if (!is_type(caps, json_type_object))
		return ortc_fail(err, ORTC_INVALID, "%s: must be an object", path);
	status = read_codecs(caps, path, false, out->codec, &out->codec_count, err);
	if (status == ORTC_OK)
		status = get_list(
			caps, path, "headerExtensions", ORTC_MAX_CAP_EXTS, &list, &count, err);
	if (status != ORTC_OK)
		return status;
	for (size_t i = 0; status == ORTC_OK && i < count; i++) {
		status = get_entry(list, i, path, "headerExtensions", entry_path, &entry, err);
		if (status == ORTC_OK)
			status = read_capability_ext(entry, entry_path, &out->ext[i], err);
	}
	out->ext_count = (unsigned int)count;
	return status;
}

static enum ortc_status read_exts(const struct json_object *params, const char *path,
	struct ortc_read_parameters *out, struct ortc_error *err)
{
	const struct json_object *list, *entry;
	char entry_path[PATH_BYTES];
	enum ortc_status status;
	size_t count;

	status = get_list(params, path, "headerExtensions", ORTC_MAX_CAP_EXTS, &list, &count, err);
	for (size_t i = 0; status == ORTC_OK && i < count; i++) {
		status = get_entry(list, i, path, "headerExtensions", entry_path, &entry, err);
		if (status == ORTC_OK)
			status = read_ext(entry, entry_path, "id", "encrypt", &out->ext[i], err);
		for (size_t k = 0; status == ORTC_OK && k < i; k++) {
			if (out->ext[k].id == out->ext[i].id)
				status = ortc_fail(err, ORTC_INVALID, "%s.id: %u is used twice",
					entry_path, out->ext[i].id);
			else if (strcmp(out->ext[k].uri, out->ext[i].uri) == 0)
				status = ortc_fail(
					err, ORTC_INVALID, "%s.uri: is listed twice", entry_path);
		}
	}
	out->ext_count = (unsigned int)count;
	return status;
}

/* An optional SSRC: 0 when it is not given. */
static enum ortc_status get_ssrc(
	const struct json_object *object, const char *path, uint32_t *out, struct ortc_error *err)
{
	const struct json_object *value = member(object, "ssrc");
	uint64_t number = 0;

	if (!is_falsy(value) && !get_uint(value, UINT32_MAX, &number))
		return ortc_fail(
			err, ORTC_INVALID, "%s.ssrc: must be a number 1..4294967295", path);
	*out = (uint32_t)number;
	return ORTC_OK;
}

/* RFC 8852, 3: letters, digits, '-' and '_'. */
static bool rid_valid(const char *rid)
{
	return strspn(rid, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
	       == strlen(rid);
}

static enum ortc_status read_encoding(const struct json_object *object, const char *path,
	struct ortc_read_encoding *encoding, struct ortc_error *err)
{
	const struct json_object *rtx = member(object, "rtx");
	const struct json_object *dtx = member(object, "dtx");
	const struct json_object *bitrate = member(object, "maxBitrate");
	char rtx_path[PATH_BYTES];
	enum ortc_status status;
	uint64_t number = 0;

	memset(encoding, 0, sizeof(*encoding));
	status = get_ssrc(object, path, &encoding->ssrc, err);
	if (status == ORTC_OK)
		status = get_text(object, path, "rid", SFU_RID_BYTES, &encoding->rid, err);
	if (status == ORTC_OK)
		status = get_text(
			object, path, "scalabilityMode", 32, &encoding->scalability_mode, err);
	if (status != ORTC_OK)
		return status;
	if (encoding->rid != NULL && !rid_valid(encoding->rid))
		return ortc_fail(
			err, ORTC_INVALID, "%s.rid: letters, digits, '-' and '_' only", path);
	if (!is_falsy(rtx)) {
		snprintf(rtx_path, sizeof(rtx_path), "%.80s.rtx", path);
		if (!is_type(rtx, json_type_object))
			return ortc_fail(err, ORTC_INVALID, "%s: must be an object", rtx_path);
		status = get_ssrc(rtx, rtx_path, &encoding->rtx_ssrc, err);
		if (status != ORTC_OK)
			return status;
		if (encoding->rtx_ssrc == 0)
			return ortc_fail(err, ORTC_INVALID, "%s.ssrc: missing", rtx_path);
	}
	if (!is_falsy(bitrate)) {
		// Browsers give bits per second; more than 32 bits of it is as good as no limit.
		if (!is_type(bitrate, json_type_int) && !is_type(bitrate, json_type_double))
			return ortc_fail(
				err, ORTC_INVALID, "%s.maxBitrate: must be a number", path);
		if (get_uint(bitrate, UINT32_MAX, &number))
			encoding->max_bitrate_bps = (uint32_t)number;
	}
	encoding->dtx = is_type(dtx, json_type_boolean) && json_object_get_boolean(dtx);
	return ORTC_OK;
}

static bool ssrc_clash(const struct ortc_read_encoding *a, const struct ortc_read_encoding *b)
{
	return (a->ssrc != 0 && (a->ssrc == b->ssrc || a->ssrc == b->rtx_ssrc))
	       || (a->rtx_ssrc != 0 && (a->rtx_ssrc == b->ssrc || a->rtx_ssrc == b->rtx_ssrc));
}

static enum ortc_status read_encodings(const struct json_object *params, const char *path,
	struct ortc_read_parameters *out, struct ortc_error *err)
{
	const struct json_object *list, *entry;
	char entry_path[PATH_BYTES];
	enum ortc_status status;
	size_t count;

	status = get_list(params, path, "encodings", SFU_MAX_ENCODINGS, &list, &count, err);
	for (size_t i = 0; status == ORTC_OK && i < count; i++) {
		struct ortc_read_encoding *e = &out->encoding[i];

		status = get_entry(list, i, path, "encodings", entry_path, &entry, err);
		if (status == ORTC_OK)
			status = read_encoding(entry, entry_path, e, err);
		if (status == ORTC_OK && e->ssrc != 0 && e->ssrc == e->rtx_ssrc)
			status = ortc_fail(
				err, ORTC_INVALID, "%s.rtx.ssrc: is used twice", entry_path);
		for (size_t k = 0; status == ORTC_OK && k < i; k++) {
			const char *rid = out->encoding[k].rid;

			if (ssrc_clash(e, &out->encoding[k]))
				status = ortc_fail(
					err, ORTC_INVALID, "%s.ssrc: is used twice", entry_path);
			else if (e->rid != NULL && rid != NULL && strcmp(e->rid, rid) == 0)
				status = ortc_fail(
					err, ORTC_INVALID, "%s.rid: is used twice", entry_path);
		}
	}
	out->encoding_count = (unsigned int)count;
	return status;
}

static enum ortc_status read_rtcp(const struct json_object *params, const char *path,
	struct ortc_read_parameters *out, struct ortc_error *err)
{
	const struct json_object *rtcp = member(params, "rtcp");
	char rtcp_path[PATH_BYTES];
	enum ortc_status status;

	out->cname = NULL;
	out->reduced_size = true;
	if (is_falsy(rtcp))
		return ORTC_OK;
	snprintf(rtcp_path, sizeof(rtcp_path), "%.80s.rtcp", path);
	if (!is_type(rtcp, json_type_object))
		return ortc_fail(err, ORTC_INVALID, "%s: must be an object", rtcp_path);
	status = get_text(rtcp, rtcp_path, "cname", 255, &out->cname, err);
	if (is_type(member(rtcp, "reducedSize"), json_type_boolean))
		out->reduced_size = json_object_get_boolean(member(rtcp, "reducedSize"));
	return status;
}

enum ortc_status ortc_read_parameters(const struct json_object *params, const char *path,
	struct ortc_read_parameters *out, struct ortc_error *err)
{
	enum ortc_status status;

	if (!is_type(params, json_type_object))
		return ortc_fail(err, ORTC_INVALID, "%s: must be an object", path);
	if (!is_type(member(params, "codecs"), json_type_array))
		return ortc_fail(err, ORTC_INVALID, "%s.codecs: missing", path);
	status = get_text(params, path, "mid", SFU_MID_BYTES, &out->mid, err);
	if (status == ORTC_OK)
		status = read_codecs(params, path, true, out->codec, &out->codec_count, err);
	for (unsigned int i = 0; status == ORTC_OK && i < out->codec_count; i++) {
		for (unsigned int k = 0; k < i; k++) {
			if (out->codec[k].payload_type == out->codec[i].payload_type)
				status = ortc_fail(err, ORTC_INVALID,
					"%s.codecs[%u].payloadType: %u is used twice", path, i,
					out->codec[i].payload_type);
		}
	}
	if (status == ORTC_OK)
		status = read_exts(params, path, out, err);
	if (status == ORTC_OK)
		status = read_encodings(params, path, out, err);
	if (status == ORTC_OK)
		status = read_rtcp(params, path, out, err);
	return status;
}

enum ortc_status ortc_validate_capabilities(const struct json_object *caps, struct ortc_error *err)
{
	struct ortc_read_capabilities read;

	err->text[0] = '\0';
	return ortc_read_capabilities(caps, "rtpCapabilities", &read, err);
}

enum ortc_status ortc_validate_parameters(const struct json_object *params, struct ortc_error *err)
{
	struct ortc_read_parameters read;

	err->text[0] = '\0';
	return ortc_read_parameters(params, "rtpParameters", &read, err);
}

/* A codec parameter as a number, also when it is a string of digits; missing is 0. */
static uint64_t parameter_number(const struct ortc_read_codec *codec, const char *key)
{
	const struct json_object *value
		= codec->parameters == NULL ? NULL : member(codec->parameters, key);
	uint64_t number = 0;

	if (is_type(value, json_type_string)) {
		const char *text = text_of(value);

		if (*text == '\0' || strlen(text) > 9 || strspn(text, "0123456789") != strlen(text))
			return *text == '\0' ? 0 : UINT64_MAX;
		for (; *text != '\0'; text++)
			number = number * 10 + (uint64_t)(*text - '0');
		return number;
	}
	if (value == NULL)
		return 0;
	return get_uint(value, INT32_MAX, &number) ? number : UINT64_MAX;
}

static bool parse_h264(const struct ortc_read_codec *codec, struct h264_profile *out, bool *given)
{
	const struct json_object *value
		= codec->parameters == NULL ? NULL : member(codec->parameters, "profile-level-id");

	*given = value != NULL;
	if (value == NULL)
		return h264_profile_parse(H264_PROFILE_DEFAULT, strlen(H264_PROFILE_DEFAULT), out);
	// A profile of digits only may arrive as a number: its text is the profile.
	return h264_profile_parse(text_of(value), strlen(text_of(value)), out);
}

/* answer is "" when neither end names a profile. */
static bool match_h264(const struct ortc_read_codec *a, const struct ortc_read_codec *b,
	char answer[H264_PROFILE_TEXT_BYTES])
{
	struct h264_profile pa, pb;
	bool given_a, given_b, asymmetry;

	if (parameter_number(a, "packetization-mode") != parameter_number(b, "packetization-mode"))
		return false;
	if (!parse_h264(a, &pa, &given_a) || !parse_h264(b, &pb, &given_b))
		return false;
	asymmetry = parameter_number(a, "level-asymmetry-allowed") == 1
		    && parameter_number(b, "level-asymmetry-allowed") == 1;
	if (!h264_profile_answer(&pa, &pb, asymmetry, answer))
		return false;
	if (!given_a && !given_b)
		answer[0] = '\0';
	return true;
}

/* Strict match. answer may be NULL; it is written for H264 only. */
static bool match(const struct ortc_read_codec *a, const struct ortc_read_codec *b,
	char answer[H264_PROFILE_TEXT_BYTES])
{
	char unused[H264_PROFILE_TEXT_BYTES];

	if (a->codec != b->codec || a->kind != b->kind || a->clock_rate_hz != b->clock_rate_hz
		|| a->channels != b->channels)
		return false;
	switch (a->codec) {
	case SFU_CODEC_OTHER: /* never one of ours */
		return false;
	case SFU_CODEC_H264:
		return match_h264(a, b, answer != NULL ? answer : unused);
	case SFU_CODEC_VP9:
		return parameter_number(a, "profile-id") == parameter_number(b, "profile-id");
	case SFU_CODEC_AV1:
		return parameter_number(a, "profile") == parameter_number(b, "profile");
	default:
		return true;
	}
}

const struct ortc_read_codec *ortc_find_match(const struct ortc_read_capabilities *caps,
	const struct ortc_read_codec *codec, char answer[H264_PROFILE_TEXT_BYTES])
{
	for (unsigned int i = 0; i < caps->codec_count; i++) {
		if (match(codec, &caps->codec[i], answer))
			return &caps->codec[i];
	}
	return NULL;
}

const struct ortc_read_codec *ortc_find_rtx(
	const struct ortc_read_capabilities *caps, uint8_t payload_type)
{
	for (unsigned int i = 0; i < caps->codec_count; i++) {
		if (caps->codec[i].codec == SFU_CODEC_RTX && caps->codec[i].apt == payload_type)
			return &caps->codec[i];
	}
	return NULL;
}

/* L3T2_KEY, S2T1: one or two digits each, none of them leading zero. 1 and 1 when it is none. */
void ortc_parse_scalability_mode(const char *mode, uint8_t *spatial, uint8_t *temporal)
{
	unsigned int l = 0, t = 0;
	int used = 0;

	*spatial = *temporal = 1;
	if (mode == NULL || (mode[0] != 'L' && mode[0] != 'S'))
		return;
	if (sscanf(mode + 1, "%2uT%2u%n", &l, &t, &used) != 2 || used == 0 || l == 0 || t == 0)
		return;
	*spatial = (uint8_t)l;
	*temporal = (uint8_t)t;
}
