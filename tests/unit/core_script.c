// SPDX-License-Identifier: BSD-3-Clause
#include "tests/unit/core_script.h"

#include "sfu-ctl/core.h"
#include "sfu-ctl/regions.h"
#include "sfu-ctl/restore.h"
#include "tests/unit/fake_media.h"

#include <ctype.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FRAMES 1024
#define MAX_SENT 512
#define MAX_VARIABLES 64

struct connection {
	struct run *run;
	struct session *session; /* NULL: not open */
	struct json_object *frames[MAX_FRAMES]; /* sent to it and not looked at yet */
	size_t first, count;
	char sent[MAX_SENT][32]; /* msgIds without an ACK */
	size_t sent_first, sent_count;
	unsigned next_id;
	int64_t last_seq;
	struct json_object *seen_ids;
	unsigned closed; /* code */
};

struct auth_call {
	uint64_t session_id, request_id;
	char token[128];
	bool used;
};

struct variable {
	char name[32];
	char value[1024];
};

struct run {
	const struct script *script;
	size_t line;
	struct config config;
	struct media *media;
	struct core *core;
	struct memory *memory; /* what the core leaves to its successor */
	struct connection connections[26];
	struct auth_call auths[16];
	struct auth_call answered; /* the last one */
	struct variable variables[MAX_VARIABLES];
	size_t variable_count;
	struct regions regions;
	uint64_t now_us, wake_us;
	uint64_t start_ms; /* wall time of now_us 0 */
	uint64_t random;
};

static void __attribute__((noreturn, format(printf, 2, 3)))
surprise(const struct run *run, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "\n[%s] line %zu: ", run->script->name, run->line);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n");
	if (run->media != NULL)
		fprintf(stderr, "calls of media:\n%s", fake_media_log(run->media));
	fflush(NULL);
	_Exit(1); // what is left over is no leak of the core
}

/* ---- what the core asks of the world ---- */

static void check_uuid(const struct run *run, const char *id)
{
	size_t i = 0;

	for (; id[i] != '\0'; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? id[i] != '-' : !isxdigit((unsigned char)id[i]))
			break;
	}
	if (i != 36 || id[36] != '\0' || id[14] != '4' || strchr("89ab", id[19]) == NULL)
		surprise(run, "not a UUID v4: %s", id);
}

static struct json_object *get(const struct json_object *o, const char *name)
{
	struct json_object *value = NULL;

	json_object_object_get_ex(o, name, &value);
	return value;
}

static void check_ack(const struct run *run, const struct json_object *frame)
{
	struct json_object *ack = get(frame, "ack");
	struct json_object *error = get(ack, "error");
	bool ok = json_object_get_boolean(get(ack, "ok"));

	if (!json_object_is_type(get(ack, "ok"), json_type_boolean)
		|| !json_object_object_get_ex(ack, "ackOfMsgId", NULL)
		|| json_object_object_length(get(frame, "payload")) != 0
		|| json_object_object_length(ack) != (ok ? 2 : 3))
		surprise(run, "ACK of the wrong shape");
	if (ok)
		return;
	if (json_object_object_length(error) != 4
		|| !json_object_is_type(get(error, "code"), json_type_string)
		|| !json_object_is_type(get(error, "message"), json_type_string)
		|| !json_object_is_type(get(error, "details"), json_type_object)
		|| !json_object_is_type(get(error, "retryable"), json_type_boolean))
		surprise(run, "error of the wrong shape");
}

