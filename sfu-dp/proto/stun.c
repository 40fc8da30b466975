// SPDX-License-Identifier: BSD-3-Clause
#include "sfu-dp/proto/stun.h"

#include "sfu-dp/proto/cursor.h"

#define STUN_COOKIE 0x2112a442u
#define STUN_FINGERPRINT_XOR 0x5354554eu
#define STUN_INTEGRITY_LEN 20
#define STUN_ATTR_HEADER_LEN 4

enum stun_attr {
	ATTR_MAPPED_ADDRESS = 0x0001,
	ATTR_USERNAME = 0x0006,
	ATTR_MESSAGE_INTEGRITY = 0x0008,
	ATTR_ERROR_CODE = 0x0009,
	ATTR_UNKNOWN_ATTRIBUTES = 0x000a,
	ATTR_REALM = 0x0014,
	ATTR_NONCE = 0x0015,
	ATTR_MESSAGE_INTEGRITY_SHA256 = 0x001c,
	ATTR_PASSWORD_ALGORITHM = 0x001d,
	ATTR_USERHASH = 0x001e,
	ATTR_XOR_MAPPED_ADDRESS = 0x0020,
	ATTR_PRIORITY = 0x0024,
	ATTR_USE_CANDIDATE = 0x0025,
	ATTR_FINGERPRINT = 0x8028,
	ATTR_ICE_CONTROLLED = 0x8029,
	ATTR_ICE_CONTROLLING = 0x802a,
	ATTR_NOMINATION = 0xc001,
};

