// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/handshake.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

// From the first failure until the transport is given up.
#define GRACE_US 10000000u
// New sessions of one transport: three at once, one more each third of a second.
#define TRIES 3u
#define TRY_EVERY_US 333333u

#define CONTENT_HANDSHAKE 22u
#define RECORD_HEADER_BYTES 13u

struct handshake {
	struct handshakes *owner;
	uint64_t transport;
	struct dtls_session *session; /* NULL: none yet, or failed */
	uint32_t tuple; /* of the last punt: answers go there */
	bool fed; /* the session has seen a datagram */
	bool keys_given;
	bool ended; /* told; records are ignored */
	bool remote_known;
	struct media_fingerprint remote[DTLS_MAX_FINGERPRINTS];
	size_t remote_count;
	uint32_t tries; /* left in the bucket */
	uint64_t tries_since_us;
	uint64_t give_up_us; /* 0: no failure yet */
	const char *reason; /* of the last failure, static text */
	uint64_t due_us; /* next time to look at it; UINT64_MAX: none */
	bool active; /* in the list */
	LIST_ENTRY(handshake) link; /* those with a due time */
};

struct handshakes {
	struct dtls_context *dtls;
	struct handshake_callbacks callbacks;
	struct handshake **table; /* by index of the handle */
	uint32_t capacity;
	uint32_t live;
	uint64_t next_us; /* not after the earliest due time */
	LIST_HEAD(, handshake) active;
};

static struct handshake *find(const struct handshakes *h, uint64_t transport)
{
	uint32_t index = sfu_handle_index(transport);

	if (index >= h->capacity || h->table[index] == NULL
		|| h->table[index]->transport != transport)
		return NULL;
	return h->table[index];
}

static void set_due(struct handshake *t, uint64_t due_us)
{
	struct handshakes *h = t->owner;

	t->due_us = due_us;
	if (due_us < h->next_us)
		h->next_us = due_us;
	if (due_us != UINT64_MAX && !t->active) {
		LIST_INSERT_HEAD(&h->active, t, link);
		t->active = true;
	} else if (due_us == UINT64_MAX && t->active) {
		LIST_REMOVE(t, link);
		t->active = false;
	}
}

// A session counts as live from its first datagram until its keys are given or it is gone.
static void drop_session(struct handshake *t)
{
	if (t->session != NULL && t->fed && !t->keys_given)
		t->owner->live--;
	dtls_session_destroy(t->session);
	t->session = NULL;
	t->fed = false;
}

static void on_send(void *arg, const uint8_t *datagram, size_t len)
{
	struct handshake *t = arg;
	struct sfu_dtls_record record;

	if (len == 0 || len > sizeof(record.bytes))
		return;
	memset(&record, 0, offsetof(struct sfu_dtls_record, bytes));
	record.transport = t->transport;
	record.tuple = t->tuple;
	record.len = (uint32_t)len;
	memcpy(record.bytes, datagram, len);
	memset(record.bytes + len, 0, sizeof(record.bytes) - len);
	t->owner->callbacks.send(t->owner->callbacks.ctx, &record);
}

static int tell_remote(struct handshake *t, struct dtls_session *session, const char *role)
{
	struct dtls_fingerprint list[DTLS_MAX_FINGERPRINTS];

	for (size_t i = 0; i < t->remote_count; i++) {
		list[i].algorithm = t->remote[i].algorithm;
		list[i].value = t->remote[i].value;
	}
	return dtls_session_set_remote(session, role, list, t->remote_count);
}

// A session for this transport, with the fingerprints if they are known. NULL: out of memory.
static struct dtls_session *open_session(struct handshake *t)
{
	struct dtls_session *session = dtls_session_create(t->owner->dtls, on_send, t);

	if (session != NULL && t->remote_known)
		tell_remote(t, session, NULL);
	return session;
}

static void end(struct handshake *t, const char *reason)
{
	t->ended = true;
	set_due(t, UINT64_MAX);
	t->owner->callbacks.on_ended(t->owner->callbacks.ctx, t->transport, reason);
}

static void give_keys(struct handshake *t)
{
	struct dtls_srtp_keys from;
	struct sfu_put_keys keys = {0};

	if (dtls_session_export(t->session, &from) != 0)
		return;
	keys.profile = from.profile;
	memcpy(keys.rx_key, from.client_key, sizeof(keys.rx_key));
	memcpy(keys.rx_salt, from.client_salt, sizeof(keys.rx_salt));
	memcpy(keys.tx_key, from.server_key, sizeof(keys.tx_key));
	memcpy(keys.tx_salt, from.server_salt, sizeof(keys.tx_salt));
	dtls_keys_wipe(&from);
	t->keys_given = true;
	t->owner->live--;
	t->owner->callbacks.on_keys(t->owner->callbacks.ctx, t->transport, &keys);
	explicit_bzero(&keys, sizeof(keys));
}

