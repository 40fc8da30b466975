// SPDX-License-Identifier: BSD-3-Clause
/*
 * Key epochs of one room against a model: random requests of four devices that come, are killed,
 * come back or leave, while time passes, under each rekey policy. The data plane dies or loses us and
 * comes back; we die ourselves, and everybody begins anew with another of us. After every step the
 * answers are those of the model, and so is, in the programme of the data plane, whether each member's
 * edges are open, also while nobody is there to shut them. The model keeps sets and histories; the
 * core keeps states and counters.
 *
 * SFU_MODEL_STEPS: how many steps, default 1000000; SFU_MODEL_LENGTH: how many of them begin with nothing
 * known, default 500.
 */
#include "sfu-ctl/config.h"
#include "sfu-ctl/core.h"
#include "sfu-ctl/log.h"
#include "sfu-ctl/numbering.h"
#include "tests/unit/fake_media.h"
#include "tests/unit/outside.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEVICES 4u
#define GRACE_US UINT64_C(20000000)
#define REKEY_US UINT64_C(15000000)
#define RESUME_US UINT64_C(30000000)
#define PEERS 1024u
/** Where wall time begins here: after the zero of clock numbers. */
#define WALL_US (NUMBERING_ZERO_US + UINT64_C(1000000))

enum { RELAY, LEADER, QUORUM };

/* What the model knows of a device. */
struct device {
	bool member, lost; /* lost: its connection is, its place not yet */
	uint64_t lost_until_us;
	bool claimed, ready,
		overtaken; /* E2EE_READY or a commit; by which it is ready; a later epoch */
	uint64_t claim_epoch, overtaken_us;
	unsigned missed; /* turns as leader */
};

struct model {
	unsigned policy;
	struct device device[DEVICES];
	unsigned order[DEVICES], members; /* in join order */
	uint64_t epoch;
	bool running, again;
	unsigned conductor;
	uint64_t target, deadline_us; /* 0 = none */
	unsigned needed, acked; /* sets of devices */
	unsigned turns;
};

struct connection {
	struct session *session;
	bool shut;
	unsigned seq;
	char code[40]; /* of the last ACK, "ok" */
	char token[40]; /* of its WELCOME */
	char lost_token[40]; /* to come back with to the place it lost */
	char package[40]; /* msgId of the last KEY_PACKAGE */
};

struct world {
	struct outside out;
	struct config config;
	struct media *media;
	struct model model;
	bool plane; /* the data plane is attached */
	uint64_t plane_gone_us; /* since when it is not */
	uint64_t joined_epoch; /* of the last ROOM_JOIN_OK */
	uint64_t highest_epoch; /* ever, of any core's life */
	struct connection connection[DEVICES];
	char begin[40]; /* msgId of the last REKEY_BEGIN as relayed */
	uint64_t auth_session, auth_request;
	unsigned auth_device;
	uint64_t peer_until[PEERS]; /* of the data plane, by peer number */
	unsigned peer_of[DEVICES]; /* 0 = none */
	unsigned last_peer, step, next_id;
	uint64_t *checks;
};

static uint32_t roll(struct world *w, uint32_t sides)
{
	return outside_roll(&w->out, sides);
}

/* ---- the world of the core ---- */

/* The string member of that name, in a frame without white space. */
static bool copy_member(const char *text, const char *name, char *out, size_t size)
{
	char quoted[40];
	const char *at;

	snprintf(quoted, sizeof(quoted), "\"%s\":\"", name);
	at = strstr(text, quoted);
	if (at == NULL)
		return false;
	at += strlen(quoted);
	snprintf(out, size, "%.*s", (int)strcspn(at, "\""), at);
	return true;
}

static void io_send(void *ctx, void *conn, const char *text, size_t len)
{
	struct world *w = ctx;
	struct connection *c = conn;
	char type[40];

	(void)len;
	assert_true(copy_member(text, "type", type, sizeof(type)));
	if (strcmp(type, "ACK") == 0) {
		if (!copy_member(text, "code", c->code, sizeof(c->code)))
			snprintf(c->code, sizeof(c->code), "ok");
	} else if (strcmp(type, "ROOM_JOIN_OK") == 0) {
		w->joined_epoch = strtoull(strstr(text, "\"epoch\":") + 8, NULL, 10);
	} else if (strcmp(type, "WELCOME") == 0) {
		copy_member(text, "resumeToken", c->token, sizeof(c->token));
	} else if (strcmp(type, "REKEY_BEGIN") == 0) {
		copy_member(text, "msgId", w->begin, sizeof(w->begin));
	} else if (strcmp(type, "KEY_PACKAGE") == 0) {
		copy_member(text, "msgId", c->package, sizeof(c->package));
	}
}

