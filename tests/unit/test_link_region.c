// SPDX-License-Identifier: BSD-3-Clause
/*
 * The link region as a whole, as small as it can be: what either end does with one that is damaged,
 * cut, of another version, or not a region at all. It attaches to what is right, and says no to the
 * rest; what goes wrong later ends the attach at most.
 */
#include "sfu-ctl/link.h"
#include "sfu-dp/link.h"

#include "shared/ring.h"
#include "shared/service/descriptors.h"
#include "tests/support/open_fds.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define SLOTS 2u
#define REGION_BYTES 16384u
#define GENERATION 77u
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
/* Octets of the header that mean something. */
#define HEADER_USED offsetof(struct sfu_region_header, reserved)

_Static_assert(SFU_CMD_SLOTS == SLOTS && SFU_EVENT_SLOTS == SLOTS && SFU_DTLS_SLOTS == SLOTS, "");

struct world {
	char folder[64], path[96];
	uv_loop_t loop;
	struct link_client *ctl;
	int listen_fd; /* of the data plane that the test plays; -1 = a real one runs */
	struct link *dp;
	char log[512]; /* last line */
	/* What the client's callbacks saw, and of the messages what they add up to. */
	int attached, detached, events, records;
	struct sfu_region_header header;
	struct sfu_event event[SLOTS];
	struct sfu_dtls_record record[SLOTS];
	uint64_t random;
};

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static uint64_t any(struct world *w)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return w->random;
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

	w->event[w->events++ % SLOTS] = *event;
}

static void on_dtls(void *ctx, const struct sfu_dtls_record *record)
{
	struct world *w = ctx;

	assert_in_range(record->len, 1, SFU_DTLS_MAX_BYTES);
	w->record[w->records++ % SLOTS] = *record;
}

static void on_log(void *ctx, int priority, const char *line)
{
	struct world *w = ctx;

	(void)priority;
	snprintf(w->log, sizeof(w->log), "%s", line);
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

	w->attached = w->detached = w->events = w->records = 0;
	w->ctl = link_client_create(&w->loop, w->path, "node", &callbacks);
	assert_non_null(w->ctl);
}

static void ctl_stop(struct world *w)
{
	if (w->ctl == NULL)
		return;
	link_client_destroy(w->ctl);
	w->ctl = NULL;
	uv_run(&w->loop, UV_RUN_DEFAULT);
}

// --- a data plane by hand ----------------------------------------------------------------------

static void listen_at(struct world *w)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", w->path);
	w->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(w->listen_fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(w->listen_fd, 4), 0);
}

/* What is offered to the control plane. */
struct offer {
	struct sfu_welcome welcome;
	const uint8_t *bytes; /* of the region */
	size_t size;
	int seals;
	unsigned fds; /* that ride along, FDS_MOST at most */
	bool huge; /* of huge pages, and empty: they cannot be written by write() */
};

#define FDS_MOST 8u

static int region_fd(const struct offer *o)
{
	int fd = memfd_create(
		"test", MFD_CLOEXEC | MFD_ALLOW_SEALING | (o->huge ? MFD_HUGETLB : 0u));

	assert_true(fd >= 0);
	if (o->huge)
		assert_int_equal(ftruncate(fd, (off_t)o->size), 0);
	else
		assert_int_equal(write(fd, o->bytes, o->size), o->size);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, o->seals), 0);
	return fd;
}

