#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""sfu-ctl from outside, without a data plane: HTTP, WebSocket upgrade, framing, limits, TLS, start
and stop. Usage: ctl_http_test.py /path/to/sfu-ctl [unittest arguments]. Loopback only."""

import base64
import contextlib
import http.server
import json
import os
import random
import re
import resource
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

PROGRAM = None
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """A running sfu-ctl; settings by keyword, config: its file."""

    def __init__(self, limits=None, **settings):
        self.port = int(settings.pop("SFU_PORT", 0)) or free_port()
        config = settings.pop("config", None)
        env = {
            "PATH": os.environ["PATH"],
            "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", ""),
            "SFU_PORT": str(self.port),
            "SFU_LISTEN": "127.0.0.1",
            "CALLS_DEV_INSECURE_AUTH": "1",
            "SFU_LOG_LEVEL": "info",
            **settings,
        }
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [PROGRAM] + (["--config", config] if config else []), env=env, stdout=subprocess.PIPE, stderr=self.log, text=True, preexec_fn=limits
        )
        self.ready = self.process.stdout.readline()

    def errors(self):
        self.log.seek(0)
        return self.log.read()

    def stop(self):
        """Exit status and seconds it took; a sanitizer's finding is a status of its own."""
        start = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(10)
        self.process.stdout.close()
        self.log.close()
        return status, time.monotonic() - start

    def descriptors(self):
        """What is open in it."""
        folder, names = f"/proc/{self.process.pid}/fd", []
        for fd in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError):
                names.append(os.readlink(f"{folder}/{fd}"))
        return names

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def read_response(sock):
    """Status, headers, body of one response."""
    data = b""
    while b"\r\n\r\n" not in data:
        got = sock.recv(65536)
        if not got:
            return (0, {}, data)
        data += got
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = {k.lower(): v.strip() for k, v in (line.split(":", 1) for line in lines[1:])}
    length = int(headers.get("content-length", "0"))
    while len(body) < length:
        got = sock.recv(65536)
        if not got:
            break
        body += got
    return int(lines[0].split()[1]), headers, body


def ask(port, target, method="GET", extra="", body=b""):
    with socket.create_connection(("127.0.0.1", port), 5) as s:
        s.sendall(f"{method} {target} HTTP/1.1\r\nHost: x\r\n{extra}\r\n".encode() + body)
        return read_response(s)


class WebSocket:
    def __init__(self, port, path="/ws", extra="", wrap=None, rcvbuf=None):
        s = socket.socket()
        if rcvbuf:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        s.settimeout(10)
        s.connect(("127.0.0.1", port))
        self.sock = wrap(s) if wrap else s
        key = base64.b64encode(os.urandom(16)).decode()
        self.sock.sendall(
            f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
            f"Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            f"Sec-WebSocket-Version: 13\r\n{extra}\r\n".encode()
        )
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            got = self.sock.recv(1)
            if not got:
                break
            head += got
        self.head = head.decode()
        self.status = int(self.head.split()[1]) if self.head else 0
        self.seq = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, opcode, data=b"", fin=True):
        n = len(data)
        head = bytes([(0x80 if fin else 0) | opcode])
        if n < 126:
            head += bytes([0x80 | n])
        elif n < 65536:
            head += bytes([0x80 | 126]) + struct.pack(">H", n)
        else:
            head += bytes([0x80 | 127]) + struct.pack(">Q", n)
        # A mask of zeros is a mask.
        self.sock.sendall(head + bytes(4) + data)

    def exactly(self, n):
        data = b""
        while len(data) < n:
            got = self.sock.recv(n - len(data))
            if not got:
                raise EOFError
            data += got
        return data

    def receive(self):
        first, second = self.exactly(2)
        n = second & 127
        if n == 126:
            (n,) = struct.unpack(">H", self.exactly(2))
        elif n == 127:
            (n,) = struct.unpack(">Q", self.exactly(8))
        return first & 15, self.exactly(n)

    def message(self, kind="PING", pad="", **payload):
        self.seq += 1
        return json.dumps(
            {"v": 1, "type": kind, "msgId": f"m{self.seq}", "ts": 1, "seq": self.seq,
             "payload": payload, "pad": pad}
        ).encode()

    def acked(self):
        """Skip to the next ACK; True if it is ok."""
        while True:
            opcode, data = self.receive()
            if opcode == TEXT and json.loads(data)["type"] == "ACK":
                return json.loads(data)["ack"]["ok"]

    def close_code(self):
        """Skip to the close frame. 0: the connection ended without."""
        try:
            while True:
                opcode, data = self.receive()
                if opcode == CLOSE:
                    self.send(CLOSE, data[:2])
                    return struct.unpack(">H", data[:2])[0]
        except (EOFError, ConnectionError):
            return 0


def refused(case, status, said, **settings):
    """It does not start, and says why and what to do in one line."""
    server = Server(**settings)
    case.assertEqual(server.ready, "")
    case.assertEqual(server.process.wait(5), status)
    lines = [line for line in server.errors().splitlines() if line.startswith("sfu-ctl: ")]
    case.assertEqual(len(lines), 1, server.errors())
    for word in said:
        case.assertIn(word, lines[0])
    server.stop()


class Case(unittest.TestCase):
    settings = {}

    @classmethod
    def setUpClass(cls):
        cls.server = Server(**cls.settings)
        cls.port = cls.server.port

    @classmethod
    def tearDownClass(cls):
        status, took = cls.server.stop()
        assert status == 0, f"exit status {status}"
        assert took < 1, f"stopping took {took:.2f} s"

    def alive(self):
        with WebSocket(self.port) as w:
            w.send(TEXT, w.message())
            self.assertTrue(w.acked())


