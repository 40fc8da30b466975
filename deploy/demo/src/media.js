// SPDX-License-Identifier: BSD-3-Clause
// Microphone, camera and screen of this device. The light of a camera that is switched off is off.

export class LocalMedia {
	mic = null; // MediaStreamTrack, null: none or not permitted
	camera = null;
	screen = null;
	micOn = true;
	cameraOn = true;
	#video;

	/** @param video constraints of the camera: { width, height, frameRate } */
	constructor(video)
	{
		this.#video = { ...video, facingMode: 'user' };
	}

	/** Ask for both devices, then for each alone. @return '' or what is missing, in words */
	async open()
	{
		const wants = { audio: { echoCancellation: true, noiseSuppression: true }, video: this.#video };
		const tracksOf = async (constraints) => {
			const stream = await navigator.mediaDevices.getUserMedia(constraints);

			return stream.getTracks();
		};
		const alone = (kind) => tracksOf({ [kind]: wants[kind] }).catch(() => []);

		if (!navigator.mediaDevices) {
			this.micOn = this.cameraOn = false;
			return 'No camera or microphone can be used here. You can still watch and listen.';
		}
		const tracks = await tracksOf(wants).catch(
			async () => [...await alone('audio'), ...await alone('video')]);

		this.mic = tracks.find((track) => track.kind === 'audio') ?? null;
		this.camera = tracks.find((track) => track.kind === 'video') ?? null;
		this.micOn = this.mic !== null;
		this.cameraOn = this.camera !== null;
		if (this.mic && this.camera)
			return '';
		const missing = [!this.mic && 'microphone', !this.camera && 'camera'].filter(Boolean);

		return `No ${missing.join(' and no ')} can be used. You can still join.`;
	}

	setMic(isOn)
	{
		this.micOn = isOn && this.mic !== null;
		if (this.mic)
			this.mic.enabled = this.micOn;
	}

	/** @return true when there is a new camera track that has to replace the old one */
	async setCamera(isOn)
	{
		if (!isOn) {
			this.cameraOn = false;
			this.camera?.stop();
			return false;
		}
		const stream = await navigator.mediaDevices.getUserMedia({ video: this.#video });

		this.camera = stream.getVideoTracks()[0];
		this.cameraOn = true;
		return true;
	}

	/** @param onEnded called when sharing is stopped from the browser's own bar */
	async openScreen(onEnded)
	{
		const stream = await navigator.mediaDevices.getDisplayMedia(
			{ video: { frameRate: { max: 15 } }, audio: false });

		this.screen = stream.getVideoTracks()[0];
		this.screen.contentHint = 'detail';
		this.screen.onended = onEnded;
	}

	closeScreen()
	{
		if (this.screen) {
			this.screen.onended = null;
			this.screen.stop();
		}
		this.screen = null;
	}
}
