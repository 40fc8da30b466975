// SPDX-License-Identifier: BSD-3-Clause
// The page: lobby, call, buttons, and what they show. Reads its options from the address:
//   #room=NAME&k=SECRET           the room, and the secret that only its link carries
//   ?token= ?name=                access token and display name
//   ?auto=1 ?noui=1               join without asking; draw next to nothing (tests)
//   ?width= ?height= ?fps=        what the camera is asked for
//   ?codec=VP8|VP9                video codec, instead of the server's first
//   ?format=sframe|reference      frame format (RFC 9605 or the reference client's)
//   ?rekey=manual                 no rekey on join and leave (tests)

import { Call, missingFeature } from './call.js';
import { LocalMedia } from './media.js';
import { StatsMeter } from './stats.js';
import { Sounds, Tiles } from './tiles.js';

const RETRY_MS = [300, 1000, 2000, 4000, 5000];
const STATS_MS = 1000;
const NOTICE_MS = 4000;
const FAILING_LOOKS = 3;
/** A test looks back over half a minute at most, at up to 30 frames a second. */
const KEPT_FRAMES = 2000;

const $ = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);
const number = (name, standard) => Number(query.get(name)) || standard;

function randomName(length)
{
	const letters = 'abcdefghijkmnpqrstuvwxyz23456789';

	return Array.from(crypto.getRandomValues(new Uint8Array(length)),
		(byte) => letters[byte % letters.length]).join('');
}

const size = { width: number('width', 640), height: number('height', 360), fps: number('fps', 24) };
const media = new LocalMedia({ width: { ideal: size.width }, height: { ideal: size.height },
	frameRate: { ideal: size.fps, max: size.fps } });
const deviceId = `web-${randomName(12)}`;
const token = query.get('token') || randomName(32);
let isBare = query.has('noui');
const tiles = new Tiles($('grid'), onFrame);
const sounds = new Sounds();

let call = null;
let wantsCall = false;
let attempts = 0;
let meter = null;
let stats = null;
let noticeTimer = null;
const frames = new Map(); // consumer id -> { device, source, count, times, first }
const troubles = [];

function readLink()
{
	const link = new URLSearchParams(location.hash.slice(1));

	return { room: link.get('room') ?? '', secret: link.get('k') ?? '' };
}

/** A room that we name ourselves gets a secret; one that we were sent keeps the sender's. */
function fixLink(room)
{
	const link = readLink();
	const secret = link.room === room ? link.secret : randomName(22);

	history.replaceState(null, '', `#room=${encodeURIComponent(room)}${secret ? `&k=${secret}` : ''}`);
	return secret;
}

function notice(message, lasting = false)
{
	clearTimeout(noticeTimer);
	$('notice').hidden = !message;
	$('notice').textContent = message;
	if (message && !lasting)
		noticeTimer = setTimeout(notice, NOTICE_MS, '');
}

function setIcon(button, name, className, isActive)
{
	button.querySelector('use').setAttribute('href', `#i-${name}`);
	button.classList.toggle(className, isActive);
	button.setAttribute('aria-pressed', String(isActive));
}

// Frames, for whoever looks through window.__sfu

function onFrame(key, now, metadata, track)
{
	const stream = track && [...call?.received() ?? []].find(
		({ stream: { consumer } }) => consumer.track === track);

	if (!stream)
		return;
	const { id } = stream.stream.consumer;
	let entry = frames.get(id);

	if (!entry) {
		// When it was decoded and handed on for showing; the callback comes when this thread is free.
		entry = { device: stream.peer.device, source: sourceOf(stream.peer, stream.stream), count: 0,
			first: Math.min(now, metadata.presentationTime), firstCalledBack: now, times: [] };
		frames.set(id, entry);
	}
	entry.count++;
	entry.presented = metadata.presentedFrames;
	entry.times.push(now);
	if (entry.times.length > KEPT_FRAMES)
		entry.times.splice(0, KEPT_FRAMES / 2);
}

// What is shown