class Http(Case):
    def test_start_line(self):
        for part in (str(self.port), "tr", "local-sfu-1"):
            self.assertIn(part, self.server.ready)

    def test_health(self):
        for target in ("/health", "/healthz", "/ready"):
            for method in ("GET", "POST", "PUT", "DELETE"):
                status, headers, body = ask(self.port, target, method)
                self.assertEqual(status, 200)
                self.assertEqual(headers["content-type"], "application/json")
                health = json.loads(body)
                self.assertEqual(
                    sorted(health),
                    ["failoverHints", "nodeId", "ok", "peers", "region", "rooms", "uptimeSec", "wsReady"],
                )
                self.assertEqual(health["failoverHints"], {"healthy": True, "preferredRegion": "tr"})

    def test_metrics(self):
        metrics = json.loads(ask(self.port, "/metrics")[2])
        self.assertEqual(
            sorted(metrics),
            ["mediaPlane", "nodeId", "peers", "producers", "region", "rooms", "roomsByRegion", "uptimeSec"],
        )
        self.assertEqual(
            metrics["mediaPlane"],
            {"mode": "fallback", "roomCount": 0, "transportCount": 0, "producerCount": 0,
             "consumerCount": 0, "workerCount": 0},
        )

    def test_not_found(self):
        for target in ("/health?x=1", "/", "/ws", "/ws/", "/metrics/", "/" + "a" * 3000, "/healt"):
            status, headers, body = ask(self.port, target)
            self.assertEqual((target, status), (target, 404))
            self.assertEqual(headers["content-type"], "application/json")
            self.assertEqual(json.loads(body), {"error": "not_found"})

    def test_head(self):
        with socket.create_connection(("127.0.0.1", self.port), 5) as s:
            s.sendall(b"HEAD /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            data = b""
            while got := s.recv(4096):
                data += got
        self.assertTrue(data.startswith(b"HTTP/1.1 200"))
        self.assertTrue(data.endswith(b"\r\n\r\n"))

    def test_bodies_are_not_requests(self):
        body = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
        for method in ("POST", "GET"):
            with socket.create_connection(("127.0.0.1", self.port), 5) as s:
                s.sendall(
                    f"{method} /health HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                    + body
                )
                self.assertEqual(read_response(s)[0], 200)
                s.settimeout(0.5)
                try:
                    rest = s.recv(4096)
                except (TimeoutError, ConnectionError):
                    rest = b""
                self.assertEqual(rest, b"")

    def test_keep_alive(self):
        with socket.create_connection(("127.0.0.1", self.port), 5) as s:
            for _ in range(3):
                s.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
                self.assertEqual(read_response(s)[0], 200)

    def test_slow_header_is_cut(self):
        for start in (b"", b"GET /health HT"):
            with socket.create_connection(("127.0.0.1", self.port), 20) as s:
                s.sendall(start)
                begin = time.monotonic()
                self.assertEqual(s.recv(100), b"")
                self.assertLess(time.monotonic() - begin, 11)

    def test_junk(self):
        rnd = random.Random(1)
        for i in range(200):
            with socket.create_connection(("127.0.0.1", self.port), 5) as s:
                try:
                    s.sendall(rnd.randbytes(rnd.randrange(1, 3000)) + b"\r\n\r\n")
                except ConnectionError:
                    pass
        for line in ("CONNECT x:1", "TRACE /health", "FOO /health", "GET", "GET  HTTP/1.1", "PRI *"):
            with socket.create_connection(("127.0.0.1", self.port), 5) as s:
                s.sendall(f"{line} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                s.settimeout(0.2)
                try:
                    s.recv(1000)
                except (TimeoutError, ConnectionError):
                    pass
        self.alive()


def series(case, text):
    """Prometheus text as {name{labels}: value}; checks that every sample has its HELP and TYPE before."""
    values, kinds, helped = {}, {}, set()
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name = line.split(" ", 3)[2]
            case.assertTrue(line.split(" ", 3)[3].strip())
            case.assertNotIn(name, helped)
            helped.add(name)
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            case.assertIn(kind, ("counter", "gauge", "histogram"))
            kinds[name] = kind
        elif not line.startswith("# "):
            match = re.fullmatch(
                r'(sfu_[a-z_]+)(\{[a-z]+="(?:[^"\\\n]|\\.)*"(?:,[a-z]+="(?:[^"\\\n]|\\.)*")*\})? ([0-9.]+)', line
            )
            case.assertIsNotNone(match, line)
            name = match[1]
            family = name if name in kinds else re.sub("_(total|bucket|sum|count)$", "", name)
            case.assertIn(family, kinds, line)
            case.assertIn(family, helped, line)
            case.assertEqual(kinds[family] == "counter", name.endswith("_total"), line)
            key = name + (match[2] or "")
            case.assertNotIn(key, values)
            values[key] = float(match[3])
    return values


class Metrics(Case):
    def test_counts(self):
        def now():
            status, headers, body = ask(self.port, "/metrics", extra="Accept: text/plain\r\n")
            self.assertEqual(status, 200)
            self.assertEqual(headers["content-type"], "text/plain; version=0.0.4; charset=utf-8")
            return series(self, body.decode())

        before = now()
        with WebSocket(self.port) as w:
            for kind, payload in (("PING", {}), ("ROOM_LEAVE", {}), ("NOBODY_KNOWS", {}),
                                  ("AUTH", {"accessToken": "x" * 30}),
                                  ("E2EE_CAPS", {"insertableStreams": True, "sframe": True}),
                                  ("ROOM_JOIN", {"roomId": "a \"room\"", "region": 'r"\\\nx'})):
                w.send(TEXT, w.message(kind, **payload))
                w.acked()
            after = now()

        def grown(key):
            return after[key] - before[key]

        self.assertEqual(grown('sfu_acks_total{code="UNAUTHENTICATED",reason="AUTH_REQUIRED"}'), 1)
        self.assertEqual(grown('sfu_acks_total{code="VALIDATION_FAILED",reason="UNSUPPORTED_TYPE"}'), 1)
        self.assertGreaterEqual(grown('sfu_acks_total{code="OK",reason=""}'), 3)
        self.assertEqual(grown('sfu_auth_results_total{result="accepted"}'), 1)
        self.assertEqual(grown("sfu_devices"), 1)
        self.assertGreaterEqual(after["sfu_connections"], 1)
        self.assertEqual(after["sfu_ready"], 1)
        joins = [after[key] for key in after if key.startswith("sfu_join_duration_seconds_bucket")]
        self.assertEqual(joins, sorted(joins))
        self.assertEqual(joins[-1], after["sfu_join_duration_seconds_count"])
        self.assertEqual(grown("sfu_join_duration_seconds_count"), 1)

    def test_forms(self):
        self.assertIn("mediaPlane", json.loads(ask(self.port, "/metrics")[2]))
        self.assertIn("mediaPlane", json.loads(ask(self.port, "/metrics", extra="Accept: */*\r\n")[2]))
        series(self, ask(self.port, "/metrics/prometheus")[2].decode())
        status, headers, body = ask(
            self.port, "/metrics", extra="Accept: application/openmetrics-text;version=1.0.0,*/*;q=0.1\r\n"
        )
        self.assertTrue(headers["content-type"].startswith("application/openmetrics-text; version=1.0.0"))
        self.assertTrue(body.endswith(b"\n# EOF\n"))
        self.assertIn(b"\n# TYPE sfu_acks counter\n", body)
        self.assertEqual(ask(self.port, "/metrics", extra=f"Accept: {'x' * 600}\r\n")[0], 200)

    def test_token(self):
        server = Server(SFU_METRICS_TOKEN="seeded-metrics-token", SFU_LOG_LEVEL="debug")
        for target in ("/metrics", "/metrics/prometheus"):
            for extra in ("", "Authorization: Bearer x\r\n", f"Authorization: Bearer {'y' * 2000}\r\n"):
                status, headers, _ = ask(server.port, target, extra=extra)
                self.assertEqual((status, headers["www-authenticate"]), (401, "Bearer"))
            good = "Authorization: Bearer seeded-metrics-token\r\n"
            self.assertEqual(ask(server.port, target, extra=good)[0], 200)
        self.assertEqual(ask(server.port, "/health")[0], 200)
        self.assertNotIn("seeded", server.errors())
        self.assertEqual(server.stop()[0], 0)


@contextlib.contextmanager
def page():
    """A folder to serve."""
    with tempfile.TemporaryDirectory() as root:
        with open(f"{root}/index.html", "w") as f:
            f.write("page")
        yield root


def metrics_server(figures, root, **settings):
    return Server(
        SFU_METRICS_LISTEN=f"127.0.0.1:{figures}", SFU_METRICS_TOKEN="seeded-metrics-token", SFU_WEB_ROOT=root, **settings
    )


class MetricsListen(unittest.TestCase):
    """B12: figures have an address of their own."""

    def rows(self, server, figures, main):
        """main asks at SFU_PORT."""
        good = "Authorization: Bearer seeded-metrics-token\r\n"
        for target in ("/metrics", "/metrics/prometheus"):
            self.assertEqual(main(target, good)[0], 404)
            # A Host header chooses nothing.
            for host in ("sfu-ctl", f"127.0.0.1:{figures}"):
                self.assertEqual(main(target, f"Host: {host}\r\n{good}")[0], 404)
            self.assertEqual(ask(figures, target)[0], 401)
            self.assertEqual(ask(figures, target, extra=good)[0], 200)
        for target in ("/health", "/healthz", "/ready"):
            self.assertEqual(main(target, "")[0], 200)
            self.assertEqual(ask(figures, target)[0], 200)
        for target in ("/", "/index.html"):
            self.assertEqual(main(target, "")[0], 200)
            self.assertEqual(ask(figures, target)[0], 404)
        with WebSocket(figures) as w:
            self.assertEqual(w.status, 400)
        self.assertEqual(server.stop()[0], 0)

    def test_plain(self):
        figures = free_port()
        with page() as root:
            server = metrics_server(figures, root)
            self.rows(server, figures, lambda target, extra: ask(server.port, target, extra=extra))

    def test_tls(self):
        """Plain there, also where SFU_PORT has TLS."""
        figures = free_port()
        with page() as root, tempfile.TemporaryDirectory() as folder:
            cert, key = f"{folder}/cert.pem", f"{folder}/key.pem"
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                 "-keyout", key, "-out", cert, "-subj", "/CN=localhost", "-days", "1"],
                check=True, capture_output=True,
            )
            server = metrics_server(figures, root, SFU_TLS_CERT=cert, SFU_TLS_KEY=key)
            context = ssl.create_default_context(cafile=cert)
            context.check_hostname = False

            def main(target, extra):
                with socket.create_connection(("127.0.0.1", server.port), 5) as s, context.wrap_socket(s) as t:
                    t.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n{extra}\r\n".encode())
                    return read_response(t)

            self.rows(server, figures, main)

    def test_cannot_listen(self):
        with socket.create_server(("127.0.0.1", 0)) as s:
            port = s.getsockname()[1]
            refused(self, 1, [str(port), "taken", "SFU_METRICS_LISTEN"], SFU_METRICS_LISTEN=f"127.0.0.1:{port}")
        refused(self, 1, ["192.0.2.1", "SFU_METRICS_LISTEN"], SFU_METRICS_LISTEN="192.0.2.1:9100")


