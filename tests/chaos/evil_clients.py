#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Clients of an sfu-ctl whose data plane means ill: members who make transports all the time, two who
only talk, and one who asks over HTTP. Whatever media requests are answered with, answers come; the rest
works as ever. Usage: evil_clients.py PORT SECONDS. Prints one line of JSON. Loopback only."""

import json
import os
import sys
import threading
import time
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import web_clients  # noqa: E402
from ctl_http_test import ask  # noqa: E402

web_clients.PORT, SECONDS = int(sys.argv[1]), float(sys.argv[2])
web_clients.MEDIA = True
END = time.monotonic() + SECONDS
waits, errors = {"http": [], "talk": []}, []
media = {"made": 0, "refused": 0, "rooms": 0}


def timed(what, call):
    begin = time.monotonic()
    call()
    waits[what].append(time.monotonic() - begin)


def asks():
    while time.monotonic() < END:
        timed("http", lambda: ask(web_clients.PORT, "/health"))
        time.sleep(0.01)


def talks():
    c = web_clients.Early(f"talker-{uuid.uuid4().hex[:8]}", "token-of-talker-0123456789")
    c.login()
    while time.monotonic() < END:
        timed("talk", lambda: c.request("PING"))
        c.events.clear()
        time.sleep(0.01)


def makes():
    """A room, a transport in it, what a client sends over it; then another one."""
    while time.monotonic() < END:
        c = web_clients.Early(f"maker-{uuid.uuid4().hex[:8]}", "token-of-maker-0123456789")
        try:
            c.login()
            c.join(f"evil-{uuid.uuid4()}")
            media["rooms"] += 1
            c.ready(c.epoch)
            for direction in ("send", "recv"):
                t = c.transport(direction)
                media["made"] += 1
                if direction == "send":
                    c.produce(t, "audio", 1000 + media["made"])
            time.sleep(0.05)
        except web_clients.Refused:
            media["refused"] += 1
            time.sleep(0.01)
        finally:
            c.vanish()


def guarded(run):
    try:
        run()
    except Exception as e:  # told at the end
        errors.append(f"{run.__name__}: {type(e).__name__}: {e}")


threads = [threading.Thread(target=guarded, args=(run,)) for run in (asks, talks, makes, makes)]
for t in threads:
    t.start()
for t in threads:
    t.join()


def line(of):
    of = sorted(of)
    return {"count": len(of), "p99_ms": round(of[len(of) * 99 // 100] * 1000, 1), "worst_ms": round(of[-1] * 1000, 1)}


print(json.dumps({"http": line(waits["http"]), "talk": line(waits["talk"]), **media, "errors": errors}))
