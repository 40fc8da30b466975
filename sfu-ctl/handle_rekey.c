// SPDX-License-Identifier: BSD-3-Clause
/* Key epochs: E2EE_READY, REKEY_BEGIN, REKEY_COMMIT. */
#include "sfu-ctl/core_impl.h"
#include "sfu-ctl/dispatch.h"
#include "sfu-ctl/outbox.h"
#include "sfu-ctl/payload.h"
#include "sfu-ctl/rekey_watch.h"
#include "sfu-ctl/remember.h"
#include "sfu-ctl/room.h"
#include "sfu-ctl/room_view.h"

#include <math.h>
#include <string.h>

/* C17: a number or a string of decimal digits; nothing else is coerced. */
static bool read_epoch(const struct json_object *payload, double *epoch)
{
	struct json_object *value = field_get(payload, "epoch");
	const char *digits;
	double number = 0;

	if (field_number(payload, "epoch", &number)) {
		*epoch = number;
		return isfinite(number) && number >= 0;
	}
	if (!json_object_is_type(value, json_type_string))
		return false;
	digits = json_object_get_string(value);
	if (digits[0] == '\0' || strlen(digits) > 16)
		return false;
	for (; *digits != '\0'; digits++) {
		if (*digits < '0' || *digits > '9')
			return false;
		number = number * 10 + (*digits - '0');
	}
	*epoch = number;
	return true;
}

static struct json_object *expected_epoch(uint64_t epoch)
{
	struct json_object *details = json_object_new_object();

	put_number(details, "expectedEpoch", epoch);
	return details;
}

void handle_e2ee_ready(struct request *r)
{
	struct peer *p = r->peer;
	struct room *room = p->room;
	double epoch;

	if (!read_epoch(r->payload, &epoch)) {
		request_fail(r, FAULT_INVALID_EPOCH);
		return;
	}
	if (!e2ee_member_ready(&room->e2ee, &p->e2ee, epoch)) {
		request_fail_with(r, FAULT_EPOCH_MISMATCH, NULL, expected_epoch(room->e2ee.epoch));
		return;
	}
	remember_peer(p);
	peer_program(p);
	r->replay_producers = p->consume_refused;
	p->consume_refused = false;
	request_ok(r);
}

static bool is_leader(const struct peer *p)
{
	return rekey_watch_leader(p->room) == p;
}

/* The refusal of the rules; false when there is none. */
static bool refuse_rekey(struct request *r, enum rekey_verdict verdict)
{
	const struct room *room = r->peer->room;
	const struct rekey *rekey = &room->rekey;
	bool running = rekey->state == REKEY_RUNNING;
	struct json_object *details;

	switch (verdict) {
	case REKEY_ALLOWED:
		return false;
	case REKEY_NOT_LEADER:
		request_fail(r, FAULT_NOT_LEADER);
		return true;
	case REKEY_BUSY:
		request_fail(r, FAULT_REKEY_BUSY);
		return true;
	case REKEY_OTHER_EPOCH:
		request_fail_with(r, FAULT_COMMIT_MISMATCH, NULL, expected_epoch(rekey->epoch));
		return true;
	case REKEY_NO_QUORUM:
		break;
	}
	details = json_object_new_object();
	put_number(details, "ack", running ? rekey->acks : 0);
	put_number(details, "need", running ? rekey->need : room->by_device.count - 1);
	request_fail_with(r, FAULT_NO_QUORUM, NULL, details);
	return true;
}

/* The contract documents say newEpoch. */
static bool read_new_epoch(const struct json_object *payload, double *epoch)
{
	return field_number(payload, "epoch", epoch) || field_number(payload, "newEpoch", epoch);
}

/* C7, and no further ahead than other nodes can follow (numbering.h). */
static enum e2ee_verdict judge(const struct room *room, double epoch)
{
	struct core *c = room->core;
	enum e2ee_verdict verdict = e2ee_judge(&room->e2ee, epoch);

	if (verdict == E2EE_COMMIT_NEW
		&& !numbering_allows_epoch(
			&c->numbering, room->e2ee.epoch, epoch, core_numbering_now(c)))
		return E2EE_COMMIT_REFUSED;
	return verdict;
}

static void begin(struct request *r, double epoch)
{
	struct room *room = r->peer->room;
	struct peer *p;

	rekey_begin(&room->rekey, &r->peer->rekey, (uint64_t)epoch, request_relayed_id(r),
		core_now(room->core));
	TAILQ_FOREACH (p, &room->peers, link)
		rekey_enlist(&room->rekey, &p->rekey, !p->session->closing);
	rekey_watch_news(room, REKEY_NO_NEWS);
}

