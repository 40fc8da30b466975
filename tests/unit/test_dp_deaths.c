// SPDX-License-Identifier: BSD-3-Clause
/*
 * A data plane that dies while it applies a command: after any store into the stream state, as the
 * processor makes them, also between two halves of a copy. The region is write protected, so each
 * store traps; what it looks like then is what another process would find. That one adopts it, and has
 * the objects, gates and indices of before the command or of after it. Adoption may die the same way.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <cmocka.h>

#include "sfu-dp/state/hot.h"
#include "sfu-dp/state/restore.h"
#include "sfu-dp/table/credentials.h"
#include "tests/support/dp_world.h"

#define ROOMS 1u
#define PEERS 3u
#define TRANSPORTS 3u
#define PRODUCERS 2u
#define CONSUMERS 3u
#define MOST 3u /* of the above */
#define OPEN UINT64_MAX
/* A command's: a transport's record is cleared word by word. */
#define STORES_MAX 8192u

static const struct objects_limits limits = {ROOMS, PEERS, TRANSPORTS, PRODUCERS, CONSUMERS};
static size_t bytes; /* of a region */

// --- every store -------------------------------------------------------------------------------

static struct {
	uint8_t *region;
	uint8_t *seen; /* STORES_MAX regions: as it was after each store that changed it */
	unsigned count;
} stores;

#if defined(__x86_64__)
#define TRAP_FLAG 0x100

/* The store is made, alone: the processor traps behind it. */
static void on_store(int signal_number, siginfo_t *info, void *context)
{
	ucontext_t *c = context;
	uint8_t *at = info->si_addr;

	if (stores.region == NULL || at < stores.region || at >= stores.region + bytes) {
		signal(signal_number, SIG_DFL);
		return;
	}
	mprotect(stores.region, bytes, PROT_READ | PROT_WRITE);
	c->uc_mcontext.gregs[REG_EFL] |= TRAP_FLAG;
}

static void on_stored(int signal_number, siginfo_t *info, void *context)
{
	ucontext_t *c = context;
	uint8_t *next = stores.seen + stores.count * bytes;

	(void)signal_number;
	(void)info;
	c->uc_mcontext.gregs[REG_EFL] &= ~TRAP_FLAG;
	if (stores.count == 0 || memcmp(next - bytes, stores.region, bytes) != 0) {
		if (stores.count == STORES_MAX)
			abort();
		memcpy(next, stores.region, bytes);
		stores.count++;
	}
	mprotect(stores.region, bytes, PROT_READ);
}

static void watch_begin(const struct world *w)
{
	struct sigaction on = {.sa_sigaction = on_store, .sa_flags = SA_SIGINFO};

	stores.region = (uint8_t *)w->state.header;
	sigaction(SIGSEGV, &on, NULL);
	on.sa_sigaction = on_stored;
	sigaction(SIGTRAP, &on, NULL);
	assert_int_equal(mprotect(stores.region, bytes, PROT_READ), 0);
}

static void watch_end(void)
{
	mprotect(stores.region, bytes, PROT_READ | PROT_WRITE);
	stores.region = NULL;
	signal(SIGSEGV, SIG_DFL);
	signal(SIGTRAP, SIG_DFL);
}
#else
static void watch_begin(const struct world *w)
{
	(void)w;
	skip(); // each processor has another way to take single steps
}

static void watch_end(void)
{
}
#endif

// --- what a process has ------------------------------------------------------------------------

/* Of everything that may not be lost, opened or begun anew. */
struct picture {
	struct {
		uint64_t handle;
		uint32_t generation, version;
	} object[SFU_KIND_CONSUMER + 1][MOST];
	struct {
		uint64_t open_until_us, epoch, older_until_us;
		uint32_t stale;
	} gate[PEERS];
	struct {
		uint8_t ufrag[SFU_UFRAG_BYTES];
		uint32_t keyed, rtcp_next, rx_ssrc;
		uint64_t rx_index;
		uint32_t rtcp_source, rtcp_index;
	} transport[TRANSPORTS];
	uint32_t producer_flags[PRODUCERS];
	struct {
		uint32_t flags, encoding, started, retransmits;
		uint64_t next, rtx_next;
	} consumer[CONSUMERS];
};

