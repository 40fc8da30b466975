// SPDX-License-Identifier: BSD-3-Clause
// The grid of participants. A tile shows one video, or the initials of who has none; the pictures
// keep their elements across redraws, since a video that is moved in the page stops for a moment.

const GAP_PX = 10;
const ASPECT = 16 / 9;

/** A hue that belongs to a device, so that one can tell people without video apart. */
function hueOf(device)
{
	let hue = 7;

	for (const c of device)
		hue = (hue * 31 + c.charCodeAt(0)) % 360;
	return hue;
}

function initialsOf(name)
{
	const words = name.trim().split(/\s+/).filter(Boolean);

	return (words.length > 1 ? words[0][0] + words.at(-1)[0] : name.slice(0, 2)).toUpperCase();
}

function make(tag, className, parent)
{
	const element = document.createElement(tag);

	element.className = className;
	parent?.append(element);
	return element;
}

class Tile {
	element = make('figure', 'tile');
	#video = make('video', '', this.element);
	#avatar = make('div', 'avatar', this.element);
	#badge = make('div', 'badge', this.element);
	#label = make('figcaption', '', this.element);
	#name = make('span', 'name', this.#label);
	#numbers = make('span', 'numbers', this.#label);
	#track = null;

	constructor(onFrame)
	{
		this.#video.autoplay = true;
		this.#video.playsInline = true;
		this.#video.muted = true; // sound has an element of its own
		if (onFrame && this.#video.requestVideoFrameCallback) {
			const next = (now, metadata) => {
				onFrame(now, metadata, this.#track);
				this.#video.requestVideoFrameCallback(next);
			};
			this.#video.requestVideoFrameCallback(next);
		}
	}

	/** @param view what Tiles.show() was given for this tile */
	show(view)
	{
		const { element } = this;

		if (this.#track !== view.track) {
			this.#track = view.track;
			this.#video.srcObject = view.track ? new MediaStream([view.track]) : null;
		}
		element.classList.toggle('blank', !view.track || view.videoOff);
		element.classList.toggle('mirrored', Boolean(view.isMirrored));
		element.classList.toggle('screen', view.isScreen);
		element.classList.toggle('silent', view.micOff);
		element.style.setProperty('--hue', hueOf(view.device));
		this.#avatar.textContent = initialsOf(view.name);
		this.#name.textContent = view.name;
		element.dataset.device = view.device;
		element.dataset.lock = view.lock;
		this.#badge.title = view.lockText;
		this.#numbers.textContent = view.numbers;
	}
}

export class Tiles {
	#grid;
	#tiles = new Map(); // key -> Tile
	#onFrame;

	/** @param onFrame function (key, now, metadata, track), with each frame that is presented */
	constructor(grid, onFrame)
	{
		this.#grid = grid;
		this.#onFrame = onFrame;
		new ResizeObserver(() => this.#layout()).observe(grid);
	}

	/**
	 * @param views array of { key, device, name, track, isScreen, isMirrored, videoOff, micOff,
	 *              lock, lockText, numbers }; lock is 'ok', 'wait' or 'bad'
	 */
	show(views)
	{
		const keys = new Set(views.map(({ key }) => key));

		for (const [key, tile] of this.#tiles)
			if (!keys.has(key)) {
				tile.element.remove();
				this.#tiles.delete(key);
			}
		for (const view of views) {
			if (!this.#tiles.has(view.key)) {
				const tile = new Tile((...frame) => this.#onFrame(view.key, ...frame));

				this.#tiles.set(view.key, tile);
				this.#grid.append(tile.element);
			}
			this.#tiles.get(view.key).show(view);
		}
		this.#layout();
	}

	/** The number of columns that makes the tiles largest. */
	#layout()
	{
		const { clientWidth: width, clientHeight: height } = this.#grid;
		const count = this.#tiles.size;
		let best = { area: 0, columns: 1, tileWidth: 0 };

		for (let columns = 1; columns <= count; columns++) {
			const rows = Math.ceil(count / columns);
			const cellWidth = (width - GAP_PX * (columns - 1)) / columns;
			const cellHeight = (height - GAP_PX * (rows - 1)) / rows;
			const tileWidth = Math.min(cellWidth, cellHeight * ASPECT);

			// On a narrow screen a tile may be as tall as its cell: faces matter more than edges.
			if (tileWidth * Math.min(cellHeight, tileWidth) > best.area)
				best = { area: tileWidth * Math.min(cellHeight, tileWidth), columns, tileWidth, cellWidth,
					cellHeight };
		}
		if (!count || !best.cellWidth)
			return;
		const isNarrow = width < height;
		const tileHeight = isNarrow ? Math.min(best.cellHeight, best.cellWidth * 1.2)
			: best.tileWidth / ASPECT;

		this.#grid.style.setProperty('--tile-width',
			`${Math.floor(isNarrow ? best.cellWidth : best.tileWidth)}px`);
		this.#grid.style.setProperty('--tile-height', `${Math.floor(tileHeight)}px`);
	}
}

/** Plays the sound of the others; one element per consumer, out of sight. */
export class Sounds {
	#elements = new Map(); // consumer id -> audio

	/** @param tracks map from consumer id to audio track */
	show(tracks)
	{
		for (const [id, audio] of this.#elements)
			if (!tracks.has(id)) {
				audio.srcObject = null;
				audio.remove();
				this.#elements.delete(id);
			}
		for (const [id, track] of tracks)
			if (!this.#elements.has(id)) {
				const audio = make('audio', '', document.body);

				audio.autoplay = true;
				audio.srcObject = new MediaStream([track]);
				audio.play().catch(() => {}); // allowed after the click on "join"
				this.#elements.set(id, audio);
			}
	}
}
