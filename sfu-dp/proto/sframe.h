// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>
#include <stdint.h>

/**
 * @file
 * The clear headers of end-to-end encrypted frames: RFC 9605, and the reference client's own
 * format. The key to the rest is with the participants; nothing here decrypts. The header is in
 * the first packet of a frame, behind the codec's payload descriptor. Pure: no allocation, any
 * lcore.
 */

enum sframe_status {
	SFRAME_OK = 0,
	SFRAME_SHORT = -1, // the header, or the least that must follow it, is not all there
	SFRAME_MALFORMED = -2, // not the one encoding that these values have
	SFRAME_NO_ROOM = -3, // the caller's buffer is too small; nothing written
};

#define SFRAME_HDR_MAX 17 // one octet of flags, 8 of KID, 8 of CTR
#define SFRAME_TAG_LEN 16 // of AES_128_GCM_SHA256_128 and of the reference client

/** An SFrame header. */
struct sframe_header {
	uint64_t kid; // key id: by convention epoch and sender
	uint64_t ctr; // frame counter under this key
	uint8_t len; // octets that the header takes, 1 to SFRAME_HDR_MAX; set by sframe_parse()
};

/**
 * Read the header of an SFrame ciphertext (RFC 9605, 4.3):
 *
 *	| X K K K Y C C C | KID, K + 1 octets if X | CTR, C + 1 octets if Y |
 *
 * @param buf  the frame as the sender wrote it; not modified
 * @param out  valid only on SFRAME_OK
 * @return SFRAME_OK, SFRAME_SHORT, SFRAME_MALFORMED (a value was not written in the fewest octets)
 */
enum sframe_status sframe_parse(const uint8_t *buf, size_t len, struct sframe_header *out);

/**
 * Write a header in its only form.
 * @return octets written, 1 to SFRAME_HDR_MAX, or SFRAME_NO_ROOM
 */
int sframe_encode(uint8_t *out, size_t cap, uint64_t kid, uint64_t ctr);

/**
 * Read the first octet of a frame of the reference client: it is the epoch modulo 128. A counter
 * whose form it does not tell follows, then AES-128-GCM ciphertext with a 16 octet tag.
 * @param buf    a whole frame, or its first packet without the payload descriptor
 * @param epoch  out, on SFRAME_OK only: low 7 bits of the epoch
 * @return SFRAME_OK, SFRAME_SHORT (below 17 octets no tag fits), SFRAME_MALFORMED (bit 7 set)
 */
enum sframe_status sframe_reference_parse(const uint8_t *buf, size_t len, uint8_t *epoch);
