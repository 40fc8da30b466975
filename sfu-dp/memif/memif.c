// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/memif/memif.h"

#include <errno.h>
#include <fcntl.h>
#include <rte_ether.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include "sfu-dp/keeper/tie.h"
#include "sfu-dp/log.h"
#include "sfu-dp/memif/queue.h"
#include "sfu-dp/memif/session.h"
#include "shared/service/descriptors.h"

/** 2,048 slots: 20 ms of 100,000 packets a second, while one process follows another. */
#define LOG2_SLOTS_DEFAULT 11u
/** So often a server is looked for, and so long it may take to answer. */
#define RETRY_US 100000u
#define ANSWER_US 2000000u
/** A connection that is up says nothing but that it ends. */
#define LOOK_US 10000u
/** memif_held.value: version of what is behind it, log2_slots, rings toward the server. */
#define HELD_VERSION 1u

enum {
	HELD_CONTROL,
	HELD_REGION,
	HELD_KICKS,
};

struct memif {
	struct memif_session session; /* layout and id from the start */
	struct sockaddr_un server;
	struct rte_mempool *pool;
	struct rte_rcu_qsbr *qsbr;
	_Atomic bool up; /* workers may touch the rings; housekeeping writes */
	bool is_ours; /* memif_start() to memif_release() */
	int control; /* -1 = not connected */
	int unfit; /* of a connection that others had and that is of no use here; -1 = none */
	int region; /* memfd of memory */
	uint8_t *memory; /* NULL = none yet */
	bool is_given; /* a server has region and eventfds: no other gets these */
	ino_t inode; /* of the memfd */
	uint64_t token; /* of the grace period after which the memory may go */
	bool waits; /* for it */
	uint64_t since_us, look_us;
	uint64_t connects;
	bool said; /* that there is no server */
	bool told; /* that there is something to hold for a successor, also if it came from before us */
	unsigned queues;
	struct memif_queue queue[]; /* toward the server, then the one from it */
};

bool memif_is(const char *device)
{
	return !strncmp(device, "memif", 5);
}

/* Arguments */

static bool number(const char *text, unsigned long most, unsigned long *out)
{
	char *end;

	errno = 0;
	*out = strtoul(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end && !errno && *out <= most;
}

static bool address(struct sockaddr_un *a, const char *path)
{
	if (!*path || strlen(path) >= sizeof(a->sun_path))
		return false;
	a->sun_family = AF_UNIX;
	strcpy(a->sun_path, path);
	return true;
}

static bool argument(struct memif *m, const char *key, const char *value, uint8_t mac[6])
{
	struct rte_ether_addr ether;
	unsigned long n;

	if (!strcmp(key, "socket"))
		return address(&m->server, value);
	if (!strcmp(key, "id") && number(value, UINT32_MAX, &n)) {
		m->session.id = (uint32_t)n;
		return true;
	}
	if (!strcmp(key, "rsize") && number(value, MEMIF_LOG2_SLOTS_MAX, &n) && n >= 5) {
		m->session.layout.log2_slots = (unsigned)n;
		return true;
	}
	if (!strcmp(key, "mac") && !rte_ether_unformat_addr(value, &ether)
		&& rte_is_valid_assigned_ether_addr(&ether)) {
		memcpy(mac, ether.addr_bytes, 6);
		return true;
	}
	return false;
}

static bool arguments(struct memif *m, const char *device, uint8_t mac[6], char *why, size_t cap)
{
	char text[256], *save = NULL;

	snprintf(text, sizeof(text), "%s", device);
	strtok_r(text, ",", &save);
	for (char *key; (key = strtok_r(NULL, ",", &save));) {
		char *value = strchr(key, '=');

		if (value)
			*value++ = 0;
		if (value && argument(m, key, value, mac))
			continue;
		snprintf(why, cap,
			"%s: \"%s\" is not understood: socket=, id=, rsize= (5 to %u) and "
			"mac= are",
			device, key, MEMIF_LOG2_SLOTS_MAX);
		return false;
	}
	if (m->server.sun_family)
		return true;
	snprintf(why, cap, "%s: socket=PATH of the server is missing", device);
	return false;
}

struct memif *memif_create(const char *device, unsigned workers, struct rte_mempool *pool,
	uint8_t mac[6], char *why, size_t why_cap)
{
	struct memif *m;

	m = aligned_alloc(64, sizeof(*m) + (workers + 1) * sizeof(m->queue[0]));
	if (!m) {
		snprintf(why, why_cap, "%s: not enough memory", device);
		return NULL;
	}
	memset(m, 0, sizeof(*m) + (workers + 1) * sizeof(m->queue[0]));
	m->session.layout
		= (struct memif_layout){.to_server = workers, .log2_slots = LOG2_SLOTS_DEFAULT};
	m->pool = pool;
	m->queues = workers + 1;
	m->control = m->unfit = m->region = -1;
	for (unsigned i = 0; i < m->queues; i++)
		m->queue[i].kick = -1;
	if (arguments(m, device, mac, why, why_cap))
		return m;
	free(m);
	return NULL;
}

/* Memory */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void memory_forget(struct memif *m)
{
	if (m->memory)
		munmap(m->memory, memif_region_bytes(&m->session.layout));
	m->memory = NULL;
	m->is_given = false;
	close_fd(&m->region);
	for (unsigned i = 0; i < m->queues; i++)
		close_fd(&m->queue[i].kick);
}

/** Of the memfd in region, present from the start: no page is faulted in while packets wait. */
static bool memory_map(struct memif *m)
{
	size_t bytes = memif_region_bytes(&m->session.layout);
	struct stat is;
	void *memory;

	if (fstat(m->region, &is) || (size_t)is.st_size != bytes)
		return false;
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, m->region, 0);
	if (memory == MAP_FAILED)
		return false;
	m->memory = memory;
	m->inode = is.st_ino;
	for (unsigned i = 0; i < m->queues; i++)
		memif_queue_init(&m->queue[i], &m->session.layout, i, m->memory);
	return true;
}

