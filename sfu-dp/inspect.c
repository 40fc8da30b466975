// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/inspect.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "sfu-dp/house.h"
#include "sfu-dp/keeper/tie.h"

#define REQUEST_BYTES 64u
#define CLIENT_LIFETIME_US 5000000u

struct client {
	int fd; /* -1 = free */
	bool may_order; /* it is root or our own user, not only of the group */
	char request[REQUEST_BYTES];
	size_t request_len;
	char *answer; /* NULL until the request is whole */
	size_t answer_len, sent;
	uint64_t since_us;
};

struct inspect {
	struct house *house;
	int listener;
	int epoll; /* data.ptr: the client, NULL = the listener */
	char path[108];
	dev_t file_dev;
	ino_t file_ino;
	unsigned client_count;
	struct client clients[INSPECT_CLIENTS];
};

/** While all places are taken, who connects waits in the kernel's queue and wakes nobody. */
static void listen_on(struct inspect *in, bool on)
{
	struct epoll_event e = {.events = on ? EPOLLIN : 0};

	epoll_ctl(in->epoll, EPOLL_CTL_MOD, in->listener, &e);
}

static void client_end(struct inspect *in, struct client *c)
{
	close(c->fd);
	free(c->answer);
	memset(c, 0, sizeof(*c));
	c->fd = -1;
	in->client_count--;
	listen_on(in, true);
}

static void client_accept(struct inspect *in)
{
	int fd = accept4(in->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct client *c = in->clients;
	struct epoll_event e = {.events = EPOLLIN};
	struct ucred cred;
	socklen_t cred_len = sizeof(cred);

	if (fd < 0)
		return;
	// There is a free place, or the listener would be off.
	while (c->fd >= 0)
		c++;
	e.data.ptr = c;
	if (epoll_ctl(in->epoll, EPOLL_CTL_ADD, fd, &e)) {
		close(fd);
		return;
	}
	c->fd = fd;
	c->may_order = !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &cred_len)
		       && (cred.uid == 0 || cred.uid == geteuid());
	c->since_us = in->house->now_us;
	if (++in->client_count == INSPECT_CLIENTS)
		listen_on(in, false);
}

/**
 * The keeper does it; that it was asked is all that can be said here. Not for the group, which the control
 * plane is of: it may look, but no number of orders of its own may cost a packet.
 */
static struct json_object *hand_over(struct house *h, bool may_order)
{
	struct json_object *reply = json_object_new_object();

	if (!may_order) {
		json_object_object_add(reply, "error",
			json_object_new_string(
				"a hand-over is ordered by root or the user of sfu-dp"));
		return reply;
	}
	if (h->tie->fd < 0) {
		json_object_object_add(reply, "error",
			json_object_new_string(
				"there is no keeper that could start a new process"));
		return reply;
	}
	tie_send(h->tie->fd, TIE_HAND_OVER, 0);
	json_object_object_add(reply, "handover", json_object_new_string("begun"));
	json_object_object_add(reply, "pid", json_object_new_int((int)getpid()));
	return reply;
}

static void client_answer(struct inspect *in, struct client *c)
{
	struct json_object *reply = NULL;
	const char *text;
	size_t len;

	if (!strncmp(c->request, "show ", 5))
		reply = show(in->house, c->request + 5);
	else if (!strcmp(c->request, "handover"))
		reply = hand_over(in->house, c->may_order);
	if (!reply) {
		reply = json_object_new_object();
		json_object_object_add(reply, "error",
			json_object_new_string(
				"unknown request; ask for: show transports, producers, "
				"consumers, rooms, workers, drops, link, ports, config; "
				"or handover"));
	}
	text = json_object_to_json_string_length(reply, JSON_C_TO_STRING_PLAIN, &len);
	c->answer = malloc(len + 1);
	if (c->answer) {
		memcpy(c->answer, text, len);
		c->answer[len] = '\n';
		c->answer_len = len + 1;
	}
	json_object_put(reply);
}

/** Read the request; true while the client stays. */
static bool client_read(struct inspect *in, struct client *c)
{
	// From now on only room for the answer counts: what else it may say stays unread.
	struct epoll_event e = {.events = EPOLLOUT, .data.ptr = c};
	ssize_t n;
	char *end;

	n = recv(c->fd, c->request + c->request_len, REQUEST_BYTES - 1 - c->request_len, 0);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		return false;
	c->request_len += (size_t)n;
	end = memchr(c->request, '\n', c->request_len);
	if (!end)
		return c->request_len < REQUEST_BYTES - 1;
	*end = 0;
	client_answer(in, c);
	return c->answer && !epoll_ctl(in->epoll, EPOLL_CTL_MOD, c->fd, &e);
}

