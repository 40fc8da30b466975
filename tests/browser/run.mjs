// SPDX-License-Identifier: BSD-3-Clause
// A call as people would see it, against a running system whose page is at SFU_URL (or the first
// argument). Starts browsers only. One line per check; with SHOT_PREFIX it leaves screenshots in tests/out/
// whose names begin so. PARTS=wholeCall,buttons runs some of the parts, WATCH_MS watches longer. DIRECT_CALL
// names a file that keeps what a direct call showed (limits.mjs),
// for the other tests of one run of the suite.

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { loadavg } from 'node:os';

import { directCall } from './direct.mjs';
import { gapsOfStayers, least, most, refusedBetween, videoBetween, worstBetween } from './figures.mjs';
import { Limits } from './limits.mjs';
import { Checks, launch, sleep } from './support.mjs';

const BASE = process.argv[2] ?? process.env.SFU_URL;
const OUT = new URL('../out/', import.meta.url);
const SHOT_PREFIX = process.env.SHOT_PREFIX ?? '';
const WATCH_MS = Number(process.env.WATCH_MS ?? 20000);
const LEAST_FPS = 12;
/** Opus: 50 packets a second, 48,000 samples a second. */
const LEAST_SOUND_FPS = 45;
const LEAST_SAMPLES = 44000;
const LONGEST_GAP_MS = 500;
/** While somebody comes or goes: a page that starts or ends takes its share of the processor. */
const LONGEST_GAP_AT_CHANGE_MS = 1000;
const DIRECT_WATCH_MS = 6000;
const LATE_JOIN_MS = Number(process.env.LATE_JOIN_MS ?? 2000);
/** Until people are in a call: no time is promised, whoever takes longer hangs. */
const SETUP_MS = 60000;
const BLACKOUT_MS = 2000;
/** Both ends of the path between browsers and data plane. */
const PATH_IFS = (process.env.PATH_IFS ?? '').split(',').filter(Boolean);
/** No time is promised for a rekey; whoever takes longer hangs. */
const REKEY_MS = 20000;
/** A data plane is awaited by its own process, starts, and a key frame comes. */
const DEATH_GAP_MS = 1500;
/** Chromium checks a path in use so often. */
const CHECK_MS = 2500;
/** A bad network that can be told things, and where to write what it was told when. */
const { IMPAIR, IMPAIR_SOCKET, EVENTS } = process.env;
const DIRECT_CALL = process.env.DIRECT_CALL ?? '';
const KILL_DIR = process.env.KILL_DIR ?? '';
/** The page's own limit for that size is the least it sets. */
const CAMERA = { width: 320, height: 180, fps: 15, maxBitrate: 150000 };
const NAMES = ['Ada Lovelace', 'Grace Hopper', 'Edsger Dijkstra', 'Barbara Liskov', 'Donald Knuth'];
const run = Date.now().toString(36);

if (!BASE) {
	console.error('usage: SFU_URL=http://127.0.0.1:8888/ node run.mjs');
	process.exit(2);
}

const browser = await launch();
const checks = new Checks();
const limits = new Limits(checks, {
	async hold()
	{
		const figures = await directCall(browser, NAMES, CAMERA, DIRECT_WATCH_MS);

		if (DIRECT_CALL)
			writeFileSync(DIRECT_CALL, JSON.stringify(figures));
		return figures;
	},
	kept: () => (existsSync(DIRECT_CALL) ? JSON.parse(readFileSync(DIRECT_CALL, 'utf8')) : null),
});

await mkdir(OUT, { recursive: true });

/** One person's page. */
class Participant {
	constructor(name)
	{
		this.name = name;
	}

	/** @param options query of the page; @param link its hash */
	async enter(options, link)
	{
		this.isBare = 'noui' in options;
		const { width, height, fps } = CAMERA;
		const query = new URLSearchParams({ auto: 1, width, height, fps, name: this.name, ...options });

		this.context = await browser.newContext({ viewport: { width: 640, height: 400 } });
		this.page = await this.context.newPage();
		this.page.on('pageerror', (error) => console.log(`# ${this.name}: ${error.message}`));
		await this.page.goto(`${BASE.replace(/\/+$/, '')}/?${query}#${link}`);
		return this;
	}

	async exit()
	{
		await this.page.evaluate(() => window.__sfu.leave());
		await this.context.close();
	}

