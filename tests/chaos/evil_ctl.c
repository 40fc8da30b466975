// SPDX-License-Identifier: BSD-3-Clause
/**
 * A control plane that means ill: attaches to a real sfu-dp again and again and says everything that
 * can be said over the link, well formed, slightly wrong or random, while a thread of its own flips
 * octets of the region and ring indices jump. Objects that others made are spoken of too, but never in a way that a
 * control plane is entitled to change them by: an earlier programme must live through all of it.
 *
 *   evil-ctl SOCKET SECONDS [SEED]
 *
 * Prints one line of JSON: how many messages the data plane took (by its own indices, and never more
 * than were there), how many attaches, how they ended.
 */
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "shared/command.h"
#include "shared/event.h"
#include "shared/service/descriptors.h"
#include "tests/chaos/evil.h"

/** Objects of ours: few places, so that commands meet what earlier ones made. */
#define PLACES 24u
#define OTHERS_MAX 4096u
#define ATTACH_LONGEST_US 400000u

struct evil {
	struct evil_random r;
	int fd, wake_dp, wake_ctl;
	uint8_t *region;
	size_t region_bytes;
	struct sfu_region_header header;
	struct sfu_ring_end end[SFU_RING_COUNT];
	uint64_t handles[SFU_KIND_CONSUMER + 1][PLACES]; /* that we spoke of last */
	struct sfu_digest_item others[OTHERS_MAX]; /* what there was before us */
	unsigned other_count;
	bool knows_others;
	uint32_t generation;
	uint64_t id;
	/* counted */
	uint64_t taken, events, accepted, refused, attaches, ended;
};

static bool attach(struct evil *e, const char *path)
{
	struct sfu_hello hello = {SFU_ABI_MAGIC, SFU_ABI_VERSION, 0, "evil"};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct sfu_welcome welcome = {0};
	unsigned count;
	int fds[3];

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	e->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	// A hello that is none, now and then.
	if (evil_once_in(&e->r, 50))
		evil_spoil(&e->r, &hello, sizeof(hello));
	if (connect(e->fd, (struct sockaddr *)&address, sizeof(address))
		|| send(e->fd, &hello, evil_once_in(&e->r, 100) ? evil_below(&e->r, 32) : 32,
			   MSG_NOSIGNAL)
			   < 0
		|| descriptors_receive(e->fd, &welcome, sizeof(welcome), fds, 3, &count, 0)
			   != sizeof(welcome)
		|| welcome.status != SFU_WELCOME_OK || count != 3) {
		close(e->fd);
		return false;
	}
	e->wake_dp = fds[1];
	e->wake_ctl = fds[2];
	e->region_bytes = welcome.region_bytes;
	// Cut it off under its feet, if it lets us.
	if (!ftruncate(fds[0], 0) || !ftruncate(fds[0], 1 << 30))
		abort();
	e->region = mmap(NULL, e->region_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0);
	close(fds[0]);
	if (e->region == MAP_FAILED)
		abort();
	memcpy(&e->header, e->region, sizeof(e->header));
	for (int i = 0; i < SFU_RING_COUNT; i++)
		sfu_ring_attach(&e->end[i], e->region + e->header.ring[i].offset_bytes,
			e->header.ring[i].slots, e->header.ring[i].slot_bytes);
	e->attaches++;
	return true;
}

static void detach(struct evil *e)
{
	static const enum sfu_ring_id ours[] = {SFU_RING_CMD, SFU_RING_DTLS_TO_DP};

	for (unsigned i = 0; i < 2; i++) {
		const struct sfu_ring_end *end = &e->end[ours[i]];
		uint64_t tail = atomic_load(&end->ring->tail);

		// Its own index, unless we wrote over it.
		e->taken += tail <= end->own ? tail : 0;
	}
	munmap(e->region, e->region_bytes);
	close(e->wake_dp);
	close(e->wake_ctl);
	close(e->fd);
}

static bool is_attached(struct evil *e)
{
	struct pollfd p = {.fd = e->fd, .events = POLLIN};

	return poll(&p, 1, 0) == 0;
}

/* What is said */

static uint32_t capacity(const struct evil *e, unsigned kind)
{
	const struct sfu_region_header *h = &e->header;
	const uint32_t all[] = {1, h->max_rooms, h->max_peers, h->max_transports, h->max_producers,
		h->max_consumers};

	return all[kind];
}

