// SPDX-License-Identifier: BSD-3-Clause
/* Settings of sfu-dp: bounds, sources and their order, and what an error says. */
#include "sfu-dp/config.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define ARGUMENTS 8

static struct {
	struct config config;
	char *out, *err;
	size_t out_len, err_len;
	char folder[32];
	char file[64];
} world;

static void texts_free(void)
{
	free(world.out);
	free(world.err);
	world.out = NULL;
	world.err = NULL;
}

/** config_load() with these arguments after the program's name, NULL at the end. */
static int load(const char *first, ...)
{
	char *argv[ARGUMENTS + 2] = {(char[]){"sfu-dp"}};
	int argc = 1, rc;
	FILE *out, *err;
	va_list ap;

	va_start(ap, first);
	for (const char *a = first; a; a = va_arg(ap, const char *)) {
		assert_true(argc <= ARGUMENTS);
		argv[argc++] = (char *)(uintptr_t)a;
	}
	va_end(ap);
	texts_free();
	out = open_memstream(&world.out, &world.out_len);
	err = open_memstream(&world.err, &world.err_len);
	memset(&world.config, 0xee, sizeof(world.config));
	rc = config_load(&world.config, argc, argv, out, err);
	fclose(out);
	fclose(err);
	if (rc >= 0)
		assert_string_equal(world.err, "");
	return rc;
}

static int load_set(const char *key, const char *value)
{
	char setting[1024];

	snprintf(setting, sizeof(setting), "%s=%s", key, value);
	return load("--set", setting, NULL);
}

/** The error is one printable line that holds all of these; NULL at the end. */
static void assert_error(int rc, ...)
{
	const char *word;
	va_list ap;

	assert_int_equal(rc, -EINVAL);
	assert_string_equal(world.out, "");
	assert_int_equal(strncmp(world.err, "sfu-dp: ", 8), 0);
	assert_ptr_equal(strchr(world.err, '\n'), world.err + world.err_len - 1);
	for (size_t i = 0; i + 1 < world.err_len; i++)
		assert_true((unsigned char)world.err[i] >= 0x20 && world.err[i] != 0x7f);
	va_start(ap, rc);
	while ((word = va_arg(ap, const char *))) {
		if (!strstr(world.err, word))
			fail_msg("\"%s\" is not in: %s", word, world.err);
	}
	va_end(ap);
}

