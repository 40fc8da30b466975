// SPDX-License-Identifier: BSD-3-Clause
/** The server's TLS certificate, from its files into OpenSSL: all of it, or nothing. */
#pragma once

#include <openssl/types.h>
#include <stddef.h>
#include <stdint.h>

/**
 * Read chain and key, and use them for new connections; those that are open keep theirs.
 * @param now_sec  wall clock: one that has run out or is not valid yet is refused
 * @param err      receives one line that says what is wrong with which setting
 * @return 0, or -EINVAL: nothing was changed
 */
int certificate_use(SSL_CTX *tls, const char *cert_path, const char *key_path, int64_t now_sec,
	char *err, size_t err_size);
