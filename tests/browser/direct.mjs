// SPDX-License-Identifier: BSD-3-Clause
// The same people's call with nothing of ours in between: every page sends to every other one, through
// the same frame worker, in the same browser. What it shows is what this machine and this browser can do
// in this minute; what a call through the server shows is judged beside it when a promise was not kept.

import { fileURLToPath } from 'node:url';

import { gapsOfStayers, most, worstBetween } from './figures.mjs';
import { sleep } from './support.mjs';

/** Nothing listens there: the pages get what they ask for from here. */
const ORIGIN = 'http://localhost:9';
const WORKER = fileURLToPath(new URL('../../deploy/demo/dist/worker.js', import.meta.url));
const CONNECT_MS = 30000;
const STEADY_MS = 2000;
const KEPT_FRAMES = 2000;

/** Runs in the page: one person of the call, as window.direct. */
function personInPage({ width, height, fps, maxBitrate, keptFrames })
{
	// Who encodes once for each other one must do it cheaply, or the call costs far more than one through a server.
	const CODEC = 'video/VP8';
	const worker = new Worker('/worker.js');
	const secret = new Uint8Array(16).fill(7);
	const connections = new Map(); // name of the other -> RTCPeerConnection
	const frames = {};
	const answers = new Map();
	let media = null;
	let asked = 0;

	worker.postMessage({ op: 'init', format: 'sframe' });
	worker.postMessage({ op: 'send-key', epoch: 1, senderTag: 1, secret });
	worker.onmessage = ({ data }) => {
		answers.get(data.ask)?.(data.counts);
		answers.delete(data.ask);
	};

	function show(other, track)
	{
		const id = `${other} ${track.kind}`;
		const element = Object.assign(document.createElement(track.kind),
			{ autoplay: true, srcObject: new MediaStream([track]) });
		const entry = { device: other, source: 'camera', first: 0, times: [] };
		const next = (now, { presentationTime }) => {
			frames[id] ??= entry;
			entry.first ||= Math.min(now, presentationTime);
			entry.times.push(now);
			if (entry.times.length > keptFrames)
				entry.times.splice(0, keptFrames / 2);
			element.requestVideoFrameCallback(next);
		};

		document.body.append(element);
		if (track.kind === 'video') {
			element.muted = true;
			element.requestVideoFrameCallback(next);
		}
	}

	function connect(other)
	{
		const connection = new RTCPeerConnection();

		connections.set(other, connection);
		worker.postMessage({ op: 'receive-key', device: other, epoch: 1, senderTag: 1, secret });
		return connection;
	}

	/** Each kind both ways. Before the description is set: later a receiver's frames miss the worker. */
	function useTransceivers(connection, other)
	{
		for (const transceiver of connection.getTransceivers()) {
			const { sender, receiver } = transceiver;
			const { kind } = receiver.track;
			const codec = kind === 'video' ? CODEC : '';

			transceiver.direction = 'sendrecv';
			sender.replaceTrack(media.getTracks().find((track) => track.kind === kind));
			sender.transform = new RTCRtpScriptTransform(worker, { role: 'send', id: `to ${other} ${kind}`, codec });
			receiver.transform = new RTCRtpScriptTransform(worker, { role: 'recv', id: `${other} ${kind}`, device: other });
			if (codec)
				transceiver.setCodecPreferences(RTCRtpSender.getCapabilities(kind).codecs
					.filter(({ mimeType }) => mimeType === codec));
			show(other, receiver.track);
		}
	}

	async function narrow(connection)
	{
		const { sender } = connection.getTransceivers().find(({ receiver }) => receiver.track.kind === 'video');
		const parameters = sender.getParameters();

		parameters.encodings.forEach((encoding) => Object.assign(encoding, { maxBitrate }));
		await sender.setParameters(parameters);
	}

	/** The description with all candidates: there are only addresses of this machine. */
	async function described(connection)
	{
		await connection.setLocalDescription();
		if (connection.iceGatheringState !== 'complete')
			await new Promise((resolve) => connection.addEventListener('icegatheringstatechange',
				() => connection.iceGatheringState === 'complete' && resolve()));
		return connection.localDescription.toJSON();
	}

	window.direct = {
		joinSentAt: 0,
		async open()
		{
			media = await navigator.mediaDevices.getUserMedia({
				audio: { echoCancellation: true, noiseSuppression: true },
				video: { width: { ideal: width }, height: { ideal: height }, frameRate: { ideal: fps, max: fps } } });
		},
		async offer(other)
		{
			const connection = connect(other);

			this.joinSentAt ||= performance.now();
			connection.addTransceiver('audio');
			connection.addTransceiver('video');
			useTransceivers(connection, other);
			return described(connection);
		},
		async answer(other, offer)
		{
			const connection = connect(other);

			await connection.setRemoteDescription(offer);
			useTransceivers(connection, other);
			const description = await described(connection);

			await narrow(connection);
			return description;
		},
		async accept(other, answer)
		{
			await connections.get(other).setRemoteDescription(answer);
			await narrow(connections.get(other));
		},
		hangUp(other)
		{
			connections.get(other)?.close();
			connections.delete(other);
		},
		async look()
		{
			const ask = asked++;
			const counts = new Promise((resolve) => answers.set(ask, resolve));
			const consumers = {};

			worker.postMessage({ op: 'counts', ask });
			for (const [other, connection] of connections)
				for (const stat of (await connection.getStats()).values())
					if (stat.type === 'inbound-rtp')
						consumers[`${other} ${stat.kind}`] = { kind: stat.kind, framesDecoded: stat.framesDecoded ?? 0,
							totalSamplesReceived: stat.totalSamplesReceived };
			return { now: performance.now(), joinSentAt: this.joinSentAt, frames: structuredClone(frames),
				counts: await counts, consumers };
		},
	};
	return window.direct.open();
}

