#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""sfu-ctl under a service manager (service_manager.py plays it): its listening socket is handed over,
so that nobody who connects while it is dead or replaced is refused; it says when it is ready, reloads,
lives and stops. Usage: service_test.py SFU_CTL [SEED]"""

import os
import random
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

import service_manager
import web_clients

CTL = sys.argv[1]
SEED = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 16)
ROUNDS = 5
WATCHDOG_S = 0.6
HEARTBEAT_S = 5  # the shortest
checks = failures = 0


def check(what, holds):
    global checks, failures
    checks += 1
    failures += not holds
    print(("ok - " if holds else "not ok - ") + what, flush=True)


def connect(port, tls=None):
    s = socket.create_connection(("127.0.0.1", port), timeout=5)
    if tls:
        # The handshake is the server's to answer: only later.
        s = tls.wrap_socket(s, do_handshake_on_connect=False)
    return s


def ask(s, path="/health"):
    s.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode())


def answer(s):
    s.settimeout(5)
    got = b""
    try:
        while more := s.recv(4096):
            got += more
    except (OSError, ssl.SSLError) as e:
        return f"{e}".encode()
    return got


def is_ok(got):
    return got.startswith(b"HTTP/1.1 200 ")


class Ctl(service_manager.Service):
    def __init__(self, folder, sockets, *settings, **options):
        self.said = open(os.path.join(folder, "said"), "w+")
        env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin")}
        command = [CTL, "--set", "CALLS_DEV_INSECURE_AUTH=1"]
        for s in settings:
            command += ["--set", s]
        super().__init__(command, sockets, env=env, output=self.said.fileno(), **options)

    def text(self):
        self.said.seek(0)
        return self.said.read()


def open_socket():
    s = service_manager.listening("127.0.0.1", 0)
    return s, s.getsockname()[1]


def deaths(folder, word, settings=(), tls=None):
    """Who connects while nobody is there is answered by the next one, kill -9 or planned."""
    listener, port = open_socket()
    ctl = Ctl(folder, [("http", listener)], *settings)
    ctl.start()
    check(f"{word}: says that it is ready", ctl.hear_until("READY=1", 5))
    refused = unanswered = 0
    slowest = 0.0
    for i in range(ROUNDS):
        waiting = []
        if i % 2:
            ctl.kill(signal.SIGTERM)
        else:
            ctl.kill()
        for _ in range(random.randrange(3, 9)):
            try:
                s = connect(port, tls)
                waiting.append(s)
                if not tls:
                    ask(s)
            except OSError:
                refused += 1
            time.sleep(random.random() * 0.02)
        while ctl.ended() is None:
            time.sleep(0.005)
        # Some while it is certainly dead.
        late = connect(port, tls)
        waiting.append(late)
        if not tls:
            ask(late)
        since = len(ctl.heard)
        begin = time.monotonic()
        ctl.start()
        if not ctl.hear_until("READY=1", 5, since):
            print(ctl.text())
            break
        for s in waiting:
            if tls:
                try:
                    s.do_handshake()
                    ask(s)
                except OSError:
                    pass  # of the one that died
        unanswered += not is_ok(answer(late))
        slowest = max(slowest, time.monotonic() - begin)
        # Those before it the dying one may have taken with it; they got a socket, all the same.
        for s in waiting:
            s.close()
    print(f"# {word}: dead and answered again within {slowest * 1000:.0f} ms")
    check(f"{word}: nobody was refused a connection", refused == 0)
    check(f"{word}: who came while it was dead was answered by the next one", unanswered == 0)
    since = len(ctl.heard)
    status = ctl.end()
    check(f"{word}: says that it stops", ctl.hear_until("STOPPING=1", 0.1, since))
    check(f"{word}: and ends well", status == 0)
    check(f"{word}: the socket is the manager's still", connect(port) is not None)
    listener.close()


def life(folder):
    listener, port = open_socket()
    ctl = Ctl(folder, [("http", listener)], watchdog_s=WATCHDOG_S)
    ctl.start()
    check("ready", ctl.hear_until("READY=1", 5))
    begin = time.monotonic()
    since = len(ctl.heard)
    ctl.hear(1.5)
    beats = [when for when, _, text in ctl.heard[since:] if text == "WATCHDOG=1"]
    gaps = [b - a for a, b in zip([begin] + beats, beats + [time.monotonic()])]
    check(f"its watchdog is fed in time (at most {max(gaps):.2f} s)", max(gaps) < WATCHDOG_S)

    since = len(ctl.heard)
    ctl.kill(signal.SIGHUP)
    check("a reload is said", ctl.hear_until("RELOADING=1", 2, since))
    check("and when it is over", ctl.hear_until("READY=1", 2, since))
    stamps = [
        line
        for _, _, text in ctl.heard[since:]
        if "RELOADING=1" in text
        for line in text.splitlines()
        if line.startswith("MONOTONIC_USEC=")
    ]
    now_us = time.monotonic() * 1e6
    check("with its time", len(stamps) == 1 and 0 <= now_us - int(stamps[0].split("=")[1]) < 3e6)

    ctl.hear(0.05)
    ctl.kill(signal.SIGSTOP)
    ctl.hear(0.1)
    since = len(ctl.heard)
    ctl.hear(2 * WATCHDOG_S)
    check("who stands still feeds no watchdog", len(ctl.heard) == since)
    ctl.kill(signal.SIGCONT)
    check("who goes on does", ctl.hear_until("WATCHDOG=1", 2, since))
    ctl.end()
    listener.close()


def wrong(folder):
    """What cannot be is refused in one line; what was meant for another process is left alone."""

    def refused(word, sockets, *settings):
        ctl = Ctl(folder, sockets, *settings)
        ctl.start()
        end = time.monotonic() + 5
        status = None
        while status is None and time.monotonic() < end:
            ctl.hear(0.01)
            status = ctl.ended()
        if status is None:
            ctl.end(signal.SIGKILL)
            return False
        lines = [line for line in ctl.text().splitlines() if not line.startswith("ts=")]
        if status == 0 or len(lines) != 1 or word not in lines[0]:
            print(status, lines)
            return False
        return True

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        check("a socket of another kind", refused('"odd"', [("odd", datagrams)]))
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        check("one that does not listen", refused('"mute"', [("mute", silent)]))
    with open_socket()[0] as one, open_socket()[0] as two:
        check("one too many", refused('"second"', [("first", one), ("second", two)]))
        check("one for figures, without a setting", refused("SFU_METRICS_LISTEN", [("metrics", one)]))
    with open_socket()[0] as main, open_socket()[0] as figures:
        port = figures.getsockname()[1]
        sockets = [("metrics", figures), ("http", main)]
        ctl = Ctl(folder, sockets, f"SFU_METRICS_LISTEN=127.0.0.1:{port}")
        ctl.start()
        check("both sockets", ctl.hear_until("READY=1", 5))
        places = {}
        for name, p in (("main", main.getsockname()[1]), ("figures", port)):
            s = connect(p)
            ask(s, "/metrics")
            places[name] = answer(s)
        check("figures are where they belong", is_ok(places["figures"]) and not is_ok(places["main"]))
        ctl.end()


class Stop:
    """Stands still for longer than a peer may be silent: the silence was its own, nobody is dropped."""

    def __init__(self, folder):
        listener, web_clients.PORT = open_socket()
        self.ctl = Ctl(folder, [("http", listener)], f"SFU_HEARTBEAT_SEC={HEARTBEAT_S}")
        self.ctl.start()
        self.ctl.hear_until("READY=1", 5)
        self.clients = []
        for i in range(5):
            client = web_clients.Client(f"device-{i}", f"user-{i}-of-a-test")
            client.login()
            self.clients.append(client)
        self.ctl.kill(signal.SIGSTOP)
        self.until = time.monotonic() + 2.5 * HEARTBEAT_S + 1.5

    def end(self):
        time.sleep(max(0, self.until - time.monotonic()))
        self.ctl.kill(signal.SIGCONT)
        self.ctl.hear(0.5)
        left = 0
        for client in self.clients:
            try:
                client.join("a-room")
                left += 1
            except (OSError, AssertionError, EOFError) as e:
                print(f"# {type(e).__name__} {e}")
        check(f"of {len(self.clients)} clients {left} are there when it goes on", left == len(self.clients))
        self.ctl.end()


def main():
    random.seed(SEED)
    print(f"# seed {SEED}")
    # Ports of its own for who is handed none: not 8888, which another test may use.
    os.environ.pop("SFU_PORT", None)
    with tempfile.TemporaryDirectory() as folder:
        stop = Stop(folder)
        life(folder)
        deaths(folder, "plain")
        key, cert = os.path.join(folder, "key"), os.path.join(folder, "cert")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=test"],
            check=True, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        deaths(folder, "TLS", [f"SFU_TLS_CERT={cert}", f"SFU_TLS_KEY={key}"], context)
        wrong(folder)
        stop.end()
    print(f"{checks - failures} of {checks} checks held")
    return failures != 0


if __name__ == "__main__":
    sys.exit(main())