// Reflected polynomial 0xedb88320, one entry per octet.
static const uint32_t crc_table[256] = {
	0x00000000,
	0x77073096,
	0xee0e612c,
	0x990951ba,
	0x076dc419,
	0x706af48f,
	0xe963a535,
	0x9e6495a3,
	0x0edb8832,
	0x79dcb8a4,
	0xe0d5e91e,
	0x97d2d988,
	0x09b64c2b,
	0x7eb17cbd,
	0xe7b82d07,
	0x90bf1d91,
	0x1db71064,
	0x6ab020f2,
	0xf3b97148,
	0x84be41de,
	0x1adad47d,
	0x6ddde4eb,
	0xf4d4b551,
	0x83d385c7,
	0x136c9856,
	0x646ba8c0,
	0xfd62f97a,
	0x8a65c9ec,
	0x14015c4f,
	0x63066cd9,
	0xfa0f3d63,
	0x8d080df5,
	0x3b6e20c8,
	0x4c69105e,
	0xd56041e4,
	0xa2677172,
	0x3c03e4d1,
	0x4b04d447,
	0xd20d85fd,
	0xa50ab56b,
	0x35b5a8fa,
	0x42b2986c,
	0xdbbbc9d6,
	0xacbcf940,
	0x32d86ce3,
	0x45df5c75,
	0xdcd60dcf,
	0xabd13d59,
	0x26d930ac,
	0x51de003a,
	0xc8d75180,
	0xbfd06116,
	0x21b4f4b5,
	0x56b3c423,
	0xcfba9599,
	0xb8bda50f,
	0x2802b89e,
	0x5f058808,
	0xc60cd9b2,
	0xb10be924,
	0x2f6f7c87,
	0x58684c11,
	0xc1611dab,
	0xb6662d3d,
	0x76dc4190,
	0x01db7106,
	0x98d220bc,
	0xefd5102a,
	0x71b18589,
	0x06b6b51f,
	0x9fbfe4a5,
	0xe8b8d433,
	0x7807c9a2,
	0x0f00f934,
	0x9609a88e,
	0xe10e9818,
	0x7f6a0dbb,
	0x086d3d2d,
	0x91646c97,
	0xe6635c01,
	0x6b6b51f4,
	0x1c6c6162,
	0x856530d8,
	0xf262004e,
	0x6c0695ed,
	0x1b01a57b,
	0x8208f4c1,
	0xf50fc457,
	0x65b0d9c6,
	0x12b7e950,
	0x8bbeb8ea,
	0xfcb9887c,
	0x62dd1ddf,
	0x15da2d49,
	0x8cd37cf3,
	0xfbd44c65,
	0x4db26158,
	0x3ab551ce,
	0xa3bc0074,
	0xd4bb30e2,
	0x4adfa541,
	0x3dd895d7,
	0xa4d1c46d,
	0xd3d6f4fb,
	0x4369e96a,
	0x346ed9fc,
	0xad678846,
	0xda60b8d0,
	0x44042d73,
	0x33031de5,
	0xaa0a4c5f,
	0xdd0d7cc9,
	0x5005713c,
	0x270241aa,
	0xbe0b1010,
	0xc90c2086,
	0x5768b525,
	0x206f85b3,
	0xb966d409,
	0xce61e49f,
	0x5edef90e,
	0x29d9c998,
	0xb0d09822,
	0xc7d7a8b4,
	0x59b33d17,
	0x2eb40d81,
	0xb7bd5c3b,
	0xc0ba6cad,
	0xedb88320,
	0x9abfb3b6,
	0x03b6e20c,
	0x74b1d29a,
	0xead54739,
	0x9dd277af,
	0x04db2615,
	0x73dc1683,
	0xe3630b12,
	0x94643b84,
	0x0d6d6a3e,
	0x7a6a5aa8,
	0xe40ecf0b,
	0x9309ff9d,
	0x0a00ae27,
	0x7d079eb1,
	0xf00f9344,
	0x8708a3d2,
	0x1e01f268,
	0x6906c2fe,
	0xf762575d,
	0x806567cb,
	0x196c3671,
	0x6e6b06e7,
	0xfed41b76,
	0x89d32be0,
	0x10da7a5a,
	0x67dd4acc,
	0xf9b9df6f,
	0x8ebeeff9,
	0x17b7be43,
	0x60b08ed5,
	0xd6d6a3e8,
	0xa1d1937e,
	0x38d8c2c4,
	0x4fdff252,
	0xd1bb67f1,
	0xa6bc5767,
	0x3fb506dd,
	0x48b2364b,
	0xd80d2bda,
	0xaf0a1b4c,
	0x36034af6,
	0x41047a60,
	0xdf60efc3,
	0xa867df55,
	0x316e8eef,
	0x4669be79,
	0xcb61b38c,
	0xbc66831a,
	0x256fd2a0,
	0x5268e236,
	0xcc0c7795,
	0xbb0b4703,
	0x220216b9,
	0x5505262f,
	0xc5ba3bbe,
	0xb2bd0b28,
	0x2bb45a92,
	0x5cb36a04,
	0xc2d7ffa7,
	0xb5d0cf31,
	0x2cd99e8b,
	0x5bdeae1d,
	0x9b64c2b0,
	0xec63f226,
	0x756aa39c,
	0x026d930a,
	0x9c0906a9,
	0xeb0e363f,
	0x72076785,
	0x05005713,
	0x95bf4a82,
	0xe2b87a14,
	0x7bb12bae,
	0x0cb61b38,
	0x92d28e9b,
	0xe5d5be0d,
	0x7cdcefb7,
	0x0bdbdf21,
	0x86d3d2d4,
	0xf1d4e242,
	0x68ddb3f8,
	0x1fda836e,
	0x81be16cd,
	0xf6b9265b,
	0x6fb077e1,
	0x18b74777,
	0x88085ae6,
	0xff0f6a70,
	0x66063bca,
	0x11010b5c,
	0x8f659eff,
	0xf862ae69,
	0x616bffd3,
	0x166ccf45,
	0xa00ae278,
	0xd70dd2ee,
	0x4e048354,
	0x3903b3c2,
	0xa7672661,
	0xd06016f7,
	0x4969474d,
	0x3e6e77db,
	0xaed16a4a,
	0xd9d65adc,
	0x40df0b66,
	0x37d83bf0,
	0xa9bcae53,
	0xdebb9ec5,
	0x47b2cf7f,
	0x30b5ffe9,
	0xbdbdf21c,
	0xcabac28a,
	0x53b39330,
	0x24b4a3a6,
	0xbad03605,
	0xcdd70693,
	0x54de5729,
	0x23d967bf,
	0xb3667a2e,
	0xc4614ab8,
	0x5d681b02,
	0x2a6f2b94,
	0xb40bbe37,
	0xc30c8ea1,
	0x5a05df1b,
	0x2d02ef8d,
};

