// SPDX-License-Identifier: BSD-3-Clause
// Vectors in ortc_vectors/*.json, worked out by hand from the rules of ORTC. Each names a call, its
// inputs and either what must come out or the status and a part of the error's text. Router
// capabilities are given as the list and the features they are made from; producers that a consumer
// needs are made on the way. Numbers the caller chooses are the constants below.
#include "sfu-ctl/ortc.h"

#include <dirent.h>
#include <json-c/json.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MAPPED_SSRC 5000
#define CONSUMER_SSRC 9000
#define PIPE_RTX_SSRC 9500
#define CONSUMER_MID 7
#define DEFAULT_CNAME "by-caller"

static const char *const ext_names[SFU_EXT_COUNT] = {
	[SFU_EXT_MID] = "mid",
	[SFU_EXT_RID] = "rid",
	[SFU_EXT_REPAIRED_RID] = "repaired-rid",
	[SFU_EXT_ABS_SEND_TIME] = "abs-send-time",
	[SFU_EXT_TRANSPORT_CC] = "transport-cc",
	[SFU_EXT_AUDIO_LEVEL] = "audio-level",
	[SFU_EXT_VIDEO_ORIENTATION] = "video-orientation",
	[SFU_EXT_TOFFSET] = "toffset",
	[SFU_EXT_ABS_CAPTURE_TIME] = "abs-capture-time",
	[SFU_EXT_PLAYOUT_DELAY] = "playout-delay",
	[SFU_EXT_DEPENDENCY_DESCRIPTOR] = "dependency-descriptor",
};

static const char *const codec_names[] = {
	[SFU_CODEC_OTHER] = "other",
	[SFU_CODEC_OPUS] = "opus",
	[SFU_CODEC_VP8] = "VP8",
	[SFU_CODEC_VP9] = "VP9",
	[SFU_CODEC_H264] = "H264",
	[SFU_CODEC_AV1] = "AV1",
	[SFU_CODEC_RTX] = "rtx",
};

static struct json_object *get(struct json_object *object, const char *key)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(object, key, &value);
	return value;
}

static const char *get_text(struct json_object *object, const char *key)
{
	struct json_object *value = get(object, key);

	return value == NULL ? NULL : json_object_get_string(value);
}

static void put_int(struct json_object *object, const char *key, int64_t value)
{
	json_object_object_add(object, key, json_object_new_int64(value));
}

static void put_text(struct json_object *object, const char *key, const char *value)
{
	json_object_object_add(object, key, json_object_new_string(value));
}

static struct ortc_features read_features(struct json_object *vector)
{
	struct ortc_features features = {0};
	struct json_object *list = get(vector, "features");
	const struct {
		const char *name;
		bool *flag;
	} names[] = {
		{"rtx", &features.rtx},
		{"nack", &features.nack},
		{"transport_cc", &features.transport_cc},
		{"remb", &features.remb},
		{"dependency_descriptor", &features.dependency_descriptor},
		{"abs_capture_time", &features.abs_capture_time},
		{"playout_delay", &features.playout_delay},
	};

	for (size_t i = 0; i < json_object_array_length(list); i++) {
		const char *name = json_object_get_string(json_object_array_get_idx(list, i));
		bool found = false;

		for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
			if (strcmp(name, names[k].name) == 0)
				found = *names[k].flag = true;
		}
		assert_true(found);
	}
	return features;
}

static struct json_object *show_exts(const struct ortc_ext_id *ext, size_t count)
{
	struct json_object *exts = json_object_new_object();

	for (size_t i = 0; i < count; i++)
		put_int(exts, ext_names[ext[i].ext], ext[i].id);
	return exts;
}

/* The compiled producer as the vectors write it. */
static struct json_object *show_producer(const struct ortc_producer *p)
{
	struct json_object *out = json_object_new_object();
	struct json_object *codecs = json_object_new_array();
	struct json_object *encodings = json_object_new_array();

