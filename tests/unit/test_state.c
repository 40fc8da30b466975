// SPDX-License-Identifier: BSD-3-Clause
/*
 * The stream state as bytes: a process that dies at any store leaves the state before or after the
 * command that was under way; one that was cut, damaged or made by somebody else is not adopted.
 */
static void step(void);
#define STATE_STEP() step()
#include "sfu-dp/state/region.c"

#include "sfu-dp/state/hot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct state_limits limits = {.count = {0, 2, 3, 3, 2, 3, 3}};
static size_t bytes; /* of such a region */

/* Dying: at the n-th store from now. */
static unsigned steps_left;
static jmp_buf death;

static void step(void)
{
	if (steps_left && !--steps_left)
		longjmp(death, 1);
}

static void *region_new(void)
{
	void *memory = aligned_alloc(4096, bytes);

	assert_non_null(memory);
	memset(memory, 0, bytes);
	state_format(memory, &limits, 42);
	return memory;
}

static uint64_t handle(uint32_t index, uint32_t generation)
{
	return sfu_handle_make(index, generation);
}

static struct sfu_command put(uint32_t type, uint32_t index, uint32_t generation, uint32_t version)
{
	struct sfu_command cmd = {
		.type = type,
		.version = version,
		.id = 7,
		.handle = handle(index, generation),
	};

	// Different in every object and version.
	for (unsigned i = 0; i < sizeof(cmd.u.bytes); i++)
		cmd.u.bytes[i] = (uint8_t)(type * 31 + index * 7 + generation * 3 + version + i);
	return cmd;
}

/** What a worker and programme store beside the records when an object is made. */
static void made(struct state *s, const struct sfu_command *cmd)
{
	uint32_t index = sfu_handle_index(cmd->handle);
	uint32_t generation = sfu_handle_generation(cmd->handle);

	if (cmd->type == SFU_CMD_PUT_CONSUMER) {
		struct state_egress *e = &s->egress[index];
		uint64_t *word = &e->generation;

		for (unsigned i = 0; i < sizeof(*e) / sizeof(*word); i++)
			word[i] = state_guard(0);
		e->generation = state_guard(generation);
	} else if (cmd->type == SFU_CMD_PUT_TRANSPORT) {
		struct state_transport *t = &s->transports[index];

		memset(t, 0, sizeof(*t));
		for (uint64_t *word = &t->generation; word < (uint64_t *)(void *)&t->tuple; word++)
			*word = state_guard(0);
		t->generation = state_guard(generation);
	}
}

/** As programme_apply() does it. DELETE takes with it what the test says hangs on it. */
static void apply_records(struct state *s, const struct sfu_command *cmd)
{
	unsigned kind = state_kind_of_put(cmd->type);

	if (kind) {
		const struct sfu_command *there
			= state_find(s, kind, sfu_handle_index(cmd->handle));

		if (there && there->handle == cmd->handle && there->version >= cmd->version)
			return;
		if (!there)
			made(s, cmd);
		state_put(s, cmd);
	} else if (cmd->type == SFU_CMD_DELETE_CONSUMER) {
		state_ssrc_over(&s->transports[0], 77);
		state_forget(s, SFU_KIND_CONSUMER, sfu_handle_index(cmd->handle));
	} else {
		assert_int_equal(cmd->type, SFU_CMD_DELETE_ROOM);
		for (uint32_t i = 0; i < 3; i++)
			state_forget(s, SFU_KIND_CONSUMER, i);
		for (uint32_t i = 0; i < 2; i++)
			state_forget(s, SFU_KIND_PRODUCER, i);
		for (uint32_t i = 0; i < 3; i++)
			state_forget(s, SFU_KIND_TRANSPORT, i);
		for (uint32_t i = 0; i < 3; i++)
			state_forget(s, SFU_KIND_PEER, i);
		state_forget(s, SFU_KIND_ROOM, sfu_handle_index(cmd->handle));
	}
}

