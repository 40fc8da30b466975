// SPDX-License-Identifier: BSD-3-Clause
/*
 * The journal and what a disk can do to it: sfu-ctl dies at each step, also in the middle of a write,
 * or the disk refuses it, once, from then on, or until there is room again. Histories by seed; the
 * judge is the journal's own reader, in a process that comes after.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int step_open(const char *path, int flags, ...);
static ssize_t step_write(int fd, const void *bytes, size_t len);
static ssize_t step_pread(int fd, void *bytes, size_t len, off_t at);
static int step_rename(const char *from, const char *to);
static int step_ftruncate(int fd, off_t len);
static int step_unlink(const char *path);
static int step_fstat(int fd, struct stat *st);
static int step_fchmod(int fd, mode_t mode);
static int step_flock(int fd, int how);

#define REWRITE_MIN_BYTES 1024u
#define open step_open
#define write step_write
#define pread step_pread
#define rename step_rename
#define ftruncate step_ftruncate
#define unlink step_unlink
#define fstat(fd, st) step_fstat(fd, st)
#define fchmod step_fchmod
#define flock(fd, how) step_flock(fd, how)
#include "sfu-ctl/journal.c"
#undef open
#undef write
#undef pread
#undef rename
#undef ftruncate
#undef unlink
#undef fstat
#undef fchmod
#undef flock

#include <cmocka.h>

#define SEEDS 40u
#define EVENTS 14u
#define KEYS 4u
#define SECOND_US 1000000u

// --- the disk ----------------------------------------------------------------------------------

enum trouble {
	NONE,
	ONCE, /* this step is refused, the next one is done */
	FULL, /* what needs room is refused from here on */
	BROKEN, /* whatever changes something is refused from here on */
};

static struct {
	unsigned steps; /* taken since the last disk_is_well() */
	/* Death: nothing that comes after this step reaches the disk, which is what it is to be dead. */
	unsigned dies_at;
	bool dead;
	/* Trouble, from this step on. */
	enum trouble trouble;
	unsigned trouble_at;
	int error;
	unsigned refusals;
	size_t part; /* of a write that meets either: octets that still get there */
	bool met_write; /* what met it was one */
} disk;

static void disk_is_well(void)
{
	memset(&disk, 0, sizeof(disk));
}

enum verdict { DONE, REFUSED, NEVER };

/* Of a step. */
enum {
	CHANGES = 1,
	NEEDS_ROOM = 2,
	WAITS = 4, /* a signal may interrupt it */
};

static enum verdict step(unsigned kind)
{
	bool bad = false;

	if (disk.dead)
		return NEVER;
	disk.steps++;
	if (disk.steps == disk.dies_at) {
		disk.dead = true;
		return NEVER;
	}
	if (disk.trouble == ONCE)
		bad = disk.steps == disk.trouble_at && (disk.error != EINTR || kind & WAITS);
	else if (disk.trouble == FULL)
		bad = kind & NEEDS_ROOM && disk.steps >= disk.trouble_at;
	else if (disk.trouble == BROKEN)
		bad = kind & CHANGES && disk.steps >= disk.trouble_at;
	if (!bad)
		return DONE;
	disk.refusals++;
	errno = disk.error;
	return REFUSED;
}

static int step_open(const char *path, int flags, ...)
{
	bool writes = (flags & O_ACCMODE) != O_RDONLY;
	bool makes = (flags & O_CREAT) != 0 && access(path, F_OK) != 0;
	mode_t mode = 0;
	va_list args;

	va_start(args, flags);
	if (flags & O_CREAT)
		mode = va_arg(args, mode_t);
	va_end(args);
	switch (step((writes ? CHANGES : 0) | (makes ? CHANGES | NEEDS_ROOM : 0))) {
	case DONE:
		return open(path, flags, mode);
	case REFUSED:
		return -1;
	default:
		return open("/dev/null", O_RDWR | O_CLOEXEC);
	}
}

static ssize_t step_write(int fd, const void *bytes, size_t len)
{
	bool was_dead = disk.dead;
	enum verdict v = step(CHANGES | NEEDS_ROOM | WAITS);
	size_t part = disk.part < len ? disk.part : len;

	if (v == DONE)
		return write(fd, bytes, len);
	disk.met_write = disk.met_write || !was_dead;
	if (v == NEVER) {
		if (!was_dead && write(fd, bytes, part) != (ssize_t)part)
			abort();
		return (ssize_t)len;
	}
	if (disk.error == EINTR || part == 0)
		return -1;
	disk.part = 0; // it is full now
	return write(fd, bytes, part);
}