static void io_close(void *ctx, void *conn, uint16_t code, const char *reason)
{
	(void)ctx;
	(void)code;
	(void)reason;
	((struct connection *)conn)->shut = true;
}

static int io_auth(
	void *ctx, uint64_t session_id, uint64_t request_id, const char *token, size_t len)
{
	struct world *w = ctx;

	assert_int_equal(len, 1);
	w->auth_session = session_id;
	w->auth_request = request_id;
	w->auth_device = (unsigned)(token[0] - '0');
	return 0;
}

static const char *ask(struct world *w, unsigned d, const char *type, const char *payload)
{
	struct connection *c = &w->connection[d];
	char text[512];
	int len;

	c->seq++;
	c->code[0] = '\0';
	len = snprintf(text, sizeof(text),
		"{\"v\":1,\"type\":\"%s\",\"msgId\":\"%u\",\"ts\":0,\"seq\":%u,\"payload\":{%s}}",
		type, w->next_id++, c->seq, payload);
	core_session_message(c->session, text, (size_t)len);
	return c->code;
}

static void __attribute__((noreturn))
differ(const struct world *w, unsigned d, const char *what, const char *have, const char *want)
{
	fprintf(stderr, "policy %u step %u device %u: %s is %s instead of %s\n", w->model.policy,
		w->step, d, what, have, want);
	fflush(NULL);
	_Exit(1);
}

static void expect(
	const struct world *w, unsigned d, const char *what, const char *have, const char *want)
{
	if (strcmp(have, want) != 0)
		differ(w, d, what, have, want);
}

/* The member whose peer is new in the programme: the first in join order that has none. */
static unsigned without_peer(const struct world *w)
{
	for (unsigned i = 0; i < w->model.members; i++) {
		if (w->peer_of[w->model.order[i]] == 0)
			return w->model.order[i];
	}
	return DEVICES;
}

/* What the core told the data plane of the members, in the order in which it did. */
static void read_programme(struct world *w)
{
	const char *line = fake_media_log(w->media);

	for (; *line != '\0'; line = strchr(line, '\n') + 1) {
		unsigned long long until = UINT64_MAX;
		unsigned peer;

		if (sscanf(line, "peer P%u", &peer) != 1)
			continue;
		assert_true(peer < PEERS);
		sscanf(line, "peer P%*u until=%llu", &until);
		w->peer_until[peer] = until;
		if (peer > w->last_peer) {
			unsigned d = without_peer(w);

			w->last_peer = peer;
			if (d < DEVICES)
				w->peer_of[d] = peer;
		}
	}
	fake_media_log_clear(w->media);
}

/* ---- the model ---- */

static unsigned leader(const struct model *m)
{
	unsigned best = DEVICES;

	// Those that are here before those that are lost, then by missed turns, then by age.
	for (unsigned pass = 0; pass < 2 && best == DEVICES; pass++) {
		for (unsigned i = 0; i < m->members; i++) {
			unsigned d = m->order[i];

			if (m->device[d].lost == (pass == 1)
				&& (best == DEVICES
					|| m->device[d].missed < m->device[best].missed))
				best = d;
		}
	}
	return best;
}

static void want_rekey(struct model *m, uint64_t now_us)
{
	m->running = false;
	m->again = false;
	m->turns = m->members;
	m->deadline_us = now_us + REKEY_US;
}

static void members_changed(struct model *m, uint64_t now_us)
{
	if (m->running)
		m->again = true;
	else
		want_rekey(m, now_us);
}

static void drop_from_quorum(struct model *m, unsigned d)
{
	m->needed &= ~(1u << d);
	m->acked &= ~(1u << d);
}

static void model_lost(struct model *m, unsigned d, uint64_t now_us)
{
	drop_from_quorum(m, d);
	if (m->policy != RELAY && m->running && m->conductor == d)
		want_rekey(m, now_us);
}

static void model_joined(struct model *m, unsigned d, uint64_t now_us)
{
	struct device *device = &m->device[d];
	unsigned missed = device->missed;

	if (device->member) {
		model_lost(m, d, now_us); // again: its key is gone
		*device = (struct device){.member = true, .missed = missed};
	} else {
		*device = (struct device){.member = true};
		m->order[m->members++] = d;
	}
	if (m->policy != RELAY && m->members > 1)
		members_changed(m, now_us);
}

