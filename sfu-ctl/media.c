// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/media.h"

#include "sfu-ctl/dtls.h"
#include "sfu-ctl/handshake.h"
#include "sfu-ctl/link.h"
#include "sfu-ctl/log.h"
#include "sfu-ctl/media_memory.h"
#include "sfu-ctl/media_setup.h"
#include "sfu-ctl/programme.h"
#include "shared/event.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/random.h>
#include <sys/un.h>
#include <syslog.h>

/** With its NUL. */
#define LINK_PATH_BYTES sizeof(((struct sockaddr_un *)0)->sun_path)

#define REQUEST_TIME_US 1000000u
// A digest can be long, and the data plane may just have started.
#define DIGEST_TIME_US 2000000u
// Digest, orphans deleted, digest again: the second one is empty unless something is wrong.
#define SETTLE_ROUNDS 4u
#define REQUESTS_MAX 4096u
// Commands that must not be lost wait here while the ring is full. A data plane that does not take
// them is given up before this is reached in any sane call.
#define BACKLOG_MAX 65536u
#define BACKLOG_RETRY_US 2000u

// A successor begins after the block that was begun.
#define SSRC_BLOCK 1024u

#define UFRAG_CHARS 12u /* 72 bit */
#define PWD_CHARS 32u /* 192 bit */

enum state {
	DETACHED,
	SETTLING, /* attached; digest asked for, orphans being deleted */
	READY,
};

/* A command whose answer somebody waits for. In order of id, which is the order of deadlines. */
struct request {
	uint64_t id;
	uint32_t type;
	enum sfu_object_kind kind; /* of what it creates; SFU_KIND_NONE: creates nothing */
	uint64_t handle;
	uint64_t deadline_us;
	media_done_fn done;
	void *ctx;
	TAILQ_ENTRY(request) link;
};

/* What is sent first when the ring has room again (design.md 4). */
enum urgency { TEARDOWN, KEYS, REST, URGENCIES };

struct waiting {
	struct sfu_command command;
	STAILQ_ENTRY(waiting) link;
};

struct media {
	uv_loop_t *loop;
	void (*log)(void *ctx, int priority, const char *line);
	void *log_ctx;
	struct media_notices notices;
	bool has_notices;
	bool owes_attached; /* on_attached(true) is due from the loop */

	struct link_client *link; /* NULL once it is let go */
	struct programme *programme;
	struct dtls_context *dtls;
	struct handshakes *handshakes;
	enum state state;
	struct media_info info;
	uint32_t capacity[PROGRAMME_KINDS];
	uint64_t stats[SFU_STAT_COUNT];

	uint64_t last_id;
	TAILQ_HEAD(, request) requests;
	uint32_t request_count;
	STAILQ_HEAD(, waiting) backlog[URGENCIES];
	uint32_t backlog_count; /* in all of them */

	/* The digest being received. */
	struct sfu_digest_item *digest;
	size_t digest_count, digest_room;
	bool digest_ended;
	uint32_t settle_rounds;

	uint32_t ssrc_base;
	uint32_t ssrc_given;
	uint32_t ssrc_remembered; /* a successor begins there */
	struct remember remember;
	bool restored; /* and not yet compared with the data plane */
	uint32_t dtls_lost; /* since the last line about it */
	struct log_limit refusals; /* the data plane may make up as many as it likes */

	uv_timer_t timer; /* deadlines, retransmissions, backlog */
	uv_timer_t soon; /* what must not be told from inside a call */
	int open_handles;
};

static void __attribute__((format(printf, 3, 4)))
say(const struct media *m, int priority, const char *format, ...)
{
	char line[256];
	va_list args;

	if (m->log == NULL)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	m->log(m->log_ctx, priority, line);
}

static uint64_t now_us(void)
{
	return uv_hrtime() / 1000; // CLOCK_MONOTONIC
}

static void fill_random(void *out, size_t len)
{
	// At most 256 octets at once are whole or wait only for the first seed of the machine.
	assert(len <= 256);
	if (getrandom(out, len, 0) != (ssize_t)len)
		abort(); // nothing secret can be made without it
}

// --- the one timer -----------------------------------------------------------------------------

static void on_timer(uv_timer_t *timer);

static void rearm(struct media *m)
{
	const struct request *oldest = TAILQ_FIRST(&m->requests);
	uint64_t now = now_us(), due = handshakes_next_us(m->handshakes);

	if (m->link == NULL) // let go: nothing is due any more
		return;
	if (oldest != NULL && oldest->deadline_us < due)
		due = oldest->deadline_us;
	if (m->backlog_count > 0 && now + BACKLOG_RETRY_US < due)
		due = now + BACKLOG_RETRY_US;
	if (due == UINT64_MAX) {
		uv_timer_stop(&m->timer);
		return;
	}
	uv_update_time(m->loop);
	uv_timer_start(&m->timer, on_timer, due > now ? (due - now + 999) / 1000 : 0, 0);
}

// --- sending -----------------------------------------------------------------------------------

static enum urgency urgency_of(uint32_t type)
{
	switch (type) {
	case SFU_CMD_DELETE_ROOM:
	case SFU_CMD_DELETE_PEER:
	case SFU_CMD_DELETE_TRANSPORT:
	case SFU_CMD_DELETE_PRODUCER:
	case SFU_CMD_DELETE_CONSUMER:
		return TEARDOWN;
	case SFU_CMD_PUT_KEYS:
		return KEYS;
	default:
		return REST;
	}
}

