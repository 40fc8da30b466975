#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Plays systemd for one program: holds listening sockets and what the program stores (FDSTORE), hands
both over at each start, hears what it says (NOTIFY_SOCKET), and starts it again when it ends.

  service_manager.py [--listen NAME=ADDRESS:PORT]… [--watchdog SEC] [--heard FILE] -- COMMAND…

FILE gets a line per message: seconds, process, text. SIGTERM ends the program and this."""

import argparse
import array
import os
import select
import signal
import socket
import sys
import time

RESTART_S = 0.1


class Service:
    """One program. sockets: [(name, listening socket)]."""

    def __init__(self, command, sockets=(), watchdog_s=0.0, env=None, heard=None, output=None):
        self.command = command
        self.sockets = list(sockets)
        self.kept = {}
        self.watchdog_s = watchdog_s
        self.env = dict(os.environ if env is None else env)
        self.heard = []  # (when, process, text)
        self.log = heard
        self.output = output
        self.pid = 0
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.notify.bind("")  # the kernel chooses an abstract name
        self.notify.setblocking(False)

    def _become(self):
        given = self.sockets + list(self.kept.items())
        fds = [os.dup(s if isinstance(s, int) else s.fileno()) for _, s in given]
        # Clear of the places that they go to.
        while fds and min(fds) < 3 + len(fds):
            fds = [os.dup(fd) for fd in fds]
        for place, fd in enumerate(fds):
            os.dup2(fd, 3 + place)
            os.set_inheritable(3 + place, True)
        env = dict(self.env)
        env["NOTIFY_SOCKET"] = "@" + self.notify.getsockname()[1:].decode()
        if given:
            env["LISTEN_PID"] = str(os.getpid())
            env["LISTEN_FDS"] = str(len(given))
            env["LISTEN_FDNAMES"] = ":".join(name for name, _ in given)
        if self.watchdog_s:
            env["WATCHDOG_USEC"] = str(int(self.watchdog_s * 1e6))
            env["WATCHDOG_PID"] = str(os.getpid())
        if self.output is not None:
            os.dup2(self.output, 1)
            os.dup2(self.output, 2)
        os.execvpe(self.command[0], self.command, env)

    def start(self):
        self.pid = os.fork()
        if not self.pid:
            try:
                self._become()
            finally:
                os._exit(127)
        return self.pid

    def _hear_one(self):
        data, ancillary, _, _ = self.notify.recvmsg(4096, 1024)
        fds = array.array("i")
        pid = 0
        for level, kind, value in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(value[: len(value) - len(value) % fds.itemsize])
            elif level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
                pid = array.array("i", value)[0]
        text = data.decode()
        said = dict(line.partition("=")[::2] for line in text.splitlines())
        name = said.get("FDNAME", "stored")
        if said.get("FDSTOREREMOVE") == "1" and name in self.kept:
            os.close(self.kept.pop(name))
        for fd in fds:
            if said.get("FDSTORE") == "1" and name not in self.kept:
                self.kept[name] = fd
            else:
                os.close(fd)
        self.heard.append((time.monotonic(), pid, text))
        if self.log:
            print(f"{time.monotonic():.3f} {pid} {text!r}", file=self.log, flush=True)

    def hear(self, seconds):
        """Takes messages for so long; at least those that are there."""
        end = time.monotonic() + seconds
        while select.select([self.notify], [], [], max(0.0, end - time.monotonic()))[0]:
            self._hear_one()

    def hear_until(self, line, seconds, since=0):
        """True: a message with this line came after the first `since` ones."""
        end = time.monotonic() + seconds
        while True:
            if any(line in text.splitlines() for _, _, text in self.heard[since:]):
                return True
            left = end - time.monotonic()
            if left <= 0:
                return False
            self.hear(min(left, 0.02))

    def ended(self):
        """The wait status if the program has ended since the last start, else None."""
        if self.pid:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                return status
        return None

    def kill(self, number=signal.SIGKILL):
        os.kill(self.pid, number)

    def end(self, number=signal.SIGTERM, seconds=5.0):
        """Sends it, waits; SIGKILL when it takes too long. The wait status."""
        end = time.monotonic() + seconds
        if not self.pid:
            return None
        self.kill(number)
        while time.monotonic() < end:
            status = self.ended()
            if status is not None:
                return status
            self.hear(0.01)
        self.kill()
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        return status


def listening(address, port):
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((address, port))
    s.listen(128)
    return s


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", action="append", default=[])
    parser.add_argument("--watchdog", type=float, default=0)
    parser.add_argument("--heard")
    parser.add_argument("command", nargs="+")
    o = parser.parse_args()
    sockets = []
    for text in o.listen:
        name, _, where = text.partition("=")
        address, _, port = where.rpartition(":")
        sockets.append((name, listening(address, int(port))))
    service = Service(
        o.command, sockets, o.watchdog, heard=open(o.heard, "w") if o.heard else None
    )
    stopping = []
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    service.start()
    while not stopping:
        service.hear(0.02)
        if service.ended() is not None and not stopping:
            service.hear(0)
            time.sleep(RESTART_S)
            service.start()
    service.end()


if __name__ == "__main__":
    sys.exit(main())