	state()
	{
		return this.page.evaluate(() => {
			const { state, epoch, sendingEpoch, isReady, troubles, deviceId } = window.__sfu;
			const peers = window.__sfu.peers().filter(({ device }) => device !== deviceId);

			return { state, epoch, sendingEpoch, isReady, troubles, deviceId,
				names: peers.map(({ name }) => name),
				streams: peers.flatMap(({ streams }) => streams).filter(({ consumerId }) => consumerId).length };
		});
	}

	/** Everything that is counted, with the page's own clock. */
	look()
	{
		return this.page.evaluate(async () => {
			const consumers = await window.__sfu.inbound();
			const counts = await window.__sfu.counts();

			return { now: window.__sfu.now(), joinSentAt: window.__sfu.joinSentAt,
				frames: window.__sfu.frames(), counts, consumers };
		});
	}
}

/** Wait until `holds(state)` is true for each of them. */
async function until(people, holds, ms)
{
	const end = Date.now() + ms;
	let states;

	do {
		states = await Promise.all(people.map((person) => person.state().catch((e) => ({ gone: String(e) }))));
		if (states.every(holds))
			return { ok: true, states };
		await sleep(100);
	} while (Date.now() < end);
	return { ok: false, states };
}

const settled = (others, streams = 2 * others) => ({ state, names, streams: has, isReady, epoch,
	sendingEpoch }) => state === 'joined' && names.length === others && has >= streams && isReady
	&& sendingEpoch === epoch;

/** Watch a call in which everybody receives everybody for a while and judge what was seen. */
async function watch(what, people, ms, by = limits)
{
	const before = await Promise.all(people.map((person) => person.look()));

	await sleep(ms);
	const after = await Promise.all(people.map((person) => person.look()));
	const { videos, sounds, decoded, shown, gap, opened, played } = worstBetween(before, after);
	const wanted = people.length * (people.length - 1);
	const seconds = ms / 1000;

	checks.check(videos.length === wanted && sounds.length === wanted,
		`${what}: ${videos.length} videos and ${sounds.length} sounds of ${wanted}`);
	by.atLeast('decoded', decoded, LEAST_FPS, `${what}: each video at least ${decoded.toFixed(1)} frames/s decoded (${
		shown.toFixed(1)} called back) over ${seconds} s`, videos);
	by.atMost('gap', gap, LONGEST_GAP_MS, `${what}: longest gap between frames ${Math.round(gap)} ms`,
		videos.filter((video) => video.gap > LONGEST_GAP_MS));
	by.atLeast('opened', opened, LEAST_SOUND_FPS, `${what}: each sound at least ${
		opened.toFixed(1)} frames/s opened`, sounds);
	by.atLeast('played', played, LEAST_SAMPLES, `${what}: each sound at least ${
		Math.round(played)} samples/s played`, sounds);
	const refused = before.map((look, i) => refusedBetween(look, after[i]));

	checks.check(most(refused) === 0, `${what}: no frame refused by a receiver`, refused);
}

/** Between those who were there before and after, a rekey must cost no frame. */
async function judgeChange(what, figure, people, before, present)
{
	const after = await Promise.all(people.map((person) => person.look()));
	const gaps = gapsOfStayers(before, after, present);
	const refused = before.map((old, i) => refusedBetween(old, after[i], Object.keys(old.consumers)));

	limits.atMost(figure, most(gaps), LONGEST_GAP_AT_CHANGE_MS,
		`${what}: the others go on, longest gap ${Math.round(most(gaps))} ms`, gaps);
	checks.check(most(refused) === 0, `${what}: no frame of those who stay is refused`, refused);
}

function gather(names, options, room)
{
	return Promise.all(names.map((name) => new Participant(name).enter(options, `room=${room}`)));
}

/** What a person would see; drawn only for the picture, so that drawing does not slow the call. */
async function shoot(person, file, viewport = { width: 1280, height: 800 })
{
	const small = person.page.viewportSize();

	if (!SHOT_PREFIX)
		return;
	await person.page.setViewportSize(viewport);
	await person.page.evaluate(() => window.__sfu.setBare(false));
	await sleep(1500);
	await person.page.screenshot({ path: new URL(SHOT_PREFIX + file, OUT).pathname });
	await person.page.evaluate((wasBare) => window.__sfu.setBare(wasBare), person.isBare);
	await person.page.setViewportSize(small);
}

