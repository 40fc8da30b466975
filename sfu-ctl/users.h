// SPDX-License-Identifier: BSD-3-Clause
/** Which connections a user has, for what one user sends another outside rooms (protocol.md B10). */
#pragma once

#include <sys/queue.h>

#include "sfu-ctl/session.h"
#include "sfu-ctl/table.h"

struct core;

/** There while it has connections. */
struct user {
	struct table_node by_id;
	TAILQ_HEAD(user_sessions, session) sessions; /* in the order of their AUTHs */
	char id[];
};

/** NULL when that user has no connection. */
struct user *users_find(const struct core *c, const char *id);

/** The connection is this user's from now on, and no other's. 0 or -ENOMEM: then nothing changed. */
int users_bind(struct session *s, const char *id);

/** The connection is nobody's any more. */
void users_unbind(struct session *s);
