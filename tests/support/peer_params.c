// SPDX-License-Identifier: BSD-3-Clause
#include "tests/support/peer_params.h"

#include <arpa/inet.h>
#include <glib.h>
#include <stdio.h>
#include <string.h>

#define URI_MID "urn:ietf:params:rtp-hdrext:sdes:mid"
#define URI_ABS_SEND_TIME "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
#define URI_TWCC "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
#define URI_AUDIO_LEVEL "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
#define URI_ORIENTATION "urn:3gpp:video-orientation"

/** Chromium's numbers (webrtc.md 8). */
enum { PT_OPUS = 111, PT_VP8 = 96, PT_VP8_RTX = 97, PT_VP9 = 98, PT_VP9_RTX = 99 };
enum { ID_AUDIO_LEVEL = 1, ID_ABS_SEND_TIME = 2, ID_TWCC = 3, ID_MID = 4, ID_ORIENTATION = 13 };

static json_object *member(json_object *object, const char *key)
{
	json_object *value = NULL;

	json_object_object_get_ex(object, key, &value);
	return value;
}

const char *params_text(json_object *object, const char *key)
{
	json_object *value = member(object, key);

	return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";
}

static int64_t number(json_object *object, const char *key)
{
	return json_object_get_int64(member(object, key));
}

static size_t count(json_object *array)
{
	return json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
}

/** The last fingerprint that is SHA-256, as mediasoup-client takes it. */
static bool read_fingerprint(json_object *list, uint8_t out[32])
{
	bool found = false;

	for (size_t i = 0; i < count(list); i++) {
		json_object *f = json_object_array_get_idx(list, i);
		const char *hex = params_text(f, "value");

		if (strcmp(params_text(f, "algorithm"), "sha-256") != 0
			|| strlen(hex) != 32 * 3 - 1)
			continue;
		for (unsigned k = 0; k < 32; k++)
			out[k] = (uint8_t)g_ascii_strtoull(hex + 3 * k, NULL, 16);
		found = true;
	}
	return found;
}

/** The address of a candidate, when it is of this family. */
static bool read_address(json_object *candidate, int family, struct sockaddr_storage *out)
{
	const char *ip = params_text(candidate, "ip");
	uint16_t port = htons((uint16_t)number(candidate, "port"));
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

	out->ss_family = (sa_family_t)family;
	if (family == AF_INET) {
		v4->sin_port = port;
		return port && inet_pton(AF_INET, ip, &v4->sin_addr) == 1;
	}
	v6->sin6_port = port;
	return port && inet_pton(AF_INET6, ip, &v6->sin6_addr) == 1;
}

bool params_ice(json_object *restarted, struct media_remote *out)
{
	json_object *ice = member(restarted, "iceParameters");

	memset(out, 0, sizeof(*out));
	g_strlcpy(out->ufrag, params_text(ice, "usernameFragment"), sizeof(out->ufrag));
	g_strlcpy(out->password, params_text(ice, "password"), sizeof(out->password));
	return *out->ufrag && *out->password;
}

bool params_remote(json_object *created, int family, struct media_remote *out)
{
	json_object *candidates = member(created, "iceCandidates");
	json_object *fingerprints = member(member(created, "dtlsParameters"), "fingerprints");
	bool has_address = false;

	if (!params_ice(created, out))
		return false;
	for (size_t i = 0; i < count(candidates); i++) {
		json_object *c = json_object_array_get_idx(candidates, i);

		if (strcmp(params_text(c, "protocol"), "udp") != 0
			|| !read_address(c, family, &out->address))
			continue;
		has_address = true;
		out->priority = (uint32_t)number(c, "priority");
		g_strlcpy(out->foundation, params_text(c, "foundation"), sizeof(out->foundation));
		break;
	}
	return has_address && read_fingerprint(fingerprints, out->fingerprint);
}

/** Whether the router takes this extension from us for a kind. */
static bool takes_extension(json_object *router_caps, const char *kind, const char *uri)
{
	json_object *list = member(router_caps, "headerExtensions");

	for (size_t i = 0; i < count(list); i++) {
		json_object *e = json_object_array_get_idx(list, i);
		const char *direction = params_text(e, "direction");

		if (!strcmp(params_text(e, "uri"), uri) && !strcmp(params_text(e, "kind"), kind)
			&& (!*direction || !strcmp(direction, "sendrecv")
				|| !strcmp(direction, "recvonly")))
			return true;
	}
	return false;
}

static json_object *router_codec(json_object *router_caps, const char *mime)
{
	json_object *list = member(router_caps, "codecs");

	for (size_t i = 0; i < count(list); i++) {
		json_object *c = json_object_array_get_idx(list, i);

		if (!g_ascii_strcasecmp(params_text(c, "mimeType"), mime))
			return c;
	}
	return NULL;
}

