// SPDX-License-Identifier: BSD-3-Clause
/**
 * Applies the media programme (shared/command.h) to the tables: the only writer of what programme
 * writes there (table/objects.h), on the housekeeping thread. Every command is taken as hostile: it
 * is carried out whole or changes nothing.
 *
 * Workers see a change through one pointer or one atomic. What was taken from their sight is
 * reused or freed by programme_reclaim() once every worker has passed a quiescent state.
 */
#pragma once

#include <rte_hash.h>
#include <rte_rcu_qsbr.h>
#include <stdbool.h>
#include <stdint.h>

#include "sfu-dp/table/objects.h"
#include "sfu-dp/worker.h"
#include "shared/command.h"
#include "shared/event.h"

struct programme;
struct state;

/** Everything but the struct itself must outlive the programme. */
struct programme_options {
	struct objects *objects;
	const struct srtp_engine *engine;
	struct worker *workers;
	unsigned worker_count;
	struct rte_rcu_qsbr *qsbr; /* workers report to it */
	struct rte_hash *ufrags; /* of ufrag_table_create() */
	struct state *state; /* opened; NULL: one of its own, which dies with it */
};

/** How much there is; retired = slots and lists that wait for the workers. */
struct programme_figures {
	uint32_t rooms, peers, transports, producers, consumers;
	uint32_t retired;
};

/** 0, -EINVAL or -ENOMEM. */
int programme_create(struct programme **out, const struct programme_options *options);

/**
 * Make everything that the state holds, in tables that are empty, and give transports back to their
 * workers, which do not run yet. Key frames are asked for.
 * @return how many objects of the state could not be made: 0 unless this build refuses what an
 *         other one took
 */
unsigned programme_adopt(struct programme *p, uint64_t now_us);

/**
 * Removes every object, wipes keys and frees; a state that was given stays as it is. Workers no
 * longer run. NULL is fine.
 */
void programme_destroy(struct programme *p);

/**
 * Carry out a PUT, DELETE or KEY_FRAME; any other type is SFU_STATUS_UNSUPPORTED. cmd is the
 * caller's private copy, which the caller wipes. A PUT into a slot that still waits for the workers
 * waits for them, at most PROGRAMME_WAIT_US. For those who have the time: programme_go_on() does the
 * same in parts.
 */
uint32_t programme_apply(struct programme *p, const struct sfu_command *cmd);

#define PROGRAMME_WAIT_US 100000u

/**
 * A part of the same: never waits, removes at most so many objects. Until it returns true, the next
 * call but programme_notice(), programme_reclaim() and the figures is this one with the same command,
 * or programme_give_up(). A process that dies in between leaves the rest to its successor.
 * @param most    at least 1
 * @param status  written when the command is done
 * @return true when it is
 */
bool programme_go_on(
	struct programme *p, const struct sfu_command *cmd, unsigned most, uint32_t *status);

/** A PUT has waited for the workers for too long: nothing was changed. What to answer. */
uint32_t programme_give_up(struct programme *p);

/**
 * The next items of the digest.
 * @param cursor  0 to begin; the programme must not change until the last call
 * @return false when there are no more; out is then not written
 */
bool programme_digest_next(struct programme *p, uint64_t *cursor, struct sfu_digest *out);

/**
 * NOTICE_CLAIMED of a worker: from now on it serves the transport's consumers. NOTICE_RESTARTED: its
 * newest credentials have nominated. Others are not for the programme.
 */
void programme_notice(
	struct programme *p, const struct worker *w, const struct worker_notice *notice);

/** Free what the workers have let go of. Bounded work, never waits: every turn. */
void programme_reclaim(struct programme *p);

void programme_figures(const struct programme *p, struct programme_figures *out);

const struct srtp_engine *programme_engine(const struct programme *p);
