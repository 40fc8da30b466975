// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/socket_name.h"

#include <arpa/inet.h>
#include <string.h>

#define MAX_PORT 65535u
#define MAX_PORT_DIGITS 5u

static bool parse_port(const char *text, uint16_t *out)
{
	size_t len = strlen(text);
	uint32_t port = 0;

	if (len == 0 || len > MAX_PORT_DIGITS || strspn(text, "0123456789") != len)
		return false;
	for (; *text != '\0'; text++)
		port = port * 10 + (uint32_t)(*text - '0');
	*out = (uint16_t)port;
	return port > 0 && port <= MAX_PORT;
}

bool socket_name_parse(const char *text, struct socket_name *out)
{
	bool brackets = text[0] == '[';
	const char *colon = strrchr(text, ':');
	const char *address = brackets ? text + 1 : text;
	unsigned char binary[sizeof(struct in6_addr)];
	size_t len;

	if (colon == NULL || colon < address)
		return false;
	len = (size_t)(colon - address);
	if (brackets && (len == 0 || address[--len] != ']'))
		return false;
	if (len >= sizeof(out->address))
		return false;
	memcpy(out->address, address, len);
	out->address[len] = '\0';
	return inet_pton(brackets ? AF_INET6 : AF_INET, out->address, binary) == 1
	       && parse_port(colon + 1, &out->port);
}