static void file_write_octets(const void *text, size_t len)
{
	FILE *f = fopen(world.file, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	fclose(f);
}

static void file_write(const char *text)
{
	file_write_octets(text, strlen(text));
}

struct wanted {
	const char *key;
	char value[CONFIG_TEXT_BYTES];
	unsigned found, keys;
};

static void look(void *ctx, const char *key, const char *value)
{
	struct wanted *w = ctx;

	w->keys++;
	if (strcmp(key, w->key))
		return;
	w->found++;
	snprintf(w->value, sizeof(w->value), "%s", value);
}

/** As dp-cli show config would say. */
static struct wanted value_of(const char *key)
{
	struct wanted w = {.key = key};

	config_each(&world.config, look, &w);
	assert_int_equal(w.found, 1);
	return w;
}

/* --- the settings --- */

static const struct {
	const char *key;
	unsigned min, max;
	const char *fallback;
} numbers[] = {
	{"SFU_RTC_MIN_PORT", 1, 65535, "40000"},
	{"SFU_DP_WORKERS", 1, 15, "1"},
	{"SFU_DP_CONSENT_SEC", 2, 120, "30"},
	{"SFU_DP_MEMORY_MB", 128, 1048576, "256"},
	{"SFU_DP_MBUFS", 2047, 16777215, "16383"},
	{"SFU_DP_HISTORY_PACKETS", 0, 16777215, "0"},
	{"SFU_DP_HISTORY_MS", 100, 5000, "1000"},
	{"SFU_DP_MAX_ROOMS", 1, 1048576, "4096"},
	{"SFU_DP_MAX_PEERS", 1, 1048576, "16384"},
	{"SFU_DP_MAX_TRANSPORTS", 1, 1048576, "4096"},
	{"SFU_DP_MAX_PRODUCERS", 1, 1048576, "4096"},
	{"SFU_DP_MAX_CONSUMERS", 1, 1048576, "32768"},
};

static const struct {
	const char *key;
	const char *words[5]; /* the first is the default */
} choices[] = {
	{"SFU_DP_POLLING", {"adaptive", "busy"}},
	{"SFU_DP_TURN_CLOCK", {"cycles", "processor"}},
	{"SFU_DP_HUGEPAGES", {"auto", "on", "off"}},
	{"SFU_DP_STANDBY", {"off", "on"}},
	{"SFU_DP_LOG_LEVEL", {"info", "error", "warn", "debug"}},
};

static const struct {
	const char *key;
	const char *fallback;
	int may_be_empty;
} texts[] = {
	{"SFU_DP_DEVICE", "net_af_packet0,iface=sfu-dp0", 0},
	{"SFU_DP_ADDRESS", "198.18.99.2", 0},
	{"SFU_ANNOUNCED_IP", "", 1},
	{"SFU_LINK", "/run/sfu/link.sock", 0},
	{"SFU_LINK_GROUP", "", 1},
	{"SFU_DP_CLI", "/run/sfu/dp-cli.sock", 0},
	{"SFU_DP_ENGINE", "auto", 0},
	{"SFU_DP_LCORES", "", 1},
	{"SFU_DP_EAL", "", 1},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void defaults_are_these_and_no_others(void **state)
{
	(void)state;
	assert_int_equal(load(NULL), 0);
	for (size_t i = 0; i < COUNT(numbers); i++)
		assert_string_equal(value_of(numbers[i].key).value, numbers[i].fallback);
	for (size_t i = 0; i < COUNT(choices); i++)
		assert_string_equal(value_of(choices[i].key).value, choices[i].words[0]);
	for (size_t i = 0; i < COUNT(texts); i++)
		assert_string_equal(value_of(texts[i].key).value, texts[i].fallback);
	assert_int_equal(value_of("SFU_LINK").keys, COUNT(numbers) + COUNT(choices) + COUNT(texts));
}

static void numbers_keep_their_bounds(void **state)
{
	static const char *const never[] = {"", " ", "x", "-1", "+5", "0x10", "1e3", "1.5", "12 ",
		"12x", "1,000", "4294967297", "18446744073709551617",
		"99999999999999999999999999999999999999"};
	char text[16], min[16], max[16];

	(void)state;
	for (size_t i = 0; i < COUNT(numbers); i++) {
		const char *key = numbers[i].key;

		snprintf(min, sizeof(min), "%u", numbers[i].min);
		snprintf(max, sizeof(max), "%u", numbers[i].max);
		assert_int_equal(load_set(key, min), 0);
		assert_string_equal(value_of(key).value, min);
		assert_int_equal(load_set(key, max), 0);
		assert_string_equal(value_of(key).value, max);
		snprintf(text, sizeof(text), "%u", numbers[i].min - 1);
		assert_error(load_set(key, text), "command line", key, text, min, max, NULL);
		snprintf(text, sizeof(text), "%u", numbers[i].max + 1);
		assert_error(load_set(key, text), "command line", key, text, min, max, NULL);
		for (size_t k = 0; k < COUNT(never); k++)
			assert_error(load_set(key, never[k]), key, never[k], min, max, NULL);
	}
}

static void choices_are_taken_as_written(void **state)
{
	static const char *const never[] = {"", "Auto", "BUSY", "auto|on", "adaptive|busy",
		"error|warn", "|", "au", "autoo", " info", "trace"};

	(void)state;
	for (size_t i = 0; i < COUNT(choices); i++) {
		const char *key = choices[i].key;

		for (size_t k = 0; choices[i].words[k]; k++) {
			assert_int_equal(load_set(key, choices[i].words[k]), 0);
			assert_string_equal(value_of(key).value, choices[i].words[k]);
		}
		for (size_t k = 0; k < COUNT(never); k++)
			assert_error(load_set(key, never[k]), key, never[k], choices[i].words[0],
				choices[i].words[1], NULL);
	}
}

static void texts_have_a_longest_and_some_a_shortest(void **state)
{
	char longest[CONFIG_TEXT_BYTES + 1];

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		const char *key = texts[i].key;

		memset(longest, 'a', sizeof(longest));
		longest[CONFIG_TEXT_BYTES - 1] = 0;
		assert_int_equal(load_set(key, longest), 0);
		assert_string_equal(value_of(key).value, longest);
		longest[CONFIG_TEXT_BYTES - 1] = 'a';
		longest[CONFIG_TEXT_BYTES] = 0;
		assert_error(load_set(key, longest), key, "255", NULL);
		if (texts[i].may_be_empty)
			assert_int_equal(load_set(key, ""), 0);
		else
			assert_error(load_set(key, ""), key, "empty", NULL);
	}
}

/** A value with a terminal's control characters in it must not reach the terminal. */
static void errors_are_printable(void **state)
{
	(void)state;
	assert_error(load_set("SFU_DP_WORKERS", "\033[2J\r\n\x7f"), "SFU_DP_WORKERS", NULL);
	assert_error(load("--set", "\033[2J=1", NULL), NULL);
	assert_error(load("\033[2J", NULL), NULL);
	file_write("\033[31mSFU_DP_WORKERS = 1\n");
	assert_error(load("--config", world.file, NULL), NULL);
	assert_error(load("--config", "/no\nsuch\tfile", NULL), "/no?such?file", NULL);
}

/* --- sources --- */

static void the_command_line_wins_over_environment_over_file(void **state)
{
	(void)state;
	file_write("SFU_DP_WORKERS = 2\nSFU_RTC_MIN_PORT = 2000\nSFU_DP_MBUFS = 4095\n");
	assert_int_equal(load("--config", world.file, NULL), 0);
	assert_int_equal(world.config.workers, 2);
	assert_int_equal(world.config.media_port, 2000);
	assert_int_equal(world.config.mbufs, 4095);
	assert_int_equal(world.config.max_rooms, 4096);

	setenv("SFU_DP_WORKERS", "3", 1);
	setenv("SFU_RTC_MIN_PORT", "3000", 1);
	assert_int_equal(load("--config", world.file, NULL), 0);
	assert_int_equal(world.config.workers, 3);
	assert_int_equal(world.config.media_port, 3000);
	assert_int_equal(world.config.mbufs, 4095);

	// The order of arguments does not matter; of equal ones the last counts.
	assert_int_equal(load("--set", "SFU_DP_WORKERS=9", "--set", "SFU_DP_WORKERS=4", "--config",
				 world.file, NULL),
		0);
	assert_int_equal(world.config.workers, 4);
	assert_int_equal(world.config.media_port, 3000);
	assert_int_equal(world.config.mbufs, 4095);
	assert_int_equal(value_of("SFU_DP_WORKERS").value[0], '4');

	setenv("SFU_DP_WORKERS", "many", 1);
	assert_error(load("--set", "SFU_DP_WORKERS=4", NULL), "environment", "SFU_DP_WORKERS",
		"many", "1", "15", NULL);
	unsetenv("SFU_DP_WORKERS");
	unsetenv("SFU_RTC_MIN_PORT");
}

static void the_file_may_be_named_by_the_environment(void **state)
{
	(void)state;
	file_write("SFU_DP_WORKERS = 7\n");
	setenv("SFU_DP_CONFIG", world.file, 1);
	assert_int_equal(load(NULL), 0);
	assert_int_equal(world.config.workers, 7);
	// And is not read when the command line names another.
	assert_error(load("--config", "/no/such/file", NULL), "/no/such/file", NULL);
	unsetenv("SFU_DP_CONFIG");
}

static void a_file_may_be_written_like_this(void **state)
{
	(void)state;
	file_write("# comment = no setting\n\n   \t\n  # indented\n"
		   "SFU_DP_WORKERS=2\n"
		   "\tSFU_RTC_MIN_PORT\t=  50000  \r\n"
		   "SFU_DP_EAL = --log-level=8 --no-pci\n"
		   "SFU_DP_LCORES =\n"
		   "SFU_DP_WORKERS = 3\n"
		   "SFU_DP_MBUFS = 4095");
	assert_int_equal(load("--config", world.file, NULL), 0);
	assert_int_equal(world.config.workers, 3);
	assert_int_equal(world.config.media_port, 50000);
	assert_string_equal(world.config.eal, "--log-level=8 --no-pci");
	assert_string_equal(world.config.lcores, "");
	assert_int_equal(world.config.mbufs, 4095);
	file_write("");
	assert_int_equal(load("--config", world.file, NULL), 0);
}

static void errors_of_a_file_name_file_and_line(void **state)
{
	char where[96], text[3000];

	(void)state;
	snprintf(where, sizeof(where), "%s:3:", world.file);
	file_write("# one\nSFU_DP_WORKERS = 1\nSFU_DP_WORKER = 2\n");
	assert_error(load("--config", world.file, NULL), where, "SFU_DP_WORKER", "--help", NULL);
	file_write("# one\n# two\nSFU_DP_WORKERS 2\n");
	assert_error(load("--config", world.file, NULL), where, "KEY = value", NULL);
	file_write("# one\n# two\nSFU_DP_WORKERS = 99\n");
	assert_error(load("--config", world.file, NULL), where, "SFU_DP_WORKERS", "99", "15", NULL);
	file_write("\n\n= 99\n");
	assert_error(load("--config", world.file, NULL), where, NULL);
	file_write("\n\nsfu_dp_workers = 1\n");
	assert_error(load("--config", world.file, NULL), where, "sfu_dp_workers", NULL);
	file_write_octets("\n\nSFU_DP_WORKERS = 1\0 5\n", 24);
	assert_error(load("--config", world.file, NULL), where, NULL);

	// What would be cut must not become two lines, not even a comment.
	memset(text, 'a', sizeof(text));
	memcpy(text, "\n\n#", 3);
	text[sizeof(text) - 2] = '\n';
	text[sizeof(text) - 1] = 0;
	file_write(text);
	assert_error(load("--config", world.file, NULL), where, "longer", NULL);
	memcpy(text, "\n\nSFU_DP_LCORES = ", 18);
	file_write(text);
	assert_error(load("--config", world.file, NULL), where, NULL);
}

static void a_file_that_cannot_be_read_is_an_error(void **state)
{
	(void)state;
	assert_error(load("--config", "/no/such/file", NULL), "/no/such/file",
		"No such file or directory", NULL);
	assert_error(load("--config", world.folder, NULL), world.folder, "directory", NULL);
}

static void arguments_that_make_no_sense_are_refused(void **state)
{
	(void)state;
	assert_error(load("--config", NULL), "--config", "value", NULL);
	assert_error(load("--set", NULL), "--set", "value", NULL);
	assert_error(load("--set", "SFU_DP_WORKERS", NULL), "SFU_DP_WORKERS", NULL);
	assert_error(load("--set", "=1", NULL), NULL);
	assert_error(load("--set", "", NULL), NULL);
	assert_error(load("--set", "SFU_NO_SUCH=1", NULL), "SFU_NO_SUCH", "--help", NULL);
	assert_error(load("--sets", "SFU_DP_WORKERS=1", NULL), "--sets", "--help", NULL);
	assert_error(load("SFU_DP_WORKERS=1", NULL), "SFU_DP_WORKERS=1", NULL);
	assert_error(load("", NULL), NULL);
	// A value that looks like an argument is a value.
	assert_int_equal(load("--set", "SFU_DP_LCORES=--help", NULL), 0);
	assert_string_equal(world.config.lcores, "--help");
}

static void help_lists_every_setting(void **state)
{
	static const char *const ways[] = {"--help", "-h"};

	(void)state;
	for (size_t i = 0; i < COUNT(ways); i++) {
		assert_int_equal(load(ways[i], NULL), 1);
		for (size_t k = 0; k < COUNT(numbers); k++) {
			char bounds[64];

			snprintf(bounds, sizeof(bounds), "%u to %u, default %s", numbers[k].min,
				numbers[k].max, numbers[k].fallback);
			assert_non_null(strstr(world.out, numbers[k].key));
			assert_non_null(strstr(strstr(world.out, numbers[k].key), bounds));
		}
		for (size_t k = 0; k < COUNT(choices); k++)
			assert_non_null(strstr(world.out, choices[k].key));
		for (size_t k = 0; k < COUNT(texts); k++)
			assert_non_null(strstr(world.out, texts[k].key));
	}
	// Also next to what would be refused.
	assert_int_equal(load("--nonsense", "--help", NULL), 1);
}

static void the_profiles_that_we_ship_load(void **state)
{
	static const char *const must[] = {"demo.conf", "memif.conf", "netns.conf", "vfio.conf"};
	unsigned found = 0, profiles = 0;
	struct dirent *entry;
	DIR *dir = opendir(DP_PROFILES);

	(void)state;
	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		char path[1024];
		size_t len = strlen(entry->d_name);

		if (len < 5 || strcmp(entry->d_name + len - 5, ".conf"))
			continue;
		snprintf(path, sizeof(path), "%s/%s", DP_PROFILES, entry->d_name);
		if (load("--config", path, NULL))
			fail_msg("%s", world.err);
		profiles++;
		for (size_t i = 0; i < COUNT(must); i++)
			found += !strcmp(entry->d_name, must[i]);
	}
	closedir(dir);
	assert_int_equal(found, COUNT(must));
	assert_true(profiles >= COUNT(must));
}