static void check_frame(struct connection *c, const struct json_object *frame)
{
	static const char *const results[] = {"WELCOME", "AUTH_OK", "ROOM_CREATED", "ROOM_JOIN_OK",
		"E2EE_POLICY", "ROOM_SNAPSHOT", "TRANSPORT_CREATED", "PRODUCED", "CONSUMER_ADDED",
		"ICE_RESTART_OK", "ROOM_LEFT", "ROUTER_RTP_CAPABILITIES", "ROOM_JOIN_SECRET"};
	const struct run *run = c->run;
	const char *type = json_object_get_string(get(frame, "type"));
	const char *id = json_object_get_string(get(frame, "msgId"));
	bool is_result = false;
	int64_t seq;

	if (json_object_get_int(get(frame, "v")) != 1 || type == NULL || id == NULL
		|| !json_object_is_type(get(frame, "ts"), json_type_int))
		surprise(run, "envelope of the wrong shape");
	if (strncmp(type, "call.", 5) != 0) // B10: keeps its sender's
		check_uuid(run, id);
	if (get(c->seen_ids, id) != NULL)
		surprise(run, "msgId %s twice", id);
	json_object_object_add(c->seen_ids, id, json_object_new_int(1));
	for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++)
		is_result = is_result || strcmp(results[i], type) == 0;
	seq = json_object_get_int64(get(frame, "seq"));
	if (is_result && !(seq == 0 && strcmp(type, "ROOM_SNAPSHOT") == 0)) { // B5: after a commit
		bool jumps = run->config.numbering == NUMBERING_CLOCK && seq > c->last_seq;

		if (seq != c->last_seq + 1 && !(c->last_seq == 0 && seq > 1) && !jumps)
			surprise(run, "%s has seq %lld after %lld", type, (long long)seq,
				(long long)c->last_seq);
		c->last_seq = seq;
	} else if (seq != 0 && !run->config.relay_seq_sender) {
		surprise(run, "%s has a seq", type);
	}
	if (strcmp(type, "ACK") == 0)
		check_ack(run, frame);
	else if (get(frame, "ack") != NULL)
		surprise(run, "%s has an ack", type);
}

static void io_send(void *ctx, void *conn, const char *text, size_t len)
{
	struct run *run = ctx;
	struct connection *c = conn;
	struct json_tokener *tokener = json_tokener_new();
	struct json_object *frame = json_tokener_parse_ex(tokener, text, (int)len);

	json_tokener_free(tokener);
	if (frame == NULL)
		surprise(run, "not JSON: %.*s", (int)len, text);
	if (c->session == NULL || c->closed != 0)
		surprise(run, "sent to a closed connection: %.*s", (int)len, text);
	if (c->first + c->count == MAX_FRAMES)
		surprise(run, "too many frames");
	check_frame(c, frame);
	c->frames[c->first + c->count++] = frame;
}

static void io_send_all(
	void *ctx, void *const *conns, size_t count, const char *text, size_t len, bool latest)
{
	(void)latest;
	for (size_t i = 0; i < count; i++)
		io_send(ctx, conns[i], text, len);
}

static void io_close(void *ctx, void *conn, uint16_t code, const char *reason)
{
	struct connection *c = conn;

	(void)reason;
	if (c->closed != 0)
		surprise(ctx, "closed twice");
	c->closed = code;
}

static int io_auth(
	void *ctx, uint64_t session_id, uint64_t request_id, const char *token, size_t len)
{
	struct run *run = ctx;

	if (len == 5 && memcmp(token, "nomem", len) == 0)
		return -ENOMEM;
	for (size_t i = 0; i < sizeof(run->auths) / sizeof(run->auths[0]); i++) {
		struct auth_call *a = &run->auths[i];

		if (a->used)
			continue;
		*a = (struct auth_call){session_id, request_id, "", true};
		snprintf(a->token, sizeof(a->token), "%.*s", (int)len, token == NULL ? "" : token);
		return 0;
	}
	surprise(run, "too many AUTHs");
	return 0;
}

static void io_random(void *ctx, void *out, size_t len)
{
	struct run *run = ctx;
	uint8_t *bytes = out;

	for (size_t i = 0; i < len; i++) {
		run->random = run->random * UINT64_C(6364136223846793005) + 1442695040888963407u;
		bytes[i] = (uint8_t)(run->random >> 56);
	}
}

static uint64_t io_wall_ms(void *ctx)
{
	const struct run *run = ctx;

	return run->start_ms + run->now_us / 1000;
}

static uint64_t io_now_us(void *ctx)
{
	return ((struct run *)ctx)->now_us;
}

static void io_wake_at(void *ctx, uint64_t at_us)
{
	struct run *run = ctx;

	if (run->wake_us == 0 || at_us < run->wake_us)
		run->wake_us = at_us;
}

/* ---- steps ---- */

