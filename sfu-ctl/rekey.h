// SPDX-License-Identifier: BSD-3-Clause
/**
 * Who may take a room to its next key epoch, and when it must go there (protocol.md B5): state and
 * event in, new state and what is to be told out. Pure. The epoch itself and the gates are e2ee.h's.
 *
 *   state     event                              then
 *   IDLE      somebody comes or goes             WANTED; REKEY_REQUIRED
 *   WANTED    REKEY_BEGIN                        RUNNING
 *   WANTED    nobody begins in time              WANTED, next leader, until each had its turn
 *   RUNNING   a member goes                      RUNNING without it, and once more afterwards
 *   RUNNING   somebody comes                     RUNNING, and once more afterwards
 *   RUNNING   REKEY_COMMIT, quorum: all acks     IDLE, or WANTED again
 *   RUNNING   time is up                         WANTED, next leader; REKEY_ABORT TIMEOUT
 *   RUNNING   who began it goes                  WANTED; REKEY_ABORT LEADER_LOST
 *
 * With the policy relay it is always IDLE and everything is allowed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/** Octets of a msgId of ours (a UUID) with NUL. */
#define REKEY_ID_BYTES 37u

enum rekey_policy {
	REKEY_RELAY, /* anybody */
	REKEY_LEADER, /* BEGIN and COMMIT come from the leader */
	REKEY_QUORUM, /* COMMIT comes from who began, after all the others acknowledged */
};

enum rekey_state { REKEY_IDLE, REKEY_WANTED, REKEY_RUNNING };

enum rekey_reason { REKEY_MEMBER_JOIN, REKEY_MEMBER_LEAVE, REKEY_TIMEOUT };

struct rekey_member {
	bool needed; /* its acknowledgement is, in the rekey that runs */
	bool acked;
	uint32_t missed; /* turns as leader that led to nothing */
	char package_id[REKEY_ID_BYTES]; /* of the last KEY_PACKAGE it was sent in this rekey */
};

struct rekey {
	enum rekey_policy policy;
	enum rekey_state state;
	uint64_t timeout_us;
	uint64_t deadline_us; /* 0 = none */
	struct rekey_member *conductor; /* who began; NULL unless RUNNING */
	uint64_t epoch; /* the one being gone to; stays after an abort */
	char begin_id[REKEY_ID_BYTES]; /* msgId of the REKEY_BEGIN as relayed */
	uint32_t need, acks; /* members with needed, and with acked */
	bool again; /* RUNNING: the set of members changed, reason says how */
	enum rekey_reason reason; /* of WANTED */
	uint32_t turns; /* WANTED: leaders still to be asked */
};

/** What the members are to be told. After an abort REKEY_REQUIRED follows, too. */
enum rekey_news { REKEY_NO_NEWS, REKEY_REQUIRED, REKEY_ABORT_TIMEOUT, REKEY_ABORT_LEADER_LOST };

enum rekey_verdict {
	REKEY_ALLOWED,
	REKEY_NOT_LEADER,
	REKEY_BUSY, /* another device's rekey runs */
	REKEY_OTHER_EPOCH, /* not the epoch that was begun */
	REKEY_NO_QUORUM, /* acknowledgements are missing, or nothing was begun */
};

void rekey_init(struct rekey *r, enum rekey_policy policy, uint64_t timeout_us);

/** A member came, or came back without its key. members: all, itself included. */
enum rekey_news rekey_joined(struct rekey *r, uint32_t members, uint64_t now_us);

/**
 * A member went; m may be freed afterwards.
 * @param members  those that are left; 0: the room is empty, nothing is wanted of it
 */
enum rekey_news rekey_left(
	struct rekey *r, struct rekey_member *m, uint32_t members, uint64_t now_us);
/** A member cannot be reached for a while: the rekey that runs goes on without it. */
enum rekey_news rekey_lost(
	struct rekey *r, struct rekey_member *m, uint32_t members, uint64_t now_us);

/** May this member begin? The epoch has been judged by e2ee_judge(). Changes nothing. */
enum rekey_verdict rekey_judge_begin(
	const struct rekey *r, const struct rekey_member *m, bool is_leader);
/** It began; then rekey_enlist() every member of the room. */
void rekey_begin(struct rekey *r, struct rekey_member *m, uint64_t epoch, const char *begin_id,
	uint64_t now_us);
/** @param reachable  else its acknowledgement is not waited for */
void rekey_enlist(struct rekey *r, struct rekey_member *m, bool reachable);

/** A KEY_PACKAGE with this msgId went to m. */
void rekey_package(const struct rekey *r, struct rekey_member *m, const char *id);

/**
 * KEY_ACK of m. Counts once, while it is needed, for the epoch that was begun, when ref_id is the
 * msgId of the REKEY_BEGIN or of its KEY_PACKAGE.
 */
void rekey_ack(struct rekey *r, struct rekey_member *m, double epoch, const char *ref_id);

/** May this member commit this epoch, which is above the room's? Changes nothing. */
enum rekey_verdict rekey_judge_commit(
	const struct rekey *r, const struct rekey_member *m, bool is_leader, double epoch);
/** It did. members: all of the room. */
enum rekey_news rekey_committed(
	struct rekey *r, struct rekey_member *m, uint32_t members, uint64_t now_us);

/** The deadline, if any, may have come. leader and members: of now. */
enum rekey_news rekey_tick(
	struct rekey *r, struct rekey_member *leader, uint32_t members, uint64_t now_us);
