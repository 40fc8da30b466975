// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/link.h"

#include "shared/ring.h"
#include "shared/service/descriptors.h"
#include "shared/wake.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <syslog.h>
#include <unistd.h>

#define RETRY_FIRST_MS 100u
#define RETRY_MAX_MS 1000u
// A data plane that does not answer the hello is stopped or stuck.
#define WELCOME_TIME_MS 2000u
// What one turn of the loop takes from the rings, so that sockets get their turn.
#define EVENTS_PER_TURN 256u
#define RECORDS_PER_TURN 64u
// More of anything than this is no data plane of ours. Of objects it is as many as sfu-dp can be set
// to: a digest may list them all, and is kept until its end (80 MiB then).
#define CAPACITY_MAX (1u << 20)
#define SLOTS_MAX (1u << 20)

/** While attached: how often we say that we live. */
#define PULSE_MS 250u

enum state {
	WAITING, /* timer runs until the next attempt */
	GREETING, /* hello sent, timer runs until we give up */
	ATTACHED, /* timer runs every PULSE_MS */
	FAILED, /* found bad inside a call: the next turn of the loop detaches */
	CLOSING,
};

// On the heap, because libuv lets go of a handle only some turns after the descriptor is gone.
struct watcher {
	uv_poll_t poll;
	struct link_client *link;
};

struct link_client {
	uv_loop_t *loop;
	struct link_client_callbacks callbacks;
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	struct sfu_hello hello;
	enum state state;
	const char *failure; /* why FAILED */
	uv_timer_t timer;
	uint64_t attached_us;
	bool silent; /* attached, and hanging */
	bool foreign; /* who answered the last attempt speaks another version */
	uv_idle_t idle; /* runs while work is left from the last turn */
	int open_handles; /* of the two above, while closing */
	uint32_t retry_ms;
	char last_failure[160]; /* as logged: said once, not every second */

	int socket_fd, wake_dp_fd, wake_ctl_fd;
	struct watcher *socket_watcher, *wake_watcher;
	uint8_t *region;
	size_t region_bytes;
	struct sfu_region_header header; /* private, checked */
	struct sfu_ring_end ring[SFU_RING_COUNT];
};

static void retry_later(struct link_client *link);
static void on_timer(uv_timer_t *timer);
static void on_idle(uv_idle_t *idle);

