// SPDX-License-Identifier: BSD-3-Clause
// When a promise that was not kept is the machine's fault, and when it is ours.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Limits } from './limits.mjs';
import { Checks } from './support.mjs';

/** @return [exit status of the checks, how many direct calls were held] */
async function judged(direct, claim, kept = null)
{
	const checks = new Checks();
	let held = 0;
	const limits = new Limits(checks, {
		hold: async () => {
			held++;
			return direct;
		},
		kept: async () => kept,
	});

	claim(limits);
	await limits.settle();
	return [checks.finish(), held];
}

test('a promise that is kept needs no direct call', async () => {
	assert.deepEqual(await judged({}, (limits) => {
		limits.atMost('gap', 500, 500, 'gap');
		limits.atLeast('decoded', 12, 12, 'decoded');
	}), [0, 0]);
});

test('a machine that keeps it without us does not excuse us', async () => {
	assert.deepEqual(await judged({ gap: 333 }, (limits) => limits.atMost('gap', 501, 500, 'gap')), [1, 1]);
	assert.deepEqual(await judged({ decoded: 15 }, (limits) => limits.atLeast('decoded', 11.9, 12, 'decoded')), [1, 1]);
});

test('on a machine that does not, half as much again is ours to lose', async () => {
	const gap = (is) => judged({ gap: 1000 }, (limits) => limits.atMost('gap', is, 500, 'gap'));
	const decoded = (is) => judged({ decoded: 10 }, (limits) => limits.atLeast('decoded', is, 12, 'decoded'));

	assert.deepEqual(await gap(1500), [0, 1]);
	assert.deepEqual(await gap(1501), [1, 1]);
	assert.deepEqual(await decoded(8), [0, 1]);
	assert.deepEqual(await decoded(7.9), [1, 1]);
});

test('what was not seen at all is a failure, without asking', async () => {
	for (const is of [NaN, Infinity, -Infinity, undefined]) {
		assert.deepEqual(await judged({ gap: 1e9 }, (limits) => limits.atMost('gap', is, 500, 'gap')), [1, 0]);
		assert.deepEqual(await judged({ decoded: 0 }, (limits) => limits.atLeast('decoded', is, 12, 'decoded')), [1, 0]);
	}
});

test('a figure that the direct call does not have excuses nothing', async () => {
	await assert.rejects(judged({}, (limits) => limits.atMost('gap', 600, 500, 'gap')));
});

test('what was kept of an earlier call excuses, and does not accuse', async () => {
	const gap = (is, now, kept) => judged({ gap: now }, (limits) => limits.atMost('gap', is, 500, 'gap'), { gap: kept });

	assert.deepEqual(await gap(900, 200, 600), [0, 0]);
	assert.deepEqual(await gap(900, 600, 200), [0, 1]);
	assert.deepEqual(await gap(901, 600, 600), [1, 1]);
});

test('without a direct call every promise is judged at once', async () => {
	for (const [is, status] of [[500, 0], [501, 1]]) {
		const checks = new Checks();

		new Limits(checks).atMost('gap', is, 500, 'gap');
		assert.equal(checks.finish(), status);
	}
});

test('one direct call judges all', async () => {
	assert.deepEqual(await judged({ gap: 400, lateJoin: 3000 }, (limits) => {
		limits.atMost('gap', 550, 500, 'gap');
		limits.atMost('lateJoin', 4000, 2000, 'join');
	}), [0, 1]);
});
