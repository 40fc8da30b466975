// SPDX-License-Identifier: BSD-3-Clause
static void step(void);
#define RING_STEP() step()
#include "shared/ring.c"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/sanitizer.h"

#define SLOTS 8u
#define BYTES 256u

// Dying: the process is killed at its n-th store from now; 0 = it lives.
static unsigned steps_left;

static void step(void)
{
	if (steps_left && !--steps_left)
		raise(SIGKILL);
}

struct fixture {
	void *memory;
	struct sfu_ring_end producer, consumer;
};

// Guard pages around the ring: a step outside is a crash, not a guess.
static void *region_create(size_t bytes)
{
	size_t page = 4096;
	size_t whole = (bytes + page - 1) & ~(page - 1);
	uint8_t *base = mmap(NULL, whole + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(base != MAP_FAILED);
	assert_true(mmap(base + page, whole, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0)
		    != MAP_FAILED);
	return base + page;
}

static void region_destroy(void *region, size_t bytes)
{
	size_t page = 4096;
	size_t whole = (bytes + page - 1) & ~(page - 1);

	munmap((uint8_t *)region - page, whole + 2 * page);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->memory = region_create(sfu_ring_bytes(SLOTS, BYTES));
	sfu_ring_attach(&f->producer, f->memory, SLOTS, BYTES);
	sfu_ring_attach(&f->consumer, f->memory, SLOTS, BYTES);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	region_destroy(f->memory, sfu_ring_bytes(SLOTS, BYTES));
	free(f);
	return 0;
}

static void fill(uint8_t *element, uint64_t number)
{
	uint64_t sum = 0x9e3779b97f4a7c15ull;

	for (size_t i = 0; i < BYTES / 8 - 1; i++) {
		uint64_t word = number * 0x2545f4914f6cdd1dull + i;

		if (i == 0)
			word = number;
		memcpy(element + i * 8, &word, 8);
		sum = (sum ^ word) * 0x100000001b3ull;
	}
	memcpy(element + BYTES - 8, &sum, 8);
}

// The number in an element, UINT64_MAX when it is torn.
static uint64_t check(const uint8_t *element)
{
	uint64_t number;
	uint8_t expected[BYTES];

	memcpy(&number, element, 8);
	fill(expected, number);
	return memcmp(expected, element, BYTES) == 0 ? number : UINT64_MAX;
}

static void size_is_a_multiple_of_a_cache_line(void **state)
{
	(void)state;
	assert_int_equal(sfu_ring_bytes(8, 256), 192 + 8 * 256);
	assert_int_equal(sfu_ring_bytes(2, 40), 192 + 128);
}

static void elements_come_out_in_order_and_whole(void **state)
{
	struct fixture *f = *state;
	uint8_t element[BYTES];
	bool wake;

	assert_int_equal(sfu_ring_pop(&f->consumer, element, false), SFU_RING_EMPTY);
	for (uint64_t n = 0; n < 1000; n++) {
		// A different fill each time, so that the wrap falls everywhere.
		uint64_t burst = n % (SLOTS + 1);

		for (uint64_t i = 0; i < burst; i++) {
			fill(element, n * 100 + i);
			assert_int_equal(sfu_ring_push(&f->producer, element, &wake), SFU_RING_OK);
			assert_false(wake);
		}
		assert_int_equal(sfu_ring_count(&f->consumer), burst);
		assert_int_equal(sfu_ring_room(&f->producer), SLOTS - burst);
		for (uint64_t i = 0; i < burst; i++) {
			assert_int_equal(sfu_ring_pop(&f->consumer, element, false), SFU_RING_OK);
			assert_int_equal(check(element), n * 100 + i);
		}
		assert_int_equal(sfu_ring_pop(&f->consumer, element, false), SFU_RING_EMPTY);
	}
}

static void a_full_ring_refuses_and_keeps_what_it_has(void **state)
{
	struct fixture *f = *state;
	uint8_t element[BYTES];
	bool wake;

	for (uint64_t i = 0; i < SLOTS; i++) {
		fill(element, i);
		assert_int_equal(sfu_ring_push(&f->producer, element, &wake), SFU_RING_OK);
	}
	fill(element, 77);
	assert_int_equal(sfu_ring_push(&f->producer, element, &wake), SFU_RING_FULL);
	assert_int_equal(sfu_ring_room(&f->producer), 0);
	assert_int_equal(sfu_ring_pop(&f->consumer, element, false), SFU_RING_OK);
	assert_int_equal(check(element), 0);
	fill(element, SLOTS);
	assert_int_equal(sfu_ring_push(&f->producer, element, &wake), SFU_RING_OK);
	for (uint64_t i = 1; i <= SLOTS; i++) {
		assert_int_equal(sfu_ring_pop(&f->consumer, element, false), SFU_RING_OK);
		assert_int_equal(check(element), i);
	}
}

static void wiping_leaves_nothing_in_the_slot(void **state)
{
	struct fixture *f = *state;
	uint8_t element[BYTES], zero[BYTES] = {0};
	struct sfu_ring *ring = f->memory;
	bool wake;

	fill(element, 5);
	sfu_ring_push(&f->producer, element, &wake);
	assert_memory_not_equal(ring->slots, zero, BYTES);
	assert_int_equal(sfu_ring_pop(&f->consumer, element, true), SFU_RING_OK);
	assert_int_equal(check(element), 5);
	assert_memory_equal(ring->slots, zero, BYTES);
}

static void a_sleeper_is_woken_once(void **state)
{
	struct fixture *f = *state;
	uint8_t element[BYTES];
	bool wake;

	fill(element, 1);
	assert_true(sfu_ring_sleep(&f->consumer));
	sfu_ring_push(&f->producer, element, &wake);
	assert_true(wake);
	sfu_ring_push(&f->producer, element, &wake);
	assert_false(wake);
	assert_false(sfu_ring_sleep(&f->consumer));
	sfu_ring_push(&f->producer, element, &wake);
	assert_false(wake);
	for (int i = 0; i < 3; i++)
		sfu_ring_pop(&f->consumer, element, false);
	assert_true(sfu_ring_sleep(&f->consumer));
	sfu_ring_awake(&f->consumer);
	sfu_ring_push(&f->producer, element, &wake);
	assert_false(wake);
}

static void hostile_head_poisons_the_consumer(void **state)
{
	struct fixture *f = *state;
	struct sfu_ring *ring = f->memory;
	static const uint64_t heads[] = {SLOTS + 1, SLOTS * 2, UINT32_MAX, 1ull << 32, 1ull << 63,
		UINT64_MAX, UINT64_MAX - SLOTS};
	uint8_t element[BYTES];

	for (size_t i = 0; i < sizeof(heads) / sizeof(*heads); i++) {
		sfu_ring_attach(&f->consumer, f->memory, SLOTS, BYTES);
		atomic_store(&ring->head, heads[i]);
		assert_int_equal(sfu_ring_pop(&f->consumer, element, false), SFU_RING_POISONED);
		assert_true(f->consumer.poisoned);
		// For good, also when the index looks sane again.
		atomic_store(&ring->head, 1);
		assert_int_equal(sfu_ring_pop(&f->consumer, element, false), SFU_RING_POISONED);
		assert_int_equal(sfu_ring_count(&f->consumer), 0);
		assert_false(sfu_ring_sleep(&f->consumer));
	}
}

static void a_head_that_steps_back_poisons_the_consumer(void **state)
{
	struct fixture *f = *state;
	struct sfu_ring *ring = f->memory;
	uint8_t element[BYTES];

	atomic_store(&ring->head, 5);
	assert_int_equal(sfu_ring_count(&f->consumer), 5);
	atomic_store(&ring->head, 4);
	assert_int_equal(sfu_ring_count(&f->consumer), 0);
	assert_true(f->consumer.poisoned);
	assert_int_equal(sfu_ring_pop(&f->consumer, element, false), SFU_RING_POISONED);
}

static void hostile_tail_poisons_the_producer(void **state)
{
	struct fixture *f = *state;
	struct sfu_ring *ring = f->memory;
	static const uint64_t tails[] = {SLOTS + 1, 1ull << 32, 1ull << 63, UINT64_MAX};
	uint8_t element[BYTES] = {0};
	bool wake;

	for (size_t i = 0; i < sizeof(tails) / sizeof(*tails); i++) {
		sfu_ring_attach(&f->producer, f->memory, SLOTS, BYTES);
		atomic_store(&ring->tail, 0);
		for (uint32_t n = 0; n < SLOTS; n++)
			assert_int_equal(sfu_ring_push(&f->producer, element, &wake), SFU_RING_OK);
		atomic_store(&ring->tail, tails[i]);
		assert_int_equal(sfu_ring_push(&f->producer, element, &wake), SFU_RING_POISONED);
		assert_false(wake);
		assert_int_equal(sfu_ring_room(&f->producer), 0);
	}
}

static void indices_pass_the_end_of_the_world(void **state)
{
	struct fixture *f = *state;
	struct sfu_ring *ring = f->memory;
	uint8_t element[BYTES];
	bool wake;

	// As if 2^64 - 3 elements had passed.
	f->producer.own = f->producer.peer = f->consumer.own = f->consumer.peer = UINT64_MAX - 2;
	atomic_store(&ring->head, UINT64_MAX - 2);
	atomic_store(&ring->tail, UINT64_MAX - 2);
	for (uint64_t i = 0; i < 20; i++) {
		fill(element, i);
		assert_int_equal(sfu_ring_push(&f->producer, element, &wake), SFU_RING_OK);
		assert_int_equal(sfu_ring_pop(&f->consumer, element, false), SFU_RING_OK);
		assert_int_equal(check(element), i);
	}
}

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

// --- two threads -------------------------------------------------------------------------------

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define STRESS 200000u
#else
#define STRESS 2000000u
#endif

struct stress {
	struct sfu_ring_end producer;
	_Atomic uint64_t wakes;
	uint64_t pushed;
};

static void *stress_producer(void *arg)
{
	struct stress *s = arg;
	uint8_t element[BYTES];
	bool wake;

	for (uint64_t n = 0; n < STRESS; n++) {
		fill(element, n);
		while (sfu_ring_push(&s->producer, element, &wake) == SFU_RING_FULL)
			sched_yield();
		if (wake)
			atomic_fetch_add(&s->wakes, 1);
		s->pushed++;
	}
	return NULL;
}

// The consumer sleeps in earnest: it waits for the wake count to move. A lost wake-up hangs here
// and is reported.
static void two_threads_lose_nothing_and_no_wake_up(void **state)
{
	struct fixture *f = *state;
	struct stress s = {.producer = f->producer};
	uint8_t element[BYTES];
	uint64_t expected = 0, sleeps = 0, seen = 0;
	pthread_t thread;

	pthread_create(&thread, NULL, stress_producer, &s);
	while (expected < STRESS) {
		enum sfu_ring_status status = sfu_ring_pop(&f->consumer, element, expected & 1);

		if (status == SFU_RING_OK) {
			uint64_t number;

			memcpy(&number, element, 8);
			if (number != expected
				|| ((expected & 63) == 0 && check(element) != expected))
				fail_msg("element %lu is torn or out of order",
					(unsigned long)expected);
			expected++;
			continue;
		}
		assert_int_equal(status, SFU_RING_EMPTY);
		// A wake-up may also come for an announcement that is taken back at once.
		seen = atomic_load(&s.wakes);
		sleeps++;
		if (!sfu_ring_sleep(&f->consumer))
			continue;
		uint64_t deadline = now_us() + 20000000;

		while (atomic_load(&s.wakes) == seen) {
			if (now_us() > deadline)
				fail_msg("no wake-up after element %lu", (unsigned long)expected);
			sched_yield();
		}
		sfu_ring_awake(&f->consumer);
	}
	pthread_join(thread, NULL);
	assert_int_equal(s.pushed, STRESS);
	assert_true(atomic_load(&s.wakes) <= sleeps);
	assert_int_equal(sfu_ring_pop(&f->consumer, element, false), SFU_RING_EMPTY);
}

// --- a hostile neighbour -----------------------------------------------------------------------

#ifndef __SANITIZE_THREAD__
struct mutator {
	uint64_t *words;
	size_t count;
	_Atomic bool stop;
};

static void *mutate(void *arg)
{
	struct mutator *m = arg;
	uint64_t x = 88172645463325252ull;

	while (!atomic_load(&m->stop)) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		__atomic_store_n(
			&m->words[x % m->count], (x & 0x300) ? x >> 60 : x, __ATOMIC_RELAXED);
	}
	return NULL;
}

