// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/ortc.h"

#include "sfu-ctl/ortc_read.h"

#include <json-c/json_object.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Media codecs of one producer: each may bring its RTX twin into the consumer's list. */
#define MAX_MEDIA_CODECS (SFU_MAX_CODECS / 2)
#define MAX_CONSUMABLE_CODECS SFU_MAX_CODECS

/* --- tables: what we announce ------------------------------------------------------------- */

#define AUDIO_FEEDBACK (ORTC_FB_NACK | ORTC_FB_TRANSPORT_CC)
#define VIDEO_FEEDBACK                                                                             \
	(ORTC_FB_NACK | ORTC_FB_PLI | ORTC_FB_FIR | ORTC_FB_REMB | ORTC_FB_TRANSPORT_CC)

struct parameter_row {
	const char *key; /* NULL ends the list */
	const char *text; /* NULL: it is the number */
	int number;
};

/* Payload types are fixed, whatever the order of the list (design.md 12). */
static const struct codec_row {
	const char *name; /* in the configured list */
	const char *mime;
	uint32_t clock_rate_hz;
	uint8_t codec;
	uint8_t payload_type; /* RTX is the next one */
	struct parameter_row parameters[4];
} codec_table[] = {
	{"opus", "audio/opus", 48000, SFU_CODEC_OPUS, 100, {{NULL, NULL, 0}}},
	{"VP8", "video/VP8", 90000, SFU_CODEC_VP8, 101,
		{{"x-google-start-bitrate", NULL, 1000}, {NULL, NULL, 0}}},
	{"VP9", "video/VP9", 90000, SFU_CODEC_VP9, 103, {{"profile-id", NULL, 0}, {NULL, NULL, 0}}},
	{"H264", "video/H264", 90000, SFU_CODEC_H264, 105,
		{{"packetization-mode", NULL, 1}, {"profile-level-id", "42e01f", 0},
			{"level-asymmetry-allowed", NULL, 1}, {NULL, NULL, 0}}},
	{"H264", "video/H264", 90000, SFU_CODEC_H264, 107,
		{{"packetization-mode", NULL, 1}, {"profile-level-id", "42001f", 0},
			{"level-asymmetry-allowed", NULL, 1}, {NULL, NULL, 0}}},
	{"H264", "video/H264", 90000, SFU_CODEC_H264, 109,
		{{"packetization-mode", NULL, 1}, {"profile-level-id", "4d001f", 0},
			{"level-asymmetry-allowed", NULL, 1}, {NULL, NULL, 0}}},
	{"H264", "video/H264", 90000, SFU_CODEC_H264, 111,
		{{"packetization-mode", NULL, 1}, {"profile-level-id", "64001f", 0},
			{"level-asymmetry-allowed", NULL, 1}, {NULL, NULL, 0}}},
	{"AV1", "video/AV1", 90000, SFU_CODEC_AV1, 113, {{"profile", NULL, 0}, {NULL, NULL, 0}}},
};

#define CODEC_ROWS (sizeof(codec_table) / sizeof(codec_table[0]))
#define OPUS_CHANNELS 2
#define MIME_RTX "video/rtx"

static bool ext_enabled(uint8_t ext, const struct ortc_features *f)
{
	switch (ext) {
	case SFU_EXT_REPAIRED_RID:
		return f->rtx;
	case SFU_EXT_TRANSPORT_CC:
		return f->transport_cc;
	case SFU_EXT_DEPENDENCY_DESCRIPTOR:
		return f->dependency_descriptor;
	case SFU_EXT_ABS_CAPTURE_TIME:
		return f->abs_capture_time;
	case SFU_EXT_PLAYOUT_DELAY:
		return f->playout_delay;
	default:
		return true;
	}
}

static unsigned int enabled_feedback(const struct ortc_features *f)
{
	unsigned int bits = ORTC_FB_PLI | ORTC_FB_FIR;

	if (f->nack)
		bits |= ORTC_FB_NACK;
	if (f->remb)
		bits |= ORTC_FB_REMB;
	if (f->transport_cc)
		bits |= ORTC_FB_TRANSPORT_CC;
	return bits;
}

/* --- writing ---------------------------------------------------------------------------------- */

static enum ortc_status no_memory(struct ortc_error *err)
{
	return ortc_fail(err, ORTC_NO_MEMORY, "out of memory");
}

/* Add a new value, which is the object's then; on any failure it is put and false returned. */
static bool add(struct json_object *object, const char *key, struct json_object *value)
{
	if (object != NULL && value != NULL && json_object_object_add(object, key, value) == 0)
		return true;
	json_object_put(value);
	return false;
}

static bool append(struct json_object *array, struct json_object *value)
{
	if (array != NULL && value != NULL && json_object_array_add(array, value) == 0)
		return true;
	json_object_put(value);
	return false;
}

static bool add_text(struct json_object *object, const char *key, const char *text)
{
	return add(object, key, json_object_new_string(text));
}

static bool add_number(struct json_object *object, const char *key, int64_t number)
{
	return add(object, key, json_object_new_int64(number));
}

