// SPDX-License-Identifier: BSD-3-Clause
/**
 * The media programme: what sfu-ctl tells sfu-dp (ring SFU_RING_CMD).
 *
 * Commands are declarative and idempotent: PUT makes the object be as described, DELETE makes it
 * be gone. Each is answered by exactly one SFU_EVENT_ACK with the command's id. A PUT whose version
 * equals the stored one changes nothing and is answered OK; a lower one is SFU_STATUS_STALE.
 *
 * A handle names an object: index (low 32 bits) into the data plane's table of that kind, and
 * generation (high 32 bits, never 0). sfu-ctl gives out both; a slot whose old generation has been
 * deleted may be reused with a higher generation. Zero is no handle.
 *
 * Order: a transport needs its peer, a peer its room, a producer its transport, a consumer its
 * transport and producer; else SFU_STATUS_NO_PARENT. DELETE of a parent deletes what hangs on it.
 *
 * The reader copies a slot once, checks the copy and uses only the copy. Keys: sfu-ctl wipes its
 * own copy after the push, sfu-dp wipes the slot after copying it and its copy after expansion.
 */
#pragma once

#include <stdint.h>

enum sfu_command_type {
	SFU_CMD_NONE = 0,
	SFU_CMD_DIGEST
	= 1, /* asks for SFU_EVENT_DIGEST items, then SFU_EVENT_DIGEST_END, then ACK */
	SFU_CMD_PUT_ROOM = 2,
	SFU_CMD_DELETE_ROOM = 3,
	SFU_CMD_PUT_PEER = 4,
	SFU_CMD_DELETE_PEER = 5,
	SFU_CMD_PUT_TRANSPORT = 6,
	SFU_CMD_DELETE_TRANSPORT = 7,
	SFU_CMD_PUT_KEYS = 8, /* handle = transport; once per transport, keys never come back */
	SFU_CMD_PUT_PRODUCER = 9,
	SFU_CMD_DELETE_PRODUCER = 10,
	SFU_CMD_PUT_CONSUMER = 11,
	SFU_CMD_DELETE_CONSUMER = 12,
	SFU_CMD_KEY_FRAME = 13, /* handle = consumer: ask its producer for a key frame */
	SFU_CMD_TYPE_COUNT
};

enum sfu_object_kind {
	SFU_KIND_NONE = 0,
	SFU_KIND_ROOM = 1,
	SFU_KIND_PEER = 2,
	SFU_KIND_TRANSPORT = 3,
	SFU_KIND_PRODUCER = 4,
	SFU_KIND_CONSUMER = 5,
};

enum sfu_status {
	SFU_STATUS_OK = 0,
	SFU_STATUS_MALFORMED = 1, /* a field is out of its range */
	SFU_STATUS_NO_OBJECT = 2, /* not an error for DELETE: it is gone, as wished */
	SFU_STATUS_NO_PARENT = 3,
	SFU_STATUS_OCCUPIED = 4, /* the slot holds another generation, not yet deleted */
	SFU_STATUS_STALE = 5, /* version or generation below what is stored */
	SFU_STATUS_FULL = 6, /* a pool is empty; nothing was changed */
	SFU_STATUS_SSRC_USED = 7, /* this SSRC was used before under this transport's keys */
	SFU_STATUS_UNSUPPORTED = 8,
};

enum sfu_media_kind {
	SFU_AUDIO = 1,
	SFU_VIDEO = 2,
};

/** Codecs, as far as the packet path cares. */
enum sfu_codec {
	SFU_CODEC_OTHER = 0,
	SFU_CODEC_OPUS = 1,
	SFU_CODEC_VP8 = 2,
	SFU_CODEC_VP9 = 3,
	SFU_CODEC_H264 = 4,
	SFU_CODEC_AV1 = 5,
	SFU_CODEC_RTX = 6,
};

/** RTP header extensions that the data plane knows (webrtc.md 3). */
enum sfu_rtp_ext {
	SFU_EXT_NONE = 0,
	SFU_EXT_MID = 1,
	SFU_EXT_RID = 2,
	SFU_EXT_REPAIRED_RID = 3,
	SFU_EXT_ABS_SEND_TIME = 4,
	SFU_EXT_TRANSPORT_CC = 5,
	SFU_EXT_AUDIO_LEVEL = 6,
	SFU_EXT_VIDEO_ORIENTATION = 7,
	SFU_EXT_TOFFSET = 8,
	SFU_EXT_ABS_CAPTURE_TIME = 9,
	SFU_EXT_PLAYOUT_DELAY = 10,
	SFU_EXT_DEPENDENCY_DESCRIPTOR = 11,
	SFU_EXT_COUNT
};