class Upgrade(Case):
    def test_paths(self):
        for path, status in (("/ws", 101), ("/ws?x=1", 101), ("/ws/", 400), ("/", 400), ("/wsx", 400)):
            with WebSocket(self.port, path) as w:
                self.assertEqual((path, w.status), (path, status))
                if status == 400:
                    self.assertEqual(w.sock.recv(10), b"")

    def test_first_subprotocol_is_echoed(self):
        for offered, echoed in (("chat", "chat"), ("a, b", "a"), ("v1.sfu+json~!, b", "v1.sfu+json~!")):
            with WebSocket(self.port, extra=f"Sec-WebSocket-Protocol: {offered}\r\n") as w:
                self.assertEqual(w.status, 101)
                self.assertIn(f"Sec-WebSocket-Protocol: {echoed}\r\n", w.head)
        with WebSocket(self.port) as w:
            self.assertNotIn("Sec-WebSocket-Protocol", w.head)

    def test_impossible_subprotocols(self):
        for offered in ('"q"', "a" * 64, ", ".join(["abcdefgh"] * 20)):
            with WebSocket(self.port, extra=f"Sec-WebSocket-Protocol: {offered}\r\n") as w:
                self.assertEqual(w.status, 400)
        self.alive()

    def test_no_compression(self):
        extra = "Sec-WebSocket-Extensions: permessage-deflate\r\n"
        with WebSocket(self.port, extra=extra) as w:
            self.assertEqual(w.status, 101)
            self.assertNotIn("Extensions", w.head)

    def test_other_upgrades(self):
        for name in ("foo", "h2c", "websocket2"):
            for _ in range(20):
                status, _, _ = ask(
                    self.port, "/ws", extra=f"Connection: Upgrade\r\nUpgrade: {name}\r\n"
                    "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
                )
                self.assertIn(status, (400, 403))
        self.alive()