/** First of VP8 and VP9 in the router's order, or the one wanted. */
static json_object *video_codec(json_object *router_caps, const char *codec, enum rtp_codec *out)
{
	json_object *list = member(router_caps, "codecs");

	for (size_t i = 0; i < count(list); i++) {
		json_object *c = json_object_array_get_idx(list, i);
		const char *mime = params_text(c, "mimeType");
		bool is_vp8 = !g_ascii_strcasecmp(mime, "video/VP8");

		if ((!is_vp8 && g_ascii_strcasecmp(mime, "video/VP9") != 0)
			|| (codec && strcmp(codec, is_vp8 ? "VP8" : "VP9") != 0))
			continue;
		*out = is_vp8 ? RTP_CODEC_VP8 : RTP_CODEC_VP9;
		return c;
	}
	return NULL;
}

bool params_source(
	json_object *router_caps, bool is_video, const char *codec, struct rtp_source_config *out)
{
	const char *kind = is_video ? "video" : "audio";

	out->codec = RTP_CODEC_OPUS;
	if (is_video ? !video_codec(router_caps, codec, &out->codec)
		     : !router_codec(router_caps, "audio/opus"))
		return false;
	out->payload_type = out->codec == RTP_CODEC_OPUS  ? PT_OPUS
			    : out->codec == RTP_CODEC_VP8 ? PT_VP8
							  : PT_VP9;
	if (takes_extension(router_caps, kind, URI_MID))
		out->mid_id = ID_MID;
	if (takes_extension(router_caps, kind, URI_ABS_SEND_TIME))
		out->abs_send_time_id = ID_ABS_SEND_TIME;
	if (takes_extension(router_caps, kind, is_video ? URI_ORIENTATION : URI_AUDIO_LEVEL))
		out->value_id = is_video ? ID_ORIENTATION : ID_AUDIO_LEVEL;
	if (takes_extension(router_caps, kind, URI_TWCC))
		out->twcc_id = ID_TWCC;
	if (is_video && router_codec(router_caps, "video/rtx"))
		out->rtx_payload_type = out->codec == RTP_CODEC_VP8 ? PT_VP8_RTX : PT_VP9_RTX;
	return true;
}

static void add_text(json_object *o, const char *key, const char *value)
{
	json_object_object_add(o, key, json_object_new_string(value));
}

static void add_number(json_object *o, const char *key, int64_t value)
{
	json_object_object_add(o, key, json_object_new_int64(value));
}

static json_object *codec_json(const char *mime, unsigned payload_type, unsigned clock_rate)
{
	json_object *c = json_object_new_object();

	add_text(c, "mimeType", mime);
	add_number(c, "payloadType", payload_type);
	add_number(c, "clockRate", clock_rate);
	json_object_object_add(c, "parameters", json_object_new_object());
	json_object_object_add(c, "rtcpFeedback", json_object_new_array());
	return c;
}

static void add_codecs(
	json_object *parameters, json_object *router_caps, const struct rtp_source_config *source)
{
	static const char *const mimes[] = {"audio/opus", "video/VP8", "video/VP9"};
	json_object *codecs = json_object_new_array(), *c, *known, *feedback = NULL;
	bool is_audio = source->codec == RTP_CODEC_OPUS;

	c = codec_json(mimes[source->codec], source->payload_type, is_audio ? 48000 : 90000);
	known = router_codec(router_caps, mimes[source->codec]);
	if (json_object_object_get_ex(known, "rtcpFeedback", &feedback))
		json_object_object_add(c, "rtcpFeedback", json_object_get(feedback));
	if (is_audio) {
		add_number(c, "channels", 2);
		add_number(member(c, "parameters"), "minptime", 10);
		add_number(member(c, "parameters"), "useinbandfec", 1);
	} else if (source->codec == RTP_CODEC_VP9) {
		add_number(member(c, "parameters"), "profile-id", 0);
	}
	json_object_array_add(codecs, c);
	if (source->rtx_ssrc) {
		c = codec_json("video/rtx", source->rtx_payload_type, 90000);
		add_number(member(c, "parameters"), "apt", source->payload_type);
		json_object_array_add(codecs, c);
	}
	json_object_object_add(parameters, "codecs", codecs);
}

static void add_extension(json_object *list, const char *uri, unsigned id)
{
	json_object *e;

	if (!id)
		return;
	e = json_object_new_object();
	add_text(e, "uri", uri);
	add_number(e, "id", id);
	json_object_object_add(e, "encrypt", json_object_new_boolean(false));
	json_object_object_add(e, "parameters", json_object_new_object());
	json_object_array_add(list, e);
}