static void apply(struct state *s, const struct sfu_command *cmd)
{
	state_begin(s, cmd);
	apply_records(s, cmd);
	state_end(s);
}

/** A call that is made, changed and ended. */
static unsigned script(struct sfu_command *out)
{
	unsigned n = 0;

	out[n++] = put(SFU_CMD_PUT_ROOM, 0, 1, 1);
	out[n++] = put(SFU_CMD_PUT_PEER, 0, 1, 1);
	out[n++] = put(SFU_CMD_PUT_PEER, 1, 1, 1);
	out[n++] = put(SFU_CMD_PUT_TRANSPORT, 0, 1, 1);
	out[n++] = put(SFU_CMD_PUT_KEYS, 0, 1, 1);
	out[n++] = put(SFU_CMD_PUT_TRANSPORT, 1, 1, 1);
	out[n++] = put(SFU_CMD_PUT_PRODUCER, 0, 1, 1);
	out[n++] = put(SFU_CMD_PUT_CONSUMER, 0, 1, 1);
	out[n++] = put(SFU_CMD_PUT_CONSUMER, 1, 1, 1);
	out[n++] = put(SFU_CMD_PUT_PEER, 1, 1, 2); // a gate shuts
	out[n++] = (struct sfu_command){
		.type = SFU_CMD_DELETE_CONSUMER, .handle = handle(1, 1), .version = 1};
	out[n++] = put(SFU_CMD_PUT_CONSUMER, 1, 2, 1); // the same place again
	out[n++] = (struct sfu_command){.type = SFU_CMD_DELETE_ROOM, .handle = handle(0, 1)};
	return n;
}

/** What there is, independent of what lies in unused places. */
struct picture {
	struct sfu_command object[STATE_KINDS][3];
	uint32_t generation[STATE_KINDS][3];
};

static void picture_take(const struct state *s, struct picture *out)
{
	memset(out, 0, sizeof(*out));
	for (unsigned kind = 1; kind < STATE_KINDS; kind++) {
		for (uint32_t i = 0; i < limits.count[kind]; i++) {
			const struct sfu_command *cmd = state_find(s, kind, i);

			if (cmd)
				out->object[kind][i] = *cmd;
			out->generation[kind][i] = state_generation(s, kind, i);
		}
	}
}

static void assert_no_trace(const void *memory, const void *secret, size_t len)
{
	assert_null(memmem(memory, bytes, secret, len));
}

static void sizes_are_what_they_were(void **state)
{
	(void)state;
	assert_int_equal(STATE_VERSION, 4);
	assert_int_equal(sizeof(struct state_slot), 32);
	assert_int_equal(sizeof(struct state_egress), 64);
	assert_int_equal(sizeof(struct state_rx), 64);
	assert_int_equal(sizeof(struct state_tuple), 80);
	assert_int_equal(sizeof(struct state_rtcp), 16);
	assert_int_equal(sizeof(struct state_transport), 12992);
	assert_int_equal(offsetof(struct state_egress, next), 8);
	assert_int_equal(offsetof(struct state_transport, rx), 2496);
	assert_int_equal(offsetof(struct state_transport, checks_next), 4544);
	assert_int_equal(offsetof(struct state_transport, checks), 4800);
	assert_int_equal(offsetof(struct state_transport, rtcp), 8896);
	assert_int_equal(offsetof(struct state_header, done), 200);
}

static void a_guard_sees_every_change_of_an_octet(void **state)
{
	static const uint64_t values[] = {0, 1, 0xffff, 0x123456789abc, STATE_VALUE_MAX};

	(void)state;
	assert_false(state_guard_ok(0));
	for (unsigned v = 0; v < sizeof(values) / sizeof(values[0]); v++) {
		uint64_t word = state_guard(values[v]);

		assert_true(state_guard_ok(word));
		assert_true(state_value(word) == values[v]);
		for (unsigned octet = 0; octet < 8; octet++) {
			for (uint64_t change = 1; change < 256; change++)
				assert_false(state_guard_ok(word ^ change << 8 * octet));
		}
	}
	assert_true(state_value(state_next(STATE_VALUE_MAX)) == STATE_VALUE_MAX);
}

