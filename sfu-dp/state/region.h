// SPDX-License-Identifier: BSD-3-Clause
/**
 * The stream state as bytes: making it, checking what another process left, and changing the
 * programme in it. Pure: no system call, no allocation, no clock. Layout and rules: layout.h.
 *
 * Life of one command (housekeeping's thread; each step may be the last):
 *
 *   state_begin(command)              redo record written
 *   ... applied to the tables ...
 *   state_put() / state_forget() ...  records written
 *   state_end()                       redo record finished
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sfu-dp/state/layout.h"

/** A mapped region. Pointers into it; the memory is the caller's. */
struct state {
	struct state_header *header;
	struct state_limits limits; /* private copy */
	struct state_slot *slots[STATE_KINDS];
	struct sfu_command *bodies[STATE_KINDS];
	struct state_egress *egress; /* by the consumer's index */
	struct state_transport *transports; /* by the transport's index */
	uint64_t sequence; /* of the command under way, or of the last one */
};

enum state_status {
	STATE_OK,
	STATE_EMPTY, /* never written: all zero where the magic would be */
	STATE_FOREIGN, /* another version, or not a state at all */
	STATE_LIMITS, /* of a process with other limits */
	STATE_DAMAGED, /* cut, or something in it does not check */
};

const char *state_status_text(enum state_status status);

/** Octets that a region of these limits takes, a multiple of 4096. */
size_t state_bytes(const struct state_limits *limits);

/**
 * Make a region of zeroed memory.
 * @param memory    state_bytes(limits) octets, all zero, aligned to 64
 * @param instance  random
 */
void state_format(void *memory, const struct state_limits *limits, uint64_t instance);

/**
 * May this region be adopted? Nothing is changed. Looks at every record that is in use.
 * @param bytes   octets that are mapped
 * @param limits  those of this process
 */
enum state_status state_check(const void *memory, size_t bytes, const struct state_limits *limits);

/** Bind to a region that was formatted or checked. */
void state_open(struct state *s, void *memory);

/**
 * After state_open() of a checked region: finish the record that was being written when its process
 * died.
 * @return the command under way, to be applied once more after all records; NULL when there was none
 */
const struct sfu_command *state_recover(struct state *s);

/* Reading, for adoption */

/** The command that made a live object; NULL when the slot has none. Valid until changed. */
const struct sfu_command *state_find(const struct state *s, unsigned kind, uint32_t index);

/** Generation of the object in a slot or of the last one there; 0 = none ever. */
uint32_t state_generation(const struct state *s, unsigned kind, uint32_t index);

/* Changing, housekeeping's thread */

/** A PUT or DELETE begins. Holds until state_end(). */
void state_begin(struct state *s, const struct sfu_command *command);
void state_end(struct state *s);

/** The object of this PUT is as it says; PUT_KEYS too. Between state_begin() and state_end(). */
void state_put(struct state *s, const struct sfu_command *command);

/**
 * The object is gone; its body is wiped, with a transport also its keys. What workers wrote stays
 * until the place is used again: they may still be at it. Between state_begin() and state_end().
 */
void state_forget(struct state *s, unsigned kind, uint32_t index);

/**
 * A consumer with this SSRC goes while its transport stays: it may not come again under its keys. 0 is
 * nothing. One range per transport holds them all; sfu-ctl gives SSRCs out in rising order, so what
 * lies between them and was never used costs nothing.
 */
void state_ssrc_over(struct state_transport *t, uint32_t ssrc);
bool state_ssrc_is_over(const struct state_transport *t, uint32_t ssrc);

/** The kind of a PUT (STATE_KIND_KEYS for keys), 0 for anything else. */
unsigned state_kind_of_put(uint32_t command_type);

/** What state_tuple.sum must be. */
uint64_t state_tuple_sum(const struct state_tuple *t);

/** Sum over whole 64-bit words: a change of any one word changes it. */
uint64_t state_sum(const void *data, size_t bytes);
