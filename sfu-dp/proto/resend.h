// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdbool.h>
#include <stdint.h>

/**
 * @file
 * Which of the packets that a receiver asks for again are sent again, and when (RFC 4585, RFC 4588):
 *
 *	resend_admit()  how many of the numbers of a NACK are looked at at all
 *	resend_ask()    one of them: noted, unless it was asked for less than a round trip ago
 *	resend_next()   the next one whose turn it is: a few at once, the others one per step
 *	resend_spend()  whether its octets are within what was put aside of the media
 *
 * so that neither work nor octets grow with how much is asked for. Packets are named by their SRTP
 * index on the stream. Plain old data, all zero before resend_start(). One writer. Pure: no allocation, no
 * clock; now_us is the caller's monotonic clock.
 */

/** Sequence numbers looked at: so many at once, and so many in a second. */
#define RESEND_ADMIT_BURST 512u
#define RESEND_ADMIT_PER_S 4000u
/** Answers waiting for their turn; a power of two. */
#define RESEND_WAITING 64u
/** Answers sent at once, then one per step. */
#define RESEND_PACE_BURST 8u
#define RESEND_PACE_US 1000u
/** Requests remembered, by the low bits of the index; a power of two. */
#define RESEND_REMEMBERED 128u
/**
 * Of each octet of media so many hundredths are put aside for sending again. What is not needed is kept,
 * for losses come in heaps, but no more than the media of so many seconds brings: in no ten seconds is a
 * quarter of the media sent again.
 */
#define RESEND_SHARE_PERCENT 20u
#define RESEND_SAVED_S 2u
/** And so many octets a second in any case: three packets of a stream that hardly flows. */
#define RESEND_LEAST_BYTES 4000u
#define RESEND_WINDOW_US 1000000u
/** Round trip that is taken while none is known, and the shortest that is believed. */
#define RESEND_RTT_FIRST_US 50000u
#define RESEND_RTT_MIN_US 5000u

struct resend_memory {
	uint32_t index_low;
	uint32_t at_ms; /* low half of when it was last noted or sent */
};

struct resend {
	uint64_t admit_us; /* up to when admitted was refilled */
	uint64_t pace_us; /* not before then goes the next answer */
	uint64_t window_us; /* start of the present second */
	uint64_t window_media_bytes; /* sent as media until then */
	uint64_t last_bytes; /* media of the second before */
	uint64_t media_bytes; /* of which the share is put aside */
	uint64_t saved; /* octets that may be sent again, in hundredths */
	uint32_t admitted; /* of the burst; grows with work, shrinks with time */
	uint32_t waiting_first,
		waiting_count; /* the first is 0 while none waits: few wait, in one place */
	uint64_t waiting[RESEND_WAITING];
	struct resend_memory memory[RESEND_REMEMBERED];
};

enum resend_verdict {
	RESEND_NOTED, /* its turn will come: resend_next() */
	RESEND_DUPLICATE, /* an answer is waiting or on its way */
	RESEND_FULL, /* too many are waiting; the receiver will ask again */
};

/** The stream begins. @param media_bytes  sent as media since its counter began */
void resend_start(struct resend *r, uint64_t media_bytes, uint64_t now_us);

/** How many of wanted sequence numbers may be looked at now; the others are not. */
uint32_t resend_admit(struct resend *r, uint32_t wanted, uint64_t now_us);

/**
 * A packet is asked for.
 * @param rtt_us  round trip to the receiver; 0 = not known
 */
enum resend_verdict resend_ask(struct resend *r, uint64_t index, uint32_t rtt_us, uint64_t now_us);

/** Take the next packet that may go now; false when none is waiting or it is too early. */
bool resend_next(struct resend *r, uint64_t now_us, uint64_t *index);

/** When the next one may go; with waiting_count. */
static inline uint64_t resend_due_us(const struct resend *r)
{
	return r->pace_us;
}

/** Nothing that waits is wanted any more. */
void resend_forget(struct resend *r);

/**
 * Whether so many octets may be sent again now; then they are counted as sent.
 * @param media_bytes  sent as media since the stream began
 */
bool resend_spend(struct resend *r, uint64_t media_bytes, uint32_t bytes, uint64_t now_us);