/** A handle of ours, mostly one that is there. The last places: sfu-ctl begins at the first. */
static uint64_t some(struct evil *e, unsigned kind)
{
	uint32_t place = evil_below(&e->r, PLACES);

	for (unsigned tries = 0; tries < 8 && !e->handles[kind][place]; tries++)
		place = evil_below(&e->r, PLACES);
	if (e->handles[kind][place] && !evil_once_in(&e->r, 16))
		return e->handles[kind][place];
	if (evil_once_in(&e->r, 50))
		return evil_random(&e->r);
	return sfu_handle_make(capacity(e, kind) - 1 - place % capacity(e, kind),
		e->generation + evil_below(&e->r, 3));
}

/** Something to make: a new one in a place, or a change of what is there. */
static uint64_t some_new(struct evil *e, unsigned kind)
{
	uint32_t place = evil_below(&e->r, PLACES);
	uint32_t index = capacity(e, kind) - 1 - place % capacity(e, kind);

	if (!e->handles[kind][place] || evil_once_in(&e->r, 16))
		return sfu_handle_make(index, ++e->generation);
	return e->handles[kind][place];
}

static void text(struct evil *e, uint8_t *out, unsigned len)
{
	for (unsigned i = 0; i < len; i++)
		out[i] = (uint8_t)('a' + evil_below(&e->r, 26));
}

static void exts(struct evil *e, struct sfu_ext_id *ext, uint8_t *count)
{
	*count = (uint8_t)evil_below(&e->r, SFU_MAX_EXTS);
	for (unsigned i = 0; i < *count; i++)
		ext[i] = (struct sfu_ext_id){(uint8_t)(i + 1), (uint8_t)(i + 1)};
}

static void producer(struct evil *e, struct sfu_put_producer *p)
{
	p->transport = some(e, SFU_KIND_TRANSPORT);
	p->flags = evil_below(&e->r, SFU_PRODUCER_FLAGS + 1);
	p->kind = (uint8_t)(SFU_AUDIO + evil_below(&e->r, 2));
	p->codec_count = (uint8_t)(1 + evil_below(&e->r, SFU_MAX_CODECS));
	for (unsigned i = 0; i < p->codec_count; i++)
		p->codec[i] = (struct sfu_producer_codec){(uint8_t)(96 + i), (uint8_t)(100 + i),
			(uint8_t)evil_below(&e->r, SFU_CODEC_RTX + 1), (uint8_t)(96 + i / 2),
			90000};
	p->encoding_count = (uint8_t)(1 + evil_below(&e->r, SFU_MAX_ENCODINGS));
	for (unsigned i = 0; i < p->encoding_count; i++)
		p->encoding[i]
			= (struct sfu_producer_encoding){.ssrc = (uint32_t)evil_random(&e->r),
				.rtx_ssrc = (uint32_t)evil_random(&e->r)};
	exts(e, p->ext, &p->ext_count);
	if (p->flags & SFU_PRODUCER_E2EE) {
		p->frame_format = (uint8_t)evil_below(&e->r, SFU_FRAME_REFERENCE + 1);
		p->kid_epoch_shift = (uint8_t)evil_below(&e->r, 60);
		p->kid_epoch_bits = 4;
	}
}

static void consumer(struct evil *e, struct sfu_put_consumer *c)
{
	c->transport = some(e, SFU_KIND_TRANSPORT);
	c->producer = some(e, SFU_KIND_PRODUCER);
	c->flags = evil_below(&e->r, 2);
	// Few SSRCs at times, so that they meet; many, so that histories fill.
	c->ssrc = evil_once_in(&e->r, 3) ? 1 + evil_below(&e->r, 100)
					 : (uint32_t)evil_random(&e->r);
	c->rtx_ssrc = evil_once_in(&e->r, 2) ? 0 : (uint32_t)evil_random(&e->r);
	c->encoding = evil_once_in(&e->r, 2) ? 255 : (uint8_t)evil_below(&e->r, SFU_MAX_ENCODINGS);
	c->payload_type_count = (uint8_t)(1 + evil_below(&e->r, SFU_MAX_CODECS));
	for (unsigned i = 0; i < c->payload_type_count; i++) {
		c->payload_type[i] = (uint8_t)(100 + i);
		c->rtx_payload_type[i] = (uint8_t)(101 + i);
	}
	exts(e, c->ext, &c->ext_count);
}

