// SPDX-License-Identifier: BSD-3-Clause
// The least that a Node service on `ws` does for the frames of protocol.md, part A: parse, check the
// envelope, keep rooms and members, answer. It verifies no token, limits nothing, remembers no message
// ids, logs nothing and has no media. Usage: server.mjs PORT
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { WebSocketServer } from "ws";

const rooms = new Map();
const region = "tr";
const nodeId = "node";

function roomOf(id, callId) {
	let room = rooms.get(id);
	if (!room) {
		room = { roomId: id, callId, epoch: 0, memberSetVersion: 0, members: new Map() };
		rooms.set(id, room);
	}
	return room;
}

const head = (room) => ({ roomId: room.roomId, callId: room.callId, region, nodeId, epoch: room.epoch,
	memberSetVersion: room.memberSetVersion });

class Client {
	constructor(socket) {
		this.socket = socket;
		this.highest = 0;
		this.seq = 0;
		this.deviceId = `dev_${randomUUID().slice(0, 8)}`;
	}

	frame(type, rest, payload) {
		this.socket.send(JSON.stringify({ v: 1, type, msgId: randomUUID(), ts: Date.now(), ...rest, payload }));
	}

	result(type, payload) {
		this.frame(type, { seq: ++this.seq }, payload);
	}

	ack(msgId, error) {
		this.frame("ACK", { ack: { ackOfMsgId: msgId, ok: !error, ...(error && { error }) } }, {});
	}

	refuse(msgId, code, message) {
		this.ack(msgId, { code, message, details: {}, retryable: false });
	}

	leave() {
		const room = this.room;
		if (!room || room.members.get(this.deviceId) !== this)
			return;
		room.members.delete(this.deviceId);
		room.memberSetVersion++;
		if (!room.members.size)
			rooms.delete(room.roomId);
		for (const m of room.members.values())
			m.frame("PEER_LEFT", {}, { roomId: room.roomId, userId: this.userId, deviceId: this.deviceId });
	}

	message(data) {
		let f;
		try {
			f = JSON.parse(data);
		} catch {
			return;
		}
		if (!f || f.v !== 1 || typeof f.type !== "string" || typeof f.msgId !== "string" || typeof f.ts !== "number")
			return this.refuse(f?.msgId ?? randomUUID(), "VALIDATION_FAILED", "Invalid envelope");
		if (f.ack)
			return;
		if (!Number.isInteger(f.seq) || f.seq <= 0)
			return this.refuse(f.msgId, "VALIDATION_FAILED", "Missing or invalid seq");
		if (f.seq <= this.highest)
			return this.refuse(f.msgId, "REPLAY_DETECTED", "Non-monotonic seq rejected");
		this.highest = f.seq;
		const handle = handlers[f.type];
		if (!handle)
			return this.refuse(f.msgId, "VALIDATION_FAILED", `Unsupported type: ${f.type}`);
		if (!this.userId && !open.has(f.type))
			return this.refuse(f.msgId, "UNAUTHENTICATED", "AUTH required");
		handle(this, f.payload ?? {});
		this.ack(f.msgId);
	}
}

const open = new Set(["HELLO", "AUTH", "PING"]);

const handlers = {
	HELLO(c, p) {
		c.deviceId = p.client?.deviceId ?? c.deviceId;
		c.result("WELCOME", { serverTime: Date.now(), heartbeatSec: 15, resumeToken: randomUUID(),
			features: { wsSeqRequired: true, e2eeRequiredDefault: true, sframeRequired: false, sfuEnabled: true } });
	},
	AUTH(c, p) {
		c.userId = `dev_${String(p.accessToken).slice(0, 20)}`;
		c.result("AUTH_OK", { userId: c.userId, deviceId: c.deviceId });
	},
	E2EE_CAPS(c, p) {
		c.insertable = p.insertableStreams === true;
		c.sframe = p.sframe === true;
	},
	ROOM_CREATE(c, p) {
		c.result("ROOM_CREATED", head(roomOf(p.roomId, p.callId)));
	},
	ROOM_JOIN(c, p) {
		const room = roomOf(p.roomId, p.callId);
		c.leave();
		c.deviceId = p.deviceId ?? c.deviceId;
		c.room = room;
		c.ready = false;
		room.memberSetVersion++;
		room.members.set(c.deviceId, c);
		const option = (id) => ({ id, iceParameters: {}, dtlsParameters: {} });
		c.result("ROOM_JOIN_OK", { ...head(room),
			mediasoup: { routerRtpCapabilities: { codecs: [] },
				sendTransportOptions: option(`send_${c.deviceId}`),
				recvTransportOptions: option(`recv_${c.deviceId}`) },
			e2ee: { required: true, epoch: room.epoch } });
		c.result("E2EE_POLICY", { required: true, epoch: room.epoch, rekeyOnJoin: true });
		const members = [...room.members.values()];
		c.result("ROOM_SNAPSHOT", { ...head(room), serverTime: Date.now(),
			peers: members.map((m) => ({ userId: m.userId, deviceId: m.deviceId, role: "member", state: "joined",
				e2eeReady: m.ready })),
			producers: [],
			e2ee: { required: true, epoch: room.epoch, leaderDeviceId: members[0].deviceId,
				expectedSenderDevices: members.map((m) => m.deviceId), missingSenderKeys: [] } });
		for (const m of members)
			if (m !== c)
				m.frame("PEER_JOINED", {}, { roomId: room.roomId, userId: c.userId, deviceId: c.deviceId });
	},
	E2EE_READY(c) {
		c.ready = true;
	},
	TRANSPORT_CREATE(c, p) {
		c.result("TRANSPORT_CREATED", { roomId: p.roomId, transportId: `tr_${randomUUID().slice(0, 8)}`,
			direction: p.direction === "recv" ? "recv" : "send", iceParameters: {}, iceCandidates: [],
			dtlsParameters: {} });
	},
	TRANSPORT_CONNECT() {},
	PING() {},
};

const server = createServer((request, response) => response.writeHead(404).end());
const sockets = new WebSocketServer({ server, path: "/ws", perMessageDeflate: false });
sockets.on("connection", (socket) => {
	const client = new Client(socket);
	socket.on("message", (data) => client.message(data));
	socket.on("close", () => client.leave());
	socket.on("error", () => {});
});
server.listen(Number(process.argv[2]), "127.0.0.1", () => console.log("ready"));
