// SPDX-License-Identifier: BSD-3-Clause
/** The programme's own state, for the files that make it up and for nobody else. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "sfu-dp/programme/programme.h"
#include "sfu-dp/programme/slot.h"
#include "sfu-dp/state/region.h"
#include "sfu-dp/table/credentials.h"
#include "sfu-dp/table/lists.h"
#include "sfu-dp/table/objects.h"

/** No answer: the command is not done yet. */
#define STATUS_LATER UINT32_MAX

struct programme {
	struct programme_options o;
	struct table table[KINDS];
	/* ring of slots; a slot is in it once at most, so it never overflows */
	struct retired_slot *retired;
	uint32_t retired_room, retired_first, retired_count;
	struct lists lists;
	struct state *state; /* NULL while everything is torn down */
	struct state own_state; /* where none was given */
	void *own_memory;
	uint64_t adopt_us; /* programme_adopt() is under way: its now_us */
	bool from_state; /* what is applied was accepted once */
	bool under_way; /* a command, in parts */
	unsigned quota; /* objects that this part may still remove */
	/* producers whose fan-out lists are to be built anew, by index */
	bool *stale;
	uint32_t stale_count, stale_cursor;
};

/* What commands do. Each returns an SFU_STATUS_* or STATUS_LATER. */

uint32_t put_room(struct programme *p, const struct sfu_command *cmd);
uint32_t put_peer(struct programme *p, const struct sfu_command *cmd);
uint32_t put_transport(struct programme *p, const struct sfu_command *cmd);
uint32_t put_keys(struct programme *p, const struct sfu_command *cmd);
uint32_t put_producer(struct programme *p, const struct sfu_command *cmd);
uint32_t put_consumer(struct programme *p, const struct sfu_command *cmd);

/** A DELETE: the object, and what hangs on it, as far as the quota reaches. */
uint32_t remove_object(struct programme *p, unsigned kind, uint64_t handle);

/** KEY_FRAME of a consumer. */
uint32_t ask_key_frame(struct programme *p, uint64_t handle);

/** Any command. */
uint32_t programme_carry_out(struct programme *p, const struct sfu_command *cmd);

/** What was accepted becomes part of the state, unless it is there already. */
void programme_accepted(struct programme *p, const struct sfu_command *cmd);

/** A room and all in it; false when the quota was used up before. */
bool remove_room(struct programme *p, struct room *room);

/** Wipe and free. NULL is fine. */
void keys_destroy(struct transport_keys *keys);

/** The lists of a producer are to be built anew, by its index. */
void fanouts_mark(struct programme *p, uint32_t producer);

/** Build those that became wrong since the last turn, a part of them. */
void fanouts_rebuild(struct programme *p);

static inline uint8_t transport_owner(struct transport *t)
{
	return atomic_load_explicit(&t->owner, memory_order_acquire);
}

static inline struct credentials_scope credentials_scope(const struct programme *p)
{
	return (struct credentials_scope){.ufrags = p->o.ufrags, .qsbr = p->o.qsbr};
}
