// SPDX-License-Identifier: BSD-3-Clause
/*
 * Ring messages in both directions, on real attaches: a hostile control plane writes slots and
 * index words under sfu-dp's end, a hostile data plane does the same to sfu-ctl's end and what hangs
 * on it (answers, digests, punted records, handshakes). The input is a list of such moves. Every
 * call must end, stay inside the region, and leave an end that can be attached again.
 */
#include "sfu-ctl/link.h"
#include "sfu-ctl/media.h"
#include "sfu-ctl/media_setup.h"
#include "sfu-dp/link.h"
#include "shared/ring.h"
#include "shared/service/descriptors.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MOVES 64

#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%d: %s\n", __LINE__, #condition);                         \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

struct input {
	const uint8_t *at;
	size_t left;
};

static uint64_t take(struct input *in, size_t bytes)
{
	uint64_t value = 0;

	if (bytes > in->left)
		bytes = in->left;
	memcpy(&value, in->at, bytes);
	in->at += bytes;
	in->left -= bytes;
	return value;
}

static void take_bytes(struct input *in, void *out, size_t bytes)
{
	memset(out, 0, bytes);
	if (bytes > in->left)
		bytes = in->left;
	memcpy(out, in->at, bytes);
	in->at += bytes;
	in->left -= bytes;
}

// Index words are most telling near what is there, near the ring's size and near the ends.
static uint64_t take_index(struct input *in, uint64_t now)
{
	uint8_t how = (uint8_t)take(in, 1);
	uint64_t n = take(in, 2);

	switch (how % 6) {
	case 0:
		return now + n % 8;
	case 1:
		return now + n;
	case 2:
		return now - n;
	case 3:
		return UINT64_MAX - n;
	case 4:
		return n;
	default:
		return take(in, 8);
	}
}

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static char folder[] = "/tmp/fuzz_link.XXXXXX";

static struct link *dp_create(const char *name)
{
	static char paths[2][64];
	static int made;
	char *path = paths[made++];
	struct link_options options = {
		.path = path,
		.dp_instance = 1,
		.workers = 1,
		.max_rooms = 4,
		.max_peers = 4,
		.max_transports = 4,
		.max_producers = 4,
		.max_consumers = 4,
	};
	char err[256];
	struct link *dp;

	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	dp = link_create(&options, err, sizeof(err));
	if (dp == NULL) {
		fprintf(stderr, "%s\n", err);
		abort();
	}
	return dp;
}

// --- a hostile control plane -------------------------------------------------------------------

static struct {
	struct link *dp;
	int socket;
	uint8_t *region;
	struct sfu_region_header header;
} evil_ctl = {.socket = -1};

static void evil_ctl_detach(void)
{
	if (evil_ctl.socket < 0)
		return;
	munmap(evil_ctl.region, evil_ctl.header.region_bytes);
	close(evil_ctl.socket);
	evil_ctl.socket = -1;
}

#define ATTACH_TURNS 1000

