// SPDX-License-Identifier: BSD-3-Clause
// SFrame (RFC 9605) with cipher suite AES_128_GCM_SHA256_128. No browser object is touched here
// but SubtleCrypto, so that the same file runs in the worker and under node.

/** RFC 9605, 4.5: AES_128_GCM_SHA256_128. */
export const CIPHER_SUITE = 0x0004;
export const TAG_BYTES = 16;
const KEY_BYTES = 16;
const NONCE_BYTES = 12;

const text = new TextEncoder();

/** Octets of the shortest big-endian form of a non-negative BigInt; at least one. */
function minimalBytes(value)
{
	const out = [];

	do {
		out.unshift(Number(value & 0xffn));
		value >>= 8n;
	} while (value > 0n);
	return out;
}

/**
 * Header of a frame (RFC 9605, 4.3).
 * @param kid BigInt, 0 to 2^64 - 1
 * @param ctr BigInt, 0 to 2^64 - 1
 * @return Uint8Array of 1 to 17 octets
 */
export function encodeHeader(kid, ctr)
{
	const k = kid < 8n ? [] : minimalBytes(kid);
	const c = ctr < 8n ? [] : minimalBytes(ctr);
	const kBits = k.length ? 0x80 | ((k.length - 1) << 4) : Number(kid) << 4;
	const cBits = c.length ? 0x08 | (c.length - 1) : Number(ctr);

	return Uint8Array.from([kBits | cBits, ...k, ...c]);
}

/**
 * Read the header at the start of a frame.
 * @return { kid, ctr, length }, or null when the frame is too short for its own header or for the
 *         tag that must follow it
 */
export function parseHeader(frame)
{
	if (frame.length < 1 + TAG_BYTES)
		return null;
	const config = frame[0];
	let at = 1;
	const field = (bits) => {
		if (!(bits & 0x08))
			return BigInt(bits);
		const length = (bits & 0x07) + 1;
		let value = 0n;

		if (at + length + TAG_BYTES > frame.length)
			return null;
		for (const end = at + length; at < end; at++)
			value = (value << 8n) | BigInt(frame[at]);
		return value;
	};
	const kid = field(config >> 4);
	const ctr = kid === null ? null : field(config & 0x0f);

	return ctr === null ? null : { kid, ctr, length: at };
}

function concat(...parts)
{
	const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
	let at = 0;

	for (const part of parts) {
		out.set(part, at);
		at += part.length;
	}
	return out;
}

/**
 * Key and salt of one KID (RFC 9605, 4.4.2).
 * @param baseKey Uint8Array, as it was handed over by key management
 * @return { kid, key: CryptoKey, salt: Uint8Array(12) }
 */
export async function deriveKey(baseKey, kid)
{
	const tail = new Uint8Array(10);

	new DataView(tail.buffer).setBigUint64(0, kid);
	new DataView(tail.buffer).setUint16(8, CIPHER_SUITE);
	const hkdf = await crypto.subtle.importKey('raw', baseKey, 'HKDF', false, ['deriveBits']);
	const expand = async (label, length) => {
		const info = concat(text.encode(label), tail);
		const bits = await crypto.subtle.deriveBits(
			{ name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(0), info }, hkdf, length * 8);
		return new Uint8Array(bits);
	};
	const raw = await expand('SFrame 1.0 Secret key ', KEY_BYTES);
	const salt = await expand('SFrame 1.0 Secret salt ', NONCE_BYTES);
	const key = await crypto.subtle.importKey('raw', raw, 'AES-GCM', false, ['encrypt', 'decrypt']);

	return { kid, key, salt };
}

/** Salt XOR counter, the counter right aligned (RFC 9605, 4.4.3). */
function nonceOf(salt, ctr)
{
	const nonce = salt.slice();

	for (let i = NONCE_BYTES - 1; ctr > 0n; i--, ctr >>= 8n)
		nonce[i] ^= Number(ctr & 0xffn);
	return nonce;
}

/**
 * Seal one frame.
 * @param derived  what deriveKey() gave; a counter must never be used twice with it
 * @param metadata octets that travel in clear beside the frame and are authenticated with it
 * @return Uint8Array: header, ciphertext, tag
 */
export async function seal(derived, ctr, metadata, plaintext)
{
	const header = encodeHeader(derived.kid, ctr);
	const sealed = await crypto.subtle.encrypt({
		name: 'AES-GCM',
		iv: nonceOf(derived.salt, ctr),
		additionalData: concat(header, metadata),
		tagLength: TAG_BYTES * 8,
	}, derived.key, plaintext);

	return concat(header, new Uint8Array(sealed));
}

/**
 * Open one frame whose header was read by parseHeader().
 * @return Uint8Array, the plaintext; rejects when the frame does not authenticate
 */
export async function open(derived, header, metadata, frame)
{
	const opened = await crypto.subtle.decrypt({
		name: 'AES-GCM',
		iv: nonceOf(derived.salt, header.ctr),
		additionalData: concat(frame.subarray(0, header.length), metadata),
		tagLength: TAG_BYTES * 8,
	}, derived.key, frame.subarray(header.length));

	return new Uint8Array(opened);
}