static bool add_feedback(struct json_object *codec, const uint8_t *bits, size_t count)
{
	struct json_object *list = json_object_new_array();
	bool ok = list != NULL;

	for (size_t i = 0; ok && i < count; i++) {
		for (size_t k = 0; k < ORTC_FEEDBACK_ROWS; k++) {
			struct json_object *entry;

			if (ortc_feedback_rows[k].bit != bits[i])
				continue;
			entry = json_object_new_object();
			ok = ok && add_text(entry, "type", ortc_feedback_rows[k].type)
			     && add_text(entry, "parameter", ortc_feedback_rows[k].parameter);
			if (ok)
				ok = append(list, entry);
			else
				json_object_put(entry);
		}
	}
	return add(codec, "rtcpFeedback", list) && ok;
}

/* One codec of rtpParameters; takes parameters over, in any case. */
static bool append_codec(struct json_object *list, const struct ortc_read_codec *codec,
	const uint8_t *feedback, size_t feedback_count, struct json_object *parameters)
{
	struct json_object *entry = json_object_new_object();
	bool ok = add_text(entry, "mimeType", codec->mime)
		  && add_number(entry, "payloadType", codec->payload_type)
		  && add_number(entry, "clockRate", codec->clock_rate_hz);

	if (ok && codec->channels != 0)
		ok = add_number(entry, "channels", codec->channels);
	ok = add(entry, "parameters", parameters) && ok;
	ok = ok && add_feedback(entry, feedback, feedback_count);
	return append(list, entry) && ok;
}

static bool append_ext(struct json_object *list, const char *uri, uint8_t id)
{
	struct json_object *entry = json_object_new_object();
	bool ok = add_text(entry, "uri", uri) && add_number(entry, "id", id)
		  && add(entry, "encrypt", json_object_new_boolean(0))
		  && add(entry, "parameters", json_object_new_object());

	return append(list, entry) && ok;
}

static bool add_rtcp(struct json_object *params, const char *cname)
{
	struct json_object *rtcp = json_object_new_object();
	bool ok = add_text(rtcp, "cname", cname)
		  && add(rtcp, "reducedSize", json_object_new_boolean(1));

	return add(params, "rtcp", rtcp) && ok;
}

/* A copy of a map of strings and numbers. */
static struct json_object *copy_map(const struct json_object *map)
{
	struct json_object *copy = NULL;

	if (map == NULL)
		return json_object_new_object();
	if (json_object_deep_copy((struct json_object *)(uintptr_t)map, &copy, NULL) != 0)
		return NULL;
	return copy;
}

/* The four members every rtpParameters has. */
struct output {
	struct json_object *params;
	struct json_object *codecs; /* the three belong to params */
	struct json_object *exts;
	struct json_object *encodings;
};

static bool output_init(struct output *out)
{
	out->params = json_object_new_object();
	out->codecs = json_object_new_array();
	out->exts = json_object_new_array();
	out->encodings = json_object_new_array();
	// All three calls, so that each array has an owner or is gone.
	return (int)add(out->params, "codecs", out->codecs)
		       + (int)add(out->params, "headerExtensions", out->exts)
		       + (int)add(out->params, "encodings", out->encodings)
	       == 3;
}

/* --- router capabilities (step 2) ---------------------------------------------------------- */

static bool append_capability(
	struct json_object *list, const struct codec_row *row, unsigned int feedback)
{
	struct json_object *entry = json_object_new_object();
	struct json_object *parameters = json_object_new_object();
	bool audio = strncmp(row->mime, "audio/", 6) == 0;
	uint8_t bits[ORTC_FEEDBACK_ROWS];
	size_t count = 0;
	bool ok;

	feedback &= audio ? AUDIO_FEEDBACK : VIDEO_FEEDBACK;
	for (size_t i = 0; i < ORTC_FEEDBACK_ROWS; i++) {
		if (feedback & ortc_feedback_rows[i].bit)
			bits[count++] = (uint8_t)ortc_feedback_rows[i].bit;
	}
	ok = add_text(entry, "kind", audio ? "audio" : "video")
	     && add_text(entry, "mimeType", row->mime)
	     && add_number(entry, "preferredPayloadType", row->payload_type)
	     && add_number(entry, "clockRate", row->clock_rate_hz);
	if (ok && audio)
		ok = add_number(entry, "channels", OPUS_CHANNELS);
	for (const struct parameter_row *p = row->parameters; ok && p->key != NULL; p++)
		ok = p->text != NULL ? add_text(parameters, p->key, p->text)
				     : add_number(parameters, p->key, p->number);
	ok = add(entry, "parameters", parameters) && ok;
	ok = ok && add_feedback(entry, bits, count);
	return append(list, entry) && ok;
}

static bool append_rtx_capability(struct json_object *list, const struct codec_row *row)
{
	struct json_object *entry = json_object_new_object();
	struct json_object *parameters = json_object_new_object();
	bool ok = add_number(parameters, "apt", row->payload_type);

	ok = ok && add_text(entry, "kind", "video") && add_text(entry, "mimeType", MIME_RTX)
	     && add_number(entry, "preferredPayloadType", row->payload_type + 1)
	     && add_number(entry, "clockRate", row->clock_rate_hz);
	ok = add(entry, "parameters", parameters) && ok;
	ok = ok && add_feedback(entry, NULL, 0);
	return append(list, entry) && ok;
}