class Frames(Case):
    def test_text_and_binary(self):
        with WebSocket(self.port) as w:
            for opcode in (TEXT, BINARY):
                w.send(opcode, w.message())
                got, data = w.receive()
                self.assertEqual(got, TEXT)
                self.assertTrue(json.loads(data)["ack"]["ok"])

    def test_fragments(self):
        with WebSocket(self.port) as w:
            text = w.message()
            w.send(TEXT, text[:10], fin=False)
            w.send(PING, b"between")
            for byte in text[10:-1]:
                w.send(0, bytes([byte]), fin=False)
            w.send(0, text[-1:])
            # They came in one segment: which answer leaves first is nobody's promise.
            answers = dict(w.receive() for _ in range(2))
            self.assertEqual(answers[PONG], b"between")
            self.assertTrue(json.loads(answers[TEXT])["ack"]["ok"])

    def test_longest_message(self):
        with WebSocket(self.port) as w:
            short = len(w.message())
            w.seq -= 1
            text = w.message(pad="x" * (262144 - short))
            self.assertEqual(len(text), 262144)
            w.send(TEXT, text)
            self.assertTrue(w.acked())

    def test_too_long(self):
        with WebSocket(self.port) as w:
            w.send(TEXT, b"x" * 262145)
            self.assertEqual(w.close_code(), 1009)
        with WebSocket(self.port) as w:
            w.send(TEXT, b"", fin=False)
            for _ in range(263):
                w.send(0, b"y" * 1000, fin=False)
            self.assertEqual(w.close_code(), 1009)

    def test_reader_that_does_not_read(self):
        with WebSocket(self.port, rcvbuf=4096) as w:
            w.sock.settimeout(20)
            try:
                for _ in range(200):
                    for _ in range(500):
                        w.send(TEXT, w.message("x" * 100))
            except (ConnectionError, TimeoutError):
                pass
            self.assertIn(w.close_code(), (1013, 0))
        self.assertIn("does not read", self.server.errors())
        self.alive()

    def test_close_handshake(self):
        with WebSocket(self.port) as w:
            w.send(CLOSE, struct.pack(">H", 1000))
            opcode, data = w.receive()
            self.assertEqual(opcode, CLOSE)
            self.assertEqual(w.sock.recv(10), b"")

    def test_junk_frames(self):
        rnd = random.Random(2)
        for _ in range(300):
            with WebSocket(self.port) as w:
                try:
                    w.sock.sendall(rnd.randbytes(rnd.randrange(1, 300)))
                    if rnd.random() < 0.5:
                        w.send(rnd.randrange(16), rnd.randbytes(rnd.randrange(200)), rnd.random() < 0.5)
                except ConnectionError:
                    pass
        self.alive()
        peers = json.loads(ask(self.port, "/health")[2])["peers"]
        self.assertEqual(peers, 0)


class Heartbeat(Case):
    settings = {"SFU_HEARTBEAT_SEC": "5"}

    def test_silent_peer(self):
        with WebSocket(self.port) as silent, WebSocket(self.port) as lively:
            begin = time.monotonic()
            pings = []
            silent.sock.settimeout(20)
            lively.sock.settimeout(20)
            try:
                while True:
                    opcode, _ = silent.receive()
                    pings.append((opcode, round(time.monotonic() - begin)))
                    opcode, data = lively.receive()
                    self.assertEqual(opcode, PING)
                    lively.send(PONG, data)
            except EOFError:
                pass
            self.assertEqual(pings, [(PING, 5), (PING, 10)])
            self.assertAlmostEqual(time.monotonic() - begin, 12.5, delta=0.7)
            lively.send(TEXT, lively.message())
            self.assertTrue(lively.acked())

    def test_idle_costs_nothing(self):
        with WebSocket(self.port) as w:
            w.send(TEXT, w.message())
            self.assertTrue(w.acked())
            before = self.server.cpu_seconds()
            time.sleep(4)
            self.assertLessEqual(self.server.cpu_seconds() - before, 0.02)


class StoodStill(Case):
    settings = {"SFU_RESUME_SEC": "4"}

    def welcome(self, w, **payload):
        w.send(TEXT, w.message("HELLO", client={"deviceId": "d", "ext": ["resume"]}, **payload))
        frame = json.loads(w.receive()[1])
        self.assertEqual(frame["type"], "WELCOME")
        self.assertTrue(w.acked())
        return frame["payload"]

    def test_who_was_lost_before_comes_back(self):
        with WebSocket(self.port) as w:
            token = self.welcome(w)["resumeToken"]
            w.send(TEXT, w.message("AUTH", accessToken="u"))
            self.assertTrue(w.acked())
        time.sleep(0.2)
        self.server.process.send_signal(signal.SIGSTOP)
        time.sleep(6)
        self.server.process.send_signal(signal.SIGCONT)
        with WebSocket(self.port) as w:
            self.assertTrue(self.welcome(w, resume={"resumeToken": token})["resumed"])
        time.sleep(4.5)
        with WebSocket(self.port) as w:
            self.assertFalse(self.welcome(w, resume={"resumeToken": token})["resumed"])


