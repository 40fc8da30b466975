// SPDX-License-Identifier: BSD-3-Clause
// What the browser checks share: starting Chromium, counting verdicts, reading frame times.

import { existsSync } from 'node:fs';

import { chromium } from 'playwright-core';

const FLAGS = [
	'--no-sandbox',
	'--disable-gpu',
	'--disable-quic',
	'--no-first-run',
	'--disable-background-networking',
	'--disable-component-update',
	'--disable-sync',
	'--use-fake-device-for-media-stream',
	'--use-fake-ui-for-media-stream',
	'--auto-accept-this-tab-capture',
	'--autoplay-policy=no-user-gesture-required',
	'--mute-audio',
	// A test page is nobody's foreground, and must not be slowed down for it.
	'--disable-background-timer-throttling',
	'--disable-renderer-backgrounding',
	'--disable-backgrounding-occluded-windows',
];

/** Features of Chromium that are switched off; one list, since only the last flag counts. */
const OFF = 'WebRtcHideLocalIpsWithMdns,CalculateNativeWinOcclusion,MediaRouter,Translate';

export function launch(extra = [])
{
	const executablePath = process.env.CHROMIUM
		?? ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);

	return chromium.launch({ executablePath, headless: true,
		args: ['--headless=new', `--disable-features=${OFF}`, ...FLAGS, ...extra] });
}

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** One line for each verdict, as other test programs of this tree print them. */
export class Checks {
	#failed = 0;
	#made = 0;

	check(holds, what, detail)
	{
		this.#made++;
		if (holds) {
			console.log(`ok - ${what}`);
			return true;
		}
		this.#failed++;
		console.log(`not ok - ${what}`);
		if (detail !== undefined)
			console.log(`# ${JSON.stringify(detail)}`);
		return false;
	}

	/** @return exit status */
	finish()
	{
		console.log(`# ${this.#made} checks, ${this.#failed} failed`);
		return this.#failed === 0 && this.#made > 0 ? 0 : 1;
	}
}
