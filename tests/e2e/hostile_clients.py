#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Clients that mean ill, against a running sfu-ctl, while two members of a room go on talking.
Usage: hostile_clients.py PORT PID fallback|media. After each attack the members must have been served
all the time, and memory and descriptors of the process must be back. Loopback only."""

import json
import os
import random
import select
import socket
import struct
import sys
import threading
import time
import unittest
import uuid

import web_clients
from ctl_http_test import BINARY, CLOSE, TEXT, WebSocket, ask

PID = 0
# What a long life may add: allocator's slack, tables that grew, ids of devices that were here.
SLACK_KB = 16 * 1024
SANITIZED = "SFU_SANITIZED" in os.environ
PATIENCE_SEC = 2.0


def descriptors():
    return len(os.listdir(f"/proc/{PID}/fd"))


def memory_kb():
    with open(f"/proc/{PID}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))


class Talkers(threading.Thread):
    """Two members who send KEY_ACKs to each other and a PING; the longest wait counts."""

    def __init__(self):
        super().__init__(daemon=True)
        self.room = f"talk-{uuid.uuid4()}"
        self.members = []
        for name in ("eve", "fay"):
            c = web_clients.Early(f"{name}-{uuid.uuid4().hex[:8]}", f"token-of-{name}-0123456789")
            c.login()
            c.join(self.room)
            c.ready(c.epoch)
            self.members.append(c)
        self.turns, self.worst, self.error, self.over = 0, 0.0, None, False
        self.start()

    def run(self):
        a, b = self.members
        try:
            while not self.over:
                begin = time.monotonic()
                a.request("KEY_ACK", roomId=self.room, epoch=0, fromDeviceId=a.device)
                b.expect("KEY_ACK", fromDeviceId=a.device)
                b.request("PING")
                self.worst = max(self.worst, time.monotonic() - begin)
                self.turns += 1
                for c in (a, b):
                    c.events.clear()
                a, b = b, a
                time.sleep(0.02)
        except Exception as e:  # told in the main thread
            self.error = e

    def finish(self):
        self.over = True
        self.join()
        for c in self.members:
            c.vanish()


class Attack(unittest.TestCase):
    def setUp(self):
        self.talkers = Talkers()
        time.sleep(0.1)
        self.fds, self.kb = descriptors(), memory_kb()

    def tearDown(self):
        end = time.monotonic() + 15
        while time.monotonic() < end and descriptors() > self.fds:
            time.sleep(0.1)
        self.talkers.finish()
        self.assertIsNone(self.talkers.error)
        self.assertGreater(self.talkers.turns, 3)
        self.assertLess(self.talkers.worst, PATIENCE_SEC)
        self.assertEqual(self.talkers.members[0].thrown_away, [])
        self.assertLessEqual(descriptors(), self.fds)
        if not SANITIZED:
            self.assertLess(memory_kb() - self.kb, SLACK_KB)
        self.assertEqual(ask(web_clients.PORT, "/health")[0], 200)

    def socket(self, **kw):
        w = WebSocket(web_clients.PORT, **kw)
        self.assertEqual(w.status, 101)
        return w

    def member(self, room, name="mal"):
        c = web_clients.Early(f"{name}-{uuid.uuid4().hex[:8]}", f"token-of-{name}-0123456789")
        c.login()
        c.join(room)
        c.ready(c.epoch)
        return c

    def test_frames_that_are_too_long(self):
        for _ in range(20):
            with self.socket() as w:
                # The length is announced; the rest of it never comes.
                w.sock.sendall(bytes([0x81, 0xFF]) + struct.pack(">Q", 1 << 62) + bytes(4) + b"x" * 1000)
                self.assertEqual(w.close_code(), 1009)
        for _ in range(20):
            with self.socket() as w:
                try:
                    for _ in range(30):
                        w.send(0 if _ else TEXT, b"x" * 10000, fin=False)
                    self.assertEqual(w.close_code(), 1009)
                except ConnectionError:
                    pass

    def test_text_that_is_no_message(self):
        head = b'{"v":1,"type":"PING","msgId":"m","ts":1,"seq":1'
        silent = [  # not JSON: dropped without an answer
            b"", b" ", b"{", b"}", b"[" * 10, b"nul", b"'x'", b"{'v':1}", head, head + b",}",
            head + b"}x", head + b',"x":01}', head + b',"x":NaN}', head + b',"x":+1}', head + b',"x":.5}',
            head + b',"x":"\t"}', head + b',"x":"\\u12"}', head + b',"x":"\\x41"}', head + b"/**/}",
            b"\xef\xbb\xbf" + head + b"}", head + b"}\0", b"\0" * 1000,
        ]
        refused = [  # JSON, but no envelope
            b"null", b"[]", b"1e999", b'"x"', b"-0", b"[" * 10 + b"]" * 10,
            b'{"v":1,"v":1}', head + b',"msgId":"n"}', head[:-1] + b'1e400,"ts":"x"}',
            b'{"x":' + b"[" * 100 + b"]" * 100 + b"}", b"[" * 200000, head + b',"x":"\\u0000"}',
            head + b',"x":"\\ud800"}', b"{" + b",".join(b'"%d":0' % n for n in range(5000)) + b"}",
        ]
        with self.socket() as w:
            for opcode in (TEXT, BINARY):
                for text in silent:
                    w.send(opcode, text)
                    w.send(opcode, b"[]")  # the next answer is to this
                    self.assertEqual(json.loads(w.receive()[1])["ack"]["ok"], False)
                w.sock.settimeout(0.2)
                with self.assertRaises(TimeoutError):
                    w.receive()
                w.sock.settimeout(10)
                for text in refused:
                    w.send(opcode, text)
                    got, data = w.receive()
                    self.assertEqual(got, TEXT)
                    error = json.loads(data)["ack"]["error"]
                    self.assertEqual(error["code"], "VALIDATION_FAILED", text)
                    self.assertEqual(error["message"], "Invalid envelope", text)
            # It still works, and none of those took a msgId or a seq.
            w.send(TEXT, head + b"}")
            self.assertTrue(json.loads(w.receive()[1])["ack"]["ok"])

    def test_bytes_that_are_no_text(self):
        """Invalid UTF-8 never comes out again: what the server says is text."""
        bad = [b"\xff", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\x80"]
        victim = self.member(self.talkers.room, "vic")
        for opcode in (TEXT, BINARY):
            for junk in bad:
                mallory = self.member(self.talkers.room)
                frame = mallory.envelope("KEY_ACK", {"x": "@@"})
                try:
                    mallory.ws.send(opcode, json.dumps(frame).encode().replace(b"@@", junk))
                    mallory.request("PING")
                except (EOFError, ConnectionError, AssertionError):
                    pass
                mallory.vanish()
        # json.loads() of the client raises on bytes that are no UTF-8.
        victim.request("PING")
        victim.vanish()

    def test_numbers_that_are_none(self):
        """What is relayed is JSON, whatever numbers it was made of."""
        mallory, victim = self.member(self.talkers.room), self.member(self.talkers.room, "vic")
        numbers = ["1e999", "-1e999", "123456789012345678901234567890", "-0", "1e-999", "0.1e1",
                   "-9223372036854775809", "1" * 5000]
        for number in numbers:
            frame = mallory.envelope("KEY_ACK", {"x": "@@"})
            mallory.ws.send(TEXT, json.dumps(frame).replace('"@@"', number).encode())
            self.assertTrue(mallory.await_ack(frame["msgId"])["ok"])

            def refuse(constant):
                raise AssertionError(f"{number} came out as {constant}")

            while True:
                opcode, data = victim.ws.receive()
                if opcode == TEXT and b'"x":' in data:
                    json.loads(data, parse_constant=refuse)
                    break
        mallory.vanish()
        victim.vanish()

    def test_pipelines(self):
        """C3: thousands of requests in one go, by clients who read: all answered in order."""
        def pipeline(w, count):
            data = bytearray()

            class Gather:
                sendall = staticmethod(data.extend)

            real, w.sock = w.sock, Gather
            for _ in range(count):
                w.send(TEXT, w.message())
            w.sock = real
            real.setblocking(False)
            got, sent, acked = bytearray(), 0, 0
            end = time.monotonic() + 20
            while acked < count and time.monotonic() < end:
                readable, writable, _ = select.select([real], [real] if sent < len(data) else [], [], 1)
                if writable:
                    sent += real.send(data[sent : sent + 65536])
                if readable:
                    piece = real.recv(65536)
                    if not piece:
                        break
                    got += piece
                    acked = got.count(b'"ackOfMsgId":')
            real.setblocking(True)
            self.assertEqual(acked, count)
            self.assertEqual(got.count(b'"ok":true'), count)
            last = -1
            for n in range(1, count + 1, 97):
                at = got.index(b'"ackOfMsgId":"m%d"' % n)
                self.assertGreater(at, last)
                last = at

        for _ in range(3):
            with self.socket() as w:
                pipeline(w, 5000)

    def test_pipelines_behind_a_slow_request(self):
        """Too many that wait for an earlier one end the connection, and only that."""
        with self.socket() as w:
            data = bytearray()

            class Gather:
                sendall = staticmethod(data.extend)

            real, w.sock = w.sock, Gather
            w.send(TEXT, w.message("AUTH", accessToken="x" * 30))
            for _ in range(100):
                w.send(TEXT, w.message())
            w.sock = real
            real.sendall(data)
            for _ in range(101):
                self.assertTrue(w.acked())

    def test_readers_that_do_not_read(self):
        """Members of the room of others who are told everything and read nothing."""
        idle = []
        for _ in range(10):
            c = self.member(self.talkers.room, "idle")
            c.ws.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            idle.append(c)
        loud = self.member(self.talkers.room, "loud")
        for n in range(250):
            loud.request("KEY_ACK", epoch=0, x="y" * 30000)
            loud.events.clear()
            loud.recent.clear()
        if not SANITIZED:
            self.assertLess(memory_kb() - self.kb, 64 * 1024)
        end = time.monotonic() + 10
        while time.monotonic() < end and descriptors() > self.fds + 1:
            time.sleep(0.1)
        self.assertLessEqual(descriptors(), self.fds + 1, "those who do not read are still there")
        loud.vanish()
        for c in idle:
            c.ws.sock.close()

    def test_many_connections(self):
        """500 open at once, closed in every way there is."""
        rnd = random.Random(7)
        for _ in range(2):
            sockets = [self.socket() for _ in range(500)]
            for w in sockets:
                w.send(TEXT, w.message("HELLO", client={"deviceId": f"many-{rnd.random()}"}))
            for w in sockets:
                self.assertTrue(w.acked())
            for n, w in enumerate(sockets):
                if n % 4 == 0:
                    w.send(CLOSE, b"\x03\xe8")
                elif n % 4 == 1:  # RST
                    w.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                elif n % 4 == 2:  # in the middle of a frame
                    w.sock.sendall(bytes([0x81, 0xFE, 0x10, 0]) + bytes(4) + b"x" * 100)
                else:
                    w.sock.shutdown(socket.SHUT_WR)
                w.sock.close()

    def test_come_and_go(self):
        """Members that join, take transports, and vanish at once; some do not wait for answers."""
        for n in range(100):
            c = web_clients.Early(f"come-{uuid.uuid4().hex[:8]}", "token-of-come-0123456789")
            for frame in (
                c.envelope("HELLO", {"client": {"deviceId": c.device}}),
                c.envelope("AUTH", {"accessToken": c.user}),
                c.envelope("E2EE_CAPS", {"insertableStreams": True, "sframe": True}),
                c.envelope("ROOM_JOIN", {"roomId": self.talkers.room if n % 2 else f"r{n}"}),
                c.envelope("E2EE_READY", {"epoch": 0}),
                c.envelope("TRANSPORT_CREATE", {"direction": "send"}),
                c.envelope("TRANSPORT_CREATE", {"direction": "recv"}),
            ):
                c.send(frame)
            if n % 3 == 0:
                c.await_ack(frame["msgId"])
            elif n % 3 == 1:
                time.sleep(0.002 * (n % 10))
            c.vanish()
        end = time.monotonic() + 10
        while time.monotonic() < end and descriptors() > self.fds:
            time.sleep(0.05)
        figures = json.loads(ask(web_clients.PORT, "/metrics")[2])
        self.assertEqual(figures["rooms"], 1)
        self.assertEqual(figures["peers"], 2)
        self.assertEqual(figures["mediaPlane"]["transportCount"], 0)

    def test_half_open(self):
        """Connections that never become requests are cut, the rest is served meanwhile."""
        half = []
        for text in (b"", b"G", b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n", b"POST / HTTP/1.1\r\n"
                     b"Content-Length: 1000\r\n\r\nabc"):
            for _ in range(50):
                s = socket.create_connection(("127.0.0.1", web_clients.PORT), 5)
                s.sendall(text)
                half.append(s)
        end = time.monotonic() + 15
        while time.monotonic() < end and descriptors() > self.fds:
            time.sleep(0.2)
        self.assertLessEqual(descriptors(), self.fds)
        for s in half:
            s.close()

    def test_random_frames(self):
        """Envelopes with anything in any field, by a member."""
        rnd = random.Random(11)
        types = ["HELLO", "AUTH", "E2EE_CAPS", "ROOM_CREATE", "ROOM_LEAVE", "E2EE_READY",
                 "TRANSPORT_CREATE", "TRANSPORT_CONNECT", "PRODUCE", "CONSUME", "ICE_RESTART",
                 "REKEY_BEGIN", "REKEY_COMMIT", "KEY_PACKAGE", "KEY_ACK", "CONSUMER_RESUME",
                 "CONSUMER_SET_LAYERS", "PRODUCER_PAUSE", "GET_ROUTER_RTP_CAPABILITIES", "XY", ""]
        fields = ["roomId", "client", "accessToken", "epoch", "direction", "transportId", "kind",
                  "dtlsParameters", "rtpParameters", "rtpCapabilities", "producerId", "consumerId",
                  "targetDeviceId", "ciphertext", "fromDeviceId", "refId", "spatialLayer", "policy",
                  "joinToken", "resume", "allowedUserIds"]

        def value(depth=0):
            kind = rnd.randrange(9 if depth < 4 else 7)
            if kind < 7:
                return rnd.choice([None, True, False, 0, -1, 1e300, 2**63, "", "0", "x" * 300, "\x07",
                                   "\u0085", "audio", "recv", 0.5, [], {}])
            if kind == 7:
                return [value(depth + 1) for _ in range(rnd.randrange(4))]
            return {rnd.choice(["codecs", "encodings", "fingerprints", "deviceId", "ext", "mimeType",
                                "payloadType", "ssrc", "rid", "mid", "headerExtensions", "rtcp",
                                "uri", "id", "algorithm", "value", "role", "parameters", "apt"]):
                    value(depth + 1) for _ in range(rnd.randrange(5))}

        for _ in range(20):
            c = self.member(f"mine-{uuid.uuid4()}")
            for _ in range(100):
                frame = c.envelope(rnd.choice(types), {rnd.choice(fields): value() for _ in range(4)})
                c.send(frame)
                ack = c.await_ack(frame["msgId"])
                if not ack["ok"]:
                    self.assertEqual(set(ack["error"]), {"code", "message", "details", "retryable"})
            c.vanish()


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    web_clients.PORT = int(sys.argv.pop(1))
    PID = int(sys.argv.pop(1))
    web_clients.MEDIA = sys.argv.pop(1) == "media"
    unittest.main()