// Someone writes over all of the shared memory while both ends run: whatever comes out, nothing
// outside the ring is touched (guard pages, sanitizers) and each call ends. The slots are raced on
// purpose, so the thread sanitizer is left out of this one.
static void random_memory_never_leads_outside(void **state)
{
	struct fixture *f = *state;
	struct mutator m = {
		.words = f->memory,
		.count = sfu_ring_bytes(SLOTS, BYTES) / 8,
	};
	uint8_t element[BYTES];
	uint64_t poisoned = 0, popped = 0;
	pthread_t thread;
	bool wake;

	pthread_create(&thread, NULL, mutate, &m);
	// A busy machine may not let the mutator in for a while: go on until it was seen at work.
	for (uint64_t n = 0; n < 300000 || !poisoned || !popped; n++) {
		if (n % 1024 == 0)
			sched_yield();
		if (sfu_ring_push(&f->producer, element, &wake) == SFU_RING_POISONED) {
			sfu_ring_attach(&f->producer, f->memory, SLOTS, BYTES);
			poisoned++;
		}
		switch (sfu_ring_pop(&f->consumer, element, n & 1)) {
		case SFU_RING_POISONED:
			sfu_ring_attach(&f->consumer, f->memory, SLOTS, BYTES);
			poisoned++;
			break;
		case SFU_RING_OK:
			popped++;
			break;
		default:
			break;
		}
		sfu_ring_sleep(&f->consumer);
		assert_true(sfu_ring_count(&f->consumer) <= SLOTS);
		assert_true(sfu_ring_room(&f->producer) <= SLOTS);
	}
	atomic_store(&m.stop, true);
	pthread_join(thread, NULL);
}