	for (size_t i = 0; i < p->codec_count; i++) {
		struct json_object *c = json_object_new_object();

		put_int(c, "pt", p->codec[i].payload_type);
		put_int(c, "mapped", p->codec[i].mapped_payload_type);
		put_text(c, "codec", codec_names[p->codec[i].codec]);
		put_int(c, "apt", p->codec[i].apt);
		put_int(c, "clockRate", p->codec[i].clock_rate_hz);
		json_object_array_add(codecs, c);
	}
	for (size_t i = 0; i < p->encoding_count; i++) {
		const struct ortc_encoding *e = &p->encoding[i];
		struct json_object *o = json_object_new_object();

		assert_int_equal(e->rid_len, strlen(e->rid));
		put_int(o, "ssrc", e->ssrc);
		put_int(o, "rtx", e->rtx_ssrc);
		put_int(o, "mapped", e->mapped_ssrc);
		put_text(o, "rid", e->rid);
		put_int(o, "spatial", e->spatial_layers);
		put_int(o, "temporal", e->temporal_layers);
		put_int(o, "maxBitrate", e->max_bitrate_bps);
		json_object_object_add(o, "dtx", json_object_new_boolean(e->dtx));
		json_object_array_add(encodings, o);
	}
	assert_int_equal(p->mid_len, strlen(p->mid));
	assert_int_equal(p->cname_len, strlen(p->cname));
	put_text(out, "kind", p->kind == SFU_AUDIO ? "audio" : "video");
	json_object_object_add(out, "codecs", codecs);
	json_object_object_add(out, "encodings", encodings);
	json_object_object_add(out, "exts", show_exts(p->ext, p->ext_count));
	put_text(out, "mid", p->mid);
	put_text(out, "cname", p->cname);
	json_object_object_add(out, "reducedSize", json_object_new_boolean(p->reduced_size));
	return out;
}

static struct json_object *show_consumer(const struct ortc_consumer *c)
{
	/* Sorted by name. */
	static const struct {
		enum ortc_feedback bit;
		const char *name;
	} feedback_names[] = {
		{ORTC_FB_FIR, "fir"},
		{ORTC_FB_NACK, "nack"},
		{ORTC_FB_PLI, "pli"},
		{ORTC_FB_REMB, "remb"},
		{ORTC_FB_TRANSPORT_CC, "twcc"},
	};
	static const char *const bwe_names[] = {"none", "remb", "transport-cc"};
	struct json_object *out = json_object_new_object();
	struct json_object *pts = json_object_new_array();
	struct json_object *feedback = json_object_new_array();

	for (size_t i = 0; i < c->payload_type_count; i++)
		json_object_array_add(pts, json_object_new_int(c->payload_types[i]));
	for (size_t i = 0; i < sizeof(feedback_names) / sizeof(feedback_names[0]); i++) {
		if (c->feedback & feedback_names[i].bit)
			json_object_array_add(
				feedback, json_object_new_string(feedback_names[i].name));
	}
	assert_int_equal(c->mid_len, strlen(c->mid));
	assert_int_equal(c->cname_len, strlen(c->cname));
	put_text(out, "kind", c->kind == SFU_AUDIO ? "audio" : "video");
	put_text(out, "codec", codec_names[c->codec]);
	put_int(out, "pt", c->payload_type);
	put_int(out, "rtxPt", c->rtx_payload_type);
	json_object_object_add(out, "pts", pts);
	put_int(out, "ssrc", c->ssrc);
	put_int(out, "rtx", c->rtx_ssrc);
	put_int(out, "clockRate", c->clock_rate_hz);
	json_object_object_add(out, "exts", show_exts(c->ext, c->ext_count));
	json_object_object_add(out, "feedback", feedback);
	put_text(out, "bwe", bwe_names[c->bwe]);
	put_int(out, "maxBitrate", c->max_bitrate_bps);
	put_text(out, "mid", c->mid);
	put_text(out, "cname", c->cname);
	return out;
}

/* What a call gave. */
struct answer {
	enum ortc_status status;
	struct ortc_error error;
	struct json_object *json; /* may be NULL */
	struct json_object *compiled; /* may be NULL */
};

static enum ortc_status produce(struct json_object *vector, struct ortc_producer *producer,
	struct json_object **consumable, struct ortc_error *error)
{
	struct ortc_features features = read_features(vector);
	struct json_object *params = get(vector, "params");
	struct json_object *caps, *before = NULL;
	struct ortc_produce_args args = {
		.kind = strcmp(get_text(vector, "kind"), "audio") == 0 ? SFU_AUDIO : SFU_VIDEO,
		.mapped_ssrc = MAPPED_SSRC,
		.fixed_cname = get_text(vector, "fixedCname"),
		.default_cname = DEFAULT_CNAME,
	};
	enum ortc_status status;