/** Four people; a fifth comes late; one goes. */
async function wholeCall()
{
	const room = `call-${run}`;
	const people = await gather(NAMES.slice(0, 4), { noui: 1 }, room);
	const { ok, states } = await until(people, settled(3), SETUP_MS);

	if (!checks.check(ok, 'four people are in a call, everybody consumes everybody', states))
		return;
	await sleep(2000);
	await watch('four people', people, WATCH_MS);

	const beforeJoin = await Promise.all(people.map((person) => person.look()));
	const fifth = await new Participant(NAMES[4]).enter({ noui: 1 }, `room=${room}`);
	const joined = await until([...people, fifth], settled(4), SETUP_MS);

	checks.check(joined.ok, 'a fifth has joined and everybody has rekeyed', joined.states);
	await sleep(2000);
	const late = await fifth.look();
	const firsts = Object.values(late.frames).map(({ first }) => Math.round(first - late.joinSentAt));

	const calledBack = Object.values(late.frames).map(
		({ firstCalledBack }) => Math.round(firstCalledBack - late.joinSentAt));

	checks.check(firsts.length === 4, `the fifth sees ${firsts.length} of 4`);
	limits.atMost('lateJoin', most(firsts), LATE_JOIN_MS,
		`the fifth decodes all four ${most(firsts)} ms after sending ROOM_JOIN (called back after ${
			most(calledBack)})`, firsts);
	await judgeChange('the join', 'gapAtJoin', people, beforeJoin, joined.states.map(({ deviceId }) => deviceId));
	await shoot(people[0], 'call-five.png');

	const stay = [people[0], people[1], people[2], fifth];
	const [{ epoch }] = joined.states;
	const beforeLeave = await Promise.all(stay.map((person) => person.look()));

	await people[3].exit();
	const left = await until(stay, (state) => settled(3)(state) && state.epoch > epoch, REKEY_MS);

	checks.check(left.ok, `one has left, the others rekeyed from epoch ${epoch} to ${
		left.states[0].epoch}`, left.states);
	await sleep(1000);
	await judgeChange('the leave', 'gapAtLeave', stay, beforeLeave, left.states.map(({ deviceId }) => deviceId));
	await shoot(stay[0], 'call-four.png');
	await shoot(stay[0], 'call-phone.png', { width: 390, height: 844 });
	await Promise.all(stay.map((person) => person.exit()));
}

/** The reference client's frames, whose first octet is the epoch: odd and even must both work. */
async function referenceFrames()
{
	const people = await gather(NAMES.slice(0, 4),
		{ noui: 1, format: 'reference', rekey: 'manual' }, `reference-${run}`);
	const { ok, states } = await until(people, settled(3), SETUP_MS);

	if (!checks.check(ok, 'reference format: four people are in a call', states))
		return;
	for (const epoch of [1, 2]) {
		await people[0].page.evaluate(() => window.__sfu.rekey());
		const rekeyed = await until(people, (state) => settled(3)(state) && state.epoch === epoch,
			REKEY_MS);

		checks.check(rekeyed.ok, `reference format: everybody is at epoch ${epoch}`, rekeyed.states);
		await sleep(2000);
		await watch(`reference format, epoch ${epoch}`, people, WATCH_MS);
	}
	await Promise.all(people.map((person) => person.exit()));
}

