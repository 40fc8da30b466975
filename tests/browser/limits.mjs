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

	/**
	 * @param direct { hold(), kept() }: hold the direct call and give its figures by name; give those that were
	 *               kept of an earlier one, or null. Without it every promise is judged at once
	 */
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
		const kept = this.#missed.length ? await this.#direct.kept() : null;

		// What another test saw minutes ago excuses, but it does not accuse: the machine may be slower now.
		if (kept)
			this.#missed = this.#missed.filter((claim) => !this.#excused(claim, kept));
		if (this.#missed.length === 0)
			return;
		console.log(`# ${this.#missed.length} promises not kept: what does this machine do without us?`);
		const now = await this.#direct.hold();

		console.log(`# direct call: ${JSON.stringify(now)}`);
		for (const claim of this.#missed)
			if (!this.#excused(claim, now))
				this.#checks.check(false, this.#beside(claim, now), claim.detail);
	}

	#excused(claim, direct)
	{
		const is = claim.keeps(claim.allowed(direct[claim.figure]));

		if (is)
			this.#checks.check(true, this.#beside(claim, direct));
		return is;
	}

	#beside({ figure, what, limit, allowed }, direct)
	{
		return `${what}, promised ${limit}, direct ${direct[figure].toFixed(1)}, so ${allowed(direct[figure]).toFixed(1)}`;
	}
}
