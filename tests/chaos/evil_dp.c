// SPDX-License-Identifier: BSD-3-Clause
/**
 * A data plane that means ill: a real sfu-ctl attaches to it again and again and gets everything that
 * can be said over the link: forged and flooded answers, digests, events and DTLS records, well formed,
 * slightly wrong or random, for transports that are there and that are not; headers that lie; while a
 * thread of its own flips octets of the region and ring indices jump. In between it plays along for a while, so
 * that the control plane makes rooms and transports with it.
 *
 *   evil-dp SOCKET SECONDS [SEED]
 *
 * Prints one line of JSON: how many messages the control plane took, and how many hop keys it gave:
 * none, for no handshake here was ever finished by anybody.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "shared/command.h"
#include "shared/event.h"
#include "shared/service/descriptors.h"
#include "tests/chaos/evil.h"

#define FDS_MOST 8u
#define SEEN 64u
/** Of an attach: long enough for clients to get a transport, in which it behaves but for floods. */
#define LIFE_US 1500000u

struct evil {
	struct evil_random r;
	int fd, wake_dp, wake_ctl;
	uint8_t *region;
	struct sfu_region_header header;
	struct sfu_ring_end end[SFU_RING_COUNT];
	uint64_t transports[SEEN], producers[SEEN]; /* that it told us of */
	unsigned transport_count, producer_count;
	uint64_t last_id; /* of its commands */
	/* counted */
	uint64_t taken, commands, keys, attaches, ended, ready;
};

/* The region */

static int region_make(struct evil *e)
{
	size_t bytes = evil_layout(&e->header);
	int fd = memfd_create("evil", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, (off_t)bytes))
		abort();
	e->region = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (e->region == MAP_FAILED)
		abort();
	e->header.generation = evil_now_us();
	e->header.workers = 1;
	e->header.max_rooms = 256;
	e->header.max_peers = 512;
	e->header.max_transports = 512;
	e->header.max_producers = 512;
	e->header.max_consumers = 1024;
	e->header.address_count = 1;
	e->header.address[0]
		= (struct sfu_address){.family = 4, .port = 40000, .addr = {127, 0, 0, 1}};
	e->header.dp_instance = evil_random(&e->r);
	memcpy(e->region, &e->header, sizeof(e->header));
	for (int i = 0; i < SFU_RING_COUNT; i++)
		sfu_ring_attach(&e->end[i], e->region + e->header.ring[i].offset_bytes,
			e->header.ring[i].slots, e->header.ring[i].slot_bytes);
	// One that lies, or that could be cut off.
	if (evil_once_in(&e->r, 8))
		evil_spoil(&e->r, e->region, offsetof(struct sfu_region_header, reserved));
	if (!evil_once_in(&e->r, 20))
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	return fd;
}

