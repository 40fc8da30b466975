// SPDX-License-Identifier: BSD-3-Clause
/* The journal: lines, damage of every kind, the file in a folder that fills up, what media tells. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sfu-ctl/journal.h"
#include "sfu-ctl/media_memory.h"
#include "sfu-ctl/proto/journal_line.h"

// --- lines -------------------------------------------------------------------------------------

static int collect(void *ctx, const char *kind, const char *id, const char *text)
{
	return memory_put(ctx, kind, id, text);
}

static void the_crc_is_the_standard_one(void **state)
{
	(void)state;
	assert_int_equal(journal_crc("123456789", 9), 0xcbf43926);
	assert_int_equal(journal_crc("", 0), 0);
}

static void a_line_reads_as_it_was_written(void **state)
{
	char line[256];
	size_t len = journal_line(line, sizeof(line), "room", "r 1/ü", "{\"a\":1}");
	struct memory *m = memory_create();

	(void)state;
	assert_int_equal(len, strlen(line));
	assert_int_equal(line[len - 1], '\n');
	assert_int_equal(journal_scan(line, len, collect, m), JOURNAL_OK);
	assert_string_equal(memory_find(m, "room", "r 1/ü"), "{\"a\":1}");
	len = journal_line(line, sizeof(line), "room", "r 1/ü", NULL);
	assert_int_equal(journal_scan(line, len, collect, m), JOURNAL_OK);
	assert_int_equal(memory_count(m), 0);
	memory_destroy(m);
}

static void what_would_break_a_line_is_refused(void **state)
{
	char line[64], *large = malloc(2 * JOURNAL_LINE_MAX);

	(void)state;
	assert_int_equal(journal_line(line, sizeof(line), "", "x", "y"), 0);
	assert_int_equal(journal_line(line, sizeof(line), "a", "", "y"), 0);
	assert_int_equal(journal_line(line, sizeof(line), "a", "x\ty", "y"), 0);
	assert_int_equal(journal_line(line, sizeof(line), "a", "x", "y\nz"), 0);
	assert_int_equal(journal_line(line, 12, "a", "x", "y"), 0);
	assert_int_equal(journal_line(line, 15, "a", "x", "y"), 0);
	assert_int_equal(journal_line(line, 16, "a", "x", "y"), 15);
	memset(large, 'x', JOURNAL_LINE_MAX);
	large[JOURNAL_LINE_MAX] = '\0';
	assert_int_equal(journal_line(large, 2 * JOURNAL_LINE_MAX, "a", "x", strdupa(large)), 0);
	free(large);
}

static size_t sample(char *out, size_t size)
{
	static const char *const lines[][3] = {
		{"journal", "1", "boot"},
		{"room", "r", "{\"epoch\":1}"},
		{"peer", "1", "{\"ready\":true}"},
		{"peer", "1", "{\"ready\":false}"},
		{"consumer", "c", "{}"},
		{"consumer", "c", NULL},
	};
	size_t len = 0;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		len += journal_line(out + len, size - len, lines[i][0], lines[i][1], lines[i][2]);
	return len;
}

/* Is m what the sample says after so many of its octets? */
static void check_prefix(const struct memory *m, size_t len)
{
	char whole[1024], cut[1024];
	struct memory *want = memory_create();
	size_t size = sample(whole, sizeof(whole));

	memcpy(cut, whole, len < size ? len : size);
	journal_scan(cut, len < size ? len : size, collect, want);
	assert_int_equal(memory_count(m), memory_count(want));
	for (size_t i = 0; i < 3; i++) {
		static const char *const keys[][2]
			= {{"room", "r"}, {"peer", "1"}, {"consumer", "c"}};
		const char *a = memory_find(m, keys[i][0], keys[i][1]);
		const char *b = memory_find(want, keys[i][0], keys[i][1]);

		assert_true((a == NULL) == (b == NULL));
		if (a != NULL)
			assert_string_equal(a, b);
	}
	memory_destroy(want);
}

