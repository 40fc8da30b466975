// SPDX-License-Identifier: BSD-3-Clause
#include <rte_random.h>
#include <stdlib.h>
#include <string.h>

#include "sfu-dp/programme/check.h"
#include "sfu-dp/programme/impl.h"
#include "sfu-dp/state/restore.h"

static uint32_t transport_make(
	struct programme *p, const struct sfu_command *cmd, struct peer *peer, struct transport *t)
{
	const struct sfu_put_transport *put = &cmd->u.transport;
	const struct credentials_scope scope = credentials_scope(p);
	uint32_t status = credentials_first(&scope, t, cmd->handle, put);

	if (status != SFU_STATUS_OK)
		return status;
	t->peer = peer;
	t->direction = put->direction;
	memcpy(t->label, put->label, sizeof(put->label));
	t->rtcp_ssrc = (uint32_t)rte_rand() | 1;
	t->next_tuple_id = 1;
	LIST_INIT(&t->producer_head);
	LIST_INIT(&t->consumer_head);
	LIST_INSERT_HEAD(&peer->list, t, of_peer);
	peer->transports++;
	atomic_store_explicit(&t->owner, DP_NO_WORKER, memory_order_relaxed);
	restore_transport(p->state, t, cmd->handle);
	atomic_store_explicit(&t->handle, cmd->handle, memory_order_release);
	return SFU_STATUS_OK;
}

/** Credentials may change (ICE restart), nothing else. */
static uint32_t transport_change(struct programme *p, const struct sfu_command *cmd,
	const struct peer *peer, struct transport *t)
{
	const struct sfu_put_transport *put = &cmd->u.transport;
	const struct credentials_scope scope = credentials_scope(p);

	if (t->peer != peer || t->direction != put->direction)
		return SFU_STATUS_UNSUPPORTED;
	if (credentials_same(t, put))
		return SFU_STATUS_OK;
	return credentials_renew(&scope, t, cmd->handle, put);
}

uint32_t put_transport(struct programme *p, const struct sfu_command *cmd)
{
	const struct sfu_put_transport *put = &cmd->u.transport;
	struct slot *slot = NULL;
	struct transport *t;
	struct peer *peer;
	uint32_t status;
	enum place place;

	if (!check_transport(put))
		return SFU_STATUS_MALFORMED;
	place = slot_place(p, SFU_KIND_TRANSPORT, cmd, &slot, &status);
	if (place == PLACE_ANSWER)
		return status;
	peer = slot_find(p, SFU_KIND_PEER, put->peer);
	if (!peer)
		return SFU_STATUS_NO_PARENT;
	t = slot_object(p, SFU_KIND_TRANSPORT, sfu_handle_index(cmd->handle));
	if (place == PLACE_THERE) {
		status = transport_change(p, cmd, peer, t);
		if (status == SFU_STATUS_OK)
			slot->version = cmd->version;
		return status;
	}
	status = transport_make(p, cmd, peer, t);
	if (status == SFU_STATUS_OK)
		slot_take(p, SFU_KIND_TRANSPORT, slot, cmd);
	return status;
}

void keys_destroy(struct transport_keys *keys)
{
	if (!keys)
		return;
	keys->engine->destroy(keys->rx);
	keys->engine->destroy(keys->tx);
	free(keys);
}

static struct transport_keys *keys_create(
	const struct srtp_engine *engine, const struct sfu_put_keys *put, uint32_t *status)
{
	const struct srtp_profile *profile = srtp_profile_find(put->profile);
	struct transport_keys *keys;

	*status = SFU_STATUS_MALFORMED;
	if (!profile)
		return NULL;
	*status = SFU_STATUS_FULL;
	keys = calloc(1, sizeof(*keys));
	if (!keys)
		return NULL;
	keys->engine = engine;
	keys->profile = profile;
	if (engine->create(profile, put->rx_key, put->rx_salt, &keys->rx) != SRTP_OK
		|| engine->create(profile, put->tx_key, put->tx_salt, &keys->tx) != SRTP_OK) {
		keys_destroy(keys);
		return NULL;
	}
	*status = SFU_STATUS_OK;
	return keys;
}

uint32_t put_keys(struct programme *p, const struct sfu_command *cmd)
{
	struct transport *t = slot_find(p, SFU_KIND_TRANSPORT, cmd->handle);
	struct transport_keys *keys;
	uint32_t status;

	if (!t)
		return SFU_STATUS_NO_PARENT;
	if (atomic_load_explicit(&t->keys, memory_order_relaxed)) {
		if (cmd->version == t->keys_version)
			return SFU_STATUS_OK;
		return cmd->version < t->keys_version ? SFU_STATUS_STALE : SFU_STATUS_OCCUPIED;
	}
	keys = keys_create(p->o.engine, &cmd->u.keys, &status);
	if (!keys)
		return status;
	t->keys_version = cmd->version;
	atomic_store_explicit(&t->keys, keys, memory_order_release);
	return SFU_STATUS_OK;
}
