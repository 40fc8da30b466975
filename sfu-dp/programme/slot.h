// SPDX-License-Identifier: BSD-3-Clause
/**
 * The places for objects, by kind (enum sfu_kind) and index, and what a handle names. An object that
 * went keeps its place until every worker has moved on. Programme's thread only.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "shared/command.h"

struct programme;

#define KINDS (SFU_KIND_CONSUMER + 1)
#define RECLAIM_PER_TURN 64u

enum slot_state {
	SLOT_FREE = 0,
	SLOT_LIVE,
	SLOT_RETIRED, /* a worker may still look at the object */
};

/** One place for an object. */
struct slot {
	uint32_t generation; /* of the object, or of the last one */
	uint32_t version;
	uint8_t state; /* enum slot_state */
};

/** All places of a kind. */
struct table {
	struct slot *slot;
	uint8_t *base; /* the objects */
	size_t size; /* of one */
	uint32_t limit;
	uint32_t live;
};

/** An object's slot on its way from SLOT_RETIRED to SLOT_FREE. */
struct retired_slot {
	uint64_t token;
	uint32_t index;
	uint32_t kind;
};

/** The memory at a place, whatever its state. */
void *slot_object(struct programme *p, unsigned kind, uint32_t index);

/** The object that a handle names, or NULL. */
void *slot_find(struct programme *p, unsigned kind, uint64_t handle);

/** What a PUT meets. */
enum place {
	PLACE_NEW, /* the slot is free: make the object */
	PLACE_THERE, /* the object is there and older: change it */
	PLACE_ANSWER, /* nothing to do but answer *status */
};

/** Where the object of a PUT belongs. *out is written unless the handle is impossible. */
enum place slot_place(struct programme *p, unsigned kind, const struct sfu_command *cmd,
	struct slot **out, uint32_t *status);

/** A new object is there, whole. */
void slot_take(
	struct programme *p, unsigned kind, struct slot *slot, const struct sfu_command *cmd);

/** The object is out of sight (handle 0): its slot may be reused when the workers have moved on. */
void slot_retire(struct programme *p, unsigned kind, void *object);

/** Free up to most slots, and some lists, that all workers have let go of. Never waits. */
void slot_reclaim(struct programme *p, unsigned most);

/** Nobody looks at the object any more: forget what it held. */
void slot_free(struct programme *p, unsigned kind, uint32_t index);