static struct waiting *backlog_first(struct media *m, enum urgency *urgency)
{
	for (*urgency = TEARDOWN; *urgency < URGENCIES; ++*urgency)
		if (!STAILQ_EMPTY(&m->backlog[*urgency]))
			return STAILQ_FIRST(&m->backlog[*urgency]);
	return NULL;
}

static void backlog_remove_first(struct media *m, enum urgency urgency)
{
	struct waiting *w = STAILQ_FIRST(&m->backlog[urgency]);

	STAILQ_REMOVE_HEAD(&m->backlog[urgency], link);
	m->backlog_count--;
	explicit_bzero(w, sizeof(*w)); // there may be keys in it
	free(w);
}

static void drop_backlog(struct media *m)
{
	enum urgency urgency;

	while (backlog_first(m, &urgency) != NULL)
		backlog_remove_first(m, urgency);
}

// Is it about an object that is wanted no longer? The DELETE went before it, and it would make the
// object anew.
static bool is_overtaken(const struct media *m, const struct sfu_command *command)
{
	enum sfu_object_kind kind = programme_kind(command->type);

	if (command->type == SFU_CMD_PUT_KEYS)
		kind = SFU_KIND_TRANSPORT;
	else if (command->type == SFU_CMD_KEY_FRAME)
		kind = SFU_KIND_CONSUMER;
	return kind != SFU_KIND_NONE && !programme_has(m->programme, kind, command->handle);
}

static void flush_backlog(struct media *m)
{
	enum urgency urgency;
	struct waiting *w;

	while ((w = backlog_first(m, &urgency)) != NULL) {
		if (!is_overtaken(m, &w->command)
			&& link_client_push_command(m->link, &w->command) != 0)
			return;
		backlog_remove_first(m, urgency);
	}
}

// Send a command that must arrive: now, or in its turn once the ring has room. The id is filled in.
// If it cannot even be kept the attach is given up, and the next one starts from nothing.
static void send_surely(struct media *m, struct sfu_command *command)
{
	struct waiting *w;

	command->id = ++m->last_id;
	flush_backlog(m);
	if (m->backlog_count == 0 && link_client_push_command(m->link, command) == 0)
		return;
	w = m->backlog_count < BACKLOG_MAX ? malloc(sizeof(*w)) : NULL;
	if (w == NULL) {
		link_client_reset(m->link, "it does not take commands");
		return;
	}
	w->command = *command;
	STAILQ_INSERT_TAIL(&m->backlog[urgency_of(command->type)], w, link);
	m->backlog_count++;
}

static struct request *request_add(struct media *m, const struct sfu_command *command,
	enum sfu_object_kind kind, media_done_fn done, void *ctx)
{
	struct request *r;

	if (m->request_count >= REQUESTS_MAX)
		return NULL;
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return NULL;
	r->id = m->last_id + 1; // what the send that follows will give it
	r->type = command->type;
	r->kind = kind;
	r->handle = command->handle;
	r->deadline_us
		= now_us() + (command->type == SFU_CMD_DIGEST ? DIGEST_TIME_US : REQUEST_TIME_US);
	r->done = done;
	r->ctx = ctx;
	TAILQ_INSERT_TAIL(&m->requests, r, link);
	m->request_count++;
	return r;
}

static void request_remove(struct media *m, struct request *r)
{
	TAILQ_REMOVE(&m->requests, r, link);
	m->request_count--;
	free(r);
}

// --- what a successor needs to know ------------------------------------------------------------

static void remember(struct media *m, const char *kind, const char *id, const char *text)
{
	if (m->remember.tell != NULL)
		m->remember.tell(m->remember.ctx, kind, id, text);
}

// Before the data plane hears of it: so it never knows more than the memory.
static void remember_object(struct media *m, const struct sfu_command *put)
{
	char id[MEDIA_MEMORY_ID_BYTES], text[MEDIA_MEMORY_TEXT_BYTES];

	if (m->remember.tell == NULL)
		return;
	media_memory_object_id(id, programme_kind(put->type), put->handle);
	media_memory_object(text, put);
	remember(m, "object", id, text);
}

static void forget_object(struct media *m, enum sfu_object_kind kind, uint64_t handle)
{
	char id[MEDIA_MEMORY_ID_BYTES];

	if (m->remember.tell == NULL)
		return;
	media_memory_object_id(id, kind, handle);
	remember(m, "object", id, NULL);
	if (kind != SFU_KIND_TRANSPORT)
		return;
	media_memory_handle_id(id, handle);
	remember(m, "dtls", id, NULL);
}

static void remember_dtls(struct media *m, uint64_t transport, const char *text)
{
	char id[MEDIA_MEMORY_ID_BYTES];

	media_memory_handle_id(id, transport);
	remember(m, "dtls", id, text);
}

static void remember_plane(struct media *m)
{
	char text[MEDIA_MEMORY_TEXT_BYTES];

	media_memory_tables(text, m->capacity);
	remember(m, "plane", "tables", text);
	snprintf(text, sizeof(text), "%u %u", m->ssrc_base, m->ssrc_remembered);
	remember(m, "plane", "ssrc", text);
}

// --- objects -----------------------------------------------------------------------------------

