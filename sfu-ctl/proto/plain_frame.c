// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/proto/plain_frame.h"

#include "sfu-ctl/proto/json_scan.h"

#include <string.h>

/** Such numbers are exact as double. */
#define NUMBER_DIGITS 15u

enum {
	HAS_V = 1,
	HAS_TYPE = 2,
	HAS_MSG_ID = 4,
	HAS_TS = 8,
	HAS_SEQ = 16,
	HAS_PAYLOAD = 32,
	HAS_ENVELOPE = HAS_V | HAS_TYPE | HAS_MSG_ID | HAS_TS | HAS_SEQ,
};

struct reader {
	const char *at, *end;
	unsigned members; /* so far, this one counted */
};

static void skip_space(struct reader *r)
{
	while (r->at < r->end
		&& (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r'))
		r->at++;
}

/* This character is next, with or without space before it. */
static bool take(struct reader *r, char c)
{
	skip_space(r);
	if (r->at == r->end || *r->at != c)
		return false;
	r->at++;
	return true;
}

static bool take_string(struct reader *r, struct plain_piece *out)
{
	// ASCII but controls, quotation mark and backslash.
	static const bool plain[256] = {
		[0x20 ... '"' - 1] = true,
		['"' + 1 ... '\\' - 1] = true,
		['\\' + 1 ... 0x7f] = true,
	};
	const char *at;

	if (!take(r, '"'))
		return false;
	for (at = r->at; at < r->end && plain[(unsigned char)*at]; at++)
		;
	if (at == r->end || *at != '"')
		return false;
	*out = (struct plain_piece){r->at, (size_t)(at - r->at)};
	r->at = at + 1;
	return true;
}

static bool take_number(struct reader *r, double *out)
{
	unsigned long long number = 0;
	const char *first;

	skip_space(r);
	for (first = r->at; r->at < r->end && *r->at >= '0' && *r->at <= '9'; r->at++) {
		if (r->at - first == NUMBER_DIGITS)
			return false;
		number = number * 10 + (unsigned)(*r->at - '0');
	}
	// What follows a fraction's or an exponent's whole part is no comma: seen by the caller.
	if (r->at == first || (*first == '0' && r->at - first > 1))
		return false;
	*out = (double)number;
	return true;
}

static bool take_payload(struct reader *r, struct plain_piece *out)
{
	size_t used = 0;

	skip_space(r);
	if (r->end - r->at >= 2 && r->at[0] == '{' && r->at[1] == '}')
		used = 2;
	else if (r->at == r->end || *r->at != '{'
		 || json_scan_inner(r->at, (size_t)(r->end - r->at), r->members, &used)
			    != JSON_SCAN_OK)
		return false;
	*out = (struct plain_piece){r->at, used};
	r->at += used;
	return true;
}

static bool is(const struct plain_piece *name, const char *wanted, size_t len)
{
	return name->len == len && memcmp(name->at, wanted, len) == 0;
}

#define IS(name, wanted) is(name, wanted, sizeof(wanted) - 1)

/* The value of a member, which is one bit; 0 when it is not plain. */
static unsigned take_value(
	struct reader *r, const struct plain_piece *name, struct plain_frame *out)
{
	if (IS(name, "v"))
		return take_number(r, &out->v) ? HAS_V : 0;
	if (IS(name, "type"))
		return take_string(r, &out->type) ? HAS_TYPE : 0;
	if (IS(name, "msgId"))
		return take_string(r, &out->msg_id) ? HAS_MSG_ID : 0;
	if (IS(name, "ts"))
		return take_number(r, &out->ts) ? HAS_TS : 0;
	if (IS(name, "seq"))
		return take_number(r, &out->seq) ? HAS_SEQ : 0;
	if (IS(name, "payload"))
		return take_payload(r, &out->payload) ? HAS_PAYLOAD : 0;
	return 0;
}

bool plain_frame_read(const char *text, size_t len, struct plain_frame *out)
{
	struct reader r = {.at = text, .end = text + len};
	struct plain_piece name;
	unsigned seen = 0, member;

	out->payload = (struct plain_piece){NULL, 0};
	if (!take(&r, '{'))
		return false;
	do {
		r.members++;
		if (!take_string(&r, &name) || !take(&r, ':'))
			return false;
		member = take_value(&r, &name, out);
		if (member == 0 || (seen & member) != 0)
			return false;
		seen |= member;
	} while (take(&r, ','));
	if (!take(&r, '}'))
		return false;
	skip_space(&r);
	return r.at == r.end && (seen & HAS_ENVELOPE) == HAS_ENVELOPE;
}
