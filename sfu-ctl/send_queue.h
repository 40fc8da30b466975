// SPDX-License-Identifier: BSD-3-Clause
/**
 * What waits to be sent to one connection, as WebSocket frames of a server (RFC 6455, 5.2). A text for
 * many connections is kept once. Knows no socket; bounds are the caller's. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

/** Octets of the longest frame header of a server. */
#define SEND_HEADER_BYTES 10u

/** One message, held by all queues that it is in. */
struct send_text {
	uint32_t users;
	size_t len;
	char octets[];
};

/** A copy that its creator holds; NULL when memory is short. */
struct send_text *send_text_create(const char *octets, size_t len);
void send_text_release(struct send_text *text);

/** Write octets as a frame: at most len + SEND_HEADER_BYTES, returned. Nothing is kept. */
size_t send_text_frame(unsigned char *out, const char *octets, size_t len);

struct send_entry;

/** Zero is not an empty one: send_queue_init(). */
struct send_queue {
	STAILQ_HEAD(, send_entry) entries;
	size_t bytes; /* of the texts in it */
};

void send_queue_init(struct send_queue *q);
void send_queue_clear(struct send_queue *q);

static inline bool send_queue_empty(const struct send_queue *q)
{
	return STAILQ_EMPTY(&q->entries);
}

/**
 * Append a text; the queue holds it, too.
 * @param latest  it says all that the one before it with this mark said, which is dropped if it
 *                still waits
 * @return 0 or -ENOMEM
 */
int send_queue_add(struct send_queue *q, struct send_text *text, bool latest);

/** Octets of the first message as a frame, with room for the longest header; 0 when empty. */
size_t send_queue_first_bytes(const struct send_queue *q);

/** Take the first message out as a frame. The queue is not empty, out has send_queue_first_bytes(). */
size_t send_queue_take(struct send_queue *q, unsigned char *out);

/** Take whole messages out as frames, as long as the next fits. Returns the octets written. */
size_t send_queue_gather(struct send_queue *q, unsigned char *out, size_t size);