static void answer_auth(struct run *run, struct auth_call *call, const char *what)
{
	struct auth_call a = *call;

	run->answered = a;
	call->used = false;
	if (strcmp(what, "down") == 0)
		core_auth_result(run->core, a.session_id, a.request_id, AUTH_UNAVAILABLE, NULL);
	else if (strncmp(what, "user-", 5) == 0)
		core_auth_result(run->core, a.session_id, a.request_id, AUTH_ACCEPTED, what + 5);
	else
		core_auth_result(run->core, a.session_id, a.request_id, AUTH_REFUSED, NULL);
}

/* Everything that answers by itself has answered. */
static void settle(struct run *run)
{
	bool again = true;

	while (again) {
		again = run->media != NULL && fake_media_settle(run->media) > 0;
		for (size_t i = 0; i < sizeof(run->auths) / sizeof(run->auths[0]); i++) {
			struct auth_call *a = &run->auths[i];

			if (a->used && strcmp(a->token, "hold") != 0) {
				char token[128];

				memcpy(token, a->token, sizeof(token));
				answer_auth(run, a, token);
				again = true;
			}
		}
	}
}

static struct connection *connection_of(struct run *run, char letter)
{
	if (letter < 'A' || letter > 'Z')
		surprise(run, "no connection %c", letter);
	return &run->connections[letter - 'A'];
}

static const char *variable(const struct run *run, const char *name)
{
	for (size_t i = 0; i < run->variable_count; i++) {
		if (strcmp(run->variables[i].name, name) == 0)
			return run->variables[i].value;
	}
	return NULL;
}

/* ' becomes ", $x what it stands for and @n n letters x (if fill). Free the result. */
static char *expand(struct run *run, const char *text, bool fill)
{
	char *out = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&out, &size);

	while (*text != '\0') {
		if (fill && *text == '$') {
			char name[32];
			size_t len = 1;
			const char *value;

			while (isalnum((unsigned char)text[len]))
				len++;
			snprintf(name, sizeof(name), "%.*s", (int)len, text);
			value = variable(run, name);
			if (value == NULL)
				surprise(run, "%s is not known", name);
			fputs(value, f);
			text += len;
		} else if (fill && *text == '@') {
			char *end;
			long count = strtol(text + 1, &end, 10);

			while (count-- > 0)
				fputc('x', f);
			text = end;
		} else {
			fputc(*text == '\'' ? '"' : *text, f);
			text++;
		}
	}
	fclose(f);
	return out;
}

static struct json_object *parse(struct run *run, const char *text)
{
	char *json = expand(run, text, false);
	struct json_object *o = json_tokener_parse(json);

	if (o == NULL)
		surprise(run, "not JSON in the script: %s", json);
	free(json);
	return o;
}

static bool matches_string(struct run *run, const char *want, const struct json_object *have)
{
	const char *value;

	if (strcmp(want, "*") == 0)
		return true;
	if (strcmp(want, "#") == 0)
		return json_object_is_type(have, json_type_int);
	if (!json_object_is_type(have, json_type_string))
		return false;
	value = json_object_get_string((struct json_object *)(uintptr_t)have);
	if (want[0] == '$') {
		const char *known = variable(run, want);
		struct variable *v = &run->variables[run->variable_count];

		if (known != NULL)
			return strcmp(known, value) == 0;
		if (run->variable_count++ == MAX_VARIABLES)
			surprise(run, "too many variables");
		snprintf(v->name, sizeof(v->name), "%s", want);
		snprintf(v->value, sizeof(v->value), "%s", value);
		return true;
	}
	return strcmp(want, value) == 0;
}

static bool matches(struct run *run, struct json_object *want, struct json_object *have)
{
	if (json_object_is_type(want, json_type_string))
		return matches_string(run, json_object_get_string(want), have);
	if (json_object_is_type(want, json_type_object)) {
		json_object_object_foreach(want, name, value)
		{
			struct json_object *inner = NULL;
			bool there = json_object_object_get_ex(have, name, &inner);

			if (json_object_is_type(value, json_type_string)
				&& strcmp(json_object_get_string(value), "-") == 0) {
				if (there)
					return false;
			} else if (!there || !matches(run, value, inner)) {
				return false;
			}
		}
		return json_object_is_type(have, json_type_object);
	}
	if (json_object_is_type(want, json_type_array)) {
		if (!json_object_is_type(have, json_type_array)
			|| json_object_array_length(want) != json_object_array_length(have))
			return false;
		for (size_t i = 0; i < json_object_array_length(want); i++) {
			if (!matches(run, json_object_array_get_idx(want, i),
				    json_object_array_get_idx(have, i)))
				return false;
		}
		return true;
	}
	return json_object_equal(want, have);
}

