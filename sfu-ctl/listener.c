// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/listener.h"

#include "sfu-ctl/log.h"
#include "sfu-ctl/loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/** Connections taken per turn of the loop, so that a flood leaves time for those who are in. */
#define ACCEPT_BURST 64u
/** Without descriptors: look again after this. */
#define ACCEPT_PAUSE_MS 100u
/** What we sent and nobody acknowledged ends a connection after this. */
#define USER_TIMEOUT_MS 20000

/** What the kernel holds for a peer that does not read, doubled by it; without this it is megabytes. */
#define SEND_BUFFER_BYTES 65536

struct listener {
	uv_poll_t poll;
	uv_timer_t pause;
	int fd;
	unsigned handles_open;
	listener_accept_fn on_accept;
	void *ctx;
	struct log_limit limit;
};

static void on_readable(uv_poll_t *handle, int status, int events);

static void on_pause_over(uv_timer_t *handle)
{
	struct listener *l = handle->data;

	uv_poll_start(&l->poll, UV_READABLE, on_readable);
}

/** Those of the listening socket are those of the connections that come from it. */
static void set_options(int fd)
{
	int on = 1, timeout_ms = USER_TIMEOUT_MS, send_bytes = SEND_BUFFER_BYTES;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_bytes, sizeof(send_bytes));
}

static void on_readable(uv_poll_t *handle, int status, int events)
{
	struct listener *l = handle->data;

	(void)status;
	(void)events;
	for (unsigned i = 0; i < ACCEPT_BURST; i++) {
		int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		uint32_t suppressed = 0;

		if (fd >= 0) {
			l->on_accept(l->ctx, fd);
			continue;
		}
		if (errno == EAGAIN)
			return;
		if (errno == EINTR || errno == ECONNABORTED || errno == EPROTO || errno == ENETDOWN)
			continue;
		// The socket stays readable: polling on would spin.
		if (log_allowed(&l->limit, loop_now_us(), &suppressed))
			log_error("listener", "cannot accept", log_err("reason", errno),
				log_num("suppressed", suppressed));
		uv_poll_stop(&l->poll);
		uv_timer_start(&l->pause, on_pause_over, ACCEPT_PAUSE_MS, 0);
		return;
	}
}

static socklen_t sockaddr_of(const char *address, uint16_t port, struct sockaddr_storage *out)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)out;

	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, address, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		return sizeof(*v4);
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(port);
	if (address[0] != '\0' && inet_pton(AF_INET6, address, &v6->sin6_addr) != 1)
		return 0;
	return sizeof(*v6);
}

/** A machine without IPv6 has only the IPv4 half of "every address". */
static int open_socket(
	struct sockaddr_storage *addr, socklen_t *len, const char *address, uint16_t port)
{
	int fd = socket(addr->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int off = 0;

	if (fd < 0 && errno == EAFNOSUPPORT && address[0] == '\0') {
		*len = sockaddr_of("0.0.0.0", port, addr);
		fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	}
	if (fd >= 0 && addr->ss_family == AF_INET6 && address[0] == '\0')
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	return fd;
}

static int bind_socket(const struct listener_place *place)
{
	struct sockaddr_storage addr;
	socklen_t len = sockaddr_of(place->address, place->port, &addr);
	int on = 1, fd = open_socket(&addr, &len, place->address, place->port);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&addr, len) < 0) {
		int error = errno;

		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

static int take_socket(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 ? fd : -1;
}

static void explain(int error, const struct listener_place *place, char *err, size_t err_size)
{
	const char *where = place->address[0] != '\0' ? place->address : "any address";

	if (error == EADDRINUSE)
		snprintf(err, err_size,
			"port %u of %s is taken: stop the program that has it (ss -ltnp), or set "
			"%s to another",
			place->port, where, place->port_setting);
	else if (error == EACCES)
		snprintf(err, err_size,
			"no permission to listen on port %u of %s: set %s to 1024 or more, or "
			"give CAP_NET_BIND_SERVICE",
			place->port, where, place->port_setting);
	else if (error == EADDRNOTAVAIL)
		snprintf(err, err_size, "this machine has no address %s: set %s to one that it has",
			where, place->address_setting);
	else
		snprintf(err, err_size, "%s: cannot listen on port %u of %s: %s",
			place->port_setting, place->port, where, strerror(error));
}

static void on_closed(uv_handle_t *handle)
{
	struct listener *l = handle->data;

	if (--l->handles_open == 0)
		free(l);
}

struct listener *listener_create(uv_loop_t *loop, const struct listener_place *place,
	listener_accept_fn on_accept, void *ctx, char *err, size_t err_size)
{
	struct listener *l = calloc(1, sizeof(*l));

	if (l == NULL) {
		snprintf(err, err_size, "out of memory");
		return NULL;
	}
	l->on_accept = on_accept;
	l->ctx = ctx;
	l->fd = place->given_fd >= 0 ? take_socket(place->given_fd) : bind_socket(place);
	if (l->fd < 0)
		goto explain;
	set_options(l->fd);
	if (listen(l->fd, SOMAXCONN) < 0)
		goto explain;
	if (uv_poll_init_socket(loop, &l->poll, l->fd) < 0)
		goto explain;
	uv_timer_init(loop, &l->pause);
	l->poll.data = l->pause.data = l;
	l->handles_open = 2;
	uv_poll_start(&l->poll, UV_READABLE, on_readable);
	return l;

explain:
	explain(errno, place, err, err_size);
	if (l->fd >= 0)
		close(l->fd);
	free(l);
	return NULL;
}

void listener_destroy(struct listener *l)
{
	if (l == NULL)
		return;
	uv_poll_stop(&l->poll);
	close(l->fd);
	uv_close((uv_handle_t *)&l->poll, on_closed);
	uv_close((uv_handle_t *)&l->pause, on_closed);
}
