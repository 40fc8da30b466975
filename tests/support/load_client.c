// SPDX-License-Identifier: BSD-3-Clause
#include "tests/support/load_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRAME_BYTES 2048u
#define PAYLOAD_BYTES 1536u
#define MSG_ID_BYTES 37

static const char *const types[] = {
	[STEP_HELLO] = "HELLO",
	[STEP_AUTH] = "AUTH",
	[STEP_CAPS] = "E2EE_CAPS",
	[STEP_CREATE] = "ROOM_CREATE",
	[STEP_JOIN] = "ROOM_JOIN",
	[STEP_READY] = "E2EE_READY",
	[STEP_SEND_TRANSPORT] = "TRANSPORT_CREATE",
	[STEP_SEND_CONNECT] = "TRANSPORT_CONNECT",
	[STEP_RECV_TRANSPORT] = "TRANSPORT_CREATE",
	[STEP_RECV_CONNECT] = "TRANSPORT_CONNECT",
	[STEP_PING] = "PING",
	[STEP_TALK] = "KEY_ACK",
};

/* As long as a UUID, and as unlike the others. */
static void make_msg_id(const struct load_client *c, uint32_t seq, char out[MSG_ID_BYTES])
{
	snprintf(out, MSG_ID_BYTES, "%08x-0000-4000-8000-%012x", c->number, seq);
}

static void make_payload(const struct load_client *c, char out[PAYLOAD_BYTES])
{
	const struct load_group *g = c->group;
	unsigned room = c->number / (g->room_size > 0 ? g->room_size : 1);

	switch (c->step) {
	case STEP_HELLO:
		snprintf(out, PAYLOAD_BYTES,
			"{\"client\":{\"deviceId\":\"%s-device-%u\",\"platform\":\"web\","
			"\"appVersion\":\"1.0.0\",\"build\":\"dev\",\"locale\":\"en\"}}",
			g->name, c->number);
		break;
	case STEP_AUTH:
		if (g->tokens != NULL)
			snprintf(out, PAYLOAD_BYTES, "{\"accessToken\":\"%s\"}",
				g->tokens[c->number % g->token_count]);
		else
			snprintf(out, PAYLOAD_BYTES, "{\"accessToken\":\"%08u-%s-0123456789\"}",
				c->number, g->name);
		break;
	case STEP_CAPS:
		snprintf(out, PAYLOAD_BYTES,
			"{\"insertableStreams\":true,\"sframe\":true,\"doubleRatchet\":true,"
			"\"supportedCipherSuites\":[\"DOUBLE_RATCHET_P256_AES128GCM\"]}");
		break;
	case STEP_CREATE:
		snprintf(out, PAYLOAD_BYTES,
			"{\"roomId\":\"%s-room-%u\",\"callId\":\"call-1\",\"allowedUserIds\":[],"
			"\"maxPeers\":10}",
			g->name, room);
		break;
	case STEP_JOIN:
		snprintf(out, PAYLOAD_BYTES,
			"{\"roomId\":\"%s-room-%u\",\"deviceId\":\"%s-device-%u\",\"callId\":"
			"\"call-1\"}",
			g->name, room, g->name, c->number);
		break;
	case STEP_READY:
		snprintf(out, PAYLOAD_BYTES, "{\"roomId\":\"%s-room-%u\",\"epoch\":0}", g->name,
			room);
		break;
	case STEP_SEND_TRANSPORT:
	case STEP_RECV_TRANSPORT:
		snprintf(out, PAYLOAD_BYTES, "{\"roomId\":\"%s-room-%u\",\"direction\":\"%s\"}",
			g->name, room, c->step == STEP_SEND_TRANSPORT ? "send" : "recv");
		break;
	case STEP_SEND_CONNECT:
	case STEP_RECV_CONNECT:
		snprintf(out, PAYLOAD_BYTES,
			"{\"roomId\":\"%s-room-%u\",\"transportId\":\"%s\",\"dtlsParameters\":{"
			"\"role\":\"client\",\"fingerprints\":[{\"algorithm\":\"sha-256\","
			"\"value\":\"AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:"
			"AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB\"}]}}",
			g->name, room, c->transport);
		break;
	case STEP_TALK:
		snprintf(out, PAYLOAD_BYTES, "{\"load\":\"%0*u\"}", (int)c->octets, 0u);
		break;
	default:
		snprintf(out, PAYLOAD_BYTES, "{}");
		break;
	}
}