static int world_make(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(numbers); i++)
		unsetenv(numbers[i].key);
	for (size_t i = 0; i < COUNT(choices); i++)
		unsetenv(choices[i].key);
	for (size_t i = 0; i < COUNT(texts); i++)
		unsetenv(texts[i].key);
	unsetenv("SFU_DP_CONFIG");
	strcpy(world.folder, "/tmp/sfu-test-XXXXXX");
	if (!mkdtemp(world.folder))
		return -1;
	snprintf(world.file, sizeof(world.file), "%s/dp.conf", world.folder);
	return 0;
}

static int world_end(void **state)
{
	(void)state;
	texts_free();
	unlink(world.file);
	return rmdir(world.folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_these_and_no_others),
		cmocka_unit_test(numbers_keep_their_bounds),
		cmocka_unit_test(choices_are_taken_as_written),
		cmocka_unit_test(texts_have_a_longest_and_some_a_shortest),
		cmocka_unit_test(errors_are_printable),
		cmocka_unit_test(the_command_line_wins_over_environment_over_file),
		cmocka_unit_test(the_file_may_be_named_by_the_environment),
		cmocka_unit_test(a_file_may_be_written_like_this),
		cmocka_unit_test(errors_of_a_file_name_file_and_line),
		cmocka_unit_test(a_file_that_cannot_be_read_is_an_error),
		cmocka_unit_test(arguments_that_make_no_sense_are_refused),
		cmocka_unit_test(help_lists_every_setting),
		cmocka_unit_test(the_profiles_that_we_ship_load),
	};

	return cmocka_run_group_tests(tests, world_make, world_end);
}
