// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/buffers.h"

#include <errno.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <sys/mman.h>

#include "sfu-dp/path/path.h"

#define NAME "packets"
/** Buffers that a thread keeps by itself: several bursts. */
#define CACHE 256u
/** One behind the other across pages: nobody reads them by physical address. */
#define PACKED RTE_MEMPOOL_F_NO_IOVA_CONTIG
#define HUGEPAGE (UINT64_C(2) << 20)

static void unmap(struct rte_mempool_memhdr *chunk, void *bytes)
{
	// The chunk begins at a huge page, the mapping somewhere before.
	munmap(chunk->addr, (size_t)(uintptr_t)bytes);
}

/**
 * Zero pages from a huge page's boundary on. The EAL's own memory without hugepages is a file, of
 * small pages: ten thousand buffers in turn miss the TLB with each of them. An anonymous mapping gets
 * large ones from most kernels for the asking.
 */
static uint8_t *map(size_t bytes)
{
	size_t with_slack = bytes + HUGEPAGE, before;
	uint8_t *p = mmap(
		NULL, with_slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	before = (HUGEPAGE - (uintptr_t)p % HUGEPAGE) % HUGEPAGE;
	if (before)
		munmap(p, before);
	munmap(p + before + bytes, with_slack - before - bytes);
	madvise(p + before, bytes, MADV_DONTDUMP);
	madvise(p + before, bytes, MADV_HUGEPAGE);
	return p + before;
}

static bool populate(struct rte_mempool *pool, size_t bytes)
{
	uint8_t *p = map(bytes);
	int count;

	rte_errno = ENOMEM;
	if (!p)
		return false;
	count = rte_mempool_populate_iova(
		pool, (char *)p, (rte_iova_t)(uintptr_t)p, bytes, unmap, (void *)(uintptr_t)bytes);
	// Otherwise it is the pool's, which gives it back.
	if (count <= 0)
		munmap(p, bytes);
	return count == (int)pool->size;
}

struct rte_mempool *buffers_create(
	unsigned count, int socket, enum buffers_memory memory, size_t most_bytes)
{
	const unsigned element
		= sizeof(struct rte_mbuf) + PKT_PRIV_BYTES + RTE_MBUF_DEFAULT_BUF_SIZE;
	struct rte_pktmbuf_pool_private private = {
		.mbuf_data_room_size = RTE_MBUF_DEFAULT_BUF_SIZE,
		.mbuf_priv_size = PKT_PRIV_BYTES,
	};
	size_t bytes = RTE_ALIGN_CEIL(
		(size_t)rte_mempool_calc_obj_size(element, PACKED, NULL) * count, HUGEPAGE);
	struct rte_mempool *pool;

	if (memory == BUFFERS_EAL)
		return rte_pktmbuf_pool_create(
			NAME, count, CACHE, PKT_PRIV_BYTES, RTE_MBUF_DEFAULT_BUF_SIZE, socket);
	if (most_bytes && bytes > most_bytes) {
		rte_errno = ENOMEM;
		return NULL;
	}
	pool = rte_mempool_create_empty(
		NAME, count, element, CACHE, sizeof(private), socket, PACKED);
	if (!pool)
		return NULL;
	rte_pktmbuf_pool_init(pool, &private);
	if (!populate(pool, bytes)) {
		rte_mempool_free(pool);
		return NULL;
	}
	rte_mempool_obj_iter(pool, rte_pktmbuf_init, NULL);
	return pool;
}
