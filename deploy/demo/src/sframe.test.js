// SPDX-License-Identifier: BSD-3-Clause
import assert from 'node:assert/strict';
import { webcrypto } from 'node:crypto';
import test from 'node:test';

import { FrameKeys } from './frame_keys.js';
import * as reference from './reference_format.js';
import * as sframe from './sframe.js';

globalThis.crypto ??= webcrypto;

const hex = (string) => Uint8Array.from(Buffer.from(string, 'hex'));
const toHex = (bytes) => Buffer.from(bytes).toString('hex');

test('headers are those of RFC 9605, appendix C.1', () => {
	const rows = [
		[0x0n, 0x0n, '00'], [0x0n, 0x1n, '01'], [0x0n, 0xffn, '08ff'],
		[0x0n, 0x100n, '090100'], [0x0n, 0xffffn, '09ffff'], [0x0n, 0x10000n, '0a010000'],
		[0x1n, 0x0n, '10'], [0x1n, 0xffn, '18ff'], [0xffn, 0x0n, '80ff'], [0xffn, 0x1n, '81ff'],
		[0xffn, 0xffn, '88ffff'], [0x100n, 0x0n, '900100'],
		[0x100n, 0x100n, '9901000100'],
		[0xffffffffffffffffn, 0xffffffffffffffffn, 'ffffffffffffffffffffffffffffffffff'],
	];

	for (const [kid, ctr, wire] of rows) {
		assert.equal(toHex(sframe.encodeHeader(kid, ctr)), wire);
		const frame = new Uint8Array(wire.length / 2 + sframe.TAG_BYTES);

		frame.set(hex(wire));
		assert.deepEqual(sframe.parseHeader(frame), { kid, ctr, length: wire.length / 2 });
		assert.equal(sframe.parseHeader(frame.subarray(0, frame.length - 1)), null);
	}
});

test('AES_128_GCM_SHA256_128 is that of RFC 9605, appendix C.3', async () => {
	const metadata = hex('4945544620534672616d65205747');
	const derived = await sframe.deriveKey(hex('000102030405060708090a0b0c0d0e0f'), 0x123n);
	const plaintext = hex('64726166742d696574662d736672616d652d656e63');
	const sealed = await sframe.seal(derived, 0x4567n, metadata, plaintext);

	assert.equal(toHex(derived.salt), '75234edefe07819026751816');
	assert.equal(toHex(sealed),
		'9901234567b7412c2513a1b66dbb48841bbaf17f598751176ad847681a69c6d0b091c07018ce4adb34eb');
	const header = sframe.parseHeader(sealed);

	assert.equal(toHex(await sframe.open(derived, header, metadata, sealed)), toHex(plaintext));
	await assert.rejects(sframe.open(derived, header, metadata.subarray(1), sealed));
});

async function pair(format)
{
	const secret = hex('00112233445566778899aabbccddeeff');
	const alice = new FrameKeys(format);
	const bob = new FrameKeys(format);

	await alice.setSendKey(1, 77, secret);
	await bob.addReceiveKey('alice', 1, 77, secret);
	return { alice, bob };
}

for (const format of ['sframe', 'reference'])
	test(`${format}: each frame opens once, for its own sender only`, async () => {
		const { alice, bob } = await pair(format);
		const stream = FrameKeys.stream();
		const clear = Uint8Array.from({ length: 300 }, (_, i) => i & 0xff);

		for (let i = 0; i < 300; i++) {
			const sealed = await alice.seal(clear, 'video/vp9');
			const { outcome, frame } = await bob.open('alice', stream, sealed, 'video/vp9');

			assert.equal(outcome, 'ok');
			assert.deepEqual(frame, clear);
			assert.equal((await bob.open('alice', stream, sealed, 'video/vp9')).outcome, 'replayed');
			assert.equal((await bob.open('mallory', stream, sealed, 'video/vp9')).outcome, 'noKey');
			sealed[sealed.length - 1] ^= 1;
			assert.equal((await bob.open('alice', FrameKeys.stream(), sealed, 'video/vp9')).outcome,
				'forged');
		}
	});

test('a frame in clear never opens', async () => {
	const { bob } = await pair('sframe');

	for (const clear of [new Uint8Array(0), new Uint8Array(5), new Uint8Array(500).fill(0x82)]) {
		const { outcome, frame } = await bob.open('alice', FrameKeys.stream(), clear, 'video/vp9');

		assert.notEqual(outcome, 'ok');
		assert.equal(frame, undefined);
	}
});

test('without a key nothing is sent', async () => {
	assert.equal(await new FrameKeys('sframe').seal(new Uint8Array(10), 'audio/opus'), null);
});

test('VP8 keeps its payload header readable, and authenticated', async () => {
	const { alice, bob } = await pair('sframe');

	for (const [first, kept] of [[0x10, 10], [0x11, 3]]) {
		const clear = new Uint8Array(100).fill(0xaa);

		clear[0] = first;
		const sealed = await alice.seal(clear, 'video/vp8');

		assert.deepEqual(sealed.subarray(0, kept), clear.subarray(0, kept));
		assert.notDeepEqual(sealed.subarray(kept, kept + 20), clear.subarray(kept, kept + 20));
		assert.deepEqual((await bob.open('alice', FrameKeys.stream(), sealed, 'video/vp8')).frame,
			clear);
		sealed[2] ^= 1;
		assert.equal((await bob.open('alice', FrameKeys.stream(), sealed, 'video/vp8')).outcome,
			'forged');
	}
});

test('old epochs open until they are forgotten', async () => {
	const { alice, bob } = await pair('sframe');
	const old = await alice.seal(new Uint8Array(50), 'audio/opus');
	const secret = hex('ffeeddccbbaa99887766554433221100');

	await alice.setSendKey(2, 77, secret);
	await bob.addReceiveKey('alice', 2, 77, secret);
	const fresh = await alice.seal(new Uint8Array(50), 'audio/opus');
	const stream = FrameKeys.stream();

	assert.equal((await bob.open('alice', stream, fresh, 'audio/opus')).outcome, 'ok');
	assert.equal((await bob.open('alice', stream, old, 'audio/opus')).outcome, 'ok');
	bob.forget('alice', 2);
	assert.equal((await bob.open('alice', FrameKeys.stream(), old, 'audio/opus')).outcome, 'noKey');
	bob.forget('alice');
	assert.equal((await bob.open('alice', FrameKeys.stream(), fresh, 'audio/opus')).outcome, 'noKey');
});

test('the reference format shows the epoch in the first octet', () => {
	assert.equal(toHex(reference.encodeHeader(2n, 0x0102n)), '020000000000000102');
});
