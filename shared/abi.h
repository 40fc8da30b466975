// SPDX-License-Identifier: BSD-3-Clause
/**
 * What sfu-ctl and sfu-dp agree on byte for byte: the link region and how it is handed over.
 *
 * The conversation (ARCHITECTURE.md, "The link"):
 *
 *   sfu-ctl                                   sfu-dp (listens, SOCK_SEQPACKET)
 *   connect ---------------------------------> peer credentials checked
 *   struct sfu_hello ------------------------>
 *          <--------------------------------- struct sfu_welcome + 3 fds by SCM_RIGHTS:
 *                                             region memfd (sealed: no shrink, no grow),
 *                                             eventfd that wakes sfu-dp, eventfd that wakes sfu-ctl
 *   maps the region, copies and checks the header, sends SFU_CMD_DIGEST, then the difference
 *   ...
 *   either side's death closes the socket: seen at once by the other
 *
 * Every attach gets a fresh region with a fresh generation, so nothing of a dead control plane can
 * reach the next one. One control plane at a time; a second is refused with SFU_WELCOME_BUSY.
 *
 * All integers are host order (one machine). No pointers, bit-fields, bool or enum in mapped
 * structs. tests/unit/test_abi.c pins every size and offset; change SFU_ABI_VERSION with them.
 */
#pragma once

#include <stdint.h>

#define SFU_ABI_MAGIC 0x314b4e494c554653ull /* "SFULINK1" */
#ifndef SFU_ABI_VERSION /* tests build programs that speak another one */
#define SFU_ABI_VERSION 2u
#endif

/**
 * Slot sizes and counts of the four rings of a region. Counts are powers of two; sfu-dp chooses them,
 * sfu-ctl takes what the header says.
 */
#define SFU_CMD_SLOT_BYTES 256u
#define SFU_EVENT_SLOT_BYTES 256u
#define SFU_DTLS_SLOT_BYTES 2048u
#ifndef SFU_CMD_SLOTS /* tests have tiny rings */
#define SFU_CMD_SLOTS 4096u
#define SFU_EVENT_SLOTS 4096u
#define SFU_DTLS_SLOTS 1024u
#endif

enum sfu_ring_id {
	SFU_RING_CMD, /* ctl -> dp, struct sfu_command */
	SFU_RING_EVENT, /* dp -> ctl, struct sfu_event */
	SFU_RING_DTLS_TO_DP, /* ctl -> dp, struct sfu_dtls_record */
	SFU_RING_DTLS_TO_CTL, /* dp -> ctl, struct sfu_dtls_record */
	SFU_RING_COUNT
};

/** Status of an attach, in struct sfu_welcome. */
enum sfu_welcome_status {
	SFU_WELCOME_OK = 0,
	SFU_WELCOME_VERSION = 1, /* ABI versions differ; abi_version says ours */
	SFU_WELCOME_BUSY = 2, /* another control plane is attached */
	SFU_WELCOME_NO_MEMORY = 3,
	SFU_WELCOME_MALFORMED = 4,
};

/** First message, ctl -> dp, 32 octets. */
struct sfu_hello {
	uint64_t magic;
	uint32_t abi_version;
	uint32_t reserved; /* zero */
	char name[16]; /* node id for the log, NUL padded, need not be terminated */
};

/** Answer, dp -> ctl, 32 octets; the three descriptors ride along only with SFU_WELCOME_OK. */
struct sfu_welcome {
	uint64_t magic;
	uint32_t abi_version;
	uint32_t status; /* enum sfu_welcome_status */
	uint64_t region_bytes;
	uint64_t generation;
};

struct sfu_ring_place {
	uint64_t offset_bytes; /* from the start of the region to struct sfu_ring */
	uint32_t slots;
	uint32_t slot_bytes;
};

/** A media address of the data plane. */
struct sfu_address {
	uint8_t family; /* 4 or 6; 0 = unused entry */
	uint8_t reserved[3];
	uint16_t port;
	uint16_t reserved2;
	uint8_t addr[16]; /* network order, IPv4 in the first four */
};

/** A side that gives no sign for so long is taken for hanging; it may come back. */
#define SFU_SILENT_US 1000000u

#define SFU_MAX_ADDRESSES 4u

/**
 * Offset 0 of the region, 4096 octets. Written by sfu-dp before the region is handed out and never
 * again; each side uses a private copy that it has checked.
 */
struct sfu_region_header {
	uint64_t magic;
	uint32_t abi_version;
	uint32_t header_bytes;
	uint64_t region_bytes;
	uint64_t generation;
	struct sfu_ring_place ring[SFU_RING_COUNT];
	uint64_t stats_offset_bytes;
	uint32_t stats_bytes;
	uint32_t workers;
	uint32_t max_rooms;
	uint32_t max_peers;
	uint32_t max_transports;
	uint32_t max_producers;
	uint32_t max_consumers;
	uint32_t address_count;
	struct sfu_address address[SFU_MAX_ADDRESSES]; /* announced ones, best first */
	uint64_t dp_instance; /* random per data-plane process: tells a restart from a re-attach */
	uint8_t reserved[3856];
};

_Static_assert(sizeof(struct sfu_hello) == 32, "abi");
_Static_assert(sizeof(struct sfu_welcome) == 32, "abi");
_Static_assert(sizeof(struct sfu_region_header) == 4096, "abi");

/**
 * Statistics page: counters written by sfu-dp's housekeeping (relaxed 64-bit stores, about ten
 * times a second), read by sfu-ctl without asking. Only ever grow, except the gauges. Either side that
 * does not update its time for SFU_SILENT_US hangs.
 */
/* clang-format off */
#define SFU_STATS_LIST(X) \
	X(rx_packets) \
	X(rx_bytes) \
	X(forwarded) \
	X(answered) \
	X(punted) \
	X(dropped) \
	X(egress_packets) \
	X(egress_bytes) \
	X(egress_dropped) \
	X(frames_stale) \
	X(frames_unreadable) \
	X(handoffs) \
	X(gauge_rooms) \
	X(gauge_peers) \
	X(gauge_transports) \
	X(gauge_producers) \
	X(gauge_consumers) \
	X(gauge_workers) \
	X(gauge_mbufs_free) \
	X(link_commands) \
	X(link_refused) \
	X(link_events_lost)
/* clang-format on */

enum sfu_stat {
#define X(name) SFU_STAT_##name,
	SFU_STATS_LIST(X)
#undef X
		SFU_STAT_COUNT
};

struct sfu_stats_page {
	uint64_t updated_us; /* CLOCK_MONOTONIC of the last update */
	uint64_t value[64]; /* enum sfu_stat */
	uint64_t ctl_alive_us; /* CLOCK_MONOTONIC: written by sfu-ctl, four times a second; 0 = it
				  does not say */
	uint64_t reserved[62];
};

_Static_assert(sizeof(struct sfu_stats_page) == 1024, "abi");
_Static_assert(SFU_STAT_COUNT <= 64, "abi");
