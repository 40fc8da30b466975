// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stddef.h>
#include <stdint.h>

/**
 * @file
 * For tests: what a participant does to a frame, RFC 9605 with AES_128_GCM_SHA256_128 (suite 4).
 * The server has no part in this.
 */

/** Octets that sframe_encrypt() adds at most: header and tag. */
#define SFRAME_CRYPTO_OVERHEAD (17 + 16)

/** The expanded key of one KID, for both directions. One thread at a time. */
struct sframe_crypto;

/** Derive key and salt from a base key (RFC 9605, 4.4.2); NULL when OpenSSL fails. */
struct sframe_crypto *sframe_crypto_create(const uint8_t *base_key, size_t len, uint64_t kid);

/** Wipe and free; NULL is allowed. */
void sframe_crypto_destroy(struct sframe_crypto *crypto);

/** The KID that the key was derived for. */
uint64_t sframe_crypto_kid(const struct sframe_crypto *crypto);

/**
 * Encrypt a frame into header, ciphertext and tag. The caller never repeats a counter.
 * @param ctr       frame counter
 * @param metadata  authenticated, not sent; may be NULL with metadata_len 0
 * @param frame     len octets; must not overlap out
 * @param cap       len + SFRAME_CRYPTO_OVERHEAD is enough
 * @return octets written, or -1 (no room, OpenSSL failed)
 */
int sframe_encrypt(struct sframe_crypto *crypto, uint64_t ctr, const uint8_t *metadata,
	size_t metadata_len, const uint8_t *frame, size_t len, uint8_t *out, size_t cap);

/**
 * Verify and decrypt what sframe_encrypt() wrote.
 * @param ctr  out, counter of the frame; may be NULL
 * @param cap  len is enough; out must not overlap in
 * @return octets of the frame, or -1 (header, other KID, tag, no room); out is then undefined
 */
int sframe_decrypt(struct sframe_crypto *crypto, const uint8_t *metadata, size_t metadata_len,
	const uint8_t *in, size_t len, uint8_t *out, size_t cap, uint64_t *ctr);