static void expect(struct run *run, const char *want_text, struct json_object *have)
{
	struct json_object *want;

	while (*want_text == ' ')
		want_text++;
	if (*want_text == '\0')
		return;
	want = parse(run, want_text);
	if (!matches(run, want, have))
		surprise(run, "wanted %s\ngot    %s", want_text, json_object_to_json_string(have));
	json_object_put(want);
}

static struct json_object *next_frame(struct run *run, struct connection *c)
{
	if (c->count == 0)
		surprise(run, "nothing was sent");
	c->count--;
	return c->frames[c->first++];
}

static void forget_frames(struct connection *c)
{
	while (c->count > 0) {
		c->count--;
		json_object_put(c->frames[c->first++]);
	}
	c->first = 0;
	c->sent_count = 0;
	c->sent_first = 0;
}

static void message(struct run *run, struct connection *c, const char *text)
{
	// An exact copy on the heap, so that reading past its end is seen.
	size_t len = strlen(text);
	char *copy = malloc(len == 0 ? 1 : len);

	if (c->session == NULL)
		surprise(run, "not open");
	memcpy(copy, text, len);
	core_session_message(c->session, copy, len);
	free(copy);
	settle(run);
}

static void step_send(struct run *run, struct connection *c, const char *rest)
{
	char type[64];
	int used = 0;
	char *payload, *text;
	size_t size;

	if (sscanf(rest, "%63s %n", type, &used) < 1)
		surprise(run, "no type");
	payload = expand(run, rest[used] == '\0' ? "{}" : rest + used, true);
	size = strlen(payload) + 256;
	text = malloc(size);
	c->next_id++;
	snprintf(text, size,
		"{\"v\":1,\"type\":\"%s\",\"msgId\":\"%c-%u\",\"ts\":1,\"seq\":%u,\"payload\":%s}",
		type, (char)('A' + (c - run->connections)), c->next_id, c->next_id, payload);
	if (c->sent_first + c->sent_count == MAX_SENT)
		surprise(run, "too many frames sent");
	snprintf(c->sent[c->sent_first + c->sent_count++], 32, "%c-%u",
		(char)('A' + (c - run->connections)), c->next_id);
	message(run, c, text);
	free(text);
	free(payload);
}

static void step_expect_ack(struct run *run, struct connection *c, const char *rest)
{
	struct json_object *frame = next_frame(run, c);
	struct json_object *ack = get(frame, "ack");
	char code[64];
	int used = 0;

	if (sscanf(rest, "%63s %n", code, &used) < 1)
		surprise(run, "no code");
	if (ack == NULL)
		surprise(run, "wanted an ACK, got %s", json_object_to_json_string(frame));
	if (c->sent_count == 0)
		surprise(run, "an ACK of nothing");
	if (strcmp(json_object_get_string(get(ack, "ackOfMsgId")), c->sent[c->sent_first]) != 0)
		surprise(run, "ACK of %s instead of %s",
			json_object_get_string(get(ack, "ackOfMsgId")), c->sent[c->sent_first]);
	c->sent_first++;
	c->sent_count--;
	if (strcmp(code, "ok") == 0) {
		if (!json_object_get_boolean(get(ack, "ok")))
			surprise(run, "refused: %s", json_object_to_json_string(ack));
	} else {
		struct json_object *error = get(ack, "error");

		if (error == NULL || strcmp(json_object_get_string(get(error, "code")), code) != 0)
			surprise(run, "wanted %s, got %s", code, json_object_to_json_string(ack));
		expect(run, rest + used, error);
	}
	json_object_put(frame);
}

static void step_expect(struct run *run, struct connection *c, const char *rest)
{
	struct json_object *frame;
	const char *have;
	char type[64];
	int used = 0;

	if (sscanf(rest, "%63s %n", type, &used) < 1)
		surprise(run, "no type");
	if (strcmp(type, "ACK") == 0) {
		step_expect_ack(run, c, rest + used);
		return;
	}
	frame = next_frame(run, c);
	have = json_object_get_string(get(frame, "type"));
	if (strcmp(have, type) != 0)
		surprise(run, "wanted %s, got %s", type, json_object_to_json_string(frame));
	expect(run, rest + used, get(frame, "payload"));
	json_object_put(frame);
}

