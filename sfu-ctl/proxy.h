// SPDX-License-Identifier: BSD-3-Clause
/** Who a client is when a proxy stands between (protocol.md B10): headers of proxies that we trust. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define PROXY_ADDRESS_BYTES 46u /* INET6_ADDRSTRLEN */

struct proxy_client {
	char address[PROXY_ADDRESS_BYTES]; /* IPv4 ones never in their IPv6 form */
	bool secure; /* TLS here, or at the proxy */
};

/** Is it a list of addresses and prefixes ("10.0.0.0/8, ::1") with commas? "" is. */
bool proxy_list_valid(const char *list);

/**
 * X-Forwarded-For counts only from proxies of the list, read from its end to the first that is not in it.
 * X-Forwarded-Proto counts from those, or, when the list is empty, from anybody: who forges it lowers
 * nobody's protection but his own.
 * @param peer           address at the other end of the TCP connection
 * @param tls            the connection has TLS
 * @param forwarded_for  values of the headers, "" = none
 * @param trusted        a valid list
 */
void proxy_resolve(const char *peer, bool tls, const char *forwarded_for,
	const char *forwarded_proto, const char *trusted, struct proxy_client *out);