static void on_removed(void *ctx, enum sfu_object_kind kind, uint64_t handle)
{
	struct media *m = ctx;

	if (kind == SFU_KIND_TRANSPORT)
		handshakes_remove(m->handshakes, handle);
	forget_object(m, kind, handle);
}

// Make a new object and tell done about the answer.
static int create(struct media *m, struct sfu_command *command, enum sfu_object_kind kind,
	uint64_t *handle, media_done_fn done, void *ctx)
{
	struct sfu_command gone;
	struct request *r;
	int rc;

	if (m->state != READY || link_client_silent(m->link))
		return -EAGAIN;
	flush_backlog(m);
	if (m->backlog_count > 0)
		return -EAGAIN;
	command->handle = 0;
	rc = programme_put(m->programme, command);
	if (rc != 0)
		return rc;
	r = request_add(m, command, kind, done, ctx);
	if (r == NULL) {
		rc = -EAGAIN;
		goto forget_object;
	}
	if (kind == SFU_KIND_TRANSPORT) {
		rc = handshakes_add(m->handshakes, command->handle);
		if (rc != 0)
			goto forget_request;
	}
	command->id = ++m->last_id;
	remember_object(m, command);
	if (link_client_push_command(m->link, command) != 0) {
		rc = -EAGAIN;
		goto forget_request;
	}
	*handle = command->handle;
	rearm(m);
	return 0;

forget_request:
	request_remove(m, r);
forget_object:
	programme_delete(m->programme, kind, command->handle, &gone, on_removed, m);
	return rc;
}

// Make or change an object whose answer only the log wants. A change while the data plane is away
// is part of the difference when it comes back.
static int put(struct media *m, struct sfu_command *command)
{
	int rc;

	if (m->state != READY && command->handle == 0)
		return -EAGAIN;
	rc = programme_put(m->programme, command);
	if (rc != 0)
		return rc;
	remember_object(m, command);
	if (m->state != READY)
		return 0;
	send_surely(m, command);
	rearm(m);
	return 0;
}

static void delete (struct media *m, enum sfu_object_kind kind, uint64_t handle)
{
	struct sfu_command command;

	if (programme_delete(m->programme, kind, handle, &command, on_removed, m) != 0
		|| m->state != READY)
		return;
	send_surely(m, &command);
	rearm(m);
}

// --- answers -----------------------------------------------------------------------------------

static enum media_result result_of(uint32_t status)
{
	switch (status) {
	case SFU_STATUS_OK:
		return MEDIA_OK;
	case SFU_STATUS_FULL:
		return MEDIA_FULL;
	case SFU_STATUS_OCCUPIED:
		return MEDIA_UNAVAILABLE; // its slot is being cleared: try again
	default:
		return MEDIA_REFUSED;
	}
}

static void transport_ended(struct media *m, uint64_t transport, enum media_transport_end why)
{
	if (m->has_notices && programme_has(m->programme, SFU_KIND_TRANSPORT, transport))
		m->notices.on_transport_end(m->notices.ctx, transport, why);
}

static void keys_answered(struct media *m, uint64_t transport, enum media_result result)
{
	if (!programme_has(m->programme, SFU_KIND_TRANSPORT, transport))
		return;
	if (result != MEDIA_OK) {
		transport_ended(m, transport, MEDIA_END_DTLS);
		return;
	}
	remember_dtls(m, transport, "keys");
	if (m->has_notices)
		m->notices.on_transport_connected(m->notices.ctx, transport);
}

static void digest_answered(struct media *m, enum media_result result);

// A request has its answer, or will get none. Frees it. What could not be made is wanted no longer.
static void finish(struct media *m, struct request *r, enum media_result result, bool delete_it)
{
	struct request answered = *r;

	request_remove(m, r);
	if (result != MEDIA_OK && answered.kind != SFU_KIND_NONE) {
		struct sfu_command gone;

		if (programme_delete(m->programme, answered.kind, answered.handle, &gone,
			    on_removed,
			    m) == 0
			&& delete_it && m->state == READY)
			send_surely(m, &gone);
	}
	switch (answered.type) {
	case SFU_CMD_DIGEST:
		digest_answered(m, result);
		break;
	case SFU_CMD_PUT_KEYS:
		keys_answered(m, answered.handle, result);
		break;
	default:
		if (answered.done != NULL)
			answered.done(answered.ctx, result);
		break;
	}
}

static const char *command_name(uint32_t type)
{
	static const char *const names[SFU_CMD_TYPE_COUNT] = {
		"NONE",
		"DIGEST",
		"PUT_ROOM",
		"DELETE_ROOM",
		"PUT_PEER",
		"DELETE_PEER",
		"PUT_TRANSPORT",
		"DELETE_TRANSPORT",
		"PUT_KEYS",
		"PUT_PRODUCER",
		"DELETE_PRODUCER",
		"PUT_CONSUMER",
		"DELETE_CONSUMER",
		"KEY_FRAME",
	};

	return type < SFU_CMD_TYPE_COUNT ? names[type] : "?";
}

static void on_ack(struct media *m, uint64_t handle, const struct sfu_ack *ack)
{
	struct request *r;

	if (ack->status != SFU_STATUS_OK && ack->status != SFU_STATUS_NO_OBJECT
		&& log_allowed(&m->refusals, now_us(), NULL))
		say(m, ack->status == SFU_STATUS_FULL ? LOG_WARNING : LOG_ERR,
			"media: the data plane answered %s of %llx with status %u",
			command_name(ack->command_type), (unsigned long long)handle, ack->status);
	TAILQ_FOREACH (r, &m->requests, link) {
		if (r->id >= ack->command_id)
			break;
	}
	if (r != NULL && r->id == ack->command_id)
		finish(m, r, result_of(ack->status), false);
}

