#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Are any of the secrets in these files? Usage: secrets_search.py SECRETS FILE…. SECRETS has lines "name
value"; hex of 16 octets or more counts as what it stands for, too. Exit status 1 when one was found."""

import base64
import re
import sys


def forms(value):
    """As it is, and as a log might spell it."""
    raw = [value.encode()]
    if re.fullmatch(r"(?:[0-9a-f]{2}){12,}", value):
        raw.append(bytes.fromhex(value))
    for octets in raw:
        yield octets
        yield octets.hex().encode()
        yield octets.hex().upper().encode()
        yield base64.b64encode(octets).rstrip(b"=")
        yield base64.urlsafe_b64encode(octets).rstrip(b"=")
        # Escaped, or cut: the log cuts long values.
        yield "".join(f"\\x{o:02x}" if o < 0x20 or o > 0x7e else chr(o) for o in octets[:48]).encode()


secrets = [line.rstrip("\n").split(" ", 1) for line in open(sys.argv[1])]
texts = {path: open(path, "rb").read() for path in sys.argv[2:]}
found = 0
for name, value in secrets:
    assert len(value) >= 12, (name, value)
    for path, text in texts.items():
        if any(form in text for form in forms(value)):
            print(f"{name} is in {path}")
            found += 1
print(f"{len(secrets)} secrets, {sum(map(len, texts.values()))} octets of logs, {found} found")
sys.exit(1 if found or not secrets else 0)