/* As sfu-dp makes it. */
static void offer_good(struct offer *o, uint8_t bytes[REGION_BYTES])
{
	struct sfu_region_header h = {
		.magic = SFU_ABI_MAGIC,
		.abi_version = SFU_ABI_VERSION,
		.header_bytes = sizeof(h),
		.region_bytes = REGION_BYTES,
		.generation = GENERATION,
		.stats_bytes = sizeof(struct sfu_stats_page),
		.workers = 2,
		.max_rooms = 16,
		.max_peers = 32,
		.max_transports = 64,
		.max_producers = 128,
		.max_consumers = 256,
		.address_count = 1,
		.address = {{.family = 4, .port = 40000, .addr = {192, 0, 2, 1}}},
		.dp_instance = 42,
	};
	static const uint32_t slot_bytes[SFU_RING_COUNT] = {
		SFU_CMD_SLOT_BYTES, SFU_EVENT_SLOT_BYTES, SFU_DTLS_SLOT_BYTES, SFU_DTLS_SLOT_BYTES};
	uint64_t at = sizeof(h);

	for (int i = 0; i < SFU_RING_COUNT; i++) {
		h.ring[i] = (struct sfu_ring_place){at, SLOTS, slot_bytes[i]};
		at += sfu_ring_bytes(SLOTS, slot_bytes[i]);
	}
	h.stats_offset_bytes = at;
	memset(bytes, 0, REGION_BYTES);
	memcpy(bytes, &h, sizeof(h));
	*o = (struct offer){
		.welcome = {
			.magic = SFU_ABI_MAGIC,
			.abi_version = SFU_ABI_VERSION,
			.status = SFU_WELCOME_OK,
			.region_bytes = REGION_BYTES,
			.generation = GENERATION,
		},
		.bytes = bytes,
		.size = REGION_BYTES,
		.seals = SEALS,
		.fds = 3,
	};
}

static void send_offer(int socket_fd, const struct offer *o)
{
	int fds[FDS_MOST] = {region_fd(o)};

	for (unsigned i = 1; i < FDS_MOST; i++)
		fds[i] = eventfd(0, EFD_CLOEXEC);
	assert_int_equal(descriptors_send(socket_fd, &o->welcome, sizeof(o->welcome), fds, o->fds),
		sizeof(o->welcome));
	for (unsigned i = 0; i < FDS_MOST; i++)
		close(fds[i]);
}

/*
 * A control plane starts, is offered this, and takes some turns with it.
 * @return whether it attached; a refusal closes its end of the connection at once
 */