	assert_int_equal(
		ortc_router_capabilities(get_text(vector, "codecs"), &features, &caps, error),
		ORTC_OK);
	assert_int_equal(json_object_deep_copy(params, &before, NULL), 0);
	args.router_caps = caps;
	status = ortc_produce(params, &args, producer, consumable, error);
	assert_true(json_object_equal(params, before)); /* the input is never modified */
	json_object_put(before);
	json_object_put(caps);
	return status;
}

static void consume(struct json_object *vector, const char *call, struct answer *a)
{
	struct json_object *flag = get(vector, "enableRtx"), *mid = get(vector, "mid");
	struct json_object *peer = get(vector, "peer"), *consumable;
	struct ortc_consumer consumer;
	struct ortc_producer producer;
	struct ortc_consume_args args = {
		.enable_rtx = flag == NULL || json_object_get_boolean(flag),
		.mid = mid == NULL ? CONSUMER_MID : (uint32_t)json_object_get_int(mid),
		.ssrc = CONSUMER_SSRC,
	};

	assert_int_equal(produce(vector, &producer, &consumable, &a->error), ORTC_OK);
	if (strcmp(call, "pipe") == 0) {
		a->status = ortc_consume_pipe(
			consumable, args.enable_rtx, args.ssrc, PIPE_RTX_SSRC, &a->json, &a->error);
	} else if (strcmp(call, "can_consume") == 0) {
		a->status = ortc_can_consume(consumable, peer, &a->error);
	} else {
		a->status = ortc_consume(consumable, peer, &args, &consumer, &a->json, &a->error);
		if (a->status == ORTC_OK) {
			assert_int_equal(ortc_can_consume(consumable, peer, &a->error), ORTC_OK);
			a->compiled = show_consumer(&consumer);
		}
	}
	json_object_put(consumable);
}

static struct answer run(struct json_object *vector)
{
	struct answer a = {.status = ORTC_OK};
	const char *call = get_text(vector, "call");

	if (strcmp(call, "router") == 0) {
		struct ortc_features features = read_features(vector);

		a.status = ortc_router_capabilities(
			get_text(vector, "codecs"), &features, &a.json, &a.error);
	} else if (strcmp(call, "capabilities") == 0) {
		a.status = ortc_validate_capabilities(get(vector, "input"), &a.error);
	} else if (strcmp(call, "parameters") == 0) {
		a.status = ortc_validate_parameters(get(vector, "input"), &a.error);
	} else if (strcmp(call, "produce") == 0) {
		struct ortc_producer producer;

		a.status = produce(vector, &producer, &a.json, &a.error);
		if (a.status == ORTC_OK)
			a.compiled = show_producer(&producer);
	} else {
		consume(vector, call, &a);
	}
	return a;
}

/* Equal, order of members aside. @return false after printing both */
static bool same(const char *what, struct json_object *expected, struct json_object *got)
{
	if (json_object_equal(expected, got))
		return true;
	fprintf(stderr, "%s\n  expected %s\n  got      %s\n", what,
		json_object_to_json_string(expected), json_object_to_json_string(got));
	return false;
}

static bool check(struct json_object *vector)
{
	const char *status_name = get_text(vector, "status");
	enum ortc_status expected = ORTC_OK;
	struct answer a = run(vector);
	bool ok;

	if (status_name != NULL)
		expected = strcmp(status_name, "invalid") == 0 ? ORTC_INVALID : ORTC_UNSUPPORTED;
	ok = a.status == expected;
	if (expected == ORTC_OK) {
		ok = ok && a.error.text[0] == '\0';
		if (get(vector, "expect") != NULL)
			ok = same("json", get(vector, "expect"), a.json) && ok;
		if (get(vector, "compiled") != NULL)
			ok = same("compiled", get(vector, "compiled"), a.compiled) && ok;
	} else {
		ok = ok && strstr(a.error.text, get_text(vector, "error")) != NULL
		     && a.json == NULL;
	}
	if (!ok)
		fprintf(stderr, "FAILED: %s: status %d, error \"%s\"\n", get_text(vector, "name"),
			a.status, a.error.text);
	json_object_put(a.json);
	json_object_put(a.compiled);
	return ok;
}

