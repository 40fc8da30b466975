// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/crypto/engine.h"

#include <string.h>

static const struct srtp_engine *const engines[] = {
	&srtp_engine_libsrtp2,
};

#define NUM_ENGINES (sizeof(engines) / sizeof(engines[0]))

const struct srtp_engine *srtp_engine_find(const char *name)
{
	if (!name || strcmp(name, "auto") == 0)
		return engines[0];
	for (size_t i = 0; i < NUM_ENGINES; i++) {
		if (strcmp(engines[i]->name, name) == 0)
			return engines[i];
	}
	return NULL;
}

const struct srtp_engine *srtp_engine_at(unsigned place)
{
	return place < NUM_ENGINES ? engines[place] : NULL;
}
