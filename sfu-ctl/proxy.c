// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/proxy.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const uint8_t v4_in_v6[12] = {[10] = 0xff, [11] = 0xff};

/** All addresses in IPv6 form, so that one comparison does. */
struct network {
	uint8_t addr[16];
	unsigned bits;
};

static bool read_address(const char *text, size_t len, struct network *out)
{
	char copy[PROXY_ADDRESS_BYTES];

	if (len == 0 || len >= sizeof(copy))
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	out->bits = 128;
	if (inet_pton(AF_INET6, copy, out->addr) == 1)
		return true;
	memcpy(out->addr, v4_in_v6, sizeof(v4_in_v6));
	return inet_pton(AF_INET, copy, out->addr + sizeof(v4_in_v6)) == 1;
}

/** "address" or "address/bits". */
static bool read_network(const char *text, size_t len, struct network *out)
{
	const char *slash = memchr(text, '/', len);
	size_t addr_len = slash != NULL ? (size_t)(slash - text) : len;
	bool v4 = memchr(text, ':', addr_len) == NULL;
	unsigned bits = 0, max = v4 ? 32 : 128;

	if (!read_address(text, addr_len, out))
		return false;
	if (slash == NULL)
		return true;
	if (len - addr_len < 2 || len - addr_len > 4)
		return false;
	for (const char *p = slash + 1; p < text + len; p++) {
		if (*p < '0' || *p > '9')
			return false;
		bits = bits * 10 + (unsigned)(*p - '0');
	}
	out->bits = bits + (v4 ? 96 : 0);
	return bits <= max;
}

static bool within(const struct network *net, const uint8_t addr[16])
{
	unsigned whole = net->bits / 8, rest = net->bits % 8;

	if (memcmp(net->addr, addr, whole) != 0)
		return false;
	return rest == 0 || ((net->addr[whole] ^ addr[whole]) >> (8 - rest)) == 0;
}

/** The next entry of a list with commas, without blanks; false at its end. */
static bool next_entry(const char **list, const char **text, size_t *len)
{
	if (**list == '\0')
		return false;
	*text = *list + strspn(*list, " \t");
	*len = strcspn(*text, ",");
	*list = *text + *len;
	if (**list == ',')
		(*list)++;
	while (*len > 0 && ((*text)[*len - 1] == ' ' || (*text)[*len - 1] == '\t'))
		(*len)--;
	return true;
}

bool proxy_list_valid(const char *list)
{
	struct network net;
	const char *text;
	size_t len;

	if (*list == '\0')
		return true;
	if (list[strlen(list) - 1] == ',')
		return false;
	while (next_entry(&list, &text, &len)) {
		if (!read_network(text, len, &net))
			return false;
	}
	return true;
}

static bool is_trusted(const char *list, const uint8_t addr[16])
{
	struct network net;
	const char *text;
	size_t len;

	while (next_entry(&list, &text, &len)) {
		if (read_network(text, len, &net) && within(&net, addr))
			return true;
	}
	return false;
}

static void write_address(const uint8_t addr[16], char out[PROXY_ADDRESS_BYTES])
{
	if (memcmp(addr, v4_in_v6, sizeof(v4_in_v6)) == 0)
		inet_ntop(AF_INET, addr + sizeof(v4_in_v6), out, PROXY_ADDRESS_BYTES);
	else
		inet_ntop(AF_INET6, addr, out, PROXY_ADDRESS_BYTES);
}

/** The last entry that ends before end; NULL: there is none. */
static const char *last_entry(const char *start, const char *end, size_t *len)
{
	const char *text = end;

	if (end <= start)
		return NULL;
	while (text > start && text[-1] != ',')
		text--;
	*len = (size_t)(end - text);
	while (*len > 0 && (*text == ' ' || *text == '\t')) {
		text++;
		(*len)--;
	}
	while (*len > 0 && (text[*len - 1] == ' ' || text[*len - 1] == '\t'))
		(*len)--;
	return text;
}

/** The nearest that is no proxy of ours. What is not an address ends the search. */
static void resolve_address(const char *forwarded, const char *trusted, uint8_t addr[16])
{
	const char *end = forwarded + strlen(forwarded);
	struct network hop;
	size_t len;

	while (is_trusted(trusted, addr)) {
		const char *text = last_entry(forwarded, end, &len);

		if (text == NULL || !read_address(text, len, &hop))
			return;
		memcpy(addr, hop.addr, sizeof(hop.addr));
		for (end = text; end > forwarded && end[-1] != ','; end--)
			;
		if (end > forwarded)
			end--;
	}
}

static bool says_secure(const char *proto)
{
	size_t len = 0;
	const char *text = last_entry(proto, proto + strlen(proto), &len);

	return text != NULL
	       && ((len == 5 && strncasecmp(text, "https", 5) == 0)
		       || (len == 3 && strncasecmp(text, "wss", 3) == 0));
}

void proxy_resolve(const char *peer, bool tls, const char *forwarded_for,
	const char *forwarded_proto, const char *trusted, struct proxy_client *out)
{
	struct network addr;
	bool known = read_address(peer, strlen(peer), &addr);

	out->secure = tls
		      || (says_secure(forwarded_proto)
			      && (trusted[0] == '\0' || (known && is_trusted(trusted, addr.addr))));
	if (!known) {
		snprintf(out->address, sizeof(out->address), "%s", peer);
		return;
	}
	resolve_address(forwarded_for, trusted, addr.addr);
	write_address(addr.addr, out->address);
}
