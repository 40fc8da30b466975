// SPDX-License-Identifier: BSD-3-Clause
// What a person wants to know about the connection, made of the browser's counters once a second.

/** Difference of a counter since the last look; 0 the first time. */
class Deltas {
	#last = new Map();
	#next = new Map();

	of(key, value)
	{
		this.#next.set(key, value);
		return Math.max(0, value - (this.#last.get(key) ?? value));
	}

	turn()
	{
		this.#last = this.#next;
		this.#next = new Map();
	}
}

export class StatsMeter {
	#deltas = new Deltas();
	#failing = new Map(); // consumer id -> looks in a row that found more refused than opened
	#at = 0;

	/**
	 * @return { rttMs, sendBps, recvBps, lossPercent, sendLossPercent, consumers } with
	 *         consumers: consumerId -> { bps, fps, lossPercent, sealed: counts by outcome, with failing: for how many
	 *         looks in a row more frames were refused than opened }
	 */
	async read(call)
	{
		const [[send, recv], counts] = await Promise.all([call.browserStats(), call.frameCounts()]);
		const now = performance.now();
		const seconds = this.#at ? (now - this.#at) / 1000 : 1;
		const result = { rttMs: null, sendBps: 0, recvBps: 0, lossPercent: 0, sendLossPercent: 0,
			consumers: {} };
		const byTrack = new Map([...call.received()].map(
			({ stream }) => [stream.consumer.track.id, stream]));
		let lost = 0;
		let received = 0;

		this.#at = now;
		for (const stat of recv?.values() ?? []) {
			if (stat.type === 'candidate-pair' && stat.nominated && stat.currentRoundTripTime)
				result.rttMs = stat.currentRoundTripTime * 1000;
			const stream = stat.type === 'inbound-rtp' && byTrack.get(stat.trackIdentifier);

			if (!stream)
				continue;
			const numbers = this.#readStream(stat, stream.consumer.id,
				counts[stream.transform] ?? {}, seconds);

			lost += numbers.lostNow;
			received += numbers.receivedNow;
			result.recvBps += numbers.bps;
			result.consumers[stream.consumer.id] = numbers;
		}
		for (const stat of send?.values() ?? []) {
			if (stat.type === 'outbound-rtp')
				result.sendBps += (this.#deltas.of(`${stat.id} bytes`, stat.bytesSent) * 8) / seconds;
			if (stat.type === 'candidate-pair' && stat.nominated && stat.currentRoundTripTime)
				result.rttMs ??= stat.currentRoundTripTime * 1000;
			if (stat.type === 'remote-inbound-rtp')
				result.sendLossPercent = Math.max(result.sendLossPercent, (stat.fractionLost ?? 0) * 100);
		}
		result.lossPercent = percent(lost, received);
		this.#deltas.turn();
		return result;
	}

	#readStream(stat, id, sealed, seconds)
	{
		const since = (name, value) => this.#deltas.of(`${stat.id} ${name}`, value ?? 0);
		const lostNow = since('lost', Math.max(0, stat.packetsLost));
		const receivedNow = since('packets', stat.packetsReceived);
		const refusedNow = since('refused', (sealed.noKey ?? 0) + (sealed.forged ?? 0)
			+ (sealed.malformed ?? 0));
		const openedNow = since('opened', sealed.ok);
		const failing = refusedNow > openedNow ? (this.#failing.get(id) ?? 0) + 1 : 0;

		this.#failing.set(id, failing);
		return {
			bps: (since('bytes', stat.bytesReceived) * 8) / seconds,
			fps: since('frames', stat.framesDecoded) / seconds,
			lostNow,
			receivedNow,
			lossPercent: percent(lostNow, receivedNow),
			sealed: { ...sealed, failing },
		};
	}
}

function percent(lost, received)
{
	return lost + received ? (100 * lost) / (lost + received) : 0;
}
