// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 1024u
#define TEXT_BYTES 200u

#define LIMIT_WINDOW_US 10000000u
#define LIMIT_LINES 5u

#define MODULE_BYTES 24u

static const char *const level_names[] = {"none", "error", "warn", "info", "debug"};

/** A module with a level of its own. */
struct module {
	char name[MODULE_BYTES];
	enum log_level level;
};

static enum log_level threshold = LOG_LEVEL_WARN;
static struct module modules[LOG_MODULES_MAX];
static size_t module_count;

/** A line under construction; what does not fit is left out, whole escapes at a time. */
struct line {
	char text[LINE_BYTES];
	size_t len;
};

void log_set_level(enum log_level level)
{
	threshold = level;
}

static bool level_read(const char *text, size_t len, enum log_level *level)
{
	for (unsigned i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
		if (strlen(level_names[i]) == len && memcmp(level_names[i], text, len) == 0) {
			*level = (enum log_level)i;
			return true;
		}
	}
	return false;
}

/* "name=level" */
static bool module_read(const char *text, size_t len, struct module *out)
{
	const char *equals = memchr(text, '=', len);
	size_t name_len = equals == NULL ? 0 : (size_t)(equals - text);

	if (name_len == 0 || name_len >= sizeof(out->name))
		return false;
	memcpy(out->name, text, name_len);
	out->name[name_len] = '\0';
	return level_read(equals + 1, len - name_len - 1, &out->level);
}

static bool modules_read(const char *list, struct module out[LOG_MODULES_MAX], size_t *count)
{
	for (*count = 0; *list != '\0'; ++*count) {
		size_t len = strcspn(list, ",");

		if (*count == LOG_MODULES_MAX || !module_read(list, len, &out[*count]))
			return false;
		list += len + (list[len] == ',' && list[len + 1] != '\0');
	}
	return true;
}

bool log_modules_valid(const char *list)
{
	struct module unused[LOG_MODULES_MAX];
	size_t count;

	return modules_read(list, unused, &count);
}

bool log_set_modules(const char *list)
{
	struct module read[LOG_MODULES_MAX];
	size_t count;

	if (!modules_read(list, read, &count))
		return false;
	memcpy(modules, read, count * sizeof(read[0]));
	module_count = count;
	return true;
}

static enum log_level level_of(const char *module)
{
	for (size_t i = 0; i < module_count; i++) {
		if (strcmp(modules[i].name, module) == 0)
			return modules[i].level;
	}
	return threshold;
}

bool log_enabled(enum log_level level)
{
	enum log_level most = threshold;

	for (size_t i = 0; i < module_count; i++) {
		if (modules[i].level > most)
			most = modules[i].level;
	}
	return level != LOG_LEVEL_NONE && level <= most;
}

/** One octet is kept free for the newline. */
static void line_add(struct line *line, const char *text, size_t len)
{
	if (len > sizeof(line->text) - 1 - line->len)
		return;
	memcpy(line->text + line->len, text, len);
	line->len += len;
}

static void line_puts(struct line *line, const char *text)
{
	line_add(line, text, strlen(text));
}

static void line_escaped(struct line *line, const char *text, size_t len)
{
	static const char hex[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '"' || c == '\\') {
			line_add(line, (const char[]){'\\', (char)c}, 2);
		} else if (c < 0x20 || c >= 0x7f) {
			// Octets above ASCII too: a terminal may take C1 controls out of them.
			line_add(line, (const char[]){'\\', 'x', hex[c >> 4], hex[c & 15]}, 4);
		} else {
			line_add(line, (const char *)&c, 1);
		}
	}
}

static void line_timestamp(struct line *line)
{
	char text[40];
	struct timespec now;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &now);
	if (gmtime_r(&now.tv_sec, &tm) == NULL)
		return;
	strftime(text, sizeof(text), "ts=%Y-%m-%dT%H:%M:%S", &tm);
	line_puts(line, text);
	snprintf(text, sizeof(text), ".%03ldZ", now.tv_nsec / 1000000);
	line_puts(line, text);
}

static void line_field(struct line *line, const struct log_field *field)
{
	char number[24];

	line_puts(line, " ");
	line_puts(line, field->key);
	line_puts(line, "=");
	if (field->text == NULL) {
		snprintf(number, sizeof(number), "%lld", (long long)field->number);
		line_puts(line, number);
		return;
	}
	line_puts(line, "\"");
	line_escaped(line, field->text, field->len < TEXT_BYTES ? field->len : TEXT_BYTES);
	line_puts(line, field->len <= TEXT_BYTES ? "\"" : "…\"");
}

void log_write(
	enum log_level level, const char *module, const char *msg, const struct log_field *fields)
{
	struct line line = {.len = 0};
	ssize_t written;

	if (level == LOG_LEVEL_NONE || level > level_of(module))
		return;
	line_timestamp(&line);
	line_puts(&line, " level=");
	line_puts(&line, level_names[level]);
	line_puts(&line, " module=");
	line_puts(&line, module);
	line_puts(&line, " msg=\"");
	line_escaped(&line, msg, strlen(msg));
	line_puts(&line, "\"");
	for (; fields != NULL && fields->key != NULL; fields++)
		line_field(&line, fields);
	line.text[line.len++] = '\n';

	// A full disk or a closed stderr loses the line, never the service.
	written = write(STDERR_FILENO, line.text, line.len);
	(void)written;
}

struct log_field log_str(const char *key, const char *text)
{
	return log_mem(key, text, text != NULL ? strlen(text) : 0);
}

struct log_field log_mem(const char *key, const void *text, size_t len)
{
	return (struct log_field){.key = key, .text = text != NULL ? text : "", .len = len};
}

struct log_field log_num(const char *key, int64_t number)
{
	return (struct log_field){.key = key, .number = number};
}

struct log_field log_err(const char *key, int error)
{
	return log_str(key, strerrordesc_np(error < 0 ? -error : error));
}

bool log_allowed(struct log_limit *limit, uint64_t now_us, uint32_t *suppressed)
{
	if (limit->window_start_us == 0 || now_us - limit->window_start_us >= LIMIT_WINDOW_US) {
		limit->window_start_us = now_us;
		limit->in_window = 0;
	}
	if (limit->in_window >= LIMIT_LINES) {
		limit->suppressed++;
		return false;
	}
	limit->in_window++;
	if (suppressed != NULL)
		*suppressed = limit->suppressed;
	limit->suppressed = 0;
	return true;
}
