// SPDX-License-Identifier: BSD-3-Clause
/**
 * Who comes first on a machine that has less processors than threads with something to do.
 *
 * While one process follows another nobody forwards, and each of the steps between them would wait for its
 * turn. For these milliseconds the threads that take the steps come before all others: SCHED_RR at its
 * lowest priority (needs CAP_SYS_NICE, or systemd's LimitRTPRIO=1). A process that only gets ready
 * comes behind those who forward: ten steps nicer (where it may come back from there: CAP_SYS_NICE, or
 * LimitNICE=0). Without the permission nothing changes.
 *
 * A thread to which somebody has given a policy of his own keeps it.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

enum pace {
	PACE_USUAL,
	PACE_FIRST,
	PACE_BEHIND,
};

/** The calling thread, from now on. Of what it starts only PACE_BEHIND is inherited. */
void pace_set(enum pace pace);

/** Whether the calling thread goes first. */
bool pace_is_first(void);

/** Another thread of ours goes first for the little that it still has to do before it ends. */
void pace_first_to_end(pid_t thread);

/** Another thread, ours or a process's first, becomes as nice as the calling one. */
void pace_as_ours(pid_t thread);

/** Those too that were started behind and have no say: of the EAL and the drivers. Not while packets wait. */
void pace_all_as_ours(void);
