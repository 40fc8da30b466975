// SPDX-License-Identifier: BSD-3-Clause
// The frame format of the reference web client: one octet of key id, a counter, AES-128-GCM over
// the whole frame with that header as additional data. The key id is the epoch without its upper
// bits, which is why a VP8 depacketiser takes it for the key-frame bit. Spoken by our page only
// when asked for (?format=reference), to show that the SFU carries it.

import { TAG_BYTES } from './sframe.js';

const COUNTER_BYTES = 8;
const HEADER_BYTES = 1 + COUNTER_BYTES;
const NONCE_BYTES = 12;

/** @return { kid, key }: the low seven bits of the epoch and the AES key */
export async function deriveKey(baseKey, epoch)
{
	const key = await crypto.subtle.importKey('raw', baseKey, 'AES-GCM', false,
		['encrypt', 'decrypt']);

	return { kid: BigInt(epoch & 0x7f), key };
}

export function encodeHeader(kid, ctr)
{
	const header = new Uint8Array(HEADER_BYTES);

	header[0] = Number(kid);
	new DataView(header.buffer).setBigUint64(1, ctr);
	return header;
}

/** @return { kid, ctr, length } or null when the frame cannot hold header and tag */
export function parseHeader(frame)
{
	if (frame.length < HEADER_BYTES + TAG_BYTES || frame[0] & 0x80)
		return null;
	const view = new DataView(frame.buffer, frame.byteOffset, HEADER_BYTES);

	return { kid: BigInt(frame[0]), ctr: view.getBigUint64(1), length: HEADER_BYTES };
}

function nonceOf(ctr)
{
	const nonce = new Uint8Array(NONCE_BYTES);

	new DataView(nonce.buffer).setBigUint64(NONCE_BYTES - COUNTER_BYTES, ctr);
	return nonce;
}

export async function seal(derived, ctr, metadata, plaintext)
{
	const header = encodeHeader(derived.kid, ctr);
	const sealed = await crypto.subtle.encrypt({ name: 'AES-GCM', iv: nonceOf(ctr),
		additionalData: header, tagLength: TAG_BYTES * 8 }, derived.key, plaintext);
	const out = new Uint8Array(HEADER_BYTES + sealed.byteLength);

	out.set(header);
	out.set(new Uint8Array(sealed), HEADER_BYTES);
	return out;
}

export async function open(derived, header, metadata, frame)
{
	const opened = await crypto.subtle.decrypt({ name: 'AES-GCM', iv: nonceOf(header.ctr),
		additionalData: frame.subarray(0, header.length), tagLength: TAG_BYTES * 8 },
	derived.key, frame.subarray(header.length));

	return new Uint8Array(opened);
}