/** What a stream shows, as its sender tells us under encryption; by kind until it has. */
function sourceOf(peer, stream)
{
	const told = Object.hasOwn(peer.sources, stream.producerId) ? peer.sources[stream.producerId] : '';

	if (told === 'screen' && stream.kind === 'video')
		return 'screen';
	return stream.kind === 'audio' ? 'mic' : 'camera';
}

function nameOf(peer)
{
	return peer.name || peer.device;
}

/** Can we open what comes in? Who has just joined cannot, until the keys have changed. */
function lockOf(numbers)
{
	if (!numbers?.sealed)
		return 'wait';
	if (numbers.sealed.failing >= FAILING_LOOKS)
		return 'bad';
	return numbers.sealed.ok ? 'ok' : 'wait';
}

const LOCK_TEXT = {
	ok: 'Encrypted end to end',
	wait: 'Waiting for the first frames',
	bad: 'Frames cannot be opened and are not shown',
};

function tileOf(peer, stream, others)
{
	const source = stream ? sourceOf(peer, stream) : 'camera';
	const numbers = stats?.consumers[stream?.consumer?.id];
	const mic = others.find((other) => other.kind === 'audio');
	const sound = stats?.consumers[mic?.consumer?.id];
	const lock = lockOf(numbers ?? sound);

	return {
		key: `${peer.device} ${source === 'screen' ? stream.producerId : 'camera'}`,
		device: peer.device,
		name: source === 'screen' ? `${nameOf(peer)} · screen` : nameOf(peer),
		track: stream?.consumer?.track ?? null,
		isScreen: source === 'screen',
		videoOff: !stream || stream.paused,
		micOff: source !== 'screen' && (!mic || mic.paused),
		lock,
		lockText: LOCK_TEXT[lock],
		numbers: numbers && !stream.paused
			? `${Math.round(numbers.bps / 1000)} kbit/s · ${Math.round(numbers.fps)} fps` : '',
	};
}

function tilesOf(peer)
{
	const streams = [...peer.streams.values()];
	const videos = streams.filter((stream) => stream.kind === 'video');
	const screens = videos.filter((stream) => sourceOf(peer, stream) === 'screen');
	const camera = videos.find((stream) => !screens.includes(stream));

	return [camera, ...screens].map((stream) => tileOf(peer, stream, streams));
}

function ownTiles()
{
	const own = { device: deviceId, isMirrored: false, micOff: false, lock: 'ok',
		lockText: 'Sealed before it leaves this device', numbers: '' };
	const views = [{ ...own, key: 'own camera', name: `${$('name').value} (you)`, isScreen: false,
		track: media.camera, isMirrored: true, videoOff: !media.cameraOn, micOff: !media.micOn }];

	if (media.screen)
		views.push({ ...own, key: 'own screen', name: 'Your screen', isScreen: true, track: media.screen,
			videoOff: false });
	return views;
}

function draw()
{
	if (!call || call.state === 'closed')
		return;
	document.body.classList.toggle('bare', isBare);
	const others = [...call.peers.values()].filter(({ device }) => device !== deviceId);
	const views = others.flatMap(tilesOf);

	tiles.show(isBare ? views : [...views, ...ownTiles()]);
	sounds.show(new Map([...call.received()]
		.filter(({ stream }) => stream.kind === 'audio')
		.map(({ stream }) => [stream.consumer.id, stream.consumer.track])));
	if (!isBare)
		drawState(others);
}

