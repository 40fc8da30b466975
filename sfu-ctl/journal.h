// SPDX-License-Identifier: BSD-3-Clause
/**
 * The journal of the control plane (design.md 6): one file in SFU_STATE_DIR, mode 0600, appended to
 * as things change, rewritten at the start and whenever it has grown to a multiple of what it has
 * to say. It outlives the process and not the machine: the data plane's state does not, so nothing
 * is synced to disk. What could not be written must not be read later: then the file is emptied,
 * and written anew as soon as that is possible. On the event loop's thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "sfu-ctl/memory.h"

struct journal;

/** Tell everything that is to be remembered now, through the remember of journal_remember(). */
typedef void (*journal_tell_all_fn)(void *ctx);

/**
 * Read what a predecessor left, if it ran since the machine started; then the file is locked and
 * stays as it is until journal_begin(). A disk that is full, broken or read-only is no reason not to
 * start: then nothing is restored, and all is written as soon as that is possible.
 * @param dir   must exist
 * @param left  receives what is to be restored, empty when there is nothing; the caller's
 * @param note  receives one line on what was found, "" when there was no file
 * @param err   receives one line on failure
 * @return NULL: the folder cannot be used, or another sfu-ctl uses it
 */
struct journal *journal_open(const char *dir, struct memory **left, char *note, size_t note_size,
	char *err, size_t err_size);

/** What is to be told to core and media. Valid as long as the journal. */
const struct remember *journal_remember(struct journal *j);

/** From now on changes are written; first everything is. */
void journal_begin(struct journal *j, journal_tell_all_fn tell_all, void *ctx);

/** Write no more: what is in the file now is for the successor. */
void journal_freeze(struct journal *j);

/** Rewrite when that is worth it, or try again when writing has failed. Call it now and then. */
void journal_tick(struct journal *j, uint64_t now_us);

struct journal_figures {
	uint64_t bytes, lines, rewrites, failures;
	int writing; /* 0: it goes without */
};
void journal_figures(const struct journal *j, struct journal_figures *out);

/** NULL is fine. The file stays. */
void journal_close(struct journal *j);
