// SPDX-License-Identifier: BSD-3-Clause
/**
 * Preloaded (LD_PRELOAD) into the programs of a test: the wall clock jumps when the test says so. The
 * seconds by which it is wrong are a 64-bit integer in the file WALL_CLOCK, at any time; all other
 * clocks stay right.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int (*real)(clockid_t clock, struct timespec *out);
static const volatile int64_t *wrong_sec;

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("WALL_CLOCK");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *page = mmap(NULL, sizeof(*wrong_sec), PROT_READ, MAP_SHARED, fd, 0);

	real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	if (!real || page == MAP_FAILED)
		abort();
	close(fd);
	wrong_sec = page;
}

int clock_gettime(clockid_t clock, struct timespec *out)
{
	int result;

	if (!real)
		begin();
	result = real(clock, out);
	if (!result && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		out->tv_sec += *wrong_sec;
	return result;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone)
{
	struct timespec now;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &now);
	out->tv_sec = now.tv_sec;
	out->tv_usec = now.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *out)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (out)
		*out = now.tv_sec;
	return now.tv_sec;
}
