// SPDX-License-Identifier: BSD-3-Clause
/**
 * The client's part of a memif conversation: a message comes, the next one goes. No socket, no memory.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "sfu-dp/memif/wire.h"

/** What lies where in the one region: rings toward the server, one from it, then the buffers. */
struct memif_layout {
	unsigned to_server; /* rings; with the one from the server no more than 255 */
	unsigned log2_slots;
};

/** Octets of a buffer: every frame has one, and servers take no smaller ones (net_memif's bsize). */
#define MEMIF_BUFFER_BYTES 2048u

/** Ring number of the layout: those toward the server first. Octets into the region. */
size_t memif_ring_offset(const struct memif_layout *l, unsigned ring);
size_t memif_buffer_offset(const struct memif_layout *l, unsigned ring, unsigned slot);
size_t memif_region_bytes(const struct memif_layout *l);

struct memif_session {
	struct memif_layout layout;
	uint32_t id;
	unsigned sent; /* messages; 0 = HELLO is waited for */
};

enum memif_step {
	MEMIF_SEND, /* *out, with a descriptor where *ring or the region says so */
	MEMIF_UP,
	MEMIF_NOT_US, /* out.u.disconnect.reason says why; to be sent, then the end */
	MEMIF_ENDED, /* the server's wish; in->u.disconnect.reason */
};

/** What rides along with a message. */
#define MEMIF_FD_NONE (-1)
#define MEMIF_FD_REGION (-2)

/**
 * @param in   as it came
 * @param out  filled for MEMIF_SEND and MEMIF_NOT_US
 * @param fd   receives MEMIF_FD_ or the number of the ring whose eventfd goes with *out
 */
enum memif_step memif_session_on(struct memif_session *s, const struct memif_message *in,
	struct memif_message *out, int *fd);
