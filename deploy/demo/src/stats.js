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
	#at = 0;

	/**
	 * @return { rttMs, sendBps, recvBps, lossPercent, sendLossPercent, consumers } with
	 *         consumers: consumerId -> { bps, fps, lossPercent, framesDecoded, packetsReceived,
	 *         packetsLost, sealed: { ok, noKey, forged, replayed, malformed, failedNow } }
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
			const bps = (this.#deltas.of(`${stat.id} bytes`, stat.bytesReceived) * 8) / seconds;
			const lostNow = this.#deltas.of(`${stat.id} lost`, Math.max(0, stat.packetsLost));
			const receivedNow = this.#deltas.of(`${stat.id} packets`, stat.packetsReceived);
			const sealed = counts[stream.transform] ?? {};
			const failed = (sealed.noKey ?? 0) + (sealed.forged ?? 0) + (sealed.malformed ?? 0);

			lost += lostNow;
			received += receivedNow;
			result.recvBps += bps;
			result.consumers[stream.consumer.id] = {
				bps,
				fps: this.#deltas.of(`${stat.id} frames`, stat.framesDecoded ?? 0) / seconds,
				lossPercent: percent(lostNow, receivedNow),
				framesDecoded: stat.framesDecoded ?? 0,
				packetsReceived: stat.packetsReceived,
				packetsLost: stat.packetsLost,
				samplesReceived: stat.totalSamplesReceived ?? 0,
				samplesConcealed: stat.concealedSamples ?? 0,
				sealed: { ...sealed, failedNow: this.#deltas.of(`${stat.id} failed`, failed),
					okNow: this.#deltas.of(`${stat.id} ok`, sealed.ok ?? 0) },
			};
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
}

function percent(lost, received)
{
	return lost + received ? (100 * lost) / (lost + received) : 0;
}