static void step_connection(struct run *run, const char *step)
{
	struct connection *c = connection_of(run, step[0]);
	struct json_object *frame;
	unsigned code;
	char *text;

	switch (step[1]) {
	case '>':
		step_send(run, c, step + 2);
		return;
	case '!':
		text = expand(run, step + 3, true);
		message(run, c, text);
		free(text);
		return;
	case '<':
		step_expect(run, c, step + 2);
		return;
	case '=':
		frame = next_frame(run, c);
		expect(run, step + 2, frame);
		json_object_put(frame);
		return;
	case '-':
		if (c->count > 0)
			surprise(run, "unexpected: %s",
				json_object_to_json_string(c->frames[c->first]));
		return;
	case '~':
		forget_frames(c);
		return;
	}
	if (sscanf(step + 1, " closed %u", &code) == 1) {
		if (c->closed != code)
			surprise(run, "closed with %u", c->closed);
		return;
	}
	surprise(run, "no such step: %s", step);
}

static void connection_forget(struct connection *c)
{
	c->session = NULL;
	forget_frames(c);
	json_object_put(c->seen_ids);
	c->seen_ids = NULL;
	c->last_seq = 0;
	c->next_id = 0;
	c->closed = 0;
}

static void connection_close(struct connection *c, bool clean)
{
	struct session *s = c->session;

	connection_forget(c);
	core_session_close(s, clean);
}

static void step_auth(struct run *run, char letter, const char *what)
{
	struct connection *c = connection_of(run, letter);

	(void)c;
	for (size_t i = 0; i < sizeof(run->auths) / sizeof(run->auths[0]); i++) {
		if (run->auths[i].used) {
			answer_auth(run, &run->auths[i], what);
			settle(run);
			return;
		}
	}
	surprise(run, "no AUTH waits");
}

static void step_time(struct run *run, uint64_t ms)
{
	uint64_t end_us = run->now_us + ms * 1000;

	while (run->wake_us != 0 && run->wake_us <= end_us) {
		if (run->wake_us > run->now_us)
			run->now_us = run->wake_us;
		run->wake_us = 0;
		core_tick(run->core);
	}
	run->now_us = end_us;
}

static void step_media(struct run *run, const char *what)
{
	static const struct {
		const char *name;
		enum media_result result;
	} results[] = {{"ok", MEDIA_OK}, {"full", MEDIA_FULL}, {"unavailable", MEDIA_UNAVAILABLE},
		{"refused", MEDIA_REFUSED}};
	char name[16];
	int error;

	for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
		if (strcmp(results[i].name, what) == 0) {
			fake_media_answer(run->media, results[i].result);
			return;
		}
	}
	if (strcmp(what, "hold") == 0 || strcmp(what, "go") == 0) {
		fake_media_hold(run->media, what[0] == 'h');
	} else if (strcmp(what, "attach") == 0 || strcmp(what, "detach") == 0) {
		fake_media_attach(run->media, what[0] == 'a');
	} else if (strcmp(what, "foreign") == 0 || strcmp(what, "gone") == 0) {
		fake_media_set_foreign(run->media, what[0] == 'f');
	} else if (strcmp(what, "lose") == 0) {
		fake_media_lose(run->media);
	} else if (sscanf(what, "errno %d", &error) == 1) {
		fake_media_refuse(run->media, -error);
	} else if (sscanf(what, "speak %15s", name) == 1) {
		fake_media_speak(run->media, variable(run, name));
	} else if (sscanf(what, "end %15s", name) == 1) {
		fake_media_end(run->media, variable(run, name), MEDIA_END_CONSENT);
	} else {
		surprise(run, "no such step: media %s", what);
	}
	settle(run);
}

static void step_calls(struct run *run, char how, const char *text)
{
	bool there = *text != '\0' && strstr(fake_media_log(run->media), text) != NULL;

	if (how == '~')
		fake_media_log_clear(run->media);
	else if (there != (how == '+'))
		surprise(run, "%s: %s", there ? "unwanted call" : "no such call", text);
}

