// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * @file
 * STUN for an ICE-lite agent (RFC 8489; RFC 8445, 7.3): read and verify connectivity checks, write
 * their answers. Pure functions over the caller's bytes; HMAC-SHA1 comes in as a function. Any
 * lcore.
 *
 * A caller answers nothing that stun_verify() has not accepted. Then the answers below are never
 * larger than 64 octets (IPv4) or 76 (IPv6), against at least 68 of the smallest authentic request.
 */

#define STUN_HEADER_LEN 20
#define STUN_TXID_OFF 8
#define STUN_TXID_LEN 12
/** Room for any answer of this module. */
#define STUN_RESPONSE_MAX 76
/** Longest USERNAME accepted (RFC 8489, 14.3: fewer than 509 octets). */
#define STUN_USERNAME_MAX 508

enum stun_status {
	STUN_OK = 0,
	STUN_NOT_STUN, // try another parser
	STUN_SHORT, // announces more octets than there are
	STUN_MALFORMED, // an attribute contradicts its definition, or octets are left over
	STUN_BAD_FINGERPRINT, // the CRC does not match
	STUN_NO_INTEGRITY, // no MESSAGE-INTEGRITY to check
	STUN_BAD_INTEGRITY, // MESSAGE-INTEGRITY does not match the password
};

enum stun_class {
	STUN_REQUEST = 0,
	STUN_INDICATION = 1,
	STUN_SUCCESS = 2,
	STUN_ERROR = 3,
};

#define STUN_METHOD_BINDING 1

/** Which role the sender claims (RFC 8445, 7.1.3). */
enum stun_role {
	STUN_ROLE_NONE = 0,
	STUN_ROLE_CONTROLLING,
	STUN_ROLE_CONTROLLED,
};

/** Error codes that this module's user answers with. */
enum stun_error {
	STUN_ERROR_BAD_REQUEST = 400,
	STUN_ERROR_UNKNOWN_ATTRIBUTE = 420,
	STUN_ERROR_ROLE_CONFLICT = 487,
};

/** Octets somewhere in the datagram; off 0 means absent. */
struct stun_span {
	uint16_t off; // from the first octet of the datagram
	uint16_t len; // octets, padding not counted
};

/** A transport address. */
struct stun_addr {
	uint8_t ip[16]; // network order; the first 4 octets for IPv4
	uint16_t port; // host order
	uint8_t version; // 4 or 6; 0 = none
};

/** What a message says. Attributes behind MESSAGE-INTEGRITY are not in it. */
struct stun_view {
	uint64_t tie_breaker; // valid if role is not NONE
	uint32_t priority; // valid if has_priority
	uint32_t nomination; // counter of the renomination attribute; valid if has_nomination
	struct stun_span username; // whole USERNAME
	struct stun_span local_ufrag; // before the first ':', the receiver's; absent without ':'
	struct stun_span remote_ufrag; // after it, the sender's
	struct stun_addr mapped; // XOR-MAPPED-ADDRESS of a success response
	uint16_t len; // octets of the message, header included
	uint16_t method; // 12 bits; STUN_METHOD_BINDING is the only one we know
	uint16_t error_code; // 300 .. 699; 0 without ERROR-CODE
	uint16_t integrity_off; // MESSAGE-INTEGRITY attribute; 0 without
	uint16_t fingerprint_off; // FINGERPRINT attribute; 0 without
	uint16_t unknown_required; // how many comprehension-required attributes we do not know
	uint8_t class; // enum stun_class
	uint8_t role; // enum stun_role
	bool has_priority;
	bool has_nomination;
	bool use_candidate;
};

/** Part of a message to be signed. */
struct stun_bytes {
	const uint8_t *ptr;
	size_t len;
};

/** The one cipher that is needed, from outside. */
struct stun_crypto {
	/**
	 * HMAC-SHA1 over the concatenation of parts. May not fail, block or keep the pointers.
	 */
	void (*hmac_sha1)(void *ctx, const uint8_t *key, size_t key_len,
		const struct stun_bytes *parts, size_t part_count, uint8_t out[20]);
	void *ctx; // handed to it; may be NULL
};