/** SRTP protection profiles, IANA numbers (RFC 5764, RFC 7714). */
enum sfu_srtp_profile {
	SFU_SRTP_AES128_CM_SHA1_80 = 0x0001,
	SFU_SRTP_AEAD_AES_128_GCM = 0x0007,
	SFU_SRTP_AEAD_AES_256_GCM = 0x0008,
};

#define SFU_MAX_CODECS 6u
#define SFU_MAX_EXTS 12u
#define SFU_MAX_ENCODINGS 3u
#define SFU_MID_BYTES 15u
#define SFU_RID_BYTES 15u
#define SFU_CNAME_BYTES 31u
#define SFU_UFRAG_BYTES 32u
#define SFU_PWD_BYTES 64u

/** What becomes of a frame that was sealed with the key of an epoch that is over. */
enum sfu_stale_policy {
	SFU_STALE_COUNT = 0, /* counted and forwarded */
	SFU_STALE_DROP = 1, /* dropped, and so is what has no such header at all */
};

/**
 * E2EE gate of a room. Edges are open when required is 0. The epoch is not what opens them (that is in
 * the peers' open_until_us); it is what the headers of encrypted frames are compared with.
 */
struct sfu_put_room {
	uint64_t epoch;
	uint64_t
		older_until_us; /* CLOCK_MONOTONIC: until then frames of an older one are in order */
	uint8_t required; /* 0 or 1 */
	uint8_t stale; /* enum sfu_stale_policy; 0 where required is 0 */
	uint8_t reserved[6];
};

/**
 * A peer's end of every edge it takes part in. An edge passes while both ends are open:
 * now < open_until_us on CLOCK_MONOTONIC, which both processes share.
 */
struct sfu_put_peer {
	uint64_t room;
	uint64_t open_until_us; /* 0 = shut, UINT64_MAX = ready, else the grace deadline */
};

/**
 * A transport. Direction as the client sees it. A PUT of one that is there with other credentials is
 * an ICE restart (RFC 8445, 9): those before stay good until a check signed with the new ones
 * nominates an address; keys, streams and addresses are untouched. Nothing else may change.
 */
struct sfu_put_transport {
	uint64_t peer;
	uint8_t direction; /* 1 = send (client to us), 2 = recv */
	uint8_t ufrag_len; /* 4..32, ours; unique over all transports */
	uint8_t pwd_len; /* 22..64, ours */
	uint8_t reserved[5];
	uint8_t ufrag[SFU_UFRAG_BYTES];
	uint8_t pwd[SFU_PWD_BYTES];
	char label[40]; /* the id on the wire, for inspection only; NUL padded */
};

/** Hop keys of a transport. rx is what the client sends with, tx what we send with. */
struct sfu_put_keys {
	uint16_t profile; /* enum sfu_srtp_profile */
	uint8_t reserved[6];
	uint8_t rx_key[32]; /* first 16 used unless AES-256 */
	uint8_t rx_salt[16]; /* 14 octets for CM, 12 for GCM */
	uint8_t tx_key[32];
	uint8_t tx_salt[16];
};

struct sfu_producer_codec {
	uint8_t payload_type; /* as the client sends it */
	uint8_t mapped_payload_type; /* ours, as consumers get it */
	uint8_t codec; /* enum sfu_codec */
	uint8_t apt; /* SFU_CODEC_RTX: payload type, as the client sends it, that this one repairs */
	uint32_t clock_rate_hz;
};

struct sfu_producer_encoding {
	uint32_t ssrc; /* 0 = learn it by MID or RID */
	uint32_t rtx_ssrc; /* 0 = none or learn it */
	uint8_t rid_len;
	uint8_t rid[SFU_RID_BYTES];
};

struct sfu_ext_id {
	uint8_t id; /* 1..255 on this side */
	uint8_t ext; /* enum sfu_rtp_ext */
};

