// SPDX-License-Identifier: BSD-3-Clause
/**
 * What workers store in the stream state while packets pass: the owner of the transport, before the
 * packet that it is about leaves. Single 64-bit stores in this order; see layout.h.
 *
 * After a death the successor takes no index at or below what is stored here, whatever else it
 * finds: that alone keeps (key, SSRC, index) from repeating. The rest makes the streams go on
 * smoothly.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "sfu-dp/state/layout.h"

/** One store, not split and not moved by the compiler behind a later one of these. */
static inline void state_store(uint64_t *where, uint64_t word)
{
	__atomic_store_n(where, word, __ATOMIC_RELAXED);
	atomic_signal_fence(memory_order_release);
}

/** "Highest + 1", where the very last index of a key stands for itself: nothing comes after it. */
static inline uint64_t state_next(uint64_t index)
{
	return state_guard(index < STATE_VALUE_MAX ? index + 1 : index);
}

/** A new highest outgoing index was given out. Before it is sealed. */
static inline void state_egress_index(
	struct state_egress *e, uint64_t index, uint32_t timestamp, uint32_t packets)
{
	state_store(&e->next, state_next(index));
	state_store(&e->about, timestamp | (uint64_t)packets << 32);
}

/** The same for the retransmission stream. */
static inline void state_egress_rtx(struct state_egress *e, uint64_t index)
{
	state_store(&e->rtx_next, state_next(index));
}

/** The stream starts or goes on after a gap with other offsets. Before the first index of it. */
static inline void state_egress_start(struct state_egress *e, uint64_t offset,
	uint32_t timestamp_offset, uint32_t source_ssrc, uint8_t encoding)
{
	// The source last: a new offset with the old source is made anew by its first packet.
	state_store(&e->offset, state_guard(offset));
	state_store(&e->timestamp_offset, state_guard(timestamp_offset));
	state_store(&e->source,
		state_guard(source_ssrc | (uint64_t)encoding << 32 | UINT64_C(1) << 40));
}

/** A received index became the highest authentic one. Before the packet goes on. */
static inline void state_rx_index(struct state_rx *rx, uint64_t index)
{
	state_store(&rx->next, state_next(index));
}

/** An SSRC begins to be followed in this place; what was here was retired first. */
static inline void state_rx_begin(struct state_rx *rx, uint32_t ssrc)
{
	// Free until the last store.
	state_store(&rx->id, 0);
	state_store(&rx->next, state_guard(0));
	state_store(&rx->producer_generation, state_guard(0));
	state_store(&rx->producer_index, state_guard(0));
	for (unsigned i = 0; i < sizeof(rx->reserved) / sizeof(rx->reserved[0]); i++)
		state_store(&rx->reserved[i], state_guard(0));
	state_store(&rx->id, state_guard(ssrc | STATE_RX_USED));
}

/** The SSRC feeds an encoding of a producer. flags: STATE_RX_*. */
static inline void state_rx_bind(
	struct state_rx *rx, uint32_t ssrc, uint64_t producer, uint8_t encoding, uint64_t flags)
{
	// Not bound until the last store.
	state_store(&rx->producer_generation, state_guard(0));
	state_store(&rx->producer_index, state_guard(sfu_handle_index(producer)));
	state_store(&rx->id, state_guard(ssrc | (uint64_t)encoding << 32 | STATE_RX_USED | flags));
	state_store(&rx->producer_generation, state_guard(sfu_handle_generation(producer)));
}

/** Another SSRC has taken its place: nothing of it is taken any more. */
static inline void state_rx_over(struct state_rx *rx)
{
	state_store(&rx->id, state_guard(rx->id | STATE_RX_OVER));
}

/** A received SRTCP index became the highest authentic one. Before the packet goes on. */
static inline void state_rtcp_index(struct state_rtcp *rtcp, uint32_t index)
{
	state_store(&rtcp->next, state_next(index));
}

/** An SSRC begins to send RTCP, with this index; what was here was retired first. */
static inline void state_rtcp_begin(struct state_rtcp *rtcp, uint32_t ssrc, uint32_t index)
{
	// Free until the last store.
	state_store(&rtcp->id, 0);
	state_rtcp_index(rtcp, index);
	state_store(&rtcp->id, state_guard(ssrc | STATE_RX_USED));
}

/** An SSRC that is followed no more and must not come again; place counts from 0. */
static inline void state_retire(struct state_transport *t, uint32_t place, uint32_t ssrc)
{
	state_store(&t->retired[place], state_guard(ssrc));
}

/** A check counts from now on, and no more. Before anything is learnt from it. */
static inline void state_heeded(struct state_transport *t, uint64_t check)
{
	uint64_t n = state_value(t->checks_next);

	// The place first: a death in between leaves the oldest one there, and forgets none.
	state_store(&t->checks_next, state_guard(n + 1));
	state_store(&t->checks[n % STATE_CHECKS], state_guard(check));
}

/** The next SRTCP packet of ours gets this index. Before the present one is sealed. */
static inline void state_rtcp_next(struct state_transport *t, uint32_t next)
{
	state_store(&t->rtcp_next, state_guard(next));
}

/** A packet gets this transport-wide number. Before it is sent. */
static inline void state_twcc(struct state_transport *t, uint16_t seq)
{
	if (seq % STATE_TWCC_STEP == 0)
		state_store(&t->twcc_next, state_guard((uint64_t)seq + STATE_TWCC_STEP));
}
