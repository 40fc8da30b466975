// SPDX-License-Identifier: BSD-3-Clause
/** A thread comes before others for as long as it says, and it alone; or behind them. */
#include <grp.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "sfu-dp/keeper/pace.h"

#define NOBODY 65534

static int policy_of(pid_t thread)
{
	return sched_getscheduler(thread) & ~SCHED_RESET_ON_FORK;
}

/** Whether this machine lets us: as root in most places. */
static bool allowed(void)
{
	const struct sched_param lowest = {.sched_priority = 1}, none = {0};
	bool is = !sched_setscheduler(0, SCHED_RR, &lowest);

	if (is)
		assert_int_equal(sched_setscheduler(0, SCHED_OTHER, &none), 0);
	return is;
}

/** What is remembered, or cannot be taken back, stays there. */
static bool in_process(bool (*holds)(void))
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(holds() ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) && !WEXITSTATUS(status);
}

static void begins_and_ends(void **state)
{
	int first = allowed() ? SCHED_RR : SCHED_OTHER;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		pace_set(PACE_FIRST);
		pace_set(PACE_FIRST);
		assert_int_equal(policy_of(0), first);
		assert_int_equal(pace_is_first(), first == SCHED_RR);
		pace_set(PACE_USUAL);
		assert_int_equal(policy_of(0), SCHED_OTHER);
		assert_false(pace_is_first());
		pace_set(PACE_USUAL);
	}
}

static void *note(void *policy)
{
	*(int *)policy = policy_of(0) + (pace_is_first() ? 100 : 0);
	return NULL;
}

/** The keeper forks processes, a process starts threads: those come when it is their turn. */
static void is_not_inherited(void **state)
{
	pthread_t thread;
	int policy = -1, status;
	pid_t pid;

	(void)state;
	pace_set(PACE_FIRST);
	assert_int_equal(pthread_create(&thread, NULL, note, &policy), 0);
	pthread_join(thread, NULL);
	assert_int_equal(policy, SCHED_OTHER);
	pid = fork();
	if (!pid)
		_exit(policy_of(0));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), SCHED_OTHER);
	pace_set(PACE_USUAL);
}

static int nice_of_new_process(void)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(50 + getpriority(PRIO_PROCESS, 0));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status) - 50;
}

/** A keeper that an operator has made less nice starts processes that are so, too. */
static bool keeps_its_nice(void)
{
	int nice = allowed() ? -5 : 5;

	if (setpriority(PRIO_PROCESS, 0, nice))
		return false;
	pace_set(PACE_FIRST);
	pace_set(PACE_USUAL);
	return getpriority(PRIO_PROCESS, 0) == nice && nice_of_new_process() == nice;
}

static void a_given_nice_stays(void **state)
{
	(void)state;
	assert_true(in_process(keeps_its_nice));
}

/** An operator's own choice. */
static void a_given_policy_stays(void **state)
{
	const struct sched_param none = {0};

	(void)state;
	assert_int_equal(sched_setscheduler(0, SCHED_BATCH, &none), 0);
	pace_set(PACE_FIRST);
	assert_int_equal(policy_of(0), SCHED_BATCH);
	pace_first_to_end(gettid());
	assert_int_equal(policy_of(0), SCHED_BATCH);
	pace_set(PACE_USUAL);
	assert_int_equal(policy_of(0), SCHED_BATCH);
	assert_int_equal(sched_setscheduler(0, SCHED_OTHER, &none), 0);
}

struct other {
	sem_t is_there, may_end;
	pid_t thread;
};

static void *wait_for_end(void *arg)
{
	struct other *o = arg;

	o->thread = gettid();
	sem_post(&o->is_there);
	sem_wait(&o->may_end);
	return NULL;
}

static void another_one(void **state)
{
	struct other o = {0};
	pthread_t thread;

	(void)state;
	sem_init(&o.is_there, 0, 0);
	sem_init(&o.may_end, 0, 0);
	assert_int_equal(pthread_create(&thread, NULL, wait_for_end, &o), 0);
	sem_wait(&o.is_there);
	pace_first_to_end(o.thread);
	assert_int_equal(policy_of(o.thread), allowed() ? SCHED_RR : SCHED_OTHER);
	assert_int_equal(policy_of(0), SCHED_OTHER);
	sem_post(&o.may_end);
	pthread_join(thread, NULL);
	// One that has ended already is nobody.
	pace_first_to_end(o.thread);
}