static void expire(struct media *m, uint64_t now)
{
	struct request *r;

	while ((r = TAILQ_FIRST(&m->requests)) != NULL && r->deadline_us <= now) {
		say(m, LOG_ERR, "media: no answer to %s of %llx in time", command_name(r->type),
			(unsigned long long)r->handle);
		finish(m, r, MEDIA_UNAVAILABLE, true);
	}
}

// --- settling: what the data plane has becomes what is wanted ----------------------------------

static void ask_digest(struct media *m)
{
	struct sfu_command command = {.type = SFU_CMD_DIGEST};

	m->digest_count = 0;
	m->digest_ended = false;
	if (request_add(m, &command, SFU_KIND_NONE, NULL, NULL) == NULL) {
		link_client_reset(m->link, "no memory for its digest");
		return;
	}
	send_surely(m, &command);
	rearm(m);
}

static void on_digest(struct media *m, const struct sfu_digest *digest)
{
	size_t most = 0;

	for (int kind = 0; kind < PROGRAMME_KINDS; kind++)
		most += m->capacity[kind];
	if (m->state != SETTLING || digest->count > SFU_DIGEST_ITEMS
		|| m->digest_count + digest->count > most) {
		link_client_reset(m->link, "its digest is impossible");
		return;
	}
	// Nothing, and perhaps no room yet either.
	if (digest->count == 0)
		return;
	if (m->digest_count + digest->count > m->digest_room) {
		size_t room = m->digest_room * 2 + 256;
		struct sfu_digest_item *grown = realloc(m->digest, room * sizeof(*grown));

		if (grown == NULL) {
			link_client_reset(m->link, "no memory for its digest");
			return;
		}
		m->digest = grown;
		m->digest_room = room;
	}
	memcpy(m->digest + m->digest_count, digest->item, digest->count * sizeof(*m->digest));
	m->digest_count += digest->count;
}

static void on_difference(void *ctx, const struct sfu_command *command)
{
	struct sfu_command copy = *command;

	send_surely(ctx, &copy);
}

static void on_forget(void *ctx, const struct sfu_command *put)
{
	struct media *m = ctx;

	forget_object(m, programme_kind(put->type), put->handle);
}

// The data plane remembers generations of objects that our predecessor made. The clock is above
// them: 61 steps a second, and no slot is used again as often.
static int reset_tables(struct media *m, const uint32_t capacity[PROGRAMME_KINDS])
{
	memcpy(m->capacity, capacity, sizeof(m->capacity));
	if (programme_reset(m->programme, capacity, (uint32_t)(now_us() >> 14)) == 0
		&& handshakes_reset(m->handshakes, capacity[SFU_KIND_TRANSPORT]) == 0)
		return 0;
	memset(m->capacity, 0, sizeof(m->capacity));
	return -ENOMEM;
}

// Everything wanted is forgotten. False: the attach has been given up.
static bool start_anew(struct media *m, const uint32_t capacity[PROGRAMME_KINDS], bool stale)
{
	if (m->has_notices && programme_count(m->programme, SFU_KIND_ROOM) > 0)
		m->notices.on_forgotten(m->notices.ctx, stale);
	programme_each(m->programme, on_forget, m);
	m->restored = false;
	if (reset_tables(m, capacity) != 0) {
		link_client_reset(m->link, "no memory for tables of its size");
		return false;
	}
	remember_plane(m);
	return true;
}

static void on_lost(void *ctx, uint64_t transport)
{
	struct media *m = ctx;

	transport_ended(m, transport, MEDIA_END_DATAPLANE);
	delete (m, SFU_KIND_TRANSPORT, transport);
}

static void digest_answered(struct media *m, enum media_result result)
{
	size_t commands;

	if (m->state != SETTLING)
		return;
	if (result != MEDIA_OK || !m->digest_ended) {
		link_client_reset(m->link, "it gave no digest");
		return;
	}
	if (m->restored && programme_behind(m->programme, m->digest, m->digest_count)) {
		uint32_t capacity[PROGRAMME_KINDS];

		say(m, LOG_ERR,
			"media: the journal is older than what the data plane has: all "
			"calls are ended");
		memcpy(capacity, m->capacity, sizeof(capacity));
		if (!start_anew(m, capacity, true))
			return;
	}
	m->restored = false;
	if (m->settle_rounds == 0)
		programme_lost_transports(m->programme, m->digest, m->digest_count, on_lost, m);
	commands = programme_difference(m->programme, m->digest, m->digest_count, on_difference, m);
	if (commands > 0) {
		say(m, LOG_NOTICE,
			"media: the data plane has %zu objects, %zu commands to what it should "
			"have",
			m->digest_count, commands);
		if (++m->settle_rounds >= SETTLE_ROUNDS)
			link_client_reset(m->link, "its digest does not settle");
		else
			ask_digest(m);
		return;
	}
	free(m->digest);
	m->digest = NULL;
	m->digest_room = m->digest_count = 0;
	m->state = READY;
	m->owes_attached = false;
	if (m->has_notices)
		m->notices.on_attached(m->notices.ctx, true);
}

// --- the link's callbacks ----------------------------------------------------------------------

