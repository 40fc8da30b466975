// SPDX-License-Identifier: BSD-3-Clause
/*
 * Housekeeping over rings of two slots, with a control plane that stops reading: every command is taken
 * and answered once, in the end; of the datagrams that clients send meanwhile the newest are kept.
 */
#include "sfu-dp/inspect.h"
#include "sfu-dp/keeper/tie.h"
#include "sfu-dp/port.h"

// Neither a keeper nor anybody who asks, and a port that needs nobody.
#define tie_poll(tie, now_us) TIE_NONE
#define inspect_poll(inspect) 0u
#define port_turn(port, now_us, held) false
#include "sfu-dp/house.c"
#undef port_turn
#undef tie_poll
#undef inspect_poll

#include "shared/ring.h"
#include "shared/service/descriptors.h"
#include "tests/support/dp_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

_Static_assert(SFU_EVENT_SLOTS == 2, "the smallest");

#define PEERS 40u
#define COMMANDS_MAX 256u

/* The control plane, by hand. */
struct ctl {
	char folder[64], path[96];
	int socket, fds[3];
	uint8_t *region;
	struct sfu_region_header header;
	struct sfu_ring_end ring[SFU_RING_COUNT];
	/* What the data plane told. */
	unsigned acks[COMMANDS_MAX]; /* by the command's id */
	uint32_t status[COMMANDS_MAX];
	unsigned digest_items, digest_ends;
	uint64_t next_id;
};

struct setting {
	struct world *world;
	struct house house;
	struct ctl ctl;
};

static void ctl_attach(struct setting *s)
{
	const struct sfu_hello hello = {.magic = SFU_ABI_MAGIC, .abi_version = SFU_ABI_VERSION};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct ctl *c = &s->ctl;
	struct sfu_welcome welcome;
	unsigned count;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", c->path);
	c->socket = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(c->socket, (struct sockaddr *)&address, sizeof(address)), 0);
	send(c->socket, &hello, sizeof(hello), 0);
	for (int i = 0; i < 4; i++)
		turn(&s->house);
	assert_int_equal(descriptors_receive(c->socket, &welcome, sizeof(welcome), c->fds, 3,
				 &count, MSG_DONTWAIT),
		sizeof(welcome));
	assert_int_equal(welcome.status, SFU_WELCOME_OK);
	assert_int_equal(count, 3);
	c->region = mmap(
		NULL, welcome.region_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, c->fds[0], 0);
	assert_true(c->region != MAP_FAILED);
	memcpy(&c->header, c->region, sizeof(c->header));
	for (int i = 0; i < SFU_RING_COUNT; i++) {
		c->ring[i] = (struct sfu_ring_end){0};
		sfu_ring_attach(&c->ring[i], c->region + c->header.ring[i].offset_bytes,
			c->header.ring[i].slots, c->header.ring[i].slot_bytes);
	}
}

static void ctl_leave(struct ctl *c)
{
	munmap(c->region, c->header.region_bytes);
	close(c->socket);
	for (int i = 0; i < 3; i++)
		close(c->fds[i]);
}

/* False: the ring is full. */
static bool ctl_send(struct ctl *c, struct sfu_command command)
{
	bool wake;

	command.id = c->next_id;
	if (sfu_ring_push(&c->ring[SFU_RING_CMD], &command, &wake) != SFU_RING_OK)
		return false;
	c->next_id++;
	return true;
}

static void ctl_hear(struct ctl *c)
{
	struct sfu_event e;

	while (sfu_ring_pop(&c->ring[SFU_RING_EVENT], &e, false) == SFU_RING_OK) {
		if (e.type == SFU_EVENT_ACK) {
			assert_in_range(e.u.ack.command_id, 0, COMMANDS_MAX - 1);
			c->acks[e.u.ack.command_id]++;
			c->status[e.u.ack.command_id] = e.u.ack.status;
		} else if (e.type == SFU_EVENT_DIGEST) {
			c->digest_items += e.u.digest.count;
		} else if (e.type == SFU_EVENT_DIGEST_END) {
			assert_int_equal(e.u.digest_end.items, c->digest_items);
			c->digest_ends++;
		}
	}
}

/* All of it, reading only in every so many turns; the workers go on. */
static void ctl_send_all(
	struct setting *s, const struct sfu_command *commands, unsigned count, unsigned pause)
{
	uint64_t first = s->ctl.next_id;
	unsigned sent = 0;

	for (unsigned turns = 0; turns < 100000; turns++) {
		while (sent < count && ctl_send(&s->ctl, commands[sent]))
			sent++;
		turn(&s->house);
		world_turn(s->world);
		if (turns % pause == 0)
			ctl_hear(&s->ctl);
		if (sent == count && s->ctl.acks[first + count - 1])
			break;
	}
	for (uint64_t id = first; id < first + count; id++)
		assert_int_equal(s->ctl.acks[id], 1);
}

static struct sfu_command command(uint32_t type, uint32_t index)
{
	struct sfu_command cmd = {.type = type, .version = 1, .handle = sfu_handle_make(index, 1)};

	if (type == SFU_CMD_PUT_PEER)
		cmd.u.peer.room = sfu_handle_make(0, 1);
	return cmd;
}

