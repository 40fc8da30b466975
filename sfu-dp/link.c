// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/link.h"

#include "shared/ring.h"
#include "shared/service/descriptors.h"
#include "shared/wake.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

// Connections that have not said hello yet. A control plane says it at once; more than this many
// wait in the listen queue.
#define PENDING 4u
#define HELLO_TIME_US 1000000u
#define LISTEN_BACKLOG 8
#define MALFORMED_PER_CALL 16u
// A region is taken from the kernel in pieces: as a whole it would hold a turn up for milliseconds.
#define PIECE_BYTES (256u << 10)
#define PATH_BYTES 97u
// The refusal of strangers is worth a line, not a full disk.
#define REFUSAL_LOG_US 1000000u

enum tag { TAG_LISTEN, TAG_PEER, TAG_WAKE, TAG_PENDING };

struct pending {
	int fd; /* -1: free */
	uint64_t deadline_us;
	struct ucred cred;
	char name[16]; /* as it calls itself */
};

struct link {
	struct link_options options;
	char path[PATH_BYTES];
	gid_t group;
	bool has_group;
	dev_t file_dev; /* of the socket file as we made it */
	ino_t file_ino;
	int epoll_fd, listen_fd;
	struct pending pending[PENDING];
	uint64_t last_refusal_log_us;
	uint64_t last_generation;

	/* The attach that is being made; NULL while there is none. */
	struct pending *guest;
	int region_fd;
	size_t region_taken; /* octets of it that we have */

	/* The region of the attach before, on its way back to the kernel; NULL when it is there. */
	uint8_t *old_region;
	size_t old_bytes, old_given; /* octets of it that are back already */

	/* The present attach; peer_fd is -1 and region NULL while there is none. */
	int peer_fd, wake_dp_fd, wake_ctl_fd;
	uint8_t *region;
	size_t region_bytes;
	uint64_t generation;
	struct sfu_stats_page *stats;
	struct sfu_ring_end ring[SFU_RING_COUNT];
	struct link_figures figures;
};

