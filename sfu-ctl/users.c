// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/users.h"

#include "sfu-ctl/core_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct user *users_find(const struct core *c, const char *id)
{
	struct table_node *node = table_find(&c->users, id, strlen(id));

	return node == NULL ? NULL : container_of(node, struct user, by_id);
}

static struct user *create(struct core *c, const char *id)
{
	size_t len = strlen(id);
	struct user *u = calloc(1, sizeof(*u) + len + 1);

	if (u == NULL)
		return NULL;
	TAILQ_INIT(&u->sessions);
	memcpy(u->id, id, len + 1);
	if (table_add(&c->users, &u->by_id, u->id, len) < 0) {
		free(u);
		return NULL;
	}
	return u;
}

int users_bind(struct session *s, const char *id)
{
	struct user *u = users_find(s->core, id);

	if (u == NULL)
		u = create(s->core, id);
	if (u == NULL)
		return -ENOMEM;
	if (u == s->user)
		return 0;
	users_unbind(s);
	TAILQ_INSERT_TAIL(&u->sessions, s, user_link);
	s->user = u;
	return 0;
}

void users_unbind(struct session *s)
{
	struct user *u = s->user;

	if (u == NULL)
		return;
	s->user = NULL;
	TAILQ_REMOVE(&u->sessions, s, user_link);
	if (!TAILQ_EMPTY(&u->sessions))
		return;
	table_remove(&s->core->users, &u->by_id);
	free(u);
}