static bool append_capability_ext(struct json_object *list, const struct ortc_ext_row *row,
	const char *kind, const char *direction)
{
	struct json_object *entry = json_object_new_object();
	bool ok = add_text(entry, "kind", kind) && add_text(entry, "uri", row->uri)
		  && add_number(entry, "preferredId", row->id)
		  && add(entry, "preferredEncrypt", json_object_new_boolean(0))
		  && add_text(entry, "direction", direction);

	return append(list, entry) && ok;
}

static bool append_capability_exts(struct json_object *list, const struct ortc_features *features)
{
	bool ok = true;

	for (size_t i = 0; ok && i < ORTC_EXT_ROWS; i++) {
		const struct ortc_ext_row *row = &ortc_ext_rows[i];

		if (!ext_enabled(row->ext, features))
			continue;
		if (row->audio != NULL)
			ok = append_capability_ext(list, row, "audio", row->audio);
		if (ok && row->video != NULL)
			ok = append_capability_ext(list, row, "video", row->video);
	}
	return ok;
}

/* Appends the codecs that a name of len octets stands for. */
static enum ortc_status append_named_codec(struct json_object *list, const char *name, size_t len,
	uint32_t *seen, const struct ortc_features *features, struct ortc_error *err)
{
	bool found = false;

	for (size_t i = 0; i < CODEC_ROWS; i++) {
		const struct codec_row *row = &codec_table[i];

		if (strlen(row->name) != len || strncasecmp(row->name, name, len) != 0)
			continue;
		if (*seen & 1u << i)
			return ortc_fail(
				err, ORTC_INVALID, "codecs: %s is listed twice", row->name);
		*seen |= 1u << i;
		found = true;
		if (!append_capability(list, row, enabled_feedback(features)))
			return no_memory(err);
		if (features->rtx && strncmp(row->mime, "video/", 6) == 0
			&& !append_rtx_capability(list, row))
			return no_memory(err);
	}
	if (!found)
		return ortc_fail(err, ORTC_INVALID,
			"codecs: \"%.*s\" is none of opus, VP8, VP9, H264, AV1",
			len > 32 ? 32 : (int)len, name);
	return ORTC_OK;
}

enum ortc_status ortc_router_capabilities(const char *codec_list,
	const struct ortc_features *features, struct json_object **out, struct ortc_error *err)
{
	struct json_object *caps = json_object_new_object();
	struct json_object *codecs = json_object_new_array();
	struct json_object *exts = json_object_new_array();
	enum ortc_status status = ORTC_OK;
	const char *at = codec_list;
	uint32_t seen = 0;
	bool ok;

	err->text[0] = '\0';
	*out = NULL;
	ok = add(caps, "codecs", codecs);
	ok = add(caps, "headerExtensions", exts) && ok;
	if (!ok) {
		json_object_put(caps);
		return no_memory(err);
	}
	do {
		const char *name = at + strspn(at, " \t");
		size_t len = strcspn(name, ", \t");

		at = name + len + strspn(name + len, " \t");
		status = append_named_codec(codecs, name, len, &seen, features, err);
		if (status == ORTC_OK && *at != ',' && *at != '\0')
			status = ortc_fail(err, ORTC_INVALID,
				"codecs: a comma is missing before \"%.16s\"", at);
	} while (status == ORTC_OK && *at++ == ',');
	if (status == ORTC_OK && !append_capability_exts(exts, features))
		status = no_memory(err);
	if (status != ORTC_OK) {
		json_object_put(caps);
		return status;
	}
	*out = caps;
	return ORTC_OK;
}

/* --- PRODUCE (steps 4, 5, 10) -------------------------------------------------------------- */

/* What the mapping says about each of the client's codecs. */
struct codec_mapping {
	const struct ortc_read_codec
		*router[ORTC_MAX_CAP_CODECS]; /* by index of the client's codec */
	char h264_answer[ORTC_MAX_CAP_CODECS][H264_PROFILE_TEXT_BYTES];
};

static enum ortc_status map_media_codecs(const struct ortc_read_parameters *params,
	const struct ortc_read_capabilities *caps, enum sfu_media_kind kind,
	struct codec_mapping *mapping, struct ortc_error *err)
{
	unsigned int media = 0;

	for (unsigned int i = 0; i < params->codec_count; i++) {
		const struct ortc_read_codec *codec = &params->codec[i];

		if (codec->kind != kind)
			return ortc_fail(err, ORTC_INVALID,
				"rtpParameters.codecs[%u].mimeType: is not %s", i,
				kind == SFU_AUDIO ? "audio" : "video");
		if (codec->codec == SFU_CODEC_RTX)
			continue;
		mapping->router[i] = ortc_find_match(caps, codec, mapping->h264_answer[i]);
		if (mapping->router[i] == NULL)
			return ortc_fail(err, ORTC_UNSUPPORTED,
				"rtpParameters.codecs[%u]: unsupported codec %.64s, payload type "
				"%u",
				i, codec->mime, codec->payload_type);
		if (++media > MAX_MEDIA_CODECS)
			return ortc_fail(err, ORTC_INVALID,
				"rtpParameters.codecs: more than %u media codecs",
				MAX_MEDIA_CODECS);
	}
	if (media == 0)
		return ortc_fail(err, ORTC_INVALID, "rtpParameters.codecs: no media codec");
	return ORTC_OK;
}

