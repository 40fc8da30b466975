// SPDX-License-Identifier: BSD-3-Clause
/*
 * The settings file of sfu-ctl. Input: the file. Whatever is in it, the answer is a configuration or one
 * printable line that says what is wrong; and what --print-config writes is read back as the same.
 */
#include "sfu-ctl/config.h"
#include "sfu-ctl/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define require(what)                                                                              \
	do {                                                                                       \
		if (!(what))                                                                       \
			abort();                                                                   \
	} while (0)

/* One line, nothing in it that a terminal would obey. */
static void check_line(const char *text, size_t size)
{
	require(memchr(text, 0, size) != NULL);
	for (; *text != '\0'; text++)
		require((unsigned char)*text >= 0x20 && *text != 0x7f);
}

static enum config_status load(
	struct config *config, struct config_report *report, const void *data, size_t size)
{
	char option[] = "--config", path[32], name[] = "sfu-ctl";
	char *argv[] = {name, option, path, NULL};
	char *envp[] = {NULL};
	enum config_status status;
	int fd = memfd_create("settings", 0);

	require(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	memset(report, 0, sizeof(*report));
	require(config_init(config) == 0);
	status = config_load(config, 3, argv, envp, report);
	close(fd);
	require(report->warnings <= CONFIG_MAX_WARNINGS);
	for (unsigned i = 0; i < report->warnings; i++)
		check_line(report->warning[i], sizeof(report->warning[i]));
	require((status == CONFIG_INVALID) == (report->error[0] != '\0'));
	check_line(report->error, sizeof(report->error));
	return status;
}

/* What is the same in a copy: all lines but those that say whether a secret is set. */
static bool same_settings(const char *a, const char *b)
{
	while (*a != '\0' || *b != '\0') {
		size_t a_len = strcspn(a, "\n"), b_len = strcspn(b, "\n");

		if ((*a != '#' || *b != '#') && (a_len != b_len || memcmp(a, b, a_len) != 0))
			return false;
		a += a_len + (a[a_len] != '\0');
		b += b_len + (b[b_len] != '\0');
	}
	return true;
}

static char *print(const struct config *config, size_t *size)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, size);

	config_print(config, f);
	fclose(f);
	return text;
}

/* Secrets are not printed: without one that is demanded the copy is refused, nothing else may be. */
static void check_copy(const struct config *config)
{
	size_t size;
	char *text = print(config, &size), *again;
	struct config_report report;
	struct config copy;

	if (load(&copy, &report, text, size) == CONFIG_OK) {
		again = print(&copy, &size);
		require(same_settings(text, again));
		free(again);
	} else {
		require(config->production || config->join_token != JOIN_TOKEN_OFF
			|| *config->supabase_key != '\0' || *config->jwt_secret != '\0'
			|| *config->metrics_token != '\0');
	}
	config_fini(&copy);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config_report report;
	struct config config;

	// Files that hold a secret would be opened by the input's names: test_config has those.
	if (size == 0 || memmem(data, size, "_FILE", 5) != NULL)
		return 0;
	if (load(&config, &report, data, size) == CONFIG_OK)
		check_copy(&config);
	config_fini(&config);
	return 0;
}
