// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/punts.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

int punts_create(struct punts *p)
{
	*p = (struct punts){.record = calloc(PUNTS_MAX, sizeof(*p->record))};
	return p->record ? 0 : -ENOMEM;
}

void punts_destroy(struct punts *p)
{
	free(p->record);
	*p = (struct punts){0};
}

bool punts_push(struct punts *p, const struct sfu_dtls_record *r)
{
	bool full = p->count == PUNTS_MAX;

	if (full)
		punts_pop(p);
	p->record[(p->first + p->count) % PUNTS_MAX] = *r;
	p->count++;
	return full;
}

const struct sfu_dtls_record *punts_first(const struct punts *p)
{
	return p->count ? &p->record[p->first] : NULL;
}

void punts_pop(struct punts *p)
{
	assert(p->count);
	p->first = (p->first + 1) % PUNTS_MAX;
	p->count--;
}

uint32_t punts_clear(struct punts *p)
{
	uint32_t count = p->count;

	p->first = p->count = 0;
	return count;
}