static enum ortc_status map_rtx_codecs(const struct ortc_read_parameters *params,
	const struct ortc_read_capabilities *caps, struct codec_mapping *mapping,
	struct ortc_error *err)
{
	for (unsigned int i = 0; i < params->codec_count; i++) {
		const struct ortc_read_codec *codec = &params->codec[i];
		const struct ortc_read_codec *media = NULL;

		if (codec->codec != SFU_CODEC_RTX)
			continue;
		for (unsigned int k = 0; k < params->codec_count; k++) {
			if (params->codec[k].codec != SFU_CODEC_RTX
				&& params->codec[k].payload_type == codec->apt)
				media = mapping->router[k];
		}
		if (media == NULL)
			return ortc_fail(err, ORTC_INVALID,
				"rtpParameters.codecs[%u].parameters.apt: no such media codec", i);
		mapping->router[i] = ortc_find_rtx(caps, media->payload_type);
		if (mapping->router[i] == NULL)
			return ortc_fail(err, ORTC_UNSUPPORTED,
				"rtpParameters.codecs[%u]: no RTX for payload type %u", i,
				codec->apt);
		for (unsigned int k = 0; k < i; k++) {
			if (params->codec[k].codec == SFU_CODEC_RTX
				&& params->codec[k].apt == codec->apt)
				return ortc_fail(err, ORTC_INVALID,
					"rtpParameters.codecs[%u].parameters.apt: %u has RTX "
					"already",
					i, codec->apt);
		}
	}
	return ORTC_OK;
}

static void compile_codecs(const struct ortc_read_parameters *params,
	const struct codec_mapping *mapping, bool rtx, struct ortc_producer *out)
{
	for (unsigned int i = 0; i < params->codec_count; i++) {
		const struct ortc_read_codec *codec = &params->codec[i];

		if ((codec->codec == SFU_CODEC_RTX) != rtx)
			continue;
		out->codec[out->codec_count++] = (struct ortc_codec_map){
			.payload_type = codec->payload_type,
			.mapped_payload_type = mapping->router[i]->payload_type,
			.codec = codec->codec,
			.apt = rtx ? codec->apt : 0,
			.clock_rate_hz = codec->clock_rate_hz,
		};
	}
}

/* Copies as much of text as fits, whole UTF-8 characters only. @return octets copied */
static uint8_t copy_text(char *to, size_t size, const char *text)
{
	size_t len = strlen(text);

	if (len >= size) {
		len = size - 1;
		while (len > 0 && ((uint8_t)text[len] & 0xc0) == 0x80)
			len--;
	}
	memcpy(to, text, len);
	to[len] = '\0';
	return (uint8_t)len;
}

static enum ortc_status compile_encodings(struct ortc_read_parameters *params, uint32_t mapped_ssrc,
	struct ortc_producer *out, struct ortc_error *err)
{
	if (params->encoding_count == 0) {
		memset(&params->encoding[0], 0, sizeof(params->encoding[0]));
		params->encoding_count = 1;
	}
	for (unsigned int i = 0; i < params->encoding_count; i++) {
		const struct ortc_read_encoding *in = &params->encoding[i];
		struct ortc_encoding *e = &out->encoding[i];

		// Nothing would ever say which packets these are.
		if (in->ssrc == 0 && in->rid == NULL
			&& (params->mid == NULL || params->encoding_count > 1))
			return ortc_fail(err, ORTC_INVALID,
				"rtpParameters.encodings[%u]: neither ssrc nor rid", i);
		e->ssrc = in->ssrc;
		e->rtx_ssrc = in->rtx_ssrc;
		e->mapped_ssrc = mapped_ssrc + i;
		e->max_bitrate_bps = in->max_bitrate_bps;
		e->dtx = in->dtx;
		if (in->rid != NULL)
			e->rid_len = copy_text(e->rid, sizeof(e->rid), in->rid);
		ortc_parse_scalability_mode(
			in->scalability_mode, &e->spatial_layers, &e->temporal_layers);
	}
	out->encoding_count = (uint8_t)params->encoding_count;
	return ORTC_OK;
}

static void compile_exts(const struct ortc_read_parameters *params, struct ortc_producer *out)
{
	for (unsigned int i = 0; i < params->ext_count; i++) {
		const struct ortc_read_ext *ext = &params->ext[i];

		// One that is to be encrypted (RFC 6904) is left out, as if its URI were unknown: a
		// known limit (ARCHITECTURE.md), and no browser asks for it.
		if (ext->ext == SFU_EXT_NONE || ext->encrypt || out->ext_count == SFU_MAX_EXTS)
			continue;
		out->ext[out->ext_count++] = (struct ortc_ext_id){.ext = ext->ext, .id = ext->id};
	}
}

