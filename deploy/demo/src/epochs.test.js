// SPDX-License-Identifier: BSD-3-Clause
// Several members over a server of twenty lines, which keeps the protocol's promises: one order of
// events for all, results before acknowledgements, the epoch only forward, readiness reset by commits.
import assert from 'node:assert/strict';
import { webcrypto } from 'node:crypto';
import test from 'node:test';

import { Epochs } from './epochs.js';
import { FrameKeys } from './frame_keys.js';
import { KeyPackages } from './key_packages.js';

globalThis.crypto ??= webcrypto;

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

class Room {
	epoch = 0;
	members = [];
	commits = 0;
	isEchoing = true;
	mute = new Set(); // devices whose requests vanish, as if their machine slept

	async handle(from, type, payload)
	{
		await sleep(1); // a server is never in the same turn
		if (this.mute.has(from.device))
			return new Promise(() => {});
		const tell = (to, handler, ...detail) => to.forEach((member) => member.epochs[handler](...detail));
		const others = this.members.filter((member) => member !== from);
		const refuse = (code, expectedEpoch) => {
			throw Object.assign(new Error(code), { code, details: { expectedEpoch } });
		};

		if (!this.members.includes(from))
			refuse('UNAUTHORIZED');
		if (type === 'E2EE_READY') {
			if (payload.epoch !== this.epoch)
				refuse('E2EE_EPOCH_MISMATCH', this.epoch);
			from.serverReady = true;
		} else if (type === 'REKEY_COMMIT') {
			if (payload.epoch < this.epoch)
				refuse('E2EE_EPOCH_MISMATCH', this.epoch + 1);
			if (payload.epoch === this.epoch)
				return;
			this.epoch = payload.epoch;
			this.commits++;
			for (const member of this.members)
				member.serverReady = false;
			tell(this.isEchoing ? this.members : others, 'onCommit', payload.epoch);
		} else if (type === 'KEY_PACKAGE') {
			const target = this.members.find(({ device }) => device === payload.targetDeviceId);

			if (!target)
				refuse('KEY_PACKAGE_TARGET_NOT_FOUND');
			tell([target], 'onKeyPackage', structuredClone(payload));
		} else if (type === 'KEY_ACK') {
			tell(others, 'onKeyAck', payload.fromDeviceId, payload.epoch);
		}
	}

	async join(device, secret = '')
	{
		const member = { device, keys: new FrameKeys('sframe'), troubles: [], names: {} };
		const { keys } = member;
		let turn = Promise.resolve();

		member.drained = () => turn;
		member.packages = await KeyPackages.create('room', device, secret);
		member.epochs = new Epochs({
			self: device,
			packages: member.packages,
			request: (type, payload) => this.handle(member, type, payload),
			worker: ({ op, ...message }) => {
				turn = turn.then(() => (op === 'send-key'
					? keys.setSendKey(message.epoch, message.senderTag, message.secret)
					: op === 'receive-key'
						? keys.addReceiveKey(message.device, message.epoch, message.senderTag, message.secret)
						: keys.forget(message.device, message.beforeEpoch)));
			},
			info: () => ({ name: `name of ${device}` }),
			onChange: (what, detail) => {
				if (what === 'trouble')
					member.troubles.push(detail);
				if (what === 'info')
					member.names[detail.device] = detail.info.name;
			},
		});
		const others = [...this.members];

		this.members.push(member);
		others.forEach(({ epochs }) => epochs.onPeerJoined(device));
		await member.epochs.start(this.epoch, this.members.map((each) => each.device));
		return member;
	}

	leave(member)
	{
		this.members = this.members.filter((other) => other !== member);
		member.epochs.close();
		this.members.forEach(({ epochs }) => epochs.onPeerLeft(member.device));
	}

	/** Wait until all sit in the room's epoch and seal with its key. */
	async settle(ms = 4000)
	{
		const end = Date.now() + ms;
		const isDone = () => this.members.every(({ epochs, serverReady }) => serverReady
			&& epochs.epoch === this.epoch && epochs.sendingEpoch === this.epoch);

		await sleep(400);
		while (!isDone() && Date.now() < end)
			await sleep(20);
		await sleep(350); // nobody may want yet another epoch
		assert.ok(isDone(), `not settled at epoch ${this.epoch}`);
		await Promise.all(this.members.map((member) => member.drained()));
	}

	close()
	{
		this.members.forEach(({ epochs }) => epochs.close());
	}
}

