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

#define REQUEST_BYTES 64u
#define CLIENT_LIFETIME_US 5000000u

struct client {
	int fd; /* -1 = free */
	char request[REQUEST_BYTES];
	size_t request_len;
	char *answer; /* NULL until the request is whole */
	size_t answer_len, sent;
	uint64_t since_us;
};

struct inspect {
	struct house *house;
	int listener;
	int epoll;
	char path[108];
	struct client clients[INSPECT_CLIENTS];
};

static void client_end(struct client *c)
{
	close(c->fd);
	free(c->answer);
	memset(c, 0, sizeof(*c));
	c->fd = -1;
}

static void client_accept(struct inspect *in)
{
	int fd = accept4(in->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct epoll_event e = {.events = EPOLLIN};

	if (fd < 0)
		return;
	for (unsigned i = 0; i < INSPECT_CLIENTS; i++) {
		struct client *c = &in->clients[i];

		if (c->fd >= 0)
			continue;
		c->fd = fd;
		c->since_us = in->house->now_us;
		epoll_ctl(in->epoll, EPOLL_CTL_ADD, fd, &e);
		return;
	}
	close(fd);
}

static void client_answer(struct inspect *in, struct client *c)
{
	struct json_object *reply = NULL;
	const char *text;
	size_t len;

	if (!strncmp(c->request, "show ", 5))
		reply = show(in->house, c->request + 5);
	if (!reply) {
		reply = json_object_new_object();
		json_object_object_add(reply, "error",
			json_object_new_string(
				"unknown request; ask for: show transports, producers, "
				"consumers, rooms, workers, drops, link, ports, config"));
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

/** True while the client stays. */
static bool client_go_on(struct inspect *in, struct client *c)
{
	ssize_t n;

	if (in->house->now_us - c->since_us > CLIENT_LIFETIME_US)
		return false;
	if (!c->answer) {
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
		if (!c->answer)
			return false;
	}
	n = send(c->fd, c->answer + c->sent, c->answer_len - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	c->sent += (size_t)n;
	return c->sent < c->answer_len;
}

unsigned inspect_poll(struct inspect *in)
{
	struct epoll_event e[INSPECT_CLIENTS + 1];
	bool busy = false;
	unsigned did = 0;

	for (unsigned i = 0; i < INSPECT_CLIENTS; i++)
		busy |= in->clients[i].fd >= 0;
	if (epoll_wait(in->epoll, e, INSPECT_CLIENTS + 1, 0) <= 0 && !busy)
		return 0;
	client_accept(in);
	for (unsigned i = 0; i < INSPECT_CLIENTS; i++) {
		struct client *c = &in->clients[i];

		if (c->fd < 0)
			continue;
		did++;
		if (!client_go_on(in, c))
			client_end(c);
	}
	return did;
}

int inspect_fd(const struct inspect *in)
{
	return in->epoll;
}

struct inspect *inspect_create(const char *path, struct house *h, char *err, size_t err_size)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	struct epoll_event e = {.events = EPOLLIN};
	struct inspect *in;
	int probe;

	if (strlen(path) >= sizeof(sa.sun_path)) {
		snprintf(err, err_size, "SFU_DP_CLI: %s is too long for a Unix socket", path);
		return NULL;
	}
	strcpy(sa.sun_path, path);
	// Replace what a dead process left, never what somebody listens on.
	probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (probe >= 0) {
		bool alive = !connect(probe, (struct sockaddr *)&sa, sizeof(sa));
		bool dead = !alive && errno == ECONNREFUSED;

		close(probe);
		if (alive) {
			snprintf(err, err_size,
				"%s is in use: stop the other sfu-dp or set SFU_DP_CLI", path);
			return NULL;
		}
		if (dead)
			unlink(path);
	}
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
	if (in->epoll < 0 || in->listener < 0
		|| bind(in->listener, (struct sockaddr *)&sa, sizeof(sa)) || chmod(path, 0660)
		|| listen(in->listener, 8)
		|| epoll_ctl(in->epoll, EPOLL_CTL_ADD, in->listener, &e)) {
		snprintf(err, err_size, "cannot listen on %s: %s; set SFU_DP_CLI", path,
			strerror(errno));
		if (in->listener >= 0)
			close(in->listener);
		if (in->epoll >= 0)
			close(in->epoll);
		free(in);
		return NULL;
	}
	return in;
}

void inspect_destroy(struct inspect *in)
{
	if (!in)
		return;
	for (unsigned i = 0; i < INSPECT_CLIENTS; i++) {
		if (in->clients[i].fd >= 0)
			client_end(&in->clients[i]);
	}
	unlink(in->path);
	close(in->listener);
	close(in->epoll);
	free(in);
}
