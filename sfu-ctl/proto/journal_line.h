// SPDX-License-Identifier: BSD-3-Clause
/**
 * The text of a journal. Pure: no file, no clock.
 *
 *   CRC kind TAB id [TAB text] LF
 *
 * CRC: eight hex digits, CRC-32 (ISO 3309) of what follows the space up to the LF. Without text the
 * line forgets. The first line is of kind "journal", its id is the version and its text the boot.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/** Longest line, LF included. */
#define JOURNAL_LINE_MAX 65536u

uint32_t journal_crc(const void *bytes, size_t len);

/**
 * One line.
 * @param text  NULL for a line that forgets
 * @return its length with LF; 0: it does not fit, or kind or id hold a TAB or LF or are empty
 */
size_t journal_line(char *out, size_t size, const char *kind, const char *id, const char *text);

enum journal_status {
	JOURNAL_OK,
	JOURNAL_CUT, /* the last line has no end: whoever wrote it died meanwhile; it was left out */
	JOURNAL_DAMAGED, /* anything else: what was told is not to be used */
};

/** Texts are NUL terminated and valid during the call. A nonzero return ends the scan. */
typedef int (*journal_line_fn)(void *ctx, const char *kind, const char *id, const char *text);

/**
 * Read a journal. Modifies bytes.
 * @param fn  called per line, the first one included
 * @return JOURNAL_DAMAGED also when fn broke off
 */
enum journal_status journal_scan(char *bytes, size_t len, journal_line_fn fn, void *ctx);
