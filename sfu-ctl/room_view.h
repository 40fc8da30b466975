// SPDX-License-Identifier: BSD-3-Clause
/** A room as its members are told of it (protocol.md A6). New objects, the caller puts them. */
#pragma once

struct json_object;
struct room;

/** The members that ROOM_CREATED, ROOM_JOIN_OK and ROOM_SNAPSHOT share. */
struct json_object *room_view_base(const struct room *room);

/** The payload of ROOM_SNAPSHOT. */
struct json_object *room_view_snapshot(const struct room *room);
