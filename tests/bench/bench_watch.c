// SPDX-License-Identifier: BSD-3-Clause
#include "tests/bench/bench_watch.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#endif
#define DISPATCH_ON 1
#define DISPATCH_OFF 0
#define ALLOW 0
#define BLOCK 1

/* glibc's own, under the names it keeps for such replacements. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);

/* Each thread counts its own. */
static _Thread_local struct watch_counts counts, before;
static _Thread_local volatile uint8_t selector = ALLOW;
static _Thread_local bool dispatches;
static _Atomic bool blind; /* system calls of some thread are not seen */

void *malloc(size_t size)
{
	counts.allocations++;
	return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	counts.allocations++;
	return __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
	counts.allocations++;
	return __libc_realloc(p, size);
}

/* Locks: ours count and call the one behind. */

static struct {
	int (*mutex_lock)(pthread_mutex_t *);
	int (*mutex_trylock)(pthread_mutex_t *);
	int (*spin_lock)(pthread_spinlock_t *);
	int (*rwlock_rdlock)(pthread_rwlock_t *);
	int (*rwlock_wrlock)(pthread_rwlock_t *);
} real;

static void *behind(const char *name)
{
	void *f = dlsym(RTLD_NEXT, name);

	if (!f)
		_exit(70);
	return f;
}

#define LOCK(name, type)                                                                           \
	int pthread_##name(type *l)                                                                \
	{                                                                                          \
		counts.locks++;                                                                    \
		if (!real.name)                                                                    \
			real.name = (int (*)(type *))behind("pthread_" #name);                     \
		return real.name(l);                                                               \
	}

LOCK(mutex_lock, pthread_mutex_t)
LOCK(mutex_trylock, pthread_mutex_t)
LOCK(rwlock_rdlock, pthread_rwlock_t)
LOCK(rwlock_wrlock, pthread_rwlock_t)

int pthread_spin_lock(pthread_spinlock_t *l)
{
	counts.locks++;
	if (!real.spin_lock)
		real.spin_lock = (int (*)(pthread_spinlock_t *))behind("pthread_spin_lock");
	return real.spin_lock(l);
}

/*
 * System calls: the kernel sends SIGSYS instead while the selector says so. The handler counts, lets
 * the rest of the watch through (its own return is a call, too) and makes the call.
 */
#ifdef __x86_64__
static void on_call(int number, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	greg_t *r = uc->uc_mcontext.gregs;
	int kept = errno;
	long result;

	(void)number;
	(void)info;
	selector = ALLOW;
	counts.system_calls++;
	result = syscall(
		r[REG_RAX], r[REG_RDI], r[REG_RSI], r[REG_RDX], r[REG_R10], r[REG_R8], r[REG_R9]);
	r[REG_RAX] = result == -1 ? -errno : result;
	errno = kept;
}
#endif

void watch_thread(void)
{
#ifdef __x86_64__
	struct sigaction sa = {.sa_sigaction = on_call, .sa_flags = SA_SIGINFO};

	if (dispatches)
		return;
	dispatches = !sigaction(SIGSYS, &sa, NULL)
		     && !prctl(PR_SET_SYSCALL_USER_DISPATCH, DISPATCH_ON, 0, 0, &selector);
#endif
	if (!dispatches)
		atomic_store(&blind, true);
}

bool watch_sees_system_calls(void)
{
	return !atomic_load(&blind);
}

void watch_begin(void)
{
	before = counts;
	watch_resume();
}

void watch_pause(void)
{
	selector = ALLOW;
}

void watch_resume(void)
{
	selector = dispatches ? BLOCK : ALLOW;
}

void watch_end(struct watch_counts *sum)
{
	watch_pause();
	sum->allocations += counts.allocations - before.allocations;
	sum->locks += counts.locks - before.locks;
	sum->system_calls += counts.system_calls - before.system_calls;
}
