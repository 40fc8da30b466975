// SPDX-License-Identifier: BSD-3-Clause
#include "shared/service/descriptors.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
	struct cmsghdr header; /* aligns it */
	uint8_t octets[CMSG_SPACE(DESCRIPTORS_MAX * sizeof(int))];
};

ssize_t descriptors_send(int socket, const void *bytes, size_t len, const int *fds, unsigned count)
{
	struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = len};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	union control control = {0};

	if (count > DESCRIPTORS_MAX) {
		errno = EINVAL;
		return -1;
	}
	if (count) {
		message.msg_control = control.octets;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, count * sizeof(int));
	}
	return sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

ssize_t descriptors_receive(
	int socket, void *bytes, size_t len, int *fds, unsigned room, unsigned *count, int flags)
{
	struct iovec part = {.iov_base = bytes, .iov_len = len};
	union control control;
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.octets};
	ssize_t n;

	*count = 0;
	if (room > DESCRIPTORS_MAX) {
		errno = EINVAL;
		return -1;
	}
	// Not CMSG_SPACE(): what that adds for alignment is room for one more.
	message.msg_controllen = CMSG_LEN(room * sizeof(int));
	n = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
	if (n < 0)
		return -1;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
		size_t came = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS
			|| came > room - *count)
			continue;
		memcpy(fds + *count, CMSG_DATA(c), came * sizeof(int));
		*count += (unsigned)came;
	}
	if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		while (*count > 0)
			close(fds[--*count]);
		errno = EMSGSIZE;
		return -1;
	}
	return n;
}