/* Parameters of a consumable's media codec: the producer's own, with the H264 answer. */
static struct json_object *consumable_parameters(
	const struct ortc_read_codec *codec, const char *h264_answer)
{
	struct json_object *map = copy_map(codec->parameters);

	if (map == NULL || codec->codec != SFU_CODEC_H264)
		return map;
	if (h264_answer[0] == '\0') {
		json_object_object_del(map, "profile-level-id");
	} else if (!add_text(map, "profile-level-id", h264_answer)) {
		json_object_put(map);
		return NULL;
	}
	return map;
}

static bool write_consumable_codecs(const struct ortc_read_parameters *params,
	const struct ortc_read_capabilities *caps, const struct codec_mapping *mapping,
	struct json_object *list)
{
	bool ok = true;

	for (unsigned int i = 0; ok && i < params->codec_count; i++) {
		const struct ortc_read_codec *router = mapping->router[i];
		const struct ortc_read_codec *rtx;
		bool listed = false;

		if (params->codec[i].codec == SFU_CODEC_RTX)
			continue;
		for (unsigned int k = 0; k < i; k++)
			listed = listed || mapping->router[k] == router;
		if (listed)
			continue;
		ok = append_codec(list, router, router->feedback, router->feedback_count,
			consumable_parameters(&params->codec[i], mapping->h264_answer[i]));
		rtx = ortc_find_rtx(caps, router->payload_type);
		if (ok && rtx != NULL)
			ok = append_codec(list, rtx, rtx->feedback, rtx->feedback_count,
				copy_map(rtx->parameters));
	}
	return ok;
}

static bool write_consumable_encoding(
	struct json_object *list, const struct ortc_read_encoding *e, uint32_t ssrc)
{
	struct json_object *entry = json_object_new_object();
	bool ok = add_number(entry, "ssrc", ssrc)
		  && add(entry, "dtx", json_object_new_boolean(e->dtx));

	if (ok && e->scalability_mode != NULL)
		ok = add_text(entry, "scalabilityMode", e->scalability_mode);
	if (ok && e->max_bitrate_bps != 0)
		ok = add_number(entry, "maxBitrate", e->max_bitrate_bps);
	return append(list, entry) && ok;
}

static struct json_object *write_consumable(const struct ortc_read_parameters *params,
	const struct ortc_read_capabilities *caps, const struct codec_mapping *mapping,
	const struct ortc_producer *producer)
{
	struct output out;
	bool ok = output_init(&out);

	ok = ok && write_consumable_codecs(params, caps, mapping, out.codecs);
	for (unsigned int i = 0; ok && i < caps->ext_count; i++) {
		const struct ortc_read_ext *ext = &caps->ext[i];

		if (ext->kind == producer->kind && ext->to_consumers)
			ok = append_ext(out.exts, ext->uri, ext->id);
	}
	for (unsigned int i = 0; ok && i < params->encoding_count; i++)
		ok = write_consumable_encoding(
			out.encodings, &params->encoding[i], producer->encoding[i].mapped_ssrc);
	ok = ok && add_rtcp(out.params, producer->cname);
	if (ok)
		return out.params;
	json_object_put(out.params);
	return NULL;
}

static unsigned int feedback_bits(const struct ortc_read_codec *codec)
{
	unsigned int bits = 0;

	for (unsigned int i = 0; i < codec->feedback_count; i++)
		bits |= codec->feedback[i];
	return bits;
}

/* What the first media codec has on both sides. There is one: map_media_codecs() saw to it. */
static uint8_t common_feedback(
	const struct ortc_read_parameters *params, const struct codec_mapping *mapping)
{
	unsigned int i = 0;

	while (params->codec[i].codec == SFU_CODEC_RTX)
		i++;
	return (uint8_t)(feedback_bits(&params->codec[i]) & feedback_bits(mapping->router[i]));
}

enum ortc_status ortc_produce(const struct json_object *params,
	const struct ortc_produce_args *args, struct ortc_producer *out,
	struct json_object **consumable, struct ortc_error *err)
{
	struct codec_mapping mapping = {0};
	struct ortc_read_capabilities caps;
	struct ortc_read_parameters read;
	enum ortc_status status;
	const char *cname;

	err->text[0] = '\0';
	*consumable = NULL;
	memset(out, 0, sizeof(*out));
	out->kind = (uint8_t)args->kind;
	status = ortc_read_capabilities(args->router_caps, "routerRtpCapabilities", &caps, err);
	if (status == ORTC_OK)
		status = ortc_read_parameters(params, "rtpParameters", &read, err);
	if (status == ORTC_OK)
		status = map_media_codecs(&read, &caps, args->kind, &mapping, err);
	if (status == ORTC_OK)
		status = map_rtx_codecs(&read, &caps, &mapping, err);
	if (status != ORTC_OK)
		return status;