function drawState(others)
{
	const { epochs } = call;
	const locks = Object.values(stats?.consumers ?? {}).map(lockOf);
	const isChanging = !epochs?.isReady || epochs.sendingEpoch !== epochs.epoch;
	const lock = locks.includes('bad') ? 'bad' : isChanging ? 'wait' : 'ok';

	$('lock').dataset.lock = lock;
	$('lock-text').textContent = lock === 'bad' ? 'Cannot decrypt'
		: lock === 'wait' ? 'Changing keys…' : `Encrypted · epoch ${epochs.epoch}`;
	$('lock').title = LOCK_TEXT[lock === 'wait' ? 'ok' : lock];
	$('net').textContent = stats ? `${stats.rttMs === null ? '–' : `${Math.max(1, Math.round(stats.rttMs))} ms`} · ${
		Math.max(stats.lossPercent, stats.sendLossPercent).toFixed(1)} % loss` : '';
	setIcon($('mic'), media.micOn ? 'mic' : 'mic-off', 'off', !media.micOn);
	setIcon($('camera'), media.cameraOn ? 'camera' : 'camera-off', 'off', !media.cameraOn);
	setIcon($('screen'), 'screen', 'on', media.screen !== null);
	setIcon($('numbers'), 'numbers', 'on', !$('details').hidden);
	$('mic').disabled = !media.mic;
	$('screen').disabled = !navigator.mediaDevices?.getDisplayMedia;
	if (!$('details').hidden)
		drawDetails(others);
}

function fill(list, rows)
{
	list.replaceChildren(...rows.flatMap(([term, value]) => {
		const dt = document.createElement('dt');
		const dd = document.createElement('dd');

		dt.textContent = term;
		dd.textContent = value;
		return [dt, dd];
	}));
}

function drawDetails(others)
{
	const { epochs } = call;
	const kbit = (bps) => `${Math.round(bps / 1000)} kbit/s`;
	const leader = call.peers.get(epochs?.leader);

	fill($('details-keys'), [
		['Frames', query.get('format') === 'reference' ? 'reference format, AES-128-GCM'
			: 'SFrame, AES-128-GCM'],
		['Epoch', `${epochs.epoch}${epochs.sendingEpoch === epochs.epoch ? '' : ` (sending ${epochs.sendingEpoch})`}`],
		['Rekeyed by', leader?.device === deviceId ? 'you' : leader ? nameOf(leader) : '–'],
		['Link secret', readLink().secret ? 'yes' : 'no'],
		['Safety code', call.safetyCode || '–'],
	]);
	fill($('details-net'), stats ? [
		['Round trip', stats.rttMs === null ? '–' : `${stats.rttMs.toFixed(1)} ms`],
		['Sending', kbit(stats.sendBps)],
		['Receiving', kbit(stats.recvBps)],
		['Loss in / out', `${stats.lossPercent.toFixed(1)} % / ${stats.sendLossPercent.toFixed(1)} %`],
	] : []);
	$('details-streams').replaceChildren(...others.flatMap((peer) => [...peer.streams.values()]
		.filter((stream) => stats?.consumers[stream.consumer?.id])
		.map((stream) => {
			const row = document.createElement('tr');
			const { bps, fps, lossPercent, sealed } = stats.consumers[stream.consumer.id];
			const refused = sealed.noKey + sealed.forged + sealed.replayed + sealed.malformed;

			for (const cell of [nameOf(peer), sourceOf(peer, stream), Math.round(bps / 1000),
				stream.kind === 'video' ? Math.round(fps) : '', `${lossPercent.toFixed(1)} %`,
				sealed.ok, refused])
				row.insertCell().textContent = cell;
			return row;
		})));
}

setInterval(async () => {
	if (call?.state !== 'joined')
		return;
	const read = await meter.read(call).catch(() => null);

	if (read) {
		stats = read;
		draw();
	}
}, STATS_MS);

// Joining and leaving

function videoBitrate()
{
	return Math.round(Math.max(150, (size.width * size.height * size.fps) / 8000)) * 1000;
}

async function publish()
{
	const sending = [];

	if (media.mic)
		sending.push(call.send('mic', media.mic, { isPaused: !media.micOn }));
	if (media.camera?.readyState === 'live')
		sending.push(call.send('camera', media.camera, { maxBitrate: videoBitrate() }));
	if (media.screen)
		sending.push(call.send('screen', media.screen, { maxBitrate: 2000000 }));
	await Promise.all(sending);
}

function onCallChange(what, detail)
{
	if (what === 'trouble') {
		troubles.push(String(detail?.message ?? detail));
		console.warn('call:', detail);
		return;
	}
	if (what === 'closed') {
		onClosed(detail);
		return;
	}
	draw();
}