#endif

// --- two processes -----------------------------------------------------------------------------

#define KILL_SLOTS 64u

static void produce_until_killed(void *memory)
{
	struct sfu_ring_end end = {0};
	uint8_t element[BYTES];
	bool wake;

	sfu_ring_attach(&end, memory, KILL_SLOTS, BYTES);
	for (uint64_t n = 0;; n++) {
		fill(element, n);
		while (sfu_ring_push(&end, element, &wake) == SFU_RING_FULL)
			sched_yield();
	}
}

static void a_killed_producer_leaves_no_torn_element(void **state)
{
	size_t bytes = sfu_ring_bytes(KILL_SLOTS, BYTES);
	uint64_t x = now_us() | 1, all = 0;

	(void)state;
	for (int round = 0; round < 100; round++) {
		void *memory = region_create(bytes);
		struct sfu_ring_end end = {0};
		uint8_t element[BYTES];
		uint64_t expected = 0, kill_at = UINT64_MAX, lives;
		bool dead = false;
		pid_t child = fork();

		assert_true(child >= 0);
		if (child == 0) {
			produce_until_killed(memory);
			_exit(0);
		}
		sfu_ring_attach(&end, memory, KILL_SLOTS, BYTES);
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		lives = 200 + x % 5000;
		// Some die before they have done anything; the others not, however long their start takes.
		if (round % 2)
			kill_at = now_us() + lives;
		for (;;) {
			enum sfu_ring_status status = sfu_ring_pop(&end, element, false);

			if (status == SFU_RING_OK) {
				uint64_t number = check(element);

				if (number == UINT64_MAX)
					fail_msg("torn element in round %d", round);
				assert_int_equal(number, expected);
				if (!expected++ && kill_at == UINT64_MAX)
					kill_at = now_us() + lives;
			} else {
				assert_int_equal(status, SFU_RING_EMPTY);
				if (dead)
					break;
				sched_yield();
			}
			if (!dead && now_us() >= kill_at) {
				kill(child, SIGKILL);
				waitpid(child, NULL, 0);
				dead = true;
			}
		}
		all += expected;
		region_destroy(memory, bytes);
	}
	print_message("100 kills, %lu elements, 0 torn\n", (unsigned long)all);
	assert_true(all >= 50);
}