uint32_t stun_crc32(uint32_t crc, const uint8_t *buf, size_t len)
{
	struct rcursor c = rcursor_init(buf, len);

	crc = ~crc;
	while (rcursor_left(&c))
		crc = crc >> 8 ^ crc_table[(crc ^ rcursor_u8(&c)) & 0xff];
	return ~crc;
}

// No branch and no early exit on secret octets. The barrier keeps the compiler from turning the
// loop into a comparison that stops at the first difference.
static bool equal_constant_time(const uint8_t *a, const uint8_t *b, size_t len)
{
	uint8_t diff = 0;

	for (size_t i = 0; i < len; i++) {
		diff |= a[i] ^ b[i];
		__asm__ volatile("" : "+r"(diff));
	}
	return diff == 0;
}

static void split_username(const uint8_t *value, struct stun_view *v)
{
	const uint8_t *colon = memchr(value, ':', v->username.len);
	uint16_t before;

	if (!colon)
		return;
	before = (uint16_t)(colon - value);
	v->local_ufrag.off = v->username.off;
	v->local_ufrag.len = before;
	v->remote_ufrag.off = (uint16_t)(v->username.off + before + 1);
	v->remote_ufrag.len = (uint16_t)(v->username.len - before - 1);
}

static bool read_username(struct rcursor value, uint16_t off, struct stun_view *v)
{
	size_t len = rcursor_left(&value);

	if (len > STUN_USERNAME_MAX)
		return false;
	if (v->username.off)
		return true;
	v->username.off = off;
	v->username.len = (uint16_t)len;
	split_username(rcursor_take(&value, len), v);
	return true;
}

static bool read_xor_address(struct rcursor value, const uint8_t *txid, struct stun_view *v)
{
	struct stun_addr a = {0};
	struct rcursor mask = rcursor_init(txid, STUN_TXID_LEN);
	uint8_t family;
	uint32_t word;

	rcursor_u8(&value);
	family = rcursor_u8(&value);
	a.port = (uint16_t)(rcursor_be16(&value) ^ (STUN_COOKIE >> 16));
	if (!(family == 1 && rcursor_left(&value) == 4)
		&& !(family == 2 && rcursor_left(&value) == 16))
		return false;
	a.version = family == 1 ? 4 : 6;
	struct wcursor ip = wcursor_init(a.ip, sizeof(a.ip));
	word = STUN_COOKIE;
	while (rcursor_left(&value)) {
		wcursor_be32(&ip, rcursor_be32(&value) ^ word);
		word = rcursor_be32(&mask);
	}
	if (!v->mapped.version)
		v->mapped = a;
	return true;
}

static bool read_error_code(struct rcursor value, struct stun_view *v)
{
	uint32_t word = rcursor_be32(&value);
	unsigned class = word >> 8 & 7, number = word & 0xff;

	if (!rcursor_ok(&value) || class < 3 || class > 6 || number > 99)
		return false;
	if (!v->error_code)
		v->error_code = (uint16_t)(class * 100 + number);
	return true;
}

static bool read_role(struct rcursor value, enum stun_role role, struct stun_view *v)
{
	if (rcursor_left(&value) != 8)
		return false;
	if (v->role == STUN_ROLE_NONE) {
		v->role = (uint8_t)role;
		v->tie_breaker = rcursor_be64(&value);
	}
	return true;
}

static bool read_u32(struct rcursor value, bool *has, uint32_t *out)
{
	if (rcursor_left(&value) != 4)
		return false;
	if (!*has)
		*out = rcursor_be32(&value);
	*has = true;
	return true;
}

