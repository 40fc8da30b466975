// SPDX-License-Identifier: BSD-3-Clause
/**
 * One WebSocket connection: its identity, its frames in strict order (protocol.md A4, C3, C4), and
 * the request that is being answered.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "sfu-ctl/fault.h"
#include "sfu-ctl/frame_format.h"
#include "sfu-ctl/proto/envelope.h"
#include "sfu-ctl/rate.h"
#include "sfu-ctl/table.h"

struct address;
struct core;
struct message_type;
struct peer;
struct seq_entry;
struct session;
struct user;

/** Octets of a UUID with its NUL. */
#define UUID_BYTES 37

/** The one request of a session that is being worked on. Owned by session.c. */
struct request {
	struct session *session;
	uint64_t id; /* never used twice in a process */
	const struct message_type *type;
	struct json_object *frame; /* whole, or only its payload: as the type needs it */
	const struct json_object *payload; /* in frame, or frame itself; NULL counts as {} */
	struct peer *peer; /* of types that ask for membership; not valid over an await */
	uint64_t ticket; /* of the window */
	uint64_t begun_us;
	bool replay_producers; /* after the ACK (B6) */
	uint8_t msg_id_len;
	char msg_id[ENV_MSG_ID_MAX_BYTES]; /* as sent: the relay overwrites the frame's */
};

/** A frame that waits for an earlier one. */
struct queued_frame {
	STAILQ_ENTRY(queued_frame) link;
	size_t len;
	char text[];
};

struct session {
	struct core *core;
	void *conn; /* of ws.c */
	struct table_node by_id;
	TAILQ_ENTRY(session) link; /* of all sessions */
	TAILQ_ENTRY(session) anonymous_link; /* while not authenticated */
	uint64_t id;
	char *remote_address; /* for the log */
	struct address *address; /* where it counts */
	struct rate rate;

	char *device_id;
	char *user_id; /* NULL until AUTH_OK */
	struct user *user; /* the same in users.c */
	TAILQ_ENTRY(session) user_link; /* of that user */
	uint64_t auth_request; /* id of the AUTH that was accepted last */
	uint64_t expires_sec; /* of its token, Unix time; 0 = does not */
	struct seq_entry *seq_entry; /* of device_id, while authenticated */
	uint64_t seq; /* last one given out */
	bool caps_insertable_streams;
	bool caps_sframe;
	bool caps_double_ratchet;
	struct frame_format caps_frames;
	struct peer *peer; /* the membership that belongs to this connection, or NULL */

	struct env_window window;
	STAILQ_HEAD(, queued_frame) queue;
	uint32_t queued_frames;
	size_t queued_bytes;
	uint64_t last_frame_us;
	struct request request; /* valid while busy */
	bool busy;

	/* resume.c */
	bool wants_resume; /* HELLO.client.ext */
	bool wants_speaker; /* the same */
	bool claimed; /* a HELLO came with its token */
	bool parked; /* the socket is gone, conn is NULL */
	char resume_token[UUID_BYTES]; /* its hash; "" = none that is remembered */
	struct table_node by_token;
	TAILQ_ENTRY(session) park_link;
	uint64_t parked_until_us;
	uint64_t resuming; /* id of the session claimed by this one, until its AUTH */

	bool closing; /* io.close() was asked for: nothing more is read */
};

/** Who it is, for the log (sfu-ctl/log.h): in every line about a connection. */
#define SESSION_LOG_IDS(s)                                                                         \
	log_num("conn", (int64_t)(s)->id), log_str("peer", (s)->remote_address),                   \
		log_str("device", (s)->device_id), log_str("user", (s)->user_id)

/** Tell a member apart from a device that only has the name: the peer of this connection. */
struct peer *session_member(const struct session *s);

/** Give the connection a device id (HELLO, ROOM_JOIN). 0 or -ENOMEM. */
int session_set_device(struct session *s, const char *device_id);

/** HELLO of a device that was here before: go on after the last seq it was given (C2). */
void session_continue_seq(struct session *s);

/** Go on after this seq, if that is ahead (C2, B9). */
void session_pass_seq(struct session *s, uint64_t seq);

/**
 * Go on after what other nodes may have given to this client so far (numbering.h): when it says who it
 * is, and when it enters a room, since its connection may have waited beside one of theirs until then.
 */
void session_pass_clock(struct session *s);

/** AUTH_OK. 0 or -ENOMEM. */
int session_set_user(struct session *s, const char *user_id);

/** One request more of a kind (B10). RATE_ABUSED: the connection has been shut. */
enum rate_verdict session_rate(struct session *s, enum rate_kind kind);

/** Ask ws.c to close; frames that come until then are not read. */
void session_shut(struct session *s, uint16_t code, const char *reason);

/**
 * A session that was there before a restart (restore.c): authenticated, without a connection;
 * resume_restore() follows. NULL when out of memory, or its number is taken.
 */
struct session *session_restore(
	struct core *c, uint64_t id, const char *device_id, const char *user_id);

/** Frees it; its room is left. */
void session_destroy(struct session *s, bool clean);

/** Frames that wait are not read any more. */
void session_drop_queue(struct session *s);

/** Forget the oldest msgId of the window and its outcome. */
void session_forget_oldest(struct session *s);

/** NULL when there is none (any more). */
struct session *session_find(const struct core *c, uint64_t id);

/** Go on with the frames that wait. After every answer that came outside core_session_message(). */
void session_continue(struct session *s);

/**
 * End the session's request: ACK, memory of the outcome, what follows the ACK.
 * request_fail_with: message NULL = the fault's own; details NULL = {}, taken.
 */
void request_ok(struct request *r);
void request_fail(struct request *r, enum fault f);
void request_fail_with(
	struct request *r, enum fault f, const char *message, struct json_object *details);
/** VALIDATION_FAILED "Invalid <field>". */
void request_fail_field(struct request *r, const char *field);
/** After outbox_relay(): the msgId that the recipients got. Belongs to the request. */
const char *request_relayed_id(const struct request *r);
/** E2EE_NOT_READY with the epoch that is expected. */
void request_fail_not_ready(struct request *r, uint64_t epoch);
