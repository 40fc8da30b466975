// SPDX-License-Identifier: BSD-3-Clause
// Key packages: how one device hands its sender key to another through a server that must not be
// able to read it. ECDH P-256, HKDF-SHA-256, AES-128-GCM; each package signed with the device's
// ECDSA P-256 key. A secret from the room link, when there is one, enters every wrapping key, so
// that a server that swaps public keys gains nothing: the part after '#' never reaches it.

const text = new TextEncoder();
const SALT_BYTES = 16;
const ECDH = { name: 'ECDH', namedCurve: 'P-256' };
const ECDSA = { name: 'ECDSA', namedCurve: 'P-256' };
const SIGNATURE = { name: 'ECDSA', hash: 'SHA-256' };

export function toBase64(bytes)
{
	return btoa(String.fromCharCode(...new Uint8Array(bytes)));
}

export function fromBase64(string)
{
	return Uint8Array.from(atob(string), (c) => c.charCodeAt(0));
}

/** What a signature covers: every field the receiver acts on, unambiguously joined. */
function signedBytes(roomId, sender, payload)
{
	return text.encode(JSON.stringify(['sfu key package v1', roomId, sender, payload.targetDeviceId,
		payload.epoch, payload.salt, payload.senderPublicKey, payload.ciphertext]));
}

export class KeyPackages {
	#roomId;
	#device;
	#sessionId = crypto.randomUUID();
	#linkSecret;
	#ecdh;
	#signing;
	#publicKey; // base64, 65 octets
	#signingPublicKey;
	#peers = new Map(); // device -> { sessionId, ecdh: CryptoKey, verify: CryptoKey, fingerprint }

	/** @param linkSecret string from the room link, '' when the link has none */
	static async create(roomId, device, linkSecret)
	{
		const self = new KeyPackages();

		self.#roomId = roomId;
		self.#device = device;
		self.#linkSecret = text.encode(linkSecret);
		self.#ecdh = await crypto.subtle.generateKey(ECDH, false, ['deriveBits']);
		self.#signing = await crypto.subtle.generateKey(ECDSA, false, ['sign', 'verify']);
		self.#publicKey = toBase64(await crypto.subtle.exportKey('raw', self.#ecdh.publicKey));
		self.#signingPublicKey = toBase64(await crypto.subtle.exportKey('raw', self.#signing.publicKey));
		return self;
	}

	hasPeer(device)
	{
		return this.#peers.has(device);
	}

	forgetPeer(device)
	{
		this.#peers.delete(device);
	}

	/** A package that carries public keys only; it lets the other side wrap for us. */
	discovery(target, epoch)
	{
		return this.#sign({ targetDeviceId: target, epoch, ciphertext: this.#publicKey, salt: '' });
	}

	/**
	 * A package that carries content for one device, whose public key is known.
	 * @param content object; only its receiver can read it
	 */
	async wrap(target, epoch, content)
	{
		const salt = crypto.getRandomValues(new Uint8Array(SALT_BYTES));
		const { key, iv } = await this.#wrappingKey(target, this.#device, target, epoch, salt, 'encrypt');
		const ciphertext = await crypto.subtle.encrypt({ name: 'AES-GCM', iv }, key,
			text.encode(JSON.stringify(content)));

		return this.#sign({ targetDeviceId: target, epoch, ciphertext: toBase64(ciphertext),
			salt: toBase64(salt) });
	}

	async #sign(fields)
	{
		const payload = { roomId: this.#roomId, ...fields, senderPublicKey: this.#publicKey,
			senderSigningPublicKey: this.#signingPublicKey,
			senderIdentity: { deviceId: this.#device, sessionId: this.#sessionId } };
		const bytes = signedBytes(this.#roomId, this.#device, payload);

		payload.sig = toBase64(await crypto.subtle.sign(SIGNATURE, this.#signing.privateKey, bytes));
		return payload;
	}

	/**
	 * Read a package.
	 * @return { sender, isNew, epoch, content }; `content` is null for a discovery. `isNew`: its
	 *         public keys were not known before.
	 * Throws when the signature, the pinned keys or the ciphertext do not hold.
	 */
	async read(payload)
	{
		const { deviceId: sender, sessionId } = payload.senderIdentity ?? {};

		if (typeof sender !== 'string' || sender === this.#device
			|| payload.targetDeviceId !== this.#device || !Number.isInteger(payload.epoch))
			throw new Error('not a key package for us');
		const fingerprint = `${payload.senderPublicKey} ${payload.senderSigningPublicKey}`;
		let peer = this.#peers.get(sender);

		// The first keys of a device are kept until it leaves; others under its name are refused.
		if (peer && peer.fingerprint !== fingerprint)
			throw new Error(`${sender} changed its keys`);
		const isNew = !peer;

		peer ??= {
			sessionId,
			fingerprint,
			ecdh: await crypto.subtle.importKey('raw', fromBase64(payload.senderPublicKey), ECDH, false, []),
			verify: await crypto.subtle.importKey('raw', fromBase64(payload.senderSigningPublicKey), ECDSA,
				false, ['verify']),
		};
		if (!await crypto.subtle.verify(SIGNATURE, peer.verify, fromBase64(payload.sig),
			signedBytes(this.#roomId, sender, payload)))
			throw new Error(`bad signature under the name of ${sender}`);
		this.#peers.set(sender, peer);
		if (payload.salt === '')
			return { sender, isNew, epoch: payload.epoch, content: null };
		const { key, iv } = await this.#wrappingKey(sender, sender, this.#device, payload.epoch,
			fromBase64(payload.salt), 'decrypt');
		const plain = await crypto.subtle.decrypt({ name: 'AES-GCM', iv }, key,
			fromBase64(payload.ciphertext));

		return { sender, isNew, epoch: payload.epoch,
			content: JSON.parse(new TextDecoder().decode(plain)) };
	}

	/** A fresh salt makes a fresh key, so key and IV together serve one package only. */
	async #wrappingKey(peer, from, to, epoch, salt, usage)
	{
		const shared = await crypto.subtle.deriveBits(
			{ name: 'ECDH', public: this.#peers.get(peer).ecdh }, this.#ecdh.privateKey, 256);
		const secret = new Uint8Array(32 + this.#linkSecret.length);

		secret.set(new Uint8Array(shared));
		secret.set(this.#linkSecret, 32);
		const hkdf = await crypto.subtle.importKey('raw', secret, 'HKDF', false, ['deriveBits']);
		const info = text.encode(JSON.stringify(['sfu key wrap v1', this.#roomId, from, to, epoch]));
		const bits = await crypto.subtle.deriveBits({ name: 'HKDF', hash: 'SHA-256', salt, info }, hkdf,
			28 * 8);

		return {
			key: await crypto.subtle.importKey('raw', bits.slice(0, 16), 'AES-GCM', false, [usage]),
			iv: new Uint8Array(bits, 16, 12),
		};
	}

	/** Twelve digits over everybody's public keys: equal on all screens if nobody sits between. */
	async safetyCode()
	{
		const keys = [...this.#peers.values()].map((peer) => peer.fingerprint);

		keys.push(`${this.#publicKey} ${this.#signingPublicKey}`);
		const digest = await crypto.subtle.digest('SHA-256', text.encode(keys.sort().join('\n')));
		const view = new DataView(digest);

		return [0, 4, 8].map((at) => String(view.getUint32(at) % 10000).padStart(4, '0')).join(' ');
	}
}