// One attribute in front of MESSAGE-INTEGRITY; false if it contradicts its definition.
static bool read_attribute(
	const uint8_t *txid, uint16_t type, struct rcursor value, uint16_t off, struct stun_view *v)
{
	switch (type) {
	case ATTR_USERNAME:
		return read_username(value, off, v);
	case ATTR_PRIORITY:
		return read_u32(value, &v->has_priority, &v->priority);
	case ATTR_ICE_CONTROLLING:
		return read_role(value, STUN_ROLE_CONTROLLING, v);
	case ATTR_ICE_CONTROLLED:
		return read_role(value, STUN_ROLE_CONTROLLED, v);
	case ATTR_USE_CANDIDATE:
		v->use_candidate = true;
		return rcursor_left(&value) == 0;
	case ATTR_NOMINATION:
		return read_u32(value, &v->has_nomination, &v->nomination);
	case ATTR_MESSAGE_INTEGRITY:
		v->integrity_off = (uint16_t)(off - STUN_ATTR_HEADER_LEN);
		return rcursor_left(&value) == STUN_INTEGRITY_LEN;
	case ATTR_XOR_MAPPED_ADDRESS:
		return read_xor_address(value, txid, v);
	case ATTR_ERROR_CODE:
		return read_error_code(value, v);
	case ATTR_MAPPED_ADDRESS:
	case ATTR_UNKNOWN_ATTRIBUTES:
	case ATTR_REALM:
	case ATTR_NONCE:
	case ATTR_MESSAGE_INTEGRITY_SHA256:
	case ATTR_PASSWORD_ALGORITHM:
	case ATTR_USERHASH:
		return true; // known, and nothing in them for us
	default:
		if (type < 0x8000)
			v->unknown_required++;
		return true;
	}
}

static enum stun_status read_attributes(struct rcursor *c, const uint8_t *txid, struct stun_view *v)
{
	while (rcursor_left(c)) {
		uint16_t start = (uint16_t)rcursor_offset(c);
		uint16_t type = rcursor_be16(c);
		uint16_t len = rcursor_be16(c);
		const uint8_t *value = rcursor_take(c, len);

		if (!value || !rcursor_skip(c, (4 - len % 4) % 4))
			return STUN_MALFORMED;
		if (type == ATTR_FINGERPRINT) {
			// RFC 8489, 14.7: it must be the last attribute.
			if (len != 4 || rcursor_left(c))
				return STUN_MALFORMED;
			v->fingerprint_off = start;
		} else if (!v->integrity_off) {
			// RFC 8489, 14.5: what follows the signature is not signed and is ignored.
			if (!read_attribute(txid, type, rcursor_init(value, len),
				    (uint16_t)(start + STUN_ATTR_HEADER_LEN), v))
				return STUN_MALFORMED;
		}
	}
	return STUN_OK;
}

enum stun_status stun_parse(const uint8_t *buf, size_t len, struct stun_view *out)
{
	struct rcursor c = rcursor_init(buf, len);
	uint16_t type = rcursor_be16(&c);
	uint16_t length = rcursor_be16(&c);
	uint32_t cookie = rcursor_be32(&c);
	const uint8_t *txid = rcursor_take(&c, STUN_TXID_LEN);
	struct stun_view v = {0};
	enum stun_status status;

	if (!txid)
		return STUN_SHORT;
	if (type >> 14 || cookie != STUN_COOKIE || length % 4)
		return STUN_NOT_STUN;
	if (rcursor_left(&c) < length)
		return STUN_SHORT;
	// Offsets in the view have 16 bits; no honest datagram comes near.
	if (rcursor_left(&c) > length || length > UINT16_MAX - STUN_HEADER_LEN)
		return STUN_MALFORMED;
	// RFC 8489, 5: class bits 4 and 8 lie between the bits of the method.
	v.class = (uint8_t)((type >> 7 & 2) | (type >> 4 & 1));
	v.method = (uint16_t)((type >> 2 & 0xf80) | (type >> 1 & 0x70) | (type & 0xf));
	v.len = (uint16_t)(STUN_HEADER_LEN + length);
	status = read_attributes(&c, txid, &v);
	if (status == STUN_OK)
		*out = v;
	return status;
}

