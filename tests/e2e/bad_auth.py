#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""An auth server that is right, then wrong in every way, one way after the other, and somebody who asks
it through sfu-ctl all the while. Usage: bad_auth.py PORT SECONDS. The auth server listens on loopback port
9998. Says how each kind of bad server was answered and how long a PING of another connection took; exit
status 1 when a token was accepted that should not, or a code was wrong."""

import json
import socket
import sys
import threading
import time

from ctl_http_test import TEXT, WebSocket

PORT, SECONDS = int(sys.argv[1]), float(sys.argv[2])
KINDS = ["right", "wrong", "garbage", "redirect", "endless", "slow", "hangup", "dead"]
kind = "right"


def http(status, body, more=""):
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{more}\r\n{body}".encode()


def serve_one(s, how):
    try:
        s.settimeout(5)
        request = b""
        while b"\r\n\r\n" not in request:
            request += s.recv(4096)
        if how == "right":
            token = request.split(b"Bearer ")[1].split(b"\r\n")[0].decode()
            s.sendall(http("200 OK", json.dumps({"id": token.split("-")[0]})))
        elif how == "wrong":
            s.sendall(http("401 Unauthorized", '{"code":401,"error_code":"bad_jwt","msg":"no"}'))
        elif how == "garbage":
            s.sendall(http("200 OK", "<html>not JSON"))
        elif how == "redirect":
            s.sendall(http("302 Found", "", "Location: http://127.0.0.1:9998/elsewhere\r\n"))
        elif how == "endless":
            s.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
            while True:
                s.sendall(b" " * 65536)
        elif how == "slow":
            for octet in http("200 OK", '{"id":"slow"}'):
                s.sendall(bytes([octet]))
                time.sleep(0.2)
    except (OSError, IndexError):
        pass
    finally:
        s.close()


def serve(listener):
    while True:
        try:
            s, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=serve_one, args=(s, kind), daemon=True).start()


def listen():
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 9998))
    listener.listen(64)
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    return listener


def auth(token):
    """The error of an AUTH, None when it was accepted."""
    with WebSocket(PORT) as ws:
        ws.send(TEXT, ws.message("AUTH", accessToken=token))
        while True:
            opcode, data = ws.receive()
            frame = json.loads(data) if opcode == TEXT else {"type": ""}
            if frame["type"] == "ACK":
                return frame["ack"].get("error")


def pings(stop, times):
    with WebSocket(PORT) as ws:
        while not stop.is_set():
            begin = time.monotonic()
            ws.send(TEXT, ws.message("PING"))
            ws.acked()
            times.append(time.monotonic() - begin)
            time.sleep(0.01)


listener = listen()
known = "known-" + "x" * 30
assert auth(known) is None
bad = 0
n = 0
for kind in KINDS:
    stop, times = threading.Event(), []
    pinger = threading.Thread(target=pings, args=(stop, times))
    pinger.start()
    if kind == "dead":
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    codes, end = set(), time.monotonic() + SECONDS / len(KINDS)
    while True:
        n += 1
        error = auth(f"fresh{n}-" + "y" * 30)
        codes.add("accepted" if error is None else f"{error['code']} retryable={error['retryable']}")
        if time.monotonic() > end:
            break
    stop.set()
    pinger.join()
    want = {"right": {"accepted"}, "wrong": {"UNAUTHENTICATED retryable=False"}}.get(
        kind, {"UNAUTHENTICATED retryable=True"})
    times.sort()
    print(f"{kind:9} {', '.join(sorted(codes))}; PING p50 {times[len(times) // 2] * 1000:.1f} ms "
          f"of {len(times)}, longest {times[-1] * 1000:.1f} ms")
    # The median: a busy machine holds single ones up.
    if codes != want or times[len(times) // 2] > 0.020:
        print(f"wanted {want}")
        bad += 1
sys.exit(1 if bad else 0)
