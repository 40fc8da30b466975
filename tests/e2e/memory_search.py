#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Are any of these secrets in the memory of a process? Usage: memory_search.py SECRETS PID NAME…. SECRETS has
lines "name value" in hex; looked for are those of the given names. Exit status 1 when one was found, 2 when
there was nothing to look for."""

import re
import sys

PIECE = 1 << 22


def mappings(pid):
    """(from, to, name) of what is readable and resident."""
    with open(f"/proc/{pid}/smaps") as f:
        lines = f.read().splitlines()
    place = None
    for line in lines:
        head = re.match(r"([0-9a-f]+)-([0-9a-f]+) (....) \S+ \S+ \S+ *(.*)", line)
        if head:
            place = (int(head[1], 16), int(head[2], 16), head[4]) if head[3][0] == "r" else None
        elif place and line.startswith("Rss:") and int(line.split()[1]) > 0 and not place[2].startswith("[v"):
            yield place


def pieces(pid):
    """Its memory in pieces that overlap by more than a secret."""
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for start, end, name in mappings(pid):
            for at in range(start, end, PIECE):
                memory.seek(at)
                try:
                    octets = memory.read(min(end - at, PIECE + 64))
                except OSError:
                    continue  # a device, or gone
                if octets.count(0) != len(octets):
                    yield at, name, octets


names, pid = sys.argv[3:], int(sys.argv[2])
secrets = [line.split() for line in open(sys.argv[1])]
secrets = {bytes.fromhex(value): name for name, value in secrets if name in names}
found = {}
size = 0
for at, where, octets in pieces(pid):
    size += len(octets)
    for secret, name in secrets.items():
        place = octets.find(secret)
        if place >= 0:
            found.setdefault(secret, []).append(f"{at + place:x} {where}")
for secret, places in found.items():
    print(f"{secrets[secret]} {secret.hex()[:8]}… at {', '.join(places)}")
print(f"process {pid}: {len(secrets)} secrets, {size >> 20} MiB, {len(found)} found")
sys.exit(2 if not secrets or not size else 1 if found else 0)