function onClosed(reason)
{
	stats = null;
	frames.clear();
	sounds.show(new Map());
	if (!wantsCall)
		return;
	const delay = RETRY_MS[Math.min(attempts++, RETRY_MS.length - 1)];

	notice(`${reason.replace(/\.?$/, '.')} Trying again…`, true);
	setTimeout(() => {
		if (wantsCall)
			join().catch(() => {});
	}, delay);
}

async function join()
{
	const room = $('room').value;
	const scheme = location.protocol === 'https:' ? 'wss' : 'ws';

	wantsCall = true;
	meter = new StatsMeter();
	call = new Call({
		url: `${scheme}://${location.host}/ws`,
		room,
		linkSecret: fixLink(room),
		name: $('name').value,
		deviceId,
		token,
		format: query.get('format') ?? 'sframe',
		codec: query.get('codec'),
		autoRekey: query.get('rekey') !== 'manual',
	}, onCallChange);
	await call.join();
	attempts = 0;
	notice('');
	showCall(room);
	await publish().catch((error) => {
		onCallChange('trouble', error);
		if (call.state === 'joined')
			notice(`Cannot send: ${error.message}`);
	});
	draw();
}

function showCall(room)
{
	$('lobby').hidden = true;
	$('call').hidden = false;
	$('preview').srcObject = null;
	$('room-name').textContent = room;
	document.title = `${room} · Call`;
	draw();
}

async function leave()
{
	wantsCall = false;
	media.closeScreen();
	await call?.leave();
	tiles.show([]);
	sounds.show(new Map());
	notice('');
	$('call').hidden = true;
	$('lobby').hidden = false;
	await preview();
}

// Buttons

function showPreview()
{
	const isLive = media.cameraOn && media.camera;

	$('preview').srcObject = isLive ? new MediaStream([media.camera]) : null;
	$('preview').hidden = !isLive;
	setIcon($('lobby-mic'), media.micOn ? 'mic' : 'mic-off', 'off', !media.micOn);
	setIcon($('lobby-camera'), media.cameraOn ? 'camera' : 'camera-off', 'off', !media.cameraOn);
	$('lobby-mic').disabled = !media.mic;
}

async function preview()
{
	if (!media.mic && !media.camera)
		$('preview-note').textContent = await media.open() || 'The camera is off';
	else if (media.cameraOn && media.camera?.readyState !== 'live')
		await media.setCamera(true).catch(() => {});
	showPreview();
}

async function toggleMic()
{
	media.setMic(!media.micOn);
	if (call?.state === 'joined')
		await call.setPaused('mic', !media.micOn);
}

async function toggleCamera()
{
	const isNew = await media.setCamera(!media.cameraOn);

	if (call?.state !== 'joined')
		return;
	if (isNew && !call.isSending('camera')) {
		await call.send('camera', media.camera, { maxBitrate: videoBitrate() });
		return;
	}
	if (isNew)
		await call.replaceTrack('camera', media.camera);
	await call.setPaused('camera', !media.cameraOn);
}

async function stopScreen()
{
	media.closeScreen();
	draw();
	await call.stopSending('screen');
}

async function toggleScreen()
{
	if (media.screen)
		return stopScreen();
	await media.openScreen(() => stopScreen().catch(() => {}));
	draw();
	return call.send('screen', media.screen, { maxBitrate: 2000000 });
}

async function copyLink()
{
	try {
		await navigator.clipboard.writeText(location.href.replace(location.search, ''));
		$('copy-text').textContent = 'Copied';
	} catch {
		$('copy-text').textContent = 'Copy it from the address bar';
	}
	setTimeout(() => { $('copy-text').textContent = 'Copy link'; }, 2000);
}

function toggleDetails()
{
	$('details').hidden = !$('details').hidden;
}

/** What a button does; a failure is told and leaves everything as it is. */
function button(id, action)
{
	$(id).addEventListener('click', async () => {
		try {
			await action();
		} catch (error) {
			if (error.name !== 'NotAllowedError')
				notice(error.message);
		}
		if (call && $('lobby').hidden)
			draw();
		else
			showPreview();
	});
}

