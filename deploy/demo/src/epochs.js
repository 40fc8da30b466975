// SPDX-License-Identifier: BSD-3-Clause
// Key epochs of a room: who commits the next one and when, who has handed its sender key to whom,
// when the new key may be used for sending. Every change of membership gets an epoch of its own:
// who left cannot read on, who joins cannot read back.
//
// One commit, as each member sees it:
//   REKEY_COMMIT(n)  new sender key; wrapped for every member that we know
//   KEY_PACKAGE...   the others' keys come in
//   all there        E2EE_READY(n) to the server, KEY_ACK(n) to the others
//   all KEY_ACKs     the new key seals from here on
// Each wait has a deadline, so a silent member delays the others and stops nobody.

/** The first change after a while is answered at once; those that come in a row share one rekey. */
const AT_ONCE_MS = 20;
const DEBOUNCE_MS = 300;
const CALM_MS = 1000;
/** The next in the order of joining takes over when the leader does nothing. */
const TAKEOVER_MS = 2000;
const READY_DEADLINE_MS = 1500;
const SWITCH_DEADLINE_MS = 1200;
/** Frames under an old key that are still on their way; the SFU's own grace is the same. */
const OLD_KEY_MS = 20000;

const SECRET_BYTES = 16;
/** 48 bits of the KID are the epoch. */
const EPOCH_LIMIT = 2 ** 47;

export class Epochs {
	epoch = 0;
	sendingEpoch = -1;
	#self;
	#packages;
	#request; // (type, payload) -> promise, the signalling connection
	#worker; // message -> void, to the frame worker
	#onChange;
	#info = () => ({});
	#order = []; // device ids in the order of joining, ours included
	#keysAt = new Map(); // device -> newest epoch whose key we hold of it
	#ackedAt = new Map(); // device -> newest epoch of which it holds all keys
	#entitled = new Set(); // devices that get our key of the current epoch
	#secret = null;
	#senderTag = crypto.getRandomValues(new Uint16Array(1))[0];
	#auto;
	#committedAt = -CALM_MS;
	#hasNewcomer = false;
	#rekeyTimer = null;
	#readyTimer = null;
	#switchTimer = null;
	#forgetTimers = new Set();
	#isReady = false;
	#readyWaiters = [];
	#turn = Promise.resolve();
	#closed = false;

	/**
	 * @param self     our device id
	 * @param packages KeyPackages of this session
	 * @param request  function (type, payload) -> promise
	 * @param worker   function (message), to the frame worker
	 * @param info     function () -> object that travels inside our key packages
	 * @param onChange function (what, detail): 'epoch', 'ready', 'sending', 'info', 'trouble'
	 * @param auto     false: rekey only when rekey() is called
	 */
	constructor({ self, packages, request, worker, info, onChange, auto = true })
	{
		this.#self = self;
		this.#packages = packages;
		this.#request = request;
		this.#worker = worker;
		this.#info = info;
		this.#onChange = onChange;
		this.#auto = auto;
	}

	get isReady()
	{
		return this.#isReady;
	}

	get leader()
	{
		return this.#order[0] ?? '';
	}