static ssize_t step_pread(int fd, void *bytes, size_t len, off_t at)
{
	if (step(WAITS) == REFUSED)
		return -1;
	// In pieces, as a disk may.
	return pread(fd, bytes, len > 64 ? len / 2 : len, at);
}

static int step_rename(const char *from, const char *to)
{
	enum verdict v = step(CHANGES);

	return v == DONE ? rename(from, to) : v == REFUSED ? -1 : 0;
}

static int step_ftruncate(int fd, off_t len)
{
	enum verdict v = step(CHANGES);

	return v == DONE ? ftruncate(fd, len) : v == REFUSED ? -1 : 0;
}

static int step_unlink(const char *path)
{
	enum verdict v = step(CHANGES);

	return v == DONE ? unlink(path) : v == REFUSED ? -1 : 0;
}

static int step_fstat(int fd, struct stat *st)
{
	return step(0) == REFUSED ? -1 : fstat(fd, st);
}

static int step_fchmod(int fd, mode_t mode)
{
	enum verdict v = step(CHANGES);

	return v == DONE ? fchmod(fd, mode) : v == REFUSED ? -1 : 0;
}

static int step_flock(int fd, int how)
{
	// A lock is no matter of the disk's; who is dead has none.
	return disk.dead ? 0 : flock(fd, how);
}

// --- histories ---------------------------------------------------------------------------------

/* What is to be remembered: an entry per key, NULL = nothing. The judge reads the same. */
struct state {
	char *text[KEYS];
};

static const char *const ids[KEYS] = {"r 1", "r/2", "3", "ü"};

static void state_clear(struct state *s)
{
	for (unsigned i = 0; i < KEYS; i++) {
		free(s->text[i]);
		s->text[i] = NULL;
	}
}

static void state_copy(struct state *to, const struct state *from)
{
	state_clear(to);
	for (unsigned i = 0; i < KEYS; i++)
		to->text[i] = from->text[i] == NULL ? NULL : strdup(from->text[i]);
}

static bool state_is(const struct state *s, const struct memory *m)
{
	size_t count = 0;

	for (unsigned i = 0; i < KEYS; i++) {
		const char *text = memory_find(m, "room", ids[i]);

		if ((text == NULL) != (s->text[i] == NULL)
			|| (text != NULL && strcmp(text, s->text[i]) != 0))
			return false;
		count += text != NULL;
	}
	return count == memory_count(m);
}

static bool is_empty(const struct memory *m)
{
	return memory_count(m) == 0;
}

struct world {
	char dir[64];
	uint64_t random;
	uint64_t now_us;
	struct journal *journal; /* of the process that runs */
	struct state now, before; /* after the last event, and before it */
	bool was_writing; /* before it */
	unsigned refusals_before;
	unsigned runs, deaths, clean_starts, recoveries;
};

static uint32_t any(struct world *w, uint32_t below)
{
	w->random = w->random * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(w->random >> 33) % below;
}

static void tell(struct world *w, unsigned key)
{
	const struct remember *r = journal_remember(w->journal);

	r->tell(r->ctx, "room", ids[key], w->now.text[key]);
}

static void tell_all(void *ctx)
{
	struct world *w = ctx;

	for (unsigned i = 0; i < KEYS; i++) {
		if (w->now.text[i] != NULL)
			tell(w, i);
	}
}

/* A process starts: what it finds is what it goes on with. */
static void start(struct world *w, struct memory **left)
{
	char note[128], err[320] = "";

	w->journal = journal_open(w->dir, left, note, sizeof(note), err, sizeof(err));
	if (w->journal == NULL)
		fail_msg("refused to start: %s", err);
}

static bool writing(const struct world *w)
{
	struct journal_figures f;

	journal_figures(w->journal, &f);
	return f.writing;
}

static void change(struct world *w, unsigned key, char *text)
{
	free(w->now.text[key]);
	w->now.text[key] = text;
	tell(w, key);
}

static char *some_text(struct world *w)
{
	size_t len = any(w, 8) == 0 ? 300 + any(w, 500) : any(w, 60);
	char *text = malloc(len + 1);

	assert_non_null(text);
	memset(text, 'a' + (int)any(w, 26), len);
	text[len] = '\0';
	return text;
}

/* Nothing at all may be found where the disk has refused something and not been asked again since. */
static bool may_be_empty(const struct world *w)
{
	return !w->was_writing || disk.refusals != w->refusals_before;
}