static void digest_take(struct world *w, struct picture *out)
{
	struct sfu_digest d;
	uint64_t cursor = 0;

	while (programme_digest_next(w->programme, &cursor, &d)) {
		for (unsigned i = 0; i < d.count; i++) {
			const struct sfu_digest_item *item = &d.item[i];
			uint32_t index = sfu_handle_index(item->handle);

			out->object[item->kind][index].handle = item->handle;
			out->object[item->kind][index].version = item->version;
		}
	}
	for (unsigned kind = 1; kind <= SFU_KIND_CONSUMER; kind++) {
		for (uint32_t i = 0; i < w->state.limits.count[kind]; i++)
			out->object[kind][i].generation = state_generation(&w->state, kind, i);
	}
}

static void picture_take(struct world *w, struct picture *out)
{
	const struct objects *o = &w->objects;

	memset(out, 0, sizeof(*out));
	digest_take(w, out);
	for (unsigned i = 0; i < PEERS; i++) {
		const struct peer *p = &o->peers[i];

		if (p->handle == 0)
			continue;
		out->gate[i].open_until_us = atomic_load(&p->open_until_us);
		out->gate[i].epoch = atomic_load(&p->epoch);
		out->gate[i].older_until_us = atomic_load(&p->older_until_us);
		out->gate[i].stale = atomic_load(&p->stale);
	}
	for (unsigned i = 0; i < TRANSPORTS; i++) {
		struct transport *t = &o->transports[i];

		if (atomic_load(&t->handle) == 0)
			continue;
		memcpy(out->transport[i].ufrag, credentials_newest(t)->ufrag, SFU_UFRAG_BYTES);
		out->transport[i].keyed = atomic_load(&t->keys) != NULL;
		out->transport[i].rtcp_next = t->srtcp_tx.next;
		out->transport[i].rx_ssrc = t->streams[0].ssrc;
		out->transport[i].rx_index = t->streams[0].srtp.highest;
		out->transport[i].rtcp_source = t->rtcp_source_ssrc[1];
		out->transport[i].rtcp_index = t->rtcp_source[1].srtcp.highest;
	}
	for (unsigned i = 0; i < PRODUCERS; i++) {
		if (atomic_load(&o->producers[i].handle) != 0)
			out->producer_flags[i] = atomic_load(&o->producers[i].flags);
	}
	for (unsigned i = 0; i < CONSUMERS; i++) {
		const struct consumer *c = &o->consumers[i];

		if (atomic_load(&c->handle) == 0)
			continue;
		out->consumer[i].flags = atomic_load(&c->flags);
		out->consumer[i].encoding = atomic_load(&c->encoding);
		out->consumer[i].started = c->started;
		out->consumer[i].retransmits = c->rtx != NULL;
		out->consumer[i].next = c->highest_out_index;
		out->consumer[i].rtx_next = c->rtx != NULL ? c->rtx->index : 0;
	}
}

// --- a call, command by command ----------------------------------------------------------------

static uint64_t handle(uint32_t index)
{
	return sfu_handle_make(index, 1);
}

static struct sfu_command put(uint32_t type, uint32_t index, uint32_t version)
{
	struct sfu_command cmd = {.type = type, .version = version, .handle = handle(index)};
	struct sfu_put_transport *t = &cmd.u.transport;
	struct sfu_put_producer *p = &cmd.u.producer;
	struct sfu_put_consumer *c = &cmd.u.consumer;

	switch (type) {
	case SFU_CMD_PUT_ROOM:
		cmd.u.room = (struct sfu_put_room){.required = 1, .epoch = version};
		break;
	case SFU_CMD_PUT_PEER:
		cmd.u.peer = (struct sfu_put_peer){.room = handle(0), .open_until_us = OPEN};
		break;
	case SFU_CMD_PUT_TRANSPORT:
		t->peer = handle(index);
		t->direction = index == 0 ? 1 : 2;
		t->ufrag_len = (uint8_t)snprintf(
			(char *)t->ufrag, sizeof(t->ufrag), "u%u.%u", index, version);
		t->pwd_len = 22;
		memset(t->pwd, 'p', 22);
		break;
	case SFU_CMD_PUT_KEYS:
		cmd.u.keys.profile = SFU_SRTP_AEAD_AES_128_GCM;
		memset(cmd.u.keys.rx_key, 1 + (int)index, 16);
		memset(cmd.u.keys.tx_key, 11 + (int)index, 16);
		break;
	case SFU_CMD_PUT_PRODUCER:
		p->transport = handle(0);
		p->kind = SFU_AUDIO;
		p->codec_count = p->encoding_count = 1;
		p->codec[0] = (struct sfu_producer_codec){111, 100, SFU_CODEC_OPUS, 0, 48000};
		p->encoding[0].ssrc = 1000 + index;
		break;
	case SFU_CMD_PUT_CONSUMER:
		c->transport = handle(1 + index % 2);
		c->producer = handle(0);
		c->ssrc = 2000 + 2 * index;
		c->rtx_ssrc = c->ssrc + 1;
		c->encoding = 255;
		c->payload_type_count = 1;
		c->payload_type[0] = 100;
		break;
	default:
		break;
	}
	return cmd;
}