/** What the buttons do, as the other one sees it; with VP8, whose frames keep their header clear. */
async function buttons()
{
	const people = await gather(NAMES.slice(0, 2), { codec: 'VP8' }, `buttons-${run}`);
	const [ada, grace] = people;
	const { ok, states } = await until(people, settled(1), SETUP_MS);

	if (!checks.check(ok, 'two people are in a call', states))
		return;
	await sleep(1500);
	// A machine that cannot do two is no machine for calls.
	await watch('VP8', people, Math.min(WATCH_MS, 6000), new Limits(checks));

	await ada.page.click('#camera');
	await grace.page.locator(`figure:has-text("${ada.name}").blank`).waitFor({ timeout: 5000 })
		.then(() => checks.check(true, 'camera off: the other sees initials'),
			(error) => checks.check(false, 'camera off: the other sees initials', error.message));
	await sleep(700); // what was on its way
	const dark = await grace.look();

	await sleep(1500);
	const still = videoBetween(dark, await grace.look());

	checks.check(most(still.map(({ decoded }) => decoded)) <= 1, 'camera off: no video flows', still);
	await ada.page.click('#camera');
	await sleep(1500);
	const bright = await grace.look();

	await sleep(2000);
	const again = videoBetween(bright, await grace.look());

	checks.check(least(again.map(({ decoded }) => decoded)) >= LEAST_FPS, 'camera on: video flows again', again);

	await ada.page.click('#screen');
	const shared = await until([grace], ({ streams }) => streams === 3, 5000);
	const seen = await grace.page.locator('figure.screen:not(.blank)').waitFor({ timeout: 5000 })
		.then(() => true, () => false);

	checks.check(shared.ok && seen, 'a shared screen is shown as such', shared.states);
	await shoot(grace, 'call-screen.png');
	await ada.page.click('#screen');
	const unshared = await until([grace], ({ streams }) => streams === 2, 5000);

	checks.check(unshared.ok, 'the shared screen goes away', unshared.states);
	await Promise.all(people.map((person) => person.exit()));
}

/** Someone who knows the room's name but not the secret of its link gets packets and no picture. */
async function stranger()
{
	const room = `closed-${run}`;
	const ada = await new Participant(NAMES[0]).enter({ noui: 1 }, `room=${room}&k=the-right-secret`);
	const grace = await new Participant(NAMES[1]).enter({ noui: 1 }, `room=${room}&k=the-right-secret`);
	const eve = await new Participant('Eve').enter({ noui: 1 }, `room=${room}&k=a-wrong-secret`);

	await until([ada, grace, eve], settled(2), SETUP_MS);
	await sleep(4000);
	const [seenByAda, seenByEve] = [await ada.look(), await eve.look()];
	const eveIs = (await eve.state()).deviceId;
	const graceIs = (await grace.state()).deviceId;
	const opened = Object.values(seenByEve.counts).reduce((sum, { ok = 0 }) => sum + ok, 0);
	const refused = Object.values(seenByEve.counts).reduce((sum, { noKey = 0 }) => sum + noKey, 0);
	const from = (device) => Object.values(seenByAda.frames)
		.filter((entry) => entry.device === device).reduce((sum, { count }) => sum + count, 0);

	checks.check(opened === 0 && refused > 0 && Object.keys(seenByEve.frames).length === 0,
		`without the link's secret: ${refused} frames received, ${opened} opened`);
	checks.check(from(eveIs) === 0 && from(graceIs) > 0,
		`the others see each other (${from(graceIs)} frames) and not the stranger (${from(eveIs)})`);
	await Promise.all([ada, grace, eve].map((person) => person.exit()));
}

/** New ICE credentials and addresses in the middle of a call, asked for by the page. */
async function iceRestart()
{
	const people = await gather(NAMES.slice(0, 2), { noui: 1 }, `ice-${run}`);
	const { ok, states } = await until(people, settled(1), SETUP_MS);

	if (!checks.check(ok, 'two people are in a call', states))
		return;
	await sleep(2000);
	const pathsOf = () => Promise.all(people.map(({ page }) => page.evaluate(() => window.__sfu.paths())));
	const before = await Promise.all(people.map((person) => person.look()));
	const oldPaths = await pathsOf();

	await Promise.all(people.map(({ page }) => page.evaluate(() => window.__sfu.restartIce())));
	await sleep(4000);
	const after = await Promise.all(people.map((person) => person.look()));
	const newPaths = await pathsOf();
	const local = (paths) => paths.flat().map(({ local: path }) => path);
	const lost = before.flatMap((look, i) => Object.entries(after[i].consumers)
		.map(([id, { packetsLost }]) => packetsLost - (look.consumers[id]?.packetsLost ?? 0)));
	const received = before.flatMap((look, i) => Object.entries(after[i].consumers)
		.map(([id, { packetsReceived }]) => packetsReceived - (look.consumers[id]?.packetsReceived ?? 0)));
	const gaps = before.flatMap((look, i) => videoBetween(look, after[i]).map(({ gap }) => gap));

	console.log(`# from ${local(oldPaths)} to ${local(newPaths)}`);
	checks.check(local(newPaths).length === 4 && local(newPaths).every((path) => !local(oldPaths).includes(path)),
		'ICE restart: all four transports are on new paths', newPaths);
	checks.check(lost.length === 4 && lost.every((count) => count === 0) && least(received) > 50,
		`ICE restart: 0 of ${received.reduce((a, b) => a + b)} packets lost`, { lost, received });
	checks.check(most(gaps) <= LONGEST_GAP_MS, `ICE restart: longest gap between frames ${Math.round(most(gaps))} ms`);
	await Promise.all(people.map((person) => person.exit()));
}

