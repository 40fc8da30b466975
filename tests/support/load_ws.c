// SPDX-License-Identifier: BSD-3-Clause
#include "tests/support/load_ws.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_PER_TURN 512
#define READ_BYTES 65536u
/** Longest frame header of a client: 2, 8 for the length, 4 for the mask. */
#define HEADER_BYTES 14u

enum { OP_TEXT = 1, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10 };

struct load_loop {
	int epoll;
	uint16_t port;
	TAILQ_HEAD(, load_conn) conns;
	STAILQ_HEAD(, load_conn) dead; /* freed at the end of the turn */
	unsigned char read[READ_BYTES];
};

struct buffer {
	unsigned char *data;
	size_t len, size;
};

struct load_conn {
	struct load_loop *loop;
	TAILQ_ENTRY(load_conn) link;
	STAILQ_ENTRY(load_conn) dead_link;
	int fd;
	const struct load_events *events; /* NULL: closed by its owner */
	void *ctx;
	struct buffer in, out; /* what is not a whole frame yet; what did not fit */
	bool raw, connected, open, deaf, wants_out, ended;
	bool reading; /* what is sent meanwhile goes out together */
	uint16_t close_code;
};

static const char request[] = "GET /ws HTTP/1.1\r\n"
			      "Host: 127.0.0.1\r\n"
			      "Connection: Upgrade\r\n"
			      "Upgrade: websocket\r\n"
			      "Sec-WebSocket-Version: 13\r\n"
			      "Sec-WebSocket-Key: bG9hZCBvZiB0aGUgc2Z1IQ==\r\n"
			      "\r\n";

uint64_t load_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static void buffer_add(struct buffer *b, const void *data, size_t len)
{
	if (b->len + len > b->size) {
		b->size = b->len + len < 512 ? 512 : 2 * (b->len + len);
		b->data = realloc(b->data, b->size);
		if (b->data == NULL)
			abort();
	}
	memcpy(b->data + b->len, data, len);
	b->len += len;
}

static void buffer_drop(struct buffer *b, size_t len)
{
	b->len -= len;
	if (b->len > 0) {
		memmove(b->data, b->data + len, b->len);
		return;
	}
	free(b->data);
	*b = (struct buffer){0};
}

static void watch(struct load_conn *c, bool wants_out)
{
	struct epoll_event event = {
		.events = (c->deaf ? 0 : (unsigned)EPOLLIN) | (wants_out ? (unsigned)EPOLLOUT : 0),
		.data.ptr = c,
	};

	c->wants_out = wants_out;
	epoll_ctl(c->loop->epoll, EPOLL_CTL_MOD, c->fd, &event);
}

static void end(struct load_conn *c)
{
	if (c->ended)
		return;
	c->ended = true;
	close(c->fd);
	TAILQ_REMOVE(&c->loop->conns, c, link);
	STAILQ_INSERT_TAIL(&c->loop->dead, c, dead_link);
	if (c->events != NULL)
		c->events->on_closed(c->ctx, c->close_code);
}

static void flush(struct load_conn *c)
{
	while (c->out.len > 0) {
		ssize_t sent = send(c->fd, c->out.data, c->out.len, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0 && errno != EAGAIN) {
			end(c);
			return;
		}
		if (sent < 0)
			break;
		buffer_drop(&c->out, (size_t)sent);
	}
	if (c->wants_out != (c->out.len > 0))
		watch(c, c->out.len > 0);
}

void load_send_raw(struct load_conn *c, const void *data, size_t len)
{
	if (c->ended)
		return;
	buffer_add(&c->out, data, len);
	if (c->connected && !c->wants_out && !c->reading)
		flush(c);
}