static void greet(struct evil *e)
{
	struct sfu_welcome welcome
		= {SFU_ABI_MAGIC, SFU_ABI_VERSION, SFU_WELCOME_OK, e->header.region_bytes, 0};
	int fds[FDS_MOST] = {region_make(e), eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
	unsigned count = evil_once_in(&e->r, 20) ? evil_below(&e->r, FDS_MOST + 1) : 3;

	e->wake_dp = fds[1];
	e->wake_ctl = fds[2];
	welcome.region_bytes = e->header.region_bytes;
	welcome.generation = e->header.generation;
	if (evil_once_in(&e->r, 10))
		evil_spoil(&e->r, &welcome, sizeof(welcome));
	for (unsigned i = 3; i < FDS_MOST; i++)
		fds[i] = e->wake_ctl;
	if (descriptors_send(e->fd, &welcome, sizeof(welcome), fds, count) < 0)
		e->ended++;
	close(fds[0]);
}

static void part(struct evil *e)
{
	static const enum sfu_ring_id ours[] = {SFU_RING_EVENT, SFU_RING_DTLS_TO_CTL};

	for (unsigned i = 0; i < 2; i++) {
		const struct sfu_ring_end *end = &e->end[ours[i]];
		uint64_t tail = atomic_load(&end->ring->tail);

		e->taken += tail <= end->own ? tail : 0;
	}
	munmap(e->region, e->header.region_bytes);
	close(e->wake_dp);
	close(e->wake_ctl);
	close(e->fd);
	e->transport_count = e->producer_count = 0;
}

static bool is_attached(struct evil *e)
{
	struct pollfd p = {.fd = e->fd, .events = POLLIN};

	return poll(&p, 1, 0) == 0;
}

/* What is said */

static uint64_t some(struct evil *e, const uint64_t *of, unsigned count)
{
	if (count && !evil_once_in(&e->r, 8))
		return of[evil_below(&e->r, count < SEEN ? count : SEEN)];
	return evil_once_in(&e->r, 2)
		       ? evil_random(&e->r)
		       : sfu_handle_make(evil_below(&e->r, 600), evil_below(&e->r, 1u << 20));
}

static uint64_t some_transport(struct evil *e)
{
	return some(e, e->transports, e->transport_count);
}

static void event_make(struct evil *e, struct sfu_event *v)
{
	memset(v, 0, sizeof(*v));
	if (evil_once_in(&e->r, 16)) {
		evil_bytes(&e->r, v, sizeof(*v));
		v->type %= 16;
		// A digest that nobody asked for ends the attach: not every time.
		if (v->type == SFU_EVENT_DIGEST || v->type == SFU_EVENT_DIGEST_END)
			v->type = evil_once_in(&e->r, 50000) ? v->type : SFU_EVENT_ACK;
		return;
	}
	v->handle = some_transport(e);
	switch (evil_below(&e->r, 4)) {
	case 0:
		v->type = SFU_EVENT_ACK;
		// Not yet asked, asked long ago, or next.
		v->u.ack.command_id = e->last_id + evil_below(&e->r, 64) - 48;
		v->u.ack.command_type = evil_below(&e->r, SFU_CMD_TYPE_COUNT + 2);
		v->u.ack.status = evil_below(&e->r, 10);
		break;
	case 1:
		v->type = SFU_EVENT_TRANSPORT;
		v->u.transport.state = evil_once_in(&e->r, 20000) ? SFU_TRANSPORT_CONSENT_LOST
								  : evil_below(&e->r, 3);
		v->u.transport.worker = (uint32_t)evil_random(&e->r);
		break;
	case 2:
		v->type = SFU_EVENT_SPEAKER;
		v->u.speaker.transport = some_transport(e);
		v->u.speaker.producer = some(e, e->producers, e->producer_count);
		v->u.speaker.loudness = (uint32_t)evil_random(&e->r);
		break;
	default:
		v->type = SFU_EVENT_TYPE_COUNT + evil_below(&e->r, 1000);
		break;
	}
	if (evil_once_in(&e->r, 4))
		evil_spoil(&e->r, &v->u, sizeof(v->u));
}

/** The beginning of a ClientHello (RFC 6347, 4.2), so that some get as far as OpenSSL. */
static void hello_make(struct evil *e, struct sfu_dtls_record *d)
{
	static const uint8_t begin[] = {22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 66, /* record */
		1, 0, 0, 54, 0, 0, 0, 0, 0, 0, 0, 54, /* handshake */
		0xfe, 0xfd}; /* then random, session, cookie, suites, compression */
	static const uint8_t end[]
		= {0, 0, 0, 4, 0xc0, 0x2b, 0xc0, 0x2f, 1, 0, 0, 8, 0, 10, 0, 4, 0, 2, 0, 23};

	memcpy(d->bytes, begin, sizeof(begin));
	evil_bytes(&e->r, d->bytes + sizeof(begin), 32);
	memcpy(d->bytes + sizeof(begin) + 32, end, sizeof(end));
	d->len = sizeof(begin) + 32 + sizeof(end);
}

static void record_make(struct evil *e, struct sfu_dtls_record *d)
{
	d->transport = some_transport(e);
	d->tuple = evil_below(&e->r, 4);
	switch (evil_below(&e->r, 4)) {
	case 0:
		hello_make(e, d);
		break;
	case 1:
		hello_make(e, d);
		evil_spoil(&e->r, d->bytes, d->len);
		break;
	case 2: // a record of any kind
		evil_bytes(&e->r, d->bytes, 128);
		d->bytes[0] = (uint8_t)(20 + evil_below(&e->r, 5));
		d->bytes[1] = 0xfe;
		d->bytes[2] = 0xfd;
		d->len = 1 + evil_below(&e->r, SFU_DTLS_MAX_BYTES);
		break;
	default:
		evil_bytes(&e->r, d->bytes, 64);
		d->len = (uint32_t)evil_random(&e->r);
		break;
	}
}

/* What is heard */

static void wake(const struct evil *e, bool needed)
{
	static const uint64_t one = 1;

	if (needed && write(e->wake_ctl, &one, sizeof(one)) < 0)
		return;
}

static void say(struct evil *e, const struct sfu_event *v)
{
	bool needed = false;

	sfu_ring_push(&e->end[SFU_RING_EVENT], v, &needed);
	wake(e, needed);
}

static void answer(struct evil *e, const struct sfu_command *c)
{
	struct sfu_event v = {.type = SFU_EVENT_ACK, .handle = c->handle};
	uint64_t items = 0;

	e->last_id = c->id;
	if (c->type == SFU_CMD_DIGEST) {
		if (evil_once_in(&e->r, 6)) {
			struct sfu_event junk = {.type = SFU_EVENT_DIGEST};

			evil_bytes(&e->r, &junk.u, sizeof(junk.u));
			junk.u.digest.count = evil_below(&e->r, SFU_DIGEST_ITEMS + 2);
			for (unsigned i = 0; i < SFU_DIGEST_ITEMS; i++)
				junk.u.digest.item[i].kind %= 8;
			items = junk.u.digest.count;
			say(e, &junk);
		}
		say(e, &(struct sfu_event){
			       .type = SFU_EVENT_DIGEST_END, .u.digest_end.items = items});
		e->ready++;
	}
	v.u.ack.command_id = c->id;
	v.u.ack.command_type = c->type;
	v.u.ack.status = evil_once_in(&e->r, 50) ? evil_below(&e->r, 10) : SFU_STATUS_OK;
	if (!evil_once_in(&e->r, 100))
		say(e, &v);
}

static void listen_to_it(struct evil *e)
{
	struct sfu_dtls_record record;
	struct sfu_command c;

	while (sfu_ring_pop(&e->end[SFU_RING_CMD], &c, true) == SFU_RING_OK) {
		e->commands++;
		e->keys += c.type == SFU_CMD_PUT_KEYS;
		if (c.type == SFU_CMD_PUT_TRANSPORT)
			e->transports[e->transport_count++ % SEEN] = c.handle;
		if (c.type == SFU_CMD_PUT_PRODUCER)
			e->producers[e->producer_count++ % SEEN] = c.handle;
		answer(e, &c);
	}
	sfu_ring_pop(&e->end[SFU_RING_DTLS_TO_DP], &record, false);
}

/* One attach */

static void attack(struct evil *e, uint64_t until_us)
{
	unsigned way = evil_below(&e->r, 10);
	bool jumps = way == 9;
	struct evil_mutator *m = NULL;
	uint64_t now_us = evil_now_us(), begin_us = now_us;
	uint64_t end_us = now_us + 100000 + evil_below(&e->r, LIFE_US);
	struct sfu_dtls_record record = {0};
	struct sfu_stats_page *page = (void *)(e->region + e->header.stats_offset_bytes);
	struct sfu_event event;

	if (end_us > until_us)
		end_us = until_us;
	for (; now_us < end_us && is_attached(e); now_us = evil_now_us()) {
		bool needed = false;

		__atomic_store_n(&page->updated_us, now_us, __ATOMIC_RELAXED);
		listen_to_it(e);
		// Half a second in which rooms and transports are made, amid the flood.
		if (!m && way >= 6 && now_us - begin_us > 500000)
			m = evil_mutator_start(
				e->region, e->header.region_bytes, way == 8, evil_random(&e->r));
		for (unsigned i = 0; i < 64; i++) {
			event_make(e, &event);
			// Room for answers is left, or there would be no transports.
			if (sfu_ring_room(&e->end[SFU_RING_EVENT]) > 64)
				sfu_ring_push(&e->end[SFU_RING_EVENT], &event, &needed);
			if (i % 4 == 0) {
				record_make(e, &record);
				sfu_ring_push(&e->end[SFU_RING_DTLS_TO_CTL], &record, &needed);
			}
			wake(e, needed);
		}
		if (jumps && now_us - begin_us > 500000 && evil_once_in(&e->r, 50)) {
			struct sfu_ring *ring = e->end[evil_below(&e->r, SFU_RING_COUNT)].ring;

			evil_move(&e->r, evil_once_in(&e->r, 2) ? &ring->head : &ring->tail);
		}
	}
	evil_mutator_stop(m);
	e->ended += !is_attached(e);
}

static int listen_at(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) || chmod(path, 0666)
		|| listen(fd, 8)) {
		perror("evil-dp");
		exit(2);
	}
	return fd;
}