static void model_left(struct model *m, unsigned d, uint64_t now_us)
{
	bool conducted = m->running && m->conductor == d;
	unsigned n = 0;

	for (unsigned i = 0; i < m->members; i++) {
		if (m->order[i] != d)
			m->order[n++] = m->order[i];
	}
	m->members = n;
	drop_from_quorum(m, d);
	m->device[d] = (struct device){0};
	if (n == 0) {
		*m = (struct model){.policy = m->policy}; // the room is gone
		return;
	}
	if (m->policy == RELAY)
		return;
	if (conducted)
		want_rekey(m, now_us);
	else
		members_changed(m, now_us);
}

static void model_commit(struct model *m, unsigned d, uint64_t epoch, uint64_t now_us)
{
	bool rises = epoch > m->epoch;

	m->epoch = epoch;
	for (unsigned i = 0; i < DEVICES && rises; i++) {
		struct device *other = &m->device[i];

		if (i != d && other->claimed && !other->overtaken) {
			other->overtaken = true;
			other->overtaken_us = now_us;
		}
	}
	if (rises || !m->device[d].claimed || m->device[d].claim_epoch != epoch)
		m->device[d].ready = false;
	m->device[d].claimed = true;
	m->device[d].claim_epoch = epoch;
	m->device[d].overtaken = false;
	if (m->policy == RELAY || !rises)
		return;
	m->device[d].missed = 0;
	m->running = false;
	m->deadline_us = 0;
	if (m->again)
		want_rekey(m, now_us);
}

static const char *model_begin_code(const struct model *m, unsigned d, uint64_t epoch)
{
	if (m->policy == RELAY)
		return "ok";
	if (m->running && m->conductor != d)
		return "E2EE_KEY_SYNC_FAILED";
	if (!m->running && m->policy == LEADER && leader(m) != d)
		return "UNAUTHORIZED";
	return epoch > m->epoch ? "ok" : "E2EE_EPOCH_MISMATCH";
}

static const char *model_commit_code(const struct model *m, unsigned d, uint64_t epoch)
{
	if (epoch < m->epoch)
		return "E2EE_EPOCH_MISMATCH";
	if (m->policy == RELAY)
		return "ok";
	if (epoch == m->epoch)
		return m->policy == LEADER && leader(m) != d ? "UNAUTHORIZED" : "ok";
	if (!m->running && m->policy == QUORUM)
		return "E2EE_KEY_SYNC_FAILED";
	if (!m->running)
		return leader(m) == d ? "ok" : "UNAUTHORIZED";
	if (m->conductor != d)
		return "UNAUTHORIZED";
	if (epoch != m->target)
		return "E2EE_EPOCH_MISMATCH";
	return m->policy == QUORUM && m->needed != m->acked ? "E2EE_KEY_SYNC_FAILED" : "ok";
}

static void model_deadline(struct model *m, uint64_t now_us)
{
	if (m->running) {
		m->device[m->conductor].missed++;
		want_rekey(m, now_us);
		return;
	}
	m->device[leader(m)].missed++;
	m->turns--;
	m->deadline_us = m->turns == 0 ? 0 : now_us + REKEY_US;
}

/* ---- steps ---- */

static void authenticate(struct world *w, unsigned d)
{
	char payload[48];

	snprintf(payload, sizeof(payload), "\"accessToken\":\"%u\"", d);
	ask(w, d, "AUTH", payload);
	core_auth_result(w->out.core, w->auth_session, w->auth_request, AUTH_ACCEPTED,
		(const char *[]){"ann", "bob", "cem", "dua"}[w->auth_device]);
	expect(w, d, "AUTH", w->connection[d].code, "ok");
	expect(w, d, "CAPS", ask(w, d, "E2EE_CAPS", "\"insertableStreams\":true"), "ok");
}

static void step_connect(struct world *w, unsigned d)
{
	struct connection *c = &w->connection[d];
	struct device *device = &w->model.device[d];
	bool back = device->lost && roll(w, 2) == 0;
	char payload[192];

	c->session = core_session_open(w->out.core, c, "192.0.2.9");
	assert_non_null(c->session);
	c->seq = 0;
	c->shut = false;
	snprintf(payload, sizeof(payload),
		"\"client\":{\"deviceId\":\"device-%u\",\"ext\":[\"resume\"]},"
		"\"resume\":{\"resumeToken\":\"%s\"}",
		d, back ? c->lost_token : "");
	expect(w, d, "HELLO", ask(w, d, "HELLO", payload), "ok");
	authenticate(w, d);
	if (!back)
		return;
	device->lost = false;
	// Whoever missed a key asks for the next one.
	if (w->model.policy != RELAY && w->model.members > 1
		&& !(device->ready && device->claim_epoch == w->model.epoch))
		members_changed(&w->model, w->out.now_us);
}

