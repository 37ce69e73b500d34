# Copyright (c) Routed Hypervisor maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames between a lab's supervisor, the guest program in its kernel, and the clients of its socket.

A frame is a header (job number, kind, size; big-endian) followed by `size` bytes. On a client's socket the number is 0.

To the guest: OPEN starts a job; INPUT is a chunk of its input, empty at the end, and INPUT_FILE the name of a file in
shared/requests with the input, because a serial line stalls with 10 KB pending; SIGNAL is a signal number; SIZE is the
size of its terminal, rows and columns; TAKEN is the number of output bytes that the client has read; CLOSED is a kind
of output that nobody reads any more; CANCEL ends the job.
From the guest: READY; OUTPUT and ERRORS; ACCEPTED means that the job has read the last INPUT; EXIT is a JSON object
with `code`, or with `error`, a sentence.
Between client and supervisor only: WANTED requests a module's payload, PAYLOAD is one.

Flow control: one INPUT at a time, and at most WINDOW bytes of output that the client has not TAKEN. So neither a
stopped reader nor a fast writer can block the single line that all jobs of a kernel share. The supervisor sends TAKEN
for a CHUNK or more: a reader that catches up with a window of short lines would stall the line with a frame for each.
"""

from __future__ import annotations

import os
import socket
import struct
import typing as t

HEADER = struct.Struct(">IcI")
OPEN, INPUT, INPUT_FILE, SIGNAL, SIZE, TAKEN, CLOSED, CANCEL = b"O", b"I", b"F", b"S", b"Z", b"T", b"D", b"C"
READY, OUTPUT, ERRORS, ACCEPTED, EXIT = b"R", b"o", b"e", b"a", b"x"
WANTED, PAYLOAD = b"w", b"P"
NUMBER = struct.Struct(">I")
PAIR = struct.Struct(">HH")

CHUNK = 32768
WINDOW = 4 * CHUNK


class Frame(t.NamedTuple):
    job: int
    kind: bytes
    data: bytes


def pack(job: int, kind: bytes, data: bytes = b"") -> bytes:
    return HEADER.pack(job, kind, len(data)) + data


class Parser:
    """Splits a byte stream into frames."""

    def __init__(self) -> None:
        self.buffer = bytearray()

    def feed(self, data: bytes) -> t.Iterator[Frame]:
        self.buffer += data
        while len(self.buffer) >= HEADER.size:
            job, kind, size = HEADER.unpack_from(self.buffer)
            if len(self.buffer) < HEADER.size + size:
                return
            body = bytes(self.buffer[HEADER.size : HEADER.size + size])
            del self.buffer[: HEADER.size + size]
            yield Frame(job, kind, body)


def write_all(target: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(target, view) :]


def frames_of(connection: socket.socket) -> t.Iterator[Frame]:
    """The frames that a socket receives, until its other end closes it."""
    parser = Parser()
    while data := connection.recv(1 << 18):
        yield from parser.feed(data)