#define SFU_PRODUCER_PAUSED 0x1u
#define SFU_PRODUCER_E2EE 0x2u /* payload is closed: never branch on its bytes */
#define SFU_PRODUCER_REMB                                                                          \
	0x4u /* wants goog-remb; where its ext has TRANSPORT_CC that goes before */
#define SFU_PRODUCER_NACK 0x8u /* the client answers NACKs */
#define SFU_PRODUCER_FLAGS                                                                         \
	(SFU_PRODUCER_PAUSED | SFU_PRODUCER_E2EE | SFU_PRODUCER_REMB | SFU_PRODUCER_NACK)

/** How a producer's encrypted frames begin (webrtc.md 7), as its device announced it. */
enum sfu_frame_format {
	SFU_FRAME_OPAQUE = 0, /* nothing is known: not looked at */
	SFU_FRAME_RFC9605 = 1, /* SFrame header; the epoch is part of the KID */
	SFU_FRAME_REFERENCE = 2, /* one octet, the epoch modulo 128 */
};

struct sfu_put_producer {
	uint64_t transport; /* of direction send */
	uint32_t flags; /* SFU_PRODUCER_* */
	uint8_t kind; /* enum sfu_media_kind */
	uint8_t codec_count;
	uint8_t encoding_count;
	uint8_t ext_count;
	struct sfu_producer_codec codec[SFU_MAX_CODECS];
	struct sfu_producer_encoding encoding[SFU_MAX_ENCODINGS];
	struct sfu_ext_id ext[SFU_MAX_EXTS]; /* ids as the client sends them */
	uint8_t mid_len;
	uint8_t mid[SFU_MID_BYTES];
	uint8_t cname_len;
	uint8_t cname[SFU_CNAME_BYTES];
	uint8_t frame_format; /* enum sfu_frame_format; 0 without SFU_PRODUCER_E2EE */
	uint8_t kid_epoch_shift; /* of SFU_FRAME_RFC9605: epoch = KID >> shift, of its bits … */
	uint8_t kid_epoch_bits; /* … the lowest so many: 1..64 - shift */
	uint8_t reserved[5];
};

#define SFU_CONSUMER_PAUSED 0x1u

struct sfu_put_consumer {
	uint64_t transport; /* of direction recv */
	uint64_t producer;
	uint32_t flags; /* SFU_CONSUMER_* */
	/*
	 * Never used before under this transport's keys, nor between those of its consumers that are
	 * gone, modulo 2^32: give them out in rising order.
	 */
	uint32_t ssrc;
	uint32_t rtx_ssrc; /* 0 = none */
	uint8_t encoding; /* which encoding of the producer; 255 = the best there is */
	uint8_t payload_type_count;
	uint8_t ext_count;
	uint8_t reserved;
	uint8_t payload_type[SFU_MAX_CODECS]; /* mapped payload types this consumer takes */
	uint8_t mid_len;
	uint8_t reserved2;
	struct sfu_ext_id ext[SFU_MAX_EXTS]; /* ids as this consumer receives them */
	uint8_t mid[SFU_MID_BYTES + 1];
	char label[40]; /* the id on the wire, for inspection only */
	/* that repairs payload_type[i], under rtx_ssrc; 0 = none */
	uint8_t rtx_payload_type[SFU_MAX_CODECS];
	uint8_t reserved3[2];
};

/** One slot of SFU_RING_CMD, 256 octets. */
struct sfu_command {
	uint32_t type; /* enum sfu_command_type */
	uint32_t version;
	uint64_t id; /* echoed in the ACK; sfu-ctl counts up */
	uint64_t handle;
	union {
		struct sfu_put_room room;
		struct sfu_put_peer peer;
		struct sfu_put_transport transport;
		struct sfu_put_keys keys;
		struct sfu_put_producer producer;
		struct sfu_put_consumer consumer;
		uint8_t bytes[232];
	} u;
};

_Static_assert(sizeof(struct sfu_command) == 256, "abi");

static inline uint32_t sfu_handle_index(uint64_t handle)
{
	return (uint32_t)handle;
}

static inline uint32_t sfu_handle_generation(uint64_t handle)
{
	return (uint32_t)(handle >> 32);
}

static inline uint64_t sfu_handle_make(uint32_t index, uint32_t generation)
{
	return (uint64_t)generation << 32 | index;
}