static void __attribute__((format(printf, 3, 4)))
say(const struct link *link, int priority, const char *format, ...)
{
	char line[256];
	va_list args;

	if (link->options.log == NULL)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	link->options.log(link->options.log_ctx, priority, line);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

// Closing ends no watch while the other side holds the same eventfd: it could wake us for ever.
static void unwatch_and_close(const struct link *link, int *fd)
{
	if (*fd >= 0)
		epoll_ctl(link->epoll_fd, EPOLL_CTL_DEL, *fd, NULL);
	close_fd(fd);
}

static int watch(const struct link *link, int fd, uint32_t tag)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = tag};

	return epoll_ctl(link->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

// --- the region --------------------------------------------------------------------------------

static const struct {
	uint32_t slots, slot_bytes;
} shape[SFU_RING_COUNT] = {
	[SFU_RING_CMD] = {SFU_CMD_SLOTS, SFU_CMD_SLOT_BYTES},
	[SFU_RING_EVENT] = {SFU_EVENT_SLOTS, SFU_EVENT_SLOT_BYTES},
	[SFU_RING_DTLS_TO_DP] = {SFU_DTLS_SLOTS, SFU_DTLS_SLOT_BYTES},
	[SFU_RING_DTLS_TO_CTL] = {SFU_DTLS_SLOTS, SFU_DTLS_SLOT_BYTES},
};

static void header_fill(const struct link *link, struct sfu_region_header *h)
{
	const struct link_options *o = &link->options;
	uint64_t at = sizeof(*h);

	memset(h, 0, sizeof(*h));
	h->magic = SFU_ABI_MAGIC;
	h->abi_version = SFU_ABI_VERSION;
	h->header_bytes = sizeof(*h);
	h->generation = link->last_generation;
	for (int i = 0; i < SFU_RING_COUNT; i++) {
		h->ring[i].offset_bytes = at;
		h->ring[i].slots = shape[i].slots;
		h->ring[i].slot_bytes = shape[i].slot_bytes;
		at += sfu_ring_bytes(shape[i].slots, shape[i].slot_bytes);
	}
	h->stats_offset_bytes = at;
	h->stats_bytes = sizeof(struct sfu_stats_page);
	at += sizeof(struct sfu_stats_page);
	h->region_bytes = (at + 4095) & ~(uint64_t)4095;
	h->workers = o->workers;
	h->max_rooms = o->max_rooms;
	h->max_peers = o->max_peers;
	h->max_transports = o->max_transports;
	h->max_producers = o->max_producers;
	h->max_consumers = o->max_consumers;
	h->address_count = o->address_count;
	memcpy(h->address, o->address, sizeof(h->address));
	h->dp_instance = o->dp_instance;
}

// The next piece of a fresh region, its memory taken now: a page that cannot be had later would be a
// SIGBUS. Returns 0 or -1 with errno.
static int region_take(struct link *link)
{
	size_t bytes = link->region_bytes - link->region_taken;

	if (bytes > PIECE_BYTES)
		bytes = PIECE_BYTES;
	errno = posix_fallocate(link->region_fd, (off_t)link->region_taken, (off_t)bytes);
	if (errno != 0)
		return -1;
	link->region_taken += bytes;
	return 0;
}

// All of its memory is there: seal its size, for a page that the peer cuts off would be a SIGBUS too,
// and write down what it is. Returns 0 or -1 with errno.
static int region_open(struct link *link)
{
	struct sfu_region_header header;

	header_fill(link, &header);
	if (fcntl(link->region_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
		return -1;
	link->region = mmap(
		NULL, header.region_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, link->region_fd, 0);
	if (link->region == MAP_FAILED) {
		link->region = NULL;
		return -1;
	}
	// Keys pass through it.
	madvise(link->region, link->region_bytes, MADV_DONTDUMP);
	memcpy(link->region, &header, sizeof(header));
	link->stats = (void *)(link->region + header.stats_offset_bytes);
	for (int i = 0; i < SFU_RING_COUNT; i++)
		sfu_ring_attach(&link->ring[i], link->region + header.ring[i].offset_bytes,
			shape[i].slots, shape[i].slot_bytes);
	return 0;
}

static void old_region_end(struct link *link)
{
	if (link->old_region != NULL)
		munmap(link->old_region, link->old_bytes);
	link->old_region = NULL;
}

// Whoever else maps it, its memory goes, keys and all.
static void old_region_give(struct link *link)
{
	size_t bytes = link->old_bytes - link->old_given;

	if (bytes > PIECE_BYTES)
		bytes = PIECE_BYTES;
	if (bytes > 0 && madvise(link->old_region + link->old_given, bytes, MADV_REMOVE) == 0) {
		link->old_given += bytes;
		return;
	}
	old_region_end(link);
}

static void region_let_go(struct link *link)
{
	// It would be long gone, had turns passed in between as they do.
	old_region_end(link);
	link->old_region = link->region;
	link->old_bytes = link->region_bytes;
	link->old_given = 0;
	link->region = NULL;
	link->stats = NULL;
	memset(link->ring, 0, sizeof(link->ring));
}

// --- attach and detach -------------------------------------------------------------------------

static void detach(struct link *link, int priority, const char *why)
{
	say(link, priority, "link: control plane \"%s\" (pid %d) detached: %s", link->figures.name,
		(int)link->figures.pid, why);
	region_let_go(link);
	unwatch_and_close(link, &link->peer_fd);
	unwatch_and_close(link, &link->wake_dp_fd);
	close_fd(&link->wake_ctl_fd);
	link->generation = 0;
	link->figures.detaches++;
}

static void poisoned(struct link *link)
{
	link->figures.poisoned++;
	detach(link, LOG_ERR, "it wrote an impossible ring index");
}

static void refuse(struct pending *p, uint32_t status)
{
	const struct sfu_welcome welcome = {
		.magic = SFU_ABI_MAGIC,
		.abi_version = SFU_ABI_VERSION,
		.status = status,
	};

	descriptors_send(p->fd, &welcome, sizeof(welcome), NULL, 0);
	close_fd(&p->fd);
}

static void name_copy(char out[17], const char name[16])
{
	memset(out, 0, 17);
	for (size_t i = 0; i < 16 && name[i] != '\0'; i++)
		out[i] = isprint((unsigned char)name[i]) && name[i] != '"' ? name[i] : '?';
}

// The attach that was being made comes to nothing. Without a guest nothing was begun.
static void attach_undo(struct link *link)
{
	if (link->guest != NULL)
		close_fd(&link->guest->fd);
	link->guest = NULL;
	close_fd(&link->region_fd);
	unwatch_and_close(link, &link->wake_dp_fd);
	close_fd(&link->wake_ctl_fd);
	// Not yet mapped, it has nothing of ours; the one before may still be on its way back.
	if (link->region != NULL)
		region_let_go(link);
}

static void attach_refuse(struct link *link)
{
	say(link, LOG_ERR, "link: no region for pid %d: %s", (int)link->guest->cred.pid,
		strerror(errno));
	link->figures.refused_memory++;
	refuse(link->guest, SFU_WELCOME_NO_MEMORY);
	attach_undo(link);
}

static void attach_begin(
	struct link *link, struct pending *p, const struct sfu_hello *hello, uint64_t now_us)
{
	struct sfu_region_header header;

	link->guest = p;
	memcpy(p->name, hello->name, sizeof(p->name));
	// From the clock, so that it also rises across a restart of ours.
	link->last_generation = now_us > link->last_generation ? now_us : link->last_generation + 1;
	header_fill(link, &header);
	link->region_bytes = header.region_bytes;
	link->region_taken = 0;
	link->region_fd = memfd_create("sfu-link", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	link->wake_dp_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	link->wake_ctl_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (link->region_fd < 0 || link->wake_dp_fd < 0 || link->wake_ctl_fd < 0
		|| watch(link, link->wake_dp_fd, TAG_WAKE) != 0)
		attach_refuse(link);
}

// The region is whole: the guest becomes the control plane.
static void attach_end(struct link *link)
{
	const struct sfu_welcome welcome = {
		.magic = SFU_ABI_MAGIC,
		.abi_version = SFU_ABI_VERSION,
		.status = SFU_WELCOME_OK,
		.region_bytes = link->region_bytes,
		.generation = link->last_generation,
	};
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = TAG_PEER};
	struct pending *p = link->guest;
	int fds[3];

	if (region_open(link) != 0) {
		attach_refuse(link);
		return;
	}
	fds[0] = link->region_fd;
	fds[1] = link->wake_dp_fd;
	fds[2] = link->wake_ctl_fd;
	if (descriptors_send(p->fd, &welcome, sizeof(welcome), fds, 3) != (ssize_t)sizeof(welcome)
		|| epoll_ctl(link->epoll_fd, EPOLL_CTL_MOD, p->fd, &event) != 0) {
		attach_undo(link);
		return;
	}
	close_fd(&link->region_fd);
	link->guest = NULL;
	link->peer_fd = p->fd;
	p->fd = -1;
	link->generation = link->last_generation;
	link->figures.attaches++;
	link->figures.pid = p->cred.pid;
	link->figures.uid = p->cred.uid;
	name_copy(link->figures.name, p->name);
	say(link, LOG_NOTICE, "link: control plane \"%s\" (pid %d) attached, generation %llu",
		link->figures.name, (int)p->cred.pid, (unsigned long long)link->generation);
}

static void attach_go_on(struct link *link)
{
	if (region_take(link) != 0)
		attach_refuse(link);
	else if (link->region_taken == link->region_bytes)
		attach_end(link);
}

// --- newcomers ---------------------------------------------------------------------------------

static bool in_group(int fd, gid_t group)
{
	gid_t groups[256];
	socklen_t bytes = sizeof(groups);

	// A peer in more groups than this is judged by its first one only.
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &bytes) != 0)
		return false;
	for (size_t i = 0; i < bytes / sizeof(*groups); i++)
		if (groups[i] == group)
			return true;
	return false;
}

static bool may_attach(const struct link *link, int fd, const struct ucred *cred)
{
	if (cred->uid == 0 || cred->uid == geteuid())
		return true;
	return link->has_group && (cred->gid == link->group || in_group(fd, link->group));
}

static void __attribute__((format(printf, 3, 4)))
say_refusal(struct link *link, uint64_t now_us, const char *format, ...)
{
	char line[200];
	va_list args;

	if (link->last_refusal_log_us != 0 && now_us - link->last_refusal_log_us < REFUSAL_LOG_US)
		return;
	link->last_refusal_log_us = now_us;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	say(link, LOG_WARNING, "link: %s", line);
}

static void accept_one(struct link *link, struct pending *p, uint64_t now_us)
{
	socklen_t bytes = sizeof(p->cred);

	p->fd = accept4(link->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (p->fd < 0)
		return;
	p->deadline_us = now_us + HELLO_TIME_US;
	if (getsockopt(p->fd, SOL_SOCKET, SO_PEERCRED, &p->cred, &bytes) != 0
		|| !may_attach(link, p->fd, &p->cred)) {
		link->figures.refused_peer++;
		say_refusal(link, now_us,
			"refused pid %d of uid %d: not ours, not root, not in the group",
			(int)p->cred.pid, (int)p->cred.uid);
		close_fd(&p->fd);
		return;
	}
	if (watch(link, p->fd, TAG_PENDING + (uint32_t)(p - link->pending)) != 0)
		close_fd(&p->fd);
}

static void read_hello(struct link *link, struct pending *p, uint64_t now_us)
{
	struct sfu_hello hello;
	uint8_t buf[sizeof(hello) + 1];
	ssize_t n = recv(p->fd, buf, sizeof(buf), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	// Nothing more is said after the hello.
	if (p == link->guest) {
		attach_undo(link);
		return;
	}
	if (n <= 0) {
		close_fd(&p->fd);
		return;
	}
	memset(&hello, 0, sizeof(hello));
	memcpy(&hello, buf, (size_t)n < sizeof(hello) ? (size_t)n : sizeof(hello));
	// The version before the length: another version may have another hello.
	if (n >= 16 && hello.magic == SFU_ABI_MAGIC && hello.abi_version != SFU_ABI_VERSION) {
		link->figures.refused_version++;
		say_refusal(link, now_us, "refused pid %d: it speaks version %u, we speak %u",
			(int)p->cred.pid, hello.abi_version, SFU_ABI_VERSION);
		refuse(p, SFU_WELCOME_VERSION);
	} else if (n != (ssize_t)sizeof(hello) || hello.magic != SFU_ABI_MAGIC
		   || hello.reserved != 0) {
		link->figures.refused_hello++;
		say_refusal(link, now_us, "refused pid %d: malformed hello", (int)p->cred.pid);
		refuse(p, SFU_WELCOME_MALFORMED);
	} else if (link_attached(link) || link->guest != NULL) {
		link->figures.refused_busy++;
		say_refusal(link, now_us, "refused pid %d: pid %d is attached", (int)p->cred.pid,
			(int)(link->guest != NULL ? link->guest->cred.pid : link->figures.pid));
		refuse(p, SFU_WELCOME_BUSY);
	} else {
		attach_begin(link, p, &hello, now_us);
	}
}

// After the welcome nothing more is said on the socket: it is there to close.
static void watch_peer(struct link *link)
{
	uint8_t byte;
	ssize_t n = recv(link->peer_fd, &byte, sizeof(byte), MSG_DONTWAIT);

	if (n > 0)
		detach(link, LOG_ERR, "it wrote to the socket");
	else if (n == 0)
		detach(link, LOG_NOTICE, "it closed the socket");
	else if (errno != EAGAIN && errno != EINTR)
		detach(link, LOG_NOTICE, strerror(errno));
}

void link_poll(struct link *link, uint64_t now_us)
{
	struct epoll_event events[PENDING + 3];
	int count = epoll_wait(link->epoll_fd, events, PENDING + 3, 0);

	// Death first: the same batch may bring the successor.
	for (int i = 0; i < count; i++) {
		if (events[i].data.u32 == TAG_PEER && link->peer_fd >= 0)
			watch_peer(link);
		else if (events[i].data.u32 == TAG_WAKE && link->wake_dp_fd >= 0)
			sfu_wake_drain(link->wake_dp_fd);
	}
	for (int i = 0; i < count; i++) {
		uint32_t tag = events[i].data.u32;

		if (tag >= TAG_PENDING && link->pending[tag - TAG_PENDING].fd >= 0)
			read_hello(link, &link->pending[tag - TAG_PENDING], now_us);
	}
	for (uint32_t i = 0; i < PENDING; i++) {
		struct pending *p = &link->pending[i];

		if (p->fd >= 0 && p != link->guest && now_us >= p->deadline_us) {
			link->figures.refused_hello++;
			close_fd(&p->fd);
		}
	}
	if (link->old_region != NULL)
		old_region_give(link);
	if (link->guest != NULL)
		attach_go_on(link);
	for (int i = 0; i < count; i++) {
		if (events[i].data.u32 != TAG_LISTEN)
			continue;
		// One at a time; when all places are taken their deadlines make room.
		for (uint32_t n = 0; n < PENDING; n++) {
			if (link->pending[n].fd < 0) {
				accept_one(link, &link->pending[n], now_us);
				break;
			}
		}
	}
}

// --- rings -------------------------------------------------------------------------------------

bool link_attached(const struct link *link)
{
	return link->generation != 0;
}

uint64_t link_generation(const struct link *link)
{
	return link->generation;
}

static bool pop(struct link *link, enum sfu_ring_id id, void *out, bool wipe)
{
	if (!link_attached(link))
		return false;
	switch (sfu_ring_pop(&link->ring[id], out, wipe)) {
	case SFU_RING_OK:
		return true;
	case SFU_RING_POISONED:
		poisoned(link);
		return false;
	default:
		return false;
	}
}

static bool push(struct link *link, enum sfu_ring_id id, const void *element)
{
	bool wake;

	if (!link_attached(link))
		return false;
	switch (sfu_ring_push(&link->ring[id], element, &wake)) {
	case SFU_RING_OK:
		if (wake)
			sfu_wake(link->wake_ctl_fd);
		return true;
	case SFU_RING_POISONED:
		poisoned(link);
		return false;
	default:
		return false;
	}
}

bool link_pop_command(struct link *link, struct sfu_command *out)
{
	if (!pop(link, SFU_RING_CMD, out, true))
		return false;
	link->figures.commands++;
	return true;
}

bool link_push_event(struct link *link, const struct sfu_event *event)
{
	if (!push(link, SFU_RING_EVENT, event)) {
		link->figures.events_lost++;
		return false;
	}
	link->figures.events++;
	return true;
}

static uint32_t room_in(struct link *link, enum sfu_ring_id id)
{
	uint32_t room;

	if (!link_attached(link))
		return 0;
	room = sfu_ring_room(&link->ring[id]);
	if (link->ring[id].poisoned)
		poisoned(link);
	return room;
}

uint32_t link_event_room(struct link *link)
{
	return room_in(link, SFU_RING_EVENT);
}

uint32_t link_dtls_room(struct link *link)
{
	return room_in(link, SFU_RING_DTLS_TO_CTL);
}

bool link_pop_dtls(struct link *link, struct sfu_dtls_record *out)
{
	// Bounded, for a peer that pushes impossible lengths as fast as we look at them.
	for (uint32_t i = 0; i < MALFORMED_PER_CALL; i++) {
		if (!pop(link, SFU_RING_DTLS_TO_DP, out, false))
			return false;
		if (out->len >= 1 && out->len <= SFU_DTLS_MAX_BYTES) {
			link->figures.dtls_in++;
			return true;
		}
		link->figures.dtls_malformed++;
	}
	return false;
}

bool link_push_dtls(struct link *link, const struct sfu_dtls_record *record)
{
	if (record->len < 1 || record->len > SFU_DTLS_MAX_BYTES
		|| !push(link, SFU_RING_DTLS_TO_CTL, record)) {
		link->figures.dtls_lost++;
		return false;
	}
	link->figures.dtls_out++;
	return true;
}

struct sfu_stats_page *link_stats_page(struct link *link)
{
	return link->stats;
}

int link_fd(const struct link *link)
{
	return link->epoll_fd;
}

bool link_prepare_sleep(struct link *link)
{
	if (!link_attached(link))
		return link->guest == NULL;
	if (!sfu_ring_sleep(&link->ring[SFU_RING_CMD]))
		return false;
	if (sfu_ring_sleep(&link->ring[SFU_RING_DTLS_TO_DP]))
		return true;
	sfu_ring_awake(&link->ring[SFU_RING_CMD]);
	return false;
}

void link_awake(struct link *link)
{
	if (!link_attached(link))
		return;
	sfu_ring_awake(&link->ring[SFU_RING_CMD]);
	sfu_ring_awake(&link->ring[SFU_RING_DTLS_TO_DP]);
}

void link_figures(struct link *link, struct link_figures *out)
{
	*out = link->figures;
	out->attached = link_attached(link);
	out->generation = link->generation;
	if (!out->attached)
		return;
	out->commands_waiting = sfu_ring_count(&link->ring[SFU_RING_CMD]);
	out->events_waiting = SFU_EVENT_SLOTS - sfu_ring_room(&link->ring[SFU_RING_EVENT]);
}

// --- birth and death ---------------------------------------------------------------------------

static int find_group(const char *group, gid_t *gid)
{
	struct group entry, *found = NULL;
	char buf[4096], *end;
	unsigned long number;

	if (getgrnam_r(group, &entry, buf, sizeof(buf), &found) == 0 && found != NULL) {
		*gid = found->gr_gid;
		return 0;
	}
	errno = 0;
	number = strtoul(group, &end, 10);
	if (errno != 0 || !isdigit((unsigned char)*group) || *end != '\0' || number >= UINT_MAX)
		return -ENOENT;
	*gid = (gid_t)number;
	return 0;
}

// Is the name free, or held by a socket that nobody listens on? A line in err if not.
static bool path_is_ours(const char *path, char *err, size_t err_size)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct stat st;
	int fd, rc, saved;

	if (lstat(path, &st) != 0) {
		if (errno == ENOENT)
			return true;
		snprintf(err, err_size, "link socket %s: %s", path, strerror(errno));
		return false;
	}
	if (!S_ISSOCK(st.st_mode)) {
		snprintf(err, err_size,
			"link socket %s: there is a file of another kind; remove it or choose "
			"another path",
			path);
		return false;
	}
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		snprintf(err, err_size, "link socket: %s", strerror(errno));
		return false;
	}
	rc = connect(fd, (const struct sockaddr *)&address, sizeof(address));
	saved = errno;
	close(fd);
	if (rc != 0 && (saved == ECONNREFUSED || saved == ENOENT))
		return true;
	if (rc == 0 || saved == EAGAIN || saved == EPROTOTYPE)
		snprintf(err, err_size,
			"link socket %s: another process listens on it; is a data plane running "
			"already?",
			path);
	else
		snprintf(err, err_size, "link socket %s: %s", path, strerror(saved));
	return false;
}

// Bind beside the name, set mode and group, then move into place: nobody finds it half made.
static int listen_at(struct link *link, char *err, size_t err_size)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct stat st;
	const char *step;

	if (!path_is_ours(link->path, err, err_size))
		return -1;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s.%d", link->path, (int)getpid());
	link->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	step = "socket";
	if (link->listen_fd < 0)
		goto failed;
	unlink(address.sun_path);
	step = "bind (does the folder exist, may we write there?)";
	if (bind(link->listen_fd, (const struct sockaddr *)&address, sizeof(address)) != 0)
		goto failed;
	step = "chmod";
	if (chmod(address.sun_path, 0660) != 0)
		goto failed_bound;
	step = "chown to the group (are we root or a member of it?)";
	if (link->has_group && chown(address.sun_path, (uid_t)-1, link->group) != 0)
		goto failed_bound;
	step = "listen";
	if (listen(link->listen_fd, LISTEN_BACKLOG) != 0 || lstat(address.sun_path, &st) != 0)
		goto failed_bound;
	link->file_dev = st.st_dev;
	link->file_ino = st.st_ino;
	step = "rename";
	if (rename(address.sun_path, link->path) != 0)
		goto failed_bound;
	return 0;

failed_bound:
	snprintf(err, err_size, "link socket %s: %s: %s", link->path, step, strerror(errno));
	unlink(address.sun_path);
	close_fd(&link->listen_fd);
	return -1;
failed:
	snprintf(err, err_size, "link socket %s: %s: %s", link->path, step, strerror(errno));
	close_fd(&link->listen_fd);
	return -1;
}

