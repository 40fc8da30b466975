// SPDX-License-Identifier: BSD-3-Clause
// The signalling connection: envelope, acknowledgements, results, heartbeat. Knows the frame
// rules of the protocol and no message's meaning.

const ACK_TIMEOUT_MS = 5000;
const RATE_LIMIT_PAUSE_MS = 1000;

/** Result frame that answers a request; a type that is not here is answered by its ACK alone. */
const RESULT_OF = {
	HELLO: 'WELCOME',
	AUTH: 'AUTH_OK',
	ROOM_JOIN: 'ROOM_JOIN_OK',
	ROOM_LEAVE: 'ROOM_LEFT',
	TRANSPORT_CREATE: 'TRANSPORT_CREATED',
	PRODUCE: 'PRODUCED',
	CONSUME: 'CONSUMER_ADDED',
	ICE_RESTART: 'ICE_RESTART_OK',
};
const RESULTS = new Set(Object.values(RESULT_OF));

export class SignalError extends Error {
	constructor({ code, message, details, retryable })
	{
		super(message || code);
		this.code = code;
		this.details = details ?? {};
		this.retryable = retryable === true;
	}
}

const closedError = () =>
	new SignalError({ code: 'CLOSED', message: 'The connection to the server is closed' });

export class Signal {
	#socket;
	#seq = 0;
	#lastServerSeq = 0;
	#pending = new Map(); // msgId -> request, in the order of sending
	#heartbeat = null;
	#lastHeard = 0;
	#onEvent;
	#onClosed;

	/**
	 * @param onEvent  called with each frame that answers no request, in order of arrival
	 * @param onClosed called once when the connection ends without close() having been called
	 */
	constructor(onEvent, onClosed)
	{
		this.#onEvent = onEvent;
		this.#onClosed = onClosed;
	}

	/** Highest number of a result so far, for HELLO.resume */
	get lastServerSeq()
	{
		return this.#lastServerSeq;
	}

	/** @return a promise: fulfilled when the socket is open, rejected when it cannot be opened */
	open(url)
	{
		return new Promise((resolve, reject) => {
			this.#socket = new WebSocket(url);
			this.#socket.onopen = () => {
				this.#socket.onclose = () => this.#end(true);
				resolve();
			};
			this.#socket.onclose = () => reject(closedError());
			this.#socket.onmessage = ({ data }) => this.#receive(data);
		});
	}

	close()
	{
		if (this.#socket) {
			this.#socket.onclose = null;
			this.#socket.close();
		}
		this.#end(false);
	}

	#end(notify)
	{
		clearInterval(this.#heartbeat);
		for (const request of this.#pending.values()) {
			clearTimeout(request.timer);
			request.reject(closedError());
		}
		this.#pending.clear();
		if (notify)
			this.#onClosed();
	}

	/** Ask for a life sign every `seconds`; a server that stays silent ends the connection. */
	startHeartbeat(seconds)
	{
		const silenceMs = Math.max(2 * seconds, 15) * 1000;

		this.#lastHeard = Date.now();
		this.#heartbeat = setInterval(() => {
			if (Date.now() - this.#lastHeard > silenceMs) {
				this.#socket.onclose = null;
				this.#socket.close();
				this.#end(true);
				return;
			}
			this.request('PING').catch(() => {});
		}, seconds * 1000);
	}

	/**
	 * Send a request.
	 * @return a promise of the result frame's payload ({} where there is none), rejected with a
	 *         SignalError; an unanswered request is repeated once, as the protocol allows
	 */
	request(type, payload = {})
	{
		if (this.#socket?.readyState !== WebSocket.OPEN)
			return Promise.reject(closedError());
		const msgId = crypto.randomUUID();
		const wire = JSON.stringify({ v: 1, type, msgId, ts: Date.now(), seq: ++this.#seq, payload });

		return new Promise((resolve, reject) => {
			const request = { type, expect: RESULT_OF[type], resolve, reject };
			const onSilence = (mayRepeat) => {
				if (mayRepeat && this.#socket.readyState === WebSocket.OPEN) {
					this.#socket.send(wire);
					request.timer = setTimeout(onSilence, ACK_TIMEOUT_MS, false);
					return;
				}
				this.#pending.delete(msgId);
				reject(new SignalError({ code: 'TIMEOUT', message: `${type}: no answer` }));
			};

			request.timer = setTimeout(onSilence, ACK_TIMEOUT_MS, true);
			this.#pending.set(msgId, request);
			this.#socket.send(wire);
		});
	}

	/**
	 * As request(), repeated while the server says that this may help.
	 * @param retryOn map from error code to a function that is awaited before the next attempt
	 */
	async insist(type, payload, retryOn = {}, attempts = 12)
	{
		for (;;) {
			try {
				return await this.request(type, payload);
			} catch (error) {
				const wait = retryOn[error.code]
					?? (error.code === 'RATE_LIMITED'
						? () => new Promise((done) => setTimeout(done, RATE_LIMIT_PAUSE_MS)) : null);

				if (!error.retryable || !wait || --attempts <= 0)
					throw error;
				await wait(error);
			}
		}
	}

	#receive(data)
	{
		let frame;

		try {
			frame = JSON.parse(data);
		} catch {
			return;
		}
		if (!frame || frame.v !== 1 || typeof frame.type !== 'string')
			return;
		this.#lastHeard = Date.now();
		if (frame.type === 'ACK') {
			this.#settle(frame.ack ?? {});
			return;
		}
		if (Number.isInteger(frame.seq)) {
			if (frame.seq <= this.#lastServerSeq)
				return;
			this.#lastServerSeq = frame.seq;
		}
		// Results come in the order of the requests, so the oldest one that waits is meant.
		if (RESULTS.has(frame.type))
			for (const request of this.#pending.values())
				if (request.expect === frame.type && !request.result) {
					request.result = frame.payload;
					return;
				}
		this.#onEvent(frame.type, frame.payload ?? {}, frame);
	}

	#settle({ ackOfMsgId, ok, error })
	{
		const request = this.#pending.get(ackOfMsgId);

		if (!request)
			return;
		clearTimeout(request.timer);
		this.#pending.delete(ackOfMsgId);
		if (ok !== true)
			request.reject(new SignalError(error ?? { code: 'INTERNAL_ERROR' }));
		else if (request.expect && !request.result)
			request.reject(new SignalError({ code: 'NO_RESULT', message: `${request.type}: no result` }));
		else
			request.resolve(request.result ?? {});
	}
}
