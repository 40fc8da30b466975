// SPDX-License-Identifier: BSD-3-Clause
/**
 * memif, version 2.0, as the two ends of an interface agree on it: messages over a SOCK_SEQPACKET
 * socket, rings and buffers in memory of the client. The protocol has no standard but the programs
 * that speak it: VPP's memif.h, libmemif, DPDK's net_memif.
 *
 *   client (we)                       server
 *       <---------------------------- HELLO        what it can do, as soon as it accepted
 *   INIT ---------------------------> ACK          which interface (id); we have no secret
 *   ADD_REGION (memory) ------------> ACK
 *   ADD_RING (eventfd), each -------> ACK
 *   CONNECT ------------------------> CONNECTED    it has set the indices of all rings to 0
 *       <------- DISCONNECT, or the end of the socket, either way, any time
 *
 * Ring toward the server: slots [tail, head) are full; we move head, the server tail.
 * Ring from the server:   slots [tail, head) are empty, offered by us; the server fills them and
 *                         moves tail, we take them and move head.
 * Indices run freely modulo 2^16, slots are index modulo the ring's size. Host order throughout.
 */
#pragma once

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define MEMIF_COOKIE 0x3e31f20u
#define MEMIF_VERSION 0x0200u
#define MEMIF_MODE_ETHERNET 0u
#define MEMIF_LOG2_SLOTS_MAX 14u
#define MEMIF_SECRET_BYTES 24u
#define MEMIF_NAME_BYTES 32u
#define MEMIF_REASON_BYTES 96u

enum memif_type {
	MEMIF_NONE = 0,
	MEMIF_ACK,
	MEMIF_HELLO,
	MEMIF_INIT,
	MEMIF_ADD_REGION,
	MEMIF_ADD_RING,
	MEMIF_CONNECT,
	MEMIF_CONNECTED,
	MEMIF_DISCONNECT,
};

/** memif_add_ring.flags */
#define MEMIF_TO_SERVER 1u
/** memif_ring.flags, written by who takes: it polls, the eventfd of the ring is not wanted. */
#define MEMIF_NO_INTERRUPTS 1u
/** memif_desc.flags: the frame goes on in the next slot. */
#define MEMIF_MORE 1u

struct memif_hello {
	uint8_t name[MEMIF_NAME_BYTES];
	uint16_t version_min, version_max;
	uint16_t region_max; /* highest index, as the next two */
	uint16_t from_server_max, to_server_max; /* rings */
	uint8_t log2_slots_max;
} __attribute__((packed));

struct memif_init {
	uint16_t version;
	uint32_t id;
	uint8_t mode;
	uint8_t secret[MEMIF_SECRET_BYTES];
	uint8_t name[MEMIF_NAME_BYTES];
} __attribute__((packed));

struct memif_add_region {
	uint16_t index;
	uint64_t bytes;
} __attribute__((packed));

struct memif_add_ring {
	uint16_t flags;
	uint16_t index; /* of its direction */
	uint16_t region;
	uint32_t offset; /* in the region */
	uint8_t log2_slots;
	uint16_t private_bytes;
} __attribute__((packed));

struct memif_disconnect {
	uint32_t code;
	uint8_t reason[MEMIF_REASON_BYTES];
} __attribute__((packed));

struct memif_message {
	uint16_t type;
	union {
		struct memif_hello hello;
		struct memif_init init;
		struct memif_add_region add_region;
		struct memif_add_ring add_ring;
		uint8_t name[MEMIF_NAME_BYTES]; /* CONNECT, CONNECTED */
		struct memif_disconnect disconnect;
		uint8_t octets[126];
	} u;
} __attribute__((packed));

static_assert(sizeof(struct memif_message) == 128, "wire");
static_assert(offsetof(struct memif_message, u.hello.log2_slots_max) == 44, "wire");
static_assert(offsetof(struct memif_message, u.init.secret) == 9, "wire");
static_assert(offsetof(struct memif_message, u.add_region.bytes) == 4, "wire");
static_assert(offsetof(struct memif_message, u.add_ring.private_bytes) == 13, "wire");
static_assert(offsetof(struct memif_message, u.disconnect.reason) == 6, "wire");

struct memif_desc {
	uint16_t flags;
	uint16_t region;
	uint32_t length; /* of the frame, or of the empty buffer; octets */
	uint32_t offset; /* of the buffer in its region */
	uint32_t metadata;
};

struct memif_ring {
	uint32_t cookie;
	_Atomic uint16_t flags;
	_Atomic uint16_t head;
	uint8_t pad_head[56];
	_Atomic uint16_t tail;
	uint8_t pad_tail[62];
	struct memif_desc desc[];
};

static_assert(sizeof(struct memif_desc) == 16, "wire");
static_assert(offsetof(struct memif_ring, head) == 6, "wire");
static_assert(offsetof(struct memif_ring, tail) == 64, "wire");
static_assert(offsetof(struct memif_ring, desc) == 128, "wire");
