// SPDX-License-Identifier: BSD-3-Clause
/**
 * Look at a JSON text before a parser allocates for it.
 *
 * json-c, also in strict mode, takes invalid UTF-8, duplicate keys, lone surrogates and NUL; this
 * scanner refuses them. It reads the text once, in constant memory, and builds nothing.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/** Objects and arrays inside each other, the outermost counted. */
#define JSON_SCAN_MAX_DEPTH 16u
/** Members of one object. */
#define JSON_SCAN_MAX_MEMBERS 128u
/** Members of all objects that are open at one place of the text. */
#define JSON_SCAN_MAX_OPEN_MEMBERS 512u

enum json_scan_status {
	JSON_SCAN_OK = 0,
	JSON_SCAN_NOT_JSON, /* RFC 8259 syntax, UTF-8, trailing text: dropped without an answer */
	/* From here on the text is JSON that we refuse: answered "Invalid envelope". */
	JSON_SCAN_DUPLICATE_KEY, /* keys are compared decoded: "a" equals "\u0061" */
	JSON_SCAN_NUL, /* \u0000 in a string */
	JSON_SCAN_LONE_SURROGATE, /* \ud800 without its other half */
	JSON_SCAN_TOO_MANY_MEMBERS,
	JSON_SCAN_TOO_DEEP,
};

/**
 * Check one JSON text (RFC 8259).
 * @param text    any octets; need not end in NUL
 * @param len     octets in text
 * @param offset  where the finding is; len when the text ends too early. May be NULL.
 * @return the first refusal, unless the text is not JSON at all: that is found first, wherever it
 *         is. Only JSON_SCAN_TOO_DEEP and JSON_SCAN_TOO_MANY_MEMBERS end the scan on the spot.
 * Any thread. Keys are compared by 64-bit hash: a collision refuses a good text and never lets a
 * duplicate through.
 */
enum json_scan_status json_scan(const void *text, size_t len, size_t *offset);

/** Where a value lies in the text. */
struct json_scan_span {
	size_t offset;
	size_t len; /* 0 = there is none */
};

/**
 * As json_scan(), and find a member of the outermost object by its name, also in a refused text.
 * @param out  its value as it is written, if that is a string, number, true, false or null. None when
 *             the member comes twice, when its own string is refused, behind the place where the scan
 *             stopped, and when the text is not JSON.
 */
enum json_scan_status json_scan_member(
	const void *text, size_t len, const char *name, struct json_scan_span *out);

/**
 * As json_scan(), for a value that is a member of an object.
 * @param text     begins with the value and may go on behind it
 * @param members  names that the object has had so far, this one counted; they count for
 *                 JSON_SCAN_MAX_OPEN_MEMBERS, the object itself for JSON_SCAN_MAX_DEPTH
 * @param used     octets of the value; valid on JSON_SCAN_OK
 */
enum json_scan_status json_scan_inner(const void *text, size_t len, unsigned members, size_t *used);

/** A short English name of the status. Static storage. */
const char *json_scan_name(enum json_scan_status status);
