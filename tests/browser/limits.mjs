// SPDX-License-Identifier: BSD-3-Clause
// Figures in which the machine has a part: whoever encodes and decodes in software on a machine that
// cannot do it in time misses frames, whatever is in between. A figure that keeps its promise is judged
// at once. One that does not is judged at the end, beside what the same call had in the same minute with
// nothing of ours in between (direct.mjs): where that one kept the promise well, nothing is forgiven.

/** A figure that should be small may be so many times what the direct call had. */
const TIMES = 1.5;
/** One that should be great must be this part of it: 12 frames a second of 15. */
const PART = 0.8;

export class Limits {
	#checks;
	#direct;
	#missed = [];

	/** @param direct function that holds the direct call and gives its figures by name; without one all is judged at once */
	constructor(checks, direct = null)
	{
		this.#checks = checks;
		this.#direct = direct;
	}

	/** @param figure name of the direct call's figure; @param what the line, without the limit */
	atMost(figure, is, limit, what, detail)
	{
		this.#judge({ figure, is, limit, what, detail, holds: is <= limit,
			allowed: (direct) => Math.max(limit, TIMES * direct), keeps: (allowed) => is <= allowed });
	}

	atLeast(figure, is, limit, what, detail)
	{
		this.#judge({ figure, is, limit, what, detail, holds: is >= limit,
			allowed: (direct) => Math.min(limit, PART * direct), keeps: (allowed) => is >= allowed });
	}

	#judge(claim)
	{
		// What is not a number was not seen at all, and no machine is slow enough for that.
		if (claim.holds || !Number.isFinite(claim.is) || !this.#direct)
			this.#checks.check(claim.holds && Number.isFinite(claim.is), `${claim.what}, limit ${claim.limit}`,
				claim.detail);
		else
			this.#missed.push(claim);
	}

	/** Judge what is left. To be called when nobody is in a call any more. */
	async settle()
	{
		if (this.#missed.length === 0)
			return;
		console.log(`# ${this.#missed.length} promises not kept: what does this machine do without us?`);
		const direct = await this.#direct();

		console.log(`# direct call: ${JSON.stringify(direct)}`);
		for (const { figure, what, limit, detail, allowed, keeps } of this.#missed) {
			const most = allowed(direct[figure]);

			this.#checks.check(keeps(most), `${what}, promised ${limit}, direct ${
				direct[figure].toFixed(1)}, so ${most.toFixed(1)}`, detail);
		}
	}
}
