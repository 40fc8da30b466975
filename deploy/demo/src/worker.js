// SPDX-License-Identifier: BSD-3-Clause
// The encoded transform: every frame that leaves is sealed, every frame that arrives is opened or
// dropped. There is no way through here in clear, in either direction.

import { FrameKeys, OUTCOMES } from './frame_keys.js';

let keys = null;
const streams = new Map(); // id -> counts

/** Mime type of the frame; the page names it when the browser does not. */
function codecOf(frame, options)
{
	return (frame.getMetadata?.().mimeType || options.codec || '').toLowerCase();
}

function sealer(options)
{
	const counts = { sealed: 0, withheld: 0 };

	streams.set(options.id, counts);
	return async (frame, controller) => {
		const sealed = await keys?.seal(new Uint8Array(frame.data), codecOf(frame, options));

		if (!sealed) {
			counts.withheld++;
			return;
		}
		frame.data = sealed.buffer;
		counts.sealed++;
		controller.enqueue(frame);
	};
}

function opener(options, requestKeyFrame)
{
	const counts = Object.fromEntries(OUTCOMES.map((name) => [name, 0]));
	const replay = FrameKeys.stream();
	let broken = true;

	streams.set(options.id, counts);
	return async (frame, controller) => {
		const { outcome, frame: opened } = await (keys?.open(options.device, replay,
			new Uint8Array(frame.data), codecOf(frame, options)) ?? { outcome: 'noKey' });

		counts[outcome]++;
		if (outcome !== 'ok') {
			broken = true;
			return;
		}
		// The decoder has missed frames: it can go on from a key frame only, and would
		// wait a while before it asked for one.
		if (broken && frame.type === 'delta')
			requestKeyFrame();
		broken = false;
		frame.data = opened.buffer;
		controller.enqueue(frame);
	};
}

function attach(readable, writable, options, transformer)
{
	const requestKeyFrame = () => {
		const asked = transformer?.sendKeyFrameRequest?.();

		if (asked)
			asked.catch(() => postMessage({ op: 'key-frame-wanted', id: options.id }));
		else
			postMessage({ op: 'key-frame-wanted', id: options.id });
	};
	const transform = options.role === 'send' ? sealer(options) : opener(options, requestKeyFrame);

	readable.pipeThrough(new TransformStream({ transform }))
		.pipeTo(writable)
		.catch(() => {}) // the track ended
		.finally(() => streams.delete(options.id));
}

self.onrtctransform = ({ transformer }) => {
	attach(transformer.readable, transformer.writable, transformer.options, transformer);
};

// Strictly in the order in which the page sent them, although deriving a key is asynchronous.
let turn = Promise.resolve();
const handlers = {
	'init': ({ format }) => { keys = new FrameKeys(format); },
	'send-key': async ({ epoch, senderTag, secret, wantsKeyFrame }) => {
		await keys.setSendKey(epoch, senderTag, secret);
		if (wantsKeyFrame)
			postMessage({ op: 'send-key-frames' });
	},
	'receive-key': ({ device, epoch, senderTag, secret }) =>
		keys.addReceiveKey(device, epoch, senderTag, secret),
	'forget': ({ device, beforeEpoch }) => keys.forget(device, beforeEpoch),
	'streams': ({ readable, writable, options }) => attach(readable, writable, options, null),
	'counts': ({ ask }) => postMessage({ op: 'counts', ask,
		counts: Object.fromEntries(streams) }),
};

self.onmessage = ({ data }) => {
	turn = turn.then(() => handlers[data.op](data)).catch((error) => {
		postMessage({ op: 'failed', what: data.op, message: String(error) });
	});
};