	// At most MAX_MEDIA_CODECS and as many RTX: they fit.
	compile_codecs(&read, &mapping, false, out);
	compile_codecs(&read, &mapping, true, out);
	status = compile_encodings(&read, args->mapped_ssrc, out, err);
	if (status != ORTC_OK)
		return status;
	compile_exts(&read, out);
	out->reduced_size = read.reduced_size;
	out->feedback = common_feedback(&read, &mapping);
	if (read.mid != NULL)
		out->mid_len = copy_text(out->mid, sizeof(out->mid), read.mid);
	cname = args->fixed_cname;
	if (cname == NULL)
		cname = read.cname != NULL ? read.cname : args->default_cname;
	out->cname_len = copy_text(out->cname, sizeof(out->cname), cname != NULL ? cname : "");

	*consumable = write_consumable(&read, &caps, &mapping, out);
	return *consumable != NULL ? ORTC_OK : no_memory(err);
}

/* --- CONSUME (steps 6 to 10) --------------------------------------------------------------- */

/* The consumable is our own writing, but may come back from a journal or from another node. */
static enum ortc_status read_consumable(const struct json_object *consumable,
	struct ortc_read_parameters *out, struct ortc_error *err)
{
	enum ortc_status status = ortc_read_parameters(consumable, "consumable", out, err);

	if (status != ORTC_OK)
		return status;
	if (out->codec_count == 0 || out->codec_count > MAX_CONSUMABLE_CODECS
		|| out->encoding_count == 0 || out->cname == NULL)
		return ortc_fail(err, ORTC_INVALID, "consumable: not made by ortc_produce()");
	return ORTC_OK;
}

enum ortc_status ortc_can_consume(const struct json_object *consumable,
	const struct json_object *peer_caps, struct ortc_error *err)
{
	struct ortc_read_parameters params;
	struct ortc_read_capabilities caps;
	enum ortc_status status;

	err->text[0] = '\0';
	status = read_consumable(consumable, &params, err);
	if (status == ORTC_OK)
		status = ortc_read_capabilities(peer_caps, "rtpCapabilities", &caps, err);
	if (status != ORTC_OK)
		return status;
	for (unsigned int i = 0; i < params.codec_count; i++) {
		if (ortc_find_match(&caps, &params.codec[i], NULL) == NULL)
			continue;
		if (params.codec[i].codec != SFU_CODEC_RTX)
			return ORTC_OK;
		break;
	}
	return ortc_fail(
		err, ORTC_UNSUPPORTED, "rtpCapabilities.codecs: no compatible media codec");
}

/* Keep the feedback of the peer's codec that the router announced for it. */
static void reduce_feedback(
	struct ortc_read_codec *codec, const struct ortc_read_codec *peer, unsigned int allowed)
{
	unsigned int announced = 0;

	for (unsigned int i = 0; i < codec->feedback_count; i++)
		announced |= codec->feedback[i];
	codec->feedback_count = 0;
	for (unsigned int i = 0; i < peer->feedback_count; i++) {
		if (peer->feedback[i] & announced & allowed)
			codec->feedback[codec->feedback_count++] = peer->feedback[i];
	}
}

/* Drop what the peer cannot take, in place. */
static enum ortc_status reduce_codecs(struct ortc_read_parameters *params,
	const struct ortc_read_capabilities *caps, bool enable_rtx, struct ortc_error *err)
{
	unsigned int allowed = enable_rtx ? ~0u : ~(unsigned int)ORTC_FB_NACK;
	unsigned int kept = 0, media;

	for (unsigned int i = 0; i < params->codec_count; i++) {
		struct ortc_read_codec codec = params->codec[i];
		const struct ortc_read_codec *peer;

		if (codec.codec == SFU_CODEC_RTX && !enable_rtx)
			continue;
		peer = ortc_find_match(caps, &codec, NULL);
		if (peer == NULL)
			continue;
		reduce_feedback(&codec, peer, allowed);
		params->codec[kept++] = codec;
	}
	params->codec_count = kept;
	kept = 0;
	for (unsigned int i = 0; i < params->codec_count; i++) {
		bool keep = params->codec[i].codec != SFU_CODEC_RTX;

		// Its media codec stands before it, and is kept already if it is kept at all.
		for (media = 0; !keep && media < kept; media++)
			keep = params->codec[media].codec != SFU_CODEC_RTX
			       && params->codec[media].payload_type == params->codec[i].apt;
		if (keep)
			params->codec[kept++] = params->codec[i];
	}
	params->codec_count = kept;
	if (kept == 0 || params->codec[0].codec == SFU_CODEC_RTX)
		return ortc_fail(
			err, ORTC_UNSUPPORTED, "rtpCapabilities.codecs: no compatible media codec");
	return ORTC_OK;
}

/* Keep an extension if the peer has it under the same id. @return enum ortc_bwe */
static uint8_t reduce_exts(
	struct ortc_read_parameters *params, const struct ortc_read_capabilities *caps)
{
	uint8_t bwe = ORTC_BWE_NONE;
	unsigned int kept = 0;