/** Nothing gets through for two seconds, in either direction; PATH_IFS names both ends of the path. */
async function blackout()
{
	const people = await gather(NAMES.slice(0, 2), { noui: 1 }, `dark-${run}`);
	const { ok, states } = await until(people, settled(1), SETUP_MS);
	const tc = (names, ...words) => names.forEach((name) => execFileSync('tc', ['qdisc', words[0], 'dev', name,
		'root', ...words.slice(1)]));
	const ufrags = async () => (await Promise.all(people.map(({ page }) => page.evaluate(
		() => window.__sfu.paths())))).flat().map(({ local }) => local);

	if (!checks.check(ok, 'two people are in a call', states))
		return;
	await sleep(3000);
	const paths = await ufrags();
	const before = await Promise.all(people.map((person) => person.look()));

	tc(PATH_IFS, 'replace', 'blackhole');
	await sleep(BLACKOUT_MS);
	// Its end is one moment: toward the pages first, or what is asked for with their first packet is still lost.
	tc([...PATH_IFS].reverse(), 'del');
	// By the pages' clocks; what it takes to ask counts against us.
	const ends = await Promise.all(people.map(({ page }) => page.evaluate(() => window.__sfu.now())));

	await sleep(3000);
	const after = await Promise.all(people.map((person) => person.look()));
	const back = after.flatMap((look, i) => Object.values(look.frames).map(({ times }) => Math.round(
		Math.min(Infinity, ...times.filter((time) => time > ends[i])) - ends[i])));
	const gaps = before.flatMap((look, i) => videoBetween(look, after[i]).map(({ gap }) => gap));

	checks.check(least(gaps) >= BLACKOUT_MS - 200, `blackout: no picture for ${Math.round(least(gaps))} ms`, gaps);
	checks.check(back.length === 2 && most(back) <= LONGEST_GAP_MS,
		`blackout of ${BLACKOUT_MS} ms: picture again ${most(back)} ms after its end`, back);
	checks.check(String(await ufrags()) === String(paths), 'blackout: no ICE restart, the same paths as before');
	await Promise.all(people.map((person) => person.exit()));
}

/** Have the shell kill something (tests/chaos/browser_test.sh); it takes the file away when it has. */
async function kill(what)
{
	writeFileSync(`${KILL_DIR}/${what}`, '');
	while (existsSync(`${KILL_DIR}/${what}`))
		await sleep(50);
}

/** Either plane dies in the middle of a call: nobody in it should notice much. */
async function deaths()
{
	const people = await gather(NAMES.slice(0, 2), { noui: 1 }, `death-${run}`);
	const { ok, states } = await until(people, settled(1), SETUP_MS);
	const pathsOf = async () => String((await Promise.all(people.map(({ page }) => page.evaluate(
		() => window.__sfu.paths())))).flat().map(({ local }) => local));

	if (!checks.check(ok, 'two people are in a call', states))
		return;
	await sleep(3000);
	const paths = await pathsOf();

	for (const [what, name, most_ms] of [['ctl', 'control plane', LONGEST_GAP_MS], ['dp', 'data plane', DEATH_GAP_MS]]) {
		const before = await Promise.all(people.map((person) => person.look()));

		await kill(what);
		await sleep(5000);
		const after = await Promise.all(people.map((person) => person.look()));
		const { videos, gap: exact } = worstBetween(before, after);
		const gap = Math.round(exact);
		const { epoch } = await people[0].state();

		checks.check(videos.length === 2 && gap <= most_ms,
			`the ${name} dies: longest gap between frames ${gap} ms, limit ${most_ms}`, videos);
		checks.check(await pathsOf() === paths, `the ${name} dies: no new paths, no new stay`);
		// Whoever can rekey has signalling, and is known to be who they were.
		await people[0].page.evaluate(() => window.__sfu.rekey());
		const rekeyed = await until(people, (state) => settled(1)(state) && state.epoch > epoch, REKEY_MS);

		checks.check(rekeyed.ok, `the ${name} died: signalling goes on, from epoch ${epoch}`, rekeyed.states);
		await sleep(1000);
	}
	await Promise.all(people.map((person) => person.exit()));
}