class Person {
	constructor(name)
	{
		this.name = name;
	}

	async enter(browser, camera)
	{
		this.context = await browser.newContext({ viewport: { width: 640, height: 400 } });
		await this.context.route(`${ORIGIN}/**`, (route) => (route.request().url().endsWith('/worker.js')
			? route.fulfill({ contentType: 'text/javascript', path: WORKER })
			: route.fulfill({ contentType: 'text/html', body: '<!DOCTYPE html><title>direct</title>' })));
		this.page = await this.context.newPage();
		await this.page.goto(`${ORIGIN}/`);
		await this.page.evaluate(personInPage, { ...camera, keptFrames: KEPT_FRAMES });
		return this;
	}

	call(method, ...args)
	{
		return this.page.evaluate(([what, rest]) => window.direct[what](...rest), [method, args]);
	}
}

async function connect(one, other)
{
	const offer = await one.call('offer', other.name);
	const answer = await other.call('answer', one.name, offer);

	await one.call('accept', other.name, answer);
}

const looks = (people) => Promise.all(people.map((person) => person.call('look')));

/** Until everybody shows everybody, or a machine that is too slow for that has had its time. */
async function untilAllShow(people)
{
	for (const end = Date.now() + CONNECT_MS; Date.now() < end; await sleep(200)) {
		const now = await looks(people);

		if (now.every(({ frames }) => Object.keys(frames).length >= people.length - 1))
			return;
	}
}

/**
 * Hold such a call: all but the last are in it and are watched, the last joins, one of the first leaves.
 * @param camera { width, height, fps, maxBitrate } of each
 * @return { decoded, gap, opened, played } of the worst stream while watched, lateJoin in ms until the last
 *         one shows all (or CONNECT_MS if it does not), gapAtJoin and gapAtLeave of those who stay
 */
export async function directCall(browser, names, camera, watchMs)
{
	const people = [];

	for (const person of await Promise.all(names.slice(0, -1).map(
		(name) => new Person(name).enter(browser, camera)))) {
		await Promise.all(people.map((other) => connect(person, other)));
		people.push(person);
	}
	await untilAllShow(people);
	await sleep(STEADY_MS);
	const before = await looks(people);

	await sleep(watchMs);
	const { decoded, gap, opened, played } = worstBetween(before, await looks(people));

	const beforeJoin = await looks(people);
	const last = await new Person(names.at(-1)).enter(browser, camera);

	await Promise.all(people.map((other) => connect(last, other)));
	await untilAllShow([...people, last]);
	await sleep(STEADY_MS);
	const { frames, joinSentAt } = await last.call('look');
	const lateJoin = Object.keys(frames).length < people.length ? CONNECT_MS
		: most(Object.values(frames).map(({ first }) => first - joinSentAt));
	const gapAtJoin = most(gapsOfStayers(beforeJoin, await looks(people), names));

	const [first, ...stay] = [...people, last];
	const beforeLeave = await looks(stay);

	await Promise.all(stay.map((person) => person.call('hangUp', first.name)));
	await first.context.close();
	await sleep(STEADY_MS);
	const gapAtLeave = most(gapsOfStayers(beforeLeave, await looks(stay), stay.map(({ name }) => name)));

	await Promise.all(stay.map((person) => person.context.close()));
	return { decoded, gap, opened, played, lateJoin, gapAtJoin, gapAtLeave };
}
