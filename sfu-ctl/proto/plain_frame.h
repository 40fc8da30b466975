// SPDX-License-Identifier: BSD-3-Clause
/**
 * Frames as all clients write them (protocol.md A2), read in one pass where they are: most frames are such,
 * and need neither a second look nor objects for their envelope. Any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/** Octets of the text. */
struct plain_piece {
	const char *at;
	size_t len;
};

struct plain_frame {
	struct plain_piece type, msg_id; /* between the quotes: ASCII without escapes */
	struct plain_piece payload; /* an object with its braces; len 0: there is none */
	double v, ts, seq; /* whole numbers, exact */
};

/**
 * @param out  valid when true; points into text
 * @return true: json_scan() takes the text as well, and a parser would find in it exactly these
 *         members. False says nothing about it: unknown members, escapes, fractions, refused text.
 */
bool plain_frame_read(const char *text, size_t len, struct plain_frame *out);
