// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include "sfu-dp/proto/srtp.h"

/**
 * The srtp_prf_fn of libsrtp2, for engines that have no counter mode of their own. Initialises
 * libsrtp2 when nobody did. Any thread.
 */
enum srtp_status srtp_prf_libsrtp2(void *arg, const uint8_t *key, size_t key_len,
	const uint8_t iv[16], uint8_t *out, size_t out_len);