static void on_link_attached(void *ctx, const struct sfu_region_header *h)
{
	struct media *m = ctx;
	const uint32_t capacity[PROGRAMME_KINDS] = {
		[SFU_KIND_ROOM] = h->max_rooms,
		[SFU_KIND_PEER] = h->max_peers,
		[SFU_KIND_TRANSPORT] = h->max_transports,
		[SFU_KIND_PRODUCER] = h->max_producers,
		[SFU_KIND_CONSUMER] = h->max_consumers,
	};
	m->info.address_count = h->address_count;
	memcpy(m->info.address, h->address, sizeof(m->info.address));
	m->info.workers = h->workers;
	m->info.max_transports = h->max_transports;
	m->info.max_producers = h->max_producers;
	m->info.max_consumers = h->max_consumers;
	if (memcmp(m->capacity, capacity, sizeof(capacity)) != 0 && !start_anew(m, capacity, false))
		return;
	m->state = SETTLING;
	m->settle_rounds = 0;
	ask_digest(m);
}

static void answer_all(struct media *m)
{
	struct request *r;

	while ((r = TAILQ_FIRST(&m->requests)) != NULL)
		finish(m, r, MEDIA_UNAVAILABLE, false);
}

static void on_link_detached(void *ctx)
{
	struct media *m = ctx;
	bool was_ready = m->state == READY;

	m->state = DETACHED;
	drop_backlog(m);
	answer_all(m);
	rearm(m);
	if (was_ready && !m->owes_attached && m->has_notices)
		m->notices.on_attached(m->notices.ctx, false);
	m->owes_attached = false;
}

static void on_link_event(void *ctx, const struct sfu_event *event)
{
	struct media *m = ctx;

	switch (event->type) {
	case SFU_EVENT_ACK:
		on_ack(m, event->handle, &event->u.ack);
		break;
	case SFU_EVENT_DIGEST:
		on_digest(m, &event->u.digest);
		break;
	case SFU_EVENT_DIGEST_END:
		if (event->u.digest_end.items != m->digest_count)
			link_client_reset(m->link, "its digest lacks items");
		m->digest_ended = true;
		break;
	case SFU_EVENT_TRANSPORT:
		if (m->state == READY && event->u.transport.state == SFU_TRANSPORT_CONSENT_LOST)
			transport_ended(m, event->handle, MEDIA_END_CONSENT);
		break;
	case SFU_EVENT_SPEAKER:
		if (m->state == READY && m->has_notices && m->notices.on_speaker != NULL)
			m->notices.on_speaker(m->notices.ctx, event->u.speaker.transport,
				event->u.speaker.producer);
		break;
	default:
		break; // of a later minor version, or noise
	}
	flush_backlog(m);
	rearm(m);
}

static void on_link_dtls(void *ctx, const struct sfu_dtls_record *record)
{
	struct media *m = ctx;

	if (m->state != READY)
		return;
	handshakes_feed(m->handshakes, record, now_us());
	rearm(m);
}

static void on_link_log(void *ctx, int priority, const char *line)
{
	struct media *m = ctx;

	say(m, priority, "%s", line);
}

// --- the handshakes' callbacks -----------------------------------------------------------------

static void on_handshake_send(void *ctx, const struct sfu_dtls_record *record)
{
	struct media *m = ctx;

	if (m->link == NULL) // let go
		return;
	// Lost like any datagram: the timer of one side or the other sends it again.
	if (link_client_push_dtls(m->link, record) == -EAGAIN && m->dtls_lost++ == 0)
		say(m, LOG_WARNING, "media: the DTLS ring is full, datagrams are dropped");
}

static void on_handshake_keys(void *ctx, uint64_t transport, const struct sfu_put_keys *keys)
{
	struct media *m = ctx;
	struct sfu_command command = {.type = SFU_CMD_PUT_KEYS, .handle = transport};

	if (m->link == NULL) // let go
		return;
	command.u.keys = *keys;
	command.version = 1;
	if (request_add(m, &command, SFU_KIND_NONE, NULL, NULL) == NULL)
		link_client_reset(m->link, "it does not answer requests");
	else
		send_surely(m, &command);
	explicit_bzero(&command, sizeof(command));
}

static void on_handshake_ended(void *ctx, uint64_t transport, const char *reason)
{
	struct media *m = ctx;

	say(m, LOG_INFO, "media: DTLS of transport %llx ended: %s", (unsigned long long)transport,
		reason);
	transport_ended(m, transport, MEDIA_END_DTLS);
}

// --- timers ------------------------------------------------------------------------------------

static void on_timer(uv_timer_t *timer)
{
	struct media *m = timer->data;
	uint64_t now = now_us();

	expire(m, now);
	handshakes_tick(m->handshakes, now);
	flush_backlog(m);
	rearm(m);
}

static void on_soon(uv_timer_t *timer)
{
	struct media *m = timer->data;

	if (!m->owes_attached)
		return;
	m->owes_attached = false;
	if (m->state == READY && m->has_notices)
		m->notices.on_attached(m->notices.ctx, true);
}

// --- birth and death ---------------------------------------------------------------------------

