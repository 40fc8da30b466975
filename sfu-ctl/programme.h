// SPDX-License-Identifier: BSD-3-Clause
/**
 * The wanted programme: every object the data plane shall have, as the command that makes it.
 *
 * Pure bookkeeping: gives out handles and versions, knows parents and children, and says what
 * separates a data plane's digest from the wish. No input or output, no clock. Keys are not part of
 * it: they are sent once and forgotten.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/command.h"
#include "shared/event.h"

#define PROGRAMME_KINDS (SFU_KIND_CONSUMER + 1)

struct programme;

/** An object left the programme: the one deleted, and each that hung on it. */
typedef void (*programme_removed_fn)(void *ctx, enum sfu_object_kind kind, uint64_t handle);

/** One command of a difference; id is 0. Valid during the call. */
typedef void (*programme_emit_fn)(void *ctx, const struct sfu_command *command);

/** Empty, with no room for anything. NULL when out of memory. */
struct programme *programme_create(void);

/** NULL is fine. */
void programme_destroy(struct programme *p);

/**
 * Forget everything and take these capacities, per enum sfu_object_kind.
 * @param generation  first generation of handles, above all that the data plane may remember;
 *                    generations given out earlier by this programme are passed over as well
 * @return 0, or -ENOMEM and room for nothing
 */
int programme_reset(
	struct programme *p, const uint32_t capacity[PROGRAMME_KINDS], uint32_t generation);

/**
 * Want an object. command->type is one of the five PUT types, u is filled, handle is 0 for a new
 * one. Handle and version are filled in; a copy is kept.
 * @return 0; -ENOSPC; -ENOENT (no such object or no such parent); -EINVAL (not a PUT, or it would
 *         move to another parent)
 */
int programme_put(struct programme *p, struct sfu_command *command);

/**
 * Want it no longer, nor what hangs on it. *command becomes its DELETE.
 * @param removed  called for each object, children first; may be NULL; must not call back
 * @return 0 or -ENOENT
 */
int programme_delete(struct programme *p, enum sfu_object_kind kind, uint64_t handle,
	struct sfu_command *command, programme_removed_fn removed, void *ctx);

bool programme_has(const struct programme *p, enum sfu_object_kind kind, uint64_t handle);

/** The PUT of an object as it is wanted now; NULL when it is not. */
const struct sfu_command *programme_find(
	const struct programme *p, enum sfu_object_kind kind, uint64_t handle);

uint32_t programme_count(const struct programme *p, enum sfu_object_kind kind);

/**
 * What makes a data plane with this digest be as wanted: first DELETEs of what is not wanted,
 * consumers first, then PUTs of what it lacks or has in another version, rooms first. The digest is
 * the other side's word: impossible items are passed over.
 * @return how many commands were emitted
 */
size_t programme_difference(struct programme *p, const struct sfu_digest_item *items, size_t count,
	programme_emit_fn emit, void *ctx);
