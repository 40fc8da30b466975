#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The two reference web clients, as far as their signalling goes, against a running sfu-ctl
(protocol.md B1). Usage: web_clients.py PORT fallback|media. Loopback only.

What both do: they await the ACK of a request, resend it once with the same msgId and seq when none
comes, and look for the result only among the frames that came before the ACK. They throw away frames
whose msgId they know and frames whose seq is not above the last one. The early client starts its
receive counter anew with each socket, the later one never does; neither says HELLO by itself after a
reconnect."""

import collections
import json
import select
import sys
import time
import unittest
import uuid

from ctl_http_test import CLOSE, PING, PONG, TEXT, WebSocket

PORT = 0
MEDIA = False

OPUS = {"kind": "audio", "mimeType": "audio/opus", "preferredPayloadType": 100, "clockRate": 48000,
        "channels": 2, "parameters": {}, "rtcpFeedback": []}
VP9 = {"kind": "video", "mimeType": "video/VP9", "preferredPayloadType": 103, "clockRate": 90000,
       "parameters": {"profile-id": 0}, "rtcpFeedback": [{"type": "nack", "parameter": "pli"}]}
FINGERPRINT = ":".join(["AB"] * 32)


class Refused(Exception):
    """An ACK with ok:false; .error is its body."""

    def __init__(self, error):
        super().__init__(f"{error['code']}: {error['message']}")
        self.error = error


class Client:
    keeps_counter = False  # over a reconnect
    known_ids = 4000

    def __init__(self, device, user):
        self.device, self.user = device, user
        self.sent_seq = 0
        self.last_seq = 0
        self.seen = collections.deque(maxlen=self.known_ids)
        self.recent = collections.deque(maxlen=20)
        self.events = []
        self.thrown_away = []
        self.room_version = -1
        self.ws = None
        self.connect()

    def connect(self):
        if self.ws:
            self.ws.sock.close()
        self.ws = WebSocket(PORT)
        assert self.ws.status == 101, self.ws.head
        if not self.keeps_counter:
            self.last_seq = 0
            self.sent_seq = 0

    def close(self):
        self.ws.send(CLOSE, b"\x03\xe8")
        self.ws.sock.close()

    def vanish(self):
        """The network goes: no close frame."""
        self.ws.sock.close()

    def take(self, frame):
        """False: the client's class drops it before anyone sees it."""
        assert frame["v"] == 1 and isinstance(frame["ts"], int)
        assert isinstance(frame["msgId"], str) and isinstance(frame["payload"], dict)
        if frame["msgId"] in self.seen:
            self.thrown_away.append(frame)
            return False
        self.seen.append(frame["msgId"])
        if "seq" in frame:
            if frame["seq"] <= self.last_seq:
                self.thrown_away.append(frame)
                return False
            self.last_seq = frame["seq"]
        return True

    def read(self, seconds=5):
        """The next frame that is not dropped; raises TimeoutError."""
        end = time.monotonic() + seconds
        while True:
            # Never in the middle of a frame.
            if not select.select([self.ws.sock], [], [], max(0, end - time.monotonic()))[0]:
                raise TimeoutError
            opcode, data = self.ws.receive()
            if opcode == PING:
                self.ws.send(PONG, data)
            if opcode != TEXT:
                assert opcode in (PING, PONG), (opcode, data)
                continue
            frame = json.loads(data)
            if not self.take(frame):
                continue
            if frame["type"] != "ACK":
                assert "ack" not in frame
                self.recent.append(frame)
                self.events.append(frame)
                self.on_event(frame)
            return frame

    def on_event(self, frame):
        """What the page does by itself."""

    def envelope(self, kind, payload):
        self.sent_seq += 1
        return {"v": 1, "type": kind, "msgId": str(uuid.uuid4()), "ts": int(time.time() * 1000),
                "seq": self.sent_seq, "payload": payload}

    def send(self, frame):
        self.ws.send(TEXT, json.dumps(frame).encode())

    def await_ack(self, msg_id, seconds=5):
        end = time.monotonic() + seconds
        while True:
            frame = self.read(end - time.monotonic())
            if frame["type"] == "ACK" and frame["ack"]["ackOfMsgId"] == msg_id:
                assert "seq" not in frame and frame["payload"] == {}
                return frame["ack"]

    def request(self, type_, result=None, retry=False, where=None, **payload):
        """The result's payload, found among the frames that came before the ACK."""
        frame = self.envelope(type_, payload)
        self.send(frame)
        if retry:  # as if the ACK were late: the same frame once more, byte by byte the same
            self.send(frame)
        ack = self.await_ack(frame["msgId"])
        if not ack["ok"]:
            assert set(ack["error"]) == {"code", "message", "details", "retryable"}
            raise Refused(ack["error"])
        assert "error" not in ack
        found = None
        if result:
            hits = [f for f in self.recent if f["type"] == result and (not where or where(f["payload"]))]
            assert hits, f"{type_}: no {result} before the ACK"
            found = hits[0]["payload"]  # the oldest, as the clients do
            self.recent.remove(hits[0])
        if retry:
            count = len(self.events)
            assert self.await_ack(frame["msgId"])["ok"]
            assert not any(f["type"] == result for f in self.events[count:]), "result repeated"
        return found

    def expect(self, type_, seconds=2, **fields):
        """An event, read already or to come."""
        end = time.monotonic() + seconds
        while True:
            for frame in self.events:
                if frame["type"] == type_ and all(frame["payload"].get(k) == v for k, v in fields.items()):
                    self.events.remove(frame)
                    return frame
            left = end - time.monotonic()
            assert left > 0, f"{self.device}: no {type_} {fields}; has {[f['type'] for f in self.events]}"
            try:
                self.read(left)
            except TimeoutError:
                pass

    def quiet(self, kind, seconds=0.3):
        """No such event comes."""
        end = time.monotonic() + seconds
        try:
            while True:
                self.read(end - time.monotonic())
        except TimeoutError:
            pass
        assert not any(f["type"] == kind for f in self.events), kind

    # --- the page's way in ---

    def hello(self):
        return self.request("HELLO", "WELCOME", client={"deviceId": self.device, "platform": "web",
                            "appVersion": "1.0.0", "build": "dev", "locale": "en"})

    def login(self, retry=False):
        welcome = self.hello()
        assert welcome["features"]["wsSeqRequired"] is True and welcome["heartbeatSec"] >= 5
        auth = self.request("AUTH", "AUTH_OK", retry=retry, accessToken=self.user)
        assert auth == {"userId": f"dev_{self.user[:20]}", "deviceId": self.device}
        self.request("E2EE_CAPS", insertableStreams=True, sframe=True, doubleRatchet=True,
                     supportedCipherSuites=["DOUBLE_RATCHET_P256_AES128GCM"])

    def join(self, room, retry=False):
        joined = self.request("ROOM_JOIN", "ROOM_JOIN_OK", retry=retry, roomId=room,
                              deviceId=self.device, callId="call-1")
        policy = self.expect("E2EE_POLICY")["payload"]
        assert policy == {"required": True, "epoch": joined["epoch"], "rekeyOnJoin": True}
        snapshot = self.expect("ROOM_SNAPSHOT")["payload"]
        assert snapshot["roomVersion"] > self.room_version, "the client would ignore this snapshot"
        self.room_version = snapshot["roomVersion"]
        assert self.device in [p["deviceId"] for p in snapshot["peers"]]
        assert not any("peerId" in p for p in snapshot["peers"])
        self.room, self.epoch = room, joined["epoch"]
        self.codecs = joined["mediasoup"]["routerRtpCapabilities"]["codecs"]
        assert bool(self.codecs) == MEDIA
        return snapshot

    def ready(self, epoch):
        self.request("E2EE_READY", roomId=self.room, epoch=epoch)
        self.epoch = epoch

    def transport(self, direction, retry=False):
        t = self.request("TRANSPORT_CREATE", "TRANSPORT_CREATED", retry=retry,
                         where=lambda p: p["direction"] == direction, roomId=self.room,
                         direction=direction)
        if MEDIA:
            assert t["iceParameters"]["iceLite"] is True and t["iceParameters"]["password"]
            assert t["iceCandidates"][0]["ip"] == t["iceCandidates"][0]["address"]
            assert len(t["dtlsParameters"]["fingerprints"]) == 1
        else:
            assert t["iceParameters"] == {} and t["iceCandidates"] == [] and t["dtlsParameters"] == {}
        dtls = {"role": "client", "fingerprints": [{"algorithm": "sha-256", "value": FINGERPRINT}]}
        for _ in range(2):  # connected twice is fine (B2)
            self.request("TRANSPORT_CONNECT", retry=retry, roomId=self.room,
                         transportId=t["transportId"], dtlsParameters=dtls if MEDIA else {})
        return t["transportId"]

    def produce(self, transport, kind, ssrc, retry=False):
        codec = OPUS if kind == "audio" else VP9
        params = {"mid": "0", "codecs": [{**codec, "payloadType": 111}], "headerExtensions": [],
                  "encodings": [{"ssrc": ssrc}], "rtcp": {"cname": self.device, "reducedSize": True},
                  "msid": "stream track"}
        params["codecs"][0].pop("preferredPayloadType")
        produced = self.request("PRODUCE", "PRODUCED", retry=retry,
                                where=lambda p: p["kind"] == kind, roomId=self.room,
                                transportId=transport, kind=kind, appData={"source": "mic"},
                                rtpParameters=params if MEDIA else {})
        return produced["producerId"]

    def consume(self, producer, retry=False):
        caps = {"codecs": [OPUS, VP9], "headerExtensions": []}
        c = self.request("CONSUME", "CONSUMER_ADDED", retry=retry,
                         where=lambda p: p["producerId"] == producer, roomId=self.room,
                         producerId=producer, mode="recv", rtpCapabilities=caps if MEDIA else {})
        if MEDIA:
            assert c["rtpParameters"]["codecs"] and c["rtpParameters"]["encodings"][0]["ssrc"]
            assert c["rtpParameters"]["mid"]
        else:
            assert c["rtpParameters"] == {}
        return c["consumerId"]

    def key_package(self, target):
        """Returns what the server says, with its payload as sent."""
        payload = {"roomId": self.room, "targetDeviceId": target, "epoch": self.epoch,
                   "ciphertext": "Q" * 88, "sig": "c2ln" * 16, "senderPublicKey": "QUFB" * 22,
                   "salt": "", "senderIdentity": {"userId": f"dev_{self.user}", "deviceId": self.device,
                                                  "sessionId": "s"}}
        self.request("KEY_PACKAGE", **payload)
        return payload


