#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A control plane that talks and never listens: attaches to the link socket given as argument,
fills the command ring again and again until nothing is taken any more, then holds still until it
is killed. Layout: shared/abi.h, shared/ring.h, shared/command.h."""
import mmap
import os
import signal
import socket
import struct
import sys
import time

MAGIC, VERSION = 0x314B4E494C554653, 2
SLOTS, SLOT_BYTES = 4096, 256
TAIL, SLOT_0 = 64, 192
KEY_FRAME = 13

link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
link.connect(sys.argv[1])
link.send(struct.pack("<QII16s", MAGIC, VERSION, 0, b"stuck"))
welcome, descriptors, _, _ = socket.recv_fds(link, 64, 3)
if len(descriptors) != 3:
    sys.exit("refused: " + welcome.hex())
region = mmap.mmap(descriptors[0], 0)
words = memoryview(region).cast("Q")  # one store each, where struct writes octet by octet
(ring,) = struct.unpack_from("<Q", region, 32)  # header.ring[SFU_RING_CMD].offset_bytes

head, since = 0, time.monotonic()
while time.monotonic() - since < 0.5:
    tail = words[(ring + TAIL) // 8]
    while head - tail < SLOTS:
        slot = ring + SLOT_0 + head % SLOTS * SLOT_BYTES
        command = struct.pack("<IIQQ", KEY_FRAME, 0, head, 1)
        region[slot : slot + SLOT_BYTES] = command.ljust(SLOT_BYTES, b"\0")
        head += 1
        words[ring // 8] = head
        since = time.monotonic()
    os.write(descriptors[1], struct.pack("<Q", 1))
    time.sleep(0.01)
print("stuck", flush=True)
signal.pause()