static void step_close(struct world *w, unsigned d)
{
	struct connection *c = &w->connection[d];
	struct device *device = &w->model.device[d];
	bool clean = roll(w, 2) == 0;
	// A connection that did not come back is in no room; the lost one stays as it is.
	bool holds = device->member && !device->lost;

	core_session_close(c->session, clean);
	c->session = NULL;
	if (!holds)
		return;
	if (clean) {
		model_left(&w->model, d, w->out.now_us);
		return;
	}
	memcpy(c->lost_token, c->token, sizeof(c->token));
	device->lost = true;
	device->lost_until_us = w->out.now_us + RESUME_US;
	model_lost(&w->model, d, w->out.now_us);
}

/* A number around the room's epoch. */
static uint64_t some_epoch(struct world *w)
{
	uint64_t epoch = w->model.epoch;

	switch (roll(w, 8)) {
	case 0:
		return epoch;
	case 1:
		return epoch > 0 ? epoch - 1 : 0;
	case 2:
		return epoch + 2;
	default:
		return epoch + 1;
	}
}

static void step_ready(struct world *w, unsigned d, bool member)
{
	uint64_t epoch = roll(w, 4) == 0 ? some_epoch(w) : w->model.epoch;
	struct device *device = &w->model.device[d];
	char payload[48];

	snprintf(payload, sizeof(payload), "\"epoch\":%llu", (unsigned long long)epoch);
	expect(w, d, "E2EE_READY", ask(w, d, "E2EE_READY", payload),
		!member                   ? "UNAUTHORIZED"
		: epoch == w->model.epoch ? "ok"
					  : "E2EE_EPOCH_MISMATCH");
	if (!member || epoch != w->model.epoch)
		return;
	device->claimed = true;
	device->ready = true;
	device->overtaken = false;
	device->claim_epoch = epoch;
}

static void step_begin(struct world *w, unsigned d, bool member)
{
	struct model *m = &w->model;
	uint64_t epoch = some_epoch(w);
	const char *want = member ? model_begin_code(m, d, epoch) : "UNAUTHORIZED";
	char payload[48];

	snprintf(payload, sizeof(payload), "\"epoch\":%llu", (unsigned long long)epoch);
	expect(w, d, "REKEY_BEGIN", ask(w, d, "REKEY_BEGIN", payload), want);
	if (strcmp(want, "ok") != 0 || m->policy == RELAY)
		return;
	m->running = true;
	m->conductor = d;
	m->target = epoch;
	m->deadline_us = w->out.now_us + REKEY_US;
	m->needed = 0;
	m->acked = 0;
	for (unsigned i = 0; i < m->members; i++) {
		unsigned other = m->order[i];

		w->connection[other].package[0] = '\0';
		if (other != d && !m->device[other].lost)
			m->needed |= 1u << other;
	}
}

static void step_commit(struct world *w, unsigned d, bool member)
{
	uint64_t epoch = w->model.running && roll(w, 4) != 0 ? w->model.target : some_epoch(w);
	const char *want = member ? model_commit_code(&w->model, d, epoch) : "UNAUTHORIZED";
	char payload[48];

	snprintf(payload, sizeof(payload), "\"epoch\":%llu", (unsigned long long)epoch);
	expect(w, d, "REKEY_COMMIT", ask(w, d, "REKEY_COMMIT", payload), want);
	if (strcmp(want, "ok") == 0)
		model_commit(&w->model, d, epoch, w->out.now_us);
}

static void step_package(struct world *w, unsigned d, bool member)
{
	unsigned target = roll(w, DEVICES);
	const struct device *device = &w->model.device[target];
	char payload[48];

	snprintf(payload, sizeof(payload), "\"targetDeviceId\":\"device-%u\"", target);
	expect(w, d, "KEY_PACKAGE", ask(w, d, "KEY_PACKAGE", payload),
		!member           ? "UNAUTHORIZED"
		: !device->member ? "KEY_PACKAGE_TARGET_NOT_FOUND"
		: device->lost    ? "KEY_PACKAGE_TARGET_OFFLINE"
				  : "ok");
}