/* The next process goes on with what the last one left, or with nothing. */
static void restart(struct world *w)
{
	struct memory *left;

	journal_close(w->journal);
	start(w, &left);
	if (!disk.dead && !state_is(&w->now, left)) {
		assert_true(may_be_empty(w) && is_empty(left));
		state_clear(&w->now);
		state_clear(&w->before);
	}
	memory_destroy(left);
	journal_begin(w->journal, tell_all, w);
}

static void event_begin(struct world *w)
{
	state_copy(&w->before, &w->now);
	w->was_writing = writing(w);
	w->refusals_before = disk.refusals;
}

static void event(struct world *w)
{
	unsigned key = any(w, KEYS);

	event_begin(w);
	switch (any(w, 8)) {
	case 0:
		change(w, key, NULL);
		break;
	case 1:
	case 2:
		w->now_us += 1 + any(w, 12 * SECOND_US);
		journal_tick(w->journal, w->now_us);
		break;
	case 3:
		restart(w);
		break;
	default:
		change(w, key, some_text(w));
		break;
	}
}

/* One history in a fresh folder, to its end or to the death. */
static void history(struct world *w, unsigned seed)
{
	static const char *const files[] = {"journal", "journal.new", "journal.lock"};
	struct memory *left;

	for (unsigned i = 0; i < 3; i++) {
		char path[128];

		snprintf(path, sizeof(path), "%s/%s", w->dir, files[i]);
		unlink(path);
	}
	w->random = seed;
	w->now_us = 1;
	w->was_writing = false;
	w->refusals_before = 0;
	state_clear(&w->now);
	state_clear(&w->before);
	start(w, &left);
	assert_true(is_empty(left));
	memory_destroy(left);
	journal_begin(w->journal, tell_all, w);
	for (unsigned i = 0; i < EVENTS && !disk.dead; i++)
		event(w);
}

/*
 * The next process: it starts, and what it reads is the state after the last event, or before it where
 * that one was not finished, or nothing where the disk has refused something.
 */
static void judge(struct world *w, const char *what, unsigned seed, unsigned at)
{
	bool dead = disk.dead, empty_is_right = may_be_empty(w), as_before, as_after;
	struct memory *left;

	journal_close(w->journal);
	disk.dies_at = 0;
	disk.dead = false;
	if (disk.trouble != BROKEN)
		disk_is_well();
	start(w, &left);
	empty_is_right = empty_is_right || disk.refusals > 0;
	as_before = state_is(&w->before, left);
	as_after = state_is(&w->now, left);
	if (!as_after && !(as_before && dead && w->was_writing)
		&& !(empty_is_right && is_empty(left)))
		fail_msg("seed %u, %s at step %u: neither before nor after", seed, what, at);
	w->deaths += dead;
	w->clean_starts += !as_after && !as_before;
	w->runs++;
	memory_destroy(left);
	journal_close(w->journal);
	w->journal = NULL;
	disk_is_well();
}

/* The disk is well again: before long the journal is, too, and whole. */
static void recovers(struct world *w, const char *what, unsigned seed, unsigned at)
{
	disk_is_well();
	w->now_us += 10 * SECOND_US;
	journal_tick(w->journal, w->now_us);
	if (!writing(w))
		fail_msg("seed %u, %s at step %u: not written again", seed, what, at);
	event_begin(w);
	change(w, 0, some_text(w));
	w->recoveries++;
	judge(w, what, seed, at);
}

/* How many steps a history takes when nothing happens. */
static unsigned steps_of(struct world *w, unsigned seed)
{
	unsigned steps;

	disk_is_well();
	history(w, seed);
	steps = disk.steps;
	judge(w, "nothing", seed, 0);
	return steps;
}

static const size_t parts[] = {0, 1, 9, 40, SIZE_MAX};
#define PARTS (sizeof(parts) / sizeof(parts[0]))

static void a_death_at_any_step_leaves_before_or_after(void **state)
{
	struct world *w = *state;

	for (unsigned seed = 0; seed < SEEDS; seed++) {
		unsigned steps = steps_of(w, seed);

		for (unsigned at = 1; at <= steps; at++) {
			bool cut = true;

			for (unsigned p = 0; p < PARTS && cut; p++) {
				disk_is_well();
				disk.dies_at = at;
				disk.part = parts[p];
				history(w, seed);
				assert_true(disk.dead);
				cut = disk.met_write;
				judge(w, "death", seed, at);
			}
		}
	}
	print_message("  %u deaths\n", w->deaths);
	assert_int_equal(w->clean_starts, 0);
}

