// SPDX-License-Identifier: BSD-3-Clause
/**
 * One structured line per message on stderr: "ts=… level=… module=… msg=…" and key=value pairs.
 * Any thread but a worker's: a line is one write, and nothing is kept. Workers count, they do not log.
 */
#pragma once

#include <stdarg.h>

/** Levels are those of <syslog.h>: LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG. */
void log_level_set(const char *name);

/**
 * @param event  short text, becomes msg="…"; a quotation mark becomes '
 * @param fmt    further "key=value" pairs, may be NULL
 * Control characters of both become ?, and what is too long is cut.
 */
void log_line(int level, const char *module, const char *event, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
