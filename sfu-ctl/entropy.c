// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/entropy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define POOL_BYTES 2048u

static unsigned char pool[POOL_BYTES];
static size_t left; /* unused octets, at the end of the pool */

static void fetch(unsigned char *out, size_t len)
{
	while (len > 0) {
		ssize_t got = getrandom(out, len, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			abort();
		out += got;
		len -= (size_t)got;
	}
}

void entropy_fill(void *out, size_t len)
{
	unsigned char *from;

	if (len > POOL_BYTES) {
		fetch(out, len);
		return;
	}
	if (len > left) {
		fetch(pool, POOL_BYTES);
		left = POOL_BYTES;
	}
	from = pool + POOL_BYTES - left;
	memcpy(out, from, len);
	// What was given away may be a secret: it is nowhere else.
	explicit_bzero(from, len);
	left -= len;
}