static bool offered(struct world *w, const struct offer *o)
{
	struct sfu_hello hello;
	bool attached;
	int fd;

	// On a slow machine the one before may have tried again.
	while ((fd = accept4(w->listen_fd, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		close(fd);
	ctl_start(w);
	uv_run(&w->loop, UV_RUN_NOWAIT);
	fd = accept4(w->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(fd >= 0);
	assert_int_equal(recv(fd, &hello, sizeof(hello), 0), sizeof(hello));
	send_offer(fd, o);
	for (int i = 0; i < 4; i++)
		uv_run(&w->loop, UV_RUN_NOWAIT);
	attached = w->attached > 0;
	if (!attached)
		assert_int_equal(recv(fd, &hello, sizeof(hello), 0), 0);
	// What it does with it must end, whatever lies there.
	if (link_client_attached(w->ctl)) {
		struct sfu_command command = {.type = SFU_CMD_DIGEST};
		struct sfu_dtls_record record = {.len = 1};

		for (unsigned i = 0; i <= SLOTS; i++) {
			link_client_push_command(w->ctl, &command);
			link_client_push_dtls(w->ctl, &record);
		}
		for (int i = 0; i < 4; i++)
			uv_run(&w->loop, UV_RUN_NOWAIT);
	}
	ctl_stop(w);
	close(fd);
	return attached;
}

/* Parts lie behind the header, in the region, and not on each other: looked at anew, not by its own eye. */
static void assert_inside(const struct sfu_region_header *h)
{
	uint8_t taken[REGION_BYTES / 64] = {0};

	for (int i = 0; i <= SFU_RING_COUNT; i++) {
		uint64_t from
			= i < SFU_RING_COUNT ? h->ring[i].offset_bytes : h->stats_offset_bytes;
		uint64_t size = i < SFU_RING_COUNT
					? sfu_ring_bytes(h->ring[i].slots, h->ring[i].slot_bytes)
					: sizeof(struct sfu_stats_page);

		assert_in_range(from, sizeof(*h), REGION_BYTES - size);
		for (uint64_t line = from / 64; line < (from + size + 63) / 64; line++)
			assert_int_equal(taken[line]++, 0);
	}
}

static const uint8_t changes[] = {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff};
#define CHANGES sizeof(changes)

static void a_changed_octet_of_the_header(void **state)
{
	struct world *w = *state;
	struct offer o;
	uint8_t bytes[REGION_BYTES];
	unsigned accepted = 0, refused = 0;

	listen_at(w);
	offer_good(&o, bytes);
	assert_true(offered(w, &o));
	for (size_t at = 0; at < sizeof(struct sfu_region_header); at++) {
		for (size_t c = 0; c < CHANGES; c++) {
			struct sfu_region_header h;
			bool good;

			bytes[at] ^= changes[c];
			memcpy(&h, bytes, sizeof(h));
			good = link_client_header_check(&h, REGION_BYTES, GENERATION) == NULL;
			// What is reserved is not looked at, so one in so many of it will do.
			if (at < HEADER_USED || at % 256 == c) {
				assert_int_equal(offered(w, &o), good);
				if (good)
					assert_memory_equal(&w->header, &h, sizeof(h));
			}
			if (good)
				assert_inside(&h);
			// Magic, version, sizes and generation have one value each.
			assert_false(good && at < offsetof(struct sfu_region_header, ring));
			assert_true(good || at < HEADER_USED);
			accepted += good && at < HEADER_USED;
			refused += !good;
			bytes[at] ^= changes[c];
		}
	}
	print_message(
		"  of those that mean something %u accepted, %u refused\n", accepted, refused);
}

static void a_changed_octet_behind_the_header(void **state)
{
	struct world *w = *state;
	struct sfu_region_header h;
	struct offer o;
	uint8_t bytes[REGION_BYTES];

	listen_at(w);
	offer_good(&o, bytes);
	memcpy(&h, bytes, sizeof(h));
	// Indices one octet at a time; one of each 64 of what is not looked at before they move.
	for (int ring = 0; ring < SFU_RING_COUNT; ring++) {
		for (size_t at = 0; at < offsetof(struct sfu_ring, slots); at++) {
			for (size_t c = 0; c < CHANGES; c++) {
				bytes[h.ring[ring].offset_bytes + at] ^= changes[c];
				assert_true(offered(w, &o));
				bytes[h.ring[ring].offset_bytes + at] ^= changes[c];
			}
		}
	}
	for (size_t first = 0; first < 64; first++) {
		uint8_t good[REGION_BYTES];

		memcpy(good, bytes, sizeof(good));
		for (int ring = 0; ring < SFU_RING_COUNT; ring++) {
			uint8_t *at = bytes + h.ring[ring].offset_bytes
				      + offsetof(struct sfu_ring, slots);

			for (size_t i = first; i < (size_t)SLOTS * h.ring[ring].slot_bytes; i += 64)
				at[i] ^= 0xff;
		}
		for (size_t i = h.stats_offset_bytes + first; i < sizeof(bytes); i += 64)
			bytes[i] ^= 0xff;
		assert_true(offered(w, &o));
		assert_int_equal(w->detached, 0);
		memcpy(bytes, good, sizeof(good));
	}
}

static void a_changed_octet_of_the_welcome(void **state)
{
	const size_t free_from = offsetof(struct sfu_welcome, region_bytes);
	struct world *w = *state;
	uint8_t bytes[REGION_BYTES];
	struct offer o;

	listen_at(w);
	offer_good(&o, bytes);
	for (size_t at = 0; at < sizeof(o.welcome); at++) {
		for (size_t c = 0; c < CHANGES; c++) {
			uint8_t *octet = (uint8_t *)&o.welcome + at;

			*octet ^= changes[c];
			// Its size is what fstat says.
			assert_int_equal(offered(w, &o), at >= free_from && at < free_from + 8);
			*octet ^= changes[c];
		}
	}
}

static void a_region_that_is_cut(void **state)
{
	struct world *w = *state;
	int before;
	struct sfu_region_header h;
	uint8_t bytes[REGION_BYTES];
	struct offer o;
	uint64_t needed;

	listen_at(w);
	offer_good(&o, bytes);
	memcpy(&h, bytes, sizeof(h));
	needed = h.stats_offset_bytes + h.stats_bytes;
	for (o.size = 0; o.size < REGION_BYTES; o.size++) {
		assert_false(offered(w, &o));
		if (o.size < sizeof(h))
			continue;
		// And the same where it says so itself.
		h.region_bytes = o.size;
		memcpy(bytes, &h, sizeof(h));
		assert_int_equal(offered(w, &o), o.size >= needed);
		h.region_bytes = REGION_BYTES;
		memcpy(bytes, &h, sizeof(h));
	}
	// One that could still be cut is not touched either, nor one that cannot be written.
	for (int seals = 0; seals <= SEALS; seals++) {
		o.seals = seals & SEALS;
		assert_int_equal(offered(w, &o), o.seals == SEALS);
	}
	o.seals = SEALS | F_SEAL_WRITE;
	assert_false(offered(w, &o));
	o.seals = SEALS;
	// Three descriptors are an offer. More find no room and do not stay open, nor does a fourth, for which
	// the alignment of control messages leaves place.
	before = open_fds();
	for (o.fds = 0; o.fds <= FDS_MOST; o.fds++)
		assert_int_equal(offered(w, &o), o.fds == 3);
	assert_int_equal(open_fds(), before);
}

/* Its pages can be taken away under our feet, whatever is sealed, and there may be none to put back. */
static void a_region_of_huge_pages(void **state)
{
	struct world *w = *state;
	struct stat st;
	struct offer o;
	uint8_t bytes[REGION_BYTES];
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_HUGETLB);

	if (fd < 0) {
		print_message("  this kernel has no huge pages: %s\n", strerror(errno));
		skip();
	}
	assert_int_equal(fstat(fd, &st), 0);
	close(fd);
	listen_at(w);
	offer_good(&o, bytes);
	o.huge = true;
	o.size = (size_t)st.st_blksize;
	assert_false(offered(w, &o));
	assert_non_null(strstr(w->log, "the region is not ordinary memory"));
}

static void what_others_made(void **state)
{
	static const uint32_t versions[]
		= {0, 1, SFU_ABI_VERSION - 1, SFU_ABI_VERSION + 1, 0x100, UINT32_MAX};
	struct world *w = *state;
	struct sfu_region_header *h;
	uint8_t bytes[REGION_BYTES];
	struct offer o;

	listen_at(w);
	offer_good(&o, bytes);
	h = (void *)bytes;
	for (size_t i = 0; i < sizeof(versions) / sizeof(*versions); i++) {
		// Of either place, and of both.
		for (unsigned where = 1; where < 4; where++) {
			o.welcome.abi_version = where & 1 ? versions[i] : SFU_ABI_VERSION;
			h->abi_version = where & 2 ? versions[i] : SFU_ABI_VERSION;
			assert_false(offered(w, &o));
		}
	}
	for (unsigned round = 0; round < 1000; round++) {
		struct sfu_region_header good;
		bool behind = round % 2 != 0;

		offer_good(&o, bytes);
		memcpy(&good, bytes, sizeof(good));
		for (size_t i = 0; i < sizeof(bytes); i += 8) {
			uint64_t word = any(w);

			memcpy(bytes + i, &word, 8);
		}
		// Behind a header that is right it is attached to, and left.
		if (behind)
			memcpy(bytes, &good, HEADER_USED);
		assert_int_equal(offered(w, &o), behind);
		assert_int_equal(w->detached, behind);
	}
}

// --- both ends ---------------------------------------------------------------------------------

static void dp_start(struct world *w)
{
	const struct link_options options = {
		.path = w->path,
		.dp_instance = 42,
		.workers = 2,
		.max_rooms = 16,
		.max_peers = 32,
		.max_transports = 64,
		.max_producers = 128,
		.max_consumers = 256,
	};
	char err[256] = "";

	w->dp = link_create(&options, err, sizeof(err));
	if (w->dp == NULL)
		fail_msg("%s", err);
}

static void both_attach(struct world *w)
{
	ctl_stop(w);
	link_poll(w->dp, now_us());
	ctl_start(w);
	for (int i = 0; i < 100 && w->attached == 0; i++) {
		uv_run(&w->loop, UV_RUN_NOWAIT);
		link_poll(w->dp, now_us());
	}
	assert_int_equal(w->attached, 1);
	assert_true(link_attached(w->dp));
	assert_int_equal(w->header.region_bytes, REGION_BYTES);
}

static uint8_t *region_of(struct world *w)
{
	return (uint8_t *)link_stats_page(w->dp) - w->header.stats_offset_bytes;
}

/* What waits in the rings, and came out of them. */
struct talk {
	struct sfu_command command[SLOTS];
	struct sfu_event event[SLOTS];
	struct sfu_dtls_record to_dp[SLOTS], to_ctl[SLOTS];
	unsigned commands, events, to_dps, to_ctls;
};

static void talk_make(struct talk *t)
{
	memset(t, 0, sizeof(*t));
	for (unsigned i = 0; i < SLOTS; i++) {
		memset(&t->command[i], 0x11 + (int)i, sizeof(t->command[i]));
		memset(&t->event[i], 0x21 + (int)i, sizeof(t->event[i]));
		memset(&t->to_dp[i], 0x31 + (int)i, sizeof(t->to_dp[i]));
		memset(&t->to_ctl[i], 0x41 + (int)i, sizeof(t->to_ctl[i]));
		t->to_dp[i].len = t->to_ctl[i].len = SFU_DTLS_MAX_BYTES;
	}
	t->commands = t->events = t->to_dps = t->to_ctls = SLOTS;
}

static void say_all(struct world *w, const struct talk *t)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		assert_int_equal(link_client_push_command(w->ctl, &t->command[i]), 0);
		assert_int_equal(link_client_push_dtls(w->ctl, &t->to_dp[i]), 0);
		assert_true(link_push_event(w->dp, &t->event[i]));
		assert_true(link_push_dtls(w->dp, &t->to_ctl[i]));
	}
}

/* Both take what is there; at most what the rings hold. */
static void hear_all(struct world *w, struct talk *t)
{
	struct sfu_command command;
	struct sfu_dtls_record record;

	memset(t, 0, sizeof(*t));
	w->events = w->records = 0;
	link_poll(w->dp, now_us());
	while (link_pop_command(w->dp, &command))
		t->command[t->commands++ % SLOTS] = command;
	while (link_pop_dtls(w->dp, &record)) {
		assert_in_range(record.len, 1, SFU_DTLS_MAX_BYTES);
		t->to_dp[t->to_dps++ % SLOTS] = record;
	}
	for (int i = 0; i < 3; i++)
		uv_run(&w->loop, UV_RUN_NOWAIT);
	memcpy(t->event, w->event, sizeof(t->event));
	memcpy(t->to_ctl, w->record, sizeof(t->to_ctl));
	t->events = (unsigned)w->events;
	t->to_ctls = (unsigned)w->records;
	assert_in_range(t->commands, 0, SLOTS);
	assert_in_range(t->to_dps, 0, SLOTS);
	assert_in_range(t->events, 0, SLOTS);
	assert_in_range(t->to_ctls, 0, SLOTS);
}

/* Messages that differ; with another length a record is none. */
static unsigned differences(const struct talk *a, const struct talk *b)
{
	unsigned n = a->to_dps != b->to_dps || a->to_ctls != b->to_ctls;

	assert_int_equal(a->commands, b->commands);
	assert_int_equal(a->events, b->events);
	for (unsigned i = 0; i < SLOTS && n == 0; i++) {
		n += memcmp(&a->command[i], &b->command[i], sizeof(a->command[i])) != 0;
		n += memcmp(&a->event[i], &b->event[i], sizeof(a->event[i])) != 0;
		n += memcmp(&a->to_dp[i], &b->to_dp[i], sizeof(a->to_dp[i])) != 0;
		n += memcmp(&a->to_ctl[i], &b->to_ctl[i], sizeof(a->to_ctl[i])) != 0;
	}
	return n;
}

/* Is this octet of a word that the ends steer by? */
static bool is_index(const struct sfu_region_header *h, size_t at)
{
	for (int i = 0; i < SFU_RING_COUNT; i++) {
		size_t in = at - h->ring[i].offset_bytes;

		if (at >= h->ring[i].offset_bytes && in < offsetof(struct sfu_ring, slots))
			return in % 64 < 8;
	}
	return false;
}

static bool is_slot(const struct sfu_region_header *h, size_t at)
{
	for (int i = 0; i < SFU_RING_COUNT; i++) {
		size_t slots = h->ring[i].offset_bytes + offsetof(struct sfu_ring, slots);

		if (at >= slots && at < slots + (size_t)SLOTS * h->ring[i].slot_bytes)
			return true;
	}
	return false;
}

static void a_changed_octet_while_they_talk(void **state)
{
	struct world *w = *state;
	struct sfu_region_header header;
	struct talk said, heard;
	unsigned ended = 0;

	talk_make(&said);
	dp_start(w);
	both_attach(w);
	header = w->header;
	for (size_t at = 0; at < REGION_BYTES; at++) {
		size_t count = is_index(&header, at) ? CHANGES : 1;

		for (size_t c = CHANGES - count; c < CHANGES; c++) {
			say_all(w, &said);
			region_of(w)[at] ^= changes[c];
			hear_all(w, &heard);
			if (count == 1) {
				assert_true(link_attached(w->dp) && link_client_attached(w->ctl));
				assert_int_equal(differences(&said, &heard), is_slot(&header, at));
				continue;
			}
			// One of them may have left, or both have lost count: the next attach is whole.
			ended += !link_attached(w->dp) || !link_client_attached(w->ctl);
			both_attach(w);
		}
	}
	assert_true(ended > 100);
	say_all(w, &said);
	hear_all(w, &heard);
	assert_int_equal(differences(&said, &heard), 0);
	print_message("  %u attaches ended\n", ended);
}

/* The word that says that the other one sleeps was damaged: nobody wakes it. */
static void a_wake_up_that_is_lost(void **state)
{
	struct world *w = *state;
	const struct sfu_event event = {.type = SFU_EVENT_ACK};
	struct sfu_ring *ring;
	uint64_t start;

	dp_start(w);
	both_attach(w);
	for (int i = 0; i < 4; i++)
		uv_run(&w->loop, UV_RUN_NOWAIT);
	ring = (void *)(region_of(w) + w->header.ring[SFU_RING_EVENT].offset_bytes);
	assert_int_equal(ring->sleeping, 1);
	ring->sleeping = 0;
	assert_true(link_push_event(w->dp, &event));
	start = now_us();
	while (w->events == 0 && now_us() - start < 5000000)
		uv_run(&w->loop, UV_RUN_ONCE);
	assert_int_equal(w->events, 1);
	// And it sleeps as before.
	assert_int_equal(ring->sleeping, 1);
}

static void a_changed_octet_of_the_hello(void **state)
{
	const struct sfu_hello good
		= {.magic = SFU_ABI_MAGIC, .abi_version = SFU_ABI_VERSION, .name = "raw"};
	struct world *w = *state;

	dp_start(w);
	for (size_t at = 0; at < sizeof(good); at++) {
		for (size_t c = 0; c < CHANGES; c++) {
			struct sockaddr_un address = {.sun_family = AF_UNIX};
			struct sfu_hello hello = good;
			struct sfu_welcome welcome;
			uint32_t status = SFU_WELCOME_MALFORMED;
			int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

			((uint8_t *)&hello)[at] ^= changes[c];
			snprintf(address.sun_path, sizeof(address.sun_path), "%s", w->path);
			assert_int_equal(
				connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
			send(fd, &hello, sizeof(hello), 0);
			for (int i = 0; i < 4; i++)
				link_poll(w->dp, now_us());
			assert_int_equal(
				recv(fd, &welcome, sizeof(welcome), MSG_DONTWAIT), sizeof(welcome));
			if (at >= offsetof(struct sfu_hello, name))
				status = SFU_WELCOME_OK;
			else if (hello.abi_version != good.abi_version)
				status = SFU_WELCOME_VERSION;
			assert_int_equal(welcome.status, status);
			assert_int_equal(link_attached(w->dp), status == SFU_WELCOME_OK);
			close(fd);
			for (int i = 0; i < 2; i++)
				link_poll(w->dp, now_us());
			assert_false(link_attached(w->dp));
		}
	}
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	strcpy(w->folder, "/tmp/test_link_region.XXXXXX");
	assert_non_null(mkdtemp(w->folder));
	snprintf(w->path, sizeof(w->path), "%s/link", w->folder);
	w->listen_fd = -1;
	w->random = 88172645463325252u;
	uv_loop_init(&w->loop);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	ctl_stop(w);
	link_destroy(w->dp);
	if (w->listen_fd >= 0)
		close(w->listen_fd);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&w->loop), 0);
	unlink(w->path);
	rmdir(w->folder);
	free(w);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_changed_octet_of_the_header),
		TEST(a_changed_octet_behind_the_header),
		TEST(a_changed_octet_of_the_welcome),
		TEST(a_region_that_is_cut),
		TEST(a_region_of_huge_pages),
		TEST(what_others_made),
		TEST(a_changed_octet_while_they_talk),
		TEST(a_wake_up_that_is_lost),
		TEST(a_changed_octet_of_the_hello),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