	/** Enter the room at its current epoch. @param peers device ids in join order, ours included */
	async start(epoch, peers)
	{
		this.epoch = epoch;
		this.#order = [...peers];
		this.#newSecret();
		this.#useForSending(epoch);
		for (const device of this.#others())
			this.#discover(device);
		// The others' keys come with the rekey that our joining causes. What is needed for
		// transports meanwhile is the server's leave, not their media.
		await this.#sendReady(epoch);
		if (this.#others().length)
			this.#scheduleRekey();
	}

	close()
	{
		this.#closed = true;
		for (const timer of [this.#rekeyTimer, this.#readyTimer, this.#switchTimer, ...this.#forgetTimers])
			clearTimeout(timer);
		for (const { reject } of this.#readyWaiters.splice(0))
			reject(new Error('the call is over'));
	}

	/** Resolves when the server holds us for ready at the current epoch. */
	whenReady()
	{
		if (this.#isReady)
			return Promise.resolve();
		return new Promise((resolve, reject) => this.#readyWaiters.push({ resolve, reject }));
	}

	/** The server refused a media request with E2EE_NOT_READY: be ready, then let it be repeated. */
	async onNotReady(expectedEpoch)
	{
		if (Number.isInteger(expectedEpoch) && expectedEpoch > this.epoch)
			this.#enter(expectedEpoch);
		else if (this.#isReady)
			await this.#sendReady(this.epoch);
		await this.whenReady();
	}

	#others()
	{
		return this.#order.filter((device) => device !== this.#self);
	}

	onPeerJoined(device)
	{
		if (device === this.#self)
			return;
		this.onPeerGone(device); // a device that joins again has new keys
		this.#order.push(device);
		this.#hasNewcomer = true;
		this.#discover(device);
		this.#scheduleRekey();
	}

	onPeerLeft(device)
	{
		if (!this.#order.includes(device))
			return;
		this.onPeerGone(device);
		this.#checkProgress();
		this.#scheduleRekey();
	}

	onPeerGone(device)
	{
		this.#order = this.#order.filter((other) => other !== device);
		this.#entitled.delete(device);
		this.#keysAt.delete(device);
		this.#ackedAt.delete(device);
		this.#packages.forgetPeer(device);
		this.#worker({ op: 'forget', device });
	}

	onCommit(epoch)
	{
		this.#enter(epoch);
	}

	onKeyAck(device, epoch)
	{
		if (!this.#order.includes(device) || !Number.isInteger(epoch))
			return;
		this.#ackedAt.set(device, Math.max(epoch, this.#ackedAt.get(device) ?? -1));
		this.#checkProgress();
	}

	/** Packages are handled one after the other, in the order of arrival. */
	onKeyPackage(payload)
	{
		this.#turn = this.#turn.then(() => this.#readPackage(payload))
			.catch((error) => this.#onChange('trouble', error));
	}

	async #readPackage(payload)
	{
		if (this.#closed || payload.targetDeviceId !== this.#self
			|| !this.#order.includes(payload.senderIdentity?.deviceId))
			return;
		const { sender, isNew, epoch, content } = await this.#packages.read(payload);

		if (isNew) {
			this.#onChange('safety-code');
			if (this.#entitled.has(sender))
				await this.#handOver(sender);
		}
		if (!content)
			return;
		this.#onChange('info', { device: sender, info: content });
		this.#worker({ op: 'receive-key', device: sender, epoch, senderTag: content.senderTag,
			secret: fromHex(content.secret) });
		this.#keysAt.set(sender, Math.max(epoch, this.#keysAt.get(sender) ?? -1));
		this.#checkProgress();
	}

	#discover(device)
	{
		this.#packages.discovery(device, this.epoch)
			.then((payload) => this.#request('KEY_PACKAGE', payload))
			.catch((error) => this.#onChange('trouble', error));
	}

	/** Give our current key, and what else we tell about ourselves, to one device. */
	async #handOver(device)
	{
		const epoch = this.epoch;
		const payload = await this.#packages.wrap(device, epoch,
			{ secret: toHex(this.#secret), senderTag: this.#senderTag, ...this.#info() });

		await this.#request('KEY_PACKAGE', payload);
	}

	#handOverToAll()
	{
		for (const device of this.#entitled)
			if (this.#packages.hasPeer(device))
				this.#handOver(device).catch((error) => this.#onChange('trouble', error));
	}

	/** What we tell about ourselves has changed: same key, new package. */
	announce()
	{
		this.#handOverToAll();
	}

	#newSecret()
	{
		this.#secret = crypto.getRandomValues(new Uint8Array(SECRET_BYTES));
	}

	#useForSending(epoch)
	{
		this.sendingEpoch = epoch;
		// Who has just come needs a key frame, and this is the first moment it can open one.
		this.#worker({ op: 'send-key', epoch, senderTag: this.#senderTag, secret: this.#secret.slice(),
			wantsKeyFrame: this.#hasNewcomer });
		this.#hasNewcomer = false;
		this.#onChange('sending', epoch);
	}

	/** Epochs only go forward, whoever says otherwise. */
	#enter(epoch)
	{
		if (this.#closed || !Number.isInteger(epoch) || epoch <= this.epoch || epoch >= EPOCH_LIMIT)
			return;
		clearTimeout(this.#rekeyTimer);
		clearTimeout(this.#readyTimer);
		clearTimeout(this.#switchTimer);
		this.#rekeyTimer = this.#readyTimer = this.#switchTimer = null;
		this.epoch = epoch;
		this.#committedAt = performance.now();
		this.#isReady = false;
		// A KEY_PACKAGE of this epoch may have overtaken the commit: what we hold stays.
		this.#entitled = new Set(this.#others());
		this.#newSecret();
		this.#onChange('epoch', epoch);
		this.#handOverToAll();
		this.#readyTimer = setTimeout(() => this.#becomeReady(epoch), READY_DEADLINE_MS);
		this.#forgetLater(epoch);
		this.#checkProgress();
	}

	#forgetLater(epoch)
	{
		const timer = setTimeout(() => {
			this.#forgetTimers.delete(timer);
			for (const device of this.#others())
				this.#worker({ op: 'forget', device, beforeEpoch: epoch });
		}, OLD_KEY_MS);

		this.#forgetTimers.add(timer);
	}

	#checkProgress()
	{
		const epoch = this.epoch;

		if (this.#closed || this.sendingEpoch >= epoch)
			return;
		const all = (at) => [...this.#entitled].every((device) => (at.get(device) ?? -1) >= epoch);

		if (this.#readyTimer && all(this.#keysAt))
			this.#becomeReady(epoch);
		if (!this.#readyTimer && all(this.#ackedAt))
			this.#switch(epoch);
	}

	#becomeReady(epoch)
	{
		clearTimeout(this.#readyTimer);
		this.#readyTimer = null;
		this.#switchTimer = setTimeout(() => this.#switch(epoch), SWITCH_DEADLINE_MS);
		this.#sendReady(epoch).catch((error) => this.#onChange('trouble', error));
		if (this.#entitled.size)
			this.#request('KEY_ACK', { epoch, fromDeviceId: this.#self })
				.catch((error) => this.#onChange('trouble', error));
		this.#checkProgress();
	}

	#switch(epoch)
	{
		clearTimeout(this.#switchTimer);
		this.#switchTimer = null;
		if (epoch === this.epoch && this.sendingEpoch < epoch)
			this.#useForSending(epoch);
	}

	async #sendReady(epoch)
	{
		try {
			await this.#request('E2EE_READY', { epoch });
		} catch (error) {
			const expected = error.details?.expectedEpoch;

			// A commit that has not reached us yet; it may also have been made while we were away.
			if (error.code === 'E2EE_EPOCH_MISMATCH' && expected > epoch) {
				this.#enter(expected);
				return;
			}
			throw error;
		}
		if (epoch !== this.epoch)
			return;
		this.#isReady = true;
		for (const { resolve } of this.#readyWaiters.splice(0))
			resolve();
		this.#onChange('ready', epoch);
	}

	#scheduleRekey()
	{
		if (!this.#auto || this.#closed)
			return;
		const rank = this.#order.indexOf(this.#self);
		const isCalm = performance.now() - this.#committedAt >= CALM_MS;

		clearTimeout(this.#rekeyTimer);
		this.#rekeyTimer = setTimeout(() => this.rekey('membership'),
			(isCalm ? AT_ONCE_MS : DEBOUNCE_MS) + Math.max(rank, 0) * TAKEOVER_MS);
	}

	/** Begin the next epoch. Whoever else does the same at this moment commits the same number. */
	async rekey(reason = 'manual')
	{
		const epoch = this.epoch + 1;

		clearTimeout(this.#rekeyTimer);
		this.#rekeyTimer = null;
		try {
			// Only an announcement, and limited in number: the commit is what counts.
			await this.#request('REKEY_BEGIN', { epoch, reason }).catch((error) => {
				if (error.code !== 'RATE_LIMITED')
					throw error;
			});
			if (this.epoch >= epoch)
				return;
			await this.#request('REKEY_COMMIT', { epoch });
			this.#enter(epoch);
		} catch (error) {
			const expected = error.details?.expectedEpoch;

			if (this.#closed || error.code === 'CLOSED')
				return;
			if (error.code === 'E2EE_EPOCH_MISMATCH' && expected - 1 > this.epoch)
				this.#enter(expected - 1);
			else
				this.#onChange('trouble', error);
			// Somebody else's commit since then makes ours unnecessary.
			if (this.epoch < epoch || error.code === 'E2EE_EPOCH_MISMATCH')
				this.#scheduleRekey();
		}
	}
}

function toHex(bytes)
{
	return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function fromHex(string)
{
	if (typeof string !== 'string' || !/^([0-9a-f]{2}){16,64}$/.test(string))
		throw new Error('a key package without a key');
	return Uint8Array.from(string.match(/../g), (octet) => parseInt(octet, 16));
}
