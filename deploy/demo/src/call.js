// SPDX-License-Identifier: BSD-3-Clause
// One stay in a room: joins, sends our tracks, receives everybody else's, keeps the list of peers.
// It ends once, by leave() or by itself, and is never used again; who wants back in makes a new one.

import { Device } from 'mediasoup-client';

import { Epochs } from './epochs.js';
import { KeyPackages } from './key_packages.js';
import { Signal } from './signal.js';

/** Codecs whose packets can be made from sealed frames; others need frames they can parse. */
const SEALABLE = ['video/vp9', 'video/vp8'];
const MEDIA_PAUSE_MS = 1000;
const GATHER_MS = 300;
const CONSUME_FIRST_MS = 2000;
const RESTART_ICE_MS = 1500;
const DISCONNECTED_MS = 4000;
const RECONNECT_MS = 250;
const RECONNECT_FOR_MS = 25000;
const SERVER_LOST = 'The connection to the server was lost.';
const MEDIA_LOST = 'The media connection was lost.';
const STOPPED = 'the call is over';

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

/** @return null, or why this browser cannot hold an encrypted call */
export function missingFeature()
{
	if (!window.isSecureContext || !crypto.subtle)
		return 'This page needs https (or localhost) to encrypt calls.';
	if (!window.RTCPeerConnection)
		return 'This browser has no WebRTC.';
	if (!window.RTCRtpScriptTransform && !RTCRtpSender.prototype.createEncodedStreams)
		return 'This browser cannot encrypt calls end to end.';
	return null;
}

/** Ask our encoder for a key frame; where the browser cannot, the receivers' requests do it. */
function sendKeyFrame(sender)
{
	if (sender?.track?.kind !== 'video')
		return;
	const parameters = sender.getParameters();

	sender.setParameters(parameters,
		{ encodingOptions: parameters.encodings.map(() => ({ keyFrame: true })) }).catch(() => {});
}

export class Call {
	/** device -> { device, name, streams: Map(producerId -> stream) }, in the order of joining */
	peers = new Map();
	state = 'new'; // new, joining, joined, closed
	safetyCode = '';
	joinSentAt = 0; // performance.now() when ROOM_JOIN was sent
	epochs = null;
	#options;
	#onChange;
	#signal = null;
	#resumeToken = '';
	#back = null; // promise, while the connection is being resumed
	#packages = null;
	#worker;
	#device = new Device();
	#sendTransport = null;
	#recvTransport = null;
	#producers = new Map(); // source ('mic', 'camera', 'screen') -> producer
	#sources = {}; // producerId -> source, told to the others in our key packages
	#counts = {}; // transform id -> outcome counts, from the worker
	#asking = 0; // CONSUMEs on their way
	#answered = []; // those that wait for the rest
	#nextTransform = 0;
	#asks = new Map();
	#nextAsk = 0;

	/**
	 * @param options  { url, room, linkSecret, name, deviceId, token, format, codec, autoRekey }
	 * @param onChange function (what, detail), whenever something to be shown has changed:
	 *                 'state', 'peers', 'epoch', 'trouble', 'closed' (detail: reason)
	 */
	constructor(options, onChange)
	{
		this.#options = options;
		this.#onChange = onChange;
		this.#worker = new Worker(new URL('worker.js', document.baseURI));
		this.#worker.onmessage = ({ data }) => this.#onWorker(data);
		this.#worker.postMessage({ op: 'init', format: options.format });
	}

	get room()
	{
		return this.#options.room;
	}

	/** Join; the promise is fulfilled when those who are there are being received. */
	async join()
	{
		const { room, linkSecret, deviceId, format } = this.#options;

		this.#setState('joining');
		try {
			this.#packages = await KeyPackages.create(room, deviceId, linkSecret);
			this.epochs = new Epochs({
				self: deviceId,
				packages: this.#packages,
				request: (type, payload) => this.#request(type, payload),
				worker: (message) => this.#worker.postMessage(message),
				info: () => ({ name: this.#options.name, sources: this.#sources }),
				onChange: (what, detail) => this.#onEpochs(what, detail),
				auto: this.#options.autoRekey,
			});
			await this.#connect(null);
			await this.#signal.request('E2EE_CAPS', { insertableStreams: true, sframe: true,
				frameFormat: format === 'reference' ? 'reference-v1' : 'rfc9605' });
			this.joinSentAt = performance.now();
			const joined = await this.#signal.insist('ROOM_JOIN', { roomId: room });
			const ready = this.epochs.start(joined.epoch, [...this.peers.keys()]);

			await this.#openTransports(joined.mediasoup?.routerRtpCapabilities, ready);
			this.#setState('joined');
		} catch (error) {
			this.#end(error.message);
			throw error;
		}
	}

