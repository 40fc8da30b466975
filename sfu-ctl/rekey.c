// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/rekey.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

void rekey_init(struct rekey *r, enum rekey_policy policy, uint64_t timeout_us)
{
	memset(r, 0, sizeof(*r));
	r->policy = policy;
	r->timeout_us = timeout_us;
}

static void rest(struct rekey *r)
{
	r->state = REKEY_IDLE;
	r->conductor = NULL;
	r->deadline_us = 0;
	r->again = false;
}

static void want(struct rekey *r, enum rekey_reason reason, uint32_t members, uint64_t now_us)
{
	r->state = REKEY_WANTED;
	r->conductor = NULL;
	r->again = false;
	r->reason = reason;
	r->turns = members;
	r->deadline_us = now_us + r->timeout_us;
}

/* The set of members changed. */
static enum rekey_news changed(
	struct rekey *r, enum rekey_reason reason, uint32_t members, uint64_t now_us)
{
	if (r->state == REKEY_RUNNING) {
		r->again = true;
		r->reason = reason;
		return REKEY_NO_NEWS;
	}
	want(r, reason, members, now_us);
	return REKEY_REQUIRED;
}

enum rekey_news rekey_joined(struct rekey *r, uint32_t members, uint64_t now_us)
{
	// The first one has nobody to share a key with.
	if (r->policy == REKEY_RELAY || members < 2)
		return REKEY_NO_NEWS;
	return changed(r, REKEY_MEMBER_JOIN, members, now_us);
}

static void forget(struct rekey *r, struct rekey_member *m)
{
	if (m->needed) {
		assert(r->need > 0);
		r->need--;
		if (m->acked)
			r->acks--;
	}
	m->needed = false;
	m->acked = false;
	m->package_id[0] = '\0';
}

enum rekey_news rekey_left(
	struct rekey *r, struct rekey_member *m, uint32_t members, uint64_t now_us)
{
	bool conducted = r->state == REKEY_RUNNING && r->conductor == m;

	forget(r, m);
	if (r->policy == REKEY_RELAY)
		return REKEY_NO_NEWS;
	if (members == 0) {
		rest(r);
		return REKEY_NO_NEWS;
	}
	if (!conducted)
		return changed(r, REKEY_MEMBER_LEAVE, members, now_us);
	want(r, REKEY_MEMBER_LEAVE, members, now_us);
	return REKEY_ABORT_LEADER_LOST;
}

enum rekey_news rekey_lost(
	struct rekey *r, struct rekey_member *m, uint32_t members, uint64_t now_us)
{
	bool conducted = r->state == REKEY_RUNNING && r->conductor == m;

	forget(r, m);
	if (!conducted)
		return REKEY_NO_NEWS;
	want(r, REKEY_MEMBER_LEAVE, members, now_us);
	return REKEY_ABORT_LEADER_LOST;
}

enum rekey_verdict rekey_judge_begin(
	const struct rekey *r, const struct rekey_member *m, bool is_leader)
{
	if (r->policy == REKEY_RELAY)
		return REKEY_ALLOWED;
	if (r->state == REKEY_RUNNING)
		return r->conductor == m ? REKEY_ALLOWED : REKEY_BUSY;
	if (r->policy == REKEY_LEADER && !is_leader)
		return REKEY_NOT_LEADER;
	return REKEY_ALLOWED;
}

void rekey_begin(struct rekey *r, struct rekey_member *m, uint64_t epoch, const char *begin_id,
	uint64_t now_us)
{
	assert(r->policy != REKEY_RELAY);
	r->state = REKEY_RUNNING;
	r->conductor = m;
	r->epoch = epoch;
	r->deadline_us = now_us + r->timeout_us;
	r->need = 0;
	r->acks = 0;
	snprintf(r->begin_id, sizeof(r->begin_id), "%s", begin_id);
}

void rekey_enlist(struct rekey *r, struct rekey_member *m, bool reachable)
{
	m->needed = reachable && m != r->conductor;
	m->acked = false;
	m->package_id[0] = '\0';
	if (m->needed)
		r->need++;
}

void rekey_package(const struct rekey *r, struct rekey_member *m, const char *id)
{
	if (r->state == REKEY_RUNNING)
		snprintf(m->package_id, sizeof(m->package_id), "%s", id);
}

static bool is_epoch(const struct rekey *r, double epoch)
{
	return !(epoch < (double)r->epoch) && !(epoch > (double)r->epoch);
}

void rekey_ack(struct rekey *r, struct rekey_member *m, double epoch, const char *ref_id)
{
	if (r->state != REKEY_RUNNING || !m->needed || m->acked || !is_epoch(r, epoch))
		return;
	if (strcmp(ref_id, r->begin_id) != 0
		&& (m->package_id[0] == '\0' || strcmp(ref_id, m->package_id) != 0))
		return;
	m->acked = true;
	r->acks++;
}

enum rekey_verdict rekey_judge_commit(
	const struct rekey *r, const struct rekey_member *m, bool is_leader, double epoch)
{
	if (r->policy == REKEY_RELAY)
		return REKEY_ALLOWED;
	if (r->state != REKEY_RUNNING) {
		if (r->policy == REKEY_QUORUM)
			return REKEY_NO_QUORUM;
		return is_leader ? REKEY_ALLOWED : REKEY_NOT_LEADER;
	}
	if (r->conductor != m)
		return REKEY_NOT_LEADER;
	if (!is_epoch(r, epoch))
		return REKEY_OTHER_EPOCH;
	return r->policy == REKEY_QUORUM && r->acks < r->need ? REKEY_NO_QUORUM : REKEY_ALLOWED;
}

enum rekey_news rekey_committed(
	struct rekey *r, struct rekey_member *m, uint32_t members, uint64_t now_us)
{
	bool again = r->again;

	if (r->policy == REKEY_RELAY)
		return REKEY_NO_NEWS;
	m->missed = 0;
	rest(r);
	if (!again)
		return REKEY_NO_NEWS;
	want(r, r->reason, members, now_us);
	return REKEY_REQUIRED;
}

enum rekey_news rekey_tick(
	struct rekey *r, struct rekey_member *leader, uint32_t members, uint64_t now_us)
{
	if (r->deadline_us == 0 || now_us < r->deadline_us)
		return REKEY_NO_NEWS;
	if (r->state == REKEY_RUNNING) {
		r->conductor->missed++;
		want(r, REKEY_TIMEOUT, members, now_us);
		return REKEY_ABORT_TIMEOUT;
	}
	leader->missed++;
	if (r->turns <= 1) {
		// Nobody here knows REKEY_REQUIRED. The next change of members asks again.
		r->deadline_us = 0;
		return REKEY_NO_NEWS;
	}
	r->turns--;
	r->reason = REKEY_TIMEOUT;
	r->deadline_us = now_us + r->timeout_us;
	return REKEY_REQUIRED;
}