// After anything that may have moved the session. may_end: the callback may be called now; else
// the next tick does it. t may be gone after this.
static void follow(struct handshake *t, uint64_t now_us, bool may_end)
{
	uint64_t due_us;

	switch (dtls_session_state(t->session)) {
	case DTLS_HANDSHAKING:
	case DTLS_WAITING_FINGERPRINT:
		due_us = dtls_session_next_timeout_us(t->session, now_us);
		// No clock runs: it took the datagram for junk and has not begun.
		if (due_us == UINT64_MAX && t->fed) {
			t->fed = false;
			t->owner->live--;
			due_us = t->give_up_us != 0 ? t->give_up_us : UINT64_MAX;
		}
		// OpenSSL's clock is another one: a millisecond at least, so that a tick ends.
		set_due(t, due_us > now_us + 1000 ? due_us : now_us + 1000);
		return;
	case DTLS_CONNECTED:
		set_due(t, dtls_session_next_timeout_us(t->session, now_us));
		if (!t->keys_given)
			give_keys(t);
		return;
	case DTLS_CLOSED:
		if (may_end)
			end(t, "closed by the client");
		else
			set_due(t, now_us);
		return;
	case DTLS_FAILED:
		break;
	}
	if (t->keys_given) {
		if (may_end)
			end(t, "session failed");
		else
			set_due(t, now_us);
		return;
	}
	t->reason = dtls_session_reason(t->session);
	drop_session(t);
	if (t->give_up_us == 0)
		t->give_up_us = now_us + GRACE_US;
	if (now_us >= t->give_up_us && may_end)
		end(t, t->reason);
	else
		set_due(t, t->give_up_us);
}

// --- calls -------------------------------------------------------------------------------------

struct handshakes *handshakes_create(
	struct dtls_context *ctx, const struct handshake_callbacks *callbacks)
{
	struct handshakes *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return NULL;
	h->dtls = ctx;
	h->callbacks = *callbacks;
	h->next_us = UINT64_MAX;
	LIST_INIT(&h->active);
	return h;
}

static void drop_all(struct handshakes *h)
{
	for (uint32_t i = 0; i < h->capacity; i++)
		if (h->table[i] != NULL)
			handshakes_remove(h, h->table[i]->transport);
	free(h->table);
	h->table = NULL;
	h->capacity = 0;
	h->next_us = UINT64_MAX;
}

void handshakes_destroy(struct handshakes *h)
{
	if (h == NULL)
		return;
	drop_all(h);
	free(h);
}

int handshakes_reset(struct handshakes *h, uint32_t max_transports)
{
	drop_all(h);
	if (max_transports == 0)
		return 0;
	h->table = calloc(max_transports, sizeof(*h->table));
	if (h->table == NULL)
		return -ENOMEM;
	h->capacity = max_transports;
	return 0;
}

int handshakes_add(struct handshakes *h, uint64_t transport)
{
	uint32_t index = sfu_handle_index(transport);
	struct handshake *t;

	if (index >= h->capacity)
		return -ENOMEM;
	if (h->table[index] != NULL)
		handshakes_remove(h, h->table[index]->transport);
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return -ENOMEM;
	t->owner = h;
	t->transport = transport;
	t->tries = TRIES;
	t->reason = "";
	t->due_us = UINT64_MAX;
	h->table[index] = t;
	return 0;
}

int handshakes_adopt(struct handshakes *h, uint64_t transport)
{
	int status = handshakes_add(h, transport);

	if (status == 0)
		h->table[sfu_handle_index(transport)]->ended = true;
	return status;
}

void handshakes_remove(struct handshakes *h, uint64_t transport)
{
	struct handshake *t = find(h, transport);

	if (t == NULL)
		return;
	set_due(t, UINT64_MAX);
	drop_session(t);
	h->table[sfu_handle_index(transport)] = NULL;
	free(t);
}