// HMAC over the message up to MESSAGE-INTEGRITY, with the length field as if the message ended
// behind it (RFC 8489, 14.5).
static void sign(const uint8_t *buf, size_t integrity_off, const uint8_t *pwd, size_t pwd_len,
	const struct stun_crypto *crypto, uint8_t out[STUN_INTEGRITY_LEN])
{
	uint8_t length[2];
	struct wcursor w = wcursor_init(length, sizeof(length));
	struct rcursor c = rcursor_init(buf, integrity_off);
	struct stun_bytes parts[3];

	wcursor_be16(&w, (uint16_t)(integrity_off + STUN_ATTR_HEADER_LEN + STUN_INTEGRITY_LEN
				    - STUN_HEADER_LEN));
	parts[0] = (struct stun_bytes){rcursor_take(&c, 2), 2};
	rcursor_skip(&c, 2);
	parts[1] = (struct stun_bytes){length, sizeof(length)};
	parts[2].len = rcursor_left(&c);
	parts[2].ptr = rcursor_take(&c, parts[2].len);
	crypto->hmac_sha1(crypto->ctx, pwd, pwd_len, parts, 3, out);
}

enum stun_status stun_verify(const uint8_t *buf, const struct stun_view *view, const uint8_t *pwd,
	size_t pwd_len, const struct stun_crypto *crypto)
{
	struct rcursor c = rcursor_init(buf, view->len);
	uint8_t expected[STUN_INTEGRITY_LEN];
	const uint8_t *received;

	// The CRC first: it is public and spares the HMAC for noise.
	if (view->fingerprint_off) {
		rcursor_skip(&c, view->fingerprint_off + STUN_ATTR_HEADER_LEN);
		if ((rcursor_be32(&c) ^ STUN_FINGERPRINT_XOR)
			!= stun_crc32(0, buf, view->fingerprint_off))
			return STUN_BAD_FINGERPRINT;
	}
	if (!view->integrity_off)
		return STUN_NO_INTEGRITY;
	c = rcursor_init(buf, view->len);
	rcursor_skip(&c, view->integrity_off + STUN_ATTR_HEADER_LEN);
	received = rcursor_take(&c, STUN_INTEGRITY_LEN);
	if (!received)
		return STUN_NO_INTEGRITY;
	sign(buf, view->integrity_off, pwd, pwd_len, crypto, expected);
	return equal_constant_time(received, expected, sizeof(expected)) ? STUN_OK
									 : STUN_BAD_INTEGRITY;
}

static void put_header(struct wcursor *c, enum stun_class class, const uint8_t *txid)
{
	wcursor_be16(c, (uint16_t)(STUN_METHOD_BINDING | (class & 2) << 7 | (class & 1) << 4));
	wcursor_be16(c, 0); // set by put_length()
	wcursor_be32(c, STUN_COOKIE);
	wcursor_bytes(c, txid, STUN_TXID_LEN);
}

static void put_attribute(struct wcursor *c, enum stun_attr type, const uint8_t *value, size_t len)
{
	wcursor_be16(c, (uint16_t)type);
	wcursor_be16(c, (uint16_t)len);
	wcursor_bytes(c, value, len);
	wcursor_zero(c, (4 - len % 4) % 4);
}

// The message ends here as far as the header says.
static void put_length(struct wcursor *c, size_t message_len)
{
	struct wcursor w = wcursor_init(c->base, STUN_HEADER_LEN);

	wcursor_reserve(&w, 2);
	wcursor_be16(&w, (uint16_t)(message_len - STUN_HEADER_LEN));
}

// MESSAGE-INTEGRITY, FINGERPRINT and the length; returns the octets of the message or 0.
static size_t finish(
	struct wcursor *c, const uint8_t *pwd, size_t pwd_len, const struct stun_crypto *crypto)
{
	uint8_t mac[STUN_INTEGRITY_LEN];
	size_t integrity_off = wcursor_len(c), fingerprint_off;