static void send_step(struct load_client *c)
{
	char frame[FRAME_BYTES], payload[PAYLOAD_BYTES], msg_id[MSG_ID_BYTES];
	int len;

	c->seq++;
	make_msg_id(c, c->seq, msg_id);
	make_payload(c, payload);
	len = snprintf(frame, sizeof(frame),
		"{\"v\":1,\"type\":\"%s\",\"msgId\":\"%s\",\"ts\":%llu,\"seq\":%u,\"payload\":%s}",
		types[c->step], msg_id, 1700000000000ull + load_now_us() / 1000, c->seq, payload);
	if (len < 0 || len >= (int)sizeof(frame))
		abort();
	load_send(c->conn, frame, (size_t)len);
}

static void request(struct load_client *c, uint64_t due_us)
{
	c->due_us[(c->seq + 1) % LOAD_WINDOW] = due_us;
	send_step(c);
}

static void fail(struct load_client *c, uint64_t *counter, const char *what, size_t len)
{
	struct load_group *g = c->group;

	if (g->refused + g->lost == 0)
		snprintf(g->why, sizeof(g->why), "%s: %.*s", types[c->step], (int)len, what);
	++*counter;
	c->acked = c->seq;
	if (c->on_done != NULL)
		c->on_done(c, false);
}

/* The string behind a key; "" when it is not there. */
static void take_string(const char *text, size_t len, const char *key, char *out, size_t size)
{
	const char *at = memmem(text, len, key, strlen(key)), *last;

	out[0] = '\0';
	if (at == NULL)
		return;
	at += strlen(key);
	last = memchr(at, '"', (size_t)(text + len - at));
	if (last != NULL)
		snprintf(out, size, "%.*s", (int)(last - at), at);
}

static void on_ack(struct load_client *c, const char *text, size_t len)
{
	struct load_group *g = c->group;
	char expected[64], msg_id[MSG_ID_BYTES];
	int expected_len;

	make_msg_id(c, c->acked + 1, msg_id);
	expected_len
		= snprintf(expected, sizeof(expected), "\"ackOfMsgId\":\"%s\",\"ok\":true", msg_id);
	if (memmem(text, len, expected, (size_t)expected_len) == NULL) {
		fail(c, &g->refused, text, len);
		return;
	}
	c->acked++;
	latency_add(&g->latency, load_now_us() - c->due_us[c->acked % LOAD_WINDOW]);
	g->answered++;
	if (c->step < STEP_JOINED && ++c->step < c->steps)
		request(c, load_now_us());
	else if (c->on_done != NULL)
		c->on_done(c, true);
}

static bool has(const char *text, size_t len, const char *what)
{
	return memmem(text, len, what, strlen(what)) != NULL;
}

static void on_text(void *ctx, const char *text, size_t len)
{
	struct load_client *c = ctx;

	if (!load_client_busy(c))
		return;
	// Ids may be anything, but ours hold no quotation mark: these octets are nowhere else.
	if (has(text, len, "\"type\":\"ACK\""))
		on_ack(c, text, len);
	else if (has(text, len, "\"type\":\"TRANSPORT_CREATED\""))
		take_string(text, len, "\"transportId\":\"", c->transport, sizeof(c->transport));
}

static void on_open(void *ctx)
{
	struct load_client *c = ctx;

	if (c->steps > 0)
		request(c, load_now_us());
	else if (c->on_done != NULL)
		c->on_done(c, true);
}

static void on_ping(void *ctx)
{
	struct load_client *c = ctx;

	c->group->pings++;
}

static void on_closed(void *ctx, uint16_t code)
{
	struct load_client *c = ctx;
	char what[32];

	c->conn = NULL;
	c->close_code = code;
	fail(c, &c->group->lost, what,
		(size_t)snprintf(what, sizeof(what), "closed with %u", code));
}

bool load_client_start(struct load_client *c, struct load_group *group, uint32_t number,
	unsigned steps, void (*on_done)(struct load_client *c, bool ok))
{
	static const struct load_events events = {
		.on_open = on_open, .on_text = on_text, .on_ping = on_ping, .on_closed = on_closed};

	*c = (struct load_client){
		.group = group, .number = number, .steps = steps, .on_done = on_done};
	c->conn = load_connect(group->loop, &events, c);
	return c->conn != NULL;
}

void load_client_go_on(struct load_client *c, unsigned steps)
{
	c->steps = steps;
	request(c, load_now_us());
}

void load_client_ping(struct load_client *c, uint64_t due_us)
{
	c->step = STEP_PING;
	request(c, due_us);
}

void load_client_talk(struct load_client *c, unsigned octets)
{
	c->step = STEP_TALK;
	c->octets = octets < PAYLOAD_BYTES - 16 ? octets : PAYLOAD_BYTES - 16;
	request(c, load_now_us());
}

void load_client_flood(struct load_client *c, unsigned count)
{
	c->step = STEP_PING;
	while (count-- > 0 && c->conn != NULL)
		send_step(c);
}

void load_client_stop(struct load_client *c, bool politely)
{
	if (c->conn != NULL)
		load_close(c->conn, politely);
	c->conn = NULL;
}
