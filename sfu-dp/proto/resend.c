// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/proto/resend.h"

#define US_PER_S 1000000u

uint32_t resend_admit(struct resend *r, uint32_t wanted, uint64_t now_us)
{
	uint64_t refill = (now_us - r->admit_us) * RESEND_ADMIT_PER_S / US_PER_S;
	uint32_t room;

	if (refill >= r->admitted) {
		r->admitted = 0;
		r->admit_us = now_us;
	} else {
		r->admitted -= (uint32_t)refill;
		r->admit_us += refill * US_PER_S / RESEND_ADMIT_PER_S;
	}
	room = RESEND_ADMIT_BURST - r->admitted;
	if (wanted > room)
		wanted = room;
	r->admitted += wanted;
	return wanted;
}

static struct resend_memory *memory_of(struct resend *r, uint64_t index)
{
	return &r->memory[index & (RESEND_REMEMBERED - 1)];
}

static void remember(struct resend *r, uint64_t index, uint64_t now_us)
{
	*memory_of(r, index) = (struct resend_memory){
		.index_low = (uint32_t)index, .at_ms = (uint32_t)(now_us / 1000)};
}

static bool is_fresh(struct resend *r, uint64_t index, uint32_t rtt_us, uint64_t now_us)
{
	const struct resend_memory *m = memory_of(r, index);
	uint32_t age_ms = (uint32_t)(now_us / 1000) - m->at_ms;

	if (!rtt_us)
		rtt_us = RESEND_RTT_FIRST_US;
	if (rtt_us < RESEND_RTT_MIN_US)
		rtt_us = RESEND_RTT_MIN_US;
	// An eighth less: who asks again as soon as a round trip has passed must not lose one more
	// to a little jitter.
	return m->index_low == (uint32_t)index && m->at_ms && age_ms < rtt_us * 7 / 8 / 1000;
}

enum resend_verdict resend_ask(struct resend *r, uint64_t index, uint32_t rtt_us, uint64_t now_us)
{
	if (is_fresh(r, index, rtt_us, now_us))
		return RESEND_DUPLICATE;
	if (r->waiting_count == RESEND_WAITING)
		return RESEND_FULL;
	r->waiting[(r->waiting_first + r->waiting_count++) & (RESEND_WAITING - 1)] = index;
	remember(r, index, now_us);
	return RESEND_NOTED;
}

bool resend_next(struct resend *r, uint64_t now_us, uint64_t *index)
{
	if (!r->waiting_count || now_us < r->pace_us)
		return false;
	*index = r->waiting[r->waiting_first];
	r->waiting_count--;
	r->waiting_first = r->waiting_count ? (r->waiting_first + 1) & (RESEND_WAITING - 1) : 0;
	remember(r, *index, now_us);
	// The clock of answers may lag by a burst.
	if (r->pace_us + (RESEND_PACE_BURST - 1) * RESEND_PACE_US < now_us)
		r->pace_us = now_us - (RESEND_PACE_BURST - 1) * RESEND_PACE_US;
	r->pace_us += RESEND_PACE_US;
	return true;
}

void resend_forget(struct resend *r)
{
	r->waiting_count = 0;
	r->waiting_first = 0;
}

void resend_start(struct resend *r, uint64_t media_bytes, uint64_t now_us)
{
	r->window_us = now_us;
	r->window_media_bytes = media_bytes;
	r->last_bytes = 0;
	r->media_bytes = media_bytes;
	r->saved = RESEND_LEAST_BYTES * 100u;
}

/** A second or more is over: its least is made up to, and its media, on average, are the last. */
static void window_turn(struct resend *r, uint64_t media_bytes, uint64_t now_us)
{
	uint64_t elapsed_us = now_us - r->window_us, sent = media_bytes - r->window_media_bytes;
	uint64_t earned = sent * RESEND_SHARE_PERCENT, least;

	if (elapsed_us < RESEND_WINDOW_US)
		return;
	least = RESEND_LEAST_BYTES * 100u * (elapsed_us / RESEND_WINDOW_US);
	if (earned < least)
		r->saved += least - earned;
	r->last_bytes = sent * RESEND_WINDOW_US / elapsed_us;
	r->window_us = now_us;
	r->window_media_bytes = media_bytes;
}

/** Put aside what the media since last time bring, as far as it may be kept. */
static void earn(struct resend *r, uint64_t media_bytes, uint64_t now_us)
{
	uint64_t per_s, most;

	r->saved += (media_bytes - r->media_bytes) * RESEND_SHARE_PERCENT;
	r->media_bytes = media_bytes;
	window_turn(r, media_bytes, now_us);
	per_s = media_bytes - r->window_media_bytes;
	if (per_s < r->last_bytes)
		per_s = r->last_bytes;
	most = per_s * RESEND_SHARE_PERCENT * RESEND_SAVED_S;
	if (most < RESEND_LEAST_BYTES * 100u)
		most = RESEND_LEAST_BYTES * 100u;
	if (r->saved > most)
		r->saved = most;
}

bool resend_spend(struct resend *r, uint64_t media_bytes, uint32_t bytes, uint64_t now_us)
{
	uint64_t cost = bytes * UINT64_C(100);

	earn(r, media_bytes, now_us);
	if (cost > r->saved)
		return false;
	r->saved -= cost;
	return true;
}
