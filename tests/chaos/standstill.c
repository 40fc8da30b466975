// SPDX-License-Identifier: BSD-3-Clause
/**
 * standstill: tells when the machine itself stood still, for tests that promise milliseconds. A host that
 * gives its guests less than whole processors halts them all at once, for tens of milliseconds; nothing
 * that runs in the guest can help it.
 *
 *   standstill
 *
 * One thread per processor asks to be woken after two milliseconds, again and again, before everybody
 * else (SCHED_FIFO): whatever the machine has to do, it is late only when its processor does not run.
 * "watching PROCESSORS" on stdout, then a line for each time that it was late for more than a millisecond:
 * "PROCESSOR FROM TO", microseconds of CLOCK_REALTIME. Without the permission: ends with 1 and the
 * machine never stood still.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SLEEP_US 2000u
#define LATE_US 1000u

static uint64_t clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void *watch(void *processor)
{
	static const struct timespec rest = {.tv_nsec = SLEEP_US * 1000};
	uint64_t due_us, now_us;

	for (;;) {
		due_us = clock_us() + SLEEP_US;
		nanosleep(&rest, NULL);
		now_us = clock_us();
		if (now_us < due_us + LATE_US)
			continue;
		printf("%d %llu %llu\n", (int)(intptr_t)processor, (unsigned long long)due_us,
			(unsigned long long)now_us);
		fflush(stdout);
	}
	return NULL;
}

static int start(int processor)
{
	const struct sched_param param = {.sched_priority = 50};
	pthread_attr_t a;
	pthread_t thread;
	cpu_set_t one;
	int rc;

	CPU_ZERO(&one);
	CPU_SET(processor, &one);
	pthread_attr_init(&a);
	pthread_attr_setaffinity_np(&a, sizeof(one), &one);
	pthread_attr_setinheritsched(&a, PTHREAD_EXPLICIT_SCHED);
	pthread_attr_setschedpolicy(&a, SCHED_FIFO);
	pthread_attr_setschedparam(&a, &param);
	rc = pthread_create(&thread, &a, watch, (void *)(intptr_t)processor);
	pthread_attr_destroy(&a);
	return rc;
}

int main(void)
{
	unsigned count = 0;
	cpu_set_t all;

	if (sched_getaffinity(0, sizeof(all), &all))
		return 1;
	for (int i = 0; i < CPU_SETSIZE; i++) {
		int rc = CPU_ISSET(i, &all) ? start(i) : 0;

		if (rc) {
			fprintf(stderr, "standstill: no real-time thread: %s\n", strerror(rc));
			return 1;
		}
		count += CPU_ISSET(i, &all) != 0;
	}
	printf("watching %u\n", count);
	fflush(stdout);
	for (;;)
		pause();
}