// Steps that a push and a pop consist of, and one more: not to die.
#define STEPS 4u

/** A child makes this call and dies at the given store of it. True when it died. */
static bool die_in(void (*call)(struct fixture *), struct fixture *f, unsigned at)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		steps_left = at;
		call(f);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFSIGNALED(status);
}

static void push_one(struct fixture *f)
{
	uint8_t element[BYTES];
	bool wake;

	fill(element, 1000);
	sfu_ring_push(&f->producer, element, &wake);
}

static void pop_one(struct fixture *f)
{
	uint8_t element[BYTES];

	sfu_ring_pop(&f->consumer, element, true);
}

static void a_producer_that_dies_at_any_store_leaves_before_or_after(void **state)
{
	struct fixture *f = *state;
	uint8_t element[BYTES];
	unsigned deaths = 0;
	bool wake;

	for (uint32_t there = 0; there < SLOTS; there++) {
		for (unsigned at = 1; at <= STEPS; at++) {
			enum sfu_ring_status last;
			bool died;

			memset(f->memory, 0, sfu_ring_bytes(SLOTS, BYTES));
			sfu_ring_attach(&f->producer, f->memory, SLOTS, BYTES);
			sfu_ring_attach(&f->consumer, f->memory, SLOTS, BYTES);
			for (uint32_t i = 0; i < there; i++) {
				fill(element, i);
				sfu_ring_push(&f->producer, element, &wake);
			}
			died = die_in(push_one, f, at);
			deaths += died;
			for (uint32_t i = 0; i < there; i++) {
				assert_int_equal(
					sfu_ring_pop(&f->consumer, element, false), SFU_RING_OK);
				assert_int_equal(check(element), i);
			}
			last = sfu_ring_pop(&f->consumer, element, false);
			// Before the index is stored there is nothing, from then on all of it.
			assert_int_equal(last, at == 1 ? SFU_RING_EMPTY : SFU_RING_OK);
			assert_true(last != SFU_RING_OK || check(element) == 1000);
			assert_int_equal(
				sfu_ring_pop(&f->consumer, element, false), SFU_RING_EMPTY);
		}
	}
	assert_int_equal(deaths, SLOTS * 3);
}