struct row {
	struct sfu_command cmd;
	uint32_t status;
};

#define ROWS_MAX 64u

static unsigned rows_make(struct row *out)
{
	unsigned n = 0;

#define ROW(s, ...) out[n++] = (struct row){.status = s, .cmd = __VA_ARGS__}
	ROW(SFU_STATUS_OK, put(SFU_CMD_PUT_ROOM, 0, 1));
	for (uint32_t i = 0; i < PEERS; i++)
		ROW(SFU_STATUS_OK, put(SFU_CMD_PUT_PEER, i, 1));
	for (uint32_t i = 0; i < TRANSPORTS; i++) {
		ROW(SFU_STATUS_OK, put(SFU_CMD_PUT_TRANSPORT, i, 1));
		ROW(SFU_STATUS_OK, put(SFU_CMD_PUT_KEYS, i, 1));
	}
	for (uint32_t i = 0; i < PRODUCERS; i++)
		ROW(SFU_STATUS_OK, put(SFU_CMD_PUT_PRODUCER, i, 1));
	for (uint32_t i = 0; i < CONSUMERS; i++)
		ROW(SFU_STATUS_OK, put(SFU_CMD_PUT_CONSUMER, i, 1));
	// A rekey: the room has another epoch, one peer is shut, then ready again, one has its grace.
	ROW(SFU_STATUS_OK, put(SFU_CMD_PUT_ROOM, 0, 2));
	out[n - 1].cmd.u.room.older_until_us = 77;
	out[n - 1].cmd.u.room.stale = SFU_STALE_DROP;
	ROW(SFU_STATUS_OK, put(SFU_CMD_PUT_PEER, 1, 2));
	out[n - 1].cmd.u.peer.open_until_us = 0;
	ROW(SFU_STATUS_OK, put(SFU_CMD_PUT_PEER, 2, 2));
	out[n - 1].cmd.u.peer.open_until_us = 1234567;
	// What is refused changes nothing, and opens nothing.
	ROW(SFU_STATUS_STALE, put(SFU_CMD_PUT_PEER, 1, 1));
	ROW(SFU_STATUS_OK, put(SFU_CMD_PUT_PEER, 1, 2));
	ROW(SFU_STATUS_OCCUPIED, put(SFU_CMD_PUT_PEER, 1, 9));
	out[n - 1].cmd.handle = sfu_handle_make(1, 2);
	ROW(SFU_STATUS_NO_PARENT, put(SFU_CMD_PUT_PEER, 1, 9));
	out[n - 1].cmd.u.peer.room = handle(3);
	ROW(SFU_STATUS_MALFORMED, put(SFU_CMD_PUT_ROOM, 0, 9));
	out[n - 1].cmd.u.room.required = 2;
	ROW(SFU_STATUS_UNSUPPORTED, put(SFU_CMD_PUT_PRODUCER, 1, 2));
	out[n - 1].cmd.u.producer.encoding[0].ssrc = 9;
	ROW(SFU_STATUS_OK, put(SFU_CMD_PUT_PRODUCER, 1, 2));
	out[n - 1].cmd.u.producer.flags = SFU_PRODUCER_PAUSED;
	ROW(SFU_STATUS_OK, put(SFU_CMD_PUT_CONSUMER, 0, 2));
	out[n - 1].cmd.u.consumer.flags = SFU_CONSUMER_PAUSED;
	out[n - 1].cmd.u.consumer.encoding = 0;
	ROW(SFU_STATUS_OK, put(SFU_CMD_PUT_PEER, 1, 3));
	ROW(SFU_STATUS_OK, put(SFU_CMD_PUT_TRANSPORT, 0, 2));
	ROW(SFU_STATUS_OK, {.type = SFU_CMD_KEY_FRAME, .handle = handle(0)});
	// Ends, and a beginning in the same place.
	ROW(SFU_STATUS_OK, {.type = SFU_CMD_DELETE_CONSUMER, .handle = handle(0)});
	ROW(SFU_STATUS_SSRC_USED, put(SFU_CMD_PUT_CONSUMER, 0, 1));
	out[n - 1].cmd.handle = sfu_handle_make(0, 2);
	ROW(SFU_STATUS_OK, put(SFU_CMD_PUT_CONSUMER, 0, 1));
	out[n - 1].cmd.handle = sfu_handle_make(0, 2);
	out[n - 1].cmd.u.consumer.ssrc = 3000;
	out[n - 1].cmd.u.consumer.rtx_ssrc = 3001;
	ROW(SFU_STATUS_OK, {.type = SFU_CMD_DELETE_TRANSPORT, .handle = handle(2)});
	ROW(SFU_STATUS_OK, put(SFU_CMD_PUT_TRANSPORT, 2, 1));
	out[n - 1].cmd.handle = sfu_handle_make(2, 2);
	ROW(SFU_STATUS_OK, {.type = SFU_CMD_DELETE_PRODUCER, .handle = handle(0)});
	ROW(SFU_STATUS_OK, {.type = SFU_CMD_DELETE_PEER, .handle = handle(1)});
	ROW(SFU_STATUS_OK, {.type = SFU_CMD_DELETE_ROOM, .handle = handle(0)});
	ROW(SFU_STATUS_NO_OBJECT, {.type = SFU_CMD_DELETE_ROOM, .handle = handle(0)});
#undef ROW
	return n;
}