static bool memory_make(struct memif *m)
{
	m->region = memfd_create("sfu-memif", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (m->region < 0 || ftruncate(m->region, (off_t)memif_region_bytes(&m->session.layout))
		|| fcntl(m->region, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) || !memory_map(m))
		return false;
	for (unsigned i = 0; i < m->queues; i++) {
		m->queue[i].kick = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (m->queue[i].kick < 0)
			return false;
	}
	return true;
}

/* From process to process */

static uint32_t held_value(const struct memif *m)
{
	return HELD_VERSION << 24 | m->session.layout.log2_slots << 8 | m->session.layout.to_server;
}

static void held_fill(const struct memif *m, struct tie_held *held)
{
	memset(held, 0, sizeof(*held));
	if (!atomic_load_explicit(&m->up, memory_order_relaxed))
		return;
	held->value = held_value(m);
	held->count = HELD_KICKS + m->queues;
	held->fd[HELD_CONTROL] = m->control;
	held->fd[HELD_REGION] = m->region;
	for (unsigned i = 0; i < m->queues; i++)
		held->fd[HELD_KICKS + i] = m->queue[i].kick;
}

/** The same memory as before, perhaps by way of another connection. */
static bool is_mapped(const struct memif *m, int region)
{
	struct stat is;

	return m->memory && !fstat(region, &is) && is.st_ino == m->inode;
}

static void kicks_take(struct memif *m, const struct tie_held *held)
{
	for (unsigned i = 0; i < m->queues; i++) {
		close_fd(&m->queue[i].kick);
		m->queue[i].kick = held->fd[HELD_KICKS + i];
	}
}

void memif_adopt(struct memif *m, struct tie_held *held)
{
	if (!held->value)
		return;
	close_fd(&m->control);
	close_fd(&m->unfit);
	if (held->value != held_value(m) || held->count != HELD_KICKS + m->queues) {
		// Another may still forward by it: ended when we start.
		m->unfit = held->fd[HELD_CONTROL];
		held->fd[HELD_CONTROL] = -1;
		tie_held_close(held);
		return;
	}
	m->control = held->fd[HELD_CONTROL];
	if (is_mapped(m, held->fd[HELD_REGION])) {
		close(held->fd[HELD_REGION]);
		kicks_take(m, held);
	} else {
		memory_forget(m);
		m->region = held->fd[HELD_REGION];
		kicks_take(m, held);
		if (!memory_map(m)) {
			m->unfit = m->control;
			m->control = -1;
			memory_forget(m);
		}
	}
	m->is_given = m->memory;
	memset(held, 0, sizeof(*held));
}

void memif_start(struct memif *m, struct rte_rcu_qsbr *qsbr)
{
	m->qsbr = qsbr;
	m->is_ours = true;
	memif_queue_signal();
	if (m->unfit >= 0)
		shutdown(m->unfit, SHUT_RDWR);
	close_fd(&m->unfit);
	if (m->control < 0) {
		// The first one's pages are zeroed now, and not in a turn of housekeeping.
		if (!m->memory && !memory_make(m))
			memory_forget(m);
		return;
	}
	for (unsigned i = 0; i < m->queues; i++)
		memif_queue_resume(&m->queue[i], i == m->queues - 1);
	atomic_store_explicit(&m->up, true, memory_order_release);
}

void memif_release(struct memif *m)
{
	atomic_store_explicit(&m->up, false, memory_order_release);
	m->is_ours = false;
}

/* The conversation */

static void say(struct memif *m, const struct memif_message *message, int fd)
{
	// What does not go out ends in a wait for the answer that is over one time.
	descriptors_send(m->control, message, sizeof(*message), &fd, fd >= 0);
}

static bool unblock(const struct memif *m)
{
	bool was_full = false;

	// Nobody writes to that of the ring from the server.
	for (unsigned i = 0; i < m->queues - 1; i++)
		was_full |= memif_queue_unblock(&m->queue[i]);
	return was_full;
}

static void disconnect(struct memif *m, const char *reason)
{
	struct memif_message bye = {.type = MEMIF_DISCONNECT};

	snprintf((char *)bye.u.disconnect.reason, sizeof(bye.u.disconnect.reason), "%s", reason);
	say(m, &bye, -1);
}

/** No server any more. Workers may still be in the rings: those are forgotten after a grace period. */
static void down(struct memif *m, const char *why, uint64_t now_us)
{
	if (atomic_exchange_explicit(&m->up, false, memory_order_release)) {
		log_line(LOG_WARNING, "memif", "the other end is gone", "why=\"%s\"", why);
		m->token = rte_rcu_qsbr_start(m->qsbr);
		m->waits = true;
	} else if (!m->said) {
		log_line(LOG_WARNING, "memif", "no connection yet", "socket=%s why=\"%s\"",
			m->server.sun_path, why);
	}
	m->said = true;
	// The keeper has the socket, too: closing it alone nobody would hear.
	shutdown(m->control, SHUT_RDWR);
	close_fd(&m->control);
	m->since_us = now_us;
}

static void connect_begin(struct memif *m, uint64_t now_us)
{
	if (m->waits && rte_rcu_qsbr_check(m->qsbr, m->token, false) != 1) {
		// Each turn, not once: the worker may have been about to write.
		unblock(m);
		return;
	}
	m->waits = false;
	// Whoever had it has it still, whatever it said at its end.
	if (m->is_given)
		memory_forget(m);
	if (m->since_us && now_us - m->since_us < RETRY_US)
		return;
	m->since_us = now_us;
	if (!m->memory && !memory_make(m)) {
		memory_forget(m);
		return;
	}
	m->control = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (m->control < 0)
		return;
	if (connect(m->control, (const struct sockaddr *)&m->server, sizeof(m->server))) {
		down(m, strerror(errno), now_us);
		return;
	}
	for (unsigned i = 0; i < m->queues; i++)
		memif_queue_clear(&m->queue[i]);
	m->session.sent = 0;
}

static void connected(struct memif *m)
{
	memif_queue_offer(&m->queue[m->queues - 1]);
	m->connects++;
	m->said = false;
	log_line(LOG_NOTICE, "memif", "connected", "socket=%s id=%u", m->server.sun_path,
		m->session.id);
	atomic_store_explicit(&m->up, true, memory_order_release);
}

static void answer(struct memif *m, const struct memif_message *in, uint64_t now_us)
{
	bool is_up = atomic_load_explicit(&m->up, memory_order_relaxed);
	struct memif_message out;
	int fd = MEMIF_FD_NONE;

	if (is_up && in->type != MEMIF_DISCONNECT)
		return;
	switch (memif_session_on(&m->session, in, &out, &fd)) {
	case MEMIF_SEND:
		if (fd == MEMIF_FD_REGION) {
			fd = m->region;
			m->is_given = true;
		} else if (fd >= 0) {
			fd = m->queue[fd].kick;
		}
		say(m, &out, fd);
		break;
	case MEMIF_UP:
		connected(m);
		break;
	case MEMIF_NOT_US:
		say(m, &out, -1);
		down(m, (const char *)out.u.disconnect.reason, now_us);
		break;
	case MEMIF_ENDED:
		memcpy(&out, in, sizeof(out));
		out.u.disconnect.reason[MEMIF_REASON_BYTES - 1] = 0;
		down(m, (const char *)out.u.disconnect.reason, now_us);
		break;
	}
}

static void listen_to(struct memif *m, uint64_t now_us)
{
	struct memif_message in;
	ssize_t n = recv(m->control, &in, sizeof(in), MSG_DONTWAIT);

	if (n == (ssize_t)sizeof(in))
		answer(m, &in, now_us);
	else if (n >= 0)
		down(m, n ? "a message of another length" : "it has closed the socket", now_us);
	else if (errno != EAGAIN && errno != EINTR)
		down(m, strerror(errno), now_us);
	else if (!atomic_load_explicit(&m->up, memory_order_relaxed)
		 && now_us - m->since_us >= ANSWER_US)
		down(m, "it does not answer", now_us);
}

static void give_up(struct memif *m, const char *why, uint64_t now_us)
{
	disconnect(m, why);
	down(m, why, now_us);
}

static bool is_broken(const struct memif *m)
{
	for (unsigned i = 0; i < m->queues; i++) {
		if (atomic_load_explicit(&m->queue[i].broken, memory_order_relaxed))
			return true;
	}
	return false;
}

bool memif_turn(struct memif *m, uint64_t now_us, struct tie_held *held)
{
	bool was_up = atomic_load_explicit(&m->up, memory_order_relaxed), is_up, was_told = m->told;

	if (m->control < 0) {
		connect_begin(m, now_us);
	} else if (was_up && is_broken(m)) {
		give_up(m, "impossible indices", now_us);
	} else if (!was_up || now_us - m->look_us >= LOOK_US) {
		m->look_us = now_us;
		if (was_up && unblock(m))
			give_up(m, "it fills an eventfd, so that we wait for it", now_us);
		else
			listen_to(m, now_us);
	}
	is_up = atomic_load_explicit(&m->up, memory_order_relaxed);
	m->told = is_up;
	if (is_up != was_told)
		held_fill(m, held);
	return is_up != was_told;
}

void memif_unblock(struct memif *m)
{
	unblock(m);
}

void memif_destroy(struct memif *m)
{
	if (!m)
		return;
	if (m->is_ours && m->control >= 0) {
		disconnect(m, "the data plane ends");
		shutdown(m->control, SHUT_RDWR);
	}
	close_fd(&m->control);
	close_fd(&m->unfit);
	memory_forget(m);
	free(m);
}

void memif_figures(const struct memif *m, struct memif_figures *out)
{
	*out = (struct memif_figures){
		.is_up = atomic_load_explicit(&m->up, memory_order_relaxed),
		.connects = m->connects,
	};
	for (unsigned i = 0; i < m->queues; i++) {
		out->odd += __atomic_load_n(&m->queue[i].odd, __ATOMIC_RELAXED);
		out->starved += __atomic_load_n(&m->queue[i].starved, __ATOMIC_RELAXED);
		out->too_long += __atomic_load_n(&m->queue[i].too_long, __ATOMIC_RELAXED);
	}
}

/* Packets */

uint16_t memif_receive(struct memif *m, struct rte_mbuf **mbufs, uint16_t most)
{
	if (!atomic_load_explicit(&m->up, memory_order_acquire))
		return 0;
	return memif_queue_receive(&m->queue[m->queues - 1], m->pool, mbufs, most);
}

uint16_t memif_send(struct memif *m, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count)
{
	if (!atomic_load_explicit(&m->up, memory_order_acquire))
		return 0;
	return memif_queue_send(&m->queue[queue], mbufs, count);
}