static void send_frame(struct load_conn *c, unsigned opcode, const void *data, size_t len)
{
	// A mask of zeroes is a mask, and leaves the text as it is.
	unsigned char header[HEADER_BYTES] = {(unsigned char)(0x80 | opcode)};
	size_t header_len = 2;

	if (c->ended)
		return;
	if (len < 126) {
		header[1] = (unsigned char)(0x80 | len);
	} else if (len < 65536) {
		header[1] = 0x80 | 126;
		header[2] = (unsigned char)(len >> 8);
		header[3] = (unsigned char)len;
		header_len = 4;
	} else {
		header[1] = 0x80 | 127;
		for (unsigned i = 0; i < 8; i++)
			header[2 + i] = (unsigned char)((uint64_t)len >> (56 - 8 * i));
		header_len = 10;
	}
	buffer_add(&c->out, header, header_len + 4);
	load_send_raw(c, data, len);
}

void load_send(struct load_conn *c, const char *text, size_t len)
{
	send_frame(c, OP_TEXT, text, len);
}

/* Octets of the first whole frame in data, 0 when it is not whole. */
static size_t frame_take(const unsigned char *data, size_t len, size_t *header_len)
{
	uint64_t payload;

	if (len < 2)
		return 0;
	payload = data[1] & 0x7f;
	*header_len = 2;
	if (payload == 126) {
		*header_len = 4;
		if (len < 4)
			return 0;
		payload = (uint64_t)data[2] << 8 | data[3];
	} else if (payload == 127) {
		*header_len = 10;
		if (len < 10)
			return 0;
		payload = 0;
		for (unsigned i = 0; i < 8; i++)
			payload = payload << 8 | data[2 + i];
	}
	return len - *header_len < payload ? 0 : *header_len + (size_t)payload;
}

static void on_frame(struct load_conn *c, unsigned opcode, const unsigned char *data, size_t len)
{
	switch (opcode) {
	case OP_TEXT:
		c->events->on_text(c->ctx, (const char *)data, len);
		break;
	case OP_PING:
		send_frame(c, OP_PONG, data, len);
		if (!c->ended && c->events != NULL && c->events->on_ping != NULL)
			c->events->on_ping(c->ctx);
		break;
	case OP_CLOSE:
		c->close_code = len >= 2 ? (uint16_t)(data[0] << 8 | data[1]) : 1005;
		c->reading = false;
		send_frame(c, OP_CLOSE, data, len < 2 ? 0 : 2);
		end(c);
		break;
	default:
		break;
	}
}

/* Returns the octets used. */
static size_t read_frames(struct load_conn *c, const unsigned char *data, size_t len)
{
	size_t used = 0, header_len, whole;

	while (!c->ended && c->events != NULL && !c->deaf
		&& (whole = frame_take(data + used, len - used, &header_len)) > 0) {
		on_frame(c, data[used] & 0x0f, data + used + header_len, whole - header_len);
		used += whole;
	}
	return used;
}

/* Returns the octets used: the answer's header, once it is whole. */
static size_t read_handshake(struct load_conn *c, const unsigned char *data, size_t len)
{
	const unsigned char *blank = memmem(data, len, "\r\n\r\n", 4);

	if (blank == NULL)
		return 0;
	if (len < 12 || memcmp(data, "HTTP/1.1 101", 12) != 0) {
		end(c);
		return 0;
	}
	c->open = true;
	c->events->on_open(c->ctx);
	return (size_t)(blank - data) + 4;
}

static size_t read_data(struct load_conn *c, const unsigned char *data, size_t len)
{
	size_t used = 0;

	if (c->raw)
		return len;
	if (!c->open)
		used = read_handshake(c, data, len);
	if (c->open && !c->ended)
		used += read_frames(c, data + used, len - used);
	return used;
}

static void read_some(struct load_conn *c)
{
	unsigned char *data = c->loop->read;
	ssize_t got = recv(c->fd, data, READ_BYTES, 0);
	size_t used;

	if (got <= 0) {
		if (got == 0 || (errno != EAGAIN && errno != EINTR))
			end(c);
		return;
	}
	if (c->in.len > 0) {
		buffer_add(&c->in, data, (size_t)got);
		used = read_data(c, c->in.data, c->in.len);
		if (used > 0)
			buffer_drop(&c->in, used);
		return;
	}
	used = read_data(c, data, (size_t)got);
	if (!c->ended && used < (size_t)got)
		buffer_add(&c->in, data + used, (size_t)got - used);
}