/** Does `to` open what `from` seals at this moment? */
async function opens(from, to)
{
	const sealed = await from.keys.seal(new Uint8Array(40).fill(1), 'audio/opus');

	return (await to.keys.open(from.device, FrameKeys.stream(), sealed, 'audio/opus')).outcome === 'ok';
}

async function allOpenAll(members)
{
	for (const from of members)
		for (const to of members)
			if (from !== to)
				assert.ok(await opens(from, to), `${to.device} cannot open ${from.device}`);
}

for (const isEchoing of [true, false])
	test(`joins one by one, ${isEchoing ? 'with' : 'without'} echo: each has an epoch`, async () => {
		const room = new Room();

		room.isEchoing = isEchoing;
		for (const device of ['a', 'b', 'c']) {
			await room.join(device);
			await room.settle();
			await allOpenAll(room.members);
		}
		assert.equal(room.epoch, 2);
		assert.equal(room.commits, 2);
		assert.deepEqual(room.members.flatMap(({ troubles }) => troubles), []);
		assert.equal(room.members[0].names.c, 'name of c');
		const codes = await Promise.all(room.members.map(({ packages }) => packages.safetyCode()));

		assert.equal(new Set(codes).size, 1);
		room.close();
	});

test('six at once share few epochs', async () => {
	const room = new Room();

	await Promise.all([...'abcdef'].map((device) => room.join(device)));
	await room.settle();
	await allOpenAll(room.members);
	assert.ok(room.commits <= 2, `${room.commits} commits`);
	room.close();
});

test('who leaves cannot read on; who joins cannot read back', async () => {
	const room = new Room();
	const [a, b, c] = [await room.join('a'), await room.join('b'), await room.join('c')];

	await room.settle();
	const early = await a.keys.seal(new Uint8Array(40), 'audio/opus');

	room.leave(c);
	await room.settle();
	await allOpenAll([a, b]);
	assert.ok(!await opens(a, c));
	const d = await room.join('d');

	await room.settle();
	await allOpenAll([a, b, d]);
	assert.notEqual((await d.keys.open('a', FrameKeys.stream(), early, 'audio/opus')).outcome, 'ok');
	room.close();
});

test('the leader leaves: the next one rekeys', async () => {
	const room = new Room();
	const a = await room.join('a');

	await room.join('b');
	await room.join('c');
	await room.settle();
	room.leave(a);
	await room.settle();
	await allOpenAll(room.members);
	room.close();
});

test('a leader that sleeps is taken over', async () => {
	const room = new Room();

	await room.join('a');
	const b = await room.join('b');

	await room.settle();
	room.mute.add('a');
	const c = await room.join('c');

	await sleep(2000 + 300 + 3500); // its turn, the deadlines for what the sleeper never sends
	await Promise.all([b.drained(), c.drained()]);
	assert.ok(await opens(b, c) && await opens(c, b));
	room.close();
});

test('two commit the same epoch at once: one rekey', async () => {
	const room = new Room();
	const [a, b] = [await room.join('a'), await room.join('b')];

	await room.settle();
	const { epoch } = room;

	await Promise.all([a.epochs.rekey(), b.epochs.rekey()]);
	await room.settle();
	assert.equal(room.epoch, epoch + 1);
	await allOpenAll(room.members);
	room.close();
});

test('somebody without the secret of the link is left out', async () => {
	const room = new Room();
	const [a, b] = [await room.join('a', 'secret'), await room.join('b', 'secret')];
	const eve = await room.join('eve', 'guess');

	await room.settle(6000);
	await allOpenAll([a, b]);
	assert.ok(!await opens(a, eve) && !await opens(eve, a));
	room.close();
});

test('keys of a device cannot be replaced by another under its name', async () => {
	const room = new Room();
	const [a] = [await room.join('a'), await room.join('b')];

	await room.settle();
	const forger = await KeyPackages.create('room', 'b', '');

	a.epochs.onKeyPackage(await forger.discovery('a', room.epoch));
	await sleep(50);
	assert.match(String(a.troubles[0]), /changed its keys/);
	room.close();
});

test('epochs never go back', async () => {
	const room = new Room();
	const a = await room.join('a');

	for (const [told, expected] of [[5, 5], [4, 5], [5, 5], [1e300, 5], [NaN, 5], ['9', 5], [6, 6]]) {
		a.epochs.onCommit(told);
		assert.equal(a.epochs.epoch, expected);
	}
	room.close();
});