static void a_consumer_that_dies_at_any_store_leaves_before_or_after(void **state)
{
	struct fixture *f = *state;
	struct sfu_ring *ring = f->memory;
	uint8_t element[BYTES], zero[BYTES] = {0};
	unsigned deaths = 0;
	bool wake;

	for (unsigned at = 1; at <= STEPS; at++) {
		memset(f->memory, 0, sfu_ring_bytes(SLOTS, BYTES));
		sfu_ring_attach(&f->producer, f->memory, SLOTS, BYTES);
		sfu_ring_attach(&f->consumer, f->memory, SLOTS, BYTES);
		for (uint32_t i = 0; i < SLOTS; i++) {
			fill(element, i);
			sfu_ring_push(&f->producer, element, &wake);
		}
		deaths += die_in(pop_one, f, at);
		// It goes on with the index that is there: what was wiped is not handed out again.
		assert_int_equal(sfu_ring_room(&f->producer), at < 3 ? 0 : 1);
		assert_true(at == 1 || memcmp(ring->slots, zero, BYTES) == 0);
		fill(element, 2000);
		assert_int_equal(sfu_ring_push(&f->producer, element, &wake),
			at < 3 ? SFU_RING_FULL : SFU_RING_OK);
		assert_false(f->producer.poisoned);
	}
	assert_int_equal(deaths, 3);
}

