// SPDX-License-Identifier: BSD-3-Clause
/**
 * What sfu-dp tells sfu-ctl (ring SFU_RING_EVENT), and DTLS records in both directions.
 * The reader copies a slot once, checks the copy and uses only the copy.
 */
#pragma once

#include <stdint.h>

enum sfu_event_type {
	SFU_EVENT_NONE = 0,
	SFU_EVENT_ACK = 1,
	SFU_EVENT_DIGEST = 2,
	SFU_EVENT_DIGEST_END = 3,
	SFU_EVENT_TRANSPORT = 4,
	SFU_EVENT_SPEAKER = 5, /* handle = room: somebody else speaks there now */
	SFU_EVENT_TYPE_COUNT
};

/** Answer to one command. */
struct sfu_ack {
	uint64_t command_id;
	uint32_t command_type;
	uint32_t status; /* enum sfu_status */
};

struct sfu_digest_item {
	uint64_t handle;
	uint32_t kind; /* enum sfu_object_kind */
	uint32_t version;
};

#define SFU_DIGEST_ITEMS 14u

/** Up to SFU_DIGEST_ITEMS of what the data plane has. */
struct sfu_digest {
	uint32_t count;
	uint32_t reserved;
	struct sfu_digest_item item[SFU_DIGEST_ITEMS];
};

/** After the last item. */
struct sfu_digest_end {
	uint64_t items; /* how many were sent */
};

enum sfu_transport_state {
	SFU_TRANSPORT_VALIDATED = 1, /* first authenticated ICE check: DTLS may come */
	SFU_TRANSPORT_NOMINATED = 2, /* a tuple was nominated, also on each change */
	SFU_TRANSPORT_CONSENT_LOST
	= 3, /* 30 s without an authenticated check: nothing is sent any more */
};

struct sfu_transport_event {
	uint32_t state; /* enum sfu_transport_state */
	uint32_t worker;
};

struct sfu_speaker_event {
	uint64_t producer; /* whose sound it is */
	uint64_t transport; /* of the producer */
	uint32_t loudness; /* smoothed: 127 less -dBov (RFC 6464), 0 .. 127 */
	uint32_t reserved;
};

/** One slot of SFU_RING_EVENT, 256 octets. */
struct sfu_event {
	uint32_t type; /* enum sfu_event_type */
	uint32_t reserved;
	uint64_t handle; /* of the object, 0 where there is none */
	union {
		struct sfu_ack ack;
		struct sfu_digest digest;
		struct sfu_digest_end digest_end;
		struct sfu_transport_event transport;
		struct sfu_speaker_event speaker;
		uint8_t bytes[240];
	} u;
};

_Static_assert(sizeof(struct sfu_event) == 256, "abi");

#define SFU_DTLS_MAX_BYTES 1984u

/**
 * One slot of SFU_RING_DTLS_TO_CTL or SFU_RING_DTLS_TO_DP, 2048 octets: one UDP payload.
 * Punts come only from tuples whose ICE check was authenticated. The answer goes back with the
 * tuple of the punt; sfu-dp drops it when that tuple is gone.
 */
struct sfu_dtls_record {
	uint64_t transport;
	uint32_t tuple; /* opaque to sfu-ctl: which validated tuple, 0 = the nominated one */
	uint32_t len; /* 1..SFU_DTLS_MAX_BYTES */
	uint8_t reserved[48];
	uint8_t bytes[SFU_DTLS_MAX_BYTES];
};

_Static_assert(sizeof(struct sfu_dtls_record) == 2048, "abi");