int main(int argc, char **argv)
{
	static struct evil e;
	uint64_t until_us;
	int listener;

	if (argc < 3) {
		fprintf(stderr, "usage: evil-dp SOCKET SECONDS [SEED]\n");
		return 2;
	}
	e.r.state = (argc > 3 ? strtoull(argv[3], NULL, 0) : evil_now_us()) * 2 + 1;
	until_us = evil_now_us() + (uint64_t)(atof(argv[2]) * 1e6);
	listener = listen_at(argv[1]);
	while (evil_now_us() < until_us) {
		struct pollfd p = {.fd = listener, .events = POLLIN};
		struct sfu_hello hello;

		if (poll(&p, 1, 100) != 1)
			continue;
		e.fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (e.fd < 0 || recv(e.fd, &hello, sizeof(hello), 0) != sizeof(hello)) {
			close(e.fd);
			continue;
		}
		e.attaches++;
		greet(&e);
		attack(&e, until_us);
		part(&e);
	}
	printf("{\"taken\": %llu, \"commands\": %llu, \"keys\": %llu, \"attaches\": %llu, "
	       "\"ended\": %llu, \"digests\": %llu}\n",
		(unsigned long long)e.taken, (unsigned long long)e.commands,
		(unsigned long long)e.keys, (unsigned long long)e.attaches,
		(unsigned long long)e.ended, (unsigned long long)e.ready);
	return 0;
}
