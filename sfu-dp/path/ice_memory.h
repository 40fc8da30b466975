// SPDX-License-Identifier: BSD-3-Clause
/**
 * Which checks of a transport were seen, and from where. A check is authentic for ever: who overheard
 * one can send it again from an address of his own. So a transaction counts once, from the address
 * it was first heard from; its own sender may repeat it and gets the same answer, without effect.
 *
 * The last STATE_CHECKS are remembered, in the stream state, so that the death of a process makes none
 * new: 20 minutes of a client that checks every 2.5 s. An older one can move the path away until the
 * client's next check moves it back.
 */
#pragma once

#include <stdint.h>

#include "sfu-dp/table/objects.h"

enum ice_memory {
	ICE_CHECK_NEW,
	ICE_CHECK_AGAIN, /* a retransmission, or one overheard and sent with its own source */
	ICE_CHECK_REPLAYED, /* seen before from another address */
};

/** Any worker. txid: STUN_TXID_LEN octets. */
enum ice_memory ice_memory_find(
	const struct transport *t, const uint8_t *txid, const struct tuple *tuple);

/** The owner, for one that is ICE_CHECK_NEW, before anything is learnt from it. */
void ice_memory_add(struct transport *t, const uint8_t *txid, const struct tuple *tuple);
