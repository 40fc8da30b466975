// SPDX-License-Identifier: BSD-3-Clause
/**
 * What dp-cli asks: a Unix stream socket; one line "show NOUN\n" in, one JSON document and a
 * newline out, then the connection is closed. Errors are {"error":"…"}. Polled by housekeeping,
 * never blocks; at most INSPECT_CLIENTS at once, each for at most a few seconds; others wait.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define INSPECT_CLIENTS 8u

struct house;
struct inspect;
struct json_object;

/**
 * Bind and listen, mode 0660. A socket that nobody listens on is replaced, any other file is left
 * alone. NULL on failure, with one line in err that says what to do.
 */
struct inspect *inspect_create(const char *path, struct house *h, char *err, size_t err_size);
void inspect_destroy(struct inspect *in);

/** Descriptor (an epoll set) that is readable when inspect_poll() has work. */
int inspect_fd(const struct inspect *in);

/** Accept, read, answer. Returns how many things it did; 0 also while clients are only waited for. */
unsigned inspect_poll(struct inspect *in);

/** The answer to "show NOUN"; NULL for an unknown noun. In show.c. */
struct json_object *show(struct house *h, const char *noun);