static void step_figures(struct run *run, const char *want)
{
	struct json_object *o = json_object_new_object();
	struct core_figures f;

	core_figures(run->core, &f);
	json_object_object_add(o, "rooms", json_object_new_int((int)f.rooms));
	json_object_object_add(o, "bound", json_object_new_int((int)f.bound_peers));
	json_object_object_add(o, "peers", json_object_new_int((int)f.room_peers));
	json_object_object_add(o, "producers", json_object_new_int((int)f.producers));
	json_object_object_add(o, "consumers", json_object_new_int((int)f.consumers));
	json_object_object_add(o, "transports", json_object_new_int((int)f.transports));
	json_object_object_add(o, "here", json_object_new_int((int)core_members_here(run->core)));
	json_object_object_add(o, "load", json_object_new_int((int)core_load(run->core)));
	expect(run, want, o);
	json_object_put(o);
}

static void io_remember(void *ctx, const char *kind, const char *id, const char *text)
{
	struct run *run = ctx;

	// As the journal: what is told while it is read counts for nothing, all is told afterwards.
	if (run->memory != NULL && memory_put(run->memory, kind, id, text) < 0)
		surprise(run, "no memory");
}

static void make_core(struct run *run)
{
	const struct core_io io = {
		.ctx = run,
		.send = io_send,
		.send_all = io_send_all,
		.close = io_close,
		.auth = io_auth,
		.random = io_random,
		.wall_ms = io_wall_ms,
		.now_us = io_now_us,
		.wake_at = io_wake_at,
		.remember = {run, io_remember},
	};

	run->core = core_create(&run->config, &io, run->media);
	if (run->core == NULL)
		surprise(run, "no core");
}

/* The process is killed and started again. The data plane, if there is one, is found again later. */
static void step_restart(struct run *run)
{
	struct memory *left = run->memory;
	struct restored restored;

	core_hand_over(run->core);
	if (run->media != NULL)
		fake_media_kill(run->media);
	core_destroy(run->core);
	for (size_t i = 0; i < 26; i++)
		connection_forget(&run->connections[i]);
	run->wake_us = 0;
	memset(run->auths, 0, sizeof(run->auths));
	run->memory = NULL;
	make_core(run);
	core_restore(run->core, left, &restored);
	memory_destroy(left);
	run->memory = memory_create();
	core_remember_all(run->core);
	if (restored.refused != 0)
		surprise(run, "%u entries of the memory are refused", restored.refused);
}

/* It was killed before it told of this. */
static void step_forget(struct run *run, const char *what)
{
	char kind[16], id[64];

	if (sscanf(what, "%15s %63s", kind, id) != 2 || memory_find(run->memory, kind, id) == NULL)
		surprise(run, "nothing to forget: %s", what);
	memory_put(run->memory, kind, id, NULL);
}

static void step_nodes(struct run *run, const char *text)
{
	struct region_list list;

	if (regions_parse(text, &list, NULL) != REGIONS_OK)
		surprise(run, "no list of nodes: %s", text);
	regions_configure(&run->regions, &list, 1000000, run->now_us);
	core_set_regions(run->core, &run->regions);
	core_regions_changed(run->core);
}

static void step_node(struct run *run, const char *text)
{
	struct region_report report = {.healthy = true};
	bool down, changed;
	char what[8];
	size_t i;

	if (sscanf(text, "%zu %7s %u", &i, what, &report.load) < 2 || i < 1
		|| i > run->regions.count)
		surprise(run, "no node: %s", text);
	snprintf(report.node_id, sizeof(report.node_id), "other-%zu", i);
	report.healthy = strcmp(what, "sick") != 0;
	down = strcmp(what, "down") == 0;
	changed = regions_heard(&run->regions, i - 1, down ? NULL : &report, run->now_us);
	if (down && run->regions.region[i - 1].state == REGION_UP)
		changed = regions_heard(&run->regions, i - 1, NULL, run->now_us);
	if (changed)
		core_regions_changed(run->core);
}

/* What is told of other nodes, and of a life before. */
static void apply_settings(struct run *run, const char *text);

