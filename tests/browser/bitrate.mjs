// SPDX-License-Identifier: BSD-3-Clause
// One page sends moving noise as its camera, 640x360. On a clean path it has to find more than
// 1 Mbit/s; when the path narrows to 500 kbit/s (tc on PATH_IF) it has to come down; and up again.

import { execFileSync } from 'node:child_process';

import { Checks, launch, sleep } from './support.mjs';

const BASE = process.env.SFU_URL;
const PATH_IF = process.env.PATH_IF;
const RISE_MS = 15000;
const RISEN_KBPS = 1000;
const FALL_MS = 5000;
const NARROW_KBPS = 500;
/** What a second may measure above the path: the queue in front of it is filled once. */
const FALLEN_KBPS = 600;
/** After a narrow path it goes carefully. */
const AGAIN_KBPS = 700;
const codecs = (process.env.CODECS ?? 'VP8').split(',');

const browser = await launch();
const checks = new Checks();

function narrow(kbps)
{
	execFileSync('tc', ['qdisc', 'replace', 'dev', PATH_IF, 'root', 'tbf', 'rate', `${kbps}kbit`,
		'burst', '3000', 'latency', '200ms']);
}

function widen()
{
	execFileSync('tc', ['qdisc', 'del', 'dev', PATH_IF, 'root']);
}

/** The camera becomes a canvas of moving noise: nothing in it can be predicted, so it takes all it gets. */
function noiseForCamera()
{
	const media = navigator.mediaDevices;
	const real = media.getUserMedia.bind(media);
	const [width, height] = [640, 360];

	media.getUserMedia = async (constraints) => {
		const stream = await real(constraints);

		if (!constraints.video)
			return stream;
		const canvas = Object.assign(document.createElement('canvas'), { width, height });
		const context = canvas.getContext('2d');
		const image = context.createImageData(width, height);
		const words = new Uint32Array(image.data.buffer);
		let state = 1;

		setInterval(() => {
			for (let i = 0; i < words.length; i++) {
				state = Math.imul(state, 1664525) + 1013904223;
				words[i] = 0xff000000 | (state >>> 8);
			}
			context.putImageData(image, 0, 0);
		}, 40);
		for (const track of stream.getVideoTracks()) {
			stream.removeTrack(track);
			track.stop();
		}
		stream.addTrack(canvas.captureStream(25).getVideoTracks()[0]);
		return stream;
	};
}

/** Counters of the camera's stream: octets on the wire, and what the sender takes the path for. */
const look = (page) => page.evaluate(async () => {
	const [send] = await window.__sfu.call.browserStats();
	const all = [...send.values()];
	const video = all.find(({ type, kind }) => type === 'outbound-rtp' && kind === 'video');
	const pair = all.find(({ type, availableOutgoingBitrate }) => type === 'candidate-pair'
		&& availableOutgoingBitrate !== undefined);

	return { at: performance.now(), octets: (video?.bytesSent ?? 0) + (video?.headerBytesSent ?? 0),
		frames: video?.framesEncoded ?? 0, available: pair?.availableOutgoingBitrate ?? 0 };
});

/** Rates of the seconds that pass until `holds(kbps)` or the time is over. */
async function seconds(page, ms, holds)
{
	const rates = [];
	const end = Date.now() + ms;
	let before = await look(page);

	while (Date.now() < end) {
		await sleep(1000);
		const now = await look(page);
		const kbps = Math.round((now.octets - before.octets) * 8 / (now.at - before.at));

		rates.push(kbps);
		console.log(`# ${kbps} kbit/s sent, ${now.frames - before.frames} frames, path taken for ${
			Math.round(now.available / 1000)} kbit/s`);
		before = now;
		if (holds(kbps))
			break;
	}
	return rates;
}

async function follow(codec)
{
	const context = await browser.newContext({ viewport: { width: 640, height: 400 } });
	const page = await context.newPage();
	const query = new URLSearchParams({ auto: 1, noui: 1, width: 640, height: 360, fps: 60, name: 'Ada',
		codec });

	await page.addInitScript(noiseForCamera);
	await page.goto(`${BASE.replace(/\/+$/, '')}/?${query}#room=bitrate-${codec}`);
	await page.waitForFunction(() => window.__sfu.call?.isSending('camera'), null, { timeout: 20000 });

	const rise = await seconds(page, RISE_MS, (kbps) => kbps > RISEN_KBPS);

	checks.check(rise.at(-1) > RISEN_KBPS, `${codec}: ${rise.at(-1)} kbit/s ${rise.length} s after the start, above ${
		RISEN_KBPS} within ${RISE_MS / 1000} s`, rise);
	narrow(NARROW_KBPS);
	const fall = await seconds(page, FALL_MS, (kbps) => kbps <= FALLEN_KBPS);

	checks.check(fall.at(-1) <= FALLEN_KBPS, `${codec}: ${fall.at(-1)} kbit/s ${fall.length} s after the path narrowed to ${
		NARROW_KBPS}, limit ${FALLEN_KBPS} within ${FALL_MS / 1000} s`, fall);
	const stay = await seconds(page, 3000, () => false);

	checks.check(Math.max(...stay) <= FALLEN_KBPS + 100, `${codec}: it stays there`, stay);
	widen();
	const again = await seconds(page, RISE_MS, (kbps) => kbps > AGAIN_KBPS);

	checks.check(again.at(-1) > AGAIN_KBPS, `${codec}: and rises again when the path is wide, ${
		again.at(-1)} kbit/s after ${again.length} s`, again);
	await context.close();
}

for (const codec of codecs) {
	try {
		await follow(codec);
	} catch (error) {
		checks.check(false, `${codec} ran to its end`, error.stack);
	}
}
await browser.close();
process.exit(checks.finish());