static void step_ack(struct world *w, unsigned d, bool member)
{
	struct model *m = &w->model;
	const char *package = w->connection[d].package;
	bool of_package = roll(w, 3) == 0;
	bool real = roll(w, 6) != 0;
	uint64_t epoch = roll(w, 6) == 0 ? some_epoch(w) : m->target;
	char payload[128];

	snprintf(payload, sizeof(payload), "\"epoch\":%llu,\"refId\":\"%s\"",
		(unsigned long long)epoch,
		!real        ? "other"
		: of_package ? package
			     : w->begin);
	expect(w, d, "KEY_ACK", ask(w, d, "KEY_ACK", payload), member ? "ok" : "UNAUTHORIZED");
	if (member && m->running && real && epoch == m->target
		&& (!of_package || package[0] != '\0'))
		m->acked |= m->needed & 1u << d;
}

static void step_gate(struct world *w, unsigned d, bool member)
{
	const struct device *device = &w->model.device[d];
	bool open = device->claimed && device->ready && device->claim_epoch == w->model.epoch;

	expect(w, d, "the gate", ask(w, d, "CONSUME", "\"producerId\":\"none\""),
		!member    ? "UNAUTHORIZED"
		: !open    ? "E2EE_NOT_READY"
		: w->plane ? "PRODUCER_NOT_FOUND"
			   : "SFU_NODE_UNAVAILABLE");
}

static void step_join(struct world *w, unsigned d)
{
	bool is_new = w->model.members == 0;

	if (!w->model.device[d].member)
		w->peer_of[d] = 0;
	expect(w, d, "ROOM_JOIN", ask(w, d, "ROOM_JOIN", "\"roomId\":\"room\""), "ok");
	// Its own lost connection, if there is one, is replaced.
	model_joined(&w->model, d, w->out.now_us);
	if (!is_new)
		return;
	// Numbers by the clock never go back, whoever has died meanwhile.
	if (w->config.numbering == NUMBERING_CLOCK ? w->joined_epoch < w->highest_epoch
						   : w->joined_epoch != 0)
		differ(w, d, "the first epoch", "lower than one before", "higher");
	w->model.epoch = w->joined_epoch;
}

/* The data plane dies or is only not heard of; later one is there. */
static void step_plane(struct world *w)
{
	w->plane = !w->plane;
	if (w->plane) {
		fake_media_attach(w->media, true);
		return;
	}
	w->plane_gone_us = w->out.now_us;
	if (roll(w, 2) == 0)
		fake_media_lose(w->media);
	fake_media_attach(w->media, false);
}

static void compare_edges(struct world *w);

static void begin_life(struct world *w)
{
	const struct core_io io = outside_io(&w->out, io_send, io_close, io_auth);

	w->media = fake_media_create();
	w->out.core = core_create(&w->config, &io, w->media);
	assert_non_null(w->out.core);
	fake_media_attach(w->media, true);
	fake_media_log_clear(w->media);
	w->plane = true;
}

/* kill -9: the data plane keeps what it was told, and grace runs out by its own clock. */
static void step_death(struct world *w)
{
	fake_media_kill(w->media);
	core_destroy(w->out.core);
	for (unsigned i = roll(w, 8); i > 0; i--) {
		w->out.now_us += 1 + roll(w, 8000000);
		compare_edges(w);
	}
	w->out.now_us += 2000; // wall time has milliseconds, and no process starts within one
	// The next of us wants none of what is there: nobody is a member until it joins.
	fake_media_destroy(w->media);
	w->model = (struct model){.policy = w->model.policy};
	w->out.wake_us = 0;
	w->last_peer = 0;
	memset(w->peer_of, 0, sizeof(w->peer_of));
	memset(w->peer_until, 0, sizeof(w->peer_until));
	memset(w->connection, 0, sizeof(w->connection));
	begin_life(w);
}

static void step_request(struct world *w, unsigned d)
{
	bool member = w->model.device[d].member && !w->model.device[d].lost;

	switch (roll(w, member ? 24 : 3)) {
	case 0:
	case 1:
		step_join(w, d);
		break;
	case 2:
		step_gate(w, d, member);
		break;
	case 3:
		expect(w, d, "ROOM_LEAVE", ask(w, d, "ROOM_LEAVE", ""), "ok");
		model_left(&w->model, d, w->out.now_us);
		break;
	case 4:
	case 5:
	case 6:
	case 7:
		step_ready(w, d, member);
		break;
	case 8:
	case 9:
	case 10:
		step_begin(w, d, member);
		break;
	case 11:
	case 12:
	case 13:
	case 14:
		step_commit(w, d, member);
		break;
	case 15:
	case 16:
		step_package(w, d, member);
		break;
	case 17:
	case 18:
	case 19:
	case 20:
		step_ack(w, d, member);
		break;
	default:
		step_gate(w, d, member);
	}
}

