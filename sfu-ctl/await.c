// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/await.h"

#include "sfu-ctl/core_impl.h"
#include "sfu-ctl/dispatch.h"
#include "sfu-ctl/room.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct await *await_begin(struct request *r, await_fn finish, const char *object_id)
{
	struct core *c = r->session->core;
	struct await *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return NULL;
	a->core = c;
	a->session_id = r->session->id;
	a->request_id = r->id;
	a->peer_life = r->peer->life;
	a->finish = finish;
	snprintf(a->object_id, sizeof(a->object_id), "%s", object_id);
	TAILQ_INSERT_TAIL(&c->awaits, a, link);
	return a;
}

static void await_free(struct await *a)
{
	TAILQ_REMOVE(&a->core->awaits, a, link);
	free(a);
}

void await_refused(struct await *a, struct request *r, int error)
{
	await_free(a);
	if (error == -EAGAIN)
		request_fail(r, FAULT_NODE_UNAVAILABLE);
	else if (error == -ENOSPC)
		request_fail(r, FAULT_NODE_FULL);
	else if (error == -ENOMEM)
		request_fail(r, FAULT_NO_MEMORY);
	else
		request_fail(r, FAULT_ENGINE_REFUSED);
}

void await_done(void *ctx, enum media_result result)
{
	struct await *a = ctx;
	struct session *s = session_find(a->core, a->session_id);
	struct request *r = NULL;

	if (a->core->ending) {
		await_free(a);
		return;
	}
	if (s != NULL && s->busy && s->request.id == a->request_id)
		r = &s->request;
	a->finish(a, r, result);
	await_free(a);
	if (r != NULL)
		session_continue(s);
}

bool await_allows(struct await *a, struct request *r, enum media_result result)
{
	struct peer *p = session_member(r->session);

	if (p == NULL || p->life != a->peer_life) {
		request_fail(r, FAULT_NOT_MEMBER);
		return false;
	}
	if ((r->type->needs & NEEDS_GATE) != 0 && !e2ee_gate_open(&p->room->e2ee, &p->e2ee)) {
		if (r->type->handle == handle_consume)
			p->consume_refused = true;
		request_fail_not_ready(r, p->room->e2ee.epoch);
		return false;
	}
	if (result != MEDIA_OK) {
		request_fail(r, result == MEDIA_UNAVAILABLE ? FAULT_NODE_UNAVAILABLE
				: result == MEDIA_FULL      ? FAULT_NODE_FULL
							    : FAULT_ENGINE_REFUSED);
		return false;
	}
	r->peer = p;
	return true;
}