/* What the workers have stored meanwhile: indices, and an SSRC that is followed. */
static void flow(uint8_t *region, uint64_t round)
{
	struct state s;

	state_open(&s, region);
	for (uint32_t i = 0; i < CONSUMERS; i++) {
		if (state_find(&s, SFU_KIND_CONSUMER, i) == NULL)
			continue;
		state_egress_start(&s.egress[i], 5000, 77, 1000, 0);
		state_egress_index(&s.egress[i], 1000 * round + i, 99, 10);
		state_egress_rtx(&s.egress[i], 2000 * round + i);
	}
	for (uint32_t i = 0; i < TRANSPORTS; i++) {
		struct state_transport *t = &s.transports[i];

		if (state_find(&s, SFU_KIND_TRANSPORT, i) == NULL)
			continue;
		if (t->rx[0].id == 0)
			state_rx_begin(&t->rx[0], 1000 + i);
		state_rx_index(&t->rx[0], 3000 * round + i);
		state_store(&t->owner, state_guard(1 + i % 2));
		if (t->rtcp[1].id == 0)
			state_rtcp_begin(&t->rtcp[1], 2000 + i, 0);
		state_rtcp_index(&t->rtcp[1], (uint32_t)(4000 * round + i));
		state_rtcp_next(t, (uint32_t)(10 * round + i));
	}
}

// --- deaths ------------------------------------------------------------------------------------

/* Another process finds this: it adopts all of it. */
static struct world *adopt(const uint8_t *region)
{
	const struct state_limits saved = state_limits_of(&limits);
	struct world *w;

	assert_int_equal(state_check(region, bytes, &saved), STATE_OK);
	w = world_on(region, 2, &limits);
	assert_non_null(w);
	assert_int_equal(programme_adopt(w->programme, w->now_us), 0);
	return w;
}

/* Each worker is said to have as many transports as it has, when what was removed is gone. */
static void assert_shares(struct world *w)
{
	unsigned has[2][3] = {{0}};

	world_turn(w);
	for (unsigned i = 0; i < TRANSPORTS; i++) {
		const struct transport *t = &w->objects.transports[i];
		unsigned owner = atomic_load(&t->owner);

		if (atomic_load(&t->handle) != 0 && owner < 2)
			has[owner][t->direction]++;
	}
	for (unsigned v = 0; v < 2; v++) {
		for (unsigned direction = 1; direction <= 2; direction++)
			assert_int_equal(atomic_load(&w->objects.shares[v].transports[direction]),
				has[v][direction]);
	}
}