/** Each octet of a small region changed once: as many elements as there can be, and an end. */
static void no_octet_of_it_leads_outside(void **state)
{
	struct fixture *f = *state;
	const size_t bytes = sfu_ring_bytes(SLOTS, BYTES);
	uint8_t element[BYTES], *memory = f->memory;
	unsigned poisoned = 0;

	for (size_t at = 0; at < bytes; at++) {
		static const uint8_t changes[] = {0xff, 0x01, 0x80};

		for (unsigned k = 0; k < sizeof(changes); k++) {
			enum sfu_ring_status status = SFU_RING_OK;
			bool wake;

			memset(f->memory, 0, bytes);
			sfu_ring_attach(&f->producer, f->memory, SLOTS, BYTES);
			sfu_ring_attach(&f->consumer, f->memory, SLOTS, BYTES);
			for (uint32_t i = 0; i < SLOTS / 2; i++) {
				fill(element, i);
				sfu_ring_push(&f->producer, element, &wake);
			}
			memory[at] ^= changes[k];
			for (uint32_t n = 0; status == SFU_RING_OK; n++) {
				assert_true(n <= SLOTS);
				status = sfu_ring_pop(&f->consumer, element, n & 1);
			}
			for (uint32_t n = 0; n < 2 * SLOTS; n++)
				sfu_ring_push(&f->producer, element, &wake);
			assert_true(sfu_ring_count(&f->consumer) <= SLOTS);
			assert_true(sfu_ring_room(&f->producer) <= SLOTS);
			poisoned += f->consumer.poisoned || f->producer.poisoned;
		}
	}
	assert_true(poisoned > 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_producer_that_dies_at_any_store_leaves_before_or_after, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_consumer_that_dies_at_any_store_leaves_before_or_after, setup, teardown),
		cmocka_unit_test_setup_teardown(no_octet_of_it_leads_outside, setup, teardown),
		cmocka_unit_test(size_is_a_multiple_of_a_cache_line),
		cmocka_unit_test_setup_teardown(
			elements_come_out_in_order_and_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_full_ring_refuses_and_keeps_what_it_has, setup, teardown),
		cmocka_unit_test_setup_teardown(wiping_leaves_nothing_in_the_slot, setup, teardown),
		cmocka_unit_test_setup_teardown(a_sleeper_is_woken_once, setup, teardown),
		cmocka_unit_test_setup_teardown(hostile_head_poisons_the_consumer, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_head_that_steps_back_poisons_the_consumer, setup, teardown),
		cmocka_unit_test_setup_teardown(hostile_tail_poisons_the_producer, setup, teardown),
		cmocka_unit_test_setup_teardown(indices_pass_the_end_of_the_world, setup, teardown),
		cmocka_unit_test_setup_teardown(
			two_threads_lose_nothing_and_no_wake_up, setup, teardown),
#ifndef __SANITIZE_THREAD__
		cmocka_unit_test_setup_teardown(random_memory_never_leads_outside, setup, teardown),
#endif
		cmocka_unit_test(a_killed_producer_leaves_no_torn_element),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
