// SPDX-License-Identifier: BSD-3-Clause
// The grid of participants. A tile shows one video, or the initials of who has none; the pictures
// keep their elements across redraws, since a video that is moved in the page stops for a moment.

const GAP_PX = 10;
/** A tile is as wide as 16:9 and as narrow as this, whichever fills the page better. */
const WIDEST = 16 / 9;
const NARROWEST_ON_LAPTOP = 4 / 3;
const NARROWEST_ON_PHONE = 2 / 3;

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
	#isOff = true;

	constructor(onFrame)
	{
		this.#video.onloadeddata = this.#video.onemptied = () => this.#showOrHide();
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
		this.#isOff = !view.track || view.videoOff;
		this.#showOrHide();
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

	/** Until there is a picture the tile shows initials, not a hole. */
	#showOrHide()
	{
		this.element.classList.toggle('blank',
			this.#isOff || this.#video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA);
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
		const narrowest = width < height ? NARROWEST_ON_PHONE : NARROWEST_ON_LAPTOP;
		const count = this.#tiles.size;
		let best = { width: 0, height: 0 };

		for (let columns = 1; columns <= count; columns++) {
			const rows = Math.ceil(count / columns);
			const cellWidth = (width - GAP_PX * (columns - 1)) / columns;
			const cellHeight = (height - GAP_PX * (rows - 1)) / rows;
			const tile = { width: Math.min(cellWidth, cellHeight * WIDEST),
				height: Math.min(cellHeight, cellWidth / narrowest) };

			if (tile.width * tile.height > best.width * best.height)
				best = tile;
		}
		this.#grid.style.setProperty('--tile-width', `${Math.floor(best.width)}px`);
		this.#grid.style.setProperty('--tile-height', `${Math.floor(best.height)}px`);
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