struct media *media_create(
	uv_loop_t *loop, const struct media_options *options, char *err, size_t err_size)
{
	const struct handshake_callbacks handshake_callbacks = {
		.send = on_handshake_send,
		.on_keys = on_handshake_keys,
		.on_ended = on_handshake_ended,
	};
	struct link_client_callbacks link_callbacks = {
		.on_attached = on_link_attached,
		.on_detached = on_link_detached,
		.on_event = on_link_event,
		.on_dtls = on_link_dtls,
		.log = on_link_log,
	};
	struct handshake_callbacks with_ctx = handshake_callbacks;
	struct media *m = calloc(1, sizeof(*m));
	char why[128] = "";

	if (m == NULL)
		goto no_memory;
	if (strlen(options->link_path) >= LINK_PATH_BYTES) {
		snprintf(err, err_size,
			"SFU_LINK=\"%.40s…\" is not allowed: a path of at most %zu octets",
			options->link_path, LINK_PATH_BYTES - 1);
		goto free_media;
	}
	m->loop = loop;
	m->log = options->log;
	m->log_ctx = options->log_ctx;
	m->remember = options->remember;
	TAILQ_INIT(&m->requests);
	for (unsigned i = 0; i < URGENCIES; i++)
		STAILQ_INIT(&m->backlog[i]);
	fill_random(&m->ssrc_base, sizeof(m->ssrc_base));
	m->ssrc_base &= ~1u;
	m->dtls = dtls_context_create(options->state_dir, why, sizeof(why));
	if (m->dtls == NULL) {
		if (options->state_dir == NULL)
			snprintf(err, err_size, "%s", why);
		else
			snprintf(err, err_size,
				"SFU_STATE_DIR=\"%.80s\" cannot be used: %s; it must be a "
				"folder to write to",
				options->state_dir, why);
		goto free_media;
	}
	with_ctx.ctx = m;
	m->handshakes = handshakes_create(m->dtls, &with_ctx);
	m->programme = programme_create();
	link_callbacks.ctx = m;
	if (m->handshakes != NULL && m->programme != NULL)
		m->link = link_client_create(loop, options->link_path,
			options->node_id != NULL ? options->node_id : "", &link_callbacks);
	if (m->link == NULL)
		goto destroy_parts;
	uv_timer_init(loop, &m->timer);
	uv_timer_init(loop, &m->soon);
	m->timer.data = m->soon.data = m;
	return m;

destroy_parts:
	programme_destroy(m->programme);
	handshakes_destroy(m->handshakes);
	dtls_context_destroy(m->dtls);
	free(m);
no_memory:
	snprintf(err, err_size, "out of memory: no room for the data plane's programme");
	return NULL;
free_media:
	free(m);
	return NULL;
}

// --- taking over -------------------------------------------------------------------------------

static void on_object_left(void *ctx, const char *id, const char *text)
{
	struct media *m = ctx;
	struct sfu_command put;

	if (!media_memory_read_object(id, text, &put) || programme_restore(m->programme, &put) != 0)
		say(m, LOG_WARNING, "media: object %s of the journal is not restored", id);
}

static void on_dtls_left(void *ctx, const char *id, const char *text)
{
	struct media *m = ctx;
	struct media_fingerprint remote[DTLS_MAX_FINGERPRINTS];
	uint64_t transport;
	size_t count;

	if (!media_memory_read_handle(id, &transport)
		|| !programme_has(m->programme, SFU_KIND_TRANSPORT, transport))
		return;
	count = media_memory_read_remote(text, remote, DTLS_MAX_FINGERPRINTS);
	if (strcmp(text, "keys") == 0)
		handshakes_adopt(m->handshakes, transport);
	else if (count > 0)
		handshakes_set_remote(m->handshakes, transport, "auto", remote, count, now_us());
}

static void on_transport_left(void *ctx, const struct sfu_command *put)
{
	struct media *m = ctx;

	if (put->type == SFU_CMD_PUT_TRANSPORT)
		handshakes_add(m->handshakes, put->handle);
}

void media_restore(struct media *m, const struct memory *memory)
{
	const char *tables = memory_find(memory, "plane", "tables");
	const char *ssrc = memory_find(memory, "plane", "ssrc");
	uint32_t capacity[PROGRAMME_KINDS], base, next;

	if (tables == NULL || !media_memory_read_tables(tables, capacity)
		|| reset_tables(m, capacity) != 0)
		return;
	if (ssrc != NULL && sscanf(ssrc, "%u %u", &base, &next) == 2) {
		m->ssrc_base = base & ~1u;
		m->ssrc_given = m->ssrc_remembered = next;
	}
	memory_each(memory, "object", on_object_left, m);
	programme_restored(m->programme);
	programme_each(m->programme, on_transport_left, m);
	memory_each(memory, "dtls", on_dtls_left, m);
	m->restored = true;
}

bool media_claim(struct media *m, enum sfu_object_kind kind, uint64_t handle)
{
	return programme_claim(m->programme, kind, handle);
}

void media_sweep(struct media *m)
{
	programme_sweep(m->programme, on_removed, m);
}

static void on_tell(void *ctx, const struct sfu_command *put)
{
	struct media *m = ctx;
	char text[MEDIA_MEMORY_TEXT_BYTES];
	struct media_fingerprint remote[DTLS_MAX_FINGERPRINTS];
	size_t count;

	remember_object(m, put);
	if (put->type != SFU_CMD_PUT_TRANSPORT)
		return;
	count = handshakes_remote(m->handshakes, put->handle, remote);
	if (handshakes_finished(m->handshakes, put->handle)) {
		remember_dtls(m, put->handle, "keys");
	} else if (count > 0) {
		media_memory_remote(text, remote, count);
		remember_dtls(m, put->handle, text);
	}
}

