// SPDX-License-Identifier: BSD-3-Clause
/**
 * standstill: tells when the machine itself stood still, for tests that promise milliseconds. A host that
 * gives its guests less than whole processors halts them all at once, for tens of milliseconds; nothing
 * that runs in the guest can help it.
 *
 *   standstill [SLEEP_US LATE_US]      2000 1000
 *
 * One thread per processor asks to be woken after SLEEP_US, again and again, before everybody else
 * (SCHED_FIFO): whatever the machine has to do, it is late only when its processor does not run.
 * "watching PROCESSORS" on stdout, then a line for each time that it was late for more than LATE_US:
 * "PROCESSOR FROM TO", microseconds of CLOCK_REALTIME. Without the permission: ends with 1 and the
 * machine never stood still. Looking more often costs more of the machine.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static unsigned long sleep_us = 2000, late_us = 1000;

static uint64_t clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void *watch(void *processor)
{
	const struct timespec rest = {.tv_nsec = (long)sleep_us * 1000};
	uint64_t due_us, now_us;

	for (;;) {
		due_us = clock_us() + sleep_us;
		nanosleep(&rest, NULL);
		now_us = clock_us();
		if (now_us < due_us + late_us)
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

int main(int argc, char **argv)
{
	unsigned count = 0;
	cpu_set_t all;

	if (argc == 3) {
		sleep_us = strtoul(argv[1], NULL, 10);
		late_us = strtoul(argv[2], NULL, 10);
	}
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
