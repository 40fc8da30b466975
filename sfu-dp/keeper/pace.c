// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/keeper/pace.h"

#include <dirent.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NICER 10
#define NICEST 19

static _Thread_local bool is_first;
/** Written once, by the first thread, before there are others. */
static int usual_nice;
static bool was_behind;

/** What is started in the meantime shall not hog the machine: reset on fork. */
static bool round_robin(pid_t thread)
{
	static const struct sched_param lowest = {.sched_priority = 1};

	return !sched_setscheduler(thread, SCHED_RR | SCHED_RESET_ON_FORK, &lowest);
}

static bool is_usual(pid_t thread)
{
	int policy = sched_getscheduler(thread);

	return policy >= 0 && (policy & ~SCHED_RESET_ON_FORK) == SCHED_OTHER;
}

static bool is_capable(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

	return !syscall(SYS_capget, &header, data)
	       && data[CAP_TO_INDEX(CAP_SYS_NICE)].effective & CAP_TO_MASK(CAP_SYS_NICE);
}

/** Anybody may become nicer; not everybody comes back from there. */
static bool may_come_back(int nice)
{
	struct rlimit limit;

	return is_capable()
	       || (!getrlimit(RLIMIT_NICE, &limit) && (long)limit.rlim_cur >= 20 - nice);
}

static void behind(void)
{
	int nice = getpriority(PRIO_PROCESS, 0);

	if (!was_behind && !may_come_back(nice))
		return;
	if (!was_behind)
		usual_nice = nice;
	was_behind = true;
	nice = usual_nice + NICER;
	setpriority(PRIO_PROCESS, 0, nice > NICEST ? NICEST : nice);
}

static void first(void)
{
	// Reset on fork cannot be taken back without the capability, and would make processes that are
	// started later nicer than their keeper, where that is less nice than others.
	if (!is_first && is_usual(0) && (is_capable() || getpriority(PRIO_PROCESS, 0) >= 0))
		is_first = round_robin(0);
}

static void not_first(void)
{
	static const struct sched_param none = {0};

	if (is_first && sched_setscheduler(0, SCHED_OTHER, &none))
		sched_setscheduler(0, SCHED_OTHER | SCHED_RESET_ON_FORK, &none);
	is_first = false;
}

void pace_set(enum pace pace)
{
	if (pace == PACE_FIRST)
		first();
	else
		not_first();
	if (pace == PACE_BEHIND)
		behind();
	else if (was_behind)
		setpriority(PRIO_PROCESS, 0, usual_nice);
}

bool pace_is_first(void)
{
	return is_first;
}

void pace_first_to_end(pid_t thread)
{
	if (is_usual(thread))
		round_robin(thread);
}

void pace_as_ours(pid_t thread)
{
	int nice = getpriority(PRIO_PROCESS, 0);

	if (getpriority(PRIO_PROCESS, (id_t)thread) != nice)
		setpriority(PRIO_PROCESS, (id_t)thread, nice);
}

void pace_all_as_ours(void)
{
	DIR *threads = was_behind ? opendir("/proc/self/task") : NULL;
	struct dirent *e;

	while (threads && (e = readdir(threads))) {
		long thread = strtol(e->d_name, NULL, 10);

		if (thread > 0)
			pace_as_ours((pid_t)thread);
	}
	if (threads)
		closedir(threads);
}
