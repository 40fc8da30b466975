// SPDX-License-Identifier: BSD-3-Clause
/**
 * The stream state: what outlives a poll-mode process (ARCHITECTURE.md, "A data plane that dies").
 * One memfd, held by the keeper, mapped by the process that forwards; nobody else ever gets it,
 * since it holds the hop keys.
 *
 *   header          4096   what this is, sizes, the redo record
 *   slots[kind]       32 each   which objects there are
 *   bodies[kind]     256 each   the command that made each (struct sfu_command)
 *   egress            64 per consumer    written by the owner of its transport
 *   transports     12992 per transport   written by its owner
 *
 * A process may die after any store, so everything is one of two kinds:
 *
 * - A *guarded word*: 48 bits of value and 16 bits of check in one 64-bit store. Never torn; one
 *   that does not check was damaged, and then nothing of the region is adopted.
 * - A *record* of the programme: changed by housekeeping alone, and only while the redo record says
 *   how to finish it.
 *
 * Where several guarded words belong together, the order of the stores is such that every prefix of
 * them is safe; it stands at the functions that store them (hot.h). All integers host order, no
 * pointers. Change STATE_VERSION with anything here; tests/unit/test_state.c pins the sizes.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "shared/command.h"

#define STATE_MAGIC 0x3145544154534653ull /* "SFSTATE1" */
#define STATE_VERSION 4u
#define STATE_HEADER_BYTES 4096u

/** Kinds of records: those of enum sfu_object_kind, and the keys of a transport. */
#define STATE_KIND_KEYS (SFU_KIND_CONSUMER + 1)
#define STATE_KINDS (STATE_KIND_KEYS + 1)

#define STATE_TUPLES 8u
#define STATE_RX_STREAMS 32u
#define STATE_RTCP_SOURCES 256u
#define STATE_RETIRED 224u
#define STATE_CHECKS 512u
/** Transport-wide numbers are stored this far ahead: a jump after a death costs nothing. */
#define STATE_TWCC_STEP 256u

/** How many there may be of what; fixed for the life of a region. */
struct state_limits {
	uint32_t count[STATE_KINDS]; /* by kind; [0] is zero, keys as many as transports */
	uint32_t reserved;
};

enum state_slot_state {
	STATE_FREE = 0,
	STATE_LIVE = 0x4c49, /* in the high bits of state_slot.version */
	STATE_BUSY = 0xb05f, /* being written: the redo record says what */
};

struct state_slot {
	uint64_t generation; /* guarded: of the object, or of the last one here */
	uint64_t version; /* guarded: version | enum state_slot_state << 32 */
	uint64_t body_sum; /* state_sum() of the body */
	uint64_t reserved;
};

/** How to finish what was being done to records. Pending while sequence = done + 1. */
struct state_redo {
	uint64_t sequence;
	struct sfu_command command;
	uint64_t sum; /* over the two above */
};

struct state_header {
	uint64_t magic;
	uint32_t version;
	uint32_t header_bytes;
	uint64_t region_bytes;
	uint64_t instance; /* random: the same as long as the state goes on */
	struct state_limits limits;
	uint64_t slots_at[STATE_KINDS]; /* offsets from the start */
	uint64_t bodies_at[STATE_KINDS];
	uint64_t egress_at;
	uint64_t transports_at;
	uint64_t sum; /* over all of the above: written once */
	/* from here on written while it runs */
	uint64_t done; /* guarded: sequence of the last redo record that is finished */
	uint64_t alive_us; /* CLOCK_MONOTONIC of housekeeping's last turn: about when it died */
	struct state_redo redo;
};

/** One outgoing stream (and its retransmissions): all guarded but the last. */
struct state_egress {
	uint64_t generation; /* of the consumer */
	uint64_t next; /* highest SRTP index given out + 1; 0 = none yet */
	uint64_t rtx_next; /* the same of its retransmission stream */
	uint64_t offset; /* outgoing less incoming index, 48-bit two's complement */
	uint64_t source; /* incoming SSRC | encoding << 32 | 1 << 40 when started */
	uint64_t timestamp_offset;
	uint64_t reserved;
	uint64_t about; /* not guarded, only a hint: last timestamp | packets << 32 */
};

