// SPDX-License-Identifier: BSD-3-Clause
/** Where to listen, as a setting says it: "192.0.2.1:9100" or "[2001:db8::1]:9100". Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define SOCKET_NAME_BYTES 46u /* INET6_ADDRSTRLEN */

struct socket_name {
	char address[SOCKET_NAME_BYTES]; /* IPv4 or IPv6, without brackets */
	uint16_t port; /* host byte order, never 0 */
};

/** False: it is none, and out is unspecified. */
bool socket_name_parse(const char *text, struct socket_name *out);
