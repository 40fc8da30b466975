// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/table/credentials.h"

#include <string.h>

#include "sfu-dp/proto/srtp.h"
#include "sfu-dp/table/ufrag.h"

static void pair_fill(
	struct ice_credentials *pair, const struct sfu_put_transport *put, uint32_t round)
{
	pair->round = round;
	pair->ufrag_len = put->ufrag_len;
	pair->pwd_len = put->pwd_len;
	memcpy(pair->ufrag, put->ufrag, put->ufrag_len);
	memcpy(pair->pwd, put->pwd, put->pwd_len);
}

static uint32_t ufrag_claim(
	const struct credentials_scope *s, uint64_t handle, const struct sfu_put_transport *put)
{
	if (ufrag_find(s->ufrags, put->ufrag, put->ufrag_len))
		return SFU_STATUS_MALFORMED;
	return ufrag_add(s->ufrags, put->ufrag, put->ufrag_len, handle) ? SFU_STATUS_OK
									: SFU_STATUS_FULL;
}

uint32_t credentials_first(const struct credentials_scope *s, struct transport *t, uint64_t handle,
	const struct sfu_put_transport *put)
{
	uint32_t status = ufrag_claim(s, handle, put);

	if (status != SFU_STATUS_OK)
		return status;
	pair_fill(&t->credentials[0], put, 1);
	atomic_store_explicit(&t->credentials_now, 0, memory_order_relaxed);
	atomic_store_explicit(&t->credentials_before, CREDENTIALS_NONE, memory_order_relaxed);
	return SFU_STATUS_OK;
}

/** A place that is neither good nor may still be read; CREDENTIALS_NONE when there is none. */
static uint8_t place_free(const struct credentials_scope *s, const struct transport *t)
{
	uint8_t now = atomic_load_explicit(&t->credentials_now, memory_order_relaxed);
	uint8_t before = atomic_load_explicit(&t->credentials_before, memory_order_relaxed);

	for (uint8_t i = 0; i < TRANSPORT_CREDENTIALS; i++) {
		if (i == now || i == before)
			continue;
		if (!t->credentials_token[i]
			|| rte_rcu_qsbr_check(s->qsbr, t->credentials_token[i], false) == 1)
			return i;
	}
	return CREDENTIALS_NONE;
}

/** From here on no worker finds it, but one may be reading. */
static void give_up(const struct credentials_scope *s, struct transport *t, uint8_t place)
{
	ufrag_remove(s->ufrags, t->credentials[place].ufrag, t->credentials[place].ufrag_len);
	t->credentials_token[place] = rte_rcu_qsbr_start(s->qsbr);
}

uint32_t credentials_renew(const struct credentials_scope *s, struct transport *t, uint64_t handle,
	const struct sfu_put_transport *put)
{
	uint8_t now = atomic_load_explicit(&t->credentials_now, memory_order_relaxed);
	uint8_t before = atomic_load_explicit(&t->credentials_before, memory_order_relaxed);
	uint8_t place = place_free(s, t);
	uint32_t status;

	if (place == CREDENTIALS_NONE)
		return SFU_STATUS_OCCUPIED;
	status = ufrag_claim(s, handle, put);
	if (status != SFU_STATUS_OK)
		return status;
	srtp_wipe(&t->credentials[place], sizeof(t->credentials[place]));
	pair_fill(&t->credentials[place], put, t->credentials[now].round + 1);
	// What carries the call is the pair before; one that nobody has used since goes.
	if (before == CREDENTIALS_NONE)
		atomic_store_explicit(&t->credentials_before, now, memory_order_release);
	atomic_store_explicit(&t->credentials_now, place, memory_order_release);
	if (before != CREDENTIALS_NONE)
		give_up(s, t, now);
	return SFU_STATUS_OK;
}

void credentials_settle(const struct credentials_scope *s, struct transport *t)
{
	uint8_t before = atomic_exchange_explicit(
		&t->credentials_before, CREDENTIALS_NONE, memory_order_acq_rel);

	if (before != CREDENTIALS_NONE)
		give_up(s, t, before);
}

void credentials_remove(const struct credentials_scope *s, struct transport *t)
{
	const struct ice_credentials *newest = credentials_newest(t);

	credentials_settle(s, t);
	ufrag_remove(s->ufrags, newest->ufrag, newest->ufrag_len);
}

bool credentials_same(const struct transport *t, const struct sfu_put_transport *put)
{
	const struct ice_credentials *pair = credentials_newest(t);

	return pair->ufrag_len == put->ufrag_len && pair->pwd_len == put->pwd_len
	       && !memcmp(pair->ufrag, put->ufrag, put->ufrag_len)
	       && !memcmp(pair->pwd, put->pwd, put->pwd_len);
}

const struct ice_credentials *credentials_newest(const struct transport *t)
{
	return &t->credentials[atomic_load_explicit(&t->credentials_now, memory_order_acquire)];
}

static bool has_ufrag(const struct ice_credentials *pair, const uint8_t *ufrag, size_t len)
{
	return pair->ufrag_len == len && !memcmp(pair->ufrag, ufrag, len);
}

const struct ice_credentials *credentials_find(
	const struct transport *t, const uint8_t *ufrag, size_t len)
{
	const struct ice_credentials *now = credentials_newest(t);
	uint8_t before;

	if (has_ufrag(now, ufrag, len))
		return now;
	before = atomic_load_explicit(&t->credentials_before, memory_order_acquire);
	if (before != CREDENTIALS_NONE && has_ufrag(&t->credentials[before], ufrag, len))
		return &t->credentials[before];
	return NULL;
}