static void transport(struct evil *e, struct sfu_put_transport *t)
{
	t->peer = some(e, SFU_KIND_PEER);
	t->direction = (uint8_t)(1 + evil_below(&e->r, 2));
	t->ufrag_len = (uint8_t)(4 + evil_below(&e->r, SFU_UFRAG_BYTES - 3));
	t->pwd_len = (uint8_t)(22 + evil_below(&e->r, SFU_PWD_BYTES - 21));
	text(e, t->ufrag, t->ufrag_len);
	text(e, t->pwd, t->pwd_len);
}

static const uint8_t kind_of[SFU_CMD_TYPE_COUNT] = {
	[SFU_CMD_PUT_ROOM] = SFU_KIND_ROOM,
	[SFU_CMD_DELETE_ROOM] = SFU_KIND_ROOM,
	[SFU_CMD_PUT_PEER] = SFU_KIND_PEER,
	[SFU_CMD_DELETE_PEER] = SFU_KIND_PEER,
	[SFU_CMD_PUT_TRANSPORT] = SFU_KIND_TRANSPORT,
	[SFU_CMD_DELETE_TRANSPORT] = SFU_KIND_TRANSPORT,
	[SFU_CMD_PUT_KEYS] = SFU_KIND_TRANSPORT,
	[SFU_CMD_PUT_PRODUCER] = SFU_KIND_PRODUCER,
	[SFU_CMD_DELETE_PRODUCER] = SFU_KIND_PRODUCER,
	[SFU_CMD_PUT_CONSUMER] = SFU_KIND_CONSUMER,
	[SFU_CMD_DELETE_CONSUMER] = SFU_KIND_CONSUMER,
	[SFU_CMD_KEY_FRAME] = SFU_KIND_CONSUMER,
};

static bool is_rare(uint32_t type)
{
	return type == SFU_CMD_DIGEST || type == SFU_CMD_DELETE_ROOM || type == SFU_CMD_DELETE_PEER
	       || type == SFU_CMD_DELETE_TRANSPORT || type == SFU_CMD_DELETE_PRODUCER
	       || type == SFU_CMD_DELETE_CONSUMER;
}

/** As sfu-ctl would say it, in an order that it never would. */
static void well_formed(struct evil *e, struct sfu_command *c)
{
	c->type = 1 + evil_below(&e->r, SFU_CMD_TYPE_COUNT - 1);
	// What ends much is rare, or there would never be much.
	if (is_rare(c->type) && !evil_once_in(&e->r, c->type <= SFU_CMD_DELETE_PEER ? 400 : 20))
		c->type = evil_once_in(&e->r, 2) ? SFU_CMD_PUT_CONSUMER : SFU_CMD_PUT_TRANSPORT;
	c->version = evil_once_in(&e->r, 4) ? evil_below(&e->r, 8) : (uint32_t)(e->id >> 4) + 8;
	c->handle = some(e, kind_of[c->type]);
	switch (c->type) {
	case SFU_CMD_PUT_ROOM:
		c->handle = some_new(e, SFU_KIND_ROOM);
		c->u.room.epoch = evil_random(&e->r);
		c->u.room.required = (uint8_t)evil_below(&e->r, 2);
		c->u.room.stale = (uint8_t)evil_below(&e->r, 2);
		break;
	case SFU_CMD_PUT_PEER:
		c->handle = some_new(e, SFU_KIND_PEER);
		c->u.peer.room = some(e, SFU_KIND_ROOM);
		c->u.peer.open_until_us = evil_random(&e->r);
		break;
	case SFU_CMD_PUT_TRANSPORT:
		c->handle = some_new(e, SFU_KIND_TRANSPORT);
		transport(e, &c->u.transport);
		break;
	case SFU_CMD_PUT_KEYS:
		c->u.keys.profile
			= (uint16_t)(evil_once_in(&e->r, 2) ? 7 : 1 + evil_below(&e->r, 8));
		evil_bytes(&e->r, c->u.keys.rx_key, sizeof(c->u.keys) - 8);
		break;
	case SFU_CMD_PUT_PRODUCER:
		c->handle = some_new(e, SFU_KIND_PRODUCER);
		producer(e, &c->u.producer);
		break;
	case SFU_CMD_PUT_CONSUMER:
		c->handle = some_new(e, SFU_KIND_CONSUMER);
		consumer(e, &c->u.consumer);
		break;
	default:
		break;
	}
}

