// SPDX-License-Identifier: BSD-3-Clause
// Frame keys of one call: our own sender key with its counter, and the keys of the others, kept per
// sending device. A frame is opened only with a key of the device whose producer it came from, so
// the server cannot pass off one member's media as another's. Runs in the worker.

import * as reference from './reference_format.js';
import * as sframe from './sframe.js';

/** Counters further back than this behind the newest one are taken for replays. */
const REPLAY_WINDOW = 1024n;

/** What becomes of a received frame; every outcome but `ok` means that it is dropped. */
export const OUTCOMES = ['ok', 'noKey', 'forged', 'replayed', 'malformed'];

/** KID of a sender in an epoch: epoch, then 16 bits that tell senders apart on the wire. */
export function kidOf(epoch, senderTag)
{
	return (BigInt(epoch) << 16n) | BigInt(senderTag & 0xffff);
}

/**
 * Octets of a frame that stay in clear. libvpx's VP8 payload header: Chromium reads the key-frame
 * bit from it and, in key frames, start code and size.
 */
function clearBytes(frame, codec)
{
	if (codec !== 'video/vp8' || frame.length === 0)
		return 0;
	return Math.min(frame.length, frame[0] & 0x01 ? 3 : 10);
}

/** Accepts each counter once, within a window behind the newest. */
class ReplayWindow {
	#newest = -1n;
	#seen = new Set();

	isFresh(ctr)
	{
		return ctr > this.#newest
			|| (ctr + REPLAY_WINDOW > this.#newest && !this.#seen.has(ctr));
	}

	/** Only for a counter that authenticated: a forged one must not move the window. */
	add(ctr)
	{
		this.#seen.add(ctr);
		if (ctr > this.#newest)
			this.#newest = ctr;
		if (this.#seen.size > 2 * Number(REPLAY_WINDOW))
			for (const old of this.#seen)
				if (old + REPLAY_WINDOW <= this.#newest)
					this.#seen.delete(old);
	}
}

export class FrameKeys {
	#format;
	#sending = null; // { derived, ctr }: one counter for all tracks of the key
	#receiving = new Map(); // device -> [{ epoch, derived }], newest first

	/** @param format 'sframe' or 'reference' */
	constructor(format)
	{
		this.#format = format === 'reference' ? reference : sframe;
	}

	async #derive(secret, epoch, senderTag)
	{
		return this.#format === reference ? reference.deriveKey(secret, epoch)
						  : sframe.deriveKey(secret, kidOf(epoch, senderTag));
	}

	async setSendKey(epoch, senderTag, secret)
	{
		this.#sending = { derived: await this.#derive(secret, epoch, senderTag), ctr: 0n };
	}

	async addReceiveKey(device, epoch, senderTag, secret)
	{
		const derived = await this.#derive(secret, epoch, senderTag);
		const others = (this.#receiving.get(device) ?? []).filter((key) => key.epoch !== epoch);

		this.#receiving.set(device,
			[{ epoch, derived }, ...others].sort((a, b) => b.epoch - a.epoch));
	}

	/** Forget the keys of a device that are older than an epoch; all of them without one. */
	forget(device, beforeEpoch = Infinity)
	{
		const kept = (this.#receiving.get(device) ?? []).filter((key) => key.epoch >= beforeEpoch);

		if (kept.length)
			this.#receiving.set(device, kept);
		else
			this.#receiving.delete(device);
	}

	/**
	 * Seal one encoded frame.
	 * @param codec mime type in lower case
	 * @return Uint8Array, or null while there is no key: then the frame must not be sent
	 */
	async seal(frame, codec)
	{
		const sending = this.#sending;

		if (!sending || frame.length === 0)
			return null;
		const clear = this.#format === sframe ? clearBytes(frame, codec) : 0;
		const metadata = frame.subarray(0, clear);
		const sealed = await this.#format.seal(sending.derived, sending.ctr++, metadata,
			frame.subarray(clear));

		if (clear === 0)
			return sealed;
		const out = new Uint8Array(clear + sealed.length);

		out.set(metadata);
		out.set(sealed, clear);
		return out;
	}

	/** Replay state of one receiving stream, to be handed to open(). */
	static stream()
	{
		return new WeakMap();
	}

	/**
	 * Open one received frame.
	 * @param stream what stream() gave for this consumer
	 * @return { outcome, frame? }; `frame` only with outcome 'ok'
	 */
	async open(device, stream, frame, codec)
	{
		const clear = this.#format === sframe ? clearBytes(frame, codec) : 0;
		const sealed = frame.subarray(clear);
		const header = this.#format.parseHeader(sealed);

		if (!header)
			return { outcome: 'malformed' };
		const keys = (this.#receiving.get(device) ?? []).filter(
			(key) => key.derived.kid === header.kid);

		if (keys.length === 0)
			return { outcome: 'noKey' };
		for (const { derived } of keys) {
			const opened = await this.#format.open(derived, header, frame.subarray(0, clear), sealed)
				.catch(() => null);

			if (!opened)
				continue;
			if (!stream.has(derived))
				stream.set(derived, new ReplayWindow());
			const window = stream.get(derived);

			if (!window.isFresh(header.ctr))
				return { outcome: 'replayed' };
			window.add(header.ctr);
			if (clear === 0)
				return { outcome: 'ok', frame: opened };
			const out = new Uint8Array(clear + opened.length);

			out.set(frame.subarray(0, clear));
			out.set(opened, clear);
			return { outcome: 'ok', frame: out };
		}
		return { outcome: 'forged' };
	}
}