	/** A connection that is known to the server. @return whether it goes on where another one ended */
	async #connect(resume)
	{
		const { url, deviceId, token } = this.#options;
		const signal = new Signal((type, payload) => this.#onEvent(type, payload), () => this.#onLost());

		try {
			await signal.open(url);
			const welcome = await signal.request('HELLO', {
				client: { deviceId, platform: 'web', ext: ['producer-events', 'resume'] },
				...(resume && { resume }),
			});

			this.#resumeToken = welcome.resumeToken ?? '';
			if (resume && welcome.resumed !== true) {
				signal.close();
				return false;
			}
			this.#signal = signal;
			signal.startHeartbeat(welcome.heartbeatSec || 10);
			await signal.request('AUTH', { accessToken: token });
			return true;
		} catch (error) {
			signal.close();
			throw error;
		}
	}

	/** Media needs no signalling: only who cannot come back has lost the call. */
	#onLost()
	{
		if (this.state !== 'joined' || !this.#resumeToken) {
			this.#end(SERVER_LOST);
			return;
		}
		this.#back ??= this.#comeBack().finally(() => {
			this.#back = null;
		});
	}

	async #comeBack()
	{
		const lastServerSeqSeen = this.#signal.lastServerSeq;

		for (const until = performance.now() + RECONNECT_FOR_MS; performance.now() < until;) {
			await pause(RECONNECT_MS);
			if (this.state === 'closed')
				return;
			try {
				// Each WELCOME brings another token, and the last one counts.
				if (await this.#connect({ resumeToken: this.#resumeToken, lastServerSeqSeen }))
					return;
				break;
			} catch {
				// Not there yet, or gone again.
			}
		}
		this.#end(SERVER_LOST);
	}

	async leave()
	{
		if (this.state === 'closed')
			return;
		await Promise.race([this.#signal?.request('ROOM_LEAVE', { roomId: this.room }).catch(() => {}),
			pause(500)]);
		this.#end('');
	}

	#setState(state)
	{
		this.state = state;
		this.#onChange('state', state);
	}

	#end(reason)
	{
		if (this.state === 'closed')
			return;
		this.state = 'closed';
		this.epochs?.close();
		this.#sendTransport?.close();
		this.#recvTransport?.close();
		this.#signal?.close();
		this.#worker.terminate();
		for (const resolve of this.#asks.values())
			resolve({});
		this.#onChange('closed', reason);
	}

	/** A request within the room; repeated when the connection was lost meanwhile. */
	async #request(type, payload)
	{
		for (;;) {
			await this.#back;
			try {
				return await this.#ask(type, payload);
			} catch (error) {
				if (error.code !== 'CLOSED' || !this.#back)
					throw error;
			}
		}
	}

	/** As #request(), on this connection; repeated while the server asks for patience. */
	#ask(type, payload)
	{
		const full = { roomId: this.room, ...payload };

		if (type === 'REKEY_BEGIN')
			return this.#signal.request(type, full);
		return this.#signal.insist(type, full, {
			E2EE_NOT_READY: (error) => this.epochs.onNotReady(error.details.expectedEpoch),
			SFU_NODE_UNAVAILABLE: () => pause(MEDIA_PAUSE_MS),
		});
	}

	async #openTransports(routerRtpCapabilities, ready)
	{
		if (!routerRtpCapabilities?.codecs?.length)
			throw new Error('The media server is not running.');
		const loading = this.#device.load({ routerRtpCapabilities });
		const create = async (direction) => {
			await ready;
			return this.#request('TRANSPORT_CREATE', { direction });
		};
		const [send, recv] = await Promise.all([create('send'), create('recv'), loading]);

		if (this.state === 'closed')
			throw new Error(STOPPED);
		this.#sendTransport = this.#openTransport('createSendTransport', send);
		this.#sendTransport.on('produce', ({ kind, rtpParameters }, done, failed) => {
			this.#request('PRODUCE', { transportId: send.transportId, kind, rtpParameters })
				.then(({ producerId }) => done({ id: producerId }), failed);
		});
		this.#recvTransport = this.#openTransport('createRecvTransport', recv);
		// First see, then be seen: both at once only make each other late.
		const waiting = [...this.peers.values()].flatMap((peer) => [...peer.streams.values()]
			.map((stream) => this.#consume(peer, stream)));

		await Promise.race([Promise.all(waiting), pause(CONSUME_FIRST_MS)]);
	}

	#openTransport(method, { transportId, iceParameters, iceCandidates, dtlsParameters })
	{
		const additionalSettings = window.RTCRtpScriptTransform ? {} : { encodedInsertableStreams: true };
		const transport = this.#device[method]({ id: transportId, iceParameters, iceCandidates,
			dtlsParameters, additionalSettings });

		transport.on('connect', (connect, done, failed) => {
			this.#request('TRANSPORT_CONNECT', { transportId, dtlsParameters: connect.dtlsParameters })
				.then(done, failed);
		});
		let restart = null, patience = null;

		// Another address may do; if not, a new stay is quicker than waiting for the browser to give
		// up, which takes half a minute.
		transport.on('connectionstatechange', (state) => {
			clearTimeout(restart);
			clearTimeout(patience);
			if (state === 'disconnected') {
				restart = setTimeout(() => this.#restartIce(transport).catch(() => {}), RESTART_ICE_MS);
				patience = setTimeout(() => this.#end(MEDIA_LOST), DISCONNECTED_MS);
			} else if (state === 'failed')
				this.#end(MEDIA_LOST);
		});
		return transport;
	}

	/** New credentials for a transport, over which the browser looks for a way anew. */
	async #restartIce(transport)
	{
		const { iceParameters } = await this.#request('ICE_RESTART', { transportId: transport.id });

		if (iceParameters && !transport.closed)
			await transport.restartIce({ iceParameters });
	}

	/** The same for both, while they work: what flows goes on flowing. */
	async restartIce()
	{
		await Promise.all([this.#sendTransport, this.#recvTransport]
			.map((transport) => this.#restartIce(transport)));
	}

	/** Put the frame worker between codec and network. Nothing flows until it is there. */
	#attach(rtp, options)
	{
		if (window.RTCRtpScriptTransform) {
			rtp.transform = new RTCRtpScriptTransform(this.#worker, options);
			return;
		}
		const { readable, writable } = rtp.createEncodedStreams();

		this.#worker.postMessage({ op: 'streams', readable, writable, options }, [readable, writable]);
	}

	/**
	 * Send a track.
	 * @param source 'mic', 'camera' or 'screen'; one track of each at a time
	 * @return promise of nothing; the track stays the caller's
	 */
	async send(source, track, { maxBitrate, isPaused = false } = {})
	{
		const codec = track.kind === 'video' ? this.#chooseVideoCodec() : undefined;
		const options = { role: 'send', id: `send-${this.#nextTransform++}`, codec: codec?.mimeType };
		const producer = await this.#sendTransport.produce({
			track,
			codec,
			encodings: maxBitrate ? [{ maxBitrate }] : undefined,
			codecOptions: track.kind === 'video' ? { videoGoogleStartBitrate: 400 } : undefined,
			stopTracks: false,
			zeroRtpOnPause: track.kind === 'video',
			onRtpSender: (sender) => this.#attach(sender, options),
		});

		producer.appData.transform = options.id;
		this.#producers.set(source, producer);
		this.#sources[producer.id] = source;
		if (source === 'screen')
			this.epochs.announce();
		if (isPaused)
			await this.setPaused(source, true);
	}

	isSending(source)
	{
		return this.#producers.has(source);
	}

	async setPaused(source, isPaused)
	{
		const producer = this.#producers.get(source);

		if (!producer || producer.closed)
			return;
		if (isPaused)
			producer.pause();
		else
			producer.resume();
		await this.#request(isPaused ? 'PRODUCER_PAUSE' : 'PRODUCER_RESUME', { producerId: producer.id });
	}

	async replaceTrack(source, track)
	{
		await this.#producers.get(source)?.replaceTrack({ track });
	}

	async stopSending(source)
	{
		const producer = this.#producers.get(source);

		if (!producer)
			return;
		this.#producers.delete(source);
		delete this.#sources[producer.id];
		producer.close();
		await this.#request('PRODUCER_CLOSE', { producerId: producer.id });
	}

	#chooseVideoCodec()
	{
		const wanted = this.#options.codec && `video/${this.#options.codec}`.toLowerCase();
		const codecs = this.#device.sendRtpCapabilities.codecs
			.filter((codec) => SEALABLE.includes(codec.mimeType.toLowerCase()));
		const chosen = wanted ? codecs.find((codec) => codec.mimeType.toLowerCase() === wanted) : codecs[0];

		if (!chosen)
			throw new Error('The server offers no video codec that can be encrypted end to end.');
		return chosen;
	}

	#onEvent(type, payload)
	{
		const peer = this.peers.get(payload.peerDeviceId);

		switch (type) {
		case 'ROOM_SNAPSHOT':
			this.#onSnapshot(payload);
			break;
		case 'PEER_JOINED':
			this.#dropPeer(payload.deviceId);
			this.#addPeer(payload.deviceId);
			this.epochs.onPeerJoined(payload.deviceId);
			break;
		case 'PEER_LEFT':
			this.#dropPeer(payload.deviceId);
			this.epochs.onPeerLeft(payload.deviceId);
			break;
		case 'PRODUCER_ADDED':
			this.#addStream(payload);
			break;
		case 'PRODUCER_REMOVED':
			this.#dropStream(payload.peerDeviceId, payload.producerId);
			break;
		case 'CONSUMER_CLOSED':
			for (const device of this.peers.keys())
				this.#dropStream(device, payload.producerId);
			break;
		case 'PRODUCER_PAUSED':
		case 'PRODUCER_RESUMED':
			if (peer?.streams.has(payload.producerId))
				peer.streams.get(payload.producerId).paused = type === 'PRODUCER_PAUSED';
			break;
		case 'REKEY_COMMIT':
			this.epochs.onCommit(payload.epoch);
			break;
		case 'KEY_PACKAGE':
			this.epochs.onKeyPackage(payload);
			break;
		case 'KEY_ACK':
			this.epochs.onKeyAck(payload.fromDeviceId, payload.epoch);
			break;
		default:
			return;
		}
		this.#onChange('peers');
	}

	/** Sent as part of a join, which a stay does once, and when the connection was resumed. */
	#onSnapshot({ epoch, peers = [], producers = [] })
	{
		if (this.peers.size) {
			if (this.#back)
				this.#catchUp(epoch, peers, producers);
			return;
		}
		for (const { deviceId } of peers)
			this.#addPeer(deviceId);
		for (const producer of producers)
			this.#addStream(producer);
	}

	/** What happened in the room while we heard nothing of it. */
	#catchUp(epoch, peers, producers)
	{
		const there = new Set(peers.map(({ deviceId }) => deviceId));
		const live = new Set(producers.map(({ producerId }) => producerId));

		// Keys that were sent meanwhile are gone: only a new stay gets them.
		if (epoch !== this.epochs.epoch) {
			this.#end(SERVER_LOST);
			return;
		}
		for (const device of [...this.peers.keys()].filter((known) => !there.has(known))) {
			this.#dropPeer(device);
			this.epochs.onPeerLeft(device);
		}
		for (const device of [...there].filter((found) => !this.peers.has(found))) {
			this.#addPeer(device);
			this.epochs.onPeerJoined(device);
		}
		for (const { device, streams } of this.peers.values())
			for (const producerId of [...streams.keys()].filter((known) => !live.has(known)))
				this.#dropStream(device, producerId);
		for (const producer of producers) {
			this.#addStream(producer);
			const stream = this.peers.get(producer.peerDeviceId)?.streams.get(producer.producerId);

			if (stream)
				stream.paused = producer.paused === true;
		}
	}

	#addPeer(device)
	{
		if (typeof device === 'string' && !this.peers.has(device))
			this.peers.set(device, { device, name: '', sources: {}, streams: new Map() });
	}

	#dropPeer(device)
	{
		for (const producerId of [...this.peers.get(device)?.streams.keys() ?? []])
			this.#dropStream(device, producerId);
		this.peers.delete(device);
	}

	#addStream({ producerId, peerDeviceId, kind, paused = false })
	{
		const peer = this.peers.get(peerDeviceId);

		if (!peer || peerDeviceId === this.#options.deviceId || peer.streams.has(producerId))
			return;
		const stream = { producerId, kind, paused, consumer: null, transform: null };

		peer.streams.set(producerId, stream);
		if (this.#recvTransport)
			this.#consume(peer, stream);
	}

	#dropStream(device, producerId)
	{
		const peer = this.peers.get(device);

		peer?.streams.get(producerId)?.consumer?.close();
		peer?.streams.delete(producerId);
	}

	async #consume(peer, stream)
	{
		const { producerId, kind } = stream;
		const stillThere = () => this.peers.get(peer.device)?.streams.get(producerId) === stream;

		try {
			const { consumerId, rtpParameters } = await this.#askToConsume(producerId);
			const options = { role: 'recv', id: consumerId, device: peer.device,
				codec: rtpParameters.codecs?.[0]?.mimeType };
			const consumer = await this.#recvTransport.consume({ id: consumerId, producerId, kind,
				rtpParameters, onRtpReceiver: (receiver) => this.#attach(receiver, options) });

			if (!stillThere()) {
				consumer.close();
				await this.#request('CONSUMER_CLOSE', { consumerId });
				return;
			}
			stream.consumer = consumer;
			stream.transform = consumerId;
			this.#onChange('peers');
			await this.#request('CONSUMER_RESUME', { consumerId });
		} catch (error) {
			// A producer that has gone meanwhile is no trouble; a later PRODUCER_ADDED tries again.
			if (stillThere())
				peer.streams.delete(producerId);
			if (this.state !== 'closed' && error.code !== 'PRODUCER_NOT_FOUND')
				this.#onChange('trouble', error);
		}
	}

	/** Answers are given out when the last one is there: one negotiation for all is far quicker. */
	async #askToConsume(producerId)
	{
		this.#asking++;
		try {
			return await this.#request('CONSUME', { producerId, transportId: this.#recvTransport.id,
				rtpCapabilities: this.#device.recvRtpCapabilities });
		} finally {
			// The last one waits as long as the others, a few microtasks, or it would go alone.
			const gathered = new Promise((resolve) => this.#answered.push(resolve));

			if (--this.#asking === 0)
				this.#answered.splice(0).forEach((resolve) => resolve());
			await Promise.race([gathered, pause(GATHER_MS)]);
		}
	}

	#onEpochs(what, detail)
	{
		if (what === 'trouble') {
			this.#onChange('trouble', detail);
			return;
		}
		if (what === 'safety-code') {
			this.#packages.safetyCode().then((code) => {
				this.safetyCode = code;
				this.#onChange('epoch');
			});
			return;
		}
		if (what === 'info') {
			const peer = this.peers.get(detail.device);

			if (!peer)
				return;
			peer.name = typeof detail.info.name === 'string' ? detail.info.name.slice(0, 60) : '';
			peer.sources = detail.info.sources ?? {};
			this.#onChange('peers');
			return;
		}
		this.#onChange('epoch');
	}

	#onWorker(data)
	{
		if (data.op === 'counts') {
			this.#asks.get(data.ask)?.(data.counts);
			this.#asks.delete(data.ask);
		} else if (data.op === 'key-frame-wanted') {
			this.#request('CONSUMER_REQUEST_KEY_FRAME', { consumerId: data.id }).catch(() => {});
		} else if (data.op === 'send-key-frames') {
			for (const producer of this.#producers.values())
				sendKeyFrame(producer.rtpSender);
		} else if (data.op === 'failed') {
			this.#onChange('trouble', new Error(`frame worker: ${data.what}: ${data.message}`));
		}
	}

	/** Outcomes of all frames so far: transform id -> counts by outcome. */
	frameCounts()
	{
		if (this.state === 'closed')
			return Promise.resolve({});
		const ask = this.#nextAsk++;

		this.#worker.postMessage({ op: 'counts', ask });
		return new Promise((resolve) => this.#asks.set(ask, resolve));
	}

	/** Statistics of both transports as the browser gives them: [send, recv], null where none is. */
	async browserStats()
	{
		const of = (transport) => (transport && !transport.closed ? transport.getStats() : null);

		return Promise.all([of(this.#sendTransport), of(this.#recvTransport)]);
	}

	/** Every stream that is being received: { peer, stream } pairs. */
	*received()
	{
		for (const peer of this.peers.values())
			for (const stream of peer.streams.values())
				if (stream.consumer)
					yield { peer, stream };
	}
}
