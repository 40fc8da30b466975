// SPDX-License-Identifier: BSD-3-Clause
/* Both ends of the link in one process, in two threads, and across fork. */
#include "sfu-ctl/link.h"
#include "sfu-dp/link.h"

#include "shared/ring.h"
#include "shared/service/descriptors.h"
#include "tests/support/open_fds.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

struct world {
	char folder[64];
	char path[96];
	struct link_options options;
	struct link *dp;
	uv_loop_t loop;
	struct link_client *ctl;
	/* What the client's callbacks saw. */
	int attached, detached, events, records;
	struct sfu_region_header header;
	struct sfu_event last_event;
	struct sfu_dtls_record last_record;
};

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void on_attached(void *ctx, const struct sfu_region_header *header)
{
	struct world *w = ctx;

	w->attached++;
	w->header = *header;
}

static void on_detached(void *ctx)
{
	((struct world *)ctx)->detached++;
}

static void on_event(void *ctx, const struct sfu_event *event)
{
	struct world *w = ctx;

	w->events++;
	w->last_event = *event;
}

static void on_dtls(void *ctx, const struct sfu_dtls_record *record)
{
	struct world *w = ctx;

	w->records++;
	w->last_record = *record;
}

static void on_log(void *ctx, int priority, const char *line)
{
	(void)ctx;
	(void)priority;
	if (getenv("VERBOSE") != NULL)
		print_message("%s\n", line);
}

static void dp_start(struct world *w)
{
	char err[256] = "";

	w->dp = link_create(&w->options, err, sizeof(err));
	if (w->dp == NULL)
		fail_msg("%s", err);
}

static void ctl_start(struct world *w)
{
	const struct link_client_callbacks callbacks = {
		.ctx = w,
		.on_attached = on_attached,
		.on_detached = on_detached,
		.on_event = on_event,
		.on_dtls = on_dtls,
		.log = on_log,
	};

	w->ctl = link_client_create(&w->loop, w->path, "test node", &callbacks);
	assert_non_null(w->ctl);
}

static void step(struct world *w)
{
	if (w->dp != NULL)
		link_poll(w->dp, now_us());
	uv_run(&w->loop, UV_RUN_NOWAIT);
}

