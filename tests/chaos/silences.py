#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Judges silences. Usage: silences.py LIMIT_US STANDSTILL < lines "silent FROM_US TO_US"

Silences may last LIMIT_US each, without the time for which no processor of the machine ran (the file
STANDSTILL, made by the program of that name)."""

import sys


def standstills(path):
    """From when the last processor stopped until the first ran again, each time."""
    processors, by_processor = 0, {}
    for line in open(path):
        words = line.split()
        if words[0] == "watching":
            processors = int(words[1])
        else:
            by_processor.setdefault(words[0], []).append((int(words[1]), int(words[2])))
    if not by_processor or len(by_processor) != processors:
        return []
    common = None
    for times in by_processor.values():
        common = times if common is None else [
            (max(a, c), min(b, d)) for a, b in common for c, d in times if max(a, c) < min(b, d)]
    return common


limit, stood = int(sys.argv[1]), standstills(sys.argv[2])
bad = 0
for line in sys.stdin:
    _, start, end = line.split()
    start, end = int(start), int(end)
    machine = sum(max(0, min(end, b) - max(start, a)) for a, b in stood)
    if end - start - machine > limit:
        bad += 1
    if end - start > limit:
        print(f"  silent for {end - start} us, of which the machine stood still for {machine} us")
sys.exit(1 if bad else 0)