int handshakes_set_remote(struct handshakes *h, uint64_t transport, const char *role,
	const struct media_fingerprint *fingerprints, size_t count, uint64_t now_us)
{
	struct handshake *t = find(h, transport);
	struct dtls_session *session;
	bool fresh;
	int rc;

	if (t == NULL)
		return -ENOENT;
	if (t->remote_known || t->ended)
		return 0;
	t->remote_count = count < DTLS_MAX_FINGERPRINTS ? count : DTLS_MAX_FINGERPRINTS;
	for (size_t i = 0; i < t->remote_count; i++) {
		t->remote[i] = fingerprints[i];
		t->remote[i].algorithm[sizeof(t->remote[i].algorithm) - 1] = '\0';
		t->remote[i].value[sizeof(t->remote[i].value) - 1] = '\0';
	}
	// The session judges role and values, so there must be one.
	fresh = t->session == NULL;
	session = fresh ? dtls_session_create(h->dtls, on_send, t) : t->session;
	if (session == NULL)
		return -ENOMEM;
	rc = tell_remote(t, session, role);
	if (rc != 0) {
		if (fresh)
			dtls_session_destroy(session);
		return -EINVAL;
	}
	t->remote_known = true;
	t->session = session;
	if (!fresh) {
		// A finished handshake with another certificate: no second try makes it the right one.
		if (dtls_session_state(session) == DTLS_FAILED)
			t->give_up_us = now_us;
		follow(t, now_us, false);
	}
	return 0;
}

static bool may_try(struct handshake *t, uint64_t now_us)
{
	uint64_t more = (now_us - t->tries_since_us) / TRY_EVERY_US;

	if (more > 0) {
		t->tries = t->tries + more < TRIES ? t->tries + (uint32_t)more : TRIES;
		t->tries_since_us = now_us;
	}
	if (t->tries == 0)
		return false;
	t->tries--;
	return true;
}

// The first datagram of a session: a handshake record of epoch 0, or it is not worth one.
static bool begin(struct handshake *t, const struct sfu_dtls_record *record, uint64_t now_us)
{
	if (record->len < RECORD_HEADER_BYTES || record->bytes[0] != CONTENT_HANDSHAKE
		|| record->bytes[3] != 0 || record->bytes[4] != 0)
		return false;
	if (t->owner->live >= HANDSHAKES_AT_ONCE || !may_try(t, now_us))
		return false;
	if (t->session == NULL)
		t->session = open_session(t);
	if (t->session == NULL)
		return false;
	t->fed = true;
	t->owner->live++;
	return true;
}

void handshakes_feed(struct handshakes *h, const struct sfu_dtls_record *record, uint64_t now_us)
{
	struct handshake *t = find(h, record->transport);

	if (t == NULL || t->ended || record->len == 0 || record->len > SFU_DTLS_MAX_BYTES)
		return;
	if (!t->fed && !begin(t, record, now_us))
		return;
	t->tuple = record->tuple;
	dtls_session_feed(t->session, record->bytes, record->len, now_us);
	follow(t, now_us, true);
}

uint64_t handshakes_next_us(const struct handshakes *h)
{
	return h->next_us;
}

static void look_at(struct handshake *t, uint64_t now_us)
{
	if (t->session != NULL && t->fed) {
		dtls_session_on_timeout(t->session, now_us);
		follow(t, now_us, true);
	} else {
		end(t, t->reason);
	}
}

void handshakes_tick(struct handshakes *h, uint64_t now_us)
{
	struct handshake *t;
	uint32_t looks = 0;

	if (now_us < h->next_us)
		return;
again:
	h->next_us = UINT64_MAX;
	LIST_FOREACH(t, &h->active, link)
	{
		if (t->due_us <= now_us && looks < 2 * HANDSHAKES_AT_ONCE) {
			looks++;
			// It is not due again within this tick, whatever OpenSSL's clock thinks.
			t->due_us = now_us + 1000;
			look_at(t, now_us);
			// A callback may have removed any of them.
			goto again;
		}
		if (t->due_us < h->next_us)
			h->next_us = t->due_us;
	}
}

uint32_t handshakes_live(const struct handshakes *h)
{
	return h->live;
}

bool handshakes_finished(const struct handshakes *h, uint64_t transport)
{
	const struct handshake *t = find(h, transport);

	return t != NULL && (t->keys_given || t->ended);
}

size_t handshakes_remote(const struct handshakes *h, uint64_t transport,
	struct media_fingerprint out[DTLS_MAX_FINGERPRINTS])
{
	const struct handshake *t = find(h, transport);

	if (t == NULL || !t->remote_known)
		return 0;
	memcpy(out, t->remote, t->remote_count * sizeof(*out));
	return t->remote_count;
}
