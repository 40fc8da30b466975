// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/log.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

static int least = LOG_INFO;

static const struct {
	const char *name;
	int level;
} levels[] = {
	{"error", LOG_ERR},
	{"warn", LOG_WARNING},
	{"info", LOG_INFO},
	{"debug", LOG_DEBUG},
};

void log_level_set(const char *name)
{
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		if (!strcmp(levels[i].name, name))
			least = levels[i].level;
	}
}

static const char *level_name(int level)
{
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		if (level <= levels[i].level)
			return levels[i].name;
	}
	return "debug";
}

static void printable(char *text)
{
	for (; *text; text++) {
		if (iscntrl((unsigned char)*text))
			*text = '?';
	}
}

void log_line(int level, const char *module, const char *event, const char *fmt, ...)
{
	char line[1024], what[256], pairs[512] = "";
	struct timespec ts;
	struct tm tm;
	char when[32];
	int n;

	if (level > least)
		return;
	if (fmt) {
		va_list ap;

		va_start(ap, fmt);
		vsnprintf(pairs, sizeof(pairs), fmt, ap);
		va_end(ap);
	}
	snprintf(what, sizeof(what), "%s", event);
	printable(what);
	printable(pairs);
	for (char *p = what; (p = strchr(p, '"'));)
		*p = '\'';
	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	n = snprintf(line, sizeof(line), "ts=%s.%03ldZ level=%s module=%s msg=\"%s\"%s%s\n", when,
		ts.tv_nsec / 1000000, level_name(level), module, what, *pairs ? " " : "", pairs);
	if (n > (int)sizeof(line) - 1) {
		n = sizeof(line) - 1;
		line[n - 1] = '\n';
	}
	// A log that cannot be written must not stop the packets: the result is of no use.
	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		return;
}