/** Send what the socket takes of the answer; true while some is left. */
static bool client_send(struct client *c)
{
	ssize_t n = send(
		c->fd, c->answer + c->sent, c->answer_len - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	c->sent += (size_t)n;
	return c->sent < c->answer_len;
}

unsigned inspect_poll(struct inspect *in)
{
	struct epoll_event e[INSPECT_CLIENTS + 1];
	int n = epoll_wait(in->epoll, e, INSPECT_CLIENTS + 1, 0);
	unsigned did = n > 0 ? (unsigned)n : 0;

	for (int i = 0; i < n; i++) {
		struct client *c = e[i].data.ptr;

		if (!c)
			client_accept(in);
		else if (!(c->answer ? client_send(c) : client_read(in, c)))
			client_end(in, c);
	}
	for (unsigned i = 0; in->client_count && i < INSPECT_CLIENTS; i++) {
		struct client *c = &in->clients[i];

		if (c->fd < 0 || in->house->now_us - c->since_us <= CLIENT_LIFETIME_US)
			continue;
		client_end(in, c);
		did++;
	}
	return did;
}

int inspect_fd(const struct inspect *in)
{
	return in->epoll;
}

/** Make way for a socket: what a dead process left goes, anything else stays. 0 or errno. */
static int path_clear(const struct sockaddr_un *sa)
{
	struct stat st;
	int fd, rc;

	if (lstat(sa->sun_path, &st))
		return errno == ENOENT ? 0 : errno;
	if (!S_ISSOCK(st.st_mode))
		return EEXIST;
	// Not blocking: a process that hangs does not accept, and its queue may be full.
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return errno;
	rc = connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) ? errno : EADDRINUSE;
	close(fd);
	if (rc == ECONNREFUSED)
		return unlink(sa->sun_path) ? errno : 0;
	return rc == EAGAIN || rc == EPROTOTYPE ? EADDRINUSE : rc;
}

/** Bind, set the mode, listen. 0 or errno. */
static int listen_at(struct inspect *in, const struct sockaddr_un *sa)
{
	struct epoll_event e = {.events = EPOLLIN};
	struct stat st;
	int rc;

	if (bind(in->listener, (const struct sockaddr *)sa, sizeof(*sa)))
		return errno;
	if (chmod(sa->sun_path, 0660) || listen(in->listener, 8) || lstat(sa->sun_path, &st)
		|| epoll_ctl(in->epoll, EPOLL_CTL_ADD, in->listener, &e)) {
		rc = errno;
		unlink(sa->sun_path);
		return rc;
	}
	in->file_dev = st.st_dev;
	in->file_ino = st.st_ino;
	return 0;
}

struct inspect *inspect_create(const char *path, struct house *h, char *err, size_t err_size)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	struct inspect *in;
	int rc;

	if (strlen(path) >= sizeof(sa.sun_path)) {
		snprintf(err, err_size, "%s is too long for a Unix socket", path);
		return NULL;
	}
	strcpy(sa.sun_path, path);
	in = calloc(1, sizeof(*in));
	if (!in) {
		snprintf(err, err_size, "no memory");
		return NULL;
	}
	in->house = h;
	strcpy(in->path, path);
	for (unsigned i = 0; i < INSPECT_CLIENTS; i++)
		in->clients[i].fd = -1;
	in->epoll = epoll_create1(EPOLL_CLOEXEC);
	in->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	rc = in->epoll < 0 || in->listener < 0 ? errno : path_clear(&sa);
	if (!rc)
		rc = listen_at(in, &sa);
	if (!rc)
		return in;
	if (rc == EADDRINUSE)
		snprintf(err, err_size, "%s is in use: stop the other sfu-dp or set SFU_DP_CLI",
			path);
	else
		snprintf(err, err_size, "cannot listen on %s: %s; set SFU_DP_CLI", path,
			strerror(rc));
	if (in->listener >= 0)
		close(in->listener);
	if (in->epoll >= 0)
		close(in->epoll);
	free(in);
	return NULL;
}

void inspect_destroy(struct inspect *in)
{
	struct stat st;

	if (!in)
		return;
	for (unsigned i = 0; i < INSPECT_CLIENTS; i++) {
		if (in->clients[i].fd >= 0)
			client_end(in, &in->clients[i]);
	}
	// A successor may have replaced the file already.
	if (!lstat(in->path, &st) && st.st_dev == in->file_dev && st.st_ino == in->file_ino)
		unlink(in->path);
	close(in->listener);
	close(in->epoll);
	free(in);
}