/** About what others made: everything that must not change it. */
static void about_others(struct evil *e, struct sfu_command *c)
{
	const struct sfu_digest_item *item = &e->others[evil_below(&e->r, e->other_count)];
	uint64_t handle = item->handle;

	switch (evil_below(&e->r, 4)) {
	case 0: // a generation that was, or is to be
		well_formed(e, c);
		c->handle = handle ^ (uint64_t)0x10001 << 32;
		break;
	case 1: // keys again
		c->type = SFU_CMD_PUT_KEYS;
		c->version = 2 + evil_below(&e->r, 100);
		c->handle = item->kind == SFU_KIND_TRANSPORT ? handle : ~handle;
		c->u.keys.profile = 7;
		break;
	case 2: // what they made, listened to by us: of another room
		c->type = SFU_CMD_PUT_CONSUMER;
		c->version = 1;
		c->handle = some_new(e, SFU_KIND_CONSUMER);
		consumer(e, &c->u.consumer);
		c->u.consumer.producer = handle;
		break;
	default: // an older version
		c->type = SFU_CMD_PUT_ROOM + 2 * (item->kind - 1)
			  + (item->kind > SFU_KIND_TRANSPORT);
		c->version = 0;
		c->handle = handle;
		break;
	}
}

static void command_make(struct evil *e, struct sfu_command *c, bool others)
{
	unsigned choice = evil_below(&e->r, 16);

	memset(c, 0, sizeof(*c));
	if (choice == 0) {
		evil_bytes(&e->r, c, sizeof(*c));
		c->type %= 32;
		return;
	}
	if (choice == 1 && others && e->other_count) {
		about_others(e, c);
		return;
	}
	well_formed(e, c);
	c->id = ++e->id;
	if (choice < 6)
		evil_spoil(&e->r, c, sizeof(*c));
}

static void record_make(struct evil *e, struct sfu_dtls_record *d)
{
	d->transport = some(e, SFU_KIND_TRANSPORT);
	if (e->other_count && evil_once_in(&e->r, 8))
		d->transport = ~e->others[evil_below(&e->r, e->other_count)].handle;
	d->tuple = evil_below(&e->r, 4);
	d->len = evil_once_in(&e->r, 4) ? (uint32_t)evil_random(&e->r)
					: 1 + evil_below(&e->r, SFU_DTLS_MAX_BYTES);
	evil_bytes(&e->r, d->bytes, 64);
	if (evil_once_in(&e->r, 8))
		evil_spoil(&e->r, d, sizeof(*d));
}

/* One attach */

static void wake(const struct evil *e, bool needed)
{
	static const uint64_t one = 1;

	if (needed && write(e->wake_dp, &one, sizeof(one)) < 0 && errno != EAGAIN)
		abort();
}

/** What is there and what is not, as far as answers tell. */
static void learn(struct evil *e, uint64_t handle, const struct sfu_ack *ack)
{
	unsigned kind = ack->command_type < SFU_CMD_TYPE_COUNT ? kind_of[ack->command_type] : 0;
	bool is_put = ack->command_type % 2 == (ack->command_type >= SFU_CMD_PUT_PRODUCER);
	uint32_t place;

	if (!kind || ack->command_type == SFU_CMD_PUT_KEYS
		|| ack->command_type == SFU_CMD_KEY_FRAME)
		return;
	place = capacity(e, kind) - 1 - sfu_handle_index(handle);
	if (place >= PLACES)
		return;
	if (ack->status == SFU_STATUS_OK)
		e->handles[kind][place] = is_put ? handle : 0;
	else if ((ack->status == SFU_STATUS_STALE || ack->status == SFU_STATUS_NO_OBJECT)
		 && e->handles[kind][place] == handle)
		e->handles[kind][place] = 0;
}

static void learn_digest(struct evil *e, const struct sfu_digest *digest)
{
	for (uint32_t i = 0; i < digest->count && i < SFU_DIGEST_ITEMS; i++) {
		const struct sfu_digest_item *item = &digest->item[i];
		uint32_t place;

		if (item->kind < SFU_KIND_ROOM || item->kind > SFU_KIND_CONSUMER)
			continue;
		place = capacity(e, item->kind) - 1 - sfu_handle_index(item->handle);
		if (place < PLACES)
			e->handles[item->kind][place] = item->handle;
	}
}