json_object *params_produce(
	json_object *router_caps, const struct rtp_source_config *source, const char *cname)
{
	json_object *parameters = json_object_new_object(), *list, *o, *rtx;

	add_text(parameters, "mid", source->mid);
	add_codecs(parameters, router_caps, source);
	list = json_object_new_array();
	add_extension(list, URI_MID, source->mid_id);
	add_extension(list, URI_ABS_SEND_TIME, source->abs_send_time_id);
	add_extension(list, URI_TWCC, source->twcc_id);
	add_extension(list, source->codec == RTP_CODEC_OPUS ? URI_AUDIO_LEVEL : URI_ORIENTATION,
		source->value_id);
	json_object_object_add(parameters, "headerExtensions", list);
	o = json_object_new_object();
	add_number(o, "ssrc", source->ssrc);
	if (source->rtx_ssrc) {
		rtx = json_object_new_object();
		add_number(rtx, "ssrc", source->rtx_ssrc);
		json_object_object_add(o, "rtx", rtx);
	}
	json_object_object_add(o, "dtx", json_object_new_boolean(false));
	list = json_object_new_array();
	json_object_array_add(list, o);
	json_object_object_add(parameters, "encodings", list);
	o = json_object_new_object();
	add_text(o, "cname", cname);
	json_object_object_add(o, "reducedSize", json_object_new_boolean(true));
	json_object_object_add(parameters, "rtcp", o);
	// What newer clients add (webrtc.md 8); the server has to tolerate it.
	add_text(parameters, "msid", "stream track");
	return parameters;
}

/** Retransmissions for a sink: the RTX codec that is meant for it, and its SSRC. */
static void read_repair(
	json_object *parameters, const struct rtp_sink_config *sink, struct rtp_repair_config *out)
{
	json_object *codecs = member(parameters, "codecs");
	json_object *encoding = json_object_array_get_idx(member(parameters, "encodings"), 0);

	memset(out, 0, sizeof(*out));
	out->ssrc = sink->ssrc;
	out->payload_type = sink->payload_type;
	for (size_t i = 0; i < count(codecs); i++) {
		json_object *c = json_object_array_get_idx(codecs, i);

		if (g_ascii_strcasecmp(params_text(c, "mimeType"), "video/rtx") != 0
			|| number(member(c, "parameters"), "apt") != sink->payload_type)
			continue;
		out->rtx_payload_type = (uint8_t)number(c, "payloadType");
		out->rtx_ssrc = (uint32_t)number(member(encoding, "rtx"), "ssrc");
	}
}

const char *params_sink(json_object *parameters, struct rtp_sink_config *out,
	struct rtp_repair_config *repair, uint8_t *twcc_id)
{
	json_object *codecs = member(parameters, "codecs"), *codec, *list;
	const char *mime;

	if (!count(codecs) || !count(member(parameters, "encodings")))
		return "CONSUMER_ADDED without codecs or encodings";
	codec = json_object_array_get_idx(codecs, 0);
	mime = params_text(codec, "mimeType");
	if (!g_ascii_strcasecmp(mime, "audio/opus"))
		out->codec = RTP_CODEC_OPUS;
	else if (!g_ascii_strcasecmp(mime, "video/VP8"))
		out->codec = RTP_CODEC_VP8;
	else if (!g_ascii_strcasecmp(mime, "video/VP9"))
		out->codec = RTP_CODEC_VP9;
	else
		return "CONSUMER_ADDED with a codec that was not asked for";
	out->payload_type = (uint8_t)number(codec, "payloadType");
	out->ssrc = (uint32_t)number(
		json_object_array_get_idx(member(parameters, "encodings"), 0), "ssrc");
	out->mid = params_text(parameters, "mid");
	out->cname = params_text(member(parameters, "rtcp"), "cname");
	list = member(parameters, "headerExtensions");
	for (size_t i = 0; i < count(list); i++) {
		json_object *e = json_object_array_get_idx(list, i);
		const char *uri = params_text(e, "uri");
		uint8_t id = (uint8_t)number(e, "id");

		if (!strcmp(uri, URI_MID))
			out->mid_id = id;
		else if (!strcmp(uri, URI_TWCC))
			*twcc_id = id;
		else if (!strcmp(uri,
				 out->codec == RTP_CODEC_OPUS ? URI_AUDIO_LEVEL : URI_ORIENTATION))
			out->value_id = id;
	}
	if (!out->ssrc || !*out->mid || !*out->cname)
		return "CONSUMER_ADDED without SSRC, MID or CNAME";
	read_repair(parameters, out, repair);
	return NULL;
}
