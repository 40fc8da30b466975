// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/service.h"

#include "shared/service/notify.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/** libuv runs a timer only at the start of a turn: each of these says that one was gone through. */
static void on_watchdog(uv_timer_t *timer)
{
	(void)timer;
	notify_say("WATCHDOG=1");
}

static bool is_listening(int fd)
{
	int type = 0, listening = 0;
	struct sockaddr_storage address = {0};
	socklen_t len = sizeof(type);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 || type != SOCK_STREAM)
		return false;
	len = sizeof(listening);
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) < 0 || !listening)
		return false;
	len = sizeof(address);
	return getsockname(fd, (struct sockaddr *)&address, &len) == 0
	       && (address.ss_family == AF_INET || address.ss_family == AF_INET6);
}

static int take(
	struct service *service, const struct notify_given *given, char *err, size_t err_size)
{
	int *place = strcmp(given->name, "metrics") == 0 ? &service->metrics_fd : &service->main_fd;

	if (!is_listening(given->fd)) {
		snprintf(err, err_size,
			"the service manager handed over \"%s\", which is no listening TCP socket: "
			"in its .socket unit use ListenStream= with a port, and Accept=no",
			given->name);
		return -EINVAL;
	}
	if (*place >= 0) {
		snprintf(err, err_size,
			"the service manager handed over a second socket, \"%s\": one for SFU_PORT "
			"and one with FileDescriptorName=metrics are taken",
			given->name);
		return -EINVAL;
	}
	*place = given->fd;
	return 0;
}

int service_init(struct service *service, uv_loop_t *loop, char *err, size_t err_size)
{
	struct notify_given given[NOTIFY_GIVEN_MAX];
	unsigned count = notify_given(given);
	uint64_t every_us = notify_watchdog_us(), every_ms = every_us / 1000;

	service->main_fd = service->metrics_fd = -1;
	uv_timer_init(loop, &service->watchdog);
	for (unsigned i = 0; i < count; i++) {
		int result = take(service, &given[i], err, err_size);

		if (result < 0)
			return result;
	}
	if (every_us > 0)
		uv_timer_start(
			&service->watchdog, on_watchdog, every_ms, every_ms > 0 ? every_ms : 1);
	return 0;
}

void service_ready(void)
{
	notify_say("READY=1");
}

void service_reloading(void)
{
	notify_reloading();
}

void service_stopping(void)
{
	notify_say("STOPPING=1");
}

void service_fini(struct service *service)
{
	uv_close((uv_handle_t *)&service->watchdog, NULL);
}
