#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Sends frames for watcher_test.sh. Usage: watcher.py INTERFACE KIND:NUMBER[+COUNT]…"""

import os
import socket
import struct
import sys

MEDIA_PORT = 40000


def udp(source, destination, payload):
    return struct.pack("!HHHH", source, destination, 8 + len(payload), 0) + payload


def ip4(segment, last):
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(segment), 0, 0, 64, 17, 0)
    return b"\x08\x00" + head + bytes([198, 18, 99, 2, 198, 18, 99, last]) + segment


def ip6(segment):
    head = struct.pack("!IHBB", 0x60000000, len(segment), 17, 64)
    return b"\x86\xdd" + head + bytes(15) + b"\x02" + bytes(15) + b"\x01" + segment


def rtp(number, ssrc=1):
    return struct.pack("!BBHII", 0x80, 100, number & 0xFFFF, 0, ssrc) + os.urandom(40)


def rtcp(index, tag):
    return struct.pack("!BBHI", 0x80, 200, 6, 9) + os.urandom(36) + struct.pack("!I", index | 1 << 31) + os.urandom(tag)


def packet(kind, number):
    if kind == "rtp":
        return ip4(udp(MEDIA_PORT, 5000, rtp(number)), 1)
    if kind == "other":
        return ip4(udp(MEDIA_PORT, 5000, rtp(number, ssrc=2)), 1)
    if kind == "elsewhere":
        return ip4(udp(MEDIA_PORT, 5000, rtp(number)), 7)
    if kind == "rtp6":
        return ip6(udp(MEDIA_PORT, 5000, rtp(number)))
    if kind == "rtcp":
        return ip4(udp(MEDIA_PORT, 5000, rtcp(number, 0)), 1)
    if kind == "rtcp80":
        return ip4(udp(MEDIA_PORT, 5000, rtcp(number, 10)), 1)
    if kind == "foreign":
        return ip4(udp(MEDIA_PORT + 1, 5000, rtp(number)), 1)
    raise ValueError(kind)


s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind((sys.argv[1], 0))
for text in sys.argv[2:]:
    kind, _, rest = text.partition(":")
    first, _, count = rest.partition("+")
    for n in range(int(count or 1)):
        s.send(b"\xff" * 6 + b"\x02\x00\x00\x00\x00\x01" + packet(kind, int(first) + n))