static void a_death_at_any_store_leaves_before_or_after(void **state)
{
	struct sfu_command commands[32];
	unsigned count = script(commands), deaths = 0;
	void *before = region_new(), *memory = aligned_alloc(4096, bytes);
	struct state s;

	(void)state;
	for (unsigned i = 0; i < count; i++) {
		struct picture was, becomes, is;
		volatile bool finished = false;

		state_open(&s, before);
		picture_take(&s, &was);
		memcpy(memory, before, bytes);
		state_open(&s, memory);
		apply(&s, &commands[i]);
		picture_take(&s, &becomes);
		for (volatile unsigned n = 1; !finished; n++) {
			const struct sfu_command *redo;

			memcpy(memory, before, bytes);
			state_open(&s, memory);
			steps_left = n;
			if (!setjmp(death)) {
				apply(&s, &commands[i]);
				finished = true;
			}
			steps_left = 0;
			deaths += !finished;
			assert_int_equal(state_check(memory, bytes, &limits), STATE_OK);
			state_open(&s, memory);
			redo = state_recover(&s);
			if (redo) {
				struct sfu_command again = *redo;

				assert_memory_equal(&again, &commands[i], sizeof(again));
				apply_records(&s, &again);
				state_end(&s);
			}
			assert_int_equal(state_check(memory, bytes, &limits), STATE_OK);
			picture_take(&s, &is);
			if (memcmp(&is, &was, sizeof(is)))
				assert_memory_equal(&is, &becomes, sizeof(is));
			else if (redo || finished)
				assert_memory_equal(&was, &becomes, sizeof(is));
		}
		memcpy(before, memory, bytes);
	}
	print_message("  %u deaths\n", deaths);
	// All is gone, the keys too.
	assert_no_trace(before, commands[4].u.bytes, 32);
	free(before);
	free(memory);
}

/** A region in the middle of a call, with something in every kind of place. */
static void *in_a_call(struct state *s)
{
	struct sfu_command commands[32];
	unsigned count = script(commands);
	struct state_transport *t;
	void *memory = region_new();

	state_open(s, memory);
	for (unsigned i = 0; i < count - 1; i++)
		apply(s, &commands[i]);
	state_egress_start(&s->egress[0], (uint64_t)-5000, 77, 0xabcdef01, 2);
	state_egress_index(&s->egress[0], 0x12345678, 99, 1000);
	state_egress_rtx(&s->egress[0], 55);
	t = &s->transports[0];
	state_store(&t->rtcp_ssrc, state_guard(0x11223344));
	state_rtcp_next(t, 500);
	state_twcc(t, 512);
	state_retire(t, 0, 4711);
	state_retire(t, 1, 4712);
	state_rx_begin(&t->rx[0], 0x99887766);
	state_rx_bind(&t->rx[0], 0x99887766, handle(0, 1), 1, 0);
	state_rx_index(&t->rx[0], 123456);
	state_rtcp_begin(&t->rtcp[0], 0x99887766, 17);
	state_rtcp_begin(&t->rtcp[2], 0x99887767, 0);
	state_rtcp_index(&t->rtcp[2], 18);
	t->tuple[0].id = 3;
	t->tuple[0].last_check_us = 1;
	memset(t->tuple[0].tuple, 9, sizeof(t->tuple[0].tuple));
	t->tuple[0].sum = state_tuple_sum(&t->tuple[0]);
	state_store(&t->path, state_guard(STATE_PATH_VALIDATED | 4 << 16));
	for (uint64_t i = 0; i < STATE_CHECKS + 3; i++)
		state_heeded(t, 0x123456789abc + i);
	state_store(&t->owner, state_guard(2));
	assert_int_equal(state_check(memory, bytes, &limits), STATE_OK);
	return memory;
}