static void picture_of(const uint8_t *region, struct picture *out)
{
	struct world *w = adopt(region);

	picture_take(w, out);
	assert_shares(w);
	assert_int_equal(state_check(w->state.header, bytes, &w->state.limits), STATE_OK);
	world_close(w);
}

static void must_be_either(unsigned row, unsigned store, const struct picture *is,
	const struct picture *before, const struct picture *after)
{
	if (memcmp(is, before, sizeof(*is)) != 0 && memcmp(is, after, sizeof(*is)) != 0)
		fail_msg("row %u, store %u: neither before nor after", row, store);
}

/* Apply a command to what is in region, object by object, watched; region is as it is then, and out what
 * the process has that applied it. */
static void apply_watched(uint8_t *region, const struct row *row, struct picture *out)
{
	struct world *w = adopt(region);
	uint32_t status;
	bool done;

	stores.count = 0;
	do {
		world_turn(w);
		watch_begin(w);
		done = programme_go_on(w->programme, &row->cmd, 1, &status);
		watch_end();
	} while (!done);
	assert_int_equal(status, row->status);
	picture_take(w, out);
	memcpy(region, w->state.header, bytes);
	world_close(w);
}

/* Stores of an adoption of what was found. */
static void adopt_watched(const uint8_t *found)
{
	struct world *w = world_on(found, 2, &limits);

	assert_non_null(w);
	stores.count = 0;
	watch_begin(w);
	programme_adopt(w->programme, w->now_us);
	watch_end();
	world_close(w);
}

/* Each row of the call; then with what was found after each of its stores. */
typedef unsigned (*found_fn)(unsigned row, const uint8_t *found, unsigned count,
	const struct picture *before, const struct picture *after);

static void each_row(found_fn fn)
{
	const struct state_limits saved = state_limits_of(&limits);
	uint8_t *region = calloc(1, bytes), *found = NULL;
	struct picture before, after, live;
	struct row rows[ROWS_MAX];
	unsigned count = rows_make(rows), deaths = 0;

	assert_non_null(region);
	state_format(region, &saved, 1);
	for (unsigned i = 0; i < count; i++) {
		unsigned states;

		flow(region, i + 1);
		picture_of(region, &before);
		apply_watched(region, &rows[i], &live);
		picture_of(region, &after);
		assert_memory_equal(&live, &after, sizeof(live));
		states = stores.count;
		found = realloc(found, states * bytes + 1);
		assert_non_null(found);
		memcpy(found, stores.seen, states * bytes);
		deaths += fn(i, found, states, &before, &after);
	}
	print_message("  %u deaths\n", deaths);
	free(found);
	free(region);
}

static unsigned die(unsigned row, const uint8_t *found, unsigned count,
	const struct picture *before, const struct picture *after)
{
	for (unsigned i = 0; i < count; i++) {
		struct picture is;

		picture_of(found + i * bytes, &is);
		must_be_either(row, i, &is, before, after);
	}
	return count;
}

static void a_death_at_any_store_leaves_before_or_after(void **state)
{
	(void)state;
	each_row(die);
}

/* Of so many states that were found one; 1 = of all. */
static unsigned stride(void)
{
	const char *text = getenv("SFU_DEATHS_STRIDE");

	return text != NULL && atoi(text) > 0 ? (unsigned)atoi(text) : 8;
}

static unsigned die_again(unsigned row, const uint8_t *found, unsigned count,
	const struct picture *before, const struct picture *after)
{
	unsigned deaths = 0;

	for (unsigned i = row % stride(); i < count; i += stride()) {
		adopt_watched(found + i * bytes);
		for (unsigned k = 0; k < stores.count; k++) {
			struct picture is;

			picture_of(stores.seen + k * bytes, &is);
			must_be_either(row, i, &is, before, after);
		}
		deaths += stores.count;
	}
	return deaths;
}

static void adoption_may_die_as_well(void **state)
{
	(void)state;
	each_row(die_again);
}

static int start(void **state)
{
	const struct state_limits saved = state_limits_of(&limits);

	(void)state;
	bytes = state_bytes(&saved);
	stores.seen = mmap(NULL, STORES_MAX * bytes, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return stores.seen == MAP_FAILED ? -1 : world_start("test_dp_deaths", 2);
}

static int stop(void **state)
{
	(void)state;
	world_stop();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_death_at_any_store_leaves_before_or_after),
		cmocka_unit_test(adoption_may_die_as_well),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
