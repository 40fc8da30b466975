// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/state/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/** Without these somebody could cut the region off under our feet (SIGBUS). */
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

int state_memory_create(size_t bytes)
{
	int fd = memfd_create("sfu-state", MFD_CLOEXEC | MFD_ALLOW_SEALING), saved;

	if (fd < 0)
		return -1;
	if (!ftruncate(fd, (off_t)bytes) && !fcntl(fd, F_ADD_SEALS, SEALS))
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

size_t state_memory_size(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &st))
		return 0;
	return (size_t)st.st_size;
}

void *state_memory_map(int fd, size_t bytes)
{
	int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (memory == MAP_FAILED)
		return NULL;
	madvise(memory, bytes, MADV_DONTDUMP);
	// Where the limit on locked memory is too low they may be swapped: no reason not to start.
	mlock2(memory, bytes, MLOCK_ONFAULT);
	return memory;
}

void state_memory_unmap(void *memory, size_t bytes)
{
	if (memory)
		munmap(memory, bytes);
}

bool state_memory_clear(void *memory, size_t bytes)
{
	return !munlock(memory, bytes) && !madvise(memory, bytes, MADV_REMOVE)
	       && (mlock2(memory, bytes, MLOCK_ONFAULT), true);
}