/** What adoption reads, less what is only a hint. */
struct adopted {
	struct picture objects;
	struct state_egress egress[2];
	uint64_t head[8];
	uint64_t retired[3];
	struct state_rx rx[2];
	struct state_rtcp rtcp[STATE_RTCP_SOURCES];
	uint64_t checks_next;
	uint64_t checks[STATE_CHECKS];
};

static void adopted_take(const struct state *s, struct adopted *out)
{
	memset(out, 0, sizeof(*out));
	picture_take(s, &out->objects);
	for (unsigned i = 0; i < 2; i++) {
		out->egress[i] = s->egress[i];
		out->egress[i].about = 0;
		if (s->transports[0].rx[i].id)
			out->rx[i] = s->transports[0].rx[i];
	}
	memcpy(out->head, &s->transports[0], sizeof(out->head));
	memcpy(out->retired, s->transports[0].retired, sizeof(out->retired));
	for (unsigned i = 0; i < STATE_RTCP_SOURCES; i++) {
		if (s->transports[0].rtcp[i].id)
			out->rtcp[i] = s->transports[0].rtcp[i];
	}
	out->checks_next = s->transports[0].checks_next;
	memcpy(out->checks, s->transports[0].checks, sizeof(out->checks));
}

static void a_changed_octet_means_a_clean_start_or_no_difference(void **state)
{
	unsigned refused = 0, harmless = 0;
	struct adopted whole, is;
	struct state s;
	uint8_t *memory = in_a_call(&s);

	(void)state;
	adopted_take(&s, &whole);
	for (size_t at = 0; at < bytes; at++) {
		static const uint8_t changes[] = {0xff, 0x01, 0x80};

		for (unsigned k = 0; k < sizeof(changes); k++) {
			enum state_status status;

			memory[at] ^= changes[k];
			status = state_check(memory, bytes, &limits);
			if (status != STATE_OK) {
				refused++;
			} else {
				state_open(&s, memory);
				assert_null(state_recover(&s));
				adopted_take(&s, &is);
				// The hints may differ.
				assert_memory_equal(&is, &whole, sizeof(is));
				harmless++;
			}
			memory[at] ^= changes[k];
		}
	}
	print_message("  %u refused, %u in what is not used\n", refused, harmless);
	assert_true(refused > 5000);
	free(memory);
}

static void what_is_cut_is_not_adopted(void **state)
{
	struct state s;
	uint8_t *memory = in_a_call(&s);

	(void)state;
	for (size_t len = 0; len < bytes; len += len < 8192 ? 61 : 509) {
		// Of exactly this size, so that a sanitizer sees a look behind it.
		uint8_t *cut = malloc(len ? len : 1);

		assert_non_null(cut);
		memcpy(cut, memory, len);
		assert_int_equal(state_check(cut, len, &limits), STATE_DAMAGED);
		free(cut);
	}
	free(memory);
}

static void what_others_made_is_not_adopted(void **state)
{
	struct state_limits other = limits;
	struct state s;
	uint8_t *memory = in_a_call(&s);
	struct state_header *h = (void *)memory;
	uint64_t random = 88172645463325252u;

	(void)state;
	other.count[SFU_KIND_CONSUMER]++;
	assert_int_equal(state_check(memory, bytes, &other), STATE_LIMITS);
	h->version = STATE_VERSION - 1;
	h->sum = header_sum(h);
	assert_int_equal(state_check(memory, bytes, &limits), STATE_FOREIGN);
	memset(memory, 0, bytes);
	assert_int_equal(state_check(memory, bytes, &limits), STATE_EMPTY);
	for (unsigned round = 0; round < 2000; round++) {
		for (size_t i = 0; i < bytes; i += sizeof(random)) {
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			memcpy(memory + i, &random, sizeof(random));
		}
		// Also behind a header that is right.
		if (round & 1) {
			memset(memory, 0, STATE_HEADER_BYTES);
			state_format(memory, &limits, 1);
		}
		assert_int_not_equal(state_check(memory, bytes, &limits), STATE_OK);
	}
	free(memory);
}

