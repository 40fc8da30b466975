// SPDX-License-Identifier: BSD-3-Clause
/*
 * Runs the conversations with the control core that are written down in conversations/NAME.txt. A row
 * is "== what is claimed", then perhaps "mode media" or "mode detached" and "set NAME=VALUE …", then
 * steps as core_script.h has them. Lines that begin with # are comments; what rows share is in the
 * file "beginnings", which says how it is used.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <ctype.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/core_script.h"

#define MAX_SHARED 64u
#define MAX_ARGUMENTS 9u
#define MAX_NESTING 8u

/* One "text" or "steps". */
struct shared {
	char name[32];
	char *body;
	bool is_steps;
};

static struct shared shared[MAX_SHARED];
static size_t shared_count;

static char *file_read(const char *path)
{
	FILE *in = fopen(path, "r"), *out;
	char *text = NULL;
	size_t size = 0;
	int c;

	if (in == NULL)
		fail_msg("%s cannot be read", path);
	out = open_memstream(&text, &size);
	while ((c = fgetc(in)) != EOF)
		fputc(c, out);
	fclose(out);
	fclose(in);
	return text;
}

static const struct shared *shared_find(const char *name, size_t len, bool is_steps)
{
	for (size_t i = 0; i < shared_count; i++) {
		if (shared[i].is_steps == is_steps && strlen(shared[i].name) == len
			&& memcmp(shared[i].name, name, len) == 0)
			return &shared[i];
	}
	fail_msg("nothing shared is called %.*s", (int)len, name);
	return NULL;
}

/* A line with %1 … and %NAME replaced. */
static void line_write(FILE *out, const char *line, char *const *arguments)
{
	while (*line != '\0') {
		size_t len = 0;

		if (*line != '%') {
			fputc(*line++, out);
			continue;
		}
		line++;
		if (*line >= '1' && *line <= '9' && arguments != NULL) {
			const char *argument = arguments[*line++ - '1'];

			fputs(argument == NULL ? "" : argument, out);
			continue;
		}
		while (isupper((unsigned char)line[len]) || isdigit((unsigned char)line[len])
			|| line[len] == '_')
			len++;
		if (len == 0)
			fputc('%', out);
		else
			fputs(shared_find(line, len, false)->body, out);
		line += len;
	}
	fputc('\n', out);
}

static void steps_write(FILE *out, const char *line, unsigned nesting);

/* "NAME ARGUMENT…" */
static void use(FILE *out, const char *call, unsigned nesting)
{
	char *copy = strdup(call), *rest = copy, *arguments[MAX_ARGUMENTS] = {NULL};
	const char *name = strsep(&rest, " ");
	char *body, *lines, *line;

	assert_true(nesting < MAX_NESTING);
	for (size_t i = 0; i < MAX_ARGUMENTS && rest != NULL; i++)
		arguments[i] = strsep(&rest, " ");
	body = lines = strdup(shared_find(name, strlen(name), true)->body);
	while ((line = strsep(&lines, "\n")) != NULL) {
		char *filled = NULL;
		size_t size = 0;
		FILE *f = open_memstream(&filled, &size);

		line_write(f, line, arguments);
		fclose(f);
		filled[size - 1] = '\0';
		steps_write(out, filled, nesting + 1);
		free(filled);
	}
	free(body);
	free(copy);
}

static void steps_write(FILE *out, const char *line, unsigned nesting)
{
	if (strncmp(line, "use ", 4) == 0)
		use(out, line + 4, nesting);
	else
		line_write(out, line, NULL);
}

static void shared_read(const char *path)
{
	char *text = file_read(path), *rest = text, *line;
	FILE *body = NULL;
	size_t size;

	while ((line = strsep(&rest, "\n")) != NULL) {
		struct shared *s = &shared[shared_count];
		int used = 0;

		if (body != NULL && *line != '\0') {
			fprintf(body, "%s\n", line);
		} else if (body != NULL) {
			fclose(body);
			body = NULL;
			shared_count++;
		} else if (sscanf(line, "text %31s %n", s->name, &used) == 1 && used > 0) {
			s->body = strdup(line + used);
			shared_count++;
		} else if (sscanf(line, "steps %31s", s->name) == 1) {
			s->is_steps = true;
			body = open_memstream(&s->body, &size);
		} else if (*line != '#' && *line != '\0') {
			fail_msg("%s: %s", path, line);
		}
		assert_true(shared_count < MAX_SHARED);
	}
	if (body != NULL) {
		fclose(body);
		shared_count++;
	}
	free(text);
}

/* One row, from behind its "== ". */
static void row_run(char *text)
{
	struct script script = {.settings = ""};
	char *steps = NULL, *line;
	size_t size = 0;
	FILE *out = open_memstream(&steps, &size);

	script.name = strsep(&text, "\n");
	while ((line = strsep(&text, "\n")) != NULL) {
		if (*line == '#')
			continue;
		if (strcmp(line, "mode media") == 0)
			script.flags |= SCRIPT_MEDIA;
		else if (strcmp(line, "mode detached") == 0)
			script.flags |= SCRIPT_DETACHED;
		else if (strncmp(line, "set ", 4) == 0)
			script.settings = line + 4;
		else
			steps_write(out, line, 0);
	}
	fclose(out);
	script.text = steps;
	script_run(&script);
	free(steps);
}

static size_t file_run(const char *path)
{
	char *text = file_read(path), *row = strstr(text, "== ");
	size_t count = 0;

	while (row != NULL) {
		char *next = strstr(row, "\n== ");

		if (next != NULL)
			*next = '\0';
		row_run(row + 3);
		count++;
		row = next == NULL ? NULL : next + 1;
	}
	free(text);
	return count;
}

static void test_conversations(void **state)
{
	size_t total = 0;
	glob_t files;

	(void)state;
	shared_read(CONVERSATIONS "/beginnings");
	assert_int_equal(glob(CONVERSATIONS "/*.txt", 0, NULL, &files), 0);
	for (size_t i = 0; i < files.gl_pathc; i++) {
		size_t count = file_run(files.gl_pathv[i]);

		printf("%s: %zu rows\n", strrchr(files.gl_pathv[i], '/') + 1, count);
		assert_true(count > 0);
		total += count;
	}
	printf("%zu rows\n", total);
	globfree(&files);
	for (size_t i = 0; i < shared_count; i++)
		free(shared[i].body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conversations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