static void *note_nice(void *nice)
{
	*(int *)nice = getpriority(PRIO_PROCESS, 0);
	return NULL;
}

static int nice_of_new_thread(void)
{
	pthread_t thread;
	int nice = -100;

	assert_int_equal(pthread_create(&thread, NULL, note_nice, &nice), 0);
	pthread_join(thread, NULL);
	return nice;
}

/** A process that stands by, takes over, and ends. */
static bool stands_by(void)
{
	int usual = getpriority(PRIO_PROCESS, 0);
	int behind = allowed() ? usual + 10 : usual;
	struct other o = {0};
	pthread_t thread;
	bool ok;

	pace_all_as_ours();
	pace_set(PACE_BEHIND);
	pace_set(PACE_BEHIND);
	ok = getpriority(PRIO_PROCESS, 0) == behind && nice_of_new_thread() == behind;
	sem_init(&o.is_there, 0, 0);
	sem_init(&o.may_end, 0, 0);
	pthread_create(&thread, NULL, wait_for_end, &o);
	sem_wait(&o.is_there);
	pace_set(PACE_FIRST);
	ok = ok && getpriority(PRIO_PROCESS, 0) == usual
	     && policy_of(0) == (allowed() ? SCHED_RR : SCHED_OTHER);
	pace_set(PACE_USUAL);
	ok = ok && getpriority(PRIO_PROCESS, 0) == usual && policy_of(0) == SCHED_OTHER
	     && nice_of_new_thread() == usual
	     && getpriority(PRIO_PROCESS, (id_t)o.thread) == behind;
	pace_all_as_ours();
	ok = ok && getpriority(PRIO_PROCESS, (id_t)o.thread) == usual;
	sem_post(&o.may_end);
	pthread_join(thread, NULL);
	pace_set(PACE_FIRST);
	pace_set(PACE_BEHIND);
	return ok && getpriority(PRIO_PROCESS, 0) == behind && policy_of(0) == SCHED_OTHER;
}

static void comes_behind_and_back(void **state)
{
	(void)state;
	assert_true(in_process(stands_by));
}

/** The keeper to a process that is still far from reading what it is told. */
static void another_process_is_raised(void **state)
{
	int usual = getpriority(PRIO_PROCESS, 0), ready[2];
	pid_t pid;
	char octet;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		pace_set(PACE_BEHIND);
		(void)!write(ready[1], "", 1);
		pause();
	}
	assert_int_equal(read(ready[0], &octet, 1), 1);
	assert_int_equal(getpriority(PRIO_PROCESS, (id_t)pid), allowed() ? usual + 10 : usual);
	pace_as_ours(pid);
	assert_int_equal(getpriority(PRIO_PROCESS, (id_t)pid), usual);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(ready[0]);
	close(ready[1]);
}

/** Without the permission all goes on as before. */
static void without_permission(void **state)
{
	static const struct rlimit none = {0, 0};
	int status, nice;
	pid_t pid = fork();

	(void)state;
	if (!pid) {
		if (setrlimit(RLIMIT_RTPRIO, &none) || setrlimit(RLIMIT_NICE, &none)
			|| (!getuid() && (setgroups(0, NULL) || setuid(NOBODY))))
			_exit(99);
		pace_set(PACE_FIRST);
		if (pace_is_first() || policy_of(0) != SCHED_OTHER)
			_exit(98);
		// There would be no way back.
		nice = getpriority(PRIO_PROCESS, 0);
		pace_set(PACE_BEHIND);
		if (getpriority(PRIO_PROCESS, 0) != nice)
			_exit(96);
		pace_set(PACE_USUAL);
		_exit(policy_of(0) == SCHED_OTHER ? 0 : 97);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(begins_and_ends),
		cmocka_unit_test(is_not_inherited),
		cmocka_unit_test(a_given_nice_stays),
		cmocka_unit_test(a_given_policy_stays),
		cmocka_unit_test(another_one),
		cmocka_unit_test(comes_behind_and_back),
		cmocka_unit_test(another_process_is_raised),
		cmocka_unit_test(without_permission),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