/** One received SSRC of RTP; all guarded. */
struct state_rx {
	uint64_t id; /* SSRC | encoding << 32 | flags << 40; a plain 0 = free */
	uint64_t next; /* highest authenticated index + 1; 0 = none yet */
	uint64_t producer_index;
	uint64_t producer_generation; /* 0 = not bound */
	uint64_t reserved[4];
};

#define STATE_RX_USED (UINT64_C(1) << 40)
#define STATE_RX_RTX (UINT64_C(1) << 41) /* retransmissions of the encoding */
#define STATE_RX_OVER (UINT64_C(1) << 42) /* another SSRC feeds the encoding now */

/** One received SSRC of RTCP; all guarded. */
struct state_rtcp {
	uint64_t id; /* SSRC | STATE_RX_USED; a plain 0 = free */
	uint64_t next; /* highest authenticated SRTCP index + 1 */
};

/** A validated tuple. A wrong sum is no damage: it is then as if it had not been learnt. */
struct state_tuple {
	uint8_t tuple[40]; /* struct tuple */
	uint8_t l2[12]; /* struct l2_path */
	uint32_t id;
	uint64_t last_check_us; /* 0 = free */
	uint64_t sum; /* over the above */
	uint64_t reserved;
};

struct state_transport {
	uint64_t generation; /* all guarded */
	uint64_t rtcp_ssrc; /* our sender SSRC */
	uint64_t rtcp_next; /* next SRTCP index to give out */
	uint64_t twcc_next; /* no transport-wide number from here on was given out */
	uint64_t owner; /* worker + 1; 0 = none yet */
	uint64_t path; /* active | STATE_PATH_* | next tuple id << 16 */
	uint64_t over_first; /* from this SSRC on, modulo 2^32, … */
	uint64_t over_count; /* … so many may not be given to consumers any more */
	struct state_tuple tuple[STATE_TUPLES];
	uint64_t retired[STATE_RETIRED]; /* guarded SSRCs; the first plain 0 ends them */
	struct state_rx rx[STATE_RX_STREAMS];
	uint64_t checks_next; /* guarded: how many checks were heeded; a plain 0 = none yet */
	uint64_t reserved2[31];
	/* guarded: transaction << 16 | source (path/ice_memory.c), a ring; a plain 0 = free */
	uint64_t checks[STATE_CHECKS];
	struct state_rtcp rtcp[STATE_RTCP_SOURCES];
};

#define STATE_PATH_VALIDATED 0x100u
#define STATE_PATH_NOMINATED 0x200u
#define STATE_PATH_CLOSED 0x400u

_Static_assert(sizeof(struct state_header) <= STATE_HEADER_BYTES, "state layout");
_Static_assert(sizeof(struct state_slot) == 32, "state layout");
_Static_assert(sizeof(struct state_egress) == 64, "state layout");
_Static_assert(sizeof(struct state_rx) == 64, "state layout");
_Static_assert(sizeof(struct state_rtcp) == 16, "state layout");
_Static_assert(sizeof(struct state_tuple) == 80, "state layout");
_Static_assert(sizeof(struct state_transport) == 12992, "state layout");

/* Guarded words */

#define STATE_VALUE_MAX ((UINT64_C(1) << 48) - 1)

/** A change of any one octet of the word is seen: each octet of the value falls on one of the check. */
static inline uint64_t state_guard(uint64_t value)
{
	uint64_t check = (value ^ value >> 16 ^ value >> 32 ^ 0x5ac3) & 0xffff;

	return (value & STATE_VALUE_MAX) | check << 48;
}

/** The value is in the low 48 bits; false when the word was damaged. Fresh memory is no guarded 0. */
static inline int state_guard_ok(uint64_t word)
{
	return state_guard(word & STATE_VALUE_MAX) == word;
}

static inline uint64_t state_value(uint64_t word)
{
	return word & STATE_VALUE_MAX;
}