	for (unsigned int i = 0; i < params->ext_count; i++) {
		const struct ortc_read_ext ext = params->ext[i];
		bool keep = false;

		for (unsigned int k = 0; k < caps->ext_count; k++)
			keep = keep
			       || (caps->ext[k].id == ext.id
				       && strcmp(caps->ext[k].uri, ext.uri) == 0);
		if (!keep)
			continue;
		if (ext.ext == SFU_EXT_TRANSPORT_CC)
			bwe = ORTC_BWE_TRANSPORT_CC;
		else if (ext.ext == SFU_EXT_ABS_SEND_TIME && bwe == ORTC_BWE_NONE)
			bwe = ORTC_BWE_REMB;
		params->ext[kept++] = ext;
	}
	params->ext_count = kept;
	return bwe;
}

static void reduce_bwe(struct ortc_read_parameters *params, uint8_t bwe)
{
	unsigned int drop = ORTC_FB_REMB | ORTC_FB_TRANSPORT_CC;

	if (bwe == ORTC_BWE_TRANSPORT_CC)
		drop = ORTC_FB_REMB;
	else if (bwe == ORTC_BWE_REMB)
		drop = ORTC_FB_TRANSPORT_CC;
	for (unsigned int i = 0; i < params->codec_count; i++) {
		struct ortc_read_codec *codec = &params->codec[i];
		unsigned int kept = 0;

		for (unsigned int k = 0; k < codec->feedback_count; k++) {
			if (!(codec->feedback[k] & drop))
				codec->feedback[kept++] = codec->feedback[k];
		}
		codec->feedback_count = (uint8_t)kept;
	}
}

static void compile_consumer(const struct ortc_read_parameters *params,
	const struct ortc_consume_args *args, struct ortc_consumer *out)
{
	const struct ortc_read_codec *media = &params->codec[0];
	unsigned int feedback = 0;

	out->kind = media->kind;
	out->codec = media->codec;
	out->payload_type = media->payload_type;
	out->clock_rate_hz = media->clock_rate_hz;
	out->ssrc = args->ssrc;
	for (unsigned int i = 0; i < params->codec_count; i++) {
		const struct ortc_read_codec *codec = &params->codec[i];

		out->payload_types[out->payload_type_count++] = codec->payload_type;
		if (codec->codec != SFU_CODEC_RTX)
			continue;
		out->rtx_ssrc = args->ssrc + 1;
		if (codec->apt == media->payload_type)
			out->rtx_payload_type = codec->payload_type;
		// Its media codec stands before it.
		for (unsigned int k = 0; k < i; k++) {
			if (out->payload_types[k] == codec->apt)
				out->rtx_payload_types[k] = codec->payload_type;
		}
	}
	for (unsigned int i = 0; i < media->feedback_count; i++)
		feedback |= media->feedback[i];
	out->feedback = (uint8_t)feedback;
	// What remains of an estimate is only what both ends report on.
	if (out->bwe == ORTC_BWE_REMB && !(feedback & ORTC_FB_REMB))
		out->bwe = ORTC_BWE_NONE;
	if (out->bwe == ORTC_BWE_TRANSPORT_CC && !(feedback & ORTC_FB_TRANSPORT_CC))
		out->bwe = ORTC_BWE_NONE;
	for (unsigned int i = 0; i < params->ext_count; i++) {
		const struct ortc_read_ext *ext = &params->ext[i];

		if (ext->ext != SFU_EXT_NONE && out->ext_count < SFU_MAX_EXTS)
			out->ext[out->ext_count++]
				= (struct ortc_ext_id){.ext = ext->ext, .id = ext->id};
	}
	for (unsigned int i = 0; i < params->encoding_count; i++) {
		if (params->encoding[i].max_bitrate_bps > out->max_bitrate_bps)
			out->max_bitrate_bps = params->encoding[i].max_bitrate_bps;
	}
	out->mid_len = (uint8_t)snprintf(out->mid, sizeof(out->mid), "%u", args->mid);
	out->cname_len = copy_text(out->cname, sizeof(out->cname), params->cname);
}

/* The mode of the first encoding that has one; with simulcast the encodings are its layers. */
static bool add_scalability_mode(
	struct json_object *entry, const struct ortc_read_parameters *params)
{
	const char *mode = NULL;
	uint8_t spatial, temporal;
	char text[32];

	for (unsigned int i = 0; mode == NULL && i < params->encoding_count; i++)
		mode = params->encoding[i].scalability_mode;
	if (params->encoding_count > 1) {
		ortc_parse_scalability_mode(mode, &spatial, &temporal);
		snprintf(text, sizeof(text), "L%uT%u", params->encoding_count, temporal);
		mode = text;
	}
	return mode == NULL || add_text(entry, "scalabilityMode", mode);
}

static bool write_consumer_encoding(struct json_object *list,
	const struct ortc_read_parameters *params, const struct ortc_consumer *consumer)
{
	struct json_object *entry = json_object_new_object();
	bool ok = add_number(entry, "ssrc", consumer->ssrc);

	if (ok && consumer->rtx_ssrc != 0) {
		struct json_object *rtx = json_object_new_object();

		ok = add_number(rtx, "ssrc", consumer->rtx_ssrc);
		ok = add(entry, "rtx", rtx) && ok;
	}
	ok = ok && add_scalability_mode(entry, params);
	if (ok && consumer->max_bitrate_bps != 0)
		ok = add_number(entry, "maxBitrate", consumer->max_bitrate_bps);
	return append(list, entry) && ok;
}

