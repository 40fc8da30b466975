// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/memif/queue.h"

#include <poll.h>
#include <rte_eal.h>
#include <rte_mbuf.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shared/wake.h"

void memif_queue_init(
	struct memif_queue *q, const struct memif_layout *l, unsigned ring, uint8_t *memory)
{
	q->ring = (struct memif_ring *)(void *)(memory + memif_ring_offset(l, ring));
	q->offset = (uint32_t)memif_buffer_offset(l, ring, 0);
	q->buffers = memory + q->offset;
	q->slots = (uint16_t)(1u << l->log2_slots);
	q->next = 0;
	q->in_chain = false;
	atomic_store_explicit(&q->broken, false, memory_order_relaxed);
}

static uint8_t *buffer_of(const struct memif_queue *q, uint16_t slot)
{
	return q->buffers + (size_t)slot * MEMIF_BUFFER_BYTES;
}

static void desc_empty(const struct memif_queue *q, uint16_t slot)
{
	q->ring->desc[slot] = (struct memif_desc){
		.length = MEMIF_BUFFER_BYTES,
		.offset = q->offset + slot * MEMIF_BUFFER_BYTES,
	};
}

void memif_queue_clear(struct memif_queue *q)
{
	struct memif_ring *r = q->ring;

	r->cookie = MEMIF_COOKIE;
	atomic_store_explicit(&r->flags, 0, memory_order_relaxed);
	atomic_store_explicit(&r->tail, 0, memory_order_relaxed);
	atomic_store_explicit(&r->head, 0, memory_order_relaxed);
	for (unsigned slot = 0; slot < q->slots; slot++)
		desc_empty(q, (uint16_t)slot);
	q->next = 0;
	q->in_chain = false;
	atomic_store_explicit(&q->broken, false, memory_order_relaxed);
}

void memif_queue_offer(struct memif_queue *q)
{
	atomic_store_explicit(&q->ring->flags, MEMIF_NO_INTERRUPTS, memory_order_relaxed);
	atomic_store_explicit(&q->ring->head, q->slots, memory_order_release);
}

void memif_queue_resume(struct memif_queue *q, bool from_server)
{
	uint16_t head = atomic_load_explicit(&q->ring->head, memory_order_acquire);

	// Who takes from the server offers each slot again as it has taken it.
	q->next = (uint16_t)(from_server ? head - q->slots : head);
}

/** A frame of one slot goes to m. False: it is none that can be for us. */
static bool take(struct memif_queue *q, uint16_t slot, struct rte_mbuf *m)
{
	const volatile struct memif_desc *d = &q->ring->desc[slot];
	uint32_t length = d->length;
	bool is_part = q->in_chain;
	char *to;

	q->in_chain = d->flags & MEMIF_MORE;
	if (is_part || q->in_chain || !length || length > MEMIF_BUFFER_BYTES)
		return false;
	to = rte_pktmbuf_append(m, (uint16_t)length);
	if (!to)
		return false;
	memcpy(to, buffer_of(q, slot), length);
	return true;
}

uint16_t memif_queue_receive(
	struct memif_queue *q, struct rte_mempool *pool, struct rte_mbuf **m, uint16_t most)
{
	uint16_t tail = atomic_load_explicit(&q->ring->tail, memory_order_acquire);
	uint16_t waiting = (uint16_t)(tail - q->next), n = RTE_MIN(waiting, most), taken = 0;

	if (!n)
		return 0;
	if (waiting > q->slots) {
		atomic_store_explicit(&q->broken, true, memory_order_relaxed);
		return 0;
	}
	if (rte_pktmbuf_alloc_bulk(pool, m, n)) {
		q->starved++;
		return 0;
	}
	for (uint16_t i = 0; i < n; i++) {
		uint16_t slot = q->next++ & (q->slots - 1);

		if (take(q, slot, m[taken]))
			taken++;
		else
			q->odd++;
		desc_empty(q, slot);
	}
	if (taken < n)
		rte_pktmbuf_free_bulk(m + taken, n - taken);
	// From here on they are gone for a successor.
	atomic_store_explicit(&q->ring->head, (uint16_t)(q->next + q->slots), memory_order_release);
	return taken;
}

/** m into the next slot. False: it is too long for one, and what lies behind is another ring's. */
static bool put(struct memif_queue *q, const struct rte_mbuf *m)
{
	uint16_t slot = q->next & (q->slots - 1);
	struct memif_desc *d = &q->ring->desc[slot];

	if (m->data_len > MEMIF_BUFFER_BYTES)
		return false;
	memcpy(buffer_of(q, slot), rte_pktmbuf_mtod(m, const void *), m->data_len);
	d->length = m->data_len;
	d->flags = 0;
	q->next++;
	return true;
}

uint16_t memif_queue_send(struct memif_queue *q, struct rte_mbuf **m, uint16_t count)
{
	uint16_t tail = atomic_load_explicit(&q->ring->tail, memory_order_acquire);
	uint16_t waiting = (uint16_t)(q->next - tail), before = q->next, taken = 0;
	uint64_t one = 1;

	if (waiting > q->slots) {
		atomic_store_explicit(&q->broken, true, memory_order_relaxed);
		return 0;
	}
	for (; taken < count && waiting < q->slots; taken++) {
		if (put(q, m[taken]))
			waiting++;
		else
			q->too_long++;
	}
	rte_pktmbuf_free_bulk(m, taken);
	if (q->next == before)
		return taken;
	atomic_store_explicit(&q->ring->head, q->next, memory_order_release);
	// A system call, for servers that sleep: those that poll do not ask for it. It does not block but for
	// one that means harm, and then for housekeeping's next look: O_NONBLOCK is the server's to clear, too.
	if (!(atomic_load_explicit(&q->ring->flags, memory_order_relaxed) & MEMIF_NO_INTERRUPTS)) {
		atomic_store_explicit(&q->writer, rte_gettid(), memory_order_relaxed);
		(void)!write(q->kick, &one, sizeof(one));
		atomic_store_explicit(&q->writer, 0, memory_order_relaxed);
	}
	return taken;
}

static void on_signal(int number)
{
	(void)number;
}

void memif_queue_signal(void)
{
	// Without SA_RESTART: the write ends where it waits.
	const struct sigaction interrupt = {.sa_handler = on_signal};

	sigaction(SIGURG, &interrupt, NULL);
}

bool memif_queue_unblock(const struct memif_queue *q)
{
	struct pollfd room = {.fd = q->kick, .events = POLLOUT};
	pid_t writer = atomic_load_explicit(&q->writer, memory_order_relaxed);

	// An error is a counter that the kernel itself ran up to its end (aio(7) can be made to).
	if (q->kick < 0 || poll(&room, 1, 0) < 0 || room.revents & POLLOUT)
		return false;
	// Room alone may go to others: the server's own threads wait for it as well, hundreds of them.
	if (writer)
		syscall(SYS_tgkill, getpid(), writer, SIGURG);
	sfu_wake_drain(q->kick);
	return true;
}