static bool step_elsewhere(struct run *run, const char *line)
{
	uint64_t number;

	if (strncmp(line, "nodes ", 6) == 0)
		step_nodes(run, line + 6);
	else if (strncmp(line, "node ", 5) == 0)
		step_node(run, line + 5);
	else if (sscanf(line, "clock %lu", &number) == 1)
		core_heard_clock(run->core, (io_wall_ms(run) + number) * 1000);
	else if (sscanf(line, "wall %lu", &number) == 1)
		run->start_ms = number - run->now_us / 1000;
	else if (sscanf(line, "drain %lu", &number) == 1)
		core_drain(run->core, run->now_us + number * 1000);
	else
		return false;
	step_time(run, 0);
	return true;
}

static void step(struct run *run, const char *line)
{
	if (strncmp(line, "open ", 5) == 0) {
		struct connection *c = connection_of(run, line[5]);

		c->run = run;
		c->seen_ids = json_object_new_object();
		c->session
			= core_session_open(run->core, c, line[6] == ' ' ? line + 7 : "192.0.2.77");
		if (c->session == NULL)
			surprise(run, "not opened");
	} else if (strncmp(line, "reload ", 7) == 0) {
		apply_settings(run, line + 7);
	} else if (strncmp(line, "insecure ", 9) == 0) {
		core_session_insecure(connection_of(run, line[9])->session);
	} else if (strncmp(line, "expires ", 8) == 0) {
		core_auth_expires(run->core, run->answered.session_id, run->answered.request_id,
			1700000000 + (int64_t)(run->now_us / 1000000) + atoi(line + 10));
	} else if (strncmp(line, "close ", 6) == 0) {
		connection_close(connection_of(run, line[6]), true);
	} else if (strncmp(line, "lose ", 5) == 0) {
		connection_close(connection_of(run, line[5]), false);
	} else if (strncmp(line, "auth ", 5) == 0) {
		step_auth(run, line[5], line + 7);
	} else if (strncmp(line, "stop ", 5) == 0) {
		run->now_us += strtoull(line + 5, NULL, 10) * 1000;
	} else if (strncmp(line, "time ", 5) == 0) {
		step_time(run, strtoull(line + 5, NULL, 10));
	} else if (strcmp(line, "hand over") == 0) {
		core_hand_over(run->core);
	} else if (strncmp(line, "forget ", 7) == 0) {
		step_forget(run, line + 7);
	} else if (strcmp(line, "restart") == 0) {
		step_restart(run);
	} else if (strncmp(line, "media ", 6) == 0) {
		step_media(run, line + 6);
	} else if (strncmp(line, "figures ", 8) == 0) {
		step_figures(run, line + 8);
	} else if (strncmp(line, "regions ", 8) == 0) {
		struct json_object *o = core_rooms_by_region(run->core);

		expect(run, line + 8, o);
		json_object_put(o);
	} else if (line[0] == 'm' && strchr("+-~", line[1]) != NULL) {
		step_calls(run, line[1], line[1] == '~' ? "" : line + 3);
	} else if (!step_elsewhere(run, line)) {
		step_connection(run, line);
	}
}

/* ---- a run ---- */

static void set_text(char **field, const char *value)
{
	free(*field);
	*field = strdup(value);
}