void handle_rekey_begin(struct request *r)
{
	struct room *room = r->peer->room;
	struct core *c = room->core;
	bool ruled = room->rekey.policy != REKEY_RELAY;
	double epoch = 0;

	if (!device_rate_allows(&c->rekey_begins, c->config->rekey_begin_rate, r->peer->user_id,
		    r->peer->device_id, core_now(c))) {
		request_fail(r, FAULT_REKEY_RATE);
		return;
	}
	if (ruled) {
		if (refuse_rekey(r,
			    rekey_judge_begin(&room->rekey, &r->peer->rekey, is_leader(r->peer))))
			return;
		if (!read_new_epoch(r->payload, &epoch)) {
			request_fail(r, FAULT_INVALID_EPOCH);
			return;
		}
		if (judge(room, epoch) != E2EE_COMMIT_NEW) {
			request_fail_with(r, FAULT_COMMIT_MISMATCH, NULL,
				expected_epoch(room->e2ee.epoch + 1));
			return;
		}
	}
	outbox_relay(r, r->peer, NULL);
	if (ruled)
		begin(r, epoch);
	request_ok(r);
}

static void commit(struct peer *committer, double epoch, enum e2ee_verdict verdict)
{
	struct room *room = committer->room;
	const struct config *config = room->core->config;
	const struct e2ee_commit how = {
		.verdict = verdict,
		.committer_ready = config->committer_ready,
		.now_us = core_now(room->core),
		.grace_us = config->e2ee_grace_ms * UINT64_C(1000),
	};
	struct peer *p;

	if (verdict == E2EE_COMMIT_NEW) {
		room->core->tally.rekeys[TALLY_COMMITTED]++;
		e2ee_room_commit(&room->e2ee, epoch);
		room->older_until_us = how.now_us + how.grace_us;
		room->version++;
	}
	// Whoever dies in between leaves gates shut at the old epoch, and never one open at the new.
	TAILQ_FOREACH (p, &room->peers, link) {
		e2ee_member_commit(&room->e2ee, &p->e2ee, p == committer, &how);
		if (p != committer)
			remember_peer(p);
	}
	remember_room(room);
	remember_peer(committer);
	room_program(room);
	TAILQ_FOREACH (p, &room->peers, link)
		peer_program(p);
}

/* The members see what the commit did, and whether one more is wanted. */
static void after_commit(struct room *room, struct peer *committer)
{
	enum rekey_news news;

	if (room->rekey.policy == REKEY_QUORUM)
		outbox_broadcast(room, NULL, "ROOM_SNAPSHOT", room_view_snapshot(room));
	news = rekey_committed(
		&room->rekey, &committer->rekey, room->by_device.count, core_now(room->core));
	rekey_watch_news(room, news);
}

/* Has the policy something against it? Then the request has been ended. */
static bool refuse_commit(struct request *r, enum e2ee_verdict verdict, double epoch)
{
	const struct rekey *rekey = &r->peer->room->rekey;
	bool leader = is_leader(r->peer);

	if (verdict != E2EE_COMMIT_SAME)
		return refuse_rekey(r, rekey_judge_commit(rekey, &r->peer->rekey, leader, epoch));
	// C7: says no more than E2EE_READY does.
	if (rekey->policy == REKEY_LEADER && !leader)
		return refuse_rekey(r, REKEY_NOT_LEADER);
	return false;
}

void handle_rekey_commit(struct request *r)
{
	struct peer *p = r->peer;
	struct room *room = p->room;
	enum e2ee_verdict verdict;
	double epoch;

	if (!field_number(r->payload, "epoch", &epoch)) {
		if (room->rekey.policy != REKEY_RELAY) {
			request_fail(r, FAULT_INVALID_EPOCH);
			return;
		}
		outbox_relay(r, p, NULL); // no epoch or a string: as the seed, relay only
		request_ok(r);
		return;
	}
	verdict = judge(room, epoch);
	if (verdict == E2EE_COMMIT_REFUSED) {
		request_fail_with(
			r, FAULT_COMMIT_MISMATCH, NULL, expected_epoch(room->e2ee.epoch + 1));
		return;
	}
	if (refuse_commit(r, verdict, epoch))
		return;
	commit(p, epoch, verdict);
	if (verdict == E2EE_COMMIT_NEW)
		outbox_relay(r, p, NULL);
	request_ok(r);
	if (verdict == E2EE_COMMIT_NEW)
		after_commit(room, p);
}
