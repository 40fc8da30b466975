// SPDX-License-Identifier: BSD-3-Clause
/*
 * The least that a WebSocket server on sockets does for a PING: wait, receive, copy the msgId into a
 * fixed answer, send. No check of anything. What it takes is the kernel's; no server with a system call per
 * answer can take less. Usage: ctl_floor PORT
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 512
#define READ_BYTES 65536
#define ID_BYTES 36

static char in[READ_BYTES], out[READ_BYTES];

static void answer_upgrade(int fd)
{
	static const char text[] = "HTTP/1.1 101 Switching Protocols\r\n\r\n";

	send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL);
}

/* One answer for each frame received, all in one send. */
static void answer_frames(int fd, size_t len)
{
	static const char name[] = "\"msgId\":\"";
	const char *at = in, *end = in + len;
	size_t used = 0;

	while ((at = memmem(at, (size_t)(end - at), name, sizeof(name) - 1)) != NULL
		&& end - at > (long)sizeof(name) + ID_BYTES && used < READ_BYTES - 512) {
		int text;

		at += sizeof(name) - 1;
		text = sprintf(out + used + 4,
			"{\"v\":1,\"type\":\"ACK\",\"msgId\":\"00000000-0000-4000-8000-"
			"000000000000\","
			"\"ts\":1700000000000,\"ack\":{\"ackOfMsgId\":\"%.36s\",\"ok\":true},"
			"\"payload\":{}}",
			at);
		out[used] = (char)0x81;
		out[used + 1] = 126;
		out[used + 2] = (char)(text >> 8);
		out[used + 3] = (char)text;
		used += 4 + (size_t)text;
	}
	send(fd, out, used, MSG_NOSIGNAL);
}

static void serve(int fd)
{
	ssize_t got = recv(fd, in, sizeof(in), 0);

	if (got <= 0)
		close(fd);
	else if (in[0] == 'G')
		answer_upgrade(fd);
	else
		answer_frames(fd, (size_t)got);
}

static void add(int epoll, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	struct epoll_event events[EVENTS];
	int listener = socket(AF_INET, SOCK_STREAM, 0), epoll = epoll_create1(0), on = 1;

	if (argc != 2)
		return 2;
	address.sin_port = htons((uint16_t)atoi(argv[1]));
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0
		|| listen(listener, SOMAXCONN) < 0) {
		perror("ctl_floor");
		return 1;
	}
	add(epoll, listener);
	for (;;) {
		int count = epoll_wait(epoll, events, EVENTS, -1);

		for (int i = 0; i < count; i++) {
			int fd = events[i].data.fd;

			if (fd != listener) {
				serve(fd);
				continue;
			}
			fd = accept(listener, NULL, NULL);
			setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
			add(epoll, fd);
		}
	}
}