static void apply_setting(struct run *run, const char *name, const char *value)
{
	struct config *c = &run->config;
	uint32_t number = (uint32_t)strtoul(value, NULL, 10);
	const struct {
		const char *name;
		bool *flag;
		uint32_t *number;
		char **text;
	} settings[] = {
		{"required", &c->e2ee_required, NULL, NULL},
		{"sframe", &c->require_sframe, NULL, NULL},
		{"sframe_drop", &c->sframe_drop, NULL, NULL},
		{"call_relay", &c->call_relay, NULL, NULL},
		{"turn_urls", NULL, NULL, &c->turn_urls},
		{"turn_secret", NULL, NULL, &c->turn_secret},
		{"turn_ttl", NULL, &c->turn_ttl_sec, NULL},
		{"grace_ms", NULL, &c->e2ee_grace_ms, NULL},
		{"committer_ready", &c->committer_ready, NULL, NULL},
		{"echo", &c->relay_echo, NULL, NULL},
		{"relay_seq", &c->relay_seq_sender, NULL, NULL},
		{"replay", &c->replay_producers, NULL, NULL},
		{"participants", NULL, &c->max_participants, NULL},
		{"rooms", NULL, &c->max_rooms, NULL},
		{"empty_room_sec", NULL, &c->empty_room_sec, NULL},
		{"auth_deadline_sec", NULL, &c->auth_deadline_sec, NULL},
		{"auth_recheck_sec", NULL, &c->auth_recheck_sec, NULL},
		{"strict", &c->strict, NULL, NULL},
		{"fallback_codecs", &c->fallback_codecs, NULL, NULL},
		{"codecs", NULL, NULL, &c->codecs},
		{"announced_ip", NULL, NULL, &c->announced_ip},
		{"min_port", &c->rtc_min_port_set, &c->rtc_min_port, NULL},
		{"heartbeat", NULL, &c->heartbeat_sec, NULL},
		{"ratchet", &c->require_double_ratchet, NULL, NULL},
		{"join_token", NULL, &c->join_token, NULL},
		{"join_secret", NULL, NULL, &c->join_token_secret},
		{"join_ttl", NULL, &c->join_token_ttl_sec, NULL},
		{"join_skip", &c->join_token_skip, NULL, NULL},
		{"rate", NULL, &c->rate_factor, NULL},
		{"per_address", NULL, &c->max_conn_per_address, NULL},
		{"secure", &c->require_secure_ws, NULL, NULL},
		{"resume_sec", NULL, &c->resume_sec, NULL},
		{"plane_sec", NULL, &c->plane_grace_sec, NULL},
		{"key_strict", &c->key_strict, NULL, NULL},
		{"key_rate", NULL, &c->key_package_rate, NULL},
		{"begin_rate", NULL, &c->rekey_begin_rate, NULL},
		{"policy", NULL, &c->rekey_policy, NULL},
		{"rekey_ms", NULL, &c->rekey_timeout_ms, NULL},
		{"numbering", NULL, &c->numbering, NULL},
		{"max_peers", NULL, &c->max_peers, NULL},
	};

	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		if (strcmp(settings[i].name, name) != 0)
			continue;
		if (settings[i].flag != NULL)
			*settings[i].flag = number != 0;
		if (settings[i].number != NULL)
			*settings[i].number = number;
		if (settings[i].text != NULL)
			set_text(settings[i].text, value);
		return;
	}
	surprise(run, "no setting %s", name);
}

static void apply_settings(struct run *run, const char *text)
{
	char *copy = strdup(text);
	char *rest = copy;
	char *word;

	while ((word = strsep(&rest, " ")) != NULL) {
		char *equals = strchr(word, '=');

		if (*word == '\0')
			continue;
		if (equals == NULL)
			surprise(run, "no value: %s", word);
		*equals = '\0';
		apply_setting(run, word, equals + 1);
	}
	free(copy);
}

static void begin(struct run *run)
{
	run->now_us = 1000000;
	run->start_ms = 1700000000000;
	run->random = 42;
	if (config_init(&run->config) < 0)
		surprise(run, "no configuration");
	set_text(&run->config.region, "tr");
	set_text(&run->config.node_id, "node-1");
	apply_settings(run, run->script->settings);
	if (run->script->flags & (SCRIPT_MEDIA | SCRIPT_DETACHED))
		run->media = fake_media_create();
	run->memory = memory_create();
	make_core(run);
	if (run->script->flags & SCRIPT_MEDIA)
		fake_media_attach(run->media, true);
}

static void end(struct run *run)
{
	core_destroy(run->core);
	for (size_t i = 0; i < 26; i++) {
		forget_frames(&run->connections[i]);
		json_object_put(run->connections[i].seen_ids);
	}
	if (run->media != NULL && fake_media_objects(run->media) != 0)
		surprise(run, "%u objects left in the data plane", fake_media_objects(run->media));
	fake_media_destroy(run->media);
	memory_destroy(run->memory);
	config_fini(&run->config);
}

void script_run(const struct script *script)
{
	struct run *run = calloc(1, sizeof(*run));
	char *copy = strdup(script->text);
	char *rest = copy;
	char *line;

	run->script = script;
	begin(run);
	while ((line = strsep(&rest, "\n")) != NULL) {
		run->line++;
		while (*line == ' ' || *line == '\t')
			line++;
		if (*line != '\0')
			step(run, line);
	}
	end(run);
	free(copy);
	free(run);
}
