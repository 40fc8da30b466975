// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/control.h"

#include "sfu-ctl/log.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/** Who has connected and said nothing yet; the next one takes the place of the oldest. */
#define CLIENTS 4u
#define ASK_SEC 5

struct client {
	uv_poll_t poll;
	struct control *control;
	int fd; /* -1 = free */
	bool closing; /* the handle is not closed yet */
};

struct control {
	uv_poll_t poll;
	int fd;
	unsigned handles; /* open */
	unsigned oldest; /* client */
	bool bound;
	struct sockaddr_un address;
	struct stat file; /* of the socket that is ours */
	const struct control_command *commands;
	void *ctx;
	struct client clients[CLIENTS];
};

/** False: too long for a Unix socket. */
static bool address_of(const char *path, struct sockaddr_un *out)
{
	*out = (struct sockaddr_un){.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(out->sun_path))
		return false;
	memcpy(out->sun_path, path, strlen(path) + 1);
	return true;
}

static void handle_gone(struct control *c)
{
	if (--c->handles == 0)
		free(c);
}

static void on_closed(uv_handle_t *handle)
{
	handle_gone(handle->data);
}

static void on_client_closed(uv_handle_t *handle)
{
	struct client *client = handle->data;

	client->closing = false;
	handle_gone(client->control);
}

static void client_end(struct client *client)
{
	if (client->fd < 0)
		return;
	uv_poll_stop(&client->poll);
	close(client->fd);
	client->fd = -1;
	client->closing = true;
	uv_close((uv_handle_t *)&client->poll, on_client_closed);
}

static void obey(struct control *c, const char *name, char answer[CONTROL_ANSWER_BYTES])
{
	const struct control_command *command = c->commands;

	while (command->name != NULL && strcmp(command->name, name) != 0)
		command++;
	log_info("control", "command", log_str("name", name));
	if (command->name != NULL) {
		command->run(c->ctx, answer);
		return;
	}
	snprintf(answer, CONTROL_ANSWER_BYTES, "error no such command; there are:");
	for (command = c->commands; command->name != NULL; command++) {
		size_t len = strlen(answer);

		snprintf(answer + len, CONTROL_ANSWER_BYTES - len, " %s", command->name);
	}
}

static void on_packet(uv_poll_t *poll, int status, int events)
{
	struct client *client = poll->data;
	char name[64], answer[CONTROL_ANSWER_BYTES] = "";
	ssize_t len = status < 0 ? 0 : recv(client->fd, name, sizeof(name) - 1, 0);

	(void)events;
	if (len > 0) {
		name[len] = '\0';
		obey(client->control, name, answer);
		// Who does not read it has no queue in front of it: it fits.
		send(client->fd, answer, strlen(answer), MSG_NOSIGNAL);
	}
	client_end(client);
}

static bool may_command(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0
	       && (peer.uid == 0 || peer.uid == geteuid());
}

/** NULL: there is none yet, but there will be in the next turn. */
static struct client *free_place(struct control *c)
{
	for (unsigned i = 0; i < CLIENTS; i++) {
		if (c->clients[i].fd < 0 && !c->clients[i].closing)
			return &c->clients[i];
	}
	client_end(&c->clients[c->oldest]);
	c->oldest = (c->oldest + 1) % CLIENTS;
	return NULL;
}

