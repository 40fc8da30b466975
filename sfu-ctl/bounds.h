// SPDX-License-Identifier: BSD-3-Clause
/** Bounds of the control core that nobody needs to tune (protocol.md C23): far above real use. */
#pragma once

#include <stdint.h>

/** Frames of one connection that wait for an earlier one, and their octets. */
#define LIMIT_QUEUED_FRAMES 128u
#define LIMIT_QUEUED_BYTES (1024u * 1024u)

/** Lost connections that may come back. */
#define LIMIT_PARKED 10000u

/** Media objects of one member. */
#define LIMIT_TRANSPORTS 16u
#define LIMIT_PRODUCERS 64u
#define LIMIT_CONSUMERS 2048u

/** Between two key-frame requests for one consumer. */
#define LIMIT_KEY_FRAME_US UINT64_C(500000)

/** Users in ROOM_CREATE.allowedUserIds. */
#define LIMIT_ALLOWED_USERS 1000u

/** Octets of KEY_PACKAGE.ciphertext (C6). */
#define LIMIT_CIPHERTEXT_BYTES (64u * 1024u)

/** Octets, as written, of a msgId that is repeated from a frame which is not parsed. */
#define LIMIT_ECHOED_ID_BYTES 1024u

/** Octets of an unknown type that are repeated in its refusal. */
#define LIMIT_ECHOED_TYPE_BYTES 128u

/** Fingerprints looked at in one TRANSPORT_CONNECT. */
#define LIMIT_FINGERPRINTS 8u