static void on_readable(struct load_conn *c)
{
	c->reading = true;
	read_some(c);
	c->reading = false;
	if (!c->ended && !c->wants_out && c->out.len > 0)
		flush(c);
}

static void on_connected(struct load_conn *c)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 || error != 0) {
		end(c);
		return;
	}
	c->connected = true;
	c->wants_out = true;
	if (c->raw)
		c->events->on_open(c->ctx);
	flush(c);
}

struct load_loop *load_loop_create(uint16_t port)
{
	struct load_loop *loop = calloc(1, sizeof(*loop));

	if (loop == NULL)
		return NULL;
	TAILQ_INIT(&loop->conns);
	STAILQ_INIT(&loop->dead);
	loop->port = port;
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll < 0) {
		free(loop);
		return NULL;
	}
	return loop;
}

static void bury(struct load_loop *loop)
{
	struct load_conn *c;

	while ((c = STAILQ_FIRST(&loop->dead)) != NULL) {
		STAILQ_REMOVE_HEAD(&loop->dead, dead_link);
		free(c->in.data);
		free(c->out.data);
		free(c);
	}
}

void load_loop_destroy(struct load_loop *loop)
{
	struct load_conn *c;

	if (loop == NULL)
		return;
	while ((c = TAILQ_FIRST(&loop->conns)) != NULL)
		load_close(c, false);
	bury(loop);
	close(loop->epoll);
	free(loop);
}

void load_turn(struct load_loop *loop, uint64_t wait_us)
{
	struct epoll_event events[EVENTS_PER_TURN];
	struct timespec wait = {
		.tv_sec = (time_t)(wait_us / 1000000u),
		.tv_nsec = (long)(wait_us % 1000000u) * 1000,
	};
	int count = epoll_pwait2(loop->epoll, events, EVENTS_PER_TURN, &wait, NULL);

	for (int i = 0; i < count; i++) {
		struct load_conn *c = events[i].data.ptr;

		if (c->ended)
			continue;
		if (!c->connected && (events[i].events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0)
			on_connected(c);
		else if ((events[i].events & EPOLLOUT) != 0)
			flush(c);
		if (c->ended)
			continue;
		if (c->deaf && (events[i].events & (EPOLLERR | EPOLLHUP)) != 0)
			end(c);
		else if (!c->deaf && (events[i].events & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0)
			on_readable(c);
	}
	bury(loop);
}

static struct load_conn *begin(
	struct load_loop *loop, const struct load_events *events, void *ctx, bool raw)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(loop->port)};
	struct load_conn *c = calloc(1, sizeof(*c));
	struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
	int on = 1;

	if (c == NULL)
		return NULL;
	*c = (struct load_conn){
		.loop = loop, .events = events, .ctx = ctx, .raw = raw, .wants_out = true};
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		goto free_conn;
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(c->fd, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS)
		goto close_fd;
	if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, c->fd, &event) < 0)
		goto close_fd;
	TAILQ_INSERT_TAIL(&loop->conns, c, link);
	if (!raw)
		buffer_add(&c->out, request, sizeof(request) - 1);
	return c;

close_fd:
	close(c->fd);
free_conn:
	free(c);
	return NULL;
}

struct load_conn *load_connect(struct load_loop *loop, const struct load_events *events, void *ctx)
{
	return begin(loop, events, ctx, false);
}

struct load_conn *load_connect_raw(
	struct load_loop *loop, const struct load_events *events, void *ctx)
{
	return begin(loop, events, ctx, true);
}

void load_deafen(struct load_conn *c)
{
	int little = 4096;

	c->deaf = true;
	setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &little, sizeof(little));
	watch(c, c->wants_out);
}

void load_listen(struct load_conn *c)
{
	c->deaf = false;
	watch(c, c->wants_out);
}

size_t load_unsent(const struct load_conn *c)
{
	return c->out.len;
}

void load_close(struct load_conn *c, bool politely)
{
	static const unsigned char normal[] = {0x03, 0xe8};

	c->events = NULL;
	c->reading = false;
	if (politely && c->open)
		send_frame(c, OP_CLOSE, normal, sizeof(normal));
	end(c);
}