// Turn both ends until the condition holds; a test that waits for 5 s has failed.
#define UNTIL(w, condition)                                                                        \
	do {                                                                                       \
		uint64_t deadline = now_us() + 5000000;                                            \
                                                                                                   \
		while (!(condition)) {                                                             \
			if (now_us() > deadline)                                                   \
				fail_msg("waited in vain for " #condition);                        \
			step(w);                                                                   \
			usleep(100);                                                               \
		}                                                                                  \
	} while (0)

static void ctl_stop(struct world *w)
{
	link_client_destroy(w->ctl);
	w->ctl = NULL;
	uv_run(&w->loop, UV_RUN_DEFAULT);
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	strcpy(w->folder, "/tmp/test_link.XXXXXX");
	assert_non_null(mkdtemp(w->folder));
	snprintf(w->path, sizeof(w->path), "%s/link", w->folder);
	w->options = (struct link_options){
		.path = w->path,
		.log = on_log,
		.dp_instance = 42,
		.workers = 2,
		.max_rooms = 16,
		.max_peers = 32,
		.max_transports = 64,
		.max_producers = 128,
		.max_consumers = 256,
		.address_count = 1,
		.address = {{.family = 4, .port = 40000, .addr = {192, 0, 2, 1}}},
	};
	uv_loop_init(&w->loop);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	if (w->ctl != NULL)
		ctl_stop(w);
	link_destroy(w->dp);
	assert_int_equal(uv_loop_close(&w->loop), 0);
	unlink(w->path);
	rmdir(w->folder);
	free(w);
	return 0;
}

// --- a control plane by hand -------------------------------------------------------------------

static int raw_connect(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static const struct sfu_hello good_hello = {
	.magic = SFU_ABI_MAGIC,
	.abi_version = SFU_ABI_VERSION,
	.name = "raw",
};

// The welcome that is there; -1 when none, 0 at the end of the connection.
static int raw_welcome(int fd, struct sfu_welcome *welcome, int fds[3])
{
	unsigned count;
	ssize_t n = descriptors_receive(
		fd, welcome, sizeof(*welcome), fds, fds ? 3 : 0, &count, MSG_DONTWAIT);

	assert_true(count == 0 || count == 3);
	return (int)n;
}

/** Turns enough for an attach, which takes its memory in pieces. */
static void poll_some(struct link *dp)
{
	for (int i = 0; i < 64; i++)
		link_poll(dp, now_us());
}

struct raw {
	int socket, fds[3];
	uint8_t *region;
	struct sfu_region_header header;
};

static void raw_attach(struct world *w, struct raw *raw)
{
	struct sfu_welcome welcome;

	raw->socket = raw_connect(w->path);
	assert_true(raw->socket >= 0);
	send(raw->socket, &good_hello, sizeof(good_hello), 0);
	poll_some(w->dp);
	assert_int_equal(raw_welcome(raw->socket, &welcome, raw->fds), sizeof(welcome));
	assert_int_equal(welcome.status, SFU_WELCOME_OK);
	raw->region = mmap(
		NULL, welcome.region_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, raw->fds[0], 0);
	assert_true(raw->region != MAP_FAILED);
	memcpy(&raw->header, raw->region, sizeof(raw->header));
	assert_null(
		link_client_header_check(&raw->header, welcome.region_bytes, welcome.generation));
}

static void raw_detach(struct raw *raw)
{
	munmap(raw->region, raw->header.region_bytes);
	close(raw->socket);
	for (int i = 0; i < 3; i++)
		close(raw->fds[i]);
}

// --- tests -------------------------------------------------------------------------------------

static void both_ends_attach_and_talk(void **state)
{
	struct world *w = *state;
	struct sfu_command command = {.type = SFU_CMD_PUT_KEYS, .id = 7, .handle = 9}, got;
	struct sfu_event event = {.type = SFU_EVENT_ACK, .u.ack.command_id = 7};
	struct sfu_dtls_record record = {.transport = 3, .tuple = 1, .len = 3, .bytes = "abc"};
	struct sfu_dtls_record got_record;
	struct link_figures figures;

	dp_start(w);
	ctl_start(w);
	UNTIL(w, w->attached == 1);
	assert_true(link_attached(w->dp));
	assert_true(link_client_attached(w->ctl));
	assert_int_equal(w->header.dp_instance, 42);
	assert_int_equal(w->header.max_consumers, 256);
	assert_int_equal(w->header.address[0].port, 40000);

	memset(command.u.keys.rx_key, 0xaa, sizeof(command.u.keys.rx_key));
	assert_int_equal(link_client_push_command(w->ctl, &command), 0);
	assert_true(link_pop_command(w->dp, &got));
	assert_memory_equal(&command, &got, sizeof(got));
	assert_false(link_pop_command(w->dp, &got));

	assert_true(link_push_event(w->dp, &event));
	assert_true(link_push_dtls(w->dp, &record));
	UNTIL(w, w->events == 1 && w->records == 1);
	assert_int_equal(w->last_event.u.ack.command_id, 7);
	assert_memory_equal(&w->last_record, &record, sizeof(record));

	record.len = SFU_DTLS_MAX_BYTES;
	assert_int_equal(link_client_push_dtls(w->ctl, &record), 0);
	assert_true(link_pop_dtls(w->dp, &got_record));
	assert_int_equal(got_record.len, SFU_DTLS_MAX_BYTES);
	record.len = SFU_DTLS_MAX_BYTES + 1;
	assert_int_equal(link_client_push_dtls(w->ctl, &record), -EINVAL);
	assert_false(link_push_dtls(w->dp, &record));
	record.len = 0;
	assert_false(link_push_dtls(w->dp, &record));

	link_stats_page(w->dp)->value[SFU_STAT_forwarded] = 1234;
	assert_int_equal(link_client_stats(w->ctl)->value[SFU_STAT_forwarded], 1234);

	link_figures(w->dp, &figures);
	assert_string_equal(figures.name, "test node");
	assert_int_equal(figures.pid, getpid());
	assert_int_equal(figures.commands, 1);
	assert_int_equal(figures.events, 1);
	assert_int_equal(figures.dtls_lost, 2);
}

static void the_key_slot_is_wiped(void **state)
{
	struct world *w = *state;
	struct sfu_command command = {.type = SFU_CMD_PUT_KEYS, .id = 1}, got;
	struct sfu_ring *ring;
	struct sfu_ring_end end = {0};
	struct raw raw;
	uint8_t zero[256] = {0};
	bool wake;

	dp_start(w);
	raw_attach(w, &raw);
	ring = (void *)(raw.region + raw.header.ring[SFU_RING_CMD].offset_bytes);
	sfu_ring_attach(&end, ring, SFU_CMD_SLOTS, SFU_CMD_SLOT_BYTES);
	memset(&command.u.keys, 0x55, sizeof(command.u.keys));
	sfu_ring_push(&end, &command, &wake);
	assert_memory_not_equal(ring->slots, zero, sizeof(zero));
	assert_true(link_pop_command(w->dp, &got));
	assert_memory_equal(ring->slots, zero, sizeof(zero));
	raw_detach(&raw);
}

static void either_order_of_start_and_a_restart(void **state)
{
	struct world *w = *state;
	uint64_t first;

	ctl_start(w);
	for (int i = 0; i < 20; i++) {
		step(w);
		usleep(1000);
	}
	assert_int_equal(w->attached, 0);
	dp_start(w);
	UNTIL(w, w->attached == 1);
	first = link_generation(w->dp);
	link_destroy(w->dp);
	w->dp = NULL;
	UNTIL(w, w->detached == 1);
	assert_null(link_client_stats(w->ctl));
	dp_start(w);
	UNTIL(w, w->attached == 2);
	assert_true(link_generation(w->dp) > first);
	ctl_stop(w);
	UNTIL(w, !link_attached(w->dp));
	ctl_start(w);
	UNTIL(w, w->attached == 3);
}

static void refuses_what_is_no_hello(void **state)
{
	struct world *w = *state;
	static const struct {
		const char *what;
		size_t len;
		uint64_t magic;
		uint32_t version, reserved;
		int status;
	} rows[] = {
		{"another version", 32, SFU_ABI_MAGIC, SFU_ABI_VERSION + 1, 0, SFU_WELCOME_VERSION},
		{"a longer hello of another version", 64, SFU_ABI_MAGIC, SFU_ABI_VERSION + 1, 0,
			SFU_WELCOME_VERSION},
		{"wrong magic", 32, 1, SFU_ABI_VERSION, 0, SFU_WELCOME_MALFORMED},
		{"reserved set", 32, SFU_ABI_MAGIC, SFU_ABI_VERSION, 1, SFU_WELCOME_MALFORMED},
		{"short", 31, SFU_ABI_MAGIC, SFU_ABI_VERSION, 0, SFU_WELCOME_MALFORMED},
		{"one octet", 1, SFU_ABI_MAGIC, SFU_ABI_VERSION, 0, SFU_WELCOME_MALFORMED},
		{"long", 33, SFU_ABI_MAGIC, SFU_ABI_VERSION, 0, SFU_WELCOME_MALFORMED},
	};

	dp_start(w);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		uint8_t buf[64] = {0};
		struct sfu_hello hello = {
			.magic = rows[i].magic,
			.abi_version = rows[i].version,
			.reserved = rows[i].reserved,
		};
		struct sfu_welcome welcome;
		int fd = raw_connect(w->path);

		memcpy(buf, &hello, sizeof(hello));
		send(fd, buf, rows[i].len, 0);
		poll_some(w->dp);
		if (raw_welcome(fd, &welcome, NULL) != sizeof(welcome)
			|| (int)welcome.status != rows[i].status)
			fail_msg("%s: not refused as it should be", rows[i].what);
		assert_int_equal(welcome.abi_version, SFU_ABI_VERSION);
		assert_int_equal(raw_welcome(fd, &welcome, NULL), 0);
		assert_false(link_attached(w->dp));
		close(fd);
	}
}

static void a_silent_guest_is_shown_out(void **state)
{
	struct world *w = *state;
	struct sfu_welcome welcome;
	struct raw raw;
	int fds[6];

	dp_start(w);
	// More than there are places: the later ones wait in the queue and get theirs.
	for (int i = 0; i < 6; i++)
		assert_true((fds[i] = raw_connect(w->path)) >= 0);
	for (int i = 0; i < 10; i++)
		link_poll(w->dp, now_us());
	assert_int_equal(raw_welcome(fds[0], &welcome, NULL), -1);
	for (int i = 0; i < 20; i++)
		link_poll(w->dp, now_us() + 1100000u * (unsigned)(i / 8));
	for (int i = 0; i < 6; i++) {
		assert_int_equal(raw_welcome(fds[i], &welcome, NULL), 0);
		close(fds[i]);
	}
	raw_attach(w, &raw);
	raw_detach(&raw);
}

static void a_second_control_plane_is_told_busy(void **state)
{
	struct world *w = *state;
	struct sfu_welcome welcome;
	struct raw raw;
	int fd;

	dp_start(w);
	raw_attach(w, &raw);
	fd = raw_connect(w->path);
	send(fd, &good_hello, sizeof(good_hello), 0);
	poll_some(w->dp);
	assert_int_equal(raw_welcome(fd, &welcome, NULL), sizeof(welcome));
	assert_int_equal(welcome.status, SFU_WELCOME_BUSY);
	assert_true(link_attached(w->dp));
	close(fd);
	// Nor while the attach of another is being made; who leaves meanwhile, or goes on talking, has
	// left.
	raw_detach(&raw);
	for (int talks = 0; talks < 2; talks++) {
		int first = raw_connect(w->path);

		poll_some(w->dp);
		send(first, &good_hello, sizeof(good_hello), 0);
		link_poll(w->dp, now_us());
		fd = raw_connect(w->path);
		send(fd, &good_hello, sizeof(good_hello), 0);
		for (int i = 0; i < 3; i++)
			link_poll(w->dp, now_us());
		assert_int_equal(raw_welcome(fd, &welcome, NULL), sizeof(welcome));
		assert_int_equal(welcome.status, SFU_WELCOME_BUSY);
		if (talks)
			send(first, "x", 1, 0);
		else
			close(first);
		poll_some(w->dp);
		assert_false(link_attached(w->dp));
		if (talks)
			close(first);
		close(fd);
	}
	raw_attach(w, &raw);
	// The successor's hello in the same turn as the death of the first.
	fd = raw_connect(w->path);
	poll_some(w->dp);
	raw_detach(&raw);
	send(fd, &good_hello, sizeof(good_hello), 0);
	link_poll(w->dp, now_us());
	assert_false(link_attached(w->dp));
	assert_false(link_prepare_sleep(w->dp));
	poll_some(w->dp);
	assert_int_equal(raw_welcome(fd, &welcome, raw.fds), sizeof(welcome));
	assert_int_equal(welcome.status, SFU_WELCOME_OK);
	for (int i = 0; i < 3; i++)
		close(raw.fds[i]);
	close(fd);
}

static void the_region_keeps_its_size(void **state)
{
	struct world *w = *state;
	struct raw raw;

	dp_start(w);
	raw_attach(w, &raw);
	assert_int_equal(ftruncate(raw.fds[0], 0), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(raw.fds[0], (off_t)raw.header.region_bytes * 2), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(fcntl(raw.fds[0], F_ADD_SEALS, F_SEAL_WRITE), -1);
	assert_int_equal(errno, EPERM);
	raw_detach(&raw);
}

static void a_hostile_control_plane_is_detached(void **state)
{
	struct world *w = *state;
	struct link_figures figures;
	struct sfu_command command;
	struct sfu_dtls_record record;
	struct sfu_event event = {.type = SFU_EVENT_ACK};
	struct sfu_ring *ring;
	struct raw raw;

	dp_start(w);
	// One impossible index per ring, each on a fresh attach.
	for (int i = 0; i < SFU_RING_COUNT; i++) {
		raw_attach(w, &raw);
		ring = (void *)(raw.region + raw.header.ring[i].offset_bytes);
		atomic_store(&ring->head, 1u << 20);
		atomic_store(&ring->tail, 1u << 20);
		link_pop_command(w->dp, &command);
		link_pop_dtls(w->dp, &record);
		link_event_room(w->dp);
		for (uint32_t n = 0; n <= SFU_EVENT_SLOTS; n++)
			link_push_event(w->dp, &event);
		record.len = 1;
		for (uint32_t n = 0; n <= SFU_DTLS_SLOTS; n++)
			link_push_dtls(w->dp, &record);
		assert_false(link_attached(w->dp));
		link_figures(w->dp, &figures);
		assert_int_equal(figures.poisoned, i + 1);
		raw_detach(&raw);
	}
	// The header belongs to nobody after the attach: writing over it changes nothing.
	raw_attach(w, &raw);
	memset(raw.region, 0xff, sizeof(struct sfu_region_header));
	assert_true(link_push_event(w->dp, &event));
	assert_false(link_pop_command(w->dp, &command));
	assert_true(link_attached(w->dp));
	// A word on the socket after the hello.
	send(raw.socket, "x", 1, 0);
	poll_some(w->dp);
	assert_false(link_attached(w->dp));
	raw_detach(&raw);
}

static void who_was_detached_wakes_nobody(void **state)
{
	struct world *w = *state;
	struct sfu_command command;
	struct sfu_ring *ring;
	struct pollfd fd;
	uint64_t one = 1;
	struct raw raw;

	dp_start(w);
	raw_attach(w, &raw);
	assert_int_equal(write(raw.fds[1], &one, sizeof(one)), sizeof(one));
	ring = (void *)(raw.region + raw.header.ring[SFU_RING_CMD].offset_bytes);
	atomic_store(&ring->head, 1u << 20);
	assert_false(link_pop_command(w->dp, &command));
	assert_false(link_attached(w->dp));
	// It keeps its eventfds, which are ours as well, and writes on.
	assert_int_equal(write(raw.fds[1], &one, sizeof(one)), sizeof(one));
	fd = (struct pollfd){.fd = link_fd(w->dp), .events = POLLIN};
	assert_int_equal(poll(&fd, 1, 0), 0);
	raw_detach(&raw);
}

static void blocking_eventfds_do_not_block_us(void **state)
{
	struct world *w = *state;
	struct sfu_event event = {.type = SFU_EVENT_ACK};
	struct sfu_ring *ring;
	uint64_t full = UINT64_MAX - 1;
	struct raw raw;

	dp_start(w);
	raw_attach(w, &raw);
	for (int i = 1; i < 3; i++)
		fcntl(raw.fds[i], F_SETFL, fcntl(raw.fds[i], F_GETFL) & ~O_NONBLOCK);
	assert_int_equal(write(raw.fds[2], &full, sizeof(full)), sizeof(full));
	ring = (void *)(raw.region + raw.header.ring[SFU_RING_EVENT].offset_bytes);
	atomic_store(&ring->sleeping, 1);
	alarm(5);
	assert_true(link_push_event(w->dp, &event));
	full = 1;
	assert_int_equal(write(raw.fds[1], &full, sizeof(full)), sizeof(full));
	for (int i = 0; i < 10; i++)
		link_poll(w->dp, now_us());
	alarm(0);
	raw_detach(&raw);
}

static void a_hostile_data_plane_is_left(void **state)
{
	struct world *w = *state;
	struct sfu_ring *ring;

	dp_start(w);
	ctl_start(w);
	UNTIL(w, w->attached == 1);
	ring = (void *)((uint8_t *)link_stats_page(w->dp) - w->header.stats_offset_bytes
			+ w->header.ring[SFU_RING_EVENT].offset_bytes);
	atomic_store(&ring->head, UINT64_MAX);
	link_push_dtls(w->dp, &(struct sfu_dtls_record){.len = 1}); // wakes it
	UNTIL(w, w->detached == 1);
	UNTIL(w, w->attached == 2);
	assert_true(link_client_attached(w->ctl));
}

static void a_full_ring_says_so(void **state)
{
	struct world *w = *state;
	struct sfu_command command = {.type = SFU_CMD_DIGEST};
	struct sfu_event event = {.type = SFU_EVENT_ACK};
	struct link_figures figures;

	dp_start(w);
	ctl_start(w);
	UNTIL(w, w->attached == 1);
	for (uint32_t i = 0; i < SFU_CMD_SLOTS; i++)
		assert_int_equal(link_client_push_command(w->ctl, &command), 0);
	assert_int_equal(link_client_push_command(w->ctl, &command), -EAGAIN);
	assert_true(link_pop_command(w->dp, &command));
	assert_int_equal(link_client_push_command(w->ctl, &command), 0);
	assert_int_equal(link_event_room(w->dp), SFU_EVENT_SLOTS);
	for (uint32_t i = 0; i < SFU_EVENT_SLOTS; i++)
		assert_true(link_push_event(w->dp, &event));
	assert_false(link_push_event(w->dp, &event));
	assert_int_equal(link_event_room(w->dp), 0);
	link_figures(w->dp, &figures);
	assert_int_equal(figures.events_lost, 1);
	assert_int_equal(figures.events_waiting, SFU_EVENT_SLOTS);
	// The client takes them in more than one turn and loses none.
	UNTIL(w, w->events == SFU_EVENT_SLOTS);
}

static int count_lines(const char *file)
{
	FILE *f = fopen(file, "r");
	int c, lines = 0;

	while ((c = fgetc(f)) != EOF)
		lines += c == '\n';
	fclose(f);
	return lines;
}

static void a_hundred_attaches_leave_nothing(void **state)
{
	struct world *w = *state;
	int fds = 0, maps = 0;

	dp_start(w);
	for (int i = 0; i < 105; i++) {
		int before = w->attached;

		ctl_start(w);
		UNTIL(w, w->attached == before + 1);
		ctl_stop(w);
		UNTIL(w, !link_attached(w->dp));
		// The first rounds warm allocators up.
		if (i == 4) {
			fds = open_fds();
			maps = count_lines("/proc/self/maps");
		}
	}
	assert_int_equal(open_fds(), fds);
#if !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
	assert_in_range(count_lines("/proc/self/maps"), maps - 2, maps + 2);
#else
	(void)maps;
#endif
}

/* The one before is given back in pieces, and who spoils the next attach meanwhile does not stop that. */
static void who_spoils_its_attach_holds_no_memory(void **state)
{
	struct world *w = *state;
	struct stat before;
	struct raw raw;
	int kept, next;

	dp_start(w);
	raw_attach(w, &raw);
	kept = dup(raw.fds[0]);
	assert_int_equal(fstat(kept, &before), 0);
	assert_true(before.st_blocks > 0);
	next = raw_connect(w->path);
	link_poll(w->dp, now_us());
	send(next, &good_hello, sizeof(good_hello), 0);
	send(next, "", 1, 0);
	raw_detach(&raw);
	poll_some(w->dp);
	assert_int_equal(fstat(kept, &before), 0);
	assert_int_equal(before.st_blocks, 0);
	close(kept);
	close(next);
	// And the next good one comes in.
	raw_attach(w, &raw);
	raw_detach(&raw);
}

static void the_socket_file(void **state)
{
	struct world *w = *state;
	struct link_options options = w->options;
	struct stat st;
	char err[256];
	int fd;

	// Another kind of file is not ours to remove.
	fd = open(w->path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	assert_null(link_create(&options, err, sizeof(err)));
	assert_non_null(strstr(err, w->path));
	assert_int_equal(stat(w->path, &st), 0);
	unlink(w->path);

	dp_start(w);
	assert_int_equal(stat(w->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	// One that is listened on is not replaced, and its owner not disturbed.
	assert_null(link_create(&options, err, sizeof(err)));
	assert_non_null(strstr(err, "running already"));
	ctl_start(w);
	UNTIL(w, w->attached == 1);
	ctl_stop(w);

	// One that a dead process left is.
	pid_t child = fork();

	if (child == 0) {
		unlink(w->path);
		_exit(link_create(&options, err, sizeof(err)) == NULL);
	}
	int status;

	waitpid(child, &status, 0);
	assert_int_equal(status, 0);
	assert_int_equal(stat(w->path, &st), 0);
	// And the first one, whose file it was not any more, leaves the other's alone.
	link_destroy(w->dp);
	w->dp = NULL;
	assert_int_equal(stat(w->path, &st), 0);
	dp_start(w);
	link_destroy(w->dp);
	w->dp = NULL;
	assert_int_equal(stat(w->path, &st), -1);

	options.path = "/nonexistent/folder/link";
	assert_null(link_create(&options, err, sizeof(err)));
	assert_non_null(strstr(err, "bind"));
	options.path = w->path;
	options.group = "no such group";
	assert_null(link_create(&options, err, sizeof(err)));
	assert_non_null(strstr(err, "no such group"));
}

// A child with other credentials tries; returns 1 when it was welcomed, 0 when shown the door.
static int try_as(struct world *w, uid_t uid, gid_t gid, gid_t supplementary)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		struct sfu_welcome welcome;
		int fd, n;

		if (setgroups(supplementary != 0, &supplementary) != 0 || setgid(gid) != 0
			|| setuid(uid) != 0)
			_exit(7);
		fd = raw_connect(w->path);
		if (fd < 0)
			_exit(8);
		send(fd, &good_hello, sizeof(good_hello), MSG_NOSIGNAL);
		n = (int)recv(fd, &welcome, sizeof(welcome), 0);
		_exit(n == (int)sizeof(welcome) && welcome.status == SFU_WELCOME_OK ? 1 : 0);
	}
	while (waitpid(child, &status, WNOHANG) == 0) {
		link_poll(w->dp, now_us());
		usleep(100);
	}
	poll_some(w->dp);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void strangers_are_refused_by_credentials(void **state)
{
	struct world *w = *state;
	struct link_figures figures;

	if (geteuid() != 0)
		skip();
	dp_start(w);
	// Without the file's mode in the way, so that the second lock is tried.
	chmod(w->folder, 0755);
	chmod(w->path, 0666);
	assert_int_equal(try_as(w, 65534, 65534, 0), 0);
	link_figures(w->dp, &figures);
	assert_int_equal(figures.refused_peer, 1);
	assert_int_equal(try_as(w, 0, 0, 0), 1);
	link_destroy(w->dp);

	w->options.group = "54321";
	dp_start(w);
	chmod(w->path, 0666);
	assert_int_equal(try_as(w, 65534, 65534, 0), 0);
	assert_int_equal(try_as(w, 65534, 65534, 54322), 0);
	assert_int_equal(try_as(w, 65534, 65534, 54321), 1);
	assert_int_equal(try_as(w, 65534, 54321, 0), 1);
	// And with the file's own mode the group gets in, others do not even connect.
	chmod(w->path, 0660);
	assert_int_equal(try_as(w, 65534, 54321, 0), 1);
	assert_int_equal(try_as(w, 65534, 65534, 0), 8);
}

static void a_killed_control_plane_is_seen_at_once(void **state)
{
	struct world *w = *state;

	dp_start(w);
	for (int round = 0; round < 10; round++) {
		uint64_t killed;
		pid_t child = fork();

		if (child == 0) {
			uv_loop_t loop;
			const struct link_client_callbacks callbacks = {
				.ctx = w,
				.on_attached = on_attached,
				.on_detached = on_detached,
				.on_event = on_event,
				.on_dtls = on_dtls,
			};

			uv_loop_init(&loop);
			link_client_create(&loop, w->path, "child", &callbacks);
			uv_run(&loop, UV_RUN_DEFAULT);
			_exit(0);
		}
		UNTIL(w, link_attached(w->dp));
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		killed = now_us();
		link_poll(w->dp, now_us());
		assert_false(link_attached(w->dp));
		assert_true(now_us() - killed < 50000);
	}
}

static void a_killed_data_plane_is_seen_at_once(void **state)
{
	struct world *w = *state;

	ctl_start(w);
	for (int round = 0; round < 5; round++) {
		uint64_t killed;
		pid_t child = fork();

		if (child == 0) {
			char err[256];
			struct link *dp = link_create(&w->options, err, sizeof(err));

			while (dp != NULL) {
				link_poll(dp, now_us());
				usleep(500);
			}
			_exit(1);
		}
		UNTIL(w, w->attached == round + 1);
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		killed = now_us();
		uv_run(&w->loop, UV_RUN_NOWAIT);
		assert_int_equal(w->detached, round + 1);
		assert_true(now_us() - killed < 50000);
	}
}

static void false_headers_are_seen(void **state)
{
	const uint32_t most = 1048576; // of each setting SFU_DP_MAX_*
	struct world *w = *state;
	struct sfu_region_header h;
	struct raw raw;
	uint64_t bytes, generation;

	dp_start(w);
	raw_attach(w, &raw);
	bytes = raw.header.region_bytes;
	generation = raw.header.generation;
#define FALSE_WHEN(change)                                                                         \
	do {                                                                                       \
		h = raw.header;                                                                    \
		change;                                                                            \
		if (link_client_header_check(&h, bytes, generation) == NULL)                       \
			fail_msg("accepted: %s", #change);                                         \
	} while (0)
	FALSE_WHEN(h.magic++);
	FALSE_WHEN(h.abi_version++);
	FALSE_WHEN(h.header_bytes = 64);
	FALSE_WHEN(h.region_bytes += 4096);
	FALSE_WHEN(h.generation++);
	FALSE_WHEN(h.ring[0].slots = 0);
	FALSE_WHEN(h.ring[0].slots = 4095);
	FALSE_WHEN(h.ring[1].slots *= 4);
	FALSE_WHEN(h.ring[1].slots = 1u << 31);
	FALSE_WHEN(h.ring[2].slot_bytes = 256);
	FALSE_WHEN(h.ring[3].offset_bytes = 0);
	FALSE_WHEN(h.ring[3].offset_bytes += 8);
	FALSE_WHEN(h.ring[3].offset_bytes = UINT64_MAX - 63);
	FALSE_WHEN(h.ring[3].offset_bytes = h.ring[2].offset_bytes);
	FALSE_WHEN(h.stats_offset_bytes = h.region_bytes - 64);
	FALSE_WHEN(h.stats_offset_bytes = h.ring[0].offset_bytes);
	FALSE_WHEN(h.stats_bytes = 8);
	FALSE_WHEN(h.max_rooms = 0);
	FALSE_WHEN(h.max_consumers = UINT32_MAX);
	FALSE_WHEN(h.max_rooms = most + 1);
	FALSE_WHEN(h.max_peers = most + 1);
	FALSE_WHEN(h.max_transports = most + 1);
	FALSE_WHEN(h.max_producers = most + 1);
	FALSE_WHEN(h.max_consumers = most + 1);
	FALSE_WHEN(h.address_count = SFU_MAX_ADDRESSES + 1);
	FALSE_WHEN(h.address[0].family = 5);
	FALSE_WHEN(h.address[0].port = 0);
	h = raw.header;
	h.max_rooms = h.max_peers = h.max_transports = h.max_producers = h.max_consumers = most;
	assert_null(link_client_header_check(&h, bytes, generation));
	raw_detach(&raw);
}

// --- two threads, both asleep between messages -------------------------------------------------

#define MESSAGES 20000

struct echo {
	struct link *dp;
	_Atomic bool stop;
	uint64_t sleeps;
};

static void *echo_thread(void *arg)
{
	struct echo *e = arg;
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event = {.events = EPOLLIN};

	epoll_ctl(epoll_fd, EPOLL_CTL_ADD, link_fd(e->dp), &event);
	while (!atomic_load(&e->stop)) {
		struct sfu_command command;
		struct sfu_dtls_record record;

		link_poll(e->dp, now_us());
		for (int n = 0;
			n < 64 && link_event_room(e->dp) > 0 && link_pop_command(e->dp, &command);
			n++) {
			struct sfu_event ack = {
				.type = SFU_EVENT_ACK,
				.u.ack.command_id = command.id,
			};

			link_push_event(e->dp, &ack);
		}
		for (int n = 0; n < 64 && link_pop_dtls(e->dp, &record); n++)
			link_push_dtls(e->dp, &record);
		if (link_prepare_sleep(e->dp)) {
			// A lost wake-up would show as a test that crawls: the wait is long.
			epoll_wait(epoll_fd, &event, 1, 1000);
			e->sleeps++;
		}
		link_awake(e->dp);
	}
	close(epoll_fd);
	return NULL;
}

static void two_threads_echo_everything(void **state)
{
	struct world *w = *state;
	struct echo e = {0};
	pthread_t thread;
	uint64_t sent = 0, sent_records = 0, start = now_us();

	dp_start(w);
	e.dp = w->dp;
	w->dp = NULL; // the thread's now
	pthread_create(&thread, NULL, echo_thread, &e);
	ctl_start(w);
	while (w->attached == 0)
		uv_run(&w->loop, UV_RUN_ONCE);
	while (w->events < MESSAGES || w->records < MESSAGES / 10) {
		// Small windows, so that both sides keep falling asleep.
		while (sent < MESSAGES && sent - (uint64_t)w->events < 1 + sent % 50) {
			struct sfu_command command = {.type = SFU_CMD_DIGEST, .id = sent + 1};

			assert_int_equal(link_client_push_command(w->ctl, &command), 0);
			sent++;
		}
		if (sent_records < MESSAGES / 10 && sent_records - (uint64_t)w->records < 4) {
			struct sfu_dtls_record record = {.transport = sent_records, .len = 1};

			assert_int_equal(link_client_push_dtls(w->ctl, &record), 0);
			sent_records++;
		}
		uv_run(&w->loop, UV_RUN_ONCE);
		if (now_us() - start > 30000000)
			fail_msg("%d events after 30 s: a wake-up was lost", w->events);
	}
	assert_int_equal(w->last_event.u.ack.command_id, MESSAGES);
	assert_int_equal(w->events, MESSAGES);
	atomic_store(&e.stop, true);
	ctl_stop(w); // closes the socket, which wakes the thread
	pthread_join(thread, NULL);
	w->dp = e.dp;
	print_message("%d messages in %lu ms, %lu sleeps\n", MESSAGES,
		(unsigned long)(now_us() - start) / 1000, (unsigned long)e.sleeps);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(both_ends_attach_and_talk),
		TEST(the_key_slot_is_wiped),
		TEST(either_order_of_start_and_a_restart),
		TEST(refuses_what_is_no_hello),
		TEST(a_silent_guest_is_shown_out),
		TEST(a_second_control_plane_is_told_busy),
		TEST(the_region_keeps_its_size),
		TEST(a_hostile_control_plane_is_detached),
		TEST(who_was_detached_wakes_nobody),
		TEST(blocking_eventfds_do_not_block_us),
		TEST(a_hostile_data_plane_is_left),
		TEST(a_full_ring_says_so),
		TEST(a_hundred_attaches_leave_nothing),
		TEST(who_spoils_its_attach_holds_no_memory),
		TEST(the_socket_file),
		TEST(strangers_are_refused_by_credentials),
		TEST(a_killed_control_plane_is_seen_at_once),
		TEST(a_killed_data_plane_is_seen_at_once),
		TEST(false_headers_are_seen),
		TEST(two_threads_echo_everything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