class Early(Client):
    """Answers a REKEY_COMMIT, its own echo too, with E2EE_READY; resets its counter on open."""

    def rekey(self, others):
        epoch = self.epoch + 1
        self.request("REKEY_BEGIN", roomId=self.room, epoch=epoch, reason="periodic")
        self.request("REKEY_COMMIT", roomId=self.room, epoch=epoch)
        self.expect("REKEY_COMMIT", epoch=epoch)
        self.ready(epoch)
        for other in others:
            other.expect("REKEY_BEGIN", epoch=epoch)
            other.expect("REKEY_COMMIT", epoch=epoch)
            other.ready(epoch)


class Later(Client):
    """Never resets its counter; creates the room first; asks CONSUMER_RESUME before it plays."""

    keeps_counter = True
    known_ids = 10000

    def join(self, room, retry=False):
        created = self.request("ROOM_CREATE", "ROOM_CREATED", retry=retry, roomId=room,
                               callId="call-1", allowedUserIds=[], maxPeers=10)
        assert created["roomId"] == room
        # It waits up to 1200 ms for ROOM_JOIN_SECRET; there is none unless join tokens are on.
        self.quiet("ROOM_JOIN_SECRET", 0.2)
        return super().join(room, retry)

    def consume(self, producer, retry=False):
        consumer = super().consume(producer, retry)
        self.request("CONSUMER_RESUME", retry=retry, roomId=self.room, consumerId=consumer)
        return consumer