static void trouble_at(enum trouble trouble, unsigned at, int error, size_t part)
{
	disk_is_well();
	disk.trouble = trouble;
	disk.trouble_at = at;
	disk.error = error;
	disk.part = part;
}

static void one_refusal_is_survived(void **state)
{
	static const int errors[] = {ENOSPC, EIO, EDQUOT, EROFS};
	struct world *w = *state;

	for (unsigned seed = 0; seed < SEEDS; seed++) {
		unsigned steps = steps_of(w, seed);

		for (unsigned at = 1; at <= steps; at++) {
			bool cut = true;

			for (unsigned p = 0; p < PARTS && cut; p++) {
				int error = errors[any(w, 4)];

				trouble_at(ONCE, at, error, parts[p]);
				history(w, seed);
				cut = disk.met_write;
				judge(w, "refusal", seed, at);
				trouble_at(ONCE, at, error, parts[p]);
				history(w, seed);
				recovers(w, "refusal", seed, at);
			}
		}
	}
	print_message("  %u runs, %u clean starts\n", w->runs, w->clean_starts);
	assert_true(w->clean_starts > 0);
}

static void an_interrupted_write_is_no_refusal(void **state)
{
	struct world *w = *state;

	for (unsigned seed = 0; seed < SEEDS; seed++) {
		unsigned steps = steps_of(w, seed);

		for (unsigned at = 1; at <= steps; at++) {
			struct journal_figures f;

			trouble_at(ONCE, at, EINTR, 0);
			history(w, seed);
			journal_figures(w->journal, &f);
			if (disk.met_write)
				assert_int_equal(f.failures, 0);
			judge(w, "interruption", seed, at);
		}
	}
}

/* And sfu-ctl may die while it is full. */
static void a_full_disk_is_survived(void **state)
{
	struct world *w = *state;

	for (unsigned seed = 0; seed < SEEDS; seed++) {
		unsigned steps = steps_of(w, seed);

		for (unsigned at = 1; at <= steps; at++) {
			size_t part = parts[any(w, PARTS)];

			trouble_at(FULL, at, ENOSPC, part);
			history(w, seed);
			recovers(w, "full disk", seed, at);
			for (unsigned death = at; death <= steps + 4; death += 1 + any(w, 8)) {
				trouble_at(FULL, at, ENOSPC, part);
				disk.dies_at = death;
				history(w, seed);
				judge(w, "death on a full disk", seed, death);
			}
		}
	}
	print_message(
		"  %u runs, %u deaths, %u clean starts\n", w->runs, w->deaths, w->clean_starts);
}

/* Nothing can be changed on it any more, so not even what is out of date can be removed. */
static void a_broken_disk_is_survived(void **state)
{
	static const int errors[] = {EIO, EROFS};
	struct world *w = *state;

	for (unsigned seed = 0; seed < SEEDS; seed++) {
		unsigned steps = steps_of(w, seed);

		for (unsigned at = 1; at <= steps; at++) {
			for (unsigned e = 0; e < 2; e++) {
				trouble_at(BROKEN, at, errors[e], parts[any(w, PARTS)]);
				history(w, seed);
				judge(w, "broken disk", seed, at);
				trouble_at(BROKEN, at, errors[e], 0);
				history(w, seed);
				recovers(w, "broken disk", seed, at);
			}
		}
	}
	print_message("  %u runs, %u clean starts\n", w->runs, w->clean_starts);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	// Where there is a folder in memory, its disk has nothing to do.
	snprintf(w->dir, sizeof(w->dir), "%s/test_journal_steps.XXXXXX",
		access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(w->dir));
	disk_is_well();
	log_set_level(LOG_LEVEL_NONE);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	static const char *const files[] = {"journal", "journal.new", "journal.lock"};
	struct world *w = *state;
	char path[128];

	journal_close(w->journal);
	for (unsigned i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", w->dir, files[i]);
		unlink(path);
	}
	state_clear(&w->now);
	state_clear(&w->before);
	assert_int_equal(rmdir(w->dir), 0);
	free(w);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_death_at_any_step_leaves_before_or_after),
		TEST(one_refusal_is_survived),
		TEST(an_interrupted_write_is_no_refusal),
		TEST(a_full_disk_is_survived),
		TEST(a_broken_disk_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