struct link *link_create(const struct link_options *options, char *err, size_t err_size)
{
	struct link *link;

	if (strlen(options->path) >= PATH_BYTES) {
		snprintf(err, err_size, "link socket: the path is longer than %u octets",
			PATH_BYTES - 1);
		return NULL;
	}
	assert(options->address_count <= SFU_MAX_ADDRESSES);
	link = calloc(1, sizeof(*link));
	if (link == NULL) {
		snprintf(err, err_size, "link socket: out of memory");
		return NULL;
	}
	link->options = *options;
	snprintf(link->path, sizeof(link->path), "%s", options->path);
	link->options.path = link->path;
	link->listen_fd = link->peer_fd = link->wake_dp_fd = link->wake_ctl_fd = -1;
	link->region_fd = -1;
	for (uint32_t i = 0; i < PENDING; i++)
		link->pending[i].fd = -1;
	if (options->group != NULL) {
		if (find_group(options->group, &link->group) != 0) {
			snprintf(err, err_size, "link group \"%s\": no such group", options->group);
			goto free_link;
		}
		link->has_group = true;
		link->options.group = NULL;
	}
	link->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (link->epoll_fd < 0) {
		snprintf(err, err_size, "link socket: epoll: %s", strerror(errno));
		goto free_link;
	}
	if (listen_at(link, err, err_size) != 0)
		goto close_epoll;
	if (watch(link, link->listen_fd, TAG_LISTEN) != 0) {
		snprintf(err, err_size, "link socket: epoll: %s", strerror(errno));
		unlink(link->path);
		goto close_listen;
	}
	return link;

close_listen:
	close_fd(&link->listen_fd);
close_epoll:
	close_fd(&link->epoll_fd);
free_link:
	free(link);
	return NULL;
}

void link_destroy(struct link *link)
{
	struct stat st;

	if (link == NULL)
		return;
	if (link_attached(link))
		detach(link, LOG_NOTICE, "we stop");
	attach_undo(link);
	old_region_end(link);
	for (uint32_t i = 0; i < PENDING; i++)
		close_fd(&link->pending[i].fd);
	// A successor may have replaced the file already.
	if (lstat(link->path, &st) == 0 && st.st_dev == link->file_dev
		&& st.st_ino == link->file_ino)
		unlink(link->path);
	close_fd(&link->listen_fd);
	close_fd(&link->epoll_fd);
	free(link);
}
