// SPDX-License-Identifier: BSD-3-Clause
/** What ROOM_CREATE and ROOM_JOIN have in common: a room that is wished for, and found or made. */
#pragma once

#include <stdbool.h>

#include "sfu-ctl/fault.h"
#include "sfu-ctl/proto/envelope.h"

struct request;
struct room;

/** What a room is made with; pointers into the payload or into the defaults beside them. */
struct room_wish {
	const char *room_id;
	const char *call_id;
	const char *region;
	bool drop_stale; /* "sframePolicy":"drop"; "observe" does not undo SFU_SFRAME_POLICY */
	char default_room_id[16];
	char default_call_id[ENV_MSG_ID_MAX_BYTES + 1];
};

/** Read the payload. False: the request has been ended. */
bool room_wish_read(struct request *r, struct room_wish *w);

/** The room of that name, made if need be. NULL: the request has been ended. */
struct room *room_wish_find(struct request *r, const struct room_wish *w);

/** End the request with details {roomId}. */
void room_wish_refuse(struct request *r, enum fault f, const char *room_id);
