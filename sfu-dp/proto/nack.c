// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/proto/nack.h"

#include <string.h>

uint32_t nack_retry_us(const struct nack *n)
{
	uint64_t us = (uint64_t)n->rtt_us + 2 * (uint64_t)n->rtt_deviation_us;

	if (!n->rtt_us)
		return NACK_RETRY_FIRST_US;
	if (us < NACK_RETRY_MIN_US)
		return NACK_RETRY_MIN_US;
	return us > NACK_RETRY_MAX_US ? NACK_RETRY_MAX_US : (uint32_t)us;
}

/** As RFC 6298, 2; the sample of a packet that was asked for once is not ambiguous. */
static void rtt_sample(struct nack *n, uint64_t sample_us)
{
	uint32_t us = sample_us > NACK_RETRY_MAX_US ? NACK_RETRY_MAX_US : (uint32_t)sample_us;
	uint32_t off = us > n->rtt_us ? us - n->rtt_us : n->rtt_us - us;

	if (!us)
		us = 1;
	if (!n->rtt_us) {
		n->rtt_us = us;
		n->rtt_deviation_us = us / 2;
		return;
	}
	n->rtt_deviation_us += off / 4;
	n->rtt_deviation_us -= n->rtt_deviation_us / 4;
	n->rtt_us = (uint32_t)((7 * (uint64_t)n->rtt_us + us) / 8);
}

/**
 * Asked for more than once, so it is not known which request was answered. Perhaps none is waited for long
 * enough, and then there will never be a sample: wait a little longer, until one says how long.
 */
static void rtt_doubt(struct nack *n)
{
	if (n->rtt_deviation_us < NACK_RETRY_MAX_US)
		n->rtt_deviation_us += n->rtt_us / 8;
}

static uint64_t due_of(const struct nack *n, const struct nack_missing *m)
{
	return m->since_us + (m->tries ? nack_retry_us(n) : NACK_REORDER_US);
}

/** How far behind the highest a missing packet is. */
static uint32_t age_of(const struct nack *n, const struct nack_missing *m)
{
	return (uint32_t)n->highest - m->index_low;
}

static void remove_first(struct nack *n, unsigned count)
{
	n->count = (uint16_t)(n->count - count);
	memmove(n->missing, n->missing + count, n->count * sizeof(n->missing[0]));
}

static void newest(struct nack *n, uint64_t index, uint64_t now_us)
{
	n->highest = index;
	n->last_us = now_us;
}

/** Everything between the highest and this one is missing. */
static enum nack_news gap(struct nack *n, uint64_t index, uint64_t now_us)
{
	uint64_t missing = index - n->highest - 1;
	bool was_silent = now_us - n->last_us >= NACK_SILENCE_US;

	if (missing > (was_silent ? NACK_SILENCE_MISSING : NACK_MISSING_MAX)) {
		nack_forget(n);
		newest(n, index, now_us);
		n->resets++;
		return NACK_TOO_LONG;
	}
	if (n->count + missing > NACK_MISSING_MAX) {
		unsigned out = n->count + (unsigned)missing - NACK_MISSING_MAX;

		remove_first(n, out);
		n->given_up += out;
	}
	if (!n->count || now_us + NACK_REORDER_US < n->due_us)
		n->due_us = now_us + NACK_REORDER_US;
	while (++n->highest < index)
		n->missing[n->count++] = (struct nack_missing){
			.since_us = now_us, .index_low = (uint32_t)n->highest};
	n->last_us = now_us;
	return NACK_GAP;
}

static void fill(struct nack *n, uint64_t index, bool retransmitted, uint64_t now_us)
{
	for (unsigned i = n->count; i-- > 0;) {
		const struct nack_missing *m = &n->missing[i];

		if (m->index_low != (uint32_t)index)
			continue;
		if (m->tries)
			n->recovered++;
		if (m->tries == 1 && retransmitted)
			rtt_sample(n, now_us - m->since_us);
		else if (m->tries && retransmitted)
			rtt_doubt(n);
		memmove(n->missing + i, n->missing + i + 1,
			(n->count - i - 1u) * sizeof(n->missing[0]));
		n->count--;
		return;
	}
}

enum nack_news nack_arrived(struct nack *n, uint64_t index, bool retransmitted, uint64_t now_us)
{
	if (!n->started) {
		n->started = 1;
		newest(n, index, now_us);
		return NACK_NO_NEWS;
	}
	// The commonest first.
	if (index == n->highest + 1) {
		newest(n, index, now_us);
		return NACK_NO_NEWS;
	}
	if (index > n->highest)
		return gap(n, index, now_us);
	if (n->count)
		fill(n, index, retransmitted, now_us);
	return NACK_NO_NEWS;
}

unsigned nack_due(struct nack *n, uint64_t now_us, uint16_t seqs[NACK_MISSING_MAX])
{
	uint64_t next_us = UINT64_MAX;
	unsigned count = 0, kept = 0;

	for (unsigned i = 0; i < n->count; i++) {
		struct nack_missing m = n->missing[i];

		if (age_of(n, &m) > NACK_REACH
			|| (m.tries >= NACK_TRIES_MAX && now_us >= due_of(n, &m))) {
			n->given_up++;
			continue;
		}
		if (now_us >= due_of(n, &m)) {
			seqs[count++] = (uint16_t)m.index_low;
			m.tries++;
			m.since_us = now_us;
			n->asked++;
		}
		if (due_of(n, &m) < next_us)
			next_us = due_of(n, &m);
		n->missing[kept++] = m;
	}
	n->count = (uint16_t)kept;
	n->due_us = next_us;
	return count;
}

void nack_forget(struct nack *n)
{
	n->given_up += n->count;
	n->count = 0;
}

void nack_restart(struct nack *n)
{
	nack_forget(n);
	n->started = 0;
	n->rtt_us = 0;
	n->rtt_deviation_us = 0;
}
