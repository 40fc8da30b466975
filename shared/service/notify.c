// SPDX-License-Identifier: BSD-3-Clause
#include "shared/service/notify.h"

#include "shared/service/descriptors.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define FIRST_FD 3
/** No manager hands over more; what is there is wrong then. */
#define GIVEN_SANE 1024

static void notify(const char *lines, int kept)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t len = path ? strlen(path) : 0;
	int fd;

	if (len < 2 || len >= sizeof(address.sun_path))
		return;
	memcpy(address.sun_path, path, len);
	if (*path == '@')
		address.sun_path[0] = 0;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (!connect(fd, (struct sockaddr *)&address,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)))
		descriptors_send(fd, lines, strlen(lines), &kept, kept >= 0);
	close(fd);
}

void notify_say(const char *lines)
{
	notify(lines, -1);
}

void notify_reloading(void)
{
	char lines[64];
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(lines, sizeof(lines), "RELOADING=1\nMONOTONIC_USEC=%lld",
		(long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
	notify_say(lines);
}

void notify_keep(const char *name, int fd)
{
	char lines[64];

	snprintf(lines, sizeof(lines), "FDSTORE=1\nFDNAME=%s", name);
	notify(lines, fd);
}

/** The next of the words that colons separate; the last one ends with the text. */
static const char *name_take(char *out, size_t size, const char *names)
{
	size_t len = strcspn(names, ":");

	snprintf(out, size, "%.*s", (int)len, names);
	names += len;
	return *names == ':' ? names + 1 : names;
}

unsigned notify_given(struct notify_given out[NOTIFY_GIVEN_MAX])
{
	const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
	const char *names = getenv("LISTEN_FDNAMES");
	unsigned n = 0;

	if (pid && count && strtol(pid, NULL, 10) == getpid()) {
		long given = strtol(count, NULL, 10);

		for (int i = 0; i < given && i < GIVEN_SANE; i++) {
			char name[sizeof(out->name)];

			names = name_take(name, sizeof(name), names ? names : "");
			if (n == NOTIFY_GIVEN_MAX) {
				close(FIRST_FD + i);
			} else if (!fcntl(FIRST_FD + i, F_SETFD, FD_CLOEXEC)) {
				out[n].fd = FIRST_FD + i;
				memcpy(out[n++].name, name, sizeof(name));
			}
		}
	}
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
	return n;
}

uint64_t notify_watchdog_us(void)
{
	const char *text = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");

	if (!text || (pid && strtol(pid, NULL, 10) != getpid()))
		return 0;
	// Twice as often as it would be missed.
	return strtoull(text, NULL, 10) / 2;
}