static void listen_to_it(struct evil *e)
{
	struct sfu_dtls_record record;
	struct sfu_event event;

	for (unsigned i = 0;
		i < 512 && sfu_ring_pop(&e->end[SFU_RING_EVENT], &event, false) == SFU_RING_OK;
		i++) {
		e->events++;
		if (event.type == SFU_EVENT_ACK)
			learn(e, event.handle, &event.u.ack);
		if (event.type == SFU_EVENT_DIGEST)
			learn_digest(e, &event.u.digest);
		if (event.type == SFU_EVENT_ACK && event.u.ack.status == SFU_STATUS_OK)
			e->accepted++;
		else if (event.type == SFU_EVENT_ACK)
			e->refused++;
	}
	sfu_ring_pop(&e->end[SFU_RING_DTLS_TO_CTL], &record, false);
}

/** What is there already: once, in an attach in which we behave. */
static void learn_others(struct evil *e)
{
	struct sfu_command ask = {.type = SFU_CMD_DIGEST, .id = 1};
	uint64_t until_us = evil_now_us() + 2000000;
	struct sfu_event event;
	bool needed;

	sfu_ring_push(&e->end[SFU_RING_CMD], &ask, &needed);
	wake(e, needed);
	while (evil_now_us() < until_us) {
		if (sfu_ring_pop(&e->end[SFU_RING_EVENT], &event, false) != SFU_RING_OK)
			continue;
		if (event.type == SFU_EVENT_DIGEST_END)
			break;
		for (uint32_t i = 0; event.type == SFU_EVENT_DIGEST && i < event.u.digest.count
				     && e->other_count < OTHERS_MAX;
			i++)
			e->others[e->other_count++] = event.u.digest.item[i];
	}
	e->knows_others = true;
}

static void attack(struct evil *e, uint64_t until_us)
{
	// Mostly one that lasts; with octets flipped below; with indices that jump.
	unsigned way = evil_below(&e->r, 10);
	bool listens = !evil_once_in(&e->r, 8), jumps = way >= 9;
	struct evil_mutator *m = NULL;
	uint64_t end_us = evil_now_us() + 1000 + evil_below(&e->r, ATTACH_LONGEST_US);
	struct sfu_dtls_record record = {0};
	struct sfu_command command;

	if (end_us > until_us)
		end_us = until_us;
	if (way >= 5)
		m = evil_mutator_start(e->region, e->region_bytes, way == 8, evil_random(&e->r));
	while (evil_now_us() < end_us && is_attached(e)) {
		for (unsigned i = 0; i < 256; i++) {
			bool needed = false;

			if (evil_once_in(&e->r, 16)) {
				record_make(e, &record);
				sfu_ring_push(&e->end[SFU_RING_DTLS_TO_DP], &record, &needed);
			} else {
				command_make(e, &command, !m);
				sfu_ring_push(&e->end[SFU_RING_CMD], &command, &needed);
			}
			wake(e, needed);
		}
		if (listens)
			listen_to_it(e);
		if (jumps && evil_once_in(&e->r, 20)) {
			struct sfu_ring *ring = e->end[evil_below(&e->r, SFU_RING_COUNT)].ring;

			evil_move(&e->r, evil_once_in(&e->r, 2) ? &ring->head : &ring->tail);
		}
	}
	evil_mutator_stop(m);
	e->ended += !is_attached(e);
}

int main(int argc, char **argv)
{
	static struct evil e;
	uint64_t until_us;

	if (argc < 3) {
		fprintf(stderr, "usage: evil-ctl SOCKET SECONDS [SEED]\n");
		return 2;
	}
	e.r.state = (argc > 3 ? strtoull(argv[3], NULL, 0) : evil_now_us()) * 2 + 1;
	e.generation = (uint32_t)(evil_now_us() >> 14);
	until_us = evil_now_us() + (uint64_t)(atof(argv[2]) * 1e6);
	while (evil_now_us() < until_us) {
		if (!attach(&e, argv[1])) {
			usleep(1000);
			continue;
		}
		if (!e.knows_others)
			learn_others(&e);
		else
			attack(&e, until_us);
		detach(&e);
	}
	printf("{\"taken\": %llu, \"events\": %llu, \"accepted\": %llu, \"refused\": %llu, "
	       "\"attaches\": %llu, \"ended\": %llu, \"others\": %u}\n",
		(unsigned long long)e.taken, (unsigned long long)e.events,
		(unsigned long long)e.accepted, (unsigned long long)e.refused,
		(unsigned long long)e.attaches, (unsigned long long)e.ended, e.other_count);
	return 0;
}
