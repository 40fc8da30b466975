// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-ctl/proto/json_scan.h"

#include <stdbool.h>

/* What the grammar allows next. */
enum expect {
	EXPECT_VALUE,
	EXPECT_VALUE_OR_END, /* after '[' */
	EXPECT_KEY_OR_END, /* after '{' */
	EXPECT_KEY,
	EXPECT_COLON,
	EXPECT_COMMA_OR_END,
	EXPECT_NOTHING, /* the outermost value is complete */
};

struct level {
	bool is_object;
	uint16_t first_key; /* index into keys[] */
};

struct scan {
	const uint8_t *at;
	const uint8_t *end;
	const uint8_t *start;
	enum json_scan_status refusal; /* the first one that does not stop the scan */
	size_t refusal_offset;
	uint64_t wanted; /* hash of the member's name that is looked for */
	struct json_scan_span span; /* its value */
	bool looking, found, value_is_wanted;
	uint16_t key_count; /* of all open objects */
	uint8_t depth;
	struct level level[JSON_SCAN_MAX_DEPTH];
	uint64_t keys[JSON_SCAN_MAX_OPEN_MEMBERS];
};

static bool next(struct scan *s, uint8_t *c)
{
	if (s->at == s->end)
		return false;
	*c = *s->at++;
	return true;
}

static bool peek(const struct scan *s, uint8_t *c)
{
	if (s->at == s->end)
		return false;
	*c = *s->at;
	return true;
}

static void refuse(struct scan *s, enum json_scan_status why, const uint8_t *where)
{
	if (s->refusal != JSON_SCAN_OK)
		return;
	s->refusal = why;
	s->refusal_offset = (size_t)(where - s->start);
}

#define FNV_OFFSET_BASIS UINT64_C(0xcbf29ce484222325)

/* FNV-1a over decoded octets. Not keyed: whoever builds a collision only refuses his own text. */
static void hash_octet(uint64_t *hash, uint8_t octet)
{
	*hash = (*hash ^ octet) * UINT64_C(0x100000001b3);
}

static void hash_code_point(uint64_t *hash, uint32_t cp)
{
	if (cp < 0x80) {
		hash_octet(hash, (uint8_t)cp);
	} else if (cp < 0x800) {
		hash_octet(hash, (uint8_t)(0xc0 | cp >> 6));
		hash_octet(hash, (uint8_t)(0x80 | (cp & 0x3f)));
	} else if (cp < 0x10000) {
		hash_octet(hash, (uint8_t)(0xe0 | cp >> 12));
		hash_octet(hash, (uint8_t)(0x80 | (cp >> 6 & 0x3f)));
		hash_octet(hash, (uint8_t)(0x80 | (cp & 0x3f)));
	} else {
		hash_octet(hash, (uint8_t)(0xf0 | cp >> 18));
		hash_octet(hash, (uint8_t)(0x80 | (cp >> 12 & 0x3f)));
		hash_octet(hash, (uint8_t)(0x80 | (cp >> 6 & 0x3f)));
		hash_octet(hash, (uint8_t)(0x80 | (cp & 0x3f)));
	}
}

static bool continuation(struct scan *s, uint8_t low, uint8_t high, uint64_t *hash)
{
	uint8_t c;

	if (!peek(s, &c) || c < low || c > high)
		return false;
	s->at++;
	hash_octet(hash, c);
	return true;
}

/* The rest of a UTF-8 sequence after its first octet: RFC 3629, 4, the table of well-formed ones. */
static bool utf8_tail(struct scan *s, uint8_t first, uint64_t *hash)
{
	hash_octet(hash, first);
	if (first >= 0xc2 && first <= 0xdf)
		return continuation(s, 0x80, 0xbf, hash);
	if (first >= 0xe0 && first <= 0xef) {
		uint8_t low = first == 0xe0 ? 0xa0 : 0x80;
		uint8_t high = first == 0xed ? 0x9f : 0xbf;

		return continuation(s, low, high, hash) && continuation(s, 0x80, 0xbf, hash);
	}
	if (first >= 0xf0 && first <= 0xf4) {
		uint8_t low = first == 0xf0 ? 0x90 : 0x80;
		uint8_t high = first == 0xf4 ? 0x8f : 0xbf;

		return continuation(s, low, high, hash) && continuation(s, 0x80, 0xbf, hash)
		       && continuation(s, 0x80, 0xbf, hash);
	}
	return false;
}