static void __attribute__((format(printf, 3, 4)))
say(const struct link_client *link, int priority, const char *format, ...)
{
	char line[256];
	va_list args;

	if (link->callbacks.log == NULL)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	link->callbacks.log(link->callbacks.ctx, priority, line);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

// --- watchers ----------------------------------------------------------------------------------

static void on_watcher_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static struct watcher *watcher_create(struct link_client *link, int fd, uv_poll_cb callback)
{
	struct watcher *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return NULL;
	w->link = link;
	if (uv_poll_init(link->loop, &w->poll, fd) != 0) {
		free(w);
		return NULL;
	}
	w->poll.data = w;
	if (uv_poll_start(&w->poll, UV_READABLE | UV_DISCONNECT, callback) != 0) {
		uv_close((uv_handle_t *)&w->poll, on_watcher_closed);
		return NULL;
	}
	return w;
}

static void watcher_destroy(struct watcher **w)
{
	if (*w != NULL)
		uv_close((uv_handle_t *)&(*w)->poll, on_watcher_closed);
	*w = NULL;
}

// --- letting go --------------------------------------------------------------------------------

static void release(struct link_client *link)
{
	uv_timer_stop(&link->timer);
	link->silent = false;
	uv_idle_stop(&link->idle);
	watcher_destroy(&link->socket_watcher);
	watcher_destroy(&link->wake_watcher);
	close_fd(&link->socket_fd);
	close_fd(&link->wake_dp_fd);
	close_fd(&link->wake_ctl_fd);
	if (link->region != NULL)
		munmap(link->region, link->region_bytes);
	link->region = NULL;
	memset(link->ring, 0, sizeof(link->ring));
}

// An attempt came to nothing. Said when it is news.
static void __attribute__((format(printf, 2, 3)))
attempt_failed(struct link_client *link, const char *format, ...)
{
	char line[sizeof(link->last_failure)];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (strcmp(line, link->last_failure) != 0) {
		memcpy(link->last_failure, line, sizeof(line));
		say(link, LOG_WARNING, "link: no data plane at %s: %s", link->path, line);
	}
	link->foreign = false;
	release(link);
	retry_later(link);
}

static void detach(struct link_client *link, int priority, const char *why)
{
	say(link, priority, "link: data plane lost: %s", why);
	release(link);
	link->retry_ms = RETRY_FIRST_MS;
	retry_later(link);
	link->callbacks.on_detached(link->callbacks.ctx);
}

// From inside a call: the attach is over, but its end is told from the loop.
static void fail(struct link_client *link, const char *why)
{
	link->state = FAILED;
	link->failure = why;
	uv_idle_start(&link->idle, on_idle);
}

// --- the rings ---------------------------------------------------------------------------------

static void drain_events(struct link_client *link)
{
	struct sfu_event event;

	for (uint32_t i = 0; i < EVENTS_PER_TURN && link->state == ATTACHED; i++) {
		switch (sfu_ring_pop(&link->ring[SFU_RING_EVENT], &event, false)) {
		case SFU_RING_OK:
			link->callbacks.on_event(link->callbacks.ctx, &event);
			break;
		case SFU_RING_POISONED:
			fail(link, "it wrote an impossible ring index");
			return;
		default:
			return;
		}
	}
}

static void drain_records(struct link_client *link)
{
	struct sfu_dtls_record record;

	for (uint32_t i = 0; i < RECORDS_PER_TURN && link->state == ATTACHED; i++) {
		switch (sfu_ring_pop(&link->ring[SFU_RING_DTLS_TO_CTL], &record, false)) {
		case SFU_RING_OK:
			if (record.len >= 1 && record.len <= SFU_DTLS_MAX_BYTES)
				link->callbacks.on_dtls(link->callbacks.ctx, &record);
			break;
		case SFU_RING_POISONED:
			fail(link, "it wrote an impossible ring index");
			return;
		default:
			return;
		}
	}
}

static bool may_sleep(struct link_client *link)
{
	if (!sfu_ring_sleep(&link->ring[SFU_RING_EVENT]))
		return false;
	if (sfu_ring_sleep(&link->ring[SFU_RING_DTLS_TO_CTL]))
		return true;
	sfu_ring_awake(&link->ring[SFU_RING_EVENT]);
	return false;
}

// One turn's share of both rings. What is left, and what comes before the data plane sees that we
// sleep, is for the next turn.
static void turn(struct link_client *link)
{
	drain_events(link);
	drain_records(link);
	if (link->state == FAILED)
		detach(link, LOG_ERR, link->failure);
	else if (link->state != ATTACHED)
		return; // destroyed by a callback
	else if (may_sleep(link))
		uv_idle_stop(&link->idle);
	else
		uv_idle_start(&link->idle, on_idle);
}

static void on_idle(uv_idle_t *idle)
{
	turn(idle->data);
}

static void on_wake(uv_poll_t *poll_handle, int status, int events)
{
	struct link_client *link = ((struct watcher *)poll_handle->data)->link;

	(void)status;
	(void)events;
	sfu_wake_drain(link->wake_ctl_fd);
	sfu_ring_awake(&link->ring[SFU_RING_EVENT]);
	sfu_ring_awake(&link->ring[SFU_RING_DTLS_TO_CTL]);
	turn(link);
}

// --- attaching ---------------------------------------------------------------------------------

// Does [offset, offset + bytes) lie in the region behind the header, on its own cache lines?
static bool place_fits(const struct sfu_region_header *h, uint64_t offset, uint64_t bytes)
{
	return offset >= sizeof(*h) && offset % 64 == 0 && offset <= h->region_bytes
	       && bytes <= h->region_bytes - offset;
}

static bool places_overlap(const struct sfu_region_header *h)
{
	uint64_t from[SFU_RING_COUNT + 1], to[SFU_RING_COUNT + 1];

	for (int i = 0; i < SFU_RING_COUNT; i++) {
		from[i] = h->ring[i].offset_bytes;
		to[i] = from[i] + sfu_ring_bytes(h->ring[i].slots, h->ring[i].slot_bytes);
	}
	from[SFU_RING_COUNT] = h->stats_offset_bytes;
	to[SFU_RING_COUNT] = h->stats_offset_bytes + sizeof(struct sfu_stats_page);
	for (int i = 0; i <= SFU_RING_COUNT; i++)
		for (int j = 0; j < i; j++)
			if (from[i] < to[j] && from[j] < to[i])
				return true;
	return false;
}

const char *link_client_header_check(
	const struct sfu_region_header *h, uint64_t region_bytes, uint64_t generation)
{
	static const uint32_t slot_bytes[SFU_RING_COUNT] = {
		[SFU_RING_CMD] = sizeof(struct sfu_command),
		[SFU_RING_EVENT] = sizeof(struct sfu_event),
		[SFU_RING_DTLS_TO_DP] = sizeof(struct sfu_dtls_record),
		[SFU_RING_DTLS_TO_CTL] = sizeof(struct sfu_dtls_record),
	};
	const uint32_t capacity[] = {
		h->max_rooms, h->max_peers, h->max_transports, h->max_producers, h->max_consumers};

	if (h->magic != SFU_ABI_MAGIC || h->header_bytes != sizeof(*h))
		return "the region is no link region";
	if (h->abi_version != SFU_ABI_VERSION)
		return "the region has another ABI version";
	if (h->region_bytes != region_bytes || h->generation != generation || generation == 0)
		return "size or generation of the region is not what the welcome said";
	for (int i = 0; i < SFU_RING_COUNT; i++) {
		const struct sfu_ring_place *place = &h->ring[i];

		if (place->slot_bytes != slot_bytes[i] || place->slots == 0
			|| place->slots > SLOTS_MAX || (place->slots & (place->slots - 1)) != 0)
			return "a ring has an impossible shape";
		if (!place_fits(h, place->offset_bytes,
			    sfu_ring_bytes(place->slots, place->slot_bytes)))
			return "a ring lies outside the region";
	}
	if (h->stats_bytes < sizeof(struct sfu_stats_page)
		|| !place_fits(h, h->stats_offset_bytes, h->stats_bytes))
		return "the statistics page lies outside the region";
	if (places_overlap(h))
		return "parts of the region overlap";
	for (size_t i = 0; i < sizeof(capacity) / sizeof(*capacity); i++)
		if (capacity[i] == 0 || capacity[i] > CAPACITY_MAX)
			return "a capacity is zero or absurd";
	if (h->address_count > SFU_MAX_ADDRESSES)
		return "too many addresses";
	for (uint32_t i = 0; i < h->address_count; i++)
		if ((h->address[i].family != 4 && h->address[i].family != 6)
			|| h->address[i].port == 0)
			return "an address is neither IPv4 nor IPv6, or has no port";
	return NULL;
}

// Map the region and check it. Returns NULL or what is wrong.
static const char *map_region(struct link_client *link, int fd, uint64_t generation)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	const char *wrong;
	struct stat st;
	struct statfs fs;
	int have = fcntl(fd, F_GET_SEALS);

	// Without the seals it could be cut off under our feet.
	if (have < 0 || (have & seals) != seals)
		return "the region is not sealed";
	// A hole in huge pages is filled from a pool that may be empty, and then reading it ends us.
	if (fstatfs(fd, &fs) != 0 || fs.f_type != TMPFS_MAGIC)
		return "the region is not ordinary memory";
	if (fstat(fd, &st) != 0 || st.st_size < (off_t)sizeof(link->header))
		return "the region is too small";
	link->region_bytes = (size_t)st.st_size;
	link->region = mmap(NULL, link->region_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (link->region == MAP_FAILED) {
		link->region = NULL;
		return "the region cannot be mapped";
	}
	madvise(link->region, link->region_bytes, MADV_DONTDUMP);
	memcpy(&link->header, link->region, sizeof(link->header));
	wrong = link_client_header_check(&link->header, link->region_bytes, generation);
	if (wrong != NULL)
		return wrong;
	for (int i = 0; i < SFU_RING_COUNT; i++)
		sfu_ring_attach(&link->ring[i], link->region + link->header.ring[i].offset_bytes,
			link->header.ring[i].slots, link->header.ring[i].slot_bytes);
	return NULL;
}

static void attach(struct link_client *link, uint64_t generation, int fds[3])
{
	const char *wrong;

	wrong = map_region(link, fds[0], generation);
	close_fd(&fds[0]);
	link->wake_dp_fd = fds[1];
	link->wake_ctl_fd = fds[2];
	if (wrong != NULL) {
		attempt_failed(link, "%s", wrong);
		return;
	}
	link->wake_watcher = watcher_create(link, link->wake_ctl_fd, on_wake);
	if (link->wake_watcher == NULL) {
		attempt_failed(link, "cannot watch the event descriptor");
		return;
	}
	link->state = ATTACHED;
	link->foreign = false;
	link->attached_us = uv_hrtime() / 1000;
	uv_timer_start(&link->timer, on_timer, 0, PULSE_MS);
	link->retry_ms = RETRY_FIRST_MS;
	link->last_failure[0] = '\0';
	say(link, LOG_NOTICE, "link: attached to the data plane at %s, generation %llu", link->path,
		(unsigned long long)generation);
	// The first turn arms the rings.
	uv_idle_start(&link->idle, on_idle);
	link->callbacks.on_attached(link->callbacks.ctx, &link->header);
}

static void on_welcome(struct link_client *link)
{
	struct sfu_welcome welcome = {0};
	int fds[3] = {-1, -1, -1};
	unsigned count;
	ssize_t n = descriptors_receive(
		link->socket_fd, &welcome, sizeof(welcome), fds, 3, &count, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n == 0) {
		attempt_failed(link, "it closed the connection; is this user in the link's group?");
	} else if (n < 0) {
		attempt_failed(link, "welcome: %s", strerror(errno));
	} else if (n != (ssize_t)sizeof(welcome) || welcome.magic != SFU_ABI_MAGIC) {
		attempt_failed(link, "it does not speak our protocol");
	} else if (welcome.status == SFU_WELCOME_VERSION
		   || welcome.abi_version != SFU_ABI_VERSION) {
		attempt_failed(link,
			"it speaks ABI version %u, we speak %u: install both from one build",
			welcome.abi_version, SFU_ABI_VERSION);
		link->foreign = true;
	} else if (welcome.status == SFU_WELCOME_BUSY) {
		attempt_failed(link, "another control plane is attached");
	} else if (welcome.status == SFU_WELCOME_NO_MEMORY) {
		attempt_failed(link, "it has no memory for another attach");
	} else if (welcome.status != SFU_WELCOME_OK || count != 3) {
		attempt_failed(
			link, "welcome with status %u and %u descriptors", welcome.status, count);
	} else {
		attach(link, welcome.generation, fds);
		return;
	}
	for (size_t i = 0; i < 3; i++)
		close_fd(&fds[i]);
}

static void on_socket(uv_poll_t *poll_handle, int status, int events)
{
	struct link_client *link = ((struct watcher *)poll_handle->data)->link;
	uint8_t byte;

	(void)status;
	(void)events;
	if (link->state == GREETING) {
		on_welcome(link);
	} else if (link->state == ATTACHED || link->state == FAILED) {
		// After the welcome nothing more is said on the socket: it is there to close.
		ssize_t n = recv(link->socket_fd, &byte, sizeof(byte), MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		detach(link, n == 0 ? LOG_NOTICE : LOG_ERR,
			n == 0  ? "it closed the socket"
			: n > 0 ? "it wrote to the socket"
				: strerror(errno));
	}
}

static void attempt(struct link_client *link)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	memcpy(address.sun_path, link->path, sizeof(address.sun_path));
	link->socket_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (link->socket_fd < 0
		|| connect(link->socket_fd, (const struct sockaddr *)&address, sizeof(address)) != 0
		|| send(link->socket_fd, &link->hello, sizeof(link->hello),
			   MSG_DONTWAIT | MSG_NOSIGNAL)
			   != (ssize_t)sizeof(link->hello)) {
		attempt_failed(link, "%s", strerror(errno));
		return;
	}
	link->socket_watcher = watcher_create(link, link->socket_fd, on_socket);
	if (link->socket_watcher == NULL) {
		attempt_failed(link, "cannot watch the socket");
		return;
	}
	link->state = GREETING;
	uv_timer_start(&link->timer, on_timer, WELCOME_TIME_MS, 0);
}

/** Say that we live, see whether the other side does. Its socket closes when it dies, not when it
 * hangs. */
static void pulse(struct link_client *link)
{
	struct sfu_stats_page *page = (void *)(link->region + link->header.stats_offset_bytes);
	uint64_t now_us = uv_hrtime() / 1000;
	uint64_t sign_us = __atomic_load_n(&page->updated_us, __ATOMIC_RELAXED);
	bool silent;

	__atomic_store_n(&page->ctl_alive_us, now_us, __ATOMIC_RELAXED);
	if (sign_us < link->attached_us)
		sign_us = link->attached_us;
	silent = now_us > sign_us && now_us - sign_us >= SFU_SILENT_US;
	if (silent != link->silent)
		say(link, silent ? LOG_ERR : LOG_NOTICE,
			silent ? "link: the data plane gives no sign of life"
			       : "link: the data plane answers again");
	link->silent = silent;
}

static void on_timer(uv_timer_t *timer)
{
	struct link_client *link = timer->data;

	if (link->state == ATTACHED) {
		pulse(link);
		// Should a wake-up ever get lost, what waits is found now.
		turn(link);
	} else if (link->state == WAITING) {
		attempt(link);
	} else if (link->state == GREETING) {
		attempt_failed(link, "no answer within %u ms", WELCOME_TIME_MS);
	}
}

static void retry_later(struct link_client *link)
{
	link->state = WAITING;
	uv_timer_start(&link->timer, on_timer, link->retry_ms, 0);
	link->retry_ms = link->retry_ms * 2 < RETRY_MAX_MS ? link->retry_ms * 2 : RETRY_MAX_MS;
}

// --- calls -------------------------------------------------------------------------------------

struct link_client *link_client_create(uv_loop_t *loop, const char *path, const char *name,
	const struct link_client_callbacks *callbacks)
{
	struct link_client *link;

	if (strlen(path) >= sizeof(link->path))
		return NULL;
	link = calloc(1, sizeof(*link));
	if (link == NULL)
		return NULL;
	link->loop = loop;
	link->callbacks = *callbacks;
	memcpy(link->path, path, strlen(path));
	link->hello.magic = SFU_ABI_MAGIC;
	link->hello.abi_version = SFU_ABI_VERSION;
	memcpy(link->hello.name, name, strnlen(name, sizeof(link->hello.name)));
	link->socket_fd = link->wake_dp_fd = link->wake_ctl_fd = -1;
	link->retry_ms = RETRY_FIRST_MS;
	// Neither fails on a loop that lives.
	uv_timer_init(loop, &link->timer);
	uv_idle_init(loop, &link->idle);
	link->timer.data = link->idle.data = link;
	link->state = WAITING;
	uv_timer_start(&link->timer, on_timer, 0, 0);
	return link;
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct link_client *link = handle->data;

	if (--link->open_handles == 0)
		free(link);
}

void link_client_destroy(struct link_client *link)
{
	if (link == NULL)
		return;
	release(link);
	link->state = CLOSING;
	link->open_handles = 2;
	uv_close((uv_handle_t *)&link->timer, on_handle_closed);
	uv_close((uv_handle_t *)&link->idle, on_handle_closed);
}

bool link_client_attached(const struct link_client *link)
{
	return link->state == ATTACHED;
}

static int push(struct link_client *link, enum sfu_ring_id id, const void *element)
{
	bool wake;

	if (link->state != ATTACHED)
		return -ENOTCONN;
	switch (sfu_ring_push(&link->ring[id], element, &wake)) {
	case SFU_RING_OK:
		if (wake)
			sfu_wake(link->wake_dp_fd);
		return 0;
	case SFU_RING_FULL:
		return -EAGAIN;
	default:
		fail(link, "it wrote an impossible ring index");
		return -ENOTCONN;
	}
}

int link_client_push_command(struct link_client *link, const struct sfu_command *command)
{
	return push(link, SFU_RING_CMD, command);
}

int link_client_push_dtls(struct link_client *link, const struct sfu_dtls_record *record)
{
	if (record->len < 1 || record->len > SFU_DTLS_MAX_BYTES)
		return -EINVAL;
	return push(link, SFU_RING_DTLS_TO_DP, record);
}

bool link_client_foreign(const struct link_client *link)
{
	return link->foreign;
}

bool link_client_silent(const struct link_client *link)
{
	return link->silent;
}

void link_client_depths(struct link_client *link, uint32_t depths[SFU_RING_COUNT])
{
	for (unsigned i = 0; i < SFU_RING_COUNT; i++) {
		bool ours = i == SFU_RING_CMD || i == SFU_RING_DTLS_TO_DP; // we push

		if (link->state != ATTACHED)
			depths[i] = 0;
		else if (ours)
			depths[i] = link->header.ring[i].slots - sfu_ring_room(&link->ring[i]);
		else
			depths[i] = sfu_ring_count(&link->ring[i]);
	}
}

const struct sfu_stats_page *link_client_stats(const struct link_client *link)
{
	if (link->state != ATTACHED)
		return NULL;
	return (const void *)(link->region + link->header.stats_offset_bytes);
}

void link_client_reset(struct link_client *link, const char *why)
{
	if (link->state == ATTACHED)
		fail(link, why);
}