class Calls(unittest.TestCase):
    def setUp(self):
        self.room = f"room-{uuid.uuid4()}"
        self.clients = []

    def tearDown(self):
        for c in self.clients:
            c.ws.sock.close()

    def client(self, kind, name, user=None):
        c = kind(f"{name}-{uuid.uuid4().hex[:8]}", user or f"token-of-{name}-0123456789abcdef")
        self.clients.append(c)
        return c

    def member(self, kind, name, retry=False):
        c = self.client(kind, name)
        c.login(retry)
        c.join(self.room, retry)
        c.ready(c.epoch)
        return c

    def nothing_thrown_away(self):
        for c in self.clients:
            self.assertEqual(c.thrown_away, [], c.device)

    def call(self, first, second, retry):
        a = self.member(first, "ann", retry)
        b = self.member(second, "bob", retry)
        a.expect("PEER_JOINED", deviceId=b.device, peerId=b.device)

        send_a, recv_a = a.transport("send", retry), a.transport("recv", retry)
        audio = a.produce(send_a, "audio", 1111, retry)
        video = a.produce(send_a, "video", 2222, retry)
        b.expect("PRODUCER_ADDED", producerId=audio, peerDeviceId=a.device, kind="audio")
        b.expect("PRODUCER_ADDED", producerId=video, peerDeviceId=a.device, kind="video")
        a.quiet("PRODUCER_ADDED")

        # B was there before and heard of both; with its recv transport it hears again (B6).
        b.transport("recv", retry)
        b.expect("PRODUCER_ADDED", producerId=audio)
        b.expect("PRODUCER_ADDED", producerId=video)
        consumers = [b.consume(p, retry) for p in (audio, video)]
        self.assertEqual(len(set(consumers)), 2)

        send_b = b.transport("send", retry)
        back = b.produce(send_b, "video", 3333, retry)
        a.expect("PRODUCER_ADDED", producerId=back)
        a.consume(back, retry)
        return a, b, (audio, video, back), consumers

    def rekey(self, a, b):
        """A commits; afterwards every kind of request still finds its result (C1)."""
        epoch = a.epoch + 1
        for c in (a, b):
            c.request("PING")
        a.request("REKEY_BEGIN", roomId=self.room, epoch=epoch, reason="manual")
        begin = b.expect("REKEY_BEGIN", epoch=epoch)
        self.assertNotIn("seq", begin)
        sent = a.key_package(b.device)
        package = b.expect("KEY_PACKAGE")
        self.assertEqual(package["payload"], sent)
        a.quiet("KEY_PACKAGE", 0.1)
        b.request("KEY_ACK", roomId=self.room, epoch=epoch, fromDeviceId=b.device,
                  refId=package["msgId"])
        a.expect("KEY_ACK", refId=package["msgId"], fromDeviceId=b.device)
        a.request("REKEY_COMMIT", roomId=self.room, epoch=epoch)
        b.expect("REKEY_COMMIT", epoch=epoch)
        with self.assertRaises(Refused) as refused:
            b.transport("send")
        self.assertEqual(refused.exception.error["code"], "E2EE_NOT_READY")
        self.assertEqual(refused.exception.error["details"], {"expectedEpoch": epoch})
        for c in (a, b):
            c.ready(epoch)
            c.transport("send")
        self.nothing_thrown_away()

    def test_early_and_early(self):
        a, b, producers, _ = self.call(Early, Early, False)
        a.rekey([b])
        b.rekey([a])
        self.rekey(a, b)
        b.close()
        a.expect("PRODUCER_REMOVED", producerId=producers[2], reason="peer_left")
        a.expect("PEER_LEFT", deviceId=b.device, peerId=b.device)
        self.nothing_thrown_away()

    def test_later_and_later(self):
        a, b, producers, consumers = self.call(Later, Later, False)
        self.rekey(a, b)
        self.rekey(b, a)
        with self.assertRaises(AssertionError):  # it waits for it after the ACK only: no server helps
            b.expect("ROUTER_RTP_CAPABILITIES", 0.1)
        caps = b.request("GET_ROUTER_RTP_CAPABILITIES", "ROUTER_RTP_CAPABILITIES", roomId=self.room)
        self.assertEqual(caps["routerRtpCapabilities"]["codecs"], b.codecs)
        a.vanish()
        b.expect("PEER_LEFT", deviceId=a.device)
        self.assertEqual(
            sorted(f["payload"]["consumerId"] for f in b.events if f["type"] == "CONSUMER_CLOSED"),
            sorted(consumers))
        self.nothing_thrown_away()

    def test_early_and_later(self):
        a, b, _, _ = self.call(Early, Later, False)
        self.rekey(a, b)
        self.rekey(b, a)
        self.nothing_thrown_away()

    def test_every_request_sent_twice(self):
        """The retry changes nothing: one producer, one consumer, one member each."""
        a, b, _, _ = self.call(Later, Early, True)
        self.rekey(a, b)
        late = self.client(Later, "cyd")
        late.login()
        snapshot = late.join(self.room)
        self.assertEqual(len(snapshot["peers"]), 3)
        self.assertEqual(len(snapshot["producers"]), 3)
        self.nothing_thrown_away()

    def test_late_joiner(self):
        """Who ignores snapshot.producers hears of them with its first recv transport, once (B6)."""
        a, b, producers, _ = self.call(Early, Later, False)
        late = self.client(Later, "cyd")
        late.login()
        late.join(self.room)
        late.quiet("PRODUCER_ADDED", 0.2)
        with self.assertRaises(Refused):
            late.consume(producers[0])
        late.ready(late.epoch)
        # A CONSUME was refused for want of readiness: again after READY.
        for p in producers:
            late.expect("PRODUCER_ADDED", producerId=p)
        late.transport("recv")
        for p in producers:
            late.expect("PRODUCER_ADDED", producerId=p)
            late.consume(p)
        late.transport("recv")
        late.quiet("PRODUCER_ADDED")
        self.nothing_thrown_away()

    def test_reconnect(self):
        """The later client keeps its counter: WELCOME and all that follows must be above it (C2)."""
        a, b, _, _ = self.call(Later, Early, False)
        last = a.last_seq
        a.vanish()
        b.expect("PEER_LEFT", deviceId=a.device)
        a.connect()
        # By itself it repeats neither HELLO nor AUTH: it pings, and is told to authenticate.
        a.request("PING")
        with self.assertRaises(Refused) as refused:
            a.transport("send")
        self.assertEqual(refused.exception.error["code"], "UNAUTHENTICATED")
        self.assertTrue(refused.exception.error["retryable"])
        a.login()
        self.assertGreater(a.last_seq, last)
        a.join(self.room)
        a.ready(a.epoch)
        a.transport("recv")
        a.expect("PRODUCER_ADDED", peerDeviceId=b.device)
        b.connect()
        b.login()
        self.assertEqual(b.thrown_away, [])
        self.nothing_thrown_away()

    def test_takeover(self):
        """The same device on a new socket before the old one is known to be gone (C9)."""
        a, b, _, _ = self.call(Early, Early, False)
        old = a.ws
        a.ws = None
        a.connect()
        a.login()
        a.room_version = -1
        a.join(self.room)
        self.clients.append(type("Old", (), {"ws": old, "thrown_away": [], "device": "old"}))
        self.assertEqual(old.close_code(), 4009)
        b.expect("PEER_JOINED", deviceId=a.device)
        b.quiet("PEER_LEFT")
        a.ready(a.epoch)
        a.transport("send")

    def test_pipelined_login(self):
        """C3: a whole login in one segment; results and ACKs in the order of the requests."""
        c = self.client(Early, "dan")
        frames = [
            c.envelope("HELLO", {"client": {"deviceId": c.device}}),
            c.envelope("AUTH", {"accessToken": c.user}),
            c.envelope("E2EE_CAPS", {"insertableStreams": True, "sframe": True}),
            c.envelope("ROOM_CREATE", {"roomId": self.room}),
            c.envelope("ROOM_JOIN", {"roomId": self.room}),
            c.envelope("E2EE_READY", {"epoch": 0}),
            c.envelope("TRANSPORT_CREATE", {"direction": "send"}),
            c.envelope("TRANSPORT_CREATE", {"direction": "recv"}),
            c.envelope("ROOM_LEAVE", {}),
            c.envelope("PING", {}),
        ]
        sent = bytearray()

        class Gather:
            sendall = staticmethod(sent.extend)

        real, c.ws.sock = c.ws.sock, Gather
        for frame in frames:
            c.send(frame)
        c.ws.sock = real
        real.sendall(sent)
        got = []
        while len(got) < 19:
            frame = c.read()
            got.append(frame["type"] if frame["type"] != "ACK" else frame["ack"])
        acks = [g for g in got if isinstance(g, dict)]
        self.assertEqual([a["ackOfMsgId"] for a in acks], [f["msgId"] for f in frames])
        self.assertTrue(all(a["ok"] for a in acks), acks)
        self.assertEqual(
            [g if isinstance(g, str) else "ACK" for g in got],
            ["WELCOME", "ACK", "AUTH_OK", "ACK", "ACK", "ROOM_CREATED", "ACK", "ROOM_JOIN_OK",
             "E2EE_POLICY", "ROOM_SNAPSHOT", "ACK", "ACK", "TRANSPORT_CREATED", "ACK",
             "TRANSPORT_CREATED", "ACK", "ROOM_LEFT", "ACK", "ACK"])


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[2] not in ("fallback", "media"):
        sys.exit(__doc__)
    PORT = int(sys.argv.pop(1))
    MEDIA = sys.argv.pop(1) == "media"
    unittest.main()
