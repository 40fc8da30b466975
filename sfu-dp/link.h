// SPDX-License-Identifier: BSD-3-Clause
/**
 * The data plane's end of the link (shared/abi.h has the conversation).
 *
 * Listens on a Unix SEQPACKET socket, admits one control plane at a time and gives each attach a
 * fresh sealed region, so that nothing of a dead control plane reaches the next one. No thread of
 * its own and no blocking call: housekeeping calls link_poll() each turn and everything below from
 * the same thread. No DPDK here, so that it is tested without the EAL.
 *
 * The peer is hostile by assumption: an impossible index ends the attach with a log line, work per
 * call is bounded, and what a popped command says is for the caller to check.
 *
 * A turn of housekeeping:
 *
 *   link_poll(link, now_us);
 *   if (link_generation(link) != seen) { seen = ...; forget half-sent digests and the like }
 *   for (n = 0; n < BUDGET && link_pop_command(link, &cmd); n++) ...
 *   about to sleep:  if (link_prepare_sleep(link)) epoll_wait(... link_fd(link) ...); link_awake(link);
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "shared/abi.h"
#include "shared/command.h"
#include "shared/event.h"

struct link;

/** One line without newline. priority: LOG_ERR, LOG_WARNING, LOG_NOTICE, LOG_INFO of <syslog.h>. */
typedef void (*link_log_fn)(void *ctx, int priority, const char *line);

struct link_options {
	const char *path; /* of the socket; at most 96 octets */
	const char
		*group; /* name or number; its members may attach. NULL: same uid and root only */
	link_log_fn log; /* may be NULL */
	void *log_ctx;
	uint64_t dp_instance; /* random, of this process */
	/* Told to the control plane in the region header. */
	uint32_t workers;
	uint32_t max_rooms, max_peers, max_transports, max_producers, max_consumers;
	uint32_t address_count;
	struct sfu_address address[SFU_MAX_ADDRESSES];
};

/**
 * Bind and listen. A socket file that nobody listens on is replaced; one with a listener, or any
 * other kind of file, is left alone and refused. The file gets mode 0660 and the group.
 * @param err  receives one line that says what to do, on failure
 * @return NULL on failure
 */
struct link *link_create(const struct link_options *options, char *err, size_t err_size);

/** Detach, close, remove the socket file if it is still ours. NULL is fine. */
void link_destroy(struct link *link);

/**
 * Accept, answer, notice death. At most a few system calls; one when nothing happened. An attach takes
 * several turns, while link_prepare_sleep() says no.
 */
void link_poll(struct link *link, uint64_t now_us);

/** True while a control plane is attached. Any call below may find the attach poisoned and end it. */
bool link_attached(const struct link *link);

/** Of the present attach, higher for each; 0 while detached. */
uint64_t link_generation(const struct link *link);

/** Copy the next command out and wipe its slot (keys). The caller wipes *out after use. */
bool link_pop_command(struct link *link, struct sfu_command *out);

/** False when detached or full (counted in events_lost). */
bool link_push_event(struct link *link, const struct sfu_event *event);

/** Free event slots now; 0 while detached. Pop a command only while its answer has room. */
uint32_t link_event_room(struct link *link);

/**
 * Next datagram from a handshake to a client. len is checked: 1..SFU_DTLS_MAX_BYTES.
 * @return false when there is none, or none after a few of impossible length
 */
bool link_pop_dtls(struct link *link, struct sfu_dtls_record *out);

/** Punt one datagram. False when detached, full (counted in dtls_lost) or of impossible length. */
bool link_push_dtls(struct link *link, const struct sfu_dtls_record *record);

/** Datagrams that there is room for now; 0 while detached. */
uint32_t link_dtls_room(struct link *link);

/** The statistics page of the present attach, NULL while detached. Ask again before each use. */
struct sfu_stats_page *link_stats_page(struct link *link);

/** One descriptor (an epoll set), readable when link_poll() or the rings have work; never changes. */
int link_fd(const struct link *link);

/**
 * Announce sleep on both incoming rings: the control plane's next push makes link_fd() readable.
 * @return false when something arrived meanwhile: do not sleep
 */
bool link_prepare_sleep(struct link *link);

/** After waking, or on deciding against sleep. */
void link_awake(struct link *link);

/** For inspection. Counters since link_create(). */
struct link_figures {
	bool attached;
	char name[17]; /* as the control plane calls itself, printable */
	pid_t pid; /* of the control plane */
	uid_t uid;
	uint64_t generation;
	uint64_t attaches, detaches;
	uint64_t refused_peer; /* credentials */
	uint64_t refused_hello; /* malformed or none in time */
	uint64_t refused_version;
	uint64_t refused_busy;
	uint64_t refused_memory;
	uint64_t poisoned;
	uint64_t commands, events, events_lost;
	uint64_t dtls_in, dtls_out, dtls_lost, dtls_malformed;
	uint32_t commands_waiting, events_waiting;
};

void link_figures(struct link *link, struct link_figures *out);
