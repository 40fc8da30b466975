// SPDX-License-Identifier: BSD-3-Clause
/**
 * What a control plane leaves to its successor: texts under a kind and an id ("room", "r1"), the
 * last one counts. The journal fills it from a file, tests fill it directly; core and media read
 * it when they restore what was there. On one thread.
 */
#pragma once

#include <stddef.h>

struct memory;

/**
 * How core and media tell what is to be remembered, before anybody hears of it: this text replaces
 * what was under kind and id; NULL forgets it. Neither holds control characters.
 */
struct remember {
	void *ctx;
	void (*tell)(void *ctx, const char *kind, const char *id, const char *text);
};

/** NULL when out of memory. */
struct memory *memory_create(void);
/** NULL is fine. */
void memory_destroy(struct memory *m);

/** text NULL forgets. 0 or -ENOMEM. */
int memory_put(struct memory *m, const char *kind, const char *id, const char *text);

size_t memory_count(const struct memory *m);

/** The text under kind and id, or NULL. */
const char *memory_find(const struct memory *m, const char *kind, const char *id);

/** All of a kind, in the order in which they first came. fn must not change m. */
void memory_each(const struct memory *m, const char *kind,
	void (*fn)(void *ctx, const char *id, const char *text), void *ctx);