void media_remember_all(struct media *m)
{
	remember_plane(m);
	programme_each(m->programme, on_tell, m);
}

void media_room_get(const struct media *m, uint64_t room, struct sfu_put_room *out)
{
	const struct sfu_command *put = programme_find(m->programme, SFU_KIND_ROOM, room);

	*out = put == NULL ? (struct sfu_put_room){0} : put->u.room;
}

uint64_t media_peer_open_until(const struct media *m, uint64_t peer)
{
	const struct sfu_command *put = programme_find(m->programme, SFU_KIND_PEER, peer);

	return put == NULL ? 0 : put->u.peer.open_until_us;
}

void media_set_notices(struct media *m, const struct media_notices *notices)
{
	if (notices == NULL) {
		struct request *r;

		m->has_notices = false;
		// The digest is our own affair and goes on.
		TAILQ_FOREACH (r, &m->requests, link) {
			if (r->done != NULL) {
				media_done_fn done = r->done;

				r->done = NULL;
				done(r->ctx, MEDIA_UNAVAILABLE);
			}
		}
		return;
	}
	m->notices = *notices;
	m->has_notices = true;
	if (m->state == READY) {
		m->owes_attached = true;
		uv_timer_start(&m->soon, on_soon, 0, 0);
	}
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct media *m = handle->data;

	if (--m->open_handles == 0)
		free(m);
}

void media_destroy(struct media *m)
{
	if (m == NULL)
		return;
	media_set_notices(m, NULL);
	link_client_destroy(m->link);
	m->state = DETACHED;
	while (!TAILQ_EMPTY(&m->requests))
		request_remove(m, TAILQ_FIRST(&m->requests));
	drop_backlog(m);
	free(m->digest);
	handshakes_destroy(m->handshakes);
	programme_destroy(m->programme);
	dtls_context_destroy(m->dtls);
	m->open_handles = 2;
	uv_close((uv_handle_t *)&m->timer, on_handle_closed);
	uv_close((uv_handle_t *)&m->soon, on_handle_closed);
}

// --- media.h -----------------------------------------------------------------------------------

bool media_attached(const struct media *m)
{
	return m->state == READY;
}

bool media_foreign(const struct media *m)
{
	return m->link != NULL && link_client_foreign(m->link);
}

const struct media_info *media_info(const struct media *m)
{
	return m->state == READY ? &m->info : NULL;
}

const char *media_fingerprint(const struct media *m)
{
	return dtls_context_fingerprint(m->dtls);
}

void media_producer_get(const struct media *m, uint64_t producer, struct sfu_put_producer *out)
{
	const struct sfu_command *put = programme_find(m->programme, SFU_KIND_PRODUCER, producer);

	*out = put == NULL ? (struct sfu_put_producer){0} : put->u.producer;
}

void media_consumer_get(const struct media *m, uint64_t consumer, struct sfu_put_consumer *out)
{
	const struct sfu_command *put = programme_find(m->programme, SFU_KIND_CONSUMER, consumer);

	*out = put == NULL ? (struct sfu_put_consumer){0} : put->u.consumer;
}

int media_room_put(struct media *m, uint64_t *room, const struct sfu_put_room *as)
{
	struct sfu_command command = {.type = SFU_CMD_PUT_ROOM, .handle = *room};
	int rc;

	command.u.room = *as;
	rc = put(m, &command);
	if (rc == 0)
		*room = command.handle;
	return rc;
}

void media_room_delete(struct media *m, uint64_t room)
{
	delete (m, SFU_KIND_ROOM, room);
}

int media_peer_put(struct media *m, uint64_t *peer, uint64_t room, uint64_t open_until_us)
{
	struct sfu_command command = {.type = SFU_CMD_PUT_PEER, .handle = *peer};
	int rc;

	command.u.peer.room = room;
	command.u.peer.open_until_us = open_until_us;
	rc = put(m, &command);
	if (rc == 0)
		*peer = command.handle;
	return rc;
}

void media_peer_delete(struct media *m, uint64_t peer)
{
	delete (m, SFU_KIND_PEER, peer);
}

// 64 ice-chars (RFC 8839, 5.4), so that six bits of randomness are one character.
static void ice_text(char *out, size_t chars)
{
	static const char alphabet[]
		= "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	fill_random(out, chars);
	for (size_t i = 0; i < chars; i++)
		out[i] = alphabet[(unsigned char)out[i] & 63];
	out[chars] = '\0';
}

static void ice_make(struct media_ice *ice, struct sfu_put_transport *put)
{
	ice_text(ice->ufrag, UFRAG_CHARS);
	ice_text(ice->pwd, PWD_CHARS);
	put->ufrag_len = UFRAG_CHARS;
	put->pwd_len = PWD_CHARS;
	memset(put->ufrag, 0, sizeof(put->ufrag));
	memset(put->pwd, 0, sizeof(put->pwd));
	memcpy(put->ufrag, ice->ufrag, UFRAG_CHARS);
	memcpy(put->pwd, ice->pwd, PWD_CHARS);
}