static void evil_ctl_attach(void)
{
	const struct sfu_hello hello = {.magic = SFU_ABI_MAGIC, .abi_version = SFU_ABI_VERSION};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct sfu_welcome welcome;
	unsigned count = 0;
	ssize_t got = -1;
	int fds[3];

	evil_ctl_detach();
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/a", folder);
	evil_ctl.socket = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	CHECK(connect(evil_ctl.socket, (struct sockaddr *)&address, sizeof(address)) == 0);
	CHECK(send(evil_ctl.socket, &hello, sizeof(hello), 0) == (ssize_t)sizeof(hello));
	// A region is given back and taken in pieces, one a turn.
	for (int i = 0; i < ATTACH_TURNS && got < 0; i++) {
		link_poll(evil_ctl.dp, now_us());
		got = descriptors_receive(
			evil_ctl.socket, &welcome, sizeof(welcome), fds, 3, &count, MSG_DONTWAIT);
	}
	CHECK(got == (ssize_t)sizeof(welcome));
	CHECK(welcome.status == SFU_WELCOME_OK);
	CHECK(count == 3);
	evil_ctl.region
		= mmap(NULL, welcome.region_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
	CHECK(evil_ctl.region != MAP_FAILED);
	memcpy(&evil_ctl.header, evil_ctl.region, sizeof(evil_ctl.header));
	for (int i = 0; i < 3; i++)
		close(fds[i]);
}

// --- memory of a region, written by whoever ----------------------------------------------------

static struct sfu_ring *ring_at(uint8_t *region, const struct sfu_region_header *h, unsigned id)
{
	return (void *)(region + h->ring[id].offset_bytes);
}

static void write_word(struct input *in, uint8_t *region, const struct sfu_region_header *h)
{
	struct sfu_ring *ring = ring_at(region, h, take(in, 1) % SFU_RING_COUNT);

	switch (take(in, 1) % 3) {
	case 0:
		atomic_store(&ring->head, take_index(in, atomic_load(&ring->head)));
		break;
	case 1:
		atomic_store(&ring->tail, take_index(in, atomic_load(&ring->tail)));
		break;
	default:
		atomic_store(&ring->sleeping, (uint32_t)take(in, 4));
		break;
	}
}

// Writes over the start of the next slot and publishes it.
static void write_slot(
	struct input *in, uint8_t *region, const struct sfu_region_header *h, unsigned id)
{
	struct sfu_ring *ring = ring_at(region, h, id);
	uint64_t head = atomic_load(&ring->head);
	uint32_t slot_bytes = h->ring[id].slot_bytes;
	uint8_t *slot = ring->slots + (head & (h->ring[id].slots - 1)) * (size_t)slot_bytes;

	take_bytes(in, slot, take(in, 1));
	atomic_store(&ring->head, head + 1);
}

static void use_dp_end(struct link *dp)
{
	struct sfu_command command;
	struct sfu_dtls_record record;
	struct sfu_event event = {.type = SFU_EVENT_ACK};
	struct link_figures figures;
	uint32_t n;

	for (n = 0; link_pop_command(dp, &command); n++)
		CHECK(n < SFU_CMD_SLOTS);
	for (n = 0; link_pop_dtls(dp, &record); n++) {
		CHECK(n < SFU_DTLS_SLOTS);
		CHECK(record.len >= 1 && record.len <= SFU_DTLS_MAX_BYTES);
	}
	CHECK(link_event_room(dp) <= SFU_EVENT_SLOTS);
	link_push_event(dp, &event);
	record.len = 1;
	link_push_dtls(dp, &record);
	link_prepare_sleep(dp);
	link_awake(dp);
	link_figures(dp, &figures);
	CHECK(figures.commands_waiting <= SFU_CMD_SLOTS);
	CHECK(figures.events_waiting <= SFU_EVENT_SLOTS);
}

// --- a hostile data plane ----------------------------------------------------------------------

static struct {
	struct link *dp;
	uv_loop_t loop;
	struct media *media;
	bool lost;
	uint64_t last_id, transport;
} evil_dp;

static void on_attached(void *ctx, bool attached)
{
	(void)ctx;
	if (!attached)
		evil_dp.lost = true;
}

static void on_forgotten(void *ctx, bool stale)
{
	(void)stale;
	(void)ctx;
	evil_dp.lost = true;
}

static void on_transport_end(void *ctx, uint64_t transport, enum media_transport_end why)
{
	(void)ctx;
	(void)why;
	media_transport_delete(evil_dp.media, transport);
	evil_dp.lost = true; // a fresh one for the next input
}

static void on_transport_connected(void *ctx, uint64_t transport)
{
	(void)ctx;
	(void)transport;
}

static void on_done(void *ctx, enum media_result result)
{
	(void)ctx;
	(void)result;
}

// An honest turn: all is acknowledged.
static void honest_turn(void)
{
	struct sfu_command c;
	struct sfu_dtls_record record;

	link_poll(evil_dp.dp, now_us());
	while (link_event_room(evil_dp.dp) > 2 && link_pop_command(evil_dp.dp, &c)) {
		struct sfu_event event = {.type = SFU_EVENT_DIGEST_END};

		evil_dp.last_id = c.id;
		if (c.type == SFU_CMD_DIGEST)
			link_push_event(evil_dp.dp, &event);
		event = (struct sfu_event){.type = SFU_EVENT_ACK,
			.handle = c.handle,
			.u.ack = {.command_id = c.id, .command_type = c.type}};
		link_push_event(evil_dp.dp, &event);
	}
	while (link_pop_dtls(evil_dp.dp, &record))
		;
	uv_run(&evil_dp.loop, UV_RUN_NOWAIT);
}

static void evil_dp_attach(void)
{
	const struct media_notices notices = {
		.on_attached = on_attached,
		.on_forgotten = on_forgotten,
		.on_transport_end = on_transport_end,
		.on_transport_connected = on_transport_connected,
	};
	char path[64], err[128];
	struct media_options options = {.link_path = path};
	struct media_fingerprint f = {.algorithm = "sha-256"};
	struct media_ice ice;
	uint64_t room = 0, peer = 0;

	if (evil_dp.media != NULL) {
		media_destroy(evil_dp.media);
		uv_run(&evil_dp.loop, UV_RUN_DEFAULT);
	}
	snprintf(path, sizeof(path), "%s/b", folder);
	evil_dp.media = media_create(&evil_dp.loop, &options, err, sizeof(err));
	CHECK(evil_dp.media != NULL);
	media_set_notices(evil_dp.media, &notices);
	for (int i = 0; !media_attached(evil_dp.media); i++) {
		CHECK(i < 100000);
		honest_turn();
	}
	evil_dp.lost = false;
	CHECK(media_room_put(
		      evil_dp.media, &room, &(struct sfu_put_room){.required = 1, .epoch = 1})
		== 0);
	CHECK(media_peer_put(evil_dp.media, &peer, room, UINT64_MAX) == 0);
	CHECK(media_transport_create(
		      evil_dp.media, peer, true, "fuzz", &evil_dp.transport, &ice, on_done, NULL)
		== 0);
	for (size_t i = 0; i < 32; i++)
		memcpy(f.value + i * 3, i < 31 ? "AA:" : "AA", i < 31 ? 3 : 2);
	CHECK(media_transport_connect(evil_dp.media, evil_dp.transport, "client", &f, 1) == 0);
	honest_turn();
}

static uint8_t *evil_dp_region(const struct sfu_region_header **h)
{
	// The stats page is the last part; the header is at the start of its mapping.
	static struct sfu_region_header header;
	uint8_t *stats = (uint8_t *)link_stats_page(evil_dp.dp);
	uint64_t offset = sizeof(header) + 2 * sfu_ring_bytes(SFU_CMD_SLOTS, SFU_CMD_SLOT_BYTES)
			  + 2 * sfu_ring_bytes(SFU_DTLS_SLOTS, SFU_DTLS_SLOT_BYTES);

	if (stats == NULL)
		return NULL;
	memcpy(&header, stats - offset, sizeof(header));
	CHECK(header.magic == SFU_ABI_MAGIC && header.stats_offset_bytes == offset);
	*h = &header;
	return stats - offset;
}

static void say_event(struct input *in)
{
	struct sfu_event event;

	take_bytes(in, &event, 16 + take(in, 1) % 240);
	event.type = (uint32_t)take(in, 1) % (SFU_EVENT_TYPE_COUNT + 1);
	if (take(in, 1) & 1)
		event.handle = evil_dp.transport;
	if (event.type == SFU_EVENT_ACK && (take(in, 1) & 1))
		event.u.ack.command_id = evil_dp.last_id + take(in, 1);
	link_push_event(evil_dp.dp, &event);
}

static void punt(struct input *in)
{
	struct sfu_dtls_record record = {.transport = evil_dp.transport};

	if ((take(in, 1) & 7) == 0)
		record.transport = take(in, 8);
	record.len = (uint32_t)take(in, 2) % SFU_DTLS_MAX_BYTES + 1;
	take_bytes(in, record.bytes, record.len);
	link_push_dtls(evil_dp.dp, &record);
}

// --- a header, and a ring in memory with red zones ---------------------------------------------

static void false_header(struct input *in)
{
	struct sfu_region_header h = evil_ctl.header;
	size_t at = take(in, 1);

	take_bytes(in, (uint8_t *)&h + at, take(in, 1) % 64);
	if (link_client_header_check(&h, evil_ctl.header.region_bytes, h.generation) != NULL)
		return;
	for (int i = 0; i < SFU_RING_COUNT; i++)
		CHECK(h.ring[i].offset_bytes + sfu_ring_bytes(h.ring[i].slots, h.ring[i].slot_bytes)
			<= evil_ctl.header.region_bytes);
	CHECK(h.address_count <= SFU_MAX_ADDRESSES);
}

static void ring_on_the_heap(struct input *in)
{
	size_t bytes = sfu_ring_bytes(4, 64);
	struct sfu_ring *ring = aligned_alloc(64, bytes);
	struct sfu_ring_end end = {0};
	uint8_t element[64] = {0};
	bool wake;

	CHECK(ring != NULL);
	memset(ring, 0, bytes);
	sfu_ring_attach(&end, ring, 4, 64);
	for (int i = 0; i < 16 && in->left > 0; i++) {
		switch (take(in, 1) % 6) {
		case 0:
			atomic_store(&ring->head, take_index(in, end.own));
			break;
		case 1:
			atomic_store(&ring->tail, take_index(in, end.own));
			break;
		case 2:
			sfu_ring_pop(&end, element, true);
			break;
		case 3:
			sfu_ring_push(&end, element, &wake);
			break;
		case 4:
			CHECK(sfu_ring_count(&end) <= 4);
			break;
		default:
			sfu_ring_sleep(&end);
			break;
		}
	}
	free(ring);
}

static void one_move(struct input *in)
{
	const struct sfu_region_header *h;
	uint8_t *region;

	switch (take(in, 1) % 10) {
	case 0:
		write_word(in, evil_ctl.region, &evil_ctl.header);
		break;
	case 1:
		write_slot(in, evil_ctl.region, &evil_ctl.header, SFU_RING_CMD);
		break;
	case 2:
		write_slot(in, evil_ctl.region, &evil_ctl.header, SFU_RING_DTLS_TO_DP);
		break;
	case 3:
		use_dp_end(evil_ctl.dp);
		break;
	case 4:
		say_event(in);
		break;
	case 5:
		punt(in);
		break;
	case 6:
		honest_turn();
		break;
	case 7:
		region = evil_dp_region(&h);
		if (region != NULL)
			write_word(in, region, h);
		break;
	case 8:
		false_header(in);
		break;
	default:
		ring_on_the_heap(in);
		break;
	}
}

static void clean_up(void)
{
	char path[64];

	for (const char *name = "ab"; *name != '\0'; name++) {
		snprintf(path, sizeof(path), "%s/%c", folder, *name);
		unlink(path);
	}
	rmdir(folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	CHECK(mkdtemp(folder) != NULL);
	atexit(clean_up);
	evil_ctl.dp = dp_create("a");
	evil_dp.dp = dp_create("b");
	uv_loop_init(&evil_dp.loop);
	evil_ctl_attach();
	evil_dp_attach();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};

	for (int i = 0; i < MOVES && in.left > 0; i++)
		one_move(&in);
	use_dp_end(evil_ctl.dp);
	honest_turn();
	honest_turn();
	if (!link_attached(evil_ctl.dp))
		evil_ctl_attach();
	if (evil_dp.lost || !link_attached(evil_dp.dp) || !media_attached(evil_dp.media))
		evil_dp_attach();
	return 0;
}
