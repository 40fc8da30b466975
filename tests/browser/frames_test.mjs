// SPDX-License-Identifier: BSD-3-Clause
// The page's frame worker between two connections of one page: no server, no signalling. Shows that
// what the worker seals travels through Chromium's packetisers and opens on the other side, for each
// codec and format, and that a receiver with another key decodes nothing at all.

import { readFile } from 'node:fs/promises';

import { Checks, launch } from './support.mjs';

const ORIGIN = 'http://localhost:9';
const DIST = new URL('../../deploy/demo/dist/', import.meta.url);
const FRAMES_IN_3_S = 30; // 15 a second, less the start

const browser = await launch();
const checks = new Checks();
const context = await browser.newContext();

await context.route(`${ORIGIN}/**`, async (route) => {
	const name = new URL(route.request().url()).pathname.slice(1);

	if (name === 'worker.js')
		await route.fulfill({ contentType: 'text/javascript', body: await readFile(new URL(name, DIST)) });
	else
		await route.fulfill({ contentType: 'text/html', body: '<!DOCTYPE html><title>frames</title>' });
});

/** Runs in the page: one video stream from one connection to another for three seconds. */
async function sendAndCount({ codec, format, epoch, sameKey })
{
	const worker = new Worker('worker.js');
	const secret = new Uint8Array(16).fill(7);
	const other = new Uint8Array(16).fill(8);
	const sender = new RTCPeerConnection();
	const receiver = new RTCPeerConnection();
	const [track] = (await navigator.mediaDevices.getUserMedia(
		{ video: { width: 320, height: 180, frameRate: 15 } })).getTracks();

	worker.postMessage({ op: 'init', format });
	worker.postMessage({ op: 'send-key', epoch, senderTag: 5, secret });
	worker.postMessage({ op: 'receive-key', device: 'a', epoch, senderTag: 5,
		secret: sameKey ? secret : other });
	sender.onicecandidate = ({ candidate }) => receiver.addIceCandidate(candidate);
	receiver.onicecandidate = ({ candidate }) => sender.addIceCandidate(candidate);

	const transceiver = sender.addTransceiver(track, { direction: 'sendonly' });

	transceiver.setCodecPreferences(RTCRtpSender.getCapabilities('video').codecs
		.filter(({ mimeType }) => mimeType === `video/${codec}`));
	transceiver.sender.transform = new RTCRtpScriptTransform(worker, { role: 'send', id: 's' });
	receiver.ontrack = ({ receiver: rtp, track: remote }) => {
		rtp.transform = new RTCRtpScriptTransform(worker, { role: 'recv', id: 'r', device: 'a' });
		const video = document.createElement('video');

		video.muted = video.autoplay = true;
		video.srcObject = new MediaStream([remote]);
		document.body.append(video);
	};
	await sender.setLocalDescription();
	await receiver.setRemoteDescription(sender.localDescription);
	await receiver.setLocalDescription();
	await sender.setRemoteDescription(receiver.localDescription);
	await new Promise((done) => setTimeout(done, 3500));

	const counts = await new Promise((done) => {
		worker.onmessage = ({ data }) => data.op === 'counts' && done(data.counts);
		worker.postMessage({ op: 'counts', ask: 0 });
	});
	const stats = [...(await receiver.getStats()).values()].find(({ type }) => type === 'inbound-rtp');

	sender.close();
	receiver.close();
	track.stop();
	return { decoded: stats?.framesDecoded ?? 0, received: stats?.framesReceived ?? 0, counts };
}

const rows = [
	{ codec: 'VP9', format: 'sframe', epoch: 1, sameKey: true },
	{ codec: 'VP8', format: 'sframe', epoch: 1, sameKey: true },
	{ codec: 'VP9', format: 'reference', epoch: 1, sameKey: true },
	{ codec: 'VP9', format: 'reference', epoch: 2, sameKey: true },
	{ codec: 'VP9', format: 'sframe', epoch: 1, sameKey: false },
	{ codec: 'VP8', format: 'sframe', epoch: 1, sameKey: false },
];

for (const row of rows) {
	const page = await context.newPage();

	await page.goto(`${ORIGIN}/`);
	const { decoded, counts } = await page.evaluate(sendAndCount, row);
	const what = `${row.format} ${row.codec} epoch ${row.epoch}`;

	if (row.sameKey)
		checks.check(decoded >= FRAMES_IN_3_S && counts.r.forged === 0 && counts.r.noKey === 0,
			`${what}: ${decoded} frames decoded in 3 s`, counts);
	else
		checks.check(decoded === 0 && counts.r.forged > 0 && counts.r.ok === 0,
			`${what}, other key: ${counts.r.forged} frames refused, ${decoded} decoded`, counts);
	await page.close();
}
await browser.close();
process.exit(checks.finish());
