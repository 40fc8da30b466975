// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * @file
 * For tests: numbered, checksummed content of a media packet, before SFrame seals it. Every octet
 * but the send time is a pure function of who, what and which number, so that a receiver can
 * compute what it must have been. Big-endian:
 *
 *	magic 32 | sender 32 | track 8, flags 8, descriptor length 8, 0 8 | RTP timestamp 32 |
 *	number 64 | send time 64 | epoch 64 | descriptor 64 | filler ... | CRC-32
 */

#define CONTENT_DESCRIPTOR_MAX 8
/** The least that content takes: everything but filler. */
#define CONTENT_MIN 52

/** What the content says; the sender puts in what it also puts in the clear, to be compared. */
struct content {
	uint64_t number; // counts the track's packets from 0
	uint64_t sent_us; // CLOCK_MONOTONIC of the sender
	uint64_t epoch; // of the key that seals it
	uint32_t sender; // tag of the peer
	uint32_t timestamp; // RTP timestamp as sent
	uint8_t track; // of the sender
	bool marker; // M bit as sent
	uint8_t descriptor_len; // octets of descriptor
	uint8_t descriptor[CONTENT_DESCRIPTOR_MAX]; // payload descriptor in front of the frame
};

enum content_status {
	CONTENT_OK = 0,
	CONTENT_SHORT, // below CONTENT_MIN
	CONTENT_NOT_OURS, // magic
	CONTENT_BAD_SUM, // CRC-32
	CONTENT_BAD_FILLER, // not what this number must carry
};

/** Write len octets of content; false if len is below CONTENT_MIN. */
bool content_encode(uint8_t *out, size_t len, const struct content *content);

/** Read and check every octet of it; *out is filled from CONTENT_BAD_SUM on. */
enum content_status content_check(const uint8_t *buf, size_t len, struct content *out);

/** Where the epoch is in a KID: below it the sender and, in 8 bits, the track. */
#define CONTENT_EPOCH_SHIFT 40

/** Who seals what: the KID of a track's key in an epoch (below 2^24). */
uint64_t content_kid(uint32_t sender, uint8_t track, uint64_t epoch);
/** And back. */
void content_kid_parts(uint64_t kid, uint32_t *sender, uint8_t *track, uint64_t *epoch);
