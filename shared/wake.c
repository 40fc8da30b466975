// SPDX-License-Identifier: BSD-3-Clause
#include "shared/wake.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <sys/uio.h>
#include <unistd.h>

void sfu_wake_drain(int fd)
{
	uint64_t count;
	struct iovec part = {.iov_base = &count, .iov_len = sizeof(count)};
	struct pollfd ready = {.fd = fd, .events = POLLIN};

	if (preadv2(fd, &part, 1, -1, RWF_NOWAIT) >= 0 || errno == EAGAIN)
		return;
	// A kernel without RWF_NOWAIT for eventfds.
	if (poll(&ready, 1, 0) == 1 && read(fd, &count, sizeof(count)) < 0)
		return;
}

void sfu_wake(int fd)
{
	const uint64_t one = 1;
	struct pollfd ready = {.fd = fd, .events = POLLOUT};

	if (poll(&ready, 1, 0) == 1 && write(fd, &one, sizeof(one)) < 0)
		return;
}
