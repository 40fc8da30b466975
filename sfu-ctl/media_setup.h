// SPDX-License-Identifier: BSD-3-Clause
/** Birth, wiring and death of struct media, for main.c and the core; its use is in media.h. */
#pragma once

#include <stddef.h>
#include <uv.h>

#include "sfu-ctl/media.h"
#include "sfu-ctl/memory.h"

struct media_options {
	const char *link_path; /* socket of sfu-dp */
	const char *state_dir; /* DIR/dtls.pem is kept there; NULL: certificate in memory only */
	const char *node_id; /* for the data plane's log; may be NULL */
	struct remember remember; /* what a successor needs; tell NULL: nothing is remembered */
	/** One line without newline; priority of <syslog.h>. May be NULL. */
	void (*log)(void *ctx, int priority, const char *line);
	void *log_ctx;
};

/**
 * Make it and start connecting to the data plane; sfu-ctl runs on while there is none.
 * @param err  receives one line on failure (a damaged certificate file, no memory)
 * @return NULL on failure
 */
struct media *media_create(
	uv_loop_t *loop, const struct media_options *options, char *err, size_t err_size);

/**
 * Take over what a predecessor wanted of the data plane; before the loop runs. What core then does
 * not claim (media_claim() of media.h) goes with media_sweep(). If the data plane turns out to know
 * of later things than the memory does, all of it is dropped: on_forgotten(stale).
 */
void media_restore(struct media *m, const struct memory *memory);
void media_sweep(struct media *m);

/** Tell all that is to be remembered. */
void media_remember_all(struct media *m);

/**
 * Who gets the notices; copied. on_attached is called from the loop if a data plane is attached
 * already. NULL: the receiver goes: what is outstanding is answered MEDIA_UNAVAILABLE before this
 * returns (the one exception to "not from inside a media call"), after that nothing is called.
 */
void media_set_notices(struct media *m, const struct media_notices *notices);

/**
 * Let go of the data plane, wipe the sessions. Calls media_set_notices(m, NULL) first. The memory
 * goes when the loop has run the close callbacks. NULL is fine.
 */
void media_destroy(struct media *m);
