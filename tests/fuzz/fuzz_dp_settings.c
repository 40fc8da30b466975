// SPDX-License-Identifier: BSD-3-Clause
/*
 * The settings file of sfu-dp. Input: the file. Whatever is in it, the answer is a configuration or one
 * line that says what is wrong; and a file made of the configuration is read as the same.
 */
#include "sfu-dp/config.h"

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

static int load(struct config *config, const void *data, size_t size)
{
	char option[] = "--config", path[32], name[] = "sfu-dp";
	char *argv[] = {name, option, path, NULL};
	char *said = NULL;
	size_t said_len = 0;
	FILE *err = open_memstream(&said, &said_len);
	int fd = memfd_create("settings", 0), rc;

	require(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	rc = config_load(config, 3, argv, err, err);
	close(fd);
	fclose(err);
	// Silent when all is well, else one line.
	require(rc == 0 ? said_len == 0
			: said_len > 0 && strchr(said, '\n') == said + said_len - 1);
	free(said);
	return rc;
}

static void print(void *ctx, const char *key, const char *value)
{
	require(strlen(value) < CONFIG_TEXT_BYTES);
	fprintf(ctx, "%s = %s\n", key, value);
}

static char *text_of(const struct config *config, size_t *size)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, size);

	config_each(config, print, f);
	fclose(f);
	return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config config, copy;
	char *text, *again;
	size_t len, again_len;

	if (size == 0 || load(&config, data, size) != 0)
		return 0;
	text = text_of(&config, &len);
	require(load(&copy, text, len) == 0);
	again = text_of(&copy, &again_len);
	require(len == again_len && memcmp(text, again, len) == 0);
	free(again);
	free(text);
	return 0;
}