/** What stun_encode_request() writes; a test peer's side, not used by the data plane. */
struct stun_request {
	const uint8_t *txid; // STUN_TXID_LEN octets
	const uint8_t *username; // may be NULL if username_len is 0
	size_t username_len; // 0 leaves USERNAME out; at most STUN_USERNAME_MAX
	uint64_t tie_breaker; // with a role
	uint32_t priority; // 0 leaves PRIORITY out
	uint32_t nomination; // with has_nomination
	uint8_t role; // enum stun_role; NONE leaves it out
	bool use_candidate;
	bool has_nomination;
};

/**
 * Read a STUN header and its attributes (RFC 8489, 5 and 14). Of a repeated attribute the first
 * one counts. Neither CRC nor HMAC is checked here: see stun_verify().
 * @param buf  datagram as received; not modified, must outlive the use of *out
 * @param len  octets in buf
 * @param out  filled only on STUN_OK
 * @return STUN_OK, STUN_NOT_STUN (first bits, magic cookie or a length that is not a multiple
 *         of 4), STUN_SHORT, STUN_MALFORMED
 */
enum stun_status stun_parse(const uint8_t *buf, size_t len, struct stun_view *out);

/**
 * Check FINGERPRINT, if there is one, and MESSAGE-INTEGRITY in constant time (RFC 8489, 14.5 and
 * 14.7). Whoever gets anything but STUN_OK drops the datagram without any other effect.
 * @param buf      the datagram that gave view
 * @param view     from stun_parse()
 * @param pwd      short-term password of the side that receives requests
 * @param pwd_len  octets of it
 * @return STUN_OK, STUN_BAD_FINGERPRINT, STUN_NO_INTEGRITY, STUN_BAD_INTEGRITY
 */
enum stun_status stun_verify(const uint8_t *buf, const struct stun_view *view, const uint8_t *pwd,
	size_t pwd_len, const struct stun_crypto *crypto);

/**
 * Write a Binding success response: XOR-MAPPED-ADDRESS, MESSAGE-INTEGRITY, FINGERPRINT.
 * @param out      buffer, must not overlap txid
 * @param cap      octets in out; STUN_RESPONSE_MAX is always enough
 * @param txid     STUN_TXID_LEN octets, the request's (at STUN_TXID_OFF of the datagram)
 * @param mapped   where the request came from
 * @param pwd      the same password that verified the request
 * @return octets written (64 for IPv4, 76 for IPv6); 0 if cap is short or mapped has no version
 */
size_t stun_encode_success(uint8_t *out, size_t cap, const uint8_t *txid,
	const struct stun_addr *mapped, const uint8_t *pwd, size_t pwd_len,
	const struct stun_crypto *crypto);

/**
 * Write a Binding error response: ERROR-CODE without a phrase, MESSAGE-INTEGRITY, FINGERPRINT.
 * There is no UNKNOWN-ATTRIBUTES: nothing of an attacker's choice is echoed.
 * @return octets written (60); 0 if cap is short or code is not in 300 .. 699
 */
size_t stun_encode_error(uint8_t *out, size_t cap, const uint8_t *txid, unsigned code,
	const uint8_t *pwd, size_t pwd_len, const struct stun_crypto *crypto);

/**
 * Write a Binding request as an ICE agent sends it.
 * @return octets written; 0 if cap is short or the username too long
 */
size_t stun_encode_request(uint8_t *out, size_t cap, const struct stun_request *request,
	const uint8_t *pwd, size_t pwd_len, const struct stun_crypto *crypto);

/**
 * CRC-32 of ITU-T V.42 as FINGERPRINT uses it, before the exclusive or with 0x5354554e.
 * @param crc  0 to begin, or the value so far
 */
uint32_t stun_crc32(uint32_t crc, const uint8_t *buf, size_t len);