static void every_cut_is_the_state_of_before(void **state)
{
	char whole[1024], cut[1024];
	size_t size = sample(whole, sizeof(whole));

	(void)state;
	for (size_t len = 0; len <= size; len++) {
		struct memory *m = memory_create();
		bool at_end = len == 0 || whole[len - 1] == '\n';

		memcpy(cut, whole, len);
		assert_int_equal(
			journal_scan(cut, len, collect, m), at_end ? JOURNAL_OK : JOURNAL_CUT);
		check_prefix(m, len);
		memory_destroy(m);
	}
}

static void every_flipped_bit_is_seen(void **state)
{
	char whole[1024], bad[1024];
	size_t size = sample(whole, sizeof(whole));

	(void)state;
	for (size_t bit = 0; bit < 8 * size; bit++) {
		struct memory *m = memory_create();
		enum journal_status status;

		memcpy(bad, whole, size);
		bad[bit / 8] = (char)(bad[bit / 8] ^ 1 << bit % 8);
		status = journal_scan(bad, size, collect, m);
		// Only the last LF can go unseen: then the last line counts as cut off.
		if (bit / 8 == size - 1)
			assert_int_equal(status, JOURNAL_CUT);
		else
			assert_int_equal(status, JOURNAL_DAMAGED);
		memory_destroy(m);
	}
}

// --- the file ----------------------------------------------------------------------------------