static void a_command_that_makes_no_sense_is_no_trap(void **state)
{
	struct sfu_command wild = put(SFU_CMD_PUT_CONSUMER, 0, 1, 1);
	struct state s;
	void *memory = in_a_call(&s);

	(void)state;
	// Begun, and its process died before it could be refused.
	wild.handle = handle(UINT32_MAX, 9);
	state_begin(&s, &wild);
	assert_int_equal(state_check(memory, bytes, &limits), STATE_OK);
	state_open(&s, memory);
	assert_non_null(state_recover(&s));
	state_end(&s);
	assert_int_equal(state_check(memory, bytes, &limits), STATE_OK);
	free(memory);
}

static void no_ssrc_that_is_over_is_forgotten(void **state)
{
	// As sfu-ctl gives them out, from anywhere on the circle; and in no order.
	static const uint32_t bases[] = {2, 0x7ffffff0, 0xfffffff0, 0xfffffffe};
	uint64_t x = 88172645463325252ull;
	struct state s;
	void *memory = in_a_call(&s);
	struct state_transport *t = &s.transports[1];

	(void)state;
	for (unsigned b = 0; b < sizeof(bases) / sizeof(bases[0]); b++) {
		t->over_first = t->over_count = state_guard(0);
		for (uint32_t n = 0; n < 1000; n++) {
			uint32_t ssrc = bases[b] + 2 * n;

			// The latest is never refused, nor is the one before, which stays longer.
			assert_false(ssrc && state_ssrc_is_over(t, ssrc));
			if (n)
				state_ssrc_over(t, ssrc - 2);
		}
		for (uint32_t n = 0; n < 999; n++)
			assert_true(!(bases[b] + 2 * n) || state_ssrc_is_over(t, bases[b] + 2 * n));
		assert_true(state_value(t->over_count) <= 1998);
	}
	for (unsigned round = 0; round < 200; round++) {
		uint32_t given[20];

		t->over_first = t->over_count = state_guard(0);
		for (unsigned n = 0; n < 20; n++) {
			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			given[n] = (uint32_t)(x >> 20) >> x % 31;
			state_ssrc_over(t, given[n]);
			for (unsigned k = 0; k <= n; k++)
				assert_true(!given[k] || state_ssrc_is_over(t, given[k]));
		}
	}
	state_ssrc_over(t, 0);
	free(memory);
}

static void a_range_of_ssrcs_is_whole_after_any_store(void **state)
{
	static const uint32_t given[] = {1000, 1002, 900, 0xffffff00, 1004, 800, 5, 0x90000000};
	struct state s;
	void *memory = in_a_call(&s);
	struct state_transport *t = &s.transports[1];

	(void)state;
	for (unsigned i = 0; i < sizeof(given) / sizeof(given[0]); i++) {
		for (unsigned n = 1; n <= 3; n++) {
			const struct state_transport before = *t;

			steps_left = n;
			if (!setjmp(death))
				state_ssrc_over(t, given[i]);
			steps_left = 0;
			assert_int_equal(state_check(memory, bytes, &limits), STATE_OK);
			for (unsigned k = 0; k < i; k++)
				assert_true(state_ssrc_is_over(t, given[k]));
			*t = before;
		}
		state_ssrc_over(t, given[i]);
		assert_true(state_ssrc_is_over(t, given[i]));
	}
	free(memory);
}

static int setup(void **state)
{
	(void)state;
	bytes = state_bytes(&limits);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_what_they_were),
		cmocka_unit_test(a_guard_sees_every_change_of_an_octet),
		cmocka_unit_test(a_death_at_any_store_leaves_before_or_after),
		cmocka_unit_test(a_changed_octet_means_a_clean_start_or_no_difference),
		cmocka_unit_test(what_is_cut_is_not_adopted),
		cmocka_unit_test(what_others_made_is_not_adopted),
		cmocka_unit_test(a_command_that_makes_no_sense_is_no_trap),
		cmocka_unit_test(no_ssrc_that_is_over_is_forgotten),
		cmocka_unit_test(a_range_of_ssrcs_is_whole_after_any_store),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