/** For a network that loses packets: the picture does not stand still. */
async function lossy()
{
	const people = await gather(NAMES.slice(0, 2), { noui: 1 }, `lossy-${run}`);
	const { ok, states } = await until(people, settled(1), SETUP_MS);

	if (!checks.check(ok, 'two people are in a call', states))
		return;
	await sleep(3000);
	const before = await Promise.all(people.map((person) => person.look()));

	await sleep(WATCH_MS);
	const after = await Promise.all(people.map((person) => person.look()));
	const { videos, gap, decoded } = worstBetween(before, after);
	const lost = before.flatMap((look, i) => Object.entries(after[i].consumers)
		.map(([id, { packetsLost }]) => packetsLost - (look.consumers[id]?.packetsLost ?? 0)));

	console.log(`# packets lost for good, each consumer: ${lost}`);
	checks.check(videos.length === 2 && gap <= LONGEST_GAP_MS,
		`loss: longest gap between frames ${Math.round(gap)} ms over ${WATCH_MS / 1000} s`, videos);
	checks.check(decoded >= LEAST_FPS, `loss: at least ${decoded.toFixed(1)} frames/s decoded`, videos);
	await Promise.all(people.map((person) => person.exit()));
}

/** A NAT forgets everybody: new ports and a new address, which no page knows of. */
async function rebound()
{
	const people = await gather(NAMES.slice(0, 2), { noui: 1 }, `rebound-${run}`);
	const { ok, states } = await until(people, settled(1), SETUP_MS);
	const tell = (...words) => execFileSync(IMPAIR, ['--tell', IMPAIR_SOCKET, ...words], { encoding: 'utf8' });
	const clocks = () => Promise.all(people.map(({ page }) => page.evaluate(() => window.__sfu.now())));

	if (!checks.check(ok, 'two people are in a call', states))
		return;
	await sleep(3000);
	const before = await Promise.all(people.map((person) => person.look()));
	const changes = await clocks();
	const { t } = JSON.parse(tell('summary'));

	tell('rebind', '198.18.99.77');
	writeFileSync(EVENTS, `rebind ${t}\n`);
	await sleep(6000);
	const after = await Promise.all(people.map((person) => person.look()));
	const { videos, gap } = worstBetween(before, after);
	const back = after.flatMap((look, i) => Object.values(look.frames).map(({ times }) => {
		// The first behind the hole: some are on their way while the address changes.
		const late = times.filter((time) => time > changes[i]);
		const hole = late.findIndex((time, k) => k && time - late[k - 1] > LONGEST_GAP_MS);

		return Math.round((late[Math.max(hole, 0)] ?? Infinity) - changes[i]);
	}));

	checks.check(back.length === 2 && most(back) <= CHECK_MS + 1000,
		`new addresses: picture again ${most(back)} ms after, where pages check every ${CHECK_MS} ms`, back);
	checks.check(videos.length === 2 && gap <= CHECK_MS + 1000,
		`new addresses: longest gap between frames ${Math.round(gap)} ms`, videos);
	await Promise.all(people.map((person) => person.exit()));
}

/** Only when named: their network is another one. */
const onlyNamed = { lossy, deaths, rebound };
const parts = { wholeCall, referenceFrames, buttons, stranger, iceRestart, blackout };
const chosen = process.env.PARTS?.split(',') ?? Object.keys(parts);

for (const name of chosen) {
	// Frames that come late are the machine's fault when more wants to run than it has processors.
	console.log(`# ${name}, load average ${loadavg().map((load) => load.toFixed(1)).join(' ')}`);
	try {
		await ({ ...parts, ...onlyNamed })[name]();
	} catch (error) {
		checks.check(false, `${name} ran to its end`, error.stack);
	}
	for (const context of browser.contexts())
		await context.close();
}
console.log(`# load average ${loadavg().map((load) => load.toFixed(1)).join(' ')}`);
await limits.settle().catch((error) => checks.check(false, 'the direct call was held', error.stack));
await browser.close();
process.exit(checks.finish());