for (const [id, action] of [['mic', toggleMic], ['camera', toggleCamera], ['screen', toggleScreen],
	['lobby-mic', toggleMic], ['lobby-camera', toggleCamera], ['copy', copyLink], ['leave', leave],
	['numbers', toggleDetails], ['lock', toggleDetails]])
	button(id, action);

$('join-form').addEventListener('submit', async (event) => {
	event.preventDefault();
	$('join').disabled = true;
	$('lobby-error').textContent = '';
	localStorage.setItem('name', $('name').value);
	try {
		await join();
	} catch (error) {
		wantsCall = false;
		$('lobby-error').textContent = error.message;
		notice('');
	}
	$('join').disabled = false;
});

window.addEventListener('hashchange', () => { $('room').value = readLink().room; });
window.addEventListener('pagehide', () => { call?.leave(); });

/** For the browser suite, and for curious people at the console. */
window.__sfu = {
	deviceId,
	join,
	leave,
	troubles,
	get call() { return call; },
	get state() { return call?.state ?? 'new'; },
	get epoch() { return call?.epochs?.epoch ?? -1; },
	get sendingEpoch() { return call?.epochs?.sendingEpoch ?? -1; },
	get isReady() { return call?.epochs?.isReady ?? false; },
	get joinSentAt() { return call?.joinSentAt ?? 0; },
	get stats() { return stats; },
	/** Draw next to nothing, as ?noui=1 does, or everything. */
	setBare(isWanted)
	{
		isBare = isWanted;
		draw();
	},
	now: () => performance.now(),
	rekey: () => call.epochs.rekey(),
	peers: () => [...call?.peers.values() ?? []].map(({ device, name, streams }) => ({ device, name,
		streams: [...streams.values()].map(({ producerId, kind, paused, consumer }) => ({ producerId,
			kind, paused, consumerId: consumer?.id ?? null })) })),
	frames: () => Object.fromEntries([...frames].map(([id, entry]) => [id, { ...entry,
		times: [...entry.times] }])),
	counts: () => call.frameCounts(),
	/** Consumer id -> the browser's own counters of its stream, read now. */
	async inbound()
	{
		const [, recv] = await call.browserStats();
		const ids = new Map([...call.received()].map(
			({ stream: { consumer } }) => [consumer.track.id, consumer.id]));

		return Object.fromEntries([...recv?.values() ?? []]
			.filter((stat) => stat.type === 'inbound-rtp' && ids.has(stat.trackIdentifier))
			.map(({ trackIdentifier, kind, framesDecoded, totalSamplesReceived, packetsReceived,
				packetsLost, decoderImplementation }) => [ids.get(trackIdentifier), { kind, framesDecoded,
				totalSamplesReceived, packetsReceived, packetsLost, decoderImplementation }]));
	},
	restartIce: () => call.restartIce(),
	/** Both transports' pairs of addresses in use, as the browser names them. */
	async paths()
	{
		return (await call.browserStats()).map((stats) => {
			const all = [...stats?.values() ?? []];
			const { selectedCandidatePairId } = all.find(({ type }) => type === 'transport') ?? {};
			const pair = all.find(({ id }) => id === selectedCandidatePairId) ?? {};
			const [local, remote] = [pair.localCandidateId, pair.remoteCandidateId]
				.map((wanted) => all.find(({ id }) => id === wanted) ?? {});

			return { local: `${local.address} ${local.port} ${local.usernameFragment}`,
				remote: `${remote.address} ${remote.port}` };
		});
	},
	media: () => ({ micOn: media.micOn, cameraOn: media.cameraOn, screen: media.screen !== null }),
};

async function start()
{
	const missing = missingFeature();
	const { room } = readLink();

	$('name').value = query.get('name') ?? localStorage.getItem('name') ?? '';
	$('room').value = room || randomName(9);
	if (missing) {
		$('lobby-error').textContent = missing;
		$('join').disabled = true;
		return;
	}
	await preview();
	if (query.has('auto')) {
		$('name').value ||= deviceId;
		await join().catch((error) => { troubles.push(error.message); });
	}
}

start();
