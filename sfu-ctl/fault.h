// SPDX-License-Identifier: BSD-3-Clause
/**
 * Every way to refuse a request: wire code, retryable, message (protocol.md A5, B2). A message may be
 * replaced where it is made at run time: "Unsupported type: <type>", "Invalid <field>".
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define FAULT_LIST(X)                                                                              \
	X(INVALID_ENVELOPE, "VALIDATION_FAILED", false, "Invalid envelope")                        \
	X(INVALID_SEQ, "VALIDATION_FAILED", false, "Missing or invalid seq")                       \
	X(INVALID_FIELD, "VALIDATION_FAILED", false, "Invalid field")                              \
	X(UNSUPPORTED_TYPE, "VALIDATION_FAILED", false, "Unsupported type")                        \
	X(MISSING_ROOM_ID, "VALIDATION_FAILED", false, "Missing roomId")                           \
	X(INVALID_EPOCH, "VALIDATION_FAILED", false, "Missing or invalid epoch")                   \
	X(INVALID_DTLS, "VALIDATION_FAILED", false,                                                \
		"dtlsParameters must be non-empty with fingerprints")                              \
	X(INVALID_RTP_PARAMETERS, "VALIDATION_FAILED", false, "rtpParameters must be non-empty")   \
	X(INVALID_RTP_CAPABILITIES, "VALIDATION_FAILED", false,                                    \
		"rtpCapabilities must be non-empty")                                               \
	X(REPLAY, "REPLAY_DETECTED", false, "Non-monotonic seq rejected")                          \
	X(AUTH_REQUIRED, "UNAUTHENTICATED", true, "AUTH required")                                 \
	X(AUTH_REFUSED, "UNAUTHENTICATED", false, "Invalid accessToken")                           \
	X(AUTH_UNAVAILABLE, "UNAUTHENTICATED", true, "Invalid accessToken")                        \
	X(CAPS_INSERTABLE, "UNSUPPORTED_E2EE", false, "Insertable Streams capability is required") \
	X(CAPS_SFRAME, "UNSUPPORTED_E2EE", false, "SFrame capability is required")                 \
	X(JOIN_INSERTABLE, "UNSUPPORTED_E2EE", false,                                              \
		"E2EE_CAPS with insertableStreams=true required before ROOM_JOIN")                 \
	X(JOIN_SFRAME, "UNSUPPORTED_E2EE", false,                                                  \
		"SFrame capability is required before joining the room")                           \
	X(CAPS_RATCHET, "UNSUPPORTED_E2EE", false, "Double Ratchet capability is required")        \
	X(JOIN_RATCHET, "UNSUPPORTED_E2EE", false,                                                 \
		"Double Ratchet capability is required before joining the room")                   \
	X(JOIN_TOKEN, "UNAUTHORIZED", false, "Invalid or missing joinToken")                       \
	X(JOIN_USER, "UNAUTHORIZED", false, "User not authorized for this call")                   \
	X(NOT_MEMBER, "UNAUTHORIZED", false, "Not a room member")                                  \
	X(DEVICE_IN_USE, "UNAUTHORIZED", false, "deviceId in use")                                 \
	X(EPOCH_MISMATCH, "E2EE_EPOCH_MISMATCH", true, "E2EE readiness epoch mismatch")            \
	X(COMMIT_MISMATCH, "E2EE_EPOCH_MISMATCH", true, "E2EE commit epoch mismatch")              \
	X(NOT_READY, "E2EE_NOT_READY", true, "E2EE readiness required before media operations")    \
	X(UNKNOWN_TRANSPORT, "TRANSPORT_NOT_FOUND", false, "Unknown transport")                    \
	X(UNKNOWN_PRODUCER, "PRODUCER_NOT_FOUND", false, "Unknown producer")                       \
	X(UNKNOWN_CONSUMER, "CONSUMER_NOT_FOUND", false, "Unknown consumer")                       \
	X(ENGINE_NO_TRANSPORT, "INTERNAL_ERROR", true, "TRANSPORT_NOT_FOUND")                      \
	X(ENGINE_NO_RECV_TRANSPORT, "INTERNAL_ERROR", true, "RECV_TRANSPORT_NOT_FOUND")            \
	X(ENGINE_REFUSED, "INTERNAL_ERROR", true, "Media plane refused the request")               \
	X(NO_MEMORY, "INTERNAL_ERROR", true, "Out of memory")                                      \
	X(CONSUME_NOT_ALLOWED, "CONSUME_NOT_ALLOWED", false, "Unsupported RTP capabilities")       \
	X(NODE_UNAVAILABLE, "SFU_NODE_UNAVAILABLE", true, "Media plane not available")             \
	X(NODE_FULL, "SFU_NODE_UNAVAILABLE", true, "Media plane is full")                          \
	X(DRAINING, "SFU_NODE_UNAVAILABLE", true, "Node is draining: no new rooms")                \
	X(OVERLOADED, "SFU_NODE_UNAVAILABLE", true, "Node is overloaded: no new rooms")            \
	X(ROOM_MOVES, "SFU_NODE_UNAVAILABLE", true, "Room is moving to another node")              \
	X(ROOM_FULL, "ROOM_FULL", false, "Max participants exceeded")                              \
	X(TOO_MANY_ROOMS, "RATE_LIMITED", true, "Too many rooms")                                  \
	X(TOO_MANY_OBJECTS, "RATE_LIMITED", true, "Too many media objects")                        \
	X(KEY_FRAME_RATE, "RATE_LIMITED", true, "Too many key frame requests")                     \
	X(KEY_PACKAGE_INVALID, "KEY_PACKAGE_INVALID", false, "ciphertext is too long")             \
	X(KEY_TARGET_NOT_FOUND, "KEY_PACKAGE_TARGET_NOT_FOUND", false,                             \
		"Target is not in the room")                                                       \
	X(KEY_TARGET_OFFLINE, "KEY_PACKAGE_TARGET_OFFLINE", true, "Target is offline")             \
	X(KEY_ACK_INVALID, "KEY_ACK_INVALID", false, "fromDeviceId is not the sender's device")    \
	X(RATE, "RATE_LIMITED", true, "Too many requests")                                         \
	X(KEY_PACKAGE_RATE, "RATE_LIMITED", true, "Too many key packages")                         \
	X(REKEY_RATE, "RATE_LIMITED", true, "Too many rekey operations")                           \
	X(NOT_LEADER, "UNAUTHORIZED", false, "Not the rekey leader")                               \
	X(REKEY_BUSY, "E2EE_KEY_SYNC_FAILED", true, "Another rekey is in progress")                \
	X(NO_QUORUM, "E2EE_KEY_SYNC_FAILED", true, "Not all members have acknowledged")

enum fault {
	FAULT_NONE, /* accepted */
#define X(name, code, retryable, message) FAULT_##name,
	FAULT_LIST(X)
#undef X
		FAULT_COUNT
};

/** Static storage; "" for FAULT_NONE. */
const char *fault_code(enum fault f);
const char *fault_message(enum fault f);
bool fault_retryable(enum fault f);