static bool hex4(struct scan *s, uint32_t *value)
{
	uint32_t v = 0;

	for (int i = 0; i < 4; i++) {
		uint8_t c;

		if (!peek(s, &c))
			return false;
		if (c >= '0' && c <= '9')
			v = v << 4 | (uint32_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			v = v << 4 | (uint32_t)(c - 'a' + 10);
		else if (c >= 'A' && c <= 'F')
			v = v << 4 | (uint32_t)(c - 'A' + 10);
		else
			return false;
		s->at++;
	}
	*value = v;
	return true;
}

/* \uXXXX after the u. A low half that does not follow its high half is left for the next turn. */
static bool unicode_escape(struct scan *s, uint64_t *hash)
{
	const uint8_t *where = s->at;
	uint32_t cp;

	if (!hex4(s, &cp))
		return false;
	if (cp == 0)
		refuse(s, JSON_SCAN_NUL, where);
	if (cp >= 0xdc00 && cp <= 0xdfff)
		refuse(s, JSON_SCAN_LONE_SURROGATE, where);
	if (cp >= 0xd800 && cp <= 0xdbff) {
		const uint8_t *after = s->at;
		uint8_t c;
		uint32_t low;

		if (next(s, &c) && c == '\\' && next(s, &c) && c == 'u' && hex4(s, &low)
			&& low >= 0xdc00 && low <= 0xdfff) {
			cp = 0x10000 + ((cp - 0xd800) << 10) + (low - 0xdc00);
		} else {
			refuse(s, JSON_SCAN_LONE_SURROGATE, where);
			s->at = after;
		}
	}
	hash_code_point(hash, cp);
	return true;
}

static bool escape(struct scan *s, uint64_t *hash)
{
	uint8_t c;

	if (!peek(s, &c))
		return false;
	switch (c) {
	case '"':
	case '\\':
	case '/':
		break;
	case 'b':
		c = '\b';
		break;
	case 'f':
		c = '\f';
		break;
	case 'n':
		c = '\n';
		break;
	case 'r':
		c = '\r';
		break;
	case 't':
		c = '\t';
		break;
	case 'u':
		s->at++;
		return unicode_escape(s, hash);
	default:
		return false;
	}
	s->at++;
	hash_octet(hash, c);
	return true;
}

/* A string after its opening quote. */
static bool string(struct scan *s, uint64_t *hash)
{
	uint8_t c;

	*hash = FNV_OFFSET_BASIS;
	while (peek(s, &c)) {
		if (c < 0x20)
			return false;
		s->at++;
		if (c == '"')
			return true;
		if (c == '\\') {
			if (!escape(s, hash))
				return false;
		} else if (c < 0x80) {
			hash_octet(hash, c);
		} else if (!utf8_tail(s, c, hash)) {
			return false;
		}
	}
	return false;
}

static bool digits(struct scan *s)
{
	uint8_t c;
	bool any = false;

	while (peek(s, &c) && c >= '0' && c <= '9') {
		s->at++;
		any = true;
	}
	return any;
}

static bool number(struct scan *s)
{
	uint8_t c;

	if (peek(s, &c) && c == '-')
		s->at++;
	if (!peek(s, &c))
		return false;
	if (c == '0')
		s->at++;
	else if (!digits(s))
		return false;
	if (peek(s, &c) && c == '.') {
		s->at++;
		if (!digits(s))
			return false;
	}
	if (peek(s, &c) && (c == 'e' || c == 'E')) {
		s->at++;
		if (peek(s, &c) && (c == '+' || c == '-'))
			s->at++;
		if (!digits(s))
			return false;
	}
	return true;
}

static bool literal(struct scan *s, const char *word)
{
	uint8_t c;

	for (; *word != '\0'; word++) {
		if (!peek(s, &c) || c != (uint8_t)*word)
			return false;
		s->at++;
	}
	return true;
}

/* A key of the outermost object: is its value the one that is looked for? */
static void look_at_key(struct scan *s, uint64_t hash)
{
	s->value_is_wanted = s->looking && s->depth == 1 && hash == s->wanted;
	if (!s->value_is_wanted)
		return;
	// Named twice: which one the sender means nobody can tell.
	if (s->found)
		s->looking = false;
	s->found = true;
}

static enum json_scan_status add_key(struct scan *s, uint64_t hash, const uint8_t *where)
{
	uint16_t first = s->level[s->depth - 1].first_key;

	for (uint16_t i = first; i < s->key_count; i++) {
		if (s->keys[i] == hash) {
			refuse(s, JSON_SCAN_DUPLICATE_KEY, where);
			return JSON_SCAN_OK;
		}
	}
	if (s->key_count - first >= (int)JSON_SCAN_MAX_MEMBERS
		|| s->key_count >= JSON_SCAN_MAX_OPEN_MEMBERS)
		return JSON_SCAN_TOO_MANY_MEMBERS;
	s->keys[s->key_count++] = hash;
	return JSON_SCAN_OK;
}

static enum expect after_value(const struct scan *s)
{
	return s->depth == 0 ? EXPECT_NOTHING : EXPECT_COMMA_OR_END;
}

static enum json_scan_status open_level(struct scan *s, bool is_object, enum expect *expect)
{
	s->value_is_wanted = false;
	if (s->depth == JSON_SCAN_MAX_DEPTH)
		return JSON_SCAN_TOO_DEEP;
	s->level[s->depth].is_object = is_object;
	s->level[s->depth].first_key = s->key_count;
	s->depth++;
	*expect = is_object ? EXPECT_KEY_OR_END : EXPECT_VALUE_OR_END;
	return JSON_SCAN_OK;
}

static enum json_scan_status close_level(struct scan *s, bool is_object, enum expect *expect)
{
	if (s->depth == 0 || s->level[s->depth - 1].is_object != is_object)
		return JSON_SCAN_NOT_JSON;
	s->depth--;
	s->key_count = s->level[s->depth].first_key;
	*expect = after_value(s);
	return JSON_SCAN_OK;
}

/* A value whose first octet is c, already taken. */
static enum json_scan_status value(struct scan *s, uint8_t c, enum expect *expect)
{
	const uint8_t *first = s->at - 1;
	enum json_scan_status refusal = s->refusal;
	uint64_t unused;
	bool ok;

	switch (c) {
	case '{':
		return open_level(s, true, expect);
	case '[':
		return open_level(s, false, expect);
	case '"':
		ok = string(s, &unused);
		break;
	case 't':
		ok = literal(s, "rue");
		break;
	case 'f':
		ok = literal(s, "alse");
		break;
	case 'n':
		ok = literal(s, "ull");
		break;
	default:
		if (c != '-' && (c < '0' || c > '9'))
			return JSON_SCAN_NOT_JSON;
		s->at--;
		ok = number(s);
		break;
	}
	if (ok && s->value_is_wanted && s->refusal == refusal) {
		s->span.offset = (size_t)(first - s->start);
		s->span.len = (size_t)(s->at - first);
	}
	s->value_is_wanted = false;
	*expect = after_value(s);
	return ok ? JSON_SCAN_OK : JSON_SCAN_NOT_JSON;
}

/* One token that starts with c, already taken. */
static enum json_scan_status token(struct scan *s, uint8_t c, enum expect *expect)
{
	const uint8_t *where = s->at - 1;
	uint64_t hash;

	switch (*expect) {
	case EXPECT_VALUE_OR_END:
		if (c == ']')
			return close_level(s, false, expect);
		return value(s, c, expect);
	case EXPECT_VALUE:
		return value(s, c, expect);
	case EXPECT_KEY_OR_END:
		if (c == '}')
			return close_level(s, true, expect);
		/* fall through */
	case EXPECT_KEY:
		if (c != '"' || !string(s, &hash))
			return JSON_SCAN_NOT_JSON;
		*expect = EXPECT_COLON;
		look_at_key(s, hash);
		return add_key(s, hash, where);
	case EXPECT_COLON:
		*expect = EXPECT_VALUE;
		return c == ':' ? JSON_SCAN_OK : JSON_SCAN_NOT_JSON;
	case EXPECT_COMMA_OR_END:
		if (c == '}' || c == ']')
			return close_level(s, c == '}', expect);
		*expect = s->level[s->depth - 1].is_object ? EXPECT_KEY : EXPECT_VALUE;
		return c == ',' ? JSON_SCAN_OK : JSON_SCAN_NOT_JSON;
	case EXPECT_NOTHING:
		break;
	}
	return JSON_SCAN_NOT_JSON;
}

/* Everything but key hashes, which are 4 KiB that only key_count makes valid. */
static void start(struct scan *s, const void *text, size_t len)
{
	s->at = s->start = text;
	s->end = len > 0 ? s->start + len : s->start; /* nothing is added to a null pointer */
	s->refusal = JSON_SCAN_OK;
	s->refusal_offset = 0;
	s->span = (struct json_scan_span){0, 0};
	s->looking = s->found = s->value_is_wanted = false;
	s->key_count = 0;
	s->depth = 0;
}

/* What stopped the scan, or the first refusal. */
static enum json_scan_status run(struct scan *s, size_t *offset)
{
	enum json_scan_status status = JSON_SCAN_OK;
	enum expect expect = EXPECT_VALUE;
	uint8_t c;

	while (status == JSON_SCAN_OK && next(s, &c)) {
		if (c != ' ' && c != '\t' && c != '\n' && c != '\r')
			status = token(s, c, &expect);
	}
	if (status == JSON_SCAN_OK && expect != EXPECT_NOTHING)
		status = JSON_SCAN_NOT_JSON;
	*offset = (size_t)(s->at - s->start);
	if (status != JSON_SCAN_OK)
		return status;
	if (s->refusal != JSON_SCAN_OK)
		*offset = s->refusal_offset;
	return s->refusal;
}

enum json_scan_status json_scan(const void *text, size_t len, size_t *offset)
{
	struct scan s;
	size_t unused;

	start(&s, text, len);
	return run(&s, offset == NULL ? &unused : offset);
}

enum json_scan_status json_scan_member(
	const void *text, size_t len, const char *name, struct json_scan_span *out)
{
	enum json_scan_status status;
	struct scan s;
	size_t unused;

	start(&s, text, len);
	s.looking = true;
	s.wanted = FNV_OFFSET_BASIS;
	for (; *name != '\0'; name++)
		hash_octet(&s.wanted, (uint8_t)*name);
	status = run(&s, &unused);
	*out = (struct json_scan_span){0, 0};
	if (status != JSON_SCAN_NOT_JSON && s.looking)
		*out = s.span;
	return status;
}

enum json_scan_status json_scan_inner(const void *text, size_t len, unsigned members, size_t *used)
{
	enum json_scan_status status = JSON_SCAN_OK;
	enum expect expect = EXPECT_VALUE;
	bool complete = false;
	struct scan s;
	uint8_t c;

	start(&s, text, len);
	s.level[s.depth++] = (struct level){.is_object = true, .first_key = 0};
	s.key_count
		= (uint16_t)members; // which they are does not matter: they are another object's
	while (status == JSON_SCAN_OK && !complete && next(&s, &c)) {
		if (c != ' ' && c != '\t' && c != '\n' && c != '\r')
			status = token(&s, c, &expect);
		complete = s.depth == 1 && expect == EXPECT_COMMA_OR_END;
	}
	*used = (size_t)(s.at - s.start);
	if (status != JSON_SCAN_OK)
		return status;
	return complete ? s.refusal : JSON_SCAN_NOT_JSON;
}

const char *json_scan_name(enum json_scan_status status)
{
	switch (status) {
	case JSON_SCAN_OK:
		return "ok";
	case JSON_SCAN_NOT_JSON:
		return "not JSON";
	case JSON_SCAN_DUPLICATE_KEY:
		return "duplicate key";
	case JSON_SCAN_NUL:
		return "NUL in a string";
	case JSON_SCAN_LONE_SURROGATE:
		return "lone surrogate";
	case JSON_SCAN_TOO_MANY_MEMBERS:
		return "too many members";
	case JSON_SCAN_TOO_DEEP:
		return "too deep";
	}
	return "unknown";
}