static void every_command_is_answered(void **state)
{
	struct setting *s = *state;
	struct sfu_command commands[COMMANDS_MAX];
	struct programme_figures f;
	unsigned n = 0;

	ctl_attach(s);
	commands[n++] = command(SFU_CMD_PUT_ROOM, 0);
	for (uint32_t i = 0; i < PEERS; i++)
		commands[n++] = command(SFU_CMD_PUT_PEER, i);
	commands[n++] = command(SFU_CMD_DIGEST, 0);
	ctl_send_all(s, commands, n, 7);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(s->ctl.status[i], SFU_STATUS_OK);
	assert_int_equal(s->ctl.digest_ends, 1);
	assert_int_equal(s->ctl.digest_items, PEERS + 1);
	// Nothing is read: nothing is taken either, and no turn waits for it.
	n = 0;
	for (uint32_t i = 0; i < PEERS; i++)
		commands[n++] = command(SFU_CMD_DELETE_PEER, i);
	commands[n++] = command(SFU_CMD_DELETE_ROOM, 0);
	ctl_send(&s->ctl, commands[0]);
	ctl_send(&s->ctl, commands[1]);
	for (unsigned i = 0; i < 1000; i++)
		turn(&s->house);
	programme_figures(s->house.programme, &f);
	assert_in_range(f.peers, PEERS - 2, PEERS);
	ctl_hear(&s->ctl);
	ctl_send_all(s, commands + 2, n - 2, 11);
	programme_figures(s->house.programme, &f);
	assert_int_equal(f.peers + f.rooms, 0);
	for (uint64_t id = 0; id < s->ctl.next_id; id++)
		assert_int_equal(s->ctl.acks[id], 1);
	ctl_leave(&s->ctl);
}

static void client_sends(struct setting *s, uint32_t number)
{
	struct worker_notice n = {
		.kind = NOTICE_DTLS,
		.transport = sfu_handle_make(3, 1),
		.value = 1,
		.mbuf = rte_pktmbuf_alloc(s->world->pool),
	};

	assert_non_null(n.mbuf);
	memcpy(rte_pktmbuf_append(n.mbuf, sizeof(number)), &number, sizeof(number));
	assert_int_equal(rte_ring_sp_enqueue_elem(s->house.workers[0].to_house, &n, sizeof(n)), 0);
	turn(&s->house);
}

/* The number of the next datagram; UINT32_MAX when there is none. */
static uint32_t ctl_datagram(struct setting *s)
{
	struct sfu_dtls_record r;
	uint32_t number;

	if (sfu_ring_pop(&s->ctl.ring[SFU_RING_DTLS_TO_CTL], &r, false) != SFU_RING_OK)
		return UINT32_MAX;
	assert_int_equal(r.len, sizeof(number));
	memcpy(&number, r.bytes, sizeof(number));
	turn(&s->house);
	return number;
}

static void of_what_clients_send_the_oldest_is_dropped(void **state)
{
	const uint32_t in_ring = SFU_DTLS_SLOTS, many = 1000;
	struct setting *s = *state;
	uint32_t number;

	// Nobody is there to answer.
	client_sends(s, 0);
	assert_int_equal(s->house.count.punts_lost, 1);
	ctl_attach(s);
	client_sends(s, 7);
	assert_int_equal(ctl_datagram(s), 7);
	for (number = 0; number < many; number++)
		client_sends(s, number);
	assert_int_equal(s->house.count.punts_overtaken, many - in_ring - PUNTS_MAX);
	// What is in the ring cannot be taken back; behind it are the newest, in their order.
	for (number = 0; number < in_ring; number++)
		assert_int_equal(ctl_datagram(s), number);
	for (number = many - PUNTS_MAX; number < many; number++)
		assert_int_equal(ctl_datagram(s), number);
	assert_int_equal(ctl_datagram(s), UINT32_MAX);
	client_sends(s, 8);
	assert_int_equal(ctl_datagram(s), 8);
	// Another control plane begins with its own.
	for (number = 0; number < 10; number++)
		client_sends(s, number);
	ctl_leave(&s->ctl);
	turn(&s->house);
	assert_int_equal(s->house.count.punts_lost, 1 + 10 - in_ring);
	ctl_attach(s);
	assert_int_equal(ctl_datagram(s), UINT32_MAX);
	ctl_leave(&s->ctl);
	assert_string_equal(world_books(s->world), "");
}

static int setup(void **state)
{
	static const struct objects_limits limits = {2, PEERS, 8, 8, 8};
	struct setting *s = calloc(1, sizeof(*s));
	struct link_options options = {
		.dp_instance = 1,
		.workers = 1,
		.max_rooms = 2,
		.max_peers = PEERS,
		.max_transports = 8,
		.max_producers = 8,
		.max_consumers = 8,
	};
	struct house *h = &s->house;
	char err[256] = "";

	assert_non_null(s);
	strcpy(s->ctl.folder, "/tmp/test_house.XXXXXX");
	assert_non_null(mkdtemp(s->ctl.folder));
	snprintf(s->ctl.path, sizeof(s->ctl.path), "%s/link", s->ctl.folder);
	s->world = world_open(1, true, &limits);
	assert_non_null(s->world);
	options.path = s->ctl.path;
	h->link = link_create(&options, err, sizeof(err));
	if (!h->link)
		fail_msg("%s", err);
	h->programme = s->world->programme;
	h->objects = &s->world->objects;
	h->pool = s->world->pool;
	h->workers = s->world->workers;
	h->worker_count = 1;
	assert_int_equal(transport_events_create(&h->events, h->objects), 0);
	assert_int_equal(punts_create(&h->punts), 0);
	turn_meter_set(&h->turn, true);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct setting *s = *state;

	link_destroy(s->house.link);
	transport_events_destroy(&s->house.events);
	punts_destroy(&s->house.punts);
	world_close(s->world);
	rmdir(s->ctl.folder);
	free(s);
	return 0;
}

static int start(void **state)
{
	(void)state;
	return world_start("test_house", 1);
}

static int stop(void **state)
{
	(void)state;
	world_stop();
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_command_is_answered),
		TEST(of_what_clients_send_the_oldest_is_dropped),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