/* The model's deadlines up to now, the earliest first; at the same time rekeys before leaving. */
static void model_time(struct world *w)
{
	struct model *m = &w->model;

	for (;;) {
		unsigned who = DEVICES;
		uint64_t first = m->deadline_us != 0 ? m->deadline_us : UINT64_MAX;

		for (unsigned d = 0; d < DEVICES; d++) {
			if (m->device[d].lost && m->device[d].lost_until_us < first) {
				first = m->device[d].lost_until_us;
				who = d;
			}
		}
		if (first > w->out.now_us)
			return;
		if (who == DEVICES)
			model_deadline(m, first);
		else
			model_left(m, who, first);
	}
}

static void step_time(struct world *w)
{
	uint64_t end_us = w->out.now_us + 1 + roll(w, 6000000);

	while (w->out.wake_us != 0 && w->out.wake_us <= end_us) {
		if (w->out.wake_us > w->out.now_us)
			w->out.now_us = w->out.wake_us;
		w->out.wake_us = 0;
		core_tick(w->out.core);
		model_time(w);
	}
	w->out.now_us = end_us;
	model_time(w);
}

static void compare_edges(struct world *w)
{
	for (unsigned d = 0; d < DEVICES; d++) {
		const struct device *device = &w->model.device[d];
		bool open = device->claimed
			    && (device->claim_epoch == w->model.epoch
				    || (device->overtaken
					    && w->out.now_us < device->overtaken_us + GRACE_US));

		if (!device->member || w->peer_of[d] == 0)
			continue;
		if ((w->out.now_us < w->peer_until[w->peer_of[d]]) != open)
			differ(w, d, "its edge", open ? "shut" : "open", open ? "open" : "shut");
		++*w->checks;
	}
}

static void run(uint64_t seed, unsigned policy, unsigned length, uint64_t *checks)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_int_equal(config_init(&w->config), 0);
	w->config.rekey_policy = policy;
	w->config.key_package_rate = 0;
	w->config.rekey_begin_rate = 0;
	w->config.auth_deadline_sec = 0;
	w->config.numbering = seed % 2 == 0 ? NUMBERING_FRESH : NUMBERING_CLOCK;
	w->out.seed = seed;
	w->out.wall_us = WALL_US;
	w->out.now_us = 1;
	w->checks = checks;
	w->model.policy = policy;
	begin_life(w);
	for (w->step = 0; w->step < length; w->step++) {
		unsigned d = roll(w, DEVICES);

		// Enough for a few epochs more than the clock has by itself.
		w->out.now_us += 10;
		if (roll(w, 200) == 0)
			step_death(w);
		else if (roll(w, 100) == 0)
			step_plane(w);
		else if (roll(w, 6) == 0)
			step_time(w);
		else if (w->connection[d].session == NULL)
			step_connect(w, d);
		else if (roll(w, 30) == 0)
			step_close(w, d);
		else
			step_request(w, d);
		read_programme(w);
		compare_edges(w);
		if (w->model.epoch > w->highest_epoch)
			w->highest_epoch = w->model.epoch;
	}
	for (unsigned d = 0; d < DEVICES; d++) {
		if (w->connection[d].session != NULL)
			core_session_close(w->connection[d].session, true);
	}
	core_destroy(w->out.core);
	fake_media_destroy(w->media);
	config_fini(&w->config);
	free(w);
}

static uint64_t wanted(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static void test_model(void **state)
{
	uint64_t steps = wanted("SFU_MODEL_STEPS", 1000000);
	uint64_t length = wanted("SFU_MODEL_LENGTH", 500);
	uint64_t runs = steps / length, checks = 0;

	(void)state;
	for (uint64_t i = 0; i < runs; i++)
		run(i + 1, (unsigned)(i % 3), (unsigned)length, &checks);
	printf("%llu sequences of %llu steps, %llu edges compared\n", (unsigned long long)runs,
		(unsigned long long)length, (unsigned long long)checks);
	assert_true(runs == 0 || checks > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_model),
	};

	log_set_level(LOG_LEVEL_NONE);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
