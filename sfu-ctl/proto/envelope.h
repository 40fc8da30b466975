// SPDX-License-Identifier: BSD-3-Clause
/**
 * The order of checks for an incoming frame, and the memory of message ids (protocol.md A4, C4, C28).
 *
 * Whoever parsed the JSON hands in the six fields; the answer is a verdict. One window per
 * connection; it remembers ids as keyed hashes, each with an opaque outcome of the caller's, so that
 * a repeated id can be given the original answer. No allocation: the caller lends the storage.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** Ids remembered per connection (A4.7). */
#define ENV_WINDOW_MAX 4000u
/** Octets of a msgId (C28). */
#define ENV_MSG_ID_MAX_BYTES 128u
/** Octets of the hash key: random, one per process. */
#define ENV_KEY_BYTES 16u

/** JSON type of a field as it was found. */
enum env_type {
	ENV_ABSENT = 0,
	ENV_NULL,
	ENV_BOOL,
	ENV_NUMBER,
	ENV_STRING,
	ENV_ARRAY,
	ENV_OBJECT,
};

struct env_value {
	enum env_type type;
	bool boolean; /* of ENV_BOOL */
	double number; /* of ENV_NUMBER; an integer too large for it is infinite or rounded */
	const char *string; /* of ENV_STRING, decoded UTF-8; not kept */
	size_t string_len;
};

/** A frame's envelope. All fields ENV_ABSENT when is_object is false. */
struct env_fields {
	bool is_object;
	struct env_value v;
	struct env_value type;
	struct env_value msg_id;
	struct env_value ts;
	struct env_value seq;
	struct env_value ack;
};

enum env_verdict {
	ENV_DROP = 0, /* A4.3: no answer */
	ENV_REFUSE_INVALID, /* A4.2: VALIDATION_FAILED "Invalid envelope" */
	ENV_REFUSE_SEQ, /* A4.4: VALIDATION_FAILED "Missing or invalid seq" */
	ENV_REFUSE_MSG_ID, /* C28: VALIDATION_FAILED "Invalid msgId" */
	ENV_DUPLICATE, /* A4.5, C4: repeat the outcome, do nothing else */
	ENV_REPLAY, /* A4.6: REPLAY_DETECTED "Non-monotonic seq rejected" */
	ENV_ACCEPT, /* A4.7: recorded; dispatch it, then env_record_outcome() */
};

/** The outcome of a request that has not been answered yet. */
#define ENV_OUTCOME_PENDING UINT64_C(0)

/** Storage for one remembered id and its share of the index; what is in it is envelope.c's. */
struct env_slot {
	uint64_t room[3];
};

/** Per connection. Treat as opaque; written by the functions below only. */
struct env_window {
	struct env_slot *slots; /* lent by the caller */
	double highest_seq; /* accepted so far, 0 = none */
	uint64_t accepted; /* ids ever recorded; the next ticket */
	uint32_t capacity; /* of slots, 1..ENV_WINDOW_MAX */
	uint32_t count; /* ids remembered */
	uint32_t first; /* place of the oldest of them */
};

/** What env_check() has to say beside the verdict. */
struct env_result {
	uint64_t outcome; /* ENV_DUPLICATE: of the original; may be ENV_OUTCOME_PENDING */
	uint64_t ticket; /* ENV_ACCEPT: for env_record_outcome(). ENV_DUPLICATE: of the original */
	bool evicted; /* ENV_ACCEPT: the oldest id was forgotten; released is its outcome */
	uint64_t released;
};

/**
 * Start with an empty window.
 * @param slots     storage, not initialised by the caller, until env_window_move()
 * @param capacity  1..ENV_WINDOW_MAX
 */
void env_window_init(struct env_window *w, struct env_slot *slots, uint32_t capacity);

/**
 * How many slots to lend before the next env_check(), 0 when the present ones do. A caller that has
 * none to give may go on: then older ids are forgotten earlier than A4.7 says.
 */
uint32_t env_window_wants(const struct env_window *w);

/**
 * Move to larger storage.
 * @param capacity  at least the present capacity, at most ENV_WINDOW_MAX
 * @return the old storage, which is the caller's again
 */
struct env_slot *env_window_move(struct env_window *w, struct env_slot *slots, uint32_t capacity);

/**
 * Put another window's ids before one's own, the sequence stays one's own (protocol.md B9).
 * @param older     empty afterwards, without storage
 * @param slots     storage for both; the old ones are the callers' again
 * @param capacity  at least the ids of both, at most ENV_WINDOW_MAX
 * @return what is to be added to tickets of w that are still out
 */
uint64_t env_window_adopt(
	struct env_window *w, struct env_window *older, struct env_slot *slots, uint32_t capacity);

/**
 * Take the oldest id out, to release outcomes when the connection goes away.
 * @return false when the window is empty
 */
bool env_window_pop(struct env_window *w, uint64_t *outcome);

/** A frame is coming: fetch into the cache what env_check() will touch first. */
void env_window_prefetch(const struct env_window *w);

/**
 * Judge a frame, in the order of A4. Nothing is recorded unless the verdict is ENV_ACCEPT.
 * @param key  for the hashes, the same for all calls on a window
 * @param out  filled as its fields say, zero otherwise
 */
enum env_verdict env_check(struct env_window *w, const uint8_t key[ENV_KEY_BYTES],
	const struct env_fields *fields, struct env_result *out);

/**
 * Remember how an accepted request ended.
 * @return false when its id has been forgotten meanwhile: the outcome stays the caller's
 */
bool env_record_outcome(struct env_window *w, uint64_t ticket, uint64_t outcome);

/** JavaScript's notion of true, as A2 means it for "ack". */
bool env_truthy(const struct env_value *value);

/** Is this an id as C28 wants it: 1..128 octets (min 0 allows ""), no control characters? */
bool env_id_valid(const char *id, size_t len, size_t min_len);

/** SipHash-2-4 (Aumasson, Bernstein 2012) of len octets. */
uint64_t env_siphash(const uint8_t key[ENV_KEY_BYTES], const void *data, size_t len);