	if (!wcursor_ok(c) || wcursor_left(c) < 2 * STUN_ATTR_HEADER_LEN + STUN_INTEGRITY_LEN + 4)
		return 0;
	sign(c->base, integrity_off, pwd, pwd_len, crypto, mac);
	put_attribute(c, ATTR_MESSAGE_INTEGRITY, mac, sizeof(mac));
	fingerprint_off = wcursor_len(c);
	put_length(c, fingerprint_off + STUN_ATTR_HEADER_LEN + 4);
	wcursor_be16(c, ATTR_FINGERPRINT);
	wcursor_be16(c, 4);
	wcursor_be32(c, stun_crc32(0, c->base, fingerprint_off) ^ STUN_FINGERPRINT_XOR);
	return wcursor_len(c);
}

size_t stun_encode_success(uint8_t *out, size_t cap, const uint8_t *txid,
	const struct stun_addr *mapped, const uint8_t *pwd, size_t pwd_len,
	const struct stun_crypto *crypto)
{
	struct wcursor c = wcursor_init(out, cap);
	struct rcursor ip = rcursor_init(mapped->ip, mapped->version == 4 ? 4 : 16);
	struct rcursor mask = rcursor_init(txid, STUN_TXID_LEN);
	uint32_t word = STUN_COOKIE;

	if (mapped->version != 4 && mapped->version != 6)
		return 0;
	put_header(&c, STUN_SUCCESS, txid);
	wcursor_be16(&c, ATTR_XOR_MAPPED_ADDRESS);
	wcursor_be16(&c, mapped->version == 4 ? 8 : 20);
	wcursor_be16(&c, mapped->version == 4 ? 1 : 2);
	wcursor_be16(&c, (uint16_t)(mapped->port ^ (STUN_COOKIE >> 16)));
	while (rcursor_left(&ip)) {
		wcursor_be32(&c, rcursor_be32(&ip) ^ word);
		word = rcursor_be32(&mask);
	}
	return finish(&c, pwd, pwd_len, crypto);
}

size_t stun_encode_error(uint8_t *out, size_t cap, const uint8_t *txid, unsigned code,
	const uint8_t *pwd, size_t pwd_len, const struct stun_crypto *crypto)
{
	struct wcursor c = wcursor_init(out, cap);

	if (code < 300 || code > 699)
		return 0;
	put_header(&c, STUN_ERROR, txid);
	wcursor_be16(&c, ATTR_ERROR_CODE);
	wcursor_be16(&c, 4);
	wcursor_be16(&c, 0);
	wcursor_u8(&c, (uint8_t)(code / 100));
	wcursor_u8(&c, (uint8_t)(code % 100));
	return finish(&c, pwd, pwd_len, crypto);
}

static void put_u32(struct wcursor *c, enum stun_attr type, uint32_t value)
{
	wcursor_be16(c, (uint16_t)type);
	wcursor_be16(c, 4);
	wcursor_be32(c, value);
}

size_t stun_encode_request(uint8_t *out, size_t cap, const struct stun_request *r,
	const uint8_t *pwd, size_t pwd_len, const struct stun_crypto *crypto)
{
	struct wcursor c = wcursor_init(out, cap);

	if (r->username_len > STUN_USERNAME_MAX)
		return 0;
	put_header(&c, STUN_REQUEST, r->txid);
	if (r->username_len)
		put_attribute(&c, ATTR_USERNAME, r->username, r->username_len);
	if (r->role != STUN_ROLE_NONE) {
		wcursor_be16(&c, r->role == STUN_ROLE_CONTROLLING ? ATTR_ICE_CONTROLLING
								  : ATTR_ICE_CONTROLLED);
		wcursor_be16(&c, 8);
		wcursor_be64(&c, r->tie_breaker);
	}
	if (r->use_candidate)
		put_attribute(&c, ATTR_USE_CANDIDATE, NULL, 0);
	if (r->has_nomination)
		put_u32(&c, ATTR_NOMINATION, r->nomination);
	if (r->priority)
		put_u32(&c, ATTR_PRIORITY, r->priority);
	return finish(&c, pwd, pwd_len, crypto);
}