static void on_connection(uv_poll_t *poll, int status, int events)
{
	struct control *c = poll->data;
	struct client *client = free_place(c);
	int fd;

	(void)status;
	(void)events;
	if (client == NULL)
		return;
	fd = accept4(c->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return;
	if (!may_command(fd) || uv_poll_init(poll->loop, &client->poll, fd) < 0) {
		close(fd);
		return;
	}
	c->handles++;
	client->fd = fd;
	client->control = c;
	client->poll.data = client;
	uv_poll_start(&client->poll, UV_READABLE, on_packet);
}

/** Remove what a process left that is not there any more. 0 or errno. */
static int clear_path(const struct sockaddr_un *address)
{
	int fd, result;

	if (access(address->sun_path, F_OK) < 0)
		return errno == ENOENT ? 0 : errno;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errno;
	result = connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ? EADDRINUSE
										      : errno;
	close(fd);
	if (result != ECONNREFUSED)
		return result == EAGAIN || result == EPROTOTYPE ? EADDRINUSE : result;
	return unlink(address->sun_path) < 0 ? errno : 0;
}

/** 0 or errno. */
static int listen_at(struct control *c)
{
	mode_t mask;
	int result = clear_path(&c->address);

	if (result != 0)
		return result;
	// Nobody connects between bind() and a chmod().
	mask = umask(0177);
	result = bind(c->fd, (const struct sockaddr *)&c->address, sizeof(c->address)) < 0 ? errno
											   : 0;
	umask(mask);
	if (result != 0)
		return result;
	c->bound = true;
	if (lstat(c->address.sun_path, &c->file) < 0 || listen(c->fd, (int)CLIENTS) < 0)
		return errno;
	return 0;
}

static void unlink_own(const struct control *c)
{
	struct stat now;

	if (c->bound && lstat(c->address.sun_path, &now) == 0 && now.st_dev == c->file.st_dev
		&& now.st_ino == c->file.st_ino)
		unlink(c->address.sun_path);
}

static void explain(int error, const char *path, char *err, size_t err_size)
{
	if (error == EADDRINUSE)
		snprintf(err, err_size,
			"SFU_CONTROL=\"%s\" is in use: stop the other sfu-ctl, or set another",
			path);
	else
		snprintf(err, err_size,
			"cannot listen on SFU_CONTROL=\"%s\": %s; set it to a path in a folder "
			"that "
			"can be written",
			path, strerror(error));
}

struct control *control_create(uv_loop_t *loop, const char *path,
	const struct control_command *commands, void *ctx, char *err, size_t err_size)
{
	struct control *c = calloc(1, sizeof(*c));
	int result = ENOMEM;

	if (c == NULL)
		goto fail;
	c->commands = commands;
	c->ctx = ctx;
	for (unsigned i = 0; i < CLIENTS; i++)
		c->clients[i].fd = -1;
	c->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		result = errno;
	else
		result = address_of(path, &c->address) ? listen_at(c) : ENAMETOOLONG;
	if (result != 0)
		goto fail;
	uv_poll_init(loop, &c->poll, c->fd);
	c->poll.data = c;
	c->handles = 1;
	uv_poll_start(&c->poll, UV_READABLE, on_connection);
	return c;

fail:
	explain(result, path, err, err_size);
	if (c != NULL) {
		unlink_own(c);
		if (c->fd >= 0)
			close(c->fd);
	}
	free(c);
	return NULL;
}

void control_destroy(struct control *c)
{
	if (c == NULL)
		return;
	unlink_own(c);
	for (unsigned i = 0; i < CLIENTS; i++)
		client_end(&c->clients[i]);
	uv_poll_stop(&c->poll);
	close(c->fd);
	uv_close((uv_handle_t *)&c->poll, on_closed);
}

int control_ask(const char *path, const char *command, char answer[CONTROL_ANSWER_BYTES])
{
	const struct timeval limit = {.tv_sec = ASK_SEC};
	const char *at = path[0] == '\0' ? CONTROL_UNIT_PATH : path;
	struct sockaddr_un address;
	ssize_t len = -1;
	int fd = -1;

	errno = ENAMETOOLONG;
	if (address_of(at, &address))
		fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) == 0
		&& connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0
		&& send(fd, command, strlen(command), MSG_NOSIGNAL) >= 0)
		len = recv(fd, answer, CONTROL_ANSWER_BYTES - 1, 0);
	if (len > 0) {
		answer[len] = '\0';
	} else if (len < 0 && path[0] == '\0') {
		snprintf(answer, CONTROL_ANSWER_BYTES,
			"error SFU_CONTROL is not set, and at " CONTROL_UNIT_PATH
			": %s; set it for both, sfu-ctl and this command",
			strerror(errno));
	} else {
		// The end without an answer is what others than the user and root get.
		snprintf(answer, CONTROL_ANSWER_BYTES,
			"error no answer at SFU_CONTROL=\"%.200s\": %s", at,
			len == 0 ? "only its user and root are heard" : strerror(errno));
	}
	if (fd >= 0)
		close(fd);
	return strncmp(answer, "ok", 2) == 0 ? 0 : -1;
}