struct world {
	char dir[64], path[128];
	struct journal *journal;
	struct memory *left;
	char note[128], err[320];
	int told; /* entries that tell_all tells */
	size_t padding;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	strcpy(w->dir, "/tmp/test_journal.XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->path, sizeof(w->path), "%s/journal", w->dir);
	*state = w;
	return 0;
}

static void shut(struct world *w)
{
	journal_close(w->journal);
	memory_destroy(w->left);
	w->journal = NULL;
	w->left = NULL;
}

static int teardown(void **state)
{
	struct world *w = *state;
	char lock[128];

	shut(w);
	unlink(w->path);
	snprintf(lock, sizeof(lock), "%s/journal.lock", w->dir);
	unlink(lock);
	assert_int_equal(rmdir(w->dir), 0);
	free(w);
	return 0;
}

static void tell(struct world *w, const char *kind, const char *id, const char *text)
{
	const struct remember *r = journal_remember(w->journal);

	r->tell(r->ctx, kind, id, text);
}

static void tell_all(void *ctx)
{
	struct world *w = ctx;
	char id[24], text[4096];

	memset(text, 'x', sizeof(text));
	text[w->padding < sizeof(text) ? w->padding : sizeof(text) - 1] = '\0';
	for (int i = 0; i < w->told; i++) {
		snprintf(id, sizeof(id), "%d", i);
		tell(w, "told", id, text);
	}
}

static void again(struct world *w)
{
	shut(w);
	w->journal
		= journal_open(w->dir, &w->left, w->note, sizeof(w->note), w->err, sizeof(w->err));
	if (w->journal == NULL)
		fail_msg("%s", w->err);
}

static off_t file_size(const struct world *w)
{
	struct stat st;

	assert_int_equal(stat(w->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	return st.st_size;
}

static void a_successor_reads_what_was_told(void **state)
{
	struct world *w = *state;

	again(w);
	assert_int_equal(memory_count(w->left), 0);
	assert_string_equal(w->note, "");
	tell(w, "early", "x", "not written");
	w->told = 2;
	w->padding = 3;
	journal_begin(w->journal, tell_all, w);
	tell(w, "room", "r", "1");
	tell(w, "room", "r", "2");
	tell(w, "told", "0", NULL);
	again(w);
	assert_int_equal(memory_count(w->left), 2);
	assert_string_equal(memory_find(w->left, "room", "r"), "2");
	assert_string_equal(memory_find(w->left, "told", "1"), "xxx");
	assert_null(memory_find(w->left, "early", "x"));
	// Nothing is lost by reading it without going on.
	again(w);
	assert_int_equal(memory_count(w->left), 2);
	// The new one begins with what it has.
	w->told = 0;
	journal_begin(w->journal, tell_all, w);
	again(w);
	assert_int_equal(memory_count(w->left), 0);
}

static void a_frozen_journal_stays_as_it_is(void **state)
{
	struct world *w = *state;

	again(w);
	journal_begin(w->journal, tell_all, w);
	tell(w, "room", "r", "1");
	journal_freeze(w->journal);
	tell(w, "room", "r", NULL);
	again(w);
	assert_string_equal(memory_find(w->left, "room", "r"), "1");
}

static void two_do_not_share_a_folder(void **state)
{
	struct world *w = *state;
	struct memory *left;
	char note[64], err[256];

	again(w);
	assert_null(journal_open(w->dir, &left, note, sizeof(note), err, sizeof(err)));
	assert_non_null(strstr(err, "another sfu-ctl"));
	assert_null(left);
	assert_null(journal_open("/nonexistent", &left, note, sizeof(note), err, sizeof(err)));
	assert_non_null(strstr(err, "SFU_STATE_DIR"));
}

static void another_boot_or_version_is_not_used(void **state)
{
	static const struct {
		const char *id, *boot, *note;
	} cases[] = {
		{"1", "another", "of another boot of the machine, not used"},
		{"2", NULL, "damaged, not used"},
	};
	struct world *w = *state;

	for (size_t i = 0; i < 2; i++) {
		char line[256], boot[64] = "";
		size_t len;
		FILE *f = fopen("/proc/sys/kernel/random/boot_id", "r");

		assert_non_null(fgets(boot, sizeof(boot), f));
		fclose(f);
		boot[strcspn(boot, "\n")] = '\0';
		f = fopen(w->path, "w");
		len = journal_line(line, sizeof(line), "journal", cases[i].id,
			cases[i].boot == NULL ? boot : cases[i].boot);
		fwrite(line, 1, len, f);
		len = journal_line(line, sizeof(line), "room", "r", "1");
		fwrite(line, 1, len, f);
		fclose(f);
		again(w);
		assert_string_equal(w->note, cases[i].note);
		assert_int_equal(memory_count(w->left), 0);
		shut(w);
	}
}

static void garbage_is_a_clean_start(void **state)
{
	struct world *w = *state;

	for (unsigned seed = 0; seed < 200; seed++) {
		FILE *f = fopen(w->path, "w");

		srand(seed);
		for (int i = rand() % 3000; i > 0; i--)
			fputc(seed % 2 == 0 ? rand() % 256 : "0123456789abcdef \t\n"[rand() % 19],
				f);
		fclose(f);
		again(w);
		assert_int_equal(memory_count(w->left), 0);
		shut(w);
	}
}

static void it_does_not_grow_for_ever(void **state)
{
	struct world *w = *state;
	struct journal_figures f;
	char text[1000];
	uint64_t lines = 0;

	memset(text, 'y', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	again(w);
	w->told = 10;
	w->padding = 100;
	journal_begin(w->journal, tell_all, w);
	for (int i = 0; i < 20000; i++) {
		tell(w, "room", "r", text);
		if (i % 100 == 0)
			journal_tick(w->journal, (uint64_t)i);
	}
	journal_figures(w->journal, &f);
	assert_true(f.rewrites > 10);
	assert_true(f.bytes < 2u << 20);
	assert_int_equal(f.failures, 0);
	assert_true(f.writing);
	assert_true(file_size(w) == (off_t)f.bytes);
	lines = f.lines;
	assert_true(lines < 3000);
}

static void a_full_disk_leaves_nothing_stale(void **state)
{
	struct world *w = *state;
	struct rlimit limit = {8192, RLIM_INFINITY}, none = {RLIM_INFINITY, RLIM_INFINITY};
	struct journal_figures f;

	signal(SIGXFSZ, SIG_IGN);
	again(w);
	w->told = 1;
	w->padding = 100;
	journal_begin(w->journal, tell_all, w);
	tell(w, "room", "old", "1");
	setrlimit(RLIMIT_FSIZE, &limit);
	for (int i = 0; i < 100; i++) {
		char id[24], text[512];

		snprintf(id, sizeof(id), "%d", i);
		memset(text, 'z', sizeof(text));
		text[sizeof(text) - 1] = '\0';
		tell(w, "room", id, text);
	}
	journal_figures(w->journal, &f);
	assert_false(f.writing);
	assert_int_equal(f.failures, 1);
	// A successor would begin with nothing, not with the first half.
	assert_int_equal(file_size(w), 0);
	w->padding = 4000;
	w->told = 10;
	journal_tick(w->journal, 1);
	journal_figures(w->journal, &f);
	assert_false(f.writing);
	assert_int_equal(file_size(w), 0);
	setrlimit(RLIMIT_FSIZE, &none);
	journal_tick(w->journal, 2); // not before its time
	journal_figures(w->journal, &f);
	assert_false(f.writing);
	journal_tick(w->journal, 20000000);
	journal_figures(w->journal, &f);
	assert_true(f.writing);
	tell(w, "room", "new", "1");
	again(w);
	assert_int_equal(memory_count(w->left), 11);
	assert_string_equal(memory_find(w->left, "room", "new"), "1");
	assert_null(memory_find(w->left, "room", "old"));
}

static void a_rewrite_that_fails_keeps_the_old_file(void **state)
{
	struct world *w = *state;
	struct rlimit limit = {3u << 20, RLIM_INFINITY}, none = {RLIM_INFINITY, RLIM_INFINITY};
	struct journal_figures f;

	signal(SIGXFSZ, SIG_IGN);
	again(w);
	journal_begin(w->journal, tell_all, w);
	tell(w, "room", "r", "1");
	for (int i = 0; i < 2000; i++) {
		char text[600];

		memset(text, 'z', sizeof(text));
		text[sizeof(text) - 1] = '\0';
		tell(w, "big", "b", text);
	}
	w->told = 2000;
	w->padding = 4000;
	setrlimit(RLIMIT_FSIZE, &limit);
	journal_tick(w->journal, 1);
	setrlimit(RLIMIT_FSIZE, &none);
	journal_figures(w->journal, &f);
	assert_int_equal(f.rewrites, 1);
	assert_true(f.writing);
	tell(w, "room", "s", "2");
	again(w);
	assert_string_equal(memory_find(w->left, "room", "r"), "1");
	assert_string_equal(memory_find(w->left, "room", "s"), "2");
	assert_null(memory_find(w->left, "told", "1"));
}

// --- what media tells --------------------------------------------------------------------------

static void a_put_comes_back_without_its_secrets(void **state)
{
	struct sfu_command put
		= {.type = SFU_CMD_PUT_TRANSPORT, .version = 7, .handle = 0x500000003},
		got;
	char id[MEDIA_MEMORY_ID_BYTES], text[MEDIA_MEMORY_TEXT_BYTES];

	(void)state;
	put.u.transport.peer = 0x100000001;
	put.u.transport.direction = 2;
	put.u.transport.ufrag_len = 4;
	memcpy(put.u.transport.ufrag, "abcd", 4);
	put.u.transport.pwd_len = 22;
	memcpy(put.u.transport.pwd, "secretsecretsecretsecr", 22);
	strcpy(put.u.transport.label, "label");
	media_memory_object_id(id, SFU_KIND_TRANSPORT, put.handle);
	media_memory_object(text, &put);
	assert_true(media_memory_read_object(id, text, &got));
	assert_int_equal(got.type, put.type);
	assert_int_equal(got.version, 7);
	assert_int_equal(got.handle, put.handle);
	assert_int_equal(got.u.transport.peer, put.u.transport.peer);
	assert_string_equal(got.u.transport.label, "label");
	assert_int_equal(got.u.transport.ufrag_len + got.u.transport.pwd_len, 0);
	for (size_t i = 0; i < sizeof(got.u.transport.pwd); i++)
		assert_int_equal(got.u.transport.pwd[i], 0);
	memset(&put.u, 0xff, sizeof(put.u));
	put.type = SFU_CMD_PUT_CONSUMER;
	media_memory_object_id(id, SFU_KIND_CONSUMER, put.handle);
	media_memory_object(text, &put);
	assert_true(media_memory_read_object(id, text, &got));
	assert_memory_equal(&got.u, &put.u, sizeof(put.u));
}

static void other_texts_are_no_objects(void **state)
{
	static const char *const cases[][2] = {
		{"", "1 00"},
		{"0:0000000100000001", "1 00"},
		{"6:0000000100000001", "1 00"},
		{"1:0000000100000001x", "1 00"},
		{"1:", "1 00"},
		{"1:0000000100000001", ""},
		{"1:0000000100000001", "1 0"},
		{"1:0000000100000001", "1 0g"},
		{"1:0000000100000001", "1 -1"},
		{"1:0000000100000001", "x 00"},
	};
	struct sfu_command got;
	char text[1024] = "1 ";
	uint64_t handle;
	uint32_t capacity[PROGRAMME_KINDS];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (media_memory_read_object(cases[i][0], cases[i][1], &got))
			fail_msg("case %zu", i);
	memset(text + 2, '0', 2 * 233);
	assert_false(media_memory_read_object("1:0000000100000001", text, &got));
	assert_false(media_memory_read_handle("", &handle));
	assert_false(media_memory_read_handle("12x", &handle));
	assert_false(media_memory_read_tables("1 2 3 4", capacity));
	assert_true(media_memory_read_tables("1 2 3 4 5", capacity));
	assert_int_equal(capacity[SFU_KIND_CONSUMER], 5);
}

static void fingerprints_come_back(void **state)
{
	struct media_fingerprint in[2] = {{"sha-256", "AA:BB"}, {"sha-512", "CC"}}, out[2];
	char text[MEDIA_MEMORY_TEXT_BYTES];

	(void)state;
	media_memory_remote(text, in, 2);
	assert_string_equal(text, "remote sha-256 AA:BB sha-512 CC");
	assert_int_equal(media_memory_read_remote(text, out, 2), 2);
	assert_string_equal(out[1].value, "CC");
	assert_int_equal(media_memory_read_remote("keys", out, 2), 0);
	assert_int_equal(media_memory_read_remote("remote", out, 2), 0);
	memset(in[0].value, 'A', sizeof(in[0].value) - 1);
	for (int i = 0; i < 20; i++) {
		struct media_fingerprint many[8];

		for (size_t k = 0; k < 8; k++)
			many[k] = in[0];
		media_memory_remote(text, many, 8);
	}
	assert_true(strlen(text) < MEDIA_MEMORY_TEXT_BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_crc_is_the_standard_one),
		cmocka_unit_test(a_line_reads_as_it_was_written),
		cmocka_unit_test(what_would_break_a_line_is_refused),
		cmocka_unit_test(every_cut_is_the_state_of_before),
		cmocka_unit_test(every_flipped_bit_is_seen),
		cmocka_unit_test_setup_teardown(a_successor_reads_what_was_told, setup, teardown),
		cmocka_unit_test_setup_teardown(a_frozen_journal_stays_as_it_is, setup, teardown),
		cmocka_unit_test_setup_teardown(two_do_not_share_a_folder, setup, teardown),
		cmocka_unit_test_setup_teardown(
			another_boot_or_version_is_not_used, setup, teardown),
		cmocka_unit_test_setup_teardown(garbage_is_a_clean_start, setup, teardown),
		cmocka_unit_test_setup_teardown(it_does_not_grow_for_ever, setup, teardown),
		cmocka_unit_test_setup_teardown(a_full_disk_leaves_nothing_stale, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_rewrite_that_fails_keeps_the_old_file, setup, teardown),
		cmocka_unit_test(a_put_comes_back_without_its_secrets),
		cmocka_unit_test(other_texts_are_no_objects),
		cmocka_unit_test(fingerprints_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
