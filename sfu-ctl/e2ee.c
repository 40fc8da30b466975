// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/e2ee.h"

#include <assert.h>
#include <math.h>

void e2ee_room_init(struct e2ee_room *r, bool required, uint64_t epoch)
{
	r->required = required;
	r->epoch = epoch;
}

void e2ee_member_init(const struct e2ee_room *r, struct e2ee_member *m)
{
	m->ready = !r->required;
	m->open_until_us = r->required ? 0 : E2EE_OPEN;
}

bool e2ee_gate_open(const struct e2ee_room *r, const struct e2ee_member *m)
{
	return !r->required || m->ready;
}

/* Is this number exactly the epoch? Both are below 2^53, so the conversion is exact. */
static bool is_epoch(const struct e2ee_room *r, double epoch)
{
	return !(epoch < (double)r->epoch) && !(epoch > (double)r->epoch) && !isnan(epoch);
}

bool e2ee_member_ready(const struct e2ee_room *r, struct e2ee_member *m, double epoch)
{
	if (!is_epoch(r, epoch))
		return false;
	m->ready = true;
	m->open_until_us = E2EE_OPEN;
	return true;
}

enum e2ee_verdict e2ee_judge(const struct e2ee_room *r, double epoch)
{
	if (is_epoch(r, epoch))
		return E2EE_COMMIT_SAME;
	if (!(epoch > (double)r->epoch) || epoch > (double)E2EE_EPOCH_MAX || floor(epoch) < epoch)
		return E2EE_COMMIT_REFUSED;
	return E2EE_COMMIT_NEW;
}

void e2ee_room_commit(struct e2ee_room *r, double epoch)
{
	assert(e2ee_judge(r, epoch) == E2EE_COMMIT_NEW);
	r->epoch = (uint64_t)epoch;
}

void e2ee_member_commit(const struct e2ee_room *r, struct e2ee_member *m, bool is_committer,
	const struct e2ee_commit *commit)
{
	if (!r->required)
		return;
	if (commit->verdict == E2EE_COMMIT_NEW)
		m->ready = false;
	if (is_committer) {
		m->open_until_us = E2EE_OPEN;
		if (commit->committer_ready)
			m->ready = true;
		return;
	}
	// Only who was ready gets a grace: a chain of commits must not keep a laggard open.
	if (commit->verdict == E2EE_COMMIT_NEW && m->open_until_us == E2EE_OPEN)
		m->open_until_us = commit->now_us + commit->grace_us;
}
