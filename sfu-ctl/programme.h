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
 * one. Handle and version are filled in; a copy is kept. A handle is never 0, and none comes back: a
 * slot whose generations are used up is used no more until programme_reset().
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

/** What a PUT type makes; SFU_KIND_NONE for others. */
enum sfu_object_kind programme_kind(uint32_t put_type);
/** The PUT that makes it; SFU_CMD_NONE for SFU_KIND_NONE. */
enum sfu_command_type programme_put_type(enum sfu_object_kind kind);

bool programme_has(const struct programme *p, enum sfu_object_kind kind, uint64_t handle);

/** The PUT of an object as it is wanted now; NULL when it is not. */
const struct sfu_command *programme_find(
	const struct programme *p, enum sfu_object_kind kind, uint64_t handle);

uint32_t programme_count(const struct programme *p, enum sfu_object_kind kind);

/**
 * What a predecessor wanted, handle and version as they were. Parents first. After the last one
 * programme_restored(); before it only programme_find() and programme_has() may be used.
 * A transport comes without its ICE credentials: the data plane's version of it counts then.
 * @return 0; -EINVAL (not a PUT, no such slot, taken); -ENOENT (no parent)
 */
int programme_restore(struct programme *p, const struct sfu_command *put);
void programme_restored(struct programme *p);

/** Somebody knows of this object. False: there is none. */
bool programme_claim(struct programme *p, enum sfu_object_kind kind, uint64_t handle);
/** Delete what was restored and not claimed. */
void programme_sweep(struct programme *p, programme_removed_fn removed, void *ctx);

/**
 * Does the data plane have a later version of something than we, who restored it, know of? Then
 * what was restored is out of date.
 */
bool programme_behind(const struct programme *p, const struct sfu_digest_item *items, size_t count);

/** Every object, parents before children. Valid during the call. */
void programme_each(const struct programme *p, programme_emit_fn emit, void *ctx);

/** A wanted object that a digest lacks. Valid during the call. */
typedef void (*programme_lost_fn)(void *ctx, uint64_t handle);

/**
 * Transports that are wanted and not in this digest: they were there, and their keys are not to be
 * had again. lost may delete objects of the programme, also others than its own.
 */
void programme_lost_transports(struct programme *p, const struct sfu_digest_item *items,
	size_t count, programme_lost_fn lost, void *ctx);

/**
 * What makes a data plane with this digest be as wanted: first DELETEs of what is not wanted,
 * consumers first, then PUTs of what it lacks or has in another version, rooms first. The digest is
 * the other side's word: impossible items are passed over.
 * @return how many commands were emitted
 */
size_t programme_difference(struct programme *p, const struct sfu_digest_item *items, size_t count,
	programme_emit_fn emit, void *ctx);
