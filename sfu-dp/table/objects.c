// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/table/objects.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/** Zero pages that are touched only when used, and stay out of core dumps: passwords lie here. */
static void *pool_map(size_t objects, size_t size)
{
	void *p = mmap(
		NULL, objects * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	madvise(p, objects * size, MADV_DONTDUMP);
	// Streams are met at random: with small pages each would miss the TLB as well.
	madvise(p, objects * size, MADV_HUGEPAGE);
	return p;
}

static void pool_unmap(void *p, size_t objects, size_t size)
{
	if (p)
		munmap(p, objects * size);
}

/** How much is found at once: longer, and those who need a page of their own wait for it. */
#define WARM_STEP (2u << 20)

static bool pool_warm(void *p, size_t objects, size_t size, const atomic_bool *stop)
{
	size_t bytes = objects * size;

	for (size_t at = 0; at < bytes; at += WARM_STEP) {
		size_t step = bytes - at < WARM_STEP ? bytes - at : WARM_STEP;

		if (atomic_load_explicit(stop, memory_order_relaxed)
			|| madvise((uint8_t *)p + at, step, MADV_POPULATE_WRITE))
			return false;
	}
	return true;
}

bool objects_warm(const struct objects *o, const atomic_bool *stop)
{
	// What a call needs most of comes first.
	return pool_warm(o->transports, o->limits.transports, sizeof(*o->transports), stop)
	       && pool_warm(o->producers, o->limits.producers, sizeof(*o->producers), stop)
	       && pool_warm(o->consumers, o->limits.consumers, sizeof(*o->consumers), stop)
	       && pool_warm(o->peers, o->limits.peers, sizeof(*o->peers), stop)
	       && pool_warm(o->rooms, o->limits.rooms, sizeof(*o->rooms), stop);
}

int objects_create(struct objects *o, const struct objects_limits *limits)
{
	memset(o, 0, sizeof(*o));
	o->limits = *limits;
	o->rooms = pool_map(limits->rooms, sizeof(*o->rooms));
	o->peers = pool_map(limits->peers, sizeof(*o->peers));
	o->transports = pool_map(limits->transports, sizeof(*o->transports));
	o->producers = pool_map(limits->producers, sizeof(*o->producers));
	o->consumers = pool_map(limits->consumers, sizeof(*o->consumers));
	if (o->rooms && o->peers && o->transports && o->producers && o->consumers)
		return 0;
	objects_destroy(o);
	return -ENOMEM;
}

void objects_destroy(struct objects *o)
{
	pool_unmap(o->rooms, o->limits.rooms, sizeof(*o->rooms));
	pool_unmap(o->peers, o->limits.peers, sizeof(*o->peers));
	pool_unmap(o->transports, o->limits.transports, sizeof(*o->transports));
	pool_unmap(o->producers, o->limits.producers, sizeof(*o->producers));
	pool_unmap(o->consumers, o->limits.consumers, sizeof(*o->consumers));
	memset(o, 0, sizeof(*o));
}

struct transport *transport_find(const struct objects *o, uint64_t handle)
{
	uint32_t index = sfu_handle_index(handle);
	struct transport *t;

	if (!handle || index >= o->limits.transports)
		return NULL;
	t = &o->transports[index];
	return atomic_load_explicit(&t->handle, memory_order_acquire) == handle ? t : NULL;
}

struct producer *producer_find(const struct objects *o, uint64_t handle)
{
	uint32_t index = sfu_handle_index(handle);
	struct producer *p;

	if (!handle || index >= o->limits.producers)
		return NULL;
	p = &o->producers[index];
	return atomic_load_explicit(&p->handle, memory_order_acquire) == handle ? p : NULL;
}

struct consumer *consumer_find(const struct objects *o, uint64_t handle)
{
	uint32_t index = sfu_handle_index(handle);
	struct consumer *c;

	if (!handle || index >= o->limits.consumers)
		return NULL;
	c = &o->consumers[index];
	return atomic_load_explicit(&c->handle, memory_order_acquire) == handle ? c : NULL;
}

void producer_want_key_frame(struct objects *o, struct producer *p)
{
	uint8_t owner;

	if (p->put.kind != SFU_VIDEO)
		return;
	// A request that is open already has raised the flag.
	if (atomic_exchange_explicit(&p->key_frame_wanted, 1, memory_order_acq_rel))
		return;
	owner = atomic_load_explicit(&p->transport->owner, memory_order_acquire);
	if (owner < DP_MAX_WORKERS)
		atomic_store_explicit(&o->key_frames[owner].raised, 1, memory_order_release);
}
