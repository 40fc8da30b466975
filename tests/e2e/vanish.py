#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Clients whose ICE checks stop while their signalling goes on, against a running system with
SFU_DP_CONSENT_SEC=$CONSENT_SEC (3). Usage: vanish.py PORT PID_CTL PID_DP. Loopback only."""

import hashlib
import hmac
import os
import socket
import struct
import sys
import time
import unittest
import uuid
import zlib

import web_clients

CONSENT_SEC = int(os.environ.get("CONSENT_SEC", "3"))
PIDS = ()
# What a long life may add to a process that has served 100 of these before.
SLACK_KB = 4096


def attribute(kind, value):
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)


def binding_request(ufrag, password):
    """RFC 8445, 7.1, as a controlling agent sends it, nominating."""
    txid = os.urandom(12)
    body = attribute(0x0006, f"{ufrag}:test".encode()) + attribute(0x0024, b"\x6e\x00\x1e\xff")
    body += attribute(0x802a, b"\x01" * 8) + attribute(0x0025, b"")

    def header(length):
        return struct.pack("!HHI", 0x0001, length, 0x2112a442) + txid

    key = password.encode()
    body += attribute(0x0008, hmac.new(key, header(len(body) + 24) + body, hashlib.sha1).digest())
    crc = zlib.crc32(header(len(body) + 8) + body) ^ 0x5354554e
    return header(len(body) + 8) + body + attribute(0x8028, struct.pack("!I", crc))


class Path:
    """The client's end of one transport."""

    def __init__(self, created):
        ice, at = created["iceParameters"], created["iceCandidates"][0]
        self.ufrag, self.password = ice["usernameFragment"], ice["password"]
        self.sock = socket.socket(socket.AF_INET6 if ":" in at["ip"] else socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.connect((at["ip"], at["port"]))
        self.sock.settimeout(2)

    def check(self):
        self.sock.send(binding_request(self.ufrag, self.password))
        answer = self.sock.recv(1500)
        assert answer[:2] == b"\x01\x01", answer

    def is_silent(self, seconds):
        """Nothing comes, also when asked."""
        self.sock.send(binding_request(self.ufrag, self.password))
        self.sock.settimeout(seconds)
        try:
            return not self.sock.recv(1500)
        except TimeoutError:
            return True


class Member(web_clients.Early):
    def enter(self, room):
        self.login()
        self.request("ROOM_JOIN", "ROOM_JOIN_OK", roomId=room, deviceId=self.device)
        self.room = room
        self.request("E2EE_READY", roomId=room, epoch=0)
        self.paths = []

    def open(self, direction):
        created = self.request("TRANSPORT_CREATE", "TRANSPORT_CREATED", roomId=self.room, direction=direction)
        self.paths.append(Path(created))
        self.paths[-1].check()
        return created["transportId"]


def memory_kb(pid):
    """Of a process and those that it started: sfu-dp is a keeper and its data plane."""
    with open(f"/proc/{pid}/status") as f:
        own = next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return own + sum(memory_kb(int(child)) for child in f.read().split())


def member(room):
    m = Member(f"gone-{uuid.uuid4().hex[:8]}", "token-of-gone-0123456789abcdef")
    m.enter(room)
    return m


class Vanish(unittest.TestCase):
    def test_peers_are_told(self):
        room = f"room-{uuid.uuid4()}"
        ann, bob = member(room), member(room)
        send, recv = ann.open("send"), bob.open("recv")
        producer = ann.produce(send, "video", 2222)
        bob.expect("PRODUCER_ADDED", producerId=producer)
        consumer = bob.consume(producer)
        # While she is checked on, she stays.
        for _ in range(CONSENT_SEC + 1):
            ann.paths[0].check()
            bob.paths[0].check()
            ann.request("PING")
            bob.quiet("PRODUCER_REMOVED", 1)
        last = time.monotonic()
        ann.paths[0].check()
        while time.monotonic() < last + CONSENT_SEC - 0.5:
            bob.paths[0].check()
            ann.request("PING")
            bob.quiet("PRODUCER_REMOVED", 0.5)
        gone = bob.expect("PRODUCER_REMOVED", seconds=2, producerId=producer)["payload"]
        after = time.monotonic() - last
        print(f"told {after:.2f} s after the last check")
        self.assertEqual(gone["reason"], "transport_closed")
        self.assertEqual(gone["peerDeviceId"], ann.device)
        bob.expect("CONSUMER_CLOSED", consumerId=consumer)
        self.assertLess(after, CONSENT_SEC + 1)
        self.assertTrue(ann.paths[0].is_silent(0.5))
        # The member is still one, the transport is not.
        with self.assertRaises(web_clients.Refused) as refused:
            ann.request("ICE_RESTART", roomId=room, transportId=send)
        self.assertEqual(refused.exception.error["code"], "TRANSPORT_NOT_FOUND")
        bob.paths[0].check()
        bob.request("ICE_RESTART", "ICE_RESTART_OK", roomId=room, transportId=recv)
        again = ann.open("send")
        self.assertNotEqual(again, send)
        for m in (ann, bob):
            m.close()
            for p in m.paths:
                p.sock.close()

    def test_five_hundred_come_and_vanish(self):
        used = []
        for _ in range(5):
            members = [member(f"{n // 5}-{uuid.uuid4().hex[:8]}") for n in range(100)]
            for m in members:
                m.produce(m.open("send"), "video", 2222)
                m.open("recv")
            # Their signalling goes on: a connection that is silent for 25 s is ended.
            gone = time.monotonic() + CONSENT_SEC + 1
            while time.monotonic() < gone:
                time.sleep(min(5, gone - time.monotonic()))
                for m in members:
                    m.request("PING")
            for m in members:
                self.assertEqual(m.request("PING"), None)
                with self.assertRaises(web_clients.Refused):
                    m.produce("gone", "video", 1)
                m.vanish()
                for p in m.paths:
                    p.sock.close()
            used.append([memory_kb(pid) for pid in PIDS])
        print("memory of sfu-ctl and sfu-dp in kB after each hundred:", used)
        # The first two touch tables for the first time.
        for first, last in zip(used[1], used[-1]):
            self.assertLess(last - first, SLACK_KB)


if __name__ == "__main__":
    web_clients.PORT, web_clients.MEDIA = int(sys.argv[1]), True
    PIDS = [int(p) for p in sys.argv[2:4]]
    unittest.main(argv=[sys.argv[0], "-v"] + sys.argv[4:])
