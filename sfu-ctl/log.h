// SPDX-License-Identifier: BSD-3-Clause
/**
 * The log of sfu-ctl: one line per event on stderr, "ts=… level=… module=… msg="…" key=value …".
 *
 * Values are escaped, so nothing that came from the network can forge or break a line. Tokens, keys
 * and passwords are not passed to it at all. Event loop's thread only, except log_write() itself,
 * which writes each line with one write(2).
 *
 *	log_warn("ws", "connection refused", log_str("peer", address), log_num("limit", max));
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_NONE, LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/** One key=value of a line. key: letters and underscores; a literal. NULL key: end of the list. */
struct log_field {
	const char *key;
	const char *text; /* NULL: number */
	size_t len; /* of text */
	int64_t number;
};

/** Lines above this level are dropped. The level before the first call is LOG_LEVEL_WARN. */
void log_set_level(enum log_level level);

/**
 * Levels of single modules in place of the general one, "session=debug,ws=warn". Replaces those that
 * were set before; "" is none.
 * @return false: not of that form, or more than LOG_MODULES_MAX; then nothing has changed
 */
bool log_set_modules(const char *list);
bool log_modules_valid(const char *list);

#define LOG_MODULES_MAX 16u

/** True when lines of this level are written, for one module at least. */
bool log_enabled(enum log_level level);

/** @param fields  ended by an entry with a NULL key. Lines are cut at 1024 octets. */
void log_write(
	enum log_level level, const char *module, const char *msg, const struct log_field *fields);

/** A text field; NULL is written as "". Texts are cut at 200 octets. */
struct log_field log_str(const char *key, const char *text);
/** A text that need not be NUL terminated. */
struct log_field log_mem(const char *key, const void *text, size_t len);
struct log_field log_num(const char *key, int64_t number);
/** -errno or errno: its name and text. */
struct log_field log_err(const char *key, int error);

/* The fields are not even made when nobody reads them. */
#define log_at(level, module, msg, ...)                                                            \
	do {                                                                                       \
		if (log_enabled(level))                                                            \
			log_write((level), (module), (msg),                                        \
				(const struct log_field[]){                                        \
					__VA_ARGS__ __VA_OPT__(, ){NULL, NULL, 0, 0}});            \
	} while (0)
#define log_error(module, ...) log_at(LOG_LEVEL_ERROR, module, __VA_ARGS__)
#define log_warn(module, ...) log_at(LOG_LEVEL_WARN, module, __VA_ARGS__)
#define log_info(module, ...) log_at(LOG_LEVEL_INFO, module, __VA_ARGS__)
#define log_debug(module, ...) log_at(LOG_LEVEL_DEBUG, module, __VA_ARGS__)

/** Bounds a line that the network can provoke. Zero initialised; one per place. */
struct log_limit {
	uint64_t window_start_us;
	uint32_t in_window;
	uint32_t suppressed; /* since the last line that was allowed */
};

/**
 * May one more line be written? At most 5 in 10 s.
 * @param suppressed  receives how many were held back since the last allowed one; may be NULL
 */
bool log_allowed(struct log_limit *limit, uint64_t now_us, uint32_t *suppressed);