static bool write_codecs_and_exts(const struct ortc_read_parameters *params, struct output *out)
{
	bool ok = true;

	for (unsigned int i = 0; ok && i < params->codec_count; i++)
		ok = append_codec(out->codecs, &params->codec[i], params->codec[i].feedback,
			params->codec[i].feedback_count, copy_map(params->codec[i].parameters));
	for (unsigned int i = 0; ok && i < params->ext_count; i++)
		ok = append_ext(out->exts, params->ext[i].uri, params->ext[i].id);
	return ok;
}

enum ortc_status ortc_consume(const struct json_object *consumable,
	const struct json_object *peer_caps, const struct ortc_consume_args *args,
	struct ortc_consumer *out, struct json_object **params, struct ortc_error *err)
{
	struct output json;
	struct ortc_read_parameters read;
	struct ortc_read_capabilities caps;
	enum ortc_status status;
	bool ok;

	err->text[0] = '\0';
	*params = NULL;
	memset(out, 0, sizeof(*out));
	if (args->mid > 99999999)
		return ortc_fail(err, ORTC_INVALID, "mid: more than 8 digits");
	status = read_consumable(consumable, &read, err);
	if (status == ORTC_OK)
		status = ortc_read_capabilities(peer_caps, "rtpCapabilities", &caps, err);
	if (status == ORTC_OK)
		status = reduce_codecs(&read, &caps, args->enable_rtx, err);
	if (status != ORTC_OK)
		return status;
	out->bwe = reduce_exts(&read, &caps);
	reduce_bwe(&read, out->bwe);
	compile_consumer(&read, args, out);

	ok = output_init(&json);
	ok = ok && write_codecs_and_exts(&read, &json);
	ok = ok && write_consumer_encoding(json.encodings, &read, out);
	ok = ok && add_rtcp(json.params, read.cname) && add_text(json.params, "mid", out->mid);
	if (!ok) {
		json_object_put(json.params);
		return no_memory(err);
	}
	*params = json.params;
	return ORTC_OK;
}

/* --- between nodes (step 8) ----------------------------------------------------------------- */

static void reduce_for_pipe(struct ortc_read_parameters *params, bool enable_rtx)
{
	unsigned int allowed = ORTC_FB_PLI | ORTC_FB_FIR;
	unsigned int kept = 0;

	if (enable_rtx)
		allowed |= ORTC_FB_NACK;
	for (unsigned int i = 0; i < params->codec_count; i++) {
		struct ortc_read_codec codec = params->codec[i];

		if (codec.codec == SFU_CODEC_RTX && !enable_rtx)
			continue;
		reduce_feedback(&codec, &params->codec[i], allowed);
		params->codec[kept++] = codec;
	}
	params->codec_count = kept;
	kept = 0;
	for (unsigned int i = 0; i < params->ext_count; i++) {
		uint8_t ext = params->ext[i].ext;

		if (ext != SFU_EXT_MID && ext != SFU_EXT_ABS_SEND_TIME
			&& ext != SFU_EXT_TRANSPORT_CC)
			params->ext[kept++] = params->ext[i];
	}
	params->ext_count = kept;
}

static bool write_pipe_encoding(struct json_object *list, const struct ortc_read_encoding *e,
	uint32_t ssrc, uint32_t rtx_ssrc)
{
	struct json_object *rtx = NULL;
	size_t at = json_object_array_length(list);
	bool ok = write_consumable_encoding(list, e, ssrc);

	if (!ok || rtx_ssrc == 0)
		return ok;
	rtx = json_object_new_object();
	ok = add_number(rtx, "ssrc", rtx_ssrc);
	return add(json_object_array_get_idx(list, at), "rtx", rtx) && ok;
}

enum ortc_status ortc_consume_pipe(const struct json_object *consumable, bool enable_rtx,
	uint32_t ssrc, uint32_t rtx_ssrc, struct json_object **params, struct ortc_error *err)
{
	struct output json;
	struct ortc_read_parameters read;
	enum ortc_status status;
	bool ok;

	err->text[0] = '\0';
	*params = NULL;
	status = read_consumable(consumable, &read, err);
	if (status != ORTC_OK)
		return status;
	reduce_for_pipe(&read, enable_rtx);
	ok = output_init(&json);
	ok = ok && write_codecs_and_exts(&read, &json);
	for (unsigned int i = 0; ok && i < read.encoding_count; i++)
		ok = write_pipe_encoding(
			json.encodings, &read.encoding[i], ssrc + i, enable_rtx ? rtx_ssrc + i : 0);
	ok = ok && add_rtcp(json.params, read.cname);
	if (!ok) {
		json_object_put(json.params);
		return no_memory(err);
	}
	*params = json.params;
	return ORTC_OK;
}
