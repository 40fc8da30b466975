#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A client that joins and asks for a transport: prints OK, or the code with which it is refused, and
after how many milliseconds. Usage: refused.py PORT"""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
import web_clients  # noqa: E402

web_clients.PORT = int(sys.argv[1])
web_clients.MEDIA = True
client = web_clients.Client("refused-device", "refused-user-of-a-test")
client.login()
begin = time.monotonic()
try:
    client.join("refused-room")
    client.ready(client.epoch)
    client.transport("send")
    print("OK")
except web_clients.Refused as refused:
    print(refused.error["code"], refused.error["retryable"], f"{(time.monotonic() - begin) * 1000:.0f} ms")
