// SPDX-License-Identifier: BSD-3-Clause
/**
 * The control plane's end of the link (shared/abi.h has the conversation), on the libuv loop.
 *
 * Connects and stays connected: 100 ms after the first failure, doubling to 1 s. The region header
 * is copied once and checked; only the copy is used. The data plane is not trusted with more than
 * media: an impossible index or a false header ends the attach and the retry begins.
 *
 * All on the loop's thread. Callbacks come from the loop, never from inside a call below.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "shared/abi.h"
#include "shared/command.h"
#include "shared/event.h"

struct link_client;

struct link_client_callbacks {
	void *ctx;
	/** The header is our checked copy, valid until on_detached returns. */
	void (*on_attached)(void *ctx, const struct sfu_region_header *header);
	void (*on_detached)(void *ctx);
	/** Private copies; contents unchecked, except that a record's len is 1..SFU_DTLS_MAX_BYTES. */
	void (*on_event)(void *ctx, const struct sfu_event *event);
	void (*on_dtls)(void *ctx, const struct sfu_dtls_record *record);
	/** priority of <syslog.h>; repeated connection failures are logged once. May be NULL. */
	void (*log)(void *ctx, int priority, const char *line);
};

/**
 * Start connecting. path and name are copied.
 * @param name  node id for the data plane's log, cut at 16 octets
 * @return NULL when out of memory or path is too long
 */
struct link_client *link_client_create(uv_loop_t *loop, const char *path, const char *name,
	const struct link_client_callbacks *callbacks);

/** Detach without a callback. Memory goes when the loop has closed the handles. NULL is fine. */
void link_client_destroy(struct link_client *link);

bool link_client_attached(const struct link_client *link);

/** Not attached, since the data plane that answered last speaks another version. */
bool link_client_foreign(const struct link_client *link);

/** Attached, but the data plane has given no sign of life for SFU_SILENT_US. */
bool link_client_silent(const struct link_client *link);

/** 0, -EAGAIN (full) or -ENOTCONN. The caller wipes keys in *command after this. */
int link_client_push_command(struct link_client *link, const struct sfu_command *command);

/** 0, -EAGAIN (full: drop it, DTLS sends again), -EINVAL (length) or -ENOTCONN. */
int link_client_push_dtls(struct link_client *link, const struct sfu_dtls_record *record);

/** Shared memory: read each word once. NULL while detached. */
const struct sfu_stats_page *link_client_stats(const struct link_client *link);

/** Elements that wait in each ring, by enum sfu_ring_id; all 0 while not attached. */
void link_client_depths(struct link_client *link, uint32_t depths[SFU_RING_COUNT]);

/** Give the present attach up, for example because its answers make no sense; retry follows. */
void link_client_reset(struct link_client *link, const char *why);

/**
 * Is this header one we can work with?
 * @param region_bytes  what fstat says the region has
 * @param generation    of the welcome
 * @return NULL, or what is wrong
 */
const char *link_client_header_check(
	const struct sfu_region_header *header, uint64_t region_bytes, uint64_t generation);
