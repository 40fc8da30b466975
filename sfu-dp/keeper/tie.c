// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/keeper/tie.h"

#include "shared/service/descriptors.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define ENVIRONMENT "SFU_DP_KEEPER"
#define TAKE_OVER_MS 1000

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

bool tie_path(char out[112], const char *cli)
{
	int n = snprintf(out, 108, "%s.keeper", cli);

	return n > 0 && n < 108;
}

static_assert(TIE_HELD_MAX <= DESCRIPTORS_MAX, "a port's descriptors go in one message");

void tie_held_close(struct tie_held *held)
{
	for (unsigned i = 0; i < held->count; i++)
		close_fd(&held->fd[i]);
	memset(held, 0, sizeof(*held));
}

void tie_send(int fd, enum tie_type type, uint32_t value)
{
	struct tie_message m = {.type = type, .value = value};

	if (fd >= 0)
		(void)!send(fd, &m, sizeof(m), MSG_DONTWAIT | MSG_NOSIGNAL);
}

void tie_send_port(int fd, const struct tie_held *held)
{
	struct tie_message m = {.type = TIE_PORT, .value = held->value};

	if (fd >= 0)
		descriptors_send(fd, &m, sizeof(m), held->fd, held->count);
}

enum tie_type tie_receive(int fd, struct tie_held *held)
{
	struct tie_held came = {0};
	struct tie_message m;
	ssize_t n;

	if (fd < 0)
		return TIE_NONE;
	n = descriptors_receive(
		fd, &m, sizeof(m), came.fd, TIE_HELD_MAX, &came.count, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return TIE_NONE;
	if (n == (ssize_t)sizeof(m) && m.type == TIE_PORT && held) {
		tie_held_close(held);
		came.value = m.value;
		*held = came;
	} else {
		tie_held_close(&came);
	}
	if (n != (ssize_t)sizeof(m) || m.type >= TIE_LOST)
		return TIE_LOST;
	return (enum tie_type)m.type;
}

/* The process */

bool tie_init(struct tie *t, const char *path)
{
	const char *text = getenv(ENVIRONMENT);
	char mode[8] = "";
	int fd, state_fd;

	memset(t, 0, sizeof(*t));
	t->fd = t->state_fd = t->listen_fd = -1;
	snprintf(t->path, sizeof(t->path), "%s", path);
	if (!text || sscanf(text, "%d,%d,%7s", &fd, &state_fd, mode) != 3)
		return false;
	unsetenv(ENVIRONMENT);
	// Not for the children of ours, of which there are none.
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) || fcntl(state_fd, F_SETFD, FD_CLOEXEC))
		return false;
	t->fd = fd;
	t->state_fd = state_fd;
	t->waits = !strcmp(mode, "wait");
	// Sent before we were started, if there is anything.
	if (!t->waits)
		tie_receive(fd, &t->given);
	return true;
}

static void listen_stop(struct tie *t)
{
	if (t->listen_fd >= 0)
		unlink(t->path);
	close_fd(&t->listen_fd);
}

void tie_fini(struct tie *t)
{
	listen_stop(t);
	close_fd(&t->fd);
	close_fd(&t->state_fd);
	tie_held_close(&t->given);
}

static bool address_of(struct sockaddr_un *address, const char *path)
{
	size_t len = strlen(path);

	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	if (len >= sizeof(address->sun_path))
		return false;
	memcpy(address->sun_path, path, len);
	return true;
}

/** Wait for the next keeper. Without the socket we go on as well, but nobody can hold the state. */
static void listen_start(struct tie *t)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_un address;

	if (fd < 0 || !address_of(&address, t->path)) {
		close_fd(&fd);
		return;
	}
	// Only a process that lost its keeper listens here, so what is there is of a dead one.
	unlink(t->path);
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) || chmod(t->path, 0600)
		|| listen(fd, 2))
		close_fd(&fd);
	t->listen_fd = fd;
}

/** The memfd rides along with a TIE_READY that tells our process id. */
static bool state_send(int fd, int state_fd)
{
	const struct tie_message m = {.type = TIE_READY, .value = (uint32_t)getpid()};

	return descriptors_send(fd, &m, sizeof(m), &state_fd, 1) == (ssize_t)sizeof(m);
}

void tie_hold(struct tie *t, const struct tie_held *held)
{
	t->port = *held;
	tie_send_port(t->fd, held);
}

static bool same_user(int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) && cred.uid == geteuid();
}

static void next_keeper(struct tie *t)
{
	int fd = accept4(t->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	// Not even root of another name: the keys are in it.
	if (!same_user(fd) || !state_send(fd, t->state_fd)) {
		close(fd);
		return;
	}
	listen_stop(t);
	t->fd = fd;
	if (t->port.value)
		tie_send_port(fd, &t->port);
}

enum tie_type tie_poll(struct tie *t, uint64_t now_us)
{
	enum tie_type type;

	if (t->state_fd < 0)
		return TIE_NONE;
	if (t->fd < 0) {
		if (t->listen_fd < 0 && now_us - t->beat_us >= TIE_BEAT_US) {
			t->beat_us = now_us;
			listen_start(t);
		}
		if (t->listen_fd >= 0)
			next_keeper(t);
		return TIE_NONE;
	}
	if (now_us - t->beat_us >= TIE_BEAT_US) {
		t->beat_us = now_us;
		tie_send(t->fd, TIE_BEAT, 0);
	}
	type = tie_receive(t->fd, NULL);
	if (type == TIE_LOST) {
		close_fd(&t->fd);
		listen_start(t);
	}
	return type;
}

/* The keeper */

int tie_take_over(const char *path, pid_t *pid, int *tie_fd)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), came[TIE_HELD_MAX];
	struct timeval patience = {.tv_sec = TAKE_OVER_MS / 1000};
	struct sockaddr_un address;
	struct tie_message m;
	unsigned count = 0;
	ssize_t n;

	if (fd < 0 || !address_of(&address, path)
		|| connect(fd, (const struct sockaddr *)&address, sizeof(address))
		|| !same_user(fd))
		goto fail;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	n = descriptors_receive(fd, &m, sizeof(m), came, TIE_HELD_MAX, &count, 0);
	if (n != (ssize_t)sizeof(m) || m.type != TIE_READY || count != 1)
		goto fail;
	*pid = (pid_t)m.value;
	*tie_fd = fd;
	return came[0];
fail:
	for (unsigned i = 0; i < count; i++)
		close_fd(&came[i]);
	close_fd(&fd);
	return -1;
}
