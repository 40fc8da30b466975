#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Clients that go from node to node, against three running sfu-ctl. Usage: regions.py /path/to/sfu-ctl
[unittest arguments]. Loopback only; the test of a dead name server needs what regions_test.sh sets up.

The client is the later reference client (web_clients.py), which never resets its receive counter, with
what a client of several nodes does beyond it: it keeps the latest endpoints that it was told, goes
through them in order when its connection is lost, and obeys ROOM_MIGRATE."""

import json
import os
import signal
import socket
import sys
import tempfile
import threading
import time
import unittest
import uuid

import ctl_http_test
from ctl_http_test import WebSocket, ask, free_port
import web_clients
from web_clients import Later, Refused

REGIONS = ("tr", "ru", "ae")


class Node(ctl_http_test.Server):
    def __init__(self, region, port, regions, **settings):
        super().__init__(SFU_PORT=str(port), SFU_REGION=region, SFU_NODE_ID=f"node-{region}",
                         SFU_REGIONS=regions, SFU_REGION_CHECK_MS="200", **settings)
        self.region = region

    @property
    def url(self):
        return f"ws://127.0.0.1:{self.port}/ws"

    def health(self, path="/health"):
        status, _, body = ask(self.port, path)
        return status, json.loads(body)

    def endpoints(self):
        return self.health()[1]["failoverHints"]["endpoints"]

    def rooms(self):
        return self.health()[1]["rooms"]

    def kill(self):
        self.process.kill()
        self.process.wait()


class Roamer(Later):
    """joined_at: when ROOM_JOIN_OK came, by time.monotonic()."""

    def __init__(self, device, user, url):
        self.url = url
        self.endpoints = []
        self.told = None  # the last ROOM_MIGRATE
        self.moves = 0
        super().__init__(device, user)

    def connect(self):
        if self.ws:
            self.ws.sock.close()
        self.ws = WebSocket(int(self.url.rsplit(":", 1)[1].split("/")[0]))
        assert self.ws.status == 101, self.ws.head

    def on_event(self, frame):
        self.endpoints = frame["payload"].get("endpoints", self.endpoints)
        if frame["type"] == "ROOM_MIGRATE":
            self.told = frame["payload"]

    def enter(self, room):
        self.login()
        self.room_version = -1  # of another node's room
        self.request("ROOM_CREATE", "ROOM_CREATED", roomId=room, callId="call-1")
        super(Later, self).join(room)
        self.joined_at = time.monotonic()
        self.ready(self.epoch)

    def wander(self, urls):
        """The first of these that takes it in its room."""
        for url in urls:
            try:
                self.url = url
                self.connect()
                self.enter(self.room)
                self.moves += 1
                return
            except (OSError, EOFError, Refused):
                pass
        raise AssertionError(f"{self.device}: nowhere to go: {urls}")

    def live(self):
        """Until the thread is told to end: read, and move when it must."""
        try:
            while not self.done.is_set():
                try:
                    self.read(0.05)
                except TimeoutError:
                    pass
                except (OSError, EOFError, AssertionError):  # lost, or a close frame
                    self.wander([e["url"] for e in self.endpoints])
                if self.told:
                    told, self.told = self.told, None
                    time.sleep(told["rejoinAfterMs"] / 1000)
                    old, self.ws = self.ws, None
                    self.wander([told["url"]])
                    old.send(ctl_http_test.CLOSE, b"\x03\xe8")
                    old.sock.close()
        except Exception as error:  # the test looks at it
            self.failure = error

    def start(self):
        self.done, self.failure = threading.Event(), None
        self.thread = threading.Thread(target=self.live)
        self.thread.start()

    def stop(self):
        self.done.set()
        self.thread.join()


class Nodes(unittest.TestCase):
    def setUp(self):
        self.ports = {region: free_port() for region in REGIONS}
        self.regions = ",".join(f"{r}=ws://127.0.0.1:{p}/ws" for r, p in self.ports.items())
        self.started, self.clients = [], []

    def tearDown(self):
        for c in self.clients:
            if hasattr(c, "thread"):
                c.stop()
            c.ws.sock.close()
        for node in self.started:
            if node.process.poll() is None:
                self.assertEqual(node.stop()[0], 0)
            else:
                node.process.stdout.close()
                node.log.close()

    def start(self, region, **settings):
        node = Node(region, self.ports[region], settings.pop("SFU_REGIONS", self.regions), **settings)
        self.assertTrue(node.ready, node.errors() if not node.ready else "")
        self.started.append(node)
        return node

    def start_all(self, **settings):
        nodes = [self.start(region, **settings) for region in REGIONS]
        for node in nodes:
            self.wait(lambda: len(node.endpoints()) == 2 and all(e["healthy"] for e in node.endpoints()))
        return nodes

    def wait(self, condition, seconds=5):
        end = time.monotonic() + seconds
        while not condition():
            self.assertLess(time.monotonic(), end, "it does not come about")
            time.sleep(0.02)

    def client(self, node, room):
        c = Roamer(f"dev-{uuid.uuid4().hex[:8]}", f"token-{uuid.uuid4().hex}", node.url)
        self.clients.append(c)
        c.enter(room)
        return c

    def rooms_of(self, node, rooms=3, members=3):
        """Members of rooms, each room a few epochs old."""
        out = {}
        for _ in range(rooms):
            room = f"room-{uuid.uuid4()}"
            out[room] = [self.client(node, room) for _ in range(members)]
            first = out[room][0]
            for _ in range(3):
                first.request("REKEY_COMMIT", roomId=room, epoch=first.epoch + 1)
                first.epoch += 1
        return out

    def live(self, rooms):
        for c in sum(rooms.values(), []):
            c.epoch_before = rooms[c.room][0].epoch
            c.start()

    def all_met_again(self, rooms, since, nodes, seconds=2):
        """Everybody is in its room within that time, all of a room on one node, nothing thrown away."""
        for room, members in rooms.items():
            self.wait(lambda: all(c.moves or c.failure for c in members), seconds + 10)
            for c in members:
                self.assertIsNone(c.failure, (c.url, c.last_seq, c.thrown_away))
                self.assertLess(c.joined_at - since(c), seconds)
                self.assertGreater(c.epoch, c.epoch_before)
                self.assertEqual(c.thrown_away, [])
            self.assertEqual(len({c.url for c in members}), 1, "the room is split")
            self.assertIn(members[0].url, [n.url for n in nodes])
            self.assertEqual(len({c.epoch for c in members}), 1)
        for c in sum(rooms.values(), []):
            c.stop()
        for room, members in rooms.items():
            # The room works: what one says, all hear.
            members[0].request("REKEY_COMMIT", roomId=room, epoch=members[0].epoch + 1)
            for c in members[1:]:
                c.expect("REKEY_COMMIT", epoch=members[0].epoch + 1)
                c.request("PING")
                self.assertEqual(c.thrown_away, [])

    def test_killed(self):
        a, b, c = self.start_all()
        rooms = self.rooms_of(a)
        self.live(rooms)
        killed = time.monotonic()
        a.kill()
        self.all_met_again(rooms, lambda _: killed, [b, c])
        self.assertEqual(b.rooms() + c.rooms(), len(rooms))
        for node in (b, c):
            self.wait(lambda: not node.endpoints()[-1]["healthy"])
            self.assertEqual(node.endpoints()[-1]["url"], a.url)

    def test_drained(self):
        a, b, c = self.start_all()
        rooms = self.rooms_of(b)
        self.live(rooms)
        outsider = self.client(b, "room-of-one")
        begun = time.monotonic()
        b.process.send_signal(signal.SIGUSR1)
        self.wait(lambda: b.health("/ready")[0] == 503)
        self.assertTrue(b.health()[1]["ok"])
        metrics = ask(b.port, "/metrics/prometheus")[2].decode()
        self.assertIn("\nsfu_draining 1\n", metrics)
        self.assertIn(f'\nsfu_other_node_up{{region="tr",url="{a.url}"}} 1\n', metrics)
        self.assertRegex(metrics, r'\nsfu_room_moves_total\{reason="MAINTENANCE"\} [0-9]+\n')
        with self.assertRaises(Refused) as refused:
            outsider.request("ROOM_CREATE", roomId="room-that-is-new")
        error = refused.exception.error
        self.assertEqual((error["code"], error["retryable"]), ("SFU_NODE_UNAVAILABLE", True))
        self.assertEqual(error["details"]["reason"], "MAINTENANCE")
        self.assertIn(error["details"]["endpoints"][0]["url"], (a.url, c.url))
        self.all_met_again(rooms, lambda _: begun, [a, c])
        told = outsider.expect("ROOM_MIGRATE")["payload"]
        self.assertEqual(set(told), {"roomId", "fromNodeId", "toNodeId", "region", "url", "reason",
                                     "rejoinAfterMs"})
        self.assertEqual((told["fromNodeId"], told["reason"]), ("node-ru", "MAINTENANCE"))
        self.assertIn(told["toNodeId"], ("node-tr", "node-ae"))
        self.assertIsNone(b.process.poll(), "it left a member behind")
        # It would join again in the room that has left: it is sent after the others.
        with self.assertRaises(Refused) as refused:
            outsider.request("ROOM_JOIN", roomId="room-of-one")
        self.assertEqual(refused.exception.error["details"]["url"], told["url"])
        outsider.close()
        self.assertEqual(b.process.wait(5), 0)
        self.assertEqual(a.rooms() + c.rooms(), len(rooms))
        self.assertGreater(min(a.rooms(), c.rooms()), 0, "all on one node")

    def test_drained_after_a_loss(self):
        """One node is killed, the next one drained: all are on the third."""
        a, b, c = self.start_all()
        rooms = self.rooms_of(a, rooms=2)
        self.live(rooms)
        a.kill()
        self.wait(lambda: all(m.moves == 1 or m.failure for ms in rooms.values() for m in ms))
        where = {ms[0].url for ms in rooms.values()}
        drained, last = (b, c) if b.url in where else (c, b)
        self.wait(lambda: not drained.endpoints()[-1]["healthy"])
        begun = time.monotonic()
        for m in sum(rooms.values(), []):
            m.epoch_before = m.epoch
            if m.url == drained.url:
                m.moves = 0
        drained.process.send_signal(signal.SIGUSR1)
        self.assertEqual(drained.process.wait(10), 0)
        self.all_met_again({r: ms for r, ms in rooms.items() if ms[0].moves and ms[0].joined_at > begun},
                           lambda _: begun, [last])
        self.assertEqual(last.rooms(), len(rooms))

    def test_deadline(self):
        """Who does not go is cut off; the status is that of a proper end all the same."""
        a, b, _ = self.start_all(SFU_DRAIN_DEADLINE_SEC="2")
        stays = self.client(a, "room-1")
        begun = time.monotonic()
        a.process.send_signal(signal.SIGUSR1)
        stays.expect("ROOM_MIGRATE")
        self.assertEqual(a.process.wait(10), 0)
        self.assertGreater(time.monotonic() - begun, 1.9)
        self.assertLess(time.monotonic() - begun, 3)

    def test_alone(self):
        """A node without others drains too: it waits for the members to leave."""
        a = self.start("tr", SFU_REGIONS="")
        self.assertEqual(set(a.health()[1]["failoverHints"]), {"healthy", "preferredRegion"})
        stays = self.client(a, "room-1")
        self.assertEqual((stays.epoch, stays.endpoints), (0, []))
        a.process.send_signal(signal.SIGUSR1)
        stays.quiet("ROOM_MIGRATE", 1.5)
        self.assertIsNone(a.process.poll())
        stays.close()
        self.assertEqual(a.process.wait(5), 0)

    def test_restarted(self):
        """The same node again: its epochs and seqs have gone up, with nothing kept on disk."""
        a, *_ = self.start_all()
        rooms = self.rooms_of(a, rooms=1)
        members = sum(rooms.values(), [])
        room = members[0].room
        a.kill()
        a = self.start("tr")
        for c in members:
            before = members[0].epoch if c is members[0] else members[0].epoch_before
            c.epoch_before = before
            c.connect()
            c.enter(room)
            self.assertGreater(c.epoch, before)
            self.assertEqual(c.thrown_away, [])

    def test_other_regions_by_sighup(self):
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as config:
            config.write(f"SFU_REGIONS = tr=ws://127.0.0.1:{self.ports['tr']}/ws\n")
            config.flush()
            a = ctl_http_test.Server(config=config.name, SFU_PORT=str(self.ports["tr"]),
                                     SFU_REGION_CHECK_MS="200", SFU_NODE_ID="node-tr")
            self.started.append(a)
            a.url = f"ws://127.0.0.1:{a.port}/ws"
            self.start("ru")
            member = self.client(a, "room-1")
            self.wait(lambda: json.loads(ask(a.port, "/health")[2])["failoverHints"]["endpoints"] == [])
            with open(config.name, "w") as f:
                f.write(f"SFU_REGIONS = {self.regions}\n")
            a.process.send_signal(signal.SIGHUP)
            self.wait_endpoints(member, {"ru": True, "ae": False})
            with open(config.name, "w") as f:
                f.write("SFU_REGIONS = tr=http://127.0.0.1/\n")
            a.process.send_signal(signal.SIGHUP)
            self.wait(lambda: "entry 1 has a URL that is not ws" in a.errors())
            hints = json.loads(ask(a.port, "/health")[2])["failoverHints"]
            self.assertEqual(len(hints["endpoints"]), 2, "a bad list changed something")

    def wait_endpoints(self, member, wanted):
        end = time.monotonic() + 6
        while {e["region"]: e["healthy"] for e in member.endpoints} != wanted:
            self.assertLess(time.monotonic(), end, member.endpoints)
            try:
                member.read(0.1)
            except TimeoutError:
                pass

    @unittest.skipUnless(os.environ.get("SFU_TEST_INSIDE"), "needs the name server of regions_test.sh")
    def test_dead_resolver(self):
        """Names that are not resolved stall nobody, and the end does not wait for them."""
        begun = time.monotonic()
        with self.assertRaises(socket.gaierror):
            socket.getaddrinfo("node.example", 80)
        self.assertGreater(time.monotonic() - begun, 4, "the name server is no hole")
        a = self.start("tr", SFU_REGIONS="ru=ws://one.example/ws,ae=wss://two.example/ws")
        self.assertEqual([e["healthy"] for e in a.endpoints()], [False, False])
        member = self.client(a, "room-1")
        worst = 0
        end = time.monotonic() + 4
        while time.monotonic() < end:
            begun = time.monotonic()
            member.request("PING")
            worst = max(worst, time.monotonic() - begun)
            time.sleep(0.005)
        print(f"slowest PING {worst * 1000:.1f} ms", file=sys.stderr)
        self.assertLess(worst, 0.25)
        with open(f"/proc/{a.process.pid}/status") as f:
            threads = int(next(line for line in f if line.startswith("Threads:")).split()[1])
        self.assertLess(threads, 40, "questions pile up")
        status, seconds = a.stop()
        self.assertEqual(status, 0)
        self.assertLess(seconds, 1.5)


if __name__ == "__main__":
    ctl_http_test.PROGRAM = os.path.abspath(sys.argv.pop(1))
    unittest.main(verbosity=2)
