// SPDX-License-Identifier: BSD-3-Clause
/**
 * The pairs of ICE credentials that checks of a transport may be signed with. A new pair (ICE restart,
 * RFC 8445, 9) does not break what is there: the one before it stays good until a check signed with
 * the new one nominates an address. A pair that was never nominated with is dropped for the next, so
 * there are two at most.
 *
 * Programme writes; any worker reads without a lock. A place is written anew only after every worker
 * has been quiescent since it was given up.
 */
#pragma once

#include <rte_hash.h>
#include <rte_rcu_qsbr.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sfu-dp/table/objects.h"
#include "shared/command.h"

/** Where ufrags lead to transports (table/ufrag.h), and who must have been quiescent. */
struct credentials_scope {
	struct rte_hash *ufrags;
	struct rte_rcu_qsbr *qsbr;
};

/** Programme: the first pair of a transport that is not published yet. enum sfu_status. */
uint32_t credentials_first(const struct credentials_scope *s, struct transport *t, uint64_t handle,
	const struct sfu_put_transport *put);

/**
 * Programme: a further pair.
 * @return SFU_STATUS_OK; SFU_STATUS_MALFORMED (ufrag in use), SFU_STATUS_FULL, or SFU_STATUS_OCCUPIED
 *         while a worker may still read the place: again in some milliseconds. Then nothing changed
 */
uint32_t credentials_renew(const struct credentials_scope *s, struct transport *t, uint64_t handle,
	const struct sfu_put_transport *put);

/** Programme: the newest pair has nominated, the one before is no longer good. */
void credentials_settle(const struct credentials_scope *s, struct transport *t);

/** Programme: none is good any more. The transport is out of sight already. */
void credentials_remove(const struct credentials_scope *s, struct transport *t);

/** Programme: whether the newest pair is that of put. */
bool credentials_same(const struct transport *t, const struct sfu_put_transport *put);

/** Any thread: the newest pair. Valid until the thread is quiescent. */
const struct ice_credentials *credentials_newest(const struct transport *t);

/** Any worker: the pair with this ufrag, or NULL. Valid until the worker is quiescent. */
const struct ice_credentials *credentials_find(
	const struct transport *t, const uint8_t *ufrag, size_t len);
