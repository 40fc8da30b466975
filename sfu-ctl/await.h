// SPDX-License-Identifier: BSD-3-Clause
/**
 * A request that waits for the data plane. While it waits, anything may end: the connection, the
 * membership, the object, the data plane. So an await holds ids, looks everything up again when the
 * answer comes, and its finish function undoes what may not stand (protocol.md C29).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "sfu-ctl/media.h"
#include "sfu-ctl/session.h"

struct await;

/**
 * @param r  the request, still unanswered; NULL when it is gone. It must be ended.
 * When it is gone its objects are, too: they went with the membership.
 */
typedef void (*await_fn)(struct await *a, struct request *r, enum media_result result);

struct await {
	TAILQ_ENTRY(await) link;
	struct core *core;
	uint64_t session_id, request_id, peer_life;
	await_fn finish;
	char object_id[UUID_BYTES]; /* what is being made */
	char parent_id[UUID_BYTES]; /* what it needs: the producer of a consumer */
};

/** NULL when out of memory. The request's type must ask for membership. */
struct await *await_begin(struct request *r, await_fn finish, const char *object_id);

/** media said at once that it cannot: no answer will come. Frees a, ends r. */
void await_refused(struct await *a, struct request *r, int error);

/** For media.h: done, with the await as context. */
void await_done(void *ctx, enum media_result result);

/**
 * Is the request still allowed: same membership, gate open, data plane content? Else it is ended
 * and false returned: the caller undoes. Sets r->peer.
 */
bool await_allows(struct await *a, struct request *r, enum media_result result);
