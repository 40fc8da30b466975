// SPDX-License-Identifier: BSD-3-Clause
// What a page saw between two looks at it. A look is { now, frames, counts, consumers }, as the page's
// window.__sfu gives it: the page's clock in ms; by consumer the times at which frames were shown, the
// outcomes of the frame worker, the browser's own counters.

export const least = (values) => Math.min(Infinity, ...values);
export const most = (values) => Math.max(-Infinity, ...values);

/**
 * What each video consumer of a page did between two looks.
 * @return array of { id, from, source, shown, decoded, gap }: frames a second that the page was called
 *         back for and that the decoder gave; the longest time in ms without a call, edges included
 */
export function videoBetween(before, after)
{
	const seconds = (after.now - before.now) / 1000;

	return Object.entries(after.consumers).filter(([, { kind }]) => kind === 'video')
		.map(([id, { framesDecoded }]) => {
			const { device, source, times } = after.frames[id] ?? { times: [] };
			const within = times.filter((time) => time >= before.now && time <= after.now);
			const marks = [before.now, ...within, after.now];

			return { id, from: device, source, shown: within.length / seconds,
				decoded: (framesDecoded - (before.consumers[id]?.framesDecoded ?? 0)) / seconds,
				gap: Math.max(...marks.slice(1).map((time, i) => time - marks[i])) };
		});
}

/** @return for each audio consumer { opened, played }: frames opened and samples played, a second */
function soundBetween(before, after)
{
	const seconds = (after.now - before.now) / 1000;

	return Object.keys(after.consumers)
		.filter((id) => after.consumers[id].kind === 'audio')
		.map((id) => ({
			opened: ((after.counts[id]?.ok ?? 0) - (before.counts[id]?.ok ?? 0)) / seconds,
			played: (after.consumers[id].totalSamplesReceived
				- (before.consumers[id]?.totalSamplesReceived ?? 0)) / seconds,
		}));
}

/** @return frames that the page's worker did not open, of all consumers or of those named */
export const refusedBetween = (before, after, ids = Object.keys(after.consumers)) => Object
	.entries(after.counts)
	.filter(([id]) => ids.includes(id))
	.reduce((sum, [id, { noKey, forged, replayed, malformed }]) => {
		const old = before.counts[id] ?? { noKey: 0, forged: 0, replayed: 0, malformed: 0 };

		return sum + noKey + forged + replayed + malformed
			- old.noKey - old.forged - old.replayed - old.malformed;
	}, 0);

/** @return the longest gaps in ms of those who were received before and are there afterwards */
export function gapsOfStayers(before, after, present)
{
	return before.flatMap((old, i) => videoBetween(old, after[i])
		.filter(({ id, from }) => present.includes(from) && id in old.frames)
		.map(({ gap }) => gap));
}

/** @return what was worst in a call between two looks at all its pages, and what it is the worst of */
export function worstBetween(before, after)
{
	const videos = before.flatMap((look, i) => videoBetween(look, after[i]));
	const sounds = before.flatMap((look, i) => soundBetween(look, after[i]));

	return { videos, sounds,
		decoded: least(videos.map(({ decoded }) => decoded)),
		shown: least(videos.map(({ shown }) => shown)),
		gap: most(videos.map(({ gap }) => gap)),
		opened: least(sounds.map(({ opened }) => opened)),
		played: least(sounds.map(({ played }) => played)) };
}