static int is_json(const struct dirent *entry)
{
	return strstr(entry->d_name, ".json") != NULL;
}

static void test_vectors(void **state)
{
	struct dirent **files;
	size_t vectors = 0, failed = 0;
	int count = scandir(ORTC_VECTORS, &files, is_json, alphasort);

	(void)state;
	assert_true(count > 0);
	for (int i = 0; i < count; i++) {
		char path[1024];
		struct json_object *list;

		snprintf(path, sizeof(path), "%s/%s", ORTC_VECTORS, files[i]->d_name);
		list = json_object_from_file(path);
		assert_non_null(list);
		for (size_t k = 0; k < json_object_array_length(list); k++, vectors++)
			failed += !check(json_object_array_get_idx(list, k));
		json_object_put(list);
		free(files[i]);
	}
	free(files);
	print_message("%zu vectors\n", vectors);
	assert_int_equal(failed, 0);
	assert_true(vectors >= 40);
}

static void test_uris(void **state)
{
	(void)state;
	assert_null(ortc_ext_uri(SFU_EXT_NONE));
	assert_null(ortc_ext_uri(SFU_EXT_COUNT));
	for (unsigned int ext = SFU_EXT_NONE + 1; ext < SFU_EXT_COUNT; ext++)
		assert_non_null(ortc_ext_uri(ext));
}

/* The maps go into the ring as they are: they must fit its fields. */
static void test_limits(void **state)
{
	(void)state;
	assert_true(sizeof(((struct sfu_put_producer *)0)->mid) >= SFU_MID_BYTES);
	assert_true(sizeof(((struct sfu_put_producer *)0)->cname) >= SFU_CNAME_BYTES);
	assert_true(sizeof(((struct sfu_put_consumer *)0)->payload_type)
		    >= sizeof(((struct ortc_consumer *)0)->payload_types));
}

/* No member of a good document can be replaced by something odd and break more than the call. */
static void test_odd_values(void **state)
{
	static const char good[]
		= "{\"mid\":\"0\",\"codecs\":[{\"mimeType\":\"video/VP8\",\"payloadType\":96,"
		  "\"clockRate\":90000,\"parameters\":{\"a\":1},\"rtcpFeedback\":[{\"type\":"
		  "\"nack\","
		  "\"parameter\":\"pli\"}]}],\"headerExtensions\":[{\"uri\":\"urnx\",\"id\":1,"
		  "\"encrypt\":false,\"parameters\":{}}],\"encodings\":[{\"ssrc\":1,\"rid\":\"q\","
		  "\"rtx\":{\"ssrc\":2},\"dtx\":true,\"scalabilityMode\":\"L1T1\",\"maxBitrate\":1}"
		  "],"
		  "\"rtcp\":{\"cname\":\"c\",\"reducedSize\":true}}";
	static const char *const odd[] = {"null", "true", "-1", "1e300", "\"\\u0000\"", "[]", "{}",
		"[[[]]]", "4294967296", "0.5", "\"\""};
	struct ortc_error error;

	(void)state;
	// Each value is swapped in at each place where a value starts.
	for (size_t at = 0; good[at] != '\0'; at++) {
		size_t end = at + 1;

		if (at == 0 || good[at - 1] != ':' || strchr("[{", good[at]) != NULL)
			continue;
		end += strcspn(good + end, ",}");
		for (size_t k = 0; k < sizeof(odd) / sizeof(odd[0]); k++) {
			char text[2048];
			struct json_object *json;
			enum ortc_status status;

			snprintf(text, sizeof(text), "%.*s%s%s", (int)at, good, odd[k], good + end);
			json = json_tokener_parse(text);
			if (json == NULL && strcmp(odd[k], "null") != 0)
				fail_msg("%s", text);
			status = ortc_validate_parameters(json, &error);
			assert_true(status == ORTC_OK || status == ORTC_INVALID);
			assert_int_equal(status == ORTC_OK, error.text[0] == '\0');
			json_object_put(json);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_uris),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_odd_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