int media_transport_create(struct media *m, uint64_t peer, bool send, const char *label,
	uint64_t *transport, struct media_ice *ice, media_done_fn done, void *ctx)
{
	struct sfu_command command = {.type = SFU_CMD_PUT_TRANSPORT};
	struct sfu_put_transport *t = &command.u.transport;
	int rc;

	ice_make(ice, t);
	t->peer = peer;
	t->direction = send ? 1 : 2;
	memcpy(t->label, label, strnlen(label, sizeof(t->label)));
	rc = create(m, &command, SFU_KIND_TRANSPORT, transport, done, ctx);
	explicit_bzero(&command, sizeof(command));
	return rc;
}

int media_transport_restart(
	struct media *m, uint64_t transport, struct media_ice *ice, media_done_fn done, void *ctx)
{
	const struct sfu_command *now = programme_find(m->programme, SFU_KIND_TRANSPORT, transport);
	struct sfu_command command;
	struct request *r;
	int rc;

	if (now == NULL)
		return -ENOENT;
	if (m->state != READY)
		return -EAGAIN;
	command = *now;
	r = request_add(m, &command, SFU_KIND_NONE, done, ctx);
	if (r == NULL)
		return -EAGAIN;
	ice_make(ice, &command.u.transport);
	rc = programme_put(m->programme, &command);
	if (rc != 0) {
		request_remove(m, r);
	} else {
		remember_object(m, &command);
		send_surely(m, &command);
	}
	explicit_bzero(&command, sizeof(command));
	rearm(m);
	return rc;
}

int media_transport_connect(struct media *m, uint64_t transport, const char *role,
	const struct media_fingerprint *fingerprints, size_t count)
{
	int rc;

	char text[MEDIA_MEMORY_TEXT_BYTES];

	if (!programme_has(m->programme, SFU_KIND_TRANSPORT, transport))
		return -ENOENT;
	rc = handshakes_set_remote(m->handshakes, transport, role, fingerprints, count, now_us());
	if (rc == 0 && !handshakes_finished(m->handshakes, transport)) {
		media_memory_remote(text, fingerprints, count);
		remember_dtls(m, transport, text);
	}
	rearm(m);
	return rc;
}

void media_transport_delete(struct media *m, uint64_t transport)
{
	delete (m, SFU_KIND_TRANSPORT, transport);
}

int media_producer_create(struct media *m, const struct sfu_put_producer *p, uint64_t *producer,
	media_done_fn done, void *ctx)
{
	struct sfu_command command = {.type = SFU_CMD_PUT_PRODUCER};

	command.u.producer = *p;
	return create(m, &command, SFU_KIND_PRODUCER, producer, done, ctx);
}

int media_producer_put(struct media *m, uint64_t producer, const struct sfu_put_producer *p)
{
	struct sfu_command command = {.type = SFU_CMD_PUT_PRODUCER, .handle = producer};

	if (producer == 0)
		return -ENOENT;
	command.u.producer = *p;
	return put(m, &command);
}

void media_producer_delete(struct media *m, uint64_t producer)
{
	delete (m, SFU_KIND_PRODUCER, producer);
}

int media_consumer_create(struct media *m, const struct sfu_put_consumer *c, uint64_t *consumer,
	media_done_fn done, void *ctx)
{
	struct sfu_command command = {.type = SFU_CMD_PUT_CONSUMER};

	command.u.consumer = *c;
	return create(m, &command, SFU_KIND_CONSUMER, consumer, done, ctx);
}

int media_consumer_put(struct media *m, uint64_t consumer, const struct sfu_put_consumer *c)
{
	struct sfu_command command = {.type = SFU_CMD_PUT_CONSUMER, .handle = consumer};

	if (consumer == 0)
		return -ENOENT;
	command.u.consumer = *c;
	return put(m, &command);
}

void media_consumer_delete(struct media *m, uint64_t consumer)
{
	delete (m, SFU_KIND_CONSUMER, consumer);
}

void media_consumer_key_frame(struct media *m, uint64_t consumer)
{
	struct sfu_command command = {.type = SFU_CMD_KEY_FRAME, .handle = consumer};

	if (m->state != READY || !programme_has(m->programme, SFU_KIND_CONSUMER, consumer))
		return;
	send_surely(m, &command);
	rearm(m);
}

uint32_t media_ssrc_new(struct media *m)
{
	uint32_t ssrc;

	if (m->ssrc_given >= m->ssrc_remembered) {
		m->ssrc_remembered = m->ssrc_given + SSRC_BLOCK;
		remember_plane(m);
	}
	// Two billion pairs; zero is no SSRC.
	do {
		ssrc = m->ssrc_base + 2 * m->ssrc_given++;
	} while (ssrc == 0);
	return ssrc;
}

void media_let_go(struct media *m)
{
	m->remember.tell = NULL;
	media_set_notices(m, NULL);
	link_client_destroy(m->link);
	m->link = NULL;
	m->state = DETACHED;
	drop_backlog(m);
	uv_timer_stop(&m->timer);
}

void media_ring_depths(struct media *m, uint32_t depths[SFU_RING_COUNT])
{
	if (m->link == NULL) // let go
		memset(depths, 0, SFU_RING_COUNT * sizeof(*depths));
	else
		link_client_depths(m->link, depths);
}

const uint64_t *media_stats(struct media *m)
{
	const struct sfu_stats_page *page = m->state == READY ? link_client_stats(m->link) : NULL;

	if (page == NULL)
		return NULL;
	for (int i = 0; i < SFU_STAT_COUNT; i++)
		m->stats[i] = __atomic_load_n(&page->value[i], __ATOMIC_RELAXED);
	return m->stats;
}