class Page(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        root = os.path.join(self.folder.name, "root")
        os.makedirs(os.path.join(root, "sub"))
        self.big = random.Random(3).randbytes(300000)
        for name, data in (
            ("root/index.html", b"<p>hello"), ("root/sub/a.js", self.big), ("root/b.css", b""),
            ("root/.hidden", b"no"), ("secret", b"no"),
        ):
            with open(os.path.join(self.folder.name, name), "wb") as f:
                f.write(data)
        os.symlink("../secret", os.path.join(root, "link"))
        os.symlink("..", os.path.join(root, "up"))
        os.mkfifo(os.path.join(root, "fifo"))
        self.server = Server(SFU_WEB_ROOT=root)
        self.port = self.server.port

    def tearDown(self):
        self.assertEqual(self.server.stop()[0], 0)
        self.folder.cleanup()

    def test_files(self):
        status, headers, body = ask(self.port, "/")
        self.assertEqual((status, body), (200, b"<p>hello"))
        self.assertEqual(headers["content-type"], "text/html; charset=utf-8")
        self.assertEqual(headers["x-content-type-options"], "nosniff")
        self.assertIn("script-src 'self'", headers["content-security-policy"])
        self.assertIn("camera=(self)", headers["permissions-policy"])
        self.assertEqual(ask(self.port, "/?room=blue")[2], b"<p>hello")
        self.assertEqual(ask(self.port, "/sub/a.js")[2], self.big)
        self.assertEqual(ask(self.port, "/b.css")[::2], (200, b""))
        status, headers, body = ask(self.port, "/", extra=f"If-None-Match: {headers['etag']}\r\n")
        self.assertEqual((status, body), (304, b""))
        self.assertEqual(ask(self.port, "/health")[0], 200)

    def test_nothing_else(self):
        for target in ("/nothing", "/sub", "/sub/", "/.hidden", "/link", "/up/secret", "/fifo",
                       "/../secret", "/%2e%2e/secret", "/sub/../../secret", "/sub/%2e%2e/%2e%2e/secret",
                       "//etc/passwd", "/..%2fsecret", "/sub/..%5c..%5csecret"):
            self.assertEqual((target, ask(self.port, target)[0]), (target, 404))


def make_certificate(folder, name, alternative="DNS:localhost"):
    """Files of a new certificate with this common name."""
    cert, key = f"{folder}/{name}.cert", f"{folder}/{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-subj", f"/CN={name}", "-addext", f"subjectAltName={alternative}", "-days", "1",
         "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )
    return cert, key


def until(condition, seconds=3):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def get_slowly(port, target, seconds, length, wrap=None):
    """The body of a file of this length, read steadily over so many seconds."""
    with request_file(port, target, wrap) as s:
        data, begin = b"", time.monotonic()
        while got := s.recv(16384):
            data += got
            time.sleep(max(0, begin + seconds * len(data) / length - time.monotonic()))
    return data.partition(b"\r\n\r\n")[2]


def small_socket(port):
    """A connection with a small receive buffer."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
    s.settimeout(10)
    s.connect(("127.0.0.1", port))
    return s


def request_file(port, target, wrap=None):
    """A connection with a small receive buffer that has asked for a file."""
    s = small_socket(port)
    s = wrap(s) if wrap else s
    s.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    return s


class SlowReaders(unittest.TestCase):
    """A file goes on for as long as its reader does."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        root = os.path.join(self.folder.name, "root")
        os.mkdir(root)
        self.big = random.Random(4).randbytes(8 << 20)
        with open(os.path.join(root, "big.bin"), "wb") as f:
            f.write(self.big)
        self.cert, key = make_certificate(self.folder.name, "localhost")
        self.servers = [Server(SFU_WEB_ROOT=root), Server(SFU_WEB_ROOT=root, SFU_TLS_CERT=self.cert, SFU_TLS_KEY=key)]

    def tearDown(self):
        for server in self.servers:
            self.assertEqual(server.stop()[0], 0)
        self.folder.cleanup()

    def sends_a_file(self, server):
        return any(name.endswith("/big.bin") for name in server.descriptors())

    def together(self, act):
        """What this does with each server at the same time."""
        context = ssl.create_default_context(cafile=self.cert)
        wraps = (None, lambda s: context.wrap_socket(s, server_hostname="localhost"))
        results = [None, None]

        def run(i):
            results[i] = act(self.servers[i], wraps[i])

        threads = [threading.Thread(target=run, args=(i,)) for i in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results

    def test_slow_and_steady(self):
        for body in self.together(lambda server, wrap: get_slowly(server.port, "/big.bin", 7.5, len(self.big), wrap)):
            self.assertEqual(len(body), len(self.big))
            self.assertTrue(body == self.big)

    def test_no_progress(self):
        """Neither who reads nothing holds a file, nor who reads next to nothing."""

        def act(server, wrap):
            def released():
                with contextlib.suppress(ConnectionError, ssl.SSLError):
                    crumbs.recv(10)
                return not self.sends_a_file(server)

            with request_file(server.port, "/big.bin", wrap), request_file(server.port, "/big.bin", wrap) as crumbs:
                begun = until(lambda: self.sends_a_file(server))
                return begun and until(released, 25)

        self.assertEqual(self.together(act), [True, True])


class Reload(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.cert, self.key = self.folder.name + "/cert", self.folder.name + "/key"

    def tearDown(self):
        self.folder.cleanup()

    def put(self, cert, key):
        for source, target in ((cert, self.cert), (key, self.key)):
            with open(source) as f, open(target + ".new", "w") as g:
                g.write(f.read())
            os.rename(target + ".new", target)

    def common_name(self, port):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with context.wrap_socket(socket.create_connection(("127.0.0.1", port), 5)) as s:
            text = ssl.DER_cert_to_PEM_cert(s.getpeercert(True))
        out = subprocess.run(["openssl", "x509", "-noout", "-subject"], input=text, capture_output=True, text=True)
        return out.stdout.strip().rsplit(" ", 1)[-1]

    def test_certificate(self):
        one, two = (make_certificate(self.folder.name, name) for name in ("one", "two"))
        old, public = self.folder.name + "/old.cert", self.folder.name + "/public"
        subprocess.run(["openssl", "pkey", "-in", one[1], "-pubout", "-out", public], check=True)
        subprocess.run(
            ["openssl", "x509", "-new", "-subj", "/CN=old", "-days", "-1", "-key", one[1],
             "-force_pubkey", public, "-out", old], check=True, capture_output=True,
        )
        junk = self.folder.name + "/junk"
        with open(junk, "w") as f:
            f.write("-----BEGIN CERTIFICATE-----\njunk\n")
        locked = self.folder.name + "/locked"
        subprocess.run(["openssl", "ec", "-aes256", "-passout", "pass:seeded", "-in", one[1], "-out", locked],
                       check=True, capture_output=True)
        self.put(*one)
        server = Server(SFU_TLS_CERT=self.cert, SFU_TLS_KEY=self.key)
        try:
            self.assertEqual(self.common_name(server.port), "one")
            context = ssl.create_default_context(cafile=one[0])
            context.check_hostname = False
            with WebSocket(server.port, wrap=context.wrap_socket) as w:
                self.put(*two)
                server.process.send_signal(signal.SIGHUP)
                self.assertTrue(until(lambda: self.common_name(server.port) == "two"))
                # Who was there stays.
                w.send(TEXT, w.message())
                self.assertTrue(w.acked())
            for number, (cert, key, why) in enumerate((
                (junk, one[1], "SFU_TLS_CERT"), (one[0], junk, "SFU_TLS_KEY"), (one[0], two[1], "is not the key"),
                ("/dev/null", one[1], "SFU_TLS_CERT"), (one[0], locked, "passphrase"),
                (old, one[1], "expired"),
            )):
                self.put(cert, key)
                server.process.send_signal(signal.SIGHUP)
                self.assertTrue(
                    until(lambda: server.errors().count("certificate not read anew") == number + 1), server.errors()
                )
                line = [line for line in server.errors().splitlines() if "not read anew" in line][-1]
                self.assertIn(why, line)
                self.assertEqual(self.common_name(server.port), "two")
            self.put(*one)
            server.process.send_signal(signal.SIGHUP)
            self.assertTrue(until(lambda: self.common_name(server.port) == "one"))
            os.unlink(self.key)
            server.process.send_signal(signal.SIGHUP)
            self.assertTrue(until(lambda: "No such file" in server.errors()))
            self.assertEqual(self.common_name(server.port), "one")
            self.assertNotIn("seeded", server.errors())
        finally:
            self.assertEqual(server.stop()[0], 0)

    def test_weak_ciphers(self):
        self.put(*make_certificate(self.folder.name, "one"))
        server = Server(SFU_TLS_CERT=self.cert, SFU_TLS_KEY=self.key)
        try:
            for ciphers, good in (("ECDHE-ECDSA-AES128-GCM-SHA256", True), ("ECDHE-ECDSA-AES128-SHA", False),
                                  ("ECDHE-ECDSA-AES256-SHA384", False)):
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
                context.maximum_version = ssl.TLSVersion.TLSv1_2
                context.set_ciphers(ciphers)
                with socket.create_connection(("127.0.0.1", server.port), 5) as s:
                    try:
                        context.wrap_socket(s).close()
                        worked = True
                    except (ssl.SSLError, ConnectionError):
                        worked = False
                self.assertEqual((ciphers, worked), (ciphers, good))
        finally:
            self.assertEqual(server.stop()[0], 0)

    def test_settings(self):
        path = self.folder.name + "/sfu.conf"

        def write(text):
            with open(path, "w") as f:
                f.write(text)

        write("SFU_METRICS_TOKEN = first\nSFU_REGION = tr\n")
        server = Server(config=path)
        try:
            def status(token):
                return ask(server.port, "/metrics", extra=f"Authorization: Bearer {token}\r\n")[0]

            self.assertEqual((status("first"), status("second")), (200, 401))
            write("SFU_METRICS_TOKEN = second\nSFU_REGION = ru\n")
            server.process.send_signal(signal.SIGHUP)
            self.assertTrue(until(lambda: status("second") == 200))
            self.assertEqual(status("first"), 401)
            self.assertIn("SFU_REGION has changed, which needs a restart", server.errors())
            self.assertEqual(json.loads(ask(server.port, "/health")[2])["region"], "tr")
            write("SFU_METRICS_TOKEN = third\nSFU_HEARTBEAT_SEC = soon\n")
            server.process.send_signal(signal.SIGHUP)
            self.assertTrue(until(lambda: "SFU_HEARTBEAT_SEC" in server.errors()))
            self.assertIn("the old ones stay", server.errors())
            self.assertEqual((status("second"), status("third")), (200, 401))
            write(f"SFU_METRICS_TOKEN = second\nSFU_TLS_CERT = {path}\nSFU_TLS_KEY = {path}\n")
            server.process.send_signal(signal.SIGHUP)
            self.assertTrue(until(lambda: "switched on and off by a restart" in server.errors()))
            os.unlink(path)
            server.process.send_signal(signal.SIGHUP)
            self.assertTrue(until(lambda: "cannot read" in server.errors()))
            self.assertEqual(status("second"), 200)
            for secret in ("first", "second", "third"):
                self.assertNotIn(secret, server.errors())
        finally:
            self.assertEqual(server.stop()[0], 0)


class Commands(unittest.TestCase):
    """sfu-ctl drain, reload and status, to a running one."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = self.folder.name + "/control"
        self.config = self.folder.name + "/config"
        with open(self.config, "w") as f:
            f.write(f"SFU_CONTROL = {self.path}\nSFU_METRICS_TOKEN = first\n")

    def tearDown(self):
        self.folder.cleanup()

    def tell(self, *words, **options):
        return subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=10, **options)

    def said(self, *words):
        done = self.tell(*words, "--config", self.config)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout

    def test_commands(self):
        server = Server(config=self.config)
        try:
            self.assertEqual(os.stat(self.path).st_mode & 0o777, 0o600)
            self.assertRegex(self.said("status"), "^ok serves, node .*, 0 rooms, 0 members here, data plane not used\n$")
            with open(self.config, "a") as f:
                f.write("SFU_REGION = ru\n")
            self.assertEqual(self.said("reload"), "ok reloaded, 1 settings need a restart\n")
            self.assertIn("SFU_REGION has changed", server.errors())
            # A bad file changes nothing, and the command says why, to a caller that has a good one.
            good = self.folder.name + "/good"
            os.rename(self.config, good)
            with open(self.config, "w") as f:
                f.write("SFU_HEARTBEAT_SEC = soon\n")
            done = self.tell("reload", "--config", good)
            self.assertEqual(done.returncode, 1)
            self.assertRegex(done.stderr, "^error settings stay: SFU_HEARTBEAT_SEC.*soon")
            os.rename(good, self.config)
            done = self.tell("dance", "--config", self.config)
            self.assertEqual((done.returncode, done.stderr), (1, "error no such command; there are: drain reload status\n"))
            # Who connects and says nothing is in nobody's way.
            with contextlib.ExitStack() as silent:
                for _ in range(9):
                    s = silent.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
                    s.connect(self.path)
                self.assertIn("ok serves", self.said("status"))
            self.assertRegex(self.said("drain"), "^ok drains, 0 members, 300 seconds at most")
            self.assertEqual(ask(server.port, "/ready")[0], 503)
            self.assertRegex(self.said("drain"), "^ok drains already")
            self.assertEqual(server.process.wait(10), 0)
            self.assertFalse(os.path.exists(self.path))
        finally:
            server.process.stdout.close()
            server.log.close()
            if server.process.poll() is None:
                server.process.kill()
                server.process.wait()

    def test_nobody_there(self):
        for words, why in ((("drain",), "SFU_CONTROL is not set"),
                           (("drain", "--config", self.config), "No such file")):
            done = self.tell(*words)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertIn(why, done.stderr)

    @unittest.skipUnless(os.geteuid() == 0, "another user is needed")
    def test_another_user(self):
        server = Server(config=self.config)
        try:
            os.chmod(self.folder.name, 0o755)
            os.chmod(self.path, 0o666)
            # Ours may be below a folder that is not for others: only the command runs as another.
            ask_it = ("import socket,sys,os;os.setgid(65534);os.setuid(65534);"
                      "s=socket.socket(socket.AF_UNIX,socket.SOCK_SEQPACKET);s.settimeout(5);s.connect(sys.argv[1]);"
                      "s.send(b'status');print(s.recv(99))")
            done = subprocess.run([sys.executable, "-c", ask_it, self.path], capture_output=True, text=True)
            self.assertTrue(done.stdout == "b''\n" or "Broken pipe" in done.stderr or "reset" in done.stderr, done)
        finally:
            self.assertEqual(server.stop()[0], 0)

    def test_left_behind(self):
        for _ in range(2):
            server = Server(config=self.config)
            second = subprocess.run([PROGRAM, "--config", self.config, "--set", f"SFU_PORT={free_port()}"],
                                    capture_output=True, text=True, timeout=10)
            self.assertEqual(second.returncode, 1)
            self.assertIn("is in use", second.stderr)
            self.assertIn("ok serves", self.said("status"))
            server.process.kill()
            server.process.wait()
            server.process.stdout.close()
            server.log.close()
        self.assertTrue(os.path.exists(self.path))
        refused(self, 1, ["SFU_CONTROL", "cannot listen"], SFU_CONTROL="/nowhere/at/all")
        refused(self, 1, ["SFU_CONTROL", "too long"], SFU_CONTROL="/tmp/" + "x" * 200)


class SecureTransport(unittest.TestCase):
    """In production connections need TLS, here or at a proxy that is trusted."""

    def close_code(self, header, **settings):
        server = Server(NODE_ENV="production", SUPABASE_URL="http://127.0.0.1:9", SUPABASE_ANON_KEY="k",
                        SFU_REQUIRE_DP="0", **settings)
        try:
            with WebSocket(server.port, extra=header) as w:
                w.send(TEXT, w.message())
                opcode, data = w.receive()
                return struct.unpack(">H", data[:2])[0] if opcode == CLOSE else None
        finally:
            self.assertEqual(server.stop()[0], 0)

    def test_rows(self):
        forwarded = "X-Forwarded-Proto: https\r\n"
        for header, settings, code in (
            ("", {}, 4003),
            ("", {"SFU_REQUIRE_SECURE_WS": "0"}, None),
            (forwarded, {}, None),
            ("X-Forwarded-Proto: http\r\n", {}, 4003),
            (forwarded, {"SFU_TRUSTED_PROXIES": "127.0.0.0/8"}, None),
            (forwarded, {"SFU_TRUSTED_PROXIES": "10.0.0.1"}, 4003),
        ):
            self.assertEqual((header, settings, self.close_code(header, **settings)), (header, settings, code))


class AuthServer:
    """https with this certificate: accepts every token, remembers what it was asked."""

    def __init__(self, cert, key):
        asked = self.asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append(self.path)
                body = b'{"id":"user-1"}'
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.server.handle_error = lambda *_: None
        self.url = f"https://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class AuthOverTls(unittest.TestCase):
    """The token goes to the server whose certificate is right, and to no other."""

    def ack(self, **settings):
        server = Server(CALLS_DEV_INSECURE_AUTH="0", SUPABASE_ANON_KEY="k", **settings)
        try:
            with WebSocket(server.port) as w:
                w.send(TEXT, w.message("AUTH", accessToken="a token of some length"))
                while True:
                    frame = json.loads(w.receive()[1])
                    if frame["type"] == "ACK":
                        return frame["ack"]
        finally:
            self.assertEqual(server.stop()[0], 0)

    def test_certificates(self):
        with tempfile.TemporaryDirectory() as folder:
            good = make_certificate(folder, "good", "IP:127.0.0.1")
            other = make_certificate(folder, "other", "DNS:auth.example")
            for files, trusted, accepted in (
                (good, good[0], True), (good, "/dev/null", False), (good, other[0], False),
                (other, other[0], False),
            ):
                auth = AuthServer(*files)
                try:
                    ack = self.ack(SUPABASE_URL=auth.url, SSL_CERT_FILE=trusted, SSL_CERT_DIR=folder)
                finally:
                    auth.stop()
                self.assertEqual(ack["ok"], accepted, ack)
                self.assertEqual(auth.asked, ["/auth/v1/user"] if accepted else [])
                if not accepted:
                    self.assertTrue(ack["error"]["retryable"])
                    self.assertEqual(ack["error"]["details"], {"reason": "auth_unavailable"})


class Tls(unittest.TestCase):
    def test_versions(self):
        with tempfile.TemporaryDirectory() as folder:
            cert, key = folder + "/cert.pem", folder + "/key.pem"
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                 "-subj", "/CN=localhost", "-days", "1", "-keyout", key, "-out", cert],
                check=True, capture_output=True,
            )
            server = Server(SFU_TLS_CERT=cert, SFU_TLS_KEY=key)
            try:
                self.assertIn("tls", server.ready)
                context = ssl.create_default_context(cafile=cert)
                for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                    context.minimum_version = context.maximum_version = version
                    context.set_alpn_protocols(["h2", "http/1.1"])
                    wrap = lambda s: context.wrap_socket(s, server_hostname="localhost")
                    with WebSocket(server.port, wrap=wrap) as w:
                        self.assertEqual(w.sock.selected_alpn_protocol(), "http/1.1")
                        w.send(TEXT, w.message(pad="x" * 200000))
                        self.assertTrue(w.acked())
                old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                old.check_hostname = False
                old.verify_mode = ssl.CERT_NONE
                old.set_ciphers("ALL:@SECLEVEL=0")
                old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
                with self.assertRaises((ssl.SSLError, ConnectionError)):
                    old.wrap_socket(socket.create_connection(("127.0.0.1", server.port), 5)).close()
                before = server.cpu_seconds()
                with WebSocket(server.port, wrap=wrap):
                    time.sleep(2)
                self.assertLessEqual(server.cpu_seconds() - before, 0.05)
            finally:
                self.assertEqual(server.stop()[0], 0)

    def test_bad_certificate(self):
        with tempfile.NamedTemporaryFile() as junk:
            junk.write(b"junk")
            junk.flush()
            refused(self, 1, ["SFU_TLS_CERT"], SFU_TLS_CERT=junk.name, SFU_TLS_KEY=junk.name)


class Start(unittest.TestCase):
    def refused(self, status, said, **settings):
        refused(self, status, said, **settings)

    def test_port_taken(self):
        with socket.create_server(("127.0.0.1", 0)) as s:
            port = str(s.getsockname()[1])
            self.refused(1, [port, "taken", "SFU_PORT"], SFU_PORT=port)

    def test_no_such_address(self):
        self.refused(1, ["192.0.2.1", "SFU_LISTEN"], SFU_LISTEN="192.0.2.1")

    def test_bad_value(self):
        self.refused(2, ["SFU_HEARTBEAT_SEC", "soon", "number"], SFU_HEARTBEAT_SEC="soon")

    def test_no_page(self):
        self.refused(1, ["SFU_WEB_ROOT", "/nonexistent"], SFU_WEB_ROOT="/nonexistent")

    def test_bad_link(self):
        self.refused(1, ["SFU_LINK", "/xxx", "107"], SFU_ENABLE_DP="1", SFU_LINK="/" + "x" * 107)

    def test_bad_state_dir(self):
        self.refused(1, ["SFU_STATE_DIR", "/nonexistent", "folder"], SFU_ENABLE_DP="1",
                     SFU_STATE_DIR="/nonexistent")

    def test_required_data_plane(self):
        self.refused(
            1, ["no data plane", "/nonexistent/link", "SFU_REQUIRE_DP=0"], NODE_ENV="production",
            SUPABASE_URL="http://127.0.0.1:9", SUPABASE_ANON_KEY="k", SFU_ENABLE_DP="1",
            SFU_LINK="/nonexistent/link",
        )

    def test_missing_data_plane(self):
        server = Server(SFU_ENABLE_DP="1", SFU_LINK="/nonexistent/link")
        self.assertIn("fallback", server.ready)
        metrics = json.loads(ask(server.port, "/metrics")[2])
        self.assertEqual(metrics["mediaPlane"]["mode"], "fallback")
        self.assertEqual(server.stop()[0], 0)

    def test_starting(self):
        """While it waits for a data plane it answers HTTP, and takes nobody."""
        port = free_port()
        started = []
        thread = threading.Thread(target=lambda: started.append(
            Server(SFU_PORT=str(port), SFU_ENABLE_DP="1", SFU_LINK="/nonexistent/link")))
        thread.start()
        end = time.monotonic() + 1.5
        while True:
            try:
                status, _, body = ask(port, "/ready")
                break
            except ConnectionRefusedError:
                self.assertLess(time.monotonic(), end)
                time.sleep(0.01)
        self.assertEqual((status, json.loads(body)["ok"]), (503, False))
        status, _, body = ask(port, "/health")
        self.assertEqual((status, json.loads(body)["ok"]), (200, True))
        self.assertFalse(json.loads(body)["failoverHints"]["healthy"])
        with WebSocket(port) as w:
            self.assertEqual(w.status, 503)
        thread.join()
        self.assertEqual(ask(port, "/ready")[0], 200)
        with WebSocket(port) as w:
            self.assertEqual(w.status, 101)
        self.assertEqual(started[0].stop()[0], 0)

    def test_help_and_print(self):
        text = subprocess.run([PROGRAM, "--help"], capture_output=True, text=True, check=True).stdout
        printed = subprocess.run(
            [PROGRAM, "--print-config"], capture_output=True, text=True, check=True
        ).stdout
        names = re.findall(r"^#? ?([A-Z][A-Z_]+) ", printed, re.M)
        self.assertGreater(len(names), 30)
        for name in names:
            self.assertIn(f"\n  {name}\n", text)

    def test_tokens_do_not_reach_the_log(self):
        server = Server(SFU_LOG_LEVEL="debug", CALLS_DEV_INSECURE_AUTH="0",
                        SUPABASE_URL="http://127.0.0.1:9", SUPABASE_ANON_KEY="seeded-api-key")
        with WebSocket(server.port) as w:
            w.send(TEXT, w.message("AUTH", accessToken="seeded-token-0123456789"))
            self.assertFalse(w.acked())
        log = server.errors()
        self.assertIn("auth server", log)
        self.assertNotIn("seeded", log)
        self.assertEqual(server.stop()[0], 0)

    def test_stop_with_connections(self):
        server = Server()
        sockets = [WebSocket(server.port) for _ in range(50)]
        status, took = server.stop()
        self.assertEqual(status, 0)
        self.assertLess(took, 1)
        for w in sockets:
            self.assertEqual(w.close_code(), 1001)
            w.sock.close()


class Descriptors(unittest.TestCase):
    def test_limit(self):
        server = Server(limits=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (160, 160)))
        try:
            sockets = [socket.create_connection(("127.0.0.1", server.port), 5) for _ in range(300)]
            time.sleep(0.5)
            before = server.cpu_seconds()
            time.sleep(1)
            self.assertLessEqual(server.cpu_seconds() - before, 0.1)
            for s in sockets:
                s.close()
            time.sleep(0.5)
            self.assertEqual(ask(server.port, "/health")[0], 200)
            self.assertIn("too many connections", server.errors())
        finally:
            self.assertEqual(server.stop()[0], 0)

    def test_files_count(self):
        """Answers from files leave the reserve alone: it is for the data plane, the auth server, the journal."""
        limit, reserved = 200, 64
        with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
            with open(os.path.join(folder, "big.bin"), "wb") as f:
                f.truncate(8 << 20)
            server = Server(limits=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)), SFU_WEB_ROOT=folder)
            idle = len(server.descriptors())
            try:
                etag = ask(server.port, "/big.bin")[1]["etag"]
                self.assertTrue(until(lambda: len(server.descriptors()) == idle))
                readers = [stack.enter_context(small_socket(server.port)) for _ in range(100)]
                for s in readers:
                    s.sendall(b"GET /big.bin HTTP/1.1\r\nHost: x\r\n\r\n")
                heads = [s.recv(1000, socket.MSG_PEEK).decode("latin-1").lower() for s in readers]
                statuses = [head.split(" ", 2)[1] for head in heads]
                refused = len(readers) * 2 - (limit - reserved)
                self.assertEqual((statuses.count("200"), statuses.count("503")), (len(readers) - refused, refused))
                for head in heads:
                    self.assertEqual(" 503 " in head, "retry-after: " in head, head)
                self.assertLessEqual(len(server.descriptors()), idle + limit - reserved)
                self.assertIn("too many files", server.errors())
                self.assertNotIn("Too many open files", server.errors())
                # Nor does one more connection take of it.
                with small_socket(server.port) as s:
                    self.assertEqual(s.recv(1), b"")
                # Who is there gets what keeps no file open, and what was freed is there for all.
                s = readers[statuses.index("503")]
                self.assertEqual(json.loads(read_response(s)[2]), {"error": "busy"})
                for line, status in (("GET /health HTTP/1.1", 200), (f"GET /big.bin HTTP/1.1\r\nIf-None-Match: {etag}", 304)):
                    s.sendall(f"{line}\r\nHost: x\r\n\r\n".encode())
                    self.assertEqual(read_response(s)[0], status)
                stack.close()
                self.assertTrue(until(lambda: len(server.descriptors()) == idle))
                self.assertEqual(len(ask(server.port, "/big.bin")[2]), 8 << 20)
                metrics = series(self, ask(server.port, "/metrics/prometheus")[2].decode())
                self.assertEqual(metrics["sfu_files_refused_total"], refused)
            finally:
                self.assertEqual(server.stop()[0], 0)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    PROGRAM = os.path.abspath(sys.argv.pop(1))
    unittest.main()
