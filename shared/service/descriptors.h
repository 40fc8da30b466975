// SPDX-License-Identifier: BSD-3-Clause
/**
 * Messages over Unix sockets that carry descriptors (SCM_RIGHTS, unix(7)). Both programs, any thread. What
 * comes is bounded by the room that the receiver says it has, whatever the other end sends.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/** One message of ours carries so many at most. */
#define DESCRIPTORS_MAX 18u

/**
 * Send one message. Never blocks, raises no SIGPIPE.
 * @param fds of count <= DESCRIPTORS_MAX; the other end gets copies, these stay the caller's
 * @return what sendmsg(2) says
 */
ssize_t descriptors_send(int socket, const void *bytes, size_t len, const int *fds, unsigned count);

/**
 * Receive one message.
 * @param fds    gets what came along, close-on-exec, the caller's from now on; room for `room`
 * @param room   at most DESCRIPTORS_MAX
 * @param count  how many came; 0 whenever the result is below 0
 * @param flags  of recvmsg(2), MSG_DONTWAIT or 0
 * @return octets, 0 at the end of the connection, or -1 with errno; EMSGSIZE: it was longer than len or carried
 *         more than room, and all that came with it is closed
 */
ssize_t descriptors_receive(
	int socket, void *bytes, size_t len, int *fds, unsigned room, unsigned *count, int flags);
